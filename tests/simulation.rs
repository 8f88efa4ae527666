//! A week of 300 sources with failures and crashes, on a simulated clock: the promises of the program as properties.
//!
//! The three loops run by their steps, exactly as the daemon runs them, against a real store, a seeded web and a seeded channel.
//! A crash throws the loops away at a point where work is done but not yet recorded, and builds them anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::fault::Fault;
use newswatch::matcher::Matcher;
use newswatch::model::{DeliveryKind, Id, Share, Watcher};
use newswatch::notifier::Notifier;
use newswatch::notifier::channel::{Channel, DeliveryError, Message};
use newswatch::poller::fetch::{Fetch, FetchError, Request, Response};
use newswatch::poller::visit::Visitor;
use newswatch::poller::{self, Poller};
use newswatch::store::hits::HitFilter;
use newswatch::store::{Durability, Store};

const STEP: SignedDuration = SignedDuration::from_mins(15);
const RECIPIENT: &str = "desk@example.org";

/// A number below `below` that depends on the parts alone.
fn pick(parts: &[&str], below: u64) -> u64 {
    Id::of(parts).0 as u64 % below
}

/// What the web shows and what it was asked.
struct Web {
    seed: String,
    clock: Clock,
    start: Timestamp,
    /// Items are more or less on topic, and some are edited: see [`Web::words`].
    shades: bool,
    /// Nothing fails any more.
    healed: Mutex<bool>,
    /// Addresses that an answer showed in full, and whether the source's first answer showed them.
    shown: Mutex<BTreeMap<String, bool>>,
    first_answers: Mutex<BTreeSet<String>>,
    /// Hosts that are being asked, and whether one was ever asked twice at once.
    asked: Mutex<(BTreeSet<String>, bool)>,
}

impl Web {
    /// The items that source `n` has published at `now`, the newest first: a window of 12, one every few hours.
    fn items(&self, n: usize, now: Timestamp) -> Vec<(String, bool)> {
        let source = n.to_string();
        let hours_between = 2 + pick(&[&self.seed, "rate", &source], 30) as i64;
        let elapsed = now.duration_since(self.start).as_hours() + 40 * hours_between;
        let newest = elapsed / hours_between;
        (newest - 11..=newest)
            .rev()
            .map(|k| {
                let on_topic = pick(&[&self.seed, "topic", &source, &k.to_string()], 10) == 0;
                (format!("https://h{}.example/s{n}/{k}", n % 100), on_topic)
            })
            .collect()
    }

    /// What the item of this address says at `now`.
    fn words(&self, url: &str, on_topic: bool, now: Timestamp) -> String {
        let plain = if on_topic { "The observer seat was taken away today." } else { "A quiet day in the harbour." };
        if !self.shades {
            return plain.to_string();
        }
        let mut words = plain.to_string();
        for word in ["observer", "status", "delegation", "plenary", "suspended", "laundering", "council", "vote"] {
            if pick(&[&self.seed, "word", url, word], 4) == 0 {
                write!(words, " They spoke of the {word} matter.").unwrap();
            }
        }
        // Every third item is edited when a day of the simulation is over; some then come on topic.
        let days = now.duration_since(self.start).as_hours() / 24;
        if days > 0 && pick(&[&self.seed, "edit", url], 3) == 0 {
            let word = ["observer", "suspended", "plenary"][pick(&[&self.seed, "news", url], 3) as usize];
            write!(words, " Update {days}: {word} {word} {word}.").unwrap();
        }
        words
    }

