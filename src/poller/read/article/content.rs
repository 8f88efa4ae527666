//! What of a page is its article, and what stands around it.
//!
//! First everything goes that its own tags or names call something else (menus, share bars, related links, captions ...). Then
//! Readability looks for the article in what is left. Its heuristics count letters and commas, so two checks follow: where
//! much more running text was there before, too much was taken away; and where it found only a crumb (short pages, scripts
//! without spaces), the smallest element that holds nearly all of the running text is the article.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use dom_smoothie::{Config, Readability};
use ego_tree::iter::Edge;
use ego_tree::{NodeId, NodeRef};
use scraper::node::Element;
use scraper::{ElementRef, Html, Node};

use crate::plain;
use crate::poller::read::html;

/// Letters of a piece of text from which it is running text, not a label.
const PROSE_MIN: usize = 25;
/// A character of a script without spaces says as much as so many letters.
const WIDE_CHARACTER: usize = 3;
/// What holds more of the running text than this is no ornament, whatever its name.
const ORNAMENT_SHARE_MAX: f64 = 0.35;
/// The same for a name or a date beside a title, and how many letters it has at most.
const LABEL_SHARE_MAX: f64 = 0.1;
const LABEL_MAX: usize = 300;
/// Letters of a line that is nothing but a reference to another page.
const REFERENCE_MAX: usize = 300;
/// Nodes within such a line, or a label.
const LINE_NODES_MAX: usize = 60;
/// A page of links is not cleared of its links.
const REFERENCES_SHARE_MAX: f64 = 0.3;
/// Below this part of the page's running text what was found is looked at again.
const FOUND_SHARE_MIN: f64 = 0.5;
/// Below this part of the text that is left what was found is a crumb.
const CRUMB_SHARE: f64 = 0.2;
/// The article holds at least this part of the running text that is left.
const CORE_SHARE_MIN: f64 = 0.85;
/// The publisher's own text is at least as long as a short article.
const OPENING_MAX: usize = 1_000;
/// So many times as long it holds what the page does not show.
const FULLER: f64 = 1.5;
/// Letters by which a lead is recognised, and how long it is at most.
const LEAD_MIN: usize = 40;
const LEAD_MAX: usize = 1_000;

/// Elements that never hold text of an article.
const DROPPED: &[&str] = &[
    "script",
    "style",
    "noscript",
    "template",
    "iframe",
    "svg",
    "button",
    "select",
    "textarea",
    "input",
    "object",
    "embed",
    "dialog",
    "figcaption",
    "canvas",
    "video",
    "audio",
    "map",
];
/// Elements that hold none unless much of the text is in there.
const ORNAMENTS: &[&str] = &["nav", "footer", "aside", "form", "menu", "fieldset"];
const ORNAMENT_ROLES: &[&str] =
    &["navigation", "contentinfo", "complementary", "dialog", "alertdialog", "search", "menu", "toolbar", "banner"];
/// Elements that stay, whatever they are called.
const FRAMES: &[&str] = &["html", "head", "body", "main"];
/// Elements whose text is no running text.
const ASIDE: &[&str] =
    &["a", "script", "style", "nav", "noscript", "figcaption", "head", "footer", "template", "textarea", "select"];

