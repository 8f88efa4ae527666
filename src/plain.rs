//! Text from outside made safe to show: in a terminal, a log line, a mail header, a mail's text. Used at every edge.

/// Characters that steer a terminal, a line reader or the direction of text instead of being text: C0 and C1 controls,
/// direction overrides and isolates, line and paragraph separators, zero-width characters, the byte order mark, and
/// the tag characters that hide text.
pub fn is_steering(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line: steering characters become spaces, runs of white space one space, and at most `characters_max` characters
/// stay (the cut is shown by "…").
pub fn line(text: &str, characters_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(characters_max.saturating_mul(4)));
    push_line(&mut out, text, characters_max);
    out
}

fn push_line(out: &mut String, text: &str, characters_max: usize) {
    let mut count = 0;
    let mut gap = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // The common case is copied whole: words of printable ASCII.
        let word = rest.bytes().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
        if word == 0 {
            rest = &rest[c.len_utf8()..];
            if c == '\u{9b}' || (c == '\u{1b}' && rest.starts_with('[')) {
                rest = after_control_sequence(rest);
            }
            if is_steering(c) || c.is_whitespace() {
                // A zero-width character separates nothing.
                gap |= !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
                    && count > 0;
                continue;
            }
        }
        if count + usize::from(gap) >= characters_max {
            return out.push('…');
        }
        if gap {
            out.push(' ');
            count += 1;
            gap = false;
        }
        if word == 0 {
            out.push(c);
            count += 1;
            continue;
        }
        let fitting = word.min(characters_max - count);
        out.push_str(&rest[..fitting]);
        count += fitting;
        rest = &rest[fitting..];
    }
}

/// Leaves out the parameters and the final letter of a terminal's control sequence (ECMA-48 section 5.4), which would stand
/// there as rubbish when only its first character goes.
fn after_control_sequence(text: &str) -> &str {
    let text = text.strip_prefix('[').unwrap_or(text).trim_start_matches(|c| matches!(c, '\u{20}'..='\u{3f}'));
    text.strip_prefix(|c| matches!(c, '\u{40}'..='\u{7e}')).unwrap_or(text)
}

/// Text of several lines: as [`line`], but line breaks stay (at most one empty line in a row) and at most `bytes_max` bytes
/// are kept, cut between characters.
pub fn text(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    let mut empty = 0;
    for piece in text.split('\n') {
        let before = out.len();
        if before > 0 {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        let start = out.len();
        // Of a longer line the end would be cut anyway.
        push_line(&mut out, piece, bytes_max.saturating_add(1));
        if out.len() == start {
            out.truncate(before);
            empty += 1;
            continue;
        }
        empty = 0;
        if out.len() > bytes_max {
            out.truncate(out.floor_char_boundary(bytes_max));
            break;
        }
    }
    out
}

/// JSON in which no character steers a terminal: such a one is written as its number, which means the same.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) && !matches!(c, '\n' | '\t') {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters of a cell.
const CELL_CHARACTERS_MAX: usize = 2_000;

/// A cell of comma-separated values that no spreadsheet takes for a formula, quoted where it must be.
pub fn csv_cell(text: &str) -> String {
    let mut text = line(text, CELL_CHARACTERS_MAX);
    // The wide forms are the same to a spreadsheet of East Asia.
    if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && text.parse::<f64>().is_err() {
        text.insert(0, '\'');
    }
    if text.contains([',', '"', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Words in the name of a query's parameter whose value lets somebody in.
const SECRET_WORDS: &[&str] = &["key", "token", "secret", "pass", "pwd", "auth", "sig", "session", "sid", "credential"];

/// A text whose addresses show no user names, no passwords, and no values of parameters that sound like a key: for logs and
/// errors. What is left out is shown by "…".
pub fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(after.len());
        let (address, following) = after.split_at(end);
        push_without_secrets(&mut out, address);
        rest = following;
    }
    out.push_str(rest);
    out
}

/// An address behind its "://".
fn push_without_secrets(out: &mut String, address: &str) {
    let authority_end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let (authority, tail) = address.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((_, host)) => *out += &format!("…@{host}"),
        None => out.push_str(authority),
    }
    let Some(query_at) = tail.find('?') else { return out.push_str(tail) };
    let (path, query) = tail.split_at(query_at + 1);
    out.push_str(path);
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => *out += &format!("{name}=…"),
            _ => out.push_str(pair),
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let steering = "a\u{9b}2J \u{202e}b \u{e0001}";
        let shown = super::json(&serde_json::to_string(steering).unwrap());
        assert!(!shown.chars().any(super::is_steering), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), steering);
    }

    #[test]
    fn nothing_steers_a_terminal() {
        let cases = [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\r\nBcc: x", "a Bcc: x"),
            ("  two\t\twords ", "two words"),
            ("safe\u{202e}gpj.exe", "safe gpj.exe"),
            ("zero\u{200b}width", "zerowidth"),
            ("mark\u{61c}ed", "marked"),
            ("\u{9b}31m csi", "csi"),
            ("array\u{1b}", "array"),
            ("북한 자금세탁", "북한 자금세탁"),
            ("", ""),
        ];
        for (input, expected) in cases {
            assert_eq!(line(input, 100), expected, "{input:?}");
        }
    }

    #[test]
    fn addresses_show_no_secrets() {
        let cases = [
            ("https://a.example/feed?page=2", "https://a.example/feed?page=2"),
            ("https://user:hush@a.example/feed", "https://…@a.example/feed"),
            ("https://a.example/?api_key=hush&page=2", "https://a.example/?api_key=…&page=2"),
            ("moved to https://a.example/?x=1&Token=hu://sh now", "moved to https://a.example/?x=1&Token=… now"),
            ("status 503", "status 503"),
            ("https://a.example?auth=a&sid=b#c", "https://a.example?auth=…&sid=…"),
        ];
        for (input, expected) in cases {
            assert_eq!(without_secrets(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_cut_is_shown_and_falls_between_characters() {
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("ab cd", 3), "ab…");
        assert_eq!(text("aä\n\n\n\nb\u{7}", 100), "aä\n\nb");
        assert_eq!(text("ää", 3), "ä");
    }

    #[test]
    fn a_cell_is_neither_a_formula_nor_two_cells() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("\t=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("＝HYPERLINK(1)", "'＝HYPERLINK(1)"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1.5", "-1.5"),
            ("two\nlines", "two lines"),
        ] {
            assert_eq!(csv_cell(text), expected);
        }
    }
}
