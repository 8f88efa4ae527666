//! `newswatch check`: is the configuration right, and what will happen by it, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::route::{Band, RouteConfig, When, gaps};
use crate::config::schedule::{day_of, zone_name};
use crate::config::section::show_duration;
use crate::config::{Config, SourceConfig};
use crate::model::EmptyDigest;
use crate::plain;
use crate::poller::pdf;

/// Lists of names are broken into lines of so many characters.
const LINE_WIDTH: usize = 110;

/// Arguments of `newswatch check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Prints every problem on standard error (exit code 78), or the plan on standard output.
pub fn run(config: Option<&Path>, _arguments: &Arguments, now: Timestamp) -> anyhow::Result<ExitCode> {
    match Config::load(config) {
        Ok(config) => {
            std::io::stdout().lock().write_all(plan(&config, pdf::is_installed(), now).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            let mut out = std::io::stderr().lock();
            for problem in &problems {
                writeln!(out, "{}", plain::line(&problem.to_string(), 2_000))?;
            }
            writeln!(out, "{}", plain::counted(problems.len(), "problem"))?;
            Ok(ExitCode::from(super::EXIT_CONFIG))
        }
    }
}

/// What will happen by this configuration, in words: sources, profiles, routes with the next time, limits. Whether PDFs can be
/// read depends on the machine.
pub fn plan(config: &Config, reads_pdf: bool, now: Timestamp) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut out, config, reads_pdf, now);
    plain_lines(&out)
}

fn write_plan(out: &mut String, config: &Config, reads_pdf: bool, now: Timestamp) -> fmt::Result {
    let folder = config.folder.display().to_string();
    let folder = if folder.is_empty() { "." } else { &folder };
    writeln!(out, "The configuration in {folder} is right ({}).", plain::counted(config.files, "file"))?;
    write_sources(out, config)?;
    write_profiles(out, config)?;
    write_routes(out, config, now)?;
    write_operator(out, config)?;
    write_messages(out, config)?;
    write_limits(out, config)?;
    let mut notes = notes(config);
    if !reads_pdf {
        notes.push("pdftotext is not installed, so PDFs are not read: install poppler-utils".to_string());
    }
    if !notes.is_empty() {
        writeln!(out, "\nTo consider")?;
        for note in notes {
            writeln!(out, "  {note}")?;
        }
    }
    Ok(())
}

/// By file; within it by how often, the most often first.
fn write_sources(out: &mut String, config: &Config) -> fmt::Result {
    let polled = config.sources.iter().filter(|source| source.enabled).count();
    writeln!(out, "\nSources: {polled} of {} are polled", config.sources.len())?;
    let mut files: BTreeMap<&str, Vec<&SourceConfig>> = BTreeMap::new();
    for source in &config.sources {
        files.entry(&source.place.file).or_default().push(source);
    }
    for (file, sources) in files {
        let polled = sources.iter().filter(|source| source.enabled).count();
        writeln!(out, "  {file}: {polled} of {}", sources.len())?;
        let mut rhythms: BTreeMap<Option<Duration>, Vec<&str>> = BTreeMap::new();
        for source in sources.iter().filter(|source| source.enabled) {
            rhythms.entry(source.interval).or_default().push(&source.name);
        }
        for (interval, names) in rhythms {
            let rhythm = match interval {
                Some(interval) => format!("every {}: ", show_duration(interval)),
                None => "by their own rhythm: ".to_string(),
            };
            write_list(out, &rhythm, &names)?;
        }
        let off: Vec<&str> = sources.iter().filter(|source| !source.enabled).map(|source| &*source.name).collect();
        if !off.is_empty() {
            write_list(out, "switched off: ", &off)?;
        }
    }
    Ok(())
}

fn write_profiles(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "\nProfiles: {}", config.profiles.len())?;
    for profile in &config.profiles {
        let parts = [
            (profile.terms.len(), "term"),
            (profile.phrases.len(), "phrase"),
            (profile.concepts.len(), "concept"),
            (profile.conditions.len(), "condition"),
            (profile.look_alikes.len(), "look-alike"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, noun)| plain::counted(count, noun));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let (score, level) = (profile.hit_score(), profile.level.as_str());
        let shadow = profile.shadow_of.as_ref().map_or(String::new(), |live| {
            format!("; a shadow of {live}: its hits are stored, nobody is told (newswatch profile shadow)")
        });
        writeln!(out, "  {}: {parts}; a hit at score {score:.2} (level {level}){shadow}", profile.name)?;
    }
    Ok(())
}

