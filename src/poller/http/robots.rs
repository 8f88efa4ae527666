//! robots.txt of the sites whose pages are read: asked once a day each, kept in memory and in the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::{Http, Wanted};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::plain;
use crate::poller::fetch::{FetchError, Request};
use crate::poller::robots::{BYTES_MAX, OLD_RULES_FOR, Robots, UNREACHABLE_FOR};
use crate::store::Store;

/// Above so many sites those that nobody waits for leave the memory; the store still knows them.
const SITES_IN_MEMORY_MAX: usize = 64;

/// What sites say to robots.
#[derive(Debug, Default)]
pub(super) struct RobotsCache {
    store: Option<Store>,
    clock: Clock,
    sites: Mutex<HashMap<String, Site>>,
}

/// Locked while its robots.txt is being asked for, so that it is asked for once.
type Site = Arc<tokio::sync::Mutex<Option<Known>>>;

#[derive(Clone, Debug)]
struct Known {
    robots: Robots,
    /// When the site said so.
    at: Timestamp,
    /// When it was asked in vain to say so again.
    tried_at: Option<Timestamp>,
}

impl Known {
    /// It may be used without asking again.
    fn is_current(&self, now: Timestamp) -> bool {
        is_within(self.at, self.robots.kept_for(), now)
            || self.tried_at.is_some_and(|tried| is_within(tried, UNREACHABLE_FOR, now))
    }
}

fn is_within(at: Timestamp, length: Duration, now: Timestamp) -> bool {
    // Also after a clock was set back: what comes from the future is not known.
    let age = now.duration_since(at);
    !age.is_negative() && age < SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

impl RobotsCache {
    pub(super) fn new(store: Store, clock: Clock) -> RobotsCache {
        RobotsCache { store: Some(store), clock, sites: Mutex::default() }
    }

    /// May this page be asked for? Answers the pause that the site asks for between two requests.
    pub(super) async fn check(&self, http: &Http, request: &Request) -> Result<Duration, FetchError> {
        let url = &request.url;
        let site = url.origin().ascii_serialization();
        let entry = self.entry(&site);
        let mut known = entry.lock().await;
        let now = self.clock.now();
        if !known.as_ref().is_some_and(|known| known.is_current(now)) {
            *known = Some(self.renew(http, &site, request, known.take(), now).await?);
        }
        let Some(Known { robots, .. }) = known.as_ref() else { return Ok(Duration::ZERO) };
        if robots.allows(url) {
            return Ok(robots.delay());
        }
        let site = plain::line(&site, 200);
        Err(match robots {
            Robots::Unreachable => FetchError::new(
                Fault::RobotsUnreachable,
                format!(
                    "{site}/robots.txt cannot be had, so the page is not asked for; that is tried again in an hour"
                ),
            ),
            _ => FetchError::new(
                Fault::Robots,
                format!(
                    "{site}/robots.txt asks programs not to read this page, so it is not read; ask the publisher, or look for a feed"
                ),
            ),
        })
    }

    fn entry(&self, site: &str) -> Site {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if sites.len() >= SITES_IN_MEMORY_MAX {
            sites.retain(|_, site| Arc::strong_count(site) > 1);
        }
        sites.entry(site.to_string()).or_default().clone()
    }

    /// From the store, or from the site.
    async fn renew(
        &self,
        http: &Http,
        site: &str,
        page: &Request,
        old: Option<Known>,
        now: Timestamp,
    ) -> Result<Known, FetchError> {
        let stored = match &self.store {
            // A store in trouble costs a request, not the page.
            Some(store) => store.robots(site).await.unwrap_or_default(),
            None => None,
        };
        let stored =
            stored.map(|(word, text, at)| Known { robots: Robots::from_stored(&word, &text), at, tried_at: None });
        if let Some(stored) = stored.clone().filter(|stored| stored.is_current(now)) {
            return Ok(stored);
        }
        let robots = ask(http, page).await?;
        let old = stored.or(old).filter(|old| robots == Robots::Unreachable && matches!(old.robots, Robots::Rules(_)));
        if let Some(old) = old.filter(|old| is_within(old.at, OLD_RULES_FOR, now)) {
            return Ok(Known { tried_at: Some(now), ..old });
        }
        if let Some(store) = &self.store {
            let forget_before = now - SignedDuration::from_hours(31 * 24);
            let (word, text) = robots.stored();
            if let Err(error) = store.keep_robots(site, (word, &text), now, forget_before).await {
                tracing::debug!("{site}/robots.txt could not be kept: {error}");
            }
        }
        Ok(Known { robots, at: now, tried_at: None })
    }
}

/// Asks the site, by the way that the page takes. Boxed: a page asks for robots.txt, which asks as a page does.
fn ask<'a>(http: &'a Http, page: &'a Request) -> BoxFuture<'a, Result<Robots, FetchError>> {
    Box::pin(async move {
        let Ok(url) = page.url.join("/robots.txt") else { return Ok(Robots::None) };
        let mut request = Request::get(url, "text/plain, */*;q=0.5");
        request.access = page.access.as_ref().map(|access| Arc::new(access.without_headers()));
        Robots::from_answer(http.follow(request, Wanted::Beginning(BYTES_MAX as u64 + 1)).await)
    })
}
