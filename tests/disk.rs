//! Trouble with the disk: the real binary while writes to its files fail, and what a healthy run after it finds.
//!
//! A small library (tests/disk/fail.c) is preloaded into the binary and makes the Nth write, sync, truncation or creation of a
//! file fail. `NEWSWATCH_TEST_DISK=all` tries every N; otherwise a sample of them is tried.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Row;
use support::{Folder, PROFILE, Ran, Web, loopback, rss, source, wait_until};

const SOURCES: usize = 3;
const ITEMS: usize = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fail-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library);
        compiler.arg(support::manifest("tests/disk/fail.c")).arg("-ldl");
        assert!(compiler.status().expect("cc compiles the library").success());
        library
    })
}

/// A fault: which call fails, how, and whether all later ones do too.
#[derive(Clone, Copy, Debug)]
struct Fault {
    at: usize,
    errno: i32,
    from_then_on: bool,
}

fn feeds(web: &Web) {
    for n in 0..SOURCES {
        let items: Vec<(String, String)> =
            (0..ITEMS).map(|k| (format!("{n}-{k}"), format!("Report {n} {k}"))).collect();
        let items: Vec<(&str, &str, &str)> =
            items.iter().map(|(key, title)| (key.as_str(), title.as_str(), "the observer seat")).collect();
        web.put(&format!("/feed{n}"), rss(&web.base, &items));
    }
}

fn folder(web: &Web) -> Folder {
    let folder = Folder::new("");
    let sources: String =
        (0..SOURCES).map(|n| source(&format!("s{n}"), &format!("{}/feed{n}", web.base), "")).collect();
    folder.write("newswatch.toml", &(loopback(folder.path()) + &sources)).write("profiles.d/seat.toml", PROFILE);
    folder
}

/// One cycle under a fault, its own log included; also how many calls there were and how many of them failed.
fn faulty(folder: &Folder, fault: Fault) -> (Ran, usize, usize) {
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut command = folder.command(&["run", "--once", "--backlog"]);
    command
        .env("LD_PRELOAD", library())
        .env("FAIL_FOLDER", folder.path())
        .env("FAIL_AT", fault.at.to_string())
        .env("FAIL_ERRNO", fault.errno.to_string())
        .env("FAIL_REPORT", report.path());
    if fault.from_then_on {
        command.env("FAIL_ON", "1");
    }
    let ran = Ran::of(command.output().unwrap());
    let counts = std::fs::read_to_string(report.path()).unwrap();
    let counts: Vec<usize> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    (ran, counts[0], counts[1])
}

/// What must hold of the store right after the fault, read from a copy by nothing but SQLite.
async fn check_store(folder: &Folder) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["newswatch.sqlite", "newswatch.sqlite-wal"] {
        if folder.path().join(name).exists() {
            std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
        }
    }
    let path = copy.path().join("newswatch.sqlite");
    if std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
        return;
    }
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let verdict: String = sqlx::query("PRAGMA integrity_check").fetch_one(&pool).await.unwrap().get(0);
    assert_eq!(verdict, "ok");
    let tables: i64 =
        sqlx::query("SELECT count(*) FROM sqlite_master WHERE name = 'items'").fetch_one(&pool).await.unwrap().get(0);
    if tables == 1 {
        let rows = sqlx::query(
            "SELECT s.name, (SELECT count(*) FROM items i WHERE i.source = s.name) FROM sources s WHERE s.etag IS NOT NULL",
        );
        for row in rows.fetch_all(&pool).await.unwrap() {
            let (name, items): (String, i64) = (row.get(0), row.get(1));
            assert_eq!(items, ITEMS as i64, "{name}: validators stand there without their items");
        }
    }
    pool.close().await;
}

/// The lines of the log channel by item.
fn told(folder: &Folder) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in folder.read("hits.log").lines().filter(|line| line.contains(" message=")) {
        let url = line.split(" url=").nth(1).unwrap().split(' ').next().unwrap();
        told.entry(url.to_string()).or_default().push(line.to_string());
    }
    told
}

