//! What a message is made of, read from the store at the moment of its delivery.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::compose::passage;
use super::compose::token::Key;
use super::compose::{self, Altered, Below, CHART_DAYS, COPIES_MAX, Ingredients, ProfileName, VerdictLinks};
use crate::config::Config;
use crate::config::messages::Verdicts;
use crate::config::route::RouteConfig;
use crate::evidence::Fact;
use crate::health::{self, Condition, Coverage, Open};
use crate::model::{DeliveryKind, Hit, Id, OutboxRow, ReportLine, SourceState};
use crate::plain;
use crate::store::{self, Store};

/// Hits loaded for one message; more than are ever shown, so that most of the rest can be told apart by story.
const HITS_MAX: usize = 5_000;
/// The same for a message that leaves nothing out.
const HITS_ALL_MAX: usize = 100_000;
/// Scores below the line that are read of one profile.
const BELOW_READ_MAX: usize = 2_000;
/// Pages that were looked at again which are read for one message.
const ALTERED_READ_MAX: usize = 200;
/// Name of the store's note that holds the key which signs verdict links.
const KEY_NOTE: &str = "verdict key";

/// Reads what a message of this row says now. `everything`: leave nothing out.
pub async fn gather<'a>(
    store: &Store,
    config: &Config,
    route: &RouteConfig,
    row: &'a OutboxRow,
    everything: bool,
    now: Timestamp,
) -> store::Result<Ingredients<'a>> {
    let mut own = Ingredients::new(row, route.zone.clone(), now);
    own.everything = everything;
    own.hits = store.hits_of_delivery(row.id, if everything { HITS_ALL_MAX } else { HITS_MAX }).await?;
    own.hits_in_all = usize::try_from(store.hit_count_of_delivery(row.id).await?).unwrap_or_default();
    tell_stories(store, &mut own).await?;
    let profiles = config.profiles.iter().filter(|profile| !profile.is_shadow() && route.wants(&profile.name));
    own.profiles = profiles
        .map(|profile| ProfileName {
            name: profile.name.clone(),
            title: profile.title.clone(),
            version: profile.version,
        })
        .collect();
    own.source_titles = config.sources.iter().map(|source| (source.name.clone(), source.title.clone())).collect();
    own.verdicts = verdict_links(store, config).await?;
    own.alarms = alarms(store).await?;
    if row.kind == DeliveryKind::Report {
        own.report = store.report_lines(row.id).await?;
    }
    if let (DeliveryKind::Digest, Some(from), Some(to)) = (row.kind, row.window_from, row.window_to) {
        // The window of a digest that is only looked at is not over yet.
        look_back(store, config, route, &mut own, from, to.min(now.max(from))).await?;
    }
    Ok(own)
}

/// The stories of the hits, and the sentences that matter.
async fn tell_stories(store: &Store, own: &mut Ingredients<'_>) -> store::Result<()> {
    let named = compose::stories_named(&own.hits, own.everything);
    own.told_before = store.told_before(own.row, &named).await?;
    let detailed: Vec<(Id, Hit)> =
        compose::items_in_detail(&own.hits, own.everything).into_iter().map(|(id, hit)| (id, hit.clone())).collect();
    let copies_max = if own.everything { 1_000 } else { COPIES_MAX + 1 };
    for (id, hit) in detailed {
        if let Some(story) = store.story(hit.story, copies_max).await? {
            own.stories.insert(hit.story, story);
        }
        // One whole text at a time.
        if let Some(item) = store.item(id).await? {
            own.passages.insert(id, passage::passages(&item, &hit.reasons));
        }
    }
    Ok(())
}

