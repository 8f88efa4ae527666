//! RSS, Atom and JSON feeds. (temporary)
use std::sync::Arc;
use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::model::{Entry, Reading, Timestamp};
#[derive(Debug)]
struct Feed;
/// Settings.
pub fn settings(_: &mut Section<'_>) -> Option<Arc<dyn Source>> { Some(Arc::new(Feed)) }
impl Source for Feed {
    fn kind(&self) -> &'static str { "feed" }
    fn accept(&self) -> &'static str { "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5" }
    fn read(&self, document: &Document<'_>, _limits: &ReadLimits) -> Result<Reading, ReadError> {
        let feed = feed_rs::parser::Builder::new().base_uri(Some(document.url.as_str())).build().parse(document.body).map_err(|e| ReadError(e.to_string()))?;
        let strip = |s: &str| { let mut out = String::new(); let mut tag=false; for c in s.chars() { match c { '<' => tag = true, '>' => tag=false, _ if !tag => out.push(c), _ => {} } } out.replace("&amp;","&") };
        Ok(Reading { entries: feed.entries.into_iter().map(|e| Entry { guid: e.id, url: e.links.first().map(|l| l.href.clone()), title: e.title.map(|t| strip(&t.content)).unwrap_or_default(), summary: e.summary.map(|t| strip(&t.content)).unwrap_or_default(), content: e.content.and_then(|c| c.body).map(|t| strip(&t)).unwrap_or_default(), published: e.published.and_then(|d| Timestamp::from_second(d.timestamp()).ok()), ..Entry::default()}).collect(), ..Reading::default() })
    }
}
