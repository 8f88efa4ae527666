//! The tables, by numbered migrations. Written in PostgreSQL's types; SQLite gets its own words for them and STRICT.

use sqlx::{Any, AssertSqlSafe, Row};

use super::{Engine, Result, Store, StoreError, Transaction};

/// Migrations in order; the version of a store is how many of them it has seen. Never change one that was released.
pub(super) const MIGRATIONS: &[&[&str]] = &[
    &[
        // What is known of each source. `next_reason` says in words why the next check is when it is.
        "CREATE TABLE sources (
        name TEXT NOT NULL PRIMARY KEY,
        url TEXT NOT NULL,
        kind TEXT NOT NULL,
        host TEXT NOT NULL,
        configured BIGINT NOT NULL,
        paused BIGINT NOT NULL,
        health TEXT NOT NULL,
        etag BYTEA,
        last_modified BYTEA,
        body_hash BIGINT NOT NULL,
        attempted_at BIGINT NOT NULL,
        succeeded_at BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        baseline_at BIGINT NOT NULL,
        next_at BIGINT NOT NULL,
        next_reason TEXT NOT NULL,
        failures BIGINT NOT NULL,
        failing_since BIGINT NOT NULL,
        error TEXT NOT NULL,
        items BIGINT NOT NULL,
        lease_owner TEXT NOT NULL,
        lease_until BIGINT NOT NULL,
        fence BIGINT NOT NULL
    )",
        "CREATE INDEX sources_due ON sources (next_at)",
        "CREATE INDEX sources_host ON sources (host, lease_until)",
        // Every item ever seen. The row outlives its text: it is also the tombstone that keeps an old item from coming back.
        // The identity is a hash, so it is not the table's own order: rows are appended, only the narrow index is scattered.
        "CREATE TABLE items (
        id BIGINT NOT NULL,
        source TEXT NOT NULL,
        item_key TEXT NOT NULL,
        url TEXT NOT NULL,
        title TEXT NOT NULL,
        summary TEXT NOT NULL,
        content TEXT NOT NULL,
        article TEXT NOT NULL,
        article_state TEXT NOT NULL,
        article_problem TEXT NOT NULL,
        article_attempts BIGINT NOT NULL,
        publisher TEXT NOT NULL,
        language TEXT NOT NULL,
        published_at BIGINT NOT NULL,
        first_seen_at BIGINT NOT NULL,
        link_hash BIGINT NOT NULL,
        text_hash BIGINT NOT NULL,
        backlog BIGINT NOT NULL,
        story_id BIGINT NOT NULL
    )",
        "CREATE UNIQUE INDEX items_id ON items (id)",
        "CREATE INDEX items_source ON items (source, first_seen_at)",
        // Links have any length; an index over them would have a limit that a hostile feed exceeds.
        "CREATE INDEX items_link ON items (link_hash)",
        "CREATE INDEX items_story ON items (story_id)",
        // Other marks under which an item is known, hashed with its source: a guid or link that changes makes no new item.
        "CREATE TABLE aliases (
        id BIGINT NOT NULL PRIMARY KEY,
        item_id BIGINT NOT NULL
    )",
        // Items whose article page is still to be read.
        "CREATE TABLE unread_articles (
        item_id BIGINT NOT NULL PRIMARY KEY,
        source TEXT NOT NULL
    )",
        "CREATE INDEX unread_articles_source ON unread_articles (source)",
        // The matcher's queue. Narrow, so that claiming does not write the texts again.
        "CREATE TABLE unscored (
        item_id BIGINT NOT NULL PRIMARY KEY,
        queued_at BIGINT NOT NULL,
        lease_owner TEXT NOT NULL,
        lease_until BIGINT NOT NULL,
        fence BIGINT NOT NULL
    )",
        // A story is named by a hash of what its items share; the row says who was first.
        "CREATE TABLE stories (
        id BIGINT NOT NULL PRIMARY KEY,
        first_item_id BIGINT NOT NULL,
        first_seen_at BIGINT NOT NULL
    )",
        "CREATE TABLE hits (
        item_id BIGINT NOT NULL,
        profile TEXT NOT NULL,
        profile_version BIGINT NOT NULL,
        score DOUBLE PRECISION NOT NULL,
        threshold DOUBLE PRECISION NOT NULL,
        reasons TEXT NOT NULL,
        found_at BIGINT NOT NULL,
        backlog BIGINT NOT NULL,
        story_id BIGINT NOT NULL,
        PRIMARY KEY (item_id, profile)
    )",
        "CREATE INDEX hits_found ON hits (found_at)",
        "CREATE INDEX hits_story ON hits (story_id)",
        // What has to be delivered to whom. `closed`: an attempt was begun, no further hit joins. `state`: waiting, sent, dead,
        // discarded.
        "CREATE TABLE outbox (
        id BIGINT NOT NULL PRIMARY KEY,
        route TEXT NOT NULL,
        recipient TEXT NOT NULL,
        kind TEXT NOT NULL,
        window_from BIGINT NOT NULL,
        window_to BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        state TEXT NOT NULL,
        closed BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        attempted_at BIGINT NOT NULL,
        finished_at BIGINT NOT NULL,
        error TEXT NOT NULL,
        lease_owner TEXT NOT NULL,
        lease_until BIGINT NOT NULL,
        fence BIGINT NOT NULL
    )",
        "CREATE INDEX outbox_due ON outbox (state, due_at)",
        "CREATE TABLE outbox_hits (
        outbox_id BIGINT NOT NULL,
        item_id BIGINT NOT NULL,
        profile TEXT NOT NULL,
        PRIMARY KEY (outbox_id, item_id, profile)
    )",
        "CREATE INDEX outbox_hits_item ON outbox_hits (item_id)",
        // Document frequencies of the archive: one row a scored batch, folded together from time to time.
        "CREATE TABLE frequencies (
        id BIGINT NOT NULL PRIMARY KEY,
        data BYTEA NOT NULL
    )",
    ],
    &[
        // How a source fails, where it moved, what it says of its own rhythm, and where its validators belong.
        "ALTER TABLE sources ADD COLUMN fault TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sources ADD COLUMN moved_to TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sources ADD COLUMN moved_proofs BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE sources ADD COLUMN pace TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE sources ADD COLUMN reader TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE sources ADD COLUMN validators_url TEXT NOT NULL DEFAULT ''",
        // Until now validators were only ever sent to the address itself.
        "UPDATE sources SET validators_url = url WHERE etag IS NOT NULL OR last_modified IS NOT NULL",
        // What each site's robots.txt said: a restart asks for none of them again.
        "CREATE TABLE robots (
        site TEXT NOT NULL PRIMARY KEY,
        fetched_at BIGINT NOT NULL,
        verdict TEXT NOT NULL,
        rules TEXT NOT NULL
    )",
        // Written for every item and read by nothing: the items of a story name it themselves.
        "DROP TABLE stories",
        "DROP INDEX items_source",
    ],
    &[
        // What a source has to remember between two readings besides its items, as its kind understands it.
        "CREATE TABLE memories (
        source TEXT NOT NULL PRIMARY KEY,
        memory TEXT NOT NULL
    )",
    ],
    &[
        // What a score was made with, so that it can be made again; whether the profile was a shadow then: nobody was told.
        "ALTER TABLE hits ADD COLUMN basis TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE hits ADD COLUMN profile_hash BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE hits ADD COLUMN shadow BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX hits_profile ON hits (profile, found_at)",
        // Every profile that ever scored, as it was.
        "CREATE TABLE profile_versions (
        profile TEXT NOT NULL,
        profile_hash BIGINT NOT NULL,
        version BIGINT NOT NULL,
        snapshot TEXT NOT NULL,
        first_used_at BIGINT NOT NULL,
        PRIMARY KEY (profile, profile_hash)
    )",
        // From when on which of them scored; hash 0: from then on none. `from_start`: no item had been scored before.
        "CREATE TABLE profile_uses (
        profile TEXT NOT NULL,
        used_from BIGINT NOT NULL,
        profile_hash BIGINT NOT NULL,
        from_start BIGINT NOT NULL,
        PRIMARY KEY (profile, used_from)
    )",
        // Scores of at least half of what makes a hit that made none: below the line, or of an item that was a hit already.
        "CREATE TABLE scores (
        profile TEXT NOT NULL,
        scored_at BIGINT NOT NULL,
        item_id BIGINT NOT NULL,
        profile_hash BIGINT NOT NULL,
        score DOUBLE PRECISION NOT NULL,
        threshold DOUBLE PRECISION NOT NULL,
        backlog BIGINT NOT NULL,
        barred BIGINT NOT NULL,
        story_id BIGINT NOT NULL,
        PRIMARY KEY (profile, scored_at, item_id)
    )",
        "CREATE INDEX scores_item ON scores (item_id)",
        // What analysts said; nothing is ever changed here, the last word of each author counts.
        "CREATE TABLE verdicts (
        item_id BIGINT NOT NULL,
        profile TEXT NOT NULL,
        author TEXT NOT NULL,
        judged_at BIGINT NOT NULL,
        verdict TEXT NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (item_id, profile, author, judged_at)
    )",
        "CREATE INDEX verdicts_profile ON verdicts (profile, judged_at)",
        // The archive in the order in which it was read: the order of the table itself, so it grows at its end.
        "CREATE INDEX items_seen ON items (first_seen_at, id)",
    ],
    // Stories: how an item belongs to its story.
    &[
        "ALTER TABLE hits ADD COLUMN relation TEXT NOT NULL DEFAULT 'first'",
        // Items that matter to a profile: why they are in their story, by which of its items they were found, and whether an
        // analyst put them there.
        "CREATE TABLE story_items (
        item_id BIGINT NOT NULL PRIMARY KEY,
        story_id BIGINT NOT NULL,
        relation TEXT NOT NULL,
        reason TEXT NOT NULL,
        joined_with BIGINT NOT NULL,
        by_hand BIGINT NOT NULL
    )",
        "CREATE INDEX story_items_story ON story_items (story_id)",
        // What later items find them by, as long as stories last.
        "CREATE TABLE story_marks (
        mark BIGINT NOT NULL,
        item_id BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        PRIMARY KEY (mark, item_id)
    )",
        "CREATE INDEX story_marks_seen ON story_marks (seen_at)",
        // What a link alone calls a story, and the story where its items are.
        "CREATE TABLE story_links (
        story_id BIGINT NOT NULL PRIMARY KEY,
        told_as BIGINT NOT NULL
    )",
        "CREATE INDEX story_links_told ON story_links (told_as)",
        // What analysts said; nothing is ever changed here. `joined_with` is 0 for an item that was taken out of its story.
        "CREATE TABLE story_decisions (
        item_id BIGINT NOT NULL,
        joined_with BIGINT NOT NULL,
        author TEXT NOT NULL,
        decided_at BIGINT NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (item_id, decided_at)
    )",
    ],
    // Routes: how far each recipient's digests have come, and what is muted.
    &[
        // `settled_at`: of windows that ended until then it is decided whether they have a digest. `told_until`: where the next
        // digest's window begins.
        "CREATE TABLE digest_marks (
        route TEXT NOT NULL,
        recipient TEXT NOT NULL,
        settled_at BIGINT NOT NULL,
        told_until BIGINT NOT NULL,
        PRIMARY KEY (route, recipient)
    )",
        // Stood for `digest_marks`.
        "DELETE FROM notes WHERE name LIKE 'digests of route %'",
        // What is not told for a while. A mute that was taken back has its end then; the row stays, it says why.
        "CREATE TABLE mutes (
        id BIGINT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        muted_from BIGINT NOT NULL,
        muted_until BIGINT NOT NULL,
        reason TEXT NOT NULL,
        author TEXT NOT NULL
    )",
        "CREATE INDEX mutes_until ON mutes (muted_until)",
        // Hits that would have been told.
        "CREATE TABLE muted_hits (
        item_id BIGINT NOT NULL,
        profile TEXT NOT NULL,
        mute_id BIGINT NOT NULL,
        found_at BIGINT NOT NULL,
        PRIMARY KEY (item_id, profile)
    )",
        "CREATE INDEX muted_hits_found ON muted_hits (found_at)",
        // What a recipient was told of late.
        "CREATE INDEX outbox_recipient ON outbox (route, recipient, kind, created_at)",
    ],
    // Health: what is told to the operator.
    &[
        // What a source used to do, to tell when it does otherwise; article pages in a row that were gates.
        "ALTER TABLE sources ADD COLUMN record TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE sources ADD COLUMN gated BIGINT NOT NULL DEFAULT 0",
        // What is wrong and was told, until its end is told.
        "CREATE TABLE conditions (
        about TEXT NOT NULL,
        condition TEXT NOT NULL,
        since BIGINT NOT NULL,
        noticed_at BIGINT NOT NULL,
        detail TEXT NOT NULL,
        advice TEXT NOT NULL,
        PRIMARY KEY (about, condition)
    )",
        // What happened once and was told: a message that was given up, a first contact.
        "CREATE TABLE told (
        event TEXT NOT NULL PRIMARY KEY,
        told_at BIGINT NOT NULL
    )",
        // The lines of outbox rows of kind report.
        "CREATE TABLE report_lines (
        outbox_id BIGINT NOT NULL,
        place BIGINT NOT NULL,
        at BIGINT NOT NULL,
        about TEXT NOT NULL,
        headline TEXT NOT NULL,
        advice TEXT NOT NULL,
        is_recovery BIGINT NOT NULL,
        PRIMARY KEY (outbox_id, place)
    )",
        // How the sources did, day by day (days since 1970), for charts.
        "CREATE TABLE health_days (
        day BIGINT NOT NULL PRIMARY KEY,
        sources BIGINT NOT NULL,
        read BIGINT NOT NULL,
        failing BIGINT NOT NULL,
        silent BIGINT NOT NULL,
        changed BIGINT NOT NULL,
        items BIGINT NOT NULL
    )",
    ],
    // Messages.
    &[
        // Answers that were read: a mail that comes twice says nothing new.
        "CREATE TABLE answers (
        id BIGINT NOT NULL PRIMARY KEY,
        read_at BIGINT NOT NULL
    )",
    ],
    // Evidence.
    &[
        // Bytes, each once, packed. `held`: a record names them, they are not forgotten.
        "CREATE TABLE blobs (
        sha256 TEXT NOT NULL PRIMARY KEY,
        bytes BIGINT NOT NULL,
        packed_sha256 TEXT NOT NULL,
        packed BYTEA NOT NULL,
        held BIGINT NOT NULL
    )",
        // Documents as they came. `facts` is the whole of it as JSON; the other columns are for finding it. `cited`: a record
        // names it.
        "CREATE TABLE captures (
        id BIGINT NOT NULL PRIMARY KEY,
        fetched_at BIGINT NOT NULL,
        sha256 TEXT NOT NULL,
        facts TEXT NOT NULL,
        cited BIGINT NOT NULL
    )",
        "CREATE INDEX captures_unused ON captures (cited, fetched_at)",
        "CREATE INDEX captures_sha256 ON captures (sha256)",
        // The documents that an item was read from; 0 where none was captured.
        "ALTER TABLE items ADD COLUMN document_id BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE items ADD COLUMN page_id BIGINT NOT NULL DEFAULT 0",
        // The chain. Rows are added and never changed.
        "CREATE TABLE evidence (
        number BIGINT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        item_id BIGINT NOT NULL,
        profile TEXT NOT NULL,
        recorded_at BIGINT NOT NULL,
        record TEXT NOT NULL,
        hash TEXT NOT NULL
    )",
        "CREATE INDEX evidence_item ON evidence (item_id)",
        "CREATE INDEX evidence_profile ON evidence (profile, number)",
        "CREATE INDEX evidence_kind ON evidence (kind, recorded_at)",
        // Pages of hits that are to be looked at again: when, and how often they were.
        "CREATE TABLE rereads (
        item_id BIGINT NOT NULL PRIMARY KEY,
        source TEXT NOT NULL,
        found_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        times BIGINT NOT NULL
    )",
        "CREATE INDEX rereads_due ON rereads (source, due_at)",
        // One row: the last record. Whoever adds a record locks it.
        "CREATE TABLE chain_head (
        one BIGINT NOT NULL PRIMARY KEY,
        number BIGINT NOT NULL,
        hash TEXT NOT NULL
    )",
        "INSERT INTO chain_head (one, number, hash) VALUES \
         (1, 0, '0000000000000000000000000000000000000000000000000000000000000000')",
        // One row: packed bytes of captured documents.
        "CREATE TABLE capture_room (
        one BIGINT NOT NULL PRIMARY KEY,
        bytes BIGINT NOT NULL
    )",
        "INSERT INTO capture_room (one, bytes) VALUES (1, 0)",
        // Times in which a source was not read although it should have been, once they are over.
        "CREATE TABLE gaps (
        source TEXT NOT NULL,
        gap_from BIGINT NOT NULL,
        gap_until BIGINT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (source, gap_from)
    )",
        "CREATE INDEX gaps_until ON gaps (gap_until)",
    ],
    // Search.
    &[
        // Items in the order in which they are found: the later, the newer. What is indexed afterwards is numbered downwards.
        "CREATE TABLE search_docs (
        doc BIGINT NOT NULL PRIMARY KEY,
        item_id BIGINT NOT NULL
    )",
        "CREATE UNIQUE INDEX search_docs_item ON search_docs (item_id)",
        // The words are ours (matcher/index.rs) and stand apart already: the engine is to split and fold nothing.
        "/* sqlite */ CREATE VIRTUAL TABLE search_words USING fts5(title, body, beginnings, content='', contentless_delete=1, tokenize='ascii')",
        "/* postgres */ ALTER TABLE search_docs ADD COLUMN words TSVECTOR NOT NULL",
        "/* postgres */ CREATE INDEX search_docs_words ON search_docs USING gin (words)",
        // Items that are there already are indexed little by little, the newest first: see store/search.rs.
        "INSERT INTO notes (name, value) SELECT 'search index lacks items before', '9223372036854775807 0' \
         WHERE EXISTS (SELECT 1 FROM items)",
    ],
    // Several watchers on one store. SQLite has one, and leaves these tables empty.
    &[
        // Who watches. `owner` names a process in its claims; `heartbeat_at` and `stopped_at` are times of the database, `stopped_at`
        // is 0 while it runs. `configured_since`: since when some watcher has had this configuration; the youngest is in force.
        // `clock_offset`: how far its clock is ahead of the database's.
        "CREATE TABLE watchers (
        name TEXT NOT NULL PRIMARY KEY,
        owner TEXT NOT NULL,
        machine TEXT NOT NULL,
        pid BIGINT NOT NULL,
        version TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        heartbeat_at BIGINT NOT NULL,
        stopped_at BIGINT NOT NULL,
        sources_hash TEXT NOT NULL,
        profiles_hash TEXT NOT NULL,
        routes_hash TEXT NOT NULL,
        configured_since BIGINT NOT NULL,
        clock_offset BIGINT NOT NULL,
        problem TEXT NOT NULL
    )",
        // Which sources each of them knows, and how.
        "CREATE TABLE watcher_sources (
        owner TEXT NOT NULL,
        source TEXT NOT NULL,
        url TEXT NOT NULL,
        kind TEXT NOT NULL,
        reader TEXT NOT NULL,
        PRIMARY KEY (owner, source)
    )",
        // What one watcher does at a time, by the database's clock. Written twice a request, and worth nothing after a crash of the
        // database: PostgreSQL need not push it to the disk.
        "CREATE UNLOGGED TABLE turns (
        name TEXT NOT NULL PRIMARY KEY,
        owner TEXT NOT NULL,
        lease_until BIGINT NOT NULL,
        fence BIGINT NOT NULL,
        free_at BIGINT NOT NULL,
        rest_until BIGINT NOT NULL
    )",
    ],
    // What is to survive a crash of the database.
    &[
        // Until when a host is to be left alone, as it said itself.
        "CREATE TABLE rests (
        name TEXT NOT NULL PRIMARY KEY,
        rest_until BIGINT NOT NULL
    )",
        "INSERT INTO rests (name, rest_until) SELECT name, rest_until FROM turns WHERE rest_until > 0",
        "ALTER TABLE turns DROP COLUMN rest_until",
        // As long as it is there nothing of the table was lost.
        "INSERT INTO turns (name, owner, lease_until, fence, free_at) VALUES ('all turns', '', 0, 0, 0)",
    ],
    // What is asked for often is found without reading the whole table.
    &[
        // The matcher's queue in its order: after a move or a first contact it is long, and claimed a piece at a time.
        "CREATE INDEX unscored_queued ON unscored (queued_at, item_id)",
        // Messages by age: the newest are listed, the oldest forgotten.
        "CREATE INDEX outbox_created ON outbox (created_at, id)",
        "CREATE INDEX muted_hits_mute ON muted_hits (mute_id)",
    ],
    // Room for documents.
    &[
        // When a record last named a document's bytes; 0 for texts and reasons, which are never let go.
        "ALTER TABLE blobs ADD COLUMN held_at BIGINT NOT NULL DEFAULT 0",
        "UPDATE blobs SET held_at = (SELECT coalesce(max(e.recorded_at), 0) FROM evidence e) \
         WHERE held = 1 AND EXISTS (SELECT 1 FROM captures c WHERE c.sha256 = blobs.sha256)",
        "CREATE INDEX blobs_held ON blobs (held_at)",
        // Why its bytes were not kept; empty where they were.
        "ALTER TABLE captures ADD COLUMN left_out TEXT NOT NULL DEFAULT ''",
        // When documents were last not kept, and let go before their time, for want of room; 0 for never.
        "ALTER TABLE capture_room ADD COLUMN left_out_at BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE capture_room ADD COLUMN hurried_at BIGINT NOT NULL DEFAULT 0",
    ],
    // Search in parts (store/search.rs): the index is made again, little by little.
    &[
        // Between which times the items of each 1,024 numbers were first seen.
        "CREATE TABLE search_blocks (
        block BIGINT NOT NULL PRIMARY KEY,
        earliest BIGINT NOT NULL,
        latest BIGINT NOT NULL
    )",
        // Each part has a table of its own.
        "/* sqlite */ DROP TABLE search_words",
        "/* sqlite */ DELETE FROM search_docs",
        "/* postgres */ TRUNCATE search_docs",
        // What waits to be sorted into this index is read by every search.
        "/* postgres */ ALTER INDEX search_docs_words SET (gin_pending_list_limit = 512)",
        "INSERT INTO notes (name, value) SELECT 'search index lacks items before', '9223372036854775807 0' \
         WHERE EXISTS (SELECT 1 FROM items) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ],
];

