//! What is wrong with a users file, and at which line and column.

use std::fmt;

/// Mistakes that are listed; those beyond are counted.
const LISTED: usize = 32;

/// One mistake in a users file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what to do, on one line. It never holds what stands as a password.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// A users file was refused as a whole, for one mistake or several.
///
/// ```
/// use babelmq::access::Policy;
///
/// let error = Policy::parse("[role.guest]\npublsh = ['a']\n").unwrap_err();
/// assert_eq!((error.mistakes()[0].line, error.mistakes().len()), (2, 1));
/// assert!(error.to_string().contains("\"publsh\""));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersError {
    mistakes: Vec<Mistake>,
    more: usize,
}

impl UsersError {
    /// The mistakes, in the order of the file: the first 32. There is at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// How many mistakes there are beyond those that are listed.
    pub fn more(&self) -> usize {
        self.more
    }
}

/// A line for each mistake.
impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            let before = if number == 0 { "" } else { "\n" };
            write!(f, "{before}{mistake}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for UsersError {}

/// The mistakes found so far, by the bytes where they are.
pub(super) struct Mistakes<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The first ones, and some more.
    found: Vec<(usize, String)>,
    /// How many others there were.
    dropped: usize,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(text: &'a str) -> Mistakes<'a> {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Mistakes {
            text,
            lines: [0].into_iter().chain(after).collect(),
            found: Vec::new(),
            dropped: 0,
        }
    }

    pub(super) fn add(&mut self, at: usize, what: impl Into<String>) {
        self.found.push((at, what.into()));
        if self.found.len() >= 2 * LISTED {
            self.keep_first();
        }
    }

    /// Drops those that are not listed: a file may have more mistakes than there is memory for.
    fn keep_first(&mut self) {
        self.found.sort_by_key(|(at, _)| *at);
        self.dropped += self.found.len().saturating_sub(LISTED);
        self.found.truncate(LISTED);
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn column(&self, at: usize) -> usize {
        let start = self.lines[self.line(at) - 1];
        // An offset in the middle of a character is that character's.
        let before = (start..=at).rev().find_map(|at| self.text.get(start..at)).unwrap_or_default();
        before.chars().count() + 1
    }

    /// Whether the file is good.
    pub(super) fn end(mut self) -> Result<(), UsersError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.keep_first();
        let found = std::mem::take(&mut self.found);
        let listed = found.into_iter().map(|(at, what)| Mistake {
            line: self.line(at),
            column: self.column(at),
            // A message of the TOML reader has lines; a control character would spoil a log.
            what: what.replace(char::is_control, " "),
        });
        Err(UsersError { mistakes: listed.collect(), more: self.dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mistakes = Mistakes::new("a\nüb\n");
        let at = |byte| (mistakes.line(byte), mistakes.column(byte));
        assert_eq!([at(0), at(1), at(2), at(4)], [(1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(at(3), (2, 1), "in the middle of a character");
        assert_eq!([at(6), at(99)], [(3, 1), (3, 1)]);
    }

    #[test]
    fn the_first_mistakes_are_listed_and_the_rest_counted() {
        let mut mistakes = Mistakes::new("ab");
        (0..400).for_each(|number| mistakes.add(1 - number % 2, format!("{number}")));
        assert!(mistakes.found.len() < 64, "memory for a few, however many there are");
        let error = mistakes.end().unwrap_err();
        assert_eq!((error.mistakes().len(), error.more()), (32, 368));
        assert_eq!(error.mistakes()[0].to_string(), "line 1, column 1: 1");
        assert_eq!(error.mistakes()[31].to_string(), "line 1, column 1: 63");
        assert!(error.to_string().ends_with("\nand 368 more"));
    }
}
