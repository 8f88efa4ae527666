//! Feeds: an Atom file for each profile in a folder, for feed readers and web servers. `PROFILE.atom` holds the newest hits;
//! what is about no hit (a report, an empty digest) stands in `route.NAME.atom`.
//!
//! The file is all there is: what is new is put before what it held. It is written whole under another name, synced, and put in
//! its place, so a reader sees the old one or the new one, also after a crash. A repeat replaces its own entries, which have the
//! same ids. A file that was deleted or damaged is made anew with what comes. It keeps the permissions that it was given by hand.

pub mod atom;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use url::Url;

use super::payload::{ToldHit, lines, short};
use super::{Channel, DeliveryError, Message};
use crate::config::section::Section;
use atom::{Block, Entry, Head};

/// Entries of a feed, unless `entries` says otherwise.
const ENTRIES: usize = 100;
/// A file that is larger is none of ours.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Lines of a message that is about no hit.
const LINES_MAX: usize = 200;

/// The settings of a feed channel.
#[derive(Debug)]
struct Feeds {
    folder: PathBuf,
    base_url: Option<Url>,
    entries: usize,
    /// One writer at a time; a lock in the folder keeps other processes out.
    writing: Arc<Mutex<()>>,
}

/// Reads `folder`, `base_url`, `entries`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let folder = section.required_text("folder").and_then(|_| section.path("folder"));
    if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
        section.problem("folder", format!("`folder`: there is no folder {0}; make it: mkdir -p {0}", folder.display()));
    }
    let base_url = section.address("base_url");
    let entries = section.integer("entries", 1..=10_000).map_or(ENTRIES, |entries| entries as usize);
    Some(Arc::new(Feeds { folder: folder?, base_url, entries, writing: Arc::default() }))
}

impl Channel for Feeds {
    fn kind(&self) -> &'static str {
        "feed"
    }

    fn describe(&self) -> String {
        let place = match &self.base_url {
            Some(url) => format!(", published at {url}"),
            None => String::new(),
        };
        format!("Atom files in {} with the newest {} entries each{place}", self.folder.display(), self.entries)
    }

    fn needs_recipients(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let feeds = Feeds {
                folder: self.folder.clone(),
                base_url: self.base_url.clone(),
                entries: self.entries,
                writing: self.writing.clone(),
            };
            let news = news(message);
            let written = tokio::task::spawn_blocking(move || feeds.add(news)).await;
            let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            written.map_err(|error| {
                DeliveryError::Temporary(format!("cannot write a feed in {}: {error}", self.folder.display()))
            })
        })
    }
}

/// Name of a feed without ".atom" → its title and new entries.
type News = BTreeMap<String, (String, Vec<Entry>)>;

/// What a message adds to which feed.
fn news(message: &Message) -> News {
    let mut news = News::new();
    for hit in &message.hits {
        let told = ToldHit::of(hit);
        // Names of profiles are made of letters, digits, "-" and "_".
        let (_, entries) =
            news.entry(hit.profile.clone()).or_insert_with(|| (format!("newswatch: {}", hit.profile), Vec::new()));
        entries.push(of_hit(&told));
    }
    if message.hits.is_empty() {
        let mut text = lines(&message.text);
        if text.len() > LINES_MAX {
            let left = text.len() - LINES_MAX;
            text.truncate(LINES_MAX);
            text.push(format!("{}: newswatch status", crate::plain::counted(left, "more line")));
        }
        let entry = Entry {
            id: atom::uuid(&["message", &message.id.to_string()]),
            title: short(&message.subject, 300),
            updated: message.created_at,
            published: None,
            author: "newswatch".to_string(),
            url: None,
            category: message.kind.as_str().to_string(),
            text,
        };
        let title = format!("newswatch: messages of the route {}", message.route);
        news.insert(format!("route.{}", message.route), (title, vec![entry]));
    }
    news
}

