//! `newswatch outbox`: messages that wait, were sent or failed.

use std::io::Write;
use std::process::ExitCode;

use super::Global;
use crate::model::Id;
use crate::plain;

/// Lists of commands are no longer, unless they are asked for.
pub(super) const LIST_MAX: usize = 10_000;

/// Arguments of `newswatch outbox`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List messages
    List {
        /// Only in this state: waiting, sent, dead, discarded
        #[arg(long, default_value = "")]
        state: String,
        /// At most so many, the newest
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Try a message again now, also one that was given up
    Retry {
        /// Id of the message
        id: Id,
    },
    /// Never send a message
    Discard {
        /// Id of the message
        id: Id,
    },
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let now = super::now();
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let mut out = std::io::stdout().lock();
        match &arguments.command {
            Command::List { state, limit, json } => {
                for row in store.outbox(state, *limit).await? {
                    if *json {
                        writeln!(out, "{}", serde_json::to_string(&row)?)?;
                        continue;
                    }
                    let to = if row.recipient.is_empty() { String::new() } else { format!(" to {}", row.recipient) };
                    let when = match row.state.as_str() {
                        "waiting" => format!("due {}", super::show_time(Some(row.due_at))),
                        _ => super::show_time(row.finished_at),
                    };
                    let filled = row.state == "waiting" && row.attempts == 0 && row.due_at > now;
                    let filled = if filled { ", being filled" } else { "" };
                    write!(
                        out,
                        "{}  {}  {} of route {}{to}, {when}, {}{filled}",
                        row.id,
                        row.state,
                        row.kind.as_str(),
                        row.route,
                        super::counted(row.attempts as usize, "attempt")
                    )?;
                    writeln!(
                        out,
                        "{}",
                        if row.error.is_empty() {
                            String::new()
                        } else {
                            format!(": {}", plain::line(&row.error, 300))
                        }
                    )?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Retry { id } | Command::Discard { id } => {
                let retry = matches!(arguments.command, Command::Retry { .. });
                let route = store.outbox_row(*id).await?.and_then(|row| config.route(&row.route));
                if store.decide_outbox(*id, retry, now).await? {
                    let what = match route.and_then(|route| route.quiet_until(now)) {
                        _ if !retry => "will not be sent".to_string(),
                        Some(end) => {
                            format!(
                                "is tried again when the quiet hours of its route end, {}",
                                super::show_time(Some(end))
                            )
                        }
                        None => "is tried again at once".to_string(),
                    };
                    writeln!(out, "{id} {what}")?;
                    Ok(ExitCode::SUCCESS)
                } else {
                    anyhow::bail!("no message {id} is waiting or given up (newswatch outbox list)");
                }
            }
        }
    })
}
