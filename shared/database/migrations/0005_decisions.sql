-- The history: one row for each decision that was written, in the transaction that wrote it. The
-- decision in batch_scores can be cleared, so that its customer is decided again; this row stays.
-- Rows are only added. To end their retention, drop the table of a month.
--
-- There is no index on customer_id: it would cost a third of the time of writing the decisions. The
-- filter of each shard, below, says which shards can have a customer.
CREATE TABLE limit_increase_decisions (
    -- The time of the shard's transaction, so all rows of a shard have the same one. It is the
    -- shard's applied_at.
    decided_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    shard_index INTEGER NOT NULL,
    -- The row in each of the shard's files in S3. The first one is 0.
    row_index INTEGER NOT NULL,
    as_of DATE NOT NULL,
    -- NULL if the customer could not be scored.
    new_score INTEGER,
    customer_id TEXT COLLATE "C" NOT NULL,
    run_id VARCHAR(80) NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    -- As it was when the customer was queried; NULL if it could not be read.
    current_limit NUMERIC,
    -- NULL if the limit was not raised.
    new_limit NUMERIC
) PARTITION BY RANGE (decided_at);

-- The rows come in the order of their time, so a BRIN index finds those of a shard. It costs almost
-- nothing to keep.
CREATE INDEX limit_increase_decisions_time ON limit_increase_decisions
    USING brin (decided_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE OR REPLACE FUNCTION limit_increase_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is not allowed: rows of limit_increase_decisions are only added', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON limit_increase_decisions
    FOR EACH ROW EXECUTE FUNCTION limit_increase_refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON limit_increase_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION limit_increase_refuse_change();

-- Makes the tables of this month and the next one, if they are not there. A month is one in UTC.
-- Each run calls it before it opens. It has the rights of its owner, because only the owner of a
-- table can add a part to it. So it may not be left from a table that was dropped.
DROP FUNCTION IF EXISTS limit_increase_add_months();
CREATE FUNCTION limit_increase_add_months() RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    month TIMESTAMP;
    name TEXT;
BEGIN
    FOR ahead IN 0..1 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
        name := to_char(month, '"limit_increase_decisions_"YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;

        -- Two runs may open at the same time. The second one waits and finds the table.
        PERFORM pg_advisory_xact_lock(hashtextextended(name, -3));
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %I PARTITION OF limit_increase_decisions
                 FOR VALUES FROM (%L) TO (%L)',
            name, month AT TIME ZONE 'UTC', (month + INTERVAL '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END $$;

SELECT limit_increase_add_months();

-- A Bloom filter of the customers whose decisions the shard wrote: in a customer's shard every
-- probed bit is set. Random bits cannot be compressed.
ALTER TABLE limit_increase_shards ADD COLUMN customer_filter BYTEA;
ALTER TABLE limit_increase_shards ALTER COLUMN customer_filter SET STORAGE EXTERNAL;
