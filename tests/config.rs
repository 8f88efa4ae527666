//! Bad configurations and what is said about them: one folder a mistake, `tests/config/NAME/`, with the configuration
//! and every message expected in `expected.txt`. And the configuration that is shipped.
//!
//! `NEWSWATCH_BLESS=1 cargo test --test config` writes what is said into the files; read the difference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use newswatch::config::Config;

/// Everything that `newswatch check` says about the configuration in `folder`, one problem a line.
fn problems_of(folder: &Path) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_newswatch"));
    let ran = command.arg("-c").arg(folder).arg("check").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(78), "{}: {said}", folder.display());
    // The last line counts them.
    let problems: Vec<&str> = said.lines().collect();
    let (count, problems) = problems.split_last().unwrap();
    assert!(count.starts_with(&problems.len().to_string()), "{}: {said}", folder.display());
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn every_mistake_is_named_with_its_place_and_advice() {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir("tests/config").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 30);
    let bless = std::env::var_os("NEWSWATCH_BLESS").is_some();
    let mut different = String::new();
    for folder in folders {
        // The messages as somebody sees them who stands in the folder.
        let found = problems_of(&folder).replace(&format!("{}/", folder.display()), "");
        let expected_file = folder.join("expected.txt");
        if bless {
            std::fs::write(&expected_file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap_or_default();
        if found.is_empty() || found != expected {
            different += &format!("== {}\nexpected:\n{expected}found:\n{found}", folder.display());
        }
    }
    assert!(different.is_empty(), "{different}");
}

/// How many sources are shipped, and how many of them are on: whoever switches one says so here too.
const SHIPPED: (usize, usize) = (156, 60);

#[test]
fn the_shipped_configuration_is_right() {
    let config = Config::load(Some(Path::new("config"))).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let enabled: Vec<_> = config.sources.iter().filter(|source| source.enabled).collect();
    assert_eq!((config.sources.len(), enabled.len()), SHIPPED);
    let names: BTreeSet<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names.len(), config.sources.len());
    let groups: BTreeSet<&str> = config.sources.iter().map(|source| &*source.place.file).collect();
    let expected = [
        "config/sources.d/10-intergovernmental.toml",
        "config/sources.d/20-korea-watchers.toml",
        "config/sources.d/30-crypto-security.toml",
        "config/sources.d/40-russia.toml",
        "config/sources.d/50-general.toml",
        "config/sources.d/60-aggregators.toml",
    ];
    assert_eq!(groups, BTreeSet::from(expected));
    let profiles: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(profiles, ["apg", "panel-of-experts", "russian-exchanges"]);
    for source in &config.sources {
        // The terms of these feeds leave the decision to the operator.
        let host = source.url.host_str().unwrap_or_default();
        assert!(!source.enabled || !["news.google.com", "api.gdeltproject.org"].contains(&host), "{}", source.name);
        // A search over all languages has none of its own.
        let is_search = host == "api.gdeltproject.org";
        assert!(source.language.is_some() != is_search, "the language of {}", source.name);
    }
}

#[test]
fn every_row_of_the_catalogue_is_there() {
    // Sources that are not read yet stand in comments with their name.
    let mut left_out = 0;
    for entry in std::fs::read_dir("config/sources.d").unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        left_out +=
            text.lines().filter(|line| line.starts_with("# Not yet: ") || line.starts_with("# Left out: ")).count();
    }
    // 144 rows and 10 queries of the catalogue, two queries of GDELT, one of arXiv; a row that became two, and the front
    // pages of three rows.
    assert_eq!(SHIPPED.0 + left_out, 144 + 10 + 2 + 1 + 1 + 3);
}

#[test]
fn the_commented_examples_of_the_shipped_file_are_right_too() {
    let text = std::fs::read_to_string("config/newswatch.toml").unwrap();
    // What is commented out and looks like TOML; the second of two examples for one key is left out.
    let example = |line: &str| {
        let line = line.strip_prefix("# ")?;
        let (key, _) = line.split_once(" = ").unwrap_or((line, ""));
        let is_table = line.starts_with('[') && line.ends_with(']') && !line.contains(' ');
        let is_key = line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let skip = line.starts_with("url = \"postgres") || ["ca_file", "path", "maildir", "key_file"].contains(&key);
        ((is_table || is_key) && !skip).then(|| line.to_string())
    };
    let text: String = text.lines().map(|line| example(line).unwrap_or_else(|| line.to_string()) + "\n").collect();
    let folder = tempfile::tempdir().unwrap();
    // What the examples name must be there.
    let text = text.replace("/var/lib/newswatch/feeds", folder.path().to_str().unwrap());
    let text = text.replace("/usr/local/bin/on-news", "/bin/sh");
    std::fs::write(folder.path().join("newswatch.toml"), text).unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    std::fs::copy("src/notifier/templates/digest.txt", folder.path().join("templates/digest.txt")).unwrap();
    for part in ["sources.d", "profiles.d", "aliases.d"] {
        std::os::unix::fs::symlink(std::path::absolute("config").unwrap().join(part), folder.path().join(part))
            .unwrap();
    }
    let config = Config::load(Some(folder.path())).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.fetch.contact.as_deref(), Some("mailto:desk@example.org"));
    assert_eq!(config.routes.len(), 4);
    let mut kinds: Vec<&str> = config.channels.values().map(|channel| channel.kind()).collect();
    kinds.sort();
    kinds.dedup();
    assert!(["command", "email", "feed", "log", "webhook"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert_eq!(config.templates().own(), ["digest.txt"]);
    assert_eq!(config.verdicts.as_ref().unwrap().senders, ["@example.org"]);
    let defaults = newswatch::config::FetchSettings::default();
    let examples = newswatch::config::FetchSettings {
        contact: None,
        allow: Vec::new(),
        deny: Vec::new(),
        proxy: None,
        ..config.fetch
    };
    assert_eq!(examples, defaults, "the comments must show the defaults");
    assert_eq!(config.evidence, newswatch::config::EvidenceSettings::default());
}

#[test]
fn the_examples_of_the_readme_are_valid() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (profiles, settings): (Vec<&str>, Vec<&str>) = blocks.iter().partition(|block| block.contains("threshold = "));
    assert_eq!((profiles.len(), settings.len()), (2, 3));
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    let settings = settings.join("\n").replace("/etc/newswatch/smtp-password", &password.display().to_string());
    std::fs::create_dir(folder.path().join("profiles.d")).unwrap();
    std::fs::write(folder.path().join("newswatch.toml"), settings).unwrap();
    for (number, profile) in profiles.iter().enumerate() {
        std::fs::write(folder.path().join(format!("profiles.d/{number}.toml")), profile).unwrap();
    }
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/aliases.d");
    std::os::unix::fs::symlink(packs, folder.path().join("aliases.d")).unwrap();
    let config = Config::load(Some(folder.path())).unwrap();
    assert_eq!((config.sources.len(), config.profiles.len(), config.routes.len()), (5, 2, 2));
}

#[test]
fn the_readme_names_every_command() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_newswatch")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let mut count = 0;
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        assert!(readme.contains(&format!("| `{command}")), "the README's table lacks {command}");
        count += 1;
    }
    assert_eq!(count, 20, "{commands}");
}
