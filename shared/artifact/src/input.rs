//! The inputs of a model: what it reads of a customer, before encoding.

use limit_increase_domain::{ColumnKind, SourceColumn};

use crate::manifest::{Manifest, ModelColumn, ModelColumnKind};

/// An input of the model: a source column and its description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInput {
    /// The column of the customer's table.
    pub column: SourceColumn,
    /// The name that customers read in a reason.
    pub description: String,
}

impl Manifest {
    /// The inputs, in the order of the model's columns.
    #[must_use]
    pub fn inputs(&self) -> Vec<ModelInput> {
        // The columns of one source are next to each other: parsing a manifest checks that.
        let groups = self.columns.chunk_by(|left, right| left.source_column == right.source_column);
        groups.filter_map(<[ModelColumn]>::first).map(ModelColumn::input).collect()
    }

    /// The source columns of the inputs, in the same order.
    #[must_use]
    pub fn source_columns(&self) -> Vec<SourceColumn> {
        self.inputs().into_iter().map(|input| input.column).collect()
    }
}

impl ModelColumn {
    fn input(&self) -> ModelInput {
        let kind = match self.kind {
            ModelColumnKind::Numeric => ColumnKind::Number,
            ModelColumnKind::OneHot => ColumnKind::Category,
        };

        ModelInput {
            column: SourceColumn { name: self.source_column.clone(), kind },
            description: self.description.clone(),
        }
    }
}
