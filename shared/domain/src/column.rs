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

/// A column of the lender's table that the model reads: `customer_features` in the database, `feature_<name>` in
/// the hand-off.
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
