-- What was counted of a shard's customers, for the report of the run. NULL for a shard of an older release.
ALTER TABLE limit_increase_shards ADD COLUMN profile JSONB;

ALTER TABLE limit_increase_runs
    -- The sums over the shards.
    ADD COLUMN profile JSONB,
    -- How far the run's customers are from the model's training rows, in the few numbers that later runs look back on.
    ADD COLUMN drift JSONB,
    -- Customers without a decision at the time of the query, and those of them whom the policy lets in.
    ADD COLUMN undecided BIGINT,
    ADD COLUMN qualifying BIGINT;
