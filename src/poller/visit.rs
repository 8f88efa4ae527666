//! One source, one visit:
//!
//! 1. ask with the validators of the last good answer;
//! 2. unchanged (304, or the same bytes): nothing to read;
//! 3. read the entries, with the further documents of the source; keep those never seen, notice those that were edited;
//! 4. decide when to ask next.
//!
//! Nothing is stored here: the result is committed as one by the poller. Where the source asks for it, the article pages of new
//! items, and of earlier ones that are still unread, follow one by one ([`super::articles`]): they can take minutes, and what
//! the source showed must not wait for them. The first good visit is the baseline: its items are
//! kept and scored, but marked as backlog, and nobody is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::capture::{Asked, Captured, capture};
use super::fetch::{Fetch, Request, Response, Validators};
use super::identity::{self, Keys};
use super::outcome::{self, Failure};
use super::pdf::PdfReader;
use super::schedule::{self, Bounds, Visited};
use super::source::{Document, ReadError, ReadLimits};
use crate::clock::Clock;
use crate::config::{EvidenceSettings, FetchSettings, SourceConfig};
use crate::fault::Fault;
use crate::health::coverage;
use crate::health::record::{self, Seen};
use crate::model::{ArticleState, Entry, Health, Id, Item, Memory, Move, Reading, Record, SourceState};
use crate::plain;
use crate::store::evidence::NewCapture;
use crate::store::items::NewItem;
use crate::store::sources::{Before, Claim, VisitResult};
use crate::store::{self, Store};

/// Reading one document. A parser cannot be stopped, but nobody has to wait for it.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// Reading takes many times the memory of its document. So much of documents is read at the same time, counted in units; a
/// document below one unit does not count, and one above the sum is read alone.
const READING_UNIT_BYTES: usize = 64 * 1024;
const READING_UNITS_MAX: usize = 64;
/// A whole fetch, with its redirects, robots.txt and the waiting for turns.
const FETCH_TIME_MAX: Duration = Duration::from_secs(300);
/// A longer validator is not kept: no server takes it back.
const VALIDATOR_BYTES_MAX: usize = 8 * 1024;

/// Article pages fetched of what a first contact shows.
const BACKLOG_ARTICLES_MAX: usize = 200;

/// What a visit needs besides its source.
#[derive(Clone)]
pub struct Visitor {
    /// The network.
    pub fetch: Arc<dyn Fetch>,
    /// Asked which items are known; never written.
    pub store: Store,
    /// Limits and intervals.
    pub settings: Arc<FetchSettings>,
    /// Alert also what a first contact shows (`run --backlog`).
    pub alert_backlog: bool,
    /// Units of documents that may be read at the same time.
    reading: Arc<Semaphore>,
    pub(super) pdf: Arc<PdfReader>,
    /// What is kept of documents.
    pub(super) evidence: Arc<EvidenceSettings>,
    pub(super) clock: Clock,
}

impl Visitor {
    /// A visitor.
    pub fn new(
        fetch: Arc<dyn Fetch>,
        store: Store,
        settings: Arc<FetchSettings>,
        alert_backlog: bool,
        clock: Clock,
    ) -> Visitor {
        let reading = Arc::new(Semaphore::new(READING_UNITS_MAX));
        let (pdf, evidence) = (Arc::default(), Arc::default());
        Visitor { fetch, store, settings, alert_backlog, reading, pdf, evidence, clock }
    }

    /// Keeps documents by these settings instead of the default ones.
    #[must_use]
    pub fn keeping(self, evidence: EvidenceSettings) -> Visitor {
        Visitor { evidence: Arc::new(evidence), ..self }
    }

