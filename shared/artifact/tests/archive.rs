//! An archive is untrusted input. These tests check what may be in it and how large it may be, and
//! that no bytes make the reader panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use limit_increase_artifact::{Artifact, ArtifactError, MAX_PADDING_BYTES, MAX_TOTAL_BYTES};
use limit_increase_domain::sha256_hex;
use proptest::prelude::*;
use support::{MODEL, ONNX, good, gzip, header, manifest, pack, refusal, tar_of, with_manifest};
use tar::EntryType;

#[test]
fn the_three_files_in_any_order_are_an_artifact() {
    let manifest = manifest().to_string();
    let files =
        [("model.onnx", ONNX), ("model.json", MODEL), ("manifest.json", manifest.as_bytes())];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let archive = pack(&order.map(|at| files[at]));
        let artifact = Artifact::open(&archive).unwrap();
        assert_eq!((artifact.onnx.as_slice(), artifact.model_json.as_slice()), (ONNX, MODEL));
        assert_eq!(artifact.sha256, sha256_hex(&archive));
        let columns: Vec<String> =
            artifact.manifest.source_columns().into_iter().map(|column| column.name).collect();
        assert_eq!(columns, ["a", "b", "c"]);
    }
}

#[test]
fn a_pinned_archive_opens_and_any_other_is_refused_before_it_is_unpacked() {
    let archive = good();
    let pinned = sha256_hex(&archive);
    assert_eq!(Artifact::open_pinned(&archive, &pinned), Artifact::open(&archive));

    for other in [archive[..archive.len() - 1].to_vec(), b"not an archive".to_vec()] {
        let found = sha256_hex(&other);
        let refused = Artifact::open_pinned(&other, &pinned).unwrap_err();
        assert_eq!(refused, ArtifactError::Unpinned { found, pinned: pinned.clone() });
    }
}

#[test]
fn any_other_entry_is_refused_by_name() {
    let manifest = manifest().to_string();
    let files =
        [("model.onnx", ONNX), ("model.json", MODEL), ("manifest.json", manifest.as_bytes())];
    for extra in [
        "../model.onnx",
        "/etc/passwd",
        "./../model.onnx",
        "models/model.onnx",
        "notes.txt",
        "model.onnx\u{1}",
        "MODEL.ONNX",
    ] {
        for first in [true, false] {
            let mut entries = files.to_vec();
            entries.insert(if first { 0 } else { 3 }, (extra, b"x"));
            let message = refusal(&pack(&entries));
            assert!(
                message.contains(&format!("{extra:?}")) && message.contains("pack again"),
                "{message}"
            );
        }
    }

    for (name, content) in files {
        let mut entries = files.to_vec();
        entries.push((name, content));
        assert!(refusal(&pack(&entries)).contains(&format!("holds {name} twice")));
        entries.retain(|(other, _)| *other != name);
        assert!(refusal(&pack(&entries)).contains(&format!("has no {name}")));
    }
}

#[test]
fn links_directories_and_special_files_are_refused() {
    let kinds = [
        (EntryType::Symlink, "a link"),
        (EntryType::Link, "a link"),
        (EntryType::Directory, "a directory"),
        (EntryType::Fifo, "a special file"),
        (EntryType::Char, "a special file"),
        (EntryType::GNULongLink, "a GNU extension header"),
        (EntryType::GNUSparse, "a special file"),
        (EntryType::Continuous, "a special file"),
    ];

    for (kind, name) in kinds {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header("model.onnx", 0, kind), std::io::empty()).unwrap();
        let message = refusal(&gzip(&tar.into_inner().unwrap()));
        assert!(message.contains(&format!("is {name}, not a plain file")), "{kind:?}: {message}");
    }
}

/// A pax header of these records, as the entry before the file that it is about.
fn pax(kind: EntryType, records: &[(&str, &str)]) -> (EntryType, &'static str, Vec<u8>) {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let digits = if rest + 2 > 99 { 3 } else { 2 };
        content.extend(format!("{} {key}={value}\n", rest + digits).bytes());
    }
    (kind, "PaxHeaders/1", content)
}

