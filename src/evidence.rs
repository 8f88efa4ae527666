//! Evidence: what was known when, in a form that can be shown later and cannot be changed unseen. Pure.
//!
//! Two things are kept. *Captures* are documents as they came from the network, with their head. *Records* are facts (an item
//! became a hit, its text was changed) in a chain: the hash of each record covers the record before it, so that nothing in the
//! middle can be altered, left out or put in without breaking every hash that follows. Records name texts and documents by
//! their SHA-256; the bytes themselves lie beside the chain, each once.
//!
//! The hash of a record is the SHA-256 of the hash before it in hexadecimal, a line feed, and the record's JSON as stored; before
//! the first record stands [`START`]. So a record can be checked with `sha256sum` and nothing of newswatch.

pub mod case;
pub mod difference;
pub mod mask;
pub mod stix;
pub mod table;
pub mod warc;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{ArticleState, Basis, Hit, Id, Item, Reason, Relation};

/// What stands in the place of a hash before the first record.
pub const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Headers of an answer that are kept, and the bytes of all of them together.
const HEADERS_MAX: usize = 64;
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Headers whose values let somebody in; only their names are kept.
const SECRET_HEADERS: [&str; 3] = ["set-cookie", "set-cookie2", "authorization"];
/// Documents are packed while they are read, thousands an hour: speed counts more than the last percent.
const LEVEL: u32 = 4;

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a record that follows the record with the hash `previous`.
pub fn link(previous: &str, record: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(b"\n");
    hasher.update(record.as_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as they are kept: packed, with the hashes of both forms, so that a change of either shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// How many bytes there are.
    pub bytes: i64,
    /// SHA-256 of the packed bytes.
    pub packed_sha256: String,
    /// The bytes in zlib's form.
    pub packed: Vec<u8>,
}

impl Blob {
    /// Packs these bytes.
    pub fn of(bytes: &[u8]) -> Blob {
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(LEVEL));
        // Writing into memory does not fail; if it did, the hashes would not fit.
        let packed = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
        let (sha256, packed_sha256) = (sha256(bytes), sha256(&packed));
        Blob { sha256, bytes: bytes.len() as i64, packed_sha256, packed }
    }

    /// The bytes, or what is wrong with them in words.
    pub fn open(&self) -> Result<Vec<u8>, String> {
        if sha256(&self.packed) != self.packed_sha256 {
            return Err("its stored bytes were changed".to_string());
        }
        let mut bytes = Vec::new();
        // One byte more than there should be: a stream that goes on is noticed, and costs nothing.
        let limit = u64::try_from(self.bytes).unwrap_or_default().saturating_add(1);
        let read = ZlibDecoder::new(self.packed.as_slice()).take(limit).read_to_end(&mut bytes);
        match read {
            Err(error) => Err(format!("its stored bytes cannot be unpacked: {error}")),
            Ok(_) if bytes.len() as i64 != self.bytes => {
                Err(format!("it has {} bytes and not {}", bytes.len(), self.bytes))
            }
            Ok(_) if sha256(&bytes) != self.sha256 => Err("its bytes have another SHA-256".to_string()),
            Ok(_) => Ok(bytes),
        }
    }
}

/// A document as it came: everything but its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Name of the source in the configuration.
    pub source: String,
    /// The address that was asked.
    pub requested: String,
    /// The address that answered, after redirects.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// The headers of the answer in their order, as far as they are kept; see [`headers`].
    pub headers: Vec<(String, String)>,
    /// Address and port that answered ("203.0.113.7:443"); empty behind a proxy, which resolves the names itself.
    pub address: String,
    /// When it came.
    pub fetched: Timestamp,
    /// SHA-256 of the body, its content coding removed.
    pub sha256: String,
    /// Bytes of the body, its content coding removed.
    pub bytes: i64,
}

