//! Mail by SMTP: one message to one recipient, plain text and HTML, by the first of several relays that takes it.

mod certificate;
mod relay;
mod reply;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use lettre::transport::smtp::extension::ClientId;

use super::{Channel, DeliveryError, Message, Tell};
use crate::config::section::Section;
use crate::model::Id;
use crate::plain;
use relay::{Deadline, Relay};
use reply::{Failure, Fate};
pub use write::{Mail, Sender, write_mail};

/// An attempt is over within so long, all relays together; the notifier would cut it off soon after.
const ATTEMPT_MAX: Duration = Duration::from_secs(220);
/// The text is on its way within so long, so that there is time to wait for the answer to it.
const TEXT_BY_MAX: Duration = Duration::from_secs(120);
/// Characters of an error.
const ERROR_CHARACTERS: usize = 1_000;

/// The settings of an email channel.
struct Email {
    /// In the order in which they are asked; at least one.
    relays: Vec<Relay>,
    sender: Sender,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Reads `from`, `unsubscribe`, `timeout`, `hello`, and the relays: the first by keys of the channel itself (`server` and so
/// on), more of them as `[[channel.relay]]`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let sender = Sender::from_section(section);
    let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(600));
    let timeout = timeout.unwrap_or(Duration::from_secs(60));
    let hello = section.text("hello").map(|name| {
        if url::Host::parse(&name).is_err() {
            section.problem("hello", format!("{name:?} is not the name of a machine, such as \"watch.example.org\""));
        }
        ClientId::Domain(name)
    });
    let hello = hello.unwrap_or_default();
    let further = section.sections("relay");
    let mut relays = Vec::new();
    if section.has("server") || further.is_empty() {
        relays.push(Relay::from_section(section, timeout, &hello));
    }
    for mut table in further {
        relays.push(Relay::from_section(&mut table, timeout, &hello));
        table.finish();
    }
    Some(Arc::new(Email { relays: relays.into_iter().collect::<Option<_>>()?, sender: sender? }))
}

impl Channel for Email {
    fn kind(&self) -> &'static str {
        "email"
    }

    fn describe(&self) -> String {
        let relays: Vec<String> = self.relays.iter().map(Relay::describe).collect();
        format!("mail by {} from {}", relays.join(", else by "), self.sender.address())
    }

    fn needs_recipients(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let mail = write_mail(message, &self.sender)?;
            self.send(&mail).await
        })
    }

    fn rehearse<'a>(&'a self, message: &'a Message, tell: Tell<'a>) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let mut result = Ok(());
            for (index, relay) in self.relays.iter().enumerate() {
                // Each relay gets a mail of its own, or a mail program would show only one of them.
                let id = Id::of(&[&message.id.to_string(), &index.to_string()]);
                let mail = write_mail(&Message { id, ..message.clone() }, &self.sender)?;
                if self.relays.len() > 1 {
                    tell("relay", &relay.describe());
                }
                if let Err(failure) = relay.send(&mail, deadline(self.relays.len() - index), tell).await {
                    tell(failure.step.name(), &format!("FAILED: {}", failure.said()));
                    if let Some(advice) = relay.advice(&failure) {
                        tell("what to do", &advice);
                    }
                    result = Err(as_error(&[(relay, failure, None)]));
                }
            }
            result
        })
    }
}

/// When an attempt with so many relays left has to be over.
fn deadline(relays_left: usize) -> Deadline {
    let now = Instant::now();
    Deadline { text_by: now + TEXT_BY_MAX / relays_left.max(1) as u32, end_by: now + ATTEMPT_MAX }
}

