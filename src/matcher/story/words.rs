//! A text as a row of words that can be compared: split, folded, with what each word can say; its shingles and marks.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use xxhash_rust::xxh3::xxh3_64;

use crate::matcher::script::unmixed;
use crate::matcher::text::{Class, class};

/// Bytes of an item that are looked at: 20 pages of print.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// Words of an item that are looked at.
const TOKENS_MAX: usize = 20_000;
/// Marks of the whole text.
const MARKS_OF_ALL: usize = 32;
/// Marks of its head: a summary, or a text that was cut short, is the head of another.
const MARKS_OF_HEAD: usize = 16;

/// Widths count half words: a word is 2, a character of a script without spaces 1.
const SHINGLE: u32 = 8;
/// What counts as the head of a text.
pub(super) const HEAD: u32 = 80;
/// A shorter title may be that of many items.
pub(super) const TITLE_MIN: u32 = 10;

static NORMALIZER: LazyLock<ComposingNormalizerBorrowed<'static>> = LazyLock::new(ComposingNormalizer::new_nfkc);
static CASES: LazyLock<CaseMapperBorrowed<'static>> = LazyLock::new(CaseMapper::new);

/// Numbers written as words, and the days and months: facts that carry no digit.
static FACT_WORDS: LazyLock<HashMap<u64, Kind>> = LazyLock::new(|| {
    const NUMBERS: &str = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
        eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred dozen second third fourth fifth sixth \
        seventh eighth ninth tenth zwei drei vier fünf sechs sieben acht neun zehn deux trois quatre cinq sept huit neuf dix dos \
        tres cuatro cinco seis siete ocho nueve diez два две три четыре пять шесть семь восемь девять десять";
    const DATES: &str = "monday tuesday wednesday thursday friday saturday sunday january february march april june july august \
        september october november december jan feb mar apr jun jul aug sep sept oct nov dec января февраля марта апреля мая июня \
        июля августа сентября октября ноября декабря";
    let of = |words: &'static str, kind| words.split_whitespace().map(move |word| (xxh3_64(word.as_bytes()), kind));
    of(NUMBERS, Kind::Number).chain(of(DATES, Kind::Date)).collect()
});

/// What a word can say about whether two texts mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A word that papers exchange for another as they like.
    Plain,
    /// A number.
    Number,
    /// A day or month.
    Date,
    /// Written with a capital where no sentence begins.
    Name,
    /// A word of a script, or of a title, whose letters do not tell names from others.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) word: u64,
    pub(super) kind: Kind,
    pub(super) width: u8,
}

/// A text ready to be compared.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub(super) title: Vec<Token>,
    pub(super) body: Vec<Token>,
    /// Of the body: the hash of each, and how many words it has. The first begins at the first word, and so on.
    pub(super) shingles: Vec<(u64, u32)>,
}

pub(super) fn width(tokens: &[Token]) -> u32 {
    tokens.iter().map(|token| u32::from(token.width)).sum()
}

pub(super) fn same_words(one: &[Token], two: &[Token]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(a, b)| a.word == b.word)
}

/// Case and compatibility forms folded.
pub(super) fn fold(text: &str) -> String {
    CASES.fold_string(&NORMALIZER.normalize(text)).into_owned()
}

impl Text {
    /// From a title and the text below it; `publisher` is folded.
    pub fn new(title: &str, body: &str, publisher: &str) -> Text {
        let mut title = tokens(without_publisher(title, publisher), true);
        // "UPDATE 2-" is an agency's count of its own versions.
        let update = xxh3_64(b"update");
        if title.len() > 3 && title[0].word == update && title[1].kind == Kind::Number {
            title.drain(..2);
        }
        let mut body = tokens(body, false);
        // Aggregators give the title once more as the text.
        if body.len() >= title.len() && !title.is_empty() && same_words(&body[..title.len()], &title) {
            body.drain(..title.len());
        }
        let shingles = shingles(&body);
        Text { title, body, shingles }
    }

    pub(super) fn marks(&self) -> Vec<i64> {
        let mut marks = Vec::with_capacity(1 + MARKS_OF_HEAD + MARKS_OF_ALL);
        if width(&self.title) >= TITLE_MIN {
            let bytes: Vec<u8> = self.title.iter().flat_map(|token| token.word.to_le_bytes()).collect();
            marks.push(mark(xxh3_64(&bytes)));
        }
        marks.extend(self.sample());
        marks.sort_unstable();
        marks.dedup();
        marks
    }

