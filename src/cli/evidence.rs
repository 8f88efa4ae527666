//! `newswatch evidence`: what was known when. `verify` walks the chain, `show` says what is recorded, `export` hands it on.

mod export;
mod show;
mod verify;

use std::process::ExitCode;

use super::Global;

/// Arguments of `newswatch evidence`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What is recorded of an item, or a record by its number
    Show(show::Arguments),
    /// Walk the chain and compare everything with what was recorded; exit code 1 when something differs
    Verify(verify::Arguments),
    /// Hand evidence on: as a web archive, a STIX bundle, a table, JSON lines or a case file
    ///
    /// What is handed on lets nobody in: user names, passwords and values of parameters that sound like a key ("token=...") are
    /// MASKED in every address of it, and so are the secrets of the item's address and of those that were asked wherever else they
    /// stand, in documents too; other addresses in a document stay, since it is kept as it came. A secret that is part of a path is not known as one. Where something was masked, what is shown does not give the recorded
    /// hash: JSON lines say "masked", records of a web archive "Newswatch-Masked". The store keeps all of it as it came: `evidence
    /// show` shows it whole, and `evidence verify` compares that.
    Export(export::Arguments),
}

/// Shows, verifies or exports.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Show(own) => show::run(global, own),
        Command::Verify(own) => verify::run(global, own),
        Command::Export(own) => export::run(global, own),
    }
}
