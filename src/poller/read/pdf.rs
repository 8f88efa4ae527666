//! What `pdftotext` and `pdfinfo` write, made into text for reading and matching. Pure; the child processes are an edge.

use std::collections::BTreeMap;

use super::dates;
use crate::model::Timestamp;
use crate::plain;

const TITLE_CHARACTERS_MAX: usize = 1_000;
/// Lines at the head and foot of a page that may be its number and running title.
const MARGIN_LINES: usize = 2;
/// Pages that have to show a line before it counts as a running title.
const RUNNING_PAGES_MIN: usize = 3;
/// Less text than this on a page, over all pages, is a picture of a page.
const SCANNED_CHARACTERS_PER_PAGE: usize = 20;

/// What is known of a PDF besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Title; empty when it has none, or one that a program left there.
    pub title: String,
    /// When it was made or changed last.
    pub date: Option<Timestamp>,
    /// Pages.
    pub pages: Option<usize>,
}

/// The text of `pdftotext -enc UTF-8`: pages end in form feeds. Running titles and page numbers go, words that were divided at
/// the end of a line are put together, lines of one paragraph become one.
pub fn text(raw: &str, bytes_max: usize) -> String {
    let pages: Vec<Vec<&str>> = raw
        .split('\u{c}')
        .map(|page| page.lines().map(str::trim).collect::<Vec<_>>())
        .filter(|page| !page.is_empty())
        .collect();
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for page in &pages {
        for line in margins(page) {
            *shown.entry(without_numbers(line)).or_default() += 1;
        }
    }
    let is_running = |line: &str| {
        let name = without_numbers(line);
        name.is_empty() || shown.get(&name).is_some_and(|count| *count >= RUNNING_PAGES_MIN && count * 2 > pages.len())
    };
    let mut out = String::with_capacity(raw.len());
    for page in &pages {
        let margin: Vec<*const u8> = margins(page).map(str::as_ptr).collect();
        for line in page {
            if line.is_empty() {
                // A paragraph ends, but not where a page ends in the middle of a sentence.
                if !out.ends_with('\n')
                    && (out.ends_with(['.', '!', '?', ':', '。', '”', '"', ')']) || ends_short(&out))
                {
                    out.push('\n');
                }
            } else if !(margin.contains(&line.as_ptr()) && is_running(line)) {
                join(&mut out, line);
            }
        }
    }
    plain::text(&out, bytes_max)
}

/// The lines at head and foot of a page that say something.
fn margins<'l>(page: &'l [&'l str]) -> impl Iterator<Item = &'l str> {
    let said = || page.iter().copied().filter(|line| !line.is_empty());
    let foot: Vec<&str> = page.iter().rev().copied().filter(|line| !line.is_empty()).take(MARGIN_LINES).collect();
    said().take(MARGIN_LINES).chain(foot)
}

/// A running title says the same on each page, but for the number.
fn without_numbers(line: &str) -> String {
    let kept = line.chars().filter(|c| c.is_alphabetic() || c.is_whitespace());
    plain::line(&kept.collect::<String>(), 200).to_lowercase()
}

/// The last line is short: a heading, or the end of a paragraph.
fn ends_short(out: &str) -> bool {
    const SHORT: usize = 60;
    let last = out.rsplit('\n').next().unwrap_or_default();
    last.chars().take(SHORT).count() < SHORT
}

/// Adds a line to the paragraph that is being put together.
fn join(out: &mut String, line: &str) {
    let divided = out.ends_with('-') && out.chars().rev().nth(1).is_some_and(char::is_lowercase);
    let is_between_wide = out.ends_with(is_wide) && line.starts_with(is_wide);
    if divided && line.starts_with(char::is_lowercase) || out.ends_with('\u{ad}') {
        out.pop();
    } else if !(out.is_empty() || out.ends_with('\n') || is_between_wide) {
        out.push(' ');
    }
    out.push_str(line);
}

/// Chinese and Japanese have no spaces, so none stands for the end of a line.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

/// What `pdfinfo -isodates -enc UTF-8` writes: a name, a colon and a value on each line.
pub fn about(raw: &str) -> About {
    let value = |name: &str| {
        let mut lines = raw.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    let date = |name| value(name).and_then(dates::timestamp);
    About {
        title: value("Title")
            .map(|title| plain::line(title, TITLE_CHARACTERS_MAX))
            .filter(|title| is_title(title))
            .unwrap_or_default(),
        date: date("CreationDate").or_else(|| date("ModDate")),
        pages: value("Pages").and_then(|pages| pages.parse().ok()),
    }
}

/// Many programs write the name of their own file there.
fn is_title(title: &str) -> bool {
    let lower = title.to_lowercase();
    let is_file = [".doc", ".docx", ".indd", ".pdf", ".qxd", ".rtf", ".odt", ".xlsx", ".pptx"];
    let is_left = ["microsoft word", "untitled", "slide 1", "powerpoint presentation", "document1"];
    title.chars().any(char::is_alphabetic)
        && !is_file.iter().any(|end| lower.ends_with(end))
        && !is_left.iter().any(|begin| lower.starts_with(begin))
}

/// The first line that can be a title, for a PDF that names none.
pub fn first_line(text: &str) -> String {
    const LINES_LOOKED_AT: usize = 10;
    const TITLE_CHARACTERS_MIN: usize = 8;
    let mut lines = text.lines().take(LINES_LOOKED_AT).map(|line| plain::line(line, 200));
    lines.find(|line| line.chars().filter(|c| c.is_alphabetic()).count() >= TITLE_CHARACTERS_MIN).unwrap_or_default()
}

/// There is next to no text on its pages: they are pictures.
pub fn is_scanned(text: &str, pages: usize) -> bool {
    text.chars().filter(|c| c.is_alphanumeric()).count() < SCANNED_CHARACTERS_PER_PAGE * pages.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_paragraphs() {
        let page = |number: u32, body: &str| format!("Harbour Board\n\n{body}\n\nAnnual report {number}\n\u{c}");
        let raw = [
            page(1, "1. The strike\n\nThe dock work-\ners walked out on Mon-\nday and the ferries\nstayed in port."),
            page(2, "The board met the un-\nion. It agreed to the new rota after nine days of talks and\n"),
            page(3, "signed.\n\n港务局\n决定关闭港口。"),
        ]
        .concat();
        assert_eq!(
            text(&raw, 10_000),
            "1. The strike\nThe dock workers walked out on Monday and the ferries stayed in port.\n\
             The board met the union. It agreed to the new rota after nine days of talks and signed.\n港务局决定关闭港口。"
        );
    }

    #[test]
    fn what_is_known_of_it() {
        let raw = "Title:           Report of the Board\nSubject: \nCreationDate:    2026-11-20T08:00:00+01\nPages:           12\n";
        let found = about(raw);
        assert_eq!((found.title.as_str(), found.pages), ("Report of the Board", Some(12)));
        assert_eq!(found.date.unwrap().to_string(), "2026-11-20T07:00:00Z");
        assert_eq!(about("Title: Microsoft Word - report.doc\n"), About::default());
    }

    #[test]
    fn pictures_of_pages_are_told_from_text() {
        assert!(is_scanned(" 1 \n 2 ", 2));
        assert!(!is_scanned("The board closed the port on Monday.", 1));
        assert_eq!(first_line("\n12\nReport of the board\nrest"), "Report of the board");
    }
}
