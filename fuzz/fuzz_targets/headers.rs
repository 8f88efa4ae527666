//! Numbers for the rhythm, then a header: the next visit is never in the past, never before the interval and never beyond the limits.
#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use newswatch::fault::Fault;
use newswatch::model::Pace;
use newswatch::poller::schedule::{Bounds, Visited, first_visit, fresh_for, next_visit, retry_after, server_time};

fuzz_target!(|data: &[u8]| {
    let Some((numbers, header)) = data.split_first_chunk::<12>() else { return };
    let header = String::from_utf8_lossy(header);
    let number = |at: usize| u64::from(u16::from_le_bytes([numbers[at], numbers[at + 1]]));
    // As the configuration has them: from a second to years, in order.
    let min = Duration::from_secs(1 + number(0));
    let interval = min + Duration::from_secs(number(2));
    let quiet = interval + Duration::from_secs(number(4) * 10);
    let max = quiet + Duration::from_secs(number(6) * 100);
    let bounds = Bounds {
        own_interval: None,
        interval,
        interval_min: min,
        interval_quiet: quiet,
        interval_max: max,
        retry_after_max: Duration::from_secs(1 + number(8) * 60),
    };
    let now = Timestamp::from_second(1_700_000_000 + i64::from(numbers[10]) * 10_000_000).expect("a time");
    let server = server_time(Some(&header), now);
    let fresh = fresh_for(Some(&header), Some(&header), Some(&header), server);
    let pace = Pace {
        fresh_seconds: fresh.map(|fresh| fresh.as_secs()),
        gap_seconds: Some(number(2) * number(4)),
        window_seconds: Some(number(6) * 60),
        skip_hours: (0..24).filter(|hour| numbers[11] >> (hour % 8) & 1 == 1).collect(),
        skip_days: vec![numbers[9] % 9],
        ..Pace::default()
    };

    let first = first_visit("wire", &bounds, now);
    assert!(first >= now && wait(first, now) <= interval, "{first}");

    let failures = i64::from_le_bytes([numbers[8], numbers[9], numbers[10], numbers[11], 0, 0, 0, numbers[7]]);
    let failed = |fault, retry_after| Visited::Failed { fault, failures, retry_after, fresh_for: fresh };
    for visited in [
        Visited::Good { unconditional: false },
        Visited::Good { unconditional: true },
        failed(Fault::SlowDown, retry_after(&header, server)),
        failed(Fault::ServerTrouble, None),
        failed(Fault::NotFound, None),
        failed(Fault::Gone, None),
    ] {
        let (at, reason) = next_visit("wire", visited, &bounds, &pace, now);
        assert!(at > now, "{visited:?} {bounds:?}: {at} is not after {now}");
        let wait = wait(at, now);
        assert!(wait >= min, "{visited:?} {bounds:?}: {wait:?} is less than the least interval");
        // The greatest limit, half an hour for spreading, a day for "gone".
        let longest = max.max(bounds.retry_after_max).max(Duration::from_secs(86_400));
        assert!(wait <= longest + Duration::from_secs(1_800), "{visited:?} {bounds:?}: {wait:?}");
        assert!(!reason.is_empty() && !reason.contains(char::is_control), "{reason:?}");
    }
});

fn wait(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).expect("not before now")
}