    /// Visits a source. Errors of the source are data in the result; only the store can fail.
    pub async fn visit(
        &self,
        source: &SourceConfig,
        mut state: SourceState,
        claim: Claim,
    ) -> store::Result<VisitResult> {
        let mut result = nothing(state.clone(), claim);
        let remembered = if source.reader.remembers() { self.store.memory(&source.name).await? } else { Memory::new() };
        let mut memory = remembered.clone();
        let has_validators = state.etag.is_some() || state.last_modified.is_some();
        let doubted = has_validators && record::doubts_not_modified(&state.record, self.clock.now());
        if doubted {
            (state.etag, state.last_modified) = (None, None);
        }
        let (asked, now, answer) = match source.reader.folder() {
            Some(folder) => {
                let now = self.clock.now();
                let reading = self.look_into(source, folder, &state, &mut memory).await;
                (source.url.clone(), now, reading.map(|reading| Answer::of_folder(reading, &source.url)))
            }
            None => self.ask(source, &state, &mut memory).await?,
        };
        let answered = answer.as_ref().map(|answer| (answer.reading.is_some(), answer.response.status == 304)).ok();
        let visited = match answer {
            Ok(answer) => {
                // As it was before.
                result.gap = coverage::ended(&result.state, now);
                self.take(source, &mut state, answer, &asked, &mut result, now).await?;
                result.memory = (memory != remembered).then_some(memory);
                let whole = state.etag.is_none() && state.last_modified.is_none();
                Visited::Good { unconditional: whole && !source.reader.heeds_robots() }
            }
            Err(failure) => {
                if doubted {
                    // They were only left out once.
                    (state.etag, state.last_modified) = (result.state.etag.clone(), result.state.last_modified.clone());
                }
                outcome::fail(&mut state, failure, asked != source.url, now)
            }
        };
        state.attempted_at = Some(now);
        state.record = remember(&mut state, answered, doubted, &result, now);
        (state.next_at, state.next_reason) = if state.health == Health::Retired {
            (Timestamp::MAX, "never: its publisher says it is gone; newswatch source resume asks it again".to_string())
        } else {
            schedule::next_visit(&state.name, visited, &self.bounds(source), &state.pace, now)
        };
        result.state = state;
        Ok(result)
    }

    /// Asks and reads, with the further documents of the source. Answers the address that was asked, and when the answer came.
    async fn ask(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        memory: &mut Memory,
    ) -> store::Result<(Url, Timestamp, Result<Answer, Failure>)> {
        let request = request(source, state);
        let asked = request.as_ref().map_or_else(|_| source.url.clone(), |request| request.url.clone());
        let fetched = match request {
            Ok(request) => self.fetch(request).await,
            Err(failure) => Err(failure),
        };
        // What the publisher says of times counts from its answer, however long we waited for our turn.
        let now = self.clock.now();
        let mut answer = match fetched {
            Ok(response) => self.read(source, state, response, &asked, memory, now).await,
            Err(failure) => Err(failure),
        };
        if let Ok(Answer { reading, captures, .. }) = &mut answer {
            if let Err(failure) = self.read_parts(source, state, reading, captures, memory).await {
                answer = Err(failure);
            } else if let Some(reading) = reading
                && let Err(failure) = self.read_next_pages(source, state, reading, captures, memory).await?
            {
                answer = Err(failure);
            }
        }
        Ok((asked, now, answer))
    }

    /// Asks, but not for ever: each hop has its limits, this one is for all of them and for the waiting in between.
    async fn fetch(&self, request: Request) -> Result<Response, Failure> {
        match tokio::time::timeout(FETCH_TIME_MAX, self.fetch.fetch(request)).await {
            Ok(fetched) => Ok(fetched?),
            Err(_) => Err(Failure::new(Fault::Slow, "redirects and waiting for the host's turn took over 5 min")),
        }
    }

    /// What a visit that failed inside newswatch comes to.
    pub fn failed_inside(&self, source: &SourceConfig, mut state: SourceState, claim: Claim) -> VisitResult {
        let mut result = nothing(state.clone(), claim);
        let now = self.clock.now();
        let failure = Failure::new(Fault::ReaderFailed, "newswatch itself failed on its answer; please report it");
        let visited = outcome::fail(&mut state, failure, false, now);
        state.attempted_at = Some(now);
        state.record = remember(&mut state, None, false, &result, now);
        (state.next_at, state.next_reason) =
            schedule::next_visit(&state.name, visited, &self.bounds(source), &state.pace, now);
        result.state = state;
        result
    }

