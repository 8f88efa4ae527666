//! What was looked at, source by source, and what was not. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::{Health, SourceState};

/// A visit that comes so late is no gap yet, however short its interval: sources wait for their host.
const LATE_MIN: SignedDuration = SignedDuration::from_mins(30);
const DAY_SECONDS: i64 = 86_400;

/// A time in which a source was not read although it should have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last good visit before it.
    pub from: Timestamp,
    /// The first good visit after it; the end of the report while there is none.
    pub until: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// How a source was read in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Name of the source.
    pub source: String,
    /// It is known what it shows from then on; `None`: it was not read at all in this time.
    pub from: Option<Timestamp>,
    /// When it was not read, the earliest first.
    pub gaps: Vec<Gap>,
    /// Items of it that were first seen in this time.
    pub items: i64,
    /// How many of them are hits.
    pub hits: i64,
}

/// The gap that a good visit at `now` ends; `before` is the source as it was. `None` when it came as it should.
pub fn ended(before: &SourceState, now: Timestamp) -> Option<Gap> {
    let from = before.succeeded_at?;
    let reason = missing(before, now)?;
    Some(Gap { from, until: now, reason })
}

/// Why the source was not read by `now` although it should have been.
fn missing(state: &SourceState, now: Timestamp) -> Option<String> {
    if state.failures > 0 {
        let words = if state.error.is_empty() { "it could not be read" } else { &state.error };
        return Some(format!("failing: {words}"));
    }
    let from = state.succeeded_at?;
    // As late as its whole interval.
    let late = now.duration_since(state.next_at);
    (late > state.next_at.duration_since(from).max(LATE_MIN))
        .then(|| "not asked: newswatch did not run, or the source was paused or not configured".to_string())
}

