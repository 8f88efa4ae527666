//! The real binary and its store: search, copies, forgetting, moving.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{Folder, PROFILE, Web, loopback, rss, source};

fn watched(web: &Web) -> Folder {
    web.put(
        "/feed",
        rss(
            &web.base,
            &[
                ("1", "Harbour news\u{1b}[31m red", "A quiet day at the harbour of Busan."),
                ("2", "A chair stays empty", "They took the observer seat away, 북한에서는."),
            ],
        ),
    );
    let folder = Folder::new("");
    let text = loopback(folder.path()) + &source("wire", &format!("{}/feed", web.base), "");
    folder.write("newswatch.toml", &text).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once"]).ok();
    folder
}

#[test]
fn what_was_stored_is_found_again() {
    let web = Web::start();
    let folder = watched(&web);
    let found = folder.run(&["search", "harbour", "busan"]).ok();
    found.says("Harbour news").says("no hit").says("A quiet day at the harbour of Busan").never_says("\u{1b}");
    folder.run(&["search", "북한", "--hits"]).ok().says("seat 1.00 of 1.00").says("A chair stays empty");
    folder.run(&["search", "title:chair", "--sort", "best", "--since", "1d", "--source", "wire"]).ok();
    let lines = folder.run(&["search", "observer NEAR/1 seat", "--json"]).ok().out;
    let item: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!((item["source"].as_str(), item["hits"][0]["profile"].as_str()), (Some("wire"), Some("seat")));
    let nothing = folder.run(&["search", "nowhere"]);
    assert_eq!(nothing.code, 1);
    nothing.says("nothing found");
    let wrong = folder.run(&["search", "(seat"]);
    assert_eq!(wrong.code, 1);
    wrong.says("a parenthesis is not closed");
    // Without an index search says so, and it can be made.
    folder.run(&["store", "index", "--rebuild"]).ok().says("2 items indexed");
    folder.run(&["store", "info"]).ok().says("engine   SQLite").says("2 items indexed").says("items");
    let text = folder.read("newswatch.toml").replacen("[store]\n", "[store]\nsearch = false\n", 1);
    let text = if text.contains("search = false") { text } else { format!("[store]\nsearch = false\n{text}") };
    folder.write("newswatch.toml", &text);
    let off = folder.run(&["search", "seat"]);
    assert_eq!(off.code, 1);
    off.says("search is switched off");
}

#[test]
fn a_backup_restores_a_store_and_gc_and_migrate_say_what_they_do() {
    let web = Web::start();
    let folder = watched(&web);
    let copy = folder.path().join("copy.sqlite").display().to_string();
    folder.run(&["backup", &copy]).ok().says("checked");
    let again = folder.run(&["backup", &copy]);
    assert_eq!(again.code, 1);
    again.says("is there already");
    folder.run(&["backup", "--force", &copy]).ok();
    let store = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "sqlite") && path.file_stem().unwrap() != "copy")
        .unwrap();
    let itself = folder.run(&["backup", "--force", &store.display().to_string()]);
    assert_eq!(itself.code, 1);
    itself.says("is the store itself");
    // Restored, it goes on where the copy was made: nothing is new.
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", store.display()));
    }
    std::fs::copy(&copy, &store).unwrap();
    folder.run(&["run", "--once"]).ok().says("0 new items");
    assert_eq!(folder.run(&["hits", "--json"]).ok().out.lines().count(), 1);

    folder.run(&["gc", "--dry-run"]).ok().says("kept for 365 days").says("would forget nothing");
    folder.run(&["gc"]).ok().says("forgot nothing");

    let target = format!("sqlite:{}", folder.path().join("moved.sqlite").display());
    let moved = folder.run(&["store", "migrate", "--to", &target]).ok();
    moved.says("agrees").never_says("DIFFERS").says("set store.url to it");
    let twice = folder.run(&["store", "migrate", "--to", &target]);
    assert_eq!(twice.code, 1);
    twice.says("holds data already");
}
