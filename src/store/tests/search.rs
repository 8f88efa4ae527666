//! Search: what is stored is found, on both engines, with the words that the matcher would find it by.

use super::super::schema::{MIGRATIONS, apply};
use super::super::search::{IndexState, SearchFilter};
use super::*;
use crate::matcher::profile::Aliases;
use crate::matcher::search::Query;
use crate::search::{Answer, Order, Page, find};

const ALL: Page = Page { order: Order::Newest, skip: 0, count: 100 };

fn saying(key: &str, title: &str, summary: &str, minutes: i64) -> NewItem {
    let mut new = new_item("wire", key);
    (new.item.title, new.item.summary) = (title.into(), summary.into());
    new.item.first_seen_at = at(minutes);
    new
}

async fn answer(store: &Store, query: &str, filter: &SearchFilter, page: Page) -> Answer {
    let mut query = Query::read(query, &Aliases::none(), &[]).unwrap();
    find(store, &mut query, filter, page).await.unwrap()
}

fn keys(answer: &Answer) -> String {
    answer.items.iter().map(|(item, _)| item.key.as_str()).collect::<Vec<_>>().join(" ")
}

async fn found(store: &Store, query: &str) -> String {
    keys(&answer(store, query, &SearchFilter::default(), ALL).await)
}

/// Some items in three visits.
async fn filled(store: &Store) {
    store.configure_sources(&[source("wire", "a.example"), source("blog", "b.example")]).await.unwrap();
    let first = vec![
        saying("1", "Observer seat for the DPRK", "The bank in Macao; sanctions were named.", 1),
        saying("2", "북한에서는 회의가 열렸다", "가상자산 거래소 해킹", 1),
    ];
    visit(store, "wire", first, at(1)).await;
    let second = vec![
        saying("3", "北朝鮮の銀行員", "送金を担当した。", 40),
        saying("4", "Встреча в Северной Корее", "О санкциях не говорили. O'Neil said: 100 % \"seat\".", 40),
        saying("5", "A seat, a seat, a seat", "Nothing but seats.", 40),
    ];
    visit(store, "wire", second, at(40)).await;
    let mut other = saying("6", "The seat of the bank", "", 80);
    other.item = Item { id: Id::of(&["blog", "6"]), source: "blog".into(), ..other.item };
    visit(store, "blog", vec![other], at(80)).await;
}

#[tokio::test]
async fn what_is_stored_is_found_in_every_script() {
    on_each_engine(async |store| {
        filled(&store).await;
        for (query, expected) in [
            ("seat", "6 5 4 1"),
            ("SEATS", "5"),
            ("sanction*", "1"),
            ("\"observer seat\"", "1"),
            ("\"seat observer\"", ""),
            ("bank NEAR/2 macao", "1"),
            ("bank NEAR/1 macao", ""),
            ("dprk NEAR/3 bank", "1"),
            ("dprk NEAR/1 bank", ""),
            ("bank NEAR/4 sanction* NEAR/4 macao", "1"),
            ("(bank OR chair) NEAR/3 (macao OR \"named\")", "1"),
            ("北朝鮮 NEAR/3 銀行", "3"),
            ("북한 NEAR/1 회의", "2"),
            ("Северная NEAR/1 Корея", "4"),
            ("\"observer seat\" NEAR/2 seat", "1"),
            ("title:bank", "6"),
            ("bank -macao", "6"),
            ("북한", "2"),
            ("회의", "2"),
            ("거래소", "2"),
            ("거래", ""),
            ("북", ""),
            ("北朝鮮", "3"),
            ("朝鮮", "3"),
            ("行員", "3"),
            ("員", "3"),
            ("鮮北", ""),
            ("\"Северная Корея\"", "4"),
            ("санкции", "4"),
            ("o'neil", "4"),
            ("(bank OR 送金) NOT macao", "6 3"),
            ("nowhere", ""),
            ("se", ""),
        ] {
            assert_eq!(found(&store, query).await, expected, "{query}");
        }
        // The one that says it most comes first.
        let best = answer(&store, "seat", &SearchFilter::default(), Page { order: Order::Best, ..ALL }).await;
        assert_eq!(keys(&best).split(' ').count(), 4);
        if store.engine() == Engine::Sqlite {
            assert!(keys(&best).starts_with('5'), "{}", keys(&best));
        }
    })
    .await;
}

