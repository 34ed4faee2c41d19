//! The training portfolio as a CSV file for `train.py`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use limit_increase_portfolio::{FEATURES, Portfolio, TRAINING_CUSTOMERS, TRAINING_SEED};
use limit_increase_workflow::rows::CellValue;

/// The column of the outcome that the model is trained to predict.
pub(crate) const TARGET: &str = "defaulted";
/// The outcome's value for a customer who defaulted.
pub(crate) const POSITIVE: &str = "1";

/// Writes the training portfolio to `path`; after an error the old file is still there.
pub(crate) fn write_training_file(path: &Path) -> Result<()> {
    // Application dates are not in the file, so any day gives the same bytes.
    let portfolio = Portfolio::new(TRAINING_SEED, NaiveDate::default());
    let mut text = Vec::with_capacity(TRAINING_CUSTOMERS as usize * 80);
    for feature in FEATURES {
        write!(text, "{},", feature.column)?;
    }

    writeln!(text, "{TARGET}")?;
    for index in 0..TRAINING_CUSTOMERS {
        let customer = portfolio.customer(u64::from(index));
        for value in customer.features {
            match value {
                CellValue::Number(Some(number)) => write!(text, "{number},")?,
                CellValue::Text(Some(category)) => write!(text, "{category},")?,
                CellValue::Number(None) | CellValue::Text(None) => text.push(b','),
            }
        }

        writeln!(text, "{}", u8::from(customer.defaulted))?;
    }

    crate::local::write_whole(path, &text).context("the sample portfolio")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn the_file_has_every_customer_and_empty_fields_for_missing_values() {
        let dir = TempDir::new("portfolio");
        let path = dir.path().join("portfolio.csv");
        write_training_file(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 20_001);
        assert!(text.starts_with("bureau_score,utilisation,"));
        assert!(text.lines().all(|line| line.split(',').count() == 13));
        assert!(text.lines().any(|line| line.starts_with(',')), "some have no bureau score");
    }
}
