//! What the programs that read PDFs write, and messages: text that steers nothing, within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::model::Reading;
use newswatch::poller::read::{mail, pdf};
use newswatch_fuzz::{LIMITS, check, check_line, check_text};

fuzz_target!(|data: &[u8]| {
    let written = String::from_utf8_lossy(data);
    let text = pdf::text(&written, LIMITS.text_bytes_max);
    check_text("the text", &text);
    assert!(text.len() <= LIMITS.text_bytes_max, "{} bytes", text.len());
    check_line("the first line", &pdf::first_line(&text));
    check_line("the title", &pdf::about(&written).title);
    let _ = pdf::is_scanned(&text, 3);

    let mut entries = mail::read(data, &LIMITS);
    if let Ok(entries) = &mut entries {
        // An alert has as many links as it has.
        assert!(!entries.is_empty() && entries.len() <= 200);
        entries.truncate(LIMITS.entries_max);
        // What an alert says of an article has a limit of its own.
        entries.iter_mut().for_each(|entry| entry.summary.truncate(entry.summary.floor_char_boundary(200)));
    }
    check(&entries.map(|entries| Reading { entries, ..Reading::default() }));
});
