//! Evidence: documents as they came, and the chain of records. See [`crate::evidence`] for what they mean.

mod verify;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::items::{self, NewItem};
use super::{Result, Store, Transaction, millis, read_by_keys, some_time, write_rows};
use crate::evidence::{
    Blob, Capture, Cited, Document, DroppedFact, EditFact, Entry, Fact, HitFact, ItemText, LeftOut, Record, RereadFact,
    reasons_text, sha256,
};
use crate::model::{ArticleState, Hit, Id, Item};

pub use verify::{Broken, Verified};

/// When the page of a hit is read again, counted from the hit. One that cannot be asked for so long is let be.
const LOOK_AGAIN: [SignedDuration; 2] = [SignedDuration::from_hours(24), SignedDuration::from_hours(7 * 24)];
const LOOK_AGAIN_LATE_MAX: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Records read at once.
const PAGE: i64 = 500;

/// A document that came, with the items that were read from it.
#[derive(Clone, Debug)]
pub struct NewCapture {
    /// What is known of it.
    pub capture: Capture,
    /// Its bytes; `None` when they are more than is kept of one document.
    pub body: Option<Blob>,
    /// Kept only as long as all documents together are no larger than this; in bytes, packed.
    pub captures_bytes_max: u64,
    /// The items.
    pub items: Vec<Id>,
}

/// A record as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Its number.
    pub number: i64,
    /// Its JSON, byte for byte as it was hashed.
    pub text: String,
    /// Its hash.
    pub hash: String,
}

impl StoredRecord {
    /// What it says; `None` for what only a newer program understands.
    pub fn read(&self) -> Option<Record> {
        serde_json::from_str(&self.text).ok()
    }
}

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordFilter {
    /// Of these items only; empty for all.
    pub items: Vec<Id>,
    /// Hits of this profile only, and what is about their items.
    pub profile: Option<String>,
    /// Recorded at or after.
    pub from: Option<Timestamp>,
    /// Recorded before.
    pub to: Option<Timestamp>,
}

/// What came of reading the page of a hit again.
#[derive(Clone, Debug)]
pub struct NewReread {
    /// The item.
    pub item: Id,
    /// The text of its page now, or why it could not be read.
    pub article: std::result::Result<String, String>,
    /// The page as it came.
    pub page: Option<NewCapture>,
}

/// What [`Store::forget_captures`] dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Documents.
    pub captures: u64,
    /// Bytes of them that are free now, packed.
    pub bytes: i64,
}

/// How full it is with documents, and when that last had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of all documents that are kept, packed.
    pub bytes: i64,
    /// When the bytes of a document were last not kept because there was no room.
    pub left_out_at: Option<Timestamp>,
    /// When documents that no record names were last let go before their time, to make room.
    pub hurried_at: Option<Timestamp>,
}

/// Stores documents that came now. Answers by item which one it was read from. Bytes that are there already, or for which there is
/// no room, are not stored.
pub(super) async fn keep(
    tx: &mut Transaction<'static, Any>,
    captures: &[&NewCapture],
    now: Timestamp,
) -> Result<BTreeMap<Id, Id>> {
    let mut by_item = BTreeMap::new();
    if captures.is_empty() {
        return Ok(by_item);
    }
    // In one order, also for two watchers that store the same bytes: neither waits for the other in a circle.
    let mut captures: Vec<(&NewCapture, &str)> = captures.iter().map(|new| (*new, "")).collect();
    captures.sort_by(|(a, _), (b, _)| a.capture.sha256.cmp(&b.capture.sha256));
    let row = sqlx::query("UPDATE capture_room SET bytes = bytes WHERE one = 1 RETURNING bytes").fetch_one(&mut **tx);
    let before: i64 = row.await?.get(0);
    let mut room = before;
    let mut is_full = false;
    for (new, left_out) in &mut captures {
        by_item.extend(new.items.iter().map(|item| (*item, new.capture.id())));
        let Some(body) = &new.body else {
            *left_out = LeftOut::TooLarge.as_str();
            continue;
        };
        let size = body.packed.len() as i64;
        if u64::try_from(room + size).unwrap_or_default() <= new.captures_bytes_max {
            if store_blob(tx, body, false).await? {
                room += size;
            }
            continue;
        }
        let known = sqlx::query("SELECT 1 FROM blobs WHERE sha256 = $1").bind(&body.sha256);
        if known.fetch_optional(&mut **tx).await?.is_none() {
            *left_out = LeftOut::NoRoom.as_str();
            is_full = true;
        }
    }
    if room != before {
        sqlx::query("UPDATE capture_room SET bytes = $1 WHERE one = 1").bind(room).execute(&mut **tx).await?;
    }
    if is_full {
        let full = sqlx::query("UPDATE capture_room SET left_out_at = $1 WHERE one = 1").bind(millis(now));
        full.execute(&mut **tx).await?;
    }
    let head = "INSERT INTO captures (id, fetched_at, sha256, facts, cited, left_out)";
    write_rows(tx, head, "ON CONFLICT (id) DO NOTHING", 6, &captures, |query, (new, left_out)| {
        query
            .bind(new.capture.id().0)
            .bind(millis(new.capture.fetched))
            .bind(new.capture.sha256.clone())
            .bind(serde_json::to_string(&new.capture).unwrap_or_default())
            .bind(0i64)
            .bind(left_out.to_string())
    })
    .await?;
    Ok(by_item)
}

