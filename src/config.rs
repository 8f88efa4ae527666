//! Files to a checked configuration, or every problem at once.
//!
//! `newswatch.toml` holds the general settings; sources and profiles may stand there or in drop-ins beside it
//! (`sources.d/*.toml`, `profiles.d/*.toml`, read in name order). The settings of a kind of source or channel are read in that kind's own
//! file; here they are put together and checked against one another.

pub mod fetch;
pub mod route;
pub mod schedule;
pub mod section;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use self::route::RouteConfig;
use self::section::{File, Place, Problem, Problems, Section, nearest};
use crate::matcher::profile::{self, Profile};
use crate::notifier::channel::{self, Channel};
use crate::poller::source::{self, Source};

pub use self::fetch::FetchSettings;

/// Name of the main file in a configuration folder.
pub const MAIN_FILE: &str = "newswatch.toml";
/// Name of the channel that writes to the process's own log; always there.
pub const LOG_CHANNEL: &str = "log";
/// No configuration file is larger.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A configuration that was checked as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder it was read from.
    pub folder: PathBuf,
    /// How many files it came from.
    pub files: usize,
    /// `store.url`; `None` for the file in the state folder.
    pub store_url: Option<String>,
    /// How the network is asked.
    pub fetch: FetchSettings,
    /// All sources, also disabled ones, in the order of their files.
    pub sources: Vec<Arc<SourceConfig>>,
    /// All profiles in the order of their files.
    pub profiles: Vec<Profile>,
    /// Channels by name.
    pub channels: BTreeMap<String, Arc<dyn Channel>>,
    /// Routes in order.
    pub routes: Vec<RouteConfig>,
}

/// A source as configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Unique name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What is asked.
    pub url: Url,
    /// How answers are read.
    pub reader: Arc<dyn Source>,
    /// Whether it is polled.
    pub enabled: bool,
    /// How often, when that differs from `fetch.interval`.
    pub interval: Option<Duration>,
    /// Language tag of its items, when the publisher does not say or says wrongly.
    pub language: Option<String>,
    /// 1 (a general wire) to 5 (nearly every item is on topic): the order of equals, never a reason to alert.
    pub weight: i64,
    /// Fetch the article page of each new item.
    pub article: bool,
    /// Where it is configured.
    pub place: Place,
}

impl Config {
    /// Loads the configuration: `explicit` (a file or folder), else `$CONFIGURATION_DIRECTORY`, else `./config`, else the
    /// user's `newswatch` folder.
    pub fn load(explicit: Option<&Path>) -> Result<Config, Vec<Problem>> {
        let main = find(explicit).map_err(|message| vec![Problem { place: None, message }])?;
        let problems = Problems::default();
        let loaded = load_files(&main, &problems);
        match loaded {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems.into_sorted()),
        }
    }

    /// The store to open: as configured, else a file in the state folder.
    pub fn store_url(&self) -> String {
        match &self.store_url {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", state_directory().join("newswatch.sqlite").display()),
        }
    }
}

/// Where state is kept: `$STATE_DIRECTORY` (systemd), else the user's data folder.
pub fn state_directory() -> PathBuf {
    if let Some(path) = std::env::var_os("STATE_DIRECTORY").filter(|path| !path.is_empty()) {
        // systemd separates several folders by colons; ours is the first.
        return PathBuf::from(path.to_string_lossy().split(':').next().unwrap_or_default());
    }
    user_folder("XDG_DATA_HOME", ".local/share").join("newswatch")
}

fn user_folder(variable: &str, below_home: &str) -> PathBuf {
    match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| ".".into())).join(below_home),
    }
}

