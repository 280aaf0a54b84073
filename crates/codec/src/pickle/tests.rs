//! Tests of the whole codec, most of them against pickles that CPython made: see
//! `crates/codec/tests/vectors/make_pickle.py`.

mod budget;
mod scalars;

use std::fmt::Write;

use super::*;
use crate::{NamedType, Size, View, json};

const VALUES: &str = include_str!("../../tests/vectors/pickle/values.txt");
const REFUSED: &str = include_str!("../../tests/vectors/pickle/refused.txt");

/// A line's tab-separated columns.
fn columns<const N: usize>(line: &str) -> [&str; N] {
    line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{line:.60}"))
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii());
    (0..text.len() / 2)
        .map(|byte| u8::from_str_radix(&text[2 * byte..2 * byte + 2], 16).unwrap())
        .collect()
}

/// A broker's for frames of 1 MiB: what doubles without end ends at 16 MiB, soon enough for a debug
/// build.
fn limits() -> Limits {
    Limits::with_max_frame(1 << 20)
}

fn decoded(pickle: &[u8]) -> Result<Document, Refusal> {
    let mut document = Document::new();
    let at = decode(pickle, 0..pickle.len(), &mut document, &limits())?;
    assert_eq!(at, 0);
    assert_eq!(document.nodes()[0].nodes(), document.len(), "one value, in pre-order");
    Ok(document)
}

fn encoded(view: View<'_>) -> Vec<u8> {
    let mut pickle = Vec::new();
    write_prologue(&mut pickle);
    encode(view, Classes::None, &mut pickle);
    write_stop(&mut pickle);
    pickle
}

/// The notation of `show` in `make_pickle.py`.
fn show(view: View<'_>) -> String {
    let mut out = String::new();
    show_at(view, &mut 0, &mut out);
    out
}

fn show_at(view: View<'_>, at: &mut usize, out: &mut String) {
    let node = view.nodes()[*at];
    *at += 1;
    let mut children = |open: &str, items: u32, close: &str| {
        let mut shown = Vec::new();
        for _ in 0..items {
            let mut item = String::new();
            show_at(view, at, &mut item);
            if open == "{" {
                item.push_str(": ");
                show_at(view, at, &mut item);
            }
            shown.push(item);
        }
        if open.ends_with("set(") {
            shown.sort_unstable();
        }
        write!(out, "{open}{}{close}", shown.join(", ")).unwrap();
    };
    match node {
        Node::List(Size { items, .. }) => children("[", items, "]"),
        Node::Tuple(Size { items, .. }) => children("(", items, ")"),
        Node::Set(Size { items, .. }) => children("set(", items, ")"),
        Node::FrozenSet(Size { items, .. }) => children("frozenset(", items, ")"),
        Node::Dict(Size { items, .. }) => children("{", items, "}"),
        Node::None => out.push_str("None"),
        Node::Bool(truth) => out.push_str(if truth { "True" } else { "False" }),
        Node::Int(number) => write!(out, "{number}").unwrap(),
        Node::BigInt(digits) => out.push_str(str::from_utf8(view.text(digits)).unwrap()),
        Node::Float(double) if double.is_nan() => out.push_str("nan"),
        Node::Float(double) => write!(out, "f{:016x}", double.to_bits()).unwrap(),
        Node::Str(text) => {
            out.push('"');
            for character in str::from_utf8(view.text(text)).unwrap().chars() {
                match character {
                    '"' | '\\' => write!(out, "<{:x}>", character as u32).unwrap(),
                    ' '..='~' => out.push(character),
                    _ => write!(out, "<{:x}>", character as u32).unwrap(),
                }
            }
            out.push('"');
        }
        Node::Named(NamedType::Ndarray, _) => children("array(", 4, ")"),
        Node::Named(NamedType::Object, _) => children("object(", 2, ")"),
        Node::Typed(of, text) => {
            write!(out, "{}:{}", of.name(), str::from_utf8(view.text(text)).unwrap()).unwrap();
        }
        Node::Bytes(text) => {
            out.push('b');
            for byte in view.text(text) {
                write!(out, "{byte:02x}").unwrap();
            }
        }
    }
}

