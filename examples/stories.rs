//! How long it takes to find the story of an item and to store it, among many stories: fills a store, then adds reports, half of them
//! copies of reports that were added before.
//!
//! `cargo run --release --example stories -- FOLDER STORIES`. A folder that is filled already is used again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use newswatch::matcher::story::{Batch, Incoming, Told};
use newswatch::model::{ArticleState, Id, Item, Placement, Relation};
use newswatch::store::hits::MatchResult;
use newswatch::store::items::NewItem;
use newswatch::store::sources::{ConfiguredSource, VisitResult};
use newswatch::store::stories::NewPlacement;
use newswatch::store::{Durability, Store};

const BATCH: usize = 5_000;
/// What a report of a few hundred words has.
const MARKS: u64 = 45;
const ADDED: usize = 2_000;

const TABLE: &str = include_str!("../src/matcher/general.tsv");

fn pick(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn report(state: &mut u64, words: &[&str]) -> String {
    let mut text = String::new();
    for n in 0..400 {
        let share = pick(state, 1_000_000) as f64 / 1_000_000.0;
        text.push_str(words[((share * share * share) * words.len() as f64) as usize]);
        text.push_str(if n % 18 == 17 { ". " } else { " " });
    }
    text
}

fn item(key: &str, title: &str, content: String, at: Timestamp) -> Item {
    Item {
        id: Id::of(&["wire", key]),
        source: "wire".into(),
        url: Some(format!("https://wire.example/{key}")),
        key: key.into(),
        title: title.into(),
        summary: String::new(),
        content,
        article: String::new(),
        article_state: ArticleState::NotWanted,
        article_problem: String::new(),
        publisher: String::new(),
        language: "en".into(),
        published_at: Some(at),
        first_seen_at: at,
        backlog: false,
    }
}

/// Stores items as a visit does, and claims them as the matcher does.
async fn stored(store: &Store, items: Vec<Item>, now: Timestamp) -> MatchResult {
    let mut claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(5), 1, 1).await.unwrap();
    let (mut state, claim) = claimed.pop().unwrap();
    state.next_at = now;
    let new_items = items
        .into_iter()
        .map(|item| NewItem { text_hash: 1, story: item.id, link: item.id, aliases: vec![], item })
        .collect();
    let visit = VisitResult {
        claim,
        state,
        before: Default::default(),
        new_items,
        edited_items: vec![],
        captures: vec![],
        gap: None,
        memory: None,
    };
    store.commit_visits(&[visit], now).await.unwrap();
    let scored = store.claim_unscored("me", now, now + SignedDuration::from_mins(5), 100_000).await.unwrap();
    MatchResult { scored, ..MatchResult::default() }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (folder, stories) = (arguments.next().unwrap(), arguments.next().unwrap().parse::<usize>().unwrap());
    let words: Vec<&str> = TABLE.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let store = Store::open(&format!("sqlite:{folder}/newswatch.sqlite"), Durability::Process).await.unwrap();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let source = ConfiguredSource {
        remembers: false,
        reader: "r".into(),
        name: "wire".into(),
        url: "https://wire.example/feed".into(),
        kind: "feed".into(),
        host: "wire.example".into(),
        first_at: start,
    };
    store.configure_sources(&[source]).await.unwrap();
    let mut state = 1u64;
    let (before, _) = store.item_counts(start).await.unwrap();
    let began = Instant::now();
    for batch in before as usize / BATCH..stories / BATCH {
        let now = start + SignedDuration::from_secs(batch as i64 * 60);
        let items: Vec<Item> = (0..BATCH)
            .map(|n| {
                item(&format!("{batch} {n}"), "one of many", String::new(), now + SignedDuration::from_millis(n as i64))
            })
            .collect();
        let placed = items.iter().map(|item| NewPlacement {
            placement: Placement {
                item: item.id,
                story: item.id,
                relation: Relation::First,
                reason: String::new(),
                with: item.id,
                by_hand: false,
            },
            before: item.id,
            marks: (0..MARKS).map(|n| Id::of(&[&item.id.to_string(), &n.to_string()]).0 << 3).collect(),
            seen_at: item.first_seen_at,
        });
        let placed: Vec<NewPlacement> = placed.collect();
        let result = stored(&store, items, now).await;
        store.commit_matches(&MatchResult { stories: placed, ..result }).await.unwrap();
        if batch % 20 == 19 {
            println!("{} stories after {:.0} s", (batch + 1) * BATCH, began.elapsed().as_secs_f64());
        }
    }
    store.close().await;

    // As the daemon opens it.
    let mut now = start + SignedDuration::from_hours(13 * 24);
    for (durability, together) in [(Durability::Full, 100), (Durability::Full, 1), (Durability::Process, 1)] {
        let store = Store::open(&format!("sqlite:{folder}/newswatch.sqlite"), durability).await.unwrap();
        let (mut texts, mut spent, mut copies) = (Vec::new(), Vec::new(), 0);
        let run = Id::of(&[&began.elapsed().as_nanos().to_string()]);
        for round in 0..ADDED / together {
            now += SignedDuration::from_mins(1);
            let items: Vec<Item> = (0..together)
                .map(|n| {
                    let is_copy = pick(&mut state, 2) == 0 && !texts.is_empty();
                    let text: String = if is_copy {
                        let text: &String = &texts[pick(&mut state, texts.len() as u64) as usize];
                        // Cut to two thirds.
                        text[..text.floor_char_boundary(text.len() * 2 / 3)].to_string()
                    } else {
                        report(&mut state, &words)
                    };
                    if !is_copy {
                        texts.push(text.clone());
                    }
                    let title = text.chars().rev().take(40).collect::<String>();
                    item(&format!("{run} {round} {n}"), &title, text, now + SignedDuration::from_millis(n as i64))
                })
                .collect();
            let result = stored(&store, items.clone(), now).await;
            let began = Instant::now();
            let mut batch = Batch::default();
            let mut placed = Vec::new();
            for part in items.chunks(32) {
                let incoming: Vec<Incoming> = part.iter().map(|item| Incoming::new(item, item.id)).collect();
                let keys: Vec<(Id, Id, &[i64])> =
                    incoming.iter().map(|own| (own.told.item, own.story, own.marks.as_slice())).collect();
                let facts = store.story_facts(&keys).await.unwrap();
                let wanted: Vec<Id> = batch.wanted(&incoming, &facts).into_iter().collect();
                let others = store.items_whole(&wanted).await.unwrap();
                let mut texts: BTreeMap<Id, Told> = others.values().map(|item| (item.id, Told::new(item))).collect();
                texts.extend(incoming.iter().map(|own| (own.told.item, own.told.clone())));
                for own in incoming {
                    let placement = batch.place(&own, &facts, &texts);
                    copies += usize::from(placement.relation == Relation::Copy);
                    let marks = batch.marks_of(&own, &placement, &facts);
                    placed.push(NewPlacement { placement, before: own.story, marks, seen_at: own.told.seen_at });
                }
            }
            let result =
                MatchResult { stories: placed, marks_since: Some(start - SignedDuration::from_hours(1)), ..result };
            store.commit_matches(&result).await.unwrap();
            spent.push(began.elapsed().as_secs_f64() * 1_000.0 / together as f64);
        }
        spent.sort_by(f64::total_cmp);
        let at = |share: f64| spent[((spent.len() - 1) as f64 * share) as usize];
        println!(
            "{durability:?}, {together} together: {:.2} ms an item in the mean, median {:.2}, 99 of 100 within {:.2}; {copies} of {ADDED} were copies",
            spent.iter().sum::<f64>() / spent.len() as f64,
            at(0.5),
            at(0.99)
        );
        store.close().await;
    }
}
