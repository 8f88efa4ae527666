//! In which language a text is written, as far as its words are stemmed differently.
//!
//! A vote of function words that stand in one of these languages only, over the beginning of the text. English is assumed
//! until another language has at least three votes and more than twice those of English, so that a quotation changes
//! nothing. Cyrillic, Korean, Chinese and Japanese words are known by their script and need no vote.

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
            let head = &text[..text.floor_char_boundary(VOTING_BYTES)];
            for word in head.as_bytes().split(|byte| !byte.is_ascii_alphabetic() && byte.is_ascii()) {
                if let Some(language) = vote(word) {
                    votes[language as usize] += 1;
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

/// The only one of the languages in which this is a function word.
fn vote(word: &[u8]) -> Option<Language> {
    if !(2..=5).contains(&word.len()) {
        return None;
    }
    let mut small = [0; 5];
    let small = &mut small[..word.len()];
    small.copy_from_slice(word);
    small.make_ascii_lowercase();
    match &*small {
        b"the" | b"of" | b"and" | b"to" | b"for" | b"that" | b"with" | b"from" | b"by" | b"is" | b"was" | b"at" => {
            Some(Language::English)
        }
        b"les" | b"dans" | b"pour" | b"qui" | b"sur" | b"par" | b"aux" | b"du" | b"une" | b"avec" | b"cette"
        | b"sont" | b"est" | b"au" | b"ces" => Some(Language::French),
        b"der" | b"und" | b"das" | b"von" | b"mit" | b"ist" | b"auf" | b"nicht" | b"ein" | b"eine" | b"dem"
        | b"den" | b"sich" | b"wird" | b"zu" | b"im" | b"zur" | b"nach" => Some(Language::German),
        b"los" | b"las" | b"una" | b"del" | b"con" | b"el" | b"por" | b"para" | b"su" | b"como" | b"fue" | b"sus"
        | b"al" => Some(Language::Spanish),
        _ => None,
    }
}

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
