//! A source written down as configuration, ready to paste.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use toml::Value;

use super::NAME_BYTES_MAX;
use super::source::is_language_tag;
use crate::plain;
use crate::poller::source::page::Select;

/// A `[[source]]` to be written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Unique; see [`Names`].
    pub name: String,
    /// For people; empty for none.
    pub title: String,
    /// `kind`; empty for a feed.
    pub kind: &'static str,
    /// http or https.
    pub url: String,
    /// Group, with "/" between its levels; empty for none.
    pub group: String,
    /// How often to ask.
    pub interval: Option<Duration>,
    /// Language tag; one that is none is left out.
    pub language: Option<String>,
    /// Read the pages of its items.
    pub article: bool,
    /// Written down, but not polled.
    pub disabled: bool,
    /// Selectors of a list page.
    pub select: Option<Select>,
}

impl Written {
    /// As TOML.
    pub fn toml(&self) -> String {
        let mut out = String::from("[[source]]\n");
        let mut put = |key: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{key} = {}", quoted(value));
        };
        put("name", &self.name);
        if !self.title.is_empty() {
            put("title", &plain::line(&self.title, 200));
        }
        if !self.kind.is_empty() {
            put("kind", self.kind);
        }
        put("url", &self.url);
        if !self.group.is_empty() {
            put("group", &self.group);
        }
        if let Some(interval) = self.interval {
            put("interval", &format!("{}m", interval.as_secs() / 60));
        }
        if let Some(language) = self.language.as_deref().filter(|language| is_language_tag(language)) {
            put("language", language);
        }
        if self.article {
            out.push_str("article = true\n");
        }
        if self.disabled {
            out.push_str("enabled = false\n");
        }
        if let Some(select) = &self.select {
            out.push_str("[source.select]\n");
            let item = Some(select.item.clone());
            let keys = [("item", &item), ("link", &select.link), ("title", &select.title), ("date", &select.date)];
            for (key, value) in keys.into_iter().chain([("summary", &select.summary)]) {
                if let Some(value) = value {
                    let _ = writeln!(out, "{key} = {}", quoted(value));
                }
            }
        }
        out
    }
}

/// A text on one line of TOML.
pub fn quoted(text: &str) -> String {
    Value::String(plain::line(text, 8_000)).to_string()
}

/// Gives out names of sources, each once.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// The name itself if it is valid and free, else a valid and free one made of its words.
    pub fn unique(&mut self, wish: &str) -> String {
        const WORDS_MAX: usize = 6;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let lower = wish.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c| !plain(c))
            .map(|word| word.trim_matches('-'))
            .filter(|word| !word.is_empty())
            .take(WORDS_MAX)
            .collect();
        let mut name = if !wish.is_empty() && wish.chars().all(plain) { wish.to_string() } else { words.join("-") };
        if name.is_empty() {
            name.push_str("source");
        }
        // Room for a number; all is ASCII here.
        name.truncate(NAME_BYTES_MAX - 8);
        let first = name.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{first}-{number}");
            number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::File;

    #[test]
    fn what_is_written_is_valid_configuration() {
        let mut names = Names::default();
        let written = |name: String, select| Written {
            name,
            title: "News\n\"x\" \u{1b}[31m".into(),
            kind: if select { "page" } else { "" },
            url: "https://www.example.org/a".into(),
            group: "Think tanks/Korea".into(),
            interval: Some(Duration::from_secs(3600)),
            language: Some("ko-KR".into()),
            article: true,
            disabled: false,
            select: select.then(|| Select {
                item: "li.x > a[href^=\"/a'\"]".into(),
                date: Some("@data-ts".into()),
                ..Select::default()
            }),
        };
        let text: String = ["www.Example.org: 뉴스 \"x\"", "www.example.org: x", "", &"long".repeat(40)]
            .into_iter()
            .enumerate()
            .map(|(at, wish)| written(names.unique(wish), at % 2 == 0).toml() + "\n")
            .collect();
        let main = File::new("newswatch.toml", text);
        let profile = File::new(
            "p.toml",
            "name = \"p\"\nthreshold = 1.0\n[[phrase]]\ntext = \"a b\"\nweight = 1.0\n".to_string(),
        );
        let config = crate::config::Config::from_files(&main, &[], &[profile], &[]).unwrap();
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names[..3], ["www-example-org-x", "www-example-org-x-2", "source"]);
        assert_eq!(config.sources[0].title, "News \"x\"");
        assert_eq!(config.sources[0].group, "Think tanks/Korea");
    }
}
