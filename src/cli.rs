//! The command line: arguments in, exit code out. One file a command.
//!
//! Results go to standard output, the log to standard error. Exit codes: [`EXIT_CODES`].

pub mod backup;
pub mod check;
pub mod completions;
pub mod config;
pub mod coverage;
pub mod demo;
pub mod digest;
pub mod evidence;
pub mod gc;
pub mod hits;
pub mod init;
pub mod mail_test;
pub mod man;
pub mod mute;
pub mod outbox;
pub mod parse;
pub mod probe;
pub mod profile;
pub mod run;
pub mod score;
pub mod search;
mod shipped;
pub mod source;
pub mod status;
pub mod store;
pub mod story;
pub mod verdict;
pub mod why;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Config;
use crate::config::section::Problem;
use crate::store::{Durability, Store};
use crate::{plain, systemd};

/// Exit code for an invalid configuration; systemd does not restart on it.
pub const EXIT_CONFIG: u8 = 78;

/// Exit code for arguments that cannot be understood, as clap has it.
pub const EXIT_USAGE: u8 = 2;

/// What the exit codes mean; the help, the manual pages and the documentation say it with these words. 78 is EX_CONFIG of sysexits.h.
pub const EXIT_CODES: [(u8, &str); 4] = [
    (0, "fine"),
    (1, "failed, or found something wrong"),
    (EXIT_USAGE, "the arguments cannot be understood; of `status`: broken"),
    (EXIT_CONFIG, "the configuration is invalid"),
];

/// The exit codes as the last lines of the help.
fn exit_codes() -> String {
    let lines: String = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:<3} {meaning}")).collect();
    format!("Exit codes:{lines}")
}

/// A news watcher that analysts can trust.
#[derive(Debug, Parser)]
#[command(name = "newswatch", version, about, disable_help_subcommand = true, after_help = exit_codes())]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Configuration file or folder [default: $CONFIGURATION_DIRECTORY, ./config, ~/.config/newswatch]
    #[arg(short, long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Say more in the log (-vv: still more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Form of the log on standard error
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log: LogForm,
    /// Colours
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Sentences.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration from an address, seed articles and sources; tries all of it first
    Init(Box<init::Arguments>),
    /// Watch: poll sources, score items, tell people
    Run(run::Arguments),
    /// Show the whole job on a bundled small internet; needs no network and no mail
    Demo(demo::Arguments),
    /// Check the configuration and say in words what will happen
    Check(check::Arguments),
    /// Every key of the configuration with its default, and schemas for editors
    Config(config::Arguments),
    /// What could be watched at an address or in a file: prints configuration to paste
    Probe(probe::Arguments),
    /// Read one document and print what is in it
    Parse(parse::Arguments),
    /// List, show, test, pause and resume sources
    Source(source::Arguments),
    /// Build, show and judge profiles
    Profile(profile::Arguments),
    /// Score items (JSON lines on standard input) against profiles
    Score(score::Arguments),
    /// List hits; -f follows like tail
    Hits(hits::Arguments),
    /// Find items again, hits and others, by what they say
    Search(search::Arguments),
    /// Explain an item through every stage
    Why(why::Arguments),
    /// Show stories, take items out of them, and make two of them one
    Story(story::Arguments),
    /// Judge a hit, or an item that should have been one: profiles learn from it
    Verdict(verdict::Arguments),
    /// What was known when: records of hits in a chain of hashes; show, verify, export
    Evidence(evidence::Arguments),
    /// What was looked at for a profile in a time, with every gap named
    Coverage(coverage::Arguments),
    /// Tell nothing of a profile, a source or a story for a while
    Mute(mute::Arguments),
    /// What the next digest would say; send one now; list past ones; how they look
    Digest(digest::Arguments),
    /// List, retry and discard messages that wait or failed
    Outbox(outbox::Arguments),
    /// Send one mail and say what each step gave, and what to do where one fails
    MailTest(mail_test::Arguments),
    /// One screen: is everything looked at and told? Exit code 0 fine, 1 degraded, 2 broken
    Status(status::Arguments),
    /// Copy the store while the daemon runs
    Backup(backup::Arguments),
    /// What the store holds; make its index for search; move it to another place or engine
    Store(store::Arguments),
    /// Forget what is older than the configuration says
    Gc(gc::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Print the manual page of newswatch or of a command
    Man(man::Arguments),
}

/// Runs the command that the arguments name. Errors are printed here, once.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.global.color.apply();
    // The demonstration speaks for itself; its log only matters when something is wrong.
    let quiet = matches!(arguments.command, Command::Demo(_));
    start_log(&arguments.global, if quiet { "warn" } else { "info" });
    match dispatch(arguments) {
        Ok(code) => code,
        Err(error) => {
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
            {
                return ExitCode::SUCCESS;
            }
            let mut out = std::io::stderr().lock();
            let mut code = ExitCode::FAILURE;
            if let Some(InvalidConfiguration(problems)) = error.downcast_ref() {
                for problem in problems {
                    let _ = writeln!(out, "{}", plain::line(&problem.to_string(), 2_000));
                }
                code = ExitCode::from(EXIT_CONFIG);
            } else if error.is::<Usage>() {
                code = ExitCode::from(EXIT_USAGE);
            }
            let _ = writeln!(out, "newswatch: {}", plain::text(&format!("{error:#}"), 10_000));
            code
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Init(own) => init::run(global, own),
        Command::Run(own) => run::run(global, own),
        Command::Demo(own) => demo::run(own),
        Command::Check(own) => check::run(global.config.as_deref(), own, now()),
        Command::Config(own) => config::run(own),
        Command::Probe(own) => probe::run(global, own),
        Command::Parse(own) => parse::run(own),
        Command::Source(own) => source::run(global, own),
        Command::Profile(own) => profile::run(global, own),
        Command::Score(own) => score::run(own),
        Command::Hits(own) => hits::run(global, own),
        Command::Search(own) => search::run(global, own),
        Command::Why(own) => why::run(global, own),
        Command::Story(own) => story::run(global, own),
        Command::Verdict(own) => verdict::run(global, own),
        Command::Evidence(own) => evidence::run(global, own),
        Command::Coverage(own) => coverage::run(global, own),
        Command::Mute(own) => mute::run(global, own),
        Command::Digest(own) => digest::run(global, own),
        Command::Outbox(own) => outbox::run(global, own),
        Command::MailTest(own) => mail_test::run(global, own),
        Command::Status(own) => status::run(global, own),
        Command::Backup(own) => backup::run(global, own),
        Command::Store(own) => store::run(global, own),
        Command::Gc(own) => gc::run(global, own),
        Command::Completions(own) => completions::run(own),
        Command::Man(own) => man::run(own),
    }
}

