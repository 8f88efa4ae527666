//! The real binary: copies are never told twice, what an analyst says of stories stays said, and everything says why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::Value;
use support::{Folder, PROFILE, Web, loopback, page, source};

const REPORT: &str = "The regional group took the observer seat away from Pyongyang on Thursday, the closing day of its annual \
    meeting in Port Selwyn, because no delegate had come since 2016 and nine letters had been left unanswered. The chairs said \
    that the door stayed open and that a request would be treated like any other once a commitment at a high level was there.";
const MORE: &str = "Diplomats said the proposal had come from three members of the steering committee in May. A delegation asked for a \
    note in the minutes that the decision sets no precedent, and another left the room before the vote was called, according to a \
    person who was present. The group meets again in July in Mandara, where evaluations of two island states will be on the table.";
const OWN: &str = "After ten years with an empty chair the club closes it. Nobody in the ministry was surprised when word came that the \
    observer seat is gone; a spokesman called the step overdue and pointed to coins stolen every month. Banks notice little.";

/// An entry of a feed: where it points to, its title and its text.
type Entry<'a> = (&'a str, &'a str, &'a str);

fn feed(entries: &[Entry<'_>]) -> support::Page {
    let items: String = entries
        .iter()
        .map(|(link, title, text)| {
            format!("<item><title>{title}</title><link>{link}</link><guid>{link}</guid><description>{text}</description></item>")
        })
        .collect();
    page("application/rss+xml", format!("<rss version=\"2.0\"><channel><title>F</title>{items}</channel></rss>"))
}

const OLD: Entry<'static> = ("https://a.example/old", "Old news", "A quiet day.");

struct Desk {
    web: Web,
    folder: Folder,
}

impl Desk {
    /// Three sources, each read once, when they showed nothing that matters.
    fn new() -> Desk {
        let (web, folder) = (Web::start(), Folder::new(""));
        let mut text = loopback(folder.path());
        for name in ["wire", "herald", "post"] {
            web.put(&format!("/{name}"), feed(&[OLD]));
            text += &source(name, &format!("{}/{name}", web.base), "");
        }
        folder.write("newswatch.toml", &text);
        folder.write("profiles.d/seat.toml", PROFILE);
        let desk = Desk { web, folder };
        desk.cycle();
        desk
    }

    fn show(&self, source: &str, entries: &[Entry<'_>]) {
        self.web.put(&format!("/{source}"), feed(&[entries, &[OLD]].concat()));
        self.cycle();
    }

    fn cycle(&self) {
        self.folder.run(&["run", "--once"]).ok();
    }

    fn hits(&self) -> Vec<Value> {
        let out = self.folder.run(&["hits", "--json"]).ok().out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn hit(&self, title: &str) -> Value {
        self.hits().into_iter().find(|hit| hit["title"] == title).unwrap_or_else(|| panic!("no hit {title}"))
    }

    /// How often the route's file names a title.
    fn told(&self, title: &str) -> usize {
        self.folder.read("hits.log").matches(title).count()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_copy_is_listed_and_never_told() {
    let desk = Desk::new();
    desk.show("wire", &[("https://wire.example/1", "Observer seat taken away", REPORT)]);
    let herald = format!("{REPORT} Sign up to the newsletter of the Herald.");
    desk.show("herald", &[("https://herald.example/7", "Pyongyang loses its chair", &herald)]);
    desk.show("post", &[("https://post.example/x", "Seat is gone", &format!("{REPORT} {MORE}"))]);
    desk.show(
        "post",
        &[
            ("https://post.example/x", "Seat is gone", &format!("{REPORT} {MORE}")),
            ("https://post.example/y", "An empty chair", OWN),
        ],
    );
    let relation = |title: &str| text(&desk.hit(title)["relation"]).to_string();
    assert_eq!(
        ["Observer seat taken away", "Pyongyang loses its chair", "Seat is gone", "An empty chair"].map(relation),
        ["first", "copy", "update", "first"]
    );
    let story = desk.hit("Observer seat taken away")["story"].clone();
    assert_eq!(desk.hit("Seat is gone")["story"], story);
    assert_ne!(desk.hit("An empty chair")["story"], story);
    assert_eq!(desk.told("Observer seat taken away"), 1);
    assert_eq!((desk.told("Pyongyang loses its chair"), desk.told("An empty chair")), (0, 1));

    let copy = desk.hit("Pyongyang loses its chair");
    let why = desk.folder.run(&["why", text(&copy["id"])]).ok();
    why.says("3 items, first seen")
        .says("at wire")
        .says("copy")
        .says("% of its text is in")
        .says("words more")
        .says("<- this item");
    let shown = desk.folder.run(&["story", "show", text(&story)]).ok();
    shown.says("Observer seat taken away").says("Seat is gone").says("update").never_says("An empty chair");
    let json: Value =
        serde_json::from_str(&desk.folder.run(&["story", "show", "--json", text(&copy["id"])]).ok().out).unwrap();
    assert_eq!((&json["story"], json["items"].as_array().unwrap().len()), (&story, 3));
    desk.folder.run(&["story", "list"]).ok().says("3 items").says("Observer seat taken away").says("An empty chair");
    assert_eq!(desk.folder.run(&["story", "show", "nonsense"]).code, 1);
}

#[test]
fn one_link_is_one_story_wherever_its_items_went() {
    let desk = Desk::new();
    desk.show("wire", &[("https://wire.example/1", "Observer seat taken away", REPORT)]);
    desk.show("herald", &[("https://herald.example/7", "Pyongyang loses its chair", REPORT)]);
    // The third names the link of the second, in words of its own and another language.
    desk.show(
        "post",
        &[(
            "https://herald.example/7?utm_source=rss",
            "북한 참관국 지위 박탈",
            "역내 자금세탁방지기구는 북한의 observer seat 지위를 박탈했다고 목요일 밝혔다.",
        )],
    );
    let third = desk.hit("북한 참관국 지위 박탈");
    assert_eq!(
        (text(&third["relation"]), &third["story"]),
        ("independent", &desk.hit("Observer seat taken away")["story"])
    );
    assert_eq!(desk.told("북한 참관국 지위 박탈"), 0);
    desk.folder.run(&["why", text(&third["id"])]).ok().says("the same link");
}

#[test]
fn a_story_that_was_only_backlog_is_told_by_a_fresh_copy() {
    let desk = Desk::new();
    // A new source whose first contact shows the report: nobody is told.
    let mut config = desk.folder.read("newswatch.toml");
    config += &source("late", &format!("{}/late", desk.web.base), "");
    desk.folder.write("newswatch.toml", &config);
    desk.web.put("/late", feed(&[("https://late.example/1", "Seat gone, says late", REPORT)]));
    desk.cycle();
    assert_eq!(desk.told("Seat gone, says late"), 0);
    desk.show("wire", &[("https://wire.example/1", "Observer seat taken away", REPORT)]);
    assert_eq!(desk.told("Observer seat taken away"), 1, "nobody had been told");
    desk.folder.run(&["why", text(&desk.hit("Observer seat taken away")["id"])]).ok().says("at late, as backlog");
    desk.show("herald", &[("https://herald.example/7", "Pyongyang loses its chair", REPORT)]);
    assert_eq!(desk.told("Pyongyang loses its chair"), 0, "now it was told");
}

#[test]
fn what_an_analyst_says_of_stories_stays_said() {
    let desk = Desk::new();
    desk.show("wire", &[("https://wire.example/1", "Observer seat taken away", REPORT)]);
    desk.show(
        "herald",
        &[("https://herald.example/7", "Pyongyang loses its chair", &REPORT.replace("closing", "last"))],
    );
    desk.show("post", &[("https://post.example/y", "An empty chair", OWN)]);
    let id = |title: &str| text(&desk.hit(title)["id"]).to_string();
    let story = |title: &str| text(&desk.hit(title)["story"]).to_string();

    // Joined by hand: one story from now on, with a text of its own.
    let (one, own) = (id("Observer seat taken away"), id("An empty chair"));
    desk.folder.run(&["story", "join", &own, &one, "-m", "the same meeting", "--author", "anna"]).ok().says("3 items");
    assert_eq!(story("An empty chair"), story("Observer seat taken away"));
    assert_eq!(desk.hit("An empty chair")["relation"], "independent");
    let why = desk.folder.run(&["why", &own]).ok();
    why.says("joined by anna: the same meeting").says(&format!("{own} joined with {one} by anna"));
    assert_eq!(desk.folder.run(&["story", "join", &own, &one]).code, 1);
    // A copy of the one that was joined goes with it.
    desk.show(
        "wire",
        &[
            ("https://wire.example/2", "A chair stays empty", OWN),
            ("https://wire.example/1", "Observer seat taken away", REPORT),
        ],
    );
    assert_eq!(story("A chair stays empty"), story("Observer seat taken away"));
    assert_eq!(desk.told("A chair stays empty"), 0);

    // Taken out by hand: a story of its own, with its later copies.
    let herald = id("Pyongyang loses its chair");
    desk.folder
        .run(&["story", "split", &herald, "-m", "another meeting", "--author", "ben"])
        .ok()
        .says("a story of its own")
        .says("1 item");
    assert_ne!(story("Pyongyang loses its chair"), story("Observer seat taken away"));
    desk.show(
        "post",
        &[
            ("https://post.example/z", "Chair lost", &REPORT.replace("closing", "last")),
            ("https://post.example/y", "An empty chair", OWN),
        ],
    );
    assert_eq!(story("Chair lost"), story("Pyongyang loses its chair"));
    assert_eq!(desk.folder.run(&["story", "split", &id("Chair lost")]).code, 0);
    assert_eq!(desk.folder.run(&["story", "split", &id("Chair lost")]).code, 1, "it is alone now");

    // An edit puts nothing back.
    desk.show("herald", &[("https://herald.example/7", "Pyongyang loses its chair", REPORT)]);
    assert_ne!(story("Pyongyang loses its chair"), story("Observer seat taken away"));
    desk.folder.run(&["why", &herald]).ok().says("taken out of its story by ben");
}
