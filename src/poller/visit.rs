//! One source, one visit:
//!
//! 1. ask with the validators of the last good answer;
//! 2. unchanged (304, or the same bytes): nothing to read;
//! 3. read the entries, keep those never seen, notice those that were edited;
//! 4. fetch the article pages of new items, and of earlier ones that are still unread, where the source asks for it;
//! 5. decide when to ask next.
//!
//! Nothing is stored here: the result is committed as one by the poller. The first good visit is the baseline: its items are
//! kept and scored, but marked as backlog, and nobody is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::fetch::{Fetch, FetchError, Request, Response};
use super::identity;
use super::read::article::article;
use super::schedule::{self, Rhythm, Visited};
use super::source::{Document, ReadError, ReadLimits};
use crate::config::{FetchSettings, SourceConfig};
use crate::model::{ArticleState, Entry, Health, Id, Item, Reading, SourceState};
use crate::plain;
use crate::store::items::NewItem;
use crate::store::sources::{Claim, VisitResult};
use crate::store::{self, Store};

/// Article pages are fetched no longer than this in one visit; the rest waits for the next one. Well below the lease.
const ARTICLES_TIME_MAX: Duration = Duration::from_secs(240);
/// One article page, with its redirects and the wait for its host.
const ARTICLE_TIME_MAX: Duration = Duration::from_secs(120);
const ACCEPT_ARTICLE: &str = "text/html, application/xhtml+xml;q=0.9, */*;q=0.5";

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
}

/// Why a visit gave nothing, in words for the operator.
struct Failure {
    reason: String,
    retry_after: Option<Duration>,
}

impl Visitor {
    /// Visits a source. Errors of the source are data in the result; only the store can fail.
    pub async fn visit(
        &self,
        source: &SourceConfig,
        mut state: SourceState,
        claim: Claim,
        now: Timestamp,
    ) -> store::Result<VisitResult> {
        let mut result = VisitResult {
            claim,
            state: state.clone(),
            failures_before: state.failures,
            new_items: vec![],
            edited_items: vec![],
            articles: vec![],
        };
        let started = Instant::now();
        let answer = match self.fetch.fetch(self.request(source, &state)).await {
            Ok(response) => self.read(source, &state, response, now).await,
            Err(error) => Err(Failure { reason: error.to_string(), retry_after: None }),
        };
        state.attempted_at = Some(now);
        let visited = match answer {
            Ok(Answer { response, reading, body_hash, fresh_for }) => {
                let complete = reading.as_ref().is_none_or(|reading| !reading.truncated);
                if let Some(reading) = reading {
                    state.error = plain::line(&problems_in_words(&reading.problems), 500);
                    self.sort_entries(source, &state, reading, &mut result, now).await?;
                } else if state.health == Health::Failing {
                    state.error = String::new();
                }
                // What breaks off is read as far as it goes, and asked for again whole.
                if response.status == 200 && complete {
                    state.etag = response.etag;
                    state.last_modified = response.last_modified;
                    state.body_hash = body_hash;
                }
                state.health = Health::Fine;
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
                Visited::Good { fresh_for }
            }
            Err(failure) => {
                state.health = Health::Failing;
                state.failures += 1;
                state.failing_since = state.failing_since.or(Some(now));
                state.error = plain::line(&failure.reason, 500);
                Visited::Failed { failures: state.failures, retry_after: failure.retry_after }
            }
        };
        // With the source itself out of reach the network may be down: no attempt on an article shall count for that.
        if source.article && state.health == Health::Fine {
            self.read_articles(source, &mut result, started).await?;
        }
        (state.next_at, state.next_reason) = schedule::next_visit(&state.name, visited, &self.rhythm(source), now);
        result.state = state;
        Ok(result)
    }

    fn request(&self, source: &SourceConfig, state: &SourceState) -> Request {
        let mut request = Request::get(source.url.clone(), source.reader.accept());
        // The configuration may name another address than the one that gave the validators.
        if state.url == source.url.as_str() {
            request.etag = state.etag.clone();
            request.last_modified = state.last_modified.clone();
        }
        request
    }

    fn rhythm(&self, source: &SourceConfig) -> Rhythm {
        rhythm(&self.settings, source)
    }

    fn limits(&self) -> ReadLimits {
        ReadLimits { entries_max: self.settings.entries_max, text_bytes_max: self.settings.text_bytes_max }
    }

