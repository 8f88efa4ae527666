//! Several real watchers on one PostgreSQL, named by NEWSWATCH_TEST_POSTGRES; without it there is nothing to test here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::fault::Fault;
use newswatch::matcher::Matcher;
use newswatch::model::{ArticleState, Id, Item, Share, Watcher};
use newswatch::poller::fetch::{Fetch, FetchError, Request, Response};
use newswatch::poller::visit::Visitor;
use newswatch::poller::{self, Poller};
use newswatch::store::items::NewItem;
use newswatch::store::sources::{ConfiguredSource, VisitResult};
use newswatch::store::{Durability, Store};
use support::{Folder, PROFILE, wait_until};

const HOSTS: usize = 8;
const SOURCES: usize = 24;

/// A web of several hosts on loopback: each feed shows one item more at each request.
#[derive(Default)]
struct Web {
    shown: BTreeMap<String, usize>,
    asked_now: BTreeSet<String>,
    asked_twice: bool,
}

type Shared = Arc<Mutex<Web>>;

async fn serve(State(web): State<Shared>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    let host = headers[header::HOST].to_str().unwrap().to_string();
    if !web.lock().unwrap().asked_now.insert(host.clone()) {
        web.lock().unwrap().asked_twice = true;
    }
    tokio::time::sleep(Duration::from_millis(15)).await;
    let mut web = web.lock().unwrap();
    web.asked_now.remove(&host);
    let count = web.shown.entry(uri.path().to_string()).or_insert(0);
    *count += 1;
    let items: String = (1..=*count)
        .map(|n| {
            let url = format!("http://{host}/a{}/{n}", uri.path());
            format!(
                "<item><title>An observer seat: report {n} on {}</title><link>{url}</link><guid>{url}</guid></item>",
                uri.path()
            )
        })
        .collect();
    let feed = format!("<rss version=\"2.0\"><channel><title>Wire</title>{items}</channel></rss>");
    ([(header::CONTENT_TYPE, "application/rss+xml")], feed)
}

/// A schema of its own, dropped at the end.
struct Schema {
    server: String,
    name: String,
}

