//! What a message says, as values that are safe to show: the templates get these and nothing else. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::chart::{self, DayChart, HealthChart};
use super::passage::{self, Piece};
use super::templates::Rendered;
use super::{
    ALTERED_MAX, ALTERED_SENTENCES_MAX, BELOW_MAX, COPIES_MAX, DETAILED_MAX, Ingredients, PREVIEW, STORIES_MAX,
    VerdictLinks, counted, safe_url, show_time, token,
};
use crate::health::Coverage;
use crate::model::{
    ArticleState, DeliveryKind, Hit, Id, Item, MuteKind, Reason, ReasonKind, Relation, ReportLine, Story, Verdict,
};
use crate::plain;

/// Conditions shown of one hit.
const CONDITIONS_MAX: usize = 2;
/// Terms, names and concepts shown of one hit.
const TERMS_MAX: usize = 5;
/// Things named one by one in the other parts; the rest is counted.
const LINES_MAX: usize = 20;

/// A message. The heads of the shipped templates explain every value to those who write their own.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    pub(super) subject: String,
    kind: &'static str,
    route: String,
    /// The subject without the program's name and the counts.
    headline: String,
    /// "apg 3 · exchanges 2"; empty when there is nothing to count.
    counts: String,
    /// What kind of message it is, in a sentence; empty for a usual digest.
    lead: String,
    window: String,
    /// What was looked at, in one line; empty without coverage.
    summary: String,
    /// What must be said first.
    alarms: Vec<String>,
    /// What is wrong with the message itself.
    pub(super) notices: Vec<String>,
    days: Option<DayChart>,
    sources: Option<HealthChart>,
    sections: Vec<Section>,
    updates: Vec<ShownStory>,
    /// Stories for which there was no room, in a line each.
    brief: Vec<ShownStory>,
    left_out: usize,
    /// The command that leaves nothing out.
    all_command: String,
    near: Vec<Near>,
    near_left_out: usize,
    altered: Vec<ShownAltered>,
    altered_left_out: usize,
    conditions: Vec<Line>,
    conditions_left_out: usize,
    coverage: Vec<String>,
    muted: Vec<String>,
    report: Vec<Line>,
    profiles: Vec<String>,
    can_judge: bool,
    is_empty: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Section {
    name: String,
    title: String,
    stories: Vec<ShownStory>,
}

#[derive(Clone, Debug, Serialize)]
struct ShownStory {
    number: usize,
    title: String,
    url: Option<String>,
    id: String,
    /// "The Paper (wire)"
    from: String,
    published: String,
    first_seen: String,
    /// "matched on summary only"
    note: String,
    /// Sentences in pieces, for HTML.
    pieces: Vec<Piece>,
    /// The same with asterisks.
    excerpt: String,
    matches: Vec<Match>,
    /// Who printed the same.
    copies: Vec<String>,
    copies_left_out: i64,
    /// Who tells it in words of their own.
    independent: Vec<String>,
    /// Who told more of it since.
    more: Vec<String>,
}

/// What one profile says of a story.
#[derive(Clone, Debug, Serialize)]
struct Match {
    profile: String,
    title: String,
    score: String,
    threshold: String,
    /// "2.3"
    strength: String,
    /// Of 100: how far the score reaches on a bar that ends at three times the threshold.
    percent: usize,
    why: Vec<Why>,
    why_left_out: usize,
    verdicts: Vec<VerdictLink>,
}

#[derive(Clone, Debug, Serialize)]
struct Why {
    /// "observer status", or "person: Lazarus Group".
    text: String,
    /// "term", "concept" and so on.
    kind: &'static str,
    /// "15 %"; with a minus for what speaks against it.
    share: String,
    against: bool,
}

#[derive(Clone, Debug, Serialize)]
struct VerdictLink {
    word: &'static str,
    /// The word for a button.
    label: &'static str,
    url: String,
}

