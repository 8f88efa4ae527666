//! Phrases: names in any script, found all at once in a folded text.
//!
//! A phrase must stand as a word of its own where its script has such a thing: nothing is asked of Han and Kana; Korean may be
//! followed by particles (북한에서는); a "*" at the end lets the last word go on (норкоре*).
//!
//! Phrases are found as they are written ("APG" is not in APGA, "ISIS" not in crisis), with one exception: Russian words of
//! four letters or more are found with any Russian ending in place of their own, so that "Северная Корея" finds Северной
//! Кореи and Северную Корею. Words in capitals (ФАТФ) and phrases with a "=" before them ("=Северной Кореи") or a "*" behind
//! them are found as written only.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use daachorse::DoubleArrayAhoCorasick;

use super::fold::Folded;
use super::script::PARTICLES;
use super::text::{Class, class};

/// Shorter words are compared as they are written: too little is left of them to tell them apart.
const INFLECTED_LETTERS_MIN: usize = 4;

/// Endings of Russian nouns and adjectives.
const ENDINGS: &[&str] = &[
    "", "а", "я", "у", "ю", "ы", "и", "е", "о", "ь", "й", "ой", "ей", "ою", "ею", "ом", "ем", "ам", "ям", "ах", "ях",
    "ов", "ев", "ами", "ями", "ый", "ий", "ая", "яя", "ое", "ее", "ые", "ие", "ого", "его", "ому", "ему", "ым", "им",
    "ую", "юю", "ых", "их", "ыми", "ими",
];
/// Letters that are left of a word without its ending.
const BASE_LETTERS_MIN: usize = 3;

/// A phrase as it is searched for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// What is searched for; of a phrase with endings the part before the first ending.
    folded: String,
    goes_on: bool,
    /// What follows, word by word: what must stand before the word, and the word.
    rest: Vec<(String, Word)>,
}

/// A word of a phrase with endings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Word {
    Exact(String),
    /// Any form of it.
    Inflected(String),
}

impl Pattern {
    /// From the phrase as written; `None` when nothing is left of it to search for.
    pub fn new(text: &str) -> Option<Pattern> {
        let (text, exact) = match text.trim().strip_prefix('=') {
            Some(exact) => (exact, true),
            None => (text.trim(), false),
        };
        let (text, goes_on) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let folded = Folded::new(text.trim()).text().to_string();
        let says_something = folded.chars().any(|c| !matches!(class(c), Class::Separator | Class::Ignorable));
        if !says_something {
            return None;
        }
        let inflected = if exact || goes_on { None } else { Pattern::inflected(text.trim(), &folded) };
        Some(inflected.unwrap_or(Pattern { folded, goes_on, rest: Vec::new() }))
    }

    /// The phrase by the forms of its Russian words; `None` when it has none.
    fn inflected(written: &str, folded: &str) -> Option<Pattern> {
        // In capitals it is an abbreviation, unless all of the phrase is.
        let capitals = |word: &str| word.chars().all(|c| !c.is_lowercase());
        let written: Vec<&str> = words(written).map(|(_, word)| word).collect();
        let parts: Vec<(&str, &str)> = words(folded).collect();
        if parts.len() != written.len() {
            return None;
        }
        let mut rest: Vec<(String, Word)> = Vec::new();
        for ((before, word), written) in parts.iter().zip(written) {
            let russian = word.chars().all(|c| matches!(c, 'а'..='я' | 'ё'));
            let long = word.chars().count() >= INFLECTED_LETTERS_MIN;
            rest.push((
                before.to_string(),
                if russian && long && !capitals(written) {
                    Word::Inflected(word.to_string())
                } else {
                    Word::Exact(word.to_string())
                },
            ));
        }
        let first = rest.iter().position(|(_, word)| matches!(word, Word::Inflected(_)))?;
        // A phrase that ends in a sign is searched for with it.
        if !folded.ends_with(parts.last()?.1) {
            return None;
        }
        let mut start: String = String::new();
        for (before, word) in rest.drain(..first) {
            start.push_str(&before);
            if let Word::Exact(word) = word {
                start.push_str(&word);
            }
        }
        let (before, word) = rest.first_mut()?;
        start.push_str(&std::mem::take(before));
        if let Word::Inflected(word) = word {
            start.push_str(base(word));
        }
        Some(Pattern { folded: start, goes_on: false, rest })
    }

