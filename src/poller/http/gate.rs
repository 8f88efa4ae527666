//! Politeness: one request at a time per host with a pause in between, and not too many a second in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use crate::store::Store;
use crate::store::turns;

/// Above so many hosts the gates of idle ones are dropped.
const GATES_MAX: usize = 4096;
/// A turn among watchers is held for so much longer than a request takes.
const LEASE_BEYOND: Duration = Duration::from_secs(15);

/// What is known of the hosts. Shared by the clients before and after a reload: a host does not care about ours.
#[derive(Debug, Default)]
pub struct Hosts {
    gates: Mutex<HashMap<String, Gate>>,
    /// Hosts that want no more pages asked for before then.
    resting: Mutex<HashMap<String, Instant>>,
    /// When the next request may start, over all hosts.
    next: Mutex<Option<Instant>>,
}

/// The gates of all hosts.
#[derive(Debug)]
pub(super) struct Gates {
    gap: Duration,
    /// Between two requests, over all hosts.
    pace: Duration,
    hosts: Arc<Hosts>,
    /// Where other watchers ask for their turns, too, and how long a request takes at most.
    shared: Option<(Store, Duration)>,
}

/// Locked while a host is being asked; holds when that ended last.
type Gate = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// The right to ask a host, until it is dropped.
pub(super) struct Turn {
    own: OwnedMutexGuard<Option<Instant>>,
    /// The right among all watchers.
    shared: Option<turns::Turn>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.own = Some(Instant::now());
    }
}

impl Turn {
    /// All watchers leave the pages of the host alone for so long.
    pub(super) fn rest(&mut self, length: Duration) {
        if let Some(shared) = &mut self.shared {
            shared.rest(length);
        }
    }

    /// Another watcher was asked to leave the pages of the host alone for so long.
    pub(super) fn rests_for(&self) -> Option<Duration> {
        self.shared.as_ref().and_then(turns::Turn::rests_for)
    }
}

impl Gates {
    pub(super) fn new(gap: Duration, requests_per_second_max: usize, hosts: Arc<Hosts>) -> Gates {
        Gates { gap, pace: Duration::from_secs(1) / requests_per_second_max.max(1) as u32, hosts, shared: None }
    }

    /// The same gates with what others know of the hosts.
    pub(super) fn with_hosts(self, hosts: Arc<Hosts>) -> Gates {
        Gates { hosts, ..self }
    }

    /// The same gates, before which the other watchers on this store stand, too. `request_max`: what a request takes at most.
    pub(super) fn shared(self, store: &Store, request_max: Duration) -> Gates {
        let shared = store.is_shared().then(|| (store.clone(), request_max + LEASE_BEYOND));
        Gates { shared, ..self }
    }

    /// Waits until the host may be asked. `delay`: the pause that the host itself asks for.
    pub(super) async fn turn(&self, host: &str, delay: Duration) -> Turn {
        let pause = self.gap.max(delay);
        let mut turn = Turn { own: self.gate(host).lock_owned().await, shared: None };
        if let Some(rest) = turn.own.and_then(|ended| pause.checked_sub(ended.elapsed())) {
            tokio::time::sleep(rest).await;
        }
        let rest = self.place_in_line(Instant::now());
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        // Last, so that nothing stands between it and the request.
        if let Some((store, lease)) = &self.shared {
            let mut shared = store.host_turn(plain_name(host), *lease).await;
            shared.pause(pause);
            turn.shared = Some(shared);
        }
        turn
    }

    fn gate(&self, host: &str) -> Gate {
        let host = plain_name(host);
        let mut gates = self.hosts.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= GATES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(host.to_string()).or_default().clone()
    }

    /// Leaves the pages of a host alone for so long.
    pub(super) fn rest(&self, host: &str, length: Duration) {
        let mut resting = self.hosts.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        resting.retain(|_, until| *until > now);
        if resting.len() < GATES_MAX {
            resting.insert(host.to_string(), now + length);
        }
    }

    /// How long the pages of a host are still to be left alone.
    pub(super) fn rests_for(&self, host: &str) -> Option<Duration> {
        let resting = self.hosts.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.get(host)?.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    /// Takes the next place over all hosts and says how long it is until then.
    fn place_in_line(&self, now: Instant) -> Duration {
        let mut next = self.hosts.next.lock().unwrap_or_else(PoisonError::into_inner);
        let place = next.map_or(now, |next| next.max(now));
        *next = Some(place + self.pace);
        place - now
    }
}

/// "example.org." is the same host as "example.org".
fn plain_name(host: &str) -> &str {
    host.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_the_second() {
        let gates = Gates::new(Duration::ZERO, 50, Arc::default());
        let now = Instant::now();
        let waits: Vec<u128> = (0..4).map(|_| gates.place_in_line(now).as_millis()).collect();
        assert_eq!(waits, [0, 20, 40, 60]);
        // A pause is not saved up for a burst.
        let later = now + Duration::from_secs(60);
        assert_eq!((gates.place_in_line(later).as_millis(), gates.place_in_line(later).as_millis()), (0, 20));
    }

    #[test]
    fn a_host_rests_as_long_as_it_asked_for() {
        let gates = Gates::new(Duration::ZERO, 50, Arc::default());
        gates.rest("a.example", Duration::from_secs(60));
        gates.rest("b.example", Duration::ZERO);
        assert!(gates.rests_for("a.example").is_some_and(|rest| rest > Duration::from_secs(50)));
        assert_eq!((gates.rests_for("b.example"), gates.rests_for("c.example")), (None, None));
    }
}