    async fn read(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        response: Response,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let mut fresh_for = response.cache_control.as_deref().and_then(schedule::max_age);
        match response.status {
            304 if state.baseline_at.is_some() => {
                return Ok(Answer { response, reading: None, body_hash: 0, fresh_for });
            }
            200 => {}
            status => {
                let retry_after = response.retry_after.as_deref().and_then(|header| schedule::retry_after(header, now));
                return Err(Failure { reason: status_in_words(status), retry_after });
            }
        }
        let body_hash = xxh3_64(&response.body) as i64;
        if body_hash == state.body_hash && state.baseline_at.is_some() {
            return Ok(Answer { response, reading: None, body_hash, fresh_for });
        }
        let limits = self.limits();
        let reader = source.reader.clone();
        // Reading is work for the processor, and a parser may panic: both belong on a thread of their own.
        let task = tokio::task::spawn_blocking(move || {
            let document =
                Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
            let reading = reader.read(&document, &limits);
            (response, reading)
        });
        match task.await {
            Ok((response, Ok(reading))) => {
                let ttl = reading.ttl_minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
                fresh_for = fresh_for.max(ttl);
                Ok(Answer { response, reading: Some(reading), body_hash, fresh_for })
            }
            Ok((_, Err(ReadError(reason)))) => Err(Failure { reason, retry_after: None }),
            Err(_) => Err(Failure {
                reason: "reading this document made the reader fail; please report it with the document".to_string(),
                retry_after: None,
            }),
        }
    }

    /// Splits what was read into items never seen and items edited.
    async fn sort_entries(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        reading: Reading,
        result: &mut VisitResult,
        now: Timestamp,
    ) -> store::Result<()> {
        let backlog = state.baseline_at.is_none() && !self.alert_backlog;
        let keys = identity::keys(&reading.entries);
        let id = |key: &str| Id::of(&[&source.name, key]);
        let all: Vec<Id> = keys.iter().flat_map(|keys| keys.all().map(id)).collect();
        let known = self.store.known_items(&all).await?;
        let links = self.distinctive_links(source, &reading.entries);
        let mut met = BTreeSet::new();
        for (entry, keys) in reading.entries.into_iter().zip(keys) {
            let own = id(&keys.primary);
            if !met.insert(own) {
                continue;
            }
            let aliases: Vec<Id> = keys.aliases.iter().map(|alias| id(alias)).collect();
            match known.get(&own) {
                Some(known) => {
                    let mut new = self.item(source, &reading.language, entry, keys.primary, backlog, now);
                    // The words may come under a mark that is an alias: the item they belong to is the stored one.
                    new.item.id = known.id;
                    new.aliases = aliases;
                    if known.text_hash != new.text_hash {
                        result.edited_items.push(new);
                    }
                }
                None if aliases.iter().any(|alias| known.contains_key(alias)) => {}
                None => {
                    let mut new = self.item(source, &reading.language, entry, keys.primary, backlog, now);
                    new.aliases = aliases;
                    result.new_items.push(new);
                }
            }
        }
        // Items that share their link within one source are not copies of one story: the link says nothing.
        let new_links: Vec<Id> = result.new_items.iter().map(|new| new.link).collect();
        let taken = self.store.links_of_source(&source.name, &new_links).await?;
        for new in &mut result.new_items {
            if taken.contains(&new.link) || !links.contains(&new.link) {
                new.story = Id::of(&["story by item", &source.name, &new.item.key]);
            }
        }
        Ok(())
    }

    /// The links that stand for one entry only: not the source's own page, and not the link of two entries.
    fn distinctive_links(&self, source: &SourceConfig, entries: &[Entry]) -> BTreeSet<Id> {
        let mut counts: BTreeMap<Id, usize> = BTreeMap::new();
        for url in entries.iter().filter_map(|entry| entry.url.as_deref()) {
            *counts.entry(identity::link(url)).or_default() += 1;
        }
        counts.remove(&identity::link(source.url.as_str()));
        counts.into_iter().filter(|(_, count)| *count == 1).map(|(link, _)| link).collect()
    }

