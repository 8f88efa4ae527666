//! The article on a page: its text without navigation, advertisements and comments.

use dom_smoothie::{Config, Readability, TextMode};
use scraper::{Html, Selector};

use super::guard::guarded;
use super::{absolute, bot_check, decode, html, page};
use crate::plain;
use crate::poller::source::{Document, ReadError, ReadLimits};

/// Paragraphs shorter than this are captions and buttons.
const PARAGRAPH_CHARACTERS_MIN: usize = 40;
/// A page with more text than this is no mere gate, whatever its title says.
const GATE_CHARACTERS_MAX: usize = 1_500;

/// Readability keeps a second tree, to begin again with, and takes about twice of this. Real pages take a tenth.
const TREE_BYTES_MAX: usize = 22 << 20;
/// Of a page that is one long text Readability makes seven copies.
const SOURCE_BYTES_MAX: usize = 3 << 20;
/// To decode "&&&…" takes Readability the square of its length.
const REFERENCES_MAX: usize = 50_000;

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Article {
    /// Its title.
    pub title: String,
    /// Its text, one paragraph a line.
    pub text: String,
    /// Language tag.
    pub language: Option<String>,
    /// The address that the page itself calls its own.
    pub url: Option<String>,
}

/// Reads the article on a page.
pub fn article(document: &Document<'_>, limits: &ReadLimits) -> Result<Article, ReadError> {
    if let Some(kind) = other_kind(document) {
        return Err(ReadError(format!("{kind} instead of an HTML page")));
    }
    let source = decode::text(document.body, document.content_type);
    if source.trim().is_empty() {
        return Err(ReadError("an empty page".into()));
    }
    let mut article = match tree(&source)? {
        Some(tree) => guarded("the page", || {
            let url = attribute(&tree, "link[rel~=canonical]", "href").and_then(|link| absolute(document.url, &link));
            let language = attribute(&tree, "html[lang]", "lang");
            // Readability builds a tree of its own, and two at a time would take twice the memory.
            drop(tree);
            let mut found = readable(&source, document).unwrap_or_default();
            if found.text.trim().is_empty() {
                found.text = paragraphs(&Html::parse_document(&source));
            }
            Article { url, language: found.language.or(language), ..found }
        })?,
        None => Article {
            title: page::title(&source).unwrap_or_default(),
            text: html::plain_text(&source, limits.text_bytes_max),
            ..Article::default()
        },
    };
    article.title = plain::line(&article.title, 1_000);
    article.text = plain::text(&article.text, limits.text_bytes_max);
    article.language =
        article.language.map(|language| plain::line(&language, 40)).filter(|language| !language.is_empty());
    if let Some(gate) = gate(&source, &article) {
        return Err(ReadError(gate));
    }
    if article.text.is_empty() {
        return Err(ReadError("the page has no text; it may need JavaScript".into()));
    }
    Ok(article)
}

/// The page as a tree; `None` if it is so deep that walking it could overflow the stack, which nothing catches, or so large
/// that the tree would take more memory than one page may.
fn tree(source: &str) -> Result<Option<Html>, ReadError> {
    let is_too_large = source.len() > SOURCE_BYTES_MAX
        || source.bytes().filter(|byte| *byte == b'&').count() > REFERENCES_MAX
        || page::tree_bytes(source).is_none_or(|bytes| bytes > TREE_BYTES_MAX);
    if is_too_large || page::is_too_deep(source) {
        return Ok(None);
    }
    let tree = guarded("the page", || Html::parse_document(source))?;
    Ok((page::tree_depth(&tree) <= 2 * page::DEPTH_MAX).then_some(tree))
}

/// The name of what the document is, if it is no HTML.
fn other_kind(document: &Document<'_>) -> Option<String> {
    const HEADS: &[(&[u8], &str)] = &[
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive or office document"),
        (b"\xd0\xcf\x11\xe0", "an office document"),
        (b"\x89PNG", "an image"),
        (b"\xff\xd8\xff", "an image"),
        (b"GIF8", "an image"),
        (b"{\\rtf", "an RTF document"),
    ];
    if let Some((_, name)) = HEADS.iter().find(|(head, _)| document.body.starts_with(head)) {
        return Some((*name).to_string());
    }
    // Many servers name no type or a wrong one: only types that cannot hold a page count, and not against the bytes.
    let kind = document.content_type?.split(';').next()?.trim().to_ascii_lowercase();
    let binary = ["image/", "audio/", "video/", "font/"].iter().any(|head| kind.starts_with(head))
        || matches!(
            kind.as_str(),
            "application/pdf" | "application/zip" | "application/json" | "application/octet-stream"
        );
    let is_page = document.body.iter().take(2_000).any(|byte| *byte == b'<');
    (binary && !is_page).then(|| format!("a document of type {}", plain::line(&kind, 60)))
}

fn readable(source: &str, document: &Document<'_>) -> Option<Article> {
    let config = Config { text_mode: TextMode::Formatted, ..Config::default() };
    let url = Some(document.url.as_str()).filter(|url| url.starts_with("http"));
    let article = Readability::new(source, url, Some(config)).ok()?.parse().ok()?;
    Some(Article { title: article.title, text: article.text_content.to_string(), language: article.lang, url: None })
}

