//! `[[route]]`: who is told about which profiles, by which channel, and when. Pure: a hit and a route make deliveries.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::schedule::{self, QuietHours, Schedule, WrongPart};
use super::section::{Place, Section};
use crate::model::{Budget, DeliveryKind, EmptyDigest, EndedWindow, Hit, NewDelivery, OutboxRow, Way, Window};

/// A hit may go into one of so many coming digests: the first whose attempt has not begun.
const WINDOWS_AHEAD: usize = 3;
/// The shortest and the longest time in which stories are gathered into one message.
const GROUP_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
/// Strengths begin at 1; nothing is a thousand times as strong.
const STRENGTH_RANGE: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;
/// More stories a day are no budget.
const BUDGET_MAX: i64 = 100_000;

/// Who is told about which profiles, by which channel, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// Unique name.
    pub name: String,
    /// Names of profiles; `None` for all.
    pub profiles: Option<Vec<String>>,
    /// How strong a hit is that it tells of.
    pub band: Band,
    /// Name of the channel.
    pub channel: String,
    /// Recipients; empty for channels without.
    pub to: Vec<String>,
    /// When.
    pub when: When,
    /// In these hours nothing goes out; what is found then goes out together when they end.
    pub quiet: Vec<QuietHours>,
    /// So many stories a day are told to each recipient; the others are listed when the day is over.
    pub budget: Option<i64>,
    /// The zone of its days, and in which times are shown.
    pub zone: TimeZone,
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
    /// The first story begins a message; it goes out after so long, with all that was found meanwhile.
    Grouped(SignedDuration),
    /// All hits of a window together.
    Digest {
        /// When.
        schedule: Schedule,
        /// When there is nothing to tell.
        empty: EmptyDigest,
    },
}

/// How strong hits are: score against threshold, 1 is just a hit. Bands that touch neither overlap nor leave a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    /// At least.
    pub min: Option<f64>,
    /// Less than.
    pub below: Option<f64>,
}

impl Band {
    /// A hit of this strength is within.
    pub fn holds(&self, strength: f64) -> bool {
        self.min.is_none_or(|min| strength >= min) && self.below.is_none_or(|below| strength < below)
    }

    /// In words: "of strength 1.5 or more"; empty for every strength.
    pub fn describe(&self) -> String {
        match (self.min, self.below) {
            (None, None) => String::new(),
            (Some(min), None) => format!("of strength {min} or more"),
            (None, Some(below)) => format!("of strength below {below}"),
            (Some(min), Some(below)) => format!("of strength {min} to below {below}"),
        }
    }
}

/// What becomes of a message that waits, when the configuration is another than the one it was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revised {
    /// It goes out as it was to.
    Stays,
    /// It goes out then.
    DueAt(Timestamp),
    /// What it tells of goes into the digest of this window.
    InDigest(Window),
}

impl RouteConfig {
    /// A route that tells of everything at once; the rest is set by whoever wants it otherwise.
    pub fn at_once(name: &str, channel: &str, place: Place) -> RouteConfig {
        RouteConfig {
            name: name.to_string(),
            profiles: None,
            band: Band::default(),
            channel: channel.to_string(),
            to: Vec::new(),
            when: When::AtOnce,
            quiet: Vec::new(),
            budget: None,
            zone: TimeZone::UTC,
            place: place.clone(),
            channel_place: place,
            profile_places: Vec::new(),
        }
    }

    /// The route of a configuration that names none: everything, at once, to the process's own log.
    pub(super) fn to_own_log() -> RouteConfig {
        RouteConfig::at_once("log", super::LOG_CHANNEL, Place { file: "".into(), line: 0, column: 0 })
    }

    /// The route tells of this profile.
    pub fn wants(&self, profile: &str) -> bool {
        self.profiles.as_ref().is_none_or(|names| names.iter().any(|name| name == profile))
    }

    /// The recipients; one without a name for channels without recipients.
    pub fn recipients(&self) -> Vec<&str> {
        if self.to.is_empty() { vec![""] } else { self.to.iter().map(String::as_str).collect() }
    }

