//! The source kind `page`: a page that lists items, read with CSS selectors.

use std::str::FromStr;
use std::sync::Arc;

use scraper::{ElementRef, Html, Node, Selector};
use url::Url;

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::{Entry, Memory, Reading, Timestamp};
use crate::plain;
use crate::poller::identity;
use crate::poller::read::{self, absolute, dates, decode, guard::guarded, html, web_address};

/// Pages read in one visit where the list goes on, unless `pages` says otherwise.
const PAGES: i64 = 3;
const PAGES_MAX: i64 = 20;
/// Characters kept of a title.
const TITLE_CHARACTERS_MAX: usize = 1_000;

/// Nodes looked at in all items together. Items may stand inside one another, 256 deep; then each text is looked at as often.
const WORK_MAX: usize = 1_000_000;
/// Bytes of all entries of one page.
const ENTRIES_BYTES_MAX: usize = 16 << 20;

/// A list page as configured.
#[derive(Debug)]
pub struct Page {
    item: Selector,
    /// As written.
    select: Select,
    link: Option<Pick>,
    title: Option<Pick>,
    date: Option<Pick>,
    summary: Option<Pick>,
    date_format: Option<String>,
    may_be_empty: bool,
    next: Option<Pick>,
    pages: usize,
}

/// The selectors of a list page, as they are written in `[source.select]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// The block that is one item.
    pub item: String,
    /// The rest stands within it.
    pub link: Option<String>,
    /// The headline.
    pub title: Option<String>,
    /// The day.
    pub date: Option<String>,
    /// The teaser.
    pub summary: Option<String>,
}

impl Page {
    /// A page that is read with these selectors; the error says which of them is none.
    pub fn of(select: &Select) -> Result<Page, String> {
        let pick = |text: &Option<String>| text.as_deref().map(str::parse::<Pick>).transpose();
        Ok(Page {
            item: parse(&select.item)?,
            select: select.clone(),
            link: pick(&select.link)?,
            title: pick(&select.title)?,
            date: pick(&select.date)?,
            summary: pick(&select.summary)?,
            date_format: None,
            may_be_empty: false,
            next: None,
            pages: 1,
        })
    }
}

/// Where in an item something stands: an element, the item itself where no selector is given, and perhaps an attribute.
#[derive(Debug)]
struct Pick {
    selector: Option<Selector>,
    attribute: Option<String>,
}

impl FromStr for Pick {
    type Err = String;

    /// `selector`, `selector@attribute` or `@attribute`; `:scope` is the item itself.
    fn from_str(text: &str) -> Result<Pick, String> {
        // An "@" inside brackets or quotes belongs to the selector.
        let (selector, attribute) = match text.rsplit_once('@') {
            Some((selector, attribute)) if !attribute.contains([']', '"', '\'']) => {
                (selector.trim(), Some(attribute.trim()))
            }
            _ => (text.trim(), None),
        };
        if attribute.is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            return Err("behind \"@\" stands the name of one attribute".into());
        }
        let is_item = selector == ":scope" || selector.is_empty() && attribute.is_some();
        let selector = if is_item { None } else { Some(parse(selector)?) };
        Ok(Pick { selector, attribute: attribute.map(str::to_string) })
    }
}

fn parse(selector: &str) -> Result<Selector, String> {
    Selector::parse(selector).map_err(|error| plain::line(&error.to_string(), 200))
}

impl Pick {
    fn element<'p>(&self, item: ElementRef<'p>) -> Option<ElementRef<'p>> {
        match &self.selector {
            Some(selector) => item.select(selector).next(),
            None => Some(item),
        }
    }

    /// The named attribute, else what `otherwise` makes of the element.
    fn value(&self, item: ElementRef<'_>, otherwise: impl Fn(ElementRef<'_>) -> String) -> Option<String> {
        let element = self.element(item)?;
        let value = match &self.attribute {
            Some(attribute) => element.value().attr(attribute)?.to_string(),
            None => otherwise(element),
        };
        Some(value).filter(|value| !value.trim().is_empty())
    }
}

