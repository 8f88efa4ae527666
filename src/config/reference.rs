//! The reference of the configuration: every table and key with what it is for, its default and an example.
//!
//! Which keys there are, which values they take and which of them are required is not written here: it is what the readers ask for
//! while they read the examples ([`super::asked`]). Written here are the words. A key that is read and not described, or described
//! and not read, fails a test; so does a default that is none.

mod profiles;
mod settings;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::Config;
use super::asked::{Asked, AskedKey, Shape};
use super::section::{File, Problems, show_duration};
use crate::matcher::profile::{self, Aliases};

/// The files of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// newswatch.toml and sources.d/*.toml
    Settings,
    /// profiles.d/*.toml
    Profile,
    /// aliases.d/*.toml
    Aliases,
}

/// A table of a document, as one of its kinds has it.
#[derive(Debug)]
pub struct Table {
    /// The keys that lead to it: "fetch", "source.select"; empty for the file itself.
    pub path: &'static str,
    /// Of a source or channel: the kind whose keys these are; empty for what all of them have.
    pub kind: &'static str,
    /// What it is for.
    pub text: &'static str,
    /// Its keys, those that matter most first.
    pub keys: &'static [Key],
    /// Valid configuration that uses it; empty where another table's example shows it.
    pub example: &'static str,
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The default as it would be written, or in words in brackets; empty where there is none.
    pub default: &'static str,
    /// What it is for.
    pub text: &'static str,
}

const fn key(name: &'static str, default: &'static str, text: &'static str) -> Key {
    Key { name, default, text }
}

impl Key {
    /// The default is a value, not words.
    fn has_value(&self) -> bool {
        !self.default.is_empty() && !self.default.starts_with('(')
    }
}

impl Document {
    /// All of them.
    pub const ALL: [Document; 3] = [Document::Settings, Document::Profile, Document::Aliases];