    fn answer(&self, request: &Request) -> Result<Response, FetchError> {
        let now = self.clock.now();
        let n: usize = request.url.path().trim_start_matches("/s").trim_end_matches("/feed").parse().unwrap();
        let hour = now.duration_since(self.start).as_hours().to_string();
        let source = n.to_string();
        let luck = pick(&[&self.seed, "luck", &source, &hour], 100);
        let healthy = *self.healed.lock().unwrap();
        let mut response = Response::new(200, request.url.clone(), Vec::new());
        response.content_type = Some("application/rss+xml".into());
        match luck {
            _ if healthy => {}
            0..=2 => return Err(FetchError::new(Fault::Slow, "no answer within 60 s")),
            3 => return Err(FetchError::new(Fault::NoConnection, "connection refused")),
            4 => return Ok(Response { status: 503, retry_after: Some("7200".into()), ..response }),
            5 => return Ok(Response { status: 500, ..response }),
            6 => {
                return Ok(Response {
                    body: b"<html><title>Log in</title><body>Please log in</body></html>".to_vec(),
                    ..response
                });
            }
            _ => {}
        }
        let items = self.items(n, now);
        let etag = format!("\"{}\"", Id::of(&[&items[0].0])).into_bytes();
        if request.validators.as_ref().and_then(|validators| validators.etag.as_ref()) == Some(&etag) {
            return Ok(Response { status: 304, ..response });
        }
        let mut body = String::from("<rss version=\"2.0\"><channel><title>t</title>");
        for (url, on_topic) in &items {
            let words = self.words(url, *on_topic, now);
            write!(body, "<item><title>Report {}</title><link>{url}</link><guid>{url}</guid><description>{words}</description></item>", &url[20..]).unwrap();
        }
        body.push_str("</channel></rss>");
        let first = self.first_answers.lock().unwrap().insert(source);
        let mut shown = self.shown.lock().unwrap();
        for (url, _) in items {
            shown.entry(url).or_insert(first);
        }
        response.etag = Some(etag);
        response.body = body.into_bytes();
        Ok(response)
    }
}

impl Fetch for Web {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(async move {
            let host = request.url.host_str().unwrap().to_string();
            {
                let mut asked = self.asked.lock().unwrap();
                if !asked.0.insert(host.clone()) {
                    asked.1 = true;
                }
            }
            tokio::task::yield_now().await;
            let answer = self.answer(&request);
            self.asked.lock().unwrap().0.remove(&host);
            answer
        })
    }
}

/// The web as several watchers ask it: each host in turn.
struct InTurn {
    web: Arc<Web>,
    store: Store,
}

impl Fetch for InTurn {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(async move {
            let host = request.url.host_str().unwrap().to_string();
            let _turn = self.store.host_turn(&host, std::time::Duration::from_secs(5)).await;
            self.web.fetch(request).await
        })
    }
}

/// A schema on the server that NEWSWATCH_TEST_POSTGRES names, dropped by [`Schema::drop`].
struct Schema {
    server: String,
    name: String,
}

impl Schema {
    async fn new(name: &str) -> Option<Schema> {
        let server = std::env::var("NEWSWATCH_TEST_POSTGRES").ok()?;
        let schema = Schema { server, name: format!("{name}_{}", std::process::id()) };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name)).await;
        Some(schema)
    }

    fn url(&self) -> String {
        let join = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{join}options[search_path]={}", self.server, self.name)
    }

    async fn execute(&self, sql: &str) {
        sqlx::any::install_default_drivers();
        let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&self.server).await.unwrap();
        sqlx::Executor::execute(&mut connection, sqlx::AssertSqlSafe(sql.to_string())).await.unwrap();
    }

    async fn drop(self) {
        self.execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await;
    }
}

/// One watcher's work at a moment; false when it dies of it.
async fn work(loops: &mut Loops, now: Timestamp, fate: u64) -> bool {
    loop {
        loops.poller.step(now).await.unwrap();
        if loops.poller.is_idle() {
            break;
        }
        loops.poller.visit_finished().await;
        if fate == 0 {
            return false;
        }
    }
    while loops.matcher.step(now).await.unwrap().0.items > 0 {}
    for round in 0..50 {
        loops.notifier.step(now).await.unwrap();
        if fate == 1 && !loops.notifier.is_idle() {
            return false;
        }
        if loops.notifier.is_idle() && round > 0 {
            break;
        }
        if !loops.notifier.is_idle() {
            loops.notifier.delivery_finished().await;
        }
    }
    fate != 2
}

