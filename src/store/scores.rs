//! Scores that made no hit but came half as far, and the versions of the profiles that made them: what a threshold is judged by
//! after the fact.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

use super::{Engine, Result, Store, Transaction, engine_of, millis, some_time, write_rows};
use crate::model::{Id, ProfileUse, ProfileVersion, StoredScore};

/// Rows below the line that are kept of a profile; the oldest go first, those of one batch together.
pub const SCORES_MAX: usize = 20_000;
/// Rows that may come in before they are counted again.
pub const TRIM_EVERY: usize = 1_000;

/// One scoring that a threshold could have made a hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The score.
    pub score: StoredScore,
    /// It was a hit.
    pub hit: bool,
    /// Title of the item.
    pub title: String,
    /// Address of the item; may be empty.
    pub url: String,
    /// Its source.
    pub source: String,
    /// Its language; may be empty.
    pub language: String,
    /// When the item became a hit of this profile; `None` when it never did.
    pub hit_at: Option<Timestamp>,
    /// Fingerprint of the profile that made that hit; 0 when there is none.
    pub hit_hash: i64,
}

/// Notes which versions score from now on, and from when on they do. What is taken out is noted too: what came while it was
/// away was not scored by it.
pub(super) async fn begin_use(tx: &mut Transaction<'static, Any>, profiles: &[ProfileVersion]) -> Result<()> {
    let Some(now) = profiles.iter().map(|version| version.first_used_at).max() else { return Ok(()) };
    if engine_of(tx) == Engine::Postgres {
        // Watchers that start together note it once.
        sqlx::query("SELECT pg_advisory_xact_lock(5771195)").execute(&mut **tx).await?;
    }
    let rows = sqlx::query(
        "SELECT u.profile, u.profile_hash FROM profile_uses u WHERE NOT EXISTS ( \
         SELECT 1 FROM profile_uses n WHERE n.profile = u.profile AND n.used_from > u.used_from)",
    )
    .fetch_all(&mut **tx)
    .await?;
    let last: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut begun: Vec<(&str, i64)> = Vec::new();
    for version in profiles {
        if !last.iter().any(|(profile, hash)| *profile == version.profile && *hash == version.profile_hash) {
            begun.push((&version.profile, version.profile_hash));
        }
    }
    for (profile, hash) in &last {
        if *hash != 0 && !profiles.iter().any(|version| version.profile == *profile) {
            begun.push((profile, 0));
        }
    }
    if begun.is_empty() {
        return Ok(());
    }
    write_rows(
        tx,
        "INSERT INTO profile_versions (profile, profile_hash, version, snapshot, first_used_at)",
        "ON CONFLICT (profile, profile_hash) DO NOTHING",
        5,
        profiles,
        |query, version| {
            query
                .bind(version.profile.clone())
                .bind(version.profile_hash)
                .bind(version.version)
                .bind(version.snapshot.clone())
                .bind(millis(version.first_used_at))
        },
    )
    .await?;
    let scored =
        sqlx::query("SELECT 1 FROM items i WHERE NOT EXISTS (SELECT 1 FROM unscored u WHERE u.item_id = i.id) LIMIT 1");
    let from_start = scored.fetch_optional(&mut **tx).await?.is_none();
    write_rows(
        tx,
        "INSERT INTO profile_uses (profile, used_from, profile_hash, from_start)",
        "ON CONFLICT (profile, used_from) DO UPDATE SET profile_hash = excluded.profile_hash",
        4,
        &begun,
        |query, (profile, hash)| {
            query.bind(profile.to_string()).bind(millis(now)).bind(*hash).bind(i64::from(from_start))
        },
    )
    .await?;
    Ok(())
}

/// Stores scores. An item that is scored twice in one moment keeps the higher score.
pub(super) async fn add(tx: &mut Transaction<'static, Any>, scores: &[StoredScore]) -> Result<()> {
    write_rows(
        tx,
        "INSERT INTO scores (profile, scored_at, item_id, profile_hash, score, threshold, backlog, barred, story_id)",
        "ON CONFLICT (profile, scored_at, item_id) DO UPDATE SET score = excluded.score \
         WHERE excluded.score > scores.score",
        9,
        scores,
        |query, score| {
            query
                .bind(score.profile.clone())
                .bind(millis(score.scored_at))
                .bind(score.item.0)
                .bind(score.profile_hash)
                .bind(score.score)
                .bind(score.threshold)
                .bind(i64::from(score.backlog))
                .bind(i64::from(score.barred))
                .bind(score.story.0)
        },
    )
    .await?;
    Ok(())
}

/// The name under which it is noted from when on a profile's scores are whole.
fn cut_note(profile: &str) -> String {
    format!("scores since: {profile}")
}

/// Forgets the oldest scores of a profile when there are more than [`SCORES_MAX`], and notes from when on they are whole.
pub(super) async fn trim(tx: &mut Transaction<'static, Any>, profile: &str) -> Result<()> {
    let oldest =
        sqlx::query("SELECT scored_at FROM scores WHERE profile = $1 ORDER BY scored_at DESC LIMIT 1 OFFSET $2");
    let oldest = oldest.bind(profile).bind(SCORES_MAX as i64 - 1).fetch_optional(&mut **tx).await?;
    let Some(cut) = oldest.map(|row| row.get::<i64, _>(0)) else { return Ok(()) };
    let gone = sqlx::query("DELETE FROM scores WHERE profile = $1 AND scored_at < $2");
    if gone.bind(profile).bind(cut).execute(&mut **tx).await?.rows_affected() > 0 {
        note_cut(tx, profile, some_time(cut)).await?;
    }
    Ok(())
}