    /// Its tables in the order of the reference.
    pub fn tables(self) -> &'static [Table] {
        match self {
            Document::Settings => settings::TABLES,
            Document::Profile => profiles::PROFILE,
            Document::Aliases => profiles::ALIASES,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Document::Settings => "newswatch.toml and sources.d/*.toml",
            Document::Profile => "profiles.d/*.toml",
            Document::Aliases => "aliases.d/*.toml",
        }
    }

    /// The names of a list's table: a profile may hold its entries as a list, too.
    fn singular(self, path: &str) -> String {
        match (self, path) {
            (Document::Settings, _) => path.to_string(),
            (_, "terms" | "seeds" | "phrases" | "concepts" | "conditions" | "look_alikes" | "settings") => {
                path.trim_end_matches('s').to_string()
            }
            _ => path.strip_prefix("concepts.").map_or(path.to_string(), |rest| format!("concept.{rest}")),
        }
    }

    /// What the readers ask for while they read an example.
    fn asked_by(self, example: &str) -> Asked {
        let asked: Rc<RefCell<Asked>> = Rc::default();
        // What is wrong with it here (a file that it names is not there) does not matter: all keys are asked for.
        let (problems, file) = (Problems::noting(&asked), File::new("example.toml", example.to_string()));
        match self {
            Document::Settings => _ = Config::read(&file, &[], &[], &[], problems),
            Document::Profile => _ = file.read(&problems, |section| profile::read(section, &Aliases::none())),
            Document::Aliases => _ = Aliases::read(&[file], &problems),
        }
        let mut found = Asked::new();
        for (path, table) in asked.take() {
            let into = found.entry(self.singular(&path)).or_default();
            into.is_free |= table.is_free;
            for (name, key) in table.keys {
                let known = into.keys.entry(name).or_default();
                known.required |= key.required;
                key.shapes.into_iter().for_each(|shape| known.add(shape));
            }
        }
        found
    }

    /// Of each table as it is written in [`Document::tables`]: its keys as they are asked for. The error names what is asked
    /// for and not described.
    fn described(self) -> (Vec<Described>, Vec<String>) {
        let mut described: Vec<Described> =
            self.tables().iter().map(|table| Described { table, keys: BTreeMap::new(), is_free: false }).collect();
        let mut missing = BTreeSet::new();
        for shown in self.tables().iter().filter(|table| !table.example.is_empty()) {
            for (path, asked) in self.asked_by(shown.example) {
                // The kind of the example is that of sources or of channels, not of both.
                let kinds =
                    if path.split('.').next() == shown.path.split('.').next() { ["", shown.kind] } else { ["", ""] };
                for (name, key) in asked.keys {
                    let own = described.iter_mut().find(|own| {
                        own.table.path == path
                            && kinds.contains(&own.table.kind)
                            && own.table.keys.iter().any(|key| key.name == name)
                    });
                    match own {
                        Some(own) => own.add(&name, key, asked.is_free),
                        None if asked.is_free => {}
                        None => _ = missing.insert(format!("[{path}] {name} (kind {:?})", shown.kind)),
                    }
                }
                if asked.is_free {
                    described.iter_mut().filter(|own| own.table.path == path).for_each(|own| own.is_free = true);
                }
            }
        }
        (described, missing.into_iter().collect())
    }

    /// What is wrong with the reference, for its test: read and not described, described and not read.
    pub fn drift(self) -> Vec<String> {
        let (described, mut wrong) = self.described();
        for own in &described {
            let unread = own.table.keys.iter().filter(|key| !own.keys.contains_key(key.name));
            wrong.extend(unread.map(|key| format!("[{}] {}: described, but not read", own.table.path, key.name)));
            let unsaid = own.table.keys.iter().filter(|key| key.text.trim().is_empty());
            wrong.extend(unsaid.map(|key| format!("[{}] {} has no description", own.table.path, key.name)));
        }
        wrong
    }

    fn markdown(self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## {}", self.heading())?;
        let (described, _) = self.described();
        for own in &described {
            let Table { path, kind, text, keys, example } = own.table;
            let is_list = is_list(&described, path);
            let name = match (path.is_empty(), is_list) {
                (true, _) => "The file itself".to_string(),
                (_, true) => format!("`[[{path}]]`"),
                (_, false) => format!("`[{path}]`"),
            };
            let kind = if kind.is_empty() { String::new() } else { format!(", kind `{kind}`") };
            writeln!(out, "\n### {name}{kind}\n\n{text}")?;
            if !keys.is_empty() {
                writeln!(out, "\n| key | value | default | |\n| --- | --- | --- | --- |")?;
            }
            for key in *keys {
                let asked = own.keys.get(key.name).cloned().unwrap_or_default();
                let value = asked.shapes.iter().map(in_words).collect::<Vec<_>>().join(", or ").replace('|', "\\|");
                let default = match (key.has_value(), key.default) {
                    (true, value) => format!("`{value}`"),
                    (_, "") if asked.required => "required".to_string(),
                    (_, words) => words.trim_matches(['(', ')']).to_string(),
                };
                writeln!(out, "| `{}` | {value} | {default} | {} |", key.name, key.text.replace('|', "\\|"))?;
            }
            if !example.is_empty() {
                writeln!(out, "\n```toml\n{}\n```", example.trim())?;
            }
        }
        Ok(())
    }

    /// JSON Schema, draft 7, as editors of TOML understand it.
    pub fn schema(self) -> Value {
        let (described, _) = self.described();
        let mut schema = object(&described, "", self);
        let title = format!("newswatch: {}", self.heading());
        let head = json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": title});
        if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
            schema.extend(head);
        }
        schema
    }
}

/// A table with what the readers say of its keys.
struct Described {
    table: &'static Table,
    keys: BTreeMap<String, AskedKey>,
    is_free: bool,
}

impl Described {
    fn add(&mut self, name: &str, key: AskedKey, is_free: bool) {
        self.is_free |= is_free;
        let known = self.keys.entry(name.to_string()).or_default();
        known.required |= key.required;
        key.shapes.into_iter().for_each(|shape| known.add(shape));
    }
}

/// A path is that of a list of tables.
fn is_list(described: &[Described], path: &str) -> bool {
    let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
    let asked = described.iter().filter(|own| own.table.path == outer).find_map(|own| own.keys.get(name));
    asked.is_some_and(|asked| asked.shapes.contains(&Shape::Tables))
}

