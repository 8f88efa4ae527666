//! The reference of the configuration says what the program reads, no more and no less; what is printed from it is what is shipped.
//!
//! `NEWSWATCH_BLESS=1 cargo test --test reference` writes the printed files; read the difference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use newswatch::config::Config;
use newswatch::config::reference::Document;
use support::{Folder, manifest};
use toml::{Table, Value};

/// What is shipped: file, arguments that print it.
const PRINTED: &[(&str, &[&str])] = &[
    ("docs/configuration.md", &["config", "reference"]),
    ("config/newswatch.schema.json", &["config", "schema", "settings"]),
    ("config/profile.schema.json", &["config", "schema", "profile"]),
    ("config/aliases.schema.json", &["config", "schema", "aliases"]),
];

#[test]
fn what_is_shipped_is_what_is_printed() {
    for (file, arguments) in PRINTED {
        let folder = Folder::new("");
        let printed = folder.run(arguments).ok().out;
        if std::env::var_os("NEWSWATCH_BLESS").is_some() {
            std::fs::create_dir_all(manifest(file).parent().unwrap()).unwrap();
            std::fs::write(manifest(file), &printed).unwrap();
        }
        let shipped = std::fs::read_to_string(manifest(file)).unwrap_or_default();
        assert!(shipped == printed, "{file} is not what `newswatch {}` prints", arguments.join(" "));
    }
}

#[test]
fn every_key_that_is_read_is_described_and_every_described_one_is_read() {
    for document in Document::ALL {
        let wrong = document.drift();
        assert!(wrong.is_empty(), "{document:?}: mend src/config/reference/:\n{}", wrong.join("\n"));
    }
}

#[test]
fn every_key_of_the_settings_stands_in_the_shipped_file() {
    let text = std::fs::read_to_string(manifest("config/newswatch.toml")).unwrap();
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_lowercase() && c != '_').collect();
    let mut missing = Vec::new();
    // Sources stand in files of their own.
    for table in Document::Settings.tables().iter().filter(|table| !table.path.starts_with("source")) {
        missing.extend(table.keys.iter().filter(|key| !words.contains(&key.name)).map(|key| (table.path, key.name)));
    }
    assert!(missing.is_empty(), "config/newswatch.toml does not name {missing:?}");
}

/// The examples of the settings as one file, those of profiles and alias packs as a file each.
fn examples() -> Folder {
    let folder = Folder::new("");
    let folder_path = folder.path().display().to_string();
    for name in ["templates", "feeds", "Mail"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let shipped = std::fs::read_to_string(manifest("src/notifier/templates/digest.txt")).unwrap();
    folder.write("templates/digest.txt", &shipped).write("on-news", "").write("msmtp", "");
    let mut settings = String::new();
    for (document, name) in
        [(Document::Settings, ""), (Document::Profile, "profiles.d"), (Document::Aliases, "aliases.d")]
    {
        for (number, table) in document.tables().iter().filter(|table| !table.example.is_empty()).enumerate() {
            // What the examples name must be there.
            let example = table.example.replace("/usr/local/bin/on-news", "/bin/sh");
            let example = example.replace("/usr/bin/msmtp", &format!("{folder_path}/msmtp"));
            match name {
                "" => settings += &example,
                name => _ = folder.write(&format!("{name}/{number}.toml"), &example),
            }
        }
    }
    folder.write("newswatch.toml", &settings);
    folder
}

#[test]
fn every_section_has_an_example_that_is_valid() {
    let folder = examples();
    folder.run(&["check"]).ok();
    let settings: Table = folder.read("newswatch.toml").parse().unwrap();
    let profile: Table = folder.read("profiles.d/0.toml").parse().unwrap();
    for (document, written) in [(Document::Settings, settings), (Document::Profile, profile)] {
        for table in document.tables().iter().filter(|table| !table.path.is_empty()) {
            assert!(
                !find(&written, table.path, table.kind).is_empty(),
                "no example shows [{}] {}",
                table.path,
                table.kind
            );
        }
    }
}

/// The tables at a path, of sources and channels of this kind.
fn find<'t>(table: &'t Table, path: &str, kind: &str) -> Vec<&'t Table> {
    let (name, rest) = path.split_once('.').map_or((path, ""), |(name, rest)| (name, rest));
    let found: Vec<&Table> = match table.get(name).or_else(|| table.get(&format!("{name}s"))) {
        Some(Value::Table(table)) => vec![table],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_table).collect(),
        _ => Vec::new(),
    };
    let is_of_kind = |table: &&&Table| {
        let own = table.get("kind").and_then(Value::as_str).unwrap_or("feed");
        kind.is_empty() || !["source", "channel"].contains(&name) || own == kind
    };
    let found = found.iter().filter(is_of_kind).copied();
    if rest.is_empty() { found.collect() } else { found.flat_map(|table| find(table, rest, kind)).collect() }
}