/// All paragraphs of some length, for pages in which Readability finds nothing.
fn paragraphs(tree: &Html) -> String {
    let Ok(selector) = Selector::parse("p") else { return String::new() };
    let texts = tree.select(&selector).map(|paragraph| plain::line(&paragraph.text().collect::<String>(), 20_000));
    let long: Vec<String> = texts.filter(|text| text.chars().count() >= PARAGRAPH_CHARACTERS_MIN).collect();
    long.join("\n")
}

fn attribute(tree: &Html, selector: &str, name: &str) -> Option<String> {
    let selector = Selector::parse(selector).ok()?;
    tree.select(&selector).next()?.value().attr(name).map(str::to_string)
}

/// Pages that stand before the one that was asked for. Only what is certain: the mark of a known gatekeeper, or the title
/// of a gate on a page without any text of length.
fn gate(source: &str, article: &Article) -> Option<String> {
    const TITLES: &[(&str, &str)] = &[
        ("access denied", "a page that denies access"),
        ("403 forbidden", "a page that denies access"),
        ("log in", "a login page"),
        ("login", "a login page"),
        ("sign in", "a login page"),
        ("anmelden", "a login page"),
        ("before you continue", "a consent page"),
        ("cookie consent", "a consent page"),
        ("privacy settings", "a consent page"),
    ];
    if article.text.chars().count() > GATE_CHARACTERS_MAX {
        return None;
    }
    let title = page::title(source).unwrap_or_default().to_lowercase();
    let by_mark = bot_check::mark(source).filter(|_| article.text.chars().count() < 400);
    let bot_check = by_mark
        .map(|name| format!("a bot challenge ({name})"))
        .or_else(|| bot_check::is_title(&title).then(|| "a bot challenge".to_string()));
    // "Login" may begin a headline; as the whole title, or before a separator, it does not.
    let is_title = |gate: &str| {
        title.strip_prefix(gate).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with([' ', '|', '-', '.', '…', '!', '?', ':']) && rest.len() < 40
        })
    };
    let login_form = || {
        page::tags(source, &["input"])
            .filter_map(|tag| tag.attribute("type"))
            .any(|kind| kind.trim().eq_ignore_ascii_case("password"))
    };
    let by_title = TITLES.iter().find(|(gate, name)| is_title(gate) && (*name != "a login page" || login_form()));
    let name = bot_check.or_else(|| by_title.map(|(_, name)| name.to_string()))?;
    Some(format!(
        "{name} instead of the article, titled \"{}\"",
        plain::line(&page::title(source).unwrap_or_default(), 80)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn read(html: &str) -> Result<Article, ReadError> {
        let url = Url::parse("https://example.org/a").unwrap();
        article(&Document { url: &url, content_type: Some("text/html"), body: html.as_bytes() }, &ReadLimits::default())
    }

    #[test]
    fn the_article_is_found_among_the_rest() {
        let found = read(include_str!("../../../tests/data/reading/article.html")).unwrap();
        assert_eq!(found.title, "Harbour workers end their strike");
        assert!(found.text.contains("The ferry company agreed to the new rota"), "{}", found.text);
        assert!(found.text.contains("port strike"), "inline tags must not split or glue words: {}", found.text);
        assert!(!found.text.contains("Ten soups"), "{}", found.text);
        assert_eq!(found.language.as_deref(), Some("en"));
        assert_eq!(found.url.as_deref(), Some("https://example.org/harbour/strike-ends"));
    }

    #[test]
    fn a_page_too_deep_for_parsers_still_gives_its_text() {
        let deep = format!("<title>Deep</title>{}<p>The words are still there.{}", "<svg><g>".repeat(20_000), "</div>");
        let found = read(&deep).unwrap();
        assert_eq!((found.title.as_str(), found.text.contains("The words are still there.")), ("Deep", true));
    }

    #[test]
    fn a_page_too_large_for_parsers_still_gives_its_text() {
        for rest in ["<p>x".repeat(150_000), "&".repeat(500_000)] {
            let found = read(&format!("<title>Large</title><p>The first words.{rest}")).unwrap();
            assert_eq!((found.title.as_str(), found.text.lines().next()), ("Large", Some("Large")));
            assert!(found.text.contains("The first words."), "{}", &found.text[..100]);
        }
    }

    #[test]
    fn gates_are_named() {
        for (html, expected) in [
            (
                "<title>Just a moment...</title><script src='/cdn-cgi/challenge-platform/x'></script><p>Enable JavaScript",
                "a bot challenge (Cloudflare)",
            ),
            ("<title>Login | Example</title><form><input type=\"password\"></form><p>Please log in", "a login page"),
            ("<title>Before you continue to Example</title><p>We use cookies", "a consent page"),
        ] {
            let error = read(html).unwrap_err();
            assert!(error.0.starts_with(expected), "{error}");
        }
        let harmless = "<title>Login details of thousands stolen from ministry in attack on servers</title><p>The ministry said that the details of thousands were stolen.";
        assert!(read(harmless).is_ok());
    }

    #[test]
    fn what_is_no_page_is_named() {
        let url = Url::parse("https://example.org/a.pdf").unwrap();
        let error = |body: &[u8], content_type| {
            article(&Document { url: &url, content_type, body }, &ReadLimits::default()).unwrap_err().0
        };
        assert_eq!(error(b"%PDF-1.7", None), "a PDF instead of an HTML page");
        assert_eq!(error(b"\0\0\0", Some("video/mp4")), "a document of type video/mp4 instead of an HTML page");
        assert_eq!(error(b" ", None), "an empty page");
    }
}
