//! Loop 1: due sources → visits → items.
//!
//! [`Poller::step`] commits what has come back, claims sources that are due and starts visits, host by host, as far as there
//! is room. It never waits for the network, so a slow host holds one place and nothing else. Many visits that finish together are
//! committed together.

pub mod fetch;
pub mod guard;
pub mod http;
pub mod identity;
pub mod read;
pub mod robots;
pub mod schedule;
pub mod source;
pub mod unpack;
pub mod visit;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::config::SourceConfig;
use crate::fault::{Class, Fault};
use crate::model::{Health, SourceState};
use crate::plain;
use crate::store;
use crate::store::sources::{Claim, ConfiguredSource, VisitResult};
use visit::Visitor;

/// A claim is held so long; a visit is much shorter, so only a dead or stopped watcher loses one.
const LEASE: SignedDuration = SignedDuration::from_mins(15);
/// A claimed source that waited so long for its host is left: its claim runs out and it is claimed anew.
const QUEUE_WAIT_MAX: SignedDuration = SignedDuration::from_mins(8);
/// Sources of one host claimed together: enough to keep it busy, few enough to leave room for other hosts.
const PER_HOST_MAX: usize = 4;
/// The store is asked again after this long even if it said that nothing is due sooner: another process may have changed it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Polls sources.
pub struct Poller {
    visitor: Visitor,
    sources: Arc<BTreeMap<String, Arc<SourceConfig>>>,
    in_flight_max: usize,
    owner: String,
    waiting: VecDeque<Waiting>,
    busy_hosts: BTreeSet<String>,
    visits: JoinSet<store::Result<VisitResult>>,
    /// Which source and host a visit belongs to, also when it panicked.
    visiting: HashMap<tokio::task::Id, (String, String)>,
    finished: Vec<VisitResult>,
    claim_at: Timestamp,
    outage: Outage,
}

/// Whether it is our own network that is down: then nobody answers, and no source is to blame.
#[derive(Debug, Default)]
struct Outage {
    /// Hosts that could not be reached since one could.
    unreached: BTreeSet<String>,
    /// Said so in the log.
    known: bool,
}

impl Outage {
    /// So many hosts in a row that cannot be reached are no accident.
    const HOSTS: usize = 5;

    /// Takes a visit into account; true when it shows that an outage is over.
    fn ends_with(&mut self, state: &SourceState) -> bool {
        if state.fault.is_some_and(|fault| fault.class() == Class::Network) {
            self.unreached.insert(state.host.clone());
            if self.unreached.len() >= Outage::HOSTS && !self.known {
                self.known = true;
                tracing::error!(
                    "the network seems to be down: the last {} hosts in a row cannot be reached ({})",
                    self.unreached.len(),
                    plain::line(&state.error, 200)
                );
            }
            return false;
        }
        self.unreached.clear();
        std::mem::take(&mut self.known)
    }
}

/// A claimed source whose visit has not begun.
struct Waiting {
    state: SourceState,
    claim: Claim,
    claimed_at: Timestamp,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Visits committed.
    pub visits: usize,
    /// New items stored.
    pub items: u64,
}

impl Poller {
    /// A poller for these sources. `owner` names this process in its claims.
    pub fn new(visitor: Visitor, sources: &[Arc<SourceConfig>], owner: &str) -> Poller {
        Poller {
            in_flight_max: visitor.settings.in_flight_max,
            visitor,
            sources: Arc::new(by_name(sources)),
            owner: owner.to_string(),
            waiting: VecDeque::new(),
            busy_hosts: BTreeSet::new(),
            visits: JoinSet::new(),
            visiting: HashMap::new(),
            finished: Vec::new(),
            claim_at: Timestamp::MIN,
            outage: Outage::default(),
        }
    }

    /// Takes over a new configuration; visits in flight end as they began.
    pub fn reconfigure(&mut self, visitor: Visitor, sources: &[Arc<SourceConfig>]) {
        self.in_flight_max = visitor.settings.in_flight_max;
        self.visitor = visitor;
        self.sources = Arc::new(by_name(sources));
        self.claim_at = Timestamp::MIN;
    }

