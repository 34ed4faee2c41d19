-- The rights of the functions in PostgreSQL, one role for each. Run it after the migrations, and
-- again after each release that has new ones. It can be run any number of times:
--
--     psql "$OWNER_URL" -v ON_ERROR_STOP=1 --single-transaction -f docs/grants.sql
--
-- The roles cannot log in. Make a login for each function, with a password of its own:
--
--     CREATE ROLE scores_query  LOGIN PASSWORD '..' IN ROLE limit_increase_query;
--     CREATE ROLE scores_update LOGIN PASSWORD '..' IN ROLE limit_increase_update;
--
-- Whoever runs this must be able to create roles, and own the tables or be a superuser.

DO $$
DECLARE
    role TEXT;
BEGIN
    FOREACH role IN ARRAY ARRAY['limit_increase_owner', 'limit_increase_query', 'limit_increase_update'] LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    -- The step that writes keeps a shard's decisions in a temporary table.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO limit_increase_update', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO limit_increase_query, limit_increase_update', current_schema());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO limit_increase_owner', current_schema());
    -- Who gives a table away must be a member of the role that gets it.
    EXECUTE format('GRANT limit_increase_owner TO %I', current_user);
END $$;

-- Migrations change tables, which only their owner may.
ALTER TABLE batch_scores OWNER TO limit_increase_owner;
ALTER TABLE customer_features OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_runs OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_shards OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_decisions OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_shard_files OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_seals OWNER TO limit_increase_owner;
ALTER TABLE limit_increase_migrations OWNER TO limit_increase_owner;
-- It makes the table of each month, with the rights of its owner. Everybody may call it.
ALTER FUNCTION limit_increase_add_months() OWNER TO limit_increase_owner;
DO $$
DECLARE
    month REGCLASS;
BEGIN
    FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'limit_increase_decisions'::regclass LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO limit_increase_owner', month);
    END LOOP;
END $$;

REVOKE ALL ON batch_scores, customer_features, limit_increase_runs, limit_increase_shards,
    limit_increase_decisions, limit_increase_shard_files, limit_increase_seals,
    limit_increase_migrations FROM PUBLIC, limit_increase_query, limit_increase_update;

-- Both functions read PostgreSQL's catalogue first, which everybody may.
--
-- query-batch-scores reads the customers, and opens a run in the ledger. It can change no customer.
GRANT SELECT (customer_id, current_score, current_limit, application_date, limit_increase_decision)
    ON batch_scores TO limit_increase_query;
-- Which features there are is the model's business, so the whole table.
GRANT SELECT ON customer_features TO limit_increase_query;
GRANT SELECT, INSERT, UPDATE ON limit_increase_runs TO limit_increase_query;
GRANT SELECT ON limit_increase_shards TO limit_increase_query;

-- update-database writes decisions. It can change neither a score nor a current limit, and it can
-- insert and delete no customer. It keeps the ledger, and can delete nothing from it.
GRANT SELECT (customer_id, current_score, current_limit, limit_increase_decision)
    ON batch_scores TO limit_increase_update;
GRANT UPDATE (limit_increase_decision, new_limit, decision_reason, updated_at)
    ON batch_scores TO limit_increase_update;
GRANT SELECT, INSERT, UPDATE ON limit_increase_runs TO limit_increase_update;
GRANT SELECT, INSERT ON limit_increase_shards TO limit_increase_update;
-- It adds to the history of decisions. Nobody can change or delete a row of it.
GRANT INSERT ON limit_increase_decisions TO limit_increase_update;
GRANT SELECT, INSERT ON limit_increase_shard_files, limit_increase_seals TO limit_increase_update;