/// Words in the class or id of what is no part of an article.
static ORNAMENT_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "ad ads adslot adsense advert advertisement advertising adv werbung anzeige publicidad sponsor sponsored promo promos \
     promotion promobox promoted outbrain taboola ligatus plista disclosure disclaimer licenceinfo \
     share shares sharing sharebar sharebox sharedaddy shariff addthis addtoany social socials socialmedia teilen follow \
     related relateds relatedposts relatedarticles relatedlinks similar recommended recommend recommendation recommendations \
     recirc recirculation trending popular mostread mostpopular seealso alsolike readalso yarpp jp nextpost \
     newsletter newsletters subscribe subscription signup abo optin factbox toc rsssummary \
     cookie cookies consent gdpr cmp paywall regwall \
     comment comments commentlist disqus respond kommentar kommentare \
     breadcrumb breadcrumbs nav navi navigation navbar menu menus submenu pagination pager paging pagenav prevnext \
     sidebar widget widgets footer popup modal overlay lightbox tooltip toolbar skip skiplink \
     tags taglist tagcloud keywords \
     caption captions credit credits copyright imagecaption wpcaption bildunterschrift bildquelle slideshow carousel gallery \
     authorbox authorbio bio authorinfo aboutauthor \
     print printonly toplink backlink rating ratings vote votes feedback hidden visuallyhidden offscreen sr"
        .split_whitespace()
        .collect()
});

/// Words in the class or id of names and dates beside a title.
static LABEL_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "byline bylines dateline timestamp author authors autor meta postmeta entrymeta metadata posted published postinfo \
     date datum time pubdate kicker category categories cat rubrik"
        .split_whitespace()
        .collect()
});

/// What was found on a page.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) language: Option<String>,
}

/// Finds the article. `descriptions` are what the page says of itself: an opening paragraph that says the same belongs to it.
pub(super) fn find(
    mut tree: Html,
    source: &str,
    url: Option<&str>,
    descriptions: &[String],
    bytes_max: usize,
) -> Found {
    let prose = Prose::of(&tree);
    let before = prose.all(&tree);
    prune(&mut tree, &prose);
    let prose = Prose::of(&tree);
    let core = prose.core(&tree).map(|element| element.html()).unwrap_or_default();
    let left = prose.all(&tree);
    let lead = lead(&tree, descriptions);
    let pruned = tree.html();
    // Readability builds a tree of its own, and two at a time would take twice the memory.
    drop((tree, prose));
    let mut found = readable(pruned, url, bytes_max).unwrap_or_default();
    if (running(&found.text) as f64) < FOUND_SHARE_MIN * before as f64
        && let Some(whole) = readable(source.to_string(), url, bytes_max)
        && (running(&found.text) as f64) < FOUND_SHARE_MIN * running(&whole.text) as f64
    {
        found = whole;
    }
    if (running(&found.text) as f64) < CRUMB_SHARE * left as f64 {
        found.text = html::plain_text(&core, bytes_max);
    }
    if let Some(lead) = lead
        && !squeezed(&found.text).contains(beginning(&squeezed(&lead)))
    {
        found.text = format!("{lead}\n\n{}", found.text);
    }
    found
}

/// The text that the publisher gives to search engines where the page itself shows only a part of it; else what was found. (As a
/// rule what was found is cleaner.)
pub(super) fn fuller(found: String, body: &str, bytes_max: usize) -> String {
    let body = html::plain_text(body, bytes_max);
    let is_fuller = letters(&body) > OPENING_MAX && letters(&body) as f64 >= FULLER * letters(&found) as f64;
    if is_fuller { body } else { found }
}

/// What Readability finds.
fn readable(source: String, url: Option<&str>, bytes_max: usize) -> Option<Found> {
    let article = Readability::new(source, url, Some(Config::default())).ok()?.parse().ok()?;
    let text = html::plain_text(&article.content, bytes_max);
    Some(Found { title: article.title, text, language: article.lang })
}

/// How much a text says, in letters.
pub(super) fn letters(text: &str) -> usize {
    let letters = |c: char| match c {
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            WIDE_CHARACTER
        }
        c => usize::from(!c.is_whitespace()),
    };
    text.chars().map(letters).sum()
}

/// The letters of the paragraphs of a text.
fn running(text: &str) -> usize {
    text.lines().map(letters).filter(|letters| *letters >= 2 * PROSE_MIN).sum()
}

/// The running text within each node, in letters.
struct Prose(HashMap<NodeId, usize>);

