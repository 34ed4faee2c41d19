//! `deploy`: builds and deploys to the local AWS or to an account.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::{DeployArgs, Target};
use limit_increase::aws::Aws;
use limit_increase::deployment::build::{Architecture, Profile};
use limit_increase::deployment::{self, Deployment};
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model;
use limit_increase::terminal::Problem;

pub(super) async fn run(context: &Context, arguments: DeployArgs) -> Result<()> {
    let extra = parameters(&arguments.parameters)?;
    let (aws, mut deployment) = match arguments.target {
        Target::Local => {
            let services = services::ensure(context).await?;
            (Aws::local(services.localstack_port), Deployment::local(&services)?)
        }
        Target::Aws => (Aws::remote().await, remote(&arguments, &extra)?),
    };

    if let Some(architecture) = arguments.architecture {
        deployment.architecture = architecture;
    }

    deployment.parameters.extend(extra);
    let deployed = deployment::deploy(context, &aws, &deployment).await?;
    if aws.local && context.home.model().exists() {
        model::upload(context, &aws, model::BUCKET).await?;
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

/// The deployment to an AWS account.
fn remote(arguments: &DeployArgs, extra: &BTreeMap<String, String>) -> Result<Deployment> {
    let missing_error = |option: &str, what: &str| {
        Problem::usage(format!("{option} is missing"))
            .at("deploy --target aws")
            .next(what.to_owned())
    };

    let artifact_bucket = arguments.artifact_bucket.clone().ok_or_else(|| {
        missing_error("--artifact-bucket", "name a bucket of yours for the functions' code")
    })?;

    let mut parameters = BTreeMap::new();
    match &arguments.database_secret_arn {
        Some(arn) => {
            parameters.insert("DatabaseSecretArn".to_owned(), arn.clone());
        }
        None if extra.contains_key("DatabaseSecretArn") => {}
        None => {
            let next =
                "store the database's credentials in Secrets Manager and give the secret's ARN";
            return Err(missing_error("--database-secret-arn", next).into());
        }
    }

    Ok(Deployment {
        artifact_bucket,
        architecture: arguments.architecture.unwrap_or(Architecture::Arm64),
        profile: Profile::Release,
        parameters,
    })
}

/// The `NAME=VALUE` pairs as a map by name.
fn parameters(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let parameter = |pair: &String| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Problem::usage(format!("--parameter {pair:?} is not NAME=VALUE"))
            .next(
                "for example --parameter MaxConcurrency=4; \
                 the names are in cloudformation/infrastructure.yml",
            )
            .into()),
    };

    pairs.iter().map(parameter).collect()
}
