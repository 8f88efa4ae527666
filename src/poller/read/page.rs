//! Looking into an HTML page without building a tree of it: how deep it is, what it is called, which tags it has.

use super::{entities, html};

/// Depth from which no parser that builds a tree gets to see a document. Real pages reach 51.
pub const DEPTH_MAX: usize = 256;

/// Elements that a parser may open again behind formatting that was never closed, over a whole page.
const REOPENED_MAX: usize = 50_000;

/// A larger tree is never built.
const TREE_BYTES_MAX: usize = 40 << 20;
/// A longer page is none: what has no tags takes a parser time all the same.
const SOURCE_BYTES_MAX: usize = 8 << 20;
/// Attributes of one tag.
const ATTRIBUTES_MAX: usize = 3_000;
/// Bytes looked at for attributes, over a whole page. Those of real pages are looked at once.
const STEPS_MAX: usize = 50_000_000;

/// Comparisons of end tags with open elements, over a whole page. Real pages need some for each tag.
const LOOKS_MAX: usize = 10_000_000;

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

/// An element that was opened.
struct Open {
    name: String,
    formatting: bool,
    fence: bool,
    block: bool,
}

/// How deep a parser would nest the tags, at least nearly. A page can be made so that opened minus closed is always 1 and
/// the tree is 60,000 deep (`<div></b><div></b>`, `<div/>`), so end tags count only where a parser would heed them.
pub fn depth(html: &str) -> usize {
    let mut open: Vec<Open> = Vec::new();
    let (mut most, mut formatting, mut reopened, mut looks) = (0, 0usize, 0usize, 0usize);
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
            looks += close(&mut open, &tag.name, &mut formatting);
            if looks > LOOKS_MAX {
                return DEPTH_MAX + 1;
            }
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
        let in_drawing = || open.iter().any(|open| matches!(open.name.as_str(), "svg" | "math"));
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
        let (fence, block) = (FENCES.contains(&tag.name.as_str()), html::is_block(&tag.name));
        open.push(Open { name: tag.name, formatting: is_formatting, fence, block });
        most = most.max(open.len());
        if most > DEPTH_MAX {
            return DEPTH_MAX + 1;
        }
    }
    most
}

/// What an end tag does to the open elements. Gives how many of them it was compared with.
fn close(open: &mut Vec<Open>, name: &str, formatting: &mut usize) -> usize {
    if matches!(name, "html" | "body" | "head") {
        return 0;
    }
    let is_formatting = FORMATTING.contains(&name);
    // An unknown or inline end tag is not heeded across a block.
    let stops_at_blocks = !is_formatting && !html::is_block(name) && !FENCES.contains(&name);
    for at in (0..open.len()).rev() {
        let inner = &open[at];
        if inner.name == name {
            let looks = open.len() - at;
            if is_formatting {
                open.remove(at);
                *formatting = formatting.saturating_sub(1);
            } else {
                *formatting -= open[at..].iter().filter(|open| open.formatting).count().min(*formatting);
                open.truncate(at);
            }
            return looks;
        }
        if inner.fence || (inner.block && stops_at_blocks) {
            return open.len() - at;
        }
    }
    open.len()
}

/// A page too deep for a parser that builds a tree.
pub fn is_too_deep(html: &str) -> bool {
    depth(html) > DEPTH_MAX
}

/// About how many bytes a tree of the page takes; `None` for a page that no parser should see at all. Each element and each
/// attribute takes far more memory than its source: a page of "<p>x" a hundred times as much.
pub fn tree_bytes(html: &str) -> Option<usize> {
    const ELEMENT_BYTES: usize = 350;
    const END_TAG_BYTES: usize = 100;
    const ATTRIBUTE_BYTES: usize = 45;
    let bytes = html.as_bytes();
    if bytes.len() > SOURCE_BYTES_MAX {
        return None;
    }
    // Counted wherever they stand, in text and scripts too: what is inside of a tag, a page can hide from all but parsers.
    let tags = bytes.iter().filter(|byte| **byte == b'<').count();
    // "</p>" and "</br>" make an element where there is none to end.
    let is_end = |tag: &&[u8]| tag.starts_with(b"</") && !matches!(tag[2], b'p' | b'P' | b'b' | b'B');
    let ends = bytes.windows(3).filter(is_end).count();
    let attributes = bytes.windows(2).filter(|pair| separates(pair[0]) && !separates(pair[1])).count();
    let size = bytes.len() + (tags - ends) * ELEMENT_BYTES + ends * END_TAG_BYTES + attributes * ATTRIBUTE_BYTES;
    (size <= TREE_BYTES_MAX && !has_many_attributes(bytes)).then_some(size)
}

