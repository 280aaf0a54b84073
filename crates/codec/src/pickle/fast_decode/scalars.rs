//! Scalars of the standard library in a pickle that is read straight into the document.
//!
//! What a pickler calls, a time zone and a dtype are no values, but lie on the stack and in the
//! memo as values do. Each is a special, and a node that no value has stands for it, so that it is
//! moved and dropped as they are. A call drops its function and its arguments and leaves what they
//! make, by the same [rules](super::super::scalars) as the machine's.

use super::{Memoised, Reading, array, byte};
use crate::ndarray::Dtype;
use crate::node::{Node, Size, Text};
use crate::pickle::globals::Global;
use crate::pickle::machine::text_of;
use crate::pickle::opcode::*;
use crate::pickle::scalars::Making;
use crate::pickle::store::Item;
use crate::protocol::ScalarType;

/// Digits of a UUID's number, at most: the machine writes them down.
const UUID_DIGITS: usize = 39;

/// What the memo may hold that is neither text nor bytes.
#[derive(Clone, Copy)]
pub(super) enum Special {
    /// What can be called, a time zone, or a value that was made.
    Item(Item),
    /// `numpy.dtype(code, False, True)`, before its state.
    NewDtype(Text),
    Dtype(Dtype),
}

impl Reading<'_> {
    /// The opcodes that name something, and those that use it without arguments.
    #[inline(never)]
    pub(super) fn import(&mut self, opcode: u8, at: &mut usize) -> Option<()> {
        match opcode {
            STACK_GLOBAL => {
                let height = self.stack.len().checked_sub(2).filter(|at| *at >= self.floor)?;
                let begins = self.stack[height] as usize;
                let &[Node::Str(module), Node::Str(name)] = self.document.nodes().get(begins..)?
                else {
                    return None;
                };
                let text = |text| self.document.text(self.body, text);
                let global = Global::named(text(module), text(name))?;
                self.text -= module.len() + name.len();
                self.document.nodes_mut().truncate(begins);
                self.stack.truncate(height);
                self.push_special(Special::Item(Item::Import(global)), at)
            }
            GLOBAL => {
                let (module, name) = (self.line(at)?, self.line(at)?);
                let global = Global::named(module, name)?;
                self.push_special(Special::Item(Item::Import(global)), at)
            }
            NEWOBJ => {
                let height = self.stack.len().checked_sub(2).filter(|at| *at >= self.floor)?;
                let begins = self.stack[height] as usize;
                let &[class, Node::Tuple(Size { items: 0, .. })] =
                    self.document.nodes().get(begins..)?
                else {
                    return None;
                };
                let &Special::Item(Item::Import(Global::Uuid)) = self.special(class)? else {
                    return None;
                };
                self.drop_from(begins);
                self.stack.truncate(height);
                self.uuid(at)
            }
            _ => None,
        }
    }

    /// A line of a name; none on the list is longer.
    fn line(&self, at: &mut usize) -> Option<&[u8]> {
        const LONGEST: usize = 32;
        let rest = self.body.get(*at..)?;
        let length = rest.iter().take(LONGEST).position(|&byte| byte == b'\n')?;
        *at += length + 1;
        rest.get(..length)
    }

    /// What the memo holds that is no string.
    #[inline(never)]
    pub(super) fn fetch_other(&mut self, value: Memoised) -> Option<()> {
        let node = match value {
            Memoised::Str(text) => Node::Str(text),
            Memoised::Bytes(text) => Node::Bytes(text),
            Memoised::Special(special) => match *self.specials.get(special as usize)? {
                Special::Item(Item::Leaf(node)) => node,
                _ => {
                    self.stand_for(special);
                    return Some(());
                }
            },
            Memoised::Other => return None,
        };
        self.value(node)
    }

    /// A tuple of the values from `height` on, while something waits to be called: if that is what
    /// the tuple is for, the values are the arguments.
    #[inline(never)]
    pub(super) fn use_arguments(&mut self, at: &mut usize, height: usize) -> Option<()> {
        let behind = match *self.body.get(*at)? {
            MEMOIZE => *at + 1,
            BINPUT => *at + 2,
            LONG_BINPUT => *at + 5,
            _ => *at,
        };
        let opcode = *self.body.get(behind)?;
        if !matches!(opcode, REDUCE | BUILD) {
            return self.tuple(at, height);
        }
        self.memoise(at, Memoised::Other);
        if byte(self.body, at)? != opcode {
            return None;
        }
        let object = height.checked_sub(1).filter(|object| *object >= self.floor)?;
        match opcode {
            REDUCE => {
                let made = self.call(object)?;
                self.drop_from(self.stack[object] as usize);
                self.stack.truncate(object);
                self.push_special(made, at)
            }
            _ => self.build(object),
        }
    }

    /// What the function at a height of the stack makes of the values above it.
    #[inline]
    fn call(&mut self, function: usize) -> Option<Special> {
        let nodes = self.document.nodes();
        let node = |at: u32| nodes.get(at as usize).copied();
        let (&function, arguments) = self.stack.get(function..)?.split_first()?;
        let &Special::Item(Item::Import(global)) = self.special(node(function)?)? else {
            return None;
        };
        if let (Global::NumpyScalar, &[dtype, bytes]) = (global, arguments) {
            let &Special::Dtype(dtype) = self.special(node(dtype)?)? else { return None };
            let Node::Bytes(bytes) = node(bytes)? else { return None };
            return self.making().numpy_item(dtype, bytes).ok()?.map(Special::Item);
        }
        let mut args = [None; 3];
        if arguments.len() > args.len() {
            return None;
        }
        for (arg, &at) in args.iter_mut().zip(arguments) {
            let node = node(at)?;
            *arg = Some(match self.special(node) {
                Some(&Special::Item(item)) => item,
                None if !node.is_container() => Item::Leaf(node),
                _ => return None,
            });
        }
        if let (
            Global::NumpyDtype,
            [
                Some(Item::Leaf(Node::Str(code))),
                Some(Item::Leaf(Node::Bool(_))),
                Some(Item::Leaf(Node::Bool(_))),
            ],
        ) = (global, args)
        {
            return self.making().has_items(code).then_some(Special::NewDtype(code));
        }
        self.making().scalar(global, args).ok()?.map(Special::Item)
    }

    /// The state of the dtype at a height of the stack: the values above it.
    fn build(&mut self, object: usize) -> Option<()> {
        /// The nodes of a state: of one for times, three are heads of tuples and dicts.
        const LONGEST: usize = 16;
        let nodes = self.document.nodes();
        let dtype = place_of(*nodes.get(self.stack[object] as usize)?)?;
        let &Special::NewDtype(code) = self.specials.get(dtype)? else { return None };
        let begins = *self.stack.get(object + 1)? as usize;
        let state = nodes.get(begins..).filter(|state| state.len() <= LONGEST)?;
        let mut leaves = Vec::with_capacity(LONGEST);
        for (index, &node) in state.iter().enumerate() {
            leaves.push(Item::Leaf(match (index, node) {
                // A tuple of the metadata, `None` or an empty dict, and the tuple of the unit.
                (8, Node::Tuple(Size { items: 2, .. }))
                | (10, Node::Tuple(Size { items: 4, .. })) => continue,
                (9, Node::Dict(Size { items: 0, .. })) => Node::None,
                (_, node) if node.is_container() || place_of(node).is_some() => return None,
                (_, node) => node,
            }));
        }
        let made = self.making().dtype(code, &leaves)?;
        self.specials[dtype] = Special::Dtype(made);
        self.drop_from(begins);
        self.stack.truncate(object + 1);
        Some(())
    }

    /// A UUID, from behind the opcode that makes the object to behind the one that gives it its
    /// state: `{'int': number}`, and perhaps `'is_safe'`, which is lost.
    fn uuid(&mut self, at: &mut usize) -> Option<()> {
        let body = self.body;
        let object = self.memo.len();
        self.memoise(at, Memoised::Other);
        let is_memoised = self.memo.len() > object;
        if byte(body, at)? != EMPTY_DICT {
            return None;
        }
        self.memoise(at, Memoised::Other);
        let is_marked = body.get(*at) == Some(&MARK);
        *at += usize::from(is_marked);
        let number = self.entry(at, b"int")??;
        if is_marked && body.get(*at) != Some(&SETITEMS) {
            self.entry(at, b"is_safe")?;
        }
        let closing = if is_marked { SETITEMS } else { SETITEM };
        if byte(body, at)? != closing || byte(body, at)? != BUILD {
            return None;
        }
        self.work.bytes(UUID_DIGITS).ok()?;
        let made = self.making().uuid(number).ok()?;
        let special = self.push(Special::Item(made))?;
        if is_memoised {
            self.memo[object] = Memoised::Special(special);
        }
        Some(())
    }

    /// An entry of a dict, by its key: an integer, or nothing for one that is negative.
    fn entry(&mut self, at: &mut usize, wanted: &[u8]) -> Option<Option<u128>> {
        let begins = self.document.len();
        match byte(self.body, at)? {
            SHORT_BINUNICODE => {
                let length = usize::from(byte(self.body, at)?);
                self.string(at, length)?;
            }
            BINGET => {
                let number = usize::from(byte(self.body, at)?);
                self.fetch(number)?;
            }
            opcode @ (BINUNICODE | LONG_BINGET) => self.rarely(opcode, at)?,
            _ => return None,
        }
        let &[Node::Str(key)] = self.document.nodes().get(begins..)? else { return None };
        let is_wanted = self.document.text(self.body, key) == wanted;
        self.drop_from(begins);
        self.stack.pop();
        if !is_wanted {
            return None;
        }
        let length = match byte(self.body, at)? {
            BININT1 => return Some(Some(byte(self.body, at)?.into())),
            BININT2 => return Some(Some(u16::from_le_bytes(array(self.body, at)?).into())),
            BININT => 4,
            LONG1 => usize::from(byte(self.body, at)?),
            _ => return None,
        };
        let bytes = self.body.get(*at..*at + length)?;
        *at += length;
        if bytes.last().is_some_and(|last| last & 0x80 != 0) {
            return Some(None);
        }
        // The highest bit of 128 takes a byte more, for the sign.
        let mut number = [0; size_of::<u128>() + 1];
        number.get_mut(..length)?.copy_from_slice(bytes);
        let (&number, &[0]) = number.split_first_chunk()? else { return None };
        Some(Some(u128::from_le_bytes(number)))
    }

    /// Leaves something on the stack, and keeps it in the memo if the next opcode says so.
    #[inline]
    fn push_special(&mut self, made: Special, at: &mut usize) -> Option<()> {
        let special = self.push(made)?;
        self.memoise(at, Memoised::Special(special));
        Some(())
    }

    /// Leaves something on the stack. Returns its index.
    #[inline]
    fn push(&mut self, made: Special) -> Option<u32> {
        let special = self.specials.len() as u32;
        self.specials.push(made);
        match made {
            Special::Item(Item::Leaf(node)) => self.value(node)?,
            _ => self.stand_for(special),
        }
        Some(special)
    }

    fn stand_for(&mut self, special: u32) {
        let place = special as usize;
        self.pending += 1;
        self.leaf(Node::Typed(ScalarType::Uuid, Text::in_source(place..place)));
    }

    /// Leaves a value without children on the stack.
    #[inline]
    fn value(&mut self, node: Node) -> Option<()> {
        let length = length_of(node);
        // To reduce a fraction is paid for beside its text.
        self.budget.bytes(text_of(&node).saturating_sub(length)).ok()?;
        self.text += length;
        self.leaf(node);
        Some(())
    }

    /// Takes back the nodes from `begins` on.
    #[inline]
    fn drop_from(&mut self, begins: usize) {
        for &node in self.document.nodes().get(begins..).unwrap_or_default() {
            self.text -= length_of(node);
            self.pending -= usize::from(place_of(node).is_some());
        }
        self.document.nodes_mut().truncate(begins);
    }

    /// What a node stands for.
    #[inline]
    fn special(&self, node: Node) -> Option<&Special> {
        self.specials.get(place_of(node)?)
    }

    #[inline]
    fn making(&mut self) -> Making<'_> {
        Making { source: self.body, document: self.document, work: &mut self.work }
    }
}

/// The index of the special that a node stands for: the text of no value is empty.
#[inline]
fn place_of(node: Node) -> Option<usize> {
    match node {
        Node::Typed(_, text) if text.is_empty() => Some(text.start()),
        _ => None,
    }
}

/// Bytes of text that a node has.
#[inline]
fn length_of(node: Node) -> usize {
    match node {
        Node::Str(text) | Node::Bytes(text) | Node::BigInt(text) | Node::Typed(_, text) => {
            text.len()
        }
        _ => 0,
    }
}
