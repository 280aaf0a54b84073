//! Rows in columns, for people; programs ask for `--json`.

use std::io::{self, Write};

use super::visible;

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Prints rows under their titles, each column as wide as its longest text.
pub(super) fn print<const N: usize>(
    out: &mut impl Write,
    titles: [(&str, Align); N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let shown = |text: &str| visible::line(text).into_owned();
    let mut lines = vec![titles.map(|(title, _)| title.to_owned())];
    lines.extend(rows.iter().map(|row| row.each_ref().map(|text| shown(text))));
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    });
    for line in &lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            text += &match titles[column].1 {
                Align::Left => format!("{cell:width$}  "),
                Align::Right => format!("{cell:>width$}  "),
            };
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_text() {
        let mut out = Vec::new();
        let titles = [("name", Align::Left), ("messages", Align::Right), ("full", Align::Left)];
        let rows =
            [["é", "5", "no\n"], ["orders", "1234567890", ""]].map(|row| row.map(Into::into));
        print(&mut out, titles, &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "name      messages  full\n\
             é                5  no\\u000a\n\
             orders  1234567890\n"
        );
    }
}
