//! `newswatch profile backtest`: what other thresholds, or another profile, would have found in the archive.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;

use super::archive::{self, Chosen, Period};
use crate::cli::{self, Global, show_time};
use crate::config::Config;
use crate::matcher;
use crate::matcher::backtest::{Row, Scoring, Scorings, thresholds};
use crate::matcher::fold::Folded;
use crate::matcher::profile::Profile;
use crate::matcher::score::Scorer;
use crate::matcher::story::{Incoming, Shelf};
use crate::matcher::text::Tokenizer;
use crate::model::{Id, Item, StoredScore, Verdict};
use crate::plain;
use crate::poller::identity;
use crate::store::items::UnscoredItem;
use crate::store::{Store, verdicts};

/// Examples shown on each side of the threshold.
const EXAMPLES: usize = 5;
/// Scorings kept of one profile; one that asks for more finds everything, and is told so.
const SCORINGS_MAX: usize = 3_000_000;

/// Arguments of `newswatch profile backtest`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Profiles of the configuration; all when none is named
    names: Vec<String>,
    /// A profile that is not in the configuration
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only from then on: a time (2026-11-21T08:00:00Z), a day, or a length of time before now ("30d")
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Show this threshold too, with examples around it
    #[arg(long, value_name = "X")]
    threshold: Option<f64>,
    /// Propose a threshold that tells of at most so many stories a day
    #[arg(long, value_name = "N")]
    per_day: Option<f64>,
    /// One JSON object a profile
    #[arg(long)]
    json: bool,
}

/// Where the scores come from.
enum Method {
    /// The daemon stored them: exact.
    Stored,
    /// They were made now, and why.
    Again(String),
}

/// One profile with its scores.
struct Tested {
    profile: Profile,
    method: Method,
    scorings: Scorings,
    period: Period,
    /// Length in days, at least one.
    days: f64,
    items: i64,
    /// Below this threshold scores are not known.
    lowest: f64,
    /// Below the profile's own line scores are whole only since then.
    whole_since: Option<Timestamp>,
    judged: BTreeMap<Id, Verdict>,
}

