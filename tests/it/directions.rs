//! Every row of the table of values, published in each format and delivered in each: nine
//! directions, JSON three times.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Format::{self, Json, Pickle, Xml};

use crate::support::Field::{Bool, Raw, Str};
use crate::support::python::{hex, opcodes};
use crate::support::{Client, start};

/// Opcodes as CPython's `pickle.dumps(value, 3)` writes them, the value as Python shows it, JSON
/// with `exact` off and on, the XML element without its name.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const SCALARS: &[Row] = &[
    ("80034e2e", "None", "null", "null", r#" type="null">"#),
    ("8003882e", "True", "true", "true", r#" type="bool">true"#),
    ("8003892e", "False", "false", "false", r#" type="bool">false"#),
    ("80034b002e", "0", "0", "0", r#" type="int">0"#),
    ("80034affffffff2e", "-1", "-1", "-1", r#" type="int">-1"#),
    (
        "80038a08ffffffffffffff7f2e",
        "9223372036854775807",
        "9223372036854775807",
        "9223372036854775807",
        r#" type="int">9223372036854775807"#,
    ),
    (
        "80038a090000000000000080002e",
        "9223372036854775808",
        "9223372036854775808",
        r#"{"$int":"9223372036854775808"}"#,
        r#" type="int">9223372036854775808"#,
    ),
    (
        "80038a0800000000000000802e",
        "-9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775808",
        r#" type="int">-9223372036854775808"#,
    ),
    (
        "80038a09ffffffffffffff7fff2e",
        "-9223372036854775809",
        "-9223372036854775809",
        r#"{"$int":"-9223372036854775809"}"#,
        r#" type="int">-9223372036854775809"#,
    ),
    ("8003473fe00000000000002e", "0.5", "0.5", "0.5", r#" type="float">0.5"#),
    ("8003473ff00000000000002e", "1.0", "1.0", "1.0", r#" type="float">1.0"#),
    ("8003477e41eb2d660058352e", "1.5e300", "1.5e+300", "1.5e+300", r#" type="float">1.5e+300"#),
    ("8003470000000000000001 2e", "5e-324", "5e-324", "5e-324", r#" type="float">5e-324"#),
    ("8003478000000000000000 2e", "-0.0", "-0.0", "-0.0", r#" type="float">-0.0"#),
    (
        "8003477ff80000000000002e",
        "nan",
        r#"{"$float":"nan"}"#,
        r#"{"$float":"nan"}"#,
        r#" type="float">NaN"#,
    ),
    (
        "8003477ff00000000000002e",
        "inf",
        r#"{"$float":"inf"}"#,
        r#"{"$float":"inf"}"#,
        r#" type="float">INF"#,
    ),
    (
        "800347fff00000000000002e",
        "-inf",
        r#"{"$float":"-inf"}"#,
        r#"{"$float":"-inf"}"#,
        r#" type="float">-INF"#,
    ),
    ("8003580000000071002e", r#""""#, r#""""#, r#""""#, r#" type="str">"#),
    (
        "80035808000000613c263e22e282ac71002e",
        r#""a<&>\"€""#,
        r#""a<&>\"€""#,
        r#""a<&>\"€""#,
        r#" type="str">a&lt;&amp;&gt;"€"#,
    ),
    (
        "80035804000000f09f988071002e",
        "\"\u{1f600}\"",
        "\"\u{1f600}\"",
        "\"\u{1f600}\"",
        " type=\"str\">\u{1f600}",
    ),
    (
        "80035805000000610d0a096271002e",
        r#""a\r\n\tb""#,
        r#""a\r\n\tb""#,
        r#""a\r\n\tb""#,
        " type=\"str\">a&#13;\n\tb",
    ),
    (
        "80035802000000000171002e",
        r#""\u0000\u0001""#,
        r#""\u0000\u0001""#,
        r#""\u0000\u0001""#,
        r#" type="str" encoding="base64">AAE="#,
    ),
    (
        "80035803000000efbfbf71002e",
        "\"\u{ffff}\"",
        "\"\u{ffff}\"",
        "\"\u{ffff}\"",
        r#" type="str" encoding="base64">77+/"#,
    ),
    ("8003430071002e", "b''", r#"{"$bytes":""}"#, r#"{"$bytes":""}"#, r#" type="bytes">"#),
    (
        "8003430200ff71002e",
        r"b'\x00\xff'",
        r#"{"$bytes":"AP8="}"#,
        r#"{"$bytes":"AP8="}"#,
        r#" type="bytes">AP8="#,
    ),
    // bytearray(b'ab')
    (
        "8003636275696c74696e730a6279746561727261790a71004302616271018571025271032e",
        "b'ab'",
        r#"{"$bytes":"YWI="}"#,
        r#"{"$bytes":"YWI="}"#,
        r#" type="bytes">YWI="#,
    ),
];

const CONTAINERS: &[Row] = &[
    ("80035d71002e", "[]", "[]", "[]", r#" type="list">"#),
    (
        "80035d7100284b015d71014b0261652e",
        "[1, [2]]",
        "[1,[2]]",
        "[1,[2]]",
        r#" type="list"><item type="int">1</item><item type="list"><item type="int">2</item></item>"#,
    ),
    ("8003292e", "()", "[]", r#"{"$tuple":[]}"#, r#" type="tuple">"#),
    (
        "80034b018571002e",
        "(1,)",
        "[1]",
        r#"{"$tuple":[1]}"#,
        r#" type="tuple"><item type="int">1</item>"#,
    ),
    (
        "80034b0158010000006171004e8771012e",
        r#"(1, "a", None)"#,
        r#"[1,"a",null]"#,
        r#"{"$tuple":[1,"a",null]}"#,
        r#" type="tuple"><item type="int">1</item><item type="str">a</item><item type="null"></item>"#,
    ),
    (
        "8003636275696c74696e730a7365740a71005d71018571025271032e",
        "set()",
        r#"{"$set":[]}"#,
        r#"{"$set":[]}"#,
        r#" type="set">"#,
    ),
    (
        "8003636275696c74696e730a7365740a71005d71014b01618571025271032e",
        "{1}",
        r#"{"$set":[1]}"#,
        r#"{"$set":[1]}"#,
        r#" type="set"><item type="int">1</item>"#,
    ),
    (
        "8003636275696c74696e730a66726f7a656e7365740a71005d71014b01618571025271032e",
        "frozenset({1})",
        r#"{"$set":[1]}"#,
        r#"{"$frozenset":[1]}"#,
        r#" type="frozenset"><item type="int">1</item>"#,
    ),
    (
        "80035d7100284b01857101636275696c74696e730a7365740a71025d71034b02618571045271057d71064b034b0473652e",
        "[(1,), {2}, {3: 4}]",
        r#"[[1],{"$set":[2]},{"3":4}]"#,
        r#"[{"$tuple":[1]},{"$set":[2]},{"$dict":[[3,4]]}]"#,
        concat!(
            r#" type="list"><item type="tuple"><item type="int">1</item></item>"#,
            r#"<item type="set"><item type="int">2</item></item><item type="map"><entry><key type="int">3</key>"#,
            r#"<value type="int">4</value></entry></item>"#
        ),
    ),
];

const DICTS: &[Row] = &[
    ("80037d71002e", "{}", "{}", "{}", r#" type="dict">"#),
    (
        "80037d71002858010000006171014b0158010000006271027d710358010000006371045d710573752e",
        r#"{"a": 1, "b": {"c": []}}"#,
        r#"{"a":1,"b":{"c":[]}}"#,
        r#"{"a":1,"b":{"c":[]}}"#,
        r#" type="dict"><a type="int">1</a><b type="dict"><c type="list"></c></b>"#,
    ),
    // The order is the producer's: {'b': 1, 'a': 2}. (The pickle is read into a sorted map here;
    // see the last test.)
    (
        "80037d71002858010000006271014b0158010000006171024b02752e",
        r#"{"a": 2, "b": 1}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"b":1,"a":2}"#,
        r#" type="dict"><b type="int">1</b><a type="int">2</a>"#,
    ),
    (
        "80037d710058040000006974656d71014b01732e",
        r#"{"item": 1}"#,
        r#"{"item":1}"#,
        r#"{"item":1}"#,
        r#" type="dict"><item key="item" type="int">1</item>"#,
    ),
    (
        "80037d7100580300000061206271014b01732e",
        r#"{"a b": 1}"#,
        r#"{"a b":1}"#,
        r#"{"a b":1}"#,
        r#" type="dict"><item key="a b" type="int">1</item>"#,
    ),
    (
        "80037d71005806000000786d6c69736871014b01732e",
        r#"{"xmlish": 1}"#,
        r#"{"xmlish":1}"#,
        r#"{"xmlish":1}"#,
        r#" type="dict"><item key="xmlish" type="int">1</item>"#,
    ),
    (
        "80037d7100580000000071014b01732e",
        r#"{"": 1}"#,
        r#"{"":1}"#,
        r#"{"":1}"#,
        r#" type="dict"><item key="" type="int">1</item>"#,
    ),
    (
        "80037d710058010000000d71014b01732e",
        r#"{"\r": 1}"#,
        r#"{"\r":1}"#,
        r#"{"\r":1}"#,
        r#" type="dict"><item key="&#13;" type="int">1</item>"#,
    ),
    (
        "80037d71004b015801000000617101732e",
        r#"{1: "a"}"#,
        r#"{"1":"a"}"#,
        r#"{"$dict":[[1,"a"]]}"#,
        r#" type="map"><entry><key type="int">1</key><value type="str">a</value></entry>"#,
    ),
    // {1: 'a', '1': 'b'}: two keys would meet.
    (
        "80037d7100284b01580100000061710158010000003171025801000000627103752e",
        r#"{1: "a", "1": "b"}"#,
        r#"{"$dict":[[1,"a"],["1","b"]]}"#,
        r#"{"$dict":[[1,"a"],["1","b"]]}"#,
        concat!(
            r#" type="map"><entry><key type="int">1</key><value type="str">a</value></entry>"#,
            r#"<entry><key type="str">1</key><value type="str">b</value></entry>"#
        ),
    ),
    (
        "80037d7100284e4b01884b024740040000000000004b03752e",
        "{None: 1, True: 2, 2.5: 3}",
        r#"{"null":1,"true":2,"2.5":3}"#,
        r#"{"$dict":[[null,1],[true,2],[2.5,3]]}"#,
        concat!(
            r#" type="map"><entry><key type="null"></key><value type="int">1</value></entry>"#,
            r#"<entry><key type="bool">true</key><value type="int">2</value></entry>"#,
            r#"<entry><key type="float">2.5</key><value type="int">3</value></entry>"#
        ),
    ),
    (
        "80037d7100477ff80000000000004b01732e",
        "{nan: 1}",
        r#"{"NaN":1}"#,
        r#"{"$dict":[[{"$float":"nan"},1]]}"#,
        r#" type="map"><entry><key type="float">NaN</key><value type="int">1</value></entry>"#,
    ),
    (
        "80037d71004b014b028671014b03732e",
        "{(1, 2): 3}",
        r#"{"$dict":[[[1,2],3]]}"#,
        r#"{"$dict":[[{"$tuple":[1,2]},3]]}"#,
        concat!(
            r#" type="map"><entry><key type="tuple"><item type="int">1</item><item type="int">2</item></key>"#,
            r#"<value type="int">3</value></entry>"#
        ),
    ),
    (
        "80037d710043016b71014b01732e",
        "{b'k': 1}",
        r#"{"$dict":[[{"$bytes":"aw=="},1]]}"#,
        r#"{"$dict":[[{"$bytes":"aw=="},1]]}"#,
        r#" type="map"><entry><key type="bytes">aw==</key><value type="int">1</value></entry>"#,
    ),
    // No data can pose as a tag: {'$int': '5'}, {'$x': 1}; with a second key there is no danger.
    (
        "80037d7100580400000024696e7471015801000000357102732e",
        r#"{"$int": "5"}"#,
        r#"{"$dict":[["$int","5"]]}"#,
        r#"{"$dict":[["$int","5"]]}"#,
        r#" type="dict"><item key="$int" type="str">5</item>"#,
    ),
    (
        "80037d71005802000000247871014b01732e",
        r#"{"$x": 1}"#,
        r#"{"$dict":[["$x",1]]}"#,
        r#"{"$dict":[["$x",1]]}"#,
        r#" type="dict"><item key="$x" type="int">1</item>"#,
    ),
    (
        "80037d7100285802000000247871014b0158010000006271024b02752e",
        r#"{"$x": 1, "b": 2}"#,
        r#"{"$x":1,"b":2}"#,
        r#"{"$x":1,"b":2}"#,
        r#" type="dict"><item key="$x" type="int">1</item><b type="int">2</b>"#,
    ),
];

/// The consumers of every direction, and a producer.
struct Directions {
    producer: Client,
    json: Client,
    exact: Client,
    js: Client,
    xml: Client,
    pickle: Client,
    _broker: babelmq::BrokerHandle,
}

impl Directions {
    fn new() -> Directions {
        let broker = start();
        let connect = |format, exact| {
            let mut client = Client::connect(&broker);
            client.subscribe_with(format, "/t", &[("exact", exact)]);
            client
        };
        Directions {
            producer: Client::connect(&broker),
            json: connect(Json, Bool(false)),
            exact: connect(Json, Bool(true)),
            js: connect(Json, Str("js")),
            xml: connect(Xml, Bool(false)),
            pickle: connect(Pickle, Bool(false)),
            _broker: broker,
        }
    }

    /// Publishes `payload` and compares what each consumer gets, live and stored.
    #[track_caller]
    fn check(&mut self, format: Format, payload: &[u8], expected: [&str; 4]) {
        let shown = String::from_utf8_lossy(payload);
        self.producer.publish(format, "/t/x", payload);
        let refused = self.producer.flush(Json);
        assert!(refused.is_empty(), "{format} {shown}: {:?}", refused[0].fields());
        let [json, exact, xml, pickle] = expected;
        let js = for_javascript(exact);
        for (consumer, out, expected) in [
            (&mut self.json, Json, json),
            (&mut self.exact, Json, exact),
            (&mut self.js, Json, &js),
            (&mut self.xml, Xml, xml),
            (&mut self.pickle, Pickle, pickle),
        ] {
            let delivered = consumer.next();
            assert_eq!(delivered.format, out, "{format} {shown}");
            delivered.says(&[("command", "publish"), ("topic", "/t/x")]);
            assert_eq!(delivered.message(), expected, "{format} {shown} to {out}");
            // `get` has no `exact`; for the plain dialects it gives what was delivered.
            consumer.command(out, &[("command", Str("get")), ("topic", Str("/t/x"))]);
            let stored = consumer.next();
            stored.says(&[("command", "value"), ("topic", "/t/x")]);
            if out != Json {
                assert_eq!(stored.message(), expected, "{format} {shown} stored, to {out}");
            }
        }
    }
}

/// What exact JSON is for JavaScript, where it is an int or has none that is long.
fn for_javascript(exact: &str) -> String {
    match exact.parse::<i64>() {
        Ok(number) if number.unsigned_abs() >= 1 << 53 => format!("{{\"$int\":\"{exact}\"}}"),
        _ => exact.to_owned(),
    }
}

fn check_table(rows: &[Row]) {
    let mut directions = Directions::new();
    for (pickle, repr, json, exact, rest) in rows {
        let xml = format!("<message{rest}</message>");
        let pickle = hex(pickle);
        // A JSON consumer with `exact` off gets a JSON producer's own bytes.
        directions.check(Json, exact.as_bytes(), [exact, exact, &xml, repr]);
        directions.check(Xml, xml.as_bytes(), [json, exact, &xml, repr]);
        directions.check(Pickle, opcodes(&pickle), [json, exact, &xml, repr]);
    }
}

#[test]
fn scalars_arrive_as_the_table_says() {
    check_table(SCALARS);
}

#[test]
fn lists_tuples_and_sets_arrive_as_the_table_says() {
    check_table(CONTAINERS);
}

#[test]
fn dicts_arrive_as_the_table_says() {
    check_table(DICTS);
}

#[test]
fn the_longest_integer_passes_in_all_directions() {
    let digits = "7".repeat(4_300);
    let tagged = format!("{{\"$int\":\"{digits}\"}}");
    let xml = format!("<message type=\"int\">{digits}</message>");
    let mut directions = Directions::new();
    directions.check(Json, digits.as_bytes(), [&digits, &tagged, &xml, &digits]);
    directions.check(Xml, xml.as_bytes(), [&digits, &tagged, &xml, &digits]);
    // LONG of protocol 0, decimal.
    let long = format!("L{digits}L\n");
    directions.check(Pickle, long.as_bytes(), [&digits, &tagged, &xml, &digits]);
}

#[test]
fn plain_xml_documents_are_read_as_xmltodict_reads_them() {
    let mut directions = Directions::new();
    let mut check = |xml: &str, json: &str, repr: &str| {
        directions.check(Xml, xml.as_bytes(), [json, json, xml, repr]);
    };
    check("<message>text</message>", r#""text""#, r#""text""#);
    check("<message/>", "null", "None");
    check(
        r#"<message><order id="5"><sku>X1</sku></order></message>"#,
        r#"{"order":{"@id":"5","sku":"X1"}}"#,
        r#"{"order": {"@id": "5", "sku": "X1"}}"#,
    );
    check(
        r#"<message><a>1</a><b/><a c="2">3</a></message>"#,
        r##"{"a":["1",{"@c":"2","#text":"3"}],"b":null}"##,
        r##"{"a": ["1", {"#text": "3", "@c": "2"}], "b": None}"##,
    );
    check(
        r#"<message><a type="sedan">x</a></message>"#,
        r##"{"a":{"@type":"sedan","#text":"x"}}"##,
        r##"{"a": {"#text": "x", "@type": "sedan"}}"##,
    );
    check(
        r#"<message type="document"><a type="int">5</a></message>"#,
        r##"{"a":{"@type":"int","#text":"5"}}"##,
        r##"{"a": {"#text": "5", "@type": "int"}}"##,
    );
}

#[test]
fn the_published_bytes_survive_in_their_own_format() {
    let mut directions = Directions::new();
    let json = "{ \"b\" : 1.50 ,\t\"a\":[1E2, \"\\u0041\\/\"],\n \"big\": 100000000000000000000 }";
    directions.check(
        Json,
        json.as_bytes(),
        [
            json,
            r#"{"b":1.5,"a":[100.0,"A/"],"big":{"$int":"100000000000000000000"}}"#,
            concat!(
                r#"<message type="dict"><b type="float">1.5</b><a type="list"><item type="float">100.0</item>"#,
                r#"<item type="str">A/</item></a><big type="int">100000000000000000000</big></message>"#
            ),
            r#"{"a": [100.0, "A/"], "b": 1.5, "big": 100000000000000000000}"#,
        ],
    );
    let xml = "<message  type='dict' ><!-- why --><b type = 'float'>1.50</b \
    >\n<a><![CDATA[<x>]]>&#65;</a></message>";
    directions.check(
        Xml,
        xml.as_bytes(),
        [r#"{"b":1.5,"a":"<x>A"}"#, r#"{"b":1.5,"a":"<x>A"}"#, xml, r#"{"a": "<x>A", "b": 1.5}"#],
    );
}

#[test]
fn json_reads_as_json_loads_does() {
    let mut directions = Directions::new();
    // The last of duplicate keys wins; an unknown tag, or a known one beside another key, is an
    // ordinary object.
    let duplicate = r#"{"a":1,"b":2,"a":3}"#;
    let xml = r#"<message type="dict"><a type="int">3</a><b type="int">2</b></message>"#;
    directions.check(
        Json,
        duplicate.as_bytes(),
        [duplicate, r#"{"a":3,"b":2}"#, xml, r#"{"a": 3, "b": 2}"#],
    );
    let unknown = r#"{"$nope":[1]}"#;
    let xml = r#"<message type="dict"><item key="$nope" type="list"><item type="int">1</item></item></message>"#;
    directions.check(
        Json,
        unknown.as_bytes(),
        [unknown, r#"{"$dict":[["$nope",[1]]]}"#, xml, r#"{"$nope": [1]}"#],
    );
}

#[test]
fn of_equal_keys_the_last_wins() {
    let mut directions = Directions::new();
    let xml = r#"<message type="map"><entry><key type="int">1</key><value type="str">c</value></entry></message>"#;
    // {1: 'a', 1.0: 'b', True: 'c'} as opcodes: CPython itself could not hold it to write it.
    let opcodes =
        hex("7d28 4b01 5801000000 61 473ff0000000000000 5801000000 62 88 5801000000 63 75");
    let exact = r#"{"$dict":[[1,"c"]]}"#;
    directions.check(Pickle, &opcodes, [r#"{"1":"c"}"#, exact, xml, r#"{1: "c"}"#]);
}

#[test]
fn a_shared_reference_arrives_as_a_copy() {
    let mut directions = Directions::new();
    // a = ['x']; pickle.dumps([a, a], 2) without PROTO and STOP.
    let opcodes = hex("5d7100 28 5d7101 5801000000787102 61 6801 65");
    let item = r#"<item type="list"><item type="str">x</item></item>"#;
    let xml = format!("<message type=\"list\">{item}{item}</message>");
    directions.check(
        Pickle,
        &opcodes,
        [r#"[["x"],["x"]]"#, r#"[["x"],["x"]]"#, &xml, r#"[["x"], ["x"]]"#],
    );
}

#[test]
fn every_protocol_is_read_and_four_is_written_with_the_order_of_keys() {
    let broker = start();
    let mut consumer = Client::connect(&broker);
    consumer.subscribe(Pickle, "/t");
    // pickle.dumps({'command': 'publish', 'topic': '/t', 'message': {'b': b'\xff', 'a': 1.5}}, N)
    // for N from 0 to 5.
    for (protocol, pickle) in include_str!("../data/publish_pickles.txt").lines().enumerate() {
        consumer.send(Pickle, &hex(pickle));
        let delivered = consumer.next();
        assert_eq!(delivered.message(), r#"{"a": 1.5, "b": b'\xff'}"#, "protocol {protocol}");
        let at = |needle: &[u8]| {
            delivered.body.windows(needle.len()).position(|window| window == needle)
        };
        let (b, a) = (at(b"\x8c\x01b"), at(b"\x8c\x01a"));
        assert!(b.is_some() && b < a, "protocol {protocol}: {:02x?}", delivered.body);
    }
    // What stands outside of `message` may be shared with it: m = 'publish'; {'command': m,
    // 'topic': '/t', 'message': m}.
    let shared = "80027d71002858070000 00636f6d6d616e64 7101 5807000000 7075626c697368 7102 \
    5805000000 746f706963 7103 5802000000 2f74 7104 5807000000 6d657373616765 7105 6802 752e";
    consumer.send(Pickle, &hex(shared));
    assert_eq!(consumer.next().message(), r#""publish""#);
    consumer.is_quiet();
}

#[test]
fn fields_that_are_not_ours_do_not_reach_another_format() {
    let mut directions = Directions::new();
    let fields = [
        ("command", Str("publish")),
        ("extra", Str("x")),
        ("topic", Str("/t")),
        ("retain", Bool(false)),
        ("message", Raw(b"1")),
    ];
    directions.producer.command(Json, &fields);
    for consumer in [&mut directions.xml, &mut directions.pickle, &mut directions.json] {
        let delivered = consumer.next();
        delivered.says(&[("command", "publish"), ("topic", "/t")]);
        assert_eq!(delivered.number(), 1);
    }
}
