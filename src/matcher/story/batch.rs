//! The items of one batch, placed one after the other: what the store knows, and what was placed before in the batch.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;

use super::{BY_LINK, Candidate, POPULAR, Told, WINDOW, candidates, place, relation_by_sign};
use crate::model::{Id, Item, Placement, Relation, StoryFacts};

/// An item that is to be placed.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The item.
    pub told: Told,
    /// What it can be found by.
    pub marks: Vec<i64>,
    /// Its story as stored: what its link alone says, unless it was placed before.
    pub story: Id,
}

impl Incoming {
    /// An item as stored, with its texts. One whose text makes the reading fail has none: it begins a story.
    pub fn new(item: &Item, story: Id) -> Incoming {
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| Told::new(item))).unwrap_or_else(|_| {
            tracing::error!("the text of item {} cannot be compared with others; please report it", item.id);
            Told::new(&Item {
                title: String::new(),
                summary: String::new(),
                content: String::new(),
                article: String::new(),
                ..item.clone()
            })
        });
        Incoming { marks: told.marks(), told, story }
    }
}

/// Places the items of a batch, in the order in which they were first seen.
#[derive(Debug, Default)]
pub struct Batch {
    marks: HashMap<i64, Vec<Id>>,
    placed: BTreeMap<Id, Placement>,
    /// What a link alone calls a story, and the story where its items are.
    links: BTreeMap<Id, Id>,
    /// Stories with an item that was placed in this batch, the first of them.
    stories: BTreeMap<Id, Id>,
}

impl Batch {
    /// The items whose texts have to be at hand to place these, beside their own.
    pub fn wanted(&self, incoming: &[Incoming], facts: &StoryFacts) -> BTreeSet<Id> {
        let mut wanted = BTreeSet::new();
        for own in incoming {
            wanted.extend(candidates(&self.rows(own, facts), own.told.item).1);
            wanted.extend(self.first_of(own, facts).and_then(|(_, first)| first));
        }
        wanted
    }

    /// Places an item. `texts` has what [`Batch::wanted`] named.
    pub fn place(&mut self, own: &Incoming, facts: &StoryFacts, texts: &BTreeMap<Id, Told>) -> Placement {
        let item = own.told.item;
        let placement = match facts.placements.get(&item) {
            Some(known) if known.by_hand || self.is_settled(known, facts) => known.clone(),
            // A hit of an older program, which placed nothing.
            None if facts.hits.contains(&item) => first(item, own.story),
            _ => self.find(own, facts, texts),
        };
        self.note(own, &placement);
        placement
    }

    /// The marks by which later items are to find this one. A copy has none, because the item that it copies is found; and what
    /// very many have already is not stored once more, so that looking for it stays cheap.
    pub fn marks_of(&self, own: &Incoming, placement: &Placement, facts: &StoryFacts) -> Vec<i64> {
        if placement.relation == Relation::Copy {
            return Vec::new();
        }
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for (mark, _) in self.rows(own, facts) {
            *counts.entry(mark).or_default() += 1;
        }
        let is_rare = |mark: &&i64| counts.get(mark).is_none_or(|count| *count <= POPULAR);
        own.marks.iter().filter(is_rare).copied().collect()
    }

    /// An item that people may know keeps its story, and so does one that others were found by: also when its words change.
    fn is_settled(&self, known: &Placement, facts: &StoryFacts) -> bool {
        let members = facts.stories.get(&known.story).map_or(0, |(count, _)| *count);
        facts.hits.contains(&known.item) || members > 1 || self.stories.contains_key(&known.story)
    }

