//! Opcodes that are appended one by one: frames around payloads, and what small pickles are made
//! of.

use super::opcode::*;
use crate::swar::push;

/// The protocol that is written: the oldest one that spells sets without imports.
const PROTOCOL: u8 = 4;

/// Begins a pickle.
pub fn write_prologue(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PROTO, PROTOCOL]);
}

/// Ends a pickle.
pub fn write_stop(out: &mut Vec<u8>) {
    out.push(STOP);
}

/// Begins a dict: keys and values follow in turn, then [`close_dict`].
pub fn open_dict(out: &mut Vec<u8>) {
    out.extend_from_slice(&[EMPTY_DICT, MARK]);
}

/// Ends a dict.
pub fn close_dict(out: &mut Vec<u8>) {
    out.push(SETITEMS);
}

/// Begins a list: its elements follow, then [`close_list`].
pub fn open_list(out: &mut Vec<u8>) {
    out.extend_from_slice(&[EMPTY_LIST, MARK]);
}

/// Ends a list.
pub fn close_list(out: &mut Vec<u8>) {
    out.push(APPENDS);
}

/// Writes `None`.
pub fn write_none(out: &mut Vec<u8>) {
    out.push(NONE);
}

/// Writes a bool.
pub fn write_bool(truth: bool, out: &mut Vec<u8>) {
    out.push(if truth { NEWTRUE } else { NEWFALSE });
}

/// Writes a double.
pub fn write_float(number: f64, out: &mut Vec<u8>) {
    out.push(BINFLOAT);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Writes an integer of 64 bits.
#[inline]
pub fn write_int(number: i64, out: &mut Vec<u8>) {
    if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[BININT1, number]);
    } else if let Ok(number) = u16::try_from(number) {
        let [a, b] = number.to_le_bytes();
        out.extend_from_slice(&[BININT2, a, b]);
    } else if let Ok(number) = i32::try_from(number) {
        let [a, b, c, d] = number.to_le_bytes();
        out.extend_from_slice(&[BININT, a, b, c, d]);
    } else {
        let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
        let length = (64 - sign_bits) as usize / 8 + 1;
        out.extend_from_slice(&[LONG1, length as u8]);
        out.extend_from_slice(&number.to_le_bytes()[..length]);
    }
}

/// Writes a str; `text` is UTF-8, shorter than 4 GiB.
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    write_text(SHORT_BINUNICODE, BINUNICODE, text, out);
}

/// Writes bytes, fewer than 4 GiB.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_text(SHORT_BINBYTES, BINBYTES, bytes, out);
}

#[inline(always)]
fn write_text(short: u8, long: u8, text: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u8::try_from(text.len()) {
        out.extend_from_slice(&[short, length]);
    } else {
        out.push(long);
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    push(text, out);
}
