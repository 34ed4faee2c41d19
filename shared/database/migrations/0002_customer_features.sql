-- One column per model input is added when features are loaded, because the inputs are the model's business.
CREATE TABLE IF NOT EXISTS customer_features (
    customer_id VARCHAR(50) PRIMARY KEY REFERENCES batch_scores (customer_id) ON DELETE CASCADE
);
