//! The nouns of the program as plain data. Times are UTC; nothing here reads a clock, a file or a socket.

use std::fmt;
use std::str::FromStr;

pub use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

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
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Id((xxh3_64(&bytes) >> (64 - ID_BITS)) as i64)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in (0..12).rev() {
            let digit = (self.0 >> (group * 5)) & 31;
            write!(f, "{}", ALPHABET[digit as usize] as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
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
    /// The publisher's wish: do not ask again within so many minutes.
    pub ttl_minutes: Option<u32>,
    /// WebSub hub.
    pub hub: Option<String>,
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

impl Item {
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

/// One reason of a score: a term or phrase that occurred, and what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// As the profile shows it: "observer status".
    pub term: String,
    /// Its share of the score, in the score's own unit.
    pub share: f64,
    /// How often it occurred.
    pub count: u32,
    /// The text around its first occurrence, as published; may be empty.
    pub context: String,
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
    /// Heaviest first.
    pub reasons: Vec<Reason>,
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
    /// When the matcher found it.
    pub found_at: Timestamp,
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
