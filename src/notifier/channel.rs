//! What a channel can do, and the list of kinds. One kind is one file and one line in [`KINDS`].

pub mod command;
pub mod email;
pub mod feed;
pub mod log;
pub mod maildir;
pub mod payload;
pub mod sendmail;
pub mod template;
pub mod webhook;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use crate::config::section::Section;
use crate::model::{DeliveryKind, Hit, Id, ReportLine, Timestamp};

/// One message to one recipient, ready to be delivered. All its text is already safe to show.
#[derive(Clone, Debug)]
pub struct Message {
    /// The outbox row: a repeat after a crash carries the same.
    pub id: Id,
    /// Of which kind.
    pub kind: DeliveryKind,
    /// Name of the route.
    pub route: String,
    /// Who gets it; empty for channels without recipients.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text, complete by itself.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Pictures that the HTML shows.
    pub images: Vec<InlineImage>,
    /// The hits it is about, in the order shown.
    pub hits: Vec<Hit>,
    /// An earlier outbox row of the same route and recipient, when this message is about the story that it told: mail programs
    /// show the two as one conversation.
    pub thread: Option<Id>,
    /// From when to when it tells, where it tells of a window.
    pub window: Option<(Timestamp, Timestamp)>,
    /// What it tells the operator; empty but for reports.
    pub report: Vec<ReportLine>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When this attempt is made.
    pub attempted_at: Timestamp,
    /// Not the first attempt: an earlier one may have been taken without anybody knowing.
    pub repeated: bool,
}

/// A picture within a message, named by its HTML as `cid:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineImage {
    /// Its name within the message: letters, digits, "-" and ".".
    pub cid: String,
    /// Such as "image/png".
    pub media_type: String,
    /// The picture.
    pub bytes: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub description: String,
}

/// Why a delivery did not succeed. The outbox decides what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It was certainly not taken; worth another try.
    #[error("{0}")]
    Temporary(String),
    /// It was not taken, and the other side wants to be left alone for so long.
    #[error("{error}")]
    Busy {
        /// Why.
        error: String,
        /// When another try makes sense.
        wait: Duration,
    },
    /// Nobody knows whether it was taken: tried again with the same id, but less often, as each try may bring a copy.
    #[error("{0}")]
    Uncertain(String),
    /// Trying again would not help.
    #[error("{0}")]
    Permanent(String),
}

/// What the configuration says of the network in general (`[fetch]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The only way out, where there is one.
    pub proxy: Option<Url>,
    /// A PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// A channel that was configured.
pub trait Channel: Send + Sync + Debug {
    /// Name of the kind, as in the configuration.
    fn kind(&self) -> &'static str;

    /// Where it leads, in words, without secrets: "mail by smtp.example.org:587 (STARTTLS) from watch@example.org".
    fn describe(&self) -> String;

    /// Routes that use it must name recipients (`to`).
    fn needs_recipients(&self) -> bool;

    /// The same channel on this network; `None` for one that asks nothing by HTTP.
    fn on_network(&self, _network: &Network) -> Option<Arc<dyn Channel>> {
        None
    }

    /// One attempt.
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>>;

    /// One attempt by each of its ways out, telling every step as it is made; for `newswatch mail-test`.
    fn rehearse<'a>(&'a self, message: &'a Message, tell: Tell<'a>) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let result = self.deliver(message).await;
            match &result {
                Ok(()) => tell("delivery", "taken"),
                Err(error) => tell("delivery", &format!("FAILED: {error}")),
            }
            result
        })
    }
}

/// Is told each step of a rehearsal: its name, and what came of it, or why it failed.
pub type Tell<'a> = &'a mut (dyn FnMut(&str, &str) + Send);

/// Reads the settings of a kind from its `[[channel]]` table and reports what is wrong there.
pub type ReadSettings = fn(&mut Section<'_>) -> Option<Arc<dyn Channel>>;

/// The kinds: name in the configuration, how its settings are read.
pub const KINDS: &[(&str, ReadSettings)] = &[
    ("command", command::settings),
    ("email", email::settings),
    ("feed", feed::settings),
    ("log", log::settings),
    ("maildir", maildir::settings),
    ("sendmail", sendmail::settings),
    ("webhook", webhook::settings),
];

/// What `settings` make of the keys of a `[[channel]]` table, and what is wrong there.
#[cfg(test)]
fn from_text(settings: ReadSettings, text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
    use crate::config::section::{File, Problem, Problems};
    let problems = Problems::default();
    let channel = File::new("a.toml", text.to_string()).read(&problems, |mut section| {
        let channel = settings(&mut section);
        section.finish();
        channel
    });
    (channel, problems.into_sorted().iter().map(Problem::to_string).collect())
}
