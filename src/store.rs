//! The only place with SQL. One text serves SQLite (the default, one writer) and PostgreSQL (several watchers).
//!
//! Rules that keep it so: `$1…` placeholders, times as milliseconds UTC in BIGINT (0 = never), flags as BIGINT, JSON as
//! TEXT, no type that only one engine has. Work (due sources, unscored items, due outbox rows) is claimed by a lease with a fence: a
//! row is finished only by the owner and the fence that claimed it, so a watcher that wakes up late overwrites nothing.

mod backup;
mod connections;
pub mod coverage;
pub mod digest;
mod error;
pub mod evidence;
pub mod frequencies;
pub mod glance;
pub mod health;
mod held_up;
pub mod hits;
pub mod items;
pub mod mutes;
pub mod outbox;
pub mod retention;
mod schema;
pub mod scores;
pub mod search;
pub mod sources;
pub mod stories;
mod threads;
pub mod transfer;
pub mod turns;
pub mod verdicts;
pub mod watchers;

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Row};
use tokio::sync::watch;

use connections::{Pool, Transaction};
pub use error::StoreError;
use error::in_words;

/// Result of a call of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Which engine is behind the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Embedded, one writer.
    Sqlite,
    /// Shared by several watchers.
    Postgres,
}

/// The store. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    name: String,
    /// The file, on SQLite.
    path: Option<PathBuf>,
    /// Which file that was when it was opened.
    inode: Option<u64>,
    /// One connection on SQLite, so that writers queue here instead of failing there.
    writer: Pool,
    reader: Pool,
    /// Names this process in turns; empty for a look.
    owner: Arc<str>,
    /// Held by the daemon; unlocked by the system when the process ends, however it ends.
    lock: Option<Arc<std::fs::File>>,
    /// What is stored is indexed for search.
    indexes: bool,
    /// How many deliveries have [`Store::precedence`].
    deliveries: Arc<watch::Sender<usize>>,
}

/// Name of the note that holds when the daemon last said that it lives.
pub const HEARTBEAT_NOTE: &str = "daemon seen at";
/// A time that lies further ahead was written before the clock was set back.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(5);
/// No claim is held longer (see the loops' LEASE).
const LEASE_MAX: SignedDuration = SignedDuration::from_mins(20);
/// No digest that is being filled is due later (they come once a week at least), nor what waits for the end of quiet hours.
const FILLED_MAX: SignedDuration = SignedDuration::from_hours(15 * 24);
/// No message waits longer for its next attempt (see notifier/retry.rs).
const RETRY_MAX: SignedDuration = SignedDuration::from_mins(70);
/// A store that is not ready by then will not be.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// Connections to PostgreSQL that one process has at most.
pub const CONNECTIONS_MAX: u32 = 8;
/// How long a connection to PostgreSQL is waited for.
const ACQUIRE_MAX: Duration = Duration::from_secs(10);
/// A statement that takes longer is ended by the database (`statement_timeout`). One that is not even ended then gets no answer any more.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// The same for a heartbeat, which is to be heard in time.
const BRISK_MAX: Duration = Duration::from_secs(15);
/// So often a transaction that was in another's way is tried again.
const IN_THE_WAY_MAX: u32 = 5;
/// A connection that was idle for longer is tried before it is used.
const IDLE_TRUSTED: Duration = Duration::from_secs(5);
/// The time of the PostgreSQL server, in milliseconds since 1970.
const DATABASE_NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
/// Others give way to a delivery so long at most: a slow channel must not hold up the rest.
const GIVE_WAY_MAX: Duration = Duration::from_millis(200);

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Precedence(Arc<watch::Sender<usize>>);

impl Drop for Precedence {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// How hard a commit is pushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives power loss.
    Full,
    /// Survives the end of the process only: for tests that make thousands of commits.
    Process,
}

