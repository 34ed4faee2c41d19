//! Checks of a manifest's content, after its JSON was read.
//!
//! The manifest is untrusted input. What contradicts itself is refused with the place in the
//! document, before anything is scored or written (promise 10).

use std::collections::{HashMap, HashSet};

use crate::error::ArtifactError;
use crate::golden::GoldenRow;
use crate::manifest::{
    MAX_GOLDEN_ROWS, MAX_MODEL_COLUMNS, MAX_SPECIAL_VALUES, Manifest, ModelColumn, ModelColumnKind,
    ScorecardParameters,
};
use crate::spelling::{SpellingStep, normal_form};

/// The longest name of a source column, which is PostgreSQL's limit for identifiers.
const MAX_COLUMN_BYTES: usize = 63;
/// The longest meaning of a special value, in characters.
const MAX_MEANING_CHARS: usize = 80;
/// The largest score. Larger ones are a mistake in the scorecard, and may not fit into the integer
/// that holds a score.
const MAX_SCORE: f64 = 1e6;

pub(crate) type Check = Result<(), ArtifactError>;

pub(crate) fn invalid_error(path: impl Into<String>, reason: impl Into<String>) -> ArtifactError {
    ArtifactError::Invalid { path: path.into(), reason: reason.into() }
}

impl Manifest {
    pub(crate) fn validate(&self) -> Check {
        self.scorecard.validate()?;
        if self.columns.is_empty() || self.columns.len() > MAX_MODEL_COLUMNS {
            return Err(invalid_error(
                "features",
                format!("{} columns, 1 to {MAX_MODEL_COLUMNS} are accepted", self.columns.len()),
            ));
        }

        self.validate_names()?;
        for (position, column) in self.columns.iter().enumerate() {
            column.validate(&format!("features[{position}]"))?;
        }

        self.validate_sources()?;
        self.validate_spelling()?;
        self.validate_profile()?;
        if self.golden_rows.is_empty() || self.golden_rows.len() > MAX_GOLDEN_ROWS {
            let rows = self.golden_rows.len();
            return Err(invalid_error(
                "golden_rows",
                format!("{rows} rows, 1 to {MAX_GOLDEN_ROWS} are accepted"),
            ));
        }

        for (position, row) in self.golden_rows.iter().enumerate() {
            row.validate(&format!("golden_rows[{position}]"), self.columns.len())?;
        }

        Ok(())
    }

    fn validate_names(&self) -> Check {
        let mut seen = HashSet::new();
        for (position, column) in self.columns.iter().enumerate() {
            if !seen.insert(column.name.as_str()) {
                return Err(invalid_error(
                    format!("features[{position}].name"),
                    format!("{:?} is there twice", column.name),
                ));
            }
        }

        Ok(())
    }

    /// The columns of one source are next to each other, are of one kind, and have each category
    /// once.
    fn validate_sources(&self) -> Check {
        let mut seen = HashSet::new();
        let mut position = 0;
        for group in self.columns.chunk_by(|left, right| left.source_column == right.source_column)
        {
            let [first, others @ ..] = group else { continue };
            let path = format!("features[{position}]");
            position += group.len();
            if !seen.insert(first.source_column.as_str()) {
                return Err(invalid_error(
                    path,
                    format!("columns of {:?} are not next to each other", first.source_column),
                ));
            }

            if others.iter().any(|other| other.kind != first.kind) {
                return Err(invalid_error(
                    path,
                    format!("{:?} is both numeric and categorical", first.source_column),
                ));
            }

            if first.kind == ModelColumnKind::Numeric && !others.is_empty() {
                return Err(invalid_error(
                    path,
                    format!("numeric {:?} has several columns", first.source_column),
                ));
            }

            if others.iter().any(|other| other.description != first.description) {
                return Err(invalid_error(
                    path,
                    format!("{:?} has several descriptions", first.source_column),
                ));
            }

            let mut categories = HashSet::new();
            if let Some(twice) = group.iter().find(|column| !categories.insert(&column.category)) {
                return Err(invalid_error(
                    path,
                    format!("category of {:?} is there twice", twice.name),
                ));
            }
        }

        Ok(())
    }
}

impl Manifest {
    /// No two categories of a column have one normal form, and none has that of a missing value.
    fn validate_spelling(&self) -> Check {
        let mut categories: HashMap<&str, Vec<&str>> = HashMap::new();
        for column in &self.columns {
            if let Some(category) = &column.category {
                let named = categories.entry(column.source_column.as_str()).or_default();
                named.extend(category.as_deref());
            }
        }

        for (column, steps) in &self.category_spelling {
            let error = |reason: String| invalid_error("category_spelling", reason);
            let categories = categories
                .get(column.as_str())
                .ok_or_else(|| error(format!("{column:?} is no column of categories")))?;
            if !steps.is_sorted_by(|left, right| left < right) {
                return Err(error(format!("the steps of {column:?} are not in their order")));
            }

            keep_apart(steps, categories)
                .map_err(|problem| error(format!("in {column:?} {problem}")))?;
        }

        Ok(())
    }
}

