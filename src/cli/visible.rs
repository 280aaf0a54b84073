//! Text of clients, fit to be looked at: nothing in it moves a cursor, hides, or turns around what
//! stands beside it.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::{self, IsTerminal};

use crate::protocol::Format;

/// Characters that are not seen, by first and last: Default_Ignorable_Code_Point of Unicode 16
/// (DerivedCoreProperties.txt), which holds all of Bidi_Control (PropList.txt); and what breaks
/// lines, U+2028 and U+2029, and the marks of interlinear annotations, U+FFF9 to U+FFFB.
const HIDDEN: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Where a text goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Somebody looks at it.
    Terminal,
    /// A program reads it: what means something to a program stays as it is.
    Pipe,
}

impl Place {
    pub(super) fn of_stdout() -> Place {
        if io::stdout().is_terminal() { Place::Terminal } else { Place::Pipe }
    }
}

/// Whether a person would not see the character, or its terminal would obey it.
pub(super) fn is_hidden(character: char) -> bool {
    // Most characters end here.
    if (' '..='~').contains(&character) {
        return false;
    }
    character.is_control()
        || HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&character))
}

/// Whether it is to be escaped in a payload: line breaks and tabs between tokens are nobody's harm.
fn is_escaped(character: char, place: Place) -> bool {
    match character {
        '\n' | '\t' => false,
        control if control.is_control() => true,
        other => place == Place::Terminal && is_hidden(other),
    }
}

/// Whether [`payload`] would change the text.
pub(super) fn needs_escapes(text: &str, place: Place) -> bool {
    text.chars().any(|character| is_escaped(character, place))
}

/// A topic, an error: one line, with `\u202e` where something would not be seen.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// As [`line`], with its line breaks.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_hidden(character))
}

/// A line of a log, whose line breaks and colours are the logger's. A JSON object is the same
/// object.
pub(super) fn logged(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character >= '\u{7f}' && is_hidden(character))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) { push_escape(&mut out, character) } else { out.push(character) }
    }
    out.into()
}

/// A payload in its format; what takes a character's place means the same there. Only in the name
/// of an XML element nothing can, and it is made visible all the same. In a comment or a CDATA
/// section it would not mean the same: a payload for a program must have none.
pub(super) fn payload(text: &str, format: Format, place: Place) -> Cow<'_, str> {
    if format != Format::Xml {
        return escaped(text, |character| is_escaped(character, place));
    }
    if !needs_escapes(text, place) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_tag, mut quote) = (false, None);
    for character in text.chars() {
        match character {
            '<' => in_tag = true,
            '>' if quote.is_none() => in_tag = false,
            '"' | '\'' if in_tag => match quote {
                None => quote = Some(character),
                Some(open) if open == character => quote = None,
                Some(_) => {}
            },
            _ => {}
        }
        match (is_escaped(character, place), in_tag && quote.is_none()) {
            (false, _) => out.push(character),
            (true, true) => push_escape(&mut out, character),
            (true, false) => drop(write!(out, "&#x{:x};", u32::from(character))),
        }
    }
    out.into()
}

/// As JSON spells it: in UTF-16.
fn push_escape(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_escaped() {
        let ranges = [
            0x200b..=0x200f_u32,
            0x202a..=0x202e,
            0x2060..=0x2064,
            0x2066..=0x2069,
            0xfeff..=0xfeff,
            0x61c..=0x61c,
            0xad..=0xad,
            0x180e..=0x180e,
            0xe0000..=0xe007f,
            0..=0x1f,
            0x7f..=0x9f,
            0x2028..=0x2029,
        ];
        for code in ranges.into_iter().flatten() {
            let text = char::from_u32(code).unwrap().to_string();
            assert!(line(&text).is_ascii() && line(&text).starts_with("\\u"), "{code:x}");
        }
        for seen in ["/wetter/zürich", "日本語", "🙂", "é", "\u{301}", "עברית", "~ \\u202e"]
        {
            assert!(matches!(line(seen), Cow::Borrowed(_)), "{seen}");
        }
        assert_eq!(line("a\u{202e}b\u{e0041}c\nd"), "a\\u202eb\\udb40\\udc41c\\u000ad");
        assert_eq!(lines("a\u{9b}\nb\u{200b}"), "a\\u009b\nb\\u200b");
        assert_eq!(
            logged("\x1b[32mINFO\x1b[0m a\u{202e}\u{85}\n"),
            "\x1b[32mINFO\x1b[0m a\\u202e\\u0085\n"
        );
    }

    #[test]
    fn payloads_mean_the_same() {
        let check = |text: &str, format, place, expected: &str| {
            assert_eq!(payload(text, format, place), expected, "{text:?} {place:?}");
        };
        let json = "{\n\"k\u{202e}\": \"\u{9b}31m\u{7f}\u{e0041}\"}";
        check(
            json,
            Format::Json,
            Place::Terminal,
            "{\n\"k\\u202e\": \"\\u009b31m\\u007f\\udb40\\udc41\"}",
        );
        check(json, Format::Json, Place::Pipe, "{\n\"k\u{202e}\": \"\\u009b31m\\u007f\u{e0041}\"}");
        for place in [Place::Terminal, Place::Pipe] {
            let escaped: serde_json::Value =
                serde_json::from_str(&payload(json, Format::Json, place)).unwrap();
            assert_eq!(escaped, serde_json::from_str::<serde_json::Value>(json).unwrap());
        }
        let xml = "<a\u{200d} k=\"\u{200b}>\">\u{9b}\u{202e}</a\u{200d}>";
        let shown = "<a\\u200d k=\"&#x200b;>\">&#x9b;&#x202e;</a\\u200d>";
        check(xml, Format::Xml, Place::Terminal, shown);
        check(
            xml,
            Format::Xml,
            Place::Pipe,
            "<a\u{200d} k=\"\u{200b}>\">&#x9b;\u{202e}</a\u{200d}>",
        );
    }
}
