//! It cannot be read.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, ago, challenge, counted, selector};
use crate::fault::Fault;
use crate::model::{Health, SourceState};

/// So many visits in a row are no hiccup.
const FAILURES: i64 = 3;
/// Nor is more than one, for so long.
const LENGTH: SignedDuration = SignedDuration::from_hours(6);

pub(super) fn check(source: &SourceState, is_open: bool, now: Timestamp) -> Finding {
    match source.health {
        Health::New => return Finding::Unknown,
        Health::Fine => return Finding::Fine,
        Health::Failing | Health::Retired => {}
    }
    // That has a name of its own.
    if challenge::is_fault(source.fault) || selector::is_fault(source) {
        return Finding::Fine;
    }
    if !is_open && !is_no_hiccup(source, now) {
        return Finding::Unknown;
    }
    let since = source.failing_since.unwrap_or(now);
    let what = if source.health == Health::Retired { "is gone and not asked any more" } else { "cannot be read" };
    Finding::Wrong {
        since,
        detail: format!(
            "{what}, for {} now ({}): {}",
            ago(since, now),
            counted(source.failures, "visit in a row", "visits in a row"),
            source.error
        ),
        advice: advice(source.fault),
    }
}

/// It has failed for so long that somebody should know. What its publisher says is final is not waited for.
pub(super) fn is_no_hiccup(source: &SourceState, now: Timestamp) -> bool {
    let lasts = source.failing_since.is_some_and(|since| now.duration_since(since) >= LENGTH);
    source.fault == Some(Fault::Gone) || source.failures >= FAILURES || source.failures > 1 && lasts
}

fn advice(fault: Option<Fault>) -> String {
    let advice = match fault {
        Some(Fault::NotFound | Fault::BadRedirect | Fault::RedirectLoop) => {
            "look for its new address: newswatch probe SITE"
        }
        Some(Fault::Gone) => "remove it, or find its new address: newswatch probe SITE",
        Some(Fault::UnknownHost) => "see whether the site still exists under this name",
        Some(Fault::Refused) => "its address, or where it leads, is not allowed: fetch.allow",
        Some(Fault::Certificate) => "its certificate is not valid; write to the publisher, or see fetch.ca_file",
        Some(Fault::Robots | Fault::RobotsUnreachable) => {
            "its robots.txt keeps us away: ask the publisher, or look for a feed (newswatch probe SITE)"
        }
        Some(Fault::Forbidden | Fault::Legal) => {
            "ask the publisher to let newswatch in (fetch.contact says who we are), or find another way to the same news"
        }
        Some(Fault::SlowDown) => "ask it less often: interval",
        Some(Fault::TooLarge) => "allow larger answers (fetch.body_bytes_max), or find a smaller feed",
        Some(Fault::NotAFeed) => "see what it shows now: newswatch probe ADDRESS",
        Some(Fault::ReaderFailed | Fault::ReaderSlow) => "please report it with the document",
        _ => "nothing for now: it is asked again by itself; if it lasts, look at its address in a browser",
    };
    advice.to_string()
}
