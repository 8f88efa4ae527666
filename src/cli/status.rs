//! `newswatch status`: one screen a tired person understands.

use std::io::Write;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Global;
use crate::daemon::{HEARTBEAT_NOTE, RELOAD_NOTE};
use crate::health::{self, Overall};
use crate::model::Health;
use crate::plain;

/// Arguments of `newswatch status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let now = super::now();
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let day = now - SignedDuration::from_hours(24);
        let sources = store.sources().await?;
        let (items, items_today) = store.item_counts(day).await?;
        let hits = store.hit_counts(day).await?;
        let unscored = store.unscored_count().await?;
        let outbox = store.outbox_counts().await?;
        let count = |state: &str| outbox.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
        let waiting = store.outbox("waiting", 1_000).await?;
        let overdue = waiting.iter().filter(|row| !row.error.is_empty()).count() as i64;
        let seen_at: Option<Timestamp> = store.noted(HEARTBEAT_NOTE).await?.and_then(|text| text.parse().ok());
        let (mut overall, mut reasons) = health::overall(&sources, count("dead"), overdue, seen_at, now);
        if let Some(failed) = store.noted(RELOAD_NOTE).await?.filter(|failed| !failed.is_empty()) {
            overall = overall.max(Overall::Degraded);
            reasons.push(format!("the last reload was refused, the old configuration is in force: {failed}"));
        }
        let coverage = health::coverage(&sources, items_today, day, now);
        let next = sources.iter().filter(|source| !source.paused).map(|source| source.next_at).min();
        let digest = config.routes.iter().filter_map(|route| route.next_digest(now).map(|at| (at, &route.name))).min();
        let code = match overall {
            Overall::Fine => ExitCode::SUCCESS,
            Overall::Degraded => ExitCode::from(1),
            Overall::Broken => ExitCode::from(2),
        };
        let mut out = anstream::stdout().lock();
        if arguments.json {
            let value = json!({
                "overall": overall, "reasons": reasons, "daemon_seen": seen_at, "coverage": coverage, "items": items,
                "unscored": unscored, "hits": hits.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "outbox": outbox.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "next_visit": next, "next_digest": digest.map(|(at, _)| at), "store": store.name(),
            });
            writeln!(out, "{value}")?;
            return Ok(code);
        }
        let style = match overall {
            Overall::Fine => anstyle::AnsiColor::Green.on_default().bold(),
            Overall::Degraded => anstyle::AnsiColor::Yellow.on_default().bold(),
            Overall::Broken => anstyle::AnsiColor::Red.on_default().bold(),
        };
        let word = match overall {
            Overall::Fine => "fine",
            Overall::Degraded => "degraded",
            Overall::Broken => "broken",
        };
        writeln!(out, "{style}{word}{style:#}")?;
        for reason in &reasons {
            writeln!(out, "  {}", plain::line(reason, 500))?;
        }
        let fine = sources.iter().filter(|source| source.health == Health::Fine).count();
        writeln!(
            out,
            "sources   {} configured, {fine} fine, {} failing, {} paused",
            sources.len(),
            coverage.failing.len(),
            coverage.paused.len()
        )?;
        writeln!(
            out,
            "          {} read in the last 24 h; next visit {}",
            coverage.read,
            next.map_or("never".to_string(), |at| super::show_distance(at, now))
        )?;
        writeln!(out, "items     {items} in all, {items_today} in the last 24 h, {unscored} not scored yet")?;
        let by_profile: Vec<String> = hits.iter().map(|(profile, count)| format!("{profile} {count}")).collect();
        writeln!(
            out,
            "hits      in the last 24 h: {}",
            if by_profile.is_empty() { "none".to_string() } else { by_profile.join(", ") }
        )?;
        writeln!(out, "messages  {} sent, {} waiting, {} given up", count("sent"), count("waiting"), count("dead"))?;
        if let Some((at, route)) = digest {
            writeln!(
                out,
                "digest    next {} ({route}, {})",
                super::show_distance(at, now),
                super::show_time(Some(at))
            )?;
        }
        writeln!(
            out,
            "daemon    last seen {}",
            seen_at.map_or("never".to_string(), |at| super::show_distance(at, now))
        )?;
        writeln!(out, "store     {}", store.name())?;
        Ok(code)
    })
}
