-- +goose Up
-- How the rows of views land by the wall clock, one body of JSON a view.
CREATE TABLE quality_clocks (
    view_id  TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    body     TEXT NOT NULL
);

-- +goose Down
DROP TABLE quality_clocks;
