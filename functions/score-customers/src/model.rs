//! The model of the present run, loaded once per environment.

use std::sync::Arc;

use limit_increase_artifact::Artifact;
use limit_increase_domain::sha256_hex;
use limit_increase_scoring::Model;
use limit_increase_storage::Storage;
use limit_increase_workflow::{Failure, FailureKind, ModelPin};
use tokio::sync::Mutex;

/// Keeps the last model used, by the hash of its archive.
#[derive(Default)]
pub(crate) struct ModelCache {
    last: Mutex<Option<(String, Arc<Model>)>>,
}

impl ModelCache {
    /// The pinned model, from memory or from S3.
    ///
    /// # Errors
    /// `Permanent.ModelChanged` when the object is not the pinned one, `Permanent.ModelInvalid` when it can't be
    /// scored with, or the storage's failure.
    pub(crate) async fn get(
        &self,
        storage: &Storage,
        pin: &ModelPin,
    ) -> Result<Arc<Model>, Failure> {
        let mut last = self.last.lock().await;
        if let Some((sha256, model)) = last.as_ref()
            && *sha256 == pin.sha256
        {
            return Ok(model.clone());
        }

        let place = format!("s3://{}/{}", pin.bucket, pin.key);
        let object = storage.get_pinned(pin).await?;
        let sha256 = sha256_hex(&object.bytes);
        if sha256 != pin.sha256 {
            let message = format!(
                "{place} has sha256 {sha256}, but the run was opened with {}; start a new run",
                pin.sha256
            );

            return Err(Failure::new(FailureKind::ModelChanged, message));
        }

        let invalid = |error: &dyn std::error::Error| {
            Failure::new(FailureKind::ModelInvalid, format!("{place}: {error}"))
        };

        let artifact = Artifact::open(&object.bytes).map_err(|error| invalid(&error))?;
        let model = Arc::new(Model::load(&artifact).map_err(|error| invalid(&error))?);
        tracing::info!(sha256, sources = model.inputs().len(), "model loaded");
        *last = Some((sha256, model.clone()));
        Ok(model)
    }
}
