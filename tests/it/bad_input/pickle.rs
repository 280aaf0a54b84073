//! Pickles that run code, that are bombs, or that confuse the machine that reads them.

use babelmq::Format::Pickle;

use super::row::{Row, around, delivered, payload, refused, truncations};
use crate::support::python::{hex, unicode};

/// The longest pickle of the vectors that is sent here, in hexadecimal digits.
const LONGEST: usize = 400_000;

pub fn rows() -> Vec<Row> {
    let mut rows =
        truncations(Pickle, b"](K\x01X\x01\0\0\0a\x8a\x02\xff\x7fNG\x3f\xf0\0\0\0\0\0\0e");
    rows.extend(vectors());
    rows.extend(forbidden());
    rows.extend(bombs());
    rows.extend(memo());
    rows.extend(marks());
    rows.extend(lengths());
    rows.extend(keys());
    rows
}

/// What CPython wrote for the codec's own tests: name, code, words of the reason, the pickle.
fn vectors() -> Vec<Row> {
    let lines = include_str!("../../../crates/codec/tests/vectors/pickle/refused.txt")
        .lines()
        .filter(|line| line.contains('\t'));
    let mut rows = Vec::new();
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, code, words, pickle] = columns[..] else { panic!("{line}") };
        if pickle.len() > LONGEST {
            continue;
        }
        let code = known(code);
        let pickle = hex(pickle);
        // Whole, they are no map; and what is a fault of the map comes first where nothing else is
        // refused while it is read.
        let row = if code == "malformed-pickle" {
            refused(name, Pickle, &pickle, code)
        } else {
            let opcodes = if pickle.first() == Some(&0x80) { &pickle[2..] } else { &pickle };
            payload(name, Pickle, &opcodes[..opcodes.len() - 1], code)
        };
        // The reasons of the others say at which byte of the pickle, which here is another.
        rows.push(row.naming(if code == "forbidden-pickle" { words } else { "" }));
    }
    rows
}

fn known(code: &str) -> &'static str {
    let codes = [
        "forbidden-pickle",
        "malformed-pickle",
        "too-many-digits",
        "invalid-value",
        "unhashable",
        "cycle",
        "too-deep",
        "too-large",
    ];
    codes.into_iter().find(|known| *known == code).unwrap_or_else(|| panic!("{code}"))
}

/// Every opcode that imports, calls, builds or fetches, as each protocol would carry it.
fn forbidden() -> Vec<Row> {
    let opcodes: [(&str, &str, &[u8]); 19] = [
        ("GLOBAL", "posix.system", b"cposix\nsystem\n"),
        ("GLOBAL of a dotted name", "os.path.join", b"cos\npath.join\n"),
        ("GLOBAL of nothing", ".", b"c\n\n"),
        ("INST", "posix.system", b"(X\x02\0\0\0idiposix\nsystem\n"),
        ("OBJ", "OBJ", b"(NX\x02\0\0\0ido"),
        ("REDUCE", "REDUCE", b"N)R"),
        ("GLOBAL and REDUCE", "posix.system", b"cposix\nsystem\n(X\x02\0\0\0idtR"),
        ("BUILD", "BUILD", b"}}b"),
        ("PERSID", "PERSID", b"Pid\n"),
        ("BINPERSID", "BINPERSID", b"K\x01Q"),
        ("NEWOBJ", "NEWOBJ", b"N)\x81"),
        ("EXT1", "EXT1", b"\x82\x01"),
        ("EXT2", "EXT2", b"\x83\x01\x01"),
        ("EXT4", "EXT4", b"\x84\x01\x01\0\0"),
        ("NEWOBJ_EX", "NEWOBJ_EX", b"N)}\x92"),
        ("STACK_GLOBAL", "posix.system", b"X\x05\0\0\0posixX\x06\0\0\0system\x93"),
        (
            "STACK_GLOBAL and REDUCE",
            "posix.system",
            b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x85R",
        ),
        ("NEXT_BUFFER", "NEXT_BUFFER", b"\x97"),
        ("READONLY_BUFFER", "READONLY_BUFFER", b"C\0\x98"),
    ];
    let mut rows = Vec::new();
    for (name, named, opcodes) in opcodes {
        for protocol in 0..=5 {
            // Protocols 0 and 1 do not say so.
            let says = if protocol < 2 { vec![] } else { vec![0x80, protocol] };
            for (place, opcodes) in [
                ("as the message", opcodes.to_vec()),
                ("in a list", [b"](", opcodes, b"e"].concat()),
                ("as a key", [b"}", opcodes, b"Ns"].concat()),
                ("and thrown away", [opcodes, b"0N"].concat()),
            ] {
                let body = [&says, &around(Pickle, &opcodes)[2..]].concat();
                let shown = format!("{name} {place}, protocol {protocol}");
                rows.push(refused(shown, Pickle, body, "forbidden-pickle").naming(named));
            }
        }
    }
    rows
}

