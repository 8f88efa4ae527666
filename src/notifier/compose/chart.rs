//! Figures for people who look rather than read: hits per day, and how the sources do. Bars are made of table cells, which
//! every mail program shows without loading anything; a line of text says the same. Pure.

use jiff::civil::Date;
use serde::Serialize;

use super::counted;

/// Height of the highest bar.
const HEIGHT: i64 = 40;
/// Bars of a text, the lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Hits of each day.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct DayChart {
    /// One for each day, the oldest first.
    bars: Vec<Bar>,
    /// The bars as text.
    blocks: String,
    /// What they show, in words and figures.
    line: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Bar {
    /// "Tue 3 Nov"
    day: String,
    count: i64,
    /// Pixels; at least 1, so that a day without hits is seen to have been looked at.
    height: i64,
    /// The day of the message itself.
    is_last: bool,
}

/// How the sources do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct HealthChart {
    /// Shares of a whole that is 100 wide.
    pub(super) parts: Vec<Part>,
    /// The bar as text; empty when all are alike.
    blocks: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Part {
    /// "read", "failing", "silent", "paused" or "not-asked".
    name: &'static str,
    /// The same for people.
    label: &'static str,
    count: usize,
    /// Of 100; at least 1 for what is there at all.
    percent: usize,
}

/// The chart of the days' hits; `None` without days.
pub(super) fn days(days: &[(Date, i64)]) -> Option<DayChart> {
    let (last, count) = days.last()?;
    let most = days.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let bar = |(date, count): &(Date, i64)| Bar {
        day: show(*date),
        count: *count,
        height: if most == 0 { 1 } else { (count * HEIGHT / most).max(1) },
        is_last: date == last,
    };
    let block = |(_, count): &(Date, i64)| match (*count, most) {
        (0, _) => '·',
        (count, most) => BLOCKS[((count * 8 + most - 1) / most - 1).clamp(0, 7) as usize],
    };
    let sum: i64 = days.iter().map(|(_, count)| count).sum();
    let peak = days.iter().rev().find(|(_, count)| *count == most).filter(|(date, _)| most > 0 && date != last);
    let peak = peak.map_or(String::new(), |(date, count)| format!(", most on {}: {count}", show(*date)));
    let line = format!(
        "{} in {}, {count} on {}{peak}",
        counted(usize::try_from(sum).unwrap_or_default(), "hit"),
        // Days are no "daies".
        counted(days.len(), "day"),
        show(*last)
    );
    Some(DayChart { bars: days.iter().map(bar).collect(), blocks: days.iter().map(block).collect(), line })
}

/// The chart of the sources; `None` without sources. Counts with their names, the good ones first.
pub(super) fn sources(counts: &[(&'static str, &'static str, usize)]) -> Option<HealthChart> {
    const COLUMNS: usize = 40;
    let sum: usize = counts.iter().map(|(_, _, count)| count).sum();
    let there: Vec<_> = counts.iter().filter(|(_, _, count)| *count > 0).collect();
    if sum == 0 {
        return None;
    }
    // What is there is seen, however little it is; the largest gives way.
    let share = |whole: usize| -> Vec<usize> {
        let mut shares: Vec<usize> = there.iter().map(|(_, _, count)| (count * whole / sum).max(1)).collect();
        if let Some(largest) = (0..shares.len()).max_by_key(|place| (shares[*place], usize::MAX - place)) {
            let others: usize = shares.iter().enumerate().filter(|(place, _)| *place != largest).map(|(_, n)| n).sum();
            shares[largest] = whole.saturating_sub(others).max(1);
        }
        shares
    };
    let part = |(&&(name, label, count), percent): (&&(&'static str, &'static str, usize), usize)| Part {
        name,
        label,
        count,
        percent,
    };
    let parts = there.iter().zip(share(100)).map(part).collect();
    let sign = |name: &str| match name {
        "read" => '█',
        "failing" => '×',
        "silent" => '▒',
        _ => '·',
    };
    let blocks =
        there.iter().zip(share(COLUMNS)).flat_map(|((name, _, _), n)| std::iter::repeat_n(sign(name), n)).collect();
    let blocks = if there.len() > 1 { blocks } else { String::new() };
    Some(HealthChart { parts, blocks })
}

fn show(date: Date) -> String {
    date.strftime("%a %-d %b").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_text_show_the_same_figures() {
        let day = |n: i8, count| (jiff::civil::date(2026, 11, n), count);
        let chart = days(&[day(19, 0), day(20, 8), day(21, 1)]).unwrap();
        assert_eq!(chart.blocks, "·█▁");
        assert_eq!(chart.line, "9 hits in 3 days, 1 on Sat 21 Nov, most on Fri 20 Nov: 8");
        assert_eq!(chart.bars.iter().map(|bar| bar.height).collect::<Vec<_>>(), [1, 40, 5]);
        assert_eq!(days(&[]), None);
        assert_eq!(days(&[day(21, 0)]).unwrap().line, "0 hits in 1 day, 0 on Sat 21 Nov");
    }

    #[test]
    fn one_failing_source_of_a_thousand_is_seen() {
        let chart = sources(&[("read", "read", 999), ("failing", "failing", 1), ("paused", "paused", 0)]).unwrap();
        let parts: Vec<_> = chart.parts.iter().map(|part| (part.name, part.count, part.percent)).collect();
        assert_eq!(parts, [("read", 999, 99), ("failing", 1, 1)]);
        assert_eq!(chart.blocks, format!("{}×", "█".repeat(39)));
        assert_eq!(sources(&[("read", "read", 0)]), None);
    }
}
