//! Loop 2: unscored items → hits and outbox rows.
//!
//! [`Matcher::step`] claims a batch of items that no profile has seen, reads them part by part, scores each against all profiles in
//! one pass, and commits the hits, the outbox rows they ask for, and the batch's document frequencies in one transaction.

pub mod backtest;
pub mod canary;
pub mod fold;
pub mod frequency;
pub mod index;
pub mod language;
pub mod lint;
pub mod noise;
pub mod phrase;
pub mod profile;
pub mod score;
pub mod script;
pub mod search;
pub mod seed;
pub mod sight;
pub mod story;
pub mod suggest;
pub mod text;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use self::frequency::Frequencies;
use self::profile::Profile;
use self::score::{Explain, Scorer};
use self::story::{Batch, Incoming, Told};
use self::text::Tokenizer;
use crate::config::Config;
use crate::health::changes::SELF_TEST;
use crate::meters::Meters;
use crate::model::{CANARY, Hit, Id, Item, NewDelivery, ProfileVersion, Relation, ReportLine, Score, StoredScore};
use crate::plain;
use crate::store::frequencies::ROWS_MAX;
use crate::store::health::{CanaryHit, ReportTo};
use crate::store::hits::{MatchResult, NewHit};
use crate::store::items::UnscoredItem;
use crate::store::scores::TRIM_EVERY;
use crate::store::stories::NewPlacement;
use crate::store::turns::Turn;
use crate::store::{self, Store, StoreError};

/// A claim is held so long; scoring a batch takes a fraction of a second.
const LEASE: SignedDuration = SignedDuration::from_mins(5);
/// How long a watcher places items into stories alone without saying that it still does.
const TURN: Duration = Duration::from_secs(60);
/// Items claimed and committed together: while sources are read each transaction waits for theirs, so few large ones keep up.
const BATCH_MAX: usize = 4_000;
/// Items whose texts are in memory together.
const PART_MAX: usize = 500;
/// Items that are placed into stories together: their texts, and those of the items that they are compared with, are in memory.
const PLACED_MAX: usize = 32;
/// Terms remembered with their frequencies; the rarest go first. About 10 MB.
const TERMS_MAX: usize = 400_000;
/// The store is asked again after this long even if nobody signalled new items.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Scores items against the profiles of the configuration.
pub struct Matcher {
    store: Store,
    config: Arc<Config>,
    owner: String,
    /// Away while a batch is being scored.
    engine: Option<Engine>,
    /// Rows of frequencies that are part of the sum.
    counted_rows: Vec<i64>,
    /// The store knows that these profiles score now.
    is_noted: bool,
    /// Scores below the line by profile that were stored since the store's were last counted.
    below: BTreeMap<String, usize>,
    meters: Arc<Meters>,
}

/// What scoring works with. It travels to a thread of its own for each batch.
struct Engine {
    tokenizer: Tokenizer,
    scorer: Scorer,
    canary: canary::Listener,
    frequencies: Frequencies,
    /// How many documents were counted when the rarities were last derived.
    refreshed_at: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items scored.
    pub items: usize,
    /// Hits that are new.
    pub hits: u64,
}

impl Matcher {
    /// A matcher with the archive's frequencies as the store has them.
    pub async fn new(store: Store, config: Arc<Config>, owner: &str) -> anyhow::Result<Matcher> {
        let mut matcher = Matcher {
            store,
            config,
            owner: owner.to_string(),
            engine: None,
            counted_rows: Vec::new(),
            is_noted: false,
            below: BTreeMap::new(),
            meters: Arc::default(),
        };
        matcher.engine = Some(matcher.build().await?);
        Ok(matcher)
    }

    /// Counts here.
    #[must_use]
    pub fn with_meters(self, meters: Arc<Meters>) -> Matcher {
        Matcher { meters, ..self }
    }

