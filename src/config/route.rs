//! `[[route]]`: who is told about which profiles, by which channel, and when. Pure: a hit and a route make deliveries.

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use super::section::{Place, Section};
use crate::model::{DigestRow, Id, NewDelivery};

/// A hit may go into one of so many coming digests: the first whose attempt has not begun.
const WINDOWS_AHEAD: usize = 3;

/// Who is told about which profiles, by which channel, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// Unique name.
    pub name: String,
    /// Names of profiles; `None` for all.
    pub profiles: Option<Vec<String>>,
    /// Name of the channel.
    pub channel: String,
    /// Recipients; empty for channels without.
    pub to: Vec<String>,
    /// When.
    pub when: When,
    /// Where it is configured.
    pub place: Place,
    /// Where its channel is named.
    pub channel_place: Place,
    /// Where each of its profiles is named.
    pub profile_places: Vec<Place>,
}

/// When a route tells.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Each story as soon as it is found.
    AtOnce,
    /// All hits of a window together.
    Digest {
        /// When.
        schedule: Schedule,
        /// Also when there is nothing to tell.
        empty: bool,
    },
}

impl RouteConfig {
    /// The route of a configuration that names none: everything, at once, to the process's own log.
    pub(super) fn to_own_log() -> RouteConfig {
        let place = Place { file: "".into(), line: 0, column: 0 };
        RouteConfig {
            name: "log".to_string(),
            profiles: None,
            channel: super::LOG_CHANNEL.to_string(),
            to: Vec::new(),
            when: When::AtOnce,
            place: place.clone(),
            channel_place: place,
            profile_places: Vec::new(),
        }
    }

    /// The route tells of this profile.
    pub fn wants(&self, profile: &str) -> bool {
        self.profiles.as_ref().is_none_or(|names| names.iter().any(|name| name == profile))
    }

    /// The recipients; one without a name for channels without recipients.
    fn recipients(&self) -> Vec<&str> {
        if self.to.is_empty() { vec![""] } else { self.to.iter().map(String::as_str).collect() }
    }

    /// The deliveries that a hit of a story asks for, found at `now`.
    pub fn deliveries(&self, profile: &str, story: Id, now: Timestamp) -> Vec<NewDelivery> {
        if !self.wants(profile) {
            return Vec::new();
        }
        let recipients = self.recipients().into_iter();
        recipients
            .map(|recipient| match &self.when {
                When::AtOnce => NewDelivery::Alert {
                    id: Id::of(&["alert", &self.name, recipient, &story.to_string()]),
                    route: self.name.clone(),
                    recipient: recipient.to_string(),
                    due_at: now,
                },
                When::Digest { schedule, .. } => {
                    let mut at = now;
                    let windows = (0..WINDOWS_AHEAD).map(|_| {
                        at = schedule.next_after(at);
                        self.digest(schedule, recipient, at)
                    });
                    NewDelivery::Digest { windows: windows.collect() }
                }
            })
            .collect()
    }

    /// The digests whose time came last, at or before `now`: what earlier windows held is in their own rows. Only for routes
    /// that also tell when there is nothing to tell.
    pub fn due_digests(&self, now: Timestamp) -> Vec<DigestRow> {
        match &self.when {
            When::Digest { schedule, empty: true } => {
                let at = schedule.last_before_or_at(now);
                self.recipients().into_iter().map(|recipient| self.digest(schedule, recipient, at)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// When the route's next digest is due; `None` for a route that tells at once.
    pub fn next_digest(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Digest { schedule, .. } => Some(schedule.next_after(now)),
            When::AtOnce => None,
        }
    }

    fn digest(&self, schedule: &Schedule, recipient: &str, at: Timestamp) -> DigestRow {
        DigestRow {
            id: Id::of(&["digest", &self.name, recipient, &at.as_millisecond().to_string()]),
            route: self.name.clone(),
            recipient: recipient.to_string(),
            window_from: schedule.last_before_or_at(at - SignedDuration::from_millis(1)),
            due_at: at,
        }
    }
}

/// Reads one `[[route]]` whose name was read already.
pub(super) fn read(mut section: Section<'_>, name: Option<String>) -> Option<RouteConfig> {
    let place = section.place();
    let profiles = section.texts("profiles").filter(|names| names.iter().all(|name| name != "*"));
    if profiles.as_ref().is_some_and(Vec::is_empty) {
        section.problem("profiles", "`profiles` names none: nobody would be told; leave it out for all profiles");
    }
    let profile_places = (0..profiles.as_ref().map_or(0, Vec::len)).map(|n| section.place_in("profiles", n)).collect();
    let channel = section.required_text("channel");
    let channel_place = section.place_of("channel");
    let to = recipients(&mut section);
    let when = section.one_of("when", &["at once"]);
    if section.has("when") && section.has("digest") {
        section.problem("when", "a route tells either `when = \"at once\"` or by [route.digest], not both");
    }
    let has_digest = section.has("digest");
    let digest = section.section("digest").and_then(read_digest);
    let has_when = section.has("when");
    section.finish();
    let when = match (has_digest, has_when) {
        (true, _) => digest?,
        (false, true) => when.map(|_| When::AtOnce)?,
        (false, false) => When::AtOnce,
    };
    Some(RouteConfig { name: name?, profiles, channel: channel?, to, when, place, channel_place, profile_places })
}

/// The mail addresses under `to`.
pub(super) fn recipients(section: &mut Section<'_>) -> Vec<String> {
    let to = section.texts("to").unwrap_or_default();
    for (index, address) in to.iter().enumerate() {
        if address.parse::<lettre::Address>().is_err() {
            section.problem_in(
                "to",
                index,
                format!("{address:?} is not a mail address; write it like \"desk@example.org\""),
            );
        }
    }
    to
}

fn read_digest(mut section: Section<'_>) -> Option<When> {
    let at = section.texts("at").unwrap_or_default();
    let days = section.text_or_texts("days").unwrap_or_else(|| vec!["every day".to_string()]);
    let zone = section.required_text("time_zone");
    let empty = section.one_of("empty", &["always", "never"]).unwrap_or("always") == "always";
    // Without a zone the other parts are checked all the same.
    let schedule = Schedule::new(&at, &days, zone.as_deref().unwrap_or("UTC"));
    let schedule = schedule.map_err(|wrong| {
        for part in wrong {
            match part.index {
                Some(index) => section.problem_in(part.key, index, part.message),
                None => section.problem(part.key, part.message),
            }
        }
    });
    section.finish();
    Some(When::Digest { schedule: schedule.ok()?, empty })
}
