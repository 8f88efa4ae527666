//! `newswatch verdict ID relevant|not|known`: what an analyst says of an item.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;

use super::Global;
use crate::config::Config;
use crate::config::messages::Verdicts;
use crate::config::section::nearest;
use crate::model::{Hit, Item, Judgement, Verdict};
use crate::notifier::compose::token;
use crate::notifier::{answers, gather};
use crate::plain;
use crate::store::verdicts;

/// Longer notes are cut.
pub(super) const NOTE_CHARACTERS_MAX: usize = 2_000;
/// Longer names of authors are cut.
const AUTHOR_CHARACTERS_MAX: usize = 100;

/// A verdict as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    /// This is what the profile is for
    Relevant,
    /// It is not
    Not,
    /// On topic, but nothing new
    Known,
}

/// Arguments of `newswatch verdict`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Id of an item as `newswatch hits` prints it, or its address
    #[arg(required_unless_present = "token")]
    item: Option<String>,
    /// What you say of it
    #[arg(required_unless_present = "token")]
    verdict: Option<Word>,
    /// The token of a verdict link in a digest, in place of all else: it says item, profile, verdict and author
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["item", "verdict", "note", "profile", "author"])]
    token: Option<String>,
    /// Why, in your words
    #[arg(short = 'm', long = "note", value_name = "NOTE", default_value = "")]
    note: String,
    /// For which profile; may be left out when the item is a hit of exactly one
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Who says so [default: $USER, else the login name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read verdicts that came by mail out of a Maildir, as the daemon does with that of [verdicts]
    Read {
        /// Folder with new, cur and tmp [default: maildir of [verdicts]]
        maildir: Option<PathBuf>,
    },
}

