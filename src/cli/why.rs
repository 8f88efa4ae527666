//! `newswatch why ID|URL`: an item through every stage.

mod never_seen;
mod told;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use super::Global;
use crate::config::Config;
use crate::matcher::{self, Again};
use crate::model::{ArticleState, Hit, Item, Judgement, Reason};
use crate::plain;
use crate::store::evidence::RecordFilter;
use crate::store::{Store, verdicts};

/// Reasons shown of a score.
const REASONS_SHOWN: usize = 15;
/// Items shown of a story.
const STORY_SHOWN: usize = 30;

/// Arguments of `newswatch why`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Id of an item as `newswatch hits` prints it, or its address
    item: String,
}

/// Explains it.
pub fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = super::load_config(global)?;
    super::block_on(async move {
        let store = super::open_store(&config).await?;
        let items = super::find_items(&store, &arguments.item).await?;
        let mut out = anstream::stdout().lock();
        if items.is_empty() {
            never_seen::explain(&mut out, &store, &config, &arguments.item).await?;
            return Ok(ExitCode::FAILURE);
        }
        for item in &items {
            explain(&mut out, &store, &config, item).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn explain(out: &mut impl Write, store: &Store, config: &Config, item: &Item) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}{}{bold:#}", plain::line(&item.title, 300))?;
    writeln!(out, "item      {} of source {}, key {}", item.id, item.source, plain::line(&item.key, 200))?;
    if let Some(url) = &item.url {
        writeln!(out, "address   {}", plain::line(url, 2_000))?;
    }
    writeln!(out, "published {}", super::show_time(item.published_at))?;
    let backlog = if item.backlog { ", at the first contact with its source: backlog, nobody is told" } else { "" };
    writeln!(out, "seen      first {}{backlog}", super::show_time(Some(item.first_seen_at)))?;
    let words = |text: &str| text.split_whitespace().count();
    let article = match item.article_state {
        ArticleState::NotWanted => "the source does not ask for article pages".to_string(),
        ArticleState::Read => format!("article page of {}", super::counted(words(&item.article), "word")),
        ArticleState::Unread if item.article_problem.is_empty() => "article page not read yet".to_string(),
        ArticleState::Unread => {
            format!("article page not read: {}; matched on summary only", plain::line(&item.article_problem, 300))
        }
    };
    writeln!(
        out,
        "text      summary of {}, content of {}, {article}",
        super::counted(words(&item.summary), "word"),
        super::counted(words(&item.content), "word")
    )?;
    explain_story(out, store, item).await?;
    if store.is_unscored(item.id).await? {
        writeln!(out, "matching  it waits to be scored")?;
    }
    let verdicts = store.verdicts_of(&[item.id]).await?;
    for hit in store.hits_of_item(item.id).await? {
        explain_hit(out, store, item, &hit).await?;
        told::explain(out, store, config, &hit, super::now()).await?;
        explain_verdicts(out, &verdicts, &hit.profile)?;
    }
    let records = store.record_numbers(&RecordFilter { items: vec![item.id], ..RecordFilter::default() }).await?;
    if !records.is_empty() {
        let numbers: Vec<String> = records.iter().map(i64::to_string).collect();
        writeln!(out, "evidence  recorded as {}: newswatch evidence show {}", numbers.join(", "), item.id)?;
    }
    for score in store.scores_of_item(item.id).await? {
        let backlog = if score.backlog { ", backlog" } else { "" };
        let meaning = if score.score < score.threshold {
            format!("{:.3} short of a hit", score.threshold - score.score)
        } else {
            "it was a hit already".to_string()
        };
        writeln!(
            out,
            "scored    {} against {} for profile {}, {}{backlog}: {meaning}",
            score.score,
            score.threshold,
            score.profile,
            super::show_time(Some(score.scored_at))
        )?;
    }
    let of_hits: BTreeSet<String> = store.hits_of_item(item.id).await?.into_iter().map(|hit| hit.profile).collect();
    for profile in verdicts.iter().map(|judgement| &judgement.profile).collect::<BTreeSet<_>>() {
        if !of_hits.contains(profile) {
            explain_verdicts(out, &verdicts, profile)?;
        }
    }
    writeln!(out, "\nwith the profiles and frequencies of now:")?;
    let scores = matcher::explain(store, config, item).await?;
    for profile in &config.profiles {
        match scores.iter().find(|score| score.profile == profile.name) {
            None => writeln!(out, "{bold}{}{bold:#}: nothing of this profile occurs", profile.name)?,
            Some(score) => {
                let missing = if score.hit { "a hit" } else { "no hit" };
                writeln!(
                    out,
                    "{bold}{}{bold:#}: score {:.3} against {:.3}, {missing}",
                    score.profile, score.score, score.threshold
                )?;
                for missing in &score.missing {
                    writeln!(out, "  missing: {}", plain::line(missing, 300))?;
                }
                reasons(out, &score.reasons, score.score)?;
            }
        }
    }
    Ok(())
}

/// Other items that tell the same, and why they are taken for that.
async fn explain_story(out: &mut impl Write, store: &Store, item: &Item) -> anyhow::Result<()> {
    let Some(id) = store.story_of(item.id).await? else { return Ok(()) };
    let Some(story) = store.story(id, STORY_SHOWN).await? else { return Ok(()) };
    if story.count < 2 {
        writeln!(out, "story     {id}: this item alone")?;
    } else {
        writeln!(out, "story     {id}: {}", super::story::in_words(&story))?;
        for told in &story.items {
            let this = if told.item.id == item.id { " <- this item" } else { "" };
            writeln!(out, "  {}{this}", super::story::line(told))?;
        }
        super::story::more(out, &story)?;
    }
    for line in super::story::decisions(store, &story).await? {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// The hit with what its score was made with.
async fn explain_hit(out: &mut impl Write, store: &Store, item: &Item, hit: &Hit) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    let shadow = if hit.shadow { ", on trial: nobody is told" } else { "" };
    writeln!(
        out,
        "\n{bold}hit{bold:#} of profile {} version {}, found {}: score {} against {}{shadow}",
        hit.profile,
        hit.profile_version,
        super::show_time(Some(hit.found_at)),
        hit.score,
        hit.threshold
    )?;
    // A hit of an older program was not stored with what made it.
    if hit.basis.method > 0 {
        let basis = &hit.basis;
        let version = store.profile_version(&hit.profile, basis.profile_hash).await?;
        let since = version.as_ref().map_or(String::new(), |version| {
            format!(", in use since {}", super::show_time(Some(version.first_used_at)))
        });
        writeln!(
            out,
            "  made with profile {:015x}{since}; an archive of {} documents of {:.0} words on average; this text of {} words",
            basis.profile_hash, basis.documents, basis.average_length, basis.length
        )?;
        if let Some(version) = version {
            let again = match matcher::score_again(hit, item, &version) {
                Again::Score(score) if score == hit.score => format!("the same {score:.3}"),
                Again::Score(score) => format!("{score}, which differs; please report it"),
                Again::OtherText => "not possible, its text was changed since".to_string(),
                Again::OtherProgram => "not possible, it was scored by another version of newswatch".to_string(),
            };
            writeln!(out, "  scored again: {again}")?;
        }
    }
    reasons(out, &hit.reasons, hit.score)?;
    Ok(())
}

/// All that was said of the item for a profile; who said something else later is shown too.
fn explain_verdicts(out: &mut impl Write, all: &[Judgement], profile: &str) -> std::io::Result<()> {
    let own: Vec<Judgement> = all.iter().filter(|judgement| judgement.profile == profile).cloned().collect();
    let counting = verdicts::in_force(&own);
    for judgement in &own {
        let over = if counting.contains(&judgement) { "" } else { ", replaced since" };
        writeln!(
            out,
            "verdict   {} for {profile}, {}{over}",
            super::hits::in_words(judgement),
            super::show_time(Some(judgement.at))
        )?;
    }
    Ok(())
}

/// The heaviest reasons, by how much they weigh for or against.
fn reasons(out: &mut impl Write, reasons: &[Reason], score: f64) -> std::io::Result<()> {
    let mut ordered: Vec<&Reason> = reasons.iter().collect();
    ordered.sort_by(|a, b| b.share.abs().total_cmp(&a.share.abs()));
    for reason in ordered.iter().take(REASONS_SHOWN) {
        let share = 100.0 * reason.share / score.abs().max(f64::MIN_POSITIVE);
        let note =
            if reason.note.is_empty() { String::new() } else { format!(" [{}]", plain::line(&reason.note, 100)) };
        writeln!(
            out,
            "  {:+.3}  {share:5.1} %  {} {} ({}x){note}  {}",
            reason.share,
            reason.kind.as_str(),
            plain::line(&reason.term, 60),
            reason.count,
            plain::line(&reason.context, 200)
        )?;
    }
    if reasons.len() > REASONS_SHOWN {
        writeln!(out, "  and {}", super::counted(reasons.len() - REASONS_SHOWN, "weaker one"))?;
    }
    Ok(())
}
