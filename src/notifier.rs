//! Loop 3: due outbox rows → channels.
//!
//! [`Notifier::step`] claims rows that are due and starts a lane for each route and recipient among them; it never waits for a
//! channel. A lane delivers its rows one after the other and records each result at once. A row is claimed, and its attempt
//! counted, before the attempt is made; it is recorded as sent only after the channel accepted it. A crash in between repeats
//! the attempt with the same message id, so that moment is kept short: nothing else is done in it.

pub mod answers;
pub mod channel;
pub mod compose;
pub mod gather;
pub mod preview;
pub mod retry;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::route::{Revised, RouteConfig};
use crate::meters::{self, Meters};
use crate::model::{DeliveryKind, EndedWindow, Id, NewDelivery, OutboxRow, Outcome};
use crate::plain;
use crate::store::sources::Claim;
use crate::store::{self, Store};
use channel::{Channel, DeliveryError, Message};

/// A claim is held so long; no attempt begins later than [`LANE_MAX`] after it or takes longer than [`ATTEMPT_MAX`].
const LEASE: SignedDuration = SignedDuration::from_mins(10);
const ATTEMPT_MAX: Duration = Duration::from_secs(240);
const LANE_MAX: Duration = Duration::from_secs(240);
/// Lanes at the same time.
const LANES_MAX: usize = 16;
/// Waiting rows looked at together when the configuration has changed.
const REVISED_PAGE: usize = 200;
/// Hits of one row that are handed to other routes at most; a row with more of them is shown to people.
const HANDED_MAX: usize = 20_000;
/// The store is asked again after this long even if nothing is due sooner.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Delivers outbox rows.
pub struct Notifier {
    store: Store,
    config: Arc<Config>,
    clock: Clock,
    owner: String,
    lanes: JoinSet<LaneEnd>,
    /// Which lane a task is, also when it panicked.
    busy: HashMap<tokio::task::Id, LaneKey>,
    /// Lanes begin no further attempt.
    stopping: Arc<AtomicBool>,
    /// Results recorded since the last step.
    finished: usize,
    /// Results that the store did not take yet.
    unrecorded: Vec<Attempt>,
    /// Until when it is decided which windows have a digest.
    settled: BTreeMap<LaneKey, Timestamp>,
    /// What waits is as this configuration wants it, at this time.
    revised_at: Option<Timestamp>,
    /// Rows for nobody whom this configuration knows, which it has had its look at.
    unknown: BTreeSet<Id>,
    meters: Arc<Meters>,
}

/// A route and a recipient: what goes there goes in order, one at a time.
type LaneKey = (String, String);

/// An attempt that is over.
struct Attempt {
    row: OutboxRow,
    claim: Claim,
    outcome: Outcome,
}

/// What a lane leaves behind.
#[derive(Default)]
struct LaneEnd {
    /// Results that were recorded.
    finished: usize,
    /// Results that the store did not take, and rows that were not tried.
    unrecorded: Vec<Attempt>,
}

/// What a lane works with.
struct Lane {
    store: Store,
    config: Arc<Config>,
    clock: Clock,
    stopping: Arc<AtomicBool>,
    meters: Arc<Meters>,
}

impl Notifier {
    /// A notifier for the routes of the configuration. `owner` names this process in its claims.
    pub fn new(store: Store, config: Arc<Config>, clock: Clock, owner: &str) -> Notifier {
        Notifier {
            store,
            config,
            clock,
            owner: owner.to_string(),
            lanes: JoinSet::new(),
            busy: HashMap::new(),
            stopping: Arc::default(),
            finished: 0,
            unrecorded: Vec::new(),
            settled: BTreeMap::new(),
            revised_at: None,
            unknown: BTreeSet::new(),
            meters: Arc::default(),
        }
    }

    /// Counts here.
    #[must_use]
    pub fn with_meters(self, meters: Arc<Meters>) -> Notifier {
        Notifier { meters, ..self }
    }

