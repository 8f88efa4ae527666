//! What is known of a source.

use std::collections::BTreeMap;

// Times of a record, to the second: it is to be short.
use jiff::fmt::serde::timestamp::second::optional as seconds;
use serde::{Deserialize, Serialize};

use super::{Fault, Timestamp};

/// What a source has to remember from one reading to the next besides its items: names and values that only its kind
/// understands.
pub type Memory = BTreeMap<String, String>;

/// How a source does, as stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Never asked.
    New,
    /// The last visit was good.
    Fine,
    /// The last visit failed.
    Failing,
    /// Gone for good, by its publisher's own word: not asked any more.
    Retired,
}

impl Health {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::New => "new",
            Health::Fine => "fine",
            Health::Failing => "failing",
            Health::Retired => "retired",
        }
    }

    /// From the stored form; anything unknown counts as never asked.
    pub fn from_stored(text: &str) -> Health {
        match text {
            "fine" => Health::Fine,
            "failing" => Health::Failing,
            "retired" => Health::Retired,
            _ => Health::New,
        }
    }
}

/// What a source says and shows of its own rhythm. Kept between visits: an answer "not modified" repeats none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// How long the publisher called its last answer fresh, in seconds (Cache-Control, Expires).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_seconds: Option<u64>,
    /// `ttl` of the feed in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u32>,
    /// `sy:updatePeriod` and `sy:updateFrequency` in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_minutes: Option<u32>,
    /// Hours of the day, UTC, to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip_hours: Vec<u8>,
    /// Days of the week, 0 for Monday, to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip_days: Vec<u8>,
    /// Typical time between two of its items, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_seconds: Option<u64>,
    /// How far back the entries that it shows reach, in seconds: what is older has left the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
}

/// What is remembered of a source from visit to visit, so that it shows when it does otherwise than it used to. Bounded: it is
/// written with every visit. See `health::record`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The day that the last letter of `days` stands for, in days since 1970 (UTC).
    pub day: i64,
    /// A letter a day, the oldest first: `-` not read, `.` read and unchanged, `+` changed without news, `1` to `9` so many
    /// new items.
    pub days: String,
    /// When it last began to fail, the earliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<i64>,
    /// Since when every answer is "not modified".
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub not_modified_since: Option<Timestamp>,
    /// When its document was last asked for whole, although an earlier answer could have been named.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub asked_whole_at: Option<Timestamp>,
    /// When "not modified" was last proven wrong: asked for whole, it had news.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub untrue_at: Option<Timestamp>,
    /// When its document last changed.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// How often its document changed without news.
    pub idle_changes: u32,
    /// The latest date that an item bore.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub latest_date: Option<Timestamp>,
    /// Since when that is the latest.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub latest_date_since: Option<Timestamp>,
    /// How often the latest date moved on.
    pub dates_moved: u32,
    /// New items with a date that came since and did not move it on.
    pub dated_since: u32,
    /// Those among them that bear just this date.
    pub dated_equal: u32,
    /// How often its news were written in which language, before the latest run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, u32>,
    /// The language of its latest news; empty while there are none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Since when it is that.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub language_since: Option<Timestamp>,
    /// On how many days with news in a row it was that.
    pub language_days: u32,
    /// The last of these days, in days since 1970.
    pub language_day: i64,
}

/// Where a source says that it has moved for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The new address.
    pub url: String,
    /// How often in a row a permanent redirect led there.
    pub proofs: i64,
}

impl Move {
    /// So many equal answers prove a move: one alone may be a slip of the publisher's, and would be kept for ever.
    pub const PROOFS_WANTED: i64 = 3;

    /// The new address is asked from now on.
    pub fn is_proven(&self) -> bool {
        self.proofs >= Move::PROOFS_WANTED
    }
}

/// What newswatch knows of a source between two visits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceState {
    /// Name in the configuration.
    pub name: String,
    /// Address at the last configuration.
    pub url: String,
    /// Kind at the last configuration.
    pub kind: String,
    /// Host of the address: one request at a time for each.
    pub host: String,
    /// The operator paused it.
    pub paused: bool,
    /// How it does.
    pub health: Health,
    /// The address that gave the validators: they are sent to no other. Empty when there are none.
    pub validators_url: String,
    /// Validator of the last good answer, byte for byte.
    #[serde(skip)]
    pub etag: Option<Vec<u8>>,
    /// Validator of the last good answer, byte for byte.
    #[serde(skip)]
    pub last_modified: Option<Vec<u8>>,
    /// Hash of the last good body; 0 when there was none.
    pub body_hash: i64,
    /// Last visit.
    pub attempted_at: Option<Timestamp>,
    /// Last good visit, also one without news.
    pub succeeded_at: Option<Timestamp>,
    /// Last visit that brought a new item.
    pub changed_at: Option<Timestamp>,
    /// First good visit: what it showed is backlog.
    pub baseline_at: Option<Timestamp>,
    /// Next visit.
    pub next_at: Timestamp,
    /// Why then, in words.
    pub next_reason: String,
    /// Failed visits in a row.
    pub failures: i64,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// The last failure by name.
    pub fault: Option<Fault>,
    /// The last error in words; empty when fine.
    pub error: String,
    /// Where it says it has moved for good.
    pub moved: Option<Move>,
    /// Its own rhythm.
    pub pace: Pace,
    /// What it used to do.
    #[serde(skip)]
    pub record: Record,
    /// Article pages in a row that gave a check for robots or a log-in page in place of an article.
    pub gated: i64,
    /// Items ever seen.
    pub items: i64,
}

impl SourceState {
    /// It cannot be read, for now or for good.
    pub fn is_in_trouble(&self) -> bool {
        matches!(self.health, Health::Failing | Health::Retired)
    }

    /// The address that is asked: the new one when the source has moved for good.
    pub fn asked_url(&self) -> &str {
        self.moved.as_ref().filter(|moved| moved.is_proven()).map_or(&self.url, |moved| &moved.url)
    }
}
