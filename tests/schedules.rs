//! A year of schedules in five time zones, with restarts, crashes, suspends and a clock that jumps: each window exactly one digest,
//! no hit in none or two, quiet hours held and flushed, a day's budget kept. And a new source with a long past, which tells nobody.
//!
//! When each schedule is due comes from `tests/data/schedules/make.py`, which walks the year minute by minute with another
//! program's idea of the time zones. The loops run by their steps, as the daemon runs them, against a real store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::config::schedule::{QuietHours, Schedule, day_of, quiet_until, read_zone};
use newswatch::matcher::Matcher;
use newswatch::model::{DeliveryKind, Id, OutboxRow};
use newswatch::notifier::Notifier;
use newswatch::notifier::channel::{Channel, DeliveryError, Message};
use newswatch::poller::fetch::{Fetch, FetchError, Request, Response};
use newswatch::poller::visit::Visitor;
use newswatch::poller::{self, Poller};
use newswatch::store::hits::HitFilter;
use newswatch::store::{Durability, Store};

const EXPECTED: &str = include_str!("data/schedules/expected.txt");
const BUDGET: usize = 2;

/// A number below `below` that depends on the parts alone.
fn pick(parts: &[&str], below: u64) -> u64 {
    Id::of(parts).0 as u64 % below
}

fn minutes(count: u64) -> SignedDuration {
    SignedDuration::from_mins(count as i64)
}

/// What the other program expects of a zone, by name.
fn expected(zone: &str) -> BTreeMap<&'static str, Vec<Timestamp>> {
    let lines = EXPECTED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_zone = lines.filter(|words| words[0] == zone).map(|words| {
        let mut at: Timestamp = words[2].parse().unwrap();
        let mut moments = vec![at];
        for gap in &words[3..] {
            at += SignedDuration::from_mins(gap.parse().unwrap());
            moments.push(at);
        }
        (words[1], moments)
    });
    of_zone.collect()
}

/// The pair of moments around `at`, of pairs that begin and end something.
fn around(pairs: &[Timestamp], at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let pair = pairs.chunks_exact(2).find(|pair| pair[0] <= at && at < pair[1])?;
    Some((pair[0], pair[1]))
}

/// The last of the moments at or before `at`.
fn last(moments: &[Timestamp], at: Timestamp) -> Timestamp {
    moments[moments.partition_point(|moment| *moment <= at) - 1]
}

const ZONES: [&str; 5] = ["Europe/Zurich", "America/New_York", "Asia/Seoul", "Asia/Kathmandu", "Pacific/Apia"];

#[test]
fn two_programs_agree_on_a_year_of_schedules() {
    let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    for zone in ZONES {
        let expected = expected(zone);
        assert_eq!(expected.len(), 5);
        for (name, times, days) in [
            ("twice", &["02:30", "16:00"][..], "every day"),
            ("week", &["07:30"], "weekdays"),
            ("days", &["00:00"], "every day"),
        ] {
            let schedule = Schedule::new(&texts(times), &texts(&[days]), zone).unwrap();
            for pair in expected[name].windows(2) {
                assert_eq!(schedule.next_after(pair[0]), pair[1], "{zone} {name} after {}", pair[0]);
                let between = pair[0] + minutes(pick(&[zone, &pair[0].to_string()], 600));
                assert_eq!(schedule.last_before_or_at(between), pair[0], "{zone} {name} before {between}");
                assert!(schedule.has(pair[0]) && (between == pair[0] || !schedule.has(between)));
                if name == "days" {
                    assert_eq!(day_of(&read_zone(zone).unwrap(), between), (pair[0], pair[1]), "{zone} at {between}");
                }
            }
        }
        let quiet = |from: &str, until: &str, days: &[&str]| QuietHours::new(from, until, &texts(days), zone).unwrap();
        let nights = vec![quiet("22:00", "07:00", &["every day"])];
        let weekends = vec![quiet("00:00", "06:10", &["every day"]), quiet("00:00", "00:00", &["sat", "sun"])];
        for (name, hours) in [("nights", nights), ("weekends", weekends)] {
            let second = SignedDuration::from_secs(1);
            for pair in expected[name].windows(2).step_by(2).skip(3) {
                let (begin, end) = (pair[0], pair[1]);
                assert_eq!(quiet_until(&hours, begin - second), None, "{zone} {name} before {begin}");
                assert_eq!(quiet_until(&hours, begin), Some(end), "{zone} {name} at {begin}");
                assert_eq!(quiet_until(&hours, end - second), Some(end), "{zone} {name} before {end}");
                assert_eq!(quiet_until(&hours, end), None, "{zone} {name} at {end}");
            }
        }
    }
}

