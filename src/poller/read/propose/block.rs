//! What stands in an element that may be an item of a list: main link, headline, date, teaser.

use jiff::Timestamp;
use scraper::{ElementRef, Node};

use super::super::dates;
use super::names;
use crate::plain;

/// Nodes of a block; a longer one is no item of a list.
const NODES_MAX: usize = 400;
/// Bytes of a block's text; neither is one with more.
const TEXT_BYTES_MAX: usize = 20_000;
/// Places in a block that are looked at for its date.
const DATES_MAX: usize = 12;
/// Bytes of an attribute that may be a date.
const ATTRIBUTE_BYTES_MAX: usize = 100;
/// A longer text is no date.
const DATE_CHARACTERS_MAX: usize = 80;
/// A shorter text is no teaser.
const TEASER_CHARACTERS_MIN: usize = 40;
/// The shortest headline, in units.
const HEADLINE_UNITS_MIN: f64 = 8.0;
/// Texts of links that stand beside several headlines are mostly shorter than this.
const LONG_HEADLINE_UNITS: f64 = 24.0;

/// An element that may be an item.
pub(super) struct Block<'p> {
    pub(super) element: ElementRef<'p>,
    /// Where its main link leads, by number.
    pub(super) url: usize,
    pub(super) link: ElementRef<'p>,
    pub(super) title: ElementRef<'p>,
    /// Length of the headline.
    pub(super) units: f64,
    /// Pages that links with headlines lead to; an item has one.
    pub(super) headlines: usize,
    pub(super) date: Option<DateAt<'p>>,
    pub(super) summary: Option<ElementRef<'p>>,
    /// 1 in the middle of the page; less in menus, footers and their like.
    pub(super) region: f64,
    /// Where on the page its first link is, from 0 to 1.
    pub(super) position: f64,
}

/// Where a date stands: an element's text or one of its attributes.
#[derive(Clone)]
pub(super) struct DateAt<'p> {
    pub(super) element: ElementRef<'p>,
    pub(super) attribute: Option<String>,
}

impl<'p> Block<'p> {
    /// Looks at an element; `address` numbers the page that a link leads to, if an article may be there.
    pub(super) fn of(
        element: ElementRef<'p>,
        address: impl Fn(ElementRef<'p>) -> Option<usize>,
        position: f64,
    ) -> Option<Block<'p>> {
        let inside: Vec<ElementRef<'p>> = element.descendants().filter_map(ElementRef::wrap).collect();
        let links: Vec<(ElementRef<'p>, usize, f64)> = inside
            .iter()
            .filter(|inner| inner.value().name() == "a")
            .filter_map(|link| Some((*link, address(*link)?, units(&text(*link)))))
            .collect();
        let heading =
            inside.iter().copied().find(|inner| is_heading(*inner) && units(&text(*inner)) >= HEADLINE_UNITS_MIN);
        let in_heading = heading.and_then(|heading| {
            links.iter().find(|(link, ..)| contains(heading, *link) || contains(*link, heading)).copied()
        });
        let longest = || links.iter().copied().reduce(|best, next| if next.2 > best.2 { next } else { best });
        let (link, url, link_units) = in_heading.or_else(longest)?;
        let title = match heading {
            // The link itself where it is the whole heading: "h3 a" gives both.
            Some(heading) if contains(heading, link) && units(&text(heading)) <= link_units * 1.3 => link,
            Some(heading) if contains(link, heading) || units(&text(heading)) > link_units => heading,
            _ => inside
                .iter()
                .copied()
                .find(|inner| {
                    *inner != link
                        && names::says(*inner, &["title", "headline", "subject", "heading"])
                        && !contains(*inner, element)
                        && units(&text(*inner)) >= HEADLINE_UNITS_MIN
                        && (contains(link, *inner) || units(&text(*inner)) > link_units)
                })
                .unwrap_or(link),
        };
        let units_of_title = units(&text(title));
        if units_of_title < HEADLINE_UNITS_MIN {
            return None;
        }
        let mut headlines: Vec<usize> = links
            .iter()
            .filter(|(link, _, units)| *units >= LONG_HEADLINE_UNITS || inside_heading(*link, element))
            .map(|(_, url, _)| *url)
            .collect();
        headlines.sort_unstable();
        headlines.dedup();
        let date = date(element, &inside, title);
        let summary = summary(&inside, title, date.as_ref());
        Some(Block {
            element,
            url,
            link,
            title,
            units: units_of_title,
            headlines: headlines.len(),
            date,
            summary,
            region: names::region(element),
            position,
        })
    }
}

/// What looking at a block costs; `None` for one that is too large for an item.
pub(super) fn work(element: ElementRef<'_>) -> Option<usize> {
    let (mut nodes, mut bytes) = (0, 0);
    for node in element.descendants() {
        nodes += 1;
        bytes += node.value().as_text().map_or(0, |text| text.len());
        if nodes > NODES_MAX || bytes > TEXT_BYTES_MAX {
            return None;
        }
    }
    Some(nodes * (nodes + bytes / 16))
}

/// The text of an element as one line.
pub(super) fn text(element: ElementRef<'_>) -> String {
    plain::line(&element.text().collect::<Vec<_>>().join(" "), 2_000)
}

/// The length of a text; a character of Chinese, Japanese or Korean says as much as two of others.
pub(super) fn units(text: &str) -> f64 {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}');
    text.chars()
        .map(|c| {
            if wide(c) {
                2.0
            } else if c.is_alphanumeric() || c == ' ' {
                1.0
            } else {
                0.5
            }
        })
        .sum()
}

