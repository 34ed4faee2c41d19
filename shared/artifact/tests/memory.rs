//! Opening an archive takes bounded memory, whatever the archive claims or unpacks to.
//!
//! This file has only one test, because it measures the memory of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use limit_increase_artifact::{
    MAX_ARCHIVE_BYTES, MAX_MANIFEST_BYTES, MAX_ONNX_BYTES, MAX_TOTAL_BYTES,
};
use support::{gzip, header, manifest, refusal, with_manifest};
use tar::EntryType;

/// The most bytes that a refused bomb may take: buffers, and the test's own block of zeros.
const REFUSED_BYTES: u64 = 16 << 20;
/// The most bytes that a manifest of the largest size may take: its text, eight bytes for each
/// number that has two in the text, and room for the vector to grow.
const MANIFEST_BYTES: u64 = MAX_MANIFEST_BYTES * 10;
/// The most bytes that a growing vector may take beside its content.
const GROWTH_BYTES: u64 = 64 << 20;

/// The most memory that this process has had, where the system reports it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A gzip of `head` and zeros, made without holding the zeros in memory.
fn bomb(head: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(head).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..zeros >> 20 {
        encoder.write_all(&block).unwrap();
    }

    encoder.finish().unwrap()
}

/// A manifest of the largest size, filled with the shortest numbers.
fn manifest_bomb() -> Vec<u8> {
    let text = manifest().to_string();
    let room = usize::try_from(MAX_MANIFEST_BYTES).unwrap() - text.len();
    text.replacen(r#""shap_values":["#, &format!(r#""shap_values":[{}"#, "0,".repeat(room / 2)), 1)
        .into_bytes()
}

/// Two files that are within their bounds but together beyond the total.
fn two_large_files(each: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    for name in ["model.onnx", "model.json"] {
        encoder.write_all(header(name, each, EntryType::Regular).as_bytes()).unwrap();
        for _ in 0..each >> 20 {
            encoder.write_all(&block).unwrap();
        }
    }

    encoder.finish().unwrap()
}

/// The memory that the work takes at its peak beyond what the process has; `None` where the system
/// does not report it.
fn cost(work: impl FnOnce()) -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok();
    let before = peak_bytes();
    work();
    Some(peak_bytes()? - before?)
}

#[test]
fn memory_stays_within_the_stated_bounds() {
    let bombs = cost(|| {
        let claims = |name: &str, size| header(name, size, EntryType::Regular).as_bytes().to_vec();
        // A header that claims a size beyond the bound, and the content to go with it.
        let message = refusal(&bomb(&claims("model.onnx", 4 << 30), 512 << 20));
        assert!(message.contains("model.onnx has 4294967296 bytes"), "{message}");
        let message = refusal(&bomb(&claims("manifest.json", MAX_MANIFEST_BYTES + 1), 16 << 20));
        assert!(message.contains("manifest.json has") && message.contains("at most"), "{message}");
        // A header that claims a size within the bound, and no content.
        let message = refusal(&gzip(&claims("model.onnx", MAX_ONNX_BYTES)));
        assert!(message.contains("ends early") || message.contains("can't be read"), "{message}");
        // Endless zeros where a header should be.
        let message = refusal(&bomb(&[], 512 << 20));
        assert!(message.contains("too much padding") || message.contains("has no"), "{message}");
    });

    let each = 100 << 20;
    assert!(each < MAX_ONNX_BYTES && 2 * each > MAX_TOTAL_BYTES);
    let archive = two_large_files(each);
    let two_files = cost(|| assert!(refusal(&archive).contains("can't be read")));
    let archive = with_manifest(&manifest_bomb());
    let manifest = cost(|| assert!(refusal(&archive).contains("golden_rows[0].shap_values")));
    assert!(refusal(&vec![0; MAX_ARCHIVE_BYTES + 1]).contains("the archive has"));
    assert!(refusal(&vec![0; MAX_ARCHIVE_BYTES]).contains("can't be read"));
    for (what, taken, most) in [
        ("bombs", bombs, REFUSED_BYTES),
        ("two large files", two_files, MAX_TOTAL_BYTES + GROWTH_BYTES),
        ("a manifest", manifest, MANIFEST_BYTES),
    ] {
        let Some(taken) = taken else {
            println!("memory is not checked: this system does not tell it");
            return;
        };

        println!("{what} took {} KiB of {} KiB", taken >> 10, most >> 10);
        assert!(taken <= most, "{what} took {taken} bytes");
    }
}
