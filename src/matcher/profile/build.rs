//! Seeds → profile, by recipe R of the filtering notes.

use std::collections::BTreeMap;

use super::{Level, Profile, SeedName, Term, default_threshold, length_norm, saturated, term_key};
use crate::matcher::frequency::{Frequencies, Key};
use crate::matcher::seed::Seed;
use crate::matcher::text::{Document, Tokenizer};
use crate::plain;

/// How many words a profile keeps (step 6).
const WORDS_MAX: usize = 100;
/// How many pairs of words.
const PAIRS_MAX: usize = 50;
/// What a pair counts against a word: it says again what its words say.
const PAIR_FACTOR: f64 = 0.3;
/// Characters of a term's text; a longer one is no term that a person can judge.
const TERM_CHARACTERS_MAX: usize = 100;

/// Why no profile came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBuilt {
    /// There was no seed.
    #[error("a profile is learned from at least one seed article")]
    NoSeeds,
    /// No seed held a word that counts.
    #[error("the seed articles hold no words that could be learned; are they the right files?")]
    NoTerms,
}

/// What the seeds say about one term.
#[derive(Default)]
struct Evidence {
    /// Sum over the seeds of its saturated frequency.
    strength: f64,
    /// How many seeds hold it.
    seeds: u32,
    /// How it is written, with how often, in the order of first occurrence.
    surfaces: Vec<(String, u32)>,
}

/// Learns a profile. For each term t with m = its mean saturated frequency over the seeds and q = m · rarity · share of the
/// seeds that hold it (pairs × 0.3), the 100 words and 50 pairs of greatest q are kept. An item is worth
/// Σ q · rarity · saturated frequency, divided by what the seeds themselves are worth on average, which is
/// Σ q · rarity · m; so a term's part of that sum, in percent, is its weight.
pub fn build(name: &str, seeds: &[Seed], frequencies: &Frequencies) -> Result<Profile, NotBuilt> {
    if seeds.is_empty() {
        return Err(NotBuilt::NoSeeds);
    }
    let mut tokenizer = Tokenizer::new();
    let documents: Vec<Document<'_>> = seeds.iter().map(|seed| tokenizer.read(&seed.title, &seed.text)).collect();
    let number = seeds.len() as f64;
    let expected = documents.iter().map(|document| document.length() as f64).sum::<f64>() / number;
    let average_length = frequencies.average_length(expected);

    let mut evidence: BTreeMap<Key, Evidence> = BTreeMap::new();
    for document in &documents {
        weigh(document, average_length, &mut evidence);
    }
    let candidates = evidence.into_iter().map(|(key, found)| {
        let (mean, rarity) = (found.strength / number, frequencies.rarity(key));
        let factor = if matches!(key, Key::Pair(_)) { PAIR_FACTOR } else { 1.0 };
        let q = mean * rarity * f64::from(found.seeds) / number * factor;
        let text = written(&mut tokenizer, key, found.surfaces);
        Term { text, key, weight: q * rarity * mean, rarity: Some(rarity), strength: mean, seeds: found.seeds }
    });
    let (mut words, mut pairs): (Vec<Term>, Vec<Term>) =
        candidates.filter(|term| !term.text.is_empty()).partition(|term| matches!(term.key, Key::Word(_)));
    let mut terms = heaviest(&mut words, WORDS_MAX);
    terms.extend(heaviest(&mut pairs, PAIRS_MAX));
    let sum: f64 = terms.iter().map(|term| term.weight).sum();
    if sum <= 0.0 {
        return Err(NotBuilt::NoTerms);
    }
    for term in &mut terms {
        term.weight *= 100.0 / sum;
    }
    terms.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.text.cmp(&b.text)));
    Ok(Profile {
        name: name.to_string(),
        title: String::new(),
        version: 1,
        level: Level::Normal,
        threshold: default_threshold(seeds.len()),
        average_length: expected,
        seeds: seeds.iter().map(|seed| SeedName { file: seed.file.clone(), title: seed.title.clone() }).collect(),
        terms,
        phrases: Vec::new(),
        concepts: Vec::new(),
        conditions: Vec::new(),
        look_alikes: Vec::new(),
        settings: Vec::new(),
        shadow_of: None,
    })
}

