//! Sitemaps: the addresses of a site with the times of their last change (protocol 0.9 of sitemaps.org), the news extension
//! (title, language, publication date), indexes of further sitemaps, and plain lists of addresses.

use url::Url;

use super::feed::tokens::{Token, Tokens};
use super::guard::guarded;
use super::{dates, decode, entities, page, web_address};
use crate::model::{Entry, Part, Reading};
use crate::plain;
use crate::poller::source::{Document, ReadError, ReadLimits};

/// Addresses of one sitemap; the protocol allows no more.
const ADDRESSES_MAX: usize = 50_000;
/// Parts that one index may name; the protocol allows no more.
const PARTS_MAX: usize = 50_000;
const TITLE_CHARACTERS_MAX: usize = 1_000;
/// A value that is longer is none.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Lines that are looked at to tell a list of addresses from any other text.
const LINES_LOOKED_AT: usize = 20;

/// What is being read.
#[derive(Default)]
struct Draft {
    location: String,
    changed: String,
    title: String,
    published: String,
    language: String,
    publisher: String,
}

/// Reads a sitemap or an index of sitemaps.
pub fn read(document: &Document<'_>, _limits: &ReadLimits) -> Result<Reading, ReadError> {
    let text = decode::text(document.body, document.content_type);
    guarded("the sitemap", || read_text(&text, document.url))?
}

fn read_text(text: &str, base: &Url) -> Result<Reading, ReadError> {
    let mut reading = Reading { url: Some(base.to_string()), ..Reading::default() };
    let mut draft: Option<Draft> = None;
    let mut field = String::new();
    let mut value = String::new();
    let (mut is_sitemap, mut left_out, mut ended) = (false, 0usize, false);
    for token in Tokens::new(text) {
        match token {
            Token::Open(tag) => {
                let (prefix, name) = tag.split();
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    "urlset" | "sitemapindex" => is_sitemap = true,
                    "url" | "sitemap" if is_sitemap => draft = Some(Draft::default()),
                    _ => {}
                }
                // <image:loc> is another address than <loc>.
                let is_extension = prefix.eq_ignore_ascii_case("image") || prefix.eq_ignore_ascii_case("video");
                field = if is_extension || tag.empty { String::new() } else { name };
                value.clear();
            }
            Token::Text(text) if value.len() < VALUE_BYTES_MAX => value.push_str(&entities::decode(text)),
            Token::Literal(text) if value.len() < VALUE_BYTES_MAX => value.push_str(text),
            Token::Text(_) | Token::Literal(_) => {}
            Token::Close(name) => {
                let name = name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase();
                match name.as_str() {
                    "url" | "sitemap" => {
                        if let Some(draft) = draft.take() {
                            left_out += usize::from(!add(&mut reading, draft, name == "sitemap", base));
                        }
                    }
                    "urlset" | "sitemapindex" => ended = true,
                    _ if name == field => {
                        if let Some(draft) = &mut draft {
                            draft.set(&name, value.trim());
                        }
                    }
                    _ => {}
                }
                field.clear();
                value.clear();
            }
        }
    }
    if !is_sitemap {
        return addresses(text, reading, base);
    }
    if !ended {
        reading.truncated = true;
        reading.problems.push("the sitemap breaks off before its end; the addresses up to there were read".into());
    }
    if left_out > 0 {
        reading.problems.push(format!("{left_out} of its addresses could not be used"));
    }
    Ok(reading)
}

impl Draft {
    fn set(&mut self, field: &str, value: &str) {
        let place = match field {
            "loc" => &mut self.location,
            "lastmod" => &mut self.changed,
            "title" => &mut self.title,
            "publication_date" => &mut self.published,
            "language" => &mut self.language,
            "name" => &mut self.publisher,
            _ => return,
        };
        if place.is_empty() {
            *place = value.to_string();
        }
    }
}

/// False when it could not be used.
fn add(reading: &mut Reading, draft: Draft, is_part: bool, base: &Url) -> bool {
    let Some(url) = web_address(base, &draft.location) else { return false };
    if is_part {
        let fits = reading.parts.len() < PARTS_MAX;
        if fits {
            reading.parts.push(Part { url, changed: plain::line(&draft.changed, 60) });
        }
        return fits;
    }
    if reading.entries.len() >= ADDRESSES_MAX {
        return false;
    }
    let title = plain::line(&draft.title, TITLE_CHARACTERS_MAX);
    reading.entries.push(Entry {
        title: if title.is_empty() { title_of(&url) } else { title },
        guid: url.clone(),
        published: dates::timestamp(&draft.published),
        updated: dates::timestamp(&draft.changed),
        language: Some(plain::line(&draft.language, 20)).filter(|language| !language.is_empty()),
        publisher: plain::line(&draft.publisher, 200),
        url: Some(url),
        ..Entry::default()
    });
    true
}

