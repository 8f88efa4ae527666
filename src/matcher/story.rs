//! Pure: which items tell the same thing.
//!
//! A text is a row of words (of characters where the script has no spaces), and its *shingles* are the overlapping runs of four
//! words. Of these a few are its [marks](Told::marks), chosen by their hash, so that a text and a part of it choose many of the
//! same: the store keeps marks in an index, and whoever shares one is a candidate. Candidates are then compared word by word:
//!
//! * One text must be *contained* in the other, not only be similar to it: papers cut the end off, or add to it.
//! * What differs must be more or less text, not other facts in the same place: a list of new names written with the words of
//!   the last list is another story. So names and numbers that stand for each other between words that are the same are counted, and few
//!   are allowed.
//! * What many items share (a paper's footer) says nothing: a mark that is met too often is ignored, and so are the words
//!   around it.
//!
//! Two reports in words of their own stay two stories. Texts in two languages share no words: only a link or an analyst joins
//! them. The rules lean to two stories: told twice is a nuisance, not told is a loss.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::script::unmixed;
use super::text::{Class, class};
use crate::model::{Id, Item, Relation};

/// Items further apart tell no story together. Weeklies reprint what dailies had the week before; what comes back later is mostly
/// a template, and every day more makes the index larger.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A title alone joins items of one publisher that came so close together: what is the same in two aggregators shows up in both within
/// hours, what is titled alike every day comes a day later.
const TITLE_WINDOW: SignedDuration = SignedDuration::from_hours(18);
/// A mark with so many items is no mark but a habit of a publisher.
pub const POPULAR: usize = 20;
/// Candidates that are compared word by word: those with most marks in common.
pub const CANDIDATES_MAX: usize = 8;
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
const HEAD: u32 = 80;
/// A shorter text says too little to be found again in another.
const TEXT_MIN: u32 = 24;
/// A shorter title may be that of many items.
const TITLE_MIN: u32 = 10;
/// A title of this length is nobody else's, even without its publisher's name.
const TITLE_LONG: u32 = 14;
/// So many new words make a copy an update: a paper's footer has fewer.
const NEW_MIN: u32 = 45;
/// They must also be such a share of the text.
const NEW_SHARE: f64 = 0.15;

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
enum Kind {
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
struct Token {
    word: u64,
    kind: Kind,
    width: u8,
}

/// A text ready to be compared.
#[derive(Clone, Debug, Default)]
pub struct Text {
    title: Vec<Token>,
    body: Vec<Token>,
    /// Of the body: where each begins, and its hash.
    shingles: Vec<(u64, u32)>,
}

/// An item with what stories are told by.
#[derive(Clone, Debug)]
pub struct Told {
    /// The item.
    pub item: Id,
    /// Its source.
    pub source: String,
    /// Who published it, folded; empty when unknown.
    publisher: String,
    /// When it was first seen.
    pub seen_at: Timestamp,
    /// When its publisher says that it came out.
    published_at: Option<Timestamp>,
    /// Its text.
    pub text: Text,
}

/// An earlier item with its story.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'t> {
    /// The item.
    pub told: &'t Told,
    /// Its story.
    pub story: Id,
    /// An analyst put it there: of equals it goes before.
    pub by_hand: bool,
}

/// Where an item belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The story.
    pub story: Id,
    /// The item of the story that it was found by.
    pub with: Id,
    /// How it belongs to it.
    pub relation: Relation,
    /// Why, in words.
    pub reason: String,
}

/// How far one text is in the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Share of the earlier text that the later one has.
    pub of_earlier: f64,
    /// Share of the later text that the earlier one has.
    pub of_later: f64,
    /// Words of the later text that the earlier one lacks.
    pub new_words: u32,
    /// Numbers that were changed in place.
    pub changed: usize,
}

impl Likeness {
    /// The later text as seen from the earlier.
    pub fn relation(&self) -> Relation {
        let is_more = self.new_words >= NEW_MIN && 1.0 - self.of_later >= NEW_SHARE;
        if is_more || self.changed > 0 { Relation::Update } else { Relation::Copy }
    }

