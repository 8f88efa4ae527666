//! `newswatch coverage report`: what was looked at in a time, and what was not.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;

use super::{Global, counted, show_time};
use crate::health::coverage::{self, Coverage, Gap};
use crate::matcher::sight;
use crate::model::ProfileUse;
use crate::plain;

/// Gaps shown of a source; `--json` has all of them.
const GAPS_SHOWN: usize = 20;

/// Arguments of `newswatch coverage`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Source by source: what was looked at for a profile, with every gap named
    Report(Report),
}

#[derive(Debug, clap::Args)]
struct Report {
    /// Name of the profile
    #[arg(long)]
    profile: String,
    /// From then on: a time (2026-11-21T08:00:00Z), a day, or a length of time ("7d")
    #[arg(long, value_name = "WHEN")]
    from: String,
    /// Until then [default: now]
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Reports.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Command::Report(own) = &arguments.command;
    let config = super::load_config(global)?;
    let now = super::now();
    let from = super::parse_when("--from", &own.from)?;
    let to = own.to.as_deref().map(|text| super::parse_when("--to", text)).transpose()?.unwrap_or(now).min(now);
    if from >= to {
        bail!("--from ({}) must be before --to ({})", show_time(Some(from)), show_time(Some(to)));
    }
    super::block_on(async move {
        let profile = config.profiles.iter().find(|profile| profile.name == own.profile);
        let profile = profile.with_context(|| format!("there is no profile {:?} in the configuration", own.profile))?;
        let store = super::open_store(&config).await?;
        let gaps = store.gaps(from, to).await?;
        let looked_at = store.looked_at(&profile.name, from, to).await?;
        let mut sources = Vec::new();
        for state in store.sources().await? {
            let gaps = gaps.get(&state.name).map(Vec::as_slice).unwrap_or_default();
            let counts = looked_at.get(&state.name).copied().unwrap_or_default();
            sources.push(coverage::of_source(&state, gaps, counts, from, to, now));
        }
        let idle = without_profile(&store.profile_uses(&profile.name).await?, from, to);
        let items = store.languages_between(from, to).await?;
        let items = items.iter().map(|item| (item.language.as_str(), item.title.as_str()));
        let unread = sight::unread(&[profile], items);
        let mut out = anstream::stdout().lock();
        if own.json {
            let unread: Vec<_> =
                unread.iter().map(|one| json!({"language": one.language, "items": one.items})).collect();
            let answer = json!({
                "profile": profile.name, "from": from, "to": to, "profile_not_in_use": idle,
                "languages_without_terms": unread, "sources": sources,
            });
            writeln!(out, "{answer}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let (all, hits): (i64, i64) = looked_at.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        writeln!(out, "profile {} from {} to {}", profile.name, show_time(Some(from)), show_time(Some(to)))?;
        let with_gaps = sources.iter().filter(|source| !source.gaps.is_empty()).count();
        writeln!(
            out,
            "{}, {with_gaps} of them with gaps; {} looked at, {}",
            counted(sources.len(), "source"),
            counted(all as usize, "item"),
            counted(hits as usize, "hit")
        )?;
        for gap in &idle {
            writeln!(out, "  {}", show(gap))?;
        }
        for one in &unread {
            writeln!(out, "  {} in {}: the profile has no terms for it", counted(one.items, "item"), one.language)?;
        }
        print(&mut out, &sources)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// When the profile scored nothing.
fn without_profile(uses: &[ProfileUse], from: Timestamp, to: Timestamp) -> Vec<Gap> {
    let mut idle = Vec::new();
    let mut since = Some(from);
    for one in uses {
        match (since, one.profile_hash != 0) {
            (Some(begun), true) => {
                idle.push((begun, one.from));
                since = None;
            }
            (None, false) => since = Some(one.from),
            _ => {}
        }
    }
    idle.extend(since.map(|since| (since, to)));
    let gap = |(begun, ended): (Timestamp, Timestamp)| Gap {
        from: begun.max(from),
        until: ended.min(to),
        reason: "the profile was not in use".to_string(),
    };
    idle.into_iter().map(gap).filter(|gap| gap.from < gap.until).collect()
}

fn print(out: &mut impl Write, sources: &[Coverage]) -> std::io::Result<()> {
    for source in sources {
        let counts = format!("{}, {}", counted(source.items as usize, "item"), counted(source.hits as usize, "hit"));
        let how = match (source.gaps.len(), source.from) {
            (0, _) => "read all the time".to_string(),
            (_, None) => "not read".to_string(),
            (count, Some(_)) => counted(count, "gap"),
        };
        writeln!(out, "{}: {how}; {counts}", source.source)?;
        for gap in source.gaps.iter().take(GAPS_SHOWN) {
            writeln!(out, "  {}", show(gap))?;
        }
        if source.gaps.len() > GAPS_SHOWN {
            writeln!(out, "  and {} (--json)", super::counted(source.gaps.len() - GAPS_SHOWN, "more gap"))?;
        }
    }
    Ok(())
}

fn show(gap: &Gap) -> String {
    let (from, until) = (show_time(Some(gap.from)), show_time(Some(gap.until)));
    format!("{from} to {until}: {}", plain::line(&gap.reason, 300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_without_the_profile_are_named() {
        let at = |hours: i64| Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap();
        let uses = |list: &[(i64, i64)]| -> Vec<ProfileUse> {
            list.iter()
                .map(|(from, hash)| ProfileUse { from: at(*from), profile_hash: *hash, from_start: false })
                .collect()
        };
        let idle = |list: &[(i64, i64)]| -> Vec<(Timestamp, Timestamp)> {
            without_profile(&uses(list), at(0), at(100)).iter().map(|gap| (gap.from, gap.until)).collect()
        };
        assert_eq!(idle(&[(-5, 7)]), []);
        assert_eq!(idle(&[]), [(at(0), at(100))]);
        assert_eq!(idle(&[(10, 7), (20, 8), (30, 0), (40, 8)]), [(at(0), at(10)), (at(30), at(40))]);
        assert_eq!(idle(&[(-9, 7), (90, 0)]), [(at(90), at(100))]);
    }
}
