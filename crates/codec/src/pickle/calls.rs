//! Opcodes that name a class and call it: for consumers that ask for types, of a closed list.
//!
//! Each class is named once in a pickle, and fetched from the memo after that. Nothing else is
//! memoised, so each has a place of its own there.

use super::opcode::*;
use super::write::{write_bool, write_bytes, write_int, write_str};

/// Whether a pickle says types that need classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Data opcodes alone: dates and the like are texts, arrays are lists.
    None,
    /// Those of a closed list of the standard library's and numpy's.
    Listed,
}

/// The classes and functions that an exact pickle names; there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Datetime,
    Date,
    Time,
    Timedelta,
    Timezone,
    ZoneInfo,
    Decimal,
    Uuid,
    Fraction,
    Complex,
    /// numpy's function that makes an array to be given its state; by this name numpy 1.26 and 2
    /// know it.
    Reconstruct,
    Ndarray,
    Dtype,
}

impl Class {
    /// The module and the name.
    pub(crate) const fn name(self) -> (&'static str, &'static str) {
        match self {
            Class::Datetime => ("datetime", "datetime"),
            Class::Date => ("datetime", "date"),
            Class::Time => ("datetime", "time"),
            Class::Timedelta => ("datetime", "timedelta"),
            Class::Timezone => ("datetime", "timezone"),
            Class::ZoneInfo => ("zoneinfo", "ZoneInfo"),
            Class::Decimal => ("decimal", "Decimal"),
            Class::Uuid => ("uuid", "UUID"),
            Class::Fraction => ("fractions", "Fraction"),
            Class::Complex => ("builtins", "complex"),
            Class::Reconstruct => ("numpy.core.multiarray", "_reconstruct"),
            Class::Ndarray => ("numpy", "ndarray"),
            Class::Dtype => ("numpy", "dtype"),
        }
    }
}

/// Where calls are written.
pub(crate) struct Calls<'o> {
    out: &'o mut Vec<u8>,
    named: &'o mut Named,
}

/// The classes that a pickle has named.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named(u16);

impl<'o> Calls<'o> {
    /// Appends to a pickle that has named some classes.
    pub(super) fn new(out: &'o mut Vec<u8>, named: &'o mut Named) -> Calls<'o> {
        Calls { out, named }
    }

    /// A class: its arguments follow, and then what is done with them.
    pub(crate) fn class(&mut self, class: Class) {
        let (place, bit) = (class as u8, 1 << class as u8);
        if self.named.0 & bit != 0 {
            self.out.extend_from_slice(&[BINGET, place]);
            return;
        }
        self.named.0 |= bit;
        let (module, name) = class.name();
        self.str(module.as_bytes());
        self.str(name.as_bytes());
        self.out.extend_from_slice(&[STACK_GLOBAL, BINPUT, place]);
    }

    /// `class(arguments)`, of which there are up to three.
    pub(crate) fn call(&mut self, arguments: usize) {
        self.tuple(arguments);
        self.out.push(REDUCE);
    }

    /// An object of the class, without arguments, that is to be [built](Self::build).
    pub(crate) fn object(&mut self) {
        self.out.extend_from_slice(&[EMPTY_TUPLE, NEWOBJ]);
    }

    /// Gives the object before it its state.
    pub(crate) fn build(&mut self) {
        self.out.push(BUILD);
    }

    /// A tuple of up to three values before it.
    pub(crate) fn tuple(&mut self, count: usize) {
        self.out.push(match count {
            0 => EMPTY_TUPLE,
            1 => TUPLE1,
            2 => TUPLE2,
            _ => TUPLE3,
        });
    }

    /// Begins a tuple of any number of values.
    pub(crate) fn mark(&mut self) {
        self.out.push(MARK);
    }

    /// Ends it.
    pub(crate) fn tuple_of_marked(&mut self) {
        self.out.push(TUPLE);
    }

    /// A dict of one entry, whose key is a str.
    pub(crate) fn dict_of_one(&mut self, key: &str, value: impl FnOnce(&mut Self)) {
        self.out.push(EMPTY_DICT);
        self.str(key.as_bytes());
        value(self);
        self.out.push(SETITEM);
    }

    pub(crate) fn empty_dict(&mut self) {
        self.out.push(EMPTY_DICT);
    }

    pub(crate) fn none(&mut self) {
        self.out.push(NONE);
    }

    pub(crate) fn bool(&mut self, truth: bool) {
        write_bool(truth, self.out);
    }

    pub(crate) fn int(&mut self, number: i64) {
        write_int(number, self.out);
    }

    /// An integer of up to 128 bits, in two's complement.
    pub(crate) fn long(&mut self, number: u128) {
        let mut bytes = [0; size_of::<u128>() + 1];
        bytes[..size_of::<u128>()].copy_from_slice(&number.to_le_bytes());
        // One bit more, for the sign.
        let length = (u128::BITS - number.leading_zeros()) as usize / 8 + 1;
        self.out.extend_from_slice(&[LONG1, length as u8]);
        self.out.extend_from_slice(&bytes[..length]);
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.out.push(BINFLOAT);
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    /// A str; `text` is UTF-8.
    pub(crate) fn str(&mut self, text: &[u8]) {
        write_str(text, self.out);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        write_bytes(bytes, self.out);
    }
}
