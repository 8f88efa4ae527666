use super::*;
use crate::model::Entry;
use url::Url;

fn read_text(text: &str) -> Result<Reading, ReadError> {
    let url = Url::parse("https://example.org/feeds/all.xml").unwrap();
    read(&Document { url: &url, content_type: None, body: text.as_bytes() }, &ReadLimits::default())
}

fn entries(text: &str) -> Vec<Entry> {
    read_text(text).unwrap().entries
}

#[test]
fn one_feed_in_four_dialects_reads_the_same() {
    let of = |text: &str| {
        let reading = read_text(text).unwrap();
        assert_eq!((reading.title.as_str(), reading.url.as_deref()), ("Coast Herald", Some("https://example.org/")));
        assert!(reading.problems.is_empty() && !reading.truncated);
        reading
            .entries
            .into_iter()
            .map(|e| (e.guid, e.url, e.title, e.summary, e.content, e.published, e.authors, e.categories))
            .collect::<Vec<_>>()
    };
    let rss = of(include_str!("../../../../tests/data/reading/rss.xml"));
    assert_eq!(rss.len(), 2);
    assert_eq!(rss[0].2, "Fish & chips: the port “strike” ends");
    assert_eq!(rss[0].4, "The whole text.\n\nSecond paragraph.");
    assert_eq!(of(include_str!("../../../../tests/data/reading/atom.xml")), rss);
    assert_eq!(of(include_str!("../../../../tests/data/reading/rdf.xml")), rss);
    assert_eq!(of(include_str!("../../../../tests/data/reading/feed.json")), rss);
}

#[test]
fn broken_feeds_give_what_they_hold() {
    for (why, text, titles) in [
        ("no version", "<rss><channel><item><title>a</title></item></channel></rss>", &["a"][..]),
        ("item outside the channel", "<rss><channel/><item><title>a</title></item></rss>", &["a"]),
        ("item not closed", "<rss><item><title>a</title><item><title>b</title></rss>", &["a", "b"]),
        (
            "title not closed",
            "<rss><item><title>a<link>https://example.org</link></item><item><title>b</title></item></rss>",
            &["a", "b"],
        ),
        ("title never closed", "<rss><item><title>a</item><item><title>b</title></item></rss>", &["a", "b"]),
        ("upper case", "<RSS><CHANNEL><ITEM><TITLE>a</TITLE></ITEM></CHANNEL></RSS>", &["a"]),
        ("stray markup", "<rss><item><title>1 < 2 & 3</title></item></b></rss>", &["1 < 2 & 3"]),
        ("prefix nobody declared", "<rss><item><dc:title>a</dc:title></item></rss>", &["a"]),
        ("junk before", "\n junk <?xml version='1.0'?><rss><item><title>a</title></item></rss>", &["a"]),
        ("undefined entity", "<rss><item><title>a&nbsp;&oops;</title></item></rss>", &["a &oops;"]),
        (
            "broken entry between good ones",
            "<rss><item><title>a</title></item><item><<<></item><item><title>b</title></item></rss>",
            &["a", "", "b"],
        ),
    ] {
        let found: Vec<String> = entries(text).into_iter().map(|entry| entry.title).collect();
        assert_eq!(found, titles, "{why}");
    }
}

#[test]
fn titles_of_images_and_sources_are_not_the_feeds() {
    let text = "<rss><channel><image><title>Logo</title><link>https://example.org/logo</link></image><title>Feed</title>\
                <item><source url='https://example.org/s'>Wire</source><title>a</title></item></channel></rss>";
    let reading = read_text(text).unwrap();
    assert_eq!((reading.title.as_str(), reading.url), ("Feed", None));
    assert_eq!(reading.entries[0].publisher, "Wire");
}

#[test]
fn a_feed_that_breaks_off_says_so() {
    let reading = read_text("<rss><channel><item><title>a</title></item><item><title>b</ti").unwrap();
    assert!(reading.truncated);
    assert_eq!(reading.entries.len(), 1, "half a title is no entry");
    let reading = read_text("<rss><channel><item><title>a</title></item><item><title>b</title>").unwrap();
    assert!(reading.truncated);
    assert_eq!(reading.entries.len(), 2, "whole fields are kept");
}

