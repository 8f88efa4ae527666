//! `newswatch init`: from an address, seed articles and sources to a configuration that was tried.
//!
//! Every step says in one line what came of it. Nothing is written before all of it is known; what was asked for and does not work
//! is left out of the configuration, said, and makes the exit code 1.

mod ask;
mod trial;
mod write;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use url::Url;

use self::write::{Draft, Mail, MailState};
use super::probe::{self, Offer};
use super::{Global, InvalidConfiguration, check, counted, mail_test, profile, shipped};
use crate::config::fetch::network;
use crate::config::section::{File, Problems, nearest};
use crate::config::written::Names;
use crate::config::{self, Config, FetchSettings, MAIN_FILE};
use crate::matcher::frequency::Frequencies;
use crate::matcher::profile::{learn, to_toml};
use crate::matcher::seed::Seed;
use crate::plain;
use crate::poller::http::Http;

/// Sources that are probed at a time; more are pasted into sources.d/ or imported from OPML.
const SOURCES_MAX: usize = 50;
/// Seed articles that a profile is learned from.
const SEEDS_MAX: usize = 20;
/// Terms of the new profile that are shown.
const TERMS_SHOWN: usize = 12;
/// Folder of a configuration where none is named.
const USUAL_FOLDER: &str = "config";

/// Arguments of `newswatch init`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// Who gets the digest
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// An article to learn the profile from, file or http(s) address; again for more, three are enough
    #[arg(long, value_name = "FILE|URL")]
    seed: Vec<PathBuf>,
    /// Name of the profile that is learned
    #[arg(long, default_value = "watch")]
    name: String,
    /// Profiles that are shipped, beside the learned one or instead of it: apg, panel-of-experts, russian-exchanges
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profiles: Vec<String>,
    /// A feed, or a page that is looked at for feeds and lists; again for more
    #[arg(long, value_name = "URL")]
    source: Vec<String>,
    /// Take the shipped catalogue of sources
    #[arg(long)]
    shipped_sources: bool,
    /// The server that takes your mail; port 465 means TLS, others STARTTLS, a server on this machine neither. Without it hits go to the log
    #[arg(long, value_name = "HOST[:PORT]")]
    smtp: Option<String>,
    /// Account at the mail server
    #[arg(long, requires = "smtp", requires = "password_file")]
    username: Option<String>,
    /// File with the account's password; it stays there
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Sender of the mails [default: the account if it is an address, else --to]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Times of the digest, such as 07:30,16:00
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "07:30")]
    digest: Vec<String>,
    /// Days of the digest: "weekdays", "every day", or single ones such as mon,thu
    #[arg(long, value_name = "DAY", value_delimiter = ',', default_value = "every day")]
    days: Vec<String>,
    /// Time zone of the digest, such as Europe/Zurich [default: that of this machine]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A network of your own that may be asked, such as 10.1.2.0/24; without it only public addresses are
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    allow: Vec<IpNet>,
    /// The only way out, where there is one, such as http://proxy.example.org:3128
    #[arg(long, value_name = "URL")]
    proxy: Option<Url>,
    /// Write over a configuration that is there; each file that is replaced is kept with .old behind its name
    #[arg(long)]
    force: bool,
}

/// Tries everything, then writes it.
pub fn run(global: &Global, given: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = folder(global)?;
    ensure!(
        given.force || !folder.join(MAIN_FILE).exists(),
        "there is a configuration in {} already: choose another folder with --config FOLDER, or write over it with --force",
        shown(&folder)
    );
    let wishes = if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        ask::complete(given, &mut std::io::stdin().lock(), &mut std::io::stderr().lock())?
    } else {
        ask::or_refuse(given)?
    };
    let mut steps = Steps::default();
    let settings =
        FetchSettings { allow: wishes.allow.clone(), proxy: wishes.proxy.clone(), ..FetchSettings::default() };
    let draft = Draft {
        folder: folder.clone(),
        allow: wishes.allow.clone(),
        proxy: wishes.proxy.clone(),
        recipient: wishes.to.clone(),
        mail: mail(&wishes)?,
        digest: wishes.digest.clone(),
        days: wishes.days.clone(),
        zone: zone(&wishes)?,
        offers: find_sources(&wishes, &settings, &mut steps)?,
        shipped_sources: wishes.shipped_sources,
        learned: learn_profile(&wishes, &settings, &mut steps)?,
        shipped_profiles: wishes.profiles.clone(),
    };
    // Of the files as they will be: what is tried is what is written.
    let config = checked(&draft, MailState::Works)?;
    trial::report(&config.profiles, &draft.offers, &mut steps)?;
    let mail = try_mail(&config, &draft, &mut steps)?;
    checked(&draft, mail.clone())?;
    let files = draft.files(&mail);
    write_files(&files, &folder)?;
    // As every other command will find it.
    let config = Config::load(Some(&folder)).map_err(InvalidConfiguration)?;
    let others = match config.files.saturating_sub(files.len()) {
        0 => String::new(),
        count => format!(", beside {} that stood there already", counted(count, "file")),
    };
    steps.ok("written", &format!("{} in {}{others}", counted(files.len(), "file"), shown(&folder)))?;
    let now = super::now();
    for route in &config.routes {
        let to = if route.to.is_empty() { String::new() } else { format!(" to {}", route.to.join(", ")) };
        steps.ok("told", &format!("{}{to}: {}", route.name, check::describe_when(route, now)))?;
    }
    finish(&config, &steps, &folder, global)
}

