//! One exchange of the poller with the store: commit what came back, claim what is due. It runs beside the visits, one at a time.

use jiff::{SignedDuration, Timestamp};

use super::{LEASE, LOOK_AGAIN, PER_HOST_MAX};
use super::{report, schedule};
use crate::fault::Fault;
use crate::model::{Id, Item, Share, SourceState};
use crate::plain;
use crate::store;
use crate::store::evidence::{NewCapture, NewReread};
use crate::store::sources::{Claim, VisitResult};

/// A claimed source whose visit has not begun.
pub(super) struct Waiting {
    pub(super) state: SourceState,
    pub(super) claim: Claim,
    pub(super) claimed_at: Timestamp,
}

impl Waiting {
    /// Its claim, to be given back.
    pub(super) fn release(self) -> (String, Claim) {
        (self.state.name, self.claim)
    }
}

/// What the store is to do for the poller in one go.
pub(super) struct Exchange {
    pub(super) store: store::Store,
    pub(super) finished: Vec<VisitResult>,
    /// Items whose article page was tried, and those whose turn has not come.
    pub(super) articles: Articles,
    /// Claims to be given back: nobody needs to wait until they run out.
    pub(super) released: Vec<(String, Claim)>,
    /// For whom sources are to be claimed, and how many.
    pub(super) claim: Option<(String, usize)>,
    /// What of them is for this watcher.
    pub(super) share: Option<Share>,
    /// Sources that could not be reached since then are asked soon: the network is there again, or other watchers may have one.
    pub(super) network_is_back: Option<(Timestamp, Again)>,
    pub(super) interval: std::time::Duration,
    pub(super) now: Timestamp,
}

/// Why sources that could not be reached are asked soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The network is there again.
    Here,
    /// Other watchers are there, and this one's network is not.
    Elsewhere,
}

/// What came of fetching article pages.
#[derive(Default)]
pub(super) struct Articles {
    pub(super) tried: Vec<Item>,
    /// Their pages as they came.
    pub(super) pages: Vec<NewCapture>,
    pub(super) left: Vec<Id>,
    /// Pages of hits that were looked at again.
    pub(super) reread: Vec<NewReread>,
}

impl Articles {
    pub(super) fn is_empty(&self) -> bool {
        self.tried.is_empty() && self.left.is_empty() && self.reread.is_empty()
    }

    pub(super) fn extend(&mut self, more: Articles) {
        self.tried.extend(more.tried);
        self.pages.extend(more.pages);
        self.reread.extend(more.reread);
        self.left.extend(more.left);
    }
}

/// What came of an exchange.
pub(super) struct Exchanged {
    /// New items stored.
    pub(super) items: u64,
    pub(super) committed: Vec<VisitResult>,
    /// What could not be committed.
    pub(super) uncommitted: Vec<VisitResult>,
    pub(super) uncommitted_articles: Articles,
    pub(super) claimed: Vec<Waiting>,
    /// Claims that could not be given back.
    pub(super) unreleased: Vec<(String, Claim)>,
    /// When to claim again.
    pub(super) claim_at: Timestamp,
    /// The sources that could not be reached are still to be asked soon.
    pub(super) network_is_back: Option<(Timestamp, Again)>,
    pub(super) failed: Option<store::StoreError>,
}

/// An exchange that failed inside newswatch gives nothing: the claims of its sources run out and they are asked again.
pub(super) fn or_nothing(joined: Result<Exchanged, tokio::task::JoinError>) -> Exchanged {
    joined.unwrap_or_else(|error| {
        tracing::error!("visits could not be stored because newswatch failed inside: {error}");
        Exchanged::default()
    })
}

impl Default for Exchanged {
    fn default() -> Exchanged {
        Exchanged {
            items: 0,
            committed: vec![],
            uncommitted: vec![],
            uncommitted_articles: Articles::default(),
            claimed: vec![],
            unreleased: vec![],
            claim_at: Timestamp::MIN,
            network_is_back: None,
            failed: None,
        }
    }
}

impl Exchange {
    pub(super) async fn run(mut self) -> Exchanged {
        let mut exchanged = Exchanged::default();
        let result = self.commit_and_claim(&mut exchanged).await;
        exchanged.network_is_back = self.network_is_back.filter(|_| result.is_err());
        exchanged.failed = result.err();
        exchanged.uncommitted = self.finished;
        exchanged.uncommitted_articles = self.articles;
        exchanged.unreleased = self.released;
        exchanged
    }