/// Two sources: a wire, and a paper that prints some of it later under the same address.
struct Web {
    wire: Mutex<Vec<String>>,
    paper: Mutex<Vec<String>>,
    clock: Clock,
}

impl Fetch for Web {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        let list = if request.url.path() == "/wire" { &self.wire } else { &self.paper };
        let mut body = String::from("<rss version=\"2.0\"><channel><title>t</title>");
        let words = |url: &str| -> String { (0..12).map(|n| format!("{} ", Id::of(&[url, &n.to_string()]))).collect() };
        for url in list.lock().unwrap().iter().rev().take(4) {
            let text = format!("The observer seat was taken away. {}", words(url));
            write!(
                body,
                "<item><title>{}</title><link>{url}</link><description>{text}</description></item>",
                Id::of(&[url])
            )
            .unwrap();
        }
        // What every first contact shows.
        body.push_str("<item><title>A quiet day</title><link>https://wire.example/quiet</link></item></channel></rss>");
        let mut response = Response::new(200, request.url.clone(), body.into_bytes());
        response.content_type = Some("application/rss+xml".into());
        response.etag = Some(self.clock.now().to_string().into_bytes());
        Box::pin(async move { Ok(response) })
    }
}

/// A message as it came.
#[derive(Clone, Debug)]
struct Taken {
    id: Id,
    route: String,
    /// By the clock that jumps.
    at: Timestamp,
    /// By the clock that does not.
    truly_at: Timestamp,
    urls: Vec<String>,
}

/// Takes messages and sometimes refuses.
#[derive(Debug)]
struct Post {
    seed: String,
    clock: Clock,
    truth: Clock,
    taken: Mutex<Vec<Taken>>,
    /// The first attempt on each message.
    tried: Mutex<BTreeMap<Id, Timestamp>>,
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
            let (at, truly_at) = (self.clock.now(), self.truth.now());
            let refused = pick(&[&self.seed, "post", &at.to_string(), &message.id.to_string()], 8) == 0;
            self.tried.lock().unwrap().entry(message.id).or_insert(at);
            if !refused {
                let urls = message.hits.iter().filter_map(|hit| hit.item.url.clone()).collect();
                let route = message.route.clone();
                self.taken.lock().unwrap().push(Taken { id: message.id, route, at, truly_at, urls });
            }
            if *self.deadly.lock().unwrap() {
                self.killed.notify_one();
                std::future::pending::<()>().await;
            }
            if refused { Err(DeliveryError::Temporary("451 come back later".into())) } else { Ok(()) }
        })
    }
}

/// The routes of a zone. A digest twice a day, one on weekdays that is never empty, alerts with a budget that are quiet at night, and
/// groups that are quiet in the small hours and at weekends.
fn routes(zone: &str) -> String {
    let route = |name: &str, more: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nchannel = \"post\"\nto = [\"desk@example.org\"]\ntime_zone = \"{zone}\"\n{more}"
        )
    };
    [
        route("twice", "[route.digest]\nat = [\"02:30\", \"16:00\"]\n"),
        route("week", "[route.digest]\nat = [\"07:30\"]\ndays = \"weekdays\"\nempty = \"never\"\n"),
        route("alerts", &format!("budget_per_day = {BUDGET}\n[route.quiet]\nfrom = \"22:00\"\nuntil = \"07:00\"\n")),
        route(
            "groups",
            "group = \"40m\"\n[[route.quiet]]\nfrom = \"00:00\"\nuntil = \"06:10\"\n[[route.quiet]]\nfrom = \"00:00\"\nuntil = \"00:00\"\n\
             days = [\"sat\", \"sun\"]\n",
        ),
    ]
    .concat()
}

