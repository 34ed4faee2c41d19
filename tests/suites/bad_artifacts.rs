//! Promise 10: artifacts, policies and requests that are damaged, hostile or wrong are refused with
//! a permanent error that says what is wrong. Nothing is written, and the process lives on.
#![allow(missing_docs)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use limit_increase::model::{BUCKET, KEY};
use limit_increase_artifact::Artifact;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::decisions;
use limit_increase_tests::simulator::function::{Delivery, FunctionError, FunctionProcess, Launch};
use limit_increase_tests::{cases, programs, suite};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

const POLICY: &str = "policies/limit-increase-policy.json";

fn main() -> ExitCode {
    suite::run(
        "bad-artifacts",
        &cases![
            a_bad_archive_is_refused_and_writes_nothing,
            every_flipped_bit_of_a_small_model_is_refused_or_changes_nothing,
            a_model_that_contradicts_itself_is_refused_and_writes_nothing,
            a_bad_policy_document_is_refused_by_its_field,
            a_bad_request_is_refused_by_its_field_however_large_or_deep,
            a_bad_event_of_a_later_step_is_refused,
        ],
    )
}

/// The two functions that read an artifact, and a good artifact.
struct FunctionsUnderTest<'e> {
    environment: &'e Environment,
    query: FunctionProcess,
    score: FunctionProcess,
    model: Bytes,
    runs: u32,
}

impl<'e> FunctionsUnderTest<'e> {
    fn new(environment: &'e Environment) -> Result<Self> {
        environment.reset()?;
        let programs = programs::functions(&environment.context)?;
        let services = &environment.ready.services;
        let log = environment.context.home.logs().join("bad-artifacts.log");
        let launch = |name: &str| {
            let program = programs.get(name).with_context(|| format!("no program {name}"))?;
            let launch = Launch::new(program, name, &services.endpoint())
                .env("DATABASE_URL", &services.functions_database_url)
                .env("BUCKET", BUCKET);
            Ok::<_, anyhow::Error>(launch.timeout(Duration::from_secs(60)).log(&log))
        };

        let (query, score) = (launch("query-batch-scores")?, launch("score-customers")?);
        let query = environment.block_on(FunctionProcess::start(&query))?;
        let score = environment.block_on(FunctionProcess::start(&score))?;
        Ok(Self { environment, query, score, model: environment.object(KEY)?, runs: 0 })
    }

    /// Opens a run, and scores its first shard if that succeeds.
    fn open_and_score(&mut self, request: &Value) -> std::result::Result<(), FunctionError> {
        self.runs += 1;
        let run = format!("bad-{}", self.runs);
        let opened = self
            .environment
            .block_on(self.query.invoke(&json!({ "run_id": run, "request": request })))?;
        let shard = self.first_shard(&run);
        self.environment
            .block_on(self.score.invoke(&json!({ "run": opened["run"], "shard": shard })))
            .map(|_| ())
    }

    /// The first entry of a run's list of shards; `null` when there is none.
    fn first_shard(&self, run: &str) -> Value {
        let list = self.environment.object(&format!("pipeline/customers/run={run}/manifest.json"));
        let shards = list.ok().and_then(|list| serde_json::from_slice::<Vec<Value>>(&list).ok());
        shards.and_then(|shards| shards.into_iter().next()).unwrap_or_default()
    }

    /// Replaces the model by this artifact, and expects that it is refused with these words.
    fn refuses(&mut self, what: &str, artifact: Vec<u8>, words: &str) -> Result<()> {
        self.environment.put_object(KEY, artifact)?;
        let outcome = self.open_and_score(&json!({}));
        self.environment.put_object(KEY, self.model.clone())?;
        self.permanent(what, outcome, "Permanent.ModelInvalid", words)
    }

    fn permanent(
        &self,
        what: &str,
        outcome: std::result::Result<(), FunctionError>,
        name: &str,
        words: &str,
    ) -> Result<()> {
        let error = outcome.err().with_context(|| format!("{what} is accepted"))?;
        ensure!(
            error.error_type == name && error.message.contains(words),
            "{what}: expected {name} with {words:?}, got {error}"
        );
        ensure!(
            self.query.is_alive() && self.score.is_alive(),
            "{what}: both functions should live on, and one has died"
        );
        Ok(())
    }

    /// At the end the good model works in the same processes, and nobody was decided.
    fn end(mut self) -> Result<()> {
        ensure!(decisions(self.environment)?.is_empty(), "promise 10: nobody should be decided");

        self.open_and_score(&json!({})).context("the good model is refused afterwards")
    }
}

