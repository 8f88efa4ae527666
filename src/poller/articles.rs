//! The article pages of a source's items: fetched behind a visit, as far as its time goes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::capture::{Asked, Captured, capture};
use super::fetch::Request;
use super::outcome::{self, Failure};
use super::pdf;
use super::read::article::{self, Article};
use super::read::sitemap;
use super::source::{Document, ReadError};
use super::visit::{Visitor, reader_in_words};
use crate::config::SourceConfig;
use crate::fault::Fault;
use crate::model::{ArticleState, Id, Item};
use crate::plain;
use crate::store;
use crate::store::evidence::{NewCapture, NewReread};

/// Article pages are fetched no longer than this in one visit; the rest waits for the next one. Well below the lease.
const ARTICLES_TIME_MAX: Duration = Duration::from_secs(240);
/// One article page, with its redirects and the wait for its host.
const ARTICLE_TIME_MAX: Duration = Duration::from_secs(120);
const ACCEPT_ARTICLE: &str = "text/html, application/xhtml+xml;q=0.9, application/pdf;q=0.8, */*;q=0.5";

/// What came of an item's article page.
#[derive(Debug)]
pub enum ArticleResult {
    /// It was fetched: the item has its article, with the page as it came, or the reason why there is none.
    Tried(Box<Item>, Option<Box<NewCapture>>),
    /// Its turn has not come.
    Left(Id),
    /// The page of a hit was looked at again.
    Reread(Box<NewReread>),
}

impl Visitor {
    /// Fetches the article pages of new items, then of those that earlier visits could not read. Each item is handed to `done`
    /// as soon as its page was tried; those whose turn has not come are handed over as left.
    pub async fn read_articles(
        &self,
        source: &SourceConfig,
        new: Vec<Item>,
        done: impl Fn(ArticleResult),
    ) -> store::Result<()> {
        let started = Instant::now();
        let limit = self.settings.articles_per_visit_max;
        let in_time = || started.elapsed() < ARTICLES_TIME_MAX;
        let just_seen: BTreeSet<Id> = new.iter().map(|item| item.id).collect();
        // Hosts that want to be left alone: the rest of their pages waits for a later visit.
        let mut resting = BTreeSet::new();
        let mut fetched = 0;
        for mut item in new {
            if fetched == limit || !in_time() || resting.contains(&host(&item)) {
                done(ArticleResult::Left(item.id));
                continue;
            }
            fetched += 1;
            let (page, goes_on) = self.read_article(source, &mut item).await;
            if !goes_on {
                resting.insert(host(&item));
            }
            done(ArticleResult::Tried(Box::new(item), page));
        }
        if fetched == limit {
            return Ok(());
        }
        let earlier = self.store.unread_articles(&source.name, limit - fetched + just_seen.len()).await?;
        let earlier = earlier.into_iter().filter(|item| !just_seen.contains(&item.id));
        for mut item in earlier.take(limit - fetched) {
            if !in_time() {
                break;
            }
            if resting.contains(&host(&item)) {
                continue;
            }
            let (page, goes_on) = self.read_article(source, &mut item).await;
            if goes_on {
                done(ArticleResult::Tried(Box::new(item), page));
            } else {
                // No attempt: the page may well be readable when its site wants to see us again.
                resting.insert(host(&item));
            }
        }
        Ok(())
    }

    /// Looks again at pages of hits: were they changed since people were told of them? A host that wants to be left alone is asked at
    /// a later visit.
    pub async fn look_again(&self, source: &SourceConfig, done: impl Fn(ArticleResult)) -> store::Result<()> {
        let (started, per_day_max) = (Instant::now(), self.evidence.look_again_per_day_max);
        if per_day_max == 0 {
            return Ok(());
        }
        let items = self.store.pages_to_look_at(&source.name, per_day_max, self.clock.now()).await?;
        for item in items.into_iter().take(self.settings.articles_per_visit_max) {
            if started.elapsed() >= ARTICLES_TIME_MAX {
                break;
            }
            let mut now = Item { article: String::new(), article_state: ArticleState::Unread, ..item };
            let (page, goes_on) = self.read_article(source, &mut now).await;
            if !goes_on {
                break;
            }
            let article = match now.article_state {
                ArticleState::Read => Ok(now.article),
                _ => Err(now.article_problem),
            };
            done(ArticleResult::Reread(Box::new(NewReread { item: now.id, article, page: page.map(|page| *page) })));
        }
        Ok(())
    }

    /// Fills in the article's text, or the reason why there is none. Answers the page as it came, and false when its host is to be
    /// left alone for now.
    async fn read_article(&self, source: &SourceConfig, item: &mut Item) -> (Option<Box<NewCapture>>, bool) {
        let reading = self.article(source, item.url.as_deref().unwrap_or_default());
        let read = tokio::time::timeout(ARTICLE_TIME_MAX, reading).await;
        match read.unwrap_or_else(|_| Err(Failure::new(Fault::Slow, "it took too long"))) {
            Ok((article, page)) => {
                take(item, article, self.settings.text_bytes_max, self.clock.now());
                (page.map(|page| Box::new(page.of_items(vec![item.id], &self.evidence))), true)
            }
            Err(failure) => {
                item.article_problem = plain::line(&failure.reason, 500);
                if failure.fault == Fault::Refused {
                    // What a feed links to may be an attempt to reach something through us.
                    let problem = &item.article_problem;
                    tracing::info!(source = source.name, "an article of {} is not asked for: {problem}", source.name);
                }
                let wants_rest = matches!(
                    failure.fault,
                    Fault::SlowDown | Fault::BotCheck | Fault::RobotsUnreachable | Fault::ServerTrouble | Fault::Slow
                );
                (None, !wants_rest)
            }
        }
    }