/// Stores it; earlier ones are kept, the last of each author counts.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    if let Some(Command::Read { maildir }) = &arguments.command {
        return read(&config, maildir.as_deref());
    }
    if let Some(token) = &arguments.token {
        return take(&config, token);
    }
    let (Some(item), Some(verdict)) = (&arguments.item, arguments.verdict) else {
        bail!("say which item, and what you think of it");
    };
    let known: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
    let author = author(arguments.author.as_deref());
    super::block_on(async {
        let store = super::open_store(&config).await?;
        let items = super::find_items(&store, item).await?;
        let shown = plain::line(item, 500);
        if items.is_empty() {
            bail!(
                "no stored item is {shown}; `newswatch hits` lists the ids, `newswatch why {shown}` says what is known of it"
            );
        }
        let mut hits = Vec::new();
        for item in &items {
            hits.extend(store.hits_of_item(item.id).await?);
        }
        let (item, profile) =
            choose(&items, &hits, arguments.profile.as_deref(), &known).map_err(anyhow::Error::msg)?;
        let verdict = match verdict {
            Word::Relevant => Verdict::Relevant,
            Word::Not => Verdict::Not,
            Word::Known => Verdict::Known,
        };
        let judgement = Judgement {
            item: item.id,
            profile: profile.clone(),
            author: author.clone(),
            at: super::now(),
            verdict,
            note: plain::line(&arguments.note, NOTE_CHARACTERS_MAX),
        };
        store.judge(&judgement).await?;
        let all = store.verdicts_for(&profile).await?;
        let count = |verdict| verdicts::in_force(&all).iter().filter(|known| known.verdict == verdict).count();
        let hit = hits.iter().any(|hit| hit.item.id == item.id && hit.profile == profile);
        let missed = if hit { "" } else { " It is no hit of the profile, so it counts as missed." };
        let mut out = anstream::stdout().lock();
        writeln!(out, "{} for {profile}: {}.{missed}", verdict.as_str(), plain::line(&item.title, 200))?;
        writeln!(
            out,
            "{profile} has {} relevant, {} not, {} known; newswatch profile suggest {profile} says what they teach.",
            count(Verdict::Relevant),
            count(Verdict::Not),
            count(Verdict::Known)
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// How answers are checked, also where the configuration asks for none.
fn settings(config: &Config) -> Verdicts {
    let none = Verdicts { address: String::new(), maildir: None, senders: Vec::new(), key: None };
    config.verdicts.clone().unwrap_or(none)
}

/// Takes a verdict by the token of its link.
fn take(config: &Config, token: &str) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        let store = super::open_store(config).await?;
        let key = gather::key(&store, &settings(config)).await?.map_err(anyhow::Error::msg)?;
        let token = token::in_subject(token).unwrap_or(token.trim());
        let taken = answers::take(&store, &key, token, None, super::now()).await??;
        let known = if taken.is_new { "" } else { " That was known already." };
        let claim = &taken.claim;
        writeln!(
            anstream::stdout().lock(),
            "{} for {} by {}: {}.{known}",
            claim.verdict.as_str(),
            plain::line(&claim.profile, 64),
            plain::line(&claim.recipient, 100),
            taken.title
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Reads a Maildir once.
fn read(config: &Config, maildir: Option<&Path>) -> anyhow::Result<ExitCode> {
    let settings = settings(config);
    let Some(maildir) = maildir.or(settings.maildir.as_deref()) else {
        bail!("name a Maildir, or set `maildir` in [verdicts]");
    };
    super::block_on(async {
        let store = super::open_store(config).await?;
        let looked = answers::read(&store, &settings, maildir, super::now()).await?.map_err(anyhow::Error::msg)?;
        writeln!(
            anstream::stdout().lock(),
            "{} added, {} known already, {} refused (the log says why), {} for another run",
            super::counted(looked.added, "verdict"),
            looked.known,
            super::counted(looked.refused, "mail"),
            looked.waiting
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The item and profile that are meant; else what to do.
fn choose<'i>(
    items: &'i [Item],
    hits: &[Hit],
    wanted: Option<&str>,
    known: &[&str],
) -> Result<(&'i Item, String), String> {
    let mut profiles: Vec<&str> = hits.iter().map(|hit| hit.profile.as_str()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let profile = match (wanted, profiles.as_slice()) {
        (Some(wanted), _) if known.contains(&wanted) || profiles.contains(&wanted) => wanted,
        (Some(wanted), _) => {
            let wanted_shown = plain::line(wanted, 100);
            return Err(match nearest(wanted, known.iter().copied()) {
                Some(near) => format!("there is no profile {wanted_shown:?}; did you mean {near:?}?"),
                None => format!("there is no profile {wanted_shown:?}; there are: {}", known.join(", ")),
            });
        }
        (None, [only]) => only,
        (None, []) => {
            return Err(format!(
                "it is no hit of any profile; say with --profile which one should have found it: {}",
                known.join(", ")
            ));
        }
        (None, several) => {
            return Err(format!("it is a hit of {}; say which one is meant with --profile", several.join(" and of ")));
        }
    };
    // Of several items with one address the one that is a hit is meant.
    let is_hit = |item: &&Item| hits.iter().any(|hit| hit.item.id == item.id && hit.profile == profile);
    let matching: Vec<&Item> = items.iter().filter(is_hit).collect();
    match (matching.as_slice(), items) {
        ([only], _) => Ok((*only, profile.to_string())),
        ([], [only]) => Ok((only, profile.to_string())),
        (several, all) => {
            let several: Vec<&Item> = if several.is_empty() { all.iter().collect() } else { several.to_vec() };
            let lines: Vec<String> =
                several.iter().map(|item| format!("  {}  {}", item.id, plain::line(&item.title, 100))).collect();
            Err(format!(
                "{} items have this address; name the one that is meant by its id:\n{}",
                lines.len(),
                lines.join("\n")
            ))
        }
    }
}

/// Who says so: the name that was given, else who is at the keyboard.
pub(super) fn author(given: Option<&str>) -> String {
    let author = plain::line(&given.map_or_else(login_name, str::to_string), AUTHOR_CHARACTERS_MAX);
    if author.is_empty() { "unknown".to_string() } else { author }
}

/// Who is at the keyboard.
fn login_name() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    named.or_else(name_of_user_id).unwrap_or_default()
}

/// The name that the system's list of users has for whoever runs this.
fn name_of_user_id() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&id))?;
    line.split(':').next().map(str::to_string)
}