/// The byte may stand between two attributes.
fn separates(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'"' | b'\'')
}

/// A tag may have so many attributes that a parser, which compares each with all before it, would take seconds.
fn has_many_attributes(bytes: &[u8]) -> bool {
    let mut steps = 0;
    for start in bytes.windows(2).enumerate().filter(|(_, pair)| pair[0] == b'<' && pair[1].is_ascii_alphabetic()) {
        let inside = &bytes[start.0..];
        let (mut attributes, mut at) = (0, 1);
        while at < inside.len() && inside[at] != b'>' {
            if inside[at - 1] == b'=' && matches!(inside[at], b'"' | b'\'') {
                let value = inside[at + 1..].iter().position(|byte| *byte == inside[at]);
                let length = value.unwrap_or(inside.len() - at - 1);
                at += length + 1;
                steps += length;
            }
            attributes += usize::from(at < inside.len() && separates(inside[at]));
            at += 1;
            steps += 1;
            if attributes > ATTRIBUTES_MAX || steps > STEPS_MAX {
                return true;
            }
        }
    }
    false
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
    behind: &'a str,
}

impl<'a> FoundTag<'a> {
    /// All of the source behind the tag.
    pub fn rest(&self) -> &'a str {
        self.behind
    }

    /// The source up to the next end tag of a link.
    pub fn text_behind(&self) -> &'a str {
        let behind = &self.behind[..self.behind.floor_char_boundary(500)];
        &behind[..behind.find("</a").unwrap_or(behind.len())]
    }

    /// The decoded value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<String> {
        super::markup::attributes(self.inside)
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| entities::decode(value))
    }
}

/// The start tags of these names, in order, found without building a tree.
pub fn tags<'a>(html: &'a str, names: &'static [&'static str]) -> impl Iterator<Item = FoundTag<'a>> + use<'a> {
    let mut rest = html;
    std::iter::from_fn(move || {
        while let Some(at) = rest.find('<') {
            let whole = &rest[at..];
            let Some(tag) = tag(whole) else {
                rest = &whole[1..];
                continue;
            };
            rest = &whole[tag.length..];
            if let Some(name) = names.iter().find(|name| **name == tag.name).filter(|_| tag.kind == Kind::Open) {
                return Some(FoundTag { name, inside: &whole[1 + name.len()..tag.length - 1], behind: rest });
            }
        }
        None
    })
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
    fn end_tags_that_close_nothing_cost_no_time() {
        assert!(is_too_deep(&("<y>".repeat(200) + &"</x>".repeat(200_000))));
        assert!(!is_too_deep(&"<div><b>text</i></b></div>".repeat(20_000)));
    }

    #[test]
    fn pages_of_which_a_tree_would_be_too_large_are_known() {
        for piece in ["<p>", "<p a b>", "<p/a/b>", "<p a=''b=''>", "<svg><g a>", "</p>"] {
            assert_eq!(tree_bytes(&piece.repeat(130_000)), None, "{piece}");
        }
        let attributes: String = (0..10_000).map(|number| format!("/{number}")).collect();
        for head in ["<p", "<a b=\"><i>\"", "<!--<a b=\"--><p ", "<script>'</script><p", "<p a<b", "<a b=>\"<p"] {
            assert_eq!(tree_bytes(&format!("{head}{attributes}>")), None, "{head}");
        }
        assert_eq!(tree_bytes(&"&".repeat(9 << 20)), None);
        assert_eq!(tree_bytes(&"<a b=\"".repeat(50_000)), None, "each may run to the end of the page");
        let row = "<tr class='a b'><td><a href=\"https://example.org/a/b/c\">A title of some words</a></td></tr>";
        assert!(tree_bytes(&row.repeat(10_000)).is_some(), "a list of 10,000 rows is a page like others");
        let item =
            "<li class='n m'><h2><a href='/n/1'>Entry</a></h2><time datetime='2026-09-26'>x</time><p>Text</p></li>";
        assert!(tree_bytes(&item.repeat(12_000)).is_some(), "and one of 12,000 items");
        let script = "<script>for (i = 0; i<n; i++) { a = b / c; }</script>";
        assert!(tree_bytes(&script.repeat(10_000)).is_some(), "scripts are no attributes");
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
