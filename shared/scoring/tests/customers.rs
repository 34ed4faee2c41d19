//! A customer gets a score with reasons, or a referral that says why, whoever else is in the batch
//! (promise 9).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::float_cmp)]

mod support;

use limit_increase_artifact::Artifact;
use limit_increase_scoring::{Column, Frame, Model, RowOutcome};
use support::{frame, golden, inputs};

fn load(name: &str) -> (Artifact, Model) {
    let artifact = golden(name);
    let model = Model::load(&artifact).unwrap();
    (artifact, model)
}

/// One customer of the model `one_hot`, which reads a number, a home and a number.
fn customer(first: f64, home: Option<&str>, second: f64) -> Frame<'_> {
    let columns = vec![
        Column::Numbers(vec![first]),
        Column::Texts(vec![home]),
        Column::Numbers(vec![second]),
    ];

    Frame { columns, has_features: vec![true] }
}

fn referral(model: &Model, frame: &Frame<'_>) -> Option<String> {
    let batch = model.score(frame).unwrap();
    assert_eq!(
        model.predict(frame).unwrap()[0].is_none(),
        matches!(batch.row(0), RowOutcome::Referred(_))
    );

    match batch.row(0) {
        RowOutcome::Referred(reason) => Some(reason.to_owned()),
        RowOutcome::Scored(_) => None,
    }
}

#[test]
fn what_cannot_be_scored_is_referred_with_the_reason() {
    let (_, model) = load("one_hot");
    let missing = "is missing and the model was trained without missing values";
    let cases = [
        (
            "a missing number",
            customer(f64::NAN, Some("owner"), 0.0),
            Some(format!("column 0 {missing}")),
        ),
        (
            "an infinite number",
            customer(0.0, Some("owner"), f64::NEG_INFINITY),
            Some("column 5 is infinite".to_owned()),
        ),
        (
            "beyond float32",
            customer(1e39, Some("owner"), 0.0),
            Some("column 0 is outside the range that the model can read".to_owned()),
        ),
        (
            "an unknown category",
            customer(0.0, Some("Owner"), 0.0),
            Some("home is 'Owner', which the model does not know".to_owned()),
        ),
        (
            "the first of two",
            customer(f64::NAN, Some("castle"), 0.0),
            Some(format!("column 0 {missing}")),
        ),
        ("a known category", customer(0.0, Some("with parents"), 0.0), None),
        ("a missing category", customer(0.0, None, 0.0), None),
        ("an empty category", customer(0.0, Some(""), 0.0), None),
        ("the largest float32", customer(f64::from(f32::MAX), Some("owner"), 0.0), None),
    ];

    for (name, frame, expected) in cases {
        assert_eq!(referral(&model, &frame), expected, "{name}");
    }

    let mut none = customer(0.0, Some("owner"), 0.0);
    none.has_features = vec![false];
    assert_eq!(referral(&model, &none).as_deref(), Some("the customer has no features on record"));
}

#[test]
fn null_and_empty_text_are_one_category() {
    let (_, model) = load("one_hot");
    let [null, empty] =
        [None, Some("")].map(|home| model.predict(&customer(0.1, home, 0.2)).unwrap()[0].unwrap());
    assert_eq!(null, empty);
}

#[test]
fn a_missing_number_is_scored_where_the_model_knows_missing_values() {
    for name in ["nan_min", "nan_max"] {
        let (artifact, model) = load(name);
        let all_missing = vec![vec![f32::NAN; artifact.manifest.columns.len()]];
        assert_eq!(referral(&model, &frame(&artifact.manifest, &all_missing)), None, "{name}");
    }
}

#[test]
fn a_referred_customer_changes_nothing_for_the_others() {
    let (_, model) = load("one_hot");
    let numbers = |bad: f64| Column::Numbers(vec![0.1, bad, -0.3]);
    let homes = Column::Texts(vec![Some("owner"), Some("tenant"), None]);
    let with = |bad| Frame {
        columns: vec![numbers(bad), homes.clone(), numbers(0.5)],
        has_features: vec![true; 3],
    };

    let (good_frame, bad_frame) = (with(0.5), with(f64::INFINITY));
    let (good, bad) = (model.score(&good_frame).unwrap(), model.score(&bad_frame).unwrap());
    assert!(matches!(bad.row(1), RowOutcome::Referred(_)));
    for row in [0, 2] {
        let (RowOutcome::Scored(left), RowOutcome::Scored(right)) = (good.row(row), bad.row(row))
        else {
            panic!("row {row} is not scored")
        };

        assert_eq!((left.raw_value, left.shap_values), (right.raw_value, right.shap_values));
        assert_eq!(left.reasons(), right.reasons());
    }
}

