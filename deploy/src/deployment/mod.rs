//! Deploys: builds the functions, uploads code and definition, and updates the stack to use them.

pub mod build;
pub mod change_set;
mod inputs;
mod progress;
pub mod release;
pub mod schedule;
pub mod stack;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use aws_sdk_cloudformation::types::ResourceChange;
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
use crate::terminal::Ui;

/// The bucket of the code and the definition in the local AWS.
pub const LOCAL_ARTIFACT_BUCKET: &str = "limit-increase-artifacts";

/// What to deploy, and into which bucket.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The stack's name.
    pub stack_name: String,
    /// Bucket of code and definition.
    pub artifact_bucket: String,
    /// The processor architecture of the functions.
    pub architecture: Architecture,
    /// The profile that the functions are compiled with.
    pub profile: Profile,
    /// Parameters of the template that follow from the environment.
    pub parameters: BTreeMap<String, String>,
    /// Parameters that somebody chose. A later deployment that does not name them keeps them.
    pub chosen: BTreeMap<String, String>,
    /// Tags of the stack and its resources.
    pub tags: BTreeMap<String, String>,
    /// On AWS, whether an existing stack is changed without a question.
    pub yes: bool,
}

/// The last deployment from this home. Comparing with it is faster than asking CloudFormation
/// whether anything changes.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    stack_id: String,
    sha256: String,
    /// The parameters that were chosen, in this deployment or in an earlier one.
    #[serde(default)]
    chosen: BTreeMap<String, String>,
}

impl Record {
    /// The record of the last deployment to this stack, if it was to the local AWS. On AWS the
    /// stack itself is asked, because somebody else may have changed it.
    fn read(path: &std::path::Path) -> Option<Self> {
        std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
    }
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
            // On a laptop people try policies: any policy that is valid is allowed.
            ("AllowRequestPolicy".to_owned(), "true".to_owned()),
            ("MaxLimitCeiling".to_owned(), "99999999.99".to_owned()),
            ("MaxGrowthCeiling".to_owned(), "10.0".to_owned()),
        ]);

        Ok(Self {
            stack_name: stack::DEFAULT_NAME.to_owned(),
            artifact_bucket: LOCAL_ARTIFACT_BUCKET.to_owned(),
            architecture: Architecture::host(),
            profile,
            parameters,
            chosen: BTreeMap::new(),
            tags: BTreeMap::new(),
            yes: true,
        })
    }

    /// Gives every name of the stack the suffix of a stage, and the stage a bucket of its own.
    pub fn set_stage(&mut self, stage: &str) {
        self.parameters.insert("NameSuffix".to_owned(), format!("-{stage}"));
        if let Some(bucket) = self.parameters.get_mut("BucketName") {
            *bucket = format!("{bucket}-{stage}");
        }
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
    let files = StackFiles::read(root)?;
    let record_path = aws.local.then(|| record_file(context, &deployment.stack_name));
    let record = record_path.as_deref().and_then(Record::read);

    let mut chosen = record.as_ref().map(|record| record.chosen.clone()).unwrap_or_default();
    chosen.extend(deployment.chosen.clone());
    let mut parameters = deployment.parameters.clone();
    parameters.extend(chosen.clone());
    parameters.insert("ArtifactBucket".to_owned(), deployment.artifact_bucket.clone());
    parameters.insert("Architecture".to_owned(), deployment.architecture.name().to_owned());
    parameters.insert("StateMachineDefinitionKey".to_owned(), files.definition_key.clone());
    for archive in archives {
        parameters.insert(archive.function.code_parameter.to_owned(), archive.key.clone());
    }

    parameters.entry("Release".to_owned()).or_insert_with(|| release::of(root));

    let inputs = (&files.template, &parameters, &deployment.tags);
    let sha256 = sha256_hex(&serde_json::to_vec(&inputs)?);
    if let Some(known) = unchanged(aws, deployment, record, &sha256).await? {
        context.ui.task("Stack").done("is up to date");
        return Ok(known);
    }

    upload(context, aws, deployment, archives, &files).await?;
    let spec = StackSpec {
        name: deployment.stack_name.clone(),
        template_url: object_url(&aws.region, &deployment.artifact_bucket, &files.template_key),
        parameters,
        tags: deployment.tags.clone(),
    };
    let Some(path) = record_path else {
        let agree = |changes: &[ResourceChange]| agree(deployment, changes, &context.ui);
        return change_set::apply(&aws.cloudformation, &spec, agree, &context.ui).await;
    };

    let deployed = stack::apply(&aws.cloudformation, &spec.with_new_id(), &context.ui).await?;
    let record = Record { stack_id: deployed.id.clone(), sha256, chosen };
    write_whole(&path, &serde_json::to_vec_pretty(&record)?)?;
    Ok(deployed)
}

