//! What is remembered of a source: a visit's trace in its [`Record`]. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::rhythm;
use crate::matcher::language::Language;
use crate::model::{Item, Record};

/// Outages that are remembered.
const OUTAGES: usize = 8;
/// A date this far ahead is a mistake, and must not stand for ever as the latest.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(26);
/// Counts go no higher: they say "often", not "how often".
const COUNT_MAX: u32 = 100;
/// A language is told from so many bytes at least, and from no more than so many.
const LANGUAGE_BYTES: std::ops::RangeInclusive<usize> = 120..=2_000;
/// After so many days with news in one language it is what is usual.
const LANGUAGE_ADOPTED: u32 = 20;
/// So many items at a first contact tell the language as well as days of news do, and that counts so many days.
const LANGUAGE_BACKLOG: (usize, u32) = (8, 6);
/// Nothing but "not modified" for so long is looked into: the whole document is asked for, so often.
const DOUBT_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The same where "not modified" was untrue before, or where news are overdue.
const DOUBT_SOONER: SignedDuration = SignedDuration::from_hours(24);
/// Dates may be off by this, and caches hold for less.
const HIDDEN: SignedDuration = SignedDuration::from_hours(6);
/// Where "not modified" was untrue, the whole document is asked for each time, for so long.
const UNTRUE_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a visit saw.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Nothing: it failed.
    Failure {
        /// The visit before did not fail.
        first: bool,
    },
    /// The document is as it was.
    Same {
        /// The server said so; else the bytes were compared.
        not_modified: bool,
        /// It was asked for whole because "not modified" was doubted.
        doubted: bool,
    },
    /// A document was read.
    Document {
        /// Items that are new.
        new: &'a [&'a Item],
        /// Something in it was worded anew.
        edited: bool,
        /// It was asked for whole because "not modified" was doubted, which a visit then had answered.
        doubted: Option<Timestamp>,
    },
}

/// The day of a moment, in days since 1970.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// The record after a visit.
pub fn after(mut record: Record, seen: Seen<'_>, now: Timestamp) -> Record {
    match seen {
        Seen::Failure { first } => {
            if first {
                record.outages.push(now.as_second());
                let surplus = record.outages.len().saturating_sub(OUTAGES);
                record.outages.drain(..surplus);
            }
        }
        Seen::Same { not_modified, doubted } => {
            mark(&mut record, day_of(now), b'.');
            note_answer(&mut record, not_modified, doubted, now);
        }
        Seen::Document { new, edited, doubted } => {
            let was_unmodified = record.not_modified_since.is_some();
            note_answer(&mut record, false, doubted.is_some(), now);
            record.changed_at = Some(now);
            let (backlog, news): (Vec<&Item>, Vec<&Item>) = new.iter().partition(|item| item.backlog);
            match news.len() {
                0 => mark(&mut record, day_of(now), b'+'),
                count => mark(&mut record, day_of(now), b'0' + count.min(9) as u8),
            }
            if new.is_empty() && !edited {
                record.idle_changes = (record.idle_changes + 1).min(COUNT_MAX);
            }
            // News that were there, by their dates, when it said "not modified".
            let hidden = |item: &&Item| item.published_at.zip(doubted).is_some_and(|(date, at)| date + HIDDEN <= at);
            if was_unmodified && news.iter().any(hidden) {
                record.untrue_at = Some(now);
            } else if doubted.is_none() && !news.is_empty() {
                // Asked as ever, it showed its news.
                record.untrue_at = None;
            }
            learn_rhythm(&mut record, &backlog, now);
            note_dates(&mut record, new, now);
            note_language(&mut record, new, now);
        }
    }
    record
}

