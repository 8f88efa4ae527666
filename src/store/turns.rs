//! Turns: what only one watcher may do at a time, and with which pause between two: ask a host, place items into stories.
//!
//! With SQLite there is one process, which keeps order in its memory: every turn is granted at once. With PostgreSQL a turn is a
//! row with a lease and a fence. Its times are those of the database, so that the clocks of several machines do not matter.

use std::time::{Duration, Instant};

use sqlx::{Any, AssertSqlSafe, Row};

use super::{DATABASE_NOW, Engine, Result, Store, Transaction};

/// A grant that took longer to reach us is asked for once more: leases are at least this much longer than what they are for.
const GRANT_MAX: Duration = Duration::from_secs(10);
/// A lease that ends later was given before the database's clock was set back.
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// How long to wait at most before a turn that somebody has is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Who holds up a loop gives up after so long, and the loop says what is wrong.
const TROUBLE_MAX: Duration = Duration::from_secs(60);
/// How long to wait at most after the store failed.
const TROUBLE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Name of the row that says since when the table is whole (its `free_at`): a crash of the database, or a failover, empties it. Somebody
/// may have a turn from before of which nobody knows; it is over when it could have lasted no longer.
const WHOLE: &str = "all turns";
/// Name of the turn to place items into stories.
pub(super) const STORIES: &str = "stories";

/// The right to do something alone. It is given back when it is dropped, or when its lease runs out.
#[derive(Debug)]
pub struct Turn {
    /// `None` where there is one process.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    store: Store,
    name: String,
    fence: i64,
    /// Nobody has the next turn before so much time has passed.
    pause: Duration,
    /// What this is about is to be left alone for so long.
    rest: Duration,
    /// It was to be left alone for so long when the turn began.
    rests_for: Duration,
}

/// What came of asking for a turn.
enum Asked {
    Granted(Box<Held>),
    /// Ask again after so long.
    Wait(Duration),
}

impl Turn {
    /// After this turn nobody has the next one before so much time has passed.
    pub fn pause(&mut self, length: Duration) {
        if let Some(held) = &mut self.held {
            held.pause = length;
        }
    }

    /// What this is about is to be left alone for so long, by all watchers.
    pub fn rest(&mut self, length: Duration) {
        if let Some(held) = &mut self.held {
            held.rest = length;
        }
    }

    /// What this is about was to be left alone for so long when the turn began.
    pub fn rests_for(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.rests_for).filter(|rest| !rest.is_zero())
    }

    /// Which turn it is: a commit that names it is refused when somebody else has had it since. `None` where there is one process.
    pub fn fence(&self) -> Option<i64> {
        self.held.as_ref().map(|held| held.fence)
    }

    /// Has it for so long from now on. False when somebody else has had it meanwhile.
    pub async fn renew(&self, lease: Duration) -> Result<bool> {
        let Some(held) = &self.held else { return Ok(true) };
        let sql = format!("UPDATE turns SET lease_until = {DATABASE_NOW} + $3 WHERE name = $1 AND fence = $2");
        let done = sqlx::query(AssertSqlSafe(sql)).bind(&held.name).bind(held.fence).bind(as_millis(lease));
        Ok(done.execute(&held.store.writer).await?.rows_affected() == 1)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        // Without a runtime the program ends, and the lease does the rest.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = held.give_back().await {
                tracing::debug!("the turn of {} could not be given back, it runs out: {error}", held.name);
            }
        });
    }
}

