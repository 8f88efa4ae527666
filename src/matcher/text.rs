//! Text → tokens: what the frequencies count, profiles are made of, and items are scored by.
//!
//! A token is a word as its stem: compatibility forms and case are folded (NFKC, case folding), soft hyphens and
//! zero-width characters are gone, dotted abbreviations are joined (U.S. → us), a possessive 's is dropped, hyphens
//! separate. Stop words, words of one letter and numbers of one or two digits give no token. Chinese and Japanese text has
//! no spaces: each run of Han and Kana gives its overlapping pairs of characters. Korean words stay as written.
//!
//! Two tokens that are adjacent in a sentence, with nothing dropped between them, also make a *pair*. Words and pairs are
//! told apart from here on only by 64-bit hashes of their stems, which must stay the same because they are stored.
//! (Recipe and evidence: the filtering notes, steps 1 to 3.)

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use snowball_stemmers_rs::{Algorithm, Stemmer};
use xxhash_rust::xxh3::xxh3_64;

/// What a word in the title counts, and one at the head of the body; a word further down counts 1.
pub const FRONT_WEIGHT: u32 = 3;
/// How many tokens are the head of the body.
const LEAD_TOKENS: usize = 80;
/// What is longer than this is no word but data that got into the text.
const WORD_BYTES_MAX: usize = 128;
/// Bytes of a title or body that are looked at; offsets are kept in 32 bits.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// Places of the memory from words to stems (1 MB).
const CACHE_SLOTS: usize = 1 << 16;

static STOP_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("stop_words.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).collect()
});

/// One word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Hash of the stem; never 0.
    pub word: u64,
    /// Hash of the previous stem and this one; 0 when they are not adjacent.
    pub pair: u64,
    /// Where the word begins, in bytes of the title or body.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

/// An item's text with its tokens.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    /// The title as published.
    pub title: &'t str,
    /// The text below the title as published.
    pub body: &'t str,
    /// The source that showed it; empty when unknown.
    pub source: &'t str,
    /// Its language as the source says ("ko", "en-US"); empty when unknown.
    pub language: &'t str,
    tokens: Vec<Token>,
    title_tokens: usize,
}

impl<'t> Document<'t> {
    /// The tokens of the title and then of the body.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// What the token at `index` counts: 3 in the title and among the first 80 of the body, else 1.
    pub fn weight(&self, index: usize) -> u32 {
        if index < self.title_tokens + LEAD_TOKENS { FRONT_WEIGHT } else { 1 }
    }

    /// Length in weighted words.
    pub fn length(&self) -> u64 {
        let front = self.tokens.len().min(self.title_tokens + LEAD_TOKENS) as u64;
        front * u64::from(FRONT_WEIGHT) + (self.tokens.len() as u64 - front)
    }

    /// With where it comes from: thresholds may differ by source and language.
    pub fn from(self, source: &'t str, language: &'t str) -> Document<'t> {
        Document { source, language, ..self }
    }

    /// Hash of the text: another one may score otherwise.
    pub fn text_hash(&self) -> i64 {
        let both = [xxh3_64(self.title.as_bytes()), xxh3_64(self.body.as_bytes())];
        (pair_key(both[0], both[1]) >> 4) as i64
    }

    /// The part of the document that holds the token at `index`: title or body.
    pub fn part_of(&self, index: usize) -> &'t str {
        if index < self.title_tokens { self.title } else { self.body }
    }

    /// The bytes of the word at `index`, or of the pair that ends there, in the part that holds it.
    pub fn span(&self, index: usize, pair: bool) -> std::ops::Range<usize> {
        let first = self.tokens[if pair { index.saturating_sub(1) } else { index }];
        first.start as usize..self.tokens[index].end as usize
    }
}

/// What a character is to the tokeniser and to the search for phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Letters and digits of scripts that write words, and the marks on them.
    Word,
    /// Korean: words, but glued to a foreign word they are a particle after it.
    Hangul,
    /// Han and Kana: no spaces between words.
    Ideograph,
    /// Invisible: soft hyphen, zero-width characters.
    Ignorable,
    /// Everything else.
    Separator,
}

