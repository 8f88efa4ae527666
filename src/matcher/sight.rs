//! Languages that a profile has no terms in: what is published there it cannot find. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::language::Language;
use super::lint::{Script, names};
use super::profile::Profile;

/// What a profile can read.
struct Sight {
    scripts: BTreeSet<Script>,
    /// All it has are learned words, which are of this language.
    only: Option<Language>,
}

impl Sight {
    fn of(profile: &Profile) -> Sight {
        let scripts = names(profile).filter_map(|name| Script::of(&name.text)).collect();
        let only = profile.phrases.is_empty() && profile.concepts.is_empty();
        Sight { scripts, only: only.then_some(profile.language) }
    }

    fn reads(&self, script: Script, tag: &str) -> bool {
        if !self.scripts.contains(&script) {
            return false;
        }
        // Where no language is given it may be the profile's.
        script != Script::Latin || tag.is_empty() || self.only.is_none_or(|only| Language::CODES[only as usize] == tag)
    }
}

/// A language that profiles are blind to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// "Korean letters", "Italian".
    pub language: String,
    /// How many items.
    pub items: usize,
    /// Names of the profiles.
    pub profiles: Vec<String>,
}

/// Of items with these language tags (empty where none is given) and titles, those that profiles have no terms for, by language,
/// the most first.
pub fn unread<'a>(profiles: &[&Profile], items: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Unread> {
    let sights: Vec<Sight> = profiles.iter().map(|profile| Sight::of(profile)).collect();
    let mut counts: BTreeMap<(Script, String), usize> = BTreeMap::new();
    for (tag, title) in items {
        let tag = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let Some(script) = Script::of(title).or_else(|| script_of(&tag)) else { continue };
        // Of other scripts than the Latin one the letters say enough.
        let tag = if script == Script::Latin { tag } else { String::new() };
        *counts.entry((script, tag)).or_default() += 1;
    }
    let mut unread: Vec<Unread> = Vec::new();
    for ((script, tag), items) in counts {
        let blind = profiles.iter().zip(&sights).filter(|(_, sight)| !sight.reads(script, &tag));
        let profiles: Vec<String> = blind.map(|(profile, _)| profile.name.clone()).collect();
        if !profiles.is_empty() {
            let language = if tag.is_empty() { script.as_str().to_string() } else { name_of(&tag) };
            unread.push(Unread { language, items, profiles });
        }
    }
    unread.sort_by(|a, b| b.items.cmp(&a.items).then(a.language.cmp(&b.language)));
    unread
}

fn script_of(tag: &str) -> Option<Script> {
    Some(match tag {
        "ko" => Script::Hangul,
        "zh" | "ja" => Script::Ideographs,
        "ru" | "uk" | "be" | "bg" | "kk" | "ky" | "mk" => Script::Cyrillic,
        "ar" | "fa" | "ur" => Script::Arabic,
        "" => return None,
        _ => Script::Latin,
    })
}

fn name_of(tag: &str) -> String {
    let name = match tag {
        "en" => "English",
        "fr" => "French",
        "de" => "German",
        "es" => "Spanish",
        "it" => "Italian",
        "pt" => "Portuguese",
        "nl" => "Dutch",
        "pl" => "Polish",
        "tr" => "Turkish",
        "vi" => "Vietnamese",
        "id" => "Indonesian",
        other => return format!("the language {:?}", other.chars().take(8).collect::<String>()),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{File, Problems};
    use crate::matcher::profile::{Aliases, read};

    fn profile(text: &str) -> Profile {
        let problems = Problems::default();
        let profile = File::new("p.toml", text.to_string()).read(&problems, |mut section| {
            section.text("name");
            read(section, &Aliases::default())
        });
        profile.unwrap_or_else(|| panic!("{:?}", problems.into_sorted()))
    }

    #[test]
    fn a_profile_is_blind_where_it_has_no_names() {
        let english = profile("name = \"english\"\nthreshold = 1.0\nterms = [{ text = \"observer\", weight = 1.0 }]\n");
        let named = profile(
            "name = \"named\"\nthreshold = 1.0\n[[phrase]]\ntext = \"MSMT\"\nweight = 1.0\n[[phrase]]\ntext = \"북한\"\nweight = 1.0\n",
        );
        let items = [
            ("en", "The seat"),
            ("", "The seat"),
            ("de", "Der Sitz"),
            ("de-CH", "Der Platz"),
            ("ko", "북한 소식"),
            ("", "Газета"),
            ("ru", "2026"),
        ];
        let found = unread(&[&english, &named], items.into_iter());
        let lines: Vec<String> = found
            .iter()
            .map(|unread| format!("{} {} {}", unread.items, unread.language, unread.profiles.join("+")))
            .collect();
        assert_eq!(lines, ["2 Cyrillic letters english+named", "2 German english", "1 Korean letters english"]);
        assert_eq!(unread(&[&named], [("xx", "Any")].into_iter()), []);
    }
}
