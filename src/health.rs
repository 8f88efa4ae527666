//! How the sources do, what the operator is told about that, and what a digest may say about what was looked at. Pure.
//!
//! Eight things can be wrong with a source ([`CHECKS`]). A check of a source's health is one file and one line in that list. The
//! [`changes`] between what is wrong and what was known to be wrong are what is reported: once when it begins, once when it is
//! over.

pub mod changes;
pub mod coverage;
pub mod record;
pub mod rhythm;
pub mod watchers;

mod challenge;
mod dates;
mod failing;
mod flapping;
mod language;
mod network;
mod same_content;
mod selector;
mod silent;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::config::section::show_duration;
use crate::model::{Health, SourceState};
use crate::plain;

/// What can be wrong: with a source, or with newswatch itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It cannot be read.
    Failing,
    /// It goes back and forth between working and failing.
    Flapping,
    /// A check for robots or a log-in stands before it.
    Challenge,
    /// Its selectors find nothing where they found items.
    SelectorBroken,
    /// It brings nothing new, against its own rhythm.
    Silent,
    /// It shows the same for ever.
    SameContent,
    /// The dates of its items do not move on.
    DatesFrozen,
    /// Its items are in another language than before.
    LanguageChanged,
    /// Nothing at all can be reached: the network here is down.
    NoNetwork,
    /// What newswatch sent through itself to see whether all of it works has not arrived.
    CanaryLost,
    /// The configuration cannot be read again; the old one is in force.
    ReloadRefused,
    /// One of several watchers is not heard of any more.
    WatcherGone,
    /// A watcher works by another configuration than the others.
    WatchersDiffer,
    /// The clock of a watcher's machine is wrong.
    ClockOff,
    /// There is no room for further documents of evidence.
    EvidenceFull,
    /// Documents of evidence are let go before their time, to make room.
    EvidenceHurried,
}

/// What belongs together: of one group a source has one condition at a time, the first in [`CHECKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Reading,
    News,
    Dates,
    Language,
}

/// How a condition of a source is found out. What is open already may take less to stay so.
type Check = fn(source: &SourceState, is_open: bool, now: Timestamp) -> Finding;

/// The checks of a source, in a group the one that says the most first.
const CHECKS: &[(Condition, Group, Check)] = &[
    (Condition::Flapping, Group::Reading, flapping::check),
    (Condition::Challenge, Group::Reading, challenge::check),
    (Condition::SelectorBroken, Group::Reading, selector::check),
    (Condition::Failing, Group::Reading, failing::check),
    (Condition::SameContent, Group::News, same_content::check),
    (Condition::Silent, Group::News, silent::check),
    (Condition::DatesFrozen, Group::Dates, dates::check),
    (Condition::LanguageChanged, Group::Language, language::check),
];

/// Each condition, its name as stored and shown, how several sources have it in words, and what its end is called.
const CONDITIONS: &[(Condition, &str, &str, &str)] = &[
    (Condition::Failing, "failing", "cannot be read", "can be read again"),
    (Condition::Flapping, "flapping", "go back and forth between working and failing", "is steady again"),
    (
        Condition::Challenge,
        "challenge",
        "have a check for robots or a log-in before them",
        "can be read again without a check for robots or a log-in",
    ),
    (Condition::SelectorBroken, "selector-broken", "show no items where they used to", "shows items again"),
    (Condition::Silent, "silent", "bring nothing new, against their rhythm", "brings something new again"),
    (Condition::SameContent, "same-content", "show the same for ever", "changes again"),
    (Condition::DatesFrozen, "dates-frozen", "bring items whose dates stand still", "has dates that move on again"),
    (
        Condition::LanguageChanged,
        "language-changed",
        "write in another language than before",
        "writes in its usual language (a new one is usual after twenty days)",
    ),
    (Condition::NoNetwork, "no-network", "", "the network is there again"),
    (Condition::CanaryLost, "canary-lost", "", "the self-test arrives again"),
    (Condition::ReloadRefused, "reload-refused", "", "the configuration could be read again"),
    (Condition::WatcherGone, "watcher-gone", "", "it is there again, or was stopped"),
    (Condition::WatchersDiffer, "watchers-differ", "", "its configuration is that of the others again"),
    (Condition::ClockOff, "clock-off", "", "its clock is right again"),
    (Condition::EvidenceFull, "evidence-full", "", "there is room for documents again"),
    (Condition::EvidenceHurried, "evidence-hurried", "", "documents that no hit names stay for their time again"),
];