    /// Takes over a good answer.
    async fn take(
        &self,
        source: &SourceConfig,
        state: &mut SourceState,
        Answer { response, reading, captures, body_hash, fresh_for }: Answer,
        asked: &Url,
        result: &mut VisitResult,
        now: Timestamp,
    ) -> store::Result<()> {
        let complete = reading.as_ref().is_none_or(|reading| !reading.truncated);
        let settled = complete && reading.as_ref().is_none_or(|reading| !reading.unsettled);
        let last_news = state.changed_at;
        match reading {
            Some(mut reading) => {
                let entries = std::mem::take(&mut reading.entries);
                let known = self.sort_entries(source, state, &reading, &entries, result, now).await?;
                result.captures = self.documents(captures, &entries, source, result);
                let all_new = known == 0 && entries.len() >= 3 && state.baseline_at.is_some() && state.items > 0;
                if all_new && source.reader.drops_old_entries() {
                    reading.problems.push(
                        "everything it shows is new, so some may have come and gone since the last visit: it should be asked more often (interval)"
                            .to_string(),
                    );
                }
                if let Some(new_url) = reading.new_url.as_ref().filter(|url| **url != source.url.as_str()) {
                    let note = format!("the feed says that it has moved to {new_url}: put that into the configuration");
                    reading.problems.insert(0, note);
                }
                state.error = plain::line(&outcome::problems_in_words(&reading.problems), 500);
                reading.entries = entries;
                state.pace = schedule::learn(&state.pace, &reading, result.new_items.len(), last_news, now);
            }
            None => {
                if state.health == Health::Failing {
                    state.error = String::new();
                }
                state.pace = schedule::quiet(&state.pace, last_news, now);
            }
        }
        // "Not modified" repeats the time only if it changed (RFC 9110 section 15.4.5).
        if response.status == 200 || fresh_for.is_some() {
            state.pace.fresh_seconds = fresh_for.map(|fresh| fresh.as_secs());
        }
        state.moved = outcome::moved(state.moved.take(), &response, asked, &source.url);
        // What breaks off is read as far as it goes, and asked for again whole.
        if response.status == 200 && settled {
            let kept = |validator: Option<Vec<u8>>| validator.filter(|bytes| bytes.len() <= VALIDATOR_BYTES_MAX);
            state.etag = kept(response.etag);
            state.last_modified = kept(response.last_modified);
            state.validators_url = response.url.to_string();
            state.body_hash = body_hash;
        }
        state.health = Health::Fine;
        state.fault = None;
        state.failures = 0;
        state.failing_since = None;
        // A first answer that breaks off is no baseline: the rest of it would look like news. One that always breaks off
        // gets its baseline at the second visit.
        if complete || state.succeeded_at.is_some() {
            state.baseline_at = state.baseline_at.or(Some(now));
        }
        state.succeeded_at = Some(now);
        if !result.new_items.is_empty() {
            state.changed_at = Some(now);
        }
        Ok(())
    }

    fn bounds(&self, source: &SourceConfig) -> Bounds {
        bounds(&self.settings, source)
    }

    pub(super) fn limits(&self) -> ReadLimits {
        ReadLimits { entries_max: self.settings.entries_max, text_bytes_max: self.settings.text_bytes_max }
    }

    async fn read(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        response: Response,
        asked: &Url,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let fresh_for = schedule::fresh_for(
            response.cache_control.as_deref(),
            response.expires.as_deref(),
            response.age.as_deref(),
            schedule::server_time(response.date.as_deref(), now),
        );
        match response.status {
            // To a question that named an earlier answer; without one it says nothing.
            304 if state.baseline_at.is_some() && was_conditional(state, &response) => {
                return Ok(Answer { response, reading: None, captures: Vec::new(), body_hash: 0, fresh_for });
            }
            200 => {}
            status => return Err(outcome::refused(status, &response, fresh_for, now)),
        }
        let body_hash = xxh3_64(&response.body) as i64;
        if body_hash == state.body_hash && state.baseline_at.is_some() {
            return Ok(Answer { response, reading: None, captures: Vec::new(), body_hash, fresh_for });
        }
        let asked = Asked { source: source.name.clone(), url: asked.clone(), at: now };
        let (response, reading, captured) = self.read_document(source, asked, response, memory).await?;
        let entries = 0..reading.entries.len();
        let captures = captured.map(|captured| Captured { entries, ..captured }).into_iter().collect();
        Ok(Answer { response, reading: Some(reading), captures, body_hash, fresh_for })
    }

