//! Moves everything from one store to another, of whichever engine: table by table in the order of their keys, in batches. A batch and how
//! far it came are one transaction of the target, so that a move that was interrupted goes on where it was.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};
use xxhash_rust::xxh3::xxh3_64;

use super::{Engine, Result, Store, StoreError, Transaction, groups, placeholders};

/// Rows that are moved in one transaction, and read together.
const BATCH: usize = 256;
/// The target's table of how far the move came.
const PROGRESS: &str = "moved_tables";
/// Name of the target's note of which store it is filled from, as long as it is.
const MOVING: &str = "filled from the store";
/// Tables that are made anew in the target: the index for search.
const DERIVED: &str = "search_";
/// What only says who is at work now.
const OF_THE_MOMENT: [&str; 4] = ["turns", "rests", "watchers", "watcher_sources"];
/// Notes that each store has of its own.
const OWN_NOTES: [&str; 3] = ["schema", MOVING, super::search::LACKS];
/// Rows that every new store has: they make room for those of the source.
const INITIAL: &[(&str, &str)] = &[("chain_head", "number = 0"), ("capture_room", "bytes = 0")];
/// Tables that have a unique column in place of a primary key.
const KEYS: &[(&str, &str)] = &[("items", "id")];
/// A store whose daemon was seen so lately is at work.
const AT_WORK: SignedDuration = SignedDuration::from_mins(2);

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A table with its columns in their order, and those of its key.
#[derive(Clone, Debug, Default)]
struct Table {
    name: String,
    columns: Vec<(String, Kind)>,
    key: Vec<usize>,
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub table: String,
    /// Rows that the source has.
    pub rows: u64,
    /// A hash over all of the source's rows, whatever their order.
    pub hash: u64,
    /// The target has the same rows.
    pub agrees: bool,
}

/// Of a store that another one is moved to.
fn refused(why: String) -> StoreError {
    StoreError::NotMoved(why)
}

/// Moves all rows; `progress` is told the table and how many of its rows are there. Answers what each table holds on both sides.
pub async fn transfer(
    from: &Store,
    to: &Store,
    now: Timestamp,
    mut progress: impl FnMut(&str, u64),
) -> Result<Vec<Moved>> {
    for store in [from, to] {
        let seen: Option<Timestamp> = store.noted(super::HEARTBEAT_NOTE).await?.and_then(|at| at.parse().ok());
        if store.engine == Engine::Postgres && seen.is_some_and(|seen| now.duration_since(seen).abs() < AT_WORK) {
            let name = &store.name;
            return Err(refused(format!("a newswatch runs on {name}: stop it, and try again two minutes later")));
        }
    }
    // What is there of a part would be taken for the whole.
    if let Some(other) = from.filled_from().await? {
        return Err(StoreError::HalfFilled { store: from.name.clone(), from: other });
    }
    let tables = tables(from).await?;
    begin(from, to, &tables).await?;
    for table in &tables {
        move_table(from, to, table, &mut progress).await?;
    }
    let mut all = Vec::new();
    for table in &tables {
        let (rows, hash) = sum(from, table).await?;
        progress(&table.name, rows);
        let agrees = sum(to, table).await? == (rows, hash);
        all.push(Moved { table: table.name.clone(), rows, hash, agrees });
    }
    if all.iter().all(|moved| moved.agrees) {
        finish(to).await?;
    }
    Ok(all)
}

/// The tables of a store with how many rows each has.
pub async fn row_counts(store: &Store) -> Result<Vec<(String, i64)>> {
    let mut counts = Vec::new();
    for table in tables(store).await? {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        counts.push((table.name, sqlx::query(AssertSqlSafe(sql)).fetch_one(&store.reader).await?.get(0)));
    }
    Ok(counts)
}

impl Store {
    /// Which store it is being filled from, when that was begun and did not end: nobody else may work on it.
    pub async fn filled_from(&self) -> Result<Option<String>> {
        self.noted(MOVING).await
    }
}

