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

fn check(half: &str) {
    let measured = measure(half);
    assert!(measured.groups >= 30, "{}", measured.report);
    assert!(measured.precision >= 0.98 && measured.recall >= 0.9 && measured.relations >= 0.9, "{}", measured.report);
}

#[test]
fn stories_are_found_in_the_half_that_thresholds_were_chosen_by() {
    check("tune");
}

#[test]
fn stories_are_found_in_the_half_that_was_held_back() {
    check("hold");
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
    assert!(count > 300 && joined.is_empty(), "{count} items: {joined:#?}");
}

/// Texts that are like nothing a paper prints.
fn hostile() -> Vec<(String, String)> {
    let any: String = (0..250_000u32).filter_map(|n| char::from_u32(n * 7 % 0x11_0000)).collect();
    let mixed: String = (0..20_000).map(|n| if n % 3 == 0 { "seat " } else { "席" }).collect();
    vec![
        (String::new(), String::new()),
        (String::new(), "word ".repeat(50_000)),
        ("word ".repeat(200), "word ".repeat(50_000)),
        ("x".repeat(1_000), "x".repeat(250_000)),
        ("席".repeat(300), "席".repeat(80_000)),
        (any[..any.floor_char_boundary(1_000)].to_string(), any),
        ("1 2 3".repeat(100), "1.1.1.1,1,1'1 ".repeat(18_000)),
        ("\u{fdfa}".repeat(300), "\u{fdfa}".repeat(80_000)),
        ("a\u{301}\u{ad}".repeat(200), "\u{301}\u{ad}'s ".repeat(30_000)),
        ("U.S. ".repeat(100), "A.B.C.D.E.F.G ".repeat(18_000)),
        (mixed[..mixed.floor_char_boundary(900)].to_string(), mixed),
        ("numbers".into(), (0..40_000).map(|n| format!("{n} ")).collect()),
        ("numbers".into(), (0..40_000).rev().map(|n| format!("{n} ")).collect()),
    ]
}

fn odd(id: &str, title: &str, content: &str) -> Item {
    let mut row = rows("tune").remove(0);
    (row.id, row.title, row.content, row.source) = (id.into(), title.into(), content.into(), id.into());
    row.item()
}

#[test]
fn hostile_texts_are_placed_and_their_marks_are_few() {
    let mut shelf = Shelf::default();
    for (n, (title, content)) in hostile().iter().enumerate() {
        for copy in ["a", "b"] {
            let id = format!("{n}{copy}");
            let incoming = Incoming::new(&odd(&id, title, content), Id::of(&["own", &id]));
            assert!(incoming.marks.len() <= 49, "{n}: {} marks", incoming.marks.len());
            shelf.add(incoming);
        }
    }
    // What everybody writes below joins nobody, once it was seen often.
    let footer = "Contact the newsroom by letter or telephone, read our terms and our privacy notice, and support us with a gift. ".repeat(3);
    let mut stories = std::collections::BTreeSet::new();
    for n in 0..40 {
        let id = format!("footer {n}");
        let own = format!("{} {}", Id::of(&[&id, "a"]), Id::of(&[&id, "b"]));
        stories
            .insert(shelf.add(Incoming::new(&odd(&id, &id, &format!("{own}. {footer}")), Id::of(&["own", &id]))).story);
    }
    assert_eq!(stories.len(), 40);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_a_copy_of_itself_or_of_nothing(title in "\\PC{0,60}", content in "(\\PC{0,20}[ .,\\n]){0,60}") {
        let mut shelf = Shelf::default();
        let first = shelf.add(Incoming::new(&odd("one", &title, &content), Id::of(&["one"])));
        proptest::prop_assert_eq!(first.relation, Relation::First);
        let second = shelf.add(Incoming::new(&odd("two", &title, &content), Id::of(&["two"])));
        proptest::prop_assert!(matches!(second.relation, Relation::First | Relation::Copy), "{:?}", second);
    }

    #[test]
    fn a_text_is_found_again_when_it_was_cut(seed in 0u64..1_000_000, words in 80usize..400, share in 30usize..100) {
        // Words as a report has them: some often, most once.
        let word = |n: u64| match n % 5 { 0 => "the".to_string(), 1 => "said".to_string(), _ => Id::of(&[&(n % 997).to_string()]).to_string() };
        let mut state = seed;
        let all: Vec<String> = (0..words).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word(state >> 33)
        }).collect();
        let part = &all[..words * share / 100];
        let mut shelf = Shelf::default();
        let first = shelf.add(Incoming::new(&odd("one", "Long title of one report", &all.join(" ")), Id::of(&["one"])));
        let second = shelf.add(Incoming::new(&odd("two", "Another headline altogether", &part.join(" ")), Id::of(&["two"])));
        proptest::prop_assert_eq!(first.story, second.story);
        proptest::prop_assert_eq!(second.relation, Relation::Copy);
    }
}
