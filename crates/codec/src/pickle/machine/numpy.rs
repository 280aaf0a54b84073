//! numpy's scalars and arrays: a dtype, and the bytes of items.

use super::Machine;
use super::flatten::{no_value, too_deep};
use crate::Budget;
use crate::ndarray::{self, Dtype, NotAnArray};
use crate::node::{Node, Text};
use crate::pickle::scalars::{Fault, Making};
use crate::pickle::store::{Item, Kind};
use crate::protocol::{ErrorCode, Refusal};

impl Machine<'_> {
    /// `numpy.dtype(code, False, True)`: its state comes later.
    pub(super) fn dtype(&mut self, code: Item) -> Result<Option<Item>, Refusal> {
        let Item::Leaf(Node::Str(text)) = code else { return Ok(None) };
        if Dtype::named(self.document.text(self.reader.source(), text), false).is_none() {
            return Ok(None);
        }
        self.scratch.store.create(Kind::Dtype, &[code], &mut self.work).map(Some)
    }

    /// `(3, order, None, None, None, size, alignment, flags)`, and with a 4 in front, for times,
    /// behind it `(metadata, (unit, count, 1, 1))`.
    pub(super) fn build_dtype(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        let store = &self.scratch.store;
        let Some((_, &[code])) = store.only_run(object) else { return Ok(None) };
        if store.kind(state) != Some(Kind::Tuple) {
            return Ok(None);
        }
        let (Item::Leaf(Node::Str(code)), Some((_, leaves))) = (code, store.only_run(state)) else {
            return Ok(None);
        };
        let mut leaves = leaves.to_vec();
        if let [.., times] = leaves[..]
            && let Some((_, &[metadata, unit])) = store.only_run(times)
            && let Some((_, unit)) = store.only_run(unit)
        {
            let is_empty =
                store.kind(metadata) == Some(Kind::Dict) && store.items(metadata).next().is_none();
            leaves.pop();
            leaves.push(if is_empty { Item::Leaf(Node::None) } else { metadata });
            leaves.extend_from_slice(unit);
        }
        let Some(dtype) = self.making().dtype(code, &leaves) else { return Ok(None) };
        let mut known = vec![Item::Leaf(Node::Bool(dtype.is_big_endian))];
        known.extend(leaves.get(9..11).unwrap_or_default());
        let Item::Container(id) = object else { return Ok(None) };
        self.scratch.store.extend(id, &known, &mut self.work)?;
        Ok(Some(()))
    }

    /// What a dtype says, once its state is known.
    fn dtype_of(&self, dtype: Item) -> Option<Dtype> {
        let store = &self.scratch.store;
        if store.kind(dtype) != Some(Kind::Dtype) {
            return None;
        }
        let mut known = store.items(dtype);
        let source = self.reader.source();
        let (Some(Item::Leaf(Node::Str(code))), Some(Item::Leaf(Node::Bool(is_big_endian)))) =
            (known.next(), known.next())
        else {
            return None;
        };
        let dtype = Dtype::named(self.document.text(source, code), is_big_endian)?;
        match (known.next(), known.next()) {
            (None, _) => Some(dtype),
            (Some(Item::Leaf(Node::Bytes(unit))), Some(Item::Leaf(Node::Int(count)))) => {
                dtype.in_units(self.document.text(source, unit), count)
            }
            _ => None,
        }
    }

    /// `numpy.core.multiarray.scalar(dtype, bytes)`.
    pub(super) fn numpy_scalar(
        &mut self,
        dtype: Item,
        bytes: Text,
    ) -> Result<Option<Item>, Refusal> {
        let Some(dtype) = self.dtype_of(dtype) else { return Ok(None) };
        self.making().numpy_item(dtype, bytes).map_err(|fault| self.no_value(fault))
    }

    /// `_reconstruct(numpy.ndarray, (0,), b'b')`: its state comes later.
    pub(super) fn empty_array(&mut self, shape: Item, code: Text) -> Result<Option<Item>, Refusal> {
        let is_usual = self.dimensions(shape).is_some_and(|shape| shape == [0])
            && self.document.text(self.reader.source(), code) == b"b";
        if !is_usual {
            return Ok(None);
        }
        self.create(Kind::Ndarray).map(Some)
    }

    /// `(1, shape, dtype, is_fortran, data)`
    pub(super) fn build_array(&mut self, object: Item, state: Item) -> Result<Option<()>, Refusal> {
        let store = &self.scratch.store;
        if store.kind(state) != Some(Kind::Tuple) || store.items(object).next().is_some() {
            return Ok(None);
        }
        let (shape, dtype, is_fortran, data) = match store.only_run(state) {
            Some((
                _,
                &[
                    Item::Leaf(Node::Int(1)),
                    shape,
                    dtype,
                    Item::Leaf(Node::Bool(is_fortran)),
                    Item::Leaf(Node::Bytes(data)),
                ],
            )) => (shape, dtype, is_fortran, data),
            _ => return Ok(None),
        };
        let order = if is_fortran { Order::Fortran } else { Order::C };
        let Some(items) = self.array_items(dtype, shape, order, data)? else { return Ok(None) };
        let Item::Container(id) = object else { return Ok(None) };
        self.scratch.store.extend(id, &items, &mut self.work)?;
        Ok(Some(()))
    }

    /// `_frombuffer(data, dtype, shape, 'C' | 'F')`, or with `'K'` the shape of the memory and the
    /// axis of it that each axis of the array is.
    pub(super) fn array_of_buffer(&mut self, args: &[Item]) -> Result<Option<Item>, Refusal> {
        let (data, dtype, shape, order, axes) = match *args {
            [data, dtype, shape, Item::Leaf(Node::Str(order))] => (data, dtype, shape, order, None),
            [data, dtype, shape, Item::Leaf(Node::Str(order)), axes] => {
                (data, dtype, shape, order, Some(axes))
            }
            _ => return Ok(None),
        };
        let (Item::Leaf(Node::Bytes(data)) | Item::ByteArray(data)) = data else { return Ok(None) };
        let axes = axes.map(|axes| self.dimensions(axes));
        let order = match (self.document.text(self.reader.source(), order), axes) {
            (b"C", None) => Order::C,
            (b"F", None) => Order::Fortran,
            (b"K", Some(Some(axes))) => Order::Axes(axes),
            _ => return Ok(None),
        };
        let Some(items) = self.array_items(dtype, shape, order, data)? else { return Ok(None) };
        self.scratch.store.create(Kind::Ndarray, &items, &mut self.work).map(Some)
    }

    /// What the store has of an array.
    fn array_items(
        &mut self,
        dtype: Item,
        shape: Item,
        order: Order,
        data: Text,
    ) -> Result<Option<Vec<Item>>, Refusal> {
        let (Some(known), Some(memory)) = (self.dtype_of(dtype), self.dimensions(shape)) else {
            return Ok(None);
        };
        ndarray::check(known, &memory, data.len()).map_err(|fault| self.no_array(fault))?;
        let Some(axes) = order.axes(&memory, known.length()) else { return Ok(None) };
        let shape: Vec<u64> = axes.iter().map(|&(dimension, _)| dimension).collect();
        let data = match order {
            Order::C => data,
            _ if shape.len() < 2 => data,
            _ => {
                self.work.bytes(2 * data.len() + shape.len() * size_of::<u64>())?;
                let bytes = self.document.text(self.reader.source(), data);
                let ordered = ndarray::in_c_order(bytes, known.length(), &axes);
                self.document.append_text(|own| own.extend_from_slice(&ordered))
            }
        };
        let mut items = vec![dtype, Item::Leaf(Node::Bytes(data))];
        let dimension =
            |&dimension: &u64| Item::Leaf(Node::Int(i64::try_from(dimension).unwrap_or(i64::MAX)));
        items.extend(shape.iter().map(dimension));
        Ok(Some(items))
    }

    /// The integers of a tuple, none of them negative.
    fn dimensions(&self, shape: Item) -> Option<Vec<u64>> {
        let store = &self.scratch.store;
        if store.kind(shape) != Some(Kind::Tuple) {
            return None;
        }
        let (_, dimensions) = store.only_run(shape)?;
        // One of more is refused by whoever looks at it.
        dimensions.iter().take(ndarray::MAX_DIMENSIONS + 1).map(dimension_of).collect()
    }

    /// Writes an array into the document, and returns how deep its lists nest.
    pub(super) fn flatten_array(
        &mut self,
        id: u32,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<usize, Refusal> {
        let (dtype, data, dimensions) = match self.scratch.store.only_run(Item::Container(id)) {
            Some((_, &[dtype, Item::Leaf(Node::Bytes(data)), ref dimensions @ ..])) => {
                (dtype, data, dimensions)
            }
            _ => return Err(no_value("numpy.ndarray without its state")),
        };
        let shape: Option<Vec<u64>> = dimensions.iter().map(dimension_of).collect();
        let (Some(dtype), Some(shape)) = (self.dtype_of(dtype), shape) else {
            return Err(no_value("numpy.ndarray"));
        };
        if ndarray::lists(&shape).len() > depth {
            return Err(too_deep());
        }
        budget.bytes(data.len())?;
        let source = self.reader.source();
        ndarray::push(self.document, source, dtype, &shape, data, budget)
            .map_err(|fault| self.no_array(fault))
    }

    #[cold]
    fn no_array(&self, fault: NotAnArray) -> Refusal {
        match fault {
            NotAnArray::Refused(refusal) => refusal,
            fault => {
                let what = format_args!("it makes no numpy.ndarray: {fault}");
                self.reader.refuse(ErrorCode::InvalidPickle, what)
            }
        }
    }
}

