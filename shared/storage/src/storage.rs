//! S3 as the steps use it: whole objects, bounded in size, with errors by their stable names.

use std::fmt::Write as _;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use limit_increase_workflow::{Failure, FailureKind, ModelPin};

use limit_increase_domain::sha256_hex;

/// No object of the hand-off or model may be larger, in bytes; it has to fit into a function's memory.
pub const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;

/// The user metadata under which [`Storage::put`] records the content's hash.
const SHA256: &str = "sha256";

/// An object with what identifies its exact content.
#[derive(Debug, Clone)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// Entity tag as S3 gave it, quotes included.
    pub etag: String,
    /// Version, in a versioned bucket.
    pub version_id: Option<String>,
    /// Hash of the content as its writer recorded it, if it was one of ours.
    pub sha256: Option<String>,
}

/// Reads and writes whole objects.
#[derive(Debug, Clone)]
pub struct Storage {
    client: Client,
}

impl Storage {
    /// Storage through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The newest version of an object, `None` if there is none.
    ///
    /// # Errors
    /// `Transient.Storage`, or `Permanent.StorageRefused` for denied access, a missing bucket or an object over
    /// [`MAX_OBJECT_BYTES`].
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, Failure> {
        let request = self.client.get_object().bucket(bucket).key(key);
        match request.send().await {
            Ok(output) => read_body(output, bucket, key).await.map(Some),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failure("read", bucket, key, &error)),
        }
    }

    /// An object that an earlier step wrote, verified by the SHA-256 that was written with it.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the object is missing or its bytes are not those that were
    /// written; otherwise as [`Storage::get`].
    pub async fn get_verified(&self, bucket: &str, key: &str) -> Result<Bytes, Failure> {
        let object = self.get(bucket, key).await?.ok_or_else(|| {
            let message = format!(
                "s3://{bucket}/{key} is missing, though the step before wrote it; start a new run"
            );

            Failure::new(FailureKind::HandoffInvalid, message)
        })?;

        // Parquet pages would take a flipped bit for another amount.
        let found = sha256_hex(&object.bytes);
        match object.sha256 {
            Some(expected) if expected == found => Ok(object.bytes),
            expected => {
                let expected = expected.as_deref().unwrap_or("none recorded");
                let message = format!(
                    "s3://{bucket}/{key} is damaged: its sha256 is {found}, it was written as {expected}; start a new run"
                );

                Err(Failure::new(FailureKind::HandoffInvalid, message))
            }
        }
    }

    /// Exactly the object that a run has pinned.
    ///
    /// # Errors
    /// `Permanent.ModelChanged` when another object is now under the key and the pinned one is gone; else as [`Storage::get`].
    pub async fn get_pinned(&self, pin: &ModelPin) -> Result<Object, Failure> {
        let request = self
            .client
            .get_object()
            .bucket(&pin.bucket)
            .key(&pin.key)
            .set_version_id(pin.version_id.clone())
            .if_match(&pin.etag);
        match request.send().await {
            Ok(output) => read_body(output, &pin.bucket, &pin.key).await,
            Err(error) if is_missing(&error) || status(&error) == Some(412) => Err(Failure::new(
                FailureKind::ModelChanged,
                format!(
                    "s3://{}/{}: the model this run was opened with (ETag {}) has been replaced or removed; start a new run to use the present one",
                    pin.bucket, pin.key, pin.etag
                ),
            )),
            Err(error) => Err(failure("read", &pin.bucket, &pin.key, &error)),
        }
    }

    /// Writes an object, over whatever was there.
    ///
    /// # Errors
    /// `Transient.Storage` or `Permanent.StorageRefused`.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<(), Failure> {
        let sent = self.put_request(bucket, key, bytes, content_type).send().await;
        sent.map(|_| ()).map_err(|error| failure("write", bucket, key, &error))
    }

    /// The entity tag of what is under a key now, for [`Storage::replace`]; `None` if nothing is.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub async fn etag(&self, bucket: &str, key: &str) -> Result<Option<String>, Failure> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(output) => Ok(output.e_tag),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failure("look at", bucket, key, &error)),
        }
    }

    /// Writes an object in place of the one with this entity tag, or of none.
    ///
    /// # Errors
    /// `Transient.Storage` when another is there meanwhile; else as [`Storage::put`].
    pub async fn replace(
        &self,
        bucket: &str,
        key: &str,
        previous: Option<&str>,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<(), Failure> {
        let request = self.put_request(bucket, key, bytes, content_type);
        let request = match previous {
            Some(etag) => request.if_match(etag),
            None => request.if_none_match("*"),
        };

        match request.send().await {
            Ok(_) => Ok(()),
            // S3 answers 409 while the two writes are under way, and 404 when what was to be replaced is gone.
            Err(error) if matches!(status(&error), Some(409 | 412)) || is_missing(&error) => {
                Err(Failure::new(
                    FailureKind::TransientStorage,
                    format!("s3://{bucket}/{key}: another attempt has written it meanwhile"),
                ))
            }
            Err(error) => Err(failure("write", bucket, key, &error)),
        }
    }

    fn put_request(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        content_type: &str,
    ) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .metadata(SHA256, sha256_hex(&bytes))
            .body(ByteStream::from(bytes))
    }
}

