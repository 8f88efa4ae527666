//! What can be said of an address that no source ever showed.

use std::collections::BTreeMap;
use std::io::Write;

use url::Url;

use crate::cli::show_time;
use crate::config::{Config, SourceConfig};
use crate::model::{Health, SourceState};
use crate::plain;
use crate::store::Store;

/// Newest items whose addresses are compared.
const LOOK_AT: usize = 100_000;
/// Similar items that are shown.
const SIMILAR_MAX: usize = 5;
/// Sources that are shown of each sort.
const SOURCES_MAX: usize = 30;
/// Hosts whose feeds are searches over many publishers.
const SEARCH_HOSTS: &[&str] =
    &["news.google.com", "bing.com", "news.yahoo.com", "api.gdeltproject.org", "duckduckgo.com"];
/// Parameters that hold the words of a search.
const SEARCH_KEYS: &[&str] = &["q", "query", "search", "s", "keyword", "keywords"];

/// Says which sources could have carried it, how they do, and what was seen of the same site.
pub(super) async fn explain(out: &mut impl Write, store: &Store, config: &Config, what: &str) -> anyhow::Result<()> {
    let shown = plain::line(what, 500);
    writeln!(out, "{shown} was never seen.")?;
    let Ok(url) = Url::parse(what) else {
        writeln!(out, "It is neither an id as `newswatch hits` prints it nor an address.")?;
        return Ok(());
    };
    let Some(host) = url.host_str() else { return Ok(()) };
    let site = host.trim_start_matches("www.");
    let states: BTreeMap<String, SourceState> =
        store.sources().await?.into_iter().map(|state| (state.name.clone(), state)).collect();

    let of_site: Vec<&SourceConfig> =
        config.sources.iter().map(AsRef::as_ref).filter(|source| is_of_site(&source.url, site)).collect();
    for source in of_site.iter().take(SOURCES_MAX) {
        let left_out = match source.reader.leaves_out(what) {
            Some(pattern) => format!("; it would not show this address: {pattern}"),
            None => String::new(),
        };
        writeln!(
            out,
            "Source {} is of the same site: {}{}",
            source.name,
            how_it_does(source, states.get(&source.name)),
            plain::line(&left_out, 300)
        )?;
    }
    if of_site.is_empty() {
        writeln!(
            out,
            "No configured source is of the site {}. (newswatch probe finds what could be watched there.)",
            plain::line(host, 200)
        )?;
    }
    let searches: Vec<(&SourceConfig, String)> = config
        .sources
        .iter()
        .map(AsRef::as_ref)
        .filter(|source| !is_of_site(&source.url, site))
        .filter_map(|source| Some((source, search_words(&source.url)?)))
        .collect();
    for (source, words) in searches.iter().take(SOURCES_MAX) {
        writeln!(
            out,
            "Source {} searches many publishers for {}: {}",
            source.name,
            plain::line(words, 200),
            how_it_does(source, states.get(&source.name))
        )?;
    }
    for list in [of_site.len(), searches.len()] {
        if list > SOURCES_MAX {
            writeln!(out, "and {} more like these", list - SOURCES_MAX)?;
        }
    }
    similar(out, store, &url).await
}

/// What was seen below the same folder, else of the same site.
async fn similar(out: &mut impl Write, store: &Store, url: &Url) -> anyhow::Result<()> {
    let Some(host) = url.host_str() else { return Ok(()) };
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let site = format!("{}{port}", host.trim_start_matches("www."));
    let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let heads = |path: &str| -> Vec<String> {
        let hosts = [site.clone(), format!("www.{site}")];
        hosts.iter().flat_map(|host| ["https", "http"].map(|scheme| format!("{scheme}://{host}{path}/"))).collect()
    };
    let mut place = format!("below {folder}/ of {site}");
    let mut found = Vec::new();
    if !folder.is_empty() {
        found = store.items_below(&heads(folder), LOOK_AT, SIMILAR_MAX).await?;
    }
    if found.is_empty() {
        place = format!("of {site}");
        found = store.items_below(&heads(""), LOOK_AT, SIMILAR_MAX).await?;
    }
    if found.is_empty() {
        writeln!(out, "Nothing of {} is among the newest {LOOK_AT} items.", plain::line(&site, 200))?;
        return Ok(());
    }
    writeln!(out, "The newest that was seen {}:", plain::line(&place, 300))?;
    for item in &found {
        writeln!(
            out,
            "  {}  {}  {}, first seen {}",
            item.id,
            plain::line(&item.title, 100),
            item.source,
            show_time(Some(item.first_seen_at))
        )?;
    }
    Ok(())
}

fn is_of_site(url: &Url, site: &str) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches("www.");
    // feeds.example.org carries what www.example.org publishes, and the other way round.
    host == site || host.ends_with(&format!(".{site}")) || site.ends_with(&format!(".{host}")) && host.contains('.')
}

/// The words that a source searches many publishers for.
fn search_words(url: &Url) -> Option<String> {
    let host = url.host_str()?.trim_start_matches("www.");
    if !SEARCH_HOSTS.iter().any(|known| host == *known || host.ends_with(&format!(".{known}"))) {
        return None;
    }
    let words =
        url.query_pairs().find(|(key, _)| SEARCH_KEYS.contains(&key.as_ref())).map(|(_, words)| words.into_owned());
    Some(words.unwrap_or_else(|| "everything".to_string()))
}

/// In a few words: when it was last read, and what is wrong with it.
fn how_it_does(source: &SourceConfig, state: Option<&SourceState>) -> String {
    if !source.enabled {
        return "switched off (`enabled = false`)".to_string();
    }
    let Some(state) = state else { return "never asked yet".to_string() };
    let mut words = format!("{}, last read {}", state.health.as_str(), show_time(state.succeeded_at));
    if state.paused {
        words.push_str(", paused (newswatch source resume)");
    }
    if state.health == Health::Fine {
        words.push_str(&format!(", last news {}", show_time(state.changed_at)));
    }
    if let Some(since) = state.failing_since {
        words.push_str(&format!(", failing since {}", show_time(Some(since))));
    }
    words.push_str(&format!(", next visit {}", show_time(Some(state.next_at))));
    if !state.error.is_empty() {
        words.push_str(&format!("; {}", plain::line(&state.error, 300)));
    }
    words
}
