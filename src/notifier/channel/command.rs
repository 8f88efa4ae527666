//! A command: a program that is given the message as JSON ([`super::payload`]) on its standard input.
//!
//! * `command = ["/path/to/program", "argument"]`: no shell reads it, and nothing from outside becomes an argument.
//! * Its environment is `PATH`, `LANG=C.UTF-8`, `NEWSWATCH_ID` (the outbox row, the same with each repeat), `NEWSWATCH_KIND`,
//!   `NEWSWATCH_ROUTE`, and what `environment = ["HOME"]` names of newswatch's own; its folder is `/`.
//! * It ends within `timeout`; else it is killed with all that it started (its process group).
//! * Exit code 0: sent. 65 (`EX_DATAERR` of sysexits.h): never send this message again. Anything else, 75 (`EX_TEMPFAIL`)
//!   above all: again later, for a script that fails by mistake must not lose a message.
//! * What it writes is read to its end and thrown away, but for the beginning of its standard error, which stands in the error.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::payload::Payload;
use super::{Channel, DeliveryError, Message};
use crate::config::section::{Section, show_duration};
use crate::plain;

/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Kept of what the program writes.
const OUTPUT_MAX: u64 = 4 << 10;
/// A program that has ended may have left others behind that hold its pipes; these are not waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// "This message is wrong" (`EX_DATAERR`).
const NEVER: i32 = 65;

/// The settings of a command.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<String>,
    timeout: Duration,
}

/// Reads `command`, `timeout`, `environment`.
pub fn settings(section: &mut Section<'_>) -> Option<Arc<dyn Channel>> {
    if !section.has("command") {
        _ = section.required_text("command");
    }
    let mut words = section.texts("command");
    if words.as_ref().is_some_and(Vec::is_empty) {
        section.problem("command", "`command` is empty: write [\"/path/to/program\", \"argument\"]");
        words = None;
    }
    let place = section.place();
    let mut words = words.map(Vec::into_iter);
    let program = words.as_mut().and_then(Iterator::next);
    let path = program.and_then(|program| match find(&program, Path::new(&*place.file).parent()) {
        Ok(path) => Some(path),
        Err(error) => {
            section.problem_in("command", 0, error);
            None
        }
    });
    let environment = section.texts("environment").unwrap_or_default();
    for (index, name) in environment.iter().enumerate() {
        if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("NEWSWATCH_") {
            let advice = "write the names of variables that are handed on, such as [\"HOME\"]";
            section.problem_in("environment", index, format!("{name:?} is not such a name; {advice}"));
        }
    }
    let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(200));
    Some(Arc::new(Program {
        path: path?,
        arguments: words.map(Iterator::collect).unwrap_or_default(),
        environment,
        timeout: timeout.unwrap_or(Duration::from_secs(60)),
    }))
}

/// The program itself: a path, which starts at the folder of the configuration unless it is absolute.
fn find(program: &str, folder: Option<&Path>) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;
    if !program.contains('/') {
        return Err(format!("{program:?} must be a path, such as \"/usr/local/bin/{program}\""));
    }
    let path = folder.unwrap_or(Path::new("")).join(program);
    // The folder of the program is not ours.
    let path = std::path::absolute(&path).unwrap_or(path);
    match std::fs::metadata(&path) {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(metadata) if !metadata.is_file() => Err(format!("{} is not a file", path.display())),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(format!("{} may not be run: chmod +x {0}", path.display()))
        }
        Ok(_) => Ok(path),
    }
}

impl Channel for Program {
    fn kind(&self) -> &'static str {
        "command"
    }

    fn describe(&self) -> String {
        let words = self.arguments.iter().map(|argument| format!(" {argument}")).collect::<String>();
        let timeout = show_duration(self.timeout);
        format!("JSON to the command {}{words}, for {timeout} at most", self.path.display())
    }

    fn needs_recipients(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(self.run(message))
    }
}

