//! What in a profile cannot be meant: names that never occur, that occur everywhere, that alone make its hits, that are too short;
//! languages it has no names for; two profiles that find the same.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Folded;
use super::frequency::{Frequencies, Key, KeyMap};
use super::phrase::{Finder, Pattern, TooMany};
use super::profile::Profile;
use super::score::{Explain, Scorer};
use super::text::{Class, Tokenizer, class};
use crate::model::{Id, Item, Reason, ReasonKind};

/// A name that occurs in a greater share of all items says nothing.
const EVERYWHERE: f64 = 0.05;
/// Below so many items nothing is said about what occurs how often.
const ITEMS_MIN: u64 = 100;
/// A name is noted that alone makes more than this share of at least [`HITS_MIN`] hits.
const ALONE: f64 = 0.5;
/// Below so many hits nothing is said about them.
const HITS_MIN: usize = 10;
/// Two profiles are the same when this share of their hits is common.
const SAME: f64 = 0.9;
/// Hits of one profile that are remembered for that.
const HITS_MAX: usize = 1_000_000;
/// A language is looked at from this share of all items on.
const LANGUAGE_MIN: f64 = 0.01;
/// In a language where names occur less often than this, measured by the best one, the profile is nearly blind.
const BLIND: f64 = 0.2;

/// What is searched for.
#[derive(Clone, Debug)]
enum Search {
    /// A learned term.
    Key(Key),
    /// A name.
    Pattern(Pattern),
}

/// One searchable name of a profile.
#[derive(Clone, Debug)]
pub struct Name {
    /// What it is.
    pub kind: ReasonKind,
    /// As the file writes it.
    pub text: String,
    search: Search,
}

/// All searchable names of a profile. The only place that knows where a profile has names.
pub fn names(profile: &Profile) -> impl Iterator<Item = Name> {
    let terms = profile.terms.iter().map(|term| Name {
        kind: ReasonKind::Term,
        text: term.text.clone(),
        search: Search::Key(term.key),
    });
    let written = |kind: ReasonKind, text: &String| {
        let search = Search::Pattern(Pattern::new(text)?);
        Some(Name { kind, text: text.clone(), search })
    };
    let phrases = profile.phrases.iter().filter_map(move |phrase| written(ReasonKind::Phrase, &phrase.text));
    let spoken = profile.concepts.iter().flat_map(|concept| &concept.names);
    // A weak name counts beside another only, and an expression says itself what it finds: how often they occur says little.
    let spoken = spoken.filter(|name| !name.is_expression && name.context.is_none());
    let concepts = spoken.filter_map(move |name| written(ReasonKind::Concept, &name.text));
    terms.chain(phrases).chain(concepts)
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Name of the profile.
    pub profile: String,
    /// The names it is about, as written; empty when it is about the profile.
    pub names: Vec<String>,
    /// A sentence that begins after the names.
    pub message: String,
}

/// The writing systems that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    /// Latin letters.
    Latin,
    /// Cyrillic letters.
    Cyrillic,
    /// Korean letters.
    Hangul,
    /// Chinese characters and Japanese Kana.
    Ideographs,
    /// Arabic letters.
    Arabic,
    /// Any other.
    Other,
}

impl Script {
    /// As people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Script::Latin => "Latin letters",
            Script::Cyrillic => "Cyrillic letters",
            Script::Hangul => "Korean letters",
            Script::Ideographs => "Chinese or Japanese characters",
            Script::Arabic => "Arabic letters",
            Script::Other => "another script",
        }
    }

    /// The script of most letters of a text; `None` without letters.
    pub fn of(text: &str) -> Option<Script> {
        let mut counts: BTreeMap<Script, usize> = BTreeMap::new();
        for c in text.chars().take(2_000).filter(|c| c.is_alphabetic()) {
            let script = match (class(c), c) {
                (Class::Hangul, _) => Script::Hangul,
                (Class::Ideograph, _) => Script::Ideographs,
                (_, '\u{400}'..='\u{52f}') => Script::Cyrillic,
                (_, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}') => Script::Arabic,
                (_, c) if c < '\u{250}' || ('\u{1e00}'..='\u{1eff}').contains(&c) => Script::Latin,
                _ => Script::Other,
            };
            *counts.entry(script).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(script, _)| script)
    }
}