    fn item(
        &self,
        source: &SourceConfig,
        feed_language: &Option<String>,
        entry: Entry,
        key: String,
        backlog: bool,
        now: Timestamp,
    ) -> NewItem {
        let id = Id::of(&[&source.name, &key]);
        let limit = self.settings.text_bytes_max;
        let title = plain::line(&entry.title, 1_000);
        let summary = plain::text(&entry.summary, limit);
        let content = plain::text(&entry.content, limit);
        let text_hash = xxh3_64(format!("{title}\0{summary}\0{content}").as_bytes()) as i64;
        let link = entry.url.as_deref().map_or(id, identity::link);
        let story = Id::of(&["story by link", &link.to_string()]);
        let language = source.language.clone().or(entry.language).or_else(|| feed_language.clone()).unwrap_or_default();
        let wanted = source.article && entry.url.is_some();
        let item = Item {
            id,
            source: source.name.clone(),
            key,
            url: entry.url.map(|url| plain::line(&url, 4_000)),
            title,
            summary,
            content,
            article: String::new(),
            article_state: if wanted { ArticleState::Unread } else { ArticleState::NotWanted },
            article_problem: String::new(),
            publisher: plain::line(&entry.publisher, 200),
            language: plain::line(&language, 20),
            published_at: entry.published.or(entry.updated),
            first_seen_at: now,
            backlog,
        };
        NewItem { item, text_hash, story, link, aliases: Vec::new() }
    }

    /// Fetches the article pages of new items, then of those that earlier visits could not read.
    async fn read_articles(
        &self,
        source: &SourceConfig,
        result: &mut VisitResult,
        started: Instant,
    ) -> store::Result<()> {
        let limit = self.settings.articles_per_visit_max;
        let in_time = || started.elapsed() < ARTICLES_TIME_MAX;
        let mut fetched = 0;
        for new in &mut result.new_items {
            if fetched == limit || !in_time() {
                break;
            }
            if new.item.article_state == ArticleState::Unread {
                fetched += 1;
                self.read_article(&mut new.item).await;
            }
        }
        let earlier = self.store.unread_articles(&source.name, limit - fetched).await?;
        for mut item in earlier {
            if !in_time() {
                break;
            }
            self.read_article(&mut item).await;
            result.articles.push(item);
        }
        Ok(())
    }

    /// Fills in the article's text, or the reason why there is none.
    async fn read_article(&self, item: &mut Item) {
        let reading = self.article_text(item.url.as_deref().unwrap_or_default());
        let read = tokio::time::timeout(ARTICLE_TIME_MAX, reading).await;
        match read.unwrap_or_else(|_| Err("it took too long".to_string())) {
            Ok(text) => {
                item.article = plain::text(&text, self.settings.text_bytes_max);
                item.article_state = ArticleState::Read;
                item.article_problem = String::new();
            }
            Err(reason) => item.article_problem = plain::line(&reason, 500),
        }
    }

    async fn article_text(&self, url: &str) -> Result<String, String> {
        let url = Url::parse(url).map_err(|error| format!("its address cannot be used: {error}"))?;
        let response =
            self.fetch.fetch(Request::get(url, ACCEPT_ARTICLE)).await.map_err(|error: FetchError| error.to_string())?;
        if response.status != 200 {
            return Err(status_in_words(response.status));
        }
        let limits = self.limits();
        let task = tokio::task::spawn_blocking(move || {
            let document =
                Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
            article(&document, &limits).map(|article| article.text)
        });
        match task.await {
            Ok(read) => read.map_err(|error| error.0),
            Err(_) => Err("reading this page made the reader fail".to_string()),
        }
    }
}

/// An answer that could be used.
struct Answer {
    response: Response,
    /// `None` when nothing changed.
    reading: Option<Reading>,
    body_hash: i64,
    fresh_for: Option<Duration>,
}

/// How often a source may be asked, by its own settings and the general ones.
pub fn rhythm(settings: &FetchSettings, source: &SourceConfig) -> Rhythm {
    Rhythm {
        interval: source.interval.unwrap_or(settings.interval),
        interval_min: settings.interval_min,
        interval_max: settings.interval_max,
    }
}

/// What could not be read of an otherwise good document.
fn problems_in_words(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} (and {} more such problems)", rest.len()),
    }
}

/// What a status means and what to do about it.
fn status_in_words(status: u16) -> String {
    let meaning = match status {
        204 | 206 => "an answer without a whole document",
        304 => "\"not modified\" to a question that named no earlier answer",
        401 => "it wants a log-in",
        403 => "it refuses us; perhaps robots are not welcome there",
        404 => "not found; check the address (newswatch probe finds feeds of a site)",
        410 => "gone for good; remove the source or find its new address",
        429 => "we ask too often",
        451 => "blocked for legal reasons",
        500..=599 => "the server is in trouble",
        _ => "an answer that cannot be used",
    };
    format!("status {status}: {meaning}")
}
