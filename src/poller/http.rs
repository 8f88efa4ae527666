//! The network edge: [`Fetch`] over reqwest. Every request of the program goes through here: past the guard, at the host's gate,
//! by robots.txt where a page is wanted, within the limits.
//!
//! What reqwest does by itself and we do not want: following redirects (we check each hop), proxies from the environment, a
//! Referer, reading bodies whole, unpacking without a limit. What it does not do: it never asks our resolver for a literal
//! address (`guard::check_url` does).

mod client;
mod explain;
mod gate;
mod robots;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use url::Url;

use super::fetch::{Fetch, FetchError, Request, Response, Room};
use super::guard::Guard;
use super::schedule::{retry_after, server_time};
use super::unpack::{UnpackError, unpack};
use crate::clock::Clock;
use crate::config::FetchSettings;
use crate::config::section::show_duration;
use crate::fault::Fault;
use crate::plain;
use crate::store::Store;
use client::Clients;
use gate::Gates;
pub use gate::Hosts;
use robots::RobotsCache;

/// Bodies above this size wait for one of the few places for large ones.
const LARGE_BYTES: u64 = 1024 * 1024;
/// Large bodies in memory at once, until they are read: what bounds the memory when many sources are hostile together.
const LARGE_BODIES_MAX: usize = 2;
/// Read of an answer that is an error: enough to recognise a check for robots.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// A longer address in a redirect is none.
const LOCATION_BYTES_MAX: usize = 8 * 1024;
/// A site that cannot serve a page, and does not say for how long, is asked for no further pages so long.
const REST: Duration = Duration::from_secs(15 * 60);
/// Unpacking more than this is work for a thread of its own.
const UNPACK_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Fetches over HTTP, one request at a time per host.
#[derive(Debug)]
pub struct Http {
    clients: Clients,
    guard: Guard,
    settings: FetchSettings,
    gates: Gates,
    robots: RobotsCache,
    clock: Clock,
    large_bodies: Arc<Semaphore>,
}

/// How much of a body is wanted.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// All of it; more than the limit is an error.
    Whole,
    /// What stands within so many bytes.
    Beginning(u64),
}

