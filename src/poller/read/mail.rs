//! Messages: newsletters, and the alerts of search engines, whose links are items of their own.

use mail_parser::{Message, MessageParser};
use url::Url;

use super::guard::guarded;
use super::{html, page};
use crate::model::{Entry, Timestamp};
use crate::plain;
use crate::poller::source::{ReadError, ReadLimits};

const TITLE_CHARACTERS_MAX: usize = 1_000;
/// Links of one message that become items.
const LINKS_MAX: usize = 200;
/// A shorter link text is a button.
const HEADLINE_CHARACTERS_MIN: usize = 12;
/// Bytes of one part of a message that are looked at.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Reads a message: the articles that it points to if it is an alert, else the message itself.
pub fn read(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<Entry>, ReadError> {
    guarded("the message", || {
        let message =
            MessageParser::default().parse(bytes).ok_or_else(|| ReadError("no message: it has no headers".into()))?;
        if message.headers().len() < 2 || message.from().is_none() && message.subject().is_none() {
            return Err(ReadError("no message: it has neither sender nor subject".into()));
        }
        Ok(entries(&message, limits))
    })?
}

fn entries(message: &Message<'_>, limits: &ReadLimits) -> Vec<Entry> {
    let html_body = body(message.body_html(0).as_deref());
    let sender = message.from().and_then(|from| from.first());
    let address = sender.and_then(|sender| sender.address()).unwrap_or_default().to_ascii_lowercase();
    let author = plain::line(sender.and_then(|sender| sender.name()).unwrap_or(&address), 200);
    let published = message.date().and_then(|date| Timestamp::from_second(date.to_timestamp()).ok());
    let whole = Entry {
        guid: plain::line(message.message_id().unwrap_or_default(), 1_000),
        title: plain::line(message.subject().unwrap_or("(no subject)"), TITLE_CHARACTERS_MAX),
        content: if has_html(message) {
            html::plain_text(&html_body, limits.text_bytes_max)
        } else {
            plain::text(&body(message.body_text(0).as_deref()), limits.text_bytes_max)
        },
        authors: Some(author).filter(|author| !author.is_empty()).into_iter().collect(),
        published,
        ..Entry::default()
    };
    if address == "googlealerts-noreply@google.com" {
        let found = alerted(&html_body, &whole, limits);
        if !found.is_empty() {
            return found;
        }
    }
    vec![whole]
}

fn body(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    text[..text.floor_char_boundary(BODY_BYTES_MAX)].to_string()
}

fn has_html(message: &Message<'_>) -> bool {
    message.html_bodies().next().is_some_and(|part| part.is_text_html())
}

/// The articles of an alert: links that lead through the search engine to somewhere else. The text up to the next one is what
/// the alert says of it.
fn alerted(source: &str, message: &Entry, limits: &ReadLimits) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    // Where the last article's text begins.
    let mut open: Option<usize> = None;
    let close = |found: &mut Vec<Entry>, open: &mut Option<usize>, end: usize| {
        if let (Some(start), Some(entry)) = (open.take(), found.last_mut()) {
            let text = source.get(start..end).unwrap_or_default();
            entry.summary = plain::line(&html::plain_text(text, limits.text_bytes_max.min(2_000)), 1_000);
        }
    };
    for tag in page::tags(source, &["a"]) {
        let Some(url) = tag.attribute("href").and_then(|href| target(&href)) else { continue };
        let start = source.len() - tag.rest().len();
        let inside = link_text(tag.rest());
        let title = plain::line(&html::plain_line(inside, 4 * TITLE_CHARACTERS_MAX), TITLE_CHARACTERS_MAX);
        let is_known = found.iter().any(|entry| entry.url.as_deref() == Some(url.as_str()));
        // A Chinese or Korean headline says as much in a third of the characters.
        let weight: usize = title.chars().map(|c| if c >= '\u{1100}' { 3 } else { 1 }).sum();
        if is_known || weight < HEADLINE_CHARACTERS_MIN {
            continue;
        }
        if found.len() == LINKS_MAX {
            break;
        }
        close(&mut found, &mut open, start);
        found.push(Entry {
            guid: url.to_string(),
            url: Some(url.to_string()),
            title,
            published: message.published,
            ..Entry::default()
        });
        open = Some(start + inside.len());
    }
    close(&mut found, &mut open, source.len());
    found
}

/// What stands inside a link that begins here; empty when it does not end.
fn link_text(rest: &str) -> &str {
    const LINK_BYTES_MAX: usize = 4_000;
    let rest = &rest[..rest.floor_char_boundary(LINK_BYTES_MAX)];
    &rest[..rest.find("</a").unwrap_or(0)]
}

/// Where a link of an alert really leads: `https://www.google.com/url?...&url=TARGET&...`
fn target(href: &str) -> Option<Url> {
    let url = Url::parse(href.trim()).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    if !(host == "www.google.com" || host == "google.com" || host.starts_with("www.google.")) || url.path() != "/url" {
        return None;
    }
    let (_, target) = url.query_pairs().find(|(name, _)| name == "url" || name == "q")?;
    let target = Url::parse(&target).ok().filter(|target| matches!(target.scheme(), "http" | "https"))?;
    (!target.host_str()?.ends_with("google.com")).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_becomes_its_articles() {
        let found = read(include_bytes!("../../../tests/data/reading/alert.eml"), &ReadLimits::default()).unwrap();
        let rows: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|entry| (entry.url.as_deref().unwrap_or_default(), entry.title.as_str(), entry.summary.as_str()))
            .collect();
        assert_eq!(
            rows,
            [
                (
                    "https://example.org/harbour/strike?a=1&b=2",
                    "Port strike ends after nine days",
                    "Example Post Dock workers agreed to the new rota on Friday ..."
                ),
                ("https://example.net/dues", "Harbour dues to rise – minister", "The minister said ..."),
            ]
        );
        assert_eq!(found[0].published.unwrap().to_string(), "2026-11-20T09:30:00Z");
    }

    #[test]
    fn a_newsletter_is_one_item() {
        let found = read(include_bytes!("../../../tests/data/reading/newsletter.eml"), &ReadLimits::default()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, "Хроника порта: забастовка");
        assert_eq!(found[0].guid, "n1@example.org");
        assert_eq!(found[0].authors, ["Harbour Desk"]);
        assert!(found[0].content.contains("The strike is over"), "{}", found[0].content);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], b"hello", b"\0\x01\x02"] {
            assert!(read(bytes, &ReadLimits::default()).unwrap_err().0.starts_with("no message"));
        }
    }
}
