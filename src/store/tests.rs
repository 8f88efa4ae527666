//! The store's promises, on SQLite always and on PostgreSQL when NEWSWATCH_TEST_POSTGRES names one.

mod digest;
mod evidence;
mod keeping;
mod races;
mod search;
mod watchers;

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::hits::{HitFilter, MatchResult, NewHit};
use super::items::{NewItem, UnscoredItem};
use super::sources::{Claim, ConfiguredSource, VisitResult};
use super::stories::NewPlacement;
use super::*;
use crate::model::{
    ArticleState, Basis, EmptyDigest, EndedWindow, Health, Hit, Id, Item, Judgement, NewDelivery, Outcome, Placement,
    ProfileUse, ProfileVersion, Reason, Relation, StoredScore, StoryDecision, Verdict, Way, Window,
};

pub(crate) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

/// Runs a test on each engine at hand.
pub(crate) async fn on_each_engine<F: AsyncFn(Store)>(test: F) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.sqlite", folder.path().display());
    test(Store::open(&url, Durability::Process).await.unwrap()).await;
    if let Ok(server) = std::env::var("NEWSWATCH_TEST_POSTGRES") {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let schema = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        sqlx::any::install_default_drivers();
        let admin = AnyPool::connect(&server).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&admin).await.unwrap();
        let join = if server.contains('?') { '&' } else { '?' };
        let store =
            Store::open(&format!("{server}{join}options[search_path]={schema}"), Durability::Full).await.unwrap();
        test(store.clone()).await;
        store.close().await;
        sqlx::query(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"))).execute(&admin).await.unwrap();
    }
}

pub(crate) fn source(name: &str, host: &str) -> ConfiguredSource {
    ConfiguredSource {
        remembers: false,
        reader: "r".into(),
        name: name.into(),
        url: format!("https://{host}/{name}"),
        kind: "feed".into(),
        host: host.into(),
        first_at: at(0),
    }
}

pub(crate) fn new_item(source: &str, key: &str) -> NewItem {
    let id = Id::of(&[source, key]);
    let item = Item {
        id,
        source: source.into(),
        key: key.into(),
        url: Some(format!("https://example.org/{key}")),
        title: format!("title of {key}"),
        summary: "summary".into(),
        content: String::new(),
        article: String::new(),
        article_state: ArticleState::NotWanted,
        article_problem: String::new(),
        publisher: String::new(),
        language: "en".into(),
        published_at: Some(at(-5)),
        first_seen_at: at(1),
        backlog: false,
    };
    NewItem { item, text_hash: 1, story: Id::of(&["story", key]), link: id, aliases: vec![] }
}

pub(crate) fn delivery(route: &str, way: Way) -> NewDelivery {
    NewDelivery { route: route.into(), recipient: "me@example.org".into(), way, budget: None }
}

/// The hour that ends so many minutes in.
pub(crate) fn window(end: i64) -> Window {
    Window { from: at(end - 60), until: at(end) }
}

pub(crate) fn ended(route: &str, end: i64, empty: EmptyDigest) -> EndedWindow {
    EndedWindow { route: route.into(), recipient: "me@example.org".into(), window: window(end), empty }
}

pub(crate) async fn visit(store: &Store, name: &str, new_items: Vec<NewItem>, now: Timestamp) -> u64 {
    let claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(5), 100, 4).await.unwrap();
    let (mut state, claim) = claimed.into_iter().find(|(state, _)| state.name == name).unwrap();
    state.health = Health::Fine;
    state.etag = Some(b"\"\xff odd\"".to_vec());
    state.next_at = now + SignedDuration::from_mins(30);
    state.next_reason = "every 30 min".into();
    state.succeeded_at = Some(now);
    let result = VisitResult {
        claim,
        state,
        before: Default::default(),
        new_items,
        edited_items: vec![],
        captures: vec![],
        gap: None,
        memory: None,
    };
    store.commit_visits(&[result], now).await.unwrap()
}

/// Items with the claims on them.
pub(crate) async fn claim_unscored(
    store: &Store,
    owner: &str,
    now: Timestamp,
    lease_until: Timestamp,
    limit: usize,
) -> Vec<(UnscoredItem, Claim)> {
    let claims = store.claim_unscored(owner, now, lease_until, limit).await.unwrap();
    let items = store.unscored_items(&claims).await.unwrap();
    items.into_iter().zip(claims.into_iter().map(|(_, claim)| claim)).collect()
}

pub(crate) async fn score_all(store: &Store, deliveries: impl Fn(&Item) -> Vec<NewDelivery>, now: Timestamp) -> u64 {
    score_as(store, Relation::First, deliveries, now).await
}

/// A hit that nobody can miss.
fn hit_of(unscored: &UnscoredItem, profile: &str, now: Timestamp) -> Hit {
    Hit {
        item: unscored.item.clone(),
        profile: profile.into(),
        profile_version: 1,
        score: 1.0,
        threshold: 0.5,
        reasons: vec![],
        basis: Basis::default(),
        shadow: false,
        found_at: now,
        story: unscored.story,
        relation: Relation::First,
    }
}