/// Pickles of objects of people's own classes, of CPython 3.8 to 3.14: what they are where their
/// classes are named, and refused, with the name, where they are not.
#[test]
fn objects_are_their_state_where_their_class_is_named() {
    let limits = Limits::default().pickle_classes("app.models.*".parse().unwrap());
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/vectors/pickle/classes.txt").lines() {
        let [name, verdict, pickle, plain] = columns(line);
        let pickle = unhex(pickle);
        let mut document = Document::new();
        match decode(&pickle, 0..pickle.len(), &mut document, &limits) {
            Ok(_) if verdict == "refuse" => wrong.push(format!("{name}: it is accepted")),
            Err(refusal) if verdict == "refuse" => {
                assert_eq!(refusal.code, ErrorCode::ForbiddenPickle, "{name}: {refusal}");
            }
            Err(refusal) => wrong.push(format!("{name}: {refusal}")),
            Ok(root) => {
                let written = encoded(document.view(&pickle, root));
                let mut found = Vec::new();
                let again = decoded(&written).unwrap();
                json::encode(again.view(&written, 0), json::Tags::Exact, &mut found);
                let found = String::from_utf8(found).unwrap();
                if found != plain {
                    wrong.push(format!("{name}: {found} instead of {plain}"));
                }
            }
        }
        let refusal = decoded(&pickle).expect_err(name);
        // Protocols 2 and 3 call a partial where 4 has NEWOBJ_EX; 3.11.2 has flags by name.
        let named = ["app.models.", "functools.partial", "_operator.or_"];
        assert!(named.iter().any(|name| refusal.reason.contains(name)), "{name}: {refusal}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn values_are_what_cpython_pickled() {
    for line in VALUES.lines() {
        let [name, protocols, pickler, pickle, expected] = columns(line);
        let pickle = unhex(pickle);
        let what = format!("{name}, protocol {protocols}, {pickler}");
        let document = decoded(&pickle).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        assert_eq!(show(document.view(&pickle, 0)), expected, "{what}");
    }
}

/// Pickles of CPython 3.8 to 3.14 and numpy 1.24 to 2.5, protocols 0 to 5, of both picklers.
#[test]
fn shapes_are_what_cpython_and_numpy_make_of_them() {
    let json = |view: View<'_>| {
        let mut out = Vec::new();
        json::encode(view, json::Tags::Exact, &mut out);
        String::from_utf8(out).unwrap()
    };
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/vectors/pickle/shapes.txt").lines() {
        let [name, verdict, pickle, exact, plain] = columns(line);
        let pickle = unhex(pickle);
        let document = match decoded(&pickle) {
            Ok(_) if verdict == "refuse" => {
                wrong.push(format!("{name}: it is accepted"));
                continue;
            }
            Ok(document) => document,
            Err(_) if verdict == "refuse" => continue,
            Err(refusal) => {
                wrong.push(format!("{name}: {refusal}"));
                continue;
            }
        };
        let view = document.view(&pickle, 0);
        if exact != "-" && json(view) != exact {
            wrong.push(format!("{name}: {} instead of {exact}", json(view)));
        }
        let mut classes = Vec::new();
        write_prologue(&mut classes);
        encode(view, Classes::Listed, &mut classes);
        write_stop(&mut classes);
        let found = decoded(&classes).map(|document| json(document.view(&classes, 0)));
        if found.as_ref() != Ok(&json(view)) {
            wrong.push(format!("{name}: {found:?} by way of an exact pickle"));
        }
        // As it is where types are lost.
        let written = encoded(view);
        let found = json(decoded(&written).unwrap().view(&written, 0));
        if found != plain {
            wrong.push(format!("{name}: {found} instead of {plain}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_written_reads_back() {
    for line in VALUES.lines() {
        let [name, _, _, pickle, expected] = columns(line);
        let pickle = unhex(pickle);
        let document = decoded(&pickle).unwrap();
        let written = encoded(document.view(&pickle, 0));
        let again = decoded(&written).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(show(again.view(&written, 0)), expected, "{name}");
        assert_eq!(written, encoded(again.view(&written, 0)), "{name}: what is written is settled");
    }
}

#[test]
fn refusals_say_what_and_where() {
    for line in REFUSED.lines() {
        let [name, code, words, pickle] = columns(line);
        let refusal = decoded(&unhex(pickle)).map(drop).expect_err(name);
        assert_eq!(refusal.code.as_str(), code, "{name}: {refusal}");
        assert!(refusal.reason.contains(words), "{name}: {refusal}");
        assert!(refusal.reason.len() < 400, "{name}: {refusal}");
    }
}

#[test]
fn a_pickle_lies_anywhere_in_its_source() {
    for line in VALUES.lines().filter(|line| line.len() < 2_000) {
        let [name, _, _, pickle, expected] = columns(line);
        let pickle = unhex(pickle);
        let source = [b"....".as_slice(), &pickle, b"N."].concat();
        let mut document = Document::new();
        document.push(Node::None);
        let at = decode(&source, 4..4 + pickle.len(), &mut document, &Limits::default()).unwrap();
        assert_eq!(at, 1);
        assert_eq!(show(document.view(&source, at)), expected, "{name}");
    }
    assert!(decode(b"N.", 0..3, &mut Document::new(), &Limits::default()).is_err());
    let (from, to) = (2, 1);
    assert!(decode(b"N.", from..to, &mut Document::new(), &Limits::default()).is_err());
}

#[test]
fn every_truncation_is_refused() {
    for line in VALUES.lines().filter(|line| line.len() < 3_000) {
        let [name, _, _, pickle, _] = columns(line);
        let pickle = unhex(pickle);
        for length in 0..pickle.len() {
            // A shorter pickle may end in a byte that happens to be STOP, and be whole.
            if let Err(refusal) = decoded(&pickle[..length]) {
                let known = matches!(
                    refusal.code,
                    ErrorCode::MalformedPickle
                        | ErrorCode::InvalidValue
                        | ErrorCode::ForbiddenPickle
                );
                assert!(known, "{name} cut to {length}: {refusal}");
            } else {
                assert_eq!(pickle[length - 1], opcode::STOP, "{name} cut to {length}");
            }
        }
    }
}

/// A small generator of pseudorandom numbers (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn mutate(&mut self, pickle: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(pickle.len());
            match self.below(6) {
                0 if !pickle.is_empty() => pickle[at] = self.next() as u8,
                1 if !pickle.is_empty() => pickle[at] ^= 1 << self.below(8),
                2 if !pickle.is_empty() => drop(pickle.remove(at)),
                3 => pickle
                    .insert(at, b"(0125]})aestuRNKqhj\x85\x86\x8f\x90\x91\x93\x94"[self.below(25)]),
                4 => {
                    let from = self.below(other.len());
                    let part = &other[from..(from + self.below(20)).min(other.len())];
                    pickle.splice(at..at, part.iter().copied());
                }
                _ => {
                    let part: Vec<u8> = pickle[at..].iter().copied().take(self.below(8)).collect();
                    pickle.splice(at..at, part);
                }
            }
        }
    }
}

