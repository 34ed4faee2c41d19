//! Lambda function `update-database`: writes decisions, closes runs, records failures,
//! reports open runs.

mod apply_shard;
mod fail_or_resume;
mod finish_run;
mod handler;
mod record_failure;
mod report_open_runs;

use limit_increase_database::{Credentials, Database};
use limit_increase_runtime::lambda;
use limit_increase_storage::{Storage, aws};

use crate::handler::Handler;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws::load_config().await;
    let handler = Handler::new(
        Storage::new(aws::s3_client(&config)),
        Database::new(Credentials::from_environment(&config)),
    );

    lambda::serve(|event, _| handler.handle(event)).await
}
