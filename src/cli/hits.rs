//! `newswatch hits`: what was found, with reasons; `-f` follows like tail.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Global;
use crate::config::section::parse_duration;
use crate::model::{Hit, Id};
use crate::plain;
use crate::store::hits::HitFilter;

/// How often a follower looks.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `newswatch hits`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only of this profile
    #[arg(long)]
    profile: Option<String>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only found since: a time (2026-11-21T08:00:00Z) or a length of time ("2d")
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Leave out what was read at a first contact with its source
    #[arg(long)]
    no_backlog: bool,
    /// At most so many, the newest
    #[arg(short = 'n', long, default_value_t = 1_000)]
    limit: usize,
    /// Wait for more, like tail -f
    #[arg(short, long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Lists hits.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let mut filter = HitFilter {
        profile: arguments.profile.clone(),
        source: arguments.source.clone(),
        since: arguments.since.as_deref().map(since).transpose()?,
        after: None,
        without_backlog: arguments.no_backlog,
        limit: arguments.limit,
    };
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        loop {
            let hits = store.hits(&filter).await?;
            {
                let mut out = anstream::stdout().lock();
                for hit in &hits {
                    if arguments.json { writeln!(out, "{}", as_json(hit))? } else { print(&mut out, hit)? }
                }
                out.flush()?;
            }
            if !arguments.follow {
                return Ok(ExitCode::SUCCESS);
            }
            // What comes from now on is shown whole, however much comes at once.
            filter.limit = 1_000_000;
            if let Some(last) = hits.last() {
                filter.after = Some((last.found_at, last.item.id));
            } else if filter.after.is_none() {
                filter.after = Some((Timestamp::UNIX_EPOCH, Id(-1)));
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
                _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

fn since(text: &str) -> anyhow::Result<Timestamp> {
    if let Some(length) = parse_duration(text) {
        return Ok(super::now() - jiff::SignedDuration::try_from(length)?);
    }
    text.parse().map_err(|_| {
        anyhow::anyhow!("--since {text:?} is neither a time (2026-11-21T08:00:00Z) nor a length of time (2d)")
    })
}

/// A hit as a person reads it.
pub(super) fn print(out: &mut impl Write, hit: &Hit) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    let dim = anstyle::Style::new().dimmed();
    let item = &hit.item;
    let backlog = if item.backlog { ", backlog" } else { "" };
    writeln!(
        out,
        "{dim}{}{dim:#}  {bold}{}{bold:#}  {:.2} of {:.2}{backlog}",
        super::show_time(Some(hit.found_at)),
        hit.profile,
        hit.score,
        hit.threshold
    )?;
    writeln!(out, "  {bold}{}{bold:#}", plain::line(&item.title, 300))?;
    let publisher =
        if item.publisher.is_empty() { String::new() } else { format!("{}, by ", plain::line(&item.publisher, 100)) };
    writeln!(out, "  {publisher}{}, published {}", item.source, super::show_time(item.published_at))?;
    let why: Vec<String> = hit
        .reasons
        .iter()
        .take(6)
        .map(|reason| {
            format!(
                "{} {:.0} %",
                plain::line(&reason.term, 60),
                100.0 * reason.share / hit.score.max(f64::MIN_POSITIVE)
            )
        })
        .collect();
    writeln!(out, "  why: {}", why.join(", "))?;
    if let Some(url) = &item.url {
        writeln!(out, "  {}", plain::line(url, 2_000))?;
    }
    writeln!(out, "  {dim}newswatch why {}{dim:#}", item.id)
}

/// A hit as one JSON object; the keys are a contract.
pub(super) fn as_json(hit: &Hit) -> serde_json::Value {
    let item = &hit.item;
    json!({
        "id": item.id,
        "profile": hit.profile,
        "profile_version": hit.profile_version,
        "score": hit.score,
        "threshold": hit.threshold,
        "found": hit.found_at,
        "backlog": item.backlog,
        "source": item.source,
        "publisher": item.publisher,
        "title": item.title,
        "url": item.url,
        "published": item.published_at,
        "first_seen": item.first_seen_at,
        "language": item.language,
        "article": item.article_state,
        "reasons": hit.reasons,
    })
}