fn write_routes(out: &mut String, config: &Config, now: Timestamp) -> fmt::Result {
    writeln!(out, "\nRoutes: {}", config.routes.len())?;
    for route in &config.routes {
        let profiles = match &route.profiles {
            Some(names) => names.join(", "),
            None => "every profile".to_string(),
        };
        let to = if route.to.is_empty() { String::new() } else { format!(" to {}", route.to.join(", ")) };
        let band = route.band.describe();
        let band = if band.is_empty() { band } else { format!(", hits {band}") };
        let channel = config.channels.get(&route.channel).map_or(String::new(), |channel| channel.describe());
        writeln!(out, "  {}: {profiles}{band}{to}", route.name)?;
        writeln!(out, "    by channel {}: {channel}", route.channel)?;
        writeln!(out, "    {}", describe_when(route, now))?;
        if !route.quiet.is_empty() {
            writeln!(out, "    {}", describe_quiet(route, now))?;
        }
        if let Some(stories) = route.budget {
            let (day, end) = (zone_name(&route.zone), day_of(&route.zone, now).1);
            let end = show_moment(route, route.quiet_until(end).unwrap_or(end));
            writeln!(
                out,
                "    at most {} a day ({day}) to each; the others come in one list, the next on {end}",
                plain::counted(stories as usize, "story")
            )?;
        }
    }
    Ok(())
}

/// How messages look and how readers answer, when that was configured.
fn write_messages(out: &mut String, config: &Config) -> fmt::Result {
    let own = config.templates().own();
    if own.is_empty() && config.verdicts.is_none() {
        return Ok(());
    }
    writeln!(out, "\nMessages")?;
    if !own.is_empty() {
        let examples = "tried with examples (newswatch digest examples)";
        writeln!(out, "  templates of your own: {}; {examples}", own.join(", "))?;
    }
    if let Some(verdicts) = &config.verdicts {
        let read = match &verdicts.maildir {
            Some(maildir) => format!("read from {} every minute", maildir.display()),
            None => "read by newswatch verdict read".to_string(),
        };
        writeln!(out, "  verdicts are mailed to {} and {read}; signed, and only from the recipient", verdicts.address)?;
        if !verdicts.senders.is_empty() {
            writeln!(out, "  also from {}", verdicts.senders.join(", "))?;
        }
    }
    Ok(())
}

/// When a route tells, with the next time.
pub(super) fn describe_when(route: &RouteConfig, now: Timestamp) -> String {
    match &route.when {
        When::AtOnce => "at once, each story once".to_string(),
        When::Grouped(length) => {
            let length = show_duration(length.unsigned_abs());
            format!("each story once, all that are found within {length} of the first in one message")
        }
        When::Digest { schedule, empty } => {
            let next = schedule.next_after(now).to_zoned(schedule.zone().clone());
            let next = next.strftime("%a %-d %b %Y, %H:%M");
            let empty = match empty {
                EmptyDigest::Always => "also when there is no hit",
                EmptyDigest::Weekly => "without a hit when there was none for a week",
                EmptyDigest::Never => "only when there are hits",
            };
            format!("a digest at {}, {empty}; the next on {next}", schedule.describe())
        }
    }
}

/// "quiet 22:00 to 07:00 every day (Europe/Zurich): what is found then comes together when it ends, next on Sat 21 Nov 2026, 07:00".
fn describe_quiet(route: &RouteConfig, now: Timestamp) -> String {
    let hours: Vec<String> = route.quiet.iter().map(|hours| hours.describe()).collect();
    let end = route.quiet_until(now).or_else(|| {
        let start = route.quiet.iter().filter_map(|hours| hours.next_start(now)).min()?;
        route.quiet_until(start)
    });
    let end = end.map_or(String::new(), |end| format!(", next on {}", show_moment(route, end)));
    format!("quiet {}: what is found then comes in one message at the end{end}", hours.join(" and "))
}

/// A moment as the route's people read it.
fn show_moment(route: &RouteConfig, at: Timestamp) -> String {
    at.to_zoned(route.zone.clone()).strftime("%a %-d %b %Y, %H:%M").to_string()
}

