//! The source kind `feed`: RSS, Atom, RDF and JSON Feed.

use std::sync::Arc;

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::model::{Entry, Memory, Reading};
use crate::poller::read;

/// A name behind the last " - " of a title that is longer than this is no publisher.
const PUBLISHER_CHARACTERS_MAX: usize = 60;

/// A feed as configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feed {
    /// Titles end in " - Publisher", as aggregators write them.
    pub publisher_suffix: bool,
}

/// Reads the settings: `publisher_suffix = true` for aggregators.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    let publisher_suffix = section.boolean("publisher_suffix").unwrap_or(false);
    Some(Arc::new(Feed { publisher_suffix }))
}

impl Source for Feed {
    fn kind(&self) -> &'static str {
        "feed"
    }

    fn accept(&self) -> &'static str {
        "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml;q=0.9, application/xml;q=0.8, \
         text/xml;q=0.8, application/json;q=0.7, */*;q=0.1"
    }

    fn read(&self, document: &Document<'_>, limits: &ReadLimits, _: &mut Memory) -> Result<Reading, ReadError> {
        let mut reading = read::feed::read(document, limits)?;
        if self.publisher_suffix {
            reading.entries.iter_mut().for_each(cut_publisher);
        }
        Ok(reading)
    }
}

/// "Title - Publisher" becomes title and publisher.
fn cut_publisher(entry: &mut Entry) {
    let Some(at) = entry.title.rfind(" - ") else { return };
    let publisher = entry.title[at + 3..].trim();
    // What the feed itself names as the source decides; without it, a short name must do.
    let fits = publisher == entry.publisher
        || (entry.publisher.is_empty() && publisher.chars().count() <= PUBLISHER_CHARACTERS_MAX);
    if !publisher.is_empty() && fits {
        entry.publisher = publisher.to_string();
        entry.title.truncate(at);
        entry.title.truncate(entry.title.trim_end().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publisher_is_cut_from_the_title() {
        for (title, named, expected, publisher) in [
            ("Port strike ends - The Daily Sun", "", "Port strike ends", "The Daily Sun"),
            ("Iran - Iraq talks - Reuters", "Reuters", "Iran - Iraq talks", "Reuters"),
            ("Iran - Iraq talks", "Reuters", "Iran - Iraq talks", "Reuters"),
            ("No suffix", "", "No suffix", ""),
        ] {
            let mut entry = Entry { title: title.into(), publisher: named.into(), ..Entry::default() };
            cut_publisher(&mut entry);
            assert_eq!((entry.title.as_str(), entry.publisher.as_str()), (expected, publisher));
        }
    }
}
