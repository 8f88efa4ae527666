//! How fast documents are read. The inputs are made here; `NEWSWATCH_BENCH_FEEDS=FOLDER` reads all files of a folder besides.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use newswatch::poller::identity;
use newswatch::poller::read::{article, feed, html};
use newswatch::poller::source::{Document, ReadLimits};
use url::Url;

const WORDS: &str = "harbour strike ended after nine days without a single ship leaving the quays and crews were called back before dawn";

fn paragraph(number: usize) -> String {
    format!(
        "<p>{number}. The <b>{WORDS}</b> &amp; the <a href=\"/n/{number}\">merchants</a> said &#8220;{WORDS}&#8221;.</p>"
    )
}

fn rss(entries: usize, paragraphs: usize) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Coast Herald</title><link>https://example.org/</link>",
    );
    for number in 0..entries {
        let text: String = (0..paragraphs).map(paragraph).collect();
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        out.push_str(&format!(
            "<item><title>Entry {number} of the harbour</title><link>https://example.org/{number}</link><guid>tag:{number}</guid>\
             <pubDate>Sat, 26 Sep 2026 10:11:12 GMT</pubDate><category>Harbour</category><description>{text}</description></item>"
        ));
    }
    out.push_str("</channel></rss>");
    out
}

fn read_feed(text: &str, entries_max: usize) -> usize {
    let url = Url::parse("https://example.org/feed").expect("an address");
    let document = Document { url: &url, content_type: None, body: text.as_bytes() };
    let limits = ReadLimits { entries_max, ..ReadLimits::default() };
    feed::read(&document, &limits).expect("a feed").entries.len()
}

fn feeds(criterion: &mut Criterion) {
    for (name, text) in [("feed of 50 entries", rss(50, 2)), ("feed of 100,000 entries", rss(100_000, 2))] {
        let mut group = criterion.benchmark_group("reading");
        group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
        group.bench_function(name, |bencher| bencher.iter(|| read_feed(&text, 1_000_000)));
        group.bench_function(format!("{name}, with limits"), |bencher| bencher.iter(|| read_feed(&text, 5_000)));
        group.finish();
    }
}

/// Each file of a folder of real feeds, all in one iteration; without one, as many small feeds made here.
fn corpus(criterion: &mut Criterion) {
    let folder = std::env::var_os("NEWSWATCH_BENCH_FEEDS");
    let bodies: Vec<Vec<u8>> = match &folder {
        Some(folder) => std::fs::read_dir(folder)
            .expect("a folder")
            .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
            .collect(),
        None => (0..2_000).map(|number| rss(number % 30, 2).into_bytes()).collect(),
    };
    let url = Url::parse("https://example.org/feed").expect("an address");
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("reading");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group.bench_function(format!("{} feeds", bodies.len()), |bencher| {
        bencher.iter(|| {
            let read = |body: &Vec<u8>| {
                feed::read(&Document { url: &url, content_type: None, body }, &ReadLimits::default()).is_ok()
            };
            bodies.iter().filter(|body| read(body)).count()
        });
    });
    group.finish();
}

