//! A message as JSON: what webhooks and commands are given. Its keys are a contract with a version; a key may be added, none
//! changes its meaning. Pure.
//!
//! ```json
//! {
//!   "version": 1,
//!   "id": "0a1b2c3d4e5f",               the outbox row: a repeat carries the same
//!   "kind": "alert",                    alert, group, digest, overflow or report
//!   "thread": null,                     the id of an earlier message about the same story
//!   "route": "desk",
//!   "created": "2026-11-21T07:30:00Z",
//!   "window": {"from": "…", "to": "…"}, or null
//!   "subject": "one line",
//!   "lines": ["the message as text, complete by itself", "a line each"],
//!   "stories": [{"id": "…", "hits": [{
//!     "id": "…",                        for `newswatch why` and `newswatch verdict`
//!     "profile": "apg", "profile_version": 4,
//!     "title": "…", "url": "https://…" or null, "summary": "…",
//!     "source": "wire", "publisher": "…" or null, "language": "en" or null,
//!     "published": "…" or null, "first_seen": "…", "found": "…",
//!     "score": 0.52, "threshold": 0.2, "strength": 2.6,
//!     "relation": "first",              first, copy, update or independent
//!     "backlog": false,
//!     "reasons": [{"kind": "term", "term": "observer status", "share": 0.25, "count": 1, "note": "…", "context": "…"}]
//!   }]}],
//!   "left_out": 0,                      hits that are not in this object
//!   "list": "newswatch hits --since …"  the command that lists them all
//! }
//! ```
//!
//! All text is safe to show: no character steers a terminal or the direction of text, a line is one line, and `url` is http or
//! https with nothing in it but printable ASCII. It is not escaped for any markup: that is for whoever shows it.

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use super::Message;
use crate::model::{DeliveryKind, Hit, Id, ReasonKind, Relation};
use crate::plain;

/// The version of the contract.
pub const VERSION: u32 = 1;
/// So many hits are given; the rest is counted.
pub const HITS_MAX: usize = 200;
/// So many reasons of a hit, the heaviest.
const REASONS_MAX: usize = 8;
/// So many lines of the text.
const LINES_MAX: usize = 2_000;
/// A line of text, and a value that stands on a line of its own in written JSON or XML, is no longer, so that the line is
/// shorter than the 998 bytes that every program for mail and news takes.
const LINE_BYTES_MAX: usize = 900;
/// A longer address is none that anybody would follow.
const URL_BYTES_MAX: usize = 8_000;

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Payload {
    /// [`VERSION`].
    pub version: u32,
    /// The outbox row.
    pub id: Id,
    /// What kind of message.
    pub kind: DeliveryKind,
    /// An earlier message about the same story.
    pub thread: Option<Id>,
    /// Name of the route.
    pub route: String,
    /// When it was due first.
    pub created: Timestamp,
    /// What it tells of.
    pub window: Option<Window>,
    /// One line.
    pub subject: String,
    /// The text of the message.
    pub lines: Vec<String>,
    /// What it tells, in the order shown.
    pub stories: Vec<ToldStory>,
    /// Hits that are not in `stories`.
    pub left_out: usize,
    /// The command that lists them.
    pub list: String,
}

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// From then on.
    pub from: Timestamp,
    /// Before then.
    pub to: Timestamp,
}

/// A story and the hits in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToldStory {
    /// Its identity.
    pub id: Id,
    /// The hits, one for each item and profile.
    pub hits: Vec<ToldHit>,
}

