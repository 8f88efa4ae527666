//! stub
use crate::model::Entry;
/// stub
pub fn key(entry: &Entry) -> String { entry.guid.clone() }
/// stub
pub fn canonical_link(url: &str) -> Option<String> { Some(url.to_string()) }
