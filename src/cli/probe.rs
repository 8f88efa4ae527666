//! `newswatch probe`: what could be watched at an address or in a file.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use url::Url;

use super::Global;
use crate::config::{Config, FetchSettings};
use crate::plain;
use crate::poller::fetch::{Fetch, Request};
use crate::poller::http::Http;
use crate::poller::read::{discover, feed};
use crate::poller::source::{Document, ReadLimits};

/// Arguments of `newswatch probe`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address (http or https) or file
    target: String,
}

/// Prints what could be watched there, as configuration to paste.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = match Url::parse(&arguments.target) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            // A bad or missing configuration must not keep anyone from looking at a site: its network settings are enough.
            let settings =
                Config::load(global.config.as_deref()).map_or_else(|_| FetchSettings::default(), |config| config.fetch);
            let http = Http::new(&settings)?;
            let response = super::block_on(async { Ok(http.fetch(Request::page(url, "*/*")).await?) })?;
            if response.status != 200 {
                anyhow::bail!("{} answers with status {}", response.url, response.status);
            }
            report(&Document {
                url: &response.url,
                content_type: response.content_type.as_deref(),
                body: &response.body,
            })
        }
        _ => {
            let path = Path::new(&arguments.target);
            let body = std::fs::read(path).with_context(|| {
                format!("{} is neither an http address nor a file", plain::line(&arguments.target, 300))
            })?;
            let url = Url::parse("about:blank")?;
            report(&Document { url: &url, content_type: None, body: &body })
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if text.contains("[[source]]") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a document offers for watching, as TOML ready to paste, with comments that say what was found.
pub fn report(document: &Document<'_>) -> String {
    let refusal = match feed::read(document, &ReadLimits::default()) {
        Ok(reading) => {
            let found = discover::FoundFeed {
                url: document.url.to_string(),
                title: reading.title.clone(),
                media_type: String::new(),
            };
            let newest = reading
                .entries
                .first()
                .map(|entry| format!("; first: {}", plain::line(&entry.title, 80)))
                .unwrap_or_default();
            return format!("# a feed with {} entries{newest}\n{}", reading.entries.len(), discover::as_toml(&[found]));
        }
        Err(refusal) => refusal,
    };
    let feeds = discover::feeds_in_page(document);
    if feeds.is_empty() {
        return format!("# {refusal}\n");
    }
    format!("# {} feeds linked there\n{}", feeds.len(), discover::as_toml(&feeds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    #[test]
    fn feeds_pages_and_others_are_told_apart() {
        let url = Url::parse("https://example.org/x").unwrap();
        let say = |body: &str| report(&Document { url: &url, content_type: None, body: body.as_bytes() });
        assert!(
            say("<rss version='2.0'><channel><title>T</title><item><title>One</title></item></channel></rss>")
                .starts_with("# a feed with 1 entries; first: One\n# T\n[[source]]")
        );
        assert!(
            say("<html><link rel=alternate type='application/rss+xml' href=/f.xml>")
                .starts_with("# 1 feeds linked there\n[[source]]")
        );
        assert_eq!(say("<html><title>T</title>"), "# an HTML page titled \"T\" instead of a feed; it links no feed\n");
    }
}