impl Condition {
    fn row(self) -> &'static (Condition, &'static str, &'static str, &'static str) {
        // Every condition stands in the table; a test looks.
        CONDITIONS.iter().find(|(condition, ..)| *condition == self).unwrap_or(&CONDITIONS[0])
    }

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// From the stored form; `None` for anything else.
    pub fn from_stored(text: &str) -> Option<Condition> {
        CONDITIONS.iter().find(|(_, name, ..)| *name == text).map(|(condition, ..)| *condition)
    }

    fn group(self) -> Option<Group> {
        CHECKS.iter().find(|(condition, ..)| *condition == self).map(|(_, group, _)| *group)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// Nothing can be said now: what was known stays.
    Unknown,
    /// It is not so.
    Fine,
    /// It is so.
    Wrong { since: Timestamp, detail: String, advice: String },
}

impl Finding {
    fn is_wrong(&self) -> bool {
        matches!(self, Finding::Wrong { .. })
    }
}

/// A condition that is open: it was told, its end was not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Open {
    /// Name of the source, or what of newswatch itself it is about, in parentheses.
    pub about: String,
    /// What.
    pub condition: Condition,
    /// Since when it is so.
    pub since: Timestamp,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// One sentence, as it was told.
    pub detail: String,
    /// What to do.
    pub advice: String,
}

/// Nothing can be said about what the source shows: it could not be read, or not since its address was changed.
fn unreadable(source: &SourceState) -> bool {
    source.health != Health::Fine
}

/// The time from then to now, in words.
fn ago(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).unsigned_abs().as_secs().max(1);
    let rough = match seconds {
        0..3_600 => seconds.max(60) / 60 * 60,
        3_600..172_800 => seconds / 3_600 * 3_600,
        _ => seconds / 86_400 * 86_400,
    };
    show_duration(Duration::from_secs(rough))
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

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
    /// Sources that bring nothing new, against their rhythm; among those counted above.
    pub silent: Vec<Trouble>,
    /// Sources that do otherwise than they used to (the same content for ever, dates that stand still, another language, back
    /// and forth); among those counted above.
    pub changed: Vec<Trouble>,
}

impl Coverage {
    /// With what is known to be wrong with sources that can be read.
    #[must_use]
    pub fn with_conditions(mut self, open: &[Open]) -> Coverage {
        for open in open {
            let trouble =
                || Trouble { source: open.about.clone(), since: Some(open.since), error: open.detail.clone() };
            match open.condition {
                Condition::Silent => self.silent.push(trouble()),
                Condition::SameContent | Condition::DatesFrozen | Condition::LanguageChanged | Condition::Flapping => {
                    self.changed.push(trouble())
                }
                // Those are among the failing.
                Condition::Failing | Condition::Challenge | Condition::SelectorBroken => {}
                Condition::NoNetwork | Condition::CanaryLost | Condition::ReloadRefused => {}
                Condition::WatcherGone | Condition::WatchersDiffer | Condition::ClockOff => {}
                Condition::EvidenceFull | Condition::EvidenceHurried => {}
            }
        }
        self
    }
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
            note(Overall::Broken, format!("the daemon has not been seen for {}", ago(at, now)));
        }
        Some(_) => {}
    }
    let asked = sources.iter().filter(|source| !source.paused).count();
    let failing = sources.iter().filter(|source| source.is_in_trouble() && !source.paused).count();
    if failing > 0 && failing == asked {
        note(
            Overall::Broken,
            match failing {
                1 => "the only source cannot be read".to_string(),
                _ => format!("none of the {failing} sources can be read"),
            },
        );
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
                "not asked when it should be, overdue by hours or not due for weeks: {} (newswatch source list)",
                plain::counted(late, "source")
            ),
        );
    }
    if dead_deliveries > 0 {
        note(
            Overall::Degraded,
            format!(
                "given up: {} (newswatch outbox list --state dead)",
                plain::counted(dead_deliveries as usize, "message")
            ),
        );
    }
    if overdue_deliveries > 0 {
        note(
            Overall::Degraded,
            format!(
                "waiting for another attempt: {} (newswatch outbox list)",
                plain::counted(overdue_deliveries as usize, "message")
            ),
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
            record: Default::default(),
            gated: 0,
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
