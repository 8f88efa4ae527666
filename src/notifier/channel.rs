//! What a channel can do, and the list of kinds. One kind is one file and one line in [`KINDS`].

pub mod email;
pub mod log;

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::config::section::Section;
use crate::model::{DeliveryKind, Hit, Id, Timestamp};

/// One message to one recipient, ready to be delivered. All its text is already safe to show.
#[derive(Clone, Debug)]
pub struct Message {
    /// The outbox row: a repeat after a crash carries the same.
    pub id: Id,
    /// What kind of message.
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
    /// The hits it is about, in the order shown.
    pub hits: Vec<Hit>,
    /// The story whose messages belong together, when it is about one.
    pub thread: Option<Id>,
    /// Pictures that the HTML names by `cid:`.
    pub images: Vec<InlineImage>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// Not the first attempt: an earlier one may have been taken without anybody knowing.
    pub repeated: bool,
}

/// A picture within a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineImage {
    /// What the HTML calls it, without `cid:`.
    pub cid: String,
    /// "image/png".
    pub media_type: String,
    /// The picture.
    pub bytes: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub description: String,
}

/// Why a delivery did not succeed. The outbox decides what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Worth another try; also when it is uncertain whether the message was taken.
    #[error("{0}")]
    Temporary(String),
    /// Trying again would not help.
    #[error("{0}")]
    Permanent(String),
}

/// A channel that was configured.
pub trait Channel: Send + Sync + Debug {
    /// Name of the kind, as in the configuration.
    fn kind(&self) -> &'static str;

    /// Where it leads, in words, without secrets: "mail by smtp.example.org:587 (STARTTLS) from watch@example.org".
    fn describe(&self) -> String;

    /// Routes that use it must name recipients (`to`).
    fn needs_recipients(&self) -> bool;

    /// One attempt.
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// Reads the settings of a kind from its `[[channel]]` table and reports what is wrong there.
pub type ReadSettings = fn(&mut Section<'_>) -> Option<Arc<dyn Channel>>;

/// The kinds: name in the configuration, how its settings are read.
pub const KINDS: &[(&str, ReadSettings)] = &[("email", email::settings), ("log", log::settings)];
