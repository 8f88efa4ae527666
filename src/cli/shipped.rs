//! What is shipped with the program itself: the profiles, the alias packs that they use, and the catalogue of sources, as files.

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../config/", $folder, "/", $name)))),*]
    };
}

/// The profiles: name of the file, text.
pub(super) const PROFILES: &[(&str, &str)] =
    files!("profiles.d": "apg.toml", "panel-of-experts.toml", "russian-exchanges.toml");

/// The alias packs, which the profiles use.
pub(super) const ALIASES: &[(&str, &str)] =
    files!("aliases.d": "korea.toml", "money-laundering.toml", "russian-money.toml", "united-nations.toml");

/// The catalogue of sources.
pub(super) const SOURCES: &[(&str, &str)] = files!("sources.d":
    "10-intergovernmental.toml", "20-korea-watchers.toml", "30-crypto-security.toml", "40-russia.toml",
    "50-general.toml", "60-aggregators.toml",
);
