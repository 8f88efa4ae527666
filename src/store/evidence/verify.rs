//! Walks the chain and holds everything it names against it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{PAGE, RecordFilter, StoredRecord, stored};
use crate::evidence::{Blob, Capture, DroppedFact, Fact, ItemText, Record, START, link, sha256};
use crate::model::Id;
use crate::plain;
use crate::store::hits;
use crate::store::{Result, Store, millis};

/// So many differences are named; where one is, the rest is suspect anyway.
const BROKEN_MAX: usize = 100;
/// Blobs unpacked at once.
const BLOBS: i64 = 20;

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The record it was found by; 0 for what no record names.
    pub record: i64,
    /// What differs, in words.
    pub what: String,
}

/// What came of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records that were walked.
    pub records: i64,
    /// The hash of the last one.
    pub head: String,
    /// Texts, reasons and documents that were unpacked and hashed.
    pub blobs: u64,
    /// Bytes of them, unpacked.
    pub bytes: i64,
    /// What differs, the first record first; at most 100 differences.
    pub broken: Vec<Broken>,
    /// What is not known any more, or never was, without anything being wrong.
    pub notes: Vec<String>,
}

/// Documents of hits are kept for at least 30 days (`store.keep_hits`); a day less, for a clock that was set.
const KEPT_MIN: SignedDuration = SignedDuration::from_hours(29 * 24);

/// A document as a record names it.
struct Named {
    record: i64,
    facts: String,
    body: String,
}

/// What the walk has learned.
#[derive(Default)]
struct Walk {
    found: Verified,
    /// By item: what its text must be now, and which record says so.
    texts: BTreeMap<Id, (i64, String)>,
    /// By item and profile: the hit as it must be now, and which record says so.
    hits: BTreeMap<(Id, String), (i64, Fact)>,
    /// Profiles as they were: hash by name and fingerprint, with the first record that says so.
    profiles: BTreeMap<(String, i64), (i64, String)>,
    /// What must be there, with the first record that names it.
    blobs: BTreeMap<String, i64>,
    captures: BTreeMap<Id, Named>,
    /// Documents by hash, with the time of the record that named them last. Only these may be let go.
    documents: BTreeMap<String, Timestamp>,
    /// Documents whose bytes were let go, as the chain says.
    let_go: u64,
}

impl Walk {
    fn broken(&mut self, record: i64, what: impl Into<String>) {
        if self.found.broken.len() < BROKEN_MAX {
            self.found.broken.push(Broken { record, what: what.into() });
        }
    }

    /// One record: its number, its hash, what it names. `columns`: kind, item, profile and time as they stand beside it.
    fn step(&mut self, stored: &StoredRecord, columns: (String, i64, String, i64)) {
        let number = stored.number;
        let expected = self.found.records + 1;
        if number != expected {
            let missing = if number == expected + 1 {
                format!("record {expected} is missing")
            } else {
                format!("records {expected} to {} are missing", number - 1)
            };
            self.broken(expected, missing);
        }
        if link(&self.found.head, &stored.text) != stored.hash {
            self.broken(number, "its hash does not fit: the record, its hash or what stood before it was changed");
        }
        // From here on by what stands there: one change is one difference, not one a record.
        (self.found.records, self.found.head) = (number, stored.hash.clone());
        let Some(record) = stored.read() else {
            return self.broken(number, "it cannot be read; if a newer newswatch wrote it, that one understands it");
        };
        let Record { number: own, at, fact, .. } = &record;
        let item = fact.item().map_or(0, |item| item.0);
        let said = (fact.kind().to_string(), item, fact.profile().to_string(), millis(*at));
        if *own != number || columns != said {
            self.broken(number, "number, kind, item, profile or time beside it are not those that it says");
        }
        for blob in fact.blobs() {
            self.blobs.entry(blob.to_string()).or_insert(number);
        }
        for cited in fact.captures() {
            let named = Named { record: number, facts: cited.facts.clone(), body: cited.body.clone() };
            self.captures.entry(cited.capture).or_insert(named);
            self.documents.insert(cited.body.clone(), *at);
        }
        match fact {
            Fact::Hit(hit) => {
                self.texts.insert(hit.item, (number, hit.text.clone()));
                let profile = (number, hit.profile_sha256.clone());
                self.profiles.entry((hit.profile.clone(), hit.basis.profile_hash)).or_insert(profile);
                self.hits.insert((hit.item, hit.profile.clone()), (number, record.fact.clone()));
            }
            Fact::Edited(edit) => {
                self.texts.insert(edit.item, (number, edit.text.clone()));
            }
            Fact::Reread(_) => {}
            Fact::Dropped(dropped) => self.dropped(number, *at, dropped),
        }
    }

