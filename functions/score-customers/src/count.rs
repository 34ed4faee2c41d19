//! Counting a shard's customers into the bins of the model's training, for the report of the run.

use limit_increase_artifact::{Categories, CategoryMatch, Manifest, ModelColumn, TrainingProfile};
use limit_increase_domain::Bins;
use limit_increase_report::profile::{ComparedBins, Profile, Value};
use limit_increase_scoring::{Column, Frame, RowOutcome, ScoredBatch};

/// What has to be counted of a model's customers.
#[derive(Debug)]
pub(crate) struct Counters {
    /// The counts of nobody.
    empty: Profile,
    /// How to read the inputs that are counted, in the order of the profile.
    inputs: Vec<CountedInput>,
}

#[derive(Debug)]
struct CountedInput {
    /// The column of the frame.
    column: usize,
    reading: Reading,
}

/// What a value of an input means to the model.
#[derive(Debug)]
enum Reading {
    Number {
        /// Values that stand for a missing number.
        special: Vec<f64>,
    },
    Category {
        categories: Categories,
        /// For each model column of the source, the bin of its category.
        bins: Vec<Value>,
    },
}

impl Counters {
    /// The counters of a model. One whose training has counted nothing counts customers alone.
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let inputs = manifest.inputs_with_categories();
        let Some(TrainingProfile { scores, inputs: counted }) = &manifest.profile else {
            return Self { empty: Profile::new(None, [], inputs.len()), inputs: Vec::new() };
        };

        let distributions =
            counted.iter().map(|input| (input.source_column.clone(), input.values.clone()));
        let empty = Profile::new(Some(scores.clone()), distributions, inputs.len());
        let groups =
            manifest.columns.chunk_by(|left, right| left.source_column == right.source_column);
        let inputs = inputs
            .into_iter()
            .zip(groups)
            .enumerate()
            .filter_map(|(column, ((input, categories), group))| {
                let counted = counted.iter().find(|one| one.source_column == input.column.name)?;
                let reading = match categories {
                    None => {
                        Reading::Number { special: group.iter().flat_map(special_values).collect() }
                    }
                    Some(categories) => Reading::Category {
                        categories,
                        bins: group.iter().map(|one| bin(one, &counted.values.bins)).collect(),
                    },
                };
                Some(CountedInput { column, reading })
            })
            .collect();
        Self { empty, inputs }
    }

    /// Counts the customers of a shard.
    pub(crate) fn count(&self, frame: &Frame<'_>, batch: &ScoredBatch<'_>) -> Profile {
        let mut profile = self.empty.clone();
        let with_features = frame.has_features.iter().filter(|has| **has).count();
        profile.customers = frame.has_features.len() as u64;
        profile.without_features = profile.customers - with_features as u64;
        if let Some(scores) = &mut profile.scores {
            for row in 0..batch.len() {
                match batch.row(row) {
                    RowOutcome::Scored(scored) => scores.count_number(scored.score.value().into()),
                    RowOutcome::Referred(_) => scores.count(Value::Missing),
                }
            }
        }

        for (input, counted) in self.inputs.iter().zip(&mut profile.inputs) {
            let rows = &frame.has_features;
            match (&frame.columns[input.column], &input.reading) {
                (Column::Numbers(numbers), Reading::Number { special }) => {
                    count_numbers(&mut counted.values, special, numbers, rows);
                }
                (Column::Texts(texts), Reading::Category { categories, bins }) => {
                    for (text, _) in texts.iter().zip(rows).filter(|(_, has)| **has) {
                        counted.values.count(match categories.find(*text) {
                            CategoryMatch::Known(offset) => bins[offset],
                            CategoryMatch::Missing => Value::Missing,
                            CategoryMatch::Unknown => Value::Unseen,
                        });
                    }
                }
                // The scoring has refused a frame with a column of the other kind.
                _ => {}
            }
        }

        profile
    }
}

fn count_numbers(counted: &mut ComparedBins, special: &[f64], numbers: &[f64], rows: &[bool]) {
    for (number, _) in numbers.iter().zip(rows).filter(|(_, has)| **has) {
        if special.contains(number) {
            counted.count(Value::Missing);
        } else {
            counted.count_number(*number);
        }
    }
}

