//! `[templates]` and `[verdicts]`: how messages look, and how readers answer them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::secret::Secret;
use super::section::{Place, Problems, Section};
use crate::notifier::compose::templates::{SHIPPED, TEMPLATE_BYTES_MAX, TEMPLATES_MAX, Templates};
use crate::notifier::compose::token::Key;

/// Where readers send what they think of a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// The mail address that answers go to.
    pub address: String,
    /// The Maildir in which they arrive; without one they are read by `newswatch verdict read`.
    pub maildir: Option<PathBuf>,
    /// Senders whose answers count beside the recipient's own: addresses, or "@example.org" for all of a domain.
    pub senders: Vec<String>,
    /// What signs the links; without it a key that the store keeps.
    pub key: Option<Secret>,
}

/// Reads `[templates]`: the shipped ones with those of its folder in their place.
pub(super) fn read_templates(mut section: Section<'_>, problems: &Problems) -> Templates {
    let folder = section.path("folder");
    if !section.has("folder") {
        section.problem("folder", "[templates] needs `folder`, the folder with your own templates");
    }
    let files = folder.as_deref().map_or(BTreeMap::new(), |folder| files(&section, folder));
    section.finish();
    let (templates, wrong) = Templates::with(files);
    for wrong in wrong {
        let file = match (&folder, templates.own().contains(&wrong.name)) {
            (Some(folder), true) => folder.join(&wrong.name).display().to_string(),
            // One of the operator's own broke one that is shipped.
            _ => format!("{} (shipped)", wrong.name),
        };
        let place = Place { file: file.into(), line: wrong.line, column: 1 };
        problems.add(Some(place), wrong.message);
    }
    templates
}

/// The templates in a folder by their names. Other files are left alone, unless they look like a slip of the pen.
fn files(section: &Section<'_>, folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            section.problem("folder", format!("the templates in {} cannot be read: {error}", folder.display()));
            return files;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_string) else { continue };
        let is_template = [".txt", ".html"].iter().any(|ending| name.ends_with(ending)) && !name.starts_with('.');
        if !is_template {
            continue;
        }
        if files.len() == TEMPLATES_MAX {
            section.problem("folder", format!("{} holds more than {TEMPLATES_MAX} templates", folder.display()));
            break;
        }
        let read = std::fs::metadata(&path).and_then(|metadata| {
            if !metadata.is_file() || metadata.len() > TEMPLATE_BYTES_MAX {
                let text = format!("it is no file, or larger than {} KiB", TEMPLATE_BYTES_MAX >> 10);
                return Err(std::io::Error::other(text));
            }
            std::fs::read_to_string(&path)
        });
        match read {
            Ok(text) => _ = files.insert(name, text),
            Err(error) => section.problem("folder", format!("the template {} cannot be read: {error}", path.display())),
        }
    }
    if files.is_empty() {
        let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        section.problem(
            "folder",
            format!("there is no template in {}; they are called {}", folder.display(), names.join(", ")),
        );
    }
    files
}

/// Reads `[verdicts]`.
pub(super) fn read_verdicts(mut section: Section<'_>) -> Option<Verdicts> {
    let address = section.required_text("address");
    if let Some(text) = address.as_ref().filter(|text| !is_address(text)) {
        section.problem("address", format!("{text:?} is not a mail address; write it like \"verdicts@example.org\""));
    }
    let maildir = section.path("maildir");
    if let Some(maildir) = &maildir
        && !maildir.join("new").is_dir()
    {
        section.problem(
            "maildir",
            format!("there is no Maildir at {}: it holds the folders new, cur and tmp", maildir.display()),
        );
    }
    let senders = section.texts("senders").unwrap_or_default();
    for (index, sender) in senders.iter().enumerate() {
        let full = if sender.starts_with('@') { format!("any{sender}") } else { sender.clone() };
        if !is_address(&full) {
            let advice = "write \"anna@example.org\", or \"@example.org\" for all of a domain";
            section.problem_in("senders", index, format!("{sender:?} is no sender; {advice}"));
        }
    }
    let key = Secret::from_section(&mut section, "key");
    if let Some(Ok(text)) = key.as_ref().map(Secret::read)
        && !text.is_empty()
        && Key::new(text.as_bytes()).is_none()
    {
        section.problem("key_file", format!("the key is too short: it needs at least {} bytes", Key::BYTES_MIN));
    }
    section.finish();
    Some(Verdicts { address: address?, maildir, senders, key })
}

/// A plain mail address, safe in a link.
fn is_address(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-' | '_' | '+');
    text.len() <= 254
        && text.chars().all(safe)
        && text.split_once('@').is_some_and(|(user, domain)| {
            !user.is_empty()
                && domain.contains('.')
                && !domain.contains('@')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
        })
}
