//! Pure: bytes to text, and documents to what they say.
//!
//! Bytes are decoded once ([`decode`]), everything that leaves is plain text ([`html`]), and every parser that was written
//! elsewhere runs behind [`guard`].

pub mod article;
pub mod bot_check;
pub mod dates;
pub mod decode;
pub mod discover;
pub mod entities;
pub mod feed;
pub mod guard;
pub mod html;
pub mod json;
pub mod mail;
mod markup;
pub mod mojibake;
pub mod opml;
pub mod page;
pub mod pdf;
pub mod propose;
pub mod sitemap;

use url::Url;

/// A longer address is none that a server would answer to.
const ADDRESS_BYTES_MAX: usize = 16 * 1024;
/// A base is joined to every link of a document.
const BASE_BYTES_MAX: usize = 2 * 1024;

/// The absolute form of a link found in a document; `None` for links that lead to no document (scripts, data, mail).
/// Where the base cannot carry a relative link, the link stays as it is written.
pub fn absolute(base: &Url, link: &str) -> Option<String> {
    let link = link.trim();
    if link.is_empty() || link.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    match base.join(link) {
        Ok(url) if url.as_str().len() > ADDRESS_BYTES_MAX => None,
        Ok(url) if matches!(url.scheme(), "javascript" | "vbscript" | "data" | "mailto" | "file" | "about") => None,
        Ok(url) => Some(url.into()),
        // No base to stand on, or not an address at all: only the former is worth keeping.
        Err(_)
            if base.cannot_be_a_base()
                && Url::parse(link).is_err_and(|e| e == url::ParseError::RelativeUrlWithoutBase) =>
        {
            Some(link.to_string())
        }
        Err(_) => None,
    }
}

/// As [`absolute`], for links that must lead to a page of the web.
pub fn web_address(base: &Url, link: &str) -> Option<String> {
    absolute(base, link).filter(|url| url.starts_with("http://") || url.starts_with("https://"))
}

/// The base that a document names for its links, if it can be one.
pub fn base(outer: &Url, link: &str) -> Option<Url> {
    let link = link.trim();
    if link.len() > BASE_BYTES_MAX {
        return None;
    }
    let base = outer.join(link).ok()?;
    (matches!(base.scheme(), "http" | "https") && base.as_str().len() <= BASE_BYTES_MAX).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_absolute_or_vanish() {
        let base = Url::parse("https://example.org/news/list.html").unwrap();
        for (link, expected) in [
            ("a.html", Some("https://example.org/news/a.html")),
            ("  /b?x=1 ", Some("https://example.org/b?x=1")),
            ("//cdn.example.org/c", Some("https://cdn.example.org/c")),
            ("javascript:alert(1)", None),
            ("http://[bad", None),
            (&"x".repeat(20_000), None),
            // Escaping makes three bytes of one.
            (&"é".repeat(6_000), None),
            ("", None),
        ] {
            assert_eq!(absolute(&base, link).as_deref(), expected, "{link}");
        }
        assert_eq!(web_address(&base, "/b").as_deref(), Some("https://example.org/b"));
        assert_eq!(web_address(&base, "httpa://example.org/b"), None);
        for (link, expected) in [
            ("/x/", Some("https://example.org/x/")),
            ("//cdn.example.org", Some("https://cdn.example.org/")),
            ("mailto:desk@example.org", None),
            ("file:///", None),
            (&"x".repeat(5_000), None),
        ] {
            assert_eq!(super::base(&base, link).as_ref().map(Url::as_str), expected, "{link}");
        }
        let nothing = Url::parse("about:blank").unwrap();
        assert_eq!(absolute(&nothing, "a/b").as_deref(), Some("a/b"));
        assert_eq!(absolute(&nothing, "https://example.org").as_deref(), Some("https://example.org/"));
    }
}
