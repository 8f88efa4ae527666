//! What has to be delivered to whom. A row is made with the hit it is about and leaves the outbox only when the channel
//! accepted it or the operator discards it.

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::sources::Claim;
use super::{Engine, Result, Store, engine_of, millis, or_never, some_time, time};
use crate::model::{
    Budget, DeliveryKind, EmptyDigest, EndedWindow, Hit, Id, NewDelivery, OutboxRow, Outcome, Relation, Way, Window,
};

/// An empty digest that comes weekly comes when the last digest is so old: a week, with room for a change of the clocks.
const EMPTY_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24 - 2);

const COLUMNS: &str =
    "id, route, recipient, kind, window_from, window_to, created_at, due_at, state, attempts, finished_at, error";
const COLUMN_COUNT: usize = 12;

fn row(row: &AnyRow) -> OutboxRow {
    OutboxRow {
        id: Id(row.get(0)),
        route: row.get(1),
        recipient: row.get(2),
        kind: DeliveryKind::from_stored(&row.get::<String, _>(3)),
        window_from: time(row.get(4)),
        window_to: time(row.get(5)),
        created_at: some_time(row.get(6)),
        due_at: some_time(row.get(7)),
        state: row.get(8),
        attempts: row.get(9),
        finished_at: time(row.get(10)),
        error: row.get(11),
    }
}

/// Many watchers may find copies of one story at the same moment: who makes or moves rows does so alone, until the transaction
/// ends. (SQLite has one writer anyway.)
pub(super) async fn lock(tx: &mut Transaction<'static, Any>) -> Result<()> {
    if engine_of(tx) == Engine::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock(5771191)").execute(&mut **tx).await?;
    }
    Ok(())
}

/// A row to be made.
#[derive(Clone, Copy)]
struct NewRow<'a> {
    route: &'a str,
    recipient: &'a str,
    kind: DeliveryKind,
    window: Option<Window>,
    due_at: Timestamp,
}

