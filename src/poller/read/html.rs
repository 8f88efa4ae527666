//! HTML to plain text, in one pass over the characters and without a tree: feeds are full of fragments that are broken,
//! nested without end or cut in the middle, and none of that may cost time, stack or words.

use super::entities;
use crate::plain;

/// Depth from which no parser that builds a tree gets to see a document. Real pages reach 51.
pub const DEPTH_MAX: usize = 256;

/// Elements whose content is never text for a reader.
const DROPPED: &[&str] = &["script", "style", "head", "template", "noembed", "noframes", "textarea", "select"];
/// Elements that begin and end a line.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements that separate words within a line.
const CELLS: &[&str] = &["td", "th", "button", "img", "video", "audio", "svg", "math", "iframe", "object"];
/// All other elements of HTML, those that stand inside words.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "embed", "font", "i",
    "input", "ins", "kbd", "label", "link", "mark", "meta", "meter", "nobr", "noscript", "output", "param", "picture",
    "progress", "q", "rp", "rt", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup",
    "time", "tt", "u", "var", "wbr",
];

/// The text that a reader would see, as lines of plain text of at most `bytes_max` bytes.
pub fn plain_text(html: &str, bytes_max: usize) -> String {
    if !html.contains(['<', '&']) {
        return plain::text(&html.replace(['\n', '\r'], " "), bytes_max);
    }
    plain::text(&strip(html, bytes_max.saturating_mul(4)), bytes_max)
}

/// As [`plain_text`], in one line: titles, names.
pub fn plain_line(html: &str, bytes_max: usize) -> String {
    let text = if html.contains(['<', '&']) { strip(html, bytes_max.saturating_mul(4)) } else { html.to_string() };
    let mut line = plain::line(&text, bytes_max);
    line.truncate(plain::floor_char_boundary(&line, bytes_max));
    line
}

