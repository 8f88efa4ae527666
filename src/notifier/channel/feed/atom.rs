//! An Atom document (RFC 4287): entries to text and back. Pure.
//!
//! Each entry is a block of lines, and no text within it has a line that could be mistaken for the end of one, so what was
//! written is read back by its lines, byte for byte. A hash at the end tells whether it is what was written.

use std::fmt::Write;

use jiff::Timestamp;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Bytes of a text as written: no line is longer than 998 bytes.
const TEXT_BYTES_MAX: usize = 900;
const BEGIN: &str = "  <entry>\n";
const END: &str = "  </entry>\n";
const ID: &str = "    <id>";
const UPDATED: &str = "    <updated>";

/// What stands before the entries.
#[derive(Clone, Debug)]
pub struct Head {
    /// An IRI that never changes.
    pub id: String,
    /// For people.
    pub title: String,
    /// Where the feed itself is published.
    pub own_url: Option<String>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// An IRI that never changes.
    pub id: String,
    /// Never empty.
    pub title: String,
    /// When it came to be, for us.
    pub updated: Timestamp,
    /// When the publisher says it was published.
    pub published: Option<Timestamp>,
    /// Who says so.
    pub author: String,
    /// http or https.
    pub url: Option<String>,
    /// Name of the profile, or kind of the message.
    pub category: String,
    /// Its text, a line each.
    pub text: Vec<String>,
}

/// An entry as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its id.
    pub id: String,
    updated: Timestamp,
    text: String,
}

/// A name made of these parts alone: `urn:uuid:` with a UUID of version 8 (RFC 9562 section 5.8).
pub fn uuid(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let hash = xxh3_128(&bytes);
    let hash = hash & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{hash:032x}");
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Block {
    /// Writes an entry.
    pub fn of(entry: &Entry) -> Block {
        let mut text = String::from(BEGIN);
        let mut put = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            _ = writeln!(text, "    <{name}>{}</{name}>", escaped(value));
        };
        put("id", &entry.id);
        put("title", &entry.title);
        put("updated", &entry.updated.to_string());
        if let Some(published) = entry.published {
            put("published", &published.to_string());
        }
        _ = writeln!(text, "    <author><name>{}</name></author>", escaped(&entry.author));
        _ = writeln!(text, "    <category term=\"{}\"/>", escaped(&entry.category));
        if let Some(url) = &entry.url {
            // An address is not cut: it would lead elsewhere.
            let mut href = String::new();
            url.chars().for_each(|c| push(&mut href, c));
            _ = writeln!(text, "    <link rel=\"alternate\" href=\"{href}\"/>");
        }
        text.push_str("    <content type=\"text\">");
        let lines: Vec<String> = entry.text.iter().map(|line| escaped(line)).collect();
        // No "<" stands in it, so no line of it looks like one of ours.
        text.push_str(&lines.join("\n"));
        text.push_str("</content>\n");
        text.push_str(END);
        Block { id: entry.id.clone(), updated: entry.updated, text }
    }
}

/// Text as it stands in an element or an attribute, and no more than a line may hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if out.len() + 6 > TEXT_BYTES_MAX {
            out.push('…');
            break;
        }
        push(&mut out, c);
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        // XML cannot hold the rest at all (XML 1.0 section 2.2); what steers was taken out before.
        c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
        c => out.push(c),
    }
}

/// Puts the newest first and drops what is too many.
pub fn keep_newest(blocks: &mut Vec<Block>, most: usize) {
    blocks.sort_by(|a, b| b.updated.cmp(&a.updated).then_with(|| a.id.cmp(&b.id)));
    blocks.truncate(most);
}

/// The document with these entries.
pub fn write(head: &Head, blocks: &[Block]) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n");
    let updated = blocks.iter().map(|block| block.updated).max().unwrap_or_default();
    _ = writeln!(out, "  <id>{}</id>", escaped(&head.id));
    _ = writeln!(out, "  <title>{}</title>", escaped(&head.title));
    _ = writeln!(out, "  <updated>{updated}</updated>");
    out.push_str("  <author><name>newswatch</name></author>\n");
    _ = writeln!(out, "  <generator version=\"{}\">newswatch</generator>", env!("CARGO_PKG_VERSION"));
    if let Some(url) = &head.own_url {
        _ = writeln!(out, "  <link rel=\"self\" type=\"application/atom+xml\" href=\"{}\"/>", escaped(url));
    }
    for block in blocks {
        out.push_str(&block.text);
    }
    out.push_str("</feed>\n");
    let hash = xxh3_64(out.as_bytes());
    _ = writeln!(out, "<!-- written by newswatch: {hash:016x} -->");
    out
}

