//! The source kind `json`: an address that answers with a list in JSON, read by pointers (RFC 6901).

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::{Entry, Memory, Reading, Timestamp};
use crate::plain;
use crate::poller::read::guard::guarded;
use crate::poller::read::{dates, decode, html, json, page, web_address};

/// Pages read in one visit where the list goes on, unless `pages` says otherwise.
const PAGES: i64 = 3;
const PAGES_MAX: i64 = 20;
const TITLE_CHARACTERS_MAX: usize = 1_000;
/// Bytes of all entries of one document.
const ENTRIES_BYTES_MAX: usize = 16 << 20;

/// A list in JSON as configured.
#[derive(Clone, Debug)]
pub struct Json {
    items: String,
    id: Option<Field>,
    title: Option<Field>,
    link: Option<Field>,
    date: Option<Field>,
    summary: Option<Field>,
    content: Option<Field>,
    author: Option<Field>,
    publisher: Option<Field>,
    language: Option<Field>,
    next: Option<String>,
    pages: usize,
    may_be_empty: bool,
}

/// A value of an item: what a pointer leads to, or a text with pointers in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Pointer(String),
    Template(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Pointer(String),
}

/// A pointer as RFC 6901 has it; the slash at the beginning may be missing, and alone it means the whole document.
fn pointer(text: &str) -> String {
    if text == "/" {
        return String::new();
    }
    if text.is_empty() || text.starts_with('/') { text.to_string() } else { format!("/{text}") }
}

impl Field {
    fn parse(text: &str) -> Result<Field, String> {
        if !text.contains('{') {
            return Ok(Field::Pointer(pointer(text)));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or("a brace is not closed")?;
            pieces.push(Piece::Text(before.to_string()));
            pieces.push(Piece::Pointer(pointer(name)));
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_string()));
        Ok(Field::Template(pieces))
    }

    fn value(&self, item: &Value) -> Option<String> {
        let value = match self {
            Field::Pointer(pointer) => text_of(item.pointer(pointer)?)?,
            Field::Template(pieces) => {
                let mut value = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => value.push_str(text),
                        Piece::Pointer(pointer) => value.push_str(&text_of(item.pointer(pointer)?)?),
                    }
                }
                value
            }
        };
        Some(value).filter(|value| !value.trim().is_empty())
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().filter_map(text_of).collect();
            Some(texts.join(", ")).filter(|text| !text.is_empty())
        }
        _ => None,
    }
}

/// Reads the settings: `[source.select]` with `items` and the pointers of the fields; `next`, `pages`, `may_be_empty`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    let may_be_empty = section.boolean("may_be_empty").unwrap_or(false);
    let next = section.text("next").map(|text| pointer(&text));
    let pages = section.integer("pages", 1..=PAGES_MAX).unwrap_or(PAGES) as usize;
    if !section.has("select") {
        section.problem(
            "select",
            "a source of kind \"json\" needs a table [source.select] with at least `items`, the pointer to the list, and `title`",
        );
        return None;
    }
    let mut select = section.section("select")?;
    let items = select.required_text("items");
    let mut field = |key: &str| -> Option<Field> {
        let text = select.text(key)?;
        match Field::parse(&text) {
            Ok(field) => Some(field),
            Err(error) => {
                select.problem(key, format!("`{key}`: {text:?}: {error}"));
                None
            }
        }
    };
    let json = Json {
        items: pointer(&items.clone().unwrap_or_default()),
        id: field("id"),
        title: field("title"),
        link: field("link"),
        date: field("date"),
        summary: field("summary"),
        content: field("content"),
        author: field("author"),
        publisher: field("publisher"),
        language: field("language"),
        next,
        pages,
        may_be_empty,
    };
    if json.title.is_none() && json.summary.is_none() && json.content.is_none() {
        select.problem("title", "the items need at least a `title`, `summary` or `content`");
    }
    select.finish();
    items.map(|_| Arc::new(json) as Arc<dyn Source>)
}

