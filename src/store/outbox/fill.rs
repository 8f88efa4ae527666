//! Which row tells of a hit: decided in the transaction that commits the hit, where it is certain what was told already.

use jiff::Timestamp;
use sqlx::{Any, Row};

use crate::model::{Budget, DeliveryKind, Hit, Id, NewDelivery, Relation, Way, Window};
use crate::store::{Engine, FILLED_MAX, Result, Transaction, engine_of, millis, or_never};

/// Many watchers may find copies of one story at the same moment: who makes or moves rows does so alone, until the transaction
/// ends. (SQLite has one writer anyway.)
pub(in crate::store) async fn lock(tx: &mut Transaction<'static, Any>) -> Result<()> {
    if engine_of(tx) == Engine::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock(5771191)").execute(&mut **tx).await?;
    }
    Ok(())
}

/// A row to be made.
#[derive(Clone, Copy)]
pub(super) struct NewRow<'a> {
    route: &'a str,
    recipient: &'a str,
    kind: DeliveryKind,
    window: Option<Window>,
    due_at: Timestamp,
}

/// Makes the row unless it is there.
pub(super) async fn insert(tx: &mut Transaction<'static, Any>, id: Id, new: &NewRow<'_>, now: Timestamp) -> Result<()> {
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
pub(in crate::store) async fn add(
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
pub(super) async fn is_open(tx: &mut Transaction<'static, Any>, id: Id) -> Result<bool> {
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

pub(super) const TOLD_ROW: &str = "SELECT o.id FROM hits h JOIN outbox_hits l ON l.item_id = h.item_id AND l.profile = h.profile \
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
    .bind(millis(budget.day_from.checked_sub(FILLED_MAX).unwrap_or(Timestamp::UNIX_EPOCH)))
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
pub(super) fn digest_id(route: &str, recipient: &str, until: Timestamp) -> Id {
    Id::of(&["digest", route, recipient, &until.as_millisecond().to_string()])
}

pub(super) fn digest<'a>(route: &'a str, recipient: &'a str, window: Window) -> NewRow<'a> {
    NewRow { route, recipient, kind: DeliveryKind::Digest, window: Some(window), due_at: window.until }
}

/// The row of this name, made if need be. When an attempt on it has begun (the operator sent it early, or its hour comes a second
/// time after the clock was set back) the next generation of it.
pub(super) async fn open_row(
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