/// Stores bytes; answers whether they are new. `held`: a record names them.
async fn store_blob(tx: &mut Transaction<'static, Any>, blob: &Blob, held: bool) -> Result<bool> {
    let sql = if held {
        // The room counts documents only; what was one before is counted no less for being held.
        "INSERT INTO blobs (sha256, bytes, packed_sha256, packed, held) VALUES ($1, $2, $3, $4, 1) \
         ON CONFLICT (sha256) DO UPDATE SET held = 1"
    } else {
        "INSERT INTO blobs (sha256, bytes, packed_sha256, packed, held) VALUES ($1, $2, $3, $4, 0) \
         ON CONFLICT (sha256) DO NOTHING"
    };
    let done = sqlx::query(sql)
        .bind(&blob.sha256)
        .bind(blob.bytes)
        .bind(&blob.packed_sha256)
        .bind(blob.packed.clone())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whoever else adds to the chain, or forgets documents, waits until this transaction is over. It comes before the bytes and documents that
/// records name: two watchers may name the same ones in another order. Answers number and hash of the last record.
async fn lock_chain(tx: &mut Transaction<'static, Any>) -> Result<AnyRow> {
    // An UPDATE locks the row on both engines and reads what was committed last.
    let head = sqlx::query("UPDATE chain_head SET number = number WHERE one = 1 RETURNING number, hash");
    Ok(head.fetch_one(&mut **tx).await?)
}

/// Adds facts to the chain, in this order.
pub(in crate::store) async fn append(
    tx: &mut Transaction<'static, Any>,
    facts: Vec<Fact>,
    now: Timestamp,
) -> Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let head = lock_chain(tx).await?;
    let (mut number, mut hash): (i64, String) = (head.get(0), head.get(1));
    let mut rows = Vec::new();
    for fact in facts {
        number += 1;
        let at = crate::evidence::to_millisecond(now);
        let record = Record { number, at, program: env!("CARGO_PKG_VERSION").to_string(), fact };
        let text = serde_json::to_string(&record).unwrap_or_default();
        hash = crate::evidence::link(&hash, &text);
        rows.push((record, text, hash.clone()));
    }
    let head = "INSERT INTO evidence (number, kind, item_id, profile, recorded_at, record, hash)";
    write_rows(tx, head, "", 7, &rows, |query, (record, text, hash)| {
        query
            .bind(record.number)
            .bind(record.fact.kind())
            .bind(record.fact.item().map_or(0, |item| item.0))
            .bind(record.fact.profile().to_string())
            .bind(millis(record.at))
            .bind(text.clone())
            .bind(hash.clone())
    })
    .await?;
    let head = sqlx::query("UPDATE chain_head SET number = $1, hash = $2 WHERE one = 1");
    head.bind(number).bind(&hash).execute(&mut **tx).await?;
    Ok(())
}

/// The documents that an item was read from, the source's and its own page; from now on they are not forgotten.
async fn cite(tx: &mut Transaction<'static, Any>, item: Id, now: Timestamp) -> Result<(Option<Cited>, Option<Cited>)> {
    let row = sqlx::query("SELECT document_id, page_id FROM items WHERE id = $1").bind(item.0);
    let Some(row) = row.fetch_optional(&mut **tx).await? else { return Ok((None, None)) };
    let mut cited = [None, None];
    for (place, cited) in cited.iter_mut().enumerate() {
        let id: i64 = row.get(place);
        if id != 0 {
            *cited = cite_capture(tx, id, now).await?;
        }
    }
    let [document, page] = cited;
    Ok((document, page))
}