    async fn article(&self, source: &SourceConfig, url: &str) -> Result<(Article, Option<Captured>), Failure> {
        let url = Url::parse(url)
            .map_err(|error| Failure::new(Fault::Refused, format!("its address cannot be used: {error}")))?;
        let mut request = Request::page(url, ACCEPT_ARTICLE);
        request.access = source.access().map_err(|reason| Failure::new(Fault::LoginWanted, reason))?;
        let url = request.url.clone();
        let response = self.fetch.fetch(request).await?;
        let asked = Asked { source: source.name.clone(), url, at: self.clock.now() };
        if response.status != 200 {
            return Err(outcome::refused(response.status, &response, None, self.clock.now()));
        }
        let (limits, settings) = (self.limits(), self.evidence.clone());
        if pdf::is_pdf(&response.body) {
            let report = self.pdf.read(&response.body, limits.text_bytes_max).await?;
            let (title, published) = (report.about.title, report.about.date);
            let page = self.apart(response, move |response| capture(&response, &asked, &settings)).await;
            let article = Article { title, published, text: report.text, ..Article::default() };
            return Ok((article, page.ok().flatten()));
        }
        let read = self.apart(response, move |response| {
            let document =
                Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
            let article = article::article(&document, &limits)?;
            Ok((article, capture(&response, &asked, &settings)))
        });
        match read.await {
            Ok(read) => read.map_err(|error: ReadError| Failure::new(Fault::NotAFeed, error.0)),
            Err(fault) => Err(Failure::new(fault, reader_in_words(fault))),
        }
    }
}

/// Puts what the page says into the item. What the source itself said stays: it knows its items, and a page may be dated by its
/// last change.
fn take(item: &mut Item, article: Article, text_bytes_max: usize, now: Timestamp) {
    item.article = plain::text(&article.text, text_bytes_max);
    item.article_state = ArticleState::Read;
    item.article_problem = String::new();
    // A sitemap without titles gives what its addresses say.
    let is_made_up = item.url.as_deref().is_some_and(|url| sitemap::title_of(url) == item.title);
    if item.title.is_empty() || is_made_up && !article.title.is_empty() {
        item.title = plain::line(&article.title, 1_000);
    }
    if item.language.is_empty() {
        item.language = plain::line(article.language.as_deref().unwrap_or_default(), 20);
    }
    // A date to come is that of an event, or a mistake.
    let is_past = |published: &Timestamp| *published <= now + SignedDuration::from_hours(24);
    item.published_at = item.published_at.or(article.published.filter(is_past));
}

/// The host that an item's article is at.
fn host(item: &Item) -> String {
    let url = item.url.as_deref().and_then(|url| Url::parse(url).ok());
    url.and_then(|url| url.host_str().map(str::to_string)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    fn item() -> Item {
        Item {
            id: Id(1),
            source: "harbour".into(),
            key: "1".into(),
            url: None,
            title: String::new(),
            summary: String::new(),
            content: String::new(),
            article: String::new(),
            article_state: ArticleState::Unread,
            article_problem: "it took too long".into(),
            publisher: String::new(),
            language: String::new(),
            published_at: None,
            first_seen_at: "2026-09-27T00:00:00Z".parse().unwrap(),
            backlog: false,
        }
    }

    fn page(published: &str) -> Article {
        Article {
            title: "Strike ends".into(),
            text: "After nine days.".into(),
            language: Some("en-GB".into()),
            published: at(published),
            ..Article::default()
        }
    }

    #[test]
    fn an_article_fills_in_what_its_source_left_out() {
        let now = "2026-09-27T00:00:00Z".parse().unwrap();
        let mut bare = item();
        take(&mut bare, page("2026-09-26T10:11:12Z"), 1_000, now);
        assert_eq!((bare.title.as_str(), bare.language.as_str()), ("Strike ends", "en-GB"));
        assert_eq!((bare.published_at, bare.article_problem.as_str()), (at("2026-09-26T10:11:12Z"), ""));

        let said =
            Item { title: "Harbour".into(), language: "fr".into(), published_at: at("2026-09-20T00:00:00Z"), ..item() };
        let mut full = said.clone();
        take(&mut full, page("2026-09-26T10:11:12Z"), 1_000, now);
        assert_eq!((&full.title, &full.language, full.published_at), (&said.title, &said.language, said.published_at));

        let mut early = item();
        take(&mut early, page("2031-01-01T00:00:00Z"), 1_000, now);
        assert_eq!(early.published_at, None, "a date to come is none");
    }
}
