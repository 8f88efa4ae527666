//! The real binary, whole: from configuration to hit, through trouble, restart and reload.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::{Child, Command, Stdio};

use support::{Folder, PROFILE, Ran, Web, loopback, page, rss, source, wait_until};

fn folder(sources: &str) -> Folder {
    let folder = Folder::new("");
    folder.write("newswatch.toml", &(loopback(folder.path()) + sources)).write("profiles.d/seat.toml", PROFILE);
    folder
}

const QUIET: (&str, &str, &str) = ("1", "Harbour news", "A quiet day.");
const HIT: (&str, &str, &str) =
    ("2", "A chair stays empty", "They took the <b>observer</b> seat away &amp; went home.");

#[test]
fn from_first_contact_to_a_hit_with_its_reasons() {
    let web = Web::start();
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    web.put("/feed", rss(&web.base, &[QUIET, ("old", "Old", "An observer seat, long ago.")]));
    folder.run(&["run", "--once"]).ok().says("1 source asked, 0 cannot be read; 2 new items, 1 hit, 0 messages");
    assert_eq!(folder.read("hits.log"), "", "a first contact is quiet");

    web.put("/feed", rss(&web.base, &[HIT, QUIET]));
    folder.run(&["run", "--once"]).ok().says("1 new item, 1 hit, 1 message");
    let log = folder.read("hits.log");
    assert_eq!(log.lines().count(), 1, "{log}");
    for part in [
        "hit profile=seat score=1.00/1.00 source=wire ",
        "title=\"A chair stays empty\"",
        "why=\"observer seat\"",
        "/a/2 ",
    ] {
        assert!(log.contains(part), "{part} is missing in {log}");
    }

    // Nothing new: asked with the validator, nothing told twice.
    folder.run(&["run", "--once"]).ok().says("0 new items, 0 hits, 0 messages");
    assert!(web.requests("/feed")[2].contains_key("if-none-match"));
    assert_eq!(folder.read("hits.log").lines().count(), 1);
    let agent = web.requests("/feed")[0]["user-agent"].to_str().unwrap().to_string();
    assert!(agent.starts_with("newswatch/"), "{agent}");

    let hits = folder.run(&["hits"]).ok();
    hits.says("backlog").says("A chair stays empty").says("why: observer seat 100 %");
    let lines = folder.run(&["hits", "--json", "--no-backlog"]).ok().out;
    let hit: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    let id = hit["id"].as_str().unwrap();
    let why = folder.run(&["why", id]).ok();
    why.says("item      ")
        .says("the observer seat away & went home")
        .says("route desk: told by alert")
        .says("sent ")
        .says("score 1.000 against 1.000, a hit");
    folder.run(&["why", &format!("{}/a/1", web.base)]).ok().says("nothing of this profile occurs");
    let never = folder.run(&["why", &format!("{}/never", web.base)]);
    assert_eq!(never.code, 1);
    never.says("was never seen").says("Source wire is of the same site: fine");
    folder.run(&["source", "list"]).ok().says("wire").says("fine").says("every 1 s");
    folder.run(&["source", "show", "wire"]).ok().says("ETag        \"").says("because: every 1 s");
    folder.run(&["source", "test", "wire"]).ok().says("2 items");
    folder.run(&["outbox", "list"]).ok().says("sent  alert of route desk");
    folder.run(&["source", "pause", "wire"]).ok().says("is paused");
    folder.run(&["run", "--once"]).ok().says("0 sources asked");
}

#[test]
fn items_that_share_a_link_or_a_title_are_all_told() {
    let web = Web::start();
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let feed = |items: &str| {
        page("application/rss+xml", format!("<rss version=\"2.0\"><channel><title>t</title>{items}</channel></rss>"))
    };
    web.put("/feed", feed("<item><title>Old</title><guid>0</guid><link>http://h.example/0</link></item>"));
    folder.run(&["run", "--once"]).ok();
    // Three guids with one link; two briefs that only their words tell apart.
    let brief = |day: &str, words: &str| {
        format!(
            "<item><title>News brief</title><link>http://h.example/briefs</link><pubDate>{day} Nov 2026 10:00:00 GMT</pubDate><description>{words}</description></item>"
        )
    };
    let same_link: String = (1..=3).map(|n| format!("<item><title>Report {n}</title><guid>{n}</guid><link>http://h.example/</link><description>observer seat {n}</description></item>")).collect();
    web.put("/feed", feed(&(same_link + &brief("20", "observer seat, first") + &brief("21", "observer seat, second"))));
    folder.run(&["run", "--once"]).ok().says("5 new items, 5 hits, 5 messages");
    assert_eq!(folder.read("hits.log").lines().count(), 5);
}

