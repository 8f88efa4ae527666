//! Hits to messages: subject, text, HTML. Pure. Every text from outside is made safe to show here, once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::channel::Message;
use crate::config::section::show_duration;
use crate::health::Coverage;
use crate::model::{ArticleState, DeliveryKind, Hit, Item, OutboxRow, ReportLine};
use crate::plain;

/// So many hits are written out in one message; the rest is counted and can be listed.
pub const HITS_SHOWN_MAX: usize = 200;
/// Troubles named one by one in the coverage; the rest is counted.
const TROUBLES_SHOWN_MAX: usize = 20;

/// A profile as a message names it.
#[derive(Clone, Debug)]
pub struct ProfileName {
    /// As in the configuration.
    pub name: String,
    /// For people.
    pub title: String,
    /// Which version made the scores.
    pub version: i64,
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Ingredients<'a> {
    /// The outbox row.
    pub row: &'a OutboxRow,
    /// The hits, strongest first within a profile.
    pub hits: Vec<Hit>,
    /// Other items of a hit's story, by item.
    pub copies: BTreeMap<crate::model::Id, Vec<Item>>,
    /// What was looked at in the window; an alert goes without.
    pub coverage: Option<Coverage>,
    /// How many hits first contacts brought in the window: not alerted, so they must be told.
    pub backlog: i64,
    /// The profiles of the route.
    pub profiles: Vec<ProfileName>,
    /// What the operator is told; empty but for reports.
    pub report: Vec<ReportLine>,
    /// What whoever reads the message has to know first: newswatch itself is not well.
    pub warning: Option<String>,
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// Now.
    pub now: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
struct ShownSection {
    title: String,
    hits: Vec<ShownHit>,
}

#[derive(Clone, Debug, Serialize)]
struct ShownHit {
    title: String,
    from: String,
    when: String,
    excerpt: String,
    why: String,
    score: String,
    threshold: String,
    note: String,
    copies: String,
    url: Option<String>,
    id: String,
}

/// Makes the message of an outbox row.
pub fn compose(ingredients: Ingredients<'_>) -> Result<Message, minijinja::Error> {
    let row = ingredients.row;
    if row.kind == DeliveryKind::Report {
        return compose_report(&ingredients);
    }
    let subject = subject(&ingredients);
    let shown = ingredients.hits.len().min(HITS_SHOWN_MAX);
    let mut sections: Vec<ShownSection> = Vec::new();
    let mut by_profile: BTreeMap<&str, Vec<ShownHit>> = BTreeMap::new();
    for hit in &ingredients.hits[..shown] {
        by_profile.entry(&hit.profile).or_default().push(show(hit, &ingredients));
    }
    for (name, hits) in by_profile {
        let profile = ingredients.profiles.iter().find(|profile| profile.name == name);
        let title = match profile {
            Some(profile) if !profile.title.is_empty() => profile.title.clone(),
            _ => name.to_string(),
        };
        sections.push(ShownSection { title: plain::line(&title, 200), hits });
    }
    let window = match (row.window_from, row.window_to) {
        (Some(from), Some(to)) => {
            format!("{} to {}", show_time(from, &ingredients.zone), show_time(to, &ingredients.zone))
        }
        _ => show_time(ingredients.now, &ingredients.zone),
    };
    let coverage = ingredients.coverage.as_ref().map_or(Vec::new(), |coverage| coverage_lines(coverage, &ingredients));
    let data = context! {
        subject => subject.clone(), window, coverage,
        sections => Value::from(Serde(sections)),
        route => plain::line(&row.route, 100),
        warning => ingredients.warning.as_deref().map(|warning| plain::line(warning, 500)),
        left_out => ingredients.hits.len() - shown,
    };
    let environment = templates()?;
    let text = environment.get_template("digest.txt")?.render(&data)?;
    let html = environment.get_template("digest.html")?.render(&data)?;
    Ok(Message {
        id: row.id,
        kind: row.kind,
        route: row.route.clone(),
        recipient: row.recipient.clone(),
        subject,
        text,
        html,
        images: Vec::new(),
        hits: ingredients.hits,
        thread: None,
        created_at: row.first_due_at(),
        repeated: row.attempts > 1,
    })
}

/// A message to the operator: what is wrong first, what is over behind it.
fn compose_report(ingredients: &Ingredients<'_>) -> Result<Message, minijinja::Error> {
    let row = ingredients.row;
    let (over, wrong): (Vec<&ReportLine>, Vec<&ReportLine>) =
        ingredients.report.iter().partition(|line| line.is_recovery);
    let subject = match ingredients.report.as_slice() {
        [one] => format!("newswatch: {}: {}", one.about, one.headline),
        _ if wrong.is_empty() => format!("newswatch: {}, nothing new is wrong", counted(over.len(), "note")),
        _ => format!("newswatch: {}, {} over", counted(wrong.len(), "trouble"), over.len()),
    };
    let lines: Vec<(String, String)> = wrong
        .into_iter()
        .chain(over)
        .map(|line| (plain::line(&format!("{}: {}", line.about, line.headline), 900), plain::line(&line.advice, 300)))
        .collect();
    let data = context! {
        subject => plain::line(&subject, 200), lines, time => show_time(row.created_at, &ingredients.zone),
        warning => ingredients.warning.as_deref().map(|warning| plain::line(warning, 500)),
    };
    let environment = templates()?;
    Ok(Message {
        id: row.id,
        kind: row.kind,
        route: row.route.clone(),
        recipient: row.recipient.clone(),
        subject: plain::line(&subject, 200),
        text: environment.get_template("report.txt")?.render(&data)?,
        html: environment.get_template("report.html")?.render(&data)?,
        images: Vec::new(),
        hits: Vec::new(),
        thread: None,
        created_at: row.first_due_at(),
        repeated: row.attempts > 1,
    })
}

/// The templates. Those with an HTML name escape what they are given.
fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    environment.add_template("digest.txt", include_str!("templates/digest.txt"))?;
    environment.add_template("digest.html", include_str!("templates/digest.html"))?;
    environment.add_template("report.txt", include_str!("templates/report.txt"))?;
    environment.add_template("report.html", include_str!("templates/report.html"))?;
    Ok(environment)
}

