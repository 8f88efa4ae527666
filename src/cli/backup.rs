//! `newswatch backup`: a copy of the store, made while the daemon runs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Global;
use crate::store::Engine;

/// Arguments of `newswatch backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "To restore: stop newswatch, put the copy in the place of the store (remove the store's -wal and -shm files), \
                        and start newswatch. What was seen since the copy was made is seen again."
)]
pub struct Arguments {
    /// Where the copy goes
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Makes a copy. A daemon may run beside.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    let file = arguments.file.clone();
    if file.exists() && !arguments.force {
        anyhow::bail!("{} is there already: choose another name, or replace it with --force", file.display());
    }
    let force = arguments.force;
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        if store.engine() == Engine::Postgres {
            anyhow::bail!(
                "the store {} is PostgreSQL, whose own tool makes the copy: pg_dump --format=custom --file={} --dbname=URL",
                store.name(),
                file.display()
            );
        }
        if force && store.is_at(&file) {
            anyhow::bail!("{} is the store itself", file.display());
        }
        let bytes = store.backup(&file).await?;
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}: {}, checked", file.display(), super::gc::show_bytes(bytes as i64))?;
        Ok(ExitCode::SUCCESS)
    })
}
