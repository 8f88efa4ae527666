//! What systemd is told: ready, alive, reloading, stopping. Without a service manager every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Start-up is finished, or a reload is.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It does not begin yet, and why.
pub fn waiting(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The loops make progress, and the store answers or a restart would not help it.
pub fn alive(status: &str) {
    tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The service ends by itself.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often systemd wants to hear that we are alive; `None` when it does not watch.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Standard error is connected to the journal, so that fields can be sent along.
pub fn logs_to_journal() -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager could not be told: {error}");
    }
}
