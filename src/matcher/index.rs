//! The words under which a text is found again in the archive: those of the folded text, so that a search folds as the matcher does.
//!
//! Each run of letters and digits is a word; a run of Han and Kana gives its overlapping pairs of characters and its last character,
//! so that a name is found wherever it stands in the run. An index of these words gives *candidates*: everything that a phrase is found
//! in, and a little more. Whether it is really found is for [`super::score`] to say.

use super::fold::Folded;
use super::phrase::Pattern;
use super::text::{Class, class};
use crate::model::{Id, Item};

/// Of a longer word the beginning is kept: it is no word but data that got into the text.
const WORD_BYTES_MAX: usize = 64;
/// Words of one item that are kept: a report of 300 pages.
const WORDS_MAX: usize = 150_000;

/// An item's words as they are indexed, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexedText {
    /// Those of the title.
    pub title: String,
    /// Those of the text below it.
    pub body: String,
    /// How the Korean words of both begin: their first two syllables. Particles follow most of them, and most names have two, so without
    /// it most searches in Korean would be for all words that begin so.
    pub beginnings: String,
    /// The mark of its source, see [`Candidates::Source`].
    pub source: String,
}

/// The mark of a source: letters and digits.
fn source_mark(source: &str) -> String {
    format!("{:x}", Id::of(&["source", source]).0)
}

impl IndexedText {
    /// Of this item.
    pub fn of(item: &Item) -> IndexedText {
        let mut beginnings = String::new();
        let mut read = |text: &str| {
            let folded = Folded::new(text);
            let mut joined = String::with_capacity(text.len());
            for word in words(folded.text()).into_iter().take(WORDS_MAX) {
                joined.push_str(word);
                joined.push(' ');
                if let Some(beginning) = beginning(word) {
                    beginnings.push_str(beginning);
                    beginnings.push(' ');
                }
            }
            joined.truncate(joined.trim_end().len());
            joined
        };
        let (title, body) = (read(&item.title), read(&item.body()));
        IndexedText { title, body, beginnings, source: source_mark(&item.source) }
    }
}

/// The first two syllables of a Korean word.
fn beginning(word: &str) -> Option<&str> {
    let mut syllables = word.char_indices();
    syllables.next().filter(|(_, first)| class(*first) == Class::Hangul)?;
    let (at, second) = syllables.next()?;
    (class(second) == Class::Hangul).then(|| &word[..at + second.len_utf8()])
}

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexWord {
    /// As indexed.
    pub text: String,
    /// Words that begin so are meant too.
    pub is_prefix: bool,
}

impl IndexWord {
    /// All that begin with these two Korean syllables: [`IndexedText::beginnings`] says which they are.
    pub fn is_beginning(&self) -> bool {
        self.is_prefix && self.looks_like_beginning()
    }

    /// Two Korean syllables, and no more.
    pub fn looks_like_beginning(&self) -> bool {
        beginning(&self.text) == Some(self.text.as_str())
    }
}

/// What an index has to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// These words side by side.
    Words {
        /// Never empty.
        words: Vec<IndexWord>,
        /// In the title.
        in_title: bool,
    },
    /// Items that are candidates of all of these.
    All(Vec<Candidates>),
    /// Items that are candidates of any of these.
    Any(Vec<Candidates>),
    /// Items of the source with this mark.
    Source(String),
    /// Items that are candidates of all of these, which stand so many words apart at most; the text goes on where the title ends.
    Near(Vec<Candidates>, u32),
}

