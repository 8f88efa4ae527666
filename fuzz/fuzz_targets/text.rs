//! Title and body (two parts, a line end between them): tokens lie in the text, folding leads back, reasons add up to the score.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use newswatch::config::section::{File, Problems};
use newswatch::matcher::fold::Folded;
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::profile::{self, Aliases};
use newswatch::matcher::score::{Explain, Scorer};
use newswatch::matcher::text::Tokenizer;
use newswatch_fuzz::check_line;

const PROFILE: &str = "name = 'harbour'\nthreshold = 0.1\n\
    term = [{text = 'strike', weight = 30}, {text = 'port authority', weight = 20}, {text = '\u{c1c}a', weight = 1}, {text = 'санкции', weight = 5}]\n\
    phrase = [{text = '북한', weight = 1}, {text = 'норкоре*', weight = 0.5}, {text = '金正恩', weight = 0.5}, \
    {text = 'U.S. Treasury', weight = 0.2}, {text = 'ﬁ', weight = 0.1}]\n\
    [[concept]]\nname = 'actor'\nweight = 0.1\nnames = ['DPRK', 'Северная Корея', '朝鮮']\nexpressions = ['\\bapt\\s?38\\b']\n\
    [[concept.weak]]\nnames = ['the North', '北']\nwith = ['seat']\nwithin = 5\n\
    [[concept]]\nname = 'seat'\nnames = ['seat', '옵서버']\n[[concept.weak]]\nnames = ['place']\nwith = ['actor']\nwithin = 'sentence'\n\
    [[condition]]\nname = 'both'\nall = ['actor', 'seat']\nwithin = 4\nadds = 0.2\n\
    [[condition]]\nname = 'in one sentence'\nall = ['actor']\nany = ['seat']\nwithin = 'sentence'\nadds = 0.2\n\
    [[condition]]\nname = 'needed'\nany = ['actor', 'seat']\nrequired = true\n\
    [[look_alike]]\nname = 'pension'\nnames = ['pension*', '年金']\nunless = ['actor']\nsubtracts = 0.3\nreason = 'x'\n";

thread_local! {
    /// Used again and again, as the matcher does.
    static MATCHER: RefCell<(Tokenizer, Scorer)> = RefCell::new({
        let problems = Problems::default();
        let profile = File::new("p.toml", PROFILE.into()).read(&problems, |section| profile::read(section, &Aliases::none())).expect("a profile");
        (Tokenizer::new(), Scorer::new(&[profile], &Frequencies::new()).expect("a small automaton"))
    });
}

fuzz_target!(|text: &str| {
    let (title, body) = text.split_once('\n').unwrap_or(("", text));
    MATCHER.with_borrow_mut(|(tokenizer, scorer)| {
        let document = tokenizer.read(title, body);
        for (index, token) in document.tokens().iter().enumerate() {
            assert_ne!(token.word, 0);
            for pair in [false, token.pair != 0] {
                let word = document.part_of(index).get(document.span(index, pair));
                assert!(word.is_some_and(|word| !word.is_empty()), "{index} of {text:?}");
            }
        }
        assert_eq!(document.tokens(), Tokenizer::new().read(title, body).tokens(), "memory changes nothing");

        let folded = Folded::new(body);
        // White space is joined, in whatever mixture it stands. (Half-width Korean letters and letters that were kept apart by
        // invisible characters would be joined only by folding once more: no text has them.)
        assert!(!folded.text().contains("  "), "{body:?}");
        for (at, c) in folded.text().char_indices() {
            assert!(body.get(folded.original(at..at + c.len_utf8(), body)).is_some(), "{at} of {body:?}");
        }

        let score = scorer.scores(&document)[0];
        assert!(score.is_finite() && score >= 0.0, "{score}");
        for explained in scorer.score(&document, Explain::Everything) {
            assert_eq!(explained.score, score);
            let sum: f64 = explained.reasons.iter().map(|reason| reason.share).sum();
            assert!((sum - score).abs() < 1e-9, "{sum} is not {score}");
            explained.reasons.iter().for_each(|reason| check_line("a context", &reason.context));
        }
    });
});
