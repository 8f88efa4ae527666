//! Which message tells of what, on each engine.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Budget, DeliveryKind, EmptyDigest, Hit, Id, Mute, MuteKind, NewDelivery, OutboxRow, Outcome, Relation, Way, Window,
};
use crate::store::Store;
use crate::store::hits::{MatchResult, NewHit};
use crate::store::items::UnscoredItem;
use crate::store::sources::Claim;
use crate::store::tests::{at, claim_unscored, delivery, ended, new_item, on_each_engine, source, visit, window};

const ME: &str = "me@example.org";

/// Items that wait for the matcher, by key: "a" and "a2" are of one story.
struct Desk {
    store: Store,
    items: BTreeMap<String, (UnscoredItem, Claim)>,
}

impl Desk {
    async fn new(store: Store, keys: &[&str]) -> Desk {
        store.configure_sources(&[source("wire", "a.example")]).await.unwrap();
        let items = keys.iter().map(|key| {
            let mut new = new_item("wire", key);
            new.story = Id::of(&["story", &key[..1]]);
            new
        });
        visit(&store, "wire", items.collect(), at(0)).await;
        let claimed = claim_unscored(&store, "me", at(0), at(100_000), 100).await;
        let items = claimed.into_iter().map(|(item, claim)| (item.item.key.clone(), (item, claim))).collect();
        Desk { store, items }
    }

    fn hit(&self, key: &str, profile: &str, relation: Relation, now: Timestamp) -> Hit {
        let unscored = &self.items[key].0;
        Hit {
            item: unscored.item.clone(),
            profile: profile.into(),
            profile_version: 1,
            score: 1.0,
            threshold: 0.5,
            reasons: vec![],
            basis: crate::model::Basis::default(),
            shadow: false,
            found_at: now,
            story: unscored.story,
            relation,
        }
    }

    /// The matcher finds that the item is a hit.
    async fn find(&self, key: &str, relation: Relation, deliveries: &[NewDelivery], now: Timestamp) {
        let scored = vec![(self.items[key].0.item.id, self.items[key].1.clone())];
        let hits = vec![NewHit { hit: self.hit(key, "apg", relation, now), deliveries: deliveries.to_vec() }];
        let result = MatchResult { scored, hits, ..MatchResult::default() };
        assert_eq!(self.store.commit_matches(&result).await.unwrap(), 1);
    }

    /// All messages by when they are due: kind, minutes until then, keys of what they tell of.
    async fn messages(&self) -> Vec<(DeliveryKind, i64, String)> {
        let mut messages = Vec::new();
        for row in self.store.outbox("", 100).await.unwrap() {
            let mut keys: Vec<String> =
                self.store.hits_of_delivery(row.id, 100).await.unwrap().into_iter().map(|hit| hit.item.key).collect();
            keys.sort();
            messages.push((row.kind, row.due_at.duration_since(at(0)).as_mins(), keys.join(" ")));
        }
        messages.sort_by_key(|(_, due, _)| *due);
        messages
    }

    /// Begins attempts on all that is due; they end as `outcome` says.
    async fn attempt(&self, now: Timestamp, outcome: Outcome) -> Vec<OutboxRow> {
        let due = self.store.claim_outbox("me", now, now + SignedDuration::from_mins(5), 100, &[]).await.unwrap();
        let done: Vec<_> = due.iter().map(|(row, claim)| (row.id, claim.clone(), outcome.clone())).collect();
        self.store.finish_deliveries(&done, now).await.unwrap();
        due.into_iter().map(|(row, _)| row).collect()
    }
}

fn together(minutes: i64) -> NewDelivery {
    delivery("desk", Way::Together { due_at: at(minutes) })
}

fn in_digest(ends: &[i64]) -> NewDelivery {
    delivery("desk", Way::InDigest { windows: ends.iter().map(|end| window(*end)).collect() })
}

