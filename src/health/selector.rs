//! What finds the items on a page, or in a document, finds nothing where it used to find some.

use jiff::Timestamp;

use super::{Finding, ago, failing};
use crate::fault::Fault;
use crate::model::{Health, SourceState};

/// This trouble is a layout that changed.
pub(super) fn is_fault(source: &SourceState) -> bool {
    // One that never gave anything has selectors that were never right: it fails.
    source.fault == Some(Fault::LayoutChanged) && source.baseline_at.is_some()
}

pub(super) fn check(source: &SourceState, is_open: bool, now: Timestamp) -> Finding {
    if source.health == Health::New {
        return Finding::Unknown;
    }
    if !source.is_in_trouble() || !is_fault(source) {
        return Finding::Fine;
    }
    if !is_open && !failing::is_no_hiccup(source, now) {
        return Finding::Unknown;
    }
    let since = source.failing_since.unwrap_or(now);
    Finding::Wrong {
        since,
        detail: format!("shows no items where it used to, for {} now: {}", ago(since, now), source.error),
        advice: "find the new selectors with newswatch probe ADDRESS, and put them into the source".to_string(),
    }
}