#[derive(Clone, Debug, Serialize)]
struct Near {
    title: String,
    url: Option<String>,
    id: String,
    from: String,
    profile: String,
    score: String,
    threshold: String,
    missing: String,
}

/// An article that is not as it was.
#[derive(Clone, Debug, Serialize)]
struct ShownAltered {
    title: String,
    url: Option<String>,
    id: String,
    from: String,
    when: String,
    then_only: Vec<String>,
    now_only: Vec<String>,
    /// Sentences that are not shown.
    left_out: usize,
    problem: String,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    about: String,
    headline: String,
    advice: String,
    when: String,
    is_recovery: bool,
}

/// A story with all of its hits in this message, the strongest first.
struct Told<'a> {
    story: Id,
    hits: Vec<&'a Hit>,
}

impl<'a> Told<'a> {
    /// The hit whose item stands for it: the first report of the story if it is among the hits, else the strongest.
    fn lead(&self) -> &'a Hit {
        let first = self.hits.iter().find(|hit| hit.relation == Relation::First);
        first.unwrap_or(&self.hits[0])
    }

    fn item(&self) -> &'a Item {
        &self.lead().item
    }
}

/// Stories in the order of their strongest hits.
fn stories(hits: &[Hit]) -> Vec<Told<'_>> {
    let mut places: BTreeMap<Id, usize> = BTreeMap::new();
    let mut told: Vec<Told<'_>> = Vec::new();
    for hit in hits {
        let place = *places.entry(hit.story).or_insert(told.len());
        match told.get_mut(place) {
            Some(known) => known.hits.push(hit),
            None => told.push(Told { story: hit.story, hits: vec![hit] }),
        }
    }
    told
}

/// The items whose sentences a message shows: those that stand for the stories that are written out.
pub(super) fn items_in_detail(hits: &[Hit], everything: bool) -> Vec<(Id, &Hit)> {
    let room = if everything { usize::MAX } else { DETAILED_MAX };
    stories(hits).iter().take(room).map(Told::lead).map(|hit| (hit.item.id, hit)).collect()
}

/// The stories that a message names, with how they are.
pub(super) fn stories_named(hits: &[Hit], everything: bool) -> Vec<Id> {
    let room = if everything { usize::MAX } else { STORIES_MAX };
    stories(hits).iter().take(room).map(|told| told.story).collect()
}

