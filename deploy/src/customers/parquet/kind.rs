//! What a column of a Parquet file holds, and how each of its values is written as the text that a
//! CSV file would have. The trainer writes the same texts, and tests/parquet_values holds both to it.

use std::fmt::Write as _;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, Timelike as _};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::data_type::Int96;
use parquet::schema::types::ColumnDescriptor;

/// The digits that a decimal of 16 bytes holds. The trainer's reader makes longer ones imprecise.
const MAX_DIGITS: i32 = 38;
const JULIAN_DAY_OF_1970: i64 = 2_440_588;

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Signed,
    Unsigned,
    /// The digits after the point.
    Decimal(usize),
    Date,
    /// The parts of a second.
    Time(u32),
    /// The parts of a second, and the zone.
    Timestamp(u32, Zone),
    Float,
    Half,
    Text,
    Uuid,
}

/// The zone of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Zone {
    /// None: the day is the one that is written.
    None,
    Utc,
    Offset(FixedOffset),
}

impl Kind {
    /// The kind of a column; the error completes "the column holds ..".
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, String> {
        use LogicalType as Logical;

        match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
            (Physical::BOOLEAN, ..) => Ok(Self::Boolean),
            (Physical::FLOAT | Physical::DOUBLE, ..) => Ok(Self::Float),
            (Physical::INT96, ..) => Ok(Self::Timestamp(1_000_000_000, Zone::None)),
            (_, Some(Logical::Decimal(decimal)), _) => {
                decimal_kind(decimal.precision, decimal.scale)
            }
            (_, None, ConvertedType::DECIMAL) => {
                decimal_kind(column.type_precision(), column.type_scale())
            }
            (Physical::INT32 | Physical::INT64, logical, converted) => whole(logical, converted),
            (Physical::BYTE_ARRAY, Some(Logical::String | Logical::Json | Logical::Enum), _)
            | (
                Physical::BYTE_ARRAY,
                None,
                ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM,
            ) => Ok(Self::Text),
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(Logical::Uuid), _) => Ok(Self::Uuid),
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(Logical::Float16), _) => Ok(Self::Half),
            _ => Err("bytes".to_owned()),
        }
    }

    /// Whether a value has a day.
    pub(super) fn is_day(&self) -> bool {
        matches!(self, Self::Date | Self::Timestamp(..))
    }
}

fn decimal_kind(digits: i32, scale: i32) -> Result<Kind, String> {
    match usize::try_from(scale) {
        Ok(scale) if digits <= MAX_DIGITS => Ok(Kind::Decimal(scale)),
        _ => Err(format!("decimals of {digits} digits, of which {scale} are after the point")),
    }
}

fn whole(logical: Option<&LogicalType>, converted: ConvertedType) -> Result<Kind, String> {
    let parts = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    };

    Ok(match (logical, converted) {
        (Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Kind::Unsigned,
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Kind::Date,
        (Some(LogicalType::Time(time)), _) => Kind::Time(parts(&time.unit)),
        (Some(LogicalType::Timestamp(moment)), _) => {
            let zone = if moment.is_adjusted_to_u_t_c { Zone::Utc } else { Zone::None };
            Kind::Timestamp(parts(&moment.unit), zone)
        }
        (None, ConvertedType::TIME_MILLIS) => Kind::Time(1_000),
        (None, ConvertedType::TIME_MICROS) => Kind::Time(1_000_000),
        (None, ConvertedType::TIMESTAMP_MILLIS) => Kind::Timestamp(1_000, Zone::Utc),
        (None, ConvertedType::TIMESTAMP_MICROS) => Kind::Timestamp(1_000_000, Zone::Utc),
        (
            None,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64,
        ) => Kind::Unsigned,
        _ => Kind::Signed,
    })
}

/// Why a value cannot be written; it completes a sentence about the value.
pub(super) type Unreadable = &'static str;

const NO_DAY: Unreadable = "is a date outside the years that can be read";

impl Kind {
    /// Writes a whole number of the file, which may be a date or a time.
    pub(super) fn write_whole(&self, value: i64, text: &mut String) -> Result<(), Unreadable> {
        match self {
            Self::Decimal(scale) => write_decimal(value.into(), *scale, text),
            Self::Date => {
                let _ = write!(text, "{}", day(value).ok_or(NO_DAY)?);
            }
            Self::Time(parts) => write_time(value, *parts, text).ok_or("is no time of a day")?,
            Self::Timestamp(parts, zone) => {
                let parts = i64::from(*parts);
                let nanos = value.rem_euclid(parts) * (1_000_000_000 / parts);
                write_moment(value.div_euclid(parts), nanos, zone, text).ok_or(NO_DAY)?;
            }
            _ => {
                let _ = write!(text, "{value}");
            }
        }

        Ok(())
    }

    /// Writes a value of text, or of a decimal or another kind that is stored as bytes.
    pub(super) fn write_bytes(&self, bytes: &[u8], text: &mut String) -> Result<(), Unreadable> {
        match self {
            Self::Text => {
                text.push_str(
                    std::str::from_utf8(bytes).map_err(|_| "has bytes that are not UTF-8")?,
                );
            }
            Self::Decimal(scale) => {
                let number = big_endian(bytes).ok_or("is a decimal of too many bytes")?;
                write_decimal(number, *scale, text);
            }
            Self::Uuid => write_uuid(bytes, text),
            Self::Half => {
                let bits = <[u8; 2]>::try_from(bytes).map_err(|_| "is no number of 2 bytes")?;
                write_float(half(u16::from_le_bytes(bits)), text);
            }
            _ => return Err("is bytes"),
        }

        Ok(())
    }
}