#[test]
fn a_schema_knows_every_key_and_no_other() {
    let folder = examples();
    for (document, name) in [
        (Document::Settings, "newswatch.toml"),
        (Document::Profile, "profiles.d/0.toml"),
        (Document::Aliases, "aliases.d/0.toml"),
    ] {
        let schema = document.schema();
        let written: Value = Value::Table(folder.read(name).parse().unwrap());
        let mut wrong = Vec::new();
        check(&schema, &serde_json::to_value(written).unwrap(), name, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
        let misspelt = serde_json::json!({"nmae": "x"});
        check(&schema, &misspelt, "", &mut wrong);
        assert!(!wrong.is_empty());
    }
}

/// The part of JSON Schema that the schemas use.
fn check(schema: &serde_json::Value, value: &serde_json::Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(forms) = schema["anyOf"].as_array() {
        let fits = forms.iter().any(|form| {
            let mut problems = Vec::new();
            check(form, value, at, &mut problems);
            problems.is_empty()
        });
        if !fits {
            wrong.push(format!("{at}: {value} has none of the forms {forms:?}"));
        }
    }
    let is_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    let is_word = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !is_type || !is_word {
        wrong.push(format!("{at}: {value} is not {schema}"));
    }
    for (number, element) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], element, &format!("{at}[{number}]"), wrong);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            wrong.push(format!("{at} lacks {required}"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(known) => check(known, inner, &format!("{at}.{key}"), wrong),
            None if schema["additionalProperties"] == false => wrong.push(format!("{at}.{key} is not known")),
            None => {}
        }
    }
}

#[test]
fn a_default_that_is_shown_is_the_default() {
    let folder = examples();
    let load = |text: &str, file: &str| {
        folder.write(file, text);
        let config = Config::load(Some(folder.path())).map_err(|problems| format!("{problems:?}"))?;
        let shown = format!("{config:?}");
        // Where a thing stands is no difference.
        Ok::<String, String>(regex::Regex::new("Place \\{[^}]*\\}").unwrap().replace_all(&shown, "").into_owned())
    };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (document, file) in [(Document::Settings, "newswatch.toml"), (Document::Profile, "profiles.d/0.toml")] {
        let text = folder.read(file);
        for table in document.tables() {
            for key in table.keys.iter().filter(|key| !key.default.is_empty() && !key.default.starts_with('(')) {
                let default = format!("v = {}", key.default).parse::<Table>().unwrap()["v"].clone();
                let mut without: Table = text.parse().unwrap();
                let Some(own) = at(&mut without, table.path, table.kind) else { continue };
                own.remove(key.name);
                // They are tried with examples at each load.
                without.remove("templates");
                let mut with = without.clone();
                at(&mut with, table.path, table.kind).unwrap().insert(key.name.to_string(), default);
                let both = [&without, &with].map(|table| load(&table.to_string(), file));
                if both[0] != both[1] {
                    wrong.push(format!("[{}] {} = {}: {:.300?}", table.path, key.name, key.default, both[1]));
                }
                tried += 1;
            }
        }
        folder.write(file, &text);
    }
    assert!(wrong.is_empty() && tried > 50, "{tried} tried\n{}", wrong.join("\n"));
}

/// The first table at a path, of a source or channel of this kind.
fn at<'t>(table: &'t mut Table, path: &str, kind: &str) -> Option<&'t mut Table> {
    if path.is_empty() {
        return Some(table);
    }
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = if table.contains_key(name) { name.to_string() } else { format!("{name}s") };
    match table.get_mut(&name)? {
        Value::Table(table) => at(table, rest, kind),
        Value::Array(list) => list.iter_mut().filter_map(Value::as_table_mut).find_map(|table| {
            let own = table.get("kind").and_then(Value::as_str).unwrap_or("feed");
            let is_of_kind = kind.is_empty() || !["source", "channel"].contains(&&*name) || own == kind;
            if !is_of_kind {
                return None;
            }
            at(table, rest, kind)
        }),
        _ => None,
    }
}
