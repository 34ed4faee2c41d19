//! What a seed decides: the runs, and which fault meets which attempt of which step.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::simulator::machine::Call;

/// The kinds of fault, each counted under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The process dies before it has the event.
    KillBefore,
    /// The process dies while it works.
    KillDuring,
    /// The process dies when it answers: all is done, nobody knows.
    KillAtAnswer,
    /// The answer is lost, the process lives.
    LoseAnswer,
    /// The event comes a second time, after the first.
    TwiceInTurn,
    /// The event comes a second time, at the same time.
    TwiceSimultaneously,
    /// The process is frozen for a moment and goes on.
    Freeze,
    /// The process is frozen, given up, replaced by another, and then goes on.
    Zombie,
    /// Every connection to PostgreSQL is cut in the middle.
    CutConnections,
    /// The connection is cut before the server sees the COMMIT.
    LoseCommit,
    /// The connection is cut after the COMMIT, before its answer arrives.
    LoseCommitAnswer,
    /// The server ends the connections of the functions in the middle.
    TerminateBackends,
    /// The server has ended the connections of functions that were frozen between two events.
    KillPooled,
    /// PostgreSQL crashes and comes back.
    RestartDatabase,
    /// Somebody else holds the locks for longer than the lock time-out.
    HoldLocks,
    /// A statement takes longer than the statement time-out.
    SlowStatement,
    /// PostgreSQL takes no writes for a while.
    ReadOnly,
    /// There is no space left on the device.
    DiskFull,
    /// S3 answers 403.
    Storage403,
    /// S3 answers 404.
    Storage404,
    /// S3 answers 503.
    Storage503,
    /// S3 answers late.
    StorageSlow,
    /// S3's answer is cut short.
    StorageTruncated,
    /// S3 hangs up and has done nothing.
    StorageRefused,
    /// S3 hangs up and has done what was asked.
    StorageForgotten,
    /// The model is replaced by another.
    ReplaceModel,
    /// The policy is replaced by another.
    ReplacePolicy,
    /// Customers change, come, go, or are decided by hand.
    ChangeCustomers,
}

use Kind::{
    ChangeCustomers, CutConnections, DiskFull, Freeze, HoldLocks, KillAtAnswer, KillBefore,
    KillDuring, KillPooled, LoseAnswer, LoseCommit, LoseCommitAnswer, ReadOnly, ReplaceModel,
    ReplacePolicy, RestartDatabase, SlowStatement, Storage403, Storage404, Storage503,
    StorageForgotten, StorageRefused, StorageSlow, StorageTruncated, TerminateBackends,
    TwiceInTurn, TwiceSimultaneously, Zombie,
};

/// Every kind there is.
pub fn kinds() -> impl Iterator<Item = Kind> {
    WEIGHTS.into_iter().map(|(kind, _)| kind)
}

/// Each kind with its weight. The dear ones (a restart, a wait for a time-out) come less often.
const WEIGHTS: [(Kind, u32); 28] = [
    (KillBefore, 6),
    (KillDuring, 12),
    (KillAtAnswer, 10),
    (LoseAnswer, 8),
    (TwiceInTurn, 8),
    (TwiceSimultaneously, 10),
    (Freeze, 4),
    (Zombie, 8),
    (CutConnections, 6),
    (LoseCommit, 6),
    (LoseCommitAnswer, 8),
    (TerminateBackends, 6),
    (KillPooled, 6),
    (RestartDatabase, 2),
    (HoldLocks, 3),
    (SlowStatement, 2),
    (ReadOnly, 3),
    (DiskFull, 3),
    (Storage403, 7),
    (Storage404, 7),
    (Storage503, 3),
    (StorageSlow, 3),
    (StorageTruncated, 3),
    (StorageRefused, 3),
    (StorageForgotten, 3),
    (ReplaceModel, 5),
    (ReplacePolicy, 4),
    (ChangeCustomers, 10),
];

