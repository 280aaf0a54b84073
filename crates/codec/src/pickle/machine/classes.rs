//! Objects of classes of people's own, where these are named to the reader: a dict of their state.
//!
//! Nothing is looked up: what an object is follows from how picklers spell it. An object has a
//! state in a dict, or in a pair of a dict and the slots; a namedtuple is made of its items, and an
//! Enum, which is called with its value, is that value.

use super::Machine;
use super::flatten::no_value;
use crate::class_name::is_class_name;
use crate::node::Node;
use crate::pickle::forbidden::{forbidden, imports};
use crate::pickle::globals::Global;
use crate::pickle::store::{Item, Kind};
use crate::protocol::Refusal;

/// The advice for objects that have another form.
const DICT: &str = "send a dict of its fields, such as vars() or dataclasses.asdict() of it";

impl Machine<'_> {
    /// The class of a name that is not on the list.
    #[cold]
    pub(super) fn class(&mut self, module: &[u8], name: &[u8]) -> Result<Item, Refusal> {
        let class = [module, b".", name].concat();
        if !self.classes.include(&class) || !is_class_name(&class) {
            return Err(imports(&self.reader, module, name));
        }
        self.work.bytes(class.len())?;
        Ok(Item::Class(self.document.append_text(|own| own.extend_from_slice(&class))))
    }

    /// `getattr(class, name)`: a class inside of another, as protocols 0 to 3 spell it, or a member
    /// of an Enum, which is no value.
    pub(super) fn class_inside(
        &mut self,
        class: Item,
        name: Item,
    ) -> Result<Option<Item>, Refusal> {
        let (Item::Class(class), Item::Leaf(Node::Str(name))) = (class, name) else {
            return Ok(None);
        };
        let source = self.reader.source();
        let class = self.document.text(source, class).to_vec();
        let name = self.document.text(source, name).to_vec();
        self.class(&class, &name).map(Some)
    }

    /// `class(value)`, which REDUCE calls: of an Enum the value, of a set its elements. `None`
    /// where what it makes does not follow from its arguments.
    pub(super) fn call_class(&mut self, args: Item) -> Option<Item> {
        match self.scratch.store.only_run(args) {
            // Bytes are the state of a date, or of something else that is no value by itself.
            Some((_, &[Item::Leaf(Node::Bytes(_)) | Item::ByteArray(_)])) => None,
            // What has no state yet would be given that of the object that is called.
            Some((_, &[value])) if self.is_complete(value) => Some(value),
            _ => None,
        }
    }

    fn is_complete(&self, value: Item) -> bool {
        let parts = self.scratch.store.items(value).take(2).count();
        match self.scratch.store.kind(value) {
            Some(Kind::Object) => parts == 2,
            Some(Kind::Uuid | Kind::Ndarray) => parts > 0,
            Some(Kind::Dtype) => false,
            _ => true,
        }
    }

    /// What NEWOBJ makes: without arguments an object, whose state or items come later. With them a
    /// namedtuple of these, or of one of a class derived from `str`, `int` or `float`, or `tuple`,
    /// that value.
    pub(super) fn new_of_class(&mut self, class: Item, args: Item) -> Result<Item, Refusal> {
        if self.is_empty_tuple(args) {
            return self.scratch.store.create(Kind::Object, &[class], &mut self.work);
        }
        match self.scratch.store.only_run(args) {
            Some((_, &[value @ Item::Leaf(Node::Str(_) | Node::Int(_) | Node::BigInt(_))]))
            | Some((_, &[value @ Item::Leaf(Node::Float(_) | Node::Bytes(_))])) => Ok(value),
            Some((_, &[value])) if self.scratch.store.kind(value) == Some(Kind::Tuple) => Ok(value),
            _ => Ok(args),
        }
    }

    /// `copyreg._reconstructor(class, base, state)`, which protocols 0 and 1 have for NEWOBJ.
    pub(super) fn reconstruct_class(
        &mut self,
        class: Item,
        base: Item,
        state: Item,
    ) -> Result<Option<Item>, Refusal> {
        let is_fit = match (base, state) {
            (Item::Import(Global::Object), Item::Leaf(Node::None)) => {
                return self.scratch.store.create(Kind::Object, &[class], &mut self.work).map(Some);
            }
            (Item::Import(Global::Factory | Global::Bytes), Item::Leaf(node)) => {
                !matches!(node, Node::None)
            }
            (Item::Import(Global::Factory), state) => matches!(
                self.scratch.store.kind(state),
                Some(Kind::List | Kind::Dict | Kind::Tuple)
            ),
            _ => false,
        };
        Ok(is_fit.then_some(state))
    }

    /// BUILD: the state of an object, a dict, or `(dict or None, slots)`.
    pub(super) fn build_object(
        &mut self,
        object: Item,
        state: Item,
    ) -> Result<Option<()>, Refusal> {
        let store = &self.scratch.store;
        if store.items(object).nth(1).is_some() {
            return Ok(None);
        }
        let state = match (store.kind(state), store.only_run(state)) {
            (Some(Kind::Dict), _) => state,
            (Some(Kind::Tuple), Some((_, &[fields, slots])))
                if store.kind(slots) == Some(Kind::Dict) =>
            {
                let has_fields = match (fields, store.kind(fields)) {
                    (Item::Leaf(Node::None), _) => false,
                    (_, Some(Kind::Dict)) => true,
                    _ => return Ok(None),
                };
                if has_fields {
                    let both: Vec<Item> = store.items(fields).chain(store.items(slots)).collect();
                    self.scratch.store.create(Kind::Dict, &both, &mut self.work)?
                } else {
                    slots
                }
            }
            _ => return Err(self.unknown_state(object)),
        };
        self.finish(object, state)
    }

    #[cold]
    fn unknown_state(&self, object: Item) -> Refusal {
        let name = match self.scratch.store.items(object).next() {
            Some(Item::Class(class)) => {
                String::from_utf8_lossy(self.document.text(self.reader.source(), class))
                    .into_owned()
            }
            _ => "an object".to_owned(),
        };
        forbidden(&self.reader, format_args!("gives {name} a state that names no fields"), DICT)
    }

    /// An object whose items are added: its class is derived from list or dict.
    pub(super) fn become_container(&mut self, object: Item, kind: Kind) -> bool {
        let Item::Container(id) = object else { return false };
        let has_state = self.scratch.store.items(object).nth(1).is_some();
        if !matches!(kind, Kind::List | Kind::Dict) || has_state {
            return false;
        }
        self.scratch.store.clear_to(id, kind);
        true
    }

    /// The state of an object, or `None` where it has none.
    pub(super) fn state_of(&self, id: u32) -> Result<(Node, Option<u32>), Refusal> {
        let mut parts = self.scratch.store.items(Item::Container(id));
        match (parts.next(), parts.next()) {
            (Some(Item::Class(class)), None) => Ok((Node::Str(class), None)),
            (Some(Item::Class(class)), Some(Item::Container(state))) => {
                Ok((Node::Str(class), Some(state)))
            }
            _ => Err(no_value("an object")),
        }
    }
}
