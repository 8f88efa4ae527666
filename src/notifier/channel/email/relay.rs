//! One relay: its settings, its connections, and the dialogue with it. The only place that speaks SMTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailCommand, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::certificate;
use super::reply::{Failure, Fate, Step, WRONG_PASSWORD};
use super::write::Mail;
use crate::config::secret::Secret;
use crate::config::section::Section;
use crate::notifier::channel::Tell;
use crate::plain;

/// Connections to one relay at the same time; large providers allow three an account.
const CONNECTIONS_MAX: usize = 3;
/// A connection that is kept for the next mail is closed when none came for so long.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Addresses of a relay that are tried.
const ADDRESSES_MAX: usize = 8;
/// Connecting to one of several addresses gets at least so long.
const CONNECT_MIN: Duration = Duration::from_secs(5);
/// The answer to the final dot may take so many times as long as any other: giving it up may mean a copy.
const TEXT_PATIENCE: u32 = 3;
/// Saying goodbye may take so long.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
/// A relay that said 421 gets no new connection for so long.
const CLOSED_DOOR_REST: Duration = Duration::from_secs(30);
/// One that could not be reached, as long as another relay takes the mail.
const UNREACHABLE_REST: Duration = Duration::from_secs(60);
/// Characters shown of what a server says.
const WORDS_CHARACTERS: usize = 400;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    StartTls,
    Tls,
    None,
}

/// A server that takes mail for everybody.
pub(super) struct Relay {
    server: String,
    port: u16,
    security: Security,
    username: Option<String>,
    password: Option<Secret>,
    mechanisms: &'static [Mechanism],
    authorities: Option<Certificate>,
    timeout: Duration,
    hello: ClientId,
    pace: Pace,
    places: Semaphore,
    kept: Kept,
    rest: Mutex<Option<Rest>>,
}

/// Connections that wait for the next mail, and since when.
type Kept = Arc<Mutex<Vec<(Instant, AsyncSmtpConnection)>>>;

/// A relay that is left alone for a while.
struct Rest {
    until: Instant,
    why: Failure,
    /// Also when no other relay is there.
    strict: bool,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// When the text must be on its way.
    pub(super) text_by: Instant,
    /// When all must be over.
    pub(super) end_by: Instant,
}

impl Relay {
    /// Reads `server`, `port`, `security`, `insecure`, `username`, the password's place, `auth`, `ca_file`, `per_minute_max`.
    pub(super) fn from_section(section: &mut Section<'_>, timeout: Duration, hello: &ClientId) -> Option<Relay> {
        let server = section.required_text("server").filter(|server| check_server(section, server));
        let security = match section.one_of("security", &["starttls", "tls", "none"]) {
            Some("tls") => Security::Tls,
            Some("none") => Security::None,
            _ => Security::StartTls,
        };
        let port = section.integer("port", 1..=65_535).map_or(
            match security {
                Security::Tls => 465,
                Security::StartTls => 587,
                Security::None => 25,
            },
            |port| port as u16,
        );
        let insecure = section.boolean("insecure").unwrap_or(false);
        if let Some(server) = &server
            && security == Security::None
            && !insecure
            && !is_loopback(server)
        {
            let advice = "use \"starttls\" or \"tls\", or say `insecure = true`";
            section
                .problem("security", format!("without encryption mail to {server} can be read on the way: {advice}"));
        }
        let (username, password) = Secret::login_from_section(section);
        let mechanisms: &[Mechanism] = match section.one_of("auth", &["password", "xoauth2"]) {
            Some("xoauth2") => &[Mechanism::Xoauth2],
            _ => &[Mechanism::Plain, Mechanism::Login],
        };
        if section.has("auth") && username.is_none() {
            section.problem("auth", "`auth` needs a `username` and the place of a password or token");
        }
        let authorities = section.path("ca_file").and_then(|path| {
            let read = std::fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
            let parsed = read.and_then(|pem| match Certificate::from_pem(&pem) {
                Ok(found) if pem.windows(10).any(|part| part == b"-----BEGIN") => Ok(found),
                _ => Err(format!("{} holds no certificate in PEM form", path.display())),
            });
            parsed.map_err(|error| section.problem("ca_file", format!("`ca_file`: {error}"))).ok()
        });
        let per_minute_max = section.integer("per_minute_max", 1..=10_000);
        Some(Relay {
            server: server?,
            port,
            security,
            username,
            password,
            mechanisms,
            authorities,
            timeout,
            hello: hello.clone(),
            pace: Pace::new(per_minute_max.and_then(|count| u32::try_from(count).ok())),
            places: Semaphore::new(CONNECTIONS_MAX),
            kept: Kept::default(),
            rest: Mutex::default(),
        })
    }

