//! After an attempt: done, once more and when, or given up. Pure.
//!
//! | the attempt | the next one |
//! | --- | --- |
//! | was taken | none |
//! | was certainly not taken | after 1, 2, 4, ... minutes, at most an hour |
//! | was not taken, and a wait was named (greylisting, "too many connections", Retry-After) | after that wait; when that has not helped for long, not sooner than above |
//! | nobody knows (the answer was lost) | with the same id, as each may bring a copy: after 5, 10, 20, ... minutes, at most 4 hours |
//! | can never succeed | none: dead at once, loudly |
//!
//! After five days of attempts a message is dead, loudly; the operator can have it tried again.

use jiff::{SignedDuration, Timestamp};

use super::channel::DeliveryError;
use crate::model::{Id, Outcome};

/// The first wait after a failed attempt; each further one is twice as long.
const WAIT_FIRST: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait between two attempts.
const WAIT_MAX: SignedDuration = SignedDuration::from_hours(1);
/// The same where an attempt may bring a copy.
const UNCERTAIN_WAIT_FIRST: SignedDuration = SignedDuration::from_mins(5);
const UNCERTAIN_WAIT_MAX: SignedDuration = SignedDuration::from_hours(4);
/// A wait that the other side names is taken as it is for so many attempts.
const NAMED_WAITS_MAX: i64 = 20;
/// What can be named.
const NAMED_WAIT_MAX: SignedDuration = SignedDuration::from_hours(6);
/// A message that no attempt could deliver for so long is given up, loudly (RFC 5321 section 4.5.4.1: 4 to 5 days).
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);
/// And not before so many attempts: a machine that was off for a week has tried nothing yet.
const ATTEMPTS_MIN: i64 = 50;
/// The same where an attempt may bring a copy.
const UNCERTAIN_ATTEMPTS_MIN: i64 = 20;

/// What follows from an attempt on a row that was first due at `first_due_at`, this being attempt number `attempts`.
pub fn after(
    id: Id,
    result: Result<(), DeliveryError>,
    attempts: i64,
    first_due_at: Timestamp,
    now: Timestamp,
) -> Outcome {
    let (error, wait, attempts_min) = match result {
        Ok(()) => return Outcome::Sent,
        Err(DeliveryError::Permanent(error)) => return Outcome::Dead { error },
        Err(DeliveryError::Temporary(error)) => (error, doubled(WAIT_FIRST, attempts, WAIT_MAX), ATTEMPTS_MIN),
        Err(DeliveryError::Busy { error, wait }) => {
            let named = SignedDuration::try_from(wait).unwrap_or(NAMED_WAIT_MAX).min(NAMED_WAIT_MAX);
            let usual = doubled(WAIT_FIRST, attempts, WAIT_MAX);
            (error, if attempts <= NAMED_WAITS_MAX { named } else { named.max(usual) }, ATTEMPTS_MIN)
        }
        Err(DeliveryError::Uncertain(error)) => {
            let wait = doubled(UNCERTAIN_WAIT_FIRST, attempts, UNCERTAIN_WAIT_MAX);
            (format!("{error} (it may have arrived all the same)"), wait, UNCERTAIN_ATTEMPTS_MIN)
        }
    };
    if attempts >= attempts_min && now.duration_since(first_due_at) > GIVE_UP_AFTER {
        return Outcome::Dead { error: format!("given up after 5 days and {attempts} attempts: {error}") };
    }
    // Rows that failed together shall not all come back in the same second.
    let spread = SignedDuration::from_millis(id.0.rem_euclid(wait.as_millis() as i64 / 10 + 1));
    Outcome::Again { at: now + wait + spread, error }
}

/// `first` at the first attempt, twice as much at each further one, at most `longest`.
fn doubled(first: SignedDuration, attempts: i64, longest: SignedDuration) -> SignedDuration {
    (first * (1 << (attempts.clamp(1, 20) - 1))).min(longest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: Id = Id(12345);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// The next attempt comes between `minutes` and a tenth more.
    #[track_caller]
    fn waits(error: DeliveryError, attempts: i64, minutes: i64) {
        let Outcome::Again { at, .. } = after(ID, Err(error.clone()), attempts, now(), now()) else {
            panic!("{error:?} at attempt {attempts}")
        };
        let wait = at.duration_since(now());
        assert!(
            wait >= SignedDuration::from_mins(minutes) && wait <= SignedDuration::from_secs(minutes * 66),
            "{error:?} at attempt {attempts}: {wait}"
        );
    }

    #[test]
    fn waits_grow_and_have_a_ceiling() {
        for (attempts, minutes) in [(1, 1), (2, 2), (4, 8), (7, 60), (5_000, 60)] {
            waits(DeliveryError::Temporary("421 busy".into()), attempts, minutes);
        }
        for (attempts, minutes) in [(1, 5), (2, 10), (6, 160), (7, 240), (5_000, 240)] {
            waits(DeliveryError::Uncertain("no answer".into()), attempts, minutes);
        }
        let greylisted = || DeliveryError::Busy { error: "450 greylisted".into(), wait: Duration::from_secs(300) };
        for (attempts, minutes) in [(1, 5), (20, 5), (21, 60)] {
            waits(greylisted(), attempts, minutes);
        }
        waits(DeliveryError::Busy { error: "for ever".into(), wait: Duration::MAX }, 1, 360);
    }

    #[test]
    fn what_was_taken_is_done_and_what_was_refused_is_dead_at_once() {
        assert_eq!(after(ID, Ok(()), 1, now(), now()), Outcome::Sent);
        let refused = Err(DeliveryError::Permanent("550 no such user".into()));
        assert_eq!(after(ID, refused, 1, now(), now()), Outcome::Dead { error: "550 no such user".into() });
    }

    #[test]
    fn it_ends_loudly_after_five_days_of_attempts() {
        let old = now() - SignedDuration::from_hours(6 * 24);
        let temporary = || Err(DeliveryError::Temporary("421 busy".into()));
        assert!(
            matches!(after(ID, temporary(), 1, old, now()), Outcome::Again { .. }),
            "a week's digest is tried more than once"
        );
        assert!(
            matches!(after(ID, temporary(), 90, old, now()), Outcome::Dead { error } if error.contains("5 days") && error.contains("421 busy"))
        );
        let uncertain = Err(DeliveryError::Uncertain("no answer".into()));
        assert!(
            matches!(after(ID, uncertain, 20, old, now()), Outcome::Dead { error } if error.contains("may have arrived"))
        );
    }
}
