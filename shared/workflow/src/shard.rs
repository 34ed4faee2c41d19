//! A shard: a part of a run's customers, one object per stage.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::keys::HandoffRef;

/// A shard's number inside its run, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardIndex(pub u32);

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One shard of a run: an entry of the shard list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRef {
    /// Its number, from 0.
    pub index: ShardIndex,
    /// Key of its customers.
    pub key: String,
    /// Customers in it.
    pub rows: u32,
    /// The customers' file, as the query wrote it.
    pub file: HandoffRef,
}
