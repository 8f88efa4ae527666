//! What a digest tells of a window beside its hits: figures, near misses, what was told before. Only reads, but for making a digest
//! at an operator's word.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row;

use super::scores::Scored;
use super::{Result, Store, millis, read_by_keys, some_time};
use crate::model::{DeliveryKind, Id, OutboxRow, StoredScore};

/// Hits are counted in steps of so many milliseconds: every zone of today is a multiple of a quarter of an hour away from UTC.
pub const STEP_MILLIS: i64 = 15 * 60 * 1000;
/// Titles looked at to tell which languages a window held.
const LANGUAGES_MAX: i64 = 50_000;

/// A digest of the outbox with its counts.
#[derive(Clone, Debug)]
pub struct DigestCounts {
    /// The row.
    pub row: OutboxRow,
    /// Its hits.
    pub hits: i64,
    /// Their stories.
    pub stories: i64,
}

/// An item's language as given, and its title, to tell the language when none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitleAndLanguage {
    /// Language tag; may be empty.
    pub language: String,
    /// Title.
    pub title: String,
}

impl Store {
    /// How many hits an outbox row is about.
    pub async fn hit_count_of_delivery(&self, outbox: Id) -> Result<i64> {
        let row = sqlx::query(
            "SELECT count(*) FROM outbox_hits o JOIN hits h ON h.item_id = o.item_id AND h.profile = o.profile \
             WHERE o.outbox_id = $1",
        );
        Ok(row.bind(outbox.0).fetch_one(&self.reader).await?.get(0))
    }

    /// Items first seen from `from` to before `to`.
    pub async fn item_count_between(&self, from: Timestamp, to: Timestamp) -> Result<i64> {
        let row = sqlx::query("SELECT count(*) FROM items WHERE first_seen_at >= $1 AND first_seen_at < $2");
        Ok(row.bind(millis(from)).bind(millis(to)).fetch_one(&self.reader).await?.get(0))
    }

