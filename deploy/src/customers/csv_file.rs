//! Customers from the user's own CSV file. A bad row stops the load, and the error names its line
//! and column.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::NaiveDate;
use csv::StringRecord;
use flate2::read::MultiGzDecoder;

use super::quotes::{QuoteCheck, QuoteError};
use super::{dates, values};
use crate::customers::bulk::{IncomingCell, IncomingCustomer};
use crate::terminal::Problem;
use limit_increase_domain::{ColumnKind, SourceColumn};

/// The names of the file's columns, by what they hold.
#[derive(Debug, Clone)]
pub struct CsvColumns {
    /// The column of the customer's key.
    pub id: String,
    /// The column of the current score, in points.
    pub score: String,
    /// The column of the current limit, an amount.
    pub limit: String,
    /// The column of the application date. Without one, every customer gets the default date.
    pub date: Option<String>,
    /// The form of the dates, as in `strftime`. When it is not given, the first date decides it.
    pub date_format: Option<String>,
    /// The columns of the features, with their kinds.
    pub features: Vec<SourceColumn>,
}

/// A CSV file of customers that is being read, row by row.
pub struct CustomerFile {
    path: PathBuf,
    reader: csv::Reader<QuoteCheck<Box<dyn Read + Send>>>,
    positions: Positions,
    columns: CsvColumns,
    default_date: NaiveDate,
    /// The line of each key so far; an error about a duplicate names both lines.
    seen: HashMap<String, u64>,
}

/// The positions of the columns in a row, from 0.
struct Positions {
    id: usize,
    score: usize,
    limit: usize,
    date: Option<usize>,
    features: Vec<usize>,
}