impl Program {
    async fn run(&self, message: &Message) -> Result<(), DeliveryError> {
        let name = self.path.display();
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (key, value) in self.environment.iter().filter_map(|key| Some((key, std::env::var_os(key)?))) {
            command.env(key, value);
        }
        for (key, value) in [
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("NEWSWATCH_ID", &message.id.to_string()),
            ("NEWSWATCH_KIND", message.kind.as_str()),
            ("NEWSWATCH_ROUTE", &message.route),
        ] {
            if !self.environment.iter().any(|own| own == key) {
                command.env(key, value);
            }
        }
        let child = command.spawn().map_err(|error| DeliveryError::Temporary(format!("cannot run {name}: {error}")))?;
        let mut group = Group::of(child);
        let json = Payload::of(message).json();
        match tokio::time::timeout(self.timeout, group.ended(json.as_bytes())).await {
            Ok(Ok((status, errors))) => verdict(status, &format!("{name}"), &errors),
            Ok(Err(error)) => Err(DeliveryError::Temporary(format!("{name}: {error}"))),
            Err(_) => {
                let timeout = show_duration(self.timeout);
                Err(DeliveryError::Uncertain(format!("{name} did not end within {timeout} and was killed")))
            }
        }
    }
}

/// What follows from the way a program ended.
fn verdict(status: ExitStatus, name: &str, errors: &str) -> Result<(), DeliveryError> {
    let said = plain::line(errors, 200);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status.code() {
        Some(0) => Ok(()),
        Some(NEVER) => Err(DeliveryError::Permanent(format!("{name} says that this message is wrong (65){said}"))),
        Some(code) => Err(DeliveryError::Temporary(format!("{name} ended with exit code {code}{said}"))),
        None => Err(DeliveryError::Uncertain(format!("{name} was killed ({status}){said}"))),
    }
}

/// A program with all that it starts; what still runs when this is dropped is killed.
struct Group {
    child: Child,
    /// The number of its group for as long as it is surely its own: until the program has ended and was waited for.
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Group {
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Group { child, id }
    }

    /// Feeds it and waits for its end. Hands back what it wrote on standard error.
    async fn ended(&mut self, input: &[u8]) -> std::io::Result<(ExitStatus, String)> {
        let (stdin, out, errors) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // One that has seen enough closes its end.
                _ = stdin.write_all(input).await;
            }
        };
        let (mut written, mut said) = (Vec::new(), Vec::new());
        let status = {
            let talk = async { tokio::join!(feed, read(out, &mut written), read(errors, &mut said)) };
            tokio::pin!(talk);
            let mut is_quiet = false;
            let status = loop {
                tokio::select! {
                    status = self.child.wait() => break status?,
                    _ = &mut talk, if !is_quiet => is_quiet = true,
                }
            };
            self.id = None;
            if !is_quiet {
                _ = tokio::time::timeout(LAST_WORDS, &mut talk).await;
            }
            status
        };
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may have ended just now.
            _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// Keeps the beginning and reads the rest, so that nobody waits to be read.
