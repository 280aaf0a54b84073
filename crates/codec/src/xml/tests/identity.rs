//! What is written is read again as the same value.

use proptest::prelude::*;

use super::{shown, value};
use crate::Document;
use crate::convert::from_value;
use crate::protocol::{Limits, Ndarray, Object, ScalarType, Value};
use crate::xml::{encode, fits_attribute, write_attribute, write_text};

/// Checks the identity and returns what was written.
fn check(value_in: &Value) -> String {
    let mut document = Document::new();
    from_value(value_in, &mut document, &Limits::NONE).unwrap();
    let view = document.view(b"", 0);
    let mut xml = Vec::new();
    encode(view, &mut xml);
    let written = String::from_utf8(xml).unwrap();
    assert_eq!(value(written.as_bytes()).as_deref(), Ok(shown(view).as_str()), "{written}");
    written
}

fn strings() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "", " ", "\r\n", "\r", "\t", "]]>", "&amp;", "<a>", "\0", "\u{FFFE}", "\u{FFFF}", "\u{1B}",
        "item", "key", "entry", "value", "xml", "XMLa", "a:b", "1", "\u{FEFF}", "ü", "漢", "\"'",
        "base64", "type", "@a", "#text", "\u{85}", "-", "a",
    ]);
    prop_oneof![
        special.clone().prop_map(str::to_owned),
        prop::collection::vec(special, 0..4).prop_map(|parts| parts.concat()),
        prop::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter),
        "[a-zA-Z_][a-zA-Z0-9_.-]{0,8}",
    ]
}

/// Scalars of the standard library.
fn typed() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        (ScalarType::Datetime, "2026-11-29T12:30:00.000005+01:00[Europe/Berlin]"),
        (ScalarType::Datetime, "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
        (ScalarType::Datetime, "0001-01-01T00:00:00[_fold=1]"),
        (ScalarType::Datetime, "9999-12-31T23:59:59-23:59:59.999999"),
        (ScalarType::Date, "2026-11-29"),
        (ScalarType::Time, "12:30:00+00:00"),
        (ScalarType::Time, "12:30:00[_fold=1]"),
        (ScalarType::Timedelta, "-P999999999D"),
        (ScalarType::Timedelta, "PT0.000001S"),
        (ScalarType::Decimal, "-0E-7"),
        (ScalarType::Decimal, "NaN123"),
        (ScalarType::Uuid, "80000000-0000-0000-0000-0000000000ff"),
        (ScalarType::Uuid, "00000000-0000-0000-0000-000000000080"),
        (ScalarType::Fraction, "-1/3"),
        (ScalarType::Complex, "(-0-infj)"),
    ])
    .prop_map(|(of, text)| Value::Typed(of, text.to_owned()))
}

fn arrays() -> impl Strategy<Value = Value> {
    let dtypes = vec![
        ("|b1", 1),
        (">i2", 2),
        ("<u8", 8),
        ("<f2", 2),
        (">f8", 8),
        ("<c16", 16),
        ("|S3", 3),
        ("<M8[25s]", 8),
        ("<m8", 8),
    ];
    (prop::sample::select(dtypes), prop::collection::vec(0u64..4, 0..4)).prop_flat_map(
        |((dtype, length), shape)| {
            let bytes = shape.iter().product::<u64>() as usize * length;
            let bits = if dtype == "|b1" { 0..=1u8 } else { 0..=255 };
            prop::collection::vec(bits, bytes).prop_map(move |data| {
                let (dtype, shape) = (dtype.to_owned(), shape.clone());
                Value::Ndarray(Box::new(Ndarray { dtype, shape, data }))
            })
        },
    )
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "-?[1-9][0-9]{0,80}".prop_map(|digits| Value::parse_int(&digits).unwrap()),
        any::<f64>().prop_map(Value::Float),
        prop::num::f64::ANY.prop_map(Value::Float),
        strings().prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..10).prop_map(Value::Bytes),
        typed(),
    ]
}

fn hashables() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Tuple),
            prop::collection::vec(inner, 0..4).prop_map(Value::FrozenSet),
        ]
    })
}

