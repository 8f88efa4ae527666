//! Dates as publishers write them, in feeds and on pages: RFC 822, ISO 8601, asctime, and what a person writes in any of a
//! dozen languages. One scanner finds them all: it cuts the text into numbers and words and looks for a day, then
//! for a time of day and a zone beside it.

mod names;
mod tokens;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use names::{month, zone_minutes};
use tokens::Token::{self, Mark, Number, Space, Word};
use tokens::tokens;

/// Reads a text that is a date and nothing else, as feeds have them: also a lone year, a month, seconds since 1970.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(timestamp) = epoch(text) {
        return Some(timestamp);
    }
    let tokens = tokens(text);
    find_in(&tokens).or_else(|| partial(&tokens))
}

/// Finds the first date within a longer text ("September 26, 2026 - Counter Terrorism"); a day without a time is midnight UTC.
pub fn find(text: &str) -> Option<Timestamp> {
    find_in(&tokens(text))
}

fn find_in(tokens: &[Token]) -> Option<Timestamp> {
    (0..tokens.len()).find_map(|at| {
        let (date, end) = day_at(tokens, at)?;
        let (time, offset) = time_beside(tokens, at, end);
        to_timestamp(date, time, offset)
    })
}

/// A day whose first token is at `at`, and the index behind it.
fn day_at(tokens: &[Token], at: usize) -> Option<(Date, usize)> {
    // Something that runs on from a number, a word or a dot is the inside of something else ("v1.2026-09-26").
    match &tokens[at] {
        Number(value, 8) => compact(*value).map(|date| (date, at + 1)),
        Number(value, 14..) => compact(*value).map(|date| (date, at + 1)),
        Number(first, digits) => numeric(tokens, at, *first, *digits)
            .or_else(|| east_asian(tokens, at))
            .or_else(|| day_month_year(tokens, at)),
        Word(word) => month(word).and_then(|month| month_day_year(tokens, at, month)),
        _ => None,
    }
}

/// 20260926
fn compact(value: u32) -> Option<Date> {
    date(value / 10_000, value / 100 % 100, value % 100)
}

/// 2026-09-26, 2026.09.26, 26.09.2026, 26/09/2026, 2026-270
fn numeric(tokens: &[Token], at: usize, first: u32, digits: usize) -> Option<(Date, usize)> {
    let mut next = at + 1;
    let separator = mark_at(tokens, &mut next)?;
    if !matches!(separator, '-' | '.' | '/') {
        return None;
    }
    let (second, second_digits) = number_at(tokens, &mut next)?;
    if digits == 4 && second_digits == 3 {
        let day = Date::new(i16::try_from(first).ok()?, 1, 1).ok()?;
        let day = day.checked_add(SignedDuration::from_hours(24 * (i64::from(second) - 1))).ok()?;
        return Some((day, next));
    }
    let other = mark_at(tokens, &mut next)?;
    let (third, third_digits) = number_at(tokens, &mut next)?;
    if other != separator || second_digits > 2 {
        return None;
    }
    let found = match (digits, third_digits) {
        (4, 1 | 2) => date(first, second, third),
        (1 | 2, 4) if first > 12 => date(third, second, first),
        (1 | 2, 4) if second > 12 => date(third, first, second),
        // Both could be the month. With dots the day comes first everywhere; with slashes nearly everywhere.
        (1 | 2, 4) => date(third, second, first),
        (1 | 2, 2) if separator == '.' => date(full_year(third), second, first),
        _ => None,
    }?;
    Some((found, next))
}

/// 2026년 9월 26일, 2026年9月26日
fn east_asian(tokens: &[Token], at: usize) -> Option<(Date, usize)> {
    let mut next = at;
    let mut part = |units: [&str; 2]| -> Option<u32> {
        skip_spaces(tokens, &mut next);
        let (value, _) = number_at(tokens, &mut next)?;
        skip_spaces(tokens, &mut next);
        match tokens.get(next) {
            Some(Word(word)) if units.contains(&word.as_str()) => next += 1,
            _ => return None,
        }
        Some(value)
    };
    let (year, month, day) = (part(["년", "年"])?, part(["월", "月"])?, part(["일", "日"])?);
    // Japanese offices count the years of an emperor. Any other year before 1900 is a misunderstanding.
    let era = match &tokens[..at] {
        [.., Word(era)] | [.., Word(era), Space] if era == "令和" => 2018,
        [.., Word(era)] | [.., Word(era), Space] if era == "平成" => 1988,
        _ => 0,
    };
    let year = Some(year + era).filter(|year| *year >= 1900)?;
    Some((date(year, month, day)?, next))
}

