//! JSON as publishers write it: half characters, bare line breaks and needless backslashes included.

use std::fmt::Write;

use serde_json::Value;

use crate::plain;

/// What the values of a document may weigh. An entry of a feed weighs less than 100.
const WEIGHT_MAX: usize = 600_000;

/// Reads a document. The error says in a few words what is wrong.
pub fn parse(text: &str) -> Result<Value, String> {
    if weight(text) > WEIGHT_MAX {
        return Err("too many values".to_string());
    }
    let text = text.trim();
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&repaired(text)).map_err(|_| error))
        .map_err(|error| plain::line(&error.to_string(), 120))
}

/// A bound on the memory that the values of a document take besides their text, in units of 32 bytes: one for each value, and
/// twenty for each object, which is that large with a single key.
fn weight(text: &str) -> usize {
    let (mut weight, mut quoted) = (0, false);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => _ = bytes.next(),
            b',' | b'[' if !quoted => weight += 1,
            b'{' if !quoted => weight += 20,
            _ => {}
        }
    }
    weight
}

/// What is no JSON within a text, but can only mean one thing: half a character, written as an escape, becomes U+FFFD; a
/// backslash that escapes nothing is dropped; a control character becomes its escape.
fn repaired(text: &str) -> String {
    let surrogate = |at: usize| -> Option<u32> {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
    };
    let mut out = String::with_capacity(text.len());
    let (mut at, mut quoted) = (0, false);
    while let Some(c) = text[at..].chars().next() {
        let behind = at + c.len_utf8();
        match c {
            '\\' if quoted => match (surrogate(at), surrogate(at + 6)) {
                (Some(0xd800..0xdc00), Some(0xdc00..)) => {
                    out.push_str(&text[at..at + 12]);
                    at += 12;
                    continue;
                }
                (Some(_), _) => {
                    out.push_str("\\ufffd");
                    at += 6;
                    continue;
                }
                (None, _) => {
                    let escaped = text[behind..].chars().next();
                    if escaped.is_some_and(|c| "\"\\/bfnrtu".contains(c)) {
                        out.push('\\');
                    }
                    out.extend(escaped);
                    at = behind + escaped.map_or(0, char::len_utf8);
                    continue;
                }
            },
            '"' => {
                quoted = !quoted;
                out.push(c);
            }
            c if quoted && c < ' ' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
        at = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_only_mean_one_thing_is_read() {
        for (text, expected) in [
            (r#"["\ud83d\ude00 \ud83d x \ude00"]"#, "😀 \u{fffd} x \u{fffd}"),
            (r#"["it\'s \\ \"a\" \/"]"#, "it's \\ \"a\" /"),
            ("[\"two\nlines\tand a tab\"]", "two\nlines\tand a tab"),
        ] {
            assert_eq!(parse(text).unwrap()[0], expected, "{text}");
        }
        assert!(parse("{\"a\": nonsense}").is_err());
        assert_eq!(parse(&format!("[{}]", "{},".repeat(50_000))).unwrap_err(), "too many values");
    }
}