/// Prints the table of each profile.
pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = cli::load_config(global)?;
    let profiles = match archive::choose(&config, &arguments.names, arguments.file.as_deref())? {
        Chosen::Profiles(profiles) => profiles,
        Chosen::Problems(problems) => return super::report(&problems),
    };
    if arguments.threshold.is_some_and(|threshold| !(threshold > 0.0 && threshold.is_finite())) {
        bail!("--threshold must be a number above 0");
    }
    if arguments.per_day.is_some_and(|stories| !(stories >= 0.0 && stories.is_finite())) {
        bail!("--per-day must be a number of stories");
    }
    let when = |option, text: &Option<String>| text.as_deref().map(|text| cli::parse_when(option, text)).transpose();
    let (from, to) = (when("--from", &arguments.from)?, when("--to", &arguments.to)?);
    cli::block_on(async {
        let store = cli::open_store(&config).await?;
        let Some((first, last)) = store.archive_span().await? else {
            bail!("no item is stored yet; `newswatch run` reads the sources");
        };
        let last = last + jiff::SignedDuration::from_millis(1);
        let wanted = Wanted { from, to, first, last, threshold: arguments.threshold };
        let tested = test(&store, &config, profiles, &wanted, arguments.file.is_some()).await?;
        let mut out = anstream::stdout().lock();
        for tested in &tested {
            show(&mut out, &store, tested, arguments).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What a person asked for.
struct Wanted {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// When the first item of the archive was seen.
    first: Timestamp,
    /// Just after the last was.
    last: Timestamp,
    threshold: Option<f64>,
}

/// Scores from the store where the daemon made them, else from one reading of the archive for all other profiles.
async fn test(
    store: &Store,
    config: &Config,
    profiles: Vec<Profile>,
    wanted: &Wanted,
    has_file: bool,
) -> anyhow::Result<Vec<Tested>> {
    let period = Period { from: wanted.from.unwrap_or(wanted.first), to: wanted.to.unwrap_or(wanted.last) };
    let items = store.archive_count(period.from, period.to).await?;
    let days = (period.to.duration_since(period.from).as_secs_f64() / 86_400.0).max(1.0);
    let count = profiles.len();
    let mut tested = Vec::new();
    let mut again = Vec::new();
    for (number, profile) in profiles.into_iter().enumerate() {
        let judged = judged(store, &profile, wanted).await?;
        let found = match stored(store, &profile, wanted).await? {
            Ok(found) => found,
            Err(why) => {
                let from_file = has_file && number + 1 == count;
                let why = if from_file && !config.profiles.contains(&profile) {
                    format!("the daemon does not run the profile of this file: {why}")
                } else {
                    why
                };
                again.push(tested.len());
                let lowest =
                    profile.threshold.min(wanted.threshold.unwrap_or(profile.threshold)) * StoredScore::KEPT_FROM;
                tested.push(Tested {
                    method: Method::Again(why),
                    scorings: Scorings::default(),
                    period,
                    days,
                    items,
                    lowest,
                    whole_since: None,
                    judged,
                    profile,
                });
                continue;
            }
        };
        let seeds = Seeds::of(std::slice::from_ref(&profile));
        let scorings = found
            .scorings
            .into_iter()
            .map(|(scoring, title, url)| Scoring { seed: seeds.find(0, &title, &url), ..scoring });
        tested.push(Tested {
            method: Method::Stored,
            scorings: Scorings::new(scorings.collect()),
            period,
            days,
            items,
            lowest: found.lowest,
            whole_since: found.whole_since.filter(|since| *since > period.from),
            judged,
            profile,
        });
    }
    if !again.is_empty() {
        let rescored: Vec<&Tested> = again.iter().map(|number| &tested[*number]).collect();
        let floors =
            rescored.iter().map(|tested| tested.lowest * tested.profile.hit_score() / tested.profile.threshold);
        let floors: Vec<f64> = floors.collect();
        let profiles: Vec<Profile> = rescored.iter().map(|tested| tested.profile.clone()).collect();
        let found = rescore(store, &profiles, floors, period).await?;
        for (number, scorings) in again.into_iter().zip(found) {
            tested[number].scorings = Scorings::new(scorings);
        }
    }
    Ok(tested)
}

/// What the store knows of a profile.
struct Found {
    scorings: Vec<(Scoring, String, String)>,
    lowest: f64,
    whole_since: Option<Timestamp>,
}

/// The scores that the daemon stored for the profile as it is; else why they do not tell.
async fn stored(store: &Store, profile: &Profile, wanted: &Wanted) -> anyhow::Result<Result<Found, String>> {
    let uses = store.profile_uses(&profile.name).await?;
    let mut alike = BTreeMap::new();
    for version in store.profile_versions(&profile.name).await? {
        if let Some(known) = Profile::from_snapshot(&version.snapshot).filter(|known| known.scores_like(profile)) {
            alike.insert(version.profile_hash, known);
        }
    }
    // The uses at the end that give the same scores as the profile at hand.
    let running: Vec<_> = uses.iter().rev().take_while(|used| alike.contains_key(&used.profile_hash)).collect();
    let Some(began) = running.last() else {
        let why = if uses.is_empty() {
            "the daemon has not scored with it yet"
        } else {
            "it was changed since the daemon scored last"
        };
        return Ok(Err(why.to_string()));
    };
    let covers = began.from_start || wanted.from.is_some_and(|from| from >= began.from);
    if !covers {
        let advice = format!(
            "the daemon scores with it only since {}; --from {} counts what it stored",
            show_time(Some(began.from)),
            began.from.strftime("%Y-%m-%dT%H:%M:%SZ")
        );
        return Ok(Err(advice));
    }
    let factor = profile.hit_score() / profile.threshold;
    let kept_from = running.iter().filter_map(|used| alike.get(&used.profile_hash));
    let kept_from = kept_from.map(|known| kept_from_of(known, profile)).fold(0.0, f64::max);
    if wanted.threshold.is_some_and(|threshold| threshold * factor < kept_from) {
        return Ok(Err("scores below half of what makes a hit are not stored".to_string()));
    }
    let mut scorings = Vec::new();
    for scored in store.scored(&profile.name, began.from, wanted.to.unwrap_or(Timestamp::MAX)).await? {
        let score = scored.score;
        // What an earlier version had found already was not told again.
        let was_hit = scored.hit_at.is_some_and(|at| at < score.scored_at) && !alike.contains_key(&scored.hit_hash);
        if let Some(known) = alike.get(&score.profile_hash).filter(|_| !was_hit && !score.barred) {
            // What is left of the threshold of then is what the noise did to it.
            let noise = match known.follows_noise {
                true => score.threshold / (known.hit_score() * known.factor_for(&scored.source, &scored.language)),
                false => 1.0,
            };
            let scoring = Scoring {
                item: score.item,
                story: score.story,
                at: score.scored_at,
                score: score.score,
                factor: profile.factor_for(&scored.source, &scored.language) * noise,
                backlog: score.backlog,
                seed: None,
            };
            scorings.push((scoring, scored.title, scored.url));
        }
    }
    let whole_since = store.scores_whole_since(&profile.name).await?.filter(|since| *since > began.from);
    Ok(Ok(Found { scorings, lowest: kept_from / factor, whole_since }))
}

/// From which score on, by the measure of `profile`, the scores of an earlier version of it are whole. Where it asked more of a
/// source or language, fewer were kept.
fn kept_from_of(known: &Profile, profile: &Profile) -> f64 {
    let kept = known.hit_score() * StoredScore::KEPT_FROM;
    if known.settings == profile.settings {
        return kept;
    }
    let factors = known.settings.iter().map(|setting| setting.threshold_factor.max(1.0)).product::<f64>();
    let less = profile.settings.iter().map(|setting| setting.threshold_factor.min(1.0)).product::<f64>();
    kept * factors / less
}

/// The last verdict on each item that was judged for the profile, or for the one that it is to replace.
async fn judged(store: &Store, profile: &Profile, wanted: &Wanted) -> anyhow::Result<BTreeMap<Id, Verdict>> {
    let mut all = store.verdicts_for(&profile.name).await?;
    if let Some(live) = &profile.shadow_of {
        all.extend(store.verdicts_for(live).await?);
    }
    let last: BTreeMap<Id, Verdict> =
        verdicts::in_force(&all).into_iter().map(|judgement| (judgement.item, judgement.verdict)).collect();
    let ids: Vec<Id> = last.keys().copied().collect();
    let items = store.items_brief(&ids).await?;
    let (from, to) = (wanted.from.unwrap_or(wanted.first), wanted.to.unwrap_or(wanted.last));
    let within = |id: &Id| items.get(id).is_some_and(|item| item.first_seen_at >= from && item.first_seen_at < to);
    Ok(last.into_iter().filter(|(id, _)| within(id)).collect())
}

/// The seeds of profiles as items are recognised: by title, or by link.
struct Seeds {
    titles: HashMap<String, Vec<(usize, u32)>>,
    links: HashMap<Id, Vec<(usize, u32)>>,
}

impl Seeds {
    fn of(profiles: &[Profile]) -> Seeds {
        let mut seeds = Seeds { titles: HashMap::new(), links: HashMap::new() };
        for (number, profile) in profiles.iter().enumerate() {
            for (index, seed) in profile.seeds.iter().enumerate() {
                let place = (number, index as u32);
                let title = Folded::new(seed.title.trim()).text().to_string();
                if !title.is_empty() {
                    seeds.titles.entry(title).or_default().push(place);
                }
                if seed.file.starts_with("http://") || seed.file.starts_with("https://") {
                    seeds.links.entry(identity::link(&seed.file)).or_default().push(place);
                }
            }
        }
        seeds
    }

    fn find(&self, profile: usize, title: &str, url: &str) -> Option<u32> {
        let by_title = self.titles.get(Folded::new(title.trim()).text());
        let by_link = || if self.links.is_empty() { None } else { self.links.get(&identity::link(url)) };
        let places = by_title.or_else(by_link)?;
        places.iter().find(|(number, _)| *number == profile).map(|(_, seed)| *seed)
    }
}

struct Rescoring {
    tokenizer: Tokenizer,
    scorer: Scorer,
    seeds: Seeds,
    floors: Vec<f64>,
    found: Vec<Vec<Scoring>>,
    /// The daemon looks for the story of what scores half of a hit: these items may have scored nothing until now.
    stories: Shelf,
}

/// Scores the archive with the present frequencies; what reaches the floor of its profile.
async fn rescore(
    store: &Store,
    profiles: &[Profile],
    floors: Vec<f64>,
    period: Period,
) -> anyhow::Result<Vec<Vec<Scoring>>> {
    let (frequencies, _) = matcher::load_frequencies(store).await?;
    let work = Rescoring {
        tokenizer: Tokenizer::new(),
        scorer: Scorer::new(profiles, &frequencies)?,
        seeds: Seeds::of(profiles),
        found: vec![Vec::new(); floors.len()],
        floors,
        stories: Shelf::default(),
    };
    let (work, _) = archive::scan(store, period, work, |work, unscored| {
        let UnscoredItem { item, story } = unscored;
        let body = item.body();
        let document = work.tokenizer.read(&item.title, &body).from(&item.source, &item.language);
        let scores = work.scorer.scores(&document).to_vec();
        let mut found_in = None;
        for (number, score) in scores.into_iter().enumerate() {
            let factor = work.scorer.threshold_factor(number, &document);
            let counts = score >= work.floors[number] * factor && !work.scorer.is_barred(number);
            if !counts || work.found[number].len() >= SCORINGS_MAX {
                continue;
            }
            let url = item.url.as_deref().unwrap_or_default();
            work.found[number].push(Scoring {
                item: item.id,
                story: *found_in.get_or_insert_with(|| work.stories.add(Incoming::new(item, *story)).story),
                at: item.first_seen_at,
                score,
                factor,
                backlog: item.backlog,
                seed: work.seeds.find(number, &item.title, url),
            });
        }
    })
    .await?;
    Ok(work.found)
}

async fn show(out: &mut impl Write, store: &Store, tested: &Tested, arguments: &Arguments) -> anyhow::Result<()> {
    let profile = &tested.profile;
    let more: Vec<f64> = arguments.threshold.into_iter().collect();
    let row = |threshold: f64| tested.scorings.row(profile, threshold, tested.period.from, &tested.judged);
    let rows: Vec<Row> = thresholds(profile.threshold, &more, tested.lowest).into_iter().map(row).collect();
    let proposed = arguments
        .per_day
        .map(|stories| row(tested.scorings.propose(profile, stories * tested.days, tested.period.from, tested.lowest)));
    let centre = row(arguments.threshold.unwrap_or(profile.threshold));
    let sides = tested.scorings.borderline(centre.hit_score, tested.period.from, EXAMPLES);
    let ids: Vec<Id> = sides.iter().flatten().map(|scoring| scoring.item).collect();
    let items = store.items_brief(&ids).await?;
    if arguments.json {
        let example = |scoring: &Scoring| example_json(scoring, items.get(&scoring.item), &tested.judged);
        let (method, why) = match &tested.method {
            Method::Stored => ("stored", None),
            Method::Again(why) => ("scored-again", Some(why)),
        };
        let value = json!({
            "profile": profile.name, "version": profile.version, "threshold": profile.threshold,
            "level": profile.level, "method": method, "because": why, "from": tested.period.from, "to": tested.period.to,
            "days": tested.days, "items": tested.items, "seeds": profile.seeds.len(),
            "judged": judged_counts(&tested.judged), "whole_since": tested.whole_since, "rows": rows,
            "proposed": proposed,
            "above": sides[0].iter().map(example).collect::<Vec<_>>(),
            "below": sides[1].iter().map(example).collect::<Vec<_>>(),
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    show_head(out, tested)?;
    show_rows(out, tested, &rows)?;
    for (side, heading) in sides.iter().zip(["Just reached", "Just missed"]) {
        if !side.is_empty() {
            writeln!(out, "{heading} {}:", centre.threshold)?;
        }
        for scoring in side {
            show_example(out, scoring, items.get(&scoring.item), &tested.judged)?;
        }
    }
    if let (Some(proposed), Some(stories)) = (proposed, arguments.per_day) {
        let per_day = proposed.stories as f64 / tested.days;
        let bound = if proposed.threshold <= tested.lowest { " (lower ones are not known)" } else { "" };
        writeln!(
            out,
            "For {stories} stories a day: threshold = {}{bound}. It tells of {per_day:.1} a day and keeps {} of {} judged relevant.",
            proposed.threshold,
            proposed.relevant,
            judged_counts(&tested.judged)["relevant"]
        )?;
    }
    writeln!(out)?;
    Ok(())
}

fn judged_counts(judged: &BTreeMap<Id, Verdict>) -> BTreeMap<&'static str, usize> {
    let count = |verdict: Verdict| judged.values().filter(|known| **known == verdict).count();
    Verdict::ALL.into_iter().map(|verdict| (verdict.as_str(), count(verdict))).collect()
}

fn show_head(out: &mut impl Write, tested: &Tested) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    let profile = &tested.profile;
    writeln!(
        out,
        "{bold}{}{bold:#} (version {}): {}, {} to {}, {:.1} days",
        plain::line(&profile.name, 100),
        profile.version,
        cli::counted(tested.items as usize, "item"),
        show_time(Some(tested.period.from)),
        show_time(Some(tested.period.to)),
        tested.days
    )?;
    match &tested.method {
        Method::Stored => writeln!(
            out,
            "Counted from the scores that the daemon stored: at each threshold exactly what it would have found."
        )?,
        Method::Again(why) => writeln!(
            out,
            "Scored again with the frequencies of now: {}. A daemon that ran it would have found nearly this.",
            plain::line(why, 500)
        )?,
    }
    if let Some(since) = tested.whole_since {
        writeln!(
            out,
            "The oldest scores below the line were forgotten: thresholds below {} are counted since {} only.",
            profile.threshold,
            show_time(Some(since))
        )?;
    }
    Ok(())
}

fn show_rows(out: &mut impl Write, tested: &Tested, rows: &[Row]) -> std::io::Result<()> {
    let level = match tested.profile.hit_score() == tested.profile.threshold {
        true => String::new(),
        false => format!(" (level {}: a hit from the score in brackets)", tested.profile.level.as_str()),
    };
    writeln!(out, "> is the present threshold{level}; backlog: hits of first contacts, of which nobody is told.")?;
    let judged = judged_counts(&tested.judged);
    let seeds = tested.profile.seeds.len();
    writeln!(
        out,
        "   threshold     items  a day  stories  a day   days  backlog   seeds  relevant       not     known"
    )?;
    for row in rows {
        let mark = if row.threshold == tested.profile.threshold { '>' } else { ' ' };
        let hit_score = if level.is_empty() { String::new() } else { format!(" ({:.3})", row.hit_score) };
        let of = |count: usize, all: usize| format!("{count}/{all}");
        writeln!(
            out,
            "{mark} {:<11}{:>8}  {:>5.1}  {:>7}  {:>5.1}  {:>5}  {:>7}  {:>6}  {:>8}  {:>8}  {:>8}",
            format!("{}{hit_score}", row.threshold),
            row.items,
            row.items as f64 / tested.days,
            row.stories,
            row.stories as f64 / tested.days,
            row.days,
            row.backlog,
            of(row.seeds, seeds),
            of(row.relevant, judged["relevant"]),
            of(row.not, judged["not"]),
            of(row.known, judged["known"]),
        )?;
    }
    Ok(())
}

fn show_example(
    out: &mut impl Write,
    scoring: &Scoring,
    item: Option<&Item>,
    judged: &BTreeMap<Id, Verdict>,
) -> std::io::Result<()> {
    let verdict = judged.get(&scoring.item).map_or(String::new(), |verdict| format!("  judged {}", verdict.as_str()));
    let backlog = if scoring.backlog { "  backlog" } else { "" };
    let (title, source) = item.map_or(("(gone)", ""), |item| (item.title.as_str(), item.source.as_str()));
    writeln!(
        out,
        "  {:.3}  {}  {}  {}{verdict}{backlog}",
        scoring.score,
        scoring.item,
        plain::line(title, 100),
        plain::line(source, 60)
    )
}

fn example_json(scoring: &Scoring, item: Option<&Item>, judged: &BTreeMap<Id, Verdict>) -> serde_json::Value {
    json!({
        "id": scoring.item, "score": scoring.score, "backlog": scoring.backlog,
        "title": item.map(|item| &item.title), "url": item.and_then(|item| item.url.as_ref()),
        "source": item.map(|item| &item.source), "verdict": judged.get(&scoring.item),
    })
}
