//! Mail by SMTP: one message to one recipient, plain text and HTML. The only place that speaks SMTP.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;

use super::{Channel, DeliveryError, Message};
use crate::config::secret::Secret;
use crate::config::section::Section;
use crate::model::Hit;
use crate::plain;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    StartTls,
    Tls,
    None,
}

/// A connection that is kept for the next mail is closed when none came for so long.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// So many are kept.
const KEPT_MAX: usize = 2;

/// Connections that wait for the next mail, and since when.
type Kept = Arc<Mutex<Vec<(Instant, AsyncSmtpConnection)>>>;

/// The settings of an email channel.
struct Email {
    server: String,
    port: u16,
    security: Security,
    username: Option<String>,
    password: Option<Secret>,
    from: Mailbox,
    timeout: Duration,
    kept: Kept,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Reads `server`, `port`, `security`, `username`, the password's place, `from`, `timeout`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
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
        section.problem("security", format!("without encryption mail to {server} can be read on the way: {advice}"));
    }
    let (username, password) = Secret::login_from_section(section);
    let from = section.required_text("from").and_then(|text| match text.parse::<Mailbox>() {
        Ok(mailbox) => Some(mailbox),
        Err(_) => {
            let advice = "write it like \"newswatch <watch@example.org>\"";
            section.problem("from", format!("{text:?} is not a mail address; {advice}"));
            None
        }
    });
    let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(600));
    Some(Arc::new(Email {
        server: server?,
        port,
        security,
        username,
        password,
        from: from?,
        timeout: timeout.unwrap_or(Duration::from_secs(60)),
        kept: Kept::default(),
    }))
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

impl Channel for Email {
    fn kind(&self) -> &'static str {
        "email"
    }

    fn describe(&self) -> String {
        let security = match self.security {
            Security::StartTls => "STARTTLS",
            Security::Tls => "TLS",
            Security::None => "not encrypted",
        };
        format!("mail by {}:{} ({security}) from {}", self.server, self.port, self.from.email)
    }

    fn needs_recipients(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let mail = write_mail(message, &self.from)?;
            let mut connection = self.connection().await?;
            match connection.send(mail.envelope(), &mail.formatted()).await {
                Ok(_) => {
                    self.keep(connection);
                    Ok(())
                }
                Err(error) => Err(in_kind(&error)),
            }
        })
    }
}

/// Only a clear "never" from the server is permanent. No connection, a bad certificate, a lost answer: once more; if the
/// message was taken after all, the copy carries the same Message-ID.
fn in_kind(error: &lettre::transport::smtp::Error) -> DeliveryError {
    let text = plain::line(&in_words(error), 500);
    let never = error.is_permanent() && !matches!(error.status().map(u16::from), Some(530..=538));
    if never { DeliveryError::Permanent(text) } else { DeliveryError::Temporary(text) }
}

