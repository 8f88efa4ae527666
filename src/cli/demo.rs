//! `newswatch demo`: the whole job on a bundled small internet. Needs no network, no mail and no configuration.
//!
//! A server on loopback shows seven invented sources, first as they were (the baseline), then an hour on. The real program polls them
//! with the shipped profiles, and the digest that a desk would get is printed and written as `.eml` and `.html`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::shipped;
use crate::config::Config;
use crate::config::section::parse_duration;
use crate::daemon::{self, Options};
use crate::notifier::channel::{Message, email};
use crate::notifier::preview;
use crate::plain;
use crate::store::Store;
use crate::store::hits::HitFilter;

/// Arguments of `newswatch demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for the digest's files
    #[arg(long, value_name = "FOLDER", default_value = "newswatch-demo")]
    out: PathBuf,
}

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("demo/", $folder, "/", $name)))),*]
    };
}

/// What the sources show at first contact.
const FIRST: &[(&str, &str)] = files!("first":
    "wire.xml", "paper.xml", "tracing.atom", "seoul.xml", "moskva.xml", "asia.json", "notices.html",
    "articles/circular-27.html", "articles/clone-sites.html", "articles/fee-schedule.html",
    "articles/opening-hours.html", "articles/study-visit.html", "articles/tender-switches.html",
);

/// What they show an hour on; a path that is missing here is still served from [`FIRST`].
const LATER: &[(&str, &str)] = files!("later":
    "wire.xml", "paper.xml", "tracing.atom", "seoul.xml", "moskva.xml", "asia.json", "notices.html",
    "articles/advisory-30.html", "articles/circular-31.html", "articles/guest-wifi.html",
);

/// The sources: name, title, path, kind's own settings.
const SOURCES: &[(&str, &str, &str, &str)] = &[
    ("wire", "Harbour Ledger Newswire", "wire.xml", ""),
    ("paper", "A paper that prints the wire's reports", "paper.xml", ""),
    ("tracing", "A tracing firm's blog", "tracing.atom", ""),
    ("seoul", "A Korean daily", "seoul.xml", ""),
    ("moskva", "A Russian business site", "moskva.xml", ""),
    ("asia", "A think-tank", "asia.json", ""),
    (
        "notices",
        "A regulator without a feed",
        "notices.html",
        "kind = \"page\"\narticle = true\n[source.select]\nitem = \"ul.notices > li\"\nlink = \"h3 a\"\ndate = \"time@datetime\"\nsummary = \"p\"\n",
    ),
];

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let work = std::env::temp_dir().join(format!("newswatch-demo-{}", std::process::id()));
    std::fs::create_dir_all(&work).with_context(|| format!("cannot make the folder {}", work.display()))?;
    let result = super::block_on(show(&work, &arguments.out));
    // The folder is our own and holds nothing that anyone needs afterwards.
    let _ = std::fs::remove_dir_all(&work);
    result
}

async fn show(work: &Path, out: &Path) -> anyhow::Result<ExitCode> {
    let now = super::now();
    let site = Arc::new(Site::start(now).await?);
    let config = configure(work, &site.base, now)?;
    let options = Options { once: true, ..Options::default() };
    say(&format!(
        "A small internet of {} sources stands at {}. Nothing leaves this machine.\n",
        SOURCES.len(),
        site.base
    ))?;

    let first = daemon::run(config.clone(), options.clone()).await?;
    say(&format!(
        "First contact: {} read and kept as a baseline, {} among them; nobody is told, the first\n\
         report says so (newswatch run --backlog tells all).\n",
        super::counted(first.items as usize, "item"),
        super::counted(first.hits as usize, "hit")
    ))?;

    site.later.store(true, Ordering::Relaxed);
    let later = daemon::run(config.clone(), options).await?;
    let store = super::open_store(&config).await?;
    let filter = HitFilter { without_backlog: true, limit: 1_000, ..HitFilter::default() };
    let hits = store.hits(&filter).await?;
    say(&format!(
        "An hour on: {}, {} among them.\n",
        super::counted(later.items as usize, "new item"),
        super::counted(later.hits as usize, "hit")
    ))?;
    {
        let mut stdout = anstream::stdout().lock();
        for hit in &hits {
            super::hits::print(&mut stdout, hit, &[])?;
            writeln!(stdout)?;
        }
    }
    let message = digest(&store, &config).await?;
    say("The digest that the desk gets:\n")?;
    say(&message.text)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let sender = email::Sender::parse("newswatch <newswatch@localhost.example>").map_err(anyhow::Error::msg)?;
    let mail =
        email::write_mail(&message, &sender).map_err(|error| anyhow::anyhow!("the mail cannot be written: {error}"))?;
    for (name, bytes) in [("digest.eml", mail.bytes), ("digest.html", preview::as_page(&message.html).into_bytes())] {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!("written: {}", path.display()))?;
    }
    store.close().await;
    if hits.is_empty() {
        anyhow::bail!("the demonstration found no hit: something is wrong with this build");
    }
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")?;
    Ok(())
}

