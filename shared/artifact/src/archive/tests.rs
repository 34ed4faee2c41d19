#![allow(clippy::unwrap_used)]
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn manifest(onnx: &[u8], model: &[u8]) -> Value {
    json!({
        "schema_version": 1, "model_name": "m", "created_at": "2026-11-24T02:00:00Z", "catboost_version": "1.2.10",
        "target": {"column": "bad", "positive_class": "1"},
        "features": [{"name": "a", "kind": "numeric", "source_column": "a", "description": "A", "median": 1.0}],
        "scorecard": {"pdo": 20.0, "target_score": 600.0, "target_odds": 30.0},
        "training": {"auc": 0.8},
        "files": {
            "model.onnx": {"sha256": sha256_hex(onnx), "bytes": onnx.len()},
            "model.json": {"sha256": sha256_hex(model), "bytes": model.len()}
        },
        "golden_rows": [{"inputs": [null], "raw_value": 0.0, "probability": 0.5, "base_value": 0.0, "shap_values": [0.0]}]
    })
}

fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn good() -> Vec<u8> {
    let manifest = manifest(b"onnx", b"json").to_string();
    pack(&[("model.onnx", b"onnx"), ("model.json", b"json"), ("manifest.json", manifest.as_bytes())])
}

fn refused(bytes: &[u8]) -> String {
    Artifact::open(bytes).unwrap_err().to_string()
}

#[test]
fn a_good_archive_opens() {
    let artifact = Artifact::open(&good()).unwrap();
    assert_eq!((artifact.onnx.as_slice(), artifact.model_json.as_slice()), (&b"onnx"[..], &b"json"[..]));
}

#[test]
fn only_the_three_plain_files_are_taken() {
    let manifest = manifest(b"onnx", b"json").to_string();
    let three: [(&str, &[u8]); 3] =
        [("model.onnx", b"onnx"), ("model.json", b"json"), ("manifest.json", manifest.as_bytes())];
    for extra in ["../evil", "/etc/passwd", "./model.onnx", "notes.txt", "model.onnx"] {
        let mut entries = three.to_vec();
        entries.push((extra, b"x"));
        assert!(refused(&pack(&entries)).contains("the archive has the entry"), "{extra}");
    }
    assert!(refused(&pack(&three[..2])).contains("lacks manifest.json"));
    assert!(refused(&pack(&three[1..])).contains("lacks model.onnx"));
}

#[test]
fn links_and_directories_are_refused() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory, tar::EntryType::Fifo] {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_path("model.onnx").unwrap();
        header.set_entry_type(kind);
        header.set_size(0);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        assert!(refused(&bytes).contains("not a plain file"), "{kind:?}");
    }
}

#[test]
fn a_model_that_is_not_the_manifests_is_refused() {
    let manifest = manifest(b"onnx", b"json").to_string();
    let bytes = pack(&[("model.onnx", b"other"), ("model.json", b"json"), ("manifest.json", manifest.as_bytes())]);
    assert!(refused(&bytes).contains("put together from different models"));
}

#[test]
fn a_bomb_is_refused_without_being_unpacked() {
    let mut header = tar::Header::new_gnu();
    header.set_path("manifest.json").unwrap();
    header.set_size(10 * 1024 * 1024 * 1024);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    gzip.write_all(&vec![0; 16 * 1024 * 1024]).unwrap();
    let bytes = gzip.finish().unwrap();
    assert!(refused(&bytes).contains("manifest.json unpacks to more than"));
}

#[test]
fn empty_and_text_are_no_archives() {
    for bytes in [&b""[..], b"\x1f\x8b", b"hello, world", &[0; 4096]] {
        assert!(Artifact::open(bytes).is_err());
    }
    let empty = GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap();
    assert!(refused(&empty).contains("lacks"));
}

#[test]
fn every_flipped_bit_is_refused_or_harmless() {
    let good = good();
    let expected = Artifact::open(&good).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            // Some bytes carry nothing, the time in gzip's header for example.
            if let Ok(artifact) = Artifact::open(&bytes) {
                assert_eq!((artifact.onnx, artifact.model_json), (expected.onnx.clone(), expected.model_json.clone()));
                // As text, since NaN is not equal to itself.
                let [found, expected] =
                    [&artifact.manifest, &expected.manifest].map(|manifest| format!("{manifest:?}"));
                assert_eq!(found, expected, "byte {at}, bit {bit}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Artifact::open(&bytes);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&bytes).unwrap();
        prop_assert!(Artifact::open(&gzip.finish().unwrap()).is_err());
    }

    #[test]
    fn any_manifest_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let archive = pack(&[("model.onnx", b"onnx"), ("model.json", b"json"), ("manifest.json", &bytes)]);
        prop_assert!(Artifact::open(&archive).is_err());
    }

    #[test]
    fn a_cut_archive_is_refused(keep in 0.0_f64..0.9) {
        let good = good();
        let cut = (good.len() as f64 * keep) as usize;
        prop_assert!(Artifact::open(&good[..cut]).is_err());
    }
}
