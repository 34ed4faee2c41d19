//! The counters of a shard, which add up to those of a run.

use limit_increase_domain::distribution::bin_of;
use limit_increase_domain::{Bins, Distribution, Tally};
use serde::{Deserialize, Serialize};

use crate::outcomes::Outcomes;

/// The form of a profile that is written here. Another form is not read.
pub const VERSION: u32 = 1;

/// What was counted of the customers of a shard or of a run. It has no customer's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Always [`VERSION`].
    pub version: u32,
    /// All customers.
    pub customers: u64,
    /// Customers without a row in the table of features. They are in no input's counts.
    pub without_features: u64,
    /// The source columns that the model reads.
    pub input_count: u64,
    /// The scores beside those of rows that the model was measured with; `None` when the model's
    /// training has counted nothing. A customer without a score counts as missing.
    pub scores: Option<ComparedBins>,
    /// The model's inputs beside its training rows: all of them, or the most important ones.
    pub inputs: Vec<InputProfile>,
    /// What became of the customers, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
}

/// One source column that the model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputProfile {
    /// Its name.
    pub source_column: String,
    /// Its values.
    pub values: ComparedBins,
}

/// Customers and training rows in the same bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedBins {
    /// The bins, made from the training rows alone.
    pub bins: Bins,
    /// The training rows in them.
    pub training: Tally,
    /// The customers in them.
    pub customers: Tally,
}

/// What a customer's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// It is in this bin.
    Bin(usize),
    /// A category that the model knows and that has no bin.
    Other,
    /// There is no value.
    Missing,
    /// The model cannot read it.
    Unseen,
}

/// Two profiles that are not of the same run: their bins differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profile of a shard has other bins than that of the shard before: {0}")]
pub struct OtherBins(String);

impl ComparedBins {
    /// No customer yet, beside these training rows.
    #[must_use]
    pub fn new(training: Distribution) -> Self {
        let customers = Tally::zeros(training.bins.len());
        Self { bins: training.bins, training: training.rows, customers }
    }

    /// Counts a customer.
    pub fn count(&mut self, value: Value) {
        let counter = match value {
            Value::Bin(bin) => self.customers.bins.get_mut(bin),
            Value::Other => Some(&mut self.customers.other),
            Value::Missing => Some(&mut self.customers.missing),
            Value::Unseen => Some(&mut self.customers.unseen),
        };

        if let Some(counter) = counter {
            *counter += 1;
        }
    }

    /// Counts a number as the model reads it: in 32 bits. NaN is missing.
    pub fn count_number(&mut self, number: f64) {
        let Bins::Bounds(bounds) = &self.bins else { return };
        let single = number as f32;
        let value = if number.is_nan() {
            Value::Missing
        } else if single.is_infinite() {
            Value::Unseen
        } else {
            Value::Bin(bin_of(bounds, single))
        };

        self.count(value);
    }

    fn add(&mut self, other: &Self, name: &str) -> Result<(), OtherBins> {
        if self.bins != other.bins || self.training != other.training {
            return Err(OtherBins(name.to_owned()));
        }

        self.customers.add(&other.customers);
        Ok(())
    }

    fn is_whole(&self) -> bool {
        let bins = self.bins.len();
        self.bins.check().is_ok()
            && self.training.bins.len() == bins
            && self.customers.bins.len() == bins
    }
}

impl Profile {
    /// Counts of nobody. `scores` and `inputs` are what the model's training has counted.
    #[must_use]
    pub fn new(
        scores: Option<Distribution>,
        inputs: impl IntoIterator<Item = (String, Distribution)>,
        input_count: usize,
    ) -> Self {
        let input = |(source_column, training)| InputProfile {
            source_column,
            values: ComparedBins::new(training),
        };

        Self {
            version: VERSION,
            customers: 0,
            without_features: 0,
            input_count: input_count as u64,
            scores: scores.map(ComparedBins::new),
            inputs: inputs.into_iter().map(input).collect(),
            outcomes: None,
        }
    }

