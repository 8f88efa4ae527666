//! Several watchers on one store: who lives, whose configuration is in force, what each is to do, and what is wrong among them. Pure.
//!
//! `now` is the time of the database in all of it: the watchers' own clocks may differ.

use jiff::{SignedDuration, Timestamp};

use super::changes::Changes;
use super::{Condition, Open, ago};
use crate::model::{Share, Watcher};
use crate::plain;

/// Who has not been heard of for so long is gone: others take over what it had claimed.
pub const GONE_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Who is gone for so long was taken out of service without being stopped: nobody waits for it any more.
const MISSED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// A clock that is off by more is reported, in milliseconds.
const CLOCK_REPORTED: i64 = 10_000;
/// A watcher whose clock is off by more does nothing until it is set right: it would take claims for older or younger than they are.
const CLOCK_MAX: i64 = 60_000;

/// What a watcher is to do beside the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which sources it asks first; `None` where there is one process.
    pub share: Option<Share>,
    /// It works at all.
    pub works: bool,
    /// Its sources are those in force.
    pub sources_in_force: bool,
    /// It scores and delivers: its profiles and routes are those in force. Otherwise it leaves both to those that have them, so
    /// that two configurations are never mixed.
    pub tells: bool,
    /// It does what one is to do for all: it is the one whose configuration is in force.
    pub leads: bool,
    /// The others that live, as they call themselves in claims.
    pub others: Vec<String>,
    /// What keeps it from doing all of its work; empty when nothing does.
    pub why: String,
}

impl Standing {
    /// Of the only process on a store.
    pub fn alone() -> Standing {
        Standing {
            share: None,
            works: true,
            sources_in_force: true,
            tells: true,
            leads: true,
            others: Vec::new(),
            why: String::new(),
        }
    }
}

/// How a watcher is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was heard of just now.
    Lives,
    /// It was not, and did not say that it stops.
    Gone,
    /// It stopped in good order.
    Stopped,
}

impl State {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Lives => "lives",
            State::Gone => "gone",
            State::Stopped => "stopped",
        }
    }
}

/// How it is now.
pub fn state(watcher: &Watcher, now: Timestamp) -> State {
    if watcher.stopped_at.is_some() {
        State::Stopped
    } else if now.duration_since(watcher.heartbeat_at) > GONE_AFTER {
        State::Gone
    } else {
        State::Lives
    }
}

fn is_fit(watcher: &Watcher, now: Timestamp) -> bool {
    state(watcher, now) == State::Lives && watcher.clock_offset.abs() <= CLOCK_MAX
}

/// Whose configuration is in force: the youngest of those that work. `None` when none does.
pub fn in_force(watchers: &[Watcher], now: Timestamp) -> Option<&Watcher> {
    let fit = watchers.iter().filter(|watcher| is_fit(watcher, now));
    fit.max_by_key(|watcher| (watcher.configured_since, &watcher.name))
}

/// What this watcher is to do.
pub fn standing(watchers: &[Watcher], owner: &str, now: Timestamp) -> Standing {
    let mut living: Vec<&Watcher> = watchers.iter().filter(|watcher| is_fit(watcher, now)).collect();
    living.sort_by_key(|watcher| &watcher.name);
    let alive = watchers.iter().filter(|watcher| watcher.owner != owner && state(watcher, now) == State::Lives);
    let others = alive.map(|watcher| watcher.owner.clone()).collect();
    let (Some(index), Some(first)) =
        (living.iter().position(|watcher| watcher.owner == owner), in_force(watchers, now))
    else {
        let offset = watchers.iter().find(|watcher| watcher.owner == owner).map_or(0, |own| own.clock_offset);
        let why = format!("{}; it does nothing until it is set right", clock_is_off(offset));
        let nothing =
            Standing { works: false, tells: false, leads: false, sources_in_force: false, ..Standing::alone() };
        return Standing { others, why, ..nothing };
    };
    let (own, force) = (&living[index].configuration, &first.configuration);
    let tells = own.profiles == force.profiles && own.routes == force.routes;
    let why = differs(living[index], first).unwrap_or_default();
    let share = Share { index: index as u32, of: living.len() as u32 };
    let (sources_in_force, leads) = (own.sources == force.sources, first.owner == owner);
    Standing { share: Some(share), works: true, sources_in_force, tells, leads, others, why }
}

