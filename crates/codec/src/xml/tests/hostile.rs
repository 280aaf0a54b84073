//! What is refused, and that refusing it is cheap.

use std::time::{Duration, Instant};

use super::{body, value};
use crate::Document;
use crate::protocol::ErrorCode::{self, *};
use crate::protocol::Limits;
use crate::xml::{decode_body, decode_message};

fn refused(xml: &[u8]) -> Option<ErrorCode> {
    let began = Instant::now();
    // What is large is here for the time that it takes; the others are also read as `body` does.
    let refusal = if xml.len() > 20_000 {
        decode_body(xml, 0..xml.len(), &mut Document::new(), &Limits::default()).err()
    } else {
        body(xml).err()
    };
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{}",
        String::from_utf8_lossy(&xml[..xml.len().min(80)])
    );
    if let Some(refusal) = &refusal {
        assert!(refusal.reason.len() < 400, "{}", refusal.reason);
    }
    refusal.map(|refusal| refusal.code)
}

/// Bodies, each with the code of its refusal.
#[test]
fn a_hostile_body_is_refused_with_its_code() {
    for (xml, code) in [
        // Document types, entities.
        ("<!DOCTYPE f><f/>", ForbiddenXml),
        ("<?xml version='1.0'?> <!doctype f SYSTEM 'file:///etc/passwd'><f/>", ForbiddenXml),
        ("<f/><!DOCTYPE f>", ForbiddenXml),
        ("<f><!DOCTYPE f></f>", ForbiddenXml),
        ("<!DOCTYPE", ForbiddenXml),
        (
            "<!DOCTYPE l [<!ENTITY a 'lol'><!ENTITY b '&a;&a;'><!ENTITY c '&b;&b;'>]><f>&c;</f>",
            ForbiddenXml,
        ),
        ("<!DOCTYPE f [<!ENTITY % p SYSTEM 'http://x/'> %p;]><f/>", ForbiddenXml),
        ("<f><m>&a;</m></f>", ForbiddenXml),
        ("<f><m>&nbsp;</m></f>", ForbiddenXml),
        ("<f m='&a;'/>", ForbiddenXml),
        ("<f><message><a b='&a;'/></message></f>", ForbiddenXml),
        ("<f><message type='&int;'/></f>", ForbiddenXml),
        ("<!ENTITY a 'b'><f/>", MalformedXml),
        ("<!DECLARE><f/>", MalformedXml),
        // References.
        ("<f><m>&#0;</m></f>", MalformedXml),
        ("<f><m>&#xD800;</m></f>", MalformedXml),
        ("<f><m>&#xFFFE;</m></f>", MalformedXml),
        ("<f><m>&#x110000;</m></f>", MalformedXml),
        ("<f><m>&#99999999999999999999;</m></f>", MalformedXml),
        ("<f><m>&#;</m></f>", MalformedXml),
        ("<f><m>&#x;</m></f>", MalformedXml),
        ("<f><m>&#X41;</m></f>", MalformedXml),
        ("<f><m>&#+65;</m></f>", MalformedXml),
        ("<f><m>&#6a;</m></f>", MalformedXml),
        ("<f><m>&;</m></f>", MalformedXml),
        ("<f><m>& ;</m></f>", MalformedXml),
        ("<f><m>a & b</m></f>", MalformedXml),
        ("<f><m>&amp</m></f>", MalformedXml),
        ("<f><m>&lt&lt;</m></f>", MalformedXml),
        ("<f m='&#0;'/>", MalformedXml),
        ("<f m='&lt'/>", MalformedXml),
        ("<f m='a&b&lt;'/>", MalformedXml),
        // The root and what surrounds it.
        ("", MalformedXml),
        (" ", MalformedXml),
        ("text", MalformedXml),
        ("<!-- only -->", MalformedXml),
        ("<f/><g/>", MalformedXml),
        ("<f></f><f></f>", MalformedXml),
        ("<f/>x", MalformedXml),
        ("x<f/>", MalformedXml),
        ("<f/>&#32;", MalformedXml),
        ("<f/>&lt;", MalformedXml),
        ("<f/><![CDATA[]]>", MalformedXml),
        ("<![CDATA[ ]]><f/>", MalformedXml),
        ("\u{FEFF}\u{FEFF}<f/>", MalformedXml),
        (" \u{FEFF}<f/>", MalformedXml),
        // Tags.
        ("<f>", MalformedXml),
        ("<f><a></f>", MalformedXml),
        ("<f></g>", MalformedXml),
        ("</f>", MalformedXml),
        ("<f/></f>", MalformedXml),
        ("<f><a></b></f>", MalformedXml),
        ("<f><a></ a></f>", MalformedXml),
        ("<f><a></a b='c'></f>", MalformedXml),
        ("<f><1a/></f>", MalformedXml),
        ("< f/>", MalformedXml),
        ("<f/ >", MalformedXml),
        ("<>", MalformedXml),
        ("</>", MalformedXml),
        ("</", MalformedXml),
        ("<", MalformedXml),
        ("<f a/>", MalformedXml),
        ("<f a b=''/>", MalformedXml),
        ("<f a=b/>", MalformedXml),
        ("<f a=/>", MalformedXml),
        ("<f a='1'b='2'/>", MalformedXml),
        ("<f 1='2'/>", MalformedXml),
        ("<f ='2'/>", MalformedXml),
        ("<f a='<'/>", MalformedXml),
        ("<f a='1/>", MalformedXml),
        ("<f a=\"'/>", MalformedXml),
        ("<f \"a\"='b'/>", MalformedXml),
        ("<f><m a='1' a='2'/></f>", MalformedXml),
        // Text, comments, sections, instructions.
        ("<f><m>]]></m></f>", MalformedXml),
        ("<f><m><!-- a -- b --></m></f>", MalformedXml),
        ("<f><m><!-- a ---></m></f>", MalformedXml),
        ("<f><m><!--></m></f>", MalformedXml),
        ("<f><m><!---></m></f>", MalformedXml),
        ("<f><!-x--></f>", MalformedXml),
        ("<f><!-- </f>", MalformedXml),
        ("<f><![CDATA[ </f>", MalformedXml),
        ("<f><m><![cdata[x]]></m></f>", MalformedXml),
        ("<f><?xml version='1.0'?></f>", MalformedXml),
        (" <?xml version='1.0'?><f/>", MalformedXml),
        ("<?xml version='1.0'?><?xml version='1.0'?><f/>", MalformedXml),
        ("<?XML version='1.0'?><f/>", MalformedXml),
        ("<?1?><f/>", MalformedXml),
        ("<??><f/>", MalformedXml),
        ("<? a?><f/>", MalformedXml),
        ("<?a:b?><f/>", MalformedXml),
        ("<?a", MalformedXml),
        // Declarations.
        ("<?xml version='1.0' encoding='ISO-8859-1'?><f/>", MalformedXml),
        ("<?xml version='1.0' encoding='utf-16'?><f/>", MalformedXml),
        ("<?xml version='1.0' encoding=''?><f/>", MalformedXml),
        ("<?xml?><f/>", MalformedXml),
        ("<?xml encoding='utf-8'?><f/>", MalformedXml),
        ("<?xml version='2.0'?><f/>", MalformedXml),
        ("<?xml version='1.0' version='1.0'?><f/>", MalformedXml),
        ("<?xml version='1.0' standalone='yes' encoding='utf-8'?><f/>", MalformedXml),
        ("<?xml version='1.0' standalone='maybe'?><f/>", MalformedXml),
        // Characters.
        ("<f><m>\0</m></f>", MalformedXml),
        ("<f><m>\u{B}</m></f>", MalformedXml),
        ("<f><m>\u{FFFE}</m></f>", MalformedXml),
        ("<f a='\u{1}'/>", MalformedXml),
        ("<f><!-- \u{1B} --></f>", MalformedXml),
        ("<f><?p \u{8}?></f>", MalformedXml),
        ("<f><m><![CDATA[\u{FFFF}]]></m></f>", MalformedXml),
        // Fields.
        ("<f>text</f>", NotAMap),
        ("<f a='b'> x <c/></f>", NotAMap),
        ("<f>&#65;</f>", NotAMap),
        ("<f><![CDATA[x]]></f>", NotAMap),
        ("<f a='1' a='2'/>", DuplicateField),
        ("<f a='1'><a/></f>", DuplicateField),
        ("<f><a/><a/></f>", DuplicateField),
        ("<f message='1'><message/></f>", DuplicateField),
        ("<f><message/><message/></f>", DuplicateField),
        // Prefixes in the message.
        ("<f><message><a:b/></message></f>", ForbiddenXml),
        ("<f xmlns:a='u'><message><a:b/></message></f>", ForbiddenXml),
        ("<f xmlns:a='u'><message a:b='c'/></f>", ForbiddenXml),
        ("<f><message><c xmlns:a='u'/><a:b/></message></f>", ForbiddenXml),
        ("<f><message><xmlns:a/></message></f>", ForbiddenXml),
        ("<f><message type='list'><a:b/></message></f>", ForbiddenXml),
        ("<f><message><:a/></message></f>", MalformedXml),
        ("<f><message><a:/></message></f>", MalformedXml),
        ("<f><message xmlns:a='u'><a:b:c/></message></f>", MalformedXml),
        ("<f><message xmlns:a=''/></f>", MalformedXml),
        ("<f><message xmlns:xmlns='u'/></f>", MalformedXml),
        ("<f><message xmlns:xml='u'/></f>", MalformedXml),
        ("<f><message xmlns:a='http://www.w3.org/XML/1998/namespace'/></f>", MalformedXml),
        ("<f><message xmlns:a='http://www.w3.org/2000/xmlns/'/></f>", MalformedXml),
        ("<f><message xmlns='http://www.w3.org/2000/xmlns/'/></f>", MalformedXml),
        ("<f><message xmlns='http://www.w3.org/2000/xmln&#115;/'/></f>", MalformedXml),
        ("<f><message xmlns:2a='u'/></f>", MalformedXml),
        ("<f><message type='int' xml:lang='&en'>5</message></f>", MalformedXml),
        ("<f><message type='int' xml:lang='&en;'>5</message></f>", ForbiddenXml),
        ("<f><message type='list' xmlns='&#0;'/></f>", MalformedXml),
        ("<f><message xmlns:a='u' xmlns:b='u' a:c='1' b:c='2'/></f>", MalformedXml),
        // Types.
        ("<f><m type='null'>x</m></f>", InvalidTag),
        ("<f><m type='bool'>True</m></f>", InvalidTag),
        ("<f><m type='bool'/></f>", InvalidTag),
        ("<f><m type='int'>1.0</m></f>", InvalidTag),
        ("<f><m type='int'>1 2</m></f>", InvalidTag),
        ("<f><m type='int'>٣</m></f>", InvalidTag),
        ("<f><m type='int'>-</m></f>", InvalidTag),
        ("<f><m type='int'/></f>", InvalidTag),
        ("<f><m type='int'>1<a/></m></f>", InvalidTag),
        ("<f><m type='float'>+nan</m></f>", InvalidTag),
        ("<f><m type='float'>infinity</m></f>", InvalidTag),
        ("<f><m type='float'>0x1p3</m></f>", InvalidTag),
        ("<f><m type='float'>1_0.0</m></f>", InvalidTag),
        ("<f><m type='float'/></f>", InvalidTag),
        ("<f><m type='float'>1e400</m></f>", InvalidValue),
        ("<f><m type='float'>-1e400</m></f>", InvalidValue),
        ("<f><m type='bytes'>A</m></f>", InvalidTag),
        ("<f><m type='bytes'>AAE</m></f>", InvalidTag),
        ("<f><m type='bytes'>AA-_</m></f>", InvalidTag),
        ("<f><m type='str' encoding='base64'>/w==</m></f>", InvalidTag),
        ("<f><m type='str' encoding='hex'>00</m></f>", InvalidTag),
        ("<f><m type='str' unit='C'>00</m></f>", InvalidTag),
        ("<f><m type='str'>a<b/></m></f>", InvalidTag),
        ("<f><m type='list'>x</m></f>", InvalidTag),
        ("<f><m type='list'><i/>&amp;</m></f>", InvalidTag),
        ("<f><m type='dict'><i/>x</m></f>", InvalidTag),
        ("<f><m type='dict'><item key='/w==' key-encoding='base64'/></m></f>", InvalidTag),
        ("<f><m type='dict'><item key='a' key-encoding='hex'/></m></f>", InvalidTag),
        ("<f><m type='map'><a/></m></f>", InvalidTag),
        ("<f><m type='map'><entry/></m></f>", InvalidTag),
        ("<f><m type='map'><entry><key/></entry></m></f>", InvalidTag),
        ("<f><m type='map'><entry><value/><key/></entry></m></f>", InvalidTag),
        ("<f><m type='map'><entry><key/><value/><value/></entry></m></f>", InvalidTag),
        ("<f><m type='map'><entry a='b'><key/><value/></entry></m></f>", InvalidTag),
        ("<f><m type='map'><entry>x<key/><value/></entry></m></f>", InvalidTag),
        ("<f><m type='set'><i type='list'/></m></f>", Unhashable),
        ("<f><m type='set'><i><a/></i></m></f>", Unhashable),
        ("<f><m type='map'><entry><key type='dict'/><value/></entry></m></f>", Unhashable),
    ] {
        assert_eq!(refused(xml.as_bytes()), Some(code), "{xml}");
    }
    assert_eq!(refused(b"<f>\xff</f>"), Some(MalformedXml));
    assert_eq!(refused(b"<f a='\xed\xa0\x80'/>"), Some(MalformedXml));
    assert_eq!(refused(b"<f><!-- \xc0\x80 --></f>"), Some(MalformedXml));
    assert_eq!(refused(b"\xff\xfe<\0f\0/\0>\0"), Some(MalformedXml));
    let digits = format!("<f><m type='int'>{}</m></f>", "9".repeat(4_301));
    assert_eq!(refused(digits.as_bytes()), Some(TooManyDigits));
}