    /// Takes over a new configuration; deliveries in flight end as they began.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
        self.revised_at = None;
        self.unknown.clear();
    }

    /// Records what is still to be recorded, claims, starts. Answers how many rows were finished and when to call again at
    /// the latest.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(usize, Timestamp)> {
        let finished = self.record(now).await?;
        self.revise(now).await?;
        self.settle_digests(now).await?;
        let (quiet, quiet_end) = self.quiet(now);
        let room = LANES_MAX.saturating_sub(self.lanes.len());
        if room > 0 {
            let busy: Vec<LaneKey> = self.busy.values().chain(&quiet).cloned().collect();
            let mut lanes: BTreeMap<LaneKey, Vec<(OutboxRow, Claim)>> = BTreeMap::new();
            let claimed = self.store.claim_outbox(&self.owner, now, now + LEASE, room, &busy).await?;
            let (claimed, strays): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|(row, _)| !self.is_stray(row));
            self.give_back(strays, now).await?;
            for (row, claim) in claimed {
                lanes.entry((row.route.clone(), row.recipient.clone())).or_default().push((row, claim));
            }
            for (key, rows) in lanes {
                self.start(key, rows);
            }
        }
        let next_digest = self.config.routes.iter().filter_map(|route| route.next_digest(now)).min();
        let busy: Vec<LaneKey> = self.busy.values().chain(&quiet).cloned().collect();
        let next_row = self.store.next_delivery_due(&busy).await?;
        let next = [next_digest, next_row, quiet_end].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        // With no room left there is nothing to do before a lane ends; nor while another watcher delivers what is due.
        let earliest = if room == 0 || (self.store.is_shared() && self.lanes.is_empty()) {
            now + SignedDuration::from_secs(1)
        } else {
            now + SignedDuration::from_millis(5)
        };
        Ok((finished, next.clamp(earliest, now + LOOK_AGAIN)))
    }

    /// Made by a matcher that still worked with the configuration before: nobody has looked at it with this one.
    fn is_stray(&self, row: &OutboxRow) -> bool {
        let is_known = |route: &RouteConfig| route.recipients().contains(&row.recipient.as_str());
        row.kind != DeliveryKind::Report
            && !self.config.route(&row.route).is_some_and(is_known)
            && !self.unknown.contains(&row.id)
    }

    /// Rows that go to those who are told now, instead of being tried.
    async fn give_back(&mut self, strays: Vec<(OutboxRow, Claim)>, now: Timestamp) -> store::Result<()> {
        if strays.is_empty() {
            return Ok(());
        }
        let rows: Vec<(Id, Claim, Outcome)> =
            strays.iter().map(|(row, claim)| (row.id, claim.clone(), Outcome::NotTried)).collect();
        self.store.finish_deliveries(&rows, now).await?;
        self.unknown.extend(rows.iter().map(|(id, ..)| *id));
        self.revised_at = None;
        self.revise(now).await
    }

    /// No delivery is running or waiting to be recorded.
    pub fn is_idle(&self) -> bool {
        self.lanes.is_empty() && self.unrecorded.is_empty()
    }

    /// Waits until a lane has come to its end; for ever when none is running.
    pub async fn delivery_finished(&mut self) {
        if !self.unrecorded.is_empty() {
            return;
        }
        match self.lanes.join_next_with_id().await {
            Some(joined) => self.collect(joined),
            None => std::future::pending().await,
        }
    }

    /// Lets running deliveries end until `expired`, then gives up the rest: they are repeated when their claims run out.
    pub async fn stop(&mut self, now: Timestamp, expired: impl Future<Output = ()>) -> store::Result<usize> {
        self.stopping.store(true, Ordering::Relaxed);
        tokio::pin!(expired);
        loop {
            tokio::select! {
                joined = self.lanes.join_next_with_id() => match joined {
                    Some(joined) => self.collect(joined),
                    None => break,
                },
                () = &mut expired => break,
            }
        }
        self.lanes.abort_all();
        self.record(now).await
    }

    fn collect(&mut self, joined: Result<(tokio::task::Id, LaneEnd), JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.busy.remove(&id);
        match joined {
            Ok((_, end)) => {
                self.finished += end.finished;
                self.unrecorded.extend(end.unrecorded);
            }
            // The claims run out and the rows are tried again.
            Err(error) => tracing::error!("a delivery failed inside newswatch: {error}"),
        }
    }

    /// Records what lanes could not record. Until the store takes it nothing new is sent.
    async fn record(&mut self, now: Timestamp) -> store::Result<usize> {
        while let Some(joined) = self.lanes.try_join_next_with_id() {
            self.collect(joined);
        }
        if !self.unrecorded.is_empty() {
            let attempts = self.unrecorded.iter();
            let done: Vec<(Id, Claim, Outcome)> =
                attempts.map(|attempt| (attempt.row.id, attempt.claim.clone(), attempt.outcome.clone())).collect();
            self.store.finish_deliveries(&done, now).await?;
            for attempt in self.unrecorded.drain(..) {
                self.finished += usize::from(attempt.outcome != Outcome::NotTried && is_for_readers(&attempt.row));
                span(&self.config, &attempt.row).in_scope(|| report(&attempt.row, &attempt.outcome));
                count(&self.meters, &self.config, &attempt.row, &attempt.outcome, now);
            }
        }
        Ok(std::mem::take(&mut self.finished))
    }

    /// Routes and recipients in their quiet hours: nothing goes there now, also nothing that could not be delivered before. And
    /// when the first of these hours end.
    fn quiet(&self, now: Timestamp) -> (Vec<LaneKey>, Option<Timestamp>) {
        let (mut quiet, mut first_end) = (Vec::new(), None);
        for route in &self.config.routes {
            let Some(end) = route.quiet_until(now) else { continue };
            quiet.extend(route.recipients().into_iter().map(|to| (route.name.clone(), to.to_string())));
            first_end = Some(first_end.map_or(end, |first: Timestamp| first.min(end)));
        }
        (quiet, first_end)
    }

    /// Each window that ended gets its digest, if it is to have one.
    async fn settle_digests(&mut self, now: Timestamp) -> store::Result<()> {
        let is_open = |ended: &EndedWindow| {
            // A mark in the future is of a time before the clock was set back.
            let settled = self.settled.get(&(ended.route.clone(), ended.recipient.clone()));
            settled.is_none_or(|until| *until < ended.window.until || *until > now)
        };
        let ended = self.config.routes.iter().flat_map(|route| route.ended_windows(now));
        let ended: Vec<EndedWindow> = ended.filter(is_open).collect();
        let settled = self.store.settle_digests(&ended, now).await?;
        for (window, until) in ended.into_iter().zip(settled) {
            self.settled.insert((window.route, window.recipient), until);
        }
        Ok(())
    }

    /// After a change of the configuration, and after the clock was set back: what waits by the old one goes out by the new one.
    async fn revise(&mut self, now: Timestamp) -> store::Result<()> {
        if self.revised_at.is_some_and(|at| at <= now) {
            self.revised_at = Some(now);
            return Ok(());
        }
        let config = self.config.clone();
        let lanes = |route: &RouteConfig| -> Vec<LaneKey> {
            route.recipients().into_iter().map(|to| (route.name.clone(), to.to_string())).collect()
        };
        let known: Vec<LaneKey> = config.routes.iter().flat_map(lanes).collect();
        let mut after = Id(-1);
        loop {
            let rows = self.store.rows_to_revise(&known, after, now, REVISED_PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in &rows {
                match config.route(&row.route) {
                    Some(route) if route.recipients().contains(&row.recipient.as_str()) => {
                        match route.revised(row, now) {
                            Revised::Stays => {}
                            Revised::DueAt(at) => self.store.move_delivery(row.id, at).await?,
                            Revised::InDigest(window) => self.store.move_digest(row, window, now).await?,
                        }
                    }
                    route => self.hand_over(row, route, now).await?,
                }
            }
        }
        self.revised_at = Some(now);
        Ok(())
    }

    /// What waits for a route or recipient that is not in the configuration any more goes to those that are there now: under a
    /// new name nothing is lost, and what nobody is told of is said loudly.
    async fn hand_over(&self, row: &OutboxRow, route: Option<&RouteConfig>, now: Timestamp) -> store::Result<()> {
        let routes: Vec<&RouteConfig> = match route {
            Some(route) => vec![route],
            None => self.config.routes.iter().collect(),
        };
        let mut hits = Vec::new();
        for hit in self.store.hits_of_delivery(row.id, HANDED_MAX).await? {
            let deliveries: Vec<NewDelivery> = routes.iter().flat_map(|route| route.deliveries(&hit, now)).collect();
            hits.push((hit, deliveries));
        }
        // Everybody else on the route is told of what the route still tells of.
        let is_told = route.is_some() && hits.iter().all(|(_, deliveries)| !deliveries.is_empty());
        let (kind, name, to) = (row.kind.as_str(), &row.route, &row.recipient);
        let why = match route {
            Some(_) => format!("{to} is not a recipient of the route {name} any more"),
            None => format!("the configuration has no route {name} any more"),
        };
        let Some(handed) = self.store.hand_over(row, &hits, is_told, &why, now).await? else { return Ok(()) };
        let counts = format!("to those who are told now go {} of {}", handed.taken, plain::counted(handed.hits, "hit"));
        if handed.is_lossless {
            tracing::info!(route = name, id = %row.id, "{kind} {} is not sent, because {why}; {counts}", row.id);
        } else {
            tracing::error!(
                route = name, id = %row.id,
                "{kind} {} was given up, because {why}; {counts}; bring the route back and say newswatch outbox retry {}", row.id, row.id
            );
        }
        Ok(())
    }

    fn start(&mut self, key: LaneKey, rows: Vec<(OutboxRow, Claim)>) {
        let (store, config, clock) = (self.store.clone(), self.config.clone(), self.clock.clone());
        let (stopping, meters) = (self.stopping.clone(), self.meters.clone());
        let lane = Lane { store, config, clock, stopping, meters };
        let task = self.lanes.spawn(async move { lane.run(rows).await });
        self.busy.insert(task.id(), key);
    }
}