/// The next question names no earlier answer: "not modified" has been the only answer for suspiciously long, or was untrue
/// before.
pub fn doubts_not_modified(record: &Record, now: Timestamp) -> bool {
    let older = |at: Option<Timestamp>, than: SignedDuration| at.is_none_or(|at| now.duration_since(at) >= than);
    if record.untrue_at.is_some() && !older(record.untrue_at, UNTRUE_FOR) {
        return true;
    }
    let Some(since) = record.not_modified_since else { return false };
    let overdue = || rhythm::is_overdue(&record.days, record.day, day_of(now));
    let patience = if record.untrue_at.is_some() || overdue() { DOUBT_SOONER } else { DOUBT_AFTER };
    older(Some(since), patience) && older(record.asked_whole_at, patience)
}

fn note_answer(record: &mut Record, not_modified: bool, doubted: bool, now: Timestamp) {
    if doubted {
        record.asked_whole_at = Some(now);
    }
    record.not_modified_since = if not_modified { record.not_modified_since.or(Some(now)) } else { None };
}

/// Makes the letter of a day at least this one: `-`, `.`, `+`, `1` ... `9` in rising order. Several visits of a day add up.
fn mark(record: &mut Record, day: i64, letter: u8) {
    if record.days.is_empty() {
        record.day = day - 1;
    }
    if day > record.day {
        let gap = usize::try_from(day - record.day - 1).unwrap_or(usize::MAX).min(rhythm::DAYS);
        record.days.extend(std::iter::repeat_n('-', gap));
        record.days.push(char::from(letter));
        record.day = day;
        let surplus = record.days.len().saturating_sub(rhythm::DAYS);
        record.days.drain(..surplus);
        return;
    }
    // Also after the clock was set back.
    let Some(index) = usize::try_from(record.day - day).ok().and_then(|back| record.days.len().checked_sub(back + 1))
    else {
        return;
    };
    let rank = |letter: u8| match letter {
        b'-' => 0,
        b'.' => 1,
        b'+' => 2,
        digit => digit - b'0' + 2,
    };
    let old = record.days.as_bytes()[index];
    let new = if old.is_ascii_digit() && letter.is_ascii_digit() {
        b'0' + (old - b'0' + letter - b'0').min(9)
    } else if rank(letter) > rank(old) {
        letter
    } else {
        old
    };
    record.days.replace_range(index..=index, char::from(new).encode_utf8(&mut [0; 4]));
}

/// At a first contact the dates of what it shows tell how it published before, as far back as they reach.
fn learn_rhythm(record: &mut Record, backlog: &[&Item], now: Timestamp) {
    let today = day_of(now);
    let earliest = today - rhythm::DAYS as i64 + 1;
    let mut news: BTreeMap<i64, usize> = BTreeMap::new();
    let mut dated = 0;
    for day in backlog.iter().filter_map(|item| item.published_at).map(day_of).filter(|day| *day < today) {
        dated += 1;
        if day >= earliest {
            *news.entry(day).or_default() += 1;
        }
    }
    // Some items without a date, or all on one day, are no history.
    if dated * 10 < backlog.len() * 9 || news.len() < 3 || record.days.len() > 1 {
        return;
    }
    let Some(first) = news.keys().next().copied() else { return };
    let letter = |day: i64| news.get(&day).map_or('.', |count| char::from(b'0' + (*count).min(9) as u8));
    let own = std::mem::take(&mut record.days);
    record.days = (first..today).map(letter).chain(own.chars()).collect();
}

fn note_dates(record: &mut Record, new: &[&Item], now: Timestamp) {
    let dates = || new.iter().filter_map(|item| item.published_at).filter(|date| *date <= now + AHEAD_MAX);
    let Some(latest) = dates().max() else { return };
    if record.latest_date.is_none_or(|known| latest > known) {
        record.dates_moved = (record.dates_moved + 1).min(COUNT_MAX);
        record.latest_date = Some(latest);
        record.latest_date_since = Some(now);
        (record.dated_since, record.dated_equal) = (0, 0);
    } else {
        let equal = dates().filter(|date| record.latest_date == Some(*date)).count() as u32;
        let all = dates().count() as u32;
        // Beyond the limit both stand still: whether all of them are equal is known by then.
        if record.dated_since < COUNT_MAX {
            record.dated_since += all;
            record.dated_equal += equal;
        }
    }
}

