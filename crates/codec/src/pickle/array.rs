//! Arrays in exact pickles, as numpy itself pickles them.

use super::calls::{Calls, Class, Named};
use super::opcode::*;
use crate::document::View;
use crate::ndarray::{self, Dtype};

/// Appends the array at an index, as numpy pickles it, up to the bytes of its data, which are
/// returned; [`AFTER_DATA`] follows them.
pub(super) fn write_array<'a>(
    view: View<'a>,
    at: usize,
    named: &mut Named,
    out: &mut Vec<u8>,
) -> Option<&'a [u8]> {
    let array = ndarray::Parts::of(view, at)?;
    let dtype = Dtype::parse(array.dtype)?;
    let calls = &mut Calls::new(out, named);
    calls.class(Class::Reconstruct);
    calls.class(Class::Ndarray);
    calls.int(0);
    calls.tuple(1);
    calls.bytes(b"b");
    calls.call(3);
    calls.mark();
    calls.int(1);
    calls.mark();
    array.dimensions().for_each(|dimension| calls.int(dimension));
    calls.tuple_of_marked();
    write_dtype(dtype, calls);
    // It is in C order.
    calls.bool(false);
    Some(array.data)
}

/// What follows the data of an array.
pub(super) const AFTER_DATA: [u8; 2] = [TUPLE, BUILD];

fn write_dtype(dtype: Dtype, calls: &mut Calls<'_>) {
    let mut code = Vec::new();
    dtype.put_code(&mut code);
    let is_time = matches!(dtype.kind, b'M' | b'm');
    calls.class(Class::Dtype);
    calls.str(&code);
    calls.bool(false);
    calls.bool(true);
    calls.call(3);
    calls.mark();
    // The version of what follows: times have their units at its end.
    calls.int(if is_time { 4 } else { 3 });
    calls.str(&[dtype.order()]);
    for _ in 0..3 {
        calls.none();
    }
    // Size, alignment and flags follow from the code, but of text.
    let (size, alignment) = match dtype.kind {
        b'U' => (dtype.length() as i64, 4),
        b'S' => (dtype.length() as i64, 1),
        _ => (-1, -1),
    };
    calls.int(size);
    calls.int(alignment);
    calls.int(if matches!(dtype.kind, b'U') { 8 } else { 0 });
    if is_time {
        let (unit, count) = dtype.unit.unwrap_or(("generic", 1));
        calls.empty_dict();
        calls.mark();
        calls.bytes(unit.as_bytes());
        calls.int(count);
        calls.int(1);
        calls.int(1);
        calls.tuple_of_marked();
        calls.tuple(2);
    }
    calls.tuple_of_marked();
    calls.build();
}
