//! Files to a checked configuration, or every problem at once.

pub mod section;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// stub
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// x
    pub contact: Option<String>,
    /// x
    pub interval: Duration,
    /// x
    pub interval_min: Duration,
    /// x
    pub interval_max: Duration,
    /// x
    pub timeout: Duration,
    /// x
    pub connect_timeout: Duration,
    /// x
    pub read_timeout: Duration,
    /// x
    pub body_bytes_max: u64,
    /// x
    pub redirects_max: usize,
    /// x
    pub in_flight_max: usize,
    /// x
    pub host_gap: Duration,
    /// x
    pub entries_max: usize,
    /// x
    pub text_bytes_max: usize,
    /// x
    pub articles_per_visit_max: usize,
    /// x
    pub allow: Vec<ipnet::IpNet>,
    /// x
    pub proxy: Option<url::Url>,
    /// x
    pub ca_file: Option<PathBuf>,
}

/// stub
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// x
    pub name: String,
    /// x
    pub url: url::Url,
    /// x
    pub reader: Arc<dyn crate::poller::source::Source>,
    /// x
    pub enabled: bool,
    /// x
    pub interval: Option<Duration>,
    /// x
    pub language: Option<String>,
    /// x
    pub article: bool,
}
