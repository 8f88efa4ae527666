//! Which earlier message a message answers.

use sqlx::Row;

use super::{Result, Store, millis};
use crate::model::{Id, OutboxRow};

impl Store {
    /// The first outbox row of the same route and recipient about the one story that this row is about; `None` for a row about
    /// several stories, about none, or that is itself the first. Also a row that is still waiting or was given up counts: the
    /// answer is the same at each attempt, and a mail program joins the conversation once all of it is there.
    pub async fn thread_of(&self, row: &OutboxRow) -> Result<Option<Id>> {
        let stories = sqlx::query(
            "SELECT DISTINCT h.story_id FROM outbox_hits l JOIN hits h ON h.item_id = l.item_id AND h.profile = l.profile \
             WHERE l.outbox_id = $1 LIMIT 2",
        )
        .bind(row.id.0)
        .fetch_all(&self.reader)
        .await?;
        let [story] = stories.as_slice() else { return Ok(None) };
        let first = sqlx::query(
            "SELECT o.id FROM hits h JOIN outbox_hits l ON l.item_id = h.item_id AND l.profile = h.profile \
             JOIN outbox o ON o.id = l.outbox_id \
             WHERE h.story_id = $1 AND o.route = $2 AND o.recipient = $3 \
             AND (o.created_at < $4 OR (o.created_at = $4 AND o.id < $5)) ORDER BY o.created_at, o.id LIMIT 1",
        )
        .bind(story.get::<i64, _>(0))
        .bind(&row.route)
        .bind(&row.recipient)
        .bind(millis(row.created_at))
        .bind(row.id.0)
        .fetch_optional(&self.reader)
        .await?;
        Ok(first.map(|found| Id(found.get(0))))
    }
}
