//! The connections to the database, every call of which has a limit of time.
//!
//! A database that is cut off without a word (a machine that loses its power, a firewall that forgets) would be waited for without end:
//! sqlx sets no keepalive on its connections and no limit on what it waits for, also when a connection is given back. So whoever waits too long
//! is told that the database does not answer, and all connections are thrown away: the next call makes new ones. Nothing can come
//! between a process and its SQLite file, and there is no limit.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::any::{AnyPoolOptions, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Describe, Either, Execute, Executor, SqlStr};

/// A database that gives no connection and no answer for so long gets new connections.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The connections, shared by its clones.
#[derive(Clone)]
pub(super) struct Pool {
    connections: Arc<Connections>,
    /// How long one statement may take; `None`: as long as it takes.
    limit: Option<Duration>,
}

struct Connections {
    /// The pool in use, and which one that is.
    now: RwLock<(u64, AnyPool)>,
    /// How to make another, and after how long the database has certainly ended a statement by itself.
    anew: Option<(AnyPoolOptions, String, Duration)>,
    /// When the database answered last.
    answered: Mutex<Instant>,
}

/// Options and address hold a password.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Pool {
    /// Connections that last as long as the program, without limits.
    pub(super) fn lasting(pool: AnyPool) -> Pool {
        Pool::of(pool, None, None)
    }

    /// Connections of which each statement may take so long, and that are made anew when one takes longer.
    pub(super) fn limited(pool: AnyPool, options: AnyPoolOptions, url: &str, limit: Duration) -> Pool {
        Pool::of(pool, Some((options, url.to_string(), limit)), Some(limit))
    }

    fn of(pool: AnyPool, anew: Option<(AnyPoolOptions, String, Duration)>, limit: Option<Duration>) -> Pool {
        let (now, answered) = (RwLock::new((0, pool)), Mutex::new(Instant::now()));
        Pool { connections: Arc::new(Connections { now, anew, answered }), limit }
    }

    /// The same connections, with another limit where there is one.
    pub(super) fn within(&self, limit: Duration) -> Pool {
        Pool { connections: self.connections.clone(), limit: self.limit.map(|_| limit) }
    }

    /// Waits until all connections are closed.
    pub(super) async fn close(&self) {
        // One that does not answer is left to the system.
        let pool = self.now().1;
        match self.limit {
            Some(_) => _ = tokio::time::timeout(SILENCE_MAX, pool.close()).await,
            None => pool.close().await,
        }
    }

    /// A connection.
    pub(super) async fn acquire(&self) -> sqlx::Result<PoolConnection<Any>> {
        let (number, pool) = self.now();
        self.in_time(number, pool.acquire()).await
    }

    /// Begins a transaction.
    pub(super) async fn begin_with(&self, statement: &'static str) -> sqlx::Result<Transaction<'static, Any>> {
        let (number, pool) = self.now();
        let inner = self.in_time(number, pool.begin_with(statement)).await?;
        Ok(Transaction { statements: Statements { inner, number, pool: self.clone() } })
    }

    fn now(&self) -> (u64, AnyPool) {
        self.connections.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What comes of a call, or that the database does not answer.
    async fn in_time<T>(&self, number: u64, call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let Some(limit) = self.limit else { return call.await };
        match tokio::time::timeout(limit, call).await {
            // Connections that wait unseen for an answer to their being given back are found out here.
            Ok(Err(sqlx::Error::PoolTimedOut)) if self.silence() > SILENCE_MAX => {
                self.renew(number);
                Err(sqlx::Error::PoolTimedOut)
            }
            Ok(result) => {
                if matches!(result, Ok(_) | Err(sqlx::Error::Database(_))) {
                    *self.connections.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                }
                result
            }
            Err(_) => {
                let ended = self.connections.anew.as_ref().is_some_and(|(_, _, ended)| limit >= *ended);
                // One who does not want to wait longer, while others get their answers, hears of a slow database only.
                if ended || self.silence() >= limit {
                    self.renew(number);
                }
                let text = format!("the database does not answer within {} s", limit.as_secs());
                Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)))
            }
        }
    }

    fn silence(&self) -> Duration {
        self.connections.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Throws all connections away, unless somebody else has done so already. Who is in the middle of something may finish it.
    fn renew(&self, number: u64) {
        let Some((options, url, _)) = &self.connections.anew else { return };
        let mut now = self.connections.now.write().unwrap_or_else(PoisonError::into_inner);
        if now.0 == number
            && let Ok(pool) = options.clone().connect_lazy(url)
        {
            let (_, old) = std::mem::replace(&mut *now, (number + 1, pool));
            // Closed from here on; nobody waits for those that do not answer.
            drop(old.close());
        }
    }
}

