//! `newswatch profile shadow`: what would change if a profile on trial took the place of the one it is beside.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;

use super::archive;
use crate::cli::{self, Global, show_time};
use crate::config::Config;
use crate::matcher::profile::Profile;
use crate::model::{Id, Verdict};
use crate::plain;
use crate::store::scores::Scored;
use crate::store::{Store, verdicts};

/// Examples shown of each group.
const EXAMPLES: usize = 5;

/// Arguments of `newswatch profile shadow`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The profile on trial; all of them when none is named
    name: Option<String>,
    /// One JSON object a shadow
    #[arg(long)]
    json: bool,
}

/// Compares what both found while both ran.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = cli::load_config(global)?;
    let shadows: Vec<&Profile> = match &arguments.name {
        Some(name) => vec![archive::find(&config, name)?],
        None => config.profiles.iter().filter(|profile| profile.is_shadow()).collect(),
    };
    if let Some(live) = shadows.iter().find(|profile| !profile.is_shadow()) {
        bail!(
            "the profile {} is no shadow: people are told of it; a shadow has `shadow_of = \"...\"` in its file",
            live.name
        );
    }
    if shadows.is_empty() {
        bail!("no profile is a shadow; put a changed copy into profiles.d with another name and `shadow_of = \"...\"`");
    }
    cli::block_on(async {
        let store = cli::open_store(&config).await?;
        let mut out = anstream::stdout().lock();
        for shadow in shadows {
            compare(&mut out, &store, &config, shadow, arguments.json).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Since when the profile as it is scores without a break.
async fn running_since(store: &Store, profile: &Profile) -> anyhow::Result<Option<Timestamp>> {
    let fingerprint = profile.fingerprint();
    let last = store.profile_uses(&profile.name).await?.pop();
    Ok(last.filter(|used| used.profile_hash == fingerprint).map(|used| used.from))
}

async fn compare(
    out: &mut impl Write,
    store: &Store,
    config: &Config,
    shadow: &Profile,
    as_json: bool,
) -> anyhow::Result<()> {
    let live = archive::find(config, shadow.shadow_of.as_deref().unwrap_or_default())?;
    let (Some(a), Some(b)) = (running_since(store, live).await?, running_since(store, shadow).await?) else {
        bail!(
            "the daemon has not scored with {} and {} as they are now: start it, or let it reload",
            live.name,
            shadow.name
        );
    };
    let since = a.max(b);
    let ours = store.scored(&live.name, since, Timestamp::MAX).await?;
    let theirs = store.scored(&shadow.name, since, Timestamp::MAX).await?;
    let hits = |all: &[Scored]| -> BTreeMap<Id, Scored> {
        all.iter().filter(|scored| scored.hit).map(|scored| (scored.score.item, scored.clone())).collect()
    };
    let (live_hits, shadow_hits) = (hits(&ours), hits(&theirs));
    let mut all = store.verdicts_for(&live.name).await?;
    all.extend(store.verdicts_for(&shadow.name).await?);
    let judged: BTreeMap<Id, Verdict> =
        verdicts::in_force(&all).into_iter().map(|judgement| (judgement.item, judgement.verdict)).collect();
    let without = |hits: &BTreeMap<Id, Scored>, others: &BTreeMap<Id, Scored>, common: bool| -> Vec<Scored> {
        hits.iter().filter(|(id, _)| others.contains_key(id) == common).map(|(_, scored)| scored.clone()).collect()
    };
    let groups = [
        (
            "only_live",
            format!("only {}: people would not be told any more", live.name),
            without(&live_hits, &shadow_hits, false),
        ),
        (
            "only_shadow",
            format!("only {}: people would be told too", shadow.name),
            without(&shadow_hits, &live_hits, false),
        ),
        ("both", "both".to_string(), without(&shadow_hits, &live_hits, true)),
    ];
    if as_json {
        let mut value = json!({ "shadow": shadow.name, "live": live.name, "since": since });
        for (key, _, hits) in &groups {
            let example = |scored: &Scored| {
                json!({
                    "id": scored.score.item, "score": scored.score.score, "title": scored.title, "url": scored.url,
                    "backlog": scored.score.backlog, "verdict": judged.get(&scored.score.item),
                })
            };
            value[*key] = json!({
                "items": hits.len(), "stories": stories(hits), "judged": judged_counts(hits, &judged),
                "examples": strongest(hits).map(example).collect::<Vec<_>>(),
            });
        }
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let bold = anstyle::Style::new().bold();
    writeln!(
        out,
        "{bold}{} (version {}) on trial beside {} (version {}){bold:#}, both since {}",
        shadow.name,
        shadow.version,
        live.name,
        live.version,
        show_time(Some(since))
    )?;
    for (_, heading, hits) in &groups {
        let counts = judged_counts(hits, &judged);
        writeln!(
            out,
            "{heading}: {} in {}, {} of them backlog; judged {} relevant, {} not, {} known",
            cli::counted(hits.len(), "hit"),
            cli::counted(stories(hits), "story").replace("storys", "stories"),
            hits.iter().filter(|scored| scored.score.backlog).count(),
            counts["relevant"],
            counts["not"],
            counts["known"]
        )?;
        for scored in strongest(hits) {
            let verdict = judged
                .get(&scored.score.item)
                .map_or(String::new(), |verdict| format!("  judged {}", verdict.as_str()));
            writeln!(
                out,
                "  {:.3}  {}  {}{verdict}",
                scored.score.score,
                scored.score.item,
                plain::line(&scored.title, 100)
            )?;
        }
    }
    writeln!(out, "To promote it, give its file the name of {} and take out `shadow_of`.", live.name)?;
    Ok(())
}

fn stories(hits: &[Scored]) -> usize {
    hits.iter().map(|scored| scored.score.story).collect::<BTreeSet<Id>>().len()
}

fn strongest(hits: &[Scored]) -> impl Iterator<Item = &Scored> {
    let mut ordered: Vec<&Scored> = hits.iter().collect();
    ordered.sort_by(|a, b| b.score.score.total_cmp(&a.score.score).then_with(|| a.score.item.cmp(&b.score.item)));
    ordered.into_iter().take(EXAMPLES)
}

fn judged_counts(hits: &[Scored], judged: &BTreeMap<Id, Verdict>) -> BTreeMap<&'static str, usize> {
    let count =
        |verdict: Verdict| hits.iter().filter(|scored| judged.get(&scored.score.item) == Some(&verdict)).count();
    Verdict::ALL.into_iter().map(|verdict| (verdict.as_str(), count(verdict))).collect()
}
