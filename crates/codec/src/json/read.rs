//! JSON to a document: what `json.loads` gives, and the `$` tags that say what JSON cannot.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::events::{Bracket, Events, Number, Str};
use super::fault::{Fault, too_deep};
use super::named::{read_array, read_object};
use super::scan::Scan;
use super::tags::{is_tag_name, typed_by};
use super::unescape::unescape;
use crate::budget::Budget;
use crate::document::Document;
use crate::keys::{KeySet, OpenKeys, settle};
use crate::ndarray::NotAnArray;
use crate::nesting::Outer;
use crate::node::{Node, Size, Text, value_depth};
use crate::number::{IntFault, parse_decimal, parse_int};
use crate::protocol::ScalarType;
use crate::protocol::{ErrorCode, Limits, MAX_DEPTH, MAX_INT_DIGITS, Refusal};
use crate::scalar_type::{NotOfType, put_complex};
use crate::span::Span;

/// Decodes the JSON text in `source[range]`, appends its value to `document` and returns the index
/// of its root.
///
/// # Errors
/// [`ErrorCode::MalformedJson`] for what RFC 8259 refuses, [`ErrorCode::InvalidTag`] for a known
/// `$` tag around content of the wrong shape, and the codes of the limits. The document then holds
/// a part of the value; the caller truncates it.
pub fn decode(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    let mut keys = KeySet::take();
    let read = read(source, range, document, limits, &mut keys);
    keys.keep();
    read.map_err(Fault::into_refusal)
}

fn read(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    keys: &mut KeySet,
) -> Result<usize, Fault> {
    let budget = Budget::new(limits, range.len());
    let mut scan = Scan::new(source, range)?;
    let source = scan.source();
    let root = document.len();
    let whole = Open { at: 0, items: 0, keys: OpenKeys::default(), has_repeated: false };
    let outer = Outer::new(whole);
    let is_deep = false;
    let builder = Builder { source, document, budget, keys, open: whole, outer, is_deep };
    let builder = scan.value(builder)?;
    scan.end()?;
    // Brackets of tags are no values, so only a text that looks too deep needs a closer look.
    if builder.is_deep && value_depth(&builder.document.nodes()[root..]) > MAX_DEPTH {
        return Err(too_deep().into());
    }
    Ok(root)
}

struct Builder<'a> {
    source: &'a [u8],
    document: &'a mut Document,
    budget: Budget,
    keys: &'a mut KeySet,
    /// The innermost container, or what holds the value.
    open: Open,
    outer: Outer<Open>,
    is_deep: bool,
}

/// A container whose end has not come yet.
#[derive(Clone, Copy)]
struct Open {
    at: u32,
    items: u32,
    keys: OpenKeys,
    /// Whether a key may have come twice.
    has_repeated: bool,
}