fn subject(ingredients: &Ingredients<'_>) -> String {
    let hits = &ingredients.hits;
    let text = match (ingredients.row.kind, hits.as_slice()) {
        (DeliveryKind::Alert, [hit, ..]) => {
            let profiles: Vec<&str> = hits.iter().map(|hit| hit.profile.as_str()).collect();
            format!("[{}] {}", profiles.join(", "), hit.item.title)
        }
        (_, []) => {
            let (read, sources) =
                ingredients.coverage.as_ref().map_or((0, 0), |coverage| (coverage.read, coverage.sources));
            format!("newswatch: nothing new ({read} of {sources} sources read)")
        }
        (_, hits) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for hit in hits {
                *counts.entry(&hit.profile).or_default() += 1;
            }
            let counts: Vec<String> = counts.iter().map(|(profile, count)| format!("{profile} {count}")).collect();
            format!("newswatch: {} ({})", counted(hits.len(), "hit"), counts.join(", "))
        }
    };
    plain::line(&text, 200)
}

fn show(hit: &Hit, ingredients: &Ingredients<'_>) -> ShownHit {
    let item = &hit.item;
    let why: Vec<String> = hit
        .reasons
        .iter()
        .take(6)
        .map(|reason| {
            let share = if hit.score > 0.0 { 100.0 * reason.share / hit.score } else { 0.0 };
            format!("{} ({share:.0} %)", plain::line(&reason.term, 60))
        })
        .collect();
    let mut excerpts: Vec<String> = Vec::new();
    for reason in &hit.reasons {
        let context = plain::line(&reason.context, 300);
        if excerpts.len() < 2 && !context.is_empty() && context != item.title && !excerpts.contains(&context) {
            excerpts.push(context);
        }
    }
    let source = if item.publisher.is_empty() {
        item.source.clone()
    } else {
        format!("{} (by {})", item.publisher, item.source)
    };
    let when = match item.published_at {
        Some(at) => show_time(at, &ingredients.zone),
        None => format!("first seen {}", show_time(item.first_seen_at, &ingredients.zone)),
    };
    let note = match item.article_state {
        ArticleState::Unread => "matched on summary only".to_string(),
        ArticleState::Read | ArticleState::NotWanted => String::new(),
    };
    let copies = ingredients.copies.get(&item.id).map(|copies| {
        let names: Vec<String> = copies.iter().map(|copy| plain::line(&copy.source, 60)).collect();
        names.join(", ")
    });
    let title = plain::line(&item.title, 300);
    ShownHit {
        title: if title.is_empty() { "(no title)".to_string() } else { title },
        from: plain::line(&source, 200),
        when,
        // Contexts that were cut show it themselves.
        excerpt: excerpts.join(" … ").replace("… … …", "…"),
        why: why.join(", "),
        score: format!("{:.2}", hit.score),
        threshold: format!("{:.2}", hit.threshold),
        note,
        copies: copies.unwrap_or_default(),
        url: item
            .url
            .as_deref()
            .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
            .map(|url| plain::line(url, 2_000)),
        id: item.id.to_string(),
    }
}

