//! The items of a JSON Feed, or a whole one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::poller::read::feed;
use newswatch::poller::source::Document;
use newswatch_fuzz::{LIMITS, address, check};

fuzz_target!(|data: &[u8]| {
    let whole = data.first() == Some(&b'{');
    let (head, foot): (&[u8], &[u8]) =
        if whole { (b"", b"") } else { (b"{\"version\":\"https://jsonfeed.org/version/1.1\",\"items\":[{", b"}]}") };
    let body = [head, data, foot].concat();
    let url = address();
    let document = Document { url: &url, content_type: Some("application/feed+json"), body: &body };
    let reading = feed::read(&document, &LIMITS);
    assert_eq!(reading, feed::read(&document, &LIMITS), "the same document reads the same");
    check(&reading);
});
