//! When a source is asked next, and why then. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::section::show_duration;
use crate::model::Id;

/// The longest that a publisher's wish to be left alone is heeded.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(48 * 3600);

/// How often a source may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// As configured for the source.
    pub interval: Duration,
    /// Never more often.
    pub interval_min: Duration,
    /// Never less often, whatever a publisher or a long row of failures says.
    pub interval_max: Duration,
}

/// What a visit came to, as far as the next one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visited {
    /// An answer that could be used.
    Good {
        /// How long the publisher calls it fresh (max-age, ttl), the longest of them.
        fresh_for: Option<Duration>,
    },
    /// No usable answer.
    Failed {
        /// Failed visits in a row, this one included.
        failures: i64,
        /// How long the publisher asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// When to ask again, and why then in words.
pub fn next_visit(name: &str, visited: Visited, rhythm: &Rhythm, now: Timestamp) -> (Timestamp, String) {
    let interval = rhythm.interval.clamp(rhythm.interval_min, rhythm.interval_max);
    let (wait, reason) = match visited {
        Visited::Good { fresh_for: Some(fresh) } if fresh > interval => {
            let wait = fresh.min(rhythm.interval_max);
            (wait, format!("the publisher calls its answer fresh for {}", show_duration(fresh)))
        }
        Visited::Good { .. } => (interval, format!("every {}", show_duration(interval))),
        Visited::Failed { retry_after: Some(asked), .. } if asked > interval => {
            let wait = asked.min(RETRY_AFTER_MAX);
            (wait, format!("the publisher asked to wait {}", show_duration(asked)))
        }
        Visited::Failed { failures, .. } => {
            let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
            let wait = interval.saturating_mul(1 << doublings).min(rhythm.interval_max).max(interval);
            (wait, format!("failed {} in a row, so it is asked every {}", times(failures), show_duration(wait)))
        }
    };
    // The same sources must not fall due together for ever: a later moment within a tenth, from a hash, never earlier.
    let spread = spread(&[name, &now.as_millisecond().to_string()], wait / 10);
    (now.saturating_add(signed(wait + spread)).unwrap_or(Timestamp::MAX), reason)
}

fn times(count: i64) -> String {
    if count == 1 { "once".to_string() } else { format!("{count} times") }
}

/// When a source that was never asked is asked first: soon, but not all of them together.
pub fn first_visit(name: &str, rhythm: &Rhythm, now: Timestamp) -> Timestamp {
    let window = rhythm.interval.min(Duration::from_secs(120));
    now.saturating_add(signed(spread(&[name], window))).unwrap_or(Timestamp::MAX)
}

/// A length below `window` that only depends on the parts.
fn spread(parts: &[&str], window: Duration) -> Duration {
    let window = window.as_millis() as u64;
    if window == 0 {
        return Duration::ZERO;
    }
    Duration::from_millis(Id::of(parts).0 as u64 % window)
}

fn signed(length: Duration) -> SignedDuration {
    SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

/// max-age of a Cache-Control header (RFC 9111 section 5.2.2.1).
pub fn max_age(cache_control: &str) -> Option<Duration> {
    cache_control.split(',').find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("max-age") {
            return None;
        }
        let digits = value.trim().trim_matches('"');
        seconds(digits)
    })
}

/// Retry-After as a length of time: seconds or a date (RFC 9110 section 10.2.3).
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Some(length) = seconds(header) {
        return Some(length);
    }
    let at = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

/// A number of seconds; one that no number type holds is the longest there is.
fn seconds(digits: &str) -> Option<Duration> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(digits.parse::<u64>().unwrap_or(u64::MAX).min(u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_secs(1800),
        interval_min: Duration::from_secs(900),
        interval_max: Duration::from_secs(86_400),
    };

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn check(visited: Visited, least: Duration, reason: &str) {
        let (at, why) = next_visit("wire", visited, &RHYTHM, now());
        let wait = Duration::try_from(at.duration_since(now())).unwrap();
        assert!(wait >= least && wait <= least + least / 10, "{visited:?}: {wait:?}");
        assert_eq!(why, reason);
    }

    #[test]
    fn the_next_visit_and_why_then() {
        check(Visited::Good { fresh_for: None }, 30 * MINUTE, "every 30 min");
        check(Visited::Good { fresh_for: Some(MINUTE) }, 30 * MINUTE, "every 30 min");
        check(
            Visited::Good { fresh_for: Some(120 * MINUTE) },
            120 * MINUTE,
            "the publisher calls its answer fresh for 2 h",
        );
        check(
            Visited::Good { fresh_for: Some(Duration::from_secs(400 * 86_400)) },
            Duration::from_secs(86_400),
            "the publisher calls its answer fresh for 400 days",
        );
        let failed = |failures, retry_after| Visited::Failed { failures, retry_after };
        check(failed(1, None), 30 * MINUTE, "failed once in a row, so it is asked every 30 min");
        check(failed(3, None), 120 * MINUTE, "failed 3 times in a row, so it is asked every 2 h");
        check(
            failed(9_000, None),
            Duration::from_secs(86_400),
            "failed 9000 times in a row, so it is asked every 1 day",
        );
        check(failed(1, Some(90 * MINUTE)), 90 * MINUTE, "the publisher asked to wait 1 h 30 min");
        check(
            failed(1, Some(Duration::from_secs(u64::from(u32::MAX)))),
            RETRY_AFTER_MAX,
            "the publisher asked to wait 49710 days 6 h",
        );
    }

    #[test]
    fn headers_with_times() {
        assert_eq!(max_age("public, max-age=3600"), Some(60 * MINUTE));
        assert_eq!(max_age("MAX-AGE=\"60\", x"), Some(MINUTE));
        assert_eq!(max_age("no-cache"), None);
        assert_eq!(max_age("max-age=soon"), None);
        assert_eq!(retry_after("120", now()), Some(2 * MINUTE));
        assert_eq!(retry_after("99999999999999999999", now()), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(retry_after("Fri, 15 Jan 2027 08:10:00 GMT", now()), Some(10 * MINUTE));
        assert_eq!(retry_after("Fri, 15 Jan 2027 07:00:00 GMT", now()), None, "in the past");
        assert_eq!(retry_after("soon", now()), None);
        assert_eq!(retry_after("-5", now()), None);
    }
}
