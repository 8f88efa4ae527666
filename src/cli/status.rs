//! `newswatch status`: one screen a tired person understands.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Global;
use crate::config::Config;
use crate::config::section::show_duration;
use crate::daemon::{HEARTBEAT_NOTE, WORK};
use crate::health::changes::Changes;
use crate::health::watchers::{self, State};
use crate::health::{self, Condition, Open, Overall};
use crate::model::{Health, Watcher};
use crate::overseer::RELOAD_NOTE;
use crate::plain;
use crate::store::health::{Canary, Stage};
use crate::store::watchers::Held;
use crate::store::{Store, StoreError, without_password};

/// Arguments of `newswatch status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// So many conditions are shown one by one: what one screen has room for.
const CONDITIONS_MAX: usize = 6;
/// And so much of each; `newswatch source show` and `--json` have all of it.
const DETAIL_MAX: usize = 160;
/// A shared store that has not told all of it by then cannot be used.
const LOOK_MAX: Duration = Duration::from_secs(60);
const BROKEN: &str = "nothing is looked at or nothing is told; what is wrong, and what to do:";

fn canary_json(canary: &Canary) -> serde_json::Value {
    let (stage, error, arrived) = match &canary.stage {
        Stage::Queued => ("queued", "", None),
        Stage::Unmatched => ("unmatched", "", None),
        Stage::Waiting(error) => ("waiting", error.as_str(), None),
        Stage::Arrived(at) => ("arrived", "", Some(*at)),
        Stage::Dead(error) => ("dead", error.as_str(), None),
    };
    json!({"sent": canary.planted_at, "stage": stage, "error": error, "arrived": arrived})
}

fn canary_in_words(canary: Option<&Canary>, enabled: bool, now: Timestamp) -> String {
    let Some(canary) = canary else {
        return if enabled { "not sent yet" } else { "switched off ([canary])" }.to_string();
    };
    let sent = super::show_distance(canary.planted_at, now);
    match &canary.stage {
        Stage::Queued => format!("sent {sent}, waits for the matcher"),
        Stage::Unmatched => format!("sent {sent}, but the matcher did not find it"),
        Stage::Waiting(error) if error.is_empty() => format!("sent {sent}, waits in the outbox"),
        Stage::Waiting(error) => format!("sent {sent}, not taken yet: {}", plain::line(error, 300)),
        Stage::Arrived(at) => {
            let took = at.duration_since(canary.planted_at).unsigned_abs().as_secs().max(1);
            format!("sent {sent}, arrived within {}", show_duration(Duration::from_secs(took)))
        }
        Stage::Dead(error) => format!("sent {sent}, given up: {}", plain::line(error, 300)),
    }
}

/// It stands among the reasons already.
fn is_reason(condition: Condition) -> bool {
    matches!(condition, Condition::CanaryLost | Condition::ReloadRefused | Condition::EvidenceFull)
}

/// A watcher as it is shown.
struct Seen {
    watcher: Watcher,
    state: State,
    /// Since when it was not heard of, by the database's clock.
    silent_for: SignedDuration,
    held: Held,
    /// Sources it knows that are due and held by nobody, and since when the oldest is.
    overdue: (i64, Option<Timestamp>),
    is_in_force: bool,
    problems: Vec<String>,
    now: Timestamp,
}

impl Seen {
    fn as_json(&self) -> serde_json::Value {
        let Watcher { name, machine, pid, version, started_at, heartbeat_at, stopped_at, .. } = &self.watcher;
        let hashes = &self.watcher.configuration;
        json!({
            "name": name, "machine": machine, "pid": pid, "version": version, "state": self.state.as_str(),
            "started": started_at, "heartbeat": heartbeat_at, "stopped": stopped_at,
            "holds": {"sources": self.held.sources, "items": self.held.items, "messages": self.held.messages},
            "overdue_sources": self.overdue.0, "overdue_since": self.overdue.1,
            "clock_offset_ms": self.watcher.clock_offset, "problems": self.problems,
            "configuration": {"sources": hashes.sources, "profiles": hashes.profiles, "routes": hashes.routes,
                "since": self.watcher.configured_since, "in_force": self.is_in_force},
        })
    }

