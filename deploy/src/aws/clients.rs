//! The AWS clients of one account and region, or of the local AWS.

use std::process::Command;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::Builder;
use limit_increase_storage::aws;

use crate::terminal::Problem;

/// The region of everything local.
pub const LOCAL_REGION: &str = "us-east-1";

/// Makes a program call the local AWS on `port`. Like [`Aws::local`], it gets nothing of the user's
/// own profile and credentials.
pub fn send_to_local(program: &mut Command, port: u16) {
    program
        .env("AWS_ENDPOINT_URL", local_endpoint(port))
        .env("AWS_DEFAULT_REGION", LOCAL_REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN");
}

fn local_endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The AWS clients that the commands use, for one account and region.
#[derive(Debug, Clone)]
pub struct Aws {
    /// Whether the clients talk to the local AWS.
    pub local: bool,
    /// The region of the clients, for example `eu-west-1`.
    pub(crate) region: String,
    /// The client of S3, for objects and buckets.
    pub s3: aws_sdk_s3::Client,
    /// The client of Step Functions, for executions.
    pub states: aws_sdk_sfn::Client,
    /// The client of CloudFormation, for the stack.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// Whose credentials these are.
    sts: aws_sdk_sts::Client,
    /// What all clients share, for a request to a service that has none.
    pub(super) config: SdkConfig,
}

impl Aws {
    /// Clients for the local AWS on `port`. The user's own profile and credentials are never read:
    /// a wrong environment variable must not send a local command to a real account.
    #[must_use]
    pub fn local(port: u16) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "local");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(LOCAL_REGION))
            .endpoint_url(local_endpoint(port))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Builder::new().build_http())
            .build();
        Self::of(&config, true)
    }

    /// Clients for the account that the environment or the profile names, in this region or in
    /// theirs.
    pub async fn remote(region: Option<&str>) -> Self {
        let loader = match region {
            Some(region) => aws::loader().region(Region::new(region.to_owned())),
            None => aws::loader(),
        };
        Self::of(&loader.load().await, false)
    }

    pub(crate) fn of(config: &SdkConfig, local: bool) -> Self {
        Self {
            local,
            region: config.region().map_or_else(|| LOCAL_REGION.to_owned(), ToString::to_string),
            s3: aws::s3_client(config),
            states: aws_sdk_sfn::Client::new(config),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            config: config.clone(),
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Checks that there is a region and that there are credentials, before anything is asked.
    ///
    /// # Errors
    /// With where to get what is missing.
    pub async fn check_sign_in(&self) -> anyhow::Result<()> {
        if self.config.region().is_none() {
            return Err(Problem::usage("it is not known in which AWS region the stack is")
                .next("name it: --region eu-west-1, or AWS_REGION, or the profile of AWS_PROFILE")
                .into());
        }

        let provider = self.config.credentials_provider();
        let why = match provider.as_ref().map(|known| known.provide_credentials()) {
            None => "none are configured".to_owned(),
            Some(credentials) => match credentials.await {
                Ok(_) => return Ok(()),
                Err(error) => DisplayErrorContext(&error).to_string(),
            },
        };
        Err(Problem::usage("there are no AWS credentials")
            .at(why)
            .next(
                "sign in, then give them to this program: eval \"$(aws configure export-credentials \
                 --format env)\"; or set AWS_PROFILE to a profile with keys",
            )
            .into())
    }

    /// The number of the account that the credentials belong to.
    pub async fn account(&self) -> anyhow::Result<String> {
        let answer = self.sts.get_caller_identity().send().await.map_err(|error| {
            Problem::new(format!("cannot see which account this is: {}", describe(&error)))
                .at("AWS credentials")
                .next("check them: aws sts get-caller-identity")
        })?;
        Ok(answer.account().unwrap_or_default().to_owned())
    }
}

/// An AWS error as text: its code and message, or the whole chain of causes when it has no code.
pub fn describe<E, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> String
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let metadata = error.as_service_error();
    match (metadata.and_then(E::code), metadata.and_then(E::message)) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    }
}