/// Makes the row unless it is there.
async fn insert(tx: &mut Transaction<'static, Any>, id: Id, new: &NewRow<'_>, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (id, route, recipient, kind, window_from, window_to, created_at, due_at, state, closed, attempts, \
         attempted_at, finished_at, error, lease_owner, lease_until, fence) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', 0, 0, 0, 0, '', '', 0, 0) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id.0)
    .bind(new.route)
    .bind(new.recipient)
    .bind(new.kind.as_str())
    .bind(or_never(new.window.map(|window| window.from)))
    .bind(or_never(new.window.map(|window| window.until)))
    .bind(millis(now))
    .bind(millis(new.due_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn link(tx: &mut Transaction<'static, Any>, outbox: Id, item: Id, profile: &str) -> Result<()> {
    sqlx::query("INSERT INTO outbox_hits (outbox_id, item_id, profile) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(outbox.0)
        .bind(item.0)
        .bind(profile)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gives a hit to the row that is to tell it, in the hit's own transaction and under [`lock`]. A story is told once a route and
/// recipient, whatever kind of message tells it; a digest also lists what is an update of a story told before. Answers whether
/// the hit is told by this delivery.
pub(super) async fn add(
    tx: &mut Transaction<'static, Any>,
    delivery: &NewDelivery,
    hit: &Hit,
    now: Timestamp,
) -> Result<bool> {
    let (item, profile) = (hit.item.id, hit.profile.as_str());
    if let Some(row) = row_of_item(tx, delivery, item).await? {
        // The same item with another profile.
        let joins = is_open(tx, row).await?;
        if joins {
            link(tx, row, item, profile).await?;
        }
        return Ok(joins);
    }
    let is_told = is_told(tx, delivery, hit.story).await?;
    let is_digest = matches!(delivery.way, Way::InDigest { .. });
    if is_told && !(is_digest && hit.relation == Relation::Update) {
        return Ok(false);
    }
    let row = match (&delivery.way, &delivery.budget) {
        (Way::InDigest { windows }, _) => digest_row(tx, delivery, windows, now).await?,
        (_, Some(budget)) if stories_told(tx, delivery, budget).await? >= budget.stories => {
            overflow_row(tx, delivery, budget, now).await?
        }
        (Way::Together { due_at }, _) => group_row(tx, delivery, item, *due_at, now).await?,
        (Way::Alone, _) => {
            let id = Id::of(&["alert", &delivery.route, &delivery.recipient, &item.to_string()]);
            let new = NewRow { kind: DeliveryKind::Alert, window: None, due_at: now, ..to(delivery) };
            insert(tx, id, &new, now).await?;
            id
        }
    };
    link(tx, row, item, profile).await?;
    Ok(true)
}

/// A row to a delivery's recipient; its kind and times are still to be said.
fn to(delivery: &NewDelivery) -> NewRow<'_> {
    let (route, recipient) = (&delivery.route, &delivery.recipient);
    NewRow { route, recipient, kind: DeliveryKind::Alert, window: None, due_at: Timestamp::UNIX_EPOCH }
}

/// No attempt on the row has begun. Takes the row's lock, so that none can begin before this transaction ends.
async fn is_open(tx: &mut Transaction<'static, Any>, id: Id) -> Result<bool> {
    let open = sqlx::query("UPDATE outbox SET closed = closed WHERE id = $1 AND closed = 0 AND state = 'waiting'")
        .bind(id.0)
        .execute(&mut **tx)
        .await?;
    Ok(open.rows_affected() == 1)
}

/// The row that tells this recipient of this item, with whatever profile.
async fn row_of_item(tx: &mut Transaction<'static, Any>, delivery: &NewDelivery, item: Id) -> Result<Option<Id>> {
    let row = sqlx::query(
        "SELECT o.id FROM outbox_hits l JOIN outbox o ON o.id = l.outbox_id \
         WHERE l.item_id = $1 AND o.route = $2 AND o.recipient = $3 ORDER BY o.closed, o.created_at, o.id LIMIT 1",
    )
    .bind(item.0)
    .bind(&delivery.route)
    .bind(&delivery.recipient)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Id(row.get(0))))
}

/// An item of the story was or will be told to this recipient on this route.
async fn is_told(tx: &mut Transaction<'static, Any>, delivery: &NewDelivery, story: Id) -> Result<bool> {
    let row = sqlx::query(TOLD_ROW)
        .bind(story.0)
        .bind(&delivery.route)
        .bind(&delivery.recipient)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

const TOLD_ROW: &str = "SELECT o.id FROM hits h JOIN outbox_hits l ON l.item_id = h.item_id AND l.profile = h.profile \
     JOIN outbox o ON o.id = l.outbox_id WHERE h.story_id = $1 AND o.route = $2 AND o.recipient = $3 LIMIT 1";

/// How many stories of the budget's day are told by alerts and groups.
async fn stories_told(tx: &mut Transaction<'static, Any>, delivery: &NewDelivery, budget: &Budget) -> Result<i64> {
    let row = sqlx::query(
        "SELECT count(DISTINCT h.story_id) FROM outbox o JOIN outbox_hits l ON l.outbox_id = o.id \
         JOIN hits h ON h.item_id = l.item_id AND h.profile = l.profile \
         WHERE o.route = $1 AND o.recipient = $2 AND o.kind IN ('alert', 'group') AND o.created_at >= $3 \
         AND h.found_at >= $4 AND h.found_at < $5",
    )
    .bind(&delivery.route)
    .bind(&delivery.recipient)
    // A group that is still filled on this day was begun so much earlier at most.
    .bind(millis(budget.day_from.checked_sub(super::FILLED_MAX).unwrap_or(Timestamp::UNIX_EPOCH)))
    .bind(millis(budget.day_from))
    .bind(millis(budget.day_until))
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.get(0))
}

/// The group that is being filled and goes out by `due_at`; else a new one, which this item begins.
async fn group_row(
    tx: &mut Transaction<'static, Any>,
    delivery: &NewDelivery,
    item: Id,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Id> {
    let open = sqlx::query(
        "SELECT id FROM outbox WHERE state = 'waiting' AND due_at > $1 AND due_at <= $2 AND kind = 'group' AND closed = 0 \
         AND route = $3 AND recipient = $4 ORDER BY due_at, id LIMIT 1",
    )
    .bind(millis(now))
    .bind(millis(due_at))
    .bind(&delivery.route)
    .bind(&delivery.recipient)
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(row) = open
        && is_open(tx, Id(row.get(0))).await?
    {
        return Ok(Id(row.get(0)));
    }
    let id = Id::of(&["group", &delivery.route, &delivery.recipient, &item.to_string()]);
    let window = Some(Window { from: now, until: due_at });
    insert(tx, id, &NewRow { kind: DeliveryKind::Group, window, due_at, ..to(delivery) }, now).await?;
    Ok(id)
}

/// The list of what the budget of a day leaves no room for.
async fn overflow_row(
    tx: &mut Transaction<'static, Any>,
    delivery: &NewDelivery,
    budget: &Budget,
    now: Timestamp,
) -> Result<Id> {
    let day = budget.day_from.as_millisecond().to_string();
    let window = Some(Window { from: budget.day_from, until: budget.day_until });
    let new = NewRow { kind: DeliveryKind::Overflow, window, due_at: budget.due_at, ..to(delivery) };
    open_row(tx, &["overflow", &delivery.route, &delivery.recipient, &day], 0, &new, now).await
}

/// The first of the windows' digests that no attempt was made on.
async fn digest_row(
    tx: &mut Transaction<'static, Any>,
    delivery: &NewDelivery,
    windows: &[Window],
    now: Timestamp,
) -> Result<Id> {
    for window in windows {
        let id = digest_id(&delivery.route, &delivery.recipient, window.until);
        insert(tx, id, &digest(&delivery.route, &delivery.recipient, *window), now).await?;
        if is_open(tx, id).await? {
            return Ok(id);
        }
    }
    // All of them went out already: the clock was set back by days. Nothing waits until these are over.
    let window = windows.first().copied().unwrap_or(Window { from: now, until: now });
    let until = window.until.as_millisecond().to_string();
    let new = digest(&delivery.route, &delivery.recipient, window);
    open_row(tx, &["digest", &delivery.route, &delivery.recipient, &until], 1, &new, now).await
}

/// The digest of a window has this identity, whoever makes it.
fn digest_id(route: &str, recipient: &str, until: Timestamp) -> Id {
    Id::of(&["digest", route, recipient, &until.as_millisecond().to_string()])
}

fn digest<'a>(route: &'a str, recipient: &'a str, window: Window) -> NewRow<'a> {
    NewRow { route, recipient, kind: DeliveryKind::Digest, window: Some(window), due_at: window.until }
}

/// The row of this name, made if need be. When an attempt on it has begun (the operator sent it early, or its hour comes a second
/// time after the clock was set back) the next generation of it.
async fn open_row(
    tx: &mut Transaction<'static, Any>,
    name: &[&str],
    generation: usize,
    new: &NewRow<'_>,
    now: Timestamp,
) -> Result<Id> {
    let mut generation = generation;
    loop {
        let number = generation.to_string();
        let mut parts = name.to_vec();
        parts.extend((generation > 0).then_some(number.as_str()));
        let id = Id::of(&parts);
        insert(tx, id, new, now).await?;
        if is_open(tx, id).await? {
            return Ok(id);
        }
        // A generation that is not open is there, so they come to an end.
        generation += 1;
    }
}

/// Moves what a row that was never tried tells of into another, and removes the row.
async fn merge(tx: &mut Transaction<'static, Any>, from: Id, into: Id) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox_hits (outbox_id, item_id, profile) \
         SELECT CAST($1 AS BIGINT), item_id, profile FROM outbox_hits WHERE outbox_id = $2 ON CONFLICT DO NOTHING",
    )
    .bind(into.0)
    .bind(from.0)
    .execute(&mut **tx)
    .await?;
    for statement in ["DELETE FROM outbox_hits WHERE outbox_id = $1", "DELETE FROM outbox WHERE id = $1"] {
        sqlx::query(statement).bind(from.0).execute(&mut **tx).await?;
    }
    Ok(())
}

/// How far the digests of a recipient have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    settled_at: Timestamp,
    told_until: Timestamp,
}

async fn marks(tx: &mut Transaction<'static, Any>, route: &str, recipient: &str) -> Result<Option<Marks>> {
    let row = sqlx::query("SELECT settled_at, told_until FROM digest_marks WHERE route = $1 AND recipient = $2")
        .bind(route)
        .bind(recipient)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| Marks { settled_at: some_time(row.get(0)), told_until: some_time(row.get(1)) }))
}