/// Small pickles that are large, deep or slow to others.
fn bombs() -> Vec<Row> {
    let digits = vec![b'1'; 1_000_000];
    let shared_list = {
        let list = [b"](", &b"K\x01".repeat(50_000)[..], b"eq\x00"].concat();
        [b"](", &list[..], &b"h\x00".repeat(20_000), b"e"].concat()
    };
    let mut laughs = b"(]q\x00".to_vec();
    for level in 0..30_u8 {
        laughs.extend_from_slice(&[b'h', level, b'h', level, 0x86, b'q', level + 1]);
    }
    laughs.push(b't');
    let nans = [b"\x8f(", &b"G\x7f\xf8\0\0\0\0\0\0".repeat(3)[..], b"\x90"].concat();
    let name = unicode("name");
    let one = [b"}q\x00", &name[..], b"K\x01s"].concat();
    let ordered = [b"}(", &unicode("z")[..], b"K\x01", &unicode("a"), b"K\x02u"].concat();
    vec![
        payload("1,940 tuples", Pickle, [b")", &[0x85; 1_940][..]].concat(), "too-deep"),
        payload("32,600 tuples", Pickle, [b")", &[0x85; 32_600][..]].concat(), "too-deep"),
        refused(
            "32,600 tuples, never finished",
            Pickle,
            [b"\x80\x02)", &[0x85; 32_600][..]].concat(),
            "malformed-pickle",
        ),
        payload(
            "100,000 lists",
            Pickle,
            [vec![b']'; 100_000], vec![b'a'; 99_999]].concat(),
            "too-deep",
        ),
        payload(
            "a list appended to itself, 32 times",
            Pickle,
            [b"]", &b"2a".repeat(32)[..]].concat(),
            "cycle",
        ),
        payload("1,000,000 marks", Pickle, [b'('; 1_000_000], "malformed-pickle"),
        payload("a list of 50,000, 20,000 times", Pickle, shared_list, "too-large"),
        payload("a billion laughs", Pickle, laughs, "too-large"),
        payload(
            "1,000,000 digits",
            Pickle,
            [b"L", &digits[..], b"L\n"].concat(),
            "too-many-digits",
        ),
        payload(
            "1,000,000 digits without L",
            Pickle,
            [b"I", &digits[..], b"\n"].concat(),
            "too-many-digits",
        ),
        payload(
            "LONG4 of 1 MB",
            Pickle,
            [b"\x8b\0\0\x10\0", &[0x7f; 1 << 20][..]].concat(),
            "too-many-digits",
        ),
        payload(
            "1,000,000 digits of a float",
            Pickle,
            [b"F", &digits[..], b"\n"].concat(),
            "invalid-value",
        ),
        delivered(
            "the same dict twice",
            Pickle,
            [b"](", &one[..], b"h\x00e"].concat(),
            r#"[{"name": 1}, {"name": 1}]"#,
        ),
        delivered(
            "a dict whose order is not that of its keys",
            Pickle,
            ordered,
            r#"{"a": 2, "z": 1}"#,
        ),
        delivered("LONG4 of no bytes", Pickle, b"\x8b\0\0\0\0", "0"),
        payload(
            "a set of three NaN in a list of lists",
            Pickle,
            [b"]", &nans[..], b"a0)("].concat(),
            "malformed-pickle",
        ),
    ]
}

