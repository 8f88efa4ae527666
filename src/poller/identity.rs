//! Pure: what tells an entry from the others of its source, and canonical links.
//!
//! Publishers break every single mark there is: guids that change with every fetch, one guid for all entries, links with
//! a session in them, one link for everything. So an entry has several keys, each made of enough that it can only
//! mean this entry, and *an entry is known if any of its keys is known*. Rather an item too many than one lost: a doubled
//! item is still caught when stories are made, a lost one never.
//!
//! | key | made of | survives |
//! | --- | --- | --- |
//! | primary | guid and link (guid alone without a link; link and title without a guid) | edits of title and text |
//! | alias | guid, title, text | links that change |
//! | alias | link, title, text, date | guids that change |
//! | alias | title, text, moment | guids and links that change |
//!
//! Where two entries of one document share a primary key but not title, text and date, the publisher's marks tell nothing, and
//! these become part of the key.

use std::collections::{HashMap, HashSet};

use url::Url;

use crate::model::{Entry, Id};

/// The keys of an entry within its source. Short, stable, and meaningless outside the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The one to store with the item.
    pub primary: String,
    /// Others that mean the same entry; remember them all.
    pub aliases: Vec<String>,
    /// The identity of the entry's link, as [`link`] gives it.
    pub link: Option<Id>,
}

