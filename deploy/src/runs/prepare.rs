//! Prepares everything that a run on this machine needs.

use anyhow::{Context as _, Result};

use crate::aws::Aws;
use crate::customers;
use crate::deployment::stack::Stack;
use crate::deployment::{self, Deployment};
use crate::local::services::{self, Services};
use crate::local::{Context, Venv, python};
use crate::{database, model};

/// A local environment in which a run can start.
#[derive(Debug, Clone)]
pub struct RunEnvironment {
    /// The running services: PostgreSQL and LocalStack.
    pub services: Services,
    /// The clients of the local AWS.
    pub aws: Aws,
    /// The deployed stack, with its outputs.
    pub stack: Stack,
}

/// Starts the services, trains the model, loads customers, builds and deploys. A part that is
/// already done is left as it is.
///
/// The functions are compiled while the services start, the model is trained and the tables are
/// filled. The function always waits for services that it has begun to start, so that each is
/// remembered and can be stopped. After an error it does not wait for the compiler, whose results
/// are kept for the next time.
pub async fn prepare(context: &Context) -> Result<RunEnvironment> {
    let building = {
        let context = context.clone();
        tokio::spawn(async move { deployment::build_for_local(&context).await })
    };

    let (services, aws) = prepare_data(context).await?;
    let archives = building.await.context("the build was interrupted")??;
    let deployment = Deployment::local(&services)?;
    let stack = deployment::apply(context, &aws, &deployment, &archives).await?;
    Ok(RunEnvironment { services, aws, stack })
}

/// Starts the services, puts a model into S3 and customers into the database.
async fn prepare_data(context: &Context) -> Result<(Services, Aws)> {
    let (services, environment) =
        tokio::join!(services::ensure(context), training_environment(context));
    let services = services?;
    environment?;

    let aws = Aws::local(services.localstack_port);
    model::ensure(context, &aws).await?;

    let mut client = database::connect(&services.database_url).await?;
    let columns = model::columns(context, Some(&aws))
        .await?
        .unwrap_or_else(limit_increase_portfolio::own_columns);
    customers::ensure(context, &mut client, columns).await?;
    Ok((services, aws))
}

/// Makes the Python environment of the training, unless the home has a model already.
async fn training_environment(context: &Context) -> Result<()> {
    if context.home.model().exists() {
        return Ok(());
    }

    let context = context.clone();
    let ensure = move || python::ensure_venv(&context.project, Venv::Training, &context.ui);
    tokio::task::spawn_blocking(ensure).await?
}