fn of_hit(hit: &ToldHit) -> Entry {
    let mut text = Vec::new();
    let contexts = hit.reasons.iter().map(|reason| &reason.context).filter(|context| **context != hit.title);
    for part in std::iter::once(&hit.summary).chain(contexts.take(2)) {
        if !part.is_empty() && !text.contains(part) {
            text.push(part.clone());
        }
    }
    let relation = match hit.relation {
        crate::model::Relation::First => String::new(),
        relation => format!(", {} of an earlier report", relation.as_str()),
    };
    text.push(format!("Why: {}", hit.why()));
    text.push(format!(
        "Score {:.2}, threshold {:.2}, strength {:.1}{relation}",
        hit.score, hit.threshold, hit.strength
    ));
    text.push(format!("newswatch why {}", hit.id));
    // A date of the year 2099 is somebody's mistake, and would stand before all others for ever.
    let day = jiff::SignedDuration::from_hours(24);
    Entry {
        id: atom::uuid(&["hit", &hit.profile, &hit.id.to_string()]),
        title: hit.title.clone(),
        updated: hit.found,
        published: hit.published.filter(|at| at.duration_since(hit.found) < day),
        author: hit.from(),
        url: hit.url.clone(),
        category: hit.profile.clone(),
        text,
    }
}

impl Feeds {
    fn add(&self, news: News) -> std::io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = File::options().create(true).truncate(false).write(true).open(self.folder.join(".lock"))?;
        lock.lock()?;
        for (name, (title, entries)) in news {
            let file = format!("{name}.atom");
            let path = self.folder.join(&file);
            let mut blocks = held(&path)?;
            for entry in entries {
                let block = Block::of(&entry);
                blocks.retain(|known| known.id != block.id);
                blocks.push(block);
            }
            atom::keep_newest(&mut blocks, self.entries);
            let own_url = self.base_url.as_ref().map(|url| format!("{}/{file}", url.as_str().trim_end_matches('/')));
            let head = Head { id: self.id(&name), title, own_url };
            replace(&path, atom::write(&head, &blocks).as_bytes())?;
        }
        // The names are only as lasting as the folder that holds them.
        File::open(&self.folder)?.sync_all()
    }

    /// The feed's identity: that of the place where it is read.
    fn id(&self, name: &str) -> String {
        let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let place = self.base_url.as_ref().map_or_else(|| folder.display().to_string(), Url::to_string);
        atom::uuid(&["feed", &place, name])
    }
}

/// What the file holds. Nothing when there is none, or one that newswatch did not write like that.
fn held(path: &Path) -> std::io::Result<Vec<Block>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => text.clear(),
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    Ok(atom::read(&text).unwrap_or_else(|| {
        tracing::warn!("the feed {} was damaged or changed by hand: it is made anew", path.display());
        Vec::new()
    }))
}

