//! What is handed on lets nobody in: user names, passwords and values of parameters that sound like a key are masked, in every
//! address of an entry, and wherever else the secrets of the addresses that were asked stand. Pure.
//!
//! The chain is over what is stored. Where something was masked, what is shown does not give the recorded hash any more; it is
//! marked, so that nobody takes that for a forgery.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use super::Entry;
use crate::plain;

/// A shorter value is no key, and would be found in every text.
const SECRET_BYTES_MIN: usize = 6;

impl Entry {
    /// As it is handed on: without these secrets, which are those of all entries that go together.
    #[must_use]
    pub fn masked(mut self, secrets: &[String]) -> Entry {
        let mut record: Value = serde_json::from_str(&self.text).unwrap_or_default();
        if mask_value(&mut record, secrets) {
            self.text = record.to_string();
            mask(&mut self.record, secrets);
            self.is_masked = true;
        }
        for text in self.item.iter_mut().chain(&mut self.before) {
            self.is_masked |= mask(text, secrets);
        }
        self.is_masked |= mask(&mut self.reasons, secrets);
        for document in &mut self.documents {
            if let Some(capture) = &mut document.capture {
                self.is_masked |= mask(capture, secrets);
            }
            for secret in secrets {
                if let Some(body) = &mut document.body {
                    self.is_masked |= replace(body, secret.as_bytes());
                }
            }
        }
        self
    }

    /// The secrets of its addresses, the item's and those that were asked and that answered: as they are written there and as they
    /// are meant.
    pub fn secrets(&self) -> Vec<String> {
        let captures = self.documents.iter().filter_map(|document| document.capture.as_ref());
        let asked = captures.flat_map(|capture| [&capture.requested, &capture.url]);
        let items = self.item.iter().chain(&self.before).filter_map(|text| text.url.as_ref());
        let mut found = Vec::new();
        for secret in asked.chain(items).flat_map(|url| plain::secrets(url)) {
            // Of "user:password" the user's name alone lets nobody in.
            let secret = secret.split_once(':').map_or(secret, |(_, password)| password);
            let meant =
                form_urlencoded::parse(format!("a={secret}").as_bytes()).next().map(|(_, meant)| meant.into_owned());
            found.extend(std::iter::once(secret.to_string()).chain(meant));
        }
        found.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        found
    }
}

/// The longest first: what holds another one is masked whole.
pub fn in_order(secrets: BTreeSet<String>) -> Vec<String> {
    let mut secrets: Vec<String> = secrets.into_iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// Masks every text in it; answers whether there was anything to mask.
fn mask<T: Serialize + DeserializeOwned>(of: &mut T, secrets: &[String]) -> bool {
    let Ok(mut value) = serde_json::to_value(&*of) else { return false };
    if !mask_value(&mut value, secrets) {
        return false;
    }
    // Only texts have changed, so it is read as before.
    if let Ok(masked) = serde_json::from_value(value) {
        *of = masked;
    }
    true
}

fn mask_value(value: &mut Value, secrets: &[String]) -> bool {
    match value {
        Value::String(text) => {
            let masked = plain::without(&plain::masked(text), secrets);
            let is_changed = masked != *text;
            *text = masked;
            is_changed
        }
        Value::Array(values) => values.iter_mut().fold(false, |changed, value| mask_value(value, secrets) | changed),
        Value::Object(values) => values.values_mut().fold(false, |changed, value| mask_value(value, secrets) | changed),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn replace(bytes: &mut Vec<u8>, secret: &[u8]) -> bool {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(at) = rest.windows(secret.len()).position(|part| part == secret) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"MASKED");
        rest = &rest[at + secret.len()..];
    }
    if rest.len() == bytes.len() {
        return false;
    }
    out.extend_from_slice(rest);
    *bytes = out;
    true
}
