//! The text of an element, gathered from the pieces that markup and references cut it into.

use super::chars::is_space;
use crate::Text;

/// A range of the source: small enough to be kept for every open element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Sources are shorter than 2 GiB.
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end.max(start) as u32 }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    pub(super) fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.start()..self.end()).unwrap_or_default()
    }

    pub(super) fn text(self) -> Text {
        Text::in_source(self.start()..self.end())
    }

    pub(super) fn len(self) -> usize {
        self.end() - self.start()
    }
}

/// A part of an element's text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// As the source spells it.
    Literal(Span),
    /// With carriage returns, which XML reads as line feeds.
    Lines(Span),
    /// What a reference stands for.
    Character(char),
}

/// An element's text as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// The source spells it.
    Source(Span),
    /// It had to be put together.
    Joined(&'a [u8]),
}

impl<'a> Content<'a> {
    /// Joins `pieces`, in `joined` where that is needed.
    pub(super) fn join(pieces: &[Piece], source: &[u8], joined: &'a mut Vec<u8>) -> Content<'a> {
        if let [Piece::Literal(span)] = pieces {
            return Content::Source(*span);
        }
        joined.clear();
        for piece in pieces {
            match piece {
                Piece::Literal(span) => joined.extend_from_slice(span.of(source)),
                Piece::Lines(span) => push_lines(span.of(source), joined),
                Piece::Character(character) => push_char(*character, joined),
            }
        }
        Content::Joined(joined)
    }

    pub(super) fn bytes(self, source: &'a [u8]) -> &'a [u8] {
        match self {
            Content::Source(span) => span.of(source),
            Content::Joined(bytes) => bytes,
        }
    }

    /// Without the XML white space at both ends.
    pub(super) fn trim(self, source: &'a [u8]) -> Content<'a> {
        let bytes = self.bytes(source);
        let before = bytes.iter().take_while(|&&byte| is_space(byte)).count();
        let after = bytes[before..].iter().rev().take_while(|&&byte| is_space(byte)).count();
        self.part(before, bytes.len() - before - after)
    }

    /// Without what Python's `str.strip` takes away at both ends. (Python also strips U+001C to
    /// U+001F, which XML cannot hold; for the rest it agrees with Rust.)
    pub(super) fn strip(self, source: &'a [u8]) -> Content<'a> {
        let bytes = self.bytes(source);
        let text = str::from_utf8(bytes).unwrap_or_default();
        let before = text.len() - text.trim_start().len();
        let kept = text.trim().len();
        self.part(before, kept)
    }

    fn part(self, from: usize, length: usize) -> Content<'a> {
        match self {
            Content::Source(span) => {
                Content::Source(Span::new(span.start() + from, span.start() + from + length))
            }
            Content::Joined(joined) => Content::Joined(&joined[from..from + length]),
        }
    }
}

/// Appends `raw` with its line ends as XML reads them: CR LF and lone CR are LF.
fn push_lines(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        rest = &rest[at + 1..];
        if let [b'\n', after @ ..] = rest {
            rest = after;
        }
    }
    out.extend_from_slice(rest);
}

/// Appends a character as UTF-8.
pub(super) fn push_char(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
