//! What newswatch makes of a source's answers from visit to visit: the real poller and store, a scripted web, a clock of the
//! test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::fault::Fault;
use newswatch::model::{Health, SourceState};
use newswatch::poller::fetch::{Fetch, FetchError, Request, Response};
use newswatch::poller::visit::Visitor;
use newswatch::poller::{self, Poller};
use newswatch::store::{Durability, Store};
use url::Url;

type Answer = Result<Response, FetchError>;

/// Answers of each host in turn; the last one again and again. A host without any never answers.
#[derive(Default)]
struct Script {
    answers: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<Request>>,
}

impl Fetch for Script {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Answer> {
        let mut answers = self.answers.lock().unwrap();
        let Some(turn) = answers.get_mut(request.url.host_str().unwrap()) else {
            self.asked.lock().unwrap().push(request);
            return Box::pin(std::future::pending());
        };
        let answer = if turn.len() > 1 { turn.pop_front().unwrap() } else { turn[0].clone() };
        self.asked.lock().unwrap().push(request);
        Box::pin(async move { answer })
    }
}

/// Sources on hosts a.example, b.example, …, asked by the hour.
struct World {
    script: Arc<Script>,
    store: Store,
    poller: Poller,
    now: Timestamp,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(hosts: &[&str]) -> World {
        World::with(hosts, "").await
    }

    /// Each source has these settings, too.
    async fn with(hosts: &[&str], more: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let sources: String = hosts
            .iter()
            .map(|host| format!("[[source]]\nname = \"{host}\"\nurl = \"http://{host}.example/feed\"\n{more}\n"))
            .collect();
        std::fs::write(folder.path().join("newswatch.toml"), sources).unwrap();
        std::fs::create_dir(folder.path().join("profiles.d")).unwrap();
        let profile = "name = \"p\"\nthreshold = 1.0\n[[phrase]]\ntext = \"port strike\"\nweight = 1.0\n";
        std::fs::write(folder.path().join("profiles.d/p.toml"), profile).unwrap();
        let config = Config::load(Some(folder.path())).unwrap();
        let url = format!("sqlite:{}", folder.path().join("s.sqlite").display());
        let store = Store::open(&url, Durability::Process).await.unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Clock::simulated(now);
        store.configure_sources(&poller::configured(&config.sources, &config.fetch, now)).await.unwrap();
        let script = Arc::new(Script::default());
        let visitor = Visitor::new(script.clone(), store.clone(), Arc::new(config.fetch.clone()), false, clock.clone());
        let poller = Poller::new(visitor, &config.sources, "test");
        World { script, store, poller, now: now + SignedDuration::from_mins(5), clock, _folder: folder }
    }

    fn answers(&self, host: &str, answers: impl IntoIterator<Item = Answer>) {
        self.script.answers.lock().unwrap().insert(format!("{host}.example"), answers.into_iter().collect());
    }

    /// All visits that are due now.
    async fn visit(&mut self) {
        self.clock.set(self.now);
        let mut quiet = 0;
        while quiet < 2 {
            let (progress, _) = self.poller.step(self.now).await.unwrap();
            let busy = !self.poller.is_idle();
            if busy {
                self.poller.visit_finished().await;
            }
            quiet = if busy || progress.visits > 0 { 0 } else { quiet + 1 };
        }
    }

    async fn after(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
        self.visit().await;
    }

