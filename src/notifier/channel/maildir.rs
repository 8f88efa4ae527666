//! Mails into a folder in Maildir form (<https://cr.yp.to/proto/maildir.html>), where a mail program or IMAP server finds them.
//!
//! A mail is written in `tmp`, synced, and linked into `new` under a name that is a function of the outbox row: a repeat finds
//! it there, or in `cur` where the mail program put it, and adds nothing. One that was read and deleted between two attempts
//! would come again. Lines end with LF, as in every Maildir.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

use super::email::{Sender, write_mail};
use super::{Channel, DeliveryError, Message};
use crate::config::section::Section;

/// The settings.
#[derive(Debug)]
struct Maildir {
    path: PathBuf,
    sender: Sender,
}

/// Reads `path`, `from`, `unsubscribe`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let sender = Sender::from_section(section);
    section.required_text("path");
    let path = section.path("path");
    if let Some(path) = &path {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.exists() && !path.is_dir() {
            section.problem("path", format!("`path`: {} is no folder", path.display()));
        } else if !parent.is_dir() {
            section.problem("path", format!("`path`: there is no folder {}", parent.display()));
        } else if path.is_dir()
            && !path.join("new").is_dir()
            && fs::read_dir(path).is_ok_and(|mut in_it| in_it.next().is_some())
        {
            let advice = "name one that is, or one that is not there yet";
            section.problem("path", format!("`path`: {} is no Maildir; {advice}", path.display()));
        }
    }
    Some(Arc::new(Maildir { path: path?, sender: sender? }))
}

impl Channel for Maildir {
    fn kind(&self) -> &'static str {
        "maildir"
    }

    fn describe(&self) -> String {
        format!("mails into the Maildir {}", self.path.display())
    }

    fn needs_recipients(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let mail = write_mail(message, &self.sender)?.with_local_line_ends();
            let name = format!("{}.newswatch-{}", message.created_at.as_second(), message.id);
            let (path, repeated) = (self.path.clone(), message.repeated);
            // A folder on a slow disk must not hold up the loops.
            let written = tokio::task::spawn_blocking(move || put(&path, &name, &mail, repeated)).await;
            let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            written.map_err(|error| {
                DeliveryError::Temporary(format!("cannot write into the Maildir {}: {error}", self.path.display()))
            })
        })
    }
}

/// Puts a mail into `new` unless one of this name is there or was.
fn put(folder: &Path, name: &str, mail: &[u8], repeated: bool) -> std::io::Result<()> {
    let [tmp, new, cur] = ["tmp", "new", "cur"].map(|part| folder.join(part));
    for part in [folder, &tmp, &new, &cur] {
        match fs::DirBuilder::new().mode(0o700).create(part) {
            // The name of a new folder must be safe as well.
            Ok(()) => part.parent().map_or(Ok(()), sync_folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let place = new.join(name);
    if repeated {
        // The mail program adds its flags behind a colon.
        let is_ours =
            |file: &str| file == name || file.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '.']));
        for entry in fs::read_dir(&tmp)?.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_ours)) {
            // What an attempt left behind that was cut off.
            let _ = fs::remove_file(entry.path());
        }
        let is_seen = |part: &Path| -> std::io::Result<bool> {
            Ok(fs::read_dir(part)?.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_ours)))
        };
        if is_seen(&new)? || is_seen(&cur)? {
            // The attempt that put it there may have ended before this.
            sync_folder(&new)?;
            return sync_folder(&cur);
        }
    }
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = tmp.join(format!("{name}.{}-{count}", std::process::id()));
    let written = write(&draft, mail).and_then(|()| link(&draft, &place));
    let _ = fs::remove_file(&draft);
    written?;
    sync_folder(&new)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the file its second name; one that has that name already is the same mail.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // Some file systems know no second names. Nobody else writes files of our name.
        Err(_) if !to.exists() => fs::rename(from, to),
        result => result,
    }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_repeat_adds_nothing_wherever_the_mail_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Mail");
        put(&path, "1.a", b"one\n", false).unwrap();
        assert_eq!(names(&path.join("new")), ["1.a"]);
        assert_eq!(names(&path.join("tmp")), [""; 0]);
        put(&path, "1.a", b"one\n", true).unwrap();
        assert_eq!(names(&path.join("new")), ["1.a"]);
        // A mail program has seen it.
        fs::rename(path.join("new/1.a"), path.join("cur/1.a:2,S")).unwrap();
        put(&path, "1.a", b"one\n", true).unwrap();
        assert_eq!(names(&path.join("new")), [""; 0]);
        put(&path, "1.ab", b"two\n", true).unwrap();
        assert_eq!(names(&path.join("new")), ["1.ab"], "a name that only begins alike is another mail");
        // Killed while writing: half a mail in tmp.
        fs::write(path.join("tmp/1.b.99-0"), "ha").unwrap();
        put(&path, "1.b", b"three\n", true).unwrap();
        assert_eq!(names(&path.join("tmp")), [""; 0]);
        assert_eq!(fs::read(path.join("new/1.b")).unwrap(), b"three\n");
    }
}
