//! Taking the content of an element as it stands, whatever is in it.

use super::text::{Captured, Kind};
use super::tokens::{Tag, Token, Tokens, is_any};

/// How often within an entry reading may go back to where a field without an end tag should have ended. Each time costs a
/// pass over the rest of the entry.
const RESCUES_MAX: usize = 20;

impl<'a> Tokens<'a> {
    /// Everything up to the element's end tag; where that is missing, up to the next thing that cannot be inside it.
    pub(super) fn capture(&mut self, tag: &Tag<'a>, kind: Kind) -> Captured<'a> {
        if tag.empty {
            return Captured { kind, ..Captured::default() };
        }
        let start = self.at;
        let (mut depth, mut has_markup) = (0usize, false);
        // Where the content should have ended if the end tag turns out to be missing.
        let mut next_field = None;
        let end = loop {
            let before = self.at;
            match self.next() {
                None => {
                    self.broke_off |= next_field.is_none();
                    break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup);
                }
                Some(Token::Close(name)) if name.eq_ignore_ascii_case(tag.name) => {
                    if depth == 0 {
                        break before;
                    }
                    depth -= 1;
                    has_markup = true;
                }
                Some(Token::Close(name)) => {
                    if is_any(name, &["item", "entry", "channel", "feed", "rss"]) {
                        break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup);
                    }
                    has_markup = true;
                }
                Some(Token::Open(inner)) => {
                    if is_any(inner.name, &["item", "entry"]) {
                        break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup);
                    }
                    if next_field.is_none()
                        && is_any(
                            inner.name,
                            &[
                                "title",
                                "link",
                                "description",
                                "pubDate",
                                "guid",
                                "author",
                                "category",
                                "enclosure",
                                "content:encoded",
                                "dc:date",
                                "dc:creator",
                                "published",
                                "updated",
                                "summary",
                            ],
                        )
                    {
                        next_field = Some((before, has_markup));
                    }
                    depth += usize::from(!inner.empty && inner.name.eq_ignore_ascii_case(tag.name));
                    has_markup = true;
                }
                Some(Token::Text(_) | Token::Literal(_)) => {}
            }
        };
        Captured { raw: &self.text[start..end], has_markup, kind }
    }

    /// Goes back to where an element without an end tag should have ended.
    fn rescue(&mut self, (at, markup): (usize, bool), has_markup: &mut bool) -> usize {
        if self.rescues < RESCUES_MAX {
            self.rescues += 1;
            self.at = at;
            *has_markup = markup;
        } else {
            self.at = self.at.max(at);
        }
        at
    }
}