/// Mutates the vectors `rounds` times; what is accepted must be whole, settled and stable. Returns
/// how many were accepted.
fn mutations(rounds: usize, seed: u64, mut accepted: impl FnMut(&[u8], &str, &[u8])) -> usize {
    let lines = VALUES.lines().map(|line| columns::<5>(line)[3]);
    let refused = REFUSED.lines().map(|line| columns::<4>(line)[3]);
    let pickles: Vec<Vec<u8>> =
        lines.chain(refused).filter(|hex| hex.len() < 1_000).map(unhex).collect();
    // A small budget, so that doubling structures end soon; the arithmetic is the same.
    let limits = Limits { decoded_size: 1 << 20, ..Limits::default() };
    let mut random = Random(seed);
    let mut count = 0;
    let mut document = Document::new();
    for _ in 0..rounds {
        let mut pickle = pickles[random.below(pickles.len())].clone();
        let other = &pickles[random.below(pickles.len())];
        random.mutate(&mut pickle, other);
        let mark = document.mark();
        let _ = decode_body(&pickle, 0..pickle.len(), &mut document, &limits);
        document.truncate(mark);
        let Ok(at) = decode(&pickle, 0..pickle.len(), &mut document, &limits) else {
            document.truncate(mark);
            continue;
        };
        count += 1;
        assert_eq!(document.nodes()[at].nodes(), document.len());
        let shown = show(document.view(&pickle, at));
        let written = encoded(document.view(&pickle, at));
        let is_typed = document.nodes().iter().any(|node| matches!(node, Node::Typed(..)));
        accepted(&pickle, &shown, &written);
        document.truncate(mark);
        // What is written anew is no larger than what was read, so it passes wherever that did.
        let at = decode(&written, 0..written.len(), &mut document, &limits).unwrap();
        let again = show(document.view(&written, at));
        if is_typed {
            // Types are lost, once.
            assert_eq!(encoded(document.view(&written, at)), written);
        } else {
            assert_eq!(again, shown, "{:?}", pickle.escape_ascii().to_string());
        }
        document.truncate(mark);
    }
    count
}