pub(super) fn view(ingredients: &Ingredients<'_>) -> View {
    let told = stories(&ingredients.hits);
    let is_update = |told: &Told<'_>| {
        ingredients.told_before.contains(&told.story) && told.hits.iter().all(|hit| hit.relation != Relation::First)
    };
    let (updates, new): (Vec<&Told<'_>>, Vec<&Told<'_>>) = told.iter().partition(|told| is_update(told));
    let counts = counts(&new);
    let headline = subject(ingredients, &new, updates.len(), &[]);
    let subject = subject(ingredients, &new, updates.len(), &counts);
    let (detailed, named) = if ingredients.everything { (usize::MAX, usize::MAX) } else { (DETAILED_MAX, STORIES_MAX) };
    let mut sections: Vec<(usize, Section)> = Vec::new();
    let mut shown_updates = Vec::new();
    let mut brief = Vec::new();
    // The strongest stories are written out, whether new or updates; then they are put in their places.
    for told in told.iter().take(detailed) {
        let shown = ShownStory::new(told, ingredients);
        if is_update(told) {
            shown_updates.push(shown);
            continue;
        }
        let name = &told.hits[0].profile;
        let place = ingredients.profiles.iter().position(|profile| profile.name == *name).unwrap_or(usize::MAX);
        match sections.iter_mut().find(|(_, section)| section.name == *name) {
            Some((_, section)) => section.stories.push(shown),
            None => {
                let title = profile_title(name, ingredients);
                sections.push((place, Section { name: name.clone(), title, stories: vec![shown] }));
            }
        }
    }
    // In the order of the configuration, so that every morning looks alike.
    sections.sort_by(|(a, first), (b, second)| a.cmp(b).then(first.name.cmp(&second.name)));
    for told in told.iter().take(named).skip(detailed) {
        brief.push(ShownStory::brief(told, ingredients));
    }
    let mut sections: Vec<Section> = sections.into_iter().map(|(_, section)| section).collect();
    let in_order = sections.iter_mut().flat_map(|section| &mut section.stories);
    for (number, story) in in_order.chain(&mut shown_updates).chain(&mut brief).enumerate() {
        story.number = number + 1;
    }
    let hits_not_loaded = ingredients.hits_in_all.saturating_sub(ingredients.hits.len());
    let row = ingredients.row;
    let window = match (row.window_from, row.window_to) {
        (Some(from), Some(to)) => show_window(from, to, ingredients),
        _ => show_time(ingredients.now, &ingredients.zone),
    };
    let lines_max = if ingredients.everything { usize::MAX } else { LINES_MAX };
    let near_max = if ingredients.everything { usize::MAX } else { BELOW_MAX };
    let altered_max = if ingredients.everything { usize::MAX } else { ALTERED_MAX };
    let coverage = ingredients.coverage.as_ref();
    View {
        headline: capital(headline.strip_prefix("newswatch: ").unwrap_or(&headline)),
        counts: counts.join(" · "),
        subject,
        kind: row.kind.as_str(),
        route: plain::line(&row.route, 100),
        lead: lead(ingredients),
        window,
        summary: coverage.map_or(String::new(), |coverage| summary(coverage, ingredients)),
        alarms: ingredients.alarms.iter().map(|alarm| plain::line(alarm, 500)).collect(),
        notices: Vec::new(),
        days: chart::days(&ingredients.days),
        sources: coverage.and_then(|coverage| health_chart(coverage, ingredients.silent.unwrap_or_default())),
        is_empty: told.is_empty(),
        sections,
        updates: shown_updates,
        brief,
        left_out: told.len().saturating_sub(named) + hits_not_loaded,
        all_command: match row.state.as_str() {
            PREVIEW => format!("newswatch digest preview --route {} --all", row.route),
            _ => format!("newswatch digest show {} --all", row.id),
        },
        near: ingredients.below.iter().take(near_max).map(|below| Near::new(below, ingredients)).collect(),
        near_left_out: ingredients.below_in_all.saturating_sub(ingredients.below.len().min(near_max)),
        altered: ingredients.altered.iter().take(altered_max).map(|one| ShownAltered::new(one, ingredients)).collect(),
        altered_left_out: ingredients.altered.len().saturating_sub(altered_max),
        conditions: ingredients.conditions.iter().take(lines_max).map(|line| Line::new(line, ingredients)).collect(),
        conditions_left_out: ingredients.conditions.len().saturating_sub(lines_max),
        coverage: coverage.map_or(Vec::new(), |coverage| coverage_lines(coverage, ingredients, lines_max)),
        muted: muted_lines(ingredients, lines_max),
        report: ingredients.report.iter().map(|line| Line::new(line, ingredients)).collect(),
        profiles: profile_lines(ingredients),
        can_judge: ingredients.verdicts.is_some() && !row.recipient.is_empty(),
    }
}

impl View {
    /// The least that a message can say, without any template.
    pub(super) fn bare(&self, error: &str) -> Rendered {
        let mut lines = vec![self.subject.clone(), self.window.clone()];
        lines.extend(self.alarms.iter().chain(&self.notices).cloned());
        lines.push(format!("The message could not be laid out ({error}); this is all of it."));
        let in_sections = self.sections.iter().flat_map(|section| &section.stories);
        for story in in_sections.chain(&self.updates).chain(&self.brief) {
            lines.push(format!("{}. {} ({})", story.number, story.title, story.from));
            lines.extend(story.url.iter().map(|url| format!("   {url}")));
            lines.push(format!("   newswatch why {}", story.id));
        }
        lines.extend(self.report.iter().map(|line| format!("{}: {} {}", line.about, line.headline, line.advice)));
        lines.extend(self.coverage.iter().cloned());
        lines.push(format!("All of it: {}", self.all_command));
        let text = lines.join("\n");
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Rendered { html: format!("<!DOCTYPE html><pre>{escaped}</pre>"), text }
    }
}

