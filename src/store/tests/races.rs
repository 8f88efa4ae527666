//! What two watchers do to one store at the same moment, or much too late. Only PostgreSQL has several.

use super::watchers::{shared, watcher};
use super::*;
use crate::model::{ConfigurationHashes, Watcher};
use crate::store::evidence::NewCapture;

/// Rows for one recipient, all due at the same time.
async fn messages(store: &Store, count: usize) {
    store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
    let items = (0..count).map(|n| new_item("wire", &n.to_string())).collect();
    visit(store, "wire", items, at(1)).await;
    let found = score_all(store, |_| vec![delivery("desk", Way::Alone)], at(2)).await;
    assert_eq!(found, count as u64);
}

#[tokio::test]
async fn two_that_claim_at_the_same_moment_do_not_share_a_recipient() {
    shared(async |store| {
        messages(&store, 4).await;
        for round in 0..40 {
            let claim = async |owner| store.claim_outbox(owner, at(3), at(13), 1, &[]).await.unwrap();
            let (one, two) = tokio::join!(claim("one"), claim("two"));
            assert!(one.is_empty() != two.is_empty(), "round {round}: {} and {}", one.len(), two.len());
            let back: Vec<_> =
                one.into_iter().chain(two).map(|(row, claim)| (row.id, claim, Outcome::NotTried)).collect();
            store.finish_deliveries(&back, at(3)).await.unwrap();
        }
    })
    .await;
}

/// A watcher whose routes are these.
fn routed(name: &str, routes: &str) -> Watcher {
    let configuration = ConfigurationHashes { routes: routes.into(), ..watcher(name, "h").configuration };
    Watcher { configuration, ..watcher(name, "h") }
}

