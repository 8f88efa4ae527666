//! `newswatch probe`: what could be watched at an address or in a file.
//!
//! Explanations are comments, so that the whole of what it prints is configuration: `newswatch probe URL >
//! config/sources.d/x.toml`.

mod offer;

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use url::Url;

use self::offer::Report;
pub(super) use self::offer::{Found, Offer};
use super::Global;
use crate::config::{Config, FetchSettings};
use crate::model::Reading;
use crate::plain;
use crate::poller::fetch::{Fetch, Request, Response};
use crate::poller::http::Http;
use crate::poller::identity;
use crate::poller::read::article::{self, Article};
use crate::poller::read::propose::{self, Proposal};
use crate::poller::read::{decode, discover, feed, page};
use crate::poller::source::{Document, ReadLimits};

/// Feeds that are read to say what they give.
const FEEDS_READ_MAX: usize = 6;
/// A larger file is none that a site would serve.
const FILE_BYTES_MAX: u64 = 24 << 20;
const ACCEPT_ANY: &str = "*/*";

/// Arguments of `newswatch probe`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address (http or https) or file
    target: String,
    /// Address that a file came from; relative links stand on it
    #[arg(long, value_name = "URL")]
    base_url: Option<Url>,
}

/// Prints what could be watched there, as configuration to paste.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // A bad or missing configuration must not keep anyone from looking at a site: its network settings are enough.
    let settings =
        Config::load(global.config.as_deref()).map_or_else(|_| FetchSettings::default(), |config| config.fetch);
    let now = super::now();
    let found = match Url::parse(&arguments.target) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            super::block_on(async { address(&Http::new(&settings)?, url, &settings, now).await })?
        }
        _ => {
            let response = from_file(&arguments.target, arguments.base_url.clone())?;
            super::block_on(async {
                Ok(Probe { fetch: None, report: Report::new(&settings, now) }.look(response).await)
            })?
        }
    };
    std::io::stdout().lock().write_all(found.text.as_bytes())?;
    Ok(if found.offers.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Looks at an address.
pub(super) async fn address(http: &Http, url: Url, settings: &FetchSettings, now: Timestamp) -> anyhow::Result<Found> {
    let response = http.fetch(Request::page(url, ACCEPT_ANY)).await?;
    if response.status != 200 {
        anyhow::bail!("{} answers with status {}", response.url, response.status);
    }
    Ok(Probe { fetch: Some(http), report: Report::new(settings, now) }.look(response).await)
}

/// A file as if it had been fetched; its address is the one given, else the one it calls its own.
fn from_file(target: &str, base: Option<Url>) -> anyhow::Result<Response> {
    let path = Path::new(target);
    let wrong = || format!("{} is neither an http address nor a file", plain::line(target, 300));
    let size = std::fs::metadata(path).with_context(wrong)?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{} is larger than {FILE_BYTES_MAX} bytes", plain::line(target, 300));
    let body = std::fs::read(path).with_context(wrong)?;
    let url = match base {
        Some(url) => url,
        None => match own_address(&decode::text(&body, None)) {
            Some(url) => url,
            None => Url::parse("about:blank")?,
        },
    };
    Ok(Response::new(200, url, body))
}

/// The address that a page calls its own.
fn own_address(text: &str) -> Option<Url> {
    let link = page::tags(text, &["link"])
        .find(|tag| tag.attribute("rel").is_some_and(|relation| relation.eq_ignore_ascii_case("canonical")))
        .and_then(|tag| tag.attribute("href"));
    let meta = || {
        page::tags(text, &["meta"])
            .find(|tag| tag.attribute("property").is_some_and(|property| property == "og:url"))
            .and_then(|tag| tag.attribute("content"))
    };
    let url = Url::parse(link.or_else(meta)?.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn document(response: &Response) -> Document<'_> {
    Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body }
}

/// One look at one place, with or without a network.
struct Probe<'a> {
    fetch: Option<&'a dyn Fetch>,
    report: Report<'a>,
}

