//! Colours: for people, and only where they can be seen.

use std::env;
use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};

use super::args::Color;

pub(super) const TOPIC: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const KEY: Style = AnsiColor::Blue.on_default();
pub(super) const TEXT: Style = AnsiColor::Green.on_default();
pub(super) const NUMBER: Style = AnsiColor::Yellow.on_default();
pub(super) const WORD: Style = AnsiColor::Magenta.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();

impl Color {
    /// Whether standard output is to be coloured.
    pub(super) fn on_stdout(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                io::stdout().is_terminal()
                    && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// `text` in a style.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A JSON text or Python's `repr` with colours by token. The text itself is not changed.
pub(super) fn data(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            'b' if rest[1..].starts_with('"') => 1 + string_length(&rest[1..]),
            '-' | '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' => rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_')))
                .unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let style = match first {
            '"' | 'b' if token.ends_with('"') && after.trim_start().starts_with(':') => Some(KEY),
            '"' | 'b' if token.ends_with('"') => Some(TEXT),
            '-' | '0'..='9' => Some(NUMBER),
            'a'..='z' | 'A'..='Z' => Some(WORD),
            _ => None,
        };
        match style {
            Some(style) => out.push_str(&styled(style, token)),
            None => out.push_str(token),
        }
        rest = after;
    }
    out
}

/// The length of the string that `text` begins with, both quotes included.
pub(super) fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// An XML text with its tags coloured.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let length = rest[start..].find('>').map_or(rest.len() - start, |end| end + 1);
        out.push_str(&rest[..start]);
        out.push_str(&styled(KEY, &rest[start..start + length]));
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_nothing_else() {
        let mut plain = String::new();
        for text in [
            r#"{"a b":[-1.5e+3,null,"x\"y: ",true],"b":{}}"#,
            "{\"k\": b\"\\\"\", 1: nan}",
            "\"open",
            "b\"",
            "ü",
        ] {
            let painted = data(text);
            plain.clear();
            let mut codes = painted.split('\x1b');
            plain.push_str(codes.next().unwrap_or_default());
            plain.extend(codes.map(|code| code.split_once('m').unwrap().1));
            assert_eq!(plain, text);
        }
        assert_eq!(data("5"), "\x1b[33m5\x1b[0m");
        assert_eq!(xml("<a>5</a>"), "\x1b[34m<a>\x1b[0m5\x1b[34m</a>\x1b[0m");
    }
}