    /// Of several the one with the highest is the nearest.
    fn nearness(&self) -> f64 {
        self.of_earlier.min(self.of_later) + 0.001 * self.of_earlier.max(self.of_later)
    }
}

fn percent(share: f64) -> u32 {
    (share * 100.0).round() as u32
}

impl Told {
    /// An item as stored, with its texts.
    pub fn new(item: &Item) -> Told {
        let publisher = fold(item.publisher.trim());
        Told {
            item: item.id,
            source: item.source.clone(),
            text: Text::new(&item.title, &item.body(), &publisher),
            publisher,
            seen_at: item.first_seen_at,
            published_at: item.published_at,
        }
    }

    /// What the item can be found by: at most 49 numbers, none below 0.
    pub fn marks(&self) -> Vec<i64> {
        self.text.marks()
    }

    /// How far apart the two came out, as far as that is known.
    fn distance(&self, other: &Told) -> SignedDuration {
        match (self.published_at, other.published_at) {
            (Some(one), Some(two)) => one.duration_since(two).abs(),
            _ => self.seen_at.duration_since(other.seen_at).abs(),
        }
    }
}

/// What the marks of an item lead to: rows of mark and item, from the index.
pub fn candidates(rows: &[(i64, Id)], own: Id) -> (BTreeSet<i64>, Vec<Id>) {
    let mut of_mark: BTreeMap<i64, BTreeSet<Id>> = BTreeMap::new();
    for (mark, item) in rows.iter().filter(|(_, item)| *item != own) {
        of_mark.entry(*mark).or_default().insert(*item);
    }
    let (mut popular, mut shared) = (BTreeSet::new(), BTreeMap::<Id, usize>::new());
    for (mark, items) in of_mark {
        if items.len() >= POPULAR {
            popular.insert(mark);
            continue;
        }
        for item in items {
            *shared.entry(item).or_default() += 1;
        }
    }
    let mut found: Vec<(Id, usize)> = shared.into_iter().collect();
    found.sort_by_key(|(item, count)| (std::cmp::Reverse(*count), *item));
    found.truncate(CANDIDATES_MAX);
    (popular, found.into_iter().map(|(item, _)| item).collect())
}

/// Where an item belongs by its text or title; `None` when it begins a story. `popular` are the marks that say nothing.
pub fn place(told: &Told, candidates: &[Candidate<'_>], popular: &BTreeSet<i64>) -> Option<Joined> {
    let near: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|other| other.told.item != told.item)
        .filter(|other| told.seen_at.duration_since(other.told.seen_at).abs() <= WINDOW)
        .collect();
    let compared = near.iter().filter_map(|other| Some((*other, compare(&other.told.text, &told.text, popular)?)));
    let best = compared.min_by(|(one, a), (two, b)| {
        let order = b.nearness().total_cmp(&a.nearness()).then(two.by_hand.cmp(&one.by_hand));
        order.then((one.told.seen_at, one.told.item).cmp(&(two.told.seen_at, two.told.item)))
    });
    if let Some((other, likeness)) = best {
        return Some(by_text(other, &likeness));
    }
    by_title(told, &near, popular)
}

fn by_text(other: &Candidate<'_>, likeness: &Likeness) -> Joined {
    let relation = likeness.relation();
    let whom = format!("{} of {}", other.told.item, other.told.source);
    let reason = match relation {
        Relation::Update if likeness.new_words > 0 => format!(
            "it has {} % of the text of {whom} and {} words more",
            percent(likeness.of_earlier),
            likeness.new_words
        ),
        Relation::Update => format!("{} % of its text is in {whom}, with other numbers", percent(likeness.of_later)),
        _ => format!("{} % of its text is in {whom}", percent(likeness.of_later)),
    };
    Joined { story: other.story, with: other.told.item, relation, reason }
}

