//! Proposes selectors for a page that lists articles.
//!
//! A list repeats one block, and each block has one main link with a headline for a text. So: every element round a link is a
//! block ([`block`]); blocks that the same short selector finds are a group; groups are ranked by how much they look like a
//! list of news. The best are read as the source would read them, and what that gives decides.

mod block;
mod names;
mod pick;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scraper::{ElementRef, Html, Selector};
use url::Url;

use self::block::Block;
use super::guard::guarded;
use super::{absolute, decode, page};
use crate::model::Reading;
use crate::poller::identity;
use crate::poller::source::page::{Page, Select, base};
use crate::poller::source::{Document, ReadError, ReadLimits};

/// Proposals made of one page.
const PROPOSALS_MAX: usize = 3;
/// Links looked at.
const LINKS_MAX: usize = 3_000;
/// Elements round a link, itself included, that may be the block of an item.
const LEVELS_MAX: usize = 8;
/// Blocks looked at.
const BLOCKS_MAX: usize = 4_000;
/// What looking at all blocks may cost: nodes times nodes and text, as each node's text is looked at. Real pages need a tenth.
const WORK_MAX: usize = 30_000_000;
/// A block with links to more pages than this holds several items.
const BLOCK_LINKS_MAX: usize = 12;
/// Fewer are no list.
const ITEMS_MIN: usize = 3;
/// Groups that are read as the source would.
const READ_MAX: usize = 16;
/// Items of each that are read.
const ITEMS_READ_MAX: usize = 300;
/// A poorer list is not worth proposing.
const SCORE_MIN: f64 = 0.25;

/// Hosts that buttons lead to, never articles.
const BUTTONS: &[&str] = &[
    "facebook.com",
    "twitter.com",
    "x.com",
    "linkedin.com",
    "instagram.com",
    "youtube.com",
    "t.me",
    "telegram.me",
    "wa.me",
    "api.whatsapp.com",
    "pinterest.com",
    "vk.com",
    "ok.ru",
    "weibo.com",
    "reddit.com",
    "bsky.app",
    "threads.net",
    "play.google.com",
    "apps.apple.com",
];

/// Selectors for a list page, and what they give now.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The selectors.
    pub select: Select,
    /// What a source with these selectors reads.
    pub reading: Reading,
    /// How much that looks like a list of articles: the more and the longer its headlines, the higher.
    pub score: f64,
}

/// Proposes selectors for the lists on a page, the best first; none for a page without a list.
pub fn proposals(document: &Document<'_>) -> Result<Vec<Proposal>, ReadError> {
    let text = decode::text(document.body, document.content_type);
    if page::tree_bytes(&text).is_none() || page::is_too_deep(&text) {
        return Err(ReadError("the page is too large or too deep to look for lists in it".into()));
    }
    guarded("the page", || propose(&Html::parse_document(&text), document))
}

/// A set of blocks that one selector finds.
struct Group {
    selector: String,
    cost: u32,
    members: Vec<usize>,
    score: f64,
}

fn propose(html: &Html, document: &Document<'_>) -> Vec<Proposal> {
    let blocks = blocks(html, document.url);
    let mut groups = groups(&blocks);
    for group in &mut groups {
        group.score = score(&group.members, &blocks);
    }
    groups.retain(|group| group.score > 0.0);
    groups.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.cost.cmp(&b.cost)));
    // Of groups with the same main links only the best few: the block itself, and one or two round or inside it.
    let mut seen: HashMap<BTreeSet<usize>, usize> = HashMap::new();
    groups.retain(|group| {
        let count = seen.entry(group.members.iter().map(|member| blocks[*member].url).collect()).or_default();
        *count += 1;
        *count <= 3
    });
    groups.truncate(READ_MAX);
    let mut read: Vec<Proposal> = groups
        .iter()
        .filter_map(|group| read_group(group, &blocks, html, document.url))
        .filter(|p| p.score >= SCORE_MIN)
        .collect();
    read.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut chosen: Vec<Proposal> = Vec::new();
    for proposal in read {
        if chosen.len() < PROPOSALS_MAX && !chosen.iter().any(|other| overlap(other, &proposal) > 0.4) {
            chosen.push(proposal);
        }
    }
    chosen
}

