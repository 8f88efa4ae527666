//! The source kind `sitemap`: all addresses of a site, for sites that have neither feed nor list. An index leads to its
//! parts; a part that has not changed is not asked for.

use std::sync::Arc;

use regex::Regex;

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::{Entry, Memory, Part, Reading, Timestamp};
use crate::poller::parts;
use crate::poller::read;

/// A sitemap as configured.
#[derive(Clone, Debug, Default)]
pub struct Sitemap {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

/// Reads the settings: `include` and `exclude`, patterns of addresses.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    let include = section.patterns("include");
    let exclude = section.patterns("exclude");
    Some(Arc::new(Sitemap { include, exclude }))
}

impl Sitemap {
    fn is_wanted(&self, entry: &Entry) -> bool {
        self.leaves_out(entry.url.as_deref().unwrap_or_default()).is_none()
    }
}

impl Source for Sitemap {
    fn kind(&self) -> &'static str {
        "sitemap"
    }

    fn accept(&self) -> &'static str {
        "application/xml, text/xml;q=0.9, text/plain;q=0.5, */*;q=0.1"
    }

    fn unread(&self) -> Fault {
        Fault::NotAFeed
    }

    fn leaves_out(&self, url: &str) -> Option<String> {
        if let Some(pattern) = self.exclude.iter().find(|pattern| pattern.is_match(url)) {
            return Some(format!("`exclude` leaves out {pattern}"));
        }
        let included = self.include.is_empty() || self.include.iter().any(|pattern| pattern.is_match(url));
        (!included).then(|| "no pattern of its `include` matches".to_string())
    }

    fn drops_old_entries(&self) -> bool {
        false
    }

    fn remembers(&self) -> bool {
        true
    }

    fn parts_to_ask_again(&self, memory: &Memory, now: Timestamp) -> Vec<Part> {
        parts::undated(memory, now)
    }

    fn read(&self, document: &Document<'_>, limits: &ReadLimits, _: &mut Memory) -> Result<Reading, ReadError> {
        let mut reading = read::sitemap::read(document, limits)?;
        reading.entries.retain(|entry| self.is_wanted(entry));
        // The newest first, as everywhere; those without a date keep their order behind them.
        reading.entries.sort_by_key(|entry| std::cmp::Reverse(entry.published.or(entry.updated)));
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn only_wanted_addresses_are_kept_the_newest_first() {
        let sitemap =
            Sitemap { include: vec![Regex::new("/news/").unwrap()], exclude: vec![Regex::new("/news/sport").unwrap()] };
        let url = Url::parse("https://example.org/sitemap.xml").unwrap();
        let entry = |path: &str, date: &str| format!("<url><loc>/{path}</loc><lastmod>{date}</lastmod></url>");
        let body = format!(
            "<urlset>{}{}{}{}{}</urlset>",
            entry("news/a", "2026-01-01"),
            entry("news/b", "2026-03-01"),
            entry("news/c", ""),
            entry("news/sport/d", "2026-02-01"),
            entry("about", "2026-02-01"),
        );
        let document = Document { url: &url, content_type: None, body: body.as_bytes() };
        let reading = sitemap.read(&document, &ReadLimits::default(), &mut Memory::new()).unwrap();
        let titles: Vec<&str> = reading.entries.iter().map(|entry| entry.title.as_str()).collect();
        assert_eq!(titles, ["b", "a", "c"]);
    }
}
