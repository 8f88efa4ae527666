//! Items against all profiles at once.
//!
//! One pass over an item's tokens counts those that any profile knows; one pass over its folded text finds the phrases of all
//! profiles. What follows costs time only for terms that occurred. For a profile with term weights w, build-time
//! rarities r and strengths m, and present rarities ρ, the score is
//! Σ w·(ρ/r)·saturated/m ÷ Σ w·(ρ/r), plus what phrases, concepts and conditions add, minus what look-alikes take (see
//! [`rules`]). The first part is recipe R, step 7: frequencies move as the archive grows, and the division keeps 1 = "like a
//! seed".

mod places;
mod rules;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use regex::{Regex, RegexBuilder};

use self::places::{Place, Places};
use self::rules::{Found, Outcome, Part, Rules, Target};
use super::fold::{Folded, context};
use super::frequency::{Frequencies, Key, KeyMap};
use super::language::LANGUAGES;
use super::noise::Noise;
use super::phrase::{Finder, Pattern, TooMany};
use super::profile::{Profile, Term, length_norm, saturated};
use super::text::Document;
use crate::model::{Basis, Reason, ReasonKind, Score, StoredScore};

/// The way of scoring. Raised whenever the same profile, frequencies and text may score otherwise than before.
pub const METHOD: u32 = 1;
/// Characters of a reason's context.
const CONTEXT_CHARACTERS: usize = 80;
/// How many reasons of a score have a context: the heaviest, which is more than anyone reads.
const CONTEXTS_MAX: usize = 20;
/// Places of a name that are remembered: a text that repeats it is bounded.
const PLACES_MAX: usize = 32;
/// Where a required condition is not met, the score is at most this part of what makes a hit: just below the line.
const UNMET_MOST: f64 = 0.95;
/// Memory of one compiled regular expression.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// Which scores come with reasons; they cost more than the score itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// None.
    Nothing,
    /// Those that reached the threshold; what is below half of it is not even answered.
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

/// Scores items. One for each thread: it keeps its counters between items.
#[derive(Debug)]
pub struct Scorer {
    profiles: Vec<Profile>,
    /// By profile: what a score is made with beside the text.
    bases: Vec<Basis>,
    /// By term number: its rarity now.
    rarities: Vec<f64>,
    /// By language: hash of a term → a range of `numbers`, the terms that read so in it.
    ranges: [KeyMap<(u32, u32)>; LANGUAGES],
    numbers: Vec<u32>,
    keys: Vec<Key>,
    /// The postings of term n are `postings[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    postings: Vec<Posting>,
    finder: Finder,
    /// Regular expressions, with the numbers of their patterns: they follow those of the finder.
    expressions: Vec<Regex>,
    /// Where each pattern is used, by pattern number: which profile, and what it is there.
    uses: Vec<Vec<(u32, Target)>>,
    rules: Vec<Rules>,
    // What follows is about the item at hand.
    seen: Vec<Seen>,
    touched: Vec<u32>,
    found: Vec<Found>,
    /// By index into `found`: its pattern.
    found_patterns: Vec<usize>,
    /// By pattern: its index into `found`, or `u32::MAX`.
    found_at: Vec<u32>,
    /// Which profile has a name among those found: profile, whose name, index into `found`.
    named: Vec<(u32, Target, usize)>,
    outcomes: Vec<(u32, Outcome)>,
    /// By profile: what the length of the item does to its terms.
    norms: Vec<f64>,
    scores: Vec<f64>,
}