async fn cite_capture(tx: &mut Transaction<'static, Any>, id: i64, now: Timestamp) -> Result<Option<Cited>> {
    let cited = sqlx::query("UPDATE captures SET cited = 1 WHERE id = $1 RETURNING sha256, facts, left_out").bind(id);
    let Some(row) = cited.fetch_optional(&mut **tx).await? else { return Ok(None) };
    let (body, facts, left_out): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    let held = sqlx::query("UPDATE blobs SET held = 1, held_at = $1 WHERE sha256 = $2").bind(millis(now)).bind(&body);
    let kept = held.execute(&mut **tx).await?.rows_affected() == 1;
    let left_out = LeftOut::from_stored(&left_out).filter(|_| !kept);
    Ok(Some(Cited { capture: Id(id), facts: sha256(facts.as_bytes()), body, kept, left_out }))
}

/// Lets go the bytes of documents that no record has named since `cutoff`, `limit` at most, and records which: what must be there
/// stays known. Their addresses, headers and hashes stand. Answers how many.
pub(super) async fn drop_documents(
    tx: &mut Transaction<'static, Any>,
    cutoff: Timestamp,
    limit: usize,
    now: Timestamp,
) -> Result<u64> {
    // Locked before all else, as whoever stores a document does.
    sqlx::query("UPDATE capture_room SET bytes = bytes WHERE one = 1").execute(&mut **tx).await?;
    lock_chain(tx).await?;
    let old = format!("SELECT b.sha256 FROM blobs b WHERE {OLD_DOCUMENTS} ORDER BY b.held_at, b.sha256 LIMIT $2");
    let old = sqlx::query(AssertSqlSafe(old)).bind(millis(cutoff)).bind(limit as i64).fetch_all(&mut **tx).await?;
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for row in old {
        let body: String = row.get(0);
        // A hit that was recorded meanwhile has named it again.
        let freed = sqlx::query(
            "DELETE FROM blobs WHERE sha256 = $1 AND held_at > 0 AND held_at < $2 RETURNING length(packed)",
        );
        let freed = freed.bind(&body).bind(millis(cutoff)).fetch_optional(&mut **tx).await?;
        let Some(row) = freed else { continue };
        bytes += length(&row)?;
        bodies.push(body);
    }
    let count = bodies.len() as u64;
    if count > 0 {
        sqlx::query("UPDATE capture_room SET bytes = bytes - $1 WHERE one = 1").bind(bytes).execute(&mut **tx).await?;
        let before = crate::evidence::to_millisecond(cutoff);
        append(tx, vec![Fact::Dropped(DroppedFact { before, bodies })], now).await?;
    }
    Ok(count)
}

/// Documents whose last record is older than $1, and that did not come again since. (`held_at` is 0 for texts and reasons, which
/// are never let go.)
pub(super) const OLD_DOCUMENTS: &str = "b.held_at > 0 AND b.held_at < $1 AND NOT EXISTS \
                                        (SELECT 1 FROM captures c WHERE c.sha256 = b.sha256 AND c.fetched_at >= $1)";

/// The result of `length`, whose type is the engine's own.
fn length(row: &AnyRow) -> Result<i64> {
    Ok(row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))?)
}

