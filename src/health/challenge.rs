//! A check for robots or a log-in stands before it, or before the articles that it names.

use jiff::Timestamp;

use super::{Finding, ago, failing};
use crate::fault::Fault;
use crate::model::{Health, SourceState};

/// So many article pages in a row that are gates are no accident.
const GATED: i64 = 5;

/// This trouble is a gate.
pub(super) fn is_fault(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::BotCheck | Fault::LoginWanted))
}

pub(super) fn check(source: &SourceState, is_open: bool, now: Timestamp) -> Finding {
    let advice = "newswatch does not evade it: ask the publisher to let it in, give the source its log-in, or find another way \
                  to the same news";
    if source.health == Health::New {
        return Finding::Unknown;
    }
    if source.is_in_trouble() {
        if !is_fault(source.fault) {
            return Finding::Fine;
        }
        if !is_open && !failing::is_no_hiccup(source, now) {
            return Finding::Unknown;
        }
        let since = source.failing_since.unwrap_or(now);
        let detail =
            format!("a check for robots or a log-in stands before it, for {} now: {}", ago(since, now), source.error);
        return Finding::Wrong { since, detail, advice: advice.to_string() };
    }
    if source.gated < GATED {
        return Finding::Fine;
    }
    Finding::Wrong {
        since: source.attempted_at.unwrap_or(now),
        detail: format!(
            "its last {} article pages were checks for robots or log-in pages: items are matched on what the list says of them",
            source.gated
        ),
        advice: advice.to_string(),
    }
}