impl Candidates {
    /// Everything that holds this phrase.
    pub fn of(pattern: &Pattern, in_title: bool) -> Option<Candidates> {
        let mut wanted: Vec<IndexWord> = Vec::new();
        let pieces = pattern.pieces();
        for (place, (piece, goes_on)) in pieces.iter().copied().enumerate() {
            let found = words(piece);
            let ends = |word: &str| word.as_ptr() as usize + word.len();
            for (number, word) in found.iter().enumerate() {
                let is_last = number + 1 == found.len();
                // The last character of a run stands in the pair before it; alone it begins a pair, or is the last of its run.
                let single = is_last && word.chars().nth(1).is_none() && word.chars().all(is_ideograph);
                if single && number > 0 && ends(found[number - 1]) == ends(word) {
                    // There it stands between the pair and the next piece.
                    if let Some(pair) = wanted.last_mut().filter(|_| place + 1 < pieces.len()) {
                        pair.is_prefix = true;
                    }
                    continue;
                }
                // A sign ends the word, whatever follows.
                let open = goes_on && is_last && piece.ends_with(word) || single;
                wanted.push(IndexWord { text: (*word).to_string(), is_prefix: open });
            }
        }
        (!wanted.is_empty()).then_some(Candidates::Words { words: wanted, in_title })
    }
}

impl Candidates {
    /// Candidates that take no words that go on, to be asked for in place of these: all of these, and more. `None`: there are none, or
    /// these are already such.
    pub fn without_prefixes(&self) -> Option<Candidates> {
        let Candidates::All(parts) = self else { return None };
        let (open, closed): (Vec<&Candidates>, Vec<&Candidates>) = parts.iter().partition(|part| part.has_prefix());
        let fewer = || Candidates::All(closed.iter().copied().cloned().collect());
        (!open.is_empty() && !closed.is_empty()).then(fewer)
    }

    /// Those of this source.
    pub fn of_source(self, source: &str) -> Candidates {
        let mut parts = match self {
            Candidates::All(parts) => parts,
            other => vec![other],
        };
        parts.push(Candidates::Source(source_mark(source)));
        Candidates::All(parts)
    }

    /// Whether a word of it may go on; the beginnings of Korean words are words of their own.
    fn has_prefix(&self) -> bool {
        match self {
            Candidates::Words { words, in_title } => {
                let is_beginning = words.len() == 1 && words[0].is_beginning() && !in_title;
                !is_beginning && words.iter().any(|word| word.is_prefix)
            }
            Candidates::All(parts) | Candidates::Any(parts) | Candidates::Near(parts, _) => {
                parts.iter().any(Candidates::has_prefix)
            }
            Candidates::Source(_) => false,
        }
    }

    /// The same, in the title.
    pub fn in_title(&self) -> Candidates {
        let all = |parts: &[Candidates]| parts.iter().map(Candidates::in_title).collect();
        match self {
            Candidates::Words { words, .. } => Candidates::Words { words: words.clone(), in_title: true },
            Candidates::All(parts) | Candidates::Near(parts, _) => Candidates::All(all(parts)),
            Candidates::Any(parts) => Candidates::Any(all(parts)),
            Candidates::Source(mark) => Candidates::Source(mark.clone()),
        }
    }
}

fn is_ideograph(c: char) -> bool {
    class(c) == Class::Ideograph
}

/// The words of a folded text in reading order.
fn words(folded: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut kind = Class::Separator;
    for (at, c) in folded.char_indices().chain(std::iter::once((folded.len(), ' '))) {
        let next = if c.is_ascii_alphanumeric() { Class::Word } else { class(c) };
        if next == kind {
            continue;
        }
        match kind {
            Class::Word | Class::Hangul => {
                let word = &folded[start..at];
                found.push(&word[..word.floor_char_boundary(WORD_BYTES_MAX)]);
            }
            Class::Ideograph => pairs(&folded[start..at], &mut found),
            Class::Ignorable | Class::Separator => {}
        }
        (start, kind) = (at, next);
    }
    found
}

