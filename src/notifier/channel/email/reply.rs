//! What follows from a step of an SMTP dialogue that failed. Pure.
//!
//! | step | the server says | the mail | what follows |
//! | --- | --- | --- | --- |
//! | look-up, connect, greeting, TLS, log-in | anything, or nothing | was not taken | the next relay; later. A 5xx here is about us or the relay, not about the recipient |
//! | sender (MAIL) | anything, or nothing | was not taken | the next relay; later: a sender that is refused today is a setting that will be mended |
//! | recipient (RCPT), DATA | 4xx, or nothing | was not taken | the next relay; later, after the wait that greylisting names, else 5 minutes |
//! | recipient (RCPT), DATA | 5xx about the recipient (5.1.x, 5.2.x, or 550, 551, 553 without such a code) | refused | dead at once, loudly |
//! | recipient (RCPT), DATA | 5xx about us: log in first (530 to 538), relaying denied, policy (5.7.x), a full mailbox (552, 5.2.2), protocol, system | was not taken | the next relay; later |
//! | text | 2xx | taken | done |
//! | text | 4xx | was not taken | later; no other relay at once: what looked at the text may have kept it |
//! | text | 5xx | refused: the text itself | dead at once, loudly; but later if it is about us (530 to 538, 5.3.x but not too large, 5.4.x, 5.5.x) |
//! | text | nothing, or no answer of SMTP | nobody knows | the same mail with the same Message-ID, later and more seldom; never another relay |

use std::time::Duration;

/// Greylisting wants so long when it does not say.
const GREYLISTED: Duration = Duration::from_secs(5 * 60);
/// A server that closes its door (421) is asked again after so long.
const DOOR_CLOSED: Duration = Duration::from_secs(60);
/// One that refuses the password too: accounts are locked after a few wrong ones.
pub(super) const WRONG_PASSWORD: Duration = Duration::from_secs(5 * 60);
/// Named waits are at least and at most so long.
const NAMED_MIN: Duration = Duration::from_secs(30);
const NAMED_MAX: Duration = Duration::from_secs(60 * 60);

/// The steps of a dialogue, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The server's name to addresses.
    LookUp,
    /// A connection.
    Connect,
    /// Its greeting, and EHLO.
    Greeting,
    /// STARTTLS and the handshake.
    Tls,
    /// AUTH.
    LogIn,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The text and the final dot.
    Text,
}

impl Step {
    /// In words, after "while".
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Step::LookUp => "looking up its name",
            Step::Connect => "connecting",
            Step::Greeting => "greeting",
            Step::Tls => "starting TLS",
            Step::LogIn => "logging in",
            Step::Sender => "naming the sender",
            Step::Recipient => "naming the recipient",
            Step::Data => "announcing the mail",
            Step::Text => "handing over the mail",
        }
    }

    /// In a word, at the head of a line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::LookUp => "name",
            Step::Connect => "connection",
            Step::Greeting => "greeting",
            Step::Tls => "TLS",
            Step::LogIn => "log-in",
            Step::Sender => "sender",
            Step::Recipient => "recipient",
            Step::Data => "data",
            Step::Text => "mail",
        }
    }
}

/// What is known of the mail after a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was certainly not taken; another relay may have it.
    NotTaken,
    /// It was not taken, but was seen: the same relay, later.
    Later,
    /// It will never be taken.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    /// The code of the server's answer, if that is what it was.
    pub(super) code: Option<u16>,
    /// What the server said, or what happened.
    pub(super) words: String,
}

impl Failure {
    /// The answer as it was, or what happened.
    pub(super) fn said(&self) -> String {
        match self.code {
            Some(code) => format!("{code} {}", self.words),
            None => self.words.clone(),
        }
    }

    /// What is known of the mail.
    pub(super) fn fate(&self) -> Fate {
        let Some(code) = self.code else {
            return if self.step == Step::Text { Fate::Unknown } else { Fate::NotTaken };
        };
        match (self.step, code) {
            (Step::Text, 400..=499) => Fate::Later,
            (Step::Text, 500..=599) if self.is_about_us() => Fate::Later,
            (Step::Text, 500..=599) => Fate::Refused,
            (Step::Text, _) => Fate::Unknown,
            (Step::Recipient | Step::Data, 500..=599) if self.is_about_recipient() => Fate::Refused,
            _ => Fate::NotTaken,
        }
    }

    /// A 5xx for the text that says nothing about the text.
    fn is_about_us(&self) -> bool {
        match (self.code, self.enhanced()) {
            (Some(530..=538), _) => true,
            (_, Some((subject, detail))) => matches!(subject, 4 | 5) || (subject == 3 && detail != 4),
            _ => false,
        }
    }

    /// A 5xx that says: there is no such mailbox, or it takes no mail.
    fn is_about_recipient(&self) -> bool {
        match (self.code, self.enhanced()) {
            (Some(530..=538), _) => false,
            // 5.1.7 and 5.1.8 are about the sender's address.
            (_, Some((1, detail))) => !matches!(detail, 7 | 8),
            // A mailbox that is full will be emptied.
            (_, Some((2, detail))) => detail != 2,
            (_, Some(_)) => false,
            (Some(550 | 551 | 553), None) => !self.words.to_lowercase().contains("relay"),
            _ => false,
        }
    }

