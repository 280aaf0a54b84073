//! Python pickle: protocols 0 to 5 are read, protocol 4 is written.
//!
//! To unpickle with Python is to run the program that a pickle is. Here it runs on a machine that
//! knows plain data and nothing else: an opcode that imports, calls, builds or fetches is refused,
//! with the name of what it asked for. What picklers spell as imports of a closed list of names is
//! recognised by pattern, see `globals`. The pickles that the broker sends were always written by
//! `encode`, never by a client.
//!
//! Losses: a `bytearray` arrives as `bytes`, and a shared reference as a copy.

mod array;
mod cache;
mod calls;
mod disassemble;
mod encode;
mod fast_decode;
mod forbidden;
mod globals;
mod machine;
mod number;
mod opcode;
mod paths;
mod piece;
mod reader;
mod scalars;
mod size;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod transcode;
mod write;

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;

#[doc(hidden)]
pub use calls::Classes;
#[doc(hidden)]
pub use encode::encode;
#[doc(hidden)]
pub use write::{
    close_dict, close_list, open_dict, open_list, write_bool, write_bytes, write_float, write_int,
    write_none, write_prologue, write_stop, write_str,
};

#[doc(hidden)]
pub use cache::{PickleCache, PickleMatch};
pub(super) use calls::{Calls, Class};
pub use disassemble::{Argument, Opcode, Opcodes, opcodes};
pub(super) use encode::{put, put_text};
pub(super) use piece::put_int;
pub(super) use size::size;
#[doc(hidden)]
pub use transcode::encode_json;
pub(super) use transcode::put_json;

use self::machine::{Flat, Machine};
use self::reader::{Reader, shown};
use self::store::{Item, Kind, Scratch};
use super::{Budget, Document, Node};
use crate::protocol::{ErrorCode, Limits, MAX_DEPTH, Refusal};

/// Decodes the pickle in `source[range]`, which ends exactly at its STOP, appends its value to
/// `document` and returns the index of the value's node. Text that the source spells literally
/// stays there.
///
/// # Errors
/// Those that `docs/protocol.md` lists for pickle. `document` then holds a part of the value:
/// truncate it.
#[doc(hidden)]
pub fn decode(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    if let Some(root) = fast_decode::read(source, range.clone(), document, limits, MAX_DEPTH) {
        return Ok(root);
    }
    by_machine(source, range, document, limits)
}

/// Decodes whatever is a pickle, or says what is wrong with it.
fn by_machine(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    with_machine(source, range, document, limits, |machine, budget| {
        let root = machine.run()?;
        machine.flatten(root, MAX_DEPTH, budget).map(|flat| flat.at)
    })
}

/// Decodes the body of a message as [`decode`] does: one dict, whose keys are strings and no two
/// equal. The dict itself does not count as a level of nesting.
///
/// # Errors
/// As for [`decode`], and [`ErrorCode::NotAMap`], [`ErrorCode::DuplicateField`].
#[doc(hidden)]
pub fn decode_body(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    let mark = document.mark();
    if let Some(root) = fast_decode::read(source, range.clone(), document, limits, MAX_DEPTH + 1) {
        if has_string_keys(document, root) {
            return Ok(root);
        }
        document.truncate(mark);
    }
    body_by_machine(source, range, document, limits)
}

/// Decodes whatever is the body of a message, or says what is wrong with it.
fn body_by_machine(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    with_machine(source, range, document, limits, |machine, budget| {
        let root = machine.run()?;
        if machine.scratch.store.kind(root) != Some(Kind::Dict) {
            return Err(Refusal::new(
                ErrorCode::NotAMap,
                "the body is not a dict; send one such as {'command': 'publish', 'topic': …, \
                 'message': …}",
            ));
        }
        let flat = machine.flatten(root, MAX_DEPTH + 1, budget)?;
        check_fields(machine, root, &flat)?;
        Ok(flat.at)
    })
}

/// Whether the value is a dict with strings for keys.
fn has_string_keys(document: &Document, root: usize) -> bool {
    let Node::Dict(size) = document.nodes()[root] else { return false };
    let end = root + 1 + size.nodes as usize;
    let mut at = root + 1;
    while at < end {
        if !matches!(document.nodes()[at], Node::Str(_)) {
            return false;
        }
        at += 1 + document.nodes()[at + 1].nodes();
    }
    true
}

thread_local! {
    /// The memory of this thread's machine. Empty while one runs, and after the thread's
    /// destructors.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Gives back the memory that this thread keeps from one pickle to the next.
pub(crate) fn release_scratch() {
    let _ = SCRATCH.try_with(Cell::take);
}

/// Runs `read` on a machine whose memory is kept from one pickle of the thread to the next.
fn with_machine<T>(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    read: impl FnOnce(&mut Machine<'_>, &mut Budget) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let length = range.len();
    let reader = Reader::new(source, range)?;
    let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let mut machine = Machine::new(
        reader,
        document,
        &mut scratch,
        Budget::new(limits, length),
        limits.pickle_classes,
    );
    let result = read(&mut machine, &mut Budget::new(limits, length));
    scratch.clear();
    // Without a place to keep it, it is dropped.
    let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
    result
}

/// Refuses fields that are not strings, and fields given twice.
fn check_fields(machine: &Machine<'_>, root: Item, flat: &Flat) -> Result<(), Refusal> {
    let document = &*machine.document;
    let Some(Node::Dict(size)) = document.nodes().get(flat.at).copied() else { return Ok(()) };
    let mut at = flat.at + 1;
    for _ in 0..size.items {
        match document.nodes()[at] {
            Node::Str(_) => at += 1 + document.nodes()[at + 1].nodes(),
            other => {
                return Err(Refusal::new(
                    ErrorCode::NotAMap,
                    format!(
                        "a field of the message is named by a value of type {}; names are strings",
                        other.type_name()
                    ),
                ));
            }
        }
    }
    if flat.children == size.items * 2 {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let mut name = String::new();
    for (index, item) in machine.scratch.store.items(root).enumerate() {
        if let Item::Leaf(Node::Str(text)) = item
            && index % 2 == 0
        {
            let key = document.text(machine.reader.source(), text);
            if !seen.insert(key) {
                name = shown(key);
                break;
            }
        }
    }
    Err(Refusal::new(ErrorCode::DuplicateField, format!("the field \"{name}\" is given twice")))
}
