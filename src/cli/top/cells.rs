//! Cells of the tables.

use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row};

pub(super) fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

/// The names of columns; those of numbers stand above their numbers.
pub(super) fn header(names: impl IntoIterator<Item = &'static str>) -> Row<'static> {
    let cells = names.into_iter().map(|name| match name {
        "TOPIC" | "TOPICS" | "CLIENT" | "ADDRESS" | "PROTOCOL" | "FORMAT" | "STREAM" => {
            Cell::from(name)
        }
        _ => right(name.to_owned()),
    });
    Row::new(cells).style(Style::new().bold())
}
