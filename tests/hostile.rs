//! Hostile texts (`tests/data/hostile.jsonl`, after the lab's `it-*` faults) through every kind of channel, from a feed to the bytes
//! that come out: nothing active, no header or line injected, no character that steers, valid UTF-8.
//!
//! A kind of channel that has no case here fails the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use newswatch::notifier::channel::KINDS;
use serde_json::{Value, json};
use support::{Folder, PROFILE, Taken, Web, listen, manifest, page, smtp, source};

/// Takes a request and says yes.
fn http(mut stream: TcpStream, taken: &Taken) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let start = request.len();
        reader.read_until(b'\n', &mut request)?;
        let line = String::from_utf8_lossy(&request[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" || line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend(body);
    taken.lock().unwrap().push(request);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// A hostile item.
struct Item {
    words: String,
    json: Value,
}

fn items() -> Vec<Item> {
    let text = std::fs::read_to_string(manifest("tests/data/hostile.jsonl")).unwrap();
    let items = text.lines().enumerate().map(|(number, line)| {
        let case: Value = serde_json::from_str(line).unwrap();
        let words = case["words"].as_str().unwrap().to_string();
        let url = case["url"].as_str().map_or(format!("https://hostile.example/{number}"), str::to_string);
        let summary = case["summary"].as_str().unwrap();
        let json = json!({
            "id": number.to_string(), "url": url, "title": case["title"], "summary": summary,
            // What makes it a hit, between what may get into its context.
            "content_text": format!("{summary} observer seat {summary} {words}"),
            "authors": [{"name": case["author"].as_str().unwrap_or("An author")}],
        });
        Item { words, json }
    });
    items.collect()
}

/// How a channel is configured, and what is looked at afterwards: hands back how many of the items came out.
struct Case {
    channel: String,
    to: &'static str,
    count: Box<dyn Fn(&Path) -> usize>,
}

fn case(channel: impl Into<String>, count: impl Fn(&Path) -> usize + 'static) -> Case {
    Case { channel: channel.into(), to: "", count: Box::new(count) }
}

/// A program that writes its input into a file of its own in this folder.
fn script(folder: &Path, into: &str) -> String {
    let (script, into) = (folder.join(format!("to-{into}")), folder.join(into));
    std::fs::create_dir(&into).unwrap();
    std::fs::write(&script, format!("#!/bin/sh\ncat > $(mktemp {}/XXXXXXXX)\n", into.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    script.display().to_string()
}

/// The cases of a kind of channel.
fn cases(kind: &str, folder: &Path) -> Vec<Case> {
    match kind {
        "log" => vec![
            case("path = \"hits.log\"", |folder| check_log(&read(&folder.join("hits.log")))),
            case("path = \"hits.jsonl\"\nformat = \"json\"", |folder| {
                let text = clean("log", &read(&folder.join("hits.jsonl")));
                text.lines().map(|line| clean_json(line.as_bytes())).filter(|json| json["event"] == "hit").count()
            }),
        ],
        "feed" => {
            std::fs::create_dir(folder.join("feeds")).unwrap();
            vec![case("folder = \"feeds\"", |folder| check_atom(&read(&folder.join("feeds/seat.atom"))))]
        }
        "command" => {
            let command = script(folder, "taken");
            vec![case(format!("command = [\"{command}\"]"), |folder| {
                let files = std::fs::read_dir(folder.join("taken")).unwrap();
                files.map(|file| check_payload(&read(&file.unwrap().path()))).sum()
            })]
        }
        "webhook" => ["", "slack", "ntfy", "matrix", "telegram"]
            .into_iter()
            .map(|template| {
                let (port, taken) = listen(http);
                let more = match template {
                    "" => String::new(),
                    _ => format!("template = \"{template}\"\nvalues = {{ topic = \"t\", chat_id = \"1\" }}\n"),
                };
                case(format!("url = \"http://127.0.0.1:{port}/{{id}}\"\n{more}"), move |_| {
                    taken.lock().unwrap().iter().map(|request| check_request(request, template)).sum()
                })
            })
            .collect(),
        "email" => {
            let (port, taken) = listen(smtp);
            let settings =
                format!("server = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"w@example.org\"");
            let mut case = case(settings, move |_| taken.lock().unwrap().iter().map(|mail| check_dialogue(mail)).sum());
            case.to = "to = [\"desk@example.org\"]\n";
            vec![case]
        }
        "maildir" => vec![case("path = \"mails\"\nfrom = \"w@example.org\"", |folder| {
            let files = std::fs::read_dir(folder.join("mails/new")).unwrap();
            files.map(|file| check_local_mail(&read(&file.unwrap().path()))).sum()
        })],
        "sendmail" => {
            let command = script(folder, "mails-sent");
            let mut case = case(format!("command = \"{command}\"\nfrom = \"w@example.org\""), |folder| {
                let files = std::fs::read_dir(folder.join("mails-sent")).unwrap();
                files.map(|file| check_local_mail(&read(&file.unwrap().path()))).sum()
            });
            case.to = "to = [\"desk@example.org\"]\n";
            vec![case]
        }
        _ => panic!("channels of kind {kind} are not tried with hostile texts: say in tests/hostile.rs how"),
    }
}

/// Everything comes out of every channel of this configuration, and nothing hostile; hands back the folder.
fn try_channels(route: &str, run: &[&str], one_message: bool) -> Folder {
    let items = items();
    let web = Web::start();
    let feed = json!({"version": "https://jsonfeed.org/version/1.1", "title": "Hostile \u{1b}[2J \u{202e}",
                      "items": items.iter().map(|item| &item.json).collect::<Vec<_>>()});
    web.put("/feed", page("application/feed+json", feed.to_string()));
    let folder = Folder::new("");
    let mut config =
        "[fetch]\nallow = [\"127.0.0.1/32\"]\n\n".to_string() + &source("wire", &format!("{}/feed", web.base), "");
    let mut looks = Vec::new();
    for (kind, _) in KINDS {
        for (number, case) in cases(kind, folder.path()).into_iter().enumerate() {
            let name = format!("{kind}-{number}");
            config += &format!("[[channel]]\nname = \"{name}\"\nkind = \"{kind}\"\n{}\n\n", case.channel);
            config += &format!("[[route]]\nname = \"{name}\"\nchannel = \"{name}\"\n{}{route}\n", case.to);
            // What people read is one message; what programs read names each hit.
            let is_text = ["email", "maildir", "sendmail"].contains(kind) || (*kind == "webhook" && number > 0);
            looks.push((name, case.count, if one_message && is_text { 1 } else { items.len() }));
        }
    }
    folder.write("newswatch.toml", &config).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["check"]).ok();
    let said = folder.run(run).ok().err;
    clean("the log of the process", said.as_bytes());
    if one_message {
        for (name, ..) in &looks {
            folder.run(&["digest", "send", "--route", name]).ok();
        }
        clean("the log of the process", folder.run(&["run", "--once"]).ok().err.as_bytes());
    }
    let outbox = folder.run(&["outbox", "list"]).ok().out;
    // But for the digests that come next.
    let mut done = outbox.lines().filter(|line| !line.ends_with("being filled"));
    assert!(done.all(|line| line.split_whitespace().nth(1) == Some("sent")), "{outbox}");
    for (name, count, expected) in looks {
        assert_eq!(count(folder.path()), expected, "{name}");
    }
    // The harmless words beside them are there.
    let told = folder.read("feeds/seat.atom") + &folder.read("hits.jsonl");
    assert!(items.iter().filter(|item| told.contains(item.words.split(' ').next().unwrap())).count() > items.len() / 2);
    folder
}

#[test]
fn nothing_hostile_comes_out_of_any_channel() {
    try_channels("", &["run", "--once", "--backlog"], false);
}

#[test]
fn nothing_hostile_comes_out_of_a_digest_in_any_channel() {
    let folder = try_channels(
        "\n[route.digest]\nat = [\"08:00\"]\ntime_zone = \"Asia/Seoul\"\n",
        &["run", "--once", "--backlog"],
        true,
    );
    clean("the digest on the terminal", folder.run(&["digest", "list"]).ok().out.as_bytes());
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Text without anything that steers: said here once more, not asked of the code that is tried.
#[track_caller]
fn clean(what: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| panic!("{what} is not UTF-8"));
    for c in text.chars() {
        let steers = (c.is_control() && c != '\n')
            || matches!(c,
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        assert!(!steers, "{what} holds {c:?}: {text:?}");
    }
    text
}

/// JSON all of whose texts are clean and whose addresses are http or https.
#[track_caller]
fn clean_json(bytes: &[u8]) -> Value {
    fn walk(value: &Value, key: &str) {
        match value {
            Value::String(text) => {
                clean(key, text.as_bytes());
                assert!(key != "url" || text.starts_with("https://"), "{text}");
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, key)),
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                clean("key", key.as_bytes());
                walk(value, key);
            }),
            _ => {}
        }
    }
    let text = clean("JSON", bytes);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    walk(&json, "");
    json
}

/// Lines of the log: each begins as a line of a hit does and has each key once.
fn check_log(bytes: &[u8]) -> usize {
    let text = clean("log", bytes);
    // A digest is a line of its own before its hits.
    let hits: Vec<&str> = text.lines().filter(|line| !line.starts_with("digest message=")).collect();
    for line in &hits {
        assert!(line.starts_with("hit profile=seat score=1.00/1.00 source=wire id="), "{line}");
        // Outside quotation marks.
        let mut bare = String::new();
        let (mut quoted, mut escaped) = (false, false);
        for c in line.chars() {
            match c {
                '"' if !escaped => quoted = !quoted,
                _ if !quoted => bare.push(c),
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        assert!(!quoted, "{line}");
        let keys: Vec<&str> = bare.split(' ').skip(1).filter_map(|part| Some(part.split_once('=')?.0)).collect();
        let expected = "profile score source id url title why message story relation strength kind route";
        assert_eq!(keys, expected.split(' ').collect::<Vec<_>>(), "{line}");
    }
    hits.len()
}

/// The rules of RFC 4287 that a feed of ours can break, read with the eyes of others.
fn check_atom(bytes: &[u8]) -> usize {
    let text = clean("Atom", bytes);
    assert!(text.lines().all(|line| line.len() <= 998), "{text}");
    assert!(!text.contains(['\u{fffe}', '\u{ffff}']));
    let feed = feed_rs::parser::parse(bytes).unwrap();
    assert_eq!(feed.feed_type, feed_rs::model::FeedType::Atom);
    assert!(feed.id.starts_with("urn:uuid:") && feed.title.is_some() && feed.updated.is_some());
    assert!(feed.authors.len() == 1 && feed.authors[0].name.is_some());
    let ids: BTreeSet<&String> = feed.entries.iter().map(|entry| &entry.id).collect();
    assert_eq!(ids.len(), feed.entries.len());
    for entry in &feed.entries {
        assert!(entry.id.starts_with("urn:uuid:"), "{}", entry.id);
        assert!(entry.updated.is_some() && entry.updated <= feed.updated);
        let title = entry.title.as_ref().unwrap();
        assert!(title.content_type.as_ref() == "text/plain" && !title.content.trim().is_empty());
        let content = entry.content.as_ref().unwrap();
        assert_eq!(content.content_type.as_ref(), "text/plain");
        clean("content", content.body.as_ref().unwrap().as_bytes());
        assert!(entry.links.len() <= 1 && entry.links.iter().all(|link| link.href.starts_with("https://")));
        assert!(entry.authors[0].name.is_some());
    }
    // The only elements are those that are meant.
    let elements: BTreeSet<&str> = text
        .split('<')
        .skip(1)
        .map(|rest| rest.split([' ', '>', '\n']).next().unwrap().trim_start_matches('/').trim_end_matches('/'))
        .collect();
    let expected = "!-- ?xml author category content entry feed generator id link name published title updated";
    assert!(elements.iter().all(|name| expected.split(' ').any(|known| known == *name)), "{elements:?}");
    feed.entries.len()
}

fn check_payload(bytes: &[u8]) -> usize {
    assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 998), "{}", String::from_utf8_lossy(bytes));
    let json = clean_json(bytes);
    assert_eq!(json["version"], 1);
    json["stories"].as_array().unwrap().iter().map(|story| story["hits"].as_array().unwrap().len()).sum()
}

fn check_request(bytes: &[u8], template: &str) -> usize {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8(bytes[..at].to_vec()).unwrap(), &bytes[at + 4..]);
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let id = first[1].trim_start_matches('/');
    assert!(id.len() == 12 && (first[0] == "PUT") == (template == "matrix"), "{head}");
    let headers: BTreeMap<&str, &str> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let expected = "accept content-length content-type host idempotency-key user-agent x-newswatch-id x-newswatch-kind";
    assert_eq!(headers.keys().copied().collect::<Vec<_>>(), expected.split(' ').collect::<Vec<_>>());
    assert_eq!(headers["x-newswatch-id"], id);
    if template.is_empty() {
        return check_payload(body);
    }
    let json = clean_json(body);
    let text = ["text", "message", "body"].iter().find_map(|key| json[*key].as_str()).unwrap();
    if template == "slack" {
        assert!(!text.contains(['<', '>']) && !text.contains("](") && !text.contains("@here"), "{text}");
    }
    usize::from(text.contains("\nseat, strength 1.0: observer seat"))
}

