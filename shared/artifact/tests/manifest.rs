//! What a manifest must be, and that a refusal names the place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::{manifest, refusal, with_manifest};

#[test]
fn a_manifest_of_another_shape_is_refused_with_the_place() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 26] = [
        ("schema", |m| m["schema_version"] = json!(2), "schema_version 2"),
        (
            "no schema",
            |m| drop(m.as_object_mut().unwrap().remove("schema_version")),
            "schema_version",
        ),
        ("unknown field", |m| m["colour"] = json!(1), "unknown field `colour`"),
        ("unknown inner field", |m| m["scorecard"]["pdq"] = json!(1), "scorecard"),
        (
            "missing field",
            |m| drop(m.as_object_mut().unwrap().remove("target")),
            "missing field `target`",
        ),
        ("no features", |m| m["features"] = json!([]), "features: 0 columns"),
        (
            "name twice",
            |m| m["features"][3]["name"] = json!("a"),
            "features[3].name: \"a\" is there twice",
        ),
        (
            "group apart",
            |m| m["features"].as_array_mut().unwrap().swap(2, 3),
            "not next to each other",
        ),
        (
            "both kinds",
            |m| m["features"][0]["source_column"] = json!("b"),
            "both numeric and categorical",
        ),
        (
            "numeric group",
            |m| {
                m["features"][3] = json!({"name": "d", "kind": "numeric", "source_column": "c", "description": "C",
            "median": null, "category": "x"});
            },
            "features[3]",
        ),
        ("category twice", |m| m["features"][2]["category"] = json!("x"), "is there twice"),
        ("empty category", |m| m["features"][1]["category"] = json!(""), "features[1].category"),
        (
            "no category",
            |m| drop(m["features"][1].as_object_mut().unwrap().remove("category")),
            "features[1]",
        ),
        (
            "no median",
            |m| drop(m["features"][0].as_object_mut().unwrap().remove("median")),
            "features[0]",
        ),
        ("median of a category", |m| m["features"][1]["median"] = json!(1.0), "features[1]"),
        (
            "two descriptions",
            |m| m["features"][2]["description"] = json!("Z"),
            "several descriptions",
        ),
        (
            "no description",
            |m| m["features"][0]["description"] = json!(" "),
            "features[0].description",
        ),
        (
            "no column name",
            |m| m["features"][0]["source_column"] = json!(""),
            "features[0].source_column",
        ),
        ("pdo", |m| m["scorecard"]["pdo"] = json!(0.0), "scorecard.pdo"),
        ("odds", |m| m["scorecard"]["target_odds"] = json!(-30.0), "scorecard.target_odds"),
        ("target", |m| m["scorecard"]["target_score"] = json!(1e300), "scorecard.target_score"),
        ("no golden rows", |m| m["golden_rows"] = json!([]), "golden_rows: 0 rows"),
        (
            "inputs",
            |m| m["golden_rows"][0]["inputs"] = json!([1.0]),
            "golden_rows[0].inputs: has 1 values for 4",
        ),
        (
            "shap",
            |m| m["golden_rows"][0]["shap_values"] = json!([1.0]),
            "golden_rows[0].shap_values",
        ),
        (
            "not float32",
            |m| m["golden_rows"][0]["inputs"][0] = json!(0.1),
            "golden_rows[0].inputs[0]",
        ),
        (
            "probability",
            |m| m["golden_rows"][0]["probability"] = json!(1.5),
            "golden_rows[0].probability",
        ),
    ];

    for (name, change, expected) in cases {
        let mut manifest = manifest();
        change(&mut manifest);
        let message = refusal(&with_manifest(manifest.to_string().as_bytes()));
        assert!(
            message.contains("manifest.json") && message.contains(expected),
            "{name}: {message}"
        );
    }

    let trailing = format!("{} {{}}", manifest());
    assert!(refusal(&with_manifest(trailing.as_bytes())).contains("manifest.json"));
    let endless = manifest().to_string().replacen("\"raw_value\":0.0", "\"raw_value\":1e999", 1);
    assert!(refusal(&with_manifest(endless.as_bytes())).contains("golden_rows[0]"));
}
