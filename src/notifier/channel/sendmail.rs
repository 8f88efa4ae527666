//! Mail by a command of this machine that takes a mail on its standard input: sendmail, or what calls itself so (Postfix,
//! Exim, msmtp). No shell is involved.
//!
//! The exit code is one of sysexits.h. Only what is about the mail or its recipient is final; whatever is about this machine
//! or the command's own settings is tried again, since it will be mended:
//!
//! | exit code | what follows |
//! | --- | --- |
//! | 0 | taken |
//! | 65 data error, 67 no such user, 68 no such host | dead at once, loudly |
//! | 75 try later, 64 usage, 69 to 74, 76 to 78, any other | later |
//! | ended by a signal, or not in time | nobody knows: the same mail with the same Message-ID, later and more seldom |
//!
//! Where newswatch runs with NoNewPrivileges (as in its systemd unit) Postfix's sendmail cannot reach its queue; SMTP to this
//! machine can.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::email::{Mail, Sender, write_mail};
use super::{Channel, DeliveryError, Message};
use crate::config::section::Section;
use crate::plain;

/// The command when none is named.
const USUAL: &str = "/usr/sbin/sendmail";
/// Bytes kept of what the command says.
const SAID_MAX: u64 = 4_096;
/// What it needs of our surroundings; the rest may hold secrets.
const KEPT_VARIABLES: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ"];

/// The settings.
struct Sendmail {
    /// Program and its first arguments.
    command: Vec<String>,
    sender: Sender,
    timeout: Duration,
}

impl std::fmt::Debug for Sendmail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Reads `command`, `from`, `unsubscribe`, `timeout`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    let sender = Sender::from_section(section);
    let command = section.text_or_texts("command").unwrap_or_else(|| vec![USUAL.to_string()]);
    if !command.first().is_some_and(|program| program.starts_with('/')) {
        let advice = format!("write it like \"{USUAL}\" or [\"/usr/bin/msmtp\", \"--account=desk\"]");
        section.problem("command", format!("`command` must begin with the whole path of a program; {advice}"));
    } else if command.first().is_some_and(|program| !std::path::Path::new(program).is_file()) {
        section.problem("command", format!("`command`: there is no program {}", command[0]));
    }
    let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(200));
    Some(Arc::new(Sendmail { command, sender: sender?, timeout: timeout.unwrap_or(Duration::from_secs(60)) }))
}

impl Channel for Sendmail {
    fn kind(&self) -> &'static str {
        "sendmail"
    }

    fn describe(&self) -> String {
        let program = self.command.first().map_or(USUAL, String::as_str);
        format!("mail by the command {program} from {}", self.sender.address())
    }

    fn needs_recipients(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let mail = write_mail(message, &self.sender)?;
            self.run(&mail).await
        })
    }
}

impl Sendmail {
    async fn run(&self, mail: &Mail) -> Result<(), DeliveryError> {
        let [program, first @ ..] = self.command.as_slice() else {
            return Err(DeliveryError::Temporary("there is no command".to_string()));
        };
        let mut command = Command::new(program);
        // -i: a line with a dot alone is text. What follows "--" is an address even if it looks like an option.
        command.args(first).args(["-i", "-f", mail.from(), "--", mail.to()]);
        command.env_clear().envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A group of its own: what it starts ends with it.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| DeliveryError::Temporary(format!("{program} cannot be run: {error}")))?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        let ended = tokio::time::timeout(self.timeout, converse(&mut child, &mail.with_local_line_ends())).await;
        match ended {
            Ok(Ok((status, said))) => outcome(program, status, &said),
            Ok(Err(error)) => Err(DeliveryError::Uncertain(format!("{program}: {error}"))),
            Err(_) => {
                if let Some(group) = group {
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let seconds = self.timeout.as_secs();
                Err(DeliveryError::Uncertain(format!("{program} did not come to an end within {seconds} s")))
            }
        }
    }
}

/// Gives the child the mail and waits for its end; hands back what it said.
async fn converse(child: &mut Child, mail: &[u8]) -> std::io::Result<(ExitStatus, String)> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // One that has seen enough closes its end; its exit code says what came of it.
            let _ = input.write_all(mail).await;
            let _ = input.shutdown().await;
        }
    };
    let (_, output, errors, status) = tokio::join!(feed, read_some(output), read_some(errors), child.wait());
    Ok((status?, format!("{errors} {output}")))
}

