//! What analysts said of items. Rows are only ever added: the last word of each author counts, the others are history.

use jiff::SignedDuration;
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

use super::{Result, Store, Transaction, millis, read_by_keys, some_time};
use crate::model::{Id, Judgement, Verdict};

const COLUMNS: &str = "SELECT item_id, profile, author, judged_at, verdict, note FROM verdicts";

fn judgement(row: &AnyRow) -> Judgement {
    Judgement {
        item: Id(row.get(0)),
        profile: row.get(1),
        author: row.get(2),
        at: some_time(row.get(3)),
        verdict: Verdict::from_stored(&row.get::<String, _>(4)),
        note: row.get(5),
    }
}

/// Those that count: the last of each author, item and profile, in the order of time.
pub fn in_force(all: &[Judgement]) -> Vec<&Judgement> {
    let mut last = std::collections::BTreeMap::new();
    for judgement in all {
        let key = (judgement.item, &judgement.profile, &judgement.author);
        let kept = last.entry(key).or_insert(judgement);
        if judgement.at >= kept.at {
            *kept = judgement;
        }
    }
    let mut counting: Vec<&Judgement> = last.into_values().collect();
    counting.sort_by_key(|judgement| judgement.at);
    counting
}

impl Store {
    /// Adds a verdict that came as an answer of this identity, once: neither the same answer again nor one that repeats the author's
    /// last word adds anything. Answers whether it was added.
    pub async fn judge_by_answer(&self, judgement: &Judgement, answer: Id) -> Result<bool> {
        let mut tx = self.begin().await?;
        let new = sqlx::query("INSERT INTO answers (id, read_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
        let is_new = new.bind(answer.0).bind(millis(judgement.at)).execute(&mut *tx).await?.rows_affected() == 1;
        let last = sqlx::query(
            "SELECT verdict FROM verdicts WHERE item_id = $1 AND profile = $2 AND author = $3 ORDER BY judged_at DESC LIMIT 1",
        );
        let last = last.bind(judgement.item.0).bind(&judgement.profile).bind(&judgement.author);
        let last = last.fetch_optional(&mut *tx).await?.map(|row| Verdict::from_stored(&row.get::<String, _>(0)));
        let adds = is_new && last != Some(judgement.verdict);
        if adds {
            add(&mut tx, judgement).await?;
        }
        tx.commit().await?;
        Ok(adds)
    }

    /// Adds a verdict. When the clock stands before the author's last word on the item, the new one is dated after it, so that
    /// it counts.
    pub async fn judge(&self, judgement: &Judgement) -> Result<()> {
        let mut tx = self.begin().await?;
        add(&mut tx, judgement).await?;
        tx.commit().await?;
        Ok(())
    }

    /// All verdicts on these items, the oldest first.
    pub async fn verdicts_of(&self, items: &[Id]) -> Result<Vec<Judgement>> {
        let mut keys: Vec<i64> = items.iter().map(|id| id.0).collect();
        keys.sort_unstable();
        keys.dedup();
        let rows = read_by_keys(self, &format!("{COLUMNS} WHERE item_id"), "", &keys).await?;
        let mut all: Vec<Judgement> = rows.iter().map(judgement).collect();
        all.sort_by(|a, b| (a.at, a.item, &a.profile, &a.author).cmp(&(b.at, b.item, &b.profile, &b.author)));
        Ok(all)
    }

    /// All verdicts for a profile, the oldest first.
    pub async fn verdicts_for(&self, profile: &str) -> Result<Vec<Judgement>> {
        let sql = format!("{COLUMNS} WHERE profile = $1 ORDER BY judged_at, item_id, author");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(profile).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(judgement).collect())
    }
}

async fn add(tx: &mut Transaction<'static, Any>, judgement: &Judgement) -> Result<()> {
    let last = sqlx::query(
        "SELECT coalesce(max(judged_at), 0) FROM verdicts WHERE item_id = $1 AND profile = $2 AND author = $3",
    );
    let last = last.bind(judgement.item.0).bind(&judgement.profile).bind(&judgement.author);
    let last = some_time(last.fetch_one(&mut **tx).await?.get(0));
    let at = judgement.at.max(last + SignedDuration::from_millis(1));
    sqlx::query(
        "INSERT INTO verdicts (item_id, profile, author, judged_at, verdict, note) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(judgement.item.0)
    .bind(&judgement.profile)
    .bind(&judgement.author)
    .bind(millis(at))
    .bind(judgement.verdict.as_str())
    .bind(&judgement.note)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
