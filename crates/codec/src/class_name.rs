//! Names of classes: a module and a class in it, as `app.models.Order`.

/// Bytes that a name has at most.
const LONGEST: usize = 500;

/// Whether this is a name as Python has them: identifiers with dots between them.
pub(crate) fn is_class_name(name: &[u8]) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|character| character.is_alphanumeric() || character == '_')
    };
    name.len() <= LONGEST
        && str::from_utf8(name).is_ok_and(|name| name.split('.').all(is_identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_identifiers_with_dots_between_them() {
        for name in ["app.models.Order", "Order", "_a.b2", "straße.Größe"] {
            assert!(is_class_name(name.as_bytes()), "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "2a", "a b", "a.<locals>.b", "a-b", "a\n"] {
            assert!(!is_class_name(name.as_bytes()), "{name}");
        }
        assert!(!is_class_name(&[b'a'; LONGEST + 1]));
    }
}
