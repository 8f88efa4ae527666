//! Two months of sources to which all that can happen happens, on a simulated clock: each trouble is told once, its end once, and
//! nothing else is told. With restarts in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::fault::Fault;
use newswatch::health;
use newswatch::matcher::Matcher;
use newswatch::model::{DeliveryKind, Id, ReportLine};
use newswatch::notifier::Notifier;
use newswatch::notifier::channel::{Channel, DeliveryError, Message};
use newswatch::overseer::Overseer;
use newswatch::poller::fetch::{Fetch, FetchError, Request, Response};
use newswatch::poller::visit::Visitor;
use newswatch::poller::{self, Poller};
use newswatch::store::health::Stage;
use newswatch::store::hits::HitFilter;
use newswatch::store::{Durability, Store};
use support::{Folder, PROFILE, Web as Server, loopback, rss, source};

/// A Monday.
const START: &str = "2026-03-02T00:00:00Z";
/// The trouble begins on this day, a Wednesday.
const TROUBLE: i64 = 30;

const ENGLISH: &str = "The council said that it will not be in the room for this, and that the ministers have what they were \
                       asked for by the others; which of them will be there is not known to us.";
const GERMAN: &str = "Der Rat hat gesagt, dass er nicht in dem Raum sein wird, und dass die Minister haben, worum sie von den \
                      anderen gebeten wurden; wer von ihnen da sein wird, ist uns nicht bekannt.";

/// What the web shows.
struct Web {
    clock: Clock,
    /// Everything is out of reach.
    down: Mutex<bool>,
}

struct News {
    key: String,
    date: Option<Timestamp>,
    text: &'static str,
}

impl Web {
    fn start() -> Timestamp {
        START.parse().unwrap()
    }

    fn day(&self) -> i64 {
        self.hour().div_euclid(24)
    }

    fn hour(&self) -> i64 {
        self.clock.now().duration_since(Web::start()).as_hours()
    }

    /// The news of a source: two a day at eight, from three weeks before the start, on the days that it publishes.
    fn news(name: &str, hour: i64) -> Vec<News> {
        let mut news = Vec::new();
        for day in (-21..=hour.div_euclid(24)).rev() {
            let weekday = day.rem_euclid(7);
            let publishes = match name {
                "silent" => weekday < 5 && !(TROUBLE..TROUBLE + 14).contains(&day),
                "weekdays" | "same" => weekday < 5,
                "yearly" => day == 10,
                _ => true,
            };
            let at = Web::start() + SignedDuration::from_hours(day * 24 + 8);
            if !publishes || day * 24 + 8 > hour || news.len() >= 40 {
                continue;
            }
            let frozen = name == "dates" && (TROUBLE..TROUBLE + 10).contains(&day);
            let date = if frozen { Web::start() + SignedDuration::from_hours(TROUBLE * 24 - 12) } else { at };
            let german = name == "language" && (TROUBLE..TROUBLE + 8).contains(&day)
                || name == "bilingual" && day.rem_euclid(3) == 0;
            for n in 0..2 {
                let text = if german { GERMAN } else { ENGLISH };
                news.push(News { key: format!("{name}-{day}-{n}"), date: Some(date), text });
            }
        }
        news
    }

