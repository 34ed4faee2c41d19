//! Seals: each closed run is sealed over the run that was closed before it, so that none of them can
//! be changed or removed unseen.
//!
//! A seal is the SHA-256 of a document, which is kept as it was hashed. So a later release can check
//! it whatever it adds to the ledger. S. Haber and W. S. Stornetta, "How to time-stamp a digital
//! document" (Journal of Cryptology 3, 1991), describe such a chain, and what it needs: somebody keeps
//! a seal where whoever changes the ledger cannot change it. A run's seal is in the function's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use limit_increase_domain::{Counts, sha256_hex};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::{RunContext, RunId};
use crate::summary::RunSummary;

/// The version of the documents that are written.
const VERSION: u32 = 1;

/// What a seal vouches for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The version of this document.
    pub version: u32,
    /// Its place in the chain: 1, 2, 3, ..
    pub number: u64,
    /// The seal before; absent for the first one.
    pub previous: Option<String>,
    /// The run.
    pub run_id: RunId,
    /// What it was opened with, as the ledger has it.
    pub context: Value,
    /// Customers that it took.
    pub eligible: u64,
    /// What became of them.
    pub counts: Counts,
    /// Sum of the raises.
    pub total_increase: Decimal,
    /// Shards applied.
    pub shard_count: u32,
    /// When the run opened, UTC.
    pub started_at: DateTime<Utc>,
    /// When it closed, UTC.
    pub finished_at: DateTime<Utc>,
    /// The hash of all rows of its shards in the ledger, by [`shards_sha256`].
    pub shards_sha256: String,
    /// The hashes of what was written to S3 when it closed, by key.
    pub objects: BTreeMap<String, String>,
}

/// A shard's row in the ledger, with the hashes of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedShard {
    /// Its number.
    pub index: u32,
    /// Its customers.
    pub rows: u64,
    /// What became of them.
    pub counts: Counts,
    /// Sum of the raises.
    pub total_increase: Decimal,
    /// SHA-256 of its decisions; absent if an older release applied it.
    pub evaluations_sha256: Option<String>,
    /// SHA-256 of its record; absent if an older release applied it.
    pub results_sha256: Option<String>,
}

impl Sealed {
    /// The document of a run that closes, at this place of the chain after the seal before.
    #[must_use]
    pub fn new(
        (number, previous): (u64, Option<String>),
        context: &RunContext,
        summary: &RunSummary,
        shards_sha256: String,
        objects: BTreeMap<String, String>,
    ) -> Self {
        Self {
            version: VERSION,
            number,
            previous,
            run_id: summary.run_id.clone(),
            // A context holds only texts, numbers and objects with texts as keys.
            context: serde_json::to_value(context).unwrap_or_default(),
            eligible: summary.eligible,
            counts: summary.counts,
            total_increase: summary.total_increase,
            shard_count: summary.shard_count,
            started_at: summary.started_at,
            finished_at: summary.finished_at,
            shards_sha256,
            objects,
        }
    }
}

/// The seal of a document.
#[must_use]
pub fn seal_of(document: &str) -> String {
    sha256_hex(document.as_bytes())
}

/// The hash of the rows of a run's shards, one line for each, in their order.
#[must_use]
pub fn shards_sha256(shards: &[SealedShard]) -> String {
    let mut lines = String::new();
    for shard in shards {
        let Counts { approved, declined, referred, stale } = shard.counts;
        let mut increase = shard.total_increase;
        increase.rescale(2);
        let hash = |known: &Option<String>| known.clone().unwrap_or_else(|| "-".to_owned());
        // Writing to a string can't fail.
        let _ = writeln!(
            lines,
            "{} {} {approved} {declined} {referred} {stale} {increase} {} {}",
            shard.index,
            shard.rows,
            hash(&shard.evaluations_sha256),
            hash(&shard.results_sha256)
        );
    }

    sha256_hex(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shard(index: u32) -> SealedShard {
        SealedShard {
            index,
            rows: 10,
            counts: Counts { approved: 4, declined: 3, referred: 2, stale: 1 },
            total_increase: Decimal::new(125_000, 2),
            evaluations_sha256: Some("e".repeat(64)),
            results_sha256: Some("f".repeat(64)),
        }
    }

    /// The ledger keeps the hash, so the lines never change.
    #[test]
    fn the_lines_of_the_shards_are_fixed() {
        let lines = format!(
            "0 10 4 3 2 1 1250.00 {} {}\n1 10 4 3 2 1 1250.00 - {}\n",
            "e".repeat(64),
            "f".repeat(64),
            "f".repeat(64)
        );
        let older = SealedShard { evaluations_sha256: None, ..shard(1) };
        assert_eq!(shards_sha256(&[shard(0), older]), sha256_hex(lines.as_bytes()));

        let whole = SealedShard { total_increase: Decimal::from(1_250), ..shard(0) };
        assert_eq!(shards_sha256(&[whole]), shards_sha256(&[shard(0)]), "by value");
    }

    #[test]
    fn every_part_of_a_shard_is_in_its_line() {
        let changed = [
            SealedShard { index: 9, ..shard(0) },
            SealedShard { rows: 9, ..shard(0) },
            SealedShard { counts: Counts { approved: 5, ..shard(0).counts }, ..shard(0) },
            SealedShard { counts: Counts { stale: 0, ..shard(0).counts }, ..shard(0) },
            SealedShard { total_increase: Decimal::from(1), ..shard(0) },
            SealedShard { evaluations_sha256: None, ..shard(0) },
            SealedShard { results_sha256: Some("0".repeat(64)), ..shard(0) },
        ];
        for other in changed {
            assert_ne!(shards_sha256(std::slice::from_ref(&other)), shards_sha256(&[shard(0)]));
        }
        assert_ne!(shards_sha256(&[shard(0), shard(1)]), shards_sha256(&[shard(1), shard(0)]));
    }

    #[test]
    fn a_document_of_a_later_release_is_read_whatever_it_adds() {
        let document = r#"{"version":2,"number":7,"previous":"ab","run_id":"night","context":{},
            "eligible":1,"counts":{"approved":1,"declined":0,"referred":0,"stale":0},
            "total_increase":"1.00","shard_count":1,"started_at":"2026-11-24T02:00:07Z",
            "finished_at":"2026-11-24T02:00:09Z","shards_sha256":"cd","objects":{},"more":1}"#;
        let sealed: Sealed = serde_json::from_str(document).unwrap();
        assert_eq!((sealed.number, sealed.previous.as_deref()), (7, Some("ab")));
    }
}
