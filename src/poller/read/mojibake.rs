//! Text that was encoded as UTF-8 twice ("CataluÃ±a", "donâ€™t"), put right where that is certain.

use super::entities::windows_1252;
use crate::plain;

/// Runs of characters that are the bytes of UTF-8, read as windows-1252, become what the bytes mean. All other text stays: the
/// bytes of UTF-8 follow rules that words of no language follow by chance. Single characters do, in a text in an encoding that
/// nobody knows; so most of a run must follow them.
pub fn repair(text: String) -> String {
    if !text.contains(is_lead) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    let mut rest = text.as_str();
    while let Some(at) = rest.find(is_high) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(|c| !is_high(c)).unwrap_or(rest.len());
        changed |= repair_run(&rest[..end], &rest[end..], &mut out);
        rest = &rest[end..];
    }
    out.push_str(rest);
    if changed { out } else { text }
}

/// Adds a run of characters above ASCII, repaired if most of it is to be repaired.
fn repair_run(run: &str, behind: &str, out: &mut String) -> bool {
    let start = out.len();
    let (mut repaired, mut left) = (0usize, 0usize);
    let mut rest = run;
    while let Some(first) = rest.chars().next() {
        let length = match sequence(rest, behind) {
            Some((character, length)) => {
                out.push(character);
                repaired += rest[..length].chars().count();
                length
            }
            None => {
                out.push(first);
                left += 1;
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    if repaired < 2 * left {
        out.truncate(start);
        out.push_str(run);
    }
    repaired > 0 && repaired >= 2 * left
}

/// The character is above ASCII.
fn is_high(c: char) -> bool {
    !c.is_ascii()
}

/// The character may be the first byte of a sequence of several.
fn is_lead(c: char) -> bool {
    matches!(c, '\u{c2}'..='\u{c3}' | '\u{c4}' | '\u{c5}' | '\u{d0}' | '\u{d1}' | '\u{e2}'..='\u{ef}' | '\u{f0}')
}

/// The character whose bytes stand here, and how long they are as text.
fn sequence(text: &str, behind: &str) -> Option<(char, usize)> {
    let lead = byte(text.chars().next()?)?;
    let count = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let mut bytes = [0u8; 4];
    let mut length = 0;
    let mut characters = text.chars();
    for slot in &mut bytes[..count] {
        let character = characters.next()?;
        *slot = byte(character)?;
        length += character.len_utf8();
    }
    let decoded = std::str::from_utf8(&bytes[..count]).ok()?.chars().next()?;
    // "à la Å»" is a capital letter at the end of a quotation.
    let is_quotation = count == 2
        && matches!(bytes[1], 0xab | 0xbb)
        && !characters.chain(behind.chars()).next().is_some_and(char::is_alphabetic);
    // What is put right is not looked at again, so nothing may come of it that steers a terminal.
    (!plain::is_steering(decoded) && !is_quotation).then_some((decoded, length))
}

/// The byte of windows-1252 above 127 that is this character.
fn byte(c: char) -> Option<u8> {
    match c {
        '\u{a0}'..='\u{ff}' => u8::try_from(c).ok(),
        _ => (0x80..=0x9f).find(|byte| windows_1252(*byte) == c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_changed() {
        for (text, expected) in [
            ("CataluÃ±a", "Cataluña"),
            ("donâ€™t â€“ â€¦", "don’t – …"),
            ("SÃO PAULO, ÂNGULO, naïve, Über, señor, fiancée", "SÃO PAULO, ÂNGULO, naïve, Über, señor, fiancée"),
            ("ë¶í", "ë¶í"),
            ("plain", "plain"),
            ("ÆGTE »RØDGRØD MED Å«", "ÆGTE »RØDGRØD MED Å«"),
            ("coÃ»ter", "coûter"),
            ("북한 Ã", "북한 Ã"),
            // Two characters of these would be Chinese; the others would be nothing.
            ("è†®ŸÛë´é´Ì´×´è´ŒÁ¹´Õ", "è†®ŸÛë´é´Ì´×´è´ŒÁ¹´Õ"),
            ("â€œQuotedâ€\u{9d}Ã", "“Quoted”Ã"),
            // U+202E and U+200B would turn the text around and hide what stands in it.
            ("safeâ€®gpj.exe zeroâ€‹width", "safeâ€®gpj.exe zeroâ€‹width"),
        ] {
            assert_eq!(repair(text.to_string()), expected);
        }
    }
}
