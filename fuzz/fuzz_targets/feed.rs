//! A byte that chooses the Content-Type, then a feed of whatever kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::poller::identity;
use newswatch::poller::read::feed;
use newswatch::poller::source::Document;
use newswatch_fuzz::{LIMITS, address, check};

const TYPES: &[Option<&str>] = &[
    None,
    Some("application/rss+xml"),
    Some("text/xml; charset=iso-8859-1"),
    Some("text/xml; charset=utf-16"),
    Some("application/json"),
    Some("text/html; charset=iso-2022-jp"),
    Some("text/xml; charset=gbk"),
    Some("; charset=\"\""),
];

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let url = address();
    let document = Document { url: &url, content_type: TYPES[usize::from(*kind) % TYPES.len()], body };
    let reading = feed::read(&document, &LIMITS);
    assert_eq!(reading, feed::read(&document, &LIMITS), "the same document reads the same");
    check(&reading);
    if let Ok(reading) = reading {
        assert_eq!(identity::keys(&reading.entries).len(), reading.entries.len());
    }
});
