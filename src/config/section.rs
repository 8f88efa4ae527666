//! Reading TOML tables so that every problem is found at once and each says where it is.
//!
//! A [`Section`] is one table. Ask it for keys; whatever is wrong with one is noted with file, line and column and the
//! answer is `None`, so reading goes on. [`Section::finish`] notes the keys that nobody asked for, with the nearest
//! valid one. Pure: text in, values and problems out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::asked::{AskedTable, Shape};
pub use super::duration::{parse_duration, show_duration};
pub use super::problem::{File, Place, Problem, Problems};
use crate::plain;

/// Memory of one compiled regular expression.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl File {
    /// Parses the text. Syntax errors are noted; what could be read is handed to `read` as the outermost section.
    pub fn read<T>(&self, problems: &Problems, read: impl FnOnce(Section<'_>) -> T) -> T {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            let place = error.span().map(|span| self.place(span.start));
            let mut message = error.message().replace('\n', ", ");
            if message == "duplicate key"
                && let Some(key) = error.span().and_then(|span| self.text.get(span))
            {
                message = format!("`{key}` stands twice in this table");
            }
            problems.add(place, message);
        }
        let span = table.span();
        read(Section::new(self, problems, "the file", span, table.get_ref()))
    }
}

/// One table of a file.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a File,
    problems: &'a Problems,
    name: String,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    asked: BTreeMap<String, ()>,
}

