//! How fast documents are read. The inputs are made here.

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
        group.finish();
    }
}

fn pages(criterion: &mut Criterion) {
    let body: String = (0..40).map(paragraph).collect();
    let page = format!(
        "<!doctype html><html lang=en><head><title>Strike</title></head><body><nav><a href=/>Home</a></nav><article><h1>Strike</h1>{body}</article></body></html>"
    );
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

criterion_group!(benches, feeds, pages, identities);
criterion_main!(benches);