impl Scorer {
    /// A scorer for these profiles. Fails only when their names together exceed the automaton's limit.
    pub fn new(profiles: &[Profile], frequencies: &Frequencies) -> Result<Scorer, TooMany> {
        let mut known = HashMap::new();
        let mut keys = Vec::new();
        let mut postings: Vec<(u32, Posting)> = Vec::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut known_patterns: HashMap<Pattern, usize> = HashMap::new();
        let mut uses: Vec<Vec<(u32, Target)>> = Vec::new();
        let mut expressions: BTreeMap<&str, Vec<(u32, Target)>> = BTreeMap::new();
        for (profile_number, profile) in profiles.iter().enumerate() {
            let profile_number = profile_number as u32;
            for (term_number, term) in profile.terms.iter().enumerate() {
                let number = *known.entry((term.key, term.hashes)).or_insert_with(|| {
                    keys.push(term.key);
                    keys.len() as u32 - 1
                });
                postings.push((number, Posting { profile: profile_number, term: term_number as u32, factor: 0.0 }));
            }
            for (target, text, is_expression) in rules::names(profile) {
                if is_expression {
                    expressions.entry(text).or_default().push((profile_number, target));
                    continue;
                }
                let Some(pattern) = Pattern::new(text) else { continue };
                let number = *known_patterns.entry(pattern).or_insert_with_key(|pattern| {
                    patterns.push(pattern.clone());
                    uses.push(Vec::new());
                    patterns.len() - 1
                });
                uses[number].push((profile_number, target));
            }
        }
        // The profile's reader has compiled them before; one that fails now finds nothing.
        let expressions: Vec<(Regex, Vec<(u32, Target)>)> =
            expressions.into_iter().filter_map(|(text, used)| Some((expression(text).ok()?, used))).collect();
        uses.extend(expressions.iter().map(|(_, used)| used.clone()));
        postings.sort_by_key(|(number, _)| *number);
        let starts =
            (0..=keys.len() as u32).map(|n| postings.partition_point(|(number, _)| *number < n) as u32).collect();
        let base =
            |profile: &Profile| Basis { method: METHOD, profile_hash: profile.fingerprint(), ..Basis::default() };
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
        let mut scorer = Scorer {
            bases: profiles.iter().map(base).collect(),
            rarities: vec![0.0; keys.len()],
            norms: Vec::new(),
            scores: vec![0.0; profiles.len()],
            seen: vec![Seen::default(); keys.len()],
            profiles: profiles.to_vec(),
            ranges,
            numbers,
            keys,
            starts,
            postings: postings.into_iter().map(|(_, posting)| posting).collect(),
            finder: Finder::new(patterns)?,
            expressions: expressions.into_iter().map(|(expression, _)| expression).collect(),
            found_at: vec![u32::MAX; uses.len()],
            uses,
            rules: profiles.iter().map(Rules::of).collect(),
            touched: Vec::new(),
            found: Vec::new(),
            found_patterns: Vec::new(),
            named: Vec::new(),
            outcomes: Vec::new(),
        };
        scorer.refresh(frequencies);
        Ok(scorer)
    }

    /// A scorer that scores as a stored score was made: with the archive of then, and the rarities of the terms that occurred.
    /// The same text gives the same score, to the last digit.
    pub fn again(profile: &Profile, basis: &Basis, reasons: &[Reason]) -> Result<Scorer, TooMany> {
        let mut scorer = Scorer::new(std::slice::from_ref(profile), &Frequencies::new())?;
        let stored: HashMap<&str, f64> =
            reasons.iter().filter_map(|reason| Some((reason.term.as_str(), reason.rarity?))).collect();
        for posting in &mut scorer.postings {
            let term = &profile.terms[posting.term as usize];
            // What did not occur then does not occur now.
            let rarity = stored.get(term.text.as_str()).copied().unwrap_or(0.0);
            posting.factor = factor(term, rarity) / basis.divisor.max(f64::MIN_POSITIVE);
        }
        for (number, rarity) in scorer.rarities.iter_mut().enumerate() {
            let term = scorer.postings[scorer.starts[number] as usize].term as usize;
            *rarity = stored.get(profile.terms[term].text.as_str()).copied().unwrap_or(0.0);
        }
        scorer.bases[0] = basis.clone();
        Ok(scorer)
    }

