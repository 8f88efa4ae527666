//! Markup to tags and text. Never fails, never looks at a character more than a few times.

use crate::poller::read::entities::{self, Defined};
use crate::poller::read::markup;

/// Entities kept of a DOCTYPE, and bytes of one: there is no expansion of expansions.
const DEFINED_MAX: usize = 200;
const DEFINED_BYTES_MAX: usize = 1_000;

/// A piece of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::poller::read) enum Token<'a> {
    Open(Tag<'a>),
    /// The name in an end tag.
    Close(&'a str),
    /// Text with references.
    Text(&'a str),
    /// The content of a CDATA section.
    Literal(&'a str),
}

/// A start tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::poller::read) struct Tag<'a> {
    /// With its prefix, as written.
    pub(in crate::poller::read) name: &'a str,
    attributes: &'a str,
    /// `<link/>`
    pub(in crate::poller::read) empty: bool,
}

impl<'a> Tag<'a> {
    /// The prefix, empty if there is none, and the local name.
    pub(in crate::poller::read) fn split(&self) -> (&'a str, &'a str) {
        self.name.split_once(':').unwrap_or(("", self.name))
    }

    /// Names as written and values as written, quoted or not.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        markup::attributes(self.attributes)
    }

    /// The decoded value of the attribute with this local name, whatever its prefix and case.
    pub(super) fn attribute(&self, local: &str) -> Option<String> {
        self.attributes()
            .find(|(name, _)| name.rsplit(':').next().is_some_and(|name| name.eq_ignore_ascii_case(local)))
            .map(|(_, value)| entities::decode(value))
    }

    /// As [`Tag::attribute`], by the full name.
    pub(super) fn qualified(&self, full: &str) -> Option<String> {
        self.attributes().find(|(name, _)| name.eq_ignore_ascii_case(full)).map(|(_, value)| entities::decode(value))
    }
}

/// The tokens of a document. Comments, processing instructions and the DOCTYPE are left out.
pub(in crate::poller::read) struct Tokens<'a> {
    pub(super) text: &'a str,
    /// Where the next token begins.
    pub(super) at: usize,
    /// Entities of the DOCTYPE.
    pub(super) defined: Defined,
    /// There may be another end of a comment or section ahead. Without this memory, a document of a million openings
    /// that never end would be searched to its end a million times.
    comment_ends: bool,
    section_ends: bool,
    /// Elements of this entry that turned out to have no end tag.
    pub(super) rescues: usize,
    /// The document ended in the middle of a field.
    pub(super) broke_off: bool,
}

