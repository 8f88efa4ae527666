//! The seam between the poller and the network: what is asked, what comes back, what can go wrong.

use futures_util::future::BoxFuture;
use url::Url;

/// One request. Always GET.
#[derive(Clone, Debug)]
pub struct Request {
    /// http or https.
    pub url: Url,
    /// ETag of the last good answer, byte for byte.
    pub etag: Option<Vec<u8>>,
    /// Last-Modified of the last good answer, byte for byte.
    pub last_modified: Option<Vec<u8>>,
    /// What is wanted.
    pub accept: &'static str,
}

impl Request {
    /// A plain request without validators.
    pub fn get(url: Url, accept: &'static str) -> Request {
        Request { url, etag: None, last_modified: None, accept }
    }
}

/// An answer, whatever its status. The body is complete: a body that broke off is an error.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// Content-Type as sent.
    pub content_type: Option<String>,
    /// ETag as sent.
    pub etag: Option<Vec<u8>>,
    /// Last-Modified as sent.
    pub last_modified: Option<Vec<u8>>,
    /// Cache-Control as sent.
    pub cache_control: Option<String>,
    /// Retry-After as sent.
    pub retry_after: Option<String>,
    /// Decoded body.
    pub body: Vec<u8>,
}

/// Why there is no answer. The text is for the operator and names what to do where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address is not one that may be asked: scheme, private network.
    #[error("refused: {0}")]
    Refused(String),
    /// The name could not be resolved.
    #[error("unknown host {0}: check the address, or the machine's DNS")]
    UnknownHost(String),
    /// No connection, or it broke: in words.
    #[error("{0}")]
    Connection(String),
    /// Too slow.
    #[error("no complete answer within {0}")]
    Timeout(String),
    /// Larger than allowed.
    #[error("the answer is larger than {0} bytes (fetch.body_bytes_max)")]
    TooLarge(u64),
    /// Redirects that do not end or lead nowhere.
    #[error("{0}")]
    Redirects(String),
}

/// Fetches. The real one is `poller::http`; tests bring their own.
pub trait Fetch: Send + Sync {
    /// Asks and waits for the whole answer.
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>>;
}
