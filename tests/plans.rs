//! No statement of the real program reads a whole table that grows without limit. The statements are those that it logs while it runs,
//! with each of its loops and most of its commands; the plans are the database's own.
//!
//! Proved is that an index serves each of them, not that the planner always takes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use newswatch::store::{Durability, Store};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};
use support::{Folder, PROFILE, Web, loopback, page, rss, source, wait_until};

/// Tables whose rows are counted in what is configured or lives, not in what was published. Every other one grows.
const BOUNDED: &[&str] = &[
    "sources",
    "memories",
    "robots",
    "turns",
    "rests",
    "watchers",
    "watcher_sources",
    "conditions",
    "mutes",
    "digest_marks",
    "profile_versions",
    "profile_uses",
    "frequencies",
    "notes",
    "capture_room",
    "chain_head",
    // What is to be read again within a week.
    "rereads",
    // A row a day, a row a mail that was answered, a row an event that was told: forgotten by age.
    "health_days",
    "answers",
    "told",
];

/// How statements begin that read a growing table without a condition on an index all the same, what must stand in the plan then,
/// and why they may.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "UPDATE unscored SET lease_owner",
        "unscored_queued",
        "in order until there are enough; what others hold is passed over",
    ),
    ("SELECT id, route, recipient, kind", "outbox_created", "the newest, in order until there are enough"),
    ("SELECT first_seen_at FROM items ORDER BY first_seen_at", "items_seen", "the first row ends it"),
    ("SELECT recorded_at FROM evidence ORDER BY number LIMIT 1", "", "the first row of the key ends it"),
    (
        "SELECT 1 FROM items i WHERE NOT EXISTS (SELECT 1 FROM unscored u",
        "",
        "the first item that was scored ends it; once a start",
    ),
    ("SELECT count(*) FROM", "", "said to people (status, gc --dry-run, store info): counted"),
    ("SELECT state, count(*) FROM outbox", "outbox_due", "said to people (status): counted in the order of an index"),
    ("SELECT o.id, (SELECT count(*) FROM outbox_hits l", "", "the list of digests, asked for by people"),
    ("SELECT count(*), min(queued_at) FROM unscored", "", "the queue, short as a rule"),
    ("SELECT lease_owner, count(*) FROM unscored", "", "the queue, short as a rule; asked for by people"),
    ("UPDATE unscored SET lease_until = 0 WHERE", "", "the queue, short as a rule; once a start"),
];

/// Statements of PostgreSQL that cannot be prepared without the types of their values: the first is about a bounded table, the other names
/// the keys of its rows.
const UNTYPED: &[&str] =
    &["UPDATE sources SET health = v.column4", "DELETE FROM unscored WHERE (item_id, lease_owner, fence) IN (VALUES"];