/// Documents made to take long or much. None may take two seconds.
fn hostile(criterion: &mut Criterion) {
    let item = |inside: &str| {
        format!("<rss version=\"2.0\"><channel><title>t</title><item><title>a</title>{inside}</item></channel></rss>")
    };
    let description = |text: String| item(&format!("<description>{text}</description>"));
    let json =
        |items: &str| format!("{{\"version\":\"https://jsonfeed.org/version/1\",\"title\":\"t\",\"items\":[{items}]}}");
    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let rows: Vec<(&str, String)> = vec![
        ("a million unknown entities", description("&zz;".repeat(1_000_000))),
        ("60 MB of escaped ampersands", description("word &amp;amp; ".repeat(4_000_000))),
        ("a million bare ampersands", description("& ".repeat(1_000_000))),
        ("200,000 ampersands", description("&amp; ".repeat(200_000))),
        ("100,000 nested elements, escaped", description("&lt;div&gt;".repeat(100_000))),
        ("a million items", format!("<rss><channel>{}</channel></rss>", "<item/>".repeat(1_000_000))),
        (
            "JSON of 100,000 items",
            json(&vec![format!("{{\"id\":\"x\",\"content_text\":\"{}\"}}", WORDS.repeat(4)); 100_000].join(",")),
        ),
        ("a billion laughs", format!("<!DOCTYPE r [<!ENTITY l0 \"ha\">{laughs}]>{}", description("&l9;".into()))),
        (
            "100,000 attributes",
            item(&format!("<link {}/>", (0..100_000).map(|n| format!("a{n}=\"1\" ")).collect::<String>())),
        ),
        (
            "100,000 namespaces",
            format!(
                "<rss {}><item><title>a</title></item></rss>",
                (0..100_000).map(|n| format!("xmlns:a{n}=\"b\" ")).collect::<String>()
            ),
        ),
        ("100,000 nested elements", item(&"<a>".repeat(100_000))),
        ("open quotes", item(&"<a b=\"".repeat(500_000))),
        ("open sections", item(&"<![CDATA[".repeat(500_000))),
        ("open comments", item(&"<!--".repeat(1_000_000))),
        ("open items", format!("<rss><channel>{}", "<item><title>a".repeat(500_000))),
        ("JSON nested a million deep", json(&"[".repeat(1_000_000))),
    ];
    let url = Url::parse("https://example.org/feed").expect("an address");
    let mut group = criterion.benchmark_group("hostile");
    group.sample_size(10);
    for (name, text) in rows {
        group.bench_function(name, |bencher| {
            let document = Document { url: &url, content_type: None, body: text.as_bytes() };
            bencher.iter(|| feed::read(&document, &ReadLimits::default()).is_ok());
        });
    }
    group.finish();
}

/// An article page as sites serve it: about 100 KB, most of it around the article.
fn article_page() -> String {
    let links = |count: usize| -> String {
        (0..count).map(|number| format!("<li class=\"menu-item\"><a href=\"/m/{number}\">{WORDS}</a></li>")).collect()
    };
    let body: String = (0..30).map(paragraph).collect();
    format!(
        "<!doctype html><html lang=en><head><title>Strike - Coast Herald</title><meta property=\"article:published_time\" \
         content=\"2026-09-26T10:11:12Z\"><script type=\"application/ld+json\">{{\"@type\":\"NewsArticle\",\"headline\":\"Strike\"}}</script>\
         <script>{}</script></head><body><nav><ul>{}</ul></nav><main><article><h1>Strike</h1><div class=\"share-bar\">{}</div>\
         <div class=\"body\">{body}</div></article><aside class=\"related\"><ul>{}</ul></aside></main><footer>{}</footer></body></html>",
        "var a = 1; ".repeat(2_000),
        links(120),
        links(5),
        links(40),
        links(80)
    )
}

fn pages(criterion: &mut Criterion) {
    let page = article_page();
    let url = Url::parse("https://example.org/a").expect("an address");
    let mut group = criterion.benchmark_group("reading");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("html to text", |bencher| bencher.iter(|| html::plain_text(&page, 1 << 20)));
    group.bench_function("article", |bencher| {
        let document = Document { url: &url, content_type: None, body: page.as_bytes() };
        bencher.iter(|| article::article(&document, &ReadLimits::default()).expect("an article"));
    });
    group.finish();
}

fn identities(criterion: &mut Criterion) {
    let url = Url::parse("https://example.org/feed").expect("an address");
    let text = rss(50, 2);
    let document = Document { url: &url, content_type: None, body: text.as_bytes() };
    let entries = feed::read(&document, &ReadLimits::default()).expect("a feed").entries;
    criterion.bench_function("reading/keys of 50 entries", |bencher| bencher.iter(|| identity::keys(&entries)));
}

criterion_group!(benches, feeds, corpus, hostile, pages, identities);
criterion_main!(benches);
