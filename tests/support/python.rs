//! Pickles: small ones written by hand, the broker's read with serde_pickle.

use std::collections::BTreeMap;

use serde_pickle::{DeOptions, HashableValue, Value};

/// BINUNICODE.
pub fn unicode(text: &str) -> Vec<u8> {
    [b"X", &u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
}

/// Bytes written as pairs of hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The opcodes of a whole pickle of protocol 2 or 3, to stand inside another.
pub fn opcodes(pickle: &[u8]) -> &[u8] {
    let (ends, begins) = (pickle.last() == Some(&b'.'), pickle.first() == Some(&0x80));
    assert!(ends && begins && pickle[1] <= 3, "{pickle:02x?}");
    &pickle[2..pickle.len() - 1]
}

/// Fails where the pickle holds an opcode that is not plain data, or one that is unknown.
pub fn only_data_opcodes(pickle: &[u8]) {
    let little_endian = |at: usize, width: usize| {
        pickle[at..at + width].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(pickle[..2], [0x80, 4], "PROTO 4");
    let mut at = 2;
    while at < pickle.len() {
        let opcode = pickle[at];
        at += 1;
        at += match opcode {
            // MARK, STOP, None, booleans, containers and what fills them, MEMOIZE, POP_MARK not
            // among them.
            b'(' | b'N' | 0x88 | 0x89 | b']' | b'}' | b')' | 0x8f | b'a' | b'e' | b's' | b'u'
            | b't' | 0x85 | 0x86 | 0x87 | 0x90 | 0x91 | 0x94 => 0,
            b'.' => {
                assert_eq!(at, pickle.len(), "STOP is the last opcode");
                return;
            }
            b'K' | b'h' => 1,
            b'M' => 2,
            b'J' | b'j' => 4,
            b'G' | 0x95 => 8,
            // Counted: LONG1, SHORT_BINBYTES, SHORT_BINUNICODE; BINUNICODE, BINBYTES, LONG4; the
            // 8-byte kinds.
            0x8a | b'C' | 0x8c => 1 + little_endian(at, 1),
            b'X' | b'B' | 0x8b => 4 + little_endian(at, 4),
            0x8d | 0x8e => 8 + little_endian(at, 8),
            other => panic!("opcode {other:#04x} at {} in {pickle:02x?}", at - 1),
        };
    }
    panic!("no STOP in {pickle:02x?}");
}

/// The entries of a pickled dict with string keys: strings by themselves, everything else as its
/// `repr`.
pub fn fields(pickle: &[u8]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    };
    dict(pickle).iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The `repr` of one entry.
pub fn entry(pickle: &[u8], name: &str) -> Option<String> {
    dict(pickle).get(name).map(repr)
}

fn dict(pickle: &[u8]) -> BTreeMap<String, Value> {
    let value = serde_pickle::value_from_slice(pickle, DeOptions::new());
    let Value::Dict(entries) = value.unwrap_or_else(|error| panic!("{error}: {pickle:02x?}"))
    else {
        panic!("no dict: {pickle:02x?}");
    };
    entries
        .into_iter()
        .map(|(name, value)| match name {
            HashableValue::String(name) => (name, value),
            other => panic!("the key {other:?}"),
        })
        .collect()
}

/// As Python's `repr`, with two differences: strings are quoted as JSON quotes them, and sets and
/// dicts are sorted.
pub fn repr(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(repr).collect::<Vec<_>>().join(", ");
    match value {
        Value::List(values) => format!("[{}]", all(values)),
        Value::Tuple(values) if values.len() == 1 => format!("({},)", all(values)),
        Value::Tuple(values) => format!("({})", all(values)),
        Value::Dict(entries) => {
            let entry = |(key, value): (&HashableValue, &Value)| {
                format!("{}: {}", key_repr(key), repr(value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::None => key_repr(&HashableValue::None),
        Value::Bool(truth) => key_repr(&HashableValue::Bool(*truth)),
        Value::I64(number) => key_repr(&HashableValue::I64(*number)),
        Value::Int(number) => key_repr(&HashableValue::Int(number.clone())),
        Value::F64(number) => key_repr(&HashableValue::F64(*number)),
        Value::Bytes(bytes) => key_repr(&HashableValue::Bytes(bytes.clone())),
        Value::String(text) => key_repr(&HashableValue::String(text.clone())),
        Value::Set(values) if values.is_empty() => "set()".into(),
        Value::Set(values) => {
            format!("{{{}}}", values.iter().map(key_repr).collect::<Vec<_>>().join(", "))
        }
        Value::FrozenSet(values) => key_repr(&HashableValue::FrozenSet(values.clone())),
    }
}

fn key_repr(value: &HashableValue) -> String {
    let all = |values: Vec<String>| values.join(", ");
    match value {
        HashableValue::None => "None".into(),
        HashableValue::Bool(true) => "True".into(),
        HashableValue::Bool(false) => "False".into(),
        HashableValue::I64(number) => number.to_string(),
        HashableValue::Int(number) => number.to_string(),
        HashableValue::F64(number) if number.is_nan() => "nan".into(),
        HashableValue::F64(number) => format!("{number:?}"),
        HashableValue::Bytes(bytes) => format!("b'{}'", bytes.escape_ascii()),
        HashableValue::String(text) => serde_json::to_string(text).unwrap(),
        HashableValue::Tuple(values) if values.len() == 1 => format!("({},)", key_repr(&values[0])),
        HashableValue::Tuple(values) => format!("({})", all(values.iter().map(key_repr).collect())),
        HashableValue::FrozenSet(values) if values.is_empty() => "frozenset()".into(),
        HashableValue::FrozenSet(values) => {
            format!("frozenset({{{}}})", all(values.iter().map(key_repr).collect()))
        }
    }
}
