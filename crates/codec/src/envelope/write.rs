//! Whole frames, in every format.

use super::dialect::Dialect;
use crate::json::{self, Tags};
use crate::pickle::Classes;
use crate::protocol::{HEADER_LEN, Header, Topic};
use crate::xml::{self, PlainNames};
use crate::{View, number, pickle};

/// A field other than `message`.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A list of topics.
    Topics(&'a [Topic]),
    /// A number with a fraction, neither infinite nor none.
    Float(f64),
    /// A list of such numbers.
    Floats(&'a [f64]),
}

/// A payload on its way out.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// As it was published, in the dialect's own format.
    Published(&'a [u8]),
    /// To be written.
    Decoded(View<'a>),
}

/// Appends a frame: a map of `fields`, and the payload as its `message`.
pub fn write_frame<'a>(
    out: &mut Vec<u8>,
    dialect: Dialect,
    fields: impl Iterator<Item = &'a (&'a str, Field<'a>)> + Clone,
    message: Option<Content<'_>>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            write_json(out, fields, message, dialect.tags());
        }
        Dialect::Xml | Dialect::PlainXml => {
            write_xml(out, fields, message, dialect == Dialect::PlainXml);
        }
        Dialect::Pickle | Dialect::ExactPickle => {
            write_pickle(out, fields, message, dialect.classes());
        }
    }
    write_header(out, dialect, start);
}

/// Writes the header of the frame that begins at `start`, whose body is complete.
#[inline]
fn write_header(out: &mut [u8], dialect: Dialect, start: usize) {
    let header = header(dialect, out.len() - start - HEADER_LEN);
    out[start..start + HEADER_LEN].copy_from_slice(&header);
}

/// The header of a body of `length` bytes.
#[inline(always)]
pub(super) fn header(dialect: Dialect, length: usize) -> [u8; HEADER_LEN] {
    // The limits keep every body below 4 GiB, see MAXIMUM_MAX_FRAME.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Header { format: dialect.format(), length }.to_bytes()
}

fn write_json<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = &'a (&'a str, Field<'a>)>,
    message: Option<Content<'_>>,
    tags: Tags,
) {
    let mut before = b'{';
    for (name, field) in fields {
        out.push(before);
        before = b',';
        json::write_str(name.as_bytes(), out);
        out.push(b':');
        match field {
            Field::Str(text) => json::write_str(text.as_bytes(), out),
            Field::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Field::Int(number) => {
                out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes())
            }
            Field::Topics(topics) => {
                let mut before = b'[';
                for topic in *topics {
                    out.push(before);
                    before = b',';
                    json::write_str(topic.as_str().as_bytes(), out);
                }
                out.extend_from_slice(if topics.is_empty() { b"[]" } else { b"]" });
            }
            Field::Float(number) => number::write_float(*number, out),
            Field::Floats(numbers) => {
                let mut before = b'[';
                for number in *numbers {
                    out.push(before);
                    before = b',';
                    number::write_float(*number, out);
                }
                out.extend_from_slice(if numbers.is_empty() { b"[]" } else { b"]" });
            }
        }
    }
    if let Some(message) = message {
        out.extend_from_slice(b",\"message\":");
        match message {
            Content::Published(bytes) => out.extend_from_slice(bytes),
            Content::Decoded(view) => json::encode(view, tags, out),
        }
    }
    out.push(b'}');
}

fn write_xml<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = &'a (&'a str, Field<'a>)> + Clone,
    message: Option<Content<'_>>,
    is_plain: bool,
) {
    out.extend_from_slice(b"<frame");
    for (name, field) in fields.clone() {
        match field {
            Field::Str(text) if xml::fits_attribute(text.as_bytes()) => {
                xml::write_attribute(name, text.as_bytes(), out);
            }
            Field::Str(_) | Field::Topics(_) | Field::Floats(_) => {}
            Field::Float(number) => {
                let mut text = Vec::new();
                number::write_float(*number, &mut text);
                xml::write_attribute(name, &text, out);
            }
            Field::Bool(truth) => {
                xml::write_attribute(name, if *truth { b"true" } else { b"false" }, out)
            }
            Field::Int(number) => {
                xml::write_attribute(name, itoa::Buffer::new().format(*number).as_bytes(), out);
            }
        }
    }
    out.push(b'>');
    for (name, field) in fields {
        if let Field::Str(text) = field
            && !xml::fits_attribute(text.as_bytes())
        {
            // A topic may hold U+FFFF, which XML cannot; as an attribute it would arrive as another
            // topic.
            xml::write_text(name, text.as_bytes(), out);
        }
        let is_list = matches!(field, Field::Topics(_) | Field::Floats(_));
        if is_list {
            out.push(b'<');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b" type=\"list\">");
        }
        match field {
            Field::Topics(topics) => {
                for topic in *topics {
                    xml::write_text("item", topic.as_str().as_bytes(), out);
                }
            }
            Field::Floats(numbers) => {
                for number in *numbers {
                    out.extend_from_slice(b"<item type=\"float\">");
                    number::write_float(*number, out);
                    out.extend_from_slice(b"</item>");
                }
            }
            _ => {}
        }
        if is_list {
            out.extend_from_slice(b"</");
            out.extend_from_slice(name.as_bytes());
            out.push(b'>');
        }
    }
    match message {
        Some(Content::Published(element)) => out.extend_from_slice(element),
        Some(Content::Decoded(view)) if is_plain => {
            xml::encode_plain(view, &PlainNames::default(), out);
        }
        Some(Content::Decoded(view)) => xml::encode(view, out),
        None => {}
    }
    out.extend_from_slice(b"</frame>");
}

fn write_pickle<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = &'a (&'a str, Field<'a>)>,
    message: Option<Content<'_>>,
    classes: Classes,
) {
    pickle::write_prologue(out);
    pickle::open_dict(out);
    for (name, field) in fields {
        pickle::write_str(name.as_bytes(), out);
        match field {
            Field::Str(text) => pickle::write_str(text.as_bytes(), out),
            Field::Bool(truth) => pickle::write_bool(*truth, out),
            Field::Int(number) => pickle::write_int(*number, out),
            Field::Topics(topics) => {
                pickle::open_list(out);
                for topic in *topics {
                    pickle::write_str(topic.as_str().as_bytes(), out);
                }
                pickle::close_list(out);
            }
            Field::Float(number) => pickle::write_float(*number, out),
            Field::Floats(numbers) => {
                pickle::open_list(out);
                numbers.iter().for_each(|number| pickle::write_float(*number, out));
                pickle::close_list(out);
            }
        }
    }
    // A producer's pickle is never passed on, so there is no published form of it.
    if let Some(Content::Decoded(view)) = message {
        pickle::write_str(b"message", out);
        pickle::encode(view, classes, out);
    }
    pickle::close_dict(out);
    pickle::write_stop(out);
}
