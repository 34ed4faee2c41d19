//! A grid: one policy with some of its fields varied.

use limit_increase_domain::Policy;
use limit_increase_workflow::document::parse_policy;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

/// The most policies of a grid.
pub const MAX_POINTS: usize = 200;

/// A field of a policy and the values that it takes: `minimum_score=620..680:10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    field: String,
    values: Vec<Decimal>,
}

/// A field of a policy, set to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Where the field is, for example `tiers[0].growth`.
    pub field: String,
    /// Its value.
    pub value: Decimal,
}

/// What is wrong with a variation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariationError {
    /// The text is not of the form.
    #[error("{0:?} is not FIELD=FROM..TO:STEP, for example minimum_score=620..680:10")]
    Form(String),
    /// The range has no value, or too many.
    #[error("{0:?} has {1}")]
    Range(String, &'static str),
    /// The grid has too many policies.
    #[error("the grid has more than {MAX_POINTS} policies")]
    TooMany,
    /// A policy has no such number.
    #[error("the policy has no number {field:?}; it has {known}")]
    Unknown {
        /// The field.
        field: String,
        /// The fields that can be varied.
        known: String,
    },
    /// A value makes a policy that cannot be applied.
    #[error("with {settings} the policy cannot be applied: {problem}")]
    Refused {
        /// The values.
        settings: String,
        /// The field that is wrong, and why.
        problem: String,
    },
}

impl Variation {
    /// Reads `FIELD=FROM..TO:STEP`. Both ends belong to the range, and numbers are exact.
    ///
    /// # Errors
    /// When the text has another form, or the range no value or more than [`MAX_POINTS`].
    pub fn parse(text: &str) -> Result<Self, VariationError> {
        let parts = || {
            let (field, range) = text.split_once('=')?;
            let (from, rest) = range.split_once("..")?;
            let (to, step) = rest.split_once(':')?;
            let number = |text: &str| text.trim().parse::<Decimal>().ok();
            let field = field.trim();
            (!field.is_empty()).then_some((field, number(from)?, number(to)?, number(step)?))
        };
        let (field, from, to, step) =
            parts().ok_or_else(|| VariationError::Form(text.to_owned()))?;
        let range_error = |problem| VariationError::Range(text.to_owned(), problem);
        if step <= Decimal::ZERO {
            return Err(range_error("a step that is not above 0"));
        }

        if from > to {
            return Err(range_error("an end below its start"));
        }

        let mut values = Vec::new();
        let mut value = from;
        while value <= to {
            if values.len() == MAX_POINTS {
                return Err(range_error("too many values; take a larger step"));
            }

            values.push(value);
            value = value.checked_add(step).ok_or_else(|| range_error("a number too large"))?;
        }

        Ok(Self { field: field.to_owned(), values })
    }
}

/// Every combination of the variations' values, as policies that can be applied. The last
/// variation changes quickest.
///
/// # Errors
/// When the policy has no such field, or a value makes a policy that cannot be applied.
pub fn policies(
    base: &Policy,
    variations: &[Variation],
) -> Result<Vec<(Vec<Setting>, Policy)>, VariationError> {
    let mut points: Vec<Vec<Setting>> = vec![Vec::new()];
    for variation in variations {
        if points.len() * variation.values.len() > MAX_POINTS {
            return Err(VariationError::TooMany);
        }

        points = points
            .iter()
            .flat_map(|point| {
                variation.values.iter().map(|value| {
                    let setting = Setting { field: variation.field.clone(), value: *value };
                    point.iter().cloned().chain([setting]).collect()
                })
            })
            .collect();
    }

    points.into_iter().map(|settings| Ok((settings.clone(), apply(base, &settings)?))).collect()
}

