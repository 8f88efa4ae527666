//! What is kept: retention, copies, upgrades, moves to another store.

use futures_util::FutureExt;

use super::super::retention::{Cutoffs, Forgotten};
use super::super::schema::{MIGRATIONS, apply};
use super::super::transfer::{row_counts, transfer};
use super::*;
use crate::store::search::SearchFilter;

/// Three items; the second one is a hit.
async fn filled(store: &Store) {
    store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
    let items = ["1", "2", "3"].map(|key| new_item("wire", key)).to_vec();
    visit(store, "wire", items, at(1)).await;
    let claimed = claim_unscored(store, "me", at(2), at(7), 10).await;
    let mut result = MatchResult::default();
    for (unscored, claim) in claimed {
        result.scored.push((unscored.item.id, claim));
        if unscored.item.key == "2" {
            let hit = Hit {
                profile: "apg".into(),
                profile_version: 1,
                score: 0.1 + 0.2,
                threshold: 0.25,
                reasons: vec![],
                basis: Basis::default(),
                shadow: false,
                found_at: at(2),
                story: unscored.story,
                relation: Relation::First,
                item: unscored.item.clone(),
            };
            result.hits.push(NewHit { deliveries: vec![delivery("desk", Way::Alone)], hit });
        } else {
            result.below.push(StoredScore {
                item: unscored.item.id,
                story: unscored.story,
                profile: "apg".into(),
                profile_hash: 1,
                score: 0.2,
                threshold: 0.25,
                scored_at: at(2),
                backlog: false,
                barred: false,
            });
        }
    }
    result.frequencies = Some((1, vec![1, 0, 255]));
    store.commit_matches(&result).await.unwrap();
}

async fn forget_all(store: &Store, cutoffs: &Cutoffs) -> Forgotten {
    let mut sum = Forgotten::default();
    loop {
        let (forgotten, is_all) = store.forget_old(cutoffs, 1, at(0)).await.unwrap();
        sum = sum.and(forgotten);
        if is_all {
            return sum;
        }
    }
}

