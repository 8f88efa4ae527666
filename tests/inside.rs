//! Seeing inside the real binary: metrics, health and readiness, the log of a poll; and reloads while feeds publish.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use newswatch::meters::Meters;
use support::{Folder, PROFILE, Page, Ran, Web, answer, loopback, manifest, page, rss, source, wait_until};

/// The daemon, killed when the test ends however it ends.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Folder, arguments: &[&str]) -> Daemon {
        let log = std::fs::File::create(folder.path().join("daemon.log")).unwrap();
        let mut command = folder.command(&[&["run"], arguments].concat());
        Daemon(command.stderr(Stdio::from(log)).stdout(Stdio::null()).spawn().unwrap())
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

fn folder(sources: &str, more: &str) -> Folder {
    let folder = Folder::new("");
    folder.write("newswatch.toml", &(more.to_string() + &loopback(folder.path()) + sources));
    folder.write("profiles.d/seat.toml", PROFILE);
    folder
}

/// Where the daemon says that it serves metrics.
fn address(folder: &Folder) -> String {
    wait_until("metrics", || folder.read("daemon.log").contains("metrics are served at "));
    let log = folder.read("daemon.log");
    log.split("metrics are served at ").nth(1).unwrap().split_whitespace().next().unwrap().to_string()
}

fn ask(stream: &mut (impl Read + Write), question: &str) -> (u16, String) {
    stream.write_all(question.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

fn get(address: &str, path: &str) -> (u16, String) {
    let question = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    ask(&mut TcpStream::connect(address).unwrap(), &question)
}

/// The value of a series; `None` when there is none.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

const LISTEN: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n\n";

#[test]
fn metrics_health_and_readiness_tell_how_it_stands() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, &[("1", "Harbour news", "A quiet day.")]));
    let sources =
        source("wire", &format!("{}/feed", web.base), "") + &source("gone", &format!("{}/gone", web.base), "");
    let folder = folder(&sources, LISTEN);
    let daemon = Daemon::start(&folder, &[]);
    let address = address(&folder);
    wait_until("ready", || get(&address, "/readyz") == (200, "ready\n".to_string()));
    assert_eq!(get(&address, "/healthz"), (200, "alive\n".to_string()));

    wait_until("the first contact", || folder.read("daemon.log").contains("first contact"));
    web.put("/feed", rss(&web.base, &[("2", "A chair stays empty", "They took the observer seat away.")]));
    wait_until("a hit", || folder.read("hits.log").contains("/a/2 "));
    let delivered = "newswatch_deliveries_total{channel=\"file\",outcome=\"sent\"}";
    let mut text = String::new();
    wait_until("the record of the hit", || {
        text = get(&address, "/metrics").1;
        value(&text, delivered) == Some(1.0)
    });
    for (series, expected) in [
        ("newswatch_hits_total{profile=\"seat\"}", 1.0),
        ("newswatch_items_new_total", 2.0),
        ("newswatch_delivery_delay_seconds_count{channel=\"file\"}", 1.0),
        ("newswatch_config_last_reload_successful", 1.0),
        ("newswatch_store_up", 1.0),
        ("newswatch_sources_without_series", 0.0),
        ("newswatch_deliveries_total{channel=\"file\",outcome=\"dead\"}", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in:\n{text}");
    }
    for series in [
        "newswatch_visits_total{outcome=\"read\"}",
        "newswatch_visit_failures_total{fault=\"not-found\"}",
        "newswatch_requests_total{answer=\"ok\"}",
        "newswatch_request_duration_seconds_count",
        "newswatch_received_bytes_total",
        "newswatch_store_size_bytes",
        "newswatch_store_free_bytes{place=\"store\"}",
        "newswatch_start_timestamp_seconds",
    ] {
        assert!(value(&text, series).is_some_and(|value| value >= 1.0), "{series} in:\n{text}");
    }
    // What the store says is a few seconds old.
    wait_until("the state of both sources", || {
        text = get(&address, "/metrics").1;
        value(&text, "newswatch_source_healthy{source=\"wire\"}") == Some(1.0)
            && value(&text, "newswatch_source_healthy{source=\"gone\"}") == Some(0.0)
    });
    assert!(!text.contains(&web.base), "an address is in the metrics:\n{text}");

    // Only this machine by its own name, only questions, and one bad client keeps nobody else out.
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(ask(&mut TcpStream::connect(&address).unwrap(), foreign).0, 403);
    let write = format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(ask(&mut TcpStream::connect(&address).unwrap(), &write).0, 405);
    assert_eq!(get(&address, "/else").0, 404);
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(get(&address, "/healthz").0, 200);
    drop(silent);

    // What is exported has the names that are documented, and nothing else is.
    let exported: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let meters = Meters::default();
    let names: BTreeSet<&str> = meters.names().iter().map(String::as_str).collect();
    assert_eq!(exported.difference(&names).collect::<Vec<_>>(), Vec::<&&str>::new());
    // Without a self-test that set out there is none; no condition is open yet.
    let silent = ["newswatch_canary_ok", "newswatch_canary_sent_timestamp_seconds", "newswatch_conditions"];
    let missing: Vec<&&str> = names.difference(&exported).filter(|name| !silent.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} have no series");

    // A store that is gone is a reason not to be alive.
    std::fs::rename(folder.path().join("newswatch.sqlite"), folder.path().join("moved.sqlite")).unwrap();
    let (code, why) = get(&address, "/healthz");
    assert_eq!((code, why.lines().count()), (503, 1), "{why}");
    assert!(why.contains("was removed or replaced"), "{why}");
    assert_eq!(get(&address, "/readyz").0, 503);
    daemon.signal("-TERM");
}

