//! `[evidence]`: what is kept of the documents that items were read from.

use std::time::Duration;

use super::section::Section;

/// What is kept of the documents that items were read from. Records of hits are always kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceSettings {
    /// Documents are kept as they came.
    pub capture: bool,
    /// A larger document is not kept, only its hash; in bytes, unpacked.
    pub capture_bytes_max: u64,
    /// When all documents together are larger, further ones are not kept, only their hashes; in bytes, packed.
    pub captures_bytes_max: u64,
    /// Documents that no record names are forgotten after this.
    pub keep_unused: Duration,
    /// So many pages of hits are looked at again in 24 hours at most; 0 for none.
    pub look_again_per_day_max: usize,
}

impl Default for EvidenceSettings {
    fn default() -> Self {
        EvidenceSettings {
            capture: true,
            capture_bytes_max: 2 * 1024 * 1024,
            captures_bytes_max: 4 * 1024 * 1024 * 1024,
            keep_unused: Duration::from_secs(7 * 86_400),
            look_again_per_day_max: 100,
        }
    }
}

/// Reads `[evidence]`; a key that is missing or wrong keeps its default.
pub(super) fn read(section: Option<Section<'_>>) -> EvidenceSettings {
    let mut settings = EvidenceSettings::default();
    let Some(mut section) = section else { return settings };
    if let Some(capture) = section.boolean("capture") {
        settings.capture = capture;
    }
    for (key, value, range) in [
        ("capture_bytes_max", &mut settings.capture_bytes_max, 0..=64 * 1024 * 1024),
        ("captures_bytes_max", &mut settings.captures_bytes_max, 0..=1024 * 1024 * 1024 * 1024),
    ] {
        if let Some(bytes) = section.integer(key, range) {
            *value = bytes as u64;
        }
    }
    if let Some(number) = section.integer("look_again_per_day_max", 0..=10_000) {
        settings.look_again_per_day_max = number as usize;
    }
    // Less, and a hit could be found after its document was forgotten.
    let range = Duration::from_secs(6 * 3600)..=Duration::from_secs(3660 * 86_400);
    if let Some(length) = section.duration("keep_unused", range) {
        settings.keep_unused = length;
    }
    section.finish();
    settings
}