    /// The deliveries that a hit asks for, found (or handed to this route) at `now`.
    pub fn deliveries(&self, hit: &Hit, now: Timestamp) -> Vec<NewDelivery> {
        if !self.wants(&hit.profile) || !self.band.holds(hit.strength()) {
            return Vec::new();
        }
        let (way, budget) = (self.way(now), self.budget_of_day(now));
        let to = |recipient: &str| NewDelivery {
            route: self.name.clone(),
            recipient: recipient.to_string(),
            way: way.clone(),
            budget,
        };
        self.recipients().into_iter().map(to).collect()
    }

    fn way(&self, now: Timestamp) -> Way {
        match (&self.when, self.quiet_until(now)) {
            (When::AtOnce | When::Grouped(_), Some(due_at)) => Way::Together { due_at },
            (When::AtOnce, None) => Way::Alone,
            (When::Grouped(length), None) => Way::Together { due_at: self.not_in_quiet(now + *length) },
            (When::Digest { schedule, .. }, _) => {
                let mut at = now;
                let windows = (0..WINDOWS_AHEAD).map(|_| {
                    at = schedule.next_after(at);
                    window(schedule, at)
                });
                Way::InDigest { windows: windows.collect() }
            }
        }
    }

    fn budget_of_day(&self, now: Timestamp) -> Option<Budget> {
        let (day_from, day_until) = schedule::day_of(&self.zone, now);
        self.budget.map(|stories| Budget { stories, day_from, day_until, due_at: self.not_in_quiet(day_until) })
    }

    /// When the quiet hours end that `now` falls into; `None` outside of them.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        schedule::quiet_until(&self.quiet, now)
    }

    /// `at`, or when the quiet hours end that it falls into.
    fn not_in_quiet(&self, at: Timestamp) -> Timestamp {
        self.quiet_until(at).unwrap_or(at)
    }

    /// The window that ended last, at or before `now`, for each recipient; none for routes without digests.
    pub fn ended_windows(&self, now: Timestamp) -> Vec<EndedWindow> {
        let When::Digest { schedule, empty } = &self.when else { return Vec::new() };
        let window = window(schedule, schedule.last_before_or_at(now));
        let of = |recipient: &str| EndedWindow {
            route: self.name.clone(),
            recipient: recipient.to_string(),
            window,
            empty: *empty,
        };
        self.recipients().into_iter().map(of).collect()
    }

    /// When the route's next digest is due; `None` for a route without digests.
    pub fn next_digest(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Digest { schedule, .. } => Some(schedule.next_after(now)),
            When::AtOnce | When::Grouped(_) => None,
        }
    }

    /// What becomes of a message of this route that waits and that no attempt was made on. With the configuration that it was
    /// made by nothing does.
    pub fn revised(&self, row: &OutboxRow, now: Timestamp) -> Revised {
        let latest = match (row.kind, &self.when) {
            (DeliveryKind::Digest, When::Digest { schedule, .. }) => {
                let next = schedule.next_after(now);
                // A window further ahead was filled by a clock that went ahead.
                let furthest = (1..WINDOWS_AHEAD).fold(next, |at, _| schedule.next_after(at));
                return match row.window_to {
                    Some(end) if end > now && (!schedule.has(end) || end > furthest) => {
                        Revised::InDigest(window(schedule, next))
                    }
                    _ => Revised::Stays,
                };
            }
            (DeliveryKind::Alert | DeliveryKind::Report, _) => return Revised::Stays,
            (DeliveryKind::Group, When::Grouped(length)) if self.quiet_until(now).is_none() => now + *length,
            (DeliveryKind::Overflow, _) if self.budget.is_some() => schedule::day_of(&self.zone, now).1,
            // It is not made any more: there is nothing left to wait for.
            (DeliveryKind::Digest | DeliveryKind::Group | DeliveryKind::Overflow, _) => now,
        };
        let due_at = self.not_in_quiet(row.due_at.min(latest));
        if due_at == row.due_at { Revised::Stays } else { Revised::DueAt(due_at) }
    }
}

fn window(schedule: &Schedule, until: Timestamp) -> Window {
    let before = until.checked_sub(SignedDuration::from_millis(1)).unwrap_or(until);
    Window { from: schedule.last_before_or_at(before), until }
}