#[test]
fn long_feeds_keep_every_entry_and_what_the_parser_cannot_carry() {
    let item = |n: usize| {
        format!(
            "<item><title>t{n}</title><guid>g{n}</guid><source>Wire {n}</source><dc:language>l{n}</dc:language>\
             <author>张三（zhang{n}@example.com）</author><itunes:duration>99999999999999999999999</itunes:duration></item>"
        )
    };
    let items: String = (0..1_234).map(item).collect();
    let reading = read_text(&format!("<rss><channel>{items}<title>F</title><ttl>9</ttl></channel></rss>")).unwrap();
    assert_eq!((reading.title.as_str(), reading.ttl_minutes, reading.problems.len()), ("F", Some(9), 0));
    assert_eq!(reading.entries.len(), 1_234);
    for (n, entry) in reading.entries.iter().enumerate() {
        assert_eq!((&entry.title, &entry.guid), (&format!("t{n}"), &format!("g{n}")));
        assert_eq!((&entry.publisher, entry.language.as_ref()), (&format!("Wire {n}"), Some(&format!("l{n}"))));
        assert_eq!(entry.authors, [format!("张三（zhang{n}@example.com）")]);
    }
    let items: Vec<String> = (0..1_234)
        .map(|n| {
            format!(
                r#"{{"id":{n},"content_text":"a\nb{n}","language":"l{n}","author":{{"name":"张三（z@example.com）"}}}}"#
            )
        })
        .collect();
    let reading =
        read_text(&format!(r#"{{"version":"https://jsonfeed.org/version/1","items":[{}]}}"#, items.join(","))).unwrap();
    assert_eq!((reading.entries.len(), reading.problems.len()), (1_234, 0));
    for (n, entry) in reading.entries.iter().enumerate() {
        assert_eq!((&entry.guid, &entry.content), (&n.to_string(), &format!("a\nb{n}")));
        assert_eq!((entry.language.as_ref(), entry.authors.len()), (Some(&format!("l{n}")), 1));
    }
}

#[test]
fn what_is_no_feed_is_named() {
    for (text, expected) in [
        ("", "an empty document instead of a feed"),
        (
            "<!doctype html><html><head><title>Log in</title><link rel=alternate type=application/rss+xml href=/f>",
            "an HTML page titled \"Log in\"; it links these feeds: https://example.org/f",
        ),
        ("<html><p>x", "an HTML page instead of a feed; it links no feed"),
        (
            "<opml><body/></opml>",
            "a document of another kind instead of a feed; it begins with \"<opml><body/></opml>\"",
        ),
        ("{\"a\": 1}", "JSON, but no JSON Feed: it has no list of \"items\""),
        ("hello", "no feed at all instead of a feed; it begins with \"hello\""),
    ] {
        assert_eq!(read_text(text).unwrap_err().0, expected);
    }
}

#[test]
fn limits_hold_and_are_reported() {
    let url = Url::parse("https://example.org/").unwrap();
    let text = format!(
        "<rss><channel>{}</channel></rss>",
        "<item><title>t</title><description>123456789</description></item>".repeat(30)
    );
    let document = Document { url: &url, content_type: None, body: text.as_bytes() };
    let reading = read(&document, &ReadLimits { entries_max: 7, text_bytes_max: 4 }).unwrap();
    assert_eq!(reading.entries.len(), 7);
    assert_eq!(reading.entries[0].summary, "1234");
    assert_eq!(reading.problems, ["the document has more than 7 entries; the rest was not read"]);
}

#[test]
fn hostile_documents_take_linear_time() {
    for piece in [
        "<item>",
        "<!--",
        "<![CDATA[",
        "<x>",
        "<title>",
        "<description>",
        "<link ",
        "&amp;",
        "<a b=\"",
        "<entry><author><name>",
        "<media:group>",
    ] {
        let text = format!("<rss><channel><item>{}", piece.repeat(100_000));
        let _ = read_text(&text);
    }
    let nested = format!("{{\"items\":{}", "[".repeat(100_000));
    assert!(read_text(&nested).is_err());
}

#[test]
fn the_publishers_rhythm_is_read() {
    let reading = read_text(
        "<rss xmlns:sy='http://purl.org/rss/1.0/modules/syndication/'><channel><title>F</title>\
         <sy:updatePeriod> hourly </sy:updatePeriod><sy:updateFrequency>2</sy:updateFrequency>\
         <skipHours><hour>3</hour><hour>24</hour><hour>3</hour><hour>99</hour></skipHours>\
         <skipDays><day>Sunday</day><day>sat</day><day>Someday</day></skipDays>\
         <item><title>a</title><link>http://a.example/1</link></item></channel></rss>",
    )
    .unwrap();
    assert_eq!(
        (reading.update_minutes, reading.skip_hours.as_slice(), reading.skip_days.as_slice()),
        (Some(30), &[0, 3][..], &[5, 6][..])
    );
    let daily =
        read_text("<rss><channel><title>F</title><sy:updateFrequency>3</sy:updateFrequency></channel></rss>").unwrap();
    assert_eq!(daily.update_minutes, Some(480));
}

/// Bytes of the texts, names and addresses of a reading.
fn bytes(reading: &Reading) -> usize {
    let of = |e: &Entry| {
        let names = e.authors.iter().chain(&e.categories).chain(e.enclosures.iter().map(|e| &e.url)).chain(&e.url);
        [&e.guid, &e.title, &e.summary, &e.content].into_iter().chain(names).map(String::len).sum::<usize>()
    };
    reading.entries.iter().map(of).sum()
}

#[test]
fn a_namespace_nearly_right_is_meant() {
    let text = "<rss xmlns:c='http://purl.org/rss/1.0.modules/content/'><item><c:encoded>&lt;p>whole&lt;/p></c:encoded></item></rss>";
    assert_eq!(entries(text)[0].content, "whole");
}

#[test]
fn a_small_document_does_not_become_a_large_reading() {
    let base = format!("<rss xml:base='http://example.org/{}/'>", "a".repeat(1_900));
    let links: String = (0..100).map(|link| format!("<enclosure url='{link}'/>")).collect();
    let links = base + &format!("<item><title>x</title>{links}</item>").repeat(120);
    let entity = format!("<!DOCTYPE r [<!ENTITY a '{}'>]><rss>", "a ".repeat(495));
    let entity =
        entity + &format!("<item><title>x</title><description>{}</description></item>", "&a;".repeat(70)).repeat(1_000);
    let authors: Vec<String> = (0..100).map(|author| format!("{{\"name\":\"{author}{}\"}}", "a".repeat(190))).collect();
    let authors = format!(
        "{{\"version\":\"https://jsonfeed.org/version/1\",\"authors\":[{}],\"items\":[{}]}}",
        authors.join(","),
        vec!["{\"id\":\"1\",\"title\":\"x\"}"; 2_000].join(",")
    );
    for text in [links, entity, authors] {
        let reading = read_text(&text).unwrap();
        assert!(text.len() < 1 << 20 && bytes(&reading) < 20 << 20, "{} bytes of {}", bytes(&reading), text.len());
        assert!(!reading.entries.is_empty());
        let said = reading.problems.join(" ");
        assert!(said.contains("hold 16 MiB; the rest was not read"), "{said}");
    }
}

#[test]
fn references_between_sections_lengthen_a_text_no_more_than_others() {
    let text = format!(
        "<!DOCTYPE r [<!ENTITY a '{}'>]><rss><item><title>x</title><description>{}</description></item></rss>",
        "a ".repeat(495),
        "&a;<![CDATA[]]>".repeat(2_000)
    );
    let length = entries(&text)[0].summary.len();
    assert!((64_000..150_000).contains(&length), "{length}");
}

#[test]
fn a_long_text_reads_as_a_short_one() {
    let paragraph = "&lt;p&gt;AT&amp;amp;T &amp; <![CDATA[<b>bold</b>]]> word";
    let of = |count: usize| {
        let text = format!(
            "<rss><item><title>{0}</title><description>{0}</description></item></rss>",
            paragraph.repeat(count)
        );
        entries(&text).remove(0)
    };
    let (short, long) = (of(100), of(40_000));
    assert!(short.summary.starts_with("AT&T & bold word\nAT&T"), "{}", short.summary);
    assert!(long.summary.starts_with(&short.summary) && long.summary.len() > 200_000, "{}", long.summary.len());
    assert_eq!(short.title.get(..900), long.title.get(..900));
    assert!(long.title.ends_with('…'), "{}", long.title);
}

#[test]
fn json_of_nothing_but_values_is_refused() {
    for value in ["{\"\":0},", "[],", "0,"] {
        let text = format!("{{\"items\":[{}0]}}", value.repeat(700_000));
        assert_eq!(read_text(&text).unwrap_err().0, "not a feed: begins like JSON, but is none (too many values)");
    }
    let prose = "a, b, {c}, [d] and \\\"e\\\", ".repeat(40_000);
    let text = format!(
        "{{\"version\":\"https://jsonfeed.org/version/1\",\"items\":[{{\"id\":\"1\",\"title\":\"{prose}\"}}]}}"
    );
    assert_eq!(entries(&text).len(), 1, "commas in a text are no values");
}

#[test]
fn a_feed_names_its_address_and_where_it_moved() {
    let reading = read_text(
        "<rss version='2.0' xmlns:atom='http://www.w3.org/2005/Atom' xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd'>\
         <channel><title>t</title><atom:link rel='self' href='/own.xml'/><itunes:new-feed-url> https://new.example/f </itunes:new-feed-url>\
         <item><title>x</title><itunes:new-feed-url>https://wrong.example/</itunes:new-feed-url></item></channel></rss>",
    )
    .unwrap();
    assert_eq!(reading.self_url.as_deref().map(|url| url.ends_with("/own.xml")), Some(true));
    assert_eq!(reading.new_url.as_deref(), Some("https://new.example/f"));
}
