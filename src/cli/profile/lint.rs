//! `newswatch profile lint`: what in a profile cannot be meant, measured at the archive.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::archive::{self, Chosen, Period};
use super::edit;
use crate::cli::{self, Global};
use crate::config::Config;
use crate::matcher;
use crate::matcher::lint::{Finding, Lint};
use crate::plain;

/// Names that are listed of one finding.
const NAMES_SHOWN: usize = 12;

/// Arguments of `newswatch profile lint`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Profiles of the configuration; all when none is named
    names: Vec<String>,
    /// A profile that is not in the configuration
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Prints one line for each finding, with its place where it has one; exit code 1 when there is any.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = cli::load_config(global)?;
    let profiles = match archive::choose(&config, &arguments.names, arguments.file.as_deref())? {
        Chosen::Profiles(profiles) => profiles,
        Chosen::Problems(problems) => return super::report(&problems),
    };
    let from_file = arguments.file.as_ref().and_then(|_| profiles.last().map(|profile| profile.name.clone()));
    cli::block_on(async {
        let store = cli::open_store(&config).await?;
        let (frequencies, _) = matcher::load_frequencies(&store).await?;
        let lint = Lint::new(&profiles, &frequencies)?;
        let all = Period { from: Timestamp::UNIX_EPOCH, to: Timestamp::MAX };
        let (lint, items) = archive::scan(&store, all, lint, |lint, unscored| lint.count(&unscored.item)).await?;
        let findings = lint.findings();
        let mut out = anstream::stdout().lock();
        let mut files: BTreeMap<String, Source> = BTreeMap::new();
        for finding in &findings {
            let source = files.entry(finding.profile.clone()).or_insert_with(|| {
                let given = arguments.file.clone().filter(|_| from_file.as_ref() == Some(&finding.profile));
                Source::of(&config, &finding.profile, given)
            });
            writeln!(out, "{}", line(finding, source))?;
        }
        let (found, profiles) = (cli::counted(findings.len(), "finding"), cli::counted(profiles.len(), "profile"));
        writeln!(out, "{found} in {profiles}, measured at {items} items")?;
        Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The file of a profile, for places.
struct Source {
    name: String,
    places: BTreeMap<String, (usize, usize)>,
}

impl Source {
    fn of(config: &Config, profile: &str, given: Option<PathBuf>) -> Source {
        let path = given.or_else(|| archive::file_of(config, profile).ok());
        let text = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let name = path.map_or_else(|| profile.to_string(), |path| path.display().to_string());
        Source { name, places: edit::places(&text) }
    }
}

fn line(finding: &Finding, source: &Source) -> String {
    let place = finding.names.first().and_then(|name| source.places.get(name));
    let place = place.map_or_else(|| source.name.clone(), |(line, column)| format!("{}:{line}:{column}", source.name));
    let mut names: Vec<String> =
        finding.names.iter().take(NAMES_SHOWN).map(|name| format!("\"{}\"", plain::line(name, 60))).collect();
    if finding.names.len() > NAMES_SHOWN {
        names.push(format!("and {} more", finding.names.len() - NAMES_SHOWN));
    }
    let names = names.join(", ");
    let gap = if names.is_empty() { "" } else { " " };
    plain::line(&format!("{place}: profile {}: {names}{gap}{}", finding.profile, finding.message), 2_000)
}
