//! The one or two sentences of an article that matter, with what was found in them marked. Pure.

use serde::Serialize;

use crate::model::{Item, Reason, ReasonKind};
use crate::plain;

/// Sentences shown of an article.
const SENTENCES_MAX: usize = 2;
/// Characters shown of one sentence; a longer one is cut around what was found.
const SENTENCE_CHARACTERS_MAX: usize = 320;
/// The heaviest reasons are looked for.
const NEEDLES_MAX: usize = 12;
/// What matters stands near the beginning of an article; what follows is not looked through.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Safe to show; markup has still to be escaped.
    pub text: String,
    /// It is what was found.
    pub marked: bool,
}

/// A sentence in pieces.
pub type Passage = Vec<Piece>;

/// The passage as text, what was found between two asterisks each.
pub fn as_text(passage: &[Piece]) -> String {
    passage.iter().map(|piece| if piece.marked { format!("**{}**", piece.text) } else { piece.text.clone() }).collect()
}

/// Something to look for, with its share of the score.
struct Needle {
    words: Vec<String>,
    /// The last word may go on ("North Korea*").
    is_open: bool,
    share: f64,
}

/// A sentence and what was found in it.
struct Sentence {
    text: String,
    /// Bytes of what is to be marked, in order, without overlaps.
    marks: Vec<(usize, usize)>,
    /// Which needles.
    needles: Vec<usize>,
}

/// The sentences of the article that hold most of what made the score, in reading order. Without any, the article's first
/// sentence: better than nothing to judge a title by.
pub fn passages(item: &Item, reasons: &[Reason]) -> Vec<Passage> {
    let needles = needles(reasons);
    let body = item.body();
    let body = &body[..body.floor_char_boundary(BODY_BYTES_MAX)];
    let title = plain::line(&item.title, 1_000);
    let mut sentences: Vec<Sentence> = Vec::new();
    for text in split(body) {
        let text = plain::line(text, 4_000);
        if !text.is_empty() && text != title {
            sentences.push(find(text, &needles));
        }
    }
    let mut chosen: Vec<usize> = Vec::new();
    let mut told = vec![false; needles.len()];
    while chosen.len() < SENTENCES_MAX {
        let gain = |sentence: &Sentence| -> f64 {
            sentence.needles.iter().filter(|needle| !told[**needle]).map(|needle| needles[*needle].share).sum()
        };
        let mut best: Option<(f64, usize)> = None;
        for (number, sentence) in sentences.iter().enumerate() {
            let gain = gain(sentence);
            if gain > best.map_or(0.0, |(most, _)| most) {
                best = Some((gain, number));
            }
        }
        let Some((_, number)) = best else { break };
        for needle in &sentences[number].needles {
            told[*needle] = true;
        }
        chosen.push(number);
    }
    if chosen.is_empty() && !sentences.is_empty() {
        chosen.push(0);
    }
    chosen.sort_unstable();
    let mut shown: Vec<Passage> = chosen.into_iter().map(|number| cut(&sentences[number])).collect();
    if shown.is_empty() {
        // The text is gone (a hit of long ago); the reasons remember where they stood.
        let contexts = reasons.iter().map(|reason| plain::line(&reason.context, SENTENCE_CHARACTERS_MAX));
        let mut contexts: Vec<String> = contexts.filter(|context| !context.is_empty() && *context != title).collect();
        contexts.dedup();
        contexts.truncate(SENTENCES_MAX);
        shown = contexts.into_iter().map(|context| cut(&find(context, &needles))).collect();
    }
    shown
}

fn needles(reasons: &[Reason]) -> Vec<Needle> {
    let mut heaviest: Vec<&Reason> = reasons.iter().filter(|reason| reason.share > 0.0).collect();
    heaviest.sort_by(|a, b| b.share.total_cmp(&a.share));
    let read = |reason: &Reason| {
        let name = match reason.kind {
            ReasonKind::Term | ReasonKind::Phrase => &reason.term,
            ReasonKind::Concept if !reason.note.is_empty() => &reason.note,
            ReasonKind::Concept => &reason.term,
            ReasonKind::Condition | ReasonKind::LookAlike | ReasonKind::Adjustment => return None,
        };
        // An expression is not what stands in the text.
        if name.contains(['[', '(', '|', '\\']) {
            return None;
        }
        let words: Vec<String> = words(name).into_iter().map(|(_, _, word)| word).collect();
        let is_open = name.trim_end().ends_with('*');
        if words.is_empty() { None } else { Some(Needle { words, is_open, share: reason.share }) }
    };
    heaviest.into_iter().filter_map(read).take(NEEDLES_MAX).collect()
}

