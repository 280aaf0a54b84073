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
