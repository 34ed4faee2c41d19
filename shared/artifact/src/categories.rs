//! The categories of a source column, and which of them a customer's value is.

use std::collections::HashMap;

use limit_increase_domain::ColumnKind;

use crate::input::ModelInput;
use crate::manifest::{Manifest, ModelColumn};
use crate::spelling::{SpellingStep, normal_form};

/// The categories of one source column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Categories {
    /// The model column of each category, as an offset from the source's first one.
    offsets: HashMap<String, usize>,
    /// The same by normal form, where that is not the category itself.
    by_form: HashMap<String, usize>,
    steps: Vec<SpellingStep>,
    /// The model column of a missing value, if the model has one.
    missing: Option<usize>,
    width: usize,
}

/// What a customer's value is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CategoryMatch {
    /// The category with this offset from the source's first model column.
    Known(usize),
    /// A missing value.
    Missing,
    /// No category that the model was trained with.
    Unknown,
}

impl Categories {
    /// The categories of the model columns of one source, and the steps by which its values are
    /// compared.
    #[must_use]
    pub fn new(columns: &[ModelColumn], steps: &[SpellingStep]) -> Self {
        let category = |column: &ModelColumn| column.category.clone().flatten();
        let named = |(offset, column)| Some((category(column)?, offset));
        let offsets: HashMap<String, usize> =
            columns.iter().enumerate().filter_map(named).collect();
        let form = |(category, offset): (&String, &usize)| {
            let form = normal_form(steps, category);
            (!offsets.contains_key(form.as_ref())).then(|| (form.into_owned(), *offset))
        };

        Self {
            by_form: offsets.iter().filter_map(form).collect(),
            offsets,
            steps: steps.to_vec(),
            missing: columns.iter().position(|column| category(column).is_none()),
            width: columns.len(),
        }
    }

    /// What a value is: the category that is written exactly so, or else the one that means the
    /// same. NULL and the empty text are missing.
    #[must_use]
    pub fn find(&self, value: Option<&str>) -> CategoryMatch {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return CategoryMatch::Missing;
        };

        if let Some(offset) = self.offsets.get(value) {
            return CategoryMatch::Known(*offset);
        }

        if self.steps.is_empty() {
            return CategoryMatch::Unknown;
        }

        let form = normal_form(&self.steps, value);
        if form.is_empty() {
            return CategoryMatch::Missing;
        }

        let by_form = || self.by_form.get(form.as_ref());
        match self.offsets.get(form.as_ref()).or_else(by_form) {
            Some(offset) => CategoryMatch::Known(*offset),
            None => CategoryMatch::Unknown,
        }
    }

    /// The model column of a missing value, if the model was trained with one.
    #[must_use]
    pub const fn missing(&self) -> Option<usize> {
        self.missing
    }

    /// The number of model columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The categories, in the order of their texts.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.offsets.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

impl Manifest {
    /// The inputs in the order of the model's columns, each with its categories; `None` for a
    /// number.
    #[must_use]
    pub fn inputs_with_categories(&self) -> Vec<(ModelInput, Option<Categories>)> {
        let groups = self.columns.chunk_by(|left, right| left.source_column == right.source_column);
        let pair = |(input, columns): (ModelInput, &[ModelColumn])| {
            let steps = self.category_spelling.get(&input.column.name);
            let categories = (input.column.kind == ColumnKind::Category)
                .then(|| Categories::new(columns, steps.map_or(&[], Vec::as_slice)));
            (input, categories)
        };

        self.inputs().into_iter().zip(groups).map(pair).collect()
    }
}