/// Where sentences end: at a line's end, and after a full stop, question or exclamation mark before a space; in Chinese and
/// Japanese after theirs. A dot after one letter or a short word with a capital ("U.S.", "Mr.") ends none.
fn split(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        let mut characters = line.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let next_is_space = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
            let ends = match c {
                '。' | '！' | '？' => true,
                '!' | '?' => next_is_space,
                '.' => next_is_space && !is_abbreviation(&line[start..at]),
                _ => false,
            };
            if ends {
                found.push(line[start..at + c.len_utf8()].trim());
                start = at + c.len_utf8();
            }
        }
        found.push(line[start..].trim());
    }
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// The text before a dot ends in what is usually shortened.
fn is_abbreviation(before: &str) -> bool {
    let last = before.rsplit(|c: char| c.is_whitespace() || c == '.').next().unwrap_or_default();
    let letters = last.chars().filter(|c| c.is_alphabetic()).count();
    letters == last.chars().count()
        && (letters == 1
            || ["Mr", "Mrs", "Ms", "Dr", "St", "No", "vs", "Gen", "Sen", "Lt", "Col", "Jr"].contains(&last))
}

/// Words with where they stand, in lower case. Each Chinese character and each of Japanese Kana is a word.
fn words(text: &str) -> Vec<(usize, usize, String)> {
    let mut words: Vec<(usize, usize, String)> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        if !c.is_alphanumeric() {
            open = false;
            continue;
        }
        let alone = is_ideograph(c);
        if !open || alone {
            words.push((at, at, String::new()));
        }
        open = !alone;
        if let Some(word) = words.last_mut() {
            word.1 = at + c.len_utf8();
            word.2.extend(c.to_lowercase());
        }
    }
    words
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}')
}

/// The same word, perhaps in another form: this only decides what is printed bold.
fn is_form_of(word: &str, needle: &str, is_open: bool) -> bool {
    if word == needle || is_open && word.starts_with(needle) {
        return true;
    }
    // Korean puts its particles behind the word.
    if needle.chars().count() > 1 && needle.chars().all(is_hangul) && word.starts_with(needle) {
        return true;
    }
    let common = word.chars().zip(needle.chars()).take_while(|(a, b)| a == b).count();
    let (first, second) = (word.chars().count(), needle.chars().count());
    common >= 4 && common + 2 >= first.min(second) && common + 3 >= first.max(second) && {
        let endings = |text: &str| text.chars().skip(common).collect::<String>();
        is_ending(&endings(word)) && is_ending(&endings(needle))
    }
}

/// What words of European languages end in when they are bent.
fn is_ending(text: &str) -> bool {
    text.is_empty()
        || ["s", "es", "ed", "d", "ing", "er", "ers", "e", "n", "en", "y", "ies", "al", "or", "ion"].contains(&text)
        || text.chars().all(|c| ('\u{400}'..='\u{52f}').contains(&c))
}

