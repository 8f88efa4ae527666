//! A profile's concepts, conditions and look-alikes, applied to the names that occurred in a text.

use std::collections::BTreeMap;

use super::places::{Place, Places};
use crate::matcher::profile::{Concept, Name, Profile, Within};

/// Whose name a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A phrase of the profile.
    Phrase(u32),
    /// A name of a concept: both numbers.
    Concept(u32, u32),
    /// A name of a look-alike: both numbers.
    LookAlike(u32, u32),
}

/// A name that occurred.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// How often.
    pub(super) count: u32,
    /// The first places.
    pub(super) places: Vec<Place>,
}

/// What the rules make of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// What counted, in the order of the profile, with what it gives.
    pub(super) parts: Vec<(f64, Part)>,
    /// Required conditions that are not met, by number.
    pub(super) unmet: Vec<u32>,
    /// Concepts that occurred, by number.
    pub(super) present: Vec<bool>,
}

/// Something that counted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Number of the phrase and of what was found.
    Phrase {
        /// In the profile.
        phrase: u32,
        /// In what was found.
        found: usize,
    },
    /// A concept by one or more of its names.
    Concept {
        /// In the profile.
        concept: u32,
        /// What was found: the first of its names, or of the concepts that it includes.
        found: usize,
        /// How often all of them occurred.
        count: u32,
    },
    /// A condition that is met.
    Condition {
        /// In the profile.
        condition: u32,
    },
    /// A look-alike that was noticed.
    LookAlike {
        /// In the profile.
        look_alike: u32,
        /// What was found.
        found: usize,
    },
}

/// The rules of one profile with their references resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// By concept: itself and all concepts that are cases of it.
    members: Vec<Vec<usize>>,
    weights: Vec<f64>,
    /// By concept and name: what a weak name needs beside it.
    contexts: Vec<Vec<Option<Beside>>>,
    phrase_weights: Vec<f64>,
    conditions: Vec<Condition>,
    look_alikes: Vec<LookAlike>,
}

/// What a weak name needs beside it: any of these concepts, how near.
type Beside = (Vec<usize>, Within);

#[derive(Clone, Debug)]
struct Condition {
    all: Vec<usize>,
    any: Vec<usize>,
    none: Vec<usize>,
    within: Within,
    adds: f64,
    required: bool,
}

#[derive(Clone, Debug)]
struct LookAlike {
    concepts: Vec<usize>,
    unless: Vec<usize>,
    subtracts: f64,
}

/// Every name of a profile with whose name it is.
pub(super) fn names(profile: &Profile) -> impl Iterator<Item = (Target, &str, bool)> {
    let phrases = profile.phrases.iter().enumerate();
    let phrases = phrases.map(|(n, phrase)| (Target::Phrase(n as u32), phrase.text.as_str(), false));
    fn numbered(names: &[Name]) -> impl Iterator<Item = (u32, &str, bool)> {
        names.iter().enumerate().map(|(n, name)| (n as u32, name.text.as_str(), name.is_expression))
    }
    let concepts = profile.concepts.iter().enumerate().flat_map(|(c, concept)| {
        numbered(&concept.names).map(move |(n, text, expression)| (Target::Concept(c as u32, n), text, expression))
    });
    let look_alikes = profile.look_alikes.iter().enumerate().flat_map(|(l, look_alike)| {
        numbered(&look_alike.names).map(move |(n, text, expression)| (Target::LookAlike(l as u32, n), text, expression))
    });
    phrases.chain(concepts).chain(look_alikes)
}

impl Rules {
    /// The rules of a profile. A reference that leads nowhere (the profile's reader refuses such) counts as absent.
    pub(super) fn of(profile: &Profile) -> Rules {
        let number: BTreeMap<&str, usize> =
            profile.concepts.iter().enumerate().map(|(n, concept)| (concept.name.as_str(), n)).collect();
        let numbers =
            |names: &[String]| names.iter().filter_map(|name| number.get(name.as_str()).copied()).collect::<Vec<_>>();
        let members = (0..profile.concepts.len()).map(|n| closure(n, &profile.concepts, &number)).collect();
        let contexts = profile.concepts.iter().map(|concept| {
            let context = |name: &Name| name.context.as_ref().map(|context| (numbers(&context.with), context.within));
            concept.names.iter().map(context).collect()
        });
        Rules {
            members,
            weights: profile.concepts.iter().map(|concept| concept.weight).collect(),
            contexts: contexts.collect(),
            phrase_weights: profile.phrases.iter().map(|phrase| phrase.weight).collect(),
            conditions: profile
                .conditions
                .iter()
                .map(|condition| Condition {
                    all: numbers(&condition.all),
                    any: numbers(&condition.any),
                    none: numbers(&condition.none),
                    within: condition.within,
                    adds: condition.adds,
                    required: condition.required,
                })
                .collect(),
            look_alikes: profile
                .look_alikes
                .iter()
                .map(|look_alike| LookAlike {
                    concepts: numbers(&look_alike.concepts),
                    unless: numbers(&look_alike.unless),
                    subtracts: look_alike.subtracts,
                })
                .collect(),
        }
    }

    /// Some condition must be met for a hit.
    pub(super) fn requires(&self) -> bool {
        self.conditions.iter().any(|condition| condition.required)
    }

