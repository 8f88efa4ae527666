//! `newswatch score`: items from stdin against profiles, a line for each item and profile.

use std::io::{BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::profile::{count_background, load, report};
use crate::matcher::frequency::Frequencies;
use crate::matcher::score::{Explain, Scorer};
use crate::matcher::text::Tokenizer;
use crate::model::Reason;

/// The rarities are derived again after this many new documents at least, and when the archive has grown by a 20th.
const REFRESH_AFTER_MIN: u64 = 10;

/// `newswatch score`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Items (JSON lines with title and text) that were there before; they teach which words are frequent
    #[arg(long, value_name = "FILE")]
    background: Option<PathBuf>,
    /// Profiles to score against
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    profile: Vec<PathBuf>,
    /// Add the terms that made each score
    #[arg(long)]
    explain: bool,
}

#[derive(Deserialize)]
struct Item {
    id: serde_json::Value,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    lang: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a serde_json::Value,
    profile: &'a str,
    score: f64,
    hit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<Vec<Reason>>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut profiles, mut problems) = (Vec::new(), Vec::new());
    for path in &arguments.profile {
        match load(path)? {
            Ok(profile) => profiles.push(profile),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return report(&problems);
    }
    let mut names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    names.sort_unstable();
    if let Some(two) = names.windows(2).find(|two| two[0] == two[1]) {
        bail!("two of the profiles have the name {:?}; a name stands for one profile", two[0]);
    }
    let (mut tokenizer, mut frequencies) = (Tokenizer::new(), Frequencies::new());
    if let Some(path) = &arguments.background {
        count_background(path, &mut tokenizer, &mut frequencies)?;
    }
    let mut scorer = Scorer::new(&profiles, &frequencies)?;
    let mut refresh_at = frequencies.documents() + REFRESH_AFTER_MIN;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("cannot read the items")?;
        if line.trim().is_empty() {
            continue;
        }
        let item: Item = serde_json::from_str(&line).with_context(|| format!("line {} is no item", number + 1))?;
        let (title, text) = (item.title.unwrap_or_default(), item.text.unwrap_or_default());
        let language = item.lang.unwrap_or_default();
        let document = tokenizer.read(&title, &text).from("", &language);
        let mut reasons: Vec<Option<Vec<Reason>>> = vec![None; profiles.len()];
        if arguments.explain {
            let mut explained = scorer.score(&document, Explain::Everything);
            for (profile, slot) in profiles.iter().zip(&mut reasons) {
                let own = explained.iter_mut().find(|score| score.profile == profile.name);
                *slot = Some(own.map(|score| std::mem::take(&mut score.reasons)).unwrap_or_default());
            }
        }
        for ((profile, score), terms) in profiles.iter().zip(scorer.scores(&document)).zip(reasons) {
            let hit = *score >= profile.hit_score_for("", &language);
            serde_json::to_writer(&mut out, &Line { id: &item.id, profile: &profile.name, score: *score, hit, terms })?;
            out.write_all(b"\n")?;
        }
        frequencies.count(&document);
        if frequencies.documents() >= refresh_at {
            scorer.refresh(&frequencies);
            refresh_at = frequencies.documents() + (frequencies.documents() / 20).max(REFRESH_AFTER_MIN);
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