/// One word a day on the language of the news, from as much of it as a guess needs.
fn note_language(record: &mut Record, new: &[&Item], now: Timestamp) {
    let mut text = String::new();
    for item in new {
        for part in [&item.title, &item.summary, &item.content] {
            if text.len() < *LANGUAGE_BYTES.end() {
                text.push_str(&part[..part.floor_char_boundary(*LANGUAGE_BYTES.end() / 4)]);
                text.push(' ');
            }
        }
    }
    if text.len() < *LANGUAGE_BYTES.start() {
        return;
    }
    // Several visits of a day are one word.
    if std::mem::replace(&mut record.language_day, day_of(now)) == day_of(now) {
        return;
    }
    let is_first = record.language.is_empty();
    let language = language_of(&text);
    let days = if is_first && new.len() >= LANGUAGE_BACKLOG.0 { LANGUAGE_BACKLOG.1 } else { 1 };
    if record.language == language {
        record.language_days += days;
    } else {
        if !is_first {
            *record.languages.entry(record.language.clone()).or_default() += record.language_days;
        }
        record.language = language.to_string();
        record.language_since = Some(now);
        record.language_days = days;
    }
    if record.language_days >= LANGUAGE_ADOPTED {
        // What was before is past.
        record.languages.clear();
        record.language_days = LANGUAGE_ADOPTED;
    }
}

