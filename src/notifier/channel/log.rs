//! The log channel: one line a hit, with stable keys, made for `tail -f | grep`. Into the process's own log (journald
//! fields when run by systemd), or into a file.
//!
//! The keys are a contract: keys may be added behind the others, none changes its meaning.
//!
//! ```text
//! hit profile=apg score=0.52/0.15 source=wire id=ITEM url=https://… title="…" why="term, term" message=MESSAGE
//!     story=STORY relation=first strength=3.5 kind=alert route=desk                                   (all on one line)
//! digest message=MESSAGE route=desk hits=3 from=2026-11-20T06:30:00Z to=2026-11-21T06:30:00Z subject="…"
//! note message=MESSAGE route=desk text="a line of a message that is about no hit"
//! ```
//!
//! * `hit`: `id` for `newswatch why`, `score` against threshold, `strength` the one by the other, `relation` to the story: first,
//!   copy, update or independent; `message` the outbox row, `kind` its kind: alert, group, digest, overflow or report.
//! * A message that is more than its hits has a line of its own, before theirs, which begins with its kind.
//! * `note`: what a message without hits says, line by line: a report, the coverage of an empty digest.
//! * `format = "json"`: an object a line, told apart by `event`: `hit`, else the kind of the message, with its `lines` if it is
//!   about no hit. Keys as in [`json_line`] and [`json_message`].
//! * journald: `profile`, `item`, `story`, `relation`, `score`, `threshold`, `strength`, `source`, `url`, `kind`, `route`,
//!   `outbox`, each as a field of its own (`F_PROFILE=apg`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::payload::safe_url;
use super::{Channel, DeliveryError, Message};
use crate::config::section::Section;
use crate::model::{DeliveryKind, Hit, ReportLine};
use crate::plain;

/// Target of the log's own events, so that a filter can tell them from the rest.
pub const TARGET: &str = "newswatch::hit";

/// So much of the file's end is searched for the lines of an earlier attempt.
const TAIL_BYTES: u64 = 4 << 20;

/// Lines of a message without hits.
const NOTES_MAX: usize = 500;

/// Where the lines go and how they look.
#[derive(Debug)]
struct Log {
    json: bool,
    path: Option<PathBuf>,
    /// What is delivered here is of interest only while somebody looks for a fault.
    quiet: bool,
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
    Some(Arc::new(Log { json, path, quiet: false, writing: Arc::default() }))
}

/// The channel that is always there: lines of text in the process's own log.
pub fn to_own_log() -> Arc<dyn Channel> {
    Arc::new(Log { json: false, path: None, quiet: false, writing: Arc::default() })
}

/// Where self-tests arrive while no operator is configured: a line in the process's own log that is shown only with `-v`.
pub fn for_self_tests() -> Arc<dyn Channel> {
    Arc::new(Log { json: false, path: None, quiet: true, writing: Arc::default() })
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
                    let lines = self.lines(message);
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
                    self.emit(message);
                    Ok(())
                }
            }
        })
    }
}

impl Log {
    /// All lines of a message.
    fn lines(&self, message: &Message) -> Vec<String> {
        let mut lines = self.lines_of_message(message);
        lines.extend(message.hits.iter().map(|hit| self.line(message, hit)));
        lines
    }

    fn line(&self, message: &Message, hit: &Hit) -> String {
        if self.json { json_line(message, hit) } else { text_line(message, hit) }
    }

    /// What is said of the message itself: nothing of an alert, which is its hits.
    fn lines_of_message(&self, message: &Message) -> Vec<String> {
        match message.kind {
            DeliveryKind::Alert if !message.hits.is_empty() => Vec::new(),
            _ if self.json => vec![json_message(message)],
            _ => {
                let mut lines = vec![text_message(message)];
                lines.extend(notes(message).iter().map(|note| text_note(message, note)));
                lines
            }
        }
    }

    /// Events of the process's log; their fields become journald's fields.
    fn emit(&self, message: &Message) {
        if self.quiet {
            tracing::debug!(target: "newswatch::hit", outbox = %message.id, "{}", plain::line(&message.subject, 300));
            return;
        }
        for line in self.lines_of_message(message) {
            let (kind, route) = (message.kind.as_str(), &message.route);
            tracing::info!(target: "newswatch::hit", kind, route, outbox = %message.id, "{line}");
        }
        for hit in &message.hits {
            tracing::info!(
                target: "newswatch::hit",
                profile = hit.profile,
                item = %hit.item.id,
                story = %hit.story,
                relation = hit.relation.as_str(),
                score = hit.score,
                threshold = hit.threshold,
                strength = hit.strength(),
                source = hit.item.source,
                url = url(hit),
                kind = message.kind.as_str(),
                route = message.route,
                outbox = %message.id,
                "{}", self.line(message, hit)
            );
        }
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
        "hit profile={} score={:.2}/{:.2} source={} id={} url={} title={} why={} message={} story={} relation={} \
         strength={:.1} kind={} route={}",
        hit.profile,
        hit.score,
        hit.threshold,
        hit.item.source,
        hit.item.id,
        Some(url(hit)).filter(|url| !url.is_empty()).as_deref().unwrap_or("-"),
        quoted(&plain::line(&hit.item.title, 300)),
        quoted(&reasons(hit)),
        message.id,
        hit.story,
        hit.relation.as_str(),
        hit.strength(),
        message.kind.as_str(),
        message.route,
    )
}

