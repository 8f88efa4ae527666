//! What has to be delivered to whom. A row is made with the hit it is about and leaves the outbox only when the channel
//! accepted it or the operator discards it.

mod fill;
mod revise;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::sources::Claim;
use super::{Result, Store, Transaction, millis, or_never, some_time, time};
use crate::model::{DeliveryKind, Id, OutboxRow, Outcome};
pub(super) use fill::{add, lock};
pub use revise::HandedOver;

pub(super) const COLUMNS: &str =
    "id, route, recipient, kind, window_from, window_to, created_at, due_at, state, attempts, finished_at, error";
const COLUMN_COUNT: usize = 12;

pub(super) fn row(row: &AnyRow) -> OutboxRow {
    OutboxRow {
        id: Id(row.get(0)),
        route: row.get(1),
        recipient: row.get(2),
        kind: DeliveryKind::from_stored(&row.get::<String, _>(3)),
        window_from: time(row.get(4)),
        window_to: time(row.get(5)),
        created_at: some_time(row.get(6)),
        due_at: some_time(row.get(7)),
        state: row.get(8),
        attempts: row.get(9),
        finished_at: time(row.get(10)),
        error: row.get(11),
    }
}

/// Records what came of an attempt, if the claim still holds.
async fn finish<'e, E>(to: E, id: Id, claim: &Claim, outcome: &Outcome, now: Timestamp) -> Result<()>
where
    E: sqlx::Executor<'e, Database = Any>,
{
    let (state, due_at, finished_at, error) = match outcome {
        Outcome::NotTried => return Ok(()),
        Outcome::Sent => ("sent", None, millis(now), ""),
        Outcome::Again { at, error } => ("waiting", Some(*at), 0, error.as_str()),
        Outcome::Dead { error } => ("dead", None, millis(now), error.as_str()),
    };
    sqlx::query(
        "UPDATE outbox SET state = $1, due_at = CASE WHEN $2 = 0 THEN due_at ELSE $2 END, finished_at = $3, error = $4, \
         lease_owner = '', lease_until = 0 WHERE id = $5 AND lease_owner = $6 AND fence = $7 \
         AND (state = 'waiting' OR $1 = 'sent')",
    )
    .bind(state)
    .bind(or_never(due_at))
    .bind(finished_at)
    .bind(error)
    .bind(id.0)
    .bind(&claim.owner)
    .bind(claim.fence)
    .execute(to)
    .await?;
    Ok(())
}

/// The row as it was before it was claimed, for other attempts.
async fn give_back(tx: &mut Transaction<'static, Any>, id: Id, claim: &Claim) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET lease_owner = '', lease_until = 0, attempts = attempts - 1 \
         WHERE id = $1 AND lease_owner = $2 AND fence = $3 AND state = 'waiting'",
    )
    .bind(id.0)
    .bind(&claim.owner)
    .bind(claim.fence)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// "AND (route, recipient) NOT IN (VALUES ($5, $6), ...)", numbered from `first`; nothing for none.
fn none_of(busy: &[(String, String)], first: usize) -> String {
    if busy.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = (0..busy.len()).map(|n| format!("(${}, ${})", first + 2 * n, first + 2 * n + 1)).collect();
    format!("AND (route, recipient) NOT IN (VALUES {})", pairs.join(", "))
}

