//! `[fetch]`: how the network is asked, and the limits of it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::section::{Section, show_duration};

/// How the network is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSettings {
    /// Who may be written to about our requests: an address of a person or a page. Part of the User-Agent.
    pub contact: Option<String>,
    /// How often a source is asked while nothing is known of its rhythm.
    pub interval: Duration,
    /// However much a source publishes, it is asked no more often, unless its own `interval` says so.
    pub interval_min: Duration,
    /// However little a source publishes, it is asked so often, unless its publisher asks for longer pauses.
    pub interval_quiet: Duration,
    /// Every source is asked at least so often, whatever it says of its freshness and however often it failed.
    pub interval_max: Duration,
    /// The longest that a publisher's wish to be left alone (Retry-After, skipDays) is heeded.
    pub retry_after_max: Duration,
    /// For a whole answer.
    pub timeout: Duration,
    /// For name, connection and TLS.
    pub connect_timeout: Duration,
    /// For each wait within an answer.
    pub read_timeout: Duration,
    /// Bytes of a body, unpacked.
    pub body_bytes_max: u64,
    /// Redirects followed.
    pub redirects_max: usize,
    /// Requests at the same time, over all hosts.
    pub in_flight_max: usize,
    /// Pause between two requests to one host.
    pub host_gap: Duration,
    /// Requests started in a second, over all hosts.
    pub requests_per_second_max: usize,
    /// Entries read of one document.
    pub entries_max: usize,
    /// Bytes kept of one text.
    pub text_bytes_max: usize,
    /// Article pages fetched in one visit.
    pub articles_per_visit_max: usize,
    /// Networks that may be asked although they are not public.
    pub allow: Vec<IpNet>,
    /// Networks that are never asked although they are public: the site's own, or its NAT64 prefix.
    pub deny: Vec<IpNet>,
    /// The only way out, where there is one. It resolves the names, so it is also the guard.
    pub proxy: Option<Url>,
    /// A PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for FetchSettings {
    fn default() -> Self {
        FetchSettings {
            contact: None,
            interval: Duration::from_secs(3600),
            interval_min: Duration::from_secs(3600),
            interval_quiet: Duration::from_secs(6 * 3600),
            interval_max: Duration::from_secs(24 * 3600),
            retry_after_max: Duration::from_secs(48 * 3600),
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(15),
            body_bytes_max: 24 * 1024 * 1024,
            redirects_max: 5,
            in_flight_max: 32,
            host_gap: Duration::from_secs(1),
            requests_per_second_max: 50,
            entries_max: 5_000,
            text_bytes_max: 256 * 1024,
            articles_per_visit_max: 50,
            allow: Vec::new(),
            deny: Vec::new(),
            proxy: None,
            ca_file: None,
        }
    }
}