struct World {
    seed: String,
    web: Arc<Web>,
    post: Arc<Post>,
    clock: Clock,
    /// Does not jump.
    truth: Clock,
    config: Arc<Config>,
    store: Store,
    lives: usize,
    published: BTreeMap<String, Timestamp>,
    /// By the clock that jumps.
    looks: Vec<Timestamp>,
    /// There is something new for the matcher.
    is_unmatched: bool,
}

struct Loops {
    poller: Poller,
    matcher: Matcher,
    notifier: Notifier,
}

impl World {
    async fn new(seed: &str, start: Timestamp, routes: &str, folder: &Path) -> World {
        let (clock, truth) = (Clock::simulated(start), Clock::simulated(start));
        std::fs::create_dir_all(folder.join("profiles.d")).unwrap();
        let profile = "name = \"seat\"\nthreshold = 1.0\n[[phrase]]\ntext = \"observer seat\"\nweight = 1.0\n";
        std::fs::write(folder.join("profiles.d/seat.toml"), profile).unwrap();
        let config = World::config(folder, routes);
        let web = Arc::new(Web { wire: Mutex::default(), paper: Mutex::default(), clock: clock.clone() });
        let post = Arc::new(Post {
            seed: seed.into(),
            clock: clock.clone(),
            truth: truth.clone(),
            taken: Mutex::default(),
            tried: Mutex::default(),
            deadly: Mutex::default(),
            killed: tokio::sync::Notify::new(),
        });
        let url = format!("sqlite:{}", folder.join("newswatch.sqlite").display());
        let store = Store::open(&url, Durability::Process).await.unwrap().lock().unwrap();
        let (published, looks) = (BTreeMap::new(), Vec::new());
        let (seed, config) = (seed.to_string(), Arc::new(config));
        let mut world =
            World { seed, web, post, clock, truth, config, store, lives: 0, published, looks, is_unmatched: false };
        world.reconfigure(folder, routes);
        world
    }

