//! Search: what is stored is found, on both engines, with the words that the matcher would find it by.

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
        let claimed = store.claim_sources("me", at(200), at(210), 100, 4).await.unwrap();
        let (state, claim) = claimed.into_iter().find(|(state, _)| state.name == "wire").unwrap();
        let again = saying("1", "Observer seat for the DPRK", "The bank in Macao; sanctions were named.", 1);
        let result = VisitResult {
            claim,
            state,
            before: Default::default(),
            new_items: vec![again],
            edited_items: vec![edited],
            memory: None,
            captures: vec![],
            gap: None,
        };
        store.commit_visits(&[result], at(200)).await.unwrap();
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
