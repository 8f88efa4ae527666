//! Several watchers on one store. Only PostgreSQL has them.

use super::*;
use crate::model::{ConfigurationHashes, Share, Watcher};
use crate::store::sources::Beside;

pub(super) async fn shared(test: impl AsyncFn(Store)) {
    on_each_engine(async |store| {
        if store.is_shared() {
            test(store).await;
        }
    })
    .await;
}

pub(super) fn watcher(name: &str, hash: &str) -> Watcher {
    Watcher {
        name: name.into(),
        owner: format!("{name}/1"),
        machine: "m".into(),
        pid: 1,
        version: "1".into(),
        started_at: at(0),
        heartbeat_at: at(0),
        stopped_at: None,
        configuration: ConfigurationHashes { sources: hash.into(), profiles: "p".into(), routes: "r".into() },
        configured_since: at(0),
        clock_offset: 0,
        problem: String::new(),
    }
}

async fn claimed(store: &Store, owner: &str, share: Share, minutes: i64) -> Vec<String> {
    let claims = store.claim_sources_of(owner, Some(share), at(minutes), at(minutes + 20), 100, 4).await.unwrap();
    claims.into_iter().map(|(state, _)| state.name).collect()
}

#[tokio::test]
async fn a_host_is_asked_by_one_watcher_at_a_time_with_its_pause() {
    shared(async |store| {
        let (one, two) = (store.clone().named("one"), store.clone().named("two"));
        let lease = Duration::from_secs(60);
        let mut turn = one.host_turn("a.example", lease).await;
        let other = one.host_turn("b.example", lease).await;
        let waiting =
            async || tokio::time::timeout(Duration::from_millis(400), two.host_turn("a.example", lease)).await;
        assert!(waiting().await.is_err(), "two watchers ask one host");
        turn.pause(Duration::from_millis(300));
        turn.rest(Duration::from_secs(3600));
        let given_back = std::time::Instant::now();
        drop((turn, other));
        let next = two.host_turn("a.example", lease).await;
        assert!(given_back.elapsed() >= Duration::from_millis(300), "the pause is not kept");
        assert!(next.rests_for().is_some_and(|rest| rest > Duration::from_secs(3500)), "the rest is not passed on");
    })
    .await;
}