/// Records hits with what they were made of. The profiles' versions are in the store already.
pub(super) async fn record_hits(tx: &mut Transaction<'static, Any>, hits: &[Hit], now: Timestamp) -> Result<()> {
    let mut profiles: BTreeMap<(String, i64), String> = BTreeMap::new();
    let mut facts = Vec::new();
    lock_chain(tx).await?;
    for hit in hits {
        let key = (hit.profile.clone(), hit.basis.profile_hash);
        if !profiles.contains_key(&key) {
            let row = sqlx::query("SELECT snapshot FROM profile_versions WHERE profile = $1 AND profile_hash = $2");
            let row = row.bind(&key.0).bind(key.1).fetch_optional(&mut **tx).await?;
            let hash = row.map_or(String::new(), |row| sha256(row.get::<String, _>(0).as_bytes()));
            profiles.insert(key.clone(), hash);
        }
        let text = ItemText::of(&hit.item).blob();
        let reasons = Blob::of(reasons_text(&hit.reasons).as_bytes());
        store_blob(tx, &text, true).await?;
        store_blob(tx, &reasons, true).await?;
        let mut fact = HitFact::of(hit, &profiles[&key], &text, &reasons);
        (fact.document, fact.page) = cite(tx, hit.item.id, now).await?;
        facts.push(Fact::Hit(Box::new(fact)));
        // Of what nobody was told no change is told.
        if hit.item.article_state == ArticleState::Read && !hit.item.backlog && !hit.shadow {
            let due = "INSERT INTO rereads (item_id, source, found_at, due_at, times) VALUES ($1, $2, $3, $4, 0) \
                       ON CONFLICT (item_id) DO NOTHING";
            sqlx::query(due)
                .bind(hit.item.id.0)
                .bind(&hit.item.source)
                .bind(millis(hit.found_at))
                .bind(millis(hit.found_at + LOOK_AGAIN[0]))
                .execute(&mut **tx)
                .await?;
        }
    }
    append(tx, facts, now).await
}

/// The texts of those of the items that are hits, before they are changed.
pub(super) async fn texts_of_hits(tx: &mut Transaction<'static, Any>, items: &[Id]) -> Result<BTreeMap<Id, ItemText>> {
    let mut texts = BTreeMap::new();
    let sql = format!(
        "SELECT {} FROM items i WHERE i.id = $1 AND (EXISTS (SELECT 1 FROM hits h WHERE h.item_id = i.id) \
         OR EXISTS (SELECT 1 FROM evidence e WHERE e.item_id = i.id AND e.kind = 'hit'))",
        items::COLUMNS
    );
    for id in items.iter().collect::<BTreeSet<_>>() {
        let row = sqlx::query(AssertSqlSafe(sql.clone())).bind(id.0).fetch_optional(&mut **tx).await?;
        if let Some(row) = row {
            texts.insert(*id, ItemText::of(&items::item(&row)));
        }
    }
    Ok(texts)
}

/// Records what became of the texts of hits, which were these before.
pub(super) async fn record_edits(
    tx: &mut Transaction<'static, Any>,
    before: BTreeMap<Id, ItemText>,
    now: Timestamp,
) -> Result<()> {
    if before.is_empty() {
        return Ok(());
    }
    lock_chain(tx).await?;
    let items: Vec<Id> = before.keys().copied().collect();
    let after = texts_of_hits(tx, &items).await?;
    let mut facts = Vec::new();
    for (item, before) in before {
        let Some(after) = after.get(&item).filter(|after| **after != before) else { continue };
        let (before, text) = (before.blob().sha256, after.blob());
        store_blob(tx, &text, true).await?;
        let (document, page) = cite(tx, item, now).await?;
        facts.push(Fact::Edited(EditFact { item, before, text: text.sha256, document, page }));
    }
    append(tx, facts, now).await
}

/// Of new or edited items, which document each was read from.
pub(super) fn document_of(by_item: &BTreeMap<Id, Id>, new: &NewItem) -> i64 {
    by_item.get(&new.item.id).map_or(0, |capture| capture.0)
}

fn stored(row: &AnyRow) -> StoredRecord {
    StoredRecord { number: row.get(0), text: row.get(1), hash: row.get(2) }
}