impl Color {
    fn apply(self) {
        match self {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// Starts the log: into the journal with fields when systemd runs us, else to standard error.
fn start_log(global: &Global, usual: &str) {
    let default = match global.verbose {
        0 => usual.to_string(),
        1 => "newswatch=debug,info".to_string(),
        _ => "newswatch=trace,debug".to_string(),
    };
    // sqlx repeats the database's notices ("already exists, skipping", "terminating connection"), and says of each connection that
    // it broke: our own line says it once, with the reason. So it does of a certificate that is not trusted.
    let own = std::env::var("NEWSWATCH_LOG").or_else(|_| std::env::var("RUST_LOG"));
    let wanted = own.unwrap_or(default + ",sqlx=error,sqlx_postgres=warn,rustls_platform_verifier=off");
    // A hit that was "logged" must have been: no filter hides the log channel.
    let filter = EnvFilter::new(format!("{wanted},{}=info", crate::notifier::channel::log::TARGET));
    let registry = tracing_subscriber::registry().with(filter);
    if systemd::logs_to_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        registry.with(journal.with_field_prefix(Some("NEWSWATCH".to_string()))).init();
        return;
    }
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    match global.log {
        LogForm::Json => registry.with(layer.with_target(true).json()).init(),
        LogForm::Text => {
            // The sentence holds what a person needs; the fields are for JSON and the journal.
            let sentence = format::debug_fn(|writer, field, value| {
                if field.name() == "message" {
                    write!(writer, "{}", plain::line(&format!("{value:?}"), 8_000))
                } else {
                    Ok(())
                }
            });
            let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let ansi = if global.color == Color::Auto { ansi } else { global.color == Color::Always };
            // Nor do sentences stand in spans.
            let layer = layer.with_ansi(ansi).fmt_fields(sentence);
            registry.with(layer.with_filter(filter_fn(|metadata| metadata.is_event()))).init();
        }
    }
}

/// Now. The command line is an edge: it asks the clock for the functions that want `now` as an argument.
pub(crate) fn now() -> Timestamp {
    crate::clock::Clock::system().now()
}

/// The configuration cannot be used; printed problem by problem, with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{} in the configuration", counted(.0.len(), "problem"))]
struct InvalidConfiguration(Vec<Problem>);

/// Arguments that cannot be used as they are.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Loads the configuration.
pub(crate) fn load_config(global: &Global) -> anyhow::Result<Config> {
    Ok(Config::load(global.config.as_deref()).map_err(InvalidConfiguration)?)
}

pub(crate) use crate::plain::counted;

/// Runs asynchronous work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(work);
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    result
}

/// Opens the store for a look; the daemon may run beside.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::open(&config.store_url(), Durability::Full).await?.indexing(config.store.search))
}

/// The items that a person names: by id as `newswatch hits` prints it, or by address (there may be several of one address).
pub(crate) async fn find_items(store: &Store, name: &str) -> anyhow::Result<Vec<crate::model::Item>> {
    Ok(match name.parse::<crate::model::Id>() {
        Ok(id) => store.item(id).await?.into_iter().collect(),
        Err(_) => store.items_by_link(crate::poller::identity::link(name)).await?,
    })
}

/// A time (2026-11-21T08:00:00Z), a day (2026-11-21), or a length of time before now ("2d"); `option` is for the error.
pub(crate) fn parse_when(option: &str, text: &str) -> anyhow::Result<Timestamp> {
    if let Some(length) = crate::config::section::parse_duration(text) {
        return Ok(now() - jiff::SignedDuration::try_from(length)?);
    }
    parse_time(text).ok_or_else(|| {
        anyhow::anyhow!(
            "{option} {text:?} is neither a time (2026-11-21T08:00:00Z), nor a day (2026-11-21), nor a length of time (2d)"
        )
    })
}

/// A time (2026-11-21T08:00:00Z), or the beginning of a day, UTC (2026-11-21).
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    match text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10) {
        Some(day) => Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()),
        None => text.parse().ok(),
    }
}

/// A time as UTC to the second, or "never".
pub(crate) fn show_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A moment relative to now: "in 5 min", "3 h ago".
pub(crate) fn show_distance(at: Timestamp, now: Timestamp) -> String {
    let distance = at.duration_since(now);
    let length = std::time::Duration::from_secs(distance.unsigned_abs().as_secs());
    if length.is_zero() {
        "now".to_string()
    } else if distance.is_negative() {
        format!("{} ago", crate::config::section::show_duration(length))
    } else {
        format!("in {}", crate::config::section::show_duration(length))
    }
}