/// The version of a store that this program knows.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the store to the newest version in one transaction; refuses a store from a newer program. A store that is up to date is
/// only read, so that one that takes no writes can be looked at.
pub(super) async fn migrate(store: &Store) -> Result<()> {
    let known = VERSION;
    let before = version(store).await?;
    if store.engine == Engine::Postgres && before == Some(known) {
        return Ok(());
    }
    if let Some(path) = &store.path
        && before.is_some_and(|before| (1..known).contains(&before))
    {
        super::backup::keep_before_upgrade(path, known).await;
    }
    let mut tx = store.begin().await?;
    if store.engine == Engine::Postgres {
        // An index of a large table takes as long as it takes.
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
        tx.lift_limit();
        // Two watchers that start together must not both create the tables.
        sqlx::query("SELECT pg_advisory_xact_lock(5771190)").execute(&mut *tx).await?;
    }
    let notes = "CREATE TABLE IF NOT EXISTS notes (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)";
    sqlx::query(AssertSqlSafe(translate(store.engine, notes))).execute(&mut *tx).await?;
    let row = sqlx::query("SELECT value FROM notes WHERE name = 'schema'").fetch_optional(&mut *tx).await?;
    let found = row.and_then(|row| row.get::<String, _>(0).parse::<i64>().ok()).unwrap_or(0);
    if found > known {
        return Err(StoreError::Newer { store: store.name.clone(), found, known });
    }
    if found == known {
        return Ok(());
    }
    apply(&mut tx, store.engine, &MIGRATIONS[found as usize..]).await?;
    sqlx::query(
        "INSERT INTO notes (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(known.to_string())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Runs migrations.
pub(super) async fn apply(tx: &mut Transaction<'static, Any>, engine: Engine, migrations: &[&[&str]]) -> Result<()> {
    for statement in migrations.iter().copied().flatten() {
        if is_for(engine, statement) {
            sqlx::query(AssertSqlSafe(translate(engine, statement))).execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// The version of the store now, which another program may have made newer meanwhile; `None` for a new one.
pub(super) async fn version(store: &Store) -> Result<Option<i64>> {
    let tables = match store.engine {
        Engine::Sqlite => "SELECT 1 FROM sqlite_schema WHERE name = 'notes'",
        Engine::Postgres => "SELECT 1 WHERE to_regclass('notes') IS NOT NULL",
    };
    if sqlx::query(tables).fetch_optional(&store.reader).await?.is_none() {
        return Ok(None);
    }
    Ok(store.noted("schema").await?.and_then(|version| version.parse().ok()))
}

/// Full-text search is each engine's own: such a statement begins with the engine's name in a comment.
fn is_for(engine: Engine, statement: &str) -> bool {
    match engine {
        Engine::Sqlite => !statement.starts_with("/* postgres */"),
        Engine::Postgres => !statement.starts_with("/* sqlite */"),
    }
}

/// The statement in the engine's own types.
fn translate(engine: Engine, statement: &str) -> String {
    if engine == Engine::Postgres {
        return statement.to_string();
    }
    let own = statement
        .replace("CREATE UNLOGGED TABLE", "CREATE TABLE")
        .replace("DOUBLE PRECISION", "REAL")
        .replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY")
        .replace("BIGINT", "INTEGER")
        .replace("BYTEA", "BLOB");
    if own.starts_with("CREATE TABLE") { format!("{own} STRICT") } else { own }
}