impl Builder<'_> {
    #[inline(always)]
    fn add(&mut self, node: Node, text: usize) -> Result<(), Fault> {
        self.budget.node(text)?;
        self.open.items += 1;
        self.document.push(node);
        Ok(())
    }

    /// Where a piece of the source lies.
    #[inline(always)]
    fn range_of(&self, piece: Span<'_>) -> Range<usize> {
        let start = self.source.len() - piece.tail().len();
        start..start + piece.len()
    }

    #[inline(always)]
    fn text(&mut self, text: Str<'_>) -> Text {
        let raw = text.raw;
        if !text.is_escaped {
            return Text::in_source(self.range_of(raw));
        }
        self.document.append_text(|own| unescape(raw.text(), own))
    }

    /// Turns the object at `at` into what its tag says, if it is a tagged value.
    #[inline(always)]
    fn resolve_tag(&mut self, at: usize) -> Result<bool, Fault> {
        let Some(Node::Str(key)) = self.document.nodes().get(at + 1) else { return Ok(false) };
        let is_tag = is_tag_name(self.document.text(self.source, *key));
        if is_tag { self.resolve(at) } else { Ok(false) }
    }

    #[cold]
    fn resolve(&mut self, at: usize) -> Result<bool, Fault> {
        let [Node::Str(key), content, ..] = &self.document.nodes()[at + 1..] else {
            return Ok(false);
        };
        let (key, content) = (*key, *content);
        let text = match content {
            Node::Str(text) => self.document.text(self.source, text),
            _ => b"",
        };
        let scalar = match (self.document.text(self.source, key), content) {
            (b"$int", Node::Str(spelled)) => {
                let digits = text.to_vec();
                match parse_int(&digits, spelled, self.document) {
                    Ok(node) => Some(node),
                    Err(IntFault::NotDigits) => None,
                    Err(IntFault::TooMany) => {
                        return Err(too_many_digits("an integer in a $int tag").into());
                    }
                }
            }
            (b"$float", Node::Str(_)) => match text {
                b"nan" => Some(Node::Float(f64::NAN)),
                b"inf" => Some(Node::Float(f64::INFINITY)),
                b"-inf" => Some(Node::Float(f64::NEG_INFINITY)),
                _ => None,
            },
            (b"$bytes", Node::Str(_)) => match BASE64.decode(text) {
                Ok(bytes) => Some(Node::Bytes(
                    self.document.append_text(|own| own.extend_from_slice(&bytes)),
                )),
                Err(_) => None,
            },
            (b"$tuple", Node::List(size)) => return self.unwrap_list(at, Node::Tuple(size)),
            (b"$set", Node::List(size)) => return self.unwrap_list(at, Node::Set(size)),
            (b"$frozenset", Node::List(size)) => {
                return self.unwrap_list(at, Node::FrozenSet(size));
            }
            (b"$dict", Node::List(size)) => return self.unwrap_entries(at, size.items),
            (b"$ndarray", Node::Dict(_)) => {
                match read_array(self.document, self.source, at, &mut self.budget) {
                    Some(Ok(())) => return Ok(true),
                    Some(Err(NotAnArray::Refused(refusal))) => return Err(refusal.into()),
                    Some(Err(fault)) => return Err(no_array(&fault).into()),
                    None => None,
                }
            }
            (b"$object", Node::Dict(_)) => {
                if read_object(self.document, self.source, at).is_some() {
                    return Ok(true);
                }
                None
            }
            (
                b"$int" | b"$float" | b"$bytes" | b"$tuple" | b"$set" | b"$frozenset" | b"$dict"
                | b"$ndarray" | b"$object",
                _,
            ) => None,
            (tag, _) => match typed_by(tag) {
                Some(of) => self.typed(of, at, content)?,
                None => return Ok(false),
            },
        };
        let Some(scalar) = scalar else { return Err(self.wrong_shape(key).into()) };
        self.document.nodes_mut().truncate(at);
        self.document.push(scalar);
        Ok(true)
    }

    /// `{"$decimal": "1.10"}`, and `{"$complex": [re, im]}`; `None` where the content is something
    /// else.
    fn typed(&mut self, of: ScalarType, at: usize, content: Node) -> Result<Option<Node>, Fault> {
        let mut spelled = Vec::new();
        match (of, content) {
            (ScalarType::Complex, Node::List(Size { items: 2, .. })) => {
                let [re, im] = [at + 3, at + 4].map(|part| match self.document.nodes()[part] {
                    Node::Float(number) => Some(number),
                    Node::Int(number) => Some(number as f64),
                    Node::BigInt(digits) => {
                        let digits = self.document.text(self.source, digits);
                        parse_decimal(digits).filter(|number| number.is_finite())
                    }
                    _ => None,
                });
                let (Some(re), Some(im)) = (re, im) else { return Ok(None) };
                put_complex(re, im, &mut spelled);
            }
            (ScalarType::Complex, _) => return Ok(None),
            (of, Node::Str(text)) => {
                let text = self.document.text(self.source, text);
                of.write_canonical(text, &mut spelled)
                    .map_err(|fault| not_of_type(of, text, fault))?;
            }
            _ => return Ok(None),
        }
        self.budget.bytes(spelled.len())?;
        let text = self.document.append_text(|own| own.extend_from_slice(&spelled));
        Ok(Some(Node::Typed(of, text)))
    }

    /// `{"$tuple": [ … ]}`: the list's elements become the children of `head`.
    fn unwrap_list(&mut self, at: usize, head: Node) -> Result<bool, Fault> {
        self.document.nodes_mut()[at] = head;
        self.document.nodes_mut().drain(at + 1..at + 3);
        if !matches!(head, Node::Tuple(_)) {
            settle(self.document, self.source, at, &mut self.budget)?;
        }
        Ok(true)
    }

    /// `{"$dict": [[key, value], … ]}`: the pairs lose their brackets.
    fn unwrap_entries(&mut self, at: usize, pairs: u32) -> Result<bool, Fault> {
        let Node::Str(tag) = self.document.nodes()[at + 1] else { return Ok(false) };
        // The entries move up over the heads of the pairs, in the memory that they are in.
        let nodes = self.document.nodes_mut();
        let mut to = at + 1;
        let mut pair = at + 3;
        for _ in 0..pairs {
            let Node::List(size @ Size { items: 2, .. }) = nodes[pair] else {
                return Err(self.wrong_shape(tag).into());
            };
            let end = pair + 1 + size.nodes as usize;
            nodes.copy_within(pair + 1..end, to);
            to += size.nodes as usize;
            pair = end;
        }
        nodes.truncate(to);
        nodes[at] = Node::Dict(Size::default());
        settle(self.document, self.source, at, &mut self.budget)?;
        Ok(true)
    }

    #[cold]
    fn wrong_shape(&self, tag: Text) -> Refusal {
        let tag = String::from_utf8_lossy(self.document.text(self.source, tag)).into_owned();
        let wanted = match &*tag {
            "$int" => "a string of decimal digits",
            "$float" => "\"nan\", \"inf\" or \"-inf\"",
            "$bytes" => "a string of base64 (RFC 4648 §4, padded)",
            "$dict" => "an array of [key, value] arrays",
            "$complex" => "an array of two numbers",
            "$tuple" | "$set" | "$frozenset" => "an array",
            "$ndarray" => {
                "an object {\"dtype\": \"<f8\", \"shape\": [2, 3], \"data\": \"…\"} with the data in \
                 base64 (RFC 4648 §4, padded)"
            }
            "$object" => "an object {\"class\": \"app.models.Order\", \"state\": {…}}",
            _ => "a string",
        };
        Refusal::new(
            ErrorCode::InvalidTag,
            format!(
                "{{{tag:?}: …}} must hold {wanted}; to send an object with just this key, write \
                 {{\"$dict\": [[{tag:?}, …]]}}"
            ),
        )
    }
}

