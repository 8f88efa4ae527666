//! Files to a checked configuration, or every problem at once.
//!
//! `newswatch.toml` holds the general settings; sources may stand there or in drop-ins beside it (`sources.d/*.toml`),
//! profiles are whole files (`profiles.d/*.toml`); both are read in name order. The settings of a kind of source or
//! channel are read in that kind's own file; here they are put together and checked against one another.

pub mod asked;
mod duration;
pub mod evidence;
pub mod fetch;
mod find;
pub mod messages;
pub mod metrics;
pub mod operator;
mod problem;
pub mod reference;
pub mod route;
pub mod schedule;
pub mod secret;
pub mod section;
mod source;
pub mod store;
pub mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::messages::Verdicts;
use self::metrics::MetricsConfig;
use self::operator::{OPERATOR, OWN_LOG, PingConfig};
use self::route::RouteConfig;
use self::section::{File, Place, Problem, Problems, Section, nearest};
use crate::matcher::profile::{self, Aliases, Profile};
use crate::matcher::sight;
use crate::model::{ConfigurationHashes, Id};
use crate::notifier::channel::{self, Channel};
use crate::notifier::compose::{Templates, UnreadLanguage};
use crate::store::digest::TitleAndLanguage;

pub use self::evidence::EvidenceSettings;
pub use self::fetch::FetchSettings;
pub use self::find::{read_folder, state_directory};
pub use self::source::SourceConfig;
pub use self::store::StoreSettings;

/// Name of the main file in a configuration folder.
pub const MAIN_FILE: &str = "newswatch.toml";
/// Name of the channel that writes to the process's own log; always there.
pub const LOG_CHANNEL: &str = "log";
/// Names are short: they stand in commands, file names, mail headers and log lines.
const NAME_BYTES_MAX: usize = 64;

/// A configuration that was checked as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder it was read from.
    pub folder: PathBuf,
    /// How many files it came from.
    pub files: usize,
    /// `store.url`; `None` for the file in the state folder.
    pub store_url: Option<String>,
    /// What is kept in the store, and how long.
    pub store: StoreSettings,
    /// `store.watcher`: what this process is called among those that share a store; `None` for the name of the machine.
    pub watcher: Option<String>,
    /// How the network is asked.
    pub fetch: FetchSettings,
    /// What is kept of what came from it.
    pub evidence: EvidenceSettings,
    /// All sources, also disabled ones, in the order of their files.
    pub sources: Vec<Arc<SourceConfig>>,
    /// All profiles in the order of their files.
    pub profiles: Vec<Profile>,
    /// The concepts that profiles share.
    pub aliases: Arc<Aliases>,
    /// Channels by name.
    pub channels: BTreeMap<String, Arc<dyn Channel>>,
    /// Routes in order.
    pub routes: Vec<RouteConfig>,
    /// Who is told about newswatch itself.
    pub operator: RouteConfig,
    /// How often an item is sent through to see whether all of it works; `None` for never.
    pub canary: Option<Duration>,
    /// The dead man's switch.
    pub ping: Option<PingConfig>,
    /// How messages look, when that differs from what is shipped.
    pub templates: Option<Arc<Templates>>,
    /// How readers answer.
    pub verdicts: Option<Verdicts>,
    /// Where others may look inside.
    pub metrics: Option<MetricsConfig>,
}

impl Config {
    /// Loads the configuration: `explicit` (a file or folder), else `$CONFIGURATION_DIRECTORY`, else `./config`, else the
    /// user's `newswatch` folder.
    pub fn load(explicit: Option<&Path>) -> Result<Config, Vec<Problem>> {
        let main = find::main_file(explicit).map_err(|message| vec![Problem { place: None, message }])?;
        let problems = Problems::default();
        let folder = main.parent().unwrap_or(Path::new(""));
        let main = find::read(&main, &problems);
        let sources = find::read_folder(&folder.join("sources.d"), &problems);
        let profiles = find::read_folder(&folder.join("profiles.d"), &problems);
        let aliases = find::read_folder(&folder.join("aliases.d"), &problems);
        match main {
            Some(main) => Config::read(&main, &sources, &profiles, &aliases, problems),
            None => Err(problems.into_sorted()),
        }
    }

    /// The configuration that these files are: the main one, drop-ins with sources, profiles, and alias packs.
    pub fn from_files(
        main: &File,
        sources: &[File],
        profiles: &[File],
        aliases: &[File],
    ) -> Result<Config, Vec<Problem>> {
        Config::read(main, sources, profiles, aliases, Problems::default())
    }

