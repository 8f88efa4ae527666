//! Scores with their reasons, hits, and what analysts say of them.

use serde::{Deserialize, Serialize};

use super::{Id, Item, Relation, Timestamp};

/// What kind of thing in a profile a reason is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// A learned word or pair of words.
    #[default]
    Term,
    /// An exact name with a weight of its own.
    Phrase,
    /// A person, group or idea under any of its names.
    Concept,
    /// Concepts that stand together.
    Condition,
    /// A context that speaks against a hit; its share is below 0.
    LookAlike,
    /// What a condition that is not met, a source or a language takes away or adds.
    Adjustment,
}

impl ReasonKind {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonKind::Term => "term",
            ReasonKind::Phrase => "phrase",
            ReasonKind::Concept => "concept",
            ReasonKind::Condition => "condition",
            ReasonKind::LookAlike => "look-alike",
            ReasonKind::Adjustment => "adjustment",
        }
    }
}

/// One reason of a score: what occurred, and what it gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is.
    #[serde(default)]
    pub kind: ReasonKind,
    /// As the profile shows it: "observer status", or the name of a concept.
    pub term: String,
    /// Its share of the score, in the score's own unit.
    pub share: f64,
    /// How often it occurred.
    pub count: u32,
    /// Of a concept: the name that occurred. Of a condition or look-alike: why it counts. Else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Of a learned term: its rarity when the score was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rarity: Option<f64>,
    /// The text around its first occurrence, as published; may be empty.
    pub context: String,
}

/// What a score was made with beside the profile and the text: with it the same score comes out again, to the last digit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// The way of scoring; see [`crate::matcher::score::METHOD`].
    pub method: u32,
    /// Documents in the archive whose frequencies were used.
    pub documents: u64,
    /// The average length of a document, in weighted words.
    pub average_length: f64,
    /// What the threshold was multiplied by because of the noise of the sources; see [`crate::matcher::noise`].
    pub noise_factor: f64,
    /// What the term weights were divided by.
    pub divisor: f64,
    /// Length of the text that was scored, in weighted words.
    pub length: u64,
    /// Hash of the title and body that were scored.
    pub text_hash: i64,
    /// Hash of the profile as it was; see `crate::matcher::profile::Profile::fingerprint`.
    pub profile_hash: i64,
}

/// What a profile says of an item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Name of the profile.
    pub profile: String,
    /// 1 = like a seed article.
    pub score: f64,
    /// The profile's threshold when the score was made.
    pub threshold: f64,
    /// Score reached the threshold.
    pub hit: bool,
    /// A required condition is not met: no threshold would make it a hit.
    #[serde(skip)]
    pub barred: bool,
    /// Heaviest first.
    pub reasons: Vec<Reason>,
    /// What it was made with.
    pub basis: Basis,
    /// What stands in the way of a hit, in words; empty for a hit.
    pub missing: Vec<String>,
}

/// An item that reached a profile's threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The item.
    pub item: Item,
    /// Name of the profile.
    pub profile: String,
    /// Version of the profile that made the score.
    pub profile_version: i64,
    /// 1 = like a seed article.
    pub score: f64,
    /// The threshold then.
    pub threshold: f64,
    /// Heaviest first.
    pub reasons: Vec<Reason>,
    /// What the score was made with; empty for a hit of an older version of the program.
    pub basis: Basis,
    /// The profile was on trial: nobody was told.
    pub shadow: bool,
    /// When the matcher found it.
    pub found_at: Timestamp,
    /// The story it belongs to.
    pub story: Id,
    /// How it belongs to it.
    pub relation: Relation,
}

impl Hit {
    /// Score against threshold: 1 is just a hit, 2 twice as much as it takes. The same for every profile.
    pub fn strength(&self) -> f64 {
        if self.threshold > 0.0 { self.score / self.threshold } else { 0.0 }
    }
}

/// A score of at least [`StoredScore::KEPT_FROM`] of what makes a hit, that made none: below the line, or of an item that was
/// a hit already.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredScore {
    /// The item.
    pub item: Id,
    /// Its story.
    pub story: Id,
    /// Name of the profile.
    pub profile: String,
    /// Fingerprint of the profile as it was.
    pub profile_hash: i64,
    /// 1 = like a seed article.
    pub score: f64,
    /// What would have made a hit.
    pub threshold: f64,
    /// When it was scored.
    pub scored_at: Timestamp,
    /// The item was backlog then: nobody would have been told.
    pub backlog: bool,
    /// A required condition was not met: no threshold would have made it a hit.
    pub barred: bool,
}

impl StoredScore {
    /// Scores below this share of what makes a hit are not kept.
    pub const KEPT_FROM: f64 = 0.5;
}

/// A profile as it was when it scored.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileVersion {
    /// Name of the profile.
    pub profile: String,
    /// Its fingerprint.
    pub profile_hash: i64,
    /// Its version, as its file says.
    pub version: i64,
    /// All that scoring uses; see `Profile::from_snapshot`.
    pub snapshot: String,
    /// When it first scored.
    pub first_used_at: Timestamp,
}

/// From when on a version of a profile scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileUse {
    /// From then on, until the next use begins.
    pub from: Timestamp,
    /// Its fingerprint; 0 when the profile was taken out.
    pub profile_hash: i64,
    /// No item had been scored before.
    pub from_start: bool,
}

/// What an analyst says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// This is what the profile is for.
    Relevant,
    /// It is not.
    Not,
    /// On topic, but nothing new.
    Known,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 3] = [Verdict::Relevant, Verdict::Not, Verdict::Known];

    /// As typed, stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Relevant => "relevant",
            Verdict::Not => "not",
            Verdict::Known => "known",
        }
    }

    /// From the stored form; anything unknown counts as known, which teaches nothing.
    pub fn from_stored(text: &str) -> Verdict {
        match text {
            "relevant" => Verdict::Relevant,
            "not" => Verdict::Not,
            _ => Verdict::Known,
        }
    }
}

/// A verdict with who gave it, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The item.
    pub item: Id,
    /// Name of the profile.
    pub profile: String,
    /// Who.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub verdict: Verdict,
    /// Why, in the author's words; may be empty.
    pub note: String,
}