impl Probe<'_> {
    async fn look(mut self, response: Response) -> Found {
        let refusal = match feed::read(&document(&response), &ReadLimits::default()) {
            Ok(reading) => {
                self.report.feed(response.url.as_str(), "", Some(&reading));
                return self.report.finish();
            }
            Err(refusal) => refusal,
        };
        let text = decode::text(&response.body, response.content_type.as_deref()).into_owned();
        if let Some(kind) = discover::sitemap(&document(&response)) {
            self.report.sitemap(response.url.as_str(), &kind, false);
            return self.report.finish();
        }
        if !page::is_page(&text) && page::tags(&text, &["a", "link"]).next().is_none() {
            self.report.say(&refusal.0);
            return self.report.finish();
        }
        let title = page::title(&text).unwrap_or_default();
        self.report.say(&format!("An HTML page titled \"{}\".", plain::line(&title, 100)));
        let feeds = self.feeds(&response).await;
        self.sitemaps(&response.url).await;
        self.page(&response, &text, &feeds).await;
        self.report.finish()
    }

    /// The feeds of a page: named by it, else by a page about feeds, else where sites keep them. Gives what they hold.
    async fn feeds(&mut self, response: &Response) -> Vec<Reading> {
        let mut readings = Vec::new();
        let named = discover::feeds_in_page(&document(response));
        for (count, found) in named.iter().enumerate() {
            let reading = if count < FEEDS_READ_MAX { self.feed(&found.url).await } else { Unread::NotAsked };
            match reading {
                Unread::Read(reading) => {
                    self.report.feed(&found.url, &found.title, Some(&reading));
                    readings.push(*reading);
                }
                Unread::NotAsked => self.report.feed(&found.url, &found.title, None),
                Unread::No(why) => self.report.no_feed(&found.url, &why),
            }
        }
        if !readings.is_empty() || (self.fetch.is_none() && !named.is_empty()) {
            return readings;
        }
        let Some(fetch) = self.fetch else { return readings };
        for url in discover::feed_pages(&document(response)) {
            let Ok(url) = Url::parse(&url) else { continue };
            let Ok(answer) = fetch.fetch(Request::page(url, ACCEPT_ANY)).await else { continue };
            if answer.status != 200 {
                continue;
            }
            if let Ok(reading) = feed::read(&document(&answer), &ReadLimits::default()) {
                self.report.feed(answer.url.as_str(), "", Some(&reading));
                readings.push(reading);
                continue;
            }
            for found in discover::feeds_in_page(&document(&answer)).iter().take(FEEDS_READ_MAX) {
                if let Unread::Read(reading) = self.feed(&found.url).await {
                    self.report.feed(&found.url, &found.title, Some(&reading));
                    readings.push(*reading);
                }
            }
        }
        if !readings.is_empty() {
            return readings;
        }
        tracing::info!("the page names no feed; looking where sites keep them");
        for url in discover::common_feeds(&response.url) {
            if let Unread::Read(reading) = self.feed(url.as_str()).await
                && !reading.entries.is_empty()
            {
                self.report.feed(url.as_str(), "", Some(&reading));
                readings.push(*reading);
                return readings;
            }
        }
        self.report.say("It names no feed, and there is none where sites keep them.");
        readings
    }

    async fn feed(&self, url: &str) -> Unread {
        let Some(fetch) = self.fetch else { return Unread::NotAsked };
        let Ok(url) = Url::parse(url) else { return Unread::No("not an address".into()) };
        match fetch.fetch(Request::get(url, ACCEPT_ANY)).await {
            Ok(answer) if answer.status == 200 => match feed::read(&document(&answer), &ReadLimits::default()) {
                Ok(reading) => Unread::Read(Box::new(reading)),
                Err(error) => Unread::No(error.0),
            },
            Ok(answer) => Unread::No(format!("status {}", answer.status)),
            Err(error) => Unread::No(error.text),
        }
    }

    /// Sitemaps by robots.txt, else at the usual place.
    async fn sitemaps(&mut self, url: &Url) {
        let Some(fetch) = self.fetch else { return };
        let mut found = Vec::new();
        if let Ok(robots) = url.join("/robots.txt")
            && let Ok(answer) = fetch.fetch(Request::get(robots, "text/plain")).await
            && answer.status == 200
        {
            found = discover::sitemaps(&decode::text(&answer.body, answer.content_type.as_deref()));
        }
        if found.is_empty()
            && let Ok(usual) = url.join("/sitemap.xml")
            && let Ok(answer) = fetch.fetch(Request::page(usual, ACCEPT_ANY)).await
            && answer.status == 200
            && let Some(kind) = discover::sitemap(&document(&answer))
        {
            self.report.sitemap(answer.url.as_str(), &kind, true);
            return;
        }
        for url in found {
            self.report.sitemap(&url, "named by robots.txt", true);
        }
    }

    /// The lists on the page, or the article that it is.
    async fn page(&mut self, response: &Response, text: &str, feeds: &[Reading]) {
        let proposals = propose::proposals(&document(response)).unwrap_or_else(|error| {
            self.report.say(&error.0);
            Vec::new()
        });
        let own = article::article(&document(response), &ReadLimits::default());
        let is_article = own.as_ref().is_ok_and(|article| is_article(text, article, proposals.first()));
        let language = page::tags(text, &["html"]).next().and_then(|tag| tag.attribute("lang"));
        if is_article {
            self.report.article("The page is one article. What is read of it:", own.as_ref().map_err(|e| e.0.as_str()));
            self.report.say("To watch its site, probe the page that lists its articles.");
        } else if proposals.is_empty() {
            self.report.say("No list of articles was found on the page; a script may fill it in.");
            self.report.article("What is read of it as an article:", own.as_ref().map_err(|error| error.0.as_str()));
            if feeds.is_empty() && own.is_ok() {
                self.report.watch(&response.url, &page::title(text).unwrap_or_default(), language.as_deref());
            }
        }
        for (number, proposal) in proposals.iter().enumerate() {
            let same = feeds.iter().any(|feed| shares_links(feed, &proposal.reading));
            // Articles often end in a list of others; it is shown, but not proposed.
            let rank = if is_article { number + 1 } else { number };
            let example = if rank == 0 { self.example(&proposal.reading).await } else { None };
            self.report.list(&response.url, proposal, language.as_deref(), rank, same, example);
        }
    }

    /// The article page of the first item.
    async fn example(&self, reading: &Reading) -> Option<Result<Article, String>> {
        let url = reading.entries.iter().find_map(|entry| Url::parse(entry.url.as_deref()?).ok())?;
        let answer = match self.fetch?.fetch(Request::page(url, "text/html, */*;q=0.5")).await {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => return Some(Err(format!("status {}", answer.status))),
            Err(error) => return Some(Err(error.text)),
        };
        Some(article::article(&document(&answer), &ReadLimits::default()).map_err(|error| error.0))
    }
}

