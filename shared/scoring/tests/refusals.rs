//! Models that are of another kind, damaged, or made of two models are refused, with what to do
//! about it (promise 10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::float_cmp, clippy::print_stdout)]

mod support;

use std::sync::LazyLock;

use limit_increase_artifact::{Artifact, Direction};
use limit_increase_scoring::Model;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{distance, frame, golden, golden_directory, inputs};

static GOOD: LazyLock<Artifact> = LazyLock::new(|| golden("depth_1"));
static SMALLEST: LazyLock<Artifact> = LazyLock::new(smallest);

fn refusal(artifact: &Artifact) -> String {
    match Model::load(artifact) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

/// The good artifact with a change to its `model.json`.
fn with_json(change: impl FnOnce(&mut Value)) -> Artifact {
    let mut model: Value = serde_json::from_slice(&GOOD.model_json).unwrap();
    change(&mut model);
    Artifact { model_json: model.to_string().into_bytes(), ..GOOD.clone() }
}

#[test]
fn other_kinds_of_models_are_refused_with_what_to_do_instead() {
    let cases = [
        ("lossguide", "not symmetric", "grow_policy=SymmetricTree"),
        ("depthwise", "not symmetric", "grow_policy=SymmetricTree"),
        ("categorical", "categorical features", "one-hot"),
        ("multiclass", "several classes", "loss_function=Logloss"),
    ];

    for (name, found, instead) in cases {
        let path = golden_directory().join(format!("refused/{name}.json"));
        let message =
            refusal(&Artifact { model_json: std::fs::read(path).unwrap(), ..GOOD.clone() });
        assert!(message.contains(found) && message.contains(instead), "{name}: {message}");
    }
}

#[test]
fn a_model_json_that_is_not_the_onnx_or_contradicts_itself_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 20] = [
        (
            "a leaf value",
            |m| nudge(&mut m["oblivious_trees"][7]["leaf_values"][1]),
            "tree 7 leaf 1",
        ),
        (
            "a split's border",
            |m| m["oblivious_trees"][3]["splits"][0]["border"] = json!(0.123),
            "none of its borders",
        ),
        ("another border of the column", another_border, "asks another question"),
        (
            "leaf weights",
            |m| m["oblivious_trees"][3]["leaf_weights"][0] = json!(1e6),
            "golden row 0",
        ),
        ("a bias", |m| m["scale_and_bias"] = json!([1, [0.5]]), "model.onnx"),
        ("a scale", |m| m["scale_and_bias"] = json!([1.5, [0]]), "leaf 0 has the value"),
        (
            "a tree less",
            |m| drop(m["oblivious_trees"].as_array_mut().unwrap().pop()),
            "more than the 59 trees",
        ),
        ("a tree more", one_more_tree, "it ends within tree 60"),
        ("treatment of missing values", treat_as_true, "missing values another way"),
        ("unknown treatment", |m| treatment(m, "AsZero"), "AsZero"),
        ("a column's name", |m| feature(m)["feature_id"] = json!("income"), "\"x0\""),
        ("a column's place", |m| feature(m)["flat_feature_index"] = json!(1), "float feature 0"),
        ("a column less", a_column_less, "the manifest 4"),
        ("falling borders", |m| feature(m)["borders"] = json!([2.0, 1.0]), "not finite and rising"),
        (
            "leaf values cut",
            |m| m["oblivious_trees"][0]["leaf_values"] = json!([1.0]),
            "1 leaf values for 2 leaves",
        ),
        (
            "no leaf weights",
            |m| m["oblivious_trees"][0]["leaf_weights"] = json!([]),
            "0 leaf weights for 2 leaves",
        ),
        (
            "text features",
            |m| m["features_info"]["text_features"] = json!([{}, {}]),
            "2 text features; encode them",
        ),
        (
            "embeddings",
            |m| m["features_info"]["embedding_features"] = json!([{}]),
            "a column of its own",
        ),
        ("no trees", |m| m["oblivious_trees"] = json!([]), "no trees"),
        (
            "no training rows",
            |m| m["oblivious_trees"][0]["leaf_weights"] = json!([0, 0]),
            "no training row",
        ),
    ];

    for (name, change, expected) in cases {
        let message = refusal(&with_json(change));
        assert!(message.contains(expected), "{name}: {message}");
    }

    let too_deep = refusal(&with_json(|model| {
        let split = model["oblivious_trees"][0]["splits"][0].clone();
        model["oblivious_trees"][0]["splits"] = Value::Array(vec![split; 17]);
    }));

    assert!(too_deep.contains("depth 17") && too_deep.contains("depth up to 16"), "{too_deep}");
    // JSON can write numbers that are too large for float64.
    let text = String::from_utf8(
        with_json(|model| model["oblivious_trees"][0]["leaf_values"][0] = json!(0.5)).model_json,
    );

    let overflow = text.unwrap().replacen("\"leaf_values\":[0.5", "\"leaf_values\":[1e999", 1);
    assert!(overflow.contains("1e999"));
    refusal(&Artifact { model_json: overflow.into_bytes(), ..GOOD.clone() });
}

