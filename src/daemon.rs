//! Wires the three loops together: signals, reload, watchdog, graceful stop.
//!
//! The loops run side by side and meet only in the store. When one has done something the next may want, it wakes it; each
//! also looks by itself every so often, so a lost wake-up costs time and nothing else.

mod chores;
mod membership;
mod pulse;
mod signals;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Fault;
use crate::health::watchers::Standing;
use crate::inspect::{self, Inspector, Vitals};
use crate::matcher::Matcher;
use crate::meters::Meters;
use crate::notifier::Notifier;
use crate::overseer::{Overseer, RELOAD_NOTE};
use crate::poller::fetch::Fetch;
use crate::poller::http::{Hosts, Http};
use crate::poller::visit::Visitor;
use crate::poller::{self, Poller};
use crate::store::{Durability, Store, StoreError};
use crate::{plain, systemd};
use chores::{forget, index, listen_to_readers, read_answers, report_answers};
use membership::Membership;
use pulse::pulse;
use signals::{Signals, listen};
use trouble::Trouble;

/// What is in flight at SIGTERM may take so long to finish.
const STOP_WAIT: Duration = Duration::from_secs(8);
/// A loop that has not come round for so long stands still.
const STANDSTILL: Duration = Duration::from_secs(300);
/// What the loops do, in words; while it is held up nothing is looked at or nothing is told.
pub const WORK: [&str; 3] = ["polling", "matching", "delivering"];
/// Scoring costs a transaction however few the items are: after a call the matcher waits so long for more of them, unless it
/// has plenty.
const GATHER: Duration = Duration::from_millis(100);
/// So many items are plenty.
const PLENTY: usize = 500;
/// Longest sleep of a loop, whatever it waits for.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// A store that did not answer for so long is away. This and the sleep between fit into a watchdog's minute.
const PING_MAX: Duration = Duration::from_secs(10);
/// A watcher that leaves its work to others sees after so long whether that is still so.
const LOOK_WHEN_RESTING: SignedDuration = SignedDuration::from_secs(10);
/// The loops by name, as [`Shared::round`] counts them.
const LOOPS: [&str; 3] = ["poller", "matcher", "notifier"];
pub use crate::store::HEARTBEAT_NOTE;

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// One cycle over all sources, deliver what is due, end.
    pub once: bool,
    /// The cycle is over the sources that are due, not over all.
    pub due: bool,
    /// Alert also what a first contact shows.
    pub backlog: bool,
    /// Where the configuration came from, to read it again on SIGHUP.
    pub config_path: Option<PathBuf>,
}

/// What a cycle did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Visits made.
    pub visits: usize,
    /// New items.
    pub items: u64,
    /// New hits.
    pub hits: u64,
    /// Messages delivered or given up.
    pub deliveries: usize,
}

/// What every loop needs.
#[derive(Clone)]
struct Shared {
    clock: Clock,
    stop: CancellationToken,
    matcher: Arc<Notify>,
    notifier: Arc<Notify>,
    config: watch::Receiver<Arc<Config>>,
    /// What to do beside other watchers.
    standing: watch::Receiver<Standing>,
    /// What the network's edge knows of the hosts, across reloads.
    hosts: Arc<Hosts>,
    /// When the program began. Not the clock's time: a clock that jumps and a machine that slept are no standstill.
    began: Instant,
    /// When each loop last came round, in milliseconds since then.
    rounds: Arc<[AtomicU64; 3]>,
    backlog: bool,
    once: bool,
    /// A single cycle could not go on.
    gave_up: Arc<AtomicBool>,
    meters: Arc<Meters>,
}

