//! Who is told what, when: routes, messages, mutes.

use serde::Serialize;

use super::{Id, Timestamp};

/// What is not told for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mute {
    /// Its identity.
    pub id: Id,
    /// Of what it is a name.
    pub kind: MuteKind,
    /// Name of the profile or source, or id of the story.
    pub name: String,
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub author: String,
}

impl Mute {
    /// It keeps hits that are found at `now` from being told. One that begins later was made by a clock that was wrong.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// What can be muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuteKind {
    /// Hits of a profile.
    Profile,
    /// Hits from a source.
    Source,
    /// One story.
    Story,
}

impl MuteKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            MuteKind::Profile => "profile",
            MuteKind::Source => "source",
            MuteKind::Story => "story",
        }
    }

    /// From the stored form; anything unknown counts as a story, of which there is one at most.
    pub fn from_stored(text: &str) -> MuteKind {
        match text {
            "profile" => MuteKind::Profile,
            "source" => MuteKind::Source,
            _ => MuteKind::Story,
        }
    }
}

/// Source of the items that newswatch sends through itself to see whether all of it works. No configured source can be named
/// so: parentheses are not allowed in names.
pub const CANARY: &str = "(canary)";

/// Something the operator is told about newswatch itself: a source broke or recovered, a message was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportLine {
    /// When it was noticed.
    pub at: Timestamp,
    /// Of what: name of a source, or "outbox", "canary".
    pub about: String,
    /// One sentence.
    pub headline: String,
    /// What to do; may be empty.
    pub advice: String,
    /// Good news: what was wrong is over.
    pub is_recovery: bool,
}

/// What kind of message an outbox row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// One story, at once.
    Alert,
    /// All hits of a window.
    Digest,
    /// Stories of a short while, or held over quiet hours, together.
    Group,
    /// What a day's budget left no room for.
    Overflow,
    /// About newswatch itself, for its operator.
    Report,
}

impl DeliveryKind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryKind::Alert => "alert",
            DeliveryKind::Digest => "digest",
            DeliveryKind::Group => "group",
            DeliveryKind::Overflow => "overflow",
            DeliveryKind::Report => "report",
        }
    }

    /// From the stored form.
    pub fn from_stored(text: &str) -> DeliveryKind {
        match text {
            "digest" => DeliveryKind::Digest,
            "group" => DeliveryKind::Group,
            "overflow" => DeliveryKind::Overflow,
            // A self-test is a report that is not counted.
            "report" | "canary" => DeliveryKind::Report,
            _ => DeliveryKind::Alert,
        }
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxRow {
    /// Also the source of the Message-ID.
    pub id: Id,
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// Where the time begins that it tells of: a digest's window, a group's first hit, the day of what was over budget.
    pub window_from: Option<Timestamp>,
    /// Where that time ends. (A retry moves `due_at`, never the window.)
    pub window_to: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is (next) due.
    pub due_at: Timestamp,
    /// waiting, sent, dead or discarded.
    pub state: String,
    /// Attempts so far; counted before the attempt is made.
    pub attempts: i64,
    /// When it was accepted or given up.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: String,
}

impl OutboxRow {
    /// When it should have been delivered: a digest or group at the end of its window, an alert when it was made.
    pub fn first_due_at(&self) -> Timestamp {
        self.window_to.unwrap_or(self.created_at)
    }
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The channel accepted it.
    Sent,
    /// Once more, then.
    Again {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// It was claimed and then left alone: as if it had not been claimed.
    NotTried,
    /// It will not be tried again by itself; `newswatch outbox retry` can.
    Dead {
        /// Why it failed.
        error: String,
    },
}

/// A delivery that a hit asks for: to one recipient of one route. What becomes of it the store decides in the hit's own
/// transaction, because only there it is certain what was told already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// How.
    pub way: Way,
    /// How much is told a day; `None` without a limit.
    pub budget: Option<Budget>,
}

/// How a hit is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a message of its own, at once.
    Alone,
    /// With others, then at the latest: in the group that is being filled, else in a new one.
    Together {
        /// When a group is due that begins with this hit.
        due_at: Timestamp,
    },
    /// With the digest of a window, or of the next one if that digest is already on its way.
    InDigest {
        /// The windows it may go into, the earliest first; at least one.
        windows: Vec<Window>,
    },
}

/// So many stories are told on a day; what is found beyond them is listed when the day is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub stories: i64,
    /// When the day begins.
    pub day_from: Timestamp,
    /// When it ends.
    pub day_until: Timestamp,
    /// When the list of the others is due.
    pub due_at: Timestamp,
}

/// The time between two digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins: the schedule's time before this one.
    pub from: Timestamp,
    /// Where it ends, and its digest is due.
    pub until: Timestamp,
}

/// Whether a digest comes that has nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyDigest {
    /// Each time.
    Always,
    /// When there was none for a week.
    Weekly,
    /// Not at all.
    Never,
}

/// A window that is over: whether it needs a digest is to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedWindow {
    /// Name of the route.
    pub route: String,
    /// Empty for channels without recipients.
    pub recipient: String,
    /// The last one that is over.
    pub window: Window,
    /// When there is nothing to tell.
    pub empty: EmptyDigest,
}