/// Puts a file in place of another one, so that a reader, also one after a crash, sees the one or the other.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("atom.new");
    let mut file = File::create(&beside)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::super::payload::tests::{at, hit, message};
    use super::*;
    use crate::config::section::{File as Text, Problem, Problems};
    use crate::model::{DeliveryKind, Id};

    fn feeds(folder: &Path, entries: usize) -> Feeds {
        Feeds { folder: folder.into(), base_url: None, entries, writing: Arc::default() }
    }

    fn parsed(path: &Path) -> feed_rs::model::Feed {
        feed_rs::parser::parse(std::fs::read(path).unwrap().as_slice()).unwrap()
    }

    fn titles(path: &Path) -> Vec<String> {
        parsed(path).entries.into_iter().map(|entry| entry.title.unwrap().content).collect()
    }

    #[tokio::test]
    async fn the_newest_hits_stand_first_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apg.atom");
        let tell = async |from: i64, to: i64| {
            let hits = (from..to).map(|number| hit(number, &format!("Title {number}"))).collect();
            // Each time a new channel: nothing is kept in memory.
            feeds(folder.path(), 4).deliver(&message(DeliveryKind::Alert, hits)).await.unwrap();
        };
        tell(1, 4).await;
        assert_eq!(titles(&path), ["Title 3", "Title 2", "Title 1"]);
        let before = std::fs::read(&path).unwrap();
        tell(1, 4).await;
        assert_eq!(std::fs::read(&path).unwrap(), before, "a repeat changes nothing");
        tell(4, 7).await;
        assert_eq!(titles(&path), ["Title 6", "Title 5", "Title 4", "Title 3"]);
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".lock", "apg.atom"]);
    }

    #[tokio::test]
    async fn a_damaged_or_missing_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apg.atom");
        let tell = async |number: i64| {
            let one = message(DeliveryKind::Alert, vec![hit(number, &format!("Title {number}"))]);
            feeds(folder.path(), 9).deliver(&one).await.unwrap();
        };
        tell(1).await;
        let good = std::fs::read_to_string(&path).unwrap();
        for damaged in [
            good[..good.len() / 2].to_string(),
            good.replace("Title 1", "Title <b>"),
            good.replace("</entry>", ""),
            String::new(),
            "\u{0}\u{0}".to_string(),
        ] {
            std::fs::write(&path, damaged).unwrap();
            tell(2).await;
            assert_eq!(titles(&path), ["Title 2"]);
        }
        std::fs::write(&path, b"\xff\xfe").unwrap();
        tell(3).await;
        std::fs::remove_file(&path).unwrap();
        tell(4).await;
        assert_eq!(titles(&path), ["Title 4"]);
    }

    #[tokio::test]
    async fn permissions_given_by_hand_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apg.atom");
        let one = message(DeliveryKind::Alert, vec![hit(1, "One")]);
        feeds(folder.path(), 9).deliver(&one).await.unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        feeds(folder.path(), 9).deliver(&one).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o604);
    }

    #[tokio::test]
    async fn each_profile_has_a_feed_and_so_have_messages_without_hits() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = hit(2, "Two");
        other.profile = "other".into();
        let both = message(DeliveryKind::Digest, vec![hit(1, "One"), other]);
        let empty = message(DeliveryKind::Digest, vec![]);
        let feeds = feeds(folder.path(), 9);
        feeds.deliver(&both).await.unwrap();
        feeds.deliver(&empty).await.unwrap();
        assert_eq!(titles(&folder.path().join("apg.atom")), ["One"]);
        assert_eq!(titles(&folder.path().join("other.atom")), ["Two"]);
        let own = parsed(&folder.path().join("route.desk.atom"));
        let text = own.entries[0].content.as_ref().unwrap().body.as_ref().unwrap();
        assert!(text.contains("1. First\n   The Paper"), "{text}");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_tried_again() {
        let missing = feeds(Path::new("/none/such"), 9);
        let error = missing.deliver(&message(DeliveryKind::Alert, vec![hit(1, "One")])).await;
        assert!(
            matches!(&error, Err(DeliveryError::Temporary(text)) if text.starts_with("cannot write a feed in /none/such")),
            "{error:?}"
        );
    }

    #[test]
    fn an_entry_says_what_is_known() {
        let mut strange = hit(77, "");
        strange.item.published_at = Some(at(1_000_000));
        strange.item.url = Some("javascript:x".into());
        strange.relation = crate::model::Relation::Copy;
        let entry = of_hit(&ToldHit::of(&strange));
        assert_eq!((entry.title.as_str(), entry.url, entry.published), ("(no title)", None, None));
        assert_eq!(entry.updated, at(17));
        assert_eq!(
            entry.text,
            [
                "What it says.",
                "the observer status of",
                "Why: observer status",
                "Score 0.50, threshold 0.20, strength 2.5, copy of an earlier report",
                &format!("newswatch why {}", Id(77)),
            ]
        );
    }

    #[test]
    fn settings_and_their_mistakes() {
        let read = |text: &str| {
            let problems = Problems::default();
            let channel = Text::new("/etc/a.toml", text.to_string()).read(&problems, |mut section| {
                let channel = settings(&mut section);
                section.finish();
                channel
            });
            let problems: Vec<String> = problems.into_sorted().iter().map(Problem::to_string).collect();
            (channel, problems)
        };
        let (channel, problems) = read("folder = \"/tmp\"\nbase_url = \"https://news.example.org/feeds\"\n");
        assert_eq!(problems, [""; 0]);
        let expected =
            "Atom files in /tmp with the newest 100 entries each, published at https://news.example.org/feeds";
        assert_eq!(channel.unwrap().describe(), expected);
        for (text, expected) in [
            ("", "needs `folder`"),
            ("folder = \"none\"\n", "there is no folder /etc/none; make it: mkdir -p /etc/none"),
            ("folder = \"/tmp\"\nbase_url = \"feeds\"\n", "is not an address"),
            ("folder = \"/tmp\"\nentries = 0\n", "must be between 1 and 10000"),
        ] {
            let (_, problems) = read(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }
}
