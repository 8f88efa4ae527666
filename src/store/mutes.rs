//! What is not told for a while: who said so, until when and why, and the hits that nobody was told of because of it.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::{Result, Store, Transaction, millis, some_time};
use crate::model::{Hit, Id, Mute, MuteKind};

const COLUMNS: &str = "m.id, m.kind, m.name, m.muted_from, m.muted_until, m.reason, m.author";

fn mute(row: &AnyRow) -> Mute {
    Mute {
        id: Id(row.get(0)),
        kind: MuteKind::from_stored(&row.get::<String, _>(1)),
        name: row.get(2),
        from: some_time(row.get(3)),
        until: some_time(row.get(4)),
        reason: row.get(5),
        author: row.get(6),
    }
}

/// The mutes that end after `since`, for the transaction that commits hits.
pub(super) async fn ending_after(tx: &mut Transaction<'static, Any>, since: Timestamp) -> Result<Vec<Mute>> {
    let sql = format!("SELECT {COLUMNS} FROM mutes m WHERE m.muted_until > $1");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(millis(since)).fetch_all(&mut **tx).await?.iter().map(mute).collect())
}

/// The mute that keeps a hit from being told: the nearest to it, one of its story before one of its source or profile.
pub fn muting<'m>(mutes: &'m [Mute], hit: &Hit) -> Option<&'m Mute> {
    let story = hit.story.to_string();
    let concerns = |mute: &&Mute| match mute.kind {
        MuteKind::Story => mute.name == story,
        MuteKind::Source => mute.name == hit.item.source,
        MuteKind::Profile => mute.name == hit.profile,
    };
    let in_force = mutes.iter().filter(|mute| mute.is_in_force(hit.found_at)).filter(concerns);
    in_force.max_by_key(|mute| (mute.kind, mute.until, mute.id))
}

/// Keeps that the hit was not told because of the mute.
pub(super) async fn count(tx: &mut Transaction<'static, Any>, mute: &Mute, hit: &Hit) -> Result<()> {
    sqlx::query(
        "INSERT INTO muted_hits (item_id, profile, mute_id, found_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (item_id, profile) DO UPDATE SET mute_id = excluded.mute_id, found_at = excluded.found_at",
    )
    .bind(hit.item.id.0)
    .bind(&hit.profile)
    .bind(mute.id.0)
    .bind(millis(hit.found_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// Says that something is not told for a while.
    pub async fn add_mute(&self, mute: &Mute) -> Result<()> {
        sqlx::query(
            "INSERT INTO mutes (id, kind, name, muted_from, muted_until, reason, author) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (id) DO UPDATE SET muted_until = excluded.muted_until, reason = excluded.reason",
        )
        .bind(mute.id.0)
        .bind(mute.kind.as_str())
        .bind(&mute.name)
        .bind(millis(mute.from))
        .bind(millis(mute.until))
        .bind(&mute.reason)
        .bind(&mute.author)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Ends a mute now; answers it as it was, `None` when there is none of this identity in force.
    pub async fn end_mute(&self, id: Id, now: Timestamp) -> Result<Option<Mute>> {
        let found = self.mutes(now).await?.into_iter().find(|mute| mute.id == id);
        if found.is_some() {
            sqlx::query("UPDATE mutes SET muted_until = $1 WHERE id = $2")
                .bind(millis(now))
                .bind(id.0)
                .execute(&self.writer)
                .await?;
        }
        Ok(found)
    }

    /// The mutes in force, those that end first first.
    pub async fn mutes(&self, now: Timestamp) -> Result<Vec<Mute>> {
        let sql = format!("SELECT {COLUMNS} FROM mutes m WHERE m.muted_until > $1 ORDER BY m.muted_until, m.id");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(millis(now)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(mute).filter(|mute| mute.is_in_force(now)).collect())
    }

    /// All mutes there ever were, the newest `limit`, with how many hits were not told because of each.
    pub async fn mute_history(&self, limit: usize) -> Result<Vec<(Mute, i64)>> {
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT count(*) FROM muted_hits h WHERE h.mute_id = m.id) FROM mutes m \
             ORDER BY m.muted_from DESC, m.id LIMIT $1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit as i64).fetch_all(&self.reader).await?;
        Ok(rows.iter().rev().map(|row| (mute(row), row.get(7))).collect())
    }

    /// How many hits that were found from `from` on and before `to` were not told, by the mute that did it; the most first.
    pub async fn muted_hits(&self, from: Timestamp, to: Timestamp) -> Result<Vec<(Mute, i64)>> {
        let sql = format!(
            "SELECT {COLUMNS}, c.hits FROM mutes m JOIN \
             (SELECT mute_id, count(*) AS hits FROM muted_hits WHERE found_at >= $1 AND found_at < $2 GROUP BY mute_id) c \
             ON c.mute_id = m.id ORDER BY c.hits DESC, m.id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(millis(from)).bind(millis(to)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| (mute(row), row.get(7))).collect())
    }

    /// The mutes that kept hits of this item from being told, by profile.
    pub async fn mutes_of_item(&self, item: Id) -> Result<Vec<(String, Mute)>> {
        let sql = format!(
            "SELECT {COLUMNS}, h.profile FROM mutes m JOIN muted_hits h ON h.mute_id = m.id WHERE h.item_id = $1 ORDER BY h.profile"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(item.0).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| (row.get(7), mute(row))).collect())
    }

    /// The story of this identity, or the story of the item of this identity, with the title of one of its items.
    pub async fn story_named(&self, id: Id) -> Result<Option<(Id, String)>> {
        let row = sqlx::query(
            "SELECT story_id, title FROM items WHERE id = $1 OR story_id = $1 ORDER BY first_seen_at, id LIMIT 1",
        )
        .bind(id.0)
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(|row| (Id(row.get(0)), row.get(1))))
    }
}