#[test]
fn a_first_answer_that_breaks_off_is_no_baseline() {
    let web = Web::start();
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let whole = rss(
        &web.base,
        &[("3", "Three", "observer seat"), ("2", "Two", "observer seat"), ("1", "One", "observer seat")],
    );
    let half = whole.body[..whole.body.len() / 2].to_vec();
    web.put("/feed", page("application/rss+xml", half));
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", whole);
    folder.run(&["run", "--once"]).ok();
    assert_eq!(folder.read("hits.log"), "", "all of it was there at the first contact");
    assert_eq!(folder.run(&["hits", "--json"]).ok().out.lines().count(), 3);
}

#[test]
fn no_filter_of_the_log_hides_a_hit() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, &[HIT]));
    let folder = Folder::new("");
    let text = loopback(folder.path()).replace("[[channel]]", "[[unused]]");
    let fetch = text.split("[[unused]]").next().unwrap().to_string();
    folder
        .write("newswatch.toml", &(fetch + &source("wire", &format!("{}/feed", web.base), "")))
        .write("profiles.d/seat.toml", PROFILE);
    let ran =
        Ran::of(folder.command(&["run", "--once", "--backlog"]).env("NEWSWATCH_LOG", "error").output().unwrap()).ok();
    ran.says("hit profile=seat score=1.00/1.00 source=wire");
}

#[test]
fn each_trouble_is_named_and_stops_nothing_else() {
    let web = Web::start();
    web.put("/good", rss(&web.base, &[QUIET]));
    web.put(
        "/page",
        page(
            "text/html",
            "<html><title>Log in</title><link rel=alternate type='application/rss+xml' href='/good'></html>",
        ),
    );
    web.put("/list", page("text/html", "<html><ul><li><a href='/x'>X</a></li></ul></html>"));
    web.put("/broken", page("application/rss+xml", "<rss version='2.0'><channel><item><title>One</title><link>/1</link></item><item><title>Two<link>/2</item><item><title>Three &nbsp; &bad;</title><link>/3</link></item></channel></rss>"));
    web.put("/gone", support::Page { status: 404, ..support::page("text/plain", "no") });
    let base = &web.base;
    let folder = folder(
        &(source("good", &format!("{base}/good"), "")
            + &source("html", &format!("{base}/page"), "")
            + &source(
                "list",
                &format!("{base}/list"),
                "kind = \"page\"\n[source.select]\nitem = \"div.news > article\"",
            )
            + &source("broken", &format!("{base}/broken"), "")
            + &source("gone", &format!("{base}/gone"), "")
            + &source("nowhere", "http://nowhere.invalid/feed", "")
            + &source("inner", "http://127.0.0.2:1/feed", "")
            + &source("closed", "http://127.0.0.1:1/feed", "")),
    );
    folder.run(&["run", "--once"]).ok().says("8 sources asked, 6 cannot be read; 4 new items");
    let list = folder.run(&["source", "list", "--json"]).ok().out;
    let error = |name: &str| -> String {
        let row = list
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|row| row["name"] == name)
            .unwrap();
        format!("{}: {}", row["health"].as_str().unwrap(), row["error"].as_str().unwrap())
    };
    assert_eq!(error("good"), "fine: ");
    assert_eq!(error("html"), format!("failing: an HTML page titled \"Log in\"; it links these feeds: {base}/good"));
    assert!(
        error("list").starts_with("failing: ") && error("list").contains("div.news > article"),
        "{}",
        error("list")
    );
    assert!(error("broken").starts_with("fine: "), "{}", error("broken"));
    assert_eq!(
        error("gone"),
        "failing: status 404: not found; check the address (newswatch probe finds feeds of a site)"
    );
    // A name server that is slow to say no is another reason than one that says it.
    let nowhere = error("nowhere");
    let unknown = "failing: unknown host nowhere.invalid: check the address, or the machine's DNS";
    assert!(nowhere == unknown || nowhere.starts_with("failing: no connection within 5 s"), "{nowhere}");
    assert!(
        error("inner").contains("refused: 127.0.0.2 is not a public address (loopback); fetch.allow"),
        "{}",
        error("inner")
    );
    assert!(error("closed").starts_with("failing: cannot connect: "), "{}", error("closed"));
    let status = folder.run(&["status"]);
    status.says("6 of 8 sources cannot be read");
}

