//! One value of each part of a source, the nearest first.

use limit_increase_scoring::{Column, Partition};

use super::Change;
use super::may_move::{Movement, Unmoved};

/// A value to try.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Candidate {
    /// A number.
    Number {
        to: f64,
        /// The ends of its part, as in [`Change::Number`].
        above: Option<f32>,
        at_most: Option<f32>,
        /// How far it is from the customer's value.
        distance: f64,
    },
    /// A category.
    Category(String),
}

impl Candidate {
    pub(super) const fn number(&self) -> Option<f64> {
        match self {
            Self::Number { to, .. } => Some(*to),
            Self::Category(_) => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Number { .. } => None,
            Self::Category(name) => Some(name),
        }
    }

    /// The change from the customer's value to this one.
    pub(super) fn change(&self, value: &Column<'_>) -> Change {
        match (self, value) {
            (Self::Number { to, above, at_most, .. }, Column::Numbers(from)) => {
                Change::Number { from: from[0], to: *to, above: *above, at_most: *at_most }
            }
            (candidate, value) => {
                let from = match value {
                    Column::Texts(from) => from[0].filter(|text| !text.is_empty()),
                    Column::Numbers(_) => None,
                };
                let to = candidate.text().unwrap_or_default().to_owned();
                Change::Category { from: from.map(str::to_owned), to }
            }
        }
    }
}

/// The values to try in place of the customer's own, the nearest first.
///
/// # Errors
/// Why the source is not moved.
pub(super) fn candidates(
    value: &Column<'_>,
    partition: &Partition,
    special: &[f64],
    movement: Movement,
) -> Result<Vec<Candidate>, Unmoved> {
    let rises_only = match movement {
        Movement::Free => false,
        Movement::RisesOnly => true,
        Movement::None(why) => return Err(why),
    };

    match (value, partition) {
        (Column::Numbers(values), Partition::Thresholds(thresholds)) => {
            let now = values[0];
            if now.is_nan() || special.contains(&now) {
                return Err(Unmoved::Missing);
            }
            if thresholds.is_empty() {
                return Err(Unmoved::Unused);
            }
            Ok(numbers(now, thresholds, special, rises_only))
        }
        (Column::Texts(values), Partition::Categories(names)) => {
            let other = |name: &&String| Some(name.as_str()) != values[0];
            Ok(names.iter().filter(other).cloned().map(Candidate::Category).collect())
        }
        // A frame of another model is refused when it is scored.
        _ => Ok(Vec::new()),
    }
}

/// One number of each part but the customer's own: the one that is nearest to the customer's.
fn numbers(now: f64, thresholds: &[f32], special: &[f64], rises_only: bool) -> Vec<Candidate> {
    let steps = Steps::of(now, thresholds);
    let own = thresholds.partition_point(|threshold| now as f32 > *threshold);
    let part = |part: usize| {
        let above = part.checked_sub(1).map(|below| thresholds[below]);
        (above, thresholds.get(part).copied())
    };

    let rising = (own + 1..=thresholds.len()).filter_map(|number| {
        let (above, at_most) = part(number);
        let to = lowest(above?, at_most, steps, special)?;
        Some(Candidate::Number { to, above, at_most, distance: to - now })
    });
    let falling = (0..own).rev().filter(|_| !rises_only).filter_map(|number| {
        let (above, at_most) = part(number);
        let to = highest(above, at_most?, steps, special)?;
        Some(Candidate::Number { to, above, at_most, distance: now - to })
    });

    let distance = |candidate: &Candidate| match candidate {
        Candidate::Number { distance, .. } => *distance,
        Candidate::Category(_) => f64::INFINITY,
    };
    let mut all: Vec<Candidate> = rising.chain(falling).collect();
    all.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
    all
}

/// The decimals with which a number is named, so that 0.663 is told and not 0.66349995.
#[derive(Debug, Clone, Copy)]
struct Steps {
    /// 10 to the power of the decimals.
    scale: f64,
}

impl Steps {
    /// More decimals than a float32 tells apart are no reading aid.
    const MOST_DECIMALS: usize = 6;

    /// As many decimals as the customer's number has, or as the numbers of the training rows had.
    /// CatBoost puts a threshold half-way between two of those, so most have one decimal more.
    fn of(now: f64, thresholds: &[f32]) -> Self {
        let mut counts = [0_usize; 16];
        for threshold in thresholds {
            counts[decimals(&threshold.to_string()).min(15)] += 1;
        }
        let most = counts.iter().max().copied().unwrap_or_default();
        let usual = counts.iter().position(|count| *count == most).unwrap_or_default();
        let own = decimals(&(now as f32).to_string());
        let count = own.max(usual.saturating_sub(1)).min(Self::MOST_DECIMALS);
        Self { scale: 10_f64.powi(count as i32) }
    }

    /// The first number with these decimals above a threshold, and those that follow.
    fn above(self, threshold: f32) -> impl Iterator<Item = f64> {
        let first = (f64::from(threshold) * self.scale).floor() + 1.0;
        std::iter::successors(Some(first), |number| Some(number + 1.0))
            .map(move |number| number / self.scale)
    }