async fn set_marks(tx: &mut Transaction<'static, Any>, route: &str, recipient: &str, marks: Marks) -> Result<()> {
    sqlx::query(
        "INSERT INTO digest_marks (route, recipient, settled_at, told_until) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (route, recipient) DO UPDATE SET settled_at = excluded.settled_at, told_until = excluded.told_until",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(marks.settled_at))
    .bind(millis(marks.told_until))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How far the digests have come of a recipient of whom that was never written down: to the last digest there is, else to now,
/// because earlier ones are nobody's duty.
async fn first_marks(
    tx: &mut Transaction<'static, Any>,
    route: &str,
    recipient: &str,
    now: Timestamp,
) -> Result<Marks> {
    let row = sqlx::query(
        "SELECT max(window_to) FROM outbox WHERE route = $1 AND recipient = $2 AND kind = 'digest' AND window_to <= $3",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(now))
    .fetch_one(&mut **tx)
    .await?;
    let from = row.get::<Option<i64>, _>(0).map_or(now, some_time);
    Ok(Marks { settled_at: from, told_until: from })
}

/// Decides on one window that ended; answers until when all is decided now.
async fn settle(tx: &mut Transaction<'static, Any>, ended: &EndedWindow, now: Timestamp) -> Result<Timestamp> {
    let (route, recipient, end) = (ended.route.as_str(), ended.recipient.as_str(), ended.window.until);
    let before = marks(tx, route, recipient).await?;
    let mut marks = match before {
        Some(marks) => marks,
        None => first_marks(tx, route, recipient, now).await?,
    };
    // After the clock was set back.
    marks = Marks { settled_at: marks.settled_at.min(now), told_until: marks.told_until.min(now) };
    if end > marks.settled_at {
        let id = digest_id(route, recipient, end);
        let missed = missed_digests(tx, route, recipient, end).await?;
        let is_wanted = match ended.empty {
            EmptyDigest::Always => true,
            EmptyDigest::Weekly => end.duration_since(marks.told_until) >= EMPTY_AFTER,
            EmptyDigest::Never => false,
        };
        if is_wanted || !missed.is_empty() || exists(tx, id).await? {
            let from = missed.iter().map(|(_, from)| *from).fold(marks.told_until, Timestamp::min);
            insert(tx, id, &digest(route, recipient, Window { from, until: end }), now).await?;
            if is_open(tx, id).await? {
                for (row, _) in missed {
                    merge(tx, row, id).await?;
                }
                // A row that a hit made knows the schedule only; a recipient is told from where the last digest ended.
                sqlx::query("UPDATE outbox SET window_from = $1 WHERE id = $2")
                    .bind(millis(from))
                    .bind(id.0)
                    .execute(&mut **tx)
                    .await?;
            }
            marks.told_until = end;
        }
        marks.settled_at = end;
    }
    if before != Some(marks) {
        set_marks(tx, route, recipient, marks).await?;
    }
    Ok(marks.settled_at)
}

/// Digests of earlier windows that were never tried, with where their windows begin: newswatch did not run at their time.
async fn missed_digests(
    tx: &mut Transaction<'static, Any>,
    route: &str,
    recipient: &str,
    end: Timestamp,
) -> Result<Vec<(Id, Timestamp)>> {
    // Takes the locks of the rows.
    let rows = sqlx::query(
        "UPDATE outbox SET closed = closed WHERE route = $1 AND recipient = $2 AND kind = 'digest' AND state = 'waiting' \
         AND closed = 0 AND window_to < $3 RETURNING id, window_from",
    )
    .bind(route)
    .bind(recipient)
    .bind(millis(end))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.iter().map(|row| (Id(row.get(0)), some_time(row.get(1)))).collect())
}

