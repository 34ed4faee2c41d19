//! Golden rows: CatBoost's own answers, repeated before a model is used.

use limit_increase_artifact::GoldenRow;

use crate::ensemble::Ensemble;
use crate::error::ScoringError;
use crate::explainer::Explainer;
use crate::kernel::Kernel;
use crate::operator::{Plan, Scores, probabilities};
use crate::tolerance::is_close;

/// Fails unless every figure of every golden row is what CatBoost said.
///
/// The rows are scored twice: by the kernel, with SHAP values per model column that are worked out
/// for each row, and by the plan that will score customers, with SHAP values per source from
/// tables.
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

    let mut scores = Scores::default();
    plan.run(width, &inputs, &mut scores)?;

    let sources = source_of.last().map_or(0, |last| last + 1);
    for (number, row) in rows.iter().enumerate() {
        let check_figure = |what: &str, found: f64, expected: f64| {
            if is_close(found, expected) {
                Ok(())
            } else {
                Err(ScoringError::Golden { row: number, what: what.to_owned(), found, expected })
            }
        };

        check_figure("raw value", raw[number], row.raw_value)?;
        check_figure("raw value from tract", scores.raw[number], row.raw_value)?;
        check_figure("probability", probabilities(raw[number])[1], row.probability)?;
        check_figure("probability from tract", scores.probability[number], row.probability)?;
        check_figure("base value", by_column.base_value(), row.base_value)?;

        let mut expected_by_source = vec![0.0; sources];
        let found_by_column = &shap[number * width..][..width];
        for (column, (found, expected)) in found_by_column.iter().zip(&row.shap_values).enumerate()
        {
            check_figure(&format!("SHAP value of column {column}"), *found, *expected)?;
            expected_by_source[source_of[column]] += expected;
        }

        let found_by_source = &scores.shap[number * sources..][..sources];
        for (source, (found, expected)) in
            found_by_source.iter().zip(&expected_by_source).enumerate()
        {
            check_figure(&format!("SHAP value of source {source}"), *found, *expected)?;
        }
    }

    Ok(())
}
