//! Evidence as a STIX 2.1 bundle: an identity, a report for each item, a note for each record. Pure.
//!
//! Everything is named by what it is: the same evidence gives the same names in every bundle, so that a platform that takes in two
//! of them holds each thing once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Entry, Fact, ItemText};
use crate::model::Id;
use crate::plain;

/// Keeps our names apart from those of others.
const NAMES: Uuid = Uuid::from_u128(0x0f3d_5c1a_7e52_4c8d_8a0b_6d4e_92c7_1b35);
/// The namespace that STIX gives for what is named by its content (section 2.9).
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Characters of a quotation.
const QUOTE_CHARACTERS_MAX: usize = 2_000;
/// Sentences of a difference.
const SENTENCES_MAX: usize = 10;

fn name(kind: &str, parts: &[&str]) -> String {
    format!("{kind}--{}", Uuid::new_v5(&NAMES, format!("{kind}\n{}", parts.join("\n")).as_bytes()))
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The bundle.
pub fn bundle(entries: &[Entry]) -> Value {
    let author = name("identity", &["newswatch"]);
    let mut objects = Vec::new();
    let Some(first) = entries.iter().map(|entry| entry.record.at).min() else {
        // A bundle holds something or has no list at all.
        return json!({"type": "bundle", "id": name("bundle", &["empty"])});
    };
    // Always the same object: it must not be newer in each bundle.
    let born = "2026-01-01T00:00:00.000Z";
    objects.push(json!({
        "type": "identity", "spec_version": "2.1", "id": author, "created": born, "modified": born,
        "name": "newswatch", "identity_class": "system",
        "description": "A news watcher: it reads sources and scores what they publish against keyword profiles.",
    }));
    let mut items: BTreeMap<Id, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(item) = entry.record.fact.item() {
            items.entry(item).or_default().push(entry);
        }
    }
    let mut known = std::collections::BTreeSet::new();
    for (item, entries) in items {
        let Some(text) = entries.iter().find_map(|entry| entry.item.as_ref().or(entry.before.as_ref())) else {
            continue;
        };
        let report = name("report", &[&item.to_string()]);
        let created = time(text.first_seen);
        let mut refs = Vec::new();
        if let Some(url) = text.url.as_deref().map(|url| plain::line(url, 4_000)) {
            let id = format!("url--{}", Uuid::new_v5(&OBSERVABLES, json!({"value": url}).to_string().as_bytes()));
            if known.insert(id.clone()) {
                objects.push(json!({"type": "url", "spec_version": "2.1", "id": id, "value": url}));
            }
            refs.push(id);
        }
        refs.push(author.clone());
        let profiles: std::collections::BTreeSet<&str> =
            entries.iter().map(|entry| entry.record.fact.profile()).filter(|profile| !profile.is_empty()).collect();
        let mut object = json!({
            "type": "report", "spec_version": "2.1", "id": report, "created_by_ref": author, "created": created,
            "modified": created, "name": titled(text), "published": time(text.published.unwrap_or(text.first_seen)),
            "description": plain::text(&text.to_item().body(), QUOTE_CHARACTERS_MAX),
            "object_refs": refs,
            "external_references": references(text, &entries),
        });
        if !profiles.is_empty() {
            object["labels"] = profiles.iter().map(|profile| format!("newswatch profile {profile}")).collect();
        }
        objects.push(object);
        objects.extend(entries.iter().map(|entry| note(entry, &report, &author)));
    }
    let hashes: Vec<&str> = entries.iter().map(|entry| entry.hash.as_str()).collect();
    json!({"type": "bundle", "id": name("bundle", &[&time(first), &hashes.join(" ")]), "objects": objects})
}

fn titled(text: &ItemText) -> String {
    match plain::line(&text.title, 500) {
        title if title.is_empty() => format!("an item of {} without a title", text.source),
        title => title,
    }
}

/// The article, and the documents it was read from.
fn references(text: &ItemText, entries: &[&Entry]) -> Vec<Value> {
    let mut references = Vec::new();
    let mut met = std::collections::BTreeSet::new();
    let mut own = json!({"source_name": text.source, "external_id": text.item.to_string()});
    if let Some(url) = &text.url {
        own["url"] = json!(plain::line(url, 4_000));
    }
    references.push(own);
    for document in entries.iter().flat_map(|entry| &entry.documents) {
        let Some(capture) = document.capture.as_ref().filter(|_| met.insert(document.cited.capture)) else { continue };
        let what = if document.is_page { "the page of the item" } else { "the document of the source that showed it" };
        references.push(json!({
            "source_name": "newswatch capture",
            "external_id": document.cited.capture.to_string(),
            "url": capture.url,
            "description": format!("{what}, as it was answered at {}", time(capture.fetched)),
            "hashes": {"SHA-256": capture.sha256},
        }));
    }
    references
}

/// What a record says, for people.
fn note(entry: &Entry, report: &str, author: &str) -> Value {
    let at = time(entry.record.at);
    let (summary, mut content) = match &entry.record.fact {
        Fact::Hit(hit) => {
            let reasons: Vec<String> = entry
                .reasons
                .iter()
                .take(10)
                .map(|reason| {
                    let share = 100.0 * reason.share / hit.score.abs().max(f64::MIN_POSITIVE);
                    format!("{} {share:.0} %", plain::line(&reason.term, 80))
                })
                .collect();
            let summary = format!("hit of profile {} version {}", hit.profile, hit.profile_version);
            let content = format!(
                "Found {} with score {} against {}.\nWhy: {}.\nProfile SHA-256 {}.\nText SHA-256 {}.",
                time(hit.found),
                hit.score,
                hit.threshold,
                reasons.join(", "),
                hit.profile_sha256,
                hit.text
            );
            (summary, content)
        }
        Fact::Edited(_) => ("the text was changed".to_string(), String::new()),
        Fact::Reread(reread) if reread.problem.is_empty() => ("the page was read again".to_string(), String::new()),
        Fact::Reread(reread) => {
            let content = format!("The page could not be read at {at}: {}.", plain::line(&reread.problem, 500));
            ("the page could not be read again".to_string(), content)
        }
        // Of no single item: no report takes it in.
        Fact::Dropped(_) => ("documents were let go".to_string(), String::new()),
    };
    if let Some(difference) = entry.difference() {
        for (label, sentences) in
            [("Present then, absent now", &difference.then_only), ("Absent then, present now", &difference.now_only)]
        {
            for sentence in sentences.iter().take(SENTENCES_MAX) {
                content += &format!("{label}: {sentence}\n");
            }
        }
    }
    content += &format!("\nRecord {} of the chain, hash {}.", entry.record.number, entry.hash);
    json!({
        "type": "note", "spec_version": "2.1", "id": name("note", &[&entry.hash]), "created_by_ref": author,
        "created": at, "modified": at, "abstract": summary, "content": content.trim(),
        "authors": [format!("newswatch {}", entry.record.program)], "object_refs": [report],
    })
}
