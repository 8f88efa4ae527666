//! Evidence as a web archive: WARC 1.1 (ISO 28500:2017), each record packed by itself with gzip, as the standard advises. Pure.
//!
//! A document becomes a `response` with its head and bytes, the text of an item a `resource` (JSON, as it was hashed) and a
//! `conversion` (for people), the record of the chain a `metadata` record, byte for byte as it was hashed; where secrets were masked,
//! a field says so.

use std::collections::BTreeSet;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Capture, Document, Entry, Fact, sha256};
use crate::plain;

/// Keeps our names apart from those of others.
const NAMES: Uuid = Uuid::from_u128(0x4a7c_0a1e_5b0f_4b7e_9d36_1f0c_5e2b_8a91);
/// Headers that speak of how the body travelled; it is kept unpacked. They stay, under a name that no reader heeds.
const OF_TRANSPORT: [&str; 3] = ["content-encoding", "transfer-encoding", "content-length"];

/// The name that a thing always gets.
fn name(parts: &[&str]) -> String {
    format!("<urn:uuid:{}>", Uuid::new_v5(&NAMES, parts.join("\n").as_bytes()))
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The field of what is not byte for byte as it was hashed.
const MASKED: (&str, &str) =
    ("Newswatch-Masked", "log-ins and keys in addresses; the recorded hashes are of what is stored");

/// Writes a file, record by record. What is cited several times is written once.
pub struct Writer<W: Write> {
    out: W,
    written: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    /// Begins a file that is made `now`. `about`: what was asked for, in words.
    pub fn begin(out: W, about: &str, now: Timestamp) -> io::Result<Writer<W>> {
        let mut writer = Writer { out, written: BTreeSet::new() };
        let block = format!(
            "software: newswatch/{}\r\nformat: WARC File Format 1.1\r\nisPartOf: newswatch evidence\r\ndescription: {}\r\n",
            env!("CARGO_PKG_VERSION"),
            plain::line(about, 500)
        );
        let id = name(&["warcinfo", &now.to_string(), about]);
        writer.record("warcinfo", &id, now, &[("Content-Type", "application/warc-fields")], block.as_bytes())?;
        Ok(writer)
    }

    /// A record of the chain with all that it names.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        for document in &entry.documents {
            self.document(document)?;
        }
        let address = entry.address();
        // What the text was read from: the page, else what the source showed.
        let origin = entry.documents.last().filter(|document| document.body.is_some());
        let origin = origin.map(|document| response_name(&document.cited.capture.to_string()));
        let [before, now] = entry.record.fact.texts();
        for (text, hash) in [(&entry.before, before), (&entry.item, now)] {
            let Some(text) = text else { continue };
            let (json, at) = (serde_json::to_vec(text)?, entry.record.at);
            let target = format!("urn:newswatch:text:{hash}");
            let id = name(&["text", hash]);
            if !self.written.insert(id.clone()) {
                continue;
            }
            let mut head = vec![("WARC-Target-URI", target.as_str()), ("Content-Type", "application/json")];
            head.extend(entry.is_masked.then_some(MASKED));
            self.record("resource", &id, at, &head, &json)?;
            let mut head = vec![("WARC-Target-URI", address.as_str()), ("Content-Type", "text/plain; charset=utf-8")];
            head.push(("WARC-Refers-To", origin.as_deref().unwrap_or(&id)));
            let plain = format!("{}\n\n{}\n", text.title, text.to_item().body());
            self.record("conversion", &name(&["words", hash]), at, &head, plain.as_bytes())?;
        }
        if let Fact::Hit(hit) = &entry.record.fact {
            let (reasons, id) = (super::reasons_text(&entry.reasons), name(&["reasons", &hit.reasons]));
            let target = format!("urn:newswatch:reasons:{}", hit.reasons);
            if self.written.insert(id.clone()) {
                let head = [("WARC-Target-URI", target.as_str()), ("Content-Type", "application/json")];
                self.record("resource", &id, entry.record.at, &head, reasons.as_bytes())?;
            }
        }
        let mut head = vec![("WARC-Target-URI", address.as_str()), ("Content-Type", "application/json")];
        head.push(("Newswatch-Record-Hash", &entry.hash));
        head.extend(entry.is_masked.then_some(MASKED));
        if let Some(origin) = &origin {
            head.push(("WARC-Refers-To", origin));
        }
        let id = name(&["record", &entry.hash]);
        self.record("metadata", &id, entry.record.at, &head, entry.text.as_bytes())
    }

    /// A document, if its bytes are kept.
    fn document(&mut self, document: &Document) -> io::Result<()> {
        let id = response_name(&document.cited.capture.to_string());
        let (Some(capture), Some(body)) = (&document.capture, &document.body) else { return Ok(()) };
        if !self.written.insert(id.clone()) {
            return Ok(());
        }
        let block = http_block(capture, body);
        let (payload, kept) = (format!("sha256:{}", sha256(body)), format!("sha256:{}", capture.sha256));
        let mut head = vec![
            ("WARC-Target-URI", capture.url.as_str()),
            ("Content-Type", "application/http; msgtype=response"),
            ("WARC-Payload-Digest", &payload),
        ];
        if payload != kept {
            head.extend([MASKED, ("Newswatch-Stored-Payload-Digest", &kept)]);
        }
        // Without the port: the field is for the address alone.
        let address = capture.address.parse::<std::net::SocketAddr>().map(|address| address.ip().to_string());
        if let Ok(address) = &address {
            head.push(("WARC-IP-Address", address));
        }
        if capture.requested != capture.url {
            head.push(("Newswatch-Requested-URI", &capture.requested));
        }
        self.record("response", &id, capture.fetched, &head, &block)
    }

    /// One record. The head holds what comes from outside in one line each.
    fn record(&mut self, kind: &str, id: &str, at: Timestamp, head: &[(&str, &str)], block: &[u8]) -> io::Result<()> {
        let mut packed = GzEncoder::new(&mut self.out, Compression::default());
        write!(packed, "WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {id}\r\nWARC-Date: {}\r\n", date(at))?;
        for (name, value) in head {
            write!(packed, "{name}: {}\r\n", plain::line(value, 4_000))?;
        }
        write!(packed, "WARC-Block-Digest: sha256:{}\r\nContent-Length: {}\r\n\r\n", sha256(block), block.len())?;
        packed.write_all(block)?;
        packed.write_all(b"\r\n\r\n")?;
        packed.finish()?;
        Ok(())
    }

    /// The end; nothing is written by it.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn response_name(capture: &str) -> String {
    name(&["capture", capture])
}

/// The answer as HTTP writes it, its body unpacked.
fn http_block(capture: &Capture, body: &[u8]) -> Vec<u8> {
    let reason = if capture.status == 200 { "OK" } else { "" };
    let mut block = format!("HTTP/1.1 {} {reason}\r\n", capture.status).into_bytes();
    for (name, value) in &capture.headers {
        let transport = OF_TRANSPORT.iter().any(|one| name.eq_ignore_ascii_case(one));
        let prefix = if transport { "X-Newswatch-Sent-" } else { "" };
        // A value never ends its line.
        let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
        block.extend_from_slice(format!("{prefix}{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    block.extend_from_slice(body);
    block
}
