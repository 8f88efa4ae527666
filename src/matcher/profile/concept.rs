//! Concepts: a person, group, place or idea with all its names in all scripts. Whichever name occurs, the concept counts once
//! and gives the same weight. Concepts stand in a profile, or in an alias pack (`aliases.d/*.toml`) that many profiles share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::{Within, read_within};
use crate::config::section::{File, Place, Problems, Section, nearest};
use crate::matcher::phrase::Pattern;

/// More names are refused: no person reads them.
const NAMES_MAX: usize = 2_000;
/// More regular expressions are refused: each costs a look at the whole text.
const EXPRESSIONS_MAX: usize = 50;

/// A thing that is spoken of under several names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concept {
    /// Short name, as conditions refer to it.
    pub name: String,
    /// What it adds to the score when it occurs, once; 0 for a concept that only serves conditions.
    pub weight: f64,
    /// All its names.
    pub names: Vec<Name>,
    /// Concepts that are cases of this one: it occurs when one of them does.
    pub includes: Vec<String>,
}

/// One name of a concept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Name {
    /// As written; see [`Pattern`] for what is found. Or a regular expression.
    pub text: String,
    /// `text` is a regular expression, matched anywhere in the text with case ignored and plain hyphens and apostrophes; it says
    /// itself where words end (`\b`).
    pub is_expression: bool,
    /// The name alone says nothing ("the North", "APG"): it counts only where one of these concepts occurs.
    pub context: Option<Context>,
}

/// What a weak name needs beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Any of these concepts.
    pub with: Vec<String>,
    /// How near.
    pub within: Within,
}

/// The concepts of the alias packs.
#[derive(Debug, Default)]
pub struct Aliases {
    concepts: BTreeMap<String, (Concept, Place)>,
    /// Each name as it is searched for, the concept it belongs to, and where it stands.
    names: BTreeMap<Pattern, (String, Place)>,
}

impl Aliases {
    /// No packs.
    pub fn none() -> Aliases {
        Aliases::default()
    }

    /// Reads alias packs. Whatever is wrong is noted; the concepts that could be read are there.
    pub fn read(files: &[File], problems: &Problems) -> Aliases {
        let mut aliases = Aliases::default();
        for file in files {
            file.read(problems, |mut section| {
                for table in section.sections("concept") {
                    let place = table.place();
                    let Some(concept) = read_concept(table, &mut aliases.names, false) else { continue };
                    match aliases.concepts.get(&concept.name) {
                        Some((_, first)) => problems
                            .add(Some(place), format!("there is already a concept \"{}\", at {first}", concept.name)),
                        None => _ = aliases.concepts.insert(concept.name.clone(), (concept, place)),
                    }
                }
                section.finish();
            });
        }
        for (concept, place) in aliases.concepts.values() {
            for reference in references(concept) {
                if !aliases.concepts.contains_key(reference) {
                    problems.add(Some(place.clone()), unknown(reference, aliases.concepts.keys().map(String::as_str)));
                }
            }
        }
        aliases
    }

    /// The concept of this name.
    pub fn get(&self, name: &str) -> Option<&Concept> {
        self.concepts.get(name).map(|(concept, _)| concept)
    }

    /// The names of all concepts.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.concepts.keys().map(String::as_str)
    }
}

/// The concepts that a concept speaks of.
pub(super) fn references(concept: &Concept) -> impl Iterator<Item = &String> {
    concept.includes.iter().chain(concept.names.iter().filter_map(|name| name.context.as_ref()).flat_map(|c| &c.with))
}

/// The message for a concept that is not there.
pub(super) fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let advice = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => match known.collect::<Vec<_>>() {
            none if none.is_empty() => "there are no alias packs (aliases.d/*.toml) beside the profile".to_string(),
            known => format!("there are: {}", known.join(", ")),
        },
    };
    format!("there is no concept \"{name}\"; {advice}")
}

