//! Evidence as rows: JSON lines for programs, comma-separated values for spreadsheets. Pure.

use serde_json::{Value, json};

use super::{Entry, Fact};
use crate::plain;

/// The columns; a contract.
pub const CSV_HEAD: [&str; 21] = [
    "number",
    "recorded",
    "kind",
    "item",
    "source",
    "title",
    "url",
    "published",
    "first_seen",
    "found",
    "profile",
    "profile_version",
    "score",
    "threshold",
    "text_sha256",
    "document_sha256",
    "page_sha256",
    "fetched",
    "address",
    "problem",
    "hash",
];

/// An entry as one JSON object; the keys are a contract. `record_text` is what was hashed, byte for byte unless `masked`; `record`
/// the same as an object.
pub fn json(entry: &Entry) -> Value {
    let documents: Vec<Value> = entry
        .documents
        .iter()
        .map(|document| {
            json!({
                "role": if document.is_page { "page" } else { "document" },
                "sha256": document.cited.body,
                "kept": document.is_there,
                "missing": document.cited.missing(document.is_there),
                "capture": document.capture,
            })
        })
        .collect();
    json!({
        "number": entry.record.number,
        "hash": entry.hash,
        "masked": entry.is_masked,
        "record_text": entry.text,
        "record": entry.record,
        "text": entry.item,
        "text_before": entry.before,
        "difference": entry.difference(),
        "reasons": entry.reasons,
        "documents": documents,
    })
}

/// An entry as a line of comma-separated values, without its end.
pub fn csv(entry: &Entry) -> String {
    let time = |at: Option<jiff::Timestamp>| at.map_or(String::new(), |at| at.to_string());
    let item = entry.item.as_ref().or(entry.before.as_ref());
    let hit = match &entry.record.fact {
        Fact::Hit(hit) => Some(hit),
        _ => None,
    };
    let of_hit = |value: fn(&super::HitFact) -> String| hit.map_or(String::new(), |hit| value(hit));
    let [_, text] = entry.record.fact.texts();
    let problem = match &entry.record.fact {
        Fact::Reread(reread) => reread.problem.clone(),
        _ => String::new(),
    };
    let document = |is_page: bool| entry.documents.iter().find(|document| document.is_page == is_page);
    let sha256 = |is_page: bool| document(is_page).map_or(String::new(), |document| document.cited.body.clone());
    let capture = document(true).or(document(false)).and_then(|document| document.capture.as_ref());
    let cells = [
        entry.record.number.to_string(),
        entry.record.at.to_string(),
        entry.record.fact.kind().to_string(),
        entry.record.fact.item().map_or(String::new(), |item| item.to_string()),
        item.map_or(String::new(), |item| item.source.clone()),
        item.map_or(String::new(), |item| item.title.clone()),
        item.and_then(|item| item.url.clone()).unwrap_or_default(),
        time(item.and_then(|item| item.published)),
        time(item.map(|item| item.first_seen)),
        time(hit.map(|hit| hit.found)),
        entry.record.fact.profile().to_string(),
        of_hit(|hit| hit.profile_version.to_string()),
        of_hit(|hit| hit.score.to_string()),
        of_hit(|hit| hit.threshold.to_string()),
        text.to_string(),
        sha256(false),
        sha256(true),
        time(capture.map(|capture| capture.fetched)),
        capture.map_or(String::new(), |capture| capture.address.clone()),
        problem,
        entry.hash.clone(),
    ];
    cells.map(|cell| plain::csv_cell(&cell)).join(",")
}
