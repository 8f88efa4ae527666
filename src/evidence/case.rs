//! A case file in Markdown: what happened when, who said it, what proves it. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use super::{Entry, Fact, ItemText};
use crate::model::Id;
use crate::plain;

/// Characters of a quotation.
const QUOTE_CHARACTERS_MAX: usize = 400;
/// Quotations of an item, and reasons of a hit.
const QUOTES_MAX: usize = 5;
const REASONS_MAX: usize = 10;
/// Sentences of a difference.
const SENTENCES_MAX: usize = 20;

/// What the file is about, and how the chain stood when it was made.
#[derive(Clone, Debug)]
pub struct Head {
    /// "Story m59z…", "Profile apg".
    pub about: String,
    /// When it is made.
    pub made: Timestamp,
    /// Number and hash of the chain's last record.
    pub last: (i64, String),
    /// What a verification of the chain gave, in a sentence.
    pub verified: String,
}

/// The file. What comes from outside is text in it: no markup, no addresses to click that are not shown in full.
pub fn file(head: &Head, entries: &[Entry]) -> String {
    let mut out = String::new();
    // Writing into a text does not fail.
    let _ = write(&mut out, head, entries);
    out
}

fn write(out: &mut String, head: &Head, entries: &[Entry]) -> std::fmt::Result {
    writeln!(out, "# Case file: {}\n", inline(&head.about, 200))?;
    writeln!(out, "Made by newswatch {} at {}. All times are UTC.\n", env!("CARGO_PKG_VERSION"), time(head.made))?;
    let mut items: BTreeMap<Id, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(item) = entry.record.fact.item() {
            items.entry(item).or_default().push(entry);
        }
    }
    let mut items: Vec<(&ItemText, Vec<&Entry>)> = items
        .into_values()
        .filter_map(|own| {
            let text = own.iter().find_map(|entry| entry.item.as_ref().or(entry.before.as_ref()))?;
            Some((text, own))
        })
        .collect();
    items.sort_by_key(|(text, _)| (text.published.unwrap_or(text.first_seen), text.item));

    writeln!(out, "## Chronology\n")?;
    let mut events: Vec<(Timestamp, String)> = Vec::new();
    for (text, own) in &items {
        let title = inline(&text.title, 200);
        if let Some(published) = text.published {
            let publisher = if text.publisher.is_empty() { &text.source } else { &text.publisher };
            events.push((published, format!("published by {} (by its own date): {title}", inline(publisher, 100))));
        }
        events.push((text.first_seen, format!("first seen by newswatch in {}: {title}", inline(&text.source, 100))));
        events.extend(own.iter().map(|entry| (entry.record.at, event(entry, &title))));
    }
    events.sort();
    for (at, what) in events {
        writeln!(out, "- {}: {what}", time(at))?;
    }

    writeln!(out, "\n## Sources\n")?;
    for (number, (text, own)) in items.iter().enumerate() {
        source(out, number + 1, text, own)?;
    }

    writeln!(out, "## How it was found\n")?;
    for (text, own) in &items {
        for entry in own {
            found(out, text, entry)?;
        }
    }

    writeln!(out, "## Integrity\n")?;
    writeln!(out, "{}\n", inline(&head.verified, 500))?;
    writeln!(out, "- last record of the chain: {}, hash `{}`", head.last.0, head.last.1)?;
    for entry in entries {
        let (record, hash) = (&entry.record, &entry.hash);
        let kind = record.fact.kind();
        let item = record.fact.item().map_or(String::new(), |item| format!(", item {item}"));
        writeln!(out, "- record {} ({kind}{item}): hash `{hash}`", record.number)?;
    }
    if entries.iter().any(|entry| entry.is_masked) {
        writeln!(out, "\nLog-ins and keys in addresses are shown as MASKED; the hashes are of what is stored.")?;
    }
    writeln!(
        out,
        "\nEach hash is the SHA-256 of the hash before it, a line feed and the record. Whoever noted one of them can ask \
         `newswatch evidence verify --head HASH` whether what is shown here is what stood there then."
    )
}

/// What a record says, in a line.
fn event(entry: &Entry, title: &str) -> String {
    match &entry.record.fact {
        Fact::Hit(hit) => {
            let told = if hit.shadow {
                ", on trial: nobody was told"
            } else if hit.backlog {
                ", at the first contact with its source: nobody was told"
            } else {
                ""
            };
            format!("a hit of profile {}, {:.3} against {:.3}{told}: {title}", hit.profile, hit.score, hit.threshold)
        }
        Fact::Edited(_) => format!("its text was changed: {title}"),
        Fact::Reread(reread) if reread.problem.is_empty() => format!("its page was read again: {title}"),
        Fact::Reread(reread) => format!("its page could not be read, {}: {title}", inline(&reread.problem, 200)),
        // Of no single item.
        Fact::Dropped(_) => String::new(),
    }
}

