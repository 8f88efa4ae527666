//! `newswatch parse`: one document as JSON, or as a short list for people.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use url::Url;

use crate::model::{Enclosure, Entry, Id, Part, Reading, Timestamp};
use crate::plain;
use crate::poller::pdf::{self, PdfReader};
use crate::poller::read;
use crate::poller::source::{Document, ReadLimits};

/// Arguments of `newswatch parse`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Content-Type that the file came with
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Address that the file came from; relative links stand on it
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The document
    file: PathBuf,
}

#[derive(Serialize)]
struct Parsed<'a> {
    feed: Feed<'a>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Feed<'a> {
    title: &'a str,
    url: Option<&'a str>,
    description: &'a str,
    lang: Option<&'a str>,
    ttl_minutes: Option<u32>,
    hub: Option<&'a str>,
    self_url: Option<&'a str>,
    new_url: Option<&'a str>,
    truncated: bool,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Item<'a> {
    id: String,
    url: Option<&'a str>,
    title: &'a str,
    summary: &'a str,
    content: &'a str,
    published: Option<Timestamp>,
    updated: Option<Timestamp>,
    authors: &'a [String],
    publisher: &'a str,
    categories: &'a [String],
    enclosures: &'a [Enclosure],
    lang: Option<&'a str>,
}

/// Runs `newswatch parse`.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let body = std::fs::read(&arguments.file).with_context(|| format!("cannot read {}", arguments.file.display()))?;
    // Without an address, relative links stay as they are.
    let url = arguments.base_url.as_deref().filter(|url| !url.is_empty()).unwrap_or("about:blank");
    let url = Url::parse(url).with_context(|| format!("--base-url {url:?} is no address"))?;
    let document = Document { url: &url, content_type: arguments.content_type.as_deref(), body: &body };
    let reading = read_any(&document, &arguments.file)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &parsed(&reading))?;
        writeln!(out)?;
    } else {
        out.write_all(listing(&reading).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a document of any kind that has items by itself: a feed, a sitemap, a message, a PDF. (Lists and articles on pages need
/// selectors or a reader for one page: `newswatch probe` shows them.)
fn read_any(document: &Document<'_>, file: &Path) -> anyhow::Result<Reading> {
    let limits = ReadLimits::default();
    if pdf::is_pdf(document.body) {
        let read = super::block_on(async {
            PdfReader::default()
                .read(document.body, limits.text_bytes_max)
                .await
                .map_err(|failure| anyhow::anyhow!(failure.reason))
        })?;
        let (title, published) = (read.about.title, read.about.date);
        let entry = Entry { title: title.clone(), published, content: read.text, ..Entry::default() };
        return Ok(Reading { title, entries: vec![entry], ..Reading::default() });
    }
    if file.extension().is_some_and(|extension| extension == "eml") {
        return Ok(Reading { entries: read::mail::read(document.body, &limits)?, ..Reading::default() });
    }
    let refusal = match read::feed::read(document, &limits) {
        Ok(reading) => return Ok(reading),
        Err(refusal) => refusal,
    };
    match read::sitemap::read(document, &limits) {
        Ok(mut reading) => {
            // The parts of an index are what it lists.
            let entry = |part: Part| Entry { title: part.url.clone(), url: Some(part.url), ..Entry::default() };
            reading.entries.extend(std::mem::take(&mut reading.parts).into_iter().map(entry));
            Ok(reading)
        }
        Err(_) => Err(refusal.into()),
    }
}

fn parsed(reading: &Reading) -> Parsed<'_> {
    Parsed {
        feed: Feed {
            title: &reading.title,
            url: reading.url.as_deref(),
            description: &reading.description,
            lang: reading.language.as_deref(),
            ttl_minutes: reading.ttl_minutes,
            hub: reading.hub.as_deref(),
            self_url: reading.self_url.as_deref(),
            new_url: reading.new_url.as_deref(),
            truncated: reading.truncated,
            problems: &reading.problems,
        },
        items: reading.entries.iter().map(item).collect(),
    }
}

fn item(entry: &Entry) -> Item<'_> {
    Item {
        id: id(entry),
        url: entry.url.as_deref(),
        title: &entry.title,
        summary: &entry.summary,
        content: &entry.content,
        published: entry.published,
        updated: entry.updated,
        authors: &entry.authors,
        publisher: &entry.publisher,
        categories: &entry.categories,
        enclosures: &entry.enclosures,
        lang: entry.language.as_deref(),
    }
}

/// What the publisher calls the entry, else a hash that is the same in every run.
fn id(entry: &Entry) -> String {
    if !entry.guid.is_empty() {
        return entry.guid.clone();
    }
    let hash = match &entry.url {
        Some(url) => Id::of(&[url, &entry.title]),
        None => {
            let date = entry.published.or(entry.updated).map(|date| date.to_string()).unwrap_or_default();
            Id::of(&[&entry.title, &entry.summary, &entry.content, &date])
        }
    };
    hash.to_string()
}

/// For people: a head and a line for each entry.
fn listing(reading: &Reading) -> String {
    let mut out =
        format!("{} ({})\n", plain::line(&reading.title, 100), super::counted(reading.entries.len(), "entry"));
    for entry in &reading.entries {
        let date = entry
            .published
            .or(entry.updated)
            .map_or("          ".to_string(), |date| date.strftime("%Y-%m-%d").to_string());
        out.push_str(&format!("{date}  {}\n", plain::line(&entry.title, 100)));
        if let Some(url) = &entry.url {
            out.push_str(&format!("            {}\n", plain::line(url, 300)));
        }
    }
    for problem in &reading.problems {
        out.push_str(&format!("problem: {problem}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_a_guid_get_a_stable_id() {
        let entry = Entry { title: "a".into(), url: Some("https://example.org/1".into()), ..Entry::default() };
        assert_eq!(id(&entry), id(&entry.clone()));
        assert_ne!(id(&entry), id(&Entry { title: "b".into(), ..entry.clone() }));
        assert_eq!(id(&Entry { guid: "g".into(), ..entry }), "g");
    }
}
