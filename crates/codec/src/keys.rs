//! Dict keys and set elements: hashable as in Python, and no two equal.
//!
//! Equal means what `==` means in Python: `1`, `1.0` and `True` are one key. As in Python, the
//! first of equal keys stays where it stood and the last of their values wins; `nan` equals
//! nothing, not even itself.

mod set;

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem;
use std::ops::Range;

use num_bigint::BigInt;

use super::budget::Budget;
use super::document::{Document, View};
use super::node::{Node, Size};
use super::scalar_type::{Key, LONG_INTEGER, spell_long};
use crate::protocol::ScalarType;
use crate::protocol::{ErrorCode, NODE_SIZE, Refusal};

pub(super) use set::{KeySet, OpenKeys};

/// Bytes of memory that a thread keeps at most from one container to the next.
const KEPT_BYTES: usize = 64 << 10;

/// Memory for settling many keys, used again for the next container. Sets within sets within sets
/// are settled once for each level, and threads that allocate all the time wait for each other's
/// locks in the allocator.
#[derive(Default)]
struct Scratch {
    seen: Seen,
    spelling: Spelling,
}

thread_local! {
    /// This thread's. Empty while a container is settled, and after the thread's destructors.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Gives back the memory that this thread keeps.
pub(super) fn release_scratch() {
    let _ = SCRATCH.try_with(Cell::take);
    KeySet::release();
}

/// Completes the dict, set or frozenset at index `at`, whose children are all the nodes after it:
/// refuses unhashable keys, removes duplicates and writes the container's size.
///
/// # Errors
/// [`ErrorCode::Unhashable`] for a list, set or dict as a key; [`ErrorCode::TooLarge`] when
/// comparing the keys costs more than the budget has left.
pub(super) fn settle(
    document: &mut Document,
    source: &[u8],
    at: usize,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    let mut keys = KeySet::take();
    let settled = settle_with(&mut keys, document, source, at, budget);
    keys.keep();
    settled
}

/// The same with a set that is empty, or holds keys of what is around the dict.
#[inline]
pub(super) fn settle_with(
    keys: &mut KeySet,
    document: &mut Document,
    source: &[u8],
    at: usize,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    let is_dict = matches!(document.nodes()[at], Node::Dict(_));
    let distinct = distinct_strings(keys, document, source, at, is_dict);
    let items = match distinct {
        Some(items) => items,
        None => {
            let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
            let items = settle_any(document, source, at, is_dict, budget, &mut scratch);
            if scratch.weight() <= KEPT_BYTES {
                let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
            }
            items?
        }
    };
    let nodes = (document.len() - at - 1) as u32;
    let size = Size { items: items as u32, nodes, has_string_keys: is_dict && distinct.is_some() };
    match &mut document.nodes_mut()[at] {
        Node::Dict(of) | Node::Set(of) | Node::FrozenSet(of) => *of = size,
        other => debug_assert!(false, "{other:?} has no keys"),
    }
    Ok(())
}

/// The usual case: strings, all different. Returns how many, or `None` where it is not so simple.
#[inline]
fn distinct_strings(
    keys: &mut KeySet,
    document: &Document,
    source: &[u8],
    at: usize,
    is_dict: bool,
) -> Option<usize> {
    let mut distinct = keys.begin();
    let nodes = &document.nodes()[at + 1..];
    let (mut index, mut count) = (0, 0);
    let is_distinct = loop {
        let Some(node) = nodes.get(index) else { break true };
        let Node::Str(text) = node else { break false };
        if !keys.add(&mut distinct, document.text(source, *text)) {
            break false;
        }
        count += 1;
        index += 1;
        if is_dict {
            index += nodes.get(index).map_or(1, |value| value.nodes());
        }
    };
    keys.end(distinct);
    is_distinct.then_some(count)
}

/// Everything else: keys become bytes that are equal when the keys are. Returns how many remain.
fn settle_any(
    document: &mut Document,
    source: &[u8],
    at: usize,
    is_dict: bool,
    budget: &mut Budget,
    scratch: &mut Scratch,
) -> Result<usize, Refusal> {
    let nodes = document.nodes();
    let Scratch { seen, spelling } = scratch;
    seen.begin(nodes, at, is_dict);
    let mut duplicates = false;
    let mut key = at + 1;
    while key < nodes.len() {
        let value = key + nodes[key].nodes();
        let end = if is_dict { value + nodes[value].nodes() } else { value };
        let start = seen.spelled.len();
        let is_equal_to_itself =
            spelling.canonical(document.view(source, key), &mut seen.spelled)?;
        if nodes[key].is_container() {
            // Sets of sets of sets are compared once for each level.
            budget.bytes(seen.spelled.len() - start)?;
        }
        budget.bytes(mem::take(&mut spelling.exact_numbers) * EXACT_NUMBER)?;
        if !is_equal_to_itself {
            seen.spelled.truncate(start);
            seen.kept.push(Kept { key: key as u32, value: value as u32, spelled: start });
        } else if let Some(first) = seen.add(key, value, start) {
            seen.kept[first].value = value as u32;
            duplicates = true;
        }
        key = end;
    }
    let kept = &seen.kept;
    if duplicates {
        let range = |start: u32| start as usize..start as usize + nodes[start as usize].nodes();
        let value = |entry: &Kept| if is_dict { range(entry.value) } else { 0..0 };
        // The deepest nodes can be moved once for each level around them, so moving is paid for.
        let moved: usize =
            kept.iter().map(|entry| range(entry.key).len() + value(entry).len()).sum();
        budget.bytes(moved * NODE_SIZE)?;
        let mut settled = Vec::with_capacity(moved);
        for entry in kept {
            settled.extend_from_slice(&nodes[range(entry.key)]);
            settled.extend_from_slice(&nodes[value(entry)]);
        }
        document.nodes_mut().truncate(at + 1);
        document.nodes_mut().extend_from_slice(&settled);
    }
    Ok(kept.len())
}

/// An entry: where its key lies, where its value does, and where the spelling of its key begins.
#[derive(Clone, Copy)]
struct Kept {
    key: u32,
    value: u32,
    spelled: usize,
}

/// Entries whose keys differ. For each it takes about 40 bytes of memory and no allocation: an
/// element of a set is no longer than 3 bytes in a pickle, and there can be a million.
#[derive(Default)]
struct Seen {
    kept: Vec<Kept>,
    /// The keys' spellings, one after the other; that of a key that equals nothing is empty.
    spelled: Vec<u8>,
    /// Indexes of `kept` and one more, each at the place that the hash of its spelling says, or at
    /// the next that is free.
    places: Vec<u32>,
    hasher: RandomState,
}

impl Seen {
    /// Begins anew, with those that the container at `at` has.
    fn begin(&mut self, nodes: &[Node], at: usize, is_dict: bool) {
        let (mut count, mut index) = (0, at + 1);
        while index < nodes.len() {
            count += 1;
            index += nodes[index].nodes();
            if is_dict {
                index += nodes[index].nodes();
            }
        }
        self.kept.clear();
        self.kept.reserve(count);
        self.spelled.clear();
        self.spelled.reserve(9 * count);
        self.places.clear();
        self.places.resize((2 * count).next_power_of_two(), 0);
    }

    /// Adds an entry whose key is spelled from `start` on. Returns the index of the one that has
    /// the same key, if there is one.
    fn add(&mut self, key: usize, value: usize, start: usize) -> Option<usize> {
        let new = &self.spelled[start..];
        let mask = self.places.len() - 1;
        let mut place = self.hasher.hash_one(new) as usize & mask;
        while let Some(index) = self.places[place].checked_sub(1) {
            let index = index as usize;
            let from = self.kept[index].spelled;
            let to = self.kept.get(index + 1).map_or(start, |next| next.spelled);
            if self.spelled[from..to] == *new {
                self.spelled.truncate(start);
                return Some(index);
            }
            place = (place + 1) & mask;
        }
        self.kept.push(Kept { key: key as u32, value: value as u32, spelled: start });
        self.places[place] = self.kept.len() as u32;
        None
    }
}

/// Bytes of a budget that it costs to compare a Decimal or a Fraction with numbers of other types.
const EXACT_NUMBER: usize = 512;

/// Memory for spelling keys.
#[derive(Default)]
struct Spelling {
    /// Decimals and Fractions that were spelled and are not paid for yet.
    exact_numbers: usize,
    /// The tuples and frozensets that are being written.
    open: Vec<Open>,
    /// Where each element of the open sets begins in the output, those of the innermost last: they
    /// are sorted when it is complete.
    elements: Vec<usize>,
    /// For sorting.
    order: Vec<Range<usize>>,
    unsorted: Vec<u8>,
}

/// A tuple or frozenset that is being written.
struct Open {
    is_set: bool,
    missing: u32,
    /// How many elements of sets around it there are.
    before: usize,
}

impl Spelling {
    /// Appends bytes that two keys share exactly when Python finds them equal. False for a key that
    /// contains a `nan` and so equals nothing.
    fn canonical(&mut self, view: View<'_>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        self.open.clear();
        self.elements.clear();
        for &node in view.nodes() {
            if let Some(parent) = self.open.last_mut() {
                parent.missing -= 1;
                if parent.is_set {
                    self.elements.push(out.len());
                }
            }
            match node {
                Node::None => out.push(b'N'),
                Node::Bool(truth) => number(f64::from(u8::from(truth)), out),
                Node::Int(small) => int(small, out),
                Node::BigInt(digits) => big(view.text(digits), out),
                Node::Float(double) if double.is_nan() => return Ok(false),
                Node::Float(double) => number(double, out),
                Node::Str(text) => string(b'S', view.text(text), out),
                Node::Bytes(text) => string(b'B', view.text(text), out),
                Node::Typed(of, text) => {
                    self.exact_numbers +=
                        usize::from(matches!(of, ScalarType::Decimal | ScalarType::Fraction));
                    if !typed(of, view.text(text), out)? {
                        return Ok(false);
                    }
                }
                Node::Tuple(Size { items, .. }) => {
                    out.push(b'T');
                    out.extend_from_slice(&items.to_be_bytes());
                    self.open.push(Open {
                        is_set: false,
                        missing: items,
                        before: self.elements.len(),
                    });
                }
                Node::FrozenSet(Size { items, .. }) => {
                    out.push(b'F');
                    out.extend_from_slice(&items.to_be_bytes());
                    self.open.push(Open {
                        is_set: true,
                        missing: items,
                        before: self.elements.len(),
                    });
                }
                Node::List(_) | Node::Set(_) | Node::Dict(_) | Node::Named(..) => {
                    return Err(Refusal::new(
                        ErrorCode::Unhashable,
                        format!(
                            "a {} cannot be a dict key or a set element: it is not hashable; use a \
                             tuple or frozenset",
                            node.type_name()
                        ),
                    ));
                }
            }
            while let Some(Open { before, .. }) =
                self.open.pop_if(|innermost| innermost.missing == 0)
            {
                self.sort_elements(before, out);
            }
        }
        Ok(true)
    }

    /// Sorts the elements that begin at those of `elements` from `before` on and reach to the end
    /// of `out`.
    fn sort_elements(&mut self, before: usize, out: &mut Vec<u8>) {
        let Spelling { elements, order, unsorted, .. } = self;
        if let [first, _, ..] = elements[before..] {
            unsorted.clear();
            unsorted.extend_from_slice(&out[first..]);
            let starts = elements[before..].iter().map(|start| start - first);
            let ends = starts.clone().skip(1).chain([unsorted.len()]);
            order.clear();
            order.extend(starts.zip(ends).map(|(start, end)| start..end));
            order
                .sort_unstable_by(|one, other| unsorted[one.clone()].cmp(&unsorted[other.clone()]));
            out.truncate(first);
            order.iter().for_each(|element| out.extend_from_slice(&unsorted[element.clone()]));
        }
        elements.truncate(before);
    }
}

impl Scratch {
    /// Bytes of memory that it takes.
    fn weight(&self) -> usize {
        let Scratch { seen, spelling } = self;
        seen.kept.capacity() * size_of::<Kept>()
            + seen.spelled.capacity()
            + seen.places.capacity() * size_of::<u32>()
            + spelling.open.capacity() * size_of::<Open>()
            + spelling.elements.capacity() * size_of::<usize>()
            + spelling.order.capacity() * size_of::<Range<usize>>()
            + spelling.unsorted.capacity()
    }
}

fn string(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// A scalar of the standard library, of which some are equal to numbers. False where it equals
/// nothing.
fn typed(of: ScalarType, text: &[u8], out: &mut Vec<u8>) -> Result<bool, Refusal> {
    let start = out.len();
    // Behind its length, as texts are: what follows is another element.
    match of.key(text, out) {
        Key::Double(double) => number(double, out),
        Key::Integer => {
            let digits = out.split_off(start);
            match str::from_utf8(&digits).ok().and_then(|text| text.parse::<i64>().ok()) {
                Some(small) => int(small, out),
                None => big(&digits, out),
            }
        }
        Key::Spelled => {
            let spelled = out.split_off(start);
            string(b'X', &spelled, out);
        }
        Key::Nothing => return Ok(false),
        Key::Unhashable => {
            return Err(Refusal::new(
                ErrorCode::Unhashable,
                format!(
                    "the {} {} cannot be a dict key or a set element: Python has no hash of it",
                    of.name(),
                    String::from_utf8_lossy(text)
                ),
            ));
        }
    }
    Ok(true)
}

/// An integer of 64 bits.
fn int(small: i64, out: &mut Vec<u8>) {
    let double = small as f64;
    if double as i128 == i128::from(small) {
        number(double, out);
    } else {
        out.push(b'I');
        out.extend_from_slice(&small.to_be_bytes());
    }
}

/// A number that a double holds exactly.
fn number(double: f64, out: &mut Vec<u8>) {
    let double = if double == 0.0 { 0.0 } else { double };
    out.push(b'D');
    out.extend_from_slice(&double.to_bits().to_be_bytes());
}

/// An integer beyond 64 bits, which a double may still hold exactly.
fn big(digits: &[u8], out: &mut Vec<u8>) {
    const DIGITS_OF_LARGEST_DOUBLE: usize = 309;
    if digits.len() <= DIGITS_OF_LARGEST_DOUBLE + 1
        && let Ok(text) = str::from_utf8(digits)
        && let Ok(double) = text.parse::<f64>()
        && double.is_finite()
        && integer_of(double).to_string() == text
    {
        number(double, out);
    } else if digits.len() > LONG_INTEGER {
        let (is_negative, digits) = match digits {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        let mut spelled = Vec::with_capacity(digits.len() + 8);
        let digits = &digits[..digits.len() - zeros];
        spell_long(is_negative, digits, zeros as i64, &mut spelled);
        string(b'X', &spelled, out);
    } else {
        string(b'L', digits, out);
    }
}

/// The integer that a double without a fraction holds; doubles beyond 64 bits have none.
fn integer_of(double: f64) -> BigInt {
    let bits = double.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1075;
    let mantissa = BigInt::from((bits & ((1 << 52) - 1)) | (1 << 52));
    let magnitude = if exponent >= 0 { mantissa << exponent } else { mantissa >> -exponent };
    if double < 0.0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;

    /// Builds a set of `elements`, settles it and says how many are left.
    fn distinct(build: impl FnOnce(&mut Document)) -> Result<usize, ErrorCode> {
        let mut document = Document::new();
        let at = document.push(Node::Set(Size::default()));
        build(&mut document);
        settle(&mut document, SOURCE, at, &mut Budget::of(usize::MAX))
            .map_err(|refusal| refusal.code)?;
        let Node::Set(size) = document.nodes()[at] else { unreachable!() };
        assert_eq!(size.nodes as usize, document.len() - 1);
        Ok(size.items as usize)
    }

    const SOURCE: &[u8] = b"abab18446744073709551616";

    fn all(nodes: &[Node]) -> Result<usize, ErrorCode> {
        distinct(|document| {
            for &node in nodes {
                document.push(node);
            }
        })
    }

    fn text(range: Range<usize>) -> Text {
        Text::in_source(range)
    }

    #[test]
    fn equal_as_in_python() {
        let one_element = Size::new(1, 1);
        let two_elements = Size::new(2, 2);
        let zero = Node::Float(-0.0);
        let two_to_64 = Node::BigInt(text(4..24));
        assert_eq!(all(&[Node::Int(1), Node::Float(1.0), Node::Bool(true)]), Ok(1));
        assert_eq!(all(&[Node::Int(0), zero, Node::Bool(false), Node::None]), Ok(2));
        assert_eq!(all(&[Node::Float(f64::NAN), Node::Float(f64::NAN)]), Ok(2));
        assert_eq!(
            all(&[Node::Str(text(0..2)), Node::Str(text(2..4)), Node::Bytes(text(0..2))]),
            Ok(2)
        );
        assert_eq!(all(&[two_to_64, Node::Float(18_446_744_073_709_551_616.0)]), Ok(1));
        assert_eq!(all(&[Node::Int(i64::MAX), Node::Float(i64::MAX as f64)]), Ok(2));
        assert_eq!(
            all(&[Node::Int(1 << 53), Node::Float((1u64 << 53) as f64), Node::Int((1 << 53) + 1)]),
            Ok(2)
        );
        let tuple = Node::Tuple(one_element);
        assert_eq!(all(&[tuple, Node::Int(1), tuple, Node::Bool(true), Node::Int(1)]), Ok(2));
        let frozen = Node::FrozenSet(two_elements);
        let (a, b) = (Node::Int(1), Node::Str(text(0..1)));
        assert_eq!(all(&[frozen, a, b, frozen, b, a]), Ok(1));
        assert_eq!(all(&[Node::List(one_element), a]), Err(ErrorCode::Unhashable));
        assert_eq!(
            all(&[Node::Tuple(one_element), Node::Set(Size::default())]),
            Err(ErrorCode::Unhashable)
        );
    }

    /// A set's elements are sorted among those of sets around it, in memory that is used again.
    #[test]
    fn sets_within_sets_are_equal_in_any_order() {
        let set = |items, nodes| Node::FrozenSet(Size::new(items, nodes));
        let (one, two, three) = (Node::Int(1), Node::Int(2), Node::Int(3));
        // {1, {2, {3, 1}}, (2, {1})} in two orders.
        let nested = [
            set(3, 10),
            one,
            set(2, 4),
            two,
            set(2, 2),
            three,
            one,
            Node::Tuple(Size::new(2, 3)),
            two,
            set(1, 1),
            one,
        ];
        let nested = &nested[..];
        let again = [
            set(3, 10),
            Node::Tuple(Size::new(2, 3)),
            two,
            set(1, 1),
            one,
            set(2, 4),
            set(2, 2),
            one,
            three,
            two,
            one,
        ];
        for _ in 0..2 {
            assert_eq!(all(&[nested, &again[..]].concat()), Ok(1));
            // {1, {2, {3, 2}}, (2, {1})} is another.
            let mut other = again;
            other[8] = two;
            assert_eq!(all(&[nested, &other[..], nested].concat()), Ok(2));
        }
    }

    #[test]
    fn many_keys_are_settled_like_few() {
        let many: Vec<Node> = (0..100).map(|index| Node::Int(index % 40)).collect();
        assert_eq!(all(&many), Ok(40));
    }

    #[test]
    fn the_first_key_stays_and_the_last_value_wins() {
        let mut document = Document::new();
        let at = document.push(Node::Dict(Size::default()));
        for node in [
            Node::Int(1),
            Node::Int(10),
            Node::Int(2),
            Node::Int(20),
            Node::Float(1.0),
            Node::Int(30),
        ] {
            document.push(node);
        }
        settle(&mut document, b"", at, &mut Budget::of(usize::MAX)).unwrap();
        let expected =
            [Node::Dict(Size::new(2, 4)), Node::Int(1), Node::Int(30), Node::Int(2), Node::Int(20)];
        assert_eq!(document.nodes(), expected);
    }
}
