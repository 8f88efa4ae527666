//! Lines of a text that a mail program shows as they are: at most 76 columns where a line can be broken. Pure.

/// Columns of a line.
const WIDTH: usize = 76;
/// A word without a place to break it is broken after so many bytes: a line of a mail has at most 998.
const WORD_BYTES_MAX: usize = 900;

/// Breaks long lines between words, and between Chinese and Japanese characters. What follows stands under the beginning of the
/// line's text, behind its indentation, number or dash. Addresses stay whole.
pub(super) fn wrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 40);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if columns(line) <= WIDTH && line.len() <= WORD_BYTES_MAX {
            out.push_str(line);
        } else {
            wrap_line(&mut out, line);
        }
        out.push_str(end);
    }
    out
}

fn wrap_line(out: &mut String, line: &str) {
    let indent = " ".repeat(hanging(line));
    let mut column = 0;
    let mut is_start = true;
    for part in parts(line) {
        let width = columns(part.trim_end());
        if !is_start && column + width > WIDTH {
            let kept = out.trim_end_matches(' ').len();
            out.truncate(kept);
            out.push('\n');
            out.push_str(&indent);
            column = indent.len();
        }
        out.push_str(part);
        column += columns(part);
        // The indentation itself is no place to break.
        is_start = is_start && part.trim().is_empty();
    }
    let kept = out.trim_end_matches(' ').len();
    out.truncate(kept);
}

/// Where the text of a line begins: behind spaces, and behind "- " or "12. ".
fn hanging(line: &str) -> usize {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let rest = &line[indent..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mark = if rest.starts_with("- ") {
        2
    } else if digits > 0 && rest[digits..].starts_with(". ") {
        digits + 2
    } else {
        0
    };
    (indent + mark).min(WIDTH / 2)
}

/// What stays together: a word with the spaces behind it, a wide character, a part of a word that is too long.
fn parts(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in line.char_indices() {
        let breaks = match before {
            Some(before) => {
                (before == ' ' && c != ' ')
                    || breaks_behind(before) && c != ' ' && !closes(c)
                    || at - start >= WORD_BYTES_MAX && !line[start..].starts_with("http")
            }
            None => false,
        };
        if breaks {
            parts.push(&line[start..at]);
            start = at;
        }
        before = Some(c);
    }
    parts.push(&line[start..]);
    parts
}

fn breaks_behind(c: char) -> bool {
    width(c) == 2 && !matches!(c, '\u{ac00}'..='\u{d7a3}' | '「' | '『' | '（' | '《')
}

fn closes(c: char) -> bool {
    matches!(c, '。' | '、' | '，' | '」' | '』' | '）' | '》' | '！' | '？' | '.' | ',' | ')' | '*')
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

fn width(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3ffff}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_hang_under_their_text() {
        let word = "word ".repeat(20);
        let wrapped = wrap(&format!("- {word}\n\n12. {word}\nshort\n"));
        let lines: Vec<&str> = wrapped.lines().collect();
        assert!(lines[1].starts_with("  word") && lines[4].starts_with("    word"), "{wrapped}");
        assert!(lines.iter().all(|line| columns(line) <= WIDTH && !line.ends_with(' ')), "{wrapped}");
        let url = format!("   https://h.example/{}", "a".repeat(300));
        assert_eq!(wrap(&url), url, "an address stays whole");
        assert_eq!(wrap("-- \n"), "-- \n", "the line above a signature ends in a space");
        let chinese = wrap(&"北朝鮮の観察者。".repeat(12));
        assert!(chinese.lines().count() > 1 && chinese.lines().all(|line| columns(line) <= WIDTH + 2), "{chinese}");
        assert!(chinese.lines().all(|line| !line.starts_with('。')));
        let long = wrap(&"ж".repeat(3_000));
        assert!(long.lines().all(|line| line.len() <= 998));
    }
}
