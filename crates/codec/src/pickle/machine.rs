//! The machine that reads a pickle: a stack, marks and a memo, as Python's; data opcodes only.
//!
//! It never recurses, and every opcode costs a constant or the length of its argument. The
//! containers that it builds lie in the scratch store; `flatten` then writes the one value that
//! STOP left into the document.

mod classes;
mod flatten;
mod numpy;
mod reduce;
mod scalars;
mod stack;

pub(super) use flatten::{Flat, text_of};

use super::forbidden::{PLAIN, forbidden, imports};
use super::globals::Global;
use super::opcode::*;
use super::reader::Reader;
use super::store::{Item, Kind, Scratch, push};
use super::{number, text};
use crate::protocol::{PickleClasses, Refusal};
use crate::{Budget, Document, Node};

/// The highest protocol that is read.
const HIGHEST_PROTOCOL: u8 = 5;

/// A machine that reads one pickle.
pub(super) struct Machine<'a> {
    /// The pickle.
    pub(super) reader: Reader<'a>,
    /// Where texts go that the pickle does not spell literally.
    pub(super) document: &'a mut Document,
    /// Stack, memo and containers.
    pub(super) scratch: &'a mut Scratch,
    /// The bytes that the machine may take while it runs: memory for its stack, its memo and its
    /// containers, and for texts. It also bounds what a short pickle can make by calling one of the
    /// plain builtins many times on one long value.
    pub(super) work: Budget,
    /// The height of the stack at the innermost open mark: nothing below may be popped.
    pub(super) floor: usize,
    /// Whether the value holds a bytearray; noted while it is written.
    pub(super) bytearrays: bool,
    /// Whether a container was fetched a second time, so that it may occur more than once.
    pub(super) shared: bool,
    /// The classes of people's own that are read.
    pub(super) classes: PickleClasses,
}

