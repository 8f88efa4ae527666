//! Evidence, whole: from the page as it came to a case file, and what changes it afterwards.
//!
//! Whether other programs read what is exported is asked when NEWSWATCH_TEST_PYTHON names a python3 with warcio and stix2.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::Read;
use std::process::Command;

use serde_json::Value;
use support::{Folder, PROFILE, Ran, Web, loopback, page, rss, source};

/// A hit with its page, a hit by its feed alone and an item that is none.
fn watched(web: &Web) -> Folder {
    let words = "The ferries stayed in port all the time, as everybody in the harbour knows by now. ".repeat(6);
    let article = format!("<article><h1>Harbour</h1><p>Ruritania has the observer seat.</p><p>{words}</p></article>");
    web.put(
        "/a/1",
        page("text/html", format!("<html lang=\"en\"><title>Harbour</title><body>{article}</body></html>")),
    );
    web.put("/wire", rss(&web.base, &[("1", "=HYPERLINK(1) | *Harbour*", "News."), ("2", "Quiet", "Nothing.")]));
    web.put("/plain", rss(&web.base, &[("3", "Seat", "The observer seat is empty. Samoa wants it.")]));
    let folder = Folder::new("");
    let sources = source("wire", &format!("{}/wire", web.base), "interval = \"1s\"\narticle = true")
        + &source("plain", &format!("{}/plain", web.base), "interval = \"1s\"");
    folder.write("newswatch.toml", &(loopback(folder.path()) + &sources)).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once", "--backlog"]).ok().says("2 hits");
    folder
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_known_can_be_shown_and_compared() {
    let web = Web::start();
    let folder = watched(&web);
    let verified = folder.run(&["evidence", "verify", "--replay"]).ok();
    verified.says("2 records").says("2 give their stored score").says("everything is as it was recorded");
    let noted = verified.out.split("its hash ").nth(1).unwrap()[..64].to_string();

    let entries = lines(&folder.run(&["evidence", "export", "--format", "jsonl"]).ok());
    let with_page = entries.iter().find(|entry| entry["record"]["source"] == "wire").unwrap();
    assert_eq!(with_page["record"]["score"], 1.0);
    assert_eq!(with_page["documents"].as_array().unwrap().len(), 2, "the feed and the page");
    let capture = &with_page["documents"][1]["capture"];
    assert_eq!((&capture["url"], &capture["status"]), (&Value::from(format!("{}/a/1", web.base)), &Value::from(200)));
    assert!(web.base.ends_with(capture["address"].as_str().unwrap()), "{capture}");
    assert!(capture["headers"].to_string().contains("etag"), "{capture}");
    let record: Value = serde_json::from_str(with_page["record_text"].as_str().unwrap()).unwrap();
    assert_eq!(record, with_page["record"], "what was hashed is what is shown");
    let id = record["item"].as_str().unwrap();
    folder.run(&["evidence", "show", id]).ok().says("Harbour").says("profile seat version");

    // The publisher changes a text that was told; nobody calls that a deletion.
    web.put("/plain", rss(&web.base, &[("3", "Seat", "The observer seat is empty. Nobody wants it.")]));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    folder.run(&["run", "--once"]).ok();
    folder
        .run(&["evidence", "verify", "--replay", "--head", &noted])
        .ok()
        .says("3 records")
        .says("2 give their stored score")
        .says(&format!("{noted} is that of record 2"));
    folder
        .run(&["evidence", "show", "3"])
        .ok()
        .says("present then, absent now: Samoa wants it.")
        .says("absent then, present now: Nobody wants it.")
        .never_says("deleted");
    assert_eq!(folder.run(&["evidence", "verify", "--head", &"0".repeat(64)]).code, 1);

    let case = folder.run(&["evidence", "export", "--format", "markdown", "--profile", "seat"]).ok();
    case.says("# Case file: profile seat").says("## Chronology").says("Samoa wants it").says(&noted);
    case.says(r"=HYPERLINK(1) \| \*Harbour\*").says("is as it was recorded: 3 records");
    let table = folder.run(&["evidence", "export", "--format", "csv"]).ok();
    assert!(table.out.lines().count() == 4 && table.out.contains(",'=HYPERLINK(1) | *Harbour*,"), "{table:?}");
    let one = folder.run(&["evidence", "export", "--format", "jsonl", "--item", &format!("{}/a/3", web.base)]).ok();
    assert_eq!(lines(&one).len(), 2, "the hit and the change of its text");
    assert_eq!(folder.run(&["evidence", "export", "--format", "csv", "--profile", "nobody"]).code, 1);

    folder
        .run(&["coverage", "report", "--profile", "seat", "--from", "1h"])
        .ok()
        .says("2 sources")
        .says("3 items looked at, 2 hits")
        .says("before its first contact");
    exports_are_read_by_others(&folder);
    a_byte_that_is_changed_in_the_file_is_found(&folder);
}

#[test]
fn what_is_handed_on_lets_nobody_in() {
    let web = Web::start();
    let base = &web.base;
    let link = format!("{base}/a/1?author=ann&amp;apiKey=hush-reader");
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>Wire</title><link>{base}/wire?token=hush-token</link><item><guid>1</guid>\
         <link>{link}</link><title>Seat</title><description>The observer seat is empty.</description></item></channel></rss>"
    );
    web.put("/wire", page("application/rss+xml", feed));
    let folder = Folder::new("");
    let sources = source("wire", &format!("{base}/wire?token=hush-token"), "");
    folder.write("newswatch.toml", &(loopback(folder.path()) + &sources)).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once", "--backlog"]).ok().says("1 hit");

    for format in ["jsonl", "csv", "stix", "markdown"] {
        let ran = folder.run(&["evidence", "export", "--format", format]).ok();
        ran.says("author=ann").says("apiKey=MASKED").never_says("hush");
    }
    let entry = lines(&folder.run(&["evidence", "export", "--format", "jsonl"]).ok()).remove(0);
    assert_eq!(entry["masked"], true, "{entry}");
    let archive = folder.path().join("evidence.warc.gz");
    folder.run(&["evidence", "export", "--format", "warc", "-o", archive.to_str().unwrap()]).ok();
    let mut text = String::new();
    let packed = std::fs::read(&archive).unwrap();
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    assert!(
        text.contains("token=MASKED") && text.contains("Newswatch-Stored-Payload-Digest") && !text.contains("hush")
    );
    if let Some(python) = std::env::var_os("NEWSWATCH_TEST_PYTHON") {
        let mut check = Command::new(python);
        check.args(["-m", "warcio.cli", "check"]).arg(&archive);
        Ran::of(check.output().unwrap()).ok();
    }

    // It is masked where it is handed on; what is stored is whole, and as it was recorded.
    folder.run(&["evidence", "show", "1"]).ok().says("apiKey=hush-reader");
    folder.run(&["evidence", "verify", "--replay"]).ok().says("everything is as it was recorded");
}

