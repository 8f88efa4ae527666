//! newswatch: a news watcher that analysts can trust.
//!
//! # The map
//!
//! Three loops meet only in the store. Each looks by itself every so often and is woken when there is something to do.
//!
//! ```text
//!            sources                                                       people
//!               │                                                             ▲
//!      ┌────────▼────────┐        ┌─────────────────┐        ┌────────────────┴┐
//!      │ poller          │        │ matcher         │        │ notifier        │
//!      │ due sources     │        │ unscored items  │        │ due outbox rows │
//!      │  → visit        │        │  → score, all   │        │  → compose      │
//!      │  → new items    │        │    profiles     │        │  → deliver      │
//!      └────────┬────────┘        └───▲─────────┬───┘        └───▲─────────┬───┘
//!               │ items, state,       │         │ hits and       │         │ sent, again at,
//!               │ validators: one     │         │ outbox rows:   │         │ or dead
//!               ▼ transaction         │         ▼ one transaction│         ▼
//!      ┌──────────────────────────────┴────────────────────────────────────────────┐
//!      │ store: sources · items · unscored · hits · outbox (SQLite or PostgreSQL)    │
//!      └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A crash between two transactions repeats one step; unique keys make the repeat harmless. Work is claimed by a lease with a
//! fence, so a dead watcher's work is taken over and a late one overwrites nothing.
//!
//! | where | what |
//! | --- | --- |
//! | [`model`], [`fault`] | the nouns as plain data, a file for each of their kinds; the named states of a source that gave nothing |
//! | [`clock`], [`plain`] | the time; text from outside made safe to show |
//! | [`config`] | files to a checked configuration, or every problem at once |
//! | [`store`] | the only place with SQL |
//! | [`poller`] | `schedule`, `guard`, `robots`, `unpack`, `identity`, `outcome`, `parts`, `read`, `source` are pure; `http`, `folder` and `pdf` are edges; `visit` is one visit on one screen, `follow` its further documents, `articles` the pages of its items, which come after it |
//! | [`matcher`] | all pure but the loop itself: `text`, `fold`, `script` and `language` read, `profile` says what to look for (`build` learns it, `concept` and `rule` are made by hand), `phrase` finds names, `score` weighs, `frequency` and `noise` know what is usual; `story` finds what tells the same; `backtest`, `lint` and `suggest` judge profiles; `canary` is the self-test |
//! | [`notifier`] | `gather` reads what a message is made of, `compose` makes it, `retry` says what follows from an attempt (both pure); each `channel` is an edge; `answers` reads verdicts that come by mail |
//! | [`evidence`] | records of what was known when, in a chain of hashes, and the forms in which they are handed on; pure |
//! | [`health`] | one check of a source's health a file, what of it is told (`changes`), what a digest may say about coverage; pure |
//! | [`overseer`] | watches the watcher: conditions, self-test, dead man's switch |
//! | [`meters`], [`inspect`] | what newswatch counts of itself, handed to whoever counts; served to Prometheus with health and readiness |
//! | [`search`] | what is stored, found again: candidates by an index (`matcher::index`), held against the query as the matcher would (`matcher::search`) |
//! | [`daemon`], [`systemd`] | wiring, graceful stop; `signals` with reload, `chores` that can wait, `membership` among the watchers on a shared store; what the service manager is told |
//! | [`cli`] | one file a command |
//!
//! # Rules
//!
//! * **Imports go one way**: nouns ← pure parts ← edges and store ← loops ← daemon ← command line. Poller, matcher and notifier
//!   never import one another. `tests/house.rs` reads the source and keeps it so.
//! * **Decisions are functions of values.** `now` is an argument; only [`clock`] asks the system. So a week of 300 sources with
//!   crashes runs in seconds (`tests/simulation.rs`).
//! * **Read, decide, write.** A visit or a batch hands back what is to be stored; one transaction stores it. Article pages come
//!   one by one behind their visit: the matcher waits for them, but not for ever.
//! * **One kind is one file and one line in a list**: a kind of source ([`poller::source::KINDS`]), a channel
//!   ([`notifier::channel::KINDS`]), a command ([`cli`]).
//! * **Everything from outside is hostile**: it passes [`poller::guard`] before it is asked for, limits while it comes, and [`plain`]
//!   before it is shown.
//!
//! # Deliberately absent
//!
//! * No task queue, broker or cache beside the database: state and queue commit together.
//! * No retry inside a fetch or a delivery: the schedule and the outbox decide, visibly, and survive a restart.
//! * No global state and no clock, file or network in pure parts.
//! * No HTML from outside in anything that is shown or mailed.

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod evidence;
pub mod fault;
pub mod health;
pub mod inspect;
pub mod matcher;
pub mod meters;
pub mod model;
pub mod notifier;
pub mod overseer;
pub mod plain;
pub mod poller;
pub mod search;
pub mod store;
pub mod systemd;
