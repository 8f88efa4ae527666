//! What a site's robots.txt says to us (RFC 9309). Pure: the HTTP edge asks for it and keeps the answer.

use std::time::Duration;

use robotstxt::{DefaultMatcher, RobotsParseHandler, parse_robotstxt};
use url::Url;

use super::fetch::{FetchError, Response};
use crate::fault::{Class, Fault};

/// What we call ourselves there: the product name of our User-Agent.
pub const PRODUCT: &str = "newswatch";
/// Bytes read of a robots.txt; what comes after counts as not there (RFC 9309 section 2.5 asks for at least that).
pub const BYTES_MAX: usize = 500 * 1024;
/// An answer is used so long (RFC 9309 section 2.4: not more than a day).
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// A site whose robots.txt cannot be had is asked for it again after this.
pub const UNREACHABLE_FOR: Duration = Duration::from_secs(3600);
/// Rules that cannot be renewed go on for so long (RFC 9309 section 2.3.1.4).
pub const OLD_RULES_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// A longer `Crawl-delay` is heeded as this: articles are few, and a day between two of them is no news.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// What a site says to robots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Robots {
    /// There is no robots.txt: everything may be asked.
    None,
    /// The server is in trouble: nothing may be asked until it says more.
    Unreachable,
    /// Its text.
    Rules(String),
}

impl Robots {
    /// What the answer to the question for robots.txt means.
    pub fn from_answer(answer: &Result<Response, FetchError>) -> Robots {
        match answer {
            Ok(response) => match response.status {
                200 => Robots::Rules(rules(&response.body)),
                429 | 500..=599 => Robots::Unreachable,
                _ => Robots::None,
            },
            Err(error) => match error.fault {
                // A site that sends us in circles or into a private network has none.
                Fault::Refused | Fault::BadRedirect | Fault::RedirectLoop => Robots::None,
                // Not to be had for another reason than the site's: the page itself will fail likewise, and say why.
                Fault::Certificate => Robots::None,
                fault if fault.class() == Class::Network => Robots::None,
                _ => Robots::Unreachable,
            },
        }
    }

    /// May this address be asked?
    pub fn allows(&self, url: &Url) -> bool {
        match self {
            Robots::None => true,
            Robots::Unreachable => false,
            Robots::Rules(text) => DefaultMatcher::default().one_agent_allowed_by_robots(text, PRODUCT, url.as_str()),
        }
    }

    /// The pause between two requests that the site asks for.
    pub fn delay(&self) -> Duration {
        let Robots::Rules(text) = self else { return Duration::ZERO };
        let mut found = Delays::default();
        parse_robotstxt(text, &mut found);
        found.own.or(found.every).map_or(Duration::ZERO, |seconds| {
            // Also for infinity; nothing is below zero.
            Duration::from_secs_f64(seconds.min(DELAY_MAX.as_secs_f64()))
        })
    }

    /// As stored: a word and the text.
    pub fn stored(&self) -> (&'static str, &str) {
        match self {
            Robots::None => ("none", ""),
            Robots::Unreachable => ("unreachable", ""),
            Robots::Rules(text) => ("rules", text),
        }
    }

    /// From the stored form.
    pub fn from_stored(word: &str, text: String) -> Robots {
        match word {
            "rules" => Robots::Rules(text),
            "none" => Robots::None,
            _ => Robots::Unreachable,
        }
    }

    /// How long it may be used without asking again.
    pub fn kept_for(&self) -> Duration {
        if *self == Robots::Unreachable { UNREACHABLE_FOR } else { KEPT_FOR }
    }
}

/// The text that counts: without byte order mark, not longer than the limit, no broken last line.
fn rules(body: &[u8]) -> String {
    let cut = &body[..body.len().min(BYTES_MAX)];
    let whole = if cut.len() < body.len() {
        cut.iter().rposition(|byte| *byte == b'\n').map_or(cut, |end| &cut[..end])
    } else {
        cut
    };
    let text = String::from_utf8_lossy(whole);
    text.trim_start_matches('\u{feff}').replace('\0', "")
}

/// Collects `Crawl-delay`, which the standard does not know and many sites use.
#[derive(Default)]
struct Delays {
    /// The lines before the last one were user agents: another one joins their group.
    in_head: bool,
    of_us: bool,
    of_all: bool,
    own: Option<f64>,
    every: Option<f64>,
}

impl RobotsParseHandler for Delays {
    fn handle_robots_start(&mut self) {}
    fn handle_robots_end(&mut self) {}

