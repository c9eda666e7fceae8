-- +goose Up
ALTER TABLE counters ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE counters DROP COLUMN note;