impl Store {
    /// What goes to a recipient goes in order: nothing is claimed of a route and recipient where another watcher delivers.
    fn free_lanes(&self) -> &'static str {
        if !self.is_shared() {
            return "";
        }
        "AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.state = 'waiting' AND b.lease_until > $3 AND b.lease_owner <> $1 \
         AND b.route = o.route AND b.recipient = o.recipient)"
    }

    /// Claims due rows, the longest due first, none of a route and recipient that is `busy`. The attempt is counted and the row
    /// closed before the attempt is made. Nothing for a watcher whose routes are not those in force.
    pub async fn claim_outbox(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
        busy: &[(String, String)],
    ) -> Result<Vec<(OutboxRow, Claim)>> {
        let sql = format!(
            "UPDATE outbox SET lease_owner = $1, lease_until = $2, fence = fence + 1, closed = 1, attempts = attempts + 1, \
             attempted_at = $3 WHERE id IN ( \
                SELECT id FROM outbox o WHERE state = 'waiting' AND due_at <= $3 AND lease_until <= $3 {} {} \
                ORDER BY due_at, created_at, id LIMIT $4 {}) RETURNING {COLUMNS}, fence",
            none_of(busy, 5),
            self.free_lanes(),
            self.skip_locked()
        );
        let mut query =
            sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(millis(lease_until)).bind(millis(now)).bind(limit as i64);
        for (route, recipient) in busy {
            query = query.bind(route).bind(recipient);
        }
        let mut tx = self.begin().await?;
        if self.is_shared() {
            // One after the other: two that looked in the same moment would both find the recipient free.
            sqlx::query("SELECT pg_advisory_xact_lock(5771194)").execute(&mut *tx).await?;
        }
        if self.is_overruled(&mut *tx).await? {
            return Ok(Vec::new());
        }
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let mut claimed: Vec<(OutboxRow, Claim)> = rows
            .iter()
            .map(|found| (row(found), Claim { owner: owner.to_string(), fence: found.get(COLUMN_COUNT) }))
            .collect();
        claimed.sort_by_key(|(row, _)| (row.due_at, row.created_at, row.id));
        Ok(claimed)
    }

    /// The row is this watcher's to deliver at this moment: nobody has taken it over, nobody will before its lease is over, and no
    /// younger configuration came into force that has other routes.
    pub async fn holds_delivery(&self, id: Id, claim: &Claim, now: Timestamp) -> Result<bool> {
        let row =
            sqlx::query("SELECT 1 FROM outbox WHERE id = $1 AND lease_owner = $2 AND fence = $3 AND lease_until > $4");
        let row = row.bind(id.0).bind(&claim.owner).bind(claim.fence).bind(millis(now));
        let is_held = row.fetch_optional(&self.reader).await?.is_some();
        Ok(is_held && !self.is_overruled(&self.reader).await?)
    }

    /// Records what happened to attempts, in one transaction.
    pub async fn finish_deliveries(&self, done: &[(Id, Claim, Outcome)], now: Timestamp) -> Result<()> {
        // One result is one statement, a transaction by itself: the shorter the way from a channel's yes to its record, the fewer
        // kills make a duplicate.
        if let [(id, claim, outcome)] = done
            && *outcome != Outcome::NotTried
        {
            finish(&self.writer, *id, claim, outcome, now).await?;
            return Ok(());
        }
        let mut tx = self.begin_at_once().await?;
        for (id, claim, outcome) in done {
            match outcome {
                Outcome::NotTried => give_back(&mut tx, *id, claim).await?,
                _ => finish(&mut *tx, *id, claim, outcome, now).await?,
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// When the next waiting row is due that is not of a route and recipient that is `busy`.
    pub async fn next_delivery_due(&self, busy: &[(String, String)]) -> Result<Option<Timestamp>> {
        let sql = format!(
            "SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM outbox WHERE state = 'waiting' {}",
            none_of(busy, 1)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (route, recipient) in busy {
            query = query.bind(route).bind(recipient);
        }
        let found = query.fetch_one(&self.reader).await?;
        Ok(found.get::<Option<i64>, _>(0).map(some_time))
    }

    /// Rows in the given state ("" = all), the newest `limit`.
    pub async fn outbox(&self, state: &str, limit: usize) -> Result<Vec<OutboxRow>> {
        // Two statements, so that each finds its index.
        let in_state = if state.is_empty() { "$1 = ''" } else { "state = $1" };
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE {in_state} ORDER BY created_at DESC, id DESC LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(state).bind(limit as i64).fetch_all(&self.reader).await?;
        Ok(rows.iter().rev().map(row).collect())
    }

    /// A row.
    pub async fn outbox_row(&self, id: Id) -> Result<Option<OutboxRow>> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id = $1");
        Ok(sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_optional(&self.reader).await?.as_ref().map(row))
    }

    /// The message that tells this recipient of a story on this route.
    pub async fn told_by(&self, route: &str, recipient: &str, story: Id) -> Result<Option<OutboxRow>> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id IN ({})", fill::TOLD_ROW);
        let found = sqlx::query(AssertSqlSafe(sql)).bind(story.0).bind(route).bind(recipient);
        Ok(found.fetch_optional(&self.reader).await?.as_ref().map(row))
    }

    /// Rows that tell of an item, by time.
    pub async fn outbox_of_item(&self, item: Id) -> Result<Vec<OutboxRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE id IN (SELECT outbox_id FROM outbox_hits WHERE item_id = $1) ORDER BY created_at, id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(item.0).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(row).collect())
    }

    /// How many rows are in each state; newswatch's own self-tests are not counted.
    pub async fn outbox_counts(&self) -> Result<Vec<(String, i64)>> {
        let rows =
            sqlx::query("SELECT state, count(*) FROM outbox WHERE kind <> 'canary' GROUP BY state ORDER BY state")
                .fetch_all(&self.reader)
                .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The operator's word on a row: try again now, or discard. Only rows that are waiting or dead; false when there is none.
    pub async fn decide_outbox(&self, id: Id, retry: bool, now: Timestamp) -> Result<bool> {
        let statement = if retry {
            "UPDATE outbox SET state = 'waiting', due_at = $1, finished_at = 0, attempts = 0 WHERE id = $2 AND state IN ('waiting', 'dead')"
        } else {
            "UPDATE outbox SET state = 'discarded', finished_at = $1 WHERE id = $2 AND state IN ('waiting', 'dead')"
        };
        let done = sqlx::query(statement).bind(millis(now)).bind(id.0).execute(&self.writer).await?;
        Ok(done.rows_affected() == 1)
    }
}

#[cfg(test)]
mod tests;
