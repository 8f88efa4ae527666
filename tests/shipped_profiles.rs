//! The shipped profiles are what `newswatch profile build` learns from the seeds beside them, plus hand-made phrases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use newswatch::cli::profile::{load, read_seed};
use newswatch::config::FetchSettings;
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::profile::{Profile, Term, build};
use newswatch::matcher::score::{Explain, Scorer};
use newswatch::matcher::text::Tokenizer;

/// Weights are rounded in the file.
const TOLERANCE: f64 = 0.001;

fn shipped() -> Vec<Profile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root.join("config/profiles.d")).expect("folder").map(|e| e.expect("entry").path()).collect();
    files.sort();
    files.iter().map(|file| load(file).expect("readable").expect("no problems")).collect()
}

fn by_text(terms: &[Term]) -> BTreeMap<&str, f64> {
    terms.iter().filter(|term| term.seeds > 0).map(|term| (term.text.as_str(), term.weight)).collect()
}

#[test]
fn the_learned_terms_are_those_of_the_seeds() {
    let mut differences = Vec::new();
    for profile in shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(&profile.name);
        let seeds: Vec<_> = profile
            .seeds
            .iter()
            .map(|seed| read_seed(&folder.join(&seed.file), &FetchSettings::default()).expect("seed of the profile"))
            .collect();
        let built = build(&profile.name, &seeds, &Frequencies::new()).expect("built");
        let (here, again) = (by_text(&profile.terms), by_text(&built.terms));
        let texts: std::collections::BTreeSet<&str> = here.keys().chain(again.keys()).copied().collect();
        for text in texts {
            let (old, new) = (here.get(text), again.get(text));
            let same = matches!((old, new), (Some(old), Some(new)) if (old - new).abs() <= TOLERANCE);
            if !same {
                let show = |weight: Option<&f64>| weight.map_or("missing".to_string(), |weight| format!("{weight:.3}"));
                let name = &profile.name;
                differences.push(format!("{name}: {text:?}: in the file {}, built {}", show(old), show(new)));
            }
        }
        assert_eq!(
            profile.seeds.len(),
            std::fs::read_dir(&folder).expect("folder").count(),
            "seeds of {}",
            profile.name
        );
    }
    assert!(
        differences.is_empty(),
        "config/profiles.d differs from what `newswatch profile build` learns from seeds/ (replace `terms` there):\n{}",
        differences.join("\n")
    );
}

/// An item with what an analyst said of it for each profile: hit, near, decoy (a look-alike) or none.
#[derive(serde::Deserialize)]
struct Judged {
    id: String,
    lang: String,
    title: String,
    text: String,
    labels: BTreeMap<String, String>,
}

/// The items of `data/judged`: invented news in eight languages, worded indirectly, with look-alikes, written by people who did
/// not know the profiles.
fn judged() -> Vec<Judged> {
    let mut items = Vec::new();
    for file in ["first", "second", "third", "fourth"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/judged/{file}.jsonl"));
        let text = std::fs::read_to_string(path).expect("readable");
        items.extend(text.lines().map(|line| serde_json::from_str::<Judged>(line).expect("an item")));
    }
    items
}

#[test]
fn the_shipped_profiles_judge_as_analysts_do() {
    let profiles = shipped();
    let (mut scorer, mut tokenizer) = (Scorer::new(&profiles, &Frequencies::new()).expect("small"), Tokenizer::new());
    let (mut hits, mut missed, mut wrong) = (0, Vec::new(), Vec::new());
    for item in judged() {
        let scores = scorer.score(&tokenizer.read(&item.title, &item.text).from("", &item.lang), Explain::Hits);
        for profile in &profiles {
            let score = scores.iter().find(|score| score.profile == profile.name);
            let hit = score.is_some_and(|score| score.hit);
            match (item.labels[&profile.name].as_str(), hit) {
                ("hit", true) => hits += 1,
                ("hit", false) => missed.push(format!("{} {}", profile.name, item.id)),
                ("decoy" | "none", true) => wrong.push(format!("{} {}", profile.name, item.id)),
                _ => {}
            }
        }
    }
    let of = hits + missed.len();
    assert!(hits * 100 >= of * 95, "found {hits} of {of}; missed {missed:?}");
    assert!(wrong.len() * 50 <= hits, "{hits} hits and these false alerts: {wrong:?}");
}

#[test]
fn the_names_alone_find_hits_in_every_language() {
    let profiles: Vec<Profile> =
        shipped().into_iter().map(|profile| Profile { terms: Vec::new(), ..profile }).collect();
    let (mut scorer, mut tokenizer) = (Scorer::new(&profiles, &Frequencies::new()).expect("small"), Tokenizer::new());
    let mut languages = BTreeSet::new();
    for item in judged() {
        for score in scorer.score(&tokenizer.read(&item.title, &item.text).from("", &item.lang), Explain::Hits) {
            if score.hit && item.labels[&score.profile] == "hit" {
                languages.insert(item.lang.clone());
            }
        }
    }
    assert_eq!(languages, ["de", "en", "es", "fr", "ja", "ko", "ru", "zh"].map(String::from).into());
}

#[test]
fn no_single_name_makes_an_alert() {
    for profile in shipped() {
        let concepts = profile.concepts.iter().map(|concept| (&concept.name, concept.weight));
        let phrases = profile.phrases.iter().map(|phrase| (&phrase.text, phrase.weight));
        for (name, weight) in concepts.chain(phrases) {
            assert!(weight < profile.hit_score() / 2.0, "{}: {name:?} alone is nearly a hit", profile.name);
        }
    }
}
