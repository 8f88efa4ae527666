//! How the sources do, and what a digest may say about what was looked at. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::{Health, SourceState};

/// What was looked at in a window of time. The four counts of sources add up to `sources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Sources configured.
    pub sources: usize,
    /// Read at least once in the window and fine now.
    pub read: usize,
    /// Failing now, or gone for good.
    pub failing: Vec<Trouble>,
    /// Paused by the operator.
    pub paused: Vec<String>,
    /// Fine, but not asked within the window (asked less often than the window is long, or not yet).
    pub not_asked: usize,
    /// Items first seen in the window.
    pub items: i64,
    /// Sources read for the first time in the window: what they showed was not alerted.
    pub first_contacts: Vec<String>,
    /// Sources that were read in part only.
    pub in_part: Vec<Trouble>,
}

/// A source in trouble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// Name of the source.
    pub source: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// In words.
    pub error: String,
}

/// What was looked at from `from` to `to`.
pub fn coverage(sources: &[SourceState], items: i64, from: Timestamp, to: Timestamp) -> Coverage {
    let mut coverage = Coverage { sources: sources.len(), items, ..Coverage::default() };
    let within = |at: Option<Timestamp>| at.is_some_and(|at| at >= from && at <= to);
    for source in sources {
        let trouble =
            || Trouble { source: source.name.clone(), since: source.failing_since, error: source.error.clone() };
        if source.paused {
            coverage.paused.push(source.name.clone());
        } else if source.is_in_trouble() {
            coverage.failing.push(trouble());
        } else if within(source.succeeded_at) {
            coverage.read += 1;
            if !source.error.is_empty() {
                coverage.in_part.push(trouble());
            }
        } else {
            coverage.not_asked += 1;
        }
        if within(source.baseline_at) {
            coverage.first_contacts.push(source.name.clone());
        }
    }
    coverage
}

/// A source that is due for so long is not asked.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_hours(6);
/// No rule puts a visit off for longer, unless the configuration says so; a clock that was wrong may have.
const DUE_WITHIN: SignedDuration = SignedDuration::from_hours(21 * 24);

/// How the whole does, for `newswatch status` and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Everything is looked at and told.
    Fine,
    /// Something is not looked at or not told; the rest goes on.
    Degraded,
    /// Nothing is looked at or nothing can be told.
    Broken,
}

/// The whole, from its parts. `loops_seen_at`: when the daemon last made progress; a daemon that stands still for ten minutes is
/// broken.
pub fn overall(
    sources: &[SourceState],
    dead_deliveries: i64,
    overdue_deliveries: i64,
    loops_seen_at: Option<Timestamp>,
    now: Timestamp,
) -> (Overall, Vec<String>) {
    let mut reasons = Vec::new();
    let mut worst = Overall::Fine;
    let mut note = |level: Overall, reason: String| {
        worst = worst.max(level);
        reasons.push(reason);
    };
    match loops_seen_at {
        None => note(Overall::Broken, "the daemon never ran with this store (newswatch run)".to_string()),
        Some(at) if now.duration_since(at).as_mins() >= 10 => {
            note(
                Overall::Broken,
                format!("the daemon has not been seen for {} minutes", now.duration_since(at).as_mins()),
            );
        }
        Some(_) => {}
    }
    let asked = sources.iter().filter(|source| !source.paused).count();
    let failing = sources.iter().filter(|source| source.is_in_trouble() && !source.paused).count();
    if failing > 0 && failing == asked {
        note(Overall::Broken, format!("none of the {failing} sources can be read"));
    } else if failing > 0 {
        note(
            Overall::Degraded,
            format!("{failing} of {} sources cannot be read (newswatch source list --failing)", sources.len()),
        );
    }
    // A source that nobody asks shows no error: it must not pass for a quiet one.
    let late = |source: &&SourceState| {
        !source.paused
            && source.health != Health::Retired
            && (now.duration_since(source.next_at) > OVERDUE_AFTER || source.next_at.duration_since(now) > DUE_WITHIN)
    };
    let late = sources.iter().filter(late).count();
    if late > 0 {
        note(
            Overall::Degraded,
            format!(
                "{late} sources are not asked when they should be: overdue by hours, or not due for weeks (newswatch source list)"
            ),
        );
    }
    if dead_deliveries > 0 {
        note(
            Overall::Degraded,
            format!("{dead_deliveries} messages were given up (newswatch outbox list --state dead)"),
        );
    }
    if overdue_deliveries > 0 {
        note(
            Overall::Degraded,
            format!("{overdue_deliveries} messages wait for another attempt (newswatch outbox list)"),
        );
    }
    (worst, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn source(name: &str, health: Health, succeeded: Option<i64>) -> SourceState {
        SourceState {
            name: name.into(),
            url: String::new(),
            kind: "feed".into(),
            host: String::new(),
            paused: false,
            health,
            validators_url: String::new(),
            etag: None,
            last_modified: None,
            body_hash: 0,
            attempted_at: None,
            succeeded_at: succeeded.map(at),
            changed_at: None,
            baseline_at: Some(at(-100)),
            next_at: at(0),
            next_reason: String::new(),
            failures: 0,
            failing_since: None,
            fault: None,
            error: String::new(),
            moved: None,
            pace: Default::default(),
            items: 0,
        }
    }

    #[test]
    fn every_source_is_counted_once() {
        let mut paused = source("d", Health::Failing, None);
        paused.paused = true;
        let sources = [
            source("a", Health::Fine, Some(5)),
            source("b", Health::Failing, Some(5)),
            source("c", Health::Fine, Some(-50)),
            paused,
            source("e", Health::New, None),
        ];
        let coverage = coverage(&sources, 7, at(0), at(24));
        assert_eq!(
            (coverage.sources, coverage.read, coverage.failing.len(), coverage.paused.len(), coverage.not_asked),
            (5, 1, 1, 1, 2)
        );
    }

    #[test]
    fn status_says_what_is_wrong() {
        let fine = [source("a", Health::Fine, Some(0))];
        assert_eq!(overall(&fine, 0, 0, Some(at(0)), at(0)).0, Overall::Fine);
        assert_eq!(overall(&fine, 0, 0, Some(at(0)), at(1)).0, Overall::Broken);
        assert_eq!(overall(&fine, 1, 0, Some(at(0)), at(0)).0, Overall::Degraded);
        let failing = [source("a", Health::Failing, None)];
        assert_eq!(overall(&failing, 0, 0, Some(at(0)), at(0)).0, Overall::Broken);
        let mut forgotten = source("a", Health::Fine, Some(0));
        for (hours, expected) in
            [(-7, Overall::Degraded), (-5, Overall::Fine), (24, Overall::Fine), (30 * 24, Overall::Degraded)]
        {
            forgotten.next_at = at(hours);
            assert_eq!(overall(std::slice::from_ref(&forgotten), 0, 0, Some(at(0)), at(0)).0, expected, "{hours}");
        }
        let mixed = [source("a", Health::Failing, None), source("b", Health::Fine, Some(0))];
        assert_eq!(overall(&mixed, 0, 0, Some(at(0)), at(0)).0, Overall::Degraded);
    }
}