impl ShownStory {
    fn new(told: &Told<'_>, ingredients: &Ingredients<'_>) -> ShownStory {
        let item = told.item();
        let empty = Vec::new();
        let passages = ingredients.passages.get(&item.id).unwrap_or(&empty);
        let matches = told.hits.iter().filter(|hit| hit.item.id == item.id);
        let mut shown = ShownStory::brief(told, ingredients);
        shown.pieces = joined(passages);
        shown.excerpt = passage::as_text(&shown.pieces);
        shown.matches = matches.map(|hit| Match::new(hit, ingredients)).collect();
        if let Some(story) = ingredients.stories.get(&told.story) {
            shown.add_items(story, item, told, ingredients);
        }
        shown
    }

    /// What fits in a line.
    fn brief(told: &Told<'_>, ingredients: &Ingredients<'_>) -> ShownStory {
        let item = told.item();
        let title = plain::line(&item.title, 300);
        ShownStory {
            number: 0,
            title: if title.is_empty() { "(no title)".to_string() } else { title },
            url: item.url.as_deref().and_then(safe_url),
            id: item.id.to_string(),
            from: from(item, ingredients),
            published: item.published_at.map_or(String::new(), |at| show_short(at, ingredients)),
            first_seen: show_short(item.first_seen_at, ingredients),
            note: match item.article_state {
                ArticleState::Unread => "matched on its summary only, the article could not be read".to_string(),
                ArticleState::Read | ArticleState::NotWanted => String::new(),
            },
            pieces: Vec::new(),
            excerpt: String::new(),
            matches: told.hits.iter().take(1).map(|hit| Match::new(hit, ingredients)).collect(),
            copies: Vec::new(),
            copies_left_out: 0,
            independent: Vec::new(),
            more: Vec::new(),
        }
    }

    fn add_items(&mut self, story: &Story, item: &Item, told: &Told<'_>, ingredients: &Ingredients<'_>) {
        if let Some(first) = story.items.first()
            && first.item.id != item.id
        {
            let at = show_short(first.item.first_seen_at, ingredients);
            self.first_seen = format!("{at} in {}", from(&first.item, ingredients));
        }
        let copies_max = if ingredients.everything { usize::MAX } else { COPIES_MAX };
        let mut left_out = story.count - i64::try_from(story.items.len()).unwrap_or_default();
        for other in story.items.iter().filter(|other| other.item.id != item.id) {
            let name = from(&other.item, ingredients);
            let list = match other.relation {
                Relation::Independent => &mut self.independent,
                Relation::Update => &mut self.more,
                Relation::First | Relation::Copy => &mut self.copies,
            };
            // A hit of its own is named in any case.
            if list.len() < copies_max || told.hits.iter().any(|hit| hit.item.id == other.item.id) {
                list.push(name);
            } else {
                left_out += 1;
            }
        }
        self.copies_left_out = left_out.max(0);
    }
}

