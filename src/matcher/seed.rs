//! Seed articles: the texts that show what a profile is to find.

use serde::Deserialize;

/// An article that a profile is learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Name of the file, without folders.
    pub file: String,
    /// Its title; may be empty.
    pub title: String,
    /// The text below it.
    pub text: String,
}

#[derive(Deserialize)]
struct JsonItem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
}

impl Seed {
    /// From the content of a file; its name's ending tells the form:
    /// - `.json`, `.jsonl`: one item with `title` and `text`;
    /// - `.md`, `.markdown`: Markdown. A head between `---` lines is dropped, and its `title:` is the title; else the first heading;
    /// - anything else: title line, empty line, text. Without the empty line all of it is text.
    ///
    /// The error says what is wrong in words, without the file's name.
    pub fn parse(file: &str, content: &str) -> Result<Seed, String> {
        let content = content.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        let (title, text) = match ending.as_str() {
            "json" | "jsonl" => {
                let item: JsonItem = serde_json::from_str(content.trim())
                    .map_err(|error| format!("is not one JSON object with \"title\" and \"text\": {error}"))?;
                (item.title, item.text)
            }
            "md" | "markdown" => markdown(&content),
            _ => plain(&content),
        };
        // Some agencies send flashes that are all title.
        if text.trim().is_empty() && title.trim().is_empty() {
            return Err("is empty; a seed is an article: a title line, an empty line, text".to_string());
        }
        Ok(Seed { file: file.to_string(), title: title.trim().to_string(), text: text.trim().to_string() })
    }
}

fn plain(content: &str) -> (String, String) {
    match content.split_once("\n\n") {
        Some((title, text)) if !title.contains('\n') => (title.to_string(), text.to_string()),
        _ => (String::new(), content.to_string()),
    }
}

fn markdown(content: &str) -> (String, String) {
    let mut title = String::new();
    let mut body = content;
    if let Some((head, rest)) = content.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")) {
        body = rest;
        if let Some(value) = head.lines().find_map(|line| line.strip_prefix("title:")) {
            title = value.trim().trim_matches(['"', '\'']).to_string();
        }
    }
    let mut text = String::with_capacity(body.len());
    for line in body.lines() {
        let hashes = line.len() - line.trim_start_matches('#').len();
        let heading = (1..=6).contains(&hashes).then(|| line[hashes..].strip_prefix(' ')).flatten();
        match heading {
            Some(heading) if title.is_empty() => title = heading.trim().to_string(),
            // A heading is a sentence of its own.
            Some(heading) => text.push_str(&format!("{}.\n", heading.trim())),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    (title, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, content: &str, title: &str, text: &str) {
        let seed = Seed::parse(file, content).expect("readable");
        assert_eq!((seed.title.as_str(), seed.text.as_str()), (title, text), "{file}");
    }

    #[test]
    fn seeds_of_all_kinds_read_the_same() {
        check("a.txt", "A title\n\nFirst.\n\nSecond.\n", "A title", "First.\n\nSecond.");
        check("a.txt", "Only text,\nno title.", "", "Only text,\nno title.");
        check("a.txt", "\n\nText of no title.\n\nMore.", "", "Text of no title.\n\nMore.");
        check("a.txt", "All title\n\n", "All title", "");
        check("a.md", "---\nprofile: x\ntitle: A title\n---\n\nFirst.\n", "A title", "First.");
        check("a.md", "# A title\n\nFirst.\n## Part\nSecond #1.\n", "A title", "First.\nPart.\nSecond #1.");
        check("a.json", "{\"title\":\"A title\",\"text\":\"First.\",\"id\":7}\n", "A title", "First.");
        check("a.txt", "\u{feff}A title\r\n\r\nFirst.", "A title", "First.");
    }

    #[test]
    fn empty_seeds_are_refused() {
        for (file, content) in
            [("a.txt", ""), ("a.txt", " \n\n "), ("a.json", "{\"id\":\"x\"}"), ("a.md", "---\nx: y\n---\n")]
        {
            assert!(Seed::parse(file, content).is_err_and(|e| e.contains("is empty")), "{file} {content:?}");
        }
        assert!(Seed::parse("a.json", "[1]").is_err_and(|e| e.contains("JSON")));
    }
}
