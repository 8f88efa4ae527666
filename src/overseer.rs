//! Watches the watcher: holds the sources against their checks and tells the operator what has changed, sends an item through the
//! whole of newswatch from time to time, and tells a dead man's switch that all of it moves.
//!
//! [`Overseer::step`] reads what is so, lets [`crate::health`] judge, and commits what changed together with the message about it: a
//! restart repeats nothing. What it says goes through the outbox like everything else, or, where no operator is configured, into
//! newswatch's own log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::evidence::{Entry, Fact};
use crate::health::changes::{self, CONFIGURATION, Changes, EVIDENCE, SELF_TEST};
use crate::health::{self, Condition, Open, record, watchers};
use crate::matcher::canary;
use crate::model::{Id, OutboxRow, ReportLine, SourceState};
use crate::plain;
use crate::poller::fetch::{Fetch, Request};
use crate::store::health::{Canary, Event, HealthDay, ReportTo, Stage};
use crate::store::items::NewItem;
use crate::store::{self, Store};

/// Name of the store's note that holds what became of the last reload; empty when it went well.
pub const RELOAD_NOTE: &str = "last reload failed";
/// Name of the store's note of when the network was found to be there again.
const NETWORK_NOTE: &str = "network back at";
/// Name of the store's note that a ping writes, to see that it can.
const PING_NOTE: &str = "pinged at";
/// Name of the store's note of the day on which the end of the chain was logged.
const HEAD_NOTE: &str = "head logged on day";
/// Documents that no record names are forgotten after this where there is little room; a hit is found within minutes.
const KEEP_TIGHT: SignedDuration = SignedDuration::from_hours(6);
/// Want of room is over when it had no effect for so long, or when half of the room is free and any document fits.
const ROOM_CALM: SignedDuration = SignedDuration::from_hours(24);
/// Documents forgotten at one look.
const FORGET_MAX: usize = 2_000;
/// Changed articles told at one look.
const CHANGED_PAGES_MAX: usize = 200;
/// How often the sources are held against their checks.
const EVERY: SignedDuration = SignedDuration::from_mins(5);
/// The self-test must arrive within this.
const CANARY_TIME: SignedDuration = SignedDuration::from_hours(1);
/// Events are looked for so far back: longer than any pause between two looks that is not a holiday.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// First contacts are told of when what they showed was scored, or after this.
const FIRST_CONTACT_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// More first contacts at once are one line.
const FIRST_CONTACTS_MAX: usize = 3;
/// No look for so long: the overseer itself stands still.
const STANDSTILL: SignedDuration = SignedDuration::from_mins(20);

/// Watches the watcher.
pub struct Overseer {
    store: Store,
    config: Arc<Config>,
    /// When the program began; `None` for a single cycle, which does not wait for what an earlier one left.
    began: Option<Timestamp>,
    /// What first contacts show is alerted, too.
    backlog_is_told: bool,
    /// When a step last went well.
    stepped_at: Option<Timestamp>,
    canary_lost: bool,
    ping_failed: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines told to the operator.
    pub lines: usize,
    /// A self-test set out.
    pub planted: bool,
}

impl Overseer {
    /// An overseer that begins `now`. `once`: for a single cycle.
    pub fn new(store: Store, config: Arc<Config>, backlog_is_told: bool, once: bool, now: Timestamp) -> Overseer {
        let began = (!once).then_some(now);
        Overseer { store, config, began, backlog_is_told, stepped_at: None, canary_lost: false, ping_failed: false }
    }

