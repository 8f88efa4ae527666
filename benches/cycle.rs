//! A whole cycle: poll, read, score against the shipped profiles, commit durably. The first cycle brings every body, the second
//! is all 304.
//!
//! `cargo bench --bench cycle`. The feeds stand on 50 loopback addresses in this process, so the figures include serving.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on stops")]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use newswatch::config::Config;
use newswatch::daemon::{self, Options};

const FEEDS: usize = 1_000;
const HOSTS: usize = 50;
const ITEMS: usize = 12;

/// A feed of its own for each path; the ETag is the path.
async fn feed(uri: Uri, headers: HeaderMap) -> Response {
    let tag = format!("\"{}\"", uri.path());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut body = String::from("<rss version=\"2.0\"><channel><title>Bench</title>");
    for n in 0..ITEMS {
        let link = format!("http://bench.example{}/{n}", uri.path());
        let text = "The regional council has approved plans for a cycle bridge after months of delay, officials said on Tuesday. ".repeat(4);
        write!(body, "<item><title>Report {n} of {}</title><link>{link}</link><guid>{link}</guid><description>{text}</description></item>", uri.path()).unwrap();
    }
    body.push_str("</channel></rss>");
    ([(header::CONTENT_TYPE, "application/rss+xml".to_string()), (header::ETAG, tag)], body).into_response()
}

async fn serve() -> u16 {
    let first = tokio::net::TcpListener::bind((Ipv4Addr::new(127, 0, 1, 1), 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let mut listeners = vec![first];
    for host in 2..=HOSTS {
        listeners.push(tokio::net::TcpListener::bind((Ipv4Addr::new(127, 0, 1, host as u8), port)).await.unwrap());
    }
    for listener in listeners {
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(feed)).await });
    }
    port
}

fn configure(folder: &Path, port: u16) -> Config {
    let mut text = format!(
        "[store]\nurl = \"sqlite:{}\"\n[fetch]\nallow = [\"127.0.1.0/24\"]\ninterval_min = \"1s\"\nhost_gap = \"0s\"\nin_flight_max = 64\nrequests_per_second_max = 100000\n",
        folder.join("store.sqlite").display()
    );
    for n in 0..FEEDS {
        writeln!(text, "[[source]]\nname = \"s{n}\"\nurl = \"http://127.0.1.{}:{port}/s{n}\"", n % HOSTS + 1).unwrap();
    }
    std::fs::create_dir_all(folder.join("profiles.d")).unwrap();
    std::fs::write(folder.join("newswatch.toml"), text).unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles.d")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join("profiles.d").join(path.file_name().unwrap())).unwrap();
    }
    Config::load(Some(folder)).unwrap()
}

fn cycles(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let port = runtime.block_on(serve());
    let once = || Options { once: true, ..Options::default() };
    let mut group = criterion.benchmark_group("cycle");
    group.throughput(Throughput::Elements(FEEDS as u64)).sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("first", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir().unwrap(),
            |folder| {
                let config = configure(folder.path(), port);
                assert_eq!(runtime.block_on(daemon::run(config, once())).unwrap().items, (FEEDS * ITEMS) as u64);
                folder
            },
            criterion::BatchSize::PerIteration,
        );
    });
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), port);
    runtime.block_on(daemon::run(config.clone(), once())).unwrap();
    group.bench_function("unchanged", |bencher| {
        bencher.iter(|| assert_eq!(runtime.block_on(daemon::run(config.clone(), once())).unwrap().visits, FEEDS));
    });
    group.finish();
}

criterion_group!(benches, cycles);
criterion_main!(benches);