/// The same title, of one publisher in two places, or so long that it is nobody else's.
fn by_title(told: &Told, near: &[&Candidate<'_>], popular: &BTreeSet<i64>) -> Option<Joined> {
    let width = width(&told.text.title);
    if width < TITLE_MIN {
        return None;
    }
    let same: Vec<&&Candidate<'_>> = near.iter().filter(|other| same_words(&other.told.text.title, &told.text.title)).collect();
    // A source that titles two stories alike has a habit, and so has one that shows the title again.
    let mut by_source: BTreeMap<&str, Id> = BTreeMap::new();
    for other in &same {
        if other.told.source == told.source
            || *by_source.entry(&other.told.source).or_insert(other.story) != other.story
        {
            return None;
        }
    }
    let fits = |other: &&&&Candidate<'_>| {
        if told.distance(other.told) > TITLE_WINDOW || differ(&other.told.text, &told.text, popular) {
            return false;
        }
        let one_publisher = !told.publisher.is_empty() && told.publisher == other.told.publisher;
        one_publisher || width >= TITLE_LONG
    };
    let other = same.iter().filter(fits).min_by_key(|other| (other.told.seen_at, other.told.item))?;
    let one_publisher = !told.publisher.is_empty() && told.publisher == other.told.publisher;
    let what = if one_publisher { "publisher and title" } else { "title" };
    let reason = format!("the same {what} as {} of {}", other.told.item, other.told.source);
    Some(Joined { story: other.story, with: other.told.item, relation: Relation::Copy, reason })
}

/// How an item belongs to a story that it was put into by its link or by hand, as seen from one that was there.
pub fn relation_by_sign(earlier: &Told, later: &Told) -> Relation {
    match compare(&earlier.text, &later.text, &BTreeSet::new()) {
        Some(likeness) => likeness.relation(),
        None if width(&earlier.text.body) < HEAD && width(&later.text.body) < HEAD && speaks_like(&earlier.text, &later.text) => {
            Relation::Copy
        }
        None => Relation::Independent,
    }
}

/// Two short texts share words: they are in one language.
fn speaks_like(one: &Text, two: &Text) -> bool {
    let words: HashSet<u64> = one.title.iter().chain(&one.body).map(|token| token.word).collect();
    let other: HashSet<u64> = two.title.iter().chain(&two.body).map(|token| token.word).collect();
    words.intersection(&other).count() * 5 >= words.len().min(other.len())
}

fn width(tokens: &[Token]) -> u32 {
    tokens.iter().map(|token| u32::from(token.width)).sum()
}

fn same_words(one: &[Token], two: &[Token]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(a, b)| a.word == b.word)
}

