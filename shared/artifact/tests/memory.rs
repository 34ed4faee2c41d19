//! Memory stays within what is stated, whatever an archive claims or unpacks to.
//!
//! One test alone in its process, because memory is the process's.
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

/// What a refused bomb may cost: buffers, and the test's own block of zeros.
const REFUSED_BYTES: u64 = 16 << 20;
/// What a manifest of the largest size may cost: its text, numbers of eight bytes where the text
/// has two, and a vector of them that grows.
const MANIFEST_BYTES: u64 = MAX_MANIFEST_BYTES * 10;
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

/// A manifest as large as may be, of the shortest numbers there are.
fn manifest_bomb() -> Vec<u8> {
    let text = manifest().to_string();
    let room = usize::try_from(MAX_MANIFEST_BYTES).unwrap() - text.len();
    text.replacen(r#""shap_values":["#, &format!(r#""shap_values":[{}"#, "0,".repeat(room / 2)), 1)
        .into_bytes()
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

/// What the work takes beyond what the process has, at its peak; `None` where the system does not
/// tell.
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
    });

    let each = 100 << 20;
    assert!(each < MAX_ONNX_BYTES && 2 * each > MAX_TOTAL_BYTES);
    let archive = two_large_files(each);
    let two_files = cost(|| assert!(refusal(&archive).contains("can't be read")));
    let archive = with_manifest(&manifest_bomb());
    let manifest = cost(|| assert!(refusal(&archive).contains("golden_rows[0].shap_values")));
    assert!(refusal(&vec![0; MAX_ARCHIVE_BYTES + 1]).contains("the archive has"));
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
