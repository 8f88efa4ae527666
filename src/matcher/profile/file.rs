//! The profile's file: TOML that a person reads from the top and may edit.

use std::fmt::Write;

use super::concept::{Aliases, read_concepts};
use super::rule::{self, Used};
use super::{Level, Phrase, Profile, SeedName, Term, default_strength, default_threshold, term_hashes, term_key};
use crate::config::section::Section;
use crate::matcher::frequency::Key;
use crate::matcher::language::Language;
use crate::matcher::phrase::Pattern;
use crate::matcher::text::Tokenizer;
use crate::plain;

/// Longer lists are refused: no person reads them, and they would cost memory without bound.
const ENTRIES_MAX: usize = 5_000;
/// Longer texts are cut.
const TEXT_CHARS_MAX: usize = 500;

/// Reads a profile, with the concepts of the alias packs that it uses. Whatever is wrong is noted in the section's problems;
/// `None` when no profile came out.
pub fn read(mut section: Section<'_>, aliases: &Aliases) -> Option<Profile> {
    let name = shown(section.required_text("name"));
    let title = shown(section.text("title")).unwrap_or_default();
    let language = section.one_of("language", &Language::CODES).map_or(Language::English, Language::from_code);
    let version = section.integer("version", 1..=i64::MAX).unwrap_or(1);
    let shadow_of = shown(section.text("shadow_of"));
    let level = section.one_of("level", &Level::WORDS).map_or(Level::Normal, Level::from_word);
    let threshold = section.number("threshold", 0.001..=1000.0);
    let follows_noise = section.boolean("follow_noise");
    let average_length = section.number("average_length", 1.0..=1e9);
    let seeds: Vec<SeedName> = lists(&mut section, ["seeds", "seed"]).into_iter().filter_map(seed).collect();
    let mut tokenizer = Tokenizer::new();
    let term_sections = lists(&mut section, ["terms", "term"]);
    let phrase_sections = lists(&mut section, ["phrases", "phrase"]);
    let mut used = Used::new();
    let conditions = lists(&mut section, ["conditions", "condition"]).into_iter();
    let conditions: Vec<_> = conditions.filter_map(|table| rule::read_condition(table, &mut used)).collect();
    let look_alikes = lists(&mut section, ["look_alikes", "look_alike"]).into_iter();
    let look_alikes: Vec<_> = look_alikes.filter_map(|table| rule::read_look_alike(table, &mut used)).collect();
    let settings: Vec<_> =
        lists(&mut section, ["settings", "setting"]).into_iter().filter_map(rule::read_setting).collect();
    let mut problems = Vec::new();
    let concepts = read_concepts(lists(&mut section, ["concepts", "concept"]), aliases, &used, &mut problems);
    for (place, message) in problems {
        section.problem_at(place, message);
    }
    let nothing_adds = concepts.iter().all(|c| c.weight == 0.0) && conditions.iter().all(|c| c.adds == 0.0);
    let asked_for_nothing = term_sections.is_empty() && phrase_sections.is_empty() && nothing_adds;
    let terms: Vec<Term> =
        term_sections.into_iter().filter_map(|entry| term(entry, language, &mut tokenizer)).collect();
    let phrases: Vec<Phrase> = phrase_sections.into_iter().filter_map(phrase).collect();
    if asked_for_nothing {
        section.problem(
            "name",
            "the profile has neither terms nor phrases nor weighted concepts, so it would never find anything; build one \
             from seed articles with `newswatch profile build`, or add a [[phrase]] with `text` and `weight`",
        );
    }
    section.finish();
    if terms.is_empty() && phrases.is_empty() && nothing_adds {
        return None;
    }
    Some(Profile {
        name: name?,
        title,
        language,
        version,
        level,
        threshold: threshold.unwrap_or_else(|| default_threshold(seeds.len())),
        follows_noise: follows_noise.unwrap_or(threshold.is_none() && !seeds.is_empty()),
        // That of a news report, when no seeds say better.
        average_length: average_length.unwrap_or(500.0),
        seeds,
        terms,
        phrases,
        concepts,
        conditions,
        look_alikes,
        settings,
        shadow_of,
    })
}

/// The tables of a list, and those that were added one by one under the singular of its name.
fn lists<'a>(section: &mut Section<'a>, names: [&str; 2]) -> Vec<Section<'a>> {
    let mut found = Vec::new();
    for name in names {
        found.extend(section.sections(name));
        if found.len() > ENTRIES_MAX {
            section.problem(name, format!("`{name}` has more than {ENTRIES_MAX} entries"));
            found.clear();
        }
    }
    found
}

