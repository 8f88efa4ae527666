//! When a digest is due: times of the day on days of the week in a zone; and when it is quiet. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::section::nearest;

/// The days of the week by their short names.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Times of the day on days of the week in a zone. Never without a time or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    times: Vec<Time>,
    days: Vec<Weekday>,
    zone: TimeZone,
}

/// A part of a schedule that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPart {
    /// Its key: "at", "from", "until", "days" or "time_zone".
    pub key: &'static str,
    /// Which one of a list.
    pub index: Option<usize>,
    /// What is wrong and what to write.
    pub message: String,
}

/// A week and a day hold every combination of times and days; one more covers a zone that skipped a day.
const DATES_MAX: i64 = 9;
/// Quiet hours that follow one another without a gap are one quiet time; more of them than this never end.
const QUIET_PARTS_MAX: usize = 64;

impl Schedule {
    /// From times ("07:30"), days ("mon", "weekdays", "every day") and a zone; else every part that is wrong.
    pub fn new(times: &[String], days: &[String], zone: &str) -> Result<Schedule, Vec<WrongPart>> {
        let mut wrong = Vec::new();
        let mut parsed: Vec<Time> = Vec::new();
        for (index, text) in times.iter().enumerate() {
            parsed.extend(read_time("at", Some(index), text, &mut wrong));
        }
        if times.is_empty() {
            let message = "a digest needs `at` with a time of the day, such as `at = [\"07:30\"]`".to_string();
            wrong.push(WrongPart { key: "at", index: None, message });
        }
        parsed.sort();
        parsed.dedup();
        let days = read_days(days, &mut wrong);
        match read_zone(zone) {
            Ok(zone) if wrong.is_empty() => Ok(Schedule { times: parsed, days, zone }),
            Ok(_) => Err(wrong),
            Err(message) => {
                wrong.push(WrongPart { key: "time_zone", index: None, message });
                Err(wrong)
            }
        }
    }

    /// The zone in which the times count.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first time strictly after `now`. A time that does not exist on a day (clocks go forward) is the first
    /// moment after the gap; one that exists twice counts once, the first time.
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        dates_from(&self.zone, now).flat_map(|date| self.on(date)).find(|at| *at > now).unwrap_or(Timestamp::MAX)
    }

    /// The last time at or before `now`.
    pub fn last_before_or_at(&self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(self.zone.clone()).date();
        let days = (-DATES_MAX..=0).rev().filter_map(|offset| today.checked_add(offset.days()).ok());
        days.flat_map(|date| self.on(date).into_iter().rev()).find(|at| *at <= now).unwrap_or(Timestamp::MIN)
    }

    /// `at` is one of its times.
    pub fn has(&self, at: Timestamp) -> bool {
        self.last_before_or_at(at) == at
    }

    /// The times on a date, in order; none on a date that the zone left out.
    fn on(&self, date: Date) -> Vec<Timestamp> {
        if !self.days.contains(&date.weekday()) || is_left_out(&self.zone, date) {
            return Vec::new();
        }
        let moments = self.times.iter().filter_map(|time| moment(&self.zone, date, *time, Twice::First));
        let mut moments: Vec<Timestamp> = moments.collect();
        moments.sort();
        moments.dedup();
        moments
    }

    /// In words: "07:30 and 16:00 on weekdays (Europe/Zurich)".
    pub fn describe(&self) -> String {
        let times: Vec<String> = self.times.iter().map(|time| show_time(*time)).collect();
        format!("{} {} ({})", times.join(" and "), describe_days(&self.days), zone_name(&self.zone))
    }
}

/// Hours in which nobody is to be disturbed: on days of the week, from a time until another, which may be on the day after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    until: Time,
    /// On which they begin.
    days: Vec<Weekday>,
    zone: TimeZone,
}

