//! Makes archives by hand, good ones and bad ones.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use limit_increase_artifact::Artifact;
use limit_increase_domain::sha256_hex;
use serde_json::{Value, json};
use tar::{EntryType, Header};

pub(crate) const ONNX: &[u8] = b"the onnx";
pub(crate) const MODEL: &[u8] = b"{\"the\": \"model\"}";

pub(crate) fn manifest() -> Value {
    let digest = |content: &[u8]| json!({"sha256": sha256_hex(content), "bytes": content.len()});
    json!({
        "schema_version": 1, "model_name": "m", "created_at": "2026-11-24T02:00:00Z",
        "catboost_version": "1.2.10",
        "target": {"column": "bad", "positive_class": "1"},
        "features": [
            {"name": "a", "kind": "numeric", "source_column": "a",
             "description": "A", "median": 1.0},
            {"name": "b=x", "kind": "one_hot", "source_column": "b",
             "description": "B", "category": "x"},
            {"name": "b=", "kind": "one_hot", "source_column": "b",
             "description": "B", "category": null},
            {"name": "c", "kind": "numeric", "source_column": "c",
             "description": "C", "median": null}
        ],
        "scorecard": {"pdo": 20.0, "target_score": 600.0, "target_odds": 30.0},
        "training": {
            "rows": 10, "validation_rows": 2, "trees": 1, "depth": 1, "bad_rate": 0.1,
            "auc": null, "gini": null, "ks": null, "log_loss": 0.1,
            "calibration": [{"rows": 2, "predicted": 0.1, "observed": 0.0}]
        },
        "files": {"model.onnx": digest(ONNX), "model.json": digest(MODEL)},
        "golden_rows": [{
            "inputs": [null, 1.0, "inf", "-inf"],
            "raw_value": 0.0, "probability": 0.5, "base_value": 0.0,
            "shap_values": [0.0, 0.0, 0.0, 0.0]
        }]
    })
}

pub(crate) fn header(name: &str, size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    // `set_path` would refuse the names that some tests are about.
    header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

pub(crate) fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        tar.append(&header(name, content.len() as u64, EntryType::Regular), *content).unwrap();
    }

    tar.into_inner().unwrap()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
    gzip(&tar_of(entries))
}

pub(crate) fn with_manifest(manifest: &[u8]) -> Vec<u8> {
    pack(&[("model.onnx", ONNX), ("model.json", MODEL), ("manifest.json", manifest)])
}

pub(crate) fn good() -> Vec<u8> {
    with_manifest(manifest().to_string().as_bytes())
}

pub(crate) fn refusal(bytes: &[u8]) -> String {
    Artifact::open(bytes).expect_err("accepted").to_string()
}