fn message(kind: DeliveryKind, due: i64, keys: &str) -> (DeliveryKind, i64, String) {
    (kind, due, keys.to_string())
}

#[tokio::test]
async fn the_first_hit_opens_a_group_and_the_rest_of_its_time_joins() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "a2", "b", "c", "d"]).await;
        desk.find("a", Relation::First, &[together(10)], at(0)).await;
        desk.find("b", Relation::First, &[together(14)], at(4)).await;
        // A copy, and an update too: the story is told.
        desk.find("a2", Relation::Update, &[together(15)], at(5)).await;
        // Its time is over, although nobody sent it yet.
        desk.find("c", Relation::First, &[together(20)], at(10)).await;
        // Held until quiet hours end, and what is found after goes out no later than it promises.
        desk.find("d", Relation::First, &[together(12)], at(11)).await;
        let group = |due, keys| message(DeliveryKind::Group, due, keys);
        assert_eq!(desk.messages().await, [group(10, "a b"), group(12, "d"), group(20, "c")]);
    })
    .await;
}

#[tokio::test]
async fn a_group_takes_nothing_once_its_attempt_began() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "b"]).await;
        desk.find("a", Relation::First, &[together(10)], at(0)).await;
        let row = desk.store.outbox("", 1).await.unwrap().remove(0);
        assert!(desk.store.decide_outbox(row.id, true, at(1)).await.unwrap());
        desk.attempt(at(1), Outcome::Again { at: at(10), error: "451".into() }).await;
        desk.find("b", Relation::First, &[together(12)], at(2)).await;
        let group = |due, keys| message(DeliveryKind::Group, due, keys);
        assert_eq!(desk.messages().await, [group(10, "a"), group(12, "b")]);
    })
    .await;
}

#[tokio::test]
async fn what_is_over_the_budget_is_listed_when_the_day_ends() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "a2", "b", "c", "d", "e", "f"]).await;
        let of_day = |day: i64, way: Way| {
            let (from, until) = (at(day * 1_440), at((day + 1) * 1_440));
            let budget = Budget { stories: 2, day_from: from, day_until: until, due_at: until };
            vec![NewDelivery { budget: Some(budget), ..delivery("desk", way) }]
        };
        let alone = |day| of_day(day, Way::Alone);
        desk.find("a", Relation::First, &alone(0), at(1)).await;
        // A copy tells nothing and costs nothing.
        desk.find("a2", Relation::Copy, &alone(0), at(2)).await;
        desk.find("b", Relation::First, &of_day(0, Way::Together { due_at: at(20) }), at(3)).await;
        desk.find("c", Relation::First, &alone(0), at(4)).await;
        desk.find("d", Relation::First, &of_day(0, Way::Together { due_at: at(30) }), at(5)).await;
        // On the next day there is room again; a story that was only listed is told all the same.
        desk.find("e", Relation::First, &alone(1), at(1_441)).await;
        let (alert, group) = (DeliveryKind::Alert, DeliveryKind::Group);
        let list = message(DeliveryKind::Overflow, 1_440, "c d");
        let expected = [message(alert, 1, "a"), message(group, 20, "b"), list.clone(), message(alert, 1_441, "e")];
        assert_eq!(desk.messages().await, expected);
        // The clock was set back to the day whose list was sent: the next one takes what comes.
        desk.attempt(at(1_500), Outcome::Sent).await;
        desk.find("f", Relation::First, &alone(0), at(6)).await;
        let messages = desk.messages().await;
        assert!(
            messages.contains(&list) && messages.contains(&message(DeliveryKind::Overflow, 1_440, "f")),
            "{messages:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_update_of_a_told_story_is_listed_by_digests_alone() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "a2", "a3", "a4", "b2"]).await;
        let both =
            |ends: &[i64]| vec![in_digest(ends), NewDelivery { route: "alerts".into(), ..delivery("", Way::Alone) }];
        desk.find("a", Relation::First, &both(&[60, 120]), at(1)).await;
        desk.find("a2", Relation::Copy, &both(&[60, 120]), at(2)).await;
        desk.attempt(at(60), Outcome::Sent).await;
        desk.find("a3", Relation::Update, &both(&[120, 180]), at(61)).await;
        desk.find("a4", Relation::Independent, &both(&[120, 180]), at(62)).await;
        // Nobody was told of the story that this one copies: it was too weak.
        desk.find("b2", Relation::Copy, &both(&[120, 180]), at(63)).await;
        let (alert, digest) = (DeliveryKind::Alert, DeliveryKind::Digest);
        let expected =
            [message(alert, 1, "a"), message(digest, 60, "a"), message(alert, 63, "b2"), message(digest, 120, "a3 b2")];
        assert_eq!(desk.messages().await, expected);
    })
    .await;
}

