//! Computes one digest over the sources of the functions, so that unchanged functions are not built
//! again.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context as _, Result};
use limit_increase_domain::sha256_hex;

/// The folders and files of the project that the functions are compiled from.
const SOURCES: [&str; 6] = [
    "functions",
    "shared",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "rust-toolchain.toml",
];

/// Folders inside a crate that do not affect the functions.
const OTHER_FOLDERS: [&str; 3] = ["tests", "examples", "proptest-regressions"];

/// SHA-256 of the names and contents of all sources, and of the settings that cargo takes from the
/// environment. It takes a few milliseconds; asking cargo takes most of a second.
///
/// # Errors
/// When a source cannot be read.
pub(super) fn digest(root: &Path) -> Result<String> {
    let mut parts = settings();
    for source in SOURCES {
        add(root, &root.join(source), &mut parts)?;
    }

    Ok(sha256_hex(parts.join("\n").as_bytes()))
}

/// The environment variables that cargo reads, as sorted `NAME=VALUE` texts.
fn settings() -> Vec<String> {
    let mut settings: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| is_setting(name))
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    settings.sort();
    settings
}

/// Whether a variable changes what cargo builds.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || ["CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS"].contains(&&*name)
}

/// Adds the name and the digest of a file, or of every file of a folder, to `parts`.
fn add(root: &Path, path: &Path, parts: &mut Vec<String>) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .with_context(|| format!("cannot list {}", path.display()))?;
        entries.sort();

        return entries
            .iter()
            .filter(|entry| !OTHER_FOLDERS.iter().any(|other| entry.ends_with(other)))
            .try_for_each(|entry| add(root, entry, parts));
    }

    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path);
    parts.push(format!("{} {}", name.display(), sha256_hex(&content)));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    fn project() -> TempDir {
        let place = TempDir::new("inputs");
        for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust-toolchain.toml"] {
            write(place.path(), file);
        }

        for file in ["functions/a/src/main.rs", "shared/b/src/lib.rs", "shared/b/tests/t.rs"] {
            write(place.path(), file);
        }

        place
    }

    fn write(root: &Path, file: &str) {
        std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        std::fs::write(root.join(file), file).unwrap();
    }

    #[test]
    fn every_source_counts_and_a_test_does_not() {
        let place = project();
        let before = digest(place.path()).unwrap();
        assert_eq!(digest(place.path()).unwrap(), before);

        std::fs::write(place.path().join("shared/b/tests/t.rs"), "another").unwrap();
        assert_eq!(digest(place.path()).unwrap(), before);

        for file in ["functions/a/src/main.rs", "shared/b/src/lib.rs", "Cargo.lock"] {
            std::fs::write(place.path().join(file), "another").unwrap();
            assert_ne!(digest(place.path()).unwrap(), before, "{file}");
            write(place.path(), file);
            assert_eq!(digest(place.path()).unwrap(), before, "{file}");
        }

        write(place.path(), "shared/b/src/new.rs");
        assert_ne!(digest(place.path()).unwrap(), before);
    }

    #[test]
    fn compiler_settings_count_and_descriptions_of_a_package_do_not() {
        for name in ["RUSTFLAGS", "CARGO_PROFILE_DEV_OPT_LEVEL", "CARGO_TARGET_DIR"] {
            assert!(is_setting(name.as_ref()), "{name}");
        }

        for name in ["CARGO_PKG_NAME", "CARGO_HOME", "PATH"] {
            assert!(!is_setting(name.as_ref()), "{name}");
        }
    }
}