/// A text as it is written back: what nobody sees in it (a space at its end) makes no other profile.
fn shown(text: Option<String>) -> Option<String> {
    text.map(|text| plain::line(&text, TEXT_CHARS_MAX))
}

fn seed(mut section: Section<'_>) -> Option<SeedName> {
    let file = shown(section.required_text("file"));
    let title = shown(section.text("title")).unwrap_or_default();
    section.finish();
    Some(SeedName { file: file?, title })
}

fn term(mut section: Section<'_>, language: Language, tokenizer: &mut Tokenizer) -> Option<Term> {
    let text = shown(section.required_text("text"));
    let weight = required_number(&mut section, "weight", 0.0..=10_000.0);
    let rarity = section.number("rarity", 0.01..=50.0);
    let strength = section.number("strength", 0.001..=9.0).unwrap_or_else(default_strength);
    let seeds = section.integer("seeds", 0..=1_000_000).unwrap_or(0) as u32;
    let text = text?;
    let key = match term_key(tokenizer, language, &text) {
        Ok(key) => Some(key),
        Err(reason) => {
            section.problem("text", format!("the term {text:?} cannot be counted: {reason}"));
            None
        }
    };
    section.finish();
    Some(Term { hashes: term_hashes(tokenizer, &text), text, key: key?, weight: weight?, rarity, strength, seeds })
}

fn phrase(mut section: Section<'_>) -> Option<Phrase> {
    let text = shown(section.required_text("text"));
    let weight = required_number(&mut section, "weight", 0.0..=1000.0);
    let text = text?;
    let searchable = Pattern::new(&text).is_some();
    if !searchable {
        section.problem("text", format!("the phrase {text:?} holds no letter or digit to search for"));
    }
    section.finish();
    searchable.then_some(Phrase { text, weight: weight? })
}

fn required_number(section: &mut Section<'_>, key: &str, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
    if !section.has(key) {
        let advice = format!("this entry needs `{key}`, a number");
        section.problem(key, advice);
    }
    section.number(key, range)
}

/// The profile as a file: what it is, then its terms, the heaviest first, one a line.
pub fn to_toml(profile: &Profile) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_profile(&mut out, profile);
    out
}

fn write_profile(out: &mut String, profile: &Profile) -> std::fmt::Result {
    let seeds = profile.seeds.len();
    writeln!(out, "# A profile: what to look for. An item's score is the sum of what its terms and phrases give;")?;
    writeln!(out, "# 1 is the score of an article like the seeds. At `threshold` it is a hit.")?;
    writeln!(out, "name = {}", quoted(&profile.name))?;
    if !profile.title.is_empty() {
        writeln!(out, "title = {}", quoted(&profile.title))?;
    }
    if profile.language != Language::English {
        writeln!(
            out,
            "# The language of the terms below: en, fr, de or es. They are found in texts of the others too."
        )?;
        writeln!(out, "language = {}", quoted(profile.language.code()))?;
    }
    writeln!(out, "version = {}", profile.version)?;
    if let Some(live) = &profile.shadow_of {
        writeln!(out, "shadow_of = {}", quoted(live))?;
    }
    writeln!(out, "# strict asks for 1.25 times the threshold, loose for 0.8 times.")?;
    writeln!(out, "level = {}", quoted(profile.level.as_str()))?;
    write_threshold(out, profile)?;
    writeln!(
        out,
        "# The seeds' length in words; words in the title count three times, at the head of the text twice."
    )?;
    writeln!(out, "average_length = {:.1}", profile.average_length)?;
    if seeds > 0 {
        writeln!(out, "\nseeds = [")?;
        for seed in &profile.seeds {
            writeln!(out, "  {{ file = {}, title = {} }},", quoted(&seed.file), quoted(&seed.title))?;
        }
        writeln!(out, "]")?;
    }
    if !profile.terms.is_empty() {
        let pairs = profile.terms.iter().filter(|term| matches!(term.key, Key::Pair(_))).count();
        let top: f64 = profile.terms.iter().take(10).map(|term| term.weight).sum();
        writeln!(
            out,
            "\n# {} words and {pairs} pairs of words; the ten heaviest make {top:.0} % of the score of an article like the seeds.",
            profile.terms.len() - pairs
        )?;
        writeln!(
            out,
            "# weight: its part of that score in percent. rarity: how seldom the term was when the weight was set (0 in"
        )?;
        writeln!(
            out,
            "# every text, 10 in none). strength: how strongly the seeds use it (0 to 9). seeds: how many hold it."
        )?;
        writeln!(
            out,
            "# Delete what does not belong to the topic; to add a term, text and weight are enough. All forms of a word"
        )?;
        writeln!(out, "# count (sanction, sanctions). Names that must be found exactly are phrases:")?;
        writeln!(out, "# [[phrase]] at the end of the file, with text and a weight that is added to the score.")?;
        writeln!(out, "terms = [")?;
        for term in &profile.terms {
            write!(out, "  {{ text = {}, weight = {:.3}", quoted(&term.text), term.weight)?;
            if let Some(rarity) = term.rarity {
                write!(out, ", rarity = {rarity:.2}")?;
            }
            write!(out, ", strength = {:.3}", term.strength)?;
            if term.seeds > 0 {
                write!(out, ", seeds = {}", term.seeds)?;
            }
            writeln!(out, " }},")?;
        }
        writeln!(out, "]")?;
    }
    if !profile.phrases.is_empty() {
        writeln!(out, "\nphrases = [")?;
        for phrase in &profile.phrases {
            writeln!(out, "  {{ text = {}, weight = {} }},", quoted(&phrase.text), phrase.weight)?;
        }
        writeln!(out, "]")?;
    }
    Ok(())
}