#[tokio::test]
async fn missed_windows_are_one_digest_and_say_what_time_they_are_of() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "b", "c"]).await;
        let store = &desk.store;
        let settle = async |end: i64, empty: EmptyDigest, now: i64| {
            let settled = store.settle_digests(&[ended("desk", end, empty)], at(now)).await.unwrap();
            assert_eq!(settled.len(), 1);
            settled[0]
        };
        // The first contact with the route: what ended before is nobody's duty.
        assert_eq!(settle(0, EmptyDigest::Always, 30).await, at(30));
        desk.find("a", Relation::First, &[in_digest(&[60, 120, 180])], at(40)).await;
        // Nobody is there at 60, 120 and 180. A program that ends in the middle of it begins anew.
        for _ in 0..2 {
            assert_eq!(settle(180, EmptyDigest::Never, 200).await, at(180));
        }
        let rows = store.outbox("", 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].window_from, rows[0].window_to), (Some(at(0)), Some(at(180))));
        assert_eq!(store.hits_of_delivery(rows[0].id, 10).await.unwrap().len(), 1);
        assert_eq!(desk.attempt(at(200), Outcome::Sent).await.len(), 1);
        // Windows with nothing to tell, and never an empty digest: the next one is of all the time since.
        assert_eq!(settle(240, EmptyDigest::Never, 241).await, at(240));
        desk.find("b", Relation::First, &[in_digest(&[300])], at(250)).await;
        assert_eq!(settle(300, EmptyDigest::Never, 300).await, at(300));
        let row = store.outbox("waiting", 10).await.unwrap().remove(0);
        assert_eq!((row.window_from, row.window_to), (Some(at(180)), Some(at(300))));
        // One that is being sent again and again stays as it is.
        desk.attempt(at(300), Outcome::Again { at: at(302), error: "451".into() }).await;
        desk.find("c", Relation::First, &[in_digest(&[360])], at(310)).await;
        settle(420, EmptyDigest::Never, 421).await;
        let digest = |due, keys| message(DeliveryKind::Digest, due, keys);
        assert_eq!(desk.messages().await, [digest(180, "a"), digest(302, "b"), digest(420, "c")]);
    })
    .await;
}