#[test]
fn a_direction_that_the_trees_do_not_keep_is_refused_with_column_tree_and_leaves() {
    let good = golden("monotone");
    Model::load(&good).unwrap();
    let promised: Vec<Option<Direction>> =
        good.manifest.columns.iter().map(|column| column.monotone).collect();
    assert_eq!(promised, [Some(Direction::Rising), None, Some(Direction::Falling)]);

    for (column, flipped, words) in [
        (0, Direction::Falling, "-1, which never raises"),
        (2, Direction::Rising, "+1, which never"),
    ] {
        let mut artifact = good.clone();
        artifact.manifest.columns[column].monotone = Some(flipped);
        let message = refusal(&artifact);
        assert!(message.contains(&format!("\"x{column}\" is monotone ({words}")), "{message}");
        assert!(message.contains("but tree ") && message.contains(": leaf "), "{message}");
        assert!(message.contains("--monotone"), "{message}");
    }

    // The column in the middle keeps no direction.
    for direction in [Direction::Rising, Direction::Falling] {
        let mut artifact = good.clone();
        artifact.manifest.columns[1].monotone = Some(direction);
        assert!(refusal(&artifact).contains("\"x1\" is monotone"));
    }

    // Nothing was promised, so nothing is refused.
    let mut artifact = good.clone();
    artifact.manifest.columns.iter_mut().for_each(|column| column.monotone = None);
    Model::load(&artifact).unwrap();
}

fn nudge(value: &mut Value) {
    *value = json!(value.as_f64().unwrap() * (1.0 + 1e-5) + 1e-5);
}

fn feature(model: &mut Value) -> &mut Value {
    &mut model["features_info"]["float_features"][0]
}

fn treatment(model: &mut Value, treatment: &str) {
    for feature in model["features_info"]["float_features"].as_array_mut().unwrap() {
        feature["nan_value_treatment"] = json!(treatment);
    }
}

fn treat_as_true(model: &mut Value) {
    treatment(model, "AsTrue");
}

fn another_border(model: &mut Value) {
    let split = &model["oblivious_trees"][3]["splits"][0];
    let column = split["float_feature_index"].as_u64().unwrap() as usize;
    let borders = model["features_info"]["float_features"][column]["borders"].as_array().unwrap();
    let other = borders.iter().find(|border| **border != split["border"]).unwrap().clone();
    model["oblivious_trees"][3]["splits"][0]["border"] = other;
}

fn one_more_tree(model: &mut Value) {
    let trees = model["oblivious_trees"].as_array_mut().unwrap();
    trees.push(trees[0].clone());
}

