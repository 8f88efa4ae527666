//! Politeness: one request at a time per host with a pause in between, and not too many a second in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

/// Above so many hosts the gates of idle ones are dropped.
const GATES_MAX: usize = 4096;

/// The gates of all hosts.
#[derive(Debug)]
pub(super) struct Gates {
    gap: Duration,
    /// Between two requests, over all hosts.
    pace: Duration,
    hosts: Mutex<HashMap<String, Gate>>,
    /// When the next request may start, over all hosts.
    next: Mutex<Option<Instant>>,
}

/// Locked while a host is being asked; holds when that ended last.
type Gate = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// The right to ask a host, until it is dropped.
pub(super) struct Turn(OwnedMutexGuard<Option<Instant>>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}

impl Gates {
    pub(super) fn new(gap: Duration, requests_per_second_max: usize) -> Gates {
        Gates {
            gap,
            pace: Duration::from_secs(1) / requests_per_second_max.max(1) as u32,
            hosts: Mutex::default(),
            next: Mutex::default(),
        }
    }

    /// Waits until the host may be asked. `delay`: the pause that the host itself asks for.
    pub(super) async fn turn(&self, host: &str, delay: Duration) -> Turn {
        let turn = Turn(self.gate(host).lock_owned().await);
        if let Some(rest) = turn.0.and_then(|ended| self.gap.max(delay).checked_sub(ended.elapsed())) {
            tokio::time::sleep(rest).await;
        }
        let rest = self.place_in_line(Instant::now());
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        turn
    }

    fn gate(&self, host: &str) -> Gate {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= GATES_MAX {
            hosts.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        hosts.entry(host.to_string()).or_default().clone()
    }

    /// Takes the next place over all hosts and says how long it is until then.
    fn place_in_line(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let place = next.map_or(now, |next| next.max(now));
        *next = Some(place + self.pace);
        place - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_the_second() {
        let gates = Gates::new(Duration::ZERO, 50);
        let now = Instant::now();
        let waits: Vec<u128> = (0..4).map(|_| gates.place_in_line(now).as_millis()).collect();
        assert_eq!(waits, [0, 20, 40, 60]);
        // A pause is not saved up for a burst.
        let later = now + Duration::from_secs(60);
        assert_eq!((gates.place_in_line(later).as_millis(), gates.place_in_line(later).as_millis()), (0, 20));
    }
}
