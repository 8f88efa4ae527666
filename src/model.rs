//! The nouns of the program as plain data. Times are UTC; nothing here reads a clock, a file or a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

pub use jiff::Timestamp;
// Times of a record, to the second: it is to be short.
use jiff::fmt::serde::timestamp::second::optional as seconds;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use crate::fault::Fault;

/// How many bits of the hash make an identity: 60 bits are exactly 12 letters of base 32.
const ID_BITS: u32 = 60;
/// Crockford's base 32: no letter that is mistaken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The identity of a stored thing (an item, an outbox row): a hash of what makes it unique, so that the same thing
/// gets the same identity on every engine and after every crash. Shown as 12 letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub i64);

impl Id {
    /// The identity of the thing that these parts name. The parts are kept apart: ("a", "bc") is not ("ab", "c").
    pub fn of(parts: &[&str]) -> Id {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Id((xxh3_64(&bytes) >> (64 - ID_BITS)) as i64)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |place: usize| ALPHABET[(self.0 >> ((11 - place) * 5)) as usize & 31];
        f.write_str(str::from_utf8(&std::array::from_fn::<u8, 12, _>(digit)).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What `Id::from_str` says of a text that is no identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id has 12 letters and digits, as `newswatch hits` prints them")]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Id, NotAnId> {
        if text.len() != 12 {
            return Err(NotAnId);
        }
        let mut value = 0i64;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|&c| c == byte.to_ascii_lowercase()).ok_or(NotAnId)?;
            value = value << 5 | digit as i64;
        }
        Ok(Id(value))
    }
}

/// One thing that a source offers, as read; whether it is new is not known yet. All texts are plain text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// What the publisher calls it: guid, atom:id, JSON Feed id. Empty when the publisher gives none.
    pub guid: String,
    /// Absolute address of the article where there is one.
    pub url: Option<String>,
    /// Title as plain text.
    pub title: String,
    /// Short text: description or atom:summary.
    pub summary: String,
    /// Long text: content:encoded or atom:content.
    pub content: String,
    /// When the publisher says it was published.
    pub published: Option<Timestamp>,
    /// When the publisher says it was changed.
    pub updated: Option<Timestamp>,
    /// Names of authors.
    pub authors: Vec<String>,
    /// Categories and tags.
    pub categories: Vec<String>,
    /// Attached files.
    pub enclosures: Vec<Enclosure>,
    /// Language tag given by the publisher ("en", "ko-KR").
    pub language: Option<String>,
    /// Who published it, when that is not the source itself (aggregators); else empty.
    pub publisher: String,
}

/// A file attached to an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Enclosure {
    /// Absolute address.
    pub url: String,
    /// Media type as the publisher gives it.
    pub media_type: Option<String>,
    /// Bytes as the publisher gives them.
    pub length: Option<u64>,
}

/// What a source has to remember from one reading to the next besides its items: names and values that only its kind
/// understands.
pub type Memory = BTreeMap<String, String>;

/// A further document that belongs to a source: a part of a sitemap index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Absolute address.
    pub url: String,
    /// When it was changed last, as its index writes it; empty when the index does not say.
    pub changed: String,
}

/// What one reading of a source gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Title of the feed or page.
    pub title: String,
    /// The site that the feed belongs to.
    pub url: Option<String>,
    /// Description of the feed.
    pub description: String,
    /// Language tag of the whole.
    pub language: Option<String>,
    /// The publisher's wish (`ttl`): do not ask again within so many minutes.
    pub ttl_minutes: Option<u32>,
    /// How often the publisher says it publishes (`sy:updatePeriod` and `sy:updateFrequency`), in minutes.
    pub update_minutes: Option<u32>,
    /// Hours of the day, UTC, in which the publisher does not want to be asked (`skipHours`).
    pub skip_hours: Vec<u8>,
    /// Days of the week, 0 for Monday, on which the publisher does not want to be asked (`skipDays`).
    pub skip_days: Vec<u8>,
    /// WebSub hub.
    pub hub: Option<String>,
    /// The address that the feed calls its own (`atom:link rel=self`).
    pub self_url: Option<String>,
    /// The address that the feed says it has moved to (`itunes:new-feed-url`).
    pub new_url: Option<String>,
    /// The document breaks off: it has to be asked for again, without validators.
    pub truncated: bool,
    /// The document is whole, but has to be read once more even if it stays as it is: what it no longer shows must be
    /// missing twice.
    pub unsettled: bool,
    /// Further documents that belong to the source and are to be read now.
    pub parts: Vec<Part>,
    /// Where the list goes on.
    pub next_page: Option<String>,
    /// The entries that could be read, in the publisher's order.
    pub entries: Vec<Entry>,
    /// What could not be read, one sentence each; the rest is unharmed.
    pub problems: Vec<String>,
}

