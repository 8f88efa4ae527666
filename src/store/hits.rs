//! Hits, and the commit that makes a hit and its outbox rows one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::health::{self, CanaryHit};
use super::items::{self, COLUMN_COUNT};
use super::sources::Claim;
use super::stories::{self, NewPlacement};
use super::{Result, Store, StoreError, Transaction, engine_of, frequencies, millis, placeholders, scores, some_time};
use super::{evidence, mutes, outbox, turns};
use crate::evidence::{HitFact, reasons_text, sha256};
use crate::model::{Hit, Id, NewDelivery, ProfileVersion, Relation, StoredScore};

/// A hit to be stored.
#[derive(Clone, Debug)]
pub struct NewHit {
    /// The hit.
    pub hit: Hit,
    /// Who is to be told, unless it is muted.
    pub deliveries: Vec<NewDelivery>,
}

impl NewHit {
    /// What is kept of it when the item was a hit already.
    fn as_score(&self) -> StoredScore {
        StoredScore {
            item: self.hit.item.id,
            story: self.hit.story,
            profile: self.hit.profile.clone(),
            profile_hash: self.hit.basis.profile_hash,
            score: self.hit.score,
            threshold: self.hit.threshold,
            scored_at: self.hit.found_at,
            backlog: self.hit.item.backlog,
            barred: false,
        }
    }
}

/// What the matcher found in one batch, to be committed as one.
#[derive(Clone, Debug, Default)]
pub struct MatchResult {
    /// Every item of the batch with its claim: it leaves the queue.
    pub scored: Vec<(Id, Claim)>,
    /// Where those of them belong that matter to a profile.
    pub stories: Vec<NewPlacement>,
    /// Marks of items that were first seen before are forgotten.
    pub marks_since: Option<Timestamp>,
    /// The hits among them.
    pub hits: Vec<NewHit>,
    /// Scores of at least half of what makes a hit.
    pub below: Vec<StoredScore>,
    /// All profiles, when they have scored for the first time since the program started or was configured; else empty.
    pub profiles: Vec<ProfileVersion>,
    /// Profiles whose rows below the line are to be counted, and the oldest forgotten.
    pub trim: Vec<String>,
    /// The self-tests among the items, as they were found.
    pub canaries: Vec<CanaryHit>,
    /// The turn in which the stories were found, where there are several watchers.
    pub turn: Option<i64>,
    /// The batch's document frequencies, encoded; the number is unique.
    pub frequencies: Option<(i64, Vec<u8>)>,
}

/// Which hits are wanted.
#[derive(Clone, Debug, Default)]
pub struct HitFilter {
    /// Of this profile only.
    pub profile: Option<String>,
    /// Of this source only.
    pub source: Option<String>,
    /// Found at or after.
    pub since: Option<Timestamp>,
    /// Found after this hit, in the order of [`Store::hits`]: time and item.
    pub after: Option<(Timestamp, Id)>,
    /// Leave out what was read at a first contact.
    pub without_backlog: bool,
    /// Also those of profiles on trial.
    pub with_shadows: bool,
    /// At most so many, the newest.
    pub limit: usize,
}

const COLUMNS: &str = "h.profile, h.profile_version, h.score, h.threshold, h.reasons, h.found_at, h.basis, h.shadow, h.story_id, h.relation";

fn hit(row: &AnyRow) -> Hit {
    let at = |index: usize| COLUMN_COUNT + index;
    Hit {
        item: items::item(row),
        profile: row.get(at(0)),
        profile_version: row.get(at(1)),
        score: row.get(at(2)),
        threshold: row.get(at(3)),
        reasons: serde_json::from_str(&row.get::<String, _>(at(4))).unwrap_or_default(),
        found_at: some_time(row.get(at(5))),
        basis: serde_json::from_str(&row.get::<String, _>(at(6))).unwrap_or_default(),
        shadow: row.get::<i64, _>(at(7)) != 0,
        story: Id(row.get(at(8))),
        relation: Relation::from_stored(&row.get::<String, _>(at(9))),
    }
}

impl Store {
    /// Commits a batch of the matcher: hits, outbox rows and frequencies, and the items leave the queue. An item whose claim was
    /// taken over, or whose text changed meanwhile, is left to the next batch. Answers the hits that were new. Fails with
    /// [`StoreError::TurnIsOver`] when another watcher has had the turn to place items since: nothing is stored, the items are scored again.
    pub async fn commit_matches(&self, result: &MatchResult) -> Result<u64> {
        self.again(|| self.try_commit_matches(result)).await
    }

