//! The real binary: verdicts, what they teach, profiles on trial, and what `why` says afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::Value;
use support::{Folder, PROFILE, Ran, Web, loopback, page, rss, source};

const OLD: (&str, &str, &str) = ("0", "Old news", "A quiet day.");

/// A folder whose source has been read once.
fn read_once(web: &Web, profiles: &[(&str, &str)]) -> Folder {
    let folder = Folder::new("");
    web.put("/feed", rss(&web.base, &[OLD]));
    folder.write("newswatch.toml", &(loopback(folder.path()) + &source("wire", &format!("{}/feed", web.base), "")));
    for (name, text) in profiles {
        folder.write(&format!("profiles.d/{name}.toml"), text);
    }
    folder.run(&["run", "--once"]).ok();
    folder
}

fn show(web: &Web, folder: &Folder, items: &[(&str, &str, &str)]) -> Ran {
    web.put("/feed", rss(&web.base, items));
    folder.run(&["run", "--once"]).ok()
}

fn hits(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let arguments = [&["hits", "--json"], more].concat();
    folder.run(&arguments).ok().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_verdict_is_kept_shown_and_replaced_only_by_its_author() {
    let web = Web::start();
    let folder = read_once(&web, &[("seat", PROFILE), ("chair", &PROFILE.replace("\"seat\"", "\"chair\""))]);
    show(&web, &folder, &[("1", "Chair", "The observer seat."), ("2", "Missed", "The chair was taken away."), OLD]);
    let id = hits(&folder, &["--profile", "seat"])[0]["id"].as_str().unwrap().to_string();

    // A hit of two profiles: which one is meant has to be said.
    let unclear = folder.run(&["verdict", &id, "relevant"]);
    assert_eq!(unclear.code, 1);
    unclear.says("it is a hit of chair and of seat").says("--profile");
    let seat = ["--profile", "seat", "--author", "anna"];
    folder.run(&[&["verdict", &id, "not", "-m", "about chairs"][..], &seat].concat()).ok().says("0 relevant, 1 not");
    folder
        .run(&[&["verdict", &id, "relevant", "-m", "=first report"][..], &seat].concat())
        .ok()
        .says("1 relevant, 0 not");
    folder.run(&["verdict", &format!("{}/a/1", web.base), "known", "--profile", "seat", "--author", "ben"]).ok();

    folder.run(&["hits", "--profile", "seat"]).ok().says("judged relevant (anna: =first report); known (ben)");
    let hit = &hits(&folder, &["--profile", "seat"])[0];
    assert_eq!((&hit["verdict"], hit["verdicts"].as_array().unwrap().len()), (&Value::from("known"), 2));
    assert_eq!(hits(&folder, &["--profile", "chair"])[0]["verdict"], Value::Null);
    let csv = folder.run(&["hits", "--csv", "--profile", "seat"]).ok().out;
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("found,profile,") && lines[0].ends_with(",id,verdict,verdict_note"), "{csv}");
    assert!(lines[1].contains(&format!(",{id},known,")) && lines.len() == 2, "{csv}");
    let why = folder.run(&["why", &id]).ok();
    why.says("not (anna: about chairs) for seat").says("replaced since").says("known (ben) for seat");
    why.says("made with profile ").says("an archive of ").says("scored again: the same 1.000");
    folder.run(&["profile", "show", "seat"]).ok().says("judged hits: 0 relevant, 1 known, 0 not: precision 100 %");

    // An item that should have been a hit teaches too, but a profile has to be named, and rightly.
    let missed = format!("{}/a/2", web.base);
    let unclear = folder.run(&["verdict", &missed, "relevant"]);
    assert_eq!(unclear.code, 1);
    unclear.says("it is no hit of any profile");
    let slip = folder.run(&["verdict", &missed, "relevant", "--profile", "saet"]);
    assert_eq!(slip.code, 1);
    slip.says("did you mean \"seat\"?");
    folder.run(&["verdict", &missed, "relevant", "--profile", "seat"]).ok().says("counts as missed");
    folder.run(&["profile", "show", "seat"]).ok().says("1 judged relevant that are no hits");
    folder.run(&["why", &missed]).ok().says("relevant (").says("for seat");
    let never = folder.run(&["verdict", "http://nowhere.example/x", "not"]);
    assert_eq!(never.code, 1);
    never.says("no stored item is http://nowhere.example/x");
    // A verdict is one of three words.
    assert_eq!(folder.run(&["verdict", &id, "maybe"]).code, 2);
}

