//! What `newswatch search` looks for, written as profiles write it: names as phrases (`sanction*`, `"observer seat"`, `=exact`), concepts
//! (`concept:north-korea`), `title:`, things near one another (`NEAR/10`, `NEAR/sentence`), and `OR`, `NOT`, parentheses.
//!
//! A query becomes a profile of its own, each thing it names a concept and each nearness a condition, and the matcher's scorer says what
//! of it an item holds: so a query finds what the same words in a profile would find. An index only proposes [`Candidates`].

use std::collections::BTreeSet;

use super::frequency::Frequencies;
use super::index::Candidates;
use super::language::Language;
use super::phrase::Pattern;
use super::profile::{Aliases, Concept, Condition, Level, Name, Profile, Within};
use super::score::{Explain, Scorer};
use super::text::Tokenizer;
use crate::config::section::nearest;
use crate::model::{Item, Reason, ReasonKind};

/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 4_000;
/// Names, phrases and concepts of a query.
const LEAVES_MAX: usize = 64;
/// Parentheses within one another.
const DEPTH_MAX: usize = 16;
/// How near NEAR alone is, in words.
const NEAR_WORDS: u32 = 10;

/// The query cannot be understood; the text says what is wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

/// A query that was understood.
#[derive(Debug)]
pub struct Query {
    candidates: Candidates,
    tree: Tree,
    scorer: Scorer,
    tokenizer: Tokenizer,
    notes: Vec<String>,
}

/// What must hold, by the names of the query's own concepts and conditions.
#[derive(Debug)]
enum Tree {
    Holds(String),
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
}

/// Something with one or more names: found wherever one of them is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    names: Vec<String>,
    concepts: Vec<String>,
}

/// A query as written.
#[derive(Clone, Debug, PartialEq)]
enum Written {
    Thing(Thing),
    InTitle(Thing),
    Near(Vec<Thing>, Within),
    All(Vec<Written>),
    Any(Vec<Written>),
    Not(Box<Written>),
}

impl Query {
    /// Reads a query. Concepts are those of the alias packs and of the profiles.
    pub fn read(text: &str, aliases: &Aliases, profiles: &[Profile]) -> Result<Query, NotUnderstood> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(NotUnderstood(format!("the query is longer than {QUERY_BYTES_MAX} bytes")));
        }
        let words = lex(text)?;
        let mut parser = Parser { words: &words, at: 0, leaves: 0, depth: 0 };
        let written = parser.any()?;
        if let Some(rest) = parser.words.get(parser.at) {
            return Err(NotUnderstood(format!("{} stands where the query should end", rest.shown())));
        }
        Query::build(&written, aliases, profiles)
    }

    fn build(written: &Written, aliases: &Aliases, profiles: &[Profile]) -> Result<Query, NotUnderstood> {
        let mut builder =
            Builder { aliases, profiles, concepts: Vec::new(), own: 0, conditions: Vec::new(), notes: Vec::new() };
        let (tree, candidates) = builder.tree(written)?;
        let Some(candidates) = candidates else {
            return Err(NotUnderstood(
                "the query only says what must not be there; name something to look for".to_string(),
            ));
        };
        let Builder { concepts, conditions, notes, .. } = builder;
        let profile = Profile {
            name: "search".to_string(),
            title: String::new(),
            language: Language::default(),
            version: 1,
            level: Level::Normal,
            threshold: 1.0,
            follows_noise: false,
            average_length: 1.0,
            seeds: Vec::new(),
            terms: Vec::new(),
            phrases: Vec::new(),
            concepts,
            conditions,
            look_alikes: Vec::new(),
            settings: Vec::new(),
            shadow_of: None,
        };
        let scorer = Scorer::new(&[profile], &Frequencies::new()).map_err(|error| NotUnderstood(error.to_string()))?;
        Ok(Query { candidates, tree, scorer, tokenizer: Tokenizer::new(), notes })
    }

    /// What an index has to be asked for: it gives all that [`Query::found`] finds, and more.
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// What the operator should know about the query itself.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What of the query an item holds, with the places; `None` when it is not what is looked for.
    pub fn found(&mut self, item: &Item) -> Option<Vec<Reason>> {
        let body = item.body();
        let document = self.tokenizer.read(&item.title, &body);
        let score = self.scorer.score(&document, Explain::Everything).pop()?;
        let held: BTreeSet<&str> = score.reasons.iter().map(|reason| reason.term.as_str()).collect();
        if !self.tree.holds(&held) {
            return None;
        }
        // What a concept of a pack was found by is said, not the number that it has here.
        let named = |mut reason: Reason| {
            reason.term.clone_from(&reason.note);
            reason
        };
        let reasons = score.reasons.into_iter().filter(|reason| reason.kind == ReasonKind::Concept);
        Some(reasons.map(named).collect())
    }
}

