//! A page: as a list of items, as an article, as a place where feeds are linked, and as text.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use newswatch::config::section::{File, Problems};
use newswatch::model::Memory;
use newswatch::poller::read::{article, discover, html};
use newswatch::poller::source::{Document, Source, page};
use newswatch_fuzz::{LIMITS, address, check, check_line, check_text};

const SETTINGS: &str = "[select]\nitem = 'li, article, div.n > a, tr:not(:first-child)'\nlink = 'a@href'\ntitle = 'h2, b, a'\n\
    date = 'time@datetime'\nsummary = 'p + p, td'\n";

static LIST: LazyLock<[Arc<dyn Source>; 2]> = LazyLock::new(|| {
    [SETTINGS, "[select]\nitem = 'p, li'\n"].map(|settings| {
        let problems = Problems::default();
        let source =
            File::new("source.toml", settings.into()).read(&problems, |mut section| page::settings(&mut section));
        source.expect("settings of a page")
    })
});

fuzz_target!(|data: &[u8]| {
    let url = address();
    let document = Document { url: &url, content_type: None, body: data };
    for list in LIST.iter() {
        let reading = list.read(&document, &LIMITS, &mut Memory::new());
        assert_eq!(reading, list.read(&document, &LIMITS, &mut Memory::new()), "the same page reads the same");
        check(&reading);
    }
    match article::article(&document, &LIMITS) {
        Ok(article) => {
            check_line("the title", &article.title);
            check_text("the text", &article.text);
            assert!(!article.text.is_empty() && article.text.len() <= LIMITS.text_bytes_max, "{}", article.text.len());
        }
        Err(error) => {
            check_line("the error", &error.0);
            assert!(!error.0.contains("made the parser fail"), "{error}");
        }
    }
    for feed in discover::feeds_in_page(&document) {
        assert!(feed.url.starts_with("http"), "{}", feed.url);
        check_line("a feed's address", &feed.url);
        check_line("a feed's title", &feed.title);
    }
    let text = html::plain_text(&String::from_utf8_lossy(data), 100);
    check_text("text", &text);
    assert!(text.len() <= 100, "{} bytes", text.len());
});