#[test]
fn why_tells_of_scores_below_the_line_and_of_what_was_never_seen() {
    let web = Web::start();
    let weak = "name = \"seat\"\nthreshold = 1.0\n[[phrase]]\ntext = \"observer seat\"\nweight = 0.625\n";
    let folder = read_once(&web, &[("seat", weak)]);
    folder.write(
        "sources.d/more.toml",
        &(source("map", &format!("{}/map.xml", web.base), "kind = \"sitemap\"\nexclude = [\"/private/\"]")
            + &source("search", "https://news.google.com/rss/search?q=observer+seat", "enabled = false")),
    );
    show(&web, &folder, &[("1", "Chair", "The observer seat."), OLD]);
    assert!(hits(&folder, &[]).is_empty());
    let why = folder.run(&["why", &format!("{}/a/1", web.base)]).ok();
    why.says("scored    0.625 against 1 for profile seat").says("0.375 short of a hit");
    let never = folder.run(&["why", &format!("{}/private/3", web.base)]);
    assert_eq!(never.code, 1);
    never.says("Source wire is of the same site: fine").says("Source map is of the same site");
    never.says("it would not show this address: `exclude` leaves out /private/");
    never.says("Source search searches many publishers for observer seat: switched off");
    never.says("The newest that was seen of 127.0.0.1");
    folder.run(&["why", "nonsense"]).says("neither an id");
}

#[test]
fn a_shadow_is_scored_but_nobody_is_told() {
    let web = Web::start();
    let shadow =
        "name = \"seat-next\"\nshadow_of = \"seat\"\nthreshold = 1.0\n[[phrase]]\ntext = \"chair\"\nweight = 1.0\n";
    let folder = read_once(&web, &[("seat", PROFILE), ("next", shadow)]);
    folder.run(&["check"]).ok().says("seat-next: 1 phrase; a hit at score 1.00 (level normal); a shadow of seat");
    let items = [
        ("1", "One", "The observer seat."),
        ("2", "Two", "The chair."),
        ("3", "Three", "The chair and the observer seat."),
        OLD,
    ];
    show(&web, &folder, &items).says("3 new items");
    let told = folder.read("hits.log");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(!told.contains("seat-next"), "{told}");
    assert_eq!(hits(&folder, &[]).len(), 2);
    let trial = hits(&folder, &["--profile", "seat-next"]);
    assert_eq!(trial.len(), 2);
    assert!(trial.iter().all(|hit| hit["shadow"] == true));
    folder.run(&["verdict", &format!("{}/a/2", web.base), "relevant"]).ok().says("relevant for seat-next");
    let compared = folder.run(&["profile", "shadow", "--json"]).ok().out;
    let compared: Value = serde_json::from_str(&compared).unwrap();
    for (group, title) in [("only_live", "One"), ("only_shadow", "Two"), ("both", "Three")] {
        assert_eq!(compared[group]["items"], 1, "{compared}");
        assert_eq!(compared[group]["examples"][0]["title"], title, "{compared}");
    }
    assert_eq!(compared["only_shadow"]["judged"]["relevant"], 1);
    folder.run(&["profile", "shadow", "seat-next"]).ok().says("people would be told too: 1 hit in 1 story");
    let live = folder.run(&["profile", "shadow", "seat"]);
    assert_eq!(live.code, 1);
    live.says("is no shadow");
    folder.run(&["status"]).says("seat 2").never_says("seat-next");

    // A shadow of nothing, of itself, or of another shadow is refused.
    for (of, problem) in [
        ("saet", "there is no profile \"saet\"; did you mean \"seat\"?"),
        ("seat-next", "cannot be a shadow of itself"),
    ] {
        folder.write("profiles.d/next.toml", &shadow.replace("shadow_of = \"seat\"", &format!("shadow_of = \"{of}\"")));
        let ran = folder.run(&["check"]);
        assert_eq!(ran.code, 78, "{ran:#?}");
        ran.says("next.toml:2:13").says(problem);
    }
}

const FERRY: &str = "name = \"ferry\"\nversion = 2\nthreshold = 0.35\naverage_length = 30.0\nterms = [\n  \
                     { text = \"ferry\", weight = 50.0 },\n  { text = \"festival\", weight = 40.0 },\n  \
                     { text = \"xylophone\", weight = 10.0 },\n]\n";

