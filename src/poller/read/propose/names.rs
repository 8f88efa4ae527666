//! Names that a page's author gave: which of them last, and which say what a part of the page is for.

use scraper::ElementRef;

/// Bytes of an element's name or class.
const NAME_BYTES_MAX: usize = 40;
/// Classes of one element that are looked at.
const CLASSES_MAX: usize = 6;
/// Elements round an item that its selector may begin with.
const SCOPES_MAX: usize = 4;

/// Classes that say how an element stands at the moment or among others, not what it is.
const STATES: &[&str] = &[
    "odd",
    "even",
    "first",
    "last",
    "active",
    "current",
    "selected",
    "open",
    "closed",
    "hidden",
    "visible",
    "new",
    "even-row",
    "odd-row",
    "alt",
    "sticky",
    "loaded",
    "lazy",
    "lazyloaded",
    "collapsed",
    "expanded",
    "show",
    "hide",
    "unread",
    "read",
    "in-view",
    "animated",
];
/// Words of classes that say how something is laid out: they stand on anything.
const LAYOUT: &[&str] = &[
    "clearfix",
    "row",
    "col",
    "cols",
    "column",
    "columns",
    "container",
    "wrapper",
    "wrap",
    "inner",
    "outer",
    "content",
    "block",
    "box",
    "left",
    "right",
    "center",
    "flex",
    "grid",
    "item",
    "d",
    "m",
    "p",
    "mt",
    "mb",
    "ml",
    "mr",
    "pt",
    "pb",
    "px",
    "py",
    "mx",
    "my",
    "text",
    "float",
    "pull",
    "span",
    "w",
    "h",
    "border",
    "bg",
    "rounded",
    "shadow",
    "display",
    "align",
    "justify",
    "link",
    "links",
    "black",
    "white",
    "bold",
    "small",
    "large",
];
/// Prefixes of classes that name one of many things an item may be, not the item.
const VARIANTS: &[&str] =
    &["category-", "tag-", "author-", "post-id-", "format-", "has-", "is-", "js-", "wp-image-", "node-id-"];

/// Parts of a page that hold links to anything but its list.
const ASIDE: &[&str] = &[
    "nav",
    "menu",
    "navbar",
    "navigation",
    "footer",
    "header",
    "masthead",
    "sidebar",
    "aside",
    "breadcrumb",
    "breadcrumbs",
    "share",
    "sharing",
    "social",
    "tags",
    "tagcloud",
    "pager",
    "pagination",
    "paging",
    "related",
    "cookie",
    "consent",
    "popular",
    "trending",
    "mostread",
    "toolbar",
    "banner",
    "promo",
    "advert",
    "ads",
    "widget",
    "comments",
    "login",
    "subscribe",
    "newsletter",
    "dropdown",
    "lang",
    "language",
    "languages",
    "topbar",
    "skip",
    "modal",
    "ticker",
    "gnb",
    "lnb",
    "snb",
];

/// The class was written by a person for this kind of thing, and will be there tomorrow.
fn is_stable(class: &str) -> bool {
    let plain = !class.is_empty()
        && class.len() <= NAME_BYTES_MAX
        && class.starts_with(|c: char| c.is_ascii_alphabetic())
        && class.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let lower = class.to_ascii_lowercase();
    plain
        && !STATES.contains(&lower.as_str())
        && !VARIANTS.iter().any(|prefix| lower.starts_with(prefix))
        && !["css-", "sc-", "jsx-", "svelte-", "emotion-"].iter().any(|prefix| lower.starts_with(prefix))
        && !class.split(['-', '_']).any(is_generated)
}

/// A part of a name that a program made: a number that counts, letters and digits mixed, letters of changing case.
fn is_generated(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let letters = part.len() - digits;
    let turns =
        part.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    let vowels = part.bytes().filter(|byte| b"aeiouyAEIOUY".contains(byte)).count();
    digits >= 2
        || (digits > 0 && letters >= 3 && !part.ends_with(|c: char| c.is_ascii_digit()))
        || (part.len() >= 5 && turns >= 2 && vowels * 4 < part.len())
        || (part.len() >= 5 && digits == 0 && vowels == 0 && part.bytes().any(|byte| byte.is_ascii_uppercase()))
}

/// `Card_title` of `Card_title__3xYz1`: the part that a person wrote.
fn written_part(class: &str) -> Option<&str> {
    let (written, rest) = class.split_once("__")?;
    (is_stable(written) && written.len() >= 4 && rest.len() >= 4 && !is_stable(class)).then_some(written)
}

/// The class only says how the element is laid out.
fn is_layout(class: &str) -> bool {
    class.split(['-', '_']).next().is_some_and(|word| LAYOUT.contains(&word.to_ascii_lowercase().as_str()))
}