    /// The shingles with the lowest hashes: of the whole text, and of its head. A part of a text chooses what the whole chose
    /// there, and more.
    fn sample(&self) -> BTreeSet<i64> {
        let lowest = |shingles: &[(u64, u32)], count: usize| {
            let mut marks: Vec<i64> = shingles.iter().map(|(hash, _)| mark(*hash)).collect();
            marks.sort_unstable();
            marks.dedup();
            marks.truncate(count);
            marks
        };
        let mut head = 0;
        let in_head = self.body.iter().take_while(|token| {
            head += u32::from(token.width);
            head <= HEAD
        });
        let in_head = in_head.count().min(self.shingles.len());
        let mut marks: BTreeSet<i64> = lowest(&self.shingles[..in_head], MARKS_OF_HEAD).into_iter().collect();
        marks.extend(lowest(&self.shingles, MARKS_OF_ALL));
        marks
    }

    /// The shingles that stand where the popular marks are: nearer to one of them than to any other mark.
    pub(super) fn habits(&self, popular: &BTreeSet<i64>) -> HashSet<u64> {
        let mut habits = HashSet::new();
        if popular.is_empty() {
            return habits;
        }
        let sample = self.sample();
        let known: Vec<(usize, bool)> = self
            .shingles
            .iter()
            .enumerate()
            .filter(|(_, (hash, _))| sample.contains(&mark(*hash)))
            .map(|(at, (hash, _))| (at, popular.contains(&mark(*hash))))
            .collect();
        for (at, (hash, _)) in self.shingles.iter().enumerate() {
            let after = known.partition_point(|(place, _)| *place < at);
            let nearest = known[after.saturating_sub(1)..(after + 1).min(known.len())]
                .iter()
                .min_by_key(|(place, popular)| (place.abs_diff(at), *popular));
            if nearest.is_some_and(|(_, popular)| *popular) {
                habits.insert(*hash);
            }
        }
        habits
    }
}

/// A hash as it is stored.
fn mark(hash: u64) -> i64 {
    (hash >> 1) as i64
}

/// The title without " - Publisher" behind it.
fn without_publisher<'t>(title: &'t str, publisher: &str) -> &'t str {
    for separator in [" - ", " | ", " – ", " — ", " :: "] {
        let Some((head, tail)) = title.rsplit_once(separator) else { continue };
        let words = |text: &str| text.split_whitespace().count();
        let is_name = words(tail) <= 4 && words(head) >= 5 && !tail.chars().any(char::is_numeric);
        if (!publisher.is_empty() && fold(tail.trim()) == *publisher) || is_name {
            return head;
        }
    }
    title
}

/// Splits a text into words and characters.
fn tokens(text: &str, is_title: bool) -> Vec<Token> {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let text = NORMALIZER.normalize(text);
    let text = text.as_ref();
    let mut found: Vec<(Token, Case)> = Vec::with_capacity(text.len() / 6);
    let mut begins_sentence = true;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if found.len() >= TOKENS_MAX {
            break;
        }
        let start = at;
        at += c.len_utf8();
        match class(c) {
            Class::Ignorable => continue,
            Class::Separator => {
                // Behind them a capital says nothing.
                begins_sentence |= matches!(
                    c,
                    '.' | '!' | '?' | ':' | ';' | '"' | '“' | '«' | '„' | '‘' | '\n' | '(' | '-' | '–' | '—' | '…'
                );
                if matches!(c, '\'' | '’') && possessive(&text[at..]) {
                    at += 1;
                }
                continue;
            }
            Class::Ideograph => {
                let kind = if "一二三四五六七八九十百千万亿億两兩".contains(c) {
                    Kind::Number
                } else {
                    Kind::Unknown
                };
                let word = xxh3_64(&text.as_bytes()[start..at]);
                found.push((Token { word, kind, width: 1 }, Case::None));
            }
            _ if c.is_numeric() => {
                at = number_end(text, start);
                let digits: String = text[start..at].chars().filter(|c| c.is_numeric() || *c == '.').collect();
                found.push((Token { word: xxh3_64(digits.as_bytes()), kind: Kind::Number, width: 2 }, Case::None));
            }
            own => {
                at = word_end(text, start, own);
                let surface = &text[start..at];
                let word = folded_word(surface);
                // "A7A5", "MH370": what has a digit is a number of something.
                let has_digit = surface.bytes().any(|b| b.is_ascii_digit());
                let kind = if has_digit { Some(Kind::Number) } else { FACT_WORDS.get(&word).copied() };
                let kind = kind.unwrap_or(Kind::Plain);
                let case = match c {
                    _ if own == Class::Hangul || !(c.is_uppercase() || c.is_lowercase()) => Case::None,
                    _ if c.is_uppercase() && begins_sentence => Case::Begins,
                    _ if c.is_uppercase() => Case::Upper,
                    _ => Case::Lower,
                };
                found.push((Token { word, kind, width: 2 }, case));
            }
        }
        begins_sentence = false;
    }
    named(found, is_title)
}

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// Its script knows no capitals.
    None,
    Lower,
    Upper,
    /// With a capital, where anything has one.
    Begins,
}

