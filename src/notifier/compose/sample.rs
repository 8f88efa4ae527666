//! Invented messages of every kind, with something in every part: what `newswatch check` renders a template with. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::passage::Piece;
use super::{Altered, Below, Ingredients, ProfileName, UnreadLanguage, VerdictLinks, token};
use crate::health::{Coverage, Trouble};
use crate::model::{
    ArticleState, Basis, DeliveryKind, Hit, Id, Item, Mute, MuteKind, OutboxRow, Reason, ReasonKind, Relation,
    ReportLine, StoredScore, Story, StoryItem,
};

/// What an example is made of.
pub(super) type Example = for<'a> fn(&'a OutboxRow) -> Ingredients<'a>;

/// Friday 20 November 2026, 06:30 UTC.
fn now() -> Timestamp {
    Timestamp::from_second(1_795_156_200).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Every kind of message, full and empty.
pub(super) fn all() -> Vec<(OutboxRow, Example)> {
    vec![
        (row(DeliveryKind::Digest), full),
        (row(DeliveryKind::Digest), empty),
        (row(DeliveryKind::Group), full),
        (row(DeliveryKind::Overflow), full),
        (row(DeliveryKind::Alert), alert),
        (row(DeliveryKind::Report), report),
        (row(DeliveryKind::Report), bare),
    ]
}

fn row(kind: DeliveryKind) -> OutboxRow {
    OutboxRow {
        id: Id(1),
        route: "desk".into(),
        recipient: "desk@example.org".into(),
        kind,
        window_from: Some(now() - SignedDuration::from_hours(24)),
        window_to: Some(now()),
        created_at: now(),
        due_at: now(),
        state: "waiting".into(),
        attempts: 1,
        finished_at: None,
        error: String::new(),
    }
}

fn item(number: i64, source: &str, title: &str) -> Item {
    Item {
        id: Id(number),
        source: source.into(),
        key: number.to_string(),
        url: Some(format!("https://{source}.example/{number}")),
        title: title.into(),
        summary: String::new(),
        content: String::new(),
        article: String::new(),
        article_state: if number % 2 == 0 { ArticleState::Unread } else { ArticleState::Read },
        article_problem: String::new(),
        publisher: if number % 3 == 0 { "The Example Post".into() } else { String::new() },
        language: "en".into(),
        published_at: (number % 2 == 1).then(|| now() - SignedDuration::from_hours(number)),
        first_seen_at: now() - SignedDuration::from_mins(20 * number),
        backlog: false,
    }
}

fn hit(number: i64, profile: &str, story: i64, relation: Relation) -> Hit {
    let titles = ["An example of a report", "Another <one> & its \"marks\"", "예시 기사", "Пример сообщения"];
    let reason = |kind, term: &str, share, note: &str| Reason {
        kind,
        term: term.into(),
        share,
        note: note.into(),
        count: 2,
        ..Reason::default()
    };
    Hit {
        item: item(number, "wire", titles[number as usize % titles.len()]),
        profile: profile.into(),
        profile_version: 1,
        score: 0.9,
        threshold: 0.4,
        reasons: vec![
            reason(ReasonKind::Term, "observer status", 0.4, ""),
            reason(ReasonKind::Concept, "the group", 0.3, "APG"),
            reason(ReasonKind::Condition, "both together", 0.2, "in one sentence"),
            reason(ReasonKind::LookAlike, "a rugby club", -0.1, "its players"),
        ],
        basis: Basis::default(),
        shadow: false,
        found_at: now() - SignedDuration::from_mins(number),
        story: Id(story),
        relation,
    }
}

fn bare(row: &OutboxRow) -> Ingredients<'_> {
    Ingredients::new(row, TimeZone::get("Europe/Zurich").unwrap_or(TimeZone::UTC), now())
}

fn empty(row: &OutboxRow) -> Ingredients<'_> {
    let coverage = Coverage { sources: 42, read: 40, not_asked: 2, items: 312, ..Coverage::default() };
    Ingredients { coverage: Some(coverage), ..bare(row) }
}

fn line(about: &str, headline: &str, is_recovery: bool) -> ReportLine {
    ReportLine {
        at: now(),
        about: about.into(),
        headline: headline.into(),
        advice: if is_recovery { String::new() } else { format!("newswatch source test {about}") },
        is_recovery,
    }
}