fn memo() -> Vec<Row> {
    let many = [b"](", &b"N\x94".repeat(500_000)[..], b"e"].concat();
    let far: Vec<u8> = (0..50_000_u32)
        .flat_map(|count| {
            [&b"Nr"[..], &(count.wrapping_mul(85_899) | 1 << 31).to_le_bytes(), b"0"].concat()
        })
        .collect();
    vec![
        payload("GET of nothing", Pickle, b"g7\n", "malformed-pickle"),
        payload("BINGET of nothing", Pickle, b"h\xff", "malformed-pickle"),
        payload("LONG_BINGET of nothing", Pickle, b"j\xff\xff\xff\xff", "malformed-pickle"),
        payload("GET of a negative number", Pickle, b"g-1\n", "malformed-pickle"),
        payload("GET of no number", Pickle, b"gx\n", "malformed-pickle"),
        payload(
            "GET of 1 MB of digits",
            Pickle,
            [b"g", &[b'9'; 1 << 20][..], b"\n"].concat(),
            "malformed-pickle",
        ),
        payload("PUT of a negative number", Pickle, b"Np-1\n", "malformed-pickle"),
        payload(
            "PUT of a number too large",
            Pickle,
            b"Np99999999999999999999\n",
            "malformed-pickle",
        ),
        payload("PUT of a mark", Pickle, b"((q\x001", "malformed-pickle"),
        payload("MEMOIZE of a mark", Pickle, b"((\x941", "malformed-pickle"),
        payload("a list that holds itself", Pickle, b"]q\x00h\x00a", "cycle"),
        payload("a dict that holds itself", Pickle, b"}q\x00K\x01h\x00s", "cycle"),
        payload("a list in its tuple", Pickle, b"]q\x00h\x00\x85q\x01a", "cycle"),
        payload("two lists in each other", Pickle, b"]q\x00]q\x01h\x00aa", "cycle"),
        payload("a dict that is its own key", Pickle, b"}q\x00h\x00h\x00s", "cycle"),
        delivered(
            "LONG_BINPUT of the largest number",
            Pickle,
            b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff",
            "None",
        ),
        delivered("50,000 far numbers", Pickle, [&far[..], b"N"].concat(), "None"),
        delivered("a number memoised anew", Pickle, b"K\x01q\x000K\x02q\x000h\x00", "2"),
        payload(
            "500,000 memoised and one missing",
            Pickle,
            [&many[..], b"g500000\n"].concat(),
            "malformed-pickle",
        ),
    ]
}

fn marks() -> Vec<Row> {
    let list: [(&str, &[u8]); 20] = [
        ("STOP at a mark", b"("),
        ("POP_MARK without a mark", b"N11111"),
        ("POP of the command", b"00000000000"),
        ("DUP of a mark", b"(2"),
        ("TUPLE without a mark", b"ttt"),
        ("TUPLE1 of a mark", b"(\x85"),
        ("TUPLE3 of two", b"(NN\x87"),
        ("APPEND at a mark", b"](a"),
        ("APPENDS to a tuple", b")(Ne"),
        ("APPENDS to a mark", b"((e"),
        ("SETITEM on a list", b"]NNs"),
        ("SETITEM at a mark", b"}N(s"),
        ("SETITEMS of three", b"}(NNNu"),
        ("SETITEMS on a number", b"K\x01(u"),
        ("DICT of one", b"(Nd"),
        ("ADDITEMS to a list", b"](N\x90"),
        ("ADDITEMS to a frozenset", b"(\x91(N\x90"),
        ("FROZENSET without a mark", b"\x91\x91\x91"),
        ("marks that are popped and used", b"(((1110t"),
        ("STOP too early", b"N.N"),
    ];
    list.into_iter()
        .map(|(name, opcodes)| payload(name, Pickle, opcodes, "malformed-pickle"))
        .collect()
}