#[test]
fn a_machine_without_network_is_told_about_the_demo() {
    let folder = folder(&source("nowhere", "http://nowhere.invalid/feed", ""));
    let ran = folder.run(&["run", "--once"]);
    assert_eq!(ran.code, 1);
    ran.says("this machine seems to have no network. `newswatch demo` shows the whole job without one.");
}

#[test]
fn nothing_from_outside_steers_the_terminal_or_the_log() {
    let web = Web::start();
    let title = "Red &#x1b;[31m alert \u{202e}gpj\u{9b}2J observer seat";
    web.put("/feed", rss(&web.base, &[("1", title, "x")]));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let ran = folder.run(&["run", "--once", "--backlog", "-v"]).ok();
    let all = [
        ran.out,
        ran.err,
        folder.read("hits.log"),
        folder.run(&["hits"]).out,
        folder.run(&["hits", "--json"]).out,
        folder.run(&["source", "test", "wire"]).out,
    ]
    .join("\n");
    assert!(all.contains("alert"), "{all}");
    for c in ['\u{1b}', '\u{9b}', '\u{202e}', '\r'] {
        assert!(!all.contains(c), "{c:?} in {all:?}");
    }
}

#[test]
fn a_bad_configuration_ends_with_78_and_every_problem() {
    let folder = folder("[[source]]\nname = \"Wire\"\nurl = \"ftp://a.example/\"\nintervall = \"5m\"\n");
    for command in ["run", "check", "hits", "status"] {
        let ran = folder.run(&[command]);
        assert_eq!(ran.code, 78, "{ran:#?}");
        ran.says("`name` cannot be \"Wire\"").says("unknown key `intervall`").says("must be an http or https address");
    }
}

