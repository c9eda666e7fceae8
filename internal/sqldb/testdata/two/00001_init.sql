-- +goose Up
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    n    BIGINT NOT NULL
);
INSERT INTO counters (name, n) VALUES ('a', 0);

-- +goose Down
DROP TABLE counters;
