//! Bands of scores and of limits, by which decisions are counted.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Serialize;

/// The width of a band of scores, in points.
const SCORE_WIDTH: i32 = 20;
/// Scores below the first number, and from the second one on, are in one band each.
const SCORES: (i32, i32) = (0, 1_000);
/// The lower bounds of the bands of limits, in hundreds of the currency.
const LIMITS: [u32; 13] = [0, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000];

/// A band of numbers, from `from` to below `to`. An end that is missing is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Band {
    /// The lower bound, which belongs to the band.
    pub from: Option<i64>,
    /// The upper bound, which does not.
    pub to: Option<i64>,
}

impl Band {
    /// The band of a score.
    #[must_use]
    pub fn of_score(points: i32) -> Self {
        let (low, high) = SCORES;
        if points < low {
            return Self { from: None, to: Some(low.into()) };
        }

        if points >= high {
            return Self { from: Some(high.into()), to: None };
        }

        let from = points - points % SCORE_WIDTH;
        Self { from: Some(from.into()), to: Some((from + SCORE_WIDTH).into()) }
    }

    /// The band of a limit.
    #[must_use]
    pub fn of_limit(limit: Decimal) -> Self {
        let hundreds = (limit / Decimal::ONE_HUNDRED).floor().to_u32().unwrap_or(0);
        let above = LIMITS.partition_point(|from| *from <= hundreds);
        let bound = |at: usize| LIMITS.get(at).map(|hundreds| i64::from(*hundreds) * 100);
        Self { from: above.checked_sub(1).and_then(bound), to: bound(above) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(from: Option<i64>, to: Option<i64>) -> Band {
        Band { from, to }
    }

    #[test]
    fn a_score_on_a_bound_belongs_to_the_band_above() {
        let cases = [
            (639, band(Some(620), Some(640))),
            (640, band(Some(640), Some(660))),
            (0, band(Some(0), Some(20))),
            (-1, band(None, Some(0))),
            (999, band(Some(980), Some(1_000))),
            (1_000, band(Some(1_000), None)),
            (i32::MAX, band(Some(1_000), None)),
            (i32::MIN, band(None, Some(0))),
        ];
        for (points, expected) in cases {
            assert_eq!(Band::of_score(points), expected, "{points}");
        }
    }

    #[test]
    fn a_limit_on_a_bound_belongs_to_the_band_above() {
        let cases = [
            ("0.00", band(Some(0), Some(500))),
            ("499.99", band(Some(0), Some(500))),
            ("500.00", band(Some(500), Some(1_000))),
            ("1999.99", band(Some(1_000), Some(2_000))),
            ("99999999.99", band(Some(5_000_000), None)),
        ];
        for (limit, expected) in cases {
            let limit: Decimal = limit.parse().unwrap_or_default();
            assert_eq!(Band::of_limit(limit), expected, "{limit}");
        }
    }

    #[test]
    fn bands_sort_from_the_lowest() {
        let mut bands = [1_000, 20, -5, 640].map(Band::of_score);
        bands.sort();
        assert_eq!(bands, [-5, 20, 640, 1_000].map(Band::of_score));
    }
}
