//! What the log says of visits: a change of state once, its repetition only for who wants to debug.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::SourceConfig;
use crate::fault::{Class, Fault};
use crate::model::{Health, Id, SourceState};
use crate::plain;
use crate::store::sources::{Claim, VisitResult};

/// Whether it is our own network that is down: then nobody answers, and no source is to blame.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Hosts that could be reached until now and cannot any more, since one could.
    lost: BTreeSet<String>,
    /// When the first of them was lost.
    since: Option<Timestamp>,
    /// Said so in the log.
    pub(super) known: bool,
}

impl Outage {
    /// Since when the network is down, as far as is known; `None` while it is there.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.known)
    }

    /// So many hosts lost in a row are no accident.
    const HOSTS: usize = 5;

    /// Takes a visit into account; answers since when the outage was that it shows to be over.
    pub(super) fn ends_with(&mut self, result: &VisitResult) -> Option<Timestamp> {
        let state = &result.state;
        if state.fault.is_some_and(|fault| fault.class() == Class::Network) {
            // One that has failed before says nothing of the network.
            if result.before.failures == 0 {
                self.lost.insert(state.host.clone());
                self.since = self.since.or(state.failing_since);
            }
            if self.lost.len() >= Outage::HOSTS && !self.known {
                self.known = true;
                tracing::error!(
                    "the network seems to be down: the last {} hosts in a row cannot be reached ({})",
                    self.lost.len(),
                    plain::line(&state.error, 200)
                );
            }
            return None;
        }
        self.lost.clear();
        let since = self.since.take();
        std::mem::take(&mut self.known).then_some(since).flatten()
    }
}

/// Every line about a visit stands in this: which source was asked where, and which visit it was. The items that it gave are
/// named in it with `-v`; from there `score` and `deliver` lead on.
pub(super) fn span(state: &SourceState, claim: &Claim) -> tracing::Span {
    let run = Id::of(&["visit", &state.name, &claim.owner, &claim.fence.to_string()]);
    let (source, url) = (plain::line(&state.name, 100), plain::line(&plain::without_secrets(&state.url), 500));
    // Of the highest level, so that no filter takes it from a line that is shown.
    tracing::error_span!("visit", source, url, %run)
}

/// Log lines of a visit: a change of state once, its repetition only for who wants to debug.
pub(super) fn report(result: &VisitResult, network_is_down: bool, sources: &BTreeMap<String, Arc<SourceConfig>>) {
    let (state, before) = (&result.state, &result.before);
    let _span = span(state, &result.claim).entered();
    let name = plain::line(&state.name, 100);
    let fault = state.fault.map_or("", Fault::as_str);
    if let Some(moved) = state.moved.as_ref().filter(|moved| moved.is_proven() && !before.moved) {
        let place = sources.get(&state.name).map_or(String::new(), |source| format!(" at {}", source.place));
        let url = plain::line(&plain::without_secrets(&moved.url), 500);
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
                tracing::info!(
                    source = name,
                    "{name} can be read again, after {}",
                    plain::counted(before.failures as usize, "failed visit")
                );
            }
            if !state.error.is_empty() && (before.fault.is_some() || before.error.is_empty()) {
                tracing::warn!(source = name, "{name} was read in part: {}", state.error);
            }
            tracing::debug!(
                source = name,
                items = result.new_items.len(),
                "{name} was read, {}",
                plain::counted(result.new_items.len(), "new item")
            );
            for new in &result.new_items {
                tracing::debug!(source = name, item = %new.item.id, "{name} showed item {}", new.item.id);
            }
        }
    }
}
