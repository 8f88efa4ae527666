//! Temporary: the two commands of the matcher.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Build and show profiles
    Profile(newswatch::cli::profile::Arguments),
    /// Score items
    Score(newswatch::cli::score::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Profile(arguments) => newswatch::cli::profile::run(&arguments),
        Command::Score(arguments) => newswatch::cli::score::run(&arguments),
    }
}