/// Runs until SIGTERM or SIGINT, or for one cycle.
pub async fn run(config: Config, options: Options) -> anyhow::Result<Summary> {
    let clock = Clock::system();
    // Heard from the beginning: a reload that is asked for while the store is opened must not end the program.
    let mut signals = Signals::new()
        .map_err(|error| {
            tracing::error!("signals cannot be received ({error}); stop newswatch with SIGKILL, nothing is lost by it")
        })
        .ok();
    let Some((membership, standing)) = begin(&config, &options, &clock, signals.as_mut()).await? else {
        tracing::info!("newswatch stops; it had not begun, because the store is away");
        return Ok(Summary::default());
    };
    let membership = Arc::new(membership);
    let store = membership.store().clone();
    let now = clock.now();
    if options.once && !options.due {
        store.make_all_due(now).await?;
    }
    let config = Arc::new(config);
    let owner = membership.owner().to_string();
    let (config_sender, config_receiver) = watch::channel(config.clone());
    let shared = Shared {
        clock: clock.clone(),
        stop: CancellationToken::new(),
        matcher: Arc::default(),
        notifier: Arc::default(),
        config: config_receiver,
        standing,
        hosts: Arc::default(),
        began: Instant::now(),
        rounds: Arc::default(),
        backlog: options.backlog,
        once: options.once,
        gave_up: Arc::default(),
        meters: Arc::default(),
    };
    shared.meters.begin(Fault::names(), LOOPS.into_iter().chain(["overseer"]));
    shared.meters.started_at.set(now.as_millisecond() as f64 / 1000.0);
    count_from_zero(&shared.meters, &config, now);
    Meters::set(&shared.meters.watcher_info, "watcher", membership.name(), 1.0);
    let poller = Poller::new(visitor(&config, &store, &shared)?, &config.sources, &owner);
    let matcher = Matcher::new(store.clone(), config.clone(), &owner).await?.with_meters(shared.meters.clone());
    let notifier =
        Notifier::new(store.clone(), config.clone(), clock.clone(), &owner).with_meters(shared.meters.clone());
    let overseer = Overseer::new(store.clone(), config.clone(), options.backlog, options.once, now);
    if options.once {
        // It goes along with this cycle.
        overseer.plant(now).await?;
    }
    let status = status_line(&config);
    tracing::info!("newswatch {} runs: {status}; store {}", env!("CARGO_PKG_VERSION"), store.name());
    systemd::ready(&status);

    let signals =
        tokio::spawn(listen(shared.clone(), signals, config_sender, membership.clone(), options.config_path.clone()));
    let inspection = tokio::spawn(be_inspected(shared.clone(), store.clone()));
    let heartbeat = tokio::spawn(membership::keep(membership.clone(), shared.clone()));
    let pulse = tokio::spawn(pulse(shared.clone(), store.clone()));
    if options.once {
        let problem = read_answers(&shared, &store).await;
        if !problem.is_empty() {
            report_answers(&problem);
        }
    }
    let indexer = tokio::spawn(index(shared.clone(), store.clone()));
    let retention = if options.once { None } else { Some(tokio::spawn(forget(shared.clone(), store.clone()))) };
    let readers = tokio::spawn(listen_to_readers(shared.clone(), store.clone()));
    let polled = CancellationToken::new();
    let matched = CancellationToken::new();
    let overseen = CancellationToken::new();
    let (visits, hits, deliveries, ()) = tokio::join!(
        poll(poller, shared.clone(), store.clone(), polled.clone()),
        match_items(matcher, shared.clone(), store.clone(), polled, matched.clone()),
        notify(notifier, shared.clone(), store.clone(), overseen.clone()),
        oversee(overseer, shared.clone(), store.clone(), matched, overseen),
    );
    systemd::stopping();
    signals.abort();
    pulse.abort();
    readers.abort();
    inspection.abort();
    indexer.abort();
    match retention {
        Some(retention) => retention.abort(),
        // Behind the cycle: it holds nothing up.
        None => forget(shared.clone(), store.clone()).await,
    }
    heartbeat.abort();
    membership.leave().await;
    let summary = Summary { visits: visits.visits, items: visits.items, hits, deliveries };
    if !options.once {
        tracing::info!("newswatch stops; what was not finished is done at the next start");
    }
    store.close().await;
    if let Some(why) = membership.expelled() {
        anyhow::bail!("{why}");
    }
    if shared.gave_up.load(Ordering::Relaxed) {
        anyhow::bail!(
            "the cycle could not be finished because the store failed; nothing is lost, the next run goes on"
        );
    }
    Ok(summary)
}

/// Opens the store and joins the watchers on it. A shared store that is away is waited for: a restart would not bring it back, and
/// a service manager gives up after a few. `None` when the program is to stop meanwhile.
async fn begin(
    config: &Config,
    options: &Options,
    clock: &Clock,
    mut signals: Option<&mut Signals>,
) -> anyhow::Result<Option<(Membership, watch::Receiver<Standing>)>> {
    let is_shared = config.store_url().starts_with("postgres");
    let mut failures = 0;
    loop {
        let mut stopped = std::pin::pin!(async {
            match &mut signals {
                Some(signals) => signals.stop().await,
                None => std::future::pending().await,
            }
        });
        let joined = tokio::select! {
            joined = join(config, options, clock) => joined,
            () = &mut stopped => return Ok(None),
        };
        let passes = |error: &anyhow::Error| error.downcast_ref::<StoreError>().is_some_and(StoreError::is_passing);
        match joined {
            Err(error) if is_shared && !options.once && passes(&error) => {
                let text = plain::line(&error.to_string(), 500);
                if failures == 0 {
                    tracing::error!("newswatch waits for the store before it begins: {text}");
                    systemd::waiting(&format!("waits for the store: {text}"));
                }
                failures += 1;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1 << failures.min(5))) => {}
                    () = &mut stopped => return Ok(None),
                }
            }
            joined => return joined.map(Some),
        }
    }
}

