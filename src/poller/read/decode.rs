//! Bytes to text, whatever they claim to be.

use std::borrow::Cow;

use super::entities::windows_1252;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A declaration further down than this is none.
const DECLARATION_BYTES: usize = 1024;

/// Of a document that is not in UTF-8 no more is decoded: three bytes may come of one.
const OTHER_BYTES_MAX: usize = 8 << 20;

/// A guess needs no more; each byte is looked at for twenty encodings.
const GUESS_BYTES_MAX: usize = 1 << 20;

/// The text of a document. Bad bytes become U+FFFD; nothing is refused.
///
/// Order: byte order mark; UTF-16 by its zero bytes; valid UTF-8 with multi-byte characters, whatever the labels say (no other
/// encoding looks like that by chance); the label in Content-Type; the label in the document; UTF-8; a guess.
pub fn text<'a>(body: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    let text = decoded(body, content_type);
    // U+0080 to U+009F in a text are always windows-1252 that somebody took for ISO 8859-1. (In long texts they go as what
    // steers terminals goes.)
    if text.len() <= OTHER_BYTES_MAX && text.as_bytes().windows(2).any(|pair| pair[0] == 0xc2 && pair[1] < 0xa0) {
        return Cow::Owned(text.chars().map(|c| u8::try_from(c).map_or(c, windows_1252)).collect());
    }
    text
}

fn decoded<'a>(body: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    let head = &body[..body.len().min(OTHER_BYTES_MAX)];
    if let Some((encoding, mark)) = Encoding::for_bom(body) {
        return if encoding == UTF_8 { utf_8(&body[mark..]) } else { encoding.decode(head).0 };
    }
    if let Some(encoding) = utf_16_without_mark(body) {
        return encoding.decode_without_bom_handling(head).0;
    }
    let label = content_type.and_then(charset).or_else(|| declared(body));
    if let Ok(text) = std::str::from_utf8(body)
        // ISO-2022-JP, HZ and UTF-7 look like ASCII.
        && (!text.is_ascii() || label.is_none_or(|label| label.is_ascii_compatible()))
    {
        return Cow::Borrowed(text);
    }
    if let Some(label) = label.filter(|label| *label != UTF_8) {
        let (text, _, errors) = label.decode(head);
        // A label that fits wins; one that hardly fits is a mistake.
        if !errors || bad_share(&text) < 0.05 {
            return text;
        }
    }
    // By chance no more than a few of the bytes above 127 would make characters.
    if is_mostly_utf_8(body) {
        return utf_8(body);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&head[..head.len().min(GUESS_BYTES_MAX)], true);
    detector.guess(None, Utf8Detection::Deny).decode_without_bom_handling(head).0
}

/// The text in UTF-8, with U+FFFD for bad bytes. A single bad byte beside a letter is what somebody pasted from windows-1252.
fn utf_8(body: &[u8]) -> Cow<'_, str> {
    let bad: usize = body.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let body = if bad > OTHER_BYTES_MAX { &body[..OTHER_BYTES_MAX] } else { body };
    if bad == 0 {
        return String::from_utf8_lossy(body);
    }
    let mut out = String::with_capacity(body.len() + 2 * bad.min(body.len()));
    let mut at = 0;
    for chunk in body.utf8_chunks() {
        out.push_str(chunk.valid());
        at += chunk.valid().len() + chunk.invalid().len();
        match chunk.invalid() {
            [] => {}
            [byte] if is_pasted(*byte, chunk.valid().bytes().next_back(), body.get(at)) => {
                out.push(windows_1252(*byte))
            }
            _ => out.push('\u{fffd}'),
        }
    }
    Cow::Owned(out)
}

/// The bad byte is a letter or a quotation mark of windows-1252, and not what is left of a character that was cut.
fn is_pasted(byte: u8, before: Option<u8>, behind: Option<&u8>) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic();
    // The first bytes of Latin letters in UTF-8.
    let is_cut = matches!(byte, 0xc2..=0xc5);
    !is_cut
        && before.is_none_or(|byte| byte.is_ascii())
        && behind.is_none_or(|byte| byte.is_ascii())
        && (before.is_some_and(is_letter) || behind.copied().is_some_and(is_letter))
}

/// Most of what is above ASCII makes characters of UTF-8.
fn is_mostly_utf_8(body: &[u8]) -> bool {
    let (mut bad, mut high) = (0u64, 0u64);
    for chunk in body.utf8_chunks() {
        // The bytes that begin a character.
        high += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count() as u64;
        bad += u64::from(!chunk.invalid().is_empty());
    }
    bad <= high
}

/// The part of the characters above ASCII that could not be decoded.
fn bad_share(text: &str) -> f64 {
    let (mut bad, mut high) = (0u32, 0u32);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        high += 1;
        bad += u32::from(c == '\u{fffd}');
    }
    f64::from(bad) / f64::from(high.max(1))
}

