//! Counting the values that the model does not know.
//!
//! A customer with an unknown category is referred alone. But a column that is spelt otherwise than
//! in the training table refers everybody, and that is a mistake in the column and not in the
//! customers. So the run ends before anybody is scored, if most of a column's values are unknown.

use std::collections::HashMap;

use limit_increase_artifact::{Categories, CategoryMatch, Manifest, without_trailing_blanks};
use limit_increase_runtime::environment;
use limit_increase_workflow::rows::CellValue;
use limit_increase_workflow::{Failure, FailureKind};

/// The variable of the largest share, in percent.
const VARIABLE: &str = "MAX_UNKNOWN_CATEGORY_PERCENT";
const DEFAULT_PERCENT: u64 = 50;
/// With fewer values, a share says nothing: one of one is all of them.
const MINIMUM_VALUES: u64 = 10;
/// Different unknown values that are counted one by one. The rest count only together.
const MAX_COUNTED: usize = 100;
const MAX_EXAMPLES: usize = 3;
const MAX_KNOWN_SHOWN: usize = 10;
const MAX_CHARACTERS_SHOWN: usize = 40;

/// The largest share of unknown values that a column of a run may have, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownShare(u64);

impl UnknownShare {
    /// The share that the function's environment names.
    ///
    /// # Errors
    /// `Permanent.Configuration` when it is not a whole number from 0 to 100.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        Self::parse(environment::optional(VARIABLE).as_deref())
    }

    fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let percent = text.map_or(Some(DEFAULT_PERCENT), |text| text.parse().ok());
        percent.filter(|percent| *percent <= 100).map(Self).ok_or_else(|| {
            let text = text.unwrap_or_default();
            Failure::new(
                FailureKind::Configuration,
                format!("{VARIABLE}: {text:?} is not a whole number from 0 to 100"),
            )
        })
    }
}

/// The values of a run's customers that the model does not know, column by column.
#[derive(Debug)]
pub(crate) struct UnknownCounts {
    /// One for each input of the model; `None` for a number.
    columns: Vec<Option<ColumnCounts>>,
}

impl UnknownCounts {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let inputs = manifest.inputs_with_categories().into_iter();
        let columns = inputs.map(|(input, categories)| {
            categories.map(|categories| ColumnCounts::new(input.column.name, categories))
        });
        Self { columns: columns.collect() }
    }

    /// Counts the values of one customer, in the order of the model's inputs.
    pub(crate) fn add(&mut self, values: &[CellValue<'_>]) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            if let (Some(column), CellValue::Text(value)) = (column, value) {
                column.add(*value);
            }
        }
    }

    /// Checks the share of every column, after all customers were counted.
    ///
    /// # Errors
    /// `Permanent.UnknownCategories` with all columns of which too many values are unknown.
    pub(crate) fn check(&self, most: UnknownShare) -> Result<(), Failure> {
        let columns = self.columns.iter().flatten().filter(|column| column.exceeds(most));
        let problems: Vec<String> = columns.map(ColumnCounts::problem).collect();
        if problems.is_empty() {
            return Ok(());
        }

        let message = format!(
            "{}; nobody was scored, because at most {} % may be unknown \
             (MaxUnknownCategoryPercent); write the column as the model knows it, or train a model \
             on a table that is spelt as the column",
            problems.join("; "),
            most.0
        );
        Err(Failure::new(FailureKind::UnknownCategories, message))
    }
}

/// The values of one column.
#[derive(Debug)]
struct ColumnCounts {
    name: String,
    categories: Categories,
    /// All values that are not missing.
    values: u64,
    unknown: u64,
    /// The first different unknown values, with their customers.
    counted: HashMap<String, u64>,
}

impl ColumnCounts {
    fn new(name: String, categories: Categories) -> Self {
        Self { name, categories, values: 0, unknown: 0, counted: HashMap::new() }
    }

    fn add(&mut self, value: Option<&str>) {
        match self.categories.find(value) {
            CategoryMatch::Missing => {}
            CategoryMatch::Known(_) => self.values += 1,
            CategoryMatch::Unknown => {
                self.values += 1;
                self.unknown += 1;
                self.note(value.unwrap_or_default());
            }
        }
    }

    /// Notes an unknown value, as far as it would be shown.
    fn note(&mut self, value: &str) {
        let value = shown(value);
        if let Some(customers) = self.counted.get_mut(value) {
            *customers += 1;
        } else if self.counted.len() < MAX_COUNTED {
            self.counted.insert(value.to_owned(), 1);
        }
    }

    fn exceeds(&self, most: UnknownShare) -> bool {
        self.values >= MINIMUM_VALUES && self.unknown * 100 > most.0 * self.values
    }

    fn problem(&self) -> String {
        let Self { name, values, unknown, .. } = self;
        let percent = unknown * 100 / values;
        format!(
            "the model does not know {unknown} of {values} values ({percent} %) of column \
             {name:?}{}; it knows {}",
            self.examples(),
            self.known()
        )
    }