#[tokio::test]
async fn a_dead_watchers_turn_runs_out_and_a_late_one_cannot_use_it() {
    shared(async |store| {
        let dead = store.story_turn(Duration::from_millis(100)).await.unwrap();
        let next = store.story_turn(Duration::from_secs(60)).await.unwrap();
        assert!(next.fence() > dead.fence());
        assert!(!dead.renew(Duration::from_secs(60)).await.unwrap());
        // What was placed in a turn that is over is not stored, and its items are scored again.
        store.configure_sources(&[source("a", "a.example")]).await.unwrap();
        let (state, claim) = store.claim_sources("w", at(1), at(20), 1, 1).await.unwrap().remove(0);
        let visit = VisitResult {
            claim,
            before: Default::default(),
            state,
            new_items: vec![new_item("a", "k")],
            edited_items: vec![],
            memory: None,
            captures: vec![],
            gap: None,
        };
        store.commit_visits(&[visit], at(1)).await.unwrap();
        let scored = store.claim_unscored("late", at(2), at(7), 10).await.unwrap();
        let late = MatchResult { scored, turn: dead.fence(), ..MatchResult::default() };
        assert!(matches!(store.commit_matches(&late).await, Err(StoreError::TurnIsOver)));
        let scored = store.claim_unscored("next", at(2), at(7), 10).await.unwrap();
        assert_eq!(scored.len(), 1);
        let good = MatchResult { scored, turn: next.fence(), ..MatchResult::default() };
        store.commit_matches(&good).await.unwrap();
        assert_eq!(store.unscored_count().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_second_watcher_takes_nothing_away_from_the_first() {
    shared(async |store| {
        let both = vec![source("a", "a.example"), source("b", "b.example")];
        store.join_watchers(&watcher("one", "ab"), "", &both).await.unwrap();
        store.configure_sources_beside(&both, Beside { in_force: true, others: &[] }).await.unwrap();
        assert_eq!(claimed(&store, "one/1", Share::ALL, 1).await, ["a", "b"]);
        // It knows "a" otherwise, "b" not at all, and has one of its own.
        let others = vec![
            ConfiguredSource { url: "https://a.example/new".into(), ..source("a", "a.example") },
            source("c", "c.example"),
        ];
        store.join_watchers(&watcher("two", "ac"), "", &others).await.unwrap();
        store.forget_the_future(at(0)).await.unwrap();
        store.drop_leases().await.unwrap();
        // By an older configuration it adds its own only.
        store.configure_sources_beside(&others, Beside { in_force: false, others: &["one/1".into()] }).await.unwrap();
        let names: Vec<String> = store.sources().await.unwrap().into_iter().map(|source| source.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(claimed(&store, "two/1", Share::ALL, 2).await, ["c"]);
        // By a younger one it has its way with what both have, and what only the other has stays.
        store.configure_sources_beside(&others, Beside { in_force: true, others: &["one/1".into()] }).await.unwrap();
        let sources = store.sources().await.unwrap();
        assert_eq!(
            sources.iter().map(|source| source.url.as_str()).collect::<Vec<_>>(),
            ["https://a.example/new", "https://b.example/b", "https://c.example/c"]
        );
        assert_eq!(claimed(&store, "one/1", Share::ALL, 30).await, ["b"]);
        assert_eq!(claimed(&store, "two/1", Share::ALL, 30).await, ["a", "c"]);
        // With the other gone what only it had is switched off.
        store.configure_sources_beside(&others, Beside { in_force: true, others: &[] }).await.unwrap();
        assert_eq!(store.sources().await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn each_watcher_asks_the_hosts_of_its_share_and_after_a_while_all() {
    shared(async |store| {
        let sources: Vec<ConfiguredSource> = (0..60)
            .map(|n| ConfiguredSource { first_at: at(1), ..source(&format!("s{n:02}"), &format!("h{n}.example")) })
            .collect();
        for name in ["one", "two"] {
            store.join_watchers(&watcher(name, "h"), "", &sources).await.unwrap();
        }
        store.configure_sources(&sources).await.unwrap();
        let one = claimed(&store, "one/1", Share { index: 0, of: 2 }, 1).await;
        assert!((10..=50).contains(&one.len()), "{}", one.len());
        let due = store.next_source_due_of("one/1", Some(Share { index: 0, of: 2 }), at(1)).await.unwrap().unwrap();
        assert!(due > at(1) && due < at(2), "the other's share is due a little later: {due}");
        // The other watcher is dead: a minute later its share is everybody's.
        let rest = claimed(&store, "one/1", Share { index: 0, of: 2 }, 2).await;
        assert_eq!(one.len() + rest.len(), 60);
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_watcher_had_claimed_is_free_and_what_it_finishes_late_does_not_count() {
    shared(async |store| {
        store.configure_sources(&[source("a", "a.example")]).await.unwrap();
        let (state, claim) = store.claim_sources("dead", at(1), at(21), 1, 1).await.unwrap().remove(0);
        assert_eq!(store.free_claims("dead").await.unwrap(), 1);
        let (_, mine) = store.claim_sources("heir", at(2), at(22), 1, 1).await.unwrap().remove(0);
        let visit = |claim, key: &str| VisitResult {
            claim,
            before: Default::default(),
            state: state.clone(),
            new_items: vec![new_item("a", key)],
            edited_items: vec![],
            memory: None,
            captures: vec![],
            gap: None,
        };
        assert_eq!(store.commit_visits(&[visit(claim, "late")], at(3)).await.unwrap(), 0);
        assert_eq!(store.commit_visits(&[visit(mine, "right")], at(3)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_name_belongs_to_one_process_and_a_configuration_has_its_age() {
    shared(async |store| {
        let first = watcher("one", "h");
        let since = store.join_watchers(&first, "", &[]).await.unwrap().unwrap();
        // A configuration that is in use already is as old as it was; another is younger.
        assert_eq!(store.join_watchers(&watcher("two", "h"), "", &[]).await.unwrap(), Some(since));
        assert!(store.join_watchers(&watcher("three", "other"), "", &[]).await.unwrap() >= Some(since));
        let again = Watcher { owner: "one/2".into(), ..first.clone() };
        assert_eq!(store.join_watchers(&again, "", &[]).await.unwrap(), None, "the name is taken");
        assert_eq!(store.join_watchers(&again, "one/1", &[]).await.unwrap(), Some(since));
        assert!(!store.heartbeat("one/1", 0, "").await.unwrap(), "the process before it must notice");
        assert!(store.heartbeat("one/2", 3, "").await.unwrap());
        store.leave_watchers("one/2", false).await.unwrap();
        let (all, now) = store.watchers().await.unwrap();
        assert!(all.iter().any(|watcher| watcher.name == "one" && watcher.stopped_at.is_some_and(|at| at <= now)));
    })
    .await;
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_noticed_while_running() {
    shared(async |store| {
        assert!(!store.is_newer().await.unwrap());
        store.note("schema", &(schema::VERSION + 1).to_string()).await.unwrap();
        assert!(store.is_newer().await.unwrap());
        // For the test's own clean end.
        store.note("schema", &schema::VERSION.to_string()).await.unwrap();
    })
    .await;
}
