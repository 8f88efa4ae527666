//! `newswatch gc`: forgets what is older than `[store]` says. The daemon does it by itself once a day.

use std::io::Write;
use std::process::ExitCode;

use jiff::SignedDuration;

use super::{Global, counted};
use crate::config::section::show_duration;
use crate::store::retention::Forgotten;

/// Rows of a kind in one transaction.
const STEP: usize = 500;
/// Documents that one run forgets; the daemon goes on.
const DOCUMENTS_MAX: usize = 10_000;

/// Arguments of `newswatch gc`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only say what would be forgotten
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Forgets what is old. A daemon may run beside.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    super::block_on(async move {
        let now = super::now();
        let store = super::open_store(&config).await?;
        let cutoffs = config.store.cutoffs(now);
        let mut out = anstream::stdout().lock();
        let kept = |keep| match keep {
            Some(keep) => format!("kept for {}", show_duration(keep)),
            None => "kept for ever".to_string(),
        };
        let (misses, hits) = (kept(config.store.keep_misses), kept(config.store.keep_hits));
        writeln!(out, "texts of items that were no hits, and scores below the line: {misses} (store.keep_misses)")?;
        writeln!(out, "hits, their texts and documents, and the messages about them: {hits} (store.keep_hits)")?;
        if arguments.dry_run {
            writeln!(out, "would forget {}", store.count_old(&cutoffs).await?.in_words())?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut sum = Forgotten::default();
        loop {
            let (forgotten, is_all) = store.forget_old(&cutoffs, STEP, now).await?;
            sum = sum.and(forgotten);
            if is_all {
                break;
            }
            // Whoever else wants to write comes in between.
            tokio::task::yield_now().await;
        }
        store.retention_done(now).await?;
        writeln!(out, "forgot {}", sum.in_words())?;
        let unused = SignedDuration::try_from(config.evidence.keep_unused)?;
        let documents = store.forget_captures(now - unused, DOCUMENTS_MAX).await?;
        writeln!(out, "forgot {} that no hit came from", counted(documents.captures as usize, "document"))?;
        let (size, free) = store.size().await?;
        if free > 0 {
            writeln!(
                out,
                "the store has {}, {} of it free: that is used again; a copy by `newswatch backup` is as small as can be",
                show_bytes(size),
                show_bytes(free)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// "1.5 MB".
pub(crate) fn show_bytes(bytes: i64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
