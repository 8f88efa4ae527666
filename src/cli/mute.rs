//! `newswatch mute`: nothing is told of a profile, a source or a story until a time, for a reason.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Global;
use crate::config::Config;
use crate::config::section::{nearest, parse_duration};
use crate::model::{Id, Mute, MuteKind};
use crate::plain;
use crate::store::Store;

/// A mute ends by itself; one that is meant for ever belongs into the configuration.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Longer reasons are cut.
const REASON_CHARACTERS_MAX: usize = 500;

/// Arguments of `newswatch mute`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell nothing of a profile, a source or a story until a time; hits are kept and counted
    Add(Add),
    /// List the mutes in force
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// End a mute now
    Remove {
        /// Id of the mute
        id: Id,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    end: End,
    /// Why: shown in digests and by `newswatch why`
    #[arg(short = 'm', long = "reason", value_name = "REASON")]
    reason: String,
    /// Who says so [default: $USER, else the login name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Hits of this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Hits from this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// This story: its id, or the id of one of its items
    #[arg(long, value_name = "ID")]
    story: Option<Id>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct End {
    /// Until a time (2026-12-01T08:00:00+01:00) or the beginning of a day, UTC (2026-12-01)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// For a length of time ("3d", "12h")
    #[arg(long = "for", value_name = "LENGTH")]
    length: Option<String>,
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let now = super::now();
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let mut out = std::io::stdout().lock();
        match &arguments.command {
            Command::Add(add) => {
                let (mute, what) = read(add, &config, &store, now).await?;
                store.add_mute(&mute).await?;
                writeln!(
                    out,
                    "{}  nothing is told of {what} until {} ({}); hits are kept and counted. newswatch mute remove {} ends it.",
                    mute.id,
                    super::show_time(Some(mute.until)),
                    super::show_distance(mute.until, now),
                    mute.id
                )?;
            }
            Command::List { all, json } => {
                for (mute, hits) in store.mute_history(super::outbox::LIST_MAX).await? {
                    if !all && !mute.is_in_force(now) {
                        continue;
                    }
                    if *json {
                        writeln!(out, "{}", json!({ "mute": mute, "hits": hits, "in_force": mute.is_in_force(now) }))?;
                    } else {
                        writeln!(out, "{}", plain::line(&in_words(&mute, hits, now), 1_000))?;
                    }
                }
            }
            Command::Remove { id } => match store.end_mute(*id, now).await? {
                Some(mute) => writeln!(out, "{id}  {} {} is told again from now on", mute.kind.as_str(), mute.name)?,
                None => bail!("no mute {id} is in force (newswatch mute list)"),
            },
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The mute that the arguments ask for, and what is muted in words.
async fn read(add: &Add, config: &Config, store: &Store, now: Timestamp) -> anyhow::Result<(Mute, String)> {
    let reason = plain::line(&add.reason, REASON_CHARACTERS_MAX);
    if reason.is_empty() {
        bail!("say with -m why: others see the reason in digests and wonder otherwise");
    }
    let until = until(&add.end, now)?;
    let (kind, name, what) = match (&add.what.profile, &add.what.source, &add.what.story) {
        (Some(name), _, _) => {
            check_known("profile", name, config.profiles.iter().map(|profile| profile.name.as_str()))?;
            (MuteKind::Profile, name.clone(), format!("the profile {name}"))
        }
        (_, Some(name), _) => {
            check_known("source", name, config.sources.iter().map(|source| source.name.as_str()))?;
            (MuteKind::Source, name.clone(), format!("the source {name}"))
        }
        (_, _, Some(id)) => match store.story_named(*id).await? {
            Some((story, title)) => {
                (MuteKind::Story, story.to_string(), format!("the story {story} ({})", plain::line(&title, 200)))
            }
            None => bail!("no story or item {id} is known; `newswatch hits` lists items"),
        },
        (None, None, None) => bail!("say what: --profile NAME, --source NAME or --story ID"),
    };
    let author = super::verdict::author(add.author.as_deref());
    let id = Id::of(&["mute", kind.as_str(), &name, &author, &now.to_string()]);
    Ok((Mute { id, kind, name, from: now, until, reason, author }, what))
}

fn until(end: &End, now: Timestamp) -> anyhow::Result<Timestamp> {
    let until = match (&end.until, &end.length) {
        (Some(text), _) => super::parse_time(text).ok_or_else(|| {
            anyhow::anyhow!("--until {text:?} is neither a time (2026-12-01T08:00:00Z) nor a day (2026-12-01)")
        })?,
        (None, Some(text)) => {
            let length = parse_duration(text).and_then(|length| SignedDuration::try_from(length).ok());
            let end = length.and_then(|length| now.checked_add(length).ok());
            end.ok_or_else(|| {
                anyhow::anyhow!("--for {text:?} is no length of time; write one such as \"3d\" or \"12h\"")
            })?
        }
        (None, None) => bail!("say until when: --until TIME or --for LENGTH"),
    };
    if until <= now {
        bail!("{} is over already", super::show_time(Some(until)));
    }
    if until.duration_since(now) > LONGEST {
        bail!("a mute lasts a year at most; what is never told of is better taken out of the configuration");
    }
    Ok(until)
}

fn check_known<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> anyhow::Result<()> {
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    match nearest(name, known) {
        Some(near) => bail!("there is no {what} {name:?}; did you mean {near:?}?"),
        None => bail!("there is no {what} {name:?} (newswatch check lists them)"),
    }
}

fn in_words(mute: &Mute, hits: i64, now: Timestamp) -> String {
    let end = if now < mute.until { "until" } else { "over since" };
    format!(
        "{}  {} {}, {end} {} ({}), {} not told, by {} on {}: {}",
        mute.id,
        mute.kind.as_str(),
        mute.name,
        super::show_time(Some(mute.until)),
        super::show_distance(mute.until, now),
        super::counted(hits.max(0) as usize, "hit"),
        mute.author,
        super::show_time(Some(mute.from)),
        mute.reason
    )
}
