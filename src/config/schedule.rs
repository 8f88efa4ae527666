//! When a digest is due: times of the day on days of the week in a zone. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

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

impl Schedule {
    /// From times ("07:30"), days ("mon") and a zone; the error says which part is wrong and why.
    pub fn new(times: &[String], days: &[String], zone: &str) -> Result<Schedule, (&'static str, String)> {
        let zone = TimeZone::get(zone).map_err(|_| {
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let near = super::section::nearest(zone, known.iter().map(String::as_str));
            let advice = near.map_or("use an IANA name such as \"Europe/Zurich\"".to_string(), |near| format!("did you mean \"{near}\"?"));
            ("time_zone", format!("there is no time zone {zone:?}; {advice}"))
        })?;
        let mut parsed = Vec::new();
        for text in times {
            let time = Time::strptime("%H:%M", text)
                .map_err(|_| ("at", format!("{text:?} is not a time of the day; write it like \"07:30\"")))?;
            parsed.push(time);
        }
        parsed.sort();
        parsed.dedup();
        let mut weekdays = Vec::new();
        for name in days {
            match name.as_str() {
                "every day" => weekdays.extend(DAYS.map(|(_, day)| day)),
                "weekdays" => weekdays.extend(DAYS[..5].iter().map(|(_, day)| *day)),
                _ => {
                    let day = DAYS.iter().find(|(short, _)| short == name).ok_or_else(|| {
                        ("days", format!("{name:?} is not a day; write \"every day\", \"weekdays\" or days such as \"mon\""))
                    })?;
                    weekdays.push(day.1);
                }
            }
        }
        if parsed.is_empty() {
            return Err(("at", "`at` needs at least one time of the day, such as \"07:30\"".to_string()));
        }
        if weekdays.is_empty() {
            return Err(("days", "`days` needs at least one day".to_string()));
        }
        Ok(Schedule { times: parsed, days: weekdays, zone })
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
        (-1..=9).filter_map(|offset| today.checked_add(offset.days()).ok()).flat_map(|date| self.on(date)).find(|at| *at > now).unwrap_or(Timestamp::MAX)
    }

    /// The last time at or before `now`.
    pub fn last_before_or_at(&self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(self.zone.clone()).date();
        let days = (-9..=1).rev().filter_map(|offset: i64| today.checked_add(offset.days()).ok());
        days.flat_map(|date| self.on(date).into_iter().rev()).find(|at| *at <= now).unwrap_or(Timestamp::MIN)
    }

    /// The times on a date, in order.
    fn on(&self, date: Date) -> Vec<Timestamp> {
        if !self.days.contains(&date.weekday()) {
            return Vec::new();
        }
        let moment = |time: &Time| {
            let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(*time));
            match ambiguous.offset() {
                // In a gap the offset before it names the moment as far after the gap's start as the time is late.
                jiff::tz::AmbiguousOffset::Gap { before, after } => {
                    let late = before.to_timestamp(date.to_datetime(*time)).ok()?;
                    self.zone.preceding(late).next().map_or_else(|| after.to_timestamp(date.to_datetime(*time)).ok(), |gap| Some(gap.timestamp()))
                }
                _ => ambiguous.earlier().ok(),
            }
        };
        let mut moments: Vec<Timestamp> = self.times.iter().filter_map(moment).collect();
        moments.sort();
        moments.dedup();
        moments
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
        check(&zurich, "2026-03-27T12:00:00Z", &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        check(&zurich, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let new_york = schedule(&["01:30", "16:00"], &["every day"], "America/New_York");
        check(&new_york, "2026-11-01T00:00:00Z", &["2026-11-01T05:30:00Z", "2026-11-01T21:00:00Z", "2026-11-02T06:30:00Z"]);
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
            assert_eq!(Schedule::new(&texts(at), &texts(days), zone), Err((key, message.to_string())));
        };
        check(&["7.30"], &["mon"], "UTC", "at", "\"7.30\" is not a time of the day; write it like \"07:30\"");
        check(&["07:30"], &["monday"], "UTC", "days", "\"monday\" is not a day; write \"every day\", \"weekdays\" or days such as \"mon\"");
        check(&["07:30"], &["mon"], "Europe/Zürich", "time_zone", "there is no time zone \"Europe/Zürich\"; did you mean \"Europe/Zurich\"?");
        assert_eq!(schedule(&["16:00", "07:30"], &["weekdays"], "Europe/Zurich").describe(), "07:30 and 16:00 on weekdays (Europe/Zurich)");
        assert_eq!(schedule(&["07:30"], &["thu", "mon"], "UTC").describe(), "07:30 on mon, thu (UTC)");
    }
}