    /// Takes over a new configuration.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Looks at everything and tells what has changed. Answers what was done and when to look again.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(Progress, Timestamp)> {
        let looked_at = self.store.health_looked_at().await?;
        let sources = self.store.sources().await?;
        let open = self.store.conditions().await?;
        let network_back = self.store.noted(NETWORK_NOTE).await?.and_then(|at| at.parse().ok());
        let mut changes = changes::of_sources(&sources, &open, network_back, now);
        self.judge_canary(&open, &mut changes, now).await?;
        self.judge_reload(&open, &mut changes, now).await?;
        self.judge_room(&open, &mut changes, now).await?;
        if self.store.is_shared() {
            let (watchers, database_now) = self.store.watchers().await?;
            watchers::judge(&watchers, &open, &mut changes, (database_now, now));
        }
        let mut events = self.given_up(now).await?;
        events.extend(self.first_contacts(&sources, now).await?);
        events.extend(self.changed_pages(now).await?);
        let told = self.store.commit_health(&looked_at, &changes, &events, &self.operator(), now).await?;
        self.stepped_at = Some(now);
        // Another watcher on the same store was first.
        let Some(lines) = told else { return Ok((Progress::default(), now + EVERY)) };
        if changes.ended.iter().any(|ended| ended.condition == Condition::NoNetwork) {
            self.store.note(NETWORK_NOTE, &now.to_string()).await?;
        }
        if !self.config.has_operator() {
            lines.iter().for_each(log);
        }
        self.keep_day(&sources, now).await?;
        self.keep_evidence(now).await?;
        let planted = self.plant(now).await?;
        Ok((Progress { lines: lines.len(), planted }, now + EVERY))
    }

    /// Whom to tell; nobody where no operator is configured: then it is logged.
    fn operator(&self) -> Vec<ReportTo> {
        if !self.config.has_operator() {
            return Vec::new();
        }
        let to =
            |recipient: &str| ReportTo { route: self.config.operator.name.clone(), recipient: recipient.to_string() };
        let recipients = &self.config.operator.to;
        if recipients.is_empty() { vec![to("")] } else { recipients.iter().map(|recipient| to(recipient)).collect() }
    }

    /// Sends the next item through, when it is time.
    pub async fn plant(&self, now: Timestamp) -> store::Result<bool> {
        let Some(every) = self.config.canary.and_then(|every| SignedDuration::try_from(every).ok()) else {
            return Ok(false);
        };
        if let Some(last) = self.store.canary().await? {
            let age = now.duration_since(last.planted_at);
            let wait = match last.stage {
                Stage::Arrived(_) => every,
                // It will not arrive any more: another one shows when all is well again.
                Stage::Unmatched | Stage::Dead(_) => every.min(CANARY_TIME * 2),
                // It may still, and the one behind it would wait for the same.
                Stage::Queued | Stage::Waiting(_) => every.max(CANARY_TIME) * 2,
            };
            // One from the future was sent before the clock was set back.
            if age < wait && age >= -CANARY_TIME {
                return Ok(false);
            }
        }
        let item = canary::item(now);
        let (link, story) = (item.id, Id::of(&["story by item", &item.source, &item.key]));
        self.store.plant_canary(&NewItem { item, text_hash: 0, story, link, aliases: Vec::new() }, now).await?;
        Ok(true)
    }

    async fn judge_canary(&mut self, open: &[Open], changes: &mut Changes, now: Timestamp) -> store::Result<()> {
        let known = open.iter().find(|open| open.condition == Condition::CanaryLost);
        let canary = self.store.canary().await?.filter(|_| self.config.canary.is_some());
        self.canary_lost = false;
        let Some(canary) = canary else {
            changes.ended.extend(known.cloned());
            return Ok(());
        };
        let lost = self.lost(&canary, known.is_some(), now);
        self.canary_lost = lost.is_some();
        changes.note(open, SELF_TEST, Condition::CanaryLost, lost, now);
        Ok(())
    }

    /// What is wrong when the self-test has not arrived in time.
    fn lost(&self, canary: &Canary, is_open: bool, now: Timestamp) -> Option<Open> {
        let since = canary.planted_at.max(self.began.unwrap_or(Timestamp::MIN));
        let is_late = now.duration_since(since) >= CANARY_TIME;
        let (stage, advice) = match &canary.stage {
            Stage::Arrived(_) => return None,
            Stage::Dead(error) => {
                (format!("the channel gave it up: {error}"), "mend the channel: newswatch outbox list")
            }
            _ if !is_late && !is_open => return None,
            Stage::Queued => ("the matcher has not come to it".to_string(), "see the log for what holds up matching"),
            Stage::Unmatched => ("the matcher did not find it".to_string(), "please report it, with the log"),
            Stage::Waiting(error) if error.is_empty() => {
                ("its message waits in the outbox".to_string(), "see the log for what holds up delivering")
            }
            Stage::Waiting(error) => {
                (format!("the channel does not take its message: {error}"), "mend the channel: newswatch outbox list")
            }
        };
        Some(Open {
            about: SELF_TEST.to_string(),
            condition: Condition::CanaryLost,
            since: canary.planted_at,
            noticed_at: now,
            detail: plain::line(
                &format!(
                    "the item sent through newswatch at {} has not arrived: {stage}",
                    canary.planted_at.strftime("%Y-%m-%d %H:%MZ")
                ),
                700,
            ),
            advice: advice.to_string(),
        })
    }

    async fn judge_reload(&self, open: &[Open], changes: &mut Changes, now: Timestamp) -> store::Result<()> {
        let failed = self.store.noted(RELOAD_NOTE).await?.filter(|failed| !failed.is_empty());
        let wrong = failed.map(|failed| Open {
            about: CONFIGURATION.to_string(),
            condition: Condition::ReloadRefused,
            since: now,
            noticed_at: now,
            detail: plain::line(&format!("the reload was refused, the old one is in force: {failed}"), 700),
            advice: "mend it and reload again: newswatch check".to_string(),
        });
        changes.note(open, CONFIGURATION, Condition::ReloadRefused, wrong, now);
        Ok(())
    }

    /// Whether the documents of evidence have room.
    async fn judge_room(&self, open: &[Open], changes: &mut Changes, now: Timestamp) -> store::Result<()> {
        let room = self.store.capture_room().await?;
        let max = self.config.evidence.captures_bytes_max;
        let used = room.bytes.max(0) as u64;
        let is_roomy = used.saturating_mul(2).saturating_add(self.config.evidence.capture_bytes_max) <= max;
        let full = format!(
            "documents of hits are not kept any more, only their hashes: all documents together have reached \
             evidence.captures_bytes_max, {max} bytes"
        );
        let hurried = format!(
            "documents that no hit names are let go after hours and not after evidence.keep_unused: nine tenths of \
             evidence.captures_bytes_max, {max} bytes, are used"
        );
        let of = [
            (
                Condition::EvidenceFull,
                room.left_out_at,
                full,
                "raise evidence.captures_bytes_max, or lower store.keep_hits",
            ),
            (
                Condition::EvidenceHurried,
                room.hurried_at,
                hurried,
                "raise evidence.captures_bytes_max, or lower evidence.keep_unused",
            ),
        ];
        for (condition, at, detail, advice) in of {
            // A time from the future was noted before the clock was set back.
            let recent = at.filter(|at| !is_roomy && now.duration_since(*at).abs() < ROOM_CALM);
            let wrong = recent.map(|since| Open {
                about: EVIDENCE.to_string(),
                condition,
                since,
                noticed_at: now,
                detail,
                advice: advice.to_string(),
            });
            changes.note(open, EVIDENCE, condition, wrong, now);
        }
        Ok(())
    }

    /// Messages that were given up.
    async fn given_up(&self, now: Timestamp) -> store::Result<Vec<Event>> {
        let rows = self.store.given_up_since(now - LOOK_BACK).await?;
        let event = |row: &OutboxRow| {
            let at = row.finished_at.map_or(0, |at| at.as_millisecond());
            Event { keys: vec![format!("given up {} {at}", row.id)], line: given_up(row, now) }
        };
        Ok(rows.iter().map(event).collect())
    }

    /// Sources that were read for the first time: nobody was told of what they showed.
    async fn first_contacts(&self, sources: &[SourceState], now: Timestamp) -> store::Result<Vec<Event>> {
        let recent = |source: &&SourceState| source.baseline_at.is_some_and(|at| at >= now - LOOK_BACK && at <= now);
        let mut met: Vec<&SourceState> = sources.iter().filter(recent).collect();
        if self.backlog_is_told || met.is_empty() {
            return Ok(Vec::new());
        }
        let told = self.store.told().await?;
        met.retain(|source| !told.contains(&first_contact(source)));
        if met.is_empty() {
            return Ok(Vec::new());
        }
        if self.store.unscored_count().await? > 0 {
            met.retain(|source| source.baseline_at.is_some_and(|at| now.duration_since(at) >= FIRST_CONTACT_WAIT));
        }
        let Some(since) = met.iter().filter_map(|source| source.baseline_at).min() else { return Ok(Vec::new()) };
        let hits: BTreeMap<String, i64> = self.store.backlog_hits_by_source(since).await?.into_iter().collect();
        let of = |source: &SourceState| hits.get(&source.name).copied().unwrap_or_default();
        let event = |keys: Vec<String>, about: String, items: i64, hits: i64| Event {
            keys,
            line: ReportLine {
                at: now,
                about,
                headline: format!(
                    "first contact: what it showed, {} with {} among them, is backlog, and nobody was told",
                    plain::counted(items as usize, "item"),
                    plain::counted(hits as usize, "hit")
                ),
                advice: if hits > 0 { "newswatch hits lists them".to_string() } else { String::new() },
                is_recovery: true,
            },
        };
        if met.len() <= FIRST_CONTACTS_MAX {
            let each = met
                .iter()
                .map(|source| event(vec![first_contact(source)], source.name.clone(), source.items, of(source)));
            return Ok(each.collect());
        }
        let keys = met.iter().map(|source| first_contact(source)).collect();
        let (items, hits) = (met.iter().map(|source| source.items).sum(), met.iter().map(|source| of(source)).sum());
        Ok(vec![event(keys, format!("{} sources", met.len()), items, hits)])
    }

    /// Articles that people were told of and that are not as they were.
    async fn changed_pages(&self, now: Timestamp) -> store::Result<Vec<Event>> {
        let entries = self.store.changed_pages(now - LOOK_BACK, None, CHANGED_PAGES_MAX).await?;
        let event = |entry: &Entry| {
            let item = entry.record.fact.item()?;
            let what = match (&entry.record.fact, entry.difference()) {
                (_, Some(difference)) if difference.is_empty() => return None,
                (_, Some(difference)) => format!(
                    "was changed since it was a hit: {} present then, absent now; {} absent then, present now",
                    plain::counted(difference.then_only.len(), "sentence"),
                    difference.now_only.len()
                ),
                (Fact::Reread(reread), None) => {
                    let at = entry.record.at.strftime("%Y-%m-%d %H:%MZ");
                    format!("could not be read again at {at}: {}", reread.problem)
                }
                _ => return None,
            };
            let text = entry.before.as_ref();
            let title = text.map_or(String::new(), |text| plain::line(&text.title, 120));
            Some(Event {
                keys: vec![format!("reread {}", entry.record.number)],
                line: ReportLine {
                    at: entry.record.at,
                    about: text.map_or("evidence".to_string(), |text| text.source.clone()),
                    headline: plain::line(&format!("the article \"{title}\" {what}"), 600),
                    advice: format!("newswatch evidence show {item}"),
                    is_recovery: true,
                },
            })
        };
        Ok(entries.iter().filter_map(event).collect())
    }

    /// Forgets documents that no record names, sooner when there is little room left, and logs once a day how the chain stands: a
    /// hash in a log that lies elsewhere is what nobody can change any more.
    async fn keep_evidence(&self, now: Timestamp) -> store::Result<()> {
        let settings = &self.config.evidence;
        let is_tight = self.store.capture_room().await?.bytes as u64 > settings.captures_bytes_max / 10 * 9;
        let keep = SignedDuration::try_from(settings.keep_unused).unwrap_or(SignedDuration::MAX);
        if let Ok(before) = now.checked_sub(keep) {
            self.store.forget_captures(before, FORGET_MAX).await?;
        }
        if is_tight && keep > KEEP_TIGHT && self.store.forget_captures(now - KEEP_TIGHT, FORGET_MAX).await?.captures > 0
        {
            self.store.note_hurried(now).await?;
        }
        let (number, hash) = self.store.chain_head().await?;
        let today = record::day_of(now).to_string();
        if number > 0 && self.store.noted(HEAD_NOTE).await?.as_ref() != Some(&today) {
            tracing::info!(
                records = number,
                hash,
                "evidence: {}, the hash of the last one is {hash}",
                plain::counted(number as usize, "record")
            );
            self.store.note(HEAD_NOTE, &today).await?;
        }
        Ok(())
    }

    async fn keep_day(&self, sources: &[SourceState], now: Timestamp) -> store::Result<()> {
        let day = now - SignedDuration::from_hours(24);
        let items = self.store.archive_count(day, now).await?;
        let open = self.store.conditions().await?;
        let coverage = health::coverage(sources, items, day, now).with_conditions(&open);
        let day = HealthDay {
            day: record::day_of(now),
            sources: coverage.sources as i64,
            read: coverage.read as i64,
            failing: coverage.failing.len() as i64,
            silent: coverage.silent.len() as i64,
            changed: coverage.changed.len() as i64,
            items,
        };
        self.store.keep_health_day(&day).await
    }

    /// How often the dead man's switch is to hear from us; `None` where there is none.
    pub fn ping_every(&self) -> Option<Duration> {
        self.config.ping.as_ref().map(|ping| ping.every)
    }

    /// Tells the dead man's switch that newswatch lives, if it does: the loops move, the sources are looked after, the store
    /// takes a write, and the self-test is not lost.
    pub async fn ping(&mut self, fetch: &dyn Fetch, loops_move: bool, now: Timestamp) {
        let Some(ping) = self.config.ping.clone() else { return };
        let looks = self.stepped_at.is_some_and(|at| now.duration_since(at) < STANDSTILL);
        if !loops_move || !looks || self.canary_lost {
            tracing::debug!("no ping: newswatch is not well");
            return;
        }
        if let Err(error) = self.store.note(PING_NOTE, &now.to_string()).await {
            tracing::debug!("no ping: {error}");
            return;
        }
        let failed = match fetch.fetch(Request::get(ping.url, "*/*")).await {
            Ok(response) if response.status < 300 => None,
            Ok(response) => Some(format!("status {}", response.status)),
            Err(error) => Some(error.text),
        };
        match failed {
            Some(error) if !self.ping_failed => {
                tracing::warn!("the ping was not taken: {}", plain::line(&error, 300));
                self.ping_failed = true;
            }
            Some(error) => tracing::debug!("the ping is still not taken: {}", plain::line(&error, 300)),
            None if std::mem::take(&mut self.ping_failed) => tracing::info!("the ping is taken again"),
            None => {}
        }
    }
}

/// What is said of a message that was given up.
fn given_up(row: &OutboxRow, now: Timestamp) -> ReportLine {
    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
    let what = format!("the {} of route {}{to} was given up: {}", row.kind.as_str(), row.route, row.error);
    ReportLine {
        at: now,
        about: "outbox".to_string(),
        headline: plain::line(&what, 600),
        advice: format!("mend the cause, then newswatch outbox retry {}", row.id),
        is_recovery: false,
    }
}

/// What tells the first contact with a source from others.
fn first_contact(source: &SourceState) -> String {
    format!("first contact {} {}", source.name, source.baseline_at.map_or(0, |at| at.as_millisecond()))
}

/// The operator's message where nobody is configured.
fn log(line: &ReportLine) {
    let text = plain::line(&format!("{}: {}", line.about, line.headline), 1_000);
    let advice = if line.advice.is_empty() { String::new() } else { format!("; {}", plain::line(&line.advice, 300)) };
    if line.is_recovery {
        tracing::info!(about = line.about, "{text}{advice}");
    } else {
        tracing::warn!(about = line.about, "{text}{advice}");
    }
}