    /// The profiles, in the order of [`Scorer::scores`].
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Derives all weights again from what is frequent now.
    pub fn refresh(&mut self, frequencies: &Frequencies) {
        for (basis, profile) in self.bases.iter_mut().zip(&self.profiles) {
            basis.average_length = frequencies.average_length(profile.average_length);
            basis.documents = frequencies.documents();
            basis.divisor = 0.0;
            let noise = frequencies.noise(profile.noise_key()).filter(|_| profile.follows_noise);
            basis.noise_factor = noise.map_or(1.0, Noise::factor);
        }
        for (number, key) in self.keys.iter().enumerate() {
            let now = frequencies.rarity(*key);
            self.rarities[number] = now;
            for posting in &mut self.postings[self.starts[number] as usize..self.starts[number + 1] as usize] {
                let term = &self.profiles[posting.profile as usize].terms[posting.term as usize];
                posting.factor = factor(term, now);
                self.bases[posting.profile as usize].divisor += posting.factor * term.strength;
            }
        }
        for posting in &mut self.postings {
            posting.factor /= self.bases[posting.profile as usize].divisor.max(f64::MIN_POSITIVE);
        }
    }

    /// The score that makes this document a hit of the profile with this number.
    pub fn threshold(&self, number: usize, document: &Document<'_>) -> f64 {
        self.profiles[number].hit_score() * self.threshold_factor(number, document)
    }

