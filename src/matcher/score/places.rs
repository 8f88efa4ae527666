//! Where in a text something stands: in which sentence, and how many words from something else.

use std::ops::Range;

use crate::matcher::text::{Class, class};

/// A place in the folded title or body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Title, else body.
    pub(super) in_title: bool,
    /// Bytes of the folded text.
    pub(super) range: Range<usize>,
}

/// Sentences and words of a folded title and body. Made for an item only when a rule asks how near two things stand.
#[derive(Debug, Default)]
pub(super) struct Places {
    title: Part,
    body: Part,
}

#[derive(Debug, Default)]
struct Part {
    /// Where sentences end.
    sentence_ends: Vec<u32>,
    /// Where words begin; each character of Han and Kana is a word.
    word_starts: Vec<u32>,
}

impl Places {
    /// Of these folded texts.
    pub(super) fn of(title: &str, body: &str) -> Places {
        Places { title: Part::of(title), body: Part::of(body) }
    }

    /// The number of the sentence that the place begins in; different for title and body.
    pub(super) fn sentence(&self, place: &Place) -> (bool, usize) {
        let ends = &self.part(place).sentence_ends;
        (place.in_title, ends.partition_point(|end| *end as usize <= place.range.start))
    }

    /// How many words lie between the places: 1 when they are adjacent. The body goes on where the title ends.
    pub(super) fn distance(&self, a: &Place, b: &Place) -> u32 {
        let word = |place: &Place, at: usize| {
            let before = if place.in_title { 0 } else { self.title.word_starts.len() };
            before + self.part(place).word_starts.partition_point(|start| *start as usize <= at)
        };
        // From the last word of the one to the first word of the other; what overlaps is as near as can be.
        let order = |place: &Place| (!place.in_title, place.range.start);
        let (first, second) = if order(a) <= order(b) { (a, b) } else { (b, a) };
        let from = word(first, first.range.end.saturating_sub(1));
        word(second, second.range.start).saturating_sub(from) as u32
    }

    fn part(&self, place: &Place) -> &Part {
        if place.in_title { &self.title } else { &self.body }
    }
}

impl Part {
    fn of(text: &str) -> Part {
        let mut part = Part::default();
        let mut before = Class::Separator;
        let mut characters = text.char_indices().peekable();
        // Letters since the last separator: the dot after one letter, or between digits, ends no sentence.
        let mut letters = 0;
        while let Some((at, c)) = characters.next() {
            let kind = match c {
                'a'..='z' | '0'..='9' => Class::Word,
                ' ' => Class::Separator,
                _ => class(c),
            };
            if kind == Class::Ideograph || kind != before && matches!(kind, Class::Word | Class::Hangul) {
                part.word_starts.push(at as u32);
            }
            let next = characters.peek().map(|(_, next)| *next);
            let stops = match c {
                '。' | '！' | '？' | '．' => true,
                '!' | '?' | '…' => next.is_none_or(|next| next.is_whitespace()),
                '.' => letters != 1 && next.is_none_or(|next| next.is_whitespace()),
                _ => false,
            };
            if stops {
                part.sentence_ends.push((at + c.len_utf8()) as u32);
            }
            letters = if matches!(kind, Class::Word | Class::Hangul) { letters + 1 } else { 0 };
            before = kind;
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, word: &str) -> Place {
        let at = text.find(word).expect("in the text");
        Place { in_title: false, range: at..at + word.len() }
    }

    #[test]
    fn sentences_end_where_a_reader_would_say() {
        for (text, first, second, same) in [
            ("the north left. apg met", "north", "apg", false),
            ("the north and apg met", "north", "apg", true),
            ("the u.s. and the north met", "u.s", "north", true),
            ("about 1.5 billion went north", "1.5", "north", true),
            ("北朝鮮は去った。会合は続く", "北朝鮮", "会合", false),
            ("really? the north", "really", "north", false),
        ] {
            let places = Places::of("", text);
            let (a, b) = (places.sentence(&place(text, first)), places.sentence(&place(text, second)));
            assert_eq!(a == b, same, "{text}");
        }
    }

    #[test]
    fn distances_are_counted_in_words() {
        for (text, first, second, distance) in [
            ("the north left the apg", "north", "left", 1),
            ("the north left the apg", "apg", "north", 3),
            ("north korea left", "north korea", "left", 1),
            ("北朝鮮の会合", "北朝鮮", "会合", 2),
        ] {
            let places = Places::of("", text);
            assert_eq!(places.distance(&place(text, first), &place(text, second)), distance, "{text}");
        }
        let title = Place { in_title: true, range: 0..3 };
        assert_eq!(Places::of("apg meets", "the north").distance(&place("the north", "north"), &title), 3);
    }
}
