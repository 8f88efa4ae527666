//! It is read as ever, but has brought nothing new for longer than its rhythm lets expect.

use jiff::Timestamp;

use super::{Finding, ago, record, rhythm, same_content, unreadable};
use crate::model::SourceState;

pub(super) fn check(source: &SourceState, _is_open: bool, now: Timestamp) -> Finding {
    if unreadable(source) {
        return Finding::Unknown;
    }
    let Some(last) = source.changed_at.or(source.record.latest_date) else { return Finding::Fine };
    let today = record::day_of(now);
    let kept = &source.record;
    let is_silent = rhythm::is_broken_off(&kept.days, kept.day, today, |letter| letter.is_ascii_digit());
    if !is_silent {
        return Finding::Fine;
    }
    // "Not modified" alone is no proof: the whole is asked for first. And a document that is stuck gets its own name.
    let is_proven = kept.not_modified_since.is_none() || kept.asked_whole_at.is_some_and(|at| at > last);
    if !is_proven || same_content::may_be_stuck(source, now) {
        return Finding::Unknown;
    }
    let rhythm = rhythm::in_words(&kept.days, kept.day).map_or(String::new(), |words| format!(" ({words})"));
    Finding::Wrong {
        since: last,
        detail: format!("nothing new for {}, against its rhythm{rhythm}; it is read without trouble", ago(last, now)),
        advice: "look at it in a browser: it may rest, have moved to another address, or be stuck in a cache"
            .to_string(),
    }
}