#[test]
fn verdicts_teach_and_lint_finds_what_cannot_be_meant() {
    let web = Web::start();
    let folder = read_once(&web, &[("ferry", FERRY)]);
    let titles: Vec<(String, String, String)> = (0..140)
        .map(|n| {
            let text = match n {
                0..4 => format!("The ferry of Rottnest island sailed, ferry number {n}, to Rottnest."),
                4..8 => format!("A festival of songs, festival day {n}, in the park."),
                _ => format!("Rain fell on town {n} and the council met."),
            };
            (format!("k{n}"), format!("Report {n}"), text)
        })
        .collect();
    let items: Vec<(&str, &str, &str)> =
        titles.iter().map(|(key, title, text)| (key.as_str(), title.as_str(), text.as_str())).collect();
    show(&web, &folder, &items);
    let found = hits(&folder, &[]);
    assert_eq!(found.len(), 8, "{found:#?}");
    let none = folder.run(&["profile", "suggest", "ferry"]).ok();
    none.says("0 items judged relevant or known, 0 judged not, 8 hits");
    for hit in &found {
        let n: usize = hit["title"].as_str().unwrap().trim_start_matches("Report ").parse().unwrap();
        let verdict = if n < 4 { "relevant" } else { "not" };
        folder.run(&["verdict", hit["id"].as_str().unwrap(), verdict]).ok();
    }
    // Learned terms have moved since with the archive; the score of then comes out again.
    folder.run(&["why", found[0]["id"].as_str().unwrap()]).ok().says("scored again: the same");
    let before = folder.read("profiles.d/ferry.toml");
    let suggested = folder.run(&["profile", "suggest", "ferry"]).ok();
    suggested.says("-  { text = \"festival\", weight = 40.0 },").says("-version = 2").says("+version = 3");
    suggested.says("+  { text = \"Rottnest\", weight = ").never_says("-  { text = \"ferry\"");
    assert_eq!(folder.read("profiles.d/ferry.toml"), before, "nothing changes by itself");
    // The diff is one that patch takes.
    let diff: String =
        suggested.out.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    folder.write("change.diff", &diff);
    folder.run(&["profile", "show", "ferry"]).ok().says("festival   (in 0 judged right, 4 wrong)");
    let backtest = folder.run(&["profile", "backtest", "ferry", "--json"]).ok().out;
    let backtest: Value = serde_json::from_str(&backtest).unwrap();
    let row = backtest["rows"].as_array().unwrap().iter().find(|row| row["threshold"] == 0.35).unwrap().clone();
    assert_eq!((&row["relevant"], &row["not"], &row["items"]), (&4.into(), &4.into(), &8.into()), "{backtest}");
    assert_eq!(backtest["method"], "stored");

    folder.run(&["profile", "suggest", "ferry", "--write"]).ok().says("written");
    let after = folder.read("profiles.d/ferry.toml");
    assert!(after.contains("Rottnest") && !after.contains("festival") && after.contains("version = 3"), "{after}");
    folder.run(&["check"]).ok();
    // The changed profile is scored again, and finds the right ones only.
    let backtest = folder.run(&["profile", "backtest", "ferry"]).ok();
    backtest.says("Scored again with the frequencies of now: it was changed since").says("4/4");

    let lint = folder.run(&["profile", "lint"]);
    assert_eq!(lint.code, 1, "{lint:#?}");
    lint.says("\"xylophone\" never occurred in 141 items").says("ferry.toml:7:12: profile ferry");
    folder.write("bad.toml", "name = \"bad\"\nthreshold = 1\n[[phrase]]\ntext = \"to*\"\nweight = 1\n");
    let bad = folder.path().join("bad.toml");
    let lint = folder.run(&["profile", "lint", "--file", bad.to_str().unwrap()]);
    assert_eq!(lint.code, 1);
    lint.says("bad.toml:4:8: profile bad: \"to*\" goes on after a very short stem").never_says("profile ferry");
    folder.write("bad.toml", "name = \"bad\"\nthreshhold = 1\n[[phrase]]\ntext = \"to\"\nweight = 1\n");
    let lint = folder.run(&["profile", "lint", "--file", bad.to_str().unwrap()]);
    assert_eq!(lint.code, 78);
    lint.says("bad.toml:2:1: unknown key `threshhold`");
    let nobody = folder.run(&["profile", "backtest", "fery"]);
    assert_eq!(nobody.code, 1);
    nobody.says("did you mean \"ferry\"?");
}

#[test]
fn a_required_condition_holds_at_every_threshold() {
    let web = Web::start();
    let profile = "name = \"seat\"\nthreshold = 1.0\n[[phrase]]\ntext = \"observer seat\"\nweight = 0.9\n\
                   [[concept]]\nname = \"actor\"\nweight = 0.2\nnames = [\"DPRK\"]\n\
                   [[condition]]\nname = \"actor there\"\nall = [\"actor\"]\nadds = 0.0\nrequired = true\n";
    let folder = read_once(&web, &[("seat", profile)]);
    show(&web, &folder, &[("1", "One", "The observer seat."), ("2", "Two", "The observer seat of the DPRK."), OLD]);
    assert_eq!(hits(&folder, &[]).len(), 1);
    for more in [&[][..], &["--from", "2020-01-01"]] {
        let arguments = [&["profile", "backtest", "seat", "--json"], more].concat();
        let tested: Value = serde_json::from_str(&folder.run(&arguments).ok().out).unwrap();
        let rows = tested["rows"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["items"].as_u64().unwrap() <= 1), "{tested}");
        assert!(rows.iter().any(|row| row["threshold"] == 0.5 && row["items"] == 1), "{tested}");
    }
}

#[test]
fn a_feed_of_nothing_has_no_backtest() {
    let web = Web::start();
    web.put("/feed", page("application/rss+xml", "<rss version=\"2.0\"><channel><title>t</title></channel></rss>"));
    let folder = Folder::new("");
    folder.write("newswatch.toml", &(loopback(folder.path()) + &source("wire", &format!("{}/feed", web.base), "")));
    folder.write("profiles.d/seat.toml", PROFILE);
    let ran = folder.run(&["profile", "backtest"]);
    assert_eq!(ran.code, 1);
    ran.says("no item is stored yet");
    assert_eq!(folder.run(&["profile", "lint"]).ok().code, 0);
}
