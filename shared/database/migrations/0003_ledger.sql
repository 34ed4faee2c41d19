-- One row per run: what it was opened with, and how it ended. A run that failed before it was opened has only its failure.
CREATE TABLE limit_increase_runs (
    run_id VARCHAR(80) PRIMARY KEY,
    status VARCHAR(10) NOT NULL CHECK (status IN ('RUNNING', 'SUCCEEDED', 'FAILED')),
    request JSONB,
    context JSONB,
    eligible BIGINT,
    shard_count INTEGER,
    approved BIGINT,
    declined BIGINT,
    referred BIGINT,
    stale BIGINT,
    total_increase DECIMAL(20, 2),
    error TEXT,
    cause TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    CHECK ((context IS NULL) = (eligible IS NULL)),
    CHECK (status <> 'SUCCEEDED' OR approved + declined + referred + stale = eligible),
    CHECK (status <> 'FAILED' OR error IS NOT NULL)
);

CREATE INDEX limit_increase_runs_started ON limit_increase_runs (started_at DESC);

-- One row per shard that was applied, written in the transaction that applied it.
CREATE TABLE limit_increase_shards (
    run_id VARCHAR(80) NOT NULL REFERENCES limit_increase_runs (run_id) ON DELETE CASCADE,
    shard_index INTEGER NOT NULL CHECK (shard_index >= 0),
    rows BIGINT NOT NULL,
    approved BIGINT NOT NULL,
    declined BIGINT NOT NULL,
    referred BIGINT NOT NULL,
    stale BIGINT NOT NULL,
    total_increase DECIMAL(20, 2) NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run_id, shard_index),
    CHECK (approved + declined + referred + stale = rows)
);
