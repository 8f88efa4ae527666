//! Its items are written in another language than they used to be, and the profiles may have no words for it.

use jiff::Timestamp;

use super::{Finding, unreadable};
use crate::model::SourceState;

/// On so many days with news in a row.
const DAYS: u32 = 3;
/// Before that another language on so many.
const DAYS_BEFORE: u32 = 6;
/// After so many it is usual.
const ADOPTED: u32 = 20;
/// A source of several languages has used this one before: more often than once in so many days.
const SHARE: u32 = 10;

pub(super) fn check(source: &SourceState, _is_open: bool, now: Timestamp) -> Finding {
    if unreadable(source) {
        return Finding::Unknown;
    }
    let kept = &source.record;
    let before: u32 = kept.languages.values().sum();
    let used = kept.languages.get(&kept.language).copied().unwrap_or_default();
    let usual = kept.languages.iter().max_by_key(|(_, days)| **days);
    let Some((usual, _)) = usual.filter(|(usual, _)| **usual != kept.language) else { return Finding::Fine };
    let is_new = (DAYS..ADOPTED).contains(&kept.language_days) && before >= DAYS_BEFORE && used * SHARE <= before;
    if !is_new {
        return Finding::Fine;
    }
    Finding::Wrong {
        since: kept.language_since.unwrap_or(now),
        detail: format!("its items are written in {} now, before in {}", name(&kept.language), name(usual)),
        advice: "see whether the profiles have words for it; or its address now leads to another edition".to_string(),
    }
}

fn name(code: &str) -> &str {
    match code {
        "en" => "English (or another language in Latin letters)",
        "fr" => "French",
        "de" => "German",
        "es" => "Spanish",
        "ja" => "Japanese",
        "ko" => "Korean",
        "zh" => "Chinese",
        "cyrillic" => "a language in Cyrillic letters",
        "arabic" => "a language in Arabic letters",
        "hebrew" => "Hebrew",
        "greek" => "Greek",
        other => other,
    }
}
