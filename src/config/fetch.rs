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
    /// How often a source is asked that says nothing else.
    pub interval: Duration,
    /// No source is asked more often.
    pub interval_min: Duration,
    /// Every source is asked at least so often, whatever it says and however often it failed.
    pub interval_max: Duration,
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
    /// Entries read of one document.
    pub entries_max: usize,
    /// Bytes kept of one text.
    pub text_bytes_max: usize,
    /// Article pages fetched in one visit.
    pub articles_per_visit_max: usize,
    /// Networks that may be asked although they are not public.
    pub allow: Vec<IpNet>,
    /// The only way out, where there is one. It resolves the names, so it is also the guard.
    pub proxy: Option<Url>,
    /// A PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for FetchSettings {
    fn default() -> Self {
        FetchSettings {
            contact: None,
            interval: Duration::from_secs(30 * 60),
            interval_min: Duration::from_secs(15 * 60),
            interval_max: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(15),
            body_bytes_max: 20 * 1024 * 1024,
            redirects_max: 5,
            in_flight_max: 32,
            host_gap: Duration::from_secs(1),
            entries_max: 5_000,
            text_bytes_max: 256 * 1024,
            articles_per_visit_max: 50,
            allow: Vec::new(),
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
        ("interval_max", &mut settings.interval_max, second..=year),
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
    for (index, text) in section.texts("allow").unwrap_or_default().iter().enumerate() {
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => settings.allow.push(network),
            Err(_) => {
                let advice = "write it like \"192.168.1.0/24\" or \"fd00::/8\"";
                section.problem_in("allow", index, format!("{text:?} is not a network; {advice}"));
            }
        }
    }
    if let Some(text) = section.text("proxy") {
        match Url::parse(&text) {
            Ok(url) if ["http", "https", "socks5", "socks5h"].contains(&url.scheme()) && url.host().is_some() => {
                settings.proxy = Some(url);
            }
            _ => section.problem("proxy", format!("{text:?} is not a proxy; write it like \"http://proxy.example:3128\" or \"socks5h://127.0.0.1:9050\"")),
        }
    }
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

/// The three intervals must fit together. An interval that is only the default gives way to the bounds.
fn check_intervals(section: &Section<'_>, settings: &mut FetchSettings) {
    let FetchSettings { interval, interval_min: low, interval_max: high, .. } = *settings;
    if low > high {
        let key = if section.has("interval_min") { "interval_min" } else { "interval_max" };
        let (low, high) = (show_duration(low), show_duration(high));
        section.problem(key, format!("`interval_min` ({low}) is longer than `interval_max` ({high})"));
        // What is measured by the bounds is not blamed for them.
        (settings.interval_min, settings.interval_max) = (Duration::ZERO, Duration::MAX);
    } else if !section.has("interval") {
        settings.interval = interval.clamp(low, high);
    } else if !(low..=high).contains(&interval) {
        let (interval, low, high) = (show_duration(interval), show_duration(low), show_duration(high));
        let message =
            format!("`interval` ({interval}) must be between `interval_min` ({low}) and `interval_max` ({high})");
        section.problem("interval", message);
    }
}