impl Capture {
    /// Its identity.
    pub fn id(&self) -> Id {
        Id::of(&[&self.source, &self.requested, &self.url, &self.fetched.as_millisecond().to_string(), &self.sha256])
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The headers of an answer as they are kept: bounded, without what could let a reader of the evidence in.
pub fn headers<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let mut room = HEADERS_BYTES_MAX;
    for (name, value) in all.take(HEADERS_MAX) {
        let is_secret = SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        let value = if is_secret { "(left out)".into() } else { String::from_utf8_lossy(value) };
        let Some(rest) = room.checked_sub(name.len() + value.len()) else { break };
        room = rest;
        kept.push((name.to_string(), value.into_owned()));
    }
    kept
}

/// An item's words and what is known of it, as a profile scores it: what a record's `text` is the SHA-256 of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText {
    /// The item.
    pub item: Id,
    /// Name of its source.
    pub source: String,
    /// What tells it from the others of its source.
    pub key: String,
    /// Its address.
    pub url: Option<String>,
    /// Its title.
    pub title: String,
    /// Short text.
    pub summary: String,
    /// Long text from the feed.
    pub content: String,
    /// Text of its own page.
    pub article: String,
    /// Who published it, where that is not the source.
    pub publisher: String,
    /// Language tag; may be empty.
    pub language: String,
    /// When its publisher says it was published.
    pub published: Option<Timestamp>,
    /// When newswatch first saw it.
    pub first_seen: Timestamp,
}

impl ItemText {
    /// Of this item.
    pub fn of(item: &Item) -> ItemText {
        ItemText {
            item: item.id,
            source: item.source.clone(),
            key: item.key.clone(),
            url: item.url.clone(),
            title: item.title.clone(),
            summary: item.summary.clone(),
            content: item.content.clone(),
            article: item.article.clone(),
            publisher: item.publisher.clone(),
            language: item.language.clone(),
            published: item.published_at.map(to_millisecond),
            first_seen: to_millisecond(item.first_seen_at),
        }
    }

    /// As it is kept.
    pub fn blob(&self) -> Blob {
        Blob::of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }

    /// From the kept bytes.
    pub fn read(bytes: &[u8]) -> Option<ItemText> {
        serde_json::from_slice(bytes).ok()
    }

    /// Its words were dropped and only its identity stands.
    pub fn is_emptied(&self) -> bool {
        [&self.title, &self.summary, &self.content, &self.article].iter().all(|text| text.is_empty())
    }

    /// The item, as far as scoring needs it.
    pub fn to_item(&self) -> Item {
        Item {
            id: self.item,
            source: self.source.clone(),
            key: self.key.clone(),
            url: self.url.clone(),
            title: self.title.clone(),
            summary: self.summary.clone(),
            content: self.content.clone(),
            article: self.article.clone(),
            article_state: if self.article.is_empty() { ArticleState::NotWanted } else { ArticleState::Read },
            article_problem: String::new(),
            publisher: self.publisher.clone(),
            language: self.language.clone(),
            published_at: self.published,
            first_seen_at: self.first_seen,
            backlog: false,
        }
    }
}

/// A record of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 1 for the first one; no number is left out.
    pub number: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Version of the program that recorded it.
    pub program: String,
    /// What is recorded.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// An item became a hit of a profile.
    Hit(Box<HitFact>),
    /// The text of an item that was a hit was changed by its source, or its page was read later.
    Edited(EditFact),
    /// The page of an item that was a hit was read again, some time later.
    Reread(RereadFact),
    /// The bytes of documents that records name were let go.
    Dropped(DroppedFact),
}