/// The policy with these fields set.
fn apply(base: &Policy, settings: &[Setting]) -> Result<Policy, VariationError> {
    let mut document = serde_json::to_value(base).unwrap_or_default();
    for setting in settings {
        let unknown_error = |document: &Value| VariationError::Unknown {
            field: setting.field.clone(),
            known: numbers(document, String::new()).join(", "),
        };
        let pointer =
            format!("/{}", setting.field.replace('[', "/").replace(']', "").replace('.', "/"));
        let known = document.clone();
        let place = document.pointer_mut(&pointer).ok_or_else(|| unknown_error(&known))?;
        let text = setting.value.normalize().to_string();
        *place = match place {
            Value::String(text) if text.parse::<Decimal>().is_ok() => {
                Value::String(setting.value.to_string())
            }
            Value::Number(_) => text.parse().map_or(Value::String(text), Value::Number),
            _ => return Err(unknown_error(&known)),
        };
    }

    parse_policy(document.to_string().as_bytes())
        .map_err(|problem| VariationError::Refused { settings: shown(settings), problem })
}

/// The settings as a person reads them.
#[must_use]
pub fn shown(settings: &[Setting]) -> String {
    let one = |setting: &Setting| format!("{} {}", setting.field, setting.value);
    settings.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The places of all numbers of a document.
fn numbers(value: &Value, place: String) -> Vec<String> {
    let inner = |name: String, value: &Value| {
        let place = if place.is_empty() { name } else { format!("{place}.{name}") };
        numbers(value, place)
    };
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| inner(name.clone(), value)).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(at, value)| numbers(value, format!("{place}[{at}]")))
            .collect(),
        Value::String(text) if text.parse::<Decimal>().is_ok() => vec![place],
        Value::Number(_) => vec![place],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn grid(texts: &[&str]) -> Result<Vec<(Vec<Setting>, Policy)>, VariationError> {
        let variations: Result<Vec<_>, _> =
            texts.iter().map(|text| Variation::parse(text)).collect();
        policies(&Policy::default(), &variations?)
    }

    #[test]
    fn a_range_has_both_of_its_ends() {
        let points = grid(&["minimum_score=620..680:10"]).unwrap();
        let scores: Vec<i32> =
            points.iter().map(|(_, policy)| policy.minimum_score.value()).collect();
        assert_eq!(scores, [620, 630, 640, 650, 660, 670, 680]);
        // Nothing else differs.
        assert_eq!(points[3].1, Policy::default());
    }

    #[test]
    fn a_fraction_inside_a_list_is_exact() {
        let points = grid(&["tiers[0].growth=0.1..0.3:0.1"]).unwrap();
        let growths: Vec<String> =
            points.iter().map(|(_, policy)| policy.tiers[0].growth.to_string()).collect();
        assert_eq!(growths, ["0.1", "0.2", "0.3"]);
    }

    #[test]
    fn two_variations_are_combined() {
        let points =
            grid(&["minimum_score=640..650:10", "maximum_limit=15000..20000:5000"]).unwrap();
        let shown: Vec<String> = points.iter().map(|(settings, _)| shown(settings)).collect();
        assert_eq!(
            shown,
            [
                "minimum_score 640, maximum_limit 15000",
                "minimum_score 640, maximum_limit 20000",
                "minimum_score 650, maximum_limit 15000",
                "minimum_score 650, maximum_limit 20000",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("minimum_score", "is not FIELD=FROM..TO:STEP"),
            ("minimum_score=620..680", "is not FIELD=FROM..TO:STEP"),
            ("=1..2:1", "is not FIELD=FROM..TO:STEP"),
            ("minimum_score=620..680:0", "has a step that is not above 0"),
            ("minimum_score=680..620:10", "has an end below its start"),
            ("minimum_score=1..999:1", "has too many values"),
            ("floor=1..2:1", "it has eligibility.current_limit_below"),
            ("tiers=1..2:1", "the policy has no number \"tiers\""),
            ("minimum_score=620..621:0.5", "minimum_score 620.5 the policy cannot be applied"),
            ("maximum_limit=4000..4000:1", "tiers[0].limit_below"),
        ];
        for (text, words) in cases {
            let error = grid(&[text]).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }

        assert_eq!(
            grid(&["minimum_score=601..700:1", "maximum_limit=10000..20000:1000"]),
            Err(VariationError::TooMany)
        );
    }
}
