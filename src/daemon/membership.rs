//! This process among the watchers that share a store: its name, its heartbeat, whose configuration is in force, and what it takes
//! over from one that is gone. With SQLite there is one process, and nothing of this.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio::sync::watch;

use super::Shared;
use crate::clock::Clock;
use crate::config::Config;
use crate::health::watchers::{GONE_AFTER, Standing, State, in_force, standing, state};
use crate::model::{ConfigurationHashes, Watcher};
use crate::overseer::RELOAD_NOTE;
use crate::plain;
use crate::poller;
use crate::store::sources::{Beside, ConfiguredSource};
use crate::store::{self, Store};

/// How often a watcher says that it lives.
const BEAT: Duration = Duration::from_secs(10);
/// Looking at the other watchers is given up when it takes longer, and tried again.
const LOOK_MAX: Duration = Duration::from_secs(120);
/// After a longer pause between two heartbeats a watcher was stopped or cut off: who else is gone is not for it to say yet.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Watchers and hosts that are gone for long are forgotten about so often.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// A name that is still taken after so long is another's.
const NAME_WAIT: Duration = Duration::from_secs(75);
/// Watchers of one machine that find names by themselves.
const NUMBERS_MAX: usize = 100;

/// This process among the watchers.
pub(super) struct Membership {
    store: Store,
    clock: Clock,
    /// As it was when it joined; what changes later is in `now`.
    own: Watcher,
    once: bool,
    standing: watch::Sender<Standing>,
    now: Mutex<Now>,
}

/// What changes.
struct Now {
    hashes: ConfigurationHashes,
    sources: Vec<ConfiguredSource>,
    /// Why the last reload failed.
    problem: String,
    /// Who lived by which configuration when the sources were last configured.
    configured_beside: Vec<(String, ConfigurationHashes)>,
    /// Heartbeats have gone well without a pause since then, and the last one then.
    beating: Option<(Instant, Instant)>,
    /// Whose claims were freed.
    freed: HashSet<String>,
    forgot_at: Option<Instant>,
    /// Why it may not go on.
    expelled: Option<String>,
}