/// How a source was read from `from` to `to`, which is not after `now`. `gaps` are those that are over; `looked_at` are its items and
/// hits.
pub fn of_source(
    state: &SourceState,
    gaps: &[Gap],
    looked_at: (i64, i64),
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Coverage {
    let began = state.baseline_at.filter(|began| *began < to && state.succeeded_at.is_some_and(|at| at > from));
    let mut coverage = Coverage {
        source: state.name.clone(),
        from: began.map(|began| began.max(from)),
        gaps: Vec::new(),
        items: looked_at.0,
        hits: looked_at.1,
    };
    let Some(covered_from) = coverage.from else {
        let reason = match state.succeeded_at.and_then(|_| open(state, now)) {
            Some(reason) => reason,
            None if state.failures > 0 => format!("failing: {}", state.error),
            None => "it was read first after this time, or never".to_string(),
        };
        coverage.gaps.push(Gap { from, until: to, reason });
        return coverage;
    };
    if covered_from > from {
        let reason = "before its first contact".to_string();
        coverage.gaps.push(Gap { from, until: covered_from, reason });
    }
    let within = |gap: &Gap| Gap { from: gap.from.max(covered_from), until: gap.until.min(to), ..gap.clone() };
    coverage.gaps.extend(gaps.iter().map(within).filter(|gap| gap.from < gap.until));
    if let Some((at, reason)) = state.succeeded_at.filter(|at| *at < to).zip(open(state, now)) {
        coverage.gaps.push(Gap { from: at.max(covered_from), until: to, reason });
    }
    let days = unread_days(state, covered_from, to);
    let known = coverage.gaps.clone();
    let apart = |day: &Gap| !known.iter().any(|gap| gap.from < day.until && day.from < gap.until);
    coverage.gaps.extend(days.into_iter().filter(apart));
    coverage.gaps.sort_by_key(|gap| (gap.from, gap.until));
    coverage
}

/// Why it is not read now.
fn open(state: &SourceState, now: Timestamp) -> Option<String> {
    if state.paused {
        return Some("paused".to_string());
    }
    match state.health {
        Health::Retired => Some("its publisher says it is gone".to_string()),
        _ => missing(state, now),
    }
}

/// Whole days without a good visit, as the source's record has them: also from before gaps were noted.
fn unread_days(state: &SourceState, from: Timestamp, to: Timestamp) -> Vec<Gap> {
    let record = &state.record;
    let mut gaps: Vec<Gap> = Vec::new();
    let first = record.day - record.days.len() as i64 + 1;
    for (index, letter) in record.days.bytes().enumerate() {
        let begin = (first + index as i64) * DAY_SECONDS;
        let ends = (Timestamp::from_second(begin), Timestamp::from_second(begin + DAY_SECONDS));
        let (Ok(begin), Ok(end)) = ends else { continue };
        if letter != b'-' || begin < from || end > to {
            continue;
        }
        match gaps.last_mut().filter(|last| last.until == begin) {
            Some(last) => last.until = end,
            None => gaps.push(Gap { from: begin, until: end, reason: "not read on these days".to_string() }),
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Record;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_057_600 + hours * 3600).unwrap()
    }

    /// Read every hour until the 100th.
    fn state() -> SourceState {
        SourceState {
            name: "wire".into(),
            url: String::new(),
            kind: "feed".into(),
            host: String::new(),
            paused: false,
            health: Health::Fine,
            validators_url: String::new(),
            etag: None,
            last_modified: None,
            body_hash: 0,
            attempted_at: Some(at(100)),
            succeeded_at: Some(at(100)),
            changed_at: None,
            baseline_at: Some(at(0)),
            next_at: at(101),
            next_reason: String::new(),
            failures: 0,
            failing_since: None,
            fault: None,
            error: String::new(),
            moved: None,
            pace: Default::default(),
            record: Record::default(),
            gated: 0,
            items: 0,
        }
    }

    #[test]
    fn a_late_visit_ends_a_gap_and_one_in_time_ends_none() {
        assert_eq!(ended(&state(), at(101)), None);
        let gap = ended(&state(), at(110)).unwrap();
        assert_eq!((gap.from, gap.until), (at(100), at(110)));
        assert!(gap.reason.starts_with("not asked"));
        let failing = SourceState { failures: 3, error: "status 503".into(), ..state() };
        assert_eq!(ended(&failing, at(101)).unwrap().reason, "failing: status 503");
        let first = SourceState { succeeded_at: None, ..state() };
        assert_eq!(ended(&first, at(900)), None, "before the first contact there is nothing to miss");
    }

    #[test]
    fn gaps_are_cut_to_the_time_of_the_report() {
        let gaps = [Gap { from: at(10), until: at(20), reason: "failing: x".into() }];
        let whole = of_source(&state(), &gaps, (7, 1), at(0), at(100), at(100));
        assert_eq!((whole.from, whole.gaps.as_slice(), whole.items, whole.hits), (Some(at(0)), &gaps[..], 7, 1));
        let part = of_source(&state(), &gaps, (0, 0), at(15), at(100), at(100));
        assert_eq!((part.gaps[0].from, part.gaps[0].until), (at(15), at(20)));
        let early = of_source(&state(), &[], (0, 0), at(-50), at(100), at(100));
        assert_eq!((early.from, early.gaps[0].until), (Some(at(0)), at(0)));
        assert_eq!(of_source(&state(), &[], (0, 0), at(0), at(100), at(100)).gaps, []);
    }

    #[test]
    fn what_is_not_read_now_is_a_gap_until_the_end() {
        let paused = SourceState { paused: true, ..state() };
        let found = of_source(&paused, &[], (0, 0), at(50), at(200), at(200));
        assert_eq!(
            (found.gaps[0].from, found.gaps[0].until, found.gaps[0].reason.as_str()),
            (at(100), at(200), "paused")
        );
        assert!(of_source(&state(), &[], (0, 0), at(50), at(200), at(200)).gaps[0].reason.starts_with("not asked"));
        let after = of_source(&paused, &[], (0, 0), at(150), at(200), at(200));
        assert_eq!((after.from, after.gaps.len()), (None, 1));
    }

    #[test]
    fn days_without_a_visit_are_named_once() {
        let day = at(0).as_second().div_euclid(DAY_SECONDS);
        let record = Record { day: day + 3, days: ".--.".into(), ..Record::default() };
        let found = of_source(&SourceState { record, ..state() }, &[], (0, 0), at(0), at(96), at(100));
        assert_eq!(found.gaps.len(), 1);
        assert_eq!(found.gaps[0].until.duration_since(found.gaps[0].from), SignedDuration::from_hours(48));
    }
}
