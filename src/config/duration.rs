//! Lengths of time as people write and read them. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Span};

/// "30m", "1h 30m", "2 weeks" as a length of time; `None` for anything else, for negative ones, months and years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let length: SignedDuration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// A length of time in words a person would use: "30 min", "6 h", "2 days".
pub fn show_duration(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds == 0 {
        return format!("{} ms", length.as_millis());
    }
    let parts =
        [(seconds / 86_400, "day"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .take(2)
        .map(|(count, unit)| match (*unit, *count) {
            ("day", 1) => "1 day".to_string(),
            ("day", days) => format!("{days} days"),
            _ => format!("{count} {unit}"),
        })
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_show() {
        for (text, shown) in
            [("30m", "30 min"), ("1h 30m", "1 h 30 min"), ("2 days", "2 days"), ("1w", "7 days"), ("1 day", "1 day")]
        {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "30", "fast", "-5m", "1 month", "5 parsecs"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
