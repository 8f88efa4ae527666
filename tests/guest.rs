//! What the network edge sends and follows, seen from the server's side.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use newswatch::clock::Clock;
use newswatch::config::FetchSettings;
use newswatch::fault::Fault;
use newswatch::poller::fetch::{Access, Fetch, FetchError, Request, Response, Validators};
use newswatch::poller::http::Http;
use newswatch::store::{Durability, Store};
use support::{Web, answer, page, rss};
use url::Url;

fn settings() -> FetchSettings {
    FetchSettings {
        contact: Some("mailto:desk@example.org".into()),
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        host_gap: std::time::Duration::ZERO,
        requests_per_second_max: 10_000,
        ..FetchSettings::default()
    }
}

fn fetch(http: &Http, request: Request) -> Result<Response, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(http.fetch(request))
}

fn feed(web: &Web, path: &str) -> Request {
    Request::get(Url::parse(&web.base).unwrap().join(path).unwrap(), "application/rss+xml")
}

#[test]
fn a_request_says_who_asks_and_carries_nothing_it_should_not() {
    let web = Web::start();
    let mut start = answer(302, "location", "/feed");
    start.headers.push(("set-cookie", "session=1".into()));
    web.put("/start", start).put("/feed", rss(&web.base, &[("1", "One", "")]));
    let http = Http::new(&settings()).unwrap();
    for _ in 0..2 {
        let response = fetch(&http, feed(&web, "/start")).unwrap();
        assert_eq!((response.status, response.url.path(), response.moved_for_good), (200, "/feed", false));
    }
    for headers in [web.requests("/start"), web.requests("/feed")].concat() {
        let agent = headers["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("newswatch/") && agent.ends_with("(+mailto:desk@example.org)"), "{agent}");
        assert_eq!(headers["accept"], "application/rss+xml");
        assert_eq!(headers["accept-encoding"], "gzip, br");
        for name in ["cookie", "referer", "authorization", "if-none-match", "cache-control"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[test]
fn validators_go_back_byte_for_byte_to_the_address_that_gave_them() {
    let web = Web::start();
    web.put("/old", answer(301, "location", "/new#top")).put("/new", rss(&web.base, &[("1", "One", "")]));
    let http = Http::new(&settings()).unwrap();
    let first = fetch(&http, feed(&web, "/old")).unwrap();
    assert!(first.moved_for_good);
    let odd = b"Mon,  5 Jan 2026 \xe9".to_vec();
    let validators = Validators { url: first.url, etag: first.etag.clone(), last_modified: Some(odd.clone()) };
    let request = Request { validators: Some(validators), ..feed(&web, "/old") };
    assert_eq!(fetch(&http, request).unwrap().status, 304);
    assert!(web.requests("/old").iter().all(|headers| !headers.contains_key("if-none-match")));
    let asked = web.requests("/new").pop().unwrap();
    assert_eq!(asked["if-none-match"].as_bytes(), first.etag.unwrap());
    assert_eq!(asked["if-modified-since"].as_bytes(), odd);
}

#[test]
fn robots_txt_is_asked_once_and_obeyed_at_each_hop() {
    let web = Web::start();
    web.put("/robots.txt", page("text/plain", "User-agent: *\nDisallow: /private/\n"))
        .put("/open", page("text/html", "<p>text"))
        .put("/private/a", page("text/html", "<p>text"))
        .put("/way", answer(302, "location", "/private/a"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("s.sqlite").display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let asked = |http: &Http, path: &str| {
        let request = Request { heeds_robots: true, ..feed(&web, path) };
        runtime.block_on(http.fetch(request)).map(|response| response.status).map_err(|error| error.fault)
    };
    // The second one is a restart: the store knows what the site said.
    for _ in 0..2 {
        let store = runtime.block_on(Store::open(&url, Durability::Process)).unwrap();
        let http = Http::new(&settings()).unwrap().with_store(store, Clock::system());
        assert_eq!(asked(&http, "/open"), Ok(200));
        assert_eq!(asked(&http, "/private/a"), Err(Fault::Robots));
        assert_eq!(asked(&http, "/way"), Err(Fault::Robots));
        assert_eq!(asked(&http, "/missing"), Ok(404));
    }
    assert_eq!((web.requests("/robots.txt").len(), web.requests("/private/a").len()), (1, 0));
    // A feed is made for programs.
    assert_eq!(runtime.block_on(Http::new(&settings()).unwrap().fetch(feed(&web, "/private/a"))).unwrap().status, 200);
}

#[test]
fn while_robots_txt_fails_no_page_is_asked() {
    let web = Web::start();
    web.put("/robots.txt", answer(503, "x-a", "b")).put("/page", page("text/html", "<p>text"));
    let http = Http::new(&settings()).unwrap();
    let error = fetch(&http, Request { heeds_robots: true, ..feed(&web, "/page") }).unwrap_err();
    assert_eq!(error.fault, Fault::RobotsUnreachable);
    assert!(error.text.contains("/robots.txt cannot be had"), "{error}");
    assert_eq!(web.requests("/page").len(), 0);
}

#[test]
fn secrets_stay_at_their_own_site() {
    let (web, other) = (Web::start(), Web::start());
    web.put("/members", answer(302, "location", format!("{}/feed", other.base)));
    other.put("/feed", rss(&other.base, &[("1", "One", "")]));
    let access = Access {
        headers: vec![("authorization".into(), "Bearer hunter2".into())],
        proxy: None,
        site: Some(Url::parse(&web.base).unwrap()),
    };
    assert!(!format!("{access:?}").contains("hunter2"));
    let request = Request { access: Some(Arc::new(access)), ..feed(&web, "/members") };
    assert_eq!(fetch(&Http::new(&settings()).unwrap(), request).unwrap().status, 200);
    assert_eq!(web.requests("/members")[0]["authorization"], "Bearer hunter2");
    assert!(!other.requests("/feed")[0].contains_key("authorization"));
}

#[test]
fn a_way_inwards_is_refused_before_anybody_is_asked() {
    let web = Web::start();
    let port = web.base.rsplit(':').next().unwrap().to_string();
    web.put("/robots.txt", answer(301, "location", format!("http://127.0.0.2:{port}/")))
        .put("/in", answer(301, "location", format!("http://127.0.0.2:{port}/")))
        .put("/login", answer(302, "location", format!("http://me:secret@127.0.0.1:{port}/")))
        .put("/page", page("text/html", "<p>text"));
    let http = Http::new(&FetchSettings { deny: vec!["127.0.0.1/32".parse().unwrap()], ..settings() }).unwrap();
    assert_eq!(fetch(&http, feed(&web, "/page")).unwrap_err().fault, Fault::Refused, "denied by name");
    let http = Http::new(&settings()).unwrap();
    assert_eq!(fetch(&http, feed(&web, "/in")).unwrap_err().fault, Fault::Refused);
    assert_eq!(fetch(&http, feed(&web, "/login")).unwrap_err().fault, Fault::BadRedirect);
    // A robots.txt that leads inwards is none.
    assert_eq!(fetch(&http, Request { heeds_robots: true, ..feed(&web, "/page") }).unwrap().status, 200);
    assert_eq!(web.requests("/").len(), 0);
}

#[test]
fn what_is_too_large_or_endless_is_cut_and_named() {
    let web = Web::start();
    let mut bomb = page("application/rss+xml", gzip(&vec![b' '; 3_000_000]));
    bomb.headers.push(("content-encoding", "gzip".into()));
    web.put("/large", page("application/rss+xml", vec![b' '; 3_000_000]))
        .put("/bomb", bomb)
        .put("/loop", answer(301, "location", "/loop"))
        .put("/nowhere", answer(302, "x-location", "/"))
        .put("/long", answer(302, "location", format!("/{}", "x".repeat(9_000))))
        .put("/error", support::Page { status: 500, ..page("text/html", vec![b'x'; 3_000_000]) });
    let http = Http::new(&FetchSettings { body_bytes_max: 2_000_000, ..settings() }).unwrap();
    for (path, fault) in [
        ("/large", Fault::TooLarge),
        ("/bomb", Fault::TooLarge),
        ("/loop", Fault::RedirectLoop),
        ("/nowhere", Fault::BadRedirect),
        ("/long", Fault::BadRedirect),
    ] {
        assert_eq!(fetch(&http, feed(&web, path)).unwrap_err().fault, fault, "{path}");
    }
    assert_eq!(web.requests("/loop").len(), 6);
    let error = fetch(&http, feed(&web, "/error")).unwrap();
    assert!(error.status == 500 && error.body.len() < 100_000);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn old_rules_go_on_while_robots_txt_fails_and_its_site_is_not_pressed() {
    let web = Web::start();
    web.put("/robots.txt", page("text/plain", "User-agent: *\nDisallow: /private/\n"))
        .put("/open", page("text/html", "<p>text"))
        .put("/private/a", page("text/html", "<p>text"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("s.sqlite").display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = runtime.block_on(Store::open(&url, Durability::Process)).unwrap();
    let clock = Clock::simulated(jiff::Timestamp::from_second(1_800_000_000).unwrap());
    let http = Http::new(&settings()).unwrap().with_store(store, clock.clone());
    let asked = |path: &str| {
        let request = Request { heeds_robots: true, ..feed(&web, path) };
        runtime.block_on(http.fetch(request)).map(|response| response.status).map_err(|error| error.fault)
    };
    assert_eq!(asked("/open"), Ok(200));
    web.put("/robots.txt", answer(500, "x-a", "b"));
    clock.set(clock.now() + jiff::SignedDuration::from_hours(30));
    for _ in 0..5 {
        assert_eq!((asked("/open"), asked("/private/a")), (Ok(200), Err(Fault::Robots)));
    }
    assert_eq!(web.requests("/robots.txt").len(), 2);
    // A packing that cannot be undone says nothing, so nothing is allowed.
    let other = Web::start();
    let mut broken = page("text/plain", [0x1f, 0x8b, 0x08, 0, 1, 2, 3].to_vec());
    broken.headers.push(("content-encoding", "gzip".into()));
    other.put("/robots.txt", broken).put("/page", page("text/html", "<p>text"));
    let request = Request { heeds_robots: true, ..feed(&other, "/page") };
    assert_eq!(fetch(&Http::new(&settings()).unwrap(), request).unwrap_err().fault, Fault::RobotsUnreachable);
}

#[test]
fn a_site_that_asks_to_be_left_alone_is_asked_for_no_more_pages() {
    let web = Web::start();
    web.put("/a", answer(429, "retry-after", "3600")).put("/b", page("text/html", "<p>text"));
    let http = Http::new(&settings()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = |path: &str| runtime.block_on(http.fetch(Request { heeds_robots: true, ..feed(&web, path) }));
    assert_eq!(asked("/a").unwrap().status, 429);
    let error = asked("/b").unwrap_err();
    assert!(error.fault == Fault::SlowDown && error.text.contains("asked to be left alone for another"), "{error}");
    assert_eq!(web.requests("/b").len(), 0);
}
