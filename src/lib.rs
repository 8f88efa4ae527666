//! newswatch: a news watcher that analysts can trust.

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod health;
pub mod matcher;
pub mod model;
pub mod notifier;
pub mod plain;
pub mod poller;
pub mod store;
pub mod systemd;