impl<'a> Machine<'a> {
    /// A machine at the beginning of a pickle; `scratch` is clear.
    pub(super) fn new(
        reader: Reader<'a>,
        document: &'a mut Document,
        scratch: &'a mut Scratch,
        work: Budget,
        classes: PickleClasses,
    ) -> Machine<'a> {
        let (floor, shared, bytearrays) = (0, false, false);
        Machine { reader, document, scratch, work, floor, shared, bytearrays, classes }
    }

    /// Runs to STOP and returns the value it leaves.
    pub(super) fn run(&mut self) -> Result<Item, Refusal> {
        loop {
            let item = match self.reader.opcode()? {
                PROTO => {
                    let protocol = self.reader.byte()?;
                    if protocol > HIGHEST_PROTOCOL {
                        return Err(self.reader.malformed(format_args!(
                            "protocol {protocol} is not known; use protocol {HIGHEST_PROTOCOL} or \
                             lower"
                        )));
                    }
                    continue;
                }
                FRAME => {
                    // Frames help those who read from a file; here the pickle is complete, so all
                    // there is to know is whether the frame is.
                    let length = self.reader.length8()?;
                    if length > self.reader.left() as u64 {
                        return Err(self.reader.malformed(format_args!(
                            "the frame has {length} bytes, but only {} are left",
                            self.reader.left()
                        )));
                    }
                    continue;
                }
                STOP => {
                    let item = self.pop()?;
                    return match self.reader.left() {
                        0 => Ok(item),
                        left => Err(self.reader.malformed(format_args!(
                            "{left} bytes follow; a message is one pickle"
                        ))),
                    };
                }

                NONE => Item::Leaf(Node::None),
                NEWTRUE => Item::Leaf(Node::Bool(true)),
                NEWFALSE => Item::Leaf(Node::Bool(false)),
                BININT1 => int(self.reader.byte()?),
                BININT2 => int(u16::from_le_bytes(self.reader.array()?)),
                BININT => int(i32::from_le_bytes(self.reader.array()?)),
                BINFLOAT => Item::Leaf(Node::Float(f64::from_be_bytes(self.reader.array()?))),
                INT => number::int_line(&mut self.reader)?,
                LONG => number::long_line(&mut self.reader)?,
                FLOAT => number::float_line(&mut self.reader)?,
                LONG1 => {
                    let length = self.reader.length1()?;
                    self.long(length)?
                }
                LONG4 => {
                    // The length is signed; a negative one is far longer than any pickle.
                    let length = self.reader.length4()?;
                    self.long(length)?
                }

                SHORT_BINUNICODE => {
                    let length = self.reader.length1()?;
                    text::utf8(&mut self.reader, length)?
                }
                BINUNICODE => {
                    let length = self.reader.length4()?;
                    text::utf8(&mut self.reader, length)?
                }
                BINUNICODE8 => {
                    let length = self.reader.length8()?;
                    text::utf8(&mut self.reader, length)?
                }
                UNICODE => text::unicode_line(&mut self.reader, self.document, &mut self.work)?,
                STRING => text::string_line(&mut self.reader, self.document, &mut self.work)?,
                SHORT_BINSTRING => {
                    let length = self.reader.length1()?;
                    text::ascii(&mut self.reader, length)?
                }
                BINSTRING => {
                    let length = self.reader.length4()?;
                    text::ascii(&mut self.reader, length)?
                }
                SHORT_BINBYTES => {
                    let length = self.reader.length1()?;
                    Item::Leaf(Node::Bytes(self.reader.take(length)?.1))
                }
                BINBYTES => {
                    let length = self.reader.length4()?;
                    Item::Leaf(Node::Bytes(self.reader.take(length)?.1))
                }
                BINBYTES8 => {
                    let length = self.reader.length8()?;
                    Item::Leaf(Node::Bytes(self.reader.take(length)?.1))
                }
                BYTEARRAY8 => {
                    let length = self.reader.length8()?;
                    Item::ByteArray(self.reader.take(length)?.1)
                }

                EMPTY_LIST => self.scratch.store.create(Kind::List, &[], &mut self.work)?,
                EMPTY_DICT => self.scratch.store.create(Kind::Dict, &[], &mut self.work)?,
                EMPTY_SET => self.scratch.store.create(Kind::Set, &[], &mut self.work)?,
                EMPTY_TUPLE => self.scratch.store.create(Kind::Tuple, &[], &mut self.work)?,
                TUPLE1 => self.gather(Kind::Tuple, 1)?,
                TUPLE2 => self.gather(Kind::Tuple, 2)?,
                TUPLE3 => self.gather(Kind::Tuple, 3)?,
                TUPLE => self.gather_marked(Kind::Tuple)?,
                LIST => self.gather_marked(Kind::List)?,
                FROZENSET => self.gather_marked(Kind::FrozenSet)?,
                DICT => self.gather_marked(Kind::Dict)?,

                APPEND => {
                    self.add(Kind::List, 1)?;
                    continue;
                }
                SETITEM => {
                    self.add(Kind::Dict, 2)?;
                    continue;
                }
                APPENDS => {
                    self.add_marked(Kind::List)?;
                    continue;
                }
                SETITEMS => {
                    self.add_marked(Kind::Dict)?;
                    continue;
                }
                ADDITEMS => {
                    self.add_marked(Kind::Set)?;
                    continue;
                }

                MARK => {
                    self.floor = self.scratch.stack.len();
                    push(&mut self.scratch.marks, self.floor as u32, &mut self.work)?;
                    continue;
                }
                POP => {
                    // As in CPython, a mark on top is what is popped.
                    if self.scratch.stack.len() == self.floor && !self.scratch.marks.is_empty() {
                        self.unmark()?;
                    } else {
                        self.pop()?;
                    }
                    continue;
                }
                POP_MARK => {
                    let height = self.unmark()?;
                    self.scratch.stack.truncate(height);
                    continue;
                }
                DUP => {
                    let top = self.top()?;
                    self.fetched(top)
                }
                MEMOIZE => {
                    let top = self.top()?;
                    self.scratch.memo.push(top, &mut self.work)?;
                    continue;
                }
                BINPUT => {
                    let number = self.reader.length1()?;
                    self.put(number)?;
                    continue;
                }
                LONG_BINPUT => {
                    let number = self.reader.length4()?;
                    self.put(number)?;
                    continue;
                }
                PUT => {
                    let number = number::memo_line(&mut self.reader)?;
                    self.put(number)?;
                    continue;
                }
                BINGET => {
                    let number = self.reader.length1()?;
                    self.get(number)?
                }
                LONG_BINGET => {
                    let number = self.reader.length4()?;
                    self.get(number)?
                }
                GET => {
                    let number = number::memo_line(&mut self.reader)?;
                    self.get(number)?
                }

                BUILD => {
                    self.build_top()?;
                    continue;
                }

                other => self.import_or_refuse(other)?,
            };
            push(&mut self.scratch.stack, item, &mut self.work)?;
            // Protocol 4 memoises nearly every value. While the value is at hand that is far
            // cheaper than fetching it back from the stack that it has just been written to.
            if self.reader.pass(MEMOIZE) {
                self.scratch.memo.push(item, &mut self.work)?;
            }
        }
    }

    /// The opcodes that import or call: what they spell is a plain builtin, or is refused.
    #[cold]
    fn import_or_refuse(&mut self, opcode: u8) -> Result<Item, Refusal> {
        let does = match opcode {
            GLOBAL => {
                let (module, name) = (self.reader.line()?.0, self.reader.line()?.0);
                if let (b"copy_reg" | b"copyreg", b"_reconstructor") = (module, name)
                    && let Some((module, name)) = self.reader.reconstructed()
                    && !matches!(Global::named(module, name), Some(Global::Uuid | Global::GetAttr))
                    && !self.classes.include(&[module, b".", name].concat())
                {
                    return Err(imports(&self.reader, module, name));
                }
                return self.import(module, name);
            }
            STACK_GLOBAL => {
                let stack = &self.scratch.stack[self.floor.min(self.scratch.stack.len())..];
                if let &[.., Item::Leaf(Node::Str(module)), Item::Leaf(Node::Str(name))] = stack {
                    let source = self.reader.source();
                    let module = self.document.text(source, module);
                    let name = self.document.text(source, name);
                    let import = match Global::named(module, name) {
                        Some(global) => Item::Import(global),
                        None => {
                            let (module, name) = (module.to_vec(), name.to_vec());
                            self.class(&module, &name)?
                        }
                    };
                    let height = self.scratch.stack.len().saturating_sub(2);
                    self.scratch.stack.truncate(height);
                    return Ok(import);
                }
                "imports something"
            }
            REDUCE => {
                let stack = &self.scratch.stack[self.floor.min(self.scratch.stack.len())..];
                if let &[.., function, args] = stack {
                    let value = self.reduce(function, args)?;
                    let height = self.scratch.stack.len().saturating_sub(2);
                    self.scratch.stack.truncate(height);
                    return Ok(value);
                }
                "calls something"
            }
            INST => {
                let (module, name) = (self.reader.line()?.0, self.reader.line()?.0);
                return Err(imports(&self.reader, module, name));
            }
            NEWOBJ => {
                let stack = &self.scratch.stack[self.floor.min(self.scratch.stack.len())..];
                if let &[.., class, args] = stack
                    && self.scratch.store.kind(args) == Some(Kind::Tuple)
                    && let Some(object) = self.instance(class, args)?
                {
                    let height = self.scratch.stack.len().saturating_sub(2);
                    self.scratch.stack.truncate(height);
                    return Ok(object);
                }
                "builds an object"
            }
            OBJ | NEWOBJ_EX => "builds an object",
            PERSID | BINPERSID => "fetches an object by a persistent id",
            EXT1 | EXT2 | EXT4 => "imports a registered extension",
            NEXT_BUFFER | READONLY_BUFFER => {
                let advice = "pickle without buffer_callback, so that buffers stay in the pickle";
                return Err(forbidden(&self.reader, "fetches a buffer from outside", advice));
            }
            unknown => {
                return Err(self
                    .reader
                    .malformed(format_args!("0x{unknown:02x} is no pickle opcode")));
            }
        };
        Err(forbidden(&self.reader, does, PLAIN))
    }

    /// BUILD: gives the object below the top of the stack its state.
    #[cold]
    fn build_top(&mut self) -> Result<(), Refusal> {
        let stack = &self.scratch.stack[self.floor.min(self.scratch.stack.len())..];
        if let &[.., object, state] = stack
            && self.build(object, state)?.is_some()
        {
            self.scratch.stack.pop();
            return Ok(());
        }
        Err(forbidden(&self.reader, "sets the state of an object", PLAIN))
    }

    fn import(&mut self, module: &[u8], name: &[u8]) -> Result<Item, Refusal> {
        match Global::named(module, name) {
            Some(global) => Ok(Item::Import(global)),
            None => self.class(module, name),
        }
    }

    fn long(&mut self, length: u64) -> Result<Item, Refusal> {
        let (bytes, _) = self.reader.take(length)?;
        number::long(&self.reader, self.document, &mut self.work, bytes)
    }
}

#[inline]
fn int(number: impl Into<i64>) -> Item {
    Item::Leaf(Node::Int(number.into()))
}
