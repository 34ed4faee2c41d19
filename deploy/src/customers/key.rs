//! The type of the tables' key. A lender's table may have whole numbers or UUIDs where the tables of
//! the migrations have texts.

use anyhow::Result;
use tokio_postgres::GenericClient;

/// The types of `customer_id` in both tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableKey {
    /// What a key of the file must be.
    kind: KeyKind,
    /// The type, as the catalogue names it.
    name: String,
    /// What casts a text to the key of `batch_scores`, and to that of `customer_features`.
    pub(super) cast: String,
    pub(super) features_cast: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    /// A text of at most so many characters.
    Text(usize),
    /// A whole number in a range.
    Whole(i64, i64),
    /// Digits.
    Digits,
    Uuid,
}

/// The longest key of the tables that the migrations make.
const OWN_LENGTH: usize = 50;

/// Why a key does not fit the table, and what to do.
pub(super) type KeyError = (String, String);

impl TableKey {
    /// The key of the tables that the migrations make.
    pub(super) fn text() -> Self {
        Self {
            kind: KeyKind::Text(OWN_LENGTH),
            name: "character varying".to_owned(),
            cast: String::new(),
            features_cast: String::new(),
        }
    }

    /// Reads the types from the catalogue. A table that is not there yet will have texts.
    pub(super) async fn read(client: &impl GenericClient) -> Result<Self> {
        let Some((kind, name)) = column(client, "batch_scores").await? else {
            return Ok(Self::text());
        };

        let features = column(client, "customer_features").await?;
        let (features_kind, features_name) = features.unwrap_or_else(|| (kind, name.clone()));
        Ok(Self {
            cast: cast(kind, &name),
            features_cast: cast(features_kind, &features_name),
            kind,
            name,
        })
    }

    /// The key as the table has it. Every key is checked before the first row is written.
    pub(super) fn fit(&self, key: String) -> Result<String, KeyError> {
        let is_whole = |key: &str| {
            let digits = key.strip_prefix('-').unwrap_or(key);
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.is_empty()
                && (digits == "0" && digits == key || !digits.starts_with('0'))
        };
        let fitting = match self.kind {
            KeyKind::Text(length) if key.chars().count() <= length => Some(key),
            KeyKind::Text(_) => None,
            KeyKind::Whole(low, high) => Some(key)
                .filter(|key| is_whole(key))
                .filter(|key| key.parse().is_ok_and(|number| (low..=high).contains(&number))),
            KeyKind::Digits => Some(key).filter(|key| is_whole(key)),
            // PostgreSQL writes a UUID in lower case.
            KeyKind::Uuid => Some(key.to_ascii_lowercase()).filter(|key| is_uuid(key)),
        };
        fitting.ok_or_else(|| self.error())
    }

    fn error(&self) -> KeyError {
        let form = match self.kind {
            KeyKind::Text(length) => format!("at most {length} characters"),
            KeyKind::Whole(low, high) => {
                format!("a whole number without zeros in front, from {low} to {high}")
            }
            KeyKind::Digits => "a whole number without zeros in front".to_owned(),
            KeyKind::Uuid => "32 hexadecimal digits with four hyphens".to_owned(),
        };
        (
            format!("does not fit the type of batch_scores.customer_id, which is {}", self.name),
            format!(
                "write the key as the table has it, {form}; or, if the keys are texts: ALTER TABLE \
                 batch_scores ALTER COLUMN customer_id TYPE VARCHAR(50), and the same for \
                 customer_features"
            ),
        )
    }
}

fn is_uuid(key: &str) -> bool {
    key.len() == 36
        && key.bytes().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The kind and the type of a table's key; `None` without such a table. A domain counts as the type
/// below it.
async fn column(client: &impl GenericClient, table: &str) -> Result<Option<(KeyKind, String)>> {
    let row = client
        .query_opt(
            "SELECT base.typname::text, format_type(base.oid, NULL),
                    CASE WHEN own.typbasetype = 0 THEN atttypmod ELSE own.typtypmod END
             FROM pg_attribute
             JOIN pg_type AS own ON own.oid = atttypid
             JOIN pg_type AS base ON base.oid = coalesce(nullif(own.typbasetype, 0), own.oid)
             WHERE attrelid = to_regclass($1) AND attname = 'customer_id' AND NOT attisdropped",
            &[&table],
        )
        .await?;
    Ok(row.map(|row| {
        let modifier: i32 = row.get(2);
        (kind(row.get(0), modifier), row.get(1))
    }))
}

fn kind(name: &str, modifier: i32) -> KeyKind {
    match name {
        "int2" => KeyKind::Whole(i16::MIN.into(), i16::MAX.into()),
        "int4" => KeyKind::Whole(i32::MIN.into(), i32::MAX.into()),
        "int8" => KeyKind::Whole(i64::MIN, i64::MAX),
        "numeric" => KeyKind::Digits,
        "uuid" => KeyKind::Uuid,
        // The modifier is the length and 4, or -1 for none.
        _ => KeyKind::Text(
            usize::try_from(modifier - 4).ok().filter(|length| *length > 0).unwrap_or(OWN_LENGTH),
        ),
    }
}

fn cast(kind: KeyKind, name: &str) -> String {
    match kind {
        // The assignment casts a text, and says so when it would cut one.
        KeyKind::Text(_) if !name.ends_with("citext") => String::new(),
        _ => format!("::{name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(name: &str, modifier: i32) -> TableKey {
        let kind = kind(name, modifier);
        let cast = cast(kind, name);
        TableKey { kind, name: name.to_owned(), features_cast: cast.clone(), cast }
    }

    #[test]
    fn a_key_fits_the_table_or_is_refused() {
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for (name, modifier, key, expected) in [
            ("int8", -1, "1001", Some("1001")),
            ("int8", -1, "-7", Some("-7")),
            ("int8", -1, "0", Some("0")),
            ("int8", -1, "007", None),
            ("int8", -1, "-0", None),
            ("int8", -1, "CUST_0001", None),
            ("int8", -1, "9223372036854775808", None),
            ("int4", -1, "2147483648", None),
            ("int2", -1, "32767", Some("32767")),
            ("numeric", -1, "9223372036854775808", Some("9223372036854775808")),
            ("numeric", -1, "10.5", None),
            ("uuid", -1, uuid, Some(uuid)),
            ("uuid", -1, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", Some(uuid)),
            ("uuid", -1, "1001", None),
            ("varchar", 9, "12345", Some("12345")),
            ("varchar", 9, "123456", None),
            ("bpchar", 14, "1234567890", Some("1234567890")),
            ("text", -1, "1234567890", Some("1234567890")),
        ] {
            let fitted = table(name, modifier).fit(key.to_owned());
            assert_eq!(fitted.as_deref().ok(), expected, "{name} {key}");
            if let Err((why, next)) = fitted {
                assert!(why.ends_with(name) && next.contains("VARCHAR(50)"), "{why} {next}");
            }
        }
    }
}