    fn answer(&self, request: &Request) -> Result<Response, FetchError> {
        if *self.down.lock().unwrap() {
            return Err(FetchError::new(Fault::UnknownHost, "unknown host"));
        }
        let name = request.url.host_str().unwrap().split('.').next().unwrap().to_string();
        let (day, hour) = (self.day(), self.hour());
        let trouble = (TROUBLE..TROUBLE + 3).contains(&day);
        let mut response = Response::new(200, request.url.clone(), Vec::new());
        let html = |body: &str| Response { body: body.as_bytes().to_vec(), ..response.clone() };
        match name.as_str() {
            "failing" if trouble => return Ok(Response { status: 503, ..response }),
            "gone" if day >= TROUBLE => return Ok(Response { status: 410, ..response }),
            // Three hours so, three hours so.
            "flapping" if trouble && hour / 3 % 2 == 0 => return Ok(Response { status: 500, ..response }),
            "challenge" if trouble => {
                return Ok(Response { status: 403, ..html("<title>Just a moment...</title>") });
            }
            "login" if trouble => {
                return Ok(html("<title>Log in</title><form><input name=p type=password></form>"));
            }
            // Once a week it has a bad hour.
            "hiccup" if hour % 168 == 50 => return Err(FetchError::new(Fault::Slow, "no answer within 60 s")),
            _ => {}
        }
        // For a week a cache is stuck.
        let is_stuck = name == "same" && (TROUBLE..TROUBLE + 7).contains(&day);
        let shown_at = if is_stuck { TROUBLE * 24 } else { hour };
        let news = Web::news(&name, shown_at);
        let mut body = String::new();
        if name == "selector" {
            let class = if trouble { "headline" } else { "item" };
            for News { key, text, .. } in &news {
                write!(body, "<li class={class}><a href=\"/{key}\">{key}</a> {text}</li>").unwrap();
            }
            return Ok(html(&format!("<title>News</title><ul>{body}</ul>")));
        }
        body.push_str("<rss version=\"2.0\"><channel><title>t</title>");
        if name == "same" {
            // It says when it was made.
            write!(body, "<lastBuildDate>{shown_at}</lastBuildDate>").unwrap();
        }
        for News { key, date, text } in &news {
            let date = date.map_or(String::new(), |date| format!("<pubDate>{date}</pubDate>"));
            write!(body, "<item><title>Report {key}</title><link>https://{name}.example/{key}</link><guid>{key}</guid>{date}<description>{text}</description></item>").unwrap();
        }
        body.push_str("</channel></rss>");
        response.content_type = Some("application/rss+xml".into());
        let etag = format!("\"{}\"", Id::of(&[&body])).into_bytes();
        let named = request.validators.as_ref().and_then(|validators| validators.etag.clone());
        // "stuck" says "not modified" to whoever names any earlier answer, for twelve days.
        let lies = name == "stuck" && (TROUBLE..TROUBLE + 12).contains(&day) && named.is_some();
        if lies || named.as_ref() == Some(&etag) {
            return Ok(Response { status: 304, ..response });
        }
        response.etag = Some(etag);
        response.body = body.into_bytes();
        Ok(response)
    }
}

impl Fetch for Web {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(async move { self.answer(&request) })
    }
}

/// Takes messages, unless it is broken.
#[derive(Debug, Default)]
struct Post {
    taken: Mutex<Vec<Message>>,
    broken: Mutex<bool>,
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
            // Only the operator's mail server is out of order.
            if *self.broken.lock().unwrap() && message.route == "operator" {
                return Err(DeliveryError::Temporary("421 come back later".into()));
            }
            self.taken.lock().unwrap().push(message.clone());
            Ok(())
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
    overseer: Overseer,
}

impl World {
    async fn new(folder: &Path, sources: &[&str]) -> World {
        let clock = Clock::simulated(Web::start());
        let mut text = String::from(
            "[fetch]\ninterval = \"1h\"\nhost_gap = \"0s\"\n\
             [[channel]]\nname = \"post\"\nkind = \"email\"\nserver = \"localhost\"\nsecurity = \"none\"\nfrom = \"w@example.org\"\n\
             [[route]]\nname = \"desk\"\nchannel = \"post\"\nto = [\"desk@example.org\"]\n\
             [route.digest]\nat = [\"07:00\"]\ntime_zone = \"UTC\"\n\
             [operator]\nchannel = \"post\"\nto = [\"ops@example.org\"]\n",
        );
        for name in sources {
            writeln!(text, "[[source]]\nname = \"{name}\"\nurl = \"https://{name}.example/feed\"\ninterval = \"2h\"")
                .unwrap();
            if *name == "selector" {
                text.push_str("kind = \"page\"\n[source.select]\nitem = \"li.item\"\n");
            }
        }
        let text =
            text.replace("flapping.example/feed\"\ninterval = \"2h\"", "flapping.example/feed\"\ninterval = \"1h\"");
        std::fs::create_dir_all(folder.join("profiles.d")).unwrap();
        std::fs::write(folder.join("newswatch.toml"), text).unwrap();
        std::fs::write(folder.join("profiles.d/seat.toml"), PROFILE).unwrap();
        let mut config = Config::load(Some(folder)).unwrap();
        let post = Arc::new(Post::default());
        config.channels.insert("post".into(), post.clone());
        let web = Arc::new(Web { clock: clock.clone(), down: Mutex::new(false) });
        let url = format!("sqlite:{}", folder.join("newswatch.sqlite").display());
        let store = Store::open(&url, Durability::Process).await.unwrap().lock().unwrap();
        World { web, post, clock, config: Arc::new(config), store, lives: 0 }
    }