/// 26 September 2026, 26. Sept. 2026, 26-Sep-26, 26th of September, 2026, 26 de septiembre de 2026
fn day_month_year(tokens: &[Token], at: usize) -> Option<(Date, usize)> {
    let mut next = at;
    let (first, digits) = number_at(tokens, &mut next)?;
    if let Some(Word(word)) = tokens.get(next)
        && matches!(word.as_str(), "st" | "nd" | "rd" | "th" | "er" | "º" | "ª")
    {
        next += 1;
    }
    skip_filling(tokens, &mut next);
    let Some(Word(word)) = tokens.get(next) else { return None };
    let month = month(word)?;
    next += 1;
    skip_filling(tokens, &mut next);
    // 2026 September 26
    if digits == 4 {
        let (day, _) = number_at(tokens, &mut next)?;
        return Some((date(first, month, day)?, next));
    }
    let year = year_behind(tokens, &mut next)?;
    Some((date(year, month, first)?, next))
}

/// September 26, 2026; Sep 26 10:11:12 2026
fn month_day_year(tokens: &[Token], at: usize, month: u32) -> Option<(Date, usize)> {
    let mut next = at + 1;
    skip_filling(tokens, &mut next);
    let (day, digits) = number_at(tokens, &mut next)?;
    if digits > 2 {
        return None;
    }
    if let Some(Word(word)) = tokens.get(next)
        && matches!(word.as_str(), "st" | "nd" | "rd" | "th")
    {
        next += 1;
    }
    let end = next;
    skip_filling(tokens, &mut next);
    if let Some(year) = year_behind(tokens, &mut next) {
        return Some((date(year, month, day)?, next));
    }
    // asctime puts the time before the year, with a zone between them at times.
    let mut time = end;
    skip_filling(tokens, &mut time);
    clock(tokens, time)?;
    let year = tokens[end..].iter().take(14).find_map(|token| match token {
        Number(year, 4) if (1900..2200).contains(year) => Some(*year),
        _ => None,
    })?;
    Some((date(year, month, day)?, end))
}

/// A year here: four digits, or two that begin no time.
fn year_behind(tokens: &[Token], next: &mut usize) -> Option<u32> {
    let (year, digits) = number_at(tokens, next)?;
    match digits {
        4 => Some(year),
        2 if tokens.get(*next) != Some(&Mark(':')) => Some(full_year(year)),
        _ => None,
    }
}

/// 2026-09, 2026
fn partial(tokens: &[Token]) -> Option<Timestamp> {
    let found = match tokens {
        [Number(year, 4)] => date(*year, 1, 1),
        [Number(year, 4), Mark('-'), Number(month, 1 | 2), ..] => date(*year, *month, 1),
        [Number(value, 6)] => date(value / 100, value % 100, 1),
        [Number(year, 2), Mark('-'), Number(month, 2), Mark('-'), Number(day, 2), ..] => {
            let (time, offset) = time_beside(tokens, 0, 5);
            return to_timestamp(date(full_year(*year), *month, *day)?, time, offset);
        }
        _ => None,
    }?;
    to_timestamp(found, Time::midnight(), Offset::UTC)
}

/// The time of day behind the date (or between its parts), and its zone; midnight UTC where there is none.
fn time_beside(tokens: &[Token], start: usize, end: usize) -> (Time, Offset) {
    let none = (Time::midnight(), Offset::UTC);
    if let Number(_, 14) = tokens[start] {
        return none;
    }
    // 20260926T101112Z
    if let (Some(Word(t)), Some(Number(value, 6))) = (tokens.get(end), tokens.get(end + 1))
        && t == "t"
    {
        let time = time(value / 10_000, value / 100 % 100, value % 100);
        return time.map_or(none, |time| (time, zone(tokens, end + 2)));
    }
    // Before the date only when nothing follows: "10:11, 26 September 2026".
    let behind = (start..tokens.len().min(end + 12)).find_map(|at| clock(tokens, at));
    let found = behind.or_else(|| (0..start).find_map(|at| clock(tokens, at)));
    match found {
        Some((time, next)) => (time, zone(tokens, next)),
        None => (Time::midnight(), zone(tokens, end)),
    }
}

