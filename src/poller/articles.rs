//! The article pages of a source's items: fetched within a visit, as far as its time goes.

use std::time::{Duration, Instant};

use url::Url;

use super::fetch::Request;
use super::outcome::{bot_check_failure, status_in_words};
use super::read::article::article;
use super::read::bot_check;
use super::source::Document;
use super::visit::{Visitor, reader_in_words};
use crate::config::SourceConfig;
use crate::fault::Fault;
use crate::model::{ArticleState, Item};
use crate::plain;
use crate::store;
use crate::store::sources::VisitResult;

/// Article pages are fetched no longer than this in one visit; the rest waits for the next one. Well below the lease.
const ARTICLES_TIME_MAX: Duration = Duration::from_secs(240);
/// One article page, with its redirects and the wait for its host.
const ARTICLE_TIME_MAX: Duration = Duration::from_secs(120);
const ACCEPT_ARTICLE: &str = "text/html, application/xhtml+xml;q=0.9, */*;q=0.5";

impl Visitor {
    /// Fetches the article pages of new items, then of those that earlier visits could not read.
    pub(super) async fn read_articles(
        &self,
        source: &SourceConfig,
        result: &mut VisitResult,
        started: Instant,
    ) -> store::Result<()> {
        let limit = self.settings.articles_per_visit_max;
        let in_time = || started.elapsed() < ARTICLES_TIME_MAX;
        let mut fetched = 0;
        for new in &mut result.new_items {
            if fetched == limit || !in_time() {
                break;
            }
            if new.item.article_state == ArticleState::Unread {
                fetched += 1;
                self.read_article(source, &mut new.item).await;
            }
        }
        let earlier = self.store.unread_articles(&source.name, limit - fetched).await?;
        for mut item in earlier {
            if !in_time() {
                break;
            }
            self.read_article(source, &mut item).await;
            result.articles.push(item);
        }
        Ok(())
    }

    /// Fills in the article's text, or the reason why there is none.
    async fn read_article(&self, source: &SourceConfig, item: &mut Item) {
        let reading = self.article_text(source, item.url.as_deref().unwrap_or_default());
        let read = tokio::time::timeout(ARTICLE_TIME_MAX, reading).await;
        match read.unwrap_or_else(|_| Err("it took too long".to_string())) {
            Ok(text) => {
                item.article = plain::text(&text, self.settings.text_bytes_max);
                item.article_state = ArticleState::Read;
                item.article_problem = String::new();
            }
            Err(reason) => item.article_problem = plain::line(&reason, 500),
        }
    }

    async fn article_text(&self, source: &SourceConfig, url: &str) -> Result<String, String> {
        let url = Url::parse(url).map_err(|error| format!("its address cannot be used: {error}"))?;
        let mut request = Request::page(url, ACCEPT_ARTICLE);
        request.access = source.access()?;
        let response = self.fetch.fetch(request).await.map_err(|error| {
            if error.fault == Fault::Refused {
                // What a feed links to may be an attempt to reach something through us.
                tracing::warn!(source = source.name, "an article of {} was not asked for: {error}", source.name);
            }
            error.to_string()
        })?;
        if response.status != 200 {
            let gatekeeper = bot_check::of_refusal(&response.body).filter(|_| response.status >= 400);
            return Err(match gatekeeper {
                Some(gatekeeper) => bot_check_failure(response.status, gatekeeper).reason,
                None => status_in_words(response.status),
            });
        }
        let limits = self.limits();
        let read = self.apart(response, move |response| {
            let document =
                Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
            article(&document, &limits).map(|article| article.text)
        });
        match read.await {
            Ok(read) => read.map_err(|error| error.0),
            Err(fault) => Err(reader_in_words(fault).to_string()),
        }
    }
}