fn find(text: String, needles: &[Needle]) -> Sentence {
    let words = words(&text);
    let mut marks: Vec<(usize, usize)> = Vec::new();
    let mut found = Vec::new();
    for (number, needle) in needles.iter().enumerate() {
        let length = needle.words.len();
        for place in words.windows(length) {
            let last = length - 1;
            let same =
                |index: usize| is_form_of(&place[index].2, &needle.words[index], needle.is_open && index == last);
            // Words that stand side by side: nothing but a space or a hyphen between them.
            let adjacent = place.windows(2).all(|pair| text[pair[0].1..pair[1].0].chars().count() <= 1);
            if adjacent && (0..length).all(same) {
                marks.push((place[0].0, place[last].1));
                if found.last() != Some(&number) {
                    found.push(number);
                }
            }
        }
    }
    marks.sort_unstable();
    let mut apart: Vec<(usize, usize)> = Vec::new();
    for (start, end) in marks {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    Sentence { text, marks: apart, needles: found }
}

/// The sentence in pieces; of a long one the part around what was found first.
fn cut(sentence: &Sentence) -> Passage {
    let text = &sentence.text;
    let (mut from, mut to) = (0, text.len());
    if text.chars().count() > SENTENCE_CHARACTERS_MAX {
        let first = sentence.marks.first().map_or(0, |mark| mark.0);
        let lead = text[..first].chars().rev().take(SENTENCE_CHARACTERS_MAX / 3).map(char::len_utf8).sum::<usize>();
        from = first - lead;
        to = text[from..].char_indices().nth(SENTENCE_CHARACTERS_MAX).map_or(text.len(), |(at, _)| from + at);
        // Half words at the cuts go, unless the script has no spaces there.
        if from > 0 {
            from = text[from..first].find(' ').map_or(from, |at| from + at + 1);
        }
        if to < text.len() {
            to = text[from..to].rfind(' ').map_or(to, |at| from + at);
        }
    }
    let mut pieces: Passage = Vec::new();
    let mut push = |text: &str, marked: bool| {
        if !text.is_empty() {
            pieces.push(Piece { text: text.to_string(), marked });
        }
    };
    let mut at = from;
    push(if from > 0 { "… " } else { "" }, false);
    for (start, end) in sentence.marks.iter().filter(|(start, end)| *start >= from && *end <= to) {
        push(&text[at..*start], false);
        push(&text[*start..*end], true);
        at = *end;
    }
    push(&text[at..to], false);
    push(if to < text.len() { " …" } else { "" }, false);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArticleState, Id, Timestamp};

    fn item(title: &str, content: &str) -> Item {
        Item {
            id: Id(1),
            source: "wire".into(),
            key: "k".into(),
            url: None,
            title: title.into(),
            summary: String::new(),
            content: content.into(),
            article: String::new(),
            article_state: ArticleState::NotWanted,
            article_problem: String::new(),
            publisher: String::new(),
            language: String::new(),
            published_at: None,
            first_seen_at: Timestamp::UNIX_EPOCH,
            backlog: false,
        }
    }

    fn reason(kind: ReasonKind, term: &str, share: f64) -> Reason {
        Reason { kind, term: term.into(), share, count: 1, ..Reason::default() }
    }

    fn check(content: &str, reasons: &[Reason], expected: &[&str]) {
        let shown: Vec<String> = passages(&item("Title", content), reasons).iter().map(|p| as_text(p)).collect();
        assert_eq!(shown, expected, "{content}");
    }

    #[test]
    fn the_sentences_that_matter_are_found_and_marked() {
        let reasons =
            [reason(ReasonKind::Term, "observer status", 0.4), reason(ReasonKind::Phrase, "North Korea*", 0.3)];
        check(
            "The weather was fine. Delegates of the U.S. spoke of North Korean seats. Lunch came. Its Observer Status was \
             taken away! They left.",
            &reasons,
            &["Delegates of the U.S. spoke of **North Korean** seats.", "Its **Observer Status** was taken away!"],
        );
        // One sentence that holds all is enough.
        check(
            "Nothing. North Korea lost its observer status. North Korea left.",
            &reasons,
            &["**North Korea** lost its **observer status**."],
        );
        check("Title\nOnly this. And that.", &reasons, &["Only this."]);
    }

    #[test]
    fn forms_are_marked_in_other_scripts_too() {
        check("그것은 북한의 소식이다.", &[reason(ReasonKind::Phrase, "북한", 1.0)], &["그것은 **북한의** 소식이다."]);
        check("会合。北朝鮮は去った。", &[reason(ReasonKind::Phrase, "北朝鮮", 1.0)], &["**北朝鮮**は去った。"]);
        check("Власти ввели санкции.", &[reason(ReasonKind::Term, "санкций", 1.0)], &["Власти ввели **санкции**."]);
        // Words that only begin alike are others.
        check("The station closed. More.", &[reason(ReasonKind::Term, "status", 1.0)], &["The station closed."]);
        let concept = Reason { note: "Lazarus Group".into(), ..reason(ReasonKind::Concept, "hackers", 1.0) };
        check("They blame the Lazarus Group.", &[concept], &["They blame the **Lazarus Group**."]);
    }

    #[test]
    fn a_long_sentence_is_cut_around_what_was_found() {
        let text = format!("{} the observer left {}", "word ".repeat(100), "word ".repeat(100));
        let shown = passages(&item("", &text), &[reason(ReasonKind::Term, "observer", 1.0)]);
        let shown = as_text(&shown[0]);
        assert!(shown.starts_with("… word") && shown.ends_with("word …"), "{shown}");
        assert!(shown.contains("**observer**") && shown.chars().count() < 340, "{shown}");
    }

    #[test]
    fn without_a_text_the_reasons_say_where_they_stood() {
        let reasons =
            [Reason { context: "…the observer seat…".into(), ..reason(ReasonKind::Term, "observer", 1.0) }];
        check("", &reasons, &["…the **observer** seat…"]);
    }
}
