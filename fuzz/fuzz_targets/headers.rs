//! Numbers for the rhythm, then a header: the next visit is never in the past, never before the interval and never beyond the limits.
#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use newswatch::poller::schedule::{Rhythm, Visited, first_visit, max_age, next_visit, retry_after};

const DAY: u64 = 86_400;

fuzz_target!(|data: &[u8]| {
    let Some((numbers, header)) = data.split_first_chunk::<12>() else { return };
    let header = String::from_utf8_lossy(header);
    let number = |at: usize| u64::from(u16::from_le_bytes([numbers[at], numbers[at + 1]]));
    // As the configuration has them: from a second to years, the limits in order.
    let (min, more) = (Duration::from_secs(1 + number(0)), Duration::from_secs(number(2) * 600));
    let rhythm =
        Rhythm { interval: Duration::from_secs(1 + number(4) * 60), interval_min: min, interval_max: min + more };
    let now = Timestamp::from_second(1_700_000_000 + i64::from(numbers[6]) * 10_000_000).expect("a time");
    let interval = rhythm.interval.clamp(rhythm.interval_min, rhythm.interval_max);

    let first = first_visit("wire", &rhythm, now);
    assert!(first >= now && wait(first, now) <= rhythm.interval, "{first}");

    let failures = i64::from_le_bytes([numbers[8], numbers[9], numbers[10], numbers[11], 0, 0, 0, numbers[7]]);
    for visited in [
        Visited::Good { fresh_for: max_age(&header) },
        Visited::Failed { failures, retry_after: retry_after(&header, now) },
        Visited::Failed { failures, retry_after: None },
    ] {
        let (at, reason) = next_visit("wire", visited, &rhythm, now);
        assert!(at > now, "{visited:?} {rhythm:?}: {at} is not after {now}");
        let wait = wait(at, now);
        assert!(wait >= interval, "{visited:?} {rhythm:?}: {wait:?} is less than the interval");
        // At most two days for Retry-After, else the greatest interval; a tenth more, for spreading.
        let longest = rhythm.interval_max.max(Duration::from_secs(2 * DAY));
        assert!(wait <= longest + longest / 10, "{visited:?} {rhythm:?}: {wait:?}");
        assert!(!reason.is_empty() && !reason.contains(char::is_control), "{reason:?}");
    }
});

fn wait(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).expect("not before now")
}
