//! What is known of each source, and the claims on due ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::coverage;
use super::evidence::{self, NewCapture};
use super::items::{self, NewItem};
use super::{
    Engine, Result, Store, Transaction, engine_of, groups, millis, or_never, placeholders, search, some_time, time,
};
use crate::health::coverage::Gap;
use crate::model::{Fault, Health, Id, Item, Memory, Move, Share, SourceState};

/// A claim on a row: only its holder may finish the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The process that holds it.
    pub owner: String,
    /// Which claim on this row it is.
    pub fence: i64,
}

impl VisitResult {
    /// The first good visit of its source, whose items are backlog.
    pub fn is_first_contact(&self) -> bool {
        self.new_items.iter().any(|new| new.item.backlog)
    }
}

/// How a source was before a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Failed visits in a row.
    pub failures: i64,
    /// The fault then.
    pub fault: Option<Fault>,
    /// The error in words then; also of a source that was read in part.
    pub error: String,
    /// The move then was proven.
    pub moved: bool,
}

/// What a visit gave, to be committed as one.
#[derive(Clone, Debug)]
pub struct VisitResult {
    /// The claim under which the visit was made.
    pub claim: Claim,
    /// The state after the visit.
    pub state: SourceState,
    /// The state before the visit: tells a change.
    pub before: Before,
    /// Items not seen before.
    pub new_items: Vec<NewItem>,
    /// Items seen before that the source now shows with other words.
    pub edited_items: Vec<NewItem>,
    /// The time without a good visit that this one ended.
    pub gap: Option<Gap>,
    /// The documents that new and edited items were read from.
    pub captures: Vec<NewCapture>,
    /// What the source has to remember, when that has changed.
    pub memory: Option<Memory>,
}

const COLUMNS: &str = "name, url, kind, host, paused, health, etag, last_modified, body_hash, attempted_at, succeeded_at, \
                       changed_at, baseline_at, next_at, next_reason, failures, failing_since, error, items, \
                       fault, moved_to, moved_proofs, pace, validators_url, record, gated, fence";
/// Where [`COLUMNS`] ends: the fence.
const FENCE: usize = 26;

fn state(row: &AnyRow) -> SourceState {
    SourceState {
        name: row.get(0),
        url: row.get(1),
        kind: row.get(2),
        host: row.get(3),
        paused: row.get::<i64, _>(4) != 0,
        health: Health::from_stored(&row.get::<String, _>(5)),
        etag: row.get(6),
        last_modified: row.get(7),
        body_hash: row.get(8),
        attempted_at: time(row.get(9)),
        succeeded_at: time(row.get(10)),
        changed_at: time(row.get(11)),
        baseline_at: time(row.get(12)),
        next_at: some_time(row.get(13)),
        next_reason: row.get(14),
        failures: row.get(15),
        failing_since: time(row.get(16)),
        error: row.get(17),
        items: row.get(18),
        fault: Fault::from_stored(&row.get::<String, _>(19)),
        moved: Some(Move { url: row.get(20), proofs: row.get(21) }).filter(|moved| !moved.url.is_empty()),
        // Written by ourselves; what cannot be read is learned anew.
        pace: serde_json::from_str(&row.get::<String, _>(22)).unwrap_or_default(),
        validators_url: row.get(23),
        record: serde_json::from_str(&row.get::<String, _>(24)).unwrap_or_default(),
        gated: row.get(25),
    }
}

/// A source as configured, for [`Store::configure_sources`].
#[derive(Clone, Debug)]
pub struct ConfiguredSource {
    /// Unique name.
    pub name: String,
    /// Address.
    pub url: String,
    /// Kind.
    pub kind: String,
    /// Hash of how its answers are read: when that changes, an unchanged answer is worth reading again.
    pub reader: String,
    /// Host of the address.
    pub host: String,
    /// Its memory tells what is news: with another address it begins anew, quietly.
    pub remembers: bool,
    /// When a source that was never asked is asked first.
    pub first_at: Timestamp,
}

/// Among so many sources, the first by their times, the next that is due is looked for.
const NEXT_AMONG: i64 = 256;
/// Where all of these are due and none is for this watcher, it looks again after so long.
const BEHIND_WAIT: SignedDuration = SignedDuration::from_secs(2);
/// A due source of another watcher's share is everybody's when it was due for so long: that watcher may be dead, or overloaded.
const SHARE_GRACE: SignedDuration = SignedDuration::from_secs(20);

