//! Pages that a gatekeeper puts before the one that was asked for, to tell people from programs. They are recognised and
//! reported, never evaded.

use super::page;

/// What only the page of a gatekeeper holds, and whose it is.
const MARKS: &[(&str, &str)] = &[
    ("/cdn-cgi/challenge-platform/", "Cloudflare"),
    ("_Incapsula_Resource", "Imperva"),
    ("captcha-delivery.com", "DataDome"),
    ("px-captcha", "PerimeterX"),
    ("/_sec/cp_challenge/", "Akamai"),
    ("awsWafCookieDomainList", "AWS"),
    ("ddos-guard", "DDoS-Guard"),
];

/// How such pages are titled.
const TITLES: &[&str] = &[
    "just a moment",
    "attention required",
    "checking your browser",
    "are you a robot",
    "are you human",
    "verify you are human",
    "security check",
    "pardon our interruption",
];

/// Whose mark the page bears. An ordinary page may bear one, too: only with little else on the page it means something.
pub fn mark(page: &str) -> Option<&'static str> {
    MARKS.iter().find(|(mark, _)| page.contains(mark)).map(|(_, name)| *name)
}

/// The title is one of such a page, alone or before a separator.
pub fn is_title(title: &str) -> bool {
    let title = title.trim().to_lowercase();
    TITLES.iter().any(|known| {
        title.strip_prefix(known).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with([' ', '|', '-', '.', '…', '!', '?', ':']) && rest.len() < 40
        })
    })
}

/// A document that came in place of what was asked for: is it a check for robots? Answers whose it is.
pub fn of_refusal(body: &[u8]) -> Option<&'static str> {
    const LOOKED_AT: usize = 64 * 1024;
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]);
    mark(&text).or_else(|| page::title(&text).filter(|title| is_title(title)).map(|_| "the site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gatekeepers_are_known_by_mark_or_title() {
        for (body, expected) in [
            ("<html><title>Just a moment...</title></html>", Some("the site")),
            ("<title>x</title><script src='/cdn-cgi/challenge-platform/h/b.js'></script>", Some("Cloudflare")),
            ("<title>Attention Required! | Cloudflare</title>", Some("the site")),
            ("<title>Security checkpoint closed</title>", None),
            ("<title>Forbidden</title>", None),
            ("", None),
        ] {
            assert_eq!(of_refusal(body.as_bytes()), expected, "{body}");
        }
    }
}
