//! One signed request to a service that this program has no client for.
//!
//! `status` wants one answer each of CloudWatch, Lambda and SQS. Their clients would make every
//! first build longer. What signs and sends here is what the other clients use.

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use serde_json::Value;

use super::clients::Aws;

/// A request, before it is signed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    /// The service's name in its address and in the signature, for example `lambda`.
    pub(crate) service: &'static str,
    /// GET or POST.
    pub(crate) method: &'static str,
    /// The path, with its slash.
    pub(crate) path: String,
    /// The header `content-type`; empty for none.
    pub(crate) content_type: &'static str,
    /// The header `x-amz-target`, with which a JSON protocol names its operation; empty for none.
    pub(crate) target: &'static str,
    /// The body; empty for none.
    pub(crate) body: String,
}

type Answer = (u16, Option<String>, String);

/// Sends a request and returns the body of its answer.
///
/// # Errors
/// With the service's code and message, as one text.
pub(crate) async fn send(aws: &Aws, call: Call) -> Result<String, String> {
    let endpoint = endpoint(aws, call.service);
    let request = signed(aws, &call, &endpoint).await?;
    let http = aws.config.http_client().ok_or("there is no HTTP client")?;
    let mut operation = Operation::builder()
        .service_name(call.service)
        .operation_name("request")
        .http_client(http)
        .endpoint_url(&endpoint)
        .no_auth()
        .no_retry()
        .serializer(|request: HttpRequest| Ok(request))
        .deserializer::<Answer, std::io::Error>(|response: &HttpResponse| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let kind = response.headers().get("x-amzn-errortype").map(str::to_owned);
            let body = response.body().bytes().map(text).unwrap_or_default();
            Ok((response.status().as_u16(), kind, body))
        });
    if let Some(timeouts) = aws.config.timeout_config() {
        operation = operation.timeout_config(timeouts.clone());
    }

    let unsent =
        |error: SdkError<std::io::Error, HttpResponse>| DisplayErrorContext(&error).to_string();
    match operation.build().invoke(request).await.map_err(unsent)? {
        (200, _, body) => Ok(body),
        (status, kind, body) => Err(refusal(status, kind.as_deref(), &body)),
    }
}

/// The address of a service in the region, or the one that is configured for all services.
fn endpoint(aws: &Aws, service: &str) -> String {
    let domain = if aws.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    aws.config
        .endpoint_url()
        .map_or_else(|| format!("https://{service}.{}.{domain}", aws.region), str::to_owned)
}

/// The request with the headers that Signature Version 4 adds.
async fn signed(aws: &Aws, call: &Call, endpoint: &str) -> Result<HttpRequest, String> {
    let provider = aws.config.credentials_provider().ok_or("there are no credentials")?;
    let credentials = provider.provide_credentials().await.map_err(|error| error.to_string())?;
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&aws.region)
        .name(call.service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();

    let url = format!("{}{}", endpoint.trim_end_matches('/'), call.path);
    let headers = [("content-type", call.content_type), ("x-amz-target", call.target)];
    let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let body = SignableBody::Bytes(call.body.as_bytes());
    let signable = SignableRequest::new(call.method, &url, headers.clone(), body)
        .map_err(|error| error.to_string())?;
    let (instructions, _) =
        sign(signable, &parameters).map_err(|error| error.to_string())?.into_parts();

    let mut request = HttpRequest::new(SdkBody::from(call.body.clone()));
    request.set_method(call.method).map_err(|error| error.to_string())?;
    request.set_uri(call.path.as_str()).map_err(|error| error.to_string())?;
    for (name, value) in headers.chain(instructions.headers()) {
        let value = value.to_owned();
        request
            .headers_mut()
            .try_insert(name.to_owned(), value)
            .map_err(|error| error.to_string())?;
    }

    Ok(request)
}

/// The code and the message of an error, from JSON or from XML.
fn refusal(status: u16, kind: Option<&str>, body: &str) -> String {
    let (code, message) = match serde_json::from_str::<Value>(body) {
        Ok(json) => {
            let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
            let code = kind.map(str::to_owned).or_else(|| text("__type"));
            (code, text("message").or_else(|| text("Message")))
        }
        Err(_) => (between(body, "<Code>", "</Code>"), between(body, "<Message>", "</Message>")),
    };

    // `com.amazonaws.sqs#AccessDenied`, or `AccessDenied:http://...`
    let code = code.as_deref().and_then(|code| code.rsplit('#').next());
    let code = code.and_then(|code| code.split(':').next());
    match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => format!("HTTP status {status}"),
    }
}

/// The text between two marks.
fn between(text: &str, begin: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inside, _)| inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_code_and_its_message_in_every_protocol() {
        let sqs = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no queue"}"#;
        let lambda = r#"{"Message":"not authorized"}"#;
        let query = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                     <Message>not authorized</Message></Error></ErrorResponse>";
        let cases = [
            (None, sqs, "QueueDoesNotExist: no queue"),
            (
                Some("AccessDeniedException:http://x/"),
                lambda,
                "AccessDeniedException: not authorized",
            ),
            (None, query, "AccessDenied: not authorized"),
            (None, "<html>", "HTTP status 403"),
        ];
        for (kind, body, expected) in cases {
            assert_eq!(refusal(403, kind, body), expected);
        }
    }
}
