//! Lambda function `query-batch-scores`: opens a run.

mod allowed;
mod handler;
mod nightly;
mod open;
mod request;
mod resume;
mod shards;
mod unknown;

use limit_increase_database::{Credentials, Database};
use limit_increase_runtime::{environment, lambda};
use limit_increase_storage::{Storage, aws};

use crate::handler::Handler;
use crate::open::Locations;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws::load_config().await;
    let storage =
        Storage::new(aws::s3_client(&config)).owned_by(environment::optional("BUCKET_OWNER"));
    let handler = Handler::new(
        storage,
        Locations::from_environment(),
        nightly::from_environment(),
        Database::new(Credentials::from_environment(&config)),
    );

    lambda::serve(|event, request_id| handler.handle(event, request_id)).await
}
