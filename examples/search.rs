//! How long a search takes among many items, and what the index costs: fills a store, then asks it.
//!
//! `cargo run --release --example search -- FOLDER ITEMS [no-index]`. A folder that is filled already is used again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use newswatch::matcher::profile::Aliases;
use newswatch::matcher::search::Query;
use newswatch::model::{ArticleState, Id, Item};
use newswatch::search::{Order, Page, find};
use newswatch::store::items::NewItem;
use newswatch::store::search::{IndexState, SearchFilter};
use newswatch::store::sources::{ConfiguredSource, VisitResult};
use newswatch::store::{Durability, Store};

/// What a visit brings.
const BATCH: usize = 120;
/// Words of an item: most have a summary, one in eight an article.
const WORDS: (usize, usize) = (60, 500);
/// Every so many items comes from another source.
const RARE_SOURCE: usize = 5_000;
/// Each query is asked so often, each time another of its kind.
const ROUNDS: usize = 40;

const TABLE: &str = include_str!("../src/matcher/general.tsv");
const KOREAN: [&str; 12] =
    ["북한", "해킹", "거래소", "가상자산", "제재", "은행", "회의", "외교부", "대표단", "자금", "세탁", "조사"];
const PARTICLES: [&str; 5] = ["이", "을", "에서", "의", "은"];

fn pick(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// A word as rare as its place in the table: Zipf's law.
fn word<'w>(state: &mut u64, words: &[&'w str]) -> &'w str {
    let share = pick(state, 1_000_000) as f64 / 1_000_000.0;
    words[((words.len() as f64).powf(share) - 1.0) as usize % words.len()]
}

fn report(state: &mut u64, words: &[&str]) -> (String, String) {
    let title: Vec<&str> = (0..9).map(|_| word(state, words)).collect();
    let count = if pick(state, 8) == 0 { WORDS.1 } else { WORDS.0 };
    let mut text = String::new();
    if pick(state, 10) == 0 {
        for n in 0..count / 2 {
            text.push_str(KOREAN[pick(state, 12) as usize]);
            text.push_str(PARTICLES[pick(state, 5) as usize]);
            text.push_str(if n % 9 == 8 { ". " } else { " " });
        }
        return (title.join(" "), text);
    }
    for n in 0..count {
        text.push_str(word(state, words));
        text.push_str(if n % 18 == 17 { ". " } else { " " });
    }
    // Names stand side by side more often than chance has it.
    if pick(state, 200) == 0 {
        text.push_str("The Bank of Korea met the observer seat holders in Macao. ");
    }
    (title.join(" "), text)
}

fn item(number: usize, state: &mut u64, words: &[&str], at: Timestamp) -> NewItem {
    let (title, summary) = report(state, words);
    let key = format!("{number}");
    let item = Item {
        id: Id::of(&["wire", &key]),
        source: if number.is_multiple_of(RARE_SOURCE) { "rare".into() } else { "wire".into() },
        url: Some(format!("https://wire.example/reports/{key}")),
        key,
        title,
        summary,
        content: String::new(),
        article: String::new(),
        article_state: ArticleState::NotWanted,
        article_problem: String::new(),
        publisher: String::new(),
        language: "en".into(),
        published_at: Some(at),
        first_seen_at: at,
        backlog: false,
    };
    NewItem { text_hash: 1, story: item.id, link: item.id, aliases: vec![], item }
}