/// Case and compatibility forms folded.
fn fold(text: &str) -> String {
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

    fn marks(&self) -> Vec<i64> {
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
    fn habits(&self, popular: &BTreeSet<i64>) -> HashSet<u64> {
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
                begins_sentence |= matches!(c, '.' | '!' | '?' | ':' | ';' | '"' | '“' | '«' | '„' | '‘' | '\n' | '(' | '-' | '–' | '—' | '…');
                if matches!(c, '\'' | '’') && possessive(&text[at..]) {
                    at += 1;
                }
                continue;
            }
            Class::Ideograph => {
                let kind = if "一二三四五六七八九十百千万亿億两兩".contains(c) { Kind::Number } else { Kind::Unknown };
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
                let kind = FACT_WORDS.get(&word).copied().unwrap_or(Kind::Plain);
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

/// What of a text is also in another.
struct Cover {
    /// Width that counts: all but habits.
    all: u32,
    /// Width that the other has.
    shared: u32,
    /// The same of the head alone.
    head: (u32, u32),
}

impl Cover {
    fn new(text: &Text, shared: &HashSet<u64>, habits: &HashSet<u64>) -> Cover {
        let mut state = vec![0u8; text.body.len()];
        for (at, (hash, length)) in text.shingles.iter().enumerate() {
            let value = match (shared.contains(hash), habits.contains(hash)) {
                (_, true) => 1,
                (true, false) => 2,
                _ => continue,
            };
            for state in &mut state[at..at + *length as usize] {
                *state = (*state).max(value);
            }
        }
        let mut cover = Cover { all: 0, shared: 0, head: (0, 0) };
        for (token, state) in text.body.iter().zip(state) {
            let width = u32::from(token.width);
            if state == 1 {
                continue;
            }
            let own = if state == 2 { width } else { 0 };
            if cover.all < HEAD {
                cover.head = (cover.head.0 + width, cover.head.1 + own);
            }
            cover.all += width;
            cover.shared += own;
        }
        cover
    }

    fn share(&self) -> f64 {
        f64::from(self.shared) / f64::from(self.all.max(1))
    }

    fn head_share(&self) -> f64 {
        f64::from(self.head.1) / f64::from(self.head.0.max(1))
    }
}

fn covers(earlier: &Text, later: &Text, popular: &BTreeSet<i64>) -> (Cover, Cover) {
    let habits = later.habits(popular);
    let own: HashSet<u64> = earlier.shingles.iter().map(|(hash, _)| *hash).collect();
    let shared: HashSet<u64> =
        later.shingles.iter().map(|(hash, _)| *hash).filter(|hash| own.contains(hash)).collect();
    (Cover::new(earlier, &shared, &habits), Cover::new(later, &shared, &habits))
}

/// Both texts are long enough to tell, and they say different things.
fn differ(earlier: &Text, later: &Text, popular: &BTreeSet<i64>) -> bool {
    let (of_earlier, of_later) = covers(earlier, later, popular);
    of_earlier.all.min(of_later.all) >= HEAD / 2 && of_earlier.share().max(of_later.share()) < 0.3
}

/// How far one text is in the other; `None` when they do not tell the same.
pub fn compare(earlier: &Text, later: &Text, popular: &BTreeSet<i64>) -> Option<Likeness> {
    let (of_earlier, of_later) = covers(earlier, later, popular);
    let (part, whole) = if of_earlier.share() >= of_later.share() {
        (&of_earlier, &of_later)
    } else {
        (&of_later, &of_earlier)
    };
    // The shorter a text is, the more of it has to be there.
    let needed = match part.all {
        ..TEXT_MIN => return None,
        TEXT_MIN..40 => 0.9,
        40..120 => 0.75,
        _ => 0.6,
    };
    // A part begins where its text begins: no footer does. And where it is a small part, it is the head of the whole, not
    // one of many short reports.
    let is_small = part.all * 10 < whole.all * 3;
    if part.share() < needed || part.head_share() < 0.4 || is_small && whole.head_share() < 0.4 {
        return None;
    }
    let words = part.shared.min(whole.shared) / 2;
    let mut swaps = Swaps::default();
    swaps.in_titles(&earlier.title, &later.title);
    swaps.in_bodies(earlier, later);
    if swaps.are_too_many(words) {
        return None;
    }
    Some(Likeness {
        of_earlier: of_earlier.share(),
        of_later: of_later.share(),
        new_words: (of_later.all - of_later.shared) / 2,
        changed: swaps.numbers.len(),
    })
}

/// Facts that stand for each other in two texts.
#[derive(Debug, Default)]
struct Swaps {
    numbers: BTreeSet<(u64, u64)>,
    names: BTreeSet<(u64, u64)>,
    unknown: BTreeSet<(u64, u64)>,
}

impl Swaps {
    /// More than an editor or the next count of the same event explains, among so many words that are the same.
    fn are_too_many(&self, words: u32) -> bool {
        let words = words as usize;
        let numbers = if words < 60 { 0 } else { 1 + words / 60 };
        self.numbers.len() > numbers || self.names.len() > words / 150 || self.unknown.len() > words / 40
    }

    /// Counts what differs in the same place, without what the other text says elsewhere.
    fn in_gap(&mut self, one: &[Token], two: &[Token], of_one: &HashSet<u64>, of_two: &HashSet<u64>) {
        /// Of one gap no more: a list of names is one change.
        const GAP_MAX: usize = 4;
        let own = |tokens: &[Token], kinds: &[Kind], other: &HashSet<u64>| -> Vec<u64> {
            let fits = |token: &&Token| kinds.contains(&token.kind) && !other.contains(&token.word);
            tokens.iter().filter(fits).map(|token| token.word).take(GAP_MAX).collect()
        };
        for kind in [Kind::Number, Kind::Date] {
            let swapped = own(one, &[kind], of_two).into_iter().zip(own(two, &[kind], of_one));
            self.numbers.extend(swapped);
        }
        let names = [Kind::Name, Kind::Unknown];
        let swapped = own(one, &names, of_two).into_iter().zip(own(two, &names, of_one));
        let is_unknown = one.iter().chain(two).any(|token| token.kind == Kind::Unknown);
        if is_unknown { self.unknown.extend(swapped) } else { self.names.extend(swapped) }
    }

    /// Titles of the same words with other facts.
    fn in_titles(&mut self, one: &[Token], two: &[Token]) {
        let words = |tokens: &[Token]| tokens.iter().map(|token| token.word).collect::<HashSet<u64>>();
        let (of_one, of_two) = (words(one), words(two));
        let common = of_one.intersection(&of_two).count();
        let plain = |tokens: &[Token]| {
            tokens.iter().filter(|token| token.kind == Kind::Plain).map(|token| token.word).collect::<BTreeSet<u64>>()
        };
        let is_template = !plain(one).is_empty() && plain(one) == plain(two);
        if !is_template && common * 2 < of_one.len().max(of_two.len()) {
            return;
        }
        let (mut a, mut b) = (0, 0);
        for (at, place) in in_both(one, two).into_iter().chain([(one.len(), two.len())]) {
            if at > a && place > b {
                self.in_gap(&one[a..at], &two[b..place], &of_one, &of_two);
            }
            (a, b) = (at + 1, place + 1);
        }
    }

    /// Texts that go side by side, with other facts between.
    fn in_bodies(&mut self, one: &Text, two: &Text) {
        /// Longer stretches are other text, not other facts.
        const STRETCH_MAX: usize = 80;
        let words = |text: &Text| text.body.iter().chain(&text.title).map(|token| token.word).collect::<HashSet<u64>>();
        let (of_one, of_two) = (words(one), words(two));
        let (mut a, mut b) = (0, 0);
        // What follows the last block is the end of one text and of the other: footers.
        for block in blocks(one, two) {
            let (gap_a, gap_b) = (block.one - a, block.two - b);
            let (short, long) = (gap_a.min(gap_b), gap_a.max(gap_b));
            if short > 0 && long <= STRETCH_MAX && long <= short * 4 + 4 {
                self.in_gap(&one.body[a..block.one], &two.body[b..block.two], &of_one, &of_two);
            }
            (a, b) = (block.one + block.length, block.two + block.length);
        }
    }
}

/// The longest row of words that two titles share in the same order, by their places.
fn in_both(one: &[Token], two: &[Token]) -> Vec<(usize, usize)> {
    /// A longer title is none.
    const WORDS_MAX: usize = 100;
    let (one, two) = (&one[..one.len().min(WORDS_MAX)], &two[..two.len().min(WORDS_MAX)]);
    let columns = two.len() + 1;
    // Of the rest of both from each place on.
    let mut lengths = vec![0u8; (one.len() + 1) * columns];
    for a in (0..one.len()).rev() {
        for b in (0..two.len()).rev() {
            lengths[a * columns + b] = if one[a].word == two[b].word {
                lengths[(a + 1) * columns + b + 1] + 1
            } else {
                lengths[(a + 1) * columns + b].max(lengths[a * columns + b + 1])
            };
        }
    }
    let (mut a, mut b, mut found) = (0, 0, Vec::new());
    while a < one.len() && b < two.len() {
        if one[a].word == two[b].word {
            found.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if lengths[(a + 1) * columns + b] >= lengths[a * columns + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    found
}

/// A stretch that is the same in two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    one: usize,
    two: usize,
    length: usize,
}

/// The stretches that two texts share in the same order, found by the shingles that each has once.
fn blocks(one: &Text, two: &Text) -> Vec<Block> {
    let once = |text: &Text| {
        let mut places: HashMap<u64, Option<usize>> = HashMap::with_capacity(text.shingles.len());
        for (at, (hash, _)) in text.shingles.iter().enumerate() {
            places.entry(*hash).and_modify(|place| *place = None).or_insert(Some(at));
        }
        places
    };
    let of_two = once(two);
    let mut anchors: Vec<(usize, usize)> = once(one)
        .into_iter()
        .filter_map(|(hash, at)| Some((at?, (*of_two.get(&hash)?)?)))
        .collect();
    anchors.sort_unstable();
    let mut found: Vec<Block> = Vec::new();
    let (mut a, mut b) = (0, 0);
    for (mut at, mut place) in ascending(&anchors) {
        if at < a || place < b {
            continue;
        }
        while at > a && place > b && one.body[at - 1].word == two.body[place - 1].word {
            (at, place) = (at - 1, place - 1);
        }
        let same = one.body[at..].iter().zip(&two.body[place..]).take_while(|(x, y)| x.word == y.word).count();
        found.push(Block { one: at, two: place, length: same });
        (a, b) = (at + same, place + same);
    }
    found
}

/// The longest part of pairs, sorted by their first, in which the second ascends too.
fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Of each length so far the pair that ends lowest, and before each pair its predecessor.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, second)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *second);
        before.push(length.checked_sub(1).map(|last| ends[last]));
        if length == ends.len() {
            ends.push(index);
        } else {
            ends[length] = index;
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        chain.push(pairs[index]);
        next = before[index];
    }
    chain.reverse();
    chain
}

/// Stories in memory: for judging a set of items without a store.
#[derive(Debug, Default)]
pub struct Shelf {
    marks: HashMap<i64, Vec<Id>>,
    told: BTreeMap<Id, (Told, Id)>,
    /// The story that items of a link belong to now.
    stories: BTreeMap<Id, Id>,
}

impl Shelf {
    /// Puts an item where it belongs; `by_link` is the story that its link alone gives it. Items come in the order in which they
    /// were first seen.
    pub fn add(&mut self, told: Told, by_link: Id) -> Joined {
        let marks = told.marks();
        let known = self.stories.get(&by_link).copied();
        let rows: Vec<(i64, Id)> = marks
            .iter()
            .flat_map(|mark| self.marks.get(mark).into_iter().flatten().map(|item| (*mark, *item)))
            .collect();
        let (popular, found) = candidates(&rows, told.item);
        let found: Vec<Candidate<'_>> = found
            .iter()
            .filter_map(|item| self.told.get(item))
            .map(|(told, story)| Candidate { told, story: *story, by_hand: false })
            .collect();
        let first = Joined { story: by_link, with: told.item, relation: Relation::First, reason: String::new() };
        let joined = match known {
            Some(story) => {
                let other = self.told.values().find(|(_, own)| *own == story).map(|(other, _)| other);
                let relation = other.map_or(Relation::Copy, |other| relation_by_sign(other, &told));
                Joined { story, relation, reason: BY_LINK.to_string(), ..first }
            }
            None => place(&told, &found, &popular).unwrap_or(first),
        };
        self.stories.insert(by_link, joined.story);
        if joined.relation != Relation::Copy {
            for mark in marks {
                let items = self.marks.entry(mark).or_default();
                if items.len() < POPULAR {
                    items.push(told.item);
                }
            }
            self.told.insert(told.item, (told, joined.story));
        }
        joined
    }
}

/// Why items of one link are one story.
pub const BY_LINK: &str = "the same link";