impl Schema {
    fn new() -> Option<Schema> {
        let server = std::env::var("NEWSWATCH_TEST_POSTGRES").ok()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = Schema { server, name: format!("watchers_{}_{number}", std::process::id()) };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name));
        Some(schema)
    }

    fn url(&self) -> String {
        let join = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{join}options[search_path]={}", self.server, self.name)
    }

    fn execute(&self, sql: &str) {
        sqlx::any::install_default_drivers();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&self.server).await.unwrap();
            sqlx::Executor::execute(&mut connection, sqlx::AssertSqlSafe(sql.to_string())).await.unwrap();
        });
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.execute(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

/// Killed when the test ends, however it ends.
struct Running(Child);

impl Running {
    fn start(folder: &Folder) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        Running(folder.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).arg(self.0.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn watchers_that_die_and_stand_still_lose_and_double_nothing() {
    let Some(schema) = Schema::new() else { return };
    let web: Shared = Arc::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("0.0.0.0:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(serve).with_state(web.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    let folder = Folder::new("");
    let mut text = format!(
        "[store]\nurl = \"{}\"\n[fetch]\nallow = [\"127.0.0.0/8\"]\ninterval = \"1s\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n\
         [canary]\nenabled = false\n[[channel]]\nname = \"file\"\nkind = \"log\"\npath = \"{}\"\n[[route]]\nname = \"desk\"\nchannel = \"file\"\n",
        schema.url(),
        folder.path().join("hits.log").display()
    );
    for n in 0..SOURCES {
        text += &support::source(&format!("s{n}"), &format!("http://127.0.0.{}:{port}/s{n}", 2 + n % HOSTS), "");
    }
    folder.write("newswatch.toml", &text).write("profiles.d/seat.toml", PROFILE);
    let mut watchers: Vec<Running> = (0..3).map(|_| Running::start(&folder)).collect();
    let shown = |least: usize| {
        let web = web.lock().unwrap();
        web.shown.len() == SOURCES && web.shown.values().all(|count| *count >= least)
    };
    let status =
        || -> serde_json::Value { serde_json::from_str(&folder.run(&["status", "--json"]).out).unwrap_or_default() };
    let states = |state: &str| {
        let status = status();
        let watchers = status["watchers"].as_array().cloned().unwrap_or_default();
        watchers.iter().filter(|watcher| watcher["state"] == state).count()
    };
    wait_until("three watchers live", || states("lives") == 3);
    wait_until("every source was asked twice", || shown(2));
    // One is killed and started again, as a service manager does; it gets its name and its claims back at once.
    watchers[0].signal("-KILL");
    _ = watchers[0].0.wait();
    watchers[0] = Running::start(&folder);
    // One stands still for a while.
    watchers[1].signal("-STOP");
    let before = web.lock().unwrap().shown.values().max().copied().unwrap();
    wait_until("the others go on", || web.lock().unwrap().shown.values().max().is_some_and(|most| *most >= before + 2));
    watchers[1].signal("-CONT");
    let least = before + 1;
    wait_until("all sources are asked on", || shown(least));
    assert_eq!(states("lives"), 3, "{}", folder.read("log"));
    folder.run(&["status"]).says("watchers").says("configuration in force");
    for watcher in &watchers {
        watcher.signal("-TERM");
    }
    for watcher in &mut watchers {
        assert!(watcher.0.wait().unwrap().success(), "{}", folder.read("log"));
    }
    assert_eq!(states("stopped"), 3);
    assert!(!web.lock().unwrap().asked_twice, "a host was asked twice at once");
    // What the last visits showed is scored and told.
    folder.run(&["run", "--once", "--due"]).ok();
    let expected: usize = web.lock().unwrap().shown.values().sum();
    let hits = folder.run(&["hits", "--json"]).ok().out;
    let hits: Vec<serde_json::Value> = hits.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let urls: BTreeSet<&str> = hits.iter().filter_map(|hit| hit["url"].as_str()).collect();
    assert_eq!((urls.len(), hits.len()), (expected, expected), "lost or doubled");
    let told = folder.read("hits.log");
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("hit ") || line.contains(" hit ")).collect();
    let distinct: BTreeSet<&str> =
        lines.iter().filter_map(|line| line.split(" id=").nth(1)?.split(' ').next()).collect();
    assert!(distinct.len() > SOURCES, "{told}");
    assert_eq!(distinct.len(), lines.len(), "told twice: {told}");
}

/// A configuration with so many sources, each on a host of its own, whose store is the schema.
fn configured(folder: &Folder, schema: &Schema, sources: usize) -> Config {
    let mut text = format!("[store]\nurl = \"{}\"\n", schema.url());
    for n in 0..sources {
        text += &support::source(&format!("s{n}"), &format!("https://h{n}.example/feed"), "");
    }
    folder.write("newswatch.toml", &text).write("profiles.d/seat.toml", PROFILE);
    Config::load(Some(folder.path())).unwrap()
}

fn minute(n: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n * 60).unwrap()
}

/// The sources, the first `soon` of them due at once and the others ten minutes later.
fn due(config: &Config, soon: usize) -> Vec<ConfiguredSource> {
    let mut sources = poller::configured(&config.sources, &config.fetch, minute(0));
    for (n, source) in sources.iter_mut().enumerate() {
        source.first_at = minute(if n < soon { 0 } else { 10 });
    }
    sources
}

#[tokio::test]
async fn a_matcher_that_lost_its_turn_scores_again_and_notes_its_profiles_once() {
    let Some(schema) = tokio::task::spawn_blocking(Schema::new).await.unwrap() else { return };
    let folder = Folder::new("");
    let config = Arc::new(configured(&folder, &schema, 1));
    let store = Store::open(&schema.url(), Durability::Full).await.unwrap().named("a");
    store.configure_sources(&due(&config, 1)).await.unwrap();
    let (state, claim) = store.claim_sources("a", minute(1), minute(20), 1, 1).await.unwrap().remove(0);
    let item = Item {
        id: Id(1),
        source: "s0".into(),
        key: "1".into(),
        url: None,
        title: "An observer seat".into(),
        summary: String::new(),
        content: String::new(),
        article: String::new(),
        article_state: ArticleState::NotWanted,
        article_problem: String::new(),
        publisher: String::new(),
        language: "en".into(),
        published_at: None,
        first_seen_at: minute(1),
        backlog: false,
    };
    let visit = VisitResult {
        claim,
        state,
        before: Default::default(),
        new_items: vec![NewItem { item, text_hash: 1, story: Id(2), link: Id(3), aliases: vec![] }],
        edited_items: vec![],
        captures: vec![],
        gap: None,
        memory: None,
    };
    store.commit_visits(&[visit], minute(1)).await.unwrap();
    let mut matcher = Matcher::new(store.clone(), config, "a").await.unwrap();
    // It waits in the middle of its turn, which another watcher takes over meanwhile.
    let pool = sqlx::AnyPool::connect(&schema.url()).await.unwrap();
    let mut wait = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE story_links IN ACCESS EXCLUSIVE MODE").execute(&mut *wait).await.unwrap();
    let first = tokio::spawn(async move {
        let done = matcher.step(minute(2)).await.unwrap().0;
        (matcher, done)
    });
    let taken = "UPDATE turns SET fence = fence + 1, lease_until = 0 WHERE name = 'stories' AND lease_until > 0";
    while sqlx::query(taken).execute(&pool).await.unwrap().rows_affected() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait.commit().await.unwrap();
    let (mut matcher, done) = first.await.unwrap();
    assert_eq!(done.hits, 0);
    assert!(store.profile_versions("seat").await.unwrap().is_empty());
    let done = matcher.step(minute(3)).await.unwrap().0;
    assert_eq!((done.items, done.hits), (1, 1));
    assert_eq!(store.profile_versions("seat").await.unwrap().len(), 1, "nobody knows what the hit was made by");
    assert_eq!(store.profile_uses("seat").await.unwrap().len(), 1);
    store.close().await;
    tokio::task::spawn_blocking(move || drop(schema)).await.unwrap();
}

/// No way out; counts how often it is looked for.
#[derive(Default)]
struct Down(AtomicU32);

impl Fetch for Down {
    fn fetch(&self, _: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(FetchError::new(Fault::NoConnection, "network is unreachable")) })
    }
}

