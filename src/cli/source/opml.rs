//! `newswatch source import` and `export`: lists of subscriptions (OPML).

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use url::Url;

use crate::cli::Global;
use crate::config::Config;
use crate::config::written::{Names, Written};
use crate::plain;
use crate::poller::identity;
use crate::poller::read::decode;
use crate::poller::read::opml::{self, Outline};
use crate::poller::source::page::Page;

/// Prints the sources of a list as configuration; what is left out is named on standard error with its line.
pub(super) fn import(global: &Global, file: &Path) -> anyhow::Result<ExitCode> {
    let size = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    anyhow::ensure!(
        size <= opml::BYTES_MAX as u64,
        "{} is larger than {} bytes: no list of feeds",
        file.display(),
        opml::BYTES_MAX
    );
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let list = opml::read(&decode::text(&bytes, Some("text/xml")))
        .with_context(|| format!("{} is no OPML: it has no <opml>", file.display()))?;
    // Without a configuration nothing is known yet, which is no reason not to begin with a list.
    let config = Config::load(global.config.as_deref()).ok();
    let mut names = Names::default();
    let mut known: HashMap<String, String> = HashMap::new();
    for source in config.iter().flat_map(|config| &config.sources) {
        names.unique(&source.name);
        known.insert(identity::canonical(source.url.as_str()), format!("is configured already, as {}", source.name));
    }
    let mut problems = list.problems.clone();
    let mut written = Vec::new();
    for outline in &list.outlines {
        match source(outline, &mut names, &mut known) {
            Ok(text) => written.push(text),
            Err(why) => problems.push((outline.line, why)),
        }
    }
    problems.sort();
    let mut err = std::io::stderr().lock();
    for (line, why) in &problems {
        writeln!(err, "{}:{line}: left out: {}", plain::line(&file.display().to_string(), 300), plain::line(why, 500))?;
    }
    writeln!(err, "{} of {} taken over", written.len(), plain::counted(list.outlines.len(), "source"))?;
    std::io::stdout().lock().write_all(written.join("\n").as_bytes())?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An outline as configuration, or why it cannot be one.
fn source(outline: &Outline, names: &mut Names, known: &mut HashMap<String, String>) -> Result<String, String> {
    let title = plain::line(&outline.title, 100);
    let address = outline.url.strip_prefix("feed:").unwrap_or(&outline.url);
    let address = if address.starts_with("//") { format!("http:{address}") } else { address.to_string() };
    let url = Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| format!("\"{title}\": {:?} is no http or https address", plain::line(&outline.url, 200)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "\"{title}\" has a user name or password in its address; see README on sources behind a log-in"
        ));
    }
    let kind = match outline.kind.as_str() {
        "" | "feed" => "",
        "page" => "page",
        other => {
            return Err(format!(
                "\"{title}\" is of kind {:?}, whose settings OPML does not carry",
                plain::line(other, 40)
            ));
        }
    };
    let select = outline.select.as_ref().filter(|_| kind == "page");
    if kind == "page" && select.is_none_or(|select| Page::of(select).is_err()) {
        return Err(format!("\"{title}\" is a page without usable selectors; `newswatch probe {url}` proposes some"));
    }
    let key = identity::canonical(url.as_str());
    if let Some(where_it_is) = known.get(&key) {
        return Err(format!("\"{title}\" {where_it_is}"));
    }
    known.insert(key, format!("has the address of line {}", outline.line));
    let host = || url.host_str().unwrap_or_default().trim_start_matches("www.").to_string();
    let wish = [&outline.name, &outline.title].into_iter().find(|wish| wish.chars().any(|c| c.is_ascii_alphanumeric()));
    let written = Written {
        name: names.unique(&wish.cloned().unwrap_or_else(host)),
        title: outline.title.clone(),
        kind,
        url: url.to_string(),
        group: outline.groups.join("/"),
        language: Some(outline.language.clone()).filter(|language| !language.is_empty()),
        select: select.cloned(),
        ..Written::default()
    };
    let site = match outline.html_url.as_str() {
        "" => String::new(),
        site => format!("# {}\n", plain::line(site, 500)),
    };
    Ok(site + &written.toml())
}

/// Prints all configured sources as OPML 2.0.
pub(super) fn export(config: &Config) -> anyhow::Result<ExitCode> {
    let outlines: Vec<Outline> = config
        .sources
        .iter()
        // A folder is a place of this machine only.
        .filter(|source| source.reader.folder().is_none())
        .map(|source| Outline {
            name: source.name.clone(),
            kind: Some(source.reader.kind()).filter(|kind| *kind != "feed").unwrap_or_default().to_string(),
            title: source.title.clone(),
            url: source.url.to_string(),
            language: source.language.clone().unwrap_or_default(),
            groups: source.group.split('/').filter(|level| !level.is_empty()).map(str::to_string).collect(),
            select: source.reader.selectors().cloned(),
            ..Outline::default()
        })
        .collect();
    std::io::stdout().lock().write_all(opml::write("newswatch", &outlines).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