/// Reads the settings: `[source.select]` with `item`, `link`, `title`, `date`, `summary`; `date_format`; `may_be_empty`; `next`
/// and `pages` for a list that goes on.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    let may_be_empty = section.boolean("may_be_empty").unwrap_or(false);
    let next = section.text("next").and_then(|text| match text.parse() {
        Ok(pick) => Some(pick),
        Err(error) => {
            section.problem("next", format!("`next`: {text:?} is no CSS selector: {error}"));
            None
        }
    });
    let pages = section.integer("pages", 1..=PAGES_MAX).unwrap_or(PAGES) as usize;
    let date_format = section.text("date_format");
    if let Some(format) = &date_format
        && let Err(error) = jiff::fmt::strtime::format(format, &jiff::Zoned::default())
    {
        section.problem("date_format", format!("`date_format`: {}", plain::line(&error.to_string(), 200)));
    }
    if !section.has("select") {
        section.problem(
            "select",
            "a source of kind \"page\" needs a table [source.select] with at least `item`, a CSS selector",
        );
        return None;
    }
    let mut select = section.section("select")?;
    let item_text = select.required_text("item");
    let item = item_text.as_deref().and_then(|text| match parse(text) {
        Ok(selector) => Some(selector),
        Err(error) => {
            select.problem("item", format!("`item`: {text:?} is no CSS selector: {error}"));
            None
        }
    });
    let mut written = Select { item: item_text.clone().unwrap_or_default(), ..Select::default() };
    let mut pick = |key: &str, written: &mut Option<String>| -> Option<Pick> {
        let text = select.text(key)?;
        match text.parse() {
            Ok(pick) => {
                *written = Some(text);
                Some(pick)
            }
            Err(error) => {
                select.problem(key, format!("`{key}`: {text:?} is no CSS selector: {error}"));
                None
            }
        }
    };
    let (link, title) = (pick("link", &mut written.link), pick("title", &mut written.title));
    let (date, summary) = (pick("date", &mut written.date), pick("summary", &mut written.summary));
    select.finish();
    let item = item?;
    Some(Arc::new(Page { item, select: written, link, title, date, summary, date_format, may_be_empty, next, pages }))
}

impl Source for Page {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn selectors(&self) -> Option<&Select> {
        Some(&self.select)
    }

    fn accept(&self) -> &'static str {
        "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"
    }

    fn heeds_robots(&self) -> bool {
        true
    }

    fn unread(&self) -> Fault {
        Fault::LayoutChanged
    }

    fn pages_max(&self) -> usize {
        if self.next.is_some() { self.pages } else { 1 }
    }

    fn read(&self, document: &Document<'_>, limits: &ReadLimits, _: &mut Memory) -> Result<Reading, ReadError> {
        let text = decode::text(document.body, document.content_type);
        if read::page::tree_bytes(&text).is_none() {
            return Err(ReadError("the page is too large to look for items in it".into()));
        }
        if read::page::is_too_deep(&text) {
            return Err(ReadError(format!(
                "the page nests its elements more than {} deep, which no parser survives",
                read::page::DEPTH_MAX
            )));
        }
        guarded("the page", || self.read_tree(&Html::parse_document(&text), document.url, limits))?
    }
}

