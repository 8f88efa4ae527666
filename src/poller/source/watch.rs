//! The source kind `watch`: the text of a page, or of a part of it. Passages that were never there before become an item.

use std::sync::Arc;

use regex::Regex;
use scraper::{Html, Selector};

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::fault::Fault;
use crate::model::{Entry, Id, Memory, Reading};
use crate::plain;
use crate::poller::read::{self, bot_check, decode, guard::guarded, html};

/// Passages of one page.
const PASSAGES_MAX: usize = 5_000;
/// Passages remembered, those included that are no longer there.
const REMEMBERED_MAX: usize = 20_000;
/// Bytes of the text that is compared.
const TEXT_BYTES_MAX: usize = 2 << 20;
/// Characters kept of a passage whose end would be reported.
const KEPT_CHARACTERS: usize = 300;
/// Characters of a passage in a title.
const TITLE_CHARACTERS: usize = 120;

/// Names in the memory that are no passages: these have 12 letters.
const SETTINGS: &str = "settings";
const COUNT: &str = "count";

/// How a passage is remembered: a letter, then its text where that will be wanted.
const PRESENT: char = '+';
const MISSED_ONCE: char = '?';
const GONE: char = '-';

/// A watched page as configured.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    part: Option<Selector>,
    part_text: String,
    ignore: Vec<Regex>,
    removed: bool,
}

/// Reads the settings: `part`, a CSS selector; `ignore`, patterns of what is no change; `removed`, whether passages that
/// vanish are reported, too.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    let ignore = section.patterns("ignore");
    let removed = section.boolean("removed").unwrap_or(false);
    let part_text = section.text("part");
    let part = match part_text.as_deref().map(Selector::parse) {
        Some(Err(error)) => {
            let error = plain::line(&error.to_string(), 200);
            section.problem("part", format!("`part` is no CSS selector: {error}"));
            return None;
        }
        Some(Ok(part)) => Some(part),
        None => None,
    };
    super::without_articles(section, "a watched page is its own article");
    Some(Arc::new(Watch { part, part_text: part_text.unwrap_or_default(), ignore, removed }))
}

impl Source for Watch {
    fn kind(&self) -> &'static str {
        "watch"
    }

    fn accept(&self) -> &'static str {
        "text/html, application/xhtml+xml;q=0.9, text/plain;q=0.8, */*;q=0.1"
    }

    fn heeds_robots(&self) -> bool {
        true
    }

    fn unread(&self) -> Fault {
        Fault::LayoutChanged
    }

    fn drops_old_entries(&self) -> bool {
        false
    }

    fn remembers(&self) -> bool {
        true
    }

    fn read(&self, document: &Document<'_>, limits: &ReadLimits, memory: &mut Memory) -> Result<Reading, ReadError> {
        let source = decode::text(document.body, document.content_type);
        let (title, language, text) = self.text(&source)?;
        if bot_check::is_title(&title) {
            return Err(ReadError(format!("a check for robots instead of the page, titled \"{title}\"")));
        }
        let mut passages: Vec<String> = text.lines().filter_map(|line| self.passage(line)).collect();
        if passages.is_empty() {
            return Err(ReadError(match &self.part {
                Some(_) => format!(
                    "the selector \"{}\" found no text on the page titled \"{}\": its layout may have changed",
                    plain::line(&self.part_text, 100),
                    plain::line(&title, 80)
                ),
                None => "the page has no text; it may need JavaScript".to_string(),
            }));
        }
        let mut reading = Reading { title, language, url: Some(document.url.to_string()), ..Reading::default() };
        if passages.len() > PASSAGES_MAX {
            let all = passages.len();
            reading.problems.push(format!("the page has {all} passages; only the first {PASSAGES_MAX} are watched"));
            passages.truncate(PASSAGES_MAX);
        }
        self.compare(&passages, memory, &mut reading, limits);
        Ok(reading)
    }
}

fn key(passage: &str) -> String {
    Id::of(&[passage]).to_string()
}

impl Watch {
    /// Title, language and text of the watched part.
    fn text(&self, source: &str) -> Result<(String, Option<String>, String), ReadError> {
        if !read::page::is_page(source) && !source.contains("</") {
            return Ok((String::new(), None, plain::text(source, TEXT_BYTES_MAX)));
        }
        if read::page::tree_bytes(source).is_none() || read::page::is_too_deep(source) {
            return Err(ReadError("the page is too large or too deep to be compared".into()));
        }
        guarded("the page", || {
            let title = plain::line(&read::page::title(source).unwrap_or_default(), 300);
            let page = Html::parse_document(source);
            let language = page.root_element().value().attr("lang").map(|language| plain::line(language, 20));
            let text = match &self.part {
                None => html::plain_text(source, TEXT_BYTES_MAX),
                Some(part) => {
                    let mut text = String::new();
                    for element in page.select(part) {
                        // A part within a part is there already.
                        if text.len() > TEXT_BYTES_MAX
                            || element
                                .ancestors()
                                .any(|outer| scraper::ElementRef::wrap(outer).is_some_and(|outer| part.matches(&outer)))
                        {
                            continue;
                        }
                        text.push_str(&html::plain_text(&element.html(), TEXT_BYTES_MAX));
                        text.push('\n');
                    }
                    text
                }
            };
            (title, language, text)
        })
    }