pub(crate) fn values() -> impl Strategy<Value = Value> {
    prop_oneof![8 => scalars(), 1 => arrays()].prop_recursive(5, 48, 6, |inner| {
        let field = (strings().prop_map(Value::Str), inner.clone()).boxed();
        let fields = prop::collection::vec(field, 0..6);
        let object = |state| {
            Value::Object(Box::new(Object { class: "app.models.Größe".to_owned(), state }))
        };
        prop_oneof![
            fields.clone().prop_map(object),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Tuple),
            prop::collection::vec(hashables(), 0..5).prop_map(Value::Set),
            prop::collection::vec(hashables(), 0..5).prop_map(Value::FrozenSet),
            fields.prop_map(Value::Dict),
            prop::collection::vec((hashables(), inner), 0..5).prop_map(Value::Dict),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_survive(value in values()) {
        check(&value);
    }

    #[test]
    fn strings_survive_as_text_and_as_attributes(string in strings()) {
        let mut xml = b"<f".to_vec();
        write_attribute("a", string.as_bytes(), &mut xml);
        xml.push(b'>');
        write_text("b", string.as_bytes(), &mut xml);
        xml.extend_from_slice(b"</f>");
        let json = serde_json::to_string(&string).unwrap();
        let read = super::body(&xml).unwrap();
        if fits_attribute(string.as_bytes()) {
            prop_assert_eq!(read, format!("{{\"a\": {json}, \"b\": {json}}}"));
        } else {
            prop_assert!(read.ends_with(&format!("\"b\": {json}}}")), "{}", read);
        }
    }
}

#[test]
fn a_value_has_one_spelling() {
    let dict = |entries: &[(&str, Value)]| {
        Value::Dict(entries.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect())
    };
    for (value, expected) in [
        (
            dict(&[("temp", Value::Float(21.5))]),
            "<message type=\"dict\"><temp type=\"float\">21.5</temp></message>",
        ),
        (Value::None, "<message type=\"null\"></message>"),
        (Value::Bool(true), "<message type=\"bool\">true</message>"),
        (Value::Int(-5), "<message type=\"int\">-5</message>"),
        (Value::Float(1e16), "<message type=\"float\">1e+16</message>"),
        (Value::Float(-0.0), "<message type=\"float\">-0.0</message>"),
        (Value::Float(f64::NAN), "<message type=\"float\">NaN</message>"),
        (Value::Float(f64::NEG_INFINITY), "<message type=\"float\">-INF</message>"),
        (
            Value::from(" <&>\"'\r\n\t"),
            "<message type=\"str\"> &lt;&amp;&gt;\"'&#13;\n\t</message>",
        ),
        (Value::from("\0"), "<message type=\"str\" encoding=\"base64\">AA==</message>"),
        (Value::Bytes(vec![0, 1]), "<message type=\"bytes\">AAE=</message>"),
        (
            dict(&[
                ("item", Value::Int(1)),
                ("Xml", Value::Int(2)),
                ("a\n\"<", Value::Int(3)),
                ("\0", Value::Int(4)),
                ("ü", Value::Int(5)),
            ]),
            "<message type=\"dict\"><item key=\"item\" type=\"int\">1</item><item key=\"Xml\" \
             type=\"int\">2</item>\
             <item key=\"a&#10;&quot;&lt;\" type=\"int\">3</item><item key=\"AA==\" \
             key-encoding=\"base64\" type=\"int\">4</item>\
             <ü type=\"int\">5</ü></message>",
        ),
        (
            Value::Tuple(vec![
                Value::List(vec![]),
                Value::Set(vec![Value::Int(1)]),
                Value::FrozenSet(vec![]),
            ]),
            "<message type=\"tuple\"><item type=\"list\"></item><item type=\"set\"><item \
             type=\"int\">1</item></item>\
             <item type=\"frozenset\"></item></message>",
        ),
        (
            Value::Dict(vec![
                (Value::Int(1), Value::List(vec![Value::None])),
                (Value::Tuple(vec![Value::Int(2)]), Value::Dict(vec![])),
            ]),
            "<message type=\"map\"><entry><key type=\"int\">1</key><value type=\"list\"><item \
             type=\"null\"></item></value></entry>\
             <entry><key type=\"tuple\"><item type=\"int\">2</item></key><value \
             type=\"dict\"></value></entry></message>",
        ),
    ] {
        assert_eq!(check(&value), expected);
    }
}

#[test]
fn an_attribute_never_breaks_the_body() {
    let mut out = Vec::new();
    write_attribute("a", b"\"><&'\t\n\r\0\xff\xEF\xBF\xBE", &mut out);
    assert_eq!(
        str::from_utf8(&out).unwrap(),
        " a=\"&quot;&gt;&lt;&amp;'&#9;&#10;&#13;\u{FFFD}\u{FFFD}\u{FFFD}\""
    );
}

/// What XML says without types is put into lists later, and what stands beside it stays.
#[test]
fn values_with_types_stay_beside_repeated_elements() {
    for (xml, expected) in [
        (
            "<message><at type=\"ndarray\" dtype=\"|u1\" shape=\"2\">AQI=</at><i>1</i><i>2</i></message>",
            r#"{"at":{"$ndarray":{"dtype":"|u1","shape":[2],"data":"AQI="}},"i":["1","2"]}"#,
        ),
        (
            "<message><i type=\"ndarray\" dtype=\"|u1\" shape=\"1\">AQ==</i><i>2</i></message>",
            r#"{"i":[{"$ndarray":{"dtype":"|u1","shape":[1],"data":"AQ=="}},"2"]}"#,
        ),
        (
            "<message type=\"object\" class=\"a.B\"><k><s>1</s><s>2</s></k><l type=\"int\">3</l></message>",
            r#"{"$object":{"class":"a.B","state":{"k":{"s":["1","2"]},"l":3}}}"#,
        ),
        (
            "<message type=\"list\"><item type=\"object\" class=\"a\"><x type=\"int\">1</x></item>\
             <item><s>1</s><s>2</s></item></message>",
            r#"[{"$object":{"class":"a","state":{"x":1}}},{"s":["1","2"]}]"#,
        ),
    ] {
        let mut document = Document::new();
        let limits = Limits::default();
        let all = 0..xml.len();
        let root = crate::xml::decode_message(xml.as_bytes(), all, &mut document, &limits).unwrap();
        let view = document.view(xml.as_bytes(), root);
        let mut json = Vec::new();
        crate::json::encode(view, crate::json::Tags::Exact, &mut json);
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }
}
