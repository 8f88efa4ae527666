//! What a digest reads, and verdicts that come as answers.

use super::*;
use crate::model::OutboxRow;

/// The window that ends so many minutes in.
fn until(end: i64) -> Window {
    Window { from: at(0), until: at(end) }
}

fn to(end: i64) -> impl Fn(&Item) -> Vec<NewDelivery> {
    move |_| vec![delivery("desk", Way::InDigest { windows: vec![until(end)] })]
}

async fn waiting(store: &Store) -> Vec<OutboxRow> {
    store.outbox("waiting", 10).await.unwrap()
}

#[tokio::test]
async fn a_digest_at_once_takes_over_what_waits() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1"), new_item("wire", "2")], at(1)).await;
        score_all(&store, to(600), at(2)).await;
        let regular = waiting(&store).await.remove(0).id;
        assert_eq!(store.hit_count_of_delivery(regular).await.unwrap(), 2);

        let (id, taken) = store.digest_now("desk", "me@example.org", at(0), at(10)).await.unwrap().unwrap();
        assert_eq!(taken, 2);
        assert_eq!(
            store.digest_now("desk", "me@example.org", at(0), at(10)).await.unwrap(),
            None,
            "twice in one moment"
        );
        // What comes later is the regular digest's, which begins where the other ended.
        visit(&store, "wire", vec![new_item("wire", "3")], at(40)).await;
        score_all(&store, to(600), at(41)).await;
        let counts: Vec<_> = store
            .digests("desk", 10)
            .await
            .unwrap()
            .into_iter()
            .map(|digest| (digest.row.id, digest.hits, digest.stories))
            .collect();
        assert_eq!(counts, [(id, 2, 2), (regular, 1, 1)]);
        let row = store.digest_of_window("desk", "me@example.org", at(600)).await.unwrap().unwrap();
        assert_eq!((row.id, row.window_from, row.window_to), (regular, Some(at(10)), Some(at(600))));
        assert_eq!(waiting(&store).await.len(), 2);
        assert_eq!(store.outbox_row(id).await.unwrap().unwrap().due_at, at(10));
        assert_eq!(store.digests("other", 10).await.unwrap().len(), 0);
        // A digest whose delivery has begun keeps its hits.
        store.claim_outbox("me", at(700), at(710), 10, &[]).await.unwrap();
        let (_, taken) = store.digest_now("desk", "me@example.org", at(0), at(701)).await.unwrap().unwrap();
        assert_eq!(taken, 0);
    })
    .await;
}

#[tokio::test]
async fn stories_told_before_are_known_by_route_and_recipient() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1")], at(1)).await;
        score_all(&store, to(600), at(2)).await;
        let first = waiting(&store).await.remove(0).id;
        let story = Id::of(&["story", "1"]);
        let row = store.outbox_row(first).await.unwrap().unwrap();
        let later = OutboxRow { id: Id(1), created_at: at(700), ..row.clone() };
        let told = async |row: &OutboxRow| {
            store.told_before(row, &[story, Id(9)]).await.unwrap().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(told(&later).await, [story]);
        assert_eq!(told(&row).await, [], "not by the message itself");
        assert_eq!(told(&OutboxRow { recipient: "you@example.org".into(), ..later.clone() }).await, []);
        assert_eq!(told(&OutboxRow { route: "other".into(), ..later.clone() }).await, []);
        assert_eq!(told(&OutboxRow { created_at: at(1), ..later }).await, []);
        assert_eq!(store.told_before(&row, &[]).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn figures_of_a_window_end_with_it() {
    on_each_engine(async |store| {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        visit(&store, "wire", vec![new_item("wire", "1"), new_item("wire", "2")], at(1)).await;
        assert_eq!(store.item_count_between(at(1), at(2)).await.unwrap(), 2);
        assert_eq!(store.item_count_between(at(0), at(1)).await.unwrap(), 0);
        let languages = store.languages_between(at(0), at(2)).await.unwrap();
        assert_eq!((languages.len(), languages[0].language.as_str()), (2, "en"));
        score_all(&store, |_| vec![], at(20)).await;
        // 1 800 000 000 is a whole quarter of an hour: the steps begin at minutes 0, 15, 30.
        let steps = store.hit_steps(at(0), at(60)).await.unwrap();
        assert_eq!(steps, [("apg".to_string(), at(15), 2)]);
        assert_eq!(store.hit_steps(at(0), at(20)).await.unwrap(), []);
        let item = |key: &str| Id::of(&["wire", key]);
        let score = |key: &str, profile: &str, score: f64, minutes: i64| StoredScore {
            item: item(key),
            story: Id::of(&["story", key]),
            profile: profile.into(),
            profile_hash: 1,
            score,
            threshold: 0.25,
            scored_at: at(minutes),
            backlog: false,
            barred: false,
        };
        let below = vec![
            score("1", "apg", 0.2, 21),
            score("1", "other", 0.2, 21),
            score("2", "other", 0.15, 21),
            // Scored anew: the last counts.
            score("2", "other", 0.24, 22),
            StoredScore { backlog: true, ..score("1", "third", 0.2, 21) },
        ];
        // The queue is empty: scores are stored for items that leave it.
        visit(&store, "wire", vec![], at(100)).await;
        let mut tx = store.begin().await.unwrap();
        crate::store::scores::add(&mut tx, &below).await.unwrap();
        tx.commit().await.unwrap();
        let near = async |profile: &str, limit| {
            let (scored, all) = store.below_line(profile, at(0), at(60), limit).await.unwrap();
            (scored.into_iter().map(|scored| (scored.score.item, scored.score.score)).collect::<Vec<_>>(), all)
        };
        assert_eq!(near("other", 10).await, (vec![(item("2"), 0.24), (item("1"), 0.2)], 2));
        assert_eq!(near("other", 1).await, (vec![(item("2"), 0.24)], 2));
        assert_eq!(near("apg", 10).await, (vec![], 0), "it is a hit");
        assert_eq!(near("third", 10).await, (vec![], 0), "nobody would have been told");
        assert_eq!(store.over_budget("desk", "", at(0), at(60)).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_answer_counts_once() {
    on_each_engine(async |store| {
        let judgement = |verdict, minutes| Judgement {
            item: Id(1),
            profile: "apg".into(),
            author: "anna@example.org".into(),
            at: at(minutes),
            verdict,
            note: String::new(),
        };
        let judge = async |verdict, minutes, answer| {
            store.judge_by_answer(&judgement(verdict, minutes), Id(answer)).await.unwrap()
        };
        assert!(judge(Verdict::Relevant, 1, 1).await);
        assert!(!judge(Verdict::Relevant, 2, 1).await, "the same answer again");
        assert!(!judge(Verdict::Relevant, 3, 2).await, "another that says the same");
        assert!(judge(Verdict::Not, 4, 3).await);
        assert!(!judge(Verdict::Relevant, 5, 1).await, "an old answer that comes again changes nothing");
        assert!(judge(Verdict::Relevant, 6, 4).await);
        let all: Vec<_> =
            store.verdicts_of(&[Id(1)]).await.unwrap().into_iter().map(|judgement| judgement.verdict).collect();
        assert_eq!(all, [Verdict::Relevant, Verdict::Not, Verdict::Relevant]);
        // A fact that is kept from the first time on.
        assert_eq!(store.noted_or("key", "a").await.unwrap(), "a");
        assert_eq!(store.noted_or("key", "b").await.unwrap(), "a");
    })
    .await;
}
