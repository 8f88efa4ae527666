//! Commands, options and exit codes are documented where people look, by the words of the program itself.
//!
//! `NEWSWATCH_BLESS=1 cargo test --test commands` writes docs/commands.md; read the difference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use clap::CommandFactory;
use newswatch::cli::{Arguments, EXIT_CODES};
use support::{Folder, manifest};

fn every(command: &clap::Command) -> Vec<&clap::Command> {
    std::iter::once(command).chain(command.get_subcommands().flat_map(every)).collect()
}

#[test]
fn every_command_and_option_says_what_it_does() {
    let whole = Arguments::command();
    let mut silent = Vec::new();
    for command in every(&whole) {
        let name = command.get_name();
        if command.get_about().is_none_or(|about| about.to_string().trim().is_empty()) {
            silent.push(name.to_string());
        }
        let options = command.get_arguments().filter(|option| option.get_help().is_none());
        silent.extend(options.map(|option| format!("{name} {}", option.get_id())));
    }
    assert!(silent.is_empty(), "no help for {silent:?}");
}

#[test]
fn the_documented_commands_are_those_of_the_program() {
    let printed = Folder::new("").run(&["man", "--markdown"]).ok().out;
    let file = manifest("docs/commands.md");
    if std::env::var_os("NEWSWATCH_BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert!(std::fs::read_to_string(file).unwrap_or_default() == printed, "docs/commands.md is not what is printed");
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new("");
    let pages = folder.path().join("man");
    folder.run(&["man", "--folder", pages.to_str().unwrap()]).ok();
    let whole = Arguments::command();
    assert_eq!(std::fs::read_dir(&pages).unwrap().count(), every(&whole).len());
    let page = folder.run(&["man", "source", "list"]).ok().out;
    assert_eq!(page, std::fs::read_to_string(pages.join("newswatch-source-list.1")).unwrap());
    for part in [".TH newswatch-source-list 1", ".SH NAME", ".SH OPTIONS", ".SH \"EXIT STATUS\"", "\\fB78\\fR"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    folder.run(&["man", "sorce"]).says("did you mean \"source\"?");
}

#[test]
fn the_exit_codes_are_as_documented() {
    let folder = Folder::new("");
    let seen = [
        folder.run(&["completions", "bash"]).code,
        folder.run(&["probe", "no-such-file"]).code,
        folder.run(&["check", "--no-such-option"]).code,
        // An empty file: no source, no profile.
        folder.run(&["check"]).code,
    ];
    assert_eq!(seen.map(|code| code as u8), EXIT_CODES.map(|(code, _)| code));
    let readme = std::fs::read_to_string(manifest("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let (help, page) = (folder.run(&["--help"]).ok().out, folder.run(&["man"]).ok().out);
    for (code, meaning) in EXIT_CODES {
        assert!(readme.contains(&format!("{code} {meaning}")), "the README lacks {code} {meaning}");
        assert!(help.contains(&format!("  {code:<3} {meaning}")), "{help}");
        assert!(page.contains(meaning), "{page}");
    }
}

#[test]
fn what_the_documents_point_to_is_there() {
    let mut missing = Vec::new();
    for document in ["CONTRIBUTING.md", "docs/architecture.md", "README.md", "systemd/README.md"] {
        let text = std::fs::read_to_string(manifest(document)).unwrap();
        for word in text.split(|c: char| c.is_whitespace() || "`()[],;:".contains(c)) {
            let is_path =
                ["src/", "tests/", "docs/", "config/", "systemd/"].iter().any(|start| word.starts_with(start));
            let is_pattern = word.contains(['*', '|']) || word.contains("NAME")
                // What people write there themselves.
                || word.contains(".d/");
            // Up to the heading.
            let word = word.split('#').next().unwrap_or(word);
            if is_path && !is_pattern && !manifest(word.trim_end_matches('.')).exists() {
                missing.push(format!("{document}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