async fn join(
    config: &Config,
    options: &Options,
    clock: &Clock,
) -> anyhow::Result<(Membership, watch::Receiver<Standing>)> {
    let store = Store::open(&config.store_url(), Durability::Full).await?.lock()?.indexing(config.store.search);
    if let Some(from) = store.filled_from().await? {
        return Err(StoreError::HalfFilled { store: store.name().to_string(), from }.into());
    }
    store.drop_leases().await?;
    store.forget_the_future(clock.now()).await?;
    // What was refused before is not what runs now.
    store.note(RELOAD_NOTE, "").await?;
    Membership::join(store, config, clock, options.once).await
}

fn visitor(config: &Config, store: &Store, shared: &Shared) -> anyhow::Result<Visitor> {
    Ok(Visitor::new(
        Arc::new(
            Http::new(&config.fetch)?
                .with_store(store.clone(), shared.clock.clone())
                .with_hosts(shared.hosts.clone())
                .with_meters(shared.meters.clone()),
        ),
        store.clone(),
        Arc::new(config.fetch.clone()),
        shared.backlog,
        shared.clock.clone(),
    )
    .keeping(config.evidence.clone())
    .with_meters(shared.meters.clone()))
}

/// What the configuration names is counted from 0.
fn count_from_zero(meters: &Meters, config: &Config, now: Timestamp) {
    meters.configured(
        &config.hashes(),
        config.profiles.iter().map(|profile| profile.name.as_str()),
        config.channels.keys().map(String::as_str),
    );
    meters.configured_at.set(now.as_millisecond() as f64 / 1000.0);
}

/// Lets others look inside, where the configuration says so. That they cannot is no reason not to watch.
async fn be_inspected(shared: Shared, store: Store) {
    let Some(config) = shared.config.borrow().metrics.clone().filter(|_| !shared.once) else { return };
    match inspect::bind(&config).await {
        Ok(bound) => {
            tracing::info!("metrics are served at {}", bound.address());
            let (meters, clock) = (shared.meters.clone(), shared.clock.clone());
            let vitals = Arc::new(move || shared.vitals());
            bound.serve(Inspector { store, meters, clock, vitals, heartbeat_note: HEARTBEAT_NOTE }).await;
        }
        Err(error) => tracing::error!("{error}"),
    }
}

fn status_line(config: &Config) -> String {
    let enabled = config.sources.iter().filter(|source| source.enabled).count();
    let parts = [(enabled, "source"), (config.profiles.len(), "profile"), (config.routes.len(), "route")];
    parts.map(|(count, noun)| plain::counted(count, noun)).join(", ")
}

impl Shared {
    /// The time a loop works with; notes that the loop came round.
    fn round(&self, index: usize) -> Timestamp {
        // 0 is a loop that has not begun.
        self.rounds[index].store((self.began.elapsed().as_millis() as u64).max(1), Ordering::Relaxed);
        self.clock.now()
    }

    /// How the daemon does, for who asks from outside.
    fn vitals(&self) -> Vitals {
        let now = self.began.elapsed();
        let age = |round: &AtomicU64| match round.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(now.saturating_sub(Duration::from_millis(millis))),
        };
        let loops = LOOPS.into_iter().zip(self.rounds.iter().map(age)).collect();
        let standstill = (!self.is_moving()).then(standstill);
        let canary = self.config.borrow().canary.is_some();
        Vitals { loops, standstill, stopping: self.stop.is_cancelled(), canary }
    }

    /// Waits a moment for more items, unless polling is over.
    async fn gather(&self, polled: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = polled.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Every loop came round not long ago.
    fn is_moving(&self) -> bool {
        let now = self.began.elapsed();
        let moves =
            |round: &AtomicU64| now.saturating_sub(Duration::from_millis(round.load(Ordering::Relaxed))) < STANDSTILL;
        self.rounds.iter().all(moves)
    }
}

fn standstill() -> String {
    format!("a loop stands still for over {} s", STANDSTILL.as_secs())
}

/// A loop that leaves its work to other watchers waits until that may have changed; false when the program is to stop.
async fn rests(standing: &mut watch::Receiver<Standing>, shared: &Shared) -> bool {
    tokio::select! {
        _ = standing.changed() => true,
        () = tokio::time::sleep(Duration::from_secs(1)) => true,
        () = shared.stop.cancelled() => false,
    }
}