impl Store {
    /// Opens the store that `url` names ("sqlite:PATH", "postgres://…"), makes it if it is missing, and brings it up to date.
    pub async fn open(url: &str, durability: Durability) -> Result<Store> {
        sqlx::any::install_default_drivers();
        let path = url.strip_prefix("sqlite:").map(|path| PathBuf::from(path.strip_prefix("//").unwrap_or(path)));
        let (engine, writer, reader) = match &path {
            Some(path) => {
                let (writer, reader) = open_sqlite(path, durability).await?;
                (Engine::Sqlite, writer, reader)
            }
            None if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
                let pool = open_postgres(url).await?;
                (Engine::Postgres, pool.clone(), pool)
            }
            None => return Err(StoreError::Url(url.to_string())),
        };
        let name = if path.is_some() { url.to_string() } else { without_password(url) };
        let inode = path.as_deref().and_then(inode);
        let (owner, deliveries) = (Arc::from(""), Arc::default());
        let store = Store { engine, name, path, inode, writer, reader, owner, lock: None, indexes: true, deliveries };
        schema::migrate(&store).await?;
        Ok(store)
    }

    /// Makes this process the only daemon on a SQLite file. PostgreSQL is shared by leases and needs no lock.
    pub fn lock(mut self) -> Result<Store> {
        if let Some(path) = self.path.clone() {
            let lock_path = path.with_extension("lock");
            let open = || {
                let file = std::fs::File::options().create(true).truncate(false).write(true).open(&lock_path)?;
                Ok(file)
            };
            let file = open().map_err(|error| StoreError::Open { path: lock_path.clone(), error })?;
            match file.try_lock() {
                Ok(()) => self.lock = Some(Arc::new(file)),
                Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
                Err(std::fs::TryLockError::Error(error)) => return Err(StoreError::Open { path: lock_path, error }),
            }
        }
        Ok(self)
    }

    /// Whether what is stored from now on is indexed for search.
    pub fn indexing(mut self, indexes: bool) -> Store {
        self.indexes = indexes;
        self
    }

    /// The same store, whose turns are taken in the name of this process.
    #[must_use]
    pub fn named(self, owner: &str) -> Store {
        Store { owner: Arc::from(owner), ..self }
    }

    /// The same store, for what is worth nothing when it comes late: who waits for an answer gives up soon.
    #[must_use]
    pub fn brisk(&self) -> Store {
        Store { reader: self.reader.within(BRISK_MAX), writer: self.writer.within(BRISK_MAX), ..self.clone() }
    }

    /// Several watchers may work on it.
    pub fn is_shared(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Where it is, without a password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path leads to the store's own file.
    pub fn is_at(&self, path: &Path) -> bool {
        self.inode.is_some() && inode(path) == self.inode
    }

    /// A database that others share is away: a restart of this watcher would not bring it back, and a few restarts are all that a
    /// service manager makes.
    pub fn is_waited_for(&self, error: &StoreError) -> bool {
        self.is_shared() && error.is_passing()
    }

    /// The store answers, and its file is where it was.
    pub async fn ping(&self) -> Result<()> {
        if let Some(path) = &self.path
            && inode(path) != self.inode
        {
            return Err(StoreError::Gone(path.clone()));
        }
        sqlx::query("SELECT 1").fetch_one(&self.reader).await?;
        Ok(())
    }

    /// Drops the leases that earlier processes left. Only for the holder of the lock: with several watchers leases run out
    /// by themselves.
    pub async fn drop_leases(&self) -> Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for statement in [
            "UPDATE sources SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE unscored SET lease_until = 0 WHERE lease_until > 0",
            "UPDATE outbox SET lease_until = 0 WHERE state = 'waiting' AND lease_until > 0",
        ] {
            sqlx::query(statement).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// After the clock was set back: times that lie so far ahead that only the old clock can have written them are over. Sources
    /// asked in the future are due, claims that end later than any claim are free, and messages that are to go out later than any
    /// are due. Answers how many rows that were.
    pub async fn forget_the_future(&self, now: Timestamp) -> Result<u64> {
        // A shared store is judged by its own clock: one watcher whose clock is wrong must not upset the others.
        let now = if self.is_shared() { self.database_time().await? } else { now };
        let ahead = millis(now + CLOCK_SLACK);
        // Another watcher's clock may be ahead of ours: what it claims now is not of the future.
        let lease_max = if self.is_shared() { LEASE_MAX + CLOCK_SLACK } else { LEASE_MAX };
        let mut tx = self.begin().await?;
        let mut rows = 0;
        for (statement, limit) in [
            ("UPDATE sources SET lease_until = 0 WHERE lease_until > $1", millis(now + lease_max)),
            ("UPDATE unscored SET lease_until = 0 WHERE lease_until > $1", millis(now + lease_max)),
            ("UPDATE outbox SET lease_until = 0 WHERE state = 'waiting' AND lease_until > $1", millis(now + lease_max)),
        ] {
            rows += sqlx::query(statement).bind(limit).execute(&mut *tx).await?.rows_affected();
        }
        let sources = sqlx::query(
            "UPDATE sources SET next_at = $1, next_reason = 'the clock was set back' \
             WHERE next_at > $1 AND (attempted_at > $2 OR (attempted_at = 0 AND next_at > $2))",
        );
        rows += sources.bind(millis(now)).bind(ahead).execute(&mut *tx).await?.rows_affected();
        // What was made by the old clock for a time that still comes as it should is left alone.
        let messages = sqlx::query(
            "UPDATE outbox SET due_at = $1 WHERE state = 'waiting' AND due_at > $1 AND due_at > \
             CASE WHEN attempted_at > 0 THEN $2 WHEN kind IN ('digest', 'group', 'overflow') THEN $3 ELSE $4 END",
        );
        let limits = [millis(now + RETRY_MAX), millis(now + FILLED_MAX), ahead];
        let messages = limits.iter().fold(messages.bind(millis(now)), |query, limit| query.bind(*limit));
        rows += messages.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(rows)
    }

    /// A small fact kept by name (a heartbeat, a version).
    pub async fn note(&self, key: &str, value: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO notes (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// A fact kept by [`Store::note`].
    pub async fn noted(&self, key: &str) -> Result<Option<String>> {
        let row = sqlx::query("SELECT value FROM notes WHERE name = $1").bind(key).fetch_optional(&self.reader).await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// A fact kept by name from the first time on: `value` if there is none yet, else what is kept.
    pub async fn noted_or(&self, key: &str, value: &str) -> Result<String> {
        let mut tx = self.begin().await?;
        let new = sqlx::query("INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING");
        new.bind(key).bind(value).execute(&mut *tx).await?;
        let row = sqlx::query("SELECT value FROM notes WHERE name = $1").bind(key).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(row.get(0))
    }

    /// Waits until the connections are closed; the write-ahead log is folded back.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// For a delivery, from before it begins until it is recorded: waits until nobody writes, and lets nobody else begin to, so
    /// that the record finds the one writer free. A kill between a channel's yes and its record makes a duplicate.
    pub async fn precedence(&self) -> Precedence {
        self.deliveries.send_modify(|count| *count += 1);
        let precedence = Precedence(self.deliveries.clone());
        if self.engine == Engine::Sqlite {
            // Trouble with the writer is the record's to report.
            let _ = self.writer.acquire().await;
        }
        precedence
    }

    /// The writer, for one statement, after deliveries were recorded.
    async fn writer(&self) -> &Pool {
        if self.engine == Engine::Sqlite {
            let mut deliveries = self.deliveries.subscribe();
            let _ = tokio::time::timeout(GIVE_WAY_MAX, deliveries.wait_for(|count| *count == 0)).await;
        }
        &self.writer
    }

    /// A transaction that may write, after deliveries were recorded.
    async fn begin(&self) -> Result<Transaction<'static, Any>> {
        self.writer().await;
        self.begin_at_once().await
    }

    /// A transaction that may write. SQLite takes the write lock at once: upgrading later fails instead of waiting.
    async fn begin_at_once(&self) -> Result<Transaction<'static, Any>> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        };
        Ok(self.writer.begin_with(statement).await?)
    }

    /// Does it again when another watcher was in the way: of two transactions that wait for one another PostgreSQL ends one, and nothing
    /// of that one has happened.
    async fn again<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        for attempt in 1..IN_THE_WAY_MAX {
            match call().await {
                Err(StoreError::InTheWay(why)) => {
                    tracing::debug!("two watchers were in each other's way, it is done again: {why}");
                    tokio::time::sleep(Duration::from_millis(20) * attempt * attempt).await;
                }
                done => return done,
            }
        }
        call().await
    }

    /// The clause that lets several watchers claim rows side by side; SQLite has one writer and needs none.
    fn skip_locked(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "",
            Engine::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }
}

/// A pool whose connections let go of what they hold when their watcher is stopped or cut off in the middle of a transaction, so
/// that the others go on. (The statements are small: compiling one takes longer than running it.)
async fn open_postgres(url: &str) -> Result<Pool> {
    const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '15s'; SET statement_timeout = '60s'; \
                            SET lock_timeout = '45s'; SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; \
                            SET tcp_keepalives_count = 3; SET jit = off;";
    let options = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_MAX)
        // A round trip before every statement would cost as much as the statement.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > IDLE_TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SETTINGS).await?;
                Ok(())
            })
        });
    // A pool would try again until its time is over, and say only that.
    let first = async { AnyConnection::connect(url).await?.close().await };
    let first = tokio::time::timeout(OPEN_MAX, first).await;
    first.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    let pool = options.clone().connect(url).await?;
    Ok(Pool::limited(pool, options, url, ANSWER_MAX))
}