#[test]
fn mutations_do_no_harm() {
    let accepted = mutations(5_000, 0x5eed, |_, _, _| {});
    assert!(
        accepted > 300,
        "only {accepted} mutations were accepted: they are too wild to test much"
    );
}

#[test]
fn hostile_pickles_end_soon() {
    let check = |name: &str, pickle: &[u8], expected: Result<(), ErrorCode>| {
        let begin = std::time::Instant::now();
        assert_eq!(decoded(pickle).map(drop).map_err(|refusal| refusal.code), expected, "{name}");
        // Generous: this is a debug build on a busy machine.
        assert!(begin.elapsed().as_secs() < 10, "{name}: {:?}", begin.elapsed());
    };
    let tuples = |count| [b")".as_slice(), &vec![opcode::TUPLE1; count], b"."].concat();
    check("128 tuples", &tuples(127), Ok(()));
    check("1,940 tuples", &tuples(1_940), Err(ErrorCode::TooDeep));
    check("100,000 tuples", &tuples(100_000), Err(ErrorCode::TooDeep));
    check("unfinished tuples", &tuples(32_600)[..32_000], Err(ErrorCode::MalformedPickle));
    check("marks", &vec![opcode::MARK; 1_000_000], Err(ErrorCode::MalformedPickle));
    check("lists", &vec![opcode::EMPTY_LIST; 1_000_000], Err(ErrorCode::TooLarge));
    check(
        "nested lists",
        &[vec![b']'; 100_000], vec![b'a'; 99_999], b".".to_vec()].concat(),
        Err(ErrorCode::TooDeep),
    );
    check("dups", &[b"N".as_slice(), &vec![opcode::DUP; 1_000_000], b"."].concat(), Ok(()));
    let long_line = [b"L".as_slice(), &vec![b'7'; 1_000_000], b"L\n."].concat();
    check("a long L", &long_line, Err(ErrorCode::TooManyDigits));
    let long4 = [b"\x8b\x40\x42\x0f\0".as_slice(), &vec![7; 1_000_000], b"."].concat();
    check("a LONG4 of 1 MB", &long4, Err(ErrorCode::TooManyDigits));
    let list_of_50_000 = [b"](".as_slice(), &[b'N'; 50_000], b"eq\x000"].concat();
    let gets = [list_of_50_000.as_slice(), b"](", &b"h\x00".repeat(20_000), b"e."].concat();
    check("20,000 GETs of 50,000 elements", &gets, Err(ErrorCode::TooLarge));
    let sets =
        [&list_of_50_000, b"](".as_slice(), &b"cbuiltins\nset\nh\x00\x85R".repeat(10), b"e."]
            .concat();
    check("10 sets of one list share it", &sets, Ok(()));
    let sets = [
        b"]".as_slice(),
        &b"K\x01\x85a".repeat(20_000),
        b"q\x000](",
        &b"cbuiltins\nset\nh\x00\x85R".repeat(20_000),
        b"e.",
    ];
    check("20,000 sets of a list in runs", &sets.concat(), Err(ErrorCode::TooLarge));
    let mut texts = b"X\x40\x42\x0f\0".to_vec();
    texts.extend("é".repeat(500_000).bytes());
    texts.extend(b"q\x000X\x06\0\0\0latin1q\x010](");
    texts.extend(b"c_codecs\nencode\nh\x00h\x01\x86R".repeat(10_000));
    texts.extend(b"e.");
    check("10,000 encodings of a long text", &texts, Err(ErrorCode::TooLarge));
    check(
        "sparse PUTs",
        &[b"N".as_slice(), &b"r\xff\xff\xff\x7f".repeat(100_000), b"."].concat(),
        Ok(()),
    );
    let nans = [b"\x8f(".as_slice(), &b"G\x7f\xf8\0\0\0\0\0\0".repeat(10_000), b"\x90."].concat();
    check("NaNs in a set", &nans, Ok(()));
    let lines = [b"](".as_slice(), &b"I1\n".repeat(300_000), b"e."].concat();
    check("many lines", &lines, Ok(()));
}