    /// What must not be there any more, unless a record that follows names it again. Such a record excuses what the program lets go,
    /// and nothing else: whoever takes other bytes away cannot write one that fits.
    fn dropped(&mut self, record: i64, at: Timestamp, dropped: &DroppedFact) {
        let is_old = dropped.before <= at - KEPT_MIN;
        for body in &dropped.bodies {
            if is_old && self.documents.get(body).is_some_and(|named| *named < dropped.before) {
                self.let_go += u64::from(self.blobs.remove(body).is_some());
            } else {
                self.broken(record, format!("it says that {body} was let go, which is no document of old hits"));
            }
        }
    }
}

impl Store {
    /// Walks the chain from its first record, recomputes every hash, unpacks and hashes everything that is kept, and compares
    /// hits, items and profiles with what was recorded of them. What is recorded meanwhile is left to the next time.
    pub async fn verify_evidence(&self) -> Result<Verified> {
        let (last, head) = self.chain_head().await?;
        let mut walk = Walk { found: Verified { head: START.to_string(), ..Verified::default() }, ..Walk::default() };
        let mut after = i64::MIN;
        loop {
            let rows = sqlx::query(
                "SELECT number, record, hash, kind, item_id, profile, recorded_at FROM evidence WHERE number > $1 \
                 AND number <= $2 ORDER BY number LIMIT $3",
            );
            let rows = rows.bind(after).bind(last).bind(PAGE).fetch_all(&self.reader).await?;
            for row in &rows {
                walk.step(&stored(row), (row.get(3), row.get(4), row.get(5), row.get(6)));
            }
            let Some(row) = rows.last() else { break };
            after = row.get(0);
        }
        if walk.found.records != last || walk.found.head != head {
            let ends = walk.found.records;
            walk.broken(ends + 1, format!("the chain ends with record {ends}, but its end was noted as record {last}"));
        }
        self.verify_blobs(&mut walk).await?;
        self.verify_captures(&mut walk).await?;
        self.verify_profiles(&mut walk).await?;
        self.verify_hits(&mut walk).await?;
        self.verify_items(&mut walk).await?;
        walk.found.broken.sort_by_key(|broken| if broken.record == 0 { i64::MAX } else { broken.record });
        Ok(walk.found)
    }

    /// Everything that is kept is whole, and everything that is named is kept.
    async fn verify_blobs(&self, walk: &mut Walk) -> Result<()> {
        let mut after = String::new();
        let mut there = BTreeSet::new();
        loop {
            let rows = sqlx::query(
                "SELECT sha256, bytes, packed_sha256, packed, held FROM blobs WHERE sha256 > $1 ORDER BY sha256 LIMIT $2",
            );
            let rows = rows.bind(&after).bind(BLOBS).fetch_all(&self.reader).await?;
            let Some(last) = rows.last() else { break };
            after = last.get(0);
            for row in &rows {
                let blob =
                    Blob { sha256: row.get(0), bytes: row.get(1), packed_sha256: row.get(2), packed: row.get(3) };
                let record = walk.blobs.get(&blob.sha256).copied().unwrap_or_default();
                match blob.open() {
                    Ok(bytes) => {
                        walk.found.blobs += 1;
                        walk.found.bytes += bytes.len() as i64;
                    }
                    Err(what) => walk.broken(record, format!("what is kept as {}: {what}", blob.sha256)),
                }
                if record != 0 && row.get::<i64, _>(4) != 1 {
                    walk.broken(record, format!("what is kept as {} is not marked as recorded", blob.sha256));
                }
                there.insert(blob.sha256);
            }
        }
        // What was let go while the walk was on its way is recorded behind its end.
        let mut after = walk.found.records;
        loop {
            let records = self.records_after(after).await?;
            let Some(last) = records.last() else { break };
            after = last.number;
            for record in &records {
                if let Some(Record { at, fact: Fact::Dropped(dropped), .. }) = record.read() {
                    walk.dropped(record.number, at, &dropped);
                }
            }
        }
        if walk.let_go > 0 {
            let count = plain::counted(walk.let_go as usize, "document");
            let note = format!("let go as store.keep_hits says, their hashes stand: {count} of old hits");
            walk.found.notes.push(note);
        }
        for (hash, record) in std::mem::take(&mut walk.blobs) {
            if !there.contains(&hash) {
                walk.broken(record, format!("what it names as {hash} is not there"));
            }
        }
        Ok(())
    }