/// A younger configuration is in force, with other profiles or routes than this watcher's: whatever it did not tell yet is for others
/// to tell. False for who is no watcher.
pub fn is_overruled(watchers: &[Watcher], owner: &str, now: Timestamp) -> bool {
    let Some(own) = watchers.iter().find(|watcher| watcher.owner == owner) else { return false };
    in_force(watchers, now).is_some_and(|first| {
        let (own, force) = (&own.configuration, &first.configuration);
        own.profiles != force.profiles || own.routes != force.routes
    })
}

fn clock_is_off(offset: i64) -> String {
    let side = if offset > 0 { "ahead of" } else { "behind" };
    format!("its clock is {} s {side} the database's", offset.abs() / 1_000)
}

/// What the configuration of a watcher has otherwise than the one in force; `None` when it is the same.
pub fn differs(watcher: &Watcher, in_force: &Watcher) -> Option<String> {
    let (own, force) = (&watcher.configuration, &in_force.configuration);
    let parts = [
        (own.sources != force.sources, "sources"),
        (own.profiles != force.profiles, "profiles"),
        (own.routes != force.routes, "routes"),
    ];
    let parts: Vec<&str> = parts.iter().filter(|(differ, _)| *differ).map(|(_, name)| *name).collect();
    if parts.is_empty() {
        return None;
    }
    let leaves = if parts == ["sources"] {
        "it asks only the sources that both have alike, and those that it alone has"
    } else {
        "it scores and delivers nothing, and asks only sources that are alike"
    };
    Some(format!(
        "its {} are not those of {}, whose configuration is younger and in force; until they are the same {leaves}",
        parts.join(" and "),
        in_force.name
    ))
}

/// What is wrong among the watchers, against what was known to be.
pub fn judge(watchers: &[Watcher], open: &[Open], changes: &mut Changes, at: (Timestamp, Timestamp)) {
    let (now, told_at) = at;
    let first = in_force(watchers, now);
    let mut named = std::collections::BTreeSet::new();
    for watcher in watchers {
        let about = about(&watcher.name);
        let state = state(watcher, now);
        let wrong = |condition, detail: String, advice: &str| Open {
            about: about.clone(),
            condition,
            since: told_at,
            noticed_at: told_at,
            detail: plain::line(&detail, 700),
            advice: advice.to_string(),
        };
        let silence = now.duration_since(watcher.heartbeat_at);
        let gone = (state == State::Gone && silence < MISSED_FOR).then(|| {
            let detail = format!(
                "the watcher on {} has not been heard of for {}; the others do its work",
                watcher.machine,
                ago(watcher.heartbeat_at, now)
            );
            wrong(Condition::WatcherGone, detail, "see to the machine, and to its way to the database; start it again")
        });
        let lives = state == State::Lives;
        let different = first.filter(|_| lives).and_then(|first| differs(watcher, first)).map(|detail| {
            let advice = "give all watchers the same configuration and reload them (systemctl reload newswatch)";
            wrong(Condition::WatchersDiffer, detail, advice)
        });
        let off = (lives && watcher.clock_offset.abs() > CLOCK_REPORTED).then(|| {
            let stops =
                if watcher.clock_offset.abs() > CLOCK_MAX { "; it does nothing until it is set right" } else { "" };
            wrong(
                Condition::ClockOff,
                clock_is_off(watcher.clock_offset) + stops,
                "keep the clocks of all machines right (NTP)",
            )
        });
        let refused = (lives && !watcher.problem.is_empty()).then(|| {
            wrong(Condition::ReloadRefused, watcher.problem.clone(), "mend it and reload again: newswatch check")
        });
        changes.note(open, &about, Condition::WatcherGone, gone, told_at);
        changes.note(open, &about, Condition::WatchersDiffer, different, told_at);
        changes.note(open, &about, Condition::ClockOff, off, told_at);
        changes.note(open, &about, Condition::ReloadRefused, refused, told_at);
        named.insert(about);
    }
    // Nobody remembers them.
    let forgotten = open.iter().filter(|open| open.about.starts_with("(watcher ") && !named.contains(&open.about));
    changes.ended.extend(forgotten.cloned());
}

