//! `newswatch store`: what the store holds, its index for search, and moving it to another place or engine.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::gc::show_bytes;
use super::{Global, counted};
use crate::plain;
use crate::store::search::IndexState;
use crate::store::transfer::{row_counts, transfer};
use crate::store::{Durability, Engine, Store};

/// Items that are indexed in one transaction.
const INDEX_STEP: usize = 1_000;

/// Arguments of `newswatch store`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Engine, version, size, how many rows each table has, and whether all of it can be searched
    Info,
    /// Make the index for search whole, or anew
    Index {
        /// Make it anew
        #[arg(long)]
        rebuild: bool,
    },
    /// Move everything to another store, of whichever engine; goes on where it was interrupted
    Migrate {
        /// The store to move: sqlite:PATH or postgres://... [default: that of the configuration]
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// An empty store: sqlite:PATH or postgres://...
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

/// Looks after the store.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Info => info(global),
        Command::Index { rebuild } => index(global, *rebuild),
        Command::Migrate { from, to } => {
            let from = match from {
                Some(from) => from.clone(),
                None => super::load_config(global)?.store_url(),
            };
            super::block_on(migrate(from, to.clone()))
        }
    }
}

fn info(global: &Global) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let (size, free) = store.size().await?;
        let counts = row_counts(&store).await?;
        let engine = if store.engine() == Engine::Sqlite { "SQLite" } else { "PostgreSQL" };
        let version = store.noted("schema").await?.unwrap_or_default();
        let mut out = anstream::stdout().lock();
        writeln!(out, "store    {}", plain::line(store.name(), 1_000))?;
        writeln!(out, "engine   {engine}")?;
        writeln!(out, "version  {version}")?;
        let free = if free > 0 { format!(", {} of it free", show_bytes(free)) } else { String::new() };
        let items = counts.iter().find(|(table, _)| table == "items").map_or(0, |(_, rows)| *rows);
        let each = if items > 0 { format!(", {} an item", show_bytes(size / items)) } else { String::new() };
        writeln!(out, "size     {}{free}{each}", show_bytes(size))?;
        let indexed = store.indexed_count().await?;
        let search = match store.index_state().await? {
            _ if !config.store.search => "off (store.search)".to_string(),
            IndexState::Whole => format!("{} indexed", counted(indexed as usize, "item")),
            IndexState::Lacks { .. } => {
                format!("{} indexed so far; `newswatch store index` does the rest", counted(indexed as usize, "item"))
            }
        };
        writeln!(out, "search   {search}")?;
        for (table, rows) in counts {
            writeln!(out, "  {table:<20} {rows:>10}")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn index(global: &Global, rebuild: bool) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    if !config.store.search {
        anyhow::bail!("search is switched off: set `search = true` in [store]");
    }
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        if rebuild {
            store.drop_index().await?;
        }
        let mut progress = Progress::default();
        let mut sum = 0;
        loop {
            let (indexed, state) = store.index_more(INDEX_STEP).await?;
            sum += indexed;
            if state == IndexState::Whole {
                break;
            }
            progress.show(&format!("{} indexed", super::counted(sum, "item")))?;
        }
        progress.end()?;
        writeln!(anstream::stdout().lock(), "{} indexed; all that is stored can be searched", counted(sum, "item"))?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn migrate(from: String, to: String) -> anyhow::Result<ExitCode> {
    if let Some(path) = from.strip_prefix("sqlite:")
        && !std::path::Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
    {
        anyhow::bail!("there is no store {from}");
    }
    // Held until the end: no daemon may begin on either.
    let from = Store::open(&from, Durability::Full).await?.lock()?;
    let to = Store::open(&to, Durability::Full).await?.lock()?;
    let mut progress = Progress::default();
    let moved = transfer(&from, &to, super::now(), |table, rows| {
        // Not seen is no reason to stop.
        let _ = progress.show(&format!("{table}: {rows}"));
    })
    .await?;
    progress.end()?;
    let mut out = anstream::stdout().lock();
    for table in &moved {
        let verdict = if table.agrees { "agrees" } else { "DIFFERS" };
        writeln!(out, "{:<20} {:>10} rows  {:016x}  {verdict}", table.table, table.rows, table.hash)?;
    }
    let differing = moved.iter().filter(|table| !table.agrees).count();
    if differing > 0 {
        anyhow::bail!(
            "{} not the same on both sides: something wrote to one of the stores meanwhile; empty the target and move again",
            counted(differing, "table") + if differing == 1 { " is" } else { " are" }
        );
    }
    writeln!(
        out,
        "everything is in {}: set store.url to it and start newswatch, which makes the index for search",
        to.name()
    )?;
    drop(out);
    from.close().await;
    to.close().await;
    Ok(ExitCode::SUCCESS)
}

/// One line on a terminal that is written again and again; nothing in a pipe.
#[derive(Default)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&mut self, text: &str) -> std::io::Result<()> {
        if !std::io::stderr().is_terminal() {
            return Ok(());
        }
        self.shown = true;
        let mut out = std::io::stderr().lock();
        write!(out, "\r{:<60}", plain::line(text, 60))?;
        out.flush()
    }

    fn end(&mut self) -> std::io::Result<()> {
        if self.shown { write!(std::io::stderr().lock(), "\r{:<60}\r", "") } else { Ok(()) }
    }
}