    /// The enhanced status code at the head of the words (RFC 3463): of "5.1.1" the last two numbers.
    fn enhanced(&self) -> Option<(u16, u16)> {
        let mut numbers = self.words.split(|c: char| c.is_whitespace()).next()?.split('.');
        let class: u16 = numbers.next()?.parse().ok()?;
        let (subject, detail) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        (matches!(class, 4 | 5) && numbers.next().is_none()).then_some((subject, detail))
    }

    /// How long the server wants to be left alone, if it says so or it is known of such answers.
    pub(super) fn wait(&self) -> Option<Duration> {
        if self.step == Step::LogIn && self.code.is_some_and(|code| code >= 500) {
            return Some(WRONG_PASSWORD);
        }
        let code = self.code.filter(|code| (400..=499).contains(code))?;
        let words = self.words.to_lowercase();
        if let Some(named) = named_wait(&words) {
            return Some(named.clamp(NAMED_MIN, NAMED_MAX));
        }
        let greylisted = ["greylist", "graylist", "grey list", "grey-list"].iter().any(|word| words.contains(word));
        match (self.step, code) {
            (_, 421) => Some(DOOR_CLOSED),
            (Step::Recipient | Step::Data, _) => Some(GREYLISTED),
            _ if greylisted => Some(GREYLISTED),
            _ => None,
        }
    }
}

/// "try again in 300 seconds", "retry in 5 minutes".
fn named_wait(words: &str) -> Option<Duration> {
    let (_, after) = words.split_once(" in ")?;
    let mut parts = after.split_whitespace();
    let number: u64 = parts.next().filter(|number| number.len() <= 6)?.parse().ok()?;
    let unit = parts.next()?;
    let seconds = [("sec", 1), ("min", 60), ("hour", 3_600)].into_iter().find(|(word, _)| unit.starts_with(word))?.1;
    Some(Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(step: Step, answer: &str) -> Failure {
        match answer.split_once(' ') {
            Some((code, words)) if code.len() == 3 && code.parse::<u16>().is_ok() => {
                Failure { step, code: code.parse().ok(), words: words.to_string() }
            }
            _ => Failure { step, code: None, words: answer.to_string() },
        }
    }

    #[test]
    fn each_answer_at_each_step_has_one_meaning() {
        use Fate::*;
        use Step::*;
        let cases = [
            (Connect, "connection refused", NotTaken),
            (Greeting, "554 5.7.1 go away", NotTaken),
            (Tls, "unknown issuer", NotTaken),
            (LogIn, "535 5.7.8 bad credentials", NotTaken),
            (Sender, "553 5.1.8 sender does not exist", NotTaken),
            (Sender, "530 5.7.0 authentication required", NotTaken),
            (Sender, "connection lost", NotTaken),
            (Recipient, "450 4.2.0 greylisted", NotTaken),
            (Recipient, "550 5.1.1 nobody of that name", Refused),
            (Recipient, "550 no such user here", Refused),
            (Recipient, "550 5.2.1 mailbox disabled", Refused),
            (Recipient, "552 5.2.2 mailbox full", NotTaken),
            (Recipient, "552 mailbox full", NotTaken),
            (Recipient, "553 5.1.7 bad sender address", NotTaken),
            (Recipient, "530 5.7.0 log in first", NotTaken),
            (Recipient, "554 5.7.1 <a@b>: Relay access denied", NotTaken),
            (Recipient, "550 relaying denied", NotTaken),
            (Recipient, "550 5.7.1 not allowed", NotTaken),
            (Recipient, "connection lost", NotTaken),
            (Data, "451 4.3.0 try later", NotTaken),
            (Data, "554 5.5.1 no valid recipients", NotTaken),
            (Text, "451 4.3.0 disk full", Later),
            (Text, "421 4.3.0 going down", Later),
            (Text, "554 5.7.1 this is spam", Refused),
            (Text, "552 5.3.4 message too large", Refused),
            (Text, "554 transaction failed", Refused),
            (Text, "550 5.4.6 routing loop", Later),
            (Text, "530 5.7.0 log in first", Later),
            (Text, "connection lost", Unknown),
            (Text, "no answer within 180 s", Unknown),
            (Text, "354 go on", Unknown),
        ];
        for (step, answer, fate) in cases {
            assert_eq!(failure(step, answer).fate(), fate, "{step:?}: {answer}");
        }
    }

    #[test]
    fn waits_are_heeded_within_reason() {
        let cases = [
            (Step::Recipient, "450 4.2.0 Greylisted, try again in 300 seconds", Some(300)),
            (Step::Recipient, "450 4.2.0 Greylisted, try again in 2 seconds", Some(30)),
            (Step::Recipient, "451 greylisted, come back in 10 minutes", Some(600)),
            (Step::Recipient, "451 come back in 99 hours", Some(3_600)),
            (Step::Recipient, "450 4.7.1 try again later", Some(300)),
            (Step::Greeting, "421 4.7.0 too many connections", Some(60)),
            (Step::Text, "451 4.7.1 greylisting in action", Some(300)),
            (Step::Text, "451 4.3.0 disk full", None),
            (Step::Recipient, "550 try again in 3 seconds", None),
            (Step::Connect, "no answer", None),
            (Step::LogIn, "535 5.7.8 bad credentials", Some(300)),
        ];
        for (step, answer, seconds) in cases {
            assert_eq!(failure(step, answer).wait(), seconds.map(Duration::from_secs), "{step:?}: {answer}");
        }
    }
}
