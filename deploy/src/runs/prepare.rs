//! Everything that a run on this machine needs, made ready.

use anyhow::Result;

use crate::aws::Aws;
use crate::customers::{self, sample};
use crate::deployment::{self, stack::Stack};
use crate::local::Context;
use crate::local::services::{self, Services};
use crate::{database, model};

/// A local environment that is ready to run.
#[derive(Debug, Clone)]
pub struct RunEnvironment {
    /// The services.
    pub services: Services,
    /// Clients for them.
    pub aws: Aws,
    /// The stack.
    pub stack: Stack,
}

/// Starts, trains, fills and deploys, as far as that is still to be done.
pub async fn prepare(context: &Context) -> Result<RunEnvironment> {
    let services = services::ensure(context).await?;
    let aws = Aws::local(services.localstack_port);
    model::ensure(context, &aws).await?;
    let mut client = database::connect(&services.database_url).await?;
    let columns = model::columns(context, Some(&aws)).await?.unwrap_or_else(sample::own_columns);
    customers::ensure(context, &mut client, columns).await?;
    let stack =
        deployment::deploy(context, &aws, &deployment::Deployment::local(&services)).await?;
    Ok(RunEnvironment { services, aws, stack })
}
