//! `newswatch search`: everything stored, hits and others, found again by what it says.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::Global;
use crate::matcher::search::Query;
use crate::model::{Hit, Id, Item, Reason};
use crate::notifier::compose::passage::{Passage, passages};
use crate::plain;
use crate::search::{Answer, Order, Page, find};
use crate::store::search::{IndexState, SearchFilter};

/// Arguments of `newswatch search`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Words and phrases are found as in a profile: as written, whatever their case; a * lets the last word go on \
                        (sanction*), Russian words and Korean particles are seen through, = in front takes them literally.\n\n  \
                        newswatch search 'garantex OR grinex'\n  \
                        newswatch search '\"observer seat\" -football'\n  \
                        newswatch search 'concept:north-korea NEAR/10 (bank OR exchange*)' --since 30d\n  \
                        newswatch search 'title:FATF' --hits --sort best"
)]
pub struct Arguments {
    /// What is looked for: words, "phrases", concept:NAME, title:WORD, NEAR, NEAR/5, NEAR/sentence, AND, OR, NOT or -, ( )
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only hits of this profile
    #[arg(long)]
    profile: Option<String>,
    /// Only hits
    #[arg(long)]
    hits: bool,
    /// Only first seen since: a time (2026-11-21T08:00:00Z), a day, or a length of time ("2d")
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only first seen before
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// In which order
    #[arg(long, value_enum, default_value = "newest")]
    sort: Sort,
    /// At most so many on a page
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// Which page
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    page: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The newest first.
    Newest,
    /// Those first that say most of it.
    Best,
}

/// Finds items. Exit code 1 when there are none.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let when =
        |option: &str, text: &Option<String>| text.as_deref().map(|text| super::parse_when(option, text)).transpose();
    let filter = SearchFilter {
        source: arguments.source.clone(),
        profile: arguments.profile.clone(),
        hits: arguments.hits,
        since: when("--since", &arguments.since)?,
        until: when("--until", &arguments.until)?,
    };
    if !config.store.search {
        anyhow::bail!(
            "search is switched off: set `search = true` in [store] and start newswatch, which makes the index"
        );
    }
    let mut query = Query::read(&arguments.query.join(" "), &config.aliases, &config.profiles)?;
    let page = Page {
        order: if arguments.sort == Sort::Best { Order::Best } else { Order::Newest },
        skip: (arguments.limit * (arguments.page - 1)) as usize,
        count: arguments.limit as usize,
    };
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        for note in query.notes() {
            say(note)?;
        }
        let answer = find(&store, &mut query, &filter, page).await?;
        let ids: Vec<Id> = answer.items.iter().map(|(item, _)| item.id).collect();
        let mut hits: BTreeMap<Id, Vec<Hit>> = BTreeMap::new();
        for id in &ids {
            hits.insert(*id, store.hits_of_item(*id).await?.into_iter().filter(|hit| !hit.shadow).collect());
        }
        let mut out = anstream::stdout().lock();
        for (item, reasons) in &answer.items {
            let hits = hits.get(&item.id).map(Vec::as_slice).unwrap_or_default();
            if arguments.json {
                writeln!(out, "{}", as_json(item, reasons, hits))?;
            } else {
                print(&mut out, item, reasons, hits)?;
            }
        }
        out.flush()?;
        drop(out);
        // What is wanted may all be in an index that is not whole.
        let since = filter.since;
        match store.index_state().await? {
            IndexState::Lacks { before } if since.is_none_or(|since| since <= before) => {
                let what = if before <= super::now() {
                    format!("only what was first seen after {} is", super::show_time(Some(before)))
                } else if store.indexed_count().await? > 0 {
                    "only what came in last is".to_string()
                } else {
                    "nothing is".to_string()
                };
                say(&format!(
                    "{what} indexed yet: the daemon goes on with it, or `newswatch store index` does it now"
                ))?;
            }
            _ => {}
        }
        say_end(&answer, arguments)?;
        Ok(if answer.items.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

/// What is no result goes to standard error.
fn say(text: &str) -> std::io::Result<()> {
    writeln!(anstream::stderr().lock(), "{}", plain::line(text, 1_000))
}

fn say_end(answer: &Answer, arguments: &Arguments) -> std::io::Result<()> {
    let stopped = answer.stopped_at.map(|at| super::show_time(Some(at)));
    match (stopped, arguments.sort) {
        (Some(at), Sort::Best) => say(&format!(
            "these are the best of what was first seen since {at}; --until {} looks further back",
            at.replace(' ', "T")
        ))?,
        (Some(at), Sort::Newest) => say(&format!(
            "looking ended at what was first seen at {at}: there is too much that only looks like it; narrow the query, or look \
             further back with --until {}",
            at.replace(' ', "T")
        ))?,
        (None, _) => {}
    }
    if answer.items.is_empty() && answer.stopped_at.is_none() {
        say(if arguments.page > 1 { "no more" } else { "nothing found" })?;
    }
    if answer.more && !arguments.json {
        say(&format!("there are more: --page {}", arguments.page + 1))?;
    }
    Ok(())
}

/// An item as a person reads it.
fn print(out: &mut impl Write, item: &Item, reasons: &[Reason], hits: &[Hit]) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    let dim = anstyle::Style::new().dimmed();
    let found: Vec<String> = hits
        .iter()
        .map(|hit| format!("{} {:.2} of {:.2}", plain::line(&hit.profile, 64), hit.score, hit.threshold))
        .collect();
    let found = if found.is_empty() { "no hit".to_string() } else { format!("{bold}{}{bold:#}", found.join(", ")) };
    writeln!(out, "{dim}{}{dim:#}  {found}", super::show_time(Some(item.first_seen_at)))?;
    writeln!(out, "  {bold}{}{bold:#}", plain::line(&item.title, 300))?;
    let publisher =
        if item.publisher.is_empty() { String::new() } else { format!("{}, by ", plain::line(&item.publisher, 100)) };
    let source = plain::line(&item.source, 64);
    writeln!(out, "  {publisher}{source}, published {}", super::show_time(item.published_at))?;
    for passage in passages(item, reasons) {
        // Made safe to show already.
        let shown = passage
            .iter()
            .map(|piece| if piece.marked { format!("{bold}{}{bold:#}", piece.text) } else { piece.text.clone() });
        writeln!(out, "  {}", shown.collect::<String>())?;
    }
    if let Some(url) = &item.url {
        writeln!(out, "  {}", plain::line(url, 2_000))?;
    }
    writeln!(out, "  {dim}newswatch why {}{dim:#}", item.id)
}

/// An item as one JSON object; the keys are a contract.
fn as_json(item: &Item, reasons: &[Reason], hits: &[Hit]) -> serde_json::Value {
    let text = |passage: &Passage| passage.iter().map(|piece| piece.text.as_str()).collect::<String>();
    json!({
        "id": item.id,
        "source": item.source,
        "publisher": item.publisher,
        "title": item.title,
        "url": item.url,
        "published": item.published_at,
        "first_seen": item.first_seen_at,
        "language": item.language,
        "article": item.article_state,
        "backlog": item.backlog,
        "snippets": passages(item, reasons).iter().map(text).collect::<Vec<String>>(),
        "hits": hits.iter().map(|hit| json!({
            "profile": hit.profile, "score": hit.score, "threshold": hit.threshold, "shadow": hit.shadow,
        })).collect::<Vec<_>>(),
    })
}
