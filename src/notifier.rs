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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinError, JoinSet};

use crate::clock::Clock;
use crate::config::Config;
use crate::model::{DeliveryKind, Id, OutboxRow, Outcome, ReportLine};
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
    /// Since when digests are this program's duty, by route and recipient.
    duty_since: BTreeMap<LaneKey, Timestamp>,
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
            duty_since: BTreeMap::new(),
        }
    }

    /// Takes over a new configuration; deliveries in flight end as they began.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Records what is still to be recorded, claims, starts. Answers how many rows were finished and when to call again at
    /// the latest.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(usize, Timestamp)> {
        let finished = self.record(now).await?;
        self.ensure_digests(now).await?;
        let room = LANES_MAX.saturating_sub(self.lanes.len());
        if room > 0 {
            let busy: Vec<LaneKey> = self.busy.values().cloned().collect();
            let mut lanes: BTreeMap<LaneKey, Vec<(OutboxRow, Claim)>> = BTreeMap::new();
            for (row, claim) in self.store.claim_outbox(&self.owner, now, now + LEASE, room, &busy).await? {
                lanes.entry((row.route.clone(), row.recipient.clone())).or_default().push((row, claim));
            }
            for (key, rows) in lanes {
                self.start(key, rows);
            }
        }
        let next_digest = self.config.routes.iter().filter_map(|route| route.next_digest(now)).min();
        let busy: Vec<LaneKey> = self.busy.values().cloned().collect();
        let next_row = self.store.next_delivery_due(&busy).await?;
        let next = [next_digest, next_row].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        // With no room left there is nothing to do before a lane ends.
        let earliest =
            if room == 0 { now + SignedDuration::from_secs(1) } else { now + SignedDuration::from_millis(5) };
        Ok((finished, next.clamp(earliest, now + LOOK_AGAIN)))
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
                self.finished += usize::from(attempt.outcome != Outcome::NotTried);
                report(&attempt.row, &attempt.outcome);
            }
        }
        Ok(std::mem::take(&mut self.finished))
    }

    async fn ensure_digests(&mut self, now: Timestamp) -> store::Result<()> {
        let mut due = Vec::new();
        for row in self.config.routes.iter().flat_map(|route| route.due_digests(now)) {
            let key = (row.route.clone(), row.recipient.clone());
            let since = match self.duty_since.get(&key) {
                Some(since) if *since <= now => *since,
                // Not known yet, or of a time before the clock was set back.
                _ => {
                    let since = self.duty(&key, now).await?;
                    self.duty_since.insert(key, since);
                    since
                }
            };
            if row.due_at > since {
                due.push(row);
            }
        }
        self.store.ensure_digests(&due, now).await?;
        // Made once; the row itself keeps a later step from making it again.
        for row in due {
            self.duty_since.insert((row.route, row.recipient), row.due_at);
        }
        Ok(())
    }

    /// Since when the recipient is told on the route: digests of earlier times are nobody's duty.
    async fn duty(&self, (route, recipient): &LaneKey, now: Timestamp) -> store::Result<Timestamp> {
        let key = format!("digests of route {route} to {recipient} since");
        if let Some(text) = self.store.noted(&key).await?
            && let Ok(since) = text.parse()
            && since <= now
        {
            return Ok(since);
        }
        self.store.note(&key, &now.to_string()).await?;
        Ok(now)
    }

    fn start(&mut self, key: LaneKey, rows: Vec<(OutboxRow, Claim)>) {
        let (store, config, clock) = (self.store.clone(), self.config.clone(), self.clock.clone());
        let lane = Lane { store, config, clock, stopping: self.stopping.clone() };
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
            let message = compose_for(&self.store, &self.config, &row, self.clock.now()).await;
            let precedence = self.store.precedence().await;
            let outcome = self.attempt(&row, message).await;
            let done = (row.id, claim, outcome);
            match self.store.finish_deliveries(std::slice::from_ref(&done), self.clock.now()).await {
                Ok(()) => {
                    report(&row, &done.2);
                    end.finished += 1;
                }
                // The loop tries again and says what is wrong.
                Err(_) => end.unrecorded.push(Attempt { row, claim: done.1, outcome: done.2 }),
            }
            drop(precedence);
        }
        end
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
    let Some(route) = config.routes.iter().find(|route| route.name == row.route) else {
        let text = "the configuration has no such route any more: bring it back, or newswatch outbox discard";
        return Err(DeliveryError::Temporary(text.to_string()));
    };
    let Some(channel) = config.channels.get(&route.channel) else {
        return Err(DeliveryError::Temporary(format!("there is no channel \"{}\"", route.channel)));
    };
    let ingredients = gather::gather(store, config, route, row, false, now).await.map_err(|error| temporary(&error))?;
    let composed = compose::compose(ingredients, config.templates());
    if let Some(problem) = composed.problem {
        tracing::error!(route = row.route, id = %row.id, "{} {} of route {}: {problem}", row.kind.as_str(), row.id, row.route);
    }
    let mut message = composed.message;
    message.thread = store.thread_of(row).await.map_err(|error| temporary(&error))?;
    Ok((channel.clone(), message))
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

/// What the operator is told of a message that was given up; nothing of one that was itself for the operator, whose way out
/// is the one that does not work.
pub fn given_up(row: &OutboxRow, outcome: &Outcome, now: Timestamp) -> Option<ReportLine> {
    let Outcome::Dead { error } = outcome else { return None };
    if row.kind == DeliveryKind::Report {
        return None;
    }
    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
    Some(ReportLine {
        at: now,
        about: "outbox".to_string(),
        headline: plain::line(
            &format!("the {} of route {}{to} was given up: {error}", row.kind.as_str(), row.route),
            600,
        ),
        advice: format!("mend the cause, then newswatch outbox retry {}", row.id),
        is_recovery: false,
    })
}
