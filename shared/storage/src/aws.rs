//! The configuration that all AWS clients share.

use std::time::Duration;

use aws_config::BehaviorVersion;
pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// How often a request to AWS is tried inside one invocation.
///
/// The state machine retries a failed step as a whole. Running a whole step again for one throttled
/// or lost request would cost more than these tries, which end within seconds.
const ATTEMPTS: u32 = 3;

/// Configuration from the environment (region, credentials, `AWS_ENDPOINT_URL`), with bounded
/// time-outs.
///
/// TLS is rustls over ring.
pub async fn load_config() -> SdkConfig {
    loader().load().await
}

/// The loader behind [`load_config`], for a caller that adds its own settings.
#[must_use]
pub fn loader() -> aws_config::ConfigLoader {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_max_backoff(Duration::from_secs(2)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(Duration::from_secs(30))
                .operation_attempt_timeout(Duration::from_secs(60))
                .build(),
        )
}

/// An S3 client. If an endpoint is configured, the bucket goes into the path, because the host name
/// of an emulator has no subdomains.
#[must_use]
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let s3 =
        aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some());
    aws_sdk_s3::Client::from_conf(s3.build())
}