/// How far the text of an item's own page got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArticleState {
    /// The source does not ask for article pages.
    NotWanted,
    /// The page was read; its text is in `article`.
    Read,
    /// The page could not be read (yet); the item is matched on what the source itself gave.
    Unread,
}

impl ArticleState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            ArticleState::NotWanted => "not-wanted",
            ArticleState::Read => "read",
            ArticleState::Unread => "unread",
        }
    }

    /// From the stored form; anything unknown counts as unread.
    pub fn from_stored(text: &str) -> ArticleState {
        match text {
            "not-wanted" => ArticleState::NotWanted,
            "read" => ArticleState::Read,
            _ => ArticleState::Unread,
        }
    }
}

/// One published thing, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Hash of source and key.
    pub id: Id,
    /// Name of the source in the configuration.
    pub source: String,
    /// What tells this item from the others of its source; see `poller::identity`.
    pub key: String,
    /// Address of the article.
    pub url: Option<String>,
    /// Title as plain text.
    pub title: String,
    /// Short text.
    pub summary: String,
    /// Long text from the feed.
    pub content: String,
    /// Text of the article page.
    pub article: String,
    /// How far the article page got.
    pub article_state: ArticleState,
    /// Why the article page was not read; empty otherwise.
    pub article_problem: String,
    /// Who published it, when that is not the source itself (aggregators).
    pub publisher: String,
    /// Language tag from publisher or configuration.
    pub language: String,
    /// When the publisher says it was published.
    pub published_at: Option<Timestamp>,
    /// When newswatch first saw it.
    pub first_seen_at: Timestamp,
    /// Read at the first contact with its source: scored, kept, but nobody is told.
    pub backlog: bool,
}

/// How the problem of an article begins when something stands before it that keeps out programs, or whoever has no account.
pub mod gates {
    /// A page that asks for proof of a person came instead of the article.
    pub const BOT_CHALLENGE: &str = "a bot challenge";
    /// The server refuses and asks for such proof.
    pub const CHECK_FOR_ROBOTS: &str = "a check for robots";
    /// A page that asks for a password came instead of the article.
    pub const LOGIN_PAGE: &str = "a login page";
}

impl Item {
    /// Its article page was a gate and no article.
    pub fn is_gated(&self) -> bool {
        let known = [gates::BOT_CHALLENGE, gates::CHECK_FOR_ROBOTS, gates::LOGIN_PAGE];
        self.article_state == ArticleState::Unread && known.iter().any(|gate| self.article_problem.starts_with(gate))
    }

    /// The text below the title in reading order: summary, content, article, each only if it says something new.
    pub fn body(&self) -> String {
        let mut body = String::with_capacity(self.summary.len() + self.content.len() + self.article.len() + 2);
        for part in [&self.summary, &self.content, &self.article] {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // Many feeds repeat the summary at the head of the content, and the content in the article.
            if !body.is_empty() && part.starts_with(body.trim_end()) {
                body.clear();
            } else if body.contains(part) {
                continue;
            }
            if !body.is_empty() {
                body.push('\n');
            }
            body.push_str(part);
        }
        body
    }
}

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

/// How an item belongs to its story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Nobody told the story before it.
    #[default]
    First,
    /// It says the same as an earlier item of the story, or less.
    Copy,
    /// It says what an earlier item of the story says, and more.
    Update,
    /// It tells the same in words of its own; only its link or an analyst says so.
    Independent,
}

impl Relation {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::First => "first",
            Relation::Copy => "copy",
            Relation::Update => "update",
            Relation::Independent => "independent",
        }
    }

    /// From the stored form; anything unknown counts as a copy, which is listed and not told again.
    pub fn from_stored(text: &str) -> Relation {
        match text {
            "first" => Relation::First,
            "update" => Relation::Update,
            "independent" => Relation::Independent,
            _ => Relation::Copy,
        }
    }
}