fn digest(content: &[u8]) -> Value {
    json!({ "sha256": hex::encode(Sha256::digest(content)), "bytes": content.len() })
}

fn header(name: &str, size: u64, kind: EntryType) -> Result<Header> {
    let mut header = Header::new_ustar();
    // `set_path` refuses the names that a test needs.
    header.as_ustar_mut().context("no ustar header")?.name[..name.len()]
        .copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn pack(entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        tar.append(&header(name, content.len() as u64, EntryType::Regular)?, *content)?;
    }

    gzip(&tar.into_inner()?)
}

/// The parts of a model, from which a test makes a wrong one.
struct ModelParts {
    onnx: Vec<u8>,
    json: Vec<u8>,
    manifest: Value,
}

impl ModelParts {
    fn of(model: &[u8]) -> Result<Self> {
        let artifact = Artifact::open(model)?;
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(model));
        let mut manifest = None;
        for entry in archive.entries()? {
            let entry = entry?;
            if entry.path()?.as_os_str() == "manifest.json" {
                manifest = Some(serde_json::from_reader(entry)?);
            }
        }

        let manifest = manifest.context("no manifest")?;
        Ok(Self { onnx: artifact.onnx, json: artifact.model_json, manifest })
    }

    /// An archive with correct hashes, so that another check has to find the fault.
    fn rehashed(mut self) -> Result<Vec<u8>> {
        self.manifest["files"]["model.onnx"] = digest(&self.onnx);
        self.manifest["files"]["model.json"] = digest(&self.json);
        self.packed()
    }

    fn packed(&self) -> Result<Vec<u8>> {
        let manifest = serde_json::to_vec(&self.manifest)?;
        pack(&[
            ("model.onnx", &self.onnx),
            ("model.json", &self.json),
            ("manifest.json", &manifest),
        ])
    }
}

fn a_bad_archive_is_refused_and_writes_nothing(environment: &Environment) -> Result<()> {
    let mut functions = FunctionsUnderTest::new(environment)?;
    let model = functions.model.to_vec();
    let parts = ModelParts::of(&model)?;
    let manifest = serde_json::to_vec(&parts.manifest)?;
    let files = [
        ("model.onnx", parts.onnx.as_slice()),
        ("model.json", &parts.json),
        ("manifest.json", &manifest),
    ];

    functions.refuses("an empty object", Vec::new(), "can't be read")?;
    for part in [1, model.len() / 3, model.len() - 1] {
        functions.refuses(&format!("the first {part} bytes"), model[..part].to_vec(), "archive")?;
    }

    functions.refuses("text", b"this is no archive".to_vec(), "can't be read")?;
    functions.refuses(
        "something after the end",
        [model.as_slice(), b"x"].concat(),
        "after the archive's end",
    )?;

    for name in ["../model.onnx", "/etc/passwd", "models/model.onnx", "notes.txt"] {
        let mut entries = files.to_vec();
        entries.insert(0, (name, b"x"));
        functions.refuses(name, pack(&entries)?, name)?;
    }

    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Fifo] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut entry = header("model.onnx", 0, kind)?;
        entry.set_link_name("/etc/passwd")?;
        entry.set_cksum();
        tar.append(&entry, std::io::empty())?;
        functions.refuses(&format!("{kind:?}"), gzip(&tar.into_inner()?)?, "not a plain file")?;
    }

    for missing in 0..3 {
        let mut entries = files.to_vec();
        let (name, _) = entries.remove(missing);
        functions.refuses(&format!("no {name}"), pack(&entries)?, &format!("no {name}"))?;
    }

    // A gigabyte of zeros in a megabyte, once with the true size in the header, and once with a
    // false one.
    let zeros = vec![0_u8; 64 << 20];
    for claimed in [1_u64 << 30, 100] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(header("model.onnx", claimed, EntryType::Regular)?.as_bytes())?;
        for _ in 0..16 {
            encoder.write_all(&zeros)?;
        }

        functions.refuses(&format!("a bomb that claims {claimed} bytes"), encoder.finish()?, "")?;
    }

    functions.end()
}

