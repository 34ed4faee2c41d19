//! Loading takes bounded memory, whatever the files of an artifact would expand to.
//!
//! This file has only one test, because it measures the memory of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use limit_increase_scoring::{MAX_LOAD_BYTES, Model};
use support::golden;
use support::protobuf::{attribute, field, graph};

/// The size of the ONNX bombs. The artifact allows larger files, but this measures how much more
/// memory than its size a file can take.
const FILE_BYTES: usize = 32 << 20;
/// A few values less than `model.json` may have.
const VALUES: usize = 4_000_000;

/// A name, and a file that takes much more memory than its size when it is read.
type Bomb = (&'static str, fn() -> Vec<u8>);

/// The most memory that this process has had, where the system reports it.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()? * 1024)
}

fn empty_fields(of: u64) -> Vec<u8> {
    field(of, &[]).repeat(FILE_BYTES / 3)
}

const ONNX_BOMBS: [Bomb; 15] = [
    ("graphs", || empty_fields(7)),
    ("operator sets", || empty_fields(8)),
    ("metadata", || empty_fields(14)),
    ("functions", || empty_fields(25)),
    ("nodes", || graph(&empty_fields(1))),
    ("initializers", || graph(&empty_fields(5))),
    ("inputs", || graph(&empty_fields(11))),
    ("attributes", || graph(&field(1, &empty_fields(5)))),
    ("names of inputs", || graph(&field(1, &empty_fields(1)))),
    ("texts", || attribute(&empty_fields(9))),
    ("tensors", || attribute(&empty_fields(10))),
    ("graphs of an attribute", || attribute(&empty_fields(11))),
    ("whole numbers", || attribute(&field(8, &vec![0; FILE_BYTES]))),
    ("whole numbers one by one", || attribute(&[8 << 3, 0].repeat(FILE_BYTES / 2))),
    ("numbers", || attribute(&field(7, &vec![0; FILE_BYTES]))),
];

fn list(element: &str) -> String {
    format!("[{}{element}]", format!("{element},").repeat(VALUES))
}

fn document(content: &str) -> Vec<u8> {
    format!(r#"{{"features_info":{{}},{content}}}"#).into_bytes()
}

fn features(content: &str) -> Vec<u8> {
    format!(r#"{{"features_info":{{{content}}}}}"#).into_bytes()
}

const COLUMN: &str = r#""feature_index":0,"flat_feature_index":0,"nan_value_treatment":"AsIs""#;

const JSON_BOMBS: [Bomb; 11] = [
    ("more values than may be", || {
        document(&format!(r#""oblivious_trees":[{},{}]"#, list("0"), list("0")))
    }),
    ("leaf values", || {
        document(&format!(r#""oblivious_trees":[{{"leaf_values":{}}}]"#, list("0")))
    }),
    ("splits", || {
        document(&format!(r#""oblivious_trees":[{{"leaf_values":[],"splits":{}}}]"#, list("{}")))
    }),
    ("trees", || document(&format!(r#""oblivious_trees":{}"#, list(r#"{"leaf_values":[]}"#)))),
    ("other trees", || document(&format!(r#""trees":{}"#, list("[]")))),
    ("biases", || document(&format!(r#""scale_and_bias":[1,{}]"#, list("0")))),
    ("categorical features", || features(&format!(r#""categorical_features":{}"#, list("{}")))),
    ("columns", || {
        features(&format!(
            r#""float_features":[{}{{{COLUMN}}}]"#,
            format!("{{{COLUMN}}},").repeat(VALUES / 4)
        ))
    }),
    ("borders", || {
        features(&format!(r#""float_features":[{{{COLUMN},"borders":{}}}]"#, list("0")))
    }),
    ("lists in lists", || vec![b'['; FILE_BYTES]),
    ("a text", || {
        features(&format!(
            r#""float_features":[{{"feature_id":"{}"}}]"#,
            r"\n".repeat(FILE_BYTES / 2)
        ))
    }),
];

#[test]
fn memory_stays_within_the_stated_bound() {
    let good = golden("stumps");
    Model::load(&good).unwrap();
    let mut largest = 0;
    let onnx = ONNX_BOMBS.into_iter().map(|bomb| (true, bomb));
    for (in_onnx, (name, make)) in onnx.chain(JSON_BOMBS.into_iter().map(|bomb| (false, bomb))) {
        let mut artifact = good.clone();
        *(if in_onnx { &mut artifact.onnx } else { &mut artifact.model_json }) = make();
        // Making the bomb takes more memory than loading it may, so the peak is reset.
        let Some(before) = reset_peak() else {
            println!("memory is not checked: this system does not tell it");
            return;
        };

        let refused = Model::load(&artifact).err();
        let taken = peak_bytes().unwrap().saturating_sub(before);
        println!(
            "{name}: {} KiB; {}",
            taken >> 10,
            refused.as_ref().map(ToString::to_string).unwrap_or_default()
        );

        assert!(refused.is_some(), "{name} is accepted");
        largest = largest.max(taken);
        assert!(taken <= MAX_LOAD_BYTES, "{name} took {taken} bytes");
    }

    println!("at most {} KiB of {} KiB", largest >> 10, MAX_LOAD_BYTES >> 10);
}

/// Makes the current memory the peak and returns it, where the system can do that.
fn reset_peak() -> Option<usize> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    peak_bytes()
}