/// The concepts of a profile: what its own tables say, joined with the packs, and what these refer to. Whatever is wrong is
/// noted. `used` are the names that conditions and look-alikes refer to.
pub(super) fn read_concepts(
    tables: Vec<Section<'_>>,
    aliases: &Aliases,
    used: &[(String, Place)],
    problems: &mut Vec<(Place, String)>,
) -> Vec<Concept> {
    let mut own_names = BTreeMap::new();
    let mut concepts: Vec<Concept> = Vec::new();
    let mut wanted: Vec<(String, Place)> = Vec::new();
    for mut table in tables {
        let place = table.place();
        let from_packs = table.boolean("aliases").unwrap_or(true);
        let without = table.texts("without").unwrap_or_default();
        let has_own = ["names", "expressions", "weak", "includes"].iter().any(|key| table.has(key));
        let Some(mut concept) = read_concept(table, &mut own_names, true) else { continue };
        if concepts.iter().any(|known| known.name == concept.name) {
            problems.push((place, format!("the concept \"{}\" stands twice in this profile", concept.name)));
            continue;
        }
        let pack = if from_packs { aliases.get(&concept.name) } else { None };
        match pack {
            Some(pack) => {
                let known = |text: &String| pack.names.iter().any(|name| name.text == *text);
                for text in without.iter().filter(|text| !known(text)) {
                    problems.push((place.clone(), format!("`without`: {text:?} is no name of \"{}\"", concept.name)));
                }
                concept.names.extend(pack.names.iter().filter(|name| !without.contains(&name.text)).cloned());
                concept.includes.extend(pack.includes.iter().cloned());
            }
            None if !has_own => {
                problems.push((place.clone(), unknown(&concept.name, aliases.known().collect::<Vec<_>>().into_iter())));
            }
            None => {}
        }
        wanted.extend(references(&concept).map(|name| (name.clone(), place.clone())));
        concepts.push(concept);
    }
    for (pattern, (concept, place)) in &own_names {
        if let Some((other, first)) = aliases.names.get(pattern)
            && other != concept
        {
            let message =
                format!("this name belongs to the concept \"{other}\" already, at {first}; a name stands for one");
            problems.push((place.clone(), message));
        }
    }
    wanted.extend(used.iter().cloned());
    while let Some((name, place)) = wanted.pop() {
        if concepts.iter().any(|known| known.name == name) {
            continue;
        }
        match aliases.get(&name) {
            Some(pack) => {
                wanted.extend(references(pack).map(|name| (name.clone(), place.clone())));
                concepts.push(pack.clone());
            }
            None => {
                let known: Vec<&str> =
                    concepts.iter().map(|concept| concept.name.as_str()).chain(aliases.known()).collect();
                problems.push((place, unknown(&name, known.into_iter())));
            }
        }
    }
    concepts
}

fn read_concept(
    mut table: Section<'_>,
    names: &mut BTreeMap<Pattern, (String, Place)>,
    weighs: bool,
) -> Option<Concept> {
    let name = table.required_text("name");
    // For the reader of the file.
    table.text("title");
    let weight = if weighs { table.number("weight", 0.0..=1000.0) } else { None };
    let includes = table.texts("includes").unwrap_or_default();
    let owner = name.clone().unwrap_or_default();
    let mut all = read_names(&mut table, None, &owner, names);
    for mut weak in table.sections("weak") {
        let with = weak.texts("with").unwrap_or_default();
        let within = read_within(&mut weak).unwrap_or(Within::Item);
        if with.is_empty() {
            weak.problem("with", "weak names need `with`: the concepts that must stand beside them");
        }
        all.extend(read_names(&mut weak, Some(Context { with, within }), &owner, names));
        weak.finish();
    }
    if all.len() > NAMES_MAX {
        table.problem("names", format!("the concept has more than {NAMES_MAX} names"));
        all.clear();
    }
    if !weighs && all.is_empty() && includes.is_empty() && name.is_some() {
        table.problem("names", "the concept has no names, so it would never be found");
    }
    table.finish();
    Some(Concept { name: name?, weight: weight.unwrap_or(0.0), names: all, includes })
}

/// `names` and `expressions` of a table.
pub(super) fn read_names(
    table: &mut Section<'_>,
    context: Option<Context>,
    owner: &str,
    seen: &mut BTreeMap<Pattern, (String, Place)>,
) -> Vec<Name> {
    let mut names = Vec::new();
    for (index, text) in table.texts("names").unwrap_or_default().into_iter().enumerate() {
        let Some(pattern) = Pattern::new(&text) else {
            table.problem_in("names", index, format!("the name {text:?} holds no letter or digit to search for"));
            continue;
        };
        let place = table.place_in("names", index);
        match seen.get(&pattern) {
            Some((other, first)) if other == owner => {
                table.problem_in("names", index, format!("the name {text:?} stands here already, at {first}"));
            }
            Some((other, first)) => {
                let advice = "a name stands for one concept; use `includes` where one is a case of the other";
                table.problem_in(
                    "names",
                    index,
                    format!("the name {text:?} belongs to \"{other}\" already, at {first}; {advice}"),
                );
            }
            None => {
                seen.insert(pattern, (owner.to_string(), place));
                names.push(Name { text, is_expression: false, context: context.clone() });
            }
        }
    }
    let expressions = table.patterns("expressions");
    if expressions.len() > EXPRESSIONS_MAX {
        table.problem("expressions", format!("more than {EXPRESSIONS_MAX} regular expressions; names cost less"));
        return names;
    }
    for (index, expression) in expressions.iter().enumerate() {
        if expression.is_match("") {
            table.problem_in(
                "expressions",
                index,
                "this regular expression matches the empty text, that is everything",
            );
            continue;
        }
        names.push(Name { text: expression.as_str().to_string(), is_expression: true, context: context.clone() });
    }
    names
}
