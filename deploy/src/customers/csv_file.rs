//! Customers from the user's own file, CSV or Parquet. A bad row stops the load, and the error names
//! its line or row, and its column.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::NaiveDate;

use super::identifiers::{self, Changed};
use super::key::TableKey;
use super::rows::Record;
use super::source::Source;
use super::{dates, names, spelling, values};
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
    /// The lines above the header, which are not read.
    pub skipped_lines: u64,
    /// The columns of the features, with their kinds.
    pub features: Vec<SourceColumn>,
}

/// A file of customers that is being read, row by row.
pub struct CustomerFile {
    path: PathBuf,
    rows: Source,
    record: Record,
    positions: Positions,
    columns: CsvColumns,
    key: TableKey,
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
    pub(crate) fn open(
        path: &Path,
        mut columns: CsvColumns,
        key: TableKey,
        default_date: NaiveDate,
    ) -> Result<Self> {
        let (mut rows, header) = Source::open(path, columns.skipped_lines)?;
        let positions = positions(&rows.place(path, header.line), &header, &columns)?;
        rows.select(path, positions.all())?;
        if positions.date.is_some_and(|position| rows.holds_days(position)) {
            columns.date_format = None;
        }

        Ok(Self {
            path: path.to_owned(),
            rows,
            record: Record::default(),
            positions,
            columns,
            key,
            default_date,
            seen: HashMap::new(),
        })
    }

    /// Reads the next customer; `None` after the last one.
    pub(crate) fn next_row(&mut self) -> Result<Option<IncomingCustomer>> {
        let mut record = std::mem::take(&mut self.record);
        if !self.read(&mut record)? {
            return Ok(None);
        }

        let customer = self.row(&record);
        self.record = record;
        customer.map(Some)
    }

    fn read(&mut self, record: &mut Record) -> Result<bool> {
        self.rows.read(&self.path, record)
    }

