//! Against its own rhythm: how surprising is it that nothing has come for so long?
//!
//! What comes is told by day and weekday. From the days up to the last one on which something came follows how often each
//! weekday brings something; the days since then are held against that. A paper that keeps to weekdays is not silent on a
//! Sunday, and a page that publishes once a year is never silent.

/// Days that are remembered: sixteen of each weekday.
pub const DAYS: usize = 112;
/// A rhythm is known when something came on so many days.
const EVENTS_MIN: usize = 6;
/// And over so many days, so that each weekday was seen twice.
const DAYS_MIN: usize = 14;
/// So many days on which something was to be expected must have passed: two can be a holiday.
const MISSED_MIN: f64 = 2.4;
/// Half as many are enough to look closer.
const OVERDUE_MIN: f64 = 1.2;
/// And so seldom would it happen by chance.
const CHANCE_MAX: f64 = 0.01;
/// It is longer than earlier pauses were, by this factor. The longest of them may have been an exception.
const LONGER_THAN_BEFORE: f64 = 2.0;

/// Nothing has come for longer than the rhythm lets expect. `days` holds a letter a day and ends with day number `last` (days
/// since 1970); `comes` says of a letter whether something came on that day. Days on which nobody looked (`-`) say nothing, nor
/// does today, which is not over. Few data: false.
pub fn is_broken_off(days: &str, last: i64, today: i64, comes: impl Fn(u8) -> bool) -> bool {
    pause(days, last, today, comes).is_some_and(|pause| {
        pause.missed >= MISSED_MIN && pause.chance <= CHANCE_MAX && pause.missed > pause.usual * LONGER_THAN_BEFORE
    })
}

/// News should have come by now, but it is too early to call that silence: see [`is_broken_off`].
pub fn is_overdue(days: &str, last: i64, today: i64) -> bool {
    pause(days, last, today, |letter| letter.is_ascii_digit())
        .is_some_and(|pause| pause.missed >= OVERDUE_MIN && pause.missed > pause.usual)
}

/// How long nothing has come, in days on which something was to be expected.
struct Pause {
    /// So many days' worth.
    missed: f64,
    /// How likely that is by chance.
    chance: f64,
    /// The longest pause before but one.
    usual: f64,
}

fn pause(days: &str, last: i64, today: i64, comes: impl Fn(u8) -> bool) -> Option<Pause> {
    let over = if last >= today { days.len().saturating_sub((last - today + 1) as usize) } else { days.len() };
    // Today is not over, but what came today has come.
    if days.as_bytes()[over..].iter().any(|letter| comes(*letter)) {
        return None;
    }
    let letters = &days.as_bytes()[..over];
    let first_day = last + 1 - days.len() as i64;
    let newest = letters.iter().rposition(|letter| comes(*letter))?;
    let (before, since) = letters.split_at(newest + 1);
    let oldest = before.iter().position(|letter| *letter != b'-')?;
    if before.iter().filter(|letter| comes(**letter)).count() < EVENTS_MIN || before.len() - oldest < DAYS_MIN {
        return None;
    }
    let weekday = |index: usize| (first_day + index as i64).rem_euclid(7) as usize;
    let (mut looked, mut came) = ([0u32; 7], [0u32; 7]);
    for (index, letter) in before.iter().enumerate().filter(|(_, letter)| **letter != b'-') {
        looked[weekday(index)] += 1;
        came[weekday(index)] += u32::from(comes(*letter));
    }
    // Half an event and half a day without one are taken as seen: what never happened so far is not impossible.
    let expected = |index: usize| {
        let day = weekday(index);
        (f64::from(came[day]) + 0.5) / (f64::from(looked[day]) + 1.0)
    };
    let (mut pauses, mut pause) = (Vec::new(), 0.0);
    for (index, letter) in before.iter().enumerate().filter(|(_, letter)| **letter != b'-') {
        if comes(*letter) {
            pauses.push(std::mem::take(&mut pause));
        } else {
            pause += expected(index);
        }
    }
    pauses.sort_by(f64::total_cmp);
    let usual = pauses.iter().rev().nth(1).copied().unwrap_or_default();
    let (mut missed, mut chance) = (0.0, 1.0);
    for (index, _) in since.iter().enumerate().filter(|(_, letter)| **letter != b'-') {
        missed += expected(newest + 1 + index);
        chance *= 1.0 - expected(newest + 1 + index);
    }
    Some(Pause { missed, chance, usual })
}

