//! What a site's robots.txt says to us (RFC 9309). Pure: the HTTP edge asks for it and keeps the answer.
//!
//! Read by ourselves: the kept libraries for it panic or run for minutes on lines that any site can send.

use std::time::Duration;

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
/// Rules kept of one site, and bytes of one rule: more is no rule but an attack.
const RULES_MAX: usize = 5_000;
const PATTERN_BYTES_MAX: usize = 2_000;

/// What a site says to robots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Robots {
    /// There is no robots.txt: everything may be asked.
    None,
    /// The server is in trouble: nothing may be asked until it says more.
    Unreachable,
    /// What it says to us.
    Rules(Rules),
}

/// The rules of the group that is meant for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether what matches is allowed, and the pattern.
    lines: Vec<(bool, String)>,
    /// Pause between two requests.
    delay: Duration,
}

impl Robots {
    /// What the answer to the question for robots.txt means. Fails where it says nothing of the site: the network is down, the
    /// certificate is wrong. The page itself could not be asked for either.
    pub fn from_answer(answer: Result<Response, FetchError>) -> Result<Robots, FetchError> {
        match answer {
            Ok(response) => Ok(match response.status {
                200 => Robots::Rules(Rules::read(&response.body)),
                429 | 500..=599 => Robots::Unreachable,
                _ => Robots::None,
            }),
            Err(error) => match error.fault {
                // A site that sends us in circles or into a private network has none.
                Fault::Refused | Fault::BadRedirect | Fault::RedirectLoop => Ok(Robots::None),
                Fault::Certificate => Err(error),
                fault if fault.class() == Class::Network => Err(error),
                _ => Ok(Robots::Unreachable),
            },
        }
    }

    /// May this address be asked?
    pub fn allows(&self, url: &Url) -> bool {
        match self {
            Robots::None => true,
            Robots::Unreachable => false,
            Robots::Rules(rules) => rules.allow(url),
        }
    }

    /// The pause between two requests that the site asks for.
    pub fn delay(&self) -> Duration {
        if let Robots::Rules(rules) = self { rules.delay } else { Duration::ZERO }
    }

    /// As stored: a word and a text, which is a robots.txt again.
    pub fn stored(&self) -> (&'static str, String) {
        match self {
            Robots::None => ("none", String::new()),
            Robots::Unreachable => ("unreachable", String::new()),
            Robots::Rules(rules) => {
                let mut text = format!("User-agent: *\nCrawl-delay: {}\n", rules.delay.as_secs_f64());
                for (allow, pattern) in &rules.lines {
                    text.push_str(if *allow { "Allow: " } else { "Disallow: " });
                    text.push_str(pattern);
                    text.push('\n');
                }
                ("rules", text)
            }
        }
    }

    /// From the stored form.
    pub fn from_stored(word: &str, text: &str) -> Robots {
        match word {
            "rules" => Robots::Rules(Rules::read(text.as_bytes())),
            "none" => Robots::None,
            _ => Robots::Unreachable,
        }
    }

    /// How long it may be used without asking again.
    pub fn kept_for(&self) -> Duration {
        if *self == Robots::Unreachable { UNREACHABLE_FOR } else { KEPT_FOR }
    }
}

impl Rules {
    /// Reads the groups for us, or else those for everybody (RFC 9309 section 2.2.1).
    fn read(body: &[u8]) -> Rules {
        let (mut own, mut everybody) = (None::<Rules>, Rules::default());
        let (mut in_head, mut of_us, mut of_all) = (false, false, false);
        for line in lines(body) {
            let Some((key, value)) = line.split('#').next().and_then(|line| line.split_once(':')) else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if !in_head {
                    (of_us, of_all) = (false, false);
                }
                in_head = true;
                // "newswatch/1.0" means us, too.
                let name = value.split(['/', ' ']).next().unwrap_or_default();
                of_us |= name.eq_ignore_ascii_case(PRODUCT);
                of_all |= value == "*";
                if of_us {
                    own.get_or_insert_default();
                }
                continue;
            }
            let is_rule = matches!(key.as_str(), "allow" | "disallow" | "crawl-delay");
            in_head &= !is_rule;
            let group = if of_us {
                own.as_mut()
            } else if of_all {
                Some(&mut everybody)
            } else {
                None
            };
            if let Some(group) = group.filter(|_| is_rule) {
                group.add(&key, value);
            }
        }
        own.unwrap_or(everybody)
    }

    fn add(&mut self, key: &str, value: &str) {
        if key == "crawl-delay" {
            if let Some(seconds) = value.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) {
                // Also for infinity.
                self.delay = self.delay.max(Duration::from_secs_f64(seconds.min(DELAY_MAX.as_secs_f64())));
            }
        } else if !value.is_empty() && value.len() <= PATTERN_BYTES_MAX && self.lines.len() < RULES_MAX {
            self.lines.push((key == "allow", value.to_string()));
        }
    }

    /// The longest pattern that matches decides, of equal ones the one that allows (RFC 9309 section 2.2.2).
    fn allow(&self, url: &Url) -> bool {
        let mut path = url.path().to_string();
        if let Some(query) = url.query() {
            path.push('?');
            path.push_str(query);
        }
        let matching = self.lines.iter().filter(|(_, pattern)| matches(pattern, &path));
        matching.map(|(allow, pattern)| (pattern.len(), *allow)).max().is_none_or(|(_, allow)| allow)
    }
}

