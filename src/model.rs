//! The nouns of the program as plain data. Times are UTC; nothing here reads a clock, a file or a socket.

mod delivery;
mod hit;
mod item;
mod source;
mod story;
mod watcher;

use std::fmt;
use std::str::FromStr;

pub use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use crate::fault::Fault;
pub use delivery::{
    Budget, CANARY, DeliveryKind, EmptyDigest, EndedWindow, Mute, MuteKind, NewDelivery, OutboxRow, Outcome,
    ReportLine, Way, Window,
};
pub use hit::{Basis, Hit, Judgement, ProfileUse, ProfileVersion, Reason, ReasonKind, Score, StoredScore, Verdict};
pub use item::{ArticleState, Enclosure, Entry, Item, Part, Reading, gates};
pub use source::{Health, Memory, Move, Pace, Record, SourceState};
pub use story::{Placement, Relation, Story, StoryDecision, StoryFacts, StoryItem};
pub use watcher::{ConfigurationHashes, Share, Watcher};

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

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

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