impl Prose {
    fn of(tree: &Html) -> Prose {
        let mut prose = HashMap::new();
        let is_aside = |node: NodeRef<'_, Node>| name(node).is_some_and(|name| ASIDE.contains(&name));
        // What was found so far within each node that is still open.
        let mut open = vec![0];
        let mut aside = 0usize;
        for edge in tree.tree.root().traverse() {
            match edge {
                Edge::Open(node) => {
                    aside += usize::from(is_aside(node));
                    let text = node.value().as_text().filter(|_| aside == 0);
                    open.push(text.map(|text| letters(text)).filter(|letters| *letters >= PROSE_MIN).unwrap_or(0));
                }
                Edge::Close(node) => {
                    aside -= usize::from(is_aside(node));
                    let within = open.pop().unwrap_or(0);
                    if within > 0 {
                        prose.insert(node.id(), within);
                        open.last_mut().into_iter().for_each(|outer| *outer += within);
                    }
                }
            }
        }
        Prose(prose)
    }

    fn within(&self, node: NodeId) -> usize {
        self.0.get(&node).copied().unwrap_or(0)
    }

    fn all(&self, tree: &Html) -> usize {
        self.within(tree.tree.root().id())
    }

    /// The smallest element that holds nearly all of it.
    fn core<'t>(&self, tree: &'t Html) -> Option<ElementRef<'t>> {
        let all = self.all(tree);
        let mut node = tree.tree.root();
        let is_core = |child: &NodeRef<'_, Node>| {
            child.value().is_element() && self.within(child.id()) as f64 >= CORE_SHARE_MIN * all as f64
        };
        while all > 0
            && let Some(child) = node.children().find(is_core)
        {
            node = child;
        }
        ElementRef::wrap(node)
    }
}

fn name(node: NodeRef<'_, Node>) -> Option<&str> {
    node.value().as_element().map(Element::name)
}

/// Takes away what stands around an article.
fn prune(tree: &mut Html, prose: &Prose) {
    let all = prose.all(tree).max(1) as f64;
    let mut dropped = Vec::new();
    let (mut references, mut references_letters) = (Vec::new(), 0);
    let mut node = tree.tree.root();
    loop {
        let mut inside = node.first_child();
        if let Some(element) = ElementRef::wrap(node)
            && !FRAMES.contains(&element.value().name())
            // Readability finds the title by these.
            && element.value().name() != "h1"
            && element.value().attr("type") != Some("application/ld+json")
        {
            let share = prose.within(node.id()) as f64 / all;
            if DROPPED.contains(&element.value().name())
                || share <= ORNAMENT_SHARE_MAX && is_ornament(element.value())
                || share <= LABEL_SHARE_MAX && is_label(&element)
            {
                dropped.push(node.id());
                inside = None;
            } else if let Some(letters) = reference(&element) {
                references.push(node.id());
                references_letters += letters;
                inside = None;
            }
        }
        // Without recursion: the depth of a page is limited, but not to what a stack can hold.
        let mut next = inside;
        let mut last = node;
        while next.is_none() {
            next = last.next_sibling();
            match last.parent() {
                Some(parent) => last = parent,
                None => break,
            }
        }
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    if references_letters as f64 <= REFERENCES_SHARE_MAX * all {
        dropped.append(&mut references);
    }
    for id in dropped {
        if let Some(mut node) = tree.tree.get_mut(id) {
            node.detach();
        }
    }
}

fn is_ornament(element: &Element) -> bool {
    let is_hidden = |style: &str| {
        let style: String = style.chars().filter(|c| !c.is_whitespace()).take(1_000).collect();
        style.contains("display:none") || style.contains("visibility:hidden")
    };
    ORNAMENTS.contains(&element.name())
        || element.attr("role").is_some_and(|role| ORNAMENT_ROLES.contains(&role))
        || element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || element.attr("style").is_some_and(is_hidden)
        || has_word(element, &ORNAMENT_WORDS)
}

fn is_label(element: &ElementRef<'_>) -> bool {
    !matches!(element.value().name(), "title" | "meta" | "link" | "article")
        && has_word(element.value(), &LABEL_WORDS)
        && element.descendants().nth(LINE_NODES_MAX).is_none()
        && element.text().map(letters).sum::<usize>() < LABEL_MAX
}

fn has_word(element: &Element, list: &HashSet<&str>) -> bool {
    ["class", "id"]
        .iter()
        .filter_map(|name| element.attr(name))
        .any(|names| any_word(names, |word| list.contains(word)))
}

/// Looks at the words of a class or an id: "relatedPosts post-meta" is "related", "posts", "relatedposts", "post", "meta",
/// "postmeta".
fn any_word(names: &str, mut is_wanted: impl FnMut(&str) -> bool) -> bool {
    for name in names.split_whitespace() {
        let (mut joined, mut word) = (String::new(), String::new());
        let (mut count, mut was_lower) = (0, false);
        for c in name.chars().chain(['-']) {
            if (!c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_lower)) && !word.is_empty() {
                if is_wanted(&word) {
                    return true;
                }
                joined.push_str(&word);
                word.clear();
                count += 1;
            }
            was_lower = c.is_ascii_lowercase();
            if c.is_ascii_alphanumeric() {
                word.push(c.to_ascii_lowercase());
            }
        }
        if count == 2 && is_wanted(&joined) {
            return true;
        }
    }
    false
}

