//! `newswatch parse`: one document as JSON, or as a short list for people.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use url::Url;

use crate::model::{Enclosure, Entry, Id, Reading, Timestamp};
use crate::plain;
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
    let reading = read::feed::read(&document, &ReadLimits::default())?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &parsed(&reading))?;
        writeln!(out)?;
    } else {
        out.write_all(listing(&reading).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
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
    let mut out = format!("{} ({} entries)\n", plain::line(&reading.title, 100), reading.entries.len());
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