impl Page {
    /// Reads a page that was parsed already.
    pub(in crate::poller) fn read_tree(
        &self,
        page: &Html,
        url: &Url,
        limits: &ReadLimits,
    ) -> Result<Reading, ReadError> {
        let base = base(page, url);
        let mut reading = Reading {
            title: first(page, "title").map(|element| text(element, TITLE_CHARACTERS_MAX)).unwrap_or_default(),
            language: page.root_element().value().attr("lang").map(|language| plain::line(language, 40)),
            url: Some(url.to_string()),
            ..Reading::default()
        };
        let (mut found, mut work, mut bytes) = (0, 0, 0);
        for item in page.select(&self.item) {
            found += 1;
            work += size(item, WORK_MAX - work);
            let problem = if reading.entries.len() >= limits.entries_max {
                Some(format!("the page has more than {} items; the rest was not read", limits.entries_max))
            } else if work >= WORK_MAX || bytes >= ENTRIES_BYTES_MAX {
                Some(format!(
                    "the items hold too much, inside one another; those behind item {} were not read",
                    found - 1
                ))
            } else {
                None
            };
            if let Some(problem) = problem {
                reading.problems.push(problem);
                break;
            }
            let entry = self.entry(item, &base, limits);
            bytes += entry.title.len() + entry.summary.len() + entry.url.as_ref().map_or(0, String::len);
            if entry.title.is_empty() && entry.summary.is_empty() {
                reading.problems.push(format!("item {found} has neither title nor text"));
            } else {
                reading.entries.push(entry);
            }
        }
        let href = |element: ElementRef<'_>| element.value().attr("href").unwrap_or_default().to_string();
        reading.next_page =
            self.next.as_ref().and_then(|next| web_address(&base, &next.value(page.root_element(), href)?));
        if reading.entries.is_empty() && !self.may_be_empty {
            let what = if found == 0 { "found nothing" } else { "found only empty items" };
            return Err(ReadError(format!(
                "the selector \"{}\" {what} on the page titled \"{}\": its layout may have changed",
                plain::line(&self.select.item, 100),
                plain::line(&reading.title, 80)
            )));
        }
        Ok(reading)
    }

    fn entry(&self, item: ElementRef<'_>, base: &Url, limits: &ReadLimits) -> Entry {
        let link_element = match &self.link {
            Some(pick) => pick.element(item),
            // The item may itself be the link.
            None if item.value().name() == "a" => Some(item),
            None => selected(item, "a[href]"),
        };
        let href = match &self.link {
            Some(pick) => pick.value(item, |element| {
                let inner = || selected(element, "a[href]").and_then(|link| link.value().attr("href"));
                element.value().attr("href").or_else(inner).unwrap_or_default().to_string()
            }),
            None => link_element.and_then(|element| element.value().attr("href")).map(str::to_string),
        };
        let whole = |element: ElementRef<'_>| text(element, limits.text_bytes_max);
        let title = match &self.title {
            Some(pick) => pick.value(item, whole),
            None => link_element.map(whole).filter(|title| !title.is_empty()).or_else(|| Some(whole(item))),
        };
        let date = match &self.date {
            Some(pick) => pick
                .value(item, |element| element.value().attr("datetime").map_or_else(|| whole(element), str::to_string)),
            None => selected(item, "time[datetime]")
                .and_then(|element| element.value().attr("datetime"))
                .map(str::to_string),
        };
        let summary = self.summary.as_ref().and_then(|pick| {
            pick.value(item, |element| html::plain_text(&element.inner_html(), limits.text_bytes_max))
        });
        // How a reader came to an article is nobody's business; what tells items apart leaves it out anyway.
        let url = href.and_then(|href| absolute(base, &href)).map(|url| identity::without_tracking(&url));
        let title = plain::line(&title.unwrap_or_default(), TITLE_CHARACTERS_MAX);
        let summary = summary.map(|text| plain::text(&text, limits.text_bytes_max)).unwrap_or_default();
        Entry {
            // Without an address of its own an item is told from the others by its text alone, and read on the list page.
            guid: if url.is_none() { crate::model::Id::of(&[&title, &summary]).to_string() } else { String::new() },
            url: url.or_else(|| Some(base.to_string())),
            title,
            summary,
            published: date.as_deref().and_then(|date| self.date(date)),
            ..Entry::default()
        }
    }