    /// "smtp.example.org:587".
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.server, self.port)
    }

    /// "smtp.example.org:587 (STARTTLS)".
    pub(super) fn describe(&self) -> String {
        let security = match self.security {
            Security::StartTls => "STARTTLS",
            Security::Tls => "TLS",
            Security::None => "not encrypted",
        };
        format!("{} ({security})", self.place())
    }

    /// Why it is left alone now, and for how long; `strict`: also when there is no other.
    pub(super) fn resting(&self, strict: bool) -> Option<(Failure, Duration)> {
        let rest = locked(&self.rest);
        let rest = rest.as_ref().filter(|rest| rest.strict || !strict)?;
        let left = rest.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        Some((rest.why.clone(), left))
    }

    /// Hands a mail over; each step that was made is told.
    pub(super) async fn send(&self, mail: &Mail, deadline: Deadline, tell: Tell<'_>) -> Result<(), Failure> {
        let result = self.try_send(mail, deadline, tell).await;
        let rest = match &result {
            Ok(()) => None,
            Err(why) => {
                let (length, strict) = match (why.step, why.code) {
                    (_, Some(421)) => (CLOSED_DOOR_REST, true),
                    (Step::LogIn, Some(500..)) => (WRONG_PASSWORD, true),
                    (step, _) if step <= Step::LogIn => (UNREACHABLE_REST, false),
                    // It was there and answered.
                    _ => (Duration::ZERO, false),
                };
                (!length.is_zero()).then(|| Rest { until: Instant::now() + length, why: why.clone(), strict })
            }
        };
        *locked(&self.rest) = rest;
        result
    }

    async fn try_send(&self, mail: &Mail, deadline: Deadline, tell: Tell<'_>) -> Result<(), Failure> {
        let late = |words: &str| Failure { step: Step::Connect, code: None, words: words.to_string() };
        let left = deadline.text_by.saturating_duration_since(Instant::now());
        let _place = match tokio::time::timeout(left, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            _ => return Err(late("earlier mails still wait for its answer")),
        };
        let left = deadline.text_by.saturating_duration_since(Instant::now());
        match self.pace.take(Instant::now(), left) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(late("it has had as many mails as `per_minute_max` allows")),
        }
        if let Some(kept) = self.kept().await {
            match self.hand_over(kept, mail, deadline, tell).await {
                // Servers end old connections when they like; that says nothing about the mail.
                Err(failure) if failure.step == Step::Sender && failure.fate() == Fate::NotTaken => {}
                result => return result,
            }
        }
        let connection = self.connect(deadline.text_by, tell).await?;
        self.hand_over(connection, mail, deadline, tell).await
    }

    /// The part of the dialogue that is about a mail.
    async fn hand_over(
        &self,
        mut connection: AsyncSmtpConnection,
        mail: &Mail,
        deadline: Deadline,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        let result = self.dialogue(&mut connection, mail, deadline, tell).await;
        match &result {
            Ok(()) => self.keep(connection),
            Err(_) => self.hang_up(connection),
        }
        result
    }

    async fn dialogue(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Mail,
        deadline: Deadline,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        let mut parameters = Vec::new();
        if !mail.from().is_ascii() || !mail.to().is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let words = "it takes no addresses with letters beyond ASCII (SMTPUTF8)";
                return Err(Failure { step: Step::Sender, code: None, words: words.to_string() });
            }
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let step = Step::Sender;
        let sender = MailCommand::new(Some(mail.from.clone()), parameters);
        let answer = self.within(step, deadline.text_by, connection.command(sender)).await?;
        expect(step, &answer, 200..=299)?;
        tell(step.name(), &format!("{} may write: {}", mail.from(), said(&answer)));
        let step = Step::Recipient;
        let recipient = Rcpt::new(mail.to.clone(), Vec::new());
        let answer = self.within(step, deadline.text_by, connection.command(recipient)).await?;
        expect(step, &answer, 200..=299)?;
        tell(step.name(), &format!("{} may be written to: {}", mail.to(), said(&answer)));
        let step = Step::Data;
        let answer = self.within(step, deadline.text_by, connection.command(Data)).await?;
        // An answer that belongs to another step must not pass: all later ones would be taken for the wrong thing too.
        expect(step, &answer, 354..=354)?;
        let step = Step::Text;
        // What follows adds the line end before the final dot.
        let text = mail.bytes.strip_suffix(b"\r\n").unwrap_or(&mail.bytes);
        let left = deadline.end_by.saturating_duration_since(Instant::now());
        let wait = (self.timeout * TEXT_PATIENCE).min(left);
        let answer = in_time(step, wait, connection.message(text)).await?;
        expect(step, &answer, 200..=299)?;
        tell(step.name(), &format!("taken: {}", said(&answer)));
        Ok(())
    }

    /// A connection on which a mail may follow.
    async fn connect(&self, by: Instant, tell: Tell<'_>) -> Result<AsyncSmtpConnection, Failure> {
        let failed = |step, words: String| Failure { step, code: None, words };
        let step = Step::LookUp;
        let wait = self.timeout.min(by.saturating_duration_since(Instant::now()));
        let found = tokio::time::timeout(wait, tokio::net::lookup_host((self.server.as_str(), self.port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
            Ok(Err(error)) => return Err(failed(step, error.to_string())),
            Err(_) => return Err(failed(step, "the name server gives no answer".to_string())),
        };
        if addresses.is_empty() {
            return Err(failed(step, "the name has no address".to_string()));
        }
        let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        tell(step.name(), &format!("{} is {}", self.server, shown.join(", ")));
        let step = Step::Connect;
        // Of several addresses each gets its share of the time: one that swallows everything shall not cost the others theirs.
        let share = (self.timeout / addresses.len() as u32).max(CONNECT_MIN.min(self.timeout));
        let mut connection = match self.security {
            Security::Tls => {
                let (place, tls) = (addresses.as_slice(), Some(self.tls()?));
                let connected = AsyncSmtpConnection::connect_tokio1(place, Some(share), &self.hello, tls, None);
                let connection = in_time(Step::Tls, by.saturating_duration_since(Instant::now()), connected).await;
                connection.map_err(|failure| match failure.code {
                    None if is_unreached(&failure.words) => Failure { step, ..failure },
                    _ => failure,
                })?
            }
            Security::StartTls | Security::None => {
                let (stream, address) = connect_to(&addresses, share, by).await.map_err(|words| failed(step, words))?;
                tell(step.name(), &format!("{address} answers"));
                // The final dot is a packet of its own: it must not wait for what came before it to be acknowledged.
                stream.set_nodelay(true).map_err(|error| failed(step, error.to_string()))?;
                let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello);
                self.within(Step::Greeting, by, connected).await?
            }
        };
        tell(Step::Greeting.name(), &format!("it calls itself {}", plain::line(connection.server_info().name(), 100)));
        if self.security == Security::StartTls {
            let step = Step::Tls;
            if !connection.server_info().supports_feature(Extension::StartTls) {
                self.hang_up(connection);
                return Err(failed(step, "it offers no STARTTLS, and nothing is sent unencrypted".to_string()));
            }
            let parameters = self.tls()?;
            self.within(step, by, connection.starttls(parameters, &self.hello)).await?;
        }
        if self.security != Security::None {
            tell(Step::Tls.name(), &shown_certificate(&connection));
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let step = Step::LogIn;
            let password = password.read().map_err(|error| failed(step, error))?;
            let credentials = Credentials::new(username.clone(), password);
            if connection.server_info().get_auth_mechanism(self.mechanisms).is_none() {
                self.hang_up(connection);
                let words = if self.mechanisms == [Mechanism::Xoauth2] { "XOAUTH2" } else { "PLAIN or LOGIN" };
                return Err(failed(step, format!("it does not offer to log in by {words}")));
            }
            self.within(step, by, connection.auth(self.mechanisms, &credentials)).await?;
            tell(step.name(), &format!("accepted as {}", plain::line(username, 100)));
        }
        Ok(connection)
    }

    /// Server certificates are always verified: against the system's authorities and those of `ca_file`.
    fn tls(&self) -> Result<TlsParameters, Failure> {
        let mut builder = TlsParameters::builder(self.server.clone());
        if let Some(authorities) = &self.authorities {
            builder = builder.add_root_certificate(authorities.clone());
        }
        builder.build().map_err(|error| Failure { step: Step::Tls, code: None, words: in_words(&error) })
    }

    async fn within<T>(
        &self,
        step: Step,
        by: Instant,
        work: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Failure> {
        in_time(step, self.timeout.min(by.saturating_duration_since(Instant::now())), work).await
    }

    /// A kept connection that still answers.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = locked(&self.kept).pop()?;
            if since.elapsed() < IDLE_MAX
                && let Ok(true) = tokio::time::timeout(self.timeout.min(GOODBYE_MAX), connection.test_connected()).await
            {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next mail, for a while.
    fn keep(&self, connection: AsyncSmtpConnection) {
        let kept = self.kept.clone();
        locked(&kept).push((Instant::now(), connection));
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_MAX).await;
            let over = |(since, _): &mut (Instant, AsyncSmtpConnection)| since.elapsed() >= IDLE_MAX;
            let idle: Vec<_> = locked(&kept).extract_if(.., over).collect();
            for (_, mut connection) in idle {
                let _ = tokio::time::timeout(GOODBYE_MAX, connection.quit()).await;
            }
        });
    }

    /// Says goodbye without waiting for it: after a failure the connection is not used again.
    fn hang_up(&self, mut connection: AsyncSmtpConnection) {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(GOODBYE_MAX, connection.quit()).await;
        });
    }

    /// What a person can do about a failure.
    pub(super) fn advice(&self, failure: &Failure) -> Option<String> {
        let words = failure.words.to_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let usual = "587 for \"starttls\", 465 for \"tls\", 25 on a server of your own";
        Some(match (failure.step, failure.code) {
            (Step::LookUp, _) => "is `server` spelt right, and does this machine resolve names?".to_string(),
            (Step::Connect, None) if says(&["refused"]) => format!("nothing listens on this port; usual are {usual}"),
            (Step::Connect, None) if says(&["no answer", "timed out"]) => {
                "a firewall may be in between; many networks close port 25, and systemd's IPAddressDeny must let it pass"
                    .to_string()
            }
            (Step::Greeting, None) if says(&["does not speak smtp"]) => format!("is {} the right port?", self.port),
            (Step::Greeting, None) if self.security == Security::StartTls => {
                "if this port speaks TLS from the first byte (465 does), say `security = \"tls\"`".to_string()
            }
            (Step::Tls, None) if says(&["corrupt", "invalidcontenttype"]) => {
                "this port does not speak TLS from the first byte: say `security = \"starttls\"`, usually on port 587".to_string()
            }
            (Step::Tls, None) if says(&["no starttls"]) => format!("another port may; usual are {usual}"),
            (Step::Tls, None) if says(&["notvalidforname", "not valid for name"]) => {
                "write the name that is in the certificate as `server`".to_string()
            }
            (Step::Tls, None) if says(&["unknownissuer", "unknown issuer", "badsignature"]) => {
                "if the authority is your own, name its certificate in `ca_file`".to_string()
            }
            (Step::Tls, None) if says(&["expired"]) => {
                "whoever runs the relay must renew its certificate; or this machine's clock is wrong".to_string()
            }
            (Step::Tls, None) if says(&["notvalidyet", "not valid yet"]) => "is this machine's clock right?".to_string(),
            (Step::LogIn, Some(500..)) => {
                "check `username` and the password; some providers want an app password".to_string()
            }
            (Step::LogIn, None) if says(&["does not offer"]) && self.security == Security::None => {
                "many servers offer it only with encryption: `security = \"starttls\"`".to_string()
            }
            (Step::Sender | Step::Recipient, Some(500..))
                if self.username.is_none() && says(&["authentication", "access denied", "5.7.0"]) =>
            {
                "it wants a log-in: set `username` and the place of the password".to_string()
            }
            (Step::Sender, Some(500..)) => "may this account write as the `from` address?".to_string(),
            (Step::Recipient, Some(500..)) if says(&["relay"]) => {
                "it does not pass mail on for you: log in, or use the relay of your own provider".to_string()
            }
            _ => return None,
        })
    }
}