async fn score_as(
    store: &Store,
    relation: Relation,
    deliveries: impl Fn(&Item) -> Vec<NewDelivery>,
    now: Timestamp,
) -> u64 {
    let claimed = claim_unscored(store, "me", now, now + SignedDuration::from_mins(5), 1000).await;
    let mut result = MatchResult::default();
    for (unscored, claim) in claimed {
        result.scored.push((unscored.item.id, claim));
        let hit = Hit {
            profile: "apg".into(),
            profile_version: 3,
            score: 0.1 + 0.2,
            threshold: 0.25,
            reasons: vec![Reason {
                term: "북한 \"x\"".into(),
                share: 0.3,
                count: 2,
                context: "…".into(),
                ..Reason::default()
            }],
            basis: Basis::default(),
            shadow: false,
            found_at: now,
            story: unscored.story,
            relation,
            item: unscored.item.clone(),
        };
        result.hits.push(NewHit { deliveries: deliveries(&unscored.item), hit });
    }
    result.frequencies = Some((now.as_millisecond(), vec![1, 2, 3]));
    store.commit_matches(&result).await.unwrap()
}

#[tokio::test]
async fn an_item_goes_from_source_to_sent_exactly_once() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        assert_eq!(visit(&store, "wire", vec![new_item("wire", "1"), new_item("wire", "2")], at(1)).await, 2);
        // The same items again, as after a crash: nothing is new.
        assert_eq!(visit(&store, "wire", vec![new_item("wire", "1"), new_item("wire", "2")], at(40)).await, 0);
        let state = store.sources().await.unwrap().remove(0);
        assert_eq!(state.etag.as_deref(), Some(&b"\"\xff odd\""[..]), "validators stay as they were");

        let alert = |_: &Item| vec![delivery("desk", Way::Alone)];
        assert_eq!(score_all(&store, alert, at(41)).await, 2);
        assert_eq!(score_all(&store, alert, at(42)).await, 0, "scored items leave the queue");

        let hits = store.hits(&HitFilter { limit: 10, ..HitFilter::default() }).await.unwrap();
        assert_eq!(hits.len(), 2);
        assert_eq!(hits[0].score.to_bits(), (0.1f64 + 0.2).to_bits(), "a stored score is the score, to the last digit");
        assert_eq!(hits[0].reasons[0].term, "북한 \"x\"");

        let due = store.claim_outbox("me", at(43), at(48), 10, &[]).await.unwrap();
        assert_eq!(due.len(), 2);
        assert_eq!(due[0].0.attempts, 1, "counted before it is made");
        assert!(store.claim_outbox("other", at(44), at(49), 10, &[]).await.unwrap().is_empty(), "held by a lease");
        let (row, claim) = due[0].clone();
        store.finish_deliveries(&[(row.id, claim, Outcome::Sent)], at(45)).await.unwrap();
        // The other one's owner died: its lease runs out, the late owner can finish nothing.
        let again = store.claim_outbox("other", at(50), at(55), 10, &[]).await.unwrap();
        assert_eq!(again.len(), 1);
        let (row, stale) = due[1].clone();
        store.finish_deliveries(&[(row.id, stale, Outcome::Dead { error: "late".into() })], at(51)).await.unwrap();
        let (row, claim) = again[0].clone();
        let later = Outcome::Again { at: at(60), error: "421 busy".into() };
        store.finish_deliveries(&[(row.id, claim, later)], at(52)).await.unwrap();
        assert_eq!(store.next_delivery_due(&[]).await.unwrap(), Some(at(60)));
        assert_eq!(store.outbox_counts().await.unwrap(), [("sent".to_string(), 1), ("waiting".to_string(), 1)]);
    })
    .await;
}