#[tokio::test]
async fn filters_and_pages_cut_the_answer() {
    on_each_engine(async |store| {
        filled(&store).await;
        score_all(&store, |_| vec![], at(81)).await;
        let filter = |filter: SearchFilter| filter;
        for (wanted, expected) in [
            (filter(SearchFilter { source: Some("blog".into()), ..Default::default() }), "6"),
            (filter(SearchFilter { source: Some("none".into()), ..Default::default() }), ""),
            (filter(SearchFilter { since: Some(at(40)), ..Default::default() }), "6 5 4"),
            (filter(SearchFilter { until: Some(at(40)), ..Default::default() }), "1"),
            (filter(SearchFilter { hits: true, ..Default::default() }), "6 5 4 1"),
            (
                filter(SearchFilter { profile: Some("apg".into()), source: Some("blog".into()), ..Default::default() }),
                "6",
            ),
            (filter(SearchFilter { profile: Some("other".into()), ..Default::default() }), ""),
        ] {
            assert_eq!(keys(&answer(&store, "seat", &wanted, ALL).await), expected, "{wanted:?}");
        }
        let none = SearchFilter::default();
        let first = answer(&store, "seat", &none, Page { count: 3, ..ALL }).await;
        assert_eq!((keys(&first).as_str(), first.more), ("6 5 4", true));
        let second = answer(&store, "seat", &none, Page { count: 3, skip: 3, ..ALL }).await;
        assert_eq!((keys(&second).as_str(), second.more), ("1", false));
    })
    .await;
}

