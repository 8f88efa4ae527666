//! Loop 3: due outbox rows → channels.
//!
//! [`Notifier::step`] records what came of earlier attempts, claims rows that are due and starts their delivery. It never waits for a
//! channel. A row is claimed, and its attempt counted, before the attempt is made; it is recorded as sent only after the channel
//! accepted it. A crash in between repeats the attempt with the same message id.

pub mod channel;
pub mod compose;
pub mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::config::route::{RouteConfig, When};
use crate::health;
use crate::model::{DeliveryKind, Id, OutboxRow, Outcome};
use crate::store::sources::Claim;
use crate::store::{self, Store};
use channel::DeliveryError;
use compose::{Ingredients, ProfileName};

/// A claim is held so long; no attempt takes longer than [`ATTEMPT_MAX`].
const LEASE: SignedDuration = SignedDuration::from_mins(10);
const ATTEMPT_MAX: Duration = Duration::from_secs(240);
/// Deliveries at the same time.
const IN_FLIGHT_MAX: usize = 16;
/// Hits loaded for one message; more than are ever shown, so that the rest can be counted.
const HITS_MAX: usize = 5_000;
/// The store is asked again after this long even if nothing is due sooner.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Delivers outbox rows.
pub struct Notifier {
    store: Store,
    config: Arc<Config>,
    owner: String,
    deliveries: JoinSet<Delivered>,
    finished: Vec<Delivered>,
    /// Since when digests are this program's duty, by route and recipient.
    duty_since: BTreeMap<(String, String), Timestamp>,
}

/// An attempt that is over.
struct Delivered {
    row: OutboxRow,
    claim: Claim,
    result: Result<(), DeliveryError>,
}

impl Notifier {
    /// A notifier for the routes of the configuration. `owner` names this process in its claims.
    pub fn new(store: Store, config: Arc<Config>, owner: &str) -> Notifier {
        Notifier {
            store,
            config,
            owner: owner.to_string(),
            deliveries: JoinSet::new(),
            finished: Vec::new(),
            duty_since: BTreeMap::new(),
        }
    }

