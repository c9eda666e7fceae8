package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSink runs the suite of ingest.Sink on online.Writer over Redis.
func TestSink(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		store := open(t, miniredis.RunT(t).Addr())
		sinktest.Run(t, 3, func(t *testing.T) *sinktest.Store { return sinkOn(store, onlinetest.Project(t)) })
	})
	t.Run("redis", func(t *testing.T) {
		store := open(t, testserver.Redis(t).Addr)
		sinktest.Run(t, 5, func(t *testing.T) *sinktest.Store { return sinkOn(store, onlinetest.Project(t)) })
	})
}

// sinkOn has workers write a store. Views are of a project of their own, for the
// store may hold others.
func sinkOn(store online.Store, project string) *sinktest.Store {
	fault := func() sinktest.Fault { return sinktest.None }
	faulty := &onlinetest.Faulty{Store: store, Fail: func(op string, _ int) onlinetest.Fault {
		switch fault() {
		case sinktest.Before:
			return onlinetest.Clean
		case sinktest.After:
			return onlinetest.Late
		}
		return onlinetest.None
	}}
	mine := func(v *feature.View) *feature.View {
		own := *v
		own.Meta.Project = project
		return &own
	}
	return &sinktest.Store{
		Open: func(_ testing.TB, v *feature.View, table *sinktest.Table) (ingest.Sink, ingest.Committer) {
			return online.NewWriter(mine(v), faulty, sinktest.History{T: table}, online.Options{}), nil
		},
		Visible: func(t testing.TB, v *feature.View) []string { return shown(t, store, mine(v)) },
		Want:    newest,
		Shows:   sinktest.Written,
		Break:   func(f func() sinktest.Fault) { fault = f },
	}
}

func shown(t testing.TB, s online.Store, v *feature.View) (out []string) {
	p, err := online.NewReader(s, time.Now, nil, nil).Compile(onlinetest.Service(v))
	require.NoError(t, err)
	var keys feature.Vector
	keys.Reset(feature.String, len(sinktest.Keys()))
	for i, k := range sinktest.Keys() {
		keys.Valid[i], keys.Bytes[i] = true, []byte(k)
	}
	var b feature.Block
	require.NoError(t, p.Read(context.Background(), []feature.Vector{keys}, len(keys.Valid), &b))
	for i, k := range sinktest.Keys() {
		if b.Views[0].Status[i] != feature.Present {
			continue
		}
		values := []any{k}
		for c := range b.Columns {
			values = append(values, onlinetest.Value(&b.Columns[c].Vector, i))
		}
		out = append(out, fmt.Sprint(b.Views[0].EventTime[i], values))
	}
	return out
}

func newest(v *feature.View, rows []sinktest.Row) (out []string) {
	for _, r := range sinktest.Newest(rows) {
		if r.Deleted {
			continue
		}
		b := sinktest.BatchOf(v, arrowmemory.DefaultAllocator, []sinktest.Row{r}, r.Offset, r.Offset+1)
		out = append(out, fmt.Sprint(r.Event, onlinetest.Rows(b)[0].Values))
		b.Rows.Release()
	}
	return out
}