    fn in_words(&self) -> String {
        let Watcher { name, version, .. } = &self.watcher;
        let ago = show_duration(Duration::from_secs(self.silent_for.unsigned_abs().as_secs()));
        if self.state != State::Lives {
            return format!("{name} ({version}) {} since {ago}", self.state.as_str());
        }
        let (count, since) = self.overdue;
        let lag = match since {
            Some(since) if count > 0 => {
                let lag = Duration::from_secs(self.now.duration_since(since).unsigned_abs().as_secs());
                let waiting = super::counted(count as usize, "source");
                format!("due and waiting: {waiting}, the first for {}", show_duration(lag))
            }
            _ => "nothing waits".to_string(),
        };
        let configuration = if self.is_in_force { "configuration in force" } else { "another configuration" };
        format!(
            "{name} ({version}) heard of {ago} ago; holds {}, {}, {}; {lag}; {configuration}",
            super::counted(self.held.sources as usize, "source"),
            super::counted(self.held.items as usize, "item"),
            super::counted(self.held.messages as usize, "message"),
        )
    }
}

/// The watchers on a shared store, and what is wrong with each.
async fn see_watchers(store: &Store, now: Timestamp) -> anyhow::Result<Vec<Seen>> {
    let (all, database_now) = store.watchers().await?;
    let first = watchers::in_force(&all, database_now);
    let held = store.held_claims(now).await?;
    let mut changes = Changes::default();
    watchers::judge(&all, &[], &mut changes, (database_now, now));
    let mut seen = Vec::new();
    for watcher in &all {
        let state = watchers::state(watcher, database_now);
        let of_it = changes.opened.iter().filter(|open| open.about == watchers::about(&watcher.name));
        let last = watcher.stopped_at.unwrap_or(watcher.heartbeat_at);
        seen.push(Seen {
            state,
            silent_for: database_now.duration_since(last),
            held: held.get(&watcher.owner).copied().unwrap_or_default(),
            overdue: if state == State::Lives { store.overdue_sources(&watcher.owner, now).await? } else { (0, None) },
            is_in_force: first.is_some_and(|first| watchers::differs(watcher, first).is_none()),
            problems: of_it.map(|open| open.detail.clone()).collect(),
            watcher: watcher.clone(),
            now,
        });
    }
    Ok(seen)
}

/// The screen when the database cannot be used.
fn no_store(error: &StoreError, store: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let reason = plain::line(&error.to_string(), 1_000);
    if as_json {
        writeln!(out, "{}", json!({"overall": Overall::Broken, "reasons": [reason], "store": store}))?;
    } else {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        writeln!(out, "{style}broken{style:#}: {BROKEN}\n  {reason}\n\nstore     {store}")?;
    }
    Ok(ExitCode::from(2))
}

/// Prints it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let now = super::now();
    let url = config.store_url();
    super::block_on(async move {
        if !url.starts_with("postgres") {
            return look(&config, arguments, now).await;
        }
        let looked = tokio::time::timeout(LOOK_MAX, look(&config, arguments, now)).await;
        let late = || StoreError::Away(format!("the database did not answer within {} s", LOOK_MAX.as_secs()));
        match looked.unwrap_or_else(|_| Err(late().into())) {
            // A database that is away, or goes away meanwhile, is a state of newswatch, not a failure to look.
            Err(error) => no_store(&error.downcast::<StoreError>()?, &without_password(&url), arguments.json),
            shown => shown,
        }
    })
}

