//! The pinned model of a run, loaded once per execution environment.

use std::sync::Arc;

use limit_increase_artifact::{Artifact, ArtifactError};
use limit_increase_scoring::Model;
use limit_increase_storage::Storage;
use limit_increase_workflow::{Failure, FailureKind, ModelPin};
use tokio::sync::Mutex;

use crate::count::Counters;

/// A model that can score, and what has to be counted of its customers.
pub(crate) struct LoadedModel {
    pub(crate) model: Model,
    pub(crate) counters: Counters,
}

/// Keeps the last model that was used, under the SHA-256 of its archive.
#[derive(Default)]
pub(crate) struct ModelCache {
    last: Mutex<Option<(String, Arc<LoadedModel>)>>,
}

impl ModelCache {
    /// The pinned model, from memory or from S3. Another model is never returned (promise 2).
    ///
    /// # Errors
    /// `Permanent.ModelChanged` when the object is not the pinned one, `Permanent.ModelInvalid`
    /// when it is not a model that can score, or the failure of the storage.
    pub(crate) async fn get(
        &self,
        storage: &Storage,
        pin: &ModelPin,
    ) -> Result<Arc<LoadedModel>, Failure> {
        let mut last = self.last.lock().await;
        if let Some((sha256, model)) = last.as_ref()
            && *sha256 == pin.sha256
        {
            return Ok(model.clone());
        }

        let object = storage.get_pinned(pin).await?;
        let loaded = Arc::new(load(&object.bytes, pin)?);
        tracing::info!(sha256 = pin.sha256, sources = loaded.model.inputs().len(), "model loaded");

        *last = Some((pin.sha256.clone(), loaded.clone()));
        Ok(loaded)
    }
}

/// Loads the archive of a pinned model.
fn load(archive: &[u8], pin: &ModelPin) -> Result<LoadedModel, Failure> {
    let place = format!("s3://{}/{}", pin.bucket, pin.key);
    let artifact = Artifact::open_pinned(archive, &pin.sha256).map_err(|error| match error {
        ArtifactError::Unpinned { .. } => {
            Failure::new(FailureKind::ModelChanged, format!("{place} {error}"))
        }
        _ => Failure::new(FailureKind::ModelInvalid, format!("{place}: {error}")),
    })?;

    let model = Model::load(&artifact)
        .map_err(|error| Failure::new(FailureKind::ModelInvalid, format!("{place}: {error}")))?;
    Ok(LoadedModel { model, counters: Counters::new(&artifact.manifest) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_domain::sha256_hex;

    const ARCHIVE: &[u8] = include_bytes!("../../../shared/scoring/tests/golden/depth_6.tar.gz");

    fn pin(sha256: String) -> ModelPin {
        ModelPin {
            bucket: "models".to_owned(),
            key: "model.tar.gz".to_owned(),
            version_id: None,
            etag: "\"0\"".to_owned(),
            sha256,
        }
    }

    #[test]
    fn exactly_the_pinned_archive_is_loaded() {
        assert!(load(ARCHIVE, &pin(sha256_hex(ARCHIVE))).is_ok());

        let failure = load(ARCHIVE, &pin("0".repeat(64))).err().unwrap();
        assert_eq!(failure.kind, FailureKind::ModelChanged);
        assert!(failure.message.contains("s3://models/model.tar.gz"), "{}", failure.message);
    }

    #[test]
    fn bytes_that_are_not_a_model_are_refused() {
        let failure = load(b"limit", &pin(sha256_hex(b"limit"))).err().unwrap();
        assert_eq!(failure.kind, FailureKind::ModelInvalid);
    }

    #[test]
    fn other_bytes_than_the_pinned_ones_are_a_changed_model_whatever_they_are() {
        let failure = load(b"limit", &pin(sha256_hex(ARCHIVE))).err().unwrap();
        assert_eq!(failure.kind, FailureKind::ModelChanged);
    }
}
