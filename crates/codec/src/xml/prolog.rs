//! The markup that may stand beside the root and between elements without being content: the XML
//! declaration, processing instructions, comments.

use super::chars;
use super::fault::{Fault, shown};
use super::tag::{self, Attribute};
use super::text::Span;

/// Judges `xml version="1.0" encoding="utf-8"`, the declaration without its `<?` and `?>`.
pub(super) fn judge_declaration(source: &[u8], inner: Span) -> Result<(), Fault> {
    let mut fields: Vec<Attribute> = Vec::new();
    tag::parse(source, inner, &mut fields)
        .map_err(|fault| Fault::malformed(fault.at.unwrap_or(inner.start()), fault.what))?;
    let mut fields =
        fields.iter().map(|field| (field.name.of(source), field.value.of(source))).peekable();
    let broken =
        |what: String| Err(Fault::malformed(inner.start(), format!("the XML declaration {what}")));
    match fields.next() {
        Some((b"version", [b'1', b'.', minor @ ..]))
            if !minor.is_empty() && minor.iter().all(u8::is_ascii_digit) => {}
        _ => return broken("does not begin <?xml version=\"1.0\"".into()),
    }
    if let Some((_, encoding)) = fields.next_if(|(name, _)| *name == b"encoding")
        && !encoding.eq_ignore_ascii_case(b"utf-8")
        && !encoding.eq_ignore_ascii_case(b"utf8")
    {
        return broken(format!(
            "says encoding=\"{}\"; send UTF-8, and declare that or nothing",
            shown(encoding)
        ));
    }
    fields.next_if(|(name, value)| *name == b"standalone" && matches!(*value, b"yes" | b"no"));
    match fields.next() {
        Some((name, _)) => broken(format!("has {:?}, or not in its place", shown(name))),
        None => Ok(()),
    }
}

/// Judges a processing instruction without its `<?` and `?>`, and returns its target.
pub(super) fn judge_instruction(source: &[u8], inner: Span) -> Result<&[u8], Fault> {
    let bytes = inner.of(source);
    let target = bytes.split(|&byte| chars::is_space(byte)).next().unwrap_or_default();
    if target.eq_ignore_ascii_case(b"xml") {
        return Err(Fault::malformed(inner.start(), "<?xml …?> stands only at the very beginning"));
    }
    // A colon is good XML 1.0, but parsers that know namespaces, expat among them, do not take it.
    if !chars::is_name(target) || target.contains(&b':') {
        return Err(Fault::malformed(
            inner.start(),
            format!(
                "<?{} does not begin a processing instruction: that is no XML name without a colon",
                shown(bytes)
            ),
        ));
    }
    Ok(target)
}

/// Judges a comment without its `<!--` and `-->`.
pub(super) fn judge_comment(source: &[u8], inner: Span) -> Result<(), Fault> {
    let bytes = inner.of(source);
    if bytes.ends_with(b"-") || bytes.windows(2).any(|pair| pair == b"--") {
        return Err(Fault::malformed(inner.start(), "a comment contains \"--\""));
    }
    Ok(())
}
