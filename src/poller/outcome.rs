//! What an answer means for its source: failures by name, moves, goodbyes. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::fetch::{FetchError, Response};
use super::read::{article, bot_check};
use super::schedule::{self, Visited};
use crate::fault::{Class, Fault};
use crate::model::{Health, Move, SourceState, gates};
use crate::plain;

/// A source that says "gone" twice, at least so far apart, is gone.
const GONE_CONFIRMED_AFTER: SignedDuration = SignedDuration::from_hours(20);

/// Why a visit gave nothing.
pub struct Failure {
    /// By name.
    pub fault: Fault,
    /// In words for the operator.
    pub reason: String,
    /// How long the publisher asks to be left alone.
    pub retry_after: Option<Duration>,
    /// How long the answer calls itself fresh.
    pub fresh_for: Option<Duration>,
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        Failure::new(error.fault, error.text)
    }
}

impl Failure {
    /// A failure about which the publisher said nothing.
    pub fn new(fault: Fault, reason: impl Into<String>) -> Failure {
        Failure { fault, reason: plain::without_secrets(&reason.into()), retry_after: None, fresh_for: None }
    }
}

/// Takes over a failure.
pub fn fail(state: &mut SourceState, failure: Failure, asked_elsewhere: bool, now: Timestamp) -> Visited {
    let Failure { fault, reason, retry_after, fresh_for } = failure;
    let gone_before = state.fault == Some(Fault::Gone)
        && state.attempted_at.is_some_and(|before| now.duration_since(before) >= GONE_CONFIRMED_AFTER);
    state.health = if fault == Fault::Gone && gone_before { Health::Retired } else { Health::Failing };
    state.failures += 1;
    state.failing_since = state.failing_since.or(Some(now));
    state.fault = Some(fault);
    state.error = plain::line(&reason, 500);
    if let Some(moved) = &mut state.moved {
        if asked_elsewhere && fault.class() == Class::Lasting {
            // Nothing at the new address any more: the configured one is asked once.
            moved.proofs = Move::PROOFS_WANTED - 1;
            state.health = Health::Failing;
        } else if !asked_elsewhere && fault.class() != Class::Network && moved.proofs == Move::PROOFS_WANTED - 1 {
            // Nor there: back to the new one.
            moved.proofs = Move::PROOFS_WANTED;
        }
    }
    Visited::Failed { fault, failures: state.failures, retry_after, fresh_for }
}

/// Where the source says it has moved, after this answer.
pub fn moved(known: Option<Move>, response: &Response, asked: &Url, configured: &Url) -> Option<Move> {
    // What the new address redirects to is followed each time; nobody gives up encryption for ever.
    let is_downgrade = configured.scheme() == "https" && response.url.scheme() != "https";
    if response.moved_for_good && asked == configured && !is_downgrade {
        let url = response.url.to_string();
        let proofs = known.filter(|known| known.url == url).map_or(0, |known| known.proofs);
        return Some(Move { url, proofs: (proofs + 1).min(Move::PROOFS_WANTED) });
    }
    // An answer at the new address goes on; one at the old address says that it was a slip.
    known.filter(|_| asked != configured)
}

/// What an answer that is neither 200 nor 304 says.
pub fn refused(status: u16, response: &Response, fresh_for: Option<Duration>, now: Timestamp) -> Failure {
    let gatekeeper = if response.is_bot_check { Some("Cloudflare") } else { bot_check::of_refusal(&response.body) };
    let failure = match gatekeeper.filter(|_| status >= 400) {
        Some(gatekeeper) => bot_check_failure(status, gatekeeper),
        None => Failure::new(Fault::of_status(status), status_in_words(status)),
    };
    let now = schedule::server_time(response.date.as_deref(), now);
    let retry_after = response.retry_after.as_deref().and_then(|header| schedule::retry_after(header, now));
    let asks_to_wait = status == 503 && retry_after.is_some() && failure.fault == Fault::ServerTrouble;
    let failure = if asks_to_wait { Failure { fault: Fault::SlowDown, ..failure } } else { failure };
    Failure { retry_after, fresh_for, ..failure }
}

/// What came in place of a document that could not be read: a check for robots or a log-in page, if it is one of them.
pub fn gate(response: &Response) -> Option<Failure> {
    if let Some(gatekeeper) = bot_check::of_refusal(&response.body) {
        return Some(bot_check_failure(response.status, gatekeeper));
    }
    let reason = "a log-in page came in its place: give the source its log-in, or find another way to the same news";
    article::is_login(&response.url, &response.body).then(|| Failure::new(Fault::LoginWanted, reason))
}

/// A check for robots stands before the answer.
pub fn bot_check_failure(status: u16, gatekeeper: &str) -> Failure {
    Failure::new(
        Fault::BotCheck,
        format!(
            "{} by {gatekeeper} stands before it (status {status}); newswatch does not evade it: ask the publisher to let it in, or find another way to the same news",
            gates::CHECK_FOR_ROBOTS
        ),
    )
}

/// What could not be read of an otherwise good document.
pub fn problems_in_words(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} (and {} more such problems)", rest.len()),
    }
}

/// What a status means and what to do about it.
pub fn status_in_words(status: u16) -> String {
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
