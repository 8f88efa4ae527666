//! What the profiles would find in what the sources offer now.

use super::super::probe::Offer;
use super::Steps;
use crate::matcher::frequency::Frequencies;
use crate::matcher::profile::Profile;
use crate::matcher::score::{Explain, Scorer};
use crate::matcher::text::Tokenizer;
use crate::model::Score;

/// From so many items on their share of hits says something.
const ITEMS_TELLING: usize = 20;
/// Items that are shown of a profile.
const SHOWN_MAX: usize = 5;
/// Reasons that are shown of an item.
const REASONS_MAX: usize = 3;

/// Scores what was read of the sources. Pages of single articles are not asked for: with them scores get better later.
pub(super) fn report(profiles: &[Profile], offers: &[Offer], steps: &mut Steps) -> anyhow::Result<()> {
    let entries: Vec<_> =
        offers.iter().filter_map(|offer| offer.reading.as_ref()).flat_map(|reading| &reading.entries).collect();
    if entries.is_empty() {
        return Ok(steps.left("backtest", "there is no item to try the profiles on now")?);
    }
    let mut scorer = Scorer::new(profiles, &Frequencies::new())?;
    let mut tokenizer = Tokenizer::new();
    let mut found: Vec<(Score, &str)> = Vec::new();
    for entry in &entries {
        let body = format!("{}\n{}", entry.summary, entry.content);
        let language = entry.language.as_deref().unwrap_or_default();
        let document = tokenizer.read(&entry.title, &body).from("", language);
        found.extend(scorer.score(&document, Explain::Everything).into_iter().map(|score| (score, &*entry.title)));
    }
    found.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    for profile in profiles {
        let own = || found.iter().filter(|(score, _)| score.profile == profile.name);
        let hits = own().filter(|(score, _)| score.hit).count();
        let advice = match hits {
            0 => "; nothing of it is there now, or the profile is too strict",
            _ if entries.len() >= ITEMS_TELLING && hits * 4 > entries.len() => {
                "; that is a lot: `newswatch profile lint` says which terms do it"
            }
            _ => "",
        };
        let words = format!(
            "{}: {hits} of {} of now would be hits{advice}",
            profile.name,
            crate::plain::counted(entries.len(), "item")
        );
        steps.ok("backtest", &words)?;
        for (score, title) in own().take(SHOWN_MAX) {
            let reasons: Vec<&str> = score.reasons.iter().take(REASONS_MAX).map(|reason| &*reason.term).collect();
            let mark = if score.hit { "hit" } else { "   " };
            let threshold = score.threshold;
            steps.detail(&format!("{mark} {:.2} of {threshold:.2}  {title} ({})", score.score, reasons.join(", ")))?;
        }
    }
    Ok(())
}
