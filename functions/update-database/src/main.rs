//! Lambda function `update-database`: writes decisions, closes runs, records failures.

mod handler;
mod shard;

use limit_increase_runtime::lambda;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let handler = handler::Handler::new().await;
    lambda::serve(|event, _| handler.handle(event)).await
}