    /// The pieces of it that stand in every text that it is found in, in order; whether the last word of each may go on there.
    pub fn pieces(&self) -> Vec<(&str, bool)> {
        let Some((_, Word::Inflected(first))) = self.rest.first() else {
            let particles = self.folded.chars().next_back().is_some_and(|c| class(c) == Class::Hangul);
            return vec![(&self.folded, self.goes_on || particles)];
        };
        let before = self.folded.strip_suffix(base(first)).unwrap_or_default();
        let mut pieces = vec![(before, false)];
        pieces.extend(self.rest.iter().map(|(_, word)| match word {
            Word::Exact(word) => (word.as_str(), false),
            Word::Inflected(word) => (base(word), true),
        }));
        pieces
    }

    /// Where the match ends when it stands as words of its own.
    fn stands(&self, text: &str, place: &Range<usize>) -> Option<usize> {
        // Nearly all that is found within a word is Latin: told without looking at characters.
        let bytes = text.as_bytes();
        let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let glued = |before: Option<usize>, after: usize| before.is_some_and(letter) && letter(after);
        let may_go_on = self.goes_on || !self.rest.is_empty();
        if glued(place.start.checked_sub(1), place.start) || !may_go_on && glued(place.end.checked_sub(1), place.end) {
            return None;
        }
        let kind = |c: Option<char>| c.map_or(Class::Separator, class);
        let apart = |a: Class, b: Class| a != b || !matches!(a, Class::Word | Class::Hangul);
        let first = kind(self.folded.chars().next());
        if !apart(kind(text[..place.start].chars().next_back()), first) {
            return None;
        }
        if !self.rest.is_empty() {
            return self.rest_ends(text, place);
        }
        let last = kind(self.folded.chars().next_back());
        let after = &text[place.end..];
        let stands = self.goes_on
            || apart(last, kind(after.chars().next()))
            || last == Class::Hangul && only_particles(after.split(|c| class(c) != Class::Hangul).next().unwrap_or(""));
        stands.then_some(place.end)
    }

    /// Where the words of a phrase with endings end, when they are all there.
    fn rest_ends(&self, text: &str, place: &Range<usize>) -> Option<usize> {
        let found = &text[place.clone()];
        let mut at = place.start + found.rfind(|c| !is_letter(c)).map_or(0, |sign| sign + 1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
        for (before, word) in &self.rest {
            at += text[at..].starts_with(before.as_str()).then_some(before.len())?;
            let length = text[at..].find(|c| !is_letter(c)).unwrap_or(text.len() - at);
            let here = &text[at..at + length];
            let same = match word {
                Word::Exact(word) => here == word,
                Word::Inflected(word) => [base(word), word]
                    .iter()
                    .any(|start| here.strip_prefix(start).is_some_and(|ending| ENDINGS.contains(&ending))),
            };
            at += same.then_some(length)?;
        }
        Some(at)
    }
}

fn is_letter(c: char) -> bool {
    matches!(class(c), Class::Word | Class::Hangul | Class::Ideograph)
}

/// A Russian word without its ending.
fn base(word: &str) -> &str {
    let bases = ENDINGS.iter().filter_map(|ending| word.strip_suffix(ending));
    bases.filter(|base| base.chars().count() >= BASE_LETTERS_MIN).min_by_key(|base| base.len()).unwrap_or(word)
}

/// The words of a text, each with what stands between the one before and it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_letter)?;
        let length = rest[start..].find(|c| !is_letter(c)).unwrap_or(rest.len() - start);
        let found = (&rest[..start], &rest[start..start + length]);
        rest = &rest[start + length..];
        Some(found)
    })
}

fn only_particles(rest: &str) -> bool {
    // No pile of particles is longer; a longer rest is another word.
    rest.is_empty()
        || rest.chars().count() <= 5
            && PARTICLES.iter().any(|particle| rest.strip_prefix(particle).is_some_and(only_particles))
}

/// Finds many patterns: in one pass over a text of plain Latin letters, in two over any other.
#[derive(Debug, Default)]
pub struct Finder {
    patterns: Vec<Pattern>,
    /// Those of ASCII characters, and the others: a text without other characters holds none of these.
    plain: Automaton,
    others: Automaton,
}