#[tokio::test]
async fn what_a_newer_configuration_changed_is_not_told_by_the_older() {
    shared(async |store| {
        messages(&store, 2).await;
        let old = store.clone().named("old/1");
        store.join_watchers(&routed("old", "before"), "", &[]).await.unwrap();
        let claimed = old.claim_outbox("old/1", at(3), at(13), 1, &[]).await.unwrap();
        let (row, claim) = &claimed[0];
        assert!(old.holds_delivery(row.id, claim, at(4)).await.unwrap());
        assert!(!old.holds_delivery(row.id, claim, at(13)).await.unwrap(), "its time is over");
        // Another watcher comes with other routes; this one will hear of it with its next heartbeat.
        tokio::time::sleep(Duration::from_millis(5)).await;
        store.join_watchers(&routed("new", "after"), "", &[]).await.unwrap();
        assert!(!old.holds_delivery(row.id, claim, at(4)).await.unwrap(), "an old configuration still delivers");
        assert!(old.claim_outbox("old/1", at(4), at(14), 10, &[]).await.unwrap().is_empty(), "and claims");
        let waiting = store.outbox("waiting", 10).await.unwrap();
        let other = waiting.iter().find(|other| other.id != row.id).unwrap();
        let handed = old.hand_over(other, &[], false, "no such route", at(4)).await.unwrap();
        assert_eq!(handed, None, "and gives up what it does not know");
        assert_eq!(store.outbox("waiting", 10).await.unwrap().len(), 2);
        let new = store.clone().named("new/1");
        store.finish_deliveries(&[(row.id, claim.clone(), Outcome::NotTried)], at(4)).await.unwrap();
        assert_eq!(new.claim_outbox("new/1", at(4), at(14), 10, &[]).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_article_that_comes_late_takes_nothing_back() {
    shared(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let mut new = new_item("wire", "1");
        new.item.article_state = ArticleState::Unread;
        let id = new.item.id;
        let read = |text: &str| Item { article: text.into(), article_state: ArticleState::Read, ..new.item.clone() };
        let late = read("the old article");
        visit(&store, "wire", vec![new.clone()], at(1)).await;
        // The watcher that reads the page is stopped. The source is visited again, by another one.
        let due = store.claim_sources("other", at(40), at(45), 10, 1).await.unwrap().remove(0);
        let mut edited = new.clone();
        edited.item.title = "the new title".into();
        let visit = VisitResult {
            claim: due.1,
            state: due.0,
            before: Default::default(),
            new_items: vec![],
            edited_items: vec![edited],
            captures: vec![],
            gap: None,
            memory: None,
        };
        store.commit_visits(&[visit], at(41)).await.unwrap();
        let now = Item { title: "the new title".into(), ..read("the new article") };
        store.commit_articles(&[now], &[], &[], at(42)).await.unwrap();
        let scored = store.claim_unscored("me", at(43), at(48), 10).await.unwrap();
        store.commit_matches(&MatchResult { scored, ..MatchResult::default() }).await.unwrap();
        // The first goes on.
        let gated = Item { article_state: ArticleState::Unread, article_problem: "late".into(), ..new.item.clone() };
        for late in [late, gated] {
            store.commit_articles(&[late], &[], &[], at(44)).await.unwrap();
            let item = store.item(id).await.unwrap().unwrap();
            assert_eq!((item.title.as_str(), item.article.as_str()), ("the new title", "the new article"));
            assert_eq!((item.article_state, item.article_problem.as_str()), (ArticleState::Read, ""));
            assert_eq!(store.unscored_count().await.unwrap(), 0, "scored again for nothing");
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_crashed_gives_out_no_turn_too_early_and_forgets_no_rest() {
    shared(async |store| {
        let lease = Duration::from_secs(60);
        let mut turn = store.host_turn("a.example", lease).await;
        turn.rest(Duration::from_secs(3600));
        let other = store.host_turn("b.example", lease).await;
        drop(turn);
        drop(store.host_turn("a.example", lease).await);
        // What PostgreSQL does to an unlogged table in crash recovery, and what a standby has of it.
        sqlx::query("TRUNCATE turns").execute(&store.writer).await.unwrap();
        let waiting =
            async |host: &str| tokio::time::timeout(Duration::from_millis(400), store.host_turn(host, lease)).await;
        assert!(waiting("b.example").await.is_err(), "somebody may still ask this host");
        assert!(waiting("c.example").await.is_err());
        drop(other);
        // The longest turn is over.
        sqlx::query("UPDATE turns SET lease_until = 1, free_at = 1").execute(&store.writer).await.unwrap();
        assert!(waiting("c.example").await.is_ok());
        let next = waiting("a.example").await.unwrap();
        assert!(next.rests_for().is_some_and(|rest| rest > Duration::from_secs(3500)), "the rest is forgotten");
    })
    .await;
}

#[tokio::test]
async fn a_visit_that_gets_into_anothers_way_is_stored_all_the_same() {
    shared(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let (state, claim) = store.claim_sources("me", at(1), at(20), 1, 1).await.unwrap().remove(0);
        let visit = VisitResult {
            claim,
            state,
            before: Default::default(),
            new_items: vec![new_item("wire", "1")],
            edited_items: vec![],
            captures: vec![super::evidence::capture("1", "document", 1_000_000)],
            gap: None,
            memory: None,
        };
        // Somebody takes the same locks in the other order.
        let mut other = store.begin().await.unwrap();
        sqlx::query("UPDATE capture_room SET bytes = bytes").execute(&mut *other).await.unwrap();
        let crossing = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            sqlx::query("UPDATE sources SET gated = gated").execute(&mut *other).await.unwrap();
            other.commit().await.unwrap();
        };
        let visits = [visit];
        let (stored, ()) = tokio::join!(store.commit_visits(&visits, at(2)), crossing);
        assert_eq!(stored.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_cut_off_unseen_is_given_up_and_replaced() {
    use sqlx::any::AnyPoolOptions;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    let Some(mut url) = std::env::var("NEWSWATCH_TEST_POSTGRES").ok().and_then(|url| url::Url::parse(&url).ok()) else {
        return;
    };
    sqlx::any::install_default_drivers();
    let server = (url.host_str().unwrap().to_string(), url.port().unwrap_or(5432));
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.local_addr().unwrap().port())).unwrap();
    // Passes on what comes until the wire is cut; then nothing comes and nothing is said.
    async fn wire(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, cut: watch::Receiver<bool>) {
        let mut bytes = vec![0; 10_000];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if *cut.borrow() {
                std::future::pending::<()>().await;
            }
            to.write_all(&bytes[..count]).await.unwrap();
        }
    }
    let cut: Arc<std::sync::Mutex<Vec<watch::Sender<bool>>>> = Arc::default();
    let wires = cut.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = proxy.accept().await {
            let server = tokio::net::TcpStream::connect(&server).await.unwrap();
            let (sender, receiver) = watch::channel(false);
            wires.lock().unwrap().push(sender);
            let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
            tokio::spawn(wire(client_in, server_out, receiver.clone()));
            tokio::spawn(wire(server_in, client_out, receiver));
        }
    });
    let options = AnyPoolOptions::new().max_connections(2).test_before_acquire(false);
    let first = options.clone().connect(url.as_str()).await.unwrap();
    let pool = Pool::limited(first, options, url.as_str(), Duration::from_millis(500));
    let ask = async || sqlx::query("SELECT 1").fetch_one(&pool).await;
    ask().await.unwrap();
    let mut tx = pool.begin_with("BEGIN").await.unwrap();
    for wire in cut.lock().unwrap().iter() {
        wire.send_replace(true);
    }
    let in_transaction = sqlx::query("SELECT 1").fetch_one(&mut *tx).await.err().unwrap().to_string();
    assert!(in_transaction.contains("does not answer"), "{in_transaction}");
    drop(tx);
    ask().await.expect("new connections were made");
}

/// A number below `below`; the same ones in each run.
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

/// What an item was read from.
fn document(item: &Item, text: &str) -> NewCapture {
    NewCapture { items: vec![item.id], ..super::evidence::capture(&item.key, text, 10_000_000) }
}

/// Who is told.
fn told(hit: &Hit) -> Vec<NewDelivery> {
    vec![delivery(&format!("desk {}", hit.item.id.0.rem_euclid(3)), Way::Alone)]
}

/// What happened, as the watchers saw it.
#[derive(Default)]
struct Seen {
    minutes: i64,
    keys: u64,
    /// New items that commits said they stored.
    stored: u64,
    /// New hits, likewise.
    hits: u64,
    /// Messages by how often they were delivered.
    delivered: std::collections::BTreeMap<Id, u32>,
    items: Vec<Item>,
}

/// A watcher that does what comes to its mind, much of it too late.
struct Careless {
    store: Store,
    owner: String,
    seed: u64,
    seen: Arc<std::sync::Mutex<Seen>>,
    visits: Vec<VisitResult>,
    batches: Vec<MatchResult>,
    messages: Vec<(Id, Claim)>,
}

impl Careless {
    fn now(&self) -> Timestamp {
        let mut seen = self.seen.lock().unwrap();
        seen.minutes += 1;
        at(seen.minutes)
    }

    /// One of those that it holds.
    fn pick<T>(seed: &mut u64, from: &mut Vec<T>) -> Option<T> {
        (!from.is_empty()).then(|| from.swap_remove(next(seed, from.len() as u64) as usize))
    }

    async fn claim_sources(&mut self) {
        let now = self.now();
        let claimed =
            self.store.claim_sources(&self.owner, now, now + SignedDuration::from_mins(20), 3, 1).await.unwrap();
        for (mut state, claim) in claimed {
            let mut seen = self.seen.lock().unwrap();
            let key = format!("{} {}", state.name, seen.keys);
            seen.keys += 1;
            let mut new = new_item(&state.name, &key);
            if next(&mut self.seed, 2) == 0 {
                new.item.article_state = ArticleState::Unread;
            }
            let mut edited_items: Vec<NewItem> = Vec::new();
            for old in seen.items.iter().filter(|old| old.source == state.name).take(4) {
                let mut edited = new_item(&state.name, &old.key);
                edited.item.title = format!("{key} in another place");
                edited_items.push(edited);
            }
            (state.health, state.next_at) = (Health::Fine, now);
            let captures = vec![document(&new.item, &format!("document {key}"))];
            self.visits.push(VisitResult {
                claim,
                state,
                before: Default::default(),
                new_items: vec![new],
                edited_items,
                captures,
                gap: None,
                memory: None,
            });
        }
    }

    async fn commit_visits(&mut self) {
        let now = self.now();
        let mut late = Vec::new();
        for _ in 0..2 {
            late.extend(Self::pick(&mut self.seed, &mut self.visits));
        }
        let stored = self.store.commit_visits(&late, now).await.unwrap();
        self.seen.lock().unwrap().stored += stored;
        let new: Vec<Id> = late.iter().flat_map(|visit| &visit.new_items).map(|new| new.item.id).collect();
        let new = self.store.items_whole(&new).await.unwrap();
        self.seen.lock().unwrap().items.extend(new.into_values());
    }

    async fn read_articles(&mut self) {
        let now = self.now();
        let mut tried = Vec::new();
        {
            let seen = self.seen.lock().unwrap();
            for _ in 0..4u64.min(seen.items.len() as u64) {
                let item = seen.items[next(&mut self.seed, seen.items.len() as u64) as usize].clone();
                let article = format!("the article of {}", item.key);
                tried.push(Item { article, article_state: ArticleState::Read, ..item });
            }
        }
        let captures: Vec<NewCapture> = tried.iter().map(|item| document(item, &item.article)).collect();
        self.store.commit_articles(&tried, &[], &captures, now).await.unwrap();
    }

    async fn score(&mut self) {
        let now = self.now();
        let claimed = claim_unscored(&self.store, &self.owner, now, now + SignedDuration::from_mins(20), 5).await;
        let turn = self.store.story_turn(Duration::from_secs(1)).await.unwrap();
        let mut batch = MatchResult { turn: turn.fence(), ..MatchResult::default() };
        for (unscored, claim) in claimed {
            batch.scored.push((unscored.item.id, claim));
            let hit = super::hit_of(&unscored, "apg", now);
            batch.hits.push(NewHit { deliveries: told(&hit), hit });
        }
        if next(&mut self.seed, 3) == 0 {
            self.batches.push(batch);
        } else {
            self.commit_matches(batch).await;
        }
        drop(turn);
    }

    async fn commit_matches(&self, batch: MatchResult) {
        match self.store.commit_matches(&batch).await {
            Ok(hits) => self.seen.lock().unwrap().hits += hits,
            Err(StoreError::TurnIsOver) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn claim_messages(&mut self) {
        let now = self.now();
        let claimed = self.store.claim_outbox(&self.owner, now, now + SignedDuration::from_mins(90), 3, &[]).await;
        self.messages.extend(claimed.unwrap().into_iter().map(|(row, claim)| (row.id, claim)));
    }

    async fn deliver(&mut self) {
        let now = self.now();
        let Some((id, claim)) = Self::pick(&mut self.seed, &mut self.messages) else { return };
        // An attempt is over before the claim is.
        if !self.store.holds_delivery(id, &claim, now + SignedDuration::from_mins(40)).await.unwrap() {
            return;
        }
        *self.seen.lock().unwrap().delivered.entry(id).or_default() += 1;
        self.store.finish_deliveries(&[(id, claim, Outcome::Sent)], now).await.unwrap();
    }

    async fn step(&mut self) {
        match next(&mut self.seed, 16) {
            0..=3 => self.claim_sources().await,
            4..=6 => self.commit_visits().await,
            7 => self.read_articles().await,
            8..=9 => self.score().await,
            10 => {
                if let Some(batch) = Self::pick(&mut self.seed, &mut self.batches) {
                    self.commit_matches(batch).await;
                }
            }
            11..=12 => self.claim_messages().await,
            13..=14 => self.deliver().await,
            // It is killed and started again.
            _ => {
                (self.visits, self.batches, self.messages) = Default::default();
                self.store.free_claims(&self.owner).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn whatever_careless_watchers_do_nothing_is_lost_or_doubled() {
    shared(async |store| {
        let sources: Vec<ConfiguredSource> =
            (0..6).map(|n| source(&format!("s{n}"), &format!("h{n}.example"))).collect();
        store.configure_sources(&sources).await.unwrap();
        let seen: Arc<std::sync::Mutex<Seen>> = Arc::default();
        let careless = |number: u64| Careless {
            store: store.clone().named(&format!("w{number}")),
            owner: format!("w{number}"),
            seed: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1),
            seen: seen.clone(),
            visits: Vec::new(),
            batches: Vec::new(),
            messages: Vec::new(),
        };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..3 {
            let mut watcher = careless(number);
            tasks.spawn(async move {
                for _ in 0..70 {
                    watcher.step().await;
                }
                watcher
            });
        }
        let late = tasks.join_all().await;
        // What they still hold comes late; one that comes after them does the rest.
        for mut watcher in late {
            while !watcher.visits.is_empty() {
                watcher.commit_visits().await;
            }
            for batch in std::mem::take(&mut watcher.batches) {
                watcher.commit_matches(batch).await;
            }
            while !watcher.messages.is_empty() {
                watcher.deliver().await;
            }
        }
        seen.lock().unwrap().minutes += 1_000;
        let mut last = careless(3);
        while store.unscored_count().await.unwrap() > 0 {
            let now = last.now();
            let scored = claim_unscored(&store, &last.owner, now, now + SignedDuration::from_mins(20), 100).await;
            let mut batch = MatchResult::default();
            for (unscored, claim) in scored {
                let hit = super::hit_of(&unscored, "apg", now);
                batch.scored.push((unscored.item.id, claim));
                batch.hits.push(NewHit { deliveries: told(&hit), hit });
            }
            last.commit_matches(batch).await;
        }
        loop {
            last.claim_messages().await;
            if last.messages.is_empty() {
                break;
            }
            while !last.messages.is_empty() {
                last.deliver().await;
            }
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let items = store.item_counts(at(0)).await.unwrap().0 as u64;
        let hits = store.hits(&HitFilter { limit: 10_000, ..HitFilter::default() }).await.unwrap();
        assert!(items > 20, "hardly anything happened: {items}");
        assert_eq!((seen.stored, seen.hits, hits.len() as u64), (items, items, items));
        let rows = store.outbox("", 10_000).await.unwrap();
        assert_eq!(rows.len() as u64, items);
        assert!(rows.iter().all(|row| row.state == "sent" && seen.delivered.get(&row.id) == Some(&1)));
        let whole = store.items_whole(&hits.iter().map(|hit| hit.item.id).collect::<Vec<Id>>()).await.unwrap();
        for item in whole.values() {
            assert!(item.article.is_empty() || item.article == format!("the article of {}", item.key));
        }
        let verified = store.verify_evidence().await.unwrap();
        assert!(verified.broken.is_empty(), "{:?}", verified.broken);
    })
    .await;
}