impl Tree {
    fn holds(&self, held: &BTreeSet<&str>) -> bool {
        match self {
            Tree::Holds(name) => held.contains(name.as_str()),
            Tree::All(parts) => parts.iter().all(|part| part.holds(held)),
            Tree::Any(parts) => parts.iter().any(|part| part.holds(held)),
            Tree::Not(part) => !part.holds(held),
        }
    }
}

struct Builder<'a> {
    aliases: &'a Aliases,
    profiles: &'a [Profile],
    concepts: Vec<Concept>,
    /// Concepts and conditions of the query's own.
    own: usize,
    conditions: Vec<Condition>,
    notes: Vec<String>,
}

impl Builder<'_> {
    fn tree(&mut self, written: &Written) -> Result<(Tree, Option<Candidates>), NotUnderstood> {
        Ok(match written {
            Written::Thing(thing) => {
                let (name, candidates) = self.thing(thing, false)?;
                (Tree::Holds(name), Some(candidates))
            }
            Written::InTitle(thing) => {
                let (name, candidates) = self.thing(thing, true)?;
                (Tree::Holds(self.condition(vec![name], Within::Title)), Some(candidates))
            }
            Written::Near(things, within) => {
                let mut names = Vec::new();
                let mut all = Vec::new();
                for thing in things {
                    let (name, candidates) = self.thing(thing, false)?;
                    names.push(name);
                    all.push(candidates);
                }
                let candidates = match within {
                    Within::Words(words) => Candidates::Near(all, *words),
                    _ => Candidates::All(all),
                };
                (Tree::Holds(self.condition(names, *within)), Some(candidates))
            }
            Written::All(parts) => {
                let (trees, candidates) = self.trees(parts)?;
                let candidates: Vec<Candidates> = candidates.into_iter().flatten().collect();
                (Tree::All(trees), (!candidates.is_empty()).then_some(Candidates::All(candidates)))
            }
            Written::Any(parts) => {
                let (trees, candidates) = self.trees(parts)?;
                // Where one part alone would be met by what is not there, no index helps.
                (Tree::Any(trees), candidates.into_iter().collect::<Option<Vec<Candidates>>>().map(Candidates::Any))
            }
            Written::Not(part) => (Tree::Not(Box::new(self.tree(part)?.0)), None),
        })
    }

    fn trees(&mut self, parts: &[Written]) -> Result<(Vec<Tree>, Vec<Option<Candidates>>), NotUnderstood> {
        let mut trees = Vec::new();
        let mut candidates = Vec::new();
        for part in parts {
            let (tree, found) = self.tree(part)?;
            trees.push(tree);
            candidates.push(found);
        }
        Ok((trees, candidates))
    }

    /// A condition over concepts of the query.
    fn condition(&mut self, all: Vec<String>, within: Within) -> String {
        let name = self.own_name();
        let condition = Condition {
            name: name.clone(),
            all,
            any: Vec::new(),
            none: Vec::new(),
            within,
            adds: 1.0,
            required: false,
        };
        self.conditions.push(condition);
        name
    }

    /// No concept of a pack has a sign in its name.
    fn own_name(&mut self) -> String {
        self.own += 1;
        format!("#{}", self.own)
    }

    /// A concept of the query, and where its names may be found.
    fn thing(&mut self, thing: &Thing, in_title: bool) -> Result<(String, Candidates), NotUnderstood> {
        let name = self.own_name();
        let mut candidates = Vec::new();
        let mut names = Vec::new();
        for text in &thing.names {
            let found = Pattern::new(text).and_then(|pattern| Candidates::of(&pattern, in_title));
            let Some(found) = found else {
                return Err(NotUnderstood(format!("{text:?} holds no letter or digit to search for")));
            };
            candidates.push(found);
            names.push(Name { text: text.clone(), is_expression: false, context: None });
        }
        for concept in &thing.concepts {
            self.concept(concept, in_title, &mut candidates)?;
        }
        let includes = thing.concepts.clone();
        self.concepts.push(Concept { name: name.clone(), weight: 1.0, names, includes });
        if candidates.is_empty() {
            let concepts = thing.concepts.join(", ");
            return Err(NotUnderstood(format!(
                "the concept {concepts} has no names, only expressions: search cannot look for those"
            )));
        }
        Ok((name, Candidates::Any(candidates)))
    }

    /// Takes over a concept and all that it speaks of; the names of those that are cases of it are candidates.
    fn concept(&mut self, name: &str, in_title: bool, candidates: &mut Vec<Candidates>) -> Result<(), NotUnderstood> {
        let mut cases = vec![name.to_string()];
        let mut next = 0;
        while let Some(case) = cases.get(next).cloned() {
            next += 1;
            let concept = self.take(&case)?;
            for name in &concept.names {
                if name.is_expression {
                    let note = format!(
                        "the regular expressions of the concept {case} are not looked for, only its names: an index holds words"
                    );
                    if !self.notes.contains(&note) {
                        self.notes.push(note);
                    }
                    continue;
                }
                candidates.extend(Pattern::new(&name.text).and_then(|pattern| Candidates::of(&pattern, in_title)));
            }
            // What weak names need beside them is no candidate, but must be known.
            let contexts = concept.names.iter().filter_map(|name| name.context.as_ref());
            let mut beside: Vec<String> = contexts.flat_map(|context| context.with.clone()).collect();
            while let Some(other) = beside.pop() {
                if self.concepts.iter().any(|known| known.name == other) {
                    continue;
                }
                let other = self.take(&other)?;
                beside.extend(other.includes.iter().cloned());
                beside.extend(other.names.iter().filter_map(|name| name.context.as_ref()).flat_map(|c| c.with.clone()));
            }
            for case in concept.includes {
                if !cases.contains(&case) {
                    cases.push(case);
                }
            }
        }
        Ok(())
    }

    /// A concept of the packs or of a profile, made part of the query.
    fn take(&mut self, name: &str) -> Result<Concept, NotUnderstood> {
        if let Some(known) = self.concepts.iter().find(|known| known.name == name) {
            return Ok(known.clone());
        }
        let of_profiles = || self.profiles.iter().flat_map(|profile| &profile.concepts);
        let found = self.aliases.get(name).or_else(|| of_profiles().find(|concept| concept.name == name));
        let Some(found) = found else {
            let known = || self.aliases.known().chain(of_profiles().map(|concept| concept.name.as_str()));
            let advice = match nearest(name, known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => {
                    let names: BTreeSet<&str> = known().collect();
                    format!("there are: {}", names.into_iter().collect::<Vec<_>>().join(", "))
                }
            };
            return Err(NotUnderstood(format!("there is no concept \"{name}\"; {advice}")));
        };
        let found = Concept { weight: 0.0, ..found.clone() };
        self.concepts.push(found.clone());
        Ok(found)
    }
}

