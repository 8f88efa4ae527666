//! Mail by the real binary: through a command, into a Maildir, and through a real mail system (Postfix and Dovecot, where they
//! are installed) from which it is read back by IMAP.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, or says what it leaves out"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::SignedDuration;
use newswatch::clock::Clock;
use newswatch::config::Config;
use newswatch::model::{DeliveryKind, Id};
use newswatch::notifier::Notifier;
use newswatch::notifier::channel::{DeliveryError, Message};
use newswatch::store::{Durability, Store};
use support::{Folder, PROFILE, Web, manifest, rss, source, wait_until};

const QUIET: (&str, &str, &str) = ("1", "Harbour news", "A quiet day.");
const HIT: (&str, &str, &str) = ("2", "북한: a chair stays empty", "They took the observer seat away.");

/// A watcher of one source whose hits go out by these channels and routes.
fn folder(web: &Web, out: &str) -> Folder {
    let general =
        "[fetch]\nallow = [\"127.0.0.1/32\"]\ninterval = \"1s\"\ninterval_min = \"1s\"\nhost_gap = \"0s\"\n\n";
    let folder = Folder::new(&format!("{general}{out}\n{}", source("wire", &format!("{}/feed", web.base), "")));
    folder.write("profiles.d/seat.toml", PROFILE);
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_command_gets_the_mail_and_its_exit_code_decides() {
    let web = Web::start();
    let folder = folder(
        &web,
        "[[channel]]\nname = \"mail\"\nkind = \"sendmail\"\ncommand = \"COMMAND\"\nfrom = \"newswatch <watch@example.org>\"\n\n\
         [[route]]\nname = \"desk\"\nchannel = \"mail\"\nto = [\"me@example.org\", \"nobody@example.org\"]\n",
    );
    // Like sendmail: what comes last is the recipient, and 67 is "no such user".
    folder.write(
        "sendmail",
        "#!/bin/sh\nfor to; do :; done\ncd \"$(dirname \"$0\")\"\ncase $to in nobody@*) echo unknown user >&2; exit 67;; esac\n\
         [ -e refuse ] && exit 75\ncat > \"mail-to-$to\"\n",
    );
    let command = folder.path().join("sendmail");
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = folder.read("newswatch.toml").replace("COMMAND", &command.display().to_string());
    folder.write("newswatch.toml", &text);
    folder.run(&["check"]).ok().says("mail by the command ").says(" from watch@example.org");

    folder.run(&["mail-test", "--to", "me@example.org"]).ok().says("delivery    taken").says("Sent.");
    assert!(folder.read("mail-to-me@example.org").contains("\nSubject: newswatch: a test\n"));
    let refused = folder.run(&["mail-test", "--to", "nobody@example.org"]);
    assert_eq!(refused.code, 1);
    refused.says("FAILED: ").says("there is no such recipient (67): unknown user").says("It would never be delivered.");

    web.put("/feed", rss(&web.base, &[QUIET]));
    folder.run(&["run", "--once"]).ok();
    folder.write("refuse", "");
    web.put("/feed", rss(&web.base, &[HIT, QUIET]));
    folder.run(&["run", "--once"]).ok().says("was given up: ").says("newswatch outbox retry");
    let list = folder.run(&["outbox", "list"]).ok();
    list.says("waiting  alert of route desk to me@example.org").says("it wants to be asked later (75)");
    list.says("dead  alert of route desk to nobody@example.org").says("unknown user");
    let waiting = list.out.lines().find(|line| line.contains("waiting")).unwrap();
    let id = waiting.split_whitespace().next().unwrap();

    std::fs::remove_file(folder.path().join("refuse")).unwrap();
    folder.run(&["outbox", "retry", id]).ok();
    folder.run(&["run", "--once"]).ok();
    let mail = folder.read("mail-to-me@example.org");
    assert!(mail.contains(&format!("\nMessage-ID: <newswatch.{id}@example.org>\n")), "{mail}");
    folder.run(&["outbox", "list", "--state", "sent"]).ok().says(id);
}

#[test]
fn a_maildir_gets_each_mail_once() {
    let web = Web::start();
    let folder = folder(
        &web,
        "[[channel]]\nname = \"box\"\nkind = \"maildir\"\npath = \"Mail\"\nfrom = \"newswatch <watch@example.org>\"\n\n\
         [[route]]\nname = \"desk\"\nchannel = \"box\"\n",
    );
    web.put("/feed", rss(&web.base, &[QUIET]));
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", rss(&web.base, &[HIT, QUIET]));
    folder.run(&["run", "--once"]).ok().says("1 message");
    let new = folder.path().join("Mail/new");
    let mails = files(&new);
    assert_eq!(mails.len(), 1);
    let mail = std::fs::read_to_string(&mails[0]).unwrap();
    assert!(mail.contains("\nTo: watch@example.org\n") && mail.contains("\nX-Newswatch-Profiles: seat\n"), "{mail}");
    assert!(!mail.contains('\r'));

    // The same row once more, as after a crash: the mail is where the mail program put it, and no other is added.
    let name = mails[0].file_name().unwrap().to_str().unwrap();
    std::fs::rename(&mails[0], folder.path().join("Mail/cur").join(format!("{name}:2,S"))).unwrap();
    let id = name.rsplit('-').next().unwrap();
    repeat(&folder, id);
    folder.run(&["outbox", "list"]).ok().says(&format!("{id}  sent"));
    assert_eq!(files(&new).len(), 0);
    folder.run(&["mail-test", "--to", "me@example.org"]).ok().says("Look into the folder");
    assert_eq!(files(&new).len(), 1);
}

/// Delivers a row that was delivered already, as when the program was killed before it could note that.
fn repeat(folder: &Folder, id: &str) {
    let url = format!("sqlite:{}", folder.path().join("newswatch.sqlite").display());
    let config = Config::load(Some(folder.path())).unwrap();
    runtime().block_on(async {
        let store = Store::open(&url, Durability::Full).await.unwrap();
        let row = store.outbox("", 10).await.unwrap().into_iter().find(|row| row.id == id.parse().unwrap()).unwrap();
        let route = config.routes.iter().find(|route| route.name == row.route).unwrap();
        let message = Message {
            id: row.id,
            kind: row.kind,
            route: row.route.clone(),
            recipient: row.recipient.clone(),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            images: vec![],
            hits: vec![],
            thread: None,
            created_at: row.first_due_at(),
            attempted_at: row.first_due_at(),
            report: Vec::new(),
            window: None,
            repeated: true,
        };
        config.channels[&route.channel].deliver(&message).await.unwrap();
        store.close().await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Postfix and Dovecot as instances of their own; they end with it.
struct MailSystem {
    folder: tempfile::TempDir,
    smtp: u16,
    imap: u16,
}

impl MailSystem {
    /// `None`, after saying why, where it cannot be had; with NEWSWATCH_TEST_MAIL_SYSTEM set that is a failure.
    fn start() -> Option<MailSystem> {
        let folder = tempfile::Builder::new().prefix("newswatch-mail").tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let system = MailSystem { folder, smtp: free(), imap: free() };
        let mut wanted = rcgen::CertificateParams::new(Vec::new()).unwrap();
        wanted.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        wanted.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
        let issuer = rcgen::CertifiedIssuer::self_signed(wanted, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        for (name, text) in [
            ("ca.pem", issuer.pem()),
            ("cert.pem", made.pem()),
            ("key.pem", key.serialize_pem()),
            ("password", "hunter2".into()),
        ] {
            std::fs::write(system.path().join(name), text).unwrap();
        }
        let started = Command::new(manifest("tests/mail_system/system"))
            .arg("start")
            .arg(system.path())
            .args([system.smtp.to_string(), system.imap.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&started.stdout).into_owned() + &String::from_utf8_lossy(&started.stderr);
        match started.status.code() {
            Some(0) => {
                for port in [system.smtp, system.imap] {
                    wait_until("the mail system answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
                }
                Some(system)
            }
            Some(77) if std::env::var_os("NEWSWATCH_TEST_MAIL_SYSTEM").is_none() => {
                eprintln!("SKIPPED: mail was not tried with a real mail system: {}", said.trim());
                None
            }
            _ => panic!("the mail system does not start: {said}"),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The mails of the mailbox, and how its server sorts them into conversations.
    fn read_back(&self) -> (Vec<serde_json::Value>, String) {
        let ran = Command::new("python3")
            .arg(manifest("tests/mail_system/read_back.py"))
            .arg(self.imap.to_string())
            .arg(self.path().join("ca.pem"))
            .arg("hunter2")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let lines = String::from_utf8(ran.stdout).unwrap();
        let mut mails: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let threads = mails.pop().unwrap()["threads"].as_str().unwrap().to_string();
        (mails, threads)
    }

    fn wait_for(&self, count: usize) {
        let boxes = ["new", "cur"].map(|part| self.path().join("mailboxes/desk").join(part));
        wait_until("the mails are in the mailbox", || {
            boxes.iter().map(|folder| files(folder).len()).sum::<usize>() == count
        });
    }
}

impl Drop for MailSystem {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["start.log", "postfix.log", "dovecot.log"] {
                eprintln!("{name}:\n{}", std::fs::read_to_string(self.path().join(name)).unwrap_or_default());
            }
        }
        let _ = Command::new(manifest("tests/mail_system/system")).arg("stop").arg(self.path()).status();
    }
}

fn header<'a>(mail: &'a serde_json::Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name));
    found.unwrap_or_else(|| panic!("{name} is missing in {mail:#}"))[1].as_str().unwrap()
}

#[test]
fn a_real_mail_system_takes_alert_digest_and_answer_and_gives_them_back() {
    let Some(system) = MailSystem::start() else { return };
    let web = Web::start();
    let hours: Vec<String> = (0..24).map(|hour| format!("\"{hour:02}:00\"")).collect();
    let folder = folder(
        &web,
        &format!(
            "[[channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"localhost\"\nport = {}\nusername = \"desk\"\n\
             password_file = \"{1}/password\"\nca_file = \"{1}/ca.pem\"\nfrom = \"newswatch, Küche <watch@lab.test>\"\n\n\
             [[route]]\nname = \"alerts\"\nchannel = \"mail\"\nto = [\"desk@lab.test\"]\n\n\
             [[route]]\nname = \"daily\"\nchannel = \"mail\"\nto = [\"desk@lab.test\"]\n\
             [route.digest]\nat = [{2}]\ntime_zone = \"UTC\"\nempty = \"never\"\n",
            system.smtp,
            system.path().display(),
            hours.join(", ")
        ),
    );
    let tested = folder.run(&["mail-test", "--to", "nobody@lab.test"]);
    tested.says("TLS         encrypted, with a trusted certificate for localhost, valid until ");
    tested.says("log-in      accepted as desk").says("recipient   FAILED: 550 5.1.1 ").never_says("hunter2");
    assert_eq!(tested.code, 1);

    web.put("/feed", rss(&web.base, &[QUIET]));
    folder.run(&["run", "--once"]).ok();
    web.put("/feed", rss(&web.base, &[HIT, QUIET]));
    folder.run(&["run", "--once"]).ok().says("1 message");
    system.wait_for(1);

    // Two hours later the digest is due; and the story goes on.
    let url = format!("sqlite:{}", folder.path().join("newswatch.sqlite").display());
    let config = Arc::new(Config::load(Some(folder.path())).unwrap());
    runtime().block_on(async {
        let store = Store::open(&url, Durability::Full).await.unwrap();
        let clock = Clock::simulated(Clock::system().now() + SignedDuration::from_hours(2));
        let mut notifier = Notifier::new(store.clone(), config.clone(), clock.clone(), "test");
        while store.outbox("waiting", 10).await.unwrap().iter().any(|row| row.kind == DeliveryKind::Digest) {
            notifier.step(clock.now()).await.unwrap();
            if !notifier.is_idle() {
                notifier.delivery_finished().await;
            }
        }
        notifier.step(clock.now()).await.unwrap();
        let alert = store.outbox("sent", 10).await.unwrap().into_iter().find(|row| row.kind == DeliveryKind::Alert);
        let alert = alert.unwrap();
        let answer = |recipient: &str| Message {
            id: Id::of(&["answer", recipient]),
            kind: DeliveryKind::Alert,
            route: "alerts".into(),
            recipient: recipient.into(),
            subject: "Update".into(),
            text: ".\n..\nFrom the desk\n".into(),
            html: "<p>.</p>".into(),
            images: vec![],
            hits: vec![],
            thread: Some(alert.id),
            created_at: alert.created_at,
            attempted_at: alert.created_at,
            report: Vec::new(),
            window: None,
            repeated: false,
        };
        let channel = &config.channels["mail"];
        channel.deliver(&answer("desk@lab.test")).await.unwrap();
        let nobody = channel.deliver(&answer("nobody@lab.test")).await.unwrap_err();
        assert!(matches!(&nobody, DeliveryError::Permanent(text) if text.contains("550 5.1.1")), "{nobody}");
        store.close().await;
    });
    system.wait_for(3);

    let (mails, threads) = system.read_back();
    let of_subject = |part: &str| mails.iter().position(|mail| header(mail, "Subject").contains(part)).unwrap();
    let (alert, update) = (of_subject("북한: a chair stays empty"), of_subject("Update"));
    let digest = (0..3).find(|index| ![alert, update].contains(index)).unwrap();
    assert!(threads.contains(&format!("({} {})", alert + 1, update + 1)), "{threads}");
    assert!(threads.contains(&format!("({})", digest + 1)), "{threads}");
    assert_eq!(header(&mails[update], "In-Reply-To"), header(&mails[alert], "Message-ID"));
    assert_eq!(header(&mails[update], "References"), header(&mails[alert], "Message-ID"));
    assert_eq!(mails[update]["text"].as_str().unwrap().replace("\r\n", "\n").trim_end(), ".\n..\nFrom the desk");
    for (mail, route, kind) in [(alert, "alerts", "alert"), (digest, "daily", "digest"), (update, "alerts", "alert")] {
        let mail = &mails[mail];
        assert_eq!(mail["defects"], serde_json::json!([]), "{mail:#}");
        assert_eq!(mail["from"], serde_json::json!([["newswatch, Küche", "watch@lab.test"]]));
        assert_eq!(mail["parts"][0], "multipart/alternative");
        assert!(mail["longest"].as_u64().unwrap() <= 998);
        assert_eq!(header(mail, "X-Newswatch-Route"), route);
        assert_eq!(header(mail, "X-Newswatch-Kind"), kind);
        assert_eq!(header(mail, "List-Id"), format!("<{route}.newswatch.lab.test>"));
        assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
        assert!(header(mail, "List-Unsubscribe").starts_with("<mailto:watch@lab.test?subject="));
        assert!(header(mail, "Message-ID").starts_with("<newswatch."));
        // Encrypted and logged in, says Postfix.
        assert!(header(mail, "Received").contains("with ESMTPSA"), "{mail:#}");
    }
    assert!(mails[digest]["text"].as_str().unwrap().contains("북한: a chair stays empty"));
    assert!(mails[digest]["html"].as_str().unwrap().contains("북한: a chair stays empty"));
}
