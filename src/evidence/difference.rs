//! What two readings of a text differ in, sentence by sentence. Pure.

use std::collections::BTreeSet;

/// Characters of a sentence that are shown.
const SENTENCE_CHARACTERS_MAX: usize = 600;
/// Sentences that are named of each side.
const SENTENCES_MAX: usize = 50;

/// What stood in one reading and not in the other. Nobody says that anything was deleted: a page may have been read in part.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Sentences present then, absent now.
    pub then_only: Vec<String>,
    /// Sentences absent then, present now.
    pub now_only: Vec<String>,
    /// How many more there are that are not named.
    pub more: usize,
}

impl Difference {
    /// Both say the same, in whatever order.
    pub fn is_empty(&self) -> bool {
        self.then_only.is_empty() && self.now_only.is_empty()
    }
}

/// The difference of two texts. White space and order do not matter.
pub fn difference(then: &str, now: &str) -> Difference {
    let (then, now) = (sentences(then), sentences(now));
    let (in_then, in_now): (BTreeSet<&String>, BTreeSet<&String>) = (then.iter().collect(), now.iter().collect());
    let mut difference = Difference::default();
    let mut only = |own: &[String], other: &BTreeSet<&String>| {
        let mut met = BTreeSet::new();
        let found: Vec<&String> = own.iter().filter(|one| !other.contains(one) && met.insert(*one)).collect();
        difference.more += found.len().saturating_sub(SENTENCES_MAX);
        found.into_iter().take(SENTENCES_MAX).map(|one| crate::plain::line(one, SENTENCE_CHARACTERS_MAX)).collect()
    };
    let then_only: Vec<String> = only(&then, &in_now);
    let now_only: Vec<String> = only(&now, &in_then);
    Difference { then_only, now_only, more: difference.more }
}

/// The sentences of a text, white space made one: they end with a line, or with a full stop, question or exclamation mark
/// before a space, in any script.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for line in text.lines() {
        let mut own = String::new();
        for word in line.split_whitespace() {
            if !own.is_empty() {
                own.push(' ');
            }
            // Scripts without spaces end their sentences within a word.
            for part in word.split_inclusive(['。', '！', '？']) {
                own.push_str(part);
                if part.ends_with(['。', '！', '？']) {
                    sentences.push(std::mem::take(&mut own));
                }
            }
            let bare = own.trim_end_matches(['"', '\'', '”', '’', '»', ')']);
            if bare.ends_with(['.', '!', '?', '…']) && word.chars().count() > 2 {
                sentences.push(std::mem::take(&mut own));
            }
        }
        sentences.push(own);
    }
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_what_was_there_and_what_is_there() {
        let then = "The bank closed. Mr. X. denied it.\nThe sum was 3.5 million dollars.";
        let now = "The bank  closed.\nThe sum was 4 million dollars. Mr. X. denied it.";
        let found = difference(then, now);
        assert_eq!(found.then_only, ["The sum was 3.5 million dollars."]);
        assert_eq!(found.now_only, ["The sum was 4 million dollars."]);
        assert!(difference(then, then).is_empty());
        let chinese = difference("银行关闭。他否认。", "银行关闭。他承认。");
        assert_eq!((chinese.then_only, chinese.now_only), (vec!["他否认。".to_string()], vec!["他承认。".to_string()]));
    }

    #[test]
    fn it_is_bounded() {
        let long: String = (0..200).map(|number| format!("Sentence {number} stands here.\n")).collect();
        let found = difference(&long, "");
        assert_eq!((found.then_only.len(), found.more), (SENTENCES_MAX, 150));
        assert!(difference(&"x".repeat(10_000), "").then_only[0].chars().count() <= SENTENCE_CHARACTERS_MAX + 1);
    }
}