async fn exists(tx: &mut Transaction<'static, Any>, id: Id) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM outbox WHERE id = $1").bind(id.0).fetch_optional(&mut **tx).await?.is_some())
}

/// Who takes over another's digests takes over how far they have come.
async fn pass_marks_on(tx: &mut Transaction<'static, Any>, row: &OutboxRow, delivery: &NewDelivery) -> Result<()> {
    let is_new = marks(tx, &delivery.route, &delivery.recipient).await?.is_none();
    if is_new && let Some(marks) = marks(tx, &row.route, &row.recipient).await? {
        set_marks(tx, &delivery.route, &delivery.recipient, marks).await?;
    }
    Ok(())
}

/// What came of handing over what a row tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Hits that the row is about.
    pub hits: usize,
    /// Of these, hits that other rows took.
    pub taken: usize,
    /// Somebody is told of each of them.
    pub is_lossless: bool,
}

/// The row as it was before it was claimed, for other attempts.
async fn give_back(tx: &mut Transaction<'static, Any>, id: Id, claim: &Claim) -> Result<()> {
    sqlx::query(
        "UPDATE outbox SET lease_owner = '', lease_until = 0, attempts = attempts - 1 \
         WHERE id = $1 AND lease_owner = $2 AND fence = $3 AND state = 'waiting'",
    )
    .bind(id.0)
    .bind(&claim.owner)
    .bind(claim.fence)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// "AND (route, recipient) NOT IN (VALUES ($5, $6), ...)", numbered from `first`; nothing for none.
fn none_of(busy: &[(String, String)], first: usize) -> String {
    if busy.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = (0..busy.len()).map(|n| format!("(${}, ${})", first + 2 * n, first + 2 * n + 1)).collect();
    format!("AND (route, recipient) NOT IN (VALUES {})", pairs.join(", "))
}

impl Store {
    /// Decides on windows that ended: the digest's row is made if it is wanted without a hit, and what was to be told by digests
    /// whose time was missed goes into it, so that a recipient gets one digest, of all the time since the last. Answers for each
    /// until when all is decided now.
    pub async fn settle_digests(&self, ended: &[EndedWindow], now: Timestamp) -> Result<Vec<Timestamp>> {
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        let mut settled = Vec::with_capacity(ended.len());
        for window in ended {
            settled.push(settle(&mut tx, window, now).await?);
        }
        tx.commit().await?;
        Ok(settled)
    }

    /// Waiting rows that a new configuration may concern: those that no attempt was made on, alerts aside, and those of a route
    /// and recipient that are not `known`. In the order of their identities, after `after`. Reports are not among them.
    pub async fn rows_to_revise(
        &self,
        known: &[(String, String)],
        after: Id,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxRow>> {
        let unknown = match none_of(known, 4) {
            none if none.is_empty() => "1 = 1".to_string(),
            some => some.replacen("AND", "", 1),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE state = 'waiting' AND id > $1 AND lease_until <= $2 AND kind <> 'report' \
             AND ((closed = 0 AND kind <> 'alert') OR {unknown}) ORDER BY id LIMIT $3"
        );
        let mut query =
            sqlx::query(AssertSqlSafe(sql)).bind(after.0).bind(millis(now)).bind(limit as i64);
        for (route, recipient) in known {
            query = query.bind(route).bind(recipient);
        }
        Ok(query.fetch_all(&self.reader).await?.iter().map(row).collect())
    }

    /// A row that was never tried is due at another time.
    pub async fn move_delivery(&self, id: Id, due_at: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE outbox SET due_at = $1, window_to = CASE WHEN kind = 'group' THEN $1 ELSE window_to END \
             WHERE id = $2 AND state = 'waiting' AND closed = 0",
        )
        .bind(millis(due_at))
        .bind(id.0)
        .execute(self.writer().await)
        .await?;
        Ok(())
    }

    /// What a digest that was never tried tells of goes into the digest of another window.
    pub async fn move_digest(&self, row: &OutboxRow, window: Window, now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        let until = window.until.as_millisecond().to_string();
        let new = digest(&row.route, &row.recipient, window);
        let into = open_row(&mut tx, &["digest", &row.route, &row.recipient, &until], 0, &new, now).await?;
        if into != row.id && is_open(&mut tx, row.id).await? {
            merge(&mut tx, row.id, into).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends a waiting row whose route or recipient is gone: its hits go where these deliveries lead, unless they are told there
    /// already. It is discarded when nothing is lost by that (all was taken, or `is_told` to everybody that is left), else it is
    /// dead, which people are shown and can take back. `None` when an attempt on it is under way.
    pub async fn hand_over(
        &self,
        row: &OutboxRow,
        hits: &[(Hit, Vec<NewDelivery>)],
        is_told: bool,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<HandedOver>> {
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        let held = sqlx::query("UPDATE outbox SET closed = 1 WHERE id = $1 AND state = 'waiting' AND lease_until <= $2")
            .bind(row.id.0)
            .bind(millis(now))
            .execute(&mut *tx)
            .await?;
        if held.rows_affected() == 0 {
            return Ok(None);
        }
        let count = sqlx::query("SELECT count(*) FROM outbox_hits WHERE outbox_id = $1").bind(row.id.0);
        let count: i64 = count.fetch_one(&mut *tx).await?.get(0);
        let mut handed = HandedOver { hits: count as usize, taken: 0, is_lossless: false };
        for (hit, deliveries) in hits {
            let mut is_taken = false;
            for delivery in deliveries {
                if add(&mut tx, delivery, hit, now).await? {
                    is_taken = true;
                    pass_marks_on(&mut tx, row, delivery).await?;
                }
            }
            handed.taken += usize::from(is_taken);
        }
        handed.is_lossless = handed.hits == hits.len() && (is_told || handed.taken == handed.hits);
        let state = if handed.is_lossless { "discarded" } else { "dead" };
        let error = match handed.taken {
            0 => why.to_string(),
            taken => format!("{why}; of {} hits {taken} were handed on", handed.hits),
        };
        sqlx::query("UPDATE outbox SET state = $1, finished_at = $2, error = $3 WHERE id = $4")
            .bind(state)
            .bind(millis(now))
            .bind(error)
            .bind(row.id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(handed))
    }

    /// Claims due rows, the longest due first, none of a route and recipient that is `busy`. The attempt is counted and the row
    /// closed before the attempt is made.
    pub async fn claim_outbox(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
        busy: &[(String, String)],
    ) -> Result<Vec<(OutboxRow, Claim)>> {
        let sql = format!(
            "UPDATE outbox SET lease_owner = $1, lease_until = $2, fence = fence + 1, closed = 1, attempts = attempts + 1, \
             attempted_at = $3 WHERE id IN ( \
                SELECT id FROM outbox WHERE state = 'waiting' AND due_at <= $3 AND lease_until <= $3 {} \
                ORDER BY due_at, created_at, id LIMIT $4 {}) RETURNING {COLUMNS}, fence",
            none_of(busy, 5),
            self.skip_locked()
        );
        let mut query =
            sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(millis(lease_until)).bind(millis(now)).bind(limit as i64);
        for (route, recipient) in busy {
            query = query.bind(route).bind(recipient);
        }
        let rows = query.fetch_all(self.writer().await).await?;
        let mut claimed: Vec<(OutboxRow, Claim)> = rows
            .iter()
            .map(|found| (row(found), Claim { owner: owner.to_string(), fence: found.get(COLUMN_COUNT) }))
            .collect();
        claimed.sort_by_key(|(row, _)| (row.due_at, row.created_at, row.id));
        Ok(claimed)
    }

    /// Records what happened to attempts, in one transaction.
    pub async fn finish_deliveries(&self, done: &[(Id, Claim, Outcome)], now: Timestamp) -> Result<()> {
        let mut tx = self.begin_at_once().await?;
        for (id, claim, outcome) in done {
            let (state, due_at, finished_at, error) = match outcome {
                Outcome::NotTried => {
                    give_back(&mut tx, *id, claim).await?;
                    continue;
                }
                Outcome::Sent => ("sent", None, millis(now), ""),
                Outcome::Again { at, error } => ("waiting", Some(*at), 0, error.as_str()),
                Outcome::Dead { error } => ("dead", None, millis(now), error.as_str()),
            };
            sqlx::query(
                "UPDATE outbox SET state = $1, due_at = CASE WHEN $2 = 0 THEN due_at ELSE $2 END, finished_at = $3, error = $4, \
                 lease_owner = '', lease_until = 0 WHERE id = $5 AND lease_owner = $6 AND fence = $7 \
                 AND (state = 'waiting' OR $1 = 'sent')",
            )
            .bind(state)
            .bind(or_never(due_at))
            .bind(finished_at)
            .bind(error)
            .bind(id.0)
            .bind(&claim.owner)
            .bind(claim.fence)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// When the next waiting row is due that is not of a route and recipient that is `busy`.
    pub async fn next_delivery_due(&self, busy: &[(String, String)]) -> Result<Option<Timestamp>> {
        let sql = format!(
            "SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM outbox WHERE state = 'waiting' {}",
            none_of(busy, 1)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (route, recipient) in busy {
            query = query.bind(route).bind(recipient);
        }
        let found = query.fetch_one(&self.reader).await?;
        Ok(found.get::<Option<i64>, _>(0).map(some_time))
    }

    /// Rows in the given state ("" = all), the newest `limit`.
    pub async fn outbox(&self, state: &str, limit: usize) -> Result<Vec<OutboxRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE ($1 = '' OR state = $1) ORDER BY created_at DESC, id DESC LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(state).bind(limit as i64).fetch_all(&self.reader).await?;
        Ok(rows.iter().rev().map(row).collect())
    }

    /// The message that tells this recipient of a story on this route.
    pub async fn told_by(&self, route: &str, recipient: &str, story: Id) -> Result<Option<OutboxRow>> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id IN ({TOLD_ROW})");
        let found = sqlx::query(AssertSqlSafe(sql)).bind(story.0).bind(route).bind(recipient);
        Ok(found.fetch_optional(&self.reader).await?.as_ref().map(row))
    }

    /// Rows that tell of an item, by time.
    pub async fn outbox_of_item(&self, item: Id) -> Result<Vec<OutboxRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE id IN (SELECT outbox_id FROM outbox_hits WHERE item_id = $1) ORDER BY created_at, id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(item.0).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(row).collect())
    }

    /// How many rows are in each state.
    pub async fn outbox_counts(&self) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query("SELECT state, count(*) FROM outbox GROUP BY state ORDER BY state")
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The operator's word on a row: try again now, or discard. Only rows that are waiting or dead; false when there is none.
    pub async fn decide_outbox(&self, id: Id, retry: bool, now: Timestamp) -> Result<bool> {
        let statement = if retry {
            "UPDATE outbox SET state = 'waiting', due_at = $1, finished_at = 0, attempts = 0 WHERE id = $2 AND state IN ('waiting', 'dead')"
        } else {
            "UPDATE outbox SET state = 'discarded', finished_at = $1 WHERE id = $2 AND state IN ('waiting', 'dead')"
        };
        let done = sqlx::query(statement).bind(millis(now)).bind(id.0).execute(&self.writer).await?;
        Ok(done.rows_affected() == 1)
    }
}