/// `digest message=… route=desk hits=3 from=… to=… subject="…"`.
fn text_message(message: &Message) -> String {
    let window = message.window.map_or(String::new(), |(from, to)| format!(" from={from} to={to}"));
    let (kind, id, route, hits) = (message.kind.as_str(), message.id, &message.route, message.hits.len());
    let subject = quoted(&plain::line(&message.subject, 300));
    format!("{kind} message={id} route={route} hits={hits}{window} subject={subject}")
}

/// `note message=… route=desk text="…"`.
fn text_note(message: &Message, note: &str) -> String {
    format!("note message={} route={} text={}", message.id, message.route, quoted(note))
}

/// What a message says that is about no hit, without its subject; what is left out is counted.
fn notes(message: &Message) -> Vec<String> {
    if !message.hits.is_empty() {
        return Vec::new();
    }
    if !message.report.is_empty() {
        let advice =
            |line: &ReportLine| if line.advice.is_empty() { String::new() } else { format!("; {}", line.advice) };
        let one = |line: &ReportLine| format!("{}: {}{}", line.about, line.headline, advice(line));
        return message.report.iter().take(NOTES_MAX).map(|line| plain::line(&one(line), 1_000)).collect();
    }
    let lines = message.text.lines().map(|line| plain::line(line, 1_000));
    // What underlines a heading says nothing.
    let says = |line: &String| line.chars().any(char::is_alphanumeric) && *line != message.subject;
    let mut notes: Vec<String> = lines.filter(says).collect();
    if notes.len() > NOTES_MAX {
        let left = notes.len() - NOTES_MAX;
        notes.truncate(NOTES_MAX);
        notes.push(format!("{}: newswatch status", plain::counted(left, "more line")));
    }
    notes
}

/// The address, if it is one that can be shown and followed; else empty.
fn url(hit: &Hit) -> String {
    hit.item.url.as_deref().and_then(safe_url).unwrap_or_default()
}

/// One JSON object; the keys are a contract.
fn json_message(message: &Message) -> String {
    json!({
        "event": message.kind,
        "message": message.id,
        "route": message.route,
        "from": message.window.map(|(from, _)| from),
        "to": message.window.map(|(_, to)| to),
        "hits": message.hits.len(),
        "subject": plain::line(&message.subject, 300),
        "lines": notes(message),
    })
    .to_string()
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
        "message": message.id,
        "kind": message.kind,
        "route": message.route,
        "profile": hit.profile,
        "profile_version": hit.profile_version,
        "id": hit.item.id,
        "story": hit.story,
        "relation": hit.relation,
        "score": hit.score,
        "threshold": hit.threshold,
        "strength": hit.strength(),
        "source": hit.item.source,
        "publisher": plain::line(&hit.item.publisher, 200),
        "url": hit.item.url.as_deref().and_then(safe_url),
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
    use crate::model::Relation;
    use crate::notifier::channel::payload::tests::{hit, message};

    fn log(json: bool) -> Log {
        Log { json, path: None, quiet: false, writing: Arc::default() }
    }

    #[test]
    fn a_hit_is_one_line_whatever_its_title_holds() {
        let mut hit = hit(1, "a \"b\"\r\nhit profile=fake \u{1b}[2J");
        hit.item.url = Some("https://a.example/x y\n".into());
        hit.relation = Relation::Update;
        let message = message(DeliveryKind::Alert, vec![hit]);
        assert_eq!(
            log(false).lines(&message),
            ["hit profile=apg score=0.50/0.20 source=wire id=000000000001 url=https://a.example/x%20y \
              title=\"a \\\"b\\\" hit profile=fake\" why=\"observer status\" message=000000000005 story=000000000000 \
              relation=update strength=2.5 kind=alert route=desk"]
        );
        let json = log(true).lines(&message);
        assert!(json.len() == 1 && !json[0].contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
        let expected = json!({
            "event": "hit", "message": "000000000005", "kind": "alert", "route": "desk", "profile": "apg",
            "profile_version": 4, "id": "000000000001", "story": "000000000000", "relation": "update", "score": 0.5,
            "threshold": 0.2, "strength": 2.5, "source": "wire", "publisher": "The Paper",
            "url": "https://a.example/x%20y", "title": "a \"b\" hit profile=fake",
            "published": "2027-01-15T07:50:00Z", "first_seen": "2027-01-15T07:55:00Z",
            "found": "2027-01-15T08:01:00Z", "backlog": false,
            "terms": [{"term": "observer status", "share": 0.25, "count": 1}],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_digest_and_a_report_have_lines_too() {
        let digest = message(DeliveryKind::Digest, vec![hit(1, "One"), hit(2, "Two")]);
        let lines = log(false).lines(&digest);
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0],
            "digest message=000000000005 route=desk hits=2 from=2027-01-14T08:00:00Z to=2027-01-15T08:00:00Z \
             subject=\"newswatch: 2 hits (apg 2)\""
        );
        let mut report = message(DeliveryKind::Report, vec![]);
        report.text = format!("{}\n====\n\nmoskva cannot be read\n  newswatch source \"test\"\n", report.subject);
        assert_eq!(
            log(false).lines(&report),
            [
                "report message=000000000005 route=desk hits=0 subject=\"newswatch: 2 hits (apg 2)\"",
                "note message=000000000005 route=desk text=\"moskva cannot be read\"",
                "note message=000000000005 route=desk text=\"newswatch source \\\"test\\\"\"",
            ]
        );
        let json: serde_json::Value = serde_json::from_str(&log(true).lines(&report)[0]).unwrap();
        let expected = json!({"event": "report", "message": "000000000005", "route": "desk", "from": null, "to": null,
            "hits": 0, "subject": "newswatch: 2 hits (apg 2)",
            "lines": ["moskva cannot be read", "newswatch source \"test\""]});
        assert_eq!(json, expected);
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
