//! What is forgotten after a while, in small steps beside everything else.
//!
//! An item's row stays for ever: it is the tombstone that keeps the item from coming back as new. Only its texts go, those of misses
//! before those of hits. What analysts said is never forgotten. Of evidence the records stay with their texts; the bytes of documents
//! go with the hits they prove, which is recorded. Documents that nothing refers to are forgotten by `Store::forget_captures`.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, AssertSqlSafe, Row};

use super::{Engine, Result, Store, Transaction, evidence, millis, placeholders, search, some_time};
use crate::model::Id;
use crate::plain;

/// Name of the note of when everything was last seen through.
const DONE_NOTE: &str = "retention seen through at";
/// Names of the notes of how far the texts of misses and of hits are forgotten: milliseconds and identity of an item.
const PASSES: [&str; 2] = ["texts of misses forgotten until", "texts of hits forgotten until"];
/// Documents that one record names as let go.
const DOCUMENTS_MAX: usize = 500;
/// How often everything is seen through.
const EVERY: SignedDuration = SignedDuration::from_hours(24);

/// What is older is forgotten; `None`: it is kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutoffs {
    /// Texts of items that no profile found and nobody judged, and scores below the line.
    pub misses: Option<Timestamp>,
    /// Hits with the texts of their items and the bytes of their documents, messages about them, and the days of health charts.
    pub hits: Option<Timestamp>,
}

/// What was forgotten, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Items whose texts went.
    pub texts: u64,
    /// Hits.
    pub hits: u64,
    /// Scores below the line.
    pub scores: u64,
    /// Messages that were sent, given up or discarded.
    pub messages: u64,
    /// Days of health, and other notes of the past.
    pub records: u64,
    /// Documents of hits whose bytes went.
    pub documents: u64,
}

impl Forgotten {
    /// Nothing at all.
    pub fn is_nothing(&self) -> bool {
        *self == Forgotten::default()
    }

    /// "3 texts, 1 hit"; "nothing".
    pub fn in_words(&self) -> String {
        let parts: Vec<String> = [
            (self.texts, "text"),
            (self.hits, "hit"),
            (self.scores, "score"),
            (self.messages, "message"),
            (self.records, "record"),
            (self.documents, "document"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| plain::counted(count as usize, noun))
        .collect();
        if parts.is_empty() { "nothing".to_string() } else { parts.join(", ") }
    }

    /// Both.
    pub fn and(self, other: Forgotten) -> Forgotten {
        Forgotten {
            texts: self.texts + other.texts,
            hits: self.hits + other.hits,
            scores: self.scores + other.scores,
            messages: self.messages + other.messages,
            records: self.records + other.records,
            documents: self.documents + other.documents,
        }
    }
}

/// An item that somebody may still ask about as long as about a hit. For EXISTS PostgreSQL would read all hits at each step, to have
/// them at hand.
const MATTERS: &str = "((SELECT 1 FROM hits h WHERE h.item_id = i.id LIMIT 1) IS NOT NULL \
                       OR (SELECT 1 FROM verdicts v WHERE v.item_id = i.id LIMIT 1) IS NOT NULL \
                       OR (SELECT 1 FROM story_decisions d WHERE d.item_id = i.id LIMIT 1) IS NOT NULL)";
const HAS_TEXT: &str = "(i.title <> '' OR i.summary <> '' OR i.content <> '' OR i.article <> '')";
/// Hits of the past that no message still waits for.
const OLD_HITS: &str = "h.found_at < $1 AND NOT EXISTS (SELECT 1 FROM outbox_hits l JOIN outbox o ON o.id = l.outbox_id \
                        WHERE l.item_id = h.item_id AND l.profile = h.profile AND o.state = 'waiting')";
const OLD_MESSAGES: &str = "o.state <> 'waiting' AND o.created_at < $1";
const OLD_SCORES: &str = "s.scored_at < $1";
/// Tables with what happened at a time, in which nothing looks for it once it is so old.
const OLD_RECORDS: &[(&str, &str, i64)] =
    &[("health_days", "day < $1", 86_400_000), ("muted_hits", "found_at < $1", 1), ("answers", "read_at < $1", 1)];

impl Store {
    /// It is time to see everything through again.
    pub async fn retention_due(&self, now: Timestamp) -> Result<bool> {
        let done: Option<Timestamp> = self.noted(DONE_NOTE).await?.and_then(|at| at.parse().ok());
        // One from the future was noted before the clock was set back.
        Ok(done.is_none_or(|done| now.duration_since(done) >= EVERY || done > now))
    }

    /// Everything was seen through.
    pub async fn retention_done(&self, now: Timestamp) -> Result<()> {
        self.note(DONE_NOTE, &now.to_string()).await
    }

