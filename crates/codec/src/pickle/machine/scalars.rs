//! Scalars whose state comes after them, and what is said of arguments that make no value.

use super::Machine;
use crate::node::Node;
use crate::pickle::globals::Global;
use crate::pickle::scalars::{Fault, Making};
use crate::pickle::store::{Item, Kind};
use crate::protocol::{ErrorCode, Refusal};
use crate::scalar_type::NotOfType;

impl Machine<'_> {
    /// What the machine gives to whoever makes a value.
    pub(super) fn making(&mut self) -> Making<'_> {
        Making { source: self.reader.source(), document: self.document, work: &mut self.work }
    }

    /// The value of a call with up to three arguments; `None` for what no pickler writes.
    pub(super) fn scalar(
        &mut self,
        global: Global,
        args: [Option<Item>; 3],
    ) -> Result<Option<Item>, Refusal> {
        self.making().scalar(global, args).map_err(|fault| self.no_value(fault))
    }

    #[cold]
    pub(super) fn no_value(&self, fault: Fault) -> Refusal {
        let (of, fault) = match fault {
            Fault::Refused(refusal) => return refusal,
            Fault::Surrogate => {
                return self.reader.refuse(
                    ErrorCode::InvalidValue,
                    "the numpy text holds half of a surrogate pair, which is no character",
                );
            }
            Fault::NotLatin1 => {
                return self.reader.malformed("the text of _codecs.encode does not fit latin1");
            }
            Fault::NotOfType(of, fault) => (of, fault),
        };
        let code = match fault {
            NotOfType::TooManyDigits => ErrorCode::TooManyDigits,
            _ => ErrorCode::InvalidPickle,
        };
        self.reader.refuse(code, format_args!("it makes no {}: {fault}", of.name()))
    }

    /// The object that NEWOBJ leaves for `class(*args)`: its state comes later.
    pub(super) fn instance(&mut self, class: Item, args: Item) -> Result<Option<Item>, Refusal> {
        match class {
            Item::Import(Global::Uuid) if self.is_empty_tuple(args) => {
                self.create(Kind::Uuid).map(Some)
            }
            Item::Class(_) => self.new_of_class(class, args).map(Some),
            _ => Ok(None),
        }
    }

    /// BUILD: the state of the object below it on the stack.
    pub(super) fn build(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        match self.scratch.store.kind(object) {
            Some(Kind::Uuid) => self.build_uuid(object, state),
            Some(Kind::Dtype) => self.build_dtype(object, state),
            Some(Kind::Ndarray) => self.build_array(object, state),
            Some(Kind::Object) => self.build_object(object, state),
            _ => Ok(None),
        }
    }

    /// `{'int': …}`, and perhaps `'is_safe'`, which is lost.
    fn build_uuid(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        /// Digits of 128 bits.
        const LONGEST: usize = 39;
        let store = &self.scratch.store;
        if store.kind(state) != Some(Kind::Dict) || store.items(object).next().is_some() {
            return Ok(None);
        }
        let entries: Vec<Item> = store.items(state).take(5).collect();
        let mut number = None;
        for entry in entries.chunks(2) {
            let &[Item::Leaf(Node::Str(key)), value] = entry else { return Ok(None) };
            match self.document.text(self.reader.source(), key) {
                b"int" => number = Some(value),
                b"is_safe" => {}
                _ => return Ok(None),
            }
        }
        let digits = number.and_then(|number| self.making().digits(number));
        let number = digits
            .filter(|digits| digits.len() <= LONGEST)
            .and_then(|digits| str::from_utf8(&digits).ok()?.parse().ok());
        let Some(number) = number else { return Ok(None) };
        let value = self.making().uuid(number)?;
        self.finish(object, value)
    }

    /// Completes an object with the value that it is.
    pub(super) fn finish(&mut self, object: Item, value: Item) -> Result<Option<()>, Refusal> {
        let Item::Container(id) = object else { return Ok(None) };
        self.scratch.store.extend(id, &[value], &mut self.work)?;
        Ok(Some(()))
    }
}
