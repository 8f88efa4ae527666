//! A profile's file: what is read without a problem survives its snapshot, its learned part is written and read again as the
//! same, and it can be scored by.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswatch::config::section::{File, Problems};
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::profile::{self, Aliases, Profile};
use newswatch::matcher::score::Scorer;
use newswatch::matcher::text::Tokenizer;
use newswatch_fuzz::check_text;

fn read(text: &str) -> Result<Option<Profile>, Vec<String>> {
    let problems = Problems::default();
    let profile = File::new("profile.toml", text.to_string()).read(&problems, |section| profile::read(section, &Aliases::none()));
    let problems: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(profile) } else { Err(problems) }
}

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(Some(profile)) => {
            assert_eq!(Profile::from_snapshot(&profile.snapshot()).as_ref(), Some(&profile));
            // What is learned is written; what people add by hand stays in their files.
            let learned = Profile {
                concepts: Vec::new(),
                conditions: Vec::new(),
                look_alikes: Vec::new(),
                settings: Vec::new(),
                shadow_of: None,
                ..profile.clone()
            };
            if !learned.terms.is_empty() || !learned.phrases.is_empty() {
                let written = profile::to_toml(&learned);
                assert_eq!(read(&written), Ok(Some(learned)), "{written}");
            }
            let mut scorer = Scorer::new(&[profile], &Frequencies::new()).expect("a small automaton");
            let score = scorer.scores(&Tokenizer::new().read("Harbour strike", text))[0];
            assert!(score.is_finite() && score >= 0.0, "{score}");
        }
        Ok(None) => panic!("neither a profile nor a problem"),
        Err(problems) => {
            // They are shown in a terminal.
            problems.iter().for_each(|problem| check_text("a problem", problem));
        }
    }
});