/// Each character of a run with the one behind it, the last one alone.
fn pairs<'t>(run: &'t str, found: &mut Vec<&'t str>) {
    let mut characters = run.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let end = characters.peek().map_or(at + c.len_utf8(), |(next, second)| next + second.len_utf8());
        found.push(&run[at..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::phrase::Finder;

    #[test]
    fn a_text_gives_its_words() {
        for (text, expected) in [
            ("North Korea's U.S. envoy", "north korea s u s envoy"),
            ("북한에서는 APG회의", "북한에서는 apg 회의"),
            ("北朝鮮の会合 3", "北朝 朝鮮 鮮の の会 会合 合 3"),
            ("Gаrаntех А7А5", "garantex a7a5"),
            ("", ""),
        ] {
            assert_eq!(words(Folded::new(text).text()).join(" "), expected);
        }
    }

    #[test]
    fn korean_words_are_known_by_their_beginning() {
        for (word, expected) in [("북한에서는", Some("북한")), ("회의", Some("회의")), ("북", None), ("apg", None)]
        {
            assert_eq!(beginning(word), expected);
        }
    }

    #[test]
    fn a_phrase_asks_for_what_it_can_be_found_in() {
        for (phrase, expected) in [
            ("observer seat", "observer seat"),
            ("sanction*", "sanction*"),
            ("Asia-Pacific", "asia pacific"),
            ("북한", "북한*"),
            ("北朝鮮", "北朝 朝鮮"),
            ("北", "北*"),
            ("朝鲜 黑客", "朝鲜 鲜 黑客"),
            ("=Северной Кореи", "северной кореи"),
            ("Северная Корея", "северн* коре*"),
            ("ООН в Северной Корее", "оон в северн* кор*"),
            ("朝鮮 Корея", "朝鮮* коре*"),
        ] {
            let pattern = Pattern::new(phrase).expect("something to search for");
            let Some(Candidates::Words { words, .. }) = Candidates::of(&pattern, false) else { panic!("{phrase}") };
            let shown: Vec<String> =
                words.iter().map(|word| format!("{}{}", word.text, if word.is_prefix { "*" } else { "" })).collect();
            assert_eq!(shown.join(" "), expected, "{phrase}");
        }
    }

    /// What an index with the places of words says.
    fn holds(text: &str, candidates: &Candidates) -> bool {
        let folded = Folded::new(text);
        let there = words(folded.text());
        let Candidates::Words { words: wanted, .. } = candidates else { return false };
        wanted.split_inclusive(|word| word.is_prefix).all(|phrase| {
            let same = |(there, wanted): (&&str, &IndexWord)| {
                if wanted.is_prefix { there.starts_with(&wanted.text) } else { **there == wanted.text }
            };
            there.windows(phrase.len()).any(|place| place.iter().zip(phrase).all(same))
        })
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_found_was_a_candidate(
            text in proptest::collection::vec(0usize..22, 0..14),
            phrase in proptest::collection::vec(0usize..22, 1..6),
            sign in 0usize..3,
        ) {
            const PIECES: [&str; 22] = [
                " ", " ", "a", "apg", "7", "'s", "-", ".", "у", "Корея", "Корее", "северн", "ая", "ой", "북", "한", "에서", "北", "朝鮮",
                "の", "é", "\u{ad}",
            ];
            let join = |parts: &[usize]| parts.iter().map(|part| PIECES[*part]).collect::<String>();
            let written = match sign {
                0 => join(&phrase),
                1 => join(&phrase) + "*",
                _ => format!("={}", join(&phrase)),
            };
            // The phrase stands in the text more often than chance has it.
            for text in [join(&text), format!("{} {} {}", join(&text[..text.len() / 2]), join(&phrase), join(&text))] {
                let Some(pattern) = Pattern::new(&written) else { continue };
                let Some(candidates) = Candidates::of(&pattern, false) else { panic!("{written:?} asks for nothing") };
                let mut found = false;
                Finder::new(vec![pattern]).expect("one pattern").find(&Folded::new(&text), |_, _| found = true);
                proptest::prop_assert!(!found || holds(&text, &candidates), "{written:?} in {text:?}: {candidates:?}");
            }
        }
    }
}
