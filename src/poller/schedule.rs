//! When a source is asked next, and why then. Pure.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::config::section::show_duration;
use crate::fault::{Class, Fault};
use crate::model::{Id, Pace, Reading};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A server in trouble, and a way that is blocked, are tried again at least so often: they get well without us, and what a
/// source shows meanwhile may be gone from it in a day.
const PASSING_MAX: Duration = Duration::from_secs(6 * 3600);
/// A source is asked so often between two of its items, as far as the bounds let it: one that publishes once a day is asked
/// every hour.
const VISITS_PER_ITEM: u32 = 24;
/// Visits are spread over no more than this.
const SPREAD_MAX: Duration = Duration::from_secs(30 * 60);
/// How often a source may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// As configured for this source: then its own rhythm does not matter.
    pub own_interval: Option<Duration>,
    /// While nothing is known of its rhythm.
    pub interval: Duration,
    /// Its rhythm never makes it asked more often.
    pub interval_min: Duration,
    /// Its rhythm never makes it asked less often.
    pub interval_quiet: Duration,
    /// Neither the publisher's word on freshness nor a row of failures makes it asked less often.
    pub interval_max: Duration,
    /// The longest that a publisher's wish to be left alone is heeded.
    pub retry_after_max: Duration,
}

/// What a visit came to, as far as the next one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visited {
    /// An answer that could be used.
    Good {
        /// The source is a feed and gives no validators: each request costs its publisher the whole of it.
        unconditional: bool,
    },
    /// No usable answer.
    Failed {
        /// Why.
        fault: Fault,
        /// Failed visits in a row, this one included.
        failures: i64,
        /// How long the publisher asks to be left alone.
        retry_after: Option<Duration>,
        /// How long the answer calls itself fresh.
        fresh_for: Option<Duration>,
    },
}

/// When to ask again, and why then in words.
pub fn next_visit(name: &str, visited: Visited, bounds: &Bounds, pace: &Pace, now: Timestamp) -> (Timestamp, String) {
    let (wait, reason) = match visited {
        Visited::Good { unconditional } => after_good(bounds, pace, unconditional),
        Visited::Failed { fault, failures, retry_after, fresh_for } => {
            let (wait, reason) = after_failure(fault, failures, bounds);
            let asked = retry_after.map(|asked| asked.min(bounds.retry_after_max)).filter(|asked| *asked > wait);
            let fresh = fresh_for.map(|fresh| fresh.min(bounds.interval_max)).filter(|fresh| *fresh > wait);
            match (asked, fresh) {
                (Some(asked), _) => (asked, format!("the publisher asked to wait {}", show_duration(asked))),
                (None, Some(fresh)) => {
                    (fresh, format!("the publisher says its error holds for {}", show_duration(fresh)))
                }
                (None, None) => (wait, reason),
            }
        }
    };
    // The same sources must not fall due together for ever: a later moment within a tenth, from a hash, never earlier.
    let spread = spread(&[name, &now.as_millisecond().to_string()], (wait / 10).min(SPREAD_MAX));
    let at = now.saturating_add(signed(wait + spread)).unwrap_or(Timestamp::MAX);
    match after_skipped(at, pace).filter(|later| later.duration_since(now) <= signed(bounds.retry_after_max)) {
        Some(later) if later > at => (later, format!("{reason}; the publisher asks to leave out some hours or days")),
        _ => (at, reason),
    }
}

fn after_good(bounds: &Bounds, pace: &Pace, unconditional: bool) -> (Duration, String) {
    let (wait, reason) = own_rhythm(bounds, pace, unconditional);
    let minutes = |minutes: Option<u32>| minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
    let wishes = [
        (pace.fresh_seconds.map(Duration::from_secs), "the publisher calls its answer fresh for"),
        (minutes(pace.ttl_minutes), "the feed asks (ttl) for a pause of"),
        (minutes(pace.update_minutes), "the feed says that it is renewed every"),
    ];
    let longest = wishes.into_iter().filter_map(|(wish, words)| Some((wish?, words))).max_by_key(|(wish, _)| *wish);
    match longest {
        Some((wish, words)) if wish > wait && wait < bounds.interval_max => {
            let heeded = wish.min(bounds.interval_max);
            let cut = if heeded < wish {
                format!(", but no source is left for longer than {}", show_duration(heeded))
            } else {
                String::new()
            };
            (heeded, format!("{words} {}{cut}", show_duration(wish)))
        }
        _ => (wait, reason),
    }
}