/// The entries of a document that [`write`] made; `None` for any other.
pub fn read(text: &str) -> Option<Vec<Block>> {
    let body = text.strip_suffix(" -->\n")?;
    let (body, hash) = body.split_at_checked(body.len().checked_sub(16)?)?;
    let body = body.strip_suffix("<!-- written by newswatch: ")?;
    if u64::from_str_radix(hash, 16) != Ok(xxh3_64(body.as_bytes())) {
        return None;
    }
    let mut blocks = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find(BEGIN) {
        let end = at + rest[at..].find(END)? + END.len();
        let block = &rest[at..end];
        let value = |start: &str| block.lines().find_map(|line| line.strip_prefix(start)?.split('<').next());
        let (id, updated) = (value(ID)?.to_string(), value(UPDATED)?.parse().ok()?);
        blocks.push(Block { id, updated, text: block.to_string() });
        rest = &rest[end..];
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head() -> Head {
        Head {
            id: uuid(&["feed"]),
            title: "newswatch: apg".into(),
            own_url: Some("https://a.example/apg.atom?a&b".into()),
        }
    }

    fn entry(number: i64, text: &str) -> Entry {
        Entry {
            id: uuid(&["hit", &number.to_string()]),
            title: text.into(),
            updated: Timestamp::from_second(1_800_000_000 + number).unwrap(),
            published: Some(Timestamp::from_second(1_700_000_000).unwrap()),
            author: text.into(),
            url: Some("https://a.example/?a=b&c=%22".into()),
            category: "apg".into(),
            text: vec![text.into(), "  </entry>".into(), "  <entry>".into()],
        }
    }

    #[test]
    fn the_document_is_as_the_standard_wants_it() {
        let document = write(&head(), &[Block::of(&entry(1, "A \"title\" <b>&"))]);
        let expected = "\
<?xml version=\"1.0\" encoding=\"utf-8\"?>
<feed xmlns=\"http://www.w3.org/2005/Atom\">
  <id>urn:uuid:FEED</id>
  <title>newswatch: apg</title>
  <updated>2027-01-15T08:00:01Z</updated>
  <author><name>newswatch</name></author>
  <generator version=\"VERSION\">newswatch</generator>
  <link rel=\"self\" type=\"application/atom+xml\" href=\"https://a.example/apg.atom?a&amp;b\"/>
  <entry>
    <id>urn:uuid:ENTRY</id>
    <title>A &quot;title&quot; &lt;b&gt;&amp;</title>
    <updated>2027-01-15T08:00:01Z</updated>
    <published>2023-11-14T22:13:20Z</published>
    <author><name>A &quot;title&quot; &lt;b&gt;&amp;</name></author>
    <category term=\"apg\"/>
    <link rel=\"alternate\" href=\"https://a.example/?a=b&amp;c=%22\"/>
    <content type=\"text\">A &quot;title&quot; &lt;b&gt;&amp;
  &lt;/entry&gt;
  &lt;entry&gt;</content>
  </entry>
</feed>
";
        let expected = expected
            .replace("urn:uuid:FEED", &head().id)
            .replace("urn:uuid:ENTRY", &entry(1, "").id)
            .replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert!(document.starts_with(&expected), "{document}");
    }

    #[test]
    fn names_are_uuids_and_stable() {
        let id = uuid(&["a", "bc"]);
        assert_ne!(id, uuid(&["ab", "c"]));
        assert_eq!(id, uuid(&["a", "bc"]));
        let digits = id.strip_prefix("urn:uuid:").unwrap();
        let pattern =
            regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        assert!(pattern.is_match(digits), "{id}");
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_it_is_read_back(texts in proptest::collection::vec("\\PC{0,40}|[<>&\"'\\]a-z \u{fffe}]{0,2000}", 0..5)) {
            let entries: Vec<Entry> = texts.iter().enumerate().map(|(n, text)| entry(n as i64, text)).collect();
            let mut blocks: Vec<Block> = entries.iter().map(Block::of).collect();
            keep_newest(&mut blocks, 3);
            let document = write(&head(), &blocks);
            prop_assert_eq!(read(&document), Some(blocks.clone()));
            prop_assert!(document.lines().all(|line| line.len() <= 998));
            let parsed = feed_rs::parser::parse(document.as_bytes()).unwrap();
            prop_assert_eq!(parsed.entries.len(), blocks.len());
            for (entry, block) in parsed.entries.iter().zip(&blocks) {
                prop_assert_eq!(&entry.id, &block.id);
            }
        }
    }
}
