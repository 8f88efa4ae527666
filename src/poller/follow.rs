//! Further documents of a source, read within the same visit: the parts of a sitemap index, the next pages of a list.

use std::time::{Duration, Instant};

use url::Url;

use super::capture::{Asked, Captured};
use super::fetch::{Request, Response};
use super::identity;
use super::outcome::{self, Failure};
use super::parts;
use super::visit::{Visitor, request_of};
use crate::config::SourceConfig;
use crate::fault::{Class, Fault};
use crate::model::{Entry, Id, Memory, Part, Reading, SourceState};
use crate::plain;
use crate::store;

/// Further documents are read no longer than this in one visit. Well below the lease.
const FOLLOW_TIME_MAX: Duration = Duration::from_secs(240);
/// One of them, with its redirects and the wait for its host.
const DOCUMENT_TIME_MAX: Duration = Duration::from_secs(120);
/// Entries of all documents of one visit.
const ENTRIES_MAX: usize = 50_000;

impl Visitor {
    /// Reads the parts that an index names, or that have to be asked although it has not changed. Fails when none of them
    /// could be read.
    pub(super) async fn read_parts(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        reading: &mut Option<Reading>,
        captures: &mut Vec<Captured>,
        memory: &mut Memory,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let (now, mut later) = match reading {
            Some(reading) if reading.parts.is_empty() => return Ok(()),
            Some(reading) => {
                let plan = parts::plan(
                    std::mem::take(&mut reading.parts),
                    memory,
                    state.baseline_at.is_none(),
                    self.clock.now(),
                );
                reading.problems.extend(plan.problem);
                (plan.now, plan.later)
            }
            None => (source.reader.parts_to_ask_again(memory, self.clock.now()), false),
        };
        let (mut asked, mut problems, mut last_failure) = (0, Vec::new(), None);
        for part in now {
            let count = reading.as_ref().map_or(0, |reading| reading.entries.len());
            if started.elapsed() > FOLLOW_TIME_MAX || count >= ENTRIES_MAX {
                later = true;
                break;
            }
            asked += 1;
            match self.read_part(source, &part, memory).await {
                Ok((response, None)) => parts::note(memory, &part, &response),
                Ok((_, Some((more, _)))) if count + more.entries.len() > ENTRIES_MAX => {
                    // Its turn comes when there is room for all of it.
                    later = true;
                    break;
                }
                Ok((response, Some((more, captured)))) => {
                    if !more.truncated {
                        parts::note(memory, &part, &response);
                    }
                    append(reading.get_or_insert_default(), more, captures, captured);
                }
                Err(failure) => {
                    let url = plain::line(&part.url, 200);
                    problems.push(format!("its part {url} cannot be read: {}", failure.reason));
                    let leave = wants_to_be_left(failure.fault);
                    last_failure = Some(failure);
                    if leave {
                        break;
                    }
                }
            }
        }
        if let Some(failure) = last_failure {
            if problems.len() == asked && reading.as_ref().is_none_or(|reading| reading.entries.is_empty()) {
                let reason = format!("none of the {asked} parts that were asked can be read: {}", failure.reason);
                return Err(Failure { reason, ..failure });
            }
            let reading = reading.get_or_insert_default();
            reading.problems.extend(problems);
            reading.truncated = true;
        }
        // What is left is asked for at the next visit, so the index must be read again then.
        if later {
            reading.get_or_insert_default().truncated = true;
        }
        Ok(())
    }

    /// One part; no reading when it has not changed.
    async fn read_part(
        &self,
        source: &SourceConfig,
        part: &Part,
        memory: &mut Memory,
    ) -> Result<(Response, Option<(Reading, Option<Captured>)>), Failure> {
        let mut request = self.further(source, &part.url)?;
        request.validators = parts::validators(memory, part);
        let was_conditional = request.validators.is_some();
        let url = request.url.clone();
        let response = self.fetch_further(request).await?;
        if response.status == 304 && was_conditional {
            return Ok((response, None));
        }
        let (response, reading, captured) = self.read_further(source, url, response, memory).await?;
        Ok((response, Some((reading, captured))))
    }