/// What is known of a name.
#[derive(Clone, Debug)]
struct Counted {
    name: Name,
    profile: usize,
    items: u64,
    /// Number of the last item that held it.
    last: u64,
}

/// What is known of a language.
#[derive(Clone, Debug, Default)]
struct Language {
    items: u64,
    scripts: BTreeMap<Script, u64>,
    /// By profile: items in which one of its names occurred.
    touched: Vec<u64>,
}

/// Counts what occurs in the archive.
#[derive(Debug)]
pub struct Lint {
    tokenizer: Tokenizer,
    scorer: Scorer,
    names: Vec<Counted>,
    by_key: KeyMap<Vec<usize>>,
    finder: Finder,
    /// By pattern of the finder.
    by_pattern: Vec<Vec<usize>>,
    items: u64,
    languages: BTreeMap<String, Language>,
    hits: Vec<BTreeSet<Id>>,
    /// By profile: name → hits that would be none without it.
    alone: Vec<BTreeMap<String, usize>>,
}

impl Lint {
    /// Ready to count. Fails only when the names of all profiles together exceed the automaton's limit.
    pub fn new(profiles: &[Profile], frequencies: &Frequencies) -> Result<Lint, TooMany> {
        let mut counted = Vec::new();
        let mut by_key: KeyMap<Vec<usize>> = KeyMap::default();
        let mut patterns: BTreeMap<Pattern, Vec<usize>> = BTreeMap::new();
        for (number, profile) in profiles.iter().enumerate() {
            for name in names(profile) {
                match &name.search {
                    Search::Key(key) => by_key.entry(key.hash()).or_default().push(counted.len()),
                    Search::Pattern(pattern) => patterns.entry(pattern.clone()).or_default().push(counted.len()),
                }
                counted.push(Counted { name, profile: number, items: 0, last: 0 });
            }
        }
        let (patterns, by_pattern): (Vec<Pattern>, Vec<Vec<usize>>) = patterns.into_iter().unzip();
        Ok(Lint {
            tokenizer: Tokenizer::new(),
            scorer: Scorer::new(profiles, frequencies)?,
            names: counted,
            by_key,
            finder: Finder::new(patterns)?,
            by_pattern,
            items: 0,
            languages: BTreeMap::new(),
            hits: vec![BTreeSet::new(); profiles.len()],
            alone: vec![BTreeMap::new(); profiles.len()],
        })
    }

    /// Counts one item.
    pub fn count(&mut self, item: &Item) {
        self.items += 1;
        let body = item.body();
        let document = self.tokenizer.read(&item.title, &body).from(&item.source, &item.language);
        let mut touched = vec![false; self.hits.len()];
        let (items, names) = (self.items, &mut self.names);
        let mut note = |number: usize| {
            let counted = &mut names[number];
            if counted.last != items {
                counted.last = items;
                counted.items += 1;
                touched[counted.profile] = true;
            }
        };
        for token in document.tokens() {
            for key in [token.word, token.pair] {
                self.by_key.get(&key).into_iter().flatten().for_each(|number| note(*number));
            }
        }
        if !self.finder.is_empty() {
            for part in [Folded::new(document.title), Folded::new(document.body)] {
                self.finder.find(&part, |pattern, _| self.by_pattern[pattern].iter().for_each(|number| note(*number)));
            }
        }
        let script = Script::of(&item.title).or_else(|| Script::of(&body));
        let tag = item.language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let tag = if tag.is_empty() { script.map_or("", Script::as_str).to_string() } else { tag };
        let language = self.languages.entry(tag).or_default();
        language.items += 1;
        language.touched.resize(touched.len(), 0);
        if let Some(script) = script {
            *language.scripts.entry(script).or_default() += 1;
        }
        for (count, touched) in language.touched.iter_mut().zip(&touched) {
            *count += u64::from(*touched);
        }
        for score in self.scorer.score(&document, Explain::Hits).into_iter().filter(|score| score.hit) {
            let Some(number) = self.scorer.profiles().iter().position(|profile| profile.name == score.profile) else {
                continue;
            };
            if self.hits[number].len() < HITS_MAX {
                self.hits[number].insert(item.id);
            }
            // A condition is a combination: that it alone makes a hit is what it is for.
            let is_name = |kind| matches!(kind, ReasonKind::Term | ReasonKind::Phrase | ReasonKind::Concept);
            let decides = |reason: &&Reason| is_name(reason.kind) && score.score - reason.share < score.threshold;
            for reason in score.reasons.iter().filter(decides) {
                *self.alone[number].entry(reason.term.clone()).or_default() += 1;
            }
        }
    }

