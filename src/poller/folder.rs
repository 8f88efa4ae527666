//! Edge: what is new in a folder, file by file.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::fetch::Response;
use super::outcome::Failure;
use super::pdf;
use super::source::ReadError;
use super::visit::{Visitor, reader_in_words};
use crate::config::SourceConfig;
use crate::fault::Fault;
use crate::model::{Entry, Id, Memory, Reading, SourceState};
use crate::plain;
use crate::poller::source::Document;

/// Files looked at in one folder, with those below it.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 8;
/// New files read in one visit; at the first contact the newest ones, and the others are known without having been read.
const PER_VISIT_MAX: usize = 500;
const TIME_MAX: Duration = Duration::from_secs(240);
/// A file that was written so lately may not be whole yet.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// A file that cannot be read is tried so often.
const ATTEMPTS_MAX: usize = 10;
/// Problems named in one visit.
const PROBLEMS_MAX: usize = 20;

/// A file that is there.
struct Found {
    path: PathBuf,
    /// Within the folder, without what a Maildir changes when a message is seen.
    name: String,
    size: u64,
    modified: Timestamp,
}

impl Found {
    /// What it is remembered by.
    fn key(&self) -> String {
        Id::of(&[&self.name]).to_string()
    }

    /// What tells that it was changed.
    fn mark(&self) -> String {
        format!("{} {}", self.size, self.modified.as_millisecond())
    }

    /// What is remembered after one more attempt in vain: the mark and a "!" for each.
    fn failed(&self, known: Option<&String>) -> String {
        match known.filter(|known| known.starts_with(&self.mark())) {
            Some(known) => format!("{known}!"),
            None => format!("{}!", self.mark()),
        }
    }

    /// It was read as it is, or given up.
    fn is_done(&self, known: &str) -> bool {
        known.strip_prefix(&self.mark()).is_some_and(|vain| vain.is_empty() || vain.len() >= ATTEMPTS_MAX)
    }
}

impl Visitor {
    /// Reads what is new in a folder.
    pub(super) async fn look_into(
        &self,
        source: &SourceConfig,
        folder: &Path,
        state: &SourceState,
        memory: &mut Memory,
    ) -> Result<Reading, Failure> {
        let (root, started, now) = (folder.to_path_buf(), Instant::now(), self.clock.now());
        let listed = tokio::task::spawn_blocking(move || list(&root)).await;
        let (mut files, is_cut) = match listed {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                let reason = format!("the folder {} cannot be read: {error}", folder.display());
                return Err(Failure::new(Fault::NotFound, reason));
            }
            Err(_) => return Err(Failure::new(Fault::ReaderFailed, "looking into the folder failed inside newswatch")),
        };
        let mut reading = Reading { title: folder.display().to_string(), ..Reading::default() };
        if is_cut {
            let reason = format!("it holds more than {FILES_MAX} files, or folders that cannot be read");
            reading.problems.push(format!("{reason}: the rest is not looked at"));
        }
        // A folder that is suddenly empty, or was listed in part, forgets nothing: its files would come back as news.
        if !is_cut && !files.is_empty() {
            let there: BTreeSet<String> = files.iter().map(Found::key).collect();
            memory.retain(|key, _| there.contains(key));
        }
        files.retain(|file| memory.get(&file.key()).is_none_or(|known| !file.is_done(known)));
        files.sort_by_key(|file| std::cmp::Reverse(file.modified));
        if state.baseline_at.is_none() && files.len() > PER_VISIT_MAX {
            let old = files.split_off(PER_VISIT_MAX);
            reading
                .problems
                .push(format!("not read, as they were there before: {}", plain::counted(old.len(), "older file")));
            memory.extend(old.iter().map(|file| (file.key(), file.mark())));
        }
        // The oldest first: what is left for the next visit is the newest.
        files.reverse();
        for file in files.into_iter().take(PER_VISIT_MAX) {
            if started.elapsed() > TIME_MAX {
                // What was there at the first contact is no news later.
                if state.baseline_at.is_none() {
                    memory.insert(file.key(), file.mark());
                    continue;
                }
                break;
            }
            let is_settled = now.duration_since(file.modified) >= SETTLED_AFTER || file.modified > now;
            if !is_settled {
                continue;
            }
            match self.read_file(source, &file).await {
                Ok(entries) => {
                    reading.entries.extend(entries.into_iter().map(|entry| named(entry, &file)));
                    memory.insert(file.key(), file.mark());
                }
                Err(reason) => {
                    // What only wants a program to be installed is tried until it is.
                    if reason != pdf::ADVICE {
                        let mark = file.failed(memory.get(&file.key()));
                        memory.insert(file.key(), mark);
                    }
                    if reading.problems.len() < PROBLEMS_MAX {
                        reading.problems.push(format!("{} is not read: {reason}", plain::line(&file.name, 200)));
                    }
                }
            }
        }
        Ok(reading)
    }

    async fn read_file(&self, source: &SourceConfig, file: &Found) -> Result<Vec<Entry>, String> {
        let most = self.settings.body_bytes_max;
        if file.size > most {
            return Err(format!("it is larger than {most} bytes (fetch.body_bytes_max)"));
        }
        let path = file.path.clone();
        let bytes = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            // No link is followed: between the look and this a file may have become one.
            if fs::symlink_metadata(&path)?.is_file() {
                fs::File::open(&path)?.take(most).read_to_end(&mut bytes)?;
            }
            std::io::Result::Ok(bytes)
        });
        let bytes = match bytes.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("reading it failed inside newswatch".to_string()),
        };
        let limits = self.limits();
        if pdf::is_pdf(&bytes) {
            let read = self.pdf.read(&bytes, limits.text_bytes_max).await.map_err(|failure| failure.reason)?;
            let (title, published) = (read.about.title, read.about.date);
            return Ok(vec![Entry { title, published, content: read.text, ..Entry::default() }]);
        }
        let url =
            Url::from_file_path(&file.path).map_err(|()| "its path cannot be written as an address".to_string())?;
        let reader = source.reader.clone();
        let read = self.apart(Response::new(200, url, bytes), move |file| {
            let document = Document { url: &file.url, content_type: None, body: &file.body };
            reader.read(&document, &limits, &mut Memory::new())
        });
        match read.await {
            Ok(Ok(reading)) => Ok(reading.entries),
            Ok(Err(ReadError(reason))) => Err(reason),
            Err(fault) => Err(reader_in_words(fault).to_string()),
        }
    }
}

