//! Entries on their way through feed-rs: written to canonical documents, parsed, and put together again.
//!
//! A document holds so many entries that its cost is spread, and so few that memory stays small: feed-rs needs some kilobytes
//! for each, and keeps its input besides. Whatever is refused is counted and named; what stands around it is kept.

use std::io::Read;

use feed_rs::parser;

use super::canonical::{self, Beside, Item};
use super::{GUID_CHARACTERS_MAX, mapping};
use crate::model::{Entry, Reading};
use crate::plain;
use crate::poller::read::guard::guarded;
use crate::poller::source::{ReadError, ReadLimits};

/// Entries of one document at most.
const ENTRIES_MAX: usize = 500;
/// Bytes of entries after which a document is closed, unless a single one is longer.
const BYTES_MAX: usize = 1 << 20;

/// Bytes of entries of one reading. Links that stand on a long base, entities and authors of the whole feed make an entry of
/// a few bytes long.
const READING_BYTES_MAX: usize = 16 << 20;

/// Takes entries, gives a reading.
pub(super) struct Rewriter<'l> {
    limits: &'l ReadLimits,
    /// Bytes of all entries so far.
    bytes: usize,
    /// The entries of the document that is being written.
    written: String,
    waiting: Vec<Waiting>,
    /// How many entries were in the documents before this one.
    before: usize,
    entries: Vec<Entry>,
    refused: Refused,
}

/// What is known of an entry that is written and not parsed yet.
struct Waiting {
    /// Where it begins in [`Rewriter::written`].
    start: usize,
    /// `None` once it is known what became of the entry.
    beside: Option<Beside>,
}

/// What did not come back.
#[derive(Default)]
struct Refused {
    count: usize,
    /// Of the first: its number, counted from one, and what the parser says.
    first: Option<(usize, String)>,
    /// What the parser says of the head of the feed.
    head: Option<String>,
}

impl<'l> Rewriter<'l> {
    pub(super) fn new(limits: &'l ReadLimits) -> Rewriter<'l> {
        Rewriter {
            limits,
            bytes: 0,
            written: String::new(),
            waiting: Vec::new(),
            before: 0,
            entries: Vec::new(),
            refused: Refused::default(),
        }
    }

    /// How many entries were given.
    pub(super) fn len(&self) -> usize {
        self.before + self.waiting.len()
    }

    /// Why no more entries are taken, in words for the operator.
    pub(super) fn full(&self) -> Option<String> {
        if self.len() >= self.limits.entries_max {
            Some(format!("the document has more than {} entries; the rest was not read", self.limits.entries_max))
        } else if self.bytes >= READING_BYTES_MAX {
            let mib = READING_BYTES_MAX >> 20;
            Some(format!("the first {} entries hold {mib} MiB; the rest was not read", self.len()))
        } else {
            None
        }
    }

    pub(super) fn push(&mut self, mut item: Item<'_>) {
        let (start, position) = (self.written.len(), self.len());
        // Longer ones are cut afterwards, by characters.
        item.guid.truncate(item.guid.floor_char_boundary(GUID_CHARACTERS_MAX * 4));
        canonical::entry(&mut self.written, position, &item);
        self.bytes += self.written.len() - start;
        self.waiting.push(Waiting { start, beside: Some(std::mem::take(&mut item.beside)) });
        if self.waiting.len() >= ENTRIES_MAX || self.written.len() >= BYTES_MAX {
            self.parse_document(canonical::BEGIN);
        }
    }

    /// The reading: what is said of the feed itself, the entries, and what is to be said of those that are missing.
    pub(super) fn finish(mut self, feed: &Item<'_>, hub: Option<&str>) -> Result<Reading, ReadError> {
        let reading = self.parse_document(&canonical::begin(feed, hub)).unwrap_or_default();
        let problem = self.refused.problem();
        if self.entries.is_empty()
            && self.refused.count > 0
            && let Some(problem) = problem
        {
            return Err(ReadError(format!("nothing of the feed could be read: {problem}")));
        }
        let head =
            self.refused.head.map(|reason| format!("the parser refused title and address of the feed: {reason}"));
        Ok(Reading { entries: self.entries, problems: problem.into_iter().chain(head).collect(), ..reading })
    }

    /// Parses what was written, and begins anew. Gives what was said of the feed itself.
    fn parse_document(&mut self, begin: &str) -> Option<Reading> {
        let mut head = None;
        match parse(begin, &self.written) {
            Ok(feed) => head = Some(self.take(feed)),
            // One of them is at fault, so each is tried alone.
            Err(_) => {
                match parse(begin, "") {
                    Ok(feed) => head = Some(self.take(feed)),
                    Err(reason) => self.refused.head = Some(reason),
                }
                let written = std::mem::take(&mut self.written);
                for number in 0..self.waiting.len() {
                    let end = self.waiting.get(number + 1).map_or(written.len(), |next| next.start);
                    match parse(canonical::BEGIN, &written[self.waiting[number].start..end]) {
                        Ok(feed) => {
                            self.take(feed);
                        }
                        Err(reason) => {
                            self.waiting[number].beside = None;
                            self.refused.note(self.before + number, || reason);
                        }
                    }
                }
            }
        }
        for (number, waiting) in self.waiting.iter().enumerate() {
            if waiting.beside.is_some() {
                self.refused.note(self.before + number, || "it did not come back".into());
            }
        }
        self.before += self.waiting.len();
        self.waiting.clear();
        self.written.clear();
        head
    }

    /// Puts entries that came back where they belong.
    fn take(&mut self, mut feed: feed_rs::model::Feed) -> Reading {
        for entry in std::mem::take(&mut feed.entries) {
            let id = entry.id.clone();
            // Whatever else calls itself an entry is none of ours.
            let Some((position, guid)) = canonical::position(&id) else { continue };
            let Some(waiting) = position.checked_sub(self.before).and_then(|at| self.waiting.get_mut(at)) else {
                continue;
            };
            if let Some(beside) = waiting.beside.take() {
                self.entries.push(mapping::entry(entry, guid, beside, self.limits));
            }
        }
        mapping::feed(feed)
    }
}

impl Refused {
    fn note(&mut self, position: usize, reason: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(|| (position + 1, reason()));
    }

