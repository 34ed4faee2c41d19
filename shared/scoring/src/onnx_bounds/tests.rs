#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use self::protobuf::{attribute, field, key, number};
use super::*;
use crate::ensemble::Tree;

#[allow(dead_code, reason = "the tests in `tests/` use the other functions")]
#[path = "../../tests/support/protobuf.rs"]
mod protobuf;

fn ensemble(leaves: usize) -> Ensemble {
    let tree =
        Tree { splits: vec![], leaf_values: vec![0.0; leaves], leaf_weights: vec![1.0; leaves] };
    Ensemble { columns: vec![], trees: vec![tree], scale: 1.0, bias: 0.0 }
}

#[test]
fn numbers_are_read_as_protobuf_writes_them() {
    for expected in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        let bytes = [number(expected), vec![7]].concat();
        let mut rest = bytes.as_slice();
        assert_eq!((varint(&mut rest), rest), (Some(expected), &[7][..]));
    }

    for cut in [&[][..], &[0x80], &[0xff; 10], &[0xff; 20]] {
        assert_eq!(varint(&mut &*cut), None, "{cut:?}");
    }
}

#[test]
fn what_its_trees_need_is_accepted_and_one_more_is_not() {
    let elements = MAX_ELEMENTS_PER_LEAF * 10 + MAX_OTHER_ELEMENTS;
    let texts = MAX_TEXTS_PER_LEAF * 10 + MAX_OTHER_ELEMENTS;
    type Case = (&'static str, fn(usize) -> Vec<u8>, usize);
    let cases: [Case; 8] = [
        ("whole numbers", |count| attribute(&field(8, &vec![1; count])), elements),
        (
            "large whole numbers",
            |count| attribute(&field(8, &number(u64::MAX).repeat(count))),
            elements,
        ),
        (
            "whole numbers apart",
            |count| attribute(&[key(8, 0), vec![1]].concat().repeat(count)),
            elements,
        ),
        ("numbers", |count| attribute(&field(7, &vec![1; 4 * count])), elements),
        (
            "numbers apart",
            |count| attribute(&[key(7, 5), vec![0; 4]].concat().repeat(count)),
            elements,
        ),
        ("texts", |count| attribute(&field(9, b"LEAF").repeat(count)), texts),
        ("metadata", |count| field(14, &field(2, b"text")).repeat(count), MAX_MESSAGES),
        ("initializers", |count| field(7, &field(5, &[]).repeat(count)), MAX_OTHER_BYTES / 2),
    ];

    for (name, onnx, most) in cases {
        assert!(check(&onnx(most), &ensemble(10)).is_ok(), "{name}");
        let refusal = check(&onnx(most + 1), &ensemble(10)).unwrap_err().to_string();
        assert!(refusal.contains("for 10 leaves"), "{name}: {refusal}");
    }
}

#[test]
fn metadata_may_be_long() {
    assert!(check(&field(14, &field(2, &[b'x'; 1 << 20])), &ensemble(1)).is_ok());
}

#[test]
fn what_is_no_protobuf_is_refused() {
    let cut = attribute(&field(8, &[1; 10]));
    for content in
        [&cut[..cut.len() - 1], &[0x0b], &[0x0c], &[0x0f], &[0xff; 30], &[0x0a, 0x05, 0x00]]
    {
        let refusal = check(content, &ensemble(1)).unwrap_err().to_string();
        assert!(refusal.contains("can't be read"), "{content:?}: {refusal}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&bytes, &ensemble(1));
        let _ = check(&attribute(&bytes), &ensemble(1));
    }
}