impl Membership {
    /// Joins the watchers of a shared store under a name of its own and configures the sources.
    pub(super) async fn join(
        store: Store,
        config: &Config,
        clock: &Clock,
        once: bool,
    ) -> anyhow::Result<(Membership, watch::Receiver<Standing>)> {
        let began = clock.now();
        let machine = machine_name();
        let mut own = Watcher {
            name: String::new(),
            owner: format!("{machine}-{}-{}", std::process::id(), began.as_millisecond()),
            machine,
            pid: i64::from(std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_string(),
            started_at: began,
            heartbeat_at: began,
            stopped_at: None,
            configuration: config.hashes(),
            configured_since: began,
            clock_offset: 0,
            problem: String::new(),
        };
        let sources = poller::configured(&config.sources, &config.fetch, began);
        let store = store.named(&own.owner);
        if store.is_shared() {
            find_name(&store, config.watcher.as_deref(), &mut own, &sources, clock, once).await?;
        } else {
            own.name = config.watcher.as_deref().unwrap_or(&own.machine).to_string();
        }
        let (sender, receiver) = watch::channel(Standing::alone());
        let now = Now {
            hashes: own.configuration.clone(),
            sources,
            problem: String::new(),
            configured_beside: Vec::new(),
            beating: None,
            freed: HashSet::new(),
            forgot_at: None,
            expelled: None,
        };
        let membership = Membership { store, clock: clock.clone(), own, once, standing: sender, now: Mutex::new(now) };
        if membership.store.is_shared() {
            membership.beat().await?;
            tracing::info!("this watcher is called {} (store.watcher)", plain::line(&membership.own.name, 100));
        } else {
            let sources = membership.lock().sources.clone();
            membership.store.configure_sources(&sources).await?;
        }
        Ok((membership, receiver))
    }

    /// The store, in the name of this process.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// What this watcher is called.
    pub(super) fn name(&self) -> &str {
        &self.own.name
    }

    /// What names this process in claims.
    pub(super) fn owner(&self) -> &str {
        &self.own.owner
    }

    /// Why this watcher had to stop, if it had.
    pub(super) fn expelled(&self) -> Option<String> {
        self.lock().expelled.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the sources of a new configuration.
    pub(super) async fn configure(&self, config: &Config) -> store::Result<()> {
        let sources = poller::configured(&config.sources, &config.fetch, self.clock.now());
        if !self.store.is_shared() {
            return self.store.configure_sources(&sources).await;
        }
        let own = Watcher { configuration: config.hashes(), ..self.own.clone() };
        self.store.join_watchers(&own, &own.owner, &sources).await?;
        {
            let mut now = self.lock();
            (now.hashes, now.sources) = (own.configuration, sources);
            now.configured_beside.clear();
        }
        // It is in force now; what this heartbeat cannot do the next one does.
        if let Err(error) = self.beat().await {
            tracing::warn!("the new configuration is told to the other watchers a little later: {error}");
        }
        Ok(())
    }

    /// What became of a reload: empty when it went well.
    pub(super) async fn note_reload(&self, failed: &str) {
        let noted = if self.store.is_shared() {
            let problem = if failed.is_empty() {
                String::new()
            } else {
                plain::line(&format!("the reload was refused, the old configuration is in force: {failed}"), 700)
            };
            self.lock().problem = problem;
            self.beat().await
        } else {
            self.store.note(RELOAD_NOTE, failed).await
        };
        if let Err(error) = noted {
            tracing::debug!("the reload could not be noted: {error}");
        }
    }

    /// Says that this watcher lives, looks who else does, and draws the consequences.
    async fn beat(&self) -> store::Result<()> {
        self.live().await?;
        self.look().await
    }

    /// One heartbeat. It stands behind nothing else: a watcher that is not heard of loses what it has claimed.
    async fn live(&self) -> store::Result<()> {
        let store = self.store.brisk();
        if store.is_newer().await? {
            return self.expel(
                "a newer newswatch has brought the store to a version that this one does not know; this watcher stops before it \
                 writes anything wrong: install the newer program here, too"
                    .to_string(),
            );
        }
        let before = self.clock.now();
        let database_now = store.database_time().await?;
        let middle = before + self.clock.now().duration_since(before) / 2;
        let offset = i64::try_from(middle.duration_since(database_now).as_millis()).unwrap_or(i64::MAX);
        let problem = self.lock().problem.clone();
        if !store.heartbeat(&self.own.owner, offset, &problem).await? {
            return self.expel(format!(
                "another process has taken the name {} over: this watcher was not heard of for too long, or two have the same \
                 store.watcher; it stops, and nothing is lost",
                self.own.name
            ));
        }
        Ok(())
    }

    /// Who else lives, and what follows from it.
    async fn look(&self) -> store::Result<()> {
        if self.expelled().is_some() {
            return Ok(());
        }
        let (watchers, database_now) = self.store.watchers().await?;
        let standing = standing(&watchers, &self.own.owner, database_now);
        self.configure_if_changed(&watchers, &standing, database_now).await?;
        self.report(&standing);
        self.standing.send_if_modified(|old| {
            let is_new = *old != standing;
            old.clone_from(&standing);
            is_new
        });
        self.take_over(&watchers, database_now).await?;
        let is_time = self.lock().forgot_at.is_none_or(|at| at.elapsed() > FORGET_EVERY);
        if is_time {
            self.lock().forgot_at = Some(Instant::now());
            self.store.forget_watchers().await?;
        }
        Ok(())
    }

    fn expel(&self, why: String) -> store::Result<()> {
        self.lock().expelled = Some(why);
        Ok(())
    }

    /// The sources are configured when others came, went, or have another configuration.
    async fn configure_if_changed(
        &self,
        watchers: &[Watcher],
        standing: &Standing,
        now: jiff::Timestamp,
    ) -> store::Result<()> {
        let living = watchers.iter().filter(|watcher| state(watcher, now) == State::Lives);
        let mut beside: Vec<(String, ConfigurationHashes)> =
            living.map(|watcher| (watcher.owner.clone(), watcher.configuration.clone())).collect();
        // Whoever comes into force configures again.
        beside.extend(in_force(watchers, now).map(|first| (String::new(), first.configuration.clone())));
        let sources = {
            let own = self.lock();
            if own.configured_beside == beside {
                return Ok(());
            }
            own.sources.clone()
        };
        let in_force = standing.sources_in_force;
        self.store.configure_sources_beside(&sources, Beside { in_force, others: &standing.others }).await?;
        self.lock().configured_beside = beside;
        Ok(())
    }

    /// Says once what keeps this watcher from doing all of its work, and once when that is over.
    fn report(&self, standing: &Standing) {
        let before = self.standing.borrow().why.clone();
        if before == standing.why {
            return;
        }
        if standing.why.is_empty() {
            tracing::info!("this watcher does all of its work again");
        } else {
            tracing::warn!(
                "this watcher does not do all of its work: {}; give all watchers the same configuration and reload them",
                plain::line(&standing.why, 500)
            );
        }
    }

    /// What somebody had claimed who is gone is free, once this watcher itself has been there long enough to know.
    async fn take_over(&self, watchers: &[Watcher], now: jiff::Timestamp) -> store::Result<()> {
        let mut freed = Vec::new();
        {
            let mut own = self.lock();
            let at = Instant::now();
            let since = match own.beating {
                Some((since, last)) if at.duration_since(last) < PAUSE_MAX => since,
                _ => at,
            };
            own.beating = Some((since, at));
            own.freed.retain(|owner| {
                watchers.iter().any(|watcher| watcher.owner == *owner && state(watcher, now) != State::Lives)
            });
            if SignedDuration::try_from(at.duration_since(since)).is_ok_and(|length| length >= GONE_AFTER) {
                let gone = watchers.iter().filter(|watcher| state(watcher, now) == State::Gone);
                freed.extend(gone.filter(|watcher| !own.freed.contains(&watcher.owner)).cloned());
            }
        }
        for watcher in freed {
            let claims = self.store.free_claims(&watcher.owner).await?;
            if claims > 0 {
                tracing::warn!(
                    "the watcher {} on {} is gone; free for the others: {}",
                    plain::line(&watcher.name, 100),
                    plain::line(&watcher.machine, 100),
                    plain::counted(claims as usize, "claim")
                );
            }
            self.lock().freed.insert(watcher.owner);
        }
        Ok(())
    }

    /// Says that this watcher stops, and gives up what it had claimed.
    pub(super) async fn leave(&self) {
        if self.store.is_shared()
            && self.expelled().is_none()
            && let Err(error) = self.store.leave_watchers(&self.own.owner, self.once).await
        {
            tracing::warn!(
                "the other watchers could not be told that this one stops, they notice by themselves: {error}"
            );
        }
    }
}

/// Keeps the heartbeat going. A store that is away is reported by the loops.
pub(super) async fn keep(membership: Arc<Membership>, shared: Shared) {
    if !membership.store.is_shared() {
        return;
    }
    tokio::select! {
        () = live_on(&membership, &shared) => {}
        () = look_on(&membership) => {}
    }
}

/// Keeps the heartbeat going until this watcher is expelled.
async fn live_on(membership: &Membership, shared: &Shared) {
    loop {
        tokio::time::sleep(BEAT).await;
        if let Err(error) = membership.live().await {
            tracing::debug!("no heartbeat: {error}");
        }
        if let Some(why) = membership.expelled() {
            tracing::error!("{why}");
            shared.stop.cancel();
            return;
        }
    }
}

/// Looks at the other watchers for ever. What follows from it may have to wait for them, and must not hold up the heartbeat.
async fn look_on(membership: &Membership) {
    loop {
        tokio::time::sleep(BEAT).await;
        match tokio::time::timeout(LOOK_MAX, membership.look()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("the other watchers could not be looked at: {error}"),
            Err(_) => tracing::debug!("the other watchers could not be looked at: it takes too long"),
        }
    }
}

/// Joins under the configured name, or the machine's with a number where that is taken.
async fn find_name(
    store: &Store,
    wanted: Option<&str>,
    own: &mut Watcher,
    sources: &[ConfiguredSource],
    clock: &Clock,
    once: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut said = false;
    loop {
        let (watchers, now) = store.watchers().await?;
        own.clock_offset = i64::try_from(clock.now().duration_since(now).as_millis()).unwrap_or(i64::MAX);
        let taken = |name: &str| watchers.iter().find(|watcher| watcher.name == name && is_running(watcher, own, now));
        let base = wanted.unwrap_or(&own.machine).to_string();
        let name = if once {
            // It is there for a moment, beside the daemon.
            format!("{base}-once-{}", own.pid)
        } else if wanted.is_some() {
            base.clone()
        } else {
            let numbered = (2..=NUMBERS_MAX).map(|number| format!("{base}-{number}"));
            let mut names = std::iter::once(base.clone()).chain(numbered);
            names.find(|name| taken(name).is_none()).unwrap_or_else(|| base.clone())
        };
        let other = taken(&name).cloned();
        if other.is_none() {
            let replaces = watchers.iter().find(|watcher| watcher.name == name).map_or("", |before| &before.owner);
            let joining = Watcher { name: name.clone(), ..own.clone() };
            if store.join_watchers(&joining, replaces, sources).await?.is_some() {
                *own = joining;
                return Ok(());
            }
            // Somebody else was faster; look again.
            continue;
        }
        let other = other.unwrap_or_else(|| own.clone());
        if began.elapsed() > NAME_WAIT {
            anyhow::bail!(
                "a watcher called {} runs already, on {} (process {}): give each watcher a store.watcher of its own",
                plain::line(&name, 100),
                plain::line(&other.machine, 100),
                other.pid
            );
        }
        if !said {
            tracing::info!(
                "a watcher called {} was heard of just now; waiting whether it is gone (at most {} s)",
                plain::line(&name, 100),
                NAME_WAIT.as_secs()
            );
            said = true;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// It may still run. Of this machine it is known at once when it does not.
fn is_running(watcher: &Watcher, own: &Watcher, now: jiff::Timestamp) -> bool {
    let is_dead = watcher.machine == own.machine
        && (watcher.pid == own.pid || !Path::new("/proc").join(watcher.pid.to_string()).exists());
    state(watcher, now) == State::Lives && !is_dead
}

/// What this machine calls itself.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.trim().chars().filter(plain).take(50).collect();
    if name.is_empty() { "watcher".to_string() } else { name }
}
