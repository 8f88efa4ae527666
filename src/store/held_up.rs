//! What is held up: a part of a watcher whose work fails again and again says so in the store, where it can.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{Result, Store};

/// Names of the notes: this, what is held up, " of " and who does it.
const PREFIX: &str = "held up: ";
/// It is said again at least so often; later it is over, or its watcher is.
const REPEATED: SignedDuration = SignedDuration::from_mins(2);
/// Notes that a dead watcher left are forgotten after so long.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A part of a watcher that cannot do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// What, in words ("polling").
    pub what: String,
    /// The watcher, as it calls itself in claims; empty where there is one process.
    pub owner: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Notes that `what` of this process has been held up since then, or with an empty reason that it goes on.
    pub async fn note_held_up(&self, what: &str, reason: &str, since: Timestamp, now: Timestamp) -> Result<()> {
        let name = format!("{PREFIX}{what} of {}", self.owner);
        let forget = sqlx::query("DELETE FROM notes WHERE name LIKE $1 AND (name = $2 OR value < $3)");
        let old = (now - KEPT).to_string();
        if reason.is_empty() {
            forget.bind(format!("{PREFIX}%")).bind(name).bind(old).execute(&self.writer).await?;
            return Ok(());
        }
        self.note(&name, &format!("{now} {since} {reason}")).await
    }

    /// What is held up now.
    pub async fn held_up(&self, now: Timestamp) -> Result<Vec<HeldUp>> {
        let notes = sqlx::query("SELECT name, value FROM notes WHERE name LIKE $1 ORDER BY name");
        let rows = notes.bind(format!("{PREFIX}%")).fetch_all(&self.reader).await?;
        let read = |name: &str, value: &str| {
            let (what, owner) = name.strip_prefix(PREFIX)?.split_once(" of ")?;
            let mut parts = value.splitn(3, ' ');
            let at: Timestamp = parts.next()?.parse().ok()?;
            let since = parts.next()?.parse().ok()?;
            let held = HeldUp { what: what.into(), owner: owner.into(), since, reason: parts.next()?.into() };
            (now.duration_since(at) <= REPEATED).then_some(held)
        };
        Ok(rows.iter().filter_map(|row| read(row.get(0), row.get(1))).collect())
    }
}