/// The main file. The error says where it was looked for.
fn find(explicit: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = explicit {
        let file = if path.is_dir() { path.join(MAIN_FILE) } else { path.to_path_buf() };
        return if file.is_file() {
            Ok(file)
        } else {
            Err(format!("there is no configuration at {}", file.display()))
        };
    }
    let mut folders = Vec::new();
    if let Some(folders_of_service) = std::env::var_os("CONFIGURATION_DIRECTORY").filter(|path| !path.is_empty()) {
        folders.extend(folders_of_service.to_string_lossy().split(':').map(PathBuf::from));
    }
    folders.push(PathBuf::from("config"));
    folders.push(user_folder("XDG_CONFIG_HOME", ".config").join("newswatch"));
    let files: Vec<PathBuf> = folders.iter().map(|folder| folder.join(MAIN_FILE)).collect();
    if let Some(found) = files.iter().find(|file| file.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Err(format!("no configuration found; looked for {}; give one with --config", looked.join(", ")))
}

/// What the files hold before it is checked against itself.
#[derive(Default)]
struct Raw {
    sources: Vec<SourceConfig>,
    profiles: Vec<(Place, Profile)>,
    channels: BTreeMap<String, (Place, Arc<dyn Channel>)>,
    routes: Vec<RouteConfig>,
}

fn load_files(main: &Path, problems: &Problems) -> Option<Config> {
    let folder = main.parent().unwrap_or(Path::new(".")).to_path_buf();
    let mut raw = Raw::default();
    let mut files = 1;
    let text = read_file(main, problems)?;
    let general = File::new(&main.display().to_string(), text).read(problems, |mut section| {
        let store_url = section.section("store").and_then(|mut store| {
            let url = store.text("url");
            if let Some(url) = &url
                && !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
            {
                store.problem("url", "`url` must be sqlite:PATH or postgres://...");
            }
            store.finish();
            url
        });
        let fetch = fetch::read(section.section("fetch"));
        read_sources(&mut section, &mut raw);
        read_channels(&mut section, &mut raw);
        raw.routes = section.sections("route").into_iter().filter_map(route::read).collect();
        section.finish();
        (store_url, fetch)
    });
    for path in drop_ins(&folder.join("sources.d"), problems) {
        files += 1;
        let Some(text) = read_file(&path, problems) else { continue };
        File::new(&path.display().to_string(), text).read(problems, |mut section| {
            read_sources(&mut section, &mut raw);
            section.finish();
        });
    }
    for path in drop_ins(&folder.join("profiles.d"), problems) {
        files += 1;
        let Some(text) = read_file(&path, problems) else { continue };
        File::new(&path.display().to_string(), text).read(problems, |section| {
            let place = section.place_of("name");
            raw.profiles.extend(profile::read(section).map(|profile| (place, profile)));
        });
    }
    let (store_url, fetch) = general;
    check_together(&mut raw, main, problems);
    Some(Config {
        folder,
        files,
        store_url,
        fetch,
        sources: raw.sources.into_iter().map(Arc::new).collect(),
        profiles: raw.profiles.into_iter().map(|(_, profile)| profile).collect(),
        channels: raw.channels.into_iter().map(|(name, (_, channel))| (name, channel)).collect(),
        routes: raw.routes,
    })
}

fn read_file(path: &Path, problems: &Problems) -> Option<String> {
    let read = || -> Result<String, String> {
        let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
        if size > FILE_BYTES_MAX {
            return Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"));
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| {
            format!("not valid UTF-8 after byte {}: save the file as UTF-8", error.utf8_error().valid_up_to())
        })
    };
    match read() {
        Ok(text) => Some(text),
        Err(message) => {
            problems.add(None, format!("{}: {message}", path.display()));
            None
        }
    }
}

/// The `*.toml` files of a folder by name; a folder that is not there has none.
fn drop_ins(folder: &Path, problems: &Problems) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.add(None, format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn read_sources(section: &mut Section<'_>, raw: &mut Raw) {
    let sources = section.sections("source").into_iter().filter_map(read_source);
    raw.sources.extend(sources);
}

/// Reads one `[[source]]`.
fn read_source(mut section: Section<'_>) -> Option<SourceConfig> {
    let place = section.place();
    let name = read_name(&mut section);
    let title = section.text("title");
    let kinds: Vec<&str> = source::KINDS.iter().map(|(kind, _)| *kind).collect();
    let kind = if section.has("kind") { section.one_of("kind", &kinds) } else { section.one_of_absent("kind", "feed") };
    if !section.has("url") {
        section.required_text("url");
    }
    let url = section.address("url");
    let enabled = section.boolean("enabled").unwrap_or(true);
    let interval = section.duration("interval", Duration::from_secs(1)..=Duration::from_secs(366 * 86_400));
    let language = section.text("language");
    let weight = section.integer("weight", 1..=5).unwrap_or(3);
    let article = section.boolean("article").unwrap_or(false);
    let read = source::KINDS.iter().find(|(known, _)| Some(*known) == kind).map(|(_, read)| *read);
    let reader = match read {
        Some(read) => read(&mut section),
        None => {
            section.forgive_unknown();
            None
        }
    };
    section.finish();
    let name = name?;
    let title = title.unwrap_or_else(|| name.clone());
    Some(SourceConfig { title, url: url?, reader: reader?, enabled, interval, language, weight, article, place, name })
}

/// A name that can stand in a command, a file name and a log line.
pub(crate) fn read_name(section: &mut Section<'_>) -> Option<String> {
    let name = section.required_text("name")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if name.len() > 64 || !name.chars().all(plain) {
        section.problem("name", format!("`name` cannot be {name:?}; use lower-case letters, digits, \"-\", \"_\" and \".\", at most 64"));
        return None;
    }
    Some(name)
}

fn read_channels(section: &mut Section<'_>, raw: &mut Raw) {
    for mut section in section.sections("channel") {
        let place = section.place();
        let name = read_name(&mut section);
        section.required_text("kind");
        let kinds: Vec<&str> = channel::KINDS.iter().map(|(kind, _)| *kind).collect();
        let kind = section.one_of("kind", &kinds);
        let read = channel::KINDS.iter().find(|(known, _)| Some(*known) == kind).map(|(_, read)| *read);
        let channel = match read {
            Some(read) => read(&mut section),
            None => {
                section.forgive_unknown();
                None
            }
        };
        let (Some(name), Some(channel)) = (name, channel) else {
            section.finish();
            continue;
        };
        if let Some((first, _)) = raw.channels.get(&name) {
            section.problem("name", format!("a channel named \"{name}\" stands already at {first}"));
        } else {
            raw.channels.insert(name, (place, channel));
        }
        section.finish();
    }
}

/// What only shows when all parts are known: names used twice, names that lead nowhere.
fn check_together(raw: &mut Raw, main: &Path, problems: &Problems) {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for source in &raw.sources {
        if let Some(first) = seen.insert(&source.name, &source.place) {
            problems.add(Some(source.place.clone()), format!("a source named \"{}\" stands already at {first}", source.name));
        }
    }
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for (place, profile) in &raw.profiles {
        if let Some(first) = seen.insert(&profile.name, place) {
            problems.add(Some(place.clone()), format!("a profile named \"{}\" stands already at {first}", profile.name));
        }
    }
    if problems.is_empty() && !raw.sources.iter().any(|source| source.enabled) {
        let message = "no source is enabled: nothing would be watched; add a [[source]] to it or to sources.d/*.toml";
        problems.add(None, format!("{}: {message}", main.display()));
    }
    if problems.is_empty() && raw.profiles.is_empty() {
        let message = "there is no profile: nothing would be found; add one to profiles.d/ (newswatch profile build)";
        problems.add(None, format!("{}: {message}", main.display()));
    }
    if !raw.channels.contains_key(LOG_CHANNEL) {
        let place = Place { file: main.display().to_string().into(), line: 1, column: 1 };
        raw.channels.insert(LOG_CHANNEL.to_string(), (place, channel::log::to_own_log()));
    }
    if raw.routes.is_empty() {
        raw.routes.push(RouteConfig::to_own_log());
    }
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for route in &raw.routes {
        if let Some(first) = seen.insert(&route.name, &route.place) {
            problems.add(Some(route.place.clone()), format!("a route named \"{}\" stands already at {first}", route.name));
        }
        for name in route.profiles.iter().flatten() {
            // A profile that has problems of its own is missing here; its problems say enough.
            if problems.is_empty() && !raw.profiles.iter().any(|(_, profile)| profile.name == *name) {
                let known = raw.profiles.iter().map(|(_, profile)| profile.name.as_str());
                problems.add(Some(route.profiles_place.clone()), unknown("profile", name, known));
            }
        }
        match raw.channels.get(&route.channel) {
            None => {
                let known = raw.channels.keys().map(String::as_str);
                problems.add(Some(route.channel_place.clone()), unknown("channel", &route.channel, known));
            }
            Some((_, channel)) if channel.needs_recipients() && route.to.is_empty() => {
                problems.add(Some(route.place.clone()), format!("route \"{}\" sends {}: it needs `to = [\"address\"]`", route.name, channel.kind()));
            }
            Some((_, channel)) if !channel.needs_recipients() && !route.to.is_empty() => {
                problems.add(Some(route.place.clone()), format!("route \"{}\" leads to a {} channel, which has no recipients: leave out `to`", route.name, channel.kind()));
            }
            Some(_) => {}
        }
    }
}

fn unknown<'w>(what: &str, name: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    let advice = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
    };
    format!("there is no {what} \"{name}\"; {advice}")
}
