//! How many due sources a second PostgreSQL hands out to watchers: `cargo run --example claims postgres://... [WATCHERS]`. It makes
//! 20,000 sources in the schema that the address names and leaves them there: use one of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on stops")]

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use newswatch::model::{ConfigurationHashes, Share, Watcher};
use newswatch::store::sources::ConfiguredSource;
use newswatch::store::{Durability, Store};

const SOURCES: usize = 20_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let watchers: u32 = arguments.next().map_or(4, |text| text.parse().unwrap());
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let store = Store::open(&url, Durability::Full).await.unwrap();
    let source = |n: usize| ConfiguredSource {
        name: format!("s{n}"),
        url: format!("https://h{n}.example/feed"),
        kind: "feed".into(),
        reader: "r".into(),
        host: format!("h{n}.example"),
        remembers: false,
        first_at: now,
    };
    let sources: Vec<ConfiguredSource> = (0..SOURCES).map(source).collect();
    store.configure_sources(&sources).await.unwrap();
    for index in 0..watchers {
        let own = Watcher {
            name: format!("w{index}"),
            owner: format!("w{index}"),
            machine: "m".into(),
            pid: 1,
            version: "1".into(),
            started_at: now,
            heartbeat_at: now,
            stopped_at: None,
            configuration: ConfigurationHashes::default(),
            configured_since: now,
            clock_offset: 0,
            problem: String::new(),
        };
        store.join_watchers(&own, &own.owner, &sources).await.unwrap();
    }
    let began = Instant::now();
    let work = (0..watchers).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let (share, mut claimed, mut calls) = (Some(Share { index, of: watchers }), 0, 0);
            loop {
                let until = now + SignedDuration::from_mins(20);
                let claims = store.claim_sources_of(&format!("w{index}"), share, now, until, 128, 4).await.unwrap();
                calls += 1;
                if claims.is_empty() {
                    return (claimed, calls);
                }
                claimed += claims.len();
            }
        })
    });
    let (mut claimed, mut calls) = (0, 0);
    for done in futures_util::future::join_all(work).await {
        let (of_one, of_calls) = done.unwrap();
        claimed += of_one;
        calls += of_calls;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{watchers} watchers claimed {claimed} sources in {calls} calls: {:.0} a second",
        claimed as f64 / seconds
    );
    let began = Instant::now();
    for n in 0..2_000 {
        drop(store.host_turn(&format!("h{n}.example"), std::time::Duration::from_secs(60)).await);
    }
    println!("2,000 turns of hosts one after the other: {:.0} a second", 2_000.0 / began.elapsed().as_secs_f64());
}
