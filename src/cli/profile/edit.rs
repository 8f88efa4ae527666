//! A profile's file as lines: where its entries stand, and changes of single entries that leave everything else as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::matcher::profile::Term;
use crate::plain;

/// Lines shown around a change.
const AROUND: usize = 2;

/// Where each text of a file stands: line and column, from 1. Of equal texts the first.
pub(super) fn places(text: &str) -> BTreeMap<String, (usize, usize)> {
    fn walk(value: &Spanned<DeValue<'_>>, text: &str, into: &mut BTreeMap<String, (usize, usize)>) {
        match value.get_ref() {
            DeValue::String(word) => {
                into.entry(word.to_string()).or_insert_with(|| place(text, value.span().start));
            }
            DeValue::Array(list) => list.iter().for_each(|value| walk(value, text, into)),
            DeValue::Table(table) => table.iter().for_each(|(_, value)| walk(value, text, into)),
            _ => {}
        }
    }
    let (table, _) = DeTable::parse_recoverable(text);
    let mut found = BTreeMap::new();
    for (_, value) in table.get_ref().iter() {
        walk(value, text, &mut found);
    }
    found
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// A file that is being changed.
#[derive(Debug)]
pub(super) struct Edit {
    text: String,
    /// By line: what stands there instead; `None`: nothing.
    replaced: BTreeMap<usize, Option<String>>,
    /// By line: what comes before it.
    inserted: BTreeMap<usize, Vec<String>>,
    lines: usize,
}

impl Edit {
    /// Nothing changed yet.
    pub(super) fn new(text: String) -> Edit {
        let lines = text.lines().count();
        Edit { text, replaced: BTreeMap::new(), inserted: BTreeMap::new(), lines }
    }

    /// Nothing was changed.
    pub(super) fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.inserted.is_empty()
    }

    /// Gives the entry of this text another weight; 0 takes it out where it has a line of its own. `lists`: the names of the
    /// lists it may stand in.
    pub(super) fn reweigh(&mut self, lists: &[&str], wanted: &str, weight: f64) {
        let text = std::mem::take(&mut self.text);
        let (table, _) = DeTable::parse_recoverable(&text);
        let entries = lists.iter().filter_map(|name| match table.get_ref().get(*name).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => Some(list),
            _ => None,
        });
        for entry in entries.flat_map(|list| list.iter()) {
            let DeValue::Table(fields) = entry.get_ref() else { continue };
            let is_wanted = fields.get("text").is_some_and(|text| text.get_ref().as_str() == Some(wanted));
            let Some(value) = fields.get("weight").filter(|_| is_wanted) else { continue };
            if weight == 0.0
                && let Some(line) = own_line(&text, entry.span())
            {
                self.replaced.insert(line, None);
            } else {
                self.replace(&text, value.span(), &weight.to_string());
            }
            break;
        }
        self.text = text;
    }

    /// Raises `version` by one; whoever changes a profile does.
    pub(super) fn raise_version(&mut self) {
        let text = std::mem::take(&mut self.text);
        let (table, _) = DeTable::parse_recoverable(&text);
        if let Some(value) = table.get_ref().get("version")
            && let Some(version) = text.get(value.span()).and_then(|number| number.parse::<i64>().ok())
        {
            self.replace(&text, value.span(), &(version + 1).to_string());
        }
        self.text = text;
    }

    /// Adds terms: at the end of the list `terms` when its closing bracket has a line of its own, else one by one at the end
    /// of the file.
    pub(super) fn add_terms(&mut self, terms: &[&Term]) {
        if terms.is_empty() {
            return;
        }
        let close = {
            let (table, _) = DeTable::parse_recoverable(&self.text);
            let list = table.get_ref().get("terms").filter(|list| matches!(list.get_ref(), DeValue::Array(_)));
            list.and_then(|list| closing_line(&self.text, list.span()))
        };
        let fields = |term: &Term| {
            let text = toml::Value::String(plain::line(&term.text, 200));
            let rarity = term.rarity.map(|rarity| format!("{rarity:.2}"));
            (text, format!("{:.3}", term.weight), rarity, format!("{:.3}", term.strength))
        };
        let (at, lines): (usize, Vec<String>) = match close {
            Some(line) => {
                let one = |term: &&Term| {
                    let (text, weight, rarity, strength) = fields(term);
                    let rarity = rarity.map_or(String::new(), |rarity| format!(", rarity = {rarity}"));
                    format!("  {{ text = {text}, weight = {weight}{rarity}, strength = {strength} }},")
                };
                (line, terms.iter().map(one).collect())
            }
            None => {
                let mut lines = Vec::new();
                for term in terms {
                    let (text, weight, rarity, strength) = fields(term);
                    lines.extend([
                        String::new(),
                        "[[term]]".into(),
                        format!("text = {text}"),
                        format!("weight = {weight}"),
                    ]);
                    lines.extend(rarity.map(|rarity| format!("rarity = {rarity}")));
                    lines.push(format!("strength = {strength}"));
                }
                (self.lines, lines)
            }
        };
        self.inserted.entry(at).or_default().extend(lines);
    }

    fn replace(&mut self, text: &str, span: Range<usize>, with: &str) {
        let number = text[..span.start].matches('\n').count();
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let Some(line) = text.lines().nth(number) else { return };
        let (from, to) = (span.start - start, span.end - start);
        if to <= line.len() && !self.replaced.contains_key(&number) {
            self.replaced.insert(number, Some(format!("{}{with}{}", &line[..from], &line[to..])));
        }
    }

    /// The new text.
    pub(super) fn finished(&self) -> String {
        let mut out = String::with_capacity(self.text.len() + 1_000);
        let insert = |out: &mut String, number: usize| {
            for line in self.inserted.get(&number).into_iter().flatten() {
                out.push_str(line);
                out.push('\n');
            }
        };
        for (number, line) in self.text.lines().enumerate() {
            insert(&mut out, number);
            match self.replaced.get(&number) {
                None => out.push_str(line),
                Some(Some(other)) => out.push_str(other),
                Some(None) => continue,
            }
            out.push('\n');
        }
        insert(&mut out, self.lines);
        out
    }

    /// The changes as a unified diff, `patch` takes it.
    pub(super) fn diff(&self, name: &str) -> String {
        let old: Vec<&str> = self.text.lines().collect();
        let mut changed: Vec<usize> = self.replaced.keys().chain(self.inserted.keys()).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        let mut out = format!("--- {name}\n+++ {name}\n");
        let mut at = 0;
        // How many lines the new file is ahead of the old one.
        let mut ahead = 0i64;
        while at < changed.len() {
            let from = changed[at].saturating_sub(AROUND);
            let mut last = changed[at];
            while at < changed.len() && changed[at] <= last + 2 * AROUND + 1 {
                last = changed[at];
                at += 1;
            }
            let to = (last + AROUND + 1).min(old.len());
            let (mut body, mut added, mut gone) = (String::new(), 0, 0);
            for number in from..=to {
                if number < to || number == old.len() {
                    for line in self.inserted.get(&number).into_iter().flatten() {
                        let _ = writeln!(body, "+{line}");
                        added += 1;
                    }
                }
                let Some(line) = old.get(number).filter(|_| number < to) else { continue };
                match self.replaced.get(&number) {
                    None => _ = writeln!(body, " {line}"),
                    Some(other) => {
                        let _ = writeln!(body, "-{line}");
                        gone += 1;
                        if let Some(other) = other {
                            let _ = writeln!(body, "+{other}");
                            added += 1;
                        }
                    }
                }
            }
            let (count, new_from) = (to - from, from as i64 + 1 + ahead);
            let _ = writeln!(out, "@@ -{},{count} +{new_from},{} @@", from + 1, count + added - gone);
            out.push_str(&body);
            ahead += added as i64 - gone as i64;
        }
        out
    }
}

