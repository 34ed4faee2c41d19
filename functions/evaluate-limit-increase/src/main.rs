//! Lambda function `evaluate-limit-increase`: applies the policy to one shard.

mod handler;

use limit_increase_runtime::lambda;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let handler = handler::Handler::new().await;
    lambda::serve(|event, _| handler.handle(event)).await
}