impl Fact {
    /// As stored and shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::Hit(_) => "hit",
            Fact::Edited(_) => "edited",
            Fact::Reread(_) => "reread",
            Fact::Dropped(_) => "dropped",
        }
    }

    /// The item it is about; `None` for what is about no single one.
    pub fn item(&self) -> Option<Id> {
        match self {
            Fact::Hit(hit) => Some(hit.item),
            Fact::Edited(edit) => Some(edit.item),
            Fact::Reread(reread) => Some(reread.item),
            Fact::Dropped(_) => None,
        }
    }

    /// Name of the profile; empty for what is about an item alone.
    pub fn profile(&self) -> &str {
        match self {
            Fact::Hit(hit) => &hit.profile,
            Fact::Edited(_) | Fact::Reread(_) | Fact::Dropped(_) => "",
        }
    }

    /// SHA-256 of the bytes that must be there.
    pub fn blobs(&self) -> Vec<&str> {
        match self {
            Fact::Hit(hit) => {
                let captures = [&hit.document, &hit.page].into_iter().flatten().filter(|capture| capture.kept);
                [hit.text.as_str(), hit.reasons.as_str()]
                    .into_iter()
                    .chain(captures.map(|one| one.body.as_str()))
                    .collect()
            }
            Fact::Edited(edit) => {
                let captures = [&edit.document, &edit.page].into_iter().flatten().filter(|capture| capture.kept);
                std::iter::once(edit.text.as_str()).chain(captures.map(|one| one.body.as_str())).collect()
            }
            Fact::Reread(reread) => {
                let body = reread.page.iter().filter(|page| page.kept).map(|page| page.body.as_str());
                std::iter::once(reread.text.as_str()).filter(|text| !text.is_empty()).chain(body).collect()
            }
            Fact::Dropped(_) => Vec::new(),
        }
    }

    /// SHA-256 of the texts that it names, before and from then on; empty where there is none.
    pub fn texts(&self) -> [&str; 2] {
        match self {
            Fact::Hit(hit) => ["", &hit.text],
            Fact::Edited(edit) => [&edit.before, &edit.text],
            Fact::Reread(reread) => [&reread.before, &reread.text],
            Fact::Dropped(_) => ["", ""],
        }
    }

    /// The documents it cites.
    pub fn captures(&self) -> Vec<&Cited> {
        match self {
            Fact::Hit(hit) => [&hit.document, &hit.page].into_iter().flatten().collect(),
            Fact::Edited(edit) => [&edit.document, &edit.page].into_iter().flatten().collect(),
            Fact::Reread(reread) => reread.page.iter().collect(),
            Fact::Dropped(_) => Vec::new(),
        }
    }
}

/// A document that a record cites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cited {
    /// Identity of the capture.
    pub capture: Id,
    /// SHA-256 of the capture's JSON: address, headers, time.
    pub facts: String,
    /// SHA-256 of the document's bytes.
    pub body: String,
    /// The bytes were kept when this was recorded; else only their hash is known.
    pub kept: bool,
    /// Why they were not kept; `None` where they were, and in records of a newswatch that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

impl Cited {
    /// Why there are no bytes, in words. `is_there`: they are kept still.
    pub fn missing(&self, is_there: bool) -> Option<&'static str> {
        match (self.kept, self.left_out) {
            (true, _) if is_there => None,
            (true, _) => Some("its bytes were let go, as old as store.keep_hits says; the hash stands"),
            (false, Some(LeftOut::TooLarge)) => {
                Some("its bytes were not kept: more than evidence.capture_bytes_max; the hash stands")
            }
            (false, Some(LeftOut::NoRoom)) => {
                Some("its bytes were not kept: evidence.captures_bytes_max was reached; the hash stands")
            }
            (false, None) => {
                Some("its bytes were not kept: too many, or evidence.captures_bytes_max was reached; the hash stands")
            }
        }
    }
}

/// Why the bytes of a document were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOut {
    /// They were more than is kept of one document.
    TooLarge,
    /// All documents together had reached their limit.
    NoRoom,
}

