//! What a profile says beyond "these words count": conditions (concepts that must stand together), look-alikes (contexts that
//! speak against a hit), and thresholds that differ for a source or a language.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::concept::{Name, read_names};
use crate::config::section::{Place, Section};

/// How near things must stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// Anywhere in title and text.
    Item,
    /// In the title.
    Title,
    /// In one sentence.
    Sentence,
    /// At most so many words from one another.
    Words(u32),
}

impl Within {
    /// As a sentence goes on: "in one sentence"; empty for the whole item.
    pub fn in_words(self) -> String {
        match self {
            Within::Item => String::new(),
            Within::Title => " in the title".to_string(),
            Within::Sentence => " in one sentence".to_string(),
            Within::Words(count) => format!(" within {count} words"),
        }
    }
}

/// Concepts that say more together than alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What it stands for, as explanations show it.
    pub name: String,
    /// All of these concepts.
    pub all: Vec<String>,
    /// And, unless empty, any of these.
    pub any: Vec<String>,
    /// And none of these.
    pub none: Vec<String>,
    /// How near. Counted from the first concept of `all`.
    pub within: Within,
    /// What it adds to the score when it is met.
    pub adds: f64,
    /// Without it nothing is a hit: the score stays below the threshold.
    pub required: bool,
}

impl Condition {
    /// What it asks for: "north-korea and observer-seat, any of plenary, fatf, without sport in one sentence".
    pub fn in_words(&self) -> String {
        let mut text = self.all.join(" and ");
        for (before, names) in [("any of ", &self.any), ("without ", &self.none)] {
            if !names.is_empty() {
                text += if text.is_empty() { "" } else { ", " };
                text += before;
                text += &names.join(", ");
            }
        }
        text + &self.within.in_words()
    }
}

/// A context that speaks against a hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookAlike {
    /// What it is, as explanations show it.
    pub name: String,
    /// Names that give it away.
    pub names: Vec<Name>,
    /// Or these concepts.
    pub concepts: Vec<String>,
    /// It does not count where one of these concepts occurs.
    pub unless: Vec<String>,
    /// What it takes from the score.
    pub subtracts: f64,
    /// Why it is here.
    pub reason: String,
    /// Who put it here.
    pub author: String,
    /// When, as written.
    pub date: String,
}

/// A threshold that differs for a source or a language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Items of this source; empty: of any.
    pub source: String,
    /// Items in this language ("ko"); empty: in any.
    pub language: String,
    /// What the threshold is multiplied by.
    pub threshold_factor: f64,
}

impl Setting {
    /// It is meant for items of this source in this language ("en-US" is "en").
    pub fn applies(&self, source: &str, language: &str) -> bool {
        let primary = |language: &str| language.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
        (self.source.is_empty() || self.source == source)
            && (self.language.is_empty() || primary(&self.language) == primary(language))
    }
}

/// The names that a rule uses, with where it stands.
pub(super) type Used = Vec<(String, Place)>;

pub(super) fn read_within(table: &mut Section<'_>) -> Option<Within> {
    if !table.has("within") {
        return None;
    }
    if table.is_number("within") {
        return table.integer("within", 1..=1_000).map(|count| Within::Words(count as u32));
    }
    match table.one_of("within", &["item", "title", "sentence"])? {
        "title" => Some(Within::Title),
        "sentence" => Some(Within::Sentence),
        _ => Some(Within::Item),
    }
}

pub(super) fn read_condition(mut table: Section<'_>, used: &mut Used) -> Option<Condition> {
    let name = table.required_text("name");
    let [all, any, none] = ["all", "any", "none"].map(|key| {
        let names = table.texts(key).unwrap_or_default();
        used.extend(names.iter().enumerate().map(|(index, name)| (name.clone(), table.place_in(key, index))));
        names
    });
    let within = read_within(&mut table).unwrap_or(Within::Item);
    let adds = table.number("adds", 0.0..=1000.0);
    let required = table.boolean("required").unwrap_or(false);
    if all.is_empty() && any.is_empty() {
        table.problem("name", "the condition names no concepts: give `all` or `any`");
    }
    if let Some(both) = all.iter().find(|name| none.contains(name)) {
        table
            .problem("none", format!("the condition can never be met: \"{both}\" stands under `all` and under `none`"));
    }
    if !any.is_empty() && any.iter().all(|name| none.contains(name)) {
        table.problem("none", "the condition can never be met: everything under `any` stands under `none`");
    }
    if adds.is_none() && !required {
        table.problem("name", "the condition has no effect: give `adds`, or `required = true`");
    }
    if !matches!(within, Within::Item | Within::Title) && all.len() + usize::from(!any.is_empty()) < 2 {
        table.problem(
            "within",
            "`within` compares places of two concepts: name two under `all`, or one and some under `any`",
        );
    }
    table.finish();
    Some(Condition { name: name?, all, any, none, within, adds: adds.unwrap_or(0.0), required })
}

pub(super) fn read_look_alike(mut table: Section<'_>, used: &mut Used) -> Option<LookAlike> {
    let name = table.required_text("name");
    let subtracts = if table.has("subtracts") { table.number("subtracts", 0.0..=1000.0) } else { Some(0.5) };
    let reason = table.required_text("reason");
    let author = table.text("author").unwrap_or_default();
    let date = table.text("date").unwrap_or_default();
    let [concepts, unless] = ["concepts", "unless"].map(|key| {
        let names = table.texts(key).unwrap_or_default();
        used.extend(names.iter().enumerate().map(|(index, name)| (name.clone(), table.place_in(key, index))));
        names
    });
    let names = read_names(&mut table, None, name.as_deref().unwrap_or_default(), &mut BTreeMap::new());
    if names.is_empty() && concepts.is_empty() {
        table.problem("name", "the look-alike has neither `names` nor `concepts`, so it would never be noticed");
    }
    table.finish();
    Some(LookAlike { name: name?, names, concepts, unless, subtracts: subtracts?, reason: reason?, author, date })
}

pub(super) fn read_setting(mut table: Section<'_>) -> Option<Setting> {
    let source = table.text("source").unwrap_or_default();
    let language = table.text("language").unwrap_or_default();
    if source.is_empty() && language.is_empty() {
        table.problem("threshold_factor", "say whom it is meant for: give `source`, `language` or both");
    }
    if !table.has("threshold_factor") {
        table.problem("threshold_factor", "give `threshold_factor`: 1.25 asks for more, 0.8 for less");
    }
    let factor = table.number("threshold_factor", 0.01..=100.0);
    // For the reader of the file.
    table.text("reason");
    table.finish();
    Some(Setting { source, language, threshold_factor: factor? })
}
