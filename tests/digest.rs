//! The real binary: what digests say, whether their figures are right, how readers answer them, and templates of one's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::Value;
use support::{Folder, PROFILE, Web, answer, page, rss, source};

const OLD: (&str, &str, &str) = ("0", "Old news", "A quiet day.");
const NEW: (&str, &str, &str) =
    ("1", "A chair stays empty", "It rained. They took the observer seat away. They went home.");

/// A configuration with a digest by mail to a server that is not there.
fn config(more: &str) -> String {
    // Midnight far in the west is noon far in the east; a digest that comes due while a test runs is only tried in vain.
    format!(
        "[fetch]\nallow = [\"127.0.0.1/32\"]\ninterval = \"1h\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n\n\
         [[channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = 9\nsecurity = \"none\"\n\
         from = \"watch@example.org\"\n\n\
         [[route]]\nname = \"desk\"\nchannel = \"mail\"\nto = [\"Anna@example.org\", \"ben@example.org\"]\n\
         [route.digest]\nat = [\"03:00\"]\ntime_zone = \"Etc/GMT+12\"\n\n{more}\n"
    )
}

/// A folder whose sources were read once, and then once more with news.
fn with_news(web: &Web, more: &str) -> Folder {
    let folder = Folder::new("");
    web.put("/feed", rss(&web.base, &[OLD])).put("/broken", answer(503, "x-none", ""));
    let sources = source("wire", &format!("{}/feed", web.base), "title = \"The Wire\"")
        + &source("broken", &format!("{}/broken", web.base), "");
    folder.write("newswatch.toml", &(config(more) + &sources)).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", rss(&web.base, &[NEW, ("2", "Ein Satz", "Kein Wort."), ("3", "Газета", "Ничего."), OLD]));
    folder.run(&["run", "--once"]).ok();
    folder
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hit_id(folder: &Folder) -> String {
    let line = folder.run(&["hits", "--json"]).ok().out;
    serde_json::from_str::<Value>(line.lines().next().unwrap()).unwrap()["id"].as_str().unwrap().to_string()
}

#[test]
fn a_digest_names_articles_that_were_changed_since() {
    let web = Web::start();
    let words = "The ferries stayed in port all the time, as everybody in the harbour knows by now. ".repeat(6);
    let article = |said: &str| {
        let text =
            format!("<article><h1>Harbour</h1><p>They took the observer seat away. {said}</p><p>{words}</p></article>");
        page("text/html", format!("<html lang=\"en\"><title>Harbour</title><body>{text}</body></html>"))
    };
    web.put("/feed", rss(&web.base, &[OLD])).put("/a/0", article("")).put("/a/1", article("Samoa <b>wants</b> it."));
    let folder = Folder::new("");
    let wire = source("wire", &format!("{}/feed", web.base), "article = true");
    folder.write("newswatch.toml", &(config("") + &wire)).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", rss(&web.base, &[NEW, OLD]));
    folder.run(&["run", "--once"]).ok();
    folder.run(&["digest", "preview"]).ok().says("1 new story").never_says("Changed since");
    // A day later, for the store.
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        sqlx::any::install_default_drivers();
        let path = folder.path().join("newswatch.sqlite");
        let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let due = sqlx::query("UPDATE rereads SET due_at = found_at").execute(&pool).await.unwrap();
        assert_eq!(due.rows_affected(), 1);
        pool.close().await;
    });
    web.put("/a/1", article("Nobody wants it."));
    folder.run(&["run", "--once"]).ok();
    let html = folder.path().join("digest.html");
    let preview = folder.run(&["digest", "preview", "--html", html.to_str().unwrap()]).ok().out;
    for text in [flat(&preview), flat(&std::fs::read_to_string(&html).unwrap())] {
        assert!(text.contains("Changed since they were found"), "{text}");
        assert!(text.contains("present then, absent now: Samoa wants it."), "{text}");
        assert!(text.contains("absent then, present now: Nobody wants it."), "{text}");
    }
}

