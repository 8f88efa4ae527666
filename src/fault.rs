//! The named states of a source that gave nothing: stored, shown, counted, and what the schedule makes of each.

use serde::{Serialize, Serializer};

/// Why a visit gave nothing. One line here and one in [`FAULTS`] makes a new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The address, or one that it led to, may not be asked.
    Refused,
    /// The name gives no address.
    UnknownHost,
    /// Nobody answers there.
    NoConnection,
    /// The server cannot show that it is the right one.
    Certificate,
    /// The answer broke off, or was never HTTP.
    BrokenConnection,
    /// No complete answer in time.
    Slow,
    /// Larger than the limit.
    TooLarge,
    /// The compression is broken, or one that was not asked for.
    Compression,
    /// A redirect that leads nowhere.
    BadRedirect,
    /// Redirects without end.
    RedirectLoop,
    /// robots.txt asks us to stay away.
    Robots,
    /// robots.txt cannot be had, so nobody knows whether we are welcome.
    RobotsUnreachable,
    /// Status 401 and its like.
    LoginWanted,
    /// Status 403.
    Forbidden,
    /// Status 404.
    NotFound,
    /// Status 410.
    Gone,
    /// Status 451.
    Legal,
    /// Status 429, or 503 with a time.
    SlowDown,
    /// A check for robots stands before the site.
    BotCheck,
    /// Status 5xx.
    ServerTrouble,
    /// Any other status.
    OddStatus,
    /// The answer is a document of another kind.
    NotAFeed,
    /// The page does not show what it showed.
    LayoutChanged,
    /// Our reader failed on the document.
    ReaderFailed,
    /// Our reader took too long.
    ReaderSlow,
}

/// What a fault says about the next visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The way there: it may as well be our own network.
    Network,
    /// The other side is in trouble and will be well again.
    Passing,
    /// It will be so tomorrow, too, unless somebody does something.
    Lasting,
}

/// Each fault, its name as stored and shown, its class.
const FAULTS: &[(Fault, &str, Class)] = &[
    (Fault::Refused, "refused", Class::Lasting),
    (Fault::UnknownHost, "unknown-host", Class::Network),
    (Fault::NoConnection, "no-connection", Class::Network),
    (Fault::Certificate, "certificate", Class::Lasting),
    (Fault::BrokenConnection, "broken-connection", Class::Passing),
    (Fault::Slow, "slow", Class::Passing),
    (Fault::TooLarge, "too-large", Class::Lasting),
    (Fault::Compression, "compression", Class::Passing),
    (Fault::BadRedirect, "bad-redirect", Class::Lasting),
    (Fault::RedirectLoop, "redirect-loop", Class::Lasting),
    (Fault::Robots, "robots", Class::Lasting),
    (Fault::RobotsUnreachable, "robots-unreachable", Class::Passing),
    (Fault::LoginWanted, "login-wanted", Class::Lasting),
    (Fault::Forbidden, "forbidden", Class::Lasting),
    (Fault::NotFound, "not-found", Class::Lasting),
    (Fault::Gone, "gone", Class::Lasting),
    (Fault::Legal, "legal", Class::Lasting),
    (Fault::SlowDown, "slow-down", Class::Passing),
    (Fault::BotCheck, "bot-check", Class::Lasting),
    (Fault::ServerTrouble, "server-trouble", Class::Passing),
    (Fault::OddStatus, "odd-status", Class::Lasting),
    (Fault::NotAFeed, "not-a-feed", Class::Passing),
    (Fault::LayoutChanged, "layout-changed", Class::Passing),
    (Fault::ReaderFailed, "reader-failed", Class::Passing),
    (Fault::ReaderSlow, "reader-slow", Class::Passing),
];

impl Fault {
    fn row(self) -> &'static (Fault, &'static str, Class) {
        // Every fault stands in the table; a test looks.
        FAULTS.iter().find(|(fault, ..)| *fault == self).unwrap_or(&FAULTS[0])
    }

    /// The names of all faults, as stored and shown.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FAULTS.iter().map(|(_, name, _)| *name)
    }

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// From the stored form; `None` for anything else.
    pub fn from_stored(text: &str) -> Option<Fault> {
        FAULTS.iter().find(|(_, name, _)| *name == text).map(|(fault, ..)| *fault)
    }

    /// What it says about the next visit.
    pub fn class(self) -> Class {
        self.row().2
    }

    /// The state of a source whose answer has this status, which is neither 200 nor 304.
    pub fn of_status(status: u16) -> Fault {
        match status {
            401 | 407 => Fault::LoginWanted,
            403 => Fault::Forbidden,
            404 => Fault::NotFound,
            410 => Fault::Gone,
            429 => Fault::SlowDown,
            451 => Fault::Legal,
            500..=599 => Fault::ServerTrouble,
            _ => Fault::OddStatus,
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_back_as_it_is_stored() {
        for (fault, name, _) in FAULTS {
            assert_eq!((fault.as_str(), Fault::from_stored(name)), (*name, Some(*fault)));
        }
        // The last variant: the table is complete when it is as long as the enumeration.
        assert_eq!(FAULTS.len(), Fault::ReaderSlow as usize + 1);
        assert_eq!(Fault::from_stored(""), None);
    }
}
