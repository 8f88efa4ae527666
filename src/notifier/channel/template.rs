//! Bodies of webhooks in the form that a service wants: templates whose result is JSON. Pure.
//!
//! A template is a file in the language of Jinja (minijinja). Whatever it puts in with `{{ … }}` is written as JSON, text with its
//! quotation marks, so nothing from outside can leave its place. It is given
//!
//! * everything of [`Payload`]: `id`, `kind`, `route`, `subject`, `lines`, `stories`, `left_out`, `list` …
//! * `values`: what the channel's `values = { … }` says, such as a topic
//! * `url`: the address, when the message is about one item
//! * `text_characters(n)`, `text_bytes(n)`: the message as text of at most so many UTF-16 units or bytes; what has no room is
//!   counted and the command named that lists it; `details_bytes(n)` is without the subject, for services that show it apart
//! * `slack_text(n)`: the same for Slack and its like, where `&`, `<` and `>` are markup; links are links
//! * `tojson` and the other filters of minijinja

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::payload::{Payload, ToldHit};
use crate::model::DeliveryKind;

/// A body is no larger.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A template that is shipped.
#[derive(Debug)]
pub struct Shipped {
    /// Its name in the configuration.
    pub name: &'static str,
    text: &'static str,
    /// What `values` must hold.
    pub needs: &'static [&'static str],
    /// The service wants PUT.
    pub put: bool,
}

/// The templates that are shipped.
pub const SHIPPED: &[Shipped] = &[
    Shipped { name: "slack", text: include_str!("templates/slack.json"), needs: &[], put: false },
    Shipped { name: "ntfy", text: include_str!("templates/ntfy.json"), needs: &["topic"], put: false },
    Shipped { name: "matrix", text: include_str!("templates/matrix.json"), needs: &[], put: true },
    Shipped { name: "telegram", text: include_str!("templates/telegram.json"), needs: &["chat_id"], put: false },
];

/// A template with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// As it is shown: a name or a path.
    pub name: String,
    text: String,
    values: BTreeMap<String, String>,
}

impl Template {
    /// A template of this text, tried on an alert, a digest and a report. The error says what is wrong, and in which line.
    pub fn new(name: &str, text: &str, values: BTreeMap<String, String>) -> Result<Template, String> {
        let template = Template { name: name.to_string(), text: text.to_string(), values };
        for kind in [DeliveryKind::Alert, DeliveryKind::Digest, DeliveryKind::Report] {
            template.body(&sample(kind))?;
        }
        Ok(template)
    }

    /// One that is shipped.
    pub fn shipped(shipped: &Shipped, values: BTreeMap<String, String>) -> Result<Template, String> {
        Template::new(shipped.name, shipped.text, values)
    }

    /// The body for a message: valid JSON.
    pub fn body(&self, payload: &Payload) -> Result<String, String> {
        let in_words = |error: minijinja::Error| match (error.line(), error.detail()) {
            (Some(line), Some(detail)) => format!("line {line}: {} ({detail})", error.kind()),
            (Some(line), None) => format!("line {line}: {}", error.kind()),
            _ => error.to_string(),
        };
        let rendered = self.render(payload).map_err(in_words)?;
        let json: serde_json::Value = serde_json::from_str(&rendered)
            .map_err(|error| format!("what it makes is no JSON: line {}: {error}", error.line()))?;
        // Written anew: what an engine escapes beyond need would count against the service's limit.
        let body = json.to_string();
        if body.len() > BODY_BYTES_MAX {
            return Err(format!("what it makes is larger than {BODY_BYTES_MAX} bytes"));
        }
        Ok(body)
    }

