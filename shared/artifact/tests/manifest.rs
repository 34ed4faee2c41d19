//! A manifest that is malformed or contradicts itself is refused, and the error names the place
//! (promise 10).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashSet;

use limit_increase_artifact::{
    Artifact, ArtifactError, CategoryMatch, Direction, InputValue, MAX_GOLDEN_ROWS,
    MAX_PROFILED_INPUTS, Manifest, ModelInput, SpellingStep, normal_form,
};
use limit_increase_domain::{Bins, ColumnKind, SourceColumn};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{manifest, refusal, with_manifest};

#[test]
fn a_manifest_of_another_shape_is_refused_with_the_place() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 26] = [
        ("schema", |m| m["schema_version"] = json!(3), "schema_version 3"),
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

fn parse(manifest: &Value) -> Result<Manifest, ArtifactError> {
    Manifest::parse(manifest.to_string().as_bytes())
}

#[test]
fn a_good_manifest_names_its_sources_in_order() {
    let mut manifest = manifest();
    manifest["golden_rows"][0]["inputs"] = json!([null, 1, "inf", 0.5]);
    let manifest = parse(&manifest).unwrap();
    let source = |name: &str, kind| ModelInput {
        column: SourceColumn { name: name.into(), kind },
        description: name.to_uppercase(),
    };

    let expected = [
        source("a", ColumnKind::Number),
        source("b", ColumnKind::Category),
        source("c", ColumnKind::Number),
    ];

    assert_eq!(manifest.inputs(), expected);
    let inputs: Vec<f32> = manifest.golden_rows[0].inputs.iter().map(|input| input.0).collect();
    assert!(inputs[0].is_nan() && inputs[1..] == [1.0, f32::INFINITY, 0.5]);
}

#[test]
fn it_is_written_as_it_was_read() {
    let mut manifest = manifest();
    assert_eq!(parse(&manifest).unwrap().columns[0].monotone, None);
    manifest["features"][0]["monotone"] = json!(-1);
    let manifest = parse(&manifest).unwrap();
    assert_eq!(manifest.columns[0].monotone, Some(Direction::Falling));
    let written = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(Manifest::parse(&written).unwrap(), manifest);
}

/// Each case: where, what to put there, and what the error must say.
#[test]
fn what_contradicts_itself_is_refused_by_place() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/schema_version", json!(3), "schema_version 3, this version reads 1 to 2"),
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
        ("/features/2/category", json!("x"), "features[1]: category of \"b=\" is there twice"),
        ("/features/2/category", json!(""), "features[2].category: is empty text"),
        ("/features/2/description", json!("Other"), "features[1]: \"b\" has several descriptions"),
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
        (
            "/features/1/special",
            json!([{"value": -9.0, "meaning": "no record"}]),
            "features[1].special: only a numeric feature has special values",
        ),
        (
            "/features/0/special",
            json!([{"value": -9.0, "meaning": "a"}, {"value": -9, "meaning": "b"}]),
            "features[0].special: -9 is there twice",
        ),
        (
            "/features/0/special",
            json!([{"value": -9.0, "meaning": " "}]),
            "features[0].special: a meaning is empty",
        ),
        ("/features/0/special", json!([{"value": -9.0}]), "missing field `meaning`"),
        (
            "/features/1/monotone",
            json!(1),
            "features[1].monotone: only a numeric feature has a direction",
        ),
        ("/features/0/monotone", json!(0), "features[0].monotone: a direction is 1 or -1, found 0"),
        ("/features/0/monotone", json!(300), "features[0].monotone"),
        ("/features/0/monotone", json!("1"), "features[0].monotone"),
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
        (
            "/category_spelling",
            json!({"d": ["case"]}),
            "category_spelling: \"d\" is no column of categories",
        ),
        (
            "/category_spelling",
            json!({"a": ["case"]}),
            "category_spelling: \"a\" is no column of categories",
        ),
        (
            "/category_spelling",
            json!({"b": ["case", "booleans"]}),
            "category_spelling: the steps of \"b\" are not in their order",
        ),
        (
            "/category_spelling",
            json!({"b": ["case", "case"]}),
            "category_spelling: the steps of \"b\" are not in their order",
        ),
        ("/category_spelling", json!({"b": ["accents"]}), "unknown variant `accents`"),
    ];

    for (place, value, expected) in cases {
        let mut manifest = manifest();
        let (parent, name) = place.rsplit_once('/').expect(place);
        match manifest.pointer_mut(parent).expect(place) {
            Value::Array(list) => list[name.parse::<usize>().expect(place)] = value.clone(),
            parent => parent[name] = value.clone(),
        }
        let error = parse(&manifest).expect_err(place).to_string();
        assert!(
            error.starts_with("manifest.json") && error.contains(expected),
            "{place} = {value}: {error}"
        );
    }
}