/// The class of a character.
pub fn class(c: char) -> Class {
    match c {
        _ if c.is_ascii_alphanumeric() => Class::Word,
        _ if c.is_ascii() => Class::Separator,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' => {
            Class::Ignorable
        }
        '\u{300}'..='\u{36f}' => Class::Word,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' => {
            Class::Hangul
        }
        '\u{30fb}' | '\u{30a0}' | '\u{ff65}' => Class::Separator,
        '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}' => Class::Ideograph,
        _ if c.is_alphanumeric() => Class::Word,
        _ => Class::Separator,
    }
}

/// The hash of a normalised stem as it is stored; never 0.
pub fn word_key(stem: &str) -> u64 {
    xxh3_64(stem.as_bytes()).max(1)
}

/// The hash of two adjacent stems, from their hashes; never 0.
pub fn pair_key(first: u64, second: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    xxh3_64(&bytes).max(1)
}

/// Makes tokens. Keep one and use it again: it remembers the stems of words it has met, in bounded space.
pub struct Tokenizer {
    normalizer: ComposingNormalizerBorrowed<'static>,
    cases: CaseMapperBorrowed<'static>,
    english: Stemmer,
    russian: Stemmer,
    /// Hash of the word as written, and of its stem (0: gives no token). A newcomer takes the place of whoever has it.
    cache: Vec<(u64, u64)>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokenizer")
    }
}

impl Default for Tokenizer {
    fn default() -> Tokenizer {
        Tokenizer::new()
    }
}

impl Tokenizer {
    /// One with an empty memory.
    pub fn new() -> Tokenizer {
        Tokenizer {
            normalizer: ComposingNormalizer::new_nfkc(),
            cases: CaseMapper::new(),
            english: Stemmer::create(Algorithm::English),
            russian: Stemmer::create(Algorithm::Russian),
            cache: vec![(0, 0); CACHE_SLOTS],
        }
    }

    /// Reads an item's title and body.
    pub fn read<'t>(&mut self, title: &'t str, body: &'t str) -> Document<'t> {
        let mut tokens = Vec::with_capacity((title.len() + body.len()) / 8 + 4);
        self.scan(title, &mut tokens);
        let title_tokens = tokens.len();
        self.scan(body, &mut tokens);
        Document { title, body, source: "", language: "", tokens, title_tokens }
    }

    /// The normalised stem of a word as written; `None` when it gives no token. Slow: for tables and first meetings.
    pub fn stem(&self, surface: &str) -> Option<String> {
        let word: String = if surface.is_ascii() {
            surface.bytes().filter(|b| *b != b'.').map(|b| char::from(b.to_ascii_lowercase())).collect()
        } else {
            let visible: String = surface.chars().filter(|c| class(*c) != Class::Ignorable).collect();
            self.cases.fold_string(&self.normalizer.normalize(&visible)).into_owned()
        };
        let digits = word.bytes().all(|b| b.is_ascii_digit());
        let one_letter = word.chars().nth(1).is_none();
        if one_letter || word.len() > WORD_BYTES_MAX || digits && word.len() <= 2 {
            return None;
        }
        // "US" and "U.S." are a country, "us" is nobody in particular.
        let abbreviation = surface.contains('.') || surface == "US";
        if !abbreviation && STOP_WORDS.contains(word.as_str()) {
            return None;
        }
        let stemmer = if word.chars().any(|c| matches!(c, '\u{400}'..='\u{52f}')) {
            &self.russian
        } else if word.chars().all(|c| c < '\u{250}') {
            &self.english
        } else {
            return Some(word);
        };
        Some(stemmer.stem(&word).into_owned())
    }

    /// The hash of a word's stem, from memory if possible; 0 when it gives no token.
    fn word(&mut self, surface: &str) -> u64 {
        let hash = xxh3_64(surface.as_bytes()).max(1);
        let slot = hash as usize % CACHE_SLOTS;
        let (known, key) = self.cache[slot];
        if known == hash {
            return key;
        }
        // Asked before the work, not after: a "word" may be megabytes long.
        let stem = if surface.len() > 4 * WORD_BYTES_MAX { None } else { self.stem(surface) };
        let key = stem.map_or(0, |stem| word_key(&stem));
        self.cache[slot] = (hash, key);
        key
    }

