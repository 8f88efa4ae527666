//! What a source shows, and what becomes of it.

use serde::{Deserialize, Serialize};

use super::{Id, Timestamp};

/// One thing that a source offers, as read; whether it is new is not known yet. All texts are plain text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// What the publisher calls it: guid, atom:id, JSON Feed id. Empty when the publisher gives none.
    pub guid: String,
    /// Absolute address of the article where there is one.
    pub url: Option<String>,
    /// Title as plain text.
    pub title: String,
    /// Short text: description or atom:summary.
    pub summary: String,
    /// Long text: content:encoded or atom:content.
    pub content: String,
    /// When the publisher says it was published.
    pub published: Option<Timestamp>,
    /// When the publisher says it was changed.
    pub updated: Option<Timestamp>,
    /// Names of authors.
    pub authors: Vec<String>,
    /// Categories and tags.
    pub categories: Vec<String>,
    /// Attached files.
    pub enclosures: Vec<Enclosure>,
    /// Language tag given by the publisher ("en", "ko-KR").
    pub language: Option<String>,
    /// Who published it, when that is not the source itself (aggregators); else empty.
    pub publisher: String,
}

/// A file attached to an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Enclosure {
    /// Absolute address.
    pub url: String,
    /// Media type as the publisher gives it.
    pub media_type: Option<String>,
    /// Bytes as the publisher gives them.
    pub length: Option<u64>,
}

/// A further document that belongs to a source: a part of a sitemap index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Absolute address.
    pub url: String,
    /// When it was changed last, as its index writes it; empty when the index does not say.
    pub changed: String,
}

/// What one reading of a source gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Title of the feed or page.
    pub title: String,
    /// The site that the feed belongs to.
    pub url: Option<String>,
    /// Description of the feed.
    pub description: String,
    /// Language tag of the whole.
    pub language: Option<String>,
    /// The publisher's wish (`ttl`): do not ask again within so many minutes.
    pub ttl_minutes: Option<u32>,
    /// How often the publisher says it publishes (`sy:updatePeriod` and `sy:updateFrequency`), in minutes.
    pub update_minutes: Option<u32>,
    /// Hours of the day, UTC, in which the publisher does not want to be asked (`skipHours`).
    pub skip_hours: Vec<u8>,
    /// Days of the week, 0 for Monday, on which the publisher does not want to be asked (`skipDays`).
    pub skip_days: Vec<u8>,
    /// WebSub hub.
    pub hub: Option<String>,
    /// The address that the feed calls its own (`atom:link rel=self`).
    pub self_url: Option<String>,
    /// The address that the feed says it has moved to (`itunes:new-feed-url`).
    pub new_url: Option<String>,
    /// The document breaks off: it has to be asked for again, without validators.
    pub truncated: bool,
    /// The document is whole, but has to be read once more even if it stays as it is: what it no longer shows must be
    /// missing twice.
    pub unsettled: bool,
    /// Further documents that belong to the source and are to be read now.
    pub parts: Vec<Part>,
    /// Where the list goes on.
    pub next_page: Option<String>,
    /// The entries that could be read, in the publisher's order.
    pub entries: Vec<Entry>,
    /// What could not be read, one sentence each; the rest is unharmed.
    pub problems: Vec<String>,
}

/// How far the text of an item's own page got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArticleState {
    /// The source does not ask for article pages.
    NotWanted,
    /// The page was read; its text is in `article`.
    Read,
    /// The page could not be read (yet); the item is matched on what the source itself gave.
    Unread,
}

impl ArticleState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            ArticleState::NotWanted => "not-wanted",
            ArticleState::Read => "read",
            ArticleState::Unread => "unread",
        }
    }

    /// From the stored form; anything unknown counts as unread.
    pub fn from_stored(text: &str) -> ArticleState {
        match text {
            "not-wanted" => ArticleState::NotWanted,
            "read" => ArticleState::Read,
            _ => ArticleState::Unread,
        }
    }
}

/// One published thing, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Hash of source and key.
    pub id: Id,
    /// Name of the source in the configuration.
    pub source: String,
    /// What tells this item from the others of its source; see `poller::identity`.
    pub key: String,
    /// Address of the article.
    pub url: Option<String>,
    /// Title as plain text.
    pub title: String,
    /// Short text.
    pub summary: String,
    /// Long text from the feed.
    pub content: String,
    /// Text of the article page.
    pub article: String,
    /// How far the article page got.
    pub article_state: ArticleState,
    /// Why the article page was not read; empty otherwise.
    pub article_problem: String,
    /// Who published it, when that is not the source itself (aggregators).
    pub publisher: String,
    /// Language tag from publisher or configuration.
    pub language: String,
    /// When the publisher says it was published.
    pub published_at: Option<Timestamp>,
    /// When newswatch first saw it.
    pub first_seen_at: Timestamp,
    /// Read at the first contact with its source: scored, kept, but nobody is told.
    pub backlog: bool,
}

/// How the problem of an article begins when something stands before it that keeps out programs, or whoever has no account.
pub mod gates {
    /// A page that asks for proof of a person came instead of the article.
    pub const BOT_CHALLENGE: &str = "a bot challenge";
    /// The server refuses and asks for such proof.
    pub const CHECK_FOR_ROBOTS: &str = "a check for robots";
    /// A page that asks for a password came instead of the article.
    pub const LOGIN_PAGE: &str = "a login page";
}

impl Item {
    /// Its article page was a gate and no article.
    pub fn is_gated(&self) -> bool {
        let known = [gates::BOT_CHALLENGE, gates::CHECK_FOR_ROBOTS, gates::LOGIN_PAGE];
        self.article_state == ArticleState::Unread && known.iter().any(|gate| self.article_problem.starts_with(gate))
    }

    /// The text below the title in reading order: summary, content, article, each only if it says something new.
    pub fn body(&self) -> String {
        let mut body = String::with_capacity(self.summary.len() + self.content.len() + self.article.len() + 2);
        for part in [&self.summary, &self.content, &self.article] {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // Many feeds repeat the summary at the head of the content, and the content in the article.
            if !body.is_empty() && part.starts_with(body.trim_end()) {
                body.clear();
            } else if body.contains(part) {
                continue;
            }
            if !body.is_empty() {
                body.push('\n');
            }
            body.push_str(part);
        }
        body
    }
}