impl CustomerFile {
    /// Opens the file, plain or gzip, and finds the columns in its header.
    pub(crate) fn open(path: &Path, columns: CsvColumns, default_date: NaiveDate) -> Result<Self> {
        let checked = QuoteCheck::new(open(path)?);
        let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(checked);
        let header = reader.headers().map_err(|error| unreadable_error(path, &error))?.clone();
        let positions = positions(path, &header, &columns)?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            positions,
            columns,
            default_date,
            seen: HashMap::new(),
        })
    }

    /// Reads the next customer; `None` after the last one.
    pub(crate) fn next_row(&mut self) -> Result<Option<IncomingCustomer>> {
        let mut record = StringRecord::new();
        if !self
            .reader
            .read_record(&mut record)
            .map_err(|error| unreadable_error(&self.path, &error))?
        {
            return Ok(None);
        }

        let line = record.position().map_or(0, csv::Position::line);
        self.row(&record, line).map(Some)
    }

    fn row(&mut self, record: &StringRecord, line: u64) -> Result<IncomingCustomer> {
        let positions = &self.positions;
        let (path, columns) = (&self.path, &self.columns);
        let field = |position: usize| record.get(position).unwrap_or_default();
        let value_error = |column: &str, position: usize, why: String| {
            bad_value_error(path, line, column, field(position), &why)
        };

        let customer_id = values::customer_id(field(positions.id))
            .map_err(|why| value_error(&columns.id, positions.id, why))?;
        let current_score = values::score(field(positions.score))
            .map_err(|why| value_error(&columns.score, positions.score, why))?;
        let current_limit = values::limit(field(positions.limit))
            .map_err(|why| value_error(&columns.limit, positions.limit, why))?;
        let mut features = Vec::with_capacity(columns.features.len());
        for (column, position) in columns.features.iter().zip(&positions.features) {
            let text = field(*position);
            let cell = if column.kind == ColumnKind::Number {
                values::number(text).map(IncomingCell::Number)
            } else {
                values::category(text).map(IncomingCell::Text)
            };

            features.push(cell.map_err(|why| value_error(&column.name, *position, why))?);
        }

        let application_date = self.date(record, line)?;
        if let Some(first) = self.seen.insert(customer_id.clone(), line) {
            return Err(Problem::usage(format!("customer {customer_id:?} is in the file twice"))
                .at(format!("{}, lines {first} and {line}", self.path.display()))
                .next("keep one row per customer; nothing was loaded")
                .into());
        }

        Ok(IncomingCustomer {
            customer_id,
            current_score,
            current_limit,
            application_date,
            features,
        })
    }

    fn date(&mut self, record: &StringRecord, line: u64) -> Result<NaiveDate> {
        let (Some(position), Some(column)) = (self.positions.date, &self.columns.date) else {
            return Ok(self.default_date);
        };

        let text = record.get(position).unwrap_or_default().trim();
        let format = match &self.columns.date_format {
            Some(format) => format.clone(),
            None => {
                let format = dates::detect(text).ok_or_else(|| {
                    let why = "is not a date in a form that can only mean one day";
                    bad_value_error(&self.path, line, column, text, why).next(
                        "say how dates are written, for example --date-format %d/%m/%Y; \
                             nothing was loaded",
                    )
                })?;

                self.columns.date_format = Some(format.to_owned());
                format.to_owned()
            }
        };

        dates::parse(text, &format).ok_or_else(|| {
            bad_value_error(
                &self.path,
                line,
                column,
                text,
                &format!("is not a date written as {format}"),
            )
            .into()
        })
    }
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let open_error = |error: std::io::Error| {
        Problem::usage(format!("cannot read the customers: {error}"))
            .at(path.display().to_string())
            .next("give the path of a CSV or CSV.gz file with --data")
    };

    let mut file = File::open(path).map_err(open_error)?;
    // The name of a file does not prove what it holds, but gzip begins with two fixed bytes.
    let mut magic = [0; 2];
    let compressed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.seek(SeekFrom::Start(0)).map_err(open_error)?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(if compressed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn positions(path: &Path, header: &StringRecord, columns: &CsvColumns) -> Result<Positions> {
    let find = |name: &str, option: &str| -> Result<usize> {
        let mut found = header
            .iter()
            .enumerate()
            .filter(|(_, column)| *column == name)
            .map(|(position, _)| position);
        let place = format!("{}, line 1", path.display());
        let Some(position) = found.next() else {
            let known: Vec<&str> = header.iter().collect();
            return Err(Problem::usage(format!("there is no column {name:?} ({option})"))
                .at(place)
                .next(format!("use one of the file's columns: {}", known.join(", ")))
                .into());
        };

        if found.next().is_some() {
            return Err(Problem::usage(format!("the header names {name:?} twice"))
                .at(place)
                .next("give every column a name of its own")
                .into());
        }

        Ok(position)
    };

    Ok(Positions {
        id: find(&columns.id, "--id-column")?,
        score: find(&columns.score, "--score-column")?,
        limit: find(&columns.limit, "--limit-column")?,
        date: columns.date.as_ref().map(|name| find(name, "--date-column")).transpose()?,
        features: columns
            .features
            .iter()
            .map(|column| find(&column.name, "a feature; choose others with --features"))
            .collect::<Result<_>>()?,
    })
}

fn bad_value_error(path: &Path, line: u64, column: &str, value: &str, why: &str) -> Problem {
    let shown: String = value.chars().take(80).collect();
    Problem::usage(format!("{column} {shown:?} {why}"))
        .at(format!("{}, line {line}, column {column}", path.display()))
        .next("correct the row and load the file again; nothing was loaded")
}

fn unreadable_error(path: &Path, error: &csv::Error) -> Problem {
    let quotes = match error.kind() {
        csv::ErrorKind::Io(error) => {
            error.get_ref().and_then(|inner| inner.downcast_ref::<QuoteError>())
        }
        _ => None,
    };

    if let Some(error) = quotes {
        return Problem::usage(error.to_string())
            .at(format!("{}, line {}", path.display(), error.line))
            .next("close the quote, or write a quote inside quotes twice; nothing was loaded");
    }

    let line =
        error.position().map(|position| format!(", line {}", position.line())).unwrap_or_default();
    let (what, next) = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => (
            format!("a row has {len} fields, the header has {expected_len}"),
            "put quotes around fields that hold commas, and write every field of the row",
        ),
        csv::ErrorKind::Utf8 { .. } => (
            "a row is not UTF-8 text".to_owned(),
            "convert the file: iconv -f latin1 -t utf-8 IN.csv > OUT.csv",
        ),
        _ => (
            format!("the file cannot be read: {error}"),
            "check that the file is complete and is a CSV file",
        ),
    };

    Problem::usage(what)
        .at(format!("{}{line}", path.display()))
        .next(format!("{next}; nothing was loaded"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::TempDir;

    fn columns() -> CsvColumns {
        CsvColumns {
            id: "id".to_owned(),
            score: "score".to_owned(),
            limit: "limit".to_owned(),
            date: Some("date".to_owned()),
            date_format: None,
            features: vec![SourceColumn::number("income"), SourceColumn::category("home")],
        }
    }

    fn load(text: &[u8]) -> Result<Vec<IncomingCustomer>, Problem> {
        let dir = TempDir::new("csv");
        let path = dir.path().join("customers.csv");
        std::fs::write(&path, text).unwrap();
        let read = || -> Result<Vec<IncomingCustomer>> {
            let mut file = CustomerFile::open(&path, columns(), NaiveDate::default())?;
            let mut rows = Vec::new();
            while let Some(row) = file.next_row()? {
                rows.push(row);
            }

            Ok(rows)
        };

        read().map_err(|error| Problem::of(&error))
    }

    const GOOD: &str = "id,score,limit,date,income,home\n\
                        7,650,1000,20260203,12000.5,tenant\n\
                        8,700,2000.50,20260204,,\n";

    #[test]
    fn rows_become_customers_and_empty_fields_null() {
        let rows = load(GOOD.as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].application_date, NaiveDate::from_ymd_opt(2026, 2, 3).unwrap());
        assert_eq!(
            rows[0].features,
            [IncomingCell::Number(Some(12_000.5)), IncomingCell::Text(Some("tenant".to_owned()))]
        );

        assert_eq!(rows[1].current_limit.to_string(), "2000.50");
        assert_eq!(rows[1].features, [IncomingCell::Number(None), IncomingCell::Text(None)]);
    }

    #[test]
    fn gzip_and_a_byte_order_mark_make_no_difference() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(GOOD.as_bytes()).unwrap();
        assert_eq!(load(&encoder.finish().unwrap()).unwrap(), load(GOOD.as_bytes()).unwrap());
        assert_eq!(
            load(format!("\u{feff}{GOOD}").as_bytes()).unwrap(),
            load(GOOD.as_bytes()).unwrap()
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_column_and_value() {
        let header = "id,score,limit,date,income,home\n7,650,1000,20260203,1,a\n";
        let cases: [(&str, &str, &str); 9] = [
            (
                ",650,1000,20260203,1,a",
                "customer id must have 1 to 50 characters",
                "line 3, column id",
            ),
            (
                "8,six,1000,20260203,1,a",
                "score \"six\" is not a whole number",
                "line 3, column score",
            ),
            ("8,650,-5,20260203,1,a", "limit \"-5\"", "line 3, column limit"),
            (
                "8,650,1000,2026-02-03,1,a",
                "date \"2026-02-03\" is not a date written as %Y%m%d",
                "line 3, column date",
            ),
            (
                "8,650,1000,20260203,much,a",
                "income \"much\" is not a number",
                "line 3, column income",
            ),
            ("8,650,1000,20260203,1,a\0", "NUL", "line 3, column home"),
            ("7,650,1000,20260203,1,a", "customer \"7\" is in the file twice", "lines 2 and 3"),
            ("8,650,1000", "a row has 3 fields, the header has 6", "line 3"),
            ("8,650,1000,,1,a", "date \"\"", "line 3, column date"),
        ];

        for (row, what, place) in cases {
            let problem = load(format!("{header}{row}\n").as_bytes()).unwrap_err();
            assert!(problem.what.contains(what), "{row}: {}", problem.what);
            assert!(
                problem.place.as_deref().unwrap().ends_with(place),
                "{row}: {:?}",
                problem.place
            );

            assert!(problem.next.unwrap().contains("nothing was loaded"), "{row}");
        }
    }

    #[test]
    fn one_dialect_is_read_here_and_by_the_trainer() {
        let cases: Value =
            serde_json::from_str(include_str!("../../../tests/csv_dialect.json")).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let read = read_all(case["text"].as_str().unwrap());
            match (read, case["line"].as_u64()) {
                (Ok(rows), None) => assert_eq!(json!(rows), case["rows"], "{case}"),
                (Err(problem), Some(line)) => {
                    assert_eq!(problem.what, case["words"].as_str().unwrap(), "{case}");
                    assert_eq!(problem.place.unwrap(), format!("file, line {line}"), "{case}");
                }
                (read, _) => panic!("{case}: {read:?}"),
            }
        }
    }

    fn read_all(text: &str) -> Result<Vec<Vec<String>>, Problem> {
        let error = |error: csv::Error| unreadable_error(Path::new("file"), &error);
        let mut reader = csv::Reader::from_reader(QuoteCheck::new(text.as_bytes()));
        reader.headers().map_err(error)?;
        let row = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
        reader.into_records().map(|record| record.map(row).map_err(error)).collect()
    }

    #[test]
    fn an_ambiguous_date_asks_for_its_format() {
        let problem =
            load(b"id,score,limit,date,income,home\n7,650,1000,03/02/2026,1,a\n").unwrap_err();
        assert!(problem.next.unwrap().contains("--date-format"));
    }

    #[test]
    fn a_missing_column_lists_those_there_are() {
        let problem = load(b"id,score,limit,date,home\n").unwrap_err();
        assert!(problem.what.contains("\"income\""));
        assert!(problem.next.unwrap().ends_with("id, score, limit, date, home"));
        let twice = load(b"id,score,limit,date,income,home,home\n").unwrap_err();
        assert!(twice.what.contains("twice"));
    }

    #[test]
    fn latin_1_says_how_to_convert_it() {
        let problem = load(b"id,score,limit,date,income,home\n7,650,1000,20260203,1,M\xfcnchen\n")
            .unwrap_err();
        assert!(problem.next.unwrap().contains("iconv"));
    }
}
