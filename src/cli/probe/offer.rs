//! What a probe found, as comments and configuration.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::cli::counted;
use crate::config::FetchSettings;
use crate::config::section::show_duration;
use crate::config::written::{Names, Written};
use crate::model::{Pace, Reading};
use crate::plain;
use crate::poller::read::article::Article;
use crate::poller::read::propose::Proposal;
use crate::poller::schedule::{self, Bounds};

/// Items shown of a list.
const SHOWN_MAX: usize = 8;
/// Characters shown of an article.
const ARTICLE_CHARACTERS: usize = 300;
/// Where no address is known.
const UNKNOWN: &str = "https://example.org/put-the-address-of-the-page-here";

/// What a probe found.
#[derive(Debug)]
pub(in crate::cli) struct Found {
    /// Configuration to paste, with explanations as comments.
    pub(in crate::cli) text: String,
    /// What can be watched there, what is worth most first; what is written down but switched off, too.
    pub(in crate::cli) offers: Vec<Offer>,
}

/// Something that can be watched.
#[derive(Debug)]
pub(in crate::cli) struct Offer {
    /// As configuration.
    pub(in crate::cli) source: Written,
    /// What it gives now, where that was read.
    pub(in crate::cli) reading: Option<Reading>,
}

/// The report under way.
pub(super) struct Report<'a> {
    settings: &'a FetchSettings,
    now: Timestamp,
    names: Names,
    text: String,
    offers: Vec<Offer>,
}

