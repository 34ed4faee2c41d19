//! How close two figures must be to count as the same figure.

/// The largest accepted difference, relative to the larger of the expected figure and one.
const TOLERANCE: f64 = 1e-9;

/// Whether a figure is the expected one within 1e-9 of it. NaN is close to nothing.
pub(crate) fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::is_close;

    #[test]
    fn differences_are_relative_above_one_and_absolute_below() {
        let cases = [
            (1.0, 1.0, true),
            (0.5e-9, 0.0, true),
            (2e-9, 0.0, false),
            (-2e-9, 0.0, false),
            (1000.0 + 0.5e-6, 1000.0, true),
            (1000.0 + 2e-6, 1000.0, false),
            (-1000.0 - 0.5e-6, -1000.0, true),
            (-1000.0 - 2e-6, -1000.0, false),
            (1.0, -1.0, false),
            (f64::NAN, 0.0, false),
            (0.0, f64::NAN, false),
            (f64::INFINITY, 0.0, false),
        ];

        for (found, expected, close) in cases {
            assert_eq!(is_close(found, expected), close, "{found} and {expected}");
        }
    }
}
