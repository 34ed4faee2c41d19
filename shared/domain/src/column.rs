//! The columns of the lender's table that the model reads.

use std::fmt;

/// What a source column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// A number; one model column.
    Number,
    /// A category, as text; one model column per category.
    Category,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "number",
            Self::Category => "category",
        })
    }
}

/// A column of the lender's table that the model reads. It is a column of `customer_features` in
/// the database, and `feature_<name>` in the hand-off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceColumn {
    /// Name of the column in the table.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

impl SourceColumn {
    /// A column of numbers.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnKind::Number }
    }

    /// A column of categories.
    pub fn category(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnKind::Category }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_shown_as_a_word_of_a_sentence() {
        assert_eq!(ColumnKind::Number.to_string(), "number");
        assert_eq!(ColumnKind::Category.to_string(), "category");
    }

    #[test]
    fn a_column_has_the_kind_that_it_was_made_with() {
        let (number, category) = (SourceColumn::number("age"), SourceColumn::category("region"));
        assert_eq!((number.name.as_str(), number.kind), ("age", ColumnKind::Number));
        assert_eq!((category.name.as_str(), category.kind), ("region", ColumnKind::Category));
    }
}
