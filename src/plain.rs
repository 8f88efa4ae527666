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

/// "1 hit", "2 hits", "1 story", "2 stories", "1 day", "2 days".
pub fn counted(count: usize, noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match (count, stem) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
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

/// What the name of a parameter holds whose value lets somebody in.
const SECRET_PARTS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "signature",
    "credential",
    "session",
    "authoriz",
    "oauth",
    "jwt",
];
/// What a word of such a name ends with. ("author" and "keyword" are none, "apiKey" and "PHPSESSID" are.)
const SECRET_ENDS: &[&str] = &["key", "pass", "pwd", "auth", "sig", "sid"];
/// What stands in the place of a secret where what is handed on must stay an address.
const MASK: &str = "MASKED";

/// A text whose addresses show no user names, no passwords, and no values of parameters that sound like a key: for logs and
/// errors. What is left out is shown by "…".
pub fn without_secrets(text: &str) -> String {
    replaced(text, "…")
}

/// The same for what is handed on: addresses stay such, with "MASKED" in the place of each secret.
pub fn masked(text: &str) -> String {
    replaced(text, MASK)
}

/// The text with the known secrets masked, wherever they stand.
pub fn without(text: &str, secrets: &[String]) -> String {
    let mut out = text.to_string();
    for secret in secrets {
        if out.contains(secret.as_str()) {
            out = out.replace(secret.as_str(), MASK);
        }
    }
    out
}

/// The secrets themselves, as they stand in the addresses of a text.
pub fn secrets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    each_part(text, |part, is_secret| {
        if is_secret {
            found.push(part);
        }
    });
    found
}

fn replaced(text: &str, mask: &str) -> String {
    let mut out = String::with_capacity(text.len());
    each_part(text, |part, is_secret| out.push_str(if is_secret { mask } else { part }));
    out
}

/// A text in its parts: secrets of the addresses in it, and the rest.
fn each_part<'a>(text: &'a str, mut each: impl FnMut(&'a str, bool)) {
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        each(before, false);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(after.len());
        let (address, following) = after.split_at(end);
        each_part_of_address(address, &mut each);
        rest = following;
    }
    each(rest, false);
}

/// An address behind its "://".
fn each_part_of_address<'a>(address: &'a str, each: &mut impl FnMut(&'a str, bool)) {
    let authority_end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let (authority, tail) = address.split_at(authority_end);
    let (user, host) = authority.split_at(authority.rfind('@').unwrap_or(0));
    if !user.is_empty() {
        each(user, true);
    }
    each(host, false);
    let (path, mut rest) = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len()));
    each(path, false);
    // Of query and fragment each "?", "&" or "#" with what follows it.
    while !rest.is_empty() {
        let (pair, following) = rest.split_at(rest[1..].find(['&', '#']).map_or(rest.len(), |end| end + 1));
        match pair.find('=') {
            Some(at) if is_secret(&pair[1..at]) => {
                each(&pair[..=at], false);
                each(&pair[at + 1..], true);
            }
            _ => each(pair, false),
        }
        rest = following;
    }
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_word = |word: &str| {
        SECRET_ENDS.iter().any(|end| word.ends_with(end)) || (word.starts_with("auth") && !word.starts_with("author"))
    };
    SECRET_PARTS.iter().any(|part| lower.contains(part)) || words(name).any(|word| is_word(&word.to_ascii_lowercase()))
}

/// "apiKey_v2" in its words: "api", "Key", "v".
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphabetic()).flat_map(|run| {
        let bytes = run.as_bytes();
        let mut starts: Vec<usize> = (1..bytes.len())
            .filter(|at| bytes[*at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase())
            .collect();
        starts.insert(0, 0);
        starts.push(bytes.len());
        starts.windows(2).map(|pair| &run[pair[0]..pair[1]]).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let said = [(1, "story"), (2, "story"), (0, "day"), (1, "hit"), (3, "hit")].map(|(n, noun)| counted(n, noun));
        assert_eq!(said, ["1 story", "2 stories", "0 days", "1 hit", "3 hits"]);
    }

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
            ("https://a.example?auth=a&sid=b#c", "https://a.example?auth=…&sid=…#c"),
            ("https://a.example/#access_token=hush&x=1", "https://a.example/#access_token=…&x=1"),
            (
                "https://a.example/?apiKey=h&PHPSESSID=h&X-Amz-Signature=h",
                "https://a.example/?apiKey=…&PHPSESSID=…&X-Amz-Signature=…",
            ),
            // What only looks like one.
            (
                "https://a.example/?author=ann&keyword=sign&design=2&president=x",
                "https://a.example/?author=ann&keyword=sign&design=2&president=x",
            ),
            ("https://a.example/?a=ü&token=ü&", "https://a.example/?a=ü&token=…&"),
        ];
        for (input, expected) in cases {
            assert_eq!(without_secrets(input), expected, "{input:?}");
            assert_eq!(masked(input), expected.replace('…', "MASKED"), "{input:?}");
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