#[tokio::test]
async fn an_empty_digest_comes_always_weekly_or_never() {
    const DAY: i64 = 1_440;
    for (empty, expected) in [(EmptyDigest::Always, 20), (EmptyDigest::Weekly, 2), (EmptyDigest::Never, 0)] {
        on_each_engine(async |store| {
            let desk = Desk::new(store, &[]).await;
            for day in 0..=20 {
                desk.store.settle_digests(&[ended("desk", day * DAY, empty)], at(day * DAY)).await.unwrap();
                desk.attempt(at(day * DAY), Outcome::Sent).await;
            }
            let rows = desk.store.outbox("", 100).await.unwrap();
            assert_eq!(rows.len(), expected, "{empty:?}");
            // Each is of all the time since the one before.
            let mut from = at(0);
            for row in rows {
                assert_eq!(row.window_from, Some(from));
                from = row.window_to.unwrap();
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_digest_twice_and_keeps_no_hit() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "b"]).await;
        let windows = [60, 120, 180];
        desk.store.settle_digests(&[ended("desk", 0, EmptyDigest::Always)], at(0)).await.unwrap();
        for end in windows {
            desk.store.settle_digests(&[ended("desk", end, EmptyDigest::Always)], at(end)).await.unwrap();
            assert_eq!(desk.attempt(at(end), Outcome::Sent).await.len(), 1);
        }
        // It is 30 again: the three hours that follow have had their digests.
        let settled = desk.store.settle_digests(&[ended("desk", 0, EmptyDigest::Always)], at(30)).await.unwrap();
        assert_eq!(settled, [at(30)]);
        desk.find("a", Relation::First, &[in_digest(&windows)], at(31)).await;
        desk.find("b", Relation::First, &[in_digest(&windows)], at(32)).await;
        desk.store.settle_digests(&[ended("desk", 60, EmptyDigest::Always)], at(60)).await.unwrap();
        let digest = |due, keys| message(DeliveryKind::Digest, due, keys);
        let messages = desk.messages().await;
        assert_eq!(messages.len(), 4);
        assert!(messages.contains(&digest(60, "a b")), "{messages:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_muted_is_kept_and_counted_and_ends_by_itself() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "a2", "b", "c", "d"]).await;
        let mute = |kind: MuteKind, name: &str, from: i64, until: i64| Mute {
            id: Id::of(&[name]),
            kind,
            name: name.into(),
            from: at(from),
            until: at(until),
            reason: "the summit is over".into(),
            author: "anna".into(),
        };
        let story = mute(MuteKind::Story, &Id::of(&["story", "a"]).to_string(), 0, 100);
        let profile = mute(MuteKind::Profile, "apg", 10, 20);
        for mute in
            [&story, &profile, &mute(MuteKind::Source, "paper", 0, 9_000), &mute(MuteKind::Source, "wire", 500, 900)]
        {
            desk.store.add_mute(mute).await.unwrap();
        }
        let alert = [delivery("desk", Way::Alone)];
        desk.find("a", Relation::First, &alert, at(15)).await;
        desk.find("b", Relation::First, &alert, at(16)).await;
        desk.find("c", Relation::First, &alert, at(20)).await;
        // No route wants it: nothing was kept from anybody.
        desk.find("d", Relation::First, &[], at(17)).await;
        assert_eq!(desk.messages().await, [message(DeliveryKind::Alert, 20, "c")]);
        assert_eq!(desk.store.muted_hits(at(0), at(16)).await.unwrap(), [(story.clone(), 1)]);
        let counts = desk.store.muted_hits(at(0), at(100)).await.unwrap();
        assert_eq!(counts.len(), 2);
        assert!(counts.contains(&(profile.clone(), 1)), "the nearer one counts: {counts:?}");
        let b = desk.items["b"].0.item.id;
        assert_eq!(desk.store.mutes_of_item(b).await.unwrap(), [("apg".to_string(), profile)]);
        // Taken back: the copy is told, because nobody was told of its story.
        assert_eq!(desk.store.mutes(at(21)).await.unwrap().len(), 2);
        assert_eq!(desk.store.end_mute(story.id, at(21)).await.unwrap(), Some(story.clone()));
        assert_eq!(desk.store.end_mute(story.id, at(22)).await.unwrap(), None);
        desk.find("a2", Relation::Copy, &alert, at(23)).await;
        assert_eq!(desk.messages().await.len(), 2);
        let history = desk.store.mute_history(10).await.unwrap();
        assert_eq!(history.len(), 4);
        assert!(history.contains(&(Mute { until: at(21), ..story }, 1)), "{history:?}");
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_somebody_who_is_gone_is_handed_on_or_said() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "b", "c"]).await;
        let to = |recipient: &str| NewDelivery { recipient: recipient.into(), ..in_digest(&[60]) };
        for (key, now) in [("a", 1), ("b", 2)] {
            desk.find(key, Relation::First, &[to("old"), to("other")], at(now)).await;
        }
        desk.store.settle_digests(&[ended("desk", 0, EmptyDigest::Always)], at(0)).await.unwrap();
        let known = [("desk".to_string(), "other".to_string()), ("desk".to_string(), "new".to_string())];
        let revise = async || desk.store.rows_to_revise(&known, Id(-1), at(10), 10).await.unwrap();
        let row = revise().await.into_iter().find(|row| row.recipient == "old").unwrap();
        let hits: Vec<(Hit, Vec<NewDelivery>)> =
            ["a", "b"].map(|key| (desk.hit(key, "apg", Relation::First, at(1)), vec![to("other"), to("new")])).to_vec();
        let handed = desk.store.hand_over(&row, &hits, true, "old is gone", at(10)).await.unwrap().unwrap();
        assert_eq!((handed.hits, handed.taken, handed.is_lossless), (2, 2, true));
        let rows = desk.store.outbox("", 10).await.unwrap();
        let state = |recipient: &str| rows.iter().find(|row| row.recipient == recipient).unwrap();
        assert_eq!(
            (state("old").state.as_str(), state("old").error.as_str()),
            ("discarded", "old is gone; handed on: 2 of 2 hits")
        );
        for recipient in ["other", "new"] {
            assert_eq!(desk.store.hits_of_delivery(state(recipient).id, 10).await.unwrap().len(), 2, "{recipient}");
        }
        // A route that is gone, and nobody else wants it: people are told, and can take it back.
        let lost = NewDelivery { route: "gone".into(), recipient: ME.into(), ..in_digest(&[60]) };
        desk.find("c", Relation::First, &[lost], at(11)).await;
        let row = revise().await.into_iter().find(|row| row.route == "gone").unwrap();
        // Not while an attempt is under way.
        let claimed = desk.store.claim_outbox("me", at(60), at(65), 10, &[]).await.unwrap();
        assert!(claimed.iter().any(|(claimed, _)| claimed.id == row.id));
        let hits = [(desk.hit("c", "apg", Relation::First, at(11)), vec![])];
        assert_eq!(desk.store.hand_over(&row, &hits, false, "no such route", at(61)).await.unwrap(), None);
        assert!(revise().await.iter().all(|row| row.route != "gone"));
        let handed = desk.store.hand_over(&row, &hits, false, "no such route", at(70)).await.unwrap().unwrap();
        assert!(!handed.is_lossless);
        let dead = desk.store.outbox("dead", 10).await.unwrap();
        assert_eq!((dead.len(), dead[0].error.as_str()), (1, "no such route"));
        assert!(desk.store.decide_outbox(row.id, true, at(71)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_new_schedule_takes_over_what_waits_for_the_old_one() {
    on_each_engine(async |store| {
        let desk = Desk::new(store, &["a", "b"]).await;
        desk.find("a", Relation::First, &[in_digest(&[600])], at(1)).await;
        desk.find("b", Relation::First, &[in_digest(&[90])], at(2)).await;
        let row = desk.store.outbox("", 10).await.unwrap().into_iter().find(|row| row.due_at == at(600)).unwrap();
        let window = Window { from: at(-30), until: at(90) };
        // Twice, as after a crash.
        for _ in 0..2 {
            desk.store.move_digest(&row, window, at(3)).await.unwrap();
        }
        assert_eq!(desk.messages().await, [message(DeliveryKind::Digest, 90, "a b")]);
        let row = desk.store.outbox("", 10).await.unwrap().remove(0);
        desk.store.move_delivery(row.id, at(5)).await.unwrap();
        assert_eq!(desk.store.next_delivery_due(&[]).await.unwrap(), Some(at(5)));
    })
    .await;
}
