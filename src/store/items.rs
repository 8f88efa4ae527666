//! Items, the matcher's queue, and the queue of article pages still to be read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row};

use super::evidence::{self, NewCapture};
use super::sources::Claim;
use super::{
    Result, Store, Transaction, engine_of, groups, millis, or_never, placeholders, read_by_keys, search, some_time,
    time, write_rows,
};
use crate::model::{ArticleState, Id, Item};
use crate::poller::read::sitemap::title_of;

/// How often an item's article page is tried before the item stays "matched on summary only".
pub const ARTICLE_ATTEMPTS_MAX: i64 = 4;

/// An item to be stored.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// The item.
    pub item: Item,
    /// Hash of what the source itself gave (not of the article page): tells an edit.
    pub text_hash: i64,
    /// The story it belongs to.
    pub story: Id,
    /// Hash of its canonical link; the item's own identity when it has none.
    pub link: Id,
    /// Other identities under which the same item may come again.
    pub aliases: Vec<Id>,
}

/// Who holds items that wait for their article.
const ARTICLES: &str = "articles";
/// How long they wait at most: longer than the pages of one visit are fetched.
const ARTICLE_WAIT_MAX: SignedDuration = SignedDuration::from_mins(6);

/// What is known of an item that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownItem {
    /// The item itself; another identity than the one asked for when that is an alias.
    pub id: Id,
    /// Hash of what the source gave when it was stored.
    pub text_hash: i64,
}

pub(super) const COLUMNS: &str = "i.id, i.source, i.item_key, i.url, i.title, i.summary, i.content, i.article, i.article_state, \
                                  i.article_problem, i.publisher, i.language, i.published_at, i.first_seen_at, i.backlog";
/// The same without the long texts, for lists.
pub(super) const COLUMNS_BRIEF: &str = "i.id, i.source, i.item_key, i.url, i.title, '', '', '', i.article_state, \
                                        i.article_problem, i.publisher, i.language, i.published_at, i.first_seen_at, i.backlog";
/// How many columns [`COLUMNS`] names: what follows them in a row starts here.
pub(super) const COLUMN_COUNT: usize = 15;

pub(super) fn item(row: &AnyRow) -> Item {
    let url: String = row.get(3);
    Item {
        id: Id(row.get(0)),
        source: row.get(1),
        key: row.get(2),
        url: Some(url).filter(|url| !url.is_empty()),
        title: row.get(4),
        summary: row.get(5),
        content: row.get(6),
        article: row.get(7),
        article_state: ArticleState::from_stored(&row.get::<String, _>(8)),
        article_problem: row.get(9),
        publisher: row.get(10),
        language: row.get(11),
        published_at: time(row.get(12)),
        first_seen_at: some_time(row.get(13)),
        backlog: row.get::<i64, _>(14) != 0,
    }
}