/// Adds one seed's saturated frequencies and spellings.
fn weigh(document: &Document<'_>, average_length: f64, evidence: &mut BTreeMap<Key, Evidence>) {
    let norm = length_norm(document.length() as f64, average_length);
    let mut frequencies: BTreeMap<Key, u32> = BTreeMap::new();
    for (index, token) in document.tokens().iter().enumerate() {
        let pair = (token.pair != 0).then_some((Key::Pair(token.pair), true));
        for (key, is_pair) in [(Key::Word(token.word), false)].into_iter().chain(pair) {
            *frequencies.entry(key).or_default() += document.weight(index);
            let surface = plain::line(&document.part_of(index)[document.span(index, is_pair)], TERM_CHARACTERS_MAX);
            let surfaces = &mut evidence.entry(key).or_default().surfaces;
            match surfaces.iter_mut().find(|(known, _)| *known == surface) {
                Some((_, count)) => *count += 1,
                None => surfaces.push((surface, 1)),
            }
        }
    }
    for (key, frequency) in frequencies {
        let found = evidence.entry(key).or_default();
        found.strength += saturated(f64::from(frequency), norm);
        found.seeds += 1;
    }
}

/// The most usual spelling that reads back as the same term; empty when none does.
fn written(tokenizer: &mut Tokenizer, key: Key, mut surfaces: Vec<(String, u32)>) -> String {
    surfaces.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut texts = surfaces.into_iter().map(|(text, _)| text);
    texts.find(|text| term_key(tokenizer, text) == Ok(key)).unwrap_or_default()
}

/// The terms of greatest q, which is weight / (rarity · mean).
fn heaviest(terms: &mut Vec<Term>, terms_max: usize) -> Vec<Term> {
    let q = |term: &Term| term.weight / (term.rarity.unwrap_or(1.0) * term.strength).max(f64::MIN_POSITIVE);
    terms.sort_by(|a, b| q(b).total_cmp(&q(a)).then_with(|| a.text.cmp(&b.text)));
    terms.truncate(terms_max);
    std::mem::take(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(title: &str, text: &str) -> Seed {
        Seed { file: "seed.txt".to_string(), title: title.to_string(), text: text.to_string() }
    }

    #[test]
    fn what_all_seeds_share_and_few_others_say_is_heaviest() {
        let seeds = [
            seed("Quokkas move to the island", "The quokkas took a ferry. A minister smiled about the company."),
            seed("Quokkas rest", "On the island quokkas sleep. The company rests, and rain falls."),
        ];
        let profile = build("quokkas", &seeds, &Frequencies::new()).expect("built");
        assert_eq!(profile.terms[0].text, "Quokkas");
        assert_eq!(profile.terms[0].seeds, 2);
        let place = |text: &str| profile.terms.iter().position(|term| term.text == text);
        assert!(place("island") < place("ferry"), "a term of both seeds comes before one of one seed");
        assert!(place("Quokkas").is_some() && place("the").is_none());
        assert_eq!(profile.threshold, 0.25);
        let sum: f64 = profile.terms.iter().map(|term| term.weight).sum();
        assert!((sum - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_number_of_terms_is_bounded() {
        let text: String = (0..400).map(|n| format!("word{n} other{n} ")).collect();
        let profile = build("long", &[seed("", &text)], &Frequencies::new()).expect("built");
        let pairs = profile.terms.iter().filter(|term| matches!(term.key, Key::Pair(_))).count();
        assert_eq!((profile.terms.len(), pairs), (WORDS_MAX + PAIRS_MAX, PAIRS_MAX));
    }

    #[test]
    fn nothing_to_learn_is_said() {
        assert_eq!(build("x", &[], &Frequencies::new()), Err(NotBuilt::NoSeeds));
        assert_eq!(build("x", &[seed("of the", "and 12")], &Frequencies::new()), Err(NotBuilt::NoTerms));
    }
}
