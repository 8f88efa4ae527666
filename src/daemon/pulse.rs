//! The sign of life: to the service manager and to the store, while every loop comes round; and what a clock that was set back asks for.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::{HEARTBEAT_NOTE, PING_MAX, Shared, standstill, status_line};
use crate::store::{Store, StoreError};
use crate::systemd;

/// How often the store is told that the daemon lives, for `newswatch status`.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// A clock that goes back by more was set; less is how clocks are kept right.
const CLOCK_BACK: SignedDuration = SignedDuration::from_mins(1);
/// How long after that times of the old clock may still be stored.
const SET_BACK_WATCH: Duration = Duration::from_secs(20 * 60);

async fn note_heartbeat(store: &Store, shared: &Shared) -> Result<(), StoreError> {
    let now = shared.clock.now().to_string();
    let noted = tokio::time::timeout(PING_MAX, store.note(HEARTBEAT_NOTE, &now)).await;
    noted.unwrap_or_else(|_| Err(StoreError::Away("the database does not answer".to_string())))
}

/// Tells systemd and the store that the daemon lives, only while every loop comes round. A store that answers but cannot be
/// written (a full disk) is no reason to be killed: the work goes on by itself once there is room.
pub(super) async fn pulse(shared: Shared, store: Store) {
    let every = systemd::watchdog_interval().map_or(HEARTBEAT, |interval| (interval / 3).min(HEARTBEAT));
    let mut was_well = true;
    let mut last = shared.clock.now();
    let mut set_back: Option<Instant> = None;
    loop {
        let now = shared.clock.now();
        if now + CLOCK_BACK < last {
            tracing::warn!(
                "the clock was set back from {last} to {now}: what was to happen by the old time is done now"
            );
            set_back = Some(Instant::now());
        }
        last = now;
        // For a while: a visit that began before may store the old time after.
        if set_back.is_some_and(|at| at.elapsed() < SET_BACK_WATCH)
            && let Err(error) = store.forget_the_future(now).await
        {
            tracing::error!("what a clock set back left behind could not be mended: {error}");
        }
        let answer = tokio::time::timeout(PING_MAX, store.ping()).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::Away("the database does not answer".to_string())));
        let waits = shared.is_moving() && answer.as_ref().is_err_and(|error| store.is_waited_for(error));
        let well = waits || shared.is_moving() && answer.is_ok();
        if waits {
            systemd::alive("the store is away, newswatch tries again and again");
        } else if well {
            systemd::alive(&status_line(&shared.config.borrow().clone()));
            if let Err(error) = note_heartbeat(&store, &shared).await {
                tracing::debug!("the heartbeat could not be noted: {error}");
            }
        } else if was_well {
            let why = match answer {
                Err(error) => error.to_string(),
                Ok(()) => standstill(),
            };
            tracing::error!("the watchdog is not fed any more: {why}");
        }
        was_well = well;
        tokio::time::sleep(every).await;
    }
}