/// An item as a part of its story.
#[derive(Clone, Debug, PartialEq)]
pub struct StoryItem {
    /// The item, without its long texts.
    pub item: Item,
    /// How it belongs to the story.
    pub relation: Relation,
    /// Why it was joined, in words: "the same link", "92 % of its text"; empty for the first.
    pub reason: String,
}

/// Where an item that matters to a profile was put, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The item.
    pub item: Id,
    /// Its story.
    pub story: Id,
    /// How it belongs to it.
    pub relation: Relation,
    /// Why, in words; empty for the first.
    pub reason: String,
    /// The item of the story that it was found by; itself for the first.
    pub with: Id,
    /// An analyst put it there: no rule moves it.
    pub by_hand: bool,
}

/// What the store knows of items that are about to be placed.
#[derive(Clone, Debug, Default)]
pub struct StoryFacts {
    /// Where they and those that share marks with them are.
    pub placements: BTreeMap<Id, Placement>,
    /// Which of them are hits already.
    pub hits: BTreeSet<Id>,
    /// What a link alone calls a story, and the story where its items are.
    pub links: BTreeMap<Id, Id>,
    /// Stories with how many placed items they have, and one of them that came first.
    pub stories: BTreeMap<Id, (i64, Option<Id>)>,
    /// Marks with the items that have them.
    pub marks: Vec<(i64, Id)>,
}

/// What an analyst said of stories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoryDecision {
    /// The item.
    pub item: Id,
    /// The item that it tells the same as; `None`: it does not tell the same as the others of its story.
    pub joined_with: Option<Id>,
    /// Who.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the author's words; may be empty.
    pub note: String,
}

/// What tells the same thing, the first seen first.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Its identity.
    pub id: Id,
    /// Its items, the oldest first; at most as many as were asked for.
    pub items: Vec<StoryItem>,
    /// How many there are in all.
    pub count: i64,
}

/// What is not told for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mute {
    /// Its identity.
    pub id: Id,
    /// Of what it is a name.
    pub kind: MuteKind,
    /// Name of the profile or source, or id of the story.
    pub name: String,
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub author: String,
}

impl Mute {
    /// It keeps hits that are found at `now` from being told. One that begins later was made by a clock that was wrong.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// What can be muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuteKind {
    /// Hits of a profile.
    Profile,
    /// Hits from a source.
    Source,
    /// One story.
    Story,
}

impl MuteKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            MuteKind::Profile => "profile",
            MuteKind::Source => "source",
            MuteKind::Story => "story",
        }
    }

    /// From the stored form; anything unknown counts as a story, of which there is one at most.
    pub fn from_stored(text: &str) -> MuteKind {
        match text {
            "profile" => MuteKind::Profile,
            "source" => MuteKind::Source,
            _ => MuteKind::Story,
        }
    }
}

/// Source of the items that newswatch sends through itself to see whether all of it works. No configured source can be named
/// so: parentheses are not allowed in names.
pub const CANARY: &str = "(canary)";

/// Something the operator is told about newswatch itself: a source broke or recovered, a message was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportLine {
    /// When it was noticed.
    pub at: Timestamp,
    /// Of what: name of a source, or "outbox", "canary".
    pub about: String,
    /// One sentence.
    pub headline: String,
    /// What to do; may be empty.
    pub advice: String,
    /// Good news: what was wrong is over.
    pub is_recovery: bool,
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

/// What kind of message an outbox row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// One story, at once.
    Alert,
    /// All hits of a window.
    Digest,
    /// Stories of a short while, or held over quiet hours, together.
    Group,
    /// What a day's budget left no room for.
    Overflow,
    /// About newswatch itself, for its operator.
    Report,
}