    fn find(&self, own: &Incoming, facts: &StoryFacts, texts: &BTreeMap<Id, Told>) -> Placement {
        let item = own.told.item;
        if let Some((story, first)) = self.first_of(own, facts) {
            let other = first.and_then(|first| texts.get(&first));
            let relation = other.map_or(Relation::Copy, |other| relation_by_sign(other, &own.told));
            let with = first.unwrap_or(item);
            return Placement { item, story, relation, reason: BY_LINK.to_string(), with, by_hand: false };
        }
        let (popular, found) = candidates(&self.rows(own, facts), item);
        let candidate = |other: &Id| {
            let placement = self.placed.get(other).or_else(|| facts.placements.get(other))?;
            Some(Candidate { told: texts.get(other)?, story: placement.story, by_hand: placement.by_hand })
        };
        let found: Vec<Candidate<'_>> = found.iter().filter_map(candidate).collect();
        let joined = std::panic::catch_unwind(AssertUnwindSafe(|| place(&own.told, &found, &popular)));
        let joined = joined.unwrap_or_else(|_| {
            tracing::error!("item {item} cannot be compared with others; please report it");
            None
        });
        joined.map_or_else(
            || first(item, self.link(own, facts)),
            |joined| Placement {
                item,
                story: joined.story,
                relation: joined.relation,
                reason: joined.reason,
                with: joined.with,
                by_hand: false,
            },
        )
    }

    fn link(&self, own: &Incoming, facts: &StoryFacts) -> Id {
        self.links.get(&own.story).or_else(|| facts.links.get(&own.story)).copied().unwrap_or(own.story)
    }

    /// The story that the item's link leads to, when another item is in it, and the one that was first there.
    fn first_of(&self, own: &Incoming, facts: &StoryFacts) -> Option<(Id, Option<Id>)> {
        let story = self.link(own, facts);
        if let Some(first) = self.stories.get(&story) {
            return Some((story, Some(*first)));
        }
        let (count, first) = facts.stories.get(&story)?;
        let is_in_it = facts.placements.get(&own.told.item).is_some_and(|known| known.story == story);
        (*count > i64::from(is_in_it)).then_some((story, first.filter(|first| *first != own.told.item)))
    }

    fn rows(&self, own: &Incoming, facts: &StoryFacts) -> Vec<(i64, Id)> {
        let marks: BTreeSet<i64> = own.marks.iter().copied().collect();
        let stored = facts.marks.iter().filter(|(mark, _)| marks.contains(mark)).copied();
        let here =
            own.marks.iter().flat_map(|mark| self.marks.get(mark).into_iter().flatten().map(|item| (*mark, *item)));
        stored.chain(here).collect()
    }

    fn note(&mut self, own: &Incoming, placement: &Placement) {
        if placement.relation != Relation::Copy {
            for mark in &own.marks {
                let items = self.marks.entry(*mark).or_default();
                if items.len() < POPULAR {
                    items.push(placement.item);
                }
            }
        }
        self.links.insert(own.story, placement.story);
        self.stories.entry(placement.story).or_insert(placement.item);
        self.placed.insert(placement.item, placement.clone());
    }
}

fn first(item: Id, story: Id) -> Placement {
    Placement { item, story, relation: Relation::First, reason: String::new(), with: item, by_hand: false }
}

/// Stories in memory: for judging items without a store.
#[derive(Debug, Default)]
pub struct Shelf {
    batch: Batch,
    told: BTreeMap<Id, Told>,
    /// The items that others can be found by, the oldest first, with their marks.
    order: VecDeque<(Id, Vec<i64>)>,
}

impl Shelf {
    /// Texts that are kept: about 200 MB of usual ones.
    const TEXTS_MAX: usize = 20_000;

    /// Places an item; they come in the order in which they were first seen.
    pub fn add(&mut self, own: Incoming) -> Placement {
        self.forget(&own);
        let placement = self.batch.place(&own, &StoryFacts::default(), &self.told);
        if placement.relation != Relation::Copy {
            self.order.push_back((placement.item, own.marks));
            self.told.insert(placement.item, own.told);
        }
        placement
    }

    /// Items too old to tell a story with this one leave.
    fn forget(&mut self, own: &Incoming) {
        while let Some((item, marks)) = self.order.front() {
            let is_old = |told: &Told| own.told.seen_at.duration_since(told.seen_at) > WINDOW;
            if self.order.len() <= Self::TEXTS_MAX && !self.told.get(item).is_none_or(is_old) {
                return;
            }
            for mark in marks {
                if let Some(items) = self.batch.marks.get_mut(mark) {
                    items.retain(|other| other != item);
                    if items.is_empty() {
                        self.batch.marks.remove(mark);
                    }
                }
            }
            self.told.remove(item);
            self.batch.placed.remove(item);
            self.order.pop_front();
        }
    }
}