/// Loop 1. `done` is signalled when a single cycle is over.
async fn poll(mut poller: Poller, mut shared: Shared, store: Store, done: CancellationToken) -> poller::Progress {
    let mut sum = poller::Progress::default();
    let mut trouble = Trouble::new(LOOPS[0], WORK[0], &store);
    let mut standing = shared.standing.clone();
    // A single cycle is over the sources that are due when it begins, not over those that become due again meanwhile.
    let cycle = shared.clock.now();
    loop {
        let now = shared.round(0);
        let now = if shared.once { cycle } else { now };
        let (works, share) = {
            let standing = standing.borrow_and_update();
            (standing.works, standing.share)
        };
        if let Some(share) = share {
            poller.take_share(share);
        }
        if !works {
            if shared.once || !rests(&mut standing, &shared).await {
                break;
            }
            continue;
        }
        let next = match poller.step(now).await {
            Ok((progress, next)) => {
                trouble.over(now).await;
                sum.visits += progress.visits;
                sum.items += progress.items;
                if progress.items > 0 || progress.visits > 0 {
                    shared.matcher.notify_one();
                }
                next
            }
            Err(error) if trouble.wait(&error, &shared).await => continue,
            Err(_) => break,
        };
        if shared.once && poller.is_idle() && next > now {
            break;
        }
        // The time to wait counts from the time the step worked with, which stands still in a single cycle. With every place
        // taken only the end of a visit makes room; the loop still comes round to show that it lives.
        let wait =
            if poller.is_full() { SLEEP_MAX } else { Duration::try_from(next.duration_since(now)).unwrap_or_default() };
        tokio::select! {
            () = poller.visit_finished() => {}
            () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
            Ok(()) = shared.config.changed() => {
                let config = shared.config.borrow_and_update().clone();
                match visitor(&config, &store, &shared) {
                    Ok(visitor) => poller.reconfigure(visitor, &config.sources),
                    Err(error) => tracing::error!("the new configuration's network settings cannot be used, the old ones stay: {error}"),
                }
            }
            () = shared.stop.cancelled() => break,
        }
    }
    match poller.stop(shared.clock.now(), tokio::time::sleep(STOP_WAIT)).await {
        Ok(progress) => {
            sum.visits += progress.visits;
            sum.items += progress.items;
        }
        Err(error) => {
            tracing::error!("the last visits could not be stored, they are made again at the next start: {error}")
        }
    }
    done.cancel();
    shared.matcher.notify_one();
    sum
}

/// Loop 2. Ends a single cycle when polling is over and nothing is left unscored.
async fn match_items(
    mut matcher: Matcher,
    mut shared: Shared,
    store: Store,
    polled: CancellationToken,
    done: CancellationToken,
) -> u64 {
    let mut hits = 0;
    let mut trouble = Trouble::new(LOOPS[1], WORK[1], &store);
    let mut standing = shared.standing.clone();
    loop {
        let now = shared.round(1);
        let was_polled = polled.is_cancelled();
        if !standing.borrow_and_update().tells {
            if shared.once && was_polled || !rests(&mut standing, &shared).await {
                break;
            }
            continue;
        }
        // Also while there is always something to score.
        if shared.config.has_changed().unwrap_or(false) {
            let config = shared.config.borrow_and_update().clone();
            if let Err(error) = matcher.reconfigure(config).await {
                shared.config.mark_changed();
                if trouble.wait(&error, &shared).await {
                    continue;
                }
                break;
            }
        }
        match matcher.step(now).await {
            Ok((progress, next)) => {
                trouble.over(now).await;
                hits += progress.hits;
                if progress.hits > 0 {
                    shared.notifier.notify_one();
                }
                if progress.items > 0 && !shared.stop.is_cancelled() {
                    if progress.items < PLENTY {
                        shared.gather(&polled).await;
                    }
                    continue;
                }
                if shared.once && was_polled {
                    break;
                }
                tokio::select! {
                    () = shared.matcher.notified() => shared.gather(&polled).await,
                    () = shared.clock.sleep_until(next, SLEEP_MAX) => {}
                    Ok(()) = shared.config.changed() => shared.config.mark_changed(),
                    () = shared.stop.cancelled() => break,
                }
            }
            Err(error) if trouble.wait(&error, &shared).await => {}
            Err(_) => break,
        }
    }
    done.cancel();
    shared.notifier.notify_one();
    hits
}