/// The error with its causes.
fn in_words(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl Email {
    /// A kept connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        loop {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some((since, mut connection)) if since.elapsed() < IDLE_MAX => {
                    if let Ok(true) = tokio::time::timeout(self.timeout, connection.test_connected()).await {
                        return Ok(connection);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        let connected = tokio::time::timeout(self.timeout, self.connect()).await;
        connected.unwrap_or_else(|_| {
            let text = format!("{}:{} did not answer within {} s", self.server, self.port, self.timeout.as_secs());
            Err(DeliveryError::Temporary(text))
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let place = (self.server.as_str(), self.port);
        let cannot_connect = |error: std::io::Error| {
            DeliveryError::Temporary(format!("cannot connect to {}:{}: {error}", self.server, self.port))
        };
        let tls = || {
            TlsParameters::new(self.server.clone())
                .map_err(|error| DeliveryError::Temporary(format!("TLS for {}: {error}", self.server)))
        };
        // A certificate, a password or a refusal at the door may be another one tomorrow.
        let temporary = |error| DeliveryError::Temporary(plain::line(&in_words(&error), 500));
        let hello = ClientId::default();
        let mut connection = if self.security == Security::Tls {
            AsyncSmtpConnection::connect_tokio1(place, Some(self.timeout), &hello, Some(tls()?), None)
                .await
                .map_err(temporary)?
        } else {
            let stream = TcpStream::connect(place).await.map_err(cannot_connect)?;
            // The final dot is a packet of its own: it must not wait for what came before it to be acknowledged.
            stream.set_nodelay(true).map_err(cannot_connect)?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.map_err(temporary)?
        };
        if self.security == Security::StartTls {
            connection.starttls(tls()?, &hello).await.map_err(temporary)?;
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let credentials = Credentials::new(username.clone(), password.read().map_err(DeliveryError::Temporary)?);
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(temporary)?;
        }
        Ok(connection)
    }

    /// Keeps a connection for the next mail, for a while.
    fn keep(&self, connection: AsyncSmtpConnection) {
        let kept = self.kept.clone();
        {
            let mut waiting = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= KEPT_MAX {
                return;
            }
            waiting.push((Instant::now(), connection));
        }
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_MAX).await;
            let over = |(since, _): &mut (Instant, AsyncSmtpConnection)| since.elapsed() >= IDLE_MAX;
            let idle: Vec<_> = kept.lock().unwrap_or_else(PoisonError::into_inner).extract_if(.., over).collect();
            for (_, mut connection) in idle {
                let _ = connection.quit().await;
            }
        });
    }
}

/// The message as a mail from `from` to its recipient: plain text and HTML, ready to be sent or kept.
pub fn write_mail(message: &Message, from: &Mailbox) -> Result<lettre::Message, DeliveryError> {
    let bad = |what: &str, error: &dyn std::fmt::Display| DeliveryError::Permanent(format!("{what}: {error}"));
    let to: Mailbox = message.recipient.parse().map_err(|error| bad("the recipient is not a mail address", &error))?;
    let domain = from.email.domain();
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .to(to)
        .subject(plain::line(&message.subject, 200))
        .message_id(Some(message_id(message, domain)))
        .date(std::time::SystemTime::from(message.created_at));
    let route = plain::line(&message.route, 64);
    for (name, value) in [
        (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_string()),
        (HeaderName::new_from_ascii_str("List-Id"), format!("<{route}.newswatch.{domain}>")),
        (HeaderName::new_from_ascii_str("X-Newswatch-Route"), route.clone()),
        (HeaderName::new_from_ascii_str("X-Newswatch-Profiles"), profiles(&message.hits)),
    ] {
        builder = builder.raw_header(HeaderValue::new(name, value));
    }
    let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(message.text.clone());
    let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(message.html.clone());
    builder
        .multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        .map_err(|error| bad("the mail cannot be written", &error))
}

/// A function of the outbox row alone: a repeat after a crash carries the same.
pub fn message_id(message: &Message, domain: &str) -> String {
    format!("<newswatch.{}@{domain}>", message.id)
}