async fn fill(store: &Store, from: usize, to: usize, words: &[&str]) {
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
    let mut state = 7 + from as u64;
    let mut spent = std::time::Duration::ZERO;
    for batch in (from..to).step_by(BATCH) {
        let now = start + SignedDuration::from_secs(batch as i64 * 20);
        let items = (batch..(batch + BATCH).min(to)).map(|n| item(n, &mut state, words, now)).collect();
        let began = Instant::now();
        let mut claimed = store.claim_sources("me", now, now + SignedDuration::from_secs(1), 1, 1).await.unwrap();
        let (mut state, claim) = claimed.pop().unwrap();
        state.next_at = now;
        let visit = VisitResult {
            claim,
            state,
            before: Default::default(),
            new_items: items,
            edited_items: vec![],
            memory: None,
            captures: vec![],
            gap: None,
        };
        store.commit_visits(&[visit], now).await.unwrap();
        spent += began.elapsed();
        if batch / BATCH % 1_000 == 999 {
            println!(
                "{} items, {:.0} µs each",
                batch + BATCH,
                spent.as_micros() as f64 / (batch + BATCH - from) as f64
            );
        }
    }
    println!(
        "stored {} items in {spent:.1?}: {:.0} µs each",
        to - from,
        spent.as_micros() as f64 / (to - from).max(1) as f64
    );
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, items) = (&arguments[0], arguments[1].parse::<usize>().unwrap());
    let indexed = arguments.get(2).is_none_or(|word| word != "no-index");
    let is_postgres = folder.starts_with("postgres:");
    if !is_postgres {
        std::fs::create_dir_all(folder).unwrap();
    }
    let url = if is_postgres { folder.clone() } else { format!("sqlite:{folder}/search.sqlite") };
    let store = Store::open(&url, Durability::Process).await.unwrap().indexing(indexed);
    let words: Vec<&str> =
        TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next()).collect();
    let there = store.item_counts(Timestamp::UNIX_EPOCH).await.unwrap().0 as usize;
    if there < items {
        fill(&store, there, items, &words).await;
    }
    // An index that is not whole, as after an upgrade, is made so first.
    let began = Instant::now();
    let mut sum = 0;
    while indexed && store.index_state().await.unwrap() != IndexState::Whole {
        sum += store.index_more(200).await.unwrap().0;
    }
    if sum > 0 {
        println!("indexed {sum} items afterwards: {:.0} µs each", began.elapsed().as_micros() as f64 / sum as f64);
    }
    let (size, free) = store.size().await.unwrap();
    store.close().await;
    let used = (size - free).max(0);
    println!("{items} items, {} MB, {} bytes an item", used >> 20, used / items.max(1) as i64);
    if !indexed {
        return;
    }
    let store = Store::open(&url, Durability::Process).await.unwrap();
    println!("{:<34} {:>8} {:>8} {:>8} {:>8}   found", "query", "p50 ms", "p95 ms", "p99 ms", "max ms");
    let rank = |from: usize, round: usize| words[(from + 7 * round) % words.len()].to_string();
    let n = words.len();
    type Kind<'k> = (&'k str, Box<dyn Fn(usize) -> String + 'k>, SearchFilter, Order);
    let plain = SearchFilter::default;
    let kinds: Vec<Kind<'_>> = vec![
        ("one rare word", Box::new(|r| rank(n * 9 / 10, r)), plain(), Order::Newest),
        ("one middling word", Box::new(|r| rank(n / 20, r)), plain(), Order::Newest),
        ("one common word", Box::new(|r| rank(5, r)), plain(), Order::Newest),
        ("two common words", Box::new(|r| format!("{} {}", rank(5, r), rank(40, r))), plain(), Order::Newest),
        ("common and rare", Box::new(|r| format!("{} {}", rank(5, r), rank(n * 9 / 10, r))), plain(), Order::Newest),
        ("two rare words", Box::new(|r| format!("{} {}", rank(n / 2, r), rank(n * 3 / 4, r))), plain(), Order::Newest),
        ("phrase of a name", Box::new(|_| "\"Bank of Korea\"".into()), plain(), Order::Newest),
        ("phrase of common words", Box::new(|r| format!("\"{} {}\"", rank(5, r), rank(40, r))), plain(), Order::Newest),
        ("NEAR/5, common", Box::new(|r| format!("{} NEAR/5 {}", rank(5, r), rank(40, r))), plain(), Order::Newest),
        (
            "NEAR/5, rarer",
            Box::new(|r| format!("{} NEAR/5 {}", rank(n / 20, r), rank(n / 10, r))),
            plain(),
            Order::Newest,
        ),
        ("NEAR/sentence", Box::new(|_| "observer NEAR/sentence macao".into()), plain(), Order::Newest),
        ("title:", Box::new(|r| format!("title:{}", rank(100, r))), plain(), Order::Newest),
        ("prefix", Box::new(|r| format!("{}*", &rank(300, r)[..3])), plain(), Order::Newest),
        (
            "prefix and rare",
            Box::new(|r| format!("{}* {}", &rank(300, r)[..3], rank(n * 9 / 10, r))),
            plain(),
            Order::Newest,
        ),
        (
            "NEAR/5 of five common words",
            Box::new(|r| (0..5).map(|k| rank(5 + 13 * k, r)).collect::<Vec<_>>().join(" NEAR/5 ")),
            plain(),
            Order::Newest,
        ),
        ("Korean, two syllables", Box::new(|r| KOREAN[r % 12].into()), plain(), Order::Newest),
        (
            "Korean, two words",
            Box::new(|r| format!("{} {}", KOREAN[r % 12], KOREAN[(r + 5) % 12])),
            plain(),
            Order::Newest,
        ),
        (
            "OR and NOT",
            Box::new(|r| format!("({} OR {}) -{}", rank(900, r), rank(2_000, r), rank(5, r))),
            plain(),
            Order::Newest,
        ),
        ("nowhere", Box::new(|r| format!("quuxzork{r}")), plain(), Order::Newest),
        (
            "common word, --until",
            Box::new(|r| rank(5, r)),
            SearchFilter { until: Some("2026-01-20T00:00:00Z".parse().unwrap()), ..plain() },
            Order::Newest,
        ),
        (
            "common word, --since",
            Box::new(|r| rank(5, r)),
            SearchFilter { since: Some("2026-01-20T00:00:00Z".parse().unwrap()), ..plain() },
            Order::Newest,
        ),
        (
            "common word, --source",
            Box::new(|r| rank(5, r)),
            SearchFilter { source: Some("rare".into()), ..plain() },
            Order::Newest,
        ),
        ("prefix, best", Box::new(|r| format!("{}*", &rank(300, r)[..3])), plain(), Order::Best),
        (
            "Korean, two words, best",
            Box::new(|r| format!("{} {}", KOREAN[r % 12], KOREAN[(r + 5) % 12])),
            plain(),
            Order::Best,
        ),
        ("middling word, best", Box::new(|r| rank(n / 20, r)), plain(), Order::Best),
        ("common word, best", Box::new(|r| rank(5, r)), plain(), Order::Best),
    ];
    let mut all = Vec::new();
    for (name, text, filter, order) in &kinds {
        let (mut times, mut found) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let began = Instant::now();
            let mut query = Query::read(&text(round), &Aliases::none(), &[]).unwrap();
            let page = Page { order: *order, skip: 0, count: 20 };
            found += find(&store, &mut query, filter, page).await.unwrap().items.len();
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        all.extend(times.iter().copied());
        show(name, &mut times, found as f64 / ROUNDS as f64);
    }
    show("all", &mut all, 0.0);
}

fn show(name: &str, times: &mut [f64], found: f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{name:<34} {:>8.1} {:>8.1} {:>8.1} {:>8.1}   {found:.1}", at(0.5), at(0.95), at(0.99), at(1.0));
}
