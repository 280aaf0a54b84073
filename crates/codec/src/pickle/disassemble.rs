//! A pickle opcode by opcode, as Python's `pickletools.genops` goes through it. Nothing is run.

use super::opcode::*;
use super::reader::Reader;
use crate::protocol::{ErrorCode, Refusal};

/// One opcode.
///
/// ```
/// use babelmq_codec::pickle::{Argument, Opcode, opcodes};
///
/// let first = opcodes(b"\x80\x04N.").next().unwrap()?;
/// assert_eq!(first, Opcode { name: "PROTO", argument: Argument::Number(b"\x04"), end: 2 });
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode<'a> {
    /// Its name, as `pickletools` has it.
    pub name: &'static str,
    /// What follows it.
    pub argument: Argument<'a>,
    /// Where the next opcode begins, in bytes from the beginning of the pickle.
    pub end: usize,
}

/// What follows an opcode.
///
/// ```
/// use babelmq_codec::pickle::{Argument, opcodes};
///
/// let imported = opcodes(b"cos\nsystem\n.").next().unwrap()?;
/// assert_eq!(imported.argument, Argument::Lines(b"os", b"system"));
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// Nothing.
    None,
    /// A number of fixed length, its bytes as they stand: little-endian, of `BINFLOAT` big-endian.
    Number(&'a [u8]),
    /// A text or bytes whose length stood before them.
    Counted(&'a [u8]),
    /// A line without its newline.
    Line(&'a [u8]),
    /// Two lines: a module and a name.
    Lines(&'a [u8], &'a [u8]),
}

/// The opcodes of a pickle, see [`opcodes`].
///
/// ```
/// use babelmq_codec::pickle::opcodes;
///
/// let all = opcodes(b"\x80\x04]K\x01a.").collect::<Result<Vec<_>, _>>()?;
/// let names: Vec<_> = all.iter().map(|opcode| opcode.name).collect();
/// assert_eq!(names, ["PROTO", "EMPTY_LIST", "BININT1", "APPEND", "STOP"]);
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
pub struct Opcodes<'a> {
    reader: Reader<'a>,
    length: usize,
    done: bool,
}

/// Goes through the pickle that `source` begins with, to its STOP.
pub fn opcodes(source: &[u8]) -> Opcodes<'_> {
    Opcodes { reader: Reader::whole(source), length: source.len(), done: false }
}

impl<'a> Opcodes<'a> {
    fn next_opcode(&mut self) -> Result<Opcode<'a>, Refusal> {
        let reader = &mut self.reader;
        let opcode = reader.opcode()?;
        let Some(name) = name(opcode) else {
            return Err(
                reader.refuse(ErrorCode::MalformedPickle, format_args!("0x{opcode:02x} is none"))
            );
        };
        let argument = match opcode {
            BININT1 | BINPUT | BINGET | PROTO | EXT1 => Argument::Number(reader.take(1)?.0),
            BININT2 | EXT2 => Argument::Number(reader.take(2)?.0),
            BININT | LONG_BINPUT | LONG_BINGET | EXT4 => Argument::Number(reader.take(4)?.0),
            BINFLOAT | FRAME => Argument::Number(reader.take(8)?.0),
            SHORT_BINUNICODE | SHORT_BINSTRING | SHORT_BINBYTES | LONG1 => {
                let length = reader.length1()?;
                Argument::Counted(reader.take(length)?.0)
            }
            BINUNICODE | BINSTRING | BINBYTES | LONG4 => {
                let length = reader.length4()?;
                Argument::Counted(reader.take(length)?.0)
            }
            BINUNICODE8 | BINBYTES8 | BYTEARRAY8 => {
                let length = reader.length8()?;
                Argument::Counted(reader.take(length)?.0)
            }
            INT | LONG | FLOAT | STRING | UNICODE | PERSID | GET | PUT => {
                Argument::Line(reader.line()?.0)
            }
            GLOBAL | INST => Argument::Lines(reader.line()?.0, reader.line()?.0),
            _ => Argument::None,
        };
        self.done = opcode == STOP;
        Ok(Opcode { name, argument, end: self.length - self.reader.left() })
    }
}

/// Ends after STOP, or after the first thing that is wrong.
impl<'a> Iterator for Opcodes<'a> {
    type Item = Result<Opcode<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let opcode = self.next_opcode();
        self.done |= opcode.is_err();
        Some(opcode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_end_where_their_pickle_does() {
        let source = b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x01a\x94.cposix\nsystem\n(S'id'\ntR.";
        let names = |source: &[u8]| -> Vec<&str> {
            opcodes(source).map(|opcode| opcode.map_or("?", |opcode| opcode.name)).collect()
        };
        assert_eq!(names(source), ["PROTO", "FRAME", "SHORT_BINUNICODE", "MEMOIZE", "STOP"]);
        let end = opcodes(source).last().unwrap().unwrap().end;
        let rest = &source[end..];
        assert_eq!(names(rest), ["GLOBAL", "MARK", "STRING", "TUPLE", "REDUCE", "STOP"]);
        let first = opcodes(rest).next().unwrap().unwrap();
        assert_eq!(first.argument, Argument::Lines(b"posix", b"system"));
        for broken in [&b""[..], b"\xff.", b"\x8c\x05a", b"cposix\n", b"(((("] {
            assert_eq!(names(broken).last(), Some(&"?"), "{broken:?}");
        }
    }
}
