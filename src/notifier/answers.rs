//! What readers answer: verdicts by mail, out of a Maildir that the mail server fills.
//!
//! A mail counts when its subject holds a token that this newswatch signed and it comes from the one the token was made for. Anything
//! else changes nothing: it is laid aside with a line in the log. The same mail twice is one verdict.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mail_parser::MessageParser;

use super::compose::token::{self, Claim, Key};
use super::gather;
use crate::config::messages::Verdicts;
use crate::model::{Id, Judgement};
use crate::plain;
use crate::store::{self, Store};

/// Mails read at one look; the others wait for the next.
const MAILS_MAX: usize = 200;
/// A larger mail is no answer: it is one line and what mail programs add.
const MAIL_BYTES_MAX: u64 = 512 * 1024;

/// What became of the mails of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Verdicts that were added.
    pub added: usize,
    /// Answers that said nothing new.
    pub known: usize,
    /// Mails that were refused.
    pub refused: usize,
    /// Mails that wait for the next look.
    pub waiting: usize,
}

/// A verdict that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What was said, and by whom.
    pub claim: Claim,
    /// Title of the item.
    pub title: String,
    /// It was not known already.
    pub is_new: bool,
}

/// Why something that looks like an answer is none; for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Takes a verdict by its token. `answer` is the answer's own identity: the same one again adds nothing.
pub async fn take(
    store: &Store,
    key: &Key,
    token: &str,
    answer: Option<Id>,
    now: Timestamp,
) -> store::Result<Result<Taken, Refused>> {
    let Some(claim) = token::read(token, key) else {
        let why =
            "its token was not made by this newswatch, or altered on the way (a new key makes all older links void)";
        return Ok(Err(Refused(why.to_string())));
    };
    let Some(item) = store.item(claim.item).await? else {
        return Ok(Err(Refused(format!("the item {} is not stored any more", claim.item))));
    };
    let judgement = Judgement {
        item: claim.item,
        profile: claim.profile.clone(),
        author: plain::line(&claim.recipient, 100),
        at: now,
        verdict: claim.verdict,
        note: String::new(),
    };
    // Typed by hand it is an answer of its own each time.
    let answer = answer.unwrap_or_else(|| Id::of(&["typed", token, &now.to_string()]));
    let is_new = store.judge_by_answer(&judgement, answer).await?;
    Ok(Ok(Taken { claim, title: plain::line(&item.title, 200), is_new }))
}

/// Reads the new mails of a Maildir and lays them aside. Answers what became of them; the inner error is for the operator.
pub async fn read(
    store: &Store,
    verdicts: &Verdicts,
    maildir: &Path,
    now: Timestamp,
) -> store::Result<Result<Looked, String>> {
    let key = match gather::key(store, verdicts).await? {
        Ok(key) => key,
        Err(error) => return Ok(Err(error)),
    };
    let folder = maildir.to_path_buf();
    let found = tokio::task::spawn_blocking(move || new_mails(&folder)).await;
    let (names, waiting) = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(Err(format!("the Maildir {} cannot be read: {error}", maildir.display()))),
        Err(error) => return Ok(Err(format!("reading the Maildir failed inside newswatch: {error}"))),
    };
    let mut looked = Looked { waiting, ..Looked::default() };
    for name in names {
        let path = maildir.join("new").join(&name);
        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
        let answer = match opened {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(Refused(why)),
            Err(error) => Err(Refused(format!("it could not be read: {error}"))),
        };
        let taken = match answer {
            Ok(answer) => match answer.check(&key, verdicts) {
                Ok(()) => take(store, &key, &answer.token, Some(answer.identity), now).await?,
                Err(refused) => Err(refused),
            },
            Err(refused) => Err(refused),
        };
        match &taken {
            Ok(taken) => {
                let (verdict, claim) = (taken.claim.verdict.as_str(), &taken.claim);
                looked.added += usize::from(taken.is_new);
                looked.known += usize::from(!taken.is_new);
                let known = if taken.is_new { "" } else { " (known already)" };
                let author = plain::line(&claim.recipient, 100);
                tracing::info!(item = %claim.item, profile = claim.profile, "{author} says {verdict} of {}{known}: {}", claim.item, taken.title);
            }
            Err(why) => {
                looked.refused += 1;
                tracing::warn!("the mail {} is no verdict: {}", plain::line(&name, 100), plain::line(&why.0, 300));
            }
        }
        // Only now: whatever happens before, the mail is read again, and a verdict that was taken is not taken twice.
        if let Err(error) = lay_aside(maildir, &name, taken.is_ok()) {
            tracing::warn!("the mail {} stays in {}/new: {error}", plain::line(&name, 100), maildir.display());
        }
    }
    Ok(Ok(looked))
}