#[test]
fn a_frame_of_other_columns_is_an_error_that_names_the_column() {
    let (_, model) = load("one_hot");
    let good = customer(0.0, None, 0.0);
    let mut swapped = good.clone();
    swapped.columns.swap(0, 1);
    let mut short = good.clone();
    short.columns.pop();
    let mut uneven = good;
    uneven.columns[2] = Column::Numbers(vec![0.0, 1.0]);
    for (frame, expected) in [(swapped, "\"x0\""), (short, "2 columns"), (uneven, "\"x5\"")] {
        let message = model.score(&frame).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(model.predict(&frame).unwrap_err().to_string(), message);
    }
}

/// The reasons are compared with the SHAP values, for every golden row of several models.
#[test]
fn reasons_are_what_took_most_points_worst_first() {
    for name in ["depth_2_trees_1000", "depth_6", "many_columns", "nan_min", "one_hot"] {
        let (artifact, model) = load(name);
        let rows: Vec<Vec<f32>> = artifact.manifest.golden_rows.iter().map(inputs).collect();
        let rows: Vec<Vec<f32>> =
            rows.into_iter().filter(|row| row.iter().all(|input| input.is_finite())).collect();
        let frame = frame(&artifact.manifest, &rows);
        let batch = model.score(&frame).unwrap();
        let factor = artifact.manifest.scorecard.pdo / std::f64::consts::LN_2;
        for row in 0..batch.len() {
            let RowOutcome::Scored(scored) = batch.row(row) else { panic!("{name}: row {row}") };
            let mut costs: Vec<(usize, f64)> = scored
                .shap_values
                .iter()
                .map(|value| factor * value)
                .enumerate()
                .filter(|(_, points)| *points > 0.0)
                .collect();
            // The sort is stable: of equal costs the earlier source stays first.
            costs.sort_by(|left, right| right.1.total_cmp(&left.1));
            let reasons = scored.reasons();
            assert_eq!(reasons.len(), costs.len().min(4), "{name}: row {row}");
            for ((text, points), (source, expected)) in reasons.iter().zip(costs) {
                assert!((points - expected).abs() < 1e-12, "{name}: row {row}: {text}");
                assert!(
                    text.starts_with(&model.inputs()[source].description),
                    "{name}: row {row}: {text}"
                );
            }
        }
    }
}

/// The texts of a customer's reasons.
fn texts(model: &Model, frame: &Frame<'_>) -> Vec<String> {
    let batch = model.score(frame).unwrap();
    let RowOutcome::Scored(scored) = batch.row(0) else { panic!("not scored") };
    scored.reasons().into_iter().map(|(text, _)| text).collect()
}

#[test]
fn reasons_say_how_the_value_compares_with_the_median() {
    // SHAP values do not depend on medians. So the same customer is scored with several medians.
    let good = golden("one_feature");
    let mut seen = Vec::new();
    for row in good
        .manifest
        .golden_rows
        .iter()
        .filter(|row| row.inputs[0].0.is_finite() && row.shap_values[0] > 0.0)
    {
        let value = row.inputs[0].0;
        for median in [
            Some(f64::from(value) - 1.0),
            Some(f64::from(value) + 1.0),
            Some(f64::from(value)),
            None,
        ] {
            let mut artifact = good.clone();
            artifact.manifest.columns[0].median = Some(median);
            artifact.manifest.columns[0].description = "Bureau score".to_owned();
            let found =
                texts(&Model::load(&artifact).unwrap(), &frame(&good.manifest, &[vec![value]]));
            let expected = match median {
                Some(median) if median as f32 > value => format!("Bureau score is low ({value})"),
                Some(median) if (median as f32) < value => {
                    format!("Bureau score is high ({value})")
                }
                _ => format!("Bureau score is {}", value + 0.0),
            };

            assert_eq!(found, [expected]);
            seen.push(median.is_some_and(|median| median as f32 != value));
        }
    }

    assert!(seen.contains(&true) && seen.contains(&false), "no row of the model costs points");
}

#[test]
fn reasons_name_categories_and_missing_values() {
    let (_, model) = load("one_hot");
    let homes = [Some("owner"), Some("tenant"), Some("with parents"), None];
    let mut found: Vec<String> =
        homes.iter().flat_map(|home| texts(&model, &customer(0.5, *home, 0.5))).collect();
    found.retain(|text| text.starts_with("Home"));
    assert!(!found.is_empty());
    let expected =
        ["Home is 'owner'", "Home is 'tenant'", "Home is 'with parents'", "Home is missing"];
    assert!(found.iter().all(|text| expected.contains(&text.as_str())), "{found:?}");
    let (artifact, model) = load("nan_max");
    let all_missing = vec![vec![f32::NAN; artifact.manifest.columns.len()]];
    let found = texts(&model, &frame(&artifact.manifest, &all_missing));
    assert!(
        !found.is_empty() && found.iter().all(|text| text.ends_with("is missing")),
        "{found:?}"
    );
}