#[tokio::test]
async fn a_watcher_whose_network_is_cut_leaves_its_share_to_the_others() {
    let Some(schema) = tokio::task::spawn_blocking(Schema::new).await.unwrap() else { return };
    let folder = Folder::new("");
    let config = configured(&folder, &schema, 20);
    let store = Store::open(&schema.url(), Durability::Full).await.unwrap().named("a");
    let sources = due(&config, 8);
    let own = Watcher {
        name: "a".into(),
        owner: "a".into(),
        machine: "m".into(),
        pid: 1,
        version: "1".into(),
        started_at: minute(0),
        heartbeat_at: minute(0),
        stopped_at: None,
        configuration: config.hashes(),
        configured_since: minute(0),
        clock_offset: 0,
        problem: String::new(),
    };
    store.join_watchers(&own, "", &sources).await.unwrap().unwrap();
    store.configure_sources(&sources).await.unwrap();
    let (down, clock) = (Arc::new(Down::default()), Clock::simulated(minute(1)));
    let visitor = Visitor::new(down.clone(), store.clone(), Arc::new(config.fetch.clone()), false, clock.clone());
    let mut poller = Poller::new(visitor, &config.sources, "a");
    poller.take_share(Share { index: 0, of: 2 });
    let mut asked = async |at: Timestamp| {
        clock.set(at);
        loop {
            poller.step(at).await.unwrap();
            let is_quiet = tokio::time::timeout(Duration::from_millis(500), poller.visit_finished()).await.is_err();
            if is_quiet && poller.is_idle() {
                return down.0.swap(0, Ordering::Relaxed);
            }
        }
    };
    let at_first = asked(minute(1)).await;
    assert!(
        (8..=9).contains(&at_first),
        "all that is due, and one more when the network is known to be down: {at_first}"
    );
    assert_eq!(asked(minute(11)).await, 1, "twelve are due, and others can ask them");
    assert_eq!(asked(minute(11) + SignedDuration::from_secs(30)).await, 0);
    assert_eq!(asked(minute(13)).await, 1);
    let held = store.held_claims(minute(13)).await.unwrap();
    assert!(held.is_empty(), "it keeps what others could ask: {held:?}");
    store.close().await;
    tokio::task::spawn_blocking(move || drop(schema)).await.unwrap();
}

