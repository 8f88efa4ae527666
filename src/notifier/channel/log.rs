//! The log channel: one line a hit, with stable keys, made for `tail -f | grep`. Into the process's own log (journald
//! fields when run by systemd), or into a file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Channel, DeliveryError, Message};
use crate::config::section::Section;
use crate::model::Hit;
use crate::plain;

/// Target of the log's own events, so that a filter can tell them from the rest.
pub const TARGET: &str = "newswatch::hit";

/// So much of the file's end is searched for the lines of an earlier attempt.
const TAIL_BYTES: u64 = 4 << 20;

/// Where the lines go and how they look.
#[derive(Debug)]
struct Log {
    json: bool,
    path: Option<PathBuf>,
    /// One writer at a time: what takes back its own broken write must not cut off another's.
    writing: Arc<Mutex<()>>,
}

/// Reads `format` and `path`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let json = section.one_of("format", &["text", "json"]) == Some("json");
    let path = section.path("path");
    if let Some(path) = &path {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            section.problem("path", "`path` is a folder; name a file in it");
        } else if !folder.is_dir() {
            section.problem("path", format!("`path`: there is no folder {}", folder.display()));
        }
    }
    Some(Arc::new(Log { json, path, writing: Arc::default() }))
}

/// The channel that is always there: lines of text in the process's own log.
pub fn to_own_log() -> Arc<dyn Channel> {
    Arc::new(Log { json: false, path: None, writing: Arc::default() })
}

impl Channel for Log {
    fn kind(&self) -> &'static str {
        "log"
    }

    fn describe(&self) -> String {
        let form = if self.json { "JSON lines" } else { "lines" };
        match &self.path {
            Some(path) => format!("{form} in the file {}", path.display()),
            None => format!("{form} in newswatch's own log"),
        }
    }

    fn needs_recipients(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            match &self.path {
                Some(path) => {
                    let lines: Vec<String> = message.hits.iter().map(|hit| self.line(message, hit)).collect();
                    let (target, repeated, writing) = (path.clone(), message.repeated, self.writing.clone());
                    // A file on a slow disk, or a pipe that nobody reads, must not hold up the loops.
                    let written = tokio::task::spawn_blocking(move || {
                        let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
                        append(&target, &lines, repeated)
                    });
                    let written = written.await;
                    let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                    written
                        .map_err(|error| DeliveryError::Temporary(format!("cannot write {}: {error}", path.display())))
                }
                None => {
                    for hit in &message.hits {
                        self.emit(message, hit);
                    }
                    Ok(())
                }
            }
        })
    }
}

impl Log {
    fn line(&self, message: &Message, hit: &Hit) -> String {
        if self.json { json_line(message, hit) } else { text_line(message, hit) }
    }

    /// An event of the process's log; its fields become journald's fields.
    fn emit(&self, message: &Message, hit: &Hit) {
        tracing::info!(
            target: "newswatch::hit",
            profile = hit.profile,
            item = %hit.item.id,
            score = hit.score,
            threshold = hit.threshold,
            source = hit.item.source,
            url = plain::line(hit.item.url.as_deref().unwrap_or_default(), 2_000),
            route = message.route,
            "{}", self.line(message, hit)
        );
    }
}

/// The file is synced before the row counts as delivered; a write that breaks off is taken back, and what a crash left of one
/// gets a line of its own. Lines that a repeated attempt finds in the file are not written again. What is no file (a pipe, a
/// terminal) is written only.
fn append(path: &Path, lines: &[String], repeated: bool) -> std::io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return file.write_all((lines.join("\n") + "\n").as_bytes());
    }
    // A file that may be written and not read is taken as it is: better twice than never.
    let tail = tail(path, before.len(), if repeated { TAIL_BYTES } else { 1 }).unwrap_or_default();
    let written: BTreeSet<&str> = if repeated { tail.split_inclusive('\n').collect() } else { BTreeSet::new() };
    let mut text = String::new();
    if !tail.is_empty() && !tail.ends_with('\n') {
        text.push('\n');
    }
    for line in lines.iter().map(|line| format!("{line}\n")) {
        if !written.contains(line.as_str()) {
            text.push_str(&line);
        }
    }
    // Also when nothing is written: the earlier attempt may have ended before the sync.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).inspect_err(|_| {
        let _ = file.set_len(before.len());
    })
}