impl Keys {
    /// All of them, the primary one first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.primary.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// The keys of the entries of one document, in their order. Entries that are the same share their primary key.
pub fn keys(entries: &[Entry]) -> Vec<Keys> {
    let marks: Vec<(Marks<'_>, String)> = entries
        .iter()
        .map(|entry| {
            let marks = Marks::of(entry);
            let primary = marks.primary();
            (marks, primary)
        })
        .collect();
    let mut first: HashMap<&str, (&str, &str, &str)> = HashMap::new();
    let mut ambiguous: HashSet<&str> = HashSet::new();
    for (mark, primary) in &marks {
        let words = (mark.title, mark.text, mark.date.as_str());
        if *first.entry(primary).or_insert(words) != words {
            ambiguous.insert(primary);
        }
    }
    let chosen = |(mark, primary): &(Marks<'_>, String)| Keys {
        primary: if ambiguous.contains(primary.as_str()) {
            key("exact", &[mark.guid, &mark.link, mark.title, mark.text, &mark.date])
        } else {
            primary.clone()
        },
        aliases: mark.aliases(),
        link: mark.link_id,
    };
    marks.iter().map(chosen).collect()
}

/// A shorter text may well be the same in two entries of the same moment.
const TEXT_BYTES_MIN: usize = 40;

/// What an entry offers for telling it apart.
struct Marks<'a> {
    guid: &'a str,
    /// Canonical and without scheme: many sites change it back and forth.
    link: String,
    link_id: Option<Id>,
    title: &'a str,
    text: &'a str,
    date: String,
    /// The date is a moment, not a day; and the text is long enough to be no "read more".
    precise: bool,
}

impl<'a> Marks<'a> {
    fn of(entry: &'a Entry) -> Marks<'a> {
        let link = entry.url.as_deref().map(canonical);
        let link_id = link.as_deref().map(|link| Id::of(&["link", link]));
        let link = link.unwrap_or_default();
        let text = [&entry.content, &entry.summary]
            .into_iter()
            .map(|text| text.trim())
            .find(|text| !text.is_empty())
            .unwrap_or("");
        let date = entry.published.or(entry.updated);
        Marks {
            guid: entry.guid.trim(),
            link: link.split_once("://").map_or(link.as_str(), |(_, rest)| rest).to_string(),
            link_id,
            title: entry.title.trim(),
            text,
            date: date.map(|date| date.to_string()).unwrap_or_default(),
            precise: text.len() >= TEXT_BYTES_MIN && date.is_some_and(|date| date.as_second() % 86_400 != 0),
        }
    }

    fn primary(&self) -> String {
        match (self.guid, self.link.as_str()) {
            ("", "") => key("text", &[self.title, self.text, &self.date]),
            ("", link) => key("link", &[link, self.title]),
            (guid, link) => key("guid", &[guid, link]),
        }
    }

    fn aliases(&self) -> Vec<String> {
        let mut aliases = Vec::new();
        // A title alone ("Press release") says too little.
        if !self.guid.is_empty() && !self.link.is_empty() && !self.text.is_empty() {
            aliases.push(key("same guid", &[self.guid, self.title, self.text]));
        }
        if !self.link.is_empty() {
            aliases.push(key("same link", &[&self.link, self.title, self.text, &self.date]));
        }
        if self.precise && !self.title.is_empty() {
            aliases.push(key("same moment", &[self.title, self.text, &self.date]));
        }
        aliases
    }
}

fn key(kind: &str, parts: &[&str]) -> String {
    let mut all = vec![kind];
    all.extend(parts);
    Id::of(&all).to_string()
}

/// Parameters that say how a reader came to a page, not which page it is.
const TRACKING: &[&str] = &[
    "fbclid",
    "gclid",
    "dclid",
    "msclkid",
    "yclid",
    "twclid",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_ga",
    "_gl",
    "ocid",
    "cmpid",
    "icid",
    "ncid",
    "ns_campaign",
    "ns_mchannel",
    "ns_source",
    "spm",
    "xtor",
    "wt_mc",
    "wt.mc_id",
    "at_medium",
    "at_campaign",
    "traffic_source",
    "_hsenc",
    "_hsmi",
    "vero_id",
    "oly_enc_id",
    "oly_anon_id",
    "rss_id",
    "phpsessid",
    "jsessionid",
];

/// The form of a link under which the same page is always the same text: scheme and host in lower case, no default port,
/// no fragment, no tracking parameters, no slash at the end of the path. What is no address stays as it is.
pub fn canonical(link: &str) -> String {
    let Ok(mut url) = Url::parse(link.trim()) else { return link.trim().to_string() };
    // A fragment that is a path ("#!/news/1", "#/news/1") names a page of its own.
    if url.fragment().is_some_and(|fragment| !fragment.starts_with(['!', '/'])) {
        url.set_fragment(None);
    }
    drop_tracking(&mut url);
    let path = url.path();
    if path.len() > 1 && path.ends_with('/') {
        let path = path.trim_end_matches('/').to_string();
        url.set_path(&path);
    }
    url.into()
}

/// The link as it is, only without the parameters that say how a reader came to it. Its [`canonical`] form stays the same.
pub fn without_tracking(link: &str) -> String {
    let Ok(mut url) = Url::parse(link) else { return link.to_string() };
    if !url.query().is_some_and(|query| query.split('&').any(is_tracking)) {
        return link.to_string();
    }
    drop_tracking(&mut url);
    url.into()
}

fn drop_tracking(url: &mut Url) {
    if let Some(query) = url.query() {
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_tracking(pair)).collect();
        let kept = kept.join("&");
        url.set_query(Some(kept.as_str()).filter(|query| !query.is_empty()));
    }
}

/// The identity of a link, whatever spelling of it is at hand.
pub fn link(url: &str) -> Id {
    Id::of(&["link", &canonical(url)])
}

fn is_tracking(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("utm_") || TRACKING.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(guid: &str, url: &str, title: &str, text: &str) -> Entry {
        Entry {
            guid: guid.into(),
            url: Some(url.to_string()).filter(|url| !url.is_empty()),
            title: title.into(),
            summary: text.into(),
            ..Entry::default()
        }
    }

    /// Whether an entry that was seen makes the other one known.
    fn same(seen: &Entry, now: &Entry) -> bool {
        let seen = keys(std::slice::from_ref(seen)).remove(0);
        let now = keys(std::slice::from_ref(now)).remove(0);
        seen.all().any(|key| now.all().any(|other| other == key))
    }

    #[test]
    fn the_same_entry_is_known_again() {
        let seen = entry("g1", "https://example.org/1", "Title", "Text");
        for (why, now) in [
            ("nothing changed", seen.clone()),
            ("edited in place", entry("g1", "https://example.org/1", "Better title", "Longer text")),
            ("guid changes with every fetch", entry("g2", "https://example.org/1", "Title", "Text")),
            ("link changes with every fetch", entry("g1", "https://example.org/1?x=9f3", "Title", "Text")),
            ("tracking and scheme", entry("g1", "http://EXAMPLE.org:80/1/?utm_source=rss#top", "New", "New")),
        ] {
            assert!(same(&seen, &now), "{why}");
        }
        assert!(same(&entry("g", "", "a", "b"), &entry("g", "", "edited", "edited")));
        let dated = |guid: &str, url: &str| Entry {
            published: "2026-09-26T10:11:12Z".parse().ok(),
            ..entry(guid, url, "Title", "A text that is long enough to be told from all other texts")
        };
        assert!(same(&dated("g#1", "https://example.org/1?u=1"), &dated("g#2", "https://example.org/1?u=2")));
        assert!(same(
            &entry("", "https://example.org/1", "a", "b"),
            &entry("", "https://example.org/1", "a", "edited")
        ));
    }

    #[test]
    fn different_entries_are_never_taken_for_one() {
        let seen = entry("g", "https://example.org/1", "Title", "Text");
        for (why, now) in [
            ("one guid for all", entry("g", "https://example.org/2", "Other", "Other text")),
            ("one link for all", entry("h", "https://example.org/1", "Other", "Other text")),
            ("one link and title for all", entry("h", "https://example.org/1", "Title", "Other text")),
        ] {
            assert!(!same(&seen, &now), "{why}");
        }
        assert!(!same(
            &entry("", "https://example.org", "Monday", ""),
            &entry("", "https://example.org", "Tuesday", "")
        ));
        assert!(!same(&entry("", "", "a", "b"), &entry("", "", "a", "c")));
    }

    #[test]
    fn entries_that_share_all_marks_but_the_title_are_told_apart() {
        let list = [
            entry("g", "https://example.org", "One", "1"),
            entry("g", "https://example.org", "Two", "2"),
            entry("g", "https://example.org", "Two", "2"),
        ];
        let keys = keys(&list);
        assert_ne!(keys[0].primary, keys[1].primary);
        assert_eq!(keys[1], keys[2], "a doubled item is one item");
    }

    #[test]
    fn an_entry_stays_known_when_its_double_leaves_the_feed() {
        let list = [entry("g", "https://example.org", "One", "1"), entry("g", "https://example.org", "Two", "2")];
        let both = keys(&list);
        let alone = keys(&list[1..]);
        assert!(both[1].all().any(|key| alone[0].all().any(|other| other == key)));
    }

    #[test]
    fn canonical_links() {
        for (link, expected) in [
            ("HTTPS://Example.ORG:443/News/?utm_source=x&id=5&fbclid=1#top", "https://example.org/News?id=5"),
            ("https://example.org", "https://example.org/"),
            ("https://example.org/app#!/news/1", "https://example.org/app#!/news/1"),
            ("https://example.org/?a=1&&b=2", "https://example.org/?a=1&b=2"),
            ("not an address", "not an address"),
        ] {
            assert_eq!(canonical(link), expected);
            assert_eq!(canonical(&without_tracking(link)), expected, "a clean link means the same");
        }
    }
}
