//! The seam between the poller and the network: what is asked, what comes back, what can go wrong.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use crate::fault::Fault;

/// One request. Always GET.
#[derive(Clone, Debug)]
pub struct Request {
    /// http or https.
    pub url: Url,
    /// What an earlier answer can be recognised by.
    pub validators: Option<Validators>,
    /// What is wanted.
    pub accept: &'static str,
    /// A page for people: robots.txt is asked first, at each redirect too. (Feeds are published for programs.)
    pub heeds_robots: bool,
    /// What the source needs besides.
    pub access: Option<Arc<Access>>,
}

impl Request {
    /// A plain request without validators.
    pub fn get(url: Url, accept: &'static str) -> Request {
        Request { url, validators: None, accept, heeds_robots: false, access: None }
    }

    /// A plain request for a page that is made for people.
    pub fn page(url: Url, accept: &'static str) -> Request {
        Request { heeds_robots: true, ..Request::get(url, accept) }
    }
}

/// The validators of an answer, byte for byte, and the address that gave them: they go to no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// The address.
    pub url: Url,
    /// ETag.
    pub etag: Option<Vec<u8>>,
    /// Last-Modified.
    pub last_modified: Option<Vec<u8>>,
}

/// What one source needs to be let in: headers, a log-in, its own proxy.
#[derive(Clone, Default)]
pub struct Access {
    /// Headers with their values. They go to the source's own site only (scheme, host and port), never along a redirect.
    pub headers: Vec<(String, String)>,
    /// Through this proxy; `None` for the general way.
    pub proxy: Option<Url>,
    /// The site that the headers are for.
    pub site: Option<Url>,
}

impl Access {
    /// The way out alone.
    #[must_use]
    pub fn without_headers(&self) -> Access {
        Access { headers: Vec::new(), ..self.clone() }
    }

    /// The headers for this address: none unless it is of the source's own site.
    pub fn headers_for(&self, url: &Url) -> &[(String, String)] {
        if self.site.as_ref().is_some_and(|site| site.origin() == url.origin()) { &self.headers } else { &[] }
    }
}

impl fmt::Debug for Access {
    // Values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "Access {{ headers: {names:?}, own proxy: {} }}", self.proxy.is_some())
    }
}

/// An answer, whatever its status. The body is complete: a body that broke off is an error.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// Redirects led here, and all of them were permanent.
    pub moved_for_good: bool,
    /// Content-Type as sent.
    pub content_type: Option<String>,
    /// ETag as sent.
    pub etag: Option<Vec<u8>>,
    /// Last-Modified as sent.
    pub last_modified: Option<Vec<u8>>,
    /// Cache-Control as sent.
    pub cache_control: Option<String>,
    /// Expires as sent.
    pub expires: Option<String>,
    /// Age as sent: how long the answer lay in a cache on the way.
    pub age: Option<String>,
    /// Retry-After as sent.
    pub retry_after: Option<String>,
    /// Date as sent: the server's own clock.
    pub date: Option<String>,
    /// The server itself calls its answer a check for robots.
    pub is_bot_check: bool,
    /// All headers, as far as evidence keeps them ([`crate::evidence::headers`]).
    pub headers: Vec<(String, String)>,
    /// Address and port that answered; empty where that is a proxy.
    pub address: String,
    /// Body, unpacked; of an answer that is an error, its beginning.
    pub body: Vec<u8>,
    /// Held as long as the body is in memory: bounds how many large ones there are at once.
    pub room: Room,
}

/// A place in memory, given back when it is dropped.
#[derive(Clone, Default)]
pub struct Room(pub Option<Arc<dyn Send + Sync>>);

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Room(taken)" } else { "Room(none)" })
    }
}

impl Response {
    /// An answer without headers.
    pub fn new(status: u16, url: Url, body: Vec<u8>) -> Response {
        Response {
            status,
            url,
            moved_for_good: false,
            content_type: None,
            etag: None,
            last_modified: None,
            cache_control: None,
            expires: None,
            age: None,
            retry_after: None,
            date: None,
            is_bot_check: false,
            headers: Vec::new(),
            address: String::new(),
            body,
            room: Room::default(),
        }
    }
}

/// Why there is no answer. The text is for the operator and names what to do where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FetchError {
    /// The name of the trouble.
    pub fault: Fault,
    /// In words.
    pub text: String,
}

impl FetchError {
    /// Trouble of this name, in these words.
    pub fn new(fault: Fault, text: impl Into<String>) -> FetchError {
        FetchError { fault, text: text.into() }
    }
}

/// Fetches. The real one is `poller::http`; tests bring their own.
pub trait Fetch: Send + Sync {
    /// Asks and waits for the whole answer.
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>>;
}
