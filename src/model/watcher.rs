//! Watchers that share a store.

use super::Timestamp;

/// One of the processes that share a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// Unique name, for people.
    pub name: String,
    /// What names the process in its claims: a restart is another.
    pub owner: String,
    /// The machine it runs on, as that calls itself.
    pub machine: String,
    /// Its process there.
    pub pid: i64,
    /// Version of the program.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last heard of, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// When it stopped in good order.
    pub stopped_at: Option<Timestamp>,
    /// What it works by.
    pub configuration: ConfigurationHashes,
    /// Since when some watcher has had this configuration without a break. The youngest one is in force.
    pub configured_since: Timestamp,
    /// How far its clock is ahead of the database's, in milliseconds.
    pub clock_offset: i64,
    /// Why it does not work as it should; empty when it does.
    pub problem: String,
}

/// What tells one configuration from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfigurationHashes {
    /// Of the sources that are on.
    pub sources: String,
    /// Of the profiles.
    pub profiles: String,
    /// Of routes, channels and operator.
    pub routes: String,
}

/// Which of the hosts a watcher asks first, so that each keeps to the same watcher: one of `of` shares. Only a preference: what
/// nobody has asked in time is everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

impl Share {
    /// All of them.
    pub const ALL: Share = Share { index: 0, of: 1 };
}