/// What came of each step.
#[derive(Default)]
struct Steps {
    failed: usize,
}

impl Steps {
    fn ok(&mut self, step: &str, words: &str) -> std::io::Result<()> {
        self.line(step, "ok", words)
    }

    fn failed(&mut self, step: &str, words: &str) -> std::io::Result<()> {
        self.failed += 1;
        self.line(step, "NOT OK", words)
    }

    /// Neither: what was not asked for.
    fn left(&mut self, step: &str, words: &str) -> std::io::Result<()> {
        self.line(step, "-", words)
    }

    fn detail(&mut self, words: &str) -> std::io::Result<()> {
        self.line("", "", words)
    }

    /// Each stands there as soon as it is made: the next one may take a while.
    fn line(&mut self, step: &str, state: &str, words: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{step:<9} {state:<7} {}", plain::line(words, 1_000))?;
        out.flush()
    }
}

fn shown(path: &Path) -> String {
    plain::line(&path.display().to_string(), 500)
}

/// The folder to write: as named, else the service's own, else ./config.
fn folder(global: &Global) -> anyhow::Result<PathBuf> {
    let service = || std::env::var_os("CONFIGURATION_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let named = global.config.clone().or_else(service).unwrap_or_else(|| PathBuf::from(USUAL_FOLDER));
    ensure!(!named.is_file(), "{} is a file: name the folder to write the configuration into", shown(&named));
    Ok(named)
}

fn zone(wishes: &Arguments) -> anyhow::Result<String> {
    let zone = match &wishes.zone {
        Some(zone) => zone.clone(),
        None => TimeZone::system().iana_name().unwrap_or("UTC").to_string(),
    };
    crate::config::schedule::read_zone(&zone).map_err(|problem| anyhow::anyhow!("--zone: {problem}"))?;
    crate::config::schedule::Schedule::new(&wishes.digest, &wishes.days, &zone).map_err(|wrong| {
        let problems: Vec<String> = wrong.into_iter().map(|part| part.message).collect();
        anyhow::anyhow!("--digest and --days: {}", problems.join("; "))
    })?;
    Ok(zone)
}

/// How mail is sent, when a server is named.
fn mail(wishes: &Arguments) -> anyhow::Result<Option<Mail>> {
    if let Some(to) = &wishes.to {
        let advice = "write it like me@example.org";
        ensure!(crate::config::route::is_mail_address(to), "--to: {to:?} is not a mail address; {advice}");
    }
    let (Some(smtp), Some(to)) = (&wishes.smtp, &wishes.to) else { return Ok(None) };
    let (server, port) = match smtp.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')) {
        Some((host, port)) => {
            let port = port.parse::<u16>().ok().filter(|port| *port > 0);
            (host, Some(port.with_context(|| format!("--smtp: {smtp:?} is not HOST or HOST:PORT"))?))
        }
        None => (smtp.as_str(), None),
    };
    let server = server.trim_matches(['[', ']']).to_string();
    let is_here =
        server == "localhost" || server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let security = match port {
        Some(465) => "tls",
        _ if is_here => "none",
        _ => "starttls",
    };
    let password_file = match &wishes.password_file {
        Some(path) => {
            std::fs::metadata(path).with_context(|| format!("--password-file: {} cannot be read", shown(path)))?;
            Some(std::path::absolute(path)?)
        }
        None => None,
    };
    let account = wishes.username.clone().filter(|name| name.contains('@'));
    let from = wishes.from.clone().or(account).unwrap_or_else(|| to.clone());
    Ok(Some(Mail { server, port, security, username: wishes.username.clone(), password_file, from }))
}