impl Email {
    /// Asks the relays in order. The next one is asked only when it is certain that the one before did not take the mail.
    async fn send(&self, mail: &Mail) -> Result<(), DeliveryError> {
        let end_by = Instant::now() + ATTEMPT_MAX;
        let mut failures: Vec<(&Relay, Failure, Option<Duration>)> = Vec::new();
        // When all of them are left alone because they could not be reached, they are asked all the same.
        for strict in [false, true] {
            failures.clear();
            let mut asked = false;
            for (index, relay) in self.relays.iter().enumerate() {
                if let Some((why, left)) = relay.resting(strict) {
                    failures.push((relay, why, Some(left)));
                    continue;
                }
                asked = true;
                let deadline = Deadline { end_by, ..deadline(self.relays.len() - index) };
                let Err(failure) = relay.send(mail, deadline, &mut |_, _| {}).await else { return Ok(()) };
                let is_next_asked = failure.fate() == Fate::NotTaken;
                failures.push((relay, failure, None));
                if !is_next_asked {
                    break;
                }
            }
            if asked {
                break;
            }
        }
        Err(as_error(&failures))
    }
}

/// What follows from the failures of the relays that were asked, the last of which decides. With each comes for how long its
/// relay is left alone, if it was not even asked.
fn as_error(failures: &[(&Relay, Failure, Option<Duration>)]) -> DeliveryError {
    let words = |failures: &[(&Relay, Failure, Option<Duration>)]| {
        let words = failures.iter().map(|(relay, failure, left)| match left {
            None => in_words(relay, failure),
            Some(left) => format!("left alone for {} s: {}", left.as_secs() + 1, in_words(relay, failure)),
        });
        plain::line(&words.collect::<Vec<String>>().join("; "), ERROR_CHARACTERS)
    };
    // A refusal or an uncertain end is always the last one, and what went before it does not matter then.
    if let Some(last @ (_, failure, None)) = failures.last() {
        let error = words(std::slice::from_ref(last));
        match failure.fate() {
            Fate::Refused => return DeliveryError::Permanent(error),
            Fate::Unknown => return DeliveryError::Uncertain(error),
            Fate::NotTaken | Fate::Later => {}
        }
    }
    let error = words(failures);
    // One relay that names no wait is worth the usual one.
    let waits: Option<Vec<Duration>> = failures.iter().map(|(_, failure, left)| left.or(failure.wait())).collect();
    match waits.and_then(|waits| waits.into_iter().min()) {
        Some(wait) => DeliveryError::Busy { error, wait },
        None => DeliveryError::Temporary(error),
    }
}

