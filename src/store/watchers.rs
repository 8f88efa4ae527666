//! The watchers that share a store: who is there, by which configuration, since when. Only PostgreSQL has several; the times in
//! these rows are those of the database, so that the clocks of several machines do not matter.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Executor, Row};

use super::sources::ConfiguredSource;
use super::{DATABASE_NOW, Result, Store, millis, outbox, schema, some_time, time, write_rows};
use crate::health::watchers::is_overruled;
use crate::model::{ConfigurationHashes, Watcher};

/// Who is gone for so long is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

const COLUMNS: &str = "name, owner, machine, pid, version, started_at, heartbeat_at, stopped_at, sources_hash, profiles_hash, \
                       routes_hash, configured_since, clock_offset, problem";
const COLUMN_COUNT: usize = 14;

fn watcher(row: &AnyRow) -> Watcher {
    Watcher {
        name: row.get(0),
        owner: row.get(1),
        machine: row.get(2),
        pid: row.get(3),
        version: row.get(4),
        started_at: some_time(row.get(5)),
        heartbeat_at: some_time(row.get(6)),
        stopped_at: time(row.get(7)),
        configuration: ConfigurationHashes { sources: row.get(8), profiles: row.get(9), routes: row.get(10) },
        configured_since: some_time(row.get(11)),
        clock_offset: row.get(12),
        problem: row.get(13),
    }
}

/// What is claimed in the name of a watcher, and how far behind its work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Sources being asked.
    pub sources: i64,
    /// Items being scored.
    pub items: i64,
    /// Messages being delivered.
    pub messages: i64,
}