    fn render(&self, payload: &Payload) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        let source = std::sync::Arc::new(payload.clone());
        for (name, markup, unit, with_subject) in [
            ("text_characters", Markup::None, Unit::Characters, true),
            ("text_bytes", Markup::None, Unit::Bytes, true),
            ("details_bytes", Markup::None, Unit::Bytes, false),
            ("slack_text", Markup::Slack, Unit::Characters, true),
        ] {
            let source = source.clone();
            let text = move |most: usize| {
                let text = fitting(&source, markup, unit, most);
                let details = text.split_once('\n').map_or("", |(_, details)| details.trim_start_matches('\n'));
                if with_subject { text } else { details.to_string() }
            };
            environment.add_function(name, text);
        }
        let url = match payload.hits().map(|hit| &hit.url).collect::<Vec<_>>().as_slice() {
            [Some(url)] => Some(url.clone()),
            _ => None,
        };
        environment.add_template("body", &self.text)?;
        let more = context! { values => Value::from(Serde(self.values.clone())), url };
        let data = context! { ..more, ..Value::from(Serde(payload.clone())) };
        environment.get_template("body")?.render(data)
    }
}

/// What a service takes for markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markup {
    None,
    Slack,
}

/// What a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// UTF-16 units: never fewer than characters.
    Characters,
    Bytes,
}

impl Unit {
    fn count(self, text: &str) -> usize {
        match self {
            Unit::Characters => text.encode_utf16().count(),
            Unit::Bytes => text.len(),
        }
    }
}

/// The message as text of at most `most` units: the subject in a line of its own, then a paragraph a hit, or the lines of a message
/// that is about none. What has no room is counted.
fn fitting(payload: &Payload, markup: Markup, unit: Unit, most: usize) -> String {
    let (what, pieces): (&str, Vec<String>) = if payload.stories.is_empty() {
        // The first line of the text is the subject.
        let lines = payload.lines.iter().skip_while(|line| line.is_empty() || **line == payload.subject);
        ("line", lines.map(|line| format!("\n{}", escaped(line, markup))).collect())
    } else if let [hit] = payload.hits().collect::<Vec<_>>().as_slice()
        && payload.subject.contains(&hit.title)
    {
        ("hit", vec![details(hit, markup)])
    } else {
        let paragraph = |(index, hit): (usize, &ToldHit)| {
            format!("\n\n{}. {}{}", index + 1, escaped(&hit.title, markup), details(hit, markup))
        };
        ("hit", payload.hits().enumerate().map(paragraph).collect())
    };
    let end = |left: usize| match left {
        0 => String::new(),
        left => {
            let s = if left == 1 { "" } else { "s" };
            let list = if what == "hit" { &payload.list } else { "newswatch status" };
            format!("\n\n{left} more {what}{s} not shown here: {list}")
        }
    };
    let total = pieces.len() + payload.left_out;
    let mut text = escaped(&payload.subject, markup);
    let room = most.saturating_sub(unit.count(&end(total)));
    while unit.count(&text) > room && text.pop().is_some() {}
    let mut used = unit.count(&text);
    let mut shown = 0;
    for piece in &pieces {
        // The last piece needs no room for what would say that it is missing.
        let room = if shown + 1 == total { most } else { room };
        used += unit.count(piece);
        if used > room {
            break;
        }
        text.push_str(piece);
        shown += 1;
    }
    let mut text = text + &end(total - shown);
    while unit.count(&text) > most && text.pop().is_some() {}
    text
}

/// What is said of a hit below its title.
fn details(hit: &ToldHit, markup: Markup) -> String {
    let at = hit.published.unwrap_or(hit.first_seen).strftime("%-d %b %Y, %H:%M UTC");
    let mut text = format!("\n{}, {at}", escaped(&hit.from(), markup));
    text.push_str(&format!(
        "\n{}, strength {:.1}: {}",
        escaped(&hit.profile, markup),
        hit.strength,
        escaped(&hit.why(), markup)
    ));
    if hit.relation != crate::model::Relation::First {
        text.push_str(&format!(" ({} of an earlier report)", hit.relation.as_str()));
    }
    if let Some(url) = &hit.url {
        // An address as it is becomes a link; only what Slack takes for markup is written otherwise.
        text.push('\n');
        text.push_str(&if markup == Markup::Slack { url.replace('&', "&amp;") } else { url.clone() });
    }
    text
}

