//! `newswatch profile`: builds profiles from seed articles and shows them.

mod archive;
mod backtest;
mod edit;
mod lint;
mod precision;
mod shadow;
mod suggest;

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Deserialize;
use url::Url;

use self::precision::Precision;
use super::Global;
use crate::config::section::{File, Problem, Problems};
use crate::config::{Config, FetchSettings, read_folder};
use crate::matcher;
use crate::matcher::frequency::Frequencies;
use crate::matcher::profile::{self, Aliases, Candidate, Name, Profile};
use crate::matcher::seed::Seed;
use crate::matcher::text::Tokenizer;
use crate::model::ReasonKind;
use crate::plain;
use crate::poller::fetch::{Fetch, Request};
use crate::poller::http::Http;
use crate::poller::pdf::{self, PdfReader};
use crate::poller::read::article::article;
use crate::poller::source::{Document, ReadLimits};

/// A seed of more bytes is refused: it is a book, or not a text.
const SEED_BYTES_MAX: u64 = 10 << 20;

/// `newswatch profile`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Learn a profile from one to three seed articles; prints it as TOML
    Build(Build),
    /// Show what a profile looks for, the heaviest terms first
    Show(Show),
    /// What other thresholds, or a changed profile, would have found in the archive
    Backtest(backtest::Arguments),
    /// Names that never occur, occur everywhere or alone make the hits; languages without names. Exit code 1 when any is found
    Lint(lint::Arguments),
    /// What verdicts and recent hits teach, as a change of the profile's file to accept by hand
    Suggest(suggest::Arguments),
    /// What would change if a profile on trial (`shadow_of`) took the place of the other
    Shadow(shadow::Arguments),
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Items (JSON lines with title and text) that show which words are frequent in your sources
    #[arg(long, value_name = "FILE")]
    background: Option<PathBuf>,
    /// Short name of the profile
    #[arg(long)]
    name: String,
    /// Also say on stderr why each term was kept, and why the strongest others were not
    #[arg(long)]
    explain: bool,
    /// Seed articles: text (title line, empty line, text), Markdown, HTML, one JSON item, or an http(s) address
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    seed: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The profile's file, or its name in the configuration: then with what verdicts say of it
    #[arg(value_name = "NAME|FILE")]
    profile: PathBuf,
}

