//! How everything stands, for a monitoring system that asks every few seconds: few statements, none of which reads more than what
//! is configured or waits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;

use super::{Engine, Result, Store, millis, time};
use crate::model::Health;

/// How everything stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glance {
    /// Configured sources, by name.
    pub sources: Vec<SourceGlance>,
    /// Items that wait for the matcher.
    pub unscored: i64,
    /// Since when the oldest of them has waited.
    pub unscored_since: Option<Timestamp>,
    /// Messages that wait, self-tests left out.
    pub waiting: i64,
    /// Of these, messages that should have been sent.
    pub overdue: i64,
    /// Since when the oldest of them should have been.
    pub overdue_since: Option<Timestamp>,
    /// Messages that were given up.
    pub dead: i64,
    /// What is wrong and was told: how many by condition.
    pub conditions: BTreeMap<String, i64>,
    /// Bytes of the database.
    pub bytes: i64,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGlance {
    /// Its name.
    pub name: String,
    /// Its health.
    pub health: Health,
    /// The operator has paused it.
    pub paused: bool,
    /// When it was last read.
    pub read_at: Option<Timestamp>,
    /// Since when it is due, unless it is being asked.
    pub due_since: Option<Timestamp>,
}

impl Store {
    /// How everything stands.
    pub async fn glance(&self, now: Timestamp) -> Result<Glance> {
        let rows = sqlx::query(
            "SELECT name, health, paused, succeeded_at, \
             CASE WHEN paused = 0 AND next_at <= $1 AND lease_until <= $1 THEN next_at ELSE 0 END \
             FROM sources WHERE configured = 1 ORDER BY name",
        )
        .bind(millis(now))
        .fetch_all(&self.reader)
        .await?;
        let source = |row: &sqlx::any::AnyRow| SourceGlance {
            name: row.get(0),
            health: Health::from_stored(&row.get::<String, _>(1)),
            paused: row.get::<i64, _>(2) != 0,
            read_at: time(row.get(3)),
            due_since: time(row.get(4)),
        };
        let mut glance = Glance { sources: rows.iter().map(source).collect(), ..Glance::default() };
        let row = sqlx::query("SELECT count(*), min(queued_at) FROM unscored").fetch_one(&self.reader).await?;
        glance.unscored = row.get(0);
        glance.unscored_since = row.get::<Option<i64>, _>(1).and_then(time);
        // Due for the first time at the end of its window, or when it was made; one that was never tried may wait for the end of
        // quiet hours.
        let row = sqlx::query(
            "SELECT count(*), sum(CASE WHEN late THEN 1 ELSE 0 END), min(CASE WHEN late THEN first_due ELSE NULL END) FROM ( \
                SELECT first_due, first_due <= $1 AND (attempts > 0 OR due_at <= $1) AS late FROM ( \
                    SELECT attempts, due_at, CASE WHEN window_to > 0 THEN window_to ELSE created_at END AS first_due \
                    FROM outbox WHERE state = 'waiting' AND kind <> 'canary') waiting) rated",
        )
        .bind(millis(now))
        .fetch_one(&self.reader)
        .await?;
        glance.waiting = row.get(0);
        glance.overdue = row.get::<Option<i64>, _>(1).unwrap_or_default();
        glance.overdue_since = row.get::<Option<i64>, _>(2).and_then(time);
        let dead = sqlx::query("SELECT count(*) FROM outbox WHERE state = 'dead' AND kind <> 'canary'");
        glance.dead = dead.fetch_one(&self.reader).await?.get(0);
        let rows = sqlx::query("SELECT condition, count(*) FROM conditions GROUP BY condition");
        glance.conditions = rows.fetch_all(&self.reader).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
        glance.bytes = self.bytes().await?;
        Ok(glance)
    }

    /// Size of the database in bytes; of a file with what is still in its write-ahead log.
    async fn bytes(&self) -> Result<i64> {
        match (self.engine, &self.path) {
            (Engine::Sqlite, Some(path)) => {
                let wal =
                    path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
                let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
                Ok((size(path) + size(&wal)) as i64)
            }
            _ => {
                let row = sqlx::query("SELECT CAST(pg_database_size(current_database()) AS BIGINT)");
                Ok(row.fetch_one(&self.reader).await?.get(0))
            }
        }
    }

    /// Room that is left where the store lies, in bytes; `None` for a store that is no file, or when nobody can say.
    pub fn free_bytes(&self) -> Option<u64> {
        let room = rustix::fs::statvfs(self.path.as_deref()?).ok()?;
        Some(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Way;
    use crate::store::tests::{at, delivery, new_item, on_each_engine, score_all, source, visit, window};

    #[tokio::test]
    async fn a_glance_tells_what_waits_and_since_when() {
        on_each_engine(async |store| {
            store.configure_sources(&[source("a", "a.example"), source("b", "b.example")]).await.unwrap();
            store.pause_source("b", true, at(0)).await.unwrap();
            let glance = store.glance(at(7)).await.unwrap();
            assert_eq!(glance.sources.iter().map(|source| source.due_since).collect::<Vec<_>>(), [Some(at(0)), None]);
            visit(&store, "a", vec![new_item("a", "1")], at(8)).await;
            let glance = store.glance(at(9)).await.unwrap();
            let a = &glance.sources[0];
            assert_eq!((a.health, a.read_at, a.due_since, a.paused), (Health::Fine, Some(at(8)), None, false));
            assert!(glance.sources[1].paused);
            assert_eq!((glance.unscored, glance.unscored_since), (1, Some(at(8))));
            // One that is due at once, and one that has time until the end of its window.
            let ways = |_: &_| {
                vec![delivery("now", Way::Alone), delivery("daily", Way::InDigest { windows: vec![window(120)] })]
            };
            score_all(&store, ways, at(10)).await;
            let glance = store.glance(at(11)).await.unwrap();
            assert_eq!((glance.unscored, glance.waiting, glance.dead), (0, 2, 0));
            assert_eq!((glance.overdue, glance.overdue_since), (1, Some(at(10))));
            let glance = store.glance(at(121)).await.unwrap();
            assert_eq!((glance.overdue, glance.overdue_since), (2, Some(at(10))));
            assert!(glance.bytes > 10_000 && glance.conditions.is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn a_claim_that_is_given_back_is_free_at_once_and_only_by_its_holder() {
        on_each_engine(async |store| {
            store.configure_sources(&[source("a", "a.example"), source("b", "a.example")]).await.unwrap();
            let claimed = store.claim_sources("me", at(1), at(20), 10, 1).await.unwrap();
            assert_eq!(claimed.len(), 1);
            // Its host is taken.
            assert_eq!(store.claim_sources("me", at(2), at(20), 10, 1).await.unwrap().len(), 0);
            let (state, claim) = claimed.into_iter().next().unwrap();
            let late = crate::store::sources::Claim { owner: claim.owner.clone(), fence: claim.fence - 1 };
            store.release_sources(&[(state.name.clone(), late)]).await.unwrap();
            assert_eq!(store.claim_sources("me", at(3), at(20), 10, 1).await.unwrap().len(), 0);
            store.release_sources(&[(state.name, claim)]).await.unwrap();
            assert_eq!(store.claim_sources("other", at(4), at(20), 10, 4).await.unwrap().len(), 2);
        })
        .await;
    }
}
