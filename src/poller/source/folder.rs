//! The source kind `folder`: files that something else puts there: messages of a Maildir, reports, saved pages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Document, ReadError, ReadLimits, Source};
use crate::config::section::Section;
use crate::model::{Entry, Memory, Reading};
use crate::plain;
use crate::poller::read::{self, decode};

const TITLE_CHARACTERS_MAX: usize = 1_000;

/// A folder as configured.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// Reads the settings: `path`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Source>> {
    section.required_text("path")?;
    let path = section.path("path")?;
    super::without_articles(section, "the files of a folder are their own articles");
    // Where the program was started must not matter.
    let path = std::path::absolute(&path).unwrap_or(path);
    Some(Arc::new(Folder { path }))
}

impl Source for Folder {
    fn kind(&self) -> &'static str {
        "folder"
    }

    fn accept(&self) -> &'static str {
        "*/*"
    }

    fn drops_old_entries(&self) -> bool {
        false
    }

    fn remembers(&self) -> bool {
        true
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
    }

    /// One file; what it is says its name, or for files without an extension (a Maildir's) their beginning.
    fn read(&self, document: &Document<'_>, limits: &ReadLimits, _: &mut Memory) -> Result<Reading, ReadError> {
        let path = document.url.path();
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        let entries = match extension.as_str() {
            "html" | "htm" | "xhtml" => vec![page(document, limits)?],
            "txt" | "md" | "markdown" | "text" => vec![text(document, limits)?],
            "xml" | "rss" | "atom" | "rdf" | "json" => return read::feed::read(document, limits),
            "eml" => read::mail::read(document.body, limits)?,
            _ if is_message(document.body) => read::mail::read(document.body, limits)?,
            _ => return Err(ReadError("newswatch reads text, Markdown, HTML, PDF, feeds and messages".into())),
        };
        Ok(Reading { entries, ..Reading::default() })
    }
}

/// It begins with a header of a message.
fn is_message(body: &[u8]) -> bool {
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = first.split(|byte| *byte == b':').next().unwrap_or_default();
    name.len() < first.len()
        && !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

fn page(document: &Document<'_>, limits: &ReadLimits) -> Result<Entry, ReadError> {
    let article = read::article::article(document, limits)?;
    Ok(Entry {
        title: article.title,
        content: article.text,
        language: article.language,
        url: article.url,
        ..Entry::default()
    })
}

/// The first line is the title.
fn text(document: &Document<'_>, limits: &ReadLimits) -> Result<Entry, ReadError> {
    let text = decode::text(document.body, document.content_type);
    let text = plain::text(&text, limits.text_bytes_max);
    let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let title = plain::line(title.trim_start_matches(['#', ' ']), TITLE_CHARACTERS_MAX);
    if title.is_empty() {
        return Err(ReadError("an empty file".into()));
    }
    Ok(Entry { title, content: rest.trim().to_string(), ..Entry::default() })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn files_are_read_by_what_they_are() {
        let read = |name: &str, body: &[u8]| {
            let url = Url::parse(&format!("file:///watched/{name}")).unwrap();
            let document = Document { url: &url, content_type: None, body };
            let folder = Folder { path: "/watched".into() };
            let reading = folder.read(&document, &ReadLimits::default(), &mut Memory::new());
            reading.map(|reading| reading.entries.into_iter().map(|entry| entry.title).collect::<Vec<_>>())
        };
        let alert = include_bytes!("../../../tests/data/reading/alert.eml");
        for (name, body, expected) in [
            ("a.md", "# Port strike\n\nIt ended.".as_bytes(), "Port strike"),
            ("a.txt", "Порт закрыт\nТекст".as_bytes(), "Порт закрыт"),
            ("a.html", include_bytes!("../../../tests/data/reading/article.html"), "Harbour workers end their strike"),
            ("1795.M1P2.host:2,S", alert, "Port strike ends after nine days"),
            ("feed.xml", b"<rss version='2.0'><channel><item><title>One</title></item></channel></rss>", "One"),
        ] {
            assert_eq!(read(name, body).unwrap()[0], expected, "{name}");
        }
        for (name, body) in [("a.docx", b"PK\x03\x04".as_slice()), ("a.txt", b" \n ")] {
            assert!(read(name, body).is_err(), "{name}");
        }
    }
}
