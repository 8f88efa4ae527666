//! The one dialect that every feed is rewritten to: Atom 1.0, of which only what feed-rs reads without loss is used.
//!
//! What the publisher wrote stands in CDATA sections and attributes only, so nothing in it can be taken for structure. Authors
//! are names in an element of their own: feed-rs takes apart no address there, which is where it panics on other dialects.

use std::fmt::Write;

use jiff::Timestamp;

use super::written::Written;
use crate::model::Enclosure;

/// An entry as it was collected, or what is said of the feed itself. Links are absolute, lists are clean, texts are as written.
#[derive(Clone, Debug, Default)]
pub(super) struct Item<'a> {
    pub(super) guid: String,
    pub(super) url: Option<String>,
    pub(super) title: Written<'a>,
    pub(super) summary: Written<'a>,
    pub(super) content: Written<'a>,
    pub(super) published: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    pub(super) authors: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) enclosures: Vec<Enclosure>,
    pub(super) beside: Beside,
}

/// What Atom has no place for, or feed-rs does not read there. It waits beside the document and joins its entry again afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) publisher: String,
    pub(super) language: Option<String>,
}

/// What ends a document.
pub(super) const END: &str = "</feed>";

/// The beginning of a document that says nothing of the feed.
pub(super) const BEGIN: &str = "<feed xmlns=\"http://www.w3.org/2005/Atom\">";

/// The beginning of a document, with what is said of the feed itself.
pub(super) fn begin(feed: &Item<'_>, hub: Option<&str>) -> String {
    let mut out = String::from("<feed xmlns=\"http://www.w3.org/2005/Atom\"");
    if let Some(language) = &feed.beside.language {
        attribute(&mut out, "xml:lang", language);
    }
    out.push('>');
    text(&mut out, "title", &feed.title);
    text(&mut out, "subtitle", &feed.summary);
    link(&mut out, "alternate", feed.url.as_deref());
    link(&mut out, "hub", hub);
    out
}

/// Adds an entry. Its position is the first part of its id ([`position`]), so that it is known again whatever becomes of the
/// entries around it.
pub(super) fn entry(out: &mut String, position: usize, item: &Item<'_>) {
    // Formatting into a String does not fail.
    let _ = write!(out, "<entry><id>{position}:");
    section(out, &item.guid);
    out.push_str("</id>");
    text(out, "title", &item.title);
    link(out, "alternate", item.url.as_deref());
    for (name, date) in [("published", item.published), ("updated", item.updated)] {
        if let Some(date) = date {
            let _ = write!(out, "<{name}>{date}</{name}>");
        }
    }
    for author in &item.authors {
        out.push_str("<author><name>");
        section(out, author);
        out.push_str("</name></author>");
    }
    for category in &item.categories {
        out.push_str("<category");
        attribute(out, "term", category);
        out.push_str("/>");
    }
    for enclosure in &item.enclosures {
        out.push_str("<link rel=\"enclosure\"");
        attribute(out, "href", &enclosure.url);
        if let Some(media_type) = &enclosure.media_type {
            attribute(out, "type", media_type);
        }
        if let Some(length) = enclosure.length {
            let _ = write!(out, " length=\"{length}\"");
        }
        out.push_str("/>");
    }
    text(out, "summary", &item.summary);
    text(out, "content", &item.content);
    out.push_str("</entry>\n");
}

/// Position and guid in the id of an entry that [`entry`] wrote.
pub(super) fn position(id: &str) -> Option<(usize, &str)> {
    let (position, guid) = id.split_once(':')?;
    Some((position.trim_start().parse().ok()?, guid))
}

/// A text element; none where there is no text.
fn text(out: &mut String, name: &str, written: &Written<'_>) {
    if written.is_blank() {
        return;
    }
    let kind = if written.is_html { "html" } else { "text" };
    let _ = write!(out, "<{name} type=\"{kind}\">");
    section(out, &written.text);
    let _ = write!(out, "</{name}>");
}

fn link(out: &mut String, relation: &str, address: Option<&str>) {
    if let Some(address) = address {
        let _ = write!(out, "<link rel=\"{relation}\"");
        attribute(out, "href", address);
        out.push_str("/>");
    }
}

/// Text in a CDATA section: one piece for the parser, however much markup is in it.
fn section(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    out.push_str("<![CDATA[");
    let mut rest = text;
    // A single character is looked for much faster than three, and brackets are rare.
    let mut from = 0;
    while let Some(at) = rest[from..].find(']') {
        from += at + 1;
        if rest[from..].starts_with("]>") {
            allowed(out, &rest[..=from]);
            out.push_str("]]><![CDATA[");
            rest = &rest[from + 1..];
            from = 0;
        }
    }
    allowed(out, rest);
    out.push_str("]]>");
}

fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            // Written as they are, they would come back as spaces.
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c if is_forbidden(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Adds text without the characters that XML does not know, not even as references. Plain text has spaces in their place too.
fn allowed(out: &mut String, text: &str) {
    // Looked at without stopping, so that many bytes are looked at in one step. The first of U+FFFE and U+FFFF is 0xEF.
    let suspicious = |byte: u8| (byte < b' ') & (byte != b'\n') & (byte != b'\r') & (byte != b'\t') | (byte == 0xef);
    if !text.bytes().fold(false, |found, byte| found | suspicious(byte)) {
        return out.push_str(text);
    }
    let mut pieces = text.split(is_forbidden);
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push(' ');
        out.push_str(piece);
    }
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_written_becomes_structure() {
        let mut out = String::new();
        let hostile = "a]]></title><entry>\u{0}&\"<";
        let item =
            Item { guid: hostile.into(), url: Some(hostile.into()), title: Written::html(hostile), ..Item::default() };
        entry(&mut out, 7, &item);
        assert_eq!(
            out,
            "<entry><id>7:<![CDATA[a]]]]><![CDATA[></title><entry> &\"<]]></id>\
             <title type=\"html\"><![CDATA[a]]]]><![CDATA[></title><entry> &\"<]]></title>\
             <link rel=\"alternate\" href=\"a]]>&lt;/title>&lt;entry> &amp;&quot;&lt;\"/></entry>\n"
        );
    }

    #[test]
    fn an_id_gives_position_and_guid_back() {
        assert_eq!(position("12:tag:example.org:1"), Some((12, "tag:example.org:1")));
        assert_eq!(position("0:"), Some((0, "")));
        assert_eq!(position("tag:example.org"), None);
        assert_eq!(position(""), None);
    }

    #[test]
    fn sections_hold_every_text_but_what_xml_forbids() {
        for (text, expected) in [
            ("", ""),
            ("a]b]]c", "<![CDATA[a]b]]c]]>"),
            ("]]>]]]>", "<![CDATA[]]]]><![CDATA[>]]]]]><![CDATA[>]]>"),
            ("北한，\u{1b}\u{ffff}\ty\n", "<![CDATA[北한，  \ty\n]]>"),
        ] {
            let mut out = String::new();
            section(&mut out, text);
            assert_eq!(out, expected);
        }
    }
}