impl LeftOut {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            LeftOut::TooLarge => "too-large",
            LeftOut::NoRoom => "no-room",
        }
    }

    /// From the stored form; `None` for anything else.
    pub fn from_stored(text: &str) -> Option<LeftOut> {
        [LeftOut::TooLarge, LeftOut::NoRoom].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// That an item became a hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HitFact {
    /// The item.
    pub item: Id,
    /// Its story then. (Stories may be joined and split later.)
    pub story: Id,
    /// How it belonged to the story then.
    pub relation: Relation,
    /// Name of its source.
    pub source: String,
    /// Its title.
    pub title: String,
    /// Its address.
    pub url: Option<String>,
    /// When its publisher says it was published.
    pub published: Option<Timestamp>,
    /// When newswatch first saw it.
    pub first_seen: Timestamp,
    /// When it was found.
    pub found: Timestamp,
    /// Name of the profile.
    pub profile: String,
    /// Its version, as its file said.
    pub profile_version: i64,
    /// SHA-256 of the profile as it was, in the form in which the store keeps it.
    pub profile_sha256: String,
    /// 1 = like a seed article.
    pub score: f64,
    /// What made it a hit.
    pub threshold: f64,
    /// What the score was made with; its `method` is the version of the matcher.
    pub basis: Basis,
    /// SHA-256 of the reasons.
    pub reasons: String,
    /// SHA-256 of the text as scored ([`ItemText`]).
    pub text: String,
    /// It was seen at the first contact with its source: nobody was told.
    pub backlog: bool,
    /// The profile was on trial: nobody was told.
    pub shadow: bool,
    /// The document of the source that showed it; `None` where none was captured.
    #[serde(default)]
    pub document: Option<Cited>,
    /// Its own page; `None` where none was captured.
    #[serde(default)]
    pub page: Option<Cited>,
}

/// The form in which reasons are stored, and hashed.
pub fn reasons_text(reasons: &[Reason]) -> String {
    serde_json::to_string(reasons).unwrap_or_default()
}

impl HitFact {
    /// Of this hit. Its documents are filled in by the store.
    pub fn of(hit: &Hit, profile_sha256: &str, text: &Blob, reasons: &Blob) -> HitFact {
        let item = &hit.item;
        HitFact {
            item: item.id,
            story: hit.story,
            relation: hit.relation,
            source: item.source.clone(),
            title: item.title.clone(),
            url: item.url.clone(),
            published: item.published_at.map(to_millisecond),
            first_seen: to_millisecond(item.first_seen_at),
            found: to_millisecond(hit.found_at),
            profile: hit.profile.clone(),
            profile_version: hit.profile_version,
            profile_sha256: profile_sha256.to_string(),
            score: hit.score,
            threshold: hit.threshold,
            basis: hit.basis.clone(),
            reasons: reasons.sha256.clone(),
            text: text.sha256.clone(),
            backlog: item.backlog,
            shadow: hit.shadow,
            document: None,
            page: None,
        }
    }

    /// The hit again, from the recorded text and reasons: what scoring it once more needs.
    pub fn to_hit(&self, text: &ItemText, reasons: Vec<Reason>) -> Hit {
        Hit {
            item: text.to_item(),
            profile: self.profile.clone(),
            profile_version: self.profile_version,
            score: self.score,
            threshold: self.threshold,
            reasons,
            basis: self.basis.clone(),
            shadow: self.shadow,
            found_at: self.found,
            story: self.story,
            relation: self.relation,
        }
    }
}

/// That the stored text of a hit was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditFact {
    /// The item.
    pub item: Id,
    /// SHA-256 of its text before.
    pub before: String,
    /// SHA-256 of its text from then on.
    pub text: String,
    /// The document of the source that showed the change; `None` where none was captured.
    #[serde(default)]
    pub document: Option<Cited>,
    /// Its own page; `None` where none was captured.
    #[serde(default)]
    pub page: Option<Cited>,
}

/// That the page of a hit was looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RereadFact {
    /// The item.
    pub item: Id,
    /// SHA-256 of the text it is compared with.
    pub before: String,
    /// SHA-256 of the text that the page has now; empty when it could not be read.
    pub text: String,
    /// Why it could not be read, in words; else empty.
    pub problem: String,
    /// The page; `None` where none was captured.
    #[serde(default)]
    pub page: Option<Cited>,
}