    /// The most frequent unknown values. A value that only one customer has may be about that
    /// customer, so it is not shown.
    fn examples(&self) -> String {
        let mut shared: Vec<(&String, &u64)> =
            self.counted.iter().filter(|(_, customers)| **customers > 1).collect();
        shared.sort_unstable_by_key(|(value, customers)| (u64::MAX - **customers, *value));
        let texts: Vec<String> =
            shared.iter().take(MAX_EXAMPLES).map(|(value, _)| format!("{value:?}")).collect();
        if texts.is_empty() {
            ", none of them frequent".to_owned()
        } else {
            format!(", such as {}", texts.join(", "))
        }
    }

    fn known(&self) -> String {
        let names = self.categories.names();
        let texts: Vec<String> =
            names.iter().take(MAX_KNOWN_SHOWN).map(|name| format!("{:?}", shown(name))).collect();
        match names.len().saturating_sub(MAX_KNOWN_SHOWN) {
            _ if names.is_empty() => "none".to_owned(),
            0 => texts.join(", "),
            more => format!("{} and {more} more", texts.join(", ")),
        }
    }
}

/// As much of a value as a message shows.
fn shown(value: &str) -> &str {
    let value = without_trailing_blanks(value);
    match value.char_indices().nth(MAX_CHARACTERS_SHOWN) {
        Some((at, _)) => &value[..at],
        None => value,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use limit_increase_artifact::Artifact;

    use super::*;

    /// The counts of the model `one_hot`, which reads a number, a home and a number.
    fn counts(homes: &[(&str, usize)]) -> UnknownCounts {
        let archive =
            include_bytes!("../../../shared/scoring/tests/golden/one_hot.tar.gz").as_slice();
        let mut counts = UnknownCounts::new(&Artifact::open(archive).unwrap().manifest);
        for (home, customers) in homes {
            let home = (!home.is_empty()).then_some(*home);
            let number = CellValue::Number(None);
            for _ in 0..*customers {
                counts.add(&[number, CellValue::Text(home), number]);
            }
        }
        counts
    }

    const HALF: UnknownShare = UnknownShare(50);

    #[test]
    fn a_column_of_mostly_unknown_values_is_told_with_what_the_model_knows() {
        let failure = counts(&[("Owner", 7), ("owner", 6), ("", 50), ("Herr Maier, Tor 3", 1)])
            .check(HALF)
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::UnknownCategories);
        let expected = "the model does not know 8 of 14 values (57 %) of column \"home\", such as \
                        \"Owner\"; it knows \"owner\", \"tenant\", \"with parents\"; nobody was \
                        scored, because at most 50 % may be unknown";
        assert!(failure.message.starts_with(expected), "{}", failure.message);
    }

    #[test]
    fn a_share_up_to_the_limit_is_not_refused_and_a_missing_value_is_not_unknown() {
        let cases = [
            ("half", vec![("Owner", 10), ("owner", 10)], 50, true),
            ("more than half", vec![("Owner", 11), ("owner", 10)], 50, false),
            ("missing", vec![("Owner", 10), ("owner", 10), ("", 1000)], 50, true),
            ("missing does not dilute", vec![("Owner", 11), ("owner", 10), ("", 99)], 50, false),
            ("one of one", vec![("Owner", 1)], 50, true),
            ("few values", vec![("Owner", 9), ("", 30)], 50, true),
            ("enough values", vec![("Owner", 10)], 50, false),
            ("any share", vec![("Owner", 1000)], 100, true),
            ("no share", vec![("Owner", 1), ("owner", 999)], 0, false),
            ("nobody", vec![], 0, true),
        ];
        for (name, homes, most, passes) in cases {
            assert_eq!(counts(&homes).check(UnknownShare(most)).is_ok(), passes, "{name}");
        }
    }

    #[test]
    fn a_value_that_one_customer_has_is_not_shown_and_a_long_one_is_cut() {
        let texts: Vec<String> = (0..500).map(|number| format!("secret {number}")).collect();
        let each: Vec<(&str, usize)> = texts.iter().map(|text| (text.as_str(), 1)).collect();
        let message = counts(&each).check(HALF).unwrap_err().message;
        assert!(
            !message.contains("secret") && message.contains("none of them frequent"),
            "{message}"
        );

        let long = "ü".repeat(1000);
        let message = counts(&[(&long, 20)]).check(HALF).unwrap_err().message;
        assert!(message.contains(&format!("\"{}\"", "ü".repeat(40))), "{message}");
    }

    #[test]
    fn the_share_is_a_whole_number_of_percent() {
        assert_eq!(UnknownShare::parse(None), Ok(HALF));
        assert_eq!(UnknownShare::parse(Some("0")), Ok(UnknownShare(0)));
        assert_eq!(UnknownShare::parse(Some("100")), Ok(UnknownShare(100)));
        for text in ["101", "-1", "12.5", "half"] {
            let failure = UnknownShare::parse(Some(text)).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Configuration);
            assert!(failure.message.contains(text), "{}", failure.message);
        }
    }
}