/// Takes messages, sometimes refuses, and keeps what it took.
#[derive(Debug)]
struct Post {
    seed: String,
    clock: Clock,
    taken: Mutex<Vec<(Id, String, Vec<String>)>>,
    /// The sender is killed before it hears what became of its message.
    deadly: Mutex<bool>,
    killed: tokio::sync::Notify,
}

impl Channel for Post {
    fn kind(&self) -> &'static str {
        "test"
    }
    fn describe(&self) -> String {
        "test".into()
    }
    fn needs_recipients(&self) -> bool {
        true
    }
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let now = self.clock.now().as_second().to_string();
            let refused = pick(&[&self.seed, "post", &now, &message.id.to_string()], 5) == 0;
            if !refused {
                let urls = message.hits.iter().filter_map(|hit| hit.item.url.clone()).collect();
                self.taken.lock().unwrap().push((message.id, message.route.clone(), urls));
            }
            if *self.deadly.lock().unwrap() {
                self.killed.notify_one();
                std::future::pending::<()>().await;
            }
            if refused { Err(DeliveryError::Temporary("451 come back later".into())) } else { Ok(()) }
        })
    }
}

struct World {
    web: Arc<Web>,
    post: Arc<Post>,
    clock: Clock,
    config: Arc<Config>,
    store: Store,
    lives: usize,
}

struct Loops {
    poller: Poller,
    matcher: Matcher,
    notifier: Notifier,
}

impl World {
    async fn new(seed: &str, sources: usize, folder: &Path) -> World {
        let profile = "name = \"apg\"\nthreshold = 1.0\n[[phrase]]\ntext = \"observer seat\"\nweight = 1.0\n";
        World::with_profiles(seed, sources, folder, &[("apg", profile)], false).await
    }

    async fn with_profiles(
        seed: &str,
        sources: usize,
        folder: &Path,
        profiles: &[(&str, &str)],
        shades: bool,
    ) -> World {
        let start: Timestamp = "2026-03-23T00:00:00Z".parse().unwrap();
        let clock = Clock::simulated(start);
        let mut text = String::from(
            "[fetch]\ninterval = \"2h\"\nhost_gap = \"0s\"\n[[channel]]\nname = \"post\"\nkind = \"email\"\nserver = \"localhost\"\nsecurity = \"none\"\nfrom = \"w@example.org\"\n\
             [[route]]\nname = \"alerts\"\nchannel = \"post\"\nto = [\"desk@example.org\"]\n\
             [[route]]\nname = \"digest\"\nchannel = \"post\"\nto = [\"desk@example.org\"]\n[route.digest]\nat = [\"02:30\"]\ntime_zone = \"Europe/Zurich\"\n",
        );
        for n in 0..sources {
            writeln!(text, "[[source]]\nname = \"s{n}\"\nurl = \"https://h{}.example/s{n}/feed\"", n % 100).unwrap();
        }
        std::fs::create_dir_all(folder.join("profiles.d")).unwrap();
        std::fs::write(folder.join("newswatch.toml"), text).unwrap();
        for (name, profile) in profiles {
            std::fs::write(folder.join(format!("profiles.d/{name}.toml")), profile).unwrap();
        }
        let mut config = Config::load(Some(folder)).unwrap();
        let post = Arc::new(Post {
            seed: seed.into(),
            clock: clock.clone(),
            taken: Mutex::default(),
            deadly: Mutex::default(),
            killed: tokio::sync::Notify::new(),
        });
        config.channels.insert("post".into(), post.clone());
        let web = Arc::new(Web {
            seed: seed.into(),
            clock: clock.clone(),
            start,
            shades,
            healed: Mutex::new(false),
            shown: Mutex::default(),
            first_answers: Mutex::default(),
            asked: Mutex::default(),
        });
        let url = format!("sqlite:{}", folder.join("newswatch.sqlite").display());
        let store = Store::open(&url, Durability::Process).await.unwrap().lock().unwrap();
        World::on(store, post, web, clock, config)
    }

