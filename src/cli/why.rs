//! `newswatch why ID|URL`: an item through every stage.

use std::io::Write;
use std::process::ExitCode;

use super::Global;
use crate::config::Config;
use crate::matcher;
use crate::model::{ArticleState, Id, Item, Reason};
use crate::plain;
use crate::poller::identity;
use crate::store::Store;

/// Arguments of `newswatch why`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Id of an item as `newswatch hits` prints it, or its address
    item: String,
}

/// Explains it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let items = match arguments.item.parse::<Id>() {
            Ok(id) => store.item(id).await?.into_iter().collect(),
            Err(_) => store.items_by_link(identity::link(&arguments.item)).await?,
        };
        let mut out = anstream::stdout().lock();
        if items.is_empty() {
            not_seen(&mut out, &store, &arguments.item).await?;
            return Ok(ExitCode::FAILURE);
        }
        for item in &items {
            explain(&mut out, &store, &config, item).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn explain(out: &mut impl Write, store: &Store, config: &Config, item: &Item) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}{}{bold:#}", plain::line(&item.title, 300))?;
    writeln!(out, "item      {} of source {}, key {}", item.id, item.source, plain::line(&item.key, 200))?;
    if let Some(url) = &item.url {
        writeln!(out, "address   {}", plain::line(url, 2_000))?;
    }
    writeln!(out, "published {}", super::show_time(item.published_at))?;
    let backlog = if item.backlog { ", at the first contact with its source: backlog, nobody is told" } else { "" };
    writeln!(out, "seen      first {}{backlog}", super::show_time(Some(item.first_seen_at)))?;
    let words = |text: &str| text.split_whitespace().count();
    let article = match item.article_state {
        ArticleState::NotWanted => "the source does not ask for article pages".to_string(),
        ArticleState::Read => format!("article page of {} words", words(&item.article)),
        ArticleState::Unread if item.article_problem.is_empty() => "article page not read yet".to_string(),
        ArticleState::Unread => {
            format!("article page not read: {}; matched on summary only", plain::line(&item.article_problem, 300))
        }
    };
    writeln!(
        out,
        "text      summary of {} words, content of {} words, {article}",
        words(&item.summary),
        words(&item.content)
    )?;
    for copy in store.copies(item.id, 20).await? {
        writeln!(
            out,
            "story     also {} of source {}, first seen {}",
            copy.id,
            copy.source,
            super::show_time(Some(copy.first_seen_at))
        )?;
    }
    if store.is_unscored(item.id).await? {
        writeln!(out, "matching  it waits to be scored")?;
    }
    for hit in store.hits_of_item(item.id).await? {
        writeln!(
            out,
            "\n{bold}hit{bold:#} of profile {} version {}, found {}: score {} against {}",
            hit.profile,
            hit.profile_version,
            super::show_time(Some(hit.found_at)),
            hit.score,
            hit.threshold
        )?;
        reasons(out, &hit.reasons, hit.score)?;
    }
    for row in store.outbox_of_item(item.id).await? {
        let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
        let state = match row.state.as_str() {
            "waiting" => format!("due {}", super::show_time(Some(row.due_at))),
            state => format!("{state} {}", super::show_time(row.finished_at)),
        };
        let error = if row.error.is_empty() { String::new() } else { format!(": {}", plain::line(&row.error, 300)) };
        writeln!(
            out,
            "delivery  {} {} of route {}{to}, {state}, {} attempts{error}",
            row.kind.as_str(),
            row.id,
            row.route,
            row.attempts
        )?;
    }
    writeln!(out, "\nwith the profiles and frequencies of now:")?;
    let scores = matcher::explain(store, config, item).await?;
    for profile in &config.profiles {
        match scores.iter().find(|score| score.profile == profile.name) {
            None => writeln!(out, "{bold}{}{bold:#}: nothing of this profile occurs", profile.name)?,
            Some(score) => {
                let missing = if score.hit {
                    "a hit".to_string()
                } else {
                    format!("{:.3} short of a hit", score.threshold - score.score)
                };
                writeln!(
                    out,
                    "{bold}{}{bold:#}: score {:.3} against {:.3}, {missing}",
                    score.profile, score.score, score.threshold
                )?;
                reasons(out, &score.reasons, score.score)?;
            }
        }
    }
    Ok(())
}

fn reasons(out: &mut impl Write, reasons: &[Reason], score: f64) -> std::io::Result<()> {
    for reason in reasons.iter().take(15) {
        let share = 100.0 * reason.share / score.max(f64::MIN_POSITIVE);
        writeln!(
            out,
            "  {share:5.1} %  {} ({}x)  {}",
            plain::line(&reason.term, 60),
            reason.count,
            plain::line(&reason.context, 200)
        )?;
    }
    if reasons.len() > 15 {
        writeln!(out, "  and {} weaker ones", reasons.len() - 15)?;
    }
    Ok(())
}

/// What can be said of something that no source ever showed.
async fn not_seen(out: &mut impl Write, store: &Store, what: &str) -> anyhow::Result<()> {
    writeln!(out, "{} was never seen.", plain::line(what, 500))?;
    let host = url::Url::parse(what).ok().and_then(|url| url.host_str().map(str::to_string));
    let Some(host) = host else { return Ok(()) };
    let site = host.trim_start_matches("www.");
    let mut any = false;
    for source in store.sources().await? {
        if source.host == host || source.host.ends_with(&format!(".{site}")) || source.host == site {
            any = true;
            writeln!(
                out,
                "Source {} is of the same site: {}, last read {}, next visit {}{}",
                source.name,
                source.health.as_str(),
                super::show_time(source.succeeded_at),
                super::show_time(Some(source.next_at)),
                if source.error.is_empty() { String::new() } else { format!("; {}", plain::line(&source.error, 300)) }
            )?;
        }
    }
    if !any {
        writeln!(
            out,
            "No configured source is of the site {}. (newswatch probe finds what could be watched there.)",
            plain::line(&host, 200)
        )?;
    }
    Ok(())
}