/// The blocks round the page's links.
fn blocks<'p>(html: &'p Html, url: &Url) -> Vec<Block<'p>> {
    let Ok(selector) = Selector::parse("a[href]") else { return Vec::new() };
    let base = base(html, url);
    let own = identity::canonical(url.as_str());
    let mut index = HashMap::new();
    let mut found: Vec<(ElementRef<'p>, BTreeSet<usize>, usize)> = Vec::new();
    let mut urls: HashMap<String, usize> = HashMap::new();
    for (position, link) in html.select(&selector).take(LINKS_MAX).enumerate() {
        let Some(target) = link.value().attr("href").and_then(|href| article_address(&base, href, &own)) else {
            continue;
        };
        let known = urls.len();
        let target = *urls.entry(target).or_insert(known);
        let ancestors = link.ancestors().filter_map(ElementRef::wrap);
        for element in std::iter::once(link).chain(ancestors).take(LEVELS_MAX) {
            if matches!(element.value().name(), "body" | "html" | "main" | "table" | "tbody")
                || found.len() > BLOCKS_MAX
            {
                break;
            }
            let at = *index.entry(element.id()).or_insert_with(|| {
                found.push((element, BTreeSet::new(), position));
                found.len() - 1
            });
            found[at].1.insert(target);
        }
    }
    let links = html.select(&selector).take(LINKS_MAX).count().max(1);
    let mut work = 0;
    found
        .into_iter()
        .filter(|(_, targets, _)| targets.len() <= BLOCK_LINKS_MAX)
        .filter_map(|(element, _, position)| {
            work += block::work(element)?;
            if work > WORK_MAX {
                return None;
            }
            let address = |link: ElementRef<'_>| {
                let target = article_address(&base, link.value().attr("href")?, &own)?;
                urls.get(&target).copied()
            };
            Block::of(element, address, position as f64 / links as f64)
        })
        .collect()
}

/// The address a link leads to, if an article may be there: another page, and no button for sharing.
fn article_address(base: &Url, href: &str, own: &str) -> Option<String> {
    if href.trim_start().starts_with('#') {
        return None;
    }
    let absolute = absolute(base, href)?;
    let canonical = identity::canonical(&absolute);
    if canonical == own {
        return None;
    }
    if let Ok(url) = Url::parse(&canonical) {
        let host = url.host_str().unwrap_or_default();
        let is_button = BUTTONS
            .iter()
            .any(|button| host == *button || host.strip_suffix(button).is_some_and(|rest| rest.ends_with('.')));
        if !matches!(url.scheme(), "http" | "https") || is_button && base.host_str() != Some(host) {
            return None;
        }
    }
    Some(canonical)
}

