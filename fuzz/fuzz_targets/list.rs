//! A list in JSON; and a page that is watched, in two versions with a NUL between them: what is read a second time is no news.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use newswatch::config::section::{File, Problems, Section};
use newswatch::model::Memory;
use newswatch::poller::source::{Document, Source, json, watch};
use newswatch_fuzz::{LIMITS, address, check};

fn configured(settings: &str, read: fn(&mut Section<'_>) -> Option<Arc<dyn Source>>) -> Arc<dyn Source> {
    let problems = Problems::default();
    let source = File::new("source.toml", settings.into()).read(&problems, |mut section| read(&mut section));
    source.expect("settings")
}

static JSON: LazyLock<Arc<dyn Source>> = LazyLock::new(|| {
    let settings = "next = '/n'\nmay_be_empty = true\n[select]\nitems = '/a'\nid = 'i'\ntitle = 't'\nlink = '/x/{l}'\ndate = 'd'\n\
                    summary = 's'\ncontent = '{t}: {s}'\nauthor = 'b'\npublisher = 'p'\nlanguage = 'g'\n";
    configured(settings, json::settings)
});
static WATCH: LazyLock<[Arc<dyn Source>; 2]> = LazyLock::new(|| {
    ["removed = true\nignore = '[0-9]+'\n", "part = 'p, main'\n"].map(|settings| configured(settings, watch::settings))
});

fuzz_target!(|data: &[u8]| {
    let url = address();
    let document = |body| Document { url: &url, content_type: None, body };
    check(&JSON.read(&document(data), &LIMITS, &mut Memory::new()));
    let (first, second) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    for watch in WATCH.iter() {
        let mut memory = Memory::new();
        for body in [first, second] {
            check(&watch.read(&document(body), &LIMITS, &mut memory));
        }
        if watch.read(&document(second), &LIMITS, &mut memory).is_ok() {
            let again = watch.read(&document(second), &LIMITS, &mut memory).expect("it was read before");
            assert_eq!(again.entries, [], "the same page again is no news");
        }
    }
});
