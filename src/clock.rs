//! The only place that asks what time it is. A simulated clock stands where it was put.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time and waits for it: the system's clock, or one that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    simulated: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock { simulated: None }
    }

    /// A clock that stands at `start` until it is moved.
    pub fn simulated(start: Timestamp) -> Clock {
        Clock { simulated: Some(Arc::new(AtomicI64::new(start.as_millisecond()))) }
    }

    /// The time, to the millisecond (what the store keeps).
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    pub fn now(&self) -> Timestamp {
        let millis = match &self.simulated {
            Some(at) => at.load(Ordering::SeqCst),
            None => Timestamp::now().as_millisecond(),
        };
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    /// Puts a simulated clock to `to`, forward or back; the system's clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Some(at) = &self.simulated {
            at.store(to.as_millisecond(), Ordering::SeqCst);
        }
    }

    /// Waits until `at`, but never longer than `longest`: a clock that was set back or a suspended machine must not
    /// leave a loop asleep.
    pub async fn sleep_until(&self, at: Timestamp, longest: Duration) {
        let wait = at.duration_since(self.now()).max(SignedDuration::ZERO).unsigned_abs();
        tokio::time::sleep(wait.min(longest)).await;
    }
}