impl Match {
    fn new(hit: &Hit, ingredients: &Ingredients<'_>) -> Match {
        let mut reasons: Vec<&Reason> = hit.reasons.iter().filter(|reason| reason.share != 0.0).collect();
        reasons.sort_by(|a, b| b.share.abs().total_cmp(&a.share.abs()));
        let all = reasons.len();
        if !ingredients.everything {
            // Conditions are made of names: they would crowd out what they are made of. What speaks against a hit is always said.
            let (mut conditions, mut others) = (0, 0);
            reasons.retain(|reason| {
                let (count, room) = match reason.kind {
                    _ if reason.share < 0.0 => return true,
                    ReasonKind::Condition => (&mut conditions, CONDITIONS_MAX),
                    _ => (&mut others, TERMS_MAX),
                };
                *count += 1;
                *count <= room
            });
        }
        let why_left_out = all - reasons.len();
        Match {
            profile: hit.profile.clone(),
            title: profile_title(&hit.profile, ingredients),
            score: format!("{:.2}", hit.score),
            threshold: format!("{:.2}", hit.threshold),
            strength: format!("{:.1}", hit.strength()),
            percent: (hit.strength() / 3.0 * 100.0).clamp(0.0, 100.0) as usize,
            why: reasons.into_iter().map(|reason| Why::new(reason, hit.score)).collect(),
            why_left_out,
            verdicts: match &ingredients.verdicts {
                Some(links) if !ingredients.row.recipient.is_empty() => verdict_links(hit, links, ingredients),
                _ => Vec::new(),
            },
        }
    }
}

impl Why {
    fn new(reason: &Reason, score: f64) -> Why {
        let term = plain::line(reason.term.trim_end_matches('*'), 80);
        let note = plain::line(reason.note.trim_end_matches('*'), 60);
        // An expression says nothing to a reader.
        let note = if note.contains(['[', '(', '|', '\\']) { String::new() } else { note };
        let share = if score > 0.0 { 100.0 * reason.share / score } else { 0.0 };
        Why {
            text: match reason.kind {
                ReasonKind::Concept if !note.is_empty() && !note.eq_ignore_ascii_case(&term) => {
                    format!("{term} (“{note}”)")
                }
                ReasonKind::LookAlike => format!("looks like {term}"),
                _ => term,
            },
            kind: reason.kind.as_str(),
            share: format!("{share:.0}\u{a0}%").replace('-', "−"),
            against: reason.share < 0.0,
        }
    }
}

impl Near {
    fn new(below: &super::Below, ingredients: &Ingredients<'_>) -> Near {
        let score = &below.score;
        let title = plain::line(&below.title, 200);
        let short = format!("{:.2} short of a hit", (score.threshold - score.score).max(0.005));
        let missing = if score.barred { "a required condition is not met".to_string() } else { short };
        Near {
            title: if title.is_empty() { "(no title)".to_string() } else { title },
            url: safe_url(&below.url),
            id: score.item.to_string(),
            from: source_title(&below.source, ingredients),
            profile: score.profile.clone(),
            score: format!("{:.2}", score.score),
            threshold: format!("{:.2}", score.threshold),
            missing,
        }
    }
}

impl ShownAltered {
    fn new(altered: &super::Altered, ingredients: &Ingredients<'_>) -> ShownAltered {
        let title = plain::line(&altered.title, 200);
        let sentences = |all: &[String]| -> Vec<String> {
            all.iter().take(ALTERED_SENTENCES_MAX).map(|sentence| plain::line(sentence, 300)).collect()
        };
        let (then_only, now_only) = (sentences(&altered.then_only), sentences(&altered.now_only));
        ShownAltered {
            title: if title.is_empty() { "(no title)".to_string() } else { title },
            url: altered.url.as_deref().and_then(safe_url),
            id: altered.item.to_string(),
            from: source_title(&altered.source, ingredients),
            when: show_short(altered.at, ingredients),
            left_out: altered.then_only.len() + altered.now_only.len() + altered.more
                - then_only.len()
                - now_only.len(),
            then_only,
            now_only,
            problem: plain::line(&altered.problem, 300),
        }
    }
}

impl Line {
    fn new(line: &ReportLine, ingredients: &Ingredients<'_>) -> Line {
        Line {
            about: plain::line(&line.about, 100),
            headline: plain::line(&line.headline, 500),
            advice: plain::line(&line.advice, 500),
            when: show_time(line.at, &ingredients.zone),
            is_recovery: line.is_recovery,
        }
    }
}

