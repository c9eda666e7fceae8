-- +goose Up
-- Windows of data quality. Events and outbox are drift_events and drift_outbox, one for all.
-- Times are microseconds since 1970 UTC. A commit's deltas wait here, encoded,
-- until the commit has landed.
CREATE TABLE quality_staged (
    commit_id TEXT PRIMARY KEY,
    view_id   TEXT NOT NULL,
    payload   BYTEA NOT NULL,
    staged_at BIGINT NOT NULL
);

-- Where staged commits start, to find those that can no longer land.
CREATE TABLE quality_staged_parts (
    commit_id    TEXT NOT NULL,
    view_id      TEXT NOT NULL,
    topic_id     TEXT NOT NULL,
    part         BIGINT NOT NULL,
    from_next    BIGINT NOT NULL,
    PRIMARY KEY (commit_id, topic_id, part)
);
CREATE INDEX quality_staged_parts_at ON quality_staged_parts (view_id, topic_id, part, from_next);

CREATE TABLE quality_settled (
    commit_id  TEXT PRIMARY KEY,
    settled_at BIGINT NOT NULL
);

CREATE TABLE quality_progress (
    view_id    TEXT NOT NULL,
    topic_id   TEXT NOT NULL,
    part       BIGINT NOT NULL,
    parts      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    max_event  BIGINT NOT NULL,
    any_event  BIGINT NOT NULL,
    drained    BIGINT NOT NULL,
    final      BIGINT NOT NULL,
    since_at   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    n_rows     BIGINT NOT NULL,
    landed_at  BIGINT NOT NULL,
    PRIMARY KEY (view_id, topic_id, part)
);

CREATE TABLE quality_windows (
    project     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    size        TEXT NOT NULL,
    start_at    BIGINT NOT NULL,
    end_at      BIGINT NOT NULL,
    state       TEXT NOT NULL,
    n_rows      BIGINT NOT NULL,
    import_rows BIGINT NOT NULL,
    late        BIGINT NOT NULL,
    imports     TEXT NOT NULL,
    profile     BYTEA,
    verdict     TEXT NOT NULL,
    closed_at   BIGINT NOT NULL,
    judged_at   BIGINT NOT NULL,
    deltas      BIGINT NOT NULL,
    seen        BIGINT NOT NULL,
    amended     BIGINT NOT NULL,
    PRIMARY KEY (project, owner, size, start_at)
);
CREATE INDEX quality_windows_state ON quality_windows (project, owner, size, state, start_at);

CREATE TABLE quality_states (
    project    TEXT NOT NULL,
    owner      TEXT NOT NULL,
    size       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (project, owner, size)
);

CREATE TABLE quality_references (
    ref_key  TEXT PRIMARY KEY,
    profile  BYTEA NOT NULL,
    built_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE quality_references;
DROP TABLE quality_states;
DROP TABLE quality_windows;
DROP TABLE quality_progress;
DROP TABLE quality_settled;
DROP TABLE quality_staged_parts;
DROP TABLE quality_staged;
