//! `newswatch hits`: what was found, with reasons; `-f` follows like tail.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Global;
use crate::model::{Hit, Id, Judgement, Relation};
use crate::plain;
use crate::store::hits::HitFilter;
use crate::store::verdicts;

/// How often a follower looks.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `newswatch hits`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only of this profile; the only way to see the hits of a shadow
    #[arg(long)]
    profile: Option<String>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only found since: a time (2026-11-21T08:00:00Z), a day, or a length of time ("2d")
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
    /// Comma-separated values, with a head line
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Lists hits.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let mut filter = HitFilter {
        profile: arguments.profile.clone(),
        source: arguments.source.clone(),
        since: arguments.since.as_deref().map(|text| super::parse_when("--since", text)).transpose()?,
        after: None,
        without_backlog: arguments.no_backlog,
        with_shadows: arguments.profile.is_some(),
        limit: arguments.limit,
    };
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        if arguments.csv {
            writeln!(anstream::stdout().lock(), "{}\r", CSV_HEAD.join(","))?;
        }
        loop {
            let hits = store.hits(&filter).await?;
            let ids: Vec<Id> = hits.iter().map(|hit| hit.item.id).collect();
            let all = store.verdicts_of(&ids).await?;
            let mut verdicts: BTreeMap<Id, Vec<&Judgement>> = BTreeMap::new();
            for judgement in verdicts::in_force(&all) {
                verdicts.entry(judgement.item).or_default().push(judgement);
            }
            {
                let mut out = anstream::stdout().lock();
                for hit in &hits {
                    let on_item = verdicts.get(&hit.item.id).map(Vec::as_slice).unwrap_or_default();
                    let own: Vec<&Judgement> =
                        on_item.iter().copied().filter(|judgement| judgement.profile == hit.profile).collect();
                    if arguments.json {
                        writeln!(out, "{}", as_json(hit, &own))?;
                    } else if arguments.csv {
                        writeln!(out, "{}\r", as_csv(hit, &own))?;
                    } else {
                        print(&mut out, hit, &own)?;
                    }
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

/// A hit as a person reads it.
pub(super) fn print(out: &mut impl Write, hit: &Hit, verdicts: &[&Judgement]) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    let dim = anstyle::Style::new().dimmed();
    let item = &hit.item;
    let backlog = if item.backlog { ", backlog" } else { "" };
    let shadow = if hit.shadow { ", on trial: nobody was told" } else { "" };
    writeln!(
        out,
        "{dim}{}{dim:#}  {bold}{}{bold:#}  {:.2} of {:.2}{backlog}{shadow}",
        super::show_time(Some(hit.found_at)),
        hit.profile,
        hit.score,
        hit.threshold
    )?;
    writeln!(out, "  {bold}{}{bold:#}", plain::line(&item.title, 300))?;
    let publisher =
        if item.publisher.is_empty() { String::new() } else { format!("{}, by ", plain::line(&item.publisher, 100)) };
    writeln!(out, "  {publisher}{}, published {}", item.source, super::show_time(item.published_at))?;
    if hit.relation != Relation::First {
        writeln!(out, "  {} in story {}", hit.relation.as_str(), hit.story)?;
    }
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
    if !verdicts.is_empty() {
        let said: Vec<String> = verdicts.iter().map(|judgement| in_words(judgement)).collect();
        writeln!(out, "  judged {}", said.join("; "))?;
    }
    if let Some(url) = &item.url {
        writeln!(out, "  {}", plain::line(url, 2_000))?;
    }
    writeln!(out, "  {dim}newswatch why {}{dim:#}", item.id)
}

/// A hit as one JSON object; the keys are a contract.
pub(super) fn as_json(hit: &Hit, verdicts: &[&Judgement]) -> serde_json::Value {
    let item = &hit.item;
    json!({
        "id": item.id,
        "story": hit.story,
        "relation": hit.relation,
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
        "shadow": hit.shadow,
        "verdict": verdicts.last().map(|judgement| judgement.verdict),
        "verdicts": verdicts,
        "reasons": hit.reasons,
    })
}

/// A verdict as people read it: "relevant (anna: the first report of it)".
pub(super) fn in_words(judgement: &Judgement) -> String {
    let note = match plain::line(&judgement.note, 300) {
        note if note.is_empty() => note,
        note => format!(": {note}"),
    };
    format!("{} ({}{note})", judgement.verdict.as_str(), plain::line(&judgement.author, 60))
}

/// The columns; a contract.
const CSV_HEAD: [&str; 14] = [
    "found",
    "profile",
    "profile_version",
    "score",
    "threshold",
    "backlog",
    "source",
    "publisher",
    "title",
    "url",
    "published",
    "id",
    "verdict",
    "verdict_note",
];

fn as_csv(hit: &Hit, verdicts: &[&Judgement]) -> String {
    let item = &hit.item;
    let last = verdicts.last();
    let cells = [
        hit.found_at.to_string(),
        hit.profile.clone(),
        hit.profile_version.to_string(),
        hit.score.to_string(),
        hit.threshold.to_string(),
        item.backlog.to_string(),
        item.source.clone(),
        item.publisher.clone(),
        item.title.clone(),
        item.url.clone().unwrap_or_default(),
        item.published_at.map_or(String::new(), |at| at.to_string()),
        item.id.to_string(),
        last.map_or("", |judgement| judgement.verdict.as_str()).to_string(),
        last.map_or(String::new(), |judgement| judgement.note.clone()),
    ];
    cells.map(|cell| plain::csv_cell(&cell)).join(",")
}
