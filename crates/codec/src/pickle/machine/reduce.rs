//! The calls that a pickle may make: of the names on the list, with the arguments that picklers
//! write.

use super::Machine;
use crate::node::{Node, Text};
use crate::pickle::forbidden::{calls, forbidden};
use crate::pickle::globals::Global;
use crate::pickle::paths::{put_posix, put_windows};
use crate::pickle::store::{Item, Kind};
use crate::protocol::Refusal;

/// Bytes of work that a part of a path costs beside its own.
const PART: usize = 64;

impl Machine<'_> {
    /// The value that REDUCE leaves for `function(*args)`.
    pub(super) fn reduce(&mut self, function: Item, args: Item) -> Result<Item, Refusal> {
        let global = match function {
            Item::Import(global) => global,
            Item::Class(class) => {
                return self.call_class(args).ok_or_else(|| self.unknown_call(class));
            }
            _ => return Err(calls(&self.reader, "something that cannot be called")),
        };
        let value = match self.scratch.store.kind(args) {
            Some(Kind::Tuple) => self.call(global, args)?,
            _ => None,
        };
        value.ok_or_else(|| self.unknown_arguments(global))
    }

    #[cold]
    pub(super) fn unknown_arguments(&self, global: Global) -> Refusal {
        if global == Global::NumpyDtype {
            let what =
                "numpy.dtype for items that are nothing in Python, as objects and long doubles";
            return calls(&self.reader, what);
        }
        let name = global.name();
        calls(&self.reader, format_args!("{name} with arguments that no pickler writes"))
    }

    #[cold]
    fn unknown_call(&self, class: Text) -> Refusal {
        let class = String::from_utf8_lossy(self.document.text(self.reader.source(), class));
        let does = format_args!("calls {class} with arguments that say no value");
        forbidden(&self.reader, does, "send a dict of its fields, or the value of an Enum")
    }

    /// `None` for arguments that no pickler writes.
    fn call(&mut self, global: Global, args: Item) -> Result<Option<Item>, Refusal> {
        let Some((_, args)) = self.scratch.store.only_run(args) else { return Ok(None) };
        // Four at most are looked at; of a path all are.
        let arguments: [Option<Item>; 4] = std::array::from_fn(|at| args.get(at).copied());
        let count = args.len();
        if global == Global::NumpyFromBuffer {
            let args = args.to_vec();
            return self.array_of_buffer(&args);
        }
        if let Global::PosixPath | Global::WindowsPath = global {
            let parts = args.to_vec();
            return self.path(global, &parts);
        }
        let args = match arguments {
            [a, b, c, None] if count <= 3 => [a, b, c],
            _ => return Ok(None),
        };
        Ok(match (global, args) {
            (Global::Set, [Some(list), None, _]) if self.is_list(list) => {
                Some(self.set_of(Kind::Set, list)?)
            }
            (Global::FrozenSet, [Some(list), None, _]) if self.is_list(list) => {
                Some(self.set_of(Kind::FrozenSet, list)?)
            }
            (Global::Bytes, [None, ..]) => Some(Item::Leaf(Node::Bytes(Text::in_source(0..0)))),
            (Global::ByteArray, [None, ..]) => Some(Item::ByteArray(Text::in_source(0..0))),
            (Global::ByteArray, [Some(Item::Leaf(Node::Bytes(bytes))), None, _]) => {
                Some(Item::ByteArray(bytes))
            }
            (
                Global::ByteArray,
                [Some(Item::Leaf(Node::Str(text))), Some(Item::Leaf(Node::Str(encoding))), None],
            ) => {
                let bytes = self.making().latin1(text, encoding);
                bytes.map_err(|fault| self.no_value(fault))?.map(Item::ByteArray)
            }
            (Global::Deque, [None, ..]) => Some(self.create(Kind::List)?),
            (Global::Deque, [Some(items), Some(Item::Leaf(Node::Int(0..))), None])
                if self.is_empty_tuple(items) =>
            {
                Some(self.create(Kind::List)?)
            }
            (Global::OrderedDict, [None, ..])
            | (Global::DefaultDict, [None, ..] | [Some(Item::Import(_)), None, _]) => {
                Some(self.create(Kind::Dict)?)
            }
            (Global::Counter, [Some(counts), None, _])
                if self.scratch.store.kind(counts) == Some(Kind::Dict) =>
            {
                Some(counts)
            }
            (Global::Range, [Some(start), Some(stop), Some(step)]) => {
                self.range([start, stop, step])?
            }
            (
                Global::Reconstructor,
                [
                    Some(Item::Import(Global::Uuid)),
                    Some(Item::Import(Global::Object)),
                    Some(Item::Leaf(Node::None)),
                ],
            ) => Some(self.create(Kind::Uuid)?),
            (Global::Reconstructor, [Some(class @ Item::Class(_)), Some(base), Some(state)]) => {
                self.reconstruct_class(class, base, state)?
            }
            (Global::GetAttr, [Some(class @ Item::Class(_)), Some(name), None]) => {
                self.class_inside(class, name)?
            }
            (
                Global::NumpyDtype,
                [Some(code), Some(Item::Leaf(Node::Bool(_))), Some(Item::Leaf(Node::Bool(_)))],
            ) => self.dtype(code)?,
            (
                Global::NumpyReconstruct,
                [
                    Some(Item::Import(Global::NumpyNdarray)),
                    Some(shape),
                    Some(Item::Leaf(Node::Bytes(code))),
                ],
            ) => self.empty_array(shape, code)?,
            (Global::NumpyScalar, [Some(dtype), Some(Item::Leaf(Node::Bytes(bytes))), None]) => {
                self.numpy_scalar(dtype, bytes)?
            }
            (global, args) => self.scalar(global, args)?,
        })
    }

    fn is_list(&self, item: Item) -> bool {
        self.scratch.store.kind(item) == Some(Kind::List)
    }

    pub(super) fn is_empty_tuple(&self, item: Item) -> bool {
        let store = &self.scratch.store;
        store.kind(item) == Some(Kind::Tuple)
            && store.only_run(item).is_some_and(|(run, _)| run.count == 0)
    }

    pub(super) fn create(&mut self, kind: Kind) -> Result<Item, Refusal> {
        self.scratch.store.create(kind, &[], &mut self.work)
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

    /// The list of the integers of a range. Each is paid for before it is made.
    fn range(&mut self, bounds: [Item; 3]) -> Result<Option<Item>, Refusal> {
        let [
            Item::Leaf(Node::Int(start)),
            Item::Leaf(Node::Int(stop)),
            Item::Leaf(Node::Int(step)),
        ] = bounds
        else {
            return Ok(None);
        };
        if step == 0 {
            return Ok(None);
        }
        let [start, stop, step] = [start, stop, step].map(i128::from);
        let count = ((stop - start + step - step.signum()) / step).max(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.work.bytes(count.saturating_mul(size_of::<Item>()))?;
        let number = |at: usize| (start + step * at as i128) as i64;
        let items: Vec<Item> = (0..count).map(|at| Item::Leaf(Node::Int(number(at)))).collect();
        self.scratch.store.create(Kind::List, &items, &mut self.work).map(Some)
    }

    fn path(&mut self, class: Global, parts: &[Item]) -> Result<Option<Item>, Refusal> {
        let source = self.reader.source();
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            let Item::Leaf(Node::Str(text)) = *part else { return Ok(None) };
            texts.push(self.document.text(source, text));
        }
        // A part is looked at, joined and split a few times, also where it is empty.
        let length: usize = texts.iter().map(|text| text.len() + 1).sum();
        self.work.bytes(4 * length + PART * texts.len())?;
        let mut joined = Vec::with_capacity(length);
        match class {
            Global::PosixPath => put_posix(&texts, &mut joined),
            _ => put_windows(&texts, &mut joined),
        }
        let text = self.document.append_text(|own| own.extend_from_slice(&joined));
        Ok(Some(Item::Leaf(Node::Str(text))))
    }
}