fn a_column_less(model: &mut Value) {
    model["features_info"]["float_features"].as_array_mut().unwrap().pop();
}

#[test]
fn an_onnx_of_another_model_is_refused() {
    for other in ["one_feature", "depth_6", "depth_2_trees_1000", "nan_max"] {
        let message = refusal(&Artifact { onnx: golden(other).onnx, ..GOOD.clone() });
        assert!(
            message.contains("model.onnx") && message.contains("train.py"),
            "{other}: {message}"
        );
    }

    for content in [&b""[..], b"onnx", &[0xff; 100]] {
        assert!(
            refusal(&Artifact { onnx: content.to_vec(), ..GOOD.clone() }).contains("model.onnx")
        );
    }
}

#[test]
fn a_leaf_or_border_changed_in_the_onnx_is_refused() {
    let model: Value = serde_json::from_slice(&GOOD.model_json).unwrap();
    let leaf = model["oblivious_trees"][20]["leaf_values"][1].as_f64().unwrap() as f32;
    let border = model["oblivious_trees"][20]["splits"][0]["border"].as_f64().unwrap() as f32;
    for (what, value) in [("leaf", leaf), ("border", border)] {
        let mut onnx = GOOD.onnx.clone();
        let found: Vec<usize> =
            (0..onnx.len() - 4).filter(|at| onnx[*at..*at + 4] == value.to_le_bytes()).collect();
        assert!(!found.is_empty(), "{what}: {value} is not in the ONNX as it is");
        onnx[found[0]..found[0] + 4].copy_from_slice(&(value * 1.01).to_le_bytes());
        let message = refusal(&Artifact { onnx, ..GOOD.clone() });
        assert!(message.contains("not the model of model.json"), "{what}: {message}");
    }
}

/// An artifact without the parts that are not read. It is so small that every bit can be tried.
fn smallest() -> Artifact {
    let mut artifact = golden("stumps");
    let mut model: Value = serde_json::from_slice(&artifact.model_json).unwrap();
    model.as_object_mut().unwrap().remove("model_info");
    artifact.model_json = model.to_string().into_bytes();
    artifact.onnx = without_metadata(&artifact.onnx);
    artifact
}

/// The ONNX without its metadata: protobuf fields 14 of the outermost message.
fn without_metadata(onnx: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), onnx);
    while let Some(key) = rest.first() {
        let number = |bytes: &[u8]| {
            let length = 1 + bytes.iter().position(|byte| *byte < 0x80).unwrap();
            let value = bytes[..length]
                .iter()
                .rev()
                .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
            (length, value)
        };

        let (length, value) = number(&rest[1..]);
        // The field is a whole number, or bytes with their length before them.
        let field = if key & 7 == 0 { 1 + length } else { 1 + length + value };
        if key >> 3 != 14 {
            kept.extend_from_slice(&rest[..field]);
        }

        rest = &rest[field..];
    }

    kept
}

/// This program, tract and the protobuf decoder do not panic, and a model that still loads gives
/// CatBoost's figures.
#[test]
fn every_flipped_bit_of_the_model_is_refused_or_changes_no_figure() {
    let good = &*SMALLEST;
    let rows = &good.manifest.golden_rows;
    let inputs: Vec<Vec<f32>> =
        rows.iter().map(inputs).filter(|row| row.iter().all(|x| x.is_finite())).collect();
    let frame = frame(&good.manifest, &inputs);
    let expected = Model::load(good).unwrap().predict(&frame).unwrap();
    let (mut refused, mut loaded) = (0, 0);
    for in_onnx in [true, false] {
        let content = |artifact: &Artifact| {
            if in_onnx { artifact.onnx.len() } else { artifact.model_json.len() }
        };

        for at in 0..content(good) {
            for bit in 0..8 {
                let mut artifact = good.clone();
                let content = if in_onnx { &mut artifact.onnx } else { &mut artifact.model_json };
                content[at] ^= 1_u8 << bit;
                let Ok(model) = Model::load(&artifact) else {
                    refused += 1;
                    continue;
                };

                loaded += 1;
                for (found, expected) in model.predict(&frame).unwrap().iter().zip(&expected) {
                    let (found, expected) = (found.unwrap().raw_value, expected.unwrap().raw_value);
                    assert!(
                        distance(found, expected) <= 1e-9,
                        "byte {at}, bit {bit}: {found} for {expected}"
                    );
                }
            }
        }
    }

    println!("{refused} refused, {loaded} loaded with the same figures");
    assert!(refused > loaded);
}