/// Text that a service shows as it is. Slack knows three characters (`<!channel>` would call everybody); its likes read
/// Markdown besides, where `](` makes a link or loads a picture and a word after `@` calls somebody.
fn escaped(text: &str, markup: Markup) -> String {
    if markup == Markup::None {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '(' if before == ']' => out.push_str(" ("),
            '@' if !before.is_alphanumeric() => out.push('\u{ff20}'),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// A message to try a template on.
fn sample(kind: DeliveryKind) -> Payload {
    use super::payload::{ToldReason, ToldStory, VERSION, Window};
    use crate::model::{Id, ReasonKind, Relation};
    use jiff::Timestamp;
    let now = Timestamp::UNIX_EPOCH;
    let hit = ToldHit {
        id: Id(1),
        profile: "profile".into(),
        profile_version: 1,
        title: "A title with \"quotation marks\"".into(),
        url: Some("https://www.example.org/".into()),
        summary: "A summary".into(),
        source: "source".into(),
        publisher: None,
        language: Some("en".into()),
        published: None,
        first_seen: now,
        found: now,
        score: 0.5,
        threshold: 0.25,
        strength: 2.0,
        relation: Relation::First,
        backlog: false,
        reasons: vec![ToldReason {
            kind: ReasonKind::Term,
            term: "term".into(),
            share: 0.5,
            count: 1,
            note: String::new(),
            context: "the term in its context".into(),
        }],
    };
    let hits = match kind {
        DeliveryKind::Alert => vec![hit],
        DeliveryKind::Report => vec![],
        _ => vec![hit.clone(), hit],
    };
    let stories = if hits.is_empty() { vec![] } else { vec![ToldStory { id: Id(2), hits }] };
    Payload {
        version: VERSION,
        id: Id(3),
        kind,
        thread: None,
        route: "route".into(),
        created: now,
        window: (kind == DeliveryKind::Digest).then_some(Window { from: now, to: now }),
        subject: "A subject".into(),
        lines: vec!["A subject".into(), String::new(), "A line".into()],
        stories,
        left_out: 0,
        list: "newswatch hits".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::tests::{hit, message};
    use super::*;
    use serde_json::{Value as Json, json};

    fn values() -> BTreeMap<String, String> {
        [("topic", "alerts"), ("chat_id", "-100123")].map(|(key, value)| (key.to_string(), value.to_string())).into()
    }

    fn body(name: &str, payload: &Payload) -> Json {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name).unwrap();
        let template = Template::shipped(shipped, values()).unwrap();
        serde_json::from_str(&template.body(payload).unwrap()).unwrap()
    }

    fn keys(json: &Json) -> Vec<&str> {
        json.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn each_service_gets_what_it_documents() {
        let mut alert = message(DeliveryKind::Alert, vec![hit(1, "Observer \"seat\" <b>&")]);
        alert.subject = "[apg] Observer \"seat\" <b>&".into();
        let payload = Payload::of(&alert);
        let text = "[apg] Observer \"seat\" <b>&\nThe Paper (by wire), 15 Jan 2027, 07:50 UTC\n\
                    apg, strength 2.5: observer status\nhttps://wire.example/1";
        assert_eq!(
            body("telegram", &payload),
            json!({"chat_id": "-100123", "text": text, "link_preview_options": {"is_disabled": true}})
        );
        assert_eq!(body("matrix", &payload), json!({"msgtype": "m.text", "body": text, "m.mentions": {}}));
        let details = text.split_once('\n').unwrap().1;
        let ntfy = json!({"topic": "alerts", "title": payload.subject, "message": details,
                          "click": "https://wire.example/1"});
        assert_eq!(body("ntfy", &payload), ntfy);
        let slack = body("slack", &payload);
        assert_eq!(slack["text"], text.replace("<b>&", "&lt;b&gt;&amp;"));
        assert_eq!(keys(&slack), ["text", "unfurl_links", "unfurl_media"]);
        let digest = Payload::of(&message(DeliveryKind::Digest, vec![hit(1, "One"), hit(2, "Two")]));
        let message = body("ntfy", &digest)["message"].clone();
        assert!(message.as_str().unwrap().starts_with("1. One\nThe Paper (by wire), 15 Jan"), "{message}");
        assert_eq!(keys(&body("ntfy", &digest)), ["message", "title", "topic"], "no address of its own");
    }

    #[test]
    fn limits_are_kept_and_what_is_missing_is_counted() {
        for title in ["Observer seat", "\"", "<<<<<<<<<<<<", "북한 자금세탁", "\u{1f4a9}\u{1f4a9}", "&\\@](x)"] {
            let hits = (0..300).map(|number| hit(number, &title.repeat(20))).collect();
            let payload = Payload::of(&message(DeliveryKind::Digest, hits));
            let counts = [
                ("slack", "text", Unit::Characters, 4_000),
                ("telegram", "text", Unit::Characters, 4_096),
                ("ntfy", "message", Unit::Bytes, 4_096),
                ("matrix", "body", Unit::Bytes, 60_000),
            ];
            for (name, key, unit, most) in counts {
                let body = body(name, &payload);
                let text = body[key].as_str().unwrap();
                assert!(unit.count(text) <= most && unit.count(text) > most / 3, "{name}: {}", unit.count(text));
                assert!(body.to_string().len() < 65_536, "{name}");
                let shown = text.matches(" (by wire), ").count();
                let left = format!("{} more hits not shown here: newswatch hits --since ", 300 - shown);
                assert!(shown > 0 && text.contains(&left), "{name}: {shown} of {text}");
            }
        }
    }

    #[test]
    fn nothing_calls_anybody_or_becomes_a_link() {
        let title = "<!channel> @all (@here) [x](https://evil.example) ![p](//e) me@example.org </script>";
        let payload = Payload::of(&message(DeliveryKind::Alert, vec![hit(1, title)]));
        let slack = body("slack", &payload);
        let text = slack["text"].as_str().unwrap();
        assert!(
            !text.contains('<') && !text.contains("](") && !text.contains("@all") && !text.contains("@here"),
            "{text}"
        );
        assert!(text.contains("me@example.org") && text.contains("＠all"), "{text}");
    }

    #[test]
    fn a_message_without_hits_is_told_line_by_line() {
        let mut empty = message(DeliveryKind::Report, vec![]);
        empty.text = format!("{}\n\nmoskva cannot be read\n- say newswatch source test moskva\n", empty.subject);
        let matrix = body("matrix", &Payload::of(&empty));
        assert_eq!(
            matrix["body"],
            "newswatch: 2 hits (apg 2)\nmoskva cannot be read\n- say newswatch source test moskva"
        );
        // A blank line at its head.
        assert_eq!(
            body("ntfy", &Payload::of(&empty))["message"].as_str().map(|text| text.starts_with("moskva")),
            Some(true)
        );
        empty.text = "a line of a long report\n".repeat(1_000);
        let telegram = body("telegram", &Payload::of(&empty));
        let text = telegram["text"].as_str().unwrap();
        assert!(text.ends_with(" more lines not shown here: newswatch status"), "{text}");
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said_with_its_line() {
        let new = |text: &str| Template::new("own.json", text, values()).map(|_| ());
        assert_eq!(new("{\"a\": {{ subject }}, \"b\": {{ stories[0].hits[0].title if stories }}}"), Ok(()));
        assert_eq!(new("{{ values.topic }}"), Ok(()));
        for (text, part) in [
            ("{\n{{ subjekt }}", "line 2: undefined value"),
            ("{\n\n{% if %}", "line 3: syntax error"),
            ("{\"a\": {{ subject }}", "what it makes is no JSON: line 1: EOF"),
            ("{\"a\": \"{{ subject }}\"}", "what it makes is no JSON"),
            ("{{ values.room }}", "line 1: undefined value"),
            ("{% include 'etc' %}", "line 1: template not found"),
        ] {
            let error = new(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let ntfy = SHIPPED.iter().find(|shipped| shipped.name == "ntfy").unwrap();
        assert!(Template::shipped(ntfy, BTreeMap::new()).is_err(), "needs a topic");
    }
}