/// The whole reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    for document in Document::ALL {
        // Writing to a String cannot fail.
        let _ = document.markdown(&mut out);
    }
    out
}

const HEAD: &str = "\
# Configuration reference

Printed by `newswatch config reference` from what the program reads. Lengths of time carry a unit (\"30m\", \"6h\", \"2d\"); paths that
are not absolute start at the folder of the configuration; unknown keys are errors. Editors that know JSON Schema complete and check the
files with `newswatch config schema settings`, `profile` or `aliases`; with taplo (Even Better TOML) put this line at the head of a file:
`#:schema ./newswatch.schema.json`.
";

/// A value in words.
fn in_words(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_string(),
        Shape::Address => "address (http, https)".to_string(),
        Shape::Path => "path".to_string(),
        Shape::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Shape::Duration(from, to) => format!("time, {} to {}", show_duration(*from), show_duration(*to)),
        Shape::Boolean => "`true`, `false`".to_string(),
        Shape::Integer(from, i64::MAX) => format!("whole number from {from}"),
        Shape::Integer(from, to) => format!("whole number, {from} to {to}"),
        Shape::Number(from, to) => format!("number, {from} to {to}"),
        Shape::Texts => "list of texts".to_string(),
        Shape::Patterns => "regular expression, or a list of them".to_string(),
        Shape::Table => "table".to_string(),
        Shape::Tables => "list of tables".to_string(),
    }
}

/// The schema of a table: the keys of all its kinds, as an editor cannot know the kind before it is written.
fn object(described: &[Described], path: &str, document: Document) -> Value {
    let mut properties = Map::new();
    let mut required = BTreeSet::new();
    let mut is_free = false;
    for own in described.iter().filter(|own| own.table.path == path) {
        is_free |= own.is_free;
        for key in own.table.keys {
            let Some(asked) = own.keys.get(key.name) else { continue };
            if asked.required && key.default.is_empty() && own.table.kind.is_empty() {
                required.insert(key.name);
            }
            let inner =
                document.singular(&if path.is_empty() { key.name.to_string() } else { format!("{path}.{}", key.name) });
            let mut forms: Vec<Value> =
                asked.shapes.iter().map(|shape| form(shape, described, &inner, document)).collect();
            let mut value = if forms.len() == 1 { forms.remove(0) } else { json!({"anyOf": forms}) };
            let kind = if own.table.kind.is_empty() { String::new() } else { format!("Kind \"{}\": ", own.table.kind) };
            let known = properties.get(key.name).and_then(|known: &Value| known["description"].as_str());
            let text = match known {
                Some(known) => format!("{known} {kind}{}", key.text),
                None => format!("{kind}{}", key.text),
            };
            value["description"] = Value::String(text);
            // Two kinds may take different values under one name.
            let differs = properties.get(key.name).is_some_and(|known| known["type"] != value["type"]);
            if differs {
                value = json!({"description": value["description"]});
            }
            if key.has_value()
                && let Ok(table) = format!("value = {}", key.default).parse::<toml::Table>()
            {
                value["default"] = serde_json::to_value(&table["value"]).unwrap_or_default();
            }
            properties.insert(key.name.to_string(), value);
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": is_free});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn form(shape: &Shape, described: &[Described], path: &str, document: Document) -> Value {
    match shape {
        Shape::Text | Shape::Path => json!({"type": "string"}),
        Shape::Address => json!({"type": "string", "pattern": "^https?://"}),
        Shape::Words(words) => json!({"type": "string", "enum": words}),
        // The spelling is freer than a pattern could say.
        Shape::Duration(..) => json!({"type": "string", "pattern": "[0-9]"}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Integer(from, i64::MAX) => json!({"type": "integer", "minimum": from}),
        Shape::Integer(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Shape::Number(from, to) => json!({"type": "number", "minimum": from, "maximum": to}),
        Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Shape::Patterns => json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        Shape::Table => object(described, path, document),
        Shape::Tables => json!({"type": "array", "items": object(described, path, document)}),
    }
}
