-- +goose Up
-- How often rows were merged into a window, how many of these its verdict has seen,
-- and how often the verdict was amended. What is there already has been merged once.
ALTER TABLE drift_windows ADD COLUMN deltas BIGINT NOT NULL DEFAULT 1;
ALTER TABLE drift_windows ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE drift_windows ADD COLUMN amended BIGINT NOT NULL DEFAULT 0;

-- Rows that landed, and when the last did.
ALTER TABLE drift_progress ADD COLUMN n_rows BIGINT NOT NULL DEFAULT 0;
ALTER TABLE drift_progress ADD COLUMN landed_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE drift_progress DROP COLUMN landed_at;
ALTER TABLE drift_progress DROP COLUMN n_rows;
ALTER TABLE drift_windows DROP COLUMN amended;
ALTER TABLE drift_windows DROP COLUMN seen;
ALTER TABLE drift_windows DROP COLUMN deltas;
