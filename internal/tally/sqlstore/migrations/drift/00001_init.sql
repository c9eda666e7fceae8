-- +goose Up
-- Times are microseconds since 1970 UTC. A commit's deltas wait here, encoded,
-- until the commit has landed.
CREATE TABLE drift_staged (
    commit_id TEXT PRIMARY KEY,
    view_id   TEXT NOT NULL,
    payload   BYTEA NOT NULL,
    staged_at BIGINT NOT NULL
);

-- Where staged commits start, to find those that can no longer land.
CREATE TABLE drift_staged_parts (
    commit_id    TEXT NOT NULL,
    view_id      TEXT NOT NULL,
    topic_id     TEXT NOT NULL,
    part         BIGINT NOT NULL,
    from_next    BIGINT NOT NULL,
    PRIMARY KEY (commit_id, topic_id, part)
);
CREATE INDEX drift_staged_parts_at ON drift_staged_parts (view_id, topic_id, part, from_next);

CREATE TABLE drift_settled (
    commit_id  TEXT PRIMARY KEY,
    settled_at BIGINT NOT NULL
);

CREATE TABLE drift_progress (
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
    PRIMARY KEY (view_id, topic_id, part)
);

CREATE TABLE drift_windows (
    project     TEXT NOT NULL,
    monitor     TEXT NOT NULL,
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
    PRIMARY KEY (project, monitor, size, start_at)
);
CREATE INDEX drift_windows_state ON drift_windows (project, monitor, size, state, start_at);

CREATE TABLE drift_states (
    project    TEXT NOT NULL,
    monitor    TEXT NOT NULL,
    size       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (project, monitor, size)
);

CREATE TABLE drift_references (
    ref_key  TEXT PRIMARY KEY,
    profile  BYTEA NOT NULL,
    built_at BIGINT NOT NULL
);

CREATE TABLE drift_events (
    id           TEXT PRIMARY KEY,
    seq          BIGINT NOT NULL UNIQUE,
    project      TEXT NOT NULL,
    monitor      TEXT NOT NULL,
    view_name    TEXT NOT NULL,
    kind         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    window_start BIGINT NOT NULL,
    window_end   BIGINT NOT NULL,
    retrain      BIGINT NOT NULL,
    payload      BYTEA NOT NULL
);

CREATE TABLE drift_outbox (
    id          TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    destination TEXT NOT NULL,
    lane        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    payload     BYTEA NOT NULL,
    headers     TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    next_try    BIGINT NOT NULL,
    last_error  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX drift_outbox_due ON drift_outbox (state, seq);
CREATE INDEX drift_outbox_lane ON drift_outbox (destination, lane, state, seq);

-- +goose Down
DROP TABLE drift_outbox;
DROP TABLE drift_events;
DROP TABLE drift_references;
DROP TABLE drift_states;
DROP TABLE drift_windows;
DROP TABLE drift_progress;
DROP TABLE drift_settled;
DROP TABLE drift_staged_parts;
DROP TABLE drift_staged;
