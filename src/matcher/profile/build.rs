//! Seeds → profile, by recipe R of the filtering notes, with these changes (gain in mean MAP with 3/2/1 seeds on the
//! development data, each alone against recipe R):
//!
//! - the strength, the rarity and the share of seeds count with the powers 1.3, 1.2 and 1.5 (+.006/+.002/+.005,
//!   +.002/+.002/+.002 and +.005/+.003/0): what speaks for a term does so more than in proportion;
//! - a term that the title or the head of a seed names and the text comes back to counts up to 1.3 times
//!   (+.006/+.001/+.004): it is what the article is about;
//! - the head of the body counts 2, not 3 (+.003/+.002/+.005), and length counts nearly in full, b = 0.9 (+.003/+.003/0);
//! - when rarities change later, only that of the item's side is renewed (−.003/0/+.005): see [`crate::matcher::score`].
//!
//! Together .809/.753/.661 become .813/.765/.677. With 3 seeds the last two take back what the powers gave beyond that.

use std::collections::BTreeMap;

use super::{Level, Profile, SeedName, Term, default_threshold, length_norm, saturated, term_hashes, term_key};
use crate::matcher::frequency::{Frequencies, Key};
use crate::matcher::language::Language;
use crate::matcher::seed::Seed;
use crate::matcher::text::{Document, Tokenizer};
use crate::plain;

/// How many words a profile keeps (step 6).
const WORDS_MAX: usize = 100;
/// How many pairs of words.
const PAIRS_MAX: usize = 50;
/// What a pair counts against a word: it says again what its words say.
const PAIR_FACTOR: f64 = 0.3;
/// More than in proportion (see above).
const STRENGTH_POWER: f64 = 1.3;
const RARITY_POWER: f64 = 1.2;
const SHARE_POWER: f64 = 1.5;
/// What it adds that the text comes back to what its front named.
const RETURN_BONUS: f64 = 0.3;
/// Rejected words that an explanation names, and rejected pairs.
const REJECTED_MAX: usize = 20;
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
    /// How many name it in their front and come back to it.
    returns: u32,
    /// How it is written, with how often, in the order of first occurrence.
    surfaces: Vec<(String, u32)>,
}

/// A term of the seeds with what speaks for it, kept or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The term; its weight is 0 when it was not kept.
    pub term: Term,
    /// How many seeds name it in the title or at the head and come back to it below.
    pub returns: u32,
    /// Its place among the words or among the pairs, from 1.
    pub rank: usize,
    /// Why it is not in the profile; `None`: it is.
    pub rejected: Option<String>,
}

/// Learns a profile: see [`learn`].
pub fn build(name: &str, seeds: &[Seed], frequencies: &Frequencies) -> Result<Profile, NotBuilt> {
    learn(name, seeds, frequencies).map(|(profile, _)| profile)
}