/// Reads `[fetch]`; a key that is missing or wrong keeps its default.
pub(super) fn read(section: Option<Section<'_>>) -> FetchSettings {
    let mut settings = FetchSettings::default();
    let Some(mut section) = section else { return settings };
    let second = Duration::from_secs(1);
    let year = Duration::from_secs(366 * 86_400);
    settings.contact = section.text("contact");
    if let Some(contact) = settings.contact.as_deref()
        && (!contact.is_ascii() || contact.chars().any(|c| c.is_control() || c == '(' || c == ')'))
    {
        section.problem(
            "contact",
            "`contact` goes into the User-Agent: write an address in plain ASCII, such as \"mailto:desk@example.org\"",
        );
    }
    for (key, value, range) in [
        ("interval", &mut settings.interval, second..=year),
        ("interval_min", &mut settings.interval_min, second..=year),
        ("interval_quiet", &mut settings.interval_quiet, second..=year),
        ("interval_max", &mut settings.interval_max, second..=year),
        ("retry_after_max", &mut settings.retry_after_max, second..=year),
        ("timeout", &mut settings.timeout, second..=Duration::from_secs(600)),
        ("connect_timeout", &mut settings.connect_timeout, second..=Duration::from_secs(120)),
        ("read_timeout", &mut settings.read_timeout, second..=Duration::from_secs(300)),
        ("host_gap", &mut settings.host_gap, Duration::ZERO..=Duration::from_secs(300)),
    ] {
        if let Some(length) = section.duration(key, range) {
            *value = length;
        }
    }
    for (key, value, range) in [
        ("redirects_max", &mut settings.redirects_max, 0..=20),
        ("in_flight_max", &mut settings.in_flight_max, 1..=1_000),
        ("requests_per_second_max", &mut settings.requests_per_second_max, 1..=100_000),
        ("entries_max", &mut settings.entries_max, 1..=100_000),
        ("text_bytes_max", &mut settings.text_bytes_max, 1_024..=16 * 1024 * 1024),
        ("articles_per_visit_max", &mut settings.articles_per_visit_max, 0..=1_000),
    ] {
        if let Some(number) = section.integer(key, range) {
            *value = number as usize;
        }
    }
    if let Some(bytes) = section.integer("body_bytes_max", 1_024..=1024 * 1024 * 1024) {
        settings.body_bytes_max = bytes as u64;
    }
    settings.allow = networks(&mut section, "allow");
    settings.deny = networks(&mut section, "deny");
    settings.proxy = proxy(&mut section);
    if let Some(path) = section.path("ca_file") {
        match std::fs::read(&path) {
            Ok(_) => settings.ca_file = Some(path),
            Err(error) => section.problem("ca_file", format!("`ca_file`: {} cannot be read: {error}", path.display())),
        }
    }
    check_intervals(&section, &mut settings);
    section.finish();
    settings
}

/// A network, or a single address. The error says how to write one.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| format!("{text:?} is not a network; write it like \"192.168.1.0/24\" or \"fd00::/8\""))
}

/// A list of networks.
fn networks(section: &mut Section<'_>, key: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in section.texts(key).unwrap_or_default().iter().enumerate() {
        match network(text) {
            Ok(network) => networks.push(network),
            Err(problem) => section.problem_in(key, index, problem),
        }
    }
    networks
}

/// The key `proxy` of a section.
pub(super) fn proxy(section: &mut Section<'_>) -> Option<Url> {
    let text = section.text("proxy")?;
    match Url::parse(&text) {
        Ok(url) if ["http", "https", "socks5", "socks5h"].contains(&url.scheme()) && url.host().is_some() => Some(url),
        _ => {
            section.problem(
                "proxy",
                "this is not a proxy; write it like \"http://proxy.example:3128\" or \"socks5h://127.0.0.1:9050\"",
            );
            None
        }
    }
}

/// From the shortest to the longest.
const INTERVALS: [&str; 4] = ["interval_min", "interval", "interval_quiet", "interval_max"];

/// The intervals must fit together. One that is only the default gives way to those that were chosen.
fn check_intervals(section: &Section<'_>, settings: &mut FetchSettings) {
    let FetchSettings { interval, interval_min, interval_quiet, interval_max, .. } = settings;
    let values = [interval_min, interval, interval_quiet, interval_max];
    for index in 0..INTERVALS.len() {
        let key = INTERVALS[index];
        let chosen = |range: std::ops::Range<usize>| range.filter(|other| section.has(INTERVALS[*other]));
        let longest_before = chosen(0..index).max_by_key(|other| *values[*other]);
        let low = longest_before.map_or(Duration::ZERO, |other| *values[other]);
        if !section.has(key) {
            let high = chosen(index + 1..INTERVALS.len()).map(|other| *values[other]).min().unwrap_or(Duration::MAX);
            *values[index] = (*values[index]).clamp(low, high.max(low));
        } else if let Some(other) = longest_before
            && low > *values[index]
        {
            let (other, low, value) = (INTERVALS[other], show_duration(low), show_duration(*values[index]));
            section.problem(key, format!("`{key}` ({value}) must not be shorter than `{other}` ({low})"));
            // What is measured by the longest is not blamed for this.
            *values[INTERVALS.len() - 1] = Duration::MAX;
            return;
        }
    }
}