/// The digest that waits for its hour, as `newswatch digest preview` shows it.
async fn digest(store: &Store, config: &Config) -> anyhow::Result<Message> {
    let now = super::now();
    let route = config.routes.first().context("the demonstration has no route")?;
    let row = preview::next_digest(store, route, "", now).await?.context("the demonstration has no digest")?;
    let mut message = preview::compose_row(store, config, route, &row, false, now).await?.message;
    message.recipient = "desk@localhost.example".to_string();
    Ok(message)
}

/// Writes the configuration, as an operator would, and loads it.
fn configure(work: &Path, base: &str, now: Timestamp) -> anyhow::Result<Config> {
    let mut text = String::from(
        "[fetch]\nallow = [\"127.0.0.1/32\"]\ninterval = \"1h\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n\n\
         [[channel]]\nname = \"file\"\nkind = \"log\"\npath = \"HITS\"\n\n\
         [[route]]\nname = \"desk\"\nchannel = \"file\"\n\n[route.digest]\nat = [\"HOUR\"]\ntime_zone = \"UTC\"\n",
    )
    .replace("HITS", &work.join("hits.log").display().to_string().replace('\\', "/"))
    // Its hour must not come while the demonstration runs.
    .replace("HOUR", &(now + SignedDuration::from_hours(12)).strftime("%H:%M").to_string());
    write!(text, "\n[store]\nurl = \"sqlite:{}\"\n", work.join("demo.sqlite").display())?;
    for (name, title, path, own) in SOURCES {
        write!(text, "\n[[source]]\nname = \"{name}\"\ntitle = \"{title}\"\nurl = \"{base}/{path}\"\n{own}")?;
    }
    std::fs::write(work.join("newswatch.toml"), text)?;
    for (folder, files) in [("profiles.d", shipped::PROFILES), ("aliases.d", shipped::ALIASES)] {
        std::fs::create_dir_all(work.join(folder))?;
        for (name, text) in files {
            std::fs::write(work.join(folder).join(name), text)?;
        }
    }
    Config::load(Some(work)).map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(|problem| plain::line(&problem.to_string(), 300)).collect();
        anyhow::anyhow!("the demonstration's configuration is not valid: {}", texts.join("; "))
    })
}

/// The small internet.
struct Site {
    base: String,
    later: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Pages {
    first: Arc<BTreeMap<String, String>>,
    second: Arc<BTreeMap<String, String>>,
    later: Arc<AtomicBool>,
}

impl Site {
    async fn start(now: Timestamp) -> anyhow::Result<Site> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let base = format!("http://{}", listener.local_addr()?);
        let fill = |files: &[(&str, &str)]| {
            let filled = files.iter().map(|(name, text)| (format!("/{name}"), fill_in(text, &base, now)));
            Arc::new(filled.collect::<BTreeMap<_, _>>())
        };
        let later = Arc::new(AtomicBool::new(false));
        let pages = Pages { first: fill(FIRST), second: fill(LATER), later: later.clone() };
        let router = axum::Router::new().fallback(serve).with_state(pages);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Site { base, later })
    }
}

async fn serve(State(pages): State<Pages>, uri: Uri) -> Response {
    let second = if pages.later.load(Ordering::Relaxed) { pages.second.get(uri.path()) } else { None };
    let Some(text) = second.or_else(|| pages.first.get(uri.path())) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let media_type = match uri.path().rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/feed+json",
        Some("atom") => "application/atom+xml",
        _ => "application/rss+xml",
    };
    ([(header::CONTENT_TYPE, media_type)], text.clone()).into_response()
}

/// Fills in `{{base}}`, `{{date:-2h}}` (RFC 3339) and `{{mail-date:-3d}}` (RFC 2822).
fn fill_in(text: &str, base: &str, now: Timestamp) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        let ago = |text: &str| {
            let length = parse_duration(text.trim_start_matches('-')).unwrap_or_default();
            SignedDuration::try_from(length).ok().and_then(|length| now.checked_sub(length).ok()).unwrap_or(now)
        };
        match name.split_once(':') {
            Some(("date", offset)) => out.push_str(&ago(offset).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            Some(("mail-date", offset)) => out.push_str(&ago(offset).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            _ => out.push_str(base),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let text = "<a href=\"{{base}}/x\">{{date:-2h}}</a> {{mail-date:-3d}}";
        let expected = "<a href=\"http://h/x\">2026-11-21T10:00:00Z</a> Wed, 18 Nov 2026 12:00:00 GMT";
        assert_eq!(fill_in(text, "http://h", now), expected);
        for (name, text) in FIRST.iter().chain(LATER) {
            assert!(!fill_in(text, "http://h", now).contains("{{"), "{name}");
        }
    }
}
