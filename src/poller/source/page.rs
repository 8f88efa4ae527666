//! RSS, Atom and JSON feeds.
use super::Source;
use crate::config::section::Section;
use std::sync::Arc;
/// Settings.
pub fn settings(_: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    None
}
