//! Text folded for the search for phrases, with the way back to the text as published.
//!
//! Folded: compatibility forms and case (NFKC, simple case folding), soft hyphens and zero-width characters gone, typographic
//! hyphens and apostrophes plain, runs of white space one space, words of mixed scripts in one ([`super::script`]).

use std::ops::Range;
use std::sync::LazyLock;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

use super::script::{is_eastern, unmixed};
use super::text::{Class, class};
use crate::plain;

static NORMALIZER: LazyLock<ComposingNormalizerBorrowed<'static>> = LazyLock::new(ComposingNormalizer::new_nfkc);
static CASES: LazyLock<CaseMapperBorrowed<'static>> = LazyLock::new(CaseMapper::new);

/// A folded text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    text: String,
    /// Where the two texts go out of step: from this byte of the folded text on, at this byte of the original.
    steps: Vec<(u32, u32)>,
}

impl Folded {
    /// Folds a text of less than 4 GB.
    pub fn new(original: &str) -> Folded {
        let mut folded = Folded { text: String::with_capacity(original.len()), steps: Vec::new() };
        let mut mixed = false;
        let bytes = original.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            // The space behind a no-break space.
            if bytes[at] == b' ' && folded.text.ends_with(' ') {
                at += 1;
                continue;
            }
            folded.step(at);
            // The common case: ASCII that only changes its case.
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii() && (bytes[at] > b' ' || !is_gap(bytes, at)) {
                at += 1;
            }
            if at > start {
                let from = folded.text.len();
                folded.text.push_str(&original[start..at]);
                folded.text[from..].make_ascii_lowercase();
                continue;
            }
            if bytes[at].is_ascii() {
                // White space of more than one character, or that is no space.
                folded.space();
                while at < bytes.len() && bytes[at].is_ascii_whitespace() {
                    at += 1;
                }
                continue;
            }
            let end = (at..bytes.len()).find(|i| bytes[*i].is_ascii()).unwrap_or(bytes.len());
            folded.foreign(original, at, end);
            let joined = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let run = &original[at..end];
            mixed = mixed
                || run.chars().any(is_eastern)
                    && (joined(at.checked_sub(1).map(|before| &bytes[before]))
                        || joined(bytes.get(end))
                        || run.chars().any(|c| c.is_alphabetic() && !is_eastern(c)));
            at = end;
        }
        if mixed { folded.unmixed() } else { folded }
    }

    /// With the words of mixed scripts in one.
    fn unmixed(self) -> Folded {
        let mut plain = Folded { text: String::with_capacity(self.text.len()), steps: Vec::new() };
        let mut next = self.steps.iter().copied().peekable();
        let (mut source, mut at) = (0, 0);
        for part in self.text.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
            let new = unmixed(word);
            // Each letter becomes one letter, so they keep their places.
            let mut letters = new.as_deref().unwrap_or(word).chars().chain(part[word.len()..].chars());
            for old in part.chars() {
                while let Some((_, from)) = next.next_if(|(folded, _)| *folded as usize <= at) {
                    source = from as usize;
                }
                // One character that became many leads back to its own place, not to what follows it.
                plain.step(next.peek().map_or(source, |(_, from)| source.min(*from as usize)));
                plain.text.extend(letters.next());
                at += old.len_utf8();
                source += old.len_utf8();
            }
        }
        plain
    }

    /// The folded text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the original that a range of the folded text came from, between characters.
    pub fn original(&self, range: Range<usize>, original: &str) -> Range<usize> {
        let back = |at: usize| {
            let next = self.steps.partition_point(|(folded, _)| *folded as usize <= at);
            let (folded, source) = next.checked_sub(1).map_or((0, 0), |step| self.steps[step]);
            let limit = self.steps.get(next).map_or(original.len(), |step| step.1 as usize);
            original.floor_char_boundary((source as usize + at - folded as usize).min(limit))
        };
        let start = back(range.start);
        let mut end = back(range.end).max(start);
        while !original.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }

    fn step(&mut self, source: usize) {
        let (folded, at) = self.steps.last().map_or((0, 0), |s| (s.0 as usize, s.1 as usize));
        if self.text.len() - folded != source - at {
            self.steps.push((self.text.len() as u32, source as u32));
        }
    }

    fn space(&mut self) {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    /// A run without ASCII characters.
    fn foreign(&mut self, original: &str, start: usize, end: usize) {
        let run = &original[start..end];
        if NORMALIZER.is_normalized(run) && !run.starts_with(is_mark) {
            for (offset, c) in run.char_indices() {
                self.step(start + offset);
                self.character(c);
            }
            return;
        }
        // A mark that stands first belongs to the letter before the run. Each character is normalised with the marks that
        // follow it, so that every letter keeps its place.
        let mut held =
            if run.starts_with(is_mark) { self.text.pop().map(String::from) } else { None }.unwrap_or_default();
        let mut characters = run.char_indices().peekable();
        while let Some((offset, c)) = characters.next() {
            if held.is_empty() {
                self.step(start + offset);
            }
            held.push(c);
            if characters.peek().is_none_or(|(_, next)| !is_mark(*next)) {
                for c in NORMALIZER.normalize(&held).chars() {
                    self.character(c);
                }
                held.clear();
            }
        }
    }

    fn character(&mut self, c: char) {
        match c {
            '‘' | '’' | 'ʼ' => self.text.push('\''),
            '‐' | '‑' | '‒' | '–' | '—' => self.text.push('-'),
            _ if class(c) == Class::Ignorable => {}
            _ if c.is_whitespace() => self.space(),
            _ => self.text.push(CASES.simple_fold(c)),
        }
    }
}

