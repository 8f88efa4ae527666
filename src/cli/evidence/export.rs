//! `newswatch evidence export`: hand evidence on in a form that others read.

use std::collections::BTreeSet;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::super::Global;
use crate::evidence::case::{self, Head};
use crate::evidence::warc::Writer;
use crate::evidence::{Entry, mask, stix, table};
use crate::model::Id;
use crate::plain;
use crate::store::Store;
use crate::store::evidence::RecordFilter;

/// What is put together in memory holds so many records at most.
const TOGETHER_MAX: usize = 5_000;
/// Items of a story.
const STORY_ITEMS_MAX: usize = 10_000;

/// Form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A web archive, WARC 1.1 with gzip: the documents as they came, the texts, the records.
    Warc,
    /// A STIX 2.1 bundle.
    Stix,
    /// Comma-separated values with a head line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A case file in Markdown.
    Markdown,
}

/// Arguments of `newswatch evidence export`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Form
    #[arg(long, value_enum)]
    format: Format,
    /// Only this story (newswatch story list)
    #[arg(long, value_name = "ID")]
    story: Option<String>,
    /// Only this item: its id or address
    #[arg(long, value_name = "ID|URL", conflicts_with = "story")]
    item: Option<String>,
    /// Only hits of this profile, and what became of them
    #[arg(long)]
    profile: Option<String>,
    /// Only what was recorded since: a time (2026-11-21T08:00:00Z), a day, or a length of time ("7d")
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Only what was recorded before
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// Into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Exports.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::super::load_config(global)?;
    let when =
        |option, text: &Option<String>| text.as_deref().map(|text| super::super::parse_when(option, text)).transpose();
    let (from, to) = (when("--from", &arguments.from)?, when("--to", &arguments.to)?);
    if arguments.format == Format::Warc && arguments.output.is_none() && std::io::stdout().is_terminal() {
        bail!("a web archive is no text: name a file with --output, such as evidence.warc.gz");
    }
    super::super::block_on(async move {
        let store = super::super::open_store(&config).await?;
        let (items, about) = wanted(&store, arguments).await?;
        let filter = RecordFilter { items, profile: arguments.profile.clone(), from, to };
        let numbers = store.record_numbers(&filter).await?;
        if numbers.is_empty() {
            bail!("nothing is recorded of {about}: only hits are (newswatch hits)");
        }
        let together = matches!(arguments.format, Format::Stix | Format::Markdown);
        if together && numbers.len() > TOGETHER_MAX {
            bail!(
                "{} records are too many for one file of this form ({TOGETHER_MAX} at most): narrow it with --from and --to",
                numbers.len()
            );
        }
        let secrets = secrets(&store, &numbers).await?;
        let made = Export { store: &store, secrets, numbers: &numbers, about: &about };
        match &arguments.output {
            None => made.write(arguments.format, anstream::stdout().into_inner().lock()).await?,
            Some(path) => {
                let file = std::fs::File::create(path);
                let file = file.with_context(|| format!("cannot write {}", path.display()))?;
                made.write(arguments.format, file).await.with_context(|| format!("writing {}", path.display()))?;
                let records = super::super::counted(numbers.len(), "record");
                writeln!(anstream::stderr(), "{records} of {about} in {}", path.display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What is masked wherever it stands.
async fn secrets(store: &Store, numbers: &[i64]) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for number in numbers {
        let Some(stored) = store.record(*number).await? else { continue };
        if let Some(entry) = store.evidence_entry(&stored, false).await? {
            found.extend(entry.secrets());
        }
    }
    Ok(mask::in_order(found))
}

/// The items that are asked for, none for all, and that in words.
async fn wanted(store: &Store, arguments: &Arguments) -> anyhow::Result<(Vec<Id>, String)> {
    let of_profile = arguments.profile.as_ref().map_or(String::new(), |profile| format!(", profile {profile}"));
    if let Some(story) = &arguments.story {
        let id: Id = story.parse().context("--story")?;
        let found = store.story(id, STORY_ITEMS_MAX).await?;
        let found = found.with_context(|| format!("there is no story {story} (newswatch story list)"))?;
        let items = found.items.iter().map(|told| told.item.id).collect();
        return Ok((items, format!("story {id}{of_profile}")));
    }
    if let Some(item) = &arguments.item {
        let items: Vec<Id> = super::super::find_items(store, item).await?.iter().map(|item| item.id).collect();
        if items.is_empty() {
            bail!("there is no item {:?}", crate::plain::line(item, 200));
        }
        return Ok((items, format!("item {}{of_profile}", plain::masked(&plain::line(item, 200)))));
    }
    let all = arguments.profile.as_ref().map_or("all profiles".to_string(), |profile| format!("profile {profile}"));
    Ok((Vec::new(), all))
}

/// What is exported.
struct Export<'a> {
    store: &'a Store,
    /// Of the addresses of all its records: a document that shows many items is written once.
    secrets: Vec<String>,
    numbers: &'a [i64],
    about: &'a str,
}

impl Export<'_> {
    async fn entry(&self, number: i64, bodies: bool) -> anyhow::Result<Option<Entry>> {
        let Some(stored) = self.store.record(number).await? else { return Ok(None) };
        Ok(self.store.evidence_entry(&stored, bodies).await?.map(|entry| entry.masked(&self.secrets)))
    }

    async fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for number in self.numbers {
            entries.extend(self.entry(*number, false).await?);
        }
        Ok(entries)
    }

    async fn write(&self, format: Format, out: impl Write) -> anyhow::Result<()> {
        let mut out = BufWriter::new(out);
        match format {
            Format::Warc => {
                let mut archive = Writer::begin(out, self.about, super::super::now())?;
                for number in self.numbers {
                    if let Some(entry) = self.entry(*number, true).await? {
                        archive.entry(&entry)?;
                    }
                }
                archive.finish()?;
                return Ok(());
            }
            Format::Csv => {
                write!(out, "{}\r\n", table::CSV_HEAD.join(","))?;
                for number in self.numbers {
                    if let Some(entry) = self.entry(*number, false).await? {
                        write!(out, "{}\r\n", table::csv(&entry))?;
                    }
                }
            }
            Format::Jsonl => {
                for number in self.numbers {
                    if let Some(entry) = self.entry(*number, false).await? {
                        writeln!(out, "{}", plain::json(&table::json(&entry).to_string()))?;
                    }
                }
            }
            Format::Stix => writeln!(out, "{:#}", stix::bundle(&self.entries().await?))?,
            Format::Markdown => {
                let found = self.store.verify_evidence().await?;
                let verified = match found.broken.first() {
                    None => {
                        let records = super::super::counted(found.records as usize, "record");
                        let notes: String = found.notes.iter().map(|note| format!(" Note: {note}.")).collect();
                        format!("The chain and everything it names is as it was recorded: {records}.{notes}")
                    }
                    Some(broken) => format!("The chain is broken, first at record {}: {}.", broken.record, broken.what),
                };
                let head = Head {
                    about: self.about.to_string(),
                    made: super::super::now(),
                    last: (found.records, found.head),
                    verified,
                };
                out.write_all(case::file(&head, &self.entries().await?).as_bytes())?;
            }
        }
        out.flush()?;
        Ok(())
    }
}