    fn handle_user_agent(&mut self, _line: u32, agent: &str) {
        if !self.in_head {
            (self.of_us, self.of_all) = (false, false);
        }
        self.in_head = true;
        self.of_us |= agent.trim().eq_ignore_ascii_case(PRODUCT);
        self.of_all |= agent.trim() == "*";
    }

    fn handle_allow(&mut self, _line: u32, _value: &str) {
        self.in_head = false;
    }

    fn handle_disallow(&mut self, _line: u32, _value: &str) {
        self.in_head = false;
    }

    fn handle_sitemap(&mut self, _line: u32, _value: &str) {}

    fn handle_unknown_action(&mut self, _line: u32, action: &str, value: &str) {
        if !action.trim().eq_ignore_ascii_case("crawl-delay") {
            return;
        }
        self.in_head = false;
        let Some(seconds) = value.trim().parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) else { return };
        if self.of_us {
            self.own = Some(self.own.map_or(seconds, |other| other.max(seconds)));
        } else if self.of_all {
            self.every = Some(self.every.map_or(seconds, |other| other.max(seconds)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url::parse("https://example.org").unwrap().join(path).unwrap()
    }

    fn answered(status: u16, body: &str) -> Robots {
        Robots::from_answer(&Ok(Response::new(status, url("/robots.txt"), body.into())))
    }

    #[test]
    fn rules_are_obeyed() {
        let robots = answered(200, "\u{feff}User-agent: *\nDisallow: /private/\nAllow: /private/open\n");
        for (path, allowed) in [("/", true), ("/private/a", false), ("/private/open", true), ("/privateer", true)] {
            assert_eq!(robots.allows(&url(path)), allowed, "{path}");
        }
        let own = answered(200, "User-agent: NewsWatch\nDisallow: /\n\nUser-agent: *\nDisallow:\n");
        assert!(!own.allows(&url("/a")));
        assert!(answered(200, "User-agent: otherbot\nDisallow: /\n").allows(&url("/a")));
        assert!(answered(200, "<html>not robots</html>").allows(&url("/a")));
    }

    #[test]
    fn a_missing_file_allows_and_a_broken_server_does_not() {
        for (status, allowed) in
            [(404, true), (403, true), (410, true), (204, true), (429, false), (500, false), (503, false)]
        {
            assert_eq!(answered(status, "User-agent: *\nDisallow: /").allows(&url("/a")), allowed, "{status}");
        }
        let failed = |fault| Robots::from_answer(&Err(FetchError::new(fault, "")));
        assert_eq!(failed(Fault::Refused), Robots::None);
        assert_eq!(failed(Fault::Slow), Robots::Unreachable);
        assert_eq!(failed(Fault::UnknownHost), Robots::None, "the page will say so itself");
    }

    #[test]
    fn a_huge_file_counts_up_to_the_limit() {
        let line = "Disallow: /x\n";
        let mut body = "User-agent: *\n".to_string() + &line.repeat(BYTES_MAX / line.len() + 10);
        body.push_str("Disallow: /late\n");
        let robots = answered(200, &body);
        assert!(robots.allows(&url("/late")) && !robots.allows(&url("/x/1")));
    }

    #[test]
    fn a_crawl_delay_is_heeded_within_reason() {
        let delay = |text: &str| answered(200, text).delay().as_millis();
        assert_eq!(delay("User-agent: *\nCrawl-delay: 2.5\n"), 2_500);
        assert_eq!(
            delay("User-agent: *\nCrawl-delay: 9\nUser-agent: a\nUser-agent: newswatch\nCrawl-delay: 1\n"),
            1_000
        );
        assert_eq!(delay("User-agent: a\nCrawl-delay: 9\n"), 0);
        for nonsense in ["999999999", "1e400", "inf"] {
            assert_eq!(
                delay(&format!("User-agent: *\nCrawl-delay: {nonsense}\n")),
                DELAY_MAX.as_millis(),
                "{nonsense}"
            );
        }
        for nonsense in ["-5", "soon", "NaN"] {
            assert_eq!(delay(&format!("User-agent: *\nCrawl-delay: {nonsense}\n")), 0, "{nonsense}");
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for robots in [Robots::None, Robots::Unreachable, Robots::Rules("User-agent: *".into())] {
            let (word, text) = robots.stored();
            assert_eq!(Robots::from_stored(word, text.to_string()), robots);
        }
    }
}