/// Strengths of hits, from 1 on, that no route tells of whose band is among these: each gap as a band.
pub fn gaps(bands: &[Band]) -> Vec<Band> {
    let mut bands: Vec<(f64, f64)> =
        bands.iter().map(|band| (band.min.unwrap_or(1.0), band.below.unwrap_or(f64::INFINITY))).collect();
    bands.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gaps = Vec::new();
    let mut told_below = 1.0;
    for (min, below) in bands {
        if min > told_below {
            gaps.push(Band { min: (told_below > 1.0).then_some(told_below), below: Some(min) });
        }
        told_below = below.max(told_below);
    }
    if told_below.is_finite() {
        gaps.push(Band { min: (told_below > 1.0).then_some(told_below), below: None });
    }
    gaps
}

/// Reads one `[[route]]` whose name was read already.
pub(super) fn read(mut section: Section<'_>, name: Option<String>) -> Option<RouteConfig> {
    let place = section.place();
    let profiles = section.texts("profiles").filter(|names| names.iter().all(|name| name != "*"));
    if profiles.as_ref().is_some_and(Vec::is_empty) {
        section.problem("profiles", "`profiles` names none: nobody would be told; leave it out for all profiles");
    }
    check_doubled(&section, "profiles", profiles.as_deref().unwrap_or_default());
    let profile_places = (0..profiles.as_ref().map_or(0, Vec::len)).map(|n| section.place_in("profiles", n)).collect();
    let band = read_band(&mut section);
    let channel = section.required_text("channel");
    let channel_place = section.place_of("channel");
    let to = recipients(&mut section);
    let zone = section.text("time_zone");
    let zone = Zone {
        // One that is wrong is reported once, not in every table that it stands for.
        name: zone.map(|name| match schedule::read_zone(&name) {
            Ok(_) => name,
            Err(message) => {
                section.problem("time_zone", message);
                "UTC".to_string()
            }
        }),
    };
    let when = read_when(&mut section, &zone);
    let quiet_tables = section.section_or_sections("quiet");
    let has_quiet = !quiet_tables.is_empty();
    let quiet: Vec<Option<QuietHours>> = quiet_tables.into_iter().map(|table| read_quiet(table, &zone)).collect();
    let quiet: Vec<QuietHours> = quiet.into_iter().flatten().collect();
    if schedule::never_ends(&quiet) {
        section.problem("quiet", "the quiet hours never end: nobody would be told; leave some hour out");
    }
    let budget = read_budget(&mut section);
    if section.has("digest") {
        if has_quiet {
            let advice = "leave the quiet hours out, or choose other times there";
            section
                .problem("quiet", format!("a digest comes at the times of [route.digest] and at no other; {advice}"));
        }
        if section.has("budget_per_day") {
            let advice = "`budget_per_day` is for routes that tell at once or in groups: leave it out";
            section.problem("budget_per_day", format!("a digest tells everything in one message; {advice}"));
        }
    }
    // The days of the budget, and what times are shown in.
    let own_zone = zone.name.as_deref().and_then(|name| schedule::read_zone(name).ok());
    let zone = match (&when, own_zone) {
        (Some(When::Digest { schedule, .. }), None) => schedule.zone().clone(),
        (_, Some(zone)) => zone,
        (_, None) => match quiet.first() {
            Some(hours) => hours.zone().clone(),
            None => {
                if section.has("budget_per_day") && !has_quiet && !section.has("digest") {
                    let advice = "add `time_zone`, such as `time_zone = \"Europe/Zurich\"`";
                    section.problem(
                        "budget_per_day",
                        format!("`budget_per_day` counts days, which need a zone; {advice}"),
                    );
                }
                TimeZone::UTC
            }
        },
    };
    section.finish();
    Some(RouteConfig {
        name: name?,
        profiles,
        band: band?,
        channel: channel?,
        to,
        when: when?,
        quiet,
        budget,
        zone,
        place,
        channel_place,
        profile_places,
    })
}

/// The zone that stands for every table of a route which names none of its own.
struct Zone {
    name: Option<String>,
}

