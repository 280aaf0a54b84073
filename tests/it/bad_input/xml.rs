//! XML that expands, fetches, or is not quite XML.

use babelmq::Format::Xml;

use super::row::{Row, TARGET, delivered, payload, refused, truncations};

/// A body around what stands in `<message>`'s place, behind a prolog.
fn document(prolog: &str, inner: &str) -> String {
    format!("{prolog}<f command='publish' topic='{TARGET}'>{inner}</f>")
}

pub fn rows() -> Vec<Row> {
    let mut rows =
        truncations(Xml, b"<message a='1'><!-- c --><b>&lt;&#233;</b><![CDATA[]]]]></message>");
    rows.extend(entities());
    rows.extend(depth());
    rows.extend(bulk());
    rows.extend(prologs());
    rows.extend(markup());
    rows.extend(characters());
    rows.extend(types());
    rows
}

fn entities() -> Vec<Row> {
    let laughs: String = (1..10)
        .map(|level| format!("<!ENTITY l{level} '{}'>", format!("&l{};", level - 1).repeat(10)))
        .collect();
    let doubling: String = (1..40)
        .map(|level| format!("<!ENTITY &#37; p{level} '&#37;p{0};&#37;p{0};'>", level - 1))
        .collect();
    let long = "x".repeat(100_000);
    let often = "&a;".repeat(10_000);
    let doctypes = [
        ("a document type", "<!DOCTYPE f>".to_owned(), "<message>1</message>".to_owned()),
        ("a small document type", "<!doctype f>".into(), "<message>1</message>".into()),
        (
            "a billion laughs",
            format!("<!DOCTYPE f [<!ENTITY l0 'ha'>{laughs}]>"),
            "<message>&l9;</message>".into(),
        ),
        (
            "a quadratic blow-up",
            format!("<!DOCTYPE f [<!ENTITY a '{long}'>]>"),
            format!("<message>{often}</message>"),
        ),
        (
            "a quadratic blow-up in an attribute",
            format!("<!DOCTYPE f [<!ENTITY a '{long}'>]>"),
            format!("<message a='{often}'/>"),
        ),
        (
            "an external entity",
            "<!DOCTYPE f [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>".into(),
            "<message>&a;</message>".into(),
        ),
        (
            "a public entity",
            "<!DOCTYPE f [<!ENTITY a PUBLIC 'p' 'http://127.0.0.1/'>]>".into(),
            "<message>&a;</message>".into(),
        ),
        (
            "an external subset",
            "<!DOCTYPE f SYSTEM 'http://127.0.0.1/f.dtd'>".into(),
            "<message/>".into(),
        ),
        (
            "a parameter entity",
            "<!DOCTYPE f [<!ENTITY % p SYSTEM 'file:///dev/zero'> %p;]>".into(),
            "<message/>".into(),
        ),
        (
            "parameter entities that double",
            format!("<!DOCTYPE f [<!ENTITY % p0 'x'>{doubling} %p39;]>"),
            "<message/>".into(),
        ),
        (
            "default attributes",
            "<!DOCTYPE f [<!ATTLIST f topic CDATA '/evil'>]>".into(),
            "<message/>".into(),
        ),
        (
            "an entity of itself",
            "<!DOCTYPE f [<!ENTITY a '&a;'>]>".into(),
            "<message>&a;</message>".into(),
        ),
        (
            "a document type after the declaration",
            "<?xml version='1.0'?>\n<!DOCTYPE f []>".into(),
            "<message/>".into(),
        ),
        (
            "a document type never closed",
            format!("<!DOCTYPE f [{}", "<!ENTITY".repeat(1_000)),
            String::new(),
        ),
    ];
    let mut rows: Vec<Row> = doctypes
        .into_iter()
        .map(|(name, prolog, inner)| {
            refused(format!("XML: {name}"), Xml, document(&prolog, &inner), "forbidden-xml")
        })
        .collect();
    for (xml, code) in [
        ("<message><!DOCTYPE f></message>", "forbidden-xml"),
        ("<message>&a;</message>", "forbidden-xml"),
        ("<message>&nbsp;</message>", "forbidden-xml"),
        ("<message a='&a;'/>", "forbidden-xml"),
        ("<message type='&int;'>1</message>", "forbidden-xml"),
        ("<message>%p;&p;</message>", "forbidden-xml"),
        ("<message>& </message>", "malformed-xml"),
        ("<message>&amp</message>", "malformed-xml"),
        ("<message>&#;</message>", "malformed-xml"),
        ("<message>&#xg;</message>", "malformed-xml"),
        ("<message>&#99999999999999999999;</message>", "malformed-xml"),
        ("<!ENTITY a 'b'><message/>", "malformed-xml"),
    ] {
        rows.push(payload(format!("XML {xml}"), Xml, xml, code));
    }
    rows
}

