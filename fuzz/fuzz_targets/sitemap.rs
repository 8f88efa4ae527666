//! The inside of a sitemap or an index, or a whole document: the same again gives the same, addresses lead to the web.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::poller::read::sitemap;
use newswatch::poller::source::Document;
use newswatch_fuzz::{LIMITS, address, check};

fuzz_target!(|data: &[u8]| {
    let (head, foot): (&[u8], &[u8]) = match data.first() {
        Some(b'<') => (b"<urlset><url>", b"</url></urlset>"),
        Some(b'[') => (b"<sitemapindex><sitemap>", b"</sitemap></sitemapindex>"),
        _ => (b"", b""),
    };
    let body = [head, data, foot].concat();
    let url = address();
    let document = Document { url: &url, content_type: None, body: &body };
    let mut reading = sitemap::read(&document, &LIMITS);
    assert_eq!(reading, sitemap::read(&document, &LIMITS), "the same document reads the same");
    if let Ok(reading) = &mut reading {
        for url in reading.parts.iter().map(|part| &part.url).chain(reading.entries.iter().flat_map(|entry| &entry.url)) {
            assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
        }
        // The protocol has a limit of its own.
        assert!(reading.entries.len() <= 50_000 && reading.parts.len() <= 50_000);
        reading.entries.truncate(LIMITS.entries_max);
    }
    check(&reading);
});