/// Learns a profile. For each term t with m = its mean saturated frequency over the seeds, its rarity r, s = the share of
/// the seeds that hold it and c = the share of those that come back to it, q = m^1.3 · r^1.2 · s^1.5 · (1 + 0.3·c), for pairs
/// × 0.3. The 100 words and 50 pairs of greatest q are kept. An item is worth Σ q · r · saturated frequency, divided by
/// what the seeds themselves are worth on average, which is Σ q · r · m; so a term's part of that sum, in percent, is
/// its weight.
///
/// The second value explains it: the kept terms, heaviest first, then the strongest that were not kept.
pub fn learn(name: &str, seeds: &[Seed], frequencies: &Frequencies) -> Result<(Profile, Vec<Candidate>), NotBuilt> {
    if seeds.is_empty() {
        return Err(NotBuilt::NoSeeds);
    }
    let mut tokenizer = Tokenizer::new();
    let languages: Vec<Language> = seeds.iter().map(|seed| Language::of(&seed.title, &seed.text)).collect();
    // Names must be the same terms in all seeds, so seeds of several languages are read as one.
    let language = languages.iter().copied().reduce(|a, b| if a == b { a } else { Language::English });
    let language = language.unwrap_or_default();
    let documents: Vec<Document<'_>> =
        seeds.iter().map(|seed| tokenizer.read_as(language, &seed.title, &seed.text)).collect();
    let number = seeds.len() as f64;
    let expected = documents.iter().map(|document| document.length() as f64).sum::<f64>() / number;
    let average_length = frequencies.average_length(expected);

    let mut evidence: BTreeMap<Key, Evidence> = BTreeMap::new();
    for document in &documents {
        weigh(document, average_length, &mut evidence);
    }
    let found = evidence.into_iter().filter_map(|(key, found)| {
        let (strength, rarity) = (found.strength / number, frequencies.rarity(key));
        let share = f64::from(found.seeds) / number;
        let returns = f64::from(found.returns) / f64::from(found.seeds);
        let q = strength.powf(STRENGTH_POWER)
            * rarity.powf(RARITY_POWER)
            * share.powf(SHARE_POWER)
            * (1.0 + RETURN_BONUS * returns)
            * if matches!(key, Key::Pair(_)) { PAIR_FACTOR } else { 1.0 };
        let text = written(&mut tokenizer, language, key, found.surfaces);
        let term = Term {
            hashes: term_hashes(&mut tokenizer, &text),
            text,
            key,
            weight: q * rarity * strength,
            rarity: Some(rarity),
            strength,
            seeds: found.seeds,
        };
        let candidate = Candidate { term, returns: found.returns, rank: 0, rejected: None };
        (!candidate.term.text.is_empty()).then_some((q, candidate))
    });
    let (words, pairs): (Vec<_>, Vec<_>) = found.partition(|(_, found)| matches!(found.term.key, Key::Word(_)));
    let mut candidates = ranked(words, WORDS_MAX, "words", seeds.len());
    candidates.extend(ranked(pairs, PAIRS_MAX, "pairs", seeds.len()));
    let (mut kept, mut rejected): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|found| found.rejected.is_none());
    let sum: f64 = kept.iter().map(|found| found.term.weight).sum();
    if sum <= 0.0 {
        return Err(NotBuilt::NoTerms);
    }
    for found in &mut kept {
        found.term.weight *= 100.0 / sum;
    }
    let heavier = |a: &Candidate, b: &Candidate| {
        b.term.weight.total_cmp(&a.term.weight).then_with(|| a.term.text.cmp(&b.term.text))
    };
    kept.sort_by(heavier);
    rejected.sort_by(heavier);
    for pair in [false, true] {
        let mut count = 0;
        rejected.retain(|found| {
            let counts = matches!(found.term.key, Key::Pair(_)) == pair;
            count += usize::from(counts);
            !counts || count <= REJECTED_MAX
        });
    }
    for found in &mut rejected {
        found.term.weight = 0.0;
    }
    let profile = Profile {
        name: name.to_string(),
        title: String::new(),
        language,
        version: 1,
        level: Level::Normal,
        threshold: default_threshold(seeds.len()),
        follows_noise: true,
        average_length: expected,
        seeds: seeds.iter().map(|seed| SeedName { file: seed.file.clone(), title: seed.title.clone() }).collect(),
        terms: kept.iter().map(|found| found.term.clone()).collect(),
        phrases: Vec::new(),
        concepts: Vec::new(),
        conditions: Vec::new(),
        look_alikes: Vec::new(),
        settings: Vec::new(),
        shadow_of: None,
    };
    kept.append(&mut rejected);
    Ok((profile, kept))
}

/// The words of the seeds that give no term whatever their number, the most frequent first, with how often they stand.
pub fn never_terms(seeds: &[Seed]) -> Vec<(String, u32)> {
    let tokenizer = Tokenizer::new();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in seeds {
        let words = [&seed.title, &seed.text].into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let language = Language::of(&seed.title, &seed.text);
        for word in words.filter(|word| !word.is_empty() && tokenizer.stem(language, word).is_none()) {
            *counts.entry(plain::line(&word.to_lowercase(), TERM_CHARACTERS_MAX)).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// In the order of q; those beyond the limit with the reason.
fn ranked(mut found: Vec<(f64, Candidate)>, most: usize, kind: &str, seeds: usize) -> Vec<Candidate> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.term.text.cmp(&b.1.term.text)));
    let numbered = found.into_iter().enumerate();
    let finished = numbered.map(|(index, (_, mut found))| {
        found.rank = index + 1;
        if found.rank > most {
            let one = if seeds > 1 && found.term.seeds == 1 { ", and only one seed holds it" } else { "" };
            found.rejected = Some(format!("beyond the {most} {kind} that are kept{one}"));
        }
        found
    });
    finished.collect()
}