/// How often a source with this rhythm would be asked, to the hour; `None` while it shows no rhythm.
pub fn fitting_interval(bounds: &Bounds, pace: &Pace) -> Option<Duration> {
    pace.gap_seconds?;
    let (wait, _) = after_good(bounds, pace, false);
    Some(if wait > HOUR { Duration::from_secs(wait.as_secs() / 3600 * 3600) } else { wait })
}

/// How often the source is worth asking, by what it showed so far.
fn own_rhythm(bounds: &Bounds, pace: &Pace, unconditional: bool) -> (Duration, String) {
    if let Some(interval) = bounds.own_interval {
        return (interval, format!("every {}, as configured for it", show_duration(interval)));
    }
    let Some(gap) = pace.gap_seconds.map(Duration::from_secs) else {
        return (bounds.interval, format!("every {}", show_duration(bounds.interval)));
    };
    // What is sent whole each time is asked about as often as it changes; publishers ask for once a day at most.
    let (by_gap, longest) =
        if unconditional { (gap, bounds.interval_max) } else { (gap / VISITS_PER_ITEM, bounds.interval_quiet) };
    // Twice in the time that the list reaches back: nothing may come and go between two visits.
    let by_window = pace.window_seconds.map_or(Duration::MAX, |window| Duration::from_secs(window) / 2);
    let low = bounds.interval_min;
    let wait = by_gap.min(by_window).clamp(low, longest.max(low));
    // To the minute: the sum of many small changes is no news to the reader.
    let wait = if wait > HOUR { Duration::from_secs(wait.as_secs() / 60 * 60).max(low) } else { wait };
    let rhythm = show_duration(Duration::from_secs(gap.as_secs().max(1)));
    let whole = if unconditional { " and is sent whole each time (no ETag, no Last-Modified)" } else { "" };
    (wait, format!("every {}: it brings something new about every {rhythm}{whole}", show_duration(wait)))
}

fn after_failure(fault: Fault, failures: i64, bounds: &Bounds) -> (Duration, String) {
    let interval = bounds.own_interval.unwrap_or(bounds.interval);
    if fault == Fault::Gone {
        return (DAY, "its publisher says it is gone; it is asked once more in a day to be sure".to_string());
    }
    let longest = match fault.class() {
        Class::Lasting => bounds.interval_max,
        Class::Passing | Class::Network => PASSING_MAX.min(bounds.interval_max),
    };
    let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
    let wait = interval.saturating_mul(1 << doublings).min(longest).max(interval);
    let times = if failures == 1 { "once".to_string() } else { format!("{failures} times in a row") };
    (wait, format!("failed {times} ({}), so it is asked every {}", fault.as_str(), show_duration(wait)))
}

/// The first moment from `at` on that is outside the hours and days that the publisher wants left out.
fn after_skipped(at: Timestamp, pace: &Pace) -> Option<Timestamp> {
    if pace.skip_hours.is_empty() && pace.skip_days.is_empty() {
        return None;
    }
    let mut moment = at.to_zoned(TimeZone::UTC);
    for _ in 0..8 * 24 {
        let day = moment.weekday().to_monday_zero_offset() as u8;
        if !pace.skip_days.contains(&day) && !pace.skip_hours.contains(&(moment.hour() as u8)) {
            return Some(moment.timestamp());
        }
        // The minute stays: who all come at the full hour come together.
        moment = moment.checked_add(1.hour()).ok()?;
    }
    // Everything is left out: that cannot be meant.
    None
}

/// What a reading says of its source's rhythm; the time between items is learned from visit to visit.
pub fn learn(pace: &Pace, reading: &Reading, new_items: usize, last_news: Option<Timestamp>, now: Timestamp) -> Pace {
    let mut dates: Vec<Timestamp> = reading
        .entries
        .iter()
        .filter_map(|entry| entry.published.or(entry.updated))
        .filter(|date| *date <= now)
        .collect();
    dates.sort_unstable();
    let seconds = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0);
    let window_seconds = match (dates.first(), reading.entries.len()) {
        // One or two dates say nothing of how far a list reaches.
        (Some(first), 5..) if dates.len() * 2 > reading.entries.len() => Some(seconds(*first, now)),
        _ => None,
    };
    let gap_seconds = match (pace.gap_seconds, last_news) {
        // Once it is watched its own news count, each visit a little.
        (Some(gap), Some(last)) if new_items > 0 => {
            Some((gap.saturating_mul(3) + seconds(last, now) / new_items as u64) / 4)
        }
        (None, Some(last)) if new_items > 0 => typical_gap(&dates, now).or(Some(seconds(last, now) / new_items as u64)),
        (Some(_), _) => quiet(pace, last_news, now).gap_seconds,
        (None, _) => typical_gap(&dates, now).or(quiet(pace, last_news, now).gap_seconds),
    };
    Pace {
        fresh_seconds: pace.fresh_seconds,
        ttl_minutes: reading.ttl_minutes,
        update_minutes: reading.update_minutes,
        skip_hours: reading.skip_hours.clone(),
        skip_days: reading.skip_days.clone(),
        gap_seconds,
        window_seconds,
    }
}

