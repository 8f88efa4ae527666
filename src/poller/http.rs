//! The network edge: [`Fetch`] over reqwest. Every request of the program goes through here, and through the guard.
//!
//! What reqwest does by itself and we do not want: following redirects (we check each hop), proxies from the environment, a
//! Referer, reading bodies whole. What it does not do: it never asks our resolver for a literal address (`guard::check_url`
//! does), and it does not bound what a compressed body unpacks to (we count).

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderValue};
use url::Url;

use super::fetch::{Fetch, FetchError, Request, Response};
use super::guard;
use crate::config::FetchSettings;
use crate::config::section::show_duration;
use crate::plain;

/// Above so many hosts the gates of idle ones are dropped.
const GATES_MAX: usize = 4096;

/// Fetches over HTTP, one request at a time per host.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    settings: FetchSettings,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

/// Lets one request at a time through to a host, with a gap between them.
#[derive(Debug, Default)]
struct Gate {
    last_finished: tokio::sync::Mutex<Option<Instant>>,
}

impl Http {
    /// A client by the settings. The error names the setting that is at fault.
    pub fn new(settings: &FetchSettings) -> anyhow::Result<Http> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("*"));
        let mut builder = reqwest::Client::builder()
            .user_agent(user_agent(settings.contact.as_deref()))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(GuardedResolver { allow: settings.allow.clone(), proxy: proxy_host(settings) }));
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone()).map_err(|error| anyhow::anyhow!("fetch.proxy: {error}"))?;
            builder = builder.proxy(proxy);
        }
        if let Some(path) = &settings.ca_file {
            let pem =
                std::fs::read(path).map_err(|error| anyhow::anyhow!("fetch.ca_file {}: {error}", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| anyhow::anyhow!("fetch.ca_file {}: {error}", path.display()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Http { client: builder.build()?, settings: settings.clone(), gates: Mutex::default() })
    }

    fn gate(&self, host: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= GATES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(host.to_string()).or_default().clone()
    }

    async fn follow(&self, mut request: Request) -> Result<Response, FetchError> {
        for _ in 0..=self.settings.redirects_max {
            let response = self.hop(&request).await?;
            let Some(target) = response.1 else { return Ok(response.0) };
            if target != request.url {
                // Validators belong to the address that gave them.
                request.etag = None;
                request.last_modified = None;
            }
            request.url = target;
        }
        Err(FetchError::Redirects(format!("more than {} redirects (fetch.redirects_max)", self.settings.redirects_max)))
    }

    /// One request. The second part is where the answer points to, if it is a redirect.
    async fn hop(&self, request: &Request) -> Result<(Response, Option<Url>), FetchError> {
        guard::check_url(&request.url, &self.settings.allow).map_err(FetchError::Refused)?;
        let host = request.url.host_str().unwrap_or_default().to_string();
        let gate = self.gate(&host);
        let mut last_finished = gate.last_finished.lock().await;
        if let Some(rest) = last_finished.and_then(|at| self.settings.host_gap.checked_sub(at.elapsed())) {
            tokio::time::sleep(rest).await;
        }
        let result = self.ask(request).await;
        *last_finished = Some(Instant::now());
        result
    }

    async fn ask(&self, request: &Request) -> Result<(Response, Option<Url>), FetchError> {
        let mut builder = self.client.get(request.url.clone()).header(header::ACCEPT, request.accept);
        for (name, value) in
            [(header::IF_NONE_MATCH, &request.etag), (header::IF_MODIFIED_SINCE, &request.last_modified)]
        {
            if let Some(value) = value.as_deref().and_then(|bytes| HeaderValue::from_bytes(bytes).ok()) {
                builder = builder.header(name, value);
            }
        }
        let mut answer = builder.send().await.map_err(|error| self.explain(&error))?;
        // The backstop: whatever led here, the peer itself must be allowed. (Behind a proxy the proxy is the guard.)
        if let Some(peer) = answer.remote_addr().filter(|_| self.settings.proxy.is_none()) {
            guard::check_address(peer.ip(), &self.settings.allow).map_err(FetchError::Refused)?;
        }
        let status = answer.status().as_u16();
        let text = |name: header::HeaderName| {
            answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let bytes = |name: header::HeaderName| answer.headers().get(name).map(|value| value.as_bytes().to_vec());
        let mut response = Response {
            status,
            url: request.url.clone(),
            content_type: text(header::CONTENT_TYPE),
            etag: bytes(header::ETAG),
            last_modified: bytes(header::LAST_MODIFIED),
            cache_control: text(header::CACHE_CONTROL),
            retry_after: text(header::RETRY_AFTER),
            body: Vec::new(),
        };
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            let location = text(header::LOCATION).ok_or_else(|| {
                FetchError::Redirects(format!("a redirect (status {status}) that does not say where to"))
            })?;
            let target = request.url.join(&location).map_err(|error| {
                FetchError::Redirects(format!(
                    "a redirect to {:?}, which is not an address: {error}",
                    plain::line(&location, 100)
                ))
            })?;
            return Ok((response, Some(target)));
        }
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.explain(&error))? {
            if (response.body.len() + chunk.len()) as u64 > self.settings.body_bytes_max {
                return Err(FetchError::TooLarge(self.settings.body_bytes_max));
            }
            response.body.extend_from_slice(&chunk);
        }
        Ok((response, None))
    }

    /// A network error in words that an operator can act on.
    fn explain(&self, error: &reqwest::Error) -> FetchError {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(resolve) = cause.downcast_ref::<ResolveError>() {
                return match resolve {
                    ResolveError::Unknown(host) => FetchError::UnknownHost(host.clone()),
                    ResolveError::Refused(reason) => FetchError::Refused(reason.clone()),
                };
            }
            causes.push(cause.to_string());
            source = cause.source();
        }
        if error.is_timeout() && error.is_connect() {
            let limit = show_duration(self.settings.connect_timeout);
            return FetchError::Connection(format!(
                "no connection within {limit}: the name server or the host does not answer"
            ));
        }
        if error.is_timeout() {
            let (whole, silence) = (show_duration(self.settings.timeout), show_duration(self.settings.read_timeout));
            return FetchError::Timeout(format!("{whole}, or nothing for {silence}"));
        }
        let cause = plain::line(causes.last().map_or("the connection failed", String::as_str), 300);
        let all = causes.join(": ");
        FetchError::Connection(if all.contains("certificate") {
            format!(
                "the server's certificate is not valid: {cause}; verification is never switched off, but fetch.ca_file can add an authority"
            )
        } else if error.is_connect() {
            format!("cannot connect: {cause}")
        } else if error.is_decode() {
            format!("the answer's compression is broken: {cause}")
        } else {
            format!("the connection broke: {cause}")
        })
    }
}

