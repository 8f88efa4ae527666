//! What a kind of source can do, and the list of kinds. One kind is one file and one line in [`KINDS`].

pub mod feed;
pub mod folder;
pub mod json;
pub mod page;
pub mod sitemap;
pub mod watch;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::{Memory, Part, Reading, Timestamp};

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

    /// It drops old entries when new ones come, as feeds and lists do: when everything is new, something may have been missed.
    fn drops_old_entries(&self) -> bool {
        true
    }

    /// It compares with what it saw before, so it needs its memory.
    fn remembers(&self) -> bool {
        false
    }

    /// Pages of one list that are read in a visit, as long as everything on them is new.
    fn pages_max(&self) -> usize {
        1
    }

    /// Parts that have to be asked although the document that names them has not changed.
    fn parts_to_ask_again(&self, _memory: &Memory, _now: Timestamp) -> Vec<Part> {
        Vec::new()
    }

    /// The folder that is looked into, for a source that is none of the network.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Which pattern of the configuration leaves out entries of this address, in words; `None` when none does.
    fn leaves_out(&self, _url: &str) -> Option<String> {
        None
    }

    /// The selectors of a list page.
    fn selectors(&self) -> Option<&page::Select> {
        None
    }

    /// Reads a document. One broken entry is a problem in the reading, never an error of the whole. What a kind notes in
    /// its memory is stored together with the entries.
    fn read(&self, document: &Document<'_>, limits: &ReadLimits, memory: &mut Memory) -> Result<Reading, ReadError>;
}

/// Notes that a kind of source has no article pages to fetch.
fn without_articles(section: &mut Section<'_>, reason: &str) {
    if section.boolean("article") == Some(true) {
        section.problem("article", format!("`article`: {reason}"));
    }
}

/// Reads the settings of a kind as a configuration file would hold them; the problems as they are told.
#[cfg(test)]
fn configured(text: &str, settings: ReadSettings) -> Result<Arc<dyn Source>, Vec<String>> {
    use crate::config::section::{File, Problems};
    let problems = Problems::default();
    let source = File::new("a.toml", text.to_string()).read(&problems, |mut section| {
        let source = settings(&mut section);
        section.finish();
        source
    });
    let found: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    source.filter(|_| found.is_empty()).ok_or(found)
}

/// Reads the settings of a kind from its `[[source]]` table and reports what is wrong there; `None` if it cannot be used.
pub type ReadSettings = fn(&mut Section<'_>) -> Option<Arc<dyn Source>>;

/// The kinds: name in the configuration, how its settings are read.
pub const KINDS: &[(&str, ReadSettings)] = &[
    ("feed", feed::settings),
    ("page", page::settings),
    ("watch", watch::settings),
    ("sitemap", sitemap::settings),
    ("json", json::settings),
    ("folder", folder::settings),
];
