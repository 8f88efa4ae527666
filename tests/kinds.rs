//! Every kind of source, whole: from configuration to hit, with what is its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;
use std::time::SystemTime;

use support::{Folder, PROFILE, Page, Ran, Web, loopback, manifest, page, rss};

const SOURCES: &str = r#"
[[source]]
name = "feed"
url = "BASE/feed"
interval = "1s"

[[source]]
name = "list"
kind = "page"
url = "BASE/list"
interval = "1s"
[source.select]
item = "li"
link = "a"

[[source]]
name = "members"
kind = "watch"
url = "BASE/members"
interval = "1s"
part = "main"
ignore = ['Seen \d+ times']
removed = true

[[source]]
name = "site"
kind = "sitemap"
url = "BASE/sitemap.xml"
interval = "1s"
include = "/a/"
article = true

[[source]]
name = "api"
kind = "json"
url = "BASE/api"
interval = "1s"
[source.select]
items = "/articles"
title = "title"
link = "url"
date = "seendate"

[[source]]
name = "mail"
kind = "folder"
path = "mail"
interval = "1s"
"#;

fn folder(web: &Web, sources: &str) -> Folder {
    let folder = Folder::new("");
    folder
        .write("newswatch.toml", &(loopback(folder.path()) + &sources.replace("BASE", &web.base)))
        .write("profiles.d/seat.toml", PROFILE);
    folder
}

fn html(body: &str) -> Page {
    page("text/html", format!("<html lang=\"en\"><title>A page</title><body>{body}</body></html>"))
}

fn article(words: &str) -> Page {
    let rest = "<p>The board met for nine days, and the ferries stayed in port all the time, as everybody knows.</p>";
    html(&format!("<article><h1>Harbour news</h1><p>{words}</p>{}</article>", rest.repeat(5)))
}

fn sitemap(parts: &str) -> Page {
    page("application/xml", format!("<sitemapindex>{parts}</sitemapindex>"))
}

fn addresses(base: &str, names: &[&str]) -> Page {
    let rows: String = names.iter().map(|name| format!("<url><loc>{base}/a/{name}</loc></url>")).collect();
    page("application/xml", format!("<urlset>{rows}<url><loc>{base}/about</loc></url></urlset>"))
}

