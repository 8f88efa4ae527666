//! `newswatch story show|list|split|join`: what tells the same thing, and an analyst's word on it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::{Global, counted, show_time};
use crate::matcher::story::{Told, relation_by_sign};
use crate::model::{Id, Item, Placement, Relation, Story, StoryDecision, StoryItem};
use crate::plain;
use crate::store::Store;
use crate::store::stories::NewPlacement;

/// Arguments of `newswatch story`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A story with all its items: first seen when and where, copies, updates, texts of their own, and why they are joined
    Show {
        /// Id of a story or item, or the address of an item
        id: String,
        /// At most so many items
        #[arg(short = 'n', long, default_value_t = 200)]
        limit: usize,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Stories with hits, the latest last
    List {
        /// Only with hits found since: a time (2026-11-21T08:00:00Z), a day, or a length of time ("2d")
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        since: String,
        /// At most so many, the latest
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take an item out of its story, with those that were found by it: it tells something else. Later copies of it go with it
    Split {
        /// Id of the item, or its address
        item: String,
        #[command(flatten)]
        word: Word,
    },
    /// Make the stories of two items one, for good
    Join {
        /// Id of an item, or its address
        item: String,
        /// Id of the other, or its address
        other: String,
        #[command(flatten)]
        word: Word,
    },
}

/// Who says it, and why.
#[derive(Debug, clap::Args)]
struct Word {
    /// Why, in your words
    #[arg(short = 'm', long = "note", value_name = "NOTE", default_value = "")]
    note: String,
    /// Who says so [default: $USER, else the login name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl Word {
    fn on(&self, item: Id, joined_with: Option<Id>) -> StoryDecision {
        StoryDecision {
            item,
            joined_with,
            author: super::verdict::author(self.author.as_deref()),
            at: super::now(),
            note: plain::line(&self.note, super::verdict::NOTE_CHARACTERS_MAX),
        }
    }
}

/// Shows, splits or joins.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    super::block_on(async {
        let store = super::open_store(&config).await?;
        let mut out = anstream::stdout().lock();
        match &arguments.command {
            Command::Show { id, limit, json } => {
                let Some(story) = find(&store, id, *limit).await? else {
                    bail!(
                        "no story or item is {}; `newswatch story list` and `newswatch hits` list the ids",
                        plain::line(id, 500)
                    );
                };
                if *json {
                    writeln!(out, "{}", as_json(&story))?;
                } else {
                    show(&mut out, &store, &story).await?;
                }
            }
            Command::List { since, limit, json } => list(&mut out, &store, since, *limit, *json).await?,
            Command::Split { item, word } => split(&mut out, &store, item, word).await?,
            Command::Join { item, other, word } => join(&mut out, &store, [item, other], word).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The story of this id, or that of the item that is named.
async fn find(store: &Store, name: &str, limit: usize) -> anyhow::Result<Option<Story>> {
    if let Ok(id) = name.parse::<Id>()
        && let Some(story) = store.story(id, limit).await?
    {
        return Ok(Some(story));
    }
    let items = super::find_items(store, name).await?;
    let Some(item) = items.first() else { return Ok(None) };
    let Some(story) = store.story_of(item.id).await? else { return Ok(None) };
    Ok(store.story(story, limit).await?)
}

/// The one item that is meant.
async fn one(store: &Store, name: &str) -> anyhow::Result<Item> {
    let mut items = super::find_items(store, name).await?;
    let shown = plain::line(name, 500);
    match items.len() {
        0 => bail!("no stored item is {shown}; `newswatch hits` lists the ids"),
        1 => Ok(items.remove(0)),
        count => {
            let lines: Vec<String> = items
                .iter()
                .map(|item| format!("  {}  {}: {}", item.id, item.source, plain::line(&item.title, 100)))
                .collect();
            bail!("{count} items have this address; name the one that is meant by its id:\n{}", lines.join("\n"))
        }
    }
}

async fn split(out: &mut impl Write, store: &Store, name: &str, word: &Word) -> anyhow::Result<()> {
    let item = one(store, name).await?;
    let decision = word.on(item.id, None);
    let note = if decision.note.is_empty() { String::new() } else { format!(": {}", decision.note) };
    let told = Told::new(&item);
    let new = NewPlacement {
        placement: Placement {
            item: item.id,
            // The store makes one.
            story: item.id,
            relation: Relation::First,
            reason: format!("taken out of another story by {}{note}", decision.author),
            with: item.id,
            by_hand: true,
        },
        before: item.id,
        marks: told.marks(),
        seen_at: item.first_seen_at,
    };
    match store.split_story(&new, &decision).await? {
        None => bail!("{} is alone in its story", item.id),
        Some((story, moved)) => writeln!(
            out,
            "{} of {} is a story of its own, {story}, with {}; later copies of it go there.",
            plain::line(&item.title, 200),
            item.source,
            counted(moved, "item")
        )?,
    }
    Ok(())
}

async fn join(out: &mut impl Write, store: &Store, names: [&str; 2], word: &Word) -> anyhow::Result<()> {
    let (one, two) = (one(store, names[0]).await?, one(store, names[1]).await?);
    let (earlier, later) =
        if (one.first_seen_at, one.id) <= (two.first_seen_at, two.id) { (one, two) } else { (two, one) };
    let relation = relation_by_sign(&Told::new(&earlier), &Told::new(&later));
    let decision = word.on(later.id, Some(earlier.id));
    let Some(story) = store.join_stories(earlier.id, later.id, relation, &decision).await? else {
        bail!("{} and {} are one story already", earlier.id, later.id);
    };
    let count = store.story(story, 1).await?.map_or(0, |story| story.count);
    writeln!(out, "One story, {story}, with {}; they stay joined.", counted(count.max(0) as usize, "item"))?;
    Ok(())
}

async fn list(out: &mut impl Write, store: &Store, since: &str, limit: usize, json: bool) -> anyhow::Result<()> {
    let since = super::parse_when("--since", since)?;
    for line in store.story_lines(since, limit).await? {
        let Some(story) = store.story(line.id, 1).await? else { continue };
        let Some(first) = story.items.first() else { continue };
        if json {
            let object = json!({
                "story": line.id, "last_found": line.found_at, "hits": line.hits, "items": line.items,
                "first_item": first.item.id, "first_source": first.item.source, "first_seen": first.item.first_seen_at,
                "title": first.item.title,
            });
            writeln!(out, "{object}")?;
            continue;
        }
        writeln!(
            out,
            "{}  {}  {:>3}, {:>3}  {} ({}, first seen {})",
            line.id,
            show_time(Some(line.found_at)),
            counted(line.items.max(0) as usize, "item"),
            counted(line.hits.max(0) as usize, "hit"),
            plain::line(&first.item.title, 120),
            first.item.source,
            show_time(Some(first.item.first_seen_at))
        )?;
    }
    Ok(())
}

async fn show(out: &mut impl Write, store: &Store, story: &Story) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    let Some(first) = story.items.first() else { return Ok(()) };
    writeln!(out, "{bold}{}{bold:#}", plain::line(&first.item.title, 300))?;
    writeln!(out, "story {}: {}", story.id, in_words(story))?;
    for told in &story.items {
        writeln!(out, "  {}", line(told))?;
        writeln!(out, "    {}", plain::line(&told.item.title, 200))?;
    }
    more(out, story)?;
    for line in decisions(store, story).await? {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// "5 items, first seen 2026-11-21 08:00:00Z at wire": when and where it was first seen, and whether that was backlog.
pub(super) fn in_words(story: &Story) -> String {
    let Some(first) = story.items.first() else { return "no item".to_string() };
    let backlog = if first.item.backlog { ", as backlog" } else { "" };
    format!(
        "{}, first seen {} at {}{backlog}",
        counted(story.count.max(0) as usize, "item"),
        show_time(Some(first.item.first_seen_at)),
        first.item.source
    )
}

/// An item of a story: what it is, where and when it was seen, and why it is there.
pub(super) fn line(told: &StoryItem) -> String {
    let reason = if told.reason.is_empty() { String::new() } else { format!(": {}", plain::line(&told.reason, 300)) };
    let publisher = if told.item.publisher.is_empty() {
        String::new()
    } else {
        format!(" ({})", plain::line(&told.item.publisher, 60))
    };
    format!(
        "{:<11} {} of {}{publisher}, {}{reason}",
        told.relation.as_str(),
        told.item.id,
        told.item.source,
        show_time(Some(told.item.first_seen_at))
    )
}

/// What is not shown of a story is at least counted.
pub(super) fn more(out: &mut impl Write, story: &Story) -> std::io::Result<()> {
    let hidden = story.count - story.items.len() as i64;
    if hidden > 0 {
        writeln!(out, "  and {}", counted(hidden as usize, "more item"))?;
    }
    Ok(())
}

/// What analysts said of the story's items, as people read it.
pub(super) async fn decisions(store: &Store, story: &Story) -> anyhow::Result<Vec<String>> {
    let items: Vec<Id> = story.items.iter().map(|told| told.item.id).collect();
    let decisions = store.story_decisions(&items).await?;
    let words = decisions.iter().map(|decision| {
        let what = match decision.joined_with {
            Some(other) => format!("{} joined with {other}", decision.item),
            None => format!("{} taken out of its story", decision.item),
        };
        let note =
            if decision.note.is_empty() { String::new() } else { format!(": {}", plain::line(&decision.note, 300)) };
        format!("{what} by {}, {}{note}", plain::line(&decision.author, 60), show_time(Some(decision.at)))
    });
    Ok(words.collect())
}

fn as_json(story: &Story) -> serde_json::Value {
    let items: Vec<serde_json::Value> = story
        .items
        .iter()
        .map(|told| {
            json!({
                "id": told.item.id, "relation": told.relation, "reason": told.reason, "source": told.item.source,
                "publisher": told.item.publisher, "title": told.item.title, "url": told.item.url,
                "first_seen": told.item.first_seen_at, "backlog": told.item.backlog, "language": told.item.language,
            })
        })
        .collect();
    json!({ "story": story.id, "count": story.count, "items": items })
}
