//! One pass over the tokens of a feed in XML (or what was meant to be XML).

use std::collections::HashMap;

use url::Url;

use super::draft::Draft;
use super::names::{self, Family, Field, Frame};
use super::rewrite::Rewriter;
use super::text::{Captured, Kind};
use super::tokens::{self, Tag, Token, Tokens};
use super::{FEED_TEXT_BYTES_MAX, LIST_MAX, NAME_CHARACTERS_MAX};
use crate::model::{Enclosure, Reading};
use crate::plain;
use crate::poller::read::{self, absolute, dates, web_address};
use crate::poller::source::{ReadError, ReadLimits};

/// How many elements may stand before the feed begins.
const PREFACE_MAX: usize = 20;
/// Elements deeper inside one another than this are not followed: each end tag costs a look at them all.
const INSIDE_MAX: usize = 32;
/// Prefixes that a document may declare; those of feeds are a dozen.
const PREFIXES_MAX: usize = 500;
/// A rank behind all others: the candidate stands inside an element that is not known.
const NESTED: u8 = 100;

/// Reads a feed; `None` if the document is none.
pub(super) fn read(text: &str, url: &Url, limits: &ReadLimits) -> Result<Option<Reading>, ReadError> {
    let mut reader = Reader {
        tokens: Tokens::new(text),
        limits,
        prefixes: HashMap::new(),
        default: Family::Main,
        is_atom: false,
        feed: Draft::new(url),
        entry: None,
        rewriter: Rewriter::new(limits),
        reading: Reading::default(),
        period: None,
        frequency: None,
    };
    if reader.find_root().is_none() {
        return Ok(None);
    }
    reader.read_all();
    reader.finish().map(Some)
}

struct Reader<'a, 'l> {
    tokens: Tokens<'a>,
    limits: &'l ReadLimits,
    /// Declared prefixes, wherever in the document: feeds do not use one prefix for two things.
    prefixes: HashMap<String, Family>,
    /// Of elements without a prefix.
    default: Family,
    is_atom: bool,
    feed: Draft<'a>,
    entry: Option<Draft<'a>>,
    rewriter: Rewriter<'l>,
    /// What goes round the parser because it belongs to the whole: problems, ttl, whether the document breaks off.
    reading: Reading,
    /// `sy:updatePeriod` in minutes, `sy:updateFrequency`.
    period: Option<u32>,
    frequency: Option<u32>,
}