impl QuietHours {
    /// From two times ("22:00", "07:00"; the same twice are a whole day), days and a zone; else every part that is wrong.
    pub fn new(from: &str, until: &str, days: &[String], zone: &str) -> Result<QuietHours, Vec<WrongPart>> {
        let mut wrong = Vec::new();
        let times = (read_time("from", None, from, &mut wrong), read_time("until", None, until, &mut wrong));
        let days = read_days(days, &mut wrong);
        let zone = read_zone(zone).map_err(|message| wrong.push(WrongPart { key: "time_zone", index: None, message }));
        match (times, zone) {
            ((Some(from), Some(until)), Ok(zone)) if wrong.is_empty() => Ok(QuietHours { from, until, days, zone }),
            _ => Err(wrong),
        }
    }

    /// The zone in which the times count.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// When the quiet hours end that `at` falls into; `None` outside of them.
    fn end_at(&self, at: Timestamp) -> Option<Timestamp> {
        let today = at.to_zoned(self.zone.clone()).date();
        let last_night = if self.until > self.from { None } else { neighbour(&self.zone, today, -1) };
        let hours = [Some(today), last_night].into_iter().flatten().filter_map(|date| self.on(date));
        hours.filter(|(from, until)| *from <= at && at < *until).map(|(_, until)| until).max()
    }

    /// When they begin next, strictly after `now`.
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let hours = dates_from(&self.zone, now).filter_map(|date| self.on(date));
        hours.map(|(from, _)| from).find(|from| *from > now)
    }

    /// The hours that begin on a date. They begin the first time that the clocks show `from` and end the last time that they
    /// show `until`, so an hour that exists twice is quiet twice; what lies in a gap of the clocks is the moment after it.
    fn on(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&date.weekday()) || is_left_out(&self.zone, date) {
            return None;
        }
        let last = if self.until > self.from { date } else { neighbour(&self.zone, date, 1)? };
        let from = moment(&self.zone, date, self.from, Twice::First)?;
        let until = moment(&self.zone, last, self.until, Twice::Last)?;
        (from < until).then_some((from, until))
    }

    /// In words: "22:00 to 07:00 every day (Europe/Zurich)".
    pub fn describe(&self) -> String {
        let hours = match self.from == self.until {
            true if self.from == Time::midnight() => "all day".to_string(),
            true => format!("a whole day from {}", show_time(self.from)),
            false => format!("{} to {}", show_time(self.from), show_time(self.until)),
        };
        format!("{hours} {} ({})", describe_days(&self.days), zone_name(&self.zone))
    }
}

/// When it is quiet no more, at `at`: hours that follow one another are one quiet time. `None` when it is not quiet, and for
/// hours that never end.
pub fn quiet_until(hours: &[QuietHours], at: Timestamp) -> Option<Timestamp> {
    let mut end = at;
    for _ in 0..QUIET_PARTS_MAX {
        match hours.iter().filter_map(|hours| hours.end_at(end)).max() {
            Some(later) => end = later,
            None => return (end > at).then_some(end),
        }
    }
    None
}

/// These hours leave no moment out.
pub fn never_ends(hours: &[QuietHours]) -> bool {
    hours.iter().any(|first| first.end_at(Timestamp::UNIX_EPOCH).is_some())
        && quiet_until(hours, Timestamp::UNIX_EPOCH).is_none()
}

/// Where the day that `at` falls into begins in the zone, and where it ends.
pub fn day_of(zone: &TimeZone, at: Timestamp) -> (Timestamp, Timestamp) {
    let date = at.to_zoned(zone.clone()).date();
    let start = |date: Date| date.to_zoned(zone.clone()).ok().map(|start| start.timestamp());
    let from = start(date).unwrap_or(at);
    (from, neighbour(zone, date, 1).and_then(start).unwrap_or(from + SignedDuration::from_hours(24)))
}

/// The zone of this IANA name; else what is wrong and what to write.
pub fn read_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| unknown_zone(name))
}

/// A zone as people write it.
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// Which of two moments that the clocks show the same time at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twice {
    First,
    Last,
}