/// Puts a file there that was written long ago.
fn settled(folder: &Folder, name: &str, text: &str) {
    folder.write(name, text);
    let file = std::fs::File::options().append(true).open(folder.path().join(name)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn message(id: &str, words: &str) -> String {
    format!("Message-ID: <{id}@h.example>\r\nFrom: Desk <desk@h.example>\r\nSubject: Letter {id}\r\n\r\n{words}\r\n")
}

fn told(folder: &Folder) -> Vec<String> {
    let log = folder.read("hits.log");
    let mut told: Vec<String> = log
        .lines()
        .map(|line| {
            let of = |key: &str| line.split(key).nth(1).unwrap().to_string();
            let title = of("title=\"").split('"').next().unwrap().to_string();
            format!("{}: {title}", of("source=").split(' ').next().unwrap())
        })
        .collect();
    told.sort();
    told
}

#[test]
fn every_kind_leads_to_its_hits_and_to_nothing_else() {
    let web = Web::start();
    let base = web.base.clone();
    let index =
        |date: &str| sitemap(&format!("<sitemap><loc>{base}/part.xml</loc><lastmod>{date}</lastmod></sitemap>"));
    web.put("/feed", rss(&base, &[("1", "Quiet", "Nothing.")]));
    web.put("/list", html("<ul><li><a href='/a/l1'>Quiet</a></li></ul>"));
    web.put(
        "/members",
        html("<nav>Menu</nav><main><p>Samoa</p><p>Ruritania has the observer seat</p><p>Seen 3 times</p></main>"),
    );
    web.put("/sitemap.xml", index("2026-11-01")).put("/part.xml", addresses(&base, &["s1"]));
    web.put("/a/s1", article("Nothing happened."));
    web.put(
        "/api",
        page("application/json", r#"{"articles":[{"title":"Quiet","url":"/a/j1","seendate":"20261120T101500Z"}]}"#),
    );
    let folder = folder(&web, SOURCES);
    settled(&folder, "mail/new/1.host", &message("1", "Nothing happened."));
    folder.run(&["check"]).ok().says("Sources: 6 of 6 are polled");
    folder.run(&["run", "--once"]).ok().says("6 sources asked, 0 cannot be read; 6 new items, 1 hit, 0 messages");

    web.put("/feed", rss(&base, &[("2", "Feed news", "The observer seat is empty."), ("1", "Quiet", "Nothing.")]));
    web.put(
        "/list",
        html("<ul><li><a href='/a/l2'>Observer seat gone</a></li><li><a href='/a/l1'>Quiet</a></li></ul>"),
    );
    web.put(
        "/members",
        html("<nav>New menu</nav><main><p>Samoa</p><p>Ruritania has the observer seat</p><p>Freedonia wants the observer seat</p><p>Seen 4 times</p></main>"),
    );
    web.put("/sitemap.xml", index("2026-11-02")).put("/part.xml", addresses(&base, &["s2-chair-stays-empty", "s1"]));
    web.put("/a/s2-chair-stays-empty", article("They took the observer seat away."));
    web.put(
        "/api",
        page(
            "application/json",
            r#"{"articles":[{"title":"An observer seat for sale","url":"/a/j2","seendate":"20261121T101500Z"}]}"#,
        ),
    );
    settled(&folder, "mail/new/2.host", &message("2", "The observer seat is empty."));
    // A message that was seen is no new one.
    std::fs::create_dir(folder.path().join("mail/cur")).unwrap();
    std::fs::rename(folder.path().join("mail/new/1.host"), folder.path().join("mail/cur/1.host:2,S")).unwrap();
    folder.run(&["run", "--once"]).ok().says("0 cannot be read; 6 new items, 6 hits");
    let expected = [
        "api: An observer seat for sale",
        "feed: Feed news",
        "list: Observer seat gone",
        "mail: Letter 2",
        "members: A page: Freedonia wants the observer seat",
    ];
    let told_now = told(&folder);
    assert_eq!(told_now[..5], expected);
    assert!(told_now[5] == "site: A page", "the article's title, for want of one in the sitemap: {told_now:?}");
    assert_eq!(web.requests("/part.xml").len(), 2);
    assert_eq!(web.requests("/about").len(), 0, "only what is included is asked for");

    // Nothing new: nobody is told, and the part is not asked for.
    folder.run(&["run", "--once"]).ok().says("0 new items, 0 hits, 0 messages");
    assert_eq!(web.requests("/part.xml").len(), 2);

    // What vanishes from a watched page is news when it is missing twice.
    web.put("/members", html("<main><p>Samoa</p><p>Freedonia wants the observer seat</p></main>"));
    folder.run(&["run", "--once"]).ok().says("0 new items");
    folder.run(&["run", "--once"]).ok().says("1 new item, 1 hit");
    assert!(told(&folder).contains(&"members: A page: no longer there: Ruritania has the observer seat".to_string()));
}

#[test]
fn a_list_goes_on_at_its_next_page_while_everything_is_new() {
    let web = Web::start();
    let row = |n: u32| format!("<li><a href='/a/{n}'>Notice {n} on the observer seat</a></li>");
    let list = |from: u32, next: &str| {
        let rows: String = (from..from + 3).rev().map(row).collect();
        html(&format!("<ul>{rows}</ul><a class=next href='{next}'>older</a>"))
    };
    web.put("/list", list(1, "/none"));
    web.put("/none", Page { status: 404, ..html("") });
    let sources = "[[source]]\nname = \"list\"\nkind = \"page\"\nurl = \"BASE/list\"\ninterval = \"1s\"\nnext = \"a.next@href\"\n\
                   [source.select]\nitem = \"li\"\nlink = \"a\"\n";
    let folder = folder(&web, sources);
    folder.run(&["run", "--once"]).ok().says("3 new items");
    // Seven came at once: the first page shows none that is known.
    web.put("/list", list(8, "/list2")).put("/list2", list(5, "/list3")).put("/list3", list(2, "/list4"));
    folder.run(&["run", "--once"]).ok().says("7 new items, 7 hits");
    assert_eq!((web.requests("/list3").len(), web.requests("/list4").len()), (1, 0));
    folder.run(&["run", "--once"]).ok().says("0 new items");
    assert_eq!(web.requests("/list2").len(), 1);
}

#[test]
fn a_part_that_fails_is_asked_again_and_spoils_no_other() {
    let web = Web::start();
    let base = web.base.clone();
    let part = |name: &str| format!("<sitemap><loc>{base}/{name}.xml</loc><lastmod>2026-11-01</lastmod></sitemap>");
    web.put("/sitemap.xml", sitemap(&(part("one") + &part("two"))));
    web.put("/one.xml", addresses(&base, &["observer-seat-1"]));
    web.put("/two.xml", Page { status: 500, ..html("") });
    let sources = "[[source]]\nname = \"site\"\nkind = \"sitemap\"\nurl = \"BASE/sitemap.xml\"\ninterval = \"1s\"\n";
    let folder = folder(&web, sources);
    folder.run(&["run", "--once"]).ok().says("2 new items");
    folder.run(&["source", "list"]).ok().says("two.xml cannot be read: status 500");
    web.put("/two.xml", addresses(&base, &["observer-seat-2"]));
    folder.run(&["run", "--once"]).ok().says("1 new item");
    assert_eq!(web.requests("/one.xml").len(), 1, "its date has not changed");
    folder.run(&["source", "list"]).ok().never_says("two.xml");
}

#[test]
fn reports_are_read_where_poppler_is_installed_and_named_where_not() {
    let web = Web::start();
    let report = std::fs::read(manifest("tests/data/reading/report.pdf")).unwrap();
    web.put("/feed", rss(&web.base, &[("1", "Old", "Nothing.")]));
    web.put("/a/2", page("application/pdf", report));
    web.put("/a/3", page("application/pdf", std::fs::read(manifest("tests/data/reading/scanned.pdf")).unwrap()));
    let sources = "[[source]]\nname = \"wire\"\nurl = \"BASE/feed\"\ninterval = \"1s\"\narticle = true\n";
    let folder = folder(&web, sources);
    web.put("/a/1", article("Nothing happened."));
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", rss(&web.base, &[("2", "Report", "A report."), ("3", "Scan", "A scan.")]));
    // Where it is not installed only its absence can be tested.
    if Command::new("pdftotext").arg("-v").output().is_ok() {
        folder.run(&["run", "--once"]).ok().says("2 new items, 1 hit");
        assert_eq!(told(&folder), ["wire: Report"]);
        folder.run(&["why", &format!("{}/a/3", web.base)]).says("a PDF without text: its pages are pictures");
    }
    web.put("/feed", rss(&web.base, &[("4", "Another", "A report.")]));
    web.put("/a/4", page("application/pdf", std::fs::read(manifest("tests/data/reading/report.pdf")).unwrap()));
    Ran::of(folder.command(&["run", "--once"]).env("PATH", "/nonexistent").output().unwrap()).ok().says("1 new item");
    let why = folder.run(&["why", &format!("{}/a/4", web.base)]);
    why.says("matched on summary only").says("pdftotext is not installed: install poppler-utils");
}

#[test]
fn a_page_of_a_list_that_fails_for_now_loses_nothing() {
    let web = Web::start();
    let row = |n: u32| format!("<li><a href='/a/{n}'>Notice {n} on the observer seat</a></li>");
    let list = |numbers: std::ops::Range<u32>, next: &str| {
        let rows: String = numbers.rev().map(row).collect();
        html(&format!("<ul>{rows}</ul><a class=next href='{next}'>older</a>"))
    };
    web.put("/list", list(1..4, "/list2"));
    let sources = "[[source]]\nname = \"list\"\nkind = \"page\"\nurl = \"BASE/list\"\ninterval = \"1s\"\nnext = \"a.next@href\"\n\
                   [source.select]\nitem = \"li\"\nlink = \"a\"\n";
    let folder = folder(&web, sources);
    folder.run(&["run", "--once"]).ok().says("3 new items");
    web.put("/list", list(6..9, "/list2")).put("/list2", Page { status: 500, ..html("") });
    folder.run(&["run", "--once"]);
    folder.run(&["source", "list"]).says("page 2 of the list cannot be read: status 500");
    web.put("/list2", list(3..6, "/list3"));
    folder.run(&["run", "--once"]).ok().says("5 new items, 5 hits");
}

#[test]
fn a_report_in_a_folder_is_read_as_soon_as_it_can_be() {
    let web = Web::start();
    let folder =
        folder(&web, "[[source]]\nname = \"reports\"\nkind = \"folder\"\npath = \"reports\"\ninterval = \"1s\"\n");
    settled(&folder, "reports/old.txt", "Old news\nNothing.");
    folder.run(&["run", "--once"]).ok().says("1 new item");
    std::fs::copy(manifest("tests/data/reading/report.pdf"), folder.path().join("reports/new.pdf")).unwrap();
    let file = std::fs::File::options().append(true).open(folder.path().join("reports/new.pdf")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let without = || Ran::of(folder.command(&["run", "--once"]).env("PATH", "/nonexistent").output().unwrap());
    without().ok().says("0 new items");
    without().ok().says("0 new items");
    folder.run(&["source", "list"]).ok().says("new.pdf is not read").says("install poppler-utils");
    // Where it is not installed only its absence can be tested.
    if Command::new("pdftotext").arg("-v").output().is_ok() {
        folder.run(&["run", "--once"]).ok().says("1 new item, 1 hit");
        folder.run(&["source", "list"]).ok().never_says("new.pdf");
    }
}