    async fn commit_and_claim(&mut self, exchanged: &mut Exchanged) -> store::Result<()> {
        if !self.finished.is_empty() {
            self.commit(exchanged).await?;
        }
        // After their items.
        if !self.articles.is_empty() {
            let Articles { tried, pages, left, reread } = &self.articles;
            self.store.commit_articles(tried, left, pages, self.now).await?;
            if !reread.is_empty() {
                self.store.commit_rereads(reread, self.now).await?;
            }
            self.articles = Articles::default();
        }
        if !self.released.is_empty() {
            self.store.release_sources(&self.released).await?;
            self.released.clear();
        }
        if let Some((since, by)) = self.network_is_back {
            self.after_outage(since, by).await?;
        }
        let Some((owner, limit)) = &self.claim else { return Ok(()) };
        let now = self.now;
        let claimed = self.store.claim_sources_of(owner, self.share, now, now + LEASE, *limit, PER_HOST_MAX).await?;
        if claimed.is_empty() {
            let due = self.store.next_source_due_of(owner, self.share, now).await?.unwrap_or(Timestamp::MAX);
            // What is due and cannot be had is on a host that another watcher asks: that takes a moment.
            let soonest = if self.share.is_some() { 250 } else { 50 };
            exchanged.claim_at = due.clamp(now + SignedDuration::from_millis(soonest), now + LOOK_AGAIN);
        }
        let waiting = |(state, claim)| Waiting { state, claim, claimed_at: now };
        exchanged.claimed = claimed.into_iter().map(waiting).collect();
        Ok(())
    }

    async fn commit(&mut self, exchanged: &mut Exchanged) -> store::Result<()> {
        match self.store.commit_visits(&self.finished, self.now).await {
            Ok(items) => {
                exchanged.items = items;
                exchanged.committed = std::mem::take(&mut self.finished);
                Ok(())
            }
            Err(error) if self.finished.len() > 1 && !error.is_passing() => self.commit_singly(error, exchanged).await,
            Err(error) => Err(error),
        }
    }

    /// The network is there again: what could not be reached is asked soon, however long it has failed.
    async fn after_outage(&self, since: Timestamp, by: Again) -> store::Result<()> {
        let names =
            self.store.sources_failing_since(since, &[Fault::UnknownHost, Fault::NoConnection, Fault::Slow]).await?;
        let why = match by {
            Again::Here => {
                let lost = plain::counted(names.len(), "source");
                tracing::info!("the network is there again; asked soon, as not reached before: {lost}");
                "the network is there again after an outage"
            }
            Again::Elsewhere => "a watcher without network could not reach it, others may",
        };
        let soon = |name: String| {
            let at = schedule::soon(&name, self.interval, self.now);
            (name, at)
        };
        let times: Vec<(String, Timestamp)> = names.into_iter().map(soon).collect();
        self.store.ask_sooner(&times, why).await
    }

    /// After a commit of many failed: each by itself, so that one that the database will not take cannot hold up the others.
    /// Fails when none can be committed, or when the store takes nothing more in between: then it is the store that is in trouble, and
    /// what is not stored yet stays for the next time.
    async fn commit_singly(&mut self, error: store::StoreError, exchanged: &mut Exchanged) -> store::Result<()> {
        let mut refused = Vec::new();
        let mut trouble = None;
        for result in std::mem::take(&mut self.finished) {
            if trouble.is_some() {
                self.finished.push(result);
                continue;
            }
            match self.store.commit_visits(std::slice::from_ref(&result), self.now).await {
                Ok(stored) => {
                    exchanged.items += stored;
                    exchanged.committed.push(result);
                }
                Err(error) if error.is_passing() => {
                    self.finished.push(result);
                    trouble = Some(error);
                }
                Err(error) => refused.push((result, error)),
            }
        }
        if exchanged.committed.is_empty() {
            self.finished.extend(refused.into_iter().map(|(result, _)| result));
            return Err(trouble.unwrap_or(error));
        }
        for (result, error) in &refused {
            let _span = report::span(&result.state, &result.claim).entered();
            let name = &result.state.name;
            // Its claim runs out and it is asked again.
            tracing::error!(source = name, "what {name} showed cannot be stored, it is asked again later: {error}");
        }
        trouble.map_or(Ok(()), Err)
    }
}