#[tokio::test]
async fn claims_spread_over_hosts_and_a_late_visit_changes_nothing() {
    on_each_engine(async |store| {
        let sources: Vec<_> =
            (0..6).map(|n| source(&format!("a{n}"), "a.example")).chain([source("b", "b.example")]).collect();
        store.configure_sources(&sources).await.unwrap();
        let claimed = store.claim_sources("me", at(1), at(6), 10, 2).await.unwrap();
        assert_eq!(claimed.len(), 3, "two of the first host and the one of the second");
        assert!(store.claim_sources("me", at(1), at(6), 10, 2).await.unwrap().is_empty(), "both hosts are busy");
        // The lease ran out and somebody else took over; the late visit must leave no item and no state.
        let taken = store.claim_sources("other", at(10), at(15), 1, 1).await.unwrap();
        let (state, claim) = claimed.iter().find(|(state, _)| state.name == taken[0].0.name).cloned().unwrap();
        let late = VisitResult {
            claim,
            state: state.clone(),
            before: Default::default(),
            new_items: vec![new_item(&state.name, "late")],
            edited_items: vec![],
            captures: vec![],
            gap: None,
            memory: None,
        };
        assert_eq!(store.commit_visits(&[late], at(11)).await.unwrap(), 0);
        assert_eq!(store.unscored_count().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_digest_takes_hits_until_its_attempt_begins() {
    on_each_engine(async |store| {
        let digest = |_: &Item| vec![delivery("desk", Way::InDigest { windows: vec![window(60), window(120)] })];
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        score_all(&store, digest, at(2)).await;
        store.settle_digests(&[ended("desk", 60, EmptyDigest::Always)], at(60)).await.unwrap();
        let due = store.claim_outbox("me", at(60), at(65), 10, &[]).await.unwrap();
        assert_eq!(due.len(), 1);
        // Found before the hour, committed after the attempt began: goes into the next digest, is not lost.
        visit(&store, "wire", vec![new_item("wire", "2")], at(60)).await;
        score_all(&store, digest, at(60)).await;
        let rows = store.outbox("", 10).await.unwrap();
        let of = |end: i64| rows.iter().find(|row| row.window_to == Some(at(end))).unwrap().id;
        assert_eq!(store.hits_of_delivery(of(60), 10).await.unwrap().len(), 1);
        assert_eq!(store.hits_of_delivery(of(120), 10).await.unwrap().len(), 1);
        assert_eq!(store.outbox_of_item(Id::of(&["wire", "2"])).await.unwrap()[0].due_at, at(120));
    })
    .await;
}

#[tokio::test]
async fn an_item_whose_text_changed_while_it_was_scored_is_scored_again() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        let claimed = claim_unscored(&store, "me", at(2), at(7), 10).await;
        let mut changed = new_item("wire", "1");
        changed.item.summary = "now on topic".into();
        let due = store.claim_sources("me", at(40), at(45), 10, 1).await.unwrap().remove(0);
        let edit = VisitResult {
            claim: due.1,
            state: due.0,
            before: Default::default(),
            new_items: vec![],
            edited_items: vec![changed],
            captures: vec![],
            gap: None,
            memory: None,
        };
        store.commit_visits(&[edit], at(41)).await.unwrap();
        let scored = claimed.into_iter().map(|(unscored, claim)| (unscored.item.id, claim)).collect();
        store.commit_matches(&MatchResult { scored, ..MatchResult::default() }).await.unwrap();
        let again = claim_unscored(&store, "me", at(42), at(47), 10).await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].0.item.summary, "now on topic");
    })
    .await;
}

#[tokio::test]
async fn an_item_is_known_by_its_aliases() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let mut new = new_item("wire", "1");
        new.aliases = vec![Id(11), Id(12)];
        let own = new.item.id;
        visit(&store, "wire", vec![new], at(1)).await;
        let known = store.known_items(&[own, Id(12), Id(13)]).await.unwrap();
        assert_eq!(known.keys().copied().collect::<Vec<_>>(), [Id(12).min(own), Id(12).max(own)]);
        assert!(known.values().all(|known| known.id == own));
    })
    .await;
}

#[tokio::test]
async fn a_story_is_told_once_a_route_whatever_tells_it() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example"), source("paper", "b.example")]).await.unwrap();
        let mut copy = new_item("paper", "copy");
        copy.story = new_item("wire", "1").story;
        let deliveries = || {
            let digest = Way::InDigest { windows: vec![window(600)] };
            vec![delivery("desk", Way::Alone), delivery("digest", digest)]
        };
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        let claimed = claim_unscored(&store, "me", at(2), at(7), 10).await.remove(0);
        let hit = |profile: &str, unscored: &UnscoredItem| NewHit {
            hit: Hit {
                item: unscored.item.clone(),
                profile: profile.into(),
                profile_version: 1,
                score: 1.0,
                threshold: 0.5,
                reasons: vec![],
                basis: Basis::default(),
                shadow: false,
                found_at: at(2),
                story: unscored.story,
                relation: Relation::First,
            },
            deliveries: deliveries(),
        };
        // One item with two profiles is one alert about both.
        let hits = vec![hit("apg", &claimed.0), hit("panel", &claimed.0)];
        let scored = vec![(claimed.0.item.id, claimed.1.clone())];
        store.commit_matches(&MatchResult { scored, hits, ..MatchResult::default() }).await.unwrap();
        visit(&store, "paper", vec![copy], at(40)).await;
        let claimed = claim_unscored(&store, "me", at(41), at(46), 10).await.remove(0);
        let hits = vec![hit("apg", &claimed.0)];
        let scored = vec![(claimed.0.item.id, claimed.1.clone())];
        assert_eq!(store.commit_matches(&MatchResult { scored, hits, ..MatchResult::default() }).await.unwrap(), 1);
        let rows = store.outbox("", 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            let told = store.hits_of_delivery(row.id, 10).await.unwrap();
            let told: Vec<(&str, &str)> =
                told.iter().map(|hit| (hit.item.source.as_str(), hit.profile.as_str())).collect();
            assert_eq!(told, [("wire", "apg"), ("wire", "panel")]);
        }
        assert_eq!(store.story(Id::of(&["story", "1"]), 10).await.unwrap().unwrap().count, 2);
    })
    .await;
}