/// Two categories that were learned apart are never one, and none is a missing value.
#[test]
fn a_spelling_that_makes_one_category_of_two_is_refused() {
    let merged = |left: &str, right: &str| format!("{left:?} and {right:?} would be one category");
    let missing = |text: &str| format!("{text:?} would be a missing value");
    let steps = ["trailing_blanks", "whole_numbers", "booleans", "case"];
    let cases = [
        ("M", "m", 3, None),
        ("M", "m", 4, Some(merged("M", "m"))),
        ("1", "1.0", 1, None),
        ("1", "1.0", 2, Some(merged("1", "1.0"))),
        ("1", "01", 4, None),
        ("t", "yes", 2, None),
        ("t", "yes", 3, Some(merged("t", "yes"))),
        ("rent", "rent ", 0, None),
        ("rent", "rent ", 1, Some(merged("rent", "rent "))),
        ("rent", "  ", 0, None),
        ("rent", "  ", 1, Some(missing("  "))),
        ("rent", " rent", 4, None),
    ];

    for (left, right, taken, expected) in cases {
        let mut manifest = manifest();
        manifest["features"][1]["category"] = json!(left);
        manifest["features"][2]["category"] = json!(right);
        manifest["category_spelling"] = json!({ "b": steps[..taken] });
        let error = parse(&manifest).err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(error, None, "{left:?}, {right:?} by {:?}", &steps[..taken]),
            Some(expected) => assert!(error.as_ref().unwrap().contains(&expected), "{error:?}"),
        }
    }
}

#[test]
fn a_value_is_the_category_that_it_means_and_without_a_rule_only_the_exact_one() {
    let found = |manifest: &Value, text: Option<&str>| {
        let inputs = parse(manifest).unwrap().inputs_with_categories();
        assert!(inputs[0].1.is_none() && inputs[2].1.is_none(), "a number has no categories");
        inputs[1].1.as_ref().unwrap().find(text)
    };
    let mut exact = manifest();
    exact["features"][1]["category"] = json!("True");
    let mut spelt = exact.clone();
    spelt["category_spelling"] = json!({ "b": ["trailing_blanks", "booleans"] });
    assert!(!exact.to_string().contains("spelling"));

    for (text, by_exact, by_spelling) in [
        (Some("True"), CategoryMatch::Known(0), CategoryMatch::Known(0)),
        (Some("true"), CategoryMatch::Unknown, CategoryMatch::Known(0)),
        (Some("t "), CategoryMatch::Unknown, CategoryMatch::Known(0)),
        (Some("false"), CategoryMatch::Unknown, CategoryMatch::Unknown),
        (Some(" "), CategoryMatch::Unknown, CategoryMatch::Missing),
        (Some(""), CategoryMatch::Missing, CategoryMatch::Missing),
        (None, CategoryMatch::Missing, CategoryMatch::Missing),
    ] {
        assert_eq!(found(&exact, text), by_exact, "{text:?}");
        assert_eq!(found(&spelt, text), by_spelling, "{text:?}");
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
        let mut manifest = manifest();
        manifest.pointer_mut(place).unwrap()["surprise"] = json!(1);
        let error = parse(&manifest).expect_err(place).to_string();
        assert!(error.contains("surprise"), "{place}: {error}");
    }

    for field in manifest().as_object().unwrap().keys() {
        let mut manifest = manifest();
        manifest.as_object_mut().unwrap().remove(field);
        assert!(parse(&manifest).is_err(), "{field}");
    }
}

#[test]
fn numbers_that_json_can_write_but_float64_not_are_refused() {
    let text = manifest().to_string().replace("\"raw_value\":0.0", "\"raw_value\":1e999");
    assert!(Manifest::parse(text.as_bytes()).is_err());
}