impl<'a> Report<'a> {
    pub(super) fn new(settings: &'a FetchSettings, now: Timestamp) -> Report<'a> {
        Report { settings, now, names: Names::default(), text: String::new(), offers: Vec::new() }
    }

    /// The whole.
    pub(super) fn finish(self) -> Found {
        Found { text: self.text, offers: self.offers }
    }

    fn offer(&mut self, source: Written, reading: Option<&Reading>) {
        self.text.push_str(&source.toml());
        self.offers.push(Offer { source, reading: reading.cloned() });
    }

    /// A comment.
    pub(super) fn say(&mut self, words: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# {}", plain::line(words, 500));
    }

    /// A comment that stands further in.
    fn detail(&mut self, words: &str) {
        let _ = writeln!(self.text, "#   {}", plain::line(words, 500));
    }

    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn name(&mut self, url: &str, title: &str) -> String {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_string)).unwrap_or_default();
        self.names.unique(&format!("{} {title}", host.strip_prefix("www.").unwrap_or(&host)))
    }

    /// A feed, and what it gives now.
    pub(super) fn feed(&mut self, url: &str, called: &str, reading: Option<&Reading>) {
        self.gap();
        let title = reading.map_or(called, |reading| if reading.title.is_empty() { called } else { &reading.title });
        self.say(&format!("Feed: {}", if title.is_empty() { "without a title" } else { title }));
        let mut interval = None;
        if let Some(reading) = reading {
            let (rhythm, fitting) = self.rhythm(reading);
            interval = fitting;
            let newest = reading.entries.iter().filter_map(|entry| entry.published.or(entry.updated)).max();
            let newest =
                newest.map_or(String::new(), |at| format!(", the newest of {}", crate::cli::show_time(Some(at))));
            let entries = plain::counted(reading.entries.len(), "entry");
            let language = reading.language.as_deref().map_or(String::new(), |tag| format!("; language {tag}"));
            self.say(&format!("{entries}{newest}{language}{rhythm}"));
            if let Some(first) = reading.entries.first() {
                self.say(&format!("first: {}", plain::line(&first.title, 120)));
            }
        }
        let name = self.name(url, title);
        let url = if url.starts_with("http") { url } else { UNKNOWN };
        let written = Written {
            name,
            title: title.to_string(),
            url: url.to_string(),
            interval,
            language: reading.and_then(|reading| reading.language.clone()),
            ..Written::default()
        };
        self.offer(written, reading);
    }

    /// Something that was linked as a feed and is none.
    pub(super) fn no_feed(&mut self, url: &str, why: &str) {
        self.say(&format!("Not a feed: {}: {}", plain::line(url, 200), plain::line(why, 200)));
    }

    /// A sitemap. Beside a feed or a list it is switched off: they tell the same, and sooner.
    pub(super) fn sitemap(&mut self, url: &str, kind: &str, disabled: bool) {
        self.gap();
        self.say(&format!("Sitemap: {} ({kind})", plain::line(url, 300)));
        if disabled {
            self.say(
                "Switched off: a feed or a list tells the same, and sooner. Where there is neither, switch it on.",
            );
        }
        let name = self.name(url, "sitemap");
        let (url, kind) = (url.to_string(), "sitemap");
        let written = Written { name, kind, url, article: true, disabled, ..Written::default() };
        self.offer(written, None);
    }

    /// A page without a list: its text can be watched.
    pub(super) fn watch(&mut self, url: &Url, title: &str, language: Option<&str>) {
        self.gap();
        self.say("The text of the page can be watched: passages that are added become items. `part`, a CSS selector, narrows it.");
        let written = Written {
            name: self.name(url.as_str(), &format!("{title} watch")),
            title: title.to_string(),
            kind: "watch",
            url: if url.scheme().starts_with("http") { url.to_string() } else { UNKNOWN.to_string() },
            language: language.map(|tag| tag.replace('_', "-")),
            ..Written::default()
        };
        self.offer(written, None);
    }

    /// What is read of an article page.
    pub(super) fn article(&mut self, head: &str, article: Result<&Article, &str>) {
        self.say(head);
        match article {
            Ok(article) => {
                self.say(&format!("title: {}", plain::line(&article.title, 200)));
                if let Some(language) = &article.language {
                    self.say(&format!("language: {language}"));
                }
                self.say(&format!(
                    "text, {} characters: {}",
                    article.text.chars().count(),
                    plain::line(&article.text, ARTICLE_CHARACTERS)
                ));
            }
            Err(why) => self.say(&format!("nothing: {why}")),
        }
    }

    /// A list on the page. The best is configuration, the others are comments; one that a feed gives, too, is switched off.
    pub(super) fn list(
        &mut self,
        url: &Url,
        proposal: &Proposal,
        language: Option<&str>,
        rank: usize,
        in_feed: bool,
        example: Option<Result<Article, String>>,
    ) {
        self.gap();
        let reading = &proposal.reading;
        let dated = reading.entries.iter().filter(|entry| entry.published.is_some()).count();
        let which = if rank == 0 { "List on the page" } else { "Another list on the page" };
        let (rhythm, interval) = self.rhythm(reading);
        self.say(&format!(
            "{which}: {}, {dated} of them dated{rhythm}. It gives now:",
            counted(reading.entries.len(), "item")
        ));
        for entry in reading.entries.iter().take(SHOWN_MAX) {
            let date = entry.published.map_or("no date".to_string(), |at| at.strftime("%Y-%m-%d").to_string());
            self.say(&format!("{date} {}", plain::line(&entry.title, 110)));
            self.detail(entry.url.as_deref().unwrap_or_default());
        }
        if reading.entries.len() > SHOWN_MAX {
            self.say(&format!("... and {} more", reading.entries.len() - SHOWN_MAX));
        }
        let mut article = true;
        if let Some(example) = &example {
            article = example.is_ok();
            self.article("The page of its first item:", example.as_ref().map_err(String::as_str));
        }
        if in_feed && rank == 0 {
            self.say("A feed above gives the same, so this one is switched off.");
        }
        let name = self.name(url.as_str(), &format!("{} page", reading.title));
        let written = Written {
            name,
            title: reading.title.clone(),
            kind: "page",
            url: if url.scheme().starts_with("http") { url.to_string() } else { UNKNOWN.to_string() },
            interval,
            language: language.map(|tag| tag.replace('_', "-")),
            article,
            disabled: in_feed,
            select: Some(proposal.select.clone()),
            ..Written::default()
        };
        if rank == 0 {
            self.offer(written, Some(reading));
            return;
        }
        for line in written.toml().lines() {
            let _ = writeln!(self.text, "# {line}");
        }
    }

    /// How often something is published, in words, and how often to ask.
    fn rhythm(&self, reading: &Reading) -> (String, Option<Duration>) {
        let pace = schedule::learn(&Pace::default(), reading, 0, None, self.now);
        let Some(gap) = pace.gap_seconds else { return (String::new(), None) };
        let bounds = Bounds {
            own_interval: None,
            interval: self.settings.interval,
            interval_min: self.settings.interval_min,
            interval_quiet: self.settings.interval_quiet,
            interval_max: self.settings.interval_max,
            retry_after_max: self.settings.retry_after_max,
        };
        let unit = if gap >= 86_400 {
            86_400
        } else if gap >= 3_600 {
            3_600
        } else {
            60
        };
        let about = show_duration(Duration::from_secs((gap / unit * unit).max(60)));
        (format!("; something new about every {about}"), schedule::fitting_interval(&bounds, &pace))
    }
}
