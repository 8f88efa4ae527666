//! What was recorded cannot be changed unseen, and what no record names can be forgotten.

use super::*;
use crate::evidence::{Blob, Capture, DroppedFact, Fact, LeftOut};
use crate::store::evidence::{NewCapture, NewReread, RecordFilter, Verified, append};
use crate::store::retention::Cutoffs;

const ROOM: u64 = 1_000_000;

pub(super) fn capture(key: &str, body: &str, room: u64) -> NewCapture {
    let blob = Blob::of(body.as_bytes());
    let capture = Capture {
        source: "wire".into(),
        requested: "https://example.org/wire".into(),
        url: "https://example.org/wire".into(),
        status: 200,
        headers: vec![("ETag".into(), "\"1\"".into())],
        address: "203.0.113.7:443".into(),
        fetched: at(1),
        sha256: blob.sha256.clone(),
        bytes: blob.bytes,
    };
    NewCapture { capture, body: Some(blob), captures_bytes_max: room, items: vec![Id::of(&["wire", key])] }
}

async fn visit_with(store: &Store, keys: &[&str], captures: Vec<NewCapture>, now: Timestamp) {
    let claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(5), 100, 4).await.unwrap();
    let (mut state, claim) = claimed.into_iter().find(|(state, _)| state.name == "wire").unwrap();
    (state.health, state.next_at) = (Health::Fine, now);
    let new_items = keys.iter().map(|key| new_item("wire", key)).collect();
    let result = VisitResult {
        claim,
        state,
        before: Default::default(),
        new_items,
        edited_items: vec![],
        captures,
        gap: None,
        memory: None,
    };
    store.commit_visits(&[result], now).await.unwrap();
}

/// Scores what waits; the first `hits` of it are hits.
async fn find(store: &Store, hits: usize, now: Timestamp) {
    let claimed = claim_unscored(store, "me", now, now + SignedDuration::from_mins(5), 1000).await;
    let mut result = MatchResult::default();
    result.profiles.push(ProfileVersion {
        profile: "apg".into(),
        profile_hash: 7,
        version: 3,
        snapshot: "{\"name\":\"apg\"}".into(),
        first_used_at: at(0),
    });
    for (unscored, claim) in claimed {
        result.scored.push((unscored.item.id, claim));
        if result.hits.len() == hits {
            continue;
        }
        let hit = Hit {
            profile: "apg".into(),
            profile_version: 3,
            score: 0.1 + 0.2,
            threshold: 0.25,
            reasons: vec![Reason { term: "북한 \"x\"".into(), share: 0.3, count: 2, ..Reason::default() }],
            basis: Basis { method: 1, profile_hash: 7, divisor: 1.0 / 3.0, ..Basis::default() },
            shadow: false,
            found_at: now,
            story: unscored.story,
            relation: Relation::First,
            item: unscored.item,
        };
        result.hits.push(NewHit { hit, deliveries: vec![] });
    }
    store.commit_matches(&result).await.unwrap();
}

async fn prepared(store: &Store) {
    store.configure_sources(&[source("wire", "example.org")]).await.unwrap();
    visit_with(store, &["a", "b"], vec![capture("a", "<rss>a</rss>", ROOM), capture("b", "<rss>b</rss>", ROOM)], at(1))
        .await;
    find(store, 2, at(2)).await;
}

async fn verified(store: &Store) -> Verified {
    store.verify_evidence().await.unwrap()
}

#[tokio::test]
async fn a_hit_is_recorded_with_its_document() {
    on_each_engine(async |store| {
        prepared(&store).await;
        let found = verified(&store).await;
        assert_eq!((found.records, found.broken.as_slice(), found.notes.len()), (2, &[][..], 0), "{found:?}");
        assert_eq!(found.blobs, 2 + 1 + 2, "two texts, the same reasons, two documents");
        assert_eq!(store.chain_head().await.unwrap(), (2, found.head.clone()));
        assert_eq!(store.record_with_hash(&found.head).await.unwrap(), Some(2));
        let item = Id::of(&["wire", "a"]);
        let numbers = store.record_numbers(&RecordFilter { items: vec![item], ..Default::default() }).await.unwrap();
        let record = store.record(numbers[0]).await.unwrap().unwrap().read().unwrap();
        let Fact::Hit(hit) = record.fact else { panic!("{record:?}") };
        assert_eq!((hit.item, hit.score, hit.profile.as_str(), hit.page), (item, 0.1 + 0.2, "apg", None));
        let document = hit.document.unwrap();
        assert!(document.kept);
        let body = store.blob(&document.body).await.unwrap().unwrap();
        assert_eq!(body.open().unwrap(), b"<rss>a</rss>");
        assert!(store.capture(document.capture).await.unwrap().unwrap().contains("203.0.113.7:443"));
    })
    .await;
}

