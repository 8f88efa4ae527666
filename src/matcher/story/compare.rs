//! Two texts word by word: how much of one is in the other, and whether the rest is more text or other facts.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::words::{HEAD, Kind, Text, Token};
use crate::model::Relation;

/// A shorter text says too little to be found again in another.
const TEXT_MIN: u32 = 24;
/// So many new words make a copy an update: a paper's footer has fewer.
const NEW_MIN: u32 = 45;
/// They must also be such a share of the text.
const NEW_SHARE: f64 = 0.15;

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
    pub(super) fn nearness(&self) -> f64 {
        self.of_earlier.min(self.of_later) + 0.001 * self.of_earlier.max(self.of_later)
    }
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
    fn new(text: &Text, other: &HashMap<u64, u32>, habits: &HashSet<u64>) -> Cover {
        let mut state = vec![0u8; text.body.len()];
        let mut left = other.clone();
        for (at, (hash, length)) in text.shingles.iter().enumerate() {
            // What the other says once is not there twice.
            let value = match left.get_mut(hash) {
                _ if habits.contains(hash) => 1,
                Some(count) if *count > 0 => {
                    *count -= 1;
                    2
                }
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
    let count = |text: &Text| {
        let mut counts: HashMap<u64, u32> = HashMap::with_capacity(text.shingles.len());
        for (hash, _) in &text.shingles {
            *counts.entry(*hash).or_default() += 1;
        }
        counts
    };
    (Cover::new(earlier, &count(later), &habits), Cover::new(later, &count(earlier), &habits))
}

/// Both texts are long enough to tell, and they say different things.
pub(super) fn differ(earlier: &Text, later: &Text, popular: &BTreeSet<i64>) -> bool {
    let (of_earlier, of_later) = covers(earlier, later, popular);
    of_earlier.all.min(of_later.all) >= HEAD / 2 && of_earlier.share().max(of_later.share()) < 0.3
}

/// How far one text is in the other; `None` when they do not tell the same.
pub fn compare(earlier: &Text, later: &Text, popular: &BTreeSet<i64>) -> Option<Likeness> {
    let (of_earlier, of_later) = covers(earlier, later, popular);
    let (part, whole) =
        if of_earlier.share() >= of_later.share() { (&of_earlier, &of_later) } else { (&of_later, &of_earlier) };
    // The shorter a text is, the more of it has to be there: two short reports share a few stock sentences of their kind.
    // Where their headlines speak of different things as well, hardly anything may be missing.
    let needed = match part.all {
        ..TEXT_MIN => return None,
        TEXT_MIN..40 => 0.9,
        40..240 if are_apart(&earlier.title, &later.title) => 0.9,
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

/// Two titles of some length with hardly a word in common.
fn are_apart(one: &[Token], two: &[Token]) -> bool {
    let words = |tokens: &[Token]| tokens.iter().map(|token| token.word).collect::<HashSet<u64>>();
    let (one, two) = (words(one), words(two));
    let shorter = one.len().min(two.len());
    shorter >= 3 && one.intersection(&two).count() * 3 < shorter
}

/// Facts that stand for each other in two texts.
#[derive(Debug, Default)]
struct Swaps {
    numbers: BTreeSet<(u64, u64)>,
    /// So many of the numbers stand in titles.
    in_titles: usize,
    names: BTreeSet<(u64, u64)>,
    unknown: BTreeSet<(u64, u64)>,
    /// Places with other words that are no facts.
    reworded: usize,
}

impl Swaps {
    /// More than an editor or the next count of the same event explains, among so many words that are the same.
    fn are_too_many(&self, words: u32) -> bool {
        let words = words as usize;
        // A short text with another number is another text; a title with another number weighs twice.
        let numbers = if words < 60 { 0 } else { words / 40 };
        self.numbers.len() + self.in_titles > numbers
            || self.names.len() > words / 150
            || self.unknown.len() > words / 40
            || self.reworded > words / 12
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
        let without = |tokens: &[Token], kinds: &[Kind]| {
            let left = tokens.iter().filter(|token| !kinds.contains(&token.kind)).map(|token| token.word);
            left.collect::<BTreeSet<u64>>()
        };
        let is_template = [&[Kind::Number, Kind::Date][..], &[Kind::Number, Kind::Date, Kind::Name, Kind::Unknown]]
            .iter()
            .any(|kinds| !without(one, kinds).is_empty() && without(one, kinds) == without(two, kinds));
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
        self.in_titles = self.numbers.len();
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
                let (gap_a, gap_b) = (&one.body[a..block.one], &two.body[b..block.two]);
                self.in_gap(gap_a, gap_b, &of_one, &of_two);
                let is_new = |gap: &[Token], other: &HashSet<u64>| {
                    gap.iter().any(|token| token.kind == Kind::Plain && !other.contains(&token.word))
                };
                self.reworded += usize::from(is_new(gap_a, &of_two) && is_new(gap_b, &of_one));
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
    let mut anchors: Vec<(usize, usize)> =
        once(one).into_iter().filter_map(|(hash, at)| Some((at?, (*of_two.get(&hash)?)?))).collect();
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
