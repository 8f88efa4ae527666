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

mod batch;
mod compare;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

pub use self::batch::{Batch, Incoming, Shelf};
use self::compare::differ;
pub use self::compare::{Likeness, compare};
pub use self::words::Text;
use self::words::{HEAD, TITLE_MIN, fold, same_words, width};
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
/// A title of this length is nobody else's, even without its publisher's name.
const TITLE_LONG: u32 = 14;

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
            "it has {} % of the text of {whom} and {} more",
            percent(likeness.of_earlier),
            crate::plain::counted(likeness.new_words as usize, "word")
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
    let same: Vec<&&Candidate<'_>> =
        near.iter().filter(|other| same_words(&other.told.text.title, &told.text.title)).collect();
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
        None if width(&earlier.text.body) < HEAD
            && width(&later.text.body) < HEAD
            && speaks_like(&earlier.text, &later.text) =>
        {
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

/// Why items of one link are one story.
pub const BY_LINK: &str = "the same link";
