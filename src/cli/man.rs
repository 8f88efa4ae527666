//! `newswatch man`: manual pages, made from the same source as `--help`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::EXIT_CODES;
use crate::config::section::nearest;
use crate::plain;

/// Arguments of `newswatch man`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Of this command, such as "source" or "source list"; without one of newswatch itself
    command: Vec<String>,
    /// Write the pages of newswatch and of all commands into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    folder: Option<std::path::PathBuf>,
    /// Print the help of all commands as Markdown instead
    #[arg(long, conflicts_with_all = ["command", "folder"])]
    markdown: bool,
}

/// Prints a page.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let whole = whole();
    let mut out = std::io::stdout().lock();
    if arguments.markdown {
        out.write_all(markdown(&whole).as_bytes())?;
    } else if let Some(folder) = &arguments.folder {
        std::fs::create_dir_all(folder)?;
        for command in every(&whole) {
            std::fs::write(folder.join(format!("{}.1", file_name(command))), page(command)?)?;
        }
    } else {
        out.write_all(&page(find(&whole, &arguments.command)?)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The program with all its commands, each knowing its whole name.
fn whole() -> Command {
    // Lines are as wide everywhere.
    let mut whole = super::Arguments::command().term_width(120);
    whole.build();
    whole
}

fn find<'c>(whole: &'c Command, names: &[String]) -> anyhow::Result<&'c Command> {
    let mut found = whole;
    for name in names {
        let known = || found.get_subcommands().map(Command::get_name);
        found = match found.find_subcommand(name) {
            Some(command) => command,
            None => {
                let advice = match nearest(name, known()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
                };
                bail!("there is no command {:?}; {advice}", plain::line(name, 100))
            }
        };
    }
    Ok(found)
}

/// The command and all below it.
fn every(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(every);
    std::iter::once(command).chain(below).collect()
}

/// "newswatch-source-list".
fn file_name(command: &Command) -> String {
    full_name(command).replace(' ', "-")
}

/// "newswatch source list".
fn full_name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    // The exit codes have a part of their own, so the last lines of the help are left out.
    let man = Man::new(command.clone()).title(file_name(command)).manual("newswatch");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut codes = Roff::new();
    codes.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        codes.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
    }
    codes.to_writer(&mut page)?;
    Ok(page)
}

/// The help of every command, one after the other.
fn markdown(whole: &Command) -> String {
    let mut out =
        String::from("# Commands\n\nPrinted by `newswatch man --markdown` from the same source as `--help`.\n");
    for command in every(whole) {
        let help = command.clone().render_long_help().to_string();
        let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {}\n\n```text\n{}\n```\n", full_name(command), help.trim_end());
    }
    out
}