/// Replaces the part of a document at this path.
fn mutate(value: &mut Value, path: &[usize], with: &Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = with.clone();
        return;
    };

    let inner = match value {
        Value::Array(all) if !all.is_empty() => {
            let at = first % all.len();
            all.get_mut(at)
        }
        Value::Object(all) if !all.is_empty() => {
            let at = first % all.len();
            all.values_mut().nth(at)
        }
        _ => None,
    };

    match inner {
        Some(inner) => mutate(inner, rest, with),
        None => *value = with.clone(),
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], null, 0])),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        (-2_i64..70_000).prop_map(|number| json!(number)),
        ".{0,8}".prop_map(Value::String),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A model with a changed bit is refused, or gives CatBoost's figures for its golden rows.
    #[test]
    fn flipped_bits_never_panic(at in any::<prop::sample::Index>(), bit in 0..8, in_onnx in any::<bool>()) {
        let mut artifact = GOOD.clone();
        let content = if in_onnx { &mut artifact.onnx } else { &mut artifact.model_json };
        let at = at.index(content.len());
        content[at] ^= 1_u8 << bit;
        let _ = Model::load(&artifact);
    }

    /// The changes that an attacker would try: parts removed, doubled, moved or replaced anywhere.
    #[test]
    fn parts_moved_about_never_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, any::<prop::sample::Index>(), 0..3), 1..4),
        in_onnx in any::<bool>()
    ) {
        let mut artifact = SMALLEST.clone();
        let content = if in_onnx { &mut artifact.onnx } else { &mut artifact.model_json };
        for (from, length, to, how) in cuts {
            let from = from.index(content.len());
            let part: Vec<u8> = content[from..].iter().take(length).copied().collect();
            if how == 0 {
                content.drain(from..from + part.len());
            }

            let to = to.index(content.len());
            if how == 2 {
                let end = content.len().min(to + part.len());
                content.splice(to..end, part);
            } else {
                content.splice(to..to, part);
            }
        }

        let _ = Model::load(&artifact);
    }

    #[test]
    fn cut_and_random_content_is_refused(
        keep in any::<prop::sample::Index>(), tail in prop::collection::vec(any::<u8>(), 0..200), in_onnx in any::<bool>()
    ) {
        let mut artifact = GOOD.clone();
        let content = if in_onnx { &mut artifact.onnx } else { &mut artifact.model_json };
        let keep = keep.index(content.len() / 2);
        content.truncate(keep);
        content.extend(tail);
        prop_assert!(Model::load(&artifact).is_err());
    }

    #[test]
    fn anything_anywhere_in_model_json_never_panics(path in prop::collection::vec(0_usize..100, 0..6), with in anything()) {
        let _ = Model::load(&with_json(|model| mutate(model, &path, &with)));
    }

    /// A caller can build the public manifest without parsing it.
    #[test]
    fn golden_rows_of_any_numbers_never_panic(
        row in 0_usize..20, raw in any::<f64>(), input in any::<f32>(), shap in any::<f64>()
    ) {
        let mut artifact = GOOD.clone();
        let golden = &mut artifact.manifest.golden_rows[row];
        golden.raw_value = raw;
        golden.inputs[0].0 = input;
        golden.shap_values[0] = shap;
        let _ = Model::load(&artifact);
    }
}
