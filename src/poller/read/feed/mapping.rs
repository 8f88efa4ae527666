//! From what feed-rs read to what the rest of the program knows: texts become plain and short, dates jiff's.

use chrono::{DateTime, Utc};
use feed_rs::model as parsed;
use jiff::Timestamp;

use super::canonical::Beside;
use super::written::Written;
use super::{FEED_TEXT_BYTES_MAX, GUID_CHARACTERS_MAX, NAME_CHARACTERS_MAX, TITLE_CHARACTERS_MAX};
use crate::model::{Enclosure, Entry, Reading};
use crate::plain;
use crate::poller::source::ReadLimits;

/// What is said of the feed itself.
pub(super) fn feed(feed: parsed::Feed) -> Reading {
    let title = feed.title.map(written).unwrap_or_default().line(FEED_TEXT_BYTES_MAX);
    let mut url = None;
    let mut hub = None;
    for link in feed.links {
        match link.rel.as_deref() {
            Some("alternate") => url = url.or(Some(link.href)),
            Some("hub") => hub = hub.or(Some(link.href)),
            _ => {}
        }
    }
    Reading {
        title: plain::line(&title, TITLE_CHARACTERS_MAX),
        url,
        description: feed.description.map(written).unwrap_or_default().text(FEED_TEXT_BYTES_MAX),
        language: feed.language,
        hub,
        ..Reading::default()
    }
}

/// One entry, with its own guid and with what waited beside the document.
pub(super) fn entry(entry: parsed::Entry, guid: &str, beside: Beside, limits: &ReadLimits) -> Entry {
    let bytes_max = limits.text_bytes_max;
    let content = entry.content.map(|content| {
        let is_html = content.content_type.subty().as_str() == "html";
        Written { is_html, text: content.body.unwrap_or_default().into() }
    });
    let mut url = None;
    let mut enclosures = Vec::new();
    for link in entry.links {
        if link.rel.as_deref() == Some("enclosure") {
            enclosures.push(Enclosure { url: link.href, media_type: link.media_type, length: link.length });
        } else {
            url = url.or(Some(link.href));
        }
    }
    Entry {
        guid: plain::line(guid, GUID_CHARACTERS_MAX),
        url,
        title: plain::line(&entry.title.map(written).unwrap_or_default().line(bytes_max), TITLE_CHARACTERS_MAX),
        summary: entry.summary.map(written).unwrap_or_default().text(bytes_max),
        content: content.unwrap_or_default().text(bytes_max),
        published: entry.published.and_then(timestamp),
        updated: entry.updated.and_then(timestamp),
        authors: entry.authors.into_iter().filter_map(|author| author.name).map(|name| self::name(&name)).collect(),
        publisher: beside.publisher,
        categories: entry.categories.iter().map(|category| name(&category.term)).collect(),
        enclosures,
        language: beside.language,
    }
}

/// The date of a canonical document, for feed-rs: its own reader would run regular expressions made for broken dates over each.
pub(super) fn date(text: &str) -> Option<DateTime<Utc>> {
    let date: Timestamp = text.parse().ok()?;
    DateTime::from_timestamp(date.as_second(), 0)
        .map(|whole| whole + chrono::Duration::nanoseconds(date.subsec_nanosecond().into()))
}

fn timestamp(date: DateTime<Utc>) -> Option<Timestamp> {
    Timestamp::new(date.timestamp(), date.timestamp_subsec_nanos().try_into().ok()?).ok()
}

fn name(name: &str) -> String {
    plain::line(name, NAME_CHARACTERS_MAX)
}

fn written(text: parsed::Text) -> Written<'static> {
    Written { is_html: text.content_type.subty().as_str() == "html", text: text.content.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_as_they_went() {
        for text in [
            "2026-09-26T10:11:12Z",
            "2026-09-26T10:11:12.5Z",
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.25Z",
            "-000044-03-15T12:00:00Z",
            "9999-12-30T22:00:00.999999999Z",
        ] {
            let expected: Timestamp = text.parse().unwrap();
            assert_eq!(date(&expected.to_string()).and_then(timestamp), Some(expected), "{text}");
        }
        assert_eq!(date("yesterday"), None);
    }
}
