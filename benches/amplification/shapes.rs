//! The shapes that are measured.

use babelmq::Format::{self, Json, Pickle, Xml};

/// A message.
pub(crate) struct Shape {
    /// What it is.
    pub(crate) name: String,
    /// Its format.
    pub(crate) format: Format,
    message: Vec<u8>,
    /// Bytes of a field that nobody reads, so that there are more of them.
    padding: usize,
}

impl Shape {
    /// A body that publishes it.
    pub(crate) fn body(&self) -> Vec<u8> {
        let message = &self.message[..];
        match self.format {
            Json => [br#"{"command":"publish","topic":"t","message":"#, message, b"}"].concat(),
            Xml => [b"<f command=\"publish\" topic=\"t\">", message, b"</f>"].concat(),
            Pickle => {
                let padding = match self.padding {
                    0 => Vec::new(),
                    some => [b"\x8c\x01pX", &(some as u32).to_le_bytes()[..], &vec![b'x'; some]]
                        .concat(),
                };
                let head = b"\x8c\x07command\x8c\x07publish\x8c\x05topic\x8c\x01t\x8c\x07message";
                [b"\x80\x04}(", &padding[..], head, message, b"u."].concat()
            }
        }
    }
}

fn shape(name: &str, format: Format, message: impl Into<Vec<u8>>) -> Shape {
    Shape { name: name.into(), format, message: message.into(), padding: 0 }
}

/// Plain records in JSON.
pub(crate) fn records() -> Vec<Shape> {
    [
        r#"{"id":48213,"name":"Anna Berg","mail":"anna@example.org","town":"Bergen","zip":"5003","since":2011,"vip":true,"score":4.75}"#,
        r#"{"origin":"EWR","year":2013,"month":1,"day":1,"hour":1,"temp":39.02,"dewp":26.06,"humid":59.37,"wind_dir":270,"wind_speed":10.36,"wind_gust":null,"precip":0,"pressure":1012,"visib":10,"time_hour":"2013-01-01T06:00:00Z"}"#,
        r#"{"order":900017,"placed":"2025-03-14T09:26:53Z","customer":{"id":48213,"name":"Nora Lind","country":"NO"},"items":[{"sku":"X1-2","count":3,"price":19.99},{"sku":"B7","count":1,"price":240.0}],"total":299.97,"gift":false,"note":"leave it with the neighbour"}"#,
    ]
    .into_iter()
    .map(|record| shape("plain records", Json, record))
    .collect()
}

fn list(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect::<Vec<_>>().join(",")
}

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

/// All of them.
pub(crate) fn shapes() -> Vec<Shape> {
    [records(), json(), xml(), pickles(), references()].into_iter().flatten().collect()
}

fn json() -> Vec<Shape> {
    let record = records().swap_remove(1).message;
    let record = String::from_utf8(record).unwrap_or_default();
    let digits = "7".repeat(4_300);
    let rows = [
        ("a digit", "1".into()),
        ("null", "null".into()),
        ("an empty text", "\"\"".into()),
        ("256 records", format!("[{}]", list(256, |_| record.clone()))),
        ("4,096 records", format!("[{}]", list(4_096, |_| record.clone()))),
        ("128 arrays inside each other", nested("[", "", "]", 128)),
        ("127 objects inside each other", nested("{\"a\":", "1", "}", 127)),
        (
            "many arrays of 100 inside each other",
            format!("[{}]", list(500, |_| nested("[", "", "]", 100))),
        ),
        ("digits in an array", format!("[{}]", list(100_000, |_| "1".into()))),
        ("empty arrays", format!("[{}]", list(50_000, |_| "[]".into()))),
        ("empty objects", format!("[{}]", list(50_000, |_| "{}".into()))),
        ("empty texts", format!("[{}]", list(50_000, |_| "\"\"".into()))),
        (
            "integers of 19 digits",
            format!("[{}]", list(5_000, |index| format!("{}", u64::MAX - index as u64))),
        ),
        ("integers of 4,300 digits", format!("[{}]", list(50, |_| digits.clone()))),
        ("integers of 300 digits", format!("[{}]", list(500, |_| digits[..300].into()))),
        (
            "integers of 300 digits as keys",
            format!(
                "{{\"$dict\":[{}]}}",
                list(500, |index| format!("[{}{index},1]", &digits[..297]))
            ),
        ),
        (
            "$int of 4,300 digits",
            format!("[{}]", list(50, |_| format!("{{\"$int\":\"{digits}\"}}"))),
        ),
        (
            "sets of integers of 4,300 digits",
            format!("{{\"$set\":[{}]}}", list(50, |index| format!("{index}{}", &digits[..4_290]))),
        ),
        (
            "floats of 17 digits",
            format!("[{}]", list(5_000, |index| format!("0.{}", 12_345_678_901_234_567 + index))),
        ),
        (
            "large floats",
            format!("[{}]", list(5_000, |index| format!("1.7976931348623157e{}", index % 300))),
        ),
        (
            "small floats",
            format!("[{}]", list(5_000, |index| format!("4.9e-{}", 300 + index % 24))),
        ),
        ("1e9", format!("[{}]", list(20_000, |_| "1e9".into()))),
        ("a float of 20,000 digits", format!("0.{}", "7".repeat(20_000))),
        (
            "floats halfway between two",
            format!(
                "[{}]",
                list(500, |_| "9007199254740993.00000000000000000000000000000000000001".into())
            ),
        ),
        ("escapes", format!("\"{}\"", "\\n".repeat(30_000))),
        ("control characters", format!("\"{}\"", "\\u0001".repeat(30_000))),
        ("unicode escapes", format!("\"{}\"", "\\u00e9".repeat(30_000))),
        ("surrogate pairs", format!("\"{}\"", "\\ud83d\\ude00".repeat(20_000))),
        ("quotes", format!("\"{}\"", "\\\"".repeat(30_000))),
        ("markup", format!("\"{}\"", "&<>".repeat(30_000))),
        ("short texts of markup", format!("[{}]", list(20_000, |_| "\"&\"".into()))),
        (
            "short texts that XML cannot carry",
            format!("[{}]", list(20_000, |_| "\"\\u0001\"".into())),
        ),
        ("a text of 1 MiB", format!("\"{}\"", "x".repeat(1 << 20))),
        ("a text of 64 KiB that is not ASCII", format!("\"{}\"", "漢".repeat(20_000))),
        ("one key many times", format!("{{{}}}", list(20_000, |_| "\"a\":1".into()))),
        ("20,000 keys", format!("{{{}}}", list(20_000, |index| format!("\"{index}\":1")))),
        (
            "objects of 33 keys",
            format!(
                "[{}]",
                list(500, |_| format!("{{{}}}", list(33, |index| format!("\"k{index}\":1"))))
            ),
        ),
        ("keys that are no names", format!("[{}]", list(5_000, |_| "{\"&\":1}".into()))),
        ("keys that XML cannot carry", format!("[{}]", list(5_000, |_| "{\"\\u0001\":1}".into()))),
        ("a key of 64 KiB", format!("{{\"{}\":1}}", "k".repeat(1 << 16))),
        ("a key of 64 KiB of quotes", format!("{{\"{}\":1}}", "\\\"".repeat(1 << 15))),
        (
            "duplicates 127 deep",
            format!(
                "{}[{}]{}",
                "{\"a\":0,\"a\":".repeat(127),
                list(20_000, |_| "1".into()),
                "}".repeat(127)
            ),
        ),
        ("$tuple inside each other", nested("{\"$tuple\":[", "", "]}", 128)),
        ("$tuple of one", format!("[{}]", list(5_000, |_| "{\"$tuple\":[1]}".into()))),
        ("$set of integers", format!("{{\"$set\":[{}]}}", list(20_000, |index| index.to_string()))),
        (
            "$set of equal numbers",
            format!("{{\"$set\":[{}]}}", list(20_000, |_| "1,1.0,true".into())),
        ),
        ("$set of two", format!("[{}]", list(5_000, |_| "{\"$set\":[1,2]}".into()))),
        (
            "$frozenset inside each other",
            format!("{{\"$set\":[{}]}}", nested("{\"$frozenset\":[", "1,2,3", "]}", 127)),
        ),
        (
            "$frozenset of many, 127 deep",
            format!(
                "{{\"$set\":[{}]}}",
                nested("{\"$frozenset\":[", &list(5_000, |index| index.to_string()), "]}", 127)
            ),
        ),
        (
            "$set of tuples",
            format!(
                "{{\"$set\":[{}]}}",
                list(5_000, |index| format!("{{\"$tuple\":[{index},\"x\"]}}"))
            ),
        ),
        ("$dict inside each other", nested("{\"$dict\":[[1,", "1", "]]}", 127)),
        ("$dict with an object's key", nested("{\"$dict\":[[\"$a\",", "1", "]]}", 127)),
        (
            "$dict of numbers",
            format!("{{\"$dict\":[{}]}}", list(10_000, |index| format!("[{index},1]"))),
        ),
        (
            "$dict whose keys meet",
            format!(
                "{{\"$dict\":[[1,1],[\"1\",1],{}]}}",
                list(10_000, |index| format!("[{index},1]"))
            ),
        ),
        ("$bytes of 64 KiB", format!("{{\"$bytes\":\"{}\"}}", "AAAA".repeat(1 << 14))),
        ("$bytes of none", format!("[{}]", list(10_000, |_| "{\"$bytes\":\"\"}".into()))),
        ("spaces", format!("[{}1]", " ".repeat(100_000))),
        ("an array that is not closed", "[".repeat(100_000)),
    ];
    rows.into_iter().map(|(name, message): (&str, String)| shape(name, Json, message)).collect()
}

fn xml() -> Vec<Shape> {
    let inside = |text: String| format!("<message>{text}</message>");
    let typed = |type_: &str, text: String| format!("<message type=\"{type_}\">{text}</message>");
    let record = "<r type=\"dict\"><id type=\"int\">48213</id><name type=\"str\">Anna \
    Berg</name><score type=\"float\">4.75</score></r>";
    let digits = "7".repeat(4_300);
    let rows = [
        ("an empty element", "<message/>".into()),
        ("1,000 records", typed("list", record.repeat(1_000))),
        (
            "1,000 plain records",
            inside("<r id='5'><name>Anna</name><town>Bergen</town></r>".repeat(1_000)),
        ),
        ("elements inside each other", inside(nested("<a>", "", "</a>", 126))),
        (
            "many elements inside each other",
            inside(format!("<b>{}</b>", nested("<a>", "", "</a>", 100)).repeat(100)),
        ),
        ("one child many times", inside("<a/>".repeat(20_000))),
        ("two children in turn", inside("<a/><b/>".repeat(20_000))),
        (
            "repeated children 60 deep",
            inside(format!(
                "{}{}{}",
                "<a><b/>".repeat(60),
                "<c/>".repeat(10_000),
                "<b/></a>".repeat(60)
            )),
        ),
        (
            "20,000 children of different names",
            inside((0..20_000).map(|index| format!("<a{index}/>")).collect()),
        ),
        (
            "20,000 attributes",
            format!(
                "<message {}/>",
                (0..20_000).map(|index| format!(" a{index}=''")).collect::<String>()
            ),
        ),
        ("one attribute each", inside("<a b=''/>".repeat(10_000))),
        ("references", inside("&amp;".repeat(20_000))),
        ("character references", inside("&#233;".repeat(20_000))),
        ("references in attributes", inside("<a b='&lt;&#9;'/>".repeat(5_000))),
        ("CDATA sections", inside("<![CDATA[&<]]>".repeat(10_000))),
        ("comments", inside("x<!---->".repeat(10_000))),
        ("instructions", inside("<?a b?>".repeat(10_000))),
        ("5,000 prefixes and children that use them", {
            let prefixes: String =
                (0..5_000).map(|index| format!(" xmlns:p{index}='u{index}'")).collect();
            let children: String = (0..5_000).map(|index| format!("<p{index}:c/>")).collect();
            format!("<message{prefixes}>{children}</message>")
        }),
        (
            "prefixes declared at each level",
            inside(nested("<a xmlns:p='u' xmlns:q='v'>", "", "</a>", 120)),
        ),
        (
            "integers of 4,300 digits",
            typed("list", format!("<i type=\"int\">{digits}</i>").repeat(50)),
        ),
        ("floats", typed("list", "<i type=\"float\">1.7976931348623157e308</i>".repeat(2_000))),
        (
            "a map",
            typed(
                "map",
                (0..5_000)
                    .map(|index| format!("<entry><key type=\"int\">{index}</key><value/></entry>"))
                    .collect(),
            ),
        ),
        (
            "maps inside each other",
            format!(
                "<message type=\"map\">{}</message>",
                nested("<entry><key/><value type=\"map\">", "", "</value></entry>", 126)
            ),
        ),
        (
            "frozensets inside each other",
            typed("set", nested("<i type=\"frozenset\">", "<i type=\"int\">7</i>", "</i>", 127)),
        ),
        (
            "a set of integers",
            typed("set", (0..5_000).map(|index| format!("<i type=\"int\">{index}</i>")).collect()),
        ),
        (
            "base64 of text",
            typed("list", "<i type=\"str\" encoding=\"base64\">AQEBAQEBAQEB</i>".repeat(2_000)),
        ),
        (
            "base64 of 64 KiB of control characters",
            format!(
                "<message type=\"str\" encoding=\"base64\">{}</message>",
                "AQEB".repeat(1 << 14)
            ),
        ),
        (
            "keys in base64",
            typed(
                "dict",
                (0..2_000).map(|index| format!("<item key=\"&quot;{index}\"/>")).collect(),
            ),
        ),
        ("lines", inside("\r\n".repeat(20_000) + "x")),
        ("an element that is not closed", "<a>".repeat(20_000)),
        ("a message that is an attribute", "<message/><message type=\"int\">5</message>".into()),
    ];
    rows.into_iter().map(|(name, message): (&str, String)| shape(name, Xml, message)).collect()
}

fn counted(opcode: u8, bytes: &[u8]) -> Vec<u8> {
    [&[opcode][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn pickles() -> Vec<Shape> {
    let each =
        |count: u16, one: &dyn Fn(u16) -> Vec<u8>| (0..count).flat_map(one).collect::<Vec<u8>>();
    let record = b"}\x94(\x8c\x02id\x94MU\xbc\x8c\x04name\x94\x8c\x09Anna \
    Berg\x94\x8c\x05score\x94G@\x13\0\0\0\0\0\0u";
    let integer = counted(0x8b, &[7; 1_786 - 1]);
    let decimal = [b"L", "7".repeat(4_300).as_bytes(), b"L\n"].concat();
    let number = |index: u16| [b"M", &index.to_le_bytes()[..]].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("None", b"N".to_vec()),
        ("1,000 records", [b"](", &record.repeat(1_000)[..], b"e"].concat()),
        ("a record of protocol 0", b"(dVid\nI48213\nsVname\nVAnna\nsVscore\nF4.75\ns".to_vec()),
        ("protocol 0, integers", [b"(l", &b"I12345\na".repeat(5_000)[..]].concat()),
        ("protocol 0, floats", [b"(l", &b"F0.1234567890123\na".repeat(5_000)[..]].concat()),
        (
            "protocol 0, texts with escapes",
            [b"(l", &b"V\\u00e9\\u1234\na".repeat(5_000)[..]].concat(),
        ),
        ("None many times", [b"](", &b"N".repeat(50_000)[..], b"e"].concat()),
        ("empty lists", [b"](", &b"]".repeat(50_000)[..], b"e"].concat()),
        ("empty frozensets", [b"](", &b"(\x91".repeat(30_000)[..], b"e"].concat()),
        ("tuples inside each other", [b")", &b"\x85".repeat(127)[..]].concat()),
        (
            "many tuples of 100 inside each other",
            [b"](", &[b")", &b"\x85".repeat(100)[..]].concat().repeat(300)[..], b"e"].concat(),
        ),
        ("floats", [b"](", &b"G\x7f\xef\xff\xff\xff\xff\xff\xff".repeat(5_000)[..], b"e"].concat()),
        ("integers of 1,785 bytes", [b"](", &integer.repeat(50)[..], b"e"].concat()),
        ("integers of 4,300 digits", [b"](", &decimal.repeat(50)[..], b"e"].concat()),
        (
            "integers of 20 bytes",
            [b"](", &counted(0x8b, &[7; 20]).repeat(2_000)[..], b"e"].concat(),
        ),
        ("a set of integers", [b"\x8f(", &each(20_000, &number)[..], b"\x90"].concat()),
        (
            "a set of tuples",
            [b"\x8f(", &each(20_000, &|index| [&number(index)[..], b"\x85"].concat())[..], b"\x90"]
                .concat(),
        ),
        (
            "a set of pairs with None",
            [
                b"\x8f(",
                &each(20_000, &|index| [&number(index)[..], b"N\x86"].concat())[..],
                b"\x90",
            ]
            .concat(),
        ),
        (
            "a dict of integers",
            [b"}(", &each(20_000, &|index| [&number(index)[..], b"N"].concat())[..], b"u"].concat(),
        ),
        (
            "equal keys",
            [b"}(", &b"K\x01NG\x3f\xf0\0\0\0\0\0\0N\x88N".repeat(5_000)[..], b"u"].concat(),
        ),
        (
            "duplicates 126 deep",
            [
                &b"}(K\x01NK\x01".repeat(126)[..],
                b"](",
                &b"N".repeat(20_000),
                b"e",
                &b"u".repeat(126),
            ]
            .concat(),
        ),
        ("bytes of 64 KiB", counted(b'B', &[0xff; 1 << 16])),
        ("a text of 64 KiB of control characters", counted(b'X', &[1; 1 << 16])),
        ("a text of 64 KiB of markup", counted(b'X', &[b'&'; 1 << 16])),
        (
            "short texts of a control character",
            [b"](", &b"\x8c\x01\x01".repeat(10_000)[..], b"e"].concat(),
        ),
        (
            "not-a-numbers in a set",
            [b"\x8f(", &b"G\x7f\xf8\0\0\0\0\0\0".repeat(5_000)[..], b"\x90"].concat(),
        ),
        (
            "scattered memos",
            [
                b"N",
                &(0..20_000_u32)
                    .flat_map(|index| [b"r", &(index * 2 + 9).to_le_bytes()[..]].concat())
                    .collect::<Vec<_>>()[..],
            ]
            .concat(),
        ),
        ("values that are thrown away", [&b"N0".repeat(30_000)[..], b"N"].concat()),
        ("doubling tuples", [b"N", &b"2\x86".repeat(40)[..]].concat()),
        (
            "sets of a list in runs",
            [
                b"]",
                &b"K\x01\x85a".repeat(2_000)[..],
                b"q\x00(",
                &b"cbuiltins\nset\nh\x00\x85R".repeat(500)[..],
                b"l",
            ]
            .concat(),
        ),
    ];
    rows.into_iter().map(|(name, message)| shape(name, Pickle, message)).collect()
}

/// Pickles that refer to their parts.
fn references() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let integer = [b"L", "7".repeat(4_300).as_bytes(), b"L\n"].concat();
    let parts: Vec<(&str, Vec<u8>)> = vec![
        ("a list of 20 None", [b"](", &b"N".repeat(20)[..], b"e"].concat()),
        (
            "a list of 20 floats",
            [b"](", &b"G\x3f\xd5\x55\x55\x55\x55\x55\x55".repeat(20)[..], b"e"].concat(),
        ),
        (
            "a list of 20 large integers",
            [b"](", &b"\x8a\x08\x15\xcd\x5b\x07\x11\x22\x33\x44".repeat(20)[..], b"e"].concat(),
        ),
        ("an empty list", b"]".to_vec()),
        ("an empty frozenset", b"(\x91".to_vec()),
        ("a tuple of one tuple", b"N\x85\x85".to_vec()),
        ("a dict of a number", b"}K\x01Ns".to_vec()),
        (
            "a dict of 20 numbers",
            [b"}(", &(0..20).flat_map(|index| [b'K', index, b'N']).collect::<Vec<u8>>()[..], b"u"]
                .concat(),
        ),
        (
            "a dict of floats",
            [
                b"}(",
                &(0..20_u8)
                    .flat_map(|index| {
                        [b"G\x3f\xd5\x55\x55\x55\x55\x55", &[index][..], b"N"].concat()
                    })
                    .collect::<Vec<u8>>()[..],
                b"u",
            ]
            .concat(),
        ),
        ("a dict whose keys meet", b"}(K\x01N\x8c\x011Nu".to_vec()),
        ("a dict with a tag's key", b"}\x8c\x02$aNs".to_vec()),
        ("a dict with a key of markup", b"}\x8c\x01&Ns".to_vec()),
        ("a dict with a key of a control character", b"}\x8c\x01\x01Ns".to_vec()),
        (
            "a set of numbers",
            [b"\x8f(", &(0..20).flat_map(|index| [b'K', index]).collect::<Vec<u8>>()[..], b"\x90"]
                .concat(),
        ),
        ("a text of 1,000 letters", counted(b'X', &[b'x'; 1_000])),
        ("a text of 1,000 control characters", counted(b'X', &[1; 1_000])),
        ("a text of 1,000 ampersands", counted(b'X', &[b'&'; 1_000])),
        ("a text of 1,000 quotes", counted(b'X', &[b'"'; 1_000])),
        ("a text of a control character", b"X\x01\0\0\0\x01".to_vec()),
        ("an empty text", b"X\0\0\0\0".to_vec()),
        ("1,000 bytes", counted(b'B', &[0xff; 1_000])),
        ("a byte", b"C\x01x".to_vec()),
        ("an integer of 4,300 digits", integer),
        ("an integer of 20 digits", b"L77777777777777777777L\n".to_vec()),
        ("a not-a-number", b"G\x7f\xf8\0\0\0\0\0\0".to_vec()),
    ];
    for (name, part) in parts {
        let referred =
            |times: usize| [&part[..], b"q\x000](", &b"h\x00".repeat(times)[..], b"e"].concat();
        // The list of them, again and again.
        let twice = |inner: usize, outer: usize| {
            [&referred(inner)[..], b"q\x010](", &b"h\x01".repeat(outer)[..], b"e"].concat()
        };
        let levels = |times: usize| {
            let mut pickle = [&part[..], b"q\x000"].concat();
            for level in 0..4 {
                pickle.extend(
                    [b"](", &[b'h', level].repeat(times)[..], b"eq", &[level + 1], b"0"].concat(),
                );
            }
            [&pickle[..], b"h\x04"].concat()
        };
        // As large as the budget lets it be, short and long.
        let largest = |make: &dyn Fn(usize) -> Vec<u8>, padding: usize| {
            let accepted = |times: &usize| {
                let shape =
                    Shape { name: String::new(), format: Pickle, message: make(*times), padding };
                let body = shape.body();
                let mut document = babelmq::codec::Document::new();
                let limits = babelmq::Limits::default();
                babelmq::codec::read_request(&body, Pickle, 0..body.len(), &mut document, &limits)
                    .is_ok()
            };
            let (mut least, mut most) = (1, 200_000);
            while most - least > 1 {
                let middle = (least + most) / 2;
                if accepted(&middle) { least = middle } else { most = middle }
            }
            make(least)
        };
        let named = |what: &str| format!("references to {name}, {what}");
        let once = largest(&referred, 0);
        shapes.push(Shape {
            name: named("in one list"),
            format: Pickle,
            message: once,
            padding: 0,
        });
        let short = largest(&levels, 0);
        shapes.push(Shape {
            name: named("four levels"),
            format: Pickle,
            message: short,
            padding: 0,
        });
        let long = largest(&|times| twice(1_000, times), 3_000);
        shapes.push(Shape {
            name: named("two levels, long"),
            format: Pickle,
            message: long,
            padding: 3_000,
        });
    }
    shapes
}
