//! `newswatch init` by the real binary: what it writes was tried, is right and works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use support::{Folder, Ran, Web, listen, page, rss, smtp};

const SEED: &str = "Harbour strike ends\n\nThe dock workers of the harbour ended their strike on Monday. The harbour strike had stopped \
                    all container terminals; the dock workers had asked for higher wages at the container terminals.\n";
const ITEMS: &[(&str, &str, &str)] = &[
    (
        "1",
        "Dock workers strike at the harbour",
        "The strike of the dock workers stops the container terminals of the harbour.",
    ),
    ("2", "A new bakery", "It sells bread and cake in the old town."),
];

/// A folder without a configuration.
fn empty() -> Folder {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("newswatch.toml")).unwrap();
    folder.write("harbour.txt", SEED);
    folder
}

fn init(folder: &Folder, arguments: &[&str]) -> Ran {
    let mut command = folder.command(&["init"]);
    Ran::of(command.current_dir(folder.path()).args(arguments).output().unwrap())
}

fn written(folder: &Path) -> bool {
    ["newswatch.toml", "sources.d", "profiles.d"].iter().any(|name| folder.join(name).exists())
}

#[test]
fn what_is_written_was_tried_and_works() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, ITEMS));
    web.put(
        "/",
        page("text/html", "<html><title>Wire</title><link rel=alternate type='application/rss+xml' href=/feed>"),
    );
    let (port, taken) = listen(smtp);
    let folder = empty();
    let server = format!("127.0.0.1:{port}");
    let [site, feed] = [format!("{}/", web.base), format!("{}/feed", web.base)];
    let mut arguments = vec!["--to", "me@example.org", "--smtp", &server, "--seed", "harbour.txt", "--name", "harbour"];
    arguments.extend(["--allow", "127.0.0.1", "--zone", "Europe/Zurich"]);
    arguments.extend(["--digest", "06:15,18:00", "--days", "weekdays"]);
    let ran = init(&folder, &[&arguments[..], &["--source", &site]].concat()).ok();
    ran.says("seed      ok      harbour.txt: Harbour strike ends").says("profile   ok      harbour: ");
    ran.says("backtest  ok      harbour: 1 of ").says("hit 0.").says("Dock workers strike at the harbour (");
    ran.says("source    ok      127-0-0-1-wire: feed http://127.0.0.1").says("mail      ok      a test is on its way");
    ran.says("digest to me@example.org: a digest at 06:15 and 18:00").says("the next on ").says("newswatch -c ");
    let mails = taken.lock().unwrap().clone();
    assert_eq!(mails.len(), 1);
    assert!(String::from_utf8_lossy(&mails[0]).contains("Subject: newswatch: a test"));

    folder.run(&["check"]).ok().says("Sources: 1 of 1 are polled").says("digest: every profile to me@example.org");
    folder.run(&["run", "--once"]).ok().says("1 source asked, 0 cannot be read");
    folder.run(&["hits"]).ok().says("Dock workers strike at the harbour");
    for name in ["newswatch.toml", "sources.d/sources.toml", "profiles.d/harbour.toml"] {
        assert!(folder.read(name).starts_with("# "), "{name} says nothing of itself");
    }

    // Nothing of anybody is overwritten, unless that is asked for, and then it is kept.
    folder.write("newswatch.toml", "# mine\n");
    let refused = init(&folder, &[]);
    assert_eq!(refused.code, 1);
    refused.says("there is a configuration in ").says("--force");
    arguments.extend(["--source", &feed, "--force"]);
    init(&folder, &arguments).ok();
    assert_eq!(folder.read("newswatch.toml.old"), "# mine\n");
    folder.run(&["check"]).ok();
}

#[test]
fn what_does_not_work_is_said_and_left_out() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, ITEMS));
    let [feed, gone] = [format!("{}/feed", web.base), format!("{}/gone", web.base)];
    // Nobody listens there any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (folder, server) = (empty(), format!("localhost:{port}"));
    let mut arguments = vec!["--to", "me@example.org", "--smtp", &server, "--allow", "127.0.0.1", "--profiles", "apg"];
    arguments.extend(["--seed", "harbour.txt", "--seed", "missing.txt", "--source", &feed, "--source", &gone]);
    let ran = init(&folder, &arguments);
    assert_eq!(ran.code, 1, "{ran:#?}");
    ran.says("source    NOT OK  ").says("/gone answers with status 404; it is left out");
    ran.says("seed      NOT OK  cannot read the seed missing.txt");
    ran.says("mail      NOT OK  hits go to the log only, the mail settings are kept as comments: ");
    ran.says("3 steps are above not ok").says("backtest  ok      apg: 0 of 2").never_says("digest to me@example.org");
    let main = folder.read("newswatch.toml");
    assert!(
        main.contains("\n# It did not work when this was written: ") && main.contains("\n# server = \"localhost\"")
    );
    folder.run(&["check"]).ok().says("apg").says("watch");
    folder.run(&["run", "--once", "--backlog"]).ok().says("hit profile=watch ");
}

#[test]
fn what_is_written_goes_with_what_is_there_or_nothing_is_written() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, ITEMS));
    let (folder, feed) = (empty(), format!("{}/feed", web.base));
    let arguments = ["--to", "me@example.org", "--allow", "127.0.0.1", "--seed", "harbour.txt", "--source", &feed];
    folder.write(
        "profiles.d/mine.toml",
        "name = \"watch\"\nthreshold = 1.0\n[[phrase]]\ntext = \"port\"\nweight = 1.0\n",
    );
    let ran = init(&folder, &arguments);
    assert_eq!(ran.code, 78, "{ran:?}");
    ran.says("profiles.d/mine.toml").says("watch").never_says("written ");
    assert!(!folder.path().join("newswatch.toml").exists() && !folder.path().join("sources.d").exists());
    folder.write("profiles.d/mine.toml", &folder.read("profiles.d/mine.toml").replace("watch", "mine"));
    init(&folder, &arguments).ok().says("written   ok      3 files in ").says("beside 1 file that stood there already");
    folder.run(&["check"]).ok().says("Profiles: 2");
}

#[test]
fn a_script_is_told_what_is_missing_and_never_asked() {
    let folder = empty();
    let ran = init(&folder, &[]);
    assert_eq!(ran.code, 2);
    ran.says("--to ADDRESS").says("--seed FILE|URL").says("--profiles apg,panel-of-experts").says("--source URL");
    let ran = init(&folder, &["--to", "me@example.org", "--profiles", "apgg", "--shipped-sources"]);
    ran.says("did you mean \"apg\"?");
    let all = ["--to", "me@example.org", "--profiles", "apg", "--shipped-sources"];
    for (more, said) in [
        (["--zone", "Europe/Zürich"], "--zone: "),
        (["--digest", "25:00"], "--digest and --days: "),
        (["--smtp", "host:port"], "is not HOST or HOST:PORT"),
        (["--to", "me"], "cannot be used multiple times"),
        (["--seed", "missing.txt"], ""),
    ] {
        let ran = init(&folder, &[&all[..], &more[..]].concat());
        assert_ne!(ran.code, 0);
        ran.says(said);
        if !said.is_empty() {
            assert!(!written(folder.path()), "{more:?}");
        }
    }
    // The last one had the shipped profile and sources; they need no network here.
    folder.run(&["check"]).ok().says("Profiles: 1").says("Sources: 60 of 156 are polled");
}
