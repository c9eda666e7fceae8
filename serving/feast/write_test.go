package feast

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// taker takes every event.
type taker struct{ events int }

func (t *taker) Write(_ context.Context, _ *feature.Source, _ []*feature.View, rows Rows) (*Outcome, error) {
	t.events += len(rows.Events)
	return &Outcome{}, nil
}

func (t *taker) CaughtUp(context.Context, []*feature.View) error { return nil }

// TestWriteLimit: a row takes some thousand bytes on its way, so a body of small ones is bounded by their number, too.
func TestWriteLimit(t *testing.T) {
	c := DefaultConfig()
	c.MaxWriteRows = 2
	w := &taker{}
	s := newWorld(t, c, w)
	src := &feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "at"}}
	view := &feature.View{Meta: feature.Meta{Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}}}
	take := func(df ordered) error {
		return s.take(httptest.NewRecorder(), httptest.NewRequest("POST", "/push", nil), src, []*feature.View{view}, df, false)
	}
	require.NoError(t, take(ordered{{"id", []byte("[1, 2]")}, {"at", []byte(`["2026-01-01", "2026-01-01"]`)}}))
	require.Equal(t, 2, w.events)
	err := take(ordered{{"id", []byte("[1, 2, 3]")}, {"at", []byte(`["2026-01-01", "2026-01-01", "2026-01-01"]`)}})
	require.Equal(t, feature.Invalid, feature.KindOf(err), err)
	require.ErrorContains(t, err, "3 rows")
	require.ErrorContains(t, err, "feast.max_write_rows")
	require.Equal(t, 2, w.events)
	c.MaxWriteRows = 0
	require.ErrorContains(t, c.Validate(), "feast.max_write_rows")
}
