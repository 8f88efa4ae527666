//! The selectors within an item: one that finds in all items what was found in each.

use std::collections::BTreeMap;

use scraper::{ElementRef, Selector};

use super::block::{self, Block};
use super::names;
use crate::poller::source::page::Select;

/// Items that a selector is tried on.
const TRIED_MAX: usize = 24;
/// Items that selectors are made from.
const MODELS_MAX: usize = 6;
/// What fewer of the items have is not worth a selector.
const SHARE_MIN: f64 = 0.5;

/// The selectors for these blocks, found by `item`; `None` when their links cannot be told.
pub(super) fn select(item: &str, blocks: &[&Block<'_>]) -> Option<Select> {
    let links: Vec<_> = blocks.iter().map(|block| (block.element, Some(block.link))).collect();
    let is_link = blocks.iter().all(|block| block.element == block.link);
    let link = if is_link { None } else { Some(find(&links)?) };
    let titles: Vec<_> =
        blocks.iter().map(|block| (block.element, Some(block.title).filter(|title| *title != block.link))).collect();
    let title = find(&titles).or_else(|| title_attribute(blocks, link.as_deref()));
    let summaries: Vec<_> = blocks.iter().map(|block| (block.element, block.summary)).collect();
    Some(Select { item: item.to_string(), link, title, date: date(blocks), summary: find(&summaries) })
}

/// Links that are cut ("Ministers agree on...") often carry the whole headline in `title`.
fn title_attribute(blocks: &[&Block<'_>], link: Option<&str>) -> Option<String> {
    let whole = |block: &&&Block<'_>| {
        let title = block.link.value().attr("title").unwrap_or_default();
        let text = block::text(block.link);
        let shown = text.trim_end_matches(['.', '…', ' ']);
        !shown.is_empty() && title.trim().starts_with(shown)
    };
    let is_cut = blocks.iter().any(|block| block::text(block.link).ends_with(['.', '…']));
    let all = blocks.iter().filter(whole).count() == blocks.len();
    (is_cut && all).then(|| format!("{}@title", link.unwrap_or_default()))
}

/// The date, in the attribute or the text that most items have it in.
fn date(blocks: &[&Block<'_>]) -> Option<String> {
    let mut kinds: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for date in blocks.iter().filter_map(|block| block.date.as_ref()) {
        *kinds.entry(date.attribute.as_deref()).or_default() += 1;
    }
    let (attribute, _) = kinds.into_iter().max_by_key(|(_, count)| *count)?;
    let places: Vec<_> = blocks
        .iter()
        .map(|block| {
            let date = block.date.as_ref().filter(|date| date.attribute.as_deref() == attribute);
            (block.element, date.map(|date| date.element))
        })
        .collect();
    let on_item = places.iter().filter(|(item, found)| *found == Some(*item)).count();
    let element = if on_item * 2 > places.len() { String::new() } else { find(&places)? };
    match attribute {
        Some(attribute) => Some(format!("{element}@{attribute}")),
        None if element.is_empty() => Some(":scope".to_string()),
        None => Some(element),
    }
}

/// The simplest selector whose first match within an item is what is wanted there, in most of the items.
fn find(places: &[(ElementRef<'_>, Option<ElementRef<'_>>)]) -> Option<String> {
    let wanted = places.iter().filter(|(_, target)| target.is_some()).count();
    if (wanted as f64) < SHARE_MIN * places.len() as f64 || wanted == 0 {
        return None;
    }
    let mut candidates: BTreeMap<String, u32> = BTreeMap::new();
    for (item, target) in places.iter().filter_map(|(item, target)| Some((*item, (*target)?))).take(MODELS_MAX) {
        for (selector, cost) in selectors(item, target) {
            candidates.entry(selector).or_insert(cost);
        }
    }
    let tried = || places.iter().filter(|(_, target)| target.is_some()).take(TRIED_MAX);
    let total = tried().count();
    candidates
        .into_iter()
        .filter_map(|(text, cost)| {
            let selector = Selector::parse(&text).ok()?;
            let right = tried().filter(|(item, target)| item.select(&selector).next() == *target).count();
            Some((right, cost, text))
        })
        .filter(|(right, ..)| *right * 10 >= total * 6)
        .min_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.len().cmp(&b.2.len())))
        .map(|(_, _, text)| text)
}

/// Ways to name an element within an item.
fn selectors(item: ElementRef<'_>, target: ElementRef<'_>) -> Vec<(String, u32)> {
    let own = names::own_selectors(target);
    let mut found = own.clone();
    let around = target.ancestors().take_while(|ancestor| ancestor.id() != item.id()).filter_map(ElementRef::wrap);
    for (level, outer) in around.take(3).enumerate() {
        for (scope, scope_cost) in names::own_selectors(outer) {
            for (inner, cost) in own.iter().take(3) {
                found.push((format!("{scope} {inner}"), scope_cost + cost / 2 + level as u32));
            }
        }
    }
    // What has no name of its own may stand behind something that has one.
    let before = target.prev_siblings().find_map(ElementRef::wrap);
    if let Some(before) = before {
        for (scope, cost) in names::own_selectors(before) {
            found.push((format!("{scope} + {}", target.value().name()), 7 + cost));
        }
    }
    // Columns of a table are told by their number alone.
    if target.value().name() == "td" && item.value().name() == "tr" {
        let column = 1 + target.prev_siblings().filter_map(ElementRef::wrap).count();
        found.push((format!("td:nth-child({column})"), 10));
    }
    found
}
