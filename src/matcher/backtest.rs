//! What a threshold would have found: counted from scores that are known.
//!
//! An item may be scored several times (its article came, its publisher edited it). With a given threshold it becomes a hit at
//! the first of its scorings that reaches it, and whether anybody is told depends on that one alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::profile::Profile;
use crate::model::{Id, Verdict};

/// One scoring of one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// The item.
    pub item: Id,
    /// Its story.
    pub story: Id,
    /// When it was scored; when the item was first seen if the scoring is made up afterwards.
    pub at: Timestamp,
    /// The score.
    pub score: f64,
    /// What the score that makes a hit is multiplied by for the item's source and language.
    pub factor: f64,
    /// The item was backlog then: nobody would have been told.
    pub backlog: bool,
    /// Which of the profile's seeds the item is.
    pub seed: Option<u32>,
}

impl Scoring {
    /// It is a hit when that score makes one.
    fn reaches(&self, hit_score: f64) -> bool {
        self.score >= hit_score * self.factor
    }

    /// As the others', without what is asked more or less of its source and language.
    pub fn level(&self) -> f64 {
        self.score / self.factor
    }
}

/// What a threshold finds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// As written in the profile.
    pub threshold: f64,
    /// The score that makes a hit: the threshold at the profile's level.
    pub hit_score: f64,
    /// Hits that people are told of.
    pub items: usize,
    /// Stories among them: what routes tell of.
    pub stories: usize,
    /// Days with such a hit, by UTC.
    pub days: usize,
    /// Hits of which nobody is told, because a first contact showed them.
    pub backlog: usize,
    /// Seeds among all these hits.
    pub seeds: usize,
    /// Items judged relevant among them.
    pub relevant: usize,
    /// Items judged not relevant.
    pub not: usize,
    /// Items judged known.
    pub known: usize,
}

/// Scorings of one profile, ready to be counted.
#[derive(Clone, Debug, Default)]
pub struct Scorings {
    /// By item, then by time.
    all: Vec<Scoring>,
}

impl Scorings {
    /// From scorings in any order.
    pub fn new(mut all: Vec<Scoring>) -> Scorings {
        all.sort_by_key(|scoring| (scoring.item, scoring.at));
        Scorings { all }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The scoring that makes each item a hit.
    fn hits(&self, hit_score: f64) -> impl Iterator<Item = &Scoring> {
        let items = self.all.chunk_by(|a, b| a.item == b.item);
        items.filter_map(move |scorings| scorings.iter().find(|scoring| scoring.reaches(hit_score)))
    }

    /// What the profile finds at this threshold, from `from` on.
    pub fn row(&self, profile: &Profile, threshold: f64, from: Timestamp, judged: &BTreeMap<Id, Verdict>) -> Row {
        let hit_score = Profile { threshold, ..head(profile) }.hit_score();
        let mut row = Row { threshold, hit_score, ..Row::default() };
        let (mut stories, mut days, mut seeds) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for scoring in self.hits(hit_score).filter(|scoring| scoring.at >= from) {
            if scoring.backlog {
                row.backlog += 1;
            } else {
                row.items += 1;
                stories.insert(scoring.story);
                days.insert(scoring.at.as_second().div_euclid(86_400));
            }
            seeds.extend(scoring.seed);
            match judged.get(&scoring.item) {
                Some(Verdict::Relevant) => row.relevant += 1,
                Some(Verdict::Not) => row.not += 1,
                Some(Verdict::Known) => row.known += 1,
                None => {}
            }
        }
        (row.stories, row.days, row.seeds) = (stories.len(), days.len(), seeds.len());
        row
    }

    /// The lowest threshold, in few digits, that tells of at most `stories_max` stories; at least `lowest`, below which scores
    /// are not known.
    pub fn propose(&self, profile: &Profile, stories_max: f64, from: Timestamp, lowest: f64) -> f64 {
        let nothing = BTreeMap::new();
        let fits = |threshold: f64| self.row(profile, threshold, from, &nothing).stories as f64 <= stories_max;
        if fits(lowest) {
            return lowest;
        }
        let factor = Profile { threshold: 1.0, ..head(profile) }.hit_score();
        let mut steps: Vec<f64> = self.all.iter().map(|scoring| scoring.level() / factor).collect();
        steps.retain(|step| *step >= lowest);
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        // Just above a score that is one too many, and at or below the next one.
        let too_low = steps.partition_point(|step| !fits(step.next_up()));
        let Some(low) = steps.get(too_low.min(steps.len().saturating_sub(1))) else { return lowest };
        above(*low, steps.get(too_low + 1).copied())
    }

    /// The items whose best score is nearest to what makes a hit, on each side so many: hits first, the weakest of them first;
    /// then the others, the strongest first.
    pub fn borderline(&self, hit_score: f64, from: Timestamp, each: usize) -> [Vec<Scoring>; 2] {
        let items = self.all.chunk_by(|a, b| a.item == b.item);
        let best = items.filter_map(|scorings| scorings.iter().max_by(|a, b| a.level().total_cmp(&b.level())));
        let (mut above, mut below): (Vec<Scoring>, Vec<Scoring>) =
            best.filter(|scoring| scoring.at >= from).partition(|scoring| scoring.reaches(hit_score));
        above.sort_by(|a, b| a.level().total_cmp(&b.level()).then_with(|| a.item.cmp(&b.item)));
        below.sort_by(|a, b| b.level().total_cmp(&a.level()).then_with(|| a.item.cmp(&b.item)));
        above.truncate(each);
        below.truncate(each);
        [above, below]
    }
}

/// The profile without its long lists: what the score of a hit depends on.
fn head(profile: &Profile) -> Profile {
    Profile {
        terms: Vec::new(),
        phrases: Vec::new(),
        concepts: Vec::new(),
        conditions: Vec::new(),
        look_alikes: Vec::new(),
        ..profile.clone()
    }
}

/// The number of fewest digits above `low`, and not above `high`.
fn above(low: f64, high: Option<f64>) -> f64 {
    let high = high.unwrap_or(f64::INFINITY);
    for digits in 2..=12 {
        let unit = 10f64.powi(digits);
        // The text has the digits that it shows, which the product may miss.
        let candidate = ((low * unit).floor() + 1.0) / unit;
        if candidate > low && candidate <= high {
            return candidate;
        }
    }
    low.next_up()
}

/// Thresholds worth a look: the present one and others around it, none below `lowest`; in order, in few digits.
pub fn thresholds(present: f64, more: &[f64], lowest: f64) -> Vec<f64> {
    const AROUND: [f64; 11] = [0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 1.75, 2.0, 3.0];
    let short = |value: f64| {
        let unit = 10f64.powf(2.0 - value.abs().max(f64::MIN_POSITIVE).log10().floor());
        (value * unit).round() / unit
    };
    let mut list: Vec<f64> = AROUND.iter().map(|factor| short(present * factor)).collect();
    list.push(present);
    list.extend(more);
    list.retain(|threshold| *threshold >= lowest && threshold.is_finite());
    list.sort_by(f64::total_cmp);
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::super::frequency::Frequencies;
    use super::super::profile::{Level, build};
    use super::super::seed::Seed;
    use super::*;

    fn profile() -> Profile {
        let seed = Seed { file: "a".into(), title: "Quokka".into(), text: "ferry".into() };
        Profile { threshold: 0.4, ..build("q", &[seed], &Frequencies::new()).expect("built") }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3_600).expect("time")
    }