    fn config(folder: &Path, routes: &str) -> Config {
        let text = format!(
            "[fetch]\nhost_gap = \"0s\"\n[[channel]]\nname = \"post\"\nkind = \"email\"\nserver = \"localhost\"\nsecurity = \"none\"\n\
             from = \"w@example.org\"\n[[source]]\nname = \"wire\"\nurl = \"https://wire.example/wire\"\n[[source]]\nname = \"paper\"\n\
             url = \"https://paper.example/paper\"\n{routes}"
        );
        std::fs::write(folder.join("newswatch.toml"), text).unwrap();
        Config::load(Some(folder)).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn reconfigure(&mut self, folder: &Path, routes: &str) {
        let mut config = World::config(folder, routes);
        config.channels.insert("post".into(), self.post.clone());
        self.config = Arc::new(config);
    }

    /// What the daemon does at its start.
    async fn boot(&mut self) -> Loops {
        self.lives += 1;
        let owner = format!("life {}", self.lives);
        let now = self.clock.now();
        self.store.drop_leases().await.unwrap();
        self.store.forget_the_future(now).await.unwrap();
        self.store.configure_sources(&poller::configured(&self.config.sources, &self.config.fetch, now)).await.unwrap();
        let fetch = Arc::new(self.config.fetch.clone());
        let visitor = Visitor::new(self.web.clone(), self.store.clone(), fetch, false, self.clock.clone());
        Loops {
            poller: Poller::new(visitor, &self.config.sources, &owner),
            matcher: Matcher::new(self.store.clone(), self.config.clone(), &owner).await.unwrap(),
            notifier: Notifier::new(self.store.clone(), self.config.clone(), self.clock.clone(), &owner),
        }
    }

    /// All sources are asked.
    async fn poll(&mut self, loops: &mut Loops) {
        let now = self.clock.now();
        self.is_unmatched = true;
        self.store.make_all_due(now).await.unwrap();
        loop {
            loops.poller.step(now).await.unwrap();
            if loops.poller.is_idle() {
                break;
            }
            loops.poller.visit_finished().await;
        }
    }

    /// The wire has something new; the paper prints some of it again, some time later.
    async fn publish(&mut self, loops: &mut Loops) {
        let number = self.published.len();
        let url = format!("https://wire.example/{number}");
        self.web.wire.lock().unwrap().push(url.clone());
        if number % 5 == 4 {
            let old = number - pick(&[&self.seed, "copy", &url], 4) as usize;
            self.web.paper.lock().unwrap().push(format!("https://wire.example/{old}"));
        }
        self.published.insert(url, self.truth.now());
        self.poll(loops).await;
    }

    /// Matches and delivers what there is. With a crash the messages are taken, nothing is recorded, and the loops are new.
    async fn look(&mut self, loops: &mut Loops, crash: bool) {
        let now = self.clock.now();
        self.looks.push(now);
        while std::mem::take(&mut self.is_unmatched) {
            self.is_unmatched = loops.matcher.step(now).await.unwrap().0.items > 0;
        }
        *self.post.deadly.lock().unwrap() = crash;
        for _ in 0..50 {
            loops.notifier.step(now).await.unwrap();
            if crash {
                if !loops.notifier.is_idle() {
                    self.post.killed.notified().await;
                }
                *loops = self.boot().await;
                break;
            }
            if loops.notifier.is_idle() {
                break;
            }
            loops.notifier.delivery_finished().await;
        }
        *self.post.deadly.lock().unwrap() = false;
    }

    fn pass(&self, time: SignedDuration) {
        self.truth.set(self.truth.now() + time);
        self.clock.set(self.clock.now() + time);
    }

    /// Goes on until then. The clock may jump, by up to 25 days ahead or a day back, and is right again a few looks later.
    async fn run(&mut self, loops: &mut Loops, until: Timestamp, troubles: bool, jumps: bool) {
        let mut wrong_looks = 0;
        while self.truth.now() < until {
            let moment = self.truth.now().to_string();
            let luck = |what: &str, below: u64| pick(&[&self.seed, what, &moment], below);
            let fate = if troubles { luck("fate", 100) } else { 100 };
            let publishes = luck("publish", 4) == 0;
            let time = match fate {
                // Suspended, for up to three days; once in a while for nine.
                4 if wrong_looks == 0 => minutes(60 + luck("sleep", if luck("deep", 4) == 0 { 13_000 } else { 4_000 })),
                // The clock is wrong for some hours.
                _ if wrong_looks > 0 => minutes(10 + luck("step", 150)),
                _ => minutes(30 + luck("step", 580)) + SignedDuration::from_secs(1 + luck("second", 50) as i64),
            };
            let jump = luck("jump", 40);
            let ahead = minutes(1 + luck("ahead", 36_000));
            let back = minutes(1 + luck("back", 1_440));
            if publishes {
                self.publish(loops).await;
            }
            self.look(loops, fate < 2).await;
            if fate == 2 || fate == 3 {
                *loops = self.boot().await;
            }
            self.pass(time);
            if wrong_looks > 0 {
                wrong_looks -= 1;
                if wrong_looks == 0 {
                    let was = self.clock.now();
                    self.clock.set(self.truth.now());
                    if self.truth.now() < was {
                        self.store.forget_the_future(self.truth.now()).await.unwrap();
                    }
                }
            } else if jumps && jump < 2 {
                wrong_looks = 3;
                if jump == 0 {
                    self.clock.set(self.clock.now() + ahead);
                } else {
                    self.clock.set(self.clock.now() - back);
                    self.store.forget_the_future(self.clock.now()).await.unwrap();
                }
            }
        }
        self.clock.set(self.truth.now());
    }

    async fn rows(&self) -> BTreeMap<Id, OutboxRow> {
        self.store.outbox("", 1_000_000).await.unwrap().into_iter().map(|row| (row.id, row)).collect()
    }

    /// When each address was first found to be a hit.
    async fn found(&self) -> BTreeMap<String, Timestamp> {
        let mut found = BTreeMap::new();
        for hit in self.store.hits(&HitFilter { limit: 1_000_000, ..HitFilter::default() }).await.unwrap() {
            let at = found.entry(hit.item.url.unwrap()).or_insert(hit.found_at);
            *at = hit.found_at.min(*at);
        }
        found
    }
}

/// A year in a zone: quiet months, then months with a clock that jumps.
async fn a_year_in(zone: &str) {
    let expected = expected(zone);
    let folder = tempfile::tempdir().unwrap();
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let (start, jumping, end) = (at("2011-03-25T12:00:00Z"), at("2012-01-10T00:00:00Z"), at("2012-03-28T00:00:00Z"));
    let mut world = World::new(zone, start, &routes(zone), folder.path()).await;
    let mut loops = world.boot().await;
    // The first contact with the sources.
    world.poll(&mut loops).await;
    world.run(&mut loops, jumping, true, false).await;
    let calm_looks = world.looks.len();
    world.run(&mut loops, end, true, true).await;
    // All is well again; in the end nothing is left undone.
    world.run(&mut loops, end + SignedDuration::from_hours(5 * 24), false, false).await;

    let (rows, found) = (world.rows().await, world.found().await);
    let taken = world.post.taken.lock().unwrap().clone();
    assert_eq!(found.keys().collect::<Vec<_>>(), world.published.keys().collect::<Vec<_>>());
    assert!(
        found.len() > 300 && world.lives > 30,
        "{} hits, {} lives: too little to prove anything",
        found.len(),
        world.lives
    );

    // No hit in none or two: each route told of each of the last days' before them, by one message.
    let settled = end - SignedDuration::from_hours(12 * 24);
    for route in ["twice", "week", "alerts", "groups"] {
        let mut told: BTreeMap<&str, BTreeSet<Id>> = BTreeMap::new();
        for taken in taken.iter().filter(|taken| taken.route == route) {
            for url in &taken.urls {
                told.entry(url).or_default().insert(taken.id);
                let wait = taken.truly_at.duration_since(world.published[url]);
                assert!(wait < SignedDuration::from_hours(14 * 24), "{zone} {route}: {url} waited for {wait}");
            }
        }
        for (url, published) in &world.published {
            let ids = told.get(url.as_str()).map_or(0, BTreeSet::len);
            assert!(
                ids == 1 || ids == 0 && *published > settled,
                "{zone} {route}: {url} of {published} is in {ids} messages"
            );
        }
        // Nothing is left behind but what the next digest is made of.
        for row in rows.values().filter(|row| row.route == route && row.due_at <= end) {
            assert_eq!(row.state, "sent", "{zone}: {row:?}");
        }
    }

    // Each window exactly one digest: of all that ended since the last look the last one, and it says so.
    for route in ["twice", "week"] {
        let moments = &expected[route];
        let mut windows = BTreeSet::new();
        let (mut settled, mut calm_end) = (world.looks[0], world.looks[0]);
        for (number, look) in world.looks.iter().enumerate() {
            settled = settled.min(*look);
            let ended = last(moments, *look);
            if ended > settled {
                windows.insert(ended);
                settled = ended;
            }
            if number < calm_looks {
                calm_end = settled;
            }
        }
        windows.retain(|window| *window <= settled);
        let mut digests: Vec<&OutboxRow> =
            rows.values().filter(|row| row.route == route && row.window_to.unwrap() <= settled).collect();
        digests.sort_by_key(|row| row.window_to);
        let found_windows: Vec<Timestamp> = digests.iter().map(|row| row.window_to.unwrap()).collect();
        if route == "twice" {
            let missing: Vec<_> = windows.iter().filter(|window| !found_windows.contains(window)).collect();
            assert!(missing.is_empty(), "{zone} {route}: no digest for {missing:?}");
            assert!(windows.len() > 500 && windows.len() < moments.len() - 60, "{} windows", windows.len());
        }
        for row in &digests {
            // When the clock jumped over a window to one whose digest is out already, what was found in it comes by itself.
            let is_expected = windows.contains(&row.window_to.unwrap());
            let tells = taken.iter().any(|taken| taken.id == row.id && !taken.urls.is_empty());
            let is_calm = row.window_to.unwrap() <= calm_end;
            assert!(is_expected || (tells && !is_calm && moments.contains(&row.window_to.unwrap())), "{zone}: {row:?}");
        }
        // Twice only when the clock came by three windows in a row before their time: what is found then does not wait for days.
        let twice: Vec<_> = found_windows.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert!(twice.len() < 3 && twice.iter().all(|window| *window > jumping), "{zone} {route}: {twice:?}");
        // They follow one another without a gap, as long as the clock does not jump.
        let mut from = world.looks[0];
        let calm_end = calm_end.min(world.looks[calm_looks - 1]);
        for row in digests.iter().filter(|row| row.window_to.unwrap() <= calm_end) {
            assert_eq!(row.window_from, Some(from), "{zone}: {row:?}");
            from = row.window_to.unwrap();
        }
        for taken in taken.iter().filter(|taken| taken.route == route) {
            let row = &rows[&taken.id];
            for url in taken.urls.iter().filter(|url| found[*url] < calm_end) {
                let window = windows.range(found[url] + SignedDuration::from_millis(1)..).next();
                assert_eq!(row.window_to, window.copied(), "{zone} {route}: {url} found {} is in {row:?}", found[url]);
                assert!(row.window_from.unwrap() <= found[url], "{zone} {route}: {row:?} says less than its time");
            }
        }
    }

    // Quiet hours: nothing comes in them, and what was found in them comes in one message when they are over.
    let calm = &world.looks[..calm_looks];
    let tried = world.post.tried.lock().unwrap().clone();
    for (route, hours) in [("alerts", "nights"), ("groups", "weekends")] {
        let (mut held, mut holding) = (BTreeMap::new(), BTreeSet::new());
        for taken in taken.iter().filter(|taken| taken.route == route) {
            assert_eq!(around(&expected[hours], taken.at), None, "{zone} {route} was told at {}", taken.at);
            let row = &rows[&taken.id];
            for url in taken.urls.iter().filter(|url| found[*url] < calm[calm_looks - 30]) {
                let Some((begin, end)) = around(&expected[hours], found[url]) else { continue };
                if row.kind == DeliveryKind::Overflow {
                    continue;
                }
                assert_eq!((row.kind, row.window_to), (DeliveryKind::Group, Some(end)), "{zone} {route}: {row:?}");
                held.entry(begin).or_insert_with(BTreeSet::new).insert(taken.id);
                holding.insert(taken.id);
                // Tried at once when they are over; a crash may have come between.
                let looks: Vec<Timestamp> = calm.iter().filter(|look| **look >= end).take(2).copied().collect();
                let first = tried[&taken.id];
                assert!(
                    looks.contains(&first),
                    "{zone} {route}: quiet until {end}, tried at {first}, looked {looks:?}"
                );
            }
        }
        assert!(held.len() > 30, "{zone} {route}: {} quiet times held something", held.len());
        assert!(held.values().all(|ids| ids.len() == 1) && holding.len() == held.len(), "{zone} {route}: {held:?}");
    }

    // The budget: so many stories of a day, the others in one list when it is over.
    let days = &expected["days"];
    let (mut told, mut listed) = (BTreeMap::<Timestamp, usize>::new(), BTreeMap::<Timestamp, BTreeSet<Id>>::new());
    let mut by_day = BTreeMap::<Timestamp, usize>::new();
    let is_calm = |url: &str| found[url] < calm[calm_looks - 30];
    for url in found.keys().filter(|url| is_calm(url)) {
        *by_day.entry(last(days, found[url])).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    for taken in taken.iter().filter(|taken| taken.route == "alerts" && seen.insert(taken.id)) {
        for url in taken.urls.iter().filter(|url| is_calm(url)) {
            let day = last(days, found[url]);
            if rows[&taken.id].kind == DeliveryKind::Overflow {
                listed.entry(day).or_default().insert(taken.id);
                assert!(last(days, tried[&taken.id]) > day, "{zone}: the list of {day} came before its end");
            } else {
                *told.entry(day).or_default() += 1;
            }
        }
    }
    for (day, count) in by_day {
        assert_eq!(told[&day], count.min(BUDGET), "{zone}: {count} stories on {day}");
        assert_eq!(listed.get(&day).map_or(0, BTreeSet::len), usize::from(count > BUDGET), "{zone}: {day}");
    }
    assert!(listed.len() > 10, "{zone}: {} days over budget", listed.len());
}

#[tokio::test]
async fn a_year_in_zurich() {
    a_year_in("Europe/Zurich").await;
}

#[tokio::test]
async fn a_year_in_new_york() {
    a_year_in("America/New_York").await;
}

#[tokio::test]
async fn a_year_in_seoul() {
    a_year_in("Asia/Seoul").await;
}

#[tokio::test]
async fn a_year_in_kathmandu() {
    a_year_in("Asia/Kathmandu").await;
}

#[tokio::test]
async fn a_year_in_apia() {
    a_year_in("Pacific/Apia").await;
}

/// A source whose first answer shows thousands of old items, all on topic.
struct Archive {
    items: usize,
}

impl Fetch for Archive {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        let mut body = String::from("<rss version=\"2.0\"><channel><title>t</title>");
        for n in 0..self.items {
            let url = format!("https://wire.example/{n}");
            write!(
                body,
                "<item><title>{}</title><link>{url}</link><description>The observer seat</description></item>",
                Id::of(&[&url])
            )
            .unwrap();
        }
        body.push_str("</channel></rss>");
        let mut response = Response::new(200, request.url.clone(), body.into_bytes());
        response.content_type = Some("application/rss+xml".into());
        Box::pin(async move { Ok(response) })
    }
}

#[derive(Debug, Default)]
struct Texts(Mutex<Vec<(String, String)>>);

impl Channel for Texts {
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
            self.0.lock().unwrap().push((message.route.clone(), message.text.clone()));
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_new_source_with_five_thousand_items_is_one_line_of_the_next_digest() {
    const ITEMS: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::new("backlog", start, &routes("Europe/Zurich"), folder.path()).await;
    let texts = Arc::new(Texts::default());
    let mut config = (*world.config).clone();
    config.channels.insert("post".into(), texts.clone());
    config.sources.truncate(1);
    world.config = Arc::new(config);
    world
        .store
        .configure_sources(&poller::configured(&world.config.sources, &world.config.fetch, start))
        .await
        .unwrap();
    let fetch = Arc::new(world.config.fetch.clone());
    let web = Arc::new(Archive { items: ITEMS });
    let visitor = Visitor::new(web, world.store.clone(), fetch, false, world.clock.clone());
    let mut loops = world.boot().await;
    loops.poller = Poller::new(visitor, &world.config.sources, "archive");
    world.poll(&mut loops).await;
    // The digests of the afternoon, of the night, and of the next afternoon.
    for _ in 0..3 {
        world.look(&mut loops, false).await;
        world.pass(SignedDuration::from_hours(12));
    }
    assert_eq!(world.store.hits(&HitFilter { limit: 10_000, ..HitFilter::default() }).await.unwrap().len(), ITEMS);
    let texts = texts.0.lock().unwrap();
    assert_eq!(texts.iter().map(|(route, _)| route.as_str()).collect::<Vec<_>>(), ["twice", "twice"]);
    // A line of the message goes on in the next.
    let lines = |text: &str| {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        flat.split("- ").filter(|line| line.contains("first contact with")).map(str::to_string).collect::<Vec<_>>()
    };
    let first = lines(&texts[0].1);
    assert_eq!(first.len(), 1, "{}", texts[0].1);
    assert!(first[0].contains("first contact with wire") && first[0].contains("5000 hits"), "{first:?}");
    assert_eq!(lines(&texts[1].1), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_configuration_loses_nothing_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let zone = "Europe/Zurich";
    let digest = |name: &str, to: &str, at: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nchannel = \"post\"\nto = [{to}]\n[route.digest]\nat = [\"{at}\"]\ntime_zone = \"{zone}\"\n"
        )
    };
    let old = format!(
        "{}{}[[route]]\nname = \"duty\"\nchannel = \"post\"\nto = [\"duty@example.org\"]\n[route.quiet]\nfrom = \"10:00\"\nuntil = \"20:00\"\n\
         time_zone = \"{zone}\"\n",
        digest("desk", "\"anna@example.org\", \"ben@example.org\"", "07:30"),
        digest("team", "\"team@example.org\"", "18:00"),
    );
    let mut world = World::new("config", start, &old, folder.path()).await;
    let mut loops = world.boot().await;
    world.poll(&mut loops).await;
    world.look(&mut loops, false).await;
    for _ in 0..3 {
        world.pass(minutes(20));
        world.publish(&mut loops).await;
        world.look(&mut loops, false).await;
    }
    let waiting = world.store.outbox("waiting", 100).await.unwrap();
    assert_eq!(waiting.len(), 4, "{waiting:?}");
    // The desk's digest comes earlier, anna is called anne, the team is a group now, and the quiet hours are gone.
    let new = format!(
        "{}{}[[route]]\nname = \"duty\"\nchannel = \"post\"\nto = [\"duty@example.org\"]\n",
        digest("desk", "\"anne@example.org\", \"ben@example.org\"", "16:00"),
        digest("group", "\"team@example.org\"", "18:00"),
    );
    world.reconfigure(folder.path(), &new);
    loops.notifier.reconfigure(world.config.clone());
    loops.matcher.reconfigure(world.config.clone()).await.unwrap();
    world.look(&mut loops, false).await;
    let told = world.post.taken.lock().unwrap().clone();
    assert_eq!(told.iter().map(|taken| (taken.route.as_str(), taken.urls.len())).collect::<Vec<_>>(), [("duty", 3)]);
    world.pass(SignedDuration::from_hours(6));
    // What is refused is tried again.
    for _ in 0..3 {
        world.look(&mut loops, false).await;
        world.pass(minutes(10));
    }
    let told = world.post.taken.lock().unwrap().clone();
    let mut told: Vec<(&str, usize)> = told[1..].iter().map(|taken| (taken.route.as_str(), taken.urls.len())).collect();
    told.sort();
    assert_eq!(told, [("desk", 3), ("desk", 3), ("group", 3)]);
    let rows = world.store.outbox("", 100).await.unwrap();
    let ended: BTreeMap<(&str, &str), (&str, &str)> = rows
        .iter()
        .map(|row| ((row.route.as_str(), row.recipient.as_str()), (row.state.as_str(), row.error.as_str())))
        .collect();
    let moved = |why: &'static str| ("discarded", why);
    assert_eq!(
        ended[&("desk", "anna@example.org")],
        moved("anna@example.org is not a recipient of the route desk any more; handed on: 3 of 3 hits")
    );
    assert_eq!(
        ended[&("team", "team@example.org")],
        moved("the configuration has no route team any more; handed on: 3 of 3 hits")
    );
    assert!(ended.iter().filter(|(_, (state, _))| *state == "sent").count() == 4, "{ended:?}");
    // A digest says since when it is of, also when it took over another's hits.
    for row in rows.iter().filter(|row| row.kind == DeliveryKind::Digest && row.state == "sent") {
        assert!(row.window_from.unwrap() <= start + minutes(20), "{row:?}");
    }
}