async fn open_sqlite(path: &Path, durability: Durability) -> Result<(Pool, Pool)> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Open { path: path.to_path_buf(), error })?;
    }
    let is_new = std::fs::metadata(path).map_or(0, |file| file.len()) == 0;
    // SQLite's own "unable to open database file" says less than the system does. What analysts look for is nobody else's business:
    // the files that SQLite puts beside it take its permissions.
    let open = std::fs::File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    open.map_err(|error| StoreError::Open { path: path.to_path_buf(), error })?;
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let options = |connections: u32, settings: &'static str| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(60))
            .idle_timeout(None)
            .max_lifetime(None)
            // Nothing stands between us and the file that could break a connection unseen.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(settings).await?;
                    Ok(())
                })
            })
    };
    // Identities are scattered, so a large commit writes most pages of the indexes: the log is folded back when it holds 16 MB,
    // not SQLite's 4, and pages that change again and again go to the file once.
    const FULL: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                        PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; \
                        PRAGMA wal_autocheckpoint = 4000;";
    const PROCESS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 10000; \
                           PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; \
                           PRAGMA wal_autocheckpoint = 4000;";
    const READER: &str = "PRAGMA busy_timeout = 10000; PRAGMA cache_size = -4096; PRAGMA query_only = ON;";
    let settings = if durability == Durability::Full { FULL } else { PROCESS };
    let unusable = |problem: String| StoreError::Unusable { path: path.to_path_buf(), problem };
    // A pool tries again for a minute and then says only that it waited: what is wrong is found out without one.
    let first = try_sqlite(&url, settings).await.map_err(|error| unusable(in_words(&error)))?;
    let pools = async { Ok((options(1, settings).connect(&url).await?, options(2, READER).connect(&url).await?)) };
    let pools: sqlx::Result<(AnyPool, AnyPool)> = tokio::time::timeout(OPEN_MAX, pools)
        .await
        .map_err(|_| unusable(format!("it did not become ready within {} s", OPEN_MAX.as_secs())))?;
    let (writer, reader) = pools.map_err(|error| unusable(in_words(&error)))?;
    let _ = first.close().await;
    // One that is thrown away is always new.
    if is_new && durability == Durability::Full {
        tracing::warn!(
            "made a new store at {}: nothing is known yet, and what sources show first is not told to anybody; if there should \
             be a store already, check store.url and STATE_DIRECTORY",
            path.display()
        );
    }
    Ok((Pool::lasting(writer), Pool::lasting(reader)))
}

