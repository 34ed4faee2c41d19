//! From event to opened run.

use chrono::Utc;
use limit_increase_database::Credentials;
use limit_increase_database::{Database, database_failure, find_run, hold_run};
use limit_increase_runtime::environment;
use limit_increase_storage::Storage;
use limit_increase_storage::aws;
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::keys;
use limit_increase_workflow::{Failure, FailureKind};
use serde_json::Value;

use crate::open::{self, Place};
use crate::request;
use crate::resume;

/// What outlives an event.
pub(crate) struct Handler {
    storage: Storage,
    place: Place,
    database: Database,
}

impl Handler {
    /// Reads the environment and makes the clients.
    pub(crate) async fn new() -> Self {
        let config = aws::load_config().await;
        Self {
            storage: Storage::new(aws::s3_client(&config)),
            place: Place {
                bucket: environment::or_default("BUCKET", keys::DEFAULT_BUCKET),
                model_key: environment::or_default("MODEL_KEY", keys::DEFAULT_MODEL_KEY),
                policy_key: environment::or_default("POLICY_KEY", keys::DEFAULT_POLICY_KEY),
            },
            database: Database::new(Credentials::from_environment(&config)),
        }
    }

    /// Opens the run that the event asks for; asked again for a run that is open, answers with what is left to do.
    ///
    /// # Errors
    /// See the failures of the steps: request, model, policy, database, storage.
    pub(crate) async fn handle(
        &self,
        event: Value,
        request_id: String,
    ) -> Result<RunOpened, Failure> {
        let started_at = Utc::now();
        let order = request::read(event, &request_id, started_at)?;
        let mut client = self.database.client().await?;
        // Held until the run is open: of two attempts at once the second one finds what the first has done, and
        // does not write its own customers over the other's.
        let opening = hold_run(&mut client, &order.run_id).await?;
        if let Some(known) = find_run(opening.client(), &order.run_id).await? {
            if known.request != order.request {
                return Err(Failure::new(
                    FailureKind::RunConflict,
                    format!(
                        "run {} was opened with another request; give this one another name",
                        order.run_id
                    ),
                ));
            }

            return resume::resume(opening.client(), &self.storage, known.opened).await;
        }

        let opened =
            open::open(opening.client(), &self.storage, &self.place, &order, started_at).await?;
        opening.commit().await.map_err(|error| database_failure("opening the run", &error))?;
        tracing::info!(
            eligible = opened.eligible,
            shards = opened.shard_count,
            model = opened.run.model.sha256,
            "run opened"
        );

        Ok(opened)
    }
}
