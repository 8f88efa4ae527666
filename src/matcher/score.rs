//! Items against all profiles at once.
//!
//! One pass over an item's tokens counts those that any profile knows; one pass over its folded text finds the phrases of all
//! profiles. What follows costs time only for terms that occurred. For a profile with term weights w, build-time
//! rarities r and strengths m, and present rarities ρ, the score is
//! Σ w·(ρ/r)·saturated/m ÷ Σ w·(ρ/r), plus the weights of the phrases that occurred. That is recipe R, step 7:
//! frequencies move as the archive grows, and the division keeps 1 = "like a seed".

use std::ops::Range;

use aho_corasick::BuildError;

use super::fold::{Folded, context};
use super::frequency::{Frequencies, Key, KeyMap};
use super::language::LANGUAGES;
use super::noise::Noise;
use super::phrase::{Finder, Pattern};
use super::profile::{Profile, length_norm, saturated};
use super::text::Document;
use crate::model::{Reason, Score};

/// Characters of a reason's context.
const CONTEXT_CHARACTERS: usize = 80;
/// How many reasons of a score have a context: the heaviest, which is more than anyone reads.
const CONTEXTS_MAX: usize = 20;

/// Which scores come with reasons; they cost more than the score itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// None.
    Nothing,
    /// Those that reached the threshold.
    Hits,
    /// All above 0.
    Everything,
}

/// A term in a profile.
#[derive(Clone, Copy, Debug)]
struct Posting {
    profile: u32,
    term: u32,
    /// What a saturated frequency of 1 gives.
    factor: f64,
}

/// What a term did in the item at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    frequency: u32,
    count: u32,
    /// Index of the first token.
    first: u32,
}

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Number of the term in the scorer and in the profile.
    Term { number: u32, term: u32 },
    /// Index into `found`, number of the phrase in the profile.
    Phrase { found: usize, phrase: u32 },
}

/// Scores items. One for each thread: it keeps its counters between items.
#[derive(Debug)]
pub struct Scorer {
    profiles: Vec<Profile>,
    average_lengths: Vec<f64>,
    /// The score that makes a hit, by profile.
    thresholds: Vec<f64>,
    /// By language: hash of a term → a range of `numbers`, the terms that read so in it.
    ranges: [KeyMap<(u32, u32)>; LANGUAGES],
    numbers: Vec<u32>,
    keys: Vec<Key>,
    /// The postings of term n are `postings[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    postings: Vec<Posting>,
    finder: Finder,
    /// Where each pattern is used, by pattern number.
    phrase_uses: Vec<Vec<PhraseUse>>,
    // What follows is about the item at hand.
    seen: Vec<Seen>,
    touched: Vec<u32>,
    found: Vec<(usize, u32, Place)>,
    /// By group: the heaviest of its phrases that occurred, and which phrase of the profile that is.
    group_best: Vec<(f64, u32)>,
    scores: Vec<f64>,
}

/// A phrase in a profile.
#[derive(Clone, Copy, Debug)]
struct PhraseUse {
    profile: u32,
    phrase: u32,
    weight: f64,
    /// Number of its group among those of all profiles.
    group: Option<u32>,
}

/// Where a phrase stood first, in the folded title or body.
#[derive(Clone, Debug)]
struct Place {
    in_title: bool,
    range: Range<usize>,
}

