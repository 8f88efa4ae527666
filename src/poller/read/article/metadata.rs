//! What a page says of itself: in `<meta>` elements, in JSON-LD, in microdata.

use jiff::Timestamp;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

use crate::plain;
use crate::poller::read::{dates, html};

/// Scripts with JSON-LD that are looked at, and how long one is at most.
const SCRIPTS_MAX: usize = 20;
const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// Objects within them.
const OBJECTS_MAX: usize = 500;
/// Names of authors.
const AUTHORS_MAX: usize = 20;
const NAME_CHARACTERS_MAX: usize = 200;
/// No article on the web is older.
const YEAR_MIN: i16 = 1990;

/// What a page says of itself, as far as it says it.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) title: Option<String>,
    pub(super) authors: Vec<String>,
    pub(super) published: Option<Timestamp>,
    pub(super) language: Option<String>,
    /// As written: it may be relative.
    pub(super) url: Option<String>,
    /// Summaries for other sites to show.
    pub(super) descriptions: Vec<String>,
    /// The text as the publisher gives it to search engines.
    pub(super) body: Option<String>,
    /// Whoever reads it here pays or logs in.
    pub(super) is_locked: bool,
}

/// Reads them.
pub(super) fn metadata(tree: &Html) -> Metadata {
    let mut found = Metadata::default();
    let mut dates = Vec::new();
    json_ld(tree, &mut found, &mut dates);
    meta_elements(tree, &mut found, &mut dates);
    let selected = |selector: &str| -> Vec<ElementRef<'_>> {
        Selector::parse(selector).map(|selector| tree.select(&selector).take(AUTHORS_MAX).collect()).unwrap_or_default()
    };
    for element in
        selected("[itemprop~=datePublished], article time[datetime], header time[datetime], main time[datetime]")
    {
        let value = element.value();
        let written = value.attr("datetime").or(value.attr("content")).map(str::to_string);
        dates.push(written.unwrap_or_else(|| plain::line(&element.text().collect::<String>(), 100)));
    }
    if found.authors.is_empty() {
        for element in selected("[rel~=author], [itemprop~=author] [itemprop~=name]") {
            add(&mut found.authors, &element.text().take(10).collect::<String>());
        }
    }
    if let Some(link) = selected("link[rel~=canonical][href]").first() {
        found.url = link.value().attr("href").map(str::to_string);
    }
    if let Some(language) = tree.root_element().value().attr("lang").filter(|language| !language.trim().is_empty()) {
        found.language = Some(language.to_string());
    }
    found.published = dates.iter().find_map(|date| day(date));
    found
}

fn day(text: &str) -> Option<Timestamp> {
    let date = dates::timestamp(text)?;
    (date.to_zoned(jiff::tz::TimeZone::UTC).year() >= YEAR_MIN).then_some(date)
}

fn meta_elements(tree: &Html, found: &mut Metadata, dates: &mut Vec<String>) {
    let Ok(selector) = Selector::parse("meta[content]") else { return };
    let mut later_dates = Vec::new();
    for element in tree.select(&selector) {
        let value = element.value();
        let (Some(name), Some(content)) = (value.attr("property").or(value.attr("name")), value.attr("content")) else {
            continue;
        };
        if content.trim().is_empty() {
            continue;
        }
        match name.trim().to_ascii_lowercase().as_str() {
            "article:published_time" | "og:published_time" | "og:article:published_time" => dates.push(content.into()),
            "date"
            | "pubdate"
            | "publishdate"
            | "publish-date"
            | "dc.date"
            | "dc.date.issued"
            | "dcterms.issued"
            | "parsely-pub-date"
            | "sailthru.date"
            | "citation_publication_date" => later_dates.push(content.into()),
            "author" | "parsely-author" | "sailthru.author" | "dc.creator" if found.authors.len() < AUTHORS_MAX => {
                add(&mut found.authors, content);
            }
            "description" | "og:description" | "twitter:description" if found.descriptions.len() < 3 => {
                found.descriptions.push(plain::line(content, 1_000));
            }
            "og:locale" => {
                found.language.get_or_insert_with(|| content.replace('_', "-"));
            }
            "og:url" => {
                found.url.get_or_insert_with(|| content.into());
            }
            "article:content_tier" => {
                found.is_locked |= matches!(content.trim().to_ascii_lowercase().as_str(), "locked" | "metered")
            }
            _ => {}
        }
    }
    dates.append(&mut later_dates);
}

/// Reads the objects of JSON-LD that are an article.
fn json_ld(tree: &Html, found: &mut Metadata, dates: &mut Vec<String>) {
    let Ok(selector) = Selector::parse("script[type='application/ld+json']") else { return };
    for script in tree.select(&selector).take(SCRIPTS_MAX) {
        let text: String = script.text().collect();
        if text.len() > SCRIPT_BYTES_MAX {
            continue;
        }
        // Line ends within texts are a common slip.
        let Ok(value) = serde_json::from_str::<Value>(&text.replace(['\n', '\r', '\t'], " ")) else { continue };
        let mut waiting = vec![&value];
        let mut seen = 0;
        while let Some(value) = waiting.pop() {
            seen += 1;
            if seen > OBJECTS_MAX {
                break;
            }
            match value {
                Value::Array(values) => waiting.extend(values.iter().take(OBJECTS_MAX).rev()),
                Value::Object(object) => {
                    waiting.extend(["@graph", "mainEntity"].iter().filter_map(|key| object.get(*key)));
                    if object.get("@type").is_some_and(is_article) {
                        article(object, found, dates);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_article(kind: &Value) -> bool {
    match kind {
        Value::String(kind) => kind.ends_with("Article") || kind.ends_with("BlogPosting") || kind == "Report",
        Value::Array(kinds) => kinds.iter().any(is_article),
        _ => false,
    }
}

fn article(object: &serde_json::Map<String, Value>, found: &mut Metadata, dates: &mut Vec<String>) {
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    if found.title.is_none() {
        found.title = text("headline").map(|title| html::plain_line(title, 4_000));
    }
    dates.extend(text("datePublished").map(str::to_string));
    if found.authors.is_empty() {
        names(object.get("author"), &mut found.authors);
    }
    if found.language.is_none() {
        found.language = text("inLanguage").map(str::to_string);
    }
    if found.body.is_none() {
        found.body = text("articleBody").map(str::to_string);
    }
    found.descriptions.extend(
        text("description").map(|text| html::plain_line(text, 1_000)).filter(|_| found.descriptions.is_empty()),
    );
    found.is_locked |= match object.get("isAccessibleForFree") {
        Some(Value::Bool(free)) => !free,
        Some(Value::String(free)) => free.eq_ignore_ascii_case("false"),
        _ => false,
    };
}

fn names(value: Option<&Value>, into: &mut Vec<String>) {
    match value {
        Some(Value::String(name)) => add(into, name),
        Some(Value::Object(author)) => {
            if let Some(name) = author.get("name").and_then(Value::as_str) {
                add(into, name);
            }
        }
        Some(Value::Array(authors)) => {
            authors
                .iter()
                .take(AUTHORS_MAX)
                .filter(|author| !author.is_array())
                .for_each(|author| names(Some(author), into));
        }
        _ => {}
    }
}

/// Adds a name; addresses of profiles are none.
fn add(names: &mut Vec<String>, name: &str) {
    let name = html::plain_line(name, NAME_CHARACTERS_MAX);
    let name = plain::line(&name, NAME_CHARACTERS_MAX);
    if !name.is_empty() && !name.contains("://") && names.len() < AUTHORS_MAX && !names.contains(&name) {
        names.push(name);
    }
}