    fn read(
        main: &File,
        sources: &[File],
        profiles: &[File],
        aliases: &[File],
        problems: Problems,
    ) -> Result<Config, Vec<Problem>> {
        let mut raw = Raw::default();
        main.read(&problems, |mut section| {
            (raw.store_url, raw.watcher, raw.store) = store::read(section.section("store"));
            raw.fetch = fetch::read(section.section("fetch"));
            raw.evidence = evidence::read(section.section("evidence"));
            raw.read_sources(&mut section, &problems);
            raw.read_channels(&mut section, &problems);
            raw.read_routes(&mut section, &problems);
            raw.operator = section.section("operator").and_then(operator::read);
            raw.canary = operator::read_canary(section.section("canary"));
            raw.ping = section.section("ping").and_then(operator::read_ping);
            let templates = section.section("templates");
            raw.templates = templates.map(|section| Arc::new(messages::read_templates(section, &problems)));
            raw.verdicts = section.section("verdicts").and_then(messages::read_verdicts);
            raw.metrics = section.section("metrics").and_then(metrics::read);
            section.finish();
        });
        for file in sources {
            file.read(&problems, |mut section| {
                raw.read_sources(&mut section, &problems);
                section.finish();
            });
        }
        let packs = Aliases::read(aliases, &problems);
        for file in profiles {
            file.read(&problems, |section| raw.read_profile(section, &packs, &problems));
        }
        raw.check_together(main, &problems);
        if !problems.is_empty() {
            return Err(problems.into_sorted());
        }
        Ok(Config {
            folder: Path::new(main.name()).parent().unwrap_or(Path::new("")).to_path_buf(),
            files: 1 + sources.len() + profiles.len() + aliases.len(),
            store_url: raw.store_url,
            store: raw.store,
            watcher: raw.watcher,
            fetch: raw.fetch,
            evidence: raw.evidence,
            sources: raw.sources.into_iter().map(Arc::new).collect(),
            profiles: raw.profiles,
            aliases: Arc::new(packs),
            channels: raw.channels,
            routes: raw.routes,
            operator: raw.operator.unwrap_or_else(operator::to_own_log),
            canary: raw.canary,
            ping: raw.ping,
            templates: raw.templates,
            verdicts: raw.verdicts,
            metrics: raw.metrics,
        })
    }

    /// The route of this name, the operator's too.
    pub fn route(&self, name: &str) -> Option<&RouteConfig> {
        std::iter::once(&self.operator).chain(&self.routes).find(|route| route.name == name)
    }

    /// Somebody is configured to be told about newswatch itself.
    pub fn has_operator(&self) -> bool {
        self.operator.place.line > 0
    }

    /// How messages look.
    pub fn templates(&self) -> &Templates {
        self.templates.as_deref().unwrap_or_else(|| Templates::shipped())
    }

    /// Of these items, those in languages that a profile of the route has no terms in.
    pub fn unread_languages(&self, route: &RouteConfig, items: &[TitleAndLanguage]) -> Vec<UnreadLanguage> {
        let wanted = |profile: &&Profile| !profile.is_shadow() && route.wants(&profile.name);
        let profiles: Vec<&Profile> = self.profiles.iter().filter(wanted).collect();
        let items = items.iter().map(|item| (item.language.as_str(), item.title.as_str()));
        let unread = sight::unread(&profiles, items).into_iter();
        unread
            .map(|unread| UnreadLanguage { language: unread.language, items: unread.items, profiles: unread.profiles })
            .collect()
    }

    /// What tells this configuration from another where several watchers share a store. Not part of it is what may differ from
    /// machine to machine: paths, proxies, secrets.
    pub fn hashes(&self) -> ConfigurationHashes {
        let hash = |parts: Vec<String>| Id::of(&parts.iter().map(String::as_str).collect::<Vec<&str>>()).to_string();
        let source = |source: &Arc<SourceConfig>| {
            let SourceConfig { name, title, url, reader, interval, language, weight, article, group, .. } = &**source;
            format!("{name} {title} {url} {reader:?} {interval:?} {language:?} {weight} {article} {group}")
        };
        let profile = |profile: &Profile| format!("{} {:?} {}", profile.name, profile.shadow_of, profile.fingerprint());
        let route = |route: &RouteConfig| {
            let RouteConfig { name, profiles, band, channel, to, when, quiet, budget, zone, .. } = route;
            format!("{name} {profiles:?} {band:?} {channel} {to:?} {when:?} {quiet:?} {budget:?} {zone:?}")
        };
        let channel =
            |(name, channel): (&String, &Arc<dyn Channel>)| format!("{name} {} {}", channel.kind(), channel.describe());
        let routes = self.routes.iter().chain([&self.operator]).map(route);
        // How documents are read, what is kept of them, and how long.
        let limits =
            format!("{} {} {:?} {:?}", self.fetch.entries_max, self.fetch.text_bytes_max, self.store, self.evidence);
        ConfigurationHashes {
            sources: hash(self.sources.iter().filter(|source| source.enabled).map(source).chain([limits]).collect()),
            profiles: hash(self.profiles.iter().map(profile).collect()),
            routes: hash(routes.chain(self.channels.iter().map(channel)).collect()),
        }
    }