/// What came of reading a feed.
enum Unread {
    Read(Box<Reading>),
    NotAsked,
    No(String),
}

/// Most of what the list shows stands in the feed, too.
fn shares_links(feed: &Reading, list: &Reading) -> bool {
    let links = |reading: &Reading| -> HashSet<String> {
        reading.entries.iter().filter_map(|entry| entry.url.as_deref().map(identity::canonical)).collect()
    };
    let (feed, list) = (links(feed), links(list));
    let fewer = feed.len().min(list.len()).max(1);
    feed.intersection(&list).count() * 2 > fewer
}

/// The page is one article and no list: it says so itself, or its text is long and not made of the list's headlines.
fn is_article(text: &str, article: &Article, list: Option<&Proposal>) -> bool {
    const TEXT_CHARACTERS_MIN: usize = 600;
    let says_so = page::tags(text, &["meta"])
        .filter(|tag| tag.attribute("property").is_some_and(|property| property == "og:type"))
        .any(|tag| tag.attribute("content").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("article")));
    let characters = article.text.chars().count();
    let Some(list) = list else { return says_so || characters >= TEXT_CHARACTERS_MIN };
    let entries = &list.reading.entries;
    let inside = entries.iter().filter(|entry| article.text.contains(entry.title.as_str())).count();
    if inside * 2 > entries.len() {
        return false;
    }
    let listed: usize = entries.iter().map(|entry| entry.title.chars().count() + entry.summary.chars().count()).sum();
    characters >= TEXT_CHARACTERS_MIN && (says_so || characters > listed.max(1_200))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(body: &str) -> String {
        let settings = FetchSettings::default();
        let url = Url::parse("https://example.org/x").unwrap();
        let response = Response::new(200, url, body.as_bytes().to_vec());
        let now = "2026-11-21T09:00:00Z".parse().unwrap();
        crate::cli::block_on(async {
            Ok(Probe { fetch: None, report: Report::new(&settings, now) }.look(response).await)
        })
        .unwrap()
        .text
    }

    #[test]
    fn feeds_pages_and_others_are_told_apart() {
        let feed = say("<rss version='2.0'><channel><title>T</title><item><title>One</title></item></channel></rss>");
        assert!(
            feed.contains("[[source]]\nname = \"example-org-t\"\ntitle = \"T\"\nurl = \"https://example.org/x\""),
            "{feed}"
        );
        assert!(feed.contains("# 1 entry"), "{feed}");
        let page = say("<html><link rel=alternate type='application/rss+xml' href=/f.xml>");
        assert!(page.contains("url = \"https://example.org/f.xml\""), "{page}");
        assert!(say("<html><title>T</title>").contains("# No list of articles was found on the page"));
        assert!(say("PK\u{3}\u{4}").starts_with("# no feed at all instead of a feed"));
    }

    #[test]
    fn a_list_is_proposed_and_an_article_is_shown() {
        let list = say(include_str!("../../tests/data/reading/list.html"));
        for part in
            ["item = \"li.story\"", "# 2026-11-19 Harbour authority opens", "kind = \"page\"", "language = \"en\""]
        {
            assert!(list.contains(part), "{part} is missing in\n{list}");
        }
        let article = say(include_str!("../../tests/data/reading/article.html"));
        assert!(article.contains("# title: Harbour workers end their strike"), "{article}");
        assert!(!article.contains("\n[[source]]\nname = \"example-org-harbour"), "{article}");
    }
}
