//! What can go wrong with the store, in words for the operator, and whether it passes by itself.

use std::path::PathBuf;

use super::ACQUIRE_MAX;

/// What can go wrong with the store. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store was written by a newer version of the program.
    #[error(
        "the store {store} was written by a newer newswatch (its version is {found}, this program knows {known}): \
         install the newer program again, or point store.url at another file"
    )]
    Newer {
        /// Which store.
        store: String,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Another daemon works on the same SQLite file.
    #[error(
        "another newswatch already runs on {0}: stop it first (systemctl stop newswatch), or use another store.url"
    )]
    InUse(PathBuf),
    /// The file or folder cannot be opened or made.
    #[error("cannot open the store {path}: {error}; the user that newswatch runs as must be able to write there", path = .path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// store.url is not understood.
    #[error("store.url {0:?} is neither sqlite:PATH nor postgres://...")]
    Url(String),
    /// Only a SQLite store is a file that can be copied.
    #[error("the store {0} is no file: its own database makes copies of it")]
    NoFile(String),
    /// One store cannot be moved to the other.
    #[error("the store is not moved: {0}")]
    NotMoved(String),
    /// It is being filled from another one.
    #[error(
        "the store {store} is being filled from {from}, and that did not end: finish it with `newswatch store migrate`, or \
         point store.url at another one"
    )]
    HalfFilled {
        /// Which store.
        store: String,
        /// From which one.
        from: String,
    },
    /// The file is not the one that was opened any more.
    #[error(
        "the store {path} was removed or replaced while newswatch runs, so what is stored from now on is lost: stop newswatch, \
         put the file back and start it again", path = .0.display()
    )]
    Gone(PathBuf),
    /// The file is there, but the database cannot work with it.
    #[error("cannot use the store {path}: {problem}", path = .path.display())]
    Unusable {
        /// Path of the file.
        path: PathBuf,
        /// What the database says, and what to do about it.
        problem: String,
    },
    /// What the database says.
    #[error("the store failed: {0}")]
    Database(String),
    /// The database is away, does not answer or takes nothing now, whatever it is given.
    #[error("the store failed: {0}")]
    Away(String),
    /// Another watcher has had the turn since.
    #[error(
        "another watcher has had the turn to place items into stories since: nothing is stored, they are scored again"
    )]
    TurnIsOver,
    /// Another watcher was in the way: the same again may well succeed.
    #[error("the store failed: {0}")]
    InTheWay(String),
}

impl StoreError {
    /// It says nothing of what was to be stored: the same may be stored later.
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Away(_) | StoreError::InTheWay(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let text = in_words(&error);
        match &error {
            sqlx::Error::Database(database) if database.code().is_some_and(|code| IN_THE_WAY.contains(&&*code)) => {
                StoreError::InTheWay(text)
            }
            error if is_away(error) => StoreError::Away(text),
            _ => StoreError::Database(text),
        }
    }
}

/// SQLSTATE of two transactions that got into one another's way.
const IN_THE_WAY: [&str; 2] = ["40001", "40P01"];

/// Only time, or the database's operator, helps.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        // What sqlx makes of a proxy that has nobody behind it and hangs up is a protocol that is not kept.
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // PostgreSQL's have five places, the first two are classes: connections, transactions, resources, locks, intervention. A
            // statement that took too long may be too long by itself. SQLite's are numbers: busy, locked, disk in trouble, disk full.
            match code.parse::<i32>() {
                Ok(number) if code.len() < 5 => [5, 6, 10, 13].contains(&(number & 0xff)),
                _ => code != "57014" && ["08", "25", "53", "55", "57"].iter().any(|class| code.starts_with(class)),
            }
        }
        _ => false,
    }
}

/// What a database error says, and what the operator can do about it, where that is known.
pub(super) fn in_words(error: &sqlx::Error) -> String {
    let text = match error {
        // Without the line of PostgreSQL's own source.
        sqlx::Error::Database(database) => database.message().to_string(),
        sqlx::Error::Io(error) => format!("no connection to the database, or it broke: {error}"),
        sqlx::Error::Protocol(text) => format!("no connection to the database, or it broke: {}", text.trim_end()),
        error => error.to_string(),
    };
    let text = text.as_str();
    match error {
        // What stands behind it was tried again and again meanwhile, and is not told.
        sqlx::Error::PoolTimedOut => format!(
            "no connection to the database within {} s: it is away or does not answer, the network between is cut, or it has no \
             connection left (nothing is lost, the work goes on when it is back)",
            ACQUIRE_MAX.as_secs()
        ),
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            format!("{text}{}", advice_by_code(&code).unwrap_or_else(|| advice(text)))
        }
        // The connection broke: a restart, a failover, the network; or it was given up while it was waited for.
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed => {
            format!("{text} (nothing is lost, the work goes on when the database is back)")
        }
        _ => format!("{text}{}", advice(text)),
    }
}

/// What to do about an error of PostgreSQL, by its SQLSTATE.
fn advice_by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "53100" => " (free space on the disk of the database; nothing is lost, the work is done again)",
        "25006" => {
            " (the database takes no writes: after a failover store.url must lead to the new primary; nothing is lost, the work \
             goes on when it does)"
        }
        "53300" => " (raise max_connections of the database, or run fewer watchers)",
        "57P01" | "57P02" | "57P03" => " (nothing is lost, the work goes on when the database is back)",
        "28000" | "28P01" => " (see user and password of store.url, ~/.pgpass and pg_hba.conf)",
        "3D000" => " (create the database, or correct store.url)",
        "42501" => " (the user of store.url must own the tables, and may create some)",
        "25P03" | "57014" | "55P03" => " (the database or the way to it is too slow; the work is done again)",
        "40001" | "40P01" => " (two watchers were in each other's way; the work is done again)",
        _ => return None,
    })
}

fn advice(text: &str) -> &'static str {
    if text.contains("disk is full") || text.contains("No space left") {
        " (free space on the disk; nothing is lost, the work is done again)"
    } else if text.contains("readonly") || text.contains("read-only") {
        " (the store and its folder must be writable for the user that newswatch runs as)"
    } else if text.contains("disk I/O error") {
        " (see the system's log for what is wrong with the disk; nothing is lost, the work is done again)"
    } else if text.contains("unable to open") {
        " (newswatch must be able to write in its folder)"
    } else if text.contains("malformed") || text.contains("not a database") {
        " (the file is damaged: restore a backup, or move it away to start anew)"
    } else {
        ""
    }
}
