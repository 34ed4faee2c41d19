//! Lambda function `score-customers`: scores one shard.

mod handler;
mod model;
mod score;

use limit_increase_runtime::lambda;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let handler = handler::Handler::new().await;
    lambda::serve(|event, _| handler.handle(event)).await
}