#[test]
fn metrics_are_served_on_a_unix_socket_that_a_killed_daemon_left() {
    let web = Web::start();
    web.put("/feed", rss(&web.base, &[("1", "Harbour news", "A quiet day.")]));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""), "");
    let socket = folder.path().join("metrics.sock");
    let text = format!("[metrics]\nlisten = \"unix:{}\"\n\n", socket.display()) + &folder.read("newswatch.toml");
    folder.write("newswatch.toml", &text);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let _daemon = Daemon::start(&folder, &[]);
    assert_eq!(address(&folder), format!("unix:{}", socket.display()));
    let mut stream = UnixStream::connect(&socket).unwrap();
    let (code, text) = ask(&mut stream, "GET /metrics HTTP/1.1\r\nHost: any\r\n\r\n");
    assert_eq!(code, 200);
    assert!(text.contains("newswatch_build_info{version="), "{text}");
}

#[test]
fn metrics_are_for_this_machine_unless_the_configuration_says_otherwise() {
    let wire = source("wire", "https://a.example/feed", "");
    let open = folder(&wire, "[metrics]\nlisten = \"0.0.0.0:9277\"\n\n");
    let ran = open.run(&["check"]);
    assert_eq!(ran.code, 78);
    ran.says("0.0.0.0:9277 can be reached by others").says("allow_remote = true");
    folder(&wire, "[metrics]\nlisten = \"0.0.0.0:9277\"\nallow_remote = true\n\n").run(&["check"]).ok();
    let wrong = folder(&wire, "[metrics]\nlisten = \"localhost\"\n\n").run(&["check"]);
    wrong.says("neither an address with a port");
}

/// Names of metrics in a text, without the endings of a histogram's series.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("newswatch_"));
    names
        .map(|name| {
            let end = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            end.unwrap_or(name).to_string()
        })
        .collect()
}