/// Groups of blocks, each with the simplest selector that finds it.
fn groups(blocks: &[Block<'_>]) -> Vec<Group> {
    let mut by_selector: BTreeMap<String, (u32, Vec<usize>)> = BTreeMap::new();
    for (at, block) in blocks.iter().enumerate() {
        for (selector, cost) in names::item_selectors(block.element) {
            by_selector.entry(selector).or_insert_with(|| (cost, Vec::new())).1.push(at);
        }
    }
    let mut by_members: HashMap<Vec<usize>, Group> = HashMap::new();
    for (selector, (cost, members)) in by_selector {
        if members.len() < ITEMS_MIN {
            continue;
        }
        let simpler =
            |known: &Group| (cost, selector.len(), &selector) < (known.cost, known.selector.len(), &known.selector);
        if by_members.get(&members).is_none_or(simpler) {
            by_members.insert(members.clone(), Group { selector, cost, members, score: 0.0 });
        }
    }
    by_members.into_values().collect()
}

/// How much a group looks like a list of articles, by its blocks.
fn score(members: &[usize], blocks: &[Block<'_>]) -> f64 {
    let members: Vec<&Block<'_>> = members.iter().map(|member| &blocks[*member]).collect();
    let count = members.len() as f64;
    let share = |is: fn(&Block<'_>) -> bool| members.iter().filter(|block| is(block)).count() as f64 / count;
    let mean = |value: fn(&Block<'_>) -> f64| members.iter().map(|block| value(block)).sum::<f64>() / count;
    let distinct = members.iter().map(|block| block.url).collect::<HashSet<_>>().len() as f64;
    // One inside another is not one after another.
    let single = 1.0 / mean(|block| block.headlines.max(1) as f64).powi(2);
    list_score(
        distinct,
        distinct / count,
        mean(|block| headline(block.units)),
        share(|b| b.date.is_some()),
        share(|b| b.summary.is_some()),
    ) * single
        * mean(|block| block.region)
        * (1.0 - 0.2 * members.iter().map(|block| block.position).fold(1.0, f64::min))
}

/// A list is the better the more it has, the purer it is and the more its links look like headlines; dates are a strong sign.
fn list_score(count: f64, purity: f64, headline: f64, dated: f64, teased: f64) -> f64 {
    (1.0 + count).ln() * purity.powi(2) * headline.powi(2) * (1.0 + 0.8 * dated) * (1.0 + 0.2 * teased)
}

/// How far a text of this length (a character of Chinese, Japanese or Korean counts for two) is a headline's.
fn headline(units: f64) -> f64 {
    match units {
        ..8.0 => 0.0,
        ..16.0 => 0.25,
        ..26.0 => 0.6,
        ..36.0 => 0.85,
        ..220.0 => 1.0,
        _ => 0.5,
    }
}

/// Finds the selectors within the items of a group and reads the page with them.
fn read_group(group: &Group, blocks: &[Block<'_>], html: &Html, url: &Url) -> Option<Proposal> {
    let members: Vec<&Block<'_>> = group.members.iter().map(|member| &blocks[*member]).collect();
    let select = pick::select(&group.selector, &members)?;
    let page = Page::of(&select).ok()?;
    let limits = ReadLimits { entries_max: ITEMS_READ_MAX, ..ReadLimits::default() };
    let reading = page.read_tree(html, url, &limits).ok()?;
    let own = identity::canonical(url.as_str());
    let found = (reading.entries.len() + reading.problems.len()) as f64;
    let mut distinct = HashSet::new();
    let mut good = 0.0;
    for entry in &reading.entries {
        let link = identity::canonical(entry.url.as_deref().unwrap_or_default());
        if link != own && distinct.insert(link) {
            good += headline(block::units(&entry.title));
        }
    }
    let share = |count: usize| count as f64 / found;
    let dated = share(reading.entries.iter().filter(|entry| entry.published.is_some()).count());
    let teased = share(reading.entries.iter().filter(|entry| !entry.summary.is_empty()).count());
    let count = distinct.len() as f64;
    if distinct.len() < ITEMS_MIN {
        return None;
    }
    let region = members.iter().map(|block| block.region).sum::<f64>() / members.len() as f64;
    let position = members.iter().map(|block| block.position).fold(1.0, f64::min);
    let score = list_score(count, count / found, good / count, dated, teased) * region * (1.0 - 0.2 * position);
    Some(Proposal { select, reading, score })
}

/// Which share of the smaller list stands in the other one, too.
fn overlap(a: &Proposal, b: &Proposal) -> f64 {
    let links = |proposal: &Proposal| -> HashSet<String> {
        proposal.reading.entries.iter().filter_map(|entry| entry.url.clone()).collect()
    };
    let (a, b) = (links(a), links(b));
    a.intersection(&b).count() as f64 / a.len().min(b.len()).max(1) as f64
}

#[cfg(test)]
mod tests;
