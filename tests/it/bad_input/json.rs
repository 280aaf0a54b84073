//! JSON that serde_json lets through, or that other parsers trip over.

use babelmq::Format::Json;

use super::row::{Row, delivered, payload, refused, truncations};

pub fn rows() -> Vec<Row> {
    let mut rows = truncations(Json, br#"{"a":[1,"\u00e9",-2.5e-1,true,false,null]}"#);
    for (text, code) in [
        // The grammar.
        ("", "malformed-json"),
        ("[1,]", "malformed-json"),
        ("[,1]", "malformed-json"),
        ("{\"a\":1,}", "malformed-json"),
        ("{\"a\"}", "malformed-json"),
        ("{1:2}", "malformed-json"),
        ("{'a':1}", "malformed-json"),
        ("01", "malformed-json"),
        ("+1", "malformed-json"),
        ("1.", "malformed-json"),
        (".5", "malformed-json"),
        ("1e", "malformed-json"),
        ("0x10", "malformed-json"),
        ("1_000", "malformed-json"),
        ("-", "malformed-json"),
        ("NaN", "malformed-json"),
        ("Infinity", "malformed-json"),
        ("-Infinity", "malformed-json"),
        ("True", "malformed-json"),
        ("nul", "malformed-json"),
        ("'a'", "malformed-json"),
        ("\"\t\"", "malformed-json"),
        ("\"\0\"", "malformed-json"),
        ("\"\\x\"", "malformed-json"),
        ("\"\\u12g4\"", "malformed-json"),
        ("\"\\u+123\"", "malformed-json"),
        ("\"\\u{41}\"", "malformed-json"),
        ("1 /* x */", "malformed-json"),
        ("1 // x\n", "malformed-json"),
        ("1} {", "malformed-json"),
        ("\u{feff}1", "malformed-json"),
        ("1\u{a0}", "malformed-json"),
        ("1\u{b}", "malformed-json"),
        // Numbers that no double holds.
        ("1e400", "invalid-value"),
        ("-1e400", "invalid-value"),
        ("{\"a\":[1E+400]}", "invalid-value"),
        ("1.5e999999999999999999999", "invalid-value"),
        // Lone surrogates.
        ("\"\\ud800\"", "invalid-value"),
        ("\"\\udc00\"", "invalid-value"),
        ("\"\\ud800\\ud800\"", "invalid-value"),
        ("\"\\ud800\\u0041\"", "invalid-value"),
        ("\"\\ude00\\ud83d\"", "invalid-value"),
        ("{\"\\udc00\":1}", "invalid-value"),
        ("{\"a\":{\"\\udfff\":[]}}", "invalid-value"),
        // Tags of the wrong shape.
        ("{\"$int\":5}", "invalid-tag"),
        ("{\"$int\":\"\"}", "invalid-tag"),
        ("{\"$int\":\"1.5\"}", "invalid-tag"),
        ("{\"$int\":\" 1\"}", "invalid-tag"),
        ("{\"$int\":[\"1\"]}", "invalid-tag"),
        ("{\"$float\":\"1.5\"}", "invalid-tag"),
        ("{\"$float\":\"NaN\"}", "invalid-tag"),
        ("{\"$float\":1.5}", "invalid-tag"),
        ("{\"$bytes\":\"A\"}", "invalid-tag"),
        ("{\"$bytes\":\"AA-_\"}", "invalid-tag"),
        ("{\"$bytes\":\"AB==\"}", "invalid-tag"),
        ("{\"$bytes\":[65]}", "invalid-tag"),
        ("{\"$datetime\":\"2026-02-30T00:00:00\"}", "invalid-tag"),
        ("{\"$datetime\":\"2026-02-01T00:00:00+00:00[Nowhere/Land]\"}", "invalid-tag"),
        ("{\"$date\":20260201}", "invalid-tag"),
        ("{\"$time\":\"24:00:00\"}", "invalid-tag"),
        ("{\"$timedelta\":\"P1Y\"}", "invalid-tag"),
        ("{\"$decimal\":1.10}", "invalid-tag"),
        ("{\"$decimal\":\"1_0\"}", "invalid-tag"),
        ("{\"$uuid\":\"12345678123456781234567812345678\"}", "invalid-tag"),
        ("{\"$fraction\":\"1/0\"}", "invalid-tag"),
        ("{\"$complex\":\"1j\"}", "invalid-tag"),
        ("{\"$complex\":[1,\"2\"]}", "invalid-tag"),
        ("{\"$complex\":[1,2,3]}", "invalid-tag"),
        ("{\"$ndarray\":[1,2]}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|u1\",\"shape\":[1]}}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|u1\",\"shape\":[2],\"data\":\"AA==\"}}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|u1\",\"shape\":[-1],\"data\":\"AA==\"}}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|u1\",\"shape\":[1.0],\"data\":\"AA==\"}}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|O8\",\"shape\":[1],\"data\":\"AA==\"}}", "invalid-tag"),
        ("{\"$ndarray\":{\"dtype\":\"|u1\",\"shape\":[1],\"data\":\"AA=\"}}", "invalid-tag"),
        (
            "{\"$ndarray\":{\"dtype\":\"<f8\",\"shape\":[1000000000000,0],\"data\":\"\"}}",
            "too-large",
        ),
        ("{\"$object\":{\"class\":\"a b\",\"state\":{}}}", "invalid-tag"),
        ("{\"$object\":{\"class\":\"a.B\",\"state\":[]}}", "invalid-tag"),
        ("{\"$object\":{\"class\":\"a.B\",\"state\":{\"$dict\":[[1,2]]}}}", "invalid-tag"),
        ("{\"$tuple\":{}}", "invalid-tag"),
        ("{\"$tuple\":null}", "invalid-tag"),
        ("{\"$set\":1}", "invalid-tag"),
        ("{\"$frozenset\":\"abc\"}", "invalid-tag"),
        ("{\"$dict\":{}}", "invalid-tag"),
        ("{\"$dict\":[1]}", "invalid-tag"),
        ("{\"$dict\":[[1]]}", "invalid-tag"),
        ("{\"$dict\":[[1,2,3]]}", "invalid-tag"),
        ("{\"$dict\":[{\"k\":1}]}", "invalid-tag"),
        // What Python could not hash.
        ("{\"$set\":[[]]}", "unhashable"),
        ("{\"$set\":[{\"$set\":[]}]}", "unhashable"),
        ("{\"$frozenset\":[{}]}", "unhashable"),
        ("{\"$dict\":[[{},1]]}", "unhashable"),
        ("{\"$dict\":[[{\"$tuple\":[[]]},1]]}", "unhashable"),
    ] {
        rows.push(payload(format!("JSON {text}"), Json, text, code));
    }
    rows.extend(bulk());
    rows.extend(bodies());
    rows.extend(accepted());
    rows
}

/// More of it than anybody would write.
fn bulk() -> Vec<Row> {
    let digits = "1".repeat(1 << 20);
    let deep = |count, opening: &str, inside: &str, closing: &str| {
        [&*opening.repeat(count), inside, &closing.repeat(count)].concat()
    };
    let tagged = |count| deep(count, r#"{"$tuple":["#, "", "]}");
    vec![
        payload("1 MB of digits", Json, &digits, "too-many-digits"),
        payload("1 MB of digits below 0", Json, format!("[-{digits}]"), "too-many-digits"),
        payload(
            "1 MB of digits in a tag",
            Json,
            format!("{{\"$int\":\"{digits}\"}}"),
            "too-many-digits",
        ),
        payload("4,301 digits", Json, &digits[..4_301], "too-many-digits"),
        payload("1 MB of digits in an exponent", Json, format!("1e{digits}"), "invalid-value"),
        payload("1 MB of digits before a point", Json, format!("{digits}.5"), "invalid-value"),
        payload("129 lists", Json, deep(129, "[", "", "]"), "too-deep"),
        payload("129 tuples", Json, tagged(129), "too-deep"),
        payload("100,000 lists", Json, deep(100_000, "[", "", "]"), "too-deep"),
        payload("100,000 dicts", Json, deep(100_000, "{\"a\":", "1", "}"), "too-deep"),
        payload("100,000 tags", Json, tagged(100_000), "too-deep"),
        payload("100,000 lists never closed", Json, "[".repeat(100_000), "too-deep"),
        payload("100,000 dicts never closed", Json, "{\"a\":".repeat(100_000), "too-deep"),
        payload("100,000 closed and never opened", Json, "]".repeat(100_000), "malformed-json"),
        refused("a body of 100,000 lists", Json, "[".repeat(100_000), "too-deep"),
        refused(
            "100,000 levels in a field that nobody knows",
            Json,
            format!("{{\"x\":{}}}", deep(100_000, "[", "", "]")),
            "too-deep",
        ),
    ]
}

/// Faults of the body itself.
fn bodies() -> Vec<Row> {
    let list: [(&str, &[u8], &str); 20] = [
        ("text after the body", b"{\"command\":\"ping\"} x", "malformed-json"),
        ("two bodies", b"{\"command\":\"ping\"}{\"command\":\"ping\"}", "malformed-json"),
        (
            "two byte order marks",
            b"\xef\xbb\xbf\xef\xbb\xbf{\"command\":\"ping\"}",
            "malformed-json",
        ),
        ("UTF-16", b"{\0\"\0c\0o\0m\0m\0a\0n\0d\0\"\0:\0", "malformed-json"),
        (
            "bytes that are no UTF-8",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xff\"}",
            "malformed-json",
        ),
        (
            "UTF-8 cut short",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xe2\x82\"}",
            "malformed-json",
        ),
        (
            "overlong UTF-8",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xc0\x80\"}",
            "malformed-json",
        ),
        (
            "a surrogate in UTF-8",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xed\xa0\x80\"}",
            "malformed-json",
        ),
        (
            "beyond Unicode in UTF-8",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":\"\xf4\x90\x80\x80\"}",
            "malformed-json",
        ),
        (
            "a topic that is no UTF-8",
            b"{\"command\":\"publish\",\"topic\":\"/\xff\",\"message\":1}",
            "malformed-json",
        ),
        ("a field's name that is no UTF-8", b"{\"command\":\"ping\",\"\xff\":1}", "malformed-json"),
        ("a list", b"[]", "not-a-map"),
        ("null", b"null", "not-a-map"),
        ("a number", b"12", "not-a-map"),
        ("a string", b"\"ping\"", "not-a-map"),
        ("a command twice", b"{\"command\":\"ping\",\"command\":\"ping\"}", "duplicate-field"),
        (
            "a message twice",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"message\":1,\"message\":2}",
            "duplicate-field",
        ),
        (
            "a topic twice, once escaped",
            b"{\"command\":\"publish\",\"topic\":\"/t\",\"top\\u0069c\":\"/t\",\"message\":1}",
            "duplicate-field",
        ),
        (
            "a raw value for serde_json",
            b"{\"$serde_json::private::RawValue\":\"{\\\"command\\\":\\\"ping\\\"}\"}",
            "missing-field",
        ),
        ("a number for serde_json", b"{\"$serde_json::private::Number\":\"1\"}", "missing-field"),
    ];
    list.into_iter()
        .map(|(name, body, code)| refused(format!("JSON: {name}"), Json, body, code))
        .collect()
}

/// What looks bad and is not.
fn accepted() -> Vec<Row> {
    let list: [(&str, &str, &str); 12] = [
        ("duplicate keys", r#"{"a":1,"b":2,"a":3}"#, r#"{"a": 3, "b": 2}"#),
        ("duplicate keys, once escaped", r#"{"a":1,"\u0061":2}"#, r#"{"a": 2}"#),
        (
            "a key of a raw value",
            r#"{"$serde_json::private::RawValue":"[1,2]"}"#,
            r#"{"$serde_json::private::RawValue": "[1,2]"}"#,
        ),
        (
            "a key of a number",
            r#"{"$serde_json::private::Number":"1e400"}"#,
            r#"{"$serde_json::private::Number": "1e400"}"#,
        ),
        (
            "a raw value that is no JSON",
            r#"[{"$serde_json::private::RawValue":"]"}]"#,
            r#"[{"$serde_json::private::RawValue": "]"}]"#,
        ),
        ("an unknown tag", r#"{"$eval":"1"}"#, r#"{"$eval": "1"}"#),
        ("a tag and more", r#"{"$int":5,"a":1}"#, r#"{"$int": 5, "a": 1}"#),
        ("128 lists", &("[".repeat(128) + &"]".repeat(128)), &("[".repeat(128) + &"]".repeat(128))),
        ("NUL in a string", r#"["\u0000"]"#, r#"["\u0000"]"#),
        (
            "what XML cannot carry",
            r#"{"a><evil x='":"\u0000\ufffe"}"#,
            "{\"a><evil x='\": \"\\u0000\u{fffe}\"}",
        ),
        ("a number that is nearly 0", "[1e-400]", "[0.0]"),
        ("an exponent of zeros", "[1e0000000000000000000000001]", "[10.0]"),
    ];
    list.into_iter()
        .map(|(name, text, repr)| delivered(format!("JSON: {name}"), Json, text, repr))
        .collect()
}