/// Patterns that are searched for at once.
#[derive(Default)]
struct Automaton {
    /// Gives for each text that is searched for a range of `numbers`: the patterns that search for it.
    states: Option<DoubleArrayAhoCorasick<u32>>,
    ranges: Vec<Range<u32>>,
    numbers: Vec<u32>,
}

impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Automaton({} patterns)", self.numbers.len())
    }
}

/// The names of all profiles together are more than can be searched for at once.
#[derive(Debug, thiserror::Error)]
#[error("the profiles have too many names to search for at once: {0}")]
pub struct TooMany(String);

impl Automaton {
    /// Of some of these patterns.
    fn of(patterns: &[Pattern], wanted: impl Fn(&Pattern) -> bool) -> Result<Automaton, TooMany> {
        let mut by_text: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (number, pattern) in patterns.iter().enumerate().filter(|(_, pattern)| wanted(pattern)) {
            by_text.entry(&pattern.folded).or_default().push(number as u32);
        }
        let (mut ranges, mut numbers) = (Vec::with_capacity(by_text.len()), Vec::new());
        for same in by_text.values() {
            let start = numbers.len() as u32;
            numbers.extend(same);
            ranges.push(start..numbers.len() as u32);
        }
        let texts = by_text.keys().enumerate().map(|(index, text)| (*text, index as u32));
        let states = match by_text.is_empty() {
            true => None,
            false => Some(DoubleArrayAhoCorasick::with_values(texts).map_err(|error| TooMany(error.to_string()))?),
        };
        Ok(Automaton { states, ranges, numbers })
    }
}

impl Finder {
    /// A finder of these patterns. Fails only when they are more than millions.
    pub fn new(patterns: Vec<Pattern>) -> Result<Finder, TooMany> {
        let plain = Automaton::of(&patterns, |pattern| pattern.folded.is_ascii())?;
        let others = Automaton::of(&patterns, |pattern| !pattern.folded.is_ascii())?;
        Ok(Finder { plain, others, patterns })
    }

    /// Calls `found` with the number of a pattern and the bytes of the folded text, for every match.
    pub fn find(&self, folded: &Folded, mut found: impl FnMut(usize, Range<usize>)) {
        let text = folded.text();
        let automata = [Some(&self.plain), (!text.is_ascii()).then_some(&self.others)];
        for automaton in automata.into_iter().flatten() {
            let Some(states) = &automaton.states else { continue };
            for hit in states.find_overlapping_iter(text) {
                let range = &automaton.ranges[hit.value() as usize];
                for number in &automaton.numbers[range.start as usize..range.end as usize] {
                    let number = *number as usize;
                    if let Some(end) = self.patterns[number].stands(text, &(hit.start()..hit.end())) {
                        found(number, hit.start()..end);
                    }
                }
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
            ("Северная Корея", "Северной Кореи, Северную\n Корею и СЕВЕРНАЯ КОРЕЯ", 3),
            ("Северная Корея", "северокорейский, Северная Кореянка, Южная Корея", 0),
            ("=Северной Кореи", "Северной Кореи, Северную Корею", 1),
            ("ФАТФ", "ФАТФ, фатфы", 1),
            ("биржа Garantex", "с биржей Garantex", 1),
            ("Garantex биржа", "Garantex биржи и Garantexx биржа", 1),
            ("группа \"Лазарь\"", "группы \"Лазарь\"", 0),
            ("Совет безопасности ООН", "Советом Безопасности ООН", 1),
            ("Совет безопасности ООН", "Советом Безопасности ООНа", 0),
            ("Ким Чен Ын", "Ким Чен Ына", 0),
            ("Корея", "кора, корой, Кореей", 1),
            ("Кореи", "кора, корой, Кореей", 1),
            ("перелом", "перелома и перелом", 2),
            ("Garantex", "Gаrаntех (в кириллице)", 1),
            ("Gаrаntех", "Garantex", 1),
            ("А7А5", "A7A5 and А7А5", 2),
            ("ISIS", "crisis ISISi", 0),
        ];
        for (phrase, text, expected) in cases {
            assert_eq!(matches(phrase, text), expected, "{phrase} in {text}");
        }
        assert_eq!(Pattern::new(" *"), None);
        assert_eq!(Pattern::new("\u{ad} -"), None);
    }
}