/// A text sitemap: an address a line.
fn addresses(text: &str, mut reading: Reading, base: &Url) -> Result<Reading, ReadError> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_address = |line: &str| line.starts_with("http://") || line.starts_with("https://");
    let looked_at = lines().take(LINES_LOOKED_AT).count();
    let found = lines().take(LINES_LOOKED_AT).filter(|line| is_address(line)).count();
    if found == 0 || found * 2 < looked_at {
        return Err(refusal(text));
    }
    let mut left_out = 0usize;
    for line in lines() {
        let draft = Draft { location: line.to_string(), ..Draft::default() };
        left_out += usize::from(!is_address(line) || !add(&mut reading, draft, false, base));
    }
    if left_out > 0 {
        reading.problems.push(format!("{left_out} of its lines could not be used"));
    }
    Ok(reading)
}

fn refusal(text: &str) -> ReadError {
    if text.trim().is_empty() {
        return ReadError("an empty document instead of a sitemap".into());
    }
    if page::is_page(text) {
        let title = page::title(text).unwrap_or_default();
        return ReadError(format!("an HTML page titled \"{}\" instead of a sitemap", plain::line(&title, 80)));
    }
    ReadError(format!(
        "no sitemap: it has neither <urlset> nor <sitemapindex> and is no list of addresses; it begins with \"{}\"",
        plain::line(text.get(..200).unwrap_or(text), 60)
    ))
}

/// What the last part of an address says, for sitemaps that give no titles: ".../dprk-loses-seat.html" is "dprk loses seat".
pub fn title_of(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    let words = |segment: &str| -> String {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
        let name =
            decoded.rsplit_once('.').filter(|(_, end)| end.len() <= 5).map_or(decoded.as_ref(), |(name, _)| name);
        plain::line(&name.replace(['-', '_', '+'], " "), TITLE_CHARACTERS_MAX)
    };
    let mut segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    segments.reverse();
    let named = segments.iter().map(|segment| words(segment)).find(|name| name.chars().any(char::is_alphabetic));
    named.unwrap_or_else(|| plain::line(url.as_str(), TITLE_CHARACTERS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Reading, ReadError> {
        let url = Url::parse("https://example.org/sitemap.xml").unwrap();
        read(&Document { url: &url, content_type: None, body: text.as_bytes() }, &ReadLimits::default())
    }

    #[test]
    fn addresses_come_with_their_titles_and_dates() {
        let found = reading(include_str!("../../../tests/data/reading/sitemap-news.xml")).unwrap();
        let rows: Vec<(&str, &str, String)> = found
            .entries
            .iter()
            .map(|entry| {
                let date = entry.published.or(entry.updated).map_or(String::new(), |date| date.to_string());
                (entry.url.as_deref().unwrap_or_default(), entry.title.as_str(), date)
            })
            .collect();
        assert_eq!(
            rows,
            [
                (
                    "https://example.org/news/strike-ends",
                    "Strike ends & ferries sail",
                    "2026-11-20T08:00:00Z".to_string()
                ),
                (
                    "https://example.org/news/harbour-dues_2027.html",
                    "harbour dues 2027",
                    "2026-11-19T00:00:00Z".to_string()
                ),
                ("https://example.org/%ED%95%AD%EA%B5%AC/12", "항구", String::new()),
            ]
        );
        assert_eq!(found.entries[0].publisher, "The Harbour Post");
        assert_eq!(found.entries[0].language.as_deref(), Some("en"));
        assert_eq!(found.problems, ["1 of its addresses could not be used"]);
    }

    #[test]
    fn an_index_names_its_parts() {
        let found = reading(
            "<?xml version='1.0'?><sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
             <sitemap><loc>https://example.org/a.xml</loc><lastmod>2026-11-20</lastmod></sitemap>\
             <sitemap><loc>/b.xml.gz</loc></sitemap></sitemapindex>",
        )
        .unwrap();
        let part = |url: &str, changed: &str| Part { url: url.into(), changed: changed.into() };
        assert_eq!(
            found.parts,
            [part("https://example.org/a.xml", "2026-11-20"), part("https://example.org/b.xml.gz", "")]
        );
        assert!(found.entries.is_empty() && found.problems.is_empty());
    }

    #[test]
    fn a_list_of_addresses_is_a_sitemap_and_other_documents_are_named() {
        let found = reading("https://example.org/a-b\n\nhttps://example.org/c\r\nnonsense").unwrap();
        assert_eq!(found.entries.len(), 2);
        assert_eq!(found.problems, ["1 of its lines could not be used"]);
        for (text, expected) in [
            ("", "an empty document instead of a sitemap"),
            ("<html><title>Oops</title><p>x</html>", "an HTML page titled \"Oops\" instead of a sitemap"),
            ("<rss version='2.0'/>", "no sitemap: "),
        ] {
            assert!(reading(text).unwrap_err().0.starts_with(expected), "{text}");
        }
    }

    #[test]
    fn a_sitemap_that_breaks_off_gives_what_is_there() {
        let found = reading("<urlset><url><loc>https://example.org/a</loc></url><url><loc>https://exa").unwrap();
        assert_eq!((found.entries.len(), found.truncated), (1, true));
    }
}