fn report(row: &OutboxRow) -> Ingredients<'_> {
    let report =
        vec![line("wire", "cannot be read for 3 h: status 503", false), line("paper", "can be read again", true)];
    Ingredients { report, alarms: vec!["the canary did not arrive".into()], ..bare(row) }
}

fn alert(row: &OutboxRow) -> Ingredients<'_> {
    let full = full(row);
    let hits: Vec<Hit> = full.hits.iter().filter(|hit| hit.story == Id(1)).cloned().collect();
    Ingredients { hits_in_all: hits.len(), hits, coverage: None, ..full }
}

fn full(row: &OutboxRow) -> Ingredients<'_> {
    let mut hits = vec![
        hit(1, "apg", 1, Relation::First),
        hit(1, "exchanges", 1, Relation::First),
        hit(2, "apg", 2, Relation::First),
        hit(3, "exchanges", 3, Relation::Update),
    ];
    // More than are written out.
    hits.extend((10..55).map(|number| hit(number, "apg", number, Relation::First)));
    let other = |number, source: &str, relation| StoryItem {
        item: item(number, source, "The same elsewhere"),
        relation,
        reason: "the same link".into(),
    };
    let story = Story {
        id: Id(1),
        items: vec![
            other(60, "paper", Relation::First),
            other(61, "seoul", Relation::Copy),
            other(62, "moskva", Relation::Independent),
            other(63, "asia", Relation::Update),
        ],
        count: 12,
    };
    let piece = |text: &str, marked| Piece { text: text.into(), marked };
    let passage = vec![piece("Its ", false), piece("observer status", true), piece(" was taken away.", false)];
    let score = StoredScore {
        item: Id(70),
        story: Id(70),
        profile: "apg".into(),
        profile_hash: 0,
        score: 0.31,
        threshold: 0.4,
        scored_at: now(),
        backlog: false,
        barred: false,
    };
    let below = Below { score, title: "Nearly".into(), url: "https://wire.example/70".into(), source: "wire".into() };
    let mute = Mute {
        id: Id(80),
        kind: MuteKind::Source,
        name: "paper".into(),
        from: now(),
        until: now() + SignedDuration::from_hours(72),
        reason: "doubles everything".into(),
        author: "anna".into(),
    };
    let today = now().to_zoned(TimeZone::UTC).date();
    let days = (0..30i64).rev().filter_map(|ago| Some((today.checked_sub(ago.days()).ok()?, ago * 7 % 11)));
    let profile = |name: &str, title: &str| ProfileName { name: name.into(), title: title.into(), version: 3 };
    Ingredients {
        hits_in_all: hits.len() + 1,
        hits,
        stories: BTreeMap::from([(Id(1), story)]),
        passages: BTreeMap::from([(Id(1), vec![passage])]),
        told_before: BTreeSet::from([Id(3)]),
        coverage: Some(Coverage {
            sources: 42,
            read: 38,
            failing: vec![Trouble { source: "moskva".into(), since: Some(now()), error: "status 503".into() }],
            paused: vec!["old".into()],
            not_asked: 2,
            items: 1_312,
            first_contacts: vec!["new".into()],
            ..Coverage::default()
        }),
        changed: 17,
        silent: Some(1),
        unread_languages: vec![UnreadLanguage {
            language: "Korean letters".into(),
            items: 31,
            profiles: vec!["apg".into()],
        }],
        backlog: 4,
        below: vec![below],
        below_in_all: 9,
        altered: vec![Altered {
            item: Id(90),
            title: "A report that was <changed>".into(),
            url: Some("https://wire.example/90".into()),
            source: "wire".into(),
            at: now() - SignedDuration::from_hours(2),
            then_only: vec!["Samoa wants the seat.".into()],
            now_only: vec!["Nobody wants the seat.".into()],
            more: 2,
            problem: String::new(),
        }],
        conditions: vec![line("moskva", "cannot be read for 3 h: status 503", false)],
        muted: vec![(mute, 2)],
        over_budget: 3,
        alarms: vec!["the canary of 05:00 did not arrive".into()],
        days: days.collect(),
        profiles: vec![profile("apg", "The observer seat"), profile("exchanges", "")],
        source_titles: BTreeMap::from([("wire".into(), "The Example Wire".into())]),
        verdicts: token::Key::new(&[0; 32]).map(|key| VerdictLinks { address: "verdicts@example.org".into(), key }),
        ..bare(row)
    }
}