/// The letters of a line that is hardly more than one link to another page ("Read more: Ten soups for the winter").
fn reference(element: &ElementRef<'_>) -> Option<usize> {
    const LINES: &[&str] = &["p", "li", "h2", "h3", "h4", "h5", "h6", "div", "strong"];
    if !LINES.contains(&element.value().name()) {
        return None;
    }
    let (mut all, mut linked, mut links) = (0, 0, 0);
    for (count, node) in element.descendants().enumerate().skip(1) {
        if count > LINE_NODES_MAX {
            return None;
        }
        match node.value() {
            Node::Element(inner) if inner.name() == "a" => {
                links += usize::from(inner.attr("href").is_some_and(|href| !href.starts_with('#')));
            }
            Node::Element(inner) if matches!(inner.name(), "p" | "div" | "ul" | "li" | "table") => return None,
            Node::Text(text) => {
                let letters = letters(text);
                all += letters;
                if node.ancestors().take(4).any(|ancestor| name(ancestor) == Some("a")) {
                    linked += letters;
                }
            }
            _ => {}
        }
    }
    (links == 1 && (PROSE_MIN..REFERENCE_MAX).contains(&all) && linked * 10 >= all * 7).then_some(all)
}

/// The paragraph above the article that says what the page says of itself. Many sites keep it outside of their article.
fn lead(tree: &Html, descriptions: &[String]) -> Option<String> {
    let wanted: Vec<String> =
        descriptions.iter().map(|text| squeezed(text)).filter(|text| text.len() >= LEAD_MIN).collect();
    if wanted.is_empty() {
        return None;
    }
    let body = tree.root_element();
    for node in body.descendants() {
        if !matches!(name(node), Some("p" | "h2" | "h3" | "h4" | "div" | "span" | "strong" | "b" | "em")) {
            continue;
        }
        let Some(element) = ElementRef::wrap(node) else { continue };
        let mut text = String::new();
        for piece in element.text() {
            text.push_str(piece);
            if text.len() > 4 * LEAD_MAX {
                break;
            }
        }
        if text.len() <= LEAD_MAX {
            let squeezed = squeezed(&text);
            if wanted.iter().any(|wanted| squeezed.starts_with(beginning(wanted))) {
                return Some(plain::line(&text, LEAD_MAX));
            }
        }
    }
    None
}

/// A text without what two copies of it may differ in.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LEAD_MIN)]
}
