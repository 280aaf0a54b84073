//! What JSON becomes, and what is refused.

use super::*;
use crate::envelope::{Request, read_request};
use crate::protocol::{ErrorCode, Format, Limits, MAX_DEPTH};
use crate::{Document, Node, pickle, xml};

/// Decodes `text` and writes it again.
fn again(text: &str, tags: Tags) -> Result<String, ErrorCode> {
    let mut document = Document::new();
    let root = decode(text.as_bytes(), 0..text.len(), &mut document, &Limits::default())
        .map_err(|refusal| refusal.code)?;
    let mut out = Vec::new();
    encode(document.view(text.as_bytes(), root), tags, &mut out);
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(text: &str, loose: &str, exact: &str) {
    assert_eq!(again(text, Tags::Needed).as_deref(), Ok(loose), "{text}");
    assert_eq!(again(text, Tags::Exact).as_deref(), Ok(exact), "{text} exact");
}

#[track_caller]
fn same(text: &str) {
    check(text, text, text);
}

#[test]
fn a_value_is_written_plain_or_exact() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "1.0",
        "-0.0",
        "1e+22",
        "1e-05",
        "\"\"",
        "\"a\u{e9}\u{1f600}\"",
        "[]",
        "{}",
        "[1,[2,[]],{}]",
        "{\"a\":1,\"b\":{\"c\":[null]}}",
        "{\"$float\":\"nan\"}",
        "{\"$float\":\"inf\"}",
        "{\"$float\":\"-inf\"}",
        "{\"$bytes\":\"AP8=\"}",
        "{\"$set\":[1,\"a\"]}",
        "{\"$dict\":[[[1],2]]}",
    ] {
        if text != "{\"$dict\":[[[1],2]]}" {
            same(text);
        }
    }
    same(r#""\"\\\n\r\t\b\f\u0001\u001f/""#);
    check(" [ 1 , 2 ] ", "[1,2]", "[1,2]");
    check("-0", "0", "0");
    check(r#""\u0041\u00e9\ud83d\ude00\/""#, "\"A\u{e9}\u{1f600}/\"", "\"A\u{e9}\u{1f600}/\"");
    check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#, r#"{"a":3,"b":2}"#);
    check("18446744073709551616", "18446744073709551616", r#"{"$int":"18446744073709551616"}"#);
    check(r#"{"$int":"5"}"#, "5", "5");
    check(
        r#"{"\u0024int":"-18446744073709551616"}"#,
        "-18446744073709551616",
        r#"{"$int":"-18446744073709551616"}"#,
    );
    check(r#"{"$tuple":[1,{"$tuple":[]}]}"#, "[1,[]]", r#"{"$tuple":[1,{"$tuple":[]}]}"#);
    check(r#"{"$frozenset":[1]}"#, r#"{"$set":[1]}"#, r#"{"$frozenset":[1]}"#);
    check(r#"{"$set":[1,1.0,true,2]}"#, r#"{"$set":[1,2]}"#, r#"{"$set":[1,2]}"#);
    // Keys as json.dumps spells them, unless two would meet.
    check(
        r#"{"$dict":[[1,2],[null,3],[true,4],[1.5,5],["x",6]]}"#,
        r#"{"1":4,"null":3,"1.5":5,"x":6}"#,
        r#"{"$dict":[[1,4],[null,3],[1.5,5],["x",6]]}"#,
    );
    same(r#"{"$dict":[[1,2],["1",3]]}"#);
    check(
        r#"{"$dict":[[{"$float":"nan"},1]]}"#,
        r#"{"NaN":1}"#,
        r#"{"$dict":[[{"$float":"nan"},1]]}"#,
    );
    check(
        r#"{"$dict":[[{"$tuple":[1]},2]]}"#,
        r#"{"$dict":[[[1],2]]}"#,
        r#"{"$dict":[[{"$tuple":[1]},2]]}"#,
    );
    same(r#"{"$dict":[[{"$bytes":""},2]]}"#);
    // No data can pose as a tag, and an unknown tag is data.
    same(r#"{"$dict":[["$int","5"]]}"#);
    check(
        r#"{"$unknown":[1]}"#,
        r#"{"$dict":[["$unknown",[1]]]}"#,
        r#"{"$dict":[["$unknown",[1]]]}"#,
    );
    same(r#"{"$int":"5","more":1}"#);
    check(r#"{"$dict":[["a",1]]}"#, r#"{"a":1}"#, r#"{"a":1}"#);
    same(r#"{"$serde_json::private::RawValue":"[1]","x":1}"#);
}

/// JavaScript's numbers are doubles, and of two ints that are one double one would be lost.
#[test]
fn for_javascript_an_int_is_a_number_only_where_it_reads_it_as_it_is() {
    for (int, is_number) in [
        ("0", true),
        ("9", true),
        ("-9007199254740991", true),
        ("9007199254740991", true),
        ("9007199254740992", false),
        ("-9007199254740992", false),
        ("9007199254740993", false),
        ("9223372036854775807", false),
        ("-9223372036854775808", false),
        ("18446744073709551616", false),
    ] {
        let tagged = format!("{{\"$int\":\"{int}\"}}");
        let expected = if is_number { int } else { &tagged };
        assert_eq!(again(int, Tags::Js).as_deref(), Ok(expected));
        // Tagged or not, it is read as the same int.
        assert_eq!(again(&tagged, Tags::Js).as_deref(), Ok(expected));
        assert_eq!(again(&tagged, Tags::Needed).as_deref(), Ok(int));
    }
    let keys = "{\"$dict\":[[{\"$int\":\"9007199254740993\"},{\"$tuple\":[1,1e+300]}]]}";
    assert_eq!(again(keys, Tags::Js).as_deref(), Ok(keys));
    let published = "[9007199254740993,18446744073709551616,{\"$tuple\":[]}]";
    assert_eq!(again(published, Tags::Published).as_deref(), Ok(published));
}

/// What a program's own types become has no tuples and no keys that a JSON consumer does not know.
#[test]
fn scalars_may_be_tagged_where_tuples_and_keys_are_not() {
    let all = r#"{"$dict":[[1,{"$tuple":[{"$decimal":"1.10"},{"$timedelta":"PT1S"}]}]]}"#;
    let scalars = r#"{"1":[{"$decimal":"1.10"},{"$timedelta":"PT1S"}]}"#;
    assert_eq!(again(all, Tags::Scalars).as_deref(), Ok(scalars));
    assert_eq!(again(all, Tags::Needed).as_deref(), Ok(r#"{"1":["1.10",1.0]}"#));
}

#[test]
fn depth_is_that_of_values() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, inner, close) in [
        ("[", "", "]"),
        ("{\"a\":", "1", "}"),
        ("{\"$tuple\":[", "", "]}"),
        ("{\"$dict\":[[1,", "1", "]]}"),
        ("{\"$dict\":[[1,", "{\"$dict\":[]}", "]]}"),
        ("{\"$dict\":[[1,", "{\"$bytes\":\"AA==\"}", "]]}"),
    ] {
        let own = usize::from(inner == "{\"$dict\":[]}");
        let deep = nested(open, inner, close, MAX_DEPTH - own);
        assert!(again(&deep, Tags::Needed).is_ok(), "{open}");
        let deeper = nested(open, inner, close, MAX_DEPTH - own + 1);
        assert_eq!(again(&deeper, Tags::Needed), Err(ErrorCode::TooDeep), "{open}");
        for (message, expected) in [(deep, None), (deeper, Some(ErrorCode::TooDeep))] {
            let body = format!("{{\"command\":\"publish\",\"topic\":\"t\",\"message\":{message}}}");
            assert_eq!(judged(&body).err(), expected, "{open} judged");
        }
    }
}

#[test]
fn a_value_that_is_wrong_is_refused_with_its_code() {
    use ErrorCode::{InvalidTag, InvalidValue, MalformedJson, TooDeep, TooManyDigits, Unhashable};
    let many_digits = "1".repeat(4_301);
    let table: &[(&str, ErrorCode)] = &[
        ("", MalformedJson),
        (" ", MalformedJson),
        ("nul", MalformedJson),
        ("nulL", MalformedJson),
        ("1 2", MalformedJson),
        ("[1,]", MalformedJson),
        ("[,1]", MalformedJson),
        ("[1", MalformedJson),
        ("{\"a\"}", MalformedJson),
        ("{\"a\":1,}", MalformedJson),
        ("{a:1}", MalformedJson),
        ("{'a':1}", MalformedJson),
        ("{1:1}", MalformedJson),
        ("[1}", MalformedJson),
        ("{\"a\":1]", MalformedJson),
        ("\"", MalformedJson),
        ("\"\\", MalformedJson),
        ("\"\\x\"", MalformedJson),
        ("\"\\u12\"", MalformedJson),
        ("\"\\u12g4\"", MalformedJson),
        ("\"\n\"", MalformedJson),
        ("\"\0\"", MalformedJson),
        ("01", MalformedJson),
        ("-", MalformedJson),
        ("+1", MalformedJson),
        (".5", MalformedJson),
        ("1.", MalformedJson),
        ("1e", MalformedJson),
        ("1e+", MalformedJson),
        ("0x10", MalformedJson),
        ("NaN", MalformedJson),
        ("Infinity", MalformedJson),
        ("-Infinity", MalformedJson),
        ("\u{feff}1", MalformedJson),
        ("// x\n1", MalformedJson),
        ("1e400", InvalidValue),
        ("-1e400", InvalidValue),
        ("\"\\ud800\"", InvalidValue),
        ("\"\\udc00\"", InvalidValue),
        ("\"\\ud800\\u0041\"", InvalidValue),
        ("\"\\ud800\\ud800\"", InvalidValue),
        (&many_digits, TooManyDigits),
        ("{\"$int\":5}", InvalidTag),
        ("{\"$int\":\"x\"}", InvalidTag),
        ("{\"$float\":\"1.5\"}", InvalidTag),
        ("{\"$bytes\":\"A\"}", InvalidTag),
        ("{\"$bytes\":[1]}", InvalidTag),
        ("{\"$tuple\":1}", InvalidTag),
        ("{\"$set\":{}}", InvalidTag),
        ("{\"$dict\":[1]}", InvalidTag),
        ("{\"$dict\":[[1]]}", InvalidTag),
        ("{\"$dict\":[[1,2,3]]}", InvalidTag),
        ("{\"$dict\":[{\"$tuple\":[1,2]}]}", InvalidTag),
        ("{\"$set\":[[1]]}", Unhashable),
        ("{\"$dict\":[[{},1]]}", Unhashable),
    ];
    for (text, code) in table {
        assert_eq!(again(text, Tags::Needed).err(), Some(*code), "{text:.60}");
        let body = format!("{{\"command\":\"publish\",\"topic\":\"t\",\"message\":{text}}}");
        // The text stands inside another here, so where it ends is another matter.
        let judged = judged(&body).err();
        assert!(
            judged == Some(*code) || judged == Some(MalformedJson),
            "{text:.60} judged {judged:?}"
        );
    }
    let deep = "[".repeat(100_000);
    assert_eq!(again(&deep, Tags::Needed).err(), Some(TooDeep));
    assert_eq!(again(&"{\"a\":".repeat(100_000), Tags::Needed).err(), Some(TooDeep));
    let invalid = b"\"\xff\"";
    let mut document = Document::new();
    let refused = decode(invalid, 0..3, &mut document, &Limits::default()).unwrap_err();
    assert_eq!(refused.code, MalformedJson);
    assert!(refused.reason.contains("byte 1"), "{}", refused.reason);
}

#[test]
fn the_budget_is_kept_judged_or_decoded() {
    let limits = Limits { decoded_size: 1_000, ..Limits::default() };
    for (message, fits) in
        [("0,".repeat(50), true), ("0,".repeat(70), false), ("0".repeat(900) + ",", true)]
    {
        let message = format!("[{}0]", message.replace("000", "111"));
        let mut document = Document::new();
        let decoded = decode(message.as_bytes(), 0..message.len(), &mut document, &limits);
        assert_eq!(
            decoded.map(drop).map_err(|refusal| refusal.code),
            if fits { Ok(()) } else { Err(ErrorCode::TooLarge) }
        );
        let body = format!("{{\"command\":\"publish\",\"topic\":\"t\",\"message\":{message}}}");
        let judged = read_request(
            body.as_bytes(),
            Format::Json,
            0..body.len(),
            &mut Document::new(),
            &limits,
        );
        assert_eq!(judged.is_ok(), fits, "{message:.20}");
    }
}

/// Judges a body without decoding; returns the payload's bytes.
fn judged(body: &str) -> Result<String, ErrorCode> {
    let mut document = Document::new();
    match read_request(
        body.as_bytes(),
        Format::Json,
        0..body.len(),
        &mut document,
        &Limits::default(),
    ) {
        Ok(Request::Publish { message, .. }) => Ok(body[message.part.range().clone()].to_owned()),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

#[test]
fn a_body_is_taken_apart_or_refused_with_its_code() {
    use ErrorCode::{
        DuplicateField, InvalidField, MalformedJson, MissingField, NotAMap, UnknownCommand,
    };
    assert_eq!(
        judged(
            r#" { "message" : [1, 2.50 ] , "x":{"y":[]}, "topic":"t", "command":"\u0070ublish" } "#
        )
        .as_deref(),
        Ok("[1, 2.50 ]")
    );
    for (body, code) in [
        ("", MalformedJson),
        ("[]", NotAMap),
        ("1", NotAMap),
        ("{}", MissingField),
        ("{", MalformedJson),
        ("{}x", MalformedJson),
        (r#"{"command":"shout","topic":"t"}"#, UnknownCommand),
        (r#"{"command":1}"#, InvalidField),
        (r#"{"command":"publish","topic":"t"}"#, MissingField),
        (r#"{"command":"publish","message":1}"#, MissingField),
        (r#"{"command":"publish","topic":1,"message":1}"#, InvalidField),
        (r#"{"command":"publish","topic":"t","message":1,"retain":"false"}"#, InvalidField),
        (r#"{"command":"publish","topic":"t","message":1,"message":1}"#, DuplicateField),
        (r#"{"command":"publish","topic":"t","message":1,"t\u006fpic":"u"}"#, DuplicateField),
        (r#"{"command":"subscribe","topic":"t","queue":0}"#, InvalidField),
        (r#"{"command":"subscribe","topic":"t","queue":4294967296}"#, InvalidField),
        (r#"{"command":"subscribe","topic":"t","overflow":"explode"}"#, InvalidField),
        (r#"{"command":"ping","id":1.5}"#, InvalidField),
    ] {
        assert_eq!(judged(body), Err(code), "{body}");
    }
}

#[test]
fn a_usual_message_is_judged_without_being_decoded() {
    let body = br#"{"command":"publish","topic":"t","message":{"a":[1,2,3]}}"#;
    let mut document = Document::new();
    let request =
        read_request(body, Format::Json, 0..body.len(), &mut document, &Limits::default());
    assert!(matches!(request, Ok(Request::Publish { verbatim: true, retain: true, .. })));
    assert!(document.is_empty());
    let tagged = br#"{"command":"publish","topic":"t","message":{"$set":[1,2,3]},"retain":false}"#;
    let request =
        read_request(tagged, Format::Json, 0..tagged.len(), &mut document, &Limits::default());
    assert!(matches!(request, Ok(Request::Publish { verbatim: false, retain: false, .. })));
    assert!(matches!(document.nodes()[0], Node::Set(_)));
}

/// What is wrong with a body does not depend on what lies behind it.
#[test]
fn a_refusal_says_nothing_of_what_follows_the_body() {
    const BODIES: &[&str] = &[
        r#"{"command":"publish","topic":"t","message":{"a":[1.5e3,"\u00e9"],"bc":true}}"#,
        r#" { "comm\u0061nd" : "list" , "a key of more than thirty-two bytes, and of more" : 12 } "#,
        r#"[{"":null},-0.25,"\ud83d\ude00"]"#,
    ];
    let refused = |source: &[u8], end: usize| {
        let mut document = Document::new();
        read_request(source, Format::Json, 0..end, &mut document, &Limits::default())
            .map_err(|refusal| refusal.reason.clone())
            .map(|_| ())
    };
    for body in BODIES {
        for end in 1..body.len() {
            let alone = refused(&body.as_bytes()[..end], end);
            assert_eq!(refused(body.as_bytes(), end), alone, "{}", &body[..end]);
        }
    }
}

/// What judges, what decodes and what a library thinks: there is one JSON.
#[test]
fn every_sink_agrees_on_what_json_is() {
    const TEXTS: &[&str] = &[
        r#"{"a":1,"b":[true,false,null,{}],"c":{"d":"x"},"long key of many words":-12.5e3,"":[[],[1]]}"#,
        r#" [ 1 , -0 , 0.5 , 1e5 , 123456789012345678901234567890 , 1.7976931348623157e308 , 9007199254740993 ] "#,
        r#"{"é":"ü\u00e9\n\"\\","emoji":"😀","pair":"\ud83d\ude00","a":1,"a":2,"b":"eight by","c":"eight bytes more"}"#,
        r#"[{"$int":"1"},{"$tuple":[1]},{"$x":1,"y":2},"$int",{"\u0024int":"5"},{"a$":1}]"#,
        r#"[10.357019999999999,21.5,-0.0,1E-7,0.1,100,-9223372036854775808,9223372036854775808]"#,
        "\"a string by itself, which ends where the source does\"",
        "12",
        "true",
    ];
    let check = |text: &[u8]| {
        // Something may stand around the text, and what follows is not to be read.
        let mut answers = Vec::new();
        for behind in [&b""[..], b"\"}", b"1.e+5", b"\0\0\0\0\0", b" ]}xxxxxxxxxxxx"] {
            let source = [b"..", text, behind].concat();
            let range = 2..2 + text.len();
            let mut document = Document::new();
            let decoded = decode(&source, range.clone(), &mut document, &Limits::default());
            let start = range.start;
            let judged = plain_value(&source, range.clone(), start, &Limits::default());
            if let Some(end) = judged {
                let is_whole = source[end..range.end].trim_ascii().is_empty();
                assert_eq!(decoded.is_ok(), is_whole, "{}", text.escape_ascii());
            }
            let has_tag = text.contains(&b'$') || text.windows(5).any(|part| part == b"\\u002");
            if decoded.is_ok() && text[0] > b' ' && !has_tag {
                assert!(judged.is_some(), "{}", text.escape_ascii());
            }
            answers.push(decoded.map(|root| {
                let mut shown = Vec::new();
                assert_eq!(document.nodes()[root].nodes(), document.len());
                pickle::encode(document.view(&source, root), pickle::Classes::None, &mut shown);
                shown
            }));
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{}", text.escape_ascii());
        let is_json = answers[0].is_ok();
        // The library takes what only our limits and tags refuse, and no more.
        let code = answers[0].as_ref().err().map(|refusal| refusal.code);
        if matches!(code, None | Some(ErrorCode::MalformedJson)) {
            // It leaves a number beyond a double and half a surrogate pair to whoever asks.
            let library = serde_json::from_slice::<serde_json::Value>(text);
            assert_eq!(library.is_ok(), is_json, "{}", text.escape_ascii());
        }
        is_json
    };
    let mut state: u64 = 0xd1ff;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    };
    let mut accepted = 0;
    for round in 0..100_000 {
        let mut text = TEXTS[round % TEXTS.len()].as_bytes().to_vec();
        for _ in 0..round % 4 {
            let at = below(text.len());
            match below(5) {
                0 => text[at] = b"{}[]\",:\\ 019.eE-+$ud\xc3\x1f"[below(22)],
                1 => text[at] ^= 1 << below(8),
                2 => drop(text.remove(at)),
                3 => text.insert(at, b"{}[]\",:\\ 019.eE-+$ud\xc3\x1f"[below(22)]),
                _ => {
                    let part: Vec<u8> = text[at..].iter().copied().take(below(12)).collect();
                    text.splice(at..at, part);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        if !text.is_empty() {
            accepted += usize::from(check(&text));
        }
    }
    assert!(accepted > 20_000, "only {accepted} are JSON");
    for deep in [MAX_DEPTH, MAX_DEPTH + 1] {
        let text = [vec![b'['; deep], vec![b']'; deep]].concat();
        let mut document = Document::new();
        let decoded = decode(&text, 0..text.len(), &mut document, &Limits::default());
        assert_eq!(decoded.is_ok(), deep == MAX_DEPTH);
    }
}

/// What is written while JSON is read is what is written from its document.
#[test]
fn judged_json_goes_onward_as_its_document_does() {
    const TEXTS: &[&str] = &[
        r#"{"a":1,"b":[true,false,null,{}],"c":{"d":"x"},"long key of many words":-12.5e3,"":[[],[1]]}"#,
        r#"[ 1 , -0 , 0.5 , 1e5 , 123456789012345678901234567890 , 1.7976931348623157e308 , 9007199254740993 ]"#,
        r#"{"é":"ü\u00e9\n\"\\","emoji":"😀","pair":"\ud83d\ude00","a":1,"b":"eight by","c":"eight bytes more"}"#,
        r#"[{"$int":"1"},{"$tuple":[1]},{"$x":1,"y":2},"$int",{"\u0024int":"5"},{"a$":1}]"#,
        r#"[10.357019999999999,21.5,-0.0,1E-7,0.1,100,-9223372036854775808,9223372036854775808,0.00012,0.00001,1.10,1e0]"#,
        r#"{"xml":1,"item":{"item":[2]},"a b":"<&>\r","name_of_more_than_16_bytes":"\u0000","k":"\uffff","l":"￿￾\uf000"}"#,
        r#"{"text":"a text of more than thirty-two bytes, and one that is <marked up> & \"quoted\" beyond its fourth word"}"#,
        r#"{"text":"ein längerer Text, der über vier Wörter hinausgeht und nichts enthält, was zu maskieren wäre"}"#,
        "\"a string by itself, which ends where the source does\"",
        "\"short\"",
        "12",
        "true",
    ];
    let check = |text: &[u8]| {
        let mut taken = 0;
        for behind in [&b""[..], b"}", b"\"}]xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"] {
            let source = [b"..", text, behind].concat();
            let range = 2..2 + text.len();
            let mut document = Document::new();
            let Ok(root) = decode(&source, range.clone(), &mut document, &Limits::NONE) else {
                return 0;
            };
            let view = document.view(&source, root);
            let mut expected = [b"before".to_vec(), b"before".to_vec()];
            let mut onward = expected.clone();
            xml::encode(view, &mut expected[0]);
            pickle::encode(view, pickle::Classes::None, &mut expected[1]);
            let written = [
                xml::encode_json(&source, range.clone(), &mut onward[0]),
                pickle::encode_json(&source, range, &mut onward[1]),
            ];
            for ((expected, onward), written) in expected.iter().zip(&onward).zip(written) {
                if written {
                    assert_eq!(
                        onward.escape_ascii().to_string(),
                        expected.escape_ascii().to_string()
                    );
                    taken += 1;
                } else {
                    assert_eq!(onward, b"before");
                }
            }
        }
        taken
    };
    let mut state: u64 = 0xd1ff;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    };
    const PIECES: &[u8] = b"{}[]\",:\\ 019.eE-+$ud\xc3\x1f<&>x";
    let mut taken = 0;
    for round in 0..60_000 {
        let mut text = TEXTS[round % TEXTS.len()].as_bytes().to_vec();
        for _ in 0..round % 4 {
            let at = below(text.len());
            match below(5) {
                0 => text[at] = PIECES[below(PIECES.len())],
                1 => text[at] ^= 1 << below(8),
                2 => drop(text.remove(at)),
                3 => text.insert(at, PIECES[below(PIECES.len())]),
                _ => {
                    let part: Vec<u8> = text[at..].iter().copied().take(below(12)).collect();
                    text.splice(at..at, part);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        taken += check(&text);
    }
    assert!(taken > 80_000, "only {taken} went straight");
    for depth in [1, 8, 9, 63, 64, 65, MAX_DEPTH] {
        let text = [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(check(&text), 6, "{depth} deep");
    }
    let keys = |count: usize| {
        let members: Vec<String> = (0..count).map(|key| format!(r#""key{key}":"{key}""#)).collect();
        format!(r#"{{"first":{{"key1":1,"key2":2}},{}}}"#, members.join(","))
    };
    for count in [1, 24, 25, 26, 63, 64, 65, 100, 1_000] {
        assert_eq!(check(keys(count).as_bytes()), 6, "{count} keys");
        let twice = keys(count).replace("\"key0\"", "\"first\"");
        assert_eq!(check(twice.as_bytes()), 0, "{count} keys, one of them twice");
    }
}
