//! A loop or a chore whose step failed: said once, tried again and again, and noted where `newswatch status` sees it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::{PING_MAX, Shared};
use crate::meters::Meters;
use crate::plain;
use crate::store::Store;

/// A single cycle that fails so often in a row ends with an error; the daemon never gives up.
const ONCE_FAILURES_MAX: u32 = 3;
/// What failed so often in a row is noted in the store, for `newswatch status`.
const NOTED_AFTER: u32 = 3;

/// What to do about a step that failed: say so once, wait longer each time, go on. The work is still in the store.
pub(super) struct Trouble {
    /// What it is counted as, and what it is in words.
    name: &'static str,
    what: &'static str,
    store: Store,
    failures: u32,
    since: Timestamp,
}

impl Trouble {
    pub(super) fn new(name: &'static str, what: &'static str, store: &Store) -> Trouble {
        Trouble { name, what, store: store.clone(), failures: 0, since: Timestamp::UNIX_EPOCH }
    }

    pub(super) async fn over(&mut self, now: Timestamp) {
        if self.failures > 0 {
            tracing::info!("{} goes on after {}", self.what, plain::counted(self.failures as usize, "failed attempt"));
            if self.failures >= NOTED_AFTER {
                self.note("", now).await;
            }
            self.failures = 0;
        }
    }

    /// Where it can be: a database whose disk is full still changes what stands in it, and looks as if nothing were wrong.
    async fn note(&self, text: &str, now: Timestamp) {
        let note = self.store.note_held_up(self.what, text, self.since, now);
        if !matches!(tokio::time::timeout(PING_MAX, note).await, Ok(Ok(()))) {
            tracing::debug!("that {} is held up could not be noted in the store", self.what);
        }
    }

    /// Waits; false when the program is to stop.
    pub(super) async fn wait(&mut self, error: &(dyn std::fmt::Display + Sync), shared: &Shared) -> bool {
        self.failures += 1;
        Meters::count(&shared.meters.loop_failures, "loop", self.name);
        if shared.once && self.failures >= ONCE_FAILURES_MAX {
            let text = plain::line(&error.to_string(), 500);
            tracing::error!("{} is given up: {text} [{}]", self.what, self.store.name());
            shared.gave_up.store(true, Ordering::Relaxed);
            shared.stop.cancel();
            return false;
        }
        let text = plain::line(&error.to_string(), 500);
        let now = shared.clock.now();
        if self.failures == 1 {
            tracing::error!("{} is held up, nothing is lost: {text} [{}]", self.what, self.store.name());
            self.since = now;
        } else {
            tracing::debug!("{} is still held up: {text}", self.what);
        }
        if self.failures >= NOTED_AFTER && !shared.once {
            self.note(&text, now).await;
        }
        // Somebody waits for the end of a single cycle.
        let unit = if shared.once { Duration::from_millis(250) } else { Duration::from_secs(1) };
        let wait = unit * (1 << self.failures.min(5));
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = shared.stop.cancelled() => false,
        }
    }
}
