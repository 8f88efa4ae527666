//! What the engines are asked for candidates, and how PostgreSQL is told what an item holds.

use crate::matcher::index::{Candidates, IndexWord, IndexedText};

/// Which part of the index a word of PostgreSQL's belongs to: its words begin with it. Parts whose numbers are far apart share one,
/// which costs a little time and finds nothing wrong, for their documents have other numbers.
fn mark(part: i64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let digit = |number: i64| char::from(DIGITS[number.rem_euclid(36) as usize]);
    [digit(part / 36), digit(part)].iter().collect()
}

/// The words of an item as PostgreSQL reads them; its vectors hold less than 1 MB.
pub(super) fn vector(text: &IndexedText, part: i64) -> String {
    const BYTES_MAX: usize = 500_000;
    let mark = mark(part);
    let mut words: Vec<&str> = text.title.split(' ').chain(text.body.split(' ')).collect();
    let mut bytes = 0;
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| {
        let kept = !word.is_empty() && bytes < BYTES_MAX && seen.insert(*word);
        bytes += if kept { mark.len() + word.len() } else { 0 };
        kept
    });
    let mut vector = String::with_capacity(bytes + 3 * words.len() + 32);
    // Words are letters and digits; the mark of the source is no word.
    vector.push_str(&format!("'{mark}={}' ", text.source));
    for word in words {
        vector.push('\'');
        vector.push_str(&mark);
        vector.push_str(word);
        vector.push_str("' ");
    }
    vector
}

/// What PostgreSQL is asked for these parts. What nothing holds stands at the end: so it always looks for any of several things, and
/// ranks them alike however many parts are asked.
pub(super) fn tsquery(candidates: &Candidates, parts: impl Iterator<Item = i64>) -> String {
    parts.map(|part| tsquery_of(candidates, &mark(part)) + " | ").collect::<String>() + "'='"
}

fn tsquery_of(candidates: &Candidates, mark: &str) -> String {
    let word = |word: &IndexWord| format!("'{mark}{}'{}", word.text, if word.is_prefix { ":*" } else { "" });
    let each = |parts: &[Candidates], sign: &str| {
        format!("({})", parts.iter().map(|part| tsquery_of(part, mark)).collect::<Vec<_>>().join(sign))
    };
    match candidates {
        Candidates::Words { words, .. } => format!("({})", words.iter().map(word).collect::<Vec<_>>().join(" & ")),
        Candidates::All(parts) | Candidates::Near(parts, _) => each(parts, " & "),
        Candidates::Any(parts) => each(parts, " | "),
        Candidates::Source(source) => format!("'{mark}={source}'"),
    }
}

/// What FTS5 is asked.
pub(super) fn fts5(candidates: &Candidates) -> String {
    match candidates {
        Candidates::Words { words, in_title: false } if words.len() == 1 && words[0].is_beginning() => {
            format!("(beginnings : \"{}\")", words[0].text)
        }
        Candidates::Words { words, in_title } => {
            // Only the last word of a phrase may go on.
            let mut phrases: Vec<String> = Vec::new();
            for phrase in words.split_inclusive(|word| word.is_prefix) {
                let text: Vec<&str> = phrase.iter().map(|word| word.text.as_str()).collect();
                let open = if phrase.last().is_some_and(|word| word.is_prefix) { " *" } else { "" };
                // To look everywhere costs less than to leave out the beginnings, in which only such words stand.
                let part = match phrase {
                    _ if *in_title => "title : ",
                    [word] if word.looks_like_beginning() => "{title body} : ",
                    _ => "",
                };
                phrases.push(format!("{part}\"{}\"{open}", text.join(" ")));
            }
            format!("({})", phrases.join(" AND "))
        }
        Candidates::All(parts) => format!("({})", parts.iter().map(fts5).collect::<Vec<_>>().join(" AND ")),
        Candidates::Any(parts) => format!("({})", parts.iter().map(fts5).collect::<Vec<_>>().join(" OR ")),
        Candidates::Near(parts, words) => near(parts, *words),
        Candidates::Source(source) => format!("(beginnings : \"{source}\")"),
    }
}

/// Things near one another, for FTS5: it looks within the title or within the text; where one stands in the title and another in the
/// text, how far apart is left to the matcher. So it is with things of too many names.
fn near(parts: &[Candidates], words: u32) -> String {
    const COMBINATIONS_MAX: usize = 32;
    let all = || fts5(&Candidates::All(parts.to_vec()));
    let mut combinations = vec![(String::new(), 0)];
    for part in parts {
        let phrases = match part {
            Candidates::Any(phrases) => phrases.as_slice(),
            phrase => std::slice::from_ref(phrase),
        };
        let mut longer = Vec::new();
        for phrase in phrases {
            let Candidates::Words { words, in_title: false } = phrase else { return all() };
            // A word that may go on within a phrase takes it apart.
            if words.iter().rev().skip(1).any(|word| word.is_prefix) {
                return all();
            }
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let open = if words.last().is_some_and(|word| word.is_prefix) { " *" } else { "" };
            let text = format!("\"{}\"{open}", text.join(" "));
            longer
                .extend(combinations.iter().map(|(before, length)| (format!("{before} {text}"), length + words.len())));
        }
        if longer.len() > COMBINATIONS_MAX {
            return all();
        }
        combinations = longer;
    }
    let mut ways: Vec<String> = combinations
        .iter()
        // Each is so near to the first: of three the outermost are twice as far apart, and the one between them takes room.
        .map(|(phrases, length)| format!("NEAR({phrases}, {})", words as usize * (parts.len() - 1).min(2) + length))
        .collect();
    // One stands in the title, wherever the others do.
    let any_in_title = Candidates::Any(parts.iter().map(Candidates::in_title).collect());
    ways.push(fts5(&Candidates::All([&[any_in_title], parts].concat())));
    format!("({})", ways.join(" OR "))
}
