//! Stories: where items were put and why, the marks by which later ones find them, and what analysts decided.
//!
//! A story has no row of its own: it is what its items say. Items that no profile cares for carry the story of their link and
//! have no place here; the others have a row that says how they came to their story.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::items::{self, COLUMN_COUNT, COLUMNS_BRIEF};
use super::{Result, Store, StoreError, Transaction, millis, placeholders, read_by_keys, some_time, write_rows};
use crate::model::{Id, Placement, Relation, Story, StoryDecision, StoryFacts, StoryItem};

/// Marks that are forgotten in one commit at most: after a long time off they go bit by bit.
const FORGET_MAX: i64 = 2_000;
/// Members of a story that one decision moves at most.
const MOVED_MAX: usize = 10_000;

/// A placement to be stored.
#[derive(Clone, Debug)]
pub struct NewPlacement {
    /// Where the item belongs.
    pub placement: Placement,
    /// Its story as it was stored.
    pub before: Id,
    /// What later items find it by; none for a copy, which the item it copies is found for.
    pub marks: Vec<i64>,
    /// When it was first seen.
    pub seen_at: Timestamp,
}

/// A story in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct StoryLine {
    /// Its identity.
    pub id: Id,
    /// When its last hit was found.
    pub found_at: Timestamp,
    /// Its hits in the period.
    pub hits: i64,
    /// Its items of all times.
    pub items: i64,
}

const COLUMNS: &str = "item_id, story_id, relation, reason, joined_with, by_hand";

fn placement(row: &AnyRow) -> Placement {
    Placement {
        item: Id(row.get(0)),
        story: Id(row.get(1)),
        relation: Relation::from_stored(&row.get::<String, _>(2)),
        reason: row.get(3),
        with: Id(row.get(4)),
        by_hand: row.get::<i64, _>(5) != 0,
    }
}

fn keys(ids: impl IntoIterator<Item = Id>) -> Vec<i64> {
    ids.into_iter().map(|id| id.0).collect::<BTreeSet<i64>>().into_iter().collect()
}

