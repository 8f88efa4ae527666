//! What is wrong and was told, what the operator is to be told, and the item that newswatch sends through itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{Any, Row};

use super::items::{self, NewItem};
use super::{Result, Store, Transaction, millis, outbox, some_time, time, write_rows};
use crate::health::changes::Changes;
use crate::health::{Condition, Open};
use crate::model::{DeliveryKind, Id, OutboxRow, ReportLine};

/// Name of the store's note of when the sources were last held against their checks.
const STEP_NOTE: &str = "health looked at";
/// Name of the store's note on the item that is under way.
const CANARY_NOTE: &str = "self-test";
/// What was told once is remembered for so long.
const TOLD_DAYS: i64 = 60;

/// Something that happened once and is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What tells it from others; told before means told under all of these.
    pub keys: Vec<String>,
    /// What is said of it.
    pub line: ReportLine,
}

/// To whom the operator's messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportTo {
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
}

/// How sources did on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthDay {
    /// In days since 1970.
    pub day: i64,
    /// Sources configured.
    pub sources: i64,
    /// Read in the 24 h before it was last looked at.
    pub read: i64,
    /// Failing.
    pub failing: i64,
    /// Silent against their rhythm.
    pub silent: i64,
    /// That do otherwise than they used to.
    pub changed: i64,
    /// Items first seen in the 24 h before.
    pub items: i64,
}

/// The item that was last sent through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The item.
    pub item: Id,
    /// When it was stored.
    pub planted_at: Timestamp,
    /// The outbox row that it is to become.
    pub row: Id,
    /// How far it has come.
    pub stage: Stage,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The matcher has not scored it yet.
    Queued,
    /// The matcher scored it, and made no message of it.
    Unmatched,
    /// The channel has not taken it yet; why, when it was tried.
    Waiting(String),
    /// The channel took it then.
    Arrived(Timestamp),
    /// It was given up.
    Dead(String),
}

/// The self-test as the matcher found it.
#[derive(Clone, Debug)]
pub struct CanaryHit {
    /// The item.
    pub item: Id,
    /// Who is told.
    pub to: ReportTo,
    /// What.
    pub line: ReportLine,
    /// When it was found.
    pub found_at: Timestamp,
}

/// The outbox row that a self-test's item becomes.
pub fn canary_row(item: Id) -> Id {
    Id::of(&["self-test", &item.to_string()])
}

impl Store {
    /// What is open, by what it is about.
    pub async fn conditions(&self) -> Result<Vec<Open>> {
        let rows = sqlx::query(
            "SELECT about, condition, since, noticed_at, detail, advice FROM conditions ORDER BY about, condition",
        )
        .fetch_all(&self.reader)
        .await?;
        let open = |row: &sqlx::any::AnyRow| {
            Some(Open {
                about: row.get(0),
                // One that only a newer program knows is left to it.
                condition: Condition::from_stored(&row.get::<String, _>(1))?,
                since: some_time(row.get(2)),
                noticed_at: some_time(row.get(3)),
                detail: row.get(4),
                advice: row.get(5),
            })
        };
        Ok(rows.iter().filter_map(open).collect())
    }

    /// When the checks were last made, as [`Store::commit_health`] noted it; empty before the first time.
    pub async fn health_looked_at(&self) -> Result<String> {
        Ok(self.noted(STEP_NOTE).await?.unwrap_or_default())
    }