#[tokio::test]
async fn whatever_is_changed_is_found() {
    on_each_engine(async |store| {
        prepared(&store).await;
        // Another profile's version and an item that is no hit are no evidence.
        let changes = [
            ("evidence", "record = replace(record, 'apg', 'apq')"),
            ("evidence", "record = replace(record, '0.30000000000000004', '0.30000000000000005')"),
            ("evidence", "hash = replace(hash, substr(hash, 1, 1), 'g')"),
            ("evidence", "profile = 'apq'"),
            ("evidence", "kind = 'hid'"),
            ("evidence", "recorded_at = recorded_at + 1"),
            ("evidence", "item_id = item_id + 1"),
            ("evidence", "number = number + 7"),
            ("chain_head", "number = number + 1"),
            ("chain_head", "hash = replace(hash, substr(hash, 64, 1), 'g')"),
            ("blobs", "bytes = bytes + 1"),
            ("blobs", "sha256 = replace(sha256, substr(sha256, 1, 1), 'g')"),
            ("blobs", "packed_sha256 = replace(packed_sha256, substr(packed_sha256, 1, 1), 'g')"),
            ("blobs", "held = 0"),
            ("captures", "facts = replace(facts, '203', '204')"),
            ("captures", "sha256 = replace(sha256, substr(sha256, 1, 1), 'g')"),
            ("captures", "fetched_at = fetched_at + 1"),
            ("captures", "cited = 0"),
            ("captures", "id = id + 1"),
            ("hits", "score = 0.31"),
            ("hits", "threshold = 0.26"),
            ("hits", "reasons = replace(reasons, '2', '3')"),
            ("hits", "basis = replace(basis, '7', '8')"),
            ("hits", "found_at = found_at + 1"),
            ("hits", "profile_version = 4"),
            ("hits", "profile_hash = 8"),
            ("hits", "shadow = 1"),
            ("hits", "backlog = 1"),
            ("hits", "profile = 'apq'"),
            ("items", "title = title || '.'"),
            ("items", "summary = 'Summary'"),
            ("items", "url = url || '/'"),
            ("items", "published_at = published_at + 1"),
            ("items", "language = 'de'"),
            ("profile_versions", "snapshot = replace(snapshot, 'apg', 'apq')"),
        ];
        for (table, change) in changes {
            // In a copy, so that each change stands alone.
            let copy = format!("CREATE TABLE kept AS SELECT * FROM {table}");
            sqlx::query(AssertSqlSafe(copy)).execute(&store.writer).await.unwrap();
            let changed = format!("UPDATE {table} SET {change}");
            let done = sqlx::query(AssertSqlSafe(changed)).execute(&store.writer).await;
            assert!(done.unwrap().rows_affected() > 0, "{table}: {change}");
            let found = verified(&store).await;
            assert!(!found.broken.is_empty(), "{table}: {change} is not found");
            for back in
                [&format!("DELETE FROM {table}"), &format!("INSERT INTO {table} SELECT * FROM kept"), "DROP TABLE kept"]
            {
                sqlx::query(AssertSqlSafe(back.to_string())).execute(&store.writer).await.unwrap();
            }
            assert_eq!(verified(&store).await.broken, [], "after {table}: {change}");
        }
        // A byte of what is packed, whichever: the first and the last of each.
        let rows = sqlx::query("SELECT sha256, packed FROM blobs").fetch_all(&store.reader).await.unwrap();
        for row in rows {
            let (hash, packed): (String, Vec<u8>) = (row.get(0), row.get(1));
            for place in [0, packed.len() - 1] {
                let mut changed = packed.clone();
                changed[place] ^= 1;
                for (bytes, broken) in [(changed, 1), (packed.clone(), 0)] {
                    let update = sqlx::query("UPDATE blobs SET packed = $1 WHERE sha256 = $2").bind(bytes).bind(&hash);
                    update.execute(&store.writer).await.unwrap();
                    assert_eq!(verified(&store).await.broken.len(), broken, "byte {place} of {hash}");
                }
            }
        }
        // What is taken out of the middle or the end is missed.
        for number in [1, 2] {
            sqlx::query("CREATE TABLE kept AS SELECT * FROM evidence").execute(&store.writer).await.unwrap();
            sqlx::query("DELETE FROM evidence WHERE number = $1").bind(number).execute(&store.writer).await.unwrap();
            assert_eq!(verified(&store).await.broken[0].record, number);
            for back in ["DELETE FROM evidence", "INSERT INTO evidence SELECT * FROM kept", "DROP TABLE kept"] {
                sqlx::query(back).execute(&store.writer).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_a_hit_is_recorded_and_one_behind_our_back_is_not() {
    on_each_engine(async |store| {
        prepared(&store).await;
        let before = verified(&store).await;
        let now = at(30);
        let claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(5), 100, 4).await.unwrap();
        let (mut state, claim) = claimed.into_iter().next().unwrap();
        state.next_at = now;
        let mut edited = new_item("wire", "a");
        edited.item.summary = "The observer seat is withdrawn.".into();
        edited.text_hash = 2;
        let mut second = capture("a", "<rss>a, edited</rss>", ROOM);
        second.capture.fetched = now;
        let result = VisitResult {
            claim,
            state,
            before: Default::default(),
            new_items: vec![],
            edited_items: vec![edited],
            captures: vec![second],
            gap: None,
            memory: None,
        };
        store.commit_visits(&[result], now).await.unwrap();
        let after = verified(&store).await;
        assert_eq!((after.records, after.broken.as_slice()), (3, &[][..]));
        assert_eq!(
            store.record_with_hash(&before.head).await.unwrap(),
            Some(2),
            "what was noted before is still there"
        );
        let record = store.record(3).await.unwrap().unwrap().read().unwrap();
        let Fact::Edited(edit) = record.fact else { panic!("{record:?}") };
        for (hash, expected) in [(&edit.before, "summary"), (&edit.text, "The observer seat is withdrawn.")] {
            let bytes = store.blob(hash).await.unwrap().unwrap().open().unwrap();
            let text = crate::evidence::ItemText::read(&bytes).unwrap();
            assert_eq!(text.summary, expected, "both texts are kept");
        }
        assert!(edit.document.unwrap().kept);
    })
    .await;
}

#[tokio::test]
async fn what_no_record_names_is_forgotten_and_the_rest_is_not() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "example.org")]).await.unwrap();
        let (used, unused) = (capture("a", "<rss>used</rss>", ROOM), capture("b", "<rss>unused</rss>", ROOM));
        let size = unused.body.as_ref().unwrap().packed.len() as i64;
        let both = used.body.as_ref().unwrap().packed.len() as i64 + size;
        let names: Vec<String> = [&used, &unused].iter().map(|new| new.capture.sha256.clone()).collect();
        visit_with(&store, &["a", "b"], vec![used, unused], at(1)).await;
        assert_eq!(store.capture_room().await.unwrap().bytes, both);
        // Of two items, the one with the lower id is the hit.
        find(&store, 1, at(2)).await;
        let hit = if Id::of(&["wire", "a"]) < Id::of(&["wire", "b"]) { 0 } else { 1 };
        assert_eq!(store.forget_captures(at(1), 10).await.unwrap(), Default::default(), "it is not old enough");
        let forgotten = store.forget_captures(at(60), 10).await.unwrap();
        assert_eq!(forgotten.captures, 1);
        assert_eq!(store.capture_room().await.unwrap().bytes, both - forgotten.bytes);
        assert!(
            store.blob(&names[hit]).await.unwrap().is_some() && store.blob(&names[1 - hit]).await.unwrap().is_none()
        );
        assert_eq!(store.forget_captures(at(60), 10).await.unwrap(), Default::default());
        assert_eq!(verified(&store).await.broken, []);
    })
    .await;
}

