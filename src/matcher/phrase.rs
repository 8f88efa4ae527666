//! Phrases: exact names in any script, found all at once in a folded text.
//!
//! A phrase must stand as a word of its own where its script has such a thing: nothing is asked of Han and Kana; Korean may be
//! followed by particles (북한에서는); a "*" at the end lets the last word go on (норкоре*).

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::fold::Folded;
use super::text::{Class, class};

/// Korean particles and endings of names; several may follow one another.
const PARTICLES: &[&str] = &[
    "에서", "에게", "으로", "까지", "부터", "보다", "처럼", "이나", "이라", "라고", "라는", "이란", "조차", "마저",
    "은", "는", "이", "가", "을", "를", "의", "에", "로", "와", "과", "도", "만", "측", "나",
];

/// Up to so many patterns the automaton is of the kind that takes about 15 kB a pattern and is twice as fast.
const FAST_PATTERNS_MAX: usize = 2_000;

/// A phrase as it is searched for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    folded: String,
    goes_on: bool,
}

impl Pattern {
    /// From the phrase as written; `None` when nothing is left of it to search for.
    pub fn new(text: &str) -> Option<Pattern> {
        let (text, goes_on) = match text.trim().strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let folded = Folded::new(text.trim()).text().to_string();
        let says_something = folded.chars().any(|c| !matches!(class(c), Class::Separator | Class::Ignorable));
        says_something.then_some(Pattern { folded, goes_on })
    }

    /// The match stands as a word of its own.
    fn stands(&self, text: &str, place: &Range<usize>) -> bool {
        let kind = |c: Option<char>| c.map_or(Class::Separator, class);
        let apart = |a: Class, b: Class| a != b || !matches!(a, Class::Word | Class::Hangul);
        let first = kind(self.folded.chars().next());
        if !apart(kind(text[..place.start].chars().next_back()), first) {
            return false;
        }
        let last = kind(self.folded.chars().next_back());
        let after = &text[place.end..];
        self.goes_on
            || apart(last, kind(after.chars().next()))
            || last == Class::Hangul && only_particles(after.split(|c| class(c) != Class::Hangul).next().unwrap_or(""))
    }
}

fn only_particles(rest: &str) -> bool {
    // No pile of particles is longer; a longer rest is another word.
    rest.is_empty()
        || rest.chars().count() <= 5
            && PARTICLES.iter().any(|particle| rest.strip_prefix(particle).is_some_and(only_particles))
}

/// Finds many patterns in one pass.
#[derive(Debug, Default)]
pub struct Finder {
    patterns: Vec<Pattern>,
    automaton: Option<AhoCorasick>,
}

impl Finder {
    /// A finder of these patterns. Fails only when together they are larger than the automaton's limit (gigabytes).
    pub fn new(patterns: Vec<Pattern>) -> Result<Finder, BuildError> {
        let automaton = match patterns.is_empty() {
            true => None,
            false => {
                let kind = (patterns.len() <= FAST_PATTERNS_MAX).then_some(AhoCorasickKind::DFA);
                Some(AhoCorasick::builder().kind(kind).build(patterns.iter().map(|p| &p.folded))?)
            }
        };
        Ok(Finder { patterns, automaton })
    }

    /// Calls `found` with the number of a pattern and the bytes of the folded text, for every match.
    pub fn find(&self, folded: &Folded, mut found: impl FnMut(usize, Range<usize>)) {
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.find_overlapping_iter(folded.text()) {
            let number = hit.pattern().as_usize();
            if self.patterns[number].stands(folded.text(), &hit.range()) {
                found(number, hit.range());
            }
        }
    }

    /// There is something to find.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(phrase: &str, text: &str) -> usize {
        let finder = Finder::new(vec![Pattern::new(phrase).expect("a phrase")]).expect("small");
        let mut count = 0;
        finder.find(&Folded::new(text), |_, _| count += 1);
        count
    }

    #[test]
    fn phrases_stand_as_words_of_their_own() {
        let cases = [
            ("APG", "the APG, (apg) and ＡＰＧ", 3),
            ("APG", "APGA and capg and APG2", 0),
            ("APG", "APG는 APGに", 2),
            ("observer status", "Observer\n status’s end", 1),
            ("북한", "북한에서는 북한의 북한", 3),
            ("북한", "북한산 탈북한", 0),
            ("朝鮮", "北朝鮮への", 1),
            ("Северной Кореи", "хакеры Северной\u{a0}Кореи.", 1),
            ("норкоре*", "норкорейский", 1),
            ("норкор", "норкорейский", 0),
            ("Corée du Nord", "CORÉE DU NORD", 1),
        ];
        for (phrase, text, expected) in cases {
            assert_eq!(matches(phrase, text), expected, "{phrase} in {text}");
        }
        assert_eq!(Pattern::new(" *"), None);
        assert_eq!(Pattern::new("\u{ad} -"), None);
    }
}