    /// Forgets up to `limit` rows of each kind in one transaction. Answers what, and whether that was all.
    pub async fn forget_old(&self, cutoffs: &Cutoffs, limit: usize, now: Timestamp) -> Result<(Forgotten, bool)> {
        let mut forgotten = Forgotten::default();
        let mut is_all = true;
        if let Some(cutoff) = cutoffs.hits {
            // By itself: it holds up whoever stores documents or records hits.
            let mut tx = self.begin().await?;
            let limit = limit.min(DOCUMENTS_MAX);
            forgotten.documents = evidence::drop_documents(&mut tx, cutoff, limit, now).await?;
            is_all &= forgotten.documents < limit as u64;
            tx.commit().await?;
        }
        let mut tx = self.begin().await?;
        for (pass, cutoff) in [cutoffs.misses, cutoffs.hits].into_iter().enumerate() {
            let Some(cutoff) = cutoff else { continue };
            let (texts, looked_at) = forget_texts(&mut tx, pass, cutoff, limit).await?;
            forgotten.texts += texts;
            is_all &= looked_at < limit;
        }
        if let Some(cutoff) = cutoffs.hits {
            let sql = format!(
                "DELETE FROM hits WHERE (item_id, profile) IN (SELECT h.item_id, h.profile FROM hits h WHERE {OLD_HITS} LIMIT $2)"
            );
            let done =
                sqlx::query(AssertSqlSafe(sql)).bind(millis(cutoff)).bind(limit as i64).execute(&mut *tx).await?;
            forgotten.hits = done.rows_affected();
            forgotten.messages = forget_messages(&mut tx, cutoff, limit).await?;
        }
        if let Some(cutoff) = cutoffs.misses {
            forgotten.scores = forget_scores(&mut tx, cutoff, limit).await?;
        }
        is_all &= [forgotten.hits, forgotten.scores, forgotten.messages].iter().all(|rows| *rows < limit as u64);
        if let Some(cutoff) = cutoffs.hits {
            for (table, old, unit) in OLD_RECORDS {
                let sql = format!("DELETE FROM {table} WHERE {old}");
                let done = sqlx::query(AssertSqlSafe(sql)).bind(millis(cutoff) / unit).execute(&mut *tx).await?;
                forgotten.records += done.rows_affected();
            }
        }
        tx.commit().await?;
        Ok((forgotten, is_all))
    }

    /// What would be forgotten.
    pub async fn count_old(&self, cutoffs: &Cutoffs) -> Result<Forgotten> {
        let misses = cutoffs.misses.map_or(i64::MIN, millis);
        let hits = cutoffs.hits.map_or(i64::MIN, millis);
        let count = async |sql: String, cutoff: i64| -> Result<u64> {
            let row = sqlx::query(AssertSqlSafe(sql)).bind(cutoff).fetch_one(&self.reader).await?;
            Ok(row.get::<i64, _>(0) as u64)
        };
        // What matters goes by the later cutoff, everything by the earlier.
        let text = |more: &str| format!("SELECT count(*) FROM items i WHERE i.first_seen_at < $1 AND {HAS_TEXT}{more}");
        let texts = if misses >= hits {
            count(text(&format!(" AND NOT {MATTERS}")), misses).await?
                + count(text(&format!(" AND {MATTERS}")), hits).await?
        } else {
            count(text(""), hits).await?
        };
        let rows = |table: &str, old: &str| format!("SELECT count(*) FROM {table} WHERE {old}");
        let mut records = 0;
        for (table, old, unit) in OLD_RECORDS {
            records += count(rows(table, old), hits / unit).await?;
        }
        Ok(Forgotten {
            texts,
            hits: count(rows("hits h", OLD_HITS), hits).await?,
            scores: count(rows("scores s", OLD_SCORES), misses).await?,
            messages: count(rows("outbox o", OLD_MESSAGES), hits).await?,
            records,
            documents: count(rows("blobs b", evidence::OLD_DOCUMENTS), hits).await?,
        })
    }

