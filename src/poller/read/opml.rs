//! OPML: the lists of subscriptions that feed readers exchange.
//!
//! Read tag by tag, without a parser that gives up: a broken outline costs that outline. Written as OPML 2.0.

use super::page::{Kind, tag};
use super::{entities, markup};
use crate::plain;
use crate::poller::source::page::Select;

/// Bytes of a list.
pub const BYTES_MAX: usize = 16 << 20;
/// Outlines of a list, groups included.
const OUTLINES_MAX: usize = 50_000;
/// Groups inside one another; deeper ones count as the last of these.
const LEVELS_MAX: usize = 8;
/// Characters of a group's name.
const GROUP_CHARACTERS_MAX: usize = 40;
/// Bytes of a value that are looked at.
const VALUE_BYTES_MAX: usize = 8_000;
/// Prefix of what is newswatch's own.
const OWN: &str = "newswatch:";

/// One source of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Line of the file, from 1.
    pub line: usize,
    /// Name in newswatch's configuration; empty in lists of other programs.
    pub name: String,
    /// Kind in newswatch's configuration; empty for a feed.
    pub kind: String,
    /// `title`, else `text`.
    pub title: String,
    /// `xmlUrl`; of what is no feed, `url`.
    pub url: String,
    /// The site.
    pub html_url: String,
    /// Language tag.
    pub language: String,
    /// The groups it stands in, the outermost first.
    pub groups: Vec<String>,
    /// Selectors of a list page.
    pub select: Option<Select>,
}

/// What a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opml {
    /// Its sources, in order.
    pub outlines: Vec<Outline>,
    /// What could not be used: line and sentence.
    pub problems: Vec<(usize, String)>,
}

/// An outline that is open.
struct Open {
    line: usize,
    /// Of a group, its name.
    group: Option<String>,
    has_children: bool,
}

/// Reads a list. `None` if the text is no OPML at all.
pub fn read(text: &str) -> Option<Opml> {
    let mut opml = Opml::default();
    let mut open: Vec<Open> = Vec::new();
    let (mut is_opml, mut count) = (false, 0);
    let (mut line, mut counted_to) = (1, 0);
    let mut at = 0;
    while let Some(found) = text[at..].find('<') {
        at += found;
        let rest = &text[at..];
        if rest.starts_with("<!--") {
            at += rest.find("-->").unwrap_or(rest.len());
            continue;
        }
        let Some(tag) = tag(rest) else {
            // An outline that is cut or broken by a new tag within it.
            if rest.get(1..8).is_some_and(|name| name.eq_ignore_ascii_case("outline")) {
                count += 1;
                if count > OUTLINES_MAX {
                    break;
                }
                line += newlines(&text[counted_to..at]);
                counted_to = at;
                opml.problems.push((line, "a broken outline".into()));
            }
            at += 1;
            continue;
        };
        line += newlines(&text[counted_to..at]);
        counted_to = at;
        at += tag.length;
        is_opml |= tag.name == "opml";
        if tag.name != "outline" {
            continue;
        }
        if tag.kind == Kind::Close {
            if let Some(group) = open.pop().filter(|open| open.group.is_some() && !open.has_children) {
                opml.problems.push((group.line, without_address(group.group.as_deref().unwrap_or_default())));
            }
            continue;
        }
        count += 1;
        if count > OUTLINES_MAX {
            opml.problems.push((line, format!("there are more than {OUTLINES_MAX} outlines; the rest was not read")));
            break;
        }
        if let Some(outer) = open.last_mut() {
            outer.has_children = true;
        }
        let inside = &rest["<outline".len()..tag.length - 1];
        let groups = open.iter().filter_map(|open| open.group.clone()).take(LEVELS_MAX).collect();
        let outline = outline(inside, line, groups);
        let is_group = outline.url.is_empty();
        if is_group && tag.empty {
            opml.problems.push((line, without_address(&outline.title)));
        }
        if !tag.empty {
            let group = is_group.then(|| group_name(&outline.title));
            open.push(Open { line, group, has_children: false });
        }
        if !is_group {
            opml.outlines.push(outline);
        }
    }
    is_opml.then_some(opml)
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn without_address(title: &str) -> String {
    format!("\"{}\" has neither an address (xmlUrl) nor anything in it", plain::line(title, 80))
}

/// "/" parts the levels of a group.
fn group_name(title: &str) -> String {
    let name = plain::line(&title.replace('/', "-"), GROUP_CHARACTERS_MAX);
    if name.is_empty() { "-".to_string() } else { name }
}

fn outline(inside: &str, line: usize, groups: Vec<String>) -> Outline {
    let mut outline = Outline { line, groups, ..Outline::default() };
    let (mut text, mut xml_url, mut url) = (String::new(), String::new(), String::new());
    let mut select = Select::default();
    for (name, value) in markup::attributes(inside) {
        let value = entities::decode(&value[..value.floor_char_boundary(VALUE_BYTES_MAX)]).trim().to_string();
        match name.to_ascii_lowercase().as_str() {
            "text" => text = value,
            "title" => outline.title = value,
            "xmlurl" => xml_url = value,
            "url" => url = value,
            "htmlurl" => outline.html_url = value,
            "language" => outline.language = value,
            "newswatch:name" => outline.name = value,
            "newswatch:kind" => outline.kind = value,
            "newswatch:item" => select.item = value,
            "newswatch:link" => select.link = Some(value),
            "newswatch:title" => select.title = Some(value),
            "newswatch:date" => select.date = Some(value),
            "newswatch:summary" => select.summary = Some(value),
            _ => {}
        }
    }
    // What has an address but no feed is a bookmark, unless newswatch wrote it.
    outline.url = if xml_url.is_empty() && !outline.kind.is_empty() { url } else { xml_url };
    if outline.title.is_empty() {
        outline.title = text;
    }
    outline.select = (!select.item.is_empty()).then_some(select);
    outline
}

/// A group on its way out.
#[derive(Default)]
struct Group<'a> {
    name: &'a str,
    outlines: Vec<&'a Outline>,
    groups: Vec<Group<'a>>,
}