fn source(out: &mut String, number: usize, text: &ItemText, own: &[&Entry]) -> std::fmt::Result {
    writeln!(out, "### {number}. {}\n", inline(&text.title, 300))?;
    let publisher =
        if text.publisher.is_empty() { String::new() } else { format!(", by {}", inline(&text.publisher, 100)) };
    writeln!(out, "- source: {}{publisher}", inline(&text.source, 100))?;
    if let Some(url) = &text.url {
        writeln!(out, "- address: {}", code(url))?;
    }
    let published = text.published.map_or("no date given".to_string(), time);
    writeln!(out, "- published: {published}; first seen: {}; item {}", time(text.first_seen), text.item)?;
    if !text.language.is_empty() {
        writeln!(out, "- language: {}", inline(&text.language, 20))?;
    }
    let mut met = std::collections::BTreeSet::new();
    for document in own.iter().flat_map(|entry| &entry.documents) {
        if !met.insert(document.cited.capture) {
            continue;
        }
        let what = if document.is_page { "page" } else { "document of the source" };
        let kept = document.cited.missing(document.is_there).unwrap_or("kept");
        writeln!(out, "- {what} ({}): SHA-256 `{}`", inline(kept, 200), document.cited.body)?;
        if let Some(capture) = &document.capture {
            let address = if capture.address.is_empty() { "a proxy" } else { &capture.address };
            let (url, at, bytes) = (code(&capture.url), time(capture.fetched), capture.bytes);
            writeln!(out, "  - {url}, status {}, {bytes} bytes, answered by {address} at {at}", capture.status)?;
        }
    }
    writeln!(out)?;
    for quote in quotes(own) {
        writeln!(out, "> {}\n>", inline(quote, QUOTE_CHARACTERS_MAX))?;
    }
    writeln!(out)
}

/// The passages that made it a hit, the heaviest first.
fn quotes<'a>(own: &[&'a Entry]) -> Vec<&'a str> {
    let mut quotes: Vec<&str> = Vec::new();
    for reason in own.iter().flat_map(|entry| &entry.reasons) {
        let context = reason.context.trim();
        let is_new = !quotes.iter().any(|quote| quote.contains(context) || context.contains(quote));
        if !context.is_empty() && is_new && quotes.len() < QUOTES_MAX {
            quotes.push(context);
        }
    }
    quotes
}

fn found(out: &mut String, text: &ItemText, entry: &Entry) -> std::fmt::Result {
    let title = inline(&text.title, 200);
    match &entry.record.fact {
        Fact::Hit(hit) => {
            writeln!(
                out,
                "**{title}**, profile {} version {}: {} against {}",
                hit.profile, hit.profile_version, hit.score, hit.threshold
            )?;
            writeln!(out)?;
            for reason in entry.reasons.iter().take(REASONS_MAX) {
                let share = 100.0 * reason.share / hit.score.abs().max(f64::MIN_POSITIVE);
                let (term, kind) = (inline(&reason.term, 80), reason.kind.as_str());
                writeln!(out, "- {share:.1} %: {kind} {term}, {}", plain::counted(reason.count as usize, "time"))?;
            }
            let rest = entry.reasons.len().saturating_sub(REASONS_MAX);
            if rest > 0 {
                writeln!(out, "- and {}", plain::counted(rest, "weaker one"))?;
            }
            let basis = &hit.basis;
            writeln!(out, "- profile SHA-256 `{}`, text SHA-256 `{}`", hit.profile_sha256, hit.text)?;
            writeln!(
                out,
                "- newswatch {}, matcher {}, an archive of {}",
                entry.record.program,
                basis.method,
                plain::counted(basis.documents as usize, "document")
            )?;
        }
        Fact::Edited(_) | Fact::Reread(_) => {
            writeln!(out, "**{title}**, {}\n", event(entry, "compared with what stood there before"))?;
            let difference = entry.difference().unwrap_or_default();
            for (label, sentences) in [
                ("present then, absent now", &difference.then_only),
                ("absent then, present now", &difference.now_only),
            ] {
                for sentence in sentences.iter().take(SENTENCES_MAX) {
                    writeln!(out, "- {label}: {}", inline(sentence, QUOTE_CHARACTERS_MAX))?;
                }
                let rest = sentences.len().saturating_sub(SENTENCES_MAX);
                if rest > 0 {
                    writeln!(out, "- {label}: {rest} more")?;
                }
            }
        }
        Fact::Dropped(_) => return Ok(()),
    }
    writeln!(out)
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Text from outside in one line that no reader of Markdown takes for markup.
fn inline(text: &str, characters_max: usize) -> String {
    let mut out = String::new();
    for c in plain::line(text, characters_max).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    // An address that is not marked as code becomes a link by itself.
    out.replace("://", ":\\//").replace("www.", "www\\.")
}

/// An address, shown in full and no link.
fn code(text: &str) -> String {
    format!("`{}`", plain::line(text, 2_000).replace('`', "%60"))
}
