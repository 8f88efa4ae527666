//! What each route made of a hit: told, held, listed, muted, or why not.

use std::io::Write;

use jiff::Timestamp;

use crate::cli::{counted, show_distance, show_time};
use crate::config::Config;
use crate::config::route::RouteConfig;
use crate::model::{DeliveryKind, Hit, Mute, OutboxRow};
use crate::plain;
use crate::store::{self, Store};

/// Says it, a line a route and recipient. Routes that do not tell of the profile are left out.
pub(super) async fn explain(
    out: &mut impl Write,
    store: &Store,
    config: &Config,
    hit: &Hit,
    now: Timestamp,
) -> anyhow::Result<()> {
    let rows = store.outbox_of_item(hit.item.id).await?;
    let mutes = store.mutes_of_item(hit.item.id).await?;
    let mute = mutes.iter().find(|(profile, _)| *profile == hit.profile).map(|(_, mute)| mute);
    let mut shown = Vec::new();
    for route in config.routes.iter().filter(|route| route.wants(&hit.profile)) {
        for recipient in route.recipients() {
            let row = rows.iter().find(|row| row.route == route.name && row.recipient == recipient);
            shown.extend(row.map(|row| row.id));
            let words = match row {
                Some(row) => in_words(row, now),
                None if hit.shadow => "not told: the profile was on trial".to_string(),
                None if hit.item.backlog => "not told: the first contact with its source showed it".to_string(),
                None => not_told(store, route, recipient, hit, mute, now).await?,
            };
            writeln!(out, "  {}: {}", to(&route.name, recipient), plain::line(&words, 500))?;
        }
    }
    for row in rows.iter().filter(|row| !shown.contains(&row.id)) {
        let words = in_words(row, now);
        writeln!(out, "  {}, as it was configured then: {}", to(&row.route, &row.recipient), plain::line(&words, 500))?;
    }
    Ok(())
}

async fn not_told(
    store: &Store,
    route: &RouteConfig,
    recipient: &str,
    hit: &Hit,
    mute: Option<&Mute>,
    now: Timestamp,
) -> store::Result<String> {
    if !route.band.holds(hit.strength()) {
        let strength = hit.strength();
        return Ok(format!(
            "not told: its strength is {strength:.2}, the route tells of hits {}",
            route.band.describe()
        ));
    }
    if let Some(mute) = mute {
        return Ok(format!(
            "not told: {} {} is muted until {} by {}: {} ({})",
            mute.kind.as_str(),
            mute.name,
            show_time(Some(mute.until)),
            mute.author,
            mute.reason,
            mute.id
        ));
    }
    let story = store.told_by(&route.name, recipient, hit.story).await?;
    Ok(match story {
        Some(row) => format!("its story was told before: {}", in_words(&row, now)),
        None => "not told: the route was not configured so when it was found".to_string(),
    })
}

fn to(route: &str, recipient: &str) -> String {
    if recipient.is_empty() { format!("route {route}") } else { format!("route {route} to {recipient}") }
}

/// What became of a message: "told by alert 0123456789ab, sent 2026-11-21 08:00:00Z".
fn in_words(row: &OutboxRow, now: Timestamp) -> String {
    let due = format!("due {} ({})", show_time(Some(row.due_at)), show_distance(row.due_at, now));
    let (kind, id) = (row.kind.as_str(), row.id);
    let finished = show_time(row.finished_at);
    let error = if row.error.is_empty() { String::new() } else { format!(": {}", row.error) };
    match (row.state.as_str(), row.kind) {
        ("sent", DeliveryKind::Overflow) => format!("over the day's budget: listed by {kind} {id}, sent {finished}"),
        ("sent", _) => format!("told by {kind} {id}, sent {finished}"),
        ("waiting", _) if row.attempts > 0 => {
            format!("{kind} {id} was tried {} and is {due}{error}", counted(row.attempts as usize, "time"))
        }
        ("waiting", DeliveryKind::Group) => format!("held for group {id}, {due}"),
        ("waiting", DeliveryKind::Overflow) => format!("over the day's budget: listed by {kind} {id}, {due}"),
        ("waiting", DeliveryKind::Digest) => format!("in digest {id}, {due}"),
        ("waiting", _) => format!("{kind} {id} is {due}"),
        ("dead", _) => format!("{kind} {id} was given up {finished}{error}"),
        (state, _) => format!("{kind} {id} was {state} {finished}{error}"),
    }
}