/// What the conditions of a watcher are about.
pub fn about(name: &str) -> String {
    format!("(watcher {name})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConfigurationHashes;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
    }

    fn watcher(name: &str, profiles: &str, since: i64) -> Watcher {
        Watcher {
            name: name.into(),
            owner: format!("{name}/1"),
            machine: "m".into(),
            pid: 1,
            version: "1".into(),
            started_at: at(0),
            heartbeat_at: at(100),
            stopped_at: None,
            configuration: ConfigurationHashes { sources: "s".into(), profiles: profiles.into(), routes: "r".into() },
            configured_since: at(since),
            clock_offset: 0,
            problem: String::new(),
        }
    }

    #[test]
    fn hosts_are_shared_among_those_that_live() {
        let mut all = vec![watcher("a", "p", 0), watcher("b", "p", 0), watcher("c", "p", 0)];
        let share = |all: &[Watcher], owner: &str| standing(all, owner, at(110)).share;
        assert_eq!(share(&all, "c/1"), Some(Share { index: 2, of: 3 }));
        all[0].heartbeat_at = at(10);
        assert_eq!(share(&all, "c/1"), Some(Share { index: 1, of: 2 }));
        all[1].stopped_at = Some(at(100));
        assert_eq!(share(&all, "c/1"), Some(Share { index: 0, of: 1 }));
        assert_eq!(standing(&all, "c/1", at(110)).others, Vec::<String>::new());
    }

    #[test]
    fn one_does_what_one_is_to_do_for_all_and_the_overruled_tell_nothing() {
        let mut all = vec![watcher("a", "p", 0), watcher("b", "p", 0), watcher("c", "old", -50)];
        let leads = |all: &[Watcher]| -> Vec<String> {
            let owners = all.iter().map(|watcher| watcher.owner.clone());
            owners.filter(|owner| standing(all, owner, at(110)).leads).collect()
        };
        let overruled = |all: &[Watcher], owner: &str| is_overruled(all, owner, at(110));
        assert_eq!(leads(&all), ["b/1"]);
        assert!(overruled(&all, "c/1") && !overruled(&all, "a/1") && !overruled(&all, "nobody"));
        all[1].heartbeat_at = at(0);
        assert_eq!(leads(&all), ["a/1"]);
        all[0].stopped_at = Some(at(100));
        assert!(leads(&all) == ["c/1"] && !overruled(&all, "c/1"));
    }

    #[test]
    fn the_younger_configuration_is_in_force_and_the_other_is_not_mixed_in() {
        let mut all = vec![watcher("a", "old", 0), watcher("b", "new", 50)];
        assert!(!standing(&all, "a/1", at(110)).tells && standing(&all, "b/1", at(110)).tells);
        assert!(standing(&all, "a/1", at(110)).sources_in_force);
        let mut changes = Changes::default();
        judge(&all, &[], &mut changes, (at(110), at(110)));
        assert_eq!(changes.opened.len(), 1);
        assert_eq!(
            (changes.opened[0].about.as_str(), changes.opened[0].condition),
            ("(watcher a)", Condition::WatchersDiffer)
        );
        assert!(changes.opened[0].detail.contains("its profiles are not those of b"), "{}", changes.opened[0].detail);
        // With the younger one dead the older one does the work: nothing is left lying.
        all[1].heartbeat_at = at(0);
        assert!(standing(&all, "a/1", at(110)).tells);
    }

    #[test]
    fn a_watcher_whose_clock_is_wrong_does_nothing_and_holds_up_nobody() {
        let mut all = vec![watcher("a", "p", 0), watcher("b", "other", 50)];
        all[1].clock_offset = -3_600_000;
        let own = standing(&all, "b/1", at(110));
        assert!(!own.works && !own.tells && own.why.contains("3600 s behind"), "{own:?}");
        let other = standing(&all, "a/1", at(110));
        assert!(other.works && other.tells && other.share == Some(Share::ALL), "{other:?}");
        let mut changes = Changes::default();
        judge(&all, &[], &mut changes, (at(110), at(110)));
        assert!(changes.opened.iter().any(|open| open.condition == Condition::ClockOff), "{changes:?}");
    }

    #[test]
    fn one_that_vanishes_is_reported_once_and_its_return_too() {
        let mut all = vec![watcher("a", "p", 0), watcher("b", "p", 0)];
        all[1].heartbeat_at = at(0);
        let mut changes = Changes::default();
        judge(&all, &[], &mut changes, (at(110), at(110)));
        assert_eq!(changes.opened.iter().map(|open| open.condition).collect::<Vec<_>>(), [Condition::WatcherGone]);
        let open = changes.opened.clone();
        let mut again = Changes::default();
        judge(&all, &open, &mut again, (at(120), at(120)));
        assert!(again.is_empty(), "{again:?}");
        all[1].heartbeat_at = at(120);
        judge(&all, &open, &mut again, (at(130), at(130)));
        assert_eq!((again.ended.len(), again.lines.len()), (1, 1), "{again:?}");
    }
}
