//! Feeds: RSS of every version, RDF, Atom, CDF and JSON Feed, as they are and not as they should be.
//!
//! A tolerant tokenizer ([`tokens`]) cuts the document into tags and text and cannot fail. One pass over it ([`xml`], or
//! [`json`]) collects, for each entry, what stands where a title, a link, a date ... may stand, and keeps the best of each by
//! rank ([`names`]). So there is no dialect to tell apart and no structure to be broken: an item outside its channel, a
//! missing end tag, a stray `<` cost at most the field they are in.
//!
//! What was collected is written down in one dialect ([`canonical`]), always, and feed-rs parses that ([`rewrite`]);
//! [`mapping`] makes entries of it. It is never given a document as it came: one in eight feeds that it accepts loses items
//! silently there, because publisher and parser disagree on namespaces or versions, and some make it panic.

mod canonical;
mod capture;
mod draft;
mod json;
mod mapping;
mod names;
mod rewrite;
mod text;
pub(super) mod tokens;
mod written;
mod xml;

use super::guard::guarded;
use super::{decode, discover, page};
use crate::model::Reading;
use crate::plain;
use crate::poller::source::{Document, ReadError, ReadLimits};

/// Characters kept of a title; the rest is shown as "…".
const TITLE_CHARACTERS_MAX: usize = 1_000;
/// Characters kept of a guid.
const GUID_CHARACTERS_MAX: usize = 2_000;
/// Bytes kept of the description of the feed itself.
const FEED_TEXT_BYTES_MAX: usize = 8_000;
/// Characters kept of a name: authors, categories.
const NAME_CHARACTERS_MAX: usize = 200;
/// Categories, authors and enclosures kept of one entry.
const LIST_MAX: usize = 100;

/// Reads a feed of any kind.
pub fn read(document: &Document<'_>, limits: &ReadLimits) -> Result<Reading, ReadError> {
    let text = decode::text(document.body, document.content_type);
    let text = text.as_ref();
    if text.trim_start().starts_with('{') {
        return guarded("the feed", || json::read(text, document.url, limits))?;
    }
    match guarded("the feed", || xml::read(text, document.url, limits))?? {
        Some(reading) => Ok(reading),
        None => Err(refusal(document, text)),
    }
}

/// What the document is, since it is no feed.
fn refusal(document: &Document<'_>, text: &str) -> ReadError {
    if text.trim().is_empty() {
        return ReadError("an empty document instead of a feed".into());
    }
    if page::is_page(text) {
        let title = page::title(text)
            .map_or("an HTML page".to_string(), |title| format!("an HTML page titled \"{}\"", plain::line(&title, 80)));
        let feeds = discover::feeds_in_page(document);
        if feeds.is_empty() {
            return ReadError(format!("{title} instead of a feed; it links no feed"));
        }
        let links: Vec<String> = feeds.iter().take(3).map(|feed| plain::line(&feed.url, 300)).collect();
        return ReadError(format!("{title}; it links these feeds: {}", links.join(", ")));
    }
    let kind = if document.body.starts_with(b"%PDF") {
        "a PDF"
    } else if text.trim_start().starts_with('<') {
        "a document of another kind"
    } else {
        "no feed at all"
    };
    ReadError(format!(
        "{kind} instead of a feed; it begins with \"{}\"",
        plain::line(text.get(..200).unwrap_or(text), 60)
    ))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