/// `inner` is `outer` or stands in it.
pub(super) fn contains(outer: ElementRef<'_>, inner: ElementRef<'_>) -> bool {
    outer == inner || inner.ancestors().any(|ancestor| ancestor.id() == outer.id())
}

fn is_heading(element: ElementRef<'_>) -> bool {
    matches!(element.value().name(), "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

fn inside_heading(link: ElementRef<'_>, block: ElementRef<'_>) -> bool {
    link.descendants().filter_map(ElementRef::wrap).any(is_heading)
        || link
            .ancestors()
            .take_while(|ancestor| ancestor.id() != block.id())
            .filter_map(ElementRef::wrap)
            .any(is_heading)
}

/// A moment that an article of today's web may have.
fn is_plausible(date: Timestamp) -> bool {
    (631_152_000..4_102_444_800).contains(&date.as_second())
}

fn date<'p>(block: ElementRef<'p>, inside: &[ElementRef<'p>], title: ElementRef<'p>) -> Option<DateAt<'p>> {
    let parses = |value: &str| dates::timestamp(value).is_some_and(is_plausible);
    let by_time = inside.iter().find(|element| {
        element.value().name() == "time"
            && element.value().attr("datetime").is_some_and(|value| value.len() <= ATTRIBUTE_BYTES_MAX && parses(value))
    });
    if let Some(element) = by_time {
        return Some(DateAt { element: *element, attribute: Some("datetime".into()) });
    }
    for element in inside {
        let named = element.value().attrs().find(|(name, value)| {
            let says_so = ["date", "time", "-ts", "publish"].iter().any(|word| name.contains(word));
            says_so && (8..=ATTRIBUTE_BYTES_MAX).contains(&value.len()) && parses(value)
        });
        if let Some((name, _)) = named {
            return Some(DateAt { element: *element, attribute: Some(name.to_string()) });
        }
    }
    let says_date = |element: &ElementRef<'_>| {
        let text = text(*element);
        text.chars().count() <= DATE_CHARACTERS_MAX && dates::find(&text).is_some_and(is_plausible)
    };
    let dated: Vec<ElementRef<'p>> = inside
        .iter()
        .filter(|element| **element != block && !contains(title, **element) && !contains(**element, title))
        .filter(|element| says_date(element))
        .take(DATES_MAX)
        .copied()
        .collect();
    let innermost = dated.iter().find(|outer| !dated.iter().any(|inner| inner != *outer && contains(**outer, *inner)));
    if let Some(element) = innermost {
        return Some(DateAt { element: *element, attribute: None });
    }
    // Bare text beside the link.
    let bare: String = block
        .children()
        .filter_map(|child| match child.value() {
            Node::Text(text) => Some(format!("{} ", &**text)),
            _ => None,
        })
        .collect();
    let found = dates::find(&bare).filter(|date| is_plausible(*date))?;
    (dates::find(&text(block)) == Some(found)).then_some(DateAt { element: block, attribute: None })
}

fn summary<'p>(inside: &[ElementRef<'p>], title: ElementRef<'p>, date: Option<&DateAt<'p>>) -> Option<ElementRef<'p>> {
    let apart = |element: ElementRef<'p>| {
        !contains(element, title)
            && !contains(title, element)
            && date.is_none_or(|date| !contains(element, date.element) || date.attribute.is_some())
    };
    let says_more = |element: ElementRef<'p>| {
        let text = text(element);
        text.chars().count() >= TEASER_CHARACTERS_MIN && units(&text) >= TEASER_CHARACTERS_MIN as f64
    };
    let all = || inside.iter().copied().filter(|element| apart(*element));
    let own_text = |element: ElementRef<'p>| {
        let own: usize =
            element.children().filter_map(|child| child.value().as_text().map(|text| text.trim().len())).sum();
        own >= TEASER_CHARACTERS_MIN
    };
    all().find(|element| element.value().name() == "p" && says_more(*element)).or_else(|| {
        all().find(|element| {
            matches!(element.value().name(), "div" | "span" | "td" | "dd" | "section" | "blockquote")
                && own_text(*element)
                && says_more(*element)
        })
    })
}
