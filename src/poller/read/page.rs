//! Looking into an HTML page without building a tree of it: how deep it is, what it is called, which tags it has.

use super::{entities, html};
use crate::plain;

/// Depth from which no parser that builds a tree gets to see a document. Real pages reach 51.
pub const DEPTH_MAX: usize = 256;

/// How deep the tags nest at most, naively: opened minus closed. Cheap, and never below what a parser would see by much.
pub fn depth(html: &str) -> usize {
    const VOID: &[&str] = &[
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
        "p", "li", "dt", "dd", "tr", "td", "th", "option",
    ];
    let (mut now, mut most) = (0usize, 0usize);
    // Paragraphs, rows and the like close themselves unless something stands between them, so they count apart.
    let mut lax = 0usize;
    let mut scripts_end = true;
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let Some(tag) = tag(rest) else {
            rest = &rest[1..];
            continue;
        };
        let is_lax = VOID.contains(&tag.name.as_str());
        let count = if is_lax { &mut lax } else { &mut now };
        match tag.kind {
            Kind::Open if !tag.empty => *count += 1,
            Kind::Close => *count = count.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
        rest = &rest[tag.length..];
        if scripts_end && tag.kind == Kind::Open && matches!(tag.name.as_str(), "script" | "style") {
            now = now.saturating_sub(1);
            match end_of(rest, &tag.name) {
                Some(end) => rest = &rest[end..],
                None => scripts_end = false,
            }
        }
    }
    most
}

/// A page too deep for a parser that builds a tree.
pub fn is_too_deep(html: &str) -> bool {
    depth(html) > DEPTH_MAX
}

/// The content of the first `<title>`, as one line.
pub fn title(html: &str) -> Option<String> {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(tag) = tag(rest).filter(|tag| tag.kind == Kind::Open && tag.name == "title") {
            rest = &rest[tag.length..];
            let text = html::plain_line(&rest[..rest.find("</").unwrap_or(rest.len())], 300);
            return Some(text).filter(|text| !text.is_empty());
        }
        rest = &rest[1..];
    }
    None
}

/// The document is an HTML page (and no feed).
pub fn is_page(text: &str) -> bool {
    let mut rest = text;
    for _ in 0..20 {
        let Some(at) = rest.find('<') else { return false };
        rest = &rest[at..];
        if rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype")) {
            return rest[9..].trim_start().get(..4).is_some_and(|name| name.eq_ignore_ascii_case("html"));
        }
        if let Some(tag) = tag(rest) {
            return matches!(tag.name.as_str(), "html" | "head" | "body" | "meta" | "title" | "div" | "p" | "h1");
        }
        rest = match rest.starts_with("<!--").then(|| rest.find("-->")).flatten() {
            Some(end) => &rest[end..],
            None => &rest[1..],
        };
    }
    false
}

/// A start tag found in a page, with its attributes.
#[derive(Clone, Copy, Debug)]
pub struct FoundTag<'a> {
    /// Lower case.
    pub name: &'static str,
    inside: &'a str,
    /// The source up to the next end tag (of whatever).
    pub text_behind: &'a str,
}

impl FoundTag<'_> {
    /// The decoded value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<String> {
        super::markup::attributes(self.inside)
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| entities::decode(value))
    }
}

/// The start tags of these names, in order, found without building a tree.
pub fn tags<'a>(html: &'a str, names: &'static [&'static str]) -> Vec<FoundTag<'a>> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let Some(tag) = tag(rest) else {
            rest = &rest[1..];
            continue;
        };
        let name = names.iter().find(|name| **name == tag.name).filter(|_| tag.kind == Kind::Open);
        if let Some(name) = name {
            let behind = &rest[tag.length..];
            let behind = &behind[..plain::floor_char_boundary(behind, 500)];
            let text_behind = &behind[..behind.find("</a").unwrap_or(behind.len())];
            found.push(FoundTag { name, inside: &rest[1 + name.len()..tag.length - 1], text_behind });
        }
        rest = &rest[tag.length..];
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Open,
    Close,
}

/// A tag of either kind.
pub(super) struct Tag {
    pub(super) kind: Kind,
    /// Lower case.
    pub(super) name: String,
    /// `<br/>`
    pub(super) empty: bool,
    pub(super) length: usize,
}

/// The tag at the head of the text, which starts with `<`.
pub(super) fn tag(text: &str) -> Option<Tag> {
    let bytes = text.as_bytes();
    let (kind, start) = if bytes.get(1) == Some(&b'/') { (Kind::Close, 2) } else { (Kind::Open, 1) };
    if !bytes.get(start)?.is_ascii_alphabetic() {
        return None;
    }
    let end =
        start + bytes[start..].iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_')))?;
    if !matches!(bytes[end], b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\r' | 0x0c) {
        return None;
    }
    let length = end + super::markup::tag_end(&bytes[end..])?;
    Some(Tag { kind, name: text[start..end].to_ascii_lowercase(), empty: bytes[length - 2] == b'/', length })
}

/// Behind the end tag of an element whose content is no markup.
pub(super) fn end_of(text: &str, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let start = from + at + 2;
        let end = start + name.len();
        if bytes.get(start..end).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return Some(end + text[end..].find('>').map_or(text.len() - end, |n| n + 1));
        }
        from = start;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_parsers_would_nest() {
        assert_eq!(depth("<div><p>a<p>b<br><img></div>"), 1);
        assert!(is_too_deep(&"<div>".repeat(300)));
        assert!(is_too_deep(&"<svg><g>".repeat(300)));
        assert!(!is_too_deep(&"<div><p>text</div>".repeat(3_000)));
        assert!(!is_too_deep("<script>if (a<b && c<d) '<div><div>'</script>"));
    }

    #[test]
    fn pages_are_known_by_their_head() {
        assert!(is_page("\n<!DOCTYPE html><html>"));
        assert!(is_page("<!-- x --><HTML lang=en>"));
        assert!(!is_page("<?xml version='1.0'?><rss>"));
        assert_eq!(title("<head><title lang=en>Home &amp; away\n</title>").as_deref(), Some("Home & away"));
        assert_eq!(title("<title></title>"), None);
    }
}
