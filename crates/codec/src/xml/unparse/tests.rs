use proptest::prelude::*;

use super::*;
use crate::protocol::{ErrorCode, Format, Limits};
use crate::xml::tests::identity::values;
use crate::xml::{self, is_untyped};
use crate::{Dialect, Document, from_value, json};

/// The plain form, whose length was known.
fn plain(view: View<'_>, names: &PlainNames) -> String {
    let mut out = b"before".to_vec();
    encode_plain(view, names, &mut out);
    assert_eq!(plain_size(view, names), out.len() as u64 - 6);
    String::from_utf8(out.split_off(6)).unwrap()
}

/// The plain form of what some JSON says.
fn of_json(text: &str, names: &PlainNames) -> String {
    let mut document = Document::new();
    let root = json::decode(text.as_bytes(), 0..text.len(), &mut document, &Limits::NONE).unwrap();
    plain(document.view(text.as_bytes(), root), names)
}

#[track_caller]
fn check(json: &str, expected: &str) {
    let written = of_json(json, &PlainNames::default());
    assert_eq!(written, expected, "{json}");
}

#[test]
fn keys_are_elements_and_attributes() {
    check(
        r#"{"order":{"sku":["X1","X2"],"@id":"5"}}"#,
        r#"<message><order id="5"><sku>X1</sku><sku>X2</sku></order></message>"#,
    );
    check(
        r##"{"a":{"#text":"t","b":1,"@c":null,"@d":true,"@e":1.5}}"##,
        r#"<message><a c="" d="true" e="1.5"><b>1</b>t</a></message>"#,
    );
    check(r#"{"@id":5,"a":1}"#, r#"<message id="5"><a>1</a></message>"#);
    check(r##"{"#text":" <&>\"\r\n"}"##, "<message> &lt;&amp;&gt;\"&#13;\n</message>");
    check(
        r#"{"a":{"@b":" <&>'\"\r\n\t"}}"#,
        "<message><a b=\" &lt;&amp;&gt;'&quot;&#13;&#10;&#9;\"></a></message>",
    );
    check(r#"{"item":1,"xmlish":2}"#, "<message><item>1</item><xmlish>2</xmlish></message>");
}

#[test]
fn scalars_are_their_text() {
    for (json, text) in [
        ("null", ""),
        ("true", "true"),
        ("false", "false"),
        ("-7", "-7"),
        ("9223372036854775808", "9223372036854775808"),
        ("1e16", "1e+16"),
        (r#"{"$float":"nan"}"#, "NaN"),
        (r#"{"$float":"-inf"}"#, "-INF"),
        (r#"{"$bytes":"AP8="}"#, "AP8="),
        (r#""ü""#, "ü"),
    ] {
        check(json, &format!("<message>{text}</message>"));
        check(&format!("{{\"a\":{json}}}"), &format!("<message><a>{text}</a></message>"));
        check(&format!("{{\"@a\":{json}}}"), &format!("<message a=\"{text}\"></message>"));
    }
    check(r#""\u0000""#, r#"<message encoding="base64">AA==</message>"#);
    check(
        r#"{"a":{"@b":"\u0000","@d":"1"}}"#,
        r#"<message><a d="1"><item key="@b" encoding="base64">AA==</item></a></message>"#,
    );
    check(
        r##"{"a":{"#text":"\u0000"}}"##,
        r##"<message><a><item key="#text" encoding="base64">AA==</item></a></message>"##,
    );
}

#[test]
fn lists_repeat_the_element_and_inside_a_list_there_are_items() {
    check("[]", "<message></message>");
    check(
        "[1,[2,[]],{}]",
        "<message><item>1</item><item><item>2</item><item></item></item><item></item></message>",
    );
    check(
        r#"{"a":[[1,2],[],3,{"b":[]}]}"#,
        "<message><a><item>1</item><item>2</item></a><a></a><a>3</a><a></a></message>",
    );
    check(
        r#"{"a":{"$tuple":[1,{"$set":[2]},{"$frozenset":[3]}]}}"#,
        "<message><a>1</a><a><item>2</item></a><a><item>3</item></a></message>",
    );
}

#[test]
fn a_key_that_is_no_name_is_said() {
    check(
        r#"{"a b":1,"\"<":[2,3],"":{"@key":4,"@x":5},"@":6,"@a b":[7,8],"@a":{},"\u0001":9}"#,
        concat!(
            r#"<message><item key="a b">1</item><item key="&quot;&lt;">2</item><item key="&quot;&lt;">3</item>"#,
            r#"<item key="" x="5"><item key="@key">4</item></item><item key="@">6</item>"#,
            r#"<item key="@a b">7</item><item key="@a b">8</item><item key="@a"></item>"#,
            r#"<item key="AQ==" key-encoding="base64">9</item></message>"#
        ),
    );
    check(
        r#"{"$dict":[[1,2],[null,3],[true,4],[2.5,5],[{"$float":"-inf"},6],["x",7]]}"#,
        concat!(
            r#"<message><item key="1">4</item><null>3</null><item key="2.5">5</item>"#,
            r#"<item key="-Infinity">6</item><x>7</x></message>"#
        ),
    );
    check(
        r#"{"$dict":[[{"$tuple":[1]},[2,3]],["a",{"@b":4}]]}"#,
        concat!(
            "<message><entry><key><item>1</item></key><value><item>2</item><item>3</item></value></entry>",
            "<entry><key>a</key><value b=\"4\"></value></entry></message>"
        ),
    );
}

#[test]
fn a_prefix_is_one_where_it_is_declared() {
    check(
        r#"{"p:a":{"b":{"p:c":1},"@xmlns:p":"u","@p:d":"2","@xml:lang":"en"},"p:a2":3,":":4,"xmlns:x":5}"#,
        concat!(
            r#"<message><p:a xmlns:p="u" p:d="2" xml:lang="en"><b><p:c>1</p:c></b></p:a>"#,
            r#"<item key="p:a2">3</item><item key=":">4</item><item key="xmlns:x">5</item></message>"#
        ),
    );
    // Two names of one attribute; what no prefix can be.
    check(
        r#"{"a":{"@xmlns:p":"u","@xmlns:q":"u","@p:x":1,"@q:x":2,"@xmlns:xmlns":"v","@xmlns:r":""}}"#,
        concat!(
            r#"<message><a xmlns:p="u" xmlns:q="u" p:x="1"><item key="@q:x">2</item>"#,
            r#"<item key="@xmlns:xmlns">v</item><item key="@xmlns:r"></item></a></message>"#
        ),
    );
    check(
        r#"{"p:a":[{"@xmlns:p":"u"},1]}"#,
        r#"<message><p:a xmlns:p="u"></p:a><item key="p:a">1</item></message>"#,
    );
}

#[test]
fn types_of_a_consumers_own_are_not_ours() {
    check(
        r##"{"a":{"@type":"int","#text":"x"}}"##,
        r#"<message type="document"><a type="int">x</a></message>"#,
    );
    check(r#"{"a":{"@type":"sedan"}}"#, r#"<message><a type="sedan"></a></message>"#);
    check(r#"{"@type":"sedan"}"#, r#"<message type="sedan"></message>"#);
    check(r#"{"@type":"int"}"#, r#"<message><item key="@type">int</item></message>"#);
    check(
        r##"{"@type":"sedan","a":{"@type":"int","#text":"x"}}"##,
        concat!(
            r#"<message type="document"><item key="@type">sedan</item>"#,
            r#"<a type="int">x</a></message>"#
        ),
    );
    let root = PlainNames::new(Some("r"), None).unwrap();
    assert_eq!(
        of_json(r#"{"@type":"int"}"#, &root),
        r#"<message type="document"><r type="int"></r></message>"#
    );
}

#[test]
fn names_are_a_consumers_own() {
    let names = PlainNames::new(Some("data"), Some("row")).unwrap();
    for (json, expected) in [
        (r#"{"a":1}"#, "<a>1</a>"),
        (r#"{"a":{"b":[[1]]}}"#, "<a><b><row>1</row></b></a>"),
        (r#"{"a":[1,2]}"#, "<data><a>1</a><a>2</a></data>"),
        (r#"{"a":1,"b":2}"#, "<data><a>1</a><b>2</b></data>"),
        ("[1,[2]]", "<data><row>1</row><row><row>2</row></row></data>"),
        ("5", "<data>5</data>"),
        ("null", "<data></data>"),
        ("{}", "<data></data>"),
        (r#"{"@id":5}"#, "<data id=\"5\"></data>"),
        (r##"{"#text":"t"}"##, "<data>t</data>"),
        (r##"{"#text":{"a":1}}"##, "<item key=\"#text\"><a>1</a></item>"),
        (r#"{"$dict":[[1,2]]}"#, "<item key=\"1\">2</item>"),
        (
            r#"{"$dict":[[{"$tuple":[]},2]]}"#,
            "<data><entry><key></key><value>2</value></entry></data>",
        ),
    ] {
        let expected = format!("<message>{expected}</message>");
        assert_eq!(of_json(json, &names), expected, "{json}");
    }
    for bad in ["", "a b", "a:b", "1", "xmlx", "<", &"a".repeat(65)] {
        assert_eq!(PlainNames::new(Some(bad), None), None, "{bad}");
        assert_eq!(PlainNames::new(None, Some(bad)), None, "{bad}");
    }
    assert!(PlainNames::new(Some(&"a".repeat(64)), Some("ü")).is_some());
}

/// Values, and what CPython's xmltodict writes for them: see
/// `crates/codec/tests/vectors/make_xml.py`.
#[test]
fn it_is_what_xmltodict_unparse_writes() {
    let lines = include_str!("../../../tests/vectors/xml/unparse.jsonl");
    assert!(lines.lines().count() > 300);
    for line in lines.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let [json, xml] = ["json", "xml"].map(|field| vector[field].as_str().unwrap());
        let written = of_json(json, &PlainNames::default());
        let inside =
            written.strip_prefix("<message>").and_then(|rest| rest.strip_suffix("</message>"));
        assert_eq!(inside, Some(xml), "{json}");
    }
}

#[test]
fn a_long_key_of_a_long_list_is_not_repeated() {
    let fits = |json: &str, names: &PlainNames, most: u32| {
        let mut document = Document::new();
        let root =
            json::decode(json.as_bytes(), 0..json.len(), &mut document, &Limits::NONE).unwrap();
        let view = document.view(json.as_bytes(), root);
        let dialect = Dialect::PlainXml.fitting(view, names, most);
        let (length, typed) = (plain(view, names).len() as u64, xml::size::<true>(view));
        if dialect == Dialect::PlainXml {
            assert!(length <= 4 * typed && (length <= most.into() || length <= typed), "{json}");
        }
        dialect == Dialect::PlainXml
    };
    let usual = PlainNames::default();
    let list = |key: &str, items: usize| format!("{{\"{key}\":[{}1]}}", "1,".repeat(items));
    let most = u32::MAX;
    assert!(fits(&list(&"k".repeat(40), 1_000), &usual, most));
    assert!(!fits(&list(&"k".repeat(60), 1_000), &usual, most));
    // It is not so much longer than where it stands once.
    assert!(fits(&list(&"k".repeat(60), 3), &usual, most));
    assert!(fits(&list(&"k".repeat(10), 1_000), &usual, most));
    assert!(!fits(&list(&"<".repeat(40), 1_000), &usual, most));
    let long = |name: &str| PlainNames::new(None, Some(&name.repeat(60))).unwrap();
    assert!(!fits(&format!("[{}1]", "1,".repeat(1_000)), &long("i"), most));
    assert!(fits("[1,2,3]", &usual, most));
    // A frame that is too long for a client is not written, whatever the keys are.
    let short = list(&"k".repeat(20), 1_000);
    assert!(fits(&short, &usual, 1 << 20) && !fits(&short, &usual, 40_000));
    assert!(fits(&list("k", 1_000), &usual, 1_000));
}

/// Untyped XML that is put together at random.
fn elements() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "a", "b", "c", "item", "key", "entry", "message", "xmlx", "ü", "a-b.c", "p:a", "p:b",
        "type", "_",
    ]);
    let texts = prop::sample::select(vec![
        "",
        "t",
        " x y ",
        "&lt;&amp;]]&gt;",
        "<![CDATA[<a>]]>",
        "1.50",
        "&#13;",
        "&#233;<!-- c -->&quot;",
        "\n  ",
        "true",
        "<?pi?>",
        "漢\u{a0}",
        "&#9;a&#10;b",
    ]);
    let attributes = prop::sample::select(vec![
        "",
        " a='1'",
        " b=\"'\" a='&quot;&lt;'",
        " type='sedan'",
        " key='k'",
        " p:a='2' a='3'",
        " xmlns='u'",
        " xml:lang='en'",
        " x='&#9;&#10;&#13; '",
        " encoding='base64'",
        " type=''",
        " xmlns:q='w' q:z='1'",
        " xmlns:p='other'",
    ]);
    let leaf = (names.clone(), attributes.clone(), texts.clone())
        .prop_map(|(name, attributes, text)| format!("<{name}{attributes}>{text}</{name}>"));
    leaf.prop_recursive(5, 40, 5, move |inner| {
        (
            names.clone(),
            attributes.clone(),
            texts.clone(),
            prop::collection::vec(inner, 0..5),
            texts.clone(),
        )
            .prop_map(|(name, attributes, before, children, behind)| {
                format!("<{name}{attributes}>{before}{}{behind}</{name}>", children.concat())
            })
    })
}

fn decoded(xml: &str) -> Result<(Document, usize), ErrorCode> {
    let mut document = Document::new();
    match xml::decode_message(xml.as_bytes(), 0..xml.len(), &mut document, &Limits::NONE) {
        Ok(root) => Ok((document, root)),
        Err(refusal) => Err(refusal.code),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn untyped_xml_comes_back_as_it_was(elements in prop::collection::vec(elements(), 0..4), text in "[a-z ]{0,5}") {
        for head in ["<message xmlns:p='v'>", "<message xmlns:p='v' type='document' x='1'>"] {
            let source = format!("{head}{}{text}</message>", elements.concat());
            let Ok((document, root)) = decoded(&source) else { panic!("{source}") };
            prop_assert!(is_untyped(source.as_bytes()));
            let view = document.view(source.as_bytes(), root);
            let written = plain(view, &PlainNames::default());
            prop_assert!(is_untyped(written.as_bytes()));
            let Ok((again, root)) = decoded(&written) else { panic!("{source} {written}") };
            let once = crate::to_value(view);
            let twice = crate::to_value(again.view(written.as_bytes(), root));
            prop_assert_eq!(once, twice, "{} {}", source, written);
            // By way of JSON as well.
            let mut text = Vec::new();
            json::encode(view, json::Tags::Needed, &mut text);
            prop_assert_eq!(of_json(str::from_utf8(&text).unwrap(), &PlainNames::default()), written);
        }
    }

    /// Whatever a value is, its plain form is well-formed, and no type in it is one of ours.
    #[test]
    fn any_value_is_well_formed(value in values()) {
        let mut document = Document::new();
        let Ok(root) = from_value(&value, &mut document, &Limits::NONE) else { return Ok(()) };
        let view = document.view(&[], root);
        for names in [PlainNames::default(), PlainNames::new(Some("message"), Some("row")).unwrap()] {
            let written = plain(view, &names);
            prop_assert!(is_untyped(written.as_bytes()));
            match decoded(&written) {
                // Each list in a list is an element in an element.
                Ok(_) | Err(ErrorCode::TooDeep) => {}
                Err(code) => panic!("{code:?} {written}"),
            }
        }
    }
}

#[test]
fn a_message_is_written_plain_as_a_broker_writes_it() {
    let check = |format, text: &str, expected: &str| {
        let message = crate::Message::parse(format, text.as_bytes()).unwrap();
        let plain = message.translate_to(Dialect::PlainXml).unwrap();
        assert_eq!(str::from_utf8(plain.bytes()).unwrap(), expected);
        assert_eq!(plain.format(), Format::Xml);
    };
    check(Format::Json, r#"{"a":[1,2]}"#, "<message><a>1</a><a>2</a></message>");
    check(Format::Xml, "<message ><a/></message>", "<message ><a/></message>");
    check(
        Format::Xml,
        "<message type='list'><a type='int'>05</a></message>",
        "<message><item>5</item></message>",
    );
}

/// An array under a long key would repeat it for each item.
#[test]
fn an_array_under_a_long_key_has_types() {
    let plain = |key: usize, items: usize| {
        let (dtype, shape) = ("|u1".to_owned(), vec![items as u64]);
        let array = crate::Ndarray { dtype, shape, data: vec![1; items] };
        let array = crate::Value::Ndarray(Box::new(array));
        let value = crate::Value::Dict(vec![("k".repeat(key).into(), array)]);
        let mut document = Document::new();
        let root = crate::convert::from_value(&value, &mut document, &Limits::NONE).unwrap();
        let names = PlainNames::default();
        is_short_enough(document.view(&[], root), &names, 64 << 20)
    };
    assert!(plain(5, 1_000) && plain(12, 100_000), "usual keys");
    assert!(!plain(1_000, 1_000) && !plain(1_000, 10_000), "long keys");
    assert!(!plain(12, 10_000_000), "more than a frame holds");
}