/// The manifest of version 2, with what its training has counted.
fn with_profile() -> Value {
    let mut manifest = manifest();
    manifest["schema_version"] = json!(2);
    manifest["profile"] = json!({
        "scores": {"bins": {"bounds": [600.0, 650.0]}, "rows": {"bins": [3, 4, 3]}},
        "inputs": [
            {"source_column": "a",
             "values": {"bins": {"bounds": [0.1]}, "rows": {"bins": [5, 4], "missing": 1}}},
            {"source_column": "b",
             "values": {"bins": {"categories": ["x"]}, "rows": {"bins": [9], "missing": 1}}},
        ],
    });
    manifest
}

#[test]
fn a_manifest_of_the_first_version_has_no_profile_and_one_of_the_second_has() {
    let old = Manifest::parse(manifest().to_string().as_bytes()).unwrap();
    assert_eq!(old.profile, None);

    let new = Manifest::parse(with_profile().to_string().as_bytes()).unwrap();
    let profile = new.profile.as_ref().unwrap();
    assert_eq!(profile.scores.rows.total(), 10);
    assert_eq!(profile.inputs[0].values.bins, Bins::Bounds(vec![0.1]));
    let written = serde_json::to_vec(&new).unwrap();
    assert_eq!(Manifest::parse(&written).unwrap(), new, "bounds come back bit by bit");
}

#[test]
fn a_profile_that_is_not_of_the_model_is_refused_by_place() {
    let input = |position: usize| with_profile()["profile"]["inputs"][position].clone();
    let many = vec![input(0); MAX_PROFILED_INPUTS + 1];
    let cases = [
        ("/schema_version", json!(1), "profile: is not a field of version 1"),
        ("/profile/scores/rows/bins", json!([1, 2]), "profile.scores: 2 counts for 3 bins"),
        ("/profile/scores/bins/bounds", json!([650.0, 600.0]), "profile.scores: the bounds"),
        ("/profile/scores", input(1)["values"].clone(), "profile.scores: are numbers"),
        ("/profile/inputs", json!(many), "201 inputs, at most 200"),
        ("/profile/inputs", json!([input(1), input(0)]), "profile.inputs[1]: \"a\" is no input"),
        ("/profile/inputs/0/source_column", json!("z"), "profile.inputs[0]: \"z\" is no input"),
        ("/profile/inputs/0/values", input(1)["values"].clone(), "not those of a number"),
        ("/profile/inputs/1/values/bins/categories", json!(["y"]), "\"y\" is no category"),
        ("/profile/inputs/1/values/rows/bins", json!([0]), "profile.inputs[1]"),
        ("/profile/inputs/1/values/rows/unseen", json!(1), "has an unseen value"),
    ];
    for (place, value, expected) in cases {
        let mut wrong = with_profile();
        *wrong.pointer_mut(place).unwrap_or(&mut json!(null)) = value.clone();
        if place == "/profile/inputs/1/values/rows/unseen" {
            wrong["profile"]["inputs"][1]["values"]["rows"]["unseen"] = value;
        } else if place == "/profile/inputs/1/values/rows/bins" {
            wrong["profile"]["inputs"][1]["values"]["rows"]["missing"] = json!(0);
        }

        let error = Manifest::parse(wrong.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{place}: {error}");
    }

    let mut without = with_profile();
    without.as_object_mut().unwrap().remove("profile");
    let error = Manifest::parse(without.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("profile: is missing in version 2"), "{error}");
}

#[test]
fn whatever_is_no_json_of_this_schema_is_an_error() {
    let good = manifest().to_string();
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

#[test]
fn inputs_are_written_as_they_are_read_and_equal_by_bits() {
    for json in ["null", "1.5", "\"inf\"", "\"-inf\"", "-0.0"] {
        let input: InputValue = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&input).unwrap(), json);
    }

    let different = [f32::NAN, 0.0, -0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY].map(InputValue);
    for (left, first) in different.iter().enumerate() {
        for (right, second) in different.iter().enumerate() {
            assert_eq!(first == second, left == right, "{first:?} and {second:?}");
        }
    }

    assert_eq!(InputValue(f32::NAN), InputValue(-f32::NAN));
    let read = |json| serde_json::from_str::<InputValue>(json).map(|input| input.0);
    assert_eq!(read("-3").unwrap().to_bits(), (-3.0_f32).to_bits());
    assert_eq!(read("3").unwrap().to_bits(), 3.0_f32.to_bits());
    for json in ["0.1", "\"nan\"", "true", "16777217", "-16777217"] {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains("a float32 number, null for NaN"), "{json}: {error}");
    }
}

