//! Mail by SMTP: one message to one recipient, plain text and HTML. The only place that speaks SMTP.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, PoolConfig};
use lettre::{AsyncTransport, Tokio1Executor};

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

/// The settings of an email channel.
struct Email {
    server: String,
    port: u16,
    security: Security,
    username: Option<String>,
    password: Option<Secret>,
    from: Mailbox,
    timeout: Duration,
    /// Made at the first delivery, and again after a failed one: the password may have been changed.
    transport: Mutex<Option<AsyncSmtpTransport<Tokio1Executor>>>,
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
        transport: Mutex::new(None),
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
            let transport = self.transport()?;
            match transport.send(mail).await {
                Ok(_) => Ok(()),
                Err(error) => {
                    *self.transport.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    let text = plain::line(&in_words(&error), 500);
                    // Only a clear "never" from the server is permanent. No connection, a bad certificate, a lost answer: once
                    // more; if the message was taken after all, the copy carries the same Message-ID.
                    let never = error.is_permanent() && !matches!(error.status().map(u16::from), Some(530..=538));
                    Err(if never { DeliveryError::Permanent(text) } else { DeliveryError::Temporary(text) })
                }
            }
        })
    }
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
    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, DeliveryError> {
        let mut kept = self.transport.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = kept.as_ref() {
            return Ok(transport.clone());
        }
        let tls = |required: bool| -> Result<Tls, DeliveryError> {
            let parameters = TlsParameters::new(self.server.clone())
                .map_err(|error| DeliveryError::Temporary(format!("TLS for {}: {error}", self.server)))?;
            Ok(if required { Tls::Required(parameters) } else { Tls::Wrapper(parameters) })
        };
        let security = match self.security {
            Security::StartTls => tls(true)?,
            Security::Tls => tls(false)?,
            Security::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port)
            .tls(security)
            .timeout(Some(self.timeout))
            .pool_config(PoolConfig::new().max_size(2).idle_timeout(Duration::from_secs(20)));
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            builder = builder
                .credentials(Credentials::new(username.clone(), password.read().map_err(DeliveryError::Temporary)?));
        }
        Ok(kept.insert(builder.build()).clone())
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
            route: "desk".into(),
            recipient: "me@example.org".into(),
            subject: "two\r\nBcc: evil@example.org".into(),
            text: "text".into(),
            html: "<p>text</p>".into(),
            hits: vec![],
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
            transport: Mutex::new(None),
        };
        let mail = String::from_utf8(write_mail(&message, &email.from).unwrap().formatted()).unwrap();
        assert!(mail.contains("Message-ID: <newswatch.000000000007@example.org>\r\n"), "{mail}");
        assert!(mail.contains("Subject: two Bcc: evil@example.org\r\n"), "{mail}");
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n"), "{mail}");
    }
}
