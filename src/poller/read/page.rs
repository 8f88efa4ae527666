//! Looking into an HTML page without building a tree of it: how deep it is, what it is called, which tags it has.

use super::{entities, html};

/// Depth from which no parser that builds a tree gets to see a document. Real pages reach 51.
pub const DEPTH_MAX: usize = 256;

/// Elements that a parser may open again behind formatting that was never closed, over a whole page.
const REOPENED_MAX: usize = 2_000_000;

/// Elements without content, and those that the next of their kind closes: they do not nest.
const FLAT: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr", "p",
    "li", "dt", "dd", "tr", "td", "th", "option",
];
/// An end tag of these leaves open what was opened inside.
const FORMATTING: &[&str] =
    &["a", "b", "big", "code", "em", "font", "form", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// An end tag inside these does not close what is outside.
const FENCES: &[&str] =
    &["table", "template", "object", "marquee", "applet", "caption", "select", "svg", "math", "foreignobject"];

/// How deep a parser would nest the tags, at least nearly. A page can be made so that opened minus closed is always 1 and
/// the tree is 60,000 deep (`<div></b><div></b>`, `<div/>`), so end tags count only where a parser would heed them.
pub fn depth(html: &str) -> usize {
    let mut open: Vec<String> = Vec::new();
    let (mut most, mut formatting, mut reopened) = (0, 0usize, 0usize);
    let mut scripts_end = true;
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let Some(tag) = tag(rest) else {
            rest = &rest[1..];
            continue;
        };
        rest = &rest[tag.length..];
        if tag.kind == Kind::Close {
            close(&mut open, &tag.name, &mut formatting);
            continue;
        }
        if matches!(tag.name.as_str(), "script" | "style") && scripts_end {
            match end_of(rest, &tag.name) {
                Some(end) => rest = &rest[end..],
                None => scripts_end = false,
            }
            continue;
        }
        // "<div/>" opens a <div>; only in drawings and formulas does the slash mean something.
        let in_drawing = || open.iter().any(|name| matches!(name.as_str(), "svg" | "math"));
        let is_formatting = FORMATTING.contains(&tag.name.as_str());
        if !is_formatting {
            reopened += formatting;
        }
        if reopened > REOPENED_MAX {
            return DEPTH_MAX + 1;
        }
        if FLAT.contains(&tag.name.as_str()) || (tag.empty && !html::is_known(&tag.name) && in_drawing()) {
            continue;
        }
        formatting += usize::from(is_formatting);
        open.push(tag.name);
        most = most.max(open.len());
        if most > DEPTH_MAX {
            return DEPTH_MAX + 1;
        }
    }
    most
}

/// What an end tag does to the open elements.
fn close(open: &mut Vec<String>, name: &str, formatting: &mut usize) {
    if matches!(name, "html" | "body" | "head") {
        return;
    }
    let is_formatting = FORMATTING.contains(&name);
    for at in (0..open.len()).rev() {
        let inner = open[at].as_str();
        if inner == name {
            if is_formatting {
                open.remove(at);
                *formatting = formatting.saturating_sub(1);
            } else {
                *formatting -=
                    open[at..].iter().filter(|name| FORMATTING.contains(&name.as_str())).count().min(*formatting);
                open.truncate(at);
            }
            return;
        }
        // An unknown or inline end tag is not heeded across a block.
        if FENCES.contains(&inner)
            || (!is_formatting && !html::is_block(name) && html::is_block(inner) && !FENCES.contains(&name))
        {
            return;
        }
    }
}

/// A page too deep for a parser that builds a tree.
pub fn is_too_deep(html: &str) -> bool {
    depth(html) > DEPTH_MAX
}

/// The depth of a tree that was built: the last word on whether a parser that calls itself may walk it.
pub fn tree_depth(tree: &scraper::Html) -> usize {
    let mut node = tree.tree.root();
    let (mut now, mut most) = (1usize, 1usize);
    loop {
        if let Some(child) = node.first_child() {
            node = child;
            now += 1;
            most = most.max(now);
            continue;
        }
        loop {
            if let Some(next) = node.next_sibling() {
                node = next;
                break;
            }
            let Some(parent) = node.parent() else { return most };
            node = parent;
            now -= 1;
        }
    }
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
            let behind = &behind[..behind.floor_char_boundary(500)];
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
        for trick in [
            "<div></b>",
            "<div/>",
            "<b><div></b>",
            "<x><div></x>",
            "<div><table><td></div></td></table>",
            "<div></body>",
            "<form><div></form>",
            "<font size=1><font size=2>",
        ] {
            assert!(is_too_deep(&trick.repeat(300)), "{trick}");
        }
        let bomb = format!("{}{}", "<b class=x>".repeat(250), "<p>x".repeat(20_000));
        assert!(is_too_deep(&bomb), "formatting opened again in each paragraph");
        assert_eq!(tree_depth(&scraper::Html::parse_document("<div><p>x</div><p>")), 6);
        let icons = "<svg viewBox='0'><title>x</title><path d=''/><g><path/></g></svg>".repeat(1_000);
        assert!(!is_too_deep(&icons), "drawings are not deep");
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