/// Writes a list, its groups nested.
pub fn write(title: &str, outlines: &[Outline]) -> String {
    let mut root = Group::default();
    for outline in outlines {
        let mut group = &mut root;
        for name in outline.groups.iter().take(LEVELS_MAX) {
            let at = group.groups.iter().position(|known| known.name == name).unwrap_or_else(|| {
                group.groups.push(Group { name, ..Group::default() });
                group.groups.len() - 1
            });
            group = &mut group.groups[at];
        }
        group.outlines.push(outline);
    }
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<opml version=\"2.0\" xmlns:newswatch=\"urn:newswatch\">\n  \
         <head>\n    <title>{}</title>\n  </head>\n  <body>\n",
        escaped(title)
    );
    write_group(&mut out, &root, 2);
    out.push_str("  </body>\n</opml>\n");
    out
}

fn write_group(out: &mut String, group: &Group<'_>, level: usize) {
    let indent = "  ".repeat(level);
    for outline in &group.outlines {
        out.push_str(&format!("{indent}<outline"));
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                out.push_str(&format!(" {key}=\"{}\"", escaped(value)));
            }
        };
        let is_feed = outline.kind.is_empty();
        put("type", if is_feed { "rss" } else { "link" });
        put("text", &outline.title);
        put("title", &outline.title);
        put(if is_feed { "xmlUrl" } else { "url" }, &outline.url);
        put("htmlUrl", &outline.html_url);
        put("language", &outline.language);
        put(&format!("{OWN}name"), &outline.name);
        put(&format!("{OWN}kind"), &outline.kind);
        if let Some(select) = &outline.select {
            let keys = [("link", &select.link), ("title", &select.title), ("date", &select.date)];
            put(&format!("{OWN}item"), &select.item);
            for (key, value) in keys.into_iter().chain([("summary", &select.summary)]) {
                put(&format!("{OWN}{key}"), value.as_deref().unwrap_or_default());
            }
        }
        out.push_str("/>\n");
    }
    for inner in &group.groups {
        let name = escaped(inner.name);
        out.push_str(&format!("{indent}<outline text=\"{name}\" title=\"{name}\">\n"));
        write_group(out, inner, level + 1);
        out.push_str(&format!("{indent}</outline>\n"));
    }
}

fn escaped(text: &str) -> String {
    plain::line(text, VALUE_BYTES_MAX)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_outline_spoils_no_other() {
        let opml = read(include_str!("../../../tests/data/reading/subscriptions.opml")).unwrap();
        let rows: Vec<(usize, &str, &str, String)> =
            opml.outlines.iter().map(|o| (o.line, o.title.as_str(), o.url.as_str(), o.groups.join("/"))).collect();
        assert_eq!(
            rows,
            [
                (6, "Harbour & Port", "https://harbour.example/feed?a=1&b=2", String::new()),
                (9, "38 Degrees", "https://degrees.example/rss", "Think tanks/Korea".into()),
                (11, "Second of Korea", "https://second.example/rss", "Think tanks/Korea".into()),
                (13, "Tank", "https://tank.example/atom.xml", "Think tanks".into()),
                (15, "Harbour again", "https://harbour.example/feed?a=1&b=2", String::new()),
                (16, "Not an address", "nowhere", String::new()),
            ]
        );
        let lines: Vec<usize> = opml.problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [10, 17, 18], "{:?}", opml.problems);
        assert_eq!(read("<html><outline xmlUrl='x'/>"), None);
    }

    #[test]
    fn what_is_written_reads_back_and_hostile_lists_cost_little() {
        let outline = |title: &str, groups: &[&str]| Outline {
            title: title.into(),
            url: "https://a.example/?a=1&b=\"2\"".into(),
            groups: groups.iter().map(|group| group.to_string()).collect(),
            ..Outline::default()
        };
        let page = Outline {
            kind: "page".into(),
            name: "p".into(),
            select: Some(Select {
                item: "li > a[href^=\"/x\"]".into(),
                date: Some("time@datetime".into()),
                ..Select::default()
            }),
            ..outline("Page", &[])
        };
        let list = [outline("A < B & \"C\"", &["One", "Two"]), page, outline("뉴스", &["One"]), outline("x", &[])];
        let text = write("T & t", &list);
        let again = read(&text).unwrap();
        assert!(again.problems.is_empty());
        assert_eq!(again.outlines.len(), 4);
        assert_eq!(write("T & t", &again.outlines), text);
        let deep = format!("<opml>{}", "<outline text='g'>".repeat(60_000));
        assert_eq!(read(&deep).unwrap().outlines.len(), 0);
    }
}
