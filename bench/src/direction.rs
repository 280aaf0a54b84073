//! From one format to another.

use std::fmt;

use anyhow::{Context, Error, Result};

use crate::wire::Format;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Direction {
    pub(crate) from: Format,
    pub(crate) to: Format,
}

const fn direction(from: Format, to: Format) -> Direction {
    Direction { from, to }
}

use Format::{Json, Pickle, Xml};

impl Direction {
    /// Those that every stream is measured in.
    pub(crate) const ALL: [Direction; 7] = [
        direction(Json, Json),
        direction(Json, Pickle),
        direction(Json, Xml),
        direction(Pickle, Json),
        direction(Pickle, Xml),
        direction(Pickle, Pickle),
        direction(Xml, Json),
    ];

    /// For people.
    pub(crate) fn title(self) -> String {
        let short = |format| match format {
            Json => "JSON",
            Xml => "XML",
            Pickle => "pickle",
        };
        format!("{} → {}", short(self.from), short(self.to))
    }
}

/// As programs name it: `json-pickle`.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

impl std::str::FromStr for Direction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Direction> {
        let found = Direction::ALL.into_iter().find(|direction| direction.to_string() == text);
        let all = || Direction::ALL.map(|direction| direction.to_string()).join(", ");
        found.with_context(|| format!("the directions are {}", all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for direction in Direction::ALL {
            assert_eq!(direction.to_string().parse::<Direction>().unwrap(), direction);
        }
        assert!("xml-xml".parse::<Direction>().is_err());
    }
}
