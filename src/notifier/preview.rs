//! Messages that are only looked at: what the next digest would say, what a stored row says now. Nothing is stored.

use jiff::{SignedDuration, Timestamp};

use super::compose::{self, Composed, PREVIEW};
use super::gather;
use crate::config::Config;
use crate::config::route::{RouteConfig, When};
use crate::model::{DeliveryKind, Id, OutboxRow};
use crate::store::{self, Store};

/// The window of the route's next digest after `at`; `None` for a route that sends none.
pub fn next_window(route: &RouteConfig, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    match &route.when {
        When::Digest { schedule, .. } => {
            let to = schedule.next_after(at);
            Some((schedule.last_before_or_at(to - SignedDuration::from_millis(1)), to))
        }
        When::AtOnce | When::Grouped(_) => None,
    }
}

/// The row of the next digest after `at`, as it is stored or as it would be made; `None` for a route that sends none.
pub async fn next_digest(
    store: &Store,
    route: &RouteConfig,
    recipient: &str,
    at: Timestamp,
) -> store::Result<Option<OutboxRow>> {
    let Some((from, to)) = next_window(route, at) else { return Ok(None) };
    if let Some(row) = store.digest_of_window(&route.name, recipient, to).await? {
        return Ok(Some(row));
    }
    // One that was sent by hand moves the beginning.
    let from =
        store.told_until(&route.name, recipient).await?.filter(|told| *told > from && *told < to).unwrap_or(from);
    Ok(Some(OutboxRow {
        // No row has it: the parts of others begin with another word.
        id: Id::of(&[PREVIEW, &route.name, recipient, &to.to_string()]),
        route: route.name.clone(),
        recipient: recipient.to_string(),
        kind: DeliveryKind::Digest,
        window_from: Some(from),
        window_to: Some(to),
        created_at: at,
        due_at: to,
        state: PREVIEW.to_string(),
        attempts: 0,
        finished_at: None,
        error: String::new(),
    }))
}

/// What the row's message says now. `everything`: with nothing left out.
pub async fn compose_row(
    store: &Store,
    config: &Config,
    route: &RouteConfig,
    row: &OutboxRow,
    everything: bool,
    now: Timestamp,
) -> store::Result<Composed> {
    let ingredients = gather::gather(store, config, route, row, everything, now).await?;
    Ok(compose::compose(ingredients, config.templates()))
}

/// The HTML of a message as a page of its own: what a mail says in its headers, a file says in its head.
pub fn as_page(html: &str) -> String {
    let head = "<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    html.replacen("<head>\n", &format!("<head>\n{head}"), 1)
}
