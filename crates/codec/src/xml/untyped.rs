//! Whether an element that was published says types of its own: what has none is passed on as it
//! came to those who want none.

use super::tag;
use super::text::Span;
use super::typed::Type;

/// Whether an element, which was judged before, says no `type` that would be read as one of ours,
/// but for `document` of its own, by which there is none below it.
pub(crate) fn is_untyped(element: &[u8]) -> bool {
    if memchr::memmem::find(element, b"type").is_none() {
        return true;
    }
    let mut attributes = Vec::new();
    let mut value = Vec::new();
    let mut at = 0;
    let mut is_root = true;
    while let Some(next) = memchr::memchr(b'<', &element[at..]) {
        at += next + 1;
        let rest = &element[at..];
        let past = |end: &[u8]| memchr::memmem::find(rest, end).map_or(rest.len(), |length| length);
        at += match rest {
            [b'!', b'-', b'-', ..] => past(b"-->"),
            [b'!', ..] => past(b"]]>"),
            [b'?', ..] => past(b"?>"),
            [b'/', ..] => 1,
            _ => {
                let length = tag_length(rest);
                let inner = rest[..length].strip_suffix(b"/").unwrap_or(&rest[..length]);
                let inner = Span::new(at, at + inner.len());
                // It was judged, so there is nothing to be said against it now.
                if tag::parse(element, inner, &mut attributes).is_err() {
                    return false;
                }
                let type_ = attributes.iter().find(|found| found.name.of(element) == b"type");
                if let Some(type_) = type_ {
                    value.clear();
                    let is_read = tag::push_value(element, *type_, &mut value).is_ok();
                    match Type::named(&value) {
                        Some(Type::Document) if is_root => return true,
                        None if is_read => {}
                        _ => return false,
                    }
                }
                is_root = false;
                length
            }
        };
    }
    true
}

/// How long the start tag is of which this is what follows `<`, up to its `>`.
fn tag_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = memchr::memchr3(b'>', b'"', b'\'', &rest[at..]) {
        at += next;
        let quote = rest[at];
        if quote == b'>' {
            return at;
        }
        at += 1;
        at += memchr::memchr(quote, &rest[at..]).map_or(rest.len() - at, |length| length + 1);
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_type_that_would_be_read_as_ours_is_one() {
        for untyped in [
            "<message/>",
            "<message>type='int'</message>",
            "<message a='type'><type>int</type><a type='sedan'/></message>",
            "<message><a b=' type=\"int\" >'/><!-- <a type='int'/> --></message>",
            "<message><![CDATA[<a type='int'/>]]><?pi <a type='int'/>?></message>",
            "<message type = 'document' ><a type='int'>5</a></message>",
            "<message type='order'><a xtype='int' TYPE='int' x:type='int'/></message>",
            "<message><!----><a>\"</a><b>'</b></message>",
        ] {
            assert!(is_untyped(untyped.as_bytes()), "{untyped}");
        }
        for typed in [
            "<message type='int'>5</message>",
            "<message><a type='int'>5</a></message>",
            "<message><a b='>' type = \"&#105;nt\" >5</a></message>",
            "<message><a/><a type='document'/></message>",
            "<message type='x'><!-- ' --><a>'</a><b type='null'/></message>",
            "<message><![CDATA[]]]]><a\ntype='str'/></message>",
        ] {
            assert!(!is_untyped(typed.as_bytes()), "{typed}");
        }
    }
}
