//! Content codings: packed bytes to bytes, never more than a limit, whatever the label says. Pure.
//!
//! The bytes decide, the label only where they say nothing: servers label plain text as gzip, send gzip without a label, or
//! pack twice. A stream that breaks off is an error, so that half a document is never taken for a whole one.

use std::io::Read;

use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// What is offered to servers.
pub const ACCEPTED: &str = "gzip, br";

const GZIP_MARK: &[u8] = &[0x1f, 0x8b, 0x08];
/// Packed twice happens; deeper is an attack.
const LAYERS_MAX: usize = 2;
/// Members of a gzip file: each costs time, however little is in it.
const GZIP_MEMBERS_MAX: usize = 1_000;
const BUFFER: usize = 16 * 1024;

/// Why bytes cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// More than the limit comes out.
    #[error("it unpacks to more than the limit")]
    TooLarge,
    /// In words.
    #[error("{0}")]
    Broken(String),
}

/// Unpacks a body that came with this Content-Encoding; at most `bytes_max` come out. A body that is not packed comes back
/// as it is, without being copied.
pub fn unpack(label: Option<&str>, body: Vec<u8>, bytes_max: u64) -> Result<Vec<u8>, UnpackError> {
    let label = label.unwrap_or_default().to_ascii_lowercase();
    let codings: Vec<&str> =
        label.split(',').map(str::trim).filter(|coding| !coding.is_empty() && *coding != "identity").collect();
    let mut body = body;
    // The coding that was applied last stands last.
    for coding in codings.iter().rev().take(LAYERS_MAX) {
        if is_gzip(&body) || is_document(&body) && *coding != "br" {
            break;
        }
        body = match *coding {
            "br" => match read_all(Decompressor::new(body.as_slice(), BUFFER), bytes_max) {
                Err(UnpackError::Broken(_)) if is_document(&body) => return Ok(body),
                unpacked => unpacked?,
            },
            "deflate" => match read_all(ZlibDecoder::new(body.as_slice()), bytes_max) {
                // Half of the servers mean the bare format.
                Err(UnpackError::Broken(_)) => read_all(DeflateDecoder::new(body.as_slice()), bytes_max)?,
                unpacked => unpacked?,
            },
            "gzip" | "x-gzip" => {
                return Err(UnpackError::Broken("the answer is labelled as gzip and is not".to_string()));
            }
            other => {
                let other = crate::plain::line(other, 40);
                return Err(UnpackError::Broken(format!("the answer is packed as {other:?}, which was not offered")));
            }
        };
    }
    for _ in 0..LAYERS_MAX {
        if !is_gzip(&body) {
            break;
        }
        body = gunzip(&body, bytes_max)?;
    }
    if body.len() as u64 > bytes_max {
        return Err(UnpackError::TooLarge);
    }
    Ok(body)
}

fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(GZIP_MARK)
}

/// It begins as a document does: with a byte order mark, or with nothing but readable characters.
fn is_document(body: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [&[0xef, 0xbb, 0xbf], &[0xff, 0xfe], &[0xfe, 0xff]];
    let start = &body[..body.len().min(12)];
    let is_readable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    MARKS.iter().any(|mark| body.starts_with(mark)) || !start.is_empty() && start.iter().all(is_readable)
}

/// All members of a gzip file; what follows them and is none is left out.
fn gunzip(body: &[u8], bytes_max: u64) -> Result<Vec<u8>, UnpackError> {
    let mut rest = body;
    let mut whole = Vec::new();
    for _ in 0..GZIP_MEMBERS_MAX {
        if !is_gzip(rest) {
            return Ok(whole);
        }
        let mut decoder = GzDecoder::new(rest);
        let room = bytes_max - whole.len() as u64;
        read_into(&mut decoder, &mut whole, room)?;
        rest = decoder.into_inner();
    }
    Err(UnpackError::Broken(format!("the answer is packed in more than {GZIP_MEMBERS_MAX} pieces")))
}

fn read_all(mut reader: impl Read, bytes_max: u64) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = Vec::new();
    read_into(&mut reader, &mut bytes, bytes_max)?;
    Ok(bytes)
}

fn read_into(reader: &mut impl Read, into: &mut Vec<u8>, room: u64) -> Result<(), UnpackError> {
    let read = reader.take(room + 1).read_to_end(into);
    match read {
        Ok(count) if count as u64 > room => Err(UnpackError::TooLarge),
        Ok(_) => Ok(()),
        Err(error) => Err(UnpackError::Broken(format!(
            "the answer's compression is broken: {}",
            crate::plain::line(&error.to_string(), 100)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"<rss><channel><title>Port strike</title></channel></rss>";
    /// A text as brotli writes it without compressing: one stored block and the empty last one (RFC 7932 section 9.2).
    fn brotli(text: &[u8]) -> Vec<u8> {
        // From the lowest bit: window of 16 bits (0), not the last block (0), four nibbles of length (00), length - 1, stored (1).
        let head: u32 = ((text.len() as u32 - 1) << 4) | (1 << 20);
        [&head.to_le_bytes()[..3], text, &[0b11]].concat()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(label: &str, body: Vec<u8>) -> Result<Vec<u8>, UnpackError> {
        unpack(Some(label).filter(|label| !label.is_empty()), body, 1_000)
    }

    #[test]
    fn what_is_packed_is_unpacked_whatever_the_label_says() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(TEXT).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(TEXT).unwrap();
        let two_members = [gzip(&TEXT[..10]), gzip(&TEXT[10..])].concat();
        let trailing = [gzip(TEXT), b"\0\0garbage".to_vec()].concat();
        for (label, body) in [
            ("", TEXT.to_vec()),
            ("identity", TEXT.to_vec()),
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("", gzip(TEXT)),
            ("gzip", TEXT.to_vec()),
            ("br", TEXT.to_vec()),
            ("aws-chunked", TEXT.to_vec()),
            ("gzip", gzip(&gzip(TEXT))),
            ("gzip, gzip", gzip(&gzip(TEXT))),
            ("gzip", two_members),
            ("gzip", trailing),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
            ("br", brotli(TEXT)),
        ] {
            assert_eq!(unpacked(label, body.clone()).as_deref(), Ok(TEXT), "{label:?} {:x?}", &body[..4]);
        }
    }

    #[test]
    fn half_a_stream_is_no_document() {
        let whole = gzip(TEXT);
        for length in 3..whole.len() {
            assert!(matches!(unpacked("gzip", whole[..length].to_vec()), Err(UnpackError::Broken(_))), "{length}");
        }
        let whole = brotli(TEXT);
        assert!(unpacked("br", whole[..whole.len() - 10].to_vec()).is_err());
        assert!(unpacked("zstd", vec![0x28, 0xb5, 0x2f, 0xfd]).is_err());
        assert!(unpacked("gzip", b"\x01\x02\x03".to_vec()).is_err());
        assert!(unpacked("gzip", gzip(b"").repeat(2_000)).is_err());
    }

    #[test]
    fn a_bomb_is_cut_at_the_limit() {
        assert_eq!(unpacked("gzip", gzip(&vec![0; 5_000_000])), Err(UnpackError::TooLarge));
        assert_eq!(unpacked("gzip", gzip(&gzip(&vec![0; 5_000_000]))), Err(UnpackError::TooLarge));
        assert_eq!(unpacked("", vec![b'<'; 1_001]), Err(UnpackError::TooLarge));
        assert_eq!(unpacked("", vec![b'<'; 1_000]).map(|body| body.len()), Ok(1_000));
    }
}