    /// Takes over a new configuration; deliveries in flight end as they began.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Records, claims, starts. Answers how many rows were finished and when to call again at the latest.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(usize, Timestamp)> {
        let finished = self.record(now).await?;
        self.ensure_digests(now).await?;
        let room = IN_FLIGHT_MAX.saturating_sub(self.deliveries.len());
        if room > 0 {
            for (row, claim) in self.store.claim_outbox(&self.owner, now, now + LEASE, room).await? {
                self.start(row, claim, now);
            }
        }
        let next_digest = self.config.routes.iter().filter_map(|route| route.next_digest(now)).min();
        let next_row = self.store.next_delivery_due().await?;
        let next = [next_digest, next_row].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        // With no room left there is nothing to do before a delivery ends.
        let earliest =
            if room == 0 { now + SignedDuration::from_secs(1) } else { now + SignedDuration::from_millis(5) };
        Ok((finished, next.clamp(earliest, now + LOOK_AGAIN)))
    }

    /// No delivery is running or waiting to be recorded.
    pub fn is_idle(&self) -> bool {
        self.deliveries.is_empty() && self.finished.is_empty()
    }

    /// Waits until a delivery is over; for ever when none is running.
    pub async fn delivery_finished(&mut self) {
        if !self.finished.is_empty() {
            return;
        }
        match self.deliveries.join_next().await {
            Some(joined) => self.collect(joined),
            None => std::future::pending().await,
        }
    }

    /// Lets running deliveries end until `expired`, then gives up the rest: they are repeated when their claims run out.
    pub async fn stop(&mut self, now: Timestamp, expired: impl Future<Output = ()>) -> store::Result<usize> {
        tokio::pin!(expired);
        loop {
            tokio::select! {
                joined = self.deliveries.join_next() => match joined {
                    Some(joined) => self.collect(joined),
                    None => break,
                },
                () = &mut expired => break,
            }
        }
        self.deliveries.abort_all();
        self.record(now).await
    }

    fn collect(&mut self, joined: Result<Delivered, tokio::task::JoinError>) {
        match joined {
            Ok(delivered) => self.finished.push(delivered),
            // The claim runs out and the row is tried again.
            Err(error) => tracing::error!("a delivery failed inside newswatch: {error}"),
        }
    }

    async fn record(&mut self, now: Timestamp) -> store::Result<usize> {
        while let Some(joined) = self.deliveries.try_join_next() {
            self.collect(joined);
        }
        if self.finished.is_empty() {
            return Ok(0);
        }
        let done: Vec<(Id, Claim, Outcome)> = self
            .finished
            .iter()
            .map(|delivered| {
                let row = &delivered.row;
                let outcome = retry::after(row.id, delivered.result.clone(), row.attempts, row.first_due_at(), now);
                (row.id, delivered.claim.clone(), outcome)
            })
            .collect();
        self.store.finish_deliveries(&done, now).await?;
        for (delivered, (_, _, outcome)) in self.finished.drain(..).zip(&done) {
            report(&delivered.row, outcome);
        }
        Ok(done.len())
    }

    async fn ensure_digests(&mut self, now: Timestamp) -> store::Result<()> {
        let mut due = Vec::new();
        for row in self.config.routes.iter().flat_map(|route| route.due_digests(now)) {
            let key = (row.route.clone(), row.recipient.clone());
            let since = match self.duty_since.get(&key) {
                Some(since) => *since,
                None => {
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
    async fn duty(&self, (route, recipient): &(String, String), now: Timestamp) -> store::Result<Timestamp> {
        let key = format!("digests of route {route} to {recipient} since");
        if let Some(text) = self.store.noted(&key).await?
            && let Ok(since) = text.parse()
        {
            return Ok(since);
        }
        self.store.note(&key, &now.to_string()).await?;
        Ok(now)
    }

    fn start(&mut self, row: OutboxRow, claim: Claim, now: Timestamp) {
        let (store, config) = (self.store.clone(), self.config.clone());
        self.deliveries.spawn(async move {
            let attempt = tokio::time::timeout(ATTEMPT_MAX, deliver(&store, &config, &row, now)).await;
            let result = attempt.unwrap_or_else(|_| {
                Err(DeliveryError::Temporary(format!("the channel gave no answer within {} s", ATTEMPT_MAX.as_secs())))
            });
            Delivered { row, claim, result }
        });
    }
}

/// One attempt on one row.
async fn deliver(store: &Store, config: &Config, row: &OutboxRow, now: Timestamp) -> Result<(), DeliveryError> {
    let temporary = |error: &dyn std::fmt::Display| DeliveryError::Temporary(error.to_string());
    let Some(route) = config.routes.iter().find(|route| route.name == row.route) else {
        let text = "the configuration has no such route any more: bring it back, or newswatch outbox discard";
        return Err(DeliveryError::Temporary(text.to_string()));
    };
    let Some(channel) = config.channels.get(&route.channel) else {
        return Err(DeliveryError::Temporary(format!("there is no channel \"{}\"", route.channel)));
    };
    let ingredients = gather(store, config, route, row, now).await.map_err(|error| temporary(&error))?;
    let message = compose::compose(ingredients).map_err(|error| temporary(&error))?;
    channel.deliver(&message).await
}

/// Reads what a message is made of.
pub async fn gather<'a>(
    store: &Store,
    config: &Config,
    route: &RouteConfig,
    row: &'a OutboxRow,
    now: Timestamp,
) -> store::Result<Ingredients<'a>> {
    let hits = store.hits_of_delivery(row.id, HITS_MAX).await?;
    let mut copies = BTreeMap::new();
    for hit in hits.iter().take(compose::HITS_SHOWN_MAX) {
        let found = store.copies(hit.item.id, 20).await?;
        if !found.is_empty() {
            copies.insert(hit.item.id, found);
        }
    }
    let (mut coverage, mut backlog) = (None, 0);
    if let (DeliveryKind::Digest, Some(from), Some(to)) = (row.kind, row.window_from, row.window_to) {
        let (_, items) = store.item_counts(from).await?;
        coverage = Some(health::coverage(&store.sources().await?, items, from, now.max(to)));
        let by_profile = store.backlog_hits(from).await?;
        backlog = by_profile.iter().filter(|(profile, _)| route.wants(profile)).map(|(_, count)| count).sum();
    }
    let profiles = config.profiles.iter().filter(|profile| route.wants(&profile.name));
    let profiles = profiles.map(|profile| ProfileName {
        name: profile.name.clone(),
        title: profile.title.clone(),
        version: profile.version,
    });
    let zone = match &route.when {
        When::Digest { schedule, .. } => schedule.zone().clone(),
        When::AtOnce => TimeZone::UTC,
    };
    Ok(Ingredients { row, hits, copies, coverage, backlog, profiles: profiles.collect(), zone, now })
}

fn report(row: &OutboxRow, outcome: &Outcome) {
    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
    let kind = row.kind.as_str();
    match outcome {
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