/// What the program does on a store; answers the statements that it ran.
fn statements(url: &str) -> BTreeSet<String> {
    // What is done once, when the store is made, is not asked for often.
    block_on(async { Store::open(url, Durability::Process).await.unwrap().close().await });
    let web = Web::start();
    let story = "They took the observer seat away, and nobody said a word about it afterwards.";
    web.put(
        "/feed",
        rss(&web.base, &[("1", "Harbour news", "A quiet day at the harbour of Busan."), ("2", "A chair", story)]),
    );
    web.put("/copy", rss(&web.base, &[("3", "A chair", story), ("4", "Harbour", "Nothing of note.")]));
    web.put("/a/2", page("text/html", format!("<article><p>{story}</p><p>{story}</p></article>")));
    let folder = Folder::new("");
    let socket = folder.path().join("metrics.sock");
    let mut text = format!("[store]\nurl = \"{url}\"\n[metrics]\nlisten = \"unix:{}\"\n", socket.display())
        + &loopback(folder.path());
    text += "[[route]]\nname = \"daily\"\nchannel = \"file\"\n[route.digest]\nat = [\"07:30\"]\ntime_zone = \"Europe/Zurich\"\n";
    text += &source("wire", &format!("{}/feed", web.base), "article = true");
    text += &source("copy", &format!("{}/copy", web.base), "");
    folder.write("newswatch.toml", &text).write("profiles.d/seat.toml", PROFILE);
    // Half of what makes a hit: below the line, but kept.
    let half = PROFILE
        .replace("\"seat\"", "\"harbour\"")
        .replace("observer seat", "harbour")
        .replace("weight = 1.0", "weight = 0.6");
    folder.write("profiles.d/harbour.toml", &half);
    let logged = |arguments: &[&str]| -> Command {
        let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut command = folder.command(&[&["--log", "json"], arguments].concat());
        command.env("NEWSWATCH_LOG", "warn,sqlx::query=debug").stderr(Stdio::from(log)).stdout(Stdio::piped());
        command
    };
    let run = |arguments: &[&str]| {
        let output = logged(arguments).output().unwrap();
        // 1: nothing found, something is degraded.
        assert!(output.status.code().is_some_and(|code| code < 2), "{arguments:?}: {}", folder.read("log"));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["run", "--once", "--backlog"]);
    let hits = run(&["hits", "--json"]);
    let hit: serde_json::Value = serde_json::from_str(hits.lines().next().unwrap()).unwrap();
    let id = hit["id"].as_str().unwrap();
    for arguments in [
        &["hits", "--profile", "seat", "--since", "1d"][..],
        &["why", id],
        &["verdict", id, "relevant"],
        &["status"],
        &["digest", "send", "--route", "daily"],
        &["digest", "list"],
        &["outbox", "list"],
        &["mute", "list"],
        &["search", "harbour", "--since", "1d"],
        &["search", "observer", "--profile", "seat", "--sort", "best"],
        &["source", "show", "wire"],
        &["profile", "show", "seat"],
        &["profile", "backtest", "seat"],
        &["evidence", "verify"],
        &["store", "info"],
    ] {
        run(arguments);
    }
    // A year later everything is forgotten.
    for (table, columns) in [
        ("items", "first_seen_at"),
        ("hits", "found_at"),
        ("scores", "scored_at"),
        ("outbox", "created_at"),
        ("captures", "fetched_at"),
    ] {
        block_on(execute(url, &format!("UPDATE {table} SET {columns} = 1000")));
    }
    run(&["gc", "--dry-run"]);
    run(&["gc"]);
    let asked = web.requests("/copy").len();
    let mut daemon = logged(&["run"]).spawn().unwrap();
    wait_until("the daemon reads", || web.requests("/copy").len() > asked + 1);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    assert!(daemon.wait().unwrap().success());
    let log = folder.read("log");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let queries = lines.filter(|line| line["target"] == "sqlx::query");
    let sql = |line: serde_json::Value| {
        let whole = line["fields"]["db.statement"].as_str().filter(|sql| !sql.is_empty()).map(str::to_string);
        whole.unwrap_or_else(|| line["fields"]["summary"].as_str().unwrap().to_string()).trim().to_string()
    };
    let found: BTreeSet<String> = queries.map(sql).collect();
    // A test that sees nothing finds nothing.
    for seen in [
        "UPDATE sources SET lease_owner",
        "UPDATE unscored SET lease_owner",
        "UPDATE outbox SET lease_owner",
        "DELETE FROM outbox WHERE id IN",
        "DELETE FROM scores WHERE",
        "SELECT count(*), min(queued_at) FROM unscored",
        "INSERT INTO evidence",
    ] {
        assert!(found.iter().any(|sql| sql.starts_with(seen)), "never ran: {seen}");
    }
    assert!(found.len() > 200, "{}", found.len());
    found.into_iter().filter(|sql| is_planned(sql)).collect()
}