/// The rhythm after a visit that brought nothing: silence is a rhythm, too.
pub fn quiet(pace: &Pace, last_news: Option<Timestamp>, now: Timestamp) -> Pace {
    let silence = last_news.and_then(|last| u64::try_from(now.duration_since(last).as_secs()).ok());
    let gap_seconds = match (pace.gap_seconds, silence) {
        (Some(gap), Some(silence)) => Some(gap.max(silence)),
        // A source that shows no dates: a day of silence says something, an hour does not.
        (None, Some(silence)) if silence >= DAY.as_secs() => Some(silence),
        (gap, _) => gap,
    };
    Pace { gap_seconds, ..pace.clone() }
}

/// The mean time between the latest dates, the time since the last one included, in seconds.
fn typical_gap(dates: &[Timestamp], now: Timestamp) -> Option<u64> {
    const LATEST: usize = 20;
    let latest = &dates[dates.len().saturating_sub(LATEST)..];
    let first = latest.first().filter(|_| latest.len() >= 3)?;
    let span = u64::try_from(now.duration_since(*first).as_secs()).ok()?;
    Some(span / latest.len() as u64)
}

/// When a source that was never asked is asked first: soon, but not all of them together.
pub fn first_visit(name: &str, bounds: &Bounds, now: Timestamp) -> Timestamp {
    soon(name, bounds.own_interval.unwrap_or(bounds.interval), now)
}

/// A moment within two minutes, or within the interval if that is shorter, that differs from source to source.
pub fn soon(name: &str, interval: Duration, now: Timestamp) -> Timestamp {
    let window = interval.min(Duration::from_secs(120));
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

/// How long an answer is fresh (RFC 9111 section 4.2): max-age, else Expires, less the time it lay in a cache on the way.
pub fn fresh_for(
    cache_control: Option<&str>,
    expires: Option<&str>,
    age: Option<&str>,
    now: Timestamp,
) -> Option<Duration> {
    let lifetime = cache_control.and_then(max_age).or_else(|| expires.and_then(|date| until(date, now)))?;
    let age = age.and_then(|age| seconds(age.trim())).unwrap_or_default();
    Some(lifetime.saturating_sub(age))
}

/// The time by the server's own clock, which its dates are meant by; ours when it does not tell.
pub fn server_time(date: Option<&str>, now: Timestamp) -> Timestamp {
    date.and_then(|date| Timestamp::try_from(httpdate::parse_http_date(date.trim()).ok()?).ok()).unwrap_or(now)
}

/// max-age of a Cache-Control header (RFC 9111 section 5.2.2.1).
fn max_age(cache_control: &str) -> Option<Duration> {
    cache_control.split(',').find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("max-age") {
            return None;
        }
        seconds(value.trim().trim_matches('"'))
    })
}

/// Retry-After as a length of time: seconds or a date (RFC 9110 section 10.2.3).
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    seconds(header).or_else(|| until(header, now))
}

