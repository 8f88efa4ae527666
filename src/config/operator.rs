//! `[operator]`, `[canary]`, `[ping]`: who is told about newswatch itself, and how it is watched.

use std::time::Duration;

use url::Url;

use super::route::{self, RouteConfig};
use super::section::Section;

/// Name of the operator's route.
pub const OPERATOR: &str = "operator";
/// Name of the channel to newswatch's own log that is the operator's where nothing is configured. No configured channel can be
/// named so: what people are told of, and where, is not mixed with it.
pub const OWN_LOG: &str = "(own log)";
/// How often newswatch sends an item through itself, unless the configuration says otherwise.
const CANARY_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How often the dead man's switch is told that newswatch lives.
const PING_EVERY: Duration = Duration::from_secs(5 * 60);

/// A dead man's switch: who watches newswatch hears from it as long as all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingConfig {
    /// What is asked for.
    pub url: Url,
    /// How often.
    pub every: Duration,
}

/// The operator's route where nothing is configured: newswatch's own log.
pub(super) fn to_own_log() -> RouteConfig {
    // No hit ever goes there.
    RouteConfig {
        name: OPERATOR.to_string(),
        profiles: Some(Vec::new()),
        channel: OWN_LOG.to_string(),
        ..RouteConfig::to_own_log()
    }
}

/// Reads `[operator]`.
pub(super) fn read(mut section: Section<'_>) -> Option<RouteConfig> {
    let (place, channel_place) = (section.place(), section.place_of("channel"));
    let channel = section.required_text("channel");
    let to = route::recipients(&mut section);
    section.finish();
    Some(RouteConfig { channel: channel?, to, place, channel_place, ..to_own_log() })
}

/// Reads `[canary]`; `None`: switched off.
pub(super) fn read_canary(section: Option<Section<'_>>) -> Option<Duration> {
    let Some(mut section) = section else { return Some(CANARY_EVERY) };
    let enabled = section.boolean("enabled").unwrap_or(true);
    let every = section.duration("every", Duration::from_secs(60)..=Duration::from_secs(31 * 86_400));
    section.finish();
    enabled.then(|| every.unwrap_or(CANARY_EVERY))
}

/// Reads `[ping]`.
pub(super) fn read_ping(mut section: Section<'_>) -> Option<PingConfig> {
    let url = section.required_address("url");
    let every = section.duration("every", Duration::from_secs(30)..=Duration::from_secs(86_400));
    section.finish();
    Some(PingConfig { url: url?, every: every.unwrap_or(PING_EVERY) })
}
