//! How the values of a source column, or the scores, are spread: bins, and counts in them.
//!
//! The bins are made from a model's training alone. A run counts its customers into the same bins,
//! so that the two can be compared.

use serde::{Deserialize, Serialize};

/// The most bins of a column, without those of other, missing and unseen values. The bound keeps
/// the counts of a shard small, whatever the column.
pub const MAX_BINS: usize = 32;

/// The bins of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// The inner bounds of bins of numbers, rising: bin 0 is below the first bound, bin `i` is from
    /// bound `i - 1` to below bound `i`, and the last bin has no upper end. In 32 bits, as the model
    /// compares.
    Bounds(Vec<f32>),
    /// One bin for each of these categories: the most frequent ones of the training rows.
    Categories(Vec<String>),
}

/// Counts in the bins of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// The rows in each bin, in the order of [`Bins`].
    pub bins: Vec<u64>,
    /// Rows of a category that the model knows and that has no bin of its own.
    #[serde(default)]
    pub other: u64,
    /// Rows without a value.
    #[serde(default)]
    pub missing: u64,
    /// Rows with a value that the model cannot read: a category that no training row had, or a
    /// number beyond 32 bits. Always 0 in training rows.
    #[serde(default)]
    pub unseen: u64,
}

/// Bins with the counts of the rows that they were made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The bins.
    pub bins: Bins,
    /// The rows in them.
    pub rows: Tally,
}

impl Bins {
    /// The number of bins.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Bounds(bounds) => bounds.len() + 1,
            Self::Categories(categories) => categories.len(),
        }
    }

    /// Whether there is no bin. Bins of numbers are never empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each bin is called, for a person: `below 10`, `10 to 20`, `20 or more`, or the category.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let bounds = match self {
            Self::Categories(categories) => return categories.clone(),
            Self::Bounds(bounds) => bounds,
        };
        let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
            return vec!["any number".to_owned()];
        };

        let between = bounds.windows(2).map(|pair| format!("{} to {}", pair[0], pair[1]));
        let mut labels = vec![format!("below {first}")];
        labels.extend(between);
        labels.push(format!("{last} or more"));
        labels
    }

    /// What is wrong with these bins, if anything.
    ///
    /// # Errors
    /// A sentence: too many bins, bounds that do not rise, or a category that is there twice.
    pub fn check(&self) -> Result<(), String> {
        if self.len() > MAX_BINS {
            return Err(format!("{} bins, at most {MAX_BINS} are accepted", self.len()));
        }

        match self {
            Self::Bounds(bounds) => {
                let finite = bounds.iter().all(|bound| bound.is_finite());
                if !finite || !bounds.is_sorted_by(|left, right| left < right) {
                    return Err("the bounds of the bins do not rise".to_owned());
                }
            }
            Self::Categories(categories) => {
                let mut sorted: Vec<&String> = categories.iter().collect();
                sorted.sort_unstable();
                if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err("a category has two bins".to_owned());
                }
            }
        }

        Ok(())
    }
}

/// The bin of a number: how many of the bounds are not above it.
///
/// There are few bounds, so counting them all takes less time than searching, because nothing
/// branches.
#[must_use]
pub fn bin_of(bounds: &[f32], number: f32) -> usize {
    bounds.iter().map(|bound| usize::from(*bound <= number)).sum()
}

impl Tally {
    /// A tally of zeros for so many bins.
    #[must_use]
    pub fn zeros(bins: usize) -> Self {
        Self { bins: vec![0; bins], ..Self::default() }
    }

    /// All rows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().sum()
    }

    /// The counts: of each bin, and then of the other, the missing and the unseen values.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.bins.iter().copied().chain([self.other, self.missing, self.unseen])
    }

    /// Adds the counts of another tally of the same bins.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.bins.iter_mut().zip(&other.bins) {
            *sum += count;
        }

        self.other += other.other;
        self.missing += other.missing;
        self.unseen += other.unseen;
    }
}

impl Distribution {
    /// What is wrong with this distribution, if anything.
    ///
    /// # Errors
    /// As [`Bins::check`], or that bins and counts do not belong together.
    pub fn check(&self) -> Result<(), String> {
        self.bins.check()?;
        let (bins, counts) = (self.bins.len(), self.rows.bins.len());
        if bins != counts {
            return Err(format!("{counts} counts for {bins} bins"));
        }

        let total = self.rows.iter().try_fold(0_u64, u64::checked_add);
        match total {
            None => Err("the counts are too large".to_owned()),
            Some(0) => Err("no row is counted".to_owned()),
            Some(_) if self.rows.unseen > 0 => Err("a training row has an unseen value".to_owned()),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_on_a_bound_is_in_the_bin_above_it() {
        let bounds = [10.0, 20.0];
        let cases = [
            (f32::NEG_INFINITY, 0),
            (9.999, 0),
            (10.0, 1),
            (19.999, 1),
            (20.0, 2),
            (f32::INFINITY, 2),
        ];
        for (number, bin) in cases {
            assert_eq!(bin_of(&bounds, number), bin, "{number}");
        }

        assert_eq!(bin_of(&[], 1.0), 0);
    }

    #[test]
    fn labels_name_both_ends_of_a_bin() {
        let labels = Bins::Bounds(vec![0.5, 20.0]).labels();
        assert_eq!(labels, ["below 0.5", "0.5 to 20", "20 or more"]);
        assert_eq!(Bins::Bounds(Vec::new()).labels(), ["any number"]);
        assert_eq!(Bins::Categories(vec!["own".to_owned()]).labels(), ["own"]);
    }

    #[test]
    fn tallies_add_up_bin_by_bin() {
        let mut sum = Tally::zeros(2);
        let one = Tally { bins: vec![1, 2], other: 3, missing: 4, unseen: 5 };
        sum.add(&one);
        sum.add(&one);
        assert_eq!(sum, Tally { bins: vec![2, 4], other: 6, missing: 8, unseen: 10 });
        assert_eq!(sum.total(), 30);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let bounds = |bounds: &[f32], rows: &[u64]| Distribution {
            bins: Bins::Bounds(bounds.to_vec()),
            rows: Tally { bins: rows.to_vec(), ..Tally::default() },
        };
        let unseen = Tally { bins: vec![1], unseen: 1, ..Tally::default() };
        let twice = Bins::Categories(vec!["a".to_owned(), "a".to_owned()]);
        let cases = [
            (bounds(&[1.0], &[1, 2]), None),
            (bounds(&[1.0], &[1]), Some("1 counts for 2 bins")),
            (bounds(&[1.0, 1.0], &[1, 1, 1]), Some("do not rise")),
            (bounds(&[f32::NAN], &[1, 1]), Some("do not rise")),
            (bounds(&[1.0], &[0, 0]), Some("no row")),
            (bounds(&[1.0], &[u64::MAX, 1]), Some("too large")),
            (bounds(&[0.0; MAX_BINS], &[1; MAX_BINS + 1]), Some("33 bins, at most 32")),
            (Distribution { bins: Bins::Bounds(Vec::new()), rows: unseen }, Some("unseen")),
            (Distribution { bins: twice, rows: Tally::zeros(2) }, Some("two bins")),
        ];
        for (distribution, expected) in cases {
            match (distribution.check(), expected) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) if found.contains(expected) => {}
                (found, _) => panic!("{distribution:?}: {found:?}"),
            }
        }
    }
}
