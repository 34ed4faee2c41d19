//! S3 as the steps use it: whole objects, bounded in size, with errors by their stable names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use limit_increase_domain::sha256_hex;
use limit_increase_workflow::{Failure, FailureKind, HandoffRef, ModelPin};

/// MIME type of the JSON documents: shard lists and summaries.
pub const APPLICATION_JSON: &str = "application/json";
/// The largest object that is read, in bytes. An object must fit into the memory of a function.
pub const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;

/// The user metadata under which [`Storage::put`] records the content's hash, for people. No step
/// relies on it, because whoever can write the object can write its metadata.
pub const SHA256: &str = "sha256";

/// An object, with what identifies its exact content.
#[derive(Debug, Clone)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// Entity tag as S3 gave it, with its quotes.
    pub etag: String,
    /// The version, if the bucket is versioned.
    pub version_id: Option<String>,
}

/// Reads and writes whole objects.
#[derive(Debug, Clone)]
pub struct Storage {
    client: Client,
    owner: Option<String>,
}

impl Storage {
    /// Storage through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, owner: None }
    }

    /// The same, with the account that has to own every bucket. S3 then refuses a bucket that
    /// another account owns, for example one that was deleted here and taken there.
    #[must_use]
    pub fn owned_by(self, owner: Option<String>) -> Self {
        Self { owner, ..self }
    }

    /// The newest version of an object, `None` if there is none.
    ///
    /// # Errors
    /// `Transient.Storage`, or `Permanent.StorageRefused` for denied access, a missing bucket, or
    /// an object larger than [`MAX_OBJECT_BYTES`].
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, Failure> {
        match self.get_request(bucket, key).send().await {
            Ok(output) => read_body(output, bucket, key).await.map(Some),
            Err(error) if self.is_missing(&error, bucket, key).await => Ok(None),
            Err(error) => Err(storage_failure("read", bucket, key, &error)),
        }
    }

    /// Exactly the content that an earlier step wrote, as that step answered it.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the object is missing or its bytes are not those that were
    /// written; otherwise as [`Storage::get`].
    pub async fn get_written(
        &self,
        bucket: &str,
        key: &str,
        written: &HandoffRef,
    ) -> Result<Bytes, Failure> {
        let request = self.get_request(bucket, key).set_version_id(written.version_id.clone());
        let object = match request.send().await {
            Ok(output) => read_body(output, bucket, key).await?,
            Err(error) if self.is_missing(&error, bucket, key).await => {
                let message = format!(
                    "s3://{bucket}/{key} is missing, though the step before wrote it; start a new \
                     run"
                );

                return Err(Failure::new(FailureKind::HandoffInvalid, message));
            }
            Err(error) => return Err(storage_failure("read", bucket, key, &error)),
        };

        // A flipped bit in a Parquet page may read as another valid amount, and somebody else may
        // have written the object.
        let found = sha256_hex(&object.bytes);
        if found == written.sha256 {
            return Ok(object.bytes);
        }

        let message = format!(
            "s3://{bucket}/{key} is not what the step before wrote: its sha256 is {found}, it was \
             written as {}; start a new run",
            written.sha256
        );

        Err(Failure::new(FailureKind::HandoffInvalid, message))
    }

    /// Exactly the object that a run has pinned.
    ///
    /// # Errors
    /// `Permanent.ModelChanged` when another object is under the key now and the pinned one is
    /// gone; otherwise as [`Storage::get`].
    pub async fn get_pinned(&self, pin: &ModelPin) -> Result<Object, Failure> {
        let request = self
            .get_request(&pin.bucket, &pin.key)
            .set_version_id(pin.version_id.clone())
            .if_match(&pin.etag);
        match request.send().await {
            Ok(output) => read_body(output, &pin.bucket, &pin.key).await,
            Err(error)
                if status(&error) == Some(412)
                    || self.is_missing(&error, &pin.bucket, &pin.key).await =>
            {
                Err(Failure::new(
                    FailureKind::ModelChanged,
                    format!(
                        "s3://{}/{}: the model this run was opened with (ETag {}) has been \
                         replaced or removed; start a new run to use the current one",
                        pin.bucket, pin.key, pin.etag
                    ),
                ))
            }
            Err(error) => Err(storage_failure("read", &pin.bucket, &pin.key, &error)),
        }
    }

    /// Writes an object and replaces what was under its key. The answer is what the next step has
    /// to read.
    ///
    /// # Errors
    /// `Transient.Storage` or `Permanent.StorageRefused`.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<HandoffRef, Failure> {
        let sha256 = sha256_hex(&bytes);
        let request = self.put_request(bucket, key, bytes, content_type, &sha256);
        match request.send().await {
            Ok(output) => Ok(HandoffRef { sha256, version_id: version_of(output.version_id()) }),
            Err(error) => Err(storage_failure("write", bucket, key, &error)),
        }
    }

    /// The entity tag of the object that is under a key now, for [`Storage::replace`]; `None` if
    /// there is no object.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub async fn etag(&self, bucket: &str, key: &str) -> Result<Option<String>, Failure> {
        let request = self.client.head_object().bucket(bucket).key(key);
        match request.set_expected_bucket_owner(self.owner.clone()).send().await {
            Ok(output) => Ok(output.e_tag),
            Err(error) if self.is_missing(&error, bucket, key).await => Ok(None),
            Err(error) => Err(storage_failure("look at", bucket, key, &error)),
        }
    }

    /// The entity tags of all objects under a prefix, by key, for [`Storage::replace`].
    ///
    /// # Errors
    /// `Transient.Storage` or `Permanent.StorageRefused`.
    pub async fn etags(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut found = BTreeMap::new();
        let request = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
        let mut pages =
            request.set_expected_bucket_owner(self.owner.clone()).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| storage_failure("list", bucket, prefix, &error))?;
            found.extend(page.contents.into_iter().flatten().filter_map(|o| o.key.zip(o.e_tag)));
        }

        Ok(found)
    }

    /// Writes an object only if the one under its key still has the entity tag `previous`, or if
    /// `previous` is `None` and there is still no object.
    ///
    /// The record of a shard is written this way before its decisions are committed, so a decision
    /// in the table has its record (promise 8). A late attempt cannot overwrite the record of the
    /// attempt that took the shard over.
    ///
    /// # Errors
    /// `Transient.Storage` when another attempt has written the object; otherwise as
    /// [`Storage::put`].
    pub async fn replace(
        &self,
        bucket: &str,
        key: &str,
        previous: Option<&str>,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<HandoffRef, Failure> {
        let sha256 = sha256_hex(&bytes);
        let request = self.put_request(bucket, key, bytes, content_type, &sha256);
        let request = match previous {
            Some(etag) => request.if_match(etag),
            None => request.if_none_match("*"),
        };

        match request.send().await {
            Ok(output) => Ok(HandoffRef { sha256, version_id: version_of(output.version_id()) }),
            // S3 answers 409 while two writes run simultaneously, 412 when another object is there,
            // and 404 when the object to replace is gone.
            Err(error) if matches!(status(&error), Some(409 | 412)) || is_not_found(&error) => {
                Err(Failure::new(
                    FailureKind::TransientStorage,
                    format!("s3://{bucket}/{key}: another attempt has written it meanwhile"),
                ))
            }
            Err(error) => Err(storage_failure("write", bucket, key, &error)),
        }
    }

    fn get_request(&self, bucket: &str, key: &str) -> GetObjectFluentBuilder {
        let request = self.client.get_object().bucket(bucket).key(key);
        request.set_expected_bucket_owner(self.owner.clone())
    }

    /// Whether an object that could not be read is missing.
    ///
    /// S3 answers 403 for a missing key to a role that may not list the bucket, and a role of the
    /// functions may list only its own prefixes, which the request for an object does not name. So
    /// after a 403 the key itself is listed. If it is there, or may not be listed, the access was
    /// refused.
    async fn is_missing<E: ProvideErrorMetadata>(
        &self,
        error: &SdkError<E>,
        bucket: &str,
        key: &str,
    ) -> bool {
        if status(error) != Some(403) {
            return is_not_found(error);
        }

        let request = self.client.list_objects_v2().bucket(bucket).prefix(key).max_keys(1);
        let listed = request.set_expected_bucket_owner(self.owner.clone()).send().await;
        // The first of the keys with this prefix is the key itself, if it is there.
        listed.is_ok_and(|listed| {
            listed.contents().first().is_none_or(|object| object.key() != Some(key))
        })
    }

    fn put_request(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        sha256: &str,
    ) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .metadata(SHA256, sha256)
            .set_expected_bucket_owner(self.owner.clone())
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
    let version_id = version_of(output.version_id());
    let too_large_failure = || {
        Failure::new(
            FailureKind::StorageRefused,
            format!(
                "s3://{bucket}/{key} is larger than the {MAX_OBJECT_BYTES} bytes that a function \
                 takes"
            ),
        )
    };

    if expected > MAX_OBJECT_BYTES {
        return Err(too_large_failure());
    }

    let cut_short_failure = |detail: String| {
        Failure::new(
            FailureKind::TransientStorage,
            format!("s3://{bucket}/{key}: the answer was cut short: {detail}"),
        )
    };

    let mut body = output.body;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk =
            chunk.map_err(|error| cut_short_failure(DisplayErrorContext(error).to_string()))?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > MAX_OBJECT_BYTES {
            return Err(too_large_failure());
        }
    }

    if (bytes.len() as u64) < expected {
        return Err(cut_short_failure(format!("{} of {expected} bytes", bytes.len())));
    }

    Ok(Object { bytes: bytes.freeze(), etag, version_id })
}

/// The version that an answer names. An unversioned bucket names none, and a bucket whose versions
/// are suspended calls it "null".
fn version_of(id: Option<&str>) -> Option<String> {
    id.filter(|id| *id != "null").map(str::to_owned)
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn is_not_found<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    // S3 answers 404 for a missing bucket too, which is a wrong configuration.
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// The failure for an S3 error. Statuses 400 to 499 are refusals, except throttling and time-outs;
/// everything else is worth a retry.
fn storage_failure<E>(verb: &str, bucket: &str, key: &str, error: &SdkError<E>) -> Failure
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

#[cfg(test)]
mod tests;
