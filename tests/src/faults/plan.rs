//! Derives a schedule from a seed: the runs, and which fault meets which attempt of which step.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::simulator::machine::Call;

/// The kinds of fault, each counted under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The process dies before it gets the event.
    KillBefore,
    /// The process dies while it works.
    KillDuring,
    /// The process dies when it answers: its work is done, and nobody knows.
    KillAtAnswer,
    /// The answer is lost, and the process lives.
    LoseAnswer,
    /// The event arrives a second time, after the first answer.
    TwiceInTurn,
    /// The event arrives twice simultaneously.
    TwiceSimultaneously,
    /// The process is frozen for a moment and continues.
    Freeze,
    /// The process is frozen and abandoned, another one gets the event, and then the first one
    /// continues.
    Zombie,
    /// Somebody stops the execution.
    Abort,
    /// The execution's own time is over.
    TimeOut,
    /// An error that no Catch takes ends the execution, or the shard.
    Uncaught,
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
    /// PostgreSQL refuses writes for a while.
    ReadOnly,
    /// The disk of PostgreSQL is full.
    DiskFull,
    /// S3 answers 403.
    Storage403,
    /// S3 answers 404.
    Storage404,
    /// S3 answers 503.
    Storage503,
    /// S3 answers late.
    StorageSlow,
    /// S3's answer ends too early.
    StorageTruncated,
    /// S3 closes the connection and has done nothing.
    StorageRefused,
    /// S3 closes the connection and has done what was asked.
    StorageForgotten,
    /// The model is replaced by another.
    ReplaceModel,
    /// The policy is replaced by another.
    ReplacePolicy,
    /// Somebody changes, adds, deletes, or decides a customer by hand.
    ChangeCustomers,
}

use Kind::{
    Abort, ChangeCustomers, CutConnections, DiskFull, Freeze, HoldLocks, KillAtAnswer, KillBefore,
    KillDuring, KillPooled, LoseAnswer, LoseCommit, LoseCommitAnswer, ReadOnly, ReplaceModel,
    ReplacePolicy, RestartDatabase, SlowStatement, Storage403, Storage404, Storage503,
    StorageForgotten, StorageRefused, StorageSlow, StorageTruncated, TerminateBackends, TimeOut,
    TwiceInTurn, TwiceSimultaneously, Uncaught, Zombie,
};

/// All kinds of faults.
pub fn kinds() -> impl Iterator<Item = Kind> {
    WEIGHTS.into_iter().map(|(kind, _)| kind)
}

/// Each kind with its weight. The slow ones (a restart, a wait for a time-out) come less often.
const WEIGHTS: [(Kind, u32); 31] = [
    (KillBefore, 6),
    (KillDuring, 12),
    (KillAtAnswer, 10),
    (LoseAnswer, 8),
    (TwiceInTurn, 8),
    (TwiceSimultaneously, 10),
    (Freeze, 4),
    (Zombie, 8),
    (Abort, 3),
    (TimeOut, 2),
    (Uncaught, 3),
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

/// A fault, with the numbers that say when it happens and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: Kind,
    /// When it happens, in milliseconds after the step's beginning.
    pub after_ms: u64,
    /// How long it lasts, in milliseconds, for a kind that lasts.
    pub for_ms: u64,
    /// A random number for every other choice.
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

/// When EventBridge's event of an execution that has ended arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Before anybody redrives the execution.
    Immediately,
    /// Immediately, and again while the redrive runs.
    Twice,
    /// While the redrive runs.
    Late,
}

/// A schedule of runs and faults.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed from which everything follows.
    pub seed: u64,
    /// Runs that start simultaneously.
    pub runs: usize,
    /// Customers in a shard.
    pub shard_size: u32,
    /// The cap of each run, if it has one.
    pub limit: Option<u64>,
    /// Simultaneous shards in each run.
    pub concurrency: usize,
    kinds: Vec<(Kind, u32)>,
    rate: f64,
}

/// After this redrive nothing is broken any more, so that a schedule ends.
pub const LAST_FAULTY_REDRIVE: u32 = 2;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        // Mostly few runs, because many simultaneous runs hinder each other more than any fault
        // does.
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
            // Sixteen runs that wait for time-outs one after the other show nothing new and take
            // minutes.
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

    /// How a failed run is continued, after this many redrives.
    #[must_use]
    pub fn resumption(&self, run: &str, redrives: u32) -> Resumption {
        let mut dice = self.dice(&format!("{run} resumed {redrives}"));
        if dice.random_bool(0.7) { Resumption::Redrive } else { Resumption::NewRun }
    }

    /// When the event of a failed run arrives, after this many redrives.
    #[must_use]
    pub fn arrival(&self, run: &str, redrives: u32) -> Arrival {
        match self.dice(&format!("{run} reported {redrives}")).random_range(0..4) {
            0 => Arrival::Twice,
            1 => Arrival::Late,
            _ => Arrival::Immediately,
        }
    }

    /// Random numbers that depend on the seed and on their purpose, and not on the order of the
    /// calls.
    fn dice(&self, purpose: &str) -> ChaCha8Rng {
        let mixed = purpose.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });

        ChaCha8Rng::seed_from_u64(mixed)
    }
}
