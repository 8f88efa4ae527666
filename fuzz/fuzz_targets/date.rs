//! Dates as publishers write them: a day that was found is written in full and found again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::poller::read::dates;

fuzz_target!(|text: &str| {
    for found in [dates::timestamp(text), dates::find(text)].into_iter().flatten() {
        let written = found.to_string();
        // The scanner reads years of four digits and no parts of seconds.
        if written.len() == "2026-09-26T10:11:12Z".len() {
            assert_eq!(dates::timestamp(&written), Some(found), "{text:?}");
            assert_eq!(dates::find(&written), Some(found), "{text:?}");
        }
    }
});