/// The way to the database, which can be cut off: connections end, and new ones end at once.
struct Way {
    port: u16,
    is_open: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    /// Cut off at first. `server`: host and port.
    fn to(server: String) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way =
            Way { port: listener.local_addr().unwrap().port(), is_open: Arc::default(), connections: Arc::default() };
        let (is_open, connections) = (way.is_open.clone(), way.connections.clone());
        std::thread::spawn(move || {
            for from in listener.incoming().flatten().filter(|_| is_open.load(Ordering::SeqCst)) {
                let to = TcpStream::connect(&server).unwrap();
                let copy = |from: &TcpStream, to: &TcpStream| {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        _ = std::io::copy(&mut from, &mut to);
                        _ = to.shutdown(Shutdown::Both);
                    });
                };
                copy(&from, &to);
                copy(&to, &from);
                connections.lock().unwrap().push(from);
            }
        });
        way
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    fn cut(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            _ = connection.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_database_that_is_away_is_waited_for_and_the_service_manager_need_not_do_anything() {
    let Some(schema) = Schema::new() else { return };
    let url = schema.url();
    let (before, after) = url.split_once('@').unwrap();
    let (server, database) = after.split_once('/').unwrap();
    let way = Way::to(server.to_string());
    let folder = Folder::new("");
    let socket = folder.path().join("metrics.sock");
    let text = format!(
        "[store]\nurl = \"{before}@127.0.0.1:{}/{database}\"\n[metrics]\nlisten = \"unix:{}\"\n",
        way.port,
        socket.display()
    );
    folder
        .write("newswatch.toml", &text)
        .write("profiles.d/seat.toml", PROFILE)
        .write("sources.d/a.toml", &support::source("a", "http://127.0.0.1:9/", ""));
    // What a service manager hears of it.
    let manager = UnixDatagram::bind(folder.path().join("manager")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let hears = |part: &str| {
        let mut message = [0; 1_000];
        std::iter::from_fn(|| manager.recv(&mut message).ok().map(|length| message[..length].to_vec()))
            .any(|message| String::from_utf8(message).unwrap().contains(part))
    };
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = folder.command(&["run"]);
    command.env("NOTIFY_SOCKET", folder.path().join("manager")).env("WATCHDOG_USEC", "600000");
    let watcher = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    wait_until("it waits", || folder.read("log").contains("waits for the store"));
    let status = folder.run(&["status"]);
    assert_eq!(status.code, 2, "{status:?}");
    status.says("broken: ").says("no connection to the database").says(&format!("127.0.0.1:{}", way.port));
    // One that is told to stop while it waits does.
    let mut other = Running(folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    other.0.stderr.take().unwrap().read_exact(&mut [0; 100]).unwrap();
    other.signal("-TERM");
    assert!(other.0.wait().unwrap().success());
    way.open();
    wait_until("it begins by itself", || hears("READY=1"));
    assert_eq!(folder.read("log").matches("waits for the store").count(), 1, "{}", folder.read("log"));
    assert_ne!(folder.run(&["status"]).code, 2);
    way.cut();
    wait_until("it is alive without its database", || hears("STATUS=the store is away"));
    let asked = |question: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        write!(stream, "GET {question} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(asked("/healthz").starts_with("HTTP/1.1 200"), "a restart would not bring it back");
    assert!(asked("/readyz").starts_with("HTTP/1.1 503"));
    assert_eq!(folder.run(&["status"]).code, 2);
    way.open();
    wait_until("it works again", || folder.read("log").contains("goes on after"));
    watcher.signal("-TERM");
}