fn special_values(column: &ModelColumn) -> impl Iterator<Item = f64> {
    column.special.iter().map(|special| special.value)
}

/// The bin of a model column's category.
fn bin(column: &ModelColumn, bins: &Bins) -> Value {
    let Some(Some(category)) = &column.category else { return Value::Missing };
    let Bins::Categories(names) = bins else { return Value::Other };
    names.iter().position(|name| name == category).map_or(Value::Other, Value::Bin)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use limit_increase_artifact::{Artifact, InputDistribution, SpecialValue};
    use limit_increase_domain::{Distribution, Tally};
    use limit_increase_scoring::Model;

    use super::*;

    const ARCHIVE: &[u8] = include_bytes!("../../../shared/scoring/tests/golden/one_hot.tar.gz");

    fn rows(bins: &[u64]) -> Tally {
        Tally { bins: bins.to_vec(), ..Tally::default() }
    }

    #[test]
    fn customers_are_counted_as_the_model_reads_them() {
        let mut artifact = Artifact::open(ARCHIVE).unwrap();
        let manifest = &mut artifact.manifest;
        let names: Vec<Option<String>> =
            manifest.columns.iter().filter_map(|column| column.category.clone()).collect();
        let named: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
        let [first, second, ..] = named[..] else { panic!("two categories expected") };
        manifest.columns[0].special =
            vec![SpecialValue { value: -9.0, meaning: "no record".to_owned() }];
        manifest.profile = Some(TrainingProfile {
            scores: Distribution { bins: Bins::Bounds(vec![-1e6]), rows: rows(&[1, 1]) },
            inputs: vec![
                InputDistribution {
                    source_column: "x0".to_owned(),
                    values: Distribution { bins: Bins::Bounds(vec![0.5]), rows: rows(&[5, 5]) },
                },
                InputDistribution {
                    source_column: "home".to_owned(),
                    values: Distribution {
                        bins: Bins::Categories(vec![first.to_owned()]),
                        rows: rows(&[10]),
                    },
                },
            ],
        });

        let counters = Counters::new(manifest);
        let home = [Some(first), Some(second), Some("never seen"), None, Some(first), Some(first)];
        let frame = Frame {
            columns: vec![
                Column::Numbers(vec![0.4, 0.5, -9.0, f64::NAN, 1e300, 0.0]),
                Column::Texts(home.to_vec()),
                Column::Numbers(vec![0.0; 6]),
            ],
            has_features: vec![true, true, true, true, true, false],
        };
        let model = Model::load(&Artifact::open(ARCHIVE).unwrap()).unwrap();
        let batch = model.score(&frame).unwrap();
        let profile = counters.count(&frame, &batch);

        assert_eq!((profile.customers, profile.without_features, profile.input_count), (6, 1, 3));
        let [numbers, texts] = &profile.inputs[..] else { panic!("two inputs expected") };
        let expected = Tally { bins: vec![1, 1], missing: 2, unseen: 1, other: 0 };
        assert_eq!(numbers.values.customers, expected);
        let expected = Tally { bins: vec![2], other: 1, missing: 1, unseen: 1 };
        assert_eq!(texts.values.customers, expected);

        let scores = &profile.scores.unwrap().customers;
        let scored = (0..6).filter(|row| matches!(batch.row(*row), RowOutcome::Scored(_))).count();
        assert_eq!((scores.bins[1], scores.missing), (scored as u64, 6 - scored as u64));
        assert!(scored > 0);
    }

    #[test]
    fn a_model_of_the_first_version_counts_customers_alone() {
        let artifact = Artifact::open(ARCHIVE).unwrap();
        let counters = Counters::new(&artifact.manifest);
        let frame = Frame {
            columns: vec![
                Column::Numbers(vec![0.4]),
                Column::Texts(vec![None]),
                Column::Numbers(vec![0.0]),
            ],
            has_features: vec![true],
        };
        let model = Model::load(&artifact).unwrap();
        let profile = counters.count(&frame, &model.score(&frame).unwrap());
        assert_eq!((profile.customers, profile.inputs.len()), (1, 0));
        assert_eq!((profile.scores, profile.input_count), (None, 3));
    }
}
