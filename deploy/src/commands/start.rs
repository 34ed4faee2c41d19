//! `start`: starts the services and shows their addresses.

use anyhow::Result;

use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::Venv;
use limit_increase::local::services;

pub(super) async fn run(context: &Context) -> Result<()> {
    let services = services::ensure(context).await?;
    let awslocal = context.project.venv_program(Venv::LocalStack, "awslocal");
    let ui = &context.ui;
    let database = database::masked(&services.database_url);
    ui.line("");
    ui.line(format!("  AWS endpoint   {}", services.endpoint()));
    ui.line(format!("  Database       {database}"));
    ui.line(format!("  Home           {}", context.home.root().display()));
    ui.line(format!(
        "  awslocal       AWS_ENDPOINT_URL={} {} s3 ls",
        services.endpoint(),
        awslocal.display()
    ));

    ui.json(&serde_json::json!({
        "endpoint": services.endpoint(),
        "database": database,
        "home": context.home.root(),
        "awslocal": awslocal,
    }))
}