fn verdict_links(hit: &Hit, links: &VerdictLinks, ingredients: &Ingredients<'_>) -> Vec<VerdictLink> {
    let link = |verdict: Verdict| {
        let recipient = ingredients.row.recipient.clone();
        let claim = token::Claim { item: hit.item.id, profile: hit.profile.clone(), verdict, recipient };
        let label = match verdict {
            Verdict::Relevant => "relevant",
            Verdict::Not => "not relevant",
            Verdict::Known => "known",
        };
        VerdictLink { word: verdict.as_str(), label, url: token::link(&links.address, &claim, &links.key) }
    };
    Verdict::ALL.map(link).into()
}

/// Sentences one after the other; what was left out between them is shown once.
fn joined(passages: &[Vec<Piece>]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for passage in passages {
        if let Some(last) = pieces.last() {
            let begins_cut = passage.first().is_some_and(|first| first.text.starts_with('…'));
            let gap = if last.text.ends_with('…') || begins_cut { " " } else { " … " };
            pieces.push(Piece { text: gap.to_string(), marked: false });
        }
        pieces.extend(passage.iter().cloned());
    }
    pieces
}

fn profile_title(name: &str, ingredients: &Ingredients<'_>) -> String {
    match ingredients.profiles.iter().find(|profile| profile.name == name) {
        Some(profile) if !profile.title.is_empty() => plain::line(&profile.title, 200),
        _ => name.to_string(),
    }
}

fn source_title(name: &str, ingredients: &Ingredients<'_>) -> String {
    match ingredients.source_titles.get(name).map(|title| plain::line(title, 80)) {
        Some(title) if !title.is_empty() => title,
        _ => name.to_string(),
    }
}

/// "Thu 19 Nov, 07:30 to Fri 20 Nov 2026, 07:30 CET": year and zone once, unless they differ.
fn show_window(from: Timestamp, to: Timestamp, ingredients: &Ingredients<'_>) -> String {
    let (from, to) = (from.to_zoned(ingredients.zone.clone()), to.to_zoned(ingredients.zone.clone()));
    let year = if from.year() == to.year() { "" } else { " %Y" };
    let zone = if from.offset() == to.offset() { "" } else { " %Z" };
    let from = from.strftime(&format!("%a %-d %b{year}, %H:%M{zone}")).to_string();
    format!("{from} to {}", to.strftime("%a %-d %b %Y, %H:%M %Z"))
}

/// A time near the message's own: its year only when it is another one. The zone stands at the head of the message.
fn show_short(at: Timestamp, ingredients: &Ingredients<'_>) -> String {
    let at = at.to_zoned(ingredients.zone.clone());
    let this_year = at.year() == ingredients.now.to_zoned(ingredients.zone.clone()).year();
    at.strftime(if this_year { "%a %-d %b, %H:%M" } else { "%a %-d %b %Y, %H:%M" }).to_string()
}

/// Who published it; behind an aggregator also where it was read.
fn from(item: &Item, ingredients: &Ingredients<'_>) -> String {
    let source = source_title(&item.source, ingredients);
    match plain::line(&item.publisher, 80) {
        publisher if publisher.is_empty() || publisher == source => source,
        publisher => format!("{publisher} (in {source})"),
    }
}

/// How many stories each profile found.
fn counts(new: &[&Told<'_>]) -> Vec<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for told in new {
        let mut profiles: Vec<&str> = told.hits.iter().map(|hit| hit.profile.as_str()).collect();
        profiles.sort_unstable();
        profiles.dedup();
        for profile in profiles {
            match counts.iter_mut().find(|(name, _)| *name == profile) {
                Some((_, count)) => *count += 1,
                None => counts.push((profile, 1)),
            }
        }
    }
    counts.sort_unstable();
    counts.iter().map(|(profile, count)| format!("{profile} {count}")).collect()
}