/// "certificate for mail.example.org, valid until 2027-01-31".
fn shown_certificate(connection: &AsyncSmtpConnection) -> String {
    let der = connection.certificate_chain().ok().and_then(|chain| chain.into_iter().next());
    let Some(read) = der.and_then(|der| certificate::read(&der)) else {
        return "encrypted, and the certificate is trusted".to_string();
    };
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let until = read.not_after.map_or(String::new(), |at| format!(", valid until {}", day(at)));
    format!("encrypted, with a trusted certificate for {}{until}", read.names.join(", "))
}

/// The first of the addresses that answers; each is given its share of the time.
async fn connect_to(addresses: &[SocketAddr], share: Duration, by: Instant) -> Result<(TcpStream, SocketAddr), String> {
    let mut problems = Vec::new();
    for address in addresses {
        let wait = share.min(by.saturating_duration_since(Instant::now()));
        match tokio::time::timeout(wait, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => problems.push(format!("{}: {error}", address.ip())),
            Err(_) => problems.push(format!("{}: no answer within {} s", address.ip(), wait.as_secs())),
        }
    }
    Err(problems.join("; "))
}

/// What a connection with TLS from the first byte says when there was no connection at all.
fn is_unreached(words: &str) -> bool {
    ["refused", "timed out", "unreachable", "No route"].iter().any(|part| words.contains(part))
}

