//! Lambda function `score-customers`: scores one shard.

mod handler;
mod model;
mod score;

use limit_increase_runtime::lambda;
use limit_increase_storage::{Storage, aws};

use crate::handler::Handler;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws::load_config().await;
    let handler = Handler::new(Storage::new(aws::s3_client(&config)));
    lambda::serve(|task, _| handler.handle(task)).await
}
