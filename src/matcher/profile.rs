//! What to look for: weighted terms and phrases with a threshold. Learned from seed articles ([`build`]), kept in a file
//! that people read and edit ([`read`], [`to_toml`]).

mod build;
mod concept;
mod file;
mod rule;

pub use build::{Candidate, NotBuilt, build, learn, never_terms};
pub use concept::{Aliases, Concept, Context, Name};
pub use file::{read, to_toml};
pub use rule::{Condition, LookAlike, Setting, Within};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::frequency::Key;
use super::language::{LANGUAGES, Language};
use super::text::{TITLE_WEIGHT, Tokenizer, pair_key, word_key};

/// Saturation: how many weighted occurrences make half of the greatest effect (recipe R, step 4). Larger than the usual
/// 1.2 because in news a name that is repeated is evidence.
const SATURATION: f64 = 8.0;
/// How far the length of a text is held against it: 0 not at all, 1 in full proportion.
const LENGTH_EFFECT: f64 = 0.9;

/// The share of a saturation that does not depend on the term: k₁·(1 − b + b·length/average). Lengths in weighted words.
pub fn length_norm(length: f64, average_length: f64) -> f64 {
    SATURATION * (1.0 - LENGTH_EFFECT + LENGTH_EFFECT * length / average_length.max(1.0))
}

/// The effect of `frequency` weighted occurrences (BM25): f·(k₁ + 1)/(f + norm), from 0 to below 9.
pub fn saturated(frequency: f64, norm: f64) -> f64 {
    frequency * (SATURATION + 1.0) / (frequency + norm)
}

/// A named set of terms and phrases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Short name, as in routes and commands.
    pub name: String,
    /// What it is about, for people; may be empty.
    pub title: String,
    /// The language of its terms, which tells how they are stemmed; an item's words are stemmed in the item's own, and so
    /// are the terms when they are compared with them.
    pub language: Language,
    /// Raised by whoever changes the profile; stored with each hit.
    pub version: i64,
    /// How sure an alert must be.
    pub level: Level,
    /// The score that makes a hit at level normal; 1 = like a seed.
    pub threshold: f64,
    /// The threshold follows the noise of what is read ([`super::noise`]): so unless the file states a number.
    pub follows_noise: bool,
    /// The seeds' average length in weighted words.
    pub average_length: f64,
    /// What it was learned from.
    pub seeds: Vec<SeedName>,
    /// Learned terms first, heaviest first.
    pub terms: Vec<Term>,
    /// Names that count on their own.
    pub phrases: Vec<Phrase>,
    /// Things under all their names: those of the profile, then those that its rules need.
    pub concepts: Vec<Concept>,
    /// Concepts that say more together than alone, or that must be there.
    pub conditions: Vec<Condition>,
    /// Contexts that speak against a hit.
    pub look_alikes: Vec<LookAlike>,
    /// Thresholds that differ for a source or a language.
    pub settings: Vec<Setting>,
    /// On trial beside this profile: it is scored, but nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_of: Option<String>,
}

/// How sure an alert must be; people differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Fewer alerts: 1.25 times the threshold.
    Strict,
    /// The threshold as it stands.
    Normal,
    /// More alerts: 0.8 times the threshold.
    Loose,
}

impl Level {
    /// All of them as written in a profile.
    pub const WORDS: [&'static str; 3] = ["strict", "normal", "loose"];

    /// As written in a profile.
    pub fn as_str(self) -> &'static str {
        Level::WORDS[self as usize]
    }

    /// From a word; anything unknown is normal.
    pub fn from_word(word: &str) -> Level {
        match word {
            "strict" => Level::Strict,
            "loose" => Level::Loose,
            _ => Level::Normal,
        }
    }

    fn factor(self) -> f64 {
        match self {
            Level::Strict => 1.25,
            Level::Normal => 1.0,
            Level::Loose => 0.8,
        }
    }
}

/// A seed as the profile remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedName {
    /// Name of the file.
    pub file: String,
    /// Its title.
    pub title: String,
}