    fn scoring(item: i64, story: i64, hours: i64, score: f64, backlog: bool) -> Scoring {
        Scoring { item: Id(item), story: Id(story), at: at(hours), score, factor: 1.0, backlog, seed: None }
    }

    #[test]
    fn the_first_scoring_that_reaches_the_threshold_decides() {
        // Backlog at first; edited later, with a higher score: news.
        let scorings = Scorings::new(vec![
            scoring(1, 1, 30, 0.6, false),
            scoring(1, 1, 0, 0.3, true),
            scoring(2, 1, 31, 0.5, false),
            scoring(3, 3, 80, 0.45, false),
        ]);
        let judged = BTreeMap::from([(Id(1), Verdict::Relevant), (Id(3), Verdict::Not)]);
        let row = |threshold: f64, from| scorings.row(&profile(), threshold, from, &judged);
        let low = row(0.25, at(0));
        assert_eq!((low.items, low.stories, low.days, low.backlog), (2, 2, 2, 1));
        let present = row(0.4, at(0));
        assert_eq!((present.items, present.stories, present.days, present.backlog), (3, 2, 2, 0));
        assert_eq!((present.relevant, present.not, present.known), (1, 1, 0));
        assert_eq!(row(0.55, at(0)).items, 1);
        // What became a hit before the period is no hit of the period, also if it is scored again.
        assert_eq!(row(0.25, at(10)).backlog, 0);
        assert_eq!(row(0.25, at(10)).items, 2);
    }

    #[test]
    fn the_level_counts() {
        let scorings = Scorings::new(vec![scoring(1, 1, 0, 0.45, false)]);
        let strict = Profile { level: Level::Strict, ..profile() };
        let judged = BTreeMap::new();
        assert_eq!(scorings.row(&profile(), 0.4, at(0), &judged).items, 1);
        assert_eq!(scorings.row(&strict, 0.4, at(0), &judged).items, 0);
    }

    #[test]
    fn the_proposed_threshold_is_the_lowest_that_keeps_the_number() {
        let scorings = Scorings::new((0..100).map(|n| scoring(n, n, n, 0.2 + n as f64 * 0.005, false)).collect());
        let judged = BTreeMap::new();
        for wanted in [1.0, 7.0, 50.0, 99.0, 0.0] {
            let threshold = scorings.propose(&profile(), wanted, at(0), 0.2);
            let found = scorings.row(&profile(), threshold, at(0), &judged).stories;
            assert_eq!(found as f64, wanted, "{threshold}");
        }
        assert_eq!(scorings.propose(&profile(), 1_000.0, at(0), 0.2), 0.2);
        assert_eq!(scorings.propose(&profile(), 8.5, at(0), 0.2), 0.66);
    }

    #[test]
    fn thresholds_are_around_the_present_one_and_not_below_the_lowest() {
        let list = thresholds(0.35, &[0.333], 0.175);
        assert!(list.contains(&0.35) && list.contains(&0.333) && list.contains(&0.175));
        assert!(list.is_sorted());
        assert!(thresholds(0.35, &[], 0.3).iter().all(|threshold| *threshold >= 0.3));
    }
}