/// Stores items that are new, with the documents they were read from and their place in the matcher's queue. Answers how many were really new.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Any>,
    items: &[&NewItem],
    documents: &BTreeMap<Id, Id>,
    now: Timestamp,
) -> Result<u64> {
    let stored = write_rows(
        tx,
        "INSERT INTO items (id, source, item_key, url, title, summary, content, article, article_state, article_problem, \
         article_attempts, publisher, language, published_at, first_seen_at, link_hash, text_hash, backlog, story_id, document_id)",
        "ON CONFLICT (id) DO NOTHING",
        20,
        items,
        |query, new| {
            let item = &new.item;
            query
                .bind(item.id.0)
                .bind(item.source.clone())
                .bind(item.key.clone())
                .bind(item.url.clone().unwrap_or_default())
                .bind(item.title.clone())
                .bind(item.summary.clone())
                .bind(item.content.clone())
                .bind(item.article.clone())
                .bind(item.article_state.as_str())
                .bind(item.article_problem.clone())
                .bind(0i64)
                .bind(item.publisher.clone())
                .bind(item.language.clone())
                .bind(or_never(item.published_at))
                .bind(millis(item.first_seen_at))
                .bind(new.link.0)
                .bind(new.text_hash)
                .bind(i64::from(item.backlog))
                .bind(new.story.0)
                .bind(evidence::document_of(documents, new))
        },
    )
    .await?;
    remember_aliases(tx, items).await?;
    // Whose article page is about to be fetched waits for it, but not for ever.
    let (mut unread, complete): (Vec<&&NewItem>, Vec<&&NewItem>) =
        items.iter().partition(|new| new.item.article_state == ArticleState::Unread);
    unread.sort_by_key(|new| new.item.id);
    let ids: Vec<Id> = complete.iter().map(|new| new.item.id).collect();
    queue(tx, &ids, now).await?;
    hold(tx, &unread, now).await?;
    write_rows(
        tx,
        "INSERT INTO unread_articles (item_id, source)",
        "ON CONFLICT (item_id) DO NOTHING",
        2,
        &unread,
        |query, new| query.bind(new.item.id.0).bind(new.item.source.clone()),
    )
    .await?;
    Ok(stored)
}

async fn remember_aliases(tx: &mut Transaction<'static, Any>, items: &[&NewItem]) -> Result<()> {
    let mut aliases: Vec<(Id, Id)> =
        items.iter().flat_map(|new| new.aliases.iter().map(|alias| (*alias, new.item.id))).collect();
    // In the order of the index neighbours are written together.
    aliases.sort_by_key(|(alias, _)| *alias);
    let (head, tail) = ("INSERT INTO aliases (id, item_id)", "ON CONFLICT (id) DO NOTHING");
    write_rows(tx, head, tail, 2, &aliases, |query, (alias, item)| query.bind(alias.0).bind(item.0)).await?;
    Ok(())
}

/// Puts items into the matcher's queue. For an item that is being scored while its text changes the fence rises, so that the
/// score of the old text does not count.
async fn queue(tx: &mut Transaction<'static, Any>, items: &[Id], now: Timestamp) -> Result<()> {
    let mut items = items.to_vec();
    items.sort_unstable();
    // PostgreSQL will not change a row twice in one statement.
    items.dedup();
    write_rows(
        tx,
        "INSERT INTO unscored (item_id, queued_at, lease_owner, lease_until, fence)",
        "ON CONFLICT (item_id) DO UPDATE SET lease_until = 0, fence = unscored.fence + 1",
        5,
        &items,
        |query, id| query.bind(id.0).bind(millis(now)).bind("").bind(0i64).bind(0i64),
    )
    .await?;
    Ok(())
}

/// Puts items into the matcher's queue that are to be scored when their article has been read, or after a while.
async fn hold(tx: &mut Transaction<'static, Any>, items: &[&&NewItem], now: Timestamp) -> Result<()> {
    let until = millis(now + ARTICLE_WAIT_MAX);
    write_rows(
        tx,
        "INSERT INTO unscored (item_id, queued_at, lease_owner, lease_until, fence)",
        "ON CONFLICT (item_id) DO NOTHING",
        5,
        items,
        |query, new| query.bind(new.item.id.0).bind(millis(now)).bind(ARTICLES).bind(until).bind(0i64),
    )
    .await?;
    Ok(())
}