/// A piece of a query.
#[derive(Clone, Debug, PartialEq)]
enum Word {
    Open,
    Close,
    Or,
    And,
    Not,
    Near(Within),
    Title,
    Concept(String),
    Name(String),
}

impl Word {
    fn shown(&self) -> String {
        match self {
            Word::Open => "\"(\"".to_string(),
            Word::Close => "\")\"".to_string(),
            Word::Or => "OR".to_string(),
            Word::And => "AND".to_string(),
            Word::Not => "NOT".to_string(),
            Word::Near(_) => "NEAR".to_string(),
            Word::Title => "title:".to_string(),
            Word::Concept(name) => format!("concept:{name}"),
            Word::Name(name) => format!("{name:?}"),
        }
    }
}

fn lex(text: &str) -> Result<Vec<Word>, NotUnderstood> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    let is_quote = |c: char| matches!(c, '"' | '“' | '”' | '„');
    while let Some(first) = rest.chars().next() {
        if first == '(' || first == ')' {
            words.push(if first == '(' { Word::Open } else { Word::Close });
            rest = rest[1..].trim_start();
            continue;
        }
        if first == '-' && rest[1..].starts_with(|c: char| !c.is_whitespace()) {
            words.push(Word::Not);
            rest = &rest[1..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("title:") {
            words.push(Word::Title);
            rest = after.trim_start();
            continue;
        }
        // "=" before the quotes belongs to the phrase, as in a profile.
        let exact = if rest.starts_with('=') { "=" } else { "" };
        let after = &rest[exact.len()..];
        if let Some(inside) = after.strip_prefix(is_quote) {
            let Some(end) = inside.find(is_quote) else {
                return Err(NotUnderstood("a quotation mark has no second one that ends the phrase".to_string()));
            };
            words.push(Word::Name(format!("{exact}{}", &inside[..end])));
            rest = inside[end..].trim_start_matches(is_quote).trim_start();
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')') || is_quote(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(match word {
            "OR" | "|" => Word::Or,
            "AND" => Word::And,
            "NOT" => Word::Not,
            "NEAR" => Word::Near(Within::Words(NEAR_WORDS)),
            _ => match (word.strip_prefix("NEAR/"), word.strip_prefix("concept:")) {
                (Some(how), _) => Word::Near(within(how)?),
                (None, Some(name)) => Word::Concept(name.to_string()),
                (None, None) => Word::Name(word.to_string()),
            },
        });
        rest = after.trim_start();
    }
    Ok(words)
}

fn within(how: &str) -> Result<Within, NotUnderstood> {
    match how {
        "sentence" => Ok(Within::Sentence),
        "title" => Ok(Within::Title),
        _ => match how.parse::<u32>() {
            Ok(count @ 1..=1_000) => Ok(Within::Words(count)),
            _ => Err(NotUnderstood(format!(
                "NEAR/{how}: write how many words apart (NEAR/10, 1 to 1000), NEAR/sentence or NEAR/title"
            ))),
        },
    }
}

struct Parser<'w> {
    words: &'w [Word],
    at: usize,
    leaves: usize,
    depth: usize,
}

impl Parser<'_> {
    fn next_is(&mut self, word: &Word) -> bool {
        let is = self.words.get(self.at) == Some(word);
        self.at += usize::from(is);
        is
    }

    fn any(&mut self) -> Result<Written, NotUnderstood> {
        let mut parts = vec![self.all()?];
        while self.next_is(&Word::Or) {
            parts.push(self.all()?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            // Names of one thing: it can stand near others.
            _ => match joined(&parts) {
                Some(thing) => Written::Thing(thing),
                None => Written::Any(parts),
            },
        })
    }

    fn all(&mut self) -> Result<Written, NotUnderstood> {
        let mut parts = vec![self.near()?];
        loop {
            self.next_is(&Word::And);
            match self.words.get(self.at) {
                None | Some(Word::Or | Word::Close) => break,
                Some(_) => parts.push(self.near()?),
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Written::All(parts) })
    }

    fn near(&mut self) -> Result<Written, NotUnderstood> {
        let first = self.one()?;
        let Some(Word::Near(within)) = self.words.get(self.at).cloned() else { return Ok(first) };
        let mut things = vec![thing(first, "NEAR")?];
        while let Some(Word::Near(other)) = self.words.get(self.at) {
            if *other != within {
                return Err(NotUnderstood("NEAR after NEAR must be as near; write them apart with AND".to_string()));
            }
            self.at += 1;
            things.push(thing(self.one()?, "NEAR")?);
        }
        Ok(Written::Near(things, within))
    }

    fn one(&mut self) -> Result<Written, NotUnderstood> {
        let Some(word) = self.words.get(self.at) else {
            return Err(NotUnderstood("the query ends where a word, a phrase or a concept should stand".to_string()));
        };
        self.at += 1;
        self.leaves += 1;
        if self.leaves > LEAVES_MAX || self.depth > DEPTH_MAX {
            return Err(NotUnderstood(format!(
                "the query names more than {LEAVES_MAX} things, or nests more than {DEPTH_MAX} deep"
            )));
        }
        self.depth += 1;
        let written = match word {
            Word::Name(name) => Written::Thing(Thing { names: vec![name.clone()], concepts: Vec::new() }),
            Word::Concept(name) => Written::Thing(Thing { names: Vec::new(), concepts: vec![name.clone()] }),
            Word::Title => Written::InTitle(thing(self.one()?, "title:")?),
            Word::Not => Written::Not(Box::new(self.one()?)),
            Word::Open => {
                let inside = self.any()?;
                if !self.next_is(&Word::Close) {
                    return Err(NotUnderstood("a parenthesis is not closed".to_string()));
                }
                inside
            }
            other => {
                return Err(NotUnderstood(format!(
                    "{} stands where a word, a phrase or a concept should stand",
                    other.shown()
                )));
            }
        };
        self.depth -= 1;
        Ok(written)
    }
}