/// The tables with what stands in them, in the order of their names.
async fn tables(store: &Store) -> Result<Vec<Table>> {
    let sql = match store.engine {
        Engine::Sqlite => {
            "SELECT m.name, p.name, p.type, p.pk FROM sqlite_schema m, pragma_table_info(m.name) p \
             WHERE m.type = 'table' ORDER BY m.name, p.cid"
        }
        Engine::Postgres => {
            "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT), \
             CAST(coalesce(k.ordinal_position, 0) AS BIGINT) FROM information_schema.columns c \
             LEFT JOIN information_schema.table_constraints t ON t.table_schema = c.table_schema \
             AND t.table_name = c.table_name AND t.constraint_type = 'PRIMARY KEY' \
             LEFT JOIN information_schema.key_column_usage k ON k.constraint_schema = t.constraint_schema \
             AND k.constraint_name = t.constraint_name AND k.table_name = c.table_name AND k.column_name = c.column_name \
             WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position"
        }
    };
    let mut found: BTreeMap<String, (Table, Vec<(i64, usize)>)> = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(&store.reader).await? {
        let (name, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        if name.starts_with("sqlite_")
            || name.starts_with(DERIVED)
            || name == PROGRESS
            || OF_THE_MOMENT.contains(&name.as_str())
        {
            continue;
        }
        let kind = match kind.to_ascii_uppercase().as_str() {
            "INTEGER" | "BIGINT" => Kind::Integer,
            "REAL" | "DOUBLE PRECISION" => Kind::Real,
            "TEXT" => Kind::Text,
            "BLOB" | "BYTEA" => Kind::Bytes,
            other => return Err(refused(format!("the column {column} of {name} is {other}, which nobody can move"))),
        };
        let (table, keys) = found.entry(name.clone()).or_default();
        table.name.clone_from(&name);
        let place: i64 = row.get(3);
        let own = KEYS.iter().any(|(table, key)| *table == name && *key == column);
        if place > 0 || own {
            keys.push((place, table.columns.len()));
        }
        table.columns.push((column, kind));
    }
    let mut tables = Vec::new();
    for (mut table, mut keys) in found.into_values() {
        keys.sort_unstable();
        table.key = keys.into_iter().map(|(_, column)| column).collect();
        if table.key.is_empty() {
            return Err(refused(format!("the table {} has no key", table.name)));
        }
        // The same order whatever the engine.
        tables.push(table);
    }
    Ok(tables)
}

/// Makes sure that the target is empty, or half filled from the same source.
async fn begin(from: &Store, to: &Store, tables: &[Table]) -> Result<()> {
    let source = match to.filled_from().await? {
        Some(source) if source == from.name => return Ok(()),
        other => other,
    };
    if let Some(source) = source {
        return Err(refused(format!("{} is half filled from {source}: go on with that, or empty it", to.name)));
    }
    for table in tables {
        let initial = INITIAL.iter().find(|(name, _)| *name == table.name);
        let only = initial.map_or(condition(table, " WHERE "), |(_, row)| format!(" WHERE NOT ({row})"));
        let sql = format!("SELECT 1 FROM {}{only} LIMIT 1", table.name);
        if sqlx::query(AssertSqlSafe(sql)).fetch_optional(&to.reader).await?.is_some() {
            let advice = "name a new file, or an empty database";
            return Err(refused(format!("{} holds data already (in {}): {advice}", to.name, table.name)));
        }
    }
    let mut tx = to.begin().await?;
    for (table, row) in INITIAL {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE {row}"))).execute(&mut *tx).await?;
    }
    let text = "TEXT NOT NULL";
    let number = if to.engine == Engine::Sqlite { "INTEGER NOT NULL" } else { "BIGINT NOT NULL" };
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {PROGRESS} (name {text} PRIMARY KEY, last_key {text}, moved {number}, done {number})"
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
    sqlx::query("INSERT INTO notes (name, value) VALUES ($1, $2)")
        .bind(MOVING)
        .bind(&from.name)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// The move is over: the target is a store like any other, whose index is still to be made.
async fn finish(to: &Store) -> Result<()> {
    let mut tx = to.begin().await?;
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {PROGRESS}"))).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM notes WHERE name = $1").bind(MOVING).execute(&mut *tx).await?;
    tx.commit().await?;
    to.drop_index().await
}

/// Leaves out the notes that each store has of its own.
fn condition(table: &Table, head: &str) -> String {
    if table.name != "notes" {
        return String::new();
    }
    let names: Vec<String> = OWN_NOTES.iter().map(|name| format!("'{name}'")).collect();
    format!("{head}name NOT IN ({})", names.join(", "))
}

async fn move_table(from: &Store, to: &Store, table: &Table, progress: &mut impl FnMut(&str, u64)) -> Result<()> {
    let sql = format!("SELECT last_key, moved, done FROM {PROGRESS} WHERE name = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(&table.name).fetch_optional(&to.reader).await?;
    let (mut after, mut moved, done) = match row {
        Some(row) => (decoded(&row.get::<String, _>(0)), row.get::<i64, _>(1), row.get::<i64, _>(2) == 1),
        None => (None, 0, false),
    };
    progress(&table.name, moved as u64);
    if done {
        return Ok(());
    }
    loop {
        let rows = page(from, table, after.as_deref()).await?;
        let is_last = rows.len() < BATCH;
        let mut tx = to.begin().await?;
        insert(&mut tx, to.engine, table, &rows).await?;
        moved += rows.len() as i64;
        if let Some(last) = rows.last() {
            after = Some(table.key.iter().map(|column| last[*column].clone()).collect());
        }
        let sql = format!(
            "INSERT INTO {PROGRESS} (name, last_key, moved, done) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET \
             last_key = excluded.last_key, moved = excluded.moved, done = excluded.done"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(&table.name)
            .bind(encoded(after.as_deref().unwrap_or_default()))
            .bind(moved)
            .bind(i64::from(is_last))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        progress(&table.name, moved as u64);
        if is_last {
            return Ok(());
        }
    }
}

/// The rows behind a key.
async fn page(store: &Store, table: &Table, after: Option<&[Value]>) -> Result<Vec<Vec<Value>>> {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    let key: Vec<&str> = table.key.iter().map(|column| columns[*column]).collect();
    let (columns, key) = (columns.join(", "), key.join(", "));
    let behind = match after {
        Some(after) => format!(
            " WHERE ({key}) > {}{}",
            // Only of SQLite are they without numbers, and all of them are.
            placeholders(store.engine, 1, 1, after.len()),
            condition(table, " AND ")
        ),
        None => condition(table, " WHERE "),
    };
    let sql = format!("SELECT {columns} FROM {}{behind} ORDER BY {key} LIMIT {BATCH}", table.name);
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in after.unwrap_or_default() {
        query = bind(query, value);
    }
    let rows = query.fetch_all(&store.reader).await?;
    rows.iter().map(|row| read(row, table)).collect()
}

fn read(row: &AnyRow, table: &Table) -> Result<Vec<Value>> {
    let value = |(index, (_, kind)): (usize, &(String, Kind))| -> Result<Value> {
        Ok(match kind {
            Kind::Integer => Value::Integer(row.try_get(index)?),
            Kind::Real => Value::Real(row.try_get(index)?),
            Kind::Text => Value::Text(row.try_get(index)?),
            Kind::Bytes => Value::Bytes(row.try_get(index)?),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, value: &Value) -> Query<'q, Any, AnyArguments> {
    match value {
        Value::Integer(value) => query.bind(*value),
        Value::Real(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
        Value::Bytes(value) => query.bind(value.clone()),
    }
}

async fn insert(tx: &mut Transaction<'static, Any>, engine: Engine, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    for group in groups(rows) {
        let values = placeholders(engine, 1, group.len(), columns.len());
        let sql = format!("INSERT INTO {} ({}) VALUES {values}", table.name, columns.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in group.iter().flatten() {
            query = bind(query, value);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

/// How many rows, and the sum of their hashes.
async fn sum(store: &Store, table: &Table) -> Result<(u64, u64)> {
    let (mut count, mut sum) = (0u64, 0u64);
    let mut after: Option<Vec<Value>> = None;
    loop {
        let rows = page(store, table, after.as_deref()).await?;
        for row in &rows {
            count += 1;
            sum = sum.wrapping_add(xxh3_64(encoded(row).as_bytes()));
        }
        match rows.last() {
            Some(last) if rows.len() == BATCH => {
                after = Some(table.key.iter().map(|column| last[*column].clone()).collect());
            }
            _ => return Ok((count, sum)),
        }
    }
}

/// Values as one text, to the last bit.
fn encoded(values: &[Value]) -> String {
    let value = |value: &Value| match value {
        Value::Integer(value) => serde_json::json!({ "i": value }),
        Value::Real(value) => serde_json::json!({ "r": value.map(f64::to_bits) }),
        Value::Text(value) => serde_json::json!({ "t": value }),
        Value::Bytes(value) => serde_json::json!({ "b": value }),
    };
    serde_json::Value::Array(values.iter().map(value).collect()).to_string()
}

/// A key from its text; `None` when there is none.
fn decoded(text: &str) -> Option<Vec<Value>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    let value = |value: &serde_json::Value| {
        let (kind, value) = value.as_object()?.iter().next()?;
        Some(match kind.as_str() {
            "i" => Value::Integer(value.as_i64()),
            "r" => Value::Real(value.as_u64().map(f64::from_bits)),
            "t" => Value::Text(value.as_str().map(str::to_string)),
            _ => Value::Bytes(serde_json::from_value(value.clone()).ok()?),
        })
    };
    let values: Vec<Value> = values.iter().map(value).collect::<Option<_>>()?;
    (!values.is_empty()).then_some(values)
}
