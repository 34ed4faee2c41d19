//! Deploys: builds the functions, uploads code and definition, and updates the stack to use them.

pub mod build;
mod inputs;
mod progress;
pub mod schedule;
pub mod stack;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use limit_increase_domain::sha256_hex;
use serde::{Deserialize, Serialize};

use self::build::{Architecture, Archive, Profile};
use self::stack::{Stack, StackSpec};
use crate::aws::{Aws, storage};
use crate::local::Context;
use crate::local::services::{self, Services};
use crate::local::write_whole;
use crate::model::BUCKET;

/// The bucket of the code and the definition in the local AWS.
pub const LOCAL_ARTIFACT_BUCKET: &str = "limit-increase-artifacts";

/// What to deploy, and into which bucket.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The bucket of the functions' code and the state machine's definition.
    pub artifact_bucket: String,
    /// The processor architecture of the functions.
    pub architecture: Architecture,
    /// The profile that the functions are compiled with.
    pub profile: Profile,
    /// The template's parameters other than code, bucket and processor, by name.
    pub parameters: BTreeMap<String, String>,
}

/// The last deployment from this home. Comparing with it is faster than asking CloudFormation
/// whether anything changes.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    stack_id: String,
    sha256: String,
}

impl Deployment {
    /// The deployment to the local AWS. In containers the functions run with the C library of AWS,
    /// which may be older than this machine's, so they are built as for AWS.
    ///
    /// # Errors
    /// When `LIMIT_INCREASE_PROFILE` has a value that is not a profile.
    pub fn local(services: &Services) -> Result<Self> {
        let profile = local_profile(services.in_containers)?;
        let parameters = BTreeMap::from([
            ("BucketName".to_owned(), BUCKET.to_owned()),
            ("DatabaseUrl".to_owned(), services.functions_database_url.clone()),
        ]);

        Ok(Self {
            artifact_bucket: LOCAL_ARTIFACT_BUCKET.to_owned(),
            architecture: Architecture::host(),
            profile,
            parameters,
        })
    }
}

/// Builds, uploads and deploys. If nothing has changed, the stack is only read.
pub async fn deploy(context: &Context, aws: &Aws, deployment: &Deployment) -> Result<Stack> {
    let archives = build_functions(context, deployment.architecture, deployment.profile).await?;
    apply(context, aws, deployment, &archives).await
}

/// Builds the functions for the local AWS. It needs no service, so it can run before they have
/// started.
pub(crate) async fn build_for_local(context: &Context) -> Result<Vec<Archive>> {
    let profile = local_profile(services::in_containers(context)?)?;
    build_functions(context, Architecture::host(), profile).await
}

fn local_profile(in_containers: bool) -> Result<Profile> {
    if in_containers { Ok(Profile::Release) } else { Profile::local() }
}

async fn build_functions(
    context: &Context,
    architecture: Architecture,
    profile: Profile,
) -> Result<Vec<Archive>> {
    let context = context.clone();
    let build = move || build::build(&context.project, architecture, profile, &context.ui);
    tokio::task::spawn_blocking(build).await?
}

/// Uploads the archives and the definition, and updates the stack to use them.
pub(crate) async fn apply(
    context: &Context,
    aws: &Aws,
    deployment: &Deployment,
    archives: &[Archive],
) -> Result<Stack> {
    let root = context.project.root();
    let template = without_comments(&read(&root.join("cloudformation/infrastructure.yml"))?);
    let definition = read(&root.join("statemachine/limit-increase.asl.json"))?;
    let definition_key = format!(
        "statemachine/limit-increase-{}.asl.json",
        &sha256_hex(definition.as_bytes())[..32]
    );

    let mut parameters = deployment.parameters.clone();
    parameters.insert("ArtifactBucket".to_owned(), deployment.artifact_bucket.clone());
    parameters.insert("Architecture".to_owned(), deployment.architecture.name().to_owned());
    parameters.insert("StateMachineDefinitionKey".to_owned(), definition_key.clone());
    for archive in archives {
        parameters.insert(archive.function.code_parameter.to_owned(), archive.key.clone());
    }

    let sha256 = sha256_hex(&serde_json::to_vec(&(&template, &parameters))?);
    if let Some(known) = unchanged(context, aws, &sha256).await? {
        context.ui.task("Stack").done("is up to date");
        return Ok(known);
    }

    upload(context, aws, deployment, archives, &definition_key, definition).await?;
    let deployed =
        stack::apply(&aws.cloudformation, &StackSpec { template, parameters }, &context.ui).await?;
    let record = Record { stack_id: deployed.id.clone(), sha256 };
    write_whole(&record_file(context, aws), &serde_json::to_vec_pretty(&record)?)?;
    Ok(deployed)
}

/// The stack, if the last deployment from this home had the same inputs and made this stack.
async fn unchanged(context: &Context, aws: &Aws, sha256: &str) -> Result<Option<Stack>> {
    let Ok(text) = std::fs::read(record_file(context, aws)) else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
    if record.sha256 != sha256 {
        return Ok(None);
    }

    let found = stack::find(&aws.cloudformation).await?;
    Ok(found.filter(|stack| stack.id == record.stack_id && stack.is_sound()))
}

fn record_file(context: &Context, aws: &Aws) -> PathBuf {
    let target = if aws.local { "local".to_owned() } else { format!("aws-{}", aws.region) };
    context.home.root().join(format!("deployment-{target}.json"))
}

async fn upload(
    context: &Context,
    aws: &Aws,
    deployment: &Deployment,
    archives: &[Archive],
    definition_key: &str,
    definition: String,
) -> Result<()> {
    let mut task = context.ui.task("Upload");
    let bucket = &deployment.artifact_bucket;
    task.phase(format!("code and definition to s3://{bucket}"));
    if aws.local {
        storage::ensure_bucket(aws, bucket).await?;
    }

    let mut sent = 0;
    for archive in archives {
        if !storage::has_object(&aws.s3, bucket, &archive.key).await? {
            storage::put(&aws.s3, bucket, &archive.key, archive.read()?).await?;
            sent += 1;
        }
    }

    if !storage::has_object(&aws.s3, bucket, definition_key).await? {
        storage::put(&aws.s3, bucket, definition_key, Bytes::from(definition)).await?;
        sent += 1;
    }

    task.done(format!("{sent} of {} files were new to s3://{bucket}", archives.len() + 1));
    Ok(())
}

fn read(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The template without the lines that are only a comment. A request takes at most 51,200 bytes.
fn without_comments(template: &str) -> String {
    let kept = template.lines().filter(|line| !line.trim_start().starts_with('#'));
    kept.flat_map(|line| [line, "\n"]).collect()
}