impl Source for Json {
    fn kind(&self) -> &'static str {
        "json"
    }

    fn accept(&self) -> &'static str {
        "application/json, */*;q=0.1"
    }

    fn unread(&self) -> Fault {
        Fault::LayoutChanged
    }

    fn pages_max(&self) -> usize {
        if self.next.is_some() { self.pages } else { 1 }
    }

    fn read(&self, document: &Document<'_>, limits: &ReadLimits, _: &mut Memory) -> Result<Reading, ReadError> {
        let text = decode::text(document.body, document.content_type);
        let value = guarded("the JSON document", || json::parse(&text))?.map_err(|error| {
            let what = if page::is_page(&text) {
                let title = page::title(&text).unwrap_or_default();
                format!("an HTML page titled \"{}\" instead of JSON", plain::line(&title, 80))
            } else {
                format!("no JSON ({error})")
            };
            ReadError(format!("{what}; it begins with \"{}\"", plain::line(text.get(..200).unwrap_or(&text), 60)))
        })?;
        self.read_value(&value, document.url, limits)
    }
}

impl Json {
    fn read_value(&self, value: &Value, url: &Url, limits: &ReadLimits) -> Result<Reading, ReadError> {
        let mut reading = Reading { url: Some(url.to_string()), ..Reading::default() };
        let items = match value.pointer(&self.items).and_then(Value::as_array) {
            Some(items) => items.as_slice(),
            None if self.may_be_empty => &[],
            None => {
                let keys = value.as_object().map_or(String::new(), |object| {
                    let keys: Vec<&str> = object.keys().take(10).map(String::as_str).collect();
                    format!("; its keys are {}", plain::line(&keys.join(", "), 100))
                });
                return Err(ReadError(format!("there is no list at \"{}\" (`items`){keys}", self.items)));
            }
        };
        if items.len() > limits.entries_max {
            let (all, read) = (items.len(), limits.entries_max);
            reading.problems.push(format!("the list has {all} items; only the first {read} were read"));
        }
        let (mut empty, mut bytes) = (0usize, 0usize);
        for item in items.iter().take(limits.entries_max) {
            let entry = self.entry(item, url, limits);
            bytes += entry.title.len() + entry.summary.len() + entry.content.len();
            if bytes > ENTRIES_BYTES_MAX {
                reading.problems.push("the items hold too much; the last ones were not read".into());
                break;
            }
            if entry.title.is_empty() && entry.summary.is_empty() && entry.content.is_empty() {
                empty += 1;
            } else {
                reading.entries.push(entry);
            }
        }
        if empty > 0 {
            reading.problems.push(format!("with neither title nor text: {}", plain::counted(empty, "item")));
        }
        if reading.entries.is_empty() && !self.may_be_empty {
            return Err(ReadError(if empty > 0 {
                format!("none of the {empty} items at \"{}\" has a title or text where they should stand", self.items)
            } else {
                format!("the list at \"{}\" is empty; if it may be, set may_be_empty = true", self.items)
            }));
        }
        let next = self.next.as_ref().and_then(|next| value.pointer(next)?.as_str());
        reading.next_page = next.and_then(|next| web_address(url, next));
        Ok(reading)
    }

    fn entry(&self, item: &Value, url: &Url, limits: &ReadLimits) -> Entry {
        let value = |field: &Option<Field>| field.as_ref().and_then(|field| field.value(item));
        let text = |field: &Option<Field>| {
            let text = value(field).unwrap_or_default();
            if html::looks_like_html(&text) {
                html::plain_text(&text, limits.text_bytes_max)
            } else {
                plain::text(&text, limits.text_bytes_max)
            }
        };
        let name = |field: &Option<Field>| plain::line(&value(field).unwrap_or_default(), 200);
        Entry {
            guid: plain::line(&value(&self.id).unwrap_or_default(), 2_000),
            url: value(&self.link).and_then(|link| web_address(url, &link)),
            title: html::plain_line(&value(&self.title).unwrap_or_default(), TITLE_CHARACTERS_MAX),
            summary: text(&self.summary),
            content: text(&self.content),
            published: value(&self.date).and_then(|date| moment(&date)),
            authors: Some(name(&self.author)).filter(|author| !author.is_empty()).into_iter().collect(),
            publisher: name(&self.publisher),
            language: Some(name(&self.language)).filter(|tag| (2..=12).contains(&tag.len()) && !tag.contains(' ')),
            ..Entry::default()
        }
    }
}