    fn row(&mut self, record: &Record) -> Result<IncomingCustomer> {
        let line = record.line;
        let key = record.field(self.positions.id).unwrap_or_default();
        if let Some(changed) = identifiers::changed(key) {
            return Err(self.changed_error(changed, key, line));
        }

        let positions = &self.positions;
        let columns = &self.columns;
        let field = |position: usize| record.field(position).unwrap_or_default();
        let value_error = |column: &str, position: usize, why: String| {
            self.bad_value_error(line, column, field(position), &why)
        };

        let customer_id =
            values::customer_id(key).map_err(|why| value_error(&columns.id, positions.id, why))?;
        let customer_id = self.key.fit(customer_id).map_err(|(why, next)| {
            value_error(&columns.id, positions.id, why).next(format!("{next}; nothing was loaded"))
        })?;
        let current_score = values::score(field(positions.score))
            .map_err(|why| self.number_error(record, &columns.score, positions.score, &why))?;
        let current_limit = values::limit(field(positions.limit))
            .map_err(|why| self.number_error(record, &columns.limit, positions.limit, &why))?;
        let mut features = Vec::with_capacity(columns.features.len());
        for (column, position) in columns.features.iter().zip(&positions.features) {
            let text = field(*position);
            features.push(match column.kind {
                ColumnKind::Number => values::number(text)
                    .map(IncomingCell::Number)
                    .map_err(|why| self.number_error(record, &column.name, *position, &why))?,
                ColumnKind::Category => values::category(text)
                    .map(IncomingCell::Text)
                    .map_err(|why| value_error(&column.name, *position, why))?,
            });
        }

        let application_date = self.date(record)?;
        if let Some(first) = self.seen.insert(customer_id.clone(), line) {
            return Err(Problem::usage(format!("customer {customer_id:?} is in the file twice"))
                .at(format!("{}, {}s {first} and {line}", self.path.display(), self.rows.unit()))
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

    fn date(&mut self, record: &Record) -> Result<NaiveDate> {
        let (Some(position), Some(column)) = (self.positions.date, &self.columns.date) else {
            return Ok(self.default_date);
        };

        let text = record.field(position).unwrap_or_default().trim();
        if self.columns.date_format.is_none() {
            let format = dates::detect(text).ok_or_else(|| {
                let why = "is not a date in a form that can only mean one day";
                self.bad_value_error(record.line, column, text, why).next(
                    "say how dates are written, for example --date-format %d/%m/%Y (or %b-%Y for \
                     the first day of Feb-2026); nothing was loaded",
                )
            })?;
            self.columns.date_format = Some(format.to_owned());
        }

        let format = self.columns.date_format.as_deref().unwrap_or_default();
        dates::parse(text, format).ok_or_else(|| {
            let why = format!("is not a date written as {format}");
            self.bad_value_error(record.line, column, text, &why).into()
        })
    }

    /// The error about a field that is no number. One as people write it is told with what to write.
    fn number_error(&self, record: &Record, column: &str, position: usize, why: &str) -> Problem {
        let text = record.field(position).unwrap_or_default();
        match spelling::written(text) {
            Some(written) => self
                .bad_value_error(record.line, column, text, &written.what())
                .next(format!("{}; nothing was loaded", written.advice(text))),
            None => self.bad_value_error(record.line, column, text, why),
        }
    }

    fn bad_value_error(&self, line: u64, column: &str, value: &str, why: &str) -> Problem {
        let shown: String = value.chars().take(80).collect();
        Problem::usage(format!("{column} {shown:?} {why}"))
            .at(format!("{}, column {column}", self.rows.place(&self.path, line)))
            .next("correct the row and load the file again; nothing was loaded")
    }

    /// Names all keys of the rest of the file that were changed in the same way.
    fn changed_error(&mut self, changed: Changed, first: &str, line: u64) -> anyhow::Error {
        let mut lines = vec![line];
        let mut record = Record::default();
        loop {
            match self.read(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return error,
            }

            let key = record.field(self.positions.id).unwrap_or_default();
            if identifiers::changed(key) == Some(changed) {
                lines.push(record.line);
            }
        }

        let column = &self.columns.id;
        let lines = identifiers::shown_lines(self.rows.unit(), &lines);
        Problem::usage(format!("{column} {first:?} {}", changed.what()))
            .at(format!("{}, {lines}, column {column}", self.path.display()))
            .next(format!("{}; nothing was loaded", changed.advice()))
            .into()
    }
}

/// The names of a file's columns.
///
/// # Errors
/// When the file cannot be read.
pub fn column_names(path: &Path, skipped_lines: u64) -> Result<Vec<String>> {
    let (_, header) = Source::open(path, skipped_lines)?;
    Ok(header.fields().map(str::to_owned).collect())
}

fn positions(place: &str, header: &Record, columns: &CsvColumns) -> Result<Positions> {
    let known: Vec<String> = header.fields().map(str::to_owned).collect();
    let find = |name: &str, option: &str| -> Result<usize> {
        let found = names::positions(name, &known);
        let Some(position) = found.first() else {
            let note = match known.len() {
                1 => "if the header is below a note, leave the note out with --skip-lines; else ",
                _ => "",
            };
            return Err(Problem::usage(format!("there is no column {name:?} ({option})"))
                .at(place)
                .next(format!("{note}use one of the file's columns: {}", known.join(", ")))
                .into());
        };

        if found.len() > 1 {
            return Err(Problem::usage(format!("the header names {name:?} twice"))
                .at(place)
                .next("give every column a name of its own")
                .into());
        }

        Ok(*position)
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

impl Positions {
    /// The positions of all columns that are read.
    fn all(&self) -> impl Iterator<Item = usize> {
        let own = [self.id, self.score, self.limit];
        own.into_iter().chain(self.date).chain(self.features.iter().copied())
    }
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
            skipped_lines: 0,
            features: vec![SourceColumn::number("income"), SourceColumn::category("home")],
        }
    }

    fn load(text: &[u8]) -> Result<Vec<IncomingCustomer>, Problem> {
        let dir = TempDir::new("csv");
        let path = dir.path().join("customers.csv");
        std::fs::write(&path, text).unwrap();
        let read = || -> Result<Vec<IncomingCustomer>> {
            let mut file =
                CustomerFile::open(&path, columns(), TableKey::text(), NaiveDate::default())?;
            let mut rows = Vec::new();
            while let Some(row) = file.next_row()? {
                rows.push(row);
            }

            Ok(rows)
        };

        read().map_err(|error| Problem::of(&error))
    }

    #[test]
    fn parquet_and_csv_of_one_table_are_the_same_customers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parquet_values");
        let read = |name: &str, columns: CsvColumns| -> Result<Vec<IncomingCustomer>> {
            let key = TableKey::text();
            let mut file =
                CustomerFile::open(&folder.join(name), columns, key, NaiveDate::default())?;
            let mut rows = Vec::new();
            while let Some(row) = file.next_row()? {
                rows.push(row);
            }
            Ok(rows)
        };

        let from_csv = read("customers.csv", columns()).unwrap();
        assert_eq!(from_csv.len(), 6);
        assert_eq!(read("customers.parquet", columns()).unwrap(), from_csv);
        // A column of days needs no format.
        let formatted = CsvColumns { date_format: Some("%d/%m/%Y".to_owned()), ..columns() };
        assert_eq!(read("customers.parquet", formatted).unwrap(), from_csv);

        let list = CsvColumns { features: vec![SourceColumn::number("list")], ..columns() };
        let problem = Problem::of(&read("customers.parquet", list).unwrap_err());
        assert!(problem.what.contains("\"list\" holds lists or other columns"));
        let text = CsvColumns { features: vec![SourceColumn::number("home")], ..columns() };
        let problem = Problem::of(&read("customers.parquet", text).unwrap_err());
        assert!(problem.place.unwrap().ends_with("customers.parquet, row 1, column home"));
        let skipped = CsvColumns { skipped_lines: 1, ..columns() };
        let problem = Problem::of(&read("customers.parquet", skipped).unwrap_err());
        assert!(problem.next.unwrap().contains("--skip-lines"));
    }

    #[test]
    fn a_decimal_comma_is_told_with_what_to_write() {
        let file = b"id;score;limit;date;income;home\n7;650;1000;20260203;1,5;a\n";
        let problem = load(file).unwrap_err();
        assert_eq!(problem.what, "income \"1,5\" has a decimal comma");
        assert!(problem.place.unwrap().ends_with("line 2, column income"));
        assert_eq!(
            problem.next.unwrap(),
            "write plain numbers, with a point before the fraction: 1.5 for '1,5'; nothing was \
             loaded"
        );
        let limit = load(b"id;score;limit;date;income;home\n7;650;1860,50;20260203;1;a\n");
        assert_eq!(limit.unwrap_err().what, "limit \"1860,50\" has a decimal comma");
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
            let skipped = case["skip_lines"].as_u64().unwrap_or_default();
            match (read_all(&bytes_of(case), skipped), case["words"].as_str()) {
                (Ok(rows), None) => assert_eq!(json!(rows), case["rows"], "{case}"),
                (Err(problem), Some(words)) => {
                    assert_eq!(problem.what, words, "{case}");
                    if let Some(line) = case["line"].as_u64() {
                        let place = problem.place.unwrap();
                        assert!(place.ends_with(&format!(", line {line}")), "{case}: {place}");
                    }
                    let next = problem.next.unwrap();
                    assert!(next.contains(case["next"].as_str().unwrap_or("")), "{case}: {next}");
                }
                (read, _) => panic!("{case}: {read:?}"),
            }
        }
    }

    /// The file of a case: its text in an encoding, or its bytes, and perhaps compressed.
    fn bytes_of(case: &Value) -> Vec<u8> {
        let text = case["text"].as_str().unwrap_or_default();
        let units = text.encode_utf16();
        let bytes = match case["encoding"].as_str() {
            Some("utf-16-le") => units.flat_map(u16::to_le_bytes).collect(),
            Some("utf-16-be") => units.flat_map(u16::to_be_bytes).collect(),
            Some("latin-1") => text.chars().map(|char| u8::try_from(char).unwrap()).collect(),
            other => {
                assert_eq!(other, None);
                text.as_bytes().to_vec()
            }
        };

        if case["gzip"] != json!(true) {
            return bytes;
        }

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all(bytes: &[u8], skipped: u64) -> Result<Vec<Vec<String>>, Problem> {
        let dir = TempDir::new("dialect");
        let path = dir.path().join("customers.csv");
        std::fs::write(&path, bytes).unwrap();
        let read = || -> Result<Vec<Vec<String>>> {
            let (mut rows, _) = Source::open(&path, skipped)?;
            let mut record = Record::default();
            let mut all = Vec::new();
            while rows.read(&path, &mut record)? {
                all.push(record.fields().map(str::to_owned).collect());
            }
            Ok(all)
        };
        read().map_err(|error| Problem::of(&error))
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
    fn a_bad_value_is_told_in_its_line_whatever_ends_the_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let rows = ["id,score,limit,date,income,home", "7,650,1000,2026-13-01,1,a"];
            let problem = load(rows.map(|row| format!("{row}{end}")).concat().as_bytes());
            assert!(
                problem.unwrap_err().place.unwrap().ends_with("line 2, column date"),
                "{end:?}"
            );
        }
    }

    #[test]
    fn keys_that_a_spreadsheet_changed_are_named_with_all_of_their_lines() {
        for (keys, what, place) in [
            (["4.11E+15", "7", "4.12E+15"], "\"4.11E+15\" is a number", "lines 2 and 4, column id"),
            (["6", "1001.0", "7"], "\"1001.0\" ends in zeros", "line 3, column id"),
            ([" 7", "8", "9"], "\" 7\" has blanks", "line 2, column id"),
            (["7", "8", "9\u{a0}"], "has blanks", "line 4, column id"),
            (["=\"007\"", "8", "9"], "is a formula", "line 2, column id"),
        ] {
            let rows = keys.map(|key| format!("{key},650,1000,20260203,1,a\n")).concat();
            let file = format!("id,score,limit,date,income,home\n{rows}");
            let problem = load(file.as_bytes()).unwrap_err();
            assert!(problem.what.contains(what), "{}", problem.what);
            assert!(problem.place.as_deref().unwrap().ends_with(place), "{:?}", problem.place);
        }
    }

    #[test]
    fn latin_1_says_how_to_convert_it() {
        let problem = load(b"id,score,limit,date,income,home\n7,650,1000,20260203,1,M\xfcnchen\n")
            .unwrap_err();
        assert!(problem.next.unwrap().contains("iconv"));
    }
}
