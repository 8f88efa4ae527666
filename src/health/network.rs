//! When everything fails at once it is the network here, and no source is to blame.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::fault::{Class, Fault};
use crate::model::{Health, SourceState};

/// So many hosts that could be reached and cannot any more, with none that can be since, are no accident.
const HOSTS: usize = 5;
/// For so long nothing must have been reached.
const LENGTH: SignedDuration = SignedDuration::from_mins(10);

/// The trouble is on the way, not with the source.
pub(super) fn is_on_the_way(source: &SourceState) -> bool {
    let slow = source.fault == Some(Fault::Slow);
    source.health == Health::Failing && (slow || source.fault.is_some_and(|fault| fault.class() == Class::Network))
}

/// Since when nothing can be reached; `None` while something can.
pub(super) fn down_since(sources: &[SourceState], now: Timestamp) -> Option<Timestamp> {
    let asked = || sources.iter().filter(|source| !source.paused && source.kind != "folder");
    let reached = asked().filter(|source| source.health != Health::New && !is_on_the_way(source));
    // One that was retired long ago was not reached lately, but neither does it hide an outage.
    let last_reached = reached.filter_map(|source| source.attempted_at).max().unwrap_or(Timestamp::MIN);
    let lost = asked()
        .filter(|source| is_on_the_way(source) && source.failing_since.is_some_and(|since| since > last_reached));
    let (mut hosts, mut since) = (BTreeSet::new(), None::<Timestamp>);
    for source in lost {
        hosts.insert(&source.host);
        since = [since, source.failing_since].into_iter().flatten().min();
    }
    since.filter(|since| hosts.len() >= HOSTS && now.duration_since(*since) >= LENGTH)
}
