//! A copy of a SQLite store, made while it is used: whole, checked, and on the disk before it bears its name.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection, Executor, Row};

use super::{Result, Store, StoreError, in_words};

/// What a copy waits for at most.
const SETTINGS: &str = "PRAGMA busy_timeout = 60000;";

/// Copies the store at `from` to `to`, which is replaced if it is there. Answers how many bytes it has.
pub(super) async fn copy(from: &Path, to: &Path, check: bool) -> Result<u64> {
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = to.with_file_name(name);
    let copied = copy_as(from, &partial, check).await;
    let placed = copied.and_then(|bytes| place(&partial, to).map(|()| bytes));
    if placed.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    placed
}

async fn copy_as(from: &Path, partial: &Path, check: bool) -> Result<u64> {
    let open = |error| StoreError::Open { path: partial.to_path_buf(), error };
    // An empty file is there already, so that it is never one that others can read.
    let _ = std::fs::remove_file(partial);
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(partial).map_err(open)?;
    let unusable = |error: sqlx::Error| StoreError::Unusable { path: partial.to_path_buf(), problem: in_words(&error) };
    let mut connection = AnyConnection::connect(&format!("sqlite://{}?mode=rw", from.display())).await?;
    connection.execute(SETTINGS).await?;
    let target = partial.display().to_string();
    let made = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await;
    let _ = connection.close().await;
    made.map_err(unusable)?;
    if check {
        let mut connection =
            AnyConnection::connect(&format!("sqlite://{}?mode=ro&immutable=true", partial.display())).await?;
        let rows = sqlx::query("PRAGMA integrity_check(10)").fetch_all(&mut connection).await;
        let _ = connection.close().await;
        let says: Vec<String> = rows.map_err(unusable)?.iter().map(|row| row.get(0)).collect();
        if says != ["ok"] {
            return Err(StoreError::Unusable {
                path: from.to_path_buf(),
                problem: format!("its copy is not sound, so the store itself may be damaged: {}", says.join("; ")),
            });
        }
    }
    let file = std::fs::File::open(partial).map_err(open)?;
    file.sync_all().map_err(open)?;
    Ok(file.metadata().map_err(open)?.len())
}

/// Gives the copy its name, for good.
fn place(partial: &Path, to: &Path) -> Result<()> {
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let placed = std::fs::rename(partial, to).and_then(|()| std::fs::File::open(folder)?.sync_all());
    placed.map_err(|error| StoreError::Open { path: to.to_path_buf(), error })
}

/// Where the copy from before an upgrade stands: beside the store, with the version that it has.
fn before_upgrade(path: &Path, version: i64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".before-{version}"));
    path.with_file_name(name)
}

/// Keeps a copy of the store as it was before an upgrade to `version`; those of earlier upgrades go. Without room for one the upgrade
/// goes on: it is one transaction, and a watcher that does not run loses more.
pub(super) async fn keep_before_upgrade(path: &Path, version: i64) {
    let copy_path = before_upgrade(path, version);
    remove_partial(path);
    match copy(path, &copy_path, false).await {
        Ok(_) => {
            tracing::info!(
                "the store is brought up to date; as it was it stands at {}, for going back to the older newswatch",
                copy_path.display()
            );
            remove_older(path, &copy_path);
        }
        Err(error) => tracing::warn!("the store is brought up to date without a copy of how it was: {error}"),
    }
}

fn remove_older(path: &Path, newest: &Path) {
    remove(path, |file, version| version.bytes().all(|byte| byte.is_ascii_digit()) && file != newest.file_name());
}

/// Copies that were broken off: the store may be large, and they would fill the disk one after the other.
fn remove_partial(path: &Path) {
    remove(path, |_, version| version.contains(".partial-"));
}

/// Removes copies from before upgrades, by their name and what follows ".before-" in it.
fn remove(path: &Path, is_wanted: impl Fn(Option<&std::ffi::OsStr>, &str) -> bool) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let head = format!("{}.before-", name.display());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().display().to_string();
        if name.strip_prefix(&head).is_some_and(|version| is_wanted(entry.path().file_name(), version)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Store {
    /// Copies the store to a file, checked as a whole; others go on reading and writing. Answers how many bytes it has.
    pub async fn backup(&self, to: &Path) -> Result<u64> {
        match &self.path {
            Some(from) => copy(from, to, true).await,
            None => Err(StoreError::NoFile(self.name.clone())),
        }
    }
}
