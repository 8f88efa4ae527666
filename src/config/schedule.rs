//! When a digest is due: times of the day on days of the week in a zone. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

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
    /// Its key: "at", "days" or "time_zone".
    pub key: &'static str,
    /// Which one of a list.
    pub index: Option<usize>,
    /// What is wrong and what to write.
    pub message: String,
}

impl Schedule {
    /// From times ("07:30"), days ("mon", "weekdays", "every day") and a zone; else every part that is wrong.
    pub fn new(times: &[String], days: &[String], zone: &str) -> Result<Schedule, Vec<WrongPart>> {
        let mut wrong = Vec::new();
        let mut parsed = Vec::new();
        for (index, text) in times.iter().enumerate() {
            match Time::strptime("%H:%M", text) {
                Ok(time) => parsed.push(time),
                Err(_) => {
                    let message = format!("{text:?} is not a time of the day; write it like \"07:30\"");
                    wrong.push(WrongPart { key: "at", index: Some(index), message });
                }
            }
        }
        if times.is_empty() {
            let message = "a digest needs `at` with a time of the day, such as `at = [\"07:30\"]`".to_string();
            wrong.push(WrongPart { key: "at", index: None, message });
        }
        parsed.sort();
        parsed.dedup();
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
        match TimeZone::get(zone) {
            Ok(zone) if wrong.is_empty() => Ok(Schedule { times: parsed, days: weekdays, zone }),
            Ok(_) => Err(wrong),
            Err(_) => {
                wrong.push(WrongPart { key: "time_zone", index: None, message: unknown_zone(zone) });
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
        let today = now.to_zoned(self.zone.clone()).date();
        // A week and a day hold every combination; one day back covers a zone that skipped a day.
        (-1..=9)
            .filter_map(|offset| today.checked_add(offset.days()).ok())
            .flat_map(|date| self.on(date))
            .find(|at| *at > now)
            .unwrap_or(Timestamp::MAX)
    }

    /// The last time at or before `now`.
    pub fn last_before_or_at(&self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(self.zone.clone()).date();
        let days = (-9..=1).rev().filter_map(|offset: i64| today.checked_add(offset.days()).ok());
        days.flat_map(|date| self.on(date).into_iter().rev()).find(|at| *at <= now).unwrap_or(Timestamp::MIN)
    }

    /// The times on a date, in order; none on a date that the zone left out.
    fn on(&self, date: Date) -> Vec<Timestamp> {
        let left_out = date.to_zoned(self.zone.clone()).is_ok_and(|start| start.date() != date);
        if left_out || !self.days.contains(&date.weekday()) {
            return Vec::new();
        }
        let mut moments: Vec<Timestamp> = self.times.iter().filter_map(|time| self.at(date, *time)).collect();
        moments.sort();
        moments.dedup();
        moments
    }

    fn at(&self, date: Date, time: Time) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
        match ambiguous.offset() {
            AmbiguousOffset::Gap { before, .. } => {
                // By the offset before it, a time in the gap is a moment at or after the gap: the clocks were changed
                // at the last change up to that moment. `preceding` leaves out the moment itself.
                let late = before.to_timestamp(date.to_datetime(time)).ok()?;
                let change = self.zone.preceding(late.checked_add(1.second()).ok()?).next()?;
                Some(change.timestamp())
            }
            _ => ambiguous.earlier().ok(),
        }
    }

    /// In words: "07:30 and 16:00 on weekdays (Europe/Zurich)".
    pub fn describe(&self) -> String {
        let times: Vec<String> = self.times.iter().map(|time| time.strftime("%H:%M").to_string()).collect();
        let days = match self.days.len() {
            7.. => "every day".to_string(),
            _ if self.days == DAYS[..5].iter().map(|(_, day)| *day).collect::<Vec<_>>() => "on weekdays".to_string(),
            _ => {
                let names = DAYS.iter().filter(|(_, day)| self.days.contains(day)).map(|(name, _)| *name);
                format!("on {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        format!("{} {days} ({})", times.join(" and "), self.zone.iana_name().unwrap_or("UTC"))
    }
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
}