/// The line of an entry that has one of its own.
fn own_line(text: &str, span: Range<usize>) -> Option<usize> {
    let number = text[..span.start].matches('\n').count();
    let line = text.lines().nth(number)?.trim();
    let entry = text.get(span)?;
    let alone = line.strip_suffix(',').unwrap_or(line) == entry.trim();
    (alone && entry.starts_with('{') && !entry.contains('\n')).then_some(number)
}

/// The line of a list's closing bracket, when it stands alone there and the entry before ends with a comma.
fn closing_line(text: &str, span: Range<usize>) -> Option<usize> {
    let list = text.get(span.clone())?;
    let inner = list.strip_suffix(']')?;
    let line = text[..span.end - 1].matches('\n').count();
    let alone = text.lines().nth(line)?.trim() == "]";
    let before = inner.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    (alone && (before.ends_with(',') || before == "[")).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::frequency::Key;

    const FILE: &str = "name = \"q\"\nversion = 3\n# mine\nterms = [\n  { text = \"quokka\", weight = 40.0 },\n  \
                        { text = \"festival\", weight = 2.5, seeds = 1 },\n  { text = \"harbour\", weight = 8 },\n]\n\n\
                        [[phrase]]\ntext = \"Rottnest\"\nweight = 0.5\n";

    #[test]
    fn entries_change_and_all_else_stays() {
        let term = Term {
            text: "ferry".into(),
            key: Key::Word(1),
            hashes: [1; 4],
            weight: 3.25,
            rarity: Some(7.0),
            strength: 1.5,
            seeds: 0,
        };
        let mut edit = Edit::new(FILE.to_string());
        assert!(edit.is_empty());
        edit.reweigh(&["terms", "term"], "festival", 0.0);
        edit.reweigh(&["terms", "term"], "harbour", 2.0);
        edit.reweigh(&["phrases", "phrase"], "Rottnest", 0.25);
        edit.add_terms(&[&term]);
        edit.raise_version();
        let new = edit.finished();
        let expected = FILE
            .replace("  { text = \"festival\", weight = 2.5, seeds = 1 },\n", "")
            .replace("weight = 8 }", "weight = 2 }")
            .replace("weight = 0.5", "weight = 0.25")
            .replace("version = 3", "version = 4")
            .replace("\n]\n", "\n  { text = \"ferry\", weight = 3.250, rarity = 7.00, strength = 1.500 },\n]\n");
        assert_eq!(new, expected);
        let diff = edit.diff("q.toml");
        for line in
            ["-version = 3", "+version = 4", "-  { text = \"festival\", weight = 2.5, seeds = 1 },", "-weight = 0.5"]
        {
            assert!(diff.lines().any(|shown| shown == line), "{line} in {diff}");
        }
        assert!(diff.starts_with("--- q.toml\n+++ q.toml\n@@ -1,12 +1,12 @@\n"), "{diff}");
        assert_eq!(places(FILE)["Rottnest"], (11, 8));
    }

    #[test]
    fn terms_come_to_the_end_of_a_file_without_a_list() {
        let term = Term {
            text: "ferry".into(),
            key: Key::Word(1),
            hashes: [1; 4],
            weight: 3.0,
            rarity: None,
            strength: 1.0,
            seeds: 0,
        };
        let mut edit = Edit::new("name = \"q\"\n[[phrase]]\ntext = \"x\"\nweight = 1\n".to_string());
        edit.add_terms(&[&term]);
        assert!(edit.finished().ends_with("\n[[term]]\ntext = \"ferry\"\nweight = 3.000\nstrength = 1.000\n"));
    }
}