/// Lengths that promise more than there is, or more than there could be.
fn lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, opcode, width) in [
        ("SHORT_BINUNICODE", 0x8c, 1),
        ("BINUNICODE", b'X', 4),
        ("BINUNICODE8", 0x8d, 8),
        ("SHORT_BINBYTES", b'C', 1),
        ("BINBYTES", b'B', 4),
        ("BINBYTES8", 0x8e, 8),
        ("BYTEARRAY8", 0x96, 8),
        ("BINSTRING", b'T', 4),
        ("SHORT_BINSTRING", b'U', 1),
        ("LONG1", 0x8a, 1),
        ("LONG4", 0x8b, 4),
        ("FRAME", 0x95, 8),
    ] {
        let mut add = |what: &str, length: Vec<u8>| {
            let opcodes = [&[opcode], &length[..], b"ab"].concat();
            rows.push(payload(format!("{name} of {what}"), Pickle, opcodes, "malformed-pickle"));
        };
        add("as much as can be said", vec![0xff; width]);
        add("a negative length", [vec![0; width - 1], vec![0x80]].concat());
        add("more than there is", [vec![200], vec![0; width - 1]].concat());
        let whole = [&b"\x80\x04"[..], &[opcode]].concat();
        for have in 0..width {
            let body = [&whole[..], &vec![0; have]].concat();
            rows.push(refused(
                format!("{name} with {have} bytes of its length"),
                Pickle,
                body,
                "malformed-pickle",
            ));
        }
    }
    for (name, opcodes) in [
        ("a text that is no UTF-8", &b"X\x01\0\0\0\xff"[..]),
        ("a short text that is no UTF-8", b"\x8c\x02\xc3\x28"),
        ("a long text that is no UTF-8", b"\x8d\x01\0\0\0\0\0\0\0\xfe"),
        ("overlong UTF-8", b"X\x02\0\0\0\xc0\x80"),
        ("UTF-8 cut short", b"X\x02\0\0\0\xe2\x82"),
        ("beyond Unicode", b"X\x04\0\0\0\xf4\x90\x80\x80"),
        ("a protocol that there is not", b"\x80\x06N"),
        ("the last protocol that can be said", b"\x80\xffN"),
    ] {
        rows.push(payload(name, Pickle, opcodes, "malformed-pickle"));
    }
    rows.push(payload("a lone surrogate", Pickle, b"X\x03\0\0\0\xed\xa0\x80", "invalid-value"));
    // Every byte that is no opcode.
    let known = b"(.012FIJKLMNPQRSTUVXabc}eghijl]opqrs)tuGdB\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\
        C\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98";
    for opcode in (0..=u8::MAX).filter(|opcode| !known.contains(opcode)) {
        rows.push(payload(format!("opcode {opcode:#04x}"), Pickle, [opcode], "malformed-pickle"));
    }
    rows
}

fn keys() -> Vec<Row> {
    let (command, ping) = (unicode("command"), unicode("ping"));
    let twice = [b"\x80\x02}(", &command[..], &ping, &command, &ping, b"u."].concat();
    let set_anew = [b"\x80\x02}", &command[..], &ping, b"s", &command, &ping, b"s."].concat();
    let bytes = [b"\x80\x03}C\x07command", &ping[..], b"s."].concat();
    vec![
        payload("a list as a key", Pickle, b"}]Ns", "unhashable"),
        payload("a dict as a key", Pickle, b"}}Ns", "unhashable"),
        payload("a set as a key", Pickle, b"}\x8fNs", "unhashable"),
        payload("a bytearray as a key", Pickle, b"}\x96\0\0\0\0\0\0\0\0Ns", "unhashable"),
        payload("a list in a tuple as a key", Pickle, b"}]\x85Ns", "unhashable"),
        payload("a list in a set", Pickle, b"\x8f(]\x90", "unhashable"),
        payload("a set in a frozenset", Pickle, b"(\x8f\x91", "unhashable"),
        refused("a command twice", Pickle, twice, "duplicate-field"),
        refused("a command set anew", Pickle, set_anew, "duplicate-field"),
        refused("a command in bytes", Pickle, bytes, "not-a-map"),
        refused("a number as a field's name", Pickle, b"\x80\x02}K\x01K\x02s.", "not-a-map"),
        refused("a list", Pickle, b"\x80\x02].", "not-a-map"),
        delivered("a key twice", Pickle, b"}(K\x01K\x02K\x01K\x03u", "{1: 3}"),
        delivered(
            "equal keys of three types",
            Pickle,
            b"}(K\x01K\x02G\x3f\xf0\0\0\0\0\0\0K\x03\x88K\x04u",
            "{1: 4}",
        ),
        delivered("equal elements", Pickle, b"\x8f(K\x01\x88K\x01\x90", "{1}"),
    ]
}
