-- +goose Up
-- Each destination is worked off by itself, by number; an event's entries are found by its id.
ALTER TABLE drift_outbox ADD COLUMN event_id TEXT NOT NULL DEFAULT '';
UPDATE drift_outbox SET event_id = CASE WHEN id LIKE '%/' || destination
    THEN substr(id, 1, length(id) - length(destination) - 1) ELSE id END;
DROP INDEX drift_outbox_due;
DROP INDEX drift_outbox_lane;
CREATE INDEX drift_outbox_queue ON drift_outbox (state, destination, seq, lane, next_try);
CREATE INDEX drift_outbox_event ON drift_outbox (event_id);

-- +goose Down
DROP INDEX drift_outbox_event;
DROP INDEX drift_outbox_queue;
CREATE INDEX drift_outbox_lane ON drift_outbox (destination, lane, state, seq);
CREATE INDEX drift_outbox_due ON drift_outbox (state, seq);
ALTER TABLE drift_outbox DROP COLUMN event_id;