/// Checks that the categories differ in their normal forms, so that no value could be two of them.
fn keep_apart(steps: &[SpellingStep], categories: &[&str]) -> Result<(), String> {
    let mut forms = HashMap::new();
    for &category in categories {
        let form = normal_form(steps, category);
        if form.is_empty() {
            return Err(format!("{category:?} would be a missing value"));
        }

        if let Some(other) = forms.insert(form, category) {
            return Err(format!("{other:?} and {category:?} would be one category"));
        }
    }

    Ok(())
}

impl ModelColumn {
    fn validate(&self, path: &str) -> Check {
        let column = &self.source_column;
        if column.is_empty() || column.len() > MAX_COLUMN_BYTES || column.contains('\0') {
            let reason =
                format!("{column:?} is not a column name of 1 to {MAX_COLUMN_BYTES} bytes");
            return Err(invalid_error(format!("{path}.source_column"), reason));
        }

        if self.description.trim().is_empty() {
            return Err(invalid_error(
                format!("{path}.description"),
                "is empty, but customers read it",
            ));
        }

        self.validate_special(path)?;
        if self.monotone.is_some() && self.kind != ModelColumnKind::Numeric {
            return Err(invalid_error(
                format!("{path}.monotone"),
                "only a numeric feature has a direction",
            ));
        }

        match (self.kind, &self.category, &self.median) {
            (ModelColumnKind::Numeric, None, Some(_)) => Ok(()),
            (ModelColumnKind::OneHot, Some(category), None) => match category.as_deref() {
                // An encoder treats NULL and the empty text alike. With both it would find two
                // columns.
                Some("") => Err(invalid_error(
                    format!("{path}.category"),
                    "is empty text; a missing value is null",
                )),
                _ => Ok(()),
            },
            (ModelColumnKind::Numeric, ..) => {
                Err(invalid_error(path, "a numeric feature has a median and no category"))
            }
            (ModelColumnKind::OneHot, ..) => {
                Err(invalid_error(path, "a one-hot feature has a category and no median"))
            }
        }
    }

    fn validate_special(&self, path: &str) -> Check {
        let special = &self.special;
        let error = |reason: &str| Err(invalid_error(format!("{path}.special"), reason));
        if !special.is_empty() && self.kind != ModelColumnKind::Numeric {
            return error("only a numeric feature has special values");
        }

        if special.len() > MAX_SPECIAL_VALUES {
            return error(&format!(
                "{} values, at most {MAX_SPECIAL_VALUES} are accepted",
                special.len()
            ));
        }

        let mut values = HashSet::new();
        for one in special {
            // Adding zero makes zero of minus zero, which is the same number.
            if !one.value.is_finite() || !values.insert((one.value + 0.0).to_bits()) {
                return error(&format!("{} is there twice, or is not finite", one.value));
            }

            if one.meaning.trim().is_empty() || one.meaning.chars().count() > MAX_MEANING_CHARS {
                return error("a meaning is empty or too long, but customers read it");
            }
        }

        Ok(())
    }
}

impl ScorecardParameters {
    fn validate(&self) -> Check {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(self.pdo) || self.pdo > MAX_SCORE {
            return Err(invalid_error(
                "scorecard.pdo",
                format!("{} is not a positive number of points", self.pdo),
            ));
        }

        if !positive(self.target_odds) {
            return Err(invalid_error(
                "scorecard.target_odds",
                format!("{} is not a positive ratio", self.target_odds),
            ));
        }

        if !self.target_score.is_finite() || self.target_score.abs() > MAX_SCORE {
            return Err(invalid_error(
                "scorecard.target_score",
                format!("{} is not a score", self.target_score),
            ));
        }

        Ok(())
    }
}

impl GoldenRow {
    fn validate(&self, path: &str, columns: usize) -> Check {
        for (field, found) in
            [("inputs", self.inputs.len()), ("shap_values", self.shap_values.len())]
        {
            if found != columns {
                return Err(invalid_error(
                    format!("{path}.{field}"),
                    format!("has {found} values for {columns} columns"),
                ));
            }
        }

        // JSON has no infinities, but it has 1e999.
        let figures = [self.raw_value, self.probability, self.base_value];
        if figures.iter().chain(&self.shap_values).any(|value| !value.is_finite()) {
            return Err(invalid_error(path, "has an answer that is not finite"));
        }

        if !(0.0..=1.0).contains(&self.probability) {
            return Err(invalid_error(
                format!("{path}.probability"),
                format!("{} is not a probability", self.probability),
            ));
        }

        Ok(())
    }
}