    /// Takes over the profiles and routes of a new configuration: all of it, or nothing when the store fails.
    pub async fn reconfigure(&mut self, config: Arc<Config>) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.config, config);
        match self.build().await {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => {
                self.config = before;
                return Err(error);
            }
        }
        self.is_noted = false;
        Ok(())
    }

    async fn build(&mut self) -> anyhow::Result<Engine> {
        let (frequencies, rows) = load_frequencies(&self.store).await?;
        self.counted_rows = rows;
        let scorer = Scorer::new(&self.config.profiles, &frequencies)?;
        let refreshed_at = frequencies.documents();
        let canary = canary::Listener::new();
        Ok(Engine { tokenizer: Tokenizer::new(), scorer, canary, frequencies, refreshed_at })
    }

    /// Scores one batch. Answers what was done and when to call again at the latest.
    pub async fn step(&mut self, now: Timestamp) -> anyhow::Result<(Progress, Timestamp)> {
        let done = self.try_step(now).await;
        if done.is_err() {
            // What was counted of a batch that is not stored is read from the store again.
            self.engine = None;
        }
        done
    }

    async fn try_step(&mut self, now: Timestamp) -> anyhow::Result<(Progress, Timestamp)> {
        let claims = self.store.claim_unscored(&self.owner, now, now + LEASE, BATCH_MAX).await?;
        let Some((first, claim)) = claims.first() else { return Ok((Progress::default(), now + LOOK_AGAIN)) };
        let fence = claim.fence.to_string();
        let id = Id::of(&["frequencies", &self.owner, &first.to_string(), &fence, &now.to_string()]);
        let items = claims.len();
        let mut result = MatchResult::default();
        let mut counted = Frequencies::new();
        for part in claims.chunks(PART_MAX) {
            let part = self.store.unscored_items(part).await?;
            let (canaries, part): (Vec<UnscoredItem>, Vec<UnscoredItem>) =
                part.into_iter().partition(|unscored| unscored.item.source == CANARY);
            let part = Arc::new(part);
            let mut engine = match self.engine.take() {
                Some(engine) => engine,
                None => self.build().await?,
            };
            let shared = part.clone();
            let work = tokio::task::spawn_blocking(move || {
                let scores = engine.score(&shared, &mut counted);
                let heard: Vec<Id> = engine.hear(&canaries);
                (engine, scores, heard, counted)
            });
            let (engine, scores, heard, so_far) = work.await?;
            result.canaries.extend(heard.into_iter().map(|item| self.canary(item, now)));
            self.engine = Some(engine);
            counted = so_far;
            self.add_hits(&mut result, &part, scores, now);
        }
        // Two watchers that place copies of one story at the same moment would make two stories of it.
        let places = !result.hits.is_empty() || !result.below.is_empty();
        let turn = if places { Some(self.store.story_turn(TURN).await?) } else { None };
        self.find_stories(&mut result, turn.as_ref()).await?;
        result.turn = turn.as_ref().and_then(Turn::fence);
        result.marks_since = Some(now - story::WINDOW);
        for new in &mut result.hits {
            new.deliveries = self.deliveries(&new.hit, now);
        }
        result.scored = claims;
        result.frequencies = Some((id.0, counted.encode()));
        if !self.is_noted {
            result.profiles = self.versions(now);
        }
        result.trim = self.grown(&result.below);
        let hits = match self.store.commit_matches(&result).await {
            // It took too long. Nothing is stored, also not what was counted here: that is read from the store again.
            Err(StoreError::TurnIsOver) => {
                self.engine = None;
                return Ok((Progress { items, ..Progress::default() }, now));
            }
            done => done?,
        };
        drop(turn);
        self.is_noted = true;
        self.meters.items_scored.inc_by(items as u64);
        for new in &result.hits {
            Meters::count(&self.meters.hits, "profile", &new.hit.profile);
            note(&new.hit);
        }
        for profile in &result.trim {
            self.below.insert(profile.clone(), 0);
        }
        let backlog = result.hits.iter().filter(|new| new.hit.item.backlog && !new.hit.shadow).count();
        if backlog > 0 {
            let hits = plain::counted(backlog, "hit");
            tracing::info!("{hits} among what first contacts showed, nobody is told (newswatch hits)");
        }
        self.counted_rows.extend(result.frequencies.iter().map(|(id, _)| *id));
        self.fold_frequencies(now).await?;
        // There may be more than one batch.
        Ok((Progress { items, hits }, now))
    }

    fn add_hits(&self, result: &mut MatchResult, part: &[UnscoredItem], scores: Vec<Vec<Score>>, now: Timestamp) {
        for (unscored, scores) in part.iter().zip(scores) {
            for score in scores {
                if !score.hit {
                    if score.score >= score.threshold * StoredScore::KEPT_FROM {
                        result.below.push(below(unscored, score, now));
                    }
                    continue;
                }
                let shadow = self.profile(&score.profile).is_some_and(Profile::is_shadow);
                let hit = self.hit(unscored, score, shadow, now);
                // Who is to be told depends on the story.
                result.hits.push(NewHit { hit, deliveries: Vec::new() });
            }
        }
    }

    /// Finds the story of every item that matters to a profile, in the order in which they were first seen: scores of at least half
    /// a hit, too, because what came first may be what scored less.
    async fn find_stories(&self, result: &mut MatchResult, turn: Option<&Turn>) -> anyhow::Result<()> {
        let stories = result.hits.iter().map(|new| (new.hit.item.id, new.hit.story));
        let stories: BTreeMap<Id, Id> =
            stories.chain(result.below.iter().map(|score| (score.item, score.story))).collect();
        let items = self.store.items_brief(&stories.keys().copied().collect::<Vec<Id>>()).await?;
        let mut order: Vec<Id> = stories.keys().copied().collect();
        order.sort_by_key(|id| (items.get(id).map(|item| item.first_seen_at), *id));
        let mut batch = Batch::default();
        let mut renewed = Instant::now();
        for part in order.chunks(PLACED_MAX) {
            if renewed.elapsed() > TURN / 6
                && let Some(turn) = turn
            {
                // Whether it was in time shows when the batch is committed.
                turn.renew(TURN).await?;
                renewed = Instant::now();
            }
            let items = self.store.items_whole(part).await?;
            let read = tokio::task::spawn_blocking({
                let stories: Vec<Id> = part.iter().map(|id| stories.get(id).copied().unwrap_or(*id)).collect();
                let part = part.to_vec();
                move || {
                    let incoming = part.iter().zip(stories).filter_map(|(id, story)| Some((items.get(id)?, story)));
                    incoming.map(|(item, story)| Incoming::new(item, story)).collect::<Vec<Incoming>>()
                }
            });
            let incoming = read.await?;
            let keys: Vec<(Id, Id, &[i64])> =
                incoming.iter().map(|own| (own.told.item, own.story, own.marks.as_slice())).collect();
            let facts = self.store.story_facts(&keys).await?;
            // What of this part is a candidate shows while it is placed; its texts are here.
            let wanted: Vec<Id> = batch.wanted(&incoming, &facts).into_iter().collect();
            let others = self.store.items_whole(&wanted).await?;
            let place = tokio::task::spawn_blocking(move || {
                let own = incoming.iter().map(|own| (own.told.item, own.told.clone()));
                let mut texts: BTreeMap<Id, Told> =
                    others.values().map(|item| (item.id, Incoming::new(item, item.id).told)).collect();
                texts.extend(own);
                let placed = incoming.iter().map(|own| {
                    let placement = batch.place(own, &facts, &texts);
                    let marks = batch.marks_of(own, &placement, &facts);
                    NewPlacement { placement, before: own.story, marks, seen_at: own.told.seen_at }
                });
                let placed: Vec<NewPlacement> = placed.collect();
                (batch, placed)
            });
            let (so_far, placed) = place.await?;
            batch = so_far;
            result.stories.extend(placed);
        }
        let placed: BTreeMap<Id, (Id, Relation)> = result
            .stories
            .iter()
            .map(|new| (new.placement.item, (new.placement.story, new.placement.relation)))
            .collect();
        for new in &mut result.hits {
            if let Some((story, relation)) = placed.get(&new.hit.item.id) {
                (new.hit.story, new.hit.relation) = (*story, *relation);
            }
        }
        for score in &mut result.below {
            score.story = placed.get(&score.item).map_or(score.story, |(story, _)| *story);
        }
        Ok(())
    }

    /// Who is to be told of a hit. A story is told by its first item of which people are told at all: that an earlier one was
    /// backlog, or a shadow's hit, keeps nothing from them.
    fn deliveries(&self, hit: &Hit, now: Timestamp) -> Vec<NewDelivery> {
        if hit.item.backlog || hit.shadow {
            return Vec::new();
        }
        self.config.routes.iter().flat_map(|route| route.deliveries(hit, now)).collect()
    }

    /// The message that a self-test becomes.
    fn canary(&self, item: Id, now: Timestamp) -> CanaryHit {
        let operator = &self.config.operator;
        let to = ReportTo { route: operator.name.clone(), recipient: operator.to.first().cloned().unwrap_or_default() };
        let line = ReportLine {
            at: now,
            about: SELF_TEST.to_string(),
            headline: "an item went from the store through the matcher to this channel: newswatch works".to_string(),
            advice: String::new(),
            is_recovery: true,
        };
        CanaryHit { item, to, line, found_at: now }
    }

    fn profile(&self, name: &str) -> Option<&Profile> {
        self.config.profiles.iter().find(|profile| profile.name == name)
    }

    /// The profiles as the store keeps them.
    fn versions(&self, now: Timestamp) -> Vec<ProfileVersion> {
        let version = |profile: &Profile| ProfileVersion {
            profile: profile.name.clone(),
            profile_hash: profile.fingerprint(),
            version: profile.version,
            snapshot: profile.snapshot(),
            first_used_at: now,
        };
        self.config.profiles.iter().map(version).collect()
    }

    /// Profiles whose scores below the line have become many since they were last counted.
    fn grown(&mut self, below: &[StoredScore]) -> Vec<String> {
        for score in below {
            // Nobody knows how many there were before the program started.
            *self.below.entry(score.profile.clone()).or_insert(TRIM_EVERY) += 1;
        }
        let grown = self.below.iter().filter(|(_, count)| **count >= TRIM_EVERY);
        grown.map(|(profile, _)| profile.clone()).collect()
    }

    fn hit(&self, unscored: &UnscoredItem, score: Score, shadow: bool, now: Timestamp) -> Hit {
        Hit {
            item: unscored.item.clone(),
            story: unscored.story,
            relation: Relation::First,
            profile_version: self.profile(&score.profile).map_or(0, |profile| profile.version),
            basis: score.basis,
            shadow,
            profile: score.profile,
            score: score.score,
            threshold: score.threshold,
            reasons: score.reasons,
            found_at: now,
        }
    }

    async fn fold_frequencies(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let Some(engine) = self.engine.as_mut().filter(|_| self.counted_rows.len() > ROWS_MAX) else { return Ok(()) };
        engine.frequencies.prune(TERMS_MAX);
        let id = Id::of(&["frequencies", &self.owner, "folded", &now.to_string()]).0;
        self.store.fold_frequencies(&self.counted_rows, id, &engine.frequencies.encode()).await?;
        // What other watchers counted meanwhile comes in here.
        let (frequencies, rows) = load_frequencies(&self.store).await?;
        engine.frequencies = frequencies;
        self.counted_rows = rows;
        Ok(())
    }
}

