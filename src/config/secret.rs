//! Secrets: where they stand, never what they are. Read anew each time they are needed, and kept nowhere.

use std::path::PathBuf;

use super::section::Section;

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What it is called in the configuration: "password", "token".
    what: &'static str,
    place: SecretPlace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SecretPlace {
    File(PathBuf),
    Credential(String),
    Environment(String),
}

impl Secret {
    /// Reads the place of a secret: `WHAT_file`, `WHAT_credential` or `WHAT_env`, one of them. A secret that stands in the
    /// configuration itself is a problem.
    pub fn from_section(section: &mut Section<'_>, what: &'static str) -> Option<Secret> {
        let [file, credential, environment] = Secret::keys(what);
        let places = [
            (&file, section.path(&file).map(SecretPlace::File)),
            (&credential, section.text(&credential).map(SecretPlace::Credential)),
            (&environment, section.text(&environment).map(SecretPlace::Environment)),
        ];
        let mut given: Vec<(&String, Secret)> =
            places.into_iter().filter_map(|(key, place)| Some((key, Secret { what, place: place? }))).collect();
        for (key, secret) in &given {
            if let Some(problem) = secret.problem() {
                section.problem(key, problem);
            }
        }
        if let [_, (second, _), ..] = given.as_slice() {
            section.problem(second, format!("give the {what} in one place: {}", Secret::places(what)));
        }
        if section.has(what) {
            section.text(what);
            section
                .problem(what, format!("a {what} must not stand in the configuration; use {}", Secret::places(what)));
        }
        if given.is_empty() { None } else { Some(given.swap_remove(0).1) }
    }

    /// The account's name and where its password stands: both or neither.
    pub fn login_from_section(section: &mut Section<'_>) -> (Option<String>, Option<Secret>) {
        const WHAT: &str = "password";
        let username = section.text("username");
        let password = Secret::from_section(section, WHAT);
        match (&username, &password) {
            (Some(_), None) if !section.has(WHAT) => {
                section.problem("username", format!("`username` needs a password: {}", Secret::places(WHAT)));
            }
            (None, Some(_)) => {
                let keys = Secret::keys(WHAT);
                let key = keys.iter().find(|key| section.has(key)).map_or(WHAT, String::as_str);
                section.problem(key, "a password needs a `username`");
            }
            _ => {}
        }
        (username, password)
    }

    fn keys(what: &str) -> [String; 3] {
        [format!("{what}_file"), format!("{what}_credential"), format!("{what}_env")]
    }

    fn places(what: &str) -> String {
        let [file, credential, environment] = Secret::keys(what);
        format!("`{file}`, `{credential}` or `{environment}`")
    }

    /// What is wrong with it, as far as this process can see: a credential exists only within its service, so that
    /// `newswatch check` in a shell has to believe in it.
    fn problem(&self) -> Option<String> {
        match &self.place {
            SecretPlace::Credential(name) if name.is_empty() || name.contains('/') => {
                Some(format!("`{}_credential` is a name as in systemd's LoadCredential=, not a path", self.what))
            }
            SecretPlace::Credential(_) if std::env::var_os("CREDENTIALS_DIRECTORY").is_none() => None,
            _ => match self.read() {
                Ok(secret) if secret.is_empty() => Some(format!("the {} there is empty", self.what)),
                Ok(_) => None,
                Err(error) => Some(error),
            },
        }
    }

    /// The secret. The error says where it was looked for, and why in vain.
    pub fn read(&self) -> Result<String, String> {
        let (place, read) = match &self.place {
            SecretPlace::File(path) => {
                (format!("{}_file {}", self.what, path.display()), std::fs::read_to_string(path))
            }
            SecretPlace::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
                (format!("credential {name}"), std::fs::read_to_string(PathBuf::from(folder).join(name)))
            }
            SecretPlace::Environment(name) => {
                let value = std::env::var(name).map_err(std::io::Error::other);
                (format!("environment variable {name}"), value)
            }
        };
        match read {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_string()),
            Err(error) => Err(format!("the {} cannot be read from {place}: {error}", self.what)),
        }
    }
}