/// Writes a timestamp of the form that Hive, Impala and older versions of Spark write.
pub(super) fn write_int96(value: &Int96, text: &mut String) -> Result<(), Unreadable> {
    let &[low, high, julian] = value.data() else { return Err(NO_DAY) };
    let nanos = (u64::from(high) << 32 | u64::from(low)).cast_signed();
    let days = i64::from(julian) - JULIAN_DAY_OF_1970;
    let seconds = days * 86_400 + nanos.div_euclid(1_000_000_000);
    write_moment(seconds, nanos.rem_euclid(1_000_000_000), &Zone::None, text).ok_or(NO_DAY)
}

pub(super) fn write_boolean(value: bool, text: &mut String) {
    text.push_str(if value { "True" } else { "False" });
}

/// Writes a number with the fewest digits that mean it, as Python does: 0.1, 1.0, 1e+16. A NaN is a
/// missing value.
pub(super) fn write_float(number: impl Into<f64> + std::fmt::Debug + Copy, text: &mut String) {
    let double: f64 = number.into();
    if double.is_nan() {
        return;
    }

    let start = text.len();
    let _ = write!(text, "{number:?}");
    let Some(exponent) = text[start..].find('e').map(|at| start + at + 1) else { return };
    let digits = text.split_off(exponent);
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', digits.as_str()),
    };
    let _ = write!(text, "{sign}{digits:0>2}");
}

fn write_decimal(number: i128, scale: usize, text: &mut String) {
    let digits = number.unsigned_abs();
    if number < 0 {
        text.push('-');
    }

    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    text.push_str(whole);
    if scale > 0 {
        text.push('.');
        text.push_str(fraction);
    }
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 16];
    let start = whole.len().checked_sub(bytes.len())?;
    whole[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

fn write_uuid(bytes: &[u8], text: &mut String) {
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
}

/// A number of 16 bits: a sign, 5 bits of the exponent, 10 bits of the fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    sign * match (bits >> 10) & 0x1f {
        0 => fraction * 2_f32.powi(-24),
        0x1f if fraction > 0.0 => f32::NAN,
        0x1f => f32::INFINITY,
        exponent => (1.0 + fraction / 1024.0) * 2_f32.powi(i32::from(exponent) - 15),
    }
}

fn day(days: i64) -> Option<NaiveDate> {
    let start = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let distance = Days::new(days.unsigned_abs());
    if days < 0 { start.checked_sub_days(distance) } else { start.checked_add_days(distance) }
}

fn write_time(value: i64, parts: u32, text: &mut String) -> Option<()> {
    let parts = i64::from(parts);
    let seconds = u32::try_from(value.div_euclid(parts)).ok()?;
    let nanos = value.rem_euclid(parts) * (1_000_000_000 / parts);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, u32::try_from(nanos).ok()?)?;
    let _ = write!(text, "{}", time.format("%H:%M:%S"));
    write_fraction(time.nanosecond(), text);
    Some(())
}

fn write_moment(seconds: i64, nanos: i64, zone: &Zone, text: &mut String) -> Option<()> {
    let moment = DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)?;
    let shift = match zone {
        Zone::Offset(offset) => chrono::Duration::seconds(offset.local_minus_utc().into()),
        Zone::None | Zone::Utc => chrono::Duration::zero(),
    };
    let written = moment.naive_utc().checked_add_signed(shift)?;
    let _ = write!(text, "{}", written.format("%Y-%m-%d %H:%M:%S"));
    write_fraction(written.nanosecond(), text);
    match zone {
        Zone::None => {}
        Zone::Utc => text.push_str("+00"),
        Zone::Offset(offset) => {
            let _ = write!(text, "{offset}");
        }
    }

    Some(())
}

fn write_fraction(nanos: u32, text: &mut String) {
    if nanos > 0 {
        let digits = format!("{nanos:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let written = |number: f64| {
            let mut text = String::new();
            write_float(number, &mut text);
            text
        };
        for (number, expected) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-2.5e300, "-2.5e+300"),
            (f64::NAN, ""),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(written(number), expected);
        }

        let mut text = String::new();
        write_float(0.1_f32, &mut text);
        assert_eq!(text, "0.1", "a float of 32 bits has its own shortest form");
    }

    #[test]
    fn decimals_and_halves_are_exact() {
        for (number, scale, expected) in
            [(1250, 2, "12.50"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000")]
        {
            let mut text = String::new();
            write_decimal(number, scale, &mut text);
            assert_eq!(text, expected);
        }

        assert_eq!(big_endian(&[0xff, 0x38]), Some(-200));
        assert_eq!(big_endian(&[0x00, 0xc8]), Some(200));
        assert_eq!(big_endian(&[0; 17]), None);
        let bits = [0x3c00, 0xc000, 0x0001].map(|bits| half(bits).to_bits());
        assert_eq!(bits, [1.0, -2.0, 2_f32.powi(-24)].map(f32::to_bits));
    }
}