    fn date(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        match &self.date_format {
            Some(format) => {
                let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
                let moment = parsed.to_timestamp().ok();
                let local = || parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
                moment.or_else(|| local().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
            }
            None => dates::timestamp(text).or_else(|| dates::find(text)),
        }
    }
}

/// How much there is to look at in an item, up to `most`: its nodes, and longer texts and attributes as several.
fn size(item: ElementRef<'_>, most: usize) -> usize {
    let mut size = 0;
    for node in item.descendants() {
        let bytes = match node.value() {
            Node::Text(text) => text.len(),
            Node::Element(element) => element.attrs().map(|(name, value)| name.len() + value.len()).sum(),
            _ => 0,
        };
        size += 1 + bytes / 64;
        if size >= most {
            return most;
        }
    }
    size
}

/// The address that relative links of the page stand on.
pub(in crate::poller) fn base(page: &Html, url: &Url) -> Url {
    first(page, "base[href]")
        .and_then(|element| element.value().attr("href"))
        .and_then(|href| read::base(url, href))
        .unwrap_or_else(|| url.clone())
}

fn first<'p>(page: &'p Html, selector: &str) -> Option<ElementRef<'p>> {
    let selector = Selector::parse(selector).ok()?;
    page.select(&selector).next()
}

fn selected<'p>(item: ElementRef<'p>, selector: &str) -> Option<ElementRef<'p>> {
    let selector = Selector::parse(selector).ok()?;
    item.select(&selector).next()
}