    async fn try_commit_matches(&self, result: &MatchResult) -> Result<u64> {
        let mut tx = self.begin().await?;
        if let Some(fence) = result.turn
            && !turns::is_ours(&mut tx, turns::STORIES, fence).await?
        {
            // What was found of stories may be wrong.
            for (id, claim) in &result.scored {
                sqlx::query(
                    "UPDATE unscored SET lease_until = 0 WHERE item_id = $1 AND lease_owner = $2 AND fence = $3",
                )
                .bind(id.0)
                .bind(&claim.owner)
                .bind(claim.fence)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
            return Err(StoreError::TurnIsOver);
        }
        scores::begin_use(&mut tx, &result.profiles).await?;
        let finished = leave_queue(&mut tx, &result.scored).await?;
        let placed: Vec<&NewPlacement> =
            result.stories.iter().filter(|new| finished.contains(&new.placement.item)).collect();
        let elsewhere = stories::add(&mut tx, &placed, result.marks_since).await?;
        let mut stored = 0;
        let mut below: Vec<StoredScore> =
            result.below.iter().filter(|score| finished.contains(&score.item)).cloned().collect();
        let mut mutes = Vec::new();
        let mut new_hits = Vec::new();
        let told = result.hits.iter().filter(|new| !new.deliveries.is_empty());
        if let Some(first) = told.map(|new| new.hit.found_at).min() {
            outbox::lock(&mut tx).await?;
            mutes = mutes::ending_after(&mut tx, first).await?;
        }
        for new in result.hits.iter().filter(|new| finished.contains(&new.hit.item.id)) {
            let mut new = std::borrow::Cow::Borrowed(new);
            if let Some(story) = elsewhere.get(&new.hit.item.id).filter(|story| **story != new.hit.story) {
                new.to_mut().hit.story = *story;
            }
            if insert(&mut tx, &new).await? {
                stored += 1;
                new_hits.push(new.hit.clone());
                match mutes::muting(&mutes, &new.hit).filter(|_| !new.deliveries.is_empty()) {
                    Some(mute) => mutes::count(&mut tx, mute, &new.hit).await?,
                    None => {
                        for delivery in &new.deliveries {
                            outbox::add(&mut tx, delivery, &new.hit, new.hit.found_at).await?;
                        }
                    }
                }
            } else {
                below.push(new.as_score());
            }
        }
        let canaries: Vec<&CanaryHit> =
            result.canaries.iter().filter(|canary| finished.contains(&canary.item)).collect();
        health::finish_canaries(&mut tx, &canaries).await?;
        for score in &mut below {
            score.story = elsewhere.get(&score.item).copied().unwrap_or(score.story);
        }
        scores::add(&mut tx, &below).await?;
        for profile in &result.trim {
            scores::trim(&mut tx, profile).await?;
        }
        if let Some((id, data)) = result.frequencies.as_ref().filter(|_| !finished.is_empty()) {
            frequencies::append(&mut tx, *id, data).await?;
        }
        // Last: other watchers wait for the end of the chain.
        if let Some(now) = new_hits.iter().map(|hit| hit.found_at).max() {
            evidence::record_hits(&mut tx, &new_hits, now).await?;
        }
        tx.commit().await?;
        Ok(stored)
    }

    /// Hits in the order they were found, the newest `limit` of them.
    pub async fn hits(&self, filter: &HitFilter) -> Result<Vec<Hit>> {
        let after = filter.after.unwrap_or((Timestamp::UNIX_EPOCH, Id(-1)));
        let sql = format!(
            "SELECT {}, {COLUMNS} FROM hits h JOIN items i ON i.id = h.item_id \
             WHERE ($1 = '' OR h.profile = $1) AND ($2 = '' OR i.source = $2) AND h.found_at >= $3 \
             AND (h.found_at > $4 OR (h.found_at = $4 AND h.item_id > $5)) AND (h.backlog = 0 OR $6 = 0) \
             AND (h.shadow = 0 OR $7 = 1) ORDER BY h.found_at DESC, h.item_id DESC, h.profile DESC LIMIT $8",
            items::COLUMNS_BRIEF
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(filter.profile.clone().unwrap_or_default())
            .bind(filter.source.clone().unwrap_or_default())
            .bind(filter.since.map_or(0, millis))
            .bind(millis(after.0))
            .bind(after.1.0)
            .bind(i64::from(filter.without_backlog))
            .bind(i64::from(filter.with_shadows))
            .bind(filter.limit.min(1_000_000) as i64)
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.iter().rev().map(hit).collect())
    }

    /// The stored hits of one item, by profile.
    pub async fn hits_of_item(&self, id: Id) -> Result<Vec<Hit>> {
        let sql = format!(
            "SELECT {}, {COLUMNS} FROM hits h JOIN items i ON i.id = h.item_id WHERE h.item_id = $1 ORDER BY h.profile",
            items::COLUMNS_BRIEF
        );
        Ok(sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_all(&self.reader).await?.iter().map(hit).collect())
    }

    /// The hits that an outbox row is about, the strongest first.
    pub async fn hits_of_delivery(&self, outbox: Id, limit: usize) -> Result<Vec<Hit>> {
        let sql = format!(
            "SELECT {}, {COLUMNS} FROM outbox_hits o JOIN hits h ON h.item_id = o.item_id AND h.profile = o.profile \
             JOIN items i ON i.id = h.item_id WHERE o.outbox_id = $1 \
             ORDER BY h.score / h.threshold DESC, h.item_id, h.profile LIMIT $2",
            items::COLUMNS_BRIEF
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(outbox.0).bind(limit as i64).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(hit).collect())
    }

    /// How many hits first contacts brought since `since`, by profile: they were not alerted, so they must be told.
    pub async fn backlog_hits(&self, since: Timestamp) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query(
            "SELECT profile || '' AS name, count(*) FROM hits WHERE backlog = 1 AND shadow = 0 AND found_at >= $1 \
             GROUP BY 1 ORDER BY 1",
        )
        .bind(millis(since))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Hits by profile found since `since`, without those of profiles on trial.
    pub async fn hit_counts(&self, since: Timestamp) -> Result<Vec<(String, i64)>> {
        // By the bare column SQLite would read all hits ever, in the order of their profiles.
        let rows = sqlx::query(
            "SELECT profile || '' AS name, count(*) FROM hits WHERE found_at >= $1 AND shadow = 0 GROUP BY 1 ORDER BY 1",
        )
        .bind(millis(since))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// Takes items out of the matcher's queue; answers those whose claim still held.
async fn leave_queue(tx: &mut Transaction<'static, Any>, scored: &[(Id, Claim)]) -> Result<BTreeSet<Id>> {
    const GROUP: usize = 64;
    let mut finished = BTreeSet::new();
    for group in scored.chunks(GROUP) {
        // The last group is filled up with its own last row: one statement serves every length.
        // Without the list of identities SQLite would compare the whole queue with the claims.
        let sql = format!(
            "DELETE FROM unscored WHERE (item_id, lease_owner, fence) IN (VALUES {}) AND item_id IN {} RETURNING item_id",
            placeholders(engine_of(tx), 1, GROUP, 3),
            placeholders(engine_of(tx), 1 + GROUP * 3, 1, GROUP)
        );
        let filled = || (0..GROUP).filter_map(|index| group.get(index).or(group.last()));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, claim) in filled() {
            query = query.bind(id.0).bind(claim.owner.clone()).bind(claim.fence);
        }
        for (id, _) in filled() {
            query = query.bind(id.0);
        }
        finished.extend(query.fetch_all(&mut **tx).await?.iter().map(|row| Id(row.get(0))));
    }
    Ok(finished)
}

/// Stores a hit; answers whether it is new. One that was found on trial is new when its profile is not on trial any more.
async fn insert(tx: &mut Transaction<'static, Any>, new: &NewHit) -> Result<bool> {
    let hit = &new.hit;
    let done = sqlx::query(
        "INSERT INTO hits (item_id, profile, profile_version, score, threshold, reasons, found_at, backlog, story_id, basis, \
         profile_hash, shadow, relation) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (item_id, profile) DO UPDATE SET profile_version = excluded.profile_version, \
         score = excluded.score, threshold = excluded.threshold, reasons = excluded.reasons, \
         found_at = excluded.found_at, backlog = excluded.backlog, story_id = excluded.story_id, \
         basis = excluded.basis, profile_hash = excluded.profile_hash, shadow = excluded.shadow, relation = excluded.relation \
         WHERE hits.shadow = 1 AND excluded.shadow = 0",
    )
    .bind(hit.item.id.0)
    .bind(&hit.profile)
    .bind(hit.profile_version)
    .bind(hit.score)
    .bind(hit.threshold)
    .bind(reasons_text(&hit.reasons))
    .bind(millis(hit.found_at))
    .bind(i64::from(hit.item.backlog))
    .bind(hit.story.0)
    .bind(serde_json::to_string(&hit.basis).unwrap_or_default())
    .bind(hit.basis.profile_hash)
    .bind(i64::from(hit.shadow))
    .bind(hit.relation.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What of a hit is not as it was recorded, in words. The row holds item, profile, version, score, threshold, reasons, time, backlog,
/// basis, fingerprint and shadow.
pub(super) fn differs(row: &AnyRow, fact: &HitFact) -> Option<&'static str> {
    let flag = |at: usize| row.get::<i64, _>(at) != 0;
    let basis = serde_json::to_string(&fact.basis).unwrap_or_default();
    // To the last bit, and NaN is itself.
    let score = |at: usize| row.get::<f64, _>(at).to_bits();
    [
        (row.get::<i64, _>(2) == fact.profile_version, "the version of its profile"),
        (score(3) == fact.score.to_bits(), "its score"),
        (score(4) == fact.threshold.to_bits(), "its threshold"),
        (sha256(row.get::<String, _>(5).as_bytes()) == fact.reasons, "its reasons"),
        (row.get::<i64, _>(6) == millis(fact.found), "the time when it was found"),
        (flag(7) == fact.backlog, "whether it was backlog"),
        (row.get::<String, _>(8) == basis, "what its score was made with"),
        (row.get::<i64, _>(9) == fact.basis.profile_hash, "the fingerprint of its profile"),
        (flag(10) == fact.shadow, "whether its profile was on trial"),
    ]
    .into_iter()
    .find_map(|(same, what)| (!same).then_some(what))
}