    /// Commits, claims, starts. Answers what was committed and when to call again at the latest.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(Progress, Timestamp)> {
        let progress = self.commit(now).await?;
        if progress.visits > 0 {
            self.claim_at = Timestamp::MIN;
        }
        // A clock that was set back must not put the next look off by as much.
        self.claim_at = self.claim_at.min(now + LOOK_AGAIN);
        if self.waiting.len() < self.in_flight_max && now >= self.claim_at {
            self.claim(now).await?;
        }
        self.start(now);
        // Claimed sources that wait for their host go on when a visit ends.
        let next = if self.waiting.is_empty() { self.claim_at } else { now + LOOK_AGAIN };
        Ok((progress, next.max(now)))
    }

    /// No visit is running or waiting to be committed.
    pub fn is_idle(&self) -> bool {
        self.visits.is_empty() && self.finished.is_empty() && self.waiting.is_empty()
    }

    /// Every place is taken: only the end of a visit makes room.
    pub fn is_full(&self) -> bool {
        self.visits.len() >= self.in_flight_max
    }

    /// Waits until a visit has finished; for ever when none is running.
    pub async fn visit_finished(&mut self) {
        if !self.finished.is_empty() {
            return;
        }
        match self.visits.join_next_with_id().await {
            Some(joined) => self.collect(joined),
            None => std::future::pending().await,
        }
    }

    /// Lets running visits finish until `deadline` passes on `expired`, then gives up the rest: their sources are asked again
    /// when their claims run out.
    pub async fn stop(&mut self, now: Timestamp, expired: impl Future<Output = ()>) -> store::Result<Progress> {
        self.waiting.clear();
        tokio::pin!(expired);
        loop {
            tokio::select! {
                joined = self.visits.join_next_with_id() => match joined {
                    Some(joined) => self.collect(joined),
                    None => break,
                },
                () = &mut expired => break,
            }
        }
        self.visits.abort_all();
        self.commit(now).await
    }

    fn collect(&mut self, joined: Result<(tokio::task::Id, store::Result<VisitResult>), tokio::task::JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let (name, host) = self.visiting.remove(&id).unwrap_or_default();
        self.busy_hosts.remove(&host);
        match joined {
            Ok((_, Ok(result))) => self.finished.push(result),
            // The claim runs out and the source is asked again: a failing store or a fault of ours costs one visit.
            Ok((_, Err(error))) => tracing::error!(source = name, "visit of {name} could not be finished: {error}"),
            Err(error) => tracing::error!(source = name, "visit of {name} failed inside newswatch: {error}"),
        }
    }

    async fn commit(&mut self, now: Timestamp) -> store::Result<Progress> {
        while let Some(joined) = self.visits.try_join_next_with_id() {
            self.collect(joined);
        }
        if self.finished.is_empty() {
            return Ok(Progress::default());
        }
        let items = match self.visitor.store.commit_visits(&self.finished, now).await {
            Ok(items) => items,
            Err(error) if self.finished.len() > 1 => self.commit_singly(error, now).await?,
            Err(error) => return Err(error),
        };
        let visits = self.finished.len();
        let first_contacts = self.finished.iter().filter(|result| result.is_first_contact()).count();
        if first_contacts > 0 {
            tracing::info!(
                "first contact with {first_contacts} sources: what they show is kept as backlog, nobody is told of it"
            );
        }
        let mut is_back = false;
        for result in self.finished.drain(..) {
            is_back |= self.outage.ends_with(&result.state);
            report(&result, self.outage.known, &self.sources);
        }
        if is_back {
            self.after_outage(now).await?;
        }
        Ok(Progress { visits, items })
    }

    /// The network is there again: what could not be reached is asked soon, however long it has failed.
    async fn after_outage(&self, now: Timestamp) -> store::Result<()> {
        let names =
            self.visitor.store.sources_with_faults(&[Fault::UnknownHost, Fault::NoConnection, Fault::Slow]).await?;
        tracing::info!("the network is there again: {} sources that could not be reached are asked soon", names.len());
        let soon = |name: String| {
            let at = schedule::soon(&name, self.visitor.settings.interval, now);
            (name, at)
        };
        let times: Vec<(String, Timestamp)> = names.into_iter().map(soon).collect();
        self.visitor.store.ask_sooner(&times, "the network is there again after an outage").await
    }

    /// After a commit of many failed: each by itself, so that one that the database will not take cannot hold up the others.
    /// Fails when none can be committed: then it is the store that is in trouble.
    async fn commit_singly(&mut self, error: store::StoreError, now: Timestamp) -> store::Result<u64> {
        let mut items = 0;
        let mut refused = Vec::new();
        for result in &self.finished {
            match self.visitor.store.commit_visits(std::slice::from_ref(result), now).await {
                Ok(stored) => items += stored,
                Err(error) => refused.push((result.state.name.clone(), error)),
            }
        }
        if refused.len() == self.finished.len() {
            return Err(error);
        }
        for (name, error) in &refused {
            // Its claim runs out and it is asked again.
            tracing::error!(source = name, "what {name} showed cannot be stored, it is asked again later: {error}");
        }
        self.finished.retain(|result| !refused.iter().any(|(name, _)| *name == result.state.name));
        Ok(items)
    }

    async fn claim(&mut self, now: Timestamp) -> store::Result<()> {
        let limit = self.in_flight_max * 4;
        let claimed = self.visitor.store.claim_sources(&self.owner, now, now + LEASE, limit, PER_HOST_MAX).await?;
        if claimed.is_empty() {
            let due = self.visitor.store.next_source_due(now).await?.unwrap_or(Timestamp::MAX);
            self.claim_at = due.clamp(now + SignedDuration::from_millis(50), now + LOOK_AGAIN);
        }
        self.waiting.extend(claimed.into_iter().map(|(state, claim)| Waiting { state, claim, claimed_at: now }));
        Ok(())
    }

    /// Starts visits of hosts that are free, in the order of their due times.
    fn start(&mut self, now: Timestamp) {
        let mut kept = VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            if now.duration_since(waiting.claimed_at) > QUEUE_WAIT_MAX {
                continue;
            }
            let Some(source) = self.sources.get(&waiting.state.name).cloned() else { continue };
            if self.visits.len() >= self.in_flight_max || self.busy_hosts.contains(&waiting.state.host) {
                kept.push_back(waiting);
                continue;
            }
            let (name, host) = (waiting.state.name.clone(), waiting.state.host.clone());
            self.busy_hosts.insert(host.clone());
            let visitor = self.visitor.clone();
            let task =
                self.visits.spawn(async move { visitor.visit(&source, waiting.state, waiting.claim, now).await });
            self.visiting.insert(task.id(), (name, host));
        }
        self.waiting = kept;
    }
}