/// Looks at each address; the best of what can be watched there.
fn find_sources(wishes: &Arguments, settings: &FetchSettings, steps: &mut Steps) -> anyhow::Result<Vec<Offer>> {
    ensure!(
        wishes.source.len() <= SOURCES_MAX,
        "at most {SOURCES_MAX} --source at a time; `newswatch source import` takes over the list of a feed reader"
    );
    let mut names = Names::default();
    let mut offers = Vec::new();
    super::block_on(async {
        let http = Http::new(settings)?;
        for address in &wishes.source {
            match look(&http, address, settings).await {
                Ok(mut offer) => {
                    offer.source.name = names.unique(&offer.source.name);
                    steps.ok("source", &describe(&offer))?;
                    offers.push(offer);
                }
                Err(error) => steps.failed("source", &format!("{address}: {error:#}; it is left out"))?,
            }
        }
        Ok(())
    })?;
    if offers.is_empty() && !wishes.shipped_sources {
        bail!(
            "none of the sources can be watched, so nothing was written; `newswatch probe URL` says what is at an address"
        );
    }
    if wishes.shipped_sources {
        let words = format!("the shipped catalogue, {}, not asked now", counted(shipped::SOURCES.len(), "file"));
        steps.ok("sources", &words)?;
    }
    Ok(offers)
}

/// The best of what an address offers: what gives something now before what is empty.
async fn look(http: &Http, address: &str, settings: &FetchSettings) -> anyhow::Result<Offer> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("this is no address; write it in full, such as https://www.example.org/news")?;
    let found = probe::address(http, url, settings, super::now()).await?;
    let mut offers: Vec<Offer> = found.offers.into_iter().filter(|offer| !offer.source.disabled).collect();
    let entries = |offer: &Offer| offer.reading.as_ref().map_or(0, |reading| reading.entries.len());
    let best = offers.iter().position(|offer| entries(offer) > 0).unwrap_or(0);
    ensure!(
        !offers.is_empty(),
        "no feed, list or text to watch was found there; name the page that lists its articles"
    );
    Ok(offers.swap_remove(best))
}

fn describe(offer: &Offer) -> String {
    let source = &offer.source;
    let kind = match source.kind {
        "" => "feed",
        "page" => "list on a page",
        "watch" => "text of a page",
        other => other,
    };
    let gives = offer.reading.as_ref().map_or(String::new(), |reading| {
        let newest = reading.entries.iter().filter_map(|entry| entry.published.or(entry.updated)).max();
        let newest = newest.map_or(String::new(), |at| format!(", the newest of {}", at.strftime("%Y-%m-%d")));
        format!(", {}{newest}", counted(reading.entries.len(), "item"))
    });
    format!("{}: {kind} {}{gives}", source.name, source.url)
}

/// Learns the profile from the seeds that can be read, and shows what it looks for.
fn learn_profile(
    wishes: &Arguments,
    settings: &FetchSettings,
    steps: &mut Steps,
) -> anyhow::Result<Option<(String, String)>> {
    ensure!(
        wishes.seed.len() <= SEEDS_MAX,
        "at most {SEEDS_MAX} --seed: a profile is learned from a few good articles"
    );
    let mut seeds: Vec<Seed> = Vec::new();
    for path in &wishes.seed {
        match profile::read_seed(path, settings) {
            Ok(seed) => {
                steps.ok("seed", &format!("{}: {}", seed.file, seed.title))?;
                seeds.push(seed);
            }
            Err(error) => steps.failed("seed", &format!("{error:#}; it is left out"))?,
        }
    }
    if !wishes.profiles.is_empty() {
        steps.ok("profiles", &format!("{} (shipped)", wishes.profiles.join(", ")))?;
    }
    if seeds.is_empty() {
        ensure!(!wishes.profiles.is_empty(), "none of the seed articles can be read, so nothing was written");
        return Ok(None);
    }
    let (built, candidates) = learn(&wishes.name, &seeds, &Frequencies::new())?;
    let terms = counted(built.terms.len(), "term");
    steps.ok("profile", &format!("{}: {terms} learned, a hit from a score of {:.2}", built.name, built.hit_score()))?;
    for candidate in candidates.iter().filter(|candidate| candidate.rejected.is_none()).take(TERMS_SHOWN) {
        let term = &candidate.term;
        let rarity = term.rarity.map_or(String::new(), |rarity| format!(", rarity {rarity:.1}"));
        let returns = match candidate.returns {
            0 => String::new(),
            count => format!(", named at the head of {count} and again below"),
        };
        steps.detail(&format!(
            "{:5.2} %  {}: in {} of {}{rarity}{returns}",
            term.weight,
            term.text,
            term.seeds,
            counted(seeds.len(), "seed")
        ))?;
    }
    Ok(Some((built.name.clone(), to_toml(&built))))
}

