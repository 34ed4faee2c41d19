//! A stack in an AWS account as an operator sees it from a laptop: by CloudFormation, Step
//! Functions, S3, EventBridge, CloudWatch, Lambda and SQS alone.
//!
//! Nothing here connects to the database, which is usually in a VPC that the laptop cannot reach.
//! So the runs come from Step Functions, and the decisions from the records in S3.

pub mod executions;
pub mod health;
pub mod records;

use anyhow::Result;

use crate::aws::Aws;
use crate::deployment::stack::{self, Stack};
use crate::terminal::{Exit, Problem};

/// Which stack is meant.
#[derive(Debug, Clone)]
pub struct Place {
    /// The stack's name.
    pub stack_name: String,
    /// The region, if not that of the AWS environment.
    pub region: Option<String>,
}

impl Place {
    /// The options with which another command means the same stack.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = "--target aws".to_owned();
        if self.stack_name != stack::DEFAULT_NAME {
            options.push_str(&format!(" --stack-name {}", self.stack_name));
        }

        if let Some(region) = &self.region {
            options.push_str(&format!(" --region {region}"));
        }

        options
    }
}

/// A stack that exists, in an account that the credentials open.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where it is.
    pub place: Place,
    /// The clients.
    pub aws: Aws,
    /// The number of the account.
    pub number: String,
    /// The stack with its outputs.
    pub stack: Stack,
}

impl Account {
    /// Finds the stack.
    ///
    /// # Errors
    /// When there are no credentials, no region, no rights, or no such stack.
    pub async fn open(place: &Place) -> Result<Self> {
        let aws = Aws::remote(place.region.as_deref()).await;
        aws.check_sign_in().await?;
        let number = aws.account().await?;
        let found = stack::find_named(&aws.cloudformation, &place.stack_name).await?;
        let stack = found.ok_or_else(|| {
            let what = format!("there is no stack {} in this region", place.stack_name);
            Problem::usage(what).at(format!("account {number}, {}", aws.region())).next(
                "name another region (--region), another stack (--stage or --stack-name) or \
                 another account (AWS_PROFILE); or deploy it: limit-increase deploy --target aws",
            )
        })?;
        Ok(Self { place: place.clone(), aws, number, stack })
    }

    /// Where the stack is, in words.
    #[must_use]
    pub fn location(&self) -> String {
        format!("stack {}, account {}, {}", self.stack.name, self.number, self.aws.region())
    }

    /// Another command for the same stack.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        format!("limit-increase {command} {}", self.place.options())
    }
}

/// Gives an error of AWS the next step that its code asks for.
#[must_use]
pub fn explain(error: anyhow::Error) -> anyhow::Error {
    let mut problem = Problem::of(&error);
    // The error of a run that failed speaks of the functions' rights, and not of these credentials.
    if problem.exit == Exit::RunFailed {
        return error;
    }

    match advice(&problem.what) {
        Some(next) => {
            problem.next = Some(next.to_owned());
            problem.into()
        }
        None => error,
    }
}

/// What to do about an error of AWS, by the code in its text.
fn advice(what: &str) -> Option<&'static str> {
    const ADVICE: [(&[&str], &str); 6] = [
        (
            &["ExpiredToken", "RequestExpired", "token included in the request is expired"],
            "sign in again: the credentials have expired",
        ),
        (
            &[
                "InvalidClientTokenId",
                "UnrecognizedClient",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
                "InvalidSignature",
                "IncompleteSignature",
            ],
            "check the credentials (aws sts get-caller-identity), this machine's clock, and that \
             the account has the region switched on",
        ),
        (
            &["AccessDenied", "UnauthorizedOperation", "not authorized to perform"],
            "have that action allowed to these credentials, or use others (AWS_PROFILE); \
             docs/aws.md lists what each command asks",
        ),
        (
            &["ExecutionDoesNotExist"],
            "see the last runs: limit-increase status --target aws; Step Functions forgets a run \
             after 90 days, limit-increase results RUN --target aws reads its records even then",
        ),
        (
            &["Throttling", "TooManyRequests", "Rate exceeded"],
            "wait a minute, then repeat the command: the account's quota of requests is used up",
        ),
        (
            &["dispatch failure", "dns error", "error trying to connect"],
            "check the region's name, the network and its proxy; AWS was not reached",
        ),
    ];

    let says = |words: &&[&str]| words.iter().any(|word| what.contains(word));
    ADVICE.iter().find(|(words, _)| says(words)).map(|(_, next)| *next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_aws_gets_the_step_that_its_code_asks_for() {
        let cases = [
            ("AccessDenied: User: x is not authorized to perform: s3:GetObject", "AWS_PROFILE"),
            (
                "ExpiredToken: The security token included in the request is expired",
                "sign in again",
            ),
            ("UnrecognizedClientException: The security token is invalid", "get-caller-identity"),
            ("ThrottlingException: Rate exceeded", "wait a minute"),
            ("dispatch failure: io error: dns error", "region's name"),
        ];
        for (what, words) in cases {
            let explained = explain(Problem::new(format!("cannot do it: {what}")).into());
            assert!(explained.to_string().contains(words), "{what}: {explained}");
        }

        let other = Problem::new("no model").next("train one");
        assert!(explain(other.into()).to_string().contains("train one"));
    }

    #[test]
    fn the_error_of_a_run_keeps_its_own_advice() {
        let mut failed = Problem::new("AccessDenied in ScoreCustomers").next("the runbook");
        failed.exit = Exit::RunFailed;
        assert!(explain(failed.into()).to_string().contains("the runbook"));
    }

    #[test]
    fn another_command_names_the_same_stack() {
        let place = |name: &str, region: Option<&str>| Place {
            stack_name: name.to_owned(),
            region: region.map(str::to_owned),
        };
        assert_eq!(place(stack::DEFAULT_NAME, None).options(), "--target aws");
        assert_eq!(
            place("credit", Some("eu-west-1")).options(),
            "--target aws --stack-name credit --region eu-west-1"
        );
    }
}
