//! The closed list of builtins that picklers spell as an import and a call although they are plain
//! data.
//!
//! | value | spelled in | as |
//! |---|---|---|
//! | set, frozenset | protocols 0 to 3 | `builtins.set([1, 2])` |
//! | bytes | protocols 0 to 2 | `_codecs.encode('text', 'latin1')`, and empty `builtins.bytes()` |
//! | bytearray | protocols 0 to 4 | `builtins.bytearray(b'…')`, `bytearray()`; before Python 3.8 `bytearray('text', 'latin-1')` |
//!
//! They are recognised by their names, and by the shape of their arguments where they are called.
//! Nothing is looked up, and a name that is not on the list is refused where it is read.

/// A builtin on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `set`
    Set,
    /// `frozenset`
    FrozenSet,
    /// `bytes`
    Bytes,
    /// `bytearray`
    ByteArray,
    /// `_codecs.encode`
    Encode,
}

impl Builtin {
    /// The builtin of that name; Python 2 called their module `__builtin__`, and protocols 0 to 2
    /// still do.
    pub(super) fn named(module: &[u8], name: &[u8]) -> Option<Builtin> {
        match (module, name) {
            (b"builtins" | b"__builtin__", b"set") => Some(Builtin::Set),
            (b"builtins" | b"__builtin__", b"frozenset") => Some(Builtin::FrozenSet),
            (b"builtins" | b"__builtin__", b"bytes") => Some(Builtin::Bytes),
            (b"builtins" | b"__builtin__", b"bytearray") => Some(Builtin::ByteArray),
            (b"_codecs", b"encode") => Some(Builtin::Encode),
            _ => None,
        }
    }

    /// The name as Python shows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Builtin::Set => "set",
            Builtin::FrozenSet => "frozenset",
            Builtin::Bytes => "bytes",
            Builtin::ByteArray => "bytearray",
            Builtin::Encode => "_codecs.encode",
        }
    }
}
