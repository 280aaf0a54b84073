//! Arrays of numpy's: a dtype, a shape, and items side by side.
//!
//! A document has an array twice: as what it is, for those who want types, and as the nested lists
//! that `tolist()` gives, for all others.

mod dtype;
mod item;

use crate::budget::Budget;
use crate::document::{Document, View};
use crate::node::{NamedType, Node, Size, Text};
use crate::protocol::{NODE_SIZE, Refusal};

pub(crate) use dtype::Dtype;

/// As many dimensions numpy's arrays have at most; before numpy 2 it was half as many.
pub(crate) const MAX_DIMENSIONS: usize = 64;

/// Why a dtype, a shape and some bytes are no array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnArray {
    #[error(
        "dtype {0:?}; it takes what numpy's dtype.str gives for bool, int, uint, float, complex, \
         str, bytes, datetime64 and timedelta64, as \"<f8\""
    )]
    Dtype(String),
    #[error("a shape of more than {MAX_DIMENSIONS} dimensions")]
    Dimensions,
    #[error("{found} bytes of data, and its dtype and shape take {wanted}")]
    Length { found: usize, wanted: u128 },
    #[error("half of a surrogate pair, which is no character")]
    HalfCharacter,
    #[error("{0}")]
    Refused(Refusal),
}

impl NotAnArray {
    /// There is no such dtype, or its items are nothing in Python.
    pub(crate) fn no_dtype(text: &[u8]) -> NotAnArray {
        NotAnArray::Dtype(String::from_utf8_lossy(text).chars().take(60).collect())
    }
}

impl From<Refusal> for NotAnArray {
    fn from(refusal: Refusal) -> NotAnArray {
        NotAnArray::Refused(refusal)
    }
}

/// The parts of an array in a document.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) dtype: &'a [u8],
    /// One integer for each dimension.
    pub(crate) shape: &'a [Node],
    /// The items in C order.
    pub(crate) data: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Those of the array whose node is at an index.
    pub(crate) fn of(view: View<'a>, at: usize) -> Option<Parts<'a>> {
        let nodes = view.nodes();
        let (Node::Str(dtype), Node::Tuple(size)) = (*nodes.get(at + 1)?, *nodes.get(at + 2)?)
        else {
            return None;
        };
        let end = at + 3 + size.items as usize;
        let Node::Bytes(data) = *nodes.get(end)? else { return None };
        let shape = nodes.get(at + 3..end)?;
        Some(Parts { dtype: view.text(dtype), shape, data: view.text(data) })
    }

    /// Its dimensions.
    pub(crate) fn dimensions(self) -> impl Iterator<Item = i64> {
        self.shape.iter().map(|node| match node {
            Node::Int(dimension) => *dimension,
            _ => 0,
        })
    }
}

/// Appends an array whose items lie in C order, and returns how deep its lists nest. Its nodes and
/// texts are paid for, but for the data.
pub(crate) fn push(
    document: &mut Document,
    source: &[u8],
    dtype: Dtype,
    shape: &[u64],
    data: Text,
    budget: &mut Budget,
) -> Result<usize, NotAnArray> {
    check(dtype, shape, data.len())?;
    let lists = lists(shape);
    // From the innermost lists outwards: the nodes in a list.
    let mut below = vec![0u64; lists.len()];
    let mut inner = 0u128;
    for (below, &by) in below.iter_mut().zip(lists).rev() {
        inner = u128::from(by).saturating_mul(inner + 1).min(u128::from(u32::MAX));
        *below = inner as u64;
    }
    let head = 4 + shape.len();
    // A document has fewer nodes than that.
    let inner = if inner == u128::from(u32::MAX) { usize::MAX } else { inner as usize };
    let nodes = inner.saturating_add(head + 1);
    budget.bytes(nodes.saturating_mul(NODE_SIZE))?;

    let data = with_canonical_bools(document, source, dtype, data, budget)?;
    document.note_array();
    let at = document.push(Node::None);
    let code = document.append_text(|own| dtype.put(own));
    budget.bytes(code.len())?;
    document.push(Node::Str(code));
    let dimensions = shape.len() as u32;
    document.push(Node::Tuple(Size::new(dimensions, dimensions)));
    for &dimension in shape {
        document.push(Node::Int(dimension.try_into().unwrap_or(i64::MAX)));
    }
    document.push(Node::Bytes(data));
    document.nodes_mut().reserve(nodes - head);
    push_lists(document, source, (dtype, data), (lists, &below), budget)?;
    let size = Size::new(4, (document.len() - at - 1) as u32);
    document.nodes_mut()[at] = Node::Named(NamedType::Ndarray, size);
    Ok(lists.len())
}

/// Whether there can be an array of so many bytes.
pub(crate) fn check(dtype: Dtype, shape: &[u64], found: usize) -> Result<(), NotAnArray> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(NotAnArray::Dimensions);
    }
    // A dimension of 0 leaves nothing, whatever the others are.
    let count = match shape.contains(&0) {
        true => 0,
        false => shape.iter().fold(1u128, |all, &by| all.saturating_mul(by.into())),
    };
    let wanted = count.saturating_mul(dtype.length() as u128);
    if wanted == found as u128 { Ok(()) } else { Err(NotAnArray::Length { found, wanted }) }
}

