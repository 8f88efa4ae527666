//! Parsers that were written elsewhere may panic on what they are given. A panic there costs one reading, never the
//! program, and leaves no trace on stderr.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::poller::source::ReadError;

thread_local! {
    /// This thread is inside [`guarded`], where panics are expected and reported as values.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a parser; a panic becomes an error that names what was being read.
pub fn guarded<T>(what: &str, parse: impl FnOnce() -> T) -> Result<T, ReadError> {
    static QUIET: Once = Once::new();
    // The hook prints before unwinding starts, so it must know by itself when to keep still. All other panics go
    // to the hook that was there before.
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                loud(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(parse));
    GUARDED.set(outer);
    result.map_err(|_| {
        ReadError(format!("{what} made the parser fail; please report this document as a bug in newswatch"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded("the page", || 7), Ok(7));
        let text = String::from("é");
        let error = guarded("the page", || text[1..].len()).unwrap_err();
        assert!(error.0.starts_with("the page made the parser fail"), "{error}");
        assert!(!GUARDED.get());
    }
}