#[tokio::test]
async fn the_index_follows_edits_articles_and_repeats() {
    on_each_engine(async |store| {
        filled(&store).await;
        // New words stand in the place of the old ones.
        let edited = saying("5", "A chair", "It was put away.", 40);
        let again = saying("1", "Observer seat for the DPRK", "The bank in Macao; sanctions were named.", 1);
        edit(&store, vec![again], vec![edited], at(200)).await;
        assert_eq!((found(&store, "seats").await, found(&store, "chair").await), (String::new(), "5".to_string()));
        assert_eq!(found(&store, "macao").await, "1", "found once, though it came twice");
        // An article page makes an item found by its words; the item's other words stay.
        let mut item = store.item(Id::of(&["wire", "1"])).await.unwrap().unwrap();
        (item.article, item.article_state) = ("They met in Ulaanbaatar.".into(), ArticleState::Read);
        store.commit_articles(&[item], &[], &[], at(201)).await.unwrap();
        assert_eq!(found(&store, "ulaanbaatar observer").await, "1");
        assert_eq!(store.indexed_count().await.unwrap(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_store_without_an_index_gets_one_bit_by_bit() {
    on_each_engine(async |store| {
        filled(&store).await;
        store.drop_index().await.unwrap();
        assert_eq!(found(&store, "seat").await, "");
        let late = saying("7", "A late seat", "", 90);
        visit(&store, "wire", vec![late], at(90)).await;
        assert_eq!(store.index_more(3).await.unwrap(), (2, IndexState::Lacks { before: at(40) }), "the newest first");
        assert!(found(&store, "seat").await.starts_with("7 6"), "what is there already comes before it");
        while store.index_more(2).await.unwrap().1 != IndexState::Whole {}
        let all = found(&store, "seat").await;
        assert!(all.starts_with("7 6") && all.ends_with('1') && all.len() == "7 6 5 4 1".len(), "{all}");
        assert_eq!(store.index_state().await.unwrap(), IndexState::Whole);
        // What is stored while no index is wanted is not lost to one that is made later.
        let off = store.clone().indexing(false);
        off.drop_index().await.unwrap();
        visit(&off, "wire", vec![saying("8", "An unindexed seat", "", 130)], at(130)).await;
        assert_eq!(found(&store, "unindexed").await, "");
        while store.index_more(100).await.unwrap().1 != IndexState::Whole {}
        assert_eq!(found(&store, "unindexed").await, "8");
    })
    .await;
}

#[tokio::test]
async fn times_cut_also_an_index_that_was_made_afterwards() {
    on_each_engine(async |store| {
        filled(&store).await;
        store.drop_index().await.unwrap();
        // While the index is made anew an old item changes, and one is stored long after it was first seen: both stand above the rest.
        let edited = saying("1", "Observer seat for the DPRK", "The bank in Macao; a second seat.", 1);
        edit(&store, vec![saying("9", "A seat that came late", "", 2)], vec![edited], at(2_000)).await;
        while store.index_more(2).await.unwrap().1 != IndexState::Whole {}
        let all = SearchFilter::default();
        for (since, until, expected) in [
            (None, None, "1 3 4 5 6 9"),
            (Some(40), None, "3 4 5 6"),
            (Some(80), None, "6"),
            (Some(81), None, ""),
            (None, Some(2), "1"),
            (None, Some(40), "1 9"),
            (None, Some(41), "1 3 4 5 9"),
            (Some(2), Some(41), "3 4 5 9"),
        ] {
            let wanted = SearchFilter { since: since.map(at), until: until.map(at), ..all.clone() };
            let answer = answer(&store, "seat OR 北朝鮮", &wanted, ALL).await;
            let mut keys: Vec<&str> = answer.items.iter().map(|(item, _)| item.key.as_str()).collect();
            keys.sort_unstable();
            assert_eq!(keys.join(" "), expected, "{since:?} {until:?}");
        }
    })
    .await;
}

/// Stores new items and new versions of stored ones.
async fn edit(store: &Store, new_items: Vec<NewItem>, edited_items: Vec<NewItem>, now: Timestamp) {
    let claimed = store.claim_sources("me", now, now + SignedDuration::from_mins(1), 100, 4).await.unwrap();
    let (state, claim) = claimed.into_iter().find(|(state, _)| state.name == "wire").unwrap();
    let result = VisitResult {
        claim,
        state,
        before: Default::default(),
        new_items,
        edited_items,
        memory: None,
        captures: vec![],
        gap: None,
    };
    store.commit_visits(&[result], now).await.unwrap();
}

/// Lets the next numbers begin a part, so that a few items are spread over several.
async fn next_part(store: &Store, part: i64) {
    let doc = ((1 << 24) + part) << 16;
    let sql = match store.engine() {
        Engine::Sqlite => format!("INSERT INTO search_docs (doc, item_id) VALUES ({}, {doc})", doc - 1),
        Engine::Postgres => format!("INSERT INTO search_docs (doc, item_id, words) VALUES ({}, {doc}, '')", doc - 1),
    };
    sqlx::query(AssertSqlSafe(sql)).execute(&store.writer).await.unwrap();
}

#[tokio::test]
async fn what_stands_in_several_parts_is_found_like_what_stands_in_one() {
    on_each_engine(async |store| {
        filled(&store).await;
        for (number, title) in [(1, "A seat, 북한에서는"), (2, "A chair on an atoll"), (3, "A seat on a table")] {
            next_part(&store, number).await;
            let key = format!("p{number}");
            visit(&store, "wire", vec![saying(&key, title, "Macao.", 200 * number)], at(200 * number)).await;
        }
        for (query, expected) in [
            ("seat", "p3 p1 6 5 4 1"),
            ("macao", "p3 p2 p1 1"),
            ("(seat OR chair) macao", "p3 p2 p1 1"),
            ("sea* macao", "p3 p1 1"),
            ("북한", "p1 2"),
            ("a NEAR/9 macao", "p3 p2 p1"),
            ("atoll", "p2"),
            ("nowhere", ""),
        ] {
            assert_eq!(found(&store, query).await, expected, "{query}");
        }
        let all = SearchFilter::default();
        let page = answer(&store, "seat", &all, Page { skip: 1, count: 2, ..ALL }).await;
        assert_eq!((keys(&page).as_str(), page.more), ("p1 6", true));
        let best = answer(&store, "sea* macao", &all, Page { order: Order::Best, ..ALL }).await;
        assert_eq!(best.items.len(), 3);
        let between = SearchFilter { since: Some(at(41)), until: Some(at(600)), ..all.clone() };
        assert_eq!(keys(&answer(&store, "seat", &between, ALL).await), "p1 6");
        let of_source = SearchFilter { source: Some("blog".into()), ..all };
        assert_eq!(keys(&answer(&store, "seat OR macao", &of_source, ALL).await), "6");
        // A new text takes the place of the old one, whichever part it is in.
        edit(&store, vec![], vec![saying("p1", "A bench", "", 200)], at(700)).await;
        assert_eq!(found(&store, "seat").await, "p3 6 5 4 1");
        assert_eq!(found(&store, "bench").await, "p1");
        // What is forgotten leaves nothing behind: neither its part nor its times.
        let mut tx = store.begin().await.unwrap();
        crate::store::search::forget(&mut tx, &[Id::of(&["wire", "p1"]), Id::of(&["wire", "p3"])]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((found(&store, "bench").await, found(&store, "macao").await), (String::new(), "p2 1".into()));
        if store.engine() == Engine::Sqlite {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'search#_words#__%' ESCAPE '#' AND sql LIKE '%fts5%'";
            let count: i64 = sqlx::query(sql).fetch_one(&store.reader).await.unwrap().get(0);
            assert_eq!(count, 2, "a part in which nothing is left is dropped");
        }
        visit(&store, "wire", vec![saying("p4", "A late chair", "", 900)], at(900)).await;
        assert_eq!(found(&store, "chair").await, "p4 p2");
    })
    .await;
}

#[tokio::test]
async fn where_hits_are_few_they_are_read() {
    on_each_engine(async |store| {
        filled(&store).await;
        score_all(&store, |_| vec![], at(81)).await;
        let hits = SearchFilter { profile: Some("apg".into()), ..Default::default() };
        let all = answer(&store, "seat", &hits, ALL).await;
        assert_eq!((keys(&all).as_str(), all.more, all.stopped_at), ("6 5 4 1", false, None));
        let later = SearchFilter { since: Some(at(41)), ..hits };
        assert_eq!(keys(&answer(&store, "seat", &later, ALL).await), "6");
    })
    .await;
}

#[tokio::test]
async fn an_index_in_one_piece_is_made_anew_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.sqlite", folder.path().display());
    let store = Store::open(&url, Durability::Process).await.unwrap();
    filled(&store).await;
    store.drop_index().await.unwrap();
    // As the version before parts left it.
    let parts = MIGRATIONS.iter().position(|migration| migration.concat().contains("DROP TABLE search_words")).unwrap();
    for statement in [
        "DROP TABLE search_blocks".to_string(),
        "CREATE VIRTUAL TABLE search_words USING fts5(title, body, beginnings, content='', contentless_delete=1, tokenize='ascii')"
            .to_string(),
        "INSERT INTO search_words (rowid, title, body, beginnings) VALUES (1, 'seat', '', '')".to_string(),
        "INSERT INTO search_docs (doc, item_id) VALUES (1, 7)".to_string(),
        "DELETE FROM notes WHERE name LIKE 'search index%'".to_string(),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&store.writer).await.unwrap();
    }
    let mut tx = store.begin().await.unwrap();
    apply(&mut tx, Engine::Sqlite, &MIGRATIONS[parts..=parts]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.index_state().await.unwrap(), IndexState::Lacks { before: Timestamp::MAX });
    assert_eq!(found(&store, "seat").await, "");
    while store.index_more(2).await.unwrap().1 != IndexState::Whole {}
    assert_eq!((found(&store, "macao").await, store.indexed_count().await.unwrap()), ("1".to_string(), 6));
}

#[tokio::test]
async fn what_came_last_stands_beside_the_best_of_before() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let mut old = vec![saying("seat", "A seat at the harbour", "Nothing else was said about it all day.", 1)];
        old.extend((0..30).map(|n| saying(&format!("o{n}"), "Ships in the harbour", "Nothing of note.", 1)));
        visit(&store, "wire", old, at(1)).await;
        // What is indexed afterwards is in another part than what comes in.
        store.drop_index().await.unwrap();
        while store.index_more(10).await.unwrap().1 != IndexState::Whole {}
        let new = (0..3).map(|n| saying(&format!("n{n}"), "A seat, a seat", "Seat after seat: a seat.", 40)).collect();
        visit(&store, "wire", new, at(40)).await;
        let best = answer(&store, "seat", &SearchFilter::default(), Page { order: Order::Best, ..ALL }).await;
        assert!(keys(&best).starts_with("n2 n1 n0") || keys(&best) == "n2 seat n1 n0", "{}", keys(&best));
        assert_eq!(best.items.len(), 4);
    })
    .await;
}