async fn read(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    if let Some(mut from) = from {
        // A pipe that breaks ends the text.
        _ = (&mut from).take(OUTPUT_MAX).read_to_end(into).await;
        _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::tests::{hit, message};
    use super::*;
    use crate::model::DeliveryKind;

    fn read(text: &str) -> (Option<Arc<dyn Channel>>, Vec<String>) {
        super::super::from_text(settings, text)
    }

    /// A shell that runs a script with one argument.
    fn shell(script: &str, argument: &Path, timeout: u64) -> Program {
        let arguments = ["-c", script, "sh"].map(str::to_string).into_iter().chain([argument.display().to_string()]);
        let environment = vec!["HOME".to_string()];
        let timeout = Duration::from_secs(timeout);
        Program { path: "/bin/sh".into(), arguments: arguments.collect(), environment, timeout }
    }

    #[tokio::test]
    async fn a_program_is_given_the_message_and_little_else() {
        let folder = tempfile::tempdir().unwrap();
        let message = message(DeliveryKind::Alert, vec![hit(1, "$(touch evil) `x` \"")]);
        let program = shell("cat > $1/json; env | cut -d= -f1 | sort > $1/env; pwd > $1/pwd; id", folder.path(), 60);
        assert_eq!(program.deliver(&message).await, Ok(()));
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("json"), Payload::of(&message).json());
        assert_eq!(read("pwd"), "/\n");
        for name in read("env").lines() {
            let known = ["HOME", "LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
            assert!(known || name.starts_with("NEWSWATCH_"), "{name}");
        }
        assert!(read("env").contains("NEWSWATCH_ID\nNEWSWATCH_KIND\nNEWSWATCH_ROUTE\n"));
    }

    #[tokio::test]
    async fn exit_codes_have_their_meaning() {
        let folder = tempfile::tempdir().unwrap();
        let message = message(DeliveryKind::Alert, vec![hit(1, "One")]);
        let run = async |script: &str| shell(script, folder.path(), 60).deliver(&message).await;
        assert_eq!(run("exit 0").await, Ok(()), "also when it reads nothing");
        assert_eq!(
            run("echo 'no \u{1b}[31mroom' >&2; exit 75").await,
            Err(DeliveryError::Temporary("/bin/sh ended with exit code 75: no room".into()))
        );
        assert!(matches!(run("exit 1").await, Err(DeliveryError::Temporary(_))));
        assert!(matches!(run("exit 65").await, Err(DeliveryError::Permanent(_))));
        assert!(matches!(run("kill -9 $$").await, Err(DeliveryError::Uncertain(text)) if text.contains("killed")));
        let much = run("head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; exit 3").await;
        assert!(matches!(&much, Err(DeliveryError::Temporary(text)) if text.len() < 1_000), "{much:?}");
        let missing = Program { path: "/none".into(), ..shell("", folder.path(), 1) };
        assert!(
            matches!(missing.deliver(&message).await, Err(DeliveryError::Temporary(text)) if text.starts_with("cannot run"))
        );
    }

    #[tokio::test]
    async fn on_timeout_it_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let message = message(DeliveryKind::Alert, vec![]);
        let script = "sleep 1000 & echo $! > $1/child; echo $$ > $1/own; wait";
        let error = shell(script, folder.path(), 1).deliver(&message).await;
        assert_eq!(error, Err(DeliveryError::Uncertain("/bin/sh did not end within 1 s and was killed".into())));
        for name in ["child", "own"] {
            let id = std::fs::read_to_string(folder.path().join(name)).unwrap();
            let stat = format!("/proc/{}/stat", id.trim());
            // Killed at once; its entry goes when somebody waits for it.
            let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
            for _ in 0..1_000 {
                if gone() {
                    break;
                }
                tokio::task::yield_now().await;
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(gone(), "{name} still runs");
        }
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 1000 & echo $! > $1/child; exit 0";
        let began = std::time::Instant::now();
        assert_eq!(shell(script, folder.path(), 100).deliver(&message(DeliveryKind::Alert, vec![])).await, Ok(()));
        assert!(began.elapsed() < Duration::from_secs(50));
        let id = std::fs::read_to_string(folder.path().join("child")).unwrap();
        let id = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(id, Signal::KILL).unwrap();
    }

    #[test]
    fn mistakes_are_named_with_advice() {
        let (channel, problems) = read("command = [\"/bin/sh\", \"-c\", \"x\"]\ntimeout = \"5s\"\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(channel.unwrap().describe(), "JSON to the command /bin/sh -c x, for 5 s at most");
        for (text, expected) in [
            ("", "needs `command`"),
            ("command = []\n", "`command` is empty"),
            ("command = \"notify\"\n", "must be a list"),
            ("command = [\"notify\"]\n", "must be a path, such as \"/usr/local/bin/notify\""),
            ("command = [\"/none/such\"]\n", "No such file"),
            ("command = [\"/etc/passwd\"]\n", "may not be run: chmod +x /etc/passwd"),
            ("command = [\"/bin/sh\"]\nenvironment = [\"A=B\"]\n", "not such a name"),
        ] {
            let (_, problems) = read(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }
}
