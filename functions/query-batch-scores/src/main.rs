//! Lambda function `query-batch-scores`: opens a run.

mod handler;
mod open;
mod request;
mod resume;
mod shards;

use limit_increase_runtime::lambda;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let handler = handler::Handler::new().await;
    lambda::serve(|event, request_id| handler.handle(event, request_id)).await
}
