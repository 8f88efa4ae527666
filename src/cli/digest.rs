//! `newswatch digest`: what the next digest would say, digests at once, past ones, and how they look.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use super::{Global, counted};
use crate::config::Config;
use crate::config::route::RouteConfig;
use crate::config::section::nearest;
use crate::model::Id;
use crate::notifier::channel::Message;
use crate::notifier::compose::{Composed, templates};
use crate::notifier::preview;
use crate::plain;

/// Arguments of `newswatch digest`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what the next digest of a route would say; nothing is sent or stored
    Preview {
        /// Name of the route [default: the first that sends digests]
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
        /// As this recipient gets it [default: the route's first]
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        /// The next digest after this time: a time (2026-11-21T08:00:00Z), a day, or a length of time ago ("2d")
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Show a message of the outbox as it would be written now, also one that was sent
    Show {
        /// Id of the message, as `newswatch digest list` and `newswatch outbox list` print it
        id: Id,
        #[command(flatten)]
        form: Form,
    },
    /// Send a digest now of all that waits for the next one, which then tells what comes from now on
    Send {
        /// Name of the route
        #[arg(long, value_name = "NAME")]
        route: String,
    },
    /// List digests that were sent or wait, with their counts
    List {
        /// Only of this route
        #[arg(long, value_name = "NAME", default_value = "")]
        route: String,
        /// At most so many, the newest
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show invented messages of every kind, to see how your own templates look
    Examples {
        /// Write text and HTML of each into this folder instead
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Write the shipped templates into a folder, to change them and name it in [templates]; what is there stays
    Templates {
        /// The folder
        folder: PathBuf,
    },
}

/// How a message is shown.
#[derive(Debug, clap::Args)]
struct Form {
    /// Write the HTML into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Leave nothing out
    #[arg(long)]
    all: bool,
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Command::Templates { folder } = &arguments.command {
        return write_templates(folder);
    }
    let config = super::load_config(global)?;
    let now = super::now();
    super::block_on(async move {
        match &arguments.command {
            Command::Preview { route, to, at, form } => {
                let route = with_digests(&config, route.as_deref())?;
                let recipient = recipient(route, to.as_deref())?;
                let at = at.as_deref().map(|text| super::parse_when("--at", text)).transpose()?.unwrap_or(now);
                let store = super::open_store(&config).await?;
                let row = preview::next_digest(&store, route, recipient, at).await?;
                let row = row.context("the route sends no digests")?;
                show(&preview::compose_row(&store, &config, route, &row, form.all, now).await?, form)?;
            }
            Command::Show { id, form } => {
                let store = super::open_store(&config).await?;
                let Some(row) = store.outbox_row(*id).await? else {
                    bail!("the outbox has no message {id} (newswatch digest list, newswatch outbox list)");
                };
                let route = config.route(&row.route).with_context(|| {
                    format!("its route {} is not in the configuration any more", plain::line(&row.route, 64))
                })?;
                show(&preview::compose_row(&store, &config, route, &row, form.all, now).await?, form)?;
            }
            Command::Send { route } => {
                let route = with_digests(&config, Some(route))?;
                let store = super::open_store(&config).await?;
                let (from, _) = preview::next_window(route, now).context("the route sends no digests")?;
                for recipient in route.recipients() {
                    let to = if recipient.is_empty() { String::new() } else { format!(" to {recipient}") };
                    match store.digest_now(&route.name, recipient, from, now).await? {
                        Some((id, hits)) => say(&format!(
                            "digest {id} of route {}{to} with {} is due now; a running newswatch sends it within a minute, \
                             newswatch run --once at once",
                            route.name,
                            counted(hits as usize, "hit")
                        ))?,
                        None => say(&format!("a digest of route {}{to} was made in this moment already", route.name))?,
                    }
                }
            }
            Command::List { route, limit, json } => {
                let store = super::open_store(&config).await?;
                let mut out = anstream::stdout().lock();
                for digest in store.digests(route, *limit).await? {
                    let row = &digest.row;
                    if *json {
                        let mut value = json!(row);
                        value["hits"] = digest.hits.into();
                        value["stories"] = digest.stories.into();
                        writeln!(out, "{value}")?;
                        continue;
                    }
                    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
                    let state = match row.state.as_str() {
                        "waiting" => format!("due {}", super::show_time(Some(row.due_at))),
                        state => format!("{state} {}", super::show_time(row.finished_at)),
                    };
                    let error = match plain::line(&row.error, 300) {
                        error if error.is_empty() => error,
                        error => format!(": {error}"),
                    };
                    writeln!(
                        out,
                        "{}  {} to {}  {}{to}: {} in {}, {state}{error}",
                        row.id,
                        super::show_time(row.window_from),
                        super::show_time(row.window_to),
                        row.route,
                        counted(digest.hits as usize, "hit"),
                        counted(digest.stories as usize, "story"),
                    )?;
                }
            }
            Command::Examples { out } => examples(&config, out.as_deref())?,
            Command::Templates { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")?;
    Ok(())
}

/// The named route, or the first, of those that send digests.
fn with_digests<'c>(config: &'c Config, name: Option<&str>) -> anyhow::Result<&'c RouteConfig> {
    let sends = |route: &&RouteConfig| preview::next_window(route, super::now()).is_some();
    let names: Vec<&str> = config.routes.iter().filter(sends).map(|route| route.name.as_str()).collect();
    let Some(name) = name else {
        let first = config.routes.iter().find(sends);
        return first.context("no route sends digests: give one a [route.digest] with `at` and `time_zone`");
    };
    let known = config.routes.iter().map(|route| route.name.as_str());
    match config.routes.iter().find(|route| route.name == name) {
        Some(route) if sends(&route) => Ok(route),
        Some(_) => {
            bail!("the route {name} tells at once and sends no digests; there are digests of: {}", names.join(", "))
        }
        None => match nearest(name, known) {
            Some(near) => bail!("there is no route {:?}; did you mean {near:?}?", plain::line(name, 64)),
            None => bail!("there is no route {:?}; there are digests of: {}", plain::line(name, 64), names.join(", ")),
        },
    }
}

fn recipient<'r>(route: &'r RouteConfig, wanted: Option<&str>) -> anyhow::Result<&'r str> {
    let all = route.recipients();
    match wanted {
        None => Ok(all.first().copied().unwrap_or_default()),
        Some(wanted) => all.iter().find(|one| **one == wanted).copied().with_context(|| {
            format!(
                "{} gets nothing by route {}; its recipients are: {}",
                plain::line(wanted, 100),
                route.name,
                all.join(", ")
            )
        }),
    }
}

fn show(composed: &Composed, form: &Form) -> anyhow::Result<()> {
    let message: &Message = &composed.message;
    anstream::stdout().lock().write_all(message.text.as_bytes())?;
    if let Some(path) = &form.html {
        std::fs::write(path, preview::as_page(&message.html))
            .with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!("\nwritten: {}", path.display()))?;
    }
    Ok(())
}

fn examples(config: &Config, out: Option<&Path>) -> anyhow::Result<()> {
    if let Some(folder) = out {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    for (number, composed) in templates::examples(config.templates()).into_iter().enumerate() {
        let message = composed.message;
        let Some(folder) = out else {
            say(&format!("Subject: {}\n\n{}\n{}", message.subject, message.text, "~".repeat(76)))?;
            continue;
        };
        for (ending, text) in [("txt", message.text.clone()), ("html", preview::as_page(&message.html))] {
            let path = folder.join(format!("{}-{}.{ending}", number + 1, message.kind.as_str()));
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("written: {}", path.display()))?;
        }
    }
    Ok(())
}

fn write_templates(folder: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in templates::SHIPPED {
        let path = folder.join(name);
        match std::fs::File::options().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
                say(&format!("written: {}", path.display()))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                say(&format!("stays: {}", path.display()))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    say(
        "Delete those that you do not change: the shipped ones are better with each version. Then name the folder in newswatch.toml:\n\n[templates]\nfolder = \"FOLDER\"\n\nand see with newswatch check and newswatch digest examples what you made of them.",
    )?;
    Ok(ExitCode::SUCCESS)
}