/// What a message says of what was looked at, a sentence a line.
fn coverage_lines(coverage: &Coverage, ingredients: &Ingredients<'_>) -> Vec<String> {
    let mut lines = vec![format!(
        "{} of {} sources read, {} failing, {} paused, {} not asked in this window; {} looked through",
        coverage.read,
        coverage.sources,
        coverage.failing.len(),
        coverage.paused.len(),
        coverage.not_asked,
        counted(coverage.items as usize, "new item"),
    )];
    for trouble in coverage.failing.iter().take(TROUBLES_SHOWN_MAX) {
        let since = trouble.since.map_or(String::new(), |since| {
            let length = ingredients.now.duration_since(since).unsigned_abs();
            format!(" for {}", show_duration(std::time::Duration::from_secs(length.as_secs().max(1))))
        });
        lines.push(format!("{} cannot be read{since}: {}", trouble.source, plain::line(&trouble.error, 300)));
    }
    if coverage.failing.len() > TROUBLES_SHOWN_MAX {
        lines.push(format!(
            "{} more cannot be read: newswatch source list",
            coverage.failing.len() - TROUBLES_SHOWN_MAX
        ));
    }
    for trouble in coverage.in_part.iter().take(TROUBLES_SHOWN_MAX) {
        lines.push(format!("{} was read in part: {}", trouble.source, plain::line(&trouble.error, 300)));
    }
    if !coverage.paused.is_empty() {
        lines.push(format!("paused by hand: {}", coverage.paused.join(", ")));
    }
    if !coverage.first_contacts.is_empty() {
        let many = coverage.first_contacts.len();
        let names = coverage.first_contacts.iter().take(TROUBLES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more =
            if many > TROUBLES_SHOWN_MAX { format!(" and {} more", many - TROUBLES_SHOWN_MAX) } else { String::new() };
        lines.push(format!(
            "first contact with {names}{more}: what they showed is backlog and was not alerted, {} among it (newswatch hits)",
            counted(ingredients.backlog.max(0) as usize, "hit"),
        ));
    }
    for profile in &ingredients.profiles {
        lines.push(format!("profile {} version {}", profile.name, profile.version));
    }
    lines
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A time as a person in the zone reads it.
fn show_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %-d %B %Y, %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Trouble;
    use crate::model::{Id, Reason};

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn row(kind: DeliveryKind) -> OutboxRow {
        OutboxRow {
            id: Id(5),
            route: "desk".into(),
            recipient: "me@example.org".into(),
            kind,
            window_from: Some(at(-1440)),
            window_to: Some(at(0)),
            created_at: at(0),
            due_at: at(0),
            state: "waiting".into(),
            attempts: 1,
            finished_at: None,
            error: String::new(),
        }
    }

    fn hit() -> Hit {
        Hit {
            item: Item {
                id: Id(77),
                source: "wire".into(),
                key: "k".into(),
                url: Some("javascript:alert(1)".into()),
                title: "Observer\u{202e} <script>alert(1)</script>\r\nBcc: x".into(),
                summary: String::new(),
                content: String::new(),
                article: String::new(),
                article_state: ArticleState::Unread,
                article_problem: String::new(),
                publisher: "The \u{1b}[31mPaper".into(),
                language: "en".into(),
                published_at: None,
                first_seen_at: at(-3),
                backlog: false,
            },
            profile: "apg".into(),
            profile_version: 1,
            score: 0.5,
            threshold: 0.25,
            reasons: vec![Reason {
                term: "observer status".into(),
                share: 0.25,
                count: 1,
                context: "the <b>observer status".into(),
                ..Reason::default()
            }],
            basis: crate::model::Basis::default(),
            shadow: false,
            found_at: at(0),
            story: Id(9),
            relation: crate::model::Relation::First,
        }
    }

    fn ingredients<'a>(row: &'a OutboxRow, hits: Vec<Hit>) -> Ingredients<'a> {
        let failing = vec![Trouble { source: "moskva".into(), since: Some(at(-180)), error: "status 503".into() }];
        Ingredients {
            row,
            hits,
            copies: BTreeMap::new(),
            coverage: Some(Coverage { sources: 3, read: 2, failing, items: 1, ..Coverage::default() }),
            backlog: 0,
            profiles: vec![ProfileName { name: "apg".into(), title: "The observer seat".into(), version: 4 }],
            report: Vec::new(),
            warning: None,
            zone: TimeZone::get("Europe/Zurich").unwrap(),
            now: at(0),
        }
    }

    #[test]
    fn an_empty_digest_proves_that_somebody_looked() {
        let message = compose(ingredients(&row(DeliveryKind::Digest), vec![])).unwrap();
        assert_eq!(message.subject, "newswatch: nothing new (2 of 3 sources read)");
        for part in [
            "Nothing new.",
            "2 of 3 sources read, 1 failing",
            "1 new item looked through",
            "moskva cannot be read for 3 h: status 503",
            "profile apg version 4",
            "Thu 14 January 2027, 09:00 CET to Fri 15 January 2027, 09:00 CET",
        ] {
            assert!(message.text.contains(part), "{part} is missing in:\n{}", message.text);
        }
    }

    #[test]
    fn a_report_says_what_is_wrong_first_and_nothing_active() {
        let line = |about: &str, headline: &str, is_recovery| ReportLine {
            at: at(0),
            about: about.into(),
            headline: headline.into(),
            advice: if is_recovery { String::new() } else { "look at it".into() },
            is_recovery,
        };
        let row = row(DeliveryKind::Report);
        let report = vec![line("wire", "can be read again", true), line("moskva", "<b>status 503\u{202e}", false)];
        let message = compose(Ingredients { report, ..ingredients(&row, vec![]) }).unwrap();
        assert_eq!(message.subject, "newswatch: 1 trouble, 1 over");
        let (wrong, over) = (message.text.find("moskva: <b>status 503"), message.text.find("wire: can be read again"));
        assert!(wrong.is_some() && wrong < over, "{}", message.text);
        assert!(message.text.contains("look at it"), "{}", message.text);
        assert!(!message.html.contains("<b>status") && !message.text.contains('\u{202e}'), "{}", message.html);
    }

    #[test]
    fn a_warning_comes_first() {
        for kind in [DeliveryKind::Digest, DeliveryKind::Alert, DeliveryKind::Report] {
            let row = row(kind);
            let warning = Some("the self-test is lost".to_string());
            let message = compose(Ingredients { warning, ..ingredients(&row, vec![hit()]) }).unwrap();
            assert!(message.text.starts_with("Attention: the self-test is lost"), "{}", message.text);
            assert!(message.html.contains("Attention: the self-test is lost"), "{}", message.html);
        }
    }

    #[test]
    fn a_hit_is_shown_with_its_reasons_and_nothing_active() {
        let message = compose(ingredients(&row(DeliveryKind::Alert), vec![hit()])).unwrap();
        assert_eq!(message.subject, "[apg] Observer <script>alert(1)</script> Bcc: x");
        for part in [
            "observer status (50 %)",
            "Score 0.50, threshold 0.25",
            "matched on summary only",
            "newswatch why",
            "The Paper",
        ] {
            assert!(message.text.contains(part), "{part} is missing in:\n{}", message.text);
        }
        assert!(!message.html.contains("<script"), "{}", message.html);
        assert!(!message.html.contains("javascript:"), "{}", message.html);
        assert!(!message.text.contains('\u{1b}') && !message.text.contains('\u{202e}'));
    }
}
