//! Loop 1: due sources → visits → items.
//!
//! [`Poller::step`] starts visits of claimed sources, host by host, as far as there is room, and begins an exchange with the
//! store: what has come back is committed, sources that are due are claimed. It waits neither for the network nor for the store:
//! a slow host holds one place and nothing else, and visits go on while a commit is pushed to the disk. All visits that finish
//! during one exchange are committed together in the next.

pub mod articles;
mod capture;
mod exchange;
pub mod fetch;
mod folder;
mod follow;
pub mod guard;
pub mod http;
pub mod identity;
pub mod outcome;
pub mod parts;
pub mod pdf;
pub mod read;
mod report;
pub mod robots;
pub mod schedule;
pub mod source;
pub mod unpack;
pub mod visit;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::config::SourceConfig;
use crate::model::{ArticleState, Health, Id, Item, Share, SourceState};
use crate::plain;
use crate::store;
use crate::store::sources::{Claim, ConfiguredSource, VisitResult};
use articles::ArticleResult;
use exchange::{Again, Articles, Exchange, Exchanged, Waiting, or_nothing};
use report::{Outage, report};
use visit::Visitor;

/// A claim is held so long; a visit is much shorter, so only a dead or stopped watcher loses one.
const LEASE: SignedDuration = SignedDuration::from_mins(20);
/// A claimed source that waited so long for its host is given back, to be claimed anew.
const QUEUE_WAIT_MAX: SignedDuration = SignedDuration::from_mins(8);
/// For each place in flight, so many sources are claimed ahead at most: visits go on while a commit lasts.
const AHEAD_MAX: usize = 8;
/// Sources of one host claimed together: enough to keep it busy, few enough to leave room for other hosts.
const PER_HOST_MAX: usize = 4;
/// Sources that we do not know are not claimed again before.
const UNKNOWN_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The store is asked again after this long even if it said that nothing is due sooner: another process may have changed it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// A watcher without network that leaves its sources to others asks one after so long, to see whether the network is there again.
const PROBE_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Polls sources.
pub struct Poller {
    visitor: Visitor,
    sources: Arc<BTreeMap<String, Arc<SourceConfig>>>,
    in_flight_max: usize,
    owner: String,
    /// Which sources to take beside other watchers; `None` where there is one process.
    share: Option<Share>,
    waiting: VecDeque<Waiting>,
    busy_hosts: BTreeSet<String>,
    /// Each hands over its result, then article by article; it ends when its host is free again.
    visits: JoinSet<store::Result<()>>,
    results: (UnboundedSender<Handed>, UnboundedReceiver<Handed>),
    /// Claims that nobody has a use for.
    released: Vec<(String, Claim)>,
    /// What a visit began with: needed when it panicked.
    visiting: HashMap<tokio::task::Id, (SourceState, Claim)>,
    finished: Vec<VisitResult>,
    articles: Articles,
    /// The running exchange with the store: one at a time, and it ends with the poller.
    exchange: JoinSet<Exchanged>,
    /// What the last exchange gave, for the next step.
    exchanged: Option<Exchanged>,
    /// The last exchange failed.
    in_trouble: bool,
    claim_at: Timestamp,
    /// When to claim one, without a network.
    probe_at: Timestamp,
    outage: Outage,
    /// The network is there again, which was down since then.
    network_is_back: Option<(Timestamp, Again)>,
}

