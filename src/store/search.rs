//! Search over everything stored: an index of each item's words ([`crate::matcher::index`]), written in the transaction that stores
//! the item. It answers with candidates; what they really hold is for [`crate::matcher::search`] to say.
//!
//! Here the engines differ: SQLite has FTS5, which keeps the places of words, PostgreSQL a `tsvector` without places. Both are asked
//! for the same words. Items are numbered as they come, so that the newest are found first without sorting.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, AssertSqlSafe, Row};

use super::items::{COLUMNS, item};
use super::{Engine, Result, Store, Transaction, engine_of, millis, placeholders, write_rows};
use crate::matcher::index::{Candidates, IndexWord, IndexedText};
use crate::model::{CANARY, Id, Item};

/// The name under which is noted how far an index that is made afterwards has come: no item that was first seen before is in it
/// (milliseconds and identity). Without a note it is whole.
pub(super) const LACKS: &str = "search index lacks items before";
/// Where the numbers begin.
const FIRST_DOC: i64 = 1 << 40;
/// An item may be stored so long after the time at which it was first seen.
const STORED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Which items are wanted, beside what they say.
#[derive(Clone, Debug, Default)]
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

/// An item that may be what is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its number: the higher, the newer.
    pub doc: i64,
    /// The item.
    pub item: Id,
    /// How much of what is looked for it holds, by the index; comparable within one answer only.
    pub rank: f64,
}