    /// Bytes of the store, and bytes within it that are free and will be used again; as far as the engine says so.
    pub async fn size(&self) -> Result<(i64, i64)> {
        let number =
            async |sql: &'static str| -> Result<i64> { Ok(sqlx::query(sql).fetch_one(&self.reader).await?.get(0)) };
        match self.engine {
            Engine::Sqlite => {
                let page = number("PRAGMA page_size").await?;
                Ok((page * number("PRAGMA page_count").await?, page * number("PRAGMA freelist_count").await?))
            }
            Engine::Postgres => Ok((
                number(
                    "SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class c \
                     WHERE c.relkind = 'r' AND c.relnamespace = CAST(current_schema() AS REGNAMESPACE)",
                )
                .await?,
                0,
            )),
        }
    }
}

/// The next items of a pass, the oldest first: their texts go. Answers how many, and how many were looked at.
async fn forget_texts(
    tx: &mut Transaction<'static, Any>,
    pass: usize,
    cutoff: Timestamp,
    limit: usize,
) -> Result<(u64, usize)> {
    let note =
        sqlx::query("SELECT value FROM notes WHERE name = $1").bind(PASSES[pass]).fetch_optional(&mut **tx).await?;
    let (seen, id): (i64, i64) = note
        .and_then(|row| {
            let note: String = row.get(0);
            let (seen, id) = note.split_once(' ')?;
            Some((seen.parse().ok()?, id.parse().ok()?))
        })
        .unwrap_or((i64::MIN, i64::MIN));
    let sql = format!(
        "SELECT i.id, i.first_seen_at, CASE WHEN {HAS_TEXT} THEN 1 ELSE 0 END, CASE WHEN {MATTERS} THEN 1 ELSE 0 END \
         FROM items i WHERE (i.first_seen_at, i.id) > ($1, $2) AND i.first_seen_at < $3 \
         ORDER BY i.first_seen_at, i.id LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(seen).bind(id).bind(millis(cutoff)).bind(limit as i64);
    let rows = rows.fetch_all(&mut **tx).await?;
    let Some(last) = rows.last() else { return Ok((0, 0)) };
    let reached = format!("{} {}", last.get::<i64, _>(1), last.get::<i64, _>(0));
    let is_old = |row: &&sqlx::any::AnyRow| {
        let number = |index| row.get::<i64, _>(index) == 1;
        number(2) && (pass == 1 || !number(3))
    };
    let ids: Vec<Id> = rows.iter().filter(is_old).map(|row| Id(row.get(0))).collect();
    empty_items(tx, &ids).await?;
    for group in super::groups(&ids) {
        let list = placeholders(super::engine_of(tx), 1, 1, group.len());
        let query = sqlx::query(AssertSqlSafe(format!("DELETE FROM unread_articles WHERE item_id IN {list}")));
        group.iter().fold(query, |query, id| query.bind(id.0)).execute(&mut **tx).await?;
    }
    // After the items, as who edits them does.
    search::forget(tx, &ids).await?;
    sqlx::query(
        "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(PASSES[pass])
    .bind(reached)
    .execute(&mut **tx)
    .await?;
    Ok((ids.len() as u64, rows.len()))
}

/// Takes the texts of items away.
async fn empty_items(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<()> {
    const EMPTY: &str =
        "UPDATE items SET title = '', summary = '', content = '', article = '', article_problem = '', publisher = ''";
    if super::engine_of(tx) == Engine::Sqlite {
        // Where a row has shrunk, SQLite keeps the room for that row's own neighbours, and new rows come to the end: nothing would be
        // used again. So the row goes to the end, too, and its old page becomes free.
        let sql = format!("{EMPTY}, rowid = (SELECT max(rowid) + 1 FROM items) WHERE id = $1");
        for id in ids {
            sqlx::query(AssertSqlSafe(sql.clone())).bind(id.0).execute(&mut **tx).await?;
        }
        return Ok(());
    }
    for group in super::groups(ids) {
        let list = placeholders(Engine::Postgres, 1, 1, group.len());
        let query = sqlx::query(AssertSqlSafe(format!("{EMPTY} WHERE id IN {list}")));
        group.iter().fold(query, |query, id| query.bind(id.0)).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Messages that are over go, with what they were about.
async fn forget_messages(tx: &mut Transaction<'static, Any>, cutoff: Timestamp, limit: usize) -> Result<u64> {
    let sql = format!(
        "DELETE FROM outbox WHERE id IN (SELECT o.id FROM outbox o WHERE {OLD_MESSAGES} LIMIT $2) RETURNING id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(millis(cutoff)).bind(limit as i64).fetch_all(&mut **tx).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    for group in super::groups(&ids) {
        let list = placeholders(super::engine_of(tx), 1, 1, group.len());
        for table in ["outbox_hits", "report_lines"] {
            let sql = format!("DELETE FROM {table} WHERE outbox_id IN {list}");
            let query = group.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(*id));
            query.execute(&mut **tx).await?;
        }
    }
    Ok(ids.len() as u64)
}

/// Scores go profile by profile, in the order of the table's key. Notes of each profile that had older ones that they are whole since
/// then only.
async fn forget_scores(tx: &mut Transaction<'static, Any>, cutoff: Timestamp, limit: usize) -> Result<u64> {
    let mut forgotten = 0;
    let mut after = String::new();
    while forgotten < limit as u64 {
        // The next name in the key: a list of all of them would be read from the whole table.
        let next = sqlx::query("SELECT min(profile) FROM scores WHERE profile > $1").bind(&after);
        let Some(profile) = next.fetch_one(&mut **tx).await?.get::<Option<String>, _>(0) else { break };
        let done = sqlx::query(
            "DELETE FROM scores WHERE (profile, scored_at, item_id) IN ( \
             SELECT s.profile, s.scored_at, s.item_id FROM scores s WHERE s.profile = $1 AND s.scored_at < $2 LIMIT $3)",
        );
        let done = done.bind(&profile).bind(millis(cutoff)).bind(limit as i64 - forgotten as i64);
        let rows = done.execute(&mut **tx).await?.rows_affected();
        if rows > 0 {
            super::scores::note_cut(tx, &profile, some_time(millis(cutoff))).await?;
        }
        forgotten += rows;
        after = profile;
    }
    Ok(forgotten)
}