#[tokio::test]
async fn where_there_is_no_room_the_hash_alone_is_recorded() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "example.org")]).await.unwrap();
        visit_with(&store, &["a"], vec![capture("a", "<rss>a</rss>", 3)], at(1)).await;
        find(&store, 1, at(2)).await;
        let record = store.record(1).await.unwrap().unwrap().read().unwrap();
        let Fact::Hit(hit) = record.fact else { panic!("{record:?}") };
        let document = hit.document.unwrap();
        assert!(!document.kept && document.body == Blob::of(b"<rss>a</rss>").sha256);
        assert_eq!(document.left_out, Some(LeftOut::NoRoom));
        assert_eq!(store.capture_room().await.unwrap().left_out_at, Some(at(1)), "somebody can be told");
        assert_eq!(verified(&store).await.broken, [], "that is no difference");
        // Of a source whose documents are not captured there is none to name.
        visit_with(&store, &["b"], vec![], at(3)).await;
        find(&store, 1, at(4)).await;
        let record = store.record(2).await.unwrap().unwrap().read().unwrap();
        assert!(matches!(record.fact, Fact::Hit(hit) if hit.document.is_none()));
        let mut large = capture("c", "<rss>c</rss>", ROOM);
        (large.body, large.capture.fetched) = (None, at(5));
        visit_with(&store, &["c"], vec![large], at(5)).await;
        find(&store, 1, at(6)).await;
        let record = store.record(3).await.unwrap().unwrap().read().unwrap();
        let Fact::Hit(hit) = record.fact else { panic!("{record:?}") };
        assert_eq!(hit.document.unwrap().left_out, Some(LeftOut::TooLarge));
        assert_eq!(store.capture_room().await.unwrap().left_out_at, Some(at(1)), "that is no want of room");
    })
    .await;
}

