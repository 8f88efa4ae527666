//! Pages that stand before the article that was asked for: bot challenges, log-in and consent pages, paywalls.
//!
//! Only what is certain counts. A page that is refused wrongly costs its text; one that is taken wrongly is matched by a few
//! words of its gatekeeper, and nobody notices.

use url::Url;

use super::Article;
use super::content::letters;
use crate::model::gates;
use crate::plain;
use crate::poller::read::{bot_check, html, page};
use crate::poller::source::Document;

/// A page with more text than this is no mere gate, whatever its title says.
const GATE_CHARACTERS_MAX: usize = 1_500;
/// The same for the marks of gatekeepers, which ordinary pages carry too.
const MARK_CHARACTERS_MAX: usize = 400;
/// Letters of the opening that a paywall leaves. Whole articles are longer.
const OPENING_MAX: usize = 1_000;
/// How far behind the opening its paywall stands.
const BEHIND_BYTES_MAX: usize = 2_000;
/// Bytes of the text of a page that are looked through for it.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Titles of gates, as a whole or before a separator.
const TITLES: &[(&str, &str)] = &[
    ("access denied", "a page that denies access"),
    ("403 forbidden", "a page that denies access"),
    ("before you continue", "a consent page"),
    ("cookie consent", "a consent page"),
    ("privacy settings", "a consent page"),
    ("your privacy choices", "a consent page"),
    ("datenschutzeinstellungen", "a consent page"),
    ("privatsphäre-einstellungen", "a consent page"),
    ("bevor sie fortfahren", "a consent page"),
    ("avant de continuer", "a consent page"),
    ("antes de continuar", "a consent page"),
    ("prima di continuare", "a consent page"),
];

/// Titles of log-in pages. They count only with a field for a password.
const LOGIN_TITLES: &[&str] = &[
    "log in",
    "login",
    "sign in",
    "log on",
    "anmelden",
    "anmeldung",
    "einloggen",
    "connexion",
    "se connecter",
    "identifiez-vous",
    "iniciar sesión",
    "inicia sesión",
    "iniciar sessão",
    "entrar",
    "accedi",
    "вход",
    "войти",
    "увійти",
    "로그인",
    "ログイン",
    "登录",
    "登入",
];

/// What paywalls say behind the opening of an article, in lower case.
const PAYWALLS: &[&str] = &[
    "subscribe to continue reading",
    "subscribe to keep reading",
    "subscribe to read the full",
    "subscribe to read this article",
    "subscribe now to read",
    "to continue reading this article",
    "to read the full article, subscribe",
    "to read the full story, subscribe",
    "this article is for subscribers only",
    "this article is only available to subscribers",
    "this content is for subscribers only",
    "this story is for subscribers only",
    "exclusive to subscribers",
    "log in to continue reading",
    "sign in to continue reading",
    "register to continue reading",
    "already a subscriber? log in",
    "already a subscriber? sign in",
    "jetzt abonnieren und weiterlesen",
    "mit abo weiterlesen",
    "nur für abonnenten",
    "jetzt weiterlesen mit",
    "um diesen artikel weiterzulesen",
    "sie haben bereits ein abo",
    "article réservé aux abonnés",
    "la suite est réservée aux abonnés",
    "abonnez-vous pour lire la suite",
    "il vous reste à lire",
    "suscríbete para seguir leyendo",
    "contenido exclusivo para suscriptores",
    "abbonati per continuare a leggere",
    "contenuto riservato agli abbonati",
    "assine para continuar lendo",
    "conteúdo exclusivo para assinantes",
    "доступно только подписчикам",
    "доступен только подписчикам",
    "доступна только подписчикам",
    "доступно лише передплатникам",
    "유료회원 전용",
    "유료 구독자 전용",
    "구독자 전용 기사",
    "有料会員限定",
    "会員限定記事",
    "订阅后继续阅读",
    "订阅以继续阅读",
    "登录后继续阅读",
    "付费后阅读全文",
];

/// The name of what stands before the article, if anything does.
pub(super) fn gate(document: &Document<'_>, source: &str, article: &Article, is_locked: bool) -> Option<String> {
    let characters = article.text.chars().count();
    if characters > GATE_CHARACTERS_MAX {
        return None;
    }
    let title = page::title(source).unwrap_or_default().to_lowercase();
    let name = bot_check(source, &title, characters)
        .or_else(|| login(document.url, source, &title).then(|| gates::LOGIN_PAGE.to_string()))
        .or_else(|| consent(document).then(|| "a consent page".to_string()))
        .or_else(|| by_title(&title).map(str::to_string))
        .or_else(|| paywall(source, article, is_locked).then(|| "a paywall".to_string()))?;
    Some(format!(
        "{name} instead of the article, titled \"{}\"",
        plain::line(&page::title(source).unwrap_or_default(), 80)
    ))
}

fn bot_check(source: &str, title: &str, characters: usize) -> Option<String> {
    let by_mark = bot_check::mark(source).filter(|_| characters < MARK_CHARACTERS_MAX);
    by_mark
        .map(|name| format!("{} ({name})", gates::BOT_CHALLENGE))
        .or_else(|| bot_check::is_title(title).then(|| gates::BOT_CHALLENGE.to_string()))
}

/// "Login" may begin a headline; as the whole title, or before a separator, it does not.
fn is_title(title: &str, gate: &str) -> bool {
    title.strip_prefix(gate).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with([' ', '|', '-', '.', '…', '!', '?', ':']) && rest.len() < 40
    })
}

fn by_title(title: &str) -> Option<&'static str> {
    TITLES.iter().find(|(gate, _)| is_title(title, gate)).map(|(_, name)| *name)
}

/// The page of this address asks for a password, and is titled or named so.
pub(super) fn login(url: &Url, source: &str, title: &str) -> bool {
    let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_address =
        matches!(last.as_str(), "login" | "signin" | "sign-in" | "sign_in" | "log-in" | "anmelden" | "logon");
    (is_address || LOGIN_TITLES.iter().any(|gate| is_title(title, gate)))
        && page::tags(source, &["input"])
            .filter_map(|tag| tag.attribute("type"))
            .any(|kind| kind.trim().eq_ignore_ascii_case("password"))
}

/// Large publishers ask for consent on a host of its own, and lead there by a redirect.
fn consent(document: &Document<'_>) -> bool {
    document.url.host_str().is_some_and(|host| host.starts_with("consent.") || host.starts_with("cmp-consent."))
}

/// A short opening, and the page says itself that the rest is locked or asks for a subscription right behind it.
fn paywall(source: &str, article: &Article, is_locked: bool) -> bool {
    if letters(&article.text) > OPENING_MAX {
        return false;
    }
    let is_paywall = |text: &str| {
        let text = text.to_lowercase();
        PAYWALLS.iter().any(|phrase| text.contains(phrase))
    };
    if is_locked || is_paywall(&article.text) {
        return true;
    }
    let page = html::plain_text(source, PAGE_BYTES_MAX);
    let Some(last) = article.text.lines().rev().find(|line| !line.is_empty()) else { return false };
    page.rfind(&last[..last.floor_char_boundary(60)]).is_some_and(|at| {
        let behind = &page[at..];
        is_paywall(&behind[..behind.floor_char_boundary(BEHIND_BYTES_MAX)])
    })
}
