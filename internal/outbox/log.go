package outbox

import (
	"context"
	"log/slog"
)

// Log delivers entries to the log.
type Log struct{ Logger *slog.Logger }

// Deliver writes one line with the payload as text.
func (l Log) Deliver(ctx context.Context, e *Entry) error {
	l.Logger.InfoContext(ctx, "event", "id", e.ID, "project", e.Scope, "key", e.Key, "payload", string(e.Payload))
	return nil
}
