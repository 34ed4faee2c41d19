//! Memory stays within what is stated, whatever an archive claims or unpacks to.
//!
//! One test alone in its process, because memory is the process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use limit_increase_artifact::{MAX_ARCHIVE_BYTES, MAX_MANIFEST_BYTES, MAX_ONNX_BYTES, MAX_TOTAL_BYTES};
use support::{gzip, header, refusal};
use tar::EntryType;

/// What a refused bomb may cost: buffers, and the test's own block of zeros.
const REFUSED_BYTES: u64 = 16 << 20;
/// What a vector that grows may have beside its content.
const GROWTH_BYTES: u64 = 64 << 20;

/// Most memory that this process has had, where the system says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A gzip of `head` and then zeros, written without holding them.
fn bomb(head: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(head).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..zeros >> 20 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// Two files within their bounds that are beyond the total together.
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

#[test]
fn memory_stays_within_the_stated_bounds() {
    let before = peak_bytes();
    let claims = |name: &str, size| header(name, size, EntryType::Regular).as_bytes().to_vec();
    // A size that the header claims and the content has.
    let message = refusal(&bomb(&claims("model.onnx", 4 << 30), 512 << 20));
    assert!(message.contains("model.onnx has 4294967296 bytes"), "{message}");
    let message = refusal(&bomb(&claims("manifest.json", MAX_MANIFEST_BYTES + 1), 16 << 20));
    assert!(message.contains("manifest.json has") && message.contains("at most"), "{message}");
    // A size within the bound that nothing follows.
    let message = refusal(&gzip(&claims("model.onnx", MAX_ONNX_BYTES)));
    assert!(message.contains("ends early") || message.contains("can't be read"), "{message}");
    // Zeros without end where a header should be.
    let message = refusal(&bomb(&[], 512 << 20));
    assert!(message.contains("too much padding") || message.contains("has no"), "{message}");
    let after_bombs = peak_bytes();
    let each = 100 << 20;
    assert!(each < MAX_ONNX_BYTES && 2 * each > MAX_TOTAL_BYTES);
    refusal(&two_large_files(each));
    let after_total = peak_bytes();
    assert!(refusal(&vec![0; MAX_ARCHIVE_BYTES + 1]).contains("the archive has"));
    let (Some(before), Some(after_bombs), Some(after_total)) = (before, after_bombs, after_total) else {
        println!("memory is not checked: this system does not tell it");
        return;
    };
    println!("bombs took {} KiB, two large files {} KiB", (after_bombs - before) >> 10, (after_total - before) >> 10);
    assert!(after_bombs - before <= REFUSED_BYTES, "bombs took {} bytes", after_bombs - before);
    assert!(after_total - before <= MAX_TOTAL_BYTES + GROWTH_BYTES, "large files took {} bytes", after_total - before);
}
