//! Reading the whole archive for a profile: one thread reads pages, another works on them.

use std::io::{IsTerminal, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;

use crate::config::Config;
use crate::config::section::{Problem, nearest};
use crate::matcher::profile::Profile;
use crate::plain;
use crate::store::Store;
use crate::store::items::UnscoredItem;

/// Items read together.
const PAGE: usize = 250;
/// Pages that may wait for the one who works on them.
const PAGES_AHEAD: usize = 2;
/// The line on the terminal changes so often.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// Items first seen from `from` to before `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    /// First moment.
    pub(super) from: Timestamp,
    /// The moment after the last.
    pub(super) to: Timestamp,
}

/// Calls `each` for every item of the period in the order in which they came, on a thread of its own; answers what became of
/// `work` and how many items there were. An item on which `each` fails is left out with a line in the log.
pub(super) async fn scan<W: Send + 'static>(
    store: &Store,
    period: Period,
    work: W,
    each: impl Fn(&mut W, &UnscoredItem) + Send + 'static,
) -> anyhow::Result<(W, u64)> {
    let total = store.archive_count(period.from, period.to).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<UnscoredItem>>(PAGES_AHEAD);
    let worker = tokio::task::spawn_blocking(move || {
        let (mut work, mut count) = (work, 0u64);
        let mut progress = Progress::new(total.max(0) as u64);
        while let Some(page) = receiver.blocking_recv() {
            for unscored in &page {
                let done = std::panic::catch_unwind(AssertUnwindSafe(|| each(&mut work, unscored)));
                if done.is_err() {
                    tracing::error!("item {} cannot be scored and is left out; please report it", unscored.item.id);
                }
            }
            count += page.len() as u64;
            progress.show(count);
        }
        progress.end();
        (work, count)
    });
    let mut after = None;
    loop {
        let page = store.archive_page(period.from, period.to, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.item.first_seen_at, last.item.id));
        if sender.send(page).await.is_err() {
            break;
        }
    }
    drop(sender);
    Ok(worker.await?)
}

/// A line on the terminal that says how far it is; nothing in a pipe.
struct Progress {
    total: u64,
    began: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    fn new(total: u64) -> Progress {
        Progress { total, began: Instant::now(), shown: None, on_terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, count: u64) {
        if !self.on_terminal || self.shown.is_some_and(|at| at.elapsed() < SHOW_EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let share = count as f64 / (self.total.max(count)).max(1) as f64;
        let left = self.began.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-9);
        let _ = write!(
            std::io::stderr(),
            "\r{count} of {} items ({:.0} %), {left:.0} s left    ",
            self.total,
            100.0 * share
        );
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r{:60}\r", "");
        }
    }
}

/// What can be wrong with the profiles that a person named.
pub(super) enum Chosen {
    /// Those of the configuration, and the one of the file last.
    Profiles(Vec<Profile>),
    /// What is wrong with the file.
    Problems(Vec<Problem>),
}

/// The profiles that are meant: those named, else all, and that of a file.
pub(super) fn choose(config: &Config, names: &[String], file: Option<&Path>) -> anyhow::Result<Chosen> {
    let mut profiles = Vec::new();
    for name in names {
        profiles.push(find(config, name)?.clone());
    }
    if let Some(file) = file {
        match super::load(file)? {
            Ok(profile) => profiles.push(profile),
            Err(problems) => return Ok(Chosen::Problems(problems)),
        }
    }
    if profiles.is_empty() {
        profiles.extend(config.profiles.iter().cloned());
    }
    Ok(Chosen::Profiles(profiles))
}

/// A profile of the configuration.
pub(super) fn find<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Profile> {
    let known = || config.profiles.iter().map(|profile| profile.name.as_str());
    match config.profiles.iter().find(|profile| profile.name == name) {
        Some(profile) => Ok(profile),
        None => {
            let advice = match nearest(name, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
            };
            bail!("there is no profile {:?}; {advice}", plain::line(name, 100))
        }
    }
}

/// The file that a profile of the configuration was read from.
pub(super) fn file_of(config: &Config, name: &str) -> anyhow::Result<PathBuf> {
    let folder = config.folder.join("profiles.d");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        if table.get("name").and_then(toml::Value::as_str) == Some(name) {
            return Ok(path);
        }
    }
    bail!("no file in {} holds the profile {name}", folder.display())
}
