//! What verdicts teach: terms to add, and terms that misled.
//!
//! A term is proposed when it stands in at least two articles that were found relevant and its log-odds there against the archive,
//! ln((a + ½)/(A − a + ½)) − ln((b + ½)/(B − b + ½)), are more than 3 standard errors above 0. a of A are the relevant articles
//! that hold it (one that nobody judged counts half), b of B the documents of the archive. Its weight is what
//! `newswatch profile build` gives it, learning from the same articles. A term misled when it stands in at least two hits that were
//! judged "not" and the share of relevant among the judged articles that hold it, (r + ½)/(r + n + 1), is less than half
//! of the share among all: its weight is cut in that proportion, and it goes when no relevant article holds it.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Folded;
use super::frequency::{Frequencies, Key};
use super::phrase::{Finder, Pattern};
use super::profile::{Profile, Term, build};
use super::seed::Seed;
use super::text::{Document, Tokenizer};

/// Standard errors that a term must lie above the archive.
const SURE: f64 = 3.0;
/// Terms of less weight are not worth a line, in percent.
const WEIGHT_MIN: f64 = 0.2;
/// Terms proposed at most.
const ADDED_MAX: usize = 20;
/// What an article counts that is a hit but was not judged.
const UNJUDGED: f64 = 0.5;
/// A cut leaves at least this share of the weight.
const CUT_MIN: f64 = 0.25;

/// What people said of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teaching {
    /// Judged relevant, or known: on topic.
    OnTopic,
    /// A hit that nobody judged.
    Unjudged,
    /// Judged not relevant.
    OffTopic,
}

/// An article to learn from.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// What was said of it.
    pub teaching: Teaching,
}

/// A change of the profile.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new term.
    Add {
        /// The term with its weight.
        term: Term,
        /// Relevant articles that hold it, and all of them.
        found: (usize, usize),
        /// Documents of the archive that hold it, and all of them.
        archive: (u32, u64),
    },
    /// Another weight for a term or phrase that misled; 0: it should go.
    Reweigh {
        /// As written in the profile.
        text: String,
        /// It is a phrase.
        phrase: bool,
        /// The weight now.
        from: f64,
        /// The weight then.
        to: f64,
        /// Judged articles with it: relevant, not.
        judged: (usize, usize),
    },
}

/// Log-odds of a in A against b in B, in standard errors.
pub fn sureness(a: f64, of_a: f64, b: f64, of_b: f64) -> f64 {
    let (with, without) = (a + 0.5, (of_a - a).max(0.0) + 0.5);
    let (archive, others) = (b + 0.5, (of_b - b).max(0.0) + 0.5);
    let odds = (with / without).ln() - (archive / others).ln();
    odds / (1.0 / with + 1.0 / without + 1.0 / archive + 1.0 / others).sqrt()
}

/// The changes that the lessons suggest, additions first, the heaviest first.
pub fn suggest(profile: &Profile, lessons: &[Lesson], frequencies: &Frequencies) -> Vec<Change> {
    let mut tokenizer = Tokenizer::new();
    let held: Vec<BTreeSet<u64>> =
        lessons.iter().map(|lesson| keys(&tokenizer.read(&lesson.title, &lesson.body))).collect();
    let mut changes = additions(profile, lessons, &held, frequencies);
    changes.extend(cuts(profile, lessons, &held));
    changes
}

fn keys(document: &Document<'_>) -> BTreeSet<u64> {
    document.tokens().iter().flat_map(|token| [token.word, token.pair]).filter(|key| *key != 0).collect()
}

fn additions(profile: &Profile, lessons: &[Lesson], held: &[BTreeSet<u64>], frequencies: &Frequencies) -> Vec<Change> {
    let good: Vec<usize> = (0..lessons.len()).filter(|n| lessons[*n].teaching != Teaching::OffTopic).collect();
    let bad: Vec<usize> = (0..lessons.len()).filter(|n| lessons[*n].teaching == Teaching::OffTopic).collect();
    let seeds: Vec<Seed> = good
        .iter()
        .map(|n| Seed { file: String::new(), title: lessons[*n].title.clone(), text: lessons[*n].body.clone() })
        .collect();
    let Ok(learned) = build(&profile.name, &seeds, frequencies) else { return Vec::new() };
    let known: BTreeSet<u64> = profile.terms.iter().map(|term| term.key.hash()).collect();
    let counts = |n: &usize| if lessons[*n].teaching == Teaching::Unjudged { UNJUDGED } else { 1.0 };
    let all: f64 = good.iter().map(counts).sum();
    let mut added = Vec::new();
    for term in learned.terms.into_iter().filter(|term| !known.contains(&term.key.hash()) && term.weight >= WEIGHT_MIN)
    {
        let key = term.key.hash();
        let with: Vec<&usize> = good.iter().filter(|n| held[**n].contains(&key)).collect();
        let weight: f64 = with.iter().map(|n| counts(n)).sum();
        let (count, documents) = (frequencies.count_of(term.key), frequencies.documents());
        let off_topic = bad.iter().filter(|n| held[**n].contains(&key)).count() as f64 / bad.len().max(1) as f64;
        let sure = sureness(weight, all, f64::from(count), documents as f64) >= SURE;
        // A pair says again what its words say.
        let said = is_said(&term, &profile.terms);
        if with.len() >= 2 && sure && off_topic <= 0.5 * with.len() as f64 / good.len() as f64 && !said {
            let found = (with.len(), good.len());
            added.push(Change::Add { term, found, archive: (count, documents) });
        }
    }
    added.truncate(ADDED_MAX);
    added
}

