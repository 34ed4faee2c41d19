//! A challenger: another model, which scores the stored inputs of a run again.

use std::path::Path;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use limit_increase_analysis::comparison::ChallengerScore;
use limit_increase_artifact::Artifact;
use limit_increase_handoff::customers::Customers;
use limit_increase_handoff::scored::Scored;
use limit_increase_handoff::{HandoffError, row_count};
use limit_increase_scoring::{Model, Prediction};
use limit_increase_scoring_step::frame;

use limit_increase::terminal::Problem;

/// The model of a file.
pub(super) struct Challenger {
    /// What people call it: the file's name.
    pub(super) name: String,
    model: Model,
}

impl Challenger {
    /// Reads the model as a run would read it.
    ///
    /// # Errors
    /// When the file is not an artifact that can score.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let model_problem = |why: String| {
            Problem::usage(format!("the challenger cannot be used: {why}"))
                .at(path.display().to_string())
                .next("give an artifact of the trainer, a tar.gz: limit-increase train makes one")
        };

        let archive = std::fs::read(path).map_err(|error| model_problem(error.to_string()))?;
        let artifact =
            Artifact::open(&archive).map_err(|error| model_problem(error.to_string()))?;
        let model = Model::load(&artifact).map_err(|error| model_problem(error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self { name: name.trim_end_matches(".tar.gz").to_owned(), model })
    }

    /// Scores a shard's customers, in the order in which the run scored them.
    ///
    /// # Errors
    /// When the run has not stored a column that the model reads, or the two files are not of the
    /// same customers.
    pub(super) fn score(
        &self,
        customers: Bytes,
        scored: &Scored,
    ) -> Result<Vec<Option<ChallengerScore>>> {
        let rows = row_count(&customers)?;
        let customers = Customers::read(customers, rows)?;
        anyhow::ensure!(
            *customers.ids()? == *scored.columns()?.ids,
            "the customers and the scores of a shard are not of the same customers"
        );

        let frame = frame(self.model.inputs(), &customers).map_err(|error| self.explain(error))?;
        let predictions = self.model.predict(&frame).context("the challenger cannot score")?;
        let score = |of: Prediction| ChallengerScore { raw_value: of.raw_value, score: of.score };
        Ok(predictions.into_iter().map(|prediction| prediction.map(score)).collect())
    }

    fn explain(&self, error: HandoffError) -> anyhow::Error {
        let (HandoffError::MissingColumn(column) | HandoffError::ColumnType { column, .. }) =
            &error
        else {
            return error.into();
        };

        let column = column.trim_start_matches("feature_");
        Problem::usage(format!(
            "{} reads the column {column:?}, which the run did not store, or not as such",
            self.name
        ))
        .next(
            "compare it on a dry run of the challenger itself, in a stage of its own \
             (docs/aws.md), or on a run of a model that reads the column",
        )
        .into()
    }
}
