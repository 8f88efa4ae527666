//! What scripts do to words: letters that look like those of another script, and Korean particles.

/// Small letters, Cyrillic and Latin, that look alike in small or in capital form. What is folded is small already.
const LOOK_ALIKES: &[(char, char)] = &[
    ('а', 'a'),
    ('в', 'b'),
    ('е', 'e'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('і', 'i'),
    ('ј', 'j'),
    ('ѕ', 's'),
    ('ԁ', 'd'),
    ('һ', 'h'),
    ('ԛ', 'q'),
    ('ԝ', 'w'),
];

/// Greek small letters that look like Latin ones.
const GREEK: &[(char, char)] =
    &[('α', 'a'), ('ε', 'e'), ('ι', 'i'), ('κ', 'k'), ('ν', 'n'), ('ο', 'o'), ('ρ', 'p'), ('τ', 't'), ('χ', 'x')];

/// A Cyrillic or Greek letter.
pub fn is_eastern(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{52f}')
}

fn latin(c: char) -> Option<char> {
    LOOK_ALIKES.iter().chain(GREEK).find(|(eastern, _)| *eastern == c).map(|(_, latin)| *latin)
}

fn cyrillic(c: char) -> Option<char> {
    LOOK_ALIKES.iter().find(|(_, latin)| *latin == c).map(|(eastern, _)| *eastern)
}

/// A folded word of mixed scripts in the script of most of its letters (Latin when they are even): a Cyrillic letter in a
/// Latin name, a Latin one in a Cyrillic name. Letters and digits are mixed too: "А7А5" all in Cyrillic is A7A5. `None` when
/// the word is not mixed, or holds a letter that has no look-alike: then it is meant as it is written.
pub fn unmixed(word: &str) -> Option<String> {
    let eastern = word.chars().filter(|c| is_eastern(*c)).count();
    if eastern == 0 {
        return None;
    }
    let western = word.chars().filter(|c| c.is_alphabetic() && !is_eastern(*c)).count();
    if western == 0 && !word.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let to_latin = || word.chars().map(|c| if is_eastern(c) { latin(c) } else { Some(c) }).collect::<Option<String>>();
    let to_cyrillic = || {
        word.chars().map(|c| if c.is_ascii_alphabetic() { cyrillic(c) } else { Some(c) }).collect::<Option<String>>()
    };
    match western {
        0 => to_latin(),
        _ if eastern > western => to_cyrillic().or_else(to_latin),
        _ => to_latin().or_else(to_cyrillic),
    }
}

/// Korean particles and endings of names; several may follow one another.
pub const PARTICLES: &[&str] = &[
    "에서", "에게", "으로", "까지", "부터", "보다", "처럼", "이나", "이라", "라고", "라는", "이란", "조차", "마저",
    "은", "는", "이", "가", "을", "를", "의", "에", "로", "와", "과", "도", "만", "측", "나",
];

/// A Korean word without its particles. Two syllables are left at least: 회의 is a meeting, not a 회. What is cut too much
/// (국가가 → 국가, 전문가 → 전문) is cut wherever the word stands, so it still matches itself.
pub fn without_particles(word: &str) -> &str {
    let mut rest = word;
    // 에서는, 으로부터는: no pile is higher.
    for _ in 0..3 {
        let cut = PARTICLES.iter().filter_map(|particle| rest.strip_suffix(particle));
        match cut.filter(|left| left.chars().nth(1).is_some()).min_by_key(|left| left.len()) {
            Some(left) => rest = left,
            None => break,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_another_script_are_seen_through() {
        let cases = [
            ("gаrаntех", Some("garantex")),
            ("сryptex", Some("cryptex")),
            ("кoрeя", Some("корея")),
            ("а7а5", Some("a7a5")),
            ("а7a5", Some("a7a5")),
            ("βinance", None),
            ("gαrantex", Some("garantex")),
            ("гарантекс", None),
            ("оса", None),
            ("garantex", None),
            ("иран2", None),
            ("2024г", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(unmixed(word).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn a_look_alike_stands_for_one_letter_only() {
        for (index, (eastern, _)) in LOOK_ALIKES.iter().chain(GREEK).enumerate() {
            assert!(is_eastern(*eastern));
            assert!(LOOK_ALIKES.iter().chain(GREEK).skip(index + 1).all(|(other, _)| other != eastern));
        }
    }

    #[test]
    fn particles_go_and_words_stay() {
        let cases = [
            ("북한에서는", "북한"),
            ("북한", "북한"),
            ("회의", "회의"),
            ("라자루스가", "라자루스"),
            ("이", "이"),
            ("", ""),
        ];
        for (word, expected) in cases {
            assert_eq!(without_particles(word), expected);
        }
    }
}