/// Who is told about newswatch itself, and how it is watched.
fn write_operator(out: &mut String, config: &Config) -> fmt::Result {
    let operator = &config.operator;
    let to = if operator.to.is_empty() { String::new() } else { format!(" to {}", operator.to.join(", ")) };
    let channel = config.channels.get(&operator.channel).map_or(String::new(), |channel| channel.describe());
    writeln!(out, "\nAbout newswatch itself")?;
    if config.has_operator() {
        writeln!(out, "  the operator is told{to} by channel {}: {channel}", operator.channel)?;
    } else {
        writeln!(out, "  what an operator should know goes into newswatch's own log; [operator] sends it to somebody")?;
    }
    match config.canary {
        Some(every) => {
            writeln!(out, "  a self-test goes through all of it, there too, every {}", show_duration(every))?
        }
        None => writeln!(out, "  no self-test goes through all of it ([canary])")?,
    }
    if let Some(ping) = &config.ping {
        let (url, every) = (without_secret(&ping.url), show_duration(ping.every));
        writeln!(out, "  {url} is told every {every} that newswatch lives, as long as it does")?;
    }
    Ok(())
}

/// Whoever knows the path of such an address can speak for us.
fn without_secret(url: &url::Url) -> String {
    format!("{}://{}/...", url.scheme(), url.host_str().unwrap_or_default())
}

fn write_limits(out: &mut String, config: &Config) -> fmt::Result {
    let fetch = &config.fetch;
    let show = show_duration;
    writeln!(out, "\nLimits")?;
    writeln!(
        out,
        "  a source without an interval of its own is asked by its rhythm: every {} while that is unknown, then every {} to {}",
        show(fetch.interval),
        show(fetch.interval_min),
        show(fetch.interval_quiet)
    )?;
    writeln!(
        out,
        "  less often when its publisher asks for it: up to {}, up to {} when it asks to be left alone",
        show(fetch.interval_max),
        show(fetch.retry_after_max)
    )?;
    let gap =
        if fetch.host_gap.is_zero() { "no pause".to_string() } else { format!("a pause of {}", show(fetch.host_gap)) };
    writeln!(
        out,
        "  {} at once, {} a second; one per host, {gap} between two",
        plain::counted(fetch.in_flight_max, "request"),
        fetch.requests_per_second_max
    )?;
    writeln!(
        out,
        "  a request ends after {} ({} to connect, {} without a byte), {}, {}",
        show(fetch.timeout),
        show(fetch.connect_timeout),
        show(fetch.read_timeout),
        plain::counted(fetch.redirects_max, "redirect"),
        show_bytes(fetch.body_bytes_max)
    )?;
    writeln!(
        out,
        "  a document gives at most {}, each text {}, and each visit {}",
        plain::counted(fetch.entries_max, "item"),
        show_bytes(fetch.text_bytes_max as u64),
        plain::counted(fetch.articles_per_visit_max, "article page")
    )?;
    if fetch.allow.is_empty() {
        writeln!(out, "  private networks are never asked")?;
    } else {
        let networks: Vec<String> = fetch.allow.iter().map(ToString::to_string).collect();
        writeln!(out, "  private networks are never asked, except {}", networks.join(", "))?;
    }
    if !fetch.deny.is_empty() {
        let networks: Vec<String> = fetch.deny.iter().map(ToString::to_string).collect();
        writeln!(out, "  these networks are never asked either: {}", networks.join(", "))?;
    }
    if let Some(proxy) = &fetch.proxy {
        writeln!(out, "  everything goes by the proxy {}", without_password(proxy.as_str()))?;
    }
    if let Some(path) = &fetch.ca_file {
        writeln!(out, "  the authorities in {} are trusted too", path.display())?;
    }
    writeln!(out, "  state is kept in {}", without_password(&config.store_url()))?;
    let kept = |keep| match keep {
        Some(keep) => format!("for {}", show_duration(keep)),
        None => "for ever".to_string(),
    };
    let (misses, hits) = (kept(config.store.keep_misses), kept(config.store.keep_hits));
    let search = if config.store.search { "" } else { "; nothing of it can be searched" };
    writeln!(
        out,
        "  texts of items that are no hits are kept {misses}, hits with their texts and documents {hits}{search}"
    )?;
    if !config.evidence.capture {
        return writeln!(out, "  documents are not kept as evidence, only their words (evidence.capture)");
    }
    let (one, all) = (show_bytes(config.evidence.capture_bytes_max), show_bytes(config.evidence.captures_bytes_max));
    let unused = show_duration(config.evidence.keep_unused);
    writeln!(
        out,
        "  documents are kept as evidence up to {one} each and {all} in all, those without a hit for {unused}"
    )
}