    async fn boot(&mut self) -> Loops {
        self.lives += 1;
        let (owner, now) = (format!("life {}", self.lives), self.clock.now());
        self.store.drop_leases().await.unwrap();
        self.store.configure_sources(&poller::configured(&self.config.sources, &self.config.fetch, now)).await.unwrap();
        let fetch = Arc::new(self.config.fetch.clone());
        let visitor = Visitor::new(self.web.clone(), self.store.clone(), fetch, false, self.clock.clone());
        let (store, config) = (self.store.clone(), self.config.clone());
        Loops {
            poller: Poller::new(visitor, &self.config.sources, &owner),
            matcher: Matcher::new(store.clone(), config.clone(), &owner).await.unwrap(),
            notifier: Notifier::new(store.clone(), config.clone(), self.clock.clone(), &owner),
            overseer: Overseer::new(store, config, false, false, now),
        }
    }

    /// Runs so many hours; restarts every few of them.
    async fn run(&mut self, loops: &mut Loops, hours: i64) {
        for hour in 0..hours {
            let now = self.clock.now();
            if hour % 37 == 36 {
                *loops = self.boot().await;
            }
            loop {
                loops.poller.step(now).await.unwrap();
                if loops.poller.is_idle() {
                    break;
                }
                loops.poller.visit_finished().await;
            }
            while loops.matcher.step(now).await.unwrap().0.items > 0 {}
            loops.overseer.step(now).await.unwrap();
            while loops.matcher.step(now).await.unwrap().0.items > 0 {}
            for round in 0..50 {
                loops.notifier.step(now).await.unwrap();
                if !loops.notifier.is_idle() {
                    loops.notifier.delivery_finished().await;
                } else if round > 0 {
                    break;
                }
            }
            self.clock.set(now + SignedDuration::from_hours(1));
        }
    }

    /// What the operator was told, by what it is about, in order.
    async fn told(&self) -> BTreeMap<String, Vec<ReportLine>> {
        let mut told: BTreeMap<String, Vec<ReportLine>> = BTreeMap::new();
        for row in self.store.outbox("", 1_000_000).await.unwrap() {
            if row.kind == DeliveryKind::Report {
                for line in self.store.report_lines(row.id).await.unwrap() {
                    told.entry(line.about.clone()).or_default().push(line);
                }
            }
        }
        told
    }
}