type Results<'e> = BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>;

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let (pool, (number, connections)) = (self.clone(), self.now());
        at_once(async move {
            let call = async { connections.fetch_many(query).try_collect::<Vec<_>>().await };
            pool.in_time(number, call).await
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let (pool, (number, connections)) = (self.clone(), self.now());
        Box::pin(async move { pool.in_time(number, connections.fetch_optional(query)).await })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'p: 'e,
    {
        let (pool, (number, connections)) = (self.clone(), self.now());
        Box::pin(async move { pool.in_time(number, connections.prepare_with(sql, parameters)).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'p: 'e,
    {
        let (pool, (number, connections)) = (self.clone(), self.now());
        Box::pin(async move { pool.in_time(number, connections.describe(sql)).await })
    }
}

/// All results of a statement, once they are there.
fn at_once<'e>(
    all: impl Future<Output = sqlx::Result<Vec<Either<AnyQueryResult, AnyRow>>>> + Send + 'e,
) -> Results<'e> {
    let results = async move { all.await.map(|all| stream::iter(all.into_iter().map(Ok))) };
    stream::once(results).try_flatten().boxed()
}

/// A transaction, as sqlx has it, with a limit of time for each of its statements. It is rolled back when it is dropped.
pub(super) struct Transaction<'c, DB: sqlx::Database> {
    statements: Statements<'c, DB>,
}

/// What a transaction runs its statements on.
pub(super) struct Statements<'c, DB: sqlx::Database> {
    inner: sqlx::Transaction<'c, DB>,
    pool: Pool,
    /// Of which pool its connection is.
    number: u64,
}

impl Transaction<'static, Any> {
    /// What has been done is done for good.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        let Statements { inner, pool, number } = self.statements;
        pool.in_time(number, inner.commit()).await
    }

    /// Its statements may take as long as they take.
    pub(super) fn lift_limit(&mut self) {
        self.statements.pool.limit = None;
    }

    /// Name of the engine.
    pub(super) fn backend_name(&self) -> &str {
        self.statements.inner.backend_name()
    }
}

impl<'c, DB: sqlx::Database> Deref for Transaction<'c, DB> {
    type Target = Statements<'c, DB>;

    fn deref(&self) -> &Statements<'c, DB> {
        &self.statements
    }
}

impl<'c, DB: sqlx::Database> DerefMut for Transaction<'c, DB> {
    fn deref_mut(&mut self) -> &mut Statements<'c, DB> {
        &mut self.statements
    }
}

impl<DB: sqlx::Database> fmt::Debug for Statements<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statements").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<'t> Executor<'t> for &'t mut Statements<'static, Any> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        't: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Statements { inner, pool, number } = self;
        at_once(async move {
            let call = async { (&mut **inner).fetch_many(query).try_collect::<Vec<_>>().await };
            pool.in_time(*number, call).await
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        't: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Statements { inner, pool, number } = self;
        Box::pin(async move { pool.in_time(*number, (&mut **inner).fetch_optional(query)).await })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        't: 'e,
    {
        let Statements { inner, pool, number } = self;
        Box::pin(async move { pool.in_time(*number, (&mut **inner).prepare_with(sql, parameters)).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        't: 'e,
    {
        let Statements { inner, pool, number } = self;
        Box::pin(async move { pool.in_time(*number, (&mut **inner).describe(sql)).await })
    }
}