fn every_flipped_bit_of_a_small_model_is_refused_or_changes_nothing(
    environment: &Environment,
) -> Result<()> {
    let golden =
        environment.context.project.root().join("shared/scoring/tests/golden/depth_1.tar.gz");
    let small = std::fs::read(&golden).with_context(|| golden.display().to_string())?;
    let whole = Artifact::open(&small)?;
    let mut refused = 0;
    for at in 0..small.len() {
        let mut flipped = small.clone();
        flipped[at] ^= 1 << (at % 8);
        match Artifact::open(&flipped) {
            Err(_) => refused += 1,
            // Some bytes of gzip's header do not change the content. The archive's hash differs
            // nevertheless.
            Ok(artifact) => ensure!(
                artifact.onnx == whole.onnx
                    && artifact.model_json == whole.model_json
                    && artifact.sha256 != whole.sha256,
                "promise 10: byte {at} is flipped, and the artifact is accepted with \
                 another content or the same hash"
            ),
        }
    }

    ensure!(
        refused > small.len() - 20,
        "promise 10: all flips but those of gzip's header should be refused, but \
         {refused} of {} were",
        small.len()
    );

    // Some of the flipped archives go through the programs too.
    let mut functions = FunctionsUnderTest::new(environment)?;
    let model = functions.model.to_vec();
    for at in (20..model.len()).step_by(model.len() / 12) {
        let mut flipped = model.clone();
        flipped[at] ^= 1 << (at % 8);
        functions.refuses(&format!("byte {at} flipped"), flipped, "")?;
    }

    functions.end()
}

fn a_model_that_contradicts_itself_is_refused_and_writes_nothing(
    environment: &Environment,
) -> Result<()> {
    let mut functions = FunctionsUnderTest::new(environment)?;
    let model = functions.model.to_vec();
    let parts = || ModelParts::of(&model);

    let mut wrong = parts()?;
    wrong.manifest["files"]["model.onnx"]["sha256"] = json!("0".repeat(64));
    functions.refuses("a wrong hash", wrong.packed()?, "sha256")?;

    for version in [json!(0), json!(3), json!(u64::MAX), json!("1"), json!(null)] {
        let mut wrong = parts()?;
        wrong.manifest["schema_version"] = version.clone();
        functions.refuses(
            &format!("schema version {version}"),
            wrong.packed()?,
            "schema_version",
        )?;
    }

    let mut wrong = parts()?;
    wrong.manifest["features"].as_array_mut().context("no features")?.pop();
    functions.refuses("one feature too few", wrong.packed()?, "")?;
    let mut wrong = parts()?;
    let features = wrong.manifest["features"].as_array_mut().context("no features")?;
    let mut more = features.first().context("no features")?.clone();
    more["name"] = json!("one_too_many");
    more["source_column"] = json!("months_on_book_2");
    features.push(more);
    functions.refuses_with(
        "one feature too many",
        wrong.packed()?,
        &["Permanent.ModelInvalid", "Permanent.DatabaseSchema"],
    )?;

    let mut wrong = parts()?;
    wrong.manifest["golden_rows"][0]["raw_value"] = json!(12.5);
    functions.refuses("a golden row that is not what the trees say", wrong.packed()?, "golden")?;

    let mut wrong = parts()?;
    wrong.manifest["features"][0]["monotone"] = json!(1);
    let words = "\"bureau_score\" is monotone (+1, which never lowers";
    functions.refuses("a direction that the trees do not keep", wrong.packed()?, words)?;

    for broken in [&b""[..], b"{}", b"not JSON", b"{\"oblivious_trees\": []}"] {
        let mut wrong = parts()?;
        wrong.json = broken.to_vec();
        functions.refuses(
            &format!("a model.json of {broken:?}"),
            wrong.rehashed()?,
            "model.json",
        )?;
        let mut wrong = parts()?;
        wrong.onnx = broken.to_vec();
        functions.refuses(&format!("a model.onnx of {broken:?}"), wrong.rehashed()?, "")?;
    }

    let mut wrong = parts()?;
    wrong.json = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    functions.refuses("a model.json a hundred thousand deep", wrong.rehashed()?, "model.json")?;
    functions.end()
}