    /// Applies the rules. `names`: which names occurred, and where in `found` they are; `places` makes sentences and words.
    pub(super) fn apply<'p>(
        &self,
        names: &[(Target, usize)],
        found: &[Found],
        places: &mut dyn FnMut() -> &'p Places,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let occurring = self.occurring(names, found, places);
        outcome.present = occurring.iter().map(|list| !list.is_empty()).collect();
        for (target, at) in names {
            if let Target::Phrase(phrase) = target {
                outcome
                    .parts
                    .push((self.phrase_weights[*phrase as usize], Part::Phrase { phrase: *phrase, found: *at }));
            }
        }
        for (concept, list) in occurring.iter().enumerate() {
            if let Some(first) = list.first().filter(|_| self.weights[concept] > 0.0) {
                let count = list.iter().map(|at| found[*at].count).sum();
                outcome
                    .parts
                    .push((self.weights[concept], Part::Concept { concept: concept as u32, found: *first, count }));
            }
        }
        for (number, condition) in self.conditions.iter().enumerate() {
            if condition.is_met(&occurring, found, places) {
                if condition.adds > 0.0 {
                    outcome.parts.push((condition.adds, Part::Condition { condition: number as u32 }));
                }
            } else if condition.required {
                outcome.unmet.push(number as u32);
            }
        }
        for (number, look_alike) in self.look_alikes.iter().enumerate() {
            if look_alike.unless.iter().any(|concept| outcome.present[*concept]) {
                continue;
            }
            let own =
                names.iter().find(|(target, _)| matches!(target, Target::LookAlike(n, _) if *n as usize == number));
            let at = own
                .map(|(_, at)| *at)
                .or_else(|| look_alike.concepts.iter().find_map(|c| occurring[*c].first().copied()));
            if let Some(at) = at {
                outcome.parts.push((-look_alike.subtracts, Part::LookAlike { look_alike: number as u32, found: at }));
            }
        }
        outcome
    }

    /// By concept: which of its names (and of the concepts it includes) occurred so that they count. A weak name counts when a
    /// concept of its context does, and may itself be the context of others: this goes on until nothing changes.
    fn occurring<'p>(
        &self,
        names: &[(Target, usize)],
        found: &[Found],
        places: &mut dyn FnMut() -> &'p Places,
    ) -> Vec<Vec<usize>> {
        let mut own: Vec<Vec<usize>> = vec![Vec::new(); self.members.len()];
        let mut weak = Vec::new();
        for (target, at) in names {
            let Target::Concept(concept, name) = target else { continue };
            match &self.contexts[*concept as usize][*name as usize] {
                None => own[*concept as usize].push(*at),
                Some(context) => weak.push((*concept as usize, *at, context)),
            }
        }
        loop {
            let all = self.with_members(&own);
            let before = weak.len();
            weak.retain(|(concept, at, (with, within))| {
                let beside = with.iter().flat_map(|concept| &all[*concept]);
                let mut near = |other: &usize| match within {
                    Within::Item => true,
                    within => any_near(&found[*at], &found[*other], *within, places),
                };
                let counts = beside.into_iter().any(&mut near);
                if counts {
                    own[*concept].push(*at);
                }
                !counts
            });
            if weak.is_empty() || weak.len() == before {
                break;
            }
        }
        self.with_members(&own)
    }

    fn with_members(&self, own: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let all = |members: &Vec<usize>| {
            let mut list: Vec<usize> = members.iter().flat_map(|member| own[*member].iter().copied()).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        self.members.iter().map(all).collect()
    }
}

impl Condition {
    fn is_met<'p>(&self, occurring: &[Vec<usize>], found: &[Found], places: &mut dyn FnMut() -> &'p Places) -> bool {
        let present = |concept: &usize| !occurring[*concept].is_empty();
        let here = self.all.iter().all(present)
            && (self.any.is_empty() || self.any.iter().any(present))
            && !self.none.iter().any(present)
            // A reference that led nowhere must not make a condition that everything meets.
            && !(self.all.is_empty() && self.any.is_empty());
        if !here || self.within == Within::Item {
            return here;
        }
        let places_of = |concept: &usize| occurring[*concept].iter().flat_map(|at| &found[*at].places);
        let mut groups: Vec<Vec<&Place>> = self.all.iter().map(|concept| places_of(concept).collect()).collect();
        if !self.any.is_empty() {
            groups.push(self.any.iter().flat_map(places_of).collect());
        }
        let Some((first, others)) = groups.split_first() else { return false };
        first.iter().any(|place| {
            let mut near = |other: &&Place| is_near(place, other, self.within, places);
            is_near_itself(place, self.within) && others.iter().all(|group| group.iter().any(&mut near))
        })
    }
}

fn any_near<'p>(a: &Found, b: &Found, within: Within, places: &mut dyn FnMut() -> &'p Places) -> bool {
    a.places.iter().any(|one| b.places.iter().any(|other| is_near(one, other, within, places)))
}

fn is_near_itself(place: &Place, within: Within) -> bool {
    within != Within::Title || place.in_title
}

fn is_near<'p>(a: &Place, b: &Place, within: Within, places: &mut dyn FnMut() -> &'p Places) -> bool {
    match within {
        Within::Item => true,
        Within::Title => a.in_title && b.in_title,
        Within::Sentence => places().sentence(a) == places().sentence(b),
        Within::Words(most) => places().distance(a, b) <= most,
    }
}

/// A concept and all that are cases of it, over any number of steps.
fn closure(start: usize, concepts: &[Concept], number: &BTreeMap<&str, usize>) -> Vec<usize> {
    let mut members = vec![start];
    let mut next = 0;
    while let Some(member) = members.get(next).copied() {
        for name in &concepts[member].includes {
            if let Some(other) = number.get(name.as_str())
                && !members.contains(other)
            {
                members.push(*other);
            }
        }
        next += 1;
    }
    members
}
