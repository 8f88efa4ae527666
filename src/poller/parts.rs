//! Pure: which parts of a sitemap index are worth asking, and what is remembered of them.
//!
//! An index of a large site names hundreds of parts, most of them archives. A part is asked again when the index gives it
//! another date; one without a date each time, with the validators of its last answer.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::fetch::{Response, Validators};
use super::read::dates;
use crate::model::{Memory, Part, Timestamp};

/// Parts asked in one visit.
const PER_VISIT_MAX: usize = 20;
/// Parts remembered; an index that names more is read in part.
const REMEMBERED_MAX: usize = 5_000;
/// A date without a time may stand for a change later on its day, in whatever time zone.
const DAY_SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(48);
/// What a part is named by in the memory.
const PREFIX: &str = "part ";

/// What is remembered of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// Its date in the index when it was read.
    changed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// The address that gave the validators.
    #[serde(skip_serializing_if = "String::is_empty")]
    answered: String,
}

fn known(memory: &Memory, url: &str) -> Option<Known> {
    serde_json::from_str(memory.get(&format!("{PREFIX}{url}"))?).ok()
}

fn remember(memory: &mut Memory, url: &str, known: &Known) {
    memory.insert(format!("{PREFIX}{url}"), serde_json::to_string(known).unwrap_or_default());
}

/// What is to be done about the parts that an index names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be asked now, the latest changed first.
    pub now: Vec<Part>,
    /// Others are left for the next visit.
    pub later: bool,
    /// What nobody will read, in a sentence.
    pub problem: Option<String>,
}

/// Which parts to ask now. At the first contact the older ones are archives: they are known without having been read.
pub fn plan(mut parts: Vec<Part>, memory: &mut Memory, is_first_contact: bool, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let count = parts.len();
    // By date, not by its spelling; the undated ones last.
    parts.sort_by_cached_key(|part| Reverse(dates::timestamp(&part.changed)));
    if count > REMEMBERED_MAX {
        parts.truncate(REMEMBERED_MAX);
        plan.problem = Some(format!("it names {count} parts; only the latest {REMEMBERED_MAX} are watched"));
    }
    let named: BTreeSet<String> = parts.iter().map(|part| format!("{PREFIX}{}", part.url)).collect();
    memory.retain(|name, _| !name.starts_with(PREFIX) || named.contains(name));
    let is_unread = |part: &Part| {
        says_too_little(&part.changed, now)
            || known(memory, &part.url).is_none_or(|known| known.changed != part.changed)
    };
    parts.retain(is_unread);
    let rest = parts.split_off(parts.len().min(PER_VISIT_MAX));
    let undated = rest.iter().filter(|part| part.changed.is_empty()).count();
    if undated > 0 {
        plan.problem = Some(format!(
            "{undated} of its parts have no date and are not read: their turn would never end; name the parts that matter as sources"
        ));
    }
    for part in rest.into_iter().filter(|part| !part.changed.is_empty()) {
        if is_first_contact {
            remember(memory, &part.url, &Known { changed: part.changed, ..Known::default() });
        } else {
            plan.later = true;
        }
    }
    plan.now = parts;
    plan
}

/// The parts whose dates do not tell whether they changed: only asking does.
pub fn undated(memory: &Memory, now: Timestamp) -> Vec<Part> {
    let names = memory.keys().filter_map(|name| name.strip_prefix(PREFIX));
    let parts = names.filter_map(|url| Some(Part { url: url.to_string(), changed: known(memory, url)?.changed }));
    parts.filter(|part| says_too_little(&part.changed, now)).take(PER_VISIT_MAX).collect()
}

/// There is no date, or only a day that is hardly over.
fn says_too_little(changed: &str, now: Timestamp) -> bool {
    let is_day = !changed.contains(['T', ':']);
    let is_recent = |at: Timestamp| now.duration_since(at) < DAY_SETTLED_AFTER;
    changed.is_empty() || is_day && dates::timestamp(changed).is_some_and(is_recent)
}