/// The dimensions that are lists: all, up to one in which there are none.
pub(crate) fn lists(shape: &[u64]) -> &[u64] {
    &shape[..shape.iter().position(|&by| by == 0).map_or(shape.len(), |at| at + 1)]
}

/// The nested lists, of which the outermost is first.
fn push_lists(
    document: &mut Document,
    source: &[u8],
    (dtype, data): (Dtype, Text),
    (lists, below): (&[u64], &[u64]),
    budget: &mut Budget,
) -> Result<(), NotAnArray> {
    let Some((&row, outer)) = lists.split_last() else {
        return push_items(document, source, (dtype, data), 1, budget);
    };
    let rows: u64 = outer.iter().product();
    // How many rows there are in a list of each level.
    let mut rows_in = vec![1; lists.len()];
    for level in (0..outer.len()).rev() {
        rows_in[level] = rows_in[level + 1] * outer[level];
    }
    let length = row as usize * dtype.length();
    for number in 0..rows {
        for level in 0..lists.len() {
            if number % rows_in[level] == 0 {
                let size = Size::new(lists[level] as u32, below[level] as u32);
                document.push(Node::List(size));
            }
        }
        let start = number as usize * length;
        let items = data.part(start..start + length);
        push_items(document, source, (dtype, items), row as usize, budget)?;
    }
    Ok(())
}

/// So many items that lie side by side.
fn push_items(
    document: &mut Document,
    source: &[u8],
    (dtype, data): (Dtype, Text),
    count: usize,
    budget: &mut Budget,
) -> Result<(), NotAnArray> {
    macro_rules! numbers {
        ($node:ident, $type:ty, $from:ident) => {{
            let (bytes, nodes) = document.text_and_nodes(source, data);
            let (items, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
            nodes.extend(items.iter().map(|item| Node::$node(<$type>::$from(*item).into())));
            return Ok(());
        }};
    }
    match (dtype.kind, dtype.length(), dtype.is_big_endian) {
        (b'i', 1, _) => numbers!(Int, i8, from_le_bytes),
        (b'i', 2, false) => numbers!(Int, i16, from_le_bytes),
        (b'i', 4, false) => numbers!(Int, i32, from_le_bytes),
        (b'i', 8, false) => numbers!(Int, i64, from_le_bytes),
        (b'u', 1, _) => numbers!(Int, u8, from_le_bytes),
        (b'u', 2, false) => numbers!(Int, u16, from_le_bytes),
        (b'u', 4, false) => numbers!(Int, u32, from_le_bytes),
        (b'f', 4, false) => numbers!(Float, f32, from_le_bytes),
        (b'f', 8, false) => numbers!(Float, f64, from_le_bytes),
        (b'f', 8, true) => numbers!(Float, f64, from_be_bytes),
        _ => {}
    }
    let length = dtype.length();
    let mut text = Vec::new();
    for number in 0..count {
        text.clear();
        let item = data.part(number * length..(number + 1) * length);
        let item = dtype.item(document.text(source, item), &mut text);
        let item = item.ok_or(NotAnArray::HalfCharacter)?;
        budget.bytes(text.len())?;
        let node = item.into_node(&text, document);
        document.push(node);
    }
    Ok(())
}

/// The data of an array of bools with 0 and 1 alone: to numpy every other byte is true as well.
fn with_canonical_bools(
    document: &mut Document,
    source: &[u8],
    dtype: Dtype,
    data: Text,
    budget: &mut Budget,
) -> Result<Text, Refusal> {
    let bytes = document.text(source, data);
    if dtype.kind != b'b' || bytes.iter().all(|&byte| byte <= 1) {
        return Ok(data);
    }
    budget.bytes(2 * bytes.len())?;
    let bools: Vec<u8> = bytes.iter().map(|&byte| u8::from(byte != 0)).collect();
    Ok(document.append_text(|own| own.extend_from_slice(&bools)))
}

/// The items of an array in C order, of which each axis has a dimension and a stride in bytes.
pub(crate) fn in_c_order(data: &[u8], length: usize, axes: &[(u64, usize)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    // What has one dimension has no order; there may be many such axes for each item.
    let axes: Vec<(u64, usize)> = axes.iter().copied().filter(|&(by, _)| by != 1).collect();
    if length == 0 || axes.iter().any(|&(dimension, _)| dimension == 0) {
        return out;
    }
    let mut index = vec![0; axes.len()];
    let mut at = 0;
    loop {
        out.extend_from_slice(&data[at..at + length]);
        let mut axis = axes.len();
        // The last axis that has not come to its end goes on; those behind it begin anew.
        loop {
            let Some(before) = axis.checked_sub(1) else { return out };
            axis = before;
            let (dimension, stride) = axes[axis];
            index[axis] += 1;
            at += stride;
            if index[axis] < dimension {
                break;
            }
            at -= stride * dimension as usize;
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests;
