//! The archive's document frequencies: one encoded row a scored batch, written with the batch and folded together from
//! time to time. The store does not look inside.

use sqlx::{Any, Row};

use super::{Result, Store, Transaction};

/// Above so many rows they should be folded into one.
pub const ROWS_MAX: usize = 32;

/// Appends the counts of one batch. `id` is unique: counted twice is impossible.
pub(super) async fn append(tx: &mut Transaction<'static, Any>, id: i64, data: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO frequencies (id, data) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(id)
        .bind(data.to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// All rows that are not among `seen`: what other watchers and earlier runs counted.
    pub async fn frequencies(&self, seen: &[i64]) -> Result<Vec<(i64, Vec<u8>)>> {
        let ids: Vec<i64> = sqlx::query("SELECT id FROM frequencies ORDER BY id")
            .fetch_all(&self.reader)
            .await?
            .iter()
            .map(|row| row.get(0))
            .filter(|id| !seen.contains(id))
            .collect();
        let rows = super::read_by_keys(self, "SELECT id, data FROM frequencies WHERE id", "", &ids).await?;
        let mut list: Vec<(i64, Vec<u8>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        list.sort_by_key(|(id, _)| *id);
        list.dedup_by_key(|(id, _)| *id);
        Ok(list)
    }

    /// Puts one row in the place of those that it sums up.
    pub async fn fold_frequencies(&self, folded: &[i64], id: i64, data: &[u8]) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut found = 0;
        // In one order everywhere: two watchers that fold at once wait for one another, and neither for ever.
        let mut folded = folded.to_vec();
        folded.sort_unstable();
        for old in &folded {
            found +=
                sqlx::query("DELETE FROM frequencies WHERE id = $1").bind(old).execute(&mut *tx).await?.rows_affected();
        }
        // Another watcher folded meanwhile: its sum stands, ours would count twice.
        if found == folded.len() as u64 {
            append(&mut tx, id, data).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
