//! Hits to messages: subject, text, HTML. Pure. Every text from outside is made safe to show here, once.
//!
//! [`compose`] turns what the store knows ([`Ingredients`]) into values that are safe to show (`view`), and those into text and HTML
//! by [`Templates`] that an operator may replace. A template that fails costs its looks, never the message.

mod chart;
pub mod passage;
mod sample;
pub mod templates;
pub mod token;
mod view;
mod wrap;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::channel::Message;
use crate::config::section::show_duration;
use crate::health::Coverage;
use crate::model::{Hit, Id, Mute, OutboxRow, ReportLine, StoredScore, Story};
use crate::plain;
use passage::Passage;
use templates::Form;
pub use templates::Templates;

/// The stories that a message names.
pub fn stories_named(hits: &[Hit], everything: bool) -> Vec<Id> {
    view::stories_named(hits, everything)
}

/// The items whose text a message shows, each with a hit of it.
pub fn items_in_detail(hits: &[Hit], everything: bool) -> Vec<(Id, &Hit)> {
    view::items_in_detail(hits, everything)
}

/// State of a row that is only looked at, never stored.
pub const PREVIEW: &str = "preview";

/// So many stories of one message are written out with their reasons; more stand as single lines. Some mail programs hide what
/// goes beyond 100 kB of HTML.
pub const DETAILED_MAX: usize = 30;
/// So many stories of one message are named at all; the rest is counted and can be listed.
pub const STORIES_MAX: usize = 400;
/// Copies of a story that are named.
pub const COPIES_MAX: usize = 8;
/// Items below the line that are shown.
pub const BELOW_MAX: usize = 5;
/// Changed articles that are shown.
pub const ALTERED_MAX: usize = 10;
/// Sentences of each that are shown of those that stand in one of the readings alone.
pub const ALTERED_SENTENCES_MAX: usize = 3;
/// Days of the chart.
pub const CHART_DAYS: i32 = 30;

/// A profile as a message names it.
#[derive(Clone, Debug)]
pub struct ProfileName {
    /// As in the configuration.
    pub name: String,
    /// For people.
    pub title: String,
    /// Which version scores now.
    pub version: i64,
}

/// An item that came near a hit.
#[derive(Clone, Debug)]
pub struct Below {
    /// What it scored.
    pub score: StoredScore,
    /// Its title.
    pub title: String,
    /// Its address; may be empty.
    pub url: String,
    /// Its source.
    pub source: String,
}

/// An article of a hit that was looked at again and is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The item.
    pub item: Id,
    /// Its title then.
    pub title: String,
    /// Its address.
    pub url: Option<String>,
    /// Its source.
    pub source: String,
    /// When it was looked at again.
    pub at: Timestamp,
    /// Sentences present then, absent now.
    pub then_only: Vec<String>,
    /// Sentences absent then, present now.
    pub now_only: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Why it could not be read; empty where it could.
    pub problem: String,
}

/// Items in a language that a profile knows no names in: it cannot have found anything there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadLanguage {
    /// "Korean letters", "ko".
    pub language: String,
    /// How many items of the window.
    pub items: usize,
    /// The profiles that are blind to it.
    pub profiles: Vec<String>,
}

/// Where verdicts are sent, and what signs the links.
#[derive(Clone, Debug)]
pub struct VerdictLinks {
    /// A mail address.
    pub address: String,
    /// Signs.
    pub key: token::Key,
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Ingredients<'a> {
    /// The outbox row.
    pub row: &'a OutboxRow,
    /// The hits, the strongest first.
    pub hits: Vec<Hit>,
    /// How many hits the row has; more than `hits` when those were too many to load.
    pub hits_in_all: usize,
    /// The stories of the hits, as far as they are shown.
    pub stories: BTreeMap<Id, Story>,
    /// The sentences that matter, by item.
    pub passages: BTreeMap<Id, Vec<Passage>>,
    /// Stories that an earlier message told this recipient on this route.
    pub told_before: BTreeSet<Id>,
    /// What was looked at in the window; only a digest says it.
    pub coverage: Option<Coverage>,
    /// Sources that brought something new in the window.
    pub changed: usize,
    /// Sources that are silent against their own rhythm; `None` while nobody knows.
    pub silent: Option<usize>,
    /// Items of the window in languages that a profile has no names in.
    pub unread_languages: Vec<UnreadLanguage>,
    /// Items of the window whose languages were looked at.
    pub languages_read: usize,
    /// How many hits first contacts brought in the window: not alerted, so they must be told.
    pub backlog: i64,
    /// The strongest scores below the line in the window.
    pub below: Vec<Below>,
    /// How many there are in all.
    pub below_in_all: usize,
    /// Articles of earlier hits that were found changed in the window, the newest first.
    pub altered: Vec<Altered>,
    /// Sources in trouble now, with what to do.
    pub conditions: Vec<ReportLine>,
    /// What was muted in the window, and how many hits that held back.
    pub muted: Vec<(Mute, i64)>,
    /// Hits of the window that went over the day's budget, into messages of their own.
    pub over_budget: i64,
    /// What the operator is told; only for reports.
    pub report: Vec<ReportLine>,
    /// What is so wrong with newswatch itself that the next message says it first.
    pub alarms: Vec<String>,
    /// Hits of each of the last days, the oldest first.
    pub days: Vec<(Date, i64)>,
    /// The profiles of the route.
    pub profiles: Vec<ProfileName>,
    /// Titles of sources by their names.
    pub source_titles: BTreeMap<String, String>,
    /// Where verdicts go; `None`: nowhere by mail.
    pub verdicts: Option<VerdictLinks>,
    /// Leave nothing out.
    pub everything: bool,
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// Now.
    pub now: Timestamp,
}

