//! HTML to plain text, in one pass over the characters and without a tree: feeds are full of fragments that are broken,
//! nested without end or cut in the middle, and none of that may cost time, stack or words.

use super::entities;
use super::page::{Kind, end_of, tag};
use crate::plain;

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

/// Text between two tags is decoded in pieces of at least this length, so a reference is hardly ever cut.
const RUN_BYTES_MIN: usize = 4 * 1024;

/// The text that a reader would see, as lines of plain text of at most `bytes_max` bytes.
pub fn plain_text(html: &str, bytes_max: usize) -> String {
    if !html.contains(['<', '&']) {
        let html = &html[..html.floor_char_boundary(bytes_max.saturating_mul(4))];
        return plain::text(&html.replace(['\n', '\r'], " "), bytes_max);
    }
    plain::text(&strip(html, bytes_max.saturating_mul(4)), bytes_max)
}

/// As [`plain_text`], in one line: titles, names.
pub fn plain_line(html: &str, bytes_max: usize) -> String {
    let text = if html.contains(['<', '&']) { strip(html, bytes_max.saturating_mul(4)) } else { html.to_string() };
    let mut line = plain::line(&text, bytes_max);
    line.truncate(line.floor_char_boundary(bytes_max));
    line
}

/// The text is meant as HTML: it holds a known tag or a character reference. Decides where a feed says nothing, or says
/// "text" of what obviously is none.
pub fn looks_like_html(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        rest = &rest[at..];
        if rest.starts_with('<') {
            if tag(rest).is_some_and(|tag| is_known(&tag.name)) || rest.starts_with("<!--") {
                return true;
            }
        } else if !entities::decode(&rest[..rest.floor_char_boundary(12)]).starts_with('&') || rest.starts_with("&amp;")
        {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The element begins and ends a line.
pub(super) fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
}

/// HTML knows an element of this name.
pub(super) fn is_known(name: &str) -> bool {
    [DROPPED, BLOCKS, CELLS, INLINE].iter().any(|list| list.contains(&name))
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
            // Of a longer run the rest is wanted only if little came of it.
            let end = rest.floor_char_boundary(end.min(bytes_max.max(RUN_BYTES_MIN)));
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
            super::super::page::depth(&html);
        }
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
}
