//! `newswatch source`: list, show, test, pause, resume, import, export.

mod opml;
mod test;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::Global;
use crate::config::Config;
use crate::config::section::show_duration;
use crate::health;
use crate::model::{Health, Pace, SourceState, Timestamp};
use crate::plain;

/// Arguments of `newswatch source`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// All sources: state, last good visit, next visit and why then, last error
    List {
        /// Only those that cannot be read
        #[arg(long)]
        failing: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Everything known of one source
    Show {
        /// Name of the source
        name: String,
    },
    /// What the source would give now; changes nothing
    Test {
        /// Name of the source
        name: String,
    },
    /// The sources of an OPML file, as configuration to paste into sources.d; groups are kept
    Import {
        /// The OPML file
        file: PathBuf,
    },
    /// All configured sources as OPML 2.0: name, title, address, group, language and selectors
    Export,
    /// Do not ask a source until it is resumed
    Pause {
        /// Name of the source
        name: String,
    },
    /// Ask a paused source again
    Resume {
        /// Name of the source
        name: String,
    },
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // A list is where a configuration may begin.
    if let Command::Import { file } = &arguments.command {
        return opml::import(global, file);
    }
    let config = super::load_config(global)?;
    super::block_on(async move {
        match &arguments.command {
            Command::Import { file } => opml::import(global, file),
            Command::Export => opml::export(&config),
            Command::List { failing, json } => list(&config, *failing, *json).await,
            Command::Show { name } => show(&config, name).await,
            Command::Test { name } => test::test(&config, name).await,
            Command::Pause { name } => pause(&config, name, true).await,
            Command::Resume { name } => pause(&config, name, false).await,
        }
    })
}

fn state(source: &SourceState) -> &'static str {
    if source.paused { "paused" } else { source.health.as_str() }
}

/// When it is asked next, in words.
fn next_visit(source: &SourceState, now: Timestamp) -> String {
    if source.paused || source.health == Health::Retired {
        return "never".to_string();
    }
    super::show_distance(source.next_at, now)
}

/// The name of its trouble and the error in words; also where it moved, which somebody should write down.
fn trouble(source: &SourceState) -> String {
    let mut text = source.fault.map_or(String::new(), |fault| format!("{}: ", fault.as_str()));
    text.push_str(&plain::line(&source.error, 200));
    if let Some(moved) = source.moved.as_ref().filter(|moved| moved.is_proven()) {
        let gap = if text.is_empty() { "" } else { "; " };
        text.push_str(&format!("{gap}moved for good, proposed new address: {}", plain::line(&moved.url, 200)));
    }
    text
}

