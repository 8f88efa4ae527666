//! The reqwest clients, one for each way out, and the resolver that refuses what is not public.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderValue};
use url::Url;

use crate::config::FetchSettings;
use crate::fault::Fault;
use crate::poller::fetch::FetchError;
use crate::poller::guard::Guard;
use crate::poller::robots::PRODUCT;
use crate::poller::unpack::ACCEPTED;

/// Bytes of the headers of an answer by HTTP/2. (HTTP/1 takes 100 headers and about 400 KiB.)
const HTTP2_HEADER_BYTES_MAX: u32 = 64 * 1024;

/// The clients: one without a proxy, one for each proxy.
#[derive(Debug)]
pub(super) struct Clients {
    settings: FetchSettings,
    guard: Guard,
    certificates: Vec<reqwest::Certificate>,
    by_proxy: Mutex<HashMap<Option<Url>, Client>>,
}

impl Clients {
    /// Makes the general client; the error names the setting that is at fault.
    pub(super) fn new(settings: &FetchSettings, guard: &Guard) -> anyhow::Result<Clients> {
        let certificates = match &settings.ca_file {
            Some(path) => {
                let wrong = |error: String| anyhow::anyhow!("fetch.ca_file {}: {error}", path.display());
                let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?
            }
            None => Vec::new(),
        };
        let clients =
            Clients { settings: settings.clone(), guard: guard.clone(), certificates, by_proxy: Mutex::default() };
        clients.by_proxy(settings.proxy.as_ref())?;
        Ok(clients)
    }

    /// The client for this way out.
    pub(super) fn by_proxy(&self, proxy: Option<&Url>) -> Result<Client, FetchError> {
        let mut clients = self.by_proxy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&proxy.cloned()) {
            return Ok(client.clone());
        }
        let client = self.build(proxy).map_err(|error| {
            FetchError::new(Fault::NoConnection, format!("the HTTP client cannot be made: {error}"))
        })?;
        clients.insert(proxy.cloned(), client.clone());
        Ok(client)
    }

    fn build(&self, proxy: Option<&Url>) -> reqwest::Result<Client> {
        let settings = &self.settings;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("*"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        let resolver = GuardedResolver {
            guard: self.guard.clone(),
            proxy: proxy.and_then(|proxy| proxy.host_str()).map(str::to_ascii_lowercase),
        };
        let mut builder = Client::builder()
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
            .http2_max_header_list_size(HTTP2_HEADER_BYTES_MAX)
            .dns_resolver(Arc::new(resolver))
            .tls_certs_merge(self.certificates.clone());
        if let Some(proxy) = proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?);
        }
        builder.build()
    }
}

fn user_agent(contact: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match contact {
        Some(contact) => format!("{PRODUCT}/{version} (+{contact})"),
        None => format!("{PRODUCT}/{version}"),
    }
}

/// Resolves names by the system and refuses a name if any of its addresses is not allowed. reqwest connects to exactly the
/// addresses returned here, so there is no second look-up that could answer otherwise.
#[derive(Debug)]
struct GuardedResolver {
    guard: Guard,
    /// The configured proxy may stand anywhere.
    proxy: Option<String>,
}

/// Why a name gave no address; found again in reqwest's chain of causes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("unknown host {0}")]
    Unknown(String),
    #[error("{0}")]
    Refused(String),
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
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
                    if let Err(reason) = guard.check_address(address.ip()) {
                        return Err(ResolveError::Refused(format!("{host}: {reason}")).into());
                    }
                }
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