#[test]
fn shared_values_cost_what_their_copies_cost() {
    // A list of 100 references to a list of 9 numbers: 1 + 100 × (1 + 9) nodes.
    let pickle = [
        b"](K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01eq\x000](".as_slice(),
        &b"h\x00".repeat(100),
        b"e.",
    ];
    let pickle = pickle.concat();
    let decode_within = |nodes: usize| {
        let limits =
            Limits { decoded_size: nodes * crate::protocol::NODE_SIZE, ..Limits::default() };
        decode(&pickle, 0..pickle.len(), &mut Document::new(), &limits)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(decode_within(1001), Ok(0));
    assert_eq!(decode_within(1000), Err(ErrorCode::TooLarge));
}

#[test]
fn bodies_are_maps_of_fields() {
    let check = |pickle: &[u8], expected: Result<(), ErrorCode>| {
        let decoded =
            decode_body(pickle, 0..pickle.len(), &mut Document::new(), &Limits::default());
        let shown = pickle.escape_ascii();
        assert_eq!(decoded.map(drop).map_err(|refusal| refusal.code), expected, "{shown:.80}");
    };
    check(b"}.", Ok(()));
    check(b"}X\x01\0\0\0aK\x01s.", Ok(()));
    check(b"].", Err(ErrorCode::NotAMap));
    check(b"N.", Err(ErrorCode::NotAMap));
    check(b"}K\x01K\x01s.", Err(ErrorCode::NotAMap));
    check(b"}C\x01aK\x01s.", Err(ErrorCode::NotAMap));
    check(b"}X\x01\0\0\0aK\x01sX\x01\0\0\0aK\x02s.", Err(ErrorCode::DuplicateField));
    check(b"(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02d.", Err(ErrorCode::DuplicateField));
    check(b"}X\x01\0\0\0a(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02ds.", Ok(()));
    let field = |depth: usize| {
        [b"}U\x01m".as_slice(), &vec![b']'; depth], &vec![b'a'; depth - 1], b"s."].concat()
    };
    check(&field(128), Ok(()));
    check(&field(129), Err(ErrorCode::TooDeep));
    let twice = b"}X\x05\0\0\0topicK\x01sX\x05\0\0\0topicK\x02s.";
    let refusal =
        decode_body(twice, 0..twice.len(), &mut Document::new(), &Limits::default()).unwrap_err();
    assert_eq!(refusal.reason, "the field \"topic\" is given twice");
}

#[test]
fn reasons_tell_what_to_do() {
    let check = |pickle: &[u8], expected: &str| {
        assert_eq!(decoded(pickle).map(drop).unwrap_err().to_string(), expected);
    };
    check(
        b"\x80\x02cdatetime\ntzinfo\n.",
        "forbidden-pickle: the pickle imports datetime.tzinfo (GLOBAL at byte 2 of the pickle); \
         only plain data is accepted: None, bool, int, float, str, bytes, list, tuple, set, \
         frozenset, dict, and the types of datetime, decimal, uuid and fractions; \
         send a dict of its fields",
    );
    check(
        b"\x80\x02cdatetime\ndatetime\n.",
        "forbidden-pickle: the pickle holds datetime.datetime as a value; send plain data, as \
         str() of it",
    );
    check(
        b"cdatetime\ndate\nC\x04\x07\xea\x02\x1e\x85R.",
        "invalid-pickle: REDUCE at byte 22 of the pickle: it makes no date: it takes a date from \
         the years 1 to 9999, as 2026-11-29",
    );
    check(
        b"cdatetime\ndate\nK\x01\x85R.",
        "forbidden-pickle: the pickle calls datetime.date with arguments that no pickler writes \
         (REDUCE at byte 18 of the pickle); only plain data is accepted: None, bool, int, float, \
         str, bytes, list, tuple, set, frozenset, dict, and the types of datetime, decimal, uuid \
         and fractions; convert objects before pickling",
    );
    check(
        b"]K\x01Ns.",
        "malformed-pickle: SETITEM at byte 4 of the pickle: there is no dict to add to",
    );
    check(
        b"X\x05\0\0\0ab",
        "malformed-pickle: BINUNICODE at byte 0 of the pickle: it needs 5 bytes, but only 2 are \
         left",
    );
    check(b"]", "malformed-pickle: the pickle ends after 1 bytes without STOP; was it cut short?");
    check(
        b"c\x1b[2J\n\xff\n.",
        "forbidden-pickle: the pickle imports \\u{1b}[2J.\u{fffd} (GLOBAL at byte 0 of the \
         pickle); \
         only plain data is accepted: None, bool, int, float, str, bytes, list, tuple, set, \
         frozenset, dict, and the types of datetime, decimal, uuid and fractions; \
         send a dict of its fields",
    );
}

#[test]
fn integers_take_as_few_bytes_as_python_gives_them() {
    let check = |number: i64, expected: &[u8]| {
        let mut out = Vec::new();
        write_int(number, &mut out);
        assert_eq!(out, expected, "{number}");
    };
    check(0, b"K\x00");
    check(255, b"K\xff");
    check(256, b"M\x00\x01");
    check(65_535, b"M\xff\xff");
    check(-1, b"J\xff\xff\xff\xff");
    check(65_536, b"J\x00\x00\x01\x00");
    check(1 << 31, b"\x8a\x05\0\0\0\x80\0");
    check(-(1 << 31) - 1, b"\x8a\x05\xff\xff\xff\x7f\xff");
    check(i64::MAX, b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f");
    check(i64::MIN, b"\x8a\x08\0\0\0\0\0\0\0\x80");
}

#[test]
fn an_envelope_can_be_written_around_a_value() {
    let message = b"\x80\x04](K\x01X\x02\0\0\0\xc3\xa9e.";
    let document = decoded(message).unwrap();
    let mut out = Vec::new();
    write_prologue(&mut out);
    open_dict(&mut out);
    write_str(b"topic", &mut out);
    write_str(b"/a", &mut out);
    write_str(b"message", &mut out);
    encode(document.view(message, 0), Classes::None, &mut out);
    write_str(b"topics", &mut out);
    open_list(&mut out);
    write_bool(true, &mut out);
    write_none(&mut out);
    write_bytes(b"\xff", &mut out);
    close_list(&mut out);
    close_dict(&mut out);
    write_stop(&mut out);
    let mut document = Document::new();
    let at = decode_body(&out, 0..out.len(), &mut document, &Limits::default()).unwrap();
    let expected = r#"{"topic": "/a", "message": [1, "<e9>"], "topics": [True, None, bff]}"#;
    assert_eq!(show(document.view(&out, at)), expected);
}

/// Where the straight way has an answer, it is the machine's: values, and as a body.
#[test]
fn both_ways_lead_to_the_same_document() {
    let check = |pickle: &[u8], limits: &Limits| {
        let read = |of: &dyn Fn(&mut Document) -> Option<usize>| {
            let mut document = Document::new();
            of(&mut document).map(|at| {
                assert_eq!((at, document.nodes()[0].nodes()), (0, document.len()));
                show(document.view(pickle, at))
            })
        };
        let all = 0..pickle.len();
        let straight =
            read(&|document| fast_decode::read(pickle, all.clone(), document, limits, MAX_DEPTH));
        let machine = || read(&|document| by_machine(pickle, all.clone(), document, limits).ok());
        assert!(straight.is_none() || straight == machine(), "{}", pickle.escape_ascii());
        let body = read(&|document| decode_body(pickle, all.clone(), document, limits).ok());
        let machine = read(&|document| body_by_machine(pickle, all.clone(), document, limits).ok());
        assert_eq!(body, machine, "{}", pickle.escape_ascii());
        straight.is_some()
    };
    let pickles: Vec<Vec<u8>> = VALUES.lines().map(|line| unhex(columns::<5>(line)[3])).collect();
    let straight = pickles.iter().filter(|pickle| check(pickle, &limits())).count();
    assert!(straight * 2 > pickles.len(), "{straight} of {} went the straight way", pickles.len());
    let short: Vec<&Vec<u8>> = pickles.iter().filter(|pickle| pickle.len() < 500).collect();
    let mut random = Random(0xd1ff);
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut pickle = short[random.below(short.len())].clone();
        if round % 4 == 0 {
            // As the value of a field, among others.
            let inner = pickle.get(2..pickle.len() - 1).unwrap_or_default();
            pickle = [b"}(\x8c\x01a".as_slice(), inner, b"\x8c\x01bK\x01u."].concat();
        }
        let other = short[random.below(short.len())].clone();
        if round % 2 == 0 {
            random.mutate(&mut pickle, &other);
        }
        // Budgets end in the middle of things as well.
        let limits = Limits { decoded_size: 1 << random.below(14), ..Limits::default() };
        accepted += usize::from(check(&pickle, &limits));
    }
    assert!(accepted > 1_000, "only {accepted} were read the straight way");
    // Tuples are moved, and what is memoised may move with them.
    check(b"\x80\x04]\x94(\x8c\x01a\x94\x8c\x01b\x94\x86\x94h\x01h\x02\x87h\x01e.", &limits());
    for (deep, expected) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        assert_eq!(
            check(&[vec![b']'; deep], vec![b'a'; deep - 1], b".".to_vec()].concat(), &limits()),
            expected
        );
        check(&[b")".to_vec(), vec![opcode::TUPLE1; deep - 1], b".".to_vec()].concat(), &limits());
    }
}