    /// The store to open: as configured, else a file in the state folder.
    pub fn store_url(&self) -> String {
        match &self.store_url {
            Some(url) => {
                match url.strip_prefix("sqlite:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path))) {
                    // Like every path of the configuration: one that is not absolute starts at its folder.
                    Some(path) if path.is_relative() => format!("sqlite:{}", self.folder.join(path).display()),
                    _ => url.clone(),
                }
            }
            None => format!("sqlite:{}", state_directory().join("newswatch.sqlite").display()),
        }
    }
}

/// What the files hold before it is checked against itself. The names are those of all tables, also of those that are
/// wrong in other ways, so that one mistake does not bring about a second message.
#[derive(Default)]
struct Raw {
    store_url: Option<String>,
    store: StoreSettings,
    watcher: Option<String>,
    fetch: FetchSettings,
    evidence: EvidenceSettings,
    sources: Vec<SourceConfig>,
    source_names: Names,
    source_tables: usize,
    profiles: Vec<Profile>,
    /// Of each of `profiles`.
    profile_places: Vec<Place>,
    profile_names: Names,
    profile_files: usize,
    /// What is on trial, beside what, and where it says so.
    shadows: Vec<(Option<String>, String, Place)>,
    channels: BTreeMap<String, Arc<dyn Channel>>,
    channel_names: Names,
    routes: Vec<RouteConfig>,
    route_names: Names,
    route_tables: usize,
    operator: Option<RouteConfig>,
    canary: Option<Duration>,
    ping: Option<PingConfig>,
    templates: Option<Arc<Templates>>,
    verdicts: Option<Verdicts>,
    metrics: Option<MetricsConfig>,
}

impl Raw {
    fn read_sources(&mut self, section: &mut Section<'_>, problems: &Problems) {
        for mut table in section.sections("source") {
            self.source_tables += 1;
            let name = read_name(&mut table);
            self.source_names.add("source", name.as_deref(), table.place_of("name"), problems);
            self.sources.extend(source::read(table, name, &self.fetch));
        }
    }

    fn read_profile(&mut self, mut section: Section<'_>, packs: &Aliases, problems: &Problems) {
        self.profile_files += 1;
        let name = read_name(&mut section);
        self.profile_names.add("profile", name.as_deref(), section.place_of("name"), problems);
        let shadow_place = section.place_of("shadow_of");
        if let Some(live) = section.text("shadow_of") {
            self.shadows.push((name, live, shadow_place));
        }
        let place = section.place();
        if let Some(profile) = profile::read(section, packs) {
            self.profiles.push(profile);
            self.profile_places.push(place);
        }
    }

    fn read_channels(&mut self, section: &mut Section<'_>, problems: &Problems) {
        let network = channel::Network { proxy: self.fetch.proxy.clone(), ca_file: self.fetch.ca_file.clone() };
        for mut table in section.sections("channel") {
            let name = read_name(&mut table);
            self.channel_names.add("channel", name.as_deref(), table.place_of("name"), problems);
            if let (Some(channel), Some(name)) = (read_kind(&mut table, channel::KINDS, None), name) {
                self.channels.insert(name, channel.on_network(&network).unwrap_or(channel));
            }
            table.finish();
        }
    }

    fn read_routes(&mut self, section: &mut Section<'_>, problems: &Problems) {
        for mut table in section.sections("route") {
            self.route_tables += 1;
            let name = read_name(&mut table);
            if name.as_deref() == Some(OPERATOR) {
                table.problem("name", "a route cannot be named \"operator\": that is what [operator] is for");
            }
            self.route_names.add("route", name.as_deref(), table.place_of("name"), problems);
            self.routes.extend(route::read(table, name));
        }
    }

