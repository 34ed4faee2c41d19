//! Golden rows: inputs with CatBoost's own answers.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A row of model inputs with CatBoost's own answers. Loading the model repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenRow {
    /// One value per model column.
    pub inputs: Vec<InputValue>,
    /// Log-odds of the bad class: CatBoost's `RawFormulaVal`.
    pub raw_value: f64,
    /// Probability of the bad class.
    pub probability: f64,
    /// What SHAP values start from, in log-odds.
    pub base_value: f64,
    /// One SHAP value per model column, in log-odds.
    pub shap_values: Vec<f64>,
}

/// A model input. JSON has no NaN and no infinities, so they are written as `null`, `"inf"` and
/// `"-inf"`.
#[derive(Debug, Clone, Copy)]
pub struct InputValue(pub f32);

// The comparison is by bits, and NaN equals NaN: two inputs are equal when a model can't tell them
// from each other.
impl PartialEq for InputValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl Serialize for InputValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => serializer.serialize_none(),
            f32::INFINITY => serializer.serialize_str("inf"),
            f32::NEG_INFINITY => serializer.serialize_str("-inf"),
            value => serializer.serialize_f64(f64::from(value)),
        }
    }
}

impl<'de> Deserialize<'de> for InputValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl Visitor<'_> for InputVisitor {
    type Value = InputValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a float32 number, null for NaN, \"inf\" or \"-inf\"")
    }

    fn visit_unit<E: de::Error>(self) -> Result<InputValue, E> {
        Ok(InputValue(f32::NAN))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<InputValue, E> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the next line checks that nothing was lost"
        )]
        let narrow = value as f32;
        if f64::from(narrow).to_bits() == value.to_bits() {
            Ok(InputValue(narrow))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<InputValue, E> {
        // An integer beyond 2^53 may be rounded here, by less than float32 rounds it anyway.
        #[expect(clippy::cast_precision_loss, reason = "float32 rounds more")]
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<InputValue, E> {
        #[expect(clippy::cast_precision_loss, reason = "float32 rounds more")]
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<InputValue, E> {
        match value {
            "inf" => Ok(InputValue(f32::INFINITY)),
            "-inf" => Ok(InputValue(f32::NEG_INFINITY)),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}
