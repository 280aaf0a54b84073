//! A start tag: its name and its attributes, checked as XML 1.0 wants them.
//!
//! quick-xml finds where the tag ends; it takes names and attributes of any shape, and its own
//! check for duplicates is quadratic below its threshold and hashes above it. This one is strict,
//! and linear throughout.

use std::collections::HashSet;

use super::chars;
use super::fault::{Fault, shown};
use super::text::{Span, push_char};
use crate::protocol::ErrorCode;

/// Up to this many names are compared with each other; more are hashed.
const FEW: usize = 12;

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: Span,
    /// Between the quotes.
    pub(super) value: Span,
    /// Whether the source spells the value as it is: no reference, no white space but spaces.
    pub(super) is_literal: bool,
    /// Whether the attribute was used up: it said how to read the element and is not part of what
    /// is read.
    pub(super) is_used: bool,
}

/// Reads what stands between `<` and `>` (or `/>`). Returns the name and puts the attributes into
/// `attributes`.
///
/// # Errors
/// [`ErrorCode::DuplicateField`] for an attribute given twice, [`ErrorCode::MalformedXml`] for
/// anything else.
pub(super) fn parse(
    source: &[u8],
    inner: Span,
    attributes: &mut Vec<Attribute>,
) -> Result<Span, Fault> {
    attributes.clear();
    let (start, end) = (inner.start(), inner.end());
    let bytes = &source[..end];
    let Some(length) = chars::name_length(&bytes[start..]) else {
        return Err(Fault::malformed(
            start,
            format!("<{} does not begin an element: that is no XML name", shown(inner.of(source))),
        ));
    };
    let name = Span::new(start, start + length);
    let mut at = name.end();
    loop {
        let after_space = skip_space(bytes, at);
        if after_space == end {
            break;
        }
        if after_space == at {
            return Err(Fault::malformed(
                at,
                format!("<{}>: white space must stand between attributes", shown(name.of(source))),
            ));
        }
        let attribute = parse_attribute(source, after_space, end, name)?;
        at = attribute.value.end() + 1;
        attributes.push(attribute);
    }
    refuse_duplicates(source, name, attributes)?;
    Ok(name)
}

fn parse_attribute(
    source: &[u8],
    start: usize,
    end: usize,
    element: Span,
) -> Result<Attribute, Fault> {
    let bytes = &source[..end];
    let length = chars::name_length(&bytes[start..]);
    let name = Span::new(start, length.map_or(end, |length| start + length));
    let broken = |at: usize, what: &str| {
        Fault::malformed(
            at,
            format!(
                "<{}>: attribute {:?} {what}",
                shown(element.of(source)),
                shown(name.of(source))
            ),
        )
    };
    if length.is_none() {
        return Err(broken(start, "is no XML name"));
    }
    let equals = skip_space(bytes, name.end());
    if bytes.get(equals) != Some(&b'=') {
        return Err(broken(equals, "has no value; write name=\"value\""));
    }
    let quote_at = skip_space(bytes, equals + 1);
    let Some(&quote @ (b'"' | b'\'')) = bytes.get(quote_at) else {
        return Err(broken(quote_at, "has a value without quotes; write name=\"value\""));
    };
    let value_start = quote_at + 1;
    let mut is_literal = true;
    for (index, &byte) in bytes[value_start..].iter().enumerate() {
        match byte {
            b'<' => {
                return Err(broken(
                    value_start + index,
                    "has a \"<\" in its value; write it as &lt;",
                ));
            }
            b'&' | b'\t' | b'\n' | b'\r' => is_literal = false,
            _ if byte == quote => {
                let value = Span::new(value_start, value_start + index);
                return Ok(Attribute { name, value, is_literal, is_used: false });
            }
            _ => {}
        }
    }
    Err(broken(quote_at, "has a value whose quote is never closed"))
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..].iter().position(|&byte| !chars::is_space(byte));
    length.map_or(bytes.len(), |length| at + length)
}

fn refuse_duplicates(source: &[u8], element: Span, attributes: &[Attribute]) -> Result<(), Fault> {
    let name = |attribute: &Attribute| attribute.name.of(source);
    let twice = if attributes.len() <= FEW {
        (1..attributes.len()).find(|&at| {
            attributes[..at].iter().any(|earlier| name(earlier) == name(&attributes[at]))
        })
    } else {
        let mut names = HashSet::with_capacity(attributes.len());
        attributes.iter().position(|attribute| !names.insert(name(attribute)))
    };
    let Some(twice) = twice.map(|at| attributes[at].name) else { return Ok(()) };
    Err(Fault::new(
        ErrorCode::DuplicateField,
        twice.start(),
        format!(
            "<{}>: attribute {:?} is given twice",
            shown(element.of(source)),
            shown(twice.of(source))
        ),
    ))
}

/// Appends an attribute's value as XML reads it: references resolved, white space turned to spaces.
pub(super) fn push_value(
    source: &[u8],
    attribute: Attribute,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let value = attribute.value.of(source);
    if attribute.is_literal {
        out.extend_from_slice(value);
        return Ok(());
    }
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b'&' => {
                let position = attribute.value.start() + at;
                let length = memchr::memchr2(b';', b'&', &value[at + 1..])
                    .filter(|&length| value[at + 1 + length] == b';')
                    .ok_or_else(|| chars::unclosed(position))?;
                push_char(chars::reference(&value[at + 1..at + 1 + length], position)?, out);
                at += length + 2;
                continue;
            }
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            b'\r' | b'\t' | b'\n' => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(())
}

/// A set of names in which a few cost no hashing.
#[derive(Debug, Default)]
pub(super) struct Names<'s> {
    few: Vec<&'s [u8]>,
    many: HashSet<&'s [u8]>,
}

impl<'s> Names<'s> {
    /// Whether the name is new.
    pub(super) fn insert(&mut self, name: &'s [u8]) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}
