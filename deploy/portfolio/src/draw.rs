//! The random draws that the specification names: uniform, normal, exponential, category.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The stream of random numbers of one customer.
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    pub(super) fn new(seed: u64, customer: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(customer);
        Self(generator)
    }

    /// `U`: uniform on [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// `N`: standard normal, by the Box-Muller transform.
    pub(super) fn normal(&mut self) -> f64 {
        // 1 - U is above zero, so its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// `Exp(m)`: exponential with the mean `m`, by inverting the distribution function.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// The first category whose cumulative probability is above `U`, or `last` when there is none.
    pub(super) fn category<T: Copy>(&mut self, categories: &[(T, f64)], last: T) -> T {
        let drawn = self.uniform();
        let mut cumulative = 0.0;
        for (category, probability) in categories {
            cumulative += probability;
            if drawn < cumulative {
                return *category;
            }
        }

        last
    }
}

/// The logistic function, which turns log-odds into a probability.
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Rounds to a whole number, halves upwards.
pub(super) fn round(x: f64) -> f64 {
    (x + 0.5).floor()
}

/// Rounds to thousandths, halves upwards.
pub(super) fn round_3(x: f64) -> f64 {
    (x * 1000.0 + 0.5).floor() / 1000.0
}
