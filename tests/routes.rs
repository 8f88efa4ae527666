//! Routes with the real binary: what is muted, too weak or told already is not told, and `newswatch why` says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{Folder, PROFILE, Ran, Web, rss, source};

/// Everything to `all.log`; strong hits to `strong.log`; a list by the hour nobody waits for.
fn folder(web: &Web) -> Folder {
    let folder = Folder::new("");
    let log = |name: &str| {
        format!(
            "[[channel]]\nname = \"{name}\"\nkind = \"log\"\npath = \"{}\"\n",
            folder.path().join(format!("{name}.log")).display()
        )
    };
    let text = format!(
        "[fetch]\nallow = [\"127.0.0.1/32\"]\ninterval = \"1s\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n{}{}\
         [[route]]\nname = \"all\"\nchannel = \"all\"\n\
         [[route]]\nname = \"strong\"\nchannel = \"strong\"\nstrength_min = 1.5\n\
         [[route]]\nname = \"later\"\nchannel = \"log\"\ngroup = \"1d\"\n{}",
        log("all"),
        log("strong"),
        source("wire", &format!("{}/feed", web.base), "")
    );
    folder.write("newswatch.toml", &text).write("profiles.d/seat.toml", PROFILE);
    folder
}

const WORDS: [&str; 4] =
    ["harbour strike and weather", "a vote in the plenary", "fishermen protest abroad", "budget talks collapsed"];

/// The wire brings item `n`, and one cycle runs.
fn publish(web: &Web, folder: &Folder, n: usize) -> Ran {
    let keys: Vec<String> = (0..=n).map(|n| n.to_string()).collect();
    let texts: Vec<String> = (0..=n).map(|n| format!("The observer seat: {}.", WORDS[n % 4])).collect();
    let items: Vec<(&str, &str, &str)> = keys
        .iter()
        .zip(&texts)
        .enumerate()
        .map(|(n, (key, text))| (key.as_str(), WORDS[n % 4], text.as_str()))
        .collect();
    web.put("/feed", rss(&web.base, &items));
    folder.run(&["run", "--once"]).ok()
}

fn why(web: &Web, folder: &Folder, n: usize) -> Ran {
    folder.run(&["why", &format!("{}/a/{n}", web.base)]).ok()
}

#[test]
fn what_is_muted_or_too_weak_is_kept_and_explained() {
    let web = Web::start();
    let folder = folder(&web);
    publish(&web, &folder, 0);
    publish(&web, &folder, 1).says("1 hit");
    assert_eq!(folder.read("all.log").lines().count(), 1);
    assert_eq!(folder.read("strong.log"), "");
    why(&web, &folder, 0).says("route all: not told: the first contact with its source showed it");
    why(&web, &folder, 1)
        .says("route all: told by alert")
        .says("route strong: not told: its strength is 1.00, the route tells of hits of strength 1.5 or more")
        .says("route later: held for group");
    folder.run(&["outbox", "list", "--state", "waiting"]).ok().says("group of route later").says("being filled");

    folder.run(&["mute", "add", "--source", "wier", "--for", "3d", "-m", "x"]).says("did you mean \"wire\"?");
    folder.run(&["mute", "add", "--source", "wire", "--for", "soon", "-m", "x"]).says("is no length of time");
    folder.run(&["mute", "add", "--source", "wire", "--until", "2001-01-01", "-m", "x"]).says("is over already");
    folder.run(&["mute", "add", "--source", "wire", "--for", "900d", "-m", "x"]).says("a year at most");
    assert_eq!(folder.run(&["mute", "add", "--source", "wire", "--for", "3d"]).code, 2, "a reason is wanted");
    let reason = ["-m", "it repeats \u{1b}[31mold news", "--author", "anna"];
    let muted = folder.run(&[&["mute", "add", "--source", "wire", "--for", "3d"][..], &reason].concat()).ok();
    let id = muted.says("nothing is told of the source wire until").out[..12].to_string();
    publish(&web, &folder, 2).says("1 hit");
    assert_eq!(folder.read("all.log").lines().count(), 1);
    why(&web, &folder, 2).says("route all: not told: source wire is muted until").says("by anna: it repeats old news");
    folder.run(&["mute", "list"]).ok().says("source wire, until").says("), 1 hit not told, by anna");
    folder.run(&["mute", "list", "--json"]).ok().says("\"in_force\":true").says("\"hits\":1");

    folder.run(&["mute", "remove", &id]).ok().says("source wire is told again");
    folder.run(&["mute", "remove", &id]).says("is in force");
    assert_eq!(folder.run(&["mute", "list"]).ok().out, "");
    folder.run(&["mute", "list", "--all"]).ok().says("over since");
    publish(&web, &folder, 3).says("1 hit, 1 message");
    assert_eq!(folder.read("all.log").lines().count(), 2);

    let item = folder.run(&["hits", "--json"]).ok().out.lines().last().unwrap().to_string();
    let item = serde_json::from_str::<serde_json::Value>(&item).unwrap()["id"].as_str().unwrap().to_string();
    folder.run(&["mute", "add", "--story", &item, "--until", "2099-01-01", "-m", "known"]).says("a year at most");
    folder.run(&["mute", "add", "--story", &item, "--for", "12h", "-m", "known"]).ok().says("budget talks collapsed");
}
