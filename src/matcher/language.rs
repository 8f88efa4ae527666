//! In which language a text is written, as far as its words are stemmed differently.
//!
//! A vote of function words that stand in one of these languages only, over the beginning of the text. English is assumed
//! until another language has at least three votes and more than twice those of English, so that a quotation changes
//! nothing. Cyrillic, Korean, Chinese and Japanese words are known by their script and need no vote.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A language of Latin script with a stemmer of its own; every other one is treated as English.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Also what is not known.
    #[default]
    English,
    /// French.
    French,
    /// German.
    German,
    /// Spanish.
    Spanish,
}

/// How many there are.
pub const LANGUAGES: usize = 4;
/// Bytes of the text that vote.
const VOTING_BYTES: usize = 400;
/// With fewer votes no other language than English is assumed: a title may hold two.
const VOTES_MIN: u32 = 3;

impl Language {
    /// All of them.
    pub const ALL: [Language; LANGUAGES] = [Language::English, Language::French, Language::German, Language::Spanish];
    /// All of them as written in a profile.
    pub const CODES: [&'static str; LANGUAGES] = ["en", "fr", "de", "es"];

    /// As written in a profile.
    pub fn code(self) -> &'static str {
        Language::CODES[self as usize]
    }

    /// From its code; anything unknown is English.
    pub fn from_code(code: &str) -> Language {
        Language::ALL.into_iter().find(|language| language.code() == code).unwrap_or_default()
    }

    /// The language of a title and text.
    pub fn of(title: &str, body: &str) -> Language {
        let mut votes = [0u32; LANGUAGES];
        for text in [title, body] {
            let (mut word, mut length) = (0u64, 0);
            // The space ends the last word.
            for byte in text.as_bytes().iter().take(VOTING_BYTES).chain(b" ") {
                if byte.is_ascii_alphabetic() || !byte.is_ascii() {
                    word = word << 8 | u64::from(byte | 0x20);
                    length += 1;
                } else if length > 0 {
                    if (2..=5).contains(&length)
                        && let Ok(found) = FUNCTION_WORDS.binary_search_by_key(&word, |(known, _)| *known)
                    {
                        votes[FUNCTION_WORDS[found].1 as usize] += 1;
                    }
                    (word, length) = (0, 0);
                }
            }
        }
        let english = votes[Language::English as usize];
        let others = Language::ALL.into_iter().skip(1).rev();
        let best = others.max_by_key(|language| votes[*language as usize]).unwrap_or_default();
        let count = votes[best as usize];
        if count >= VOTES_MIN && count > 2 * english { best } else { Language::English }
    }
}

/// Words of two to five letters that are function words in one of the languages only.
const WORDS: [(Language, &str); LANGUAGES] = [
    (Language::English, "the of and to for that with from by is was at"),
    (Language::French, "les dans pour qui sur par aux du une avec cette sont est au ces"),
    (Language::German, "der und das von mit ist auf nicht ein eine dem den sich wird zu im zur nach"),
    (Language::Spanish, "los las una del con el por para su como fue sus al"),
];

/// The words as numbers, in order: letters are compared eight at a time.
static FUNCTION_WORDS: LazyLock<Vec<(u64, Language)>> = LazyLock::new(|| {
    let number = |word: &str| word.bytes().fold(0, |sum, byte| sum << 8 | u64::from(byte));
    let all = WORDS.iter().flat_map(|(language, words)| words.split(' ').map(move |word| (number(word), *language)));
    let mut all: Vec<(u64, Language)> = all.collect();
    all.sort_unstable();
    all
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_known_by_their_function_words() {
        let cases = [
            ("The bank said that it was fined.", Language::English),
            ("Les pirates de Pyongyang passent par des plateformes russes pour blanchir une partie.", Language::French),
            ("Moskau beendet mit dem Veto die Aufsicht der UN und das Gremium.", Language::German),
            ("El banco fue multado por las autoridades del país, según una nota.", Language::Spanish),
            ("Bank of the North fined for \"blanchiment par les banques\"", Language::English),
            ("Los Angeles, Las Vegas", Language::English),
            ("Sanctions", Language::English),
            ("", Language::English),
        ];
        for (text, expected) in cases {
            assert_eq!(Language::of("", text), expected, "{text}");
            assert_eq!(Language::of(&text.to_uppercase(), ""), expected, "{text}");
        }
    }

    #[test]
    fn codes_lead_back() {
        for language in Language::ALL {
            assert_eq!(Language::from_code(language.code()), language);
        }
        assert_eq!(Language::from_code("tlh"), Language::English);
    }
}