    fn problem(&self) -> Option<String> {
        let (number, reason) = self.first.as_ref()?;
        Some(match self.count {
            1 => format!("the parser refused entry {number}: {reason}"),
            count => format!("the parser refused {count} entries, the first of them entry {number}: {reason}"),
        })
    }
}

/// Parses a canonical document.
fn parse(begin: &str, entries: &str) -> Result<feed_rs::model::Feed, String> {
    let document = begin.as_bytes().chain(entries.as_bytes()).chain(canonical::END.as_bytes());
    let parser = parser::Builder::new()
        // Plain text is made of everything afterwards, in linear time.
        .sanitize_content(false)
        // What has no id would get a random one at every visit.
        .id_generator(|_, _, _| String::new())
        .timestamp_parser(mapping::date)
        .build();
    match guarded("the entry", || parser.parse(document)) {
        Ok(Ok(feed)) => Ok(feed),
        Ok(Err(error)) => Err(plain::line(&error.to_string(), 200)),
        Err(error) => Err(error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Enclosure;
    use crate::poller::read::feed::written::Written;

    fn item(number: usize) -> Item<'static> {
        Item {
            guid: format!("tag:{number}"),
            url: Some(format!("https://example.org/{number}?a=1&b=2")),
            title: Written::html(format!("Title &amp; {number} <b>bold</b>")),
            summary: Written::plain(format!("1 < 2 &amp; {number}\nsecond line")),
            content: Written::html(format!("<p>long {number}</p><p>]]></p>")),
            published: "2026-09-26T10:11:12.5Z".parse().ok(),
            updated: "2026-09-27T10:11:12Z".parse().ok(),
            authors: vec!["张三（zhang@example.com）".into(), "B & <C>".into()],
            categories: vec!["R&D \"x\"".into(), "북한".into()],
            enclosures: vec![
                Enclosure {
                    url: "https://example.org/a.mp3".into(),
                    media_type: Some("audio/mpeg".into()),
                    length: Some(7),
                },
                Enclosure { url: "https://example.org/b".into(), media_type: None, length: None },
            ],
            beside: Beside { publisher: format!("Wire {number}"), language: Some("ko".into()) },
        }
    }

    fn expected(number: usize) -> Entry {
        let item = item(number);
        Entry {
            guid: item.guid,
            url: item.url,
            title: format!("Title & {number} bold"),
            summary: format!("1 < 2 &amp; {number}\nsecond line"),
            content: format!("long {number}\n\n]]>"),
            published: item.published,
            updated: item.updated,
            authors: item.authors,
            publisher: item.beside.publisher,
            categories: item.categories,
            enclosures: item.enclosures,
            language: item.beside.language,
        }
    }

    #[test]
    fn every_field_of_every_entry_comes_back_in_order() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        let count = 2 * ENTRIES_MAX + 3;
        (0..count).for_each(|number| rewriter.push(item(number)));
        assert_eq!((rewriter.len(), rewriter.waiting.len()), (count, 3));
        let feed = Item {
            title: Written::html("Coast &amp; Herald"),
            url: Some("https://example.org/".into()),
            summary: Written::plain("All\nnews"),
            beside: Beside { language: Some("en-GB".into()), ..Beside::default() },
            ..Item::default()
        };
        let reading = rewriter.finish(&feed, Some("https://hub.example.org/?a&b")).unwrap();
        assert!(reading.entries == (0..count).map(expected).collect::<Vec<_>>());
        assert_eq!(
            reading,
            Reading {
                title: "Coast & Herald".into(),
                url: Some("https://example.org/".into()),
                description: "All\nnews".into(),
                language: Some("en-GB".into()),
                hub: Some("https://hub.example.org/?a&b".into()),
                entries: reading.entries.clone(),
                ..Reading::default()
            }
        );
    }

    #[test]
    fn an_empty_entry_is_an_entry() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        rewriter.push(Item::default());
        let reading = rewriter.finish(&Item::default(), None).unwrap();
        assert_eq!(reading, Reading { entries: vec![Entry::default()], ..Reading::default() });
    }

