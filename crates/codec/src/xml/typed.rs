//! Elements whose `type` says what they are: the words, and the scalars.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chars;
use super::fault::{Fault, shown};
use super::text::Content;
use crate::protocol::ScalarType;
use crate::protocol::{ErrorCode, MAX_INT_DIGITS};
use crate::scalar_type::NotOfType;
use crate::{Budget, Document, Node, Text};

/// The types that a `type` attribute can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Scalar(Scalar),
    List,
    Tuple,
    Set,
    FrozenSet,
    Dict,
    Map,
    Document,
    Object,
}

/// A type whose element holds text only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Bool,
    Int,
    Float,
    Str,
    /// A `str` with `encoding="base64"`.
    EncodedStr,
    Bytes,
    /// One of the standard library.
    Typed(ScalarType),
    /// An array: the base64 of its data. Its node has its dtype and its shape behind it.
    Ndarray,
}

impl Type {
    /// The type that an attribute's value names; `None` when the attribute is not ours.
    pub(super) fn named(value: &[u8]) -> Option<Type> {
        Some(match value {
            b"null" => Type::Scalar(Scalar::Null),
            b"bool" => Type::Scalar(Scalar::Bool),
            b"int" => Type::Scalar(Scalar::Int),
            b"float" => Type::Scalar(Scalar::Float),
            b"str" => Type::Scalar(Scalar::Str),
            b"bytes" => Type::Scalar(Scalar::Bytes),
            b"list" => Type::List,
            b"tuple" => Type::Tuple,
            b"set" => Type::Set,
            b"frozenset" => Type::FrozenSet,
            b"dict" => Type::Dict,
            b"map" => Type::Map,
            b"document" => Type::Document,
            b"ndarray" => Type::Scalar(Scalar::Ndarray),
            b"object" => Type::Object,
            other => Type::Scalar(Scalar::Typed(ScalarType::named(other)?)),
        })
    }
}