/// The day of a line, counted from the start.
fn day_of(line: &ReportLine) -> i64 {
    line.at.duration_since(Web::start()).as_hours() / 24
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_is_told_once_and_its_end_once() {
    // What begins, on which day at the latest, and what it is called when it is over.
    let expected: &[(&str, &str, i64, &str, i64)] = &[
        ("failing", "cannot be read", 30, "can be read again", 33),
        ("flapping", "goes back and forth", 30, "is steady again", 34),
        ("challenge", "a check for robots or a log-in stands before it", 31, "can be read again without", 34),
        ("login", "a check for robots or a log-in stands before it", 31, "can be read again without", 34),
        ("selector", "shows no items where it used to", 30, "shows items again", 33),
        // Its last news came on Tuesday: three working days are over on Saturday. It comes back on a Wednesday.
        ("silent", "nothing new for", 33, "brings something new again", 44),
        ("same", "the same content to the last byte", 34, "changes again", 37),
        ("stuck", "its server said \"not modified\" although it had news", 34, "changes again", 48),
        ("dates", "new items in", 34, "dates that move on again", 40),
        ("language", "written in German now, before in English", 32, "writes in its usual language", 38),
    ];
    let quiet = ["daily", "weekdays", "yearly", "hiccup", "bilingual"];
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<&str> = expected.iter().map(|(name, ..)| *name).chain(quiet).collect();
    names.push("gone");
    let mut world = World::new(folder.path(), &names).await;
    let mut loops = world.boot().await;
    world.run(&mut loops, 60 * 24).await;
    assert!(world.lives > 30, "{}", world.lives);
    let mut told = world.told().await;
    let mut wrong = String::new();
    for (name, begins, begins_by, ends, ends_by) in expected {
        let lines = told.remove(*name).unwrap_or_default();
        let right = match lines.as_slice() {
            [begin, end] => {
                let in_time = (TROUBLE..=*begins_by).contains(&day_of(begin))
                    && (day_of(begin)..=*ends_by).contains(&day_of(end));
                let well_said = begin.headline.contains(begins) && end.headline.contains(ends);
                in_time && well_said && !begin.is_recovery && end.is_recovery && !begin.advice.is_empty()
            }
            _ => false,
        };
        if !right {
            let days: Vec<_> = lines.iter().map(|line| (day_of(line), &line.headline)).collect();
            let sources = world.store.sources().await.unwrap();
            let record = &sources.iter().find(|source| source.name == *name).unwrap().record;
            write!(wrong, "\n{name}: {days:#?}\n{record:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let gone = told.remove("gone").unwrap();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert_eq!(day_of(&gone[0]), TROUBLE);
    // The first contacts in one line, the self-tests; nothing of those that only rested, published seldom or had a bad hour.
    let contacts = told.remove("16 sources").unwrap();
    assert!(contacts[0].headline.contains("first contact"), "{contacts:?}");
    let tests = told.remove("(self-test)").unwrap_or_default();
    assert_eq!(told, BTreeMap::new());

    // All that was in trouble is over; what is open says so.
    let open: Vec<String> = world.store.conditions().await.unwrap().into_iter().map(|open| open.about).collect();
    assert_eq!(open, ["gone"]);
    // "Not modified" was untrue for twelve days, and nothing was lost by it.
    let now = world.clock.now();
    let items = world.store.archive_page(Web::start(), now, None, 100_000).await.unwrap();
    let days: std::collections::BTreeSet<&str> =
        items.iter().filter(|item| item.item.source == "stuck").map(|item| item.item.title.as_str()).collect();
    for day in TROUBLE..TROUBLE + 12 {
        assert!(days.iter().any(|title| title.contains(&format!("stuck-{day}-"))), "day {day} of {days:?}");
    }

    // The self-test goes through every day, the last of them is there, and it left no trace.
    assert!(tests.len() <= 1, "only the last is kept: {tests:?}");
    let canary = world.store.canary().await.unwrap().unwrap();
    assert!(matches!(canary.stage, Stage::Arrived(_)), "{canary:?}");
    let taken = world.post.taken.lock().unwrap().clone();
    let arrived = taken.iter().filter(|message| message.subject.contains("newswatch works")).count();
    assert!((59..=61).contains(&arrived), "{arrived}");
    assert!(items.iter().all(|item| item.item.source != newswatch::model::CANARY));
    assert_eq!(world.store.hits(&HitFilter { limit: 10, ..HitFilter::default() }).await.unwrap(), []);
    let sent: i64 = world.store.outbox_counts().await.unwrap().iter().map(|(_, count)| count).sum();
    let rows = world.store.outbox("", 1_000_000).await.unwrap();
    assert_eq!(sent as usize, rows.len() - 1, "the self-test is not counted");

    // What a digest may say agrees with the store.
    let sources = world.store.sources().await.unwrap();
    let coverage = health::coverage(&sources, 0, now - SignedDuration::from_hours(24), now);
    assert_eq!((coverage.sources, coverage.read, coverage.failing.len()), (16, 15, 1));
    let days = world.store.health_days(100).await.unwrap();
    let bad = days.iter().find(|day| day.day == days[0].day + TROUBLE + 2).unwrap();
    assert!(days.len() == 60 && bad.failing >= 4, "{bad:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_one_line_is_told_and_not_one_for_each_source() {
    let names: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), &names).await;
    let mut loops = world.boot().await;
    world.run(&mut loops, 48).await;
    *world.web.down.lock().unwrap() = true;
    world.run(&mut loops, 30).await;
    *world.web.down.lock().unwrap() = false;
    world.run(&mut loops, 48).await;
    let mut told = world.told().await;
    told.remove("(self-test)");
    told.remove("30 sources");
    let network = told.remove("(network)").unwrap();
    assert_eq!(told, BTreeMap::new());
    assert_eq!(network.iter().map(|line| line.is_recovery).collect::<Vec<_>>(), [false, true], "{network:?}");
    assert!(network[0].headline.contains("nothing can be reached"), "{network:?}");
    assert_eq!(world.store.conditions().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_test_that_is_lost_is_said_first_by_the_next_message_on_any_working_channel() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), &["daily"]).await;
    let mut loops = world.boot().await;
    world.run(&mut loops, 30).await;
    assert_eq!(world.store.conditions().await.unwrap(), []);
    *world.post.broken.lock().unwrap() = true;
    world.run(&mut loops, 48).await;
    let open = world.store.conditions().await.unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].condition.as_str(), "canary-lost");
    assert!(open[0].detail.contains("421 come back later"), "{open:?}");
    let digest = world.post.taken.lock().unwrap().iter().rfind(|message| message.route == "desk").cloned().unwrap();
    let (alarm, rest) = (digest.text.find("newswatch is not well"), digest.text.find("Nothing new."));
    assert!(alarm.is_some() && alarm < rest, "{}", digest.text);
    assert!(digest.html.contains("newswatch is not well"), "{}", digest.html);
    *world.post.broken.lock().unwrap() = false;
    world.run(&mut loops, 30).await;
    assert_eq!(world.store.conditions().await.unwrap(), []);
    let lines: Vec<bool> = world.told().await["(self-test)"]
        .iter()
        .filter(|line| !line.headline.contains("works"))
        .map(|line| line.is_recovery)
        .collect();
    assert_eq!(lines, [false, true]);
    let digest = world.post.taken.lock().unwrap().iter().rfind(|message| message.route == "desk").cloned().unwrap();
    assert!(!digest.text.contains("not well"), "{}", digest.text);
}