impl Making<'_> {
    /// Whether a dtype of this code has items that are something in Python.
    pub(in crate::pickle) fn has_items(&self, code: Text) -> bool {
        Dtype::named(self.document.text(self.source, code), false).is_some()
    }

    /// The dtype of this code and the state that follows it, tuples within tuples as what they
    /// hold: `(3, order, None, None, None, size, alignment, flags)`, and with a 4 in front, for
    /// times, behind it `None, unit, count, 1, 1`.
    pub(in crate::pickle) fn dtype(&self, code: Text, state: &[Item]) -> Option<Dtype> {
        let text = |text| self.document.text(self.source, text);
        let code = text(code);
        let is_time = matches!(code, [b'M' | b'm', ..]);
        let (order, unit) = match *state {
            [Item::Leaf(Node::Int(3)), order, a, b, c, _, _, _]
                if !is_time && [a, b, c].into_iter().all(is_none) =>
            {
                (order, None)
            }
            [
                Item::Leaf(Node::Int(4)),
                order,
                a,
                b,
                c,
                _,
                _,
                _,
                metadata,
                Item::Leaf(Node::Bytes(name)),
                Item::Leaf(Node::Int(count)),
                Item::Leaf(Node::Int(1)),
                Item::Leaf(Node::Int(1)),
            ] if is_time && [a, b, c, metadata].into_iter().all(is_none) => {
                (order, Some((name, count)))
            }
            _ => return None,
        };
        let Item::Leaf(Node::Str(order)) = order else { return None };
        let is_big_endian = match text(order) {
            b"<" | b"|" => false,
            b">" => true,
            _ => return None,
        };
        let dtype = Dtype::named(code, is_big_endian)?;
        match unit {
            None => Some(dtype),
            Some((name, count)) => dtype.in_units(text(name), count),
        }
    }

    /// What `numpy.core.multiarray.scalar` makes of a dtype and the bytes of an item.
    pub(in crate::pickle) fn numpy_item(
        &mut self,
        dtype: Dtype,
        bytes: Text,
    ) -> Result<Option<Item>, Fault> {
        // It is looked at, however short the value is that it becomes.
        self.work.bytes(2 * bytes.len())?;
        let bytes = &*self.document.text_of_source(self.source, bytes);
        if bytes.len() != dtype.length() {
            return Ok(None);
        }
        let mut text = Vec::new();
        let item = dtype.item(bytes, &mut text).ok_or(Fault::Surrogate)?;
        self.work.bytes(text.len())?;
        Ok(Some(Item::Leaf(item.into_node(&text, self.document))))
    }
}