impl Lane {
    /// Delivers rows one after the other and records each result before the next attempt begins.
    async fn run(&self, rows: Vec<(OutboxRow, Claim)>) -> LaneEnd {
        let began = Instant::now();
        let mut end = LaneEnd::default();
        for (row, claim) in rows {
            // What the store does not take now would not be recorded as sent either.
            let goes_on = end.unrecorded.is_empty() && began.elapsed() < LANE_MAX;
            if !goes_on || self.stopping.load(Ordering::Relaxed) {
                end.unrecorded.push(Attempt { row, claim, outcome: Outcome::NotTried });
                continue;
            }
            let span = span(&self.config, &row);
            self.one(row, claim, &mut end).instrument(span).await;
        }
        end
    }

    /// One attempt, recorded at once.
    async fn one(&self, row: OutboxRow, claim: Claim, end: &mut LaneEnd) {
        let message = compose_for(&self.store, &self.config, &row, self.clock.now()).await;
        if let Ok((_, message)) = &message {
            for hit in &message.hits {
                let (item, profile, source) = (hit.item.id, hit.profile.as_str(), hit.item.source.as_str());
                tracing::debug!(%item, profile, source, "{} {} tells of item {item}", row.kind.as_str(), row.id);
            }
        }
        // A watcher that was stopped or cut off for long may have lost the row to another; or its routes are not in force any more.
        let now = self.clock.now();
        if self.store.is_shared() && !self.store.holds_delivery(row.id, &claim, now).await.unwrap_or(false) {
            end.unrecorded.push(Attempt { row, claim, outcome: Outcome::NotTried });
            return;
        }
        let precedence = self.store.precedence().await;
        let outcome = self.attempt(&row, message).await;
        let done = (row.id, claim, outcome);
        match self.store.finish_deliveries(std::slice::from_ref(&done), self.clock.now()).await {
            Ok(()) => {
                report(&row, &done.2);
                count(&self.meters, &self.config, &row, &done.2, self.clock.now());
                end.finished += usize::from(is_for_readers(&row));
            }
            // The loop tries again and says what is wrong.
            Err(_) => end.unrecorded.push(Attempt { row, claim: done.1, outcome: done.2 }),
        }
        drop(precedence);
    }

