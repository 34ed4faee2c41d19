//! CatBoost's own answers, for models that cover the extremes of what it trains.
//! `training/make_golden_models.py` makes them.
//!
//! Loading a model repeats all rows of its manifest, with infinities and with missing values that
//! the model does not accept. Here the rows that a customer can have go through `Model::score` too,
//! and the largest differences are measured. Scoring also checks promise 13 on each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::float_cmp)]

mod support;

use limit_increase_artifact::{Artifact, GoldenRow};
use limit_increase_scoring::{Model, RowOutcome};
use support::{by_source, distance, frame, golden, golden_names, inputs};

const TOLERANCE: f64 = 1e-9;

/// The largest differences from CatBoost.
#[derive(Debug, Default, Clone, Copy)]
struct Differences {
    raw: f64,
    probability: f64,
    base: f64,
    shap: f64,
    rows: usize,
}

impl Differences {
    fn measure(artifact: &Artifact) -> Self {
        let model = Model::load(artifact).unwrap();
        let missing_allowed = support::Reference::read(&artifact.model_json).has_nan;
        let possible = |row: &&GoldenRow| {
            inputs(row)
                .iter()
                .zip(&missing_allowed)
                .all(|(input, nan)| input.is_finite() || (*nan && input.is_nan()))
        };

        let rows: Vec<&GoldenRow> = artifact.manifest.golden_rows.iter().filter(possible).collect();
        let values: Vec<Vec<f32>> = rows.iter().map(|row| inputs(row)).collect();
        let frame = frame(&artifact.manifest, &values);
        let batch = model.score(&frame).unwrap();
        let mut largest = Self { rows: rows.len(), ..Self::default() };
        for (at, expected) in rows.iter().enumerate() {
            let RowOutcome::Scored(found) = batch.row(at) else { panic!("row {at} is not scored") };
            largest.raw = largest.raw.max(distance(found.raw_value, expected.raw_value));
            largest.probability =
                largest.probability.max(distance(found.probability, expected.probability));
            largest.base = largest.base.max(distance(found.base_value, expected.base_value));
            for (found, expected) in
                found.shap_values.iter().zip(by_source(&artifact.manifest, &expected.shap_values))
            {
                largest.shap = largest.shap.max(distance(*found, expected));
            }
        }

        largest
    }

    fn largest(self) -> f64 {
        self.raw.max(self.probability).max(self.base).max(self.shap)
    }
}

#[test]
fn every_golden_model_gives_catboosts_figures() {
    let names = golden_names();
    // Without this, a lost model would go unnoticed.
    assert_eq!(names.len(), 25, "golden models: {names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let found = Differences::measure(&golden(&name));
        println!("{name}: {found:?}");
        assert!(found.rows >= 20, "{name}: only {} rows can be scored", found.rows);
        if found.largest() > TOLERANCE {
            wrong.push(format!("{name}: {found:?}"));
        }
    }

    assert!(wrong.is_empty(), "differs from CatBoost:\n{}", wrong.join("\n"));
}

#[test]
fn a_changed_golden_figure_is_refused() {
    let good = golden("depth_6");
    Model::load(&good).unwrap();
    type Change = (&'static str, fn(&mut GoldenRow));
    let changes: [Change; 4] = [
        ("raw value", |row| row.raw_value += 1e-7),
        ("probability", |row| row.probability += 1e-7),
        ("base value", |row| row.base_value += 1e-7),
        ("SHAP value", |row| row.shap_values[0] += 1e-7),
    ];

    for (what, change) in changes {
        let mut artifact = good.clone();
        change(&mut artifact.manifest.golden_rows[5]);
        let message = Model::load(&artifact).unwrap_err().to_string();
        assert!(message.contains("golden row 5") && message.contains(what), "{what}: {message}");
    }
}

#[test]
fn columns_in_another_order_give_the_same_values_in_that_order() {
    let [straight, permuted] = ["depth_6", "depth_6_permuted"].map(golden);
    let [straight_model, permuted_model] =
        [&straight, &permuted].map(|artifact| Model::load(artifact).unwrap());
    let names = |artifact: &Artifact| -> Vec<String> {
        artifact.manifest.columns.iter().map(|feature| feature.name.clone()).collect()
    };

    let place = |name: &String| names(&straight).iter().position(|other| other == name).unwrap();
    let order: Vec<usize> = names(&permuted).iter().map(place).collect();
    assert_ne!(order, (0..order.len()).collect::<Vec<_>>());
    let finite = |row: &Vec<f32>| row.iter().all(|input| input.is_finite());
    let rows: Vec<Vec<f32>> =
        straight.manifest.golden_rows.iter().map(inputs).filter(finite).collect();
    let moved: Vec<Vec<f32>> =
        rows.iter().map(|row| order.iter().map(|at| row[*at]).collect()).collect();
    let straight_frame = frame(&straight.manifest, &rows);
    let permuted_frame = frame(&permuted.manifest, &moved);
    let straight_batch = straight_model.score(&straight_frame).unwrap();
    let permuted_batch = permuted_model.score(&permuted_frame).unwrap();
    for row in 0..rows.len() {
        let (RowOutcome::Scored(left), RowOutcome::Scored(right)) =
            (straight_batch.row(row), permuted_batch.row(row))
        else {
            panic!("row {row} is not scored")
        };

        assert!(distance(left.raw_value, right.raw_value) <= TOLERANCE, "row {row}");
        for (at, source) in order.iter().enumerate() {
            assert!(
                distance(right.shap_values[at], left.shap_values[*source]) <= TOLERANCE,
                "row {row}, column {at}"
            );
        }
    }
}
