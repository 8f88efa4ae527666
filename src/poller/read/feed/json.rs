//! JSON Feed 1 and 1.1, read loosely: a value of the wrong type is a value that is missing.

use std::borrow::Cow;

use serde_json::{Map, Value};
use url::Url;

use super::canonical::{Beside, Item};
use super::rewrite::Rewriter;
use super::written::Written;
use super::{FEED_TEXT_BYTES_MAX, LIST_MAX, NAME_CHARACTERS_MAX};
use crate::model::{Enclosure, Reading};
use crate::plain;
use crate::poller::read::{absolute, dates, json};
use crate::poller::source::{ReadError, ReadLimits};

type Object = Map<String, Value>;

pub(super) fn read(text: &str, url: &Url, limits: &ReadLimits) -> Result<Reading, ReadError> {
    let value =
        json::parse(text).map_err(|error| ReadError(format!("not a feed: begins like JSON, but is none ({error})")))?;
    let (Some(feed), Some(items)) = (value.as_object(), value.get("items").and_then(Value::as_array)) else {
        return Err(ReadError("JSON, but no JSON Feed: it has no list of \"items\"".into()));
    };
    let said = words(feed, "version").contains("jsonfeed");
    if !said && !items.is_empty() && !items.iter().any(|item| item.get("id").is_some() && has_text(item)) {
        return Err(ReadError("JSON, but no JSON Feed: \"version\" does not name jsonfeed.org".into()));
    }
    let mut problems = Vec::new();
    if items.len() > limits.entries_max {
        problems.push(format!(
            "the document has {} entries; only the first {} were read",
            items.len(),
            limits.entries_max
        ));
    }
    let mut rewriter = Rewriter::new(limits);
    for item in items.iter().filter_map(Value::as_object).take(limits.entries_max) {
        if let Some(problem) = rewriter.full() {
            problems.push(problem);
            break;
        }
        rewriter.push(entry(item, feed, url, limits.text_bytes_max));
    }
    let head = Item {
        title: Written::plain(words(feed, "title")).shortened(FEED_TEXT_BYTES_MAX),
        url: link(feed, "home_page_url", url),
        summary: Written::html(words(feed, "description")).shortened(FEED_TEXT_BYTES_MAX),
        beside: Beside { language: language(feed), ..Beside::default() },
        ..Item::default()
    };
    let hub = objects(feed, "hubs").find_map(|hub| link(hub, "url", url));
    let mut reading = rewriter.finish(&head, hub.as_deref())?;
    reading.problems.splice(..0, problems);
    Ok(reading)
}

fn has_text(item: &Value) -> bool {
    ["content_html", "content_text", "title", "url", "summary"].iter().any(|key| item.get(*key).is_some())
}

fn entry<'o>(item: &'o Object, feed: &'o Object, base: &Url, bytes_max: usize) -> Item<'o> {
    let content = match words(item, "content_html") {
        html if !html.trim().is_empty() => Written::html(html),
        _ => Written::plain(words(item, "content_text")),
    };
    let mut authors = names(item);
    if authors.is_empty() {
        authors = names(feed);
    }
    let mut enclosures: Vec<Enclosure> = Vec::new();
    for attachment in objects(item, "attachments").take(LIST_MAX) {
        if let Some(url) = link(attachment, "url", base) {
            let media_type = Some(line(attachment, "mime_type", 100)).filter(|kind| !kind.is_empty());
            let length = attachment.get("size_in_bytes").and_then(Value::as_u64);
            enclosures.push(Enclosure { url, media_type, length });
        }
    }
    Item {
        guid: words(item, "id").into_owned(),
        url: link(item, "url", base).or_else(|| link(item, "external_url", base)),
        title: Written::plain(words(item, "title")).shortened(bytes_max),
        summary: Written::plain(words(item, "summary")).shortened(bytes_max),
        content: content.shortened(bytes_max),
        published: dates::timestamp(&words(item, "date_published")),
        updated: dates::timestamp(&words(item, "date_modified")),
        authors,
        categories: item
            .get("tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|tag| plain::line(tag, NAME_CHARACTERS_MAX))
            .filter(|tag| !tag.is_empty())
            .take(LIST_MAX)
            .collect(),
        enclosures,
        beside: Beside { publisher: String::new(), language: language(item) },
    }
}

fn language(object: &Object) -> Option<String> {
    Some(line(object, "language", 40)).filter(|language| !language.is_empty())
}

/// Names of `authors` (1.1) and `author` (1.0, and found in the wild as a plain text).
fn names(object: &Object) -> Vec<String> {
    let list = object.get("authors").and_then(Value::as_array).into_iter().flatten().chain(object.get("author"));
    let mut names: Vec<String> = Vec::new();
    for author in list.take(LIST_MAX) {
        let name = match author {
            Value::String(name) => plain::line(name, NAME_CHARACTERS_MAX),
            Value::Object(author) => ["name", "url"]
                .into_iter()
                .map(|key| line(author, key, NAME_CHARACTERS_MAX))
                .find(|name| !name.is_empty())
                .unwrap_or_default(),
            _ => continue,
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn objects<'o>(object: &'o Object, key: &str) -> impl Iterator<Item = &'o Object> + use<'o> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// A text, or a number as a text.
fn words<'o>(object: &'o Object, key: &str) -> Cow<'o, str> {
    match object.get(key) {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(""),
    }
}

fn line(object: &Object, key: &str, characters_max: usize) -> String {
    plain::line(&words(object, key), characters_max)
}

fn link(object: &Object, key: &str, base: &Url) -> Option<String> {
    absolute(base, &words(object, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_does_not_cost_the_feed() {
        let url = Url::parse("https://example.org/").expect("an address");
        let text = r#"{"version":"https://jsonfeed.org/version/1","items":[{"id":"1","title":"a\ud83d b\\ud83d \ud83d\ude00"}]}"#;
        let reading = read(text, &url, &ReadLimits::default()).expect("a feed");
        assert_eq!(reading.entries[0].title, "a\u{fffd} b\\ud83d \u{1f600}");
    }

    #[test]
    fn values_of_the_wrong_type_are_missing_values() {
        let url = Url::parse("https://example.org/").expect("an address");
        let text = r#"{"version":"https://jsonfeed.org/version/1","title":["x"],"items":[{"id":7,"title":{},"tags":"a","authors":[3,{"name":"A"}]},5]}"#;
        let reading = read(text, &url, &ReadLimits::default()).expect("a feed");
        assert_eq!((reading.title.as_str(), reading.entries.len()), ("", 1));
        assert_eq!(
            (reading.entries[0].guid.as_str(), reading.entries[0].authors.as_slice()),
            ("7", &["A".to_string()][..])
        );
    }
}