/// Opens the file, reads its head and sees that it can be written.
async fn try_sqlite(url: &str, settings: &'static str) -> sqlx::Result<AnyConnection> {
    let mut connection = AnyConnection::connect(url).await?;
    connection.execute(settings).await?;
    connection.execute("BEGIN IMMEDIATE; SELECT count(*) FROM sqlite_schema; ROLLBACK").await?;
    Ok(connection)
}

/// Which file the path leads to.
fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|file| file.ino())
}

/// The address without user name, password and parameters.
pub fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &url[..scheme + 3], &url[at + 1..]),
        _ => url.to_string(),
    }
}

/// Milliseconds since 1970, as stored.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// From the stored form; 0 is "never".
fn time(millis: i64) -> Option<Timestamp> {
    if millis == 0 { None } else { Timestamp::from_millisecond(millis).ok() }
}

/// From the stored form of a time that is always there.
fn some_time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// To the stored form.
fn or_never(at: Option<Timestamp>) -> i64 {
    at.map_or(0, millis)
}

/// "($1, $2), ($3, $4)" for `rows` rows of `columns` values, numbered from `first`. SQLite takes "$1" for a name and looks among all names for each
/// value that is bound, which is quadratic; "?" has none.
fn placeholders(engine: Engine, first: usize, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            if column > 0 {
                text.push_str(", ");
            }
            match engine {
                Engine::Sqlite => text.push('?'),
                Engine::Postgres => text.push_str(&format!("${}", first + row * columns + column)),
            }
        }
        text.push(')');
    }
    text
}