    /// Titles and languages of the items first seen from `from` to before `to`; of very many, the first.
    pub async fn languages_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<TitleAndLanguage>> {
        let rows = sqlx::query(
            "SELECT language, title FROM items WHERE first_seen_at >= $1 AND first_seen_at < $2 \
             ORDER BY first_seen_at, id LIMIT $3",
        );
        let rows = rows.bind(millis(from)).bind(millis(to)).bind(LANGUAGES_MAX).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| TitleAndLanguage { language: row.get(0), title: row.get(1) }).collect())
    }

    /// Those of the stories of which an earlier message than this one told the same recipient on the same route.
    pub async fn told_before(&self, row: &OutboxRow, stories: &[Id]) -> Result<BTreeSet<Id>> {
        let mut keys: Vec<i64> = stories.iter().map(|id| id.0).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = read_by_keys(
            self,
            "SELECT h.story_id, o.id, o.route, o.recipient, o.created_at FROM hits h \
             JOIN outbox_hits l ON l.item_id = h.item_id AND l.profile = h.profile JOIN outbox o ON o.id = l.outbox_id \
             WHERE o.state <> 'discarded' AND h.story_id",
            "",
            &keys,
        )
        .await?;
        let earlier = found.iter().filter(|found| {
            found.get::<i64, _>(1) != row.id.0
                && found.get::<String, _>(2) == row.route
                && found.get::<String, _>(3) == row.recipient
                && some_time(found.get(4)) <= row.created_at
        });
        Ok(earlier.map(|found| Id(found.get(0))).collect())
    }

    /// Hits found from `from` to before `to` by profile, counted in steps of [`STEP_MILLIS`]: profile, beginning of the step, count.
    /// Without those of first contacts and of profiles on trial.
    pub async fn hit_steps(&self, from: Timestamp, to: Timestamp) -> Result<Vec<(String, Timestamp, i64)>> {
        let rows = sqlx::query(
            "SELECT profile, found_at / $3, count(*) FROM hits WHERE found_at >= $1 AND found_at < $2 AND backlog = 0 \
             AND shadow = 0 GROUP BY 1, 2",
        );
        let rows = rows.bind(millis(from)).bind(millis(to)).bind(STEP_MILLIS).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| (row.get(0), some_time(row.get::<i64, _>(1) * STEP_MILLIS), row.get(2))).collect())
    }

    /// What came nearest to a hit of a profile from `from` to before `to` without being one, the nearest first, and how many there
    /// are. Not what was backlog.
    pub async fn below_line(
        &self,
        profile: &str,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Scored>, i64)> {
        const WHERE: &str = "FROM scores s JOIN items i ON i.id = s.item_id \
             WHERE s.profile = $1 AND s.scored_at >= $2 AND s.scored_at < $3 AND s.backlog = 0 \
             AND (s.score < s.threshold OR s.barred = 1) \
             AND NOT EXISTS (SELECT 1 FROM hits h WHERE h.item_id = s.item_id AND h.profile = s.profile) \
             AND NOT EXISTS (SELECT 1 FROM scores l WHERE l.profile = s.profile AND l.item_id = s.item_id \
             AND l.scored_at > s.scored_at AND l.scored_at < $3)";
        let sql = format!(
            "SELECT s.item_id, s.story_id, s.profile, s.profile_hash, s.score, s.threshold, s.scored_at, s.backlog, s.barred, \
             i.title, i.url, i.source, i.language {WHERE} ORDER BY s.score / nullif(s.threshold, 0) DESC, s.item_id LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(profile)
            .bind(millis(from))
            .bind(millis(to))
            .bind(limit.min(100_000) as i64)
            .fetch_all(&self.reader)
            .await?;
        let scored = rows.iter().map(|row| Scored {
            score: StoredScore {
                item: Id(row.get(0)),
                story: Id(row.get(1)),
                profile: row.get(2),
                profile_hash: row.get(3),
                score: row.get(4),
                threshold: row.get(5),
                scored_at: some_time(row.get(6)),
                backlog: row.get::<i64, _>(7) != 0,
                barred: row.get::<i64, _>(8) != 0,
            },
            hit: false,
            title: row.get(9),
            url: row.get(10),
            source: row.get(11),
            language: row.get(12),
            hit_at: None,
            hit_hash: 0,
        });
        let scored = scored.collect();
        let count = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT count(*) {WHERE}")));
        let count = count.bind(profile).bind(millis(from)).bind(millis(to)).fetch_one(&self.reader).await?.get(0);
        Ok((scored, count))
    }

    /// Hits that went over the budget of a route and recipient from `from` to before `to`.
    pub async fn over_budget(&self, route: &str, recipient: &str, from: Timestamp, to: Timestamp) -> Result<i64> {
        let row = sqlx::query(
            "SELECT count(*) FROM outbox o JOIN outbox_hits l ON l.outbox_id = o.id \
             JOIN hits h ON h.item_id = l.item_id AND h.profile = l.profile \
             WHERE o.kind = $1 AND o.route = $2 AND o.recipient = $3 AND h.found_at >= $4 AND h.found_at < $5",
        );
        let row = row.bind(DeliveryKind::Overflow.as_str()).bind(route).bind(recipient);
        Ok(row.bind(millis(from)).bind(millis(to)).fetch_one(&self.reader).await?.get(0))
    }

    /// Digests, also of a route alone ("" for all), the newest `limit`, the oldest first.
    pub async fn digests(&self, route: &str, limit: usize) -> Result<Vec<DigestCounts>> {
        let rows = sqlx::query(
            "SELECT o.id, (SELECT count(*) FROM outbox_hits l JOIN hits h ON h.item_id = l.item_id AND h.profile = l.profile \
             WHERE l.outbox_id = o.id), (SELECT count(DISTINCT h.story_id) FROM outbox_hits l \
             JOIN hits h ON h.item_id = l.item_id AND h.profile = l.profile WHERE l.outbox_id = o.id) \
             FROM outbox o WHERE o.kind = $1 AND ($2 = '' OR o.route = $2) ORDER BY o.window_to DESC, o.id DESC LIMIT $3",
        );
        let rows = rows.bind(DeliveryKind::Digest.as_str()).bind(route).bind(limit.min(100_000) as i64);
        let mut digests = Vec::new();
        for found in rows.fetch_all(&self.reader).await?.iter().rev() {
            if let Some(row) = self.outbox_row(Id(found.get(0))).await? {
                digests.push(DigestCounts { row, hits: found.get(1), stories: found.get(2) });
            }
        }
        Ok(digests)
    }

    /// The digest of a route, recipient and end of window.
    pub async fn digest_of_window(&self, route: &str, recipient: &str, to: Timestamp) -> Result<Option<OutboxRow>> {
        let row = sqlx::query(
            "SELECT id FROM outbox WHERE kind = $1 AND route = $2 AND recipient = $3 AND window_to = $4 ORDER BY id LIMIT 1",
        );
        let row = row.bind(DeliveryKind::Digest.as_str()).bind(route).bind(recipient).bind(millis(to));
        match row.fetch_optional(&self.reader).await? {
            Some(row) => self.outbox_row(Id(row.get(0))).await,
            None => Ok(None),
        }
    }
}