    /// What the profile's hit score is multiplied by for this document: for its source, its language, and the noise.
    pub fn threshold_factor(&self, number: usize, document: &Document<'_>) -> f64 {
        let own = self.profiles[number].factor_for(document.source, document.stated_language);
        own * self.bases[number].noise_factor
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

    /// A condition without which nothing is a hit of this profile was not met by the document that was scored last: no other
    /// threshold would make it a hit.
    pub fn is_barred(&self, profile: usize) -> bool {
        self.outcome(profile).is_some_and(|outcome| !outcome.unmet.is_empty())
    }

    /// The scores above 0, in the order of the profiles. Those that are explained have reasons whose shares add up to the
    /// score, the heaviest first, and say what is missing.
    pub fn score(&mut self, document: &Document<'_>, explain: Explain) -> Vec<Score> {
        let folded = self.add_up(document);
        let text_hash = document.text_hash();
        let mut scores = Vec::new();
        for number in 0..self.profiles.len() {
            let score = self.scores[number];
            if score <= 0.0 && !(explain == Explain::Everything && self.outcome(number).is_some()) {
                continue;
            }
            let threshold = self.threshold(number, document);
            if explain == Explain::Hits && score < threshold * StoredScore::KEPT_FROM {
                continue;
            }
            let hit = score >= threshold;
            let mut basis = self.bases[number].clone();
            (basis.length, basis.text_hash) = (document.length(), text_hash);
            let (reasons, missing) = match explain {
                Explain::Everything => self.explain(document, &folded, number),
                Explain::Hits if hit => self.explain(document, &folded, number),
                _ => Default::default(),
            };
            let profile = self.profiles[number].name.clone();
            let barred = self.is_barred(number);
            scores.push(Score { profile, score, threshold, hit, barred, reasons, basis, missing });
        }
        scores
    }

    /// Fills `seen`, `found`, `outcomes` and `scores`; hands back the folded title and body, empty without names.
    fn add_up(&mut self, document: &Document<'_>) -> [Folded; 2] {
        for number in self.touched.drain(..) {
            self.seen[number as usize] = Seen::default();
        }
        self.scores.fill(0.0);
        self.count_terms(document);
        let length = document.length() as f64;
        self.norms.clear();
        self.norms.extend(self.bases.iter().map(|basis| length_norm(length, basis.average_length)));
        for number in &self.touched {
            let frequency = f64::from(self.seen[*number as usize].frequency);
            for posting in
                &self.postings[self.starts[*number as usize] as usize..self.starts[*number as usize + 1] as usize]
            {
                let profile = posting.profile as usize;
                self.scores[profile] += posting.factor * saturated(frequency, self.norms[profile]);
            }
        }
        let folded = self.find_names(document);
        self.apply_rules(document, &folded);
        folded
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

    /// Fills `found` and `named`.
    fn find_names(&mut self, document: &Document<'_>) -> [Folded; 2] {
        self.found.clear();
        for pattern in self.found_patterns.drain(..) {
            self.found_at[pattern] = u32::MAX;
        }
        self.named.clear();
        if self.uses.is_empty() {
            return [Folded::default(), Folded::default()];
        }
        let folded = [Folded::new(document.title), Folded::new(document.body)];
        let at = &mut self.found_at;
        let (found, patterns) = (&mut self.found, &mut self.found_patterns);
        let mut add = |pattern: usize, place: Place| {
            if at[pattern] == u32::MAX {
                at[pattern] = found.len() as u32;
                found.push(Found { count: 0, places: Vec::new() });
                patterns.push(pattern);
            }
            let found = &mut found[at[pattern] as usize];
            found.count = found.count.saturating_add(1);
            if found.places.len() < PLACES_MAX {
                found.places.push(place);
            }
        };
        for (part, in_title) in folded.iter().zip([true, false]) {
            self.finder.find(part, |pattern, range| add(pattern, Place { in_title, range }));
            for (number, expression) in self.expressions.iter().enumerate() {
                let pattern = self.uses.len() - self.expressions.len() + number;
                for hit in expression.find_iter(part.text()).take(PLACES_MAX) {
                    add(pattern, Place { in_title, range: hit.range() });
                }
            }
        }
        for (at, pattern) in self.found_patterns.iter().enumerate() {
            self.named.extend(self.uses[*pattern].iter().map(|(profile, target)| (*profile, *target, at)));
        }
        // By profile; what was found first stays first.
        self.named.sort_by_key(|(profile, _, at)| (*profile, *at));
        folded
    }

    /// Fills `outcomes` and brings them into the scores. A profile that requires something is looked at even when none of its
    /// names occurred.
    fn apply_rules(&mut self, document: &Document<'_>, folded: &[Folded; 2]) {
        self.outcomes.clear();
        let places = OnceCell::new();
        let mut make = || places.get_or_init(|| Places::of(folded[0].text(), folded[1].text()));
        let mut next = 0;
        for number in 0..self.profiles.len() {
            let start = next;
            while self.named.get(next).is_some_and(|(profile, _, _)| *profile as usize == number) {
                next += 1;
            }
            let requires = self.rules[number].requires();
            if start == next && !requires {
                continue;
            }
            let names: Vec<(Target, usize)> =
                self.named[start..next].iter().map(|(_, target, at)| (*target, *at)).collect();
            let outcome = self.rules[number].apply(&names, &self.found, &mut make);
            let score = &mut self.scores[number];
            for (gives, _) in &outcome.parts {
                *score += gives;
            }
            *score = score.max(0.0);
            if !outcome.unmet.is_empty() {
                let most = self.threshold(number, document) * UNMET_MOST;
                let score = &mut self.scores[number];
                *score = score.min(most);
            }
            if start < next || !outcome.unmet.is_empty() && self.scores[number] > 0.0 {
                self.outcomes.push((number as u32, outcome));
            }
        }
    }

    fn outcome(&self, profile: usize) -> Option<&Outcome> {
        let at = self.outcomes.binary_search_by_key(&(profile as u32), |(number, _)| *number).ok()?;
        Some(&self.outcomes[at].1)
    }

    /// The reasons of a profile's score, the heaviest first, and what is missing to a hit.
    fn explain(&self, document: &Document<'_>, folded: &[Folded; 2], number: usize) -> (Vec<Reason>, Vec<String>) {
        let (profile, score) = (&self.profiles[number], self.scores[number]);
        let mut reasons: Vec<(Reason, Cause)> = Vec::new();
        let norm = self.norms[number];
        let mut sum = 0.0;
        for term in &self.touched {
            for posting in self.postings_of(*term).iter().filter(|posting| posting.profile as usize == number) {
                let seen = self.seen[*term as usize];
                let share = posting.factor * saturated(f64::from(seen.frequency), norm);
                sum += share;
                let text = &profile.terms[posting.term as usize].text;
                let rarity = Some(self.rarities[*term as usize]);
                let reason = Reason { term: text.clone(), share, count: seen.count, rarity, ..Reason::default() };
                reasons.push((reason, Cause::Term(*term)));
            }
        }
        let outcome = self.outcome(number);
        for (share, part) in outcome.iter().flat_map(|outcome| &outcome.parts) {
            sum += share;
            reasons.push(self.reason(number, *share, part));
        }
        if sum < 0.0 {
            let reason = Reason {
                kind: ReasonKind::Adjustment,
                term: "no score is below 0".into(),
                share: -sum,
                count: 1,
                ..Reason::default()
            };
            reasons.push((reason, Cause::None));
        }
        let threshold = self.threshold(number, document);
        let mut missing = Vec::new();
        if let Some(outcome) = outcome {
            for condition in &outcome.unmet {
                let condition = &profile.conditions[*condition as usize];
                let text = format!("required: {}", condition.in_words());
                if sum > score && sum >= 0.0 {
                    let reason = Reason {
                        kind: ReasonKind::Adjustment,
                        term: condition.name.clone(),
                        share: score - sum,
                        count: 1,
                        note: text.clone(),
                        ..Reason::default()
                    };
                    sum = score;
                    reasons.push((reason, Cause::None));
                }
                missing.push(text);
            }
        }
        if score < threshold {
            missing.push(format!("{:.3} to the threshold of {threshold:.3}", threshold - score));
            let present = |name: &String| {
                let at = profile.concepts.iter().position(|concept| concept.name == *name);
                at.zip(outcome).is_some_and(|(at, outcome)| outcome.present[at])
            };
            for condition in &profile.conditions {
                // One concept short of what would make it a hit.
                let absent: Vec<&String> = condition.all.iter().filter(|name| !present(name)).collect();
                if condition.adds >= threshold - score && absent.len() == 1 && condition.all.len() > 1 {
                    let adds = condition.adds;
                    missing
                        .push(format!("\"{}\" would add {adds:.2}, but {} does not occur", condition.name, absent[0]));
                }
            }
        }
        reasons.retain(|(reason, _)| reason.share != 0.0);
        reasons.sort_by(|a, b| b.0.share.abs().total_cmp(&a.0.share.abs()).then_with(|| a.1.cmp(&b.1)));
        for (reason, cause) in reasons.iter_mut().take(CONTEXTS_MAX) {
            reason.context = self.context(document, folded, *cause);
        }
        (reasons.into_iter().map(|(reason, _)| reason).collect(), missing)
    }

    fn reason(&self, number: usize, share: f64, part: &Part) -> (Reason, Cause) {
        let profile = &self.profiles[number];
        let named = |at: usize| {
            let uses = self.uses[self.found_patterns[at]].iter();
            let mut own = uses.filter(|(user, _)| *user as usize == number);
            own.find_map(|(_, target)| match target {
                Target::Concept(concept, name) => {
                    Some(profile.concepts[*concept as usize].names[*name as usize].text.clone())
                }
                Target::LookAlike(look_alike, name) => {
                    Some(profile.look_alikes[*look_alike as usize].names[*name as usize].text.clone())
                }
                Target::Phrase(_) => None,
            })
            .unwrap_or_default()
        };
        let (kind, term, count, note, cause) = match part {
            Part::Phrase { phrase, found } => {
                let text = profile.phrases[*phrase as usize].text.clone();
                (ReasonKind::Phrase, text, self.found[*found].count, String::new(), Cause::Name(*found))
            }
            Part::Concept { concept, found, count } => {
                let name = profile.concepts[*concept as usize].name.clone();
                (ReasonKind::Concept, name, *count, named(*found), Cause::Name(*found))
            }
            Part::Condition { condition } => {
                let condition = &profile.conditions[*condition as usize];
                (ReasonKind::Condition, condition.name.clone(), 1, condition.in_words(), Cause::None)
            }
            Part::LookAlike { look_alike, found } => {
                let entry = &profile.look_alikes[*look_alike as usize];
                let mut note = format!("{}: {}", named(*found), entry.reason);
                for by in [&entry.author, &entry.date].into_iter().filter(|by| !by.is_empty()) {
                    note += &format!(", {by}");
                }
                (ReasonKind::LookAlike, entry.name.clone(), self.found[*found].count, note, Cause::Name(*found))
            }
        };
        (Reason { kind, term, share, count, note, rarity: None, context: String::new() }, cause)
    }

    /// The text around the first occurrence.
    fn context(&self, document: &Document<'_>, folded: &[Folded; 2], cause: Cause) -> String {
        let (text, place) = match cause {
            Cause::None => return String::new(),
            Cause::Term(number) => {
                let index = self.seen[number as usize].first as usize;
                let pair = matches!(self.keys[number as usize], Key::Pair(_));
                (document.part_of(index), document.span(index, pair))
            }
            Cause::Name(found) => {
                let Some(place) = self.found[found].places.first() else { return String::new() };
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

/// What a reason is about, in the order in which equal shares are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Number of the term.
    Term(u32),
    /// Index into `found`.
    Name(usize),
    /// Nothing that stands in the text.
    None,
}

/// A term's weight w·ρ/r per unit of saturated frequency, before the division by the sum over the profile.
fn factor(term: &Term, rarity_now: f64) -> f64 {
    term.weight * rarity_now / term.rarity.unwrap_or(rarity_now).max(f64::MIN_POSITIVE) / term.strength
}

/// A regular expression over folded text.
fn expression(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(EXPRESSION_BYTES_MAX).build()
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Aliases, Level, Phrase, build, read};
    use super::super::seed::Seed;
    use super::super::text::Tokenizer;
    use super::*;
    use crate::config::section::{File, Problems};

    const SEED: &str =
        "The quokka ferry left the island. Quokkas love the ferry, and a keeper counted each quokka on board.";

    fn profile(name: &str) -> Profile {
        let seed = Seed { file: "a.txt".into(), title: "Quokka ferry".into(), text: SEED.into() };
        build(name, &[seed], &Frequencies::new()).expect("built")
    }

    fn only(phrases: &[(&str, f64)]) -> Profile {
        let phrases = phrases.iter().map(|(text, weight)| Phrase { text: text.to_string(), weight: *weight }).collect();
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
        profile.phrases.push(Phrase { text: "rottnest island".into(), weight: 0.25 });
        let body = "Today at Rottnest\u{a0}ISLAND, a Quokka went to the keeper.";
        let score = score(&profile, "", body).expect("above 0");
        let sum: f64 = score.reasons.iter().map(|reason| reason.share).sum();
        assert!((sum - score.score).abs() < 1e-9);
        assert!(score.reasons.windows(2).all(|two| two[0].share >= two[1].share));
        let phrase = score.reasons.iter().find(|reason| reason.term == "rottnest island").expect("phrase");
        assert_eq!(phrase.context, "Today at Rottnest ISLAND, a Quokka went to the keeper.");
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

    /// A profile from its file's text.
    fn written(text: &str) -> Profile {
        let problems = Problems::default();
        let profile = File::new("p.toml", format!("name = \"p\"\nthreshold = 1.0\n{text}"))
            .read(&problems, |section| read(section, &Aliases::none()));
        let problems: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(problems, Vec::<String>::new());
        profile.expect("a profile")
    }

    fn shares(profile: &Profile, title: &str, body: &str) -> Vec<(String, f64)> {
        let score = score(profile, title, body);
        let reasons = score.into_iter().flat_map(|score| {
            let sum: f64 = score.reasons.iter().map(|reason| reason.share).sum();
            assert!((sum - score.score).abs() < 1e-9, "the shares add up to {sum}, the score is {}", score.score);
            score.reasons
        });
        reasons.map(|reason| (reason.term, reason.share)).collect()
    }

    #[test]
    fn a_concept_counts_once_under_whichever_name() {
        let profile = written(
            "[[concept]]\nname = \"actor\"\nweight = 1\nnames = [\"North Korea*\", \"Pyongyang\", \"북한\"]\n\
             includes = [\"unit\"]\n[[concept]]\nname = \"unit\"\nnames = [\"Lazarus Group\"]\nexpressions = ['\\bapt\\s?38\\b']\n",
        );
        for text in ["Pyongyang", "북한은", "North Korean and Pyongyang", "the Lazarus Group", "APT 38"] {
            assert_eq!(shares(&profile, "", text), [("actor".to_string(), 1.0)], "{text}");
        }
        assert_eq!(score(&profile, "", "South Korea, Lazarus and XAPT380"), None);
    }

    #[test]
    fn a_weak_name_counts_only_beside_its_context() {
        let profile = written(
            "[[concept]]\nname = \"actor\"\nweight = 1\nnames = [\"DPRK\"]\n\
             [[concept.weak]]\nnames = [\"the North\"]\nwith = [\"seoul\"]\nwithin = \"sentence\"\n\
             [[concept]]\nname = \"seoul\"\nnames = [\"Seoul\"]\n[[concept.weak]]\nnames = [\"the South\"]\nwith = [\"actor\"]\n",
        );
        for (text, expected) in [
            ("Seoul warned the North.", 1.0),
            ("Seoul warned. Rain in the north.", 0.0),
            ("The North and the South played football.", 0.0),
            ("The DPRK and the South; the North", 1.0),
            ("the DPRK", 1.0),
        ] {
            assert_eq!(score(&profile, "", text).map_or(0.0, |score| score.score), expected, "{text}");
        }
    }

    #[test]
    fn conditions_add_when_their_concepts_stand_together() {
        let concepts = "concepts = [{ name = \"a\", names = [\"apg\"] }, { name = \"b\", names = [\"seat\"] }, \
                        { name = \"c\", names = [\"pension\"] }]\n[[condition]]\nname = \"x\"\nadds = 1\n";
        for (condition, text, met) in [
            ("all = [\"a\", \"b\"]", "The APG met. A seat was lost.", true),
            ("all = [\"a\", \"b\"]", "The APG met.", false),
            ("all = [\"a\"]\nany = [\"b\", \"c\"]", "APG seat", true),
            ("all = [\"a\"]\nany = [\"b\", \"c\"]", "APG", false),
            ("all = [\"a\"]\nnone = [\"c\"]", "APG pension", false),
            ("all = [\"a\", \"b\"]\nwithin = \"sentence\"", "The APG met. A seat was lost.", false),
            ("all = [\"a\", \"b\"]\nwithin = \"sentence\"", "Rain. The APG took a seat. Rain.", true),
            ("all = [\"a\", \"b\"]\nwithin = 3", "APG took a seat", true),
            ("all = [\"a\", \"b\"]\nwithin = 3", "APG took away a seat", false),
            ("all = [\"a\", \"b\"]\nwithin = \"title\"", "APG seat", false),
        ] {
            let profile = written(&format!("{concepts}{condition}\n"));
            assert_eq!(score(&profile, "", text).is_some_and(|score| score.hit), met, "{condition}: {text}");
            if condition.contains("title") {
                assert!(score(&profile, text, "").expect("scored").hit);
            }
        }
    }

    #[test]
    fn what_is_required_keeps_everything_else_below_the_line() {
        let profile = written(
            "[[phrase]]\ntext = \"observer\"\nweight = 3\n[[concept]]\nname = \"actor\"\nnames = [\"DPRK\"]\n\
             [[condition]]\nname = \"about the DPRK\"\nall = [\"actor\"]\nrequired = true\n",
        );
        assert!(score(&profile, "", "observer of the DPRK").expect("scored").hit);
        let near = score(&profile, "", "an observer").expect("scored");
        assert!(!near.hit && near.score > 0.9, "{}", near.score);
        assert_eq!(near.missing, ["required: actor", "0.050 to the threshold of 1.000"]);
        let sum: f64 = near.reasons.iter().map(|reason| reason.share).sum();
        assert!((sum - near.score).abs() < 1e-9);
    }

    #[test]
    fn a_look_alike_is_taken_off_and_never_silent() {
        let profile = written(
            "[[phrase]]\ntext = \"APG\"\nweight = 1\n[[concept]]\nname = \"fatf\"\nnames = [\"FATF\"]\n\
             [[look_alike]]\nname = \"pensions\"\nnames = [\"pension*\"]\nunless = [\"fatf\"]\nsubtracts = 0.5\n\
             reason = \"a Dutch fund\"\nauthor = \"ann\"\ndate = \"2026-01-02\"\n",
        );
        let score_of = |text: &str| score(&profile, "", text).map_or(0.0, |score| score.score);
        assert_eq!((score_of("APG"), score_of("APG pensions"), score_of("APG pensions and FATF")), (1.0, 0.5, 1.0));
        let found = score(&profile, "", "APG pensions").expect("scored");
        let reason = found.reasons.iter().find(|reason| reason.kind == ReasonKind::LookAlike).expect("a reason");
        assert_eq!((reason.term.as_str(), reason.share), ("pensions", -0.5));
        assert_eq!(
            (reason.note.as_str(), reason.context.as_str()),
            ("pension*: a Dutch fund, ann, 2026-01-02", "APG pensions")
        );
        // Where nothing else stands, there is nothing to take off, but it is said.
        let alone = score(&profile, "", "a pension").expect("explained");
        assert_eq!((alone.score, alone.reasons.len()), (0.0, 2));
    }

    #[test]
    fn thresholds_differ_by_source_and_language() {
        let profile = written(
            "[[phrase]]\ntext = \"APG\"\nweight = 1\n[[setting]]\nsource = \"noisy\"\nthreshold_factor = 2\n\
             [[setting]]\nlanguage = \"ko\"\nthreshold_factor = 0.5\n",
        );
        let mut scorer = Scorer::new(&[profile], &Frequencies::new()).expect("small");
        let mut tokenizer = Tokenizer::new();
        for (source, language, threshold) in
            [("a", "", 1.0), ("noisy", "en", 2.0), ("a", "ko-KR", 0.5), ("noisy", "ko", 1.0)]
        {
            let document = tokenizer.read("", "APG").from(source, language);
            let score = scorer.score(&document, Explain::Nothing).remove(0);
            assert_eq!((score.threshold, score.hit), (threshold, threshold <= 1.0), "{source} {language}");
        }
    }

    #[test]
    fn a_stored_score_comes_out_again_to_the_last_digit() {
        let mut profile = profile("q");
        profile.phrases.push(Phrase { text: "rottnest island".into(), weight: 0.1 });
        let (mut tokenizer, mut frequencies) = (Tokenizer::new(), Frequencies::new());
        for n in 0..300 {
            frequencies.count(&tokenizer.read("Rain", &format!("rain fell on ferry {n}")));
        }
        let (title, body) =
            ("Quokkas", "A keeper counted quokkas on the ferry to Rottnest Island. The ferry left; the keeper stayed.");
        let mut then = Scorer::new(&[profile.clone(), only(&[("rain", 1.0)])], &frequencies).expect("small");
        let stored = then.score(&tokenizer.read(title, body), Explain::Everything).remove(0);
        let snapshot = Profile::from_snapshot(&profile.snapshot()).expect("reads back");
        assert_eq!(snapshot, profile);
        let basis = serde_json::from_str(&serde_json::to_string(&stored.basis).expect("json")).expect("json");
        let reasons: Vec<Reason> =
            serde_json::from_str(&serde_json::to_string(&stored.reasons).expect("json")).expect("json");
        let mut again = Scorer::again(&snapshot, &basis, &reasons).expect("small");
        assert_eq!(again.score(&tokenizer.read(title, body), Explain::Everything), [stored]);
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