/// Which relay, which step, what it said, and what to do.
fn in_words(relay: &Relay, failure: &Failure) -> String {
    let advice = relay.advice(failure).map_or(String::new(), |advice| format!(" ({advice})"));
    format!("{}, {}: {}{advice}", relay.place(), failure.step.in_words(), failure.said())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    use super::*;
    use crate::model::{DeliveryKind, Timestamp};

    fn channel(text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
        super::super::from_text(settings, text)
    }

    fn good(text: &str) -> Arc<dyn Channel> {
        let (channel, problems) = channel(text);
        assert_eq!(problems, [""; 0]);
        channel.unwrap()
    }

    /// A channel of these relays, not encrypted.
    fn by(relays: &[&Fake]) -> Arc<dyn Channel> {
        let relay =
            |fake: &&Fake| format!("[[relay]]\nserver = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n", fake.port);
        let relays: String = relays.iter().map(relay).collect();
        good(&format!("from = \"w@example.org\"\ntimeout = \"20s\"\n{relays}"))
    }

    fn to(recipient: &str) -> Message {
        Message {
            id: Id(7),
            kind: DeliveryKind::Alert,
            route: "desk".into(),
            recipient: recipient.into(),
            subject: "subject".into(),
            text: "one\n.\ntwo".into(),
            html: "<p>text</p>".into(),
            images: vec![],
            hits: vec![],
            thread: None,
            window: None,
            created_at: Timestamp::UNIX_EPOCH,
            attempted_at: Timestamp::UNIX_EPOCH,
            report: Vec::new(),
            repeated: false,
        }
    }

    #[test]
    fn settings_are_checked_and_secrets_never_shown() {
        let channel = good(
            "server = \"mail.example\"\nfrom = \"w <w@example.org>\"\nusername = \"u\"\npassword_credential = \"smtp-password\"\n\
             [[relay]]\nserver = \"192.0.2.1\"\nsecurity = \"tls\"\nper_minute_max = 30\n",
        );
        assert_eq!(
            format!("{channel:?}"),
            "mail by mail.example:587 (STARTTLS), else by 192.0.2.1:465 (TLS) from w@example.org"
        );
    }

    #[test]
    fn bad_settings_are_all_named() {
        let (_, problems) =
            channel("server = \"mail.example\"\nsecurity = \"none\"\nfrom = \"nobody\"\nusername = \"u\"\n");
        assert_eq!(problems.len(), 3, "{problems:?}");
        let (_, problems) = channel(
            "from = \"w@example.org\"\nunsubscribe = \"nobody\"\nhello = \"a b\"\n[[relay]]\nport = 25\nca_file = \"/dev/null\"\nauth = \"xoauth2\"\n",
        );
        assert_eq!(problems.len(), 5, "{problems:?}");
        let (_, problems) = channel("from = \"w@example.org\"\n");
        assert_eq!(problems, ["a.toml:1:1: the file needs `server`"]);
    }

    /// A mail server that answers each line as it is told to. Hands back what it was told on which connection.
    struct Fake {
        port: u16,
        lines: Arc<Mutex<Vec<(usize, String)>>>,
    }

    /// The answer to a line on a connection; "CONNECT" stands for the first. "" hangs up.
    type Answer = fn(usize, &str) -> &'static str;

    impl Fake {
        async fn start(answer: Answer, tls: Option<TlsAcceptor>) -> Fake {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let lines: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
            let kept = lines.clone();
            tokio::spawn(async move {
                for connection in 1.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (lines, tls) = (kept.clone(), tls.clone());
                    tokio::spawn(async move {
                        lines.lock().unwrap().push((connection, "CONNECT".into()));
                        let mut stream = BufReader::new(stream);
                        let starts_tls = talk(&mut stream, answer, connection, &lines, "CONNECT").await;
                        if let (true, Some(tls)) = (starts_tls, tls)
                            && let Ok(stream) = tls.accept(stream.into_inner()).await
                        {
                            lines.lock().unwrap().push((connection, "encrypted".into()));
                            talk(&mut BufReader::new(stream), answer, connection, &lines, "").await;
                        }
                    });
                }
            });
            Fake { port, lines }
        }

        fn connections(&self) -> usize {
            self.lines.lock().unwrap().iter().filter(|(_, line)| line == "CONNECT").count()
        }

        fn was_told(&self, part: &str) -> bool {
            self.lines.lock().unwrap().iter().any(|(_, line)| line.contains(part))
        }
    }

    /// One dialogue; true when it ended with STARTTLS.
    async fn talk(
        stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
        answer: Answer,
        connection: usize,
        lines: &Mutex<Vec<(usize, String)>>,
        first: &str,
    ) -> bool {
        let (mut line, mut in_mail) = (first.to_string(), false);
        loop {
            if !line.is_empty() && (!in_mail || line == ".") {
                let said = answer(connection, &line);
                if said.is_empty() || stream.write_all(format!("{said}\r\n").as_bytes()).await.is_err() {
                    return false;
                }
                stream.flush().await.unwrap();
                if line == "STARTTLS" {
                    return said.starts_with("220");
                }
                in_mail = said.starts_with("354");
            }
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return false;
            }
            line.truncate(line.trim_end().len());
            lines.lock().unwrap().push((connection, line.clone()));
        }
    }

    /// What a server says that takes everything.
    fn yes(_: usize, line: &str) -> &'static str {
        match line.split([' ', ':']).next().unwrap_or_default() {
            "CONNECT" => "220 here",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 yes",
        }
    }

    #[tokio::test]
    async fn a_connection_serves_several_mails_and_a_lost_answer_is_no_refusal() {
        let fake = Fake::start(
            |connection, line| match line {
                "RCPT TO:<never@example.org>" => "550 nobody of that name",
                "." if connection == 2 => "",
                _ => yes(connection, line),
            },
            None,
        )
        .await;
        let channel = by(&[&fake]);
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
        assert_eq!(channel.deliver(&to("you@example.org")).await, Ok(()));
        assert_eq!(fake.connections(), 1);
        assert!(fake.was_told("Message-ID: <newswatch.000000000007@example.org>"));
        let refused = channel.deliver(&to("never@example.org")).await;
        let place = format!("127.0.0.1:{}, naming the recipient: 550 nobody of that name", fake.port);
        assert_eq!(refused, Err(DeliveryError::Permanent(place)));
        let lost = channel.deliver(&to("lost@example.org")).await;
        assert!(matches!(&lost, Err(DeliveryError::Uncertain(text)) if text.contains("without an answer")), "{lost:?}");
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
    }

    #[tokio::test]
    async fn an_old_connection_that_the_server_ended_costs_nothing() {
        let fake = Fake::start(
            |connection, line| match line {
                "MAIL FROM:<w@example.org>" if connection == 1 => "250 yes",
                "RSET" | "NOOP" if connection == 1 => "421 enough of you",
                _ => yes(connection, line),
            },
            None,
        )
        .await;
        let channel = by(&[&fake]);
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
        assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
        assert_eq!(fake.connections(), 2);
    }

    #[tokio::test]
    async fn the_next_relay_is_asked_only_when_the_first_certainly_did_not_take_the_mail() {
        let refuses_at: [(Answer, bool); 7] = [
            (|n, line| if line == "CONNECT" { "554 go away" } else { yes(n, line) }, true),
            (|n, line| if line.starts_with("MAIL") { "451 not now" } else { yes(n, line) }, true),
            (|n, line| if line.starts_with("RCPT") { "450 4.2.0 greylisted" } else { yes(n, line) }, true),
            (|n, line| if line == "DATA" { "" } else { yes(n, line) }, true),
            (|n, line| if line.starts_with("RCPT") { "550 5.1.1 nobody" } else { yes(n, line) }, false),
            (|n, line| if line == "." { "451 disk full" } else { yes(n, line) }, false),
            (|n, line| if line == "." { "" } else { yes(n, line) }, false),
        ];
        for (index, (answer, goes_on)) in refuses_at.into_iter().enumerate() {
            let (first, second) = (Fake::start(answer, None).await, Fake::start(yes, None).await);
            let result = by(&[&first, &second]).deliver(&to("me@example.org")).await;
            assert_eq!(result.is_ok(), goes_on, "{index}: {result:?}");
            assert_eq!(second.connections(), usize::from(goes_on), "{index}");
        }
    }

    #[tokio::test]
    async fn a_relay_that_closes_its_door_or_refuses_the_password_is_left_alone_for_a_while() {
        let closed = Fake::start(|_, _| "421 4.7.0 too many connections", None).await;
        let channel = by(&[&closed]);
        for _ in 0..3 {
            let busy = channel.deliver(&to("me@example.org")).await;
            assert!(
                matches!(&busy, Err(DeliveryError::Busy { error, .. }) if error.contains("too many connections")),
                "{busy:?}"
            );
        }
        assert_eq!(closed.connections(), 1);
        let strict = Fake::start(
            |n, line| match line.split(' ').next().unwrap_or_default() {
                "EHLO" => "250-here\r\n250 AUTH PLAIN LOGIN",
                "AUTH" => "535 5.7.8 wrong",
                _ => yes(n, line),
            },
            None,
        )
        .await;
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "hunter2\n").unwrap();
        let channel = good(&format!(
            "server = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"w@example.org\"\nusername = \"w\"\npassword_file = {secret:?}\n",
            strict.port
        ));
        for _ in 0..3 {
            let refused = channel.deliver(&to("me@example.org")).await.unwrap_err();
            assert!(matches!(refused, DeliveryError::Busy { .. }), "{refused:?}");
            assert!(
                refused.to_string().contains("535 5.7.8 wrong") && refused.to_string().contains("check `username`")
            );
            assert!(!refused.to_string().contains("hunter2"));
        }
        assert_eq!(strict.connections(), 1);
    }

    #[tokio::test]
    async fn a_relay_that_cannot_be_reached_is_not_asked_for_each_mail_again() {
        let first = Fake::start(|_, _| "", None).await;
        let second = Fake::start(yes, None).await;
        let channel = by(&[&first, &second]);
        for _ in 0..3 {
            assert_eq!(channel.deliver(&to("me@example.org")).await, Ok(()));
        }
        assert_eq!((first.connections(), second.connections()), (1, 1));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let channel =
            good(&format!("server = \"127.0.0.1\"\nport = {free}\nsecurity = \"none\"\nfrom = \"w@example.org\"\n"));
        for _ in 0..2 {
            let failed = channel.deliver(&to("me@example.org")).await;
            let Err(DeliveryError::Temporary(text)) = failed else { panic!("{failed:?}") };
            assert!(text.starts_with(&format!("127.0.0.1:{free}, connecting: ")), "{text}");
            assert!(text.contains("nothing listens on this port"), "{text}");
        }
    }

    /// Another number each time: authorities of one name are taken for one another.
    fn fresh() -> usize {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// An authority of our own and a server with a certificate of it for `name`.
    fn authority(name: &str) -> (String, TlsAcceptor) {
        let mut wanted = rcgen::CertificateParams::new(Vec::new()).unwrap();
        wanted.distinguished_name.push(rcgen::DnType::CommonName, format!("authority of {name} {}", fresh()));
        wanted.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::CertifiedIssuer::self_signed(wanted, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec![name.to_string()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.der().clone()], key);
        (issuer.pem(), TlsAcceptor::from(Arc::new(config.unwrap())))
    }

    fn with_tls(n: usize, line: &str) -> &'static str {
        match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN",
            "STARTTLS" => "220 go on",
            "AUTH" => "235 welcome",
            _ => yes(n, line),
        }
    }

    #[tokio::test]
    async fn a_password_is_said_only_to_a_server_with_a_good_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let secret = file("secret", "hunter2");
        let (pem, acceptor) = authority("localhost");
        let own = file("ca.pem", &pem);
        let (other_pem, _) = authority("localhost");
        let other = file("other.pem", &other_pem);
        let (wrong_pem, wrong_acceptor) = authority("mail.example.org");
        let wrong = file("wrong.pem", &wrong_pem);
        let hides: Answer = |n, line| if line.starts_with("EHLO") { "250 here" } else { yes(n, line) };
        // Whom it trusts, what the server does, and what is said then.
        let cases: [(&std::path::Path, TlsAcceptor, Answer, &str); 4] = [
            (&own, acceptor.clone(), with_tls, ""),
            (&other, acceptor.clone(), with_tls, "name its certificate in `ca_file`"),
            (&wrong, wrong_acceptor, with_tls, "write the name that is in the certificate as `server`"),
            (&own, acceptor, hides, "it offers no STARTTLS, and nothing is sent unencrypted"),
        ];
        for (trusted, acceptor, answer, problem) in cases {
            let fake = Fake::start(answer, Some(acceptor)).await;
            let channel = good(&format!(
                "server = \"localhost\"\nport = {}\nfrom = \"w@example.org\"\nusername = \"w\"\npassword_file = {secret:?}\nca_file = {trusted:?}\n",
                fake.port
            ));
            let mut told = Vec::new();
            let result =
                channel.rehearse(&to("me@example.org"), &mut |step, text| told.push(format!("{step}: {text}"))).await;
            let is_good = problem.is_empty();
            assert_eq!(result.is_ok(), is_good, "{result:?}");
            assert_eq!(fake.was_told("AUTH"), is_good);
            assert_eq!(fake.was_told("MAIL"), is_good);
            let told = told.join("\n");
            assert!(told.contains(problem), "{problem}: {told}");
            assert!(!told.contains("hunter2"));
            if is_good {
                assert!(
                    told.contains("TLS: encrypted, with a trusted certificate for localhost, valid until "),
                    "{told}"
                );
                assert!(told.contains("mail: taken: 250 yes"), "{told}");
            } else {
                assert!(matches!(result, Err(DeliveryError::Temporary(_))));
            }
        }
    }
}