#[test]
fn the_reason_says_what_and_where() {
    for (xml, reason) in [
        (
            "<f><message type='dict'><n type='int'>abc</n></message></f>",
            "byte 24 of the body: <n>: type=\"int\" holds \"abc\"; it takes a decimal integer",
        ),
        (
            "<f>\n<!DOCTYPE x></f>",
            "byte 4 of the body: a document type (<!DOCTYPE) is not accepted; leave it out",
        ),
        (
            "<f><a></f>",
            "byte 6 of the body: ill-formed document: expected `</a>`, but `</f>` was found",
        ),
    ] {
        let refusal = body(xml.as_bytes()).unwrap_err();
        assert!(refusal.reason.contains(reason), "{}", refusal.reason);
    }
}

fn nested(count: usize, open: &str, inside: &str, close: &str) -> String {
    format!("<f><message>{}{inside}{}</message></f>", open.repeat(count), close.repeat(count))
}

#[test]
fn depth_is_bounded_typed_or_not() {
    let typed = |count| {
        format!(
            "<f>{}</f>",
            nested(count, "<i type='list'>", "", "</i>")
                .replace("<f><message>", "")
                .replace("</message></f>", "")
        )
    };
    assert_eq!(refused(typed(128).as_bytes()), None);
    assert_eq!(refused(typed(129).as_bytes()), Some(TooDeep));
    assert_eq!(refused(nested(127, "<a>", "<b/>", "</a>").as_bytes()), None);
    assert_eq!(refused(nested(128, "<a>", "<b/>", "</a>").as_bytes()), Some(TooDeep));
    assert_eq!(refused(nested(127, "<a>", "<b c=''/>", "</a>").as_bytes()), Some(TooDeep));
    // The list of the repeated children counts, and so does that of the outermost ones.
    assert_eq!(refused(nested(127, "<a>", "<b/><b/>", "</a>").as_bytes()), Some(TooDeep));
    assert_eq!(refused(nested(126, "<a>", "<b/><b/>", "</a>").as_bytes()), None);
    let twins = |count| {
        format!("<f><message>{}<b/>{}<a/></message></f>", "<a>".repeat(count), "</a>".repeat(count))
    };
    assert_eq!(refused(twins(126).as_bytes()), None);
    assert_eq!(refused(twins(127).as_bytes()), Some(TooDeep));
    let maps =
        |count| nested(count, "<v type='map'><entry><key/><value>", "", "</value></entry></v>");
    assert_eq!(refused(maps(64).as_bytes()), None);
    assert_eq!(refused(maps(65).as_bytes()), Some(TooDeep));
    for count in [1_000, 100_000] {
        assert_eq!(refused(nested(count, "<a>", "", "</a>").as_bytes()), Some(TooDeep));
        assert_eq!(refused("<a>".repeat(count).as_bytes()), Some(TooDeep));
        assert_eq!(refused("<a type='list'>".repeat(count).as_bytes()), Some(TooDeep));
    }
}

