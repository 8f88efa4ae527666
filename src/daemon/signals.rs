//! Signals: stop, and read the configuration again, all of it or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::membership::Membership;
use super::{Shared, count_from_zero, status_line};
use crate::config::Config;
use crate::config::section::Problem;
use crate::meters::Meters;
use crate::poller::http::Http;
use crate::{matcher, plain, systemd};

/// The signals that the daemon hears.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until the program is to stop.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Signals: SIGTERM and SIGINT stop, SIGHUP reads the configuration again.
pub(super) async fn listen(
    shared: Shared,
    signals: Option<Signals>,
    config: watch::Sender<Arc<Config>>,
    membership: Arc<Membership>,
    path: Option<PathBuf>,
) {
    let Some(Signals { mut terminate, mut interrupt, mut hangup }) = signals else { return };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&shared, &config, &membership, path.clone()).await,
        }
    }
    systemd::stopping();
    shared.stop.cancel();
}

/// Reads the configuration again. It is taken over only when all of it can be used: a bad one changes nothing and says so in the
/// log, in the store (for `newswatch status` and the operator) and to who asks for metrics.
async fn reload(shared: &Shared, config: &watch::Sender<Arc<Config>>, membership: &Membership, path: Option<PathBuf>) {
    systemd::reloading();
    let refused = match take_over(shared, config, membership, path).await {
        Ok(()) => String::new(),
        Err(why) => why,
    };
    if !refused.is_empty() {
        tracing::error!("the old configuration stays in force: {refused}");
    }
    let outcome = if refused.is_empty() { "taken" } else { "refused" };
    Meters::count(&shared.meters.reloads, "outcome", outcome);
    shared.meters.reload_good.set(if refused.is_empty() { 1.0 } else { 0.0 });
    membership.note_reload(&refused).await;
    let status = status_line(&config.borrow());
    systemd::ready(&status);
}

/// Checks a new configuration as a whole, then hands it to the loops. The error says why it is not used.
async fn take_over(
    shared: &Shared,
    config: &watch::Sender<Arc<Config>>,
    membership: &Membership,
    path: Option<PathBuf>,
) -> Result<(), String> {
    let load = move || {
        let config = Config::load(path.as_deref())?;
        // What only shows when it is used.
        let unusable = Http::new(&config.fetch).err().or_else(|| matcher::check(&config.profiles).err());
        Ok((config, unusable))
    };
    let (new, unusable) = match tokio::task::spawn_blocking(load).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => {
            let problems: Vec<Problem> = problems;
            for problem in &problems {
                tracing::error!("{problem}");
            }
            return Err(format!(
                "the configuration has {} (newswatch check)",
                plain::counted(problems.len(), "problem")
            ));
        }
        Err(error) => return Err(format!("reading the configuration failed inside newswatch: {error}")),
    };
    if let Some(error) = unusable {
        return Err(format!("it cannot be used: {error:#}"));
    }
    let old = config.borrow().clone();
    if new.store_url() != old.store_url() {
        tracing::warn!("store.url was changed: that takes a restart, the old store is used until then");
    }
    if new.store.search != old.store.search {
        tracing::warn!("store.search was changed: that takes a restart, the index for search is as before until then");
    }
    if new.metrics != old.metrics {
        tracing::warn!("[metrics] was changed: that takes a restart, metrics are served as before until then");
    }
    let taken = membership.configure(&new).await;
    taken.map_err(|error| format!("the store could not take over the sources: {error}"))?;
    tracing::info!("configuration read again: {}", status_line(&new));
    count_from_zero(&shared.meters, &new, shared.clock.now());
    // The loops take it over one after the other, each between two steps.
    let _ = config.send(Arc::new(new));
    Ok(())
}