/// An entry of a file has the file's name where it has none of its own.
fn named(mut entry: Entry, file: &Found) -> Entry {
    if entry.guid.is_empty() && entry.url.is_none() {
        entry.guid = format!("file {}", file.name);
    }
    if entry.title.is_empty() {
        entry.title = plain::line(file.name.rsplit('/').next().unwrap_or_default(), 200);
    }
    if entry.url.is_none() {
        entry.url = Url::from_file_path(&file.path).ok().map(String::from);
    }
    entry.published = entry.published.or(Some(file.modified));
    entry
}

/// The files of a folder and whether there are more than are looked at. Hidden files and links are left out, and so is what a
/// Maildir has not finished (tmp).
fn list(root: &Path) -> std::io::Result<(Vec<Found>, bool)> {
    let is_maildir = |folder: &Path| folder.join("cur").is_dir() && folder.join("new").is_dir();
    let (mut files, mut is_cut) = (Vec::new(), false);
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(error),
            // One that went away meanwhile, or is not for us.
            Err(_) => {
                is_cut = true;
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.metadata() else { continue };
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                let is_unfinished = name == "tmp" && is_maildir(&folder);
                if depth < DEPTH_MAX && !is_unfinished {
                    folders.push((entry.path(), depth + 1));
                }
            } else if kind.is_file() {
                if files.len() == FILES_MAX {
                    return Ok((files, true));
                }
                let path = entry.path();
                let modified = kind.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(Found {
                    name: name_within(root, &path),
                    size: kind.len(),
                    modified: Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH),
                    path,
                });
            }
        }
    }
    Ok((files, is_cut))
}

/// The name of a file within its folder. A Maildir moves a message from "new" to "cur" and adds its flags behind ":2,".
fn name_within(root: &Path, path: &Path) -> String {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let Some((folder, file)) = name.rsplit_once('/') else { return name };
    let last = folder.rsplit('/').next().unwrap_or_default();
    if last != "new" && last != "cur" {
        return name;
    }
    let file = file.split_once(":2,").map_or(file, |(file, _)| file);
    format!("{}{file}", &folder[..folder.len() - last.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_seen_is_the_same_file() {
        let name = |path: &str| name_within(Path::new("/m"), Path::new(path));
        assert_eq!(name("/m/new/17.host"), "17.host");
        assert_eq!(name("/m/cur/17.host:2,S"), "17.host");
        assert_eq!(name("/m/lists/cur/17.host:2,S"), "lists/17.host");
        assert_eq!(name("/m/reports/2026.pdf"), "reports/2026.pdf");
    }

    #[test]
    fn unfinished_hidden_and_linked_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["new/1", "cur/2", "tmp/3", "reports/a.md", ".hidden"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.txt")).unwrap();
        let mut names: Vec<String> = list(root).unwrap().0.into_iter().map(|file| file.name).collect();
        names.sort();
        assert_eq!(names, ["1", "2", "reports/a.md"]);
        assert!(list(&root.join("missing")).is_err());
    }
}