/// Notes that a profile's scores are whole since then only, unless they were cut later already.
pub(super) async fn note_cut(tx: &mut Transaction<'static, Any>, profile: &str, cut: Timestamp) -> Result<()> {
    let name = cut_note(profile);
    let row = sqlx::query("SELECT value FROM notes WHERE name = $1").bind(&name).fetch_optional(&mut **tx).await?;
    let before: Option<Timestamp> = row.and_then(|row| row.get::<String, _>(0).parse().ok());
    if before.is_none_or(|before| before < cut) {
        sqlx::query(
            "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(cut.to_string())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn version(row: &AnyRow) -> ProfileVersion {
    ProfileVersion {
        profile: row.get(0),
        profile_hash: row.get(1),
        version: row.get(2),
        snapshot: row.get(3),
        first_used_at: some_time(row.get(4)),
    }
}

impl Store {
    /// All versions of a profile that ever scored, the oldest first.
    pub async fn profile_versions(&self, profile: &str) -> Result<Vec<ProfileVersion>> {
        let rows = sqlx::query(
            "SELECT profile, profile_hash, version, snapshot, first_used_at FROM profile_versions \
             WHERE profile = $1 ORDER BY first_used_at, profile_hash",
        );
        Ok(rows.bind(profile).fetch_all(&self.reader).await?.iter().map(version).collect())
    }

    /// One version of a profile.
    pub async fn profile_version(&self, profile: &str, hash: i64) -> Result<Option<ProfileVersion>> {
        let row = sqlx::query(
            "SELECT profile, profile_hash, version, snapshot, first_used_at FROM profile_versions \
             WHERE profile = $1 AND profile_hash = $2",
        );
        Ok(row.bind(profile).bind(hash).fetch_optional(&self.reader).await?.as_ref().map(version))
    }

    /// From when on which version of a profile scored, the oldest first.
    pub async fn profile_uses(&self, profile: &str) -> Result<Vec<ProfileUse>> {
        let rows = sqlx::query(
            "SELECT used_from, profile_hash, from_start FROM profile_uses WHERE profile = $1 ORDER BY used_from",
        );
        let rows = rows.bind(profile).fetch_all(&self.reader).await?;
        let read = |row: &AnyRow| ProfileUse {
            from: some_time(row.get(0)),
            profile_hash: row.get(1),
            from_start: row.get::<i64, _>(2) != 0,
        };
        Ok(rows.iter().map(read).collect())
    }

    /// From when on the scores below the line are whole; `None`: none was ever forgotten.
    pub async fn scores_whole_since(&self, profile: &str) -> Result<Option<Timestamp>> {
        Ok(self.noted(&cut_note(profile)).await?.and_then(|text| text.parse().ok()))
    }

    /// The stored scores of one item that made no hit, the oldest first.
    pub async fn scores_of_item(&self, item: Id) -> Result<Vec<StoredScore>> {
        let rows = sqlx::query(
            "SELECT item_id, story_id, profile, profile_hash, score, threshold, scored_at, backlog, barred FROM scores \
             WHERE item_id = $1 ORDER BY scored_at, profile LIMIT 1000",
        );
        Ok(rows.bind(item.0).fetch_all(&self.reader).await?.iter().map(stored).collect())
    }

    /// Everything that scored at least half of a hit for a profile, hits and others, from `from` to before `to`, in the order
    /// of time.
    pub async fn scored(&self, profile: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Scored>> {
        // Hits first: of two scorings of one moment the one that was a hit came to be known.
        let hits = sqlx::query(
            "SELECT h.item_id, h.story_id, h.profile, h.profile_hash, h.score, h.threshold, h.found_at, h.backlog, 0, \
             i.title, i.url, h.found_at, h.profile_hash, i.source, i.language FROM hits h JOIN items i ON i.id = h.item_id \
             WHERE h.profile = $1 AND h.found_at >= $2 AND h.found_at < $3",
        );
        let below = sqlx::query(
            "SELECT s.item_id, s.story_id, s.profile, s.profile_hash, s.score, s.threshold, s.scored_at, s.backlog, s.barred, \
             i.title, i.url, coalesce(h.found_at, 0), coalesce(h.profile_hash, 0), i.source, i.language \
             FROM scores s JOIN items i ON i.id = s.item_id \
             LEFT JOIN hits h ON h.item_id = s.item_id AND h.profile = s.profile \
             WHERE s.profile = $1 AND s.scored_at >= $2 AND s.scored_at < $3",
        );
        let mut all = Vec::new();
        for (query, hit) in [(hits, true), (below, false)] {
            let rows = query.bind(profile).bind(millis(from)).bind(millis(to)).fetch_all(&self.reader).await?;
            all.extend(rows.iter().map(|row| Scored {
                score: stored(row),
                hit,
                title: row.get(9),
                url: row.get(10),
                hit_at: super::time(row.get(11)),
                hit_hash: row.get(12),
                source: row.get(13),
                language: row.get(14),
            }));
        }
        all.sort_by_key(|scored| (scored.score.scored_at, scored.score.item));
        Ok(all)
    }
}

fn stored(row: &AnyRow) -> StoredScore {
    StoredScore {
        item: Id(row.get(0)),
        story: Id(row.get(1)),
        profile: row.get(2),
        profile_hash: row.get(3),
        score: row.get(4),
        threshold: row.get(5),
        scored_at: some_time(row.get(6)),
        backlog: row.get::<i64, _>(7) != 0,
        barred: row.get::<i64, _>(8) != 0,
    }
}
