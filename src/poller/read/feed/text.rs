//! What stands between a start tag and its end tag, and what it is written in.

use std::borrow::Cow;

use super::NAME_CHARACTERS_MAX;
use super::tokens::{Tag, Token, Tokens};
use super::written::Written;
use crate::poller::read::{entities, html};

/// Of a person with more details than this, the name comes first.
const PERSON_TOKENS_MAX: usize = 50;
/// A longer name is none.
const NAME_BYTES_MAX: usize = 1_000;

/// The content of an element: a slice of the document, not touched yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Captured<'a> {
    pub(super) raw: &'a str,
    /// There are tags in it, not only text and CDATA sections.
    pub(super) has_markup: bool,
    /// Attributes of the element that say what its text is.
    pub(super) kind: Kind,
}

/// What the publisher says the text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing said, in a dialect where HTML is usual.
    #[default]
    Html,
    /// Said to be plain text; it may be HTML all the same.
    Text,
    /// Markup as elements.
    Xhtml,
    Base64,
}

impl Kind {
    /// From the attributes of an element; `by_default` where they say nothing.
    pub(super) fn of(tag: &Tag<'_>, by_default: Kind) -> Kind {
        let kind = tag.attribute("type").unwrap_or_default().to_ascii_lowercase();
        let mode = tag.attribute("mode").unwrap_or_default().to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match (mode.as_str(), kind) {
            ("base64", _) => Kind::Base64,
            (_, "xhtml" | "application/xhtml+xml" | "xml") => Kind::Xhtml,
            (_, "html" | "text/html") => Kind::Html,
            (_, "text" | "text/plain" | "plain") => Kind::Text,
            (_, "") => by_default,
            (_, kind) if kind.starts_with("text/") || kind.ends_with("xml") || !kind.contains('/') => by_default,
            _ => Kind::Base64,
        }
    }
}

impl<'a> Captured<'a> {
    pub(super) fn is_blank(&self) -> bool {
        self.raw.trim().is_empty()
    }

    /// The characters as the publisher meant them before any HTML is looked at: addresses, dates, names of languages.
    pub(super) fn decoded(&self, tokens: &Tokens<'_>) -> String {
        let mut out = String::with_capacity(self.raw.len());
        for token in Tokens::new(self.raw) {
            match token {
                Token::Text(text) => {
                    // Between many sections the references of the document's own would lengthen each piece anew.
                    let short = out.len() <= self.raw.len() + entities::EXPANDED_BYTES_MAX;
                    entities::decode_into(text, short.then_some(&tokens.defined), &mut out);
                }
                Token::Literal(text) => out.push_str(text),
                Token::Open(_) | Token::Close(_) => {}
            }
        }
        out
    }

    /// As HTML source.
    fn html(&self, tokens: &Tokens<'_>) -> Cow<'a, str> {
        if self.has_markup { Cow::Borrowed(self.raw) } else { Cow::Owned(self.decoded(tokens)) }
    }

    /// As one line of plain text.
    pub(super) fn line(&self, tokens: &Tokens<'_>, bytes_max: usize) -> String {
        self.written(tokens, bytes_max).line(bytes_max)
    }

    /// A name: plain text, or an element for it.
    pub(super) fn person(&self, tokens: &Tokens<'_>) -> String {
        if !self.has_markup {
            return self.line(tokens, NAME_CHARACTERS_MAX);
        }
        let mut found: [Option<String>; 2] = [None, None];
        let mut inner = Tokens::new(self.raw);
        for _ in 0..PERSON_TOKENS_MAX {
            let Some(token) = inner.next() else { break };
            let Token::Open(tag) = token else { continue };
            let at = match tag.split().1.to_ascii_lowercase().as_str() {
                "name" => 0,
                "email" => 1,
                _ => continue,
            };
            let start = inner.at;
            let behind = &self.raw[start..self.raw.floor_char_boundary(start + NAME_BYTES_MAX)];
            let end = behind.find("</").unwrap_or(behind.len());
            let value = Captured { raw: &behind[..end], has_markup: false, kind: Kind::Text };
            let value = value.line(tokens, NAME_CHARACTERS_MAX);
            if !value.is_empty() {
                found[at].get_or_insert(value);
            }
        }
        match found {
            [None, None] => self.line(tokens, NAME_CHARACTERS_MAX),
            [Some(name), _] => name,
            [None, Some(email)] => email,
        }
    }

    /// The text, decoded once, and what it really is written in, whatever is said of it. Of text of which no more than `bytes_max`
    /// bytes are wanted in the end.
    pub(super) fn written(&self, tokens: &Tokens<'_>, bytes_max: usize) -> Written<'a> {
        self.as_written(tokens, bytes_max).shortened(bytes_max)
    }

    fn as_written(&self, tokens: &Tokens<'_>, bytes_max: usize) -> Written<'a> {
        let source = match self.kind {
            Kind::Base64 if !self.has_markup => Cow::Owned(base64(self.raw).unwrap_or_else(|| self.decoded(tokens))),
            _ => self.html(tokens),
        };
        match self.kind {
            // Publishers break the lines of plain text where their programs are full, not where a paragraph ends.
            Kind::Text if !self.has_markup && !html::looks_like_html(&source) => {
                Written::plain(source.replace(['\n', '\r'], " "))
            }
            // Markup that was escaped inside markup: the outer tags were put there by a careless program.
            Kind::Html | Kind::Text | Kind::Base64 if self.has_markup && self.raw.contains("&lt;") => {
                let once = html::plain_text(&source, bytes_max);
                Written::html(if html::looks_like_html(&once) { Cow::Owned(once) } else { source })
            }
            _ => Written::html(source),
        }
    }
}

/// The text in base 64; `None` if it is none, or no text.
fn base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, kind: Kind, expected: &str) {
        let captured = Captured { raw, has_markup: Tokens::new(raw).any(|t| matches!(t, Token::Open(_))), kind };
        assert_eq!(captured.line(&Tokens::new(""), 1_000), expected, "{raw}");
    }

    #[test]
    fn every_way_of_writing_text_is_read() {
        check("AT&amp;T", Kind::Html, "AT&T");
        check("AT&amp;amp;T", Kind::Html, "AT&T");
        check("&lt;b&gt;bold&lt;/b&gt;", Kind::Html, "bold");
        check("<![CDATA[<b>bold</b> &amp; more]]>", Kind::Html, "bold & more");
        check("some <b>bold</b> text", Kind::Html, "some bold text");
        check("<div>x &lt; y</div>", Kind::Xhtml, "x < y");
        check("Vec&lt;T&gt; is &amp;", Kind::Text, "Vec<T> is &");
        check("&lt;p&gt;mislabelled&lt;/p&gt;", Kind::Text, "mislabelled");
        check("PGI+Ym9sZDwvYj4=", Kind::Base64, "bold");
        check("<p>&lt;b&gt;twice&lt;/b&gt;</p>", Kind::Html, "twice");
    }
}
