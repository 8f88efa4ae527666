//! Bad configurations and what is said about them: one folder a mistake, `tests/config/NAME/`, with the configuration
//! and every message expected in `expected.txt`. And the configuration that is shipped.
//!
//! `NEWSWATCH_BLESS=1 cargo test --test config` writes what is said into the files; read the difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use newswatch::config::Config;

/// Everything that is said about the configuration in `folder`, one problem a line. The only place that knows how a
/// configuration is checked.
fn problems_of(folder: &Path) -> String {
    match Config::load(Some(folder)) {
        Ok(_) => String::new(),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    }
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