impl Fetch for Http {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(self.follow(request))
    }
}

fn user_agent(contact: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match contact {
        Some(contact) => format!("newswatch/{version} (+{contact})"),
        None => format!("newswatch/{version}"),
    }
}

fn proxy_host(settings: &FetchSettings) -> Option<String> {
    settings.proxy.as_ref().and_then(|proxy| proxy.host_str()).map(str::to_ascii_lowercase)
}

/// Resolves names by the system and refuses a name if any of its addresses is not allowed. reqwest connects to exactly the
/// addresses returned here, so there is no second look-up that could answer otherwise.
#[derive(Debug)]
struct GuardedResolver {
    allow: Vec<IpNet>,
    /// The configured proxy may stand anywhere.
    proxy: Option<String>,
}

/// Why a name gave no address; found again in reqwest's chain of causes.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("unknown host {0}")]
    Unknown(String),
    #[error("{0}")]
    Refused(String),
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.allow.clone();
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let host = name.as_str().to_string();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let addresses: Vec<SocketAddr> = found.map_or(Vec::new(), Iterator::collect);
            if addresses.is_empty() {
                return Err(ResolveError::Unknown(host).into());
            }
            if !is_proxy {
                for address in &addresses {
                    if let Err(reason) = guard::check_address(address.ip(), &allow) {
                        return Err(ResolveError::Refused(format!("{host}: {reason}")).into());
                    }
                }
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
