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
    rows.extend(shapes());
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

/// The shapes of types, with something in them that no pickler writes.
fn shapes() -> Vec<Row> {
    let uuid = b"cuuid\nUUID\n)\x81".as_slice();
    let dtype = b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R".as_slice();
    let state = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb".as_slice();
    let reconstruct =
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R".as_slice();
    let array = |shape: &[u8], data: &[u8]| {
        [reconstruct, b"(K\x01", shape, dtype, state, b"\x89", data, b"tb"].concat()
    };
    let zone = |key: &[u8]| {
        [
            b"cdatetime\ndatetime\nC\x0a\x07\xea\x02\x01\0\0\0\0\0\0".as_slice(),
            b"c__builtin__\ngetattr\nczoneinfo\nZoneInfo\nX\x09\0\0\0_unpickle\x86R",
            &[b"\x8c", &[key.len() as u8][..], key].concat(),
            b"K\x01\x86R\x86R",
        ]
        .concat()
    };
    let many = "1".repeat(1_000_000).into_bytes();
    let decimal = |text: &[u8]| {
        let length = (text.len() as u32).to_le_bytes();
        [b"cdecimal\nDecimal\nX".as_slice(), &length, text, b"\x85R"].concat()
    };
    let rows: Vec<(&str, &str, &str, Vec<u8>)> = vec![
        (
            "the 30th of February",
            "invalid-pickle",
            "date",
            b"cdatetime\ndate\nC\x04\x07\xea\x02\x1e\x85R".to_vec(),
        ),
        (
            "the year 65535",
            "invalid-pickle",
            "date",
            b"cdatetime\ndate\nC\x04\xff\xff\x02\x1e\x85R".to_vec(),
        ),
        (
            "a date of three bytes",
            "invalid-pickle",
            "date",
            b"cdatetime\ndate\nC\x03\x07\xea\x02\x85R".to_vec(),
        ),
        (
            "a date by its numbers",
            "forbidden-pickle",
            "datetime.date",
            b"cdatetime\ndate\nM\xea\x07K\x02K\x01\x87R".to_vec(),
        ),
        (
            "a time with a fold twice over",
            "invalid-pickle",
            "time",
            b"cdatetime\ntime\nC\x06\xff\0\0\0\0\0\x85R".to_vec(),
        ),
        (
            "a timedelta that is not normal",
            "invalid-pickle",
            "timedelta",
            b"cdatetime\ntimedelta\nK\0J\0\0\0\x7fK\0\x87R".to_vec(),
        ),
        (
            "a timezone of 10^9 days",
            "invalid-pickle",
            "timedelta",
            b"cdatetime\ntimezone\ncdatetime\ntimedelta\nJ\0\xca\x9a\x3bK\0K\0\x87R\x85R".to_vec(),
        ),
        (
            "a timezone of a day",
            "forbidden-pickle",
            "datetime.timezone",
            b"cdatetime\ntimezone\ncdatetime\ntimedelta\nK\x01K\0K\0\x87R\x85R".to_vec(),
        ),
        ("a zone that leads out", "invalid-pickle", "not known", zone(b"../../etc/passwd")),
        ("a zone in small letters", "invalid-pickle", "not known", zone(b"europe/berlin")),
        ("a zone without a name", "invalid-pickle", "not known", zone(b"")),
        (
            "another attribute of ZoneInfo",
            "forbidden-pickle",
            "getattr",
            b"c__builtin__\ngetattr\nczoneinfo\nZoneInfo\nX\x08\0\0\0no_cache\x86R".to_vec(),
        ),
        (
            "an attribute of another class",
            "forbidden-pickle",
            "getattr",
            b"c__builtin__\ngetattr\ncdatetime\ndatetime\nX\x09\0\0\0_unpickle\x86R".to_vec(),
        ),
        (
            "a name that looks alike",
            "forbidden-pickle",
            "datetime.datetime ",
            b"\x8c\x08datetime\x8c\x09datetime \x93".to_vec(),
        ),
        (
            "a dotted name",
            "forbidden-pickle",
            "core.multiarray.scalar",
            b"\x8c\x05numpy\x8c\x16core.multiarray.scalar\x93".to_vec(),
        ),
        ("a Decimal of 10^6 digits", "too-many-digits", "decimal", decimal(&many)),
        ("a Decimal with an underscore", "invalid-pickle", "decimal", decimal(b"1_0")),
        (
            "a Fraction with a zero",
            "invalid-pickle",
            "fraction",
            b"cfractions\nFraction\nK\x01K\0\x86R".to_vec(),
        ),
        (
            "a UUID that is negative",
            "forbidden-pickle",
            "BUILD",
            [uuid, b"}\x8c\x03intJ\xff\xff\xff\xffsb"].concat(),
        ),
        (
            "a UUID with other attributes",
            "forbidden-pickle",
            "BUILD",
            [uuid, b"}\x8c\x03intK\x01s\x8c\x01xK\x01sb"].concat(),
        ),
        (
            "a UUID with two states",
            "forbidden-pickle",
            "BUILD",
            [uuid, b"}\x8c\x03intK\x01sb}\x8c\x03intK\x01sb"].concat(),
        ),
        ("a UUID without a state", "forbidden-pickle", "without its state", uuid.to_vec()),
        (
            "a UUID of arguments",
            "forbidden-pickle",
            "builds an object",
            b"cuuid\nUUID\nK\x01\x85\x81".to_vec(),
        ),
        ("a dtype as a value", "forbidden-pickle", "numpy.dtype", [dtype, state].concat()),
        (
            "a dtype of objects",
            "forbidden-pickle",
            "numpy.dtype",
            b"cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R".to_vec(),
        ),
        (
            "a long double",
            "forbidden-pickle",
            "numpy.dtype",
            b"cnumpy\ndtype\n\x8c\x03f16\x89\x88\x87R".to_vec(),
        ),
        (
            "a numpy text of 4 GB",
            "forbidden-pickle",
            "scalar",
            [
                b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x0aU536870911\x89\x88\x87R"
                    .as_slice(),
                state,
                b"C\x04abcd\x86R",
            ]
            .concat(),
        ),
        (
            "a numpy scalar without a state",
            "forbidden-pickle",
            "scalar",
            [b"cnumpy.core.multiarray\nscalar\n".as_slice(), dtype, b"C\x08abcdefgh\x86R"].concat(),
        ),
        (
            "a numpy scalar that is short",
            "forbidden-pickle",
            "scalar",
            [b"cnumpy.core.multiarray\nscalar\n".as_slice(), dtype, state, b"C\x07abcdefg\x86R"]
                .concat(),
        ),
        (
            "an array of a shape of 2^62 lists",
            "too-large",
            "decodes",
            array(b"\x8a\x08\0\0\0\0\0\0\0@K\0\x86", b"C\0"),
        ),
        (
            "an array of 10^9 empty lists",
            "too-large",
            "decodes",
            array(b"J\0\xca\x9a;K\0\x86", b"C\0"),
        ),
        (
            "an array with too few bytes",
            "invalid-pickle",
            "8 bytes of data, and its dtype and shape take 16",
            array(b"K\x02\x85", b"C\x08abcdefgh"),
        ),
        (
            "an array of a negative shape",
            "forbidden-pickle",
            "BUILD",
            array(b"J\xff\xff\xff\xff\x85", b"C\x08abcdefgh"),
        ),
        (
            "an array of a long shape",
            "forbidden-pickle",
            "BUILD",
            array(b"\x8a\x09\0\0\0\0\0\0\0\0\x01\x85", b"C\0"),
        ),
        (
            "an array of 65 dimensions",
            "invalid-pickle",
            "64 dimensions",
            array(&[b"(".as_slice(), &b"K\x01".repeat(65), b"t"].concat(), b"C\x08abcdefgh"),
        ),
        (
            "an array of a list of objects",
            "forbidden-pickle",
            "BUILD",
            array(b"K\x01\x85", b"]K\x01a"),
        ),
        (
            "an array without its state",
            "forbidden-pickle",
            "without its state",
            reconstruct.to_vec(),
        ),
        (
            "an array of another class",
            "forbidden-pickle",
            "_reconstruct with arguments",
            b"cnumpy.core.multiarray\n_reconstruct\ncuuid\nUUID\nK\0\x85C\x01b\x87R".to_vec(),
        ),
        ("a matrix", "forbidden-pickle", "numpy.matrix", b"cnumpy\nmatrix\n".to_vec()),
        (
            "an array with an axis that it has not",
            "forbidden-pickle",
            "_frombuffer",
            [
                b"cnumpy.core.numeric\n_frombuffer\n(C\x08abcdefgh".as_slice(),
                dtype,
                state,
                b"K\x01\x85\x8c\x01KK\x01\x85tR",
            ]
            .concat(),
        ),
        (
            "an array as a key",
            "unhashable",
            "numpy.ndarray",
            [b"}".as_slice(), &array(b"K\x01\x85", b"C\x08abcdefgh"), b"K\x01s"].concat(),
        ),
        (
            "a range of 10^12 numbers",
            "too-large",
            "",
            b"cbuiltins\nrange\nK\0\x8a\x06\0\x10\xa5\xd4\xe8\0K\x01\x87R".to_vec(),
        ),
        (
            "a range of no steps",
            "forbidden-pickle",
            "range",
            b"cbuiltins\nrange\nK\0K\x01K\0\x87R".to_vec(),
        ),
        (
            "a deque with items in its arguments",
            "forbidden-pickle",
            "deque",
            b"ccollections\ndeque\nK\x01\x85K\x02\x86R".to_vec(),
        ),
        (
            "a defaultdict of a function",
            "forbidden-pickle",
            "posix.system",
            b"ccollections\ndefaultdict\ncposix\nsystem\n\x85R".to_vec(),
        ),
        (
            "an OrderedDict with attributes",
            "forbidden-pickle",
            "BUILD",
            b"ccollections\nOrderedDict\n)R}b".to_vec(),
        ),
        (
            "a path of bytes",
            "forbidden-pickle",
            "PosixPath",
            b"cpathlib\nPosixPath\nC\x01a\x85R".to_vec(),
        ),
        (
            "an sNaN as a key",
            "unhashable",
            "sNaN",
            [b"}".as_slice(), &decimal(b"sNaN"), b"Ns"].concat(),
        ),
        (
            "a date as a function",
            "forbidden-pickle",
            "cannot be called",
            b"cdatetime\ndate\nC\x04\x07\xea\x02\x01\x85R)R".to_vec(),
        ),
    ];
    rows.into_iter()
        .map(|(name, code, words, opcodes)| payload(name, Pickle, &opcodes, code).naming(words))
        .collect()
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