    async fn source(&self, name: &str) -> SourceState {
        self.store.sources().await.unwrap().into_iter().find(|source| source.name == name).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.script.asked.lock().unwrap()).iter().map(|request| request.url.to_string()).collect()
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn rss(first: usize, count: usize) -> Vec<u8> {
    let item = |n| format!("<item><title>Report {n}</title><link>http://a.example/{n}</link><guid>g{n}</guid></item>");
    let items: String = (first..first + count).map(item).collect();
    format!("<rss version='2.0'><channel><title>t</title>{items}</channel></rss>").into_bytes()
}

fn good(address: &str) -> Answer {
    Ok(Response { etag: Some(b"\"1\"".to_vec()), ..Response::new(200, url(address), rss(0, 4)) })
}

fn status(status: u16) -> Answer {
    Ok(Response::new(status, url("http://a.example/feed"), Vec::new()))
}

fn moved(address: &str) -> Answer {
    Ok(Response { moved_for_good: true, ..good(address)? })
}

#[tokio::test]
async fn a_permanent_redirect_is_believed_after_three_proofs() {
    let mut world = World::new(&["a"]).await;
    world.answers("a", [moved("http://a.example/1"), moved("http://a.example/2")]);
    for _ in 0..3 {
        world.after(8).await;
    }
    assert_eq!(world.asked(), ["http://a.example/feed"; 3], "two proofs for the second address");
    world.after(8).await;
    assert_eq!(world.source("a").await.asked_url(), "http://a.example/2");
    world.asked();
    // Nothing at the new address: the configured one is asked once, and when there is nothing either, the new one again.
    world.answers("a", [good("http://a.example/2"), status(404), status(404), good("http://a.example/2")]);
    for _ in 0..4 {
        world.after(25).await;
    }
    let (new, old) = ("http://a.example/2", "http://a.example/feed");
    assert_eq!(world.asked(), [new, new, old, new]);
    assert_eq!(world.source("a").await.asked_url(), new);
    // Our own network is no reason to forget it.
    world.answers("a", [Err(FetchError::new(Fault::UnknownHost, "unknown host")), good(new)]);
    for _ in 0..4 {
        world.after(25).await;
    }
    assert_eq!(world.asked(), [new; 4]);
}

#[tokio::test]
async fn a_temporary_redirect_is_never_remembered() {
    let mut world = World::new(&["a"]).await;
    world.answers("a", [moved("http://a.example/1"), moved("http://a.example/1"), good("http://a.example/1")]);
    for _ in 0..6 {
        world.after(8).await;
    }
    assert_eq!(world.asked(), ["http://a.example/feed"; 6]);
}

#[tokio::test]
async fn gone_twice_a_day_apart_is_gone() {
    let mut world = World::new(&["a"]).await;
    world.answers("a", [good("http://a.example/feed"), status(410), status(410), good("http://a.example/feed")]);
    world.visit().await;
    world.after(8).await;
    let once = world.source("a").await;
    assert_eq!((once.health, once.fault), (Health::Failing, Some(Fault::Gone)));
    world.after(30).await;
    let twice = world.source("a").await;
    assert_eq!(twice.health, Health::Retired);
    assert!(twice.next_reason.starts_with("never: its publisher says it is gone"), "{}", twice.next_reason);
    world.store.make_all_due(world.now).await.unwrap();
    world.after(10_000).await;
    assert_eq!(world.asked().len(), 3, "a source that is gone is not asked any more");
    assert!(world.store.pause_source("a", false, world.now).await.unwrap());
    world.now += SignedDuration::from_mins(2);
    world.visit().await;
    assert_eq!((world.source("a").await.health, world.asked().len()), (Health::Fine, 1));
}

#[tokio::test]
async fn what_the_publisher_asks_for_outlasts_answers_without_it() {
    let mut world = World::new(&["a"]).await;
    let address = "http://a.example/feed";
    let slow =
        b"<rss><channel><ttl>600</ttl><title>t</title><item><title>x</title><guid>1</guid></item></channel></rss>";
    let unchanged = Response::new(304, url(address), Vec::new());
    let first = Response { etag: Some(b"\"1\"".to_vec()), ..Response::new(200, url(address), slow.to_vec()) };
    world.answers("a", [Ok(first), Ok(unchanged)]);
    world.visit().await;
    world.after(11).await;
    let source = world.source("a").await;
    assert_eq!(source.next_reason, "the feed asks (ttl) for a pause of 10 h");
    assert!(source.next_at >= world.now + SignedDuration::from_hours(10));
    let busy = Response { retry_after: Some("90000".into()), ..Response::new(429, url(address), Vec::new()) };
    world.answers("a", [Ok(busy)]);
    world.after(12).await;
    let source = world.source("a").await;
    assert_eq!(
        (source.fault, source.next_reason.as_str()),
        (Some(Fault::SlowDown), "the publisher asked to wait 1 day 1 h")
    );
    assert!(source.next_at >= world.now + SignedDuration::from_hours(25));
}

#[tokio::test]
async fn each_refusal_has_its_name() {
    let mut world = World::new(&["a"]).await;
    let with_body = |status, body: &str| Ok(Response::new(status, url("http://a.example/feed"), body.into()));
    let check = "<html><title>Just a moment...</title></html>";
    let cases: Vec<(Answer, Fault, &str)> = vec![
        (with_body(403, check), Fault::BotCheck, "does not evade it"),
        (with_body(200, check), Fault::BotCheck, "does not evade it"),
        (with_body(200, "<html><title>Log in</title></html>"), Fault::NotAFeed, "an HTML page titled \"Log in\""),
        (status(401), Fault::LoginWanted, "status 401"),
        (status(404), Fault::NotFound, "newswatch probe"),
        (status(503), Fault::ServerTrouble, "status 503"),
        (status(999), Fault::OddStatus, "status 999"),
    ];
    for (answer, fault, words) in cases {
        world.answers("a", [answer]);
        world.after(25).await;
        let source = world.source("a").await;
        assert_eq!(source.fault, Some(fault));
        assert!(source.error.contains(words), "{}", source.error);
    }
}

#[tokio::test]
async fn not_modified_to_a_question_without_validators_is_no_answer() {
    let mut world = World::new(&["a"]).await;
    let without = |status| Ok(Response::new(status, url("http://a.example/feed"), rss(0, 4)));
    world.answers("a", [without(200), without(304)]);
    world.visit().await;
    world.after(25).await;
    assert_eq!(world.source("a").await.fault, Some(Fault::OddStatus));
    world.answers("a", [good("http://a.example/feed"), status(304)]);
    world.after(25).await;
    world.after(25).await;
    assert_eq!(world.source("a").await.health, Health::Fine);
}

#[tokio::test]
async fn dead_hosts_are_no_outage() {
    let hosts = ["a", "b", "c", "d", "e", "f", "g"];
    let mut world = World::new(&hosts).await;
    for host in hosts {
        world.answers(host, [Err(FetchError::new(Fault::UnknownHost, "unknown host"))]);
    }
    world.answers("g", [good("http://g.example/feed")]);
    for _ in 0..48 {
        world.after(1).await;
    }
    let asked = world.asked();
    let dead = asked.iter().filter(|url| !url.contains("g.example")).count();
    assert!(dead < 6 * 16, "{dead} requests to hosts that never answered");
}

#[tokio::test]
async fn a_list_that_shows_only_new_things_may_have_lost_some() {
    let mut world = World::new(&["a"]).await;
    let page = |first| Ok(Response::new(200, url("http://a.example/feed"), rss(first, 4)));
    world.answers("a", [page(0), page(3), page(90), page(91)]);
    world.visit().await;
    for (words, new) in [("", 7), ("everything it shows is new", 11), ("", 12)] {
        world.after(8).await;
        let source = world.source("a").await;
        assert!(source.error.contains(words) && source.error.is_empty() == words.is_empty(), "{}", source.error);
        assert_eq!((source.health, source.items), (Health::Fine, new));
    }
}

#[tokio::test]
async fn after_an_outage_of_the_network_everybody_is_asked_soon() {
    let hosts = ["a", "b", "c", "d", "e", "f"];
    let mut world = World::new(&hosts).await;
    for host in hosts {
        world.answers(host, [good(&format!("http://{host}.example/feed"))]);
    }
    world.visit().await;
    let down = || Err(FetchError::new(Fault::UnknownHost, "unknown host"));
    for host in hosts {
        world.answers(host, [down()]);
    }
    for _ in 0..6 {
        world.after(7).await;
    }
    for host in hosts {
        world.answers(host, [good(&format!("http://{host}.example/feed"))]);
    }
    // The first one that is due finds the network again; the others were put off for hours.
    world.now = world.store.next_source_due(world.now).await.unwrap().unwrap();
    world.visit().await;
    world.now += SignedDuration::from_mins(3);
    world.visit().await;
    for host in hosts {
        assert_eq!(world.source(host).await.health, Health::Fine, "{host}");
    }
}

#[tokio::test]
async fn what_a_source_shows_does_not_wait_for_its_articles() {
    let mut world = World::with(&["a"], "article = true").await;
    let item = |host: &str, n: u32| {
        format!("<item><title>Report {n}</title><link>http://{host}.example/{n}</link><guid>{n}</guid></item>")
    };
    let feed = |items: String| {
        let body = format!("<rss version='2.0'><channel><title>t</title>{items}</channel></rss>");
        Ok(Response::new(200, url("http://a.example/feed"), body.into_bytes()))
    };
    let page = "<title>Report</title><article><p>The port strike is over, and the ferries sail again as they did.</p></article>";
    world.answers("quick", [Ok(Response::new(200, url("http://quick.example/1"), page.into()))]);
    // The second article's host never answers.
    world.answers("a", [feed(item("quick", 1) + &item("silent", 2))]);
    world.clock.set(world.now);
    while world.store.item_counts(Timestamp::UNIX_EPOCH).await.unwrap().0 < 2 || world.asked().is_empty() {
        world.poller.step(world.now).await.unwrap();
        world.poller.visit_finished().await;
    }
    // Both are stored; the one with its article can be scored, the other waits for it, but not for ever.
    let mut claimed = Vec::new();
    while claimed.is_empty() {
        world.poller.step(world.now).await.unwrap();
        tokio::task::yield_now().await;
        claimed =
            world.store.claim_unscored("m", world.now, world.now + SignedDuration::from_hours(1), 10).await.unwrap();
    }
    assert_eq!(claimed.len(), 1);
    assert!(world.store.item(claimed[0].0).await.unwrap().unwrap().article.contains("The port strike is over"));
    let later = world.now + SignedDuration::from_mins(6);
    let rest = world.store.claim_unscored("m", later, later + SignedDuration::from_hours(1), 10).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(world.store.item(rest[0].0).await.unwrap().unwrap().title, "Report 2");
}