fn profiles(hits: &[Hit]) -> String {
    let names: std::collections::BTreeSet<&str> = hits.iter().map(|hit| hit.profile.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{File, Problem, Problems};
    use crate::model::{Id, Timestamp};

    fn channel(text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
        let problems = Problems::default();
        let channel = File::new("a.toml", text.to_string()).read(&problems, |mut section| {
            let channel = settings(&mut section);
            section.finish();
            channel
        });
        (channel, problems.into_sorted().iter().map(Problem::to_string).collect())
    }

    #[test]
    fn settings_are_checked_and_secrets_never_shown() {
        let (channel, problems) = channel(
            "server = \"mail.example\"\nfrom = \"w <w@example.org>\"\nusername = \"u\"\npassword_credential = \"smtp-password\"\n",
        );
        assert_eq!(problems, [""; 0]);
        let channel = channel.unwrap();
        assert_eq!(format!("{channel:?}"), "mail by mail.example:587 (STARTTLS) from w@example.org");
    }

    #[test]
    fn bad_settings_are_all_named() {
        let (_, problems) =
            channel("server = \"mail.example\"\nsecurity = \"none\"\nfrom = \"nobody\"\nusername = \"u\"\n");
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn a_repeat_carries_the_same_message_id() {
        let message = Message {
            id: Id(7),
            kind: crate::model::DeliveryKind::Alert,
            route: "desk".into(),
            recipient: "me@example.org".into(),
            subject: "two\r\nBcc: evil@example.org".into(),
            text: "text".into(),
            html: "<p>text</p>".into(),
            images: vec![],
            hits: vec![],
            thread: None,
            created_at: Timestamp::UNIX_EPOCH,
            repeated: false,
        };
        let email = Email {
            server: "localhost".into(),
            port: 25,
            security: Security::None,
            username: None,
            password: None,
            from: "w@example.org".parse().unwrap(),
            timeout: Duration::from_secs(5),
            kept: Kept::default(),
        };
        let mail = String::from_utf8(write_mail(&message, &email.from).unwrap().formatted()).unwrap();
        assert!(mail.contains("Message-ID: <newswatch.000000000007@example.org>\r\n"), "{mail}");
        assert!(mail.contains("Subject: two Bcc: evil@example.org\r\n"), "{mail}");
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n"), "{mail}");
    }

    /// A mail server that answers recipients by their names: `never@` is refused, the answer to a mail for `lost@` is lost. Hands
    /// back its port and how many connections it was asked for.
    fn server() -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let (mut lost, mut in_mail) = (false, false);
                stream.write_all(b"220 here\r\n").unwrap();
                while let Some(Ok(line)) = lines.next() {
                    let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                        "." if lost => break,
                        "." => "250 taken",
                        _ if in_mail => continue,
                        "RCPT" if line.contains("never@") => "550 nobody of that name",
                        "DATA" => "354 go on",
                        _ => "250 yes",
                    };
                    lost = lost || line.contains("lost@");
                    in_mail = answer.starts_with("354");
                    if stream.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        (port, connections)
    }

    #[tokio::test]
    async fn a_connection_serves_several_mails_and_a_lost_answer_is_no_refusal() {
        let (port, connections) = server();
        let (channel, problems) = channel(&format!(
            "server = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"w@example.org\"\ntimeout = \"5s\"\n"
        ));
        assert_eq!(problems, [""; 0]);
        let channel = channel.unwrap();
        let to = |recipient: &str| Message {
            id: Id(7),
            kind: crate::model::DeliveryKind::Alert,
            route: "desk".into(),
            recipient: recipient.into(),
            subject: "subject".into(),
            text: "one\n.\ntwo".into(),
            html: "<p>text</p>".into(),
            images: vec![],
            hits: vec![],
            thread: None,
            created_at: Timestamp::UNIX_EPOCH,
            repeated: false,
        };
        let asked = || connections.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
        assert_eq!(channel.deliver(&to("you@example.org")).await, Ok(()));
        assert_eq!(asked(), 1);
        let refused = channel.deliver(&to("never@example.org")).await;
        assert!(
            matches!(&refused, Err(DeliveryError::Permanent(text)) if text.contains("nobody of that name")),
            "{refused:?}"
        );
        let lost = channel.deliver(&to("lost@example.org")).await;
        assert!(matches!(lost, Err(DeliveryError::Temporary(_))), "{lost:?}");
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (channel, _) =
            channel(&format!("server = \"127.0.0.1\"\nport = {free}\nsecurity = \"none\"\nfrom = \"w@example.org\"\n"));
        let message = Message {
            id: Id(7),
            kind: crate::model::DeliveryKind::Alert,
            route: "desk".into(),
            recipient: "me@example.org".into(),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            images: vec![],
            hits: vec![],
            thread: None,
            created_at: Timestamp::UNIX_EPOCH,
            repeated: false,
        };
        let failed = channel.unwrap().deliver(&message).await;
        let place = format!("cannot connect to 127.0.0.1:{free}: ");
        assert!(matches!(&failed, Err(DeliveryError::Temporary(text)) if text.starts_with(&place)), "{failed:?}");
    }
}
