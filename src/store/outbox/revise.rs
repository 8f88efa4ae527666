//! What time and a new configuration make of rows: windows that ended, digests that were missed, rows that nobody wants any more.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, AssertSqlSafe, Row};

use super::fill::{add, digest, digest_id, insert, is_open, lock, open_row};
use super::{COLUMNS, none_of, row};
use crate::model::{EmptyDigest, EndedWindow, Hit, Id, NewDelivery, OutboxRow, Window};
use crate::plain;
use crate::store::{Result, Store, Transaction, millis, some_time};

/// An empty digest that comes weekly comes when the last digest is so old: a week, with room for a change of the clocks.
const EMPTY_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24 - 2);

/// Moves what a row that was never tried tells of into another, and removes the row.
async fn merge(tx: &mut Transaction<'static, Any>, from: Id, into: Id) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox_hits (outbox_id, item_id, profile) \
         SELECT CAST($1 AS BIGINT), item_id, profile FROM outbox_hits WHERE outbox_id = $2 ON CONFLICT DO NOTHING",
    )
    .bind(into.0)
    .bind(from.0)
    .execute(&mut **tx)
    .await?;
    for statement in ["DELETE FROM outbox_hits WHERE outbox_id = $1", "DELETE FROM outbox WHERE id = $1"] {
        sqlx::query(statement).bind(from.0).execute(&mut **tx).await?;
    }
    Ok(())
}

/// How far the digests of a recipient have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    settled_at: Timestamp,
    told_until: Timestamp,
}

async fn marks(tx: &mut Transaction<'static, Any>, route: &str, recipient: &str) -> Result<Option<Marks>> {
    let row = sqlx::query("SELECT settled_at, told_until FROM digest_marks WHERE route = $1 AND recipient = $2")
        .bind(route)
        .bind(recipient)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| Marks { settled_at: some_time(row.get(0)), told_until: some_time(row.get(1)) }))
}

async fn set_marks(tx: &mut Transaction<'static, Any>, route: &str, recipient: &str, marks: Marks) -> Result<()> {
    sqlx::query(
        "INSERT INTO digest_marks (route, recipient, settled_at, told_until) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (route, recipient) DO UPDATE SET settled_at = excluded.settled_at, told_until = excluded.told_until",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(marks.settled_at))
    .bind(millis(marks.told_until))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How far the digests have come of a recipient of whom that was never written down: to the last digest there is, else to now,
/// because earlier ones are nobody's duty.
async fn first_marks(
    tx: &mut Transaction<'static, Any>,
    route: &str,
    recipient: &str,
    now: Timestamp,
) -> Result<Marks> {
    let row = sqlx::query(
        "SELECT max(window_to) FROM outbox WHERE route = $1 AND recipient = $2 AND kind = 'digest' AND window_to <= $3",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(now))
    .fetch_one(&mut **tx)
    .await?;
    let from = row.get::<Option<i64>, _>(0).map_or(now, some_time);
    Ok(Marks { settled_at: from, told_until: from })
}

/// Decides on one window that ended; answers until when all is decided now.
async fn settle(tx: &mut Transaction<'static, Any>, ended: &EndedWindow, now: Timestamp) -> Result<Timestamp> {
    let (route, recipient, end) = (ended.route.as_str(), ended.recipient.as_str(), ended.window.until);
    let before = marks(tx, route, recipient).await?;
    let mut marks = match before {
        Some(marks) => marks,
        None => first_marks(tx, route, recipient, now).await?,
    };
    // After the clock was set back.
    marks = Marks { settled_at: marks.settled_at.min(now), told_until: marks.told_until.min(now) };
    if end > marks.settled_at {
        let id = digest_id(route, recipient, end);
        let missed = missed_digests(tx, route, recipient, end).await?;
        let is_wanted = match ended.empty {
            EmptyDigest::Always => true,
            EmptyDigest::Weekly => end.duration_since(marks.told_until) >= EMPTY_AFTER,
            EmptyDigest::Never => false,
        };
        if is_wanted || !missed.is_empty() || exists(tx, id).await? {
            let from = missed.iter().map(|(_, from)| *from).fold(marks.told_until, Timestamp::min);
            insert(tx, id, &digest(route, recipient, Window { from, until: end }), now).await?;
            if is_open(tx, id).await? {
                for (row, _) in missed {
                    merge(tx, row, id).await?;
                }
                // A row that a hit made knows the schedule only; a recipient is told from where the last digest ended.
                sqlx::query("UPDATE outbox SET window_from = $1 WHERE id = $2")
                    .bind(millis(from))
                    .bind(id.0)
                    .execute(&mut **tx)
                    .await?;
            }
            marks.told_until = end;
        }
        marks.settled_at = end;
    }
    if before != Some(marks) {
        set_marks(tx, route, recipient, marks).await?;
    }
    Ok(marks.settled_at)
}

/// Digests of earlier windows that were never tried, with where their windows begin: newswatch did not run at their time.
async fn missed_digests(
    tx: &mut Transaction<'static, Any>,
    route: &str,
    recipient: &str,
    end: Timestamp,
) -> Result<Vec<(Id, Timestamp)>> {
    // Takes the locks of the rows.
    let rows = sqlx::query(
        "UPDATE outbox SET closed = closed WHERE route = $1 AND recipient = $2 AND kind = 'digest' AND state = 'waiting' \
         AND closed = 0 AND window_to < $3 RETURNING id, window_from",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(end))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.iter().map(|row| (Id(row.get(0)), some_time(row.get(1)))).collect())
}