/// Counts what it was asked for; answers with a status that can be set.
struct Switch {
    status: Mutex<u16>,
    asked: Mutex<Vec<String>>,
}

impl Fetch for Switch {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        self.asked.lock().unwrap().push(request.url.to_string());
        let status = *self.status.lock().unwrap();
        Box::pin(async move { Ok(Response::new(status, request.url, Vec::new())) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_mans_switch_hears_only_of_a_watcher_that_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), &["daily"]).await;
    let mut loops = world.boot().await;
    let switch = Switch { status: Mutex::new(200), asked: Mutex::default() };
    let now = world.clock.now();
    loops.overseer.ping(&switch, true, now).await;
    assert_eq!(loops.overseer.ping_every(), None);
    assert_eq!(switch.asked.lock().unwrap().len(), 0, "no [ping] is configured");
    let text = std::fs::read_to_string(folder.path().join("newswatch.toml")).unwrap();
    let text = text + "[ping]\nurl = \"https://hc.example/secret\"\nevery = \"5m\"\n";
    std::fs::write(folder.path().join("newswatch.toml"), text).unwrap();
    let mut config = Config::load(Some(folder.path())).unwrap();
    config.channels.insert("post".into(), world.post.clone());
    world.config = Arc::new(config);
    let mut loops = world.boot().await;
    assert_eq!(loops.overseer.ping_every(), Some(std::time::Duration::from_secs(300)));
    loops.overseer.ping(&switch, true, now).await;
    assert_eq!(switch.asked.lock().unwrap().len(), 0, "nobody has looked after the sources yet");
    loops.overseer.step(now).await.unwrap();
    loops.overseer.ping(&switch, false, now).await;
    assert_eq!(switch.asked.lock().unwrap().len(), 0, "the loops stand still");
    loops.overseer.ping(&switch, true, now).await;
    assert_eq!(*switch.asked.lock().unwrap(), ["https://hc.example/secret"]);
    // A refusal spoils nothing; the next one comes at its time.
    *switch.status.lock().unwrap() = 500;
    loops.overseer.ping(&switch, true, now).await;
    *switch.status.lock().unwrap() = 200;
    loops.overseer.ping(&switch, true, now).await;
    assert_eq!(switch.asked.lock().unwrap().len(), 3);
    loops.overseer.ping(&switch, true, now + SignedDuration::from_hours(1)).await;
    assert_eq!(switch.asked.lock().unwrap().len(), 3, "the sources were not looked after for an hour");
    // A self-test that is lost.
    world.run(&mut loops, 30).await;
    *world.post.broken.lock().unwrap() = true;
    world.run(&mut loops, 48).await;
    loops.overseer.step(world.clock.now()).await.unwrap();
    loops.overseer.ping(&switch, true, world.clock.now()).await;
    assert_eq!(switch.asked.lock().unwrap().len(), 3);
}

