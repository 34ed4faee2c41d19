//! What the model reads of a customer, before encoding.

use crate::manifest::{Feature, FeatureKind, Manifest};

/// A column of the customer's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name in the customer's table.
    pub column: String,
    /// Name that a reader of a reason understands.
    pub description: String,
    /// Numbers or texts.
    pub kind: SourceKind,
}

/// What a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// Numbers, one model column.
    Numeric,
    /// Texts, one model column per category.
    Categorical,
}

impl From<FeatureKind> for SourceKind {
    fn from(kind: FeatureKind) -> Self {
        match kind {
            FeatureKind::Numeric => Self::Numeric,
            FeatureKind::OneHot => Self::Categorical,
        }
    }
}

impl Manifest {
    /// The source columns, in the order in which the model's columns come from them.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        // Columns of one source are consecutive: the manifest is validated when it is parsed.
        let groups = self.features.chunk_by(|left, right| left.source_column == right.source_column);
        groups.filter_map(<[Feature]>::first).map(Feature::source).collect()
    }
}

impl Feature {
    fn source(&self) -> Source {
        Source { column: self.source_column.clone(), description: self.description.clone(), kind: self.kind.into() }
    }
}