/// A fault, with the numbers that say when and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// After so many milliseconds of the step.
    pub after_ms: u64,
    /// For so many milliseconds, where it has a length.
    pub for_ms: u64,
    /// Any number, for what else has to be chosen.
    pub dice: u64,
}

/// What becomes of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// The execution is redriven.
    Redrive,
    /// A new run takes its place.
    NewRun,
}

/// A schedule of runs and faults.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all of it follows from.
    pub seed: u64,
    /// Runs started at once.
    pub runs: usize,
    /// Customers in a shard.
    pub shard_size: u32,
    /// Each run's cap, if any.
    pub limit: Option<u64>,
    /// Shards under way at once, in each run.
    pub concurrency: usize,
    kinds: Vec<(Kind, u32)>,
    rate: f64,
}

/// From this redrive on, nothing is broken any more: a schedule has to end.
pub const LAST_FAULTY_REDRIVE: u32 = 2;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        // Mostly few runs: of many at once, each one hinders the others, which is a fault of its own.
        let runs = match dice.random_range(0..20) {
            0..10 => 1,
            10..15 => 2,
            15..18 => 3,
            18 => dice.random_range(4..=8),
            _ => dice.random_range(9..=16),
        };

        let mut kinds: Vec<(Kind, u32)> = WEIGHTS
            .choose_multiple_weighted(&mut dice, 6, |(_, weight)| f64::from(*weight))
            .map(|chosen| chosen.copied().collect())
            .unwrap_or_default();
        if runs > 4 {
            // Sixteen runs that wait for time-outs one after the other teach nothing new and take minutes.
            kinds.retain(|(kind, _)| {
                !matches!(kind, HoldLocks | SlowStatement | DiskFull | RestartDatabase | ReadOnly)
            });
        }

        Self {
            seed,
            runs,
            shard_size: dice.random_range(8..=25),
            limit: if dice.random_bool(0.3) { Some(dice.random_range(5..=30)) } else { None },
            concurrency: dice.random_range(1..=3),
            rate: dice.random_range(0.15..0.75) / (runs as f64).sqrt(),
            kinds,
        }
    }

    /// A plan of one run that meets one kind of fault, often.
    #[must_use]
    pub fn only(kind: Kind, seed: u64) -> Self {
        Self {
            seed,
            runs: 1,
            shard_size: 12,
            limit: None,
            concurrency: 2,
            kinds: vec![(kind, 1)],
            rate: 0.35,
        }
    }

    /// The fault that meets this attempt, if one does.
    #[must_use]
    pub fn fault(&self, call: &Call) -> Option<Fault> {
        if call.redrives > LAST_FAULTY_REDRIVE || self.kinds.is_empty() {
            return None;
        }

        let who = format!(
            "{}/{}/{:?}/{}/{}",
            call.run, call.state, call.item, call.attempt, call.redrives
        );

        let mut dice = self.dice(&who);
        if !dice.random_bool(self.rate) {
            return None;
        }

        let kind = self.kinds.choose_weighted(&mut dice, |(_, weight)| *weight).ok()?.0;
        Some(Fault {
            kind,
            after_ms: dice.random_range(0..60),
            for_ms: dice.random_range(20..700),
            dice: dice.random(),
        })
    }

    /// How a failed run is taken up again, the first, the second time.
    #[must_use]
    pub fn resumption(&self, run: &str, redrives: u32) -> Resumption {
        let mut dice = self.dice(&format!("{run} resumed {redrives}"));
        if dice.random_bool(0.7) { Resumption::Redrive } else { Resumption::NewRun }
    }

    /// Numbers that depend on the seed and on what they are for, and not on the order in which they are asked for.
    fn dice(&self, purpose: &str) -> ChaCha8Rng {
        let mixed = purpose.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });

        ChaCha8Rng::seed_from_u64(mixed)
    }
}
