//! Search over everything stored: an index of each item's words ([`crate::matcher::index`]), written in the transaction that stores
//! the item. It answers with candidates; what they really hold is for [`crate::matcher::search`] to say.
//!
//! Here the engines differ: SQLite has FTS5, which keeps the places of words, PostgreSQL a `tsvector` without places. Both are asked
//! for the same words. Items are numbered as they come, so that the newest are found first without sorting.
//!
//! The index is made of parts of so many numbers each, asked one by one from the newest on: an engine that has to gather all that holds
//! a word before it shows the first row (FTS5 where a word may go on, PostgreSQL always) gathers it in one part. Of SQLite's each is a
//! table; PostgreSQL's words begin with the mark of their part.
//!
//! Numbers say only roughly when an item was first seen: some are stored late, and what is indexed afterwards has lower ones. So of each
//! block of numbers is kept between which times its items were first seen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Row};

use super::items::{COLUMNS, item};
use super::{Engine, Result, Store, Transaction, engine_of, millis, placeholders, write_rows};
use crate::matcher::index::{Candidates, IndexedText};
use crate::model::{CANARY, Id, Item};

mod question;
use question::{fts5, tsquery, vector};

/// The name under which is noted how far an index that is made afterwards has come: no item that was first seen before is in it
/// (milliseconds and identity). Without a note it is whole.
pub(super) const LACKS: &str = "search index lacks items before";
/// Where the numbers begin.
const FIRST_DOC: i64 = 1 << 40;
/// A part has 2^16 numbers, of PostgreSQL's 2^13: it also reads a row for each document that holds a word. More in each make what is
/// common slower, fewer what is rare.
const PART_BITS: (u32, u32) = (16, 13);
/// A block has 2^10 numbers, and lies within a part.
const BLOCK_BITS: u32 = 10;
/// In a part where so few documents hold all those words that do not go on, these are the candidates: to gather all words that begin in
/// some way takes longer than to read them.
const FEW: usize = 48;
/// So it is in all parts together where candidates are to be ranked.
const FEW_RANKED: usize = 256;

/// Which items are wanted, beside what they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Hits of this profile; also of one on trial.
    pub profile: Option<String>,
    /// Hits of any profile that people are told of.
    pub hits: bool,
    /// First seen at or after.
    pub since: Option<Timestamp>,
    /// First seen before.
    pub until: Option<Timestamp>,
}

impl SearchFilter {
    /// Whether every item passes.
    pub fn is_open(&self) -> bool {
        *self == SearchFilter::default()
    }
}

/// A document of the index that may be what is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its number: the higher, the newer.
    pub doc: i64,
    /// How much of what is looked for it holds, by the index; comparable within one answer only. SQLite knows how rare a word is
    /// within a part only, so there it is the share of the best of the part.
    pub rank: f64,
}

/// A part of the candidates.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The newest first.
    pub found: Vec<Found>,
    /// Where to go on; `None`: there are no more.
    pub next: Option<i64>,
}

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// All items are in it.
    Whole,
    /// Items that were first seen then or before are not all in it yet.
    Lacks {
        /// First seen then or before.
        before: Timestamp,
    },
}

/// How new documents are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// They are newer than all that is there.
    Upwards,
    /// They are older.
    Downwards,
}

/// Which part of the index a document is in.
fn part_of(engine: Engine, doc: i64) -> i64 {
    doc >> if engine == Engine::Sqlite { PART_BITS.0 } else { PART_BITS.1 }
}

/// How an engine computes the part from the block.
fn part_of_block(engine: Engine) -> String {
    format!("block >> {}", if engine == Engine::Sqlite { PART_BITS.0 } else { PART_BITS.1 } - BLOCK_BITS)
}

/// SQLite's table of a part.
fn words_table(part: i64) -> String {
    format!("search_words_{part}")
}

