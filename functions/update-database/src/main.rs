//! Lambda function `update-database`: writes decisions, closes runs, records failures, reports open
//! runs, and brings the schema up to date when a person asks for it.

mod apply_shard;
mod check_decisions;
mod fail_or_resume;
mod finish_run;
mod handler;
mod migrate;
mod record_failure;
mod report;
mod report_open_runs;
mod sealed_object;

use limit_increase_database::{Credentials, Database};
use limit_increase_runtime::{environment, lambda};
use limit_increase_storage::{Storage, aws};

use crate::handler::Handler;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws::load_config().await;
    let storage =
        Storage::new(aws::s3_client(&config)).owned_by(environment::optional("BUCKET_OWNER"));
    let handler = Handler::new(storage, Database::new(Credentials::from_environment(&config)));

    lambda::serve(|event, _| handler.handle(event)).await
}
