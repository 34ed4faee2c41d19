-- The hashes of the files from which a shard was applied, and of its record. Written in the transaction
-- that applied the shard.
CREATE TABLE limit_increase_shard_files (
    run_id VARCHAR(80) NOT NULL,
    shard_index INTEGER NOT NULL,
    -- SHA-256 in lower-case hexadecimal. The file of evaluations names the hash of the scores.
    evaluations_sha256 TEXT NOT NULL,
    results_sha256 TEXT NOT NULL,
    PRIMARY KEY (run_id, shard_index),
    FOREIGN KEY (run_id, shard_index)
        REFERENCES limit_increase_shards (run_id, shard_index) ON DELETE CASCADE
);

-- One row for each run that was closed, in the order of their closing. Rows are only added. A seal
-- outlives its run's row, so that a run that was removed is missed.
CREATE TABLE limit_increase_seals (
    -- 1, 2, 3, ..: a gap is a seal that was removed.
    number BIGINT PRIMARY KEY CHECK (number > 0),
    run_id VARCHAR(80) NOT NULL,
    -- A name can be used again after 90 days.
    started_at TIMESTAMPTZ NOT NULL,
    -- JSON: what the run was opened with, its counts, the hashes of its objects, the seal before.
    document TEXT NOT NULL,
    -- SHA-256 of the document.
    seal TEXT NOT NULL,
    UNIQUE (run_id, started_at)
);
