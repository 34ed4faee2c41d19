//! Customers in the binary form of PostgreSQL's COPY: `(customer_id VARCHAR, current_score INTEGER,
//! current_limit NUMERIC, application_date DATE, features ..)`.
//!
//! The form is in PostgreSQL's manual under COPY, and that of each type in its receive function. A
//! field is its length in bytes and its value, all with the highest byte first. NULL has the length
//! -1.

use chrono::{Datelike as _, NaiveDate};

/// 2000-01-01, from which PostgreSQL counts days, as chrono counts them.
const FIRST_DAY: i32 = 730_120;
/// The columns before the features.
const OWN_COLUMNS: usize = 4;

/// What every customer has besides features.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The key.
    pub id: &'a str,
    /// The current score, in points.
    pub score: i32,
    /// The current limit, in cents, from 0 to 99,999,999.99.
    pub limit_cents: u64,
    /// The day on which the customer applied.
    pub date: NaiveDate,
}

/// Some rows on their way into a table. The features of a row follow its head.
#[derive(Debug)]
pub struct CopyRows {
    bytes: Vec<u8>,
    rows: u64,
    fields: u16,
}

impl CopyRows {
    /// What stands before the first row of a COPY: the signature, and two empty fields.
    pub const HEADER: &'static [u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    /// What stands after the last row.
    pub const TRAILER: &'static [u8] = &[0xff, 0xff];

    /// No rows yet, each with so many features.
    ///
    /// # Panics
    /// Never: PostgreSQL has 1,600 columns at most, and more fields than fit are counted as 65,535,
    /// which it refuses.
    #[must_use]
    pub fn new(features: usize) -> Self {
        let fields = u16::try_from(OWN_COLUMNS + features).unwrap_or(u16::MAX);
        Self { bytes: Vec::new(), rows: 0, fields }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows as COPY reads them.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins a row.
    #[inline(never)]
    pub fn begin(&mut self, head: &Head<'_>) {
        self.rows += 1;
        self.bytes.extend_from_slice(&self.fields.to_be_bytes());
        self.text(Some(head.id));
        self.field(&head.score.to_be_bytes());
        self.amount(head.limit_cents);
        self.field(&(head.date.num_days_from_ce() - FIRST_DAY).to_be_bytes());
    }

    /// Adds a feature that is a number.
    #[inline(never)]
    pub fn number(&mut self, number: Option<f64>) {
        match number {
            Some(number) => self.field(&number.to_be_bytes()),
            None => self.null(),
        }
    }

    /// Adds a feature that is a text.
    #[inline(never)]
    pub fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.field(text.as_bytes()),
            None => self.null(),
        }
    }

    fn field(&mut self, value: &[u8]) {
        // No text of a file is longer than a COPY may be, which is 1 GiB.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    /// A NUMERIC of three digits of 10,000: two before the point and one after it. PostgreSQL drops
    /// those that are 0.
    fn amount(&mut self, cents: u64) {
        let (whole, fraction) = (cents / 100, cents % 100 * 100);
        let (digits, weight, sign, scale) = (3, 1, 0, 2);
        let mut value = [0; 14];
        let words = [digits, weight, sign, scale, whole / 10_000, whole % 10_000, fraction];
        for (bytes, word) in value.chunks_exact_mut(2).zip(words) {
            bytes.copy_from_slice(&(word as u16).to_be_bytes());
        }

        self.field(&value);
    }
}