fn write_threshold(out: &mut String, profile: &Profile) -> std::fmt::Result {
    writeln!(out, "threshold = {}", profile.threshold)?;
    if profile.follows_noise {
        writeln!(out, "# Where unrelated items score high it asks for a little more, where they score low for less.")?;
        writeln!(out, "follow_noise = true")?;
    }
    Ok(())
}

/// A text as TOML writes it, on one line.
fn quoted(text: &str) -> String {
    toml::Value::String(plain::line(text, TEXT_CHARS_MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{File, Problem, Problems};
    use crate::matcher::frequency::Frequencies;
    use crate::matcher::profile::build;
    use crate::matcher::seed::Seed;

    fn parse(text: &str) -> (Option<Profile>, Vec<String>) {
        let problems = Problems::default();
        let profile = File::new("p.toml", text.to_string()).read(&problems, |section| read(section, &Aliases::none()));
        (profile, problems.into_sorted().iter().map(Problem::to_string).collect())
    }

    #[test]
    fn a_profile_reads_back_as_it_was_written() {
        let text = "The \"quokka\\ferry\" left. Quokka ferry, 북한에, U.S. islands, 北朝鮮.";
        let seed = Seed { file: "a.md".into(), title: "Quokkas' ferry".into(), text: text.into() };
        let mut built = build("quokkas", &[seed], &Frequencies::new()).expect("built");
        built.phrases.push(Phrase { text: "北朝鮮".into(), weight: 0.5 });
        let (read, problems) = parse(&to_toml(&built));
        assert_eq!(problems, Vec::<String>::new());
        let read = read.expect("read");
        assert_eq!((&read.name, &read.seeds, &read.phrases), (&built.name, &built.seeds, &built.phrases));
        assert_eq!(read.terms.len(), built.terms.len());
        for (a, b) in read.terms.iter().zip(&built.terms) {
            assert_eq!((&a.text, a.key, a.seeds), (&b.text, b.key, b.seeds));
            assert!((a.weight - b.weight).abs() < 0.001 && (a.strength - b.strength).abs() < 0.001);
        }
        assert_eq!(to_toml(&read), to_toml(&parse(&to_toml(&read)).0.expect("read")));
    }

    #[test]
    fn what_nobody_sees_in_a_text_is_not_kept() {
        let text =
            "name = \"x\"\ntitle = \" The  ferry \"\nterms = [{ text = \"ferry = \", weight = 1, strength = 4 }]\n";
        let (first, problems) = parse(&format!("{text}[[phrase]]\ntext = \"north\u{a0} quay \"\nweight = 1\n"));
        assert_eq!(problems, Vec::<String>::new());
        let first = first.expect("read");
        assert_eq!((first.title.as_str(), first.terms[0].text.as_str()), ("The ferry", "ferry ="));
        assert_eq!(parse(&to_toml(&first)).0, Some(first));
    }

    #[test]
    fn a_profile_of_two_words_is_enough() {
        let (profile, problems) = parse(
            "name = \"x\"\n[[phrase]]\ntext = \"Garantex\"\nweight = 1\n[[phrase]]\ntext = \"Grinex\"\nweight = 1\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let profile = profile.expect("read");
        assert_eq!((profile.phrases.len(), profile.threshold), (2, 1.0));
    }

    #[test]
    fn every_problem_has_its_place() {
        let cases = [
            ("name = \"x\"\n", "p.toml:1:8: the profile has neither terms nor phrases nor weighted"),
            ("[[phrase]]\ntext = \"a\"\nweight = 1\n", "p.toml:1:1: the file needs `name`"),
            (
                "name = \"x\"\n[[term]]\ntext = \"of the\"\nweight = 1\n",
                "p.toml:3:8: the term \"of the\" cannot be counted: nothing is left",
            ),
            (
                "name = \"x\"\n[[term]]\ntext = \"big old ferry\"\nweight = 1\n",
                "p.toml:3:8: the term \"big old ferry\" cannot be counted: a term is one word",
            ),
            ("name = \"x\"\n[[term]]\ntext = \"ferry\"\n", "p.toml:2:1: this entry needs `weight`"),
            ("name = \"x\"\n[[phrase]]\ntext = \"*\"\nweight = 1\n", "p.toml:3:8: the phrase \"*\" holds no letter"),
            (
                "name = \"x\"\nthreshhold = 1\n[[phrase]]\ntext = \"a\"\nweight = 1\n",
                "p.toml:2:1: unknown key `threshhold` in the file; did you mean `threshold`?",
            ),
            (
                "name = \"x\"\nlevel = \"stritc\"\n[[phrase]]\ntext = \"a\"\nweight = 1\n",
                "p.toml:2:9: `level` cannot be \"stritc\"; did you mean \"strict\"?",
            ),
        ];
        let rules = [
            (
                "concepts = [{ name = \"a\", names = [\"DPRK\"] }, { name = \"b\", names = [\"dprk\"], weight = 1 }]\n",
                "p.toml:2:70: the name \"dprk\" belongs to \"a\" already, at p.toml:2:36; a name stands for one concept",
            ),
            (
                "concepts = [{ name = \"actor\", weight = 1 }]\n",
                "p.toml:2:13: there is no concept \"actor\"; there are no alias",
            ),
            (
                "concepts = [{ name = \"actor\", names = [\"x\"] }]\n[[condition]]\nname = \"c\"\nall = [\"acter\"]\nadds = 1\n",
                "p.toml:5:8: there is no concept \"acter\"; did you mean \"actor\"?",
            ),
            (
                "concepts = [{ name = \"a\", names = [\"x\"] }]\n[[condition]]\nname = \"c\"\nall = [\"a\"]\nnone = [\"a\"]\nadds = 1\n",
                "p.toml:6:8: the condition can never be met: \"a\" stands under `all` and under `none`",
            ),
            (
                "concepts = [{ name = \"a\", expressions = [\"(\"], weight = 1 }]\n",
                "p.toml:2:42: `expressions`: \"(\" is no regular expression",
            ),
            (
                "concepts = [{ name = \"a\", expressions = ['\\w{1000}{1000}'], weight = 1 }]\n",
                "p.toml:2:42: `expressions`: \"\\\\w{1000}{1000}\" is no regular expression: Compiled regex exceeds size limit",
            ),
            (
                "concepts = [{ name = \"a\", expressions = ['x*'], weight = 1 }]\n",
                "p.toml:2:42: this regular expression matches the empty text",
            ),
            (
                "[[look_alike]]\nname = \"x\"\nnames = [\"y\"]\n[[phrase]]\ntext = \"a\"\nweight = 1\n",
                "p.toml:2:1: [[look_alike]] needs `reason`",
            ),
            (
                "[[setting]]\nlanguage = \"ko\"\n[[phrase]]\ntext = \"a\"\nweight = 1\n",
                "p.toml:2:1: give `threshold_factor`",
            ),
        ];
        let rules: Vec<(String, &str)> =
            rules.into_iter().map(|(text, expected)| (format!("name = \"x\"\n{text}"), expected)).collect();
        for (text, expected) in
            cases.iter().map(|(text, e)| (*text, *e)).chain(rules.iter().map(|(t, e)| (t.as_str(), *e)))
        {
            let (_, problems) = parse(text);
            assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{text}: {problems:?}");
        }
    }
}
