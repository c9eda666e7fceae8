-- +goose Up
CREATE TABLE registry_models (
    project    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    service    TEXT   NOT NULL,
    service_version BIGINT NOT NULL,
    snapshot   TEXT   NOT NULL,
    uri        TEXT   NOT NULL,
    tags       TEXT   NOT NULL, -- JSON
    created_at BIGINT NOT NULL, -- microseconds UTC
    PRIMARY KEY (project, name, version)
);

CREATE INDEX registry_models_of_snapshot ON registry_models (snapshot);

CREATE TABLE registry_model_aliases (
    project TEXT NOT NULL,
    name    TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (project, name, alias)
);

CREATE TABLE registry_model_moves (
    project  TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    move     BIGINT NOT NULL, -- of the model, from 1
    alias    TEXT   NOT NULL,
    version  TEXT   NOT NULL, -- empty: taken off
    snapshot TEXT   NOT NULL,
    at       BIGINT NOT NULL, -- microseconds UTC
    PRIMARY KEY (project, name, move)
);

-- +goose Down
DROP TABLE registry_model_moves;
DROP TABLE registry_model_aliases;
DROP TABLE registry_models;