async fn in_time<T>(
    step: Step,
    wait: Duration,
    work: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(wait, work).await {
        Ok(result) => result.map_err(|error| failure(step, &error)),
        Err(_) => Err(Failure {
            step,
            code: None,
            words: format!("it gave no answer within {} s", wait.as_secs_f32().ceil()),
        }),
    }
}

fn failure(step: Step, error: &SmtpError) -> Failure {
    let source = std::error::Error::source(error);
    match (error.status(), source) {
        (Some(code), said) => {
            let words = said.map_or(String::new(), |said| plain::line(&said.to_string(), WORDS_CHARACTERS));
            Failure { step, code: Some(u16::from(code)), words }
        }
        (None, _) => Failure { step, code: None, words: in_words(error) },
    }
}

/// An answer that is no refusal, but not the one that belongs here either.
fn expect(step: Step, answer: &Response, codes: std::ops::RangeInclusive<u16>) -> Result<(), Failure> {
    let code = u16::from(answer.code());
    if codes.contains(&code) {
        return Ok(());
    }
    Err(Failure { step, code: None, words: format!("it said {} where that makes no sense", said(answer)) })
}

/// "250 2.0.0 queued as 4F2A".
fn said(answer: &Response) -> String {
    plain::line(&format!("{} {}", answer.code(), answer.first_line().unwrap_or_default()), 200)
}