/// The lines that count: without byte order mark, not beyond the limit, no broken last one.
fn lines(body: &[u8]) -> impl Iterator<Item = String> {
    let cut = &body[..body.len().min(BYTES_MAX)];
    let cut_off = cut.len() < body.len() && !cut.ends_with(b"\n");
    let cut = cut.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cut);
    let end = if cut_off { cut.iter().rposition(|byte| *byte == b'\n').unwrap_or(0) } else { cut.len() };
    cut[..end].split(|byte| matches!(byte, b'\n' | b'\r')).map(|line| {
        let line = &line[..line.len().min(2 * PATTERN_BYTES_MAX)];
        String::from_utf8_lossy(line).replace('\0', "")
    })
}

/// The pattern matches the beginning of the path; `*` stands for anything, `$` at its end for the end of the path. Takes time
/// proportional to the pattern and the path: each part between two `*` is looked for once, as far left as it is.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, anchored) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let (pattern, path) = (unescaped(pattern), unescaped(path));
    let mut parts = pattern.split('*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    match last {
        Some(part) if anchored => rest.ends_with(part),
        Some(part) => rest.contains(part),
        None => !anchored || rest.is_empty(),
    }
}

/// Percent escapes compared as what they stand for, except where that would be another path (RFC 9309 section 2.2.2).
fn unescaped(text: &str) -> String {
    if !text.contains('%') {
        return text.to_string();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match byte.filter(|byte| !matches!(byte, b'/' | b'*' | b'$' | b'%' | b'?')) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url::parse("https://example.org").unwrap().join(path).unwrap()
    }

    fn answered(status: u16, body: &str) -> Robots {
        Robots::from_answer(Ok(Response::new(status, url("/robots.txt"), body.into()))).unwrap()
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
        let failed = |fault| Robots::from_answer(Err(FetchError::new(fault, "")));
        assert_eq!(failed(Fault::Refused), Ok(Robots::None));
        assert_eq!(failed(Fault::Slow), Ok(Robots::Unreachable));
        assert!(failed(Fault::UnknownHost).is_err() && failed(Fault::Certificate).is_err(), "says nothing of the site");
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
    fn patterns_are_those_of_the_standard() {
        for (pattern, path, expected) in [
            ("/", "/a", true),
            ("/fish", "/fish.html", true),
            ("/fish", "/Fish", false),
            ("/fish*", "/fishheads", true),
            ("/*.php", "/a/b.php?x", true),
            ("/*.php$", "/a.php", true),
            ("/*.php$", "/a.php?x", false),
            ("/a*b*c", "/a1b2c3", true),
            ("/a*b*c", "/a1c2b3", false),
            ("/a$", "/a", true),
            ("/a$", "/ab", false),
            ("*", "/anything", true),
            ("/%7Ejoe/", "/~joe/x", true),
            ("/a%3Cd", "/a%3cd.html", true),
            ("/a%2Fb", "/a/b", false),
            ("/\u{443}", "/%D1%83", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_longest_pattern_wins_and_of_equal_ones_the_kind_one() {
        let robots = answered(200, "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /c\nAllow: /c\n");
        for (path, allowed) in [("/a", false), ("/a/b", true), ("/c", true), ("/d?x=/a", true)] {
            assert_eq!(robots.allows(&url(path)), allowed, "{path}");
        }
    }

    /// Lines of this kind made libraries panic, or run for minutes.
    #[test]
    fn hostile_files_cost_nothing() {
        let long = format!("User-agent: *\nDisallow: /{}\n", "\u{d55c}".repeat(20_000));
        assert!(answered(200, &long).allows(&url("/a")));
        let stars = format!("User-agent: *\nDisallow: /{}x\n", "*a".repeat(400)).repeat(200);
        let path = format!("/{}", "a".repeat(4_000));
        assert!(answered(200, &stars).allows(&url(&path)));
        assert_eq!(answered(200, "\u{d55c}").stored().0, "rules");
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let rules = answered(200, "User-agent: *\nAllow: /a*b$\nDisallow: /%7e\nCrawl-delay: 1.5");
        for robots in [Robots::None, Robots::Unreachable, rules] {
            let (word, text) = robots.stored();
            assert_eq!(Robots::from_stored(word, &text), robots);
        }
    }
}
