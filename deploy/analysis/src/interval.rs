//! Confidence intervals of 95 %.

use serde::Serialize;

/// The quantile of the standard normal distribution that an interval of 95 % needs: that of 0.975.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// A measured number, and the interval of 95 % around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The number itself.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// Counted customers and how many of them went bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BadCount {
    /// Customers whose outcome is known.
    pub known: u64,
    /// Those who went bad.
    pub bad: u64,
}

impl BadCount {
    /// Counts one more customer.
    pub fn add(&mut self, bad: bool) {
        self.known += 1;
        self.bad += u64::from(bad);
    }

    /// Adds the customers of another count.
    pub fn merge(&mut self, other: Self) {
        self.known += other.known;
        self.bad += other.bad;
    }

    /// The share of bad customers with its Wilson score interval; `None` without customers.
    ///
    /// With `p` = bad / n, the ends are
    /// `(p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`.
    /// Source: E. B. Wilson, *Probable inference, the law of succession, and statistical
    /// inference*, JASA 22 (1927); recommended for small shares by L. D. Brown, T. T. Cai and
    /// A. DasGupta, *Interval estimation for a binomial proportion*, Statistical Science 16 (2001).
    #[must_use]
    pub fn rate(self) -> Option<Interval> {
        if self.known == 0 {
            return None;
        }

        let n = self.known as f64;
        let share = self.bad as f64 / n;
        let z2 = Z * Z;
        let scale = 1.0 + z2 / n;
        let middle = (share + z2 / (2.0 * n)) / scale;
        let half = Z / scale * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        // The ends of 0 and of 1 are exact; the formula misses them by a rounding.
        let low = if self.bad == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if self.bad == self.known { 1.0 } else { (middle + half).min(1.0) };
        Some(Interval { value: share, low, high })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The values are those of statsmodels' `proportion_confint(method="wilson")`.
    #[test]
    fn wilson_s_interval_is_that_of_statsmodels() {
        let cases = [
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (10, 10, 0.722_467_200_137_110_6, 1.0),
            (5, 100, 0.021_543_679_154_367_966, 0.111_750_469_231_919_14),
            (81, 263, 0.255_288_519_878_274_2, 0.366_209_576_982_800_04),
        ];
        for (bad, known, low, high) in cases {
            let interval = BadCount { known, bad }.rate().unwrap();
            assert!((interval.low - low).abs() < 1e-12, "{bad}/{known}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-12, "{bad}/{known}: {interval:?}");
        }

        assert_eq!(BadCount::default().rate(), None);
    }
}