/// That the bytes of documents were let go which records before this one name: their hits are older than is kept. So it is on
/// record what is not there any more, and nobody can take anything else away unseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedFact {
    /// No record named them since then.
    pub before: Timestamp,
    /// SHA-256 of each.
    pub bodies: Vec<String>,
}

/// A record with all that it names, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says.
    pub record: Record,
    /// Its JSON, byte for byte as it was hashed.
    pub text: String,
    /// Its hash.
    pub hash: String,
    /// The text it records: as scored, or as it is from then on. `None` where the page could not be read, or what is kept is
    /// broken.
    pub item: Option<ItemText>,
    /// The text before, of a change.
    pub before: Option<ItemText>,
    /// Why it became a hit.
    pub reasons: Vec<Reason>,
    /// The documents it cites.
    pub documents: Vec<Document>,
    /// Secrets are masked in it, so that it does not give the recorded hashes.
    pub is_masked: bool,
}

/// A document that a record cites, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Document {
    /// The page of the item itself; else the document of the source that showed it.
    pub is_page: bool,
    /// How it is cited.
    pub cited: Cited,
    /// What is known of it.
    pub capture: Option<Capture>,
    /// Its bytes are kept still.
    pub is_there: bool,
    /// Its bytes, where they were asked for.
    pub body: Option<Vec<u8>>,
}

impl Entry {
    /// The item's address; of an item without one a name of its own.
    pub fn address(&self) -> String {
        let url = self.item.as_ref().or(self.before.as_ref()).and_then(|item| item.url.clone());
        url.unwrap_or_else(|| match self.record.fact.item() {
            Some(item) => format!("urn:newswatch:item:{item}"),
            None => format!("urn:newswatch:record:{}", self.record.number),
        })
    }

    /// What a change changed; `None` for what is none.
    pub fn difference(&self) -> Option<difference::Difference> {
        let (then, now) = (self.before.as_ref()?, self.item.as_ref()?);
        let whole = |text: &ItemText| format!("{}\n{}", text.title, text.to_item().body());
        // A page that is read again gives its own words alone.
        if matches!(self.record.fact, Fact::Reread(_)) {
            return Some(difference::difference(&then.article, &now.article));
        }
        Some(difference::difference(&whole(then), &whole(now)))
    }
}

/// The store keeps milliseconds; a record must say the same.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_of_a_blob_shows_wherever_it_is() {
        let blob = Blob::of("The observer seat. ".repeat(40).as_bytes());
        assert!(blob.packed.len() < 100, "it is packed");
        assert_eq!(blob.open().unwrap().len() as i64, blob.bytes);
        for place in 0..blob.packed.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed.packed[place] ^= 1 << bit;
                assert!(changed.open().is_err(), "byte {place}, bit {bit}");
            }
        }
        assert!(Blob { bytes: 3, ..blob.clone() }.open().is_err());
        assert!(Blob { sha256: START.into(), ..blob }.open().is_err());
    }

    #[test]
    fn a_record_can_be_checked_with_sha256sum() {
        // printf '%s\n%s' 000…0 '{"number":1}' | sha256sum
        let expected = sha256(format!("{START}\n{{\"number\":1}}").as_bytes());
        assert_eq!(link(START, "{\"number\":1}"), expected);
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn headers_are_bounded_and_let_nobody_in() {
        let kept = headers([("ETag", &b"\"1\""[..]), ("Set-Cookie", b"session=7")].into_iter());
        assert_eq!(kept, [("ETag".to_string(), "\"1\"".to_string()), ("Set-Cookie".into(), "(left out)".into())]);
        let long = vec![b'x'; 6_000];
        assert_eq!(headers((0..9).map(|_| ("X-Long", long.as_slice()))).len(), 2);
        assert_eq!(headers((0..900).map(|_| ("X", &b"1"[..]))).len(), HEADERS_MAX);
    }
}
