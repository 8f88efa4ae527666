//! One pass over the tokens of a feed in XML (or what was meant to be XML).

use std::collections::HashMap;

use url::Url;

use super::names::{self, Family, Field, Frame};
use super::text::{Captured, Kind};
use super::tokens::{Tag, Token, Tokens};
use super::{LIST_MAX, TITLE_CHARACTERS_MAX};
use crate::model::{Enclosure, Entry, Reading};
use crate::plain;
use crate::poller::read::{absolute, dates};
use crate::poller::source::ReadLimits;

/// How many elements may stand before the feed begins.
const PREFACE_MAX: usize = 20;
/// How often within an entry reading may go back to where a field without an end tag should have ended.
const RESCUES_MAX: usize = 20;
/// A rank behind all others: the candidate stands inside an element that is not known.
const NESTED: u8 = 100;

/// Reads a feed; `None` if the document is none.
pub(super) fn read(text: &str, url: &Url, limits: &ReadLimits) -> Option<Reading> {
    let mut reader = Reader {
        tokens: Tokens::new(text),
        limits,
        prefixes: HashMap::new(),
        default: Family::Main,
        is_atom: false,
        feed: Draft { base: url.clone(), ..Draft::new(url) },
        entry: None,
        reading: Reading::default(),
        rescues: 0,
    };
    reader.find_root()?;
    reader.read_all();
    Some(reader.finish())
}

/// The best candidate so far.
#[derive(Clone, Debug)]
struct Best<T>(u8, Option<T>);