/// Shows what would change on AWS, and asks unless that is not wanted.
fn agree(deployment: &Deployment, changes: &[ResourceChange], ui: &Ui) -> Result<bool> {
    let name = &deployment.stack_name;
    ui.note(format!("\nThe stack {name} would change:"));
    for change in changes {
        ui.note(change_set::line(change));
    }

    Ok(deployment.yes || (ui.can_ask() && ui.ask(&format!("Change the stack {name}?"))?))
}

/// The template and the state machine's definition, with keys that change with their content.
struct StackFiles {
    template: String,
    template_key: String,
    definition: String,
    definition_key: String,
}

impl StackFiles {
    fn read(root: &std::path::Path) -> Result<Self> {
        let template = read(&root.join("cloudformation/infrastructure.yml"))?;
        let definition = read(&root.join("statemachine/limit-increase.asl.json"))?;
        let digest = |text: &str| sha256_hex(text.as_bytes())[..32].to_owned();
        Ok(Self {
            template_key: format!("cloudformation/infrastructure-{}.yml", digest(&template)),
            definition_key: format!("statemachine/limit-increase-{}.asl.json", digest(&definition)),
            template,
            definition,
        })
    }
}

/// The URL by which CloudFormation reads an object. LocalStack turns it into one of its own. The
/// bucket is in the path, because a bucket's name with dots has no certificate.
fn object_url(region: &str, bucket: &str, key: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}/{bucket}/{key}")
}

/// The stack, if it is the very one that was last deployed from here with the same inputs.
async fn unchanged(
    aws: &Aws,
    deployment: &Deployment,
    record: Option<Record>,
    sha256: &str,
) -> Result<Option<Stack>> {
    let Some(record) = record.filter(|record| record.sha256 == sha256) else { return Ok(None) };
    let found = stack::find_named(&aws.cloudformation, &deployment.stack_name).await?;
    Ok(found.filter(|stack| stack.id == record.stack_id && stack.is_sound()))
}

fn record_file(context: &Context, stack_name: &str) -> PathBuf {
    let name = match stack_name {
        stack::DEFAULT_NAME => "deployment-local.json".to_owned(),
        other => format!("deployment-local-{other}.json"),
    };
    context.home.root().join(name)
}

async fn upload(
    context: &Context,
    aws: &Aws,
    deployment: &Deployment,
    archives: &[Archive],
    files: &StackFiles,
) -> Result<()> {
    let mut task = context.ui.task("Upload");
    let bucket = &deployment.artifact_bucket;
    task.phase(format!("code, definition and template to s3://{bucket}"));
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

    let texts =
        [(&files.definition_key, &files.definition), (&files.template_key, &files.template)];
    for (key, text) in texts {
        if !storage::has_object(&aws.s3, bucket, key).await? {
            storage::put(&aws.s3, bucket, key, Bytes::from(text.clone())).await?;
            sent += 1;
        }
    }

    task.done(format!("{sent} of {} files were new to s3://{bucket}", archives.len() + 2));
    Ok(())
}

fn read(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
