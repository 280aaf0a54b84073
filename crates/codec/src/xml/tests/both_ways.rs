//! Where the straight way has an answer, it is that of the events.

use super::super::body::Root;
use super::super::{fast_decode, read};
use crate::protocol::{Limits, MAX_DEPTH};
use crate::{Document, pickle};

const BODIES: &[&str] = &[
    "<frame command=\"publish\" topic=\"bench/flow\"><message type=\"dict\"><order \
     type=\"int\">900017</order>\
     <name type=\"str\">Zoë Brandt &amp; Söhne&#233;</name><items type=\"list\"><item \
     type=\"dict\"><sku type=\"str\">X1\n2</sku>\
     <price type=\"float\">-19.99</price><gift type=\"bool\">false</gift></item><item \
     type=\"null\"></item></items>\
     <none type=\"null\"/><empty type=\"str\"/></message></frame>",
    "<f command=\"publish\" topic=\"t\">\n <retain type=\"bool\">true</retain>\n <message \
     type=\"tuple\">\n\
     <item type=\"set\"><item type=\"int\">1</item><item type=\"int\">01</item><i \
     type=\"int\">-2</i></item>\
     <item type=\"bytes\">AP8=</item><item type=\"frozenset\"/><x type=\"float\">1e300</x><x \
     type=\"float\">5</x></message> </f>\n",
    "<f topic=\"a\"><message type=\"dict\"><a type=\"int\">1</a><a type=\"int\">2</a><item \
     type=\"str\">]] \t</item></message></f>",
    "<f topic=\"a\"><message type=\"dict\"><item key=\"+1\" type=\"int\">1</item><item key=\"ü ''\" \
     type=\"str\">b</item><item key=\"+1\" type=\"int\">2</item><item key=\"\" type=\"dict\"><item \
     key=\"]>\" type=\"null\"/></item><item type=\"int\">3</item></message></f>",
    "<f topic=\"a\"><message type=\"str\">text of many words, long enough</message></f>",
];

/// Whether the straight way was taken.
fn check(xml: &[u8], limits: &Limits, root: Root) -> bool {
    let source = [b"..", xml, b"<<<<&&&&"].concat();
    let range = 2..2 + xml.len();
    let shown = |document: &Document, root: usize| {
        let mut shown = Vec::new();
        pickle::encode(document.view(&source, root), pickle::Classes::None, &mut shown);
        assert_eq!(document.nodes()[root].nodes(), document.len());
        shown
    };
    let mut document = Document::new();
    let Some(body) = fast_decode::read(&source, range.clone(), &mut document, limits, root) else {
        assert!(document.is_empty());
        return false;
    };
    let mut expected = Document::new();
    let by_events = read::by_events(&source, range, &mut expected, limits, root);
    assert_eq!(by_events.as_ref(), Ok(&body), "{}", xml.escape_ascii());
    assert_eq!(shown(&document, body.root), shown(&expected, body.root), "{}", xml.escape_ascii());
    true
}

#[test]
fn both_ways_lead_to_the_same_document() {
    let mut state: u64 = 0xd1ff;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    };
    const PIECES: &[u8] = b"<>/&;\"'= \n\r\t]:-.e01axi\x00\x7f\xc3\xef\xbf";
    let mut accepted = 0;
    for round in 0..40_000 {
        let mut xml = BODIES[round % BODIES.len()].as_bytes().to_vec();
        for _ in 0..round % 4 {
            let at = below(xml.len());
            let to = (at + below(12)).min(xml.len());
            match below(5) {
                0 => xml[at] = PIECES[below(PIECES.len())],
                1 => xml.insert(at, PIECES[below(PIECES.len())]),
                2 => drop(xml.drain(at..to)),
                3 => {
                    let words: [&[u8]; 8] = [
                        b"&lt;",
                        b"<a type=\"int\">1</a>",
                        b"<a/>",
                        b"type=\"list\"",
                        b"\xef\xbf\xbf",
                        b"</item>",
                        b"/",
                        b"int",
                    ];
                    drop(xml.splice(at..at, words[below(words.len())].iter().copied()));
                }
                _ => {
                    let copied = xml[at..to].to_vec();
                    let into = below(xml.len());
                    drop(xml.splice(into..into, copied));
                }
            }
            if xml.is_empty() {
                break;
            }
        }
        let limits = match round % 3 {
            0 => Limits { decoded_size: 1 << below(13), ..Limits::default() },
            _ => Limits::default(),
        };
        accepted += usize::from(check(&xml, &limits, Root::Body));
        if let Some(message) = memchr::memmem::find(&xml, b"<message") {
            check(&xml[message..], &limits, Root::Value);
            if let Some(end) = memchr::memmem::rfind(&xml, b"</message>") {
                check(xml.get(message..end + 10).unwrap_or_default(), &limits, Root::Value);
            }
        }
    }
    assert!(accepted > 5_000, "only {accepted} were read the straight way");
}

#[test]
fn the_usual_goes_straight() {
    for xml in BODIES {
        assert!(check(xml.as_bytes(), &Limits::default(), Root::Body), "{xml}");
    }
    assert!(check(b"<message type=\"int\">12</message>", &Limits::default(), Root::Value));
    for depth in [MAX_DEPTH, MAX_DEPTH + 1] {
        let xml = ["<a type=\"list\">".repeat(depth), "</a>".repeat(depth)].concat();
        assert_eq!(check(xml.as_bytes(), &Limits::default(), Root::Value), depth == MAX_DEPTH);
    }
    for other in [
        "",
        "</>",
        "<a type=\"list\"></>",
        "<a type=\"str\"/>&",
        "<a type=\"str\">x</a>b",
        "<a type=\"str\">&</a>",
    ] {
        assert!(!check(other.as_bytes(), &Limits::default(), Root::Value), "{other}");
        assert!(!check(other.as_bytes(), &Limits::default(), Root::Body), "{other}");
    }
}