/// A cycle under a fault, then healthy ones: nothing may be lost, and nothing may have gone wrong in silence. False when the
/// fault came too late to strike.
fn survive(web: &Web, fault: Fault) -> bool {
    let folder = folder(web);
    let (ran, _, failed) = faulty(&folder, fault);
    let all = SOURCES * ITEMS;
    let whole = ran.code == 0 && told(&folder).len() == all;
    let said = ran.code != 0 || ran.err.contains("ERROR") || ran.err.contains("WARN");
    assert!(whole || said, "{fault:?}: in silence: {ran:#?}");
    assert!(!ran.err.contains("panicked"), "{fault:?}: {ran:#?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check_store(&folder));

    let healthy = folder.run(&["run", "--once", "--backlog"]);
    assert_eq!(healthy.code, 0, "{fault:?}: after {ran:#?}\n{healthy:#?}");
    // What the log file did not take is due again in a minute; the operator need not wait.
    let waiting = folder.run(&["outbox", "list", "--state", "waiting", "--json"]).ok().out;
    for row in waiting.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        folder.run(&["outbox", "retry", row["id"].as_str().unwrap()]).ok();
    }
    if !waiting.is_empty() {
        folder.run(&["run", "--once", "--backlog"]).ok();
    }
    let told = told(&folder);
    let hits = folder.run(&["hits", "--json"]).ok().out.lines().count();
    assert_eq!((told.len(), hits), (all, all), "{fault:?}: lost: after {ran:#?}\n{healthy:#?}");
    for lines in told.values() {
        assert!(lines.iter().all(|line| *line == lines[0]), "{fault:?}: told twice as two: {lines:?}");
    }
    failed > 0
}

#[test]
fn whatever_write_of_a_cycle_fails_nothing_is_lost_and_nothing_is_silent() {
    let web = Web::start();
    feeds(&web);
    let (ran, calls, _) = faulty(&folder(&web), Fault { at: 0, errno: EIO, from_then_on: false });
    ran.ok();
    let every = std::env::var("NEWSWATCH_TEST_DISK").is_ok_and(|word| word == "all");
    let mut faults = Vec::new();
    for at in 1..=calls + calls / 8 {
        for (n, (errno, from_then_on)) in
            [(EIO, false), (EIO, true), (ENOSPC, false), (ENOSPC, true)].into_iter().enumerate()
        {
            // The sample: each kind of fault at eight places, which lie between each other.
            if every || (at + n * calls / 32) % (calls / 8) == 0 {
                faults.push(Fault { at, errno, from_then_on });
            }
        }
    }
    // Most of the time of a faulty run is spent waiting for the disk to come back.
    let (next, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    struck.fetch_add(usize::from(survive(&web, *fault)), Ordering::Relaxed);
                }
            });
        }
    });
    let struck = struck.into_inner();
    if every {
        let count = format!("{calls} calls in a healthy run; {} faults tried, {struck} struck\n", faults.len());
        std::io::Write::write_all(&mut std::io::stderr(), count.as_bytes()).unwrap();
    }
    assert!(struck * 10 > faults.len() * 7, "{struck} of {} faults struck", faults.len());
}

#[test]
fn a_new_store_is_announced_and_a_damaged_one_named_with_what_to_do() {
    let web = Web::start();
    feeds(&web);
    let folder = folder(&web);
    let store = folder.path().join("newswatch.sqlite");
    let told = format!("made a new store at {}", store.display());
    folder.run(&["run", "--once"]).ok().says(&told);
    folder.run(&["run", "--once"]).ok().never_says("made a new store");
    let good = std::fs::read(&store).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let damage: [(&str, Damage); 3] = [
        ("cut short", |bytes| bytes.truncate(5_000)),
        ("another head", |bytes| bytes[..100].fill(b'x')),
        ("garbage in the middle", |bytes| bytes[8_192..100_000].fill(0xa5)),
    ];
    for (name, damage) in damage {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(&store, &bytes).unwrap();
        let ran = folder.run(&["run", "--once"]);
        assert_eq!(ran.code, 1, "{name}: {ran:#?}");
        ran.says(&store.display().to_string())
            .says("the file is damaged: restore a backup, or move it away to start anew");
        assert_eq!(std::fs::read(&store).unwrap(), bytes, "{name}: what is left of it is not touched");
    }
    std::fs::write(&store, &good).unwrap();
    folder.run(&["run", "--once"]).ok();
}

#[test]
fn a_store_that_is_removed_under_the_daemon_is_missed() {
    let web = Web::start();
    feeds(&web);
    let folder = folder(&web);
    let log = std::fs::File::create(folder.path().join("daemon.log")).unwrap();
    let mut command = folder.command(&["run"]);
    // With a watchdog the daemon looks after itself more often.
    command.env("WATCHDOG_USEC", "900000").stderr(Stdio::from(log)).stdout(Stdio::null());
    let mut daemon = command.spawn().unwrap();
    wait_until("first contact", || folder.read("daemon.log").contains("first contact"));
    std::fs::remove_file(folder.path().join("newswatch.sqlite")).unwrap();
    wait_until("the complaint", || folder.read("daemon.log").contains("was removed or replaced while newswatch runs"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
