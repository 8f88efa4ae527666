//! What a kind of source can do, and the list of kinds. One kind is one file and one line in [`KINDS`].

pub mod feed;
pub mod page;

use std::fmt::Debug;
use std::sync::Arc;

use url::Url;

use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::Reading;

/// Bytes that came from an address, and what is known about them.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Where the bytes came from, after redirects: the base of relative links.
    pub url: &'a Url,
    /// Content-Type as sent.
    pub content_type: Option<&'a str>,
    /// The bytes, without content encoding.
    pub body: &'a [u8],
}

/// Limits of reading one document.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Entries kept of one document; the newest (first) ones win and the rest is reported as a problem.
    pub entries_max: usize,
    /// Bytes kept of one text field.
    pub text_bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits { entries_max: 5_000, text_bytes_max: 256 * 1024 }
    }
}

/// Why a document gave no entries. The text is one line that says what the document is instead and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub String);

/// A source that was configured: knows how to ask and how to read. Pure: bytes in, entries out.
pub trait Source: Send + Sync + Debug {
    /// Name of the kind, as in the configuration.
    fn kind(&self) -> &'static str;

    /// Value of the Accept header.
    fn accept(&self) -> &'static str;

    /// What it asks for is made for people, so robots.txt is asked first. Feeds are made for programs.
    fn heeds_robots(&self) -> bool {
        false
    }

    /// The name of the trouble when a document cannot be read.
    fn unread(&self) -> Fault {
        Fault::NotAFeed
    }

    /// The selectors of a list page.
    fn selectors(&self) -> Option<&page::Select> {
        None
    }

    /// Reads a document. One broken entry is a problem in the reading, never an error of the whole.
    fn read(&self, document: &Document<'_>, limits: &ReadLimits) -> Result<Reading, ReadError>;
}

/// Reads the settings of a kind from its `[[source]]` table and reports what is wrong there; `None` if it cannot be used.
pub type ReadSettings = fn(&mut Section<'_>) -> Option<Arc<dyn Source>>;

/// The kinds: name in the configuration, how its settings are read.
pub const KINDS: &[(&str, ReadSettings)] = &[("feed", feed::settings), ("page", page::settings)];