/// What was looked at from `from` to `to`, and what came of it beside the hits.
async fn look_back(
    store: &Store,
    config: &Config,
    route: &RouteConfig,
    own: &mut Ingredients<'_>,
    from: Timestamp,
    to: Timestamp,
) -> store::Result<()> {
    let sources = store.sources().await?;
    let items = store.item_count_between(from, to).await?;
    // Later visits count as well: a source keeps only its last one.
    let open = store.conditions().await?;
    let coverage = health::coverage(&sources, items, from, own.now.max(to)).with_conditions(&open);
    own.changed = sources.iter().filter(|source| source.changed_at.is_some_and(|at| at >= from)).count();
    own.silent = Some(coverage.silent.len());
    own.conditions = conditions(&sources, &coverage, &open, own.now);
    own.coverage = Some(coverage);
    let languages = store.languages_between(from, to).await?;
    own.languages_read = languages.len();
    own.unread_languages = config.unread_languages(route, &languages);
    let by_profile = store.backlog_hits(from).await?;
    own.backlog = by_profile.iter().filter(|(profile, _)| route.wants(profile)).map(|(_, count)| count).sum();
    below(store, own, from, to).await?;
    altered(store, route, own, from, to).await?;
    own.muted = store.muted_hits(from, to).await?;
    own.over_budget = store.over_budget(&own.row.route, &own.row.recipient, from, to).await?;
    days(store, own, to).await
}

/// The strongest scores below the line, one a story; not of stories that are told here anyway.
async fn below(store: &Store, own: &mut Ingredients<'_>, from: Timestamp, to: Timestamp) -> store::Result<()> {
    let told: BTreeSet<Id> = own.hits.iter().map(|hit| hit.story).collect();
    let mut nearest: BTreeMap<Id, Below> = BTreeMap::new();
    let mut not_read = 0;
    let nearness = |below: &Below| below.score.score / below.score.threshold.max(f64::MIN_POSITIVE);
    for profile in &own.profiles {
        let (scored, all) = store.below_line(&profile.name, from, to, BELOW_READ_MAX).await?;
        not_read += usize::try_from(all).unwrap_or_default().saturating_sub(scored.len());
        for scored in scored.into_iter().filter(|scored| !told.contains(&scored.score.story)) {
            let (title, url, source) = (scored.title, scored.url, scored.source);
            let below = Below { score: scored.score, title, url, source };
            let known = nearest.get(&below.score.story);
            if known.is_none_or(|known| nearness(known) < nearness(&below)) {
                nearest.insert(below.score.story, below);
            }
        }
    }
    own.below = nearest.into_values().collect();
    own.below.sort_by(|a, b| nearness(b).total_cmp(&nearness(a)).then(a.score.item.cmp(&b.score.item)));
    own.below_in_all = own.below.len() + not_read;
    Ok(())
}

/// Articles of hits of the route's profiles that were looked at again in the window and are not as they were.
async fn altered(
    store: &Store,
    route: &RouteConfig,
    own: &mut Ingredients<'_>,
    from: Timestamp,
    to: Timestamp,
) -> store::Result<()> {
    for entry in store.changed_pages(from, Some(to), ALTERED_READ_MAX).await?.into_iter().rev() {
        let (Some(text), Fact::Reread(fact)) = (&entry.before, &entry.record.fact) else { continue };
        let difference = entry.difference().unwrap_or_default();
        if difference.is_empty() && fact.problem.is_empty() {
            continue;
        }
        if !store.profiles_told_of(fact.item).await?.iter().any(|profile| route.wants(profile)) {
            continue;
        }
        own.altered.push(Altered {
            item: fact.item,
            title: text.title.clone(),
            url: text.url.clone(),
            source: text.source.clone(),
            at: entry.record.at,
            then_only: difference.then_only,
            now_only: difference.now_only,
            more: difference.more,
            problem: fact.problem.clone(),
        });
    }
    Ok(())
}

