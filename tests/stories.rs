//! Which items are one story, measured on a set written for it (tests/data/stories): what it found with one half its thresholds
//! were chosen by, and with the other half nothing was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use newswatch::matcher::story::{Incoming, Shelf};
use newswatch::model::{ArticleState, Id, Item, Placement, Relation};
use newswatch::poller::identity;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    id: String,
    group: String,
    kind: String,
    hours: i64,
    source: String,
    publisher: String,
    url: String,
    title: String,
    summary: String,
    content: String,
    lang: String,
    relation: Relation,
}

impl Row {
    fn item(&self) -> Item {
        let at: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let at = at + SignedDuration::from_hours(self.hours);
        Item {
            id: Id::of(&[&self.id]),
            source: self.source.clone(),
            key: self.id.clone(),
            url: Some(self.url.clone()),
            title: self.title.clone(),
            summary: self.summary.clone(),
            content: self.content.clone(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: self.publisher.clone(),
            language: self.lang.clone(),
            published_at: Some(at),
            first_seen_at: at,
            backlog: false,
        }
    }
}

fn rows(half: &str) -> Vec<Row> {
    let path = format!("{}/tests/data/stories/{half}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the pairs of a set of items show.
struct Measured {
    precision: f64,
    recall: f64,
    relations: f64,
    groups: usize,
    report: String,
}

fn measure(half: &str) -> Measured {
    let rows = rows(half);
    let mut shelf = Shelf::default();
    let joined: Vec<Placement> = rows
        .iter()
        .map(|row| {
            shelf.add(Incoming::new(&row.item(), Id::of(&["story by link", &identity::link(&row.url).to_string()])))
        })
        .collect();
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    let mut report = String::new();
    for a in 0..rows.len() {
        for b in a + 1..rows.len() {
            let (one, two) = (&rows[a], &rows[b]);
            match (one.group == two.group, joined[a].story == joined[b].story) {
                (true, true) => right += 1,
                (true, false) => {
                    missed += 1;
                    writeln!(
                        report,
                        "missed {} {} of {} ({}, {})",
                        one.id, two.id, two.group, two.kind, joined[b].reason
                    )
                    .unwrap();
                }
                (false, true) => {
                    wrong += 1;
                    writeln!(
                        report,
                        "wrong  {} of {}, {} of {}: {}",
                        one.id, one.group, two.id, two.group, joined[b].reason
                    )
                    .unwrap();
                }
                (false, false) => {}
            }
        }
    }
    let mut same = 0;
    for (row, joined) in rows.iter().zip(&joined) {
        same += usize::from(row.relation == joined.relation);
        if row.relation != joined.relation {
            writeln!(report, "{} is {:?}, not {:?}: {}", row.id, row.relation, joined.relation, joined.reason).unwrap();
        }
    }
    let groups: BTreeMap<&str, usize> = rows.iter().map(|row| (row.group.as_str(), 1)).collect();
    let precision = f64::from(right) / f64::from(right + wrong);
    let recall = f64::from(right) / f64::from(right + missed);
    let relations = same as f64 / rows.len() as f64;
    writeln!(
        report,
        "{half}: {} items of {} stories; precision {precision:.3}, recall {recall:.3} ({right} right, {wrong} wrong, {missed} missed), \
         relation {relations:.3}",
        rows.len(),
        groups.len()
    )
    .unwrap();
    Measured { precision, recall, relations, groups: groups.len(), report }
}

#[test]
fn stories_are_found_in_the_half_that_thresholds_were_chosen_by() {
    let measured = measure("tune");
    eprintln!("{}", measured.report);
    assert!(measured.precision >= 0.98 && measured.recall >= 0.9 && measured.relations >= 0.9, "{}", measured.report);
}

#[test]
fn judged_items_are_stories_of_their_own() {
    let mut shelf = Shelf::default();
    let mut joined = Vec::new();
    let mut count = 0;
    for file in ["first", "second", "third", "fourth"] {
        let path = format!("{}/tests/data/judged/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_string();
            let row = Row {
                id: text("id"),
                group: String::new(),
                kind: String::new(),
                hours: 0,
                source: text("id"),
                publisher: String::new(),
                url: String::new(),
                title: text("title"),
                summary: String::new(),
                content: text("text"),
                lang: text("lang"),
                relation: Relation::First,
            };
            let found = shelf.add(Incoming::new(&row.item(), Id::of(&["own", &row.id])));
            count += 1;
            if found.relation != Relation::First {
                joined.push(format!("{}: {} ({})", row.id, found.reason, row.title));
            }
        }
    }
    eprintln!("{count}: {joined:#?}");
}