impl Zone {
    /// The name of the zone of a table. Without any the other parts are checked all the same.
    fn of(&self, section: &mut Section<'_>) -> String {
        let own = match &self.name {
            Some(_) if !section.has("time_zone") => self.name.clone(),
            _ => section.required_text("time_zone"),
        };
        own.unwrap_or_else(|| "UTC".to_string())
    }
}

fn check_doubled(section: &Section<'_>, key: &str, texts: &[String]) {
    for (index, text) in texts.iter().enumerate() {
        if texts[..index].iter().any(|before| before.eq_ignore_ascii_case(text)) {
            section.problem_in(key, index, format!("{text:?} stands twice in `{key}`; leave one out"));
        }
    }
}

fn read_band(section: &mut Section<'_>) -> Option<Band> {
    let min = section.number("strength_min", STRENGTH_RANGE);
    let below = section.number("strength_below", STRENGTH_RANGE);
    if section.has("strength_max") && section.number("strength_max", STRENGTH_RANGE).is_some() {
        let message = "write `strength_below`: bands that touch (below 1.5, at least 1.5) then hold each hit once";
        section.problem("strength_max", message);
    }
    // What is wrong by itself was reported; what is missing is no limit.
    if section.has("strength_min") && min.is_none() || section.has("strength_below") && below.is_none() {
        return None;
    }
    if below.is_some_and(|below| below <= min.unwrap_or(1.0)) {
        let least = min.unwrap_or(1.0);
        let message = match min {
            Some(_) => format!(
                "no hit is of strength {least} or more and below that: `strength_below` must be above `strength_min`"
            ),
            None => "every hit is of strength 1 or more: `strength_below` must be above 1".to_string(),
        };
        section.problem("strength_below", message);
        return None;
    }
    Some(Band { min, below })
}

fn read_when(section: &mut Section<'_>, zone: &Zone) -> Option<When> {
    let when = section.one_of("when", &["at once"]);
    if section.has("when") && section.has("digest") {
        section.problem("when", "a route tells either `when = \"at once\"` or by [route.digest], not both");
    }
    let group = section.duration("group", GROUP_RANGE).and_then(|length| SignedDuration::try_from(length).ok());
    if section.has("group") && section.has("digest") {
        section.problem("group", "[route.digest] gathers all stories between two digests: leave out `group`");
    }
    if section.has("group") && section.has("when") {
        let message =
            "`when = \"at once\"` tells each story by itself, `group` several in one message: leave out one of them";
        section.problem("group", message);
    }
    let digest = section.section("digest").and_then(|table| read_digest(table, zone));
    if section.has("digest") {
        digest
    } else if section.has("group") {
        group.map(When::Grouped)
    } else if section.has("when") {
        when.map(|_| When::AtOnce)
    } else {
        Some(When::AtOnce)
    }
}

/// A mail address as a mail server takes it, without a name beside it.
pub fn is_mail_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// The mail addresses under `to`.
pub(super) fn recipients(section: &mut Section<'_>) -> Vec<String> {
    let to = section.texts("to").unwrap_or_default();
    for (index, address) in to.iter().enumerate() {
        if !is_mail_address(address) {
            section.problem_in(
                "to",
                index,
                format!("{address:?} is not a mail address; write it like \"desk@example.org\""),
            );
        }
    }
    check_doubled(section, "to", &to);
    to
}

fn read_digest(mut section: Section<'_>, zone: &Zone) -> Option<When> {
    let at = section.texts("at").unwrap_or_default();
    let days = section.text_or_texts("days").unwrap_or_else(|| vec!["every day".to_string()]);
    let zone = zone.of(&mut section);
    let empty = match section.one_of("empty", &["always", "weekly", "never"]) {
        Some("weekly") => EmptyDigest::Weekly,
        Some("never") => EmptyDigest::Never,
        _ => EmptyDigest::Always,
    };
    let schedule = Schedule::new(&at, &days, &zone).map_err(|wrong| report(&section, wrong));
    section.finish();
    Some(When::Digest { schedule: schedule.ok()?, empty })
}