impl DeliveryKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryKind::Alert => "alert",
            DeliveryKind::Digest => "digest",
            DeliveryKind::Group => "group",
            DeliveryKind::Overflow => "overflow",
            DeliveryKind::Report => "report",
        }
    }

    /// From the stored form.
    pub fn from_stored(text: &str) -> DeliveryKind {
        match text {
            "digest" => DeliveryKind::Digest,
            "group" => DeliveryKind::Group,
            "overflow" => DeliveryKind::Overflow,
            // A self-test is a report that is not counted.
            "report" | "canary" => DeliveryKind::Report,
            _ => DeliveryKind::Alert,
        }
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxRow {
    /// Also the source of the Message-ID.
    pub id: Id,
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// Where the time begins that it tells of: a digest's window, a group's first hit, the day of what was over budget.
    pub window_from: Option<Timestamp>,
    /// Where that time ends. (A retry moves `due_at`, never the window.)
    pub window_to: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is (next) due.
    pub due_at: Timestamp,
    /// waiting, sent, dead or discarded.
    pub state: String,
    /// Attempts so far; counted before the attempt is made.
    pub attempts: i64,
    /// When it was accepted or given up.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: String,
}

impl OutboxRow {
    /// When it should have been delivered: a digest or group at the end of its window, an alert when it was made.
    pub fn first_due_at(&self) -> Timestamp {
        self.window_to.unwrap_or(self.created_at)
    }
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The channel accepted it.
    Sent,
    /// Once more, then.
    Again {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// It was claimed and then left alone: as if it had not been claimed.
    NotTried,
    /// It will not be tried again by itself; `newswatch outbox retry` can.
    Dead {
        /// Why it failed.
        error: String,
    },
}

/// A delivery that a hit asks for: to one recipient of one route. What becomes of it the store decides in the hit's own
/// transaction, because only there it is certain what was told already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// How.
    pub way: Way,
    /// How much is told a day; `None` without a limit.
    pub budget: Option<Budget>,
}

/// How a hit is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a message of its own, at once.
    Alone,
    /// With others, then at the latest: in the group that is being filled, else in a new one.
    Together {
        /// When a group is due that begins with this hit.
        due_at: Timestamp,
    },
    /// With the digest of a window, or of the next one if that digest is already on its way.
    InDigest {
        /// The windows it may go into, the earliest first; at least one.
        windows: Vec<Window>,
    },
}

/// So many stories are told on a day; what is found beyond them is listed when the day is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub stories: i64,
    /// When the day begins.
    pub day_from: Timestamp,
    /// When it ends.
    pub day_until: Timestamp,
    /// When the list of the others is due.
    pub due_at: Timestamp,
}

/// The time between two digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins: the schedule's time before this one.
    pub from: Timestamp,
    /// Where it ends, and its digest is due.
    pub until: Timestamp,
}

/// Whether a digest comes that has nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyDigest {
    /// Each time.
    Always,
    /// When there was none for a week.
    Weekly,
    /// Not at all.
    Never,
}

/// A window that is over: whether it needs a digest is to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedWindow {
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// The last one that is over.
    pub window: Window,
    /// When there is nothing to tell.
    pub empty: EmptyDigest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_is_shown() {
        for parts in [&["a", "bc"][..], &["ab", "c"], &[], &["источник", "북한"]] {
            let id = Id::of(parts);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert!(id.0 >= 0);
        }
        assert_ne!(Id::of(&["a", "bc"]), Id::of(&["ab", "c"]));
        assert_eq!("short".parse::<Id>(), Err(NotAnId));
        assert_eq!("uuuuuuuuuuuu".parse::<Id>(), Err(NotAnId));
    }
}

/// One of the processes that share a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// Unique name, for people.
    pub name: String,
    /// What names the process in its claims: a restart is another.
    pub owner: String,
    /// The machine it runs on, as that calls itself.
    pub machine: String,
    /// Its process there.
    pub pid: i64,
    /// Version of the program.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last heard of, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// When it stopped in good order.
    pub stopped_at: Option<Timestamp>,
    /// What it works by.
    pub configuration: ConfigurationHashes,
    /// Since when some watcher has had this configuration without a break. The youngest one is in force.
    pub configured_since: Timestamp,
    /// How far its clock is ahead of the database's, in milliseconds.
    pub clock_offset: i64,
    /// Why it does not work as it should; empty when it does.
    pub problem: String,
}

/// What tells one configuration from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfigurationHashes {
    /// Of the sources that are on.
    pub sources: String,
    /// Of the profiles.
    pub profiles: String,
    /// Of routes, channels and operator.
    pub routes: String,
}

/// Which of the hosts a watcher asks first, so that each keeps to the same watcher: one of `of` shares. Only a preference: what
/// nobody has asked in time is everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

impl Share {
    /// All of them.
    pub const ALL: Share = Share { index: 0, of: 1 };
}
