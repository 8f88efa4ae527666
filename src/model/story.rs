//! Items that tell the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Id, Item, Timestamp};

/// How an item belongs to its story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Nobody told the story before it.
    #[default]
    First,
    /// It says the same as an earlier item of the story, or less.
    Copy,
    /// It says what an earlier item of the story says, and more.
    Update,
    /// It tells the same in words of its own; only its link or an analyst says so.
    Independent,
}

impl Relation {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::First => "first",
            Relation::Copy => "copy",
            Relation::Update => "update",
            Relation::Independent => "independent",
        }
    }

    /// From the stored form; anything unknown counts as a copy, which is listed and not told again.
    pub fn from_stored(text: &str) -> Relation {
        match text {
            "first" => Relation::First,
            "update" => Relation::Update,
            "independent" => Relation::Independent,
            _ => Relation::Copy,
        }
    }
}

/// An item as a part of its story.
#[derive(Clone, Debug, PartialEq)]
pub struct StoryItem {
    /// The item, without its long texts.
    pub item: Item,
    /// How it belongs to the story.
    pub relation: Relation,
    /// Why it was joined, in words: "the same link", "92 % of its text"; empty for the first.
    pub reason: String,
}

/// Where an item that matters to a profile was put, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The item.
    pub item: Id,
    /// Its story.
    pub story: Id,
    /// How it belongs to it.
    pub relation: Relation,
    /// Why, in words; empty for the first.
    pub reason: String,
    /// The item of the story that it was found by; itself for the first.
    pub with: Id,
    /// An analyst put it there: no rule moves it.
    pub by_hand: bool,
}

/// What the store knows of items that are about to be placed.
#[derive(Clone, Debug, Default)]
pub struct StoryFacts {
    /// Where they and those that share marks with them are.
    pub placements: BTreeMap<Id, Placement>,
    /// Which of them are hits already.
    pub hits: BTreeSet<Id>,
    /// What a link alone calls a story, and the story where its items are.
    pub links: BTreeMap<Id, Id>,
    /// Stories with how many placed items they have, and one of them that came first.
    pub stories: BTreeMap<Id, (i64, Option<Id>)>,
    /// Marks with the items that have them.
    pub marks: Vec<(i64, Id)>,
}

/// What an analyst said of stories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoryDecision {
    /// The item.
    pub item: Id,
    /// The item that it tells the same as; `None`: it does not tell the same as the others of its story.
    pub joined_with: Option<Id>,
    /// Who.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the author's words; may be empty.
    pub note: String,
}

/// What tells the same thing, the first seen first.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Its identity.
    pub id: Id,
    /// Its items, the oldest first; at most as many as were asked for.
    pub items: Vec<StoryItem>,
    /// How many there are in all.
    pub count: i64,
}
