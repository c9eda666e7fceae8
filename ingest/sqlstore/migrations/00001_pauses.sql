-- +goose Up
CREATE TABLE ingest_pauses (
    project      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    topic_id     TEXT   NOT NULL,
    partition_no BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    body         TEXT   NOT NULL,
    PRIMARY KEY (project, name, topic_id, partition_no)
);

-- +goose Down
DROP TABLE ingest_pauses;
