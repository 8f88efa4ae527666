//! `[[source]]`: what every kind of source has; what is a kind's own is read in that kind's file.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

use super::secret::Secret;
use super::section::{Place, Section};
use super::{FetchSettings, fetch};
use crate::plain;
use crate::poller::fetch::Access;
use crate::poller::source::{KINDS, Source};

/// How often a folder is looked into.
const FOLDER_INTERVAL: Duration = Duration::from_secs(60);

/// A source as configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Unique name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What is asked.
    pub url: Url,
    /// How answers are read.
    pub reader: Arc<dyn Source>,
    /// Whether it is polled.
    pub enabled: bool,
    /// How often, when that differs from `fetch.interval`.
    pub interval: Option<Duration>,
    /// Language tag of its items, when the publisher does not say or says wrongly.
    pub language: Option<String>,
    /// 1 (a general wire) to 5 (nearly every item is on topic): the order of equals, never a reason to alert.
    pub weight: i64,
    /// Fetch the article page of each new item.
    pub article: bool,
    /// What it needs to be let in, and its own way out.
    pub login: Login,
    /// Where it stands in lists for people, its levels parted by "/"; empty for none.
    pub group: String,
    /// Where it is configured.
    pub place: Place,
}

/// What a source needs besides its address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Headers to send, as they stand in the configuration.
    pub headers: Vec<(String, String)>,
    /// Account for HTTP basic authentication.
    pub account: Option<(String, Secret)>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Through this proxy instead of the general one.
    pub proxy: Option<Url>,
}

impl std::fmt::Debug for Login {
    // Headers may hold keys, the proxy a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Login::default() { "Login(none)" } else { "Login(...)" })
    }
}

/// A secret as part of a header. What cannot be sent is an error here, not a log-in that fails.
fn sendable(what: &str, secret: String) -> Result<String, String> {
    if secret.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(secret);
    }
    Err(format!("the {what} cannot be sent: it has more than one line, or characters that are not plain ASCII"))
}

impl SourceConfig {
    /// What goes with its requests; secrets are read now. The error says which one cannot be read.
    pub fn access(&self) -> Result<Option<Arc<Access>>, String> {
        let login = &self.login;
        if *login == Login::default() {
            return Ok(None);
        }
        let mut headers = login.headers.clone();
        if let Some((username, password)) = &login.account {
            let pair = BASE64.encode(format!("{username}:{}", password.read()?));
            headers.push(("authorization".to_string(), format!("Basic {pair}")));
        }
        if let Some(token) = &login.token {
            headers.push(("authorization".to_string(), format!("Bearer {}", sendable("token", token.read()?)?)));
        }
        Ok(Some(Arc::new(Access { headers, proxy: login.proxy.clone(), site: Some(self.url.clone()) })))
    }
}

/// Headers that newswatch itself decides on, or that would make it somebody else.
const OWN_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "host",
    "user-agent",
    "referer",
    "accept",
    "accept-encoding",
    "if-none-match",
    "if-modified-since",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "proxy-authorization",
    "range",
];

/// Reads what a source needs besides its address: `[source.headers]`, `username` with a password, a token, `proxy`.
fn login(section: &mut Section<'_>, url: Option<&Url>) -> Login {
    let mut headers = Vec::new();
    if section.has("headers")
        && let Some(mut table) = section.section("headers")
    {
        for name in table.keys() {
            let Some(value) = table.text(&name) else { continue };
            let lower = name.to_ascii_lowercase();
            let is_token =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !is_token {
                table.problem(&name, format!("{name:?} cannot be the name of a header"));
            } else if OWN_HEADERS.contains(&lower.as_str()) {
                let advice = if lower == "authorization" {
                    "give `username` and a password, or a token"
                } else {
                    "newswatch decides on it"
                };
                table.problem(&name, format!("the header {name} cannot be set; {advice}"));
            } else if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                table.problem(&name, "the value of a header is plain ASCII on one line");
            } else {
                headers.push((lower, value));
            }
        }
        table.finish();
    }
    let (username, password) = Secret::login_from_section(section);
    let token = Secret::from_section(section, "token");
    let account = username.zip(password);
    if account.is_some() && token.is_some() {
        section.problem("username", "a source has either an account or a token");
    }
    if (account.is_some() || token.is_some() || !headers.is_empty()) && url.is_some_and(|url| url.scheme() == "http") {
        section.problem(
            "url",
            "a password, token or header is not sent over http, where everybody on the way can read it: use https",
        );
    }
    let proxy = fetch::proxy(section);
    Login { headers, account, token, proxy }
}

/// Reads one `[[source]]` whose name was read already.
pub(super) fn read(mut section: Section<'_>, name: Option<String>, fetch: &FetchSettings) -> Option<SourceConfig> {
    let place = section.place();
    let title = section.text("title").filter(|title| !title.trim().is_empty());
    // A folder has a path instead.
    let is_folder = section.has("path") && !section.has("url");
    let url = if is_folder { None } else { section.required_address("url") };
    let enabled = section.boolean("enabled").unwrap_or(true);
    // What the operator asks for by name may be shorter than what newswatch would choose by itself.
    let interval = section.duration("interval", Duration::from_secs(1)..=fetch.interval_max);
    let language = section.text("language");
    if let Some(tag) = &language
        && !is_language_tag(tag)
    {
        section.problem(
            "language",
            format!("`language`: {tag:?} is not a language tag; write it like \"en\" or \"zh-Hans\""),
        );
    }
    let weight = section.integer("weight", 1..=5).unwrap_or(3);
    let article = section.boolean("article").unwrap_or(false);
    let group = group(&mut section);
    let login = login(&mut section, url.as_ref());
    let reader = super::read_kind(&mut section, KINDS, Some("feed"));
    let folder = reader.as_ref().and_then(|reader| Url::from_file_path(reader.folder()?).ok());
    if is_folder && folder.is_none() && reader.is_some() {
        section.problem("path", "only a source of kind \"folder\" has a `path`; others have a `url`");
    } else if !is_folder && let (Some(folder), Some(_)) = (&folder, &url) {
        section.problem("url", format!("a folder has a `path` and no `url`; it would be {}", folder.path()));
    }
    // Nobody is bothered by a look into a folder.
    let interval = interval.or(folder.is_some().then_some(FOLDER_INTERVAL));
    let url = folder.or(url);
    section.finish();
    let name = name?;
    let title = title.unwrap_or_else(|| name.clone());
    Some(SourceConfig {
        title,
        url: url?,
        reader: reader?,
        enabled,
        interval,
        language,
        weight,
        article,
        login,
        group,
        place,
        name,
    })
}

/// `group`: "Think tanks/Korea".
fn group(section: &mut Section<'_>) -> String {
    const LEVELS_MAX: usize = 8;
    const BYTES_MAX: usize = 300;
    let Some(text) = section.text("group") else { return String::new() };
    let levels: Vec<&str> = text.split('/').map(str::trim).collect();
    let is_right = text.len() <= BYTES_MAX
        && levels.len() <= LEVELS_MAX
        && levels.iter().all(|level| !level.is_empty() && *level == plain::line(level, BYTES_MAX));
    if !text.trim().is_empty() && !is_right {
        section.problem(
            "group",
            format!("`group` is one to {LEVELS_MAX} names with \"/\" between them, such as \"Think tanks/Korea\""),
        );
        return String::new();
    }
    if text.trim().is_empty() { String::new() } else { levels.join("/") }
}

/// Two or three letters, then parts of two to eight letters and digits (the common part of BCP 47).
pub(super) fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