    /// Items counted.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// What was found, profile by profile.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (number, profile) in self.scorer.profiles().iter().enumerate() {
            let own: Vec<&Counted> = self.names.iter().filter(|counted| counted.profile == number).collect();
            let mut add = |names: Vec<String>, message: String| {
                findings.push(Finding { profile: profile.name.clone(), names, message });
            };
            for name in own.iter().map(|counted| &counted.name) {
                if let Some(message) = hazard(name) {
                    add(vec![name.text.clone()], message.to_string());
                }
            }
            if self.items >= ITEMS_MIN {
                self.frequent(&own, &mut add);
            }
            let hits = self.hits[number].len();
            for (name, count) in self.alone[number].iter().filter(|_| hits >= HITS_MIN) {
                if *count as f64 > ALONE * hits as f64 {
                    let message = format!("alone makes {count} of {hits} hits: without it they would be none");
                    add(vec![name.clone()], message);
                }
            }
            if self.items >= ITEMS_MIN {
                self.languages(number, &own, &mut add);
            }
        }
        self.doubles(&mut findings);
        findings
    }

    fn frequent(&self, own: &[&Counted], add: &mut impl FnMut(Vec<String>, String)) {
        for kind in [ReasonKind::Concept, ReasonKind::Phrase, ReasonKind::Term] {
            let never = own.iter().filter(|counted| counted.name.kind == kind && counted.items == 0);
            let never: Vec<String> = never.map(|counted| counted.name.text.clone()).collect();
            if !never.is_empty() {
                add(never, format!("never occurred in {}", crate::plain::counted(self.items as usize, "item")));
            }
        }
        for kind in [ReasonKind::Concept, ReasonKind::Phrase, ReasonKind::Term] {
            let share = |counted: &Counted| 100.0 * counted.items as f64 / self.items as f64;
            let mut often: Vec<&&Counted> = own.iter().filter(|counted| counted.name.kind == kind).collect();
            often.retain(|counted| share(counted) > 100.0 * EVERYWHERE);
            often.sort_by_key(|counted| std::cmp::Reverse(counted.items));
            let names: Vec<String> = often.iter().map(|counted| counted.name.text.clone()).collect();
            match often.as_slice() {
                [] => {}
                [only] => {
                    add(names, format!("occurs in {:.0} % of everything: it tells nothing apart", share(only)));
                }
                [first, ..] => {
                    let most = format!(
                        "more than {:.0} % of everything, the first in {:.0} %",
                        100.0 * EVERYWHERE,
                        share(first)
                    );
                    add(names, format!("occur in {most}: they tell nothing apart"));
                }
            }
        }
    }

    fn languages(&self, profile: usize, own: &[&Counted], add: &mut impl FnMut(Vec<String>, String)) {
        let scripts: BTreeSet<Script> = own.iter().filter_map(|counted| Script::of(&counted.name.text)).collect();
        let rate = |language: &Language| language.touched[profile] as f64 / language.items as f64;
        let large = |language: &&Language| language.items as f64 >= LANGUAGE_MIN * self.items as f64;
        let best = self.languages.values().filter(large).map(rate).fold(0.0, f64::max);
        for (name, language) in self.languages.iter().filter(|(_, language)| large(language)) {
            let share = 100.0 * language.items as f64 / self.items as f64;
            let name = if name.is_empty() { "without a language" } else { name };
            let script = language.scripts.iter().max_by_key(|(_, count)| **count).map(|(script, _)| *script);
            if let Some(script) = script.filter(|script| !scripts.contains(script)) {
                let message = format!(
                    "{share:.0} % of all items are {name}, but no name of the profile is written in {}",
                    script.as_str()
                );
                add(Vec::new(), message);
            } else if rate(language) < BLIND * best {
                let message = format!(
                    "{share:.0} % of all items are {name}, but names of the profile occur in only {:.1} % of them \
                     (elsewhere in up to {:.1} %)",
                    100.0 * rate(language),
                    100.0 * best
                );
                add(Vec::new(), message);
            }
        }
    }

    fn doubles(&self, findings: &mut Vec<Finding>) {
        let profiles = self.scorer.profiles();
        for (first, a) in profiles.iter().enumerate() {
            for (second, b) in profiles.iter().enumerate().skip(first + 1) {
                let on_trial = a.shadow_of.as_ref() == Some(&b.name) || b.shadow_of.as_ref() == Some(&a.name);
                let (ours, theirs) = (&self.hits[first], &self.hits[second]);
                let common = ours.intersection(theirs).count();
                let all = ours.len() + theirs.len() - common;
                if !on_trial && common >= HITS_MIN / 2 && common as f64 >= SAME * all as f64 {
                    findings.push(Finding {
                        profile: a.name.clone(),
                        names: Vec::new(),
                        message: format!("finds nearly the same as {}: {common} of {all} hits are common", b.name),
                    });
                }
            }
        }
    }
}