/// The configuration that the folder will hold: these files, and those that are there and stay. A problem in them is told as
/// `newswatch check` tells it.
fn checked(draft: &Draft, mail: MailState) -> anyhow::Result<Config> {
    let files = draft.files(&mail);
    let problems = Problems::default();
    let below = |folder: &str| -> Vec<File> {
        let own = files.iter().filter(|(name, _)| name.starts_with(folder));
        let mut all: Vec<File> =
            own.map(|(name, text)| File::new(&draft.folder.join(name).display().to_string(), text.clone())).collect();
        let there = config::read_folder(&draft.folder.join(folder), &problems);
        all.extend(there.into_iter().filter(|there| files.iter().all(|(name, _)| !is_file(draft, name, there))));
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    };
    let (sources, profiles, aliases) = (below("sources.d"), below("profiles.d"), below("aliases.d"));
    let (name, text) = files.first().context("there is no main file")?;
    let main = File::new(&draft.folder.join(name).display().to_string(), text.clone());
    if !problems.is_empty() {
        return Err(InvalidConfiguration(problems.into_sorted()).into());
    }
    Ok(Config::from_files(&main, &sources, &profiles, &aliases).map_err(InvalidConfiguration)?)
}

/// The file of this name below the folder.
fn is_file(draft: &Draft, name: &str, file: &File) -> bool {
    Path::new(file.name()) == draft.folder.join(name)
}

/// Sends one mail; what becomes of the mail settings by that.
fn try_mail(config: &Config, draft: &Draft, steps: &mut Steps) -> anyhow::Result<MailState> {
    let (Some(_), Some(to), Some(channel)) = (&draft.mail, &draft.recipient, config.channels.get(write::MAIL)) else {
        let words =
            "no mail server was named (--smtp HOST): hits go to the log only, newswatch.toml shows how to add one";
        steps.left("mail", words)?;
        return Ok(MailState::NotAsked);
    };
    let message = mail_test::message(to);
    let mut last = String::new();
    let sent = super::block_on(async {
        let mut tell = |_: &str, text: &str| last = text.to_string();
        Ok(channel.rehearse(&message, &mut tell).await)
    })?;
    match sent {
        Ok(()) => {
            steps.ok("mail", &format!("a test is on its way to {to}: {}", channel.describe()))?;
            Ok(MailState::Works)
        }
        Err(error) => {
            let why = plain::line(&error.to_string(), 500);
            steps.failed("mail", &format!("hits go to the log only, the mail settings are kept as comments: {why}"))?;
            Ok(MailState::Failed(why))
        }
    }
}

fn write_files(files: &[(String, String)], folder: &Path) -> anyhow::Result<()> {
    // The main file goes first: with half of the files there is no configuration.
    for (name, _) in files {
        let path = folder.join(name);
        if path.exists() {
            let old = folder.join(format!("{name}.old"));
            std::fs::rename(&path, &old).with_context(|| format!("cannot keep {} as {}", shown(&path), shown(&old)))?;
        }
    }
    // The main file comes last: without it there is no configuration, so a write that broke off leaves none.
    for (name, text) in files.iter().rev() {
        let path = folder.join(name);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(&path, text)
        };
        write().with_context(|| format!("cannot write {}", shown(&path)))?;
    }
    Ok(())
}

/// What to do next, and whether all went well.
fn finish(config: &Config, steps: &Steps, folder: &Path, global: &Global) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let option = match (&global.config, folder == Path::new(USUAL_FOLDER)) {
        (Some(path), false) => format!(" -c {}", shown(path)),
        _ => String::new(),
    };
    writeln!(out, "\nNext:")?;
    for (command, what) in [
        ("run --once", "reads all sources once; what they show already is kept and told to nobody"),
        ("hits", "what was found, with reasons"),
        ("run", "the daemon; Ctrl-C stops it"),
    ] {
        writeln!(out, "  newswatch{option} {command:<12} {what}")?;
    }
    if config.channels.contains_key(write::MAIL) {
        writeln!(out, "  newswatch{option} digest send --route {}   a digest now", write::DIGEST)?;
    }
    if steps.failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "The configuration works, but {} above not ok.",
        match steps.failed {
            1 => "1 step is".to_string(),
            count => format!("{count} steps are"),
        }
    )?;
    Ok(ExitCode::FAILURE)
}

/// The shipped profiles of these names; of an unknown one what was perhaps meant.
fn check_profiles(names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let known = || shipped_names();
        if !known().any(|known| known == name) {
            match nearest(name, known()) {
                Some(near) => bail!("--profiles: there is no shipped profile {name:?}; did you mean {near:?}?"),
                None => {
                    bail!(
                        "--profiles: there is no shipped profile {name:?}; there are: {}",
                        known().collect::<Vec<_>>().join(", ")
                    )
                }
            }
        }
    }
    Ok(())
}

/// Names of the shipped profiles.
fn shipped_names() -> impl Iterator<Item = &'static str> {
    shipped::PROFILES.iter().filter_map(|(file, _)| file.strip_suffix(".toml"))
}