impl Store {
    /// Number and hash of the last record; 0 before the first.
    pub async fn chain_head(&self) -> Result<(i64, String)> {
        let row = sqlx::query("SELECT number, hash FROM chain_head WHERE one = 1").fetch_one(&self.reader).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// The number of the record with this hash.
    pub async fn record_with_hash(&self, hash: &str) -> Result<Option<i64>> {
        let row = sqlx::query("SELECT number FROM evidence WHERE hash = $1").bind(hash);
        Ok(row.fetch_optional(&self.reader).await?.map(|row| row.get(0)))
    }

    /// The record with this number.
    pub async fn record(&self, number: i64) -> Result<Option<StoredRecord>> {
        let row = sqlx::query("SELECT number, record, hash FROM evidence WHERE number = $1").bind(number);
        Ok(row.fetch_optional(&self.reader).await?.as_ref().map(stored))
    }

    /// The records that follow the one with this number, in order, as many as fit into one answer.
    pub async fn records_after(&self, number: i64) -> Result<Vec<StoredRecord>> {
        let rows = sqlx::query("SELECT number, record, hash FROM evidence WHERE number > $1 ORDER BY number LIMIT $2");
        Ok(rows.bind(number).bind(PAGE).fetch_all(&self.reader).await?.iter().map(stored).collect())
    }

    /// The numbers of the records that are wanted, in order.
    pub async fn record_numbers(&self, filter: &RecordFilter) -> Result<Vec<i64>> {
        let mut numbers = BTreeSet::new();
        const TIMES: &str = "e.recorded_at >= $1 AND e.recorded_at < $2";
        let times = (filter.from.map_or(0, millis), filter.to.map_or(i64::MAX, millis));
        if filter.items.is_empty() {
            // What happened to the item of a hit belongs to the hit, whichever profile found it.
            let sql = format!(
                "SELECT e.number FROM evidence e WHERE {TIMES} AND ($3 = '' OR e.profile = $3 OR (e.profile = '' AND EXISTS \
                 (SELECT 1 FROM evidence h WHERE h.item_id = e.item_id AND h.kind = 'hit' AND h.profile = $3)))"
            );
            let rows = sqlx::query(AssertSqlSafe(sql)).bind(times.0).bind(times.1);
            let rows = rows.bind(filter.profile.clone().unwrap_or_default()).fetch_all(&self.reader).await?;
            numbers.extend(rows.iter().map(|row| row.get::<i64, _>(0)));
        }
        let keys: Vec<i64> = filter.items.iter().map(|id| id.0).collect();
        let head = "SELECT e.number, e.recorded_at, e.profile FROM evidence e WHERE e.item_id";
        for row in read_by_keys(self, head, "", &keys).await? {
            let (at, profile): (i64, String) = (row.get(1), row.get(2));
            let of_profile = profile.is_empty() || filter.profile.as_ref().is_none_or(|wanted| *wanted == profile);
            if (times.0..times.1).contains(&at) && of_profile {
                numbers.insert(row.get(0));
            }
        }
        Ok(numbers.into_iter().collect())
    }

    /// Bytes by their SHA-256; `None` when they are not kept (any more).
    pub async fn blob(&self, sha256: &str) -> Result<Option<Blob>> {
        let row = sqlx::query("SELECT sha256, bytes, packed_sha256, packed FROM blobs WHERE sha256 = $1").bind(sha256);
        let row = row.fetch_optional(&self.reader).await?;
        Ok(row.map(|row| Blob { sha256: row.get(0), bytes: row.get(1), packed_sha256: row.get(2), packed: row.get(3) }))
    }

    /// A document without its bytes, as JSON; `None` when it was forgotten.
    pub async fn capture(&self, id: Id) -> Result<Option<String>> {
        let row = sqlx::query("SELECT facts FROM captures WHERE id = $1").bind(id.0);
        Ok(row.fetch_optional(&self.reader).await?.map(|row| row.get(0)))
    }

    /// A record with all that it names. Without `bodies` the documents come without their bytes, which may be large.
    pub async fn evidence_entry(&self, stored: &StoredRecord, bodies: bool) -> Result<Option<Entry>> {
        let Some(record) = stored.read() else { return Ok(None) };
        let nothing = String::new();
        // The texts now and before, the reasons, the documents.
        let (text, before, reasons, document, page) = match &record.fact {
            Fact::Hit(hit) => (&hit.text, &nothing, &hit.reasons, &hit.document, &hit.page),
            Fact::Edited(edit) => (&edit.text, &edit.before, &nothing, &edit.document, &edit.page),
            Fact::Reread(reread) => (&reread.text, &reread.before, &nothing, &None, &reread.page),
            Fact::Dropped(_) => (&nothing, &nothing, &nothing, &None, &None),
        };
        let (item, before) = (self.item_text(text).await?, self.item_text(before).await?);
        let reasons = self.opened(reasons).await?.unwrap_or_default();
        let reasons = serde_json::from_slice(&reasons).unwrap_or_default();
        let mut documents = Vec::new();
        for (cited, is_page) in [(document, false), (page, true)] {
            let Some(cited) = cited else { continue };
            let capture = self.capture(cited.capture).await?.and_then(|facts| serde_json::from_str(&facts).ok());
            let body = if bodies { self.opened(&cited.body).await? } else { None };
            let there = sqlx::query("SELECT 1 FROM blobs WHERE sha256 = $1").bind(&cited.body);
            let is_there = there.fetch_optional(&self.reader).await?.is_some();
            documents.push(Document { is_page, cited: cited.clone(), capture, is_there, body });
        }
        let (text, hash) = (stored.text.clone(), stored.hash.clone());
        Ok(Some(Entry { record, text, hash, item, before, reasons, documents, is_masked: false }))
    }

    /// Bytes by their SHA-256; `None` when they are not kept, or broken: `newswatch evidence verify` says which.
    async fn opened(&self, sha256: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.blob(sha256).await?.and_then(|blob| blob.open().ok()))
    }