impl<'a> Tokens<'a> {
    pub(in crate::poller::read) fn new(text: &'a str) -> Tokens<'a> {
        Tokens {
            text,
            at: 0,
            defined: Defined::new(),
            comment_ends: true,
            section_ends: true,
            rescues: 0,
            broke_off: false,
        }
    }

    fn special(&mut self, rest: &'a str) -> Option<Token<'a>> {
        if let Some(body) = rest.strip_prefix("<!--") {
            match self.comment_ends.then(|| body.find("-->")).flatten() {
                Some(end) => self.at += end + 7,
                None => {
                    self.comment_ends = false;
                    self.at += 4;
                }
            }
            return None;
        }
        if let Some(body) = rest.strip_prefix("<![CDATA[") {
            self.at += 9;
            return match self.section_ends.then(|| body.find("]]>")).flatten() {
                Some(end) => {
                    self.at += end + 3;
                    Some(Token::Literal(&body[..end]))
                }
                // What follows is read as if the section had not begun.
                None => {
                    self.section_ends = false;
                    None
                }
            };
        }
        if rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype")) {
            self.at += self.doctype(rest);
            return None;
        }
        self.at += rest.find('>').map_or(rest.len(), |end| end + 1);
        None
    }

    /// Notes the entities that a DOCTYPE defines in itself and returns its length.
    fn doctype(&mut self, rest: &'a str) -> usize {
        let head = rest.find('>').unwrap_or(rest.len());
        let Some(open) = rest[..head].find('[') else { return (head + 1).min(rest.len()) };
        let Some(close) = rest[open..].find(']').map(|n| open + n) else { return (head + 1).min(rest.len()) };
        for declaration in rest[open..close].split("<!ENTITY").skip(1).take(DEFINED_MAX) {
            let declaration = declaration.trim_start();
            let Some((name, value)) = declaration.split_once(char::is_whitespace) else { continue };
            let value = value.trim_start();
            let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
            if let Some(end) = value[1..].find(quote).filter(|end| *end <= DEFINED_BYTES_MAX) {
                self.defined.entry(name.to_string()).or_insert_with(|| entities::decode(&value[1..=end]));
            }
        }
        close + rest[close..].find('>').map_or(rest.len() - close, |n| n + 1)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return None;
            }
            let bytes = rest.as_bytes();
            if bytes[0] != b'<' {
                let end = rest.find('<').unwrap_or(rest.len());
                self.at += end;
                return Some(Token::Text(&rest[..end]));
            }
            if matches!(bytes.get(1), Some(b'!' | b'?')) {
                match self.special(rest) {
                    Some(token) => return Some(token),
                    None => continue,
                }
            }
            let (start, close) = if bytes.get(1) == Some(&b'/') { (2, true) } else { (1, false) };
            let name_length = rest[start..]
                .find(|c: char| c.is_whitespace() || matches!(c, '>' | '/' | '<' | '=' | '"' | '\''))
                .unwrap_or(0);
            let is_name = rest[start..].starts_with(|c: char| c.is_alphabetic() || c == '_');
            let length = if is_name && name_length > 0 { markup::tag_end(&bytes[start + name_length..]) } else { None };
            let Some(length) = length else {
                // A lone "<" is text.
                let end = rest[1..].find('<').map_or(rest.len(), |n| n + 1);
                self.at += end;
                return Some(Token::Text(&rest[..end]));
            };
            let end = start + name_length + length;
            self.at += end;
            let name = &rest[start..start + name_length];
            if close {
                return Some(Token::Close(name));
            }
            let inside = &rest[start + name_length..end - 1];
            let empty = inside.ends_with('/');
            let attributes = inside.strip_suffix('/').unwrap_or(inside);
            return Some(Token::Open(Tag { name, attributes, empty }));
        }
    }
}

/// The name is one of these, in whatever case.
pub(super) fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let shown = Tokens::new(text).map(|token| match token {
            Token::Open(tag) => {
                let attributes: String = tag.attributes().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("[{}{attributes}{}]", tag.name, if tag.empty { "/" } else { "" })
            }
            Token::Close(name) => format!("[/{name}]"),
            Token::Text(text) => text.to_string(),
            Token::Literal(text) => format!("{{{text}}}"),
        });
        shown.collect()
    }

    #[test]
    fn markup_is_cut_into_tokens() {
        for (text, expected) in [
            ("<a>x</a>", "[a]x[/a]"),
            ("<?xml version='1.0'?><!-- c --><a b='1' c=\"2\" d=3 e/>", "[a b=1 c=2 d=3 e=/]"),
            ("<a><![CDATA[<b>]]></a>", "[a]{<b>}[/a]"),
            ("5 < 6 <b>x</b >", "5 < 6 [b]x[/b]"),
            ("<a b=\"x>y\">", "[a b=x>y]"),
            ("<a b=\"never></a><c d=\"1\">", "[a b=never][/a][c d=1]"),
            ("<!-- open <a>", " open [a]"),
            ("<![CDATA[open <a>", "open [a]"),
            ("<a", "<a"),
            ("<!DOCTYPE rss [<!ENTITY x \"y\">]><a>&x;", "[a]&x;"),
            ("<a href=http://example.org/x>", "[a href=http://example.org/x]"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn a_doctype_defines_entities_one_level_deep() {
        let mut tokens = Tokens::new("<!DOCTYPE r [<!ENTITY un 'United Nations'><!ENTITY b \"&un;&un;\">]><r/>");
        tokens.by_ref().count();
        assert_eq!(tokens.defined["un"], "United Nations");
        assert_eq!(tokens.defined["b"], "&un;&un;");
    }
}