impl Scorer {
    /// A scorer for these profiles. Fails only when the phrases of all profiles together exceed the automaton's limit.
    pub fn new(profiles: &[Profile], frequencies: &Frequencies) -> Result<Scorer, BuildError> {
        let mut known = std::collections::HashMap::new();
        let mut keys = Vec::new();
        let mut uses: Vec<(u32, Posting)> = Vec::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut pattern_numbers = std::collections::HashMap::new();
        let mut phrase_uses: Vec<Vec<PhraseUse>> = Vec::new();
        let mut groups = std::collections::HashMap::new();
        for (profile_number, profile) in profiles.iter().enumerate() {
            for (term_number, term) in profile.terms.iter().enumerate() {
                let number = *known.entry((term.key, term.hashes)).or_insert_with(|| {
                    keys.push(term.key);
                    keys.len() as u32 - 1
                });
                uses.push((number, Posting { profile: profile_number as u32, term: term_number as u32, factor: 0.0 }));
            }
            for (phrase_number, phrase) in profile.phrases.iter().enumerate() {
                let Some(pattern) = Pattern::new(&phrase.text) else { continue };
                let number = *pattern_numbers.entry(pattern.clone()).or_insert_with(|| {
                    patterns.push(pattern);
                    phrase_uses.push(Vec::new());
                    patterns.len() - 1
                });
                let group = phrase.group.as_ref().map(|group| {
                    let next = groups.len() as u32;
                    *groups.entry((profile_number, group.clone())).or_insert(next)
                });
                phrase_uses[number].push(PhraseUse {
                    profile: profile_number as u32,
                    phrase: phrase_number as u32,
                    weight: phrase.weight,
                    group,
                });
            }
        }
        let mut numbers = Vec::new();
        let mut ranges: [KeyMap<(u32, u32)>; LANGUAGES] = Default::default();
        for (language, ranges) in ranges.iter_mut().enumerate() {
            let mut read: Vec<(u64, u32)> =
                known.iter().map(|((_, hashes), number)| (hashes[language], *number)).collect();
            read.sort_unstable();
            for (hash, number) in read.into_iter().filter(|(hash, _)| *hash != 0) {
                let start = numbers.len() as u32;
                numbers.push(number);
                ranges.entry(hash).or_insert((start, start)).1 = start + 1;
            }
        }
        uses.sort_by_key(|(number, _)| *number);
        let starts = (0..=keys.len() as u32).map(|n| uses.partition_point(|(number, _)| *number < n) as u32).collect();
        let mut scorer = Scorer {
            average_lengths: vec![1.0; profiles.len()],
            thresholds: vec![0.0; profiles.len()],
            scores: vec![0.0; profiles.len()],
            seen: vec![Seen::default(); keys.len()],
            profiles: profiles.to_vec(),
            ranges,
            numbers,
            keys,
            starts,
            postings: uses.into_iter().map(|(_, posting)| posting).collect(),
            finder: Finder::new(patterns)?,
            phrase_uses,
            group_best: vec![(0.0, 0); groups.len()],
            touched: Vec::new(),
            found: Vec::new(),
        };
        scorer.refresh(frequencies);
        Ok(scorer)
    }

    /// The profiles, in the order of [`Scorer::scores`].
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Derives all weights again from what is frequent now.
    pub fn refresh(&mut self, frequencies: &Frequencies) {
        for (average, profile) in self.average_lengths.iter_mut().zip(&self.profiles) {
            *average = frequencies.average_length(profile.average_length);
        }
        for (threshold, profile) in self.thresholds.iter_mut().zip(&self.profiles) {
            let noise = frequencies.noise(profile.noise_key()).filter(|_| profile.follows_noise);
            *threshold = profile.hit_score() * noise.map_or(1.0, Noise::factor);
        }
        let mut sums = vec![0.0; self.profiles.len()];
        for (number, key) in self.keys.iter().enumerate() {
            let now = frequencies.rarity(*key);
            for posting in &mut self.postings[self.starts[number] as usize..self.starts[number + 1] as usize] {
                let term = &self.profiles[posting.profile as usize].terms[posting.term as usize];
                let change = now / term.rarity.unwrap_or(now).max(f64::MIN_POSITIVE);
                let weight = term.weight * change;
                sums[posting.profile as usize] += weight;
                posting.factor = weight / term.strength;
            }
        }
        for posting in &mut self.postings {
            let sum = sums[posting.profile as usize];
            posting.factor = if sum > 0.0 { posting.factor / sum } else { 0.0 };
        }
    }

    /// The score that makes a hit of each profile, in their order.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Counts the scores of the item that was scored last: the noise that thresholds follow from the next
    /// [`Scorer::refresh`] on.
    pub fn count_scores(&self, frequencies: &mut Frequencies) {
        for (profile, score) in self.profiles.iter().zip(&self.scores).filter(|(profile, _)| profile.follows_noise) {
            frequencies.count_score(profile.noise_key(), *score);
        }
    }

    /// The score of each profile, in their order.
    pub fn scores(&mut self, document: &Document<'_>) -> &[f64] {
        self.add_up(document);
        &self.scores
    }

