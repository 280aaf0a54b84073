//! The closed list of builtins that picklers spell as an import and a call although they are plain
//! data.
//!
//! | value | spelled in | as |
//! |---|---|---|
//! | set, frozenset | protocols 0 to 3 | `builtins.set([1, 2])` |
//! | bytes | protocols 0 to 2 | `_codecs.encode('text', 'latin1')`, and empty `builtins.bytes()` |
//! | bytearray | protocols 0 to 4 | `builtins.bytearray(b'…')`, `bytearray()`; before Python 3.8 `bytearray('text', 'latin-1')` |
//!
//! They are recognised by their names and the shape of their arguments. Nothing is looked up, and a
//! name that is not on the list is refused where it is read.

use super::machine::Machine;
use super::reader::Reader;
use super::store::{Item, Kind};
use crate::protocol::{ErrorCode, Refusal};
use crate::{Node, Text};

/// A builtin on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `set`
    Set,
    /// `frozenset`
    FrozenSet,
    /// `bytes`
    Bytes,
    /// `bytearray`
    ByteArray,
    /// `_codecs.encode`
    Encode,
}

impl Builtin {
    /// The builtin of that name; Python 2 called their module `__builtin__`, and protocols 0 to 2
    /// still do.
    pub(super) fn named(module: &[u8], name: &[u8]) -> Option<Builtin> {
        match (module, name) {
            (b"builtins" | b"__builtin__", b"set") => Some(Builtin::Set),
            (b"builtins" | b"__builtin__", b"frozenset") => Some(Builtin::FrozenSet),
            (b"builtins" | b"__builtin__", b"bytes") => Some(Builtin::Bytes),
            (b"builtins" | b"__builtin__", b"bytearray") => Some(Builtin::ByteArray),
            (b"_codecs", b"encode") => Some(Builtin::Encode),
            _ => None,
        }
    }

    /// The name as Python shows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Builtin::Set => "set",
            Builtin::FrozenSet => "frozenset",
            Builtin::Bytes => "bytes",
            Builtin::ByteArray => "bytearray",
            Builtin::Encode => "_codecs.encode",
        }
    }
}

impl Machine<'_> {
    /// What REDUCE leaves for `function(*args)`.
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

/// Refuses an import by name, and says what to send instead.
#[cold]
pub(super) fn imports(reader: &Reader<'_>, module: &[u8], name: &[u8]) -> Refusal {
    let advice = match (module, name) {
        (b"datetime", b"timedelta") => "send .total_seconds()",
        (b"datetime", _) => "send .isoformat()",
        (b"decimal", _) | (b"uuid", _) | (b"pathlib", _) => "send str() of it",
        (b"collections", b"OrderedDict" | b"defaultdict" | b"Counter") => "send dict() of it",
        (b"collections", b"deque") => "send list() of it",
        _ if module.starts_with(b"numpy") => "send .tolist() of it",
        _ => "send a dict of its fields",
    };
    let shown = format!("{}.{}", shown(module), shown(name));
    forbidden(reader, format_args!("imports {shown}"), advice)
}

/// Refuses a call.
#[cold]
pub(super) fn calls(reader: &Reader<'_>, what: impl std::fmt::Display) -> Refusal {
    forbidden(reader, format_args!("calls {what}"), PLAIN)
}

/// What to do where nothing better is known.
pub(super) const PLAIN: &str = "convert objects before pickling";

/// Refuses what the present opcode does.
#[cold]
pub(super) fn forbidden(
    reader: &Reader<'_>,
    does: impl std::fmt::Display,
    advice: &str,
) -> Refusal {
    Refusal::new(
        ErrorCode::ForbiddenPickle,
        format!(
            "the pickle {does} ({}); only plain data is accepted: None, bool, int, float, str, \
             bytes, \
             list, tuple, set, frozenset, dict; {advice}",
            reader.here()
        ),
    )
}

/// A name from the pickle, made fit to be shown.
pub(super) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 80;
    let head = &name[..name.len().min(LONGEST)];
    let mut shown = String::from_utf8_lossy(head).escape_debug().to_string();
    if head.len() < name.len() {
        shown.push('…');
    }
    shown
}