/// What a watcher may do to the sources of the store beside others.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Its configuration is the one in force. Otherwise it only adds what nobody has.
    pub in_force: bool,
    /// The other watchers that live, as they call themselves in claims: what they know stays.
    pub others: &'a [String],
}

impl Store {
    /// Makes the stored sources agree with the configuration of the only process. See [`Store::configure_sources_beside`].
    pub async fn configure_sources(&self, sources: &[ConfiguredSource]) -> Result<()> {
        self.configure_sources_beside(sources, Beside { in_force: true, others: &[] }).await
    }

    /// Makes the stored sources agree with the configuration. A source that left it keeps its state, so that it can
    /// come back without alerting twice; one whose address changed forgets its validators and is asked soon.
    pub async fn configure_sources_beside(&self, sources: &[ConfiguredSource], beside: Beside<'_>) -> Result<()> {
        struct Known {
            url: String,
            kind: String,
            reader: String,
            moved_to: String,
            configured: bool,
        }
        let mut tx = self.begin().await?;
        if self.engine == Engine::Postgres {
            // Watchers that start together do this one after the other.
            sqlx::query("SELECT pg_advisory_xact_lock(5771192)").execute(&mut *tx).await?;
            // Visits that are stored meanwhile lock the same rows in another order.
            sqlx::query("LOCK TABLE sources IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx).await?;
        }
        let known: BTreeMap<String, Known> =
            sqlx::query("SELECT name, url, kind, reader, moved_to, configured FROM sources")
                .fetch_all(&mut *tx)
                .await?
                .iter()
                .map(|row| {
                    let (url, kind, reader, moved_to) = (row.get(1), row.get(2), row.get(3), row.get(4));
                    (row.get(0), Known { url, kind, reader, moved_to, configured: row.get::<i64, _>(5) != 0 })
                })
                .collect();
        let mut fresh = Vec::new();
        for source in sources {
            match known.get(&source.name) {
                None => fresh.push(source),
                Some(known)
                    if known.configured
                        && known.url == source.url
                        && known.kind == source.kind
                        && known.reader == source.reader => {}
                // It is another watcher's, by a younger configuration.
                Some(known) if known.configured && !beside.in_force => {}
                Some(known) => {
                    // The new address is the one it said it had moved to: nothing that is known of it has changed.
                    let follows = known.kind == source.kind && known.moved_to == source.url;
                    let is_other = (known.url != source.url || known.kind != source.kind) && !follows;
                    // A store of an older program knows no reader: that is no change.
                    let reads_otherwise = known.reader != source.reader && !known.reader.is_empty();
                    sqlx::query(
                        "UPDATE sources SET url = $1, kind = $2, host = $3, configured = 1, reader = $4, \
                         etag = CASE WHEN $5 = 1 THEN NULL ELSE etag END, \
                         last_modified = CASE WHEN $5 = 1 THEN NULL ELSE last_modified END, \
                         body_hash = CASE WHEN $5 = 1 THEN 0 ELSE body_hash END \
                         WHERE name = $6",
                    )
                    .bind(&source.url)
                    .bind(&source.kind)
                    .bind(&source.host)
                    .bind(&source.reader)
                    .bind(i64::from(is_other || reads_otherwise))
                    .bind(&source.name)
                    .execute(&mut *tx)
                    .await?;
                    if is_other || follows {
                        sqlx::query("UPDATE sources SET moved_to = '', moved_proofs = 0 WHERE name = $1")
                            .bind(&source.name)
                            .execute(&mut *tx)
                            .await?;
                    }
                    if is_other {
                        sqlx::query("DELETE FROM memories WHERE source = $1")
                            .bind(&source.name)
                            .execute(&mut *tx)
                            .await?;
                        // Another address is another source that goes on under the same name: how the old one failed is past.
                        sqlx::query(
                            "UPDATE sources SET baseline_at = CASE WHEN $3 = 1 THEN 0 ELSE baseline_at END, pace = '{}', \
                             record = '{}', gated = 0, health = 'new', fault = '', error = '', failures = 0, failing_since = 0, \
                             next_at = $1, next_reason = 'its address or kind was changed', fence = fence + 1, lease_until = 0 \
                             WHERE name = $2",
                        )
                        .bind(millis(source.first_at))
                        .bind(&source.name)
                        .bind(i64::from(source.remembers))
                        .execute(&mut *tx)
                        .await?;
                    }
                }
            }
        }
        super::write_rows(
            &mut tx,
            "INSERT INTO sources (name, url, kind, host, configured, paused, health, body_hash, attempted_at, succeeded_at, \
             changed_at, baseline_at, next_at, next_reason, failures, failing_since, error, items, lease_owner, lease_until, fence, reader)",
            "ON CONFLICT (name) DO NOTHING",
            22,
            &fresh,
            |query, source| {
                query
                    .bind(source.name.clone())
                    .bind(source.url.clone())
                    .bind(source.kind.clone())
                    .bind(source.host.clone())
                    .bind(1i64)
                    .bind(0i64)
                    .bind("new")
                    .bind(0i64)
                    .bind(0i64)
                    .bind(0i64)
                    .bind(0i64)
                    .bind(0i64)
                    .bind(millis(source.first_at))
                    .bind("first visit, spread over the start")
                    .bind(0i64)
                    .bind(0i64)
                    .bind("")
                    .bind(0i64)
                    .bind("")
                    .bind(0i64)
                    .bind(0i64)
                    .bind(source.reader.clone())
            },
        )
        .await?;
        let mut present: BTreeSet<String> = sources.iter().map(|source| source.name.clone()).collect();
        for owner in beside.others {
            let rows = sqlx::query("SELECT source FROM watcher_sources WHERE owner = $1").bind(owner);
            present.extend(rows.fetch_all(&mut *tx).await?.iter().map(|row| row.get::<String, _>(0)));
        }
        for (name, known) in &known {
            if beside.in_force && known.configured && !present.contains(name) {
                sqlx::query("UPDATE sources SET configured = 0 WHERE name = $1").bind(name).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// All configured sources by name.
    pub async fn sources(&self) -> Result<Vec<SourceState>> {
        let sql = format!("SELECT {COLUMNS} FROM sources WHERE configured = 1 ORDER BY name");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(state).collect())
    }

    /// Claims sources that are due, the longest overdue first, at most `per_host_max` of one host and none of a host that has a
    /// claimed source.
    pub async fn claim_sources(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
        per_host_max: usize,
    ) -> Result<Vec<(SourceState, Claim)>> {
        self.claim_sources_of(owner, None, now, lease_until, limit, per_host_max).await
    }

    /// The same beside other watchers: only sources that this watcher knows as they stand in the store, and those of its share
    /// first (`None`: of all sources, known or not).
    pub async fn claim_sources_of(
        &self,
        owner: &str,
        share: Option<Share>,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
        per_host_max: usize,
    ) -> Result<Vec<(SourceState, Claim)>> {
        let own = own_sources(share, "s", "$1", "$3");
        // Each of these can be claimed, so there is always one to claim if any can be; looking at all of them would cost more than
        // what is claimed. In the order of the index, and each looked at by itself (OFFSET 0 keeps PostgreSQL from joining them all).
        let first = share.map_or(String::new(), |_| format!("ORDER BY next_at LIMIT {}", limit.max(1) * 8));
        let by_itself = if share.is_some() { "OFFSET 0" } else { "" };
        let sql = format!(
            "UPDATE sources SET lease_owner = $1, lease_until = $2, fence = fence + 1 WHERE name IN ( \
                SELECT name FROM sources WHERE configured = 1 AND paused = 0 AND next_at <= $3 AND lease_until <= $3 AND name IN ( \
                    SELECT name FROM ( \
                        SELECT name, next_at, row_number() OVER (PARTITION BY host ORDER BY next_at, name) AS place FROM ( \
                            SELECT name, next_at, host FROM sources s \
                            WHERE configured = 1 AND paused = 0 AND next_at <= $3 {own} AND NOT EXISTS ( \
                                SELECT 1 FROM sources b WHERE b.host = s.host AND b.lease_until > $3 {by_itself}) {first} \
                        ) free \
                    ) due WHERE place <= $4 ORDER BY next_at, name LIMIT $5) \
                {}) RETURNING {COLUMNS}",
            self.skip_locked()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(millis(lease_until))
            .bind(millis(now))
            .bind(per_host_max as i64)
            .bind(limit as i64)
            .fetch_all(self.writer().await)
            .await?;
        let mut claimed: Vec<(SourceState, Claim)> =
            rows.iter().map(|row| (state(row), Claim { owner: owner.to_string(), fence: row.get(FENCE) })).collect();
        claimed.sort_by(|a, b| (a.0.next_at, &a.0.name).cmp(&(b.0.next_at, &b.0.name)));
        Ok(claimed)
    }

    /// Gives claims back without a visit; those that were taken over meanwhile stay where they are.
    pub async fn release_sources(&self, claims: &[(String, Claim)]) -> Result<()> {
        self.again(|| self.try_release_sources(claims)).await
    }

    async fn try_release_sources(&self, claims: &[(String, Claim)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (name, claim) in claims {
            sqlx::query(
                "UPDATE sources SET lease_owner = '', lease_until = 0 WHERE name = $1 AND lease_owner = $2 AND fence = $3",
            )
            .bind(name)
            .bind(&claim.owner)
            .bind(claim.fence)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// When the next source that nobody holds is due, or earlier; `None` when there is none.
    pub async fn next_source_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.next_source_due_of("", None, now).await
    }

    /// The same of what [`Store::claim_sources_of`] would claim.
    pub async fn next_source_due_of(
        &self,
        owner: &str,
        share: Option<Share>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let (known, due_at) = match share {
            None => (String::new(), "next_at".to_string()),
            Some(share) => {
                let grace = SHARE_GRACE.as_millis();
                let due_at = format!("CASE WHEN {} THEN next_at ELSE next_at + {grace} END", is_of_share(share, "s"));
                (is_known("s", "$2"), due_at)
            }
        };
        // This is asked several times a second: only the first by their times are looked at, in the order of an index.
        let sql = format!(
            "SELECT min(CASE WHEN lease_until > $1 AND lease_until > next_at THEN lease_until ELSE {due_at} END) \
                FILTER (WHERE $2 = $2 {known}), max(next_at), count(*) \
             FROM (SELECT name, url, kind, reader, host, next_at, lease_until FROM sources \
                WHERE configured = 1 AND paused = 0 ORDER BY next_at LIMIT {NEXT_AMONG}) s"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(millis(now)).bind(owner).fetch_one(&self.reader).await?;
        let (soonest, last, count): (Option<i64>, Option<i64>, i64) = (row.get(0), row.get(1), row.get(2));
        // What comes behind these is not due before the last of them.
        let behind = last.filter(|_| count == NEXT_AMONG).map(|last| last.max(millis(now + BEHIND_WAIT)));
        Ok(soonest.into_iter().chain(behind).min().map(some_time))
    }

    /// Commits visits: their items, what the matcher has to do, the state of the sources and their validators, in one
    /// transaction. A visit whose claim was taken over is left out. Answers how many new items were stored.
    pub async fn commit_visits(&self, visits: &[VisitResult], now: Timestamp) -> Result<u64> {
        self.again(|| self.try_commit_visits(visits, now)).await
    }

    async fn try_commit_visits(&self, visits: &[VisitResult], now: Timestamp) -> Result<u64> {
        let mut tx = self.begin().await?;
        let mut new_items = Vec::new();
        let mut edited_items = Vec::new();
        let mut captures = Vec::new();
        let mut gaps = Vec::new();
        let held = finish(&mut tx, visits).await?;
        for visit in visits.iter().filter(|visit| held.contains(&(visit.state.name.clone(), visit.claim.fence))) {
            new_items.extend(visit.new_items.iter());
            edited_items.extend(visit.edited_items.iter());
            captures.extend(visit.captures.iter());
            gaps.extend(visit.gap.iter().map(|gap| (visit.state.name.as_str(), gap)));
            if let Some(memory) = &visit.memory {
                remember(&mut tx, &visit.state.name, memory).await?;
            }
        }
        coverage::add(&mut tx, &gaps, now).await?;
        let documents = evidence::keep(&mut tx, &captures, now).await?;
        let stored = items::insert(&mut tx, &new_items, &documents, now).await?;
        if !edited_items.is_empty() {
            items::edit(&mut tx, &edited_items, &documents, now).await?;
        }
        if self.indexes {
            // What was there already may have an article by now: it is read again.
            let all_new = stored == new_items.len() as u64;
            let known = if all_new { &[][..] } else { &new_items[..] }.iter().chain(&edited_items);
            let known: Vec<Id> = known.map(|new| new.item.id).collect();
            let fresh: Vec<&Item> = if all_new { new_items.iter().map(|new| &new.item).collect() } else { Vec::new() };
            search::index(&mut tx, &fresh, search::Numbered::Upwards).await?;
            search::index_again(&mut tx, &known).await?;
        }
        tx.commit().await?;
        Ok(stored)
    }

    /// What a source has to remember between two readings; empty when there is nothing.
    pub async fn memory(&self, source: &str) -> Result<Memory> {
        let row = sqlx::query("SELECT memory FROM memories WHERE source = $1")
            .bind(source)
            .fetch_optional(&self.reader)
            .await?;
        // Written by ourselves; what cannot be read is learned anew.
        Ok(row.and_then(|row| serde_json::from_str(&row.get::<String, _>(0)).ok()).unwrap_or_default())
    }

    /// Pauses a source or lets it run again; false when there is no such source. A retired source that is resumed is asked
    /// once more, soon.
    pub async fn pause_source(&self, name: &str, paused: bool, now: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE sources SET paused = $1, \
             next_at = CASE WHEN health = 'retired' AND $1 = 0 THEN $3 ELSE next_at END, \
             next_reason = CASE WHEN health = 'retired' AND $1 = 0 THEN 'the operator resumed it' ELSE next_reason END, \
             health = CASE WHEN health = 'retired' AND $1 = 0 THEN 'failing' ELSE health END \
             WHERE name = $2 AND configured = 1",
        )
        .bind(i64::from(paused))
        .bind(name)
        .bind(millis(now))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Names of the sources that fail in one of these ways and did not before `since`.
    pub async fn sources_failing_since(&self, since: Timestamp, faults: &[Fault]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for fault in faults {
            let rows = sqlx::query(
                "SELECT name FROM sources WHERE configured = 1 AND health = 'failing' AND fault = $1 AND failing_since >= $2",
            )
            .bind(fault.as_str())
            .bind(millis(since))
            .fetch_all(&self.reader)
            .await?;
            names.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        Ok(names)
    }

    /// Moves the next visit of sources forward in time; one that is due sooner stays so.
    pub async fn ask_sooner(&self, times: &[(String, Timestamp)], reason: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        for (name, at) in times {
            sqlx::query("UPDATE sources SET next_at = $1, next_reason = $2 WHERE name = $3 AND next_at > $1")
                .bind(millis(*at))
                .bind(reason)
                .bind(name)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What a site's robots.txt said when it was last asked for: verdict and rules, and when.
    pub async fn robots(&self, site: &str) -> Result<Option<(String, String, Timestamp)>> {
        let row = sqlx::query("SELECT verdict, rules, fetched_at FROM robots WHERE site = $1")
            .bind(site)
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.map(|row| (row.get(0), row.get(1), some_time(row.get(2)))))
    }

    /// Keeps what a site's robots.txt said. What is older than `forget_before` is forgotten.
    pub async fn keep_robots(
        &self,
        site: &str,
        (verdict, rules): (&str, &str),
        now: Timestamp,
        forget_before: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO robots (site, fetched_at, verdict, rules) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (site) DO UPDATE SET fetched_at = excluded.fetched_at, verdict = excluded.verdict, rules = excluded.rules",
        )
        .bind(site)
        .bind(millis(now))
        .bind(verdict)
        .bind(rules)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM robots WHERE fetched_at < $1").bind(millis(forget_before)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes every source due now (`run --once` asks all of them), except those whose publisher told us to leave them alone.
    pub async fn make_all_due(&self, now: Timestamp) -> Result<()> {
        let sql = "UPDATE sources SET next_at = $1 WHERE configured = 1 AND next_at > $1 AND health <> 'retired' \
                   AND fault <> $2 AND fault <> $3";
        sqlx::query(sql)
            .bind(millis(now))
            .bind(Fault::SlowDown.as_str())
            .bind(Fault::Gone.as_str())
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

/// The watcher knows the source as it stands in the store. (Only for PostgreSQL, as what follows.)
fn is_known(source: &str, owner: &str) -> String {
    format!(
        "AND EXISTS (SELECT 1 FROM watcher_sources k WHERE k.owner = {owner} AND k.source = {source}.name \
         AND k.url = {source}.url AND k.kind = {source}.kind AND k.reader = {source}.reader OFFSET 0)"
    )
}

/// The host of the source is in the share: whichever hash it is, all watchers get the same from their database.
fn is_of_share(share: Share, source: &str) -> String {
    if share.of <= 1 {
        return "1 = 1".to_string();
    }
    format!("mod(abs(CAST(hashtext({source}.host) AS BIGINT)), {}) = {}", share.of, share.index)
}

/// The sources that are for this watcher now.
fn own_sources(share: Option<Share>, source: &str, owner: &str, now: &str) -> String {
    let Some(share) = share else { return String::new() };
    let (grace, known) = (SHARE_GRACE.as_millis(), is_known(source, owner));
    format!("{known} AND ({} OR {source}.next_at <= {now} - {grace})", is_of_share(share, source))
}

async fn remember(tx: &mut Transaction<'static, Any>, source: &str, memory: &Memory) -> Result<()> {
    sqlx::query(
        "INSERT INTO memories (source, memory) VALUES ($1, $2) ON CONFLICT (source) DO UPDATE SET memory = excluded.memory",
    )
    .bind(source)
    .bind(serde_json::to_string(memory).unwrap_or_default())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes the states after visits and gives up their claims. Answers the name and fence of those whose claim still held.
async fn finish(tx: &mut Transaction<'static, Any>, visits: &[VisitResult]) -> Result<BTreeSet<(String, i64)>> {
    let mut held = BTreeSet::new();
    for group in groups(visits) {
        // Both engines call the columns of VALUES column1, column2 ...
        let sql = format!(
            "UPDATE sources SET health = v.column4, etag = v.column5, last_modified = v.column6, body_hash = v.column7, \
             attempted_at = v.column8, succeeded_at = v.column9, changed_at = v.column10, baseline_at = v.column11, \
             next_at = v.column12, next_reason = v.column13, failures = v.column14, failing_since = v.column15, \
             error = v.column16, items = sources.items + v.column17, fault = v.column18, moved_to = v.column19, \
             moved_proofs = v.column20, pace = v.column21, validators_url = v.column22, record = v.column23, lease_owner = '', lease_until = 0 \
             FROM (VALUES {}) AS v WHERE sources.name = v.column1 AND sources.lease_owner = v.column2 \
             AND sources.fence = v.column3 RETURNING name, fence",
            placeholders(engine_of(tx), 1, group.len(), 23)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for VisitResult { claim, state, new_items, .. } in group {
            query = query
                .bind(state.name.clone())
                .bind(claim.owner.clone())
                .bind(claim.fence)
                .bind(state.health.as_str())
                .bind(state.etag.clone())
                .bind(state.last_modified.clone())
                .bind(state.body_hash)
                .bind(or_never(state.attempted_at))
                .bind(or_never(state.succeeded_at))
                .bind(or_never(state.changed_at))
                .bind(or_never(state.baseline_at))
                .bind(millis(state.next_at))
                .bind(state.next_reason.clone())
                .bind(state.failures)
                .bind(or_never(state.failing_since))
                .bind(state.error.clone())
                .bind(new_items.len() as i64)
                .bind(state.fault.map_or("", Fault::as_str))
                .bind(state.moved.as_ref().map_or(String::new(), |moved| moved.url.clone()))
                .bind(state.moved.as_ref().map_or(0, |moved| moved.proofs))
                .bind(serde_json::to_string(&state.pace).unwrap_or_default())
                .bind(state.validators_url.clone())
                .bind(serde_json::to_string(&state.record).unwrap_or_default());
        }
        held.extend(query.fetch_all(&mut **tx).await?.iter().map(|row| (row.get(0), row.get(1))));
    }
    Ok(held)
}