    async fn item_text(&self, sha256: &str) -> Result<Option<ItemText>> {
        Ok(self.opened(sha256).await?.and_then(|bytes| ItemText::read(&bytes)))
    }

    /// How full it is with documents.
    pub async fn capture_room(&self) -> Result<Room> {
        let row = sqlx::query("SELECT bytes, left_out_at, hurried_at FROM capture_room WHERE one = 1");
        let row = row.fetch_one(&self.reader).await?;
        let time = |index: usize| Some(row.get::<i64, _>(index)).filter(|at| *at > 0).map(some_time);
        Ok(Room { bytes: row.get(0), left_out_at: time(1), hurried_at: time(2) })
    }

    /// Notes that documents were let go before their time.
    pub async fn note_hurried(&self, now: Timestamp) -> Result<()> {
        let note = sqlx::query("UPDATE capture_room SET hurried_at = $1 WHERE one = 1").bind(millis(now));
        note.execute(&self.writer).await?;
        Ok(())
    }

    /// Drops documents that came before `before` and that no record names, the oldest first, `limit` at most. What records name
    /// is let go by [`Store::forget_old`] alone, which records that.
    pub async fn forget_captures(&self, before: Timestamp, limit: usize) -> Result<Forgotten> {
        let mut tx = self.begin().await?;
        // Locked before all else, as whoever stores a document does.
        sqlx::query("UPDATE capture_room SET bytes = bytes WHERE one = 1").execute(&mut *tx).await?;
        lock_chain(&mut tx).await?;
        let rows = sqlx::query(
            "SELECT id, sha256 FROM captures WHERE cited = 0 AND fetched_at < $1 ORDER BY fetched_at, id LIMIT $2",
        );
        let rows = rows.bind(millis(before)).bind(limit.min(100_000) as i64).fetch_all(&mut *tx).await?;
        let mut forgotten = Forgotten::default();
        for row in &rows {
            let (id, body): (i64, String) = (row.get(0), row.get(1));
            // A hit that was recorded meanwhile has cited it.
            let gone =
                sqlx::query("DELETE FROM captures WHERE id = $1 AND cited = 0").bind(id).execute(&mut *tx).await?;
            forgotten.captures += gone.rows_affected();
            let freed = sqlx::query(
                "DELETE FROM blobs WHERE sha256 = $1 AND held = 0 AND NOT EXISTS (SELECT 1 FROM captures WHERE sha256 = $1) \
                 RETURNING length(packed)",
            );
            for row in freed.bind(&body).fetch_all(&mut *tx).await? {
                forgotten.bytes += length(&row)?;
            }
        }
        if forgotten.bytes > 0 {
            let room = sqlx::query("UPDATE capture_room SET bytes = bytes - $1 WHERE one = 1");
            room.bind(forgotten.bytes).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Items of a source whose page is to be looked at again now, those first that are due longest. None when `per_day_max` pages were
    /// looked at in the last 24 hours.
    pub async fn pages_to_look_at(&self, source: &str, per_day_max: usize, now: Timestamp) -> Result<Vec<Item>> {
        let rows = sqlx::query(
            "SELECT item_id FROM rereads WHERE source = $1 AND due_at <= $2 ORDER BY due_at, item_id LIMIT $3",
        );
        let rows = rows.bind(source).bind(millis(now)).bind(per_day_max.min(1_000) as i64);
        let due: Vec<Id> = rows.fetch_all(&self.reader).await?.iter().map(|row| Id(row.get(0))).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let count = sqlx::query("SELECT count(*) FROM evidence WHERE kind = 'reread' AND recorded_at > $1");
        let count = count.bind(millis(now - SignedDuration::from_hours(24))).fetch_one(&self.reader).await?;
        let room = per_day_max.saturating_sub(count.get::<i64, _>(0) as usize);
        let items = self.items_whole(&due).await?;
        Ok(due.iter().filter_map(|id| items.get(id).cloned()).take(room).collect())
    }

    /// Records what came of looking at pages again, and when they are looked at next. Pages that could not be asked for in their
    /// time are let be.
    pub async fn commit_rereads(&self, rereads: &[NewReread], now: Timestamp) -> Result<()> {
        self.again(|| self.try_commit_rereads(rereads, now)).await
    }

    async fn try_commit_rereads(&self, rereads: &[NewReread], now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        let pages: Vec<&NewCapture> = rereads.iter().filter_map(|new| new.page.as_ref()).collect();
        let pages = keep(&mut tx, &pages, now).await?;
        lock_chain(&mut tx).await?;
        let mut facts = Vec::new();
        for new in rereads {
            let row = sqlx::query(
                "UPDATE rereads SET times = times + 1 WHERE item_id = $1 AND due_at <= $2 RETURNING found_at, times",
            );
            // Another watcher was first.
            let Some(row) = row.bind(new.item.0).bind(millis(now)).fetch_optional(&mut *tx).await? else { continue };
            let (found_at, times): (i64, i64) = (row.get(0), row.get(1));
            let next = LOOK_AGAIN.get(times as usize).map(|after| millis(some_time(found_at) + *after));
            match next {
                Some(next) => {
                    let update = sqlx::query("UPDATE rereads SET due_at = $1 WHERE item_id = $2");
                    update.bind(next).bind(new.item.0).execute(&mut *tx).await?;
                }
                None => {
                    sqlx::query("DELETE FROM rereads WHERE item_id = $1").bind(new.item.0).execute(&mut *tx).await?;
                }
            }
            let Some(before) = texts_of_hits(&mut tx, &[new.item]).await?.remove(&new.item) else { continue };
            let then = before.blob();
            store_blob(&mut tx, &then, true).await?;
            let (text, problem) = match &new.article {
                Ok(article) => {
                    let text = ItemText { article: article.clone(), ..before }.blob();
                    store_blob(&mut tx, &text, true).await?;
                    (text.sha256, String::new())
                }
                Err(problem) => (String::new(), problem.clone()),
            };
            let page = match pages.get(&new.item) {
                Some(capture) => cite_capture(&mut tx, capture.0, now).await?,
                None => None,
            };
            facts.push(Fact::Reread(RereadFact { item: new.item, before: then.sha256, text, problem, page }));
        }
        append(&mut tx, facts, now).await?;
        let late = sqlx::query("DELETE FROM rereads WHERE due_at < $1");
        late.bind(millis(now - LOOK_AGAIN_LATE_MAX)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Pages of hits that were looked at again since then, and before `until`, and were not as before, or could not be read; the
    /// last `limit` of them, the oldest first.
    pub async fn changed_pages(&self, since: Timestamp, until: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        let rows = sqlx::query(
            "SELECT number, record, hash FROM evidence WHERE kind = 'reread' AND recorded_at >= $1 AND recorded_at < $2 \
             ORDER BY number DESC LIMIT $3",
        );
        let rows = rows.bind(millis(since)).bind(until.map_or(i64::MAX, millis)).bind(limit as i64);
        let rows = rows.fetch_all(&self.reader).await?;
        let mut changed = Vec::new();
        for row in rows.iter().rev() {
            let record = stored(row);
            let Some(Fact::Reread(fact)) = record.read().map(|record| record.fact) else { continue };
            if fact.text != fact.before {
                changed.extend(self.evidence_entry(&record, false).await?);
            }
        }
        Ok(changed)
    }

    /// The profiles whose hits of this item were told.
    pub async fn profiles_told_of(&self, item: Id) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT profile FROM hits WHERE item_id = $1 AND shadow = 0 AND backlog = 0");
        Ok(rows.bind(item.0).fetch_all(&self.reader).await?.iter().map(|row| row.get(0)).collect())
    }

    /// When the first record was made; `None` before it.
    pub async fn recorded_since(&self) -> Result<Option<Timestamp>> {
        let row = sqlx::query("SELECT recorded_at FROM evidence ORDER BY number LIMIT 1");
        Ok(row.fetch_optional(&self.reader).await?.map(|row| some_time(row.get(0))))
    }
}
