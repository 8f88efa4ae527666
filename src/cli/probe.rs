//! `newswatch probe`: what could be watched at an address. The fetching stands elsewhere; this decides what to say.

use crate::plain;
use crate::poller::read::{discover, feed};
use crate::poller::source::{Document, ReadLimits};

/// What a document offers for watching, as TOML ready to paste, with comments that say what was found.
pub fn report(document: &Document<'_>) -> String {
    let refusal = match feed::read(document, &ReadLimits::default()) {
        Ok(reading) => {
            let found = discover::FoundFeed {
                url: document.url.to_string(),
                title: reading.title.clone(),
                media_type: String::new(),
            };
            let newest = reading
                .entries
                .first()
                .map(|entry| format!("; first: {}", plain::line(&entry.title, 80)))
                .unwrap_or_default();
            return format!("# a feed with {} entries{newest}\n{}", reading.entries.len(), discover::as_toml(&[found]));
        }
        Err(refusal) => refusal,
    };
    let feeds = discover::feeds_in_page(document);
    if feeds.is_empty() {
        return format!("# {refusal}\n");
    }
    format!("# {} feeds linked there\n{}", feeds.len(), discover::as_toml(&feeds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    #[test]
    fn feeds_pages_and_others_are_told_apart() {
        let url = Url::parse("https://example.org/x").unwrap();
        let say = |body: &str| report(&Document { url: &url, content_type: None, body: body.as_bytes() });
        assert!(
            say("<rss version='2.0'><channel><title>T</title><item><title>One</title></item></channel></rss>")
                .starts_with("# a feed with 1 entries; first: One\n# T\n[[source]]")
        );
        assert!(
            say("<html><link rel=alternate type='application/rss+xml' href=/f.xml>")
                .starts_with("# 1 feeds linked there\n[[source]]")
        );
        assert_eq!(say("<html><title>T</title>"), "# an HTML page titled \"T\" instead of a feed; it links no feed\n");
    }
}
