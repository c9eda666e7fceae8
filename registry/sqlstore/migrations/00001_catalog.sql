-- +goose Up
CREATE TABLE registry_revisions (
    revision BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL -- microseconds UTC
);

CREATE TABLE registry_definitions (
    kind          TEXT   NOT NULL,
    project       TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    version       BIGINT NOT NULL,
    body          TEXT   NOT NULL, -- JSON
    from_revision BIGINT NOT NULL REFERENCES registry_revisions (revision),
    to_revision   BIGINT NOT NULL, -- the first one without it; the largest BIGINT while it is in force
    PRIMARY KEY (kind, project, name, version)
);

CREATE INDEX registry_definitions_in_force ON registry_definitions (to_revision, from_revision);

CREATE TABLE registry_snapshots (
    id         TEXT   NOT NULL PRIMARY KEY,
    project    TEXT   NOT NULL,
    created_at BIGINT NOT NULL, -- microseconds UTC
    body       TEXT   NOT NULL, -- JSON
    profile    BYTEA
);

CREATE INDEX registry_snapshots_of_project ON registry_snapshots (project, created_at, id);

-- +goose Down
DROP TABLE registry_snapshots;
DROP TABLE registry_definitions;
DROP TABLE registry_revisions;