/// For who follows an item through the log: with `-v`.
fn note(hit: &Hit) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let (item, profile) = (&hit.item, hit.profile.as_str());
    let url = plain::line(&plain::without_secrets(item.url.as_deref().unwrap_or_default()), 500);
    let span = tracing::error_span!("score", item = %item.id, source = item.source, url, profile, story = %hit.story);
    span.in_scope(|| {
        tracing::debug!(
            score = hit.score,
            threshold = hit.threshold,
            "item {} is a hit of {profile}: {:.2} of {:.2}",
            item.id,
            hit.score,
            hit.threshold
        );
    });
}

/// What is kept of a score that made no hit.
fn below(unscored: &UnscoredItem, score: Score, now: Timestamp) -> StoredScore {
    StoredScore {
        item: unscored.item.id,
        story: unscored.story,
        profile: score.profile,
        profile_hash: score.basis.profile_hash,
        score: score.score,
        threshold: score.threshold,
        scored_at: now,
        backlog: unscored.item.backlog,
        barred: score.barred,
    }
}

impl Engine {
    /// Which of the self-tests are found.
    fn hear(&mut self, canaries: &[UnscoredItem]) -> Vec<Id> {
        let items = canaries.iter().map(|unscored| &unscored.item);
        items.filter(|item| self.canary.hears(&mut self.tokenizer, item)).map(|item| item.id).collect()
    }