fn thing(written: Written, before: &str) -> Result<Thing, NotUnderstood> {
    match written {
        Written::Thing(thing) => Ok(thing),
        _ => {
            Err(NotUnderstood(format!("{before} goes with words, phrases, concepts, and an OR of them in parentheses")))
        }
    }
}

fn joined(parts: &[Written]) -> Option<Thing> {
    let mut all = Thing::default();
    for part in parts {
        let Written::Thing(thing) = part else { return None };
        all.names.extend(thing.names.iter().cloned());
        all.concepts.extend(thing.concepts.iter().cloned());
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::config::section::{File, Problems};
    use crate::model::{ArticleState, Id};

    fn item(title: &str, body: &str) -> Item {
        Item {
            id: Id(1),
            source: "wire".into(),
            key: "1".into(),
            url: None,
            title: title.into(),
            summary: body.into(),
            content: String::new(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: String::new(),
            language: String::new(),
            published_at: None,
            first_seen_at: Timestamp::UNIX_EPOCH,
            backlog: false,
        }
    }

    fn packs() -> Aliases {
        let problems = Problems::default();
        let text = "[[concept]]\nname = \"north-korea\"\nnames = [\"DPRK\", \"북한\", \"Северная Корея\"]\n\
                    weak = [{ names = [\"the North\"], with = [\"money\"] }]\n\
                    [[concept]]\nname = \"money\"\nnames = [\"bank\"]\nincludes = [\"coin\"]\n\
                    [[concept]]\nname = \"coin\"\nnames = [\"bitcoin\"]\nexpressions = ['0x[0-9a-f]{8}']\n";
        let aliases = Aliases::read(&[File::new("a.toml", text.to_string())], &problems);
        assert!(problems.is_empty());
        aliases
    }

    #[test]
    fn a_query_finds_what_a_profile_would_find() {
        let aliases = packs();
        let title = "Observer seat for the DPRK";
        let body = "The bank in Macao was closed. Nobody spoke of sanctions against it, 북한에서는 아무도.";
        for (query, expected) in [
            ("seat", true),
            ("SEAT", true),
            ("sea", false),
            ("sea*", true),
            ("\"observer seat\"", true),
            ("\"seat observer\"", false),
            ("observer macao", true),
            ("observer AND paris", false),
            ("observer OR paris", true),
            ("observer -macao", false),
            ("observer NOT paris", true),
            ("title:seat", true),
            ("title:macao", false),
            ("title:(macao OR seat)", true),
            ("bank NEAR/2 macao", true),
            ("bank NEAR/1 macao", false),
            ("bank NEAR/sentence macao", true),
            ("macao NEAR/sentence sanctions", false),
            ("(paris OR bank) NEAR/3 macao", true),
            ("북한", true),
            ("concept:north-korea", true),
            ("concept:north-korea NEAR/4 observer", true),
            ("concept:money", true),
            ("concept:coin", false),
            ("(observer OR paris) (macao OR berlin)", true),
        ] {
            let mut query_read = Query::read(query, &aliases, &[]).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(query_read.found(&item(title, body)).is_some(), expected, "{query}");
        }
        // A weak name needs its context.
        let mut query = Query::read("concept:north-korea", &aliases, &[]).expect("understood");
        assert!(query.found(&item("The North", "A bitcoin was stolen.")).is_some());
        assert!(query.found(&item("The North", "A sheep was stolen.")).is_none());
        assert_eq!(Query::read("concept:coin", &aliases, &[]).expect("understood").notes().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let aliases = packs();
        for (query, expected) in [
            ("", "the query ends where"),
            ("-seat", "only says what must not be there"),
            ("seat OR -bank", "only says what must not be there"),
            ("\"seat", "no second one"),
            ("(seat", "not closed"),
            ("seat )", "stands where the query should end"),
            ("seat NEAR/far bank", "write how many words apart"),
            ("seat NEAR (a b)", "goes with words"),
            ("concept:north-corea", "did you mean \"north-korea\"?"),
            ("...", "holds no letter or digit"),
            ("OR seat", "OR stands where"),
        ] {
            let error = Query::read(query, &aliases, &[]).expect_err(query).to_string();
            assert!(error.contains(expected), "{query}: {error}");
        }
        assert!(Query::read(&"(".repeat(3_000), &aliases, &[]).is_err());
        assert!(Query::read(&"-".repeat(3_000), &aliases, &[]).is_err());
    }
}
