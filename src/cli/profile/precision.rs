//! How often a profile, and each of its names, was right by the verdicts of people.

use std::collections::BTreeMap;

use crate::cli;
use crate::config::Config;
use crate::matcher::profile::Profile;
use crate::model::{Id, ReasonKind, Verdict};
use crate::store::verdicts;

/// Judged items looked at, the last.
const JUDGED_MAX: usize = 5_000;

/// Verdicts on hits of a profile.
#[derive(Debug, Default)]
pub(super) struct Precision {
    relevant: usize,
    not: usize,
    known: usize,
    /// Judged relevant although no hit.
    missed: usize,
    /// By name: hits it had a part in that were on topic, and that were not.
    names: BTreeMap<(ReasonKind, String), (usize, usize)>,
}

impl Precision {
    /// One sentence.
    pub(super) fn in_words(&self) -> String {
        let judged = self.relevant + self.not + self.known;
        if judged + self.missed == 0 {
            return "no hit was judged yet (newswatch verdict)".to_string();
        }
        let share = match judged {
            0 => String::new(),
            _ => format!(": precision {:.0} %", 100.0 * (self.relevant + self.known) as f64 / judged as f64),
        };
        let missed =
            if self.missed > 0 { format!("; {} judged relevant that are no hits", self.missed) } else { String::new() };
        format!("judged hits: {} relevant, {} known, {} not{share}{missed}", self.relevant, self.known, self.not)
    }

    /// What to write behind a name; `None` when no judged hit had it.
    pub(super) fn of_name(&self, kind: ReasonKind, text: &str) -> Option<String> {
        let (right, wrong) = self.names.get(&(kind, text.to_string()))?;
        Some(format!("   (in {right} judged right, {wrong} wrong)"))
    }
}

/// From the verdicts in the store.
pub(super) async fn of(config: &Config, profile: &Profile) -> anyhow::Result<Precision> {
    let store = cli::open_store(config).await?;
    let all = store.verdicts_for(&profile.name).await?;
    let judged: BTreeMap<Id, Verdict> = verdicts::in_force(&all)
        .into_iter()
        .rev()
        .take(JUDGED_MAX)
        .rev()
        .map(|judgement| (judgement.item, judgement.verdict))
        .collect();
    let mut precision = Precision::default();
    for (item, verdict) in judged {
        let hit = store.hits_of_item(item).await?.into_iter().find(|hit| hit.profile == profile.name);
        let Some(hit) = hit else {
            precision.missed += usize::from(verdict != Verdict::Not);
            continue;
        };
        match verdict {
            Verdict::Relevant => precision.relevant += 1,
            Verdict::Not => precision.not += 1,
            Verdict::Known => precision.known += 1,
        }
        for reason in hit.reasons {
            let counts = precision.names.entry((reason.kind, reason.term)).or_default();
            match verdict {
                Verdict::Not => counts.1 += 1,
                Verdict::Relevant | Verdict::Known => counts.0 += 1,
            }
        }
    }
    Ok(precision)
}