/// Reads all of it, and shows it at the end.
async fn look(config: &Config, arguments: &Arguments, now: Timestamp) -> anyhow::Result<ExitCode> {
    let store = super::open_store(config).await?;
    let day = now - SignedDuration::from_hours(24);
    let sources = store.sources().await?;
    let (items, items_today) = store.item_counts(day).await?;
    let hits = store.hit_counts(day).await?;
    let unscored = store.unscored_count().await?;
    let outbox = store.outbox_counts().await?;
    let count = |state: &str| outbox.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
    let waiting = store.outbox("waiting", 1_000).await?;
    let overdue = waiting.iter().filter(|row| !row.error.is_empty()).count() as i64;
    let seen_at: Option<Timestamp> = store.noted(HEARTBEAT_NOTE).await?.and_then(|text| text.parse().ok());
    let (mut overall, mut reasons) = health::overall(&sources, count("dead"), overdue, seen_at, now);
    if let Some(failed) = store.noted(RELOAD_NOTE).await?.filter(|failed| !failed.is_empty()) {
        overall = overall.max(Overall::Degraded);
        reasons.push(format!(
            "the last reload was refused, the old configuration is in force: {failed}; mend it and reload again"
        ));
    }
    let watchers = if store.is_shared() { see_watchers(&store, now).await? } else { Vec::new() };
    if let Err(error) = if store.is_shared() { store.try_write().await } else { Ok(()) } {
        overall = Overall::Broken;
        reasons.push(format!("the store takes no writes: {error}"));
    }
    let mut held_up: BTreeMap<(String, String), (Vec<String>, Timestamp)> = BTreeMap::new();
    for held in store.held_up(now).await? {
        let watcher = watchers.iter().find(|seen| seen.watcher.owner == held.owner);
        let (names, since) = held_up.entry((held.what, held.reason)).or_insert_with(|| (Vec::new(), held.since));
        names.extend(watcher.map(|seen| seen.watcher.name.clone()));
        *since = held.since.min(*since);
    }
    for ((what, reason), (names, since)) in held_up {
        // A chore can wait.
        let is_work = WORK.contains(&what.as_str());
        overall = overall.max(if is_work { Overall::Broken } else { Overall::Degraded });
        let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
        reasons.push(format!("{what}{of} is held up, began {}: {reason}", super::show_distance(since, now)));
    }
    for seen in &watchers {
        for problem in &seen.problems {
            overall = overall.max(Overall::Degraded);
            reasons.push(format!("watcher {}: {problem}", seen.watcher.name));
        }
    }
    let open = store.conditions().await?;
    for lost in open.iter().filter(|open| open.condition == Condition::CanaryLost) {
        // What does not come as far as the outbox is found by nobody.
        let canary = store.canary().await?;
        let is_inside = canary.is_some_and(|canary| matches!(canary.stage, Stage::Queued | Stage::Unmatched));
        overall = overall.max(if is_inside { Overall::Broken } else { Overall::Degraded });
        let reason = format!("the self-test is lost: {}; {}", lost.detail, lost.advice);
        // The worst stands first.
        reasons.insert(if is_inside { 0 } else { reasons.len() }, reason);
    }
    for full in open.iter().filter(|open| open.condition == Condition::EvidenceFull) {
        overall = overall.max(Overall::Degraded);
        reasons.push(format!("{}; {}", full.detail, full.advice));
    }
    let coverage = health::coverage(&sources, items_today, day, now).with_conditions(&open);
    let canary = store.canary().await?.filter(|_| config.canary.is_some());
    let next = sources.iter().filter(|source| !source.paused).map(|source| source.next_at).min();
    let digest = config.routes.iter().filter_map(|route| route.next_digest(now).map(|at| (at, &route.name))).min();
    let code = match overall {
        Overall::Fine => ExitCode::SUCCESS,
        Overall::Degraded => ExitCode::from(1),
        Overall::Broken => ExitCode::from(2),
    };
    let mut out = anstream::stdout().lock();
    if arguments.json {
        let value = json!({
            "overall": overall, "reasons": reasons, "conditions": open, "canary": canary.as_ref().map(canary_json), "daemon_seen": seen_at, "coverage": coverage, "items": items,
            "unscored": unscored, "hits": hits.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "outbox": outbox.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "next_visit": next, "next_digest": digest.map(|(at, _)| at), "store": store.name(),
        });
        let mut value = value;
        if store.is_shared() {
            value["watchers"] = watchers.iter().map(Seen::as_json).collect();
        }
        writeln!(out, "{value}")?;
        return Ok(code);
    }
    let style = match overall {
        Overall::Fine => anstyle::AnsiColor::Green.on_default().bold(),
        Overall::Degraded => anstyle::AnsiColor::Yellow.on_default().bold(),
        Overall::Broken => anstyle::AnsiColor::Red.on_default().bold(),
    };
    let word = match overall {
        Overall::Fine => "fine",
        Overall::Degraded => "degraded",
        Overall::Broken => "broken",
    };
    let what = match overall {
        Overall::Fine => "everything is looked at and told",
        Overall::Degraded => "the rest goes on; what is wrong, and what to do:",
        Overall::Broken => BROKEN,
    };
    writeln!(out, "{style}{word}{style:#}: {what}")?;
    for reason in &reasons {
        writeln!(out, "  {}", plain::line(reason, 500))?;
    }
    // What newswatch itself has, then what began first: later ones often follow from it.
    let mut shown: Vec<&Open> = open.iter().filter(|open| !is_reason(open.condition)).collect();
    shown.sort_by_key(|open| (open.condition != Condition::NoNetwork, open.since));
    for open in shown.iter().take(CONDITIONS_MAX) {
        writeln!(
            out,
            "  {} ({}, {}): {}",
            plain::line(&open.about, 100),
            open.condition.as_str(),
            super::show_distance(open.since, now),
            plain::line(&open.detail, DETAIL_MAX)
        )?;
        if !open.advice.is_empty() {
            writeln!(out, "    what to do: {}", plain::line(&open.advice, DETAIL_MAX))?;
        }
    }
    if shown.len() > CONDITIONS_MAX {
        let rest = shown.len() - CONDITIONS_MAX;
        writeln!(out, "  and {rest} more (newswatch source list --failing, newswatch status --json)")?;
    }
    writeln!(out)?;
    let fine = sources.iter().filter(|source| source.health == Health::Fine).count();
    writeln!(
        out,
        "sources   {} configured, {fine} fine, {} failing, {} paused",
        sources.len(),
        coverage.failing.len(),
        coverage.paused.len()
    )?;
    writeln!(
        out,
        "          {} read in the last 24 h; next visit {}",
        coverage.read,
        next.map_or("never".to_string(), |at| super::show_distance(at, now))
    )?;
    writeln!(
        out,
        "          {} silent against their rhythm, {} otherwise than usual",
        coverage.silent.len(),
        coverage.changed.len()
    )?;
    writeln!(out, "items     {items} in all, {items_today} in the last 24 h, {unscored} not scored yet")?;
    let by_profile: Vec<String> = hits.iter().map(|(profile, count)| format!("{profile} {count}")).collect();
    writeln!(
        out,
        "hits      in the last 24 h: {}",
        if by_profile.is_empty() { "none".to_string() } else { by_profile.join(", ") }
    )?;
    writeln!(out, "messages  {} sent, {} waiting, {} given up", count("sent"), count("waiting"), count("dead"))?;
    if let Some((at, route)) = digest {
        writeln!(out, "digest    next {} ({route}, {})", super::show_distance(at, now), super::show_time(Some(at)))?;
    }
    writeln!(out, "self-test {}", canary_in_words(canary.as_ref(), config.canary.is_some(), now))?;
    writeln!(out, "daemon    last seen {}", seen_at.map_or("never".to_string(), |at| super::show_distance(at, now)))?;
    for (index, seen) in watchers.iter().enumerate() {
        writeln!(out, "{:<9} {}", if index == 0 { "watchers" } else { "" }, plain::line(&seen.in_words(), 500))?;
    }
    writeln!(out, "store     {}", store.name())?;
    Ok(code)
}
