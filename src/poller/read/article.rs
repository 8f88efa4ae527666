//! The article on a page: its text without navigation, advertisements and comments, and what the page says of it.

mod content;
mod gate;
mod metadata;

use jiff::Timestamp;
use scraper::{Html, Selector};
use url::Url;

use super::guard::guarded;
use super::{absolute, decode, html, page};
use crate::plain;
use crate::poller::source::{Document, ReadError, ReadLimits};

/// Paragraphs shorter than this are captions and buttons.
const PARAGRAPH_CHARACTERS_MIN: usize = 40;
const TITLE_CHARACTERS_MAX: usize = 1_000;

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
    /// Names of its authors.
    pub authors: Vec<String>,
    /// When its publisher says it was published.
    pub published: Option<Timestamp>,
    /// Language tag.
    pub language: Option<String>,
    /// The address that the page itself calls its own.
    pub url: Option<String>,
}

/// A log-in page came in place of something else.
pub fn is_login(url: &Url, body: &[u8]) -> bool {
    const LOOKED_AT: usize = 256 * 1024;
    let source = decode::text(&body[..body.len().min(LOOKED_AT)], None);
    let title = page::title(&source).unwrap_or_default().to_lowercase();
    gate::login(url, &source, &title)
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
    let (mut article, is_locked) = match tree(&source)? {
        Some(tree) => guarded("the page", || of_tree(tree, &source, document, limits))?,
        None => {
            let title = page::title(&source).unwrap_or_default();
            let text = html::plain_text(&source, limits.text_bytes_max);
            (Article { title, text, ..Article::default() }, false)
        }
    };
    article.title = plain::line(&article.title, TITLE_CHARACTERS_MAX);
    article.text = plain::text(&article.text, limits.text_bytes_max);
    article.language =
        article.language.map(|language| plain::line(&language, 40)).filter(|language| !language.is_empty());
    if let Some(gate) = gate::gate(document, &source, &article, is_locked) {
        return Err(ReadError(gate));
    }
    if article.text.is_empty() {
        return Err(ReadError("the page has no text; it may need JavaScript".into()));
    }
    Ok(article)
}