impl<'a> Reader<'a, '_> {
    /// Goes to the first element that a feed is made of.
    fn find_root(&mut self) -> Option<()> {
        let mut seen = 0;
        loop {
            let before = self.tokens.at;
            let Token::Open(tag) = self.tokens.next()? else { continue };
            let (family, local) = self.name(&tag);
            if seen >= PREFACE_MAX {
                return None;
            }
            if let Some(frame) = names::frame(family, &local) {
                // Other documents have entries and items too; alone they make a feed only at the very beginning.
                // A feed may even stand inside an HTML page.
                if seen == 0 || frame == Frame::Feed && local != "channel" {
                    self.tokens.at = before;
                    return Some(());
                }
            }
            seen += 1;
        }
    }

    /// Family and local name in lower case of an element; notes the namespaces it declares.
    fn name(&mut self, tag: &Tag<'a>) -> (Family, String) {
        let (prefix, local) = tag.split();
        let mut own = None;
        for (name, value) in tag.attributes() {
            if name.eq_ignore_ascii_case("xmlns") {
                own = Some(names::family_of_address(value));
            } else if self.prefixes.len() < PREFIXES_MAX
                && name.len() > 6
                && name.is_char_boundary(6)
                && name[..6].eq_ignore_ascii_case("xmlns:")
            {
                self.prefixes.insert(name[6..].to_ascii_lowercase(), names::family_of_address(value));
            }
        }
        let local = local.to_ascii_lowercase();
        let family = match prefix {
            "" => {
                if let Some(own) = own.as_mut()
                    && names::frame(*own, &local) == Some(Frame::Feed)
                {
                    // Whatever address somebody made up: in a feed, what has no prefix belongs to the feed.
                    *own = if *own == Family::Other { Family::Main } else { *own };
                    self.default = *own;
                }
                own.unwrap_or(self.default)
            }
            prefix => {
                let prefix = prefix.to_ascii_lowercase();
                self.prefixes.get(&prefix).copied().unwrap_or_else(|| names::family_of_prefix(&prefix))
            }
        };
        (family, local)
    }

    fn read_all(&mut self) {
        // The element that must be closed for the document to be whole.
        let mut root: Option<String> = None;
        let mut complete = false;
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Open(tag) => {
                    let (family, local) = self.name(&tag);
                    match names::frame(family, &local) {
                        Some(Frame::Feed) => {
                            complete |= root.is_none() && tag.empty;
                            root.get_or_insert_with(|| local.clone());
                            self.open_feed(&tag, &local);
                        }
                        Some(Frame::Entry) => {
                            self.close_entry();
                            if let Some(problem) = self.rewriter.full() {
                                self.reading.problems.push(problem);
                                return;
                            }
                            self.open_entry(&tag);
                        }
                        None => self.element(&tag, family, &local),
                    }
                }
                Token::Close(name) => {
                    let local = name.rsplit(':').next().unwrap_or(name);
                    if tokens::is_any(local, &["item", "entry"]) {
                        self.close_entry();
                    } else if tokens::is_any(local, &["rss", "feed", "rdf", "channel"]) {
                        complete |= root.as_deref().is_none_or(|root| root.eq_ignore_ascii_case(local));
                        self.close_entry();
                    } else if let Some(draft) = &mut self.entry
                        && let Some(at) = draft.inside.iter().rposition(|inside| inside.eq_ignore_ascii_case(name))
                    {
                        draft.inside.truncate(at);
                    }
                }
                Token::Text(_) | Token::Literal(_) => {}
            }
        }
        self.reading.truncated = root.is_some() && !complete;
        if self.reading.truncated {
            // Half an address or guid would make another entry of it; the next visit brings the whole one.
            if self.tokens.broke_off {
                self.entry = None;
            }
            self.reading
                .problems
                .push("the document breaks off before its end; the entries up to there were read".into());
        }
        self.close_entry();
    }

    fn open_feed(&mut self, tag: &Tag<'a>, local: &str) {
        self.is_atom |= local == "feed";
        let base = tag.qualified("xml:base").or_else(|| tag.qualified("base"));
        if let Some(base) = base.and_then(|base| read::base(&self.feed.base, &base)) {
            self.feed.base = base;
        }
        if let Some(language) = tag.qualified("xml:lang") {
            self.feed.language.offer(2, language);
        }
        if local == "channel"
            && let Some(href) = tag.qualified("href")
        {
            self.feed.link.offer(3, href);
        }
    }

    fn open_entry(&mut self, tag: &Tag<'a>) {
        let base = tag.qualified("xml:base").and_then(|base| read::base(&self.feed.base, &base));
        let mut draft = Draft::new(base.as_ref().unwrap_or(&self.feed.base));
        if let Some(about) =
            tag.attributes().find(|(name, _)| name.to_ascii_lowercase().ends_with(":about")).map(|(_, value)| value)
        {
            draft.guid.offer(3, about.to_string());
        }
        // CDF writes as attributes what others write as elements.
        if let Some(href) = tag.qualified("href") {
            draft.link.offer(3, href);
        }
        if let Some(date) = tag.qualified("lastmod").and_then(|date| dates::timestamp(&date)) {
            draft.updated.offer(3, date);
        }
        if let Some(language) = tag.qualified("xml:lang") {
            draft.language.offer(2, language);
        }
        self.tokens.rescues = 0;
        self.entry = Some(draft);
        if tag.empty {
            self.close_entry();
        }
    }

    /// The draft that fields belong to now.
    fn draft(&mut self) -> &mut Draft<'a> {
        self.entry.as_mut().unwrap_or(&mut self.feed)
    }

    fn element(&mut self, tag: &Tag<'a>, family: Family, local: &str) {
        let Some(field) = names::field(family, local) else {
            if !tag.empty
                && let Some(draft) = &mut self.entry
                && !(family == Family::Media && local == "group")
                && draft.inside.len() < INSIDE_MAX
            {
                draft.inside.push(tag.name);
            }
            return;
        };
        let nested = if self.draft().inside.is_empty() { 0 } else { NESTED };
        let by_default =
            if self.is_atom && matches!(family, Family::Main | Family::Atom) { Kind::Text } else { Kind::Html };
        let base = tag.qualified("xml:base").and_then(|base| read::base(&self.draft().base, &base));
        let captured = match field {
            // Containers of other things, read as they come.
            Field::Enclosure => Captured::default(),
            _ => self.tokens.capture(tag, Kind::of(tag, by_default)),
        };
        match field {
            Field::Title(rank) if !captured.is_blank() => self.draft().title.offer(rank + nested, captured),
            Field::Summary(rank) if !captured.is_blank() => {
                let draft = self.draft();
                if draft.summaries.len() < LIST_MAX {
                    draft.summaries.push((rank + nested, captured));
                }
            }
            Field::Content(rank) => {
                if let Some(source) = tag.qualified("src") {
                    self.draft().link.offer(6, source);
                }
                if !captured.is_blank() {
                    self.draft().content.offer(rank + nested, captured);
                }
            }
            Field::Link(rank) => self.link(tag, &captured, rank + nested, base.as_ref()),
            Field::Guid(rank) => {
                let value = captured.decoded(&self.tokens);
                if !value.trim().is_empty() {
                    let is_link = tag.attribute("ispermalink").is_some_and(|value| value.eq_ignore_ascii_case("true"));
                    let draft = self.draft();
                    draft.guid_is_link |= is_link;
                    draft.guid.offer(rank + nested, value.trim().to_string());
                }
            }
            Field::Published(rank) => {
                if let Some(date) = dates::timestamp(&captured.decoded(&self.tokens)) {
                    self.draft().published.offer_last(rank + nested, date);
                }
            }
            Field::Updated(rank) => {
                if let Some(date) = dates::timestamp(&captured.decoded(&self.tokens)) {
                    self.draft().updated.offer_last(rank + nested, date);
                }
            }
            Field::Author => {
                let name = captured.person(&self.tokens);
                add(&mut self.draft().authors, name);
            }
            Field::Category => self.category(tag, &captured),
            Field::Keywords => {
                let words = captured.line(&self.tokens, 8_000);
                words
                    .split(',')
                    .for_each(|word| add(&mut self.draft().categories, plain::line(word, NAME_CHARACTERS_MAX)));
            }
            Field::Enclosure => {
                let url = tag.qualified("url").or_else(|| tag.qualified("href"));
                self.enclosure(url, tag);
            }
            Field::Language(rank) => {
                let value = captured.decoded(&self.tokens);
                if !value.trim().is_empty() {
                    self.draft().language.offer(rank, value.trim().to_string());
                }
            }
            Field::NewAddress if self.entry.is_none() => {
                let address = captured.decoded(&self.tokens);
                self.reading.new_url = web_address(&self.feed.base, &address);
            }
            Field::NewAddress => {}
            Field::Ttl => {
                if let Ok(minutes) = captured.decoded(&self.tokens).trim().parse() {
                    self.reading.ttl_minutes.get_or_insert(minutes);
                }
            }
            Field::Period => self.period = period_minutes(captured.decoded(&self.tokens).trim()),
            Field::Frequency => {
                self.frequency = captured.decoded(&self.tokens).trim().parse().ok().filter(|times| *times > 0);
            }
            Field::SkipHour if self.entry.is_none() => {
                // Some count to 24 (RSS 0.91 began at 1).
                let hour = captured.decoded(&self.tokens).trim().parse::<u8>().ok().filter(|hour| *hour <= 24);
                insert(&mut self.reading.skip_hours, hour.map(|hour| hour % 24));
            }
            Field::SkipDay if self.entry.is_none() => {
                let name = captured.decoded(&self.tokens).trim().to_ascii_lowercase();
                let day = DAYS.iter().position(|day| name.len() >= 3 && day.starts_with(&name));
                insert(&mut self.reading.skip_days, day.map(|day| day as u8));
            }
            Field::Source => {
                let name = if captured.has_markup { String::new() } else { captured.line(&self.tokens, 200) };
                if let Some(draft) = &mut self.entry
                    && draft.publisher.is_empty()
                {
                    draft.publisher = name;
                }
            }
            _ => {}
        }
    }

    fn link(&mut self, tag: &Tag<'a>, captured: &Captured<'a>, rank: u8, base: Option<&Url>) {
        let kind = tag.qualified("rel").unwrap_or_default().to_ascii_lowercase();
        let text = || captured.decoded(&self.tokens).trim().to_string();
        let href = tag.qualified("href").unwrap_or_else(text);
        if href.trim().is_empty() {
            return;
        }
        let rank = rank + u8::from(tag.qualified("href").is_none());
        let href = resolved(href.trim(), base);
        let media_type = tag.qualified("type").unwrap_or_default();
        match kind.rsplit('/').next().unwrap_or_default() {
            "" | "alternate" => {
                // Several alternates: the page for people.
                let worse = u8::from(!media_type.is_empty() && !media_type.contains("html"));
                self.draft().link.offer(rank + worse, href);
            }
            "enclosure" => self.enclosure(Some(href), tag),
            "hub" if self.entry.is_none() => {
                self.reading.hub.get_or_insert(href);
            }
            "self" if self.entry.is_none() => {
                self.reading.self_url.get_or_insert(href);
            }
            "related" | "via" if self.entry.is_some() => self.draft().link.offer(rank + 8, href),
            _ => {}
        }
    }

    fn category(&mut self, tag: &Tag<'a>, captured: &Captured<'a>) {
        if !captured.is_blank() {
            let text = captured.line(&self.tokens, NAME_CHARACTERS_MAX);
            return add(&mut self.draft().categories, text);
        }
        // The label is for people, the term for programs; often only one of them says something.
        for name in ["term", "label", "text"] {
            if let Some(value) = tag.qualified(name) {
                add(&mut self.draft().categories, plain::line(&value, NAME_CHARACTERS_MAX));
            }
        }
    }

    fn enclosure(&mut self, url: Option<String>, tag: &Tag<'a>) {
        let Some(draft) = self.entry.as_mut().filter(|draft| draft.enclosures.len() < LIST_MAX) else { return };
        let Some(url) = url.and_then(|url| absolute(&draft.base, &url)) else { return };
        if !draft.enclosures.iter().any(|known| known.url == url) {
            let length = tag
                .qualified("length")
                .or_else(|| tag.qualified("filesize"))
                .and_then(|length| length.trim().parse().ok());
            draft.enclosures.push(Enclosure { url, media_type: tag.qualified("type"), length });
        }
    }

    fn close_entry(&mut self) {
        if let Some(draft) = self.entry.take() {
            // Relative links without any address to stand on may still stand on the site's.
            let site = self.feed.link.1.as_deref().filter(|_| draft.base.cannot_be_a_base());
            let base = site.and_then(|site| Url::parse(site).ok()).unwrap_or_else(|| draft.base.clone());
            self.rewriter.push(draft.into_item(&base, &self.tokens, self.limits.text_bytes_max));
        }
    }

    fn finish(mut self) -> Result<Reading, ReadError> {
        let base = self.feed.base.clone();
        let hub = self.reading.hub.take().and_then(|hub| absolute(&base, &hub));
        let self_url = self.reading.self_url.take().and_then(|url| web_address(&base, &url));
        let feed = self.feed.into_item(&base, &self.tokens, FEED_TEXT_BYTES_MAX);
        let mut reading = self.rewriter.finish(&feed, hub.as_deref())?;
        reading.problems.splice(..0, self.reading.problems);
        Ok(Reading {
            ttl_minutes: self.reading.ttl_minutes,
            // A frequency alone counts per day; a period alone once (RSS syndication module).
            update_minutes: (self.period.is_some() || self.frequency.is_some())
                .then(|| self.period.unwrap_or(24 * 60) / self.frequency.unwrap_or(1)),
            skip_hours: self.reading.skip_hours,
            skip_days: self.reading.skip_days,
            truncated: self.reading.truncated,
            self_url,
            new_url: self.reading.new_url,
            ..reading
        })
    }
}

fn resolved(link: &str, base: Option<&Url>) -> String {
    base.and_then(|base| absolute(base, link)).unwrap_or_else(|| link.to_string())
}

/// Adds a name to a list if it is one, is new, and there is room.
fn add(list: &mut Vec<String>, name: String) {
    if !name.is_empty() && list.len() < LIST_MAX && !list.contains(&name) {
        list.push(name);
    }
}

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Puts a number into its place in an ordered list without repetition.
fn insert(list: &mut Vec<u8>, number: Option<u8>) {
    if let Some(number) = number
        && let Err(at) = list.binary_search(&number)
    {
        list.insert(at, number);
    }
}

/// `sy:updatePeriod` in minutes.
fn period_minutes(period: &str) -> Option<u32> {
    const MINUTES: &[(&str, u32)] =
        &[("hourly", 60), ("daily", 1_440), ("weekly", 10_080), ("monthly", 43_200), ("yearly", 525_600)];
    MINUTES.iter().find(|(name, _)| name.eq_ignore_ascii_case(period)).map(|(_, minutes)| *minutes)
}
