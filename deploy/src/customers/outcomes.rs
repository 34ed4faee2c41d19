//! What became of customers, from a file of the lender: a key, bad or not, and perhaps a date.

use std::path::Path;

use anyhow::Result;
use limit_increase_analysis::outcomes::{Observation, Outcomes};

use super::rows::Record;
use super::source::Source;
use super::{dates, names, values};
use crate::terminal::Problem;

/// The names of the file's columns.
#[derive(Debug, Clone)]
pub struct OutcomeColumns {
    /// The column of the customer's key.
    pub id: String,
    /// The column that says whether the customer went bad: 1 or 0.
    pub bad: String,
    /// The column of the day up to which the customer was watched. `date`, if the file has it, when
    /// it is not given.
    pub date: Option<String>,
}

/// The column of the date, if none is named.
const DATE: &str = "date";

/// The outcomes of a file, and how many of its rows have none.
///
/// # Errors
/// When the file cannot be read, lacks a column, has a customer twice, or has a value that is
/// neither 0 nor 1 nor missing. The error names the line.
pub fn read_outcomes(path: &Path, columns: &OutcomeColumns) -> Result<(Outcomes, u64)> {
    let (mut rows, header) = Source::open(path, 0)?;
    let known: Vec<String> = header.fields().map(str::to_owned).collect();
    let place = rows.place(path, header.line);
    let id = position(&known, &columns.id, "--id-column", &place)?;
    let bad = position(&known, &columns.bad, "--bad-column", &place)?;
    let date = match &columns.date {
        Some(name) => Some(position(&known, name, "--date-column", &place)?),
        None => position(&known, DATE, "--date-column", &place).ok(),
    };
    rows.select(path, [id, bad].into_iter().chain(date))?;

    let (mut outcomes, mut unknown) = (Outcomes::default(), 0);
    let (mut record, mut format) = (Record::default(), None);
    while rows.read(path, &mut record)? {
        let field = |position: usize| record.field(position).unwrap_or_default();
        let value_error = |position: usize, why: &str| -> Problem {
            let shown: String = field(position).chars().take(80).collect();
            let column = &known[position];
            Problem::usage(format!("{column} {shown:?} {why}"))
                .at(format!("{}, column {column}", rows.place(path, record.line)))
                .next("correct the row and give the file again")
        };

        let key = values::customer_id(field(id)).map_err(|why| value_error(id, &why))?;
        let watched_until = match date.filter(|date| !field(*date).trim().is_empty()) {
            None => None,
            Some(position) => {
                let text = field(position).trim();
                format = format.or_else(|| dates::detect(text));
                let date = format.and_then(|format| dates::parse(text, format));
                let why = "is not a date in a form that can only mean one day, like 2027-11-30";
                Some(date.ok_or_else(|| value_error(position, why))?)
            }
        };

        let Some(bad) = flag(field(bad)).map_err(|why| value_error(bad, why))? else {
            unknown += 1;
            continue;
        };
        if !outcomes.insert(&key, Observation { bad, date: watched_until }) {
            return Err(value_error(id, "is in the file twice").into());
        }
    }

    if outcomes.is_empty() {
        return Err(Problem::usage("the file has no outcome")
            .at(path.display().to_string())
            .next("give a row for each customer, with 1 in the column of bad ones and 0 for others")
            .into());
    }

    Ok((outcomes, unknown))
}

/// Whether a customer went bad; `None` if it is not known.
fn flag(text: &str) -> Result<Option<bool>, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        text => match values::number(text) {
            Ok(None) => Ok(None),
            Ok(Some(0.0)) => Ok(Some(false)),
            Ok(Some(1.0)) => Ok(Some(true)),
            _ => Err("is neither 0 (good) nor 1 (bad)"),
        },
    }
}

fn position(known: &[String], name: &str, option: &str, place: &str) -> Result<usize, Problem> {
    match names::positions(name, known).as_slice() {
        [position] => Ok(*position),
        _ => Err(Problem::usage(format!("there is no one column {name:?} in the outcomes"))
            .at(place)
            .next(format!("name one of the file's columns with {option}: {}", known.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::NaiveDate;

    use super::*;
    use crate::testing::TempDir;

    fn read(text: &str, date: Option<&str>) -> Result<(Outcomes, u64), Problem> {
        let dir = TempDir::new("outcomes");
        let path = dir.path().join("outcomes.csv");
        std::fs::write(&path, text).unwrap();
        let columns = OutcomeColumns {
            id: "customer_id".to_owned(),
            bad: "bad".to_owned(),
            date: date.map(str::to_owned),
        };
        read_outcomes(&path, &columns).map_err(|error| Problem::of(&error))
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn outcomes_are_read_with_and_without_dates() {
        let text = "customer_id;bad;date\na;1;30.11.2027\nb;0;\nc;;\nd;True;01.01.2026\ne;0.0;\n";
        let (outcomes, unknown) = read(text, None).unwrap();
        assert_eq!((outcomes.len(), unknown), (4, 1));
        let bad = |id: &str| outcomes.bad_after(id, day("2026-11-30"));
        let found = ["a", "b", "c", "d", "e"].map(bad);
        // The outcome of d was known before the run.
        assert_eq!(found, [Some(true), Some(false), None, None, Some(false)]);

        let (outcomes, _) = read("customer_id,bad\na,1\n", None).unwrap();
        assert_eq!(outcomes.bad_after("a", day("2026-11-30")), Some(true));
    }

    #[test]
    fn a_bad_row_is_named_with_its_line() {
        let cases = [
            ("customer_id,bad\na,1\nb,2\n", None, "bad \"2\" is neither", "line 3, column bad"),
            ("customer_id,bad\na,1\na,1\n", None, "is in the file twice", "line 3"),
            ("customer_id,bad\n,1\n", None, "customer id must have", "line 2"),
            (
                "customer_id,bad,date\na,1,03/04/2026\n",
                None,
                "is not a date",
                "line 2, column date",
            ),
            ("customer,bad\na,1\n", None, "no one column \"customer_id\"", "line 1"),
            ("customer_id,bad\na,1\n", Some("due"), "no one column \"due\"", "line 1"),
            ("customer_id,bad\na,\n", None, "the file has no outcome", "outcomes.csv"),
        ];
        for (text, date, what, place) in cases {
            let problem = read(text, date).unwrap_err();
            assert!(problem.what.contains(what), "{text}: {}", problem.what);
            assert!(problem.place.as_ref().unwrap().contains(place), "{text}: {problem}");
        }
    }
}
