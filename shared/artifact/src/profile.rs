//! What the training has counted, and the checks of it.

use limit_increase_domain::{Bins, ColumnKind, Distribution};

use crate::manifest::{InputDistribution, MAX_PROFILED_INPUTS, Manifest};
use crate::validate::{Check, invalid_error};

impl Manifest {
    /// How the values of a source column are spread among the training rows, if the training has
    /// counted them.
    #[must_use]
    pub fn distribution(&self, source_column: &str) -> Option<&Distribution> {
        let mut inputs = self.profile.iter().flat_map(|profile| &profile.inputs);
        inputs.find(|input| input.source_column == source_column).map(|input| &input.values)
    }

    /// The profile goes with the version, and speaks of the model's own inputs and categories.
    pub(crate) fn validate_profile(&self) -> Check {
        let Some(profile) = &self.profile else {
            return match self.schema_version {
                1 => Ok(()),
                version => {
                    Err(invalid_error("profile", format!("is missing in version {version}")))
                }
            };
        };

        if self.schema_version == 1 {
            return Err(invalid_error("profile", "is not a field of version 1"));
        }

        profile.scores.check().map_err(|reason| invalid_error("profile.scores", reason))?;
        if !matches!(profile.scores.bins, Bins::Bounds(_)) {
            return Err(invalid_error("profile.scores", "are numbers and not categories"));
        }

        if profile.inputs.len() > MAX_PROFILED_INPUTS {
            let inputs = profile.inputs.len();
            return Err(invalid_error(
                "profile.inputs",
                format!("{inputs} inputs, at most {MAX_PROFILED_INPUTS} are accepted"),
            ));
        }

        // Each input is looked for behind the one before it.
        let mut columns = self.inputs_with_categories().into_iter();
        for (position, input) in profile.inputs.iter().enumerate() {
            let path = format!("profile.inputs[{position}]");
            let found = columns.find(|(column, _)| column.column.name == input.source_column);
            let Some((column, categories)) = found else {
                let reason =
                    format!("{:?} is no input, or not in their order", input.source_column);
                return Err(invalid_error(path, reason));
            };

            let names = categories.as_ref().map(|categories| categories.names());
            input
                .check(column.column.kind, &names.unwrap_or_default())
                .map_err(|reason| invalid_error(path, reason))?;
        }

        Ok(())
    }
}

impl InputDistribution {
    /// Checks the bins of an input of this kind. `categories` are sorted.
    fn check(&self, kind: ColumnKind, categories: &[&str]) -> Result<(), String> {
        self.values.check()?;
        match (&self.values.bins, kind) {
            (Bins::Bounds(_), ColumnKind::Number) => Ok(()),
            (Bins::Categories(binned), ColumnKind::Category) => {
                let unknown =
                    binned.iter().find(|name| categories.binary_search(&name.as_str()).is_err());
                match unknown {
                    Some(name) => Err(format!("{name:?} is no category of the model")),
                    None => Ok(()),
                }
            }
            (_, kind) => Err(format!("its bins are not those of a {kind}")),
        }
    }
}