impl Store {
    /// The time of the database.
    pub async fn database_time(&self) -> Result<Timestamp> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {DATABASE_NOW}"))).fetch_one(&self.reader).await?;
        Ok(some_time(row.get(0)))
    }

    /// A newer program has brought the store to a version that this one does not know.
    pub async fn is_newer(&self) -> Result<bool> {
        Ok(schema::version(self).await?.is_some_and(|version| version > schema::VERSION))
    }

    /// Writes down that a watcher is there, in the place of `replaces` of the same name, and which sources it knows. Answers since
    /// when its configuration is in use, by the database's clock; `None` when the name belongs to somebody else meanwhile.
    pub async fn join_watchers(
        &self,
        watcher: &Watcher,
        replaces: &str,
        sources: &[ConfiguredSource],
    ) -> Result<Option<Timestamp>> {
        let mut tx = self.begin().await?;
        // Nobody decides on messages by the configuration before while this one comes into force.
        outbox::lock(&mut tx).await?;
        let hashes = &watcher.configuration;
        let sql = format!(
            "SELECT coalesce(min(configured_since), {DATABASE_NOW}) FROM watchers WHERE sources_hash = $1 AND profiles_hash = $2 \
             AND routes_hash = $3"
        );
        let since = sqlx::query(AssertSqlSafe(sql)).bind(&hashes.sources).bind(&hashes.profiles).bind(&hashes.routes);
        let since: i64 = since.fetch_one(&mut *tx).await?.get(0);
        sqlx::query("DELETE FROM watcher_sources WHERE owner = $1 OR owner = $2")
            .bind(replaces)
            .bind(&watcher.owner)
            .execute(&mut *tx)
            .await?;
        let sql = format!(
            "INSERT INTO watchers ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, {DATABASE_NOW}, 0, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, machine = excluded.machine, pid = excluded.pid, \
             version = excluded.version, started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = 0, \
             sources_hash = excluded.sources_hash, profiles_hash = excluded.profiles_hash, routes_hash = excluded.routes_hash, \
             configured_since = excluded.configured_since, clock_offset = excluded.clock_offset, problem = excluded.problem \
             WHERE watchers.owner = $13 OR watchers.owner = excluded.owner"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(&watcher.name)
            .bind(&watcher.owner)
            .bind(&watcher.machine)
            .bind(watcher.pid)
            .bind(&watcher.version)
            .bind(millis(watcher.started_at))
            .bind(&hashes.sources)
            .bind(&hashes.profiles)
            .bind(&hashes.routes)
            .bind(since)
            .bind(watcher.clock_offset)
            .bind(&watcher.problem)
            .bind(replaces)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let head = "INSERT INTO watcher_sources (owner, source, url, kind, reader)";
        write_rows(&mut tx, head, "ON CONFLICT DO NOTHING", 5, sources, |query, source| {
            query
                .bind(watcher.owner.clone())
                .bind(source.name.clone())
                .bind(source.url.clone())
                .bind(source.kind.clone())
                .bind(source.reader.clone())
        })
        .await?;
        tx.commit().await?;
        if !replaces.is_empty() && replaces != watcher.owner {
            self.free_claims(replaces).await?;
        }
        Ok(Some(some_time(since)))
    }

    /// The watcher lives. False when its name belongs to another process now.
    pub async fn heartbeat(&self, owner: &str, clock_offset: i64, problem: &str) -> Result<bool> {
        let sql = format!(
            "UPDATE watchers SET heartbeat_at = {DATABASE_NOW}, clock_offset = $2, problem = $3 WHERE owner = $1 AND stopped_at = 0"
        );
        let done = sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(clock_offset).bind(problem);
        Ok(done.execute(&self.writer).await?.rows_affected() == 1)
    }

    /// The configuration in force, as it is at this moment, has other profiles or routes than this watcher's.
    pub(super) async fn is_overruled<'e>(&self, on: impl Executor<'e, Database = Any>) -> Result<bool> {
        if !self.is_shared() || self.owner.is_empty() {
            return Ok(false);
        }
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS}, {DATABASE_NOW} FROM watchers"))).fetch_all(on);
        let rows = rows.await?;
        let Some(now) = rows.first().map(|row| some_time(row.get(COLUMN_COUNT))) else { return Ok(false) };
        let watchers: Vec<Watcher> = rows.iter().map(watcher).collect();
        Ok(is_overruled(&watchers, &self.owner, now))
    }

    /// The watcher stops in good order: what it had claimed is free at once. Its row stays for a while, to show when it stopped;
    /// `forget`: it does not.
    pub async fn leave_watchers(&self, owner: &str, forget: bool) -> Result<()> {
        self.free_claims(owner).await?;
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM watcher_sources WHERE owner = $1").bind(owner).execute(&mut *tx).await?;
        let sql = if forget {
            "DELETE FROM watchers WHERE owner = $1".to_string()
        } else {
            format!("UPDATE watchers SET stopped_at = {DATABASE_NOW}, problem = '' WHERE owner = $1")
        };
        sqlx::query(AssertSqlSafe(sql)).bind(owner).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Everything that was claimed in this name can be claimed by others. What nobody has claimed meanwhile it can still finish.
    pub async fn free_claims(&self, owner: &str) -> Result<u64> {
        let mut freed = 0;
        for statement in [
            "UPDATE sources SET lease_until = 0 WHERE lease_owner = $1 AND lease_until > 0",
            "UPDATE unscored SET lease_until = 0 WHERE lease_owner = $1 AND lease_until > 0",
            "UPDATE outbox SET lease_until = 0 WHERE lease_owner = $1 AND lease_until > 0 AND state = 'waiting'",
        ] {
            freed += sqlx::query(statement).bind(owner).execute(&self.writer).await?.rows_affected();
        }
        Ok(freed)
    }

    /// All watchers that are remembered, by name, and the time of the database.
    pub async fn watchers(&self) -> Result<(Vec<Watcher>, Timestamp)> {
        let now = self.database_time().await?;
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM watchers ORDER BY name")));
        Ok((rows.fetch_all(&self.reader).await?.iter().map(watcher).collect(), now))
    }

    /// What is claimed, by owner.
    pub async fn held_claims(&self, now: Timestamp) -> Result<BTreeMap<String, Held>> {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for (index, sql) in [
            "SELECT lease_owner, count(*) FROM sources WHERE lease_until > $1 GROUP BY lease_owner",
            "SELECT lease_owner, count(*) FROM unscored WHERE lease_until > $1 GROUP BY lease_owner",
            "SELECT lease_owner, count(*) FROM outbox WHERE state = 'waiting' AND lease_until > $1 GROUP BY lease_owner",
        ]
        .into_iter()
        .enumerate()
        {
            for row in sqlx::query(sql).bind(millis(now)).fetch_all(&self.reader).await? {
                let held = held.entry(row.get(0)).or_default();
                *[&mut held.sources, &mut held.items, &mut held.messages][index] = row.get(1);
            }
        }
        Ok(held)
    }

    /// Of the sources that this watcher knows: how many are due and held by nobody, and since when the oldest of them is.
    pub async fn overdue_sources(&self, owner: &str, now: Timestamp) -> Result<(i64, Option<Timestamp>)> {
        let sql = "SELECT count(*), min(s.next_at) FROM sources s JOIN watcher_sources k ON k.source = s.name AND k.owner = $1 \
                   WHERE s.configured = 1 AND s.paused = 0 AND s.next_at <= $2 AND s.lease_until <= $2";
        let row = sqlx::query(sql).bind(owner).bind(millis(now)).fetch_one(&self.reader).await?;
        Ok((row.get(0), row.get::<Option<i64>, _>(1).map(some_time)))
    }

    /// Forgets watchers that are gone for long, and what they knew.
    pub async fn forget_watchers(&self) -> Result<()> {
        let age = FORGOTTEN_AFTER.as_millis();
        let sql = format!("DELETE FROM watchers WHERE heartbeat_at < {DATABASE_NOW} - {age}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.writer).await?;
        sqlx::query("DELETE FROM watcher_sources WHERE owner NOT IN (SELECT owner FROM watchers)")
            .execute(&self.writer)
            .await?;
        self.forget_turns().await
    }

    /// Tells whether the store takes writes.
    pub async fn try_write(&self) -> Result<()> {
        self.note("looked at", &self.database_time().await?.to_string()).await
    }
}