/// What is allowed but may not be meant.
fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if config.fetch.contact.is_none() {
        notes.push("fetch.contact is not set: a publisher who is bothered by the requests cannot tell you".to_string());
    }
    for profile in &config.profiles {
        let named = |route: &&RouteConfig| route.profiles.is_some() && route.wants(&profile.name);
        if profile.is_shadow() {
            for route in config.routes.iter().filter(named) {
                notes.push(format!(
                    "the route {} names {}, which is a shadow: nobody is told",
                    route.name, profile.name
                ));
            }
        } else if !config.routes.iter().any(|route| route.wants(&profile.name)) {
            notes.push(format!("nobody is told about the profile {}: no route names it", profile.name));
        } else {
            let routes = config.routes.iter().filter(|route| route.wants(&profile.name));
            let bands: Vec<Band> = routes.map(|route| route.band).collect();
            for gap in gaps(&bands) {
                let name = &profile.name;
                notes.push(format!(
                    "nobody is told about hits of {name} {}: no route's band holds them",
                    gap.describe()
                ));
            }
        }
    }
    let routes = config.routes.iter().chain(std::iter::once(&config.operator));
    let used: BTreeSet<&str> = routes.map(|route| route.channel.as_str()).collect();
    for name in config.channels.keys().filter(|name| !used.contains(name.as_str())) {
        // The log channel is there without being asked for.
        if name != crate::config::LOG_CHANNEL {
            notes.push(format!("the channel {name} is used by no route"));
        }
    }
    notes
}

/// An address without the password in it.
fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("***")) {
            Ok(()) => url.to_string(),
            Err(()) => url.scheme().to_string(),
        },
        _ => address.to_string(),
    }
}

fn show_bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * 1024;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else if bytes >= KIB && bytes.is_multiple_of(KIB) {
        format!("{} KiB", bytes / KIB)
    } else {
        format!("{bytes} bytes")
    }
}

/// Names after a heading, broken into lines.
fn write_list(out: &mut String, heading: &str, names: &[&str]) -> fmt::Result {
    let mut line = format!("    {heading}");
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { ", " } else { "" };
        if line.len() + name.len() + comma.len() > LINE_WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = "      ".to_string();
        }
        write!(line, "{name}{comma}")?;
    }
    writeln!(out, "{line}")
}

/// Nothing in a title or path steers the terminal; the indentation stays.
fn plain_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        out.push_str(&line[..indent]);
        out.push_str(&plain::line(&line[indent..], 2_000));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::File;

    const MAIN: &str = r#"
[store]
url = "postgres://watch:secret@db.example/news"
[fetch]
contact = "mailto:desk@example.org"
interval = "1h"
allow = ["10.0.0.0/8"]
[[source]]
name = "wire"
url = "https://wire.example/feed"
[[channel]]
name = "mail"
kind = "email"
server = "smtp.example.org"
from = "watch@example.org"
[[channel]]
name = "spare"
kind = "log"
[[route]]
name = "desk"
profiles = ["apg"]
channel = "mail"
to = ["desk@example.org", "duty@example.org"]
[route.digest]
at = ["07:30"]
days = "weekdays"
time_zone = "Europe/Zurich"
empty = "never"
[[route]]
name = "tail"
profiles = ["apg"]
channel = "log"
[operator]
channel = "mail"
to = ["ops@example.org"]
[canary]
every = "12h"
[ping]
url = "https://hc.example/1b2c"
"#;
    const DROP_IN: &str = r#"