/// 10:11, 10:11:12.5, 10:11 PM, 10시 11분
fn clock(tokens: &[Token], at: usize) -> Option<(Time, usize)> {
    let mut next = at;
    let (mut hour, digits) = number_at(tokens, &mut next)?;
    match tokens.get(next)? {
        Mark(':') => next += 1,
        Mark('.')
            if digits == 2
                && matches!(tokens.get(next + 1), Some(Number(_, 2)))
                && at > 0
                && tokens[at - 1] == Space =>
        {
            next += 1
        }
        Word(unit) if matches!(unit.as_str(), "시" | "時" | "时") => next += 1,
        _ => return None,
    }
    skip_spaces(tokens, &mut next);
    let (minute, _) = number_at(tokens, &mut next)?;
    let mut second = 0;
    if tokens.get(next) == Some(&Mark(':'))
        && let Some(Number(value, _)) = tokens.get(next + 1)
    {
        second = *value;
        next += 2;
        if matches!(tokens.get(next), Some(Mark('.' | ','))) && matches!(tokens.get(next + 1), Some(Number(..))) {
            next += 2;
        }
    }
    let mut behind = next;
    skip_spaces(tokens, &mut behind);
    if let Some(Word(word)) = tokens.get(behind) {
        match word.as_str() {
            "pm" | "p" if hour < 12 => hour += 12,
            "am" | "a" if hour == 12 => hour = 0,
            _ => {}
        }
        if matches!(word.as_str(), "am" | "pm") {
            next = behind + 1;
        }
    }
    if at > 0
        && matches!(&tokens[..at], [.., Word(word)] | [.., Word(word), Space] if matches!(word.as_str(), "오후" | "下午" | "午後"))
        && hour < 12
    {
        hour += 12;
    }
    Some((time(hour, minute, second)?, next))
}

/// "Z", "GMT", "+0900", "+09:00", "UTC+9", "EST"; UTC where there is none.
fn zone(tokens: &[Token], at: usize) -> Offset {
    let mut next = at;
    skip_spaces(tokens, &mut next);
    if matches!(tokens.get(next), Some(Mark('('))) {
        next += 1;
    }
    let mut base = 0;
    if let Some(Word(word)) = tokens.get(next) {
        match zone_minutes(word) {
            Some(minutes) => base = minutes,
            None => return Offset::UTC,
        }
        next += 1;
        skip_spaces(tokens, &mut next);
    }
    let sign = match tokens.get(next) {
        Some(Mark('+')) => 1,
        Some(Mark('-')) => -1,
        _ => return offset(base),
    };
    next += 1;
    let Some(Number(value, digits)) = tokens.get(next) else { return offset(base) };
    let value = i32::try_from(*value).unwrap_or(0);
    let minutes = match (digits, tokens.get(next + 1), tokens.get(next + 2)) {
        (1 | 2, Some(Mark(':')), Some(Number(minutes, 2))) => value * 60 + i32::try_from(*minutes).unwrap_or(0),
        (1 | 2, _, _) => value * 60,
        (3 | 4, _, _) => value / 100 * 60 + value % 100,
        _ => return offset(base),
    };
    offset(sign * minutes)
}

fn offset(minutes: i32) -> Offset {
    Offset::from_seconds(minutes * 60).unwrap_or(Offset::UTC)
}

fn full_year(year: u32) -> u32 {
    match year {
        0..70 => 2000 + year,
        70..100 => 1900 + year,
        _ => year,
    }
}

fn date(year: u32, month: u32, day: u32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn time(hour: u32, minute: u32, second: u32) -> Option<Time> {
    // A leap second, and the end of a day written as its 24th hour, are the last second of the day they belong to.
    let (hour, minute, second) = if hour == 24 { (23, 59, 59) } else { (hour, minute, second.min(59)) };
    Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0).ok()
}

fn to_timestamp(date: Date, time: Time, offset: Offset) -> Option<Timestamp> {
    DateTime::from_parts(date, time).to_zoned(TimeZone::fixed(offset)).ok().map(|zoned| zoned.timestamp())
}

/// Seconds or milliseconds since 1970.
fn epoch(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        9 | 10 => Timestamp::from_second(text.parse().ok()?).ok(),
        13 => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        14 => {
            let part = |from: usize, to: usize| text[from..to].parse::<u32>().ok();
            let time = time(part(8, 10)?, part(10, 12)?, part(12, 14)?)?;
            to_timestamp(date(part(0, 4)?, part(4, 6)?, part(6, 8)?)?, time, Offset::UTC)
        }
        _ => None,
    }
}

