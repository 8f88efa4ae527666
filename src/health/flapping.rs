//! It goes back and forth between working and failing. That is told instead of each failure.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, counted};
use crate::model::{Health, SourceState};

/// So often within the window it must have begun to fail.
const OUTAGES: usize = 4;
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// A source that is asked seldom has a longer window: so many of its visits.
const VISITS: i32 = 8;

pub(super) fn check(source: &SourceState, is_open: bool, now: Timestamp) -> Finding {
    if source.health == Health::New {
        return Finding::Unknown;
    }
    let between = source.attempted_at.map_or(SignedDuration::ZERO, |at| source.next_at.duration_since(at));
    let window = (between * VISITS).clamp(WINDOW, WINDOW * VISITS);
    let began = |outage: &&i64| now.as_second() - **outage <= window.as_secs();
    let outages: Vec<i64> = source.record.outages.iter().filter(began).copied().collect();
    // One long outage is no back and forth any more.
    let stays_down = source.failing_since.is_some_and(|since| now.duration_since(since) >= window);
    let enough = if is_open { 1 } else { OUTAGES };
    if stays_down || outages.len() < enough || source.health == Health::Retired {
        return Finding::Fine;
    }
    let last = if source.error.is_empty() { String::new() } else { format!(": {}", source.error) };
    Finding::Wrong {
        since: Timestamp::from_second(outages[0]).unwrap_or(now),
        detail: format!(
            "goes back and forth between working and failing: it began to fail {} within {} h{last}",
            counted(outages.len() as i64, "time", "times"),
            window.as_hours()
        ),
        advice: "nothing if it brings its news in between; else ask its publisher, or ask it less often: interval"
            .to_string(),
    }
}