/// Loop 3. Ends a single cycle when matching is over and nothing is due.
async fn notify(mut notifier: Notifier, mut shared: Shared, store: Store, matched: CancellationToken) -> usize {
    let mut sum = 0;
    let mut trouble = Trouble::new(LOOPS[2], WORK[2], &store);
    let mut standing = shared.standing.clone();
    let mut rested = false;
    loop {
        let now = shared.round(2);
        let was_matched = matched.is_cancelled();
        if !standing.borrow_and_update().tells {
            if shared.once && was_matched || !rests(&mut standing, &shared).await {
                break;
            }
            rested = true;
            continue;
        }
        if std::mem::take(&mut rested) {
            // Meanwhile others looked at what waits, by another configuration.
            notifier.reconfigure(shared.config.borrow().clone());
        }
        match notifier.step(now).await {
            Ok((finished, next)) => {
                trouble.over(now).await;
                sum += finished;
                if shared.once && was_matched && notifier.is_idle() && next > now + SignedDuration::from_secs(1) {
                    break;
                }
                tokio::select! {
                    () = notifier.delivery_finished() => {}
                    () = shared.notifier.notified() => {}
                    () = shared.clock.sleep_until(next, SLEEP_MAX) => {}
                    Ok(()) = shared.config.changed() => {
                        notifier.reconfigure(shared.config.borrow_and_update().clone());
                    }
                    () = shared.stop.cancelled() => break,
                }
            }
            Err(error) if trouble.wait(&error, &shared).await => {}
            Err(_) => break,
        }
    }
    match notifier.stop(shared.clock.now(), tokio::time::sleep(STOP_WAIT)).await {
        Ok(finished) => sum + finished,
        Err(error) => {
            tracing::error!(
                "the last deliveries could not be recorded, they may be repeated with the same message id: {error}"
            );
            sum
        }
    }
}

/// Beside the loops: looks after the sources and after newswatch itself. In a single cycle once, between matching and delivering.
async fn oversee(
    mut overseer: Overseer,
    mut shared: Shared,
    store: Store,
    matched: CancellationToken,
    done: CancellationToken,
) {
    let mut trouble = Trouble::new("overseer", "looking after the sources", &store);
    let mut fetch = pinger(&shared.config.borrow().clone(), &shared);
    if shared.once {
        matched.cancelled().await;
    }
    let (mut look_at, mut ping_at) = (Timestamp::MIN, Timestamp::MIN);
    while shared.once || !matched.is_cancelled() {
        let now = shared.clock.now();
        // Who leaves scoring and delivering to others leaves this to them, too.
        let tells = shared.standing.borrow().tells;
        if !tells {
            look_at = now + LOOK_WHEN_RESTING;
        }
        // Also after the clock was set back.
        if tells && (now >= look_at || look_at.duration_since(now) > SignedDuration::from_hours(1)) {
            match overseer.step(now).await {
                Ok((progress, next)) => {
                    trouble.over(now).await;
                    look_at = next;
                    if progress.planted {
                        shared.matcher.notify_one();
                    }
                    if progress.lines > 0 {
                        shared.notifier.notify_one();
                    }
                }
                // What could not be told now is told at the next look.
                Err(error) if trouble.wait(&error, &shared).await => continue,
                Err(_) => break,
            }
        }
        let every = overseer.ping_every().and_then(|every| SignedDuration::try_from(every).ok());
        if let (Some(every), Some(fetch)) = (every, &fetch)
            && (now >= ping_at || ping_at.duration_since(now) > every)
        {
            overseer.ping(fetch.as_ref(), shared.once || shared.is_moving(), now).await;
            ping_at = now + every;
        }
        if shared.once {
            break;
        }
        let next = if every.is_some() && fetch.is_some() { look_at.min(ping_at) } else { look_at };
        tokio::select! {
            () = shared.clock.sleep_until(next, SLEEP_MAX) => {}
            () = matched.cancelled() => {}
            Ok(()) = shared.config.changed() => {
                let config = shared.config.borrow_and_update().clone();
                fetch = pinger(&config, &shared);
                overseer.reconfigure(config);
            }
        }
    }
    done.cancel();
    shared.notifier.notify_one();
}

/// The way to the dead man's switch, by the rules that hold for every request.
fn pinger(config: &Config, shared: &Shared) -> Option<Arc<dyn Fetch>> {
    config.ping.as_ref()?;
    match Http::new(&config.fetch) {
        Ok(http) => Some(Arc::new(http.with_hosts(shared.hosts.clone()))),
        Err(error) => {
            tracing::error!("the dead man's switch cannot be told anything: {error}");
            None
        }
    }
}