/// Stores where items belong, and forgets marks from before `since`. Answers the items that an analyst has put elsewhere while the
/// matcher thought, with their story: nothing is stored for them.
pub(super) async fn add(
    tx: &mut Transaction<'static, Any>,
    new: &[&NewPlacement],
    since: Option<Timestamp>,
) -> Result<BTreeMap<Id, Id>> {
    let mut elsewhere = BTreeMap::new();
    if new.is_empty() {
        return Ok(elsewhere);
    }
    for group in new.chunks(64) {
        let sql = format!(
            "SELECT item_id, story_id FROM story_items WHERE by_hand = 1 AND item_id IN {}",
            placeholders(super::engine_of(tx), 1, 1, 64)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for index in 0..64 {
            query = query.bind(group[index.min(group.len() - 1)].placement.item.0);
        }
        for row in query.fetch_all(&mut **tx).await? {
            elsewhere.insert(Id(row.get(0)), Id(row.get(1)));
        }
    }
    let new: Vec<&NewPlacement> =
        new.iter().copied().filter(|new| !elsewhere.contains_key(&new.placement.item)).collect();
    let rows: Vec<&Placement> = new.iter().map(|new| &new.placement).collect();
    write_placements(tx, &rows).await?;
    for new in &new {
        let (item, story) = (new.placement.item, new.placement.story);
        if story == new.before {
            continue;
        }
        // What comes later with the same link goes to the same story, and so does what came before and mattered to nobody.
        sqlx::query("INSERT INTO story_links (story_id, told_as) VALUES ($1, $2) ON CONFLICT (story_id) DO NOTHING")
            .bind(new.before.0)
            .bind(story.0)
            .execute(&mut **tx)
            .await?;
        let items = sqlx::query("UPDATE items SET story_id = $1 WHERE story_id = $2");
        items.bind(story.0).bind(new.before.0).execute(&mut **tx).await?;
        // An item that was below the line until now.
        let scores = sqlx::query("UPDATE scores SET story_id = $1 WHERE story_id = $2 AND item_id = $3");
        scores.bind(story.0).bind(new.before.0).bind(item.0).execute(&mut **tx).await?;
    }
    write_marks(tx, &new).await?;
    if let Some(since) = since {
        forget_marks(tx, since).await?;
    }
    Ok(elsewhere)
}

async fn write_placements(tx: &mut Transaction<'static, Any>, placements: &[&Placement]) -> Result<()> {
    let head = format!("INSERT INTO story_items ({COLUMNS})");
    let tail = "ON CONFLICT (item_id) DO UPDATE SET story_id = excluded.story_id, relation = excluded.relation, \
                reason = excluded.reason, joined_with = excluded.joined_with, by_hand = excluded.by_hand";
    write_rows(tx, &head, tail, 6, placements, |query, placement| {
        query
            .bind(placement.item.0)
            .bind(placement.story.0)
            .bind(placement.relation.as_str())
            .bind(placement.reason.clone())
            .bind(placement.with.0)
            .bind(i64::from(placement.by_hand))
    })
    .await?;
    Ok(())
}

async fn write_marks(tx: &mut Transaction<'static, Any>, new: &[&NewPlacement]) -> Result<()> {
    let mut marks: Vec<(i64, i64, i64)> = new
        .iter()
        .flat_map(|new| new.marks.iter().map(|mark| (*mark, new.placement.item.0, millis(new.seen_at))))
        .collect();
    // In the order of the index neighbours are written together.
    marks.sort_unstable();
    let (head, tail) = ("INSERT INTO story_marks (mark, item_id, seen_at)", "ON CONFLICT (mark, item_id) DO NOTHING");
    write_rows(tx, head, tail, 3, &marks, |query, (mark, item, seen)| query.bind(*mark).bind(*item).bind(*seen))
        .await?;
    Ok(())
}

async fn forget_marks(tx: &mut Transaction<'static, Any>, since: Timestamp) -> Result<()> {
    // The marks of one moment go together.
    let last = sqlx::query(
        "SELECT max(seen_at) FROM (SELECT seen_at FROM story_marks WHERE seen_at < $1 ORDER BY seen_at LIMIT $2) o",
    );
    let last = last.bind(millis(since)).bind(FORGET_MAX).fetch_one(&mut **tx).await?;
    if let Some(last) = last.get::<Option<i64>, _>(0) {
        sqlx::query("DELETE FROM story_marks WHERE seen_at <= $1").bind(last).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Moves items to a story, with everything that names their story. `relation` is what their hits say from now on.
async fn relocate(tx: &mut Transaction<'static, Any>, placement: &Placement) -> Result<()> {
    for statement in
        ["UPDATE items SET story_id = $1 WHERE id = $2", "UPDATE scores SET story_id = $1 WHERE item_id = $2"]
    {
        sqlx::query(statement).bind(placement.story.0).bind(placement.item.0).execute(&mut **tx).await?;
    }
    sqlx::query("UPDATE hits SET story_id = $1, relation = $2 WHERE item_id = $3")
        .bind(placement.story.0)
        .bind(placement.relation.as_str())
        .bind(placement.item.0)
        .execute(&mut **tx)
        .await?;
    write_placements(tx, &[placement]).await
}

/// What comes later with the item's link goes with it, unless others of that link stayed where they were.
async fn follow_link(tx: &mut Transaction<'static, Any>, item: Id, before: Id, story: Id) -> Result<()> {
    let row = sqlx::query("SELECT link_hash FROM items WHERE id = $1").bind(item.0).fetch_one(&mut **tx).await?;
    let link: i64 = row.get(0);
    let others = sqlx::query("SELECT 1 FROM items WHERE link_hash = $1 AND story_id = $2 LIMIT 1");
    if others.bind(link).bind(before.0).fetch_optional(&mut **tx).await?.is_none() {
        sqlx::query(
            "INSERT INTO story_links (story_id, told_as) VALUES ($1, $2) \
             ON CONFLICT (story_id) DO UPDATE SET told_as = excluded.told_as",
        )
        .bind(Id::of(&["story by link", &Id(link).to_string()]).0)
        .bind(story.0)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn remember(tx: &mut Transaction<'static, Any>, decision: &StoryDecision) -> Result<()> {
    sqlx::query(
        "INSERT INTO story_decisions (item_id, joined_with, author, decided_at, note) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (item_id, decided_at) DO NOTHING",
    )
    .bind(decision.item.0)
    // Identities are hashes: 0 is none.
    .bind(decision.joined_with.map_or(0, |item| item.0))
    .bind(&decision.author)
    .bind(millis(decision.at))
    .bind(&decision.note)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn members(tx: &mut Transaction<'static, Any>, story: Id) -> Result<Vec<Placement>> {
    let sql = format!("SELECT {COLUMNS} FROM story_items WHERE story_id = $1 ORDER BY item_id LIMIT $2");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(story.0).bind(MOVED_MAX as i64);
    Ok(query.fetch_all(&mut **tx).await?.iter().map(placement).collect())
}

async fn story_in(tx: &mut Transaction<'static, Any>, item: Id) -> Result<Id> {
    let row = sqlx::query("SELECT story_id FROM items WHERE id = $1").bind(item.0).fetch_optional(&mut **tx).await?;
    let row = row.ok_or_else(|| StoreError::Database(format!("there is no item {item} any more")))?;
    Ok(Id(row.get(0)))
}

impl Store {
    /// What is known for placing these items, each with its story and its marks.
    pub async fn story_facts(&self, incoming: &[(Id, Id, &[i64])]) -> Result<StoryFacts> {
        let own = keys(incoming.iter().map(|(item, _, _)| *item));
        let mut marks: Vec<i64> = incoming.iter().flat_map(|(_, _, marks)| marks.iter().copied()).collect();
        marks.sort_unstable();
        marks.dedup();
        let mut facts = StoryFacts::default();
        for row in read_by_keys(self, "SELECT mark, item_id FROM story_marks WHERE mark", "", &marks).await? {
            facts.marks.push((row.get(0), Id(row.get(1))));
        }
        for row in read_by_keys(self, "SELECT item_id FROM hits WHERE item_id", "", &own).await? {
            facts.hits.insert(Id(row.get(0)));
        }
        let before = keys(incoming.iter().map(|(_, story, _)| *story));
        for row in read_by_keys(self, "SELECT story_id, told_as FROM story_links WHERE story_id", "", &before).await? {
            facts.links.insert(Id(row.get(0)), Id(row.get(1)));
        }
        let placed = keys(own.iter().map(|id| Id(*id)).chain(facts.marks.iter().map(|(_, item)| *item)));
        let head = format!("SELECT {COLUMNS} FROM story_items WHERE item_id");
        for row in read_by_keys(self, &head, "", &placed).await? {
            let placement = placement(&row);
            facts.placements.insert(placement.item, placement);
        }
        let own_stories = own.iter().filter_map(|id| facts.placements.get(&Id(*id))).map(|placement| placement.story);
        let stories = keys(own_stories.chain(before.iter().map(|id| Id(*id))).chain(facts.links.values().copied()));
        // Hits of an older program have a story and no place here.
        let of_hits = "SELECT story_id, count(DISTINCT item_id), min(item_id) FROM hits WHERE story_id";
        let placed = "SELECT story_id, count(*), min(CASE WHEN relation = 'first' THEN item_id END) FROM story_items \
                      WHERE story_id";
        for head in [of_hits, placed] {
            for row in read_by_keys(self, head, "GROUP BY story_id", &stories).await? {
                let first = row.get::<Option<i64>, _>(2).map(Id);
                facts.stories.insert(Id(row.get(0)), (row.get(1), first));
            }
        }
        Ok(facts)
    }

    /// A story with its items, the first seen first, at most `limit` of them; `None` when no item tells it.
    pub async fn story(&self, id: Id, limit: usize) -> Result<Option<Story>> {
        let count: i64 = sqlx::query("SELECT count(*) FROM items WHERE story_id = $1")
            .bind(id.0)
            .fetch_one(&self.reader)
            .await?
            .get(0);
        if count == 0 {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {COLUMNS_BRIEF}, coalesce(p.relation, ''), coalesce(p.reason, '') FROM items i \
             LEFT JOIN story_items p ON p.item_id = i.id WHERE i.story_id = $1 ORDER BY i.first_seen_at, i.id LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(id.0).bind(limit as i64).fetch_all(&self.reader).await?;
        let items = rows.iter().enumerate().map(|(index, row)| {
            let stored: String = row.get(COLUMN_COUNT);
            // What no profile cares for was not compared: only its link can have brought it here.
            let (relation, reason) = match (stored.as_str(), index) {
                ("", 0) => (Relation::First, String::new()),
                ("", _) => (Relation::Copy, "the same link".to_string()),
                (stored, _) => (Relation::from_stored(stored), row.get(COLUMN_COUNT + 1)),
            };
            StoryItem { item: items::item(row), relation, reason }
        });
        Ok(Some(Story { id, items: items.collect(), count }))
    }

    /// The story that an item belongs to.
    pub async fn story_of(&self, item: Id) -> Result<Option<Id>> {
        let row = sqlx::query("SELECT story_id FROM items WHERE id = $1").bind(item.0).fetch_optional(&self.reader);
        Ok(row.await?.map(|row| Id(row.get(0))))
    }

    /// Stories with hits that were found since then, the latest last; without those of profiles on trial.
    pub async fn story_lines(&self, since: Timestamp, limit: usize) -> Result<Vec<StoryLine>> {
        let rows = sqlx::query(
            "SELECT story_id, max(found_at) AS last_at, count(*), \
             (SELECT count(*) FROM items i WHERE i.story_id = h.story_id) FROM hits h WHERE found_at >= $1 AND shadow = 0 \
             GROUP BY story_id ORDER BY last_at DESC, story_id DESC LIMIT $2",
        );
        let rows = rows.bind(millis(since)).bind(limit as i64).fetch_all(&self.reader).await?;
        let line = |row: &AnyRow| StoryLine {
            id: Id(row.get(0)),
            found_at: some_time(row.get(1)),
            hits: row.get(2),
            items: row.get(3),
        };
        Ok(rows.iter().rev().map(line).collect())
    }

    /// What analysts said of these items' stories, the oldest first.
    pub async fn story_decisions(&self, items: &[Id]) -> Result<Vec<StoryDecision>> {
        let keys = keys(items.iter().copied());
        let head = "SELECT item_id, joined_with, author, decided_at, note FROM story_decisions WHERE item_id";
        let mut all: Vec<StoryDecision> = read_by_keys(self, head, "", &keys)
            .await?
            .iter()
            .map(|row| StoryDecision {
                item: Id(row.get(0)),
                joined_with: Some(Id(row.get(1))).filter(|id| id.0 != 0),
                author: row.get(2),
                at: some_time(row.get(3)),
                note: row.get(4),
            })
            .collect();
        all.sort_by_key(|decision| (decision.at, decision.item));
        Ok(all)
    }

    /// Takes an item out of its story, with those that were found by it, into one of its own. Its marks are stored: later copies
    /// of it go with it. Answers the new story and how many items moved, or `None` when it is alone in its story.
    pub async fn split_story(&self, new: &NewPlacement, decision: &StoryDecision) -> Result<Option<(Id, usize)>> {
        let mut tx = self.begin().await?;
        let item = decision.item;
        let before = story_in(&mut tx, item).await?;
        let others = sqlx::query("SELECT 1 FROM items WHERE story_id = $1 AND id <> $2 LIMIT 1");
        if others.bind(before.0).bind(item.0).fetch_optional(&mut *tx).await?.is_none() {
            return Ok(None);
        }
        let members = members(&mut tx, before).await?;
        // All others were found by the first, directly or not: it leaves alone.
        let is_first = members.iter().any(|member| member.item == item && member.relation == Relation::First);
        let mut moved = BTreeSet::from([item]);
        let mut more = if is_first { Vec::new() } else { vec![item] };
        while let Some(leader) = more.pop() {
            let followers = members.iter().filter(|member| member.with == leader).map(|member| member.item);
            more.extend(followers.filter(|follower| moved.insert(*follower)));
        }
        let story = Id::of(&["story by hand", &item.to_string(), &millis(decision.at).to_string()]);
        relocate(&mut tx, &Placement { story, ..new.placement.clone() }).await?;
        for member in members.iter().filter(|member| member.item != item && moved.contains(&member.item)) {
            relocate(&mut tx, &Placement { story, by_hand: true, ..member.clone() }).await?;
        }
        write_marks(&mut tx, &[new]).await?;
        follow_link(&mut tx, item, before, story).await?;
        remember(&mut tx, decision).await?;
        tx.commit().await?;
        Ok(Some((story, moved.len())))
    }

    /// Makes the stories of two items one. The story that somebody was told of goes on, else the one that was seen first; the first
    /// item of the other becomes what `relation` and `reason` say. Answers the story, or `None` when they are one already.
    pub async fn join_stories(
        &self,
        one: Id,
        two: Id,
        relation: Relation,
        decision: &StoryDecision,
    ) -> Result<Option<Id>> {
        let mut tx = self.begin().await?;
        let stories = [story_in(&mut tx, one).await?, story_in(&mut tx, two).await?];
        if stories[0] == stories[1] {
            return Ok(None);
        }
        let mut ranks = Vec::new();
        for story in stories {
            let told = sqlx::query(
                "SELECT 1 FROM hits h JOIN outbox_hits o ON o.item_id = h.item_id AND o.profile = h.profile \
                 WHERE h.story_id = $1 LIMIT 1",
            );
            let told = told.bind(story.0).fetch_optional(&mut *tx).await?.is_some();
            let seen = sqlx::query("SELECT min(first_seen_at) FROM items WHERE story_id = $1");
            let seen: i64 = seen.bind(story.0).fetch_one(&mut *tx).await?.get(0);
            ranks.push((!told, seen));
        }
        let (kept, gone, with) =
            if ranks[0] <= ranks[1] { (stories[0], stories[1], one) } else { (stories[1], stories[0], two) };
        let moving = if with == one { two } else { one };
        for member in members(&mut tx, gone).await? {
            let is_first = member.relation == Relation::First || member.item == moving;
            let member = Placement { story: kept, by_hand: true, ..member };
            let member =
                if is_first { Placement { relation, reason: joined_by(decision), with, ..member } } else { member };
            relocate(&mut tx, &member).await?;
        }
        for statement in [
            "UPDATE items SET story_id = $1 WHERE story_id = $2",
            "UPDATE scores SET story_id = $1 WHERE story_id = $2",
            "UPDATE hits SET story_id = $1 WHERE story_id = $2",
            "UPDATE story_links SET told_as = $1 WHERE told_as = $2",
            "INSERT INTO story_links (told_as, story_id) VALUES ($1, $2) \
             ON CONFLICT (story_id) DO UPDATE SET told_as = excluded.told_as",
        ] {
            sqlx::query(statement).bind(kept.0).bind(gone.0).execute(&mut *tx).await?;
        }
        remember(&mut tx, decision).await?;
        tx.commit().await?;
        Ok(Some(kept))
    }
}

fn joined_by(decision: &StoryDecision) -> String {
    let note = if decision.note.is_empty() { String::new() } else { format!(": {}", decision.note) };
    format!("joined by {}{note}", decision.author)
}