/// Reads or writes rows by what they hold.
fn is_planned(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    let of_the_engine = ["sqlite_schema", "information_schema", "pg_", "pragma_"];
    ["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&first)
        && (first != "INSERT" || sql.contains("SELECT"))
        && !of_the_engine.iter().any(|name| sql.contains(name))
}

fn may_scan(sql: &str, line: &str) -> bool {
    EXCEPTIONS.iter().any(|(start, index, _)| sql.starts_with(start) && line.contains(index))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn execute(url: &str, sql: &str) {
    connect(url).await.execute(AssertSqlSafe(sql.to_string())).await.unwrap();
}

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

/// Values in a statement: "$1" up to the highest, or each "?".
fn values(sql: &str) -> usize {
    let numbered = sql.split('$').skip(1).filter_map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbered.max().unwrap_or_else(|| sql.matches('?').count())
}

/// Tables by the names that they have in a statement.
fn tables(sql: &str) -> BTreeMap<String, String> {
    const NO_NAMES: &[&str] =
        &["where", "on", "set", "join", "order", "group", "limit", "left", "using", "for", "union", "as"];
    let words: Vec<&str> =
        sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let mut names = BTreeMap::new();
    for (place, word) in words.iter().enumerate() {
        if ["FROM", "JOIN", "UPDATE", "INTO"].contains(word) && place + 1 < words.len() {
            let table = words[place + 1].to_string();
            if let Some(alias) = words.get(place + 2)
                && !NO_NAMES.contains(&alias.to_lowercase().as_str())
            {
                names.insert(alias.to_string(), table.clone());
            }
            names.insert(table.clone(), table);
        }
    }
    names
}

#[test]
fn sqlite_finds_rows_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.sqlite").display());
    let statements = statements(&url);
    let mut bad = String::new();
    block_on(async {
        let mut connection = connect(&url).await;
        for sql in &statements {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            let plan = (0..values(sql)).fold(plan, |plan, _| plan.bind(None::<i64>));
            let rows = match plan.fetch_all(&mut connection).await {
                // A part of the index that was forgotten as a whole.
                Err(error) if error.to_string().contains("no such table: search_words_") => continue,
                rows => rows.unwrap_or_else(|error| panic!("{error}: {sql}")),
            };
            let names = tables(sql);
            for row in rows {
                let detail: String = row.get(3);
                // "SCAN hits USING INDEX hits_found" is all of it, too; what no table is called is a part of the statement itself.
                let scanned = detail.strip_prefix("SCAN ").and_then(|rest| names.get(rest.split(' ').next().unwrap()));
                let is_virtual = detail.contains("VIRTUAL TABLE INDEX");
                if scanned.is_some_and(|table| !BOUNDED.contains(&table.as_str()))
                    && !is_virtual
                    && !may_scan(sql, &detail)
                {
                    writeln!(bad, "{detail}: {sql}").unwrap();
                }
            }
        }
    });
    assert!(bad.is_empty(), "whole tables are read:\n{bad}");
}

#[test]
fn postgres_finds_rows_by_an_index() {
    let Ok(server) = std::env::var("NEWSWATCH_TEST_POSTGRES") else { return };
    let schema = format!("plans_{}", std::process::id());
    block_on(execute(&server, &format!("CREATE SCHEMA {schema}")));
    let join = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{join}options[search_path]={schema}");
    let statements = statements(&url);
    let mut bad = String::new();
    block_on(async {
        let mut connection = connect(&url).await;
        connection.execute(FILL).await.unwrap();
        connection
            .execute(
                "ANALYZE; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
                 SET enable_mergejoin = off; SET jit = off",
            )
            .await
            .unwrap();
        for sql in &statements {
            match plan(&mut connection, sql).await {
                Some(lines) => {
                    for line in whole_reads(&lines) {
                        if !may_scan(sql, &line) {
                            writeln!(bad, "{line}: {sql}").unwrap();
                        }
                    }
                }
                None if UNTYPED.iter().any(|start| sql.starts_with(start)) => {}
                None => writeln!(bad, "cannot be prepared: {sql}").unwrap(),
            }
        }
    });
    block_on(execute(&server, &format!("DROP SCHEMA {schema} CASCADE")));
    assert!(bad.is_empty(), "whole tables are read:\n{bad}");
}

/// Rows for the planner to reckon with: 2,000 in what grows, few in queues.
const FILL: &str = "DO $$
DECLARE t record; names text; vals text;
BEGIN
  FOR t IN SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_name NOT IN ('notes', 'turns', 'chain_head', 'capture_room') LOOP
    SELECT string_agg(column_name, ', ' ORDER BY ordinal_position), string_agg(CASE
        WHEN data_type = 'bigint' THEN 'g * 7919' WHEN data_type = 'double precision' THEN 'g'
        WHEN data_type = 'bytea' THEN '''''' WHEN data_type = 'tsvector' THEN 'to_tsvector(''simple'', ''w'' || g)'
        WHEN column_name IN ('state', 'kind', 'profile', 'route', 'recipient', 'source', 'host') THEN '''x'' || g % 7'
        ELSE '''x'' || g' END, ', ' ORDER BY ordinal_position) INTO names, vals
      FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = t.name;
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM generate_series(1001, %s) g ON CONFLICT DO NOTHING',
      t.name, names, vals, CASE WHEN t.name IN ('unscored', 'unread_articles', 'rereads', 'sources') THEN 1030 ELSE 3000 END);
  END LOOP;
END $$";

/// The plan of a statement for values that are not known; `None`: it cannot be prepared.
async fn plan(connection: &mut AnyConnection, sql: &str) -> Option<Vec<String>> {
    let count = values(sql);
    // The planner takes a limit that it does not know for a tenth of the table.
    let mut limited = sql.to_string();
    for value in (1..=count).rev() {
        limited = limited.replace(&format!("LIMIT ${value}"), "LIMIT 100");
    }
    // What is not in it any more has a type all the same.
    let is_left = |value: usize| {
        let name = format!("${value}");
        limited.split(&name).skip(1).any(|after| !after.starts_with(|c: char| c.is_ascii_digit()))
    };
    let all_of = |kind: &'static str| -> String {
        (1..=count).map(|value| if is_left(value) { kind } else { "bigint" }).collect::<Vec<_>>().join(", ")
    };
    let typed = [all_of("unknown"), all_of("bigint")];
    for types in typed {
        let head = if count > 0 { format!("PREPARE planned ({types})") } else { "PREPARE planned".to_string() };
        if Executor::execute(&mut *connection, AssertSqlSafe(format!("{head} AS {limited}"))).await.is_err() {
            continue;
        }
        let nulls = vec!["NULL"; count].join(", ");
        let nulls = if count > 0 { format!("({nulls})") } else { String::new() };
        let explain = format!("EXPLAIN (COSTS off) EXECUTE planned{nulls}");
        let rows = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        Executor::execute(&mut *connection, "DEALLOCATE planned").await.unwrap();
        return Some(rows.iter().map(|row| row.get(0)).collect());
    }
    None
}

/// Lines of a plan that read a growing table from end to end: without a condition on an index.
fn whole_reads(lines: &[String]) -> Vec<String> {
    let mut whole = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some((node, rest)) = line.split_once(" on ") else { continue };
        let table = rest.split(' ').next().unwrap();
        // A bitmap names the index, whose name begins with that of its table.
        let is_bounded =
            |name: &&str| table == *name || node.contains("Bitmap") && table.starts_with(&format!("{name}_"));
        if BOUNDED.iter().any(is_bounded) || node.contains("Bitmap") && !node.contains("Bitmap Index") {
            continue;
        }
        let details = lines[place + 1..].iter().take_while(|line| !line.contains("->"));
        let has_condition = details.into_iter().any(|line| line.trim_start().starts_with("Index Cond"));
        if node.contains("Seq Scan") || node.contains("Index") && !has_condition {
            whole.push(line.trim().to_string());
        }
    }
    whole
}