/// How long it is until an HTTP date; `None` for one that is past.
fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let at = Timestamp::try_from(httpdate::parse_http_date(date.trim()).ok()?).ok()?;
    Duration::try_from(at.duration_since(now)).ok().filter(|wait| !wait.is_zero())
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
    use crate::model::Entry;

    const MINUTE: Duration = Duration::from_secs(60);
    const BOUNDS: Bounds = Bounds {
        own_interval: None,
        interval: HOUR,
        interval_min: Duration::from_secs(900),
        interval_quiet: Duration::from_secs(6 * 3600),
        interval_max: DAY,
        retry_after_max: Duration::from_secs(48 * 3600),
    };

    const GOOD: Visited = Visited::Good { unconditional: false };

    /// A Friday, 08:00 UTC.
    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn check(visited: Visited, pace: &Pace, least: Duration, reason: &str) {
        let (at, why) = next_visit("wire", visited, &BOUNDS, pace, now());
        let wait = Duration::try_from(at.duration_since(now())).unwrap();
        assert!(wait >= least && wait <= least + least / 10, "{reason}: {wait:?}");
        assert_eq!(why, reason);
    }

    #[test]
    fn rounding_to_the_minute_never_asks_earlier_than_allowed() {
        let low = Duration::from_secs(11_265);
        let bounds = Bounds { interval_min: low, interval: low, ..BOUNDS };
        let pace = Pace { gap_seconds: Some(60), ..Pace::default() };
        for second in 0..50 {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            let (at, why) = next_visit("wire", GOOD, &bounds, &pace, now);
            assert!(at.duration_since(now) >= signed(low), "{at}: {why}");
        }
    }

    #[test]
    fn the_publisher_is_heeded_within_the_bounds() {
        let fresh = |seconds| Pace { fresh_seconds: Some(seconds), ..Pace::default() };
        check(GOOD, &Pace::default(), HOUR, "every 1 h");
        check(GOOD, &fresh(60), HOUR, "every 1 h");
        check(GOOD, &fresh(7200), 2 * HOUR, "the publisher calls its answer fresh for 2 h");
        check(
            GOOD,
            &fresh(400 * 86_400),
            DAY,
            "the publisher calls its answer fresh for 400 days, but no source is left for longer than 1 day",
        );
        let ttl = Pace { ttl_minutes: Some(180), update_minutes: Some(90), ..Pace::default() };
        check(GOOD, &ttl, 3 * HOUR, "the feed asks (ttl) for a pause of 3 h");
        let update = Pace { update_minutes: Some(720), ..ttl };
        check(GOOD, &update, 12 * HOUR, "the feed says that it is renewed every 12 h");
    }

    #[test]
    fn a_source_is_asked_by_its_own_rhythm() {
        let rhythm = |gap: u64| Pace { gap_seconds: Some(gap), ..Pace::default() };
        check(GOOD, &rhythm(300), 15 * MINUTE, "every 15 min: it brings something new about every 5 min");
        check(GOOD, &rhythm(2 * 86_400), 2 * HOUR, "every 2 h: it brings something new about every 2 days");
        check(GOOD, &rhythm(365 * 86_400), 6 * HOUR, "every 6 h: it brings something new about every 365 days");
        let short_list = Pace { window_seconds: Some(7200), ..rhythm(2 * 86_400) };
        check(GOOD, &short_list, HOUR, "every 1 h: it brings something new about every 2 days");
        check(
            Visited::Good { unconditional: true },
            &rhythm(20 * 3600),
            20 * HOUR,
            "every 20 h: it brings something new about every 20 h and is sent whole each time (no ETag, no Last-Modified)",
        );
        let own = Bounds { own_interval: Some(5 * MINUTE), ..BOUNDS };
        let (_, why) = next_visit("wire", GOOD, &own, &rhythm(365 * 86_400), now());
        assert_eq!(why, "every 5 min, as configured for it");
    }

    #[test]
    fn failures_slow_down() {
        let failed = |fault, failures| Visited::Failed { fault, failures, retry_after: None, fresh_for: None };
        let pace = Pace::default();
        let server = Fault::ServerTrouble;
        check(failed(server, 1), &pace, HOUR, "failed once (server-trouble), so it is asked every 1 h");
        check(failed(server, 3), &pace, 4 * HOUR, "failed 3 times in a row (server-trouble), so it is asked every 4 h");
        check(
            failed(server, 9_000),
            &pace,
            6 * HOUR,
            "failed 9000 times in a row (server-trouble), so it is asked every 6 h",
        );
        check(
            failed(Fault::NotFound, 9_000),
            &pace,
            DAY,
            "failed 9000 times in a row (not-found), so it is asked every 1 day",
        );
        check(
            failed(Fault::Gone, 1),
            &pace,
            DAY,
            "its publisher says it is gone; it is asked once more in a day to be sure",
        );
        let waits = |retry_after: Option<u64>, fresh_for: Option<u64>| Visited::Failed {
            fault: Fault::SlowDown,
            failures: 1,
            retry_after: retry_after.map(Duration::from_secs),
            fresh_for: fresh_for.map(Duration::from_secs),
        };
        check(waits(Some(5400), None), &pace, 90 * MINUTE, "the publisher asked to wait 1 h 30 min");
        check(waits(Some(60), None), &pace, HOUR, "failed once (slow-down), so it is asked every 1 h");
        check(waits(Some(u64::from(u32::MAX)), None), &pace, 48 * HOUR, "the publisher asked to wait 2 days");
        check(waits(None, Some(3 * 3600)), &pace, 3 * HOUR, "the publisher says its error holds for 3 h");
    }

    #[test]
    fn hours_and_days_may_be_left_out() {
        let at = |pace: &Pace| next_visit("wire", GOOD, &BOUNDS, pace, now()).0.to_zoned(TimeZone::UTC);
        let hours = at(&Pace { skip_hours: vec![9, 10, 11], ..Pace::default() });
        assert_eq!(hours.hour(), 12);
        let late_in_week = Pace { skip_days: vec![4], ..Pace::default() };
        assert_eq!(at(&late_in_week).weekday(), jiff::civil::Weekday::Saturday);
        let everything = Pace { skip_hours: (0..24).collect(), ..Pace::default() };
        assert_eq!(at(&everything).hour(), 9, "all hours left out cannot be meant");
        let most_days = Pace { skip_days: vec![4, 5, 6, 0, 1], ..Pace::default() };
        assert_eq!(at(&most_days).hour(), 9, "longer than any publisher's wish is heeded");
    }

    #[test]
    fn the_rhythm_is_learned_from_dates_and_then_from_visits() {
        let entry =
            |hours: i64| Entry { published: Some(now() - SignedDuration::from_hours(hours)), ..Entry::default() };
        let reading =
            Reading { entries: (0..10).map(|n| entry(n * 2)).collect(), ttl_minutes: Some(5), ..Reading::default() };
        let first = learn(&Pace::default(), &reading, 10, None, now());
        assert_eq!(
            (first.gap_seconds, first.window_seconds, first.ttl_minutes),
            (Some(6480), Some(18 * 3600), Some(5))
        );
        let last = Some(now() - SignedDuration::from_hours(10));
        assert_eq!(learn(&first, &reading, 2, last, now()).gap_seconds, Some((3 * 6480 + 18_000) / 4));
        assert_eq!(learn(&first, &reading, 0, last, now()).gap_seconds, Some(36_000), "silence is a rhythm, too");
        let nothing = learn(&Pace::default(), &Reading::default(), 0, None, now());
        assert_eq!((nothing.gap_seconds, nothing.window_seconds), (None, None));
        let future = Entry { published: Some(now() + SignedDuration::from_hours(90_000)), ..Entry::default() };
        let odd = Reading { entries: vec![future; 10], ..Reading::default() };
        assert_eq!(learn(&Pace::default(), &odd, 10, None, now()).gap_seconds, None);
    }

    #[test]
    fn headers_with_times() {
        let fresh = |cache_control, expires, age| fresh_for(cache_control, expires, age, now());
        assert_eq!(fresh(Some("public, max-age=3600"), None, None), Some(60 * MINUTE));
        assert_eq!(fresh(Some("MAX-AGE=\"60\", x"), Some("Fri, 15 Jan 2027 12:00:00 GMT"), None), Some(MINUTE));
        assert_eq!(fresh(Some("max-age=3600"), None, Some("3000")), Some(10 * MINUTE));
        assert_eq!(fresh(Some("no-cache"), Some("Fri, 15 Jan 2027 08:10:00 GMT"), None), Some(10 * MINUTE));
        assert_eq!(fresh(None, Some("0"), None), None);
        assert_eq!(fresh(Some("max-age=soon"), None, None), None);
        assert_eq!(retry_after("120", now()), Some(2 * MINUTE));
        assert_eq!(retry_after("99999999999999999999", now()), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(retry_after("Fri, 15 Jan 2027 08:10:00 GMT", now()), Some(10 * MINUTE));
        assert_eq!(retry_after("Friday, 15-Jan-27 08:10:00 GMT", now()), Some(10 * MINUTE));
        assert_eq!(retry_after("Fri, 15 Jan 2027 07:00:00 GMT", now()), None, "in the past");
        assert_eq!(server_time(Some("Fri, 15 Jan 2027 02:00:00 GMT"), now()).to_string(), "2027-01-15T02:00:00Z");
        assert_eq!(server_time(Some("late"), now()), now());
        assert_eq!(retry_after("soon", now()), None);
        assert_eq!(retry_after("-5", now()), None);
    }
}
