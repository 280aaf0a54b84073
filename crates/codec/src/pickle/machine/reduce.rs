//! The calls that a pickle may make: of the plain builtins, with the arguments that picklers write.

use super::Machine;
use crate::node::{Node, Text};
use crate::pickle::forbidden::calls;
use crate::pickle::plain::Builtin;
use crate::pickle::store::{Item, Kind};
use crate::protocol::Refusal;

impl Machine<'_> {
    /// The value that REDUCE leaves for `function(*args)`.
    pub(super) fn reduce(&mut self, function: Item, args: Item) -> Result<Item, Refusal> {
        let Item::Import(builtin) = function else {
            return Err(calls(&self.reader, "something that cannot be called"));
        };
        let store = &self.scratch.store;
        let args = match store.kind(args) {
            Some(Kind::Tuple) => store.only_run(args).map(|(_, args)| args),
            _ => None,
        };
        match (builtin, args) {
            (Builtin::Set, Some(&[list])) if store.kind(list) == Some(Kind::List) => {
                self.set_of(Kind::Set, list)
            }
            (Builtin::FrozenSet, Some(&[list])) if store.kind(list) == Some(Kind::List) => {
                self.set_of(Kind::FrozenSet, list)
            }
            (Builtin::Bytes, Some([])) => Ok(Item::Leaf(Node::Bytes(Text::in_source(0..0)))),
            (Builtin::ByteArray, Some([])) => Ok(Item::ByteArray(Text::in_source(0..0))),
            (Builtin::ByteArray, Some(&[Item::Leaf(Node::Bytes(bytes))])) => {
                Ok(Item::ByteArray(bytes))
            }
            (
                Builtin::ByteArray,
                Some(&[Item::Leaf(Node::Str(text)), Item::Leaf(Node::Str(encoding))]),
            ) if self.is_latin1(encoding) => self.latin1(text).map(Item::ByteArray),
            (
                Builtin::Encode,
                Some(&[Item::Leaf(Node::Str(text)), Item::Leaf(Node::Str(encoding))]),
            ) if self.is_latin1(encoding) => {
                self.latin1(text).map(|bytes| Item::Leaf(Node::Bytes(bytes)))
            }
            _ => Err(calls(
                &self.reader,
                format_args!("{} with arguments that no pickler writes", builtin.name()),
            )),
        }
    }

    /// A set of what `list` holds now; what is appended to the list later does not concern the set.
    fn set_of(&mut self, kind: Kind, list: Item) -> Result<Item, Refusal> {
        let store = &mut self.scratch.store;
        let run = match (store.only_run(list), list) {
            (Some((run, _)), _) => run,
            (None, Item::Container(id)) => store.gather(id, &mut self.work)?,
            _ => return Err(self.reader.malformed("a set is made from a list")),
        };
        store.create_from(kind, run, &mut self.work)
    }

    fn is_latin1(&self, encoding: Text) -> bool {
        matches!(self.document.text(self.reader.source(), encoding), b"latin1" | b"latin-1")
    }

    /// The bytes that `text` stands for: one per character.
    fn latin1(&mut self, text: Text) -> Result<Text, Refusal> {
        let bytes = self.document.text(self.reader.source(), text);
        if bytes.is_ascii() {
            return Ok(text);
        }
        // Once for what is gathered, and once for what is kept.
        self.work.bytes(2 * bytes.len())?;
        let encoded: Option<Vec<u8>> = str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.chars().map(|character| u8::try_from(character).ok()).collect());
        match encoded {
            Some(encoded) => self.document.own_text(|own| {
                own.extend_from_slice(&encoded);
                Ok(())
            }),
            None => Err(self.reader.malformed("the text of _codecs.encode does not fit latin1")),
        }
    }
}