/// `<` between zero bytes at the very start.
fn utf_16_without_mark(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [b'<' | b'{', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        [0, b'<' | b'{', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// The charset of a Content-Type.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let lower = content_type.to_ascii_lowercase();
    let label = &lower[lower.find("charset")? + 7..];
    let label = label.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    encoding(label.split([';', '"', '\'', ' ', ',']).next()?)
}

/// The label in an XML declaration (`encoding="…"`) or a `<meta>` (`charset=…`).
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let head: String = body.iter().take(DECLARATION_BYTES).map(|b| b.to_ascii_lowercase() as char).collect();
    let at = match head.find("<?xml") {
        Some(start) => {
            let declaration = &head[start..start + head[start..].find("?>")?];
            start + declaration.find("encoding")? + "encoding".len()
        }
        None => head.find("<meta").and_then(|meta| Some(meta + head[meta..].find("charset")? + "charset".len()))?,
    };
    let label = head[at..].trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let label = encoding(label.split(['"', '\'', ';', ' ', '>', '/']).next()?)?;
    // Whoever wrote this label in single bytes did not mean it.
    Some(if label == UTF_16LE || label == UTF_16BE { UTF_8 } else { label })
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    let label = label.trim().replace('_', "-");
    Encoding::for_label(label.as_bytes()).or(match label.as_str() {
        "ansi" | "windows1252" => Some(WINDOWS_1252),
        "utf8mb4" => Some(UTF_8),
        "maccyrillic" | "mac-cyrillic" => Encoding::for_label(b"x-mac-cyrillic"),
        "shift-jis" => Encoding::for_label(b"shift_jis"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bytes_say_beats_what_labels_say() {
        let utf_16: Vec<u8> = "<a>é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&[u8], Option<&str>, &str); 11] = [
            (b"plain", None, "plain"),
            ("caf\u{e9}".as_bytes(), Some("text/xml; charset=iso-8859-1"), "café"),
            (b"caf\xe9", Some("text/xml; charset=\"iso-8859-1\""), "café"),
            (
                b"<?xml version='1.0' encoding='windows-1251'?>\xef\xf0\xe8",
                None,
                "<?xml version='1.0' encoding='windows-1251'?>при",
            ),
            (b"<html><meta charset=euc-kr>\xba\xcf\xc7\xd1", None, "<html><meta charset=euc-kr>북한"),
            (b"\xef\xbb\xbfmark", None, "mark"),
            (&utf_16, None, "<a>é"),
            (b"\x1b$B%K%e!<%9\x1b(B", Some("text/html; charset=iso-2022-jp"), "ニュース"),
            (b"<?xml version=\"1.0\" encoding=\"nonsense\"?>x", None, "<?xml version=\"1.0\" encoding=\"nonsense\"?>x"),
            (b"don\xc2\x92t", None, "don’t"),
            (b"", Some("garbage"), ""),
        ];
        for (bytes, content_type, expected) in cases {
            assert_eq!(text(bytes, content_type), expected, "{bytes:?}");
        }
    }

    #[test]
    fn one_bad_byte_does_not_change_the_encoding() {
        let mut bytes = "북한의 자금세탁 방지 기구에 대한 보고서가 나왔다 ".repeat(3).into_bytes();
        bytes.push(0xff);
        assert!(text(&bytes, None).starts_with("북한의 자금세탁"));
    }

    #[test]
    fn letters_pasted_from_elsewhere_are_read() {
        let text = |parts: &[&[u8]]| text(&parts.concat(), Some("text/xml; charset=utf-8")).into_owned();
        let good = "Ærø ñ é ü ".as_bytes();
        assert_eq!(text(&[good, b"Espa\xf1a don\x92t caf\xe9, \xe0 la"]), "Ærø ñ é ü España don’t café, \u{fffd} la");
        // What is left of a character that was cut is no letter.
        assert_eq!(text(&[good, b"caf\xc3..."]), "Ærø ñ é ü caf\u{fffd}...");
        assert_eq!(text(&["북한".as_bytes(), b"\xeb</title>"]), "북한\u{fffd}</title>");
        assert_eq!(text(&["북한 자금".as_bytes(), b"\xeb\xb0 x"]), "북한 자금\u{fffd} x");
    }

    #[test]
    fn a_long_document_takes_bounded_memory_in_every_encoding() {
        let euros = vec![0x80; 10 << 20];
        for label in ["windows-1252", "utf-8", "gbk", "x-user-defined"] {
            let text = text(&euros, Some(&format!("text/html; charset={label}")));
            assert!(text.len() <= 3 * OTHER_BYTES_MAX, "{label}: {} bytes", text.len());
        }
        let mut bad = "é".repeat(5 << 20).into_bytes();
        bad[0] = b'x';
        assert_eq!(text(&bad, None).len(), bad.len() + 2, "one bad byte cuts nothing");
    }

    #[test]
    fn without_any_label_a_guess_is_made() {
        let (bytes, _, _) =
            encoding_rs::WINDOWS_1251.encode("Северная Корея пытается обойти санкции через подставные фирмы");
        assert_eq!(text(&bytes, None), "Северная Корея пытается обойти санкции через подставные фирмы");
    }
}
