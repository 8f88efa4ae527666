//! What is wrong now against what was known to be wrong: what begins, what is over, and the lines that say so.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CHECKS, Condition, Finding, Open, ago, counted, network};
use crate::model::{ReportLine, SourceState};
use crate::plain;

/// Name of what newswatch's own network is about.
pub const NETWORK: &str = "(network)";
/// Name of what the self-test is about.
pub const SELF_TEST: &str = "(self-test)";
/// Name of what the documents of evidence are about.
pub const EVIDENCE: &str = "(evidence)";
/// Name of what the configuration is about.
pub const CONFIGURATION: &str = "(configuration)";

/// More lines that say the same of different sources are one line.
const LINES_MAX: usize = 8;
/// So many names in that line.
const NAMES_MAX: usize = 40;

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What begins.
    pub opened: Vec<Open>,
    /// What is over.
    pub ended: Vec<Open>,
    /// What the operator is told of it.
    pub lines: Vec<ReportLine>,
}

impl Changes {
    /// Nothing has.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.ended.is_empty() && self.lines.is_empty()
    }

    /// Something of newswatch itself is wrong, or is not (`None`), against what was open.
    pub fn note(&mut self, open: &[Open], about: &str, condition: Condition, wrong: Option<Open>, now: Timestamp) {
        let known = open.iter().find(|open| open.about == about && open.condition == condition);
        match (known, wrong) {
            (None, Some(wrong)) => {
                self.lines.push(begins(&wrong, now));
                self.opened.push(wrong);
            }
            (Some(known), None) => {
                self.lines.push(is_over(known, now));
                self.ended.push(known.clone());
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

/// What has changed with the sources. `network_back`: when the network was last found to be there again; what failed before
/// that and was not asked since is not held against its source.
pub fn of_sources(sources: &[SourceState], open: &[Open], network_back: Option<Timestamp>, now: Timestamp) -> Changes {
    let mut changes = Changes::default();
    let down = network::down_since(sources, now).map(|since| no_network(sources, since, now));
    let is_down = down.is_some();
    changes.note(open, NETWORK, Condition::NoNetwork, down, now);
    let mut known: BTreeMap<&str, Vec<&Open>> = BTreeMap::new();
    for open in open.iter().filter(|open| open.condition.group().is_some()) {
        known.entry(&open.about).or_default().push(open);
    }
    let (mut begin, mut end, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        let known = known.remove(source.name.as_str()).unwrap_or_default();
        if source.paused {
            // By hand: nobody has to be told.
            changes.ended.extend(known.into_iter().cloned());
            continue;
        }
        let asked_since = |back: Timestamp| source.attempted_at.is_some_and(|at| at >= back);
        let excused = network::is_on_the_way(source) && (is_down || !network_back.is_none_or(asked_since));
        judge(source, &known, excused, now, (&mut begin, &mut end, &mut replaced));
    }
    // Those left the configuration.
    changes.ended.extend(known.into_values().flatten().cloned());
    changes.lines.extend(lines(&begin, begins, now));
    changes.lines.extend(lines(&end, is_over, now));
    changes.opened.extend(begin);
    changes.ended.extend(end);
    changes.ended.extend(replaced);
    changes
}

/// Holds one source against its checks.
fn judge(
    source: &SourceState,
    known: &[&Open],
    excused: bool,
    now: Timestamp,
    (begin, end, replaced): (&mut Vec<Open>, &mut Vec<Open>, &mut Vec<Open>),
) {
    let mut found = Vec::with_capacity(CHECKS.len());
    for (condition, group, check) in CHECKS {
        let known = known.iter().find(|open| open.condition == *condition).copied();
        let finding = check(source, known.is_some(), now);
        let finding = if excused && finding.is_wrong() && known.is_none() { Finding::Unknown } else { finding };
        found.push((*condition, *group, known, finding));
    }
    for (index, (condition, group, known, finding)) in found.iter().enumerate() {
        let is_wrong = |(_, other, _, finding): &(_, _, _, Finding)| other == group && finding.is_wrong();
        let is_said_otherwise = found[..index].iter().any(is_wrong);
        match (known, finding) {
            (None, Finding::Wrong { since, detail, advice }) if !is_said_otherwise => begin.push(Open {
                about: source.name.clone(),
                condition: *condition,
                since: *since,
                noticed_at: now,
                detail: plain::line(detail, 700),
                advice: plain::line(advice, 300),
            }),
            (Some(known), Finding::Wrong { .. }) if is_said_otherwise => replaced.push((*known).clone()),
            (Some(known), Finding::Fine) => {
                // It is not over, it only has another name now.
                let goes_on = found.iter().any(is_wrong);
                if goes_on { replaced.push((*known).clone()) } else { end.push((*known).clone()) }
            }
            (_, Finding::Unknown | Finding::Wrong { .. }) | (None, Finding::Fine) => {}
        }
    }
}

fn no_network(sources: &[SourceState], since: Timestamp, now: Timestamp) -> Open {
    let lost = sources.iter().filter(|source| !source.paused && network::is_on_the_way(source)).count() as i64;
    let last = sources.iter().filter(|source| network::is_on_the_way(source)).find(|source| !source.error.is_empty());
    let last = last.map_or(String::new(), |source| format!(" ({})", source.error));
    Open {
        about: NETWORK.to_string(),
        condition: Condition::NoNetwork,
        since,
        noticed_at: now,
        detail: plain::line(
            &format!(
                "nothing can be reached for {}: {} in vain so far{last}",
                ago(since, now),
                counted(lost, "source was asked", "sources were asked")
            ),
            700,
        ),
        advice: "see to the network of this machine; the sources are asked again by themselves".to_string(),
    }
}

fn begins(open: &Open, now: Timestamp) -> ReportLine {
    ReportLine {
        at: now,
        about: open.about.clone(),
        headline: open.detail.clone(),
        advice: open.advice.clone(),
        is_recovery: false,
    }
}

fn is_over(open: &Open, now: Timestamp) -> ReportLine {
    ReportLine {
        at: now,
        about: open.about.clone(),
        headline: format!("{}, after {}", open.condition.row().3, ago(open.since, now)),
        advice: String::new(),
        is_recovery: true,
    }
}

/// A line each; where many sources have the same, one line for all of them.
fn lines(open: &[Open], line: impl Fn(&Open, Timestamp) -> ReportLine, now: Timestamp) -> Vec<ReportLine> {
    let mut by_condition: BTreeMap<Condition, Vec<&Open>> = BTreeMap::new();
    for open in open {
        by_condition.entry(open.condition).or_default().push(open);
    }
    let mut lines = Vec::new();
    for (condition, open) in by_condition {
        if open.len() <= LINES_MAX {
            lines.extend(open.into_iter().map(|open| line(open, now)));
            continue;
        }
        let first = line(open[0], now);
        let (_, _, many, over) = condition.row();
        let names: Vec<&str> = open.iter().take(NAMES_MAX).map(|open| open.about.as_str()).collect();
        let more = if open.len() > NAMES_MAX { " and more" } else { "" };
        let what = if first.is_recovery { format!("each of them {over}") } else { (*many).to_string() };
        lines.push(ReportLine {
            about: format!("{} sources", open.len()),
            headline: format!("{what}: {}{more}", names.join(", ")),
            advice: if first.is_recovery { String::new() } else { "newswatch status says more of each".to_string() },
            ..first
        });
    }
    lines
}