fn read_quiet(mut section: Section<'_>, zone: &Zone) -> Option<QuietHours> {
    let (from, until) = (section.required_text("from"), section.required_text("until"));
    let days = section.text_or_texts("days").unwrap_or_else(|| vec!["every day".to_string()]);
    let zone = zone.of(&mut section);
    // A time that is missing was reported; the others are checked with one that is right.
    let (from_text, until_text) = (from.as_deref().unwrap_or("22:00"), until.as_deref().unwrap_or("07:00"));
    let hours = QuietHours::new(from_text, until_text, &days, &zone).map_err(|wrong| report(&section, wrong));
    section.finish();
    hours.ok().filter(|_| from.is_some() && until.is_some())
}

fn report(section: &Section<'_>, wrong: Vec<WrongPart>) {
    for part in wrong {
        match part.index {
            Some(index) => section.problem_in(part.key, index, part.message),
            None => section.problem(part.key, part.message),
        }
    }
}

fn read_budget(section: &mut Section<'_>) -> Option<i64> {
    let budget = section.integer("budget_per_day", 0..=BUDGET_MAX);
    if budget == Some(0) {
        let message = "a budget of 0 stories tells nothing at once; leave it out, or let [route.digest] tell all";
        section.problem("budget_per_day", message);
    }
    budget
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{File, Problems};
    use crate::model::{ArticleState, Basis, Id, Item, Relation};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn route(text: &str) -> RouteConfig {
        let problems = Problems::default();
        let text = format!("channel = \"log\"\n{text}");
        let route = File::new("a.toml", text).read(&problems, |section| read(section, Some("desk".to_string())));
        let problems = problems.into_sorted();
        assert!(problems.is_empty(), "{problems:?}");
        route.unwrap()
    }

    fn hit(profile: &str, strength: f64) -> Hit {
        Hit {
            item: Item {
                id: Id(1),
                source: "wire".into(),
                key: "k".into(),
                url: None,
                title: String::new(),
                summary: String::new(),
                content: String::new(),
                article: String::new(),
                article_state: ArticleState::NotWanted,
                article_problem: String::new(),
                publisher: String::new(),
                language: String::new(),
                published_at: None,
                first_seen_at: at("2026-11-20T12:00:00Z"),
                backlog: false,
            },
            profile: profile.into(),
            profile_version: 1,
            score: strength * 0.25,
            threshold: 0.25,
            reasons: vec![],
            basis: Basis::default(),
            shadow: false,
            found_at: at("2026-11-20T12:00:00Z"),
            story: Id(2),
            relation: Relation::First,
        }
    }

    #[test]
    fn bands_that_touch_leave_no_gap_and_do_not_overlap() {
        let strong = route("strength_min = 1.5\n");
        let weak = route("strength_below = 1.5\nprofiles = [\"apg\"]\n");
        let now = at("2026-11-20T12:00:00Z");
        for (strength, told) in [(1.0, (0, 1)), (1.499, (0, 1)), (1.5, (1, 0)), (7.0, (1, 0))] {
            let hit = hit("apg", strength);
            assert_eq!((strong.deliveries(&hit, now).len(), weak.deliveries(&hit, now).len()), told, "{strength}");
        }
        assert_eq!(weak.deliveries(&hit("panel", 1.2), now), []);
        let band = |min: Option<f64>, below: Option<f64>| Band { min, below };
        assert_eq!(gaps(&[strong.band, weak.band]), []);
        assert_eq!(gaps(&[strong.band]), [band(None, Some(1.5))]);
        assert_eq!(gaps(&[band(Some(3.0), Some(4.0)), weak.band]), [band(Some(1.5), Some(3.0)), band(Some(4.0), None)]);
        assert_eq!(gaps(&[band(Some(1.0), None)]), []);
    }

    #[test]
    fn quiet_hours_hold_what_is_found_and_what_would_go_out() {
        let quiet = "[quiet]\nfrom = \"22:00\"\nuntil = \"07:00\"\n";
        let alerts = route(&format!("time_zone = \"Europe/Zurich\"\nbudget_per_day = 2\n{quiet}"));
        let groups = route(&format!("time_zone = \"Europe/Zurich\"\ngroup = \"10m\"\n{quiet}"));
        let way = |route: &RouteConfig, now: &str| route.deliveries(&hit("apg", 1.0), at(now))[0].way.clone();
        let morning = Way::Together { due_at: at("2026-11-21T06:00:00Z") };
        assert_eq!(way(&alerts, "2026-11-20T20:59:59Z"), Way::Alone);
        assert_eq!(way(&alerts, "2026-11-20T21:00:00Z"), morning);
        assert_eq!(way(&alerts, "2026-11-21T06:00:00Z"), Way::Alone);
        assert_eq!(way(&groups, "2026-11-20T20:40:00Z"), Way::Together { due_at: at("2026-11-20T20:50:00Z") });
        assert_eq!(way(&groups, "2026-11-20T20:55:00Z"), morning, "its time falls into the quiet hours");
        assert_eq!(way(&groups, "2026-11-21T03:00:00Z"), morning);
        assert_eq!(way(&groups, "2026-11-21T05:55:00Z"), morning, "with what the night brought");
        let budget = alerts.deliveries(&hit("apg", 1.0), at("2026-11-20T12:00:00Z"))[0].budget.unwrap();
        let day = (at("2026-11-19T23:00:00Z"), at("2026-11-20T23:00:00Z"));
        assert_eq!((budget.stories, (budget.day_from, budget.day_until)), (2, day));
        assert_eq!(budget.due_at, at("2026-11-21T06:00:00Z"), "midnight is quiet");
    }

    #[test]
    fn what_waits_is_left_alone_unless_the_configuration_changed() {
        let row = |kind: DeliveryKind, due: &str| OutboxRow {
            id: Id(5),
            route: "desk".into(),
            recipient: String::new(),
            kind,
            window_from: None,
            window_to: Some(at(due)),
            created_at: at("2026-11-20T20:00:00Z"),
            due_at: at(due),
            state: "waiting".into(),
            attempts: 0,
            finished_at: None,
            error: String::new(),
        };
        let at_seven = route("[digest]\nat = [\"07:00\"]\ntime_zone = \"Europe/Zurich\"\n");
        let at_nine = route("[digest]\nat = [\"09:00\"]\ntime_zone = \"Europe/Zurich\"\n");
        let nights =
            route("budget_per_day = 3\n[quiet]\nfrom = \"22:00\"\nuntil = \"07:00\"\ntime_zone = \"Europe/Zurich\"\n");
        let longer = route("[quiet]\nfrom = \"22:00\"\nuntil = \"08:00\"\ntime_zone = \"Europe/Zurich\"\n");
        let at_once = route("");
        let night = at("2026-11-21T02:00:00Z");
        let morning = "2026-11-21T06:00:00Z";
        let nine = Window { from: at("2026-11-20T08:00:00Z"), until: at("2026-11-21T08:00:00Z") };
        for (route, kind, expected) in [
            (&at_seven, DeliveryKind::Digest, Revised::Stays),
            (&at_nine, DeliveryKind::Digest, Revised::InDigest(nine)),
            (&at_once, DeliveryKind::Digest, Revised::DueAt(night)),
            (&nights, DeliveryKind::Group, Revised::Stays),
            (&nights, DeliveryKind::Overflow, Revised::Stays),
            (&longer, DeliveryKind::Group, Revised::DueAt(at("2026-11-21T07:00:00Z"))),
            (&at_once, DeliveryKind::Group, Revised::DueAt(night)),
            (&at_once, DeliveryKind::Alert, Revised::Stays),
            (&at_once, DeliveryKind::Report, Revised::Stays),
        ] {
            assert_eq!(route.revised(&row(kind, morning), night), expected, "{kind:?} of {route:?}");
        }
        // A digest that a clock filled which went ahead.
        let next_week = row(DeliveryKind::Digest, "2026-11-28T06:00:00Z");
        let seven = Window { from: at("2026-11-20T06:00:00Z"), until: at(morning) };
        assert_eq!(at_seven.revised(&next_week, night), Revised::InDigest(seven));
        // A digest whose time has come goes out, whatever the schedule says now.
        assert_eq!(at_nine.revised(&row(DeliveryKind::Digest, "2026-11-21T01:00:00Z"), night), Revised::Stays);
        // A group that a clock made which went ahead.
        let groups = route("group = \"10m\"");
        assert_eq!(
            groups.revised(&row(DeliveryKind::Group, morning), night),
            Revised::DueAt(at("2026-11-21T02:10:00Z"))
        );
    }
}