impl<'a> Events<'a> for Builder<'_> {
    #[inline(always)]
    fn null(&mut self) -> Result<(), Fault> {
        self.add(Node::None, 0)
    }

    #[inline(always)]
    fn bool(&mut self, truth: bool) -> Result<(), Fault> {
        self.add(Node::Bool(truth), 0)
    }

    #[inline(always)]
    fn integer(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        let length = number.raw.len();
        let node = match number.small_int() {
            Some(small) => Node::Int(small),
            None => {
                let spelled = Text::in_source(self.range_of(number.raw));
                parse_int(number.raw.text(), spelled, self.document)
                    .map_err(|_| too_many_digits("an integer"))?
            }
        };
        self.add(node, length)
    }

    #[inline(always)]
    fn float(&mut self, number: &Number<'a>) -> Result<(), Fault> {
        self.add(Node::Float(number.to_double()), 0)
    }

    #[inline(always)]
    fn string(&mut self, text: Str<'a>) -> Result<(), Fault> {
        let length = text.raw.len();
        let text = self.text(text);
        self.add(Node::Str(text), length)
    }

    #[inline(always)]
    fn key(&mut self, key: Str<'a>) -> Result<(), Fault> {
        self.budget.node(key.raw.len())?;
        let text = self.text(key);
        self.document.push(Node::Str(text));
        let key = match key.is_escaped {
            false => key.raw.text(),
            true => self.document.text(self.source, text),
        };
        self.open.has_repeated |= !self.keys.add(&mut self.open.keys, key);
        Ok(())
    }

    fn deep(&mut self) -> Result<(), Fault> {
        self.is_deep = true;
        Ok(())
    }

    #[inline(always)]
    fn begin(&mut self, bracket: Bracket, _: bool) -> Result<(), Fault> {
        let at = self.document.len() as u32;
        let head = match bracket {
            Bracket::Object => Node::Dict(Size::default()),
            Bracket::Array => Node::List(Size::default()),
        };
        self.add(head, 0)?;
        self.outer.push(self.open);
        self.open = Open { at, items: 0, keys: self.keys.begin(), has_repeated: false };
        Ok(())
    }

    #[inline(always)]
    fn end(&mut self, bracket: Bracket, _: bool) -> Result<(), Fault> {
        let Open { at, items, keys, has_repeated } = self.open;
        let at = at as usize;
        let nodes = (self.document.len() - at - 1) as u32;
        match bracket {
            Bracket::Array => self.document.nodes_mut()[at] = Node::List(Size::new(items, nodes)),
            Bracket::Object => {
                self.keys.end(keys);
                if items == 1 && self.resolve_tag(at)? {
                    // It is no object.
                } else if has_repeated {
                    settle(self.document, self.source, at, &mut self.budget)?;
                } else {
                    self.document.nodes_mut()[at] = Node::Dict(Size::of_fields(items, nodes));
                }
            }
        }
        if let Some(around) = self.outer.pop() {
            self.open = around;
        }
        Ok(())
    }
}

/// What is wrong with the text in a tag.
#[cold]
fn not_of_type(of: ScalarType, text: &[u8], fault: NotOfType) -> Refusal {
    let (text, name) = (String::from_utf8_lossy(text), of.name());
    let shown: String = text.chars().take(60).collect();
    let reason = format!(
        "{{\"${name}\": {shown:?}}}: {fault}; to send an object with just this key, write \
         {{\"$dict\": [[\"${name}\", …]]}}"
    );
    let code = match fault {
        NotOfType::TooManyDigits => ErrorCode::TooManyDigits,
        _ => ErrorCode::InvalidTag,
    };
    Refusal::new(code, reason)
}

/// What is wrong with an array in a tag.
#[cold]
fn no_array(fault: &NotAnArray) -> Refusal {
    let reason = format!("{{\"$ndarray\": …}} holds {fault}");
    Refusal::new(ErrorCode::InvalidTag, reason)
}

fn too_many_digits(what: &str) -> Refusal {
    Refusal::new(ErrorCode::TooManyDigits, format!("{what} has more than {MAX_INT_DIGITS} digits"))
}