async fn exists(tx: &mut Transaction<'static, Any>, id: Id) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM outbox WHERE id = $1").bind(id.0).fetch_optional(&mut **tx).await?.is_some())
}

/// Who takes over another's digests takes over how far they have come.
async fn pass_marks_on(tx: &mut Transaction<'static, Any>, row: &OutboxRow, delivery: &NewDelivery) -> Result<()> {
    let is_new = marks(tx, &delivery.route, &delivery.recipient).await?.is_none();
    if is_new && let Some(marks) = marks(tx, &row.route, &row.recipient).await? {
        set_marks(tx, &delivery.route, &delivery.recipient, marks).await?;
    }
    Ok(())
}

/// What came of handing over what a row tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Hits that the row is about.
    pub hits: usize,
    /// Of these, hits that other rows took.
    pub taken: usize,
    /// Somebody is told of each of them.
    pub is_lossless: bool,
}

impl Store {
    /// Decides on windows that ended: the digest's row is made if it is wanted without a hit, and what was to be told by digests
    /// whose time was missed goes into it, so that a recipient gets one digest, of all the time since the last. Answers for each
    /// until when all is decided now; nothing for a watcher whose routes are not those in force.
    pub async fn settle_digests(&self, ended: &[EndedWindow], now: Timestamp) -> Result<Vec<Timestamp>> {
        self.again(|| self.try_settle_digests(ended, now)).await
    }

    async fn try_settle_digests(&self, ended: &[EndedWindow], now: Timestamp) -> Result<Vec<Timestamp>> {
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        if self.is_overruled(&mut *tx).await? {
            return Ok(Vec::new());
        }
        let mut settled = Vec::with_capacity(ended.len());
        for window in ended {
            settled.push(settle(&mut tx, window, now).await?);
        }
        tx.commit().await?;
        Ok(settled)
    }

