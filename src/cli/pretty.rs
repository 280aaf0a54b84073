//! A payload on many lines, for people who read it.

use super::color::string_length;

const INDENT: &str = "  ";

/// JSON text, or Python's `repr`: a line for every element.
pub(super) fn data(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut rest = text;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(INDENT, depth));
    };
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '"' => {
                length = string_length(rest);
                out.push_str(&rest[..length]);
            }
            '[' | '{' | '(' => {
                out.push(first);
                let after = rest[1..].trim_start();
                if after.starts_with([']', '}', ')']) {
                    out.push_str(&after[..1]);
                    length = rest.len() - after.len() + 1;
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            ']' | '}' | ')' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(first);
            }
            ',' => {
                out.push(first);
                // (1,) has nothing after its comma.
                if !rest[1..].trim_start().starts_with(')') {
                    line(&mut out, depth);
                }
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
        rest = &rest[length..];
    }
    out
}

/// An XML element without space between its tags: elements that hold elements have a line for each.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut after_text = false;
    let mut last_closed = false;
    let mut rest = text;
    while !rest.is_empty() {
        let length = match rest.strip_prefix('<') {
            Some(tag) => tag.find('>').map_or(rest.len(), |end| end + 2),
            None => rest.find('<').unwrap_or(rest.len()),
        };
        let (piece, next) = rest.split_at(length);
        rest = next;
        if !piece.starts_with('<') {
            out.push_str(piece);
            after_text = true;
            continue;
        }
        let closes = piece.starts_with("</");
        depth = depth.saturating_sub(usize::from(closes));
        // The end of an element that holds text, or nothing, stays on its line.
        if !out.is_empty() && !after_text && (!closes || last_closed) {
            out.push('\n');
            out.extend(std::iter::repeat_n(INDENT, depth));
        }
        out.push_str(piece);
        let empty = piece.ends_with("/>");
        depth += usize::from(!closes && !empty);
        last_closed = closes || empty;
        after_text = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_a_line_of_its_own() {
        assert_eq!(
            data(r#"{"a":[1, {}],"b":"x, [y"}"#),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x, [y\"\n}"
        );
        assert_eq!(data("(1,)"), "(\n  1,\n)");
        assert_eq!(data("5"), "5");
        let element =
            "<message type=\"dict\"><a type=\"str\">x y</a><b type=\"list\"></b><c/></message>";
        let pretty = "<message type=\"dict\">\n  <a type=\"str\">x y</a>\n  <b \
        type=\"list\"></b>\n  <c/>\n</message>";
        assert_eq!(xml(element), pretty);
    }
}