    /// A line as it is compared; `None` for one that says nothing: no letters, or all of it to be ignored.
    fn passage(&self, line: &str) -> Option<String> {
        let mut line = line.to_string();
        for pattern in &self.ignore {
            if pattern.is_match(&line) {
                line = pattern.replace_all(&line, " ").into_owned();
            }
        }
        let line = plain::line(&line, usize::MAX);
        line.chars().any(char::is_alphabetic).then_some(line)
    }

    /// What the passages are recognised by depends on this.
    fn settings_key(&self) -> String {
        let patterns: Vec<&str> = self.ignore.iter().map(Regex::as_str).collect();
        Id::of(&[&self.part_text, &patterns.join("\n")]).to_string()
    }

    fn compare(&self, passages: &[String], memory: &mut Memory, reading: &mut Reading, limits: &ReadLimits) {
        let present = |passage: &str| {
            let kept = if self.removed { plain::line(passage, KEPT_CHARACTERS) } else { String::new() };
            format!("{PRESENT}{kept}")
        };
        let settings = self.settings_key();
        if memory.get(SETTINGS) != Some(&settings) {
            // The first look, or another one than before: all of it is known from now on.
            let is_first = !memory.contains_key(SETTINGS);
            memory.retain(|name, _| name == COUNT);
            memory.insert(SETTINGS.to_string(), settings);
            memory.extend(passages.iter().map(|passage| (key(passage), present(passage))));
            if !is_first {
                return;
            }
            reading.entries.push(Entry {
                guid: "the whole page".to_string(),
                title: reading.title.clone(),
                content: plain::text(&passages.join("\n"), limits.text_bytes_max),
                url: reading.url.clone(),
                ..Entry::default()
            });
            return;
        }
        let is_new = |passage: &String| match memory.get(&key(passage)) {
            None => true,
            // Its end was reported, so its return is news.
            Some(known) => self.removed && known.starts_with(GONE),
        };
        let new: Vec<bool> = passages.iter().map(is_new).collect();
        if let Some(entry) = self.added(passages, &new, memory, reading, limits) {
            reading.entries.push(entry);
        }
        let here: std::collections::BTreeSet<String> = passages.iter().map(|passage| key(passage)).collect();
        let mut ended = Vec::new();
        for (name, state) in memory.iter_mut() {
            if name == SETTINGS || name == COUNT || here.contains(name) || state.starts_with(GONE) {
                continue;
            }
            // One answer in between may come from another server or be a half page; two in a row are a change.
            if state.starts_with(PRESENT) {
                state.replace_range(..1, &MISSED_ONCE.to_string());
                reading.unsettled |= self.removed;
            } else {
                ended.push(state[1..].to_string());
                *state = GONE.to_string();
            }
        }
        memory.extend(passages.iter().map(|passage| (key(passage), present(passage))));
        if self.removed && !ended.is_empty() {
            let entry = self.ended(&ended, memory, reading, limits);
            reading.entries.push(entry);
        }
        forget(memory);
    }

    /// The item of the passages that are new, each with the one before and after it.
    fn added(
        &self,
        passages: &[String],
        new: &[bool],
        memory: &mut Memory,
        reading: &Reading,
        limits: &ReadLimits,
    ) -> Option<Entry> {
        let added: Vec<&str> =
            passages.iter().zip(new).filter(|(_, new)| **new).map(|(passage, _)| passage.as_str()).collect();
        let first = added.first()?;
        let mut around = String::new();
        for (index, passage) in passages.iter().enumerate() {
            let beside = |other: Option<usize>| other.and_then(|other| new.get(other)).copied().unwrap_or(false);
            if new[index] || beside(index.checked_sub(1)) || beside(Some(index + 1)) {
                around.push_str(passage);
                around.push('\n');
            }
        }
        Some(Entry {
            guid: format!("added {} {}", count(memory), Id::of(&added)),
            title: titled(&reading.title, "", first),
            summary: plain::text(&added.join("\n"), limits.text_bytes_max),
            content: plain::text(&around, limits.text_bytes_max),
            url: reading.url.clone(),
            ..Entry::default()
        })
    }