/// The error with its causes.
fn in_words(error: &SmtpError) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if text.contains("incomplete response") {
        text = "it ended the connection without an answer".to_string();
    }
    if let Some((_, what)) = text.split_once("error Tag at: ") {
        text = format!("it does not speak SMTP, but says: {what}");
    }
    if text.is_empty() {
        text = error.to_string();
    }
    let text = text.strip_prefix("Connection error: ").unwrap_or(&text);
    plain::line(text, WORDS_CHARACTERS)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Mails at equal distances.
struct Pace {
    gap: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_minute_max: Option<u32>) -> Pace {
        Pace { gap: per_minute_max.map(|count| Duration::from_secs(60) / count), next: Mutex::default() }
    }

    /// How long to wait for one's turn; `None` when that is longer than `longest`: then no turn was taken.
    fn take(&self, now: Instant, longest: Duration) -> Option<Duration> {
        let Some(gap) = self.gap else { return Some(Duration::ZERO) };
        let mut next = locked(&self.next);
        let turn = next.map_or(now, |next| next.max(now));
        let wait = turn.duration_since(now);
        if wait > longest {
            return None;
        }
        *next = Some(turn + gap);
        Some(wait)
    }
}

/// `server` is a bare name or number.
fn check_server(section: &Section<'_>, server: &str) -> bool {
    if server.parse::<IpAddr>().is_ok() || url::Host::parse(server).is_ok() {
        return true;
    }
    let advice = match server.rsplit_once(':') {
        Some((name, port)) if url::Host::parse(name).is_ok() && port.parse::<u16>().is_ok() => {
            format!("write `server = \"{name}\"` and `port = {port}`")
        }
        _ => "write its name alone, such as \"smtp.example.org\"".to_string(),
    };
    section.problem("server", format!("{server:?} is not the name of a server; {advice}"));
    false
}

fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_keep_their_distance() {
        let (pace, now, minute) = (Pace::new(Some(30)), Instant::now(), Duration::from_secs(60));
        let seconds = Duration::from_secs;
        assert_eq!(pace.take(now, minute), Some(seconds(0)));
        assert_eq!(pace.take(now, minute), Some(seconds(2)));
        assert_eq!(pace.take(now + seconds(1), minute), Some(seconds(3)));
        assert_eq!(pace.take(now + seconds(1), seconds(4)), None);
        assert_eq!(pace.take(now + seconds(100), minute), Some(seconds(0)));
        assert_eq!(Pace::new(None).take(now, seconds(0)), Some(seconds(0)));
    }
}