    /// The scores of each item; adds what occurs in them to the frequencies of the batch.
    fn score(&mut self, part: &[UnscoredItem], batch: &mut Frequencies) -> Vec<Vec<Score>> {
        let mut counted = Frequencies::new();
        let mut scores = Vec::with_capacity(part.len());
        for unscored in part {
            let item = &unscored.item;
            let _span = tracing::error_span!("score", item = %item.id, source = item.source).entered();
            // A text that makes scoring fail costs its own score, never that of the others.
            let scored = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let body = item.body();
                let document = self.tokenizer.read(&item.title, &body).from(&item.source, &item.language);
                let scores = self.scorer.score(&document, Explain::Hits);
                self.scorer.count_scores(&mut counted);
                counted.count(&document);
                scores
            }));
            scores.push(scored.unwrap_or_else(|_| {
                tracing::error!(
                    source = item.source,
                    "item {} of {} cannot be scored and is left out; please report it",
                    item.id,
                    item.source
                );
                Vec::new()
            }));
        }
        self.frequencies.merge(&counted);
        batch.merge(&counted);
        if self.frequencies.terms() > TERMS_MAX * 2 {
            self.frequencies.prune(TERMS_MAX);
        }
        // Rarities move little once the archive is large: they are derived again when it has grown by a tenth.
        if self.frequencies.documents() > self.refreshed_at + self.refreshed_at / 10 + 20 {
            self.scorer.refresh(&self.frequencies);
            self.refreshed_at = self.frequencies.documents();
        }
        scores
    }
}