/// Stores the new words of known items and queues them again: an item can come on topic by an edit.
pub(super) async fn edit(
    tx: &mut Transaction<'static, Any>,
    items: &[&NewItem],
    documents: &BTreeMap<Id, Id>,
    now: Timestamp,
) -> Result<()> {
    let ids: Vec<Id> = items.iter().map(|new| new.item.id).collect();
    // The matcher's queue is locked before the items, everywhere: neither waits for the other in a circle.
    queue(tx, &ids, now).await?;
    let before = evidence::texts_of_hits(tx, &ids).await?;
    let mut items = items.to_vec();
    items.sort_by_key(|new| new.item.id);
    for new in &items {
        // New words are news, also where the first words were backlog.
        sqlx::query(
            "UPDATE items SET title = $1, summary = $2, content = $3, text_hash = $4, backlog = 0, document_id = $6 WHERE id = $5",
        )
        .bind(&new.item.title)
        .bind(&new.item.summary)
        .bind(&new.item.content)
        .bind(new.text_hash)
        .bind(new.item.id.0)
        .bind(evidence::document_of(documents, new))
        .execute(&mut **tx)
        .await?;
    }
    remember_aliases(tx, &items).await?;
    evidence::record_edits(tx, before, now).await
}

/// Which of these items still lack their article. Nobody holds a claim on an article: a watcher that wakes up late must not put
/// what it read, or could not read, in the place of what another has read since.
async fn without_article(tx: &mut Transaction<'static, Any>, items: &[Item]) -> Result<BTreeSet<Id>> {
    let mut without = BTreeSet::new();
    for group in groups(items) {
        let list = placeholders(engine_of(tx), 1, 1, group.len());
        let sql = format!("SELECT id FROM items WHERE article_state <> 'read' AND id IN {list}");
        let query = group.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, item| query.bind(item.id.0));
        without.extend(query.fetch_all(&mut **tx).await?.iter().map(|row| Id(row.get(0))));
    }
    Ok(without)
}

/// Stores article texts, with what they say of items that lacked it: also of its title only if that is as it was when the page was asked
/// for, since an edit may have come between. An attempt in vain is counted with its reason; after the last one the item is let be.
async fn store_articles(
    tx: &mut Transaction<'static, Any>,
    items: &[&Item],
    pages: &BTreeMap<Id, Id>,
    now: Timestamp,
) -> Result<()> {
    let ids: Vec<Id> = items.iter().map(|item| item.id).collect();
    let before = evidence::texts_of_hits(tx, &ids).await?;
    for item in items {
        sqlx::query(
            "UPDATE items SET article = $1, article_state = $2, article_problem = $3, \
             title = CASE WHEN title = '' OR title = $9 THEN $4 ELSE title END, \
             language = CASE WHEN language = '' THEN $5 ELSE language END, \
             published_at = CASE WHEN published_at = 0 THEN $6 ELSE published_at END, \
             page_id = $8, article_attempts = article_attempts + 1 WHERE id = $7 AND article_state <> 'read'",
        )
        .bind(&item.article)
        .bind(item.article_state.as_str())
        .bind(&item.article_problem)
        .bind(&item.title)
        .bind(&item.language)
        .bind(or_never(item.published_at))
        .bind(item.id.0)
        .bind(pages.get(&item.id).map_or(0, |page| page.0))
        // A sitemap without titles gives what its addresses say, and the page knows better.
        .bind(item.url.as_deref().map(title_of).unwrap_or_default())
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "DELETE FROM unread_articles WHERE item_id = $1 AND EXISTS ( \
             SELECT 1 FROM items WHERE id = $1 AND (article_state <> 'unread' OR article_attempts >= $2))",
        )
        .bind(item.id.0)
        .bind(ARTICLE_ATTEMPTS_MAX)
        .execute(&mut **tx)
        .await?;
    }
    evidence::record_edits(tx, before, now).await
}

