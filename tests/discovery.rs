//! From an address to sources: probe, lists of subscriptions, a look at one source. The real binary, whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{Folder, PROFILE, Web, loopback, page, rss, source};

const LIST: &str = include_str!("data/reading/list.html");
const ARTICLE: &str = include_str!("data/reading/article.html");

fn folder(sources: &str) -> Folder {
    let folder = Folder::new("");
    folder.write("newswatch.toml", &(loopback(folder.path()) + sources)).write("profiles.d/seat.toml", PROFILE);
    folder
}

#[test]
fn what_probe_prints_is_configuration_that_reads_the_page() {
    let web = Web::start();
    web.put("/news", page("text/html", LIST)).put("/news/ferry-berth", page("text/html", ARTICLE));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let probed = folder.run(&["probe", &format!("{}/news", web.base)]).ok();
    probed
        .says("# List on the page: 5 items, 5 of them dated")
        .says("# 2026-11-19 Harbour authority opens second ferry berth after long delay")
        .says("# title: Harbour workers end their strike")
        .says("article = true")
        .never_says("enabled = false");
    assert_eq!(web.requests("/feed.xml").len(), 1, "the common places are asked, as the page names no feed");
    folder.write("sources.d/probed.toml", &probed.out);
    folder.run(&["check"]).ok().says("127-0-0-1-news-harbour");
    let name = probed.out.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
    let tested = folder.run(&["source", "test", name]).ok();
    tested
        .says("5 items")
        .says("Crane number four is repaired")
        .says("It had stood still since the storm")
        .says("/news/ferry-berth\n")
        .says("its page, 627 characters, en: After nine days without a single ship");
    assert_eq!(folder.run(&["hits", "--json"]).ok().out, "", "a test changes nothing");
}

#[test]
fn a_feed_that_gives_the_list_switches_the_list_off() {
    let web = Web::start();
    let items = ["ferry-berth", "dredging", "pilot-boat"].map(|name| {
        format!("<item><title>{name}</title><link>{}/news/{name}</link><pubDate>Thu, 19 Nov 2026 10:00:00 GMT</pubDate></item>", web.base)
    });
    let feed = format!(
        "<rss version='2.0'><channel><title>Port</title><language>en</language>{}</channel></rss>",
        items.concat()
    );
    web.put(
        "/news",
        page(
            "text/html",
            LIST.replace("</head>", "<link rel=alternate type='application/rss+xml' href=/port.rss></head>"),
        ),
    );
    web.put("/port.rss", page("application/rss+xml", feed));
    web.put("/robots.txt", page("text/plain", format!("Sitemap: {}/map.xml\n", web.base)));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    let probed = folder.run(&["probe", &format!("{}/news", web.base)]).ok();
    probed
        .says("# 3 entries, the newest of 2026-11-19 10:00:00Z; language en")
        .says("/map.xml (named by robots.txt)")
        .says("enabled = false");
    assert!(web.requests("/feed.xml").is_empty(), "no guessing where a feed is named");
    folder.write("sources.d/probed.toml", &probed.out);
    folder.run(&["check"]).ok();
}

#[test]
fn a_feed_that_nobody_names_is_found_and_an_article_is_known() {
    let web = Web::start();
    web.put("/about", page("text/html", ARTICLE)).put("/rss.xml", rss(&web.base, &[("1", "One", "x")]));
    let folder = folder(&source("wire", &format!("{}/feed", web.base), ""));
    folder
        .run(&["probe", &format!("{}/about", web.base)])
        .ok()
        .says("# 1 entry")
        .says("/rss.xml\"")
        .says("# The page is one article.")
        .says("# title: Harbour workers end their strike");
    folder.write("list.html", LIST);
    let file = folder.path().join("list.html").display().to_string();
    folder
        .run(&["probe", &file, "--base-url", "https://harbour.example/news"])
        .ok()
        .says("item = \"li.story\"")
        .says("https://harbour.example/news/crane");
    assert_eq!(folder.run(&["probe", "/nowhere/at/all"]).code, 1);
}

#[test]
fn lists_of_subscriptions_come_in_and_go_out() {
    let folder = folder(&source("wire", "https://wire.example/feed", "group = \"Wires\""));
    folder.write("list.opml", include_str!("data/reading/subscriptions.opml"));
    let file = folder.path().join("list.opml").display().to_string();
    let imported = folder.run(&["source", "import", &file]);
    assert_eq!(imported.code, 1, "something was left out");
    imported
        .says("list.opml:10: left out: a broken outline")
        .says("list.opml:15: left out: \"Harbour again\" has the address of line 6")
        .says("list.opml:16: left out: \"Not an address\": \"nowhere\" is no http or https address")
        .says("4 of 6 sources taken over")
        .says("group = \"Think tanks/Korea\"");
    folder.write(
        "sources.d/imported.toml",
        &(imported.out
            + "\n[[source]]\nname = \"notices\"\nkind = \"page\"\nurl = \"https://n.example/\"\n[source.select]\nitem = 'li[class=\"n\"] > a'\ndate = \"@data-day\"\n"),
    );
    folder.run(&["check"]).ok();
    let exported = folder.run(&["source", "export"]).ok().out;
    let nested = "    <outline text=\"Think tanks\" title=\"Think tanks\">\n      <outline type=\"rss\" text=\"Tank\"";
    assert!(exported.contains(nested), "{exported}");

    let second = Folder::new("");
    second.write("list.opml", &exported).write("profiles.d/seat.toml", PROFILE);
    let file = second.path().join("list.opml").display().to_string();
    let imported = second.run(&["source", "import", &file]).ok();
    second.write("newswatch.toml", &imported.out);
    assert_eq!(second.run(&["source", "export"]).ok().out, exported);
    let again = second.run(&["source", "import", &file]);
    again.says("0 of 6 sources taken over").says("is configured already, as wire");
}
