//! What is collected of a feed or of an entry while its document is read, and what wins of it.

use jiff::Timestamp;
use url::Url;

use super::canonical::{Beside, Item};
use super::text::Captured;
use super::tokens::Tokens;
use super::written::Written;
use crate::model::Enclosure;
use crate::plain;
use crate::poller::read::absolute;

/// The best candidate so far, and its rank.
#[derive(Clone, Debug)]
pub(super) struct Best<T>(u8, pub(super) Option<T>);

impl<T> Best<T> {
    /// As [`Best::offer`], but of several of one rank the last wins: a date that is given twice was corrected.
    pub(super) fn offer_last(&mut self, rank: u8, value: T) {
        if self.1.is_none() || rank <= self.0 {
            *self = Best(rank, Some(value));
        }
    }

    pub(super) fn offer(&mut self, rank: u8, value: T) {
        if self.1.is_none() || rank < self.0 {
            *self = Best(rank, Some(value));
        }
    }
}

impl<T> Default for Best<T> {
    fn default() -> Self {
        Best(u8::MAX, None)
    }
}

/// What was collected of the feed or of an entry, untouched where that is possible.
pub(super) struct Draft<'a> {
    pub(super) base: Url,
    pub(super) title: Best<Captured<'a>>,
    /// Descriptions of all kinds with their ranks: feeds that have two put the longer text into one of them.
    pub(super) summaries: Vec<(u8, Captured<'a>)>,
    pub(super) content: Best<Captured<'a>>,
    pub(super) link: Best<String>,
    pub(super) guid: Best<String>,
    /// The guid is said to be an address.
    pub(super) guid_is_link: bool,
    pub(super) published: Best<Timestamp>,
    pub(super) updated: Best<Timestamp>,
    pub(super) language: Best<String>,
    pub(super) authors: Vec<String>,
    pub(super) publisher: String,
    pub(super) categories: Vec<String>,
    pub(super) enclosures: Vec<Enclosure>,
    /// Names of elements we are inside of that mean nothing to us.
    pub(super) inside: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(base: &Url) -> Draft<'a> {
        Draft {
            base: base.clone(),
            title: Best::default(),
            summaries: Vec::new(),
            content: Best::default(),
            link: Best::default(),
            guid: Best::default(),
            guid_is_link: false,
            published: Best::default(),
            updated: Best::default(),
            language: Best::default(),
            authors: Vec::new(),
            publisher: String::new(),
            categories: Vec::new(),
            enclosures: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// What won. Texts that are longer than `bytes_max` once they are plain will be cut.
    pub(super) fn into_item(self, base: &Url, tokens: &Tokens<'_>, bytes_max: usize) -> Item<'a> {
        let guid = self.guid.1.unwrap_or_default();
        let link = self.link.1.as_deref().and_then(|link| absolute(base, link));
        let url = link.or_else(|| {
            // A guid that is an address will do if there is nothing else.
            let is_address = self.guid_is_link || guid.starts_with("http://") || guid.starts_with("https://");
            is_address.then(|| absolute(base, &guid)).flatten()
        });
        let mut summaries = self.summaries;
        summaries.sort_by_key(|(rank, _)| *rank);
        let mut summaries = summaries.iter().map(|(_, text)| text.written(tokens, bytes_max));
        let summary = summaries.next().unwrap_or_default();
        let content = match &self.content.1 {
            Some(content) => content.written(tokens, bytes_max),
            None => longer(&summary, summaries, bytes_max).unwrap_or_default(),
        };
        let language =
            self.language.1.map(|language| plain::line(&language, 40)).filter(|language| !language.is_empty());
        Item {
            guid,
            url,
            title: self.title.1.map(|title| title.written(tokens, bytes_max)).unwrap_or_default(),
            summary,
            content,
            published: self.published.1,
            updated: self.updated.1,
            authors: self.authors,
            categories: self.categories,
            enclosures: self.enclosures,
            beside: Beside { publisher: self.publisher, language },
        }
    }
}

/// Without a long text, the next description is it, unless it says the same as the first.
fn longer<'a>(
    summary: &Written<'a>,
    mut others: impl Iterator<Item = Written<'a>>,
    bytes_max: usize,
) -> Option<Written<'a>> {
    let mut plain = None;
    others.find(|other| {
        // To be made plain is dear, and most of those that say the same are written the same.
        other != summary && other.text(bytes_max) != *plain.get_or_insert_with(|| summary.text(bytes_max))
    })
}