    fn on(store: Store, post: Arc<Post>, web: Arc<Web>, clock: Clock, config: Config) -> World {
        World { web, post, clock, config: Arc::new(config), store, lives: 0 }
    }

    /// The same world on PostgreSQL, in a schema of its own.
    async fn on_postgres(self, schema: &Schema) -> World {
        self.store.close().await;
        let store = Store::open(&schema.url(), Durability::Full).await.unwrap();
        World { store, ..self }
    }

    /// What the daemon does at its start beside others.
    async fn join(&mut self, name: &str, share: Share) -> Loops {
        self.lives += 1;
        let (owner, now) = (format!("{name} life {}", self.lives), self.clock.now());
        let sources = poller::configured(&self.config.sources, &self.config.fetch, now);
        let watchers = self.store.watchers().await.unwrap().0;
        let before =
            watchers.iter().find(|watcher| watcher.name == name).map_or(String::new(), |own| own.owner.clone());
        let own = Watcher {
            name: name.into(),
            owner: owner.clone(),
            machine: "m".into(),
            pid: 1,
            version: "1".into(),
            started_at: now,
            heartbeat_at: now,
            stopped_at: None,
            configuration: self.config.hashes(),
            configured_since: now,
            clock_offset: 0,
            problem: String::new(),
        };
        // Frees what the life before had claimed.
        self.store.join_watchers(&own, &before, &sources).await.unwrap().unwrap();
        self.store.configure_sources(&sources).await.unwrap();
        let store = self.store.clone().named(&owner);
        let fetch = Arc::new(InTurn { web: self.web.clone(), store: store.clone() });
        let settings = Arc::new(self.config.fetch.clone());
        let visitor = Visitor::new(fetch, store.clone(), settings, false, self.clock.clone());
        let mut poller = Poller::new(visitor, &self.config.sources, &owner);
        poller.take_share(share);
        Loops {
            poller,
            matcher: Matcher::new(store.clone(), self.config.clone(), &owner).await.unwrap(),
            notifier: Notifier::new(store, self.config.clone(), self.clock.clone(), &owner),
        }
    }

    /// What the daemon does at its start.
    async fn boot(&mut self) -> Loops {
        self.lives += 1;
        let owner = format!("life {}", self.lives);
        let now = self.clock.now();
        self.store.drop_leases().await.unwrap();
        self.store.configure_sources(&poller::configured(&self.config.sources, &self.config.fetch, now)).await.unwrap();
        let visitor = Visitor::new(
            self.web.clone(),
            self.store.clone(),
            Arc::new(self.config.fetch.clone()),
            false,
            self.clock.clone(),
        );
        Loops {
            poller: Poller::new(visitor, &self.config.sources, &owner),
            matcher: Matcher::new(self.store.clone(), self.config.clone(), &owner).await.unwrap(),
            notifier: Notifier::new(self.store.clone(), self.config.clone(), self.clock.clone(), &owner),
        }
    }

    /// Runs from now on for `steps` steps, with crashes where the seed says so.
    async fn run(&mut self, loops: &mut Loops, seed: &str, steps: usize, crashes: bool) {
        for _ in 0..steps {
            let now = self.clock.now();
            let fate = if crashes { pick(&[seed, "fate", &now.as_second().to_string()], 60) } else { 60 };
            // Sources claimed, visits finished, nothing committed: crash 0 strikes here.
            loop {
                loops.poller.step(now).await.unwrap();
                if loops.poller.is_idle() {
                    break;
                }
                loops.poller.visit_finished().await;
                if fate == 0 {
                    *loops = self.boot().await;
                    break;
                }
            }
            while loops.matcher.step(now).await.unwrap().0.items > 0 {}
            // Messages taken, nothing recorded: crash 1 strikes here.
            *self.post.deadly.lock().unwrap() = fate == 1;
            for round in 0..50 {
                loops.notifier.step(now).await.unwrap();
                if fate == 1 {
                    if !loops.notifier.is_idle() {
                        self.post.killed.notified().await;
                    }
                    *loops = self.boot().await;
                    break;
                }
                if loops.notifier.is_idle() && round > 0 {
                    break;
                }
                if !loops.notifier.is_idle() {
                    loops.notifier.delivery_finished().await;
                }
            }
            *self.post.deadly.lock().unwrap() = false;
            if fate == 2 {
                *loops = self.boot().await;
            }
            self.clock.set(now + STEP);
        }
    }
}