/// Tells names from other words, by their capitals.
fn named(found: Vec<(Token, Case)>, is_title: bool) -> Vec<Token> {
    let count = |case: Case| found.iter().filter(|(_, own)| *own == case).count();
    // In "Treasury Sanctions Two Banks" capitals say nothing, nor in a text that is all capitals.
    let tells = count(Case::Lower) * if is_title { 1 } else { 2 } > count(Case::Upper);
    let names: HashSet<u64> =
        found.iter().filter(|(_, case)| *case == Case::Upper).map(|(token, _)| token.word).collect();
    let kind = |token: &Token, case: Case| match (token.kind, case) {
        (Kind::Plain, Case::None) => Kind::Unknown,
        (Kind::Plain, Case::Upper | Case::Begins) if !tells => Kind::Unknown,
        (Kind::Plain, Case::Upper) => Kind::Name,
        (Kind::Plain, Case::Begins) if names.contains(&token.word) => Kind::Name,
        (kind, _) => kind,
    };
    found.iter().map(|(token, case)| Token { kind: kind(token, *case), ..*token }).collect()
}

fn folded_word(surface: &str) -> u64 {
    if surface.is_ascii() {
        let lower: Vec<u8> = surface.bytes().filter(|b| *b != b'.').map(|b| b.to_ascii_lowercase()).collect();
        return xxh3_64(&lower);
    }
    let visible: String = surface.chars().filter(|c| class(*c) != Class::Ignorable && *c != '.').collect();
    let folded = CASES.fold_string(&visible);
    let plain = if folded.len() < 200 { unmixed(&folded) } else { None };
    xxh3_64(plain.as_deref().unwrap_or(&folded).as_bytes())
}

/// An "s" that belongs to the word before it.
fn possessive(rest: &str) -> bool {
    let mut characters = rest.chars();
    matches!(characters.next(), Some('s' | 'S'))
        && characters.next().is_none_or(|c| !matches!(class(c), Class::Word | Class::Hangul))
}

/// Goes on over "1,500.75".
fn number_end(text: &str, start: usize) -> usize {
    let mut end = start;
    let mut characters = text[start..].chars().peekable();
    while let Some(c) = characters.next() {
        let joins = matches!(c, '.' | ',' | '\'') && characters.peek().is_some_and(|next| next.is_numeric());
        if !c.is_numeric() && !joins {
            break;
        }
        end += c.len_utf8();
    }
    end
}

/// Where the word that begins at `start` ends; "U.S." is one.
fn word_end(text: &str, start: usize, own: Class) -> usize {
    let mut end = start;
    let mut letters = 0;
    for c in text[start..].chars() {
        match class(c) {
            Class::Ignorable => {}
            found if found == own => letters += 1,
            _ => break,
        }
        end += c.len_utf8();
    }
    let bytes = text.as_bytes();
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    if letters == 1 && letter(start) {
        while bytes.get(end) == Some(&b'.')
            && letter(end + 1)
            && !bytes.get(end + 2).is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii())
        {
            end += 2;
        }
    }
    end
}

/// Hashes of the runs of four words (eight characters), each with how many tokens it has; those that are whole.
fn shingles(tokens: &[Token]) -> Vec<(u64, u32)> {
    let mut found = Vec::with_capacity(tokens.len());
    let mut bytes = Vec::with_capacity(SHINGLE as usize * 8);
    for start in 0..tokens.len() {
        bytes.clear();
        let mut wide = 0;
        for token in &tokens[start..] {
            bytes.extend_from_slice(&token.word.to_le_bytes());
            wide += u32::from(token.width);
            if wide >= SHINGLE {
                break;
            }
        }
        if wide < SHINGLE {
            break;
        }
        found.push((xxh3_64(&bytes), bytes.len() as u32 / 8));
    }
    found
}
