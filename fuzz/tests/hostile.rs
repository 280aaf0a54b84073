//! Inputs that are too large to be kept in a corpus, in two sizes each: made to overflow a stack,
//! or to cost more than their length.

use std::thread;

use babelmq_fuzz::{
    Target, envelope, frame, json, login, pickle, run, topic, translate, users, xml,
};

/// A target, a name, and the input of a size.
type Row = (Target, &'static str, fn(usize) -> Vec<u8>);

#[track_caller]
fn check(rows: &[Row]) {
    let mut broken = Vec::new();
    for &(target, name, input) in rows {
        for size in [10_000, 100_000] {
            let input = input(size);
            println!("{name}, size {size}");
            if thread::spawn(move || run(target, &input)).join().is_err() {
                broken.push((name, size));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// `repeat(b"a", n, b"b")` and the like.
fn parts(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn list(size: usize, each: impl Fn(usize) -> String) -> String {
    (0..size).map(each).collect::<Vec<_>>().join(",")
}

#[test]
fn large_json_stays_within_its_bounds() {
    let rows: [Row; _] = [
        (json, "arrays", |n| parts(&[&b"[".repeat(n), &b"]".repeat(n)])),
        (json, "arrays without an end", |n| b"[".repeat(n)),
        (json, "objects", |n| parts(&[&br#"{"a":"#.repeat(n), b"1", &b"}".repeat(n)])),
        (json, "tuples", |n| parts(&[&br#"{"$tuple":["#.repeat(n), &b"]}".repeat(n)])),
        (json, "tuples as deep as may be", |n| {
            parts(&[&br#"{"$tuple":["#.repeat(128), &b"1,".repeat(n), b"1", &b"]}".repeat(128)])
        }),
        (json, "sets as deep as may be", |n| {
            let elements = list(n, |index| index.to_string());
            parts(&[
                br#"{"$set":["#,
                &br#"{"$frozenset":["#.repeat(127),
                elements.as_bytes(),
                &b"]}".repeat(128),
            ])
        }),
        (json, "dicts as deep as may be", |n| {
            let head = br#"{"$dict":[["a","#.repeat(127);
            parts(&[&head, b"[", &b"1,".repeat(n), b"1]", &b"]]}".repeat(127)])
        }),
        (json, "duplicate keys as deep as may be", |n| {
            parts(&[
                &br#"{"a":0,"a":"#.repeat(127),
                b"[",
                &b"1,".repeat(n),
                b"1]",
                &b"}".repeat(127),
            ])
        }),
        (json, "one key many times", |n| format!("{{{}}}", list(n, |_| r#""a":1"#.into())).into()),
        (json, "many keys", |n| {
            format!("{{{}}}", list(n, |index| format!("\"{index}\":1"))).into()
        }),
        (json, "many keys that are numbers", |n| {
            format!("{{\"$dict\":[{}]}}", list(n, |index| format!("[{index},1]"))).into()
        }),
        (json, "many long integers", |n| {
            format!(
                "{{\"$set\":[{}]}}",
                list(n / 4000 + 1, |index| format!("{index}{}", "7".repeat(4290)))
            )
            .into()
        }),
        (json, "many objects with 17 keys", |n| {
            let object = format!("{{{}}}", list(17, |index| format!("\"{index}\":1")));
            format!("[{}]", list(n / 17, |_| object.clone())).into()
        }),
        (json, "digits", |n| b"7".repeat(10 * n)),
        (json, "digits in a tag", |n| parts(&[br#"{"$int":""#, &b"7".repeat(10 * n), br#""}"#])),
        (json, "digits of a fraction", |n| parts(&[b"0.", &b"7".repeat(10 * n)])),
        (json, "digits of an exponent", |n| parts(&[b"1e-", &b"0".repeat(10 * n), b"1"])),
        (json, "escapes", |n| parts(&[b"\"", &br"\u00e9".repeat(n), b"\""])),
        (json, "control characters", |n| parts(&[b"\"", &br"\u0001".repeat(n), b"\""])),
        (json, "surrogates", |n| parts(&[b"\"", &br"\ud83d\ude00".repeat(n), br#"\ud83d""#])),
        (json, "spaces", |n| b" ".repeat(10 * n)),
        (json, "bytes", |n| parts(&[br#"{"$bytes":""#, &b"AAAA".repeat(n), br#""}"#])),
    ];
    check(&rows);
}

#[test]
fn large_xml_stays_within_its_bounds() {
    let rows: [Row; _] = [
        (xml, "elements", |n| parts(&[&b"<a>".repeat(n), &b"</a>".repeat(n)])),
        (xml, "elements without an end", |n| b"<a>".repeat(n)),
        (xml, "lists", |n| parts(&[&b"<a type='list'>".repeat(n), &b"</a>".repeat(n)])),
        (xml, "maps", |n| b"<a type='map'><entry><key/>".repeat(n)),
        (xml, "an element of a long name", |n| parts(&[b"<", &b"a".repeat(10 * n), b"/>"])),
        (xml, "references", |n| parts(&[b"<a>", &b"&amp;".repeat(n), b"</a>"])),
        (xml, "references in an attribute", |n| parts(&[b"<a b='", &b"&#x41;".repeat(n), b"'/>"])),
        (xml, "a reference without an end", |n| parts(&[b"<a>&", &b"a".repeat(10 * n)])),
        (xml, "a long reference", |n| parts(&[b"<a>&#", &b"0".repeat(10 * n), b"65;</a>"])),
        (xml, "comments", |n| parts(&[b"<a>", &b"x<!---->".repeat(n), b"</a>"])),
        (xml, "a comment of dashes", |n| parts(&[b"<!--", &b"- ".repeat(n), b"--><a/>"])),
        (xml, "sections", |n| parts(&[b"<a>", &b"<![CDATA[]]>".repeat(n), b"</a>"])),
        (xml, "instructions", |n| parts(&[&b"<?a b?>".repeat(n), b"<a/>"])),
        (xml, "the beginnings of comments", |n| b"<!--".repeat(n)),
        (xml, "the beginnings of sections", |n| parts(&[b"<a>", &b"<![CDATA[".repeat(n)])),
        (xml, "billion laughs", |n| {
            let entities: String =
                (1..n / 10).map(|i| format!("<!ENTITY e{i} '&e{};&e{};'>", i - 1, i - 1)).collect();
            format!("<!DOCTYPE a [<!ENTITY e0 'x'>{entities}]><a>&e{};</a>", n / 10 - 1).into()
        }),
        (xml, "prefixes and children that use them", |n| {
            let prefixes: String =
                (0..n / 5).map(|index| format!(" xmlns:p{index}='u{index}'")).collect();
            let children: String =
                (0..n / 5).map(|index| format!("<p{index}:c p{index}:a=''/>")).collect();
            format!("<a{prefixes}>{children}</a>").into()
        }),
        (xml, "prefixes declared at each level", |n| {
            let element: String =
                (0..n / 128).map(|index| format!(" xmlns:p{index}='u'")).collect();
            format!("{}{}", format!("<a{element}>").repeat(100), "</a>".repeat(100)).into()
        }),
        (xml, "one attribute many times", |n| parts(&[b"<a", &b" b=''".repeat(n), b"/>"])),
        (xml, "many attributes", |n| {
            format!("<a{}/>", (0..n).map(|index| format!(" a{index}=''")).collect::<String>())
                .into()
        }),
        (xml, "many children", |n| {
            format!("<a>{}</a>", (0..n).map(|index| format!("<a{index}/>")).collect::<String>())
                .into()
        }),
        (xml, "one child many times", |n| parts(&[b"<a>", &b"<b/>".repeat(n), b"</a>"])),
        (xml, "two children in turn", |n| parts(&[b"<a>", &b"<b/><c/>".repeat(n), b"</a>"])),
        (xml, "repeated children as deep as may be", |n| {
            parts(&[&b"<a><b/>".repeat(60), &b"<c/>".repeat(n), &b"<b/></a>".repeat(60)])
        }),
        (xml, "lines", |n| parts(&[b"<a>", &b"\r\n".repeat(n), b"x</a>"])),
        (xml, "sets as deep as may be", |n| {
            let elements = "<i type='int'>7</i>".repeat(n / 10);
            let head = "<i type='frozenset'>".repeat(127);
            format!("<i type='set'>{head}{elements}{}</i>", "</i>".repeat(127)).into()
        }),
        (xml, "digits", |n| parts(&[b"<a type='int'>", &b"7".repeat(10 * n), b"</a>"])),
        (xml, "base64", |n| parts(&[b"<a type='bytes'>", &b"AAAA ".repeat(n), b"</a>"])),
    ];
    check(&rows);
}

#[test]
fn large_pickles_stay_within_their_bounds() {
    let rows: [Row; _] = [
        (pickle, "tuples", |n| parts(&[b")", &b"\x85".repeat(n), b"."])),
        (pickle, "tuples without an end", |n| parts(&[b")", &b"\x85".repeat(n)])),
        (pickle, "lists", |n| parts(&[&b"]".repeat(n), &b"a".repeat(n - 1), b"."])),
        (pickle, "marks", |n| b"(".repeat(10 * n)),
        (pickle, "marks and tuples", |n| parts(&[&b"(".repeat(n), &b"t".repeat(n), b"."])),
        (pickle, "frozensets", |n| parts(&[&b"(".repeat(n), &b"\x91".repeat(n), b"."])),
        (pickle, "values that nobody gathers", |n| parts(&[&b"N".repeat(10 * n), b"."])),
        (pickle, "values that are thrown away", |n| parts(&[b"N0", &b"N".repeat(10 * n), b"."])),
        (pickle, "lists that nobody gathers", |n| parts(&[b"N0", &b"]".repeat(10 * n), b"."])),
        (pickle, "small integers in a set", |n| {
            let numbers: Vec<u8> =
                (0..n as u16).flat_map(|i| [b"M", &i.to_le_bytes()[..]].concat()).collect();
            parts(&[b"\x8f(", &numbers, b"\x90."])
        }),
        (pickle, "small integers in a set, by the machine", |n| {
            let numbers: Vec<u8> =
                (0..n as u16).flat_map(|i| [b"M", &i.to_le_bytes()[..]].concat()).collect();
            parts(&[b"N0\x8f(", &numbers, b"\x90."])
        }),
        (pickle, "a list that is referred to as often as may be", |n| {
            parts(&[b"](", &b"N".repeat(n), b"eq\x000](", &b"h\x00".repeat(2_000), b"e."])
        }),
        (pickle, "a text that is referred to as often as may be", |n| {
            let length = u32::try_from(n).unwrap().to_le_bytes();
            parts(&[b"X", &length, &b"x".repeat(n), b"q\x000](", &b"h\x00".repeat(2_000), b"e."])
        }),
        (pickle, "a list of Latin-1", |n| parts(&[b"](V", &b"\xe9".repeat(10 * n), b"\ne."])),
        (pickle, "copies", |n| parts(&[b"N", &b"2".repeat(10 * n), b"."])),
        (pickle, "a list in itself twice, and so on", |n| parts(&[b"]", &b"2a".repeat(n), b"."])),
        (pickle, "doubling tuples", |n| parts(&[b"N", &b"2\x86".repeat(n), b"."])),
        (pickle, "doubling tuples as deep as may be", |_| {
            parts(&[b"N", &b"2\x86".repeat(100), b"."])
        }),
        (pickle, "fetches of a long list", |n| {
            parts(&[b"](", &b"N".repeat(n / 2), b"eq\x000](", &b"h\x00".repeat(n / 4), b"e."])
        }),
        (pickle, "sets of one list", |n| {
            parts(&[
                b"](",
                &b"N".repeat(n / 2),
                b"eq\x000](",
                &b"cbuiltins\nset\nh\x00\x85R".repeat(n / 40),
                b"e.",
            ])
        }),
        (pickle, "sets of a list in runs", |n| {
            let runs = b"K\x01\x85a".repeat(n / 8);
            parts(&[b"]", &runs, b"q\x000](", &b"cbuiltins\nset\nh\x00\x85R".repeat(n / 40), b"e."])
        }),
        (pickle, "encodings of a long text", |n| {
            let text = "é".repeat(n / 4);
            let length = u32::try_from(text.len()).unwrap().to_le_bytes();
            let calls = b"c_codecs\nencode\nh\x00h\x01\x86R".repeat(n / 40);
            parts(&[
                b"X",
                &length,
                text.as_bytes(),
                b"q\x000X\x06\0\0\0latin1q\x010](",
                &calls,
                b"e.",
            ])
        }),
        (pickle, "a decimal line", |n| parts(&[b"L", &b"7".repeat(10 * n), b"L\n."])),
        (pickle, "a long integer", |n| {
            parts(&[
                b"\x8b",
                &u32::try_from(10 * n).unwrap().to_le_bytes(),
                &b"\x07".repeat(10 * n),
                b".",
            ])
        }),
        (pickle, "many integers of 1,786 bytes", |n| {
            let integer = [&b"\x8b\xf9\x06\0\0"[..], &b"\x07".repeat(1_785)].concat();
            parts(&[b"](", &integer.repeat(n / 1_000), b"e."])
        }),
        (pickle, "scattered memos", |n| {
            let memos: Vec<u8> = (0..n as u32)
                .flat_map(|i| [b"r", &(i * 2 + 9).to_le_bytes()[..]].concat())
                .collect();
            parts(&[b"N", &memos, b"."])
        }),
        (pickle, "memos", |n| parts(&[b"N", &b"\x94".repeat(10 * n), b"."])),
        (pickle, "not-a-numbers in a set", |n| {
            parts(&[b"\x8f(", &b"G\x7f\xf8\0\0\0\0\0\0".repeat(n), b"\x90."])
        }),
        (pickle, "a set of tuples", |n| {
            let tuples: Vec<u8> = (0..n as u32)
                .flat_map(|i| [b"J", &i.to_le_bytes()[..], b"\x85"].concat())
                .collect();
            parts(&[b"\x8f(", &tuples, b"\x90."])
        }),
        (pickle, "a list that grows in turn with another", |n| {
            parts(&[b"]]", &b"2Na0".repeat(n), b"\x86."])
        }),
        (pickle, "two lists that grow in turns", |n| {
            parts(&[b"]q\x00]q\x010", &b"h\x00Na0h\x01Na0".repeat(n / 4), b"."])
        }),
        (pickle, "a set of sets, copied where duplicates went", |n| {
            let sets = b"h\x00h\x00\x86".repeat(n / 8);
            parts(&[b"(K\x01K\x02K\x01\x91q\x000](", &sets, b"e."])
        }),
        (pickle, "duplicates as deep as may be", |n| {
            let open = b"}(K\x01NK\x01".repeat(127);
            parts(&[&open, b"](", &b"N".repeat(n), b"e", &b"u".repeat(127), b"."])
        }),
    ];
    check(&rows);
}

#[test]
fn large_topics_and_frames_stay_within_their_bounds() {
    let rows: [Row; _] = [
        (topic, "a long topic", |n| b"a".repeat(10 * n)),
        (topic, "slashes", |n| b"/".repeat(10 * n)),
        (topic, "wildcards", |n| b"/+".repeat(5 * n)),
        (topic, "control characters", |n| b"\x01".repeat(10 * n)),
        (frame, "empty frames", |n| parts(&[b"\0\0", &b"\0\0\0\0\0".repeat(n)])),
        (frame, "one claim", |n| parts(&[b"\0\0\0\xff\xff\xff\xff", &b"\0".repeat(n)])),
        (frame, "frames of the largest size", |n| {
            let frame = [&b"\x02\0\0\x03\xe8"[..], &b"x".repeat(1_000)].concat();
            parts(&[b"\x12\x34", &frame.repeat(n / 200)])
        }),
    ];
    check(&rows);
}

#[test]
fn large_users_files_and_what_strangers_send_stay_within_their_bounds() {
    let rows: [Row; _] = [
        (users, "no TOML in any byte", |n| parts(&[b"[", &b".".repeat(n)])),
        (users, "a key of many parts", |n| parts(&[b"a", &b".a".repeat(n), b" = 1"])),
        (users, "nested arrays", |n| parts(&[b"a = ", &b"[".repeat(n), &b"]".repeat(n)])),
        (users, "nested tables", |n| parts(&[b"a = ", &b"{a=".repeat(n)])),
        (users, "lines", |n| b"\r\n".repeat(5 * n)),
        (users, "fields that there are not", |n| {
            let field = |index| format!("f{index} = 1\n");
            format!("[role.r]\n{}", (0..n).map(field).collect::<String>()).into()
        }),
        (users, "filters", |n| {
            format!("[role.r]\npublish = [{}]", list(n, |index| format!("'a/+/t{index}'"))).into()
        }),
        (users, "a filter of many segments", |n| {
            format!("[role.r]\npublish = ['{}']", "a/+/".repeat(n)).into()
        }),
        (users, "users with one role", |n| {
            let user =
                |index| format!("[[user]]\nname = 'u{index}'\ncertificate = true\nroles = ['r']\n");
            let users: String = (0..n / 10).map(user).collect();
            format!("{users}[role.r]\npublish = ['{{user}}/a', 'b']\n").into()
        }),
        (login, "requests", |n| {
            let frame = b"\0\0\0\0\x12{\"command\":\"ping\"}";
            parts(&[b"\0\0", &frame.repeat(n / 10)])
        }),
        (login, "a login, and much behind it", |n| {
            let frame = b"\0\0\0\0\x1e{\"command\":\"login\",\"token\":\"\"}";
            parts(&[b"\0\0", &frame.repeat(n / 10)])
        }),
        (login, "one claim", |n| parts(&[b"\0\0\0\0\0\x10\0", &b" ".repeat(n)])),
    ];
    check(&rows);
}

#[test]
fn large_bodies_stay_within_their_bounds() {
    let rows: [Row; _] = [
        (envelope, "JSON: many fields", |n| {
            format!("\0{{{}}}", list(n, |index| format!("\"f{index}\":1"))).into()
        }),
        (envelope, "JSON: a long topic", |n| {
            let topic = "a/".repeat(5 * n);
            format!("\0{{\"command\":\"publish\",\"message\":1,\"topic\":\"{topic}\"}}").into()
        }),
        (envelope, "JSON: a long command", |n| {
            format!("\0{{\"command\":\"{}\"}}", "é".repeat(5 * n)).into()
        }),
        (envelope, "JSON: a long message", |n| {
            let items = list(n, |_| r#"{"$tuple":[1]}"#.into());
            format!("\0{{\"command\":\"publish\",\"message\":[{items}],\"topic\":\"t\"}}").into()
        }),
        (envelope, "JSON: duplicate keys as deep as may be", |n| {
            let head = br#"{"a":0,"a":"#.repeat(127);
            let items = b"1,".repeat(n);
            let tail = b"}".repeat(127);
            parts(&[
                b"\0{\"command\":\"publish\",\"topic\":\"t\",\"message\":",
                &head,
                b"[",
                &items,
                b"1]",
                &tail,
                b"}",
            ])
        }),
        (envelope, "JSON: a long backoff", |n| {
            let pauses = list(n, |_| "0.5".into());
            format!("\0{{\"command\":\"subscribe\",\"topic\":\"t\",\"backoff\":[{pauses}]}}").into()
        }),
        (envelope, "JSON: a start of keys that come again, as deep as may be", |n| {
            let (head, tail) = (br#"{"a":0,"a":"#.repeat(127), b"}".repeat(127));
            let before = b"\0{\"command\":\"subscribe\",\"topic\":\"t\",\"start\":";
            parts(&[before, &head, b"[", &b"1,".repeat(n), b"1]", &tail, b"}"])
        }),
        (envelope, "XML: a long backoff", |n| {
            let pauses = "<item>1</item>".repeat(n);
            format!(
                "\u{1}<f command='subscribe' topic='t'><backoff type='list'>{pauses}</backoff></f>"
            )
            .into()
        }),
        (envelope, "JSON: a long reason", |n| {
            let reason = "é".repeat(5 * n);
            format!("\0{{\"command\":\"reject\",\"seq\":1,\"reason\":\"{reason}\"}}").into()
        }),
        (envelope, "XML: many fields", |n| {
            format!("\u{1}<f{}/>", (0..n).map(|index| format!(" f{index}=''")).collect::<String>())
                .into()
        }),
        (envelope, "XML: a long message", |n| {
            format!(
                "\u{1}<f command='publish' topic='t'><message>{}</message></f>",
                "<a>b</a>".repeat(n)
            )
            .into()
        }),
        (envelope, "pickle: many fields", |n| {
            let fields: Vec<u8> = (0..n as u32)
                .flat_map(|index| {
                    [&b"X\x04\0\0\0"[..], format!("{index:04x}").as_bytes(), b"N"].concat()
                })
                .collect();
            parts(&[b"\x02}(", &fields, b"u."])
        }),
        (envelope, "pickle: one field many times", |n| {
            parts(&[b"\x02}(", &b"X\x01\0\0\0aN".repeat(n), b"u."])
        }),
        (translate, "JSON: keys", |n| {
            format!("\0{{{}}}", list(n, |index| format!("\"{index} <\":1"))).into()
        }),
        (translate, "JSON: strings that are no XML", |n| {
            format!("\0[{}]", list(n, |_| r#""\u0001""#.into())).into()
        }),
        (translate, "JSON: dicts as deep as may be", |n| {
            let head = r#"{"$dict":[[1,"#.repeat(127);
            format!("\0{head}[{}]{}", list(n, |_| "1".into()), "]]}".repeat(127)).into()
        }),
        (translate, "XML: a document", |n| {
            format!("\u{1}<a>{}</a>", "<b c='d'>e</b>".repeat(n)).into()
        }),
        (translate, "pickle: keys of every kind", |n| {
            let keys: Vec<u8> = (0..n as u32 / 3)
                .flat_map(|i| {
                    [b"J", &i.to_le_bytes()[..], b"NJ", &i.to_le_bytes(), b"\x85N"].concat()
                })
                .collect();
            parts(&[b"\x02}(", &keys, b"u."])
        }),
        (translate, "pickle: tuples as deep as may be", |n| {
            parts(&[b"\x02](", &b"N".repeat(n), b"e", &b"\x85".repeat(127), b"."])
        }),
    ];
    check(&rows);
}
