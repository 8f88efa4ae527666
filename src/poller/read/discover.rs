//! What could be watched on a page, and how to write it down.

use url::Url;

use super::{absolute, decode, html, page};
use crate::plain;
use crate::poller::source::Document;

/// Feeds offered of one page.
const FEEDS_MAX: usize = 20;

/// A feed that a page links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFeed {
    /// Absolute address.
    pub url: String,
    /// What the page calls it.
    pub title: String,
    /// Media type, where the page names one.
    pub media_type: String,
}

/// The feeds that a page links: those it declares (`<link rel="alternate">`), then links that look like feeds.
pub fn feeds_in_page(document: &Document<'_>) -> Vec<FoundFeed> {
    let text = decode::text(document.body, document.content_type);
    let mut declared = Vec::new();
    let mut linked = Vec::new();
    let mut base = document.url.clone();
    for tag in page::tags(&text, &["base", "link", "a"]) {
        let Some(href) = tag.attribute("href") else { continue };
        let media_type = tag.attribute("type").unwrap_or_default().trim().to_ascii_lowercase();
        match tag.name {
            "base" => base = super::base(document.url, &href).unwrap_or(base),
            "link" => {
                let relation = tag.attribute("rel").unwrap_or_default().to_ascii_lowercase();
                let is_feed = is_feed_type(&media_type)
                    && relation.split_whitespace().any(|word| matches!(word, "alternate" | "feed"));
                if is_feed || relation.split_whitespace().any(|word| word == "feed") {
                    add(&mut declared, &base, &href, &tag.attribute("title").unwrap_or_default(), media_type);
                }
            }
            _ => {
                if is_feed_type(&media_type) || looks_like_feed(&base, &href) {
                    let title = tag.attribute("title").unwrap_or_else(|| html::plain_line(tag.text_behind(), 100));
                    add(&mut linked, &base, &href, &title, media_type);
                }
            }
        }
    }
    for feed in linked {
        if !declared.iter().any(|known: &FoundFeed| known.url == feed.url) {
            declared.push(feed);
        }
    }
    declared.truncate(FEEDS_MAX);
    declared
}

fn add(list: &mut Vec<FoundFeed>, base: &Url, href: &str, title: &str, media_type: String) {
    // Each newcomer is compared with all, so there must not be many.
    if list.len() < FEEDS_MAX
        && let Some(url) = absolute(base, href).filter(|url| url.starts_with("http"))
        && !list.iter().any(|known| known.url == url)
    {
        list.push(FoundFeed { url, title: html::plain_line(title, 200), media_type: plain::line(&media_type, 60) });
    }
}

fn is_feed_type(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    matches!(
        media_type,
        "application/rss+xml"
            | "application/atom+xml"
            | "application/rdf+xml"
            | "application/feed+json"
            | "application/rss"
            | "application/atom"
    )
}

/// The address ends as those of feeds do.
fn looks_like_feed(base: &Url, href: &str) -> bool {
    let Ok(url) = base.join(href.trim()) else { return false };
    let path = url.path().trim_end_matches('/').to_ascii_lowercase();
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(
        last,
        "rss"
            | "feed"
            | "atom"
            | "rss.xml"
            | "feed.xml"
            | "atom.xml"
            | "index.rdf"
            | "rss.php"
            | "feed.json"
            | "rss2"
            | "feeds"
    ) || [".rss", ".atom", ".rdf"].iter().any(|end| last.ends_with(end))
        || last.ends_with(".xml") && (last.contains("rss") || last.contains("feed"))
        || url.query().is_some_and(|query| {
            query.contains("feed=rss") || query.contains("feed=atom") || query.contains("format=feed")
        })
}

/// Feeds as `[[source]]` tables, ready to paste into a configuration.
pub fn as_toml(feeds: &[FoundFeed]) -> String {
    let mut out = String::new();
    let mut names: Vec<String> = Vec::new();
    for feed in feeds {
        let host = Url::parse(&feed.url).ok().and_then(|url| url.host_str().map(str::to_string)).unwrap_or_default();
        let host = host.strip_prefix("www.").unwrap_or(&host).to_string();
        let mut name = slug(&host, &feed.title);
        let first = name.clone();
        for number in 2.. {
            if !names.contains(&name) {
                break;
            }
            name = format!("{first}-{number}");
        }
        if !out.is_empty() {
            out.push('\n');
        }
        if !feed.title.is_empty() {
            out.push_str(&format!("# {}\n", plain::line(&feed.title, 200)));
        }
        out.push_str(&format!("[[source]]\nname = {}\nkind = \"feed\"\nurl = {}\n", quoted(&name), quoted(&feed.url)));
        names.push(name);
    }
    out
}

/// A name for a source: the host, and the title's words where there are any.
fn slug(host: &str, title: &str) -> String {
    let words: Vec<String> = format!("{host} {title}")
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty())
        .take(5)
        .map(str::to_string)
        .collect();
    words.join("-")
}

/// A TOML text.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<FoundFeed> {
        let url = Url::parse("https://www.example.org/news/").unwrap();
        feeds_in_page(&Document { url: &url, content_type: None, body: html.as_bytes() })
    }

    #[test]
    fn declared_feeds_come_first_and_once() {
        let feeds = found(
            "<html><head><link rel='alternate' type='application/rss+xml' title='All &amp; more' href='/all.rss'>\
             <link rel=stylesheet href=x.css><link rel=alternate hreflang=fr href=/fr></head>\
             <a href='/all.rss'>RSS</a> <a href='sport/feed/'>Sport <b>feed</b></a> <a href='/about'>About</a>",
        );
        let rows: Vec<(&str, &str)> = feeds.iter().map(|feed| (feed.url.as_str(), feed.title.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("https://www.example.org/all.rss", "All & more"),
                ("https://www.example.org/news/sport/feed/", "Sport feed")
            ]
        );
    }

    #[test]
    fn of_many_feeds_the_first_are_offered() {
        let link = |number: usize| format!("<a href='/{number}.rss'>x</a><link rel=feed href='/{number}'>");
        let feeds = found(&(0..50_000).map(link).collect::<String>());
        assert_eq!((feeds.len(), feeds[19].url.as_str()), (20, "https://www.example.org/19"));
    }

    #[test]
    fn the_proposal_is_valid_configuration() {
        let feed =
            |url: &str, title: &str| FoundFeed { url: url.into(), title: title.into(), media_type: String::new() };
        let text = as_toml(&[
            feed("https://www.example.org/a.rss", "News\n\"x\""),
            feed("https://example.org/b", "News \"x\""),
        ]);
        assert_eq!(
            text,
            "# News \"x\"\n[[source]]\nname = \"example.org-news-x\"\nkind = \"feed\"\nurl = \"https://www.example.org/a.rss\"\n\n\
             # News \"x\"\n[[source]]\nname = \"example.org-news-x-2\"\nkind = \"feed\"\nurl = \"https://example.org/b\"\n"
        );
        assert!(text.parse::<toml::Table>().is_ok());
    }
}