/// When the clocks of the zone show this time on this date. A time in a gap is the first moment after it.
fn moment(zone: &TimeZone, date: Date, time: Time, twice: Twice) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(date.to_datetime(time));
    match ambiguous.offset() {
        AmbiguousOffset::Gap { before, .. } => {
            // By the offset before it, a time in the gap is a moment at or after the gap: the clocks were changed
            // at the last change up to that moment. `preceding` leaves out the moment itself.
            let late = before.to_timestamp(date.to_datetime(time)).ok()?;
            let change = zone.preceding(late.checked_add(1.second()).ok()?).next()?;
            Some(change.timestamp())
        }
        _ if twice == Twice::Last => ambiguous.later().ok(),
        _ => ambiguous.earlier().ok(),
    }
}

/// The zone went from the day before to the day after: nobody there lived this date.
fn is_left_out(zone: &TimeZone, date: Date) -> bool {
    date.to_zoned(zone.clone()).is_ok_and(|start| start.date() != date)
}

/// The date before (-1) or after (1) that the zone has: it may have left one out.
fn neighbour(zone: &TimeZone, date: Date, step: i64) -> Option<Date> {
    let dates = [step, 2 * step].map(|offset| date.checked_add(offset.days()).ok());
    dates.into_iter().flatten().find(|date| !is_left_out(zone, *date))
}

/// The dates on which something may come that comes after `at`, in order.
fn dates_from(zone: &TimeZone, at: Timestamp) -> impl Iterator<Item = Date> {
    let today = at.to_zoned(zone.clone()).date();
    (0..=DATES_MAX).filter_map(move |offset| today.checked_add(offset.days()).ok())
}

fn read_time(key: &'static str, index: Option<usize>, text: &str, wrong: &mut Vec<WrongPart>) -> Option<Time> {
    let time = Time::strptime("%H:%M", text).ok();
    if time.is_none() {
        let message = format!("{text:?} is not a time of the day; write it like \"07:30\"");
        wrong.push(WrongPart { key, index, message });
    }
    time
}

fn read_days(days: &[String], wrong: &mut Vec<WrongPart>) -> Vec<Weekday> {
    let mut weekdays = Vec::new();
    for (index, name) in days.iter().enumerate() {
        match name.as_str() {
            "every day" => weekdays.extend(DAYS.map(|(_, day)| day)),
            "weekdays" => weekdays.extend(DAYS[..5].iter().map(|(_, day)| *day)),
            _ => match DAYS.iter().find(|(short, _)| short == name) {
                Some((_, day)) => weekdays.push(*day),
                None => {
                    let advice = "write \"every day\", \"weekdays\" or days such as [\"mon\", \"thu\"]";
                    let message = format!("{name:?} is not a day; {advice}");
                    wrong.push(WrongPart { key: "days", index: Some(index), message });
                }
            },
        }
    }
    if days.is_empty() {
        let message = "`days` needs a day; leave it out for every day".to_string();
        wrong.push(WrongPart { key: "days", index: None, message });
    }
    weekdays.sort_by_key(|day| day.to_monday_zero_offset());
    weekdays.dedup();
    weekdays
}

fn describe_days(days: &[Weekday]) -> String {
    match days.len() {
        7.. => "every day".to_string(),
        _ if *days == DAYS[..5].iter().map(|(_, day)| *day).collect::<Vec<_>>() => "on weekdays".to_string(),
        _ => {
            let names = DAYS.iter().filter(|(_, day)| days.contains(day)).map(|(name, _)| *name);
            format!("on {}", names.collect::<Vec<_>>().join(", "))
        }
    }
}

fn show_time(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}

