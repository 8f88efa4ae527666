//! Items keep coming, but their dates stand still.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, ago, unreadable};
use crate::model::SourceState;

/// So many items with dates came meanwhile.
const ITEMS: u32 = 5;
/// And for so long.
const LENGTH: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Before, the latest date moved on at least so often; or all of them bear one and the same.
const MOVED: u32 = 3;

pub(super) fn check(source: &SourceState, _is_open: bool, now: Timestamp) -> Finding {
    if unreadable(source) {
        return Finding::Unknown;
    }
    let kept = &source.record;
    let (Some(latest), Some(since)) = (kept.latest_date, kept.latest_date_since) else { return Finding::Fine };
    // An archive that brings old documents in any order has no dates that move on.
    let moves = kept.dates_moved >= MOVED || kept.dated_equal == kept.dated_since;
    let stands = moves && kept.dated_since >= ITEMS && now.duration_since(since) >= LENGTH;
    // The item that came last is what counts: a source that is silent has no dates to move.
    let comes = source.changed_at.is_some_and(|news| news.duration_since(since) >= LENGTH);
    if !stands || !comes {
        return Finding::Fine;
    }
    Finding::Wrong {
        since,
        detail: format!(
            "{} new items in {}, none of them dated later than {}",
            kept.dated_since,
            ago(since, now),
            latest.strftime("%Y-%m-%d %H:%MZ")
        ),
        advice: "its items are taken as they come; do not trust their dates, and tell the publisher".to_string(),
    }
}