    fn scan(&mut self, text: &str, tokens: &mut Vec<Token>) {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let bytes = text.as_bytes();
        let mut previous = 0; // the stem before this place; 0 after anything that keeps words apart
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if byte.is_ascii_alphanumeric() {
                let simple_end = word_end(text, at, Class::Word);
                let end = abbreviation_end(bytes, at, simple_end);
                let word = self.word(&text[at..end]);
                push(tokens, &mut previous, word, at, end);
                at = possessive_end(text, end);
                // The last dot of "U.S." ends no sentence.
                if end > simple_end && bytes.get(at) == Some(&b'.') {
                    at += 1;
                }
                continue;
            }
            if byte.is_ascii() {
                // Punctuation keeps words apart; hyphens, slashes and apostrophes do not.
                if b".,:;!?()[]\"".contains(&byte) {
                    previous = 0;
                }
                at += 1;
                continue;
            }
            let Some(c) = text[at..].chars().next() else { break };
            match class(c) {
                Class::Ideograph => {
                    let end = word_end(text, at, Class::Ideograph);
                    self.ideographs(text, at, end, &mut previous, tokens);
                    at = end;
                }
                kind @ (Class::Word | Class::Hangul) => {
                    let end = word_end(text, at, kind);
                    let word = self.word(&text[at..end]);
                    push(tokens, &mut previous, word, at, end);
                    at = possessive_end(text, end);
                }
                Class::Ignorable | Class::Separator => {
                    if matches!(c, '。' | '！' | '？' | '…') {
                        previous = 0;
                    }
                    at += c.len_utf8();
                }
            }
        }
    }

    /// A run of Han and Kana: its overlapping pairs of characters, or the one character it has.
    fn ideographs(&mut self, text: &str, start: usize, end: usize, previous: &mut u64, tokens: &mut Vec<Token>) {
        let run = &text[start..end];
        let plain = self.normalizer.is_normalized(run) && run.chars().all(|c| class(c) != Class::Ignorable);
        let folded: String = if plain {
            run.to_string()
        } else {
            self.normalizer.normalize(run).chars().filter(|c| class(*c) != Class::Ignorable).collect()
        };
        let ends: Vec<usize> = folded.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
        if ends.len() == 1 {
            push(tokens, previous, word_key(&folded), start, end);
        }
        let mut from = 0;
        for two in ends.windows(2) {
            // Half-width forms change their number of bytes; then the run as a whole is the place.
            let (first, last) = if plain { (start + from, start + two[1]) } else { (start, end) };
            push(tokens, previous, word_key(&folded[from..two[1]]), first, last);
            from = two[0];
        }
    }
}

fn push(tokens: &mut Vec<Token>, previous: &mut u64, word: u64, start: usize, end: usize) {
    if word != 0 {
        let pair = if *previous == 0 { 0 } else { pair_key(*previous, word) };
        tokens.push(Token { word, pair, start: start as u32, end: end as u32 });
    }
    *previous = word;
}

/// Where the word of this kind that begins at `at` ends.
fn word_end(text: &str, at: usize, kind: Class) -> usize {
    let bytes = text.as_bytes();
    let mut end = at;
    while end < bytes.len() {
        let byte = bytes[end];
        if byte.is_ascii() {
            if kind != Class::Word || !byte.is_ascii_alphanumeric() {
                break;
            }
            end += 1;
            continue;
        }
        let Some(c) = text[end..].chars().next() else { break };
        let found = class(c);
        if found != kind && found != Class::Ignorable {
            break;
        }
        end += c.len_utf8();
    }
    end
}

