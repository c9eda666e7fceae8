-- +goose Up
CREATE TABLE ingest_resumptions (
    project TEXT NOT NULL,
    name    TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (project, name)
);

-- +goose Down
DROP TABLE ingest_resumptions;
