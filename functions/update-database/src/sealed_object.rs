//! Writing an object that the seal of a run vouches for.

use bytes::Bytes;
use limit_increase_storage::Storage;
use limit_increase_workflow::Failure;

/// Writes an object of a run that is being closed, and returns its key and its hash for the seal.
///
/// It replaces only the version that was there while the run's row was locked. So an attempt that
/// was frozen, until another one closed the run, cannot put its own object over the sealed one
/// (promise 15).
///
/// # Errors
/// The failure of the storage.
pub(crate) async fn write_sealed(
    storage: &Storage,
    bucket: &str,
    key: String,
    (content, media_type): (Bytes, &str),
) -> Result<(String, String), Failure> {
    let previous = storage.etag(bucket, &key).await?;
    let written = storage.replace(bucket, &key, previous.as_deref(), content, media_type).await?;
    Ok((key, written.sha256))
}