/// Which engine a transaction runs on.
fn engine_of(tx: &Transaction<'static, Any>) -> Engine {
    if tx.backend_name() == "SQLite" { Engine::Sqlite } else { Engine::Postgres }
}

/// Rows in groups whose sizes are powers of two, so that few statements are ever prepared.
fn groups<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    const GROUP_MAX: usize = 64;
    std::iter::from_fn(move || {
        let size = if rows.len() >= GROUP_MAX { GROUP_MAX } else { 1 << rows.len().checked_ilog2()? };
        let (group, after) = rows.split_at(size);
        rows = after;
        Some(group)
    })
}

/// Runs one statement for many rows: the cost of a write is the call, not the row. `head` ends before VALUES, `tail` follows
/// the rows.
async fn write_rows<T>(
    tx: &mut Transaction<'static, Any>,
    head: &str,
    tail: &str,
    columns: usize,
    rows: &[T],
    bind: impl for<'q> Fn(Query<'q, Any, AnyArguments>, &T) -> Query<'q, Any, AnyArguments>,
) -> Result<u64> {
    let mut affected = 0;
    for group in groups(rows) {
        let sql = format!("{head} VALUES {} {tail}", placeholders(engine_of(tx), 1, group.len(), columns));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in group {
            query = bind(query, row);
        }
        affected += query.execute(&mut **tx).await?.rows_affected();
    }
    Ok(affected)
}

/// Reads rows whose key is in a list: `head IN ($1, …) tail`, in groups.
async fn read_by_keys(store: &Store, head: &str, tail: &str, keys: &[i64]) -> Result<Vec<AnyRow>> {
    const GROUP: usize = 64;
    let mut rows = Vec::new();
    for group in keys.chunks(GROUP) {
        // The last group is filled up with its own last key: one statement serves every length.
        let sql = format!("{head} IN {} {tail}", placeholders(store.engine, 1, 1, GROUP));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for index in 0..GROUP {
            query = query.bind(group.get(index).or(group.last()).copied().unwrap_or_default());
        }
        rows.extend(query.fetch_all(&store.reader).await?);
    }
    Ok(rows)
}

#[cfg(test)]
pub(crate) mod tests;