    /// The scores above 0, in the order of the profiles. Those that are explained have reasons whose shares add up to the
    /// score, the heaviest first.
    pub fn score(&mut self, document: &Document<'_>, explain: Explain) -> Vec<Score> {
        let folded = self.add_up(document);
        let mut scores = Vec::new();
        let mut places = vec![None; self.profiles.len()];
        for (number, profile) in self.profiles.iter().enumerate() {
            let score = self.scores[number];
            if score <= 0.0 {
                continue;
            }
            let threshold = self.thresholds[number];
            let hit = score >= threshold;
            if explain == Explain::Everything || explain == Explain::Hits && hit {
                places[number] = Some(scores.len());
            }
            scores.push(Score { profile: profile.name.clone(), score, threshold, hit, reasons: Vec::new() });
        }
        if places.iter().any(Option::is_some) {
            self.explain(document, &folded, &places, &mut scores);
        }
        scores
    }

    /// Fills `seen`, `found` and `scores`; hands back the folded title and body, empty without phrases.
    fn add_up(&mut self, document: &Document<'_>) -> [Folded; 2] {
        for number in self.touched.drain(..) {
            self.seen[number as usize] = Seen::default();
        }
        self.scores.fill(0.0);
        self.count_terms(document);
        let length = document.length() as f64;
        let norms: Vec<f64> = self.average_lengths.iter().map(|average| length_norm(length, *average)).collect();
        for number in &self.touched {
            let frequency = f64::from(self.seen[*number as usize].frequency);
            let range = self.starts[*number as usize] as usize..self.starts[*number as usize + 1] as usize;
            for posting in &self.postings[range] {
                let profile = posting.profile as usize;
                self.scores[profile] += posting.factor * saturated(frequency, norms[profile]);
            }
        }
        self.find_phrases(document)
    }

    fn count_terms(&mut self, document: &Document<'_>) {
        let ranges = &self.ranges[document.language() as usize];
        for (index, token) in document.tokens().iter().enumerate() {
            for hash in [token.word, token.pair] {
                let Some((start, end)) = ranges.get(&hash) else { continue };
                for number in &self.numbers[*start as usize..*end as usize] {
                    let seen = &mut self.seen[*number as usize];
                    if seen.count == 0 {
                        seen.first = index as u32;
                        self.touched.push(*number);
                    }
                    seen.count += 1;
                    seen.frequency += document.weight(index);
                }
            }
        }
    }

    fn find_phrases(&mut self, document: &Document<'_>) -> [Folded; 2] {
        self.found.clear();
        if self.finder.is_empty() {
            return [Folded::default(), Folded::default()];
        }
        let folded = [Folded::new(document.title), Folded::new(document.body)];
        let mut counts: KeyMap<usize> = KeyMap::default();
        for (part, in_title) in folded.iter().zip([true, false]) {
            self.finder.find(part, |pattern, range| {
                let at = *counts.entry(pattern as u64).or_insert_with(|| {
                    self.found.push((pattern, 0, Place { in_title, range }));
                    self.found.len() - 1
                });
                self.found[at].1 += 1;
            });
        }
        self.group_best.fill((0.0, u32::MAX));
        for (pattern, _, _) in &self.found {
            for found in &self.phrase_uses[*pattern] {
                let score = &mut self.scores[found.profile as usize];
                match found.group {
                    None => *score += found.weight,
                    Some(group) => {
                        let best = &mut self.group_best[group as usize];
                        if found.weight > best.0 {
                            *score += found.weight - best.0;
                            *best = (found.weight, found.phrase);
                        }
                    }
                }
            }
        }
        folded
    }