impl<'a> Section<'a> {
    fn new(
        file: &'a File,
        problems: &'a Problems,
        name: impl Into<String>,
        span: Range<usize>,
        table: &'a DeTable<'a>,
    ) -> Section<'a> {
        Section { file, problems, name: name.into(), span, table, asked: BTreeMap::new() }
    }

    /// Where the table stands.
    pub fn place(&self) -> Place {
        self.file.place(self.span.start)
    }

    /// Where the value of `key` stands; the table itself when it has no such key.
    pub fn place_of(&self, key: &str) -> Place {
        let at = self.table.get(key).map_or(self.span.start, |value| value.span().start);
        self.file.place(at)
    }

    /// Notes a problem with the value of `key`.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.problems.add(Some(self.place_of(key)), message);
    }

    /// Notes a problem in a place of its own.
    pub fn problem_at(&self, place: Place, message: impl Into<String>) {
        self.problems.add(Some(place), message);
    }

    /// Where the element `index` of the list `key` stands; the key's value when it is no such list.
    pub fn place_in(&self, key: &str, index: usize) -> Place {
        let element = match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => list.get(index),
            _ => None,
        };
        element.map_or_else(|| self.place_of(key), |element| self.file.place(element.span().start))
    }

    /// Notes a problem with the element `index` of the list `key`.
    pub fn problem_in(&self, key: &str, index: usize, message: impl Into<String>) {
        self.problems.add(Some(self.place_in(key, index)), message);
    }

    /// The table has this key.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of this key is a whole number.
    pub fn is_number(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Integer(_)))
    }

    /// The keys of the table, in order: for a table whose keys are names that people choose.
    pub fn keys(&self) -> Vec<String> {
        self.note(|table| table.is_free = true);
        self.table.iter().map(|(key, _)| key.get_ref().to_string()).collect()
    }

    fn ask(&mut self, key: &str, shape: impl FnOnce() -> Shape) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.insert(key.to_string(), ());
        self.note(|table| table.keys.entry(key.to_string()).or_default().add(shape()));
        self.table.get(key)
    }

    /// Notes something of this table, where somebody wants to know what is asked for.
    fn note(&self, note: impl FnOnce(&mut AskedTable)) {
        if let Some(asked) = &self.problems.asked {
            note(asked.borrow_mut().entry(self.own_path()).or_default());
        }
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Spanned<DeValue<'_>>) {
        let found = match found.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(key, format!("`{key}` must be {wanted}, but it is {found}"));
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let value = self.ask(key, || Shape::Text)?;
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type(key, "a text in quotes", value);
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub fn required_text(&mut self, key: &str) -> Option<String> {
        self.ask(key, || Shape::Text);
        self.note(|table| table.keys.entry(key.to_string()).or_default().required = true);
        if !self.has(key) {
            self.problems.add(Some(self.place()), format!("{} needs `{key}`", self.name));
            return None;
        }
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.problem(key, format!("`{key}` must not be empty"));
            return None;
        }
        Some(text)
    }

    /// true or false.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.ask(key, || Shape::Boolean)?;
        let answer = value.get_ref().as_bool();
        if answer.is_none() {
            self.wrong_type(key, "true or false", value);
        }
        answer
    }

    /// A whole number within the range.
    pub fn integer(&mut self, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.ask(key, || Shape::Integer(*range.start(), *range.end()))?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, "a whole number", value);
            return None;
        };
        match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.problem(key, format!("`{key}` must be between {} and {}", range.start(), range.end()));
                None
            }
        }
    }

    /// A number within the range.
    pub fn number(&mut self, key: &str, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
        let value = self.ask(key, || Shape::Number(*range.start(), *range.end()))?;
        let text = match value.get_ref() {
            DeValue::Float(number) => number.as_str().replace('_', ""),
            DeValue::Integer(number) => number.as_str().replace('_', ""),
            _ => {
                self.wrong_type(key, "a number", value);
                return None;
            }
        };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.problem(key, format!("`{key}` must be between {} and {}", range.start(), range.end()));
                None
            }
        }
    }

    /// A length of time with its unit ("30m", "6h", "2 days") within the range.
    pub fn duration(&mut self, key: &str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.ask(key, || Shape::Duration(*range.start(), *range.end()))?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, "a length of time in quotes with its unit, such as \"30m\"", value);
            return None;
        };
        let Some(length) = parse_duration(text) else {
            self.problem(
                key,
                format!("`{key}`: {text:?} is not a length of time; write a number and a unit, such as \"30m\", \"6h\" or \"2d\""),
            );
            return None;
        };
        if !range.contains(&length) {
            let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
            self.problem(key, format!("`{key}` must be between {low} and {high}"));
            return None;
        }
        Some(length)
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.ask(key, || Shape::Texts)?;
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong_type(key, "a list of texts", value);
            return None;
        };
        let mut texts = Vec::new();
        for element in list.iter() {
            match element.get_ref() {
                DeValue::String(text) => texts.push(text.to_string()),
                _ => {
                    let place = self.file.place(element.span().start);
                    self.problems.add(Some(place), format!("`{key}` must be a list of texts"));
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// A list of regular expressions; a text alone is a list of one. What is none is reported and left out.
    pub fn patterns(&mut self, key: &str) -> Vec<Regex> {
        self.ask(key, || Shape::Patterns);
        let texts = self.text_or_texts(key).unwrap_or_default();
        let mut patterns = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let error = plain::line(&error.to_string(), 200);
                    self.problem_in(key, index, format!("`{key}`: {text:?} is no regular expression: {error}"));
                }
            }
        }
        patterns
    }

    /// A text, or a list of texts.
    pub fn text_or_texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.ask(key, || Shape::Text);
        match self.ask(key, || Shape::Texts)?.get_ref() {
            DeValue::String(_) => self.text(key).map(|text| vec![text]),
            _ => self.texts(key),
        }
    }

    /// Lets unknown keys pass: for a table whose kind is unknown, where nobody can tell which keys are right.
    pub fn forgive_unknown(&mut self) {
        for (key, _) in self.table.iter() {
            self.asked.insert(key.get_ref().to_string(), ());
        }
    }

    /// One of the given words.
    pub fn one_of<'w>(&mut self, key: &str, words: &[&'w str]) -> Option<&'w str> {
        self.ask(key, || Shape::Words(words.iter().map(|word| word.to_string()).collect()));
        let text = self.text(key)?;
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let advice = nearest(&text, words.iter().copied())
                .map_or(format!("it must be one of: {}", words.join(", ")), |word| format!("did you mean \"{word}\"?"));
            self.problem(key, format!("`{key}` cannot be {text:?}; {advice}"));
        }
        found.copied()
    }

    /// An http or https address without a user name or password, which would show in logs and messages.
    pub fn address(&mut self, key: &str) -> Option<Url> {
        self.ask(key, || Shape::Address);
        let text = self.text(key)?;
        let wrong = match Url::parse(&text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                format!("`{key}` must be an http or https address, not {}:", url.scheme())
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                format!("`{key}` must not hold a user name or password: it shows in logs and messages")
            }
            Ok(url) => return Some(url),
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                format!(
                    "`{key}`: {text:?} is not an address; write it in full, such as \"https://www.example.org/feed\""
                )
            }
            Err(error) => format!("`{key}` is not an address: {error}"),
        };
        self.problem(key, wrong);
        None
    }

    /// An http or https address that must be there.
    pub fn required_address(&mut self, key: &str) -> Option<Url> {
        self.required_text(key)?;
        self.address(key)
    }

    /// The path of a file; one that is not absolute starts at the folder of the configuration file.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.ask(key, || Shape::Path);
        let text = self.text(key)?;
        if text.is_empty() {
            self.problem(key, format!("`{key}` must not be empty"));
            return None;
        }
        let folder = Path::new(&*self.file.name).parent().unwrap_or(Path::new(""));
        Some(folder.join(text))
    }

    /// A table within this one.
    pub fn section(&mut self, key: &str) -> Option<Section<'a>> {
        let value = self.ask(key, || Shape::Table)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                let name = format!("[{}]", self.path_of(key));
                Some(Section::new(self.file, self.problems, name, value.span(), table))
            }
            _ => {
                self.wrong_type(key, &format!("a table [{key}]"), value);
                None
            }
        }
    }

    /// The keys that lead to this table: "route.digest"; empty for the file itself.
    fn own_path(&self) -> String {
        let path = self.name.trim_matches(['[', ']']);
        if path == self.name { String::new() } else { path.to_string() }
    }

    /// A table's key with those of the tables around it: "route.digest".
    fn path_of(&self, key: &str) -> String {
        let path = self.own_path();
        if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
    }

    /// A list of tables within this one, in order; empty when there is none.
    pub fn sections(&mut self, key: &str) -> Vec<Section<'a>> {
        let Some(value) = self.ask(key, || Shape::Tables) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong_type(key, &format!("a list of tables, each under [[{key}]]"), value);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in list.iter() {
            match element.get_ref() {
                DeValue::Table(table) => {
                    let name = format!("[[{}]]", self.path_of(key));
                    sections.push(Section::new(self.file, self.problems, name, element.span(), table));
                }
                _ => self.wrong_type(key, &format!("a list of tables, each under [[{key}]]"), element),
            }
        }
        sections
    }

    /// A table within this one, or a list of them.
    pub fn section_or_sections(&mut self, key: &str) -> Vec<Section<'a>> {
        self.ask(key, || Shape::Table);
        self.ask(key, || Shape::Tables);
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Array(_)) => self.sections(key),
            _ => self.section(key).into_iter().collect(),
        }
    }

    /// Notes every key that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref();
            if self.asked.contains_key(name.as_ref()) {
                continue;
            }
            let advice = match nearest(name, self.asked.keys().map(String::as_str)) {
                Some(word) => format!("did you mean `{word}`?"),
                None => {
                    let known: Vec<&str> = self.asked.keys().map(String::as_str).collect();
                    format!("known keys: {}", known.join(", "))
                }
            };
            let place = self.file.place(key.span().start);
            self.problems.add(Some(place), format!("unknown key `{name}` in {}; {advice}", self.name));
        }
    }
}

