//! Golden rows: CatBoost's own answers, repeated before a model is used.

use limit_increase_artifact::GoldenRow;

use crate::ensemble::Ensemble;
use crate::error::ScoringError;
use crate::explainer::Explainer;
use crate::kernel::Kernel;
use crate::model::TOLERANCE;
use crate::operator::{Answers, Plan, probabilities};

/// Fails unless every figure of every golden row comes out as CatBoost said: per model column when played row by row,
/// and per source from the plan that will be used.
///
/// # Errors
/// The first figure that differs.
pub(crate) fn check(
    rows: &[GoldenRow],
    ensemble: &Ensemble,
    kernel: &Kernel,
    source_of: &[usize],
    plan: &Plan,
) -> Result<(), ScoringError> {
    let width = source_of.len();
    let inputs: Vec<f32> =
        rows.iter().flat_map(|row| row.inputs.iter().map(|input| input.0)).collect();
    let columns: Vec<usize> = (0..width).collect();
    let by_column = Explainer::new(ensemble, &columns, 0);
    let mut raw = vec![0.0; rows.len()];
    let mut shap = vec![0.0; rows.len() * width];
    kernel.explain(&by_column, &inputs, &mut raw, &mut shap);
    let mut answers = Answers::default();
    plan.run(width, &inputs, &mut answers)?;
    let sources = source_of.last().map_or(0, |last| last + 1);
    for (number, row) in rows.iter().enumerate() {
        let same = |what: &str, found: f64, expected: f64| {
            // Written so that a NaN is a difference.
            if (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0) {
                Ok(())
            } else {
                Err(ScoringError::Golden { row: number, what: what.to_owned(), found, expected })
            }
        };

        same("raw value", raw[number], row.raw_value)?;
        same("raw value from tract", answers.raw[number], row.raw_value)?;
        same("probability", probabilities(raw[number])[1], row.probability)?;
        same("probability from tract", answers.probability[number], row.probability)?;
        same("base value", by_column.base_value(), row.base_value)?;
        let mut expected_by_source = vec![0.0; sources];
        for (column, (found, expected)) in
            shap[number * width..][..width].iter().zip(&row.shap_values).enumerate()
        {
            same(&format!("SHAP value of column {column}"), *found, *expected)?;
            expected_by_source[source_of[column]] += expected;
        }

        let found_by_source = &answers.shap[number * sources..][..sources];
        for (source, (found, expected)) in
            found_by_source.iter().zip(&expected_by_source).enumerate()
        {
            same(&format!("SHAP value of source {source}"), *found, *expected)?;
        }
    }

    Ok(())
}