/// Ways to name an element by itself, with what each costs in length and certainty.
pub(super) fn own_selectors(element: ElementRef<'_>) -> Vec<(String, u32)> {
    let name = element.value().name();
    // A name that only the page knows may be of any length, and hold what no selector can.
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let mut found =
        vec![(name.to_string(), if matches!(name, "article" | "time" | "h1" | "h2" | "h3" | "h4") { 2 } else { 6 })];
    for class in element.value().classes().take(CLASSES_MAX) {
        if is_stable(class) {
            found.push((
                format!("{name}.{class}"),
                if is_layout(class) {
                    4
                } else if class.len() == 1 {
                    3
                } else {
                    1
                },
            ));
        } else if let Some(written) = written_part(class) {
            found.push((format!("{name}[class*=\"{written}__\"]"), 3));
        }
    }
    found
}

/// Ways to name an element that others stand in.
fn scopes(element: ElementRef<'_>) -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = Vec::new();
    if let Some(id) = element.value().id().filter(|id| is_stable(id) && !id.bytes().any(|byte| byte.is_ascii_digit())) {
        found.push((format!("#{id}"), 0));
    }
    if matches!(element.value().name(), "main" | "tbody" | "table") {
        found.push((element.value().name().to_string(), 1));
    }
    found.extend(own_selectors(element).into_iter().skip(1));
    found
}

/// Ways to name an item of a list, from anywhere on the page.
pub(super) fn item_selectors(element: ElementRef<'_>) -> Vec<(String, u32)> {
    let own = own_selectors(element);
    let mut found = own.clone();
    for (level, outer) in element.ancestors().filter_map(ElementRef::wrap).take(SCOPES_MAX).enumerate() {
        let name = outer.value().name();
        if matches!(name, "body" | "html") {
            break;
        }
        // "tbody" is hardly ever written; a parser adds it.
        let mark = if level == 0 && name != "tbody" { " > " } else { " " };
        for (scope, scope_cost) in scopes(outer) {
            for (inner, cost) in &own {
                // A scope makes certain what a bare element name leaves open.
                let cost = (*cost).min(4) / 2 + scope_cost + 2 + level as u32 / 2;
                found.push((format!("{scope}{mark}{inner}"), cost));
            }
        }
    }
    found
}

/// The element's classes, its itemprop or its name hold one of the words.
pub(super) fn says(element: ElementRef<'_>, words: &[&str]) -> bool {
    let value = element.value();
    let names = value.classes().chain(value.attr("itemprop"));
    names.take(CLASSES_MAX).any(|name| {
        let name = name.to_ascii_lowercase();
        words.iter().any(|word| name.contains(word))
    })
}

/// How far the element stands where a page has its list: less in menus, headers, footers and boxes at the side.
pub(super) fn region(element: ElementRef<'_>) -> f64 {
    let mut region: f64 = 1.0;
    let around = element.ancestors().filter_map(ElementRef::wrap);
    for outer in std::iter::once(element).chain(around) {
        let value = outer.value();
        let name = value.name();
        if matches!(name, "body" | "html") {
            break;
        }
        let by_element = match name {
            "nav" | "footer" => 0.2,
            "aside" | "menu" => 0.4,
            // An article has a header of its own.
            "header"
                if !outer
                    .ancestors()
                    .filter_map(ElementRef::wrap)
                    .any(|o| matches!(o.value().name(), "article" | "main" | "section" | "li")) =>
            {
                0.3
            }
            _ => 1.0,
        };
        let is_aside = value
            .classes()
            .take(CLASSES_MAX)
            .chain(value.id())
            .any(|class| class.split(['-', '_']).any(|word| ASIDE.contains(&word.to_ascii_lowercase().as_str())))
            || matches!(value.attr("role"), Some("navigation" | "banner" | "contentinfo" | "complementary" | "menu"));
        region = region.min(by_element).min(if is_aside { 0.45 } else { 1.0 });
    }
    region
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_last_are_told_from_made_ones() {
        for class in
            ["news-list", "item", "views-row", "newsItem", "h3", "teaser__title", "entry-title", "col-md-6", "MuiCard"]
        {
            assert!(is_stable(class), "{class}");
        }
        for class in [
            "css-1q2w3e",
            "post-18273",
            "Card_title__3xYz1",
            "sc-bdVaJa",
            "odd",
            "category-politics",
            "md:flex",
            "_2fK3a",
        ] {
            assert!(!is_stable(class), "{class}");
        }
        assert_eq!(written_part("Card_title__3xYz1"), Some("Card_title"));
        assert_eq!(written_part("card__title"), None);
    }
}