#[tokio::test]
async fn a_record_of_what_was_let_go_excuses_nothing_that_is_kept() {
    on_each_engine(async |store| {
        prepared(&store).await;
        let Fact::Hit(hit) = store.record(1).await.unwrap().unwrap().read().unwrap().fact else { panic!("no hit") };
        let (now, before) = (at(70 + 31 * 24 * 60), at(60));
        for (body, before, at) in
            [(hit.document.unwrap().body, at(70), at(71)), (hit.text, before, now), (hit.reasons, before, now)]
        {
            let mut tx = store.begin().await.unwrap();
            sqlx::query("DELETE FROM blobs WHERE sha256 = $1").bind(&body).execute(&mut *tx).await.unwrap();
            let forged = Fact::Dropped(DroppedFact { before, bodies: vec![body.clone()] });
            append(&mut tx, vec![forged], at).await.unwrap();
            tx.commit().await.unwrap();
            let broken = verified(&store).await.broken;
            assert!(broken.iter().any(|broken| broken.what.contains(&body)), "{broken:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn documents_of_old_hits_are_let_go_and_nothing_else_is_unseen() {
    on_each_engine(async |store| {
        prepared(&store).await;
        let cutoffs = Cutoffs { misses: None, hits: Some(at(60)) };
        assert_eq!(store.count_old(&cutoffs).await.unwrap().documents, 2);
        let young = Cutoffs { misses: None, hits: Some(at(1)) };
        assert_eq!(store.forget_old(&young, 100, at(70)).await.unwrap().0.documents, 0, "they are not old enough");
        // A month and more after the cutoff, as the configuration has it at least.
        let now = at(70 + 31 * 24 * 60);
        assert_eq!(store.forget_old(&cutoffs, 100, now).await.unwrap().0.documents, 2);
        assert_eq!(store.capture_room().await.unwrap().bytes, 0, "the room is free again");
        let found = verified(&store).await;
        assert_eq!((found.records, found.broken.as_slice()), (3, &[][..]), "what was let go is on record");
        assert!(found.notes.iter().any(|note| note.contains("2 documents of old hits")), "{:?}", found.notes);
        let entry = store.record(1).await.unwrap().unwrap();
        let entry = store.evidence_entry(&entry, true).await.unwrap().unwrap();
        let document = &entry.documents[0];
        assert!(document.cited.missing(document.is_there).unwrap().contains("store.keep_hits"));
        assert!(entry.item.is_some() && document.capture.is_some(), "text, address and hash stand");

        // The same bytes come again: from then on they must be there again.
        let mut again = capture("c", "<rss>a</rss>", ROOM);
        again.capture.fetched = at(80);
        let body = again.capture.sha256.clone();
        visit_with(&store, &["c"], vec![again], at(80)).await;
        find(&store, 1, at(81)).await;
        assert_eq!((verified(&store).await.records, verified(&store).await.broken), (4, vec![]));
        let gone = sqlx::query("DELETE FROM blobs WHERE sha256 = $1").bind(&body);
        gone.execute(&store.writer).await.unwrap();
        assert_eq!(verified(&store).await.broken[0].record, 4);
    })
    .await;
}

#[tokio::test]
async fn two_watchers_make_one_chain() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "example.org")]).await.unwrap();
        let keys: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        visit_with(&store, &keys, vec![], at(1)).await;
        // Each takes some of the items; they commit at the same time.
        let watcher = async |owner: &str| {
            loop {
                let claimed = claim_unscored(&store, owner, at(2), at(9), 5).await;
                if claimed.is_empty() {
                    return;
                }
                let mut result = MatchResult::default();
                for (unscored, claim) in claimed {
                    result.scored.push((unscored.item.id, claim));
                    let hit = Hit {
                        profile: "apg".into(),
                        profile_version: 3,
                        score: 1.0,
                        threshold: 0.25,
                        reasons: vec![],
                        basis: Basis::default(),
                        shadow: false,
                        found_at: at(2),
                        story: unscored.story,
                        relation: Relation::First,
                        item: unscored.item,
                    };
                    result.hits.push(NewHit { hit, deliveries: vec![] });
                }
                store.commit_matches(&result).await.unwrap();
            }
        };
        tokio::join!(watcher("one"), watcher("two"), watcher("three"));
        let found = verified(&store).await;
        assert_eq!((found.records, found.broken.as_slice()), (40, &[][..]));
    })
    .await;
}

