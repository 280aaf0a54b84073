//! Pickle to values.

use babelmq::Limits;
use babelmq::codec::pickle::{self as codec, Classes};
use babelmq::codec::{Document, NamedType, Node, View};

use crate::same::{assert_alone, assert_read, assert_same};
use crate::{Bound, frugal, limits, linear};

/// What a reference repeats is paid for from the payload's budget, and that is 16 times the input,
/// or 16 KiB.
pub(crate) const DECODE: Bound = Bound { base: 256 << 10, per_byte: 400 };

/// The text of a refusal.
const WALK: Bound = Bound { base: 4 << 10, per_byte: 0 };

/// The input is a pickle: a payload, and a whole body.
pub fn pickle(input: &[u8]) {
    let limits = limits(input);
    let mut document = Document::new();
    let decoded = linear("pickle", input.len(), DECODE, || {
        codec::decode(input, 0..input.len(), &mut document, &limits)
    });
    frugal("pickle", input.len(), |limits| {
        let mut document = Document::new();
        let _ = codec::decode(input, 0..input.len(), &mut document, limits);
        document
    });
    let read = decoded.as_ref().ok().map(|&root| document.view(input, root));
    assert_alone(input, read, &limits, codec::decode);
    // The quick reader gives up on POP, so that the machine reads this, and comes to the same.
    let by_machine = [b"N0", input].concat();
    let mut read_by_machine = Document::new();
    let root = codec::decode(&by_machine, 0..by_machine.len(), &mut read_by_machine, &limits);
    assert_read(read, root, &read_by_machine, &by_machine);
    let walked = linear("opcodes", input.len(), WALK, || codec::opcodes(input).last());
    if read.is_some() {
        assert!(walked.is_some_and(|last| last.is_ok_and(|last| last.end == input.len())));
    }

    let mut body = Document::new();
    let as_body = linear("pickle as a body", input.len(), DECODE, || {
        codec::decode_body(input, 0..input.len(), &mut body, &limits)
    });
    if let (Ok(root), Ok(root_of_body)) = (&decoded, as_body) {
        assert_same(document.view(input, *root), body.view(input, root_of_body));
    }
    let Ok(root) = decoded else { return };
    let view = document.view(input, root);
    settles(view, Classes::None);
    settles(view, Classes::Listed);
}

/// Refuses a pickle of the broker's that is read as something else. Types that a pickle does not
/// say are lost, and only once.
pub(crate) fn settles(view: View<'_>, classes: Classes) {
    let (written, again, root) = written_anew(view, classes);
    let read = again.view(&written, root);
    if loses_types(view, classes) {
        let (rewritten, once_more, root) = written_anew(read, classes);
        assert_same(read, once_more.view(&rewritten, root));
    } else {
        assert_same(view, read);
    }
}

/// Whether there is a type in a value that a pickle does not say.
pub(crate) fn loses_types(view: View<'_>, classes: Classes) -> bool {
    view.nodes().iter().any(|node| match node {
        Node::Named(NamedType::Object, _) => true,
        Node::Typed(..) | Node::Named(..) => classes == Classes::None,
        _ => false,
    })
}

/// A value as a pickle of the broker's, and what that is read as.
fn written_anew(view: View<'_>, classes: Classes) -> (Vec<u8>, Document, usize) {
    let mut written = Vec::new();
    codec::write_prologue(&mut written);
    codec::encode(view, classes, &mut written);
    codec::write_stop(&mut written);
    match classes {
        Classes::None => only_data(&written),
        Classes::Listed => only_listed(&written),
    }
    let mut document = Document::new();
    let root = codec::decode(&written, 0..written.len(), &mut document, &Limits::NONE)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {}", written.escape_ascii()));
    (written, document, root)
}

/// What a pickle names for who asks for types.
const LISTED: [(&str, &str); 13] = [
    ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("zoneinfo", "ZoneInfo"),
    ("decimal", "Decimal"),
    ("uuid", "UUID"),
    ("fractions", "Fraction"),
    ("builtins", "complex"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
];

/// Refuses a pickle with any opcode that does not spell data. This knows nothing of the codec.
pub(crate) fn only_data(pickle: &[u8]) {
    assert!(calls_of(pickle).is_empty(), "a call: {}", pickle.escape_ascii());
}

/// The same of a pickle that may name what is listed, each name once, and fetch nothing else.
fn only_listed(pickle: &[u8]) {
    let mut named = Vec::new();
    for call in calls_of(pickle) {
        match call {
            Call::Named(module, name, place) => {
                let name = LISTED
                    .into_iter()
                    .find(|(a, b)| (a.as_bytes(), b.as_bytes()) == (module, name));
                let name = name.unwrap_or_else(|| panic!("{}", pickle.escape_ascii()));
                assert!(named.iter().all(|&(other, at)| other != name && at != place));
                named.push((name, place));
            }
            Call::Fetched(place) => assert!(named.iter().any(|&(_, at)| at == place)),
            Call::Made => assert!(!named.is_empty()),
        }
    }
}

enum Call<'a> {
    /// STACK_GLOBAL, of a module and a name, and BINPUT.
    Named(&'a [u8], &'a [u8], u8),
    /// BINGET.
    Fetched(u8),
    /// REDUCE, NEWOBJ or BUILD.
    Made,
}

/// The opcodes of a pickle that do not spell data. This knows nothing of the codec.
fn calls_of(pickle: &[u8]) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    // The last two texts, which a name is made of where nothing is behind them.
    let mut texts: Vec<&[u8]> = Vec::new();
    let mut rest = pickle;
    let mut take = |count: usize| -> &[u8] {
        let (argument, after) = rest.split_at(count);
        rest = after;
        argument
    };
    loop {
        let opcode = take(1)[0];
        if opcode != 0x8c && opcode != 0x93 {
            texts.clear();
        }
        match opcode {
            b'.' => break,
            // MARK, NONE, the booleans, empty containers, and what fills them.
            b'(' | b'N' | 0x88 | 0x89 | b']' | b'}' | b')' | 0x8f => {}
            b'e' | b'u' | b's' | b't' | 0x85 | 0x86 | 0x87 | 0x90 | 0x91 => {}
            // PROTO, BININT1; BININT2; BININT; BINFLOAT.
            0x80 | b'K' => drop(take(1)),
            b'M' => drop(take(2)),
            b'J' => drop(take(4)),
            b'G' => drop(take(8)),
            // LONG1, SHORT_BINUNICODE, SHORT_BINBYTES; LONG4, BINUNICODE, BINBYTES.
            0x8a | 0x8c | b'C' => {
                let length = take(1)[0];
                let text = take(length.into());
                if opcode == 0x8c {
                    texts.push(text);
                }
            }
            0x8b | b'X' | b'B' => {
                let length =
                    take(4).iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
                take(length);
            }
            0x93 => {
                let &[.., module, name] = &texts[..] else { panic!("a name of nothing") };
                let &[put, place] = take(2) else { unreachable!() };
                assert_eq!(put, b'q', "a name that is not kept: {}", pickle.escape_ascii());
                calls.push(Call::Named(module, name, place));
                texts.clear();
            }
            b'h' => calls.push(Call::Fetched(take(1)[0])),
            b'R' | 0x81 | b'b' => calls.push(Call::Made),
            other => panic!("opcode 0x{other:02x} was written: {}", pickle.escape_ascii()),
        }
    }
    assert!(rest.is_empty(), "there is something behind STOP");
    calls
}