/// What was said to the mail server, and the mail.
fn check_dialogue(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut recipients = Vec::new();
    while rest.first() == Some(&b'>') {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let line = String::from_utf8(rest[1..end].to_vec()).unwrap();
        if line.to_ascii_uppercase().starts_with("RCPT") {
            recipients.push(line.trim().to_string());
        }
        rest = &rest[end..];
    }
    assert_eq!(recipients, ["RCPT TO:<desk@example.org>"]);
    check_mail(rest)
}

/// A mail with the line ends of this machine.
fn check_local_mail(bytes: &[u8]) -> usize {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(!text.contains('\r'));
    check_mail(text.replace('\n', "\r\n").as_bytes())
}

/// A mail as any kind of mail channel hands it over.
fn check_mail(bytes: &[u8]) -> usize {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let without_breaks = text.replace("\r\n", "\n");
    assert!(!without_breaks.contains('\r'), "a bare CR or LF: {text:?}");
    assert_eq!(without_breaks.matches('\n').count(), text.matches("\r\n").count(), "a bare LF: {text:?}");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text}");
    let mail = mail_parser::MessageParser::default().parse(bytes).unwrap();
    let mut names = BTreeSet::new();
    for (name, raw) in mail.headers_raw() {
        let known = [
            "from",
            "to",
            "subject",
            "message-id",
            "date",
            "auto-submitted",
            "mime-version",
            "content-type",
            "content-transfer-encoding",
            "references",
            "in-reply-to",
            "reply-to",
            "precedence",
            "x-auto-response-suppress",
        ];
        let lower = name.to_ascii_lowercase();
        let ours = lower.starts_with("list-") || lower.starts_with("x-newswatch-");
        assert!(known.contains(&lower.as_str()) || ours, "{name}: {raw}");
        assert!(names.insert(lower), "{name} stands twice");
        assert!(raw.is_ascii(), "{name}: {raw}");
    }
    assert!(!mail.subject().unwrap().is_empty());
    clean("subject", mail.subject().unwrap().as_bytes());
    clean("text", mail.body_text(0).unwrap().replace("\r\n", "\n").as_bytes());
    let html = mail.body_html(0).unwrap().replace("\r\n", "\n");
    clean("HTML", html.as_bytes());
    check_html(&html);
    1
}

/// Nothing that runs, loads or leads astray.
fn check_html(html: &str) {
    let document = scraper::Html::parse_document(html);
    for node in document.tree.values() {
        let Some(element) = node.as_element() else { continue };
        let bad =
            ["script", "iframe", "object", "embed", "form", "input", "link", "base", "svg", "video", "audio", "meta"];
        assert!(!bad.contains(&element.name()), "<{}> in {html}", element.name());
        for (name, value) in element.attrs() {
            assert!(!name.starts_with("on"), "{name}={value}");
            let leads = match name {
                "href" => ["http://", "https://", "mailto:"].iter().any(|start| value.starts_with(start)),
                "src" => value.starts_with("cid:"),
                "style" => !value.contains("url("),
                "srcset" | "background" | "action" | "formaction" => false,
                _ => true,
            };
            assert!(leads, "{name}={value}");
        }
    }
}