fn depth() -> Vec<Row> {
    let nested = |count: usize, opening: &str, closing: &str| {
        format!("<message>{}{}</message>", opening.repeat(count), closing.repeat(count))
    };
    vec![
        payload("129 levels", Xml, nested(129, "<a>", "</a>"), "too-deep"),
        payload("834 levels", Xml, nested(834, "<a>", "</a>"), "too-deep"),
        payload("100,000 levels", Xml, nested(100_000, "<a>", "</a>"), "too-deep"),
        payload("100,000 levels never closed", Xml, nested(100_000, "<a>", ""), "too-deep"),
        payload("100,000 ends", Xml, nested(100_000, "", "</a>"), "malformed-xml"),
        payload("100,000 lists", Xml, nested(100_000, "<a type='list'>", "</a>"), "too-deep"),
        payload("100,000 levels side by side", Xml, nested(100_000, "<a/><a>", "</a>"), "too-deep"),
        refused("100,000 levels of no frame", Xml, "<a>".repeat(100_000), "too-deep"),
        refused(
            "100,000 levels in a field that nobody knows",
            Xml,
            document(
                "",
                &format!("<x>{}{}</x><message/>", "<a>".repeat(100_000), "</a>".repeat(100_000)),
            ),
            "too-deep",
        ),
    ]
}

/// Long, and either wrong at its end or right.
fn bulk() -> Vec<Row> {
    let declared: String = (0..20_000).map(|index| format!(" xmlns:p{index}='u{index}'")).collect();
    let used: String = (0..20_000).map(|index| format!("<p{index}:c p{index}:a='1'/>")).collect();
    let attributes: String = (0..50_000).map(|index| format!(" a{index}='1'")).collect();
    let base64 = "AAAA".repeat(1 << 18);
    let mut rows = vec![
        payload(
            "XML: 20,000 xmlns and one that is missing",
            Xml,
            format!("<message{declared}>{used}<q:a/></message>"),
            "forbidden-xml",
        ),
        payload(
            "XML: 20,000 xmlns and one twice",
            Xml,
            format!("<message{declared} xmlns:p7=''/>"),
            "malformed-xml",
        ),
        payload(
            "XML: 50,000 attributes and one twice",
            Xml,
            format!("<message{attributes} a0=''/>"),
            "malformed-xml",
        ),
        payload(
            "XML: 1 MB of digits",
            Xml,
            format!("<message type='int'>{}</message>", "1".repeat(1 << 20)),
            "too-many-digits",
        ),
        payload(
            "XML: 1 MB of base64 and a letter",
            Xml,
            format!("<message type='bytes'>{base64}A</message>"),
            "invalid-tag",
        ),
        payload(
            "XML: 1 MB of a name",
            Xml,
            format!("<message><{}></message>", "a".repeat(1 << 20)),
            "malformed-xml",
        ),
        payload(
            "XML: a comment of 1 MB, never closed",
            Xml,
            format!("<message><!--{}", "- ".repeat(1 << 19)),
            "malformed-xml",
        ),
        payload(
            "XML: a section of 1 MB, never closed",
            Xml,
            format!("<message><![CDATA[{}", "]".repeat(1 << 20)),
            "malformed-xml",
        ),
        payload("XML: 1 MB of <", Xml, "<".repeat(1 << 20), "malformed-xml"),
        payload(
            "XML: 1 MB of &",
            Xml,
            format!("<message>{}</message>", "&".repeat(1 << 20)),
            "malformed-xml",
        ),
        payload(
            "XML: 1 MB of a reference",
            Xml,
            format!("<message>&#{};</message>", "0".repeat(1 << 20)),
            "malformed-xml",
        ),
    ];
    let keys: Vec<String> =
        (0..20_000).map(|index| format!("\"@xmlns:p{index}\": \"u{index}\"")).collect();
    let mut sorted = keys;
    sorted.sort_unstable();
    let repr = format!("{{{}}}", sorted.join(", "));
    rows.push(delivered("XML: 20,000 xmlns", Xml, format!("<message{declared}/>"), &repr));
    rows
}

