-- Which redrive of its execution a row speaks of, so that a failure of an earlier one does not end the run that goes on.
ALTER TABLE limit_increase_runs
    -- The last redrive for which the run was opened or resumed.
    ADD COLUMN redrive INTEGER NOT NULL DEFAULT 0 CHECK (redrive >= 0),
    -- When it was last resumed.
    ADD COLUMN resumed_at TIMESTAMPTZ,
    -- The redrive in which the failure happened.
    ADD COLUMN failed_at_redrive INTEGER CHECK (failed_at_redrive >= 0),
    -- When the execution was first started. A later execution may have the same name.
    ADD COLUMN execution_started_at TIMESTAMPTZ,
    -- The scheduled event that started the run: the rule and its time.
    ADD COLUMN scheduled_event TEXT,
    -- The run that the same scheduled event had started before, if this run left the customers to it.
    ADD COLUMN duplicate_of VARCHAR(80);

CREATE INDEX limit_increase_runs_scheduled_event ON limit_increase_runs (scheduled_event);

UPDATE limit_increase_runs SET failed_at_redrive = 0 WHERE status = 'FAILED';