    /// Gives reasons to the scores of the profiles that have a place among them.
    fn explain(&self, document: &Document<'_>, folded: &[Folded; 2], places: &[Option<usize>], scores: &mut [Score]) {
        let length = document.length() as f64;
        let mut causes: Vec<Vec<(f64, Cause)>> = vec![Vec::new(); scores.len()];
        for number in &self.touched {
            let frequency = f64::from(self.seen[*number as usize].frequency);
            for posting in self.postings_of(*number) {
                let profile = posting.profile as usize;
                if let Some(place) = places[profile] {
                    let share =
                        posting.factor * saturated(frequency, length_norm(length, self.average_lengths[profile]));
                    causes[place].push((share, Cause::Term { number: *number, term: posting.term }));
                }
            }
        }
        for (found, (pattern, _, _)) in self.found.iter().enumerate() {
            for used in &self.phrase_uses[*pattern] {
                let counts = used.group.is_none_or(|group| self.group_best[group as usize].1 == used.phrase);
                if let Some(place) = places[used.profile as usize].filter(|_| counts) {
                    causes[place].push((used.weight, Cause::Phrase { found, phrase: used.phrase }));
                }
            }
        }
        for (profile, place) in self.profiles.iter().zip(places) {
            let Some(place) = place else { continue };
            let causes = &mut causes[*place];
            causes.retain(|(share, _)| *share > 0.0);
            causes.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let reasons = causes.iter().enumerate().map(|(rank, (share, cause))| {
                let (term, count) = self.named(profile, *cause);
                let around = match rank < CONTEXTS_MAX {
                    true => self.context(document, folded, *cause),
                    false => String::new(),
                };
                Reason { term: term.to_string(), share: *share, count, context: around }
            });
            scores[*place].reasons = reasons.collect();
        }
    }