/// Counts the article pages in a row that were gates, by source; one that was read ends the row.
async fn count_gates(tx: &mut Transaction<'static, Any>, tried: &[Item]) -> Result<()> {
    let mut sources: BTreeMap<&str, (i64, bool)> = BTreeMap::new();
    for item in tried {
        let (gates, read) = sources.entry(&item.source).or_default();
        *gates += i64::from(item.is_gated());
        *read |= item.article_state == ArticleState::Read;
    }
    for (source, (gates, read)) in sources {
        let statement = match (gates, read) {
            (_, true) => "UPDATE sources SET gated = 0 + $1 WHERE name = $2 AND gated > $1",
            (0, false) => continue,
            (_, false) => "UPDATE sources SET gated = gated + $1 WHERE name = $2",
        };
        let gates = if read { 0 } else { gates };
        sqlx::query(statement).bind(gates).bind(source).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Items that wait for their article wait no longer.
async fn release(tx: &mut Transaction<'static, Any>, items: &[Id]) -> Result<()> {
    for id in items {
        sqlx::query("UPDATE unscored SET lease_until = 0 WHERE item_id = $1 AND lease_owner = $2")
            .bind(id.0)
            .bind(ARTICLES)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Commits what came of fetching article pages: the items that were tried, with their article or the reason why there is
    /// none, those whose turn has not come, and the pages as they came. All of them are scored now. What another watcher has read
    /// meanwhile stays as that one read it.
    pub async fn commit_articles(
        &self,
        tried: &[Item],
        left: &[Id],
        pages: &[NewCapture],
        now: Timestamp,
    ) -> Result<()> {
        self.again(|| self.try_commit_articles(tried, left, pages, now)).await
    }

    async fn try_commit_articles(
        &self,
        tried: &[Item],
        left: &[Id],
        pages: &[NewCapture],
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let without = without_article(&mut tx, tried).await?;
        // In the order in which visits lock: sources, room for documents, queue, items, chain of evidence.
        count_gates(&mut tx, tried).await?;
        let mut tried: Vec<&Item> = tried.iter().filter(|item| without.contains(&item.id)).collect();
        tried.sort_by_key(|item| item.id);
        tried.dedup_by_key(|item| item.id);
        let pages: Vec<&NewCapture> =
            pages.iter().filter(|page| page.items.iter().any(|item| without.contains(item))).collect();
        let pages = evidence::keep(&mut tx, &pages, now).await?;
        let of = |read: bool| {
            let tried = tried.iter().filter(move |item| (item.article_state == ArticleState::Read) == read);
            tried.map(|item| item.id).collect::<Vec<Id>>()
        };
        let (read, mut waiting) = (of(true), of(false));
        // An item can come on topic by its article.
        queue(&mut tx, &read, now).await?;
        waiting.extend(left);
        waiting.sort_unstable();
        release(&mut tx, &waiting).await?;
        store_articles(&mut tx, &tried, &pages, now).await?;
        if self.indexes {
            search::index_again(&mut tx, &read).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Which of these identities belong to stored items, as the item's own or as an alias.
    pub async fn known_items(&self, ids: &[Id]) -> Result<BTreeMap<Id, KnownItem>> {
        let keys: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let by_alias = "SELECT a.id, i.id, i.text_hash FROM aliases a JOIN items i ON i.id = a.item_id WHERE a.id";
        let by_id = "SELECT id, id, text_hash FROM items WHERE id";
        let mut known = BTreeMap::new();
        // An item's own identity comes last: it wins over an alias of another.
        for head in [by_alias, by_id] {
            for row in read_by_keys(self, head, "", &keys).await? {
                known.insert(Id(row.get(0)), KnownItem { id: Id(row.get(1)), text_hash: row.get(2) });
            }
        }
        Ok(known)
    }

    /// Items of a source whose article page is still to be read, the oldest first.
    pub async fn unread_articles(&self, source: &str, limit: usize) -> Result<Vec<Item>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM items i JOIN unread_articles u ON u.item_id = i.id \
             WHERE u.source = $1 ORDER BY i.first_seen_at, i.id LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(source).bind(limit as i64).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(item).collect())
    }

    /// Claims items that no profile has seen, those first that were stored first.
    pub async fn claim_unscored(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Id, Claim)>> {
        let sql = format!(
            "UPDATE unscored SET lease_owner = $1, lease_until = $2, fence = fence + 1 WHERE item_id IN ( \
             SELECT item_id FROM unscored WHERE lease_until <= $3 ORDER BY queued_at, item_id LIMIT $4 {}) \
             RETURNING item_id, fence",
            self.skip_locked()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(millis(lease_until))
            .bind(millis(now))
            .bind(limit as i64)
            .fetch_all(self.writer().await)
            .await?;
        let claim = |row: &AnyRow| Claim { owner: owner.to_string(), fence: row.get(1) };
        let mut claimed: Vec<(Id, Claim)> = rows.iter().map(|row| (Id(row.get(0)), claim(row))).collect();
        claimed.sort_by_key(|(id, _)| *id);
        Ok(claimed)
    }

    /// The items of these claims.
    pub async fn unscored_items(&self, claims: &[(Id, Claim)]) -> Result<Vec<UnscoredItem>> {
        let keys: Vec<i64> = claims.iter().map(|(id, _)| id.0).collect();
        let head = format!("SELECT {COLUMNS}, i.story_id FROM items i WHERE i.id");
        let rows = read_by_keys(self, &head, "", &keys).await?;
        let items =
            rows.iter().map(|row| (Id(row.get(0)), UnscoredItem { item: item(row), story: Id(row.get(COLUMN_COUNT)) }));
        // By identity: one place for each, in the same order everywhere.
        Ok(items.collect::<BTreeMap<Id, UnscoredItem>>().into_values().collect())
    }

    /// How many items wait for the matcher.
    pub async fn unscored_count(&self) -> Result<i64> {
        Ok(sqlx::query("SELECT count(*) FROM unscored").fetch_one(&self.reader).await?.get(0))
    }

    /// How many items are stored, and how many were first seen since `since`.
    pub async fn item_counts(&self, since: Timestamp) -> Result<(i64, i64)> {
        let all: i64 = sqlx::query("SELECT count(*) FROM items").fetch_one(&self.reader).await?.get(0);
        let recent: i64 = sqlx::query("SELECT count(*) FROM items WHERE first_seen_at >= $1")
            .bind(millis(since))
            .fetch_one(&self.reader)
            .await?
            .get(0);
        Ok((all, recent))
    }

    /// A page of the archive in the order in which it was read: items first seen from `from` to before `to`, those after
    /// `after`, with their stories.
    pub async fn archive_page(
        &self,
        from: Timestamp,
        to: Timestamp,
        after: Option<(Timestamp, Id)>,
        limit: usize,
    ) -> Result<Vec<UnscoredItem>> {
        let (seen, id) = after.unwrap_or((from, Id(-1)));
        let sql = format!(
            "SELECT {COLUMNS}, i.story_id FROM items i WHERE (i.first_seen_at, i.id) > ($1, $2) AND i.first_seen_at < $3 \
             ORDER BY i.first_seen_at, i.id LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(millis(seen.max(from)))
            .bind(id.0)
            .bind(millis(to))
            .bind(limit as i64)
            .fetch_all(&self.reader)
            .await?;
        Ok(rows.iter().map(|row| UnscoredItem { item: item(row), story: Id(row.get(COLUMN_COUNT)) }).collect())
    }

    /// When the first and the last of the stored items were first seen; `None` when there are none.
    pub async fn archive_span(&self) -> Result<Option<(Timestamp, Timestamp)>> {
        let end =
            |order: &str| format!("SELECT first_seen_at FROM items ORDER BY first_seen_at {order}, id {order} LIMIT 1");
        let first = sqlx::query(AssertSqlSafe(end("ASC"))).fetch_optional(&self.reader).await?;
        let last = sqlx::query(AssertSqlSafe(end("DESC"))).fetch_optional(&self.reader).await?;
        Ok(first.zip(last).map(|(first, last)| (some_time(first.get(0)), some_time(last.get(0)))))
    }

    /// How many items were first seen from `from` to before `to`.
    pub async fn archive_count(&self, from: Timestamp, to: Timestamp) -> Result<i64> {
        let row = sqlx::query("SELECT count(*) FROM items WHERE first_seen_at >= $1 AND first_seen_at < $2");
        Ok(row.bind(millis(from)).bind(millis(to)).fetch_one(&self.reader).await?.get(0))
    }

    /// Items by identity, without their long texts.
    pub async fn items_brief(&self, ids: &[Id]) -> Result<BTreeMap<Id, Item>> {
        let keys: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let rows = read_by_keys(self, &format!("SELECT {COLUMNS_BRIEF} FROM items i WHERE i.id"), "", &keys).await?;
        Ok(rows.iter().map(|row| (Id(row.get(0)), item(row))).collect())
    }

    /// Items by identity, with their texts.
    pub async fn items_whole(&self, ids: &[Id]) -> Result<BTreeMap<Id, Item>> {
        let keys: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let rows = read_by_keys(self, &format!("SELECT {COLUMNS} FROM items i WHERE i.id"), "", &keys).await?;
        Ok(rows.iter().map(|row| (Id(row.get(0)), item(row))).collect())
    }

    /// Among the newest `look_at` items those whose address begins with one of the given texts, the newest first.
    pub async fn items_below(&self, heads: &[String], look_at: usize, limit: usize) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        for head in heads {
            // Compared as text of a fixed length: an address may hold what LIKE takes for a pattern.
            let rows = sqlx::query(
                "SELECT n.id FROM (SELECT id, url, first_seen_at FROM items ORDER BY first_seen_at DESC, id DESC LIMIT $1) n \
                 WHERE substr(n.url, 1, CAST($2 AS INTEGER)) = $3 ORDER BY n.first_seen_at DESC, n.id DESC LIMIT $4",
            );
            let rows = rows.bind(look_at as i64).bind(head.chars().count() as i64).bind(head).bind(limit as i64);
            found.extend(rows.fetch_all(&self.reader).await?.iter().map(|row| Id(row.get(0))));
        }
        let mut items: Vec<Item> = self.items_brief(&found).await?.into_values().collect();
        items.sort_by_key(|item| std::cmp::Reverse((item.first_seen_at, item.id)));
        items.truncate(limit);
        Ok(items)
    }

    /// One item.
    pub async fn item(&self, id: Id) -> Result<Option<Item>> {
        let sql = format!("SELECT {COLUMNS} FROM items i WHERE i.id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_optional(&self.reader).await?;
        Ok(row.as_ref().map(item))
    }

    /// Items with this link, the oldest first.
    pub async fn items_by_link(&self, link: Id) -> Result<Vec<Item>> {
        let sql =
            format!("SELECT {COLUMNS} FROM items i WHERE i.link_hash = $1 ORDER BY i.first_seen_at, i.id LIMIT 100");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(link.0).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(item).collect())
    }

    /// Which of these links other items of the source have already.
    pub async fn links_of_source(&self, source: &str, links: &[Id]) -> Result<BTreeSet<Id>> {
        let keys: Vec<i64> = links.iter().map(|id| id.0).collect();
        let rows = read_by_keys(self, "SELECT link_hash, source FROM items WHERE link_hash", "", &keys).await?;
        let own = rows.iter().filter(|row| row.get::<String, _>(1) == source);
        Ok(own.map(|row| Id(row.get(0))).collect())
    }

    /// The item is still in the matcher's queue.
    pub async fn is_unscored(&self, id: Id) -> Result<bool> {
        let row =
            sqlx::query("SELECT 1 FROM unscored WHERE item_id = $1").bind(id.0).fetch_optional(&self.reader).await?;
        Ok(row.is_some())
    }
}

/// An item claimed by the matcher.
#[derive(Clone, Debug)]
pub struct UnscoredItem {
    /// The item.
    pub item: Item,
    /// The story it belongs to.
    pub story: Id,
}
