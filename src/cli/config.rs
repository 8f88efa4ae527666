//! `newswatch config`: the reference of the configuration and the schemas for editors.

use std::io::Write;
use std::process::ExitCode;

use crate::config::reference::{self, Document};

/// Arguments of `newswatch config`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every key with its values, its default and what it is for, as Markdown
    Reference,
    /// Print the JSON Schema (draft 7) of the files, for editors that complete and check them
    Schema {
        /// Of which files
        #[arg(value_enum, default_value = "settings")]
        document: Document,
    },
}

/// Prints it.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = match &arguments.command {
        Command::Reference => reference::markdown(),
        Command::Schema { document } => serde_json::to_string_pretty(&document.schema())? + "\n",
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