/// The beginning of what comes; the rest is read and dropped, so that nobody waits for us.
async fn read_some(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let _ = (&mut from).take(SAID_MAX).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn outcome(program: &str, status: ExitStatus, said: &str) -> Result<(), DeliveryError> {
    let said = plain::line(said, 400);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let Some(code) = status.code() else {
        return Err(DeliveryError::Uncertain(format!("{program} was ended ({status}){said}")));
    };
    let (meaning, is_final) = match code {
        0 => return Ok(()),
        64 => ("it does not understand how it was called (64)", false),
        65 => ("it does not take this mail (65)", true),
        67 => ("there is no such recipient (67)", true),
        68 => ("there is no such mail domain (68)", true),
        69 => ("it cannot do its work now (69)", false),
        75 => ("it wants to be asked later (75)", false),
        77 => ("it may not do this, or the log-in was refused (77)", false),
        78 => ("its own configuration is wrong (78)", false),
        _ => ("it failed", false),
    };
    let meaning = if meaning == "it failed" { format!("it failed (exit code {code})") } else { meaning.to_string() };
    let text = format!("{program}: {meaning}{said}");
    Err(if is_final { DeliveryError::Permanent(text) } else { DeliveryError::Temporary(text) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::{DeliveryKind, Id, Timestamp};

    fn channel(text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
        super::super::from_text(settings, text)
    }

    /// Runs a script in the place of sendmail; hands back what came of it, and the folder in which it wrote.
    async fn run(script: &str, timeout: &str) -> (Result<(), DeliveryError>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendmail");
        std::fs::write(&path, format!("#!/bin/sh\ncd {:?}\n{script}\n", folder.path())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (channel, problems) =
            channel(&format!("command = [{path:?}, \"--own\"]\nfrom = \"w@example.org\"\ntimeout = \"{timeout}\"\n"));
        assert_eq!(problems, [""; 0]);
        let message = Message {
            id: Id(7),
            kind: DeliveryKind::Alert,
            route: "desk".into(),
            recipient: "me@example.org".into(),
            subject: "subject".into(),
            text: "text".into(),
            html: "<p>text</p>".into(),
            images: vec![],
            hits: vec![],
            thread: None,
            window: None,
            created_at: Timestamp::UNIX_EPOCH,
            attempted_at: Timestamp::UNIX_EPOCH,
            report: Vec::new(),
            repeated: false,
        };
        // A script that another test's child still holds open cannot be run for a moment.
        let channel = channel.unwrap();
        loop {
            match channel.deliver(&message).await {
                Err(DeliveryError::Temporary(text)) if text.contains("Text file busy") => continue,
                result => return (result, folder),
            }
        }
    }

    #[tokio::test]
    async fn the_mail_comes_on_standard_input_and_addresses_are_no_options() {
        let (result, folder) = run("cat > mail; echo \"$@\" > arguments; env > variables", "30s").await;
        assert_eq!(result, Ok(()));
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("arguments"), "--own -i -f w@example.org -- me@example.org\n");
        assert!(read("mail").contains("\nSubject: subject\n"));
        assert!(read("mail").contains("\nMessage-ID: <newswatch.000000000007@example.org>\n"));
        assert!(!read("mail").contains('\r'));
        assert!(!read("variables").contains("CARGO"), "surroundings may hold secrets");
    }

    #[tokio::test]
    async fn exit_codes_say_what_follows() {
        for (script, is_final, part) in [
            ("cat > /dev/null; echo no such user >&2; exit 67", true, "no such recipient (67): no such user"),
            ("exit 65", true, "(65)"),
            ("exit 75", false, "(75)"),
            ("exit 64", false, "(64)"),
            ("exit 1", false, "(exit code 1)"),
            ("yes | head -c 1000000; exit 75", false, "(75)"),
        ] {
            let (result, _folder) = run(script, "30s").await;
            let error = result.unwrap_err();
            assert!(error.to_string().contains(part), "{script}: {error}");
            assert!(error.to_string().len() < 1_000);
            assert_eq!(matches!(error, DeliveryError::Permanent(_)), is_final, "{script}");
        }
        let (result, _folder) = run("kill -9 $$", "30s").await;
        assert!(matches!(result, Err(DeliveryError::Uncertain(_))), "{result:?}");
        let (result, _folder) = run("sleep 600", "1s").await;
        assert!(matches!(&result, Err(DeliveryError::Uncertain(text)) if text.contains("within 1 s")), "{result:?}");
    }

    #[test]
    fn a_command_is_checked() {
        for (command, part) in [
            ("\"sendmail\"", "whole path"),
            ("[]", "whole path"),
            ("\"/nowhere/sendmail\"", "there is no program /nowhere/sendmail"),
        ] {
            let (_, problems) = channel(&format!("command = {command}\nfrom = \"w@example.org\"\n"));
            assert!(problems.len() == 1 && problems[0].contains(part), "{command}: {problems:?}");
        }
    }
}