    /// The item of the passages that are gone.
    fn ended(&self, ended: &[String], memory: &mut Memory, reading: &Reading, limits: &ReadLimits) -> Entry {
        let texts: Vec<&str> = ended.iter().map(String::as_str).collect();
        Entry {
            guid: format!("removed {} {}", count(memory), Id::of(&texts)),
            title: titled(&reading.title, "no longer there: ", texts.first().copied().unwrap_or_default()),
            summary: plain::text(&format!("No longer there:\n{}", texts.join("\n")), limits.text_bytes_max),
            url: reading.url.clone(),
            ..Entry::default()
        }
    }
}

/// Tells two equal changes of different times apart.
fn count(memory: &mut Memory) -> u64 {
    let count = memory.get(COUNT).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0) + 1;
    memory.insert(COUNT.to_string(), count.to_string());
    count
}

fn titled(page: &str, what: &str, passage: &str) -> String {
    let passage = plain::line(passage, TITLE_CHARACTERS);
    if page.is_empty() { format!("{what}{passage}") } else { format!("{page}: {what}{passage}") }
}

/// Keeps the memory small: of what is no longer there, some is forgotten.
fn forget(memory: &mut Memory) {
    let mut surplus = memory.len().saturating_sub(REMEMBERED_MAX);
    memory.retain(|_, state| {
        let forgotten = surplus > 0 && state.starts_with(GONE);
        surplus -= usize::from(forgotten);
        !forgotten
    });
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    /// Reads page after page and shows what became an item.
    fn watched(watch: &Watch, pages: &[&str]) -> Vec<Vec<String>> {
        let url = Url::parse("https://example.org/members").unwrap();
        let mut memory = Memory::new();
        let mut shown = Vec::new();
        for page in pages {
            let body =
                format!("<html lang=en><title>Members</title><nav>Menu {}</nav><main>{page}</main>", shown.len());
            let document = Document { url: &url, content_type: Some("text/html"), body: body.as_bytes() };
            let reading = watch.read(&document, &ReadLimits::default(), &mut memory).unwrap();
            let row = |entry: &Entry| format!("{} | {}", entry.title, entry.content.replace('\n', " / "));
            shown.push(reading.entries.iter().map(row).collect());
        }
        shown
    }

    fn of_main() -> Watch {
        Watch { part: Selector::parse("main").ok(), part_text: "main".into(), ..Watch::default() }
    }

    #[test]
    fn added_passages_become_an_item_with_what_stands_beside_them() {
        let before = "<p>One</p><p>Two</p><p>Three</p><p>Four</p>";
        let after = "<p>One</p><p>Two</p><p>Two and a half</p><p>Three</p><p>Four</p>";
        assert_eq!(
            watched(&of_main(), &[before, before, after, after, before, after]),
            [
                vec!["Members | One / Two / Three / Four".to_string()],
                vec![],
                vec!["Members: Two and a half | Two / Two and a half / Three".to_string()],
                vec![],
                vec![],
                vec![],
            ],
            "a page that flaps between two versions is reported once"
        );
    }

    #[test]
    fn what_is_to_be_ignored_is_no_change() {
        let watch = Watch { ignore: vec![Regex::new(r"Seen \d+ times").unwrap()], ..of_main() };
        let pages = ["<p>One</p><p>Seen 3 times</p>", "<p>One</p><p>Seen 4 times</p><p>12:31</p>"];
        assert_eq!(watched(&watch, &pages)[1], Vec::<String>::new());
    }

    #[test]
    fn passages_that_vanish_twice_in_a_row_are_reported_where_that_is_wanted() {
        let watch = Watch { removed: true, ..of_main() };
        let (with, without) = ("<p>Samoa</p><p>Ruritania</p>", "<p>Samoa</p>");
        let shown = watched(&watch, &[with, without, with, without, without, without, with]);
        assert_eq!(shown[1..5], [vec![], vec![], vec![], vec!["Members: no longer there: Ruritania | ".to_string()]]);
        assert_eq!(shown[5..], [vec![], vec!["Members: Ruritania | Samoa / Ruritania".to_string()]]);
        assert_eq!(watched(&of_main(), &[with, without, without, with])[1..], [vec![], vec![], Vec::<String>::new()]);
    }

    #[test]
    fn a_part_that_is_not_there_is_an_error() {
        let url = Url::parse("https://example.org/").unwrap();
        let document = Document { url: &url, content_type: None, body: b"<title>New look</title><p>x</p>" };
        let error = of_main().read(&document, &ReadLimits::default(), &mut Memory::new()).unwrap_err().0;
        assert_eq!(
            error,
            "the selector \"main\" found no text on the page titled \"New look\": its layout may have changed"
        );
    }
}
