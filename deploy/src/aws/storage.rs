//! Reads and writes objects in S3: the functions' code, the model, the summaries of runs.

use anyhow::{Context as _, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    VersioningConfiguration,
};
use bytes::Bytes;
use limit_increase_domain::sha256_hex;
use limit_increase_storage::SHA256;

use super::clients::{Aws, LOCAL_REGION, describe};
use crate::terminal::Problem;

/// Creates the bucket with versioning, unless it exists.
pub(crate) async fn ensure_bucket(aws: &Aws, bucket: &str) -> Result<()> {
    if exists(&aws.s3, bucket).await? {
        return Ok(());
    }

    let mut request = aws.s3.create_bucket().bucket(bucket);
    // S3 refuses a request that names its default region as the location.
    if aws.region != LOCAL_REGION {
        let location = BucketLocationConstraint::from(aws.region.as_str());
        request = request.create_bucket_configuration(
            CreateBucketConfiguration::builder().location_constraint(location).build(),
        );
    }

    request
        .send()
        .await
        .map_err(|error| storage_error("make the bucket", bucket, "", &describe(&error)))?;
    aws.s3
        .put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(
            VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build(),
        )
        .send()
        .await
        .map_err(|error| storage_error("turn on versions of", bucket, "", &describe(&error)))?;
    Ok(())
}

/// Whether the bucket exists.
pub(crate) async fn exists(s3: &Client, bucket: &str) -> Result<bool> {
    match s3.head_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(storage_error("see", bucket, "", &describe(&error)).into()),
    }
}

/// Whether the object exists.
pub(crate) async fn has_object(s3: &Client, bucket: &str, key: &str) -> Result<bool> {
    match s3.head_object().bucket(bucket).key(key).send().await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(storage_error("see", bucket, key, &describe(&error)).into()),
    }
}

/// Writes an object, in place of any object with the same key.
pub async fn put(s3: &Client, bucket: &str, key: &str, content: Bytes) -> Result<()> {
    let sent = s3.put_object().bucket(bucket).key(key).body(ByteStream::from(content)).send().await;
    sent.map(|_| ()).map_err(|error| storage_error("write", bucket, key, &describe(&error)).into())
}

/// Reads a whole object; `None` when the object or the bucket does not exist.
pub async fn get(s3: &Client, bucket: &str, key: &str) -> Result<Option<Bytes>> {
    get_version(s3, bucket, key, None).await
}

/// Reads one version of an object, or the newest; `None` when it does not exist.
pub async fn get_version(
    s3: &Client,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Option<Bytes>> {
    let request = s3.get_object().bucket(bucket).key(key);
    match request.set_version_id(version.map(str::to_owned)).send().await {
        Ok(object) => {
            let body = object
                .body
                .collect()
                .await
                .with_context(|| format!("s3://{bucket}/{key} was cut short"))?;
            Ok(Some(body.into_bytes()))
        }
        Err(error) if status(&error) == Some(404) || is_missing(error.code()) => Ok(None),
        Err(error) => Err(storage_error("read", bucket, key, &describe(&error)).into()),
    }
}

/// The folders right below a prefix, each as a prefix with its slash.
pub async fn folders(s3: &Client, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let request = s3.list_objects_v2().bucket(bucket).prefix(prefix).delimiter("/");
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| storage_error("list", bucket, prefix, &describe(&error)))?;
        found.extend(page.common_prefixes.into_iter().flatten().filter_map(|one| one.prefix));
    }

    Ok(found)
}

/// Reads a whole object that a step wrote; `None` when it does not exist.
///
/// # Errors
/// When its content is not what the step wrote, by the SHA-256 that is in the object's metadata. It
/// shows damage; whoever can write the object can write its metadata too.
pub async fn get_written(s3: &Client, bucket: &str, key: &str) -> Result<Option<Bytes>> {
    let object = match s3.get_object().bucket(bucket).key(key).send().await {
        Ok(object) => object,
        Err(error) if status(&error) == Some(404) || error.code() == Some("NoSuchKey") => {
            return Ok(None);
        }
        Err(error) => return Err(storage_error("read", bucket, key, &describe(&error)).into()),
    };

    let written = object.metadata().and_then(|metadata| metadata.get(SHA256)).cloned();
    let body = object.body.collect().await;
    let content = body.with_context(|| format!("s3://{bucket}/{key} was cut short"))?.into_bytes();
    let found = sha256_hex(&content);
    if written.as_ref().is_some_and(|written| *written != found) {
        let what = format!("s3://{bucket}/{key} is not what its step wrote: its sha256 is {found}");
        return Err(Problem::new(what)
            .next("keep all versions of the object, and find out who wrote it (CloudTrail)")
            .into());
    }

    Ok(Some(content))
}

/// All objects under a prefix: their keys, and when each was written, in seconds since 1970.
pub async fn list(s3: &Client, bucket: &str, prefix: &str) -> Result<Vec<(String, i64)>> {
    let mut found = Vec::new();
    let mut pages = s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| storage_error("list", bucket, prefix, &describe(&error)))?;
        let objects = page.contents.into_iter().flatten();
        found.extend(objects.filter_map(|object| {
            Some((object.key?, object.last_modified.map_or(0, |written| written.secs())))
        }));
    }

    Ok(found)
}

fn is_missing(code: Option<&str>) -> bool {
    matches!(code, Some("NoSuchKey" | "NoSuchVersion"))
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn storage_error(verb: &str, bucket: &str, key: &str, why: &str) -> Problem {
    let slash = if key.is_empty() { "" } else { "/" };
    Problem::new(format!("cannot {verb} s3://{bucket}{slash}{key}: {why}"))
        .next("check the bucket's name and your credentials; locally: limit-increase status")
}