fn a_bad_policy_document_is_refused_by_its_field(environment: &Environment) -> Result<()> {
    let mut functions = FunctionsUnderTest::new(environment)?;
    let cases = [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("null", ""),
        ("[]", ""),
        (r#"{"tiers": []}"#, "tiers"),
        (r#"{"tiers": [{"limit_below": "5000", "growth": "0.5"}]}"#, "tiers[0].limit_below"),
        (r#"{"tiers": [{"growth": "0.5"}, {"growth": "0.2"}]}"#, "tiers[0].limit_below"),
        (
            r#"{"tiers": [{"limit_below": "5000", "growth": "0.5"}, {"limit_below": "4000", "growth": "0.3"}, {"growth": "0.2"}]}"#,
            "tiers[1].limit_below",
        ),
        (
            r#"{"tiers": [{"limit_below": "5000", "growth": "0.5"}, {"limit_below": "5000", "growth": "0.3"}, {"growth": "0.2"}]}"#,
            "tiers[1].limit_below",
        ),
        (r#"{"tiers": [{"growth": "-0.1"}]}"#, "tiers[0].growth"),
        (r#"{"tiers": [{"growth": "NaN"}]}"#, "growth"),
        (r#"{"tiers": [{"growth": NaN}]}"#, "not JSON"),
        (r#"{"tiers": [{"growth": 1e400}]}"#, ""),
        (r#"{"maximum_limit": "-1"}"#, "maximum_limit"),
        (r#"{"maximum_limit": "NaN"}"#, "maximum_limit"),
        (r#"{"maximum_limit": "Infinity"}"#, "maximum_limit"),
        (r#"{"maximum_limit": "1e30"}"#, "maximum_limit"),
        (r#"{"round_down_to": "0"}"#, "round_down_to"),
        (r#"{"minimum_score": 650.5}"#, "minimum_score"),
        (r#"{"minimum_scor": 650}"#, "minimum_scor"),
        (r#"{"eligibility": {"current_limit_below": "-1"}}"#, "current_limit_below"),
        (r#"{"affordability": {"income_column": "x", "maximum_share": "-1"}}"#, "maximum_share"),
    ];

    for (document, words) in cases {
        environment.put_object(POLICY, document)?;
        let outcome = functions.open_and_score(&json!({}));
        environment
            .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(POLICY).send())?;
        functions.permanent(document, outcome, "Permanent.InvalidPolicy", words)?;
        // The same policy in a request.
        if let Ok(policy) = serde_json::from_str::<Value>(document) {
            let outcome = functions.open_and_score(&json!({ "policy": policy }));
            let error =
                outcome.err().with_context(|| format!("{document} is accepted in a request"))?;
            let names = ["Permanent.InvalidPolicy", "Permanent.InvalidRequest"];
            ensure!(
                names.contains(&error.error_type.as_str()) && error.message.contains(words),
                "{document} in a request: expected one of {names:?} with {words:?}, got {error}"
            );
        }
    }

    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    environment.put_object(POLICY, deep)?;
    let outcome = functions.open_and_score(&json!({}));
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(POLICY).send())?;
    functions.permanent(
        "a policy a hundred thousand deep",
        outcome,
        "Permanent.InvalidPolicy",
        "recursion",
    )?;

    functions.end()
}

fn a_bad_request_is_refused_by_its_field_however_large_or_deep(
    environment: &Environment,
) -> Result<()> {
    let functions = FunctionsUnderTest::new(environment)?;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let request = |request: &str| format!(r#"{{"run_id": "bad", "request": {request}}}"#);
    let cases: Vec<(String, String, &str)> = vec![
        ("nothing".into(), String::new(), ""),
        ("half an event".into(), r#"{"run_id": "bad", "#.into(), ""),
        ("no JSON".into(), "limit=20".into(), ""),
        ("a null".into(), "null".into(), ""),
        ("a number".into(), "42".into(), ""),
        ("70 KB".into(), request(&format!(r#"{{"x": "{}"}}"#, "y".repeat(70_000))), "larger than"),
        ("5 MB".into(), request(&format!(r#"{{"x": "{}"}}"#, "y".repeat(5 << 20))), "larger than"),
        (
            "5 MB of fields".into(),
            request(&format!("{{{}}}", vec![r#""a":1"#; 700_000].join(","))),
            "",
        ),
        ("64 levels".into(), request(&deep(64)), ""),
        ("a hundred thousand levels".into(), request(&deep(100_000)), "recursion"),
        ("a million levels and no end".into(), "[".repeat(1_000_000), "recursion"),
        ("a number out of any range".into(), request(r#"{"limit": 1e999}"#), ""),
        ("a limit of 20 digits".into(), request(r#"{"limit": 99999999999999999999}"#), "limit"),
        (
            "text for a date".into(),
            request(r#"{"as_of": "'; DROP TABLE batch_scores; --"}"#),
            "as_of",
        ),
        ("a lone surrogate".into(), request(r#"{"as_of": "\ud800"}"#), ""),
        ("a run id with a path".into(), r#"{"run_id": "../../x", "request": {}}"#.into(), "run_id"),
        (
            "a run id of a megabyte".into(),
            format!(r#"{{"run_id": "{}", "request": {{}}}}"#, "x".repeat(1 << 20)),
            "run_id",
        ),
    ];

    for (what, event, words) in cases {
        let outcome =
            environment.block_on(functions.query.invoke_bytes(event.into(), Delivery::Delivered));
        functions.permanent(&what, outcome.map(|_| ()), "Permanent.InvalidRequest", words)?;
    }

    let not_utf8 =
        Bytes::from_static(b"{\"run_id\": \"bad\", \"request\": {\"as_of\": \"\xff\xfe\"}}");
    let outcome = environment.block_on(functions.query.invoke_bytes(not_utf8, Delivery::Delivered));
    functions.permanent(
        "bytes that are no text",
        outcome.map(|_| ()),
        "Permanent.InvalidRequest",
        "",
    )?;

    functions.end()
}

/// Only the state machine sends events to the later steps, and they check them nevertheless.
fn a_bad_event_of_a_later_step_is_refused(environment: &Environment) -> Result<()> {
    let functions = FunctionsUnderTest::new(environment)?;
    let opened = environment
        .block_on(functions.query.invoke(&json!({ "run_id": "good", "request": {} })))?;
    let good = json!({ "run": opened["run"], "shard": functions.first_shard("good") });
    let changed = |path: &str, value: Value| {
        let mut event = good.clone();
        if let Some(field) = event.pointer_mut(path) {
            *field = value;
        }

        event
    };

    let cases = [
        (
            "another hash of the model",
            changed("/run/model/sha256", json!("0".repeat(64))),
            "Permanent.ModelChanged",
        ),
        ("another ETag", changed("/run/model/etag", json!("\"0\"")), "Permanent.ModelChanged"),
        (
            "another hash of the shard",
            changed("/shard/file/sha256", json!("0".repeat(64))),
            "Permanent.HandoffInvalid",
        ),
        (
            "another hash of the list of shards",
            changed("/run/shard_list/sha256", json!("0".repeat(64))),
            "Permanent.HandoffInvalid",
        ),
        ("another number of rows", changed("/shard/rows", json!(3)), "Permanent.HandoffInvalid"),
        ("no rows", changed("/shard/rows", json!(0)), "Permanent.HandoffInvalid"),
        (
            "a shard that is not there",
            changed("/shard/key", json!("pipeline/x")),
            "Permanent.HandoffInvalid",
        ),
        (
            "an object that is not a shard",
            changed("/shard/key", json!(KEY)),
            "Permanent.HandoffInvalid",
        ),
        (
            "another bucket",
            changed("/run/bucket", json!("no-such-bucket")),
            "Permanent.StorageRefused",
        ),
        ("a run id with a path", changed("/run/run_id", json!("../x")), "Permanent.InvalidRequest"),
        ("rows below zero", changed("/shard/rows", json!(-1)), "Permanent.InvalidRequest"),
        ("no shard", json!({ "run": opened["run"] }), "Permanent.InvalidRequest"),
    ];

    for (what, event, name) in cases {
        let outcome = environment.block_on(functions.score.invoke(&event)).map(|_| ());
        functions.permanent(what, outcome, name, "")?;
    }

    environment.block_on(functions.score.invoke(&good))?;

    // Promise 2: now the model is in memory, and still it is not the one that this event names.
    let other_model = changed("/run/model/sha256", json!("0".repeat(64)));
    let outcome = environment.block_on(functions.score.invoke(&other_model)).map(|_| ());
    functions.permanent("another hash of a warm model", outcome, "Permanent.ModelChanged", "")?;
    functions.end()
}

impl FunctionsUnderTest<'_> {
    /// Like [`FunctionsUnderTest::refuses`], with one of several names of errors.
    fn refuses_with(&mut self, what: &str, artifact: Vec<u8>, names: &[&str]) -> Result<()> {
        self.environment.put_object(KEY, artifact)?;
        let outcome = self.open_and_score(&json!({}));
        self.environment.put_object(KEY, self.model.clone())?;
        let error = outcome.err().with_context(|| format!("{what} is accepted"))?;
        ensure!(
            names.contains(&error.error_type.as_str()),
            "promise 10: {what}: expected one of {names:?}, got {error}"
        );
        Ok(())
    }
}