/// The validators of a part's last answer.
pub fn validators(memory: &Memory, part: &Part) -> Option<Validators> {
    let known = known(memory, &part.url)?;
    let bytes = |text: Option<String>| text.map(String::into_bytes);
    let (etag, last_modified) = (bytes(known.etag), bytes(known.last_modified));
    let url = known.answered.parse().ok()?;
    (etag.is_some() || last_modified.is_some()).then_some(Validators { url, etag, last_modified })
}

/// Notes that a part was read.
pub fn note(memory: &mut Memory, part: &Part, answer: &Response) {
    if answer.status == 304 {
        let known = Known { changed: part.changed.clone(), ..known(memory, &part.url).unwrap_or_default() };
        return remember(memory, &part.url, &known);
    }
    // A validator that is no text cannot be kept in the memory; it is not worth a column.
    let text = |bytes: &Option<Vec<u8>>| bytes.clone().and_then(|bytes| String::from_utf8(bytes).ok());
    let (etag, last_modified) = (text(&answer.etag), text(&answer.last_modified));
    let known = Known { changed: part.changed.clone(), etag, last_modified, answered: answer.url.to_string() };
    remember(memory, &part.url, &known);
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn now() -> Timestamp {
        "2026-05-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_day_that_is_hardly_over_says_too_little() {
        let mut memory = Memory::new();
        let today = part("a", "2026-05-01");
        note(&mut memory, &today, &answer("\"1\""));
        assert_eq!(plan(vec![today.clone()], &mut memory, false, now()).now, std::slice::from_ref(&today));
        assert_eq!(undated(&memory, now()), std::slice::from_ref(&today));
        let later = now() + SignedDuration::from_hours(72);
        assert_eq!(plan(vec![today], &mut memory, false, later), Plan::default());
        assert_eq!(undated(&memory, later), []);
    }

    fn part(url: &str, changed: &str) -> Part {
        Part { url: url.into(), changed: changed.into() }
    }

    fn answer(etag: &str) -> Response {
        let url = Url::parse("https://example.org/a.xml").unwrap();
        Response { etag: Some(etag.into()), ..Response::new(200, url, Vec::new()) }
    }

    #[test]
    fn a_part_is_asked_again_when_its_date_changes() {
        let mut memory = Memory::new();
        let (old, new, undated_part) = (part("a", "2026-01-01"), part("a", "2026-01-02"), part("b", ""));
        let index = vec![undated_part.clone(), old.clone()];
        assert_eq!(
            plan(index.clone(), &mut memory, true, now()).now,
            [old.clone(), undated_part.clone()],
            "the dated first"
        );
        note(&mut memory, &old, &answer("\"1\""));
        note(&mut memory, &undated_part, &answer("\"2\""));
        assert_eq!(plan(index, &mut memory, false, now()).now, std::slice::from_ref(&undated_part));
        assert_eq!(undated(&memory, now()), std::slice::from_ref(&undated_part), "also when the index has not changed");
        assert_eq!(validators(&memory, &new).unwrap().etag.as_deref(), Some("\"1\"".as_bytes()));
        assert_eq!(plan(vec![new.clone()], &mut memory, false, now()).now, [new]);
        assert_eq!(validators(&memory, &undated_part), None, "what the index no longer names is forgotten");
    }

    #[test]
    fn archives_are_not_read_at_the_first_contact() {
        let index: Vec<Part> = (1..=28).map(|day| part(&day.to_string(), &format!("2026-02-{day:02}"))).collect();
        let mut memory = Memory::new();
        let first = plan(index.clone(), &mut memory, true, now());
        assert_eq!((first.now.len(), first.now[0].url.as_str(), first.later), (20, "28", false));
        first.now.iter().for_each(|part| note(&mut memory, part, &answer("\"1\"")));
        assert_eq!(plan(index.clone(), &mut memory, false, now()), Plan::default());
        // Many changed at once: none is left out, some wait.
        let changed = |part: &Part| Part { changed: part.changed.replace("-02-", "-03-"), ..part.clone() };
        let again = plan(index.iter().map(changed).collect(), &mut memory, false, now());
        assert_eq!((again.now.len(), again.later), (20, true));
    }
}