#[test]
fn with_nothing_to_report_status_says_what_was_looked_at() {
    let web = Server::start();
    web.put("/a", rss(&web.base, &[("1", "Harbour", "A quiet day."), ("2", "Market", "Another quiet day.")]));
    web.put("/b", rss(&web.base, &[("3", "Weather", "It rains.")]));
    let folder = Folder::new("");
    let sources = [
        source("a", &format!("{}/a", web.base), ""),
        source("b", &format!("{}/b", web.base), ""),
        source("c", &format!("{}/nothing", web.base), ""),
    ];
    folder.write("newswatch.toml", &(loopback(folder.path()) + &sources.concat()));
    folder.write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once"]).ok();
    let status: serde_json::Value = serde_json::from_str(&folder.run(&["status", "--json"]).out).unwrap();
    let coverage = &status["coverage"];
    assert_eq!(
        (&coverage["sources"], &coverage["read"], coverage["failing"].as_array().unwrap().len(), &coverage["items"]),
        (&serde_json::json!(3), &serde_json::json!(2), 1, &serde_json::json!(3)),
        "{status}"
    );
    assert_eq!((&status["items"], &status["conditions"]), (&serde_json::json!(3), &serde_json::json!([])), "{status}");
    assert_eq!((&status["canary"]["stage"], &status["hits"]), (&serde_json::json!("arrived"), &serde_json::json!({})));
    let shown = folder.run(&["status"]);
    for part in [
        "3 configured, 2 fine, 1 failing",
        "2 read in the last 24 h",
        "3 in all, 3 in the last 24 h",
        "self-test sent",
        "none",
    ] {
        shown.says(part);
    }
    // The figures are those of the store, also after a third item came and the source in trouble came to its senses.
    web.put("/nothing", rss(&web.base, &[("4", "Shipping", "Nothing moves.")]));
    folder.run(&["run", "--once"]).ok();
    let status: serde_json::Value = serde_json::from_str(&folder.run(&["status", "--json"]).out).unwrap();
    assert_eq!(
        (&status["coverage"]["read"], &status["items"]),
        (&serde_json::json!(3), &serde_json::json!(4)),
        "{status}"
    );
    folder.run(&["source", "show", "a"]).ok().says("last read");
}
