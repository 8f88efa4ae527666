//! Whatever is put together from the pieces that feeds break on, reading neither fails nor takes long.

use proptest::prelude::*;
use url::Url;

use super::read;
use crate::poller::identity;
use crate::poller::read::{dates, decode, discover, html};
use crate::poller::source::{Document, ReadLimits};

const PIECES: &[&str] = &[
    "<rss>",
    "<channel>",
    "<item>",
    "</item>",
    "<entry xml:base='http://e.org/x/'>",
    "</entry>",
    "<feed xmlns='http://www.w3.org/2005/Atom'>",
    "</feed>",
    "<title>",
    "</title>",
    "<title type='xhtml'>",
    "<link>",
    "</link>",
    "<link href='/a' rel=alternate>",
    "<link rel=enclosure>",
    "<description>",
    "</description>",
    "<content mode=base64>",
    "</content>",
    "<author><name>",
    "</name></author>",
    "<guid isPermaLink=true>",
    "</guid>",
    "<pubDate>",
    "</pubDate>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE r [<!ENTITY a 'b'>]>",
    "&a;",
    "&amp;",
    "&#x",
    "&#8217;",
    "&",
    "<",
    ">",
    "\"",
    "'",
    "=",
    "/",
    "é",
    "북한",
    "\u{92}",
    "â€™",
    "Ã",
    " ",
    "\n",
    "Sat, 26 Sep 2026 10:11",
    "2026-09-26T",
    "２０２６年",
    "9999999999",
    "+0900",
    "12:",
    "<x:y z='",
    "<?xml encoding='",
    "?>",
    "{\"version\":\"",
    "\\ud800",
    "<pre>",
    "<script>",
    "</script",
    "<category term=a label=b>",
    "<media:group>",
    "<enclosure url='b'/>",
    "<ttl>",
    "<html>",
    "<svg",
    "http://e.org/",
    "]]>",
    "\u{0}",
    "\u{ffff}",
    "&#0;",
    "张三（zhang@example.com）",
    "<itunes:duration>",
    "99999999999999999999999",
    "word",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_document_makes_reading_fail(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60), head in 0..4usize) {
        let text = ["", "<rss><channel><item>", "<feed><entry>", "{\"items\":["][head].to_string() + &pieces.concat();
        let url = Url::parse("https://example.org/f").expect("an address");
        let document = Document { url: &url, content_type: None, body: text.as_bytes() };
        match read(&document, &ReadLimits::default()) {
            Ok(reading) => {
                prop_assert_eq!(identity::keys(&reading.entries).len(), reading.entries.len());
                // What is rewritten is never refused.
                prop_assert!(!reading.problems.iter().any(|problem| problem.contains("refused")), "{:?}", reading.problems);
            }
            Err(error) => {
                prop_assert!(!error.0.contains("made the parser fail") && !error.0.contains("refused"), "{}", error);
                prop_assert!(!error.0.contains('\n'));
            }
        }
        html::plain_text(&text, 100);
        dates::find(&text);
        dates::timestamp(&text);
        discover::feeds_in_page(&document);
    }

    #[test]
    fn no_bytes_make_decoding_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode::text(&bytes, Some("text/xml; charset=euc-kr"));
        decode::text(&bytes, None);
    }
}
