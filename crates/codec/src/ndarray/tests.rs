use super::*;
use crate::convert::to_value;
use crate::protocol::Limits;

fn array(dtype: &str, shape: &[u64], data: &[u8]) -> Result<Document, NotAnArray> {
    let mut document = Document::new();
    let dtype = Dtype::parse(dtype.as_bytes()).expect("a dtype");
    let budget = &mut Budget::of(Limits::default().decoded_size);
    push(&mut document, data, dtype, shape, Text::in_source(0..data.len()), budget)?;
    Ok(document)
}

/// What `tolist()` gives.
fn lists_of(dtype: &str, shape: &[u64], data: &[u8]) -> String {
    let document = array(dtype, shape, data).unwrap();
    let at = document.nodes()[0].nodes_of_type(&document.nodes()[1..]);
    to_value(document.view(data, at)).to_string()
}

#[test]
fn items_are_what_tolist_gives() {
    let pair = |a: &[u8], b: &[u8]| [a, b].concat();
    for (dtype, data, lists) in [
        ("|b1", vec![0, 7], "[False, True]"),
        ("|i1", vec![255, 1], "[-1, 1]"),
        ("|u1", vec![255, 1], "[255, 1]"),
        ("<i2", vec![255, 255, 1, 0], "[-1, 1]"),
        (">i2", vec![255, 255, 1, 0], "[-1, 256]"),
        ("<i4", pair(&[1, 0, 0, 0], &[255; 4]), "[1, -1]"),
        ("<u2", vec![255, 255, 1, 0], "[65535, 1]"),
        ("<u4", pair(&[1, 0, 0, 0], &[255; 4]), "[1, 4294967295]"),
        ("<i8", pair(&i64::MIN.to_le_bytes(), &[255; 8]), "[-9223372036854775808, -1]"),
        (">u8", pair(&5u64.to_be_bytes(), &[255; 8]), "[5, 18446744073709551615]"),
        ("<f2", vec![0, 0x3c, 1, 0], "[1.0, 5.960464477539063e-8]"),
        ("<f4", pair(&1.1f32.to_le_bytes(), &[0; 4]), "[1.100000023841858, 0.0]"),
        (">f4", pair(&1.5f32.to_be_bytes(), &[0; 4]), "[1.5, 0.0]"),
        ("<f8", pair(&1.1f64.to_le_bytes(), &(-0.0f64).to_le_bytes()), "[1.1, -0.0]"),
        (">f8", pair(&1.1f64.to_be_bytes(), &[0; 8]), "[1.1, 0.0]"),
        ("<c8", pair(&[0, 0, 128, 63, 0, 0, 0, 64], &[0; 8]), "[complex((1+2j)), complex(0j)]"),
        ("|S2", b"a\0\0b".to_vec(), r#"[b"a", b"\x00b"]"#),
        ("<U1", vec![0xac, 0x20, 0, 0, 0, 0, 0, 0], r#"["€", ""]"#),
        ("<M8[D]", pair(&0i64.to_le_bytes(), &i64::MIN.to_le_bytes()), "[date(1970-01-01), None]"),
        ("<M8[ns]", pair(&7i64.to_le_bytes(), &[0; 8]), "[7, 0]"),
        (
            "<M8[25s]",
            pair(&2i64.to_le_bytes(), &[0; 8]),
            "[datetime(1970-01-01T00:00:50), datetime(1970-01-01T00:00:00)]",
        ),
        ("<m8[s]", pair(&(-1i64).to_le_bytes(), &[0; 8]), "[timedelta(-PT1S), timedelta(PT0S)]"),
    ] {
        assert_eq!(lists_of(dtype, &[2], &data), lists, "{dtype}");
    }
}

#[test]
fn shapes_are_nested_lists() {
    for (shape, lists) in [
        (&[][..], None),
        (&[6], Some("[0, 1, 2, 3, 4, 5]")),
        (&[2, 3], Some("[[0, 1, 2], [3, 4, 5]]")),
        (&[3, 1, 2], Some("[[[0, 1]], [[2, 3]], [[4, 5]]]")),
        (&[1, 1, 6], Some("[[[0, 1, 2, 3, 4, 5]]]")),
    ] {
        match lists {
            Some(lists) => assert_eq!(lists_of("|u1", shape, &[0, 1, 2, 3, 4, 5]), lists),
            None => assert_eq!(lists_of("|u1", shape, &[9]), "9"),
        }
    }
    assert_eq!(lists_of("<f8", &[3, 0], &[]), "[[], [], []]");
    assert_eq!(lists_of("<f8", &[0, 3], &[]), "[]");
    assert_eq!(lists_of("|S0", &[2, 2], &[]), r#"[[b"", b""], [b"", b""]]"#);
}

#[test]
fn an_array_is_paid_for_before_it_is_made() {
    for shape in [&[1 << 62, 0][..], &[1_000_000_000, 0], &[1 << 40, 1 << 40, 0], &[u64::MAX, 0]] {
        let refused = array("<f8", shape, &[]).map(drop);
        assert!(matches!(refused, Err(NotAnArray::Refused(_))), "{shape:?}: {refused:?}");
    }
    assert!(matches!(array("|S0", &[1 << 60], &[]), Err(NotAnArray::Refused(_))));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let length = |wanted, found| NotAnArray::Length { found, wanted };
    for (dtype, shape, data, fault) in [
        ("<f8", &[2][..], 8, length(16, 8)),
        ("<f8", &[], 7, length(8, 7)),
        ("<f8", &[0], 8, length(0, 8)),
        ("|u1", &[1 << 63, 1 << 63, 4], 0, length(1 << 127 | 1 << 127, 0)),
        ("|u1", &[1; 65], 1, NotAnArray::Dimensions),
    ] {
        match array(dtype, shape, &vec![0; data]) {
            Err(NotAnArray::Length { found, wanted }) if wanted > 1 << 100 => {
                assert_eq!((found, data), (0, 0));
            }
            other => assert_eq!(other.map(drop), Err(fault), "{dtype} {shape:?}"),
        }
    }
    let half = 0xd800u32.to_le_bytes();
    assert_eq!(array("<U1", &[1], &half).map(drop), Err(NotAnArray::HalfCharacter));
}

#[test]
fn items_come_into_c_order() {
    // [[0, 1, 2], [3, 4, 5]] column by column.
    assert_eq!(in_c_order(&[0, 3, 1, 4, 2, 5], 1, &[(2, 1), (3, 2)]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(in_c_order(&[1, 1, 2, 2], 2, &[(2, 2)]), [1, 1, 2, 2]);
    // What has one dimension costs nothing.
    let mut axes = vec![(1, 1 << 40); 60];
    axes.extend([(2, 1), (3, 2)]);
    assert_eq!(in_c_order(&[0, 3, 1, 4, 2, 5], 1, &axes), [0, 1, 2, 3, 4, 5]);
    assert!(in_c_order(&[], 8, &[(0, 8), (1 << 60, 0)]).is_empty());
}