#[tokio::test]
async fn a_page_is_looked_at_again_twice_and_what_changed_is_recorded() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "example.org")]).await.unwrap();
        visit_with(&store, &["a"], vec![], at(1)).await;
        let mut item = new_item("wire", "a").item;
        (item.article, item.article_state) = ("The seat is empty. Samoa wants it.".into(), ArticleState::Read);
        store.commit_articles(std::slice::from_ref(&item), &[], &[], at(1)).await.unwrap();
        find(&store, 1, at(2)).await;
        let day = 24 * 60;
        let due = async |minutes: i64, per_day: usize| {
            store
                .pages_to_look_at("wire", per_day, at(minutes))
                .await
                .unwrap()
                .into_iter()
                .map(|item| item.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(due(day, 5).await, []);
        assert_eq!((due(day + 2, 5).await, due(day + 2, 0).await), (vec![item.id], vec![]));
        let now = at(day + 2);
        let mut page = capture("a", "<p>The seat is empty.</p>", ROOM);
        page.capture.fetched = now;
        let changed = NewReread { item: item.id, article: Ok("The seat is empty.".into()), page: Some(page) };
        store.commit_rereads(&[changed.clone(), changed], now).await.unwrap();
        assert_eq!(due(day + 3, 5).await, [], "the next time is a week after the hit");
        assert_eq!((due(7 * day + 2, 5).await, due(7 * day + 2, 1).await.len()), (vec![item.id], 1));
        let entries = store.changed_pages(at(0), None, 10).await.unwrap();
        assert_eq!(entries.len(), 1, "twice in one commit is once");
        assert_eq!(entries[0].difference().unwrap().then_only, ["Samoa wants it."]);
        assert!(entries[0].documents[0].cited.kept);
        let gone = NewReread { item: item.id, article: Err("status 404: there is no such page".into()), page: None };
        store.commit_rereads(&[gone], at(7 * day + 2)).await.unwrap();
        assert_eq!(due(100 * day, 5).await, [], "that was the last time");
        let last = store.changed_pages(at(0), None, 10).await.unwrap().pop().unwrap();
        assert!(matches!(last.record.fact, Fact::Reread(fact) if fact.problem.contains("404") && fact.text.is_empty()));
        assert_eq!(verified(&store).await.broken, []);
    })
    .await;
}