/// The order in which the items of an array lie.
enum Order {
    C,
    Fortran,
    /// For each axis of the array, the axis of the memory that it is.
    Axes(Vec<u64>),
}

impl Order {
    /// For each axis its dimension and its stride in bytes; `None` where these axes are no
    /// permutation.
    fn axes(&self, memory: &[u64], length: usize) -> Option<Vec<(u64, usize)>> {
        let mut axes = vec![(0, 0); memory.len()];
        let mut stride = length;
        let mut give = |axis: usize| {
            axes[axis] = (memory[axis], stride);
            // Where it is 0, nothing is looked at.
            stride = stride.saturating_mul(usize::try_from(memory[axis]).unwrap_or(usize::MAX));
        };
        match self {
            Order::Fortran => (0..memory.len()).for_each(&mut give),
            _ => (0..memory.len()).rev().for_each(&mut give),
        }
        let Order::Axes(order) = self else { return Some(axes) };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let is_permutation =
            sorted.len() == axes.len() && sorted.iter().zip(0..).all(|(&axis, at)| axis == at);
        is_permutation.then(|| order.iter().map(|&axis| axes[axis as usize]).collect())
    }
}

fn dimension_of(item: &Item) -> Option<u64> {
    match item {
        Item::Leaf(Node::Int(dimension)) => u64::try_from(*dimension).ok(),
        _ => None,
    }
}

fn is_none(item: Item) -> bool {
    matches!(item, Item::Leaf(Node::None))
}
