#![allow(clippy::unwrap_used, clippy::expect_used)]
use serde_json::{Value, json};

use crate::{Artifact, ArtifactError, Manifest, ModelInput};
use limit_increase_domain::{ColumnKind, SourceColumn};

fn good() -> Value {
    json!({
        "schema_version": 1, "model_name": "m", "created_at": "2026-11-24T02:00:00Z", "catboost_version": "1.2.10",
        "target": {"column": "bad", "positive_class": "1"},
        "features": [
            {"name": "a", "kind": "numeric", "source_column": "a", "description": "A", "median": 1.0},
            {"name": "h=x", "kind": "one_hot", "source_column": "h", "description": "H", "category": "x"},
            {"name": "h=", "kind": "one_hot", "source_column": "h", "description": "H", "category": null},
            {"name": "b", "kind": "numeric", "source_column": "b", "description": "B", "median": null}
        ],
        "scorecard": {"pdo": 20.0, "target_score": 600.0, "target_odds": 30.0},
        "training": {
            "rows": 10, "validation_rows": 2, "trees": 1, "depth": 1, "bad_rate": 0.1, "auc": null, "gini": null,
            "ks": null, "log_loss": 0.1, "calibration": [{"rows": 2, "predicted": 0.1, "observed": 0.0}]
        },
        "files": {"model.onnx": {"sha256": "00", "bytes": 1}, "model.json": {"sha256": "00", "bytes": 1}},
        "golden_rows": [{
            "inputs": [null, 1, "inf", 0.5], "raw_value": 0.0, "probability": 0.5, "base_value": 0.0,
            "shap_values": [0.0, 0.0, 0.0, 0.0]
        }]
    })
}

fn parse(manifest: &Value) -> Result<Manifest, ArtifactError> {
    Manifest::parse(manifest.to_string().as_bytes())
}

#[test]
fn a_good_manifest_names_its_sources_in_order() {
    let manifest = parse(&good()).unwrap();
    let source = |name: &str, kind| ModelInput {
        column: SourceColumn { name: name.into(), kind },
        description: name.to_uppercase(),
    };

    let expected = [
        source("a", ColumnKind::Number),
        source("h", ColumnKind::Category),
        source("b", ColumnKind::Number),
    ];

    assert_eq!(manifest.inputs(), expected);
    let inputs: Vec<f32> = manifest.golden_rows[0].inputs.iter().map(|input| input.0).collect();
    assert!(inputs[0].is_nan() && inputs[1..] == [1.0, f32::INFINITY, 0.5]);
}

#[test]
fn it_is_written_as_it_was_read() {
    let manifest = parse(&good()).unwrap();
    let written = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(Manifest::parse(&written).unwrap(), manifest);
}

/// Each case: where, what to put there, and what the error must say.
#[test]
fn what_contradicts_itself_is_refused_by_place() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/schema_version", json!(2), "schema_version 2, this version reads 1"),
        ("/schema_version", json!("1"), "schema_version"),
        ("/features", json!([]), "features: 0 columns"),
        ("/features/3/name", json!("a"), "features[3].name: \"a\" is there twice"),
        (
            "/features/3/source_column",
            json!("a"),
            "features[3]: columns of \"a\" are not next to each other",
        ),
        (
            "/features/1/source_column",
            json!("a"),
            "features[0]: \"a\" is both numeric and categorical",
        ),
        ("/features/2/category", json!("x"), "features[1]: category of \"h=\" is there twice"),
        ("/features/2/category", json!(""), "features[2].category: is empty text"),
        ("/features/2/description", json!("Other"), "features[1]: \"h\" has several descriptions"),
        ("/features/0/description", json!(" "), "features[0].description: is empty"),
        ("/features/0/source_column", json!(""), "is not a column name"),
        ("/features/0/source_column", json!("c".repeat(64)), "is not a column name"),
        ("/features/0/source_column", json!("a\u{0}"), "is not a column name"),
        ("/features/0/kind", json!("text"), "features[0].kind"),
        (
            "/features/0/kind",
            json!("one_hot"),
            "features[0]: a one-hot feature has a category and no median",
        ),
        (
            "/features/1/kind",
            json!("numeric"),
            "features[1]: a numeric feature has a median and no category",
        ),
        ("/scorecard/pdo", json!(0.0), "scorecard.pdo"),
        ("/scorecard/pdo", json!(-20.0), "scorecard.pdo"),
        ("/scorecard/target_odds", json!(0.0), "scorecard.target_odds"),
        ("/scorecard/target_score", json!(1e9), "scorecard.target_score"),
        ("/golden_rows", json!([]), "golden_rows: 0 rows"),
        (
            "/golden_rows/0/inputs",
            json!([1.0]),
            "golden_rows[0].inputs: has 1 values for 4 columns",
        ),
        (
            "/golden_rows/0/shap_values",
            json!([1.0]),
            "golden_rows[0].shap_values: has 1 values for 4 columns",
        ),
        ("/golden_rows/0/inputs/0", json!("nan"), "golden_rows[0].inputs[0]"),
        ("/golden_rows/0/inputs/0", json!(0.1), "golden_rows[0].inputs[0]"),
        ("/golden_rows/0/inputs/0", json!(1e300), "golden_rows[0].inputs[0]"),
        ("/golden_rows/0/probability", json!(1.5), "golden_rows[0].probability"),
        ("/golden_rows/0/raw_value", Value::Null, "golden_rows[0].raw_value"),
        ("/target/positive_class", json!(1), "target.positive_class"),
    ];

    for (place, value, expected) in cases {
        let mut manifest = good();
        *manifest.pointer_mut(place).expect(place) = value.clone();
        let error = parse(&manifest).expect_err(place).to_string();
        assert!(
            error.starts_with("manifest.json") && error.contains(expected),
            "{place} = {value}: {error}"
        );
    }
}

#[test]
fn unknown_and_missing_fields_are_refused_everywhere() {
    for place in [
        "",
        "/target",
        "/features/0",
        "/scorecard",
        "/training",
        "/files",
        "/files/model.onnx",
        "/golden_rows/0",
    ] {
        let mut manifest = good();
        manifest.pointer_mut(place).unwrap()["surprise"] = json!(1);
        let error = parse(&manifest).expect_err(place).to_string();
        assert!(error.contains("surprise"), "{place}: {error}");
    }

    for field in good().as_object().unwrap().keys() {
        let mut manifest = good();
        manifest.as_object_mut().unwrap().remove(field);
        assert!(parse(&manifest).is_err(), "{field}");
    }
}

#[test]
fn numbers_that_json_can_write_but_float64_not_are_refused() {
    let text = good().to_string().replace("\"raw_value\":0.0", "\"raw_value\":1e999");
    assert!(Manifest::parse(text.as_bytes()).is_err());
}

#[test]
fn whatever_is_no_json_of_this_schema_is_an_error() {
    let good = good().to_string();
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"schema_version\": 1}",
        &format!("{good} x"),
        &good[..good.len() - 1],
    ] {
        assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
    }

    assert!(Manifest::parse(&[0xff, 0xfe]).is_err());
    assert!(Artifact::open(b"").is_err());
}