/// Puts items into the index, or anew where they are in it.
pub(super) async fn index(tx: &mut Transaction<'static, Any>, items: &[&Item], numbered: Numbered) -> Result<()> {
    let mut items: Vec<&Item> = items.iter().copied().filter(|item| item.source != CANARY).collect();
    // An item that comes twice in one batch is one.
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.id));
    if items.is_empty() {
        return Ok(());
    }
    let engine = engine_of(tx);
    lock(tx).await?;
    let known = docs_of(tx, &items.iter().map(|item| item.id).collect::<Vec<Id>>()).await?;
    let (order, step) = if numbered == Numbered::Upwards { ("max", 1) } else { ("min", -1) };
    let sql = format!("SELECT coalesce({order}(doc), {FIRST_DOC}) FROM search_docs");
    let mut last: i64 = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut **tx).await?.get(0);
    take_out(tx, &known.values().copied().collect::<Vec<i64>>()).await?;
    let mut blocks: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut parts: BTreeMap<i64, Vec<(i64, Id, IndexedText)>> = BTreeMap::new();
    for item in items {
        let doc = known.get(&item.id).copied().unwrap_or_else(|| {
            last += step;
            last
        });
        let at = millis(item.first_seen_at);
        let times = blocks.entry(doc >> BLOCK_BITS).or_insert((at, at));
        *times = (times.0.min(at), times.1.max(at));
        parts.entry(part_of(engine, doc)).or_default().push((doc, item.id, IndexedText::of(item)));
    }
    for (part, rows) in &parts {
        put_in(tx, *part, rows).await?;
    }
    for (block, (earliest, latest)) in blocks {
        sqlx::query(
            "INSERT INTO search_blocks (block, earliest, latest) VALUES ($1, $2, $3) ON CONFLICT (block) DO UPDATE SET \
             earliest = CASE WHEN excluded.earliest < search_blocks.earliest THEN excluded.earliest ELSE search_blocks.earliest END, \
             latest = CASE WHEN excluded.latest > search_blocks.latest THEN excluded.latest ELSE search_blocks.latest END",
        )
        .bind(block)
        .bind(earliest)
        .bind(latest)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Writes documents of a part that are not in it.
async fn put_in(tx: &mut Transaction<'static, Any>, part: i64, rows: &[(i64, Id, IndexedText)]) -> Result<()> {
    if engine_of(tx) == Engine::Postgres {
        for (doc, item, text) in rows {
            sqlx::query("INSERT INTO search_docs (doc, item_id, words) VALUES ($1, $2, CAST($3 AS TSVECTOR))")
                .bind(*doc)
                .bind(item.0)
                .bind(vector(text, part))
                .execute(&mut **tx)
                .await?;
        }
        return Ok(());
    }
    let table = words_table(part);
    // The words are ours (matcher/index.rs) and stand apart already: the engine is to split and fold nothing.
    let sql = format!(
        "CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5(title, body, beginnings, content='', contentless_delete=1, \
         tokenize='ascii')"
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut **tx).await?;
    let head = "INSERT INTO search_docs (doc, item_id)";
    write_rows(tx, head, "", 2, rows, |query, (doc, item, _)| query.bind(*doc).bind(item.0)).await?;
    let head = format!("INSERT INTO {table} (rowid, title, body, beginnings)");
    write_rows(tx, &head, "", 4, rows, |query, (doc, _, text)| {
        let beginnings = format!("{}{}", text.beginnings, text.source);
        query.bind(*doc).bind(text.title.clone()).bind(text.body.clone()).bind(beginnings)
    })
    .await?;
    Ok(())
}

/// Puts stored items into the index as they are stored now.
pub(super) async fn index_again(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<()> {
    const GROUP: usize = 64;
    for group in ids.chunks(GROUP) {
        let list = placeholders(engine_of(tx), 1, 1, group.len());
        let mut query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM items i WHERE i.id IN {list}")));
        for id in group {
            query = query.bind(id.0);
        }
        let items: Vec<Item> = query.fetch_all(&mut **tx).await?.iter().map(item).collect();
        index(tx, &items.iter().collect::<Vec<&Item>>(), Numbered::Upwards).await?;
    }
    Ok(())
}

/// Whoever changes the index does so alone until the transaction ends, from the first look on: two watchers must not give one number
/// twice, nor put back what another has just brought up to date. (SQLite has one writer anyway.)
async fn lock(tx: &mut Transaction<'static, Any>) -> Result<()> {
    if engine_of(tx) == Engine::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock(5771193)").execute(&mut **tx).await?;
    }
    Ok(())
}

/// Takes items out of the index, and what is empty then.
pub(super) async fn forget(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<()> {
    lock(tx).await?;
    let docs: Vec<i64> = docs_of(tx, ids).await?.into_values().collect();
    take_out(tx, &docs).await?;
    let blocks: Vec<i64> = docs.iter().map(|doc| doc >> BLOCK_BITS).collect::<BTreeSet<i64>>().into_iter().collect();
    for group in super::groups(&blocks) {
        let list = placeholders(engine_of(tx), 1, 1, group.len());
        let sql = format!(
            "DELETE FROM search_blocks WHERE block IN {list} AND NOT EXISTS (SELECT 1 FROM search_docs d \
             WHERE d.doc >= search_blocks.block << {BLOCK_BITS} AND d.doc < (search_blocks.block + 1) << {BLOCK_BITS})"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for block in group {
            query = query.bind(*block);
        }
        query.execute(&mut **tx).await?;
    }
    if engine_of(tx) == Engine::Sqlite {
        for part in docs.iter().map(|doc| part_of(Engine::Sqlite, *doc)).collect::<BTreeSet<i64>>() {
            let bits = PART_BITS.0 - BLOCK_BITS;
            let left = sqlx::query("SELECT 1 FROM search_blocks WHERE block >= $1 AND block < $2 LIMIT 1");
            let left = left.bind(part << bits).bind((part + 1) << bits).fetch_optional(&mut **tx).await?;
            if left.is_none() {
                drop_part(tx, part).await?;
            }
        }
    }
    Ok(())
}

async fn drop_part(tx: &mut Transaction<'static, Any>, part: i64) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {}", words_table(part)))).execute(&mut **tx).await?;
    Ok(())
}

async fn docs_of(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<HashMap<Id, i64>> {
    let mut docs = HashMap::new();
    for group in super::groups(ids) {
        let list = placeholders(engine_of(tx), 1, 1, group.len());
        let sql = format!("SELECT item_id, doc FROM search_docs WHERE item_id IN {list}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in group {
            query = query.bind(id.0);
        }
        docs.extend(query.fetch_all(&mut **tx).await?.iter().map(|row| (Id(row.get(0)), row.get::<i64, _>(1))));
    }
    Ok(docs)
}

async fn take_out(tx: &mut Transaction<'static, Any>, docs: &[i64]) -> Result<()> {
    let mut parts: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for doc in docs {
        parts.entry(part_of(engine_of(tx), *doc)).or_default().push(*doc);
    }
    for (part, docs) in &parts {
        for group in super::groups(docs) {
            let list = placeholders(engine_of(tx), 1, 1, group.len());
            let mut statements = vec![format!("DELETE FROM search_docs WHERE doc IN {list}")];
            if engine_of(tx) == Engine::Sqlite {
                statements.push(format!("DELETE FROM {} WHERE rowid IN {list}", words_table(*part)));
            }
            for statement in statements {
                let mut query = sqlx::query(AssertSqlSafe(statement));
                for doc in group {
                    query = query.bind(*doc);
                }
                query.execute(&mut **tx).await?;
            }
        }
    }
    Ok(())
}

/// Numbers of one part, from the one to before the other.
#[derive(Clone, Copy, Debug)]
struct Span {
    part: i64,
    from: i64,
    to: i64,
}

/// Where documents before the number `before` are of which some may pass the filter; the newest first.
async fn spans(tx: &mut Transaction<'static, Any>, filter: &SearchFilter, before: i64) -> Result<Vec<Span>> {
    let sql = format!(
        "SELECT {0}, min(block), max(block) FROM search_blocks WHERE latest >= $1 AND earliest < $2 AND block <= $3 \
         GROUP BY {0} ORDER BY 1 DESC",
        part_of_block(engine_of(tx))
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(filter.since.map_or(i64::MIN, millis))
        .bind(filter.until.map_or(i64::MAX, millis))
        .bind((before - 1) >> BLOCK_BITS)
        .fetch_all(&mut **tx)
        .await?;
    let span = |row: &sqlx::any::AnyRow| {
        let (first, last): (i64, i64) = (row.get(1), row.get(2));
        Span { part: row.get(0), from: first << BLOCK_BITS, to: before.min((last + 1) << BLOCK_BITS) }
    };
    Ok(rows.iter().map(span).collect())
}

/// Asks the engine for candidates in these spans, which are neighbours: up to `limit` of them, the newest first.
async fn ask(
    tx: &mut Transaction<'static, Any>,
    wanted: &Candidates,
    spans: &[Span],
    limit: usize,
    ranked: bool,
) -> Result<Vec<Found>> {
    let (Some(newest), Some(oldest)) = (spans.first(), spans.last()) else { return Ok(Vec::new()) };
    let range = "doc < $2 AND doc >= $3 ORDER BY doc DESC LIMIT $4";
    let (sql, question) = match engine_of(tx) {
        Engine::Sqlite => {
            let table = words_table(newest.part);
            let rank = if ranked {
                format!("bm25({table}, 3.0, 1.0, 1.0)")
            } else {
                "CAST(0 AS DOUBLE PRECISION)".to_string()
            };
            let range = range.replace("doc", "rowid");
            (format!("SELECT rowid, {rank} FROM {table} WHERE {table} MATCH $1 AND {range}"), fts5(wanted))
        }
        Engine::Postgres => {
            let mut sql = format!(
                "WITH held AS MATERIALIZED (SELECT doc FROM search_docs WHERE words @@ CAST($1 AS TSQUERY)), \
                 newest AS MATERIALIZED (SELECT doc FROM held WHERE {range}) "
            );
            sql += if ranked {
                "SELECT d.doc, CAST(-ts_rank(d.words, CAST($1 AS TSQUERY), 1) AS DOUBLE PRECISION) * $5 \
                 FROM newest n JOIN search_docs d ON d.doc = n.doc ORDER BY 1 DESC"
            } else {
                "SELECT doc, CAST(0 AS DOUBLE PRECISION) FROM newest ORDER BY 1 DESC"
            };
            (sql, tsquery(wanted, spans.iter().map(|span| span.part)))
        }
    };
    // PostgreSQL divides by how many words were asked for, those of all parts.
    let words = question.matches('\'').count() as f64 / 2.0;
    let is_weighed = ranked && engine_of(tx) == Engine::Postgres;
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(question).bind(newest.to).bind(oldest.from).bind(limit as i64);
    if is_weighed {
        query = query.bind(words);
    }
    let rows = query.fetch_all(&mut **tx).await?;
    Ok(rows.iter().map(|row| Found { doc: row.get(0), rank: -row.get::<f64, _>(1) }).collect())
}

impl Store {
    /// Candidates before the number `before` (`i64::MAX`: from the newest on), about `look_at` of them. Those that cannot pass the filter for
    /// their time are left out, as far as that is cheap. `ranked`: with their rank, which costs more.
    pub async fn candidates(
        &self,
        wanted: &Candidates,
        filter: &SearchFilter,
        before: i64,
        look_at: usize,
        ranked: bool,
    ) -> Result<Window> {
        // What is asked in several steps is of one moment.
        let mut tx = self.reader.begin_with("BEGIN").await?;
        if self.engine == Engine::Postgres {
            // It guesses badly how many rows hold a word, and would rather go through all rows for one that few hold.
            sqlx::query("SET LOCAL enable_seqscan = off").execute(&mut *tx).await?;
        }
        let spans = spans(&mut tx, filter, before).await?;
        let wanted = &filter.source.iter().fold(wanted.clone(), |wanted, source| wanted.of_source(source));
        let fewer = wanted.without_prefixes();
        let mut wanted = wanted;
        if let Some(those) = fewer.as_ref().filter(|_| ranked) {
            // Ranks are comparable where all parts are asked for the same.
            let mut left = FEW_RANKED + 1;
            let at_once = if self.engine == Engine::Postgres { 64 } else { 1 };
            for spans in spans.chunks(at_once) {
                left -= ask(&mut tx, those, spans, left, false).await?.len();
                if left == 0 {
                    break;
                }
            }
            if left > 0 {
                wanted = those;
            }
        }
        let fewer = fewer.as_ref().filter(|_| !ranked);
        let mut found = Vec::new();
        let mut ahead = &spans[..];
        // Where one statement asks for several parts, a rare word takes few statements.
        let at_once = if self.engine == Engine::Postgres { 2 } else { 1 };
        let mut count = 1;
        while !ahead.is_empty() && found.len() < look_at {
            let (now, later) = ahead.split_at(count.min(ahead.len()));
            let few = match fewer {
                Some(fewer) => ask(&mut tx, fewer, now, FEW + 1, false).await?,
                None => Vec::new(),
            };
            found.extend(match fewer {
                Some(_) if few.len() <= FEW => few,
                _ => {
                    let mut found = ask(&mut tx, wanted, now, look_at - found.len(), ranked).await?;
                    if ranked && self.engine == Engine::Sqlite {
                        let best = found.iter().map(|found| found.rank).fold(f64::MIN_POSITIVE, f64::max);
                        found.iter_mut().for_each(|found| found.rank /= best);
                    }
                    found
                }
            });
            (ahead, count) = (later, count * at_once);
        }
        tx.commit().await?;
        let next = found.last().filter(|_| found.len() >= look_at).map(|found| found.doc);
        Ok(Window { found, next })
    }

    /// The documents of all items that hits of the filter's are about, the newest first; `None` when they are not asked for, or are more
    /// than `most`. So few are read faster than what is looked for is gathered.
    pub async fn docs_of_hits(&self, filter: &SearchFilter, most: usize) -> Result<Option<Vec<i64>>> {
        if !filter.hits && filter.profile.is_none() {
            return Ok(None);
        }
        let which = if filter.profile.is_some() { "profile = $1" } else { "shadow = 0 AND $1 = $1" };
        let sql = format!("SELECT DISTINCT item_id FROM hits WHERE {which} LIMIT $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(filter.profile.clone().unwrap_or_default());
        let items = query.bind(most as i64 + 1).fetch_all(&self.reader).await?;
        if items.len() > most {
            return Ok(None);
        }
        // Numbers of our own.
        let items: Vec<String> = items.iter().map(|row| row.get::<i64, _>(0).to_string()).collect();
        if items.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let sql = format!("SELECT doc FROM search_docs WHERE item_id IN ({}) ORDER BY doc DESC", items.join(","));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
    }

    /// Which items documents are that pass the filter, in the order of these.
    pub async fn passing(&self, docs: &[i64], filter: &SearchFilter) -> Result<Vec<Id>> {
        let mut wheres = String::new();
        if filter.hits || filter.profile.is_some() {
            wheres += " AND EXISTS (SELECT 1 FROM hits h WHERE h.item_id = d.item_id AND ";
            wheres += if filter.profile.is_some() { "h.profile = $1)" } else { "h.shadow = 0 AND $1 = $1)" };
        } else {
            wheres += " AND $1 = $1";
        }
        let filtered = filter.source.is_some() || filter.since.is_some() || filter.until.is_some();
        let join = if filtered { "JOIN items i ON i.id = d.item_id" } else { "" };
        if filtered {
            wheres += " AND i.first_seen_at >= $2 AND i.first_seen_at < $3 AND ($4 = '' OR i.source = $4)";
        }
        let mut passing = HashMap::new();
        for group in docs.chunks(500) {
            // Numbers of our own.
            let list: Vec<String> = group.iter().map(i64::to_string).collect();
            let sql = format!(
                "SELECT d.doc, d.item_id FROM search_docs d {join} WHERE d.doc IN ({}){wheres}",
                list.join(",")
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(filter.profile.clone().unwrap_or_default());
            if filtered {
                query = query
                    .bind(filter.since.map_or(i64::MIN, millis))
                    .bind(filter.until.map_or(i64::MAX, millis))
                    .bind(filter.source.clone().unwrap_or_default());
            }
            let rows = query.persistent(false).fetch_all(&self.reader).await?;
            passing.extend(rows.iter().map(|row| (row.get::<i64, _>(0), Id(row.get(1)))));
        }
        Ok(docs.iter().filter_map(|doc| passing.get(doc).copied()).collect())
    }

    /// Among how many candidates, the newest, the best are looked for: to rank them takes PostgreSQL longer.
    pub fn ranks(&self) -> usize {
        if self.engine == Engine::Sqlite { 5_000 } else { 1_000 }
    }

    /// What was first seen after this has a number from this one on.
    pub async fn seen_below(&self, doc: i64) -> Result<Option<Timestamp>> {
        let sql = "SELECT max(latest) FROM search_blocks WHERE block <= $1";
        let row = sqlx::query(sql).bind(doc >> BLOCK_BITS).fetch_one(&self.reader).await?;
        Ok(row.get::<Option<i64>, _>(0).map(super::some_time))
    }

    /// How far the index is.
    pub async fn index_state(&self) -> Result<IndexState> {
        let Some((before, _)) = self.index_lacks().await? else { return Ok(IndexState::Whole) };
        Ok(IndexState::Lacks { before: Timestamp::from_millisecond(before).unwrap_or(Timestamp::MAX) })
    }

    async fn index_lacks(&self) -> Result<Option<(i64, i64)>> {
        Ok(self.noted(LACKS).await?.and_then(|note| lacks(&note)))
    }

    /// Indexes up to `limit` items that are not in the index, the newest first. Answers how many, and how far the index is.
    pub async fn index_more(&self, limit: usize) -> Result<(usize, IndexState)> {
        if self.index_lacks().await?.is_none() {
            return Ok((0, IndexState::Whole));
        }
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        // As it is now: somebody may have forgotten the index meanwhile.
        let note = sqlx::query("SELECT value FROM notes WHERE name = $1").bind(LACKS).fetch_optional(&mut *tx).await?;
        let Some((before, id)) = note.and_then(|row| lacks(row.get(0))) else { return Ok((0, IndexState::Whole)) };
        let sql = format!(
            "SELECT {COLUMNS} FROM items i WHERE (i.first_seen_at, i.id) < ($1, $2) \
             ORDER BY i.first_seen_at DESC, i.id DESC LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(before).bind(id).bind(limit as i64).fetch_all(&mut *tx).await?;
        let items: Vec<Item> = rows.iter().map(item).collect();
        // What came in since, or was read by another watcher at the same time, is in the index as it is now.
        let known = docs_of(&mut tx, &items.iter().map(|item| item.id).collect::<Vec<Id>>()).await?;
        let new: Vec<&Item> =
            items.iter().filter(|item| !known.contains_key(&item.id) && !is_tombstone(item)).collect();
        index(&mut tx, &new, Numbered::Downwards).await?;
        let state = match items.last().filter(|_| items.len() == limit) {
            Some(last) => {
                sqlx::query("UPDATE notes SET value = $1 WHERE name = $2")
                    .bind(format!("{} {}", millis(last.first_seen_at), last.id.0))
                    .bind(LACKS)
                    .execute(&mut *tx)
                    .await?;
                IndexState::Lacks { before: last.first_seen_at }
            }
            None => {
                sqlx::query("DELETE FROM notes WHERE name = $1").bind(LACKS).execute(&mut *tx).await?;
                IndexState::Whole
            }
        };
        tx.commit().await?;
        Ok((new.len(), state))
    }

    /// Forgets the index, as when it is not wanted; when it is wanted again it is made anew.
    pub async fn drop_index(&self) -> Result<()> {
        let nothing = format!("{} 0", i64::MAX);
        if self.noted(LACKS).await?.as_ref() == Some(&nothing) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        if self.engine == Engine::Postgres {
            // It takes as long as it takes.
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
            tx.lift_limit();
        }
        lock(&mut tx).await?;
        if self.engine == Engine::Sqlite {
            let sql = format!("SELECT DISTINCT {} FROM search_blocks", part_of_block(self.engine));
            for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *tx).await? {
                drop_part(&mut tx, row.get(0)).await?;
            }
        }
        for table in ["search_docs", "search_blocks"] {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *tx).await?;
        }
        sqlx::query(
            "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(LACKS)
        .bind(nothing)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// How many items are in the index.
    pub async fn indexed_count(&self) -> Result<i64> {
        Ok(sqlx::query("SELECT count(*) FROM search_docs").fetch_one(&self.reader).await?.get(0))
    }
}

/// What the note says: milliseconds and identity.
fn lacks(note: &str) -> Option<(i64, i64)> {
    let (before, id) = note.split_once(' ')?;
    Some((before.parse().ok()?, id.parse().ok()?))
}

/// Nothing is left of it to find.
fn is_tombstone(item: &Item) -> bool {
    item.title.is_empty() && item.summary.is_empty() && item.content.is_empty() && item.article.is_empty()
}
