//! `[store]`: where things are kept, what of them, and how long.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::NAME_BYTES_MAX;
use super::section::{Section, parse_duration, show_duration};
use crate::store::retention::Cutoffs;

/// How long misses are kept, unless the configuration says otherwise.
const KEEP_MISSES: Duration = Duration::from_secs(365 * 86_400);
/// How long hits are kept, unless the configuration says otherwise.
const KEEP_HITS: Duration = Duration::from_secs(5 * 365 * 86_400);
/// What is forgotten sooner was hardly there: a matcher that is held up for days still finds it.
const KEEP_MISSES_MIN: Duration = Duration::from_secs(7 * 86_400);
/// Stories stay open for two weeks, and messages wait for a week: what was told must be known longer.
const KEEP_HITS_MIN: Duration = Duration::from_secs(30 * 86_400);

/// What is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Everything stored can be searched.
    pub search: bool,
    /// How long the texts of items are kept that were no hits, and scores below the line; `None`: for ever.
    pub keep_misses: Option<Duration>,
    /// How long hits, their texts and the messages about them are kept; `None`: for ever.
    pub keep_hits: Option<Duration>,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings { search: true, keep_misses: Some(KEEP_MISSES), keep_hits: Some(KEEP_HITS) }
    }
}

impl StoreSettings {
    /// What is so old now that it is forgotten.
    pub fn cutoffs(&self, now: Timestamp) -> Cutoffs {
        let before =
            |keep: Option<Duration>| keep.and_then(|keep| now.checked_sub(SignedDuration::try_from(keep).ok()?).ok());
        Cutoffs { misses: before(self.keep_misses), hits: before(self.keep_hits) }
    }
}

/// Reads `[store]`: the address, the watcher's name, and the rest.
pub(super) fn read(section: Option<Section<'_>>) -> (Option<String>, Option<String>, StoreSettings) {
    let default = StoreSettings::default();
    let Some(mut section) = section else { return (None, None, default) };
    let watcher = section.text("watcher");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(name) =
        watcher.as_ref().filter(|name| name.is_empty() || !name.chars().all(plain) || name.len() > NAME_BYTES_MAX)
    {
        let advice = format!("use letters, digits, \"-\", \"_\" and \".\", at most {NAME_BYTES_MAX}");
        section.problem("watcher", format!("`watcher` cannot be {name:?}; {advice}"));
    }
    let url = section.text("url");
    if let Some(url) = &url
        && !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
    {
        section.problem("url", "`url` must be \"sqlite:PATH\" or \"postgres://HOST/DATABASE\"");
    }
    let settings = StoreSettings {
        search: section.boolean("search").unwrap_or(default.search),
        keep_misses: read_keep(&mut section, "keep_misses", KEEP_MISSES_MIN, default.keep_misses),
        keep_hits: read_keep(&mut section, "keep_hits", KEEP_HITS_MIN, default.keep_hits),
    };
    if let (Some(hits), Some(misses)) = (settings.keep_hits, settings.keep_misses.or(Some(Duration::MAX)))
        && hits < misses
    {
        let key = if section.has("keep_hits") { "keep_hits" } else { "keep_misses" };
        section.problem(key, "hits must be kept at least as long as misses: raise `keep_hits` or lower `keep_misses`");
    }
    section.finish();
    (url, watcher, settings)
}

/// "90d", "5y", "forever".
fn read_keep(section: &mut Section<'_>, key: &str, min: Duration, default: Option<Duration>) -> Option<Duration> {
    let Some(text) = section.text(key) else { return default };
    let text = text.trim();
    if text == "forever" {
        return None;
    }
    // A year is long enough to be 365 days.
    let years = ["years", "year", "y"].iter().find_map(|unit| text.strip_suffix(unit)?.trim().parse::<u64>().ok());
    let length = match years {
        Some(years) => years.checked_mul(365 * 86_400).map(Duration::from_secs),
        None => parse_duration(text),
    };
    match length {
        Some(length) if length >= min => Some(length),
        Some(_) => {
            section.problem(key, format!("`{key}` must be at least {}, or \"forever\"", show_duration(min)));
            default
        }
        None => {
            section.problem(
                key,
                format!("`{key}`: {text:?} is not a length of time; write \"90d\", \"5y\" or \"forever\""),
            );
            default
        }
    }
}