/// What a visit hands over.
#[derive(Debug)]
enum Handed {
    Visit(Box<VisitResult>),
    Article(ArticleResult),
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
            share: None,
            waiting: VecDeque::new(),
            busy_hosts: BTreeSet::new(),
            visits: JoinSet::new(),
            results: unbounded_channel(),
            released: Vec::new(),
            visiting: HashMap::new(),
            finished: Vec::new(),
            articles: Articles::default(),
            exchange: JoinSet::new(),
            exchanged: None,
            in_trouble: false,
            claim_at: Timestamp::MIN,
            probe_at: Timestamp::MIN,
            outage: Outage::default(),
            network_is_back: None,
        }
    }

    /// Takes over a new configuration; visits in flight end as they began.
    pub fn reconfigure(&mut self, visitor: Visitor, sources: &[Arc<SourceConfig>]) {
        self.in_flight_max = visitor.settings.in_flight_max;
        self.visitor = visitor;
        self.sources = Arc::new(by_name(sources));
        self.claim_at = Timestamp::MIN;
        // Those that wait for their host and are not asked any more, or elsewhere, must not hold up others until their claims run
        // out.
        let sources = self.sources.clone();
        let stays = |waiting: &Waiting| {
            sources.get(&waiting.state.name).is_some_and(|own| own.url.as_str() == waiting.state.url)
        };
        let (kept, left): (VecDeque<Waiting>, VecDeque<Waiting>) = self.waiting.drain(..).partition(stays);
        self.waiting = kept;
        self.released.extend(left.into_iter().map(Waiting::release));
    }

    /// Beside other watchers: takes only sources that this one is known to know, those of its share first.
    pub fn take_share(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// Takes over what the store answered, starts visits, begins the next exchange. Answers what was committed and when to call
    /// again at the latest.
    pub async fn step(&mut self, now: Timestamp) -> store::Result<(Progress, Timestamp)> {
        self.collect_finished();
        if self.in_trouble {
            // Whether the store works again is known when it has answered.
            self.begin_exchange(now);
            self.exchange_finished().await;
        }
        let progress = self.take_over()?;
        if self.leaves_to_others() {
            // What is claimed and not begun is for those who have a network.
            let others = self.waiting.split_off(self.waiting.len().min(1));
            self.released.extend(others.into_iter().map(Waiting::release));
        }
        // A clock that was set back must not put the next look off by as much.
        self.claim_at = self.claim_at.min(now + LOOK_AGAIN);
        self.probe_at = self.probe_at.min(now + PROBE_EVERY);
        self.start(now);
        self.begin_exchange(now);
        // Claimed sources that wait for their host go on when a visit ends, others come when the store has answered.
        let waits = !self.waiting.is_empty() || !self.exchange.is_empty();
        let next = if waits { now + LOOK_AGAIN } else { self.claims_at() };
        Ok((progress, next.max(now)))
    }

    /// No visit is running or waiting to be committed, and the store is asked nothing.
    pub fn is_idle(&self) -> bool {
        let at_store = !self.exchange.is_empty() || self.exchanged.is_some();
        let handed = !self.finished.is_empty() || !self.articles.is_empty() || !self.results.1.is_empty();
        self.visits.is_empty() && !handed && self.waiting.is_empty() && !at_store
    }

    /// Every place is taken: only the end of a visit makes room.
    pub fn is_full(&self) -> bool {
        self.visits.len() >= self.in_flight_max
    }

    /// Waits until a visit has finished or the store has answered; for ever when there is nothing to wait for.
    pub async fn visit_finished(&mut self) {
        let handed = !self.finished.is_empty() || !self.articles.is_empty();
        if self.exchanged.is_some() || handed && self.exchange.is_empty() {
            return;
        }
        tokio::select! {
            Some(handed) = self.results.1.recv() => self.take_in(handed),
            Some(joined) = self.visits.join_next_with_id() => self.collect(joined),
            Some(joined) = self.exchange.join_next() => self.exchanged = Some(or_nothing(joined)),
            else => std::future::pending().await,
        }
    }

    /// Lets running visits finish until `deadline` passes on `expired`, then gives up the rest: their sources are asked again
    /// when their claims run out.
    pub async fn stop(&mut self, now: Timestamp, expired: impl Future<Output = ()>) -> store::Result<Progress> {
        self.released.extend(self.waiting.drain(..).map(Waiting::release));
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
        self.collect_finished();
        self.exchange_finished().await;
        // What the running exchange could not commit goes with the rest.
        let before = self.take_over().unwrap_or_default();
        self.claim_at = Timestamp::MAX;
        self.begin_exchange(now);
        self.exchange_finished().await;
        let last = self.take_over()?;
        Ok(Progress { visits: before.visits + last.visits, items: before.items + last.items })
    }

    fn collect_finished(&mut self) {
        while let Ok(handed) = self.results.1.try_recv() {
            self.take_in(handed);
        }
        while let Some(joined) = self.visits.try_join_next_with_id() {
            self.collect(joined);
        }
    }

    fn take_in(&mut self, handed: Handed) {
        match handed {
            Handed::Visit(result) => self.finished.push(*result),
            Handed::Article(ArticleResult::Tried(item, page)) => {
                self.articles.tried.push(*item);
                self.articles.pages.extend(page.map(|page| *page));
            }
            Handed::Article(ArticleResult::Left(id)) => self.articles.left.push(id),
            Handed::Article(ArticleResult::Reread(reread)) => self.articles.reread.push(*reread),
        }
    }

    fn collect(&mut self, joined: Result<(tokio::task::Id, store::Result<()>), tokio::task::JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((state, claim)) = self.visiting.remove(&id) else { return };
        self.busy_hosts.remove(&state.host);
        let name = state.name.clone();
        let _span = report::span(&state, &claim).entered();
        match joined {
            Ok((_, Ok(()))) => {}
            // The claim runs out and the source is asked again: a failing store costs one visit.
            Ok((_, Err(error))) => tracing::error!(source = name, "visit of {name} could not be finished: {error}"),
            Err(error) if error.is_panic() => {
                tracing::error!(source = name, "visit of {name} failed inside newswatch: {error}");
                if let Some(source) = self.sources.get(&name) {
                    self.finished.push(self.visitor.failed_inside(source, state, claim));
                }
            }
            Err(_) => {}
        }
    }

    /// Its network is down and there are other watchers: its share of the hosts is for them, but for one source from time to time.
    fn leaves_to_others(&self) -> bool {
        self.outage.since().is_some() && self.share.is_some_and(|share| share.of > 1)
    }

    /// When to claim the next.
    fn claims_at(&self) -> Timestamp {
        if self.leaves_to_others() { self.claim_at.max(self.probe_at) } else { self.claim_at }
    }

    /// Asks the store to commit and to claim, if there is anything and it is not at work yet.
    fn begin_exchange(&mut self, now: Timestamp) {
        let limit = if self.leaves_to_others() { 1 } else { self.in_flight_max * AHEAD_MAX / 2 };
        let claims = self.waiting.len() < limit && now >= self.claims_at();
        let nothing = self.finished.is_empty() && self.articles.is_empty() && self.released.is_empty();
        if nothing && !claims && self.network_is_back.is_none() || !self.exchange.is_empty() || self.exchanged.is_some()
        {
            return;
        }
        let exchange = Exchange {
            store: self.visitor.store.clone(),
            finished: std::mem::take(&mut self.finished),
            articles: std::mem::take(&mut self.articles),
            released: std::mem::take(&mut self.released),
            claim: claims.then(|| (self.owner.clone(), limit)),
            share: self.share,
            network_is_back: self.network_is_back.take(),
            interval: self.visitor.settings.interval,
            now,
        };
        if claims {
            self.claim_at = now + LOOK_AGAIN;
            self.probe_at = now + PROBE_EVERY;
        }
        self.exchange.spawn(exchange.run());
    }

    /// Waits for the exchange that is running, if one is.
    async fn exchange_finished(&mut self) {
        if let Some(joined) = self.exchange.join_next().await {
            self.exchanged = Some(or_nothing(joined));
        }
    }

    /// Takes over what the last exchange gave. Fails if the store did; what it did not commit is kept for the next one.
    fn take_over(&mut self) -> store::Result<Progress> {
        let joined = self.exchange.try_join_next().map(or_nothing);
        let Some(exchanged) = self.exchanged.take().or(joined) else { return Ok(Progress::default()) };
        self.finished.extend(exchanged.uncommitted);
        self.articles.extend(exchanged.uncommitted_articles);
        self.waiting.extend(exchanged.claimed);
        self.released.extend(exchanged.unreleased);
        // Whoever wants a claim sooner meanwhile gets it.
        self.claim_at = self.claim_at.min(exchanged.claim_at);
        let had_network = self.outage.since().is_none();
        self.in_trouble = exchanged.failed.is_some();
        self.network_is_back = self.network_is_back.or(exchanged.network_is_back);
        let first_contacts = exchanged.committed.iter().filter(|result| result.is_first_contact()).count();
        if first_contacts > 0 {
            tracing::info!(
                "first contact with {}: what is shown is kept as backlog, nobody is told of it",
                plain::counted(first_contacts, "source")
            );
        }
        for result in &exchanged.committed {
            let back = self.outage.ends_with(result).map(|since| (since, Again::Here));
            self.network_is_back = back.or(self.network_is_back);
            report(result, self.outage.known, &self.sources);
        }
        if had_network && self.leaves_to_others() {
            tracing::warn!(
                "the other watchers are left to ask; this one asks one source a minute until its network is there again"
            );
            self.network_is_back = self.outage.since().map(|since| (since, Again::Elsewhere));
        }
        self.visitor.meters.items_new.inc_by(exchanged.items);
        let progress = Progress { visits: exchanged.committed.len(), items: exchanged.items };
        exchanged.failed.map_or(Ok(progress), Err)
    }

    /// Starts visits of hosts that are free, in the order of their due times.
    fn start(&mut self, now: Timestamp) {
        let mut kept = VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            if now.duration_since(waiting.claimed_at) > QUEUE_WAIT_MAX {
                self.released.push(waiting.release());
                continue;
            }
            let source = self.sources.get(&waiting.state.name).cloned();
            let is_same = |source: &Arc<SourceConfig>| source.url.as_str() == waiting.state.url;
            let Some(source) = source.filter(is_same) else {
                // The store knows a newer configuration than we do, which comes to us in a moment; or another watcher knows it
                // otherwise.
                self.released.push(waiting.release());
                self.claim_at = self.claim_at.max(now + UNKNOWN_WAIT);
                continue;
            };
            if self.visits.len() >= self.in_flight_max || self.busy_hosts.contains(&waiting.state.host) {
                kept.push_back(waiting);
                continue;
            }
            self.busy_hosts.insert(waiting.state.host.clone());
            let visitor = self.visitor.clone();
            let began_with = (waiting.state.clone(), waiting.claim.clone());
            let results = self.results.0.clone();
            let span = report::span(&waiting.state, &waiting.claim);
            let task = self.visits.spawn(visit(visitor, source, waiting, results).instrument(span));
            self.visiting.insert(task.id(), began_with);
        }
        self.waiting = kept;
    }
}