impl Scalar {
    /// The word in the `type` attribute.
    pub(super) fn word(self) -> &'static str {
        match self {
            Scalar::Null => "null",
            Scalar::Bool => "bool",
            Scalar::Int => "int",
            Scalar::Float => "float",
            Scalar::Str | Scalar::EncodedStr => "str",
            Scalar::Bytes => "bytes",
            Scalar::Typed(of) => of.name(),
            Scalar::Ndarray => "ndarray",
        }
    }

    /// The value that the text spells. Its text, if it has one, is paid for; its node was before.
    pub(super) fn read(
        self,
        content: Content<'_>,
        source: &[u8],
        document: &mut Document,
        budget: &mut Budget,
    ) -> Result<Node, Fault> {
        let text = content.bytes(source);
        match self {
            Scalar::Str => {
                budget.bytes(text.len())?;
                let text = match content {
                    Content::Source(span) => span.text(),
                    Content::Joined(joined) => own(document, joined)?,
                };
                return Ok(Node::Str(text));
            }
            Scalar::EncodedStr | Scalar::Bytes => {
                let text = base64(text, document).ok_or_else(|| {
                    self.wrong(text, "base64 with its padding, as Python's b64encode writes it")
                })?;
                budget.bytes(text.len())?;
                if self == Scalar::Bytes {
                    return Ok(Node::Bytes(text));
                }
                return match str::from_utf8(document.text(source, text)) {
                    Ok(_) => Ok(Node::Str(text)),
                    Err(_) => Err(invalid(
                        "the base64 of a str must be UTF-8 when decoded; use type=\"bytes\"",
                    )),
                };
            }
            _ => {}
        }
        let content = content.trim(source);
        let text = content.bytes(source);
        match (self, text) {
            (Scalar::Null, b"") => Ok(Node::None),
            (Scalar::Null, _) => Err(self.wrong(text, "nothing")),
            (Scalar::Bool, b"true") => Ok(Node::Bool(true)),
            (Scalar::Bool, b"false") => Ok(Node::Bool(false)),
            (Scalar::Bool, _) => Err(self.wrong(text, "true or false")),
            (Scalar::Typed(of), _) => self.typed(of, text, document, budget),
            (Scalar::Int, _) => self.int(text, content, document, budget),
            _ => self.float(text),
        }
    }

    fn int(
        self,
        text: &[u8],
        content: Content<'_>,
        document: &mut Document,
        budget: &mut Budget,
    ) -> Result<Node, Fault> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(self.wrong(text, "a decimal integer"));
        }
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        let digits = &digits[zeros..];
        if digits.len() <= 19 {
            let magnitude =
                digits.iter().fold(0u64, |number, &digit| number * 10 + u64::from(digit - b'0'));
            let number = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
            if let Ok(small) = i64::try_from(number) {
                return Ok(Node::Int(small));
            }
        }
        if digits.len() > MAX_INT_DIGITS {
            return Err(Fault {
                code: ErrorCode::TooManyDigits,
                at: None,
                what: format!(
                    "an int of {} digits; the limit is {MAX_INT_DIGITS}: send it as type=\"str\" \
                     or \"bytes\"",
                    digits.len()
                )
                .into(),
            });
        }
        let length = digits.len() + usize::from(negative);
        budget.bytes(length)?;
        // Python's spelling is that of the document, so usually the source spells it.
        if let Content::Source(span) = content
            && text.len() == length
        {
            return Ok(Node::BigInt(span.text()));
        }
        let text: Result<Text, Fault> = document.own_text(|own| {
            if negative {
                own.push(b'-');
            }
            own.extend_from_slice(digits);
            Ok(())
        });
        Ok(Node::BigInt(text?))
    }

    fn typed(
        self,
        of: ScalarType,
        text: &[u8],
        document: &mut Document,
        budget: &mut Budget,
    ) -> Result<Node, Fault> {
        // Behind the end of those that the document has: `text` may be one of them.
        let mut spelled = Vec::with_capacity(text.len() + 8);
        of.write_canonical(text, &mut spelled).map_err(|fault| {
            let what = format!("type=\"{}\" holds {:?}: {fault}", of.name(), shown(text));
            let code = match fault {
                NotOfType::TooManyDigits => ErrorCode::TooManyDigits,
                _ => ErrorCode::InvalidTag,
            };
            Fault { code, at: None, what: what.into() }
        })?;
        budget.bytes(spelled.len())?;
        Ok(Node::Typed(of, own(document, &spelled)?))
    }

    fn float(self, text: &[u8]) -> Result<Node, Fault> {
        let number = match text {
            // XML Schema's words, in whatever case: Python writes them in small letters.
            _ if text.eq_ignore_ascii_case(b"nan") => f64::NAN,
            _ if text.strip_prefix(b"+").unwrap_or(text).eq_ignore_ascii_case(b"inf") => {
                f64::INFINITY
            }
            _ if text.eq_ignore_ascii_case(b"-inf") => f64::NEG_INFINITY,
            _ => {
                let decimal = text
                    .iter()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
                let number = str::from_utf8(text)
                    .ok()
                    .filter(|_| decimal)
                    .and_then(|text| text.parse::<f64>().ok());
                match number {
                    None => return Err(self.wrong(text, "a decimal number, NaN, INF or -INF")),
                    Some(number) if number.is_infinite() => {
                        return Err(Fault {
                            code: ErrorCode::InvalidValue,
                            at: None,
                            what: format!("{} is too large for a double", shown(text)).into(),
                        });
                    }
                    Some(number) => number,
                }
            }
        };
        Ok(Node::Float(number))
    }

    #[cold]
    pub(super) fn wrong(self, text: &[u8], wanted: &str) -> Fault {
        invalid(format!("type=\"{}\" holds {:?}; it takes {wanted}", self.word(), shown(text)))
    }
}

/// A fault of a typed element, wherever that is.
#[cold]
pub(super) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault { code: ErrorCode::InvalidTag, at: None, what: what.into() }
}

/// The bytes that the base64 text stands for; `None` when it is not that. White space is ignored.
pub(super) fn base64(text: &[u8], document: &mut Document) -> Option<Text> {
    let packed: Vec<u8>;
    let text = if text.iter().any(|&byte| chars::is_space(byte)) {
        packed = text.iter().copied().filter(|&byte| !chars::is_space(byte)).collect();
        &packed
    } else {
        text
    };
    document.own_text(|own| STANDARD.decode_vec(text, own)).ok()
}

/// Makes `text` one of the document's own.
pub(super) fn own(document: &mut Document, text: &[u8]) -> Result<Text, Fault> {
    document.own_text(|own| {
        own.extend_from_slice(text);
        Ok(())
    })
}
