//! From an event to an opened run.

use chrono::Utc;
use limit_increase_database::{Database, OpeningRun};
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::{Failure, FailureKind, RunRequest};
use serde_json::Value;

use crate::open::{Locations, open_run};
use crate::request::{self, RunOrder};
use crate::resume::resume_run;

/// Handles all events of an execution environment, which keeps its clients between them.
pub(crate) struct Handler {
    storage: Storage,
    locations: Locations,
    /// The request of a scheduled event. If the deployment names a wrong one, such an event fails
    /// with the reason, and the function still starts.
    nightly: Result<RunRequest, Failure>,
    database: Database,
}

impl Handler {
    pub(crate) const fn new(
        storage: Storage,
        locations: Locations,
        nightly: Result<RunRequest, Failure>,
        database: Database,
    ) -> Self {
        Self { storage, locations, nightly, database }
    }

    /// Opens the run that the event asks for, once (promise 7). For a run that is open already, the
    /// answer is what is left to do (promise 4).
    ///
    /// The event is not parsed before, because it has three forms: see [`request::read`].
    ///
    /// # Errors
    /// The failure of the request, of the model, of the policy, of the database or of the storage.
    pub(crate) async fn handle(
        &self,
        event: Value,
        request_id: String,
    ) -> Result<RunOpened, Failure> {
        let started_at = Utc::now();
        let order = request::read(event, &request_id, started_at, &self.nightly)?;

        let mut client = self.database.client().await?;
        let opening = OpeningRun::hold(&mut client, &order.run_id, order.execution).await?;
        if let Some(known) = opening.find().await? {
            // A redrive of a nightly run may come after the deployment's parameters have changed.
            // The run keeps the request with which it was opened.
            if !order.nightly && known.request != order.request {
                return Err(other_request_failure(&order));
            }

            opening.reopen().await?;
            let left = resume_run(&opening, &self.storage, known.opened).await?;
            opening.commit().await?;
            return Ok(left);
        }

        let opened = open_run(&opening, &self.storage, &self.locations, &order, started_at).await?;
        opening.commit().await?;

        tracing::info!(
            eligible = opened.eligible,
            shards = opened.shard_count,
            model = opened.run.model.sha256,
            "run opened"
        );

        Ok(opened)
    }
}

fn other_request_failure(order: &RunOrder) -> Failure {
    Failure::new(
        FailureKind::RunConflict,
        format!("run {} was opened with another request; give this one another name", order.run_id),
    )
}