    /// Reads a document as its source is read. Of the response only the head comes back, and the document as it is kept; what the
    /// kind noted in the memory counts only if the document could be read.
    pub(super) async fn read_document(
        &self,
        source: &SourceConfig,
        asked: Asked,
        response: Response,
        memory: &mut Memory,
    ) -> Result<(Response, Reading, Option<Captured>), Failure> {
        let (reader, limits, mut noted) = (source.reader.clone(), self.limits(), memory.clone());
        let settings = self.evidence.clone();
        let read = self.apart(response, move |response| {
            let document =
                Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
            let reading = reader.read(&document, &limits, &mut noted);
            let gate = reading.as_ref().err().and_then(|_| outcome::gate(&response));
            let captured = reading.as_ref().ok().and_then(|_| capture(&response, &asked, &settings));
            (Response { body: Vec::new(), ..response }, reading, gate, noted, captured)
        });
        match read.await {
            Ok((response, Ok(reading), _, noted, captured)) => {
                *memory = noted;
                Ok((response, reading, captured))
            }
            Ok((_, Err(_), Some(gate), _, _)) => Err(gate),
            Ok((_, Err(ReadError(reason)), None, _, _)) => Err(Failure::new(source.reader.unread(), reason)),
            Err(fault) => {
                Err(Failure::new(fault, format!("{}; please report it with the document", reader_in_words(fault))))
            }
        }
    }

    /// Splits what was read into items never seen and items edited. Answers how many entries were known.
    async fn sort_entries(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        reading: &Reading,
        entries: &[Entry],
        result: &mut VisitResult,
        now: Timestamp,
    ) -> store::Result<usize> {
        let backlog = state.baseline_at.is_none() && !self.alert_backlog;
        let keys = identity::keys(entries);
        let id = |key: &str| Id::of(&[&source.name, key]);
        let all: Vec<Id> = keys.iter().flat_map(|keys| keys.all().map(id)).collect();
        // A source of which nothing was ever stored has no known items: the first cycle over many sources asks nothing.
        let is_fresh = state.items == 0;
        let known = if is_fresh { BTreeMap::new() } else { self.store.known_items(&all).await? };
        let links = self.distinctive_links(source, &keys);
        let mut met = BTreeSet::new();
        for (entry, keys) in entries.iter().zip(keys) {
            let own = id(&keys.primary);
            if !met.insert(own) {
                continue;
            }
            let aliases: Vec<Id> = keys.aliases.iter().map(|alias| id(alias)).collect();
            match known.get(&own) {
                Some(known) => {
                    let mut new = self.item(source, &reading.language, entry, keys, backlog, now);
                    // The words may come under a mark that is an alias: the item they belong to is the stored one.
                    new.item.id = known.id;
                    new.aliases = aliases;
                    if known.text_hash != new.text_hash {
                        result.edited_items.push(new);
                    }
                }
                None if aliases.iter().any(|alias| known.contains_key(alias)) => {}
                None => {
                    let mut new = self.item(source, &reading.language, entry, keys, backlog, now);
                    new.aliases = aliases;
                    result.new_items.push(new);
                }
            }
        }
        if backlog {
            // Of what was there before, the pages of the newest are fetched: a site is not copied.
            for new in result.new_items.iter_mut().skip(BACKLOG_ARTICLES_MAX) {
                new.item.article_state = ArticleState::NotWanted;
            }
        }
        // Items that share their link within one source are not copies of one story: the link says nothing.
        let new_links: Vec<Id> = result.new_items.iter().map(|new| new.link).collect();
        let taken =
            if is_fresh { BTreeSet::new() } else { self.store.links_of_source(&source.name, &new_links).await? };
        for new in &mut result.new_items {
            if taken.contains(&new.link) || !links.contains(&new.link) {
                new.story = Id::of(&["story by item", &source.name, &new.item.key]);
            }
        }
        Ok(known.len())
    }