    async fn attempt(&self, row: &OutboxRow, message: Result<Addressed, DeliveryError>) -> Outcome {
        let result = match &message {
            Ok((channel, message)) => {
                tokio::time::timeout(ATTEMPT_MAX, channel.deliver(message)).await.unwrap_or_else(|_| {
                    // It may have taken the message all the same.
                    let text = format!("the channel gave no answer within {} s", ATTEMPT_MAX.as_secs());
                    Err(DeliveryError::Uncertain(text))
                })
            }
            Err(error) => Err(error.clone()),
        };
        retry::after(row.id, result, row.attempts, row.first_due_at(), self.clock.now())
    }
}

/// What is told of newswatch itself does not count as news.
fn is_for_readers(row: &OutboxRow) -> bool {
    row.kind != DeliveryKind::Report
}

/// A message and the channel that is to deliver it.
type Addressed = (Arc<dyn Channel>, Message);

/// What a row has to say now.
async fn compose_for(
    store: &Store,
    config: &Config,
    row: &OutboxRow,
    now: Timestamp,
) -> Result<Addressed, DeliveryError> {
    let temporary = |error: &dyn std::fmt::Display| DeliveryError::Temporary(error.to_string());
    let Some(route) = config.route(&row.route) else {
        let text = "the configuration has no such route any more: bring it back and say newswatch outbox retry";
        return Err(DeliveryError::Permanent(text.to_string()));
    };
    if !route.recipients().contains(&row.recipient.as_str()) {
        let text = "not a recipient of the route any more: bring the recipient back and say newswatch outbox retry";
        return Err(DeliveryError::Permanent(text.to_string()));
    }
    let Some(channel) = config.channels.get(&route.channel) else {
        return Err(DeliveryError::Temporary(format!("there is no channel \"{}\"", route.channel)));
    };
    let ingredients = gather::gather(store, config, route, row, false, now).await.map_err(|error| temporary(&error))?;
    let mut composed = compose::compose(ingredients, config.templates());
    if let Some(problem) = composed.problem {
        tracing::error!(route = row.route, id = %row.id, "{} {} of route {}: {problem}", row.kind.as_str(), row.id, row.route);
    }
    composed.message.thread = store.thread_of(row).await.map_err(|error| temporary(&error))?;
    Ok((channel.clone(), composed.message))
}

