//! `newswatch profile suggest`: what verdicts and hits teach, as a change of the profile's file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use jiff::SignedDuration;

use super::archive;
use super::edit::Edit;
use crate::cli::{self, Global};
use crate::matcher;
use crate::matcher::suggest::{Change, Lesson, Teaching, suggest};
use crate::model::{Id, Verdict};
use crate::plain;
use crate::store::hits::HitFilter;
use crate::store::verdicts;

/// Hits that nobody judged are learned from for so long.
const RECENT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Articles of each sort that are learned from, the newest.
const LESSONS_MAX: usize = 200;

/// Arguments of `newswatch profile suggest`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Profile of the configuration
    name: String,
    /// Change the profile's file after printing
    #[arg(long)]
    write: bool,
}

/// Prints why, then the change as a unified diff.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = cli::load_config(global)?;
    let own = archive::find(&config, &arguments.name)?;
    let path = archive::file_of(&config, &arguments.name)?;
    cli::block_on(async {
        let store = cli::open_store(&config).await?;
        let all = store.verdicts_for(&own.name).await?;
        let judged: BTreeMap<Id, Verdict> =
            verdicts::in_force(&all).into_iter().map(|judgement| (judgement.item, judgement.verdict)).collect();
        let filter = HitFilter {
            profile: Some(own.name.clone()),
            since: Some(cli::now() - RECENT),
            with_shadows: true,
            limit: LESSONS_MAX,
            ..HitFilter::default()
        };
        let recent: BTreeSet<Id> = store.hits(&filter).await?.iter().map(|hit| hit.item.id).collect();
        let mut lessons = Vec::new();
        let mut counts = BTreeMap::from([("on topic", 0), ("not", 0), ("unjudged", 0)]);
        // The last verdicts first: what was right years ago may not be what is meant now.
        let mut wanted: Vec<(Id, Teaching, &str)> = Vec::new();
        for judgement in verdicts::in_force(&all).into_iter().rev() {
            let (teaching, name) = match judged.get(&judgement.item) {
                Some(Verdict::Not) => (Teaching::OffTopic, "not"),
                _ => (Teaching::OnTopic, "on topic"),
            };
            if !wanted.iter().any(|(id, _, _)| *id == judgement.item) {
                wanted.push((judgement.item, teaching, name));
            }
        }
        wanted.extend(
            recent.iter().filter(|id| !judged.contains_key(id)).map(|id| (*id, Teaching::Unjudged, "unjudged")),
        );
        wanted.retain(|(_, _, name)| {
            let count = counts.entry(name).or_insert(0);
            *count += 1;
            *count <= LESSONS_MAX
        });
        let ids: Vec<Id> = wanted.iter().map(|(id, _, _)| *id).collect();
        let items = store.items_whole(&ids).await?;
        for (id, teaching, _) in &wanted {
            if let Some(item) = items.get(id) {
                lessons.push(Lesson { title: item.title.clone(), body: item.body(), teaching: *teaching });
            }
        }
        let (frequencies, _) = matcher::load_frequencies(&store).await?;
        let changes = suggest(own, &lessons, &frequencies);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mut edit, mut out) = (Edit::new(text), anstream::stdout().lock());
        writeln!(
            out,
            "# learned from {} judged relevant or known, {} judged not, {} of the last 30 days that nobody judged",
            cli::counted(counts["on topic"].min(LESSONS_MAX), "item"),
            counts["not"].min(LESSONS_MAX),
            cli::counted(counts["unjudged"].min(LESSONS_MAX), "hit")
        )?;
        writeln!(
            out,
            "# + at least 3 standard errors of its log-odds more frequent there than in the archive; - in judged articles that \
             hold it (r + 1/2)/(r + n + 1) relevant, less than half of the share among all"
        )?;
        for change in &changes {
            writeln!(out, "# {}", plain::line(&in_words(change), 300))?;
        }
        apply(&mut edit, &changes);
        if edit.is_empty() {
            writeln!(
                out,
                "# nothing to change. Verdicts teach: newswatch verdict ID relevant|not|known --profile {}",
                own.name
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        edit.raise_version();
        let shown = path.display().to_string();
        for line in edit.diff(&shown).lines() {
            // Trailing spaces of a line of context are part of it.
            let clean: String = line.chars().filter(|c| !plain::is_steering(*c)).collect();
            writeln!(out, "{clean}")?;
        }
        let new = edit.finished();
        if let Err(problems) = super::parse(&path, new.clone()) {
            return super::report(&problems);
        }
        if arguments.write {
            replace(&path, &new).with_context(|| format!("cannot write {shown}; nothing was changed"))?;
            writeln!(out, "# written; `newswatch profile backtest {}` shows what it does", own.name)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn in_words(change: &Change) -> String {
    match change {
        Change::Add { term, found: (with, all), archive: (count, documents) } => {
            format!("+ {:?}: in {with} of {all} articles on topic, in {count} of {documents} of the archive", term.text)
        }
        Change::Reweigh { text, to, judged: (good, bad), .. } => {
            let what = if *to == 0.0 { "goes".to_string() } else { format!("weighs {to}") };
            format!("- {text:?} misled: in {bad} judged not, {good} judged relevant; it {what}")
        }
    }
}

fn apply(edit: &mut Edit, changes: &[Change]) {
    let mut added = Vec::new();
    for change in changes {
        match change {
            Change::Add { term, .. } => added.push(term),
            Change::Reweigh { text, phrase, to, .. } => {
                let lists = if *phrase { ["phrases", "phrase"] } else { ["terms", "term"] };
                edit.reweigh(&lists, text, *to);
            }
        }
    }
    edit.add_terms(&added);
}

/// Puts a text in the place of a file, whole or not at all.
fn replace(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(std::fs::metadata(path)?.permissions())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