#[tokio::test]
async fn a_link_may_be_of_any_length() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let mut new = new_item("wire", "1");
        let mut link = String::from("https://a.example/");
        for n in 0..300u64 {
            link.push_str(&Id::of(&[&n.to_string()]).to_string());
        }
        new.item.url = Some(link);
        assert_eq!(visit(&store, "wire", vec![new], at(1)).await, 1);
        assert_eq!(store.items_by_link(Id::of(&["wire", "1"])).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_discarded_message_stays_discarded() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        let alert = |_: &Item| vec![delivery("desk", Way::Alone)];
        score_all(&store, alert, at(2)).await;
        let (row, claim) = store.claim_outbox("me", at(3), at(8), 10, &[]).await.unwrap().remove(0);
        assert!(store.decide_outbox(row.id, false, at(3)).await.unwrap());
        let again = Outcome::Again { at: at(5), error: "451".into() };
        store.finish_deliveries(&[(row.id, claim, again)], at(4)).await.unwrap();
        assert!(store.claim_outbox("me", at(60), at(65), 10, &[]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn frequencies_fold_without_being_counted_twice() {
    on_each_engine(async |store| {
        for (id, now) in [(1, at(1)), (2, at(40))] {
            store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
            visit(&store, "wire", vec![new_item("wire", &id.to_string())], now).await;
            score_all(&store, |_| vec![], now).await;
        }
        let rows = store.frequencies(&[]).await.unwrap();
        let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(store.frequencies(&ids[..1]).await.unwrap().len(), 1);
        store.fold_frequencies(&ids, 7, &[9]).await.unwrap();
        store.fold_frequencies(&ids, 8, &[9]).await.unwrap();
        assert_eq!(store.frequencies(&[]).await.unwrap(), [(7, vec![9])]);
    })
    .await;
}

#[tokio::test]
async fn a_second_daemon_and_a_newer_store_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.sqlite", folder.path().display());
    let first = Store::open(&url, Durability::Full).await.unwrap().lock().unwrap();
    let second = Store::open(&url, Durability::Full).await.unwrap();
    let refused = second.clone().lock().unwrap_err().to_string();
    assert!(refused.contains("another newswatch already runs"), "{refused}");
    first.note("schema", "999").await.unwrap();
    let refused = Store::open(&url, Durability::Full).await.unwrap_err().to_string();
    assert!(refused.contains("written by a newer newswatch"), "{refused}");
    let refused = Store::open("mysql://x", Durability::Full).await.unwrap_err().to_string();
    assert!(refused.contains("neither sqlite:PATH nor postgres://"), "{refused}");
}

#[test]
fn a_password_is_never_part_of_the_name() {
    assert_eq!(without_password("postgres://user:pa@ss@db.example/news"), "postgres://db.example/news");
    assert_eq!(without_password("postgres://db.example/news?password=x"), "postgres://db.example/news");
}

fn version(profile: &str, hash: i64, now: Timestamp) -> ProfileVersion {
    ProfileVersion {
        profile: profile.into(),
        profile_hash: hash,
        version: 1,
        snapshot: format!("{{\"of\": {hash}}}"),
        first_used_at: now,
    }
}

fn below(item: Id, score: f64, now: Timestamp) -> StoredScore {
    StoredScore {
        item,
        story: item,
        profile: "apg".into(),
        profile_hash: 7,
        score,
        threshold: 0.5,
        scored_at: now,
        backlog: false,
        barred: false,
    }
}

#[tokio::test]
async fn scores_below_the_line_are_kept_with_the_profile_that_made_them() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1"), new_item("wire", "2")], at(1)).await;
        let claimed = claim_unscored(&store, "me", at(2), at(7), 10).await;
        let (first, second) = (claimed[0].0.clone(), claimed[1].0.clone());
        let hit = Hit {
            item: first.item.clone(),
            profile: "apg".into(),
            profile_version: 1,
            score: 0.7,
            threshold: 0.5,
            reasons: vec![],
            basis: Basis { method: 2, documents: 12, profile_hash: 7, ..Basis::default() },
            shadow: false,
            found_at: at(2),
            story: first.story,
            relation: Relation::First,
        };
        let result = MatchResult {
            scored: claimed.iter().map(|(unscored, claim)| (unscored.item.id, claim.clone())).collect(),
            hits: vec![NewHit { hit: hit.clone(), deliveries: vec![] }],
            // The claim of the third is not held: its score is not kept.
            below: vec![below(second.item.id, 0.3, at(2)), below(Id(5), 0.4, at(2))],
            profiles: vec![version("apg", 7, at(2)), version("panel", 8, at(2))],
            ..MatchResult::default()
        };
        assert_eq!(store.commit_matches(&result).await.unwrap(), 1);
        let found = store.hits_of_item(first.item.id).await.unwrap().remove(0);
        assert_eq!((found.basis, found.shadow), (hit.basis.clone(), false));
        assert_eq!(store.profile_version("apg", 7).await.unwrap(), Some(version("apg", 7, at(2))));
        let used = store.profile_uses("apg").await.unwrap();
        assert_eq!(used, [ProfileUse { from: at(2), profile_hash: 7, from_start: true }]);

        // The item is edited and scored again: it was a hit already, so the score is kept beside it.
        let rescore = async |item: &UnscoredItem, hits: Vec<NewHit>, profiles: Vec<ProfileVersion>, now: Timestamp| {
            let due =
                store.claim_sources("me", now, now + SignedDuration::from_mins(5), 10, 1).await.unwrap().remove(0);
            let mut changed = new_item("wire", &item.item.key);
            changed.item.summary = now.to_string();
            let mut state = due.0;
            state.next_at = now + SignedDuration::from_mins(30);
            let edit = VisitResult {
                claim: due.1,
                state,
                before: Default::default(),
                new_items: vec![],
                edited_items: vec![changed],
                captures: vec![],
                gap: None,
                memory: None,
            };
            store.commit_visits(&[edit], now).await.unwrap();
            let scored = claim_unscored(&store, "me", now, now + SignedDuration::from_mins(5), 10).await;
            let scored = scored.into_iter().map(|(unscored, claim)| (unscored.item.id, claim)).collect();
            store.commit_matches(&MatchResult { scored, hits, profiles, ..MatchResult::default() }).await.unwrap()
        };
        let again = NewHit { hit: Hit { score: 0.9, found_at: at(41), ..hit.clone() }, deliveries: vec![] };
        assert_eq!(rescore(&first, vec![again], vec![version("apg", 7, at(41))], at(41)).await, 0);
        let scored = store.scored("apg", at(0), at(100)).await.unwrap();
        let scored: Vec<(f64, bool)> = scored.iter().map(|scored| (scored.score.score, scored.hit)).collect();
        assert_eq!(scored.len(), 3);
        assert!(scored.contains(&(0.7, true)) && scored.contains(&(0.3, false)) && scored.contains(&(0.9, false)));
        assert_eq!(store.scores_of_item(second.item.id).await.unwrap(), [below(second.item.id, 0.3, at(2))]);
        // The same profile goes on; the other was taken out.
        assert_eq!(store.profile_uses("apg").await.unwrap().len(), 1);
        assert_eq!(store.profile_uses("panel").await.unwrap().last().map(|used| used.profile_hash), Some(0));
        // Another version, and back: each begins anew, and no longer with the first item.
        rescore(&first, vec![], vec![version("apg", 9, at(80))], at(80)).await;
        rescore(&first, vec![], vec![version("apg", 7, at(120))], at(120)).await;
        let used = store.profile_uses("apg").await.unwrap();
        assert_eq!(used.iter().map(|used| used.profile_hash).collect::<Vec<_>>(), [7, 9, 7]);
        assert!(!used[2].from_start);
        assert_eq!(store.profile_versions("apg").await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_was_found_on_trial_is_told_once_the_trial_is_over() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        let (unscored, claim) = claim_unscored(&store, "me", at(2), at(7), 10).await.remove(0);
        let found = |shadow: bool| NewHit {
            hit: Hit {
                item: unscored.item.clone(),
                profile: "trial".into(),
                profile_version: 1,
                score: 0.7,
                threshold: 0.5,
                reasons: vec![],
                basis: Basis::default(),
                shadow,
                found_at: at(2),
                story: unscored.story,
                relation: Relation::First,
            },
            deliveries: vec![],
        };
        let scored = vec![(unscored.item.id, claim.clone())];
        let result = MatchResult { scored, hits: vec![found(true)], ..MatchResult::default() };
        store.commit_matches(&result).await.unwrap();
        let listed = async |with_shadows: bool| {
            let filter = HitFilter { with_shadows, limit: 10, ..HitFilter::default() };
            store.hits(&filter).await.unwrap().len()
        };
        assert_eq!((listed(false).await, listed(true).await), (0, 1));
        assert_eq!(store.hit_counts(at(0)).await.unwrap(), []);
        let mut changed = new_item("wire", "1");
        changed.item.summary = "edited".into();
        let due = store.claim_sources("me", at(40), at(45), 10, 1).await.unwrap().remove(0);
        let edit = VisitResult {
            claim: due.1,
            state: due.0,
            before: Default::default(),
            new_items: vec![],
            edited_items: vec![changed],
            captures: vec![],
            gap: None,
            memory: None,
        };
        store.commit_visits(&[edit], at(41)).await.unwrap();
        let (again, claim) = claim_unscored(&store, "me", at(42), at(47), 10).await.remove(0);
        let scored = vec![(again.item.id, claim)];
        let result = MatchResult { scored, hits: vec![found(false)], ..MatchResult::default() };
        assert_eq!(store.commit_matches(&result).await.unwrap(), 1, "it is new to people");
        assert_eq!(listed(false).await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_scores_of_a_bad_profile_are_forgotten_and_that_is_known() {
    on_each_engine(async |store| {
        let mut tx = store.begin().await.unwrap();
        for batch in 0..5 {
            let rows: Vec<StoredScore> =
                (0..5_000).map(|n| below(Id::of(&[&batch.to_string(), &n.to_string()]), 0.3, at(batch))).collect();
            scores::add(&mut tx, &rows).await.unwrap();
        }
        scores::trim(&mut tx, "apg").await.unwrap();
        tx.commit().await.unwrap();
        let count = sqlx::query("SELECT count(*) FROM scores").fetch_one(&store.reader).await.unwrap();
        assert_eq!(count.get::<i64, _>(0), 20_000);
        assert_eq!(store.scores_whole_since("apg").await.unwrap(), Some(at(1)));
        assert_eq!(store.scores_whole_since("other").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_last_verdict_of_each_author_counts_and_history_stays() {
    on_each_engine(async |store| {
        let judge = async |author: &str, verdict: Verdict, now: Timestamp| {
            let (profile, note) = ("apg".to_string(), format!("{author} says \"{}\"", verdict.as_str()));
            let judgement = Judgement { item: Id(1), profile, author: author.into(), at: now, verdict, note };
            store.judge(&judgement).await.unwrap();
        };
        judge("anna", Verdict::Not, at(1)).await;
        judge("ben", Verdict::Known, at(2)).await;
        // The clock was set back: what is said later still counts.
        judge("anna", Verdict::Relevant, at(0)).await;
        let all = store.verdicts_of(&[Id(1), Id(2)]).await.unwrap();
        assert_eq!(all.len(), 3);
        let counting: Vec<(&str, Verdict)> =
            verdicts::in_force(&all).iter().map(|judgement| (judgement.author.as_str(), judgement.verdict)).collect();
        assert_eq!(counting, [("anna", Verdict::Relevant), ("ben", Verdict::Known)]);
        assert_eq!(store.verdicts_for("apg").await.unwrap(), all);
        assert_eq!(store.verdicts_for("panel").await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn the_archive_is_read_page_by_page_in_the_order_in_which_it_came() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let items = |range: std::ops::Range<i64>| {
            range
                .map(|n| {
                    let mut new = new_item("wire", &n.to_string());
                    new.item.first_seen_at = at(n / 3);
                    new
                })
                .collect::<Vec<_>>()
        };
        visit(&store, "wire", items(0..20), at(1)).await;
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = store.archive_page(at(1), at(6), after, 4).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.item.first_seen_at, last.item.id));
            seen.extend(page.iter().map(|unscored| (unscored.item.first_seen_at, unscored.item.id)));
        }
        assert_eq!(seen.len(), 15);
        assert!(seen.is_sorted());
        assert_eq!(store.archive_count(at(1), at(6)).await.unwrap(), 15);
        assert_eq!(store.archive_span().await.unwrap(), Some((at(0), at(6))));
        let heads = ["https://example.org/1".to_string()];
        assert_eq!(store.items_below(&heads, 100, 50).await.unwrap().len(), 11);
        assert_eq!(store.items_below(&["https://example.org/_".to_string()], 100, 50).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_message_answers_the_first_one_about_its_story() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let of_story = |key: &str| NewItem { story: Id(77), ..new_item("wire", key) };
        let digest = |route: &'static str, end: i64| {
            move |_: &Item| vec![delivery(route, Way::InDigest { windows: vec![window(end)] })]
        };
        visit(&store, "wire", vec![of_story("1")], at(1)).await;
        score_all(&store, digest("desk", 60), at(2)).await;
        visit(&store, "wire", vec![of_story("2")], at(61)).await;
        score_as(&store, Relation::Update, digest("desk", 120), at(62)).await;
        visit(&store, "wire", vec![of_story("3")], at(121)).await;
        score_as(&store, Relation::Update, digest("other", 180), at(122)).await;
        visit(&store, "wire", vec![new_item("wire", "4")], at(181)).await;
        score_all(&store, digest("desk", 240), at(182)).await;
        let rows = store.outbox("", 10).await.unwrap();
        let mut threads = Vec::new();
        for row in &rows {
            threads.push((row.route.as_str(), store.thread_of(row).await.unwrap()));
        }
        assert_eq!(
            threads,
            [("desk", None), ("desk", Some(rows[0].id)), ("other", None), ("desk", None)],
            "another route, another story: no answer"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_told_once_by_whoever_looks_first() {
    use crate::health::changes::Changes;
    use crate::health::{Condition, Open};
    use crate::model::{DeliveryKind, ReportLine};
    use health::{Event, ReportTo};
    on_each_engine(async |store| {
        let line = |about: &str| ReportLine {
            at: at(1),
            about: about.into(),
            headline: "cannot be read: \"x\" 북한".into(),
            advice: "see to it".into(),
            is_recovery: false,
        };
        let open = Open {
            about: "wire".into(),
            condition: Condition::Failing,
            since: at(0),
            noticed_at: at(1),
            detail: "cannot be read".into(),
            advice: "see to it".into(),
        };
        let changes = Changes { opened: vec![open.clone()], ended: vec![], lines: vec![line("wire")] };
        let event = Event { keys: vec!["given up x".into(), "given up y".into()], line: line("outbox") };
        let to = [ReportTo { route: "operator".into(), recipient: "ops@example.org".into() }];
        let looked_at = store.health_looked_at().await.unwrap();
        let first = store.commit_health(&looked_at, &changes, std::slice::from_ref(&event), &to, at(1)).await.unwrap();
        assert_eq!(first, Some(vec![line("wire"), line("outbox")]));
        // Another watcher that read the same state comes too late and tells nothing.
        assert_eq!(store.commit_health(&looked_at, &changes, &[], &to, at(1)).await.unwrap(), None);
        assert_eq!(store.conditions().await.unwrap(), std::slice::from_ref(&open));
        let rows = store.outbox("", 10).await.unwrap();
        assert_eq!((rows.len(), rows[0].kind), (1, DeliveryKind::Report));
        assert_eq!(store.report_lines(rows[0].id).await.unwrap(), [line("wire"), line("outbox")]);
        // The event was told already; the condition ends.
        let over = Changes { opened: vec![], ended: vec![open], lines: vec![] };
        let looked_at = store.health_looked_at().await.unwrap();
        assert_eq!(store.commit_health(&looked_at, &over, &[event], &to, at(2)).await.unwrap(), Some(vec![]));
        assert_eq!(store.conditions().await.unwrap(), []);
        assert_eq!(store.outbox("", 10).await.unwrap().len(), 1, "nothing to tell makes no message");
    })
    .await;
}

#[tokio::test]
async fn a_self_test_goes_through_and_leaves_no_trace() {
    use crate::matcher::canary;
    use crate::model::ReportLine;
    use health::{CanaryHit, ReportTo, Stage};
    on_each_engine(async |store| {
        let plant = async |now: Timestamp| {
            let item = canary::item(now);
            let (story, link) = (item.id, item.id);
            store.plant_canary(&NewItem { item, text_hash: 0, story, link, aliases: vec![] }, now).await.unwrap();
            store.canary().await.unwrap().unwrap()
        };
        assert_eq!(store.canary().await.unwrap(), None);
        let first = plant(at(1)).await;
        assert_eq!((first.planted_at, &first.stage), (at(1), &Stage::Queued));
        // The next one takes the place of one that was never scored.
        let second = plant(at(2)).await;
        assert_eq!((store.unscored_count().await.unwrap(), store.item_counts(at(0)).await.unwrap()), (1, (1, 1)));
        let (_, claim) = claim_unscored(&store, "me", at(3), at(8), 10).await.remove(0);
        let line = ReportLine {
            at: at(3),
            about: "(self-test)".into(),
            headline: "it works".into(),
            advice: String::new(),
            is_recovery: true,
        };
        let to = ReportTo { route: "operator".into(), recipient: String::new() };
        let hit = CanaryHit { item: second.item, to, line: line.clone(), found_at: at(3) };
        let result = MatchResult { scored: vec![(second.item, claim)], canaries: vec![hit], ..MatchResult::default() };
        assert_eq!(store.commit_matches(&result).await.unwrap(), 0);
        assert_eq!(store.canary().await.unwrap().unwrap().stage, Stage::Waiting(String::new()));
        assert_eq!(store.report_lines(second.row).await.unwrap(), [line]);
        let (row, claim) = store.claim_outbox("me", at(4), at(9), 10, &[]).await.unwrap().remove(0);
        store.finish_deliveries(&[(row.id, claim, Outcome::Sent)], at(5)).await.unwrap();
        assert_eq!(store.canary().await.unwrap().unwrap().stage, Stage::Arrived(at(5)));
        assert_eq!(store.item_counts(at(0)).await.unwrap(), (0, 0));
        assert_eq!(store.outbox_counts().await.unwrap(), []);
        // The one before is history.
        plant(at(60)).await;
        assert_eq!(store.outbox("", 10).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_record_comes_back_and_gates_are_counted_until_an_article_is_read() {
    use crate::model::Record;
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let claimed = store.claim_sources("me", at(1), at(5), 1, 1).await.unwrap();
        let (mut state, claim) = claimed.into_iter().next().unwrap();
        assert_eq!(state.record, Record::default());
        state.record = Record { day: 7, days: "..3".into(), latest_date: Some(at(3)), ..Record::default() };
        let record = state.record.clone();
        let before = Default::default();
        let result = VisitResult {
            claim,
            state,
            before,
            new_items: vec![],
            edited_items: vec![],
            captures: vec![],
            gap: None,
            memory: None,
        };
        store.commit_visits(&[result], at(1)).await.unwrap();
        assert_eq!(store.sources().await.unwrap()[0].record, record);
        let gated = async || store.sources().await.unwrap()[0].gated;
        let mut item = new_item("wire", "1").item;
        (item.article_state, item.article_problem) =
            (ArticleState::Unread, "a login page instead of the article".into());
        for expected in [2, 4] {
            store.commit_articles(&[item.clone(), item.clone()], &[], &[], at(2)).await.unwrap();
            assert_eq!(gated().await, expected);
        }
        item.article_problem = "it took too long".into();
        store.commit_articles(std::slice::from_ref(&item), &[], &[], at(2)).await.unwrap();
        assert_eq!(gated().await, 4, "that says nothing of gates");
        item.article_state = ArticleState::Read;
        store.commit_articles(&[item], &[], &[], at(2)).await.unwrap();
        assert_eq!(gated().await, 0);
    })
    .await;
}

fn placement(item: Id, story: Id, relation: Relation) -> NewPlacement {
    NewPlacement {
        placement: Placement { item, story, relation, reason: "why".into(), with: item, by_hand: false },
        before: story,
        marks: vec![],
        seen_at: at(1),
    }
}

fn decision(item: Id, joined_with: Option<Id>, minutes: i64) -> StoryDecision {
    StoryDecision { item, joined_with, author: "anna".into(), at: at(minutes), note: "note".into() }
}

/// Items of the source "wire" with their placements, committed as the matcher does.
async fn place_all(store: &Store, stories: Vec<NewPlacement>, now: Timestamp) {
    let scored = store.claim_unscored("me", now, now + SignedDuration::from_mins(5), 100).await.unwrap();
    let result =
        MatchResult { scored, stories, marks_since: Some(now - SignedDuration::from_mins(60)), ..Default::default() };
    store.commit_matches(&result).await.unwrap();
}

#[tokio::test]
async fn a_story_is_found_by_marks_until_they_are_too_old() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let items: Vec<NewItem> = ["1", "2", "3"].map(|key| new_item("wire", key)).into();
        let ids: Vec<Id> = items.iter().map(|new| new.item.id).collect();
        let stories: Vec<Id> = items.iter().map(|new| new.story).collect();
        visit(&store, "wire", items, at(1)).await;
        let mut first = placement(ids[0], stories[0], Relation::First);
        first.marks = vec![7, i64::MAX, 0];
        // The second was found to be a copy of the first.
        let mut copy = placement(ids[1], stories[0], Relation::Copy);
        copy.before = stories[1];
        place_all(&store, vec![first, copy], at(2)).await;

        let facts = store.story_facts(&[(ids[2], stories[1], &[7, 8, i64::MAX])]).await.unwrap();
        let mut marks = facts.marks.clone();
        marks.sort_unstable();
        assert_eq!(marks, [(7, ids[0]), (i64::MAX, ids[0])]);
        assert_eq!(facts.placements[&ids[0]].relation, Relation::First);
        assert_eq!(facts.links[&stories[1]], stories[0], "what has the copy's link goes where the copy went");
        assert_eq!(facts.stories[&stories[0]], (2, Some(ids[0])));
        assert!(facts.hits.is_empty());
        let story = store.story(stories[0], 10).await.unwrap().unwrap();
        let told: Vec<(Id, Relation)> = story.items.iter().map(|told| (told.item.id, told.relation)).collect();
        assert_eq!((story.count, told.len()), (2, 2));
        assert!(told.contains(&(ids[1], Relation::Copy)));
        assert_eq!(store.story(stories[1], 10).await.unwrap(), None);

        // An hour and a minute on, the marks are too old.
        visit(&store, "wire", vec![new_item("wire", "4")], at(60)).await;
        let fourth = Id::of(&["wire", "4"]);
        place_all(&store, vec![placement(fourth, fourth, Relation::First)], at(63)).await;
        assert!(store.story_facts(&[(ids[2], stories[2], &[7, 8, i64::MAX])]).await.unwrap().marks.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_an_analyst_says_of_a_story_moves_its_items_and_stays() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let items: Vec<NewItem> = ["1", "2", "3", "4"].map(|key| new_item("wire", key)).into();
        let ids: Vec<Id> = items.iter().map(|new| new.item.id).collect();
        let stories: Vec<Id> = items.iter().map(|new| new.story).collect();
        visit(&store, "wire", items, at(1)).await;
        let moved = |n: usize, with: usize, relation| {
            let mut new = placement(ids[n], stories[0], relation);
            (new.before, new.placement.with) = (stories[n], ids[with]);
            new
        };
        // 2 is a copy of 1, and 3 one of 2; 4 stands alone.
        let placed = vec![
            placement(ids[0], stories[0], Relation::First),
            moved(1, 0, Relation::Update),
            moved(2, 1, Relation::Copy),
            placement(ids[3], stories[3], Relation::First),
        ];
        place_all(&store, placed, at(2)).await;
        let mut own = placement(ids[1], ids[1], Relation::First);
        (own.placement.by_hand, own.marks) = (true, vec![5]);
        let (split, count) = store.split_story(&own, &decision(ids[1], None, 3)).await.unwrap().unwrap();
        assert_eq!(count, 2, "what was found by it goes with it");
        assert_eq!(store.story_of(ids[2]).await.unwrap(), Some(split));
        assert_eq!(store.story_of(ids[0]).await.unwrap(), Some(stories[0]));
        let facts = store.story_facts(&[(ids[1], split, &[5])]).await.unwrap();
        assert!(facts.placements[&ids[1]].by_hand && facts.marks == [(5, ids[1])]);
        // The first of a story has nothing to be split from when it is alone.
        assert_eq!(store.split_story(&own, &decision(ids[0], None, 4)).await.unwrap(), None);

        // A matcher that had read the story before puts nothing back.
        let mut again = store.item(ids[1]).await.unwrap().unwrap();
        again.article_state = ArticleState::Read;
        store.commit_articles(&[again], &[], &[], at(40)).await.unwrap();
        place_all(&store, vec![NewPlacement { before: stories[0], ..moved(1, 0, Relation::Copy) }], at(41)).await;
        assert_eq!(store.story_of(ids[1]).await.unwrap(), Some(split));

        let joined = store
            .join_stories(ids[0], ids[3], Relation::Independent, &decision(ids[3], Some(ids[0]), 50))
            .await
            .unwrap();
        assert_eq!(joined, Some(stories[0]));
        assert_eq!(
            store.join_stories(ids[0], ids[3], Relation::Copy, &decision(ids[3], Some(ids[0]), 51)).await.unwrap(),
            None
        );
        let story = store.story(stories[0], 10).await.unwrap().unwrap();
        let other = story.items.iter().find(|told| told.item.id == ids[3]).unwrap();
        assert_eq!((other.relation, other.reason.as_str()), (Relation::Independent, "joined by anna: note"));
        let facts = store.story_facts(&[(Id(9), stories[3], &[])]).await.unwrap();
        assert_eq!(facts.links[&stories[3]], stories[0], "what comes with its link goes there too");
        let said = store.story_decisions(&ids).await.unwrap();
        assert_eq!(said.iter().map(|said| said.joined_with).collect::<Vec<_>>(), [None, Some(ids[0])]);
    })
    .await;
}