async fn read_body(
    output: aws_sdk_s3::operation::get_object::GetObjectOutput,
    bucket: &str,
    key: &str,
) -> Result<Object, Failure> {
    let expected =
        output.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
    let etag = output.e_tag().unwrap_or_default().to_owned();
    let version_id = output.version_id().filter(|id| *id != "null").map(str::to_owned);
    let sha256 = output.metadata().and_then(|metadata| metadata.get(SHA256)).cloned();
    let too_large = || {
        Failure::new(
            FailureKind::StorageRefused,
            format!(
                "s3://{bucket}/{key} is larger than the {MAX_OBJECT_BYTES} bytes that a function takes"
            ),
        )
    };

    if expected > MAX_OBJECT_BYTES {
        return Err(too_large());
    }

    let cut_short = |detail: String| {
        Failure::new(
            FailureKind::TransientStorage,
            format!("s3://{bucket}/{key}: the answer was cut short: {detail}"),
        )
    };

    let mut body = output.body;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| cut_short(DisplayErrorContext(error).to_string()))?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > MAX_OBJECT_BYTES {
            return Err(too_large());
        }
    }

    if (bytes.len() as u64) < expected {
        return Err(cut_short(format!("{} of {expected} bytes", bytes.len())));
    }

    Ok(Object { bytes: bytes.freeze(), etag, version_id, sha256 })
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    // A missing bucket is a 404 too, and is no missing object.
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// Which failure an S3 error is: answers 400 to 499 but for throttling and time-outs are refusals, all else may pass.
fn failure<E>(verb: &str, bucket: &str, key: &str, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let throttled = matches!(
        error.code(),
        Some("SlowDown" | "RequestTimeout" | "Throttling" | "ThrottlingException")
    );

    let (kind, next) = match status(error) {
        Some(408 | 429 | 500..) => (FailureKind::TransientStorage, ""),
        Some(400..) if !throttled => (
            FailureKind::StorageRefused,
            "; check the bucket's name and the function's role, and that the stack is deployed",
        ),
        Some(_) => (FailureKind::TransientStorage, ""),
        None if matches!(error, SdkError::ConstructionFailure(_)) => {
            (FailureKind::Configuration, "")
        }
        None => (FailureKind::TransientStorage, ""),
    };

    let mut message = format!("cannot {verb} s3://{bucket}/{key}: ");
    match (error.code(), error.message()) {
        (Some(code), text) => {
            // Writing to a String cannot fail.
            let _ = write!(message, "{code} {}", text.unwrap_or_default());
        }
        _ => message.push_str(&DisplayErrorContext(error).to_string()),
    }

    message.push_str(next);
    Failure::new(kind, message)
}
