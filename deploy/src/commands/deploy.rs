//! `deploy`: builds and deploys to the local AWS or to an account.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::{DeployArgs, Target};
use limit_increase::aws::Aws;
use limit_increase::deployment::build::{Architecture, Profile};
use limit_increase::deployment::stack::{self, Stack};
use limit_increase::deployment::{self, Deployment, change_set};
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model;
use limit_increase::terminal::Problem;

pub(super) async fn run(context: &Context, arguments: DeployArgs) -> Result<()> {
    let chosen = chosen(&arguments)?;
    let tags = pairs("--tag", &arguments.tags)?;
    let (aws, mut deployment) = match arguments.place.target {
        Target::Local => {
            let services = services::ensure(context).await?;
            (Aws::local(services.localstack_port), local(&arguments, &services)?)
        }
        Target::Aws => remote(context, &arguments, &chosen).await?,
    };

    if let Some(architecture) = arguments.architecture {
        deployment.architecture = architecture;
    }

    deployment.stack_name = arguments.place.stack_name();
    deployment.chosen = chosen;
    deployment.tags = tags;
    deployment.yes = arguments.yes;
    let deployed = deployment::deploy(context, &aws, &deployment).await?;
    if aws.local && context.home.model().exists() {
        model::upload(context, &aws, deployed.output("BucketName")?).await?;
    }

    context.ui.line("");
    for (name, value) in &deployed.outputs {
        context.ui.line(format!("  {name:<36} {value}"));
    }

    context.ui.json(&serde_json::json!({
        "stack": deployed.id,
        "status": deployed.status,
        "outputs": deployed.outputs,
    }))
}

fn local(arguments: &DeployArgs, services: &services::Services) -> Result<Deployment> {
    let mut deployment = Deployment::local(services)?;
    if let Some(stage) = &arguments.place.stage {
        deployment.set_stage(stage);
    }

    Ok(deployment)
}

/// The deployment to an account. What is not typed keeps the value that the stack has.
async fn remote(
    context: &Context,
    arguments: &DeployArgs,
    chosen: &BTreeMap<String, String>,
) -> Result<(Aws, Deployment)> {
    let aws = Aws::remote(arguments.place.region.as_deref()).await;
    let name = arguments.place.stack_name();
    let complete = arguments.artifact_bucket.is_some() && chosen.contains_key("DatabaseSecretArn");
    // A command line that lacks what a first deployment needs is told so, account or not.
    let mut unseen = String::new();
    let found = match stack::find_named(&aws.cloudformation, &name).await {
        Err(error) if !complete => {
            unseen = format!("\nif there is a stack already, it was not seen: {error}");
            None
        }
        found => found?,
    };
    change_set::check(found.as_ref(), arguments.yes, &context.ui)?;

    let known = found.as_ref().map(|stack| &stack.parameters);
    let previous = |name: &str| known.and_then(|parameters| parameters.get(name)).cloned();
    let artifact_bucket =
        arguments.artifact_bucket.clone().or_else(|| previous("ArtifactBucket")).ok_or_else(
            || missing_error("--artifact-bucket", "name a bucket of yours for the functions' code"),
        )?;
    if !chosen.contains_key("DatabaseSecretArn") && previous("DatabaseSecretArn").is_none() {
        let next = "store the database's credentials in Secrets Manager and give the secret's ARN";
        return Err(missing_error("--database-secret-arn", &format!("{next}{unseen}")).into());
    }

    let architecture = match previous("Architecture").as_deref() {
        Some("x86_64") => Architecture::X86_64,
        _ => Architecture::Arm64,
    };
    let parameters = first_parameters(&aws, arguments, chosen, found.as_ref()).await?;
    let deployment = Deployment {
        stack_name: name,
        artifact_bucket,
        architecture,
        profile: Profile::Release,
        parameters,
        chosen: BTreeMap::new(),
        tags: BTreeMap::new(),
        yes: arguments.yes,
    };
    Ok((aws, deployment))
}

/// What a first deployment needs and nobody typed: the suffix of the names, and a bucket's name that
/// nobody else in the world has. A later deployment leaves both as they are.
async fn first_parameters(
    aws: &Aws,
    arguments: &DeployArgs,
    chosen: &BTreeMap<String, String>,
    found: Option<&Stack>,
) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let suffix = arguments.place.stage.as_ref().map(|stage| format!("-{stage}"));
    if let Some(suffix) = &suffix {
        parameters.insert("NameSuffix".to_owned(), suffix.clone());
    }

    let has_bucket = chosen.contains_key("BucketName")
        || found.is_some_and(|stack| stack.parameters.contains_key("BucketName"));
    if !has_bucket {
        let account = aws.account().await?;
        let suffix = suffix.unwrap_or_default();
        let name = format!("{}-{account}-{}{suffix}", model::BUCKET, aws.region());
        parameters.insert("BucketName".to_owned(), name);
    }

    Ok(parameters)
}

fn missing_error(option: &str, next: &str) -> Problem {
    Problem::usage(format!("{option} is missing")).at("deploy --target aws").next(next.to_owned())
}

/// The parameters that were typed, by their own options or by name.
fn chosen(arguments: &DeployArgs) -> Result<BTreeMap<String, String>> {
    let mut chosen = pairs("--parameter", &arguments.parameters)?;
    if let Some(arn) = &arguments.database_secret_arn {
        chosen.insert("DatabaseSecretArn".to_owned(), arn.clone());
    }

    if let Some(limit) = arguments.nightly_limit {
        chosen.insert("NightlyLimit".to_owned(), limit.to_string());
    }

    Ok(chosen)
}

fn pairs(option: &str, pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Problem::usage(format!("{option} {pair:?} is not NAME=VALUE"))
            .next(
                "for example --parameter MaxConcurrency=4 (the names are in \
                 cloudformation/infrastructure.yml) or --tag team=risk",
            )
            .into()),
    };

    pairs.iter().map(pair).collect()
}