#[test]
fn a_profile_or_seed_without_anything_is_refused_with_advice() {
    let folder = folder(&source("wire", "https://a.example/feed", ""));
    folder.write("profiles.d/empty.toml", "name = \"empty\"\nthreshold = 1.0\n").write("empty.md", "\n");
    let ran = folder.run(&["check"]);
    assert_eq!(ran.code, 78);
    ran.says("empty.toml:");
    let empty = folder.path().join("empty.md");
    let ran = folder.run(&["profile", "build", "--name", "x", "--seed", empty.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    ran.says("empty.md");
}

#[test]
fn seeds_may_be_files_of_several_kinds_or_an_address() {
    let web = Web::start();
    let text = "The port stood still while the longshore workers marched through the harbour. ".repeat(6);
    let html = format!(
        "<html><head><title>Strike in the port</title></head><body><article><h1>Strike in the port</h1><p>{text}</p></article></body></html>"
    );
    web.put("/seed", page("text/html; charset=utf-8", html.clone()));
    let folder = folder(&source("wire", "https://a.example/feed", ""));
    folder
        .write("a.html", &html)
        .write("b.json", "{\"title\": \"Longshore workers\", \"text\": \"The longshore workers went home.\"}");
    folder.write("c.txt", "Harbour\n\nLongshore workers struck again.\n");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let built = folder
        .run(&[
            "profile",
            "build",
            "--name",
            "port",
            "--seed",
            &path("a.html"),
            &path("b.json"),
            &path("c.txt"),
            &format!("{}/seed", web.base),
        ])
        .ok();
    built.says("longshore").says("Strike in the port");
    folder.write("profiles.d/port.toml", &built.out);
    folder.run(&["check"]).ok().says("port: ");
    let missing = folder.run(&["profile", "build", "--name", "x", "--seed", &path("nowhere.md")]);
    assert_eq!(missing.code, 1);
    missing.says("cannot read the seed").says("nowhere.md");
}

/// The daemon, killed when the test ends however it ends.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Folder) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open(folder.path().join("daemon.log")).unwrap();
        Daemon(folder.command(&["run"]).stderr(Stdio::from(log)).stdout(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_daemon_survives_kill_and_a_bad_reload_and_stops_when_told() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, &[QUIET]));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let mut daemon = Daemon::start(&folder);
    wait_until("first contact", || folder.read("daemon.log").contains("first contact"));

    let second = folder.run(&["run"]);
    assert_eq!(second.code, 1);
    second.says("another newswatch already runs on");

    // A bad configuration changes nothing and says so; the good one is taken over.
    let good = folder.read("newswatch.toml");
    folder.write("newswatch.toml", "[fetch]\nintervall = 3\n");
    daemon.signal("-HUP");
    wait_until("the refusal", || folder.read("daemon.log").contains("the old configuration stays in force"));
    web.put("/feed", rss(&web.base, &[HIT, QUIET]));
    wait_until("a hit under the old configuration", || folder.read("hits.log").contains("/a/2 "));
    web.put("/second", rss(&web.base, &[("3", "Three", "x")]));
    folder.write("newswatch.toml", &(good + &source("second", &format!("{}/second", web.base), "")));
    daemon.signal("-HUP");
    wait_until("the second source", || !web.requests("/second").is_empty());

    // Killed at any moment, nothing is lost and nothing told twice.
    daemon.signal("-KILL");
    daemon.0.wait().unwrap();
    web.put("/feed", rss(&web.base, &[("4", "Four", "the observer seat again"), HIT, QUIET]));
    let mut daemon = Daemon::start(&folder);
    wait_until("the item after the kill", || folder.read("hits.log").contains("/a/4 "));
    assert_eq!(folder.read("hits.log").matches("/a/2 ").count(), 1);
    folder.run(&["status"]).says("2 configured");

    let began = std::time::Instant::now();
    daemon.signal("-TERM");
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, &[QUIET]));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut command = folder.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "900000").stderr(Stdio::null());
    let mut daemon = Daemon(command.spawn().unwrap());
    let heard = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = socket.recv(&mut bytes).expect("systemd waits in vain");
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    };
    assert!(heard("READY=1").contains("STATUS=1 source, 1 profile, 1 route"));
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    daemon.signal("-HUP");
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC="));
    heard("READY=1");
    daemon.signal("-TERM");
    heard("STOPPING=1");
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_page_source_reads_its_articles() {
    let web = Web::start();
    let text = "The members withdrew the observer seat in a session that lasted until the evening. ".repeat(4);
    web.put("/list", page("text/html; charset=utf-8", "<html><body><ul class=n><li><time datetime=2026-11-20>x</time><a href=/art/1>First notice</a></li></ul></body></html>"));
    web.put("/art/1", page("text/html; charset=utf-8", format!("<html><head><title>First notice</title></head><body><nav><a href=/>Home</a></nav><article><h1>First notice</h1><p>{text}</p><p>{text}</p></article></body></html>")));
    let folder = folder(&source(
        "list",
        &format!("{}/list", web.base),
        "kind = \"page\"\narticle = true\n[source.select]\nitem = \"ul.n > li\"\ndate = \"time@datetime\"",
    ));
    folder.run(&["run", "--once", "--backlog"]).ok().says("1 hit, 1 message");
    let hit = folder.run(&["hits", "--json"]).ok().out;
    assert!(hit.contains("\"article\":\"read\"") && hit.contains("2026-11-20"), "{hit}");
}

#[test]
fn completions_help_and_parse_work_without_a_configuration() {
    let run = |arguments: &[&str]| {
        Ran::of(
            Command::new(env!("CARGO_BIN_EXE_newswatch"))
                .args(arguments)
                .current_dir(std::env::temp_dir())
                .output()
                .unwrap(),
        )
    };
    run(&["completions", "bash"]).ok().says("_newswatch");
    run(&["--help"]).ok().says("Explain an item through every stage");
    let feed = support::manifest("tests/data/reading/rss.xml");
    run(&["parse", "--json", feed.to_str().unwrap()]).ok().says("\"items\":[");
    let none = run(&["parse", "--json", "/nowhere.xml"]);
    assert_eq!((none.code, none.err.lines().count()), (1, 1), "{none:#?}");
    assert_eq!(run(&["no-such-command"]).code, 2);
    run(&["probe", feed.to_str().unwrap()]).ok().says("[[source]]");
}