/// One or two words that speak for the topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// As written in the seeds, not as a stem.
    pub text: String,
    /// What it is counted by in the profile's language.
    pub key: Key,
    /// The hash of that in each language; 0 where it gives no token.
    pub hashes: [u64; LANGUAGES],
    /// Its share of the score of an article like the seeds, in percent of the sum of all terms' weights.
    pub weight: f64,
    /// Its rarity when the weight was set; `None`: the weight is meant for whatever its rarity is.
    pub rarity: Option<f64>,
    /// Its mean saturated frequency in the seeds.
    pub strength: f64,
    /// How many seeds hold it; 0 for a term added by hand.
    pub seeds: u32,
}

/// An exact name that counts on its own, once an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phrase {
    /// As written; a "*" at the end lets the last word go on.
    pub text: String,
    /// What it adds to the score; 1 = like a seed.
    pub weight: f64,
}

impl Profile {
    /// What its scores are counted under: another version has other scores.
    pub fn noise_key(&self) -> u64 {
        let version = self.version.to_le_bytes();
        pair_key(word_key(&self.name), u64::from_le_bytes(version))
    }

    /// The score that makes a hit, in sources of usual noise.
    pub fn hit_score(&self) -> f64 {
        self.threshold * self.level.factor()
    }

    /// What the score that makes a hit is multiplied by for items of this source and language.
    pub fn factor_for(&self, source: &str, language: &str) -> f64 {
        let own = self.settings.iter().filter(|setting| setting.applies(source, language));
        own.map(|setting| setting.threshold_factor).product::<f64>()
    }

    /// The profile with everything that scoring uses, as stored beside the first hit it made: JSON, numbers to the last digit.
    pub fn snapshot(&self) -> String {
        // Plain data with text keys always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From a stored [`Profile::snapshot`]; `None` when it is of another version of the program.
    pub fn from_snapshot(text: &str) -> Option<Profile> {
        serde_json::from_str(text).ok()
    }

    /// On trial: nobody is told of its hits.
    pub fn is_shadow(&self) -> bool {
        self.shadow_of.is_some()
    }

    /// Gives every item the same score, though perhaps from another score on a hit: what one scored tells of the other.
    pub fn scores_like(&self, other: &Profile) -> bool {
        let same = Profile {
            name: self.name.clone(),
            title: self.title.clone(),
            version: self.version,
            level: self.level,
            threshold: self.threshold,
            seeds: self.seeds.clone(),
            settings: self.settings.clone(),
            shadow_of: self.shadow_of.clone(),
            ..other.clone()
        };
        *self == same
    }

    /// Differs when anything differs that scoring uses: the hash of the snapshot.
    pub fn fingerprint(&self) -> i64 {
        (xxh3_64(self.snapshot().as_bytes()) >> 4) as i64
    }
}

/// The strength of a term added by hand: it stands once in the title of an article of average length.
fn default_strength() -> f64 {
    saturated(f64::from(TITLE_WEIGHT), length_norm(1.0, 1.0))
}

/// The threshold for a profile from so many seeds in sources of usual noise (see [`super::noise`]); set on held-in topics.
fn default_threshold(seeds: usize) -> f64 {
    match seeds {
        0 => 1.0,
        1 => 0.17,
        2 => 0.305,
        _ => 0.38,
    }
}

/// The hash of a term in each language; 0 where it gives no token.
fn term_hashes(tokenizer: &mut Tokenizer, text: &str) -> [u64; LANGUAGES] {
    Language::ALL.map(|language| term_key(tokenizer, language, text).map_or(0, Key::hash))
}

/// What a term of a profile is counted by: one word or two adjacent ones; else why not.
fn term_key(tokenizer: &mut Tokenizer, language: Language, text: &str) -> Result<Key, &'static str> {
    match tokenizer.read_as(language, "", text).tokens() {
        [] => {
            Err("nothing is left of it to search for (stop words, single letters and short numbers are not counted); \
                   write a [[phrase]] instead")
        }
        [only] => Ok(Key::Word(only.word)),
        [_, second] if second.pair != 0 => Ok(Key::Pair(second.pair)),
        _ => Err("a term is one word, or two that stand side by side; write a [[phrase]] instead"),
    }
}