fn archive_of(entries: &[(EntryType, &str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let header = header(name, content.len() as u64, *kind);
        tar.append(&header, content.as_slice()).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

/// The three files in a folder, each after what `before` says of it.
fn files_in(
    folder: &str,
    before: impl Fn(&str) -> Vec<(EntryType, &'static str, Vec<u8>)>,
) -> Vec<u8> {
    let manifest = manifest().to_string();
    let mut entries = Vec::new();
    let names =
        [("model.onnx", ONNX), ("model.json", MODEL), ("manifest.json", manifest.as_bytes())]
            .map(|(name, content)| (name, format!("{folder}{name}"), content));
    for (name, path, content) in &names {
        entries.extend(before(name));
        entries.push((EntryType::Regular, path, content.to_vec()));
    }
    archive_of(&entries)
}

#[test]
fn whatever_packed_the_three_files_they_are_an_artifact() {
    let folder = |name: &'static str| (EntryType::Directory, name, Vec::new());
    let times = |_: &str| vec![pax(EntryType::XHeader, &[("mtime", "1764000000.25")])];
    let quarantine = "SCHILY.xattr.com.apple.quarantine";
    let macos = |name: &str| {
        let attributes = match name {
            "model.onnx" => "./._model.onnx",
            "model.json" => "./._model.json",
            _ => "./.DS_Store",
        };
        let header = pax(
            EntryType::XHeader,
            &[(quarantine, "0081;69;\n=Safari;"), ("LIBARCHIVE.creationtime", "1")],
        );
        vec![header.clone(), (EntryType::Regular, attributes, b"xattr".to_vec()), header]
    };
    let size = |name: &str| {
        let size = match name {
            "model.onnx" => ONNX.len(),
            "model.json" => MODEL.len(),
            _ => manifest().to_string().len(),
        };
        vec![pax(EntryType::XHeader, &[("size", &size.to_string()), ("path", name)])]
    };
    let comment = |_: &str| vec![pax(EntryType::XGlobalHeader, &[("comment", "1a2b3c")])];
    let long_name = |name: &str| {
        vec![(EntryType::GNULongName, "././@LongLink", format!("./{name}\0").into_bytes())]
    };

    for (packer, archive) in [
        (
            "tar .",
            files_in(
                "./",
                |name| if name == "model.onnx" { vec![folder("./")] } else { Vec::new() },
            ),
        ),
        (
            "tar folder",
            files_in("model/", |name| {
                if name == "model.onnx" { vec![folder("model/")] } else { Vec::new() }
            }),
        ),
        ("Python's tarfile", files_in("", times)),
        ("macOS", files_in("./", macos)),
        ("sizes in pax headers", files_in("a/", size)),
        ("git archive", files_in("", comment)),
        ("GNU tar", files_in("cut/", long_name)),
    ] {
        let artifact = Artifact::open(&archive).unwrap_or_else(|error| panic!("{packer}: {error}"));
        assert_eq!((artifact.onnx.as_slice(), artifact.model_json.as_slice()), (ONNX, MODEL));
    }
}

#[test]
fn a_header_cannot_make_another_file_of_an_entry() {
    let one =
        |records: &'static [(&str, &str)]| files_in("", |_| vec![pax(EntryType::XHeader, records)]);
    for (archive, words) in [
        (one(&[("path", "../model.onnx")]), "holds \"../model.onnx\""),
        (one(&[("path", "/model.onnx")]), "holds \"/model.onnx\""),
        (one(&[("size", "7")]), "of another size in its pax header"),
        (one(&[("size", "many")]), "of a size that is no number"),
        (one(&[("GNU.sparse.major", "1")]), "stored in parts"),
        (
            files_in("", |_| vec![pax(EntryType::XGlobalHeader, &[("path", "model.onnx")])]),
            "names every entry",
        ),
        (files_in("", |_| vec![(EntryType::XHeader, "x", b"nonsense".to_vec())]), "can't be read"),
        (
            files_in("", |_| vec![(EntryType::XHeader, "x", vec![b'1'; (1 << 20) + 1])]),
            "a header has 1048577 bytes",
        ),
    ] {
        let message = refusal(&archive);
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn nothing_but_padding_may_follow_the_archive() {
    let manifest = manifest().to_string();
    let tar = tar_of(&[
        ("model.onnx", ONNX),
        ("model.json", MODEL),
        ("manifest.json", manifest.as_bytes()),
    ]);

    let padded = |count: u64| [tar.as_slice(), &vec![0; usize::try_from(count).unwrap()]].concat();
    Artifact::open(&gzip(&padded(10 << 10))).unwrap();
    assert!(refusal(&gzip(&padded(MAX_PADDING_BYTES + 1))).contains("too much padding"));
    assert!(refusal(&gzip(&[&padded(0), b"x".as_slice()].concat())).contains("other than padding"));
    assert!(refusal(&[good(), b"x".to_vec()].concat()).contains("after the archive's end"));
    assert!(refusal(&[good(), good()].concat()).contains("after the archive's end"));
}

/// An archive of three files of zeros that unpacks to this many bytes.
fn zeros(total: u64) -> Vec<u8> {
    let manifest_bytes = 512;
    let onnx_bytes = MAX_TOTAL_BYTES / 2;
    // Three headers, and two empty blocks at the end.
    let model_bytes = (total - onnx_bytes - manifest_bytes - 5 * 512) / 512 * 512;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut written = 0;
    for (name, bytes) in
        [("manifest.json", manifest_bytes), ("model.onnx", onnx_bytes), ("model.json", model_bytes)]
    {
        encoder.write_all(header(name, bytes, EntryType::Regular).as_bytes()).unwrap();
        written += 512 + io::copy(&mut io::repeat(0).take(bytes), &mut encoder).unwrap();
    }

    io::copy(&mut io::repeat(0).take(total - written), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_archive_may_unpack_to_the_total_and_not_to_one_byte_more() {
    let message = refusal(&zeros(MAX_TOTAL_BYTES));
    assert!(message.starts_with("manifest.json: "), "{message}");
    let message = refusal(&zeros(MAX_TOTAL_BYTES + 1));
    assert!(message.starts_with("the archive unpacks to more than"), "{message}");
}

#[test]
fn files_that_are_not_the_manifests_are_refused() {
    let manifest = manifest().to_string();
    for (onnx, model, name) in [
        (&b"the ONNX"[..], MODEL, "model.onnx has sha256"),
        (b"longer than before", MODEL, "model.onnx has 18 bytes"),
        (ONNX, b"{\"the\": \"other\"}", "model.json has sha256"),
    ] {
        let message = refusal(&pack(&[
            ("model.onnx", onnx),
            ("model.json", model),
            ("manifest.json", manifest.as_bytes()),
        ]));

        assert!(message.contains(name) && message.contains("train again"), "{message}");
    }
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    let good = good();
    let expected = Artifact::open(&good).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1_u8 << bit;
            // Some bytes have no meaning, for example the time in gzip's header. The archive's hash
            // differs all the same.
            if let Ok(artifact) = Artifact::open(&bytes) {
                let same = Artifact { sha256: expected.sha256.clone(), ..artifact.clone() };
                assert_eq!(same, expected, "byte {at}, bit {bit}");
                assert_ne!(artifact.sha256, expected.sha256);
            }
        }
    }
}

#[test]
fn every_cut_is_refused() {
    let good = good();
    for keep in 0..good.len() {
        assert!(Artifact::open(&good[..keep]).is_err(), "the first {keep} bytes are accepted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_an_artifact_by_chance(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(Artifact::open(&bytes).is_err());
        prop_assert!(Artifact::open(&gzip(&bytes)).is_err());
        prop_assert!(Artifact::open(&with_manifest(&bytes)).is_err());
    }

    /// Headers whose checksum is right and whose other fields are random.
    #[test]
    fn no_tar_header_makes_it_panic(
        name in "[a-z./]{0,30}|model.onnx|model.json|manifest.json", size in any::<u64>(), kind in any::<u8>(),
        flips in prop::collection::vec((0_usize..512, any::<u8>()), 0..4), body in prop::collection::vec(any::<u8>(), 0..1500)
    ) {
        let mut header = header(&name, size, EntryType::new(kind));
        for (at, value) in flips {
            header.as_mut_bytes()[at] = value;
        }

        header.set_cksum();
        prop_assert!(Artifact::open(&gzip(&[header.as_bytes().as_slice(), &body].concat())).is_err());
    }

    #[test]
    fn no_change_to_the_tar_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let manifest = manifest().to_string();
        let mut tar = tar_of(&[("model.onnx", ONNX), ("model.json", MODEL), ("manifest.json", manifest.as_bytes())]);
        for (at, value) in changes {
            let at = at.index(tar.len());
            tar[at] = value;
        }

        let _ = Artifact::open(&gzip(&tar));
    }
}
