//! A byte that chooses where the page comes from, then an article page: its text, what it says of itself, and what stands
//! before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::poller::read::article;
use newswatch::poller::source::Document;
use newswatch_fuzz::{LIMITS, check_line, check_text};
use url::Url;

const ADDRESSES: &[&str] = &[
    "https://example.org/news/strike",
    "https://consent.example.org/",
    "https://example.org/account/login",
    "about:blank",
];

fuzz_target!(|data: &[u8]| {
    let Some((address, body)) = data.split_first() else { return };
    let url = Url::parse(ADDRESSES[usize::from(*address) % ADDRESSES.len()]).expect("an address");
    let document = Document { url: &url, content_type: None, body };
    let read = article::article(&document, &LIMITS);
    assert_eq!(read, article::article(&document, &LIMITS), "the same page reads the same");
    match read {
        Ok(article) => {
            check_line("the title", &article.title);
            check_text("the text", &article.text);
            assert!(!article.text.is_empty() && article.text.len() <= LIMITS.text_bytes_max, "{}", article.text.len());
            for name in article.authors.iter().chain(&article.language) {
                check_line("a name", name);
                assert!(!name.is_empty() && name.chars().count() <= 201, "{name}");
            }
            assert!(article.authors.len() <= 20, "{} authors", article.authors.len());
        }
        Err(error) => {
            check_line("the error", &error.0);
            assert!(!error.0.contains("made the parser fail"), "{error}");
        }
    }
});