    /// Of the documents those that new or edited items were read from.
    fn documents(
        &self,
        captures: Vec<Captured>,
        entries: &[Entry],
        source: &SourceConfig,
        result: &VisitResult,
    ) -> Vec<NewCapture> {
        // By its mark in the document: an edited item may be stored under another one.
        let changed: BTreeMap<Id, Id> = result
            .new_items
            .iter()
            .chain(&result.edited_items)
            .map(|new| (Id::of(&[&source.name, &new.item.key]), new.item.id))
            .collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let keys = identity::keys(entries);
        let of_document = |captured: &Captured| {
            let keys = keys.get(captured.entries.clone()).unwrap_or_default();
            let items = keys.iter().filter_map(|keys| changed.get(&Id::of(&[&source.name, &keys.primary])).copied());
            items.collect::<BTreeSet<Id>>()
        };
        let with_items = captures.into_iter().map(|captured| (of_document(&captured), captured));
        with_items
            .filter(|(items, _)| !items.is_empty())
            .map(|(items, captured)| captured.of_items(items.into_iter().collect(), &self.evidence))
            .collect()
    }

    /// The links that stand for one entry only: not the source's own page, and not the link of two entries.
    fn distinctive_links(&self, source: &SourceConfig, keys: &[Keys]) -> BTreeSet<Id> {
        let mut counts: BTreeMap<Id, usize> = BTreeMap::new();
        for link in keys.iter().filter_map(|keys| keys.link) {
            *counts.entry(link).or_default() += 1;
        }
        counts.remove(&identity::link(source.url.as_str()));
        counts.into_iter().filter(|(_, count)| *count == 1).map(|(link, _)| link).collect()
    }

    fn item(
        &self,
        source: &SourceConfig,
        feed_language: &Option<String>,
        entry: &Entry,
        keys: Keys,
        backlog: bool,
        now: Timestamp,
    ) -> NewItem {
        let id = Id::of(&[&source.name, &keys.primary]);
        let limit = self.settings.text_bytes_max;
        let title = plain::line(&entry.title, 1_000);
        let summary = plain::text(&entry.summary, limit);
        let content = plain::text(&entry.content, limit);
        let text_hash = xxh3_64(format!("{title}\0{summary}\0{content}").as_bytes()) as i64;
        let link = keys.link.unwrap_or(id);
        let story = Id::of(&["story by link", &link.to_string()]);
        let language = source.language.as_ref().or(entry.language.as_ref()).or(feed_language.as_ref());
        let wanted = source.article && entry.url.is_some();
        let item = Item {
            id,
            source: source.name.clone(),
            key: keys.primary,
            url: entry.url.as_ref().map(|url| plain::line(url, 4_000)),
            title,
            summary,
            content,
            article: String::new(),
            article_state: if wanted { ArticleState::Unread } else { ArticleState::NotWanted },
            article_problem: String::new(),
            publisher: plain::line(&entry.publisher, 200),
            language: plain::line(language.map_or("", String::as_str), 20),
            published_at: entry.published.or(entry.updated),
            first_seen_at: now,
            backlog,
        };
        NewItem { item, text_hash, story, link, aliases: Vec::new() }
    }
}

/// What is remembered of the source after a visit. `answered`: a document was read, the server said "not modified".
fn remember(
    state: &mut SourceState,
    answered: Option<(bool, bool)>,
    doubted: bool,
    result: &VisitResult,
    now: Timestamp,
) -> Record {
    let known = std::mem::take(&mut state.record);
    let new: Vec<&Item> = result.new_items.iter().map(|new| &new.item).collect();
    let seen = match answered {
        None => Seen::Failure { first: result.before.failures == 0 },
        Some((false, not_modified)) => Seen::Same { not_modified, doubted },
        Some((true, _)) => {
            let doubted = if doubted { result.state.succeeded_at } else { None };
            Seen::Document { new: &new, edited: !result.edited_items.is_empty(), doubted }
        }
    };
    record::after(known, seen, now)
}