fn number_at(tokens: &[Token], next: &mut usize) -> Option<(u32, usize)> {
    match tokens.get(*next) {
        Some(Number(value, digits)) => {
            *next += 1;
            Some((*value, *digits))
        }
        _ => None,
    }
}

/// A mark, with spaces round it allowed ("2026. 9. 26").
fn mark_at(tokens: &[Token], next: &mut usize) -> Option<char> {
    let Some(Mark(mark)) = tokens.get(*next) else { return None };
    *next += 1;
    if *mark == '.' {
        skip_spaces(tokens, next);
    }
    Some(*mark)
}

fn skip_spaces(tokens: &[Token], next: &mut usize) {
    while tokens.get(*next) == Some(&Space) {
        *next += 1;
    }
}

/// Spaces, commas, dots, dashes and the word for "of".
fn skip_filling(tokens: &[Token], next: &mut usize) {
    while match tokens.get(*next) {
        Some(Space | Mark(',' | '.' | '-' | '/')) => true,
        Some(Word(word)) => matches!(word.as_str(), "de" | "del" | "of" | "di"),
        _ => false,
    } {
        *next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_feeds() {
        for (text, expected) in [
            ("Sat, 26 Sep 2026 10:11:12 GMT", "2026-09-26T10:11:12Z"),
            ("Sat, 26 Sep 26 10:11 EST", "2026-09-26T15:11:00Z"),
            ("26 Sep 2026 10:11:12 +0900", "2026-09-26T01:11:12Z"),
            ("2026-09-26T10:11:12.345+09:00", "2026-09-26T01:11:12Z"),
            ("2026-09-26T10:11:12Z", "2026-09-26T10:11:12Z"),
            ("2026-09-26 10:11:12 UTC", "2026-09-26T10:11:12Z"),
            ("2026-09-26T10:11-05:00", "2026-09-26T15:11:00Z"),
            ("20260926T101112Z", "2026-09-26T10:11:12Z"),
            ("20260926101112", "2026-09-26T10:11:12Z"),
            ("20260926", "2026-09-26T00:00:00Z"),
            ("2026-270", "2026-09-27T00:00:00Z"),
            ("2026-09", "2026-09-01T00:00:00Z"),
            ("2026", "2026-01-01T00:00:00Z"),
            ("26-09-26T10:11:12+00:00", "2026-09-26T10:11:12Z"),
            ("Sat Sep 26 10:11:12 2026", "2026-09-26T10:11:12Z"),
            ("Sat Sep 26 10:11:12 KST 2026", "2026-09-26T01:11:12Z"),
            ("Sat, 26 Sep 2026 10:11:12 PM", "2026-09-26T22:11:12Z"),
            ("26-Sep-2026", "2026-09-26T00:00:00Z"),
            ("1790417472", "2026-09-26T10:11:12Z"),
            ("1790417472000", "2026-09-26T10:11:12Z"),
            ("2026-09-26T24:00:00Z", "2026-09-26T23:59:59Z"),
            ("Mon, 26 сентября 2026 10:11:12 +0300", "2026-09-26T07:11:12Z"),
        ] {
            assert_eq!(timestamp(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "yesterday", "2026-13-40", "99999999999999999999", "::", "31 Feb 2026"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn days_on_pages() {
        for text in [
            "September 26, 2026 - Counter Terrorism",
            "Posted on 26 September 2026 by the editor",
            "26.09.2026",
            "26/09/2026",
            "2026.09.26",
            "2026. 9. 26.",
            "2026년 9월 26일",
            "2026年9月26日（土）",
            "令和8年9月26日",
            "２０２６年９月２６日",
            "26 de septiembre de 2026",
            "26. September 2026",
            "le 26 septembre 2026",
            "26 сентября 2026 г.",
            "Sept. 26th, 2026",
            "26th of September, 2026",
            "Release 14: 2026-09-26",
            "26-Sep-26",
        ] {
            assert_eq!(find(text), Some("2026-09-26T00:00:00Z".parse().unwrap()), "{text}");
        }
        for text in [
            "Counter Terrorism",
            "marching 26 people in 2026",
            "Resolution 2397 (2017)",
            "page 3 of 26",
            "1-800-555-0199",
            "第8年9月26日",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        assert_eq!(find("26.09.2026, 14:30"), Some("2026-09-26T14:30:00Z".parse().unwrap()));
    }
}
