//! JSON to a document: what `json.loads` gives, and the `$` tags that say what JSON cannot.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::fast_decode;
use super::grammar::{Bracket, Grammar, Piece, Sink, float, too_deep};
use super::unescape::unescape;
use crate::budget::Budget;
use crate::document::Document;
use crate::keys::settle;
use crate::node::{Node, Size, Text, value_depth};
use crate::number::{IntFault, parse_int};
use crate::protocol::{ErrorCode, Limits, MAX_DEPTH, MAX_INT_DIGITS, Refusal};

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
    match fast_decode::read(source, range.clone(), document, limits) {
        Some(root) => Ok(root),
        None => by_grammar(source, range, document, limits),
    }
}

/// Decodes whatever is JSON, or says what is wrong with it.
pub(super) fn by_grammar(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    let budget = Budget::new(limits, range.len());
    let mut grammar = Grammar::new(source, range)?;
    let root = document.len();
    let mut builder = Builder { source, document, budget, open: Vec::new(), deepest: 0 };
    grammar.value(&mut builder)?;
    grammar.end()?;
    // Brackets of tags are no values, so only a text that looks too deep needs a closer look.
    if builder.deepest > MAX_DEPTH && value_depth(&builder.document.nodes()[root..]) > MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(root)
}

struct Builder<'a> {
    source: &'a [u8],
    document: &'a mut Document,
    budget: Budget,
    open: Vec<Open>,
    deepest: usize,
}

/// A container whose end has not come yet.
struct Open {
    at: usize,
    items: u32,
}

impl Builder<'_> {
    fn add(&mut self, node: Node, text: usize) -> Result<(), Refusal> {
        self.budget.node(text)?;
        if let Some(parent) = self.open.last_mut() {
            parent.items += 1;
        }
        self.document.push(node);
        Ok(())
    }

    fn text(&mut self, piece: Piece) -> Text {
        if !piece.escaped {
            return Text::in_source(piece.range);
        }
        let raw = &self.source[piece.range];
        self.document.append_text(|own| unescape(raw, own))
    }

    /// Turns the object at `at` into what its tag says, if it is a tagged value.
    fn resolve_tag(&mut self, at: usize, items: u32) -> Result<bool, Refusal> {
        let (1, [Node::Str(key), content, ..]) = (items, &self.document.nodes()[at + 1..]) else {
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
                        return Err(too_many_digits("an integer in a $int tag"));
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
            (
                b"$int" | b"$float" | b"$bytes" | b"$tuple" | b"$set" | b"$frozenset" | b"$dict",
                _,
            ) => None,
            _ => return Ok(false),
        };
        let Some(scalar) = scalar else { return Err(self.wrong_shape(key)) };
        self.document.nodes_mut().truncate(at);
        self.document.push(scalar);
        Ok(true)
    }

    /// `{"$tuple": [ … ]}`: the list's elements become the children of `head`.
    fn unwrap_list(&mut self, at: usize, head: Node) -> Result<bool, Refusal> {
        self.document.nodes_mut()[at] = head;
        self.document.nodes_mut().drain(at + 1..at + 3);
        if !matches!(head, Node::Tuple(_)) {
            settle(self.document, self.source, at, &mut self.budget)?;
        }
        Ok(true)
    }

    /// `{"$dict": [[key, value], … ]}`: the pairs lose their brackets.
    fn unwrap_entries(&mut self, at: usize, pairs: u32) -> Result<bool, Refusal> {
        let Node::Str(tag) = self.document.nodes()[at + 1] else { return Ok(false) };
        // The entries move up over the heads of the pairs, in the memory that they are in.
        let nodes = self.document.nodes_mut();
        let mut to = at + 1;
        let mut pair = at + 3;
        for _ in 0..pairs {
            let Node::List(size @ Size { items: 2, .. }) = nodes[pair] else {
                return Err(self.wrong_shape(tag));
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
            _ => "an array",
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

impl Sink for Builder<'_> {
    fn null(&mut self) -> Result<(), Refusal> {
        self.add(Node::None, 0)
    }

    fn bool(&mut self, truth: bool) -> Result<(), Refusal> {
        self.add(Node::Bool(truth), 0)
    }

    fn integer(&mut self, digits: Range<usize>) -> Result<(), Refusal> {
        let text = &self.source[digits.clone()];
        let node = parse_int(text, Text::in_source(digits.clone()), self.document);
        self.add(node.map_err(|_| too_many_digits("an integer"))?, digits.len())
    }

    fn float(&mut self, digits: Range<usize>) -> Result<(), Refusal> {
        self.add(Node::Float(float(&self.source[digits])), 0)
    }

    fn string(&mut self, piece: Piece) -> Result<(), Refusal> {
        let length = piece.range.len();
        let text = self.text(piece);
        self.add(Node::Str(text), length)
    }

    fn key(&mut self, piece: Piece) -> Result<(), Refusal> {
        self.budget.node(piece.range.len())?;
        let text = self.text(piece);
        self.document.push(Node::Str(text));
        Ok(())
    }

    fn open(&mut self, bracket: Bracket) -> Result<(), Refusal> {
        let at = self.document.len();
        let head = match bracket {
            Bracket::Object => Node::Dict(Size::default()),
            Bracket::Array => Node::List(Size::default()),
        };
        self.add(head, 0)?;
        self.open.push(Open { at, items: 0 });
        self.deepest = self.deepest.max(self.open.len());
        Ok(())
    }

    fn close(&mut self, bracket: Bracket) -> Result<(), Refusal> {
        let Some(Open { at, items }) = self.open.pop() else { return Ok(()) };
        match bracket {
            Bracket::Array => {
                let nodes = (self.document.len() - at - 1) as u32;
                self.document.nodes_mut()[at] = Node::List(Size { items, nodes });
            }
            Bracket::Object if self.resolve_tag(at, items)? => {}
            Bracket::Object => settle(self.document, self.source, at, &mut self.budget)?,
        }
        Ok(())
    }
}

fn too_many_digits(what: &str) -> Refusal {
    Refusal::new(ErrorCode::TooManyDigits, format!("{what} has more than {MAX_INT_DIGITS} digits"))
}
