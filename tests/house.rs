//! The house keeps its shape: who may import whom, and which rooms SQL, HTTP and SMTP stay in. Read from the source itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The layers, the lowest first. A file may import its own layer and those below; the first matching prefix decides.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["model", "fault", "clock", "plain", "config/section", "config/problem", "config/duration"]),
    // Pure: bytes and values in, values out.
    (
        1,
        &[
            "health",
            "evidence",
            "config/schedule",
            "poller/guard",
            "poller/identity",
            "poller/schedule",
            "poller/fetch",
            "poller/robots",
            "poller/outcome",
            "poller/parts",
            "poller/unpack",
            "poller/read",
            "poller/source",
            "matcher/",
            "notifier/compose",
            "notifier/retry",
            "notifier/channel/payload",
            "notifier/channel/template",
            "notifier/channel/feed/atom",
        ],
    ),
    // Edges and what is configured of them.
    (2, &["notifier/channel", "config", "store", "systemd"]),
    (3, &["poller/http"]),
    (4, &["poller", "matcher", "notifier", "overseer"]),
    (5, &["daemon"]),
    (6, &["cli"]),
    (7, &["lib", "main"]),
];

/// Crates that pure files and everything below them know nothing of.
const IMPURE: &[&str] =
    &["tokio::", "reqwest::", "sqlx::", "lettre::", "std::fs", "std::net::Tcp", "Timestamp::now", "SystemTime::now"];

/// The message type of a channel and the trait itself are plain; the edges are the files below the folder.
fn layer(module: &str) -> u8 {
    if module == "notifier/channel" || module == "config/route" {
        return 1;
    }
    for (layer, prefixes) in LAYERS {
        if prefixes
            .iter()
            .any(|prefix| module == *prefix || module.starts_with(&format!("{}/", prefix.trim_end_matches('/'))))
        {
            return *layer;
        }
    }
    panic!("{module} has no place in the house: add it to the layers, or to another file");
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Module path ("poller/read/html") → text without comments and tests.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let mut modules = BTreeMap::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
        if name.ends_with("/tests") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        modules.insert(name, lines.join("\n"));
    }
    modules
}

/// The modules that a text names by `crate::` or `super::`, as far as they exist.
fn imports(module: &str, code: &str, known: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |path: &str| {
        let parts: Vec<&str> = path.split("::").take_while(|part| !part.is_empty()).collect();
        for count in (1..=parts.len()).rev() {
            let candidate = parts[..count].join("/");
            if known.contains_key(&candidate) {
                found.push(candidate);
                return;
            }
        }
    };
    let word =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect() };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let path = word(rest);
        add(&path);
        if let Some(group) = rest[path.len()..].strip_prefix('{') {
            for part in group.split('}').next().unwrap_or_default().split(',') {
                add(&format!("{path}{}", word(part.trim())));
            }
        }
    }
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent).replace('/', "::");
    for (at, _) in code.match_indices("use super::") {
        let path = word(&code[at + "use super::".len()..]);
        if !path.starts_with("super::") {
            add(format!("{parent}::{path}").trim_start_matches("::"));
        }
    }
    found
}

#[test]
fn nobody_imports_upwards() {
    let modules = modules();
    assert!(modules.len() > 40, "only {} modules found", modules.len());
    let mut wrong = Vec::new();
    for (module, code) in &modules {
        for import in imports(module, code, &modules) {
            // A parent lists its children; that is the module tree, not an import.
            if import == *module || module.starts_with(&format!("{import}/")) {
                continue;
            }
            if layer(&import) > layer(module) {
                wrong.push(format!("{module} (layer {}) imports {import} (layer {})", layer(module), layer(&import)));
            }
        }
    }
    assert!(wrong.is_empty(), "imports go leftwards only (see the head of lib.rs):\n{}", wrong.join("\n"));
}

#[test]
fn the_three_loops_never_meet() {
    let modules = modules();
    let stage = |module: &str| {
        ["poller", "matcher", "notifier"]
            .into_iter()
            .find(|stage| module == *stage || module.starts_with(&format!("{stage}/")))
    };
    let mut wrong = Vec::new();
    for (module, code) in &modules {
        for import in imports(module, code, &modules) {
            let meets = match stage(module) {
                Some(own) => stage(&import).is_some_and(|other| other != own),
                // Who watches them knows their pure parts only.
                None => module == "overseer" && stage(&import).is_some() && layer(&import) == layer(module),
            };
            if meets {
                wrong.push(format!("{module} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "poller, matcher and notifier meet in the store only:\n{}", wrong.join("\n"));
}

#[test]
fn pure_files_stay_pure_and_edges_in_their_rooms() {
    let mut wrong = Vec::new();
    for (module, code) in &modules() {
        if layer(module) <= 1 && module != "clock" {
            for word in IMPURE {
                // A mail address is a value; parsing one needs no network.
                if code.contains(word) && !(module == "config/route" && *word == "lettre::") {
                    wrong.push(format!("{module} is pure but says {word}"));
                }
            }
        }
        let rooms: &[(&str, &[&str])] = &[
            ("sqlx::", &["store"]),
            // What sources lead to is asked in one room, past the guard. A webhook's address is the operator's own, and
            // nothing that comes back leads anywhere.
            ("reqwest::", &["poller/http", "notifier/channel/webhook"]),
            ("lettre::", &["notifier/channel/email", "config/route"]),
            ("axum::", &["cli/demo"]),
        ];
        for (word, allowed) in rooms {
            if code.contains(word)
                && !allowed.iter().any(|room| module == room || module.starts_with(&format!("{room}/")))
            {
                wrong.push(format!("{module} says {word}, which belongs to {}", allowed.join(" and ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
