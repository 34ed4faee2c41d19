//! S3's answers to a role that may list only its own prefixes, as AWS documents them.
#![allow(clippy::unwrap_used)]
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

use super::*;

const OWNER: &str = "111122223333";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

/// A stand-in for S3: it refuses every object, and lists these keys if it lists at all. Each
/// request's line and the account that it expects as the owner are sent to the receiver.
fn s3(listed: Option<&'static [&'static str]>) -> (Storage, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let seen = answer(&stream, listed);
            if sender.send(seen).is_err() {
                break;
            }
        }
    });

    let http = aws_smithy_http_client::Builder::new().build_http();
    let configuration = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .http_client(http)
        .build();
    let storage = Storage::new(Client::from_conf(configuration)).owned_by(Some(OWNER.to_owned()));
    (storage, requests)
}

/// Answers one request, and ends the connection.
fn answer(stream: &TcpStream, listed: Option<&[&str]>) -> (String, String) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let owner = lines
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("x-amz-expected-bucket-owner: ").map(str::to_owned))
        .unwrap_or_default();
    let (status, body) = match listed {
        Some(keys) if request.contains("list-type=2") => {
            let keys: String =
                keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
            ("200 OK", format!("<ListBucketResult>{keys}</ListBucketResult>"))
        }
        _ => ("403 Forbidden", DENIED.to_owned()),
    };

    let body = if request.starts_with("HEAD") { String::new() } else { body };
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );

    (request, owner)
}

#[tokio::test]
async fn a_403_for_a_key_that_is_not_listed_means_that_there_is_no_object() {
    for listed in [&[][..], &["policies/p.json.old"]] {
        let (storage, _requests) = s3(Some(listed));
        assert!(storage.get("b", "policies/p.json").await.unwrap().is_none(), "{listed:?}");
        assert_eq!(storage.etag("b", "policies/p.json").await, Ok(None), "{listed:?}");

        let written = HandoffRef { sha256: String::new(), version_id: None };
        let failure = storage.get_written("b", "policies/p.json", &written).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::HandoffInvalid);
    }
}

#[tokio::test]
async fn a_403_for_a_key_that_is_there_or_may_not_be_listed_is_a_refusal() {
    for listed in [Some(&["policies/p.json"][..]), None] {
        let (storage, _requests) = s3(listed);
        let failure = storage.get("b", "policies/p.json").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::StorageRefused, "{listed:?}");
        let failure = storage.etag("b", "policies/p.json").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::StorageRefused, "{listed:?}");
    }
}

#[tokio::test]
async fn every_request_names_the_account_that_has_to_own_the_bucket() {
    let (storage, requests) = s3(Some(&[]));
    let written = HandoffRef { sha256: String::new(), version_id: Some("v".to_owned()) };
    let pin = ModelPin {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
        version_id: None,
        etag: "e".to_owned(),
        sha256: String::new(),
    };

    let _ = storage.get("b", "k").await;
    let _ = storage.get_written("b", "k", &written).await;
    let _ = storage.get_pinned(&pin).await;
    let _ = storage.etag("b", "k").await;
    let _ = storage.etags("b", "k/").await;
    let _ = storage.put("b", "k", Bytes::new(), APPLICATION_JSON).await;
    let _ = storage.replace("b", "k", None, Bytes::new(), APPLICATION_JSON).await;

    // Four reads with the listing that follows each, one more listing, and two writes.
    let seen: Vec<_> = requests.try_iter().collect();
    assert!(seen.len() >= 11, "{seen:?}");
    assert!(seen.iter().all(|(_, owner)| owner == OWNER), "{seen:?}");
}