/// The article, and whether the page says that it is locked.
fn of_tree(tree: Html, source: &str, document: &Document<'_>, limits: &ReadLimits) -> (Article, bool) {
    let said = metadata::metadata(&tree);
    let url = Some(document.url.as_str()).filter(|url| url.starts_with("http"));
    let found = content::find(tree, source, url, &said.descriptions, limits.text_bytes_max);
    let mut text = found.text;
    if text.trim().is_empty() {
        text = paragraphs(&Html::parse_document(source));
    }
    if let Some(body) = &said.body {
        text = content::fuller(text, body, limits.text_bytes_max);
    }
    let title = Some(found.title).filter(|title| !title.trim().is_empty()).or(said.title).unwrap_or_default();
    let url = said.url.and_then(|link| absolute(document.url, &link));
    let language = said.language.or(found.language);
    (Article { title, text, authors: said.authors, published: said.published, language, url }, said.is_locked)
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

/// All paragraphs of some length, for pages in which Readability finds nothing.
fn paragraphs(tree: &Html) -> String {
    let Ok(selector) = Selector::parse("p") else { return String::new() };
    let texts = tree.select(&selector).map(|paragraph| plain::line(&paragraph.text().collect::<String>(), 20_000));
    let long: Vec<String> = texts.filter(|text| text.chars().count() >= PARAGRAPH_CHARACTERS_MIN).collect();
    long.join("\n")
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
    fn what_surrounds_an_article_is_left_out() {
        let found = read(include_str!("../../../tests/data/reading/article-surrounded.html")).unwrap();
        assert_eq!(found.title, "Harbour workers end their strike");
        assert_eq!(found.authors, ["Ana Writer", "Ben Reporter"]);
        assert_eq!(found.published, Some("2026-09-26T08:11:12Z".parse().unwrap()));
        assert_eq!(found.language.as_deref(), Some("en-GB"));
        let beginnings: Vec<&str> = found.text.lines().filter_map(|line| line.get(..20)).collect();
        assert_eq!(
            beginnings,
            [
                "Ships sail again fro",
                "After nine days with",
                "The ferry company ag",
                "Merchants along the ",
                "The arbitrator, who "
            ],
            "{}",
            found.text
        );
    }

    #[test]
    fn scripts_without_spaces_are_read() {
        for (page, first, last, around) in [
            (include_str!("../../../tests/data/reading/article-ko.html"), "항만 노동자들이", "말했다", "겨울에"),
            (include_str!("../../../tests/data/reading/article-ja.html"), "港で働く人々は", "話している", "冬のスープ"),
            (include_str!("../../../tests/data/reading/article-zh.html"), "港口工人结束了", "才能完成", "冬天"),
        ] {
            let text = read(page).unwrap().text;
            assert!(text.contains(first) && text.contains(last) && !text.contains(around), "{text}");
        }
    }

    #[test]
    fn a_single_line_is_an_article() {
        let found =
            read("<title>Notice</title><main><div><div>The ferry does not sail on Sunday.</div></div></main>").unwrap();
        assert_eq!(found.text, "The ferry does not sail on Sunday.");
    }

    #[test]
    fn a_page_says_when_it_was_published() {
        for head in [
            "<meta property='article:published_time' content='2026-09-26T10:11:12Z'>",
            "<meta name='date' content='1970-01-01'><meta name='pubdate' content='2026-09-26 10:11:12'>",
            "<script type='application/ld+json'>[{\"@type\":[\"Report\",\"NewsArticle\"],\"datePublished\":\"2026-09-26T10:11:12Z\"}]</script>",
            "<script type='application/ld+json'>{broken</script><meta itemprop='datePublished' content='2026-09-26T12:11:12+02:00'>",
            "<article><time datetime='2026-09-26T10:11:12Z'>yesterday</time></article><time datetime='2026-01-01'></time>",
        ] {
            let found = read(&format!("<title>t</title>{head}<p>{}</p>", "The port strike ended. ".repeat(9))).unwrap();
            assert_eq!(found.published, Some("2026-09-26T10:11:12Z".parse().unwrap()), "{head}");
        }
    }

    #[test]
    fn the_publishers_own_text_completes_a_page_that_needs_scripts() {
        let body = "The merchants along the quay wait for their fruit. ".repeat(40);
        let page = format!(
            "<title>t</title><script type='application/ld+json'>{{\"@type\":\"NewsArticle\",\"articleBody\":\"{body}\"}}</script><p>Loading …"
        );
        assert!(read(&page).unwrap().text.starts_with("The merchants along the quay"));
    }

    #[test]
    fn paywalls_are_named_and_articles_about_them_are_not() {
        let opening =
            "<p>After nine days without a single ship leaving the harbour, the port strike ended on Tuesday.</p>";
        let locked =
            "<script type='application/ld+json'>{\"@type\":\"NewsArticle\",\"isAccessibleForFree\":\"False\"}</script>";
        for rest in [
            locked,
            "<meta property='article:content_tier' content='locked'>",
            "<div class='offer'><h3>Subscribe to continue reading</h3></div>",
            "<p>Jetzt abonnieren und weiterlesen</p>",
            "<p>이 기사는 유료회원 전용입니다</p>",
        ] {
            let error = read(&format!("<title>Strike</title><article>{opening}{rest}</article>")).unwrap_err();
            assert_eq!(error.0, "a paywall instead of the article, titled \"Strike\"", "{rest}");
        }
        let whole = opening.repeat(15);
        for free in [
            format!("{locked}{whole}"),
            format!("{whole}<p>Subscribe to continue reading</p>"),
            format!("<p>Subscribe to our letter!</p>{opening}<p>Subscribe to our letter!</p>"),
        ] {
            assert!(read(&format!("<title>Strike</title><article>{free}</article>")).is_ok(), "{free}");
        }
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
            ("<title>Вход</title><form><input type='password'></form>", "a login page"),
            ("<title>Datenschutzeinstellungen</title><p>Wir und unsere Partner", "a consent page"),
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