/// Runs the command.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match &arguments.command {
        Command::Backtest(own) => return backtest::run(global, own),
        Command::Lint(own) => return lint::run(global, own),
        Command::Suggest(own) => return suggest::run(global, own),
        Command::Shadow(own) => return shadow::run(global, own),
        Command::Build(build) => {
            let mut frequencies = Frequencies::new();
            if let Some(path) = &build.background {
                count_background(path, &mut Tokenizer::new(), &mut frequencies)?;
            }
            // A bad or missing configuration must not keep anyone from building a profile from files.
            let network =
                Config::load(global.config.as_deref()).map_or_else(|_| FetchSettings::default(), |config| config.fetch);
            let seeds = build.seed.iter().map(|path| read_seed(path, &network));
            let seeds = seeds.collect::<anyhow::Result<Vec<Seed>>>()?;
            let (built, candidates) = profile::learn(&build.name, &seeds, &frequencies)?;
            if build.explain {
                write_candidates(&mut std::io::stderr().lock(), &candidates, &seeds)?;
            }
            out.write_all(profile::to_toml(&built).as_bytes())?;
        }
        Command::Show(show) if show.profile.exists() => match load(&show.profile)? {
            Ok(profile) => write_profile(&mut out, &profile, None)?,
            Err(problems) => return report(&problems),
        },
        Command::Show(show) => {
            let name = show.profile.display().to_string();
            if name.contains(['/', '.']) {
                bail!("there is no file {}", plain::line(&name, 500));
            }
            let config = super::load_config(global)?;
            let profile = archive::find(&config, &name)?;
            let precision = super::block_on(precision::of(&config, profile))?;
            write_profile(&mut out, profile, Some(&precision))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write_profile(out: &mut impl Write, profile: &Profile, precision: Option<&Precision>) -> std::io::Result<()> {
    let clean = |text: &str| plain::line(text, 200);
    writeln!(out, "{} (version {}): {}", clean(&profile.name), profile.version, clean(&profile.title))?;
    if let Some(live) = &profile.shadow_of {
        writeln!(out, "on trial beside {}: nobody is told", clean(live))?;
    }
    let moves = if profile.follows_noise { ", more where the sources are noisy" } else { "" };
    writeln!(out, "a hit from a score of {:.3} (level {}{moves})", profile.hit_score(), profile.level.as_str())?;
    for seed in &profile.seeds {
        writeln!(out, "learned from {}: {}", clean(&seed.file), clean(&seed.title))?;
    }
    if let Some(precision) = precision {
        writeln!(out, "{}", precision.in_words())?;
    }
    // Of the judged hits that a term had a part in: how many were right.
    let judged = |kind, text: &str| precision.and_then(|precision| precision.of_name(kind, text)).unwrap_or_default();
    if !profile.terms.is_empty() {
        writeln!(out, "\n weight  rarity  seeds  term")?;
    }
    for term in &profile.terms {
        let rarity = term.rarity.map_or("     -".to_string(), |rarity| format!("{rarity:6.1}"));
        let judged = judged(ReasonKind::Term, &term.text);
        writeln!(out, "{:6.2}%  {rarity}  {:5}  {}{judged}", term.weight, term.seeds, clean(&term.text))?;
    }
    if !profile.phrases.is_empty() {
        writeln!(out, "\n  adds  phrase")?;
    }
    for phrase in &profile.phrases {
        let judged = judged(ReasonKind::Phrase, &phrase.text);
        writeln!(out, "{:6.2}  {}{judged}", phrase.weight, clean(&phrase.text))?;
    }
    if !profile.concepts.is_empty() {
        writeln!(out, "\n  adds  concept: its names (in brackets: only beside another concept)")?;
    }
    for concept in &profile.concepts {
        let shown = |name: &Name| match (&name.context, name.is_expression) {
            (Some(_), _) => format!("({})", name.text),
            (None, true) => format!("/{}/", name.text),
            (None, false) => name.text.clone(),
        };
        let names = concept.names.iter().map(shown).collect::<Vec<_>>().join(", ");
        let includes = match concept.includes.is_empty() {
            true => String::new(),
            false => format!(" all of {};", concept.includes.join(", ")),
        };
        writeln!(out, "{:6.2}  {}:{includes} {}", concept.weight, clean(&concept.name), plain::line(&names, 20_000))?;
    }
    if !profile.conditions.is_empty() {
        writeln!(out, "\n  adds  condition")?;
    }
    for condition in &profile.conditions {
        let required = if condition.required { " (required for a hit)" } else { "" };
        let (name, asks) = (clean(&condition.name), plain::line(&condition.in_words(), 1_000));
        writeln!(out, "{:6.2}  {name}{required}: {asks}", condition.adds)?;
    }
    if !profile.look_alikes.is_empty() {
        writeln!(out, "\n takes  look-alike")?;
    }
    for look_alike in &profile.look_alikes {
        let by = [&look_alike.author, &look_alike.date].into_iter().filter(|by| !by.is_empty());
        let by: String = by.map(|by| format!(", {by}")).collect();
        let (name, reason) = (clean(&look_alike.name), clean(&look_alike.reason));
        writeln!(out, "{:6.2}  {name}: {reason}{}", look_alike.subtracts, clean(&by))?;
    }
    for setting in &profile.settings {
        let whom = [("source ", &setting.source), ("language ", &setting.language)];
        let whom = whom
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(what, value)| format!("{what}{}", clean(value)));
        writeln!(out, "threshold x {} for {}", setting.threshold_factor, whom.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// Why each term was kept and the strongest others were not.
fn write_candidates(out: &mut impl Write, candidates: &[Candidate], seeds: &[Seed]) -> std::io::Result<()> {
    writeln!(
        out,
        "strength: how strongly the seeds use it (0 to 9). rarity: how seldom it is elsewhere (0 to 10). seeds: how"
    )?;
    writeln!(
        out,
        "many hold it. again: how many name it in the title or at the head and come back to it. rank: among the words"
    )?;
    writeln!(out, "or the pairs of words.\n\n weight  strength  rarity  seeds  again  rank  term")?;
    for found in candidates {
        let term = &found.term;
        let weight = if found.rejected.is_none() { format!("{:6.2}%", term.weight) } else { "      -".to_string() };
        let reason = found.rejected.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        writeln!(
            out,
            "{weight}  {:8.2}  {:6.2}  {:5}  {:5}  {:4}  {}{reason}",
            term.strength,
            term.rarity.unwrap_or_default(),
            term.seeds,
            found.returns,
            found.rank,
            plain::line(&term.text, 200)
        )?;
    }
    let never = profile::never_terms(seeds);
    let shown: Vec<String> = never.iter().take(40).map(|(word, count)| format!("{word} ({count})")).collect();
    writeln!(out, "\nnever terms (stop words, single letters, short numbers), the most frequent: {}", shown.join(", "))
}

/// Reads a profile's file: the profile, or all that is wrong with it. The outer error: the file cannot be read.
pub fn load(path: &Path) -> anyhow::Result<Result<Profile, Vec<Problem>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the profile {}", path.display()))?;
    Ok(parse(path, text))
}

/// The profile that a file of this path and text is, or all that is wrong with it.
fn parse(path: &Path, text: String) -> Result<Profile, Vec<Problem>> {
    let problems = Problems::default();
    // The packs lie where the configuration has them: beside the folder of the profile, or beside the profile itself.
    let folder = path.parent().unwrap_or(Path::new(""));
    let near = [folder.join("../aliases.d"), folder.join("aliases.d")];
    let packs = near.iter().find(|folder| folder.is_dir()).map(|folder| read_folder(folder, &problems));
    let packs = Aliases::read(&packs.unwrap_or_default(), &problems);
    let file = File::new(&path.display().to_string(), text);
    let profile = file.read(&problems, |section| profile::read(section, &packs));
    match profile {
        Some(profile) if problems.is_empty() => Ok(profile),
        _ => Err(problems.into_sorted()),
    }
}

/// Prints problems of the configuration; the exit code says so.
pub fn report(problems: &[Problem]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stderr().lock();
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    Ok(ExitCode::from(78))
}

/// Reads a seed article: a file, or a page that is fetched. The only place that knows what seeds can be; the error says
/// what to do.
pub fn read_seed(path: &Path, network: &FetchSettings) -> anyhow::Result<Seed> {
    let shown = plain::line(&path.display().to_string(), 500);
    if let Ok(url) = Url::parse(&shown)
        && matches!(url.scheme(), "http" | "https")
    {
        return fetch_seed(url, network).with_context(|| format!("the seed {shown} cannot be read"));
    }
    let file = path.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if let Some(kind @ ("doc" | "docx")) = ending.as_deref() {
        bail!("the seed {shown}: {kind} files cannot be read; save the article as a PDF, text, Markdown or HTML file");
    }
    if ending.as_deref() == Some("pdf") {
        let body = std::fs::read(path).with_context(|| format!("cannot read the seed {shown}"))?;
        return pdf_seed(&file, &body).with_context(|| format!("the seed {shown} cannot be read"));
    }
    let size = std::fs::metadata(path).with_context(|| format!("cannot read the seed {shown}"))?.len();
    if size > SEED_BYTES_MAX {
        bail!("the seed {shown} has {size} bytes; an article has at most {SEED_BYTES_MAX}");
    }
    if matches!(ending.as_deref(), Some("html" | "htm")) {
        let body = std::fs::read(path).with_context(|| format!("cannot read the seed {shown}"))?;
        let url = Url::parse("about:blank")?;
        let document = Document { url: &url, content_type: None, body: &body };
        return article_seed(&file, &document).with_context(|| format!("the seed {shown} cannot be read"));
    }
    let content =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the seed {shown} as UTF-8 text"))?;
    Seed::parse(&file, &content).map_err(|reason| anyhow::anyhow!("the seed {shown} {reason}"))
}

/// The article on a page.
fn article_seed(name: &str, document: &Document<'_>) -> anyhow::Result<Seed> {
    let article = article(document, &ReadLimits::default())?;
    if article.text.trim().is_empty() {
        bail!("no article was found on it; save its text as a text or Markdown file");
    }
    Ok(Seed { file: name.to_string(), title: plain::line(&article.title, 1_000), text: article.text })
}

/// The report in a PDF.
fn pdf_seed(name: &str, body: &[u8]) -> anyhow::Result<Seed> {
    let most = ReadLimits::default().text_bytes_max;
    let found = super::block_on(async {
        PdfReader::default().read(body, most).await.map_err(|failure| anyhow::anyhow!(failure.reason))
    })?;
    Ok(Seed { file: name.to_string(), title: found.about.title, text: found.text })
}

fn fetch_seed(url: Url, network: &FetchSettings) -> anyhow::Result<Seed> {
    let http = Http::new(network)?;
    let name = url.to_string();
    let response = super::block_on(async { Ok(http.fetch(Request::page(url, "text/html, */*;q=0.5")).await?) })?;
    if response.status != 200 {
        bail!("it answers with status {}", response.status);
    }
    if pdf::is_pdf(&response.body) {
        return pdf_seed(&name, &response.body);
    }
    let document =
        Document { url: &response.url, content_type: response.content_type.as_deref(), body: &response.body };
    article_seed(&name, &document)
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

/// Counts the items of a JSON-lines file.
pub fn count_background(path: &Path, tokenizer: &mut Tokenizer, frequencies: &mut Frequencies) -> anyhow::Result<()> {
    each_background(path, tokenizer, |document| frequencies.count(document))
}

/// Reads the items of a JSON-lines file.
pub fn each_background(
    path: &Path,
    tokenizer: &mut Tokenizer,
    mut read: impl FnMut(&matcher::text::Document<'_>),
) -> anyhow::Result<()> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read the background {shown}"))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read the background {shown}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let item: Text =
            serde_json::from_str(&line).with_context(|| format!("{shown}:{}: not a JSON item", number + 1))?;
        let (title, text) = (item.title.unwrap_or_default(), item.text.unwrap_or_default());
        read(&tokenizer.read(&title, &text));
    }
    Ok(())
}
