//! The item that newswatch sends through itself to see whether all of it works, and the profile that has to find it. Users'
//! profiles never see the item, and it counts nowhere.

use jiff::Timestamp;

use super::frequency::Frequencies;
use super::profile::{self, Aliases, Profile};
use super::score::{Explain, Scorer};
use super::text::Tokenizer;
use crate::config::section::{File, Problems};
use crate::model::{ArticleState, CANARY, Id, Item};

/// As a file of profiles.d would hold it.
const PROFILE: &str = "name = \"self-test\"\nthreshold = 1.0\n[[phrase]]\ntext = \"yellow canary\"\nweight = 1.0\n";

/// The item that is sent at `now`.
pub fn item(now: Timestamp) -> Item {
    let key = now.as_millisecond().to_string();
    Item {
        id: Id::of(&[CANARY, &key]),
        source: CANARY.to_string(),
        key,
        url: None,
        title: "Self-test of newswatch".to_string(),
        summary: format!("A yellow canary set out at {}.", now.strftime("%Y-%m-%d %H:%M:%SZ")),
        content: String::new(),
        article: String::new(),
        article_state: ArticleState::NotWanted,
        article_problem: String::new(),
        publisher: String::new(),
        language: "en".to_string(),
        published_at: Some(now),
        first_seen_at: now,
        backlog: false,
    }
}

fn profile() -> Option<Profile> {
    let problems = Problems::default();
    File::new("self-test", PROFILE.to_string()).read(&problems, |section| profile::read(section, &Aliases::none()))
}

/// Finds the item as users' profiles find theirs.
pub(super) struct Listener(Option<Scorer>);

impl Listener {
    pub(super) fn new() -> Listener {
        // The profile is part of the program; a test reads it. Without it the self-test does not arrive, and that is told.
        Listener(profile().and_then(|profile| Scorer::new(&[profile], &Frequencies::new()).ok()))
    }

    /// The item was found.
    pub(super) fn hears(&mut self, tokenizer: &mut Tokenizer, item: &Item) -> bool {
        let body = item.body();
        let document = tokenizer.read(&item.title, &body).from(&item.source, &item.language);
        let scores = self.0.as_mut().map(|scorer| scorer.score(&document, Explain::Hits));
        scores.is_some_and(|scores| scores.iter().any(|score| score.hit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_is_heard_and_nothing_else() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut tokenizer = Tokenizer::new();
        let sent = item(now);
        assert!(Listener::new().hears(&mut tokenizer, &sent));
        let other = Item { summary: "A quiet day.".into(), ..sent };
        assert!(!Listener::new().hears(&mut tokenizer, &other));
    }
}