/// The text is meant as HTML: it holds a known tag or a character reference. Decides where a feed says nothing, or says
/// "text" of what obviously is none.
pub fn looks_like_html(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        rest = &rest[at..];
        if rest.starts_with('<') {
            if tag(rest).is_some_and(|tag| tag.is_known()) || rest.starts_with("<!--") {
                return true;
            }
        } else if !entities::decode(&rest[..plain::floor_char_boundary(rest, 12)]).starts_with('&')
            || rest.starts_with("&amp;")
        {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

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
            let text = plain_line(&rest[..rest.find("</").unwrap_or(rest.len())], 300);
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
enum Kind {
    Open,
    Close,
}

struct Tag {
    kind: Kind,
    /// Lower case.
    name: String,
    /// `<br/>`
    empty: bool,
    length: usize,
}

impl Tag {
    fn is_known(&self) -> bool {
        [DROPPED, BLOCKS, CELLS, INLINE].iter().any(|list| list.contains(&self.name.as_str()))
    }
}

/// The tag at the head of the text, which starts with `<`.
fn tag(text: &str) -> Option<Tag> {
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
fn end_of(text: &str, name: &str) -> Option<usize> {
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

/// Tags out, references decoded, line ends only where a block ends. Stops after about `bytes_max` bytes of output.
fn strip(html: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(html.len().min(bytes_max));
    let mut rest = html;
    // Line ends of the source are spaces, except inside <pre>.
    let mut preformatted = 0usize;
    let mut unclosed: Vec<String> = Vec::new();
    let mut comments_end = true;
    let last_tag_end = html.rfind('>').unwrap_or(0);
    let mut run = String::new();
    while !rest.is_empty() && out.len() < bytes_max {
        let end = rest.find('<').unwrap_or(rest.len());
        if end > 0 {
            run.clear();
            entities::decode_into(&rest[..end], None, &mut run);
            if preformatted > 0 {
                out.push_str(&run)
            } else {
                out.extend(run.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }))
            };
            rest = &rest[end..];
            continue;
        }
        if let Some(body) = rest.strip_prefix("<!--") {
            // A comment that never ends hides nothing.
            match comments_end.then(|| body.find("-->")).flatten() {
                Some(end) => rest = &body[end + 3..],
                None => {
                    comments_end = false;
                    rest = body;
                }
            }
            continue;
        }
        if let Some(body) = rest.strip_prefix("<![CDATA[") {
            let end = body.find("]]>").unwrap_or(body.len());
            out.push_str(&body[..end]);
            rest = body.get(end + 3..).unwrap_or("");
            continue;
        }
        if rest.starts_with("<?")
            || rest
                .strip_prefix("<!")
                .is_some_and(|body| body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '['))
        {
            if let Some(end) = rest.find('>') {
                rest = &rest[end + 1..];
                continue;
            }
            break;
        }
        let Some(tag) = tag(rest) else {
            if rest.as_bytes().get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/')
                && html.len() - rest.len() > last_tag_end
            {
                // Cut in the middle of a tag: summaries often are.
                break;
            }
            out.push('<');
            rest = &rest[1..];
            continue;
        };
        rest = &rest[tag.length..];
        let name = tag.name.as_str();
        if BLOCKS.contains(&name) {
            out.push('\n');
            match (name, tag.kind) {
                ("pre", Kind::Open) => preformatted += 1,
                ("pre", Kind::Close) => preformatted = preformatted.saturating_sub(1),
                _ => {}
            }
        } else if CELLS.contains(&name) {
            out.push(' ');
        } else if DROPPED.contains(&name) && tag.kind == Kind::Open && !tag.empty && !unclosed.contains(&tag.name) {
            match end_of(rest, name) {
                Some(end) => {
                    out.push(' ');
                    rest = &rest[end..];
                }
                None if matches!(name, "script" | "style") => break,
                None => unclosed.push(tag.name),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(plain_text(html, 10_000), expected, "{html}");
    }

    #[test]
    fn a_reader_would_see_this() {
        check("port <b>strike</b>", "port strike");
        check("po<i>rt</i>", "port");
        check("<p>One</p><p>Two<br>three</p>", "One\n\nTwo\nthree");
        check("a\nb\n\nc", "a b c");
        check("a\r\nb <i>c</i>", "a b c");
        check("<ul><li>x<li>y</ul>", "x\ny");
        check("<table><tr><td>1<td>2<tr><td>3</table>", "1 2\n3");
        check("AT&amp;T &lt;b&gt; &eacute;", "AT&T <b> é");
        check("a<script>if (a < b) { x(\"</p>\") }</script>b", "a b");
        check("a<STYLE>p{}</Style >b", "a b");
        check("<!-- hidden -->shown<!-- never ended", "shown never ended");
        check("5 < 6 and 7 > 3, I <3 you", "5 < 6 and 7 > 3, I <3 you");
        check("<a href=\"x>y\" title='a > b'>link</a>", "link");
        check("<a href=\"never>closed</a> <b class=\"x\">text</b>", "closed text");
        check("<pre>a\n  b</pre>", "a\nb");
        check("cut in the mid<a href=\"http", "cut in the mid");
        check("plain", "plain");
        check("", "");
    }

    #[test]
    fn hostile_documents_take_linear_time() {
        for piece in [
            "<div>",
            "<!--",
            "<svg><g>",
            "</",
            "<a b=\"",
            "<script",
            "<textarea>",
            "&amp",
            "<![CDATA[",
            "<a b='x\"",
            "<script>",
            "<a ",
        ] {
            let html = piece.repeat(200_000) + ">";
            assert!(plain_text(&html, 1 << 20).len() <= 1 << 20);
            depth(&html);
        }
    }

    #[test]
    fn depth_counts_what_parsers_would_nest() {
        assert_eq!(depth("<div><p>a<p>b<br><img></div>"), 1);
        assert!(is_too_deep(&"<div>".repeat(300)));
        assert!(is_too_deep(&"<svg><g>".repeat(300)));
        assert!(!is_too_deep(&"<div><p>text</div>".repeat(3_000)));
        assert!(!is_too_deep("<script>if (a<b && c<d) '<div><div>'</script>"));
    }

    #[test]
    fn html_is_told_from_text() {
        for html in ["<b>x</b>", "a &amp; b", "caf&eacute;", "x<br/>y", "&#8217;"] {
            assert!(looks_like_html(html), "{html}");
        }
        for text in ["plain", "a < b", "R&D", "Vec<T>", "AT&T; more"] {
            assert!(!looks_like_html(text), "{text}");
        }
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