/// Everything that the store holds of items, hits and messages, as text.
async fn rows(store: &Store) -> String {
    let mut text = String::new();
    for hit in store.hits(&HitFilter { limit: 1_000_000, ..HitFilter::default() }).await.unwrap() {
        writeln!(text, "hit {} {} {} {} {:?}", hit.item.id, hit.profile, hit.score, hit.found_at, hit.item).unwrap();
    }
    for row in store.outbox("", 1_000_000).await.unwrap() {
        writeln!(text, "message {row:?}").unwrap();
    }
    for source in store.sources().await.unwrap() {
        writeln!(text, "source {source:?}").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_with_failures_and_crashes_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let seed = "week";
    let mut world = World::new(seed, 300, folder.path()).await;
    let mut loops = world.boot().await;
    world.run(&mut loops, seed, 7 * 24 * 4, true).await;
    // Everything heals; two days later nothing may be left undone.
    *world.web.healed.lock().unwrap() = true;
    world.run(&mut loops, seed, 2 * 24 * 4, false).await;
    assert!(world.lives > 20, "the week had {} lives: too few crashes to prove anything", world.lives);

    keeps_every_promise(&world, seed, 300, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_on_postgres_keep_every_promise() {
    let Some(schema) = Schema::new("days").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let seed = "days";
    let mut world = World::new(seed, 40, folder.path()).await.on_postgres(&schema).await;
    let mut loops = world.boot().await;
    // Without the lock of a file nobody drops the claims of the dead: they run out.
    world.run(&mut loops, seed, 3 * 24 * 4, true).await;
    *world.web.healed.lock().unwrap() = true;
    world.run(&mut loops, seed, 24 * 4, false).await;
    assert!(world.lives > 3, "{}", world.lives);
    keeps_every_promise(&world, seed, 10, 4).await;
    world.store.close().await;
    schema.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_watchers_that_die_in_turn_keep_every_promise_together() {
    let Some(schema) = Schema::new("crowd").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let seed = "crowd";
    let mut world = World::new(seed, 40, folder.path()).await.on_postgres(&schema).await;
    let names = ["north", "south", "west"];
    let mut crowd = Vec::new();
    for index in 0..3u32 {
        crowd.push(world.join(names[index as usize], Share { index, of: 3 }).await);
    }
    // What was found in the last minutes, and was to come back later, gets an hour more.
    for step in 0..4 * 24 * 4 + 4 {
        let now = world.clock.now();
        if step >= 4 * 24 * 4 {
            let waiting = world.store.outbox("waiting", 1_000).await.unwrap();
            if waiting.iter().all(|row| row.kind == DeliveryKind::Digest) {
                break;
            }
        }
        if step == 3 * 24 * 4 {
            *world.web.healed.lock().unwrap() = true;
        }
        let crashes = step < 3 * 24 * 4;
        let fate = |index: usize| {
            if crashes { pick(&[seed, "fate", names[index], &now.as_second().to_string()], 40) } else { 40 }
        };
        let works = crowd.iter_mut().enumerate().map(|(index, loops)| work(loops, now, fate(index)));
        let lives = futures_util::future::join_all(works).await;
        for (index, _) in lives.iter().enumerate().filter(|(_, lives)| !**lives) {
            crowd[index] = world.join(names[index], Share { index: index as u32, of: 3 }).await;
        }
        world.clock.set(now + STEP);
    }
    assert!(world.lives > 25, "{}", world.lives);
    keeps_every_promise(&world, seed, 10, 4).await;
    drop(crowd);
    world.store.close().await;
    schema.drop().await;
}

/// More than `least` items on topic were shown in so many nights, and each of the promises was kept.
async fn keeps_every_promise(world: &World, seed: &str, least: usize, nights: usize) {
    let shown = world.web.shown.lock().unwrap().clone();
    let on_topic = |url: &str| {
        let (source, k) = url.rsplit_once('/').map(|(head, k)| (head.rsplit_once("/s").unwrap().1, k)).unwrap();
        pick(&[seed, "topic", source, k], 10) == 0
    };
    // 1. Nothing is lost: every item shown was stored, every one on topic is a hit, and no other.
    let hits = world.store.hits(&HitFilter { limit: 1_000_000, ..HitFilter::default() }).await.unwrap();
    let hit_urls: BTreeSet<String> = hits.iter().filter_map(|hit| hit.item.url.clone()).collect();
    let expected: BTreeSet<String> = shown.keys().filter(|url| on_topic(url)).cloned().collect();
    assert_eq!(hit_urls, expected);
    assert!(expected.len() > least, "{}", expected.len());
    let (stored, _) = world.store.item_counts(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(stored as usize, shown.len());
    assert_eq!(world.store.unscored_count().await.unwrap(), 0);

    // 2. and 3. At least once and recognisable: a copy has the id of its first; one story, one alert a route.
    // 9. What first contacts showed is told to nobody. (A first answer that a crash swallowed is shown again and is the
    //    baseline then, so backlog is what the store calls so.)
    let backlog: BTreeSet<String> =
        hits.iter().filter(|hit| hit.item.backlog).filter_map(|hit| hit.item.url.clone()).collect();
    for (url, first) in &shown {
        if on_topic(url) && *first {
            assert!(backlog.contains(url), "{url} was shown at the first contact");
        }
    }
    let taken = world.post.taken.lock().unwrap().clone();
    for route in ["alerts", "digest"] {
        let mut ids_by_url: BTreeMap<&str, BTreeSet<Id>> = BTreeMap::new();
        for (id, _, urls) in taken.iter().filter(|(_, taken_route, _)| taken_route == route) {
            for url in urls {
                ids_by_url.entry(url).or_default().insert(*id);
            }
        }
        let told: BTreeSet<&str> = ids_by_url.keys().copied().collect();
        let due: BTreeSet<&str> = expected.iter().filter(|url| !backlog.contains(*url)).map(String::as_str).collect();
        // The digest of the last, unfinished window is not out yet.
        let mut waiting: BTreeSet<String> = BTreeSet::new();
        for row in world.store.outbox("waiting", 1_000).await.unwrap().iter().filter(|row| row.route == route) {
            assert_eq!(row.kind, DeliveryKind::Digest, "{row:?}");
            let hits = world.store.hits_of_delivery(row.id, 10_000).await.unwrap();
            waiting.extend(hits.into_iter().filter_map(|hit| hit.item.url));
        }
        let missing: Vec<&&str> = due.difference(&told).filter(|url| !waiting.contains(**url)).collect();
        assert!(missing.is_empty(), "{route}: {} of {} not told: {missing:?}", missing.len(), due.len());
        assert!(told.is_subset(&due), "{route} told of backlog or of something off topic");
        for (url, ids) in ids_by_url {
            assert_eq!(ids.len(), 1, "{route} told of {url} with different message ids");
        }
    }
    let copies = taken.len() - taken.iter().map(|(id, _, _)| id).collect::<BTreeSet<_>>().len();
    assert!(
        copies > 0 || least < 300,
        "no crash fell between acceptance and record: the test proves less than it says"
    );

    // 5. Each window of the digest exactly once, across the change to summer time on 29 March (02:30 does not exist).
    let messages = world.store.outbox("", 1_000_000).await.unwrap();
    let digests: Vec<_> = messages.iter().filter(|row| row.route == "digest").collect();
    let windows: BTreeSet<Timestamp> = digests.iter().filter_map(|row| row.window_to).collect();
    assert_eq!(windows.len(), digests.len());
    let now = world.clock.now();
    let sent = digests.iter().filter(|row| row.state == "sent").count();
    let over = windows.iter().filter(|end| **end <= now - SignedDuration::from_hours(2)).count();
    assert_eq!(over, nights, "{nights} nights: {windows:?}");
    assert!(sent >= over, "{sent} of {over} digests sent");

    // 6. A good citizen: never two requests to a host at once.
    assert!(!world.web.asked.lock().unwrap().1, "a host was asked twice at once");
    // Nobody was told of the route's recipient wrongly, and no message is left behind.
    for row in messages.iter().filter(|row| row.route == "alerts") {
        assert_eq!((row.state.as_str(), row.recipient.as_str()), ("sent", RECIPIENT), "{row:?}");
    }
}

/// A profile whose scores take many values, and move as the archive grows.
fn shaded(threshold: f64) -> String {
    let terms =
        [("observer", 30), ("status", 12), ("delegation", 14), ("plenary", 20), ("suspended", 26), ("seat", 18)];
    let terms: String =
        terms.iter().map(|(text, weight)| format!("[[term]]\ntext = \"{text}\"\nweight = {weight}\n")).collect();
    format!("name = \"apg\"\nthreshold = {threshold}\naverage_length = 40.0\n{terms}")
}

/// The program on the folder of a world.
fn program(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_newswatch"));
    let ran = command.arg("-c").arg(folder).args(arguments).env("STATE_DIRECTORY", folder).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backtest_counts_what_a_daemon_with_that_threshold_finds() {
    const PRESENT: f64 = 0.5;
    let seed = "shades";
    let week = async |folder: &Path, threshold: f64| {
        let mut world = World::with_profiles(seed, 40, folder, &[("apg", &shaded(threshold))], true).await;
        let mut loops = world.boot().await;
        world.run(&mut loops, seed, 7 * 24 * 4, true).await;
        world
    };
    let folder = tempfile::tempdir().unwrap();
    let world = week(folder.path(), PRESENT).await;
    let tested = program(folder.path(), &["profile", "backtest", "apg", "--json", "--threshold", "0.43"]);
    assert_eq!(tested["method"], "stored", "{tested}");
    let rows = tested["rows"].as_array().unwrap();
    let mut different = BTreeSet::new();
    for threshold in [0.25, 0.43, PRESENT, 0.625] {
        let again = tempfile::tempdir().unwrap();
        let other = if threshold == PRESENT { None } else { Some(week(again.path(), threshold).await) };
        let store = &other.as_ref().unwrap_or(&world).store;
        let hits = store.hits(&HitFilter { limit: 1_000_000, ..HitFilter::default() }).await.unwrap();
        let told: Vec<_> = hits.iter().filter(|hit| !hit.item.backlog).collect();
        let days: BTreeSet<i64> = told.iter().map(|hit| hit.found_at.as_second() / 86_400).collect();
        let alerts = store.outbox("", 1_000_000).await.unwrap().iter().filter(|row| row.route == "alerts").count();
        let row = rows.iter().find(|row| row["threshold"] == threshold).unwrap();
        let counted = |key: &str| row[key].as_u64().unwrap() as usize;
        // A hit that was backlog when it was found, and was edited since, is shown by its item as news.
        assert_eq!(counted("items") + counted("backlog"), hits.len(), "{threshold}: {row}");
        assert_eq!(
            (counted("stories"), counted("days").min(days.len())),
            (alerts, counted("days")),
            "{threshold}: {row}"
        );
        different.insert(hits.len());
    }
    assert!(different.len() == 4, "the thresholds find the same: {different:?}");
    // The same items scored again, with the frequencies of the end, give nearly the same.
    std::fs::write(folder.path().join("other.toml"), shaded(PRESENT).replace("weight = 18", "weight = 18.001"))
        .unwrap();
    let file = folder.path().join("other.toml");
    let again = program(folder.path(), &["profile", "backtest", "--json", "--file", file.to_str().unwrap()]);
    assert_eq!(again["method"], "scored-again", "{again}");
    // A threshold alone changes no score: what is stored still tells.
    std::fs::write(&file, shaded(0.6)).unwrap();
    let moved =
        program(folder.path(), &["profile", "backtest", "--json", "--file", file.to_str().unwrap(), "--per-day", "5"]);
    assert_eq!(moved["method"], "stored", "{moved}");
    let proposed = &moved["proposed"];
    assert!(proposed["stories"].as_f64().unwrap() <= 5.0 * moved["days"].as_f64().unwrap(), "{proposed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_rows() {
    let mut all = Vec::new();
    for seed in ["one", "one", "two"] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(seed, 60, folder.path()).await;
        let mut loops = world.boot().await;
        world.run(&mut loops, seed, 36 * 4, true).await;
        all.push(rows(&world.store).await);
    }
    assert!(all[0].lines().count() > 100);
    assert!(all[0] == all[1], "two runs of one seed differ");
    assert!(all[0] != all[2], "two seeds give the same rows: the seed is not used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_leaves_nothing_standing_and_starts_no_storm() {
    const HOUR: i64 = 3_600;
    const YEAR: i64 = 365 * 24 * HOUR;
    for jump in [-2 * YEAR, -24 * HOUR, -2 * HOUR, 2 * HOUR, 30 * 24 * HOUR, YEAR, 2 * YEAR] {
        let folder = tempfile::tempdir().unwrap();
        let seed = format!("jump {jump}");
        let mut world = World::new(&seed, 20, folder.path()).await;
        let mut loops = world.boot().await;
        world.run(&mut loops, &seed, 2 * 24 * 4, false).await;
        // There, and back again to the right time. What a crash leaves claimed must not stay so either.
        for (leg, seconds) in [("there", jump), ("back", -jump)] {
            let before = world.post.taken.lock().unwrap().len();
            let now = world.clock.now() + SignedDuration::from_secs(seconds);
            world.store.claim_sources("dead", world.clock.now(), world.clock.now() + STEP, 3, 1).await.unwrap();
            world.clock.set(now);
            world.store.forget_the_future(now).await.unwrap();
            // With an interval of 2 h (2 h 12 with its spread) and an hour's wait between attempts, a quarter of a day does all.
            world.run(&mut loops, &seed, 6 * 4, false).await;
            let end = world.clock.now();
            for source in world.store.sources().await.unwrap() {
                let asked = source.attempted_at.unwrap();
                assert!(
                    asked >= now && asked < end,
                    "{jump} {leg}: {} was last asked {asked}, it is {end}",
                    source.name
                );
                let wait = source.next_at.duration_since(end);
                assert!(
                    wait <= SignedDuration::from_hours(24),
                    "{jump} {leg}: {} waits {wait}: {}",
                    source.name,
                    source.next_reason
                );
            }
            for row in world.store.outbox("waiting", 10_000).await.unwrap() {
                let wait = row.due_at.duration_since(end);
                let longest = if row.kind == DeliveryKind::Digest && row.attempts == 0 { 26 } else { 2 };
                assert!(wait <= SignedDuration::from_hours(longest), "{jump} {leg}: {row:?}");
            }
            let digests =
                world.post.taken.lock().unwrap()[before..].iter().filter(|(_, route, _)| route == "digest").count();
            assert!(digests <= 4, "{jump} {leg}: {digests} digests");
        }
        // The next night's digest comes as ever.
        let before = world.post.taken.lock().unwrap().len();
        world.run(&mut loops, &seed, 26 * 4, false).await;
        let taken = world.post.taken.lock().unwrap();
        let digests = taken[before..].iter().filter(|(_, route, _)| route == "digest").count();
        assert!((1..=3).contains(&digests), "{jump}: {digests} digests on the day after");
    }
}