/// The nearest of the known words, if one is near enough to be a slip of the pen.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const NEAR_ENOUGH: f64 = 0.8;
    known
        .map(|candidate| {
            // In short words two letters that changed places leave little of the similarity.
            let one_slip = word.len() > 2 && strsim::damerau_levenshtein(word, candidate) == 1;
            let similarity = strsim::jaro_winkler(word, candidate);
            (if one_slip { similarity.max(NEAR_ENOUGH) } else { similarity }, candidate)
        })
        .filter(|(similarity, _)| *similarity >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, read: impl FnOnce(&mut Section<'_>), expected: &[&str]) {
        let problems = Problems::default();
        File::new("a.toml", text.to_string()).read(&problems, |mut section| {
            read(&mut section);
            section.finish();
        });
        let found: Vec<String> = problems.into_sorted().iter().map(Problem::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        check(
            "intervall = \"5m\"\ntimeout = \"fast\"\nname = 3\n",
            |s| {
                s.duration("interval", Duration::ZERO..=Duration::MAX);
                s.duration("timeout", Duration::ZERO..=Duration::MAX);
                s.required_text("name");
                s.required_text("url");
            },
            &[
                "a.toml:1:1: the file needs `url`",
                "a.toml:1:1: unknown key `intervall` in the file; did you mean `interval`?",
                "a.toml:2:11: `timeout`: \"fast\" is not a length of time; write a number and a unit, such as \"30m\", \"6h\" or \"2d\"",
                "a.toml:3:8: `name` must be a text in quotes, but it is a whole number",
            ],
        );
    }
}
