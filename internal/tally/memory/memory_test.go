package memory

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
)

type store = tally.Store[*tallytest.Counted, *tallytest.Share]

func open(box *Outbox) *Store[*tallytest.Counted, *tallytest.Share] {
	return New[*tallytest.Counted, *tallytest.Share](tallytest.DecodeCounted, box)
}

func TestStore(t *testing.T) {
	tallytest.Plain.Store(t, func(*testing.T) store { return open(nil) })
}

func TestExactlyOnce(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 12
	}
	tallytest.Plain.ExactlyOnce(t, runs, 400, true, func() store { return open(nil) }, tallytest.NewTap)
}

// Two stores have one outbox, and nothing else.
func TestOneOutbox(t *testing.T) {
	ctx, box, now := context.Background(), NewOutbox(), time.Unix(1e9, 0)
	a, b := open(box), open(box)
	tallytest.Plain.Put(t, a, "m", now, outbox.Entry{ID: "1", Destination: "x", Key: "k", Payload: []byte("{}")})
	tallytest.Plain.Put(t, b, "m", now, outbox.Entry{ID: "2", Destination: "x", Key: "k", Payload: []byte("{}")})
	due, err := a.Claim(ctx, "x", now, time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, due, 2)
}