fn text(element: ElementRef<'_>, bytes_max: usize) -> String {
    html::plain_line(&element.inner_html(), bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::source::configured;

    fn read(settings: &str, html: &str) -> Result<Reading, ReadError> {
        let url = Url::parse("https://example.org/news/").unwrap();
        let document = Document { url: &url, content_type: Some("text/html"), body: html.as_bytes() };
        configured(settings, super::settings).unwrap().read(&document, &ReadLimits::default(), &mut Memory::new())
    }

    fn rows(reading: &Reading) -> Vec<(String, String, String)> {
        let date = |entry: &Entry| entry.published.map(|date| date.to_string()[..10].to_string()).unwrap_or_default();
        reading.entries.iter().map(|e| (e.title.clone(), e.url.clone().unwrap_or_default(), date(e))).collect()
    }

    #[test]
    fn the_item_selector_alone_is_enough() {
        let html = "<title>News</title><ul><li class=n><a href='1.html'>Port <b>strike</b></a> <time datetime=2026-09-26>x</time></li>\
                    <li class=n><a href='/2'>Second</a></li></ul><li>other</li>";
        let reading = read("[select]\nitem = 'li.n'", html).unwrap();
        assert_eq!(
            rows(&reading),
            [
                ("Port strike".into(), "https://example.org/news/1.html".into(), "2026-09-26".into()),
                ("Second".into(), "https://example.org/2".into(), "".into()),
            ]
        );
        assert_eq!(reading.title, "News");
    }

    #[test]
    fn every_part_can_be_selected() {
        let html = "<div class=c data-u='/a'><h2>One</h2><i data-when='26.09.2026'></i><p>Teaser &amp; more</p></div>";
        let settings = "[select]\nitem = 'div.c'\nlink = '@data-u'\ntitle = 'h2'\ndate = 'i@data-when'\nsummary = 'p'";
        let reading = read(settings, html).unwrap();
        assert_eq!(rows(&reading), [("One".into(), "https://example.org/a".into(), "2026-09-26".into())]);
        assert_eq!(reading.entries[0].summary, "Teaser & more");
    }

    #[test]
    fn links_are_clean_and_the_item_itself_may_be_selected() {
        let html = "<li>26 Sep 2026 - <a href='/1?utm_source=list&id=5&fbclid=x#top'>One</a></li>";
        let reading = read("[select]\nitem = 'li'\ndate = ':scope'", html).unwrap();
        assert_eq!(rows(&reading), [("One".into(), "https://example.org/1?id=5#top".into(), "2026-09-26".into())]);
    }

    #[test]
    fn dates_are_guessed_in_many_languages_or_left_out() {
        for (text, expected) in [
            ("26 September 2026", "2026-09-26"),
            ("Sep 26, 2026", "2026-09-26"),
            ("등록일 : 2026-09-26", "2026-09-26"),
            ("2026년 9월 26일 (토)", "2026-09-26"),
            ("2026.09.26. 14:30", "2026-09-26"),
            ("26 сентября 2026 г., 14:30", "2026-09-26"),
            ("26 вересня 2026 року", "2026-09-26"),
            ("2026年9月26日", "2026-09-26"),
            ("令和8年9月26日", "2026-09-26"),
            ("[2026-09-26]", "2026-09-26"),
            ("2 days ago", ""),
            ("2 hours ago", ""),
            ("3일 전", ""),
            ("3 дня назад", ""),
            ("2天前", ""),
            ("yesterday, 14:30", ""),
            ("26 September", ""),
            ("14:30", ""),
            ("Updated 5 minutes ago", ""),
            ("page 3 of 26", ""),
        ] {
            let html = format!("<li><i>{text}</i> <a href=x>One</a></li>");
            let reading = read("[select]\nitem = 'li'\ndate = 'i'", &html).unwrap();
            assert_eq!(rows(&reading)[0].2, expected, "{text}");
        }
    }

    #[test]
    fn a_date_format_may_be_given() {
        let html = "<p>10/09/26 <a href=x>One</a></p>";
        let reading = read("date_format = '%m/%d/%y'\n[select]\nitem = 'p'\ndate = 'p span'", html).unwrap();
        assert_eq!(reading.entries[0].published, None);
        let html = "<p><i>10/09/26</i> <a href=x>One</a></p>";
        let reading = read("date_format = '%m/%d/%y'\n[select]\nitem = 'p'\ndate = 'i'", html).unwrap();
        assert_eq!(rows(&reading)[0].2, "2026-10-09");
    }

    #[test]
    fn items_without_a_link_are_told_apart_by_their_text() {
        let reading = read("[select]\nitem = 'li'", "<li>One</li><li>Two</li>").unwrap();
        assert_eq!(reading.entries[0].url.as_deref(), Some("https://example.org/news/"));
        assert_ne!(reading.entries[0].guid, reading.entries[1].guid);
    }

    #[test]
    fn a_changed_layout_is_an_error_and_an_empty_list_may_be_none() {
        let error = read("[select]\nitem = 'li.gone'", "<title>News</title><li>x").unwrap_err();
        assert_eq!(
            error.0,
            "the selector \"li.gone\" found nothing on the page titled \"News\": its layout may have changed"
        );
        assert!(read("may_be_empty = true\n[select]\nitem = 'li.gone'", "<p>").unwrap().entries.is_empty());
        assert!(read("[select]\nitem = 'p'", &"<div>".repeat(5_000)).is_err());
    }

    #[test]
    fn items_inside_one_another_are_read_as_far_as_that_is_cheap() {
        let html = format!("<title>News</title>{}{}", "<ul><li>".repeat(120), "<i>a</i>".repeat(12_000));
        let reading = read("[select]\nitem = 'li'", &html).unwrap();
        assert!((10..100).contains(&reading.entries.len()), "{}", reading.entries.len());
        assert!(reading.problems[0].contains("hold too much"), "{:?}", reading.problems);
        let error = read("[select]\nitem = 'li'", &"<li>a".repeat(150_000)).unwrap_err();
        assert_eq!(error.0, "the page is too large to look for items in it");
    }

    #[test]
    fn bad_settings_are_named_with_their_place() {
        let found =
            configured("date_format = '%'\n[select]\nitem = 'li['\ndate = 'p@a b'\ntitel = 'a'", settings).unwrap_err();
        let found = found.join("\n");
        for part in [
            "a.toml:1:15: `date_format`",
            "a.toml:3:8: `item`: \"li[\" is no CSS selector",
            "a.toml:4:8: `date`",
            "a.toml:5:1: unknown key `titel`",
        ] {
            assert!(found.contains(part), "{part} not in\n{found}");
        }
        assert!(configured("x = 1", settings).unwrap_err().join(" ").contains("[source.select]"));
    }
}