    /// What only shows when all parts are known: names that lead nowhere, parts that are missing.
    fn check_together(&mut self, main: &File, problems: &Problems) {
        let top = || Some(main.place(0));
        if self.source_tables == 0 {
            problems.add(
                top(),
                "there is no source: nothing would be watched; add a [[source]] here or in sources.d/*.toml",
            );
        } else if problems.is_empty() && !self.sources.iter().any(|source| source.enabled) {
            problems.add(top(), "no source is enabled: nothing would be watched; set `enabled = true` at one of them");
        }
        if self.profile_files == 0 {
            let advice = "write one into profiles.d/ with `newswatch profile build`";
            problems.add(top(), format!("there is no profile: nothing would be found; {advice}"));
        }
        for (name, live, place) in &self.shadows {
            self.profile_names.check_known("profile", live, place, problems);
            if name.as_ref() == Some(live) {
                problems.add(Some(place.clone()), format!("the profile \"{live}\" cannot be a shadow of itself"));
            } else if self.shadows.iter().any(|(shadow, _, _)| shadow.as_ref() == Some(live)) {
                let message = format!("\"{live}\" is a shadow itself; name the profile that people are told of");
                problems.add(Some(place.clone()), message);
            }
        }
        if !self.channel_names.0.contains_key(LOG_CHANNEL) {
            self.channel_names.0.insert(LOG_CHANNEL.to_string(), main.place(0));
            self.channels.insert(LOG_CHANNEL.to_string(), channel::log::to_own_log());
        }
        if self.operator.is_none() {
            self.channels.insert(OWN_LOG.to_string(), channel::log::for_self_tests());
        }
        if self.route_tables == 0 {
            self.routes.push(RouteConfig::to_own_log());
        }
        for (profile, place) in self.profiles.iter().zip(&self.profile_places) {
            for setting in profile.settings.iter().filter(|setting| !setting.source.is_empty()) {
                self.source_names.check_known("source", &setting.source, place, problems);
            }
        }
        for route in self.routes.iter().chain(&self.operator) {
            for (name, place) in route.profiles.iter().flatten().zip(&route.profile_places) {
                if self.profile_files > 0 {
                    self.profile_names.check_known("profile", name, place, problems);
                }
            }
            self.channel_names.check_known("channel", &route.channel, &route.channel_place, problems);
            let Some(channel) = self.channels.get(&route.channel) else { continue };
            let (name, kind) = (&route.name, channel.kind());
            if channel.needs_recipients() && route.to.is_empty() {
                let message =
                    format!("route \"{name}\" leads to a channel of kind {kind}: it needs `to = [\"address\"]`");
                problems.add(Some(route.place.clone()), message);
            }
            if !channel.needs_recipients() && !route.to.is_empty() {
                let message = format!(
                    "route \"{name}\" leads to a channel of kind {kind}, which has no recipients: leave out `to`"
                );
                problems.add(Some(route.place.clone()), message);
            }
        }
    }
}

/// Names and where each stands.
#[derive(Default)]
struct Names(BTreeMap<String, Place>);

impl Names {
    /// Notes a name; one that stands already is a problem that names both places.
    fn add(&mut self, what: &str, name: Option<&str>, place: Place, problems: &Problems) {
        let Some(name) = name else { return };
        match self.0.get(name) {
            Some(first) => problems.add(Some(place), format!("there is already a {what} \"{name}\", at {first}")),
            None => _ = self.0.insert(name.to_string(), place),
        }
    }

    /// A name that leads nowhere is a problem.
    fn check_known(&self, what: &str, name: &str, place: &Place, problems: &Problems) {
        if self.0.contains_key(name) {
            return;
        }
        let advice = match nearest(name, self.0.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are: {}", self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        problems.add(Some(place.clone()), format!("there is no {what} \"{name}\"; {advice}"));
    }
}

/// A name that can stand in a command, a file name and a log line.
fn read_name(section: &mut Section<'_>) -> Option<String> {
    let name = section.required_text("name")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let advice = format!("use lower-case letters, digits, \"-\" and \"_\", at most {NAME_BYTES_MAX}");
        section.problem("name", format!("`name` cannot be {name:?}; {advice}"));
        return None;
    }
    Some(name)
}

/// A kind of source or channel: its name and how its settings are read.
type Kind<T> = (&'static str, fn(&mut Section<'_>) -> Option<Arc<T>>);

/// Reads `kind` and what that kind wants; of an unknown kind nobody can tell which keys are right.
fn read_kind<T: ?Sized>(section: &mut Section<'_>, kinds: &[Kind<T>], default: Option<&str>) -> Option<Arc<T>> {
    let words: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    let present = if default.is_some() { section.has("kind") } else { section.required_text("kind").is_some() };
    let kind = section.one_of("kind", &words);
    let kind = if present { kind } else { default };
    match kinds.iter().find(|(known, _)| Some(*known) == kind) {
        Some((_, read)) => read(section),
        None => {
            section.forgive_unknown();
            None
        }
    }
}