/// Hits of each day up to `to`, in the route's zone.
async fn days(store: &Store, own: &mut Ingredients<'_>, to: Timestamp) -> store::Result<()> {
    // A window that ends at midnight is of the day before.
    let last = (to - SignedDuration::from_millis(1)).to_zoned(own.zone.clone()).date();
    let dates = (0..CHART_DAYS).rev().filter_map(|ago| last.checked_sub(ago.days()).ok());
    let mut days: BTreeMap<_, i64> = dates.map(|date| (date, 0)).collect();
    let Some(first) = days.keys().next().and_then(|date| date.to_zoned(own.zone.clone()).ok()) else {
        return Ok(());
    };
    for (profile, at, count) in store.hit_steps(first.timestamp(), to).await? {
        let is_wanted = own.profiles.iter().any(|wanted| wanted.name == profile);
        if let Some(day) = days.get_mut(&at.to_zoned(own.zone.clone()).date()).filter(|_| is_wanted) {
            *day += count;
        }
    }
    own.days = days.into_iter().collect();
    Ok(())
}

/// Sources in trouble with what to do: what is known to last, what fails since not long, what was read in part.
fn conditions(sources: &[SourceState], coverage: &Coverage, open: &[Open], now: Timestamp) -> Vec<ReportLine> {
    let is_source = |about: &str| sources.iter().any(|source| source.name == about);
    let mut lines: Vec<ReportLine> = open
        .iter()
        .filter(|open| is_source(&open.about))
        .map(|open| ReportLine {
            at: open.since,
            about: open.about.clone(),
            headline: open.detail.clone(),
            advice: open.advice.clone(),
            is_recovery: false,
        })
        .collect();
    let said: BTreeSet<String> = lines.iter().map(|line| line.about.clone()).collect();
    for trouble in coverage.failing.iter().filter(|trouble| !said.contains(&trouble.source)) {
        let since = trouble.since.map_or(String::new(), |since| format!(" for {}", compose::show_length(since, now)));
        lines.push(ReportLine {
            at: trouble.since.unwrap_or(now),
            about: trouble.source.clone(),
            headline: format!("cannot be read{since}: {}", plain::line(&trouble.error, 300)),
            advice: "nothing to do yet, it is asked again by itself".to_string(),
            is_recovery: false,
        });
    }
    for trouble in &coverage.in_part {
        lines.push(ReportLine {
            at: now,
            about: trouble.source.clone(),
            headline: format!("was read in part: {}", plain::line(&trouble.error, 300)),
            advice: format!("newswatch source test {}", trouble.source),
            is_recovery: false,
        });
    }
    lines
}

/// What every message says first while the self-test is lost: the chain of which it is a part may lose others.
async fn alarms(store: &Store) -> store::Result<Vec<String>> {
    let open = store.conditions().await?;
    let lost = open.into_iter().filter(|open| open.condition == Condition::CanaryLost);
    Ok(lost
        .map(|lost| format!("newswatch is not well, so this may not be all. {}: {}", lost.about, lost.detail))
        .collect())
}

/// Where verdicts go and what signs them; `None` when the configuration wants none by mail.
async fn verdict_links(store: &Store, config: &Config) -> store::Result<Option<VerdictLinks>> {
    let Some(verdicts) = &config.verdicts else { return Ok(None) };
    match key(store, verdicts).await? {
        Ok(key) => Ok(Some(VerdictLinks { address: verdicts.address.clone(), key })),
        Err(error) => {
            tracing::error!("messages go without links for verdicts: {error}");
            Ok(None)
        }
    }
}

/// The key that signs verdicts: the configured secret, else one that the store made and keeps. The inner error is for the operator.
pub async fn key(store: &Store, verdicts: &Verdicts) -> store::Result<Result<Key, String>> {
    if let Some(secret) = &verdicts.key {
        let key = secret.read().and_then(|text| {
            Key::new(text.as_bytes())
                .ok_or_else(|| format!("the key of [verdicts] has less than {} bytes", Key::BYTES_MIN))
        });
        return Ok(key);
    }
    let kept = match store.noted(KEY_NOTE).await? {
        Some(kept) => kept,
        None => match new_secret() {
            Ok(secret) => store.noted_or(KEY_NOTE, &secret).await?,
            Err(error) => return Ok(Err(format!("no key can be made: /dev/urandom: {error}"))),
        },
    };
    Ok(Key::new(kept.as_bytes()).ok_or_else(|| "the key in the store is damaged".to_string()))
}

/// 64 letters that nobody guesses.
fn new_secret() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