/// A part of the candidates.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Those that pass the filter, the newest first.
    pub found: Vec<Found>,
    /// How many were looked at.
    pub looked_at: usize,
    /// Where to go on; `None`: there are no more.
    pub next: Option<i64>,
}

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// All items are in it.
    Whole,
    /// Items that were first seen before are not in it yet.
    Lacks {
        /// First seen before.
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

/// Puts items into the index, or anew where they are in it.
pub(super) async fn index(tx: &mut Transaction<'static, Any>, items: &[&Item], numbered: Numbered) -> Result<()> {
    let mut items: Vec<&Item> = items.iter().copied().filter(|item| item.source != CANARY).collect();
    // An item that comes twice in one batch is one.
    let mut seen = std::collections::HashSet::new();
    items.retain(|item| seen.insert(item.id));
    if items.is_empty() {
        return Ok(());
    }
    let engine = engine_of(tx);
    if engine == Engine::Postgres {
        // Two watchers must not give one number twice.
        sqlx::query("SELECT pg_advisory_xact_lock(5771193)").execute(&mut **tx).await?;
    }
    let known = docs_of(tx, &items.iter().map(|item| item.id).collect::<Vec<Id>>()).await?;
    let (order, step) = if numbered == Numbered::Upwards { ("max", 1) } else { ("min", -1) };
    let sql = format!("SELECT coalesce({order}(doc), {FIRST_DOC}) FROM search_docs");
    let mut last: i64 = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut **tx).await?.get(0);
    let mut rows = Vec::with_capacity(items.len());
    for item in items {
        let doc = known.get(&item.id).copied().unwrap_or_else(|| {
            last += step;
            last
        });
        rows.push((doc, item.id, IndexedText::of(item)));
    }
    forget_docs(tx, &known.values().copied().collect::<Vec<i64>>()).await?;
    match engine {
        Engine::Sqlite => {
            let head = "INSERT INTO search_docs (doc, item_id)";
            write_rows(tx, head, "", 2, &rows, |query, (doc, item, _)| query.bind(*doc).bind(item.0)).await?;
            let head = "INSERT INTO search_words (rowid, title, body, beginnings)";
            write_rows(tx, head, "", 4, &rows, |query, (doc, _, text)| {
                query.bind(*doc).bind(text.title.clone()).bind(text.body.clone()).bind(text.beginnings.clone())
            })
            .await?;
        }
        Engine::Postgres => {
            for (doc, item, text) in &rows {
                sqlx::query("INSERT INTO search_docs (doc, item_id, words) VALUES ($1, $2, CAST($3 AS TSVECTOR))")
                    .bind(*doc)
                    .bind(item.0)
                    .bind(vector(text))
                    .execute(&mut **tx)
                    .await?;
            }
        }
    }
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

/// Takes items out of the index.
pub(super) async fn forget(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<()> {
    let docs: Vec<i64> = docs_of(tx, ids).await?.into_values().collect();
    forget_docs(tx, &docs).await
}

async fn docs_of(tx: &mut Transaction<'static, Any>, ids: &[Id]) -> Result<std::collections::HashMap<Id, i64>> {
    let mut docs = std::collections::HashMap::new();
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

async fn forget_docs(tx: &mut Transaction<'static, Any>, docs: &[i64]) -> Result<()> {
    for group in super::groups(docs) {
        let list = placeholders(engine_of(tx), 1, 1, group.len());
        let mut statements = vec![format!("DELETE FROM search_docs WHERE doc IN {list}")];
        if engine_of(tx) == Engine::Sqlite {
            statements.push(format!("DELETE FROM search_words WHERE rowid IN {list}"));
        }
        for statement in statements {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for doc in group {
                query = query.bind(*doc);
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// The words of an item as PostgreSQL reads them; its vectors hold less than 1 MB.
fn vector(text: &IndexedText) -> String {
    const BYTES_MAX: usize = 600_000;
    let mut words: Vec<&str> = text.title.split(' ').chain(text.body.split(' ')).collect();
    let mut bytes = 0;
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| {
        let kept = !word.is_empty() && bytes < BYTES_MAX && seen.insert(*word);
        bytes += if kept { word.len() } else { 0 };
        kept
    });
    let mut vector = String::with_capacity(bytes + 3 * words.len());
    for word in words {
        // Words are letters and digits.
        vector.push('\'');
        vector.push_str(word);
        vector.push_str("' ");
    }
    vector
}

/// What FTS5 is asked.
fn fts5(candidates: &Candidates) -> String {
    match candidates {
        Candidates::Words { words, in_title: false } if words.len() == 1 && words[0].is_beginning() => {
            format!("(beginnings : \"{}\")", words[0].text)
        }
        Candidates::Words { words, in_title } => {
            // Only the last word of a phrase may go on.
            let mut phrases: Vec<String> = Vec::new();
            for phrase in words.split_inclusive(|word| word.is_prefix) {
                let text: Vec<&str> = phrase.iter().map(|word| word.text.as_str()).collect();
                let open = if phrase.last().is_some_and(|word| word.is_prefix) { " *" } else { "" };
                let part = if *in_title { "title : " } else { "{title body} : " };
                phrases.push(format!("{part}\"{}\"{open}", text.join(" ")));
            }
            format!("({})", phrases.join(" AND "))
        }
        Candidates::All(parts) => format!("({})", parts.iter().map(fts5).collect::<Vec<_>>().join(" AND ")),
        Candidates::Any(parts) => format!("({})", parts.iter().map(fts5).collect::<Vec<_>>().join(" OR ")),
        Candidates::Near(parts, words) => near(parts, *words),
    }
}

/// Things near one another, for FTS5: it looks within the title or within the text; where one stands in the title and another in the
/// text, how far apart is left to the matcher. So it is with things of too many names.
fn near(parts: &[Candidates], words: u32) -> String {
    const COMBINATIONS_MAX: usize = 32;
    let all = || fts5(&Candidates::All(parts.to_vec()));
    let mut combinations = vec![(String::new(), 0)];
    for part in parts {
        let phrases = match part {
            Candidates::Any(phrases) => phrases.as_slice(),
            phrase => std::slice::from_ref(phrase),
        };
        let mut longer = Vec::new();
        for phrase in phrases {
            let Candidates::Words { words, in_title: false } = phrase else { return all() };
            // A word that may go on within a phrase takes it apart.
            if words.iter().rev().skip(1).any(|word| word.is_prefix) {
                return all();
            }
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let open = if words.last().is_some_and(|word| word.is_prefix) { " *" } else { "" };
            let text = format!("\"{}\"{open}", text.join(" "));
            longer
                .extend(combinations.iter().map(|(before, length)| (format!("{before} {text}"), length + words.len())));
        }
        if longer.len() > COMBINATIONS_MAX {
            return all();
        }
        combinations = longer;
    }
    let mut ways: Vec<String> = combinations
        .iter()
        // Each is so near to the first: of three the outermost are twice as far apart, and the one between them takes room.
        .map(|(phrases, length)| {
            format!("{{title body}} : NEAR({phrases}, {})", words as usize * (parts.len() - 1).min(2) + length)
        })
        .collect();
    for (number, part) in parts.iter().enumerate() {
        let mut placed = parts.to_vec();
        placed[number] = part.in_title();
        ways.push(fts5(&Candidates::All(placed)));
    }
    format!("({})", ways.join(" OR "))
}

/// What PostgreSQL is asked.
fn tsquery(candidates: &Candidates) -> String {
    let word = |word: &IndexWord| format!("'{}'{}", word.text, if word.is_prefix { ":*" } else { "" });
    match candidates {
        Candidates::Words { words, .. } => format!("({})", words.iter().map(word).collect::<Vec<_>>().join(" & ")),
        Candidates::All(parts) | Candidates::Near(parts, _) => {
            format!("({})", parts.iter().map(tsquery).collect::<Vec<_>>().join(" & "))
        }
        Candidates::Any(parts) => format!("({})", parts.iter().map(tsquery).collect::<Vec<_>>().join(" | ")),
    }
}

impl Store {
    /// Candidates before the number `before` (`i64::MAX`: from the newest on), of which `look_at` are held against the filter. `ranked`:
    /// with their rank, which costs more.
    pub async fn candidates(
        &self,
        wanted: &Candidates,
        filter: &SearchFilter,
        before: i64,
        look_at: usize,
        ranked: bool,
    ) -> Result<Window> {
        let (from, to) = self.doc_range(filter).await?;
        let (table, doc, rank, query, is_in) = match self.engine {
            Engine::Sqlite => {
                ("search_words", "rowid", "bm25(search_words, 3.0, 1.0, 1.0)", fts5(wanted), "search_words MATCH $1")
            }
            Engine::Postgres => (
                "search_docs",
                "doc",
                "CAST(-ts_rank(words, CAST($1 AS TSQUERY), 1) AS DOUBLE PRECISION)",
                tsquery(wanted),
                "words @@ CAST($1 AS TSQUERY)",
            ),
        };
        let rank = if ranked { rank } else { "CAST(0 AS DOUBLE PRECISION)" };
        let sql = format!(
            "SELECT {doc}, {rank} FROM {table} WHERE {is_in} AND {doc} < $2 AND {doc} >= $3 ORDER BY {doc} DESC LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(query)
            .bind(before.min(to))
            .bind(from)
            .bind(look_at as i64)
            .fetch_all(&self.reader)
            .await?;
        let looked_at = rows.len();
        let ranks: std::collections::BTreeMap<i64, f64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let next = if looked_at < look_at { None } else { ranks.keys().next().copied() };
        let docs: Vec<i64> = ranks.keys().rev().copied().collect();
        let mut found = Vec::new();
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
            found.extend(query.fetch_all(&self.reader).await?.iter().map(|row| {
                let doc: i64 = row.get(0);
                Found { doc, item: Id(row.get(1)), rank: -ranks.get(&doc).copied().unwrap_or_default() }
            }));
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.doc));
        Ok(Window { found, looked_at, next })
    }

    /// Between which numbers items of the filter's time stand: from, and to before.
    async fn doc_range(&self, filter: &SearchFilter) -> Result<(i64, i64)> {
        let (mut from, mut to) = (i64::MIN, i64::MAX);
        if let Some(since) = filter.since {
            let sql = "SELECT d.doc FROM items i JOIN search_docs d ON d.item_id = i.id \
                       WHERE i.first_seen_at < $1 AND i.first_seen_at >= $2 ORDER BY i.first_seen_at DESC, i.id DESC LIMIT 1";
            // Without an item of the hours before there is no limit, which is right too.
            let earlier = since - STORED_WITHIN;
            let row = sqlx::query(sql).bind(millis(earlier)).bind(millis(earlier - STORED_WITHIN * 24));
            from = row.fetch_optional(&self.reader).await?.map_or(from, |row| row.get(0));
        }
        if let Some(until) = filter.until {
            let sql = "SELECT d.doc FROM items i JOIN search_docs d ON d.item_id = i.id \
                       WHERE i.first_seen_at > $1 AND i.first_seen_at < $2 ORDER BY i.first_seen_at, i.id LIMIT 1";
            let later = until + STORED_WITHIN;
            let row = sqlx::query(sql).bind(millis(later)).bind(millis(later + STORED_WITHIN * 24));
            to = row.fetch_optional(&self.reader).await?.map_or(to, |row| row.get(0));
        }
        Ok((from, to))
    }

    /// When the item of this number was first seen.
    pub async fn first_seen(&self, doc: i64) -> Result<Option<Timestamp>> {
        let sql = "SELECT i.first_seen_at FROM search_docs d JOIN items i ON i.id = d.item_id WHERE d.doc = $1";
        let row = sqlx::query(sql).bind(doc).fetch_optional(&self.reader).await?;
        Ok(row.map(|row| super::some_time(row.get(0))))
    }

    /// How far the index is.
    pub async fn index_state(&self) -> Result<IndexState> {
        let Some((before, _)) = self.index_lacks().await? else { return Ok(IndexState::Whole) };
        Ok(IndexState::Lacks { before: Timestamp::from_millisecond(before).unwrap_or(Timestamp::MAX) })
    }

    async fn index_lacks(&self) -> Result<Option<(i64, i64)>> {
        let note = self.noted(LACKS).await?;
        Ok(note.and_then(|note| {
            let (before, id) = note.split_once(' ')?;
            Some((before.parse().ok()?, id.parse().ok()?))
        }))
    }

    /// Indexes up to `limit` items that are not in the index, the newest first. Answers how many, and how far the index is.
    pub async fn index_more(&self, limit: usize) -> Result<(usize, IndexState)> {
        let Some((before, id)) = self.index_lacks().await? else { return Ok((0, IndexState::Whole)) };
        let mut tx = self.begin().await?;
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
        let mut statements = vec!["DELETE FROM search_docs"];
        if self.engine == Engine::Postgres {
            // It takes as long as it takes.
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
            tx.lift_limit();
        }
        if self.engine == Engine::Sqlite {
            statements.push("INSERT INTO search_words (search_words) VALUES ('delete-all')");
        }
        for statement in statements {
            sqlx::query(statement).execute(&mut *tx).await?;
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

/// Nothing is left of it to find.
fn is_tombstone(item: &Item) -> bool {
    item.title.is_empty() && item.summary.is_empty() && item.content.is_empty() && item.article.is_empty()
}