#[test]
fn a_preview_says_what_the_next_digest_would_and_its_figures_are_the_stores() {
    let web = Web::start();
    let folder = with_news(&web, "");
    let outbox = folder.run(&["outbox", "list"]).ok().out;
    let html = folder.path().join("digest.html");
    let preview = folder.run(&["digest", "preview", "--html", html.to_str().unwrap()]).ok().out;
    let text = flat(&preview);
    let id = hit_id(&folder);
    for part in [
        "newswatch: 1 new story (seat 1)",
        "The observer seat =====",
        "1. A chair stays empty The Wire; first seen ",
        "They took the **observer seat** away.",
        "seat: 1.00 of 1.00 (1.0 times the threshold) Why: observer seat 100\u{a0}%",
        &format!("{}/a/1 newswatch why {id}", web.base),
        "Sources in trouble",
        "- broken cannot be read",
        "1 item in Cyrillic letters: the profile seat has no terms for that",
        "seat version 1",
        "newswatch verdict ID relevant|not|known",
    ] {
        assert!(text.contains(&flat(part)), "{part:?} is missing in {preview}");
    }
    // The same window, the same figures: from newswatch status and from the store.
    let status: Value = serde_json::from_str(folder.run(&["status", "--json"]).out.trim()).unwrap();
    let coverage = &status["coverage"];
    assert_eq!(
        (&coverage["sources"], &coverage["read"], &coverage["items"]),
        (&Value::from(2), &Value::from(1), &Value::from(4))
    );
    for part in [
        format!("{} of {} sources read", coverage["read"], coverage["sources"]),
        format!(
            "{} failing, {} silent against their own rhythm, {} paused",
            coverage["failing"].as_array().unwrap().len(),
            coverage["silent"].as_array().unwrap().len(),
            coverage["paused"].as_array().unwrap().len()
        ),
        format!("{} not asked in this window", coverage["not_asked"]),
        format!("{} new items looked through", coverage["items"]),
        format!("{} hit in 30 days", status["hits"]["seat"]),
    ] {
        assert!(text.contains(&part), "{part:?} is missing in {preview}");
    }
    let html = std::fs::read_to_string(html).unwrap();
    assert!(
        html.contains("They took the <b>observer seat</b> away.") && html.contains(">1 of 2 sources read"),
        "{html}"
    );
    // Each recipient has a row of their own; nothing was stored by looking.
    folder.run(&["digest", "preview", "--to", "ben@example.org"]).ok().says("1 new story");
    let nobody = folder.run(&["digest", "preview", "--to", "eve@example.org"]);
    assert_eq!(nobody.code, 1);
    nobody.says("eve@example.org gets nothing by route desk; its recipients are: Anna@example.org, ben@example.org");
    let later = folder.run(&["digest", "preview", "--at", "2040-01-01", "--route", "desk"]).ok();
    later.says("newswatch: nothing new (0 of 2 sources read)").says("Nothing new.");
    assert_eq!(folder.run(&["outbox", "list"]).ok().out, outbox);
    let slip = folder.run(&["digest", "preview", "--route", "dsek"]);
    assert_eq!(slip.code, 1);
    slip.says("did you mean \"desk\"?");
}