impl Http {
    /// A client by the settings. The error names the setting that is at fault.
    pub fn new(settings: &FetchSettings) -> anyhow::Result<Http> {
        let guard = Guard { allow: settings.allow.clone(), deny: settings.deny.clone() };
        Ok(Http {
            clients: Clients::new(settings, &guard)?,
            guard,
            gates: Gates::new(settings.host_gap, settings.requests_per_second_max, Arc::default()),
            robots: RobotsCache::default(),
            clock: Clock::system(),
            settings: settings.clone(),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES_MAX)),
        })
    }

    /// Keeps in the store what robots.txt said, so that a restart asks for none of them again. Where several watchers share the
    /// store, a host is asked by one of them at a time, with its pause.
    #[must_use]
    pub fn with_store(self, store: Store, clock: Clock) -> Http {
        let gates = self.gates.shared(&store, self.settings.timeout);
        Http { robots: RobotsCache::new(store, clock.clone()), clock, gates, ..self }
    }

    /// Takes over what another client knows of the hosts, so that the two together are no less polite than one.
    #[must_use]
    pub fn with_hosts(self, hosts: Arc<Hosts>) -> Http {
        Http { gates: self.gates.with_hosts(hosts), ..self }
    }

    async fn follow(&self, mut request: Request, wanted: Wanted) -> Result<Response, FetchError> {
        let (mut redirected, mut all_permanent) = (false, true);
        for _ in 0..=self.settings.redirects_max {
            let (mut response, target) = self.hop(&request, wanted).await?;
            let Some(target) = target else {
                response.moved_for_good = redirected && all_permanent;
                return Ok(response);
            };
            redirected = true;
            all_permanent &= matches!(response.status, 301 | 308);
            request.url = target;
        }
        let max = self.settings.redirects_max;
        Err(FetchError::new(Fault::RedirectLoop, format!("more than {max} redirects (fetch.redirects_max)")))
    }

    /// One request. The second part is where the answer points to, if it is a redirect.
    async fn hop(&self, request: &Request, wanted: Wanted) -> Result<(Response, Option<Url>), FetchError> {
        self.guard
            .check_url(&request.url)
            .map_err(|reason| FetchError::new(Fault::Refused, format!("refused: {reason}")))?;
        let host = request.url.host_str().unwrap_or_default();
        let mut delay = Duration::ZERO;
        if request.heeds_robots {
            if let Some(rest) = self.gates.rests_for(host) {
                let text = format!("{host} asked to be left alone for another {}", show_duration(rest));
                return Err(FetchError::new(Fault::SlowDown, text));
            }
            delay = self.robots.check(self, request).await?;
        }
        let mut turn = self.gates.turn(host, delay).await;
        if let Some(rest) = turn.rests_for().filter(|_| request.heeds_robots) {
            self.gates.rest(host, rest);
            let text = format!("{host} asked to be left alone for another {}", show_duration(rest));
            return Err(FetchError::new(Fault::SlowDown, text));
        }
        let answer = self.ask(request, wanted).await?;
        if request.heeds_robots && matches!(answer.0.status, 429 | 503) {
            let now = server_time(answer.0.date.as_deref(), self.clock.now());
            let asked = answer.0.retry_after.as_deref().and_then(|header| retry_after(header, now));
            let rest = asked.unwrap_or(REST).min(self.settings.retry_after_max);
            self.gates.rest(host, rest);
            turn.rest(rest);
        }
        Ok(answer)
    }

    async fn ask(&self, request: &Request, wanted: Wanted) -> Result<(Response, Option<Url>), FetchError> {
        let access = request.access.as_deref();
        let proxy = access.and_then(|access| access.proxy.as_ref()).or(self.settings.proxy.as_ref());
        let builder = self.clients.by_proxy(proxy)?.get(request.url.clone()).headers(headers(request));
        let answer = builder.send().await.map_err(|error| explain::explain(&error, &self.settings))?;
        // The backstop: whatever led here, the peer itself must be allowed. (Behind a proxy the proxy is the guard.)
        if let Some(peer) = answer.remote_addr().filter(|_| proxy.is_none())
            && let Err(reason) = self.guard.check_address(peer.ip())
        {
            tracing::error!("connected to {peer} for {}, which is not allowed: nothing was read", request.url);
            return Err(FetchError::new(Fault::Refused, format!("refused: {reason}")));
        }
        let mut response = head(&answer, &request.url);
        if matches!(response.status, 301 | 302 | 303 | 307 | 308) {
            let target = target(&answer, &request.url)?;
            return Ok((response, Some(target)));
        }
        let wanted = if response.status < 400 { wanted } else { Wanted::Beginning(ERROR_BYTES_MAX) };
        if response.status != 304 {
            (response.body, response.room) = self.body(answer, wanted).await?;
        }
        Ok((response, None))
    }

    /// The body, counted as it comes and as it is unpacked.
    async fn body(&self, mut answer: reqwest::Response, wanted: Wanted) -> Result<(Vec<u8>, Room), FetchError> {
        let (label, status) = (text(&answer, header::CONTENT_ENCODING), answer.status().as_u16());
        let max = match wanted {
            Wanted::Whole => self.settings.body_bytes_max,
            Wanted::Beginning(bytes) => bytes.min(self.settings.body_bytes_max),
        };
        let mut room = Room::default();
        let mut packed: Vec<u8> = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| explain::explain(&error, &self.settings))? {
            if (packed.len() + chunk.len()) as u64 > max {
                match wanted {
                    Wanted::Whole => return Err(self.too_large()),
                    Wanted::Beginning(_) => {
                        packed.extend_from_slice(&chunk[..max as usize - packed.len()]);
                        break;
                    }
                }
            }
            packed.extend_from_slice(&chunk);
            if packed.len() as u64 > LARGE_BYTES && room.0.is_none() {
                room = self.room().await;
            }
        }
        drop(answer);
        if let Wanted::Beginning(_) = wanted {
            // What was cut cannot be unpacked to its end.
            return match unpack(label.as_deref(), packed, max * 16) {
                Ok(body) => Ok((body, room)),
                Err(error) if status < 400 => Err(FetchError::new(Fault::Compression, error.to_string())),
                Err(_) => Ok((Vec::new(), room)),
            };
        }
        // A small body may unpack to a large one: then it waits for its place, too, and is unpacked anew.
        let copy = if room.0.is_none() { Some(packed.clone()) } else { None };
        let first_max = if copy.is_some() { LARGE_BYTES.min(max) } else { max };
        let unpacked = match (self.unpacked(label.clone(), packed, first_max).await, copy) {
            (Err(UnpackError::TooLarge), Some(packed)) if first_max < max => {
                room = self.room().await;
                self.unpacked(label, packed, max).await
            }
            (unpacked, _) => unpacked,
        };
        match unpacked {
            Ok(body) => Ok((body, room)),
            Err(UnpackError::TooLarge) => Err(self.too_large()),
            Err(UnpackError::Broken(reason)) => Err(FetchError::new(Fault::Compression, reason)),
        }
    }

    async fn unpacked(&self, label: Option<String>, packed: Vec<u8>, max: u64) -> Result<Vec<u8>, UnpackError> {
        if packed.len() <= UNPACK_INLINE_BYTES_MAX {
            return unpack(label.as_deref(), packed, max);
        }
        let task = tokio::task::spawn_blocking(move || unpack(label.as_deref(), packed, max));
        task.await.unwrap_or_else(|_| Err(UnpackError::Broken("unpacking failed inside newswatch".to_string())))
    }

    async fn room(&self) -> Room {
        // The semaphore is never closed.
        Room(
            self.large_bodies.clone().acquire_owned().await.ok().map(|permit| Arc::new(permit) as Arc<dyn Send + Sync>),
        )
    }

    fn too_large(&self) -> FetchError {
        let max = self.settings.body_bytes_max;
        FetchError::new(Fault::TooLarge, format!("the answer is larger than {max} bytes (fetch.body_bytes_max)"))
    }
}

