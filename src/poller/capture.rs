//! Documents as they came, kept beside what was read from them.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::fetch::Response;
use crate::config::EvidenceSettings;
use crate::evidence::{Blob, Capture, sha256, to_millisecond};
use crate::model::Id;
use crate::plain;
use crate::store::evidence::NewCapture;

/// A longer address is cut.
const ADDRESS_CHARACTERS_MAX: usize = 4_000;

/// Which source asked for what, and when the answer came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) source: String,
    pub(super) url: Url,
    pub(super) at: Timestamp,
}

/// A document, and which entries of the reading came from it.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    pub(super) capture: Capture,
    pub(super) body: Option<Blob>,
    pub(super) entries: Range<usize>,
}

impl Captured {
    /// As it is stored: with the items that were read from it.
    pub(super) fn of_items(self, items: Vec<Id>, settings: &EvidenceSettings) -> NewCapture {
        let captures_bytes_max = settings.captures_bytes_max;
        NewCapture { capture: self.capture, body: self.body, captures_bytes_max, items }
    }
}

/// Packs a document whose body is still there. That is work for the processor; it belongs where documents are read.
pub(super) fn capture(response: &Response, asked: &Asked, settings: &Arc<EvidenceSettings>) -> Option<Captured> {
    if !settings.capture {
        return None;
    }
    let bytes = response.body.len();
    let body = (bytes as u64 <= settings.capture_bytes_max).then(|| Blob::of(&response.body));
    let capture = Capture {
        source: asked.source.clone(),
        requested: plain::line(asked.url.as_str(), ADDRESS_CHARACTERS_MAX),
        url: plain::line(response.url.as_str(), ADDRESS_CHARACTERS_MAX),
        status: response.status,
        headers: response.headers.clone(),
        address: response.address.clone(),
        fetched: to_millisecond(asked.at),
        sha256: body.as_ref().map_or_else(|| sha256(&response.body), |body| body.sha256.clone()),
        bytes: bytes as i64,
    };
    Some(Captured { capture, body, entries: 0..0 })
}