    fn named<'p>(&self, profile: &'p Profile, cause: Cause) -> (&'p str, u32) {
        match cause {
            Cause::Term { number, term } => (&profile.terms[term as usize].text, self.seen[number as usize].count),
            Cause::Phrase { found, phrase } => (&profile.phrases[phrase as usize].text, self.found[found].1),
        }
    }

    /// The text around the first occurrence.
    fn context(&self, document: &Document<'_>, folded: &[Folded; 2], cause: Cause) -> String {
        let (text, place) = match cause {
            Cause::Term { number, .. } => {
                let index = self.seen[number as usize].first as usize;
                let pair = matches!(self.keys[number as usize], Key::Pair(_));
                (document.part_of(index), document.span(index, pair))
            }
            Cause::Phrase { found, .. } => {
                let place = &self.found[found].2;
                let (part, text) =
                    if place.in_title { (&folded[0], document.title) } else { (&folded[1], document.body) };
                (text, part.original(place.range.clone(), text))
            }
        };
        context(text, place, CONTEXT_CHARACTERS)
    }

    fn postings_of(&self, number: u32) -> &[Posting] {
        &self.postings[self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Level, Phrase, build};
    use super::super::seed::Seed;
    use super::super::text::Tokenizer;
    use super::*;

    const SEED: &str =
        "The quokka ferry left the island. Quokkas love the ferry, and a keeper counted each quokka on board.";

    fn profile(name: &str) -> Profile {
        let seed = Seed { file: "a.txt".into(), title: "Quokka ferry".into(), text: SEED.into() };
        build(name, &[seed], &Frequencies::new()).expect("built")
    }

    fn only(phrases: &[(&str, f64)]) -> Profile {
        let phrases = phrases
            .iter()
            .map(|(text, weight)| Phrase { text: text.to_string(), weight: *weight, group: None })
            .collect();
        Profile { terms: Vec::new(), phrases, threshold: 1.0, name: "names".into(), ..profile("x") }
    }

    fn score(profile: &Profile, title: &str, body: &str) -> Option<Score> {
        let mut scorer = Scorer::new(std::slice::from_ref(profile), &Frequencies::new()).expect("small");
        scorer.score(&Tokenizer::new().read(title, body), Explain::Everything).pop()
    }

    #[test]
    fn a_seed_scores_one_and_an_unrelated_text_nothing() {
        let score_of_seed = score(&profile("q"), "Quokka ferry", SEED).expect("above 0");
        assert!((score_of_seed.score - 1.0).abs() < 1e-9, "{}", score_of_seed.score);
        assert!(score_of_seed.hit);
        assert_eq!(score(&profile("q"), "Rain", "Rain fell on the town."), None);
    }

    #[test]
    fn a_seed_still_scores_one_when_the_archive_has_grown() {
        let mut frequencies = Frequencies::new();
        let mut tokenizer = Tokenizer::new();
        for _ in 0..500 {
            frequencies.count(&tokenizer.read("Quokka ferry", SEED));
            frequencies.count(&tokenizer.read("", "Rain fell on the ferry."));
        }
        let mut scorer = Scorer::new(&[profile("q")], &Frequencies::new()).expect("small");
        scorer.refresh(&frequencies);
        // Only the average length has changed what the division does not cancel.
        let score = scorer.scores(&tokenizer.read("Quokka ferry", SEED))[0];
        assert!((0.7..1.3).contains(&score), "{score}");
    }

    #[test]
    fn reasons_add_up_and_show_the_text_as_published() {
        let mut profile = profile("q");
        profile.phrases.push(Phrase { text: "rottnest island".into(), weight: 0.25, group: None });
        let body = "Today at Rottnest\u{a0}ISLAND, a Quokka went to the keeper.";
        let score = score(&profile, "", body).expect("above 0");
        let sum: f64 = score.reasons.iter().map(|reason| reason.share).sum();
        assert!((sum - score.score).abs() < 1e-9);
        assert!(score.reasons.windows(2).all(|two| two[0].share >= two[1].share));
        let phrase = score.reasons.iter().find(|reason| reason.term == "rottnest island").expect("phrase");
        assert_eq!(phrase.context, "Today at Rottnest ISLAND, a Quokka went to the keeper.");
    }

    #[test]
    fn names_of_one_thing_count_once() {
        let mut profile = only(&[("north korea", 0.4), ("pyongyang", 0.3), ("seoul", 0.2)]);
        for phrase in &mut profile.phrases[..2] {
            phrase.group = Some("actor".into());
        }
        let mut scorer = Scorer::new(&[profile], &Frequencies::new()).expect("scorer");
        let mut tokenizer = Tokenizer::new();
        for (text, expected) in [
            ("Pyongyang", 0.3),
            ("Pyongyang, North Korea", 0.4),
            ("North Korea and Pyongyang and Seoul", 0.6),
            ("Seoul", 0.2),
        ] {
            let document = tokenizer.read(text, "");
            let score = scorer.score(&document, Explain::Everything).remove(0);
            assert!((score.score - expected).abs() < 1e-9, "{text}: {}", score.score);
            let shares: f64 = score.reasons.iter().map(|reason| reason.share).sum();
            assert!((shares - expected).abs() < 1e-9, "{text}: the shares add up to {shares}");
        }
    }

    #[test]
    fn phrases_count_once_and_alone_suffice() {
        let names = only(&[("Garantex", 1.0), ("北朝鮮", 0.5)]);
        let cases = [("Garantex, garantex", 1.0), ("北朝鮮の", 0.5), ("北朝鮮 GARANTEX", 1.5), ("Garantexx", 0.0)];
        for (text, expected) in cases {
            let found = score(&names, "", text);
            assert_eq!(found.as_ref().map_or(0.0, |score| score.score), expected, "{text}");
            assert_eq!(found.is_some_and(|score| score.hit), expected >= 1.0, "{text}");
        }
    }

    #[test]
    fn profiles_do_not_disturb_one_another() {
        let profiles = [profile("a"), only(&[("rain", 1.0)]), Profile { level: Level::Strict, ..profile("b") }];
        let mut scorer = Scorer::new(&profiles, &Frequencies::new()).expect("small");
        let mut tokenizer = Tokenizer::new();
        for (title, body) in [("Quokka", "ferry and rain"), ("rain", ""), ("", "keeper"), ("", "")] {
            let together = scorer.score(&tokenizer.read(title, body), Explain::Everything);
            let alone: Vec<Score> = profiles.iter().filter_map(|profile| score(profile, title, body)).collect();
            assert_eq!(together, alone);
        }
    }

    #[test]
    fn only_hits_are_explained_when_asked_for_hits() {
        let mut scorer = Scorer::new(&[only(&[("rain", 1.0), ("snow", 0.5)])], &Frequencies::new()).expect("small");
        let mut tokenizer = Tokenizer::new();
        assert!(scorer.score(&tokenizer.read("snow", ""), Explain::Hits)[0].reasons.is_empty());
        assert_eq!(scorer.score(&tokenizer.read("rain", ""), Explain::Hits)[0].reasons.len(), 1);
    }
}
