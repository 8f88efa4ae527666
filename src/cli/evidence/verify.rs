//! `newswatch evidence verify`: is everything as it was recorded?

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::super::Global;
use crate::evidence::Fact;
use crate::matcher::{self, Again};
use crate::store::Store;
use crate::store::evidence::{Broken, Verified};

/// Arguments of `newswatch evidence verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A hash that was noted elsewhere: is it in the chain, and where?
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// Score every recorded text again with the profile of then, and compare
    #[arg(long)]
    replay: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What scoring again gave.
#[derive(Default)]
struct Replayed {
    same: usize,
    /// Scored by another method than this program's, which cannot make those scores again.
    by_others: usize,
}

/// Verifies.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::super::load_config(global)?;
    super::super::block_on(async move {
        let store = super::super::open_store(&config).await?;
        let mut found = store.verify_evidence().await?;
        let head = match &arguments.head {
            Some(hash) => Some(store.record_with_hash(hash.trim()).await?),
            None => None,
        };
        let replayed = if arguments.replay { Some(replay(&store, &mut found).await?) } else { None };
        let fine = found.broken.is_empty() && head != Some(None);
        let mut out = anstream::stdout().lock();
        if arguments.json {
            let broken: Vec<_> =
                found.broken.iter().map(|broken| json!({"record": broken.record, "what": broken.what})).collect();
            let replayed = replayed.map(|again| json!({"same": again.same, "by_another_matcher": again.by_others}));
            let answer = json!({
                "fine": fine, "records": found.records, "head": found.head, "kept": found.blobs, "bytes": found.bytes,
                "broken": broken, "notes": found.notes, "replayed": replayed, "head_found_at": head.flatten(),
            });
            writeln!(out, "{answer}")?;
        } else {
            print(&mut out, &found, replayed.as_ref())?;
            match (&arguments.head, head.flatten()) {
                (Some(hash), Some(number)) => writeln!(out, "the hash {hash} is that of record {number}")?,
                (Some(hash), None) => writeln!(out, "the hash {hash} is in no record of this chain")?,
                (None, _) => {}
            }
        }
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn print(out: &mut impl Write, found: &Verified, replayed: Option<&Replayed>) -> std::io::Result<()> {
    let records = super::super::counted(found.records as usize, "record");
    writeln!(out, "{records}, {} texts and documents of {} bytes", found.blobs, found.bytes)?;
    if found.records > 0 {
        writeln!(out, "the last record is {}, its hash {}", found.records, found.head)?;
    }
    for note in &found.notes {
        writeln!(out, "note: {note}")?;
    }
    if let Some(Replayed { same, by_others }) = replayed {
        writeln!(out, "scored again: {same} give their stored score")?;
        if *by_others > 0 {
            writeln!(out, "note: {by_others} were scored by another matcher than this program's and not scored again")?;
        }
    }
    let Some(first) = found.broken.first() else {
        return writeln!(out, "everything is as it was recorded");
    };
    match first.record {
        0 => writeln!(out, "broken, outside the chain: {}", first.what)?,
        number => writeln!(out, "broken, first at record {number}: {}", first.what)?,
    }
    for Broken { record, what } in found.broken.iter().skip(1) {
        let place = if *record == 0 { "outside the chain".to_string() } else { format!("record {record}") };
        writeln!(out, "  {place}: {what}")?;
    }
    Ok(())
}

/// Scores every recorded text again, with the recorded profile, archive and reasons. What gives another score is broken.
async fn replay(store: &Store, found: &mut Verified) -> anyhow::Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut after = 0;
    loop {
        let records = store.records_after(after).await?;
        let Some(last) = records.last() else { return Ok(replayed) };
        after = last.number;
        for record in &records {
            let Some(entry) = store.evidence_entry(record, false).await? else { continue };
            let Fact::Hit(fact) = &entry.record.fact else { continue };
            let version = store.profile_version(&fact.profile, fact.basis.profile_hash).await?;
            let again = match (&entry.item, &version) {
                (Some(text), Some(version)) => {
                    let hit = fact.to_hit(text, entry.reasons.clone());
                    matcher::score_again(&hit, &text.to_item(), version)
                }
                _ => Again::OtherText,
            };
            let what = match again {
                Again::Score(score) if score.to_bits() == fact.score.to_bits() => {
                    replayed.same += 1;
                    continue;
                }
                Again::OtherProgram => {
                    replayed.by_others += 1;
                    continue;
                }
                Again::Score(score) => format!("scored again it gives {score} and not {}", fact.score),
                Again::OtherText => "its text or its profile is not the one that was scored".to_string(),
            };
            found.broken.push(Broken { record: record.number, what });
        }
    }
}