async fn list(config: &Config, failing: bool, json: bool) -> anyhow::Result<ExitCode> {
    let store = super::open_store(config).await?;
    let sources = store.sources().await?;
    let now = super::now();
    let mut out = std::io::stdout().lock();
    let shown = sources.iter().filter(|source| !failing || source.is_in_trouble());
    if json {
        for source in shown {
            writeln!(out, "{}", serde_json::to_string(source)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "source",
        "state",
        "items",
        "last read",
        "next visit",
        "why then",
        "last error",
    ]);
    for source in shown {
        table.add_row([
            source.name.clone(),
            state(source).to_string(),
            source.items.to_string(),
            source.succeeded_at.map_or("never".to_string(), |at| super::show_distance(at, now)),
            next_visit(source, now),
            source.next_reason.clone(),
            trouble(source),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    if sources.is_empty() {
        writeln!(
            out,
            "The store knows no source yet: newswatch run reads the configuration's {}.",
            super::counted(config.sources.len(), "source")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(config: &Config, name: &str) -> anyhow::Result<ExitCode> {
    let configured = find(config, name)?;
    let store = super::open_store(config).await?;
    let found = store.sources().await?.into_iter().find(|source| source.name == name);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name}: {}", plain::line(&configured.title, 300))?;
    writeln!(out, "configured  {}{}", configured.place, if configured.enabled { "" } else { ", disabled" })?;
    writeln!(out, "address     {} ({})", configured.url, configured.reader.kind())?;
    let Some(source) = found else {
        writeln!(out, "never asked")?;
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(
        out,
        "state       {}{}",
        state(&source),
        if source.failures > 0 {
            format!(
                ", {} in a row since {}",
                super::counted(source.failures as usize, "failed visit"),
                super::show_time(source.failing_since)
            )
        } else {
            String::new()
        }
    )?;
    for (what, at) in [
        ("first read", source.baseline_at),
        ("last visit", source.attempted_at),
        ("last read", source.succeeded_at),
        ("last news", source.changed_at),
    ] {
        writeln!(out, "{what:<12}{}", super::show_time(at))?;
    }
    if source.asked_url() != source.url {
        writeln!(
            out,
            "moved       for good; it is asked at the new address, please put it into the configuration:\n            url = {:?}",
            plain::line(source.asked_url(), 2_000)
        )?;
    }
    let next = if source.health == Health::Retired { "never".into() } else { super::show_time(Some(source.next_at)) };
    writeln!(out, "next visit  {next}, because: {}", source.next_reason)?;
    for line in rhythm(&source.pace) {
        writeln!(out, "rhythm      {line}")?;
    }
    if let Some(words) = health::rhythm::in_words(&source.record.days, source.record.day) {
        writeln!(out, "rhythm      {words}")?;
    }
    writeln!(out, "items       {}", source.items)?;
    let validator = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or("none".to_string(), |bytes| plain::line(&String::from_utf8_lossy(bytes), 200))
    };
    writeln!(out, "ETag        {}", validator(&source.etag))?;
    writeln!(out, "Modified    {}", validator(&source.last_modified))?;
    if !source.error.is_empty() {
        writeln!(out, "error       {}", plain::line(&source.error, 1_000))?;
    }
    for open in store.conditions().await?.iter().filter(|open| open.about == name) {
        let since = super::show_time(Some(open.since));
        writeln!(out, "condition   {} since {since}: {}", open.condition.as_str(), plain::line(&open.detail, 1_000))?;
        writeln!(out, "            what to do: {}", plain::line(&open.advice, 500))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the source says and shows of its own rhythm.
fn rhythm(pace: &Pace) -> Vec<String> {
    let seconds = |seconds: u64| show_duration(Duration::from_secs(seconds));
    let minutes = |minutes: u32| seconds(u64::from(minutes) * 60);
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let lines = [
        pace.gap_seconds.map(|gap| format!("something new about every {}", seconds(gap.max(1)))),
        pace.window_seconds.map(|window| format!("its list reaches back {}", seconds(window.max(1)))),
        pace.fresh_seconds.map(|fresh| format!("its publisher called the last answer fresh for {}", seconds(fresh))),
        pace.ttl_minutes.map(|ttl| format!("it asks (ttl) for a pause of {}", minutes(ttl))),
        pace.update_minutes.map(|every| format!("it says that it is renewed every {}", minutes(every))),
        Some(&pace.skip_hours).filter(|hours| !hours.is_empty()).map(|hours| {
            let hours: Vec<String> = hours.iter().map(u8::to_string).collect();
            format!("it asks to leave out the hours (UTC) {}", hours.join(", "))
        }),
        Some(&pace.skip_days).filter(|days| !days.is_empty()).map(|skipped| {
            let names: Vec<&str> = skipped.iter().filter_map(|day| days.get(usize::from(*day)).copied()).collect();
            format!("it asks to leave out {}", names.join(", "))
        }),
    ];
    lines.into_iter().flatten().collect()
}

fn find<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Arc<crate::config::SourceConfig>> {
    config.sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let near = crate::config::section::nearest(name, config.sources.iter().map(|source| source.name.as_str()));
        let advice = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        anyhow::anyhow!("there is no source {}{advice}", plain::line(name, 100))
    })
}

async fn pause(config: &Config, name: &str, paused: bool) -> anyhow::Result<ExitCode> {
    find(config, name)?;
    let store = super::open_store(config).await?;
    if !store.pause_source(name, paused, super::now()).await? {
        anyhow::bail!(
            "source {name} is disabled or was never run: there is nothing to {}",
            if paused { "pause" } else { "resume" }
        );
    }
    writeln!(
        std::io::stdout().lock(),
        "{name} {}",
        if paused { "is paused until newswatch source resume" } else { "is asked again" }
    )?;
    Ok(ExitCode::SUCCESS)
}