/// A code for the language of a text: by its script, and where that is Latin by its commonest words. What is none of the
/// languages that are told apart is taken for English.
fn language_of(text: &str) -> &'static str {
    let (mut latin, mut counts) = (0u32, [0u32; 7]);
    const CODES: [&str; 7] = ["ja", "ko", "zh", "cyrillic", "arabic", "hebrew", "greek"];
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => latin += 1,
            '\u{3040}'..='\u{30ff}' => counts[0] += 3,
            '\u{ac00}'..='\u{d7af}' => counts[1] += 3,
            '\u{4e00}'..='\u{9fff}' => counts[2] += 3,
            '\u{400}'..='\u{52f}' => counts[3] += 1,
            '\u{600}'..='\u{6ff}' => counts[4] += 1,
            '\u{590}'..='\u{5ff}' => counts[5] += 1,
            '\u{370}'..='\u{3ff}' => counts[6] += 1,
            _ => {}
        }
    }
    // Japanese is written with Chinese characters, too.
    if counts[0] * 10 > counts[2] {
        counts[0] += std::mem::take(&mut counts[2]);
    }
    let most = (0..counts.len()).max_by_key(|index| counts[*index]).unwrap_or_default();
    if counts[most] > latin { CODES[most] } else { Language::of("", text).code() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArticleState, Id};

    fn at(hours: i64) -> Timestamp {
        // A Monday at midnight.
        Timestamp::from_second(20_605 * 86_400 + hours * 3_600).unwrap()
    }

    fn item(published: Option<Timestamp>, text: &str, backlog: bool) -> Item {
        Item {
            id: Id(1),
            source: "s".into(),
            key: "k".into(),
            url: None,
            title: String::new(),
            summary: text.into(),
            content: String::new(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: String::new(),
            language: String::new(),
            published_at: published,
            first_seen_at: at(0),
            backlog,
        }
    }

    fn document<'a>(new: &'a [&'a Item]) -> Seen<'a> {
        Seen::Document { new, edited: false, doubted: None }
    }

    const SAME: Seen<'static> = Seen::Same { not_modified: true, doubted: false };

    #[test]
    fn a_day_is_one_letter() {
        let news = item(None, "", false);
        let mut record = after(Record::default(), SAME, at(1));
        record = after(record, document(&[]), at(2));
        assert_eq!((record.days.as_str(), record.day), ("+", 20_605));
        record = after(record, document(&[&news, &news]), at(3));
        record = after(record, SAME, at(4));
        record = after(record, document(&[&news]), at(5));
        assert_eq!(record.days, "3");
        record = after(record, Seen::Failure { first: true }, at(30));
        record = after(record, SAME, at(3 * 24));
        assert_eq!((record.days.as_str(), record.outages.len()), ("3--.", 1));
        // Set back: the day is still the same letter.
        record = after(record, document(&[&news]), at(2));
        assert_eq!(record.days, "4--.");
        record = after(record, SAME, at(24 * 400));
        assert_eq!(record.days.len(), rhythm::DAYS);
        assert!(record.days.ends_with("-."));
    }

    #[test]
    fn a_first_contact_tells_the_rhythm_by_its_dates() {
        let items: Vec<Item> = (0..30).map(|n| item(Some(at(-24 * (n / 2) * 7 - 3)), "", true)).collect();
        let shown: Vec<&Item> = items.iter().collect();
        let record = after(Record::default(), document(&shown), at(1));
        // Fifteen weeks back, two items on each Sunday, nothing on the other days; today.
        assert_eq!(record.days, "2......".repeat(14) + "2+");
        let undated = item(None, "", true);
        let record = after(Record::default(), document(&[&undated; 20]), at(1));
        assert_eq!(record.days, "+");
    }

    #[test]
    fn not_modified_for_ever_is_looked_into() {
        let mut record = Record::default();
        for hour in 0..7 * 24 {
            assert!(!doubts_not_modified(&record, at(hour)), "{hour}");
            record = after(record, SAME, at(hour));
        }
        assert!(doubts_not_modified(&record, at(7 * 24)));
        // It was so: once a week is enough.
        let so = after(record.clone(), Seen::Same { not_modified: false, doubted: true }, at(7 * 24));
        assert!(!doubts_not_modified(&after(so, SAME, at(8 * 24)), at(14 * 24 - 1)));
        // It had news: each time from now on.
        let seen = |published| {
            let news = item(Some(published), "", false);
            let new = Seen::Document { new: &[&news], edited: false, doubted: Some(at(7 * 24 - 1)) };
            after(record.clone(), new, at(7 * 24))
        };
        assert!(!doubts_not_modified(&seen(at(7 * 24)), at(7 * 24 + 1)), "they had only just come");
        let untrue = seen(at(5 * 24));
        assert!(doubts_not_modified(&untrue, at(7 * 24 + 1)));
        assert!(!doubts_not_modified(&untrue, at(7 * 24) + UNTRUE_FOR));
        let news = item(None, "", false);
        assert_eq!(after(untrue, document(&[&news]), at(22 * 24)).untrue_at, None, "asked as ever it shows its news");
    }

    #[test]
    fn languages_are_told_apart() {
        for (text, code) in [
            ("The council and the ministers have said that they will not be in the room for this", "en"),
            ("Der Rat und die Minister haben gesagt, dass sie nicht in dem Raum sein werden, und das ist alles", "de"),
            ("Совет министров сообщил", "cyrillic"),
            ("이사회는 오늘 발표했다 UN", "ko"),
            ("理事会は今日発表した", "ja"),
            ("理事会今天宣布", "zh"),
        ] {
            assert_eq!(language_of(text), code, "{text}");
        }
    }

    #[test]
    fn a_record_is_short_and_reads_back() {
        let text = "The council and the ministers have said that they will not be in the room for this, and that is all of it. ";
        let news = item(Some(at(0)), &text.repeat(3), false);
        let mut record = Record::default();
        for day in 0..200 {
            record = after(record, Seen::Failure { first: true }, at(day * 24));
            record = after(record, document(&[&news]), at(day * 24 + 1));
        }
        let stored = serde_json::to_string(&record).unwrap();
        assert!(stored.len() < 600, "{} bytes: {stored}", stored.len());
        assert_eq!(serde_json::from_str::<Record>(&stored).unwrap(), record);
        assert_eq!(serde_json::from_str::<Record>("{}").unwrap(), Record::default());
    }
}