    async fn verify_captures(&self, walk: &mut Walk) -> Result<()> {
        let mut named = std::mem::take(&mut walk.captures);
        let mut after = i64::MIN;
        loop {
            let rows = sqlx::query(
                "SELECT id, facts, sha256, fetched_at, cited FROM captures WHERE id > $1 ORDER BY id LIMIT $2",
            );
            let rows = rows.bind(after).bind(PAGE).fetch_all(&self.reader).await?;
            let Some(last) = rows.last() else { break };
            after = last.get(0);
            for row in &rows {
                let (id, facts, body) = (Id(row.get(0)), row.get::<String, _>(1), row.get::<String, _>(2));
                let capture: Option<Capture> = serde_json::from_str(&facts).ok();
                let mut fits = capture.is_some_and(|capture| {
                    capture.id() == id && capture.sha256 == body && millis(capture.fetched) == row.get::<i64, _>(3)
                });
                let named = named.remove(&id);
                let record = named.as_ref().map_or(0, |named| named.record);
                if let Some(named) = named {
                    fits &= named.facts == sha256(facts.as_bytes()) && named.body == body;
                    if row.get::<i64, _>(4) != 1 {
                        walk.broken(record, format!("the document {id} is not marked as recorded"));
                    }
                }
                if !fits {
                    walk.broken(record, format!("address, headers, time or hash of the document {id} were changed"));
                }
            }
        }
        for (id, named) in named {
            walk.broken(named.record, format!("the document {id} that it names is not there"));
        }
        Ok(())
    }

    async fn verify_profiles(&self, walk: &mut Walk) -> Result<()> {
        for ((name, fingerprint), (record, expected)) in std::mem::take(&mut walk.profiles) {
            let found = self.profile_version(&name, fingerprint).await?;
            let found = found.map_or(String::new(), |version| sha256(version.snapshot.as_bytes()));
            if found != expected {
                walk.broken(record, format!("the profile {name} as it was then was changed or is gone"));
            }
        }
        Ok(())
    }

    async fn verify_hits(&self, walk: &mut Walk) -> Result<()> {
        let since = self.recorded_since().await?.map_or(i64::MAX, millis);
        let mut recorded = std::mem::take(&mut walk.hits);
        let (mut unrecorded, mut after) = (0, (i64::MIN, String::new()));
        loop {
            let rows = sqlx::query(
                "SELECT item_id, profile, profile_version, score, threshold, reasons, found_at, backlog, basis, profile_hash, \
                 shadow FROM hits WHERE (item_id, profile) > ($1, $2) ORDER BY item_id, profile LIMIT $3",
            );
            let rows = rows.bind(after.0).bind(&after.1).bind(PAGE).fetch_all(&self.reader).await?;
            let Some(last) = rows.last() else { break };
            after = (last.get(0), last.get(1));
            for row in &rows {
                let (item, profile) = (Id(row.get(0)), row.get::<String, _>(1));
                match recorded.remove(&(item, profile.clone())) {
                    Some((number, Fact::Hit(fact))) => {
                        if let Some(what) = hits::differs(row, &fact) {
                            walk.broken(number, format!("of the hit {item} of profile {profile}, {what} was changed"));
                        }
                    }
                    _ if row.get::<i64, _>(6) < since => unrecorded += 1,
                    _ => {
                        // One that was found while the walk was on its way is recorded behind its end.
                        let wanted = RecordFilter {
                            items: vec![item],
                            profile: Some(profile.clone()),
                            ..RecordFilter::default()
                        };
                        if self.record_numbers(&wanted).await?.is_empty() {
                            walk.broken(0, format!("the hit {item} of profile {profile} has no record"));
                        }
                    }
                }
            }
        }
        if unrecorded > 0 {
            let note = "hits are older than the first record: nothing was recorded of them";
            walk.found.notes.push(format!("{unrecorded} {note}"));
        }
        if !recorded.is_empty() {
            let note = "recorded hits are no longer in the list of hits; their records stand";
            walk.found.notes.push(format!("{} {note}", recorded.len()));
        }
        Ok(())
    }

    /// What stands of the items of hits now is what was recorded last.
    async fn verify_items(&self, walk: &mut Walk) -> Result<()> {
        let texts: Vec<(Id, (i64, String))> = std::mem::take(&mut walk.texts).into_iter().collect();
        let mut emptied = 0;
        for group in texts.chunks(64) {
            let ids: Vec<Id> = group.iter().map(|(id, _)| *id).collect();
            let items = self.items_whole(&ids).await?;
            for (id, (record, expected)) in group {
                let text = items.get(id).map(ItemText::of);
                match text {
                    Some(text) if text.blob().sha256 == *expected => {}
                    Some(text) if !text.is_emptied() => {
                        // A change that was recorded while the walk was on its way lies behind its end.
                        if self.chain_head().await?.0 == walk.found.records {
                            walk.broken(
                                *record,
                                format!("the text of item {id} in the archive is not the recorded one"),
                            );
                        }
                    }
                    _ => emptied += 1,
                }
            }
        }
        if emptied > 0 {
            let note = "items of hits have no text in the archive any more; the recorded text stands";
            walk.found.notes.push(format!("{emptied} {note}"));
        }
        Ok(())
    }
}