/// "Zurich" is meant as "Europe/Zurich", "Europe/Zürich" too.
fn unknown_zone(zone: &str) -> String {
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let city = known.iter().find(|name| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(zone)));
    let near = match city {
        Some(name) => Some(name.as_str()),
        None => nearest(zone, known.iter().map(String::as_str)),
    };
    let advice = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "write an IANA name such as \"Europe/Zurich\"".to_string(),
    };
    format!("there is no time zone {zone:?}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(at: &[&str], days: &[&str], zone: &str) -> Schedule {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        Schedule::new(&texts(at), &texts(days), zone).unwrap()
    }

    fn check(schedule: &Schedule, from: &str, expected: &[&str]) {
        let mut at: Timestamp = from.parse().unwrap();
        for expected in expected {
            let before = at;
            at = schedule.next_after(at);
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(at, expected, "after {before}");
            assert_eq!(schedule.last_before_or_at(at), at);
        }
    }

    #[test]
    fn each_time_comes_exactly_once_across_clock_changes() {
        // Zurich, 29 March 2026: 02:30 does not exist, the gap ends at 03:00 = 01:00 UTC. 25 October: 02:30 exists twice.
        let zurich = schedule(&["02:30"], &["every day"], "Europe/Zurich");
        check(
            &zurich,
            "2026-03-27T12:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        );
        check(&zurich, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // 02:00 is the gap's own first minute; with 02:30 and 03:00 it falls on one moment.
        let gap = schedule(&["02:00", "02:30", "03:00"], &["every day"], "Europe/Zurich");
        check(&gap, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
        let new_york = schedule(&["01:30", "16:00"], &["every day"], "America/New_York");
        check(
            &new_york,
            "2026-11-01T00:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-01T21:00:00Z", "2026-11-02T06:30:00Z"],
        );
        let kathmandu = schedule(&["07:30"], &["weekdays"], "Asia/Kathmandu");
        check(&kathmandu, "2026-11-20T12:00:00Z", &["2026-11-23T01:45:00Z", "2026-11-24T01:45:00Z"]);
        // Apia left out 30 December 2011.
        let apia = schedule(&["12:00"], &["every day"], "Pacific/Apia");
        check(&apia, "2011-12-29T00:00:00Z", &["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"]);
    }

    #[test]
    fn a_wrong_part_is_named() {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let check = |at: &[&str], days: &[&str], zone: &str, key: &str, message: &str| {
            let wrong = Schedule::new(&texts(at), &texts(days), zone).unwrap_err();
            assert_eq!(wrong.len(), 1);
            assert_eq!((wrong[0].key, wrong[0].message.as_str()), (key, message));
        };
        check(&["7.30"], &["mon"], "UTC", "at", "\"7.30\" is not a time of the day; write it like \"07:30\"");
        check(
            &["07:30"],
            &["monday"],
            "UTC",
            "days",
            "\"monday\" is not a day; write \"every day\", \"weekdays\" or days such as [\"mon\", \"thu\"]",
        );
        check(
            &["07:30"],
            &["mon"],
            "Europe/Zürich",
            "time_zone",
            "there is no time zone \"Europe/Zürich\"; did you mean \"Europe/Zurich\"?",
        );
        check(
            &["07:30"],
            &["mon"],
            "Zurich",
            "time_zone",
            "there is no time zone \"Zurich\"; did you mean \"Europe/Zurich\"?",
        );
        let all = Schedule::new(&texts(&["25:00", "08:00", "x"]), &texts(&["someday"]), "Nowhere").unwrap_err();
        let all: Vec<_> = all.iter().map(|part| (part.key, part.index)).collect();
        assert_eq!(all, [("at", Some(0)), ("at", Some(2)), ("days", Some(0)), ("time_zone", None)]);
        assert_eq!(
            schedule(&["16:00", "07:30"], &["weekdays"], "Europe/Zurich").describe(),
            "07:30 and 16:00 on weekdays (Europe/Zurich)"
        );
        assert_eq!(schedule(&["07:30"], &["thu", "mon"], "UTC").describe(), "07:30 on mon, thu (UTC)");
    }

    fn quiet(from: &str, until: &str, days: &[&str], zone: &str) -> QuietHours {
        let days: Vec<String> = days.iter().map(|day| day.to_string()).collect();
        QuietHours::new(from, until, &days, zone).unwrap()
    }

    /// At each moment: until when it is quiet, "" when it is not.
    fn check_quiet(hours: &[QuietHours], moments: &[(&str, &str)]) {
        for (at, expected) in moments {
            let end = quiet_until(hours, at.parse().unwrap());
            assert_eq!(end, (!expected.is_empty()).then(|| expected.parse().unwrap()), "at {at}");
        }
    }

    #[test]
    fn quiet_hours_hold_across_midnight_and_clock_changes() {
        let nights = [quiet("22:00", "07:00", &["every day"], "Europe/Zurich")];
        check_quiet(
            &nights,
            &[
                ("2026-11-20T20:59:59Z", ""),
                ("2026-11-20T21:00:00Z", "2026-11-21T06:00:00Z"),
                ("2026-11-21T05:59:59Z", "2026-11-21T06:00:00Z"),
                ("2026-11-21T06:00:00Z", ""),
                // The nights of the clock changes are an hour shorter and an hour longer.
                ("2026-03-28T21:00:00Z", "2026-03-29T05:00:00Z"),
                ("2026-10-24T20:00:00Z", "2026-10-25T06:00:00Z"),
            ],
        );
        // From 02:00 to 03:00 on 29 March does not exist; on 25 October it exists twice, and is quiet both times.
        let hour = [quiet("02:15", "02:45", &["every day"], "Europe/Zurich")];
        check_quiet(
            &hour,
            &[
                ("2026-03-29T00:59:59Z", ""),
                ("2026-03-29T01:00:00Z", ""),
                ("2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"),
                ("2026-10-25T01:00:00Z", "2026-10-25T01:45:00Z"),
                ("2026-10-25T01:45:00Z", ""),
            ],
        );
        // An end in the gap is the gap's end; so is a beginning.
        check_quiet(
            &[quiet("22:00", "02:30", &["every day"], "Europe/Zurich")],
            &[("2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"), ("2026-03-29T01:00:00Z", "")],
        );
        check_quiet(
            &[quiet("02:30", "07:00", &["every day"], "Europe/Zurich")],
            &[("2026-03-29T00:59:59Z", ""), ("2026-03-29T01:00:00Z", "2026-03-29T05:00:00Z")],
        );
        // Apia went from 29 to 31 December 2011.
        check_quiet(
            &[quiet("22:00", "07:00", &["every day"], "Pacific/Apia")],
            &[("2011-12-30T09:00:00Z", "2011-12-30T17:00:00Z")],
        );
    }

    #[test]
    fn quiet_hours_of_several_kinds_are_one_quiet_time() {
        let zone = "America/New_York";
        let hours =
            [quiet("22:00", "07:00", &["weekdays", "sun"], zone), quiet("00:00", "00:00", &["sat", "sun"], zone)];
        // From Friday at 22:00 until Monday at 07:00.
        check_quiet(
            &hours,
            &[
                ("2026-11-21T02:59:59Z", ""),
                ("2026-11-21T03:00:00Z", "2026-11-23T12:00:00Z"),
                ("2026-11-22T17:00:00Z", "2026-11-23T12:00:00Z"),
                ("2026-11-23T12:00:00Z", ""),
            ],
        );
        assert_eq!(hours[1].describe(), "all day on sat, sun (America/New_York)");
        assert_eq!(hours[0].next_start("2026-11-21T04:00:00Z".parse().unwrap()), "2026-11-23T03:00:00Z".parse().ok());
        assert!(!never_ends(&hours));
        let always = [quiet("00:00", "12:00", &["every day"], "UTC"), quiet("12:00", "00:00", &["every day"], "UTC")];
        assert!(never_ends(&always) && never_ends(&[quiet("07:00", "07:00", &["every day"], "UTC")]));
        // Quiet at this moment of the check, but not for ever.
        assert!(!never_ends(&[quiet("23:00", "22:59", &["every day"], "UTC")]));
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_has_it() {
        let check = |zone: &str, at: &str, from: &str, until: &str| {
            let zone = TimeZone::get(zone).unwrap();
            let day: (Timestamp, Timestamp) = (from.parse().unwrap(), until.parse().unwrap());
            assert_eq!(day_of(&zone, at.parse().unwrap()), day);
            assert_eq!(day_of(&zone, day.0), day);
        };
        check("Europe/Zurich", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check("Europe/Zurich", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        check("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
        // Midnight does not exist on the day that summer time begins there.
        check("Asia/Beirut", "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z");
    }
}