/// What is dangerous about a name as it is written.
fn hazard(name: &Name) -> Option<&'static str> {
    if name.kind == ReasonKind::Term {
        return None;
    }
    let text = name.text.trim();
    let (stem, goes_on) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
    let letters: Vec<char> = stem.chars().filter(|c| c.is_alphanumeric()).collect();
    let one_word = !stem.trim().contains(char::is_whitespace);
    // A character of these scripts is a syllable or a word.
    let dense = letters.iter().any(|c| matches!(class(*c), Class::Hangul | Class::Ideograph));
    let (short, short_stem) = if dense { (2, 2) } else { (3, 4) };
    if goes_on && one_word && letters.len() < short_stem {
        Some("goes on after a very short stem: it finds many other words")
    } else if one_word && letters.len() < short {
        Some("is so short that it means many things")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Phrase, build};
    use super::super::seed::Seed;
    use super::*;
    use crate::model::{ArticleState, Timestamp};

    fn profile(name: &str, phrases: &[(&str, f64)]) -> Profile {
        let seed = Seed { file: "a".into(), title: "Quokka".into(), text: "ferry".into() };
        let built = build(name, &[seed], &Frequencies::new()).expect("built");
        let phrase = |(text, weight): &(&str, f64)| Phrase { text: text.to_string(), weight: *weight };
        Profile { terms: Vec::new(), threshold: 1.0, phrases: phrases.iter().map(phrase).collect(), ..built }
    }

    fn item(n: i64, language: &str, title: &str) -> Item {
        Item {
            id: Id(n),
            source: "s".into(),
            key: n.to_string(),
            url: None,
            title: title.into(),
            summary: String::new(),
            content: String::new(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: String::new(),
            language: language.into(),
            published_at: None,
            first_seen_at: Timestamp::UNIX_EPOCH,
            backlog: false,
        }
    }

    #[test]
    fn what_cannot_be_meant_is_found() {
        let profiles = [
            profile("a", &[("APG", 1.0), ("observer", 0.2), ("unseen", 1.0), ("no*", 0.1), ("UN", 0.1)]),
            profile("b", &[("APG", 1.0)]),
        ];
        let mut lint = Lint::new(&profiles, &Frequencies::new()).expect("small");
        for n in 0..200 {
            let title = match n {
                0..20 => "APG observer",
                20..40 => "The observer saw rain",
                40..60 => "북한 소식",
                _ => "Rain in the harbour",
            };
            lint.count(&item(n, if (40..60).contains(&n) { "ko" } else { "en" }, title));
        }
        let found: Vec<String> = lint
            .findings()
            .iter()
            .map(|finding| format!("{} [{}] {}", finding.profile, finding.names.join(","), finding.message))
            .collect();
        for expected in [
            "a [no*] goes on after a very short stem",
            "a [UN] is so short",
            "a [unseen,no*,UN] never occurred in 200 items",
            "a [observer,APG] occur in more than 5 % of everything, the first in 20 %",
            "b [APG] occurs in 10 % of everything",
            "a [APG] alone makes 20 of 20 hits",
            "a [] 10 % of all items are ko, but no name of the profile is written in Korean letters",
            "a [] finds nearly the same as b: 20 of 20 hits are common",
        ] {
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
        }
        assert!(!found.iter().any(|line| line.contains("items are en")), "{found:#?}");
    }
}
