//! `newswatch run`: the daemon in the foreground, or one cycle.

use std::io::Write;
use std::process::ExitCode;

use super::{Global, counted};
use crate::daemon::{self, Options};
use crate::fault::Class;

/// Arguments of `newswatch run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One cycle over all sources, deliver what is due, end
    #[arg(long)]
    once: bool,
    /// With --once: ask only the sources that are due, as the daemon would (for cron)
    #[arg(long, requires = "once")]
    due: bool,
    /// Alert also what a first contact with a source shows
    #[arg(long)]
    backlog: bool,
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let options = Options {
        once: arguments.once,
        due: arguments.due,
        backlog: arguments.backlog,
        config_path: global.config.clone(),
    };
    let shown = config.clone();
    super::block_on(async move {
        let summary = daemon::run(config, options.clone()).await?;
        if !options.once {
            return Ok(ExitCode::SUCCESS);
        }
        let store = super::open_store(&shown).await?;
        let sources = store.sources().await?;
        let failing = sources.iter().filter(|source| source.is_in_trouble()).count();
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{} asked, {failing} cannot be read; {}, {}, {}; next: newswatch hits, newswatch status",
            counted(summary.visits, "source"),
            counted(summary.items as usize, "new item"),
            counted(summary.hits as usize, "hit"),
            counted(summary.deliveries, "message"),
        )?;
        let out_of_reach = |fault: crate::fault::Fault| fault.class() == Class::Network;
        let no_network = sources.iter().filter(|source| source.fault.is_some_and(out_of_reach)).count();
        if failing > 0 && failing == sources.len() && no_network * 2 > failing {
            writeln!(
                out,
                "No source could be reached: this machine seems to have no network. `newswatch demo` shows the whole job without one."
            )?;
        }
        Ok(if failing > 0 && failing == sources.len() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}