/// The last bytes of a file, as text.
fn tail(path: &Path, length: u64, bytes_max: u64) -> std::io::Result<String> {
    let start = length.saturating_sub(bytes_max);
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `hit profile=apg score=0.52/0.15 source=wire id=… url=… title="…" why="…"`.
fn text_line(message: &Message, hit: &Hit) -> String {
    format!(
        "hit profile={} score={:.2}/{:.2} source={} id={} url={} title={} why={} message={}",
        hit.profile,
        hit.score,
        hit.threshold,
        hit.item.source,
        hit.item.id,
        plain::line(hit.item.url.as_deref().unwrap_or("-"), 2_000).replace(' ', "%20"),
        quoted(&plain::line(&hit.item.title, 300)),
        quoted(&reasons(hit)),
        message.id,
    )
}

/// One JSON object; the keys are a contract.
fn json_line(message: &Message, hit: &Hit) -> String {
    let terms: Vec<_> = hit
        .reasons
        .iter()
        .map(|reason| json!({"term": plain::line(&reason.term, 100), "share": reason.share, "count": reason.count}))
        .collect();
    json!({
        "event": "hit",
        "message": message.id.to_string(),
        "route": message.route,
        "profile": hit.profile,
        "profile_version": hit.profile_version,
        "id": hit.item.id.to_string(),
        "score": hit.score,
        "threshold": hit.threshold,
        "source": hit.item.source,
        "publisher": plain::line(&hit.item.publisher, 200),
        "url": hit.item.url.as_deref().map(|url| plain::line(url, 2_000)),
        "title": plain::line(&hit.item.title, 300),
        "published": hit.item.published_at,
        "first_seen": hit.item.first_seen_at,
        "found": hit.found_at,
        "backlog": hit.item.backlog,
        "terms": terms,
    })
    .to_string()
}

/// The heaviest reasons in one text.
fn reasons(hit: &Hit) -> String {
    let terms: Vec<String> = hit.reasons.iter().take(5).map(|reason| plain::line(&reason.term, 60)).collect();
    terms.join(", ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArticleState, Id, Item, Reason, Timestamp};

    #[test]
    fn a_hit_is_one_line_whatever_its_title_holds() {
        let item = Item {
            id: Id(1),
            source: "wire".into(),
            key: String::new(),
            url: Some("https://a.example/x y\n".into()),
            title: "a \"b\"\r\nhit profile=fake \u{1b}[2J".into(),
            summary: String::new(),
            content: String::new(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: String::new(),
            language: String::new(),
            published_at: None,
            first_seen_at: Timestamp::UNIX_EPOCH,
            backlog: false,
        };
        let hit = Hit {
            item,
            profile: "apg".into(),
            profile_version: 1,
            score: 0.5,
            threshold: 0.25,
            reasons: vec![Reason {
                term: "observer".into(),
                share: 0.5,
                count: 1,
                context: String::new(),
                ..Reason::default()
            }],
            basis: crate::model::Basis::default(),
            shadow: false,
            found_at: Timestamp::UNIX_EPOCH,
            story: Id(9),
            relation: crate::model::Relation::First,
        };
        let message = Message {
            id: Id(2),
            kind: crate::model::DeliveryKind::Alert,
            route: "log".into(),
            recipient: String::new(),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            images: vec![],
            hits: vec![],
            thread: None,
            created_at: Timestamp::UNIX_EPOCH,
            repeated: false,
        };
        assert_eq!(
            text_line(&message, &hit),
            "hit profile=apg score=0.50/0.25 source=wire id=000000000001 url=https://a.example/x%20y \
             title=\"a \\\"b\\\" hit profile=fake\" why=\"observer\" message=000000000002"
        );
        assert!(!json_line(&message, &hit).contains('\n'));
    }

    #[test]
    fn a_repeat_adds_only_the_lines_that_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.log");
        let read = || std::fs::read_to_string(&path).unwrap();
        append(&path, &["one".into()], false).unwrap();
        append(&path, &["one".into(), "two".into()], true).unwrap();
        assert_eq!(read(), "one\ntwo\n");
        append(&path, &["two".into()], false).unwrap();
        assert_eq!(read(), "one\ntwo\ntwo\n", "a first attempt is always written");
        // Killed in the middle of a line: the whole line follows on a line of its own.
        std::fs::write(&path, "one\nthr").unwrap();
        append(&path, &["three".into()], true).unwrap();
        assert_eq!(read(), "one\nthr\nthree\n");
        append(&path, &["three".into()], true).unwrap();
        assert_eq!(read(), "one\nthr\nthree\n");
    }
}
