//! What CPython read, and the rules that are our own.

use super::{body, value};

/// Plain documents, as `xmltodict.parse` and ElementTree read them: see
/// `crates/codec/tests/vectors/make_xml.py`.
#[test]
fn plain_documents_are_what_xmltodict_makes_of_them() {
    let lines = include_str!("../../../tests/vectors/xml/plain.jsonl");
    assert!(lines.lines().count() > 60);
    for line in lines.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let [xml, expected] = ["xml", "value"].map(|field| vector[field].as_str().unwrap());
        assert_eq!(value(xml.as_bytes()).as_deref(), Ok(expected), "{xml}");
    }
}

#[test]
fn typed_elements_are_read_as_their_type_says() {
    let many_digits = format!("<m type='int'>{}</m>", "9".repeat(4_300));
    for (xml, expected) in [
        ("<m type='null'/>", "None"),
        ("<m type='null'></m>", "None"),
        ("<m type='bool'>true</m>", "True"),
        ("<m type='bool'> false\n</m>", "False"),
        ("<m type='int'>-7</m>", "-7"),
        ("<m type='int'> +007 </m>", "7"),
        ("<m type='int'>-0</m>", "0"),
        ("<m type='int'>1<!-- and -->2&#51;<![CDATA[4]]></m>", "1234"),
        ("<m type='int'>9223372036854775807</m>", "9223372036854775807"),
        ("<m type='int'>-9223372036854775808</m>", "-9223372036854775808"),
        ("<m type='int'>-9223372036854775809</m>", "-9223372036854775809"),
        ("<m type='int'> 18446744073709551616\t</m>", "18446744073709551616"),
        ("<m type='int'>-00018446744073709551616</m>", "-18446744073709551616"),
        (&many_digits, &"9".repeat(4_300)),
        ("<m type='float'>21.5</m>", "21.5"),
        ("<m type='float'>5</m>", "5.0"),
        ("<m type='float'> -0.0 </m>", "-0.0"),
        ("<m type='float'>1e-400</m>", "0.0"),
        ("<m type='float'>.5E+1</m>", "5.0"),
        ("<m type='float'>NaN</m>", "nan"),
        ("<m type='float'>INF</m>", "inf"),
        ("<m type='float'>-INF</m>", "-inf"),
        ("<m type='float'>nan</m>", "nan"),
        ("<m type='float'> Nan </m>", "nan"),
        ("<m type='float'>inf</m>", "inf"),
        ("<m type='float'>+Inf</m>", "inf"),
        ("<m type='float'>-inf</m>", "-inf"),
        // As dicttoxml writes what is no name.
        ("<m type='dict'><key name='a b' type='int'>1</key></m>", "{\"a b\": 1}"),
        ("<m type='dict'><key type='int'>1</key></m>", "{\"key\": 1}"),
        ("<m type='str'/>", "\"\""),
        ("<m type='str'>  a\r\nb\rc&#13;\t</m>", r#""  a\nb\nc\r\t""#),
        ("<m type='str'>&lt;&amp;&gt;&quot;&apos;&#xE9;&#233;</m>", r#""<&>\"'éé""#),
        ("<m type='str'><![CDATA[<a>]] ]>&amp;]]></m>", r#""<a>]] ]>&amp;""#),
        ("<m type='str' encoding='base64'>AAE=</m>", r#""\u0000\u0001""#),
        ("<m type='str'><![CDATA[x]]]></m>", r#""x]""#),
        ("<m type='bytes'>AAH/</m>", "b:0001ff"),
        ("<m type='bytes' encoding='base64'> AA\nH/ </m>", "b:0001ff"),
        ("<m type='bytes'/>", "b:"),
        ("<m type='list'/>", "[]"),
        (
            "<m type='list'> <item>a</item>\n<other/> <!-- c --> &#32;<item \
             type='int'>1</item></m>",
            r#"["a", None, 1]"#,
        ),
        ("<m type='tuple'><i type='tuple'/></m>", "(())"),
        (
            "<m type='set'><i type='int'>1</i><i type='float'>1.0</i><i>a</i><i>a</i></m>",
            r#"set(1, "a")"#,
        ),
        ("<m type='frozenset'><i type='null'/></m>", "frozenset(None)"),
        ("<m type='dict'/>", "{}"),
        (
            "<m type='dict'><a type='int'>1</a><b>x</b><item key='1 \
             &lt;'>y</item><item>z</item></m>",
            r#"{"a": 1, "b": "x", "1 <": "y", "item": "z"}"#,
        ),
        ("<m type='dict'><a>1</a><b>2</b><a>3</a></m>", r#"{"a": "3", "b": "2"}"#),
        (
            "<m type='dict'><item key='AA==' key-encoding='base64'/><item key=''/></m>",
            r#"{"\u0000": None, "": None}"#,
        ),
        (
            "<m type='dict'><item key='k' n='1'>t</item><x key='k'/></m>",
            r##"{"k": {"@n": "1", "#text": "t"}, "x": {"@key": "k"}}"##,
        ),
        (
            "<m type='map'><entry><key type='int'>1</key><value>a</value></entry>\n<entry><key \
             type='tuple'><i/></key><value type='list'/></entry></m>",
            r#"{1: "a", (None): []}"#,
        ),
        // A type that is not ours is an ordinary attribute; one inside a plain element is ours.
        ("<m type='order'>5</m>", r##"{"@type": "order", "#text": "5"}"##),
        ("<m><n type='&#105;nt'>5</n><n>5</n></m>", r#"{"n": [5, "5"]}"#),
        ("<m><n type='list'/><n/></m>", r#"{"n": [[], None]}"#),
        (
            "<m type='document'><n type='int'>5</n></m>",
            r##"{"n": {"@type": "int", "#text": "5"}}"##,
        ),
        (
            "<m type='document' a='1'><n><o type='document'/></n></m>",
            r#"{"@a": "1", "n": {"o": {"@type": "document"}}}"#,
        ),
        ("<m type='document'> x </m>", "\"x\""),
        (
            "<m type='dict'><d type='document'><n type='int'>5</n></d><e type='int'>5</e></m>",
            r##"{"d": {"n": {"@type": "int", "#text": "5"}}, "e": 5}"##,
        ),
        // Namespaces and xml: attributes are no part of a typed value.
        ("<m type='int' xmlns='u' xmlns:a='v' xml:lang='en'>5</m>", "5"),
        ("<m type='int' xmlns='' xmlns:xml='http://www.w3.org/XML/1998/namespace'>5</m>", "5"),
        ("<m type='dict' xmlns:a='v'><a:b>c</a:b></m>", r#"{"a:b": "c"}"#),
    ] {
        assert_eq!(value(xml.as_bytes()).as_deref(), Ok(expected), "{xml}");
    }
}

#[test]
fn a_body_is_read_as_its_fields() {
    for (xml, expected) in [
        ("<frame/>", "{}"),
        ("<any></any>", "{}"),
        ("<a> <!-- c --> <?pi d?> </a>", "{}"),
        (
            "\u{FEFF}<?xml version='1.0' encoding=\"UTF-8\" standalone='yes'?>\n<?pi?><!-- c --><a \
             b='c'/>\n<!-- d --> <?e?>",
            r#"{"b": "c"}"#,
        ),
        ("<?xml version=\"1.0\"?><a/>", "{}"),
        ("<x:frame x:a='1'/>", r#"{"x:a": "1"}"#),
        (
            "<frame type='int' topic='/a'><message type='int'>5</message></frame>",
            r#"{"type": "int", "topic": "/a", "message": 5}"#,
        ),
        (
            "<frame command='publish' topic='/weather'><message type='dict'><temp \
             type='float'>21.5</temp></message></frame>",
            r#"{"command": "publish", "topic": "/weather", "message": {"temp": 21.5}}"#,
        ),
        (
            "<f><topic>/a</topic><retain type='bool'>false</retain><message/></f>",
            r#"{"topic": "/a", "retain": False, "message": None}"#,
        ),
        (
            "<f message='text' topic='a&#10;b\nc\r\nd'/>",
            r#"{"message": "text", "topic": "a\nb c d"}"#,
        ),
        (
            "<f><topics type='list'><item>/a</item><item>b</item></topics></f>",
            r#"{"topics": ["/a", "b"]}"#,
        ),
        (
            "<f><message><order id=\"5\"><sku>X1</sku></order></message></f>",
            r#"{"message": {"order": {"@id": "5", "sku": "X1"}}}"#,
        ),
        (
            "<f><message><a/><a/></message><other><b/><b/></other></f>",
            r#"{"message": {"a": [None, None]}, "other": {"b": [None, None]}}"#,
        ),
    ] {
        assert_eq!(body(xml.as_bytes()).as_deref(), Ok(expected), "{xml}");
    }
}

#[test]
fn the_message_is_where_the_body_says() {
    let source = b"junk<f a='>'><b/> <message x='>'> t <message/></message ><c/></f>more";
    let mut document = crate::Document::new();
    let body = super::decode_body(
        source,
        4..source.len() - 4,
        &mut document,
        &crate::protocol::Limits::default(),
    )
    .unwrap();
    assert_eq!(&source[body.message.unwrap()], b"<message x='>'> t <message/></message >");
}