    /// The last number with these decimals that is not above a threshold, and those before it.
    fn up_to(self, threshold: f32) -> impl Iterator<Item = f64> {
        let last = (f64::from(threshold) * self.scale).floor();
        std::iter::successors(Some(last), |number| Some(number - 1.0))
            .map(move |number| number / self.scale)
    }
}

/// The digits after the point of a number as it is written.
fn decimals(written: &str) -> usize {
    written.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// The lowest number of a part, with the decimals of its column if the part has such a number. The
/// model compares in float32, so otherwise it is the next one of these.
fn lowest(above: f32, at_most: Option<f32>, steps: Steps, special: &[f64]) -> Option<f64> {
    let fits = |to: &f64| {
        let single = *to as f32;
        single > above && single.is_finite() && at_most.is_none_or(|end| single <= end)
    };
    let exact = std::iter::successors(Some(above.next_up()), |to| Some(to.next_up()));
    nearest(steps.above(above), exact.map(f64::from), fits, special)
}

/// The highest number of a part, which its upper end belongs to.
fn highest(above: Option<f32>, at_most: f32, steps: Steps, special: &[f64]) -> Option<f64> {
    let fits = |to: &f64| {
        let single = *to as f32;
        single <= at_most && single.is_finite() && above.is_none_or(|end| single > end)
    };
    let exact = std::iter::successors(Some(at_most), |to| Some(to.next_down()));
    nearest(steps.up_to(at_most), exact.map(f64::from), fits, special)
}

/// The first number that belongs to the part and does not stand for a missing one.
fn nearest(
    readable: impl Iterator<Item = f64>,
    exact: impl Iterator<Item = f64>,
    fits: impl Fn(&f64) -> bool,
    special: &[f64],
) -> Option<f64> {
    // All special values may come first. One more may round to the part's end in float32.
    let tried = special.len() + 2;
    readable.take(tried).chain(exact.take(tried)).find(|to| fits(to) && !special.contains(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, customer's value, thresholds, special values, whether it may only rise, values tried.
    type Case<'a> = (&'a str, f64, &'a [f32], &'a [f64], bool, &'a [f64]);

    fn tried(now: f64, thresholds: &[f32], special: &[f64], rises_only: bool) -> Vec<f64> {
        let found = numbers(now, thresholds, special, rises_only);
        found.iter().filter_map(Candidate::number).collect()
    }

    #[test]
    fn the_nearest_number_of_each_other_part_is_tried() {
        let cases: [Case<'_>; 9] = [
            ("whole", 3.0, &[1.5, 3.5, 6.5], &[], false, &[4.0, 1.0, 7.0]),
            ("at a threshold", 4.0, &[4.0, 6.0], &[], false, &[5.0, 7.0]),
            ("rising alone", 3.0, &[1.5, 3.5, 6.5], &[], true, &[4.0, 7.0]),
            ("above all", 9.0, &[1.5, 3.5], &[], false, &[3.0, 1.0]),
            ("below all", 0.0, &[1.5], &[], false, &[2.0]),
            ("a special value", 3.0, &[1.5, 3.5], &[1.0, 4.0], false, &[5.0, 0.0]),
            (
                "a part between whole numbers",
                1.0,
                &[2.0, 2.25, 3.5],
                &[],
                false,
                &[2.000_000_238_418_579, 3.0, 4.0],
            ),
            ("a fraction of one's own", 3.25, &[3.5], &[], false, &[3.51]),
            ("decimals of the training rows", 3.0, &[0.1235, 3.0125], &[], false, &[3.013, 0.123]),
        ];
        for (name, now, thresholds, special, rises_only, expected) in cases {
            assert_eq!(tried(now, thresholds, special, rises_only), expected, "{name}");
        }
    }

    #[test]
    fn a_part_that_is_too_narrow_for_its_decimals_is_tried_at_the_next_float32() {
        let (low, high) = (0.3_f32, 0.3_f32.next_up());
        let found = tried(0.5, &[low, high, 0.7], &[], false);
        assert!(found.contains(&f64::from(high)), "{found:?}");
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn what_cannot_move_says_why() {
        let thresholds = Partition::Thresholds(vec![1.0]);
        let free = Movement::Free;
        let why = |value: f64, partition: &Partition, special: &[f64], movement| {
            candidates(&Column::Numbers(vec![value]), partition, special, movement).err()
        };
        assert_eq!(why(f64::NAN, &thresholds, &[], free), Some(Unmoved::Missing));
        assert_eq!(why(-9.0, &thresholds, &[-9.0], free), Some(Unmoved::Missing));
        assert_eq!(why(1.0, &Partition::Thresholds(Vec::new()), &[], free), Some(Unmoved::Unused));
        let protected = Movement::None(Unmoved::Protected);
        assert_eq!(why(1.0, &thresholds, &[], protected), Some(Unmoved::Protected));
        assert_eq!(why(1.0, &thresholds, &[], free), None);
    }
}