    /// Waiting rows that a new configuration may concern: those that no attempt was made on, alerts aside, and those of a route
    /// and recipient that are not `known`. In the order of their identities, after `after`. Reports are not among them.
    pub async fn rows_to_revise(
        &self,
        known: &[(String, String)],
        after: Id,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxRow>> {
        let unknown = match none_of(known, 4) {
            none if none.is_empty() => "1 = 1".to_string(),
            some => some.replacen("AND", "", 1),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE state = 'waiting' AND id > $1 AND lease_until <= $2 AND kind <> 'report' \
             AND ((closed = 0 AND kind <> 'alert') OR {unknown}) ORDER BY id LIMIT $3"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(after.0).bind(millis(now)).bind(limit as i64);
        for (route, recipient) in known {
            query = query.bind(route).bind(recipient);
        }
        Ok(query.fetch_all(&self.reader).await?.iter().map(row).collect())
    }

    /// A row that was never tried is due at another time. As all that follows it changes nothing for a watcher whose routes are not those
    /// in force.
    pub async fn move_delivery(&self, id: Id, due_at: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        if self.is_overruled(&mut *tx).await? {
            return Ok(());
        }
        sqlx::query(
            "UPDATE outbox SET due_at = $1, window_to = CASE WHEN kind = 'group' THEN $1 ELSE window_to END \
             WHERE id = $2 AND state = 'waiting' AND closed = 0",
        )
        .bind(millis(due_at))
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// What a digest that was never tried tells of goes into the digest of another window.
    pub async fn move_digest(&self, row: &OutboxRow, window: Window, now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        if self.is_overruled(&mut *tx).await? {
            return Ok(());
        }
        let until = window.until.as_millisecond().to_string();
        let new = digest(&row.route, &row.recipient, window);
        let into = open_row(&mut tx, &["digest", &row.route, &row.recipient, &until], 0, &new, now).await?;
        if into != row.id && is_open(&mut tx, row.id).await? {
            merge(&mut tx, row.id, into).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends a waiting row whose route or recipient is gone: its hits go where these deliveries lead, unless they are told there
    /// already. It is discarded when nothing is lost by that (all was taken, or `is_told` to everybody that is left), else it is
    /// dead, which people are shown and can take back. `None` when an attempt on it is under way, or it is not for this watcher to say.
    pub async fn hand_over(
        &self,
        row: &OutboxRow,
        hits: &[(Hit, Vec<NewDelivery>)],
        is_told: bool,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<HandedOver>> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        if self.is_overruled(&mut *tx).await? {
            return Ok(None);
        }
        let held =
            sqlx::query("UPDATE outbox SET closed = 1 WHERE id = $1 AND state = 'waiting' AND lease_until <= $2")
                .bind(row.id.0)
                .bind(millis(now))
                .execute(&mut *tx)
                .await?;
        if held.rows_affected() == 0 {
            return Ok(None);
        }
        let count = sqlx::query("SELECT count(*) FROM outbox_hits WHERE outbox_id = $1").bind(row.id.0);
        let count: i64 = count.fetch_one(&mut *tx).await?.get(0);
        let mut handed = HandedOver { hits: count as usize, taken: 0, is_lossless: false };
        for (hit, deliveries) in hits {
            let mut is_taken = false;
            for delivery in deliveries {
                if add(&mut tx, delivery, hit, now).await? {
                    is_taken = true;
                    pass_marks_on(&mut tx, row, delivery).await?;
                }
            }
            handed.taken += usize::from(is_taken);
        }
        handed.is_lossless = handed.hits == hits.len() && (is_told || handed.taken == handed.hits);
        let state = if handed.is_lossless { "discarded" } else { "dead" };
        let error = match handed.taken {
            0 => why.to_string(),
            taken => format!("{why}; handed on: {taken} of {}", plain::counted(handed.hits, "hit")),
        };
        sqlx::query("UPDATE outbox SET state = $1, finished_at = $2, error = $3 WHERE id = $4")
            .bind(state)
            .bind(millis(now))
            .bind(error)
            .bind(row.id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(handed))
    }

    /// Makes a digest that is due now, of all that waits for the next one of the route and recipient: that one then tells what comes
    /// from now on. Answers the row's identity and how many hits it took over; `None` when the same was asked for in this moment.
    pub async fn digest_now(
        &self,
        route: &str,
        recipient: &str,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Option<(Id, u64)>> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        let id = Id::of(&["digest now", route, recipient, &millis(now).to_string()]);
        if exists(&mut tx, id).await? {
            return Ok(None);
        }
        let marks = marks(&mut tx, route, recipient).await?.unwrap_or(Marks { settled_at: from, told_until: from });
        let from = marks.told_until.min(now);
        insert(&mut tx, id, &digest(route, recipient, Window { from, until: now }), now).await?;
        // Takes the rows' locks: no attempt on them begins before this is over.
        let shortened = sqlx::query(
            "UPDATE outbox SET window_from = $1 WHERE kind = 'digest' AND route = $2 AND recipient = $3 AND state = 'waiting' \
             AND closed = 0 AND id <> $4 AND window_to > $1 RETURNING id",
        )
        .bind(millis(now))
        .bind(route)
        .bind(recipient)
        .bind(id.0)
        .fetch_all(&mut *tx)
        .await?;
        let mut taken = 0;
        for row in &shortened {
            let moved = sqlx::query("UPDATE outbox_hits SET outbox_id = $1 WHERE outbox_id = $2");
            taken += moved.bind(id.0).bind(row.get::<i64, _>(0)).execute(&mut *tx).await?.rows_affected();
        }
        set_marks(&mut tx, route, recipient, Marks { told_until: now, ..marks }).await?;
        tx.commit().await?;
        Ok(Some((id, taken)))
    }

    /// Until when digests have told the recipient of the route; `None` before the first.
    pub async fn told_until(&self, route: &str, recipient: &str) -> Result<Option<Timestamp>> {
        let row = sqlx::query("SELECT told_until FROM digest_marks WHERE route = $1 AND recipient = $2");
        let row = row.bind(route).bind(recipient).fetch_optional(&self.reader).await?;
        Ok(row.map(|row| some_time(row.get(0))))
    }
}
