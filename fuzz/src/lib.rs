//! What the fuzz targets share: what must hold of everything that was read, whatever it was read from.

use newswatch::model::Reading;
use newswatch::poller::source::{ReadError, ReadLimits};
use url::Url;

/// Small, so that inputs of a few kilobytes reach them.
pub const LIMITS: ReadLimits = ReadLimits { entries_max: 5, text_bytes_max: 200 };

/// The base of relative links.
pub fn address() -> Url {
    Url::parse("https://example.org/news/feed").expect("an address")
}

/// One line of text that steers no terminal.
pub fn check_line(what: &str, text: &str) {
    assert!(!text.contains('\n'), "{what} has several lines: {text:?}");
    check_text(what, text);
}

/// Text of several lines that steers no terminal.
pub fn check_text(what: &str, text: &str) {
    let steers =
        |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    assert!(!text.contains(steers), "{what} steers: {text:?}");
}

/// What must hold of a reading.
pub fn check(reading: &Result<Reading, ReadError>) {
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => {
            check_line("the error", &error.0);
            assert!(!error.0.contains("made the parser fail"), "{error}");
            return;
        }
    };
    check_line("the title", &reading.title);
    check_text("the description", &reading.description);
    assert!(reading.entries.len() <= LIMITS.entries_max, "{} entries", reading.entries.len());
    for problem in &reading.problems {
        check_line("a problem", problem);
        assert!(!problem.contains("refused"), "{problem}");
    }
    for entry in &reading.entries {
        check_line("a guid", &entry.guid);
        check_line("an entry's title", &entry.title);
        check_line("a publisher", &entry.publisher);
        for (what, text) in [("a summary", &entry.summary), ("a content", &entry.content)] {
            check_text(what, text);
            assert!(text.len() <= LIMITS.text_bytes_max, "{what} of {} bytes", text.len());
        }
        // A title is cut by characters and the cut is shown.
        assert!(
            entry.title.len() <= LIMITS.text_bytes_max.max(1_000 * 4 + 3),
            "a title of {} bytes",
            entry.title.len()
        );
        for name in entry.authors.iter().chain(&entry.categories).chain(&entry.language) {
            check_line("a name", name);
            assert!(name.chars().count() <= 201, "a name of {} bytes", name.len());
        }
        assert!(entry.authors.len() <= 100 && entry.categories.len() <= 100 && entry.enclosures.len() <= 100);
        for address in entry.url.iter().chain(entry.enclosures.iter().map(|enclosure| &enclosure.url)) {
            check_line("an address", address);
            let url = Url::parse(address).expect("links become absolute");
            assert!(!matches!(url.scheme(), "javascript" | "vbscript" | "data" | "file"), "{address}");
        }
    }
}