/// The request that this answers carried validators.
fn was_conditional(state: &SourceState, response: &Response) -> bool {
    (state.etag.is_some() || state.last_modified.is_some()) && state.validators_url == response.url.as_str()
}

/// A result in which nothing has happened yet.
fn nothing(state: SourceState, claim: Claim) -> VisitResult {
    let before = Before {
        failures: state.failures,
        fault: state.fault,
        error: state.error.clone(),
        moved: state.moved.as_ref().is_some_and(Move::is_proven),
    };
    VisitResult {
        claim,
        state,
        before,
        new_items: vec![],
        edited_items: vec![],
        captures: vec![],
        gap: None,
        memory: None,
    }
}

/// A request for a document that belongs to a source. Fails when its secret cannot be read.
pub(super) fn request_of(source: &SourceConfig, url: Url) -> Result<Request, Failure> {
    let mut request = Request::get(url, source.reader.accept());
    request.heeds_robots = source.reader.heeds_robots();
    request.access = source.access().map_err(|reason| Failure::new(Fault::LoginWanted, reason))?;
    Ok(request)
}

/// What to ask the source for. Fails when its secret cannot be read.
fn request(source: &SourceConfig, state: &SourceState) -> Result<Request, Failure> {
    let mut request = request_of(source, source.url.clone())?;
    // The configuration may name another address than the one that gave the validators.
    if state.url != source.url.as_str() {
        return Ok(request);
    }
    if let Some(url) = state.moved.as_ref().filter(|moved| moved.is_proven()).and_then(|moved| moved.url.parse().ok()) {
        request.url = url;
    }
    if (state.etag.is_some() || state.last_modified.is_some())
        && let Ok(url) = state.validators_url.parse()
    {
        request.validators =
            Some(Validators { url, etag: state.etag.clone(), last_modified: state.last_modified.clone() });
    }
    Ok(request)
}

/// An answer that could be used.
struct Answer {
    response: Response,
    /// `None` when nothing changed.
    reading: Option<Reading>,
    /// The documents it was read from.
    captures: Vec<Captured>,
    body_hash: i64,
    fresh_for: Option<Duration>,
}

impl Answer {
    /// A folder has neither validators nor a word on freshness.
    fn of_folder(reading: Reading, url: &Url) -> Answer {
        let response = Response::new(200, url.clone(), Vec::new());
        Answer { response, reading: Some(reading), captures: Vec::new(), body_hash: 0, fresh_for: None }
    }
}

/// How often a source may be asked, by its own settings and the general ones.
pub fn bounds(settings: &FetchSettings, source: &SourceConfig) -> Bounds {
    Bounds {
        own_interval: source.interval,
        interval: settings.interval,
        interval_min: settings.interval_min,
        interval_quiet: settings.interval_quiet,
        interval_max: settings.interval_max,
        retry_after_max: settings.retry_after_max,
    }
}

impl Visitor {
    /// Reads a document. That is work for the processor, and a parser may panic or run on for ever: it belongs on a thread of its
    /// own, and costs one visit at most.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        mut response: Response,
        read: impl FnOnce(Response) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        // Given back here and not by the thread: one that never ends must not hold up all others.
        let _room = std::mem::take(&mut response.room);
        let units = (response.body.len() / READING_UNIT_BYTES).min(READING_UNITS_MAX) as u32;
        let _place = if units > 0 { self.reading.acquire_many(units).await.ok() } else { None };
        match tokio::time::timeout(READ_TIME_MAX, tokio::task::spawn_blocking(move || read(response))).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(_)) => Err(Fault::ReaderFailed),
            Err(_) => Err(Fault::ReaderSlow),
        }
    }
}

pub(super) fn reader_in_words(fault: Fault) -> &'static str {
    match fault {
        Fault::ReaderSlow => "reading this document takes longer than 10 s",
        _ => "reading this document made the reader fail",
    }
}