/// Adds one seed's saturated frequencies and spellings.
fn weigh(document: &Document<'_>, average_length: f64, evidence: &mut BTreeMap<Key, Evidence>) {
    let norm = length_norm(document.length() as f64, average_length);
    // Weighted frequency; how often in front; how often below.
    let mut frequencies: BTreeMap<Key, (u32, u32, u32)> = BTreeMap::new();
    for (index, token) in document.tokens().iter().enumerate() {
        let pair = (token.pair != 0).then_some((Key::Pair(token.pair), true));
        for (key, is_pair) in [(Key::Word(token.word), false)].into_iter().chain(pair) {
            let (frequency, front, below) = frequencies.entry(key).or_default();
            *frequency += document.weight(index);
            *if document.is_front(index) { front } else { below } += 1;
            let surface = plain::line(&document.part_of(index)[document.span(index, is_pair)], TERM_CHARACTERS_MAX);
            let surfaces = &mut evidence.entry(key).or_default().surfaces;
            match surfaces.iter_mut().find(|(known, _)| *known == surface) {
                Some((_, count)) => *count += 1,
                None => surfaces.push((surface, 1)),
            }
        }
    }
    for (key, (frequency, front, below)) in frequencies {
        let found = evidence.entry(key).or_default();
        found.strength += saturated(f64::from(frequency), norm);
        found.seeds += 1;
        found.returns += u32::from(front > 0 && below > 0);
    }
}

/// The most usual spelling that reads back as the same term; empty when none does.
fn written(tokenizer: &mut Tokenizer, language: Language, key: Key, mut surfaces: Vec<(String, u32)>) -> String {
    surfaces.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut texts = surfaces.into_iter().map(|(text, _)| text);
    texts.find(|text| term_key(tokenizer, language, text) == Ok(key)).unwrap_or_default()
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
        assert_eq!((profile.threshold, profile.follows_noise), (0.305, true));
        let sum: f64 = profile.terms.iter().map(|term| term.weight).sum();
        assert!((sum - 100.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_text_comes_back_to_is_heavier() {
        let text = format!("A zebra met an okapi. {} Okapi and gnu.", "Of all things rain fell. ".repeat(60));
        let (profile, candidates) = learn("x", &[seed("", &text)], &Frequencies::new()).expect("built");
        let weight = |text: &str| profile.terms.iter().find(|term| term.text == text).expect("there").weight;
        assert!(weight("okapi") > 1.5 * weight("zebra"));
        assert!(candidates.iter().all(|found| (found.returns == 1)
            == ["okapi", "rain", "things", "fell"].contains(&found.term.text.as_str())
            || found.term.text.contains(' ')));
    }

    #[test]
    fn every_term_and_the_strongest_rejected_are_explained() {
        let text: String = (0..400).map(|n| format!("word{n} other{n} ")).collect();
        let seeds = [seed("", &text), seed("", "word1 and word2, of the 12 things")];
        let (profile, candidates) = learn("long", &seeds, &Frequencies::new()).expect("built");
        let (kept, rejected): (Vec<_>, Vec<_>) = candidates.iter().partition(|found| found.rejected.is_none());
        assert_eq!(kept.iter().map(|found| &found.term).collect::<Vec<_>>(), profile.terms.iter().collect::<Vec<_>>());
        assert_eq!(rejected.len(), 2 * REJECTED_MAX);
        let reason = rejected[0].rejected.as_deref().unwrap_or_default();
        assert!(reason.contains("beyond the") && reason.contains("only one seed"), "{reason}");
        assert_eq!(never_terms(&seeds)[..3], [("12".into(), 1), ("and".into(), 1), ("of".into(), 1)]);
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
