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
    let is_whole = now.fract() == 0.0 && has_whole_numbers(thresholds);
    let own = thresholds.partition_point(|threshold| now as f32 > *threshold);
    let part = |part: usize| {
        let above = part.checked_sub(1).map(|below| thresholds[below]);
        (above, thresholds.get(part).copied())
    };

    let rising = (own + 1..=thresholds.len()).filter_map(|number| {
        let (above, at_most) = part(number);
        let to = lowest(above?, at_most, is_whole, special)?;
        Some(Candidate::Number { to, above, at_most, distance: to - now })
    });
    let falling = (0..own).rev().filter(|_| !rises_only).filter_map(|number| {
        let (above, at_most) = part(number);
        let to = highest(above, at_most?, is_whole, special)?;
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

/// Whether the column held whole numbers in training. CatBoost puts a threshold half-way between
/// two neighbouring values, so those of whole numbers are multiples of one half.
fn has_whole_numbers(thresholds: &[f32]) -> bool {
    thresholds.iter().all(|threshold| (threshold * 2.0).fract() == 0.0)
}

/// The lowest number of a part: the model compares in float32, so the next one above its lower end.
/// A value that stands for a missing number is none.
fn lowest(above: f32, at_most: Option<f32>, is_whole: bool, special: &[f64]) -> Option<f64> {
    let fits = |to: &f64| {
        let single = *to as f32;
        single > above && single.is_finite() && at_most.is_none_or(|end| single <= end)
    };
    let after = |to: f64| if is_whole { to + 1.0 } else { f64::from((to as f32).next_up()) };
    let first = after(if is_whole { f64::from(above).floor() } else { f64::from(above) });

    nearest(first, after, fits, special)
}

/// The highest number of a part, which its upper end belongs to.
fn highest(above: Option<f32>, at_most: f32, is_whole: bool, special: &[f64]) -> Option<f64> {
    let fits = |to: &f64| {
        let single = *to as f32;
        single <= at_most && single.is_finite() && above.is_none_or(|end| single > end)
    };
    let after = |to: f64| if is_whole { to - 1.0 } else { f64::from((to as f32).next_down()) };
    let first = if is_whole { f64::from(at_most).floor() } else { f64::from(at_most) };

    nearest(first, after, fits, special)
}

/// The first number from `first` on that belongs to the part and is not special.
fn nearest(
    first: f64,
    after: impl Fn(f64) -> f64,
    fits: impl Fn(&f64) -> bool,
    special: &[f64],
) -> Option<f64> {
    // There are at most as many special values as the manifest may have, so one step more is enough.
    std::iter::successors(Some(first), |to| Some(after(*to)))
        .take(special.len() + 1)
        .find(|to| fits(to) && !special.contains(to))
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
        let cases: [Case<'_>; 8] = [
            ("whole", 3.0, &[1.5, 3.5, 6.5], &[], false, &[4.0, 1.0, 7.0]),
            ("at a threshold", 4.0, &[4.0, 6.0], &[], false, &[5.0, 7.0]),
            ("rising alone", 3.0, &[1.5, 3.5, 6.5], &[], true, &[4.0, 7.0]),
            ("above all", 9.0, &[1.5, 3.5], &[], false, &[3.0, 1.0]),
            ("below all", 0.0, &[1.5], &[], false, &[2.0]),
            ("a special value", 3.0, &[1.5, 3.5], &[1.0, 4.0], false, &[5.0, 0.0]),
            ("no whole number in a part", 1.0, &[2.0, 2.5, 3.5], &[], false, &[3.0, 4.0]),
            ("a fraction of one's own", 3.25, &[3.5], &[], false, &[3.500_000_238_418_579]),
        ];
        for (name, now, thresholds, special, rises_only, expected) in cases {
            assert_eq!(tried(now, thresholds, special, rises_only), expected, "{name}");
        }
    }

    #[test]
    fn fractions_are_tried_at_the_next_float32() {
        let found = tried(0.5, &[0.3, 0.7], &[], false);
        assert_eq!(found, [f64::from(0.3_f32), f64::from(0.7_f32.next_up())]);
        let narrow = tried(0.5, &[0.3, 0.3_f32.next_up(), 0.7], &[], false);
        assert_eq!(narrow.len(), 3, "a part of one float32 has a number: {narrow:?}");
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