fn subject(ingredients: &Ingredients<'_>, new: &[&Told<'_>], updates: usize, counts: &[String]) -> String {
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let stories = |word: &str| match (new.len(), updates) {
        (0, updates) => format!("{} to earlier stories", counted(updates, "update")),
        (new, 0) => format!("{}{counts}{word}", counted_new(new)),
        (new, updates) => format!("{}{counts}, {}{word}", counted_new(new), counted(updates, "update")),
    };
    let has_any = !new.is_empty() || updates > 0;
    let text = match ingredients.row.kind {
        DeliveryKind::Alert => match ingredients.hits.first() {
            Some(hit) => {
                let mut profiles: Vec<&str> = ingredients.hits.iter().map(|hit| hit.profile.as_str()).collect();
                profiles.sort_unstable();
                profiles.dedup();
                let told = new.first().map_or(&hit.item, |told| told.item());
                format!("[{}] {}", profiles.join(", "), plain::line(&told.title, 200))
            }
            None => "newswatch: a hit that is not stored any more".to_string(),
        },
        DeliveryKind::Report => {
            let bad = ingredients.report.iter().filter(|line| !line.is_recovery).count();
            let good = ingredients.report.len() - bad;
            match (bad, good, ingredients.report.as_slice()) {
                (_, _, [only]) => {
                    format!("newswatch itself: {}: {}", plain::line(&only.about, 60), plain::line(&only.headline, 120))
                }
                (0, 0, _) => "newswatch itself: nothing is to be reported".to_string(),
                (bad, 0, _) => format!("newswatch itself: {}", counted(bad, "problem")),
                (0, good, _) => format!("newswatch itself: {good} well again"),
                (bad, good, _) => format!("newswatch itself: {}, {good} well again", counted(bad, "problem")),
            }
        }
        DeliveryKind::Group if has_any => format!("newswatch: {}", stories(", together")),
        DeliveryKind::Overflow if has_any => format!("newswatch: {}", stories(", over the budget of today")),
        _ if has_any => format!("newswatch: {}", stories("")),
        _ => {
            let (read, sources) =
                ingredients.coverage.as_ref().map_or((0, 0), |coverage| (coverage.read, coverage.sources));
            format!("newswatch: nothing new ({read} of {sources} sources read)")
        }
    };
    plain::line(&text, 200)
}

/// The first letter large.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn counted_new(count: usize) -> String {
    counted(count, "new story")
}

/// What kind of message it is, in a sentence.
fn lead(ingredients: &Ingredients<'_>) -> String {
    let row = ingredients.row;
    match row.kind {
        DeliveryKind::Group => match (row.window_from, row.window_to) {
            (Some(from), Some(to)) if to.duration_since(from).as_mins() >= 60 => {
                "Held over quiet hours and sent together when they ended.".to_string()
            }
            _ => "Sent together, because they came within a short while.".to_string(),
        },
        DeliveryKind::Overflow => {
            "Over the budget of today: these were not told at once, and none of them is lost.".to_string()
        }
        DeliveryKind::Report => {
            "About newswatch itself. Each change is told once, and once more when it is over.".to_string()
        }
        DeliveryKind::Alert | DeliveryKind::Digest => String::new(),
    }
}

/// "41 of 43 sources read · 1 failing · 12 with something new · 412 items looked through"
fn summary(coverage: &Coverage, ingredients: &Ingredients<'_>) -> String {
    let mut parts = vec![format!("{} of {} sources read", coverage.read, coverage.sources)];
    if !coverage.failing.is_empty() {
        parts.push(format!("{} failing", coverage.failing.len()));
    }
    if let Some(silent) = ingredients.silent.filter(|silent| *silent > 0) {
        parts.push(format!("{silent} silent"));
    }
    parts.push(format!("{} with something new", ingredients.changed));
    parts.push(format!("{} looked through", counted(usize::try_from(coverage.items).unwrap_or_default(), "item")));
    parts.join(" · ")
}

