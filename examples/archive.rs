//! Fills a store with generated items of about 400 words: for measuring what reads the whole archive.
//!
//! `cargo run --release --example archive -- FOLDER ITEMS`, then
//! `STATE_DIRECTORY=FOLDER newswatch -c CONFIG profile backtest --file PROFILE`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use jiff::{SignedDuration, Timestamp};
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::text::Tokenizer;
use newswatch::model::{ArticleState, Id, Item};
use newswatch::store::hits::MatchResult;
use newswatch::store::items::NewItem;
use newswatch::store::sources::{ConfiguredSource, VisitResult};
use newswatch::store::{Durability, Store};

const BATCH: u64 = 2_000;
const WORDS: u64 = 400;

/// Words with how often they occur, the most frequent first.
const TABLE: &str = include_str!("../src/matcher/general.tsv");
const COMMON: &str =
    "the of and to in that is for on with as by at from it was be are this which have has not but they were";

fn pick(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn text(state: &mut u64, words: &[&str], common: &[&str]) -> String {
    let mut text = String::new();
    for n in 0..WORDS {
        let word = if pick(state, 10) < 4 {
            common[pick(state, common.len() as u64) as usize]
        } else {
            // Squared twice: few words make most of a text.
            let share = pick(state, 1_000_000) as f64 / 1_000_000.0;
            words[((share * share * share) * words.len() as f64) as usize]
        };
        text.push_str(word);
        text.push_str(if n % 18 == 17 { ". " } else { " " });
    }
    text
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (folder, items) = (arguments.next().unwrap(), arguments.next().unwrap().parse::<u64>().unwrap());
    let words: Vec<&str> = TABLE.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let common: Vec<&str> = COMMON.split(' ').collect();
    let url = format!("sqlite:{folder}/newswatch.sqlite");
    let store = Store::open(&url, Durability::Process).await.unwrap();
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
    let (mut state, mut frequencies, mut tokenizer) = (1u64, Frequencies::new(), Tokenizer::new());
    for batch in 0..items.div_ceil(BATCH) {
        let now = start + SignedDuration::from_mins(batch as i64 * 60);
        let mut claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(5), 1, 1).await.unwrap();
        let (mut source, claim) = claimed.pop().unwrap();
        source.next_at = now + SignedDuration::from_mins(30);
        let mut new_items = Vec::new();
        for n in batch * BATCH..((batch + 1) * BATCH).min(items) {
            let key = n.to_string();
            let id = Id::of(&["wire", &key]);
            let content = text(&mut state, &words, &common);
            let title = content.split(' ').take(9).collect::<Vec<_>>().join(" ");
            if n % 10 == 0 {
                frequencies.count(&tokenizer.read(&title, &content));
            }
            let item = Item {
                id,
                source: "wire".into(),
                url: Some(format!("https://wire.example/{key}")),
                key,
                title,
                summary: String::new(),
                content,
                article: String::new(),
                article_state: ArticleState::NotWanted,
                article_problem: String::new(),
                publisher: String::new(),
                language: "en".into(),
                published_at: Some(now),
                first_seen_at: now + SignedDuration::from_millis((n % BATCH) as i64),
                backlog: false,
            };
            new_items.push(NewItem { item, text_hash: 1, story: id, link: id, aliases: vec![] });
        }
        let visit = VisitResult {
            claim,
            state: source,
            before: Default::default(),
            new_items,
            edited_items: vec![],
            captures: Vec::new(),
            gap: None,
            memory: None,
        };
        store.commit_visits(&[visit], now).await.unwrap();
        let claims = store.claim_unscored("me", now, now + SignedDuration::from_mins(5), 10_000).await.unwrap();
        store.commit_matches(&MatchResult { scored: claims, ..MatchResult::default() }).await.unwrap();
    }
    let claims = store.claim_unscored("me", start, start, 1).await.unwrap();
    println!("{items} items in {url}, {} left to score", claims.len());
    // Counted from every tenth.
    let part = frequencies.encode();
    store.fold_frequencies(&[], 1, &part).await.unwrap();
    store.close().await;
}