/// A hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToldHit {
    /// The item.
    pub id: Id,
    /// Name of the profile.
    pub profile: String,
    /// Its version.
    pub profile_version: i64,
    /// Never empty.
    pub title: String,
    /// http or https.
    pub url: Option<String>,
    /// May be empty.
    pub summary: String,
    /// Name of the source.
    pub source: String,
    /// Who published it, when that is not the source itself.
    pub publisher: Option<String>,
    /// Language tag.
    pub language: Option<String>,
    /// When the publisher says it was published.
    pub published: Option<Timestamp>,
    /// When newswatch first saw it.
    pub first_seen: Timestamp,
    /// When it became a hit.
    pub found: Timestamp,
    /// 1 = like a seed article.
    pub score: f64,
    /// What made it a hit.
    pub threshold: f64,
    /// Score against threshold.
    pub strength: f64,
    /// How it belongs to the story.
    pub relation: Relation,
    /// Read at the first contact with its source.
    pub backlog: bool,
    /// Heaviest first.
    pub reasons: Vec<ToldReason>,
}

/// A reason of a hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToldReason {
    /// What it is.
    pub kind: ReasonKind,
    /// As the profile shows it.
    pub term: String,
    /// Its share of the score.
    pub share: f64,
    /// How often it occurred.
    pub count: u32,
    /// Of a concept: the name that occurred.
    pub note: String,
    /// The text around it.
    pub context: String,
}

impl Payload {
    /// The message as data.
    pub fn of(message: &Message) -> Payload {
        let window = message.window.map(|(from, to)| Window { from, to });
        let shown = &message.hits[..message.hits.len().min(HITS_MAX)];
        let mut stories: Vec<ToldStory> = Vec::new();
        for hit in shown {
            match stories.iter_mut().find(|story| story.id == hit.story) {
                Some(story) => story.hits.push(ToldHit::of(hit)),
                None => stories.push(ToldStory { id: hit.story, hits: vec![ToldHit::of(hit)] }),
            }
        }
        let first_found = message.hits.iter().map(|hit| hit.found_at).min();
        let since = window.map(|window| window.from).or(first_found).unwrap_or(message.created_at);
        Payload {
            version: VERSION,
            id: message.id,
            kind: message.kind,
            thread: message.thread,
            route: short(&message.route, 100),
            created: message.created_at,
            window,
            subject: short(&message.subject, 300),
            lines: lines(&message.text),
            stories,
            left_out: message.hits.len() - shown.len(),
            list: format!("newswatch hits --since {since}"),
        }
    }

    /// As JSON, a value a line.
    pub fn json(&self) -> String {
        // Texts, numbers and lists only: nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// All hits, in the order shown.
    pub fn hits(&self) -> impl Iterator<Item = &ToldHit> {
        self.stories.iter().flat_map(|story| &story.hits)
    }
}

impl ToldHit {
    /// The hit as data.
    pub fn of(hit: &Hit) -> ToldHit {
        let item = &hit.item;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let reason = |reason: &crate::model::Reason| ToldReason {
            kind: reason.kind,
            term: short(&reason.term, 100),
            share: number(reason.share),
            count: reason.count,
            note: short(&reason.note, 200),
            context: short(&reason.context, 300),
        };
        ToldHit {
            id: item.id,
            profile: hit.profile.clone(),
            profile_version: hit.profile_version,
            title: some(short(&item.title, 300)).unwrap_or_else(|| "(no title)".to_string()),
            url: item.url.as_deref().and_then(safe_url),
            summary: short(&item.summary, 500),
            source: short(&item.source, 100),
            publisher: some(short(&item.publisher, 200)),
            language: some(short(&item.language, 40)),
            published: item.published_at,
            first_seen: item.first_seen_at,
            found: hit.found_at,
            score: number(hit.score),
            threshold: number(hit.threshold),
            strength: number(hit.strength()),
            relation: hit.relation,
            backlog: item.backlog,
            reasons: hit.reasons.iter().take(REASONS_MAX).map(reason).collect(),
        }
    }

    /// Who says so: the publisher, by the source; or the source.
    pub fn from(&self) -> String {
        match &self.publisher {
            Some(publisher) => format!("{publisher} (by {})", self.source),
            None => self.source.clone(),
        }
    }