/// Log lines of a visit: a change of state once, its repetition only for who wants to debug.
fn report(result: &VisitResult, network_is_down: bool, sources: &BTreeMap<String, Arc<SourceConfig>>) {
    let (state, before) = (&result.state, &result.before);
    let name = plain::line(&state.name, 100);
    let fault = state.fault.map_or("", Fault::as_str);
    if let Some(moved) = state.moved.as_ref().filter(|moved| moved.is_proven() && !before.moved) {
        let place = sources.get(&state.name).map_or(String::new(), |source| format!(" at {}", source.place));
        let url = plain::line(&moved.url, 500);
        tracing::warn!(
            source = name,
            "{name} has moved for good and is asked at its new address from now on: put url = \"{url}\" in its place{place}"
        );
    } else if before.moved && state.moved.as_ref().is_none_or(|moved| !moved.is_proven()) {
        tracing::warn!(source = name, "{name} is asked at its configured address again");
    }
    match state.health {
        Health::Retired => {
            tracing::warn!(source = name, fault, "{name} is gone and not asked any more: {}", state.error)
        }
        Health::Failing if state.fault != before.fault && !network_is_down => {
            tracing::warn!(source = name, fault, next = state.next_reason, "{name} cannot be read: {}", state.error)
        }
        Health::Failing => {
            tracing::debug!(source = name, fault, failures = state.failures, "{name} cannot be read: {}", state.error)
        }
        Health::Fine | Health::New => {
            if before.failures > 0 {
                tracing::info!(source = name, "{name} can be read again, after {} failed visits", before.failures);
            }
            if !state.error.is_empty() && (before.fault.is_some() || before.error.is_empty()) {
                tracing::warn!(source = name, "{name} was read in part: {}", state.error);
            }
            tracing::debug!(
                source = name,
                items = result.new_items.len(),
                "{name} was read, {} new items",
                result.new_items.len()
            );
        }
    }
}

fn by_name(sources: &[Arc<SourceConfig>]) -> BTreeMap<String, Arc<SourceConfig>> {
    let enabled = sources.iter().filter(|source| source.enabled);
    enabled.map(|source| (source.name.clone(), source.clone())).collect()
}

/// The sources as the store wants to know them.
pub fn configured(
    sources: &[Arc<SourceConfig>],
    settings: &crate::config::FetchSettings,
    now: Timestamp,
) -> Vec<ConfiguredSource> {
    let enabled = sources.iter().filter(|source| source.enabled);
    enabled
        .map(|source| ConfiguredSource {
            name: source.name.clone(),
            url: source.url.to_string(),
            kind: source.reader.kind().to_string(),
            host: source.url.host_str().unwrap_or_default().to_ascii_lowercase(),
            first_at: schedule::first_visit(&source.name, &visit::bounds(settings, source), now),
        })
        .collect()
}