#[test]
fn a_digest_sent_now_takes_what_waits_and_leaves_the_rest_to_the_next() {
    let web = Web::start();
    let folder = with_news(&web, "");
    folder.run(&["digest", "list"]).ok().says("desk to Anna@example.org: 1 hit in 1 story, due ");
    let sent = folder.run(&["digest", "send", "--route", "desk"]).ok();
    sent.says("to Anna@example.org with 1 hit is due now").says("to ben@example.org with 1 hit is due now");
    let list = |folder: &Folder| -> Vec<Value> {
        let out = folder.run(&["digest", "list", "--json"]).ok().out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let rows = list(&folder);
    let counts: Vec<_> =
        rows.iter().map(|row| (row["recipient"].as_str().unwrap(), row["hits"].as_i64().unwrap())).collect();
    assert_eq!(
        counts.iter().map(|(_, hits)| hits).sum::<i64>(),
        2,
        "each hit in exactly one digest of each: {rows:#?}"
    );
    assert_eq!(rows.len(), 4);
    // What comes from now on waits for the usual hour, and its window begins where the other ended.
    web.put("/feed", rss(&web.base, &[("9", "Another chair", "The observer seat."), NEW, OLD]));
    folder.run(&["run", "--once"]).ok();
    let rows = list(&folder);
    let of_anna: Vec<&Value> = rows.iter().filter(|row| row["recipient"] == "Anna@example.org").collect();
    assert_eq!(of_anna.iter().map(|row| row["hits"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(of_anna[0]["window_to"], of_anna[1]["window_from"]);
    let id = of_anna[0]["id"].as_str().unwrap();
    folder.run(&["digest", "show", id]).ok().says("1. A chair stays empty").never_says("Another chair");
    folder.run(&["digest", "preview"]).ok().says("1. Another chair").never_says("A chair stays empty");
    let never = folder.run(&["digest", "show", "000000000000"]);
    assert_eq!(never.code, 1);
    never.says("the outbox has no message 000000000000");
}

/// The tokens of the verdict links for a recipient, in order: relevant, not, known.
fn tokens(folder: &Folder, recipient: &str) -> Vec<String> {
    let preview = folder.run(&["digest", "preview", "--to", recipient]).ok().out;
    let links = preview.split("mailto:verdicts@example.org?subject=newswatch%20verdict%20").skip(1);
    links.map(|rest| rest.split_whitespace().next().unwrap().to_string()).collect()
}

fn mail(folder: &Folder, name: &str, from: &str, subject: &str) {
    let text = format!(
        "From: {from}\r\nTo: verdicts@example.org\r\nSubject: {subject}\r\nMessage-ID: <{name}@example.org>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nthanks\r\n"
    );
    folder.write(&format!("answers/new/{name}"), &text);
}

const VERDICTS: &str = "[verdicts]\naddress = \"verdicts@example.org\"\nmaildir = \"answers\"\n";

fn with_maildir(web: &Web) -> Folder {
    let folder = with_news(web, "");
    for part in ["new", "cur", "tmp"] {
        std::fs::create_dir_all(folder.path().join("answers").join(part)).unwrap();
    }
    folder.write("newswatch.toml", &(folder.read("newswatch.toml") + VERDICTS));
    folder
}

#[test]
fn a_click_in_a_digest_becomes_a_verdict_once() {
    let web = Web::start();
    let folder = with_maildir(&web);
    let [relevant, not, _] = tokens(&folder, "Anna@example.org").try_into().unwrap();
    let id = hit_id(&folder);
    mail(&folder, "1", "Anna <anna@example.org>", &format!("newswatch verdict {relevant}"));
    folder.run(&["verdict", "read"]).ok().says("1 verdict added, 0 known already, 0 mails refused");
    folder.run(&["hits"]).ok().says("judged relevant (Anna@example.org)");
    assert!(folder.path().join("answers/cur/1:2,S").exists() && !folder.path().join("answers/new/1").exists());
    // She changes her mind; then the server hands over the first mail once more.
    mail(&folder, "2", "anna@example.org", &format!("Fwd: newswatch verdict {not}"));
    mail(&folder, "1", "Anna <anna@example.org>", &format!("newswatch verdict {relevant}"));
    folder.run(&["run", "--once"]).ok().says("says not of").says("(known already)");
    folder.run(&["hits"]).ok().says("judged not (Anna@example.org)");
    let why = folder.run(&["why", &id]).ok().out;
    assert_eq!(why.matches("verdict   ").count(), 2, "{why}");
    // The same by hand.
    folder
        .run(&["verdict", "--token", &relevant])
        .ok()
        .says("relevant for seat by Anna@example.org: A chair stays empty.");
    folder.run(&["verdict", "--token", &relevant]).ok().says("That was known already.");
    folder.run(&["hits"]).ok().says("judged relevant (Anna@example.org)");
    let both = folder.run(&["verdict", &id, "relevant", "--token", &relevant]);
    assert_eq!(both.code, 2);
}

#[test]
fn answers_that_are_forged_altered_or_somebody_elses_change_nothing() {
    let web = Web::start();
    let folder = with_maildir(&web);
    let token = tokens(&folder, "ben@example.org").remove(0);
    let elsewhere = {
        let other = with_maildir(&web);
        tokens(&other, "ben@example.org").remove(0)
    };
    assert_ne!(token, elsewhere, "each store has a key of its own");
    let mut altered = token.clone();
    altered.replace_range(5..6, if &altered[5..6] == "A" { "B" } else { "A" });
    let subject = |token: &str| format!("newswatch verdict {token}");
    mail(&folder, "01", "anna@example.org", &subject(&token));
    mail(&folder, "02", "ben@example.org", &subject(&altered));
    mail(&folder, "03", "ben@example.org", &subject(&elsewhere));
    mail(&folder, "04", "ben@example.org", &subject(&"A".repeat(5_000)));
    mail(&folder, "05", "ben@example.org, anna@example.org", &subject(&token));
    mail(&folder, "06", "ben@example.org", "Lunch?");
    mail(&folder, "07", "ben@example.org.evil.example", &subject(&token));
    folder.write("answers/new/08", "");
    folder.write(
        "answers/new/09",
        &format!("From: ben@example.org\r\nSubject: {}\r\n\r\n{}", subject(&token), "x".repeat(600_000)),
    );
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("answers/new/10")).unwrap();
    let read = folder.run(&["verdict", "read"]).ok();
    read.says("0 verdicts added, 0 known already, 9 mails refused")
        .says("it comes from anna@example.org, but its token was made for ben@example.org")
        .says("its token was not made by this newswatch, or altered on the way")
        .says("its subject holds no verdict")
        .says("it is larger than 512 KiB");
    folder.run(&["hits"]).ok().never_says("judged");
    assert!(folder.path().join("answers/cur/06:2,").exists(), "laid aside unread");
    let typed = folder.run(&["verdict", "--token", &altered]);
    assert_eq!(typed.code, 1);
    typed.says("its token was not made by this newswatch");
    // A list's members may answer where the configuration says so.
    folder.write("newswatch.toml", &(folder.read("newswatch.toml") + "senders = [\"@example.org\"]\n"));
    mail(&folder, "11", "anna@example.org", &subject(&token));
    folder.run(&["verdict", "read"]).ok().says("1 verdict added");
    folder.run(&["hits"]).ok().says("judged relevant (ben@example.org)");
}

#[test]
fn own_templates_are_checked_and_used() {
    let web = Web::start();
    let folder = with_news(&web, "");
    let templates = folder.path().join("templates");
    let written = folder.run(&["digest", "templates", templates.to_str().unwrap()]).ok();
    written.says("written: ").says("digest.txt").says("[templates]");
    folder.run(&["digest", "templates", templates.to_str().unwrap()]).ok().says("stays: ").never_says("written: ");
    folder.write("newswatch.toml", &(folder.read("newswatch.toml") + "[templates]\nfolder = \"templates\"\n"));
    folder.run(&["check"]).ok();
    folder.run(&["digest", "preview"]).ok().says("1. A chair stays empty");

    let own = "{{ subject }}\n{% for section in sections %}{% for story in section.stories %}* {{ story.title }}{% endfor %}{% endfor %}\n";
    folder.write("templates/digest.txt", own);
    folder.run(&["digest", "preview"]).ok().says("* A chair stays empty").never_says("newswatch why");
    folder.run(&["digest", "examples"]).ok().says("* An example").says("[apg, exchanges]");

    folder.write("templates/story.html", "<p>{{ story.title }}</p>\n<p>{{ story.titel }}</p>\n");
    folder.write("templates/report.txt", "{% if %}\n");
    let wrong = folder.run(&["check"]);
    assert_eq!(wrong.code, 78);
    wrong.says("templates/report.txt:1:1: syntax error");
    std::fs::remove_file(folder.path().join("templates/report.txt")).unwrap();
    let wrong = folder.run(&["check"]);
    assert_eq!(wrong.code, 78);
    wrong.says("templates/story.html:2:1: there is no such value");
}

#[test]
fn hostile_texts_come_through_as_text() {
    let web = Web::start();
    let folder = Folder::new("");
    web.put("/feed", rss(&web.base, &[OLD]));
    let sources = source("wire", &format!("{}/feed", web.base), "");
    folder.write("newswatch.toml", &(config("") + &sources)).write("profiles.d/seat.toml", PROFILE);
    folder.run(&["run", "--once"]).ok();
    let items = "<item><title>x&#13;&#10;Bcc: victim@example.test &lt;script&gt;alert(1)&lt;/script&gt; &#x202e;gpj observer seat</title>\
                 <guid>h</guid><link>javascript:alert(2)</link><description>&lt;img src=x onerror=alert(3)&gt; **observer seat** \
                 {{ 6 * 7 }} &#x9b;31m</description></item>";
    web.put(
        "/feed",
        page("application/rss+xml", format!("<rss version=\"2.0\"><channel><title>t</title>{items}</channel></rss>")),
    );
    folder.run(&["run", "--once"]).ok();
    let html = folder.path().join("digest.html");
    let text = folder.run(&["digest", "preview", "--html", html.to_str().unwrap()]).ok().out;
    let html = std::fs::read_to_string(html).unwrap();
    assert!(text.contains("1 new story") && html.contains("1 new story"), "{text}");
    for active in ["<script", "<img", "javascript:", "\u{202e}", "\u{9b}", "\r"] {
        assert!(!text.contains(active) || active.starts_with('<'), "{active:?} in {text}");
        assert!(!html.contains(active), "{active:?} in {html}");
    }
    assert!(!text.lines().any(|line| line.trim_start().starts_with("Bcc:")), "{text}");
}

#[test]
fn the_mail_is_well_formed_and_says_the_same_twice() {
    use mail_parser::MimeHeaders;
    let folder = Folder::new("");
    let out = folder.path().join("demo");
    let demo = folder.run(&["demo", "--out", out.to_str().unwrap()]).ok();
    let bytes = std::fs::read(out.join("digest.eml")).unwrap();
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999 && line.is_ascii(), "{}", String::from_utf8_lossy(line));
    }
    let mail = mail_parser::MessageParser::default().parse(&bytes).unwrap();
    let text = mail.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(demo.out.contains(text.trim()), "the mail says what the terminal says:\n{text}");
    assert_eq!(text.lines().next(), mail.subject());
    let html = mail.body_html(0).unwrap();
    assert!(mail.html_part(0).unwrap().is_content_type("text", "html"));
    for part in ["Just below the line", "What was looked at", "newswatch why ", "hits in 30 days"] {
        assert!(text.contains(part) && html.contains(part), "{part} is missing");
    }
    // Nothing is loaded from anywhere, and what leads out are links.
    for remote in ["<img", "src=", "url(", "@import", "<link", "<script"] {
        assert!(!html.contains(remote), "{remote}");
    }
    assert!(html.len() < 100_000, "some mail programs cut what is larger: {}", html.len());
}