/// Names of new mails, the oldest first, and how many more there are.
fn new_mails(maildir: &Path) -> std::io::Result<(Vec<String>, usize)> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(maildir.join("new"))? {
        let entry = entry?;
        // Not what a link leads to.
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.file_type()?.is_file()
        {
            names.push(name);
        }
    }
    // Names begin with the time of arrival.
    names.sort();
    let waiting = names.len().saturating_sub(MAILS_MAX);
    names.truncate(MAILS_MAX);
    Ok((names, waiting))
}

/// From new/ to cur/, marked as seen when it was a verdict.
fn lay_aside(maildir: &Path, name: &str, was_verdict: bool) -> std::io::Result<()> {
    let flags = if was_verdict { "S" } else { "" };
    let target: PathBuf = maildir.join("cur").join(format!("{}:2,{flags}", name.split(':').next().unwrap_or(name)));
    fs::rename(maildir.join("new").join(name), target)
}

/// A mail that may be a verdict.
struct Answer {
    token: String,
    sender: String,
    /// The same for every copy of the mail.
    identity: Id,
}

fn open(path: &Path) -> Result<Answer, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    file.take(MAIL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > MAIL_BYTES_MAX {
        return Err(format!("it is larger than {} KiB", MAIL_BYTES_MAX >> 10));
    }
    // A mail is the parser's to read and nobody's to trust.
    let parsed = std::panic::catch_unwind(|| parse(&bytes));
    parsed.unwrap_or_else(|_| Err("it cannot be read".to_string()))
}

fn parse(bytes: &[u8]) -> Result<Answer, String> {
    // Only the head is looked at.
    let message = MessageParser::default().parse_headers(bytes).ok_or("it has no headers")?;
    let subject = message.subject().unwrap_or_default();
    let token = token::in_subject(subject).ok_or("its subject holds no verdict")?.to_string();
    let senders: Vec<&str> =
        message.from().map_or(Vec::new(), |from| from.iter().filter_map(|one| one.address()).collect());
    let [sender] = senders.as_slice() else {
        return Err("it does not say from whom it comes, or from several".to_string());
    };
    let date = message.date().map_or(0, |date| date.to_timestamp()).to_string();
    let identity = Id::of(&["answer", message.message_id().unwrap_or_default(), &date, &token]);
    Ok(Answer { token, sender: sender.trim().to_ascii_lowercase(), identity })
}

impl Answer {
    /// It comes from the one that the token was made for, or from one who may answer for others.
    fn check(&self, key: &Key, verdicts: &Verdicts) -> Result<(), Refused> {
        let Some(claim) = token::read(&self.token, key) else { return Ok(()) };
        let may_answer = |sender: &String| {
            let sender = sender.to_ascii_lowercase();
            if sender.starts_with('@') { self.sender.ends_with(&sender) } else { self.sender == sender }
        };
        if self.sender == claim.recipient.to_ascii_lowercase() || verdicts.senders.iter().any(may_answer) {
            return Ok(());
        }
        Err(Refused(format!(
            "it comes from {}, but its token was made for {} (verdicts.senders says who else may answer)",
            plain::line(&self.sender, 100),
            plain::line(&claim.recipient, 100)
        )))
    }
}
