//! `newswatch mail-test`: one mail, step by step, with what to do where a step fails.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::Global;
use crate::config::Config;
use crate::model::{DeliveryKind, Id};
use crate::notifier::channel::{DeliveryError, Message};
use crate::plain;

/// Arguments of `newswatch mail-test`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Who gets the mail
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Which channel, when several send mail
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let name = choose(&config, arguments.channel.as_deref())?;
    let channel = config.channels.get(name).context("the channel is gone")?;
    let message = message(&arguments.to);
    let mut out = std::io::stdout();
    writeln!(out, "channel {name}: {}", channel.describe())?;
    let sent = super::block_on(async {
        // Each step stands there as soon as it is made: the next one may take a while.
        let mut tell = |step: &str, text: &str| {
            let mut out = std::io::stdout();
            let _ = writeln!(out, "  {:<11} {}", step, plain::line(text, 1_000)).and_then(|()| out.flush());
        };
        Ok(channel.rehearse(&message, &mut tell).await)
    })?;
    match sent {
        Ok(()) => {
            let to = if channel.needs_recipients() { &arguments.to } else { "the folder" };
            writeln!(out, "Sent. Look into {}, and into its folder for spam.", mailbox(to))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let verdict = match error {
                DeliveryError::Permanent(_) => "It would never be delivered",
                DeliveryError::Uncertain(_) => "It may have been taken, or not: newswatch would repeat it",
                DeliveryError::Temporary(_) | DeliveryError::Busy { .. } => {
                    "It was not delivered, and newswatch would try again"
                }
            };
            writeln!(out, "{verdict}.")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn mailbox(to: &str) -> String {
    if to == "the folder" { to.to_string() } else { format!("the mailbox of {to}") }
}

/// The channel that is named, or the only one that sends mail.
fn choose<'a>(config: &'a Config, named: Option<&'a str>) -> anyhow::Result<&'a str> {
    let mails: Vec<&str> = config
        .channels
        .iter()
        .filter(|(_, channel)| ["email", "sendmail", "maildir"].contains(&channel.kind()))
        .map(|(name, _)| name.as_str())
        .collect();
    match (named, mails.as_slice()) {
        (Some(name), _) if mails.contains(&name) => Ok(name),
        (Some(name), []) => anyhow::bail!("no channel \"{name}\" sends mail, and no other does"),
        (Some(name), _) => anyhow::bail!("no channel \"{name}\" sends mail; there are: {}", mails.join(", ")),
        (None, [name]) => Ok(name),
        (None, []) => anyhow::bail!("no channel sends mail: add a [[channel]] with kind = \"email\" to newswatch.toml"),
        (None, _) => anyhow::bail!("several channels send mail; choose one with --channel: {}", mails.join(", ")),
    }
}

/// The test.
pub(super) fn message(to: &str) -> Message {
    let now = super::now();
    let text = format!(
        "This is a test by `newswatch mail-test`, sent at {}.\n\nIf you read this, newswatch can write to you. 한국어 и русский \
         must be readable too.\n",
        super::show_time(Some(now))
    );
    Message {
        id: Id::of(&["mail-test", &now.to_string(), to]),
        kind: DeliveryKind::Report,
        route: "mail-test".to_string(),
        recipient: to.to_string(),
        subject: "newswatch: a test".to_string(),
        html: format!(
            "<!DOCTYPE html><html lang=\"en\"><body><p>{}</p></body></html>",
            text.trim().replace("\n\n", "</p><p>")
        ),
        text,
        images: Vec::new(),
        hits: Vec::new(),
        thread: None,
        window: None,
        created_at: now,
        attempted_at: now,
        report: Vec::new(),
        repeated: false,
    }
}
