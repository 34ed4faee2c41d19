//! The release: the version in `Cargo.toml` and the git commit of the checkout.

use std::path::Path;
use std::process::Command;

/// The commit of a checkout without git, for example of an unpacked archive of the sources.
const UNKNOWN: &str = "unknown";
/// Digits of a commit's hash.
const DIGITS: usize = 12;

/// The release that the checkout would be deployed as, for example `0.1.0+1a2b3c4d5e6f`, with
/// `-dirty` when its files are not those of the commit.
///
/// Git is asked when the release is wanted, and not when the command line is compiled. A build
/// script that watches git would compile the command line and all tests again for each commit.
#[must_use]
pub fn of(root: &Path) -> String {
    let commit = commit(root).unwrap_or_else(|| UNKNOWN.to_owned());
    format!("{}+{commit}", env!("CARGO_PKG_VERSION"))
}

/// The commit, or `None` without git.
fn commit(root: &Path) -> Option<String> {
    // Sources that were unpacked inside another repository are not of that repository's commit.
    git(root, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    let status = git(root, &["status", "--porcelain=v2", "--branch"])?;
    let hash = status.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    if hash.len() < DIGITS || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None; // A repository without a commit.
    }

    let changed = status.lines().any(|line| !line.starts_with('#'));
    Some(format!("{}{}", &hash[..DIGITS], if changed { "-dirty" } else { "" }))
}

/// What git prints, or `None` when it fails or is not installed.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        // A hook of git that calls this program sets them, for another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        // Another git at work in the same checkout is not disturbed.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    fn run_git(root: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        assert!(git(root, &arguments).is_some(), "git {arguments:?}");
    }

    fn write(root: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(root).unwrap();
        std::fs::write(root.join(name), text).unwrap();
    }

    #[test]
    fn a_release_is_the_version_and_the_commit_and_says_what_is_not_committed() {
        let place = TempDir::new("release");
        let root = place.path();
        write(root, "Cargo.toml", "[workspace]");
        run_git(root, &["init", "--quiet"]);
        run_git(root, &["add", "."]);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(of(root), format!("{version}+unknown"), "there is no commit yet");

        run_git(root, &["commit", "--quiet", "--message", "first"]);
        let head = git(root, &["rev-parse", "HEAD"]).unwrap();
        let clean = format!("{version}+{}", &head[..12]);
        assert_eq!(of(root), clean);

        write(root, "new.rs", "");
        assert_eq!(of(root), format!("{clean}-dirty"), "a new file may be compiled");
        run_git(root, &["add", "."]);
        assert_eq!(of(root), format!("{clean}-dirty"));
        run_git(root, &["commit", "--quiet", "--message", "second"]);
        assert!(!of(root).contains("dirty") && of(root) != clean);

        write(root, "Cargo.toml", "[workspace] # changed");
        assert!(of(root).ends_with("-dirty"));
    }

    #[test]
    fn sources_without_git_have_an_unknown_commit_even_inside_another_repository() {
        let place = TempDir::new("release-archive");
        let archive = place.path().join("unpacked");
        write(&archive, "Cargo.toml", "[workspace]");
        let unknown = format!("{}+unknown", env!("CARGO_PKG_VERSION"));
        assert_eq!(of(&archive), unknown);

        write(place.path(), "README.md", "another project");
        run_git(place.path(), &["init", "--quiet"]);
        run_git(place.path(), &["add", "README.md"]);
        run_git(place.path(), &["commit", "--quiet", "--message", "first"]);
        assert_eq!(of(&archive), unknown);
    }
}