#[test]
fn a_manifest_may_have_the_most_golden_rows_and_not_one_more() {
    let error = |manifest: &Value| parse(manifest).err().map(|error| error.to_string());
    let mut manifest = manifest();
    let row = manifest["golden_rows"][0].clone();
    manifest["golden_rows"] = vec![row.clone(); MAX_GOLDEN_ROWS].into();
    assert_eq!(error(&manifest), None);
    manifest["golden_rows"] = vec![row; MAX_GOLDEN_ROWS + 1].into();
    assert!(error(&manifest).unwrap().contains("golden_rows: 1001 rows"));
}

#[test]
fn a_source_column_may_have_the_longest_name_of_postgresql() {
    let mut manifest = manifest();
    manifest["features"][0]["source_column"] = json!("c".repeat(63));
    assert_eq!(parse(&manifest).unwrap().columns[0].source_column.len(), 63);
}

#[test]
fn the_largest_scorecard_is_accepted_and_a_larger_one_is_refused() {
    for (field, largest) in [("pdo", 1e6), ("target_score", 1e6), ("target_score", -1e6)] {
        let with = |value: f64| {
            let mut manifest = manifest();
            manifest["scorecard"][field] = json!(value);
            Artifact::open(&with_manifest(manifest.to_string().as_bytes()))
        };

        assert!(with(largest).is_ok(), "{field} {largest}");
        let refused = with(largest * 1.000_001).unwrap_err().to_string();
        assert!(refused.contains(&format!("scorecard.{field}")), "{refused}");
    }
}

#[test]
fn a_median_that_is_infinite_is_refused() {
    let text = manifest().to_string().replace("\"median\":1.0", "\"median\":1e999");
    assert!(text.contains("1e999"));
    assert!(refusal(&with_manifest(text.as_bytes())).contains("features[0].median"));
}

/// Texts that are close to each other in spelling.
fn some_category() -> impl Strategy<Value = String> {
    prop_oneof!["[Mm] {0,2}", "0?1(\\.0{1,2})?", "[Tt](rue)?", "[Yy](es)?", "\\PC{1,4}"]
}

proptest! {
    /// Whatever the categories are: a manifest that is taken scores each of them as itself, and no
    /// value could be two of them.
    #[test]
    fn a_manifest_that_is_taken_keeps_every_two_categories_apart(
        categories in proptest::collection::btree_set(some_category(), 2..6),
        steps in proptest::sample::subsequence(SpellingStep::ALL.to_vec(), 0..=4),
    ) {
        let mut manifest = manifest();
        let numeric = manifest["features"][0].clone();
        let column = |category: &String| json!({
            "name": format!("b={category}"), "kind": "one_hot", "source_column": "b",
            "description": "B", "category": category
        });
        let columns: Vec<Value> =
            std::iter::once(numeric).chain(categories.iter().map(column)).collect();
        let row = &mut manifest["golden_rows"][0];
        row["inputs"] = json!(vec![0.0; columns.len()]);
        row["shap_values"] = json!(vec![0.0; columns.len()]);
        manifest["features"] = json!(columns);
        manifest["category_spelling"] = json!({ "b": steps });

        let forms: HashSet<_> =
            categories.iter().map(|category| normal_form(&steps, category)).collect();
        let apart = forms.len() == categories.len() && !forms.contains("");
        let parsed = parse(&manifest);
        prop_assert_eq!(parsed.is_ok(), apart);
        if let Ok(manifest) = parsed {
            let inputs = manifest.inputs_with_categories();
            for (offset, category) in categories.iter().enumerate() {
                let found = inputs[1].1.as_ref().unwrap().find(Some(category));
                prop_assert_eq!(found, CategoryMatch::Known(offset));
            }
        }
    }
}