/// A date in words or digits, or a number of seconds or milliseconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    match text.parse::<i64>() {
        Ok(number) if number >= MILLISECONDS_FROM && text.len() <= 13 => Timestamp::from_millisecond(number).ok(),
        _ => dates::timestamp(text).or_else(|| dates::find(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::source::configured;

    fn read(settings: &str, body: &str) -> Result<Reading, ReadError> {
        let url = Url::parse("https://example.org/api/list").unwrap();
        let document = Document { url: &url, content_type: Some("application/json"), body: body.as_bytes() };
        configured(settings, super::settings).unwrap().read(&document, &ReadLimits::default(), &mut Memory::new())
    }

    #[test]
    fn a_list_is_read_by_pointers() {
        let found = read(
            "[select]\nitems = \"/articles\"\ntitle = \"title\"\nlink = \"url\"\ndate = \"seendate\"\npublisher = \"domain\"\n",
            include_str!("../../../tests/data/reading/articles.json"),
        )
        .unwrap();
        let entry = &found.entries[0];
        assert_eq!(entry.title, "Harbour workers' strike ends");
        assert_eq!(entry.url.as_deref(), Some("https://example.net/strike"));
        assert_eq!(entry.published.unwrap().to_string(), "2026-11-20T10:15:00Z");
        assert_eq!(entry.publisher, "example.net");
        assert_eq!((found.entries.len(), found.problems.len()), (2, 1));
    }

    #[test]
    fn fields_may_be_put_together() {
        let found = read(
            "next = \"/links/next\"\n[select]\nitems = \"/\"\nid = \"id\"\ntitle = \"{/type}: {/name}\"\nlink = \"/notice/{id}\"\nsummary = \"/text\"\ndate = \"at\"\n",
            r#"[{"id": 7, "type": "Notice", "name": "Port closed", "text": "<p>From <b>Monday</b>", "at": 1764633600000}]"#,
        )
        .unwrap();
        let entry = &found.entries[0];
        assert_eq!((entry.guid.as_str(), entry.title.as_str()), ("7", "Notice: Port closed"));
        assert_eq!(entry.url.as_deref(), Some("https://example.org/notice/7"));
        assert_eq!((entry.summary.as_str(), entry.published.unwrap().as_second()), ("From Monday", 1_764_633_600));
    }

    #[test]
    fn what_has_changed_is_an_error() {
        let settings = "[select]\nitems = \"/articles\"\ntitle = \"title\"\n";
        for (body, expected) in [
            ("{}", "there is no list at \"/articles\" (`items`); its keys are "),
            ("{\"articles\": []}", "the list at \"/articles\" is empty; if it may be, set may_be_empty = true"),
            ("{\"articles\": [{\"t\": 1}]}", "none of the 1 items at \"/articles\" has a title"),
            ("<html><title>Down</title></html>", "an HTML page titled \"Down\" instead of JSON"),
            ("Please limit requests", "no JSON (expected value at line 1 column 1); it begins with \"Please limit"),
        ] {
            let error = read(settings, body).unwrap_err().0;
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(read(&format!("may_be_empty = true\n{settings}"), "{}").unwrap().entries, []);
        assert_eq!(
            configured("[select]\nitems = \"a\"\nlink = \"{x\"\n", super::settings).unwrap_err(),
            [
                "a.toml:1:1: the items need at least a `title`, `summary` or `content`",
                "a.toml:3:8: `link`: \"{x\": a brace is not closed",
            ]
        );
    }
}
