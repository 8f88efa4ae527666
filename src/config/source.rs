//! `[[source]]`: what every kind of source has; what is a kind's own is read in that kind's file.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::FetchSettings;
use super::section::{Place, Section};
use crate::poller::source::{KINDS, Source};

/// A source as configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Unique name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What is asked.
    pub url: Url,
    /// How answers are read.
    pub reader: Arc<dyn Source>,
    /// Whether it is polled.
    pub enabled: bool,
    /// How often, when that differs from `fetch.interval`.
    pub interval: Option<Duration>,
    /// Language tag of its items, when the publisher does not say or says wrongly.
    pub language: Option<String>,
    /// 1 (a general wire) to 5 (nearly every item is on topic): the order of equals, never a reason to alert.
    pub weight: i64,
    /// Fetch the article page of each new item.
    pub article: bool,
    /// Where it is configured.
    pub place: Place,
}

/// Reads one `[[source]]` whose name was read already.
pub(super) fn read(mut section: Section<'_>, name: Option<String>, fetch: &FetchSettings) -> Option<SourceConfig> {
    let place = section.place();
    let title = section.text("title").filter(|title| !title.trim().is_empty());
    let url = section.required_address("url");
    let enabled = section.boolean("enabled").unwrap_or(true);
    let interval = section.duration("interval", fetch.interval_min..=fetch.interval_max);
    let language = section.text("language");
    if let Some(tag) = &language
        && !is_language_tag(tag)
    {
        section.problem(
            "language",
            format!("`language`: {tag:?} is not a language tag; write it like \"en\" or \"zh-Hans\""),
        );
    }
    let weight = section.integer("weight", 1..=5).unwrap_or(3);
    let article = section.boolean("article").unwrap_or(false);
    let reader = super::read_kind(&mut section, KINDS, Some("feed"));
    section.finish();
    let name = name?;
    let title = title.unwrap_or_else(|| name.clone());
    Some(SourceConfig { title, url: url?, reader: reader?, enabled, interval, language, weight, article, place, name })
}

/// Two or three letters, then parts of two to eight letters and digits (the common part of BCP 47).
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