#[test]
fn the_documentation_the_rules_and_the_dashboard_name_what_is_exported() {
    let read = |path: &str| std::fs::read_to_string(manifest(path)).unwrap();
    let names: BTreeSet<String> = Meters::default().names().iter().cloned().collect();
    let readme = read("systemd/README.md");
    let section = readme.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `newswatch_"));
    let documented: BTreeSet<String> = rows.flat_map(metrics_in).collect();
    assert_eq!(documented, names, "the table of metrics and what is exported differ");
    for path in ["systemd/prometheus-rules.yml", "systemd/grafana-dashboard.json"] {
        let used = metrics_in(&read(path));
        assert!(used.len() > 8, "{path} names {} metrics", used.len());
        let unknown: Vec<&String> = used.difference(&names).collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}, which nobody exports");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("systemd/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|panel| panel["title"].is_string() && panel["gridPos"]["w"].is_u64()), "{panels:?}");
}

#[test]
fn the_log_of_a_poll_says_which_and_no_secret_stands_in_it() {
    let web = Web::start();
    let base = &web.base;
    web.put("/feed", rss(base, &[("1", "A chair stays empty", "The observer seat is taken away.")]));
    web.put("/moved", answer(302, "location", format!("{base}/feed?page=1&api_key=hush-moved")));
    let inside = base.replace("http://", "http://user:hush-user@");
    web.put("/inside", answer(302, "location", format!("{inside}/feed")));
    web.put("/ftp", answer(302, "location", "ftp://x:hush-ftp@a.example/?token=hush-ftp"));
    web.put(
        "/html",
        page(
            "text/html",
            format!("<html><link rel=alternate type='application/rss+xml' href='{base}/feed?token=hush-link'></html>"),
        ),
    );
    let header = "[source.headers]\nX-Client = \"hush-header\"";
    let sources = source("wire", &format!("{base}/feed?token=hush-wire"), "")
        + &source("moved", &format!("{base}/moved?sid=hush-sid"), "")
        + &source("inside", &format!("{base}/inside?key=hush-key"), "")
        + &source("ftp", &format!("{base}/ftp"), "")
        + &source("html", &format!("{base}/html"), "")
        + &source("closed", "https://127.0.0.1:1/feed?password=hush-closed", header)
        + &source("gone", &format!("{base}/gone?auth=hush-gone"), "");
    let folder = folder(&sources, "");
    let mut command = folder.command(&["run", "--once", "--backlog", "--log", "json", "-vv"]);
    let ran = Ran::of(command.output().unwrap()).ok();
    ran.never_says("hush");
    folder.run(&["status"]).never_says("hush");
    folder.run(&["status", "--json"]).never_says("hush");

    let lines: Vec<serde_json::Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut runs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in &lines {
        let (span, fields) = (&line["span"], &line["fields"]);
        if span["name"] == "visit" {
            for key in ["source", "url", "run"] {
                assert!(span[key].as_str().is_some_and(|text| !text.is_empty()), "{key} is missing in {line}");
            }
            let source = span["source"].as_str().unwrap().to_string();
            runs.entry(source).or_default().insert(span["run"].as_str().unwrap().to_string());
        }
        let is_own = line["target"].as_str().unwrap().starts_with("newswatch");
        assert!(
            !is_own || fields["source"].is_null() || span.is_object(),
            "nobody knows which poll this is of: {line}"
        );
    }
    // One visit each, and each of them can be told from the others.
    let all: BTreeSet<&str> = ["wire", "moved", "inside", "ftp", "html", "closed", "gone"].into();
    assert_eq!(runs.keys().map(String::as_str).collect::<BTreeSet<_>>(), all);
    assert!(runs.values().all(|runs| runs.len() == 1), "{runs:?}");
    assert_eq!(runs.values().flatten().collect::<BTreeSet<_>>().len(), all.len());

    // From the poll to the delivery: the item leads on.
    let with = |name: &str, text: &str| {
        let found = lines.iter().find(|line| {
            line["span"]["name"] == name && line["fields"]["message"].as_str().is_some_and(|said| said.contains(text))
        });
        found.unwrap_or_else(|| panic!("no line of {name} says {text:?}")).clone()
    };
    // Two sources show the same story: which of them is told of depends on who was first.
    let told = with("deliver", "tells of item");
    let item = told["fields"]["item"].as_str().unwrap().to_string();
    assert_eq!((&told["span"]["route"], &told["span"]["channel"]), (&"desk".into(), &"file".into()));
    let scored = with("score", &format!("item {item} is a hit of seat"));
    assert_eq!((&scored["span"]["profile"], &scored["span"]["item"]), (&"seat".into(), &item.as_str().into()));
    let showed = with("visit", &format!("showed item {item}"));
    assert_eq!(showed["span"]["source"], told["fields"]["source"]);
    let delivered = lines.iter().any(|line| {
        line["span"]["outbox"] == told["span"]["outbox"]
            && line["fields"]["message"].as_str().is_some_and(|said| said.ends_with("delivered"))
    });
    assert!(delivered, "nothing says that the message was delivered");

    // The usual filter of Rust programs is heard, and our own comes first.
    let quiet = |name: &str, value: &str| {
        let mut command = folder.command(&["run", "--once", "--log", "json"]);
        Ran::of(command.env(name, value).env_remove("COLUMNS").output().unwrap()).err
    };
    assert!(quiet("RUST_LOG", "newswatch=debug").contains("\"DEBUG\""));
    assert!(!quiet("RUST_LOG", "off").contains("newswatch 0"));
}

/// A feed with the newest of these items.
fn feed(web: &Web, items: &[usize]) -> Page {
    let texts: Vec<(String, String, String)> = items
        .iter()
        .map(|n| {
            let words: Vec<String> = (1..=12).map(|k| format!("w{}", (n * 7919 + k * 104_729) % 9_973)).collect();
            (n.to_string(), format!("Report {n} {}", words[0]), format!("observer seat {}", words.join(" ")))
        })
        .collect();
    let items: Vec<(&str, &str, &str)> = texts.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    rss(&web.base, &items)
}

#[test]
fn reloads_while_feeds_publish_ask_nobody_early_and_lose_and_double_nothing() {
    const RELOADS: usize = 40;
    let web = Web::start();
    let names = ["a", "b", "c", "d"];
    let mut shown: BTreeMap<&str, Vec<usize>> = names.iter().map(|name| (*name, Vec::new())).collect();
    for (n, name) in names.iter().enumerate() {
        web.put(&format!("/{name}"), feed(&web, &[10_000 + n]));
    }
    let of = |names: &[&str]| -> String {
        names.iter().map(|name| source(name, &format!("{}/{name}", web.base), "interval = \"1s\"")).collect()
    };
    let folder = folder(&of(&names), LISTEN);
    // What was found goes to a file that a second route has, too, while it is there.
    let base = LISTEN.to_string() + &loopback(folder.path());
    let second = format!(
        "[[channel]]\nname = \"second\"\nkind = \"log\"\npath = \"{}\"\n\n[[route]]\nname = \"second\"\nchannel = \"second\"\n\n",
        folder.path().join("second.log").display()
    );
    let daemon = Daemon::start(&folder, &[]);
    let address = address(&folder);
    wait_until("the first contacts", || names.iter().all(|name| web.times(&format!("/{name}")).len() > 1));
    let said = |text: &str| folder.read("daemon.log").matches(text).count();
    let (mut published, mut refused) = (0, 0);
    for round in 0..RELOADS {
        let name = names[round % names.len()];
        published += 1;
        let items = shown.get_mut(name).unwrap();
        items.insert(0, published);
        web.put(&format!("/{name}"), feed(&web, items));
        // Sources, routes and profiles come and go.
        let sources = if round % 3 == 0 { &names[..3] } else { &names[..] };
        let routes = if round % 4 == 1 { second.as_str() } else { "" };
        let is_broken = round % 10 == 9;
        let broken = if is_broken { "[fetch]\nintervall = 3\n" } else { "" };
        folder.write("newswatch.toml", &(broken.to_string() + &base + routes + &of(sources)));
        folder.write("profiles.d/seat.toml", &PROFILE.replace("weight = 1.0", &format!("weight = 1.{round:02}")));
        daemon.signal("-HUP");
        if is_broken {
            refused += 1;
            wait_until("the refusal", || said("the old configuration stays in force") == refused);
            let text = get(&address, "/metrics").1;
            assert_eq!(value(&text, "newswatch_config_last_reload_successful"), Some(0.0));
        } else {
            wait_until("the reload", || said("configuration read again") == round + 1 - refused);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    // The last one was broken: that is said everywhere, and the configuration before is in force.
    let text = get(&address, "/metrics").1;
    assert_eq!(value(&text, "newswatch_config_reloads_total{outcome=\"refused\"}"), Some(refused as f64));
    assert_eq!(value(&text, "newswatch_config_reloads_total{outcome=\"taken\"}"), Some((RELOADS - refused) as f64));
    let good = base.clone() + &of(&names);
    let kept = folder.read("newswatch.toml");
    folder.write("newswatch.toml", &good);
    folder.run(&["status"]).says("the last reload was refused");
    folder.write("newswatch.toml", &kept);
    wait_until("every hit", || folder.read("hits.log").lines().count() >= published);
    std::thread::sleep(Duration::from_millis(300));
    let log = folder.read("hits.log");
    for n in 1..=published {
        assert_eq!(log.matches(&format!("/a/{n} ")).count(), 1, "item {n} in:\n{log}");
    }
    assert_eq!(log.lines().count(), published, "{log}");
    assert!(!folder.read("second.log").is_empty(), "the second route was never in force");
    for name in names {
        let times = web.times(&format!("/{name}"));
        let least = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(least >= Duration::from_millis(900), "{name} was asked again after {least:?}");
    }
    // A good one ends it.
    folder.write("newswatch.toml", &good);
    daemon.signal("-HUP");
    wait_until("the last reload", || {
        value(&get(&address, "/metrics").1, "newswatch_config_last_reload_successful") == Some(1.0)
    });
    folder.run(&["status"]).never_says("the last reload was refused");
}