/// Composes with the character before it: accents, Korean vowels and finals, Kana sound marks.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1160}'..='\u{11ff}' | '\u{3099}' | '\u{309a}' | '\u{ff9e}' | '\u{ff9f}')
}

/// White space that does not stay as it is.
fn is_gap(bytes: &[u8], at: usize) -> bool {
    let white = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_whitespace);
    white(at) && (bytes[at] != b' ' || white(at + 1) || at > 0 && white(at - 1))
}

/// The text around a place, as published, made safe to show: about `characters` of it, cut between words and the cuts
/// shown by "…".
pub fn context(text: &str, place: Range<usize>, characters: usize) -> String {
    let margin = characters.saturating_sub(text[place.clone()].chars().count()) / 2;
    let mut start = place.start;
    for (at, _) in text[..place.start].char_indices().rev().take(margin) {
        start = at;
    }
    let end = text[place.end..].char_indices().nth(margin).map_or(text.len(), |(at, _)| place.end + at);
    let white = |c: char| c.is_whitespace();
    // A half word at the cut goes, unless the script has no spaces there.
    if start > 0 && !text[..start].ends_with(white) {
        start = text[start..place.start].find(white).map_or(start, |at| start + at);
    }
    let mut stop = end;
    if stop < text.len() && !text[stop..].starts_with(white) {
        stop = text[place.end..stop].rfind(white).map_or(stop, |at| place.end + at);
    }
    let shown = plain::line(&text[start..stop], characters * 2);
    let (before, after) = (if start > 0 { "…" } else { "" }, if stop < text.len() { "…" } else { "" });
    format!("{before}{}{after}", shown.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fold_and_lead_back() {
        let cases = [
            ("North\u{a0}KOREA’s", "korea", "north korea's", "KOREA"),
            ("a  \n\tB", "b", "a b", "B"),
            ("North\u{a0} Korea", "korea", "north korea", "Korea"),
            ("ob\u{ad}server status", "observer", "observer status", "ob\u{ad}server"),
            ("СЕВЕРНАЯ Корея", "корея", "северная корея", "Корея"),
            ("the ＡＰＧ met", "met", "the apg met", "met"),
            ("Asia‑Pacific", "pacific", "asia-pacific", "Pacific"),
            ("Core\u{301}e du Nord", "nord", "corée du nord", "Nord"),
            ("北朝鮮　の", "の", "北朝鮮 の", "の"),
            ("die Gаrаntех-Börse é", "garantex", "die garantex-börse é", "Gаrаntех"),
            ("Кoрeя\u{a0} и  А7А5!", "a7a5", "корея и a7a5!", "А7А5"),
            ("Кoрeя\u{a0} и  А7А5, да", "да", "корея и a7a5, да", "да"),
            // A ligature of eighteen letters within a word of mixed scripts.
            ("Кoﷺ\u{345}\u{345}5 да", "да", "koصلى الله عليه وسلمii5 да", "да"),
        ];
        for (original, wanted, expected, found) in cases {
            let folded = Folded::new(original);
            assert_eq!(folded.text(), expected);
            let at = folded.text().find(wanted).expect("wanted text is there");
            assert_eq!(&original[folded.original(at..at + wanted.len(), original)], found, "{original:?}");
        }
    }

    #[test]
    fn a_context_is_short_and_ends_between_words() {
        let text =
            "It was a long winter in Macao when the observer status was given to a country that nobody expected.";
        let at = text.find("observer").expect("there");
        assert_eq!(context(text, at..at + 15, 50), "…Macao when the observer status was given to a…");
        assert_eq!(context("short", 0..5, 80), "short");
        assert_eq!(context("北朝鮮への送金を担当した銀行員", 9..12, 6), "…朝鮮への送…");
    }

    proptest::proptest! {
        #[test]
        fn any_place_leads_back_into_the_text(original in "\\PC{0,40}", from in 0usize..60, length in 0usize..20) {
            let folded = Folded::new(&original);
            let from = folded.text().floor_char_boundary(from);
            let to = folded.text().floor_char_boundary(from + length);
            let place = folded.original(from..to, &original);
            proptest::prop_assert!(original.get(place.clone()).is_some());
            context(&original, place, 20);
        }
    }
}
