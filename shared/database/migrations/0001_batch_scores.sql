-- The table of the original, column for column. Applying this to a database that has it changes nothing.
CREATE TABLE IF NOT EXISTS batch_scores (
    customer_id VARCHAR(50) PRIMARY KEY,
    current_score INTEGER NOT NULL,
    current_limit DECIMAL(10, 2) NOT NULL,
    application_date DATE NOT NULL,
    limit_increase_decision VARCHAR(20),
    new_limit DECIMAL(10, 2),
    decision_reason TEXT,
    updated_at TIMESTAMP -- UTC
);

-- Undecided customers in the order in which a run takes them. Partial, so that a decided row leaves it for good.
CREATE INDEX IF NOT EXISTS batch_scores_undecided
    ON batch_scores (current_score DESC, customer_id)
    WHERE limit_increase_decision IS NULL;
