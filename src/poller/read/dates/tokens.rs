//! A text as numbers, words and marks.

use Token::{Mark, Number, Space, Word};

/// More tokens than this are no date.
const TOKENS_MAX: usize = 64;

/// A piece of a text in which a date may stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Value, number of digits.
    Number(u32, usize),
    /// Lower case.
    Word(String),
    Mark(char),
    Space,
}

/// Cuts a text; what stands far behind is left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().map(ascii_digit).peekable();
    while let Some(&c) = characters.peek() {
        if tokens.len() >= TOKENS_MAX {
            break;
        }
        if c.is_ascii_digit() {
            let (mut value, mut count) = (0u64, 0);
            while let Some(digit) = characters.peek().and_then(|c| c.to_digit(10)) {
                value = value.saturating_mul(10).saturating_add(u64::from(digit));
                count += 1;
                characters.next();
            }
            tokens.push(Number(u32::try_from(value).unwrap_or(u32::MAX), count));
        } else if is_east_asian_unit(c) {
            characters.next();
            tokens.push(Word(c.to_string()));
        } else if c.is_alphabetic() {
            let mut word = String::new();
            while let Some(&c) = characters.peek().filter(|c| c.is_alphabetic() && !is_east_asian_unit(**c)) {
                word.extend(c.to_lowercase());
                characters.next();
            }
            tokens.push(Word(word));
        } else if c.is_whitespace() {
            characters.next();
            if tokens.last() != Some(&Space) {
                tokens.push(Space);
            }
        } else {
            characters.next();
            tokens.push(Mark(if matches!(c, '–' | '‑' | '−' | '—') { '-' } else { c }));
        }
    }
    tokens
}

/// Full-width digits count as digits.
fn ascii_digit(c: char) -> char {
    match c {
        '０'..='９' => char::from(b'0' + (u32::from(c) - u32::from('０')) as u8),
        '：' => ':',
        _ => c,
    }
}

fn is_east_asian_unit(c: char) -> bool {
    matches!(c, '년' | '월' | '일' | '年' | '月' | '日' | '시' | '분' | '초' | '時' | '时' | '分' | '秒')
}