    /// Reads the next pages of a list, as long as everything on the page before was new.
    pub(super) async fn read_next_pages(
        &self,
        source: &SourceConfig,
        state: &SourceState,
        reading: &mut Reading,
        captures: &mut Vec<Captured>,
        memory: &mut Memory,
    ) -> store::Result<Result<(), Failure>> {
        let started = Instant::now();
        let mut seen = vec![source.url.to_string()];
        let mut begin = 0;
        while let Some(next) = reading.next_page.take() {
            let is_over = seen.len() >= source.reader.pages_max() || started.elapsed() > FOLLOW_TIME_MAX;
            let fresh = &reading.entries[begin..];
            if is_over || seen.contains(&next) || fresh.is_empty() || self.knows_any(source, state, fresh).await? {
                break;
            }
            begin = reading.entries.len();
            let page = async {
                let request = self.further(source, &next)?;
                let url = request.url.clone();
                let response = self.fetch_further(request).await?;
                self.read_further(source, url, response, memory).await
            };
            match page.await {
                Ok((_, more, captured)) => {
                    reading.next_page = more.next_page.clone();
                    append(reading, more, captures, captured);
                }
                Err(failure) => {
                    let number = seen.len() + 1;
                    let reason = format!("page {number} of the list cannot be read: {}", failure.reason);
                    // Taken over without it, this page would be known at the next visit, and that one never asked for again.
                    if failure.fault.class() != Class::Lasting && state.baseline_at.is_some() {
                        return Ok(Err(Failure { reason, ..failure }));
                    }
                    reading.problems.push(reason);
                }
            }
            seen.push(next);
        }
        Ok(Ok(()))
    }

    /// Any of these entries was seen before.
    async fn knows_any(&self, source: &SourceConfig, state: &SourceState, entries: &[Entry]) -> store::Result<bool> {
        if state.items == 0 {
            return Ok(false);
        }
        let keys = identity::keys(entries);
        let ids: Vec<Id> = keys.iter().flat_map(|keys| keys.all().map(|key| Id::of(&[&source.name, key]))).collect();
        Ok(!self.store.known_items(&ids).await?.is_empty())
    }

    /// A request for a document that belongs to a source.
    fn further(&self, source: &SourceConfig, url: &str) -> Result<Request, Failure> {
        let url = Url::parse(url)
            .map_err(|error| Failure::new(Fault::Refused, format!("its address cannot be used: {error}")))?;
        request_of(source, url)
    }

    async fn fetch_further(&self, request: Request) -> Result<Response, Failure> {
        match tokio::time::timeout(DOCUMENT_TIME_MAX, self.fetch.fetch(request)).await {
            Ok(fetched) => Ok(fetched?),
            Err(_) => Err(Failure::new(Fault::Slow, "it took too long")),
        }
    }

    async fn read_further(
        &self,
        source: &SourceConfig,
        url: Url,
        response: Response,
        memory: &mut Memory,
    ) -> Result<(Response, Reading, Option<Captured>), Failure> {
        let now = self.clock.now();
        if response.status != 200 {
            return Err(outcome::refused(response.status, &response, None, now));
        }
        self.read_document(source, Asked { source: source.name.clone(), url, at: now }, response, memory).await
    }
}

/// The host has had enough of us for now.
fn wants_to_be_left(fault: Fault) -> bool {
    matches!(fault, Fault::SlowDown | Fault::BotCheck | Fault::RobotsUnreachable)
}

fn append(reading: &mut Reading, more: Reading, captures: &mut Vec<Captured>, captured: Option<Captured>) {
    let before = reading.entries.len();
    reading.entries.extend(more.entries);
    reading.entries.truncate(ENTRIES_MAX);
    captures.extend(captured.map(|captured| Captured { entries: before..reading.entries.len(), ..captured }));
    reading.problems.extend(more.problems);
    reading.truncated |= more.truncated;
    reading.language = reading.language.take().or(more.language);
}