/// Goes on over "U.S", "D.P.R.K": single letters with a dot between them.
fn abbreviation_end(bytes: &[u8], start: usize, mut end: usize) -> usize {
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    if end - start != 1 || !letter(start) {
        return end;
    }
    let inside_word = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
    while bytes.get(end) == Some(&b'.') && letter(end + 1) && !inside_word(end + 2) {
        end += 2;
    }
    end
}

/// Where the possessive 's after a word ends; `end` itself when there is none.
fn possessive_end(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    for mark in ["'s", "’s", "'S", "’S"] {
        if let Some(after) = rest.strip_prefix(mark)
            && after.chars().next().is_none_or(|c| class(c) == Class::Separator)
        {
            return end + mark.len();
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a text as written, a "+" before those that pair with the one before them.
    fn words(text: &str) -> Vec<String> {
        let mut tokenizer = Tokenizer::new();
        let document = tokenizer.read("", text);
        let shown = |t: &Token| {
            let mark = if t.pair == 0 { "" } else { "+" };
            format!("{mark}{}", &text[t.start as usize..t.end as usize])
        };
        document.tokens().iter().map(shown).collect()
    }

    fn same(a: &str, b: &str) {
        let mut tokenizer = Tokenizer::new();
        let keys = |d: Document<'_>| d.tokens().iter().map(|t| (t.word, t.pair)).collect::<Vec<_>>();
        let (left, right) = (keys(tokenizer.read("", a)), keys(tokenizer.read("", b)));
        assert!(!left.is_empty(), "{a:?} gives no token");
        assert_eq!(left, right, "{a:?} and {b:?}");
    }

    #[test]
    fn texts_give_the_words_that_matter() {
        let cases: &[(&str, &[&str])] = &[
            ("The ships of Pyongyang", &["ships", "Pyongyang"]),
            ("a U.S. court", &["U.S", "+court"]),
            ("told us, told US", &["told", "told", "+US"]),
            ("Korea's nuclear plan", &["Korea", "+nuclear", "+plan"]),
            ("high-risk list", &["high", "+risk", "+list"]),
            ("24 June 2397 A7A5 x 1718", &["June", "+2397", "+A7A5", "1718"]),
            ("it ended. Nobody spoke", &["ended", "Nobody", "+spoke"]),
            ("l’Asie du Pacifique", &["Asie", "Pacifique"]),
            ("북한에 FATF는", &["북한에", "+FATF"]),
            ("北朝鮮への送金", &["北朝", "+朝鮮", "+鮮へ", "+への", "+の送", "+送金"]),
            ("北 남한, 서울", &["北", "+남한", "서울"]),
            ("", &[]),
            ("...!? 7 -- '", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn forms_of_a_word_are_one_word() {
        same("sanctions", "Sanction");
        same("SANC\u{ad}TIONED", "sanction\u{200b}ing");
        same("U.S.", "US");
        same("D.P.R.K. banks", "dprk bank");
        same("ＡＰＧ", "apg");
        same("Core\u{301}e", "corée");
        same("санкции", "САНКЦИЯ");
        same("ﾗｻﾞﾙｽ", "ラザルス");
        same("\u{1107}\u{116e}\u{11a8}\u{1112}\u{1161}\u{11ab}", "북한");
    }

    #[test]
    fn the_front_counts_more() {
        let mut tokenizer = Tokenizer::new();
        let body = "word ".repeat(100);
        let document = tokenizer.read("Short title", &body);
        assert_eq!((document.weight(0), document.weight(81), document.weight(82)), (3, 3, 1));
        assert_eq!(document.length(), 82 * 3 + 20);
    }

    #[test]
    fn rubbish_gives_no_token() {
        assert!(words(&"x".repeat(1 << 20)).is_empty());
        assert!(words(&"\u{301}".repeat(1 << 16)).is_empty());
        assert!(words(&"'s ".repeat(1000)).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_between_characters(text in "\\PC{0,60}") {
            let mut tokenizer = Tokenizer::new();
            let document = tokenizer.read(&text, &text);
            for token in document.tokens() {
                proptest::prop_assert!(text.get(token.start as usize..token.end as usize).is_some());
                proptest::prop_assert!(token.word != 0);
            }
        }
    }
}