/// On how many weekdays of which sort news come, in words, for people; `None` while the rhythm is not known.
pub fn in_words(days: &str, last: i64) -> Option<String> {
    const NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let is_news = |letter: u8| letter.is_ascii_digit();
    let letters = days.as_bytes();
    let newest = letters.iter().rposition(|letter| is_news(*letter))?;
    let first_day = last + 1 - letters.len() as i64;
    let (mut looked, mut came) = ([0u32; 7], [0u32; 7]);
    for (index, letter) in letters[..=newest].iter().enumerate().filter(|(_, letter)| **letter != b'-') {
        // Day 0 of 1970 was a Thursday.
        let day = (first_day + index as i64).rem_euclid(7) as usize;
        looked[day] += 1;
        came[day] += u32::from(is_news(*letter));
    }
    let (all_looked, all_came): (u32, u32) = (looked.iter().sum(), came.iter().sum());
    if (all_came as usize) < EVENTS_MIN || (all_looked as usize) < DAYS_MIN {
        return None;
    }
    // From Monday on.
    let usual: Vec<&str> =
        [4, 5, 6, 0, 1, 2, 3].into_iter().filter(|day| came[*day] * 2 > looked[*day]).map(|day| NAMES[day]).collect();
    let on = match usual.len() {
        0 => String::new(),
        7 => ", on any day of the week".to_string(),
        _ => format!(", usually on {}", usual.join(", ")),
    };
    Some(format!("news on {all_came} of the {all_looked} days before its last{on}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday.
    const MONDAY: i64 = 20_605;

    /// Silent at the begin of `today`, after these days, the first of them a Monday.
    fn silent(days: &str) -> bool {
        let last = MONDAY + days.len() as i64 - 1;
        is_broken_off(days, last, last + 1, |letter| letter.is_ascii_digit())
    }

    #[test]
    fn the_constant_is_a_monday() {
        assert_eq!(MONDAY.rem_euclid(7), 4, "day 0 was a Thursday");
    }

    #[test]
    fn a_daily_page_is_silent_after_three_days_and_not_after_two() {
        for weeks in [2, 4, 16] {
            let usual = "2131121".repeat(weeks);
            assert!(!silent(&usual), "{weeks}");
            assert!(!silent(&format!("{usual}..")), "{weeks}");
            assert!(silent(&format!("{usual}...")), "{weeks}");
            let days = format!("{usual}..");
            let last = MONDAY + days.len() as i64 - 1;
            assert!(!is_overdue(&days, last, last), "{weeks}: one day");
            assert!(is_overdue(&days, last, last + 1), "{weeks}: two days");
        }
    }

    #[test]
    fn a_paper_of_weekdays_rests_on_weekends_and_is_silent_after_three_working_days() {
        for weeks in [3, 8, 15] {
            let usual = "11111..".repeat(weeks);
            assert!(!silent(&usual), "on Monday morning, {weeks}");
            assert!(!silent(&format!("{usual}..")), "after two working days, {weeks}");
            assert!(silent(&format!("{usual}...")), "after three, {weeks}");
            // Last news on a Tuesday: three working days are over on Saturday.
            assert!(!silent(&format!("{usual}11..")), "{weeks}");
            assert!(silent(&format!("{usual}11...")), "{weeks}");
        }
    }

    #[test]
    fn who_publishes_seldom_or_is_not_known_is_not_called_silent() {
        let yearly = format!("{}1{}", ".".repeat(10), ".".repeat(101));
        assert!(!silent(&yearly));
        assert!(!silent(&".".repeat(112)));
        assert!(!silent(""));
        assert!(!silent("1111111..."), "one week tells nothing");
        let monthly = format!("{}1", ".".repeat(29)).repeat(3) + &".".repeat(22);
        assert!(!silent(&monthly));
    }

    #[test]
    fn a_weekly_page_is_silent_after_some_weeks() {
        let usual = "...1...".repeat(10);
        assert!(!silent(&format!("{usual}.......")));
        assert!(silent(&format!("{usual}{}", ".".repeat(21))));
    }

    #[test]
    fn days_on_which_nobody_looked_say_nothing() {
        let usual = "11111..".repeat(8);
        assert!(!silent(&format!("{usual}{}", "-".repeat(30))));
        assert!(!silent(&format!("{usual}{}..", "-".repeat(5))));
    }

    #[test]
    fn a_pause_that_happened_before_is_nothing_new() {
        let bursts = format!("111{}", ".".repeat(11)).repeat(7);
        assert!(!silent(&bursts));
        assert!(silent(&format!("{bursts}{}", ".".repeat(28))));
    }

    #[test]
    fn today_is_not_over() {
        let days = format!("{}...", "1".repeat(28));
        let last = MONDAY + days.len() as i64 - 1;
        let news = |letter: u8| letter.is_ascii_digit();
        assert!(!is_broken_off(&days, last, last, news));
        assert!(is_broken_off(&days, last, last + 1, news));
        assert!(is_broken_off(&days, last, last + 5, news));
        let back = format!("{days}1");
        assert!(!is_broken_off(&back, last + 1, last + 1, news), "what came today has come");
    }

    #[test]
    fn the_rhythm_reads_as_a_sentence() {
        let days = "11111..".repeat(4);
        let last = MONDAY + days.len() as i64 - 1;
        let words = in_words(&days, last).unwrap();
        assert_eq!(words, "news on 20 of the 26 days before its last, usually on Mon, Tue, Wed, Thu, Fri");
        assert_eq!(in_words("111", MONDAY), None);
    }
}
