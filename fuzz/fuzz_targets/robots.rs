//! A path, then a robots.txt: reading it takes no time worth naming, its delay is bounded, and what is stored says the same.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use newswatch::poller::fetch::Response;
use newswatch::poller::robots::Robots;

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first() else { return };
    let (path, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let Ok(url) = newswatch_fuzz::address().join(&String::from_utf8_lossy(path)) else { return };
    let answer = Response::new(200, newswatch_fuzz::address(), body.to_vec());
    let robots = Robots::from_answer(Ok(answer)).expect("an answer");
    assert!(robots.delay() <= Duration::from_secs(60));
    let (word, text) = robots.stored();
    let again = Robots::from_stored(word, &text);
    assert_eq!(again.delay(), robots.delay(), "{text:?}");
    assert_eq!(again.allows(&url), robots.allows(&url), "{url} {text:?}");
});