/// What stands before and after the root, and how the bytes are encoded.
fn prologs() -> Vec<Row> {
    let good = document("", "<message>1</message>");
    let utf16 = |bytes: fn(u16) -> [u8; 2], mark: &[u8]| {
        [mark, &good.encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
    };
    let mut rows = Vec::new();
    let mut add = |name: &str, body: &[u8]| {
        rows.push(refused(format!("XML: {name}"), Xml, body, "malformed-xml"));
    };
    for encoding in
        ["ISO-8859-1", "windows-1252", "UTF-16", "UTF-7", "UCS-4", "EBCDIC-CP-US", "nonsense", ""]
    {
        add(encoding, format!("<?xml version='1.0' encoding='{encoding}'?>{good}").as_bytes());
    }
    add("UTF-16, big end first", &utf16(u16::to_be_bytes, b"\xfe\xff"));
    add("UTF-16, little end first", &utf16(u16::to_le_bytes, b"\xff\xfe"));
    add("UTF-16 without a mark", &utf16(u16::to_le_bytes, b""));
    add("UTF-7", b"+ADw-f command=+ACI-ping+ACI-/+AD4-");
    add(
        "a declaration of version 1.1",
        format!("<?xml version='1.1' encoding='UTF-9'?>{good}").as_bytes(),
    );
    add("a declaration of version 2.0", format!("<?xml version='2.0'?>{good}").as_bytes());
    add("a declaration that comes late", format!(" <?xml version='1.0'?>{good}").as_bytes());
    add(
        "a second declaration",
        format!("<?xml version='1.0'?><?xml version='1.0'?>{good}").as_bytes(),
    );
    add("a second root", format!("{good}<g/>").as_bytes());
    add("the root again", format!("{good}{good}").as_bytes());
    add("text after the root", format!("{good}text").as_bytes());
    add("text before the root", format!("text{good}").as_bytes());
    add("a section before the root", format!("<![CDATA[]]>{good}").as_bytes());
    add("a section after the root", format!("{good}<![CDATA[]]>").as_bytes());
    add("a reference after the root", format!("{good}&#32;").as_bytes());
    add("an end after the root", format!("{good}</f>").as_bytes());
    add("two byte order marks", format!("\u{feff}\u{feff}{good}").as_bytes());
    add("a comment and no root", b"<!-- <f/> -->");
    add("an instruction and no root", b"<?f command='ping'?>");
    rows
}

/// Comments, sections, instructions and tags in strange places.
fn markup() -> Vec<Row> {
    let mut rows = Vec::new();
    for xml in [
        "<message><!-- a -- b --></message>",
        "<message><!-- a ---></message>",
        "<message><!--></message>",
        "<message><!-- <!-- --> --></message>]]>",
        "<message <!-- --> />",
        "<message a='1' <![CDATA[]]> />",
        "<mess<!-- -->age/>",
        "<message></<!-- -->message>",
        "<message></message <!-- -->>",
        "<message a='<!-- -->'/>",
        "<message a='<![CDATA[x]]>'/>",
        "<message>]]></message>",
        "<message><![CDATA[<![CDATA[]]>]]></message>",
        "<message><![cdata[x]]></message>",
        "<message><! [CDATA[x]]></message>",
        "<message>&<!-- -->lt;</message>",
        "<message>&#6<![CDATA[5]]>;</message>",
        "<message><?xml version='1.0'?></message>",
        "<message><?XML?></message>",
        "<message><? php?></message>",
        "<message><?php</message>",
        "<message",
        "<message/",
        "<message></message",
        "<message></Message>",
        "<message a=1/>",
        "<message a/>",
        "<message a='1'b='2'/>",
        "<message a='1' a='2'/>",
        "<message xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>",
        "<message><1/></message>",
        "<message><a/ ></message>",
        "<message><></></message>",
    ] {
        rows.push(payload(format!("XML {xml}"), Xml, xml, "malformed-xml"));
    }
    for xml in [
        "<message><p:a/></message>",
        "<message p:a='1'/>",
        "<message><a xmlns:p='u'/><p:b/></message>",
    ] {
        rows.push(payload(format!("XML {xml}"), Xml, xml, "forbidden-xml"));
    }
    let outside =
        format!("<f command='publish' topic='{TARGET}' xmlns:p='u'><message><p:a/></message></f>");
    rows.push(refused("XML: a prefix of outside the message", Xml, outside, "forbidden-xml"));
    rows.push(payload("XML: two messages", Xml, "<message/><message/>", "duplicate-field"));
    rows.push(payload("XML: two topics", Xml, "<topic>/t</topic><message/>", "duplicate-field"));
    rows.push(refused("XML: only text", Xml, "<f>text</f>", "not-a-map"));
    for (name, xml, repr) in [
        ("comments around text", "<message>a<!-- <b> & -->c</message>", "\"ac\""),
        (
            "sections side by side",
            "<message><![CDATA[<a>]]>&amp;<![CDATA[]]]]><![CDATA[>]]></message>",
            "\"<a>&]]>\"",
        ),
        ("comments around fields", "<!-- --><message><!-- --></message><!-- -->", "None"),
        (
            "instructions",
            "<message><?php system('id') ?><?xml-stylesheet href='x'?>1</message>",
            "\"1\"",
        ),
        (
            "an inclusion",
            "<message xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include \
             href='file:///etc/passwd'/></message>",
            "{\"@xmlns:xi\": \"http://www.w3.org/2001/XInclude\", \"xi:include\": \
             {\"@href\": \"file:///etc/passwd\"}}",
        ),
        (
            "lists in a dict in a list",
            "<message type='list'><i type='int'>1</i><d><item><int>5</int></item></d><i \
             type='int'>3</i></message>",
            "[1, {\"item\": {\"int\": \"5\"}}, 3]",
        ),
    ] {
        rows.push(delivered(format!("XML: {name}"), Xml, xml, repr));
    }
    rows
}

/// Characters that XML 1.0 forbids, as they are and by reference, in text, attributes, comments and
/// sections.
fn characters() -> Vec<Row> {
    let forbidden =
        (0..0x20_u32).filter(|code| ![9, 10, 13].contains(code)).chain([0xfffe, 0xffff]);
    let mut rows = Vec::new();
    for code in forbidden {
        let character = char::from_u32(code).unwrap();
        let reference = format!("&#x{code:x};");
        for (place, before, after) in
            [("text", "<message>", "</message>"), ("an attribute", "<message a='", "'/>")]
        {
            for (how, what) in [("", character.to_string()), (" by reference", reference.clone())] {
                let name = format!("XML: U+{code:04X}{how} in {place}");
                rows.push(payload(name, Xml, format!("{before}{what}{after}"), "malformed-xml"));
            }
        }
        for (before, after) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?p ", "?>"), ("<a", "/>")]
        {
            let name = format!("XML: U+{code:04X} in {before}{after}");
            rows.push(payload(
                name,
                Xml,
                format!("<message>{before}{character}{after}</message>"),
                "malformed-xml",
            ));
        }
    }
    for code in ["xd800", "xdfff", "55296", "x110000", "0", "xffffffff", "x100000041"] {
        rows.push(payload(
            format!("XML: &#{code};"),
            Xml,
            format!("<message>&#{code};</message>"),
            "malformed-xml",
        ));
    }
    for (name, bytes) in [
        ("no UTF-8", &b"\xff"[..]),
        ("UTF-8 cut short", b"\xe2\x82"),
        ("overlong UTF-8", b"\xc0\xbc"),
        ("a surrogate in UTF-8", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("Latin-1", b"caf\xe9"),
    ] {
        for (before, after) in
            [("<message>", "</message>"), ("<message a='", "'/>"), ("<!--", "-->"), ("<", "/>")]
        {
            let xml = [before.as_bytes(), bytes, after.as_bytes()].concat();
            rows.push(payload(
                format!("XML: {name} in {before}{after}"),
                Xml,
                xml,
                "malformed-xml",
            ));
        }
    }
    rows
}

/// `type` around content that is not of it.
fn types() -> Vec<Row> {
    [
        ("<message type='int'>x</message>", "invalid-tag"),
        ("<message type='datetime'>yesterday</message>", "invalid-tag"),
        ("<message type='date'/>", "invalid-tag"),
        ("<message type='decimal'>1,5</message>", "invalid-tag"),
        ("<message type='uuid'><x/></message>", "invalid-tag"),
        ("<message type='int'>1.0</message>", "invalid-tag"),
        ("<message type='bool'>1</message>", "invalid-tag"),
        ("<message type='ndarray'/>", "invalid-tag"),
        ("<message type='ndarray' dtype='|u1' shape='1'/>", "invalid-tag"),
        ("<message type='ndarray' dtype='|u1' shape='+1'>AA==</message>", "invalid-tag"),
        ("<message type='ndarray' dtype='|O8' shape='1'>AA==</message>", "invalid-tag"),
        ("<message type='ndarray' dtype='|u1' shape='1'><a/></message>", "invalid-tag"),
        ("<message type='ndarray' dtype='|S0' shape='99999999999 0'/>", "too-large"),
        ("<message type='object'/>", "invalid-tag"),
        ("<message type='object' class='a b'/>", "invalid-tag"),
        ("<message type='object' class='a.B'>x</message>", "invalid-tag"),
        ("<message type='float'>0x1p3</message>", "invalid-tag"),
        ("<message type='float'>1e400</message>", "invalid-value"),
        ("<message type='bytes'>A</message>", "invalid-tag"),
        ("<message type='str' encoding='base64'>/w==</message>", "invalid-tag"),
        ("<message type='null'>x</message>", "invalid-tag"),
        ("<message type='list'>x</message>", "invalid-tag"),
        ("<message type='map'><entry><key/></entry></message>", "invalid-tag"),
        ("<message type='int' unit='m'>1</message>", "invalid-tag"),
        ("<message type='set'><item type='list'/></message>", "unhashable"),
        ("<message type='map'><entry><key type='dict'/><value/></entry></message>", "unhashable"),
    ]
    .into_iter()
    .map(|(xml, code)| payload(format!("XML {xml}"), Xml, xml, code))
    .collect()
}
