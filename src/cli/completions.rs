//! `newswatch completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments of `newswatch completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which shell
    shell: Shell,
}

/// Prints them.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    clap_complete::generate(
        arguments.shell,
        &mut super::Arguments::command(),
        "newswatch",
        &mut std::io::stdout().lock(),
    );
    Ok(ExitCode::SUCCESS)
}
