//! A server that answers as CloudFormation does, for one stack, and notes what it was asked.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;

use crate::aws::Aws;

/// The fields of one request.
pub(super) type Request = BTreeMap<String, String>;

/// The stack, and what happened to it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The stack's status; empty when there is none.
    pub(super) status: &'static str,
    /// The stack's parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// Names of the parameters of the template that is deployed.
    pub(super) template: Vec<&'static str>,
    /// Whether a change set finds nothing to change but the deployment's id.
    pub(super) unchanged: bool,
    /// Whether the last change set keeps the deployment's id.
    pub(super) keeps_id: bool,
    /// Whether the stack is protected against deletion.
    pub(super) protected: bool,
    /// Every request, in order.
    pub(super) requests: Vec<Request>,
}

/// The server; it ends with the test's process.
pub(super) struct StandIn {
    state: Arc<Mutex<State>>,
    address: String,
}

impl StandIn {
    pub(super) fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared);
            }
        });
        Self { state, address }
    }

    pub(super) fn aws(&self) -> Aws {
        let credentials = Credentials::new("test", "test", None, None, "stand-in");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(&self.address)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Builder::new().build_http())
            .build();
        Aws::of(&config, false)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The actions that were asked for, without those that only look.
    pub(super) fn actions(&self) -> Vec<String> {
        let action = |request: &Request| request["Action"].clone();
        let looks = |action: &String| action.starts_with("Describe") || action.starts_with("Get");
        self.state().requests.iter().map(action).filter(|action| !looks(action)).collect()
    }

    /// The requests of this action, in order.
    pub(super) fn requests(&self, action: &str) -> Vec<Request> {
        let state = self.state();
        state.requests.iter().filter(|request| request["Action"] == action).cloned().collect()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return;
        }

        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }

        if line.trim().is_empty() {
            break;
        }
    }

    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let request: Request = String::from_utf8(body)
        .unwrap()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    let action = &request["Action"];
    let (status, xml) = match state.answer(&request) {
        Ok(result) => {
            let result = format!("<{action}Result>{result}</{action}Result>");
            ("200 OK", format!("<{action}Response>{result}</{action}Response>"))
        }
        Err(message) => {
            let error = format!("<Code>ValidationError</Code><Message>{message}</Message>");
            let error = format!("<Error><Type>Sender</Type>{error}</Error>");
            ("400 Bad Request", format!("<ErrorResponse>{error}</ErrorResponse>"))
        }
    };
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{xml}",
        xml.len()
    )
    .unwrap();
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

impl State {
    fn answer(&mut self, request: &Request) -> Result<String, String> {
        let name = request.get("StackName").map_or("", String::as_str);
        match request["Action"].as_str() {
            "DescribeStacks" if self.status.is_empty() => {
                Err(format!("Stack with id {name} does not exist"))
            }
            "DescribeStacks" => Ok(self.described(name)),
            "GetTemplateSummary" => {
                let member = |name: &&str| {
                    format!("<member><ParameterKey>{name}</ParameterKey></member>")
                };
                let members: String = self.template.iter().map(member).collect();
                Ok(format!("<Parameters>{members}</Parameters>"))
            }
            "CreateChangeSet" => self.create_change_set(request),
            "DescribeChangeSet" if self.unchanged && self.keeps_id => Ok(
                "<Status>FAILED</Status><StatusReason>The submitted information didn't contain changes. \
                 Submit different information to create a change set.</StatusReason>"
                    .to_owned(),
            ),
            "DescribeChangeSet" => Ok(
                "<Status>CREATE_COMPLETE</Status><Changes><member><Type>Resource</Type><ResourceChange>\
                 <Action>Modify</Action><LogicalResourceId>ModelBucket</LogicalResourceId>\
                 <ResourceType>AWS::S3::Bucket</ResourceType><Replacement>True</Replacement>\
                 </ResourceChange></member></Changes>"
                    .to_owned(),
            ),
            "ExecuteChangeSet" => {
                let first = self.status == "REVIEW_IN_PROGRESS";
                self.status = if first { "CREATE_COMPLETE" } else { "UPDATE_COMPLETE" };
                Ok(String::new())
            }
            "DeleteStack" => {
                self.status = "";
                Ok(String::new())
            }
            "UpdateTerminationProtection" => {
                self.protected = request["EnableTerminationProtection"] == "true";
                Ok(String::new())
            }
            "DescribeStackEvents" | "DeleteChangeSet" => Ok(String::new()),
            other => Err(format!("the stand-in does not know {other}")),
        }
    }

    fn described(&self, name: &str) -> String {
        let parameter = |(key, value): (&String, &String)| {
            format!(
                "<member><ParameterKey>{key}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
            )
        };
        let parameters: String = self.parameters.iter().map(parameter).collect();
        format!(
            "<Stacks><member><StackName>{name}</StackName><StackId>arn:stack/{name}</StackId>\
             <CreationTime>2026-11-25T02:00:00Z</CreationTime><StackStatus>{}</StackStatus>\
             <EnableTerminationProtection>{}</EnableTerminationProtection>\
             <Parameters>{parameters}</Parameters></member></Stacks>",
            self.status, self.protected
        )
    }

    fn create_change_set(&mut self, request: &Request) -> Result<String, String> {
        let takes_update = !["ROLLBACK_COMPLETE", "CREATE_FAILED", "UPDATE_ROLLBACK_FAILED"]
            .contains(&self.status);
        match request["ChangeSetType"].as_str() {
            "CREATE" if ["", "REVIEW_IN_PROGRESS"].contains(&self.status) => {
                self.status = "REVIEW_IN_PROGRESS";
            }
            "UPDATE" if takes_update => {}
            _ => return Err(format!("Stack is in {} state and can not be updated.", self.status)),
        }

        self.keeps_id = false;
        for (key, name) in request.iter().filter(|(key, _)| key.ends_with(".ParameterKey")) {
            if !self.template.contains(&name.as_str()) {
                return Err(format!("Parameters: [{name}] do not exist in the template"));
            }

            let previous = key.replace("ParameterKey", "UsePreviousValue");
            if request.contains_key(&previous) && !self.parameters.contains_key(name) {
                return Err(format!(
                    "Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
                ));
            }
            self.keeps_id |= request.contains_key(&previous) && name == "DeploymentId";
        }

        Ok("<Id>arn:change-set</Id><StackId>arn:stack</StackId>".to_owned())
    }
}
