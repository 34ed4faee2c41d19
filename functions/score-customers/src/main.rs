//! Lambda function `score-customers`: scores one shard.

mod count;
mod handler;
mod model;

use limit_increase_runtime::{environment, lambda};
use limit_increase_storage::{Storage, aws};

use crate::handler::Handler;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws::load_config().await;
    let storage =
        Storage::new(aws::s3_client(&config)).owned_by(environment::optional("BUCKET_OWNER"));
    let handler = Handler::new(storage);
    lambda::serve(|task, _| handler.handle(task)).await
}
