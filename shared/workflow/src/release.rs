//! The release that a run was opened by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version and its git commit, for example `0.1.0+1a2b3c4d5e6f`. A run of a release that did not
/// record it yet has the default, `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Release(String);

impl Default for Release {
    fn default() -> Self {
        Self("unknown".to_owned())
    }
}

impl From<String> for Release {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
