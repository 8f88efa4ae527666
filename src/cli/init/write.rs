//! The configuration as text.

use std::fmt::Write as _;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::super::probe::Offer;
use super::super::shipped;
use crate::config::MAIN_FILE;
use crate::config::written::quoted;

/// Name of the channel that sends mail.
pub(super) const MAIL: &str = "mail";
/// Name of the route that sends digests.
pub(super) const DIGEST: &str = "digest";

/// A configuration that is to be written.
pub(super) struct Draft {
    pub(super) folder: PathBuf,
    pub(super) allow: Vec<IpNet>,
    pub(super) proxy: Option<Url>,
    pub(super) recipient: Option<String>,
    pub(super) mail: Option<Mail>,
    pub(super) digest: Vec<String>,
    pub(super) days: Vec<String>,
    pub(super) zone: String,
    pub(super) offers: Vec<Offer>,
    pub(super) shipped_sources: bool,
    /// Name and text of the profile that was learned.
    pub(super) learned: Option<(String, String)>,
    pub(super) shipped_profiles: Vec<String>,
}

/// How mail is sent.
pub(super) struct Mail {
    pub(super) server: String,
    pub(super) port: Option<u16>,
    pub(super) security: &'static str,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) from: String,
}

/// Whether mail can be sent.
#[derive(Clone)]
pub(super) enum MailState {
    Works,
    /// Why not.
    Failed(String),
    NotAsked,
}

impl Draft {
    /// The files, the main one first: name below the folder, text.
    pub(super) fn files(&self, mail: &MailState) -> Vec<(String, String)> {
        let mut files = vec![(MAIN_FILE.to_string(), self.main(mail))];
        if !self.offers.is_empty() {
            files.push(("sources.d/sources.toml".to_string(), self.sources()));
        }
        let own = |folder: &str, (name, text): &(&str, &str)| (format!("{folder}/{name}"), text.to_string());
        if self.shipped_sources {
            files.extend(shipped::SOURCES.iter().map(|file| own("sources.d", file)));
        }
        if let Some((name, text)) = &self.learned {
            files.push((format!("profiles.d/{name}.toml"), text.clone()));
        }
        let wanted = |(name, _): &&(&str, &str)| {
            name.strip_suffix(".toml").is_some_and(|name| self.shipped_profiles.iter().any(|wanted| wanted == name))
        };
        files.extend(shipped::PROFILES.iter().filter(wanted).map(|file| own("profiles.d", file)));
        if !self.shipped_profiles.is_empty() {
            files.extend(shipped::ALIASES.iter().map(|file| own("aliases.d", file)));
        }
        files
    }

    fn main(&self, mail: &MailState) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_main(&mut out, mail);
        out
    }

    fn write_main(&self, out: &mut String, mail: &MailState) -> std::fmt::Result {
        out.push_str(HEAD);
        let to = self.recipient.as_deref().unwrap_or("desk@example.org");
        writeln!(out, "# contact = {}", quoted(&format!("mailto:{to}")))?;
        if !self.allow.is_empty() {
            let networks: Vec<String> = self.allow.iter().map(|network| quoted(&network.to_string())).collect();
            writeln!(
                out,
                "# Networks that may be asked although they are not public.\nallow = [{}]",
                networks.join(", ")
            )?;
        }
        if let Some(proxy) = &self.proxy {
            writeln!(out, "# The only way out.\nproxy = {}", quoted(proxy.as_str()))?;
        }
        out.push_str(LOG);
        let (mark, reason) = match mail {
            MailState::Works => ("", String::new()),
            MailState::Failed(why) => {
                ("# ", format!("# It did not work when this was written: {why}.\n# Mend it, take the comment signs away, and try: newswatch mail-test --to {to}\n"))
            }
            MailState::NotAsked => ("# ", "# Nobody is mailed yet: put your own server in, take the comment signs away, and try it with `newswatch mail-test`.\n".to_string()),
        };
        write!(out, "{MAIL_HEAD}{reason}")?;
        for line in self.mail_part(to).lines() {
            writeln!(out, "{}", format!("{mark}{line}").trim_end())?;
        }
        out.push_str(TAIL);
        Ok(())
    }

    /// The channel that sends mail, and the route of the digest.
    fn mail_part(&self, to: &str) -> String {
        let example = Mail {
            server: "smtp.example.org".to_string(),
            port: None,
            security: "starttls",
            username: None,
            password_file: None,
            from: to.to_string(),
        };
        let mail = self.mail.as_ref().unwrap_or(&example);
        let list = |texts: &[String]| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
        let days = match self.days.as_slice() {
            [days] if matches!(days.as_str(), "every day" | "weekdays") => quoted(days),
            days => format!("[{}]", list(days)),
        };
        let mut lines = vec![
            "[[channel]]".to_string(),
            format!("name = \"{MAIL}\""),
            "kind = \"email\"".to_string(),
            format!("server = {}", quoted(&mail.server)),
        ];
        lines.extend(mail.port.map(|port| format!("port = {port}")));
        lines.push(format!("security = \"{}\"", mail.security));
        lines.extend(mail.username.as_ref().map(|name| format!("username = {}", quoted(name))));
        lines.extend(
            mail.password_file.as_ref().map(|path| format!("password_file = {}", quoted(&path.display().to_string()))),
        );
        lines.push(format!("from = {}", quoted(&format!("newswatch <{}>", mail.from))));
        lines.extend([
            String::new(),
            "[[route]]".to_string(),
            format!("name = \"{DIGEST}\""),
            format!("channel = \"{MAIL}\""),
            format!("to = [{}]", quoted(to)),
            "[route.digest]".to_string(),
            format!("at = [{}]", list(&self.digest)),
            format!("days = {days}"),
            format!("time_zone = {}", quoted(&self.zone)),
            "empty = \"always\"".to_string(),
        ]);
        lines.join("\n")
    }

    fn sources(&self) -> String {
        let mut out = String::from(SOURCES_HEAD);
        for offer in &self.offers {
            out.push('\n');
            out.push_str(&offer.source.toml());
        }
        out
    }
}

const HEAD: &str = "\
# Written by `newswatch init`; yours from now on.
#
# `newswatch check` reads all of it and says in words what will happen. The sources stand in sources.d/*.toml, the profiles in
# profiles.d/*.toml. `newswatch config reference` names every key with its default.

[fetch]
# Please set it: part of the User-Agent, so that a publisher who is bothered can reach you.
";

const LOG: &str = "
# A line for each hit in newswatch's own log, as soon as it is found.
[[channel]]
name = \"log\"
kind = \"log\"

[[route]]
name = \"log\"
channel = \"log\"
";

const MAIL_HEAD: &str = "
# The digest by mail; empty = \"always\": one without hits too, as a proof that somebody looked.
";

const TAIL: &str = "
# Who hears that a source broke or recovered; without it that stands in the log and in the digest.
# [operator]
# channel = \"mail\"
# to = [\"operator@example.org\"]
";

const SOURCES_HEAD: &str = "\
# What is watched. `newswatch probe URL` proposes more, `newswatch source test NAME` shows what one gives.
";
