//! What a pickle may decode to for each byte of it.

use super::*;
use crate::protocol::NODE_SIZE;
use crate::{Content, Dialect, longest_body};

/// `[[0.0] * 1000] * 1000` as CPython's two picklers write it.
fn rows_that_are_one(protocol: u8) -> Vec<u8> {
    if protocol == 0 {
        let row = b"F0.0\na".repeat(1_000);
        return [&b"(lp0\n(lp1\n"[..], &row, b"a", &b"g1\na".repeat(999), b"."].concat();
    }
    let memo = |number| if protocol < 4 { vec![b'q', number] } else { vec![0x94] };
    let row = [b"]", &memo(1)[..], b"(", &b"G\0\0\0\0\0\0\0\0".repeat(1_000), b"e"].concat();
    let list = [b"]", &memo(0)[..], b"(", &row, &b"h\x01".repeat(999), b"e."].concat();
    let head = if protocol < 2 { vec![] } else { vec![0x80, protocol] };
    let frame = match protocol {
        0..4 => vec![],
        _ => [&[0x95][..], &(list.len() as u64).to_le_bytes()].concat(),
    };
    [head, frame, list].concat()
}

#[test]
fn a_row_that_is_referred_to_a_thousand_times_is_accepted() {
    for protocol in 0..=5 {
        let pickle = rows_that_are_one(protocol);
        assert!((10_000..=11_018).contains(&pickle.len()));
        let mut document = Document::new();
        let at = decode(&pickle, 0..pickle.len(), &mut document, &Limits::default()).unwrap();
        let view = document.view(&pickle, at);
        assert_eq!(view.nodes().len(), 1 + 1_000 + 1_000_000, "protocol {protocol}");
        for dialect in Dialect::ALL {
            let longest = longest_body(dialect, "a topic", Content::Decoded(view));
            assert!(
                longest <= Limits::default().encoded_budget(pickle.len()) as u64,
                "{dialect:?}: {longest}"
            );
        }
    }
}

/// Row A4: 60 clients sent 362 bytes each, and each decoded to the whole budget.
#[test]
fn a_short_pickle_decodes_to_little() {
    // Seven lists, each with twelve references to the one before, the first to a list of 153.
    let mut pickle = [b"](", &b"N".repeat(153)[..], b"eq\x01"].concat();
    for level in 2..9 {
        pickle.extend([b"](", &[b'h', level - 1].repeat(12)[..], b"eq", &[level]].concat());
    }
    pickle.push(b'.');
    assert_eq!(pickle.len(), 362);
    let limits = Limits::default();
    let mut document = Document::new();
    let refusal = decode(&pickle, 0..pickle.len(), &mut document, &limits).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TooLarge);
    assert!(
        document.len() <= limits.decoded_budget(362) / NODE_SIZE + 1,
        "{} nodes",
        document.len()
    );
}

/// One argument, called with again and again: what it takes to look at it is paid for each time.
#[test]
fn calls_pay_for_what_they_look_at() {
    let limits = Limits { decoded_size: 4 << 20, ..Limits::default() };
    let text = |text: &[u8]| {
        let length = (text.len() as u32).to_le_bytes();
        [b"X".as_slice(), &length, text].concat()
    };
    let zeros = [b"1E".as_slice(), &[b'0'; 4_000], b"1"].concat();
    let fraction = format!("{}/{}", "7".repeat(999), "1".repeat(1_000)).into_bytes();
    let numpy = [
        b"cnumpy\ndtype\n\x8c\x05S4000\x89\x88\x87R".as_slice(),
        b"(K\x03\x8c\x01|NNNM\xa0\x0fK\x01K\0tb",
        b"B\xa0\x0f\0\0",
        &[0; 4_000],
        b"\x86",
    ];
    let path = [b"(".as_slice(), &b"\x8c\0".repeat(2_000), b"t"].concat();
    let decimal = b"cdecimal\nDecimal\n".as_slice();
    for (what, function, args) in [
        ("Decimal", decimal, [&*text(&zeros), b"\x85"].concat()),
        ("Fraction", b"cfractions\nFraction\n", [&*text(&fraction), b"\x85"].concat()),
        ("numpy", b"cnumpy.core.multiarray\nscalar\n", numpy.concat()),
        ("path", b"cpathlib\nWindowsPath\n", path),
    ] {
        let calls = |count: usize| {
            let head = [b"\x80\x04".as_slice(), function, b"\x940", &args, b"\x940N"];
            [&*head.concat(), &*b"h\0h\x01R0".repeat(count), b"."].concat()
        };
        let decoded = |pickle: &[u8]| {
            decode(pickle, 0..pickle.len(), &mut Document::new(), &limits)
                .map(drop)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(decoded(&calls(10)), Ok(()), "{what}");
        assert_eq!(decoded(&calls(4_000)), Err(ErrorCode::TooLarge), "{what}");
    }
}