    /// Whether bins and counts belong together. A profile that was read may not be whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.version == VERSION
            && self.scores.iter().all(ComparedBins::is_whole)
            && self.inputs.iter().all(|input| input.values.is_whole())
    }

    /// Adds the counts of another shard of the same run.
    ///
    /// # Errors
    /// When its bins are others, so that it is of another run.
    pub fn add(&mut self, other: &Self) -> Result<(), OtherBins> {
        if self.inputs.len() != other.inputs.len() {
            return Err(OtherBins("the inputs".to_owned()));
        }

        match (&mut self.scores, &other.scores) {
            (Some(scores), Some(more)) => scores.add(more, "the scores")?,
            (None, None) => {}
            _ => return Err(OtherBins("the scores".to_owned())),
        }

        for (input, more) in self.inputs.iter_mut().zip(&other.inputs) {
            if input.source_column != more.source_column {
                return Err(OtherBins(more.source_column.clone()));
            }

            input.values.add(&more.values, &more.source_column)?;
        }

        self.customers += other.customers;
        self.without_features += other.without_features;
        match (&mut self.outcomes, &other.outcomes) {
            (Some(outcomes), Some(more)) => outcomes.add(more),
            (outcomes @ None, more) => outcomes.clone_from(more),
            (Some(_), None) => {}
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbers(bounds: &[f32]) -> Distribution {
        let bins = Bins::Bounds(bounds.to_vec());
        Distribution { rows: Tally { bins: vec![5; bins.len()], ..Tally::default() }, bins }
    }

    fn profile(bounds: &[f32]) -> Profile {
        Profile::new(Some(numbers(&[600.0])), [("age".to_owned(), numbers(bounds))], 1)
    }

    #[test]
    fn a_number_is_counted_as_the_model_reads_it() {
        let mut compared = ComparedBins::new(numbers(&[0.1, 5.0]));
        // 0.1 in 64 bits is less than 0.1 in 32 bits, and the same number to the model.
        for number in [0.1, 5.0, -3.0, f64::NAN, f64::INFINITY, 1e300] {
            compared.count_number(number);
        }

        let expected = Tally { bins: vec![1, 1, 1], other: 0, missing: 1, unseen: 2 };
        assert_eq!(compared.customers, expected);
    }

    #[test]
    fn shards_of_one_run_add_up() {
        let (mut run, mut shard) = (profile(&[1.0]), profile(&[1.0]));
        shard.customers = 3;
        shard.without_features = 1;
        shard.inputs[0].values.count(Value::Bin(1));
        shard.inputs[0].values.count(Value::Missing);
        run.add(&shard).unwrap();
        run.add(&shard).unwrap();
        assert_eq!((run.customers, run.without_features), (6, 2));
        let expected = Tally { bins: vec![0, 2], missing: 2, ..Tally::default() };
        assert_eq!(run.inputs[0].values.customers, expected);
        assert_eq!(run.inputs[0].values.training, shard.inputs[0].values.training);
    }

    #[test]
    fn shards_of_two_models_are_not_added() {
        let mut run = profile(&[1.0]);
        let mut renamed = profile(&[1.0]);
        renamed.inputs[0].source_column = "income".to_owned();
        let without = Profile::new(None, [], 1);
        for other in [profile(&[2.0]), renamed, without] {
            assert!(run.clone().add(&other).is_err(), "{other:?}");
        }

        assert!(run.add(&profile(&[1.0])).is_ok());
    }

    #[test]
    fn a_profile_that_was_read_is_checked() {
        assert!(profile(&[1.0]).is_whole());
        let mut cut = profile(&[1.0]);
        cut.inputs[0].values.customers.bins.pop();
        let newer = Profile { version: VERSION + 1, ..profile(&[1.0]) };
        assert!(!cut.is_whole() && !newer.is_whole());
    }
}