#[test]
fn a_want_of_room_for_documents_is_told_and_so_is_its_end() {
    let web = Web::start();
    web.put("/wire", rss(&web.base, &[("1", "Seat", "The observer seat is empty.")]));
    let folder = Folder::new("");
    let own = loopback(folder.path()) + &source("wire", &format!("{}/wire", web.base), "");
    let with = |max: &str| own.clone() + &format!("\n[evidence]\ncaptures_bytes_max = {max}\n");
    folder.write("newswatch.toml", &with("10")).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once", "--backlog"]).ok().says("1 hit");
    folder.run(&["evidence", "show", "1"]).ok().says("evidence.captures_bytes_max was reached");
    folder.run(&["run", "--once", "--due"]).ok();
    let status = folder.run(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    status.says("documents of hits are not kept any more").says("raise evidence.captures_bytes_max");
    folder.run(&["run", "--once", "--due"]).ok().never_says("are not kept any more");
    folder.write("newswatch.toml", &with("1_000_000_000"));
    folder.run(&["run", "--once", "--due"]).ok().says("there is room for documents again");
    folder.run(&["status"]).ok();
}

/// The forms by their own rules, and by the programs that people use where these are at hand.
fn exports_are_read_by_others(folder: &Folder) {
    let archive = folder.path().join("evidence.warc.gz");
    folder.run(&["evidence", "export", "--format", "warc", "-o", archive.to_str().unwrap()]).ok();
    let mut text = Vec::new();
    let packed = std::fs::read(&archive).unwrap();
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap();
    let mut rest = text.as_slice();
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        assert!(head.starts_with("WARC/1.1\r\nWARC-Type: "), "{head}");
        let length: usize = field("Content-Length:").unwrap().parse().unwrap();
        let block = &rest[end + 4..end + 4 + length];
        assert_eq!(&rest[end + 4 + length..end + 8 + length], b"\r\n\r\n");
        kinds.push(field("WARC-Type:").unwrap().to_string());
        if kinds.last().unwrap() == "response" {
            assert!(block.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
        rest = &rest[end + 8 + length..];
    }
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(kinds[0], "warcinfo");
    assert_eq!((count("response"), count("metadata"), count("conversion")), (4, 3, 3), "{kinds:?}");

    let bundle = folder.run(&["evidence", "export", "--format", "stix"]).ok().out;
    folder.write("bundle.json", &bundle);
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let objects = bundle["objects"].as_array().unwrap();
    let names: Vec<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    let count = |kind: &str| objects.iter().filter(|object| object["type"] == kind).count();
    assert_eq!((count("identity"), count("report"), count("note")), (1, 2, 3));
    for object in objects {
        for named in object["object_refs"].as_array().into_iter().flatten().chain(object.get("created_by_ref")) {
            assert!(names.contains(&named.as_str().unwrap()), "{named} is not in the bundle");
        }
    }
    let again = folder.run(&["evidence", "export", "--format", "stix"]).ok().out;
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), bundle, "the same names each time");

    let Some(python) = std::env::var_os("NEWSWATCH_TEST_PYTHON") else { return };
    const READ: &str = "
import sys, stix2
from warcio.archiveiterator import ArchiveIterator
kinds = []
with open(sys.argv[1], 'rb') as file:
    for record in ArchiveIterator(file, check_digests='raise'):
        body = record.content_stream().read()
        kinds.append(record.rec_type)
        if record.rec_type == 'response':
            assert record.http_headers.get_statuscode() == '200' and body.startswith(b'<'), body[:80]
assert kinds.count('response') == 4, kinds
bundle = stix2.parse(open(sys.argv[2]).read(), allow_custom=False)
assert len(bundle.objects) > 5
print('both read')
";
    let mut reader = Command::new(python);
    reader.arg("-c").arg(READ).arg(&archive).arg(folder.path().join("bundle.json"));
    Ran::of(reader.output().unwrap()).ok().says("both read");
}

/// The file of the store itself, as whoever has it can change it.
fn a_byte_that_is_changed_in_the_file_is_found(folder: &Folder) {
    let path = folder.path().join("newswatch.sqlite");
    let whole = std::fs::read(&path).unwrap();
    for (words, expected) in [
        ("\"score\":1.0,\"threshold\"", "first at record"),
        ("\"status\":200", "first at record"),
        ("observer seat is empty", "first at record"),
    ] {
        let place = whole.windows(words.len()).position(|part| part == words.as_bytes()).unwrap();
        let mut changed = whole.clone();
        changed[place + words.len() - 1] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let ran = folder.run(&["evidence", "verify"]);
        assert_eq!(ran.code, 1, "{words}: {ran:?}");
        ran.says(expected);
    }
    std::fs::write(&path, &whole).unwrap();
    folder.run(&["evidence", "verify"]).ok();
}
