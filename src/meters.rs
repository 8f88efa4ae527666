//! What newswatch counts of itself, in the form of Prometheus. No globals: whoever has something to count is handed the same
//! [`Meters`] and counts where it says so in the log, too. What is a state and no count stands in the store and is read from there
//! when somebody asks ([`crate::inspect`]).
//!
//! Labels are words of this program or names of the configuration, never anything from outside: their number is bounded.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::model::ConfigurationHashes;

/// What every name begins with.
const PREFIX: &str = "newswatch";
/// Requests take from a hundredth of a second to a minute.
const FETCH_SECONDS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0];
/// Messages take from a moment to a day.
const DELAY_SECONDS: [f64; 9] = [1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// One label and its value.
pub type Label = [(&'static str, String); 1];
/// Two labels and their values.
pub type Labels = [(&'static str, String); 2];
/// The three parts of a configuration.
pub type ConfigLabels = [(&'static str, String); 3];
/// A number that goes up and down.
pub type Number = Gauge<f64, AtomicU64>;

/// All that is counted, and all that is read from the store when somebody asks. Counters begin at 0 with the program.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    names: Vec<String>,
    counters: BTreeSet<String>,

    /// Visits of sources by `outcome`: read, not-modified, unchanged, failed.
    pub visits: Family<Label, Counter>,
    /// Visits that failed, by `fault`.
    pub visit_failures: Family<Label, Counter>,
    /// Requests by `answer`: the class of the status, not-modified, or none.
    pub requests: Family<Label, Counter>,
    /// From sending a request to the end of its answer, without waiting for the host's turn.
    pub request_seconds: Histogram,
    /// Bytes of answers as they were sent.
    pub received_bytes: Counter,
    /// Items stored.
    pub items_new: Counter,
    /// Items scored.
    pub items_scored: Counter,
    /// Hits by `profile`.
    pub hits: Family<Label, Counter>,
    /// Attempts by `channel` and `outcome`: sent, again, dead.
    pub deliveries: Family<Labels, Counter>,
    /// From when a message was due to when its `channel` took it.
    pub delivery_seconds: Family<Label, Histogram, fn() -> Histogram>,
    /// Steps of a `loop` that failed; the work is done again.
    pub loop_failures: Family<Label, Counter>,
    /// Reloads by `outcome`: taken, refused.
    pub reloads: Family<Label, Counter>,
    /// 1 when the last reload was taken.
    pub reload_good: Number,
    /// When the configuration that is in force was read.
    pub configured_at: Number,
    /// What is in force, by the hashes of its `sources`, `profiles` and `routes`.
    pub config_info: Family<ConfigLabels, Number>,
    /// The program, by `version`.
    pub build_info: Family<Label, Number>,
    /// This process among others, by `watcher`: its name.
    pub watcher_info: Family<Label, Number>,
    /// When the program began.
    pub started_at: Number,
    /// Time since a `loop` last came round.
    pub loop_age: Family<Label, Number>,

    /// 1 when the store answered.
    pub store_up: Number,
    /// Bytes of the store.
    pub store_bytes: Number,
    /// Bytes that are free where it lies.
    pub store_free_bytes: Family<Label, Number>,
    /// Sources by `state`.
    pub sources: Family<Label, Number>,
    /// Sources that are due and not being asked.
    pub sources_due: Number,
    /// For how long the longest of them has been due.
    pub source_lag: Number,
    /// 1 when the `source` could be read the last time.
    pub source_healthy: Family<Label, Number>,
    /// When the `source` was last read.
    pub source_read_at: Family<Label, Number>,
    /// Sources that have no series of their own because there are too many.
    pub sources_without_series: Number,
    /// What is wrong and was told, by `condition`.
    pub conditions: Family<Label, Number>,
    /// Items that wait for the matcher.
    pub items_unscored: Number,
    /// For how long the oldest of them has waited.
    pub unscored_age: Number,
    /// Messages by `state`: waiting, overdue, dead.
    pub outbox: Family<Label, Number>,
    /// For how long the oldest overdue message should have been sent.
    pub outbox_age: Number,
    /// 1 unless the self-test is lost; without a series when it is switched off.
    pub canary_ok: Family<Label, Number>,
    /// When the last self-test set out.
    pub canary_sent_at: Family<Label, Number>,
    /// When the daemon last noted that it lives.
    pub heartbeat_at: Number,
}

/// Collects what is registered.
struct Names {
    registry: Registry,
    names: Vec<String>,
    counters: BTreeSet<String>,
}

impl Names {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.names.push(format!("{PREFIX}_{name}"));
        self.registry.register(name, help, metric.clone());
        metric
    }

    /// A counter: its name as it is shown ends with `_total`.
    fn count<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.counters.insert(format!("{PREFIX}_{name}"));
        self.names.push(format!("{PREFIX}_{name}_total"));
        self.registry.register(name, help, metric.clone());
        metric
    }
}

fn delays() -> Histogram {
    Histogram::new(DELAY_SECONDS)
}

impl Default for Meters {
    fn default() -> Meters {
        let registry = Registry::with_prefix(PREFIX);
        let mut own = Names { registry, names: Vec::new(), counters: BTreeSet::new() };
        let delay: Family<Label, Histogram, fn() -> Histogram> = Family::new_with_constructor(delays);
        Meters {
            visits: own.count("visits", "Visits of sources", Family::default()),
            visit_failures: own.count("visit_failures", "Visits of sources that failed", Family::default()),
            requests: own.count("requests", "HTTP requests by the class of their answer", Family::default()),
            request_seconds: own.add(
                "request_duration_seconds",
                "From sending a request to the end of its answer",
                Histogram::new(FETCH_SECONDS),
            ),
            received_bytes: own.count("received_bytes", "Bytes of answers as they were sent", Counter::default()),
            items_new: own.count("items_new", "Items stored", Counter::default()),
            items_scored: own.count("items_scored", "Items scored", Counter::default()),
            hits: own.count("hits", "Hits", Family::default()),
            deliveries: own.count("deliveries", "Attempts to deliver a message", Family::default()),
            delivery_seconds: own.add(
                "delivery_delay_seconds",
                "From when a message was due to when its channel took it",
                delay,
            ),
            loop_failures: own.count(
                "loop_failures",
                "Steps of a loop that failed and are done again",
                Family::default(),
            ),
            reloads: own.count("config_reloads", "Reloads of the configuration", Family::default()),
            reload_good: own.add(
                "config_last_reload_successful",
                "1 when the last reload was taken, 0 when it was refused and the old configuration is in force",
                Number::default(),
            ),
            configured_at: own.add(
                "config_loaded_timestamp_seconds",
                "When the configuration that is in force was read",
                Number::default(),
            ),
            config_info: own.add("config_info", "The configuration that is in force", Family::default()),
            build_info: own.add("build_info", "The program", Family::default()),
            watcher_info: own.add("watcher_info", "What this watcher is called", Family::default()),
            started_at: own.add("start_timestamp_seconds", "When the program began", Number::default()),
            loop_age: own.add("loop_age_seconds", "Time since a loop last came round", Family::default()),
            store_up: own.add("store_up", "1 when the store answered this question", Number::default()),
            store_bytes: own.add("store_size_bytes", "Size of the store", Number::default()),
            store_free_bytes: own.add(
                "store_free_bytes",
                "Room that is left where the store lies, for a store in a file",
                Family::default(),
            ),
            sources: own.add("sources", "Sources that are configured", Family::default()),
            sources_due: own.add("sources_due", "Sources that are due and not being asked", Number::default()),
            source_lag: own.add(
                "source_lag_seconds",
                "For how long the longest of the due sources has been due",
                Number::default(),
            ),
            source_healthy: own.add(
                "source_healthy",
                "1 when the source could be read the last time",
                Family::default(),
            ),
            source_read_at: own.add(
                "source_read_timestamp_seconds",
                "When the source was last read",
                Family::default(),
            ),
            sources_without_series: own.add(
                "sources_without_series",
                "Sources that have no series of their own because there are too many of them",
                Number::default(),
            ),
            conditions: own.add("conditions", "What is wrong and was told to the operator", Family::default()),
            items_unscored: own.add("items_unscored", "Items that wait for the matcher", Number::default()),
            unscored_age: own.add(
                "items_unscored_age_seconds",
                "For how long the oldest unscored item has waited",
                Number::default(),
            ),
            outbox: own.add("outbox_messages", "Messages that are not delivered", Family::default()),
            outbox_age: own.add(
                "outbox_overdue_age_seconds",
                "For how long the oldest overdue message should have been sent",
                Number::default(),
            ),
            canary_ok: own.add("canary_ok", "1 unless the self-test is lost", Family::default()),
            canary_sent_at: own.add(
                "canary_sent_timestamp_seconds",
                "When the last self-test set out",
                Family::default(),
            ),
            heartbeat_at: own.add(
                "heartbeat_timestamp_seconds",
                "When the daemon last noted that its loops move and the store answers",
                Number::default(),
            ),
            registry: own.registry,
            names: own.names,
            counters: own.counters,
        }
    }
}

/// A label.
pub fn label(name: &'static str, value: &str) -> Label {
    [(name, value.to_string())]
}

impl Meters {
    /// Counts one more.
    pub fn count(family: &Family<Label, Counter>, name: &'static str, value: &str) {
        family.get_or_create(&label(name, value)).inc();
    }

    /// Sets a number.
    pub fn set(family: &Family<Label, Number>, name: &'static str, value: &str, number: f64) {
        family.get_or_create(&label(name, value)).set(number);
    }

    /// Counts an attempt.
    pub fn delivered(&self, channel: &str, outcome: &str) {
        self.deliveries.get_or_create(&[("channel", channel.to_string()), ("outcome", outcome.to_string())]).inc();
    }

    /// A configuration is in force: what it names is counted from 0, so that the first of a kind is seen as an increase.
    pub fn configured<'a>(
        &self,
        hashes: &ConfigurationHashes,
        profiles: impl Iterator<Item = &'a str>,
        channels: impl Iterator<Item = &'a str>,
    ) {
        self.config_info.clear();
        let ConfigurationHashes { sources, profiles: scored_with, routes } = hashes.clone();
        let labels = [("sources", sources), ("profiles", scored_with), ("routes", routes)];
        self.config_info.get_or_create(&labels).set(1.0);
        for profile in profiles {
            drop(self.hits.get_or_create(&label("profile", profile)));
        }
        for channel in channels {
            for outcome in ["sent", "again", "dead"] {
                let labels = [("channel", channel.to_string()), ("outcome", outcome.to_string())];
                drop(self.deliveries.get_or_create(&labels));
            }
            drop(self.delivery_seconds.get_or_create(&label("channel", channel)));
        }
    }

    /// What can be counted by words of this program is counted from 0.
    pub fn begin(&self, faults: impl Iterator<Item = &'static str>, loops: impl Iterator<Item = &'static str>) {
        for outcome in ["read", "not-modified", "unchanged", "failed"] {
            drop(self.visits.get_or_create(&label("outcome", outcome)));
        }
        for fault in faults {
            drop(self.visit_failures.get_or_create(&label("fault", fault)));
        }
        for answer in ["ok", "not-modified", "redirect", "client-error", "server-error", "none"] {
            drop(self.requests.get_or_create(&label("answer", answer)));
        }
        for name in loops {
            drop(self.loop_failures.get_or_create(&label("loop", name)));
        }
        for outcome in ["taken", "refused"] {
            drop(self.reloads.get_or_create(&label("outcome", outcome)));
        }
        Meters::set(&self.build_info, "version", env!("CARGO_PKG_VERSION"), 1.0);
        self.reload_good.set(1.0);
    }

    /// The names of all metrics, as they are shown.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All of it in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        let mut open = String::new();
        // Writing into a text cannot fail.
        let _ = encode_registry(&mut open, &self.registry);
        let mut text = String::with_capacity(open.len());
        for line in open.lines() {
            // The library writes OpenMetrics, which calls a counter by another name than its samples.
            let mut words = line.splitn(4, ' ');
            let (hash, kind, name) = (words.next(), words.next(), words.next().unwrap_or_default());
            if hash == Some("#") && self.counters.contains(name) {
                let (kind, rest) = (kind.unwrap_or_default(), words.next().unwrap_or_default());
                text += &format!("# {kind} {name}_total {rest}\n");
            } else {
                text += line;
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_by_the_names_of_their_samples() {
        let meters = Meters::default();
        meters.items_new.inc_by(3);
        Meters::count(&meters.hits, "profile", "apg");
        let text = meters.text();
        for line in [
            "# HELP newswatch_items_new_total Items stored.",
            "# TYPE newswatch_items_new_total counter",
            "newswatch_items_new_total 3",
            "newswatch_hits_total{profile=\"apg\"} 1",
            "# TYPE newswatch_store_up gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is missing in:\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
}