/// The headers of a request, besides those that are the same for all. Nothing that a feed or a page says ever becomes one.
pub fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(request.accept));
    // Validators belong to the address that gave them.
    if let Some(validators) = request.validators.as_ref().filter(|validators| validators.url == request.url) {
        for (name, value) in
            [(header::IF_NONE_MATCH, &validators.etag), (header::IF_MODIFIED_SINCE, &validators.last_modified)]
        {
            if let Some(value) = value.as_deref().and_then(|bytes| HeaderValue::from_bytes(bytes).ok()) {
                headers.insert(name, value);
            }
        }
    }
    for (name, value) in request.access.as_deref().map_or(&[][..], |access| access.headers_for(&request.url)) {
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}

fn text(answer: &reqwest::Response, name: HeaderName) -> Option<String> {
    answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What the head of an answer says.
fn head(answer: &reqwest::Response, url: &Url) -> Response {
    let bytes = |name: HeaderName| answer.headers().get(name).map(|value| value.as_bytes().to_vec());
    Response {
        content_type: text(answer, header::CONTENT_TYPE),
        etag: bytes(header::ETAG),
        last_modified: bytes(header::LAST_MODIFIED),
        cache_control: text(answer, header::CACHE_CONTROL),
        expires: text(answer, header::EXPIRES),
        age: text(answer, header::AGE),
        retry_after: text(answer, header::RETRY_AFTER),
        date: text(answer, header::DATE),
        is_bot_check: answer.headers().get("cf-mitigated").is_some_and(|value| value.as_bytes() == b"challenge"),
        ..Response::new(answer.status().as_u16(), url.clone(), Vec::new())
    }
}

/// Where a redirect points to.
fn target(answer: &reqwest::Response, url: &Url) -> Result<Url, FetchError> {
    let bad = |reason: String| FetchError::new(Fault::BadRedirect, reason);
    let status = answer.status().as_u16();
    let location = text(answer, header::LOCATION)
        .ok_or_else(|| bad(format!("a redirect (status {status}) that does not say where to")))?;
    if location.len() > LOCATION_BYTES_MAX {
        return Err(bad(format!("a redirect to an address of {} bytes", location.len())));
    }
    let mut target = url.join(&location).map_err(|error| {
        bad(format!("a redirect to {:?}, which is not an address: {error}", plain::line(&location, 100)))
    })?;
    // Not sent anyway; without it equal addresses are equal.
    target.set_fragment(None);
    if !target.username().is_empty() || target.password().is_some() {
        return Err(bad("a redirect to an address with a user name, which is not followed".to_string()));
    }
    Ok(target)
}

impl Fetch for Http {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(self.follow(request, Wanted::Whole))
    }
}