impl<T> Best<T> {
    fn offer(&mut self, rank: u8, value: T) {
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
struct Draft<'a> {
    base: Url,
    title: Best<Captured<'a>>,
    summary: Best<Captured<'a>>,
    content: Best<Captured<'a>>,
    link: Best<String>,
    guid: Best<String>,
    /// The guid is said to be no address.
    guid_is_no_link: bool,
    published: Best<jiff::Timestamp>,
    updated: Best<jiff::Timestamp>,
    language: Best<String>,
    authors: Vec<(u8, String)>,
    publisher: String,
    categories: Vec<String>,
    enclosures: Vec<Enclosure>,
    /// Names of elements we are inside of that mean nothing to us.
    inside: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    fn new(base: &Url) -> Draft<'a> {
        Draft {
            base: base.clone(),
            title: Best::default(),
            summary: Best::default(),
            content: Best::default(),
            link: Best::default(),
            guid: Best::default(),
            guid_is_no_link: false,
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
    reading: Reading,
    rescues: usize,
}

impl<'a> Reader<'a, '_> {
    /// Goes to the first element that a feed is made of.
    fn find_root(&mut self) -> Option<()> {
        let mut seen = 0;
        loop {
            let before = self.tokens.at;
            let Token::Open(tag) = self.tokens.next()? else { continue };
            let (family, local) = self.name(&tag);
            if local == "html" || seen >= PREFACE_MAX {
                return None;
            }
            if let Some(frame) = names::frame(family, &local) {
                // Other documents have entries and items too; alone they make a feed only at the very beginning.
                if frame == Frame::Feed || seen == 0 {
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
            } else if name.len() > 6 && name.is_char_boundary(6) && name[..6].eq_ignore_ascii_case("xmlns:") {
                self.prefixes.insert(name[6..].to_ascii_lowercase(), names::family_of_address(value));
            }
        }
        let local = local.to_ascii_lowercase();
        let family = match prefix {
            "" => {
                if let Some(own) = own
                    && names::frame(own, &local) == Some(Frame::Feed)
                {
                    self.default = own;
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
        let mut open_frames = 0i32;
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Open(tag) => {
                    let (family, local) = self.name(&tag);
                    match names::frame(family, &local) {
                        Some(Frame::Feed) => {
                            open_frames += i32::from(!tag.empty);
                            self.open_feed(&tag, &local);
                        }
                        Some(Frame::Entry) => {
                            self.close_entry();
                            if self.reading.entries.len() >= self.limits.entries_max {
                                let problem = format!(
                                    "the document has more than {} entries; the rest was not read",
                                    self.limits.entries_max
                                );
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
                    if is_any(local, &["item", "entry"]) {
                        self.close_entry();
                    } else if is_any(local, &["rss", "feed", "rdf", "channel"]) {
                        open_frames -= 1;
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
        self.reading.truncated = open_frames > 0;
        if self.reading.truncated {
            self.reading
                .problems
                .push("the document breaks off before its end; the entries up to there were read".into());
        }
        self.close_entry();
    }

    fn open_feed(&mut self, tag: &Tag<'a>, local: &str) {
        self.is_atom |= local == "feed";
        if let Some(base) = tag.qualified("xml:base").and_then(|base| self.feed.base.join(base.trim()).ok()) {
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
        let base = tag.qualified("xml:base").and_then(|base| self.feed.base.join(base.trim()).ok());
        let mut draft = Draft::new(base.as_ref().unwrap_or(&self.feed.base));
        if let Some(about) =
            tag.attributes().find(|(name, _)| name.to_ascii_lowercase().ends_with(":about")).map(|(_, value)| value)
        {
            draft.guid.offer(3, about.to_string());
        }
        if let Some(href) = tag.qualified("href") {
            draft.link.offer(3, href);
        }
        if let Some(language) = tag.qualified("xml:lang") {
            draft.language.offer(2, language);
        }
        self.rescues = 0;
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
            {
                draft.inside.push(tag.name);
            }
            return;
        };
        let nested = if self.draft().inside.is_empty() { 0 } else { NESTED };
        let by_default =
            if self.is_atom && matches!(family, Family::Main | Family::Atom) { Kind::Text } else { Kind::Html };
        let base = tag.qualified("xml:base").and_then(|base| self.draft().base.join(base.trim()).ok());
        let captured = match field {
            // Containers of other things, read as they come.
            Field::Enclosure => Captured::default(),
            _ => self.capture(tag, Kind::of(tag, by_default)),
        };
        match field {
            Field::Title(rank) if !captured.is_blank() => self.draft().title.offer(rank + nested, captured),
            Field::Summary(rank) if !captured.is_blank() => self.draft().summary.offer(rank + nested, captured),
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
                    let no_link = tag.attribute("ispermalink").is_some_and(|value| value.eq_ignore_ascii_case("false"));
                    let draft = self.draft();
                    draft.guid_is_no_link |= no_link || rank > 0;
                    draft.guid.offer(rank + nested, value.trim().to_string());
                }
            }
            Field::Published(rank) => {
                if let Some(date) = dates::timestamp(&captured.decoded(&self.tokens)) {
                    self.draft().published.offer(rank + nested, date);
                }
            }
            Field::Updated(rank) => {
                if let Some(date) = dates::timestamp(&captured.decoded(&self.tokens)) {
                    self.draft().updated.offer(rank + nested, date);
                }
            }
            Field::Author(rank) => {
                let name = self.person(&captured);
                let draft = self.draft();
                if !name.is_empty() && draft.authors.len() < LIST_MAX {
                    draft.authors.push((rank, name));
                }
            }
            Field::Category => self.category(tag, &captured),
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
            Field::Ttl => {
                if let Ok(minutes) = captured.decoded(&self.tokens).trim().parse() {
                    self.reading.ttl_minutes.get_or_insert(minutes);
                }
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

    /// Everything up to the element's end tag; where that is missing, up to the next thing that cannot be inside it.
    fn capture(&mut self, tag: &Tag<'a>, kind: Kind) -> Captured<'a> {
        if tag.empty {
            return Captured { kind, ..Captured::default() };
        }
        let start = self.tokens.at;
        let (mut depth, mut has_markup) = (0usize, false);
        // Where the content should have ended if the end tag turns out to be missing.
        let mut next_field = None;
        let end = loop {
            let before = self.tokens.at;
            match self.tokens.next() {
                None => break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup),
                Some(Token::Close(name)) if name.eq_ignore_ascii_case(tag.name) => {
                    if depth == 0 {
                        break before;
                    }
                    depth -= 1;
                    has_markup = true;
                }
                Some(Token::Close(name)) => {
                    if is_any(name, &["item", "entry", "channel", "feed", "rss", "rdf:RDF"]) {
                        break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup);
                    }
                    has_markup = true;
                }
                Some(Token::Open(inner)) => {
                    if is_any(inner.name, &["item", "entry"]) {
                        break self.rescue(next_field.unwrap_or((before, has_markup)), &mut has_markup);
                    }
                    if next_field.is_none()
                        && is_any(
                            inner.name,
                            &[
                                "title",
                                "link",
                                "description",
                                "pubDate",
                                "guid",
                                "author",
                                "category",
                                "enclosure",
                                "content:encoded",
                                "dc:date",
                                "dc:creator",
                                "published",
                                "updated",
                                "summary",
                            ],
                        )
                    {
                        next_field = Some((before, has_markup));
                    }
                    depth += usize::from(!inner.empty && inner.name.eq_ignore_ascii_case(tag.name));
                    has_markup = true;
                }
                Some(Token::Text(_) | Token::Literal(_)) => {}
            }
        };
        Captured { raw: &self.tokens.text[start..end], has_markup, kind }
    }

    /// Goes back to where an element without an end tag should have ended.
    fn rescue(&mut self, (at, markup): (usize, bool), has_markup: &mut bool) -> usize {
        if self.rescues < RESCUES_MAX {
            self.rescues += 1;
            self.tokens.at = at;
            *has_markup = markup;
        } else {
            self.tokens.at = self.tokens.at.max(at);
        }
        at
    }

    fn link(&mut self, tag: &Tag<'a>, captured: &Captured<'a>, rank: u8, base: Option<&Url>) {
        let Some(href) = tag.qualified("href") else {
            let text = captured.decoded(&self.tokens);
            if !text.trim().is_empty() {
                self.draft().link.offer(rank, resolved(text.trim(), base));
            }
            return;
        };
        let href = resolved(href.trim(), base);
        let kind = tag.qualified("rel").unwrap_or_default().to_ascii_lowercase();
        let media_type = tag.qualified("type").unwrap_or_default();
        match kind.rsplit('/').next().unwrap_or_default() {
            "" | "alternate" => {
                // Several alternates: the page for people.
                let worse = u8::from(!media_type.is_empty() && !media_type.contains("html"));
                self.draft().link.offer(rank + 1 + worse, href);
            }
            "enclosure" => self.enclosure(Some(href), tag),
            "hub" if self.entry.is_none() => {
                self.reading.hub.get_or_insert(href);
            }
            "related" | "via" if self.entry.is_some() => self.draft().link.offer(rank + 8, href),
            _ => {}
        }
    }

    /// A name: plain text, or an element for it.
    fn person(&mut self, captured: &Captured<'a>) -> String {
        if !captured.has_markup {
            return captured.line(&self.tokens, 200);
        }
        let mut found: [Option<String>; 2] = [None, None];
        let mut inner = Tokens::new(captured.raw);
        while let Some(token) = inner.next() {
            let Token::Open(tag) = token else { continue };
            let at = match tag.split().1.to_ascii_lowercase().as_str() {
                "name" => 0,
                "email" => 1,
                _ => continue,
            };
            let start = inner.at;
            let end = captured.raw[start..].find("</").map_or(captured.raw.len(), |n| start + n);
            let value = Captured { raw: &captured.raw[start..end], has_markup: false, kind: Kind::Text };
            let value = value.line(&self.tokens, 200);
            if !value.is_empty() {
                found[at].get_or_insert(value);
            }
        }
        match found {
            [None, None] => captured.line(&self.tokens, 200),
            [Some(name), _] => name,
            [None, Some(email)] => email,
        }
    }

    fn category(&mut self, tag: &Tag<'a>, captured: &Captured<'a>) {
        let attribute = ["label", "term", "text"]
            .into_iter()
            .find_map(|name| tag.qualified(name).filter(|value| !value.trim().is_empty()));
        let text = if captured.is_blank() { attribute } else { Some(captured.line(&self.tokens, 200)) };
        let text = plain::line(&text.unwrap_or_default(), 200);
        let draft = self.draft();
        if !text.is_empty() && draft.categories.len() < LIST_MAX && !draft.categories.contains(&text) {
            draft.categories.push(text);
        }
    }

    fn enclosure(&mut self, url: Option<String>, tag: &Tag<'a>) {
        let Some(draft) = &mut self.entry else { return };
        let Some(url) = url.and_then(|url| absolute(&draft.base, &url)) else { return };
        if draft.enclosures.len() < LIST_MAX && !draft.enclosures.iter().any(|known| known.url == url) {
            let length = tag
                .qualified("length")
                .or_else(|| tag.qualified("filesize"))
                .and_then(|length| length.trim().parse().ok());
            draft.enclosures.push(Enclosure { url, media_type: tag.qualified("type"), length });
        }
    }

    fn close_entry(&mut self) {
        let Some(draft) = self.entry.take() else { return };
        let (tokens, bytes_max) = (&self.tokens, self.limits.text_bytes_max);
        let text =
            |best: &Best<Captured<'a>>| best.1.as_ref().map(|text| text.text(tokens, bytes_max)).unwrap_or_default();
        let guid = draft.guid.1.unwrap_or_default();
        let url = draft.link.1.as_deref().and_then(|link| absolute(&draft.base, link)).or_else(|| {
            // A guid that is an address is one, whatever the attribute says, if there is nothing else.
            let address = guid.starts_with("http://") || guid.starts_with("https://");
            if address || (!draft.guid_is_no_link && guid.starts_with('/')) {
                absolute(&draft.base, &guid)
            } else {
                None
            }
        });
        let best_authors = draft.authors.iter().map(|(rank, _)| *rank).min().unwrap_or_default();
        let mut authors: Vec<String> = Vec::new();
        for (_, name) in draft.authors.into_iter().filter(|(rank, _)| *rank == best_authors) {
            if !authors.contains(&name) {
                authors.push(name);
            }
        }
        let entry = Entry {
            guid: plain::line(&guid, 2_000),
            url,
            title: draft
                .title
                .1
                .as_ref()
                .map(|title| plain::line(&title.line(tokens, bytes_max), TITLE_CHARACTERS_MAX))
                .unwrap_or_default(),
            summary: text(&draft.summary),
            content: text(&draft.content),
            published: draft.published.1,
            updated: draft.updated.1,
            authors,
            publisher: draft.publisher,
            categories: draft.categories,
            enclosures: draft.enclosures,
            language: draft.language.1.map(|language| plain::line(&language, 40)),
        };
        self.reading.entries.push(entry);
    }

    fn finish(self) -> Reading {
        let (feed, tokens) = (self.feed, &self.tokens);
        Reading {
            title: feed
                .title
                .1
                .as_ref()
                .map(|title| plain::line(&title.line(tokens, 8_000), TITLE_CHARACTERS_MAX))
                .unwrap_or_default(),
            url: feed.link.1.as_deref().and_then(|link| absolute(&feed.base, link)),
            description: feed.summary.1.as_ref().map(|text| text.text(tokens, 8_000)).unwrap_or_default(),
            language: feed
                .language
                .1
                .map(|language| plain::line(&language, 40))
                .filter(|language| !language.is_empty()),
            hub: self.reading.hub.as_deref().and_then(|hub| absolute(&feed.base, hub)),
            ..self.reading
        }
    }
}

fn resolved(link: &str, base: Option<&Url>) -> String {
    base.and_then(|base| absolute(base, link)).unwrap_or_else(|| link.to_string())
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}