/// Every word of a pair stands in the profile already.
fn is_said(term: &Term, known: &[Term]) -> bool {
    let has = |word: &str| known.iter().any(|known| known.text.eq_ignore_ascii_case(word));
    matches!(term.key, Key::Pair(_)) && term.text.split_whitespace().all(has)
}

fn cuts(profile: &Profile, lessons: &[Lesson], held: &[BTreeSet<u64>]) -> Vec<Change> {
    let of = |teaching: Teaching| (0..lessons.len()).filter(move |n| lessons[*n].teaching == teaching);
    let (relevant, not) = (of(Teaching::OnTopic).count(), of(Teaching::OffTopic).count());
    let precision = |good: usize, bad: usize| (good as f64 + 0.5) / ((good + bad) as f64 + 1.0);
    let overall = precision(relevant, not);
    let mut cut = Vec::new();
    let mut weigh = |text: &str, phrase: bool, weight: f64, holds: &dyn Fn(usize) -> bool| {
        let good = of(Teaching::OnTopic).filter(|n| holds(*n)).count();
        let bad = of(Teaching::OffTopic).filter(|n| holds(*n)).count();
        let unjudged = of(Teaching::Unjudged).filter(|n| holds(*n)).count();
        let share = precision(good, bad) / overall;
        if bad >= 2 && share < 0.5 && weight > 0.0 {
            let goes = good == 0 && unjudged == 0;
            let to = if goes { 0.0 } else { (weight * share.max(CUT_MIN) * 1_000.0).round() / 1_000.0 };
            cut.push(Change::Reweigh { text: text.to_string(), phrase, from: weight, to, judged: (good, bad) });
        }
    };
    for term in &profile.terms {
        weigh(&term.text, false, term.weight, &|n| held[n].contains(&term.key.hash()));
    }
    let found = phrases_held(profile, lessons);
    for (number, phrase) in profile.phrases.iter().enumerate() {
        weigh(&phrase.text, true, phrase.weight, &|n| found[n].contains(&number));
    }
    cut.sort_by(|a, b| weight_lost(b).total_cmp(&weight_lost(a)));
    cut
}

fn weight_lost(change: &Change) -> f64 {
    match change {
        Change::Add { .. } => 0.0,
        Change::Reweigh { from, to, .. } => from - to,
    }
}

/// By lesson: which phrases of the profile occur.
fn phrases_held(profile: &Profile, lessons: &[Lesson]) -> Vec<BTreeSet<usize>> {
    let mut patterns: BTreeMap<Pattern, Vec<usize>> = BTreeMap::new();
    for (number, phrase) in profile.phrases.iter().enumerate() {
        if let Some(pattern) = Pattern::new(&phrase.text) {
            patterns.entry(pattern).or_default().push(number);
        }
    }
    let (patterns, numbers): (Vec<Pattern>, Vec<Vec<usize>>) = patterns.into_iter().unzip();
    let Ok(finder) = Finder::new(patterns) else { return vec![BTreeSet::new(); lessons.len()] };
    let held = lessons.iter().map(|lesson| {
        let mut held = BTreeSet::new();
        for part in [&lesson.title, &lesson.body] {
            finder.find(&Folded::new(part), |pattern, _| held.extend(numbers[pattern].iter().copied()));
        }
        held
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(title: &str, body: &str, teaching: Teaching) -> Lesson {
        Lesson { title: title.into(), body: body.into(), teaching }
    }

    #[test]
    fn what_relevant_articles_share_is_added_and_what_misled_is_cut() {
        let seed = Seed {
            file: "a".into(),
            title: "Quokka ferry".into(),
            text: "The quokka ferry left the harbour festival.".into(),
        };
        let mut frequencies = Frequencies::new();
        let mut tokenizer = Tokenizer::new();
        for n in 0..500 {
            frequencies.count(&tokenizer.read("Rain", &format!("Rain fell on town {n} and a minister spoke.")));
        }
        let profile = build("q", &[seed], &frequencies).expect("built");
        let good = |n: usize| {
            lesson("Quokka ferry", &format!("Rottnest quokka ferry of the minister, day {n}."), Teaching::OnTopic)
        };
        let bad =
            |n: usize| lesson("Harbour festival", &format!("A festival in the harbour, {n}."), Teaching::OffTopic);
        let lessons: Vec<Lesson> = (0..4).map(good).chain((0..3).map(bad)).collect();
        let changes = suggest(&profile, &lessons, &frequencies);
        let added: Vec<&str> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Add { term, .. } => Some(term.text.as_str()),
                Change::Reweigh { .. } => None,
            })
            .collect();
        assert!(added.contains(&"Rottnest"), "{changes:#?}");
        assert!(!added.contains(&"minister"), "it is everywhere: {changes:#?}");
        let gone: Vec<&str> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Reweigh { text, to, .. } if *to == 0.0 => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert!(gone.contains(&"festival") && gone.contains(&"harbour"), "{changes:#?}");
        assert!(!gone.contains(&"quokka") && !gone.contains(&"ferry"));
        // Nothing judged, nothing taught.
        assert_eq!(suggest(&profile, &[], &frequencies), []);
    }

    #[test]
    fn sureness_is_high_for_what_is_only_here() {
        assert!(sureness(4.0, 4.0, 0.0, 1_000.0) > 3.0);
        assert!(sureness(2.0, 4.0, 500.0, 1_000.0).abs() < 0.1);
        assert!(sureness(0.0, 4.0, 500.0, 1_000.0) < 0.0);
    }
}