#[tokio::test]
async fn texts_go_and_identities_stay() {
    on_each_engine(async |store| {
        filled(&store).await;
        let title = async |key: &str| store.item(Id::of(&["wire", key])).await.unwrap().unwrap().title;
        let misses = Cutoffs { misses: Some(at(100)), hits: None };
        assert_eq!(store.count_old(&misses).await.unwrap(), Forgotten { texts: 2, scores: 2, ..Forgotten::default() });
        assert_eq!(forget_all(&store, &misses).await, Forgotten { texts: 2, scores: 2, ..Forgotten::default() });
        assert_eq!((title("1").await, title("2").await), (String::new(), "title of 2".to_string()));
        assert_eq!(forget_all(&store, &misses).await, Forgotten::default(), "once is enough");
        assert_eq!(store.scores_whole_since("apg").await.unwrap(), Some(at(100)));
        // Nothing comes back as new, and nothing is scored again.
        let again = ["1", "2", "3"].map(|key| new_item("wire", key)).to_vec();
        assert_eq!(visit(&store, "wire", again, at(200)).await, 0);
        let known = store.known_items(&[Id::of(&["wire", "1"])]).await.unwrap();
        assert_eq!(known.len(), 1);
        let found = |query| {
            let store = store.clone();
            async move {
                let aliases = crate::matcher::profile::Aliases::none();
                let mut query = crate::matcher::search::Query::read(query, &aliases, &[]).unwrap();
                let page = crate::search::Page { order: crate::search::Order::Newest, skip: 0, count: 9 };
                crate::search::find(&store, &mut query, &SearchFilter::default(), page).await.unwrap().items.len()
            }
        };
        assert_eq!(found("title").await, 1, "the search index forgets too");
        // A hit goes with its messages, but not while one of them still waits.
        let hits = Cutoffs { misses: Some(at(300)), hits: Some(at(300)) };
        let first = forget_all(&store, &hits).await;
        assert_eq!((first.texts, first.hits, first.messages), (1, 0, 0));
        let due = store.claim_outbox("me", at(301), at(306), 10, &[]).await.unwrap();
        let finished: Vec<_> = due.into_iter().map(|(row, claim)| (row.id, claim, Outcome::Sent)).collect();
        store.finish_deliveries(&finished, at(302)).await.unwrap();
        let second = forget_all(&store, &hits).await;
        assert_eq!((second.hits, second.messages), (1, 1));
        assert!(store.retention_due(at(400)).await.unwrap());
        store.retention_done(at(400)).await.unwrap();
        assert!(!store.retention_due(at(500)).await.unwrap());
        assert!(store.retention_due(at(400 + 24 * 60)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_room_of_forgotten_texts_is_used_again() {
    on_each_engine(async |store| {
        // PostgreSQL does so by itself, in its own time.
        if store.engine() == Engine::Postgres {
            return;
        }
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let long = |n: usize| {
            let mut new = new_item("wire", &n.to_string());
            new.item.summary = "The plenary met in the harbour. ".repeat(40);
            new
        };
        visit(&store, "wire", (0..400).map(long).collect(), at(1)).await;
        let (_, free_before) = store.size().await.unwrap();
        let cutoffs = Cutoffs { misses: Some(at(100)), hits: None };
        while !store.forget_old(&cutoffs, 100, at(0)).await.unwrap().1 {}
        let (_, free) = store.size().await.unwrap();
        let texts = 400 * 40 * 32;
        assert!(free - free_before > texts * 3 / 4, "{free} of {texts} bytes");
        let known: Vec<Id> = (0..400).map(|n: usize| Id::of(&["wire", &n.to_string()])).collect();
        assert_eq!(store.known_items(&known).await.unwrap().len(), 400);
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_whole_private_and_the_store_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let store = Store::open(&url("store.sqlite"), Durability::Process).await.unwrap();
    filled(&store).await;
    let copy = folder.path().join("copy.sqlite");
    assert!(store.backup(&copy).await.unwrap() > 0);
    for path in [copy, folder.path().join("store.sqlite"), folder.path().join("store.sqlite-wal")] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    visit(&store, "wire", vec![new_item("wire", "4")], at(90)).await;
    let restored = Store::open(&url("copy.sqlite"), Durability::Process).await.unwrap();
    assert_eq!(restored.item_counts(at(0)).await.unwrap().0, 3);
    // What came since is seen again, and is new there.
    let again = ["1", "2", "3", "4"].map(|key| new_item("wire", key)).to_vec();
    assert_eq!(visit(&restored, "wire", again, at(91)).await, 1);
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .filter(|e| e.path().display().to_string().contains("partial"))
            .count(),
        0
    );
    let nowhere = folder.path().join("no/such/folder/copy.sqlite");
    assert!(store.backup(&nowhere).await.unwrap_err().to_string().contains("cannot open the store"));
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    std::fs::write(folder.path().join("store.sqlite.before-2"), "older").unwrap();
    sqlx::any::install_default_drivers();
    let old = AnyPool::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    let mut tx = Pool::lasting(old.clone()).begin_with("BEGIN").await.unwrap();
    sqlx::query("CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT")
        .execute(&mut *tx)
        .await
        .unwrap();
    apply(&mut tx, Engine::Sqlite, &MIGRATIONS[..1]).await.unwrap();
    for statement in [
        "INSERT INTO notes (name, value) VALUES ('schema', '1')",
        "INSERT INTO sources (name, url, kind, host, configured, paused, health, etag, body_hash, attempted_at, succeeded_at, \
         changed_at, baseline_at, next_at, next_reason, failures, failing_since, error, items, lease_owner, lease_until, fence) \
         VALUES ('wire', 'https://a.example/wire', 'feed', 'a.example', 1, 0, 'fine', CAST('\"x\"' AS BLOB), 1, 2, 3, 4, 5, 6, 'why', 0, 0, '', 1, '', 0, 0)",
        "INSERT INTO items (id, source, item_key, url, title, summary, content, article, article_state, article_problem, \
         article_attempts, publisher, language, published_at, first_seen_at, link_hash, text_hash, backlog, story_id) \
         VALUES (7, 'wire', 'k', 'https://a.example/k', 'An observer seat', 'kept', '', '', 'not-wanted', '', 0, '', 'en', 1, 1800000000000, 7, 1, 0, 7)",
        "INSERT INTO hits (item_id, profile, profile_version, score, threshold, reasons, found_at, backlog, story_id) \
         VALUES (7, 'apg', 1, 0.5, 0.4, '[]', 1800000000000, 0, 7)",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    old.close().await;

    let url = format!("sqlite:{}", path.display());
    let store = Store::open(&url, Durability::Process).await.unwrap();
    assert_eq!(store.sources().await.unwrap()[0].etag.as_deref(), Some(&b"\"x\""[..]));
    let hits = store.hits(&HitFilter { limit: 10, ..HitFilter::default() }).await.unwrap();
    assert_eq!((hits.len(), hits[0].item.title.as_str(), hits[0].score), (1, "An observer seat", 0.5));
    assert_eq!(store.index_more(10).await.unwrap().0, 1, "what was there before can be searched");
    store.close().await;
    // As it was it stands beside; only the newest such copy is kept.
    let copies: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .filter(|name| name.contains("before"))
        .collect();
    assert_eq!(copies, [format!("store.sqlite.before-{}", MIGRATIONS.len())]);
    let before = AnyPool::connect(&format!("sqlite://{}", folder.path().join(&copies[0]).display())).await.unwrap();
    let version = sqlx::query("SELECT value FROM notes WHERE name = 'schema'").fetch_one(&before).await.unwrap();
    assert_eq!(version.get::<String, _>(0), "1");
    before.close().await;

    // An older program refuses a store from a newer one, and changes nothing.
    let newer = AnyPool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query("UPDATE notes SET value = '999' WHERE name = 'schema'").execute(&newer).await.unwrap();
    newer.close().await;
    let error = Store::open(&url, Durability::Process).await.unwrap_err().to_string();
    assert!(error.contains("was written by a newer newswatch (its version is 999"), "{error}");
}

#[tokio::test]
async fn a_store_moves_to_another_engine_and_back() {
    on_each_engine(async |target| {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let from = Store::open(&url("from.sqlite"), Durability::Process).await.unwrap();
        filled(&from).await;
        let many: Vec<NewItem> = (10..900).map(|number| new_item("wire", &number.to_string())).collect();
        visit(&from, "wire", many, at(90)).await;

        // Interrupted: the step that is told of its progress never comes back.
        let moving = transfer(&from, &target, at(500), |table, rows| {
            assert!(!(table == "items" && rows >= 512), "interrupted");
        });
        let broken = std::panic::AssertUnwindSafe(moving).catch_unwind().await;
        assert!(broken.is_err(), "it was interrupted");
        assert!(target.filled_from().await.unwrap().is_some());
        let other = Store::open(&url("other.sqlite"), Durability::Process).await.unwrap();
        let refused = transfer(&other, &target, at(500), |_, _| {}).await.unwrap_err().to_string();
        assert!(refused.contains("is half filled from"), "{refused}");
        let refused = transfer(&target, &other, at(500), |_, _| {}).await.unwrap_err().to_string();
        assert!(refused.contains("is being filled from"), "a part is not handed on as the whole: {refused}");

        let mut begun_at = None;
        let moved = transfer(&from, &target, at(500), |table, rows| {
            if table == "items" && begun_at.is_none() {
                begun_at = Some(rows);
            }
        });
        let moved = moved.await.unwrap();
        assert!(begun_at >= Some(256), "it goes on where it was: {begun_at:?}");
        assert!(moved.iter().all(|table| table.agrees), "{moved:#?}");
        assert_eq!(moved.iter().find(|table| table.table == "items").unwrap().rows, 893);
        assert_eq!(target.filled_from().await.unwrap(), None);
        let hits = target.hits(&HitFilter { limit: 10, ..HitFilter::default() }).await.unwrap();
        assert_eq!(hits[0].score.to_bits(), (0.1f64 + 0.2).to_bits());
        while target.index_more(500).await.unwrap().1 != crate::store::search::IndexState::Whole {}
        assert_eq!(target.indexed_count().await.unwrap(), 893);
        let refused = transfer(&from, &target, at(500), |_, _| {}).await.unwrap_err().to_string();
        assert!(refused.contains("holds data already"), "{refused}");

        let back = Store::open(&url("back.sqlite"), Durability::Process).await.unwrap();
        let moved = transfer(&target, &back, at(500), |_, _| {}).await.unwrap();
        assert!(moved.iter().all(|table| table.agrees), "{moved:#?}");
        // The work goes on there.
        assert_eq!(claim_unscored(&back, "me", at(600), at(605), 1_000).await.len(), 890);
        let counts = row_counts(&back).await.unwrap();
        assert!(counts.contains(&("items".to_string(), 893)), "{counts:?}");
    })
    .await;
}
