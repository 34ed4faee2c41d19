//! How well predicted probabilities agree with what happened.

use serde::Serialize;

use crate::interval::{BadCount, Interval};

/// Customers with similar predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationBand {
    /// Their number.
    pub known: u64,
    /// Those who went bad.
    pub bad: u64,
    /// Their mean predicted probability of bad.
    pub predicted: f64,
    /// The share of them that went bad, with its interval of 95 %.
    pub observed: Interval,
}

/// Bands of customers from the lowest to the highest prediction, all of about the same size. Equal
/// predictions are in one band, so there may be fewer bands than `bands`.
///
/// The bands are those of scikit-learn's `calibration_curve(strategy="quantile")`: their bounds are
/// the quantiles of the predictions, interpolated linearly, and a prediction that is equal to a
/// bound belongs to the band below it.
#[must_use]
pub fn calibration(predictions: &[(f64, bool)], bands: usize) -> Vec<CalibrationBand> {
    let mut sorted: Vec<f64> = predictions.iter().map(|(prediction, _)| *prediction).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };

    let step = 1.0 / bands as f64;
    let bounds: Vec<f64> =
        (1..bands).map(|band| quantile(&sorted, band as f64 * step * last as f64)).collect();
    let mut sums = vec![(BadCount::default(), 0.0); bands];
    for (prediction, bad) in predictions {
        let (count, sum) = &mut sums[bounds.partition_point(|bound| bound < prediction)];
        count.add(*bad);
        *sum += prediction;
    }

    let band = |(count, sum): (BadCount, f64)| {
        Some(CalibrationBand {
            known: count.known,
            bad: count.bad,
            predicted: sum / count.known as f64,
            observed: count.rate()?,
        })
    };
    sums.into_iter().filter_map(band).collect()
}

/// The Brier score: the mean squared distance of the prediction from what happened. `None` without
/// customers. Source: G. W. Brier, *Verification of forecasts expressed in terms of probability*,
/// Monthly Weather Review 78 (1950).
#[must_use]
pub fn brier_score(predictions: &[(f64, bool)]) -> Option<f64> {
    let distance =
        |(prediction, bad): &(f64, bool)| (prediction - f64::from(u8::from(*bad))).powi(2);
    let sum: f64 = predictions.iter().map(distance).sum();
    (!predictions.is_empty()).then(|| sum / predictions.len() as f64)
}

/// The value at a fractional position of a sorted list, as numpy interpolates it.
fn quantile(sorted: &[f64], position: f64) -> f64 {
    let below = position.floor();
    let part = position - below;
    let at = |position: usize| sorted[position.min(sorted.len() - 1)];
    let (low, high) = (at(below as usize), at(below as usize + 1));
    // The nearer end comes first, so that the result is between both whatever the rounding.
    if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) }
}