#[test]
fn the_budget_holds() {
    let limits = Limits { decoded_size: 1_000, ..Limits::default() };
    for (count, code) in [(10, None), (100, Some(TooLarge))] {
        for piece in [
            "<a/>",
            "<a b='c'/>",
            "<a>text</a>",
            "text&amp;text&amp;text",
            "<a type='bytes'>AAAAAAAAAAAA</a>",
        ] {
            let xml = nested(1, "<x>", &piece.repeat(count), "</x>");
            let mut document = Document::new();
            let refused = decode_body(xml.as_bytes(), 0..xml.len(), &mut document, &limits)
                .map_err(|refusal| refusal.code);
            if code.is_some() {
                assert_eq!(refused.err(), code, "{piece}");
            }
            assert!(document.weight() < 6_000, "{} {piece}", document.weight());
        }
    }
}

/// Inputs that are large rather than wrong; `refused` watches the clock.
#[test]
fn time_is_linear() {
    let prefixes: String = (0..20_000).map(|index| format!(" xmlns:p{index}='u{index}'")).collect();
    let children: String = (0..20_000)
        .map(|index| format!("<p{index}:c p{index}:a='' p{}:a=''/>", index / 2))
        .collect();
    let same: String = (0..20_000).map(|_| "<c/>".to_owned()).collect();
    let attributes: String = (0..50_000).map(|index| format!(" a{index}=''")).collect();
    let elements: String = (0..50_000).map(|index| format!("<a{index}/>")).collect();
    assert_eq!(
        refused(format!("<f><message{prefixes}>{children}</message></f>").as_bytes()),
        Some(MalformedXml)
    );
    let children = children.replacen(" p0:a=''", "", 1);
    assert_eq!(refused(format!("<f><message{prefixes}>{children}</message></f>").as_bytes()), None);
    assert_eq!(refused(format!("<f{prefixes}><message>{same}</message></f>").as_bytes()), None);
    assert_eq!(refused(format!("<f><message{attributes}/></f>").as_bytes()), None);
    assert_eq!(refused(format!("<f{attributes}/>").as_bytes()), None);
    assert_eq!(refused(format!("<f>{elements}</f>").as_bytes()), None);
    assert_eq!(refused(format!("<f{attributes}>{elements}</f>").as_bytes()), Some(DuplicateField));
    assert_eq!(refused(format!("<f><message>{elements}</message></f>").as_bytes()), None);
    assert_eq!(
        refused(format!("<f><message type='dict'>{elements}{elements}</message></f>").as_bytes()),
        None
    );
    // Repeated children at every depth, and the bulk of them in the innermost element.
    let bulk = "<b/>".repeat(100_000);
    assert_eq!(refused(nested(62, "<a/><a>", &bulk, "</a>").as_bytes()), None);
    // One long name of a namespace, and many that use it.
    let long = "u".repeat(500_000);
    let many = "<p:a p:b='' q:b=''/>".repeat(20_000);
    assert_eq!(
        refused(
            format!("<f><message xmlns:p='{long}' xmlns:q='v{long}'>{many}</message></f>")
                .as_bytes()
        ),
        None
    );
    for piece in [
        "&lt;",
        "<!---->",
        "<![CDATA[]]>",
        "<![CDATA[\r]]>",
        "<?p?>",
        "]]",
        " <c/>",
        "\r",
        "&#x10FFFF;",
    ] {
        let xml = nested(1, "<x>", &piece.repeat(300_000 / piece.len()), "</x>");
        assert_eq!(refused(xml.as_bytes()), None, "{piece}");
    }
    for start in ["<f ", "<f a='", "<!--", "<f><![CDATA[", "<?a", "&", "<f><a>&#", "<f><a b='&"] {
        for filling in ["-", "<", "&", "]", ">", "'", "a ", "a='' ", "?", "\""] {
            let xml = [start, &filling.repeat(60_000 / filling.len())].concat();
            assert!(refused(xml.as_bytes()).is_some(), "{start}{filling}");
        }
    }
}

