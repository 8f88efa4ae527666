//! What is wrong in which place of which file.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::asked::Asked;
use crate::plain;

/// A longer message is cut, and the cut shown.
const MESSAGE_CHARACTERS_MAX: usize = 2_000;

/// A place in a configuration file; lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path as the operator would type it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Something wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where; `None` when it is not in a file (a folder that is missing).
    pub place: Option<Place>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All problems found so far; and, where somebody wants to know, what the readers asked for.
#[derive(Debug, Default)]
pub struct Problems {
    list: RefCell<Vec<Problem>>,
    /// What was asked for; `None`: nobody wants to know.
    pub(super) asked: Option<Rc<RefCell<Asked>>>,
}

impl Problems {
    /// Also notes what is asked for.
    pub(super) fn noting(asked: &Rc<RefCell<Asked>>) -> Problems {
        Problems { asked: Some(asked.clone()), ..Problems::default() }
    }

    /// Notes one. Messages quote what the file says, and a profile may come from anybody.
    pub fn add(&self, place: Option<Place>, message: impl Into<String>) {
        let message = plain::line(&message.into(), MESSAGE_CHARACTERS_MAX);
        self.list.borrow_mut().push(Problem { place, message });
    }

    /// All of them by file and line.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort();
        list.dedup();
        list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file's name and text.
#[derive(Debug)]
pub struct File {
    pub(super) name: Arc<str>,
    pub(super) text: String,
    /// Where each line begins: thousands of sources each ask for their place.
    line_starts: Vec<usize>,
}

impl File {
    /// A file that was read.
    pub fn new(name: &str, text: String) -> File {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        File { name: name.into(), text, line_starts }
    }

    /// The name it was read by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the byte `at` stands.
    pub fn place(&self, at: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let line_start = self.line_starts[line - 1];
        let before = self.text.get(line_start..at).unwrap_or_default();
        Place { file: self.name.clone(), line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_steers_no_terminal() {
        let problems = Problems::default();
        problems.add(None, "unknown key `a\u{1b}[2J\u{202e}\nb`");
        assert_eq!(problems.into_sorted()[0].message, "unknown key `a b`");
    }
}