impl Held {
    async fn give_back(&self) -> Result<()> {
        if !self.rest.is_zero() {
            // First, so that nobody has the turn without knowing of it; and where it outlives a crash.
            let sql = format!(
                "INSERT INTO rests (name, rest_until) VALUES ($1, {DATABASE_NOW} + $2) \
                 ON CONFLICT (name) DO UPDATE SET rest_until = excluded.rest_until"
            );
            let rest = sqlx::query(AssertSqlSafe(sql)).bind(&self.name).bind(as_millis(self.rest));
            rest.execute(&self.store.writer).await?;
        }
        let sql =
            format!("UPDATE turns SET lease_until = 0, free_at = {DATABASE_NOW} + $3 WHERE name = $1 AND fence = $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&self.name).bind(self.fence).bind(as_millis(self.pause));
        query.execute(&self.store.writer).await?;
        Ok(())
    }
}

fn as_millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Store {
    /// Waits until this host may be asked by us alone. A store in trouble is waited for: nobody could say who else is asking.
    /// `lease`: longer than the request can take.
    pub async fn host_turn(&self, host: &str, lease: Duration) -> Turn {
        loop {
            if let Ok(turn) = self.turn(&format!("host {host}"), lease, Duration::MAX).await {
                return turn;
            }
        }
    }

    /// Waits until we alone place items into stories. Fails when the store is in trouble for a minute.
    pub async fn story_turn(&self, lease: Duration) -> Result<Turn> {
        self.turn(STORIES, lease, TROUBLE_MAX).await
    }

    async fn turn(&self, name: &str, lease: Duration, trouble_max: Duration) -> Result<Turn> {
        if self.engine == Engine::Sqlite {
            return Ok(Turn { held: None });
        }
        let mut trouble = Duration::from_millis(100);
        let mut troubled: Option<Instant> = None;
        loop {
            let asked = Instant::now();
            let wait = match self.ask_for_turn(name, lease).await {
                // Granted long ago, to a process that was stopped meanwhile: it may be another's turn by now.
                Ok(Asked::Granted(held)) if asked.elapsed() > GRANT_MAX => {
                    drop(Turn { held: Some(*held) });
                    Duration::ZERO
                }
                Ok(Asked::Granted(held)) => return Ok(Turn { held: Some(*held) }),
                Ok(Asked::Wait(wait)) => {
                    troubled = None;
                    wait
                }
                Err(error) => {
                    if troubled.get_or_insert(asked).elapsed() > trouble_max {
                        return Err(error);
                    }
                    tracing::debug!("the turn of {name} cannot be had now: {error}");
                    trouble = (trouble * 2).min(TROUBLE_WAIT_MAX);
                    trouble
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask_for_turn(&self, name: &str, lease: Duration) -> Result<Asked> {
        let lease_max = as_millis(LEASE_MAX);
        // The first fence is the time: after a crash of the database, which empties the table, none comes a second time.
        let sql = format!(
            "INSERT INTO turns (name, owner, lease_until, fence, free_at) \
             SELECT $1, $2, {DATABASE_NOW} + $3, {DATABASE_NOW}, 0 WHERE EXISTS ( \
             SELECT 1 FROM turns w WHERE w.name = '{WHOLE}' \
             AND (w.free_at + $3 <= {DATABASE_NOW} OR w.free_at > {DATABASE_NOW} + {lease_max})) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until, fence = turns.fence + 1 \
             WHERE (turns.lease_until <= {DATABASE_NOW} OR turns.lease_until > {DATABASE_NOW} + {lease_max}) \
             AND (turns.free_at <= {DATABASE_NOW} OR turns.free_at > {DATABASE_NOW} + {lease_max}) \
             RETURNING fence, coalesce((SELECT r.rest_until FROM rests r WHERE r.name = turns.name), 0) - {DATABASE_NOW}"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(&*self.owner).bind(as_millis(lease));
        if let Some(row) = query.fetch_optional(&self.writer).await? {
            let rests_for = Duration::from_millis(row.get::<i64, _>(1).max(0) as u64);
            return Ok(Asked::Granted(Box::new(Held {
                store: self.clone(),
                name: name.to_string(),
                fence: row.get(0),
                pause: Duration::ZERO,
                rest: Duration::ZERO,
                rests_for,
            })));
        }
        let sql = format!(
            "SELECT lease_until - {DATABASE_NOW}, free_at - {DATABASE_NOW}, name FROM turns WHERE name = $1 OR name = '{WHOLE}'"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(name).fetch_all(&self.reader).await?;
        if !rows.iter().any(|row| row.get::<String, _>(2) == WHOLE) {
            self.begin_turns_anew(lease).await?;
        }
        let wait = rows.iter().map(|row| {
            let (leased, free): (i64, i64) = (row.get(0), row.get(1));
            match row.get::<String, _>(2).as_str() {
                WHOLE => free + as_millis(lease),
                // Whoever has it will hardly need all of the lease; a pause lasts as long as it lasts.
                _ if leased > 0 => leased.min(as_millis(ASK_AGAIN)),
                _ => free,
            }
        });
        Ok(Asked::Wait(Duration::from_millis(wait.max().unwrap_or(0).clamp(1, lease_max) as u64)))
    }

    /// Nobody knows any more who has which turn.
    async fn begin_turns_anew(&self, lease: Duration) -> Result<()> {
        let sql = format!(
            "INSERT INTO turns (name, owner, lease_until, fence, free_at) VALUES ('{WHOLE}', '', 0, 0, {DATABASE_NOW}) \
             ON CONFLICT (name) DO NOTHING"
        );
        if sqlx::query(AssertSqlSafe(sql)).execute(&self.writer).await?.rows_affected() == 1 {
            tracing::warn!(
                "the database has lost who asks which host (it crashed, or another one took its place): nothing is asked for {} s, until \
                 whoever asked then has come to an end",
                lease.as_secs()
            );
        }
        Ok(())
    }

    /// Forgets hosts that were not asked for a day.
    pub(super) async fn forget_turns(&self) -> Result<()> {
        let sql = format!(
            "DELETE FROM turns WHERE free_at < {DATABASE_NOW} - 86400000 AND lease_until < {DATABASE_NOW} - 86400000 \
             AND name <> $1 AND name <> $2"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(STORIES).bind(WHOLE).execute(&self.writer).await?;
        let sql = format!("DELETE FROM rests WHERE rest_until < {DATABASE_NOW}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.writer).await?;
        Ok(())
    }
}

/// The turn is still ours; nobody can take it before the transaction ends.
pub(super) async fn is_ours(tx: &mut Transaction<'static, Any>, name: &str, fence: i64) -> Result<bool> {
    let done = sqlx::query("UPDATE turns SET fence = fence WHERE name = $1 AND fence = $2").bind(name).bind(fence);
    Ok(done.execute(&mut **tx).await?.rows_affected() == 1)
}
