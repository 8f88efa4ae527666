//! Where a tag ends and what its attributes are: shared by HTML and feeds.

/// Just behind the `>` that ends the tag, quoted values respected. A quote that holds what looks like the end of the tag
/// and another tag was never closed; then the first `>` ends the tag.
pub(super) fn tag_end(bytes: &[u8]) -> Option<usize> {
    /// A longer tag is a quote that was never closed.
    const TAG_BYTES_MAX: usize = 64 * 1024;
    let bytes = &bytes[..bytes.len().min(TAG_BYTES_MAX)];
    let mut at = 0;
    let mut after_equals = false;
    while at < bytes.len() {
        match bytes[at] {
            b'>' => return Some(at + 1),
            // A new tag begins: the old one was never ended.
            b'<' => return None,
            quote @ (b'"' | b'\'') if after_equals => {
                let value = &bytes[at + 1..];
                let Some(length) = value.iter().position(|b| *b == quote) else {
                    return value.iter().position(|b| *b == b'>').map(|end| at + 1 + end + 1);
                };
                let first = value[..length].iter().position(|b| matches!(b, b'<' | b'>'));
                if let Some(first) = first
                    && value[first] == b'>'
                    && value[first..length].contains(&b'<')
                {
                    return Some(at + 1 + first + 1);
                }
                at += length + 1;
                after_equals = false;
            }
            b'=' => after_equals = true,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => after_equals = false,
        }
        at += 1;
    }
    None
}

/// The attributes in the inside of a tag: names and values as written, quoted or not.
pub(super) fn attributes<'a>(inside: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let mut rest = inside;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '='));
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let name = &rest[..end];
        rest = rest[end..].trim_start();
        let Some(behind) = rest.strip_prefix('=') else { return Some((name, "")) };
        let behind = behind.trim_start();
        let (value, length) = match behind.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &behind[1..];
                let end = inner.find(quote).unwrap_or(inner.len());
                (&inner[..end], (end + 2).min(behind.len()))
            }
            _ => {
                let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
                (&behind[..end], end)
            }
        };
        rest = &behind[length..];
        Some((name, value))
    })
}
