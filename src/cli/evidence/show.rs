//! `newswatch evidence show`: what is recorded of an item.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;

use super::super::{Global, show_time};
use crate::evidence::{Entry, Fact};
use crate::plain;
use crate::store::evidence::RecordFilter;

/// Sentences shown of a difference.
const SENTENCES_SHOWN: usize = 10;

/// Arguments of `newswatch evidence show`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Id or address of an item, or the number of a record
    what: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::super::load_config(global)?;
    super::super::block_on(async move {
        let store = super::super::open_store(&config).await?;
        // An id has 12 letters, which may all be digits.
        let numbers = match arguments.what.parse::<i64>().ok().filter(|_| arguments.what.len() < 12) {
            Some(number) => vec![number],
            None => {
                let items = super::super::find_items(&store, &arguments.what).await?;
                let items: Vec<_> = items.into_iter().map(|item| item.id).collect();
                if items.is_empty() {
                    vec![]
                } else {
                    store.record_numbers(&RecordFilter { items, ..RecordFilter::default() }).await?
                }
            }
        };
        let mut shown = 0;
        let mut out = anstream::stdout().lock();
        for number in numbers {
            let Some(stored) = store.record(number).await? else { continue };
            let Some(entry) = store.evidence_entry(&stored, false).await? else { continue };
            shown += 1;
            if arguments.json {
                writeln!(out, "{}", plain::json(&crate::evidence::table::json(&entry).to_string()))?;
            } else {
                print(&mut out, &entry)?;
            }
        }
        if shown == 0 {
            bail!(
                "nothing is recorded of {:?}: only hits are (newswatch hits lists them, newswatch why explains any item)",
                plain::line(&arguments.what, 200)
            );
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print(out: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    let (record, at) = (&entry.record, show_time(Some(entry.record.at)));
    let item = entry.item.as_ref().or(entry.before.as_ref());
    let title = item.map_or(String::new(), |item| plain::line(&item.title, 300));
    writeln!(
        out,
        "{bold}record {}{bold:#}, {at}, newswatch {}: {}",
        record.number,
        record.program,
        record.fact.kind()
    )?;
    if let Some(item) = record.fact.item() {
        writeln!(out, "  {bold}{title}{bold:#}")?;
        writeln!(out, "  item      {item} {}", plain::line(&entry.address(), 2_000))?;
    }
    match &record.fact {
        Fact::Hit(hit) => {
            writeln!(
                out,
                "  seen      published {}, first seen {}, found {}",
                show_time(hit.published),
                show_time(Some(hit.first_seen)),
                show_time(Some(hit.found))
            )?;
            writeln!(
                out,
                "  score     {} against {}, profile {} version {}, matcher {}",
                hit.score, hit.threshold, hit.profile, hit.profile_version, hit.basis.method
            )?;
            writeln!(out, "  profile   SHA-256 {}", hit.profile_sha256)?;
            writeln!(out, "  text      SHA-256 {}", hit.text)?;
            writeln!(out, "  reasons   SHA-256 {}", hit.reasons)?;
        }
        Fact::Edited(edit) => {
            writeln!(out, "  before    SHA-256 {}", edit.before)?;
            writeln!(out, "  text      SHA-256 {}", edit.text)?;
        }
        Fact::Reread(reread) if reread.problem.is_empty() => writeln!(out, "  text      SHA-256 {}", reread.text)?,
        Fact::Reread(reread) => {
            writeln!(out, "  page      could not be read at {at}: {}", plain::line(&reread.problem, 300))?
        }
        Fact::Dropped(dropped) => {
            let before = show_time(Some(dropped.before));
            writeln!(out, "  let go    the bytes of documents that no record named since {before} (store.keep_hits)")?;
            for body in &dropped.bodies {
                writeln!(out, "            SHA-256 {body}")?;
            }
        }
    }
    if let Some(difference) = entry.difference() {
        for (label, sentences) in
            [("present then, absent now", &difference.then_only), ("absent then, present now", &difference.now_only)]
        {
            for sentence in sentences.iter().take(SENTENCES_SHOWN) {
                writeln!(out, "  {label}: {sentence}")?;
            }
            let rest = sentences.len().saturating_sub(SENTENCES_SHOWN);
            if rest > 0 {
                writeln!(out, "  {label}: {rest} more")?;
            }
        }
    }
    for document in &entry.documents {
        let what = if document.is_page { "page    " } else { "document" };
        let missing = document.cited.missing(document.is_there).map_or(String::new(), |why| format!("; {why}"));
        writeln!(out, "  {what}  SHA-256 {}{missing}", document.cited.body)?;
        if let Some(capture) = &document.capture {
            let address = if capture.address.is_empty() { "a proxy" } else { &capture.address };
            let at = show_time(Some(capture.fetched));
            writeln!(
                out,
                "            {}, status {}, {} bytes, answered by {address} at {at}",
                plain::line(&capture.url, 2_000),
                capture.status,
                capture.bytes
            )?;
        }
    }
    writeln!(out, "  hash      {}\n", entry.hash)
}
