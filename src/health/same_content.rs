//! It shows the same for ever: a document that used to change all the time does not any more, or a server says "not modified"
//! although it has news. A cache on the way is stuck.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, ago, record, rhythm, unreadable};
use crate::model::SourceState;

/// A document that changed so often without news changes by itself.
const IDLE_CHANGES: u32 = 5;

/// The document used to change by itself and has not for more than a day: that it is stuck shows by tomorrow.
pub(super) fn may_be_stuck(source: &SourceState, now: Timestamp) -> bool {
    let kept = &source.record;
    let rests = kept.changed_at.is_some_and(|at| now.duration_since(at) >= SignedDuration::from_hours(30));
    rests && kept.idle_changes >= IDLE_CHANGES
}

pub(super) fn check(source: &SourceState, _is_open: bool, now: Timestamp) -> Finding {
    if unreadable(source) {
        return Finding::Unknown;
    }
    let kept = &source.record;
    if let Some(at) = kept.untrue_at {
        return Finding::Wrong {
            since: at,
            detail:
                "its server said \"not modified\" although it had news, which only showed when the whole was asked for"
                    .to_string(),
            advice: "nothing is lost: for two weeks it is asked for the whole each time; tell the publisher"
                .to_string(),
        };
    }
    let today = record::day_of(now);
    let changes = |letter: u8| letter == b'+' || letter.is_ascii_digit();
    let is_stuck = kept.idle_changes >= IDLE_CHANGES && rhythm::is_broken_off(&kept.days, kept.day, today, changes);
    let Some(last) = kept.changed_at.filter(|_| is_stuck) else { return Finding::Fine };
    Finding::Wrong {
        since: last,
        detail: format!(
            "the same content to the last byte for {}, where even without news something used to change",
            ago(last, now)
        ),
        advice: "a cache on the way may be stuck: compare with what a browser shows, and tell the publisher"
            .to_string(),
    }
}