    /// The heaviest reasons in one text.
    pub fn why(&self) -> String {
        self.reasons.iter().take(5).map(|reason| reason.term.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Three digits after the point say all there is to say.
fn number(value: f64) -> f64 {
    if value.is_finite() { (value * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

/// One line, bounded in characters and in bytes.
pub fn short(text: &str, characters_max: usize) -> String {
    let mut line = plain::line(text, characters_max);
    // Characters that JSON writes as two.
    let written = |c: char| c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
    let mut bytes = 0;
    let cut = line.char_indices().find(|(_, c)| {
        bytes += written(*c);
        bytes > LINE_BYTES_MAX - '…'.len_utf8()
    });
    if let Some((at, _)) = cut
        && line[at..].chars().map(written).sum::<usize>() > '…'.len_utf8()
    {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// The lines of a text, none too long: a longer one goes on in the next, at a space where there is one.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for whole in text.lines() {
        let indent = whole.len() - whole.trim_start_matches(' ').len();
        let mut rest = format!("{}{}", &whole[..indent.min(8)], plain::line(&whole[indent..], usize::MAX / 8));
        loop {
            if lines.len() >= LINES_MAX {
                lines.push("… (newswatch hits)".to_string());
                return lines;
            }
            let most = rest.floor_char_boundary(LINE_BYTES_MAX / 2);
            if most == rest.len() {
                break;
            }
            let at = rest[..most].rfind(' ').filter(|at| *at > 8).unwrap_or(most);
            let tail = rest.split_off(at);
            lines.push(std::mem::replace(&mut rest, tail.trim_start().to_string()));
        }
        lines.push(rest);
    }
    lines
}

/// An address that can be shown and followed: http or https, in printable ASCII.
pub fn safe_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let text = String::from(url);
    // What the standard for addresses lets pass and other programs take for an end: quotation marks and the like.
    let odd =
        |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | '<' | '>' | '\\' | '`' | '{' | '}' | '|' | '^');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    Some(out).filter(|url| url.len() <= URL_BYTES_MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{ArticleState, Basis, Item, Reason};

    pub(crate) fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    pub(crate) fn hit(number: i64, title: &str) -> Hit {
        Hit {
            item: Item {
                id: Id(number),
                source: "wire".into(),
                key: String::new(),
                url: Some(format!("https://wire.example/{number}")),
                title: title.into(),
                summary: "What it says.".into(),
                content: String::new(),
                article: String::new(),
                article_state: ArticleState::NotWanted,
                article_problem: String::new(),
                publisher: "The Paper".into(),
                language: "en".into(),
                published_at: Some(at(-10)),
                first_seen_at: at(-5),
                backlog: false,
            },
            profile: "apg".into(),
            profile_version: 4,
            score: 0.5,
            threshold: 0.2,
            reasons: vec![Reason {
                term: "observer status".into(),
                share: 0.25,
                count: 1,
                context: "the observer status of".into(),
                ..Reason::default()
            }],
            basis: Basis::default(),
            shadow: false,
            found_at: at(number % 60),
            story: Id(number / 10),
            relation: Relation::First,
        }
    }

    pub(crate) fn message(kind: DeliveryKind, hits: Vec<Hit>) -> Message {
        Message {
            id: Id(5),
            kind,
            thread: None,
            route: "desk".into(),
            recipient: String::new(),
            subject: "newswatch: 2 hits (apg 2)".into(),
            text: "newswatch: 2 hits (apg 2)\n\n1. First\n   The Paper\n".into(),
            html: "<p>…</p>".into(),
            images: vec![],
            hits,
            window: (kind == DeliveryKind::Digest).then(|| (at(-1440), at(0))),
            created_at: at(0),
            attempted_at: at(0),
            report: Vec::new(),
            repeated: false,
        }
    }

    #[test]
    fn the_contract() {
        let mut first = hit(11, "First \"report\"");
        first.relation = Relation::Update;
        let payload = Payload::of(&message(DeliveryKind::Digest, vec![first, hit(21, "Other"), hit(12, "Copy")]));
        let json: serde_json::Value = serde_json::from_str(&payload.json()).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "id": "000000000005",
            "kind": "digest",
            "thread": null,
            "route": "desk",
            "created": "2027-01-15T08:00:00Z",
            "window": {"from": "2027-01-14T08:00:00Z", "to": "2027-01-15T08:00:00Z"},
            "subject": "newswatch: 2 hits (apg 2)",
            "lines": ["newswatch: 2 hits (apg 2)", "", "1. First", "   The Paper"],
            "left_out": 0,
            "list": "newswatch hits --since 2027-01-14T08:00:00Z",
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(json[key], *value, "{key}");
        }
        assert_eq!(json.as_object().unwrap().len(), expected.as_object().unwrap().len() + 1);
        // The hits of a story stand together, where its first one stood.
        let stories = json["stories"].as_array().unwrap();
        assert_eq!((stories.len(), stories[0]["hits"].as_array().unwrap().len()), (2, 2));
        assert_eq!(
            (stories[0]["id"].as_str(), stories[1]["id"].as_str()),
            (Some("000000000001"), Some("000000000002"))
        );
        let expected = serde_json::json!({
            "id": "00000000000b", "profile": "apg", "profile_version": 4, "title": "First \"report\"",
            "url": "https://wire.example/11", "summary": "What it says.", "source": "wire", "publisher": "The Paper",
            "language": "en", "published": "2027-01-15T07:50:00Z", "first_seen": "2027-01-15T07:55:00Z",
            "found": "2027-01-15T08:11:00Z", "score": 0.5, "threshold": 0.2, "strength": 2.5, "relation": "update",
            "backlog": false,
            "reasons": [{"kind": "term", "term": "observer status", "share": 0.25, "count": 1, "note": "",
                         "context": "the observer status of"}],
        });
        assert_eq!(stories[0]["hits"][0], expected);
    }

    #[test]
    fn what_is_left_out_is_counted_and_can_be_listed() {
        let hits = (0..HITS_MAX as i64 + 7).map(|number| hit(number, "One of many")).collect();
        let payload = Payload::of(&message(DeliveryKind::Digest, hits));
        assert_eq!((payload.hits().count(), payload.left_out), (HITS_MAX, 7));
        let alert = Payload::of(&message(DeliveryKind::Alert, vec![hit(3, "One")]));
        assert_eq!(alert.list, "newswatch hits --since 2027-01-15T08:03:00Z");
    }

    #[test]
    fn no_line_is_longer_than_998_bytes() {
        let mut long = hit(1, &"\"\u{1f4a9}\\".repeat(500));
        long.item.summary = "북".repeat(3_000);
        let mut message = message(DeliveryKind::Report, vec![long]);
        message.text = format!("{}\n{}", "a word ".repeat(1_000), "북한\"".repeat(1_000));
        let payload = Payload::of(&message);
        assert!(payload.json().lines().all(|line| line.len() <= 998), "{}", payload.json());
        assert!(payload.lines.concat().replace(' ', "").contains(&"북한\"".repeat(1_000)), "nothing is lost");
        assert!(payload.hits().next().unwrap().title.ends_with('…'));
        assert_eq!(short("abc", 100), "abc");
    }

    #[test]
    fn addresses_are_safe_or_none() {
        for (text, expected) in [
            ("https://a.example/b?c=d&e#f", Some("https://a.example/b?c=d&e#f")),
            ("https://a.example/\r\nX-Evil: 1\u{202e}", Some("https://a.example/X-Evil:%201%E2%80%AE")),
            ("http://북한.example/'\"<>|", Some("http://xn--pr3b894b.example/%27%22%3C%3E%7C")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("file:///etc/passwd", None),
            ("/relative", None),
        ] {
            assert_eq!(safe_url(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(safe_url(&format!("https://a.example/{}", "x".repeat(9_000))), None);
    }
}