const RECORD: &str = "\u{FEFF}<?xml version='1.0' encoding='utf-8'?><!-- c --><f command='publish' \
topic=\"/a&amp;b\">\
    <?p i?><retain type='bool'>true</retain><message type='dict' xmlns:n='u'><n:a \
    n:b='1'>é<c/>\r\n&#233;</n:a>\
    <item key='1'>x</item><l type='list'><i type='float'>1.5</i><i \
    type='int'>123456789012345678901</i></l>\
    <m type='map'><entry><key type='bytes'>AAE=</key><value type='set'><i/></value></entry></m>\
    <d type='document'><e/><e/><![CDATA[<]]></d></message></f>";

#[test]
fn every_truncation_is_refused() {
    assert_eq!(refused(RECORD.as_bytes()), None);
    for length in 0..RECORD.len() {
        assert!(refused(&RECORD.as_bytes()[..length]).is_some(), "{length}");
    }
}

/// Bodies with bytes changed, cut out and copied. `MUTATIONS=200000` runs more of them.
#[test]
fn mutations_do_no_harm() {
    let rounds =
        std::env::var("MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4_000);
    let pieces: [&[u8]; 24] = [
        b"<",
        b">",
        b"/>",
        b"</",
        b"&",
        b"&#",
        b";",
        b"'",
        b"\"",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?",
        b"?>",
        b"type='",
        b"xmlns:n='",
        b":",
        b"\r",
        b"\0",
        b"\xff",
        b"<entry>",
        b"document",
        b"<e/>",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut accepted = 0;
    for _ in 0..rounds {
        let mut xml = RECORD.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(xml.len());
            let to = (at + random(20)).min(xml.len());
            match random(4) {
                0 => xml[at] = random(256) as u8,
                1 => drop(xml.drain(at..to)),
                2 => drop(xml.splice(at..at, pieces[random(pieces.len())].iter().copied())),
                _ => {
                    let copied = xml[at..to].to_vec();
                    let into = random(xml.len());
                    drop(xml.splice(into..into, copied));
                }
            }
        }
        accepted += usize::from(body(&xml).is_ok());
        let range = random(xml.len())..xml.len();
        let _ = decode_message(&xml, range, &mut Document::new(), &Limits::default());
    }
    assert!(accepted > rounds / 50, "{accepted} of {rounds}: the mutations reach nothing");
}

#[test]
fn a_value_is_one_element() {
    assert_eq!(value(b"<a/>").as_deref(), Ok("None"));
    for xml in ["", "<a/><b/>", "<a/>b", "<a:b/>", "<a"] {
        assert!(value(xml.as_bytes()).is_err(), "{xml}");
    }
}
