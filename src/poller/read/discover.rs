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

/// Addresses at which sites keep a feed without saying so, the commonest first. Relative to the page where they have no "/"
/// at their head.
const COMMON_FEEDS: &[&str] =
    &["feed/", "/feed/", "/rss.xml", "/feed.xml", "/atom.xml", "/rss", "/index.xml", "/feed.json", "/?feed=rss2"];

/// Where a feed may be although the page names none, in the order in which to ask.
pub fn common_feeds(url: &Url) -> Vec<Url> {
    let mut folder = url.clone();
    folder.set_query(None);
    folder.set_fragment(None);
    // A list at /news has its feed at /news/feed/; a file has none behind it.
    let path = folder.path().trim_end_matches('/').to_string();
    let is_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    folder.set_path(&if is_file { "/".to_string() } else { path + "/" });
    let mut found: Vec<Url> = Vec::new();
    for url in COMMON_FEEDS.iter().filter_map(|place| folder.join(place).ok()) {
        if !found.contains(&url) {
            found.push(url);
        }
    }
    found
}

/// Pages that may list the site's feeds: links called "RSS" or the like that are no feeds by their looks.
pub fn feed_pages(document: &Document<'_>) -> Vec<String> {
    const PAGES_MAX: usize = 2;
    let text = decode::text(document.body, document.content_type);
    let mut found: Vec<String> = Vec::new();
    for tag in page::tags(&text, &["a"]) {
        let Some(href) = tag.attribute("href") else { continue };
        let words =
            format!("{} {}", html::plain_line(tag.text_behind(), 60), tag.attribute("title").unwrap_or_default());
        let names_feed = words
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "rss" | "feed" | "feeds" | "atom"));
        let is_same = |url: &String| url.split('#').next() == document.url.as_str().split('#').next();
        if names_feed
            && !looks_like_feed(document.url, &href)
            && let Some(url) = absolute(document.url, &href).filter(|url| url.starts_with("http") && !is_same(url))
            && !found.contains(&url)
        {
            found.push(url);
            if found.len() == PAGES_MAX {
                break;
            }
        }
    }
    found
}

/// The sitemaps that a robots.txt names.
pub fn sitemaps(robots: &str) -> Vec<String> {
    const SITEMAPS_MAX: usize = 10;
    robots
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case("sitemap"))
        .filter_map(|(_, url)| Url::parse(url.trim()).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.as_str().len() < 2_000)
        .map(String::from)
        .take(SITEMAPS_MAX)
        .collect()
}

/// What a sitemap says of itself: its kind and how many addresses it holds; `None` for other documents.
pub fn sitemap(document: &Document<'_>) -> Option<String> {
    let text = decode::text(document.body, document.content_type);
    let count = |name: &'static [&'static str]| page::tags(&text, name).take(100_000).count();
    let head = text.get(..text.floor_char_boundary(4_000)).unwrap_or_default();
    if head.contains("<sitemapindex") {
        return Some(format!("an index of {}", plain::counted(count(&["sitemap"]), "sitemap")));
    }
    let kind = if head.contains("sitemap-news") { "a news sitemap" } else { "a sitemap" };
    head.contains("<urlset").then(|| match count(&["url"]) {
        1 => format!("{kind} with 1 address"),
        count => format!("{kind} with {count} addresses"),
    })
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
    fn common_places_are_asked_in_order() {
        let places = |url: &str| -> Vec<String> {
            common_feeds(&Url::parse(url).unwrap()).into_iter().take(2).map(String::from).collect()
        };
        assert_eq!(places("https://e.org/news?x=1"), ["https://e.org/news/feed/", "https://e.org/feed/"]);
        assert_eq!(places("https://e.org/"), ["https://e.org/feed/", "https://e.org/rss.xml"]);
        assert_eq!(places("https://e.org/a/list.html")[0], "https://e.org/feed/");
    }

    #[test]
    fn pages_about_feeds_and_sitemaps_are_found() {
        let url = Url::parse("https://www.example.org/news/").unwrap();
        let html = "<a href='/about-rss'>RSS</a> <a href='/all.rss'>RSS</a> <a href='/about'>Feeding birds</a>";
        let pages = feed_pages(&Document { url: &url, content_type: None, body: html.as_bytes() });
        assert_eq!(pages, ["https://www.example.org/about-rss"]);
        let robots =
            "User-agent: *\nDisallow: /x\nSitemap: https://e.org/a.xml\nsitemap:https://e.org/b.xml\nSitemap: /c";
        assert_eq!(sitemaps(robots), ["https://e.org/a.xml", "https://e.org/b.xml"]);
        let map = |body: &str| sitemap(&Document { url: &url, content_type: None, body: body.as_bytes() });
        assert_eq!(map("<urlset><url><loc>x</loc></url></urlset>").as_deref(), Some("a sitemap with 1 address"));
        assert_eq!(map("<html>"), None);
    }
}