impl<'a> Ingredients<'a> {
    /// A message of this row about nothing.
    pub fn new(row: &'a OutboxRow, zone: TimeZone, now: Timestamp) -> Ingredients<'a> {
        Ingredients {
            row,
            hits: Vec::new(),
            hits_in_all: 0,
            stories: BTreeMap::new(),
            passages: BTreeMap::new(),
            told_before: BTreeSet::new(),
            coverage: None,
            changed: 0,
            silent: None,
            unread_languages: Vec::new(),
            languages_read: 0,
            backlog: 0,
            below: Vec::new(),
            below_in_all: 0,
            altered: Vec::new(),
            conditions: Vec::new(),
            muted: Vec::new(),
            over_budget: 0,
            report: Vec::new(),
            alarms: Vec::new(),
            days: Vec::new(),
            profiles: Vec::new(),
            source_titles: BTreeMap::new(),
            verdicts: None,
            everything: false,
            zone,
            now,
        }
    }
}

/// A message, and what went wrong with its looks.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Complete in any case.
    pub message: Message,
    /// Which template failed and why; the message says so too.
    pub problem: Option<String>,
}

/// Makes the message of an outbox row. Never fails: a template that does is replaced by the one that is shipped, and should that fail
/// too, by bare lines.
pub fn compose(ingredients: Ingredients<'_>, templates: &Templates) -> Composed {
    let row = ingredients.row;
    let mut view = view::view(&ingredients);
    let form = Form::of(row.kind);
    let mut problem = None;
    let rendered = templates.render(form, &view).unwrap_or_else(|error| {
        let error = format!("a template of your own failed, so this message looks as newswatch ships it: {error}");
        view.notices.push(error.clone());
        problem = Some(error);
        Templates::shipped().render(form, &view).unwrap_or_else(|error| view.bare(&error))
    });
    let message = Message {
        id: row.id,
        kind: row.kind,
        route: row.route.clone(),
        recipient: row.recipient.clone(),
        subject: view.subject,
        text: wrap::wrap(&rendered.text),
        html: rendered.html,
        hits: ingredients.hits,
        thread: None,
        window: row.window_from.zip(row.window_to),
        images: Vec::new(),
        report: ingredients.report,
        created_at: row.first_due_at(),
        attempted_at: ingredients.now,
        repeated: row.attempts > 1,
    };
    Composed { message, problem }
}

pub(crate) use crate::plain::counted;

/// How long something has been so: "3 h".
pub fn show_length(since: Timestamp, now: Timestamp) -> String {
    let length = now.duration_since(since).unsigned_abs();
    show_duration(std::time::Duration::from_secs(length.as_secs().max(1)))
}

/// A time as a person in the zone reads it.
fn show_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %-d %B %Y, %H:%M %Z").to_string()
}

/// The address, if it is one that a reader may follow.
fn safe_url(url: &str) -> Option<String> {
    let lower = url.get(..8)?.to_ascii_lowercase();
    let is_web = lower.starts_with("http://") || lower.starts_with("https://");
    // A space or quote would end the link in some programs.
    let safe = plain::line(url, 2_000).replace(' ', "%20").replace('"', "%22").replace('<', "%3C").replace('>', "%3E");
    // What was cut leads elsewhere.
    (is_web && !safe.ends_with('…')).then_some(safe)
}

#[cfg(test)]
mod tests;
