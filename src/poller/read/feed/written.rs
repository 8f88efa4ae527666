//! Text as its publisher wrote it, with what it is written in: so it travels to the parser and comes back from it, and is made
//! plain only at the end.

use std::borrow::Cow;

use crate::plain;
use crate::poller::read::{html, mojibake};

/// A text that is longer than this, and than what is wanted of it, does not travel as it is.
const LONG_BYTES_MIN: usize = 64 * 1024;

/// A text and what it is written in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written<'a> {
    pub(super) is_html: bool,
    pub(super) text: Cow<'a, str>,
}

impl<'a> Written<'a> {
    /// HTML, whole or a fragment, broken or not.
    pub(super) fn html(text: impl Into<Cow<'a, str>>) -> Written<'a> {
        Written { is_html: true, text: text.into() }
    }

    /// Plain text, whose line breaks are meant.
    pub(super) fn plain(text: impl Into<Cow<'a, str>>) -> Written<'a> {
        Written { is_html: false, text: text.into() }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Plain at once if it is long: else it would be copied whole a dozen times on its way through the parser.
    pub(super) fn shortened(self, bytes_max: usize) -> Written<'a> {
        if self.text.len() <= LONG_BYTES_MIN.max(bytes_max.saturating_mul(4)) {
            return self;
        }
        let plain = if self.is_html { html::plain_text } else { plain::text };
        Written::plain(plain(&self.text, bytes_max))
    }

    /// As one line of plain text.
    pub(super) fn line(&self, bytes_max: usize) -> String {
        if self.is_html {
            return mojibake::repair(html::plain_line(&self.text, bytes_max));
        }
        let mut line = plain::line(&self.text, bytes_max);
        line.truncate(line.floor_char_boundary(bytes_max));
        mojibake::repair(line)
    }

    /// As plain text of several lines.
    pub(super) fn text(&self, bytes_max: usize) -> String {
        mojibake::repair(if self.is_html {
            html::plain_text(&self.text, bytes_max)
        } else {
            plain::text(&self.text, bytes_max)
        })
    }
}
