//! After an attempt: done, once more and when, or given up. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::channel::DeliveryError;
use crate::model::{Id, Outcome};

/// The first wait after a failed attempt; each further one is twice as long.
const WAIT_FIRST: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait between two attempts.
const WAIT_MAX: SignedDuration = SignedDuration::from_hours(1);
/// A message that no attempt could deliver for so long is given up, loudly (RFC 5321 section 4.5.4.1: 4 to 5 days).
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);
/// And not before so many attempts: a machine that was off for a week has tried nothing yet.
const ATTEMPTS_MIN: i64 = 50;

/// The longest wait that the other side may ask for.
const HEEDED_MAX: Duration = Duration::from_secs(24 * 3600);

/// What follows from an attempt on a row that was first due at `first_due_at`, this being attempt number `attempts`.
pub fn after(
    id: Id,
    result: Result<(), DeliveryError>,
    attempts: i64,
    first_due_at: Timestamp,
    now: Timestamp,
) -> Outcome {
    let (result, at_least) = match result {
        Err(DeliveryError::Later { error, wait }) => (Err(DeliveryError::Temporary(error)), wait.min(HEEDED_MAX)),
        result => (result, Duration::ZERO),
    };
    match result {
        Ok(()) => Outcome::Sent,
        Err(DeliveryError::Permanent(error)) => Outcome::Dead { error },
        Err(DeliveryError::Temporary(error))
            if attempts >= ATTEMPTS_MIN && now.duration_since(first_due_at) > GIVE_UP_AFTER =>
        {
            Outcome::Dead { error: format!("given up after 5 days and {attempts} attempts: {error}") }
        }
        Err(DeliveryError::Temporary(error) | DeliveryError::Later { error, .. }) => {
            let doublings = attempts.clamp(1, 20) - 1;
            let at_least = SignedDuration::try_from(at_least).unwrap_or(WAIT_MAX);
            let wait = (WAIT_FIRST * (1 << doublings)).min(WAIT_MAX).max(at_least);
            // Rows that failed together shall not all come back in the same second.
            let spread = SignedDuration::from_millis(id.0.rem_euclid(wait.as_millis() as i64 / 10 + 1));
            Outcome::Again { at: now + wait + spread, error }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_have_a_ceiling_and_end_loudly() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let id = Id(12345);
        let temporary = || Err(DeliveryError::Temporary("421 busy".into()));
        for (attempts, minutes) in [(1, 1), (2, 2), (4, 8), (7, 60), (5_000, 60)] {
            let Outcome::Again { at, error } = after(id, temporary(), attempts, now, now) else { panic!("{attempts}") };
            let wait = at.duration_since(now);
            assert!(
                wait >= SignedDuration::from_mins(minutes) && wait <= SignedDuration::from_secs(minutes * 66),
                "{attempts}: {wait}"
            );
            assert_eq!(error, "421 busy");
        }
        assert_eq!(after(id, Ok(()), 1, now, now), Outcome::Sent);
        for (asked, minutes) in [(600, 10), (1, 1), (10_000_000, 24 * 60)] {
            let later = Err(DeliveryError::Later { error: "429".into(), wait: Duration::from_secs(asked) });
            let Outcome::Again { at, .. } = after(id, later, 1, now, now) else { panic!("{asked}") };
            let wait = at.duration_since(now);
            assert!(
                wait >= SignedDuration::from_mins(minutes) && wait <= SignedDuration::from_mins(minutes * 11 / 10 + 1)
            );
        }
        let refused = Err(DeliveryError::Permanent("550 no such user".into()));
        assert_eq!(after(id, refused, 1, now, now), Outcome::Dead { error: "550 no such user".into() });
        let old = now - SignedDuration::from_hours(6 * 24);
        assert!(
            matches!(after(id, temporary(), 1, old, now), Outcome::Again { .. }),
            "a week's digest is tried more than once"
        );
        assert!(
            matches!(after(id, temporary(), 90, old, now), Outcome::Dead { error } if error.contains("5 days") && error.contains("421 busy"))
        );
    }
}