/// Why these profiles cannot be scored with, if they cannot.
pub fn check(profiles: &[Profile]) -> anyhow::Result<()> {
    Scorer::new(profiles, &Frequencies::new())?;
    Ok(())
}

/// The archive's frequencies, and the rows they are the sum of. Damaged rows, and those of another version, are left out
/// with one warning: counts are
/// statistics, and the rest of them is good.
pub async fn load_frequencies(store: &Store) -> store::Result<(Frequencies, Vec<i64>)> {
    let mut sum = Frequencies::new();
    let (mut rows, mut unread) = (Vec::new(), Vec::new());
    for (id, data) in store.frequencies(&[]).await? {
        match Frequencies::decode(&data) {
            Ok(part) => sum.merge(&part),
            Err(error) => unread.push(error),
        }
        rows.push(id);
    }
    if let Some(first) = unread.first() {
        tracing::warn!("left out of the counts of the archive: {} of {}: {first}", unread.len(), rows.len());
    }
    sum.prune(TERMS_MAX);
    Ok((sum, rows))
}

/// What came of making a stored score again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Again {
    /// This score, from the same text.
    Score(f64),
    /// The item's text was changed since.
    OtherText,
    /// This program scores in another way, or cannot read the profile as it was.
    OtherProgram,
}

/// Makes the score of a hit again, from what was stored with it: the profile as it was, and the archive of then.
pub fn score_again(hit: &Hit, item: &Item, version: &ProfileVersion) -> Again {
    let profile = Profile::from_snapshot(&version.snapshot).filter(|_| hit.basis.method == score::METHOD);
    let scorer = profile.and_then(|profile| Scorer::again(&profile, &hit.basis, &hit.reasons).ok());
    let Some(mut scorer) = scorer else { return Again::OtherProgram };
    let body = item.body();
    let mut tokenizer = Tokenizer::new();
    let document = tokenizer.read(&item.title, &body).from(&item.source, &item.language);
    if document.text_hash() != hit.basis.text_hash {
        return Again::OtherText;
    }
    scorer.scores(&document).first().map_or(Again::OtherProgram, |score| Again::Score(*score))
}

/// What every profile says of an item now, also below the threshold: for `newswatch why`.
pub async fn explain(store: &Store, config: &Config, item: &Item) -> anyhow::Result<Vec<Score>> {
    let (frequencies, _) = load_frequencies(store).await?;
    let mut scorer = Scorer::new(&config.profiles, &frequencies)?;
    let body = item.body();
    let mut tokenizer = Tokenizer::new();
    let document = tokenizer.read(&item.title, &body).from(&item.source, &item.language);
    let mut scores = scorer.score(&document, Explain::Everything);
    for score in &mut scores {
        for reason in &mut score.reasons {
            reason.context = plain::line(&reason.context, 300);
        }
    }
    Ok(scores)
}