[[source]]
name = "slow"
url = "https://slow.example/feed"
interval = "6h"
[[source]]
name = "off"
url = "https://off.example/feed"
enabled = false
"#;
    const APG: &str =
        "name = \"apg\"\nthreshold = 0.2\nlevel = \"strict\"\nterms = [{ text = \"observer\", weight = 1.0 }]\n";
    const LONELY: &str = "name = \"lonely\"\nthreshold = 0.2\n[[phrase]]\ntext = \"MSMT\"\nweight = 0.2\n";

    #[test]
    fn the_plan_is_in_words_and_without_secrets() {
        let file = |name: &str, text: &str| File::new(name, text.to_string());
        let config = Config::from_files(
            &file("etc/newswatch.toml", MAIN),
            &[file("etc/sources.d/more.toml", DROP_IN)],
            &[file("etc/profiles.d/apg.toml", APG), file("etc/profiles.d/lonely.toml", LONELY)],
            &[],
        )
        .unwrap();
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let expected = "\
The configuration in etc is right (4 files).

Sources: 2 of 3 are polled
  etc/newswatch.toml: 1 of 1
    by their own rhythm: wire
  etc/sources.d/more.toml: 1 of 2
    every 6 h: slow
    switched off: off

Profiles: 2
  apg: 1 term; a hit at score 0.25 (level strict)
  lonely: 1 phrase; a hit at score 0.20 (level normal)

Routes: 2
  desk: apg to desk@example.org, duty@example.org
    by channel mail: mail by smtp.example.org:587 (STARTTLS) from watch@example.org
    a digest at 07:30 on weekdays (Europe/Zurich), only when there are hits; the next on Mon 23 Nov 2026, 07:30
  tail: apg
    by channel log: lines in newswatch's own log
    at once, each story once

About newswatch itself
  the operator is told to ops@example.org by channel mail: mail by smtp.example.org:587 (STARTTLS) from watch@example.org
  a self-test goes through all of it, there too, every 12 h
  https://hc.example/... is told every 5 min that newswatch lives, as long as it does

Limits
  a source without an interval of its own is asked by its rhythm: every 1 h while that is unknown, then every 1 h to 6 h
  less often when its publisher asks for it: up to 1 day, up to 2 days when it asks to be left alone
  32 requests at once, 50 a second; one per host, a pause of 1 s between two
  a request ends after 1 min (5 s to connect, 15 s without a byte), 5 redirects, 24 MiB
  a document gives at most 5000 items, each text 256 KiB, and each visit 50 article pages
  private networks are never asked, except 10.0.0.0/8
  state is kept in postgres://watch:***@db.example/news
  texts of items that are no hits are kept for 365 days, hits with their texts and documents for 1825 days
  documents are kept as evidence up to 2 MiB each and 4096 MiB in all, those without a hit for 7 days

To consider
  nobody is told about the profile lonely: no route names it
  the channel spare is used by no route
  pdftotext is not installed, so PDFs are not read: install poppler-utils
";
        assert_eq!(plan(&config, false, now), expected);
    }

    #[test]
    fn routes_are_said_with_their_next_time_and_what_they_leave_out() {
        let main = r#"
[[source]]
name = "wire"
url = "https://wire.example/feed"
[[route]]
name = "duty"
channel = "log"
strength_min = 2
time_zone = "Europe/Zurich"
budget_per_day = 20
[route.quiet]
from = "22:00"
until = "07:00"
[[route]]
name = "team"
profiles = ["apg"]
channel = "log"
strength_min = 1.2
strength_below = 1.5
group = "10m"
[[route.quiet]]
from = "20:00"
until = "08:00"
days = "weekdays"
time_zone = "Asia/Seoul"
[[route.quiet]]
from = "00:00"
until = "00:00"
days = ["sat", "sun"]
time_zone = "Asia/Seoul"
[[route]]
name = "desk"
profiles = ["lonely"]
channel = "log"
[route.digest]
at = ["07:30"]
days = "mon"
time_zone = "America/New_York"
empty = "weekly"
"#;
        let file = |name: &str, text: &str| File::new(name, text.to_string());
        let profiles = [file("etc/profiles.d/apg.toml", APG), file("etc/profiles.d/lonely.toml", LONELY)];
        let config = Config::from_files(&file("etc/newswatch.toml", main), &[], &profiles, &[]).unwrap();
        let plan = plan(&config, true, "2026-11-20T12:00:00Z".parse().unwrap());
        let expected = "\
Routes: 3
  duty: every profile, hits of strength 2 or more
    by channel log: lines in newswatch's own log
    at once, each story once
    quiet 22:00 to 07:00 every day (Europe/Zurich): what is found then comes in one message at the end, next on Sat 21 Nov 2026, 07:00
    at most 20 stories a day (Europe/Zurich) to each; the others come in one list, the next on Sat 21 Nov 2026, 07:00
  team: apg, hits of strength 1.2 to below 1.5
    by channel log: lines in newswatch's own log
    each story once, all that are found within 10 min of the first in one message
    quiet 20:00 to 08:00 on weekdays (Asia/Seoul) and all day on sat, sun (Asia/Seoul): what is found then comes in one message at the end, next on Mon 23 Nov 2026, 00:00
  desk: lonely
    by channel log: lines in newswatch's own log
    a digest at 07:30 on mon (America/New_York), without a hit when there was none for a week; the next on Mon 23 Nov 2026, 07:30
";
        let routes = plan.split("\nAbout newswatch itself").next().unwrap();
        let routes = &routes[routes.find("Routes: ").unwrap()..];
        assert_eq!(routes, expected);
        for gap in ["of strength below 1.2", "of strength 1.5 to below 2"] {
            let note = format!("nobody is told about hits of apg {gap}: no route's band holds them");
            assert!(plan.contains(&note), "{plan}");
        }
        assert!(!plan.contains("hits of lonely"), "{plan}");
    }
}