/// One visit: its result is handed over at once, so that it can be stored; the articles follow.
async fn visit(
    visitor: Visitor,
    source: Arc<SourceConfig>,
    waiting: Waiting,
    results: UnboundedSender<Handed>,
) -> store::Result<()> {
    let result = visitor.visit(&source, waiting.state, waiting.claim).await?;
    // With the source itself out of reach the network may be down: no attempt on an article shall count for that.
    let reads_articles = source.article && result.state.health == Health::Fine;
    let unread = result.new_items.iter().map(|new| &new.item).filter(|item| item.article_state == ArticleState::Unread);
    let unread: Vec<Item> = if reads_articles { unread.cloned().collect() } else { Vec::new() };
    // The poller outlives its visits.
    _ = results.send(Handed::Visit(Box::new(result)));
    if reads_articles {
        visitor.read_articles(&source, unread, |article| _ = results.send(Handed::Article(article))).await?;
        visitor.look_again(&source, |article| _ = results.send(Handed::Article(article))).await?;
    }
    Ok(())
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
            reader: Id::of(&[&format!("{:?} {} {}", source.reader, settings.entries_max, settings.text_bytes_max)])
                .to_string(),
            remembers: source.reader.remembers(),
            host: source.url.host_str().unwrap_or_default().to_ascii_lowercase(),
            first_at: schedule::first_visit(&source.name, &visit::bounds(settings, source), now),
        })
        .collect()
}