    /// Commits what the checks found: conditions that begin and end, events not told yet, and one message with all of their lines
    /// to each recipient, in one transaction. Of several watchers that look at once only one finds `looked_at` as it was and
    /// commits and is answered the lines that are told; `None` for the others.
    pub async fn commit_health(
        &self,
        looked_at: &str,
        changes: &Changes,
        events: &[Event],
        to: &[ReportTo],
        now: Timestamp,
    ) -> Result<Option<Vec<ReportLine>>> {
        let mut tx = self.begin().await?;
        let first = "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value \
                     WHERE notes.value = $3";
        let done = sqlx::query(first).bind(STEP_NOTE).bind(now.to_string()).bind(looked_at).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        for ended in &changes.ended {
            sqlx::query("DELETE FROM conditions WHERE about = $1 AND condition = $2")
                .bind(&ended.about)
                .bind(ended.condition.as_str())
                .execute(&mut *tx)
                .await?;
        }
        let head = "INSERT INTO conditions (about, condition, since, noticed_at, detail, advice)";
        write_rows(&mut tx, head, "ON CONFLICT (about, condition) DO NOTHING", 6, &changes.opened, |query, open| {
            query
                .bind(open.about.clone())
                .bind(open.condition.as_str())
                .bind(millis(open.since))
                .bind(millis(open.noticed_at))
                .bind(open.detail.clone())
                .bind(open.advice.clone())
        })
        .await?;
        let mut lines = changes.lines.clone();
        for event in events {
            let (head, tail) = ("INSERT INTO told (event, told_at)", "ON CONFLICT (event) DO NOTHING");
            let new =
                write_rows(&mut tx, head, tail, 2, &event.keys, |query, key| query.bind(key.clone()).bind(millis(now)));
            if new.await? > 0 {
                lines.push(event.line.clone());
            }
        }
        for to in to {
            report(&mut tx, to, &lines, now).await?;
        }
        let long_ago = millis(now) - TOLD_DAYS * 86_400_000;
        sqlx::query("DELETE FROM told WHERE told_at < $1").bind(long_ago).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(lines))
    }

    /// Which of these events were told.
    pub async fn told(&self) -> Result<std::collections::BTreeSet<String>> {
        let rows = sqlx::query("SELECT event FROM told").fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The lines of an outbox row of kind report, in order.
    pub async fn report_lines(&self, outbox: Id) -> Result<Vec<ReportLine>> {
        let rows = sqlx::query(
            "SELECT at, about, headline, advice, is_recovery FROM report_lines WHERE outbox_id = $1 ORDER BY place",
        )
        .bind(outbox.0)
        .fetch_all(&self.reader)
        .await?;
        let line = |row: &sqlx::any::AnyRow| ReportLine {
            at: some_time(row.get(0)),
            about: row.get(1),
            headline: row.get(2),
            advice: row.get(3),
            is_recovery: row.get::<i64, _>(4) != 0,
        };
        Ok(rows.iter().map(line).collect())
    }

    /// Messages that were given up since then, but for those to the operator: what cannot be told is not told of.
    pub async fn given_up_since(&self, since: Timestamp) -> Result<Vec<OutboxRow>> {
        let sql = format!(
            "SELECT {} FROM outbox WHERE state = 'dead' AND finished_at >= $1 AND kind <> 'report' AND kind <> 'canary' \
             ORDER BY finished_at, id LIMIT 1000",
            outbox::COLUMNS
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(millis(since)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(outbox::row).collect())
    }

    /// How many hits each of the sources gave at its first contact, counted since then.
    pub async fn backlog_hits_by_source(&self, since: Timestamp) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query(
            "SELECT i.source, count(DISTINCT h.item_id) FROM hits h JOIN items i ON i.id = h.item_id \
             WHERE h.found_at >= $1 AND h.backlog = 1 AND h.shadow = 0 GROUP BY i.source ORDER BY i.source",
        )
        .bind(millis(since))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Keeps how the sources do today.
    pub async fn keep_health_day(&self, day: &HealthDay) -> Result<()> {
        sqlx::query(
            "INSERT INTO health_days (day, sources, read, failing, silent, changed, items) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (day) DO UPDATE SET sources = excluded.sources, read = excluded.read, failing = excluded.failing, \
             silent = excluded.silent, changed = excluded.changed, items = excluded.items",
        )
        .bind(day.day)
        .bind(day.sources)
        .bind(day.read)
        .bind(day.failing)
        .bind(day.silent)
        .bind(day.changed)
        .bind(day.items)
        .execute(self.writer().await)
        .await?;
        Ok(())
    }

    /// How the sources did on the last days, the oldest first.
    pub async fn health_days(&self, limit: usize) -> Result<Vec<HealthDay>> {
        let rows = sqlx::query(
            "SELECT day, sources, read, failing, silent, changed, items FROM health_days ORDER BY day DESC LIMIT $1",
        )
        .bind(limit as i64)
        .fetch_all(&self.reader)
        .await?;
        let day = |row: &sqlx::any::AnyRow| HealthDay {
            day: row.get(0),
            sources: row.get(1),
            read: row.get(2),
            failing: row.get(3),
            silent: row.get(4),
            changed: row.get(5),
            items: row.get(6),
        };
        Ok(rows.iter().rev().map(day).collect())
    }

    /// Stores the item that is to go through the matcher to the operator, in place of the one before.
    pub async fn plant_canary(&self, item: &NewItem, now: Timestamp) -> Result<()> {
        let before = self.canary().await?;
        let mut tx = self.begin().await?;
        if let Some(before) = before {
            // What became of the one before is history; one that is still waiting is the same test, later.
            for (statement, id) in [
                ("DELETE FROM unscored WHERE item_id = $1", before.item),
                ("DELETE FROM items WHERE id = $1", before.item),
                ("DELETE FROM report_lines WHERE outbox_id = $1", before.row),
                ("DELETE FROM outbox WHERE id = $1", before.row),
            ] {
                sqlx::query(statement).bind(id.0).execute(&mut *tx).await?;
            }
        }
        items::insert(&mut tx, &[item], &BTreeMap::new(), now).await?;
        sqlx::query(
            "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(CANARY_NOTE)
        .bind(format!("{} {}", item.item.id, now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The item that was last sent through; `None` before the first.
    pub async fn canary(&self) -> Result<Option<Canary>> {
        let Some(note) = self.noted(CANARY_NOTE).await? else { return Ok(None) };
        let parts = note.split_once(' ').and_then(|(id, at)| Some((id.parse::<Id>().ok()?, at.parse().ok()?)));
        let Some((item, planted_at)) = parts else { return Ok(None) };
        let row = canary_row(item);
        let found = sqlx::query("SELECT state, error, finished_at FROM outbox WHERE id = $1")
            .bind(row.0)
            .fetch_optional(&self.reader)
            .await?;
        let stage = match found {
            None if self.is_unscored(item).await? => Stage::Queued,
            None => Stage::Unmatched,
            Some(found) => {
                let (state, error): (String, String) = (found.get(0), found.get(1));
                match (state.as_str(), time(found.get(2))) {
                    ("sent", Some(at)) => Stage::Arrived(at),
                    ("dead" | "discarded", _) => Stage::Dead(error),
                    _ => Stage::Waiting(error),
                }
            }
        };
        Ok(Some(Canary { item, planted_at, row, stage }))
    }
}

/// The messages of self-tests that were found; their items have done their work and leave no trace.
pub(super) async fn finish_canaries(tx: &mut Transaction<'static, Any>, hits: &[&CanaryHit]) -> Result<()> {
    for hit in hits {
        let row = canary_row(hit.item);
        insert(tx, row, "canary", &hit.to, std::slice::from_ref(&hit.line), hit.found_at).await?;
        sqlx::query("DELETE FROM items WHERE id = $1").bind(hit.item.0).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Makes the row with its lines, if there are any.
async fn report(tx: &mut Transaction<'static, Any>, to: &ReportTo, lines: &[ReportLine], now: Timestamp) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut parts = vec!["report", &to.route, &to.recipient];
    let at = now.as_millisecond().to_string();
    parts.push(&at);
    for line in lines {
        parts.extend([line.about.as_str(), line.headline.as_str()]);
    }
    insert(tx, Id::of(&parts), DeliveryKind::Report.as_str(), to, lines, now).await
}

async fn insert(
    tx: &mut Transaction<'static, Any>,
    id: Id,
    kind: &'static str,
    to: &ReportTo,
    lines: &[ReportLine],
    now: Timestamp,
) -> Result<()> {
    let made = sqlx::query(
        "INSERT INTO outbox (id, route, recipient, kind, window_from, window_to, created_at, due_at, state, closed, attempts, \
         attempted_at, finished_at, error, lease_owner, lease_until, fence) \
         VALUES ($1, $2, $3, $4, 0, 0, $5, $5, 'waiting', 0, 0, 0, 0, '', '', 0, 0) ON CONFLICT (id) DO NOTHING",
    );
    let made = made.bind(id.0).bind(&to.route).bind(&to.recipient).bind(kind).bind(millis(now));
    if made.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    let placed: Vec<(usize, &ReportLine)> = lines.iter().enumerate().collect();
    let head = "INSERT INTO report_lines (outbox_id, place, at, about, headline, advice, is_recovery)";
    write_rows(tx, head, "ON CONFLICT DO NOTHING", 7, &placed, |query, (place, line)| {
        query
            .bind(id.0)
            .bind(*place as i64)
            .bind(millis(line.at))
            .bind(line.about.clone())
            .bind(line.headline.clone())
            .bind(line.advice.clone())
            .bind(i64::from(line.is_recovery))
    })
    .await?;
    Ok(())
}
