//! What was looked at: gaps of sources, items and hits by source.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::{Any, Row};

use super::{Result, Store, Transaction, millis, some_time, write_rows};
use crate::health::coverage::Gap;

/// Gaps are remembered so long.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 800);
/// Gaps read for one report.
const GAPS_MAX: i64 = 100_000;

/// Stores gaps that are over, each with the name of its source, and forgets those of long ago.
pub(super) async fn add(tx: &mut Transaction<'static, Any>, gaps: &[(&str, &Gap)], now: Timestamp) -> Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    let head = "INSERT INTO gaps (source, gap_from, gap_until, reason)";
    let tail = "ON CONFLICT (source, gap_from) DO NOTHING";
    write_rows(tx, head, tail, 4, gaps, |query, (source, gap)| {
        query.bind(source.to_string()).bind(millis(gap.from)).bind(millis(gap.until)).bind(gap.reason.clone())
    })
    .await?;
    sqlx::query("DELETE FROM gaps WHERE gap_until < $1").bind(millis(now - KEPT)).execute(&mut **tx).await?;
    Ok(())
}

impl Store {
    /// Gaps that reach into the time from `from` to before `to`, by source, the earliest first.
    pub async fn gaps(&self, from: Timestamp, to: Timestamp) -> Result<BTreeMap<String, Vec<Gap>>> {
        let rows = sqlx::query(
            "SELECT source, gap_from, gap_until, reason FROM gaps WHERE gap_until > $1 AND gap_from < $2 \
             ORDER BY source, gap_from LIMIT $3",
        );
        let rows = rows.bind(millis(from)).bind(millis(to)).bind(GAPS_MAX).fetch_all(&self.reader).await?;
        let mut gaps: BTreeMap<String, Vec<Gap>> = BTreeMap::new();
        for row in &rows {
            let gap = Gap { from: some_time(row.get(1)), until: some_time(row.get(2)), reason: row.get(3) };
            gaps.entry(row.get(0)).or_default().push(gap);
        }
        Ok(gaps)
    }

    /// By source: items first seen from `from` to before `to`, and how many of them are hits of the profile.
    pub async fn looked_at(
        &self,
        profile: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, (i64, i64)>> {
        let rows = sqlx::query(
            "SELECT i.source, count(*), count(h.item_id) FROM items i \
             LEFT JOIN hits h ON h.item_id = i.id AND h.profile = $3 \
             WHERE i.first_seen_at >= $1 AND i.first_seen_at < $2 GROUP BY i.source",
        );
        let rows = rows.bind(millis(from)).bind(millis(to)).bind(profile).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
    }
}