fn health_chart(coverage: &Coverage, silent: usize) -> Option<HealthChart> {
    chart::sources(&[
        ("read", "read", coverage.read.saturating_sub(silent)),
        ("silent", "silent against their rhythm", silent.min(coverage.read)),
        ("failing", "failing", coverage.failing.len()),
        ("paused", "paused", coverage.paused.len()),
        ("not-asked", "not asked", coverage.not_asked),
    ])
}

/// What a message says of what was looked at, a sentence a line.
fn coverage_lines(coverage: &Coverage, ingredients: &Ingredients<'_>, lines_max: usize) -> Vec<String> {
    let silent =
        ingredients.silent.map_or(String::new(), |silent| format!("{silent} silent against their own rhythm, "));
    let mut lines = vec![
        format!(
            "{} of {} sources read, {} failing, {silent}{} paused, {} not asked in this window",
            coverage.read,
            coverage.sources,
            coverage.failing.len(),
            coverage.paused.len(),
            coverage.not_asked,
        ),
        format!(
            "{} had something new; {} looked through",
            counted(ingredients.changed, "source"),
            counted(usize::try_from(coverage.items).unwrap_or_default(), "new item"),
        ),
    ];
    for language in ingredients.unread_languages.iter().take(lines_max) {
        let (verb, profiles) = match language.profiles.as_slice() {
            [only] => ("has", format!("the profile {only}")),
            several => ("have", format!("the profiles {}", several.join(", "))),
        };
        lines.push(format!(
            "{} in {}: {profiles} {verb} no terms for that, so nothing can have been found there",
            counted(language.items, "item"),
            plain::line(&language.language, 60),
        ));
    }
    if ingredients.languages_read > 0 && (ingredients.languages_read as i64) < coverage.items {
        lines.push(format!(
            "languages were looked at in the first {} only",
            counted(ingredients.languages_read, "item")
        ));
    }
    let list = |names: &[String]| {
        let shown: Vec<&str> = names.iter().take(lines_max).map(String::as_str).collect();
        let more = names.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more (newswatch source list)") } else { String::new() };
        format!("{}{more}", shown.join(", "))
    };
    if !coverage.paused.is_empty() {
        lines.push(format!("paused by hand: {}", list(&coverage.paused)));
    }
    if !coverage.first_contacts.is_empty() {
        lines.push(format!(
            "first contact with {}: what they showed is backlog and was not alerted, {} among it (newswatch hits)",
            list(&coverage.first_contacts),
            counted(usize::try_from(ingredients.backlog).unwrap_or_default(), "hit"),
        ));
    }
    lines
}

fn muted_lines(ingredients: &Ingredients<'_>, lines_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (mute, hits) in ingredients.muted.iter().take(lines_max) {
        let what = match mute.kind {
            MuteKind::Profile => "profile",
            MuteKind::Source => "source",
            MuteKind::Story => "story",
        };
        let reason = match plain::line(&mute.reason, 200) {
            reason if reason.is_empty() => String::new(),
            reason => format!(": {reason}"),
        };
        lines.push(format!(
            "{what} {} muted until {} by {}{reason}; {} held back",
            plain::line(&mute.name, 100),
            show_time(mute.until, &ingredients.zone),
            plain::line(&mute.author, 60),
            counted(usize::try_from(*hits).unwrap_or_default(), "hit"),
        ));
    }
    if ingredients.muted.len() > lines_max {
        lines.push(format!("{} more are muted: newswatch mute list", ingredients.muted.len() - lines_max));
    }
    if ingredients.over_budget > 0 {
        lines.push(format!(
            "{} went over the budget of the day; they stand in a message of their own (newswatch outbox list)",
            counted(usize::try_from(ingredients.over_budget).unwrap_or_default(), "hit"),
        ));
    }
    lines
}

fn profile_lines(ingredients: &Ingredients<'_>) -> Vec<String> {
    ingredients.profiles.iter().map(|profile| format!("{} version {}", profile.name, profile.version)).collect()
}