/// Every line about a delivery stands in this.
fn span(config: &Config, row: &OutboxRow) -> tracing::Span {
    let channel = config.route(&row.route).map_or("", |route| &route.channel);
    tracing::error_span!("deliver", outbox = %row.id, route = row.route, channel)
}

fn count(meters: &Meters, config: &Config, row: &OutboxRow, outcome: &Outcome, now: Timestamp) {
    let channel = config.route(&row.route).map_or("", |route| &route.channel);
    let word = match outcome {
        Outcome::NotTried => return,
        Outcome::Sent => "sent",
        Outcome::Again { .. } => "again",
        Outcome::Dead { .. } => "dead",
    };
    meters.delivered(channel, word);
    if *outcome == Outcome::Sent {
        let delay = now.duration_since(row.first_due_at()).as_secs_f64().max(0.0);
        meters.delivery_seconds.get_or_create(&meters::label("channel", channel)).observe(delay);
    }
}

fn report(row: &OutboxRow, outcome: &Outcome) {
    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
    let kind = row.kind.as_str();
    match outcome {
        Outcome::NotTried => {}
        Outcome::Sent => {
            tracing::debug!(route = row.route, id = %row.id, "{kind} {} of route {}{to} delivered", row.id, row.route);
        }
        Outcome::Again { at, error } if row.attempts == 1 => {
            tracing::warn!(route = row.route, id = %row.id, "{kind} {} of route {}{to} could not be delivered, next attempt {at}: {error}", row.id, row.route);
        }
        Outcome::Again { at, error } => {
            tracing::debug!(route = row.route, id = %row.id, attempts = row.attempts, "{kind} {} of route {}{to} still not delivered, next attempt {at}: {error}", row.id, row.route);
        }
        Outcome::Dead { error } => {
            tracing::error!(
                route = row.route, id = %row.id,
                "{kind} {} of route {}{to} was given up: {error}; mend the cause and say newswatch outbox retry {}", row.id, row.route, row.id
            );
        }
    }
}
