//! Writes one small file of each stage into a directory, for others to read: `handoff_files
//! DIRECTORY`.
//!
//! `tests/parquet` reads them with DuckDB.

use std::path::PathBuf;

use chrono::NaiveDate;
use limit_increase_domain::SourceColumn;
use limit_increase_domain::{CreditLimit, CreditScore, Decision, Outcome};
use limit_increase_handoff::customers::{Customers, CustomersWriter};
use limit_increase_handoff::evaluations::{Evaluations, EvaluationsWriter, Facts};
use limit_increase_handoff::results::{Effect, ResultsWriter};
use limit_increase_handoff::scored::{ScoreRow, ScoredWriter};
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use rust_decimal::Decimal;

type Error = Box<dyn std::error::Error>;

/// As many as show a repeated text, a missing value and a stale customer.
const ROWS: u32 = 300;

fn main() -> Result<(), Error> {
    let directory =
        PathBuf::from(std::env::args_os().nth(1).ok_or("usage: handoff_files DIRECTORY")?);
    let customers = customers()?;
    let scored = scored(&Customers::read(customers.clone(), ROWS)?)?;
    let evaluations = evaluations()?;
    let results = results(&Evaluations::read(evaluations.clone(), ROWS)?)?;
    for (name, bytes) in [
        ("customers", customers),
        ("scored_customers", scored),
        ("evaluations", evaluations),
        ("results", results),
    ] {
        std::fs::write(directory.join(format!("{name}.parquet")), bytes)?;
    }

    Ok(())
}

fn id(row: u32) -> String {
    format!("CUST_{row:04}")
}

fn limit(row: u32) -> Decimal {
    Decimal::new(499_999 + i64::from(row), 2)
}

fn customers() -> Result<bytes::Bytes, Error> {
    let columns = [SourceColumn::number("bureau_score"), SourceColumn::category("home")];
    let mut writer = CustomersWriter::new(&columns);
    for row in 0..ROWS {
        let customer_id = id(row);
        let customer = CustomerRow {
            customer_id: &customer_id,
            current_score: Some(640),
            current_limit: Some(limit(row)),
            unreadable: None,
            application_date: NaiveDate::from_ymd_opt(2026, 2, 28),
            annual_income: (row > 0).then(|| Decimal::new(2_800_050, 2)),
            has_features: row != 1,
        };

        let home = if row == 2 { None } else { Some("tenant, \"ü\"") };
        writer.push(
            &customer,
            [CellValue::Number((row != 1).then_some(0.1)), CellValue::Text(home)],
        )?;
    }

    Ok(writer.finish()?)
}

fn scored(customers: &Customers) -> Result<bytes::Bytes, Error> {
    let mut writer = ScoredWriter::new(vec!["bureau_score".to_owned(), "home".to_owned()]);
    writer.push_referred("the customer has no features on record");
    for row in 1..ROWS {
        let value = f64::from(row) / 7.0;
        let scores = ScoreRow {
            raw_value: value,
            probability: 0.5,
            score: CreditScore::new(612),
            base_value: -3.0,
            shap_values: &[value, 3.0],
        };

        writer.push_scored(&scores, &[("Bureau score is low", 12.5)])?;
    }

    Ok(writer.finish(customers)?)
}

fn evaluations() -> Result<bytes::Bytes, Error> {
    let mut writer = EvaluationsWriter::default();
    for row in 0..ROWS {
        let raised = CreditLimit::try_from(Decimal::new(749_900, 2))?;
        let decision = if row % 2 == 0 {
            Decision {
                outcome: Outcome::Approved,
                new_limit: Some(raised),
                reason: format!("Reason {row}"),
            }
        } else {
            Decision {
                outcome: Outcome::Declined,
                new_limit: None,
                reason: format!("Reason {row}"),
            }
        };

        let facts = Facts {
            current_score: Some(640),
            current_limit: Some(limit(row)),
            unreadable: None,
            annual_income: Some(Decimal::new(3_000_050, 2)),
            new_score: Some(CreditScore::new(612)),
            driver: None,
        };

        writer.push(&id(row), &facts, &decision)?;
    }

    Ok(writer.finish()?)
}

fn results(evaluations: &Evaluations) -> Result<bytes::Bytes, Error> {
    let mut writer = ResultsWriter::default();
    for (row, evaluation) in evaluations.iter()?.enumerate() {
        writer.push(&evaluation?, if row == 0 { Effect::Stale } else { Effect::Written });
    }

    Ok(writer.finish()?)
}