    #[test]
    fn long_entries_do_not_wait_for_others() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        rewriter.push(Item { title: Written::plain("t".repeat(BYTES_MAX)), ..item(0) });
        assert_eq!((rewriter.waiting.len(), rewriter.written.len(), rewriter.entries.len()), (0, 0, 1));
    }

    #[test]
    fn what_is_refused_is_named_and_costs_nothing_else() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        (0..4).for_each(|number| rewriter.push(item(number)));
        // The canonical writer never does this; a parser may find fault with anything.
        rewriter.written =
            rewriter.written.replacen("<title type=\"html\"><![CDATA[Title &amp; 2", "<title type=\"x\"><![CDATA[", 1);
        rewriter.waiting[3].start -= "Title &amp; 2".len() + 3;
        let reading = rewriter.finish(&Item { title: Written::plain("F"), ..Item::default() }, None).unwrap();
        assert_eq!(reading.entries, [expected(0), expected(1), expected(3)]);
        assert_eq!(reading.title, "F");
        assert_eq!(reading.problems.len(), 1);
        assert!(reading.problems[0].starts_with("the parser refused entry 3: "), "{:?}", reading.problems);
    }

    #[test]
    fn what_is_dropped_is_named_and_shifts_nothing() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        (0..4).for_each(|number| rewriter.push(item(number)));
        let mut feed = parse(canonical::BEGIN, &rewriter.written).unwrap();
        feed.entries.drain(1..3);
        rewriter.take(feed);
        rewriter.written.clear();
        let reading = rewriter.finish(&Item::default(), None).unwrap();
        assert_eq!(reading.entries, [expected(0), expected(3)]);
        assert_eq!(reading.problems, ["the parser refused 2 entries, the first of them entry 2: it did not come back"]);
    }

    #[test]
    fn a_feed_of_which_nothing_comes_back_is_an_error() {
        let limits = ReadLimits::default();
        let mut rewriter = Rewriter::new(&limits);
        rewriter.push(item(0));
        rewriter.written.insert_str(0, "</x>");
        rewriter.waiting[0].start = 0;
        let error = rewriter.finish(&Item::default(), None).unwrap_err();
        assert!(error.0.starts_with("nothing of the feed could be read: the parser refused entry 1: "), "{error}");
    }
}
