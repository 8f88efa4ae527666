//! What must hold of scoring whatever the text: how it is encoded and written changes nothing, names stand as words.

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizer;
use newswatch::matcher::fold::Folded;
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::phrase::{Finder, Pattern};
use newswatch::matcher::profile::{Phrase, Profile, build};
use newswatch::matcher::score::{Explain, Scorer};
use newswatch::matcher::seed::Seed;
use newswatch::matcher::text::Tokenizer;
use proptest::prelude::*;

fn profile() -> Profile {
    let text = "Garantex moved coins of the Lazarus hackers. Garantex café, санкции против биржи, 북한에서는 가상자산.";
    let seed = Seed { file: "a.txt".into(), title: "Garantex coins".into(), text: text.into() };
    let mut profile = build("coins", &[seed], &Frequencies::new()).expect("built");
    for text in ["Северная Корея", "А7А5", "Garantex", "북한", "北朝鮮", "Corée du Nord"] {
        profile.phrases.push(Phrase { text: text.into(), weight: 0.1 });
    }
    profile
}

fn score(scorer: &mut Scorer, text: &str) -> f64 {
    scorer.scores(&Tokenizer::new().read("", text))[0]
}

/// Words that the profile knows, words that it does not, and anything.
fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "Garantex", "coins", "hackers", "café", "санкции", "бирж", "Северной", "Корее", "북한에서는", "北朝鮮への",
            "Corée", "du", "Nord", "A7A5", "the", "rain", "Ça", "über", "Straße",
        ]).prop_map(str::to_string),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(word, 0..30).prop_map(|words| words.join(" "))
}

/// What is put between the letters of words.
fn with_invisible(text: &str, invisible: char) -> String {
    let mut out = String::new();
    let mut before_letter = false;
    for c in text.chars() {
        if before_letter && c.is_alphabetic() {
            out.push(invisible);
        }
        before_letter = c.is_alphabetic();
        out.push(c);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_form_of_the_letters_changes_no_score(words in prop::collection::vec(0usize..14, 1..40)) {
        let known = [
            "Garantex", "coins", "hackers", "café", "санкции", "биржи", "Северной", "Корее", "북한에서는", "北朝鮮への",
            "Corée", "du", "Nord", "A7A5",
        ];
        let text = words.iter().map(|word| known[*word]).collect::<Vec<_>>().join(" ");
        let mut scorer = Scorer::new(&[profile()], &Frequencies::new()).expect("small");
        let plain = score(&mut scorer, &text);
        let decomposed = DecomposingNormalizer::new_nfd().normalize(&text).into_owned();
        let compatible = DecomposingNormalizer::new_nfkd().normalize(&text).into_owned();
        let folded = CaseMapper::new().fold_string(&text).into_owned();
        let forms = [decomposed, compatible, folded, text.to_lowercase(), with_invisible(&text, '\u{ad}'),
            with_invisible(&text, '\u{200b}'), with_invisible(&text, '\u{2060}')];
        for form in forms {
            let other = score(&mut scorer, &form);
            prop_assert!((plain - other).abs() < 1e-9, "{text:?} scores {plain}, {form:?} {other}");
        }
    }

    #[test]
    fn any_text_is_scored_and_its_reasons_add_up(title in texts(), body in texts()) {
        let mut scorer = Scorer::new(&[profile()], &Frequencies::new()).expect("small");
        let mut tokenizer = Tokenizer::new();
        for score in scorer.score(&tokenizer.read(&title, &body), Explain::Everything) {
            let sum: f64 = score.reasons.iter().map(|reason| reason.share).sum();
            prop_assert!((sum - score.score).abs() < 1e-9);
        }
    }

    #[test]
    fn more_of_a_term_never_lowers_a_score_of_equal_length(count in 1usize..40) {
        let text = |garantex: usize| format!("{}{}", "Garantex ".repeat(garantex), "rainfall ".repeat(40 - garantex));
        let mut scorer = Scorer::new(&[profile()], &Frequencies::new()).expect("small");
        let (less, more) = (score(&mut scorer, &text(count - 1)), score(&mut scorer, &text(count)));
        prop_assert!(more > less);
    }

    #[test]
    fn a_latin_name_is_found_only_as_a_word(before in "[a-zA-Z0-9]{1,3}", after in "[a-zA-Z0-9]{1,3}") {
        let finder = Finder::new(vec![Pattern::new("APG").expect("a phrase")]).expect("small");
        for (text, expected) in [
            (format!("{before}APG"), 0), (format!("APG{after}"), 0), (format!("{before} APG {after}"), 1),
            (format!("{before}-APG, {after}"), 1),
        ] {
            let mut count = 0;
            finder.find(&Folded::new(&text), |_, _| count += 1);
            let own = [&before, &after].iter().filter(|part| part.eq_ignore_ascii_case("apg")).count();
            let own = if text.contains(' ') { own } else { 0 };
            prop_assert_eq!(count, expected + own, "{}", text);
        }
    }

    #[test]
    fn any_phrase_is_searched_for_in_any_text(phrase in "\\PC{0,12}", text in texts()) {
        if let Some(pattern) = Pattern::new(&phrase) {
            let finder = Finder::new(vec![pattern]).expect("small");
            let folded = Folded::new(&text);
            finder.find(&folded, |_, place| assert!(folded.text().get(place).is_some()));
        }
    }

    #[test]
    fn a_russian_phrase_is_found_in_itself(words in prop::collection::vec("[а-я]{1,9}", 1..4)) {
        let phrase = words.join(" ");
        let finder = Finder::new(vec![Pattern::new(&phrase).expect("a phrase")]).expect("small");
        let mut found = false;
        finder.find(&Folded::new(&format!("Вот {phrase}, и всё")), |_, _| found = true);
        prop_assert!(found, "{phrase}");
    }
}

#[test]
fn terms_are_compared_in_the_language_of_the_item() {
    let text = "Les plateformes russes ont blanchi pour les pirates une partie des fonds avec la bourse Garantex.";
    let seed = Seed { file: "a.txt".into(), title: "Garantex et les sanctions nationales".into(), text: text.into() };
    let french = build("x", &[seed], &Frequencies::new()).expect("built");
    let mut scorer = Scorer::new(&[french, profile()], &Frequencies::new()).expect("small");
    let mut tokenizer = Tokenizer::new();
    let mut terms = |text: &str, profile: &str| -> Vec<String> {
        let scores = scorer.score(&tokenizer.read("", text), Explain::Everything);
        let own = scores.into_iter().find(|score| score.profile == profile);
        own.map_or(Vec::new(), |score| score.reasons.into_iter().map(|reason| reason.term).collect())
    };
    assert!(terms("Une sanction nationale est dans le texte pour la Russie", "x").contains(&"nationales".to_string()));
    for text in ["Das ist mit Garantex und der Bank", "una bolsa, Garantex, por los piratas", "the Garantex exchange"] {
        assert!(terms(text, "x").contains(&"Garantex".to_string()), "{text}");
        assert!(terms(text, "coins").contains(&"Garantex".to_string()), "{text}");
    }
}
